"""Row O7: losses and regularisers against sums written out."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from striate.core.errors import ArgumentError
from striate.layers import LocallyConnected1d, TiedLinear, WhitenedConv2d
from striate.layers.losses import MultiClassHinge, SoftmaxCrossEntropy, SquaredError, l1, l2


def test_hinge_of_three_classes_by_hand():
    scores = torch.tensor([[3.2, 5.1, -1.7], [1.3, 4.9, 2.0], [2.2, 2.5, -3.1]], dtype=torch.float64)
    target = torch.tensor([0, 1, 2])
    # 5.1 - 3.2 + 1; nothing; 2.2 + 3.1 + 1 and 2.5 + 3.1 + 1
    each = [2.9, 0.0, 6.3 + 6.6]
    assert MultiClassHinge(reduction="none")(scores, target).tolist() == pytest.approx(each)
    assert MultiClassHinge()(scores, target).item() == pytest.approx(sum(each) / 3)
    assert MultiClassHinge(reduction="sum", squared=True)(scores, target).item() == pytest.approx(2.9**2 + 6.3**2 + 6.6**2)
    assert MultiClassHinge(margin=0.5, reduction="none")(scores, target)[0].item() == pytest.approx(2.4)


@settings(max_examples=15)
@given(st.integers(1, 4), st.integers(1, 5), st.booleans(), st.sampled_from([(), (2,), (2, 3)]))
def test_hinge_is_the_sum_over_the_other_classes(samples, classes, squared, places):
    scores, target = torch.randn(samples, classes, *places, dtype=torch.float64), torch.randint(classes, (samples, *places))
    each = torch.zeros(samples, *places, dtype=torch.float64)
    for n in torch.cartesian_prod(*map(torch.arange, each.shape)).view(-1, each.dim()).tolist():
        row = scores[(n[0], slice(None), *n[1:])]
        y = int(target[tuple(n)])
        each[tuple(n)] = sum(max(0.0, row[j] - row[y] + 1) ** (2 if squared else 1) for j in range(classes) if j != y)
    assert torch.allclose(MultiClassHinge(squared=squared, reduction="none")(scores, target), each, rtol=1e-12)
    if not squared and not places:
        assert MultiClassHinge()(scores, target).item() == pytest.approx(nn.MultiMarginLoss()(scores, target).item() * classes)


def test_cross_entropy_by_hand():
    scores, target = torch.tensor([[3.2, 5.1, -1.7]], dtype=torch.float64), torch.tensor([0])
    shares = [math.exp(s) / sum(math.exp(t) for t in (3.2, 5.1, -1.7)) for s in (3.2, 5.1, -1.7)]
    assert SoftmaxCrossEntropy()(scores, target).item() == pytest.approx(-math.log(shares[0]))
    q = [0.9 + 0.1 / 3, 0.1 / 3, 0.1 / 3]
    wanted = -sum(a * math.log(p) for a, p in zip(q, shares, strict=True))
    assert SoftmaxCrossEntropy(0.1)(scores, target).item() == pytest.approx(wanted)
    one_hot = torch.tensor([[1.0, 0, 0]], dtype=torch.float64)
    assert SoftmaxCrossEntropy(0.1)(scores, one_hot).item() == pytest.approx(wanted)
    scores.requires_grad_()
    SoftmaxCrossEntropy(0.1)(scores, target).backward()
    assert scores.grad[0].tolist() == pytest.approx([p - a for p, a in zip(shares, q, strict=True)])
    assert SoftmaxCrossEntropy()(torch.tensor([[1e4, -1e4]]), torch.tensor([1])).item() == pytest.approx(2e4)


def test_squared_error_sums_over_a_sample():
    y, t = torch.tensor([[1.0, 2.0], [0.0, 4.0]], requires_grad=True), torch.tensor([[0.0, 0.0], [0.0, 1.0]])
    assert SquaredError(reduction="none")(y, t).tolist() == [5, 9]
    half = SquaredError(factor=0.5, reduction="sum")(y, t)
    assert half.item() == 7
    assert torch.equal(torch.autograd.grad(half, y)[0], y - t)
    assert SquaredError()(y, t).item() == nn.MSELoss()(y, t).item() * 2
    assert SquaredError(reduction="none")(y[0], t[0]).tolist() == [1, 4]


@pytest.mark.parametrize("loss", [MultiClassHinge(), SoftmaxCrossEntropy(0.1)])
def test_classes_that_do_not_exist_are_named(loss):
    scores = torch.randn(3, 4)
    for wrong in (4, -1, -100):
        with pytest.raises(ArgumentError, match=rf"target: got class {wrong}, expected 0 to 3, the classes scores have"):
            loss(scores, torch.tensor([0, wrong, 1]))
    with pytest.raises(ArgumentError, match=r"target: got torch.bool, expected class numbers|target: got shape"):
        loss(scores, torch.tensor([True, False, True]))
    assert loss(scores, torch.tensor([0, 3, 1], dtype=torch.int32)).isfinite()


@pytest.mark.parametrize("loss", [MultiClassHinge(), SoftmaxCrossEntropy(0.1), MultiClassHinge(squared=True)])
def test_losses_are_float32_and_give_gradients_sample_by_sample(loss):
    scores, target = torch.randn(3, 4), torch.tensor([0, 3, 1])
    with torch.autocast("cpu", torch.bfloat16):
        assert loss(scores.bfloat16(), target).dtype == torch.float32
    one = torch.func.vmap(torch.func.grad(lambda s, t: loss(s[None], t[None])))(scores, target)
    each = torch.stack([torch.func.grad(lambda s, i=i: loss(s[None], target[i : i + 1]))(scores[i]) for i in range(3)])
    assert torch.allclose(one, each, atol=1e-6)


def test_losses_refuse_options_that_mean_nothing():
    with pytest.raises(ArgumentError, match="smoothing: got 1, expected a share from 0 up to but not including 1"):
        SoftmaxCrossEntropy(1)
    with pytest.raises(ArgumentError, match="margin: got inf, expected a finite number"):
        MultiClassHinge(math.inf)
    with pytest.raises(ArgumentError, match="reduction: got 'average', expected one of mean, sum, none"):
        SquaredError(reduction="average")


def test_regularisers_count_weights_and_each_once():
    encoder = nn.Linear(3, 2)
    net = nn.Sequential(encoder, nn.BatchNorm1d(2), TiedLinear(encoder), LocallyConnected1d(1, 1, 3, 2), WhitenedConv2d(1))
    weights = [encoder.weight, net[3].weight]
    assert l2(net).item() == pytest.approx(sum((w**2).sum().item() for w in weights))
    assert l1(net).item() == pytest.approx(sum(w.abs().sum().item() for w in weights))
    trainable = [p for p in net.parameters() if p.requires_grad]
    assert l2(net, biases=True).item() == pytest.approx(sum((p**2).sum().item() for p in trainable), rel=1e-5)
    l2(net).backward()
    assert torch.allclose(encoder.weight.grad, 2 * encoder.weight)
    assert encoder.bias.grad is None
    assert l2(nn.ReLU()).item() == 0
    assert l1(nn.Linear(2, 2).bfloat16()).dtype == torch.float32


def test_l2_is_weight_decay():
    a, b = nn.Linear(3, 2, bias=False), nn.Linear(3, 2, bias=False)
    b.load_state_dict(a.state_dict())
    x, strength = torch.randn(4, 3), 0.05
    for net, decay, extra in ((a, 2 * strength, 0.0), (b, 0.0, strength)):
        (net(x).square().mean() + extra * l2(net)).backward()
        torch.optim.SGD(net.parameters(), lr=0.1, weight_decay=decay).step()
    assert torch.allclose(a.weight, b.weight, atol=1e-6)
