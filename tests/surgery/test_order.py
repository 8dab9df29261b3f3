"""Heads, first layers and gates are known by what the forward pass does, not by the order in which layers were registered."""

import threading
import warnings

import pytest
import torch
from torch import nn

from striate import surgery
from striate.core.errors import ArgumentError


class HeadFirst(nn.Module):
    """Registers its head before its convolutions; with `branches` it cannot be followed, only run."""

    def __init__(self, *, branches=False):
        super().__init__()
        self.fc, self.late, self.early = nn.Linear(6, 10), nn.Conv2d(4, 6, 3), nn.Conv2d(3, 4, 3)
        self.branches = branches

    def forward(self, x):
        if self.branches and x.sum() > 1e9:
            return x
        return self.fc(self.late(self.early(x).relu()).relu().mean((2, 3)))


class TwoOutputs(HeadFirst):
    """Gives (logits, logits of an auxiliary head) in training, or always."""

    def __init__(self, *, training_alone=False):
        super().__init__()
        self.helper, self.training_alone = nn.Linear(4, 10), training_alone

    def forward(self, x):
        middle = self.early(x).relu()
        both = self.fc(self.late(middle).mean((2, 3))), self.helper(middle.mean((2, 3)))
        return both if self.training or not self.training_alone else both[0]


class Branches(nn.Module):
    """Several convolutions read the input; `centred` subtracts three means before."""

    def __init__(self, *, centred=False):
        super().__init__()
        self.one, self.other, self.fc = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 1), nn.Linear(3, 2)
        self.register_buffer("mean", torch.full((1, 3, 1, 1), 0.5) if centred else torch.zeros(()))

    def forward(self, x):
        x = x - self.mean
        return self.fc((self.one(x) + self.other(x)).relu().mean((2, 3)))


class Gated(nn.Module):
    """Squeeze-and-excitation, by convolutions or by linear layers, then a classifier."""

    def __init__(self, *, linear=False):
        super().__init__()
        self.conv, self.pool, self.linear = nn.Conv2d(3, 4, 3, stride=2), nn.AdaptiveAvgPool2d(1), linear
        self.gate = nn.Linear(4, 4) if linear else nn.Conv2d(4, 4, 1)
        self.last, self.top, self.fc = nn.Conv2d(4, 5, 1), nn.AdaptiveAvgPool2d(1), nn.Linear(5, 3)

    def forward(self, x):
        x = self.conv(x).relu()
        gate = self.gate(self.pool(x).flatten(1))[:, :, None, None] if self.linear else self.gate(self.pool(x))
        return self.fc(self.top(self.last(x * gate.sigmoid())).flatten(1))


def pictures(channels=3, side=16):
    return torch.randn(2, channels, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("branches", [False, True])
def test_a_head_that_was_registered_first_is_the_head(branches):
    model = HeadFirst(branches=branches).eval()
    changed = surgery.replace_head(model, 3)
    assert changed(pictures()).shape == (2, 3)
    assert surgery.notes(changed) == ("fc is fresh, for 3 classes where it had 10: it needs training",)
    assert all(torch.equal(changed.state_dict()[key], value) for key, value in model.state_dict().items() if not key.startswith("fc"))
    grey = surgery.adapt_first_layer(model, 1)
    wanted = model(pictures(1).expand(-1, 3, -1, -1))
    torch.testing.assert_close(grey(pictures(1)), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("training_alone", [False, True])
def test_every_output_has_the_new_number_of_classes(training_alone):
    changed = surgery.replace_head(TwoOutputs(training_alone=training_alone).eval(), 3)
    assert [each.shape for each in changed.train()(pictures())] == [(2, 3), (2, 3)]
    assert not TwoOutputs().eval().training
    assert [note.split()[0] for note in surgery.notes(changed)] == ["fc", "helper"]


def test_all_branches_that_read_the_input_are_adapted_or_none():
    model = Branches().eval()
    adapted = surgery.adapt_first_layer(model, 1)
    torch.testing.assert_close(adapted(pictures(1)), model(pictures(1).expand(-1, 3, -1, -1)), rtol=1e-5, atol=1e-5)
    assert len(surgery.notes(adapted)) == 2
    with pytest.raises(ArgumentError, match=r"uses the 3 channels of its input beside one, other too and does not run with 2"):
        surgery.adapt_first_layer(Branches(centred=True), 2)


@pytest.mark.parametrize("linear", [False, True])
def test_gates_keep_looking_at_the_whole_picture(linear):
    model = Gated(linear=linear).eval()
    changed, x = surgery.to_convolutional(model, (3, 16, 16)), pictures()
    torch.testing.assert_close(changed(x).flatten(1), model(x), rtol=1e-5, atol=1e-5)
    large = pictures(side=24)
    with torch.no_grad():
        maps = model.conv(large).relu()
        gate = model.gate(maps.mean((2, 3))) if linear else model.gate(maps.mean((2, 3), keepdim=True))[:, :, 0, 0]
        pooled = nn.functional.avg_pool2d(model.last(maps * gate.sigmoid()[:, :, None, None]), 7, 1)
        wanted = model.fc(pooled.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    torch.testing.assert_close(changed(large), wanted, rtol=1e-5, atol=1e-5)
    assert surgery.notes(changed)[1].startswith("1 gates weigh channels by the whole picture still")


def test_norms_of_a_kind_of_their_own_are_told_or_folded():
    class Mine(nn.BatchNorm2d):
        def forward(self, x):
            return super().forward(x) * 2

    class BatchNormAct2d(nn.BatchNorm2d):  # as timm's
        def __init__(self, channels):
            super().__init__(channels)
            self.drop, self.act = nn.Identity(), nn.ReLU()

        def forward(self, x):
            x = nn.functional.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, self.training, 0.1, self.eps)
            return self.act(self.drop(x))

    for kind, words in ((Mine, "norm is a Mine, a batch norm of a kind of its own"), (BatchNormAct2d, "1 batch norms folded")):
        model = nn.Sequential()
        model.conv, model.norm = nn.Conv2d(3, 4, 3), kind(4)
        nn.init.uniform_(model.norm.running_mean, -1, 1)
        fused = surgery.fuse_batch_norm(model.eval())
        torch.testing.assert_close(fused(pictures()), model(pictures()), rtol=1e-5, atol=1e-5)
        assert words in surgery.notes(fused)[0]


def test_what_cannot_be_copied_or_changed_is_told_in_one_line():
    locked = HeadFirst()
    locked.guard = threading.Lock()
    with pytest.raises(ArgumentError, match="HeadFirst cannot be copied") as caught:
        surgery.replace_head(locked, 3)
    assert "\n" not in str(caught.value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(HeadFirst(), pictures())
    with pytest.raises(ArgumentError, match="scripted or traced"):
        surgery.replace_head(traced, 3)
    deep = nn.Sequential(nn.LSTM(16, 8))
    with pytest.raises(ArgumentError, match="its head is 0, LSTM") as caught:
        surgery.replace_head(deep, 3)
    assert "\n" not in str(caught.value)
    assert surgery.replace_head(nn.DataParallel(HeadFirst()), 3)(pictures()).shape == (2, 3)
