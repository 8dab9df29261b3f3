"""LeNet-5's subsampling: the sum of each patch, times one trainable weight a map, plus one trainable bias (LeCun et al. 1998, section II.B)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from striate.formulas.base import ALL, Array, Formula, Index, Numbers, Term, array, entry, zeros
from striate.formulas.convolution import per_channel
from striate.formulas.registry import formula
from striate.formulas.windows import Grid, Sizes, grid


@formula("subsampling", help="Sums of patches with one trainable weight and bias a map, as in LeNet-5", modules=("Subsampling",))
@dataclass(frozen=True, kw_only=True)
class Subsampling(Formula):
    """`x` N C H W, `weight` and `bias` C; patches of `size` that do not overlap."""

    size: Sizes = 2

    arrays: ClassVar[tuple[str, ...]] = ("x", "weight", "bias")
    parameters: ClassVar[tuple[str, ...]] = ("weight", "bias")
    rules: ClassVar[dict[str, str]] = {
        "y": "y[n,c,i] = w[c]·Σ_{p in patch i} x[n,c,p] + b[c]",
        "weight": "∂w[c] = Σ_n Σ_i Σ_{p in patch i} δ[n,c,i]·x[n,c,p]",
        "bias": "∂b[c] = Σ_n Σ_i δ[n,c,i]",
        "x": "∂x[n,c,p] = δ[n,c,i]·w[c], i the patch of p",
    }

    def forward(self, x: Numbers, weight: Numbers, bias: Numbers = None) -> Array:
        """Return w[c] · (sum of the patch) + b[c]."""
        x, weight, windows = self._checked(x, weight)
        y = self._sums(x, windows) * per_channel(weight, 4)
        return y if bias is None else y + per_channel(array("bias", bias, shape=(x.shape[1],)), 4)

    def parameter_gradient(self, delta: Numbers, x: Numbers, weight: Numbers, bias: Numbers = None) -> dict[str, Array]:
        """Return ∂w[c] = Σ δ · (sum of the patch) and ∂b[c] = Σ δ."""
        x, _, windows = self._checked(x, weight)
        delta = array("delta", delta, shape=(*x.shape[:2], *windows.out))
        found = {"weight": (delta * self._sums(x, windows)).sum(axis=(0, 2, 3))}
        return found if bias is None else found | {"bias": delta.sum(axis=(0, 2, 3))}

    def message(self, delta: Numbers, x: Numbers, weight: Numbers, bias: Numbers = None) -> Array:  # noqa: ARG002
        """Return δ · w[c] at every cell of the patch."""
        x, weight, windows = self._checked(x, weight)
        delta = array("delta", delta, shape=(*x.shape[:2], *windows.out))
        back = zeros(x.shape)
        for i, _, p in windows.connections():
            back[ALL, ALL, *p] += delta[ALL, ALL, *i] * weight
        return back

    def _sums(self, x: Numbers, windows: Grid) -> Array:
        sums = zeros((*x.shape[:2], *windows.out))
        for i, _, p in windows.connections():
            sums[ALL, ALL, *i] += x[ALL, ALL, *p]
        return sums

    def _terms(self, of: str, at: Index, x: Numbers, weight: Numbers, bias: Numbers = None, *, delta: Numbers) -> Iterator[Term]:
        x, weight, windows = self._checked(x, weight)
        if of == "y":
            for p in windows.cells(at[2:]):
                yield Term((entry("x", x, (*at[:2], *p)), entry("weight", weight, at[1:2])))
            if bias is not None:
                yield Term((entry("bias", array("bias", bias), at[1:2]),))
        elif of in ("weight", "bias"):
            for n in range(len(x)):
                for i in windows.places():
                    message = entry("delta", delta, (n, *at, *i))
                    if of == "bias":
                        yield Term((message,))
                    else:
                        yield from (Term((message, entry("x", x, (n, *at, *p)))) for p in windows.cells(i))
        else:
            for i in windows.who_sees_cell(at[2:]):
                yield Term((entry("delta", delta, (*at[:2], *i)), entry("weight", weight, at[1:2])))

    def _checked(self, x: Numbers, weight: Numbers) -> tuple[Numbers, Numbers, Grid]:
        x = array("x", x, rank=4)
        return x, array("weight", weight, shape=(x.shape[1],)), grid(x.shape[2:], self.size, stride=self.size)
