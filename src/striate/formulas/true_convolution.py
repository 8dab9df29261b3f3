"""The other convention: convolution as mathematics and signal processing mean it, where the filter is turned by 180° before it slides.

    correlation (torch, the field)   y = corr(x, w)             ∂w = corr(x, δ)            ∂x = full convolution of δ with w
    true convolution                 y = corr(x, rot180(w))     ∂w = rot180(corr(x, δ))    ∂x = full convolution of δ with rot180(w)

Row O4. A slip to look out for: in the lower row the gradient keeps its outer rot180; without it every learnt filter would be turned.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from striate.core.errors import ArgumentError
from striate.formulas.base import Array, Factor, Index, Numbers, Term, array, zeros
from striate.formulas.convolution import Convolution
from striate.formulas.registry import formula


@dataclass(frozen=True, kw_only=True)
class TrueConvolution(Convolution):
    """Slide rot180(w) over x; everything else is `Convolution`."""

    def forward(self, x: Numbers, weight: Numbers, bias: Numbers = None) -> Array:
        """Return y[n, k, i] = b[k] + Σ_c Σ_u x[n, c, i·S + D·(F−1−u) − P] · w[k, c, u]."""
        return super().forward(x, self._turned(weight), bias)

    def parameter_gradient(self, delta: Numbers, x: Numbers, weight: Numbers, bias: Numbers = None) -> dict[str, Array]:
        """Return ∂w = rot180 of correlation's gradient, and ∂b[k] = Σ δ[n, k, i]."""
        found = super().parameter_gradient(delta, x, self._turned(weight), bias)
        return found | {"weight": self._turned(found["weight"])}

    def message(self, delta: Numbers, x: Numbers, weight: Numbers, bias: Numbers = None) -> Array:
        """Return ∂x: correlation's message under the turned filter."""
        return super().message(delta, x, self._turned(weight), bias)

    def _terms(self, of: str, at: Index, x: Numbers, weight: Numbers, bias: Numbers = None, *, delta: Numbers) -> Iterator[Term]:
        size = np.shape(weight)[2:]
        place = self._opposite(at, size) if of == "weight" else at
        for term in super()._terms(of, place, x, self._turned(weight), bias, delta=delta):
            yield Term(tuple(self._named(factor, size) for factor in term.factors))

    def _named(self, factor: Factor, size: Index) -> Factor:
        if factor.name != "weight" or factor.index is None:
            return factor
        return replace(factor, index=self._opposite(factor.index, size))

    def _opposite(self, at: Index, size: Index) -> Index:
        return (*at[:2], *(f - 1 - u for u, f in zip(at[2:], size, strict=True)))

    def _turned(self, weight: Numbers) -> Array:
        return rot180(array("weight", weight, rank=self.axes + 2), axes=self.axes)


@formula("true_conv1d", help="True convolution along one axis: the filter is reversed before it slides")
@dataclass(frozen=True, kw_only=True)
class TrueConv1d(TrueConvolution):
    """1-D true convolution: `x` N C L, `weight` K C/groups F, `bias` K."""

    axes: ClassVar[int] = 1
    rules: ClassVar[dict[str, str]] = {
        "y": "y[n,k,i] = Σ_c Σ_u x[n,c,iS+(F−1−u)D−P]·w[k,c,u] + b[k]",
        "weight": "∂w[k,c,u] = Σ_n Σ_i δ[n,k,i]·x[n,c,iS+(F−1−u)D−P]",
        "bias": "∂b[k] = Σ_n Σ_i δ[n,k,i]",
        "x": "∂x[n,c,p] = Σ_k Σ_{i,u: iS+(F−1−u)D−P=p} δ[n,k,i]·w[k,c,u]",
    }


@formula("true_conv2d", help="True convolution over height and width: the filter is turned by 180° before it slides")
@dataclass(frozen=True, kw_only=True)
class TrueConv2d(TrueConvolution):
    """2-D true convolution: `x` N C H W, `weight` K C/groups F_h F_w, `bias` K."""

    axes: ClassVar[int] = 2
    rules: ClassVar[dict[str, str]] = {
        "y": "y[n,k,i,j] = Σ_c Σ_u Σ_v x[n,c,iS+(F−1−u)D−P,jS+(F−1−v)D−P]·w[k,c,u,v] + b[k]",
        "weight": "∂w[k,c,u,v] = Σ_n Σ_i Σ_j δ[n,k,i,j]·x[n,c,iS+(F−1−u)D−P,jS+(F−1−v)D−P]",
        "bias": "∂b[k] = Σ_n Σ_i Σ_j δ[n,k,i,j]",
        "x": "∂x[n,c,p,q] = Σ_k Σ_{i,u: iS+(F−1−u)D−P=p} Σ_{j,v: jS+(F−1−v)D−P=q} δ[n,k,i,j]·w[k,c,u,v]",
    }


def rot180(w: Numbers, *, axes: int = 2) -> Array:
    """Turn the last `axes` axes around: w[u] becomes w[F−1−u]."""
    return np.flip(array("w", w), axis=tuple(range(-axes, 0)))


def correlate(x: Numbers, w: Numbers) -> Array:
    """Return corr(x, w)[i] = Σ_u x[i + u]·w[u] where w lies inside x; single arrays of one or two axes, no channels."""
    x, w = array("x", x, rank=(1, 2)), array("w", w, rank=np.ndim(x))
    if any(f > size for f, size in zip(w.shape, x.shape, strict=True)):
        raise ArgumentError(f"w: got shape {w.shape}, larger than x of {x.shape}; it has to lie inside")
    y = zeros(tuple(size - f + 1 for size, f in zip(x.shape, w.shape, strict=True)))
    for i in np.ndindex(y.shape):
        for u in np.ndindex(w.shape):
            y[i] += x[tuple(a + b for a, b in zip(i, u, strict=True))] * w[u]
    return y


def convolve(x: Numbers, w: Numbers) -> Array:
    """Return the true convolution where w lies inside x: Σ_u x[i + F−1−u]·w[u]."""
    return correlate(x, rot180(w, axes=np.ndim(x)))


def convolve_full(x: Numbers, w: Numbers) -> Array:
    """Return the full true convolution Σ_u x[i − u]·w[u], with zeros around x: its size is that of x plus F − 1."""
    x, w = array("x", x, rank=(1, 2)), array("w", w, rank=np.ndim(x))
    return convolve(np.pad(x, [(f - 1, f - 1) for f in w.shape]), w)
