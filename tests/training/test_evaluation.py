"""Test-time views and label smoothing against their closed forms."""

from __future__ import annotations

import torch
from torch import nn

from striate.core.contracts import Batch, Recipe
from striate.data import arrays
from striate.training import tasks
from striate.training.evaluation import logits_of


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 5)).double().eval()


def test_six_views_are_the_picture_and_two_shifts_of_it_each_with_its_mirror():
    net, x = network(), torch.rand(3, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def moved(by):
        rows = [min(abs(place), 2 * 7 - abs(place)) for place in range(by, 8 + by)]  # reflected at the border
        return x[:, :, rows][:, :, :, rows]

    def both(pictures):
        return (net(pictures) + net(pictures.flip(-1))) / 2

    with torch.no_grad():
        assert torch.allclose(logits_of(net, x, "mirror"), both(x))
        wanted = both(x) / 2 + (both(moved(-1)) + both(moved(1))) / 4
        assert torch.allclose(logits_of(net, x, "six"), wanted)
        assert not torch.allclose(wanted, both(x), atol=1e-4)


def test_the_recipes_smoothing_reaches_the_loss():
    data = arrays(torch.zeros(10, 1, 4, 4, dtype=torch.uint8).numpy(), torch.arange(10).remainder(5).numpy())
    logits = torch.randn(10, 5, generator=torch.Generator().manual_seed(2))
    batch = Batch(torch.zeros(10, 1, 4, 4), torch.arange(10) % 5, torch.arange(10))
    plain, smooth = (tasks.make("classify", data, Recipe(smoothing=share)).loss(logits, batch) for share in (0.0, 0.2))
    log = logits.log_softmax(1)
    own, mean = -log[torch.arange(10), batch.y].mean(), -log.mean()
    assert torch.allclose(plain, own)
    assert torch.allclose(smooth, 0.8 * own + 0.2 * mean)
