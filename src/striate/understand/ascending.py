"""Climbing an objective in pictures: its gradient brought to length one, that of the priors beside it, Adam on the parameters (row U4)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from striate.core.errors import ArgumentError
from striate.understand.parametrisations import Parametrisation
from striate.understand.priors import blurred, from_grey, shaken, total_variation

Objective = Callable[[Tensor], Tensor]
"""From pixels N C H W to one number each, to be made large."""


@dataclass(frozen=True, kw_only=True)
class Priors:
    """What is asked of the pictures besides the objective; each weight is beside a gradient of the objective whose root mean square is 1.

    `tv`, `l2`: weights of total variation and of the distance from grey, both summed over pixels; `jitter`, `zoom`, `turn`: see `priors.shaken`;
    `blur`: standard deviation in pixels by which gradients are smoothed at the start; it falls to 0 at the end.
    """

    tv: float = 0.0
    l2: float = 0.0
    jitter: int = 0
    zoom: float = 0.0
    turn: float = 0.0
    blur: float = 0.0

    def __post_init__(self) -> None:
        for name in ("tv", "l2", "jitter", "zoom", "turn", "blur"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ArgumentError(f"{name}: got {value!r}, expected 0 or more")

    def gradient(self, pixels: Tensor) -> Tensor:
        """Return the gradient of what is to be made small, at detached pixels."""
        if not self.tv and not self.l2:
            return torch.zeros_like(pixels)
        with torch.enable_grad():
            leaf = pixels.detach().requires_grad_()
            value = self.tv * total_variation(leaf).sum() + self.l2 * from_grey(leaf).sum()
            return torch.autograd.grad(value, leaf)[0]


@dataclass(frozen=True)
class Pull:
    """How an objective's gradient is taken: of shaken pictures, and where it is nothing at all, with `rescue` (another rule at ReLUs)."""

    objective: Objective
    beside: Objective | None = None
    """A second objective with its own weight, such as the difference between pictures; its gradient too is brought to length one."""
    weight: float = 0.0
    rescue: Callable[[Objective, Tensor], Tensor] | None = None

    def __call__(self, pixels: Tensor, shake: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Return the gradient at `pixels`, each picture's of root mean square 1, and which pictures (N, bool) had none before any rescue."""
        found = gradient(lambda leaf: self.objective(shake(leaf)), pixels)
        silent = found.flatten(1).abs().amax(1) == 0
        if bool(silent.any()) and self.rescue is not None:
            found = torch.where(silent[:, None, None, None], self.rescue(self.objective, pixels), found)
        total = unit(found)
        if self.beside is not None and self.weight:
            total = total + self.weight * unit(gradient(self.beside, pixels))
        return total, silent


def gradient(objective: Objective, pixels: Tensor) -> Tensor:
    """Return the gradient of an objective's sum at pixels N C H W; zeros where it does not depend on them. Raises `ArgumentError` when not finite."""
    with torch.enable_grad():
        leaf = pixels.detach().requires_grad_()
        value = objective(leaf).sum()
        found = torch.autograd.grad(value, leaf, allow_unused=True)[0] if value.requires_grad else None
    if found is None:
        return torch.zeros_like(pixels)
    if not bool(found.isfinite().all()):
        raise ArgumentError("model: the gradient with respect to the picture is NaN or infinite, so there is nothing to follow")
    return found


def unit(values: Tensor) -> Tensor:
    """Return N C H W with each picture's root mean square brought to 1; zeros stay zeros."""
    size = values.flatten(1).square().mean(1).sqrt()
    return values / torch.where(size > 0, size, torch.ones_like(size))[:, None, None, None]


def climb(
    how: Parametrisation,
    parameters: Sequence[Tensor],
    pull: Pull,
    *,
    steps: int,
    rate: float,
    priors: Priors,
    generators: Sequence[torch.Generator],
) -> tuple[Tensor, Tensor]:
    """Return the pictures N C H W after `steps` steps of Adam from `parameters`, and how many steps each (N) had no gradient of its own.

    Every picture moves by its own gradient and its own random shifts alone, unless the objective itself looks at several. `rate` falls to 0 along a
    cosine. Raises `ArgumentError`.
    """
    leaves = [each.detach().clone().requires_grad_() for each in parameters]
    adam = torch.optim.Adam(leaves, lr=rate, betas=(0.9, 0.99))
    lost = torch.zeros(len(leaves[0]), dtype=torch.long)
    for step in range(steps):
        share = step / steps
        for group in adam.param_groups:
            group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * share))
        with torch.enable_grad():
            pixels = how.pixels(leaves)
        now = pixels.detach()
        upward, silent = pull(now, lambda leaf: shaken(leaf, generators, jitter=priors.jitter, zoom=priors.zoom, turn=priors.turn))
        lost += silent.cpu()
        downward = blurred(priors.gradient(now) - upward, priors.blur * (1 - share))
        adam.zero_grad(set_to_none=True)
        torch.autograd.backward(pixels, downward)
        adam.step()
    with torch.no_grad():
        return how.pixels(leaves), lost


def descend(how: Parametrisation | None, pixels: Tensor, loss: Objective, steps: int, rate: float) -> Tensor:
    """Return pictures N C H W after `steps` of Adam from `pixels` towards a small `loss` (one number each), by its plain gradient.

    The rate rises over the first ten steps and falls to 0 along a cosine. Without a parametrisation the values themselves move, and what leaves
    0 to 1 is brought back after each step. Raises `ArgumentError` where the loss is not finite.
    """
    leaves = [each.detach().clone().requires_grad_() for each in ([pixels] if how is None else how.parameters(pixels))]
    adam = torch.optim.Adam(leaves, lr=rate, betas=(0.9, 0.99))
    for step in range(steps):
        for group in adam.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 10) * 0.5 * (1 + math.cos(math.pi * step / steps))
        adam.zero_grad(set_to_none=True)
        with torch.enable_grad():
            apart = loss(leaves[0] if how is None else how.pixels(leaves)).sum()
            if not bool(apart.isfinite()):
                raise ArgumentError("model: what is to be made small is NaN or infinite, so there is nothing to follow")
            torch.autograd.backward(apart)
        adam.step()
        if how is None:
            leaves[0].detach().clamp_(0, 1)
    with torch.no_grad():
        return leaves[0].detach() if how is None else how.pixels(leaves)


def check_pace(steps: int, rate: float) -> None:
    """Check what every method that climbs takes. Raises `ArgumentError`."""
    if steps < 1:
        raise ArgumentError(f"steps: got {steps}, expected 1 or more")
    if not (math.isfinite(rate) and rate > 0):
        raise ArgumentError(f"rate: got {rate}, expected a number above 0")


def high_frequencies(pixels: Tensor) -> Tensor:
    """Return for pictures N C H W the share (N) of their spectrum's energy, the mean left out, above a quarter cycle a pixel."""
    power = torch.fft.fft2(pixels - pixels.mean((-2, -1), keepdim=True)).abs().square().sum(1)
    down = torch.fft.fftfreq(pixels.shape[-2], device=pixels.device)[:, None]
    across = torch.fft.fftfreq(pixels.shape[-1], device=pixels.device)[None]
    high = torch.hypot(down, across) > 0.25
    share: Tensor = (power * high).sum((-2, -1)) / power.sum((-2, -1)).clamp(min=1e-30)
    return share
