"""Networks that decide by numbers they compute, those whose shapes are not known yet, and those nobody can look into."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from striate.core.errors import ArgumentError
from striate.measure import summary, wire


class Masked(nn.Module):
    """A transformer whose encoder looks at its mask's values, or gets none."""

    def __init__(self, *, masked):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, 0.1, batch_first=True, norm_first=True)
        self.patch, self.enc, self.fc = nn.Conv2d(1, 8, 4, stride=4), nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Linear(8, 3)
        self.mask = nn.Buffer(torch.triu(torch.full((16, 16), float("-inf")), 1)) if masked else None

    def forward(self, x):
        return self.fc(self.enc(self.patch(x).flatten(2).transpose(1, 2), mask=self.mask)[:, -1])


def test_a_network_that_looks_at_its_mask_is_counted_as_one_without():
    masked, plain = summary(Masked(masked=True), (1, 16, 16)), summary(Masked(masked=False), (1, 16, 16))
    assert masked.totals.multiply_adds == plain.totals.multiply_adds
    assert masked.totals.parameters == plain.totals.parameters
    assert any("so it was run on zeros, with values" in note for note in masked.notes)
    assert not any("with values" in note for note in plain.notes)


def test_a_layer_without_a_shape_is_told():
    model = nn.Sequential(nn.Flatten(), nn.LazyLinear(3))
    with pytest.raises(ArgumentError, match=r"1\.weight has no shape yet, for its layer is lazy; call the model once"):
        summary(model, (1, 4, 4))
    model(torch.zeros(1, 1, 4, 4))
    assert summary(model, (1, 4, 4)).totals.parameters == 51


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_scripted_code_is_refused_as_nothing_in_it_can_be_counted():
    plain = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
    for measure in (summary, wire):
        for closed in (torch.jit.script(plain), torch.jit.trace(plain, torch.zeros(1, 3, 16, 16))):
            with pytest.raises(ArgumentError, match=r"model: the network is scripted or traced .*give the network it was made from"):
                measure(closed, (3, 16, 16))
            with pytest.raises(ArgumentError, match=r"model: 0 is scripted or traced"):
                measure(nn.Sequential(closed, nn.Flatten()), (3, 16, 16))
    assert summary(plain, (3, 16, 16)).totals.multiply_adds == 42_336
