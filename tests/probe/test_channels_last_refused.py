"""Networks that flatten their maps by `view` are told from those that take any layout, and left as they were."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from striate.probe import Snapshot, takes_channels_last


class Flat(nn.Module):
    """One convolution, a batch norm, and what flattens their maps."""

    def __init__(self, how: str, channels: int = 3) -> None:
        super().__init__()
        self.how, self.ran = how, [0]
        self.conv, self.norm, self.fc = nn.Conv2d(channels, 4, 3), nn.BatchNorm2d(4), nn.Linear(4 * 36, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.ran[0] += 1
        x = self.norm(self.conv(x))
        if self.how == "view" or (self.how == "view in training" and self.training):
            x = x.view(len(x), -1)
        elif self.how == "other trouble":
            raise ValueError("nothing to do with layouts")
        return self.fc(x.flatten(1))


@pytest.mark.parametrize(
    ("how", "channels", "training", "takes"),
    [
        ("flatten", 3, True, True),
        ("view", 3, False, False),
        ("view", 1, False, False),
        ("view in training", 3, False, True),
        ("view in training", 3, True, False),
        ("other trouble", 3, True, False),
    ],
)
def test_found_by_running_once(how: str, channels: int, training: bool, takes: bool) -> None:
    model = Flat(how, channels).train()
    x = torch.rand(1, channels, 8, 8)
    before = Snapshot.of(model)
    assert takes_channels_last(model, lambda: x, training=training) is takes
    ran = model.ran[0]
    assert takes_channels_last(model, lambda: x, training=training) is takes
    assert model.ran[0] == ran > 0, "the answer is kept"
    model.ran[0] = 0
    assert before.differences(model) == ()


def test_other_trouble_is_heard_of_where_the_network_is_not_to_be_trained() -> None:
    with pytest.raises(ValueError, match="nothing to do with layouts"):
        takes_channels_last(Flat("other trouble"), lambda: torch.rand(1, 3, 8, 8))


def test_torchs_own_modules_need_no_trial() -> None:
    chain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 2))
    chain[0].register_forward_hook(lambda *_: pytest.fail("it was run"))
    assert takes_channels_last(chain, lambda: torch.rand(1, 3, 8, 8), training=True)
