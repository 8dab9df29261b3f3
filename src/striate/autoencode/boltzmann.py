"""Restricted Boltzmann machines and contrastive divergence (Smolensky 1986; Hinton 2002; Hinton and Salakhutdinov 2006; row E8).

energy           E(v, h) = -a·v - b·h - h·Wv               with ½|v - a|² for -a·v where visible units are Gaussian, ½|h - b|² for -b·h likewise
free energy      F(v) = -log Σ_h exp(-E(v, h))
learning         the gradient of log p(v) is -∂F(v) + E_model ∂F; contrastive divergence takes k steps of Gibbs sampling from v for the second term
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.core.errors import ArgumentError, unknown_name

Unit = Literal["binary", "gaussian"]


class RBM(nn.Module):
    """A machine of visible numbers (of any shape) and `hidden` units, all visible joined with all hidden, trained with the task `contrast`.

    `visible_units`  `binary` (numbers in [0, 1] are taken as probabilities) or `gaussian` of variance 1 (for standardised numbers)
    `hidden_units`   `binary`, or `gaussian` of variance 1: the linear code of the 2006 paper
    `steps`          Gibbs steps k of contrastive divergence
    `sampled`        draw the visible units of the chain; False: take their means, quieter and slightly biased

    Weights start from N(0, 0.01²), biases at zero (Hinton's practical guide 2010). Random numbers come from torch's generator.
    """

    def __init__(
        self,
        shape: Sequence[int],
        hidden: int,
        *,
        visible_units: Unit = "binary",
        hidden_units: Unit = "binary",
        steps: int = 1,
        sampled: bool = True,
    ) -> None:
        super().__init__()
        for name, given in (("visible_units", visible_units), ("hidden_units", hidden_units)):
            if given not in ("binary", "gaussian"):
                raise unknown_name(name, str(given), ("binary", "gaussian"))
        if visible_units == hidden_units == "gaussian":
            raise ArgumentError("hidden_units: both kinds of unit are gaussian, and then the energy has no lowest value; make one kind binary")
        if hidden < 1 or steps < 1 or not shape or min(shape) < 1:
            raise ArgumentError(f"shape, hidden, steps: got {tuple(shape)}, {hidden} and {steps}, expected numbers of 1 or more")
        self.shape, self.steps, self.sampled = tuple(shape), steps, sampled
        self.visible_units, self.hidden_units = visible_units, hidden_units
        count = math.prod(shape)
        self.weight = nn.Parameter(0.01 * torch.randn(hidden, count))
        self.visible_bias = nn.Parameter(torch.zeros(count))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))

    def free_energy(self, v: Tensor) -> Tensor:
        """Return F of visible vectors N D: N numbers."""
        drive = F.linear(v, self.weight, self.hidden_bias)
        hidden = 0.5 * drive.square().sum(1) if self.hidden_units == "gaussian" else F.softplus(drive).sum(1)
        if self.visible_units == "gaussian":
            return 0.5 * (v - self.visible_bias).square().sum(1) - hidden
        return -(v @ self.visible_bias) - hidden

    def hidden(self, v: Tensor) -> Tensor:
        """Return the hidden units' means (probabilities where binary) given visible vectors N D."""
        drive = F.linear(v, self.weight, self.hidden_bias)
        return drive if self.hidden_units == "gaussian" else drive.sigmoid()

    def visible(self, h: Tensor) -> Tensor:
        """Return the visible units' means given hidden vectors N K."""
        drive = F.linear(h, self.weight.t(), self.visible_bias)
        return drive if self.visible_units == "gaussian" else drive.sigmoid()

    @torch.no_grad()
    def sample(self, v: Tensor, steps: int | None = None) -> Tensor:
        """Return visible vectors N D after `steps` (the machine's own k) Gibbs steps from `v`."""
        for _ in range(self.steps if steps is None else steps):
            means = self.visible(_drawn(self.hidden(v), self.hidden_units))
            v = _drawn(means, self.visible_units) if self.sampled else means
        return v

    def encode(self, x: Tensor) -> Tensor:
        """Return codes N K of inputs N …: the hidden units' means."""
        return self.hidden(x.flatten(1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return free energies of the data and of the machine's samples from them, and the data's one-step reconstruction by means, shaped as `x`.

        Raises `ArgumentError` for inputs of another shape.
        """
        if tuple(x.shape[1:]) != self.shape:
            raise ArgumentError(f"RBM: got inputs of shape {tuple(x.shape)}, expected N x {' x '.join(map(str, self.shape))}")
        v = x.flatten(1)
        with torch.no_grad():
            rebuilt = self.visible(self.hidden(v)).view_as(x)
        return self.free_energy(v), self.free_energy(self.sample(v)), rebuilt

    def extra_repr(self) -> str:
        """Spell the options."""
        kinds = f"visible_units={self.visible_units!r}, hidden_units={self.hidden_units!r}"
        return f"{self.shape}, {len(self.hidden_bias)}, {kinds}, steps={self.steps}, sampled={self.sampled}"


def _drawn(means: Tensor, units: str) -> Tensor:
    return means + torch.randn_like(means) if units == "gaussian" else torch.bernoulli(means)
