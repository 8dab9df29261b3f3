"""Parametrisations go there and back; priors have the closed forms and gradients they should; what is shaken stays the same picture."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from striate.core.errors import ArgumentError, UnknownNameError
from striate.understand.parametrisations import COVARIANCE, EDGE, Fourier, colour_matrix, parametrisation
from striate.understand.priors import blurred, from_grey, shaken, total_variation

KINDS = ("pixels", "fourier", "multiresolution")


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("colour", ["decorrelated", "plain"])
@pytest.mark.parametrize("shape", [(3, 12, 10), (3, 9, 15), (1, 28, 28), (2, 1, 7)])
def test_a_picture_goes_there_and_back(kind: str, colour: str, shape: tuple[int, int, int]) -> None:
    wanted = random(2, *shape).clamp(EDGE, 1 - EDGE)
    how = parametrisation(kind, shape, colour=colour, like=wanted)
    assert torch.allclose(how.pixels(how.parameters(wanted)), wanted, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_of_a_parametrisation_is_that_of_finite_differences(kind: str) -> None:
    how = parametrisation(kind, (3, 8, 9), like=random(1))
    parameters = [(0.3 * torch.randn_like(each)).requires_grad_() for each in how.parameters(random(1, 3, 8, 9))]
    weights = random(1, 3, 8, 9, seed=3)
    assert torch.autograd.gradcheck(lambda *given: (how.pixels(given) * weights).sum(), parameters, eps=1e-6, atol=1e-7)


@pytest.mark.parametrize(("shape", "seeds"), [((1, 32, 32), 40), ((1, 15, 21), 120)])
def test_fourier_noise_has_a_photographs_spectrum(shape: tuple[int, int, int], seeds: int) -> None:
    how = Fourier(shape, like=random(1))
    fields = torch.cat([torch.logit(how.pixels(how.noise(torch.Generator().manual_seed(seed), 0.5))) for seed in range(seeds)])
    assert float(fields.square().mean().sqrt()) == pytest.approx(0.5, rel=0.1)
    power = torch.fft.fft2(fields).abs().square().mean((0, 1))
    assert float((power[0, 1] / power[0, 4]).sqrt()) == pytest.approx(4, rel=0.45), "amplitude falls as 1 over frequency"


def test_colours_are_decorrelated_by_the_covariances_own_axes() -> None:
    matrix, covariance = colour_matrix(), torch.tensor(COVARIANCE, dtype=torch.float64)
    product = matrix @ matrix.T
    assert torch.allclose(product / product.trace(), covariance / covariance.trace(), atol=1e-12), "independent parts give the colours' covariance"
    assert torch.allclose(torch.linalg.inv(matrix) @ matrix, torch.eye(3, dtype=torch.float64), atol=1e-12)
    assert torch.allclose(matrix[:, 0], torch.full((3,), 3**-0.5, dtype=torch.float64), atol=0.05), "first comes brightness"


def test_unknown_words_and_shapes_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="fourier"):
        parametrisation("furier", (3, 8, 8))
    with pytest.raises(UnknownNameError, match="decorrelated"):
        parametrisation("pixels", (3, 8, 8), colour="grey")
    with pytest.raises(ArgumentError, match="C H W"):
        parametrisation("pixels", (3, 0, 8))


def test_total_variation_of_a_step_a_ramp_and_a_checkerboard() -> None:
    step = torch.zeros(1, 1, 6, 8, dtype=torch.float64)
    step[..., 4:] = 0.5
    assert float(total_variation(step)) == pytest.approx(6 * 0.25)
    assert float(total_variation(step, 1.0, smooth=1e-16)) == pytest.approx(6 * 0.5, rel=1e-6)
    ramp = (torch.arange(5.0)[:, None] * 0.1 + torch.arange(4.0)[None] * 0.2).double()[None, None]
    assert float(total_variation(ramp)) == pytest.approx(4 * 4 * 0.1**2 + 5 * 3 * 0.2**2)
    board = ((torch.arange(4)[:, None] + torch.arange(4)[None]) % 2).double()[None, None]
    assert float(total_variation(board)) == 2 * 4 * 3
    assert total_variation(torch.cat([step, step + 0.25])).tolist() == [1.5, 1.5], "each picture alone, whatever its brightness"


@pytest.mark.parametrize("power", [1.0, 1.5, 2.0, 3.0])
def test_the_gradients_of_priors_are_those_of_finite_differences(power: float) -> None:
    pixels = random(2, 3, 5, 6).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: total_variation(x, power), pixels, eps=1e-6, atol=1e-6)
    assert torch.autograd.gradcheck(from_grey, pixels, eps=1e-6, atol=1e-8)


def test_blurring_keeps_what_is_flat_and_spreads_a_point_by_its_deviation() -> None:
    assert torch.allclose(blurred(torch.full((1, 3, 9, 7), 0.3, dtype=torch.float64), 2.0), torch.tensor(0.3, dtype=torch.float64))
    point = torch.zeros(1, 1, 41, 41, dtype=torch.float64)
    point[0, 0, 20, 20] = 1
    spread = blurred(point, 2.5)[0, 0]
    places = torch.arange(41.0, dtype=torch.float64) - 20
    assert float(spread.sum()) == pytest.approx(1)
    assert float((spread.sum(0) * places.square()).sum()) == pytest.approx(2.5**2, rel=0.03)
    assert blurred(point, 0) is point


def test_shaking_moves_each_picture_by_its_own_generator() -> None:
    pixels = random(2, 3, 16, 16)
    generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    moved = shaken(pixels, generators, jitter=3)
    alone = shaken(pixels[1:], [torch.Generator().manual_seed(2)], jitter=3)
    assert torch.equal(moved[1:], alone)
    padded = F.pad(pixels, (3, 3, 3, 3), mode="reflect")
    shifts = [torch.equal(moved[0], padded[0, :, top : top + 16, left : left + 16]) for top in range(7) for left in range(7)]
    assert sum(shifts) == 1, "a shift by whole pixels, mirrored at the edge"
    assert torch.equal(shaken(pixels, generators), pixels)


def test_zoom_and_turn_move_the_corners_as_far_as_asked() -> None:
    ramp = torch.linspace(0, 1, 65, dtype=torch.float64).expand(1, 1, 65, 65).contiguous()
    slopes, tilts = [], []
    for seed in range(60):
        moved = shaken(ramp, [torch.Generator().manual_seed(seed)], zoom=0.2, turn=10.0)[0, 0]
        across, down = (moved[32, 40] - moved[32, 24]) * 64 / 16, (moved[40, 32] - moved[24, 32]) * 64 / 16
        slopes.append(math.hypot(float(across), float(down)))
        tilts.append(abs(math.degrees(math.atan2(float(down), float(across)))))
    assert 1 / 1.2 - 1e-6 <= min(slopes) < 0.87 < 1.15 < max(slopes) <= 1.2 + 1e-6
    assert 9 < max(tilts) <= 10 + 1e-6
