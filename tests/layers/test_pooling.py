"""Row O5: pooling, its switches and the way back; rows O6 and O8: maxout and the ReLU example, normalisation across channels."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from striate.core.errors import ArgumentError
from striate.layers import L2Pool2d, LocalResponseNorm, Maxout, MaxPool2d, MaxUnpool2d

GRID = torch.tensor([[2, 2, 0, 4, 3, 4], [0, 0, 5, 0, 4, 1], [4, 5, 2, 5, 1, 4], [5, 2, 1, 0, 2, 1], [2, 3, 3, 3, 5, 3], [0, 3, 0, 4, 0, 1.0]])


def test_the_pooling_example_of_the_course():
    pool = MaxPool2d(2, return_indices=True)
    largest, switches = pool(GRID[None])
    assert largest.tolist() == [[[2, 5, 4], [5, 5, 4], [3, 4, 5]]]
    rows, columns = switches[0] // 6, switches[0] % 6
    assert list(zip(rows[0].tolist(), columns[0].tolist(), strict=True)) == [(0, 0), (1, 2), (0, 5)], "2 2 and 4 … 4: the first of equals"
    assert not list(pool.parameters())
    x = GRID[None].clone().requires_grad_()
    delta = torch.arange(1.0, 10.0).view(1, 3, 3)
    pool(x)[0].backward(delta)
    assert torch.equal(MaxUnpool2d(2)(delta, switches), x.grad)


def first_of_equals(x, kernel, stride):
    """Switches by a plain loop over rows and columns."""
    high, wide = ((size - kernel) // stride + 1 for size in x.shape)
    found = torch.empty(high, wide, dtype=torch.int64)
    for i in range(high):
        for j in range(wide):
            best = None
            for r in range(i * stride, i * stride + kernel):
                for c in range(j * stride, j * stride + kernel):
                    if best is None or x[r, c] > x[best]:
                        best = (r, c)
            found[i, j] = best[0] * x.shape[1] + best[1]
    return found


@settings(max_examples=20)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 4), st.integers(0, 4), st.booleans(), st.sampled_from([torch.float32, torch.bfloat16]))
def test_ties_go_to_the_first_in_row_major_order(kernel, stride, more, wider, last, dtype):
    x = torch.randint(0, 2, (2, 9, kernel + more, kernel + wider)).to(dtype)  # nearly all windows tie
    given_x = x.to(memory_format=torch.channels_last) if last else x
    for channels in (9, 8):  # the path through float32, and torch's own
        largest, switches = MaxPool2d(kernel, stride, return_indices=True)(given_x[:, :channels])
        assert largest.dtype == dtype
        for n in range(2):
            wanted = first_of_equals(x[n, 1], kernel, stride)
            assert torch.equal(switches[n, 1], wanted)
            assert torch.equal(largest[n, 1].flatten(), x[n, 1].flatten()[wanted.flatten()])


@settings(max_examples=20)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(0, 1), st.integers(1, 2), st.booleans(), st.integers(0, 3))
def test_unpooling_is_the_message_that_pooling_sends_back(kernel, stride, padding, dilation, ceil_mode, more):
    padding = min(padding, kernel // 2)
    size = (dilation * (kernel - 1) + 1 + more, dilation * (kernel - 1) + 2 + more)
    x = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    largest, switches = MaxPool2d(kernel, stride, padding, dilation, return_indices=True, ceil_mode=ceil_mode)(x)
    delta = torch.randn_like(largest)
    (message,) = torch.autograd.grad(largest, x, delta)
    back = MaxUnpool2d(kernel, stride, padding, dilation)(delta, switches, output_size=x.shape)
    assert torch.allclose(back, message, rtol=1e-12, atol=1e-12)


def test_where_windows_overlap_values_add_up_and_torch_keeps_one():
    x = torch.zeros(1, 1, 5, 5)
    x[0, 0, 2, 2] = 1
    _, switches = MaxPool2d(3, 2, return_indices=True)(x)
    assert switches.unique().tolist() == [12], "all four windows took the one in the middle"
    values = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    assert MaxUnpool2d(3, 2)(values, switches)[0, 0, 2, 2] == 10
    assert nn.MaxUnpool2d(3, 2)(values, switches)[0, 0, 2, 2].item() in {1, 2, 3, 4}, "whichever was written last"


def test_unpooling_refuses_switches_it_has_no_place_for():
    largest, switches = MaxPool2d(2, return_indices=True)(torch.arange(25.0).view(1, 5, 5))
    with pytest.raises(ArgumentError, match=r"switches: got places up to 18, expected 0 to 15 for an output of 4 x 4; give output_size"):
        MaxUnpool2d(2)(largest, switches)
    assert MaxUnpool2d(2)(largest, switches, output_size=(5, 5))[0, 3, 3] == 18
    for size in ((4,), 4, (4.0, 4), "55", (-1, 5)):
        with pytest.raises(ArgumentError, match=r"MaxUnpool2d: output_size: got .*, expected height and width"):
            MaxUnpool2d(2)(largest, switches, output_size=size)
    with pytest.raises(ArgumentError, match=r"switches: got torch.int32, expected int64"):
        MaxUnpool2d(2)(largest, switches.int())
    with pytest.raises(ArgumentError, match=r"padding: got 2, expected at most half of kernel_size 3"):
        MaxPool2d(3, padding=2)


def test_l2_pooling_of_three_and_four():
    x = torch.tensor([[[3.0, 4.0], [0.0, 0.0]]])
    assert L2Pool2d((1, 2), form="root_sum_of_squares")(x).tolist() == [[[5.0], [0.0]]]
    assert L2Pool2d((1, 2))(x)[0, :, 0].tolist() == pytest.approx([(25 / 2) ** 0.5, 0])
    assert L2Pool2d(2)(x).item() == pytest.approx((25 / 4) ** 0.5)


@settings(max_examples=20)
@given(st.integers(1, 3), st.integers(1, 3), st.booleans(), st.integers(0, 3))
def test_root_of_the_sum_is_torchs_lp_pool(kernel, stride, ceil_mode, more):
    x = torch.randn(2, 3, kernel + more, kernel + 2, dtype=torch.float64).abs() + 0.1
    made = L2Pool2d(kernel, stride, form="root_sum_of_squares")
    assert torch.allclose(made(x), F.lp_pool2d(x, 2, kernel, stride), rtol=1e-12)
    mean = L2Pool2d(kernel, stride, ceil_mode=ceil_mode)
    assert torch.allclose(mean(x).square(), F.avg_pool2d(x.square(), kernel, stride, ceil_mode=ceil_mode), rtol=1e-12)


@settings(max_examples=30)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.booleans(), st.integers(1, 6), st.integers(1, 6))
def test_windows_that_hang_over_and_windows_that_do_not_fit(kernel, stride, padding, ceil_mode, height, width):
    """Ours and torch's pooling take the same inputs, and give the same."""
    padding = min(padding, kernel // 2)
    x = torch.randn(1, 2, height, width, dtype=torch.float64)
    try:
        wanted = F.max_pool2d(x, kernel, stride, padding, ceil_mode=ceil_mode)
    except RuntimeError:
        for pool in (MaxPool2d, L2Pool2d):
            with pytest.raises(ArgumentError, match=r"kernel_size \d needs at least"):
                pool(kernel, stride, padding, ceil_mode=ceil_mode)(x)
        return
    assert torch.equal(MaxPool2d(kernel, stride, padding, ceil_mode=ceil_mode)(x), wanted)
    ones = L2Pool2d(kernel, stride, padding, form="root_sum_of_squares", ceil_mode=ceil_mode)(torch.ones_like(x))
    cells = F.avg_pool2d(torch.ones_like(x), kernel, stride, padding, ceil_mode=ceil_mode, divisor_override=1)
    assert torch.allclose(ones.square(), cells)


def test_a_window_of_zeros_has_the_gradient_zero():
    x = torch.zeros(1, 4, 4, requires_grad=True)
    for form in ("root_mean_square", "root_sum_of_squares"):
        L2Pool2d(2, form=form)(x).sum().backward()
    assert not x.grad.any()
    with pytest.raises(ArgumentError, match="form: got 'mean', expected one of root_mean_square, root_sum_of_squares"):
        L2Pool2d(2, form="mean")
    with pytest.raises(ArgumentError, match="a window must see the input"):
        L2Pool2d(2, padding=2)


def test_average_pooling_spreads_the_message_evenly():
    x = GRID[None].clone().requires_grad_()
    delta = torch.arange(1.0, 10.0).view(1, 3, 3)
    nn.AvgPool2d(2)(x).backward(delta)
    assert torch.equal(x.grad, (delta / 4).repeat_interleave(2, 1).repeat_interleave(2, 2))


def test_relu_hands_back_what_its_mask_lets_through():
    x = torch.tensor([1.0, -2, 3, -1], requires_grad=True)
    upstream = torch.tensor([4.0, -1, 5, 9])
    assert torch.autograd.grad(nn.ReLU()(x), x, upstream)[0].tolist() == [4, 0, 5, 0]
    assert torch.autograd.grad(nn.LeakyReLU(0.1)(x), x, upstream)[0].tolist() == pytest.approx([4, -0.1, 5, 0.9])
    pieces = torch.stack([x, torch.zeros(4)], 1)  # ReLU is the maxout of x and 0
    assert torch.equal(Maxout(2)(pieces)[:, 0], nn.ReLU()(x))
    assert torch.autograd.grad(Maxout(2)(pieces)[:, 0], x, upstream)[0].tolist() == [4, 0, 5, 0]


def test_maxout_takes_the_first_of_equal_pieces():
    x = torch.tensor([[1.0, 1.0, 0.0, 5.0]], requires_grad=True)
    out = Maxout(2)(x)
    assert out.tolist() == [[1, 5]]
    out.sum().backward()
    assert x.grad.tolist() == [[1, 0, 0, 1]]
    last = torch.randn(2, 3, 4)
    assert torch.equal(Maxout(2, dim=-1)(last), torch.maximum(last[..., ::2], last[..., 1::2]))


@pytest.mark.parametrize("shape", [(2, 7), (2, 7, 4), (2, 7, 3, 4)])
@pytest.mark.parametrize("beta", [0.75, 0.5])
def test_response_norm_is_torchs_with_alpha_times_size(shape, beta):
    x = torch.randn(shape, dtype=torch.float64) * 30
    ours = LocalResponseNorm(5, alpha=1e-4, beta=beta, k=2.0)
    if len(shape) > 2:  # torch's takes no N x C
        assert torch.allclose(ours(x), nn.LocalResponseNorm(5, alpha=5 * 1e-4, beta=beta, k=2.0)(x), rtol=1e-12)
    middle = x[:, 1:6].square().sum(1)
    assert torch.allclose(ours(x)[:, 3], x[:, 3] / (2 + 1e-4 * middle) ** beta, rtol=1e-12)
    edge = x[:, :3].square().sum(1)
    assert torch.allclose(ours(x)[:, 0], x[:, 0] / (2 + 1e-4 * edge) ** beta, rtol=1e-12)


def test_response_norm_keeps_its_digits_under_autocast():
    x = torch.randn(2, 16, 5, 5) * 100
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(LocalResponseNorm()(x), LocalResponseNorm()(x.clone()))
        got = LocalResponseNorm()(x)
    assert torch.equal(got, LocalResponseNorm()(x))
    assert LocalResponseNorm()(x.bfloat16()).dtype == torch.bfloat16
    for size in (4, 0):
        with pytest.raises(ArgumentError, match=f"size: got {size}, expected"):
            LocalResponseNorm(size)
    with pytest.raises(ArgumentError, match="k: got 0, expected a finite number above 0"):
        LocalResponseNorm(k=0)
