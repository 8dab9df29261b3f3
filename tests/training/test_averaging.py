"""Averages of weights against their closed forms."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from striate.training.averaging import Average


def walk(kind, decay, steps, values):
    """Move a one-weight network through `values` and return (average, live weight) at the end."""
    net = nn.Linear(1, 1, bias=False).double()
    with torch.no_grad():
        net.weight.fill_(0.0)
    average = Average(net, kind, decay, steps)
    for step, value in enumerate(values, start=1):
        with torch.no_grad():
            net.weight.fill_(value)
        average.saw(step)
    return float(average.state_dict(net)["weight"]), float(net.weight.detach())


def test_ema_is_the_recursion_with_a_growing_decay():
    values = [1.0, 3.0, -2.0, 5.0]
    expected = 0.0
    for n, value in enumerate(values, start=1):
        decay = min(0.3, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * value
    assert walk("ema", 0.3, 4, values)[0] == pytest.approx(expected, rel=1e-12)


def test_tail_is_the_plain_mean_of_the_last_share():
    assert walk("tail", 0.5, 8, [9, 9, 9, 9, 1, 2, 3, 6])[0] == pytest.approx(3.0)


def test_before_its_tail_an_average_is_the_weights_themselves():
    assert walk("tail", 0.5, 8, [9, 7, 5]) == (5.0, 5.0)


def test_lookahead_pulls_the_weights_back_every_fifth_step():
    average, live = walk("lookahead", 0.5, 6, [1, 2, 3, 4, 10])
    assert average == pytest.approx((1 - 0.5**5) * 10)
    assert live == pytest.approx(average)


def test_none_is_the_live_weight():
    assert walk("none", 0.9, 3, [1, 2, 3]) == (3.0, 3.0)


def test_batch_norm_statistics_are_averaged_and_counters_are_not():
    net = nn.BatchNorm1d(1)
    average = Average(net, "tail", 0.0, 2)
    for step, mean in enumerate((2.0, 4.0), start=1):
        net.running_mean.fill_(mean)
        net.num_batches_tracked.fill_(step)
        average.saw(step)
    state = average.state_dict(net)
    assert float(state["running_mean"]) == 3.0
    assert int(state["num_batches_tracked"]) == 2
