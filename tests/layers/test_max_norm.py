"""The largest length of a unit's weights, kept through training by plain descent."""

import pytest
import torch

from striate import zoo
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


@pytest.mark.parametrize("kind", [torch.float64, torch.float32, torch.bfloat16])
def test_the_weights_are_those_of_rescaling_before_every_pass_bit_for_bit(kind):
    torch.manual_seed(0)
    made = MaxNormLinear(300, 5, most=1.0).to(kind)
    weight, bias = (p.detach().clone().requires_grad_() for p in made.parameters())
    for step in range(60):
        x = torch.randn(4, 300).to(kind)
        for _ in range(1 + step % 2):  # gradients of one pass, and gathered over two
            made(x).square().sum().neg().backward()
            with torch.no_grad():
                weight.renorm_(2, 0, 1.0)
            torch.nn.functional.linear(x, weight, bias).square().sum().neg().backward()
        with torch.no_grad():
            for p in (*made.parameters(), weight, bias):
                p.sub_(p.grad, alpha=1e-2)
                p.grad = None
        assert torch.equal(made.weight, weight)
    made(x)
    assert made.weight.detach().float().norm(dim=1).max() == pytest.approx(1, rel=1e-2)


def test_two_training_passes_before_one_backward_pass_add_their_gradients():
    torch.manual_seed(0)
    for kind in (torch.float64, torch.float32, torch.bfloat16):
        made = MaxNormLinear(300, 20, most=1.5).to(kind).train()
        torch.nn.init.normal_(made.weight)
        first, second = (torch.randn(4, 300).to(kind).requires_grad_() for _ in range(2))  # for their gradient the weight is kept
        (made(first).sum() + 2 * made(second).sum()).backward()
        assert torch.allclose(first.grad, made.weight.sum(0), rtol=5e-2 if kind == torch.bfloat16 else 1e-5, atol=1e-2)
        expected = first.double().sum(0) + 2 * second.double().sum(0)
        assert torch.allclose(made.weight.grad.double(), expected.expand(20, -1), rtol=2e-2 if kind == torch.bfloat16 else 1e-5, atol=1e-2)
        assert made.weight.detach().double().norm(dim=1).max() == pytest.approx(1.5, rel=1e-2)
    model = zoo.build("text_cnn", classes=2, input=(10,), options={"words": 20, "width": 6}).train()
    x = torch.randint(1, 20, (3, 10))
    (model(x).sum() + model(x).sum()).backward()


def test_shortening_after_a_pass_whose_gradient_is_to_come_is_not_silent():
    made = MaxNormLinear(3, 2, most=1.0)
    torch.nn.init.constant_(made.weight, 2.0)
    x = torch.ones(1, 3, requires_grad=True)
    total = made.eval()(x).sum() + made.train()(x).sum()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        total.backward()


def test_a_frozen_layer_stays_as_it_is():
    made = MaxNormLinear(3, 2, most=1.0).train().requires_grad_(False)
    torch.nn.init.constant_(made.weight, 2.0)
    assert torch.equal(made(torch.ones(1, 3)), torch.full((1, 2), 6.0) + made.bias)
    assert torch.equal(made.weight, torch.full((2, 3), 2.0))


@pytest.mark.slow
def test_compiled_it_trains_as_it_does_eagerly():
    torch.manual_seed(0)
    made = MaxNormLinear(30, 4, most=0.1).train()
    eager = MaxNormLinear(30, 4, most=0.1).train()
    eager.load_state_dict(made.state_dict())
    torch.compiler.reset()
    x = torch.randn(5, 30)
    got = torch.compile(made, backend="aot_eager", fullgraph=True)(x)
    assert torch.allclose(got, eager(x))
    assert torch.allclose(made.weight, eager.weight)
    assert made.weight.detach().norm(dim=1).max() == pytest.approx(0.1, rel=1e-4)
