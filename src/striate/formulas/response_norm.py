"""Local response normalisation: a cell is divided by what its neighbours in depth say at the same place (Krizhevsky et al. 2012; row O8)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from striate.core.errors import ArgumentError
from striate.formulas.base import Array, Formula, Index, Numbers, Term, array, entry, number, spell, zeros
from striate.formulas.registry import formula


@dataclass(frozen=True, kw_only=True)
class ResponseNorm(Formula):
    """`x` N C …; y = x / s^β with s = k + a·Σ x² over the neighbouring channels. The two forms differ in a, and for even sizes in who is near."""

    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0

    rules: ClassVar[dict[str, str]] = {
        "y": "y[n,c] = x[n,c]·s[n,c]^(−β), s[n,c] = k + a·Σ_{j near c} x[n,j]²",
        "x": "∂x[n,c] = δ[n,c]·s[n,c]^(−β) − 2aβ·x[n,c]·Σ_{j that has c near} δ[n,j]·x[n,j]·s[n,j]^(−β−1)",
    }

    @property
    def weight(self) -> float:
        """What the sum of squares is multiplied by."""
        raise NotImplementedError

    def near(self, channel: int, channels: int) -> range:
        """Return the channels that count at `channel`."""
        raise NotImplementedError

    def scales(self, x: Numbers) -> Array:
        """Return s = k + a·Σ x² over the neighbouring channels, an array like x."""
        x = self._checked(x)
        s = zeros(x.shape) + self.k
        for c in range(x.shape[1]):
            for j in self.near(c, x.shape[1]):
                s[:, c] += self.weight * x[:, j] ** 2
        return s

    def forward(self, x: Numbers) -> Array:
        """Return x · s^(−β)."""
        found: Array = self._checked(x) * self.scales(x) ** -self.beta
        return found

    def message(self, delta: Numbers, x: Numbers) -> Array:
        """Return δ_c · s_c^(−β) − 2aβ · x_c · Σ over the channels j that have c near of δ_j · x_j · s_j^(−β−1)."""
        x, s = self._checked(x), self.scales(x)
        delta = array("delta", delta, shape=x.shape)
        back: Array = delta * s**-self.beta
        for j in range(x.shape[1]):
            for c in self.near(j, x.shape[1]):
                back[:, c] -= 2 * self.weight * self.beta * x[:, c] * delta[:, j] * x[:, j] * s[:, j] ** (-self.beta - 1)
        return back

    def _terms(self, of: str, at: Index, x: Numbers, *, delta: Numbers) -> Iterator[Term]:
        x, s = self._checked(x), self.scales(x)
        own = number(s[at] ** -self.beta, "s^(−β)", f"{spell(s[at])}^(−{spell(self.beta)})")
        yield Term((entry("x", x, at) if of == "y" else entry("delta", delta, at), own))
        if of != "y":
            n, c, *rest = at
            for j in range(x.shape[1]):
                if c in self.near(j, x.shape[1]):
                    there = (n, j, *rest)
                    other = number(s[there] ** (-self.beta - 1), "s^(−β−1)", f"{spell(s[there])}^(−{spell(self.beta)} − 1)")
                    front = number(-2 * self.weight * self.beta, "−2aβ")
                    yield Term((front, entry("x", x, at), entry("delta", delta, there), entry("x", x, there), other))

    def _remarks(self, of: str, at: Index, *arrays: Numbers) -> tuple[str, str]:
        if of != "y":
            return "", ""
        x, (n, c, *rest) = self._checked(arrays[0]), at
        squares = " + ".join(f"{spell(float(x[n, j, *rest]))}²" for j in self.near(c, x.shape[1]))
        return f"s = {spell(self.k)} + {spell(self.weight)}·({squares})", ""

    def _checked(self, x: Numbers) -> Array:
        if self.size < 1:
            raise ArgumentError(f"size: got {self.size}, expected a whole number of channels from 1 on")
        return np.asarray(array("x", x, rank=(2, 3, 4, 5)))


@formula("local_response_norm", help="Divide by the activity of neighbouring channels, α divided by their number", modules=("LocalResponseNorm",))
@dataclass(frozen=True, kw_only=True)
class LocalResponseNorm(ResponseNorm):
    """torch's form: a = α/size, neighbours c − ⌊size/2⌋ … c + ⌊(size − 1)/2⌋."""

    @property
    def weight(self) -> float:
        """α/size."""
        return self.alpha / self.size

    def near(self, channel: int, channels: int) -> range:
        """Return the channels that count at `channel`."""
        return range(max(channel - self.size // 2, 0), min(channel + (self.size - 1) // 2 + 1, channels))


@formula(
    "paper_response_norm",
    help="Divide by the activity of neighbouring channels, as AlexNet's paper has it",
    modules=("striate.layers.LocalResponseNorm",),
)
@dataclass(frozen=True, kw_only=True)
class PaperResponseNorm(ResponseNorm):
    """The paper's form: a = α, neighbours c − ⌊size/2⌋ … c + ⌊size/2⌋ (2012, section 3.3); so torch's α is the paper's times the size."""

    k: float = 2.0

    @property
    def weight(self) -> float:
        """α."""
        return self.alpha

    def near(self, channel: int, channels: int) -> range:
        """Return the channels that count at `channel`."""
        return range(max(channel - self.size // 2, 0), min(channel + self.size // 2 + 1, channels))
