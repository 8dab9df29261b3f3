"""The largest length of a unit's weights, kept through training by plain descent."""

import pytest
import torch

from striate.core.errors import ArgumentError
from striate.layers import MaxNormLinear


def test_rows_are_shortened_as_the_paper_rescales_after_each_step():
    torch.manual_seed(0)
    made = MaxNormLinear(3, 2, most=1.5).double()
    weight, bias, x = made.weight.detach().clone(), made.bias.detach().clone(), torch.randn(4, 3, dtype=torch.float64)
    for _ in range(5):
        made.zero_grad()
        made(x).square().sum().neg().backward()  # grows without end
        with torch.no_grad():
            for p in made.parameters():
                p.sub_(p.grad, alpha=0.1)
        delta = -2 * (x @ weight.T + bias)
        weight, bias = weight - 0.1 * delta.T @ x, bias - 0.1 * delta.sum(0)
        lengths = weight.norm(dim=1, keepdim=True)
        weight = torch.where(lengths > 1.5, weight * 1.5 / lengths, weight)
    made(x)  # a training pass rescales what the last step left
    assert torch.allclose(made.weight, weight, rtol=1e-6)
    assert torch.allclose(made.bias, bias, rtol=1e-6)
    assert weight.norm(dim=1).max() == pytest.approx(1.5)
    with torch.no_grad():
        made.weight.mul_(2)
    kept = made.weight.detach().clone()
    made.eval()(x)
    assert torch.equal(made.weight, kept), "evaluation changes nothing"


def test_a_length_must_be_positive():
    with pytest.raises(ArgumentError, match="most: got 0, expected a finite number above 0"):
        MaxNormLinear(2, 2, most=0)
