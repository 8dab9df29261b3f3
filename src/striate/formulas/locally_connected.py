"""Locally connected layers: windows as in convolution, but every place has a filter and a bias of its own (row O2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from striate.core.errors import ArgumentError
from striate.formulas.base import ALL, Array, Formula, Index, Numbers, Term, array, entry, seen, zeros
from striate.formulas.registry import formula
from striate.formulas.windows import Grid, Padding, Sizes, each_axis, grid


@dataclass(frozen=True, kw_only=True)
class LocallyConnected(Formula):
    """The formula over any number of axes.

    `x` is N C size…, `weight` out… K C kernel…, `bias` out… K; the output is N K out…. So weight[i] is the filter bank of
    place i, in a convolution's form.
    """

    stride: Sizes = 1
    padding: Padding = 0
    dilation: Sizes = 1

    axes: ClassVar[int] = 0
    arrays: ClassVar[tuple[str, ...]] = ("x", "weight", "bias")
    parameters: ClassVar[tuple[str, ...]] = ("weight", "bias")

    def forward(self, x: Numbers, weight: Numbers, bias: Numbers = None) -> Array:
        """Return y[n, k, i] = b[i, k] + Σ_c Σ_u x[n, c, i·S + D·u − P] · w[i, k, c, u]."""
        x, weight, windows = self._checked(x, weight)
        y = zeros((len(x), weight.shape[self.axes], *windows.out))
        if bias is not None:
            y += np.moveaxis(array("bias", bias, shape=weight.shape[: self.axes + 1]), -1, 0)
        for i, u, p in windows.connections():
            y[ALL, ALL, *i] += x[ALL, ALL, *p] @ weight[*i, ALL, ALL, *u].T
        return y

    def parameter_gradient(self, delta: Numbers, x: Numbers, weight: Numbers, bias: Numbers = None) -> dict[str, Array]:
        """Return ∂w[i, k, c, u] = Σ_n δ[n, k, i] · x[n, c, i·S + D·u − P] and ∂b[i, k] = Σ_n δ[n, k, i]."""
        x, weight, windows = self._checked(x, weight)
        delta = array("delta", delta, shape=(len(x), weight.shape[self.axes], *windows.out))
        gradient = zeros(weight.shape)
        for i, u, p in windows.connections():
            gradient[*i, ALL, ALL, *u] = delta[ALL, ALL, *i].T @ x[ALL, ALL, *p]
        return {"weight": gradient} if bias is None else {"weight": gradient, "bias": np.moveaxis(delta.sum(axis=0), 0, -1)}

    def message(self, delta: Numbers, x: Numbers, weight: Numbers, bias: Numbers = None) -> Array:  # noqa: ARG002
        """Return ∂x[n, c, p] = Σ_k Σ_(i, u that look at p) δ[n, k, i] · w[i, k, c, u]."""
        x, weight, windows = self._checked(x, weight)
        delta = array("delta", delta, shape=(len(x), weight.shape[self.axes], *windows.out))
        back = zeros(x.shape)
        for i, u, p in windows.connections():
            back[ALL, ALL, *p] += delta[ALL, ALL, *i] @ weight[*i, ALL, ALL, *u]
        return back

    def shape(self, x: Numbers, weight: Numbers, bias: Numbers = None) -> Index:  # noqa: ARG002
        """Return the shape of y without computing it."""
        x, weight, windows = self._checked(x, weight)
        return (len(x), weight.shape[self.axes], *windows.out)

    def parameter_shapes(self, input: Index, filters: int, kernel: Sizes) -> dict[str, Index]:  # noqa: A002 - the field's word
        """Return the shapes of weight and bias for an input C size…, `filters` outputs a place and fields of `kernel`."""
        channels, *size = input
        kernels = each_axis("kernel", kernel, self.axes, least=1)
        out = grid(size, kernels, stride=self.stride, padding=self.padding, dilation=self.dilation).out
        return {"weight": (*out, filters, channels, *kernels), "bias": (*out, filters)}

    def _terms(self, of: str, at: Index, x: Numbers, weight: Numbers, bias: Numbers = None, *, delta: Numbers) -> Iterator[Term]:
        x, weight, windows = self._checked(x, weight)
        i: Index
        u: Index
        if of == "y":
            n, k, i = at[0], at[1], at[2:]
            for c in range(x.shape[1]):
                for u in windows.taps():
                    yield Term((seen(x, (n, c), windows.position(i, u), windows), entry("weight", weight, (*i, k, c, *u))))
            if bias is not None:
                yield Term((entry("bias", array("bias", bias), (*i, k)),))
        elif of == "weight":
            i, (k, c), u = at[: self.axes], at[self.axes : self.axes + 2], at[self.axes + 2 :]
            for n in range(len(x)):
                yield Term((entry("delta", delta, (n, k, *i)), seen(x, (n, c), windows.position(i, u), windows)))
        elif of == "bias":
            for n in range(len(x)):
                yield Term((entry("delta", delta, (n, at[-1], *at[:-1])),))
        else:
            n, c, p = at[0], at[1], at[2:]
            for k in range(weight.shape[self.axes]):
                for i, u in windows.who_sees(p):
                    yield Term((entry("delta", delta, (n, k, *i)), entry("weight", weight, (*i, k, c, *u))))

    def _checked(self, x: Numbers, weight: Numbers) -> tuple[Numbers, Numbers, Grid]:
        x, weight = array("x", x, rank=self.axes + 2), array("weight", weight, rank=2 * self.axes + 2)
        if x.shape[1] != weight.shape[self.axes + 1]:
            raise ArgumentError(f"x: got {x.shape[1]} channels, expected the {weight.shape[self.axes + 1]} that the weight has")
        windows = grid(x.shape[2:], weight.shape[self.axes + 2 :], stride=self.stride, padding=self.padding, dilation=self.dilation)
        if weight.shape[: self.axes] != windows.out:
            raise ArgumentError(f"weight: got filters for {weight.shape[: self.axes]} places, expected {windows.out} for x of {x.shape[2:]}")
        return x, weight, windows


@formula("locally_connected_1d", help="Windows along one axis, each with weights of its own", modules=("LocallyConnected1d",))
@dataclass(frozen=True, kw_only=True)
class LocallyConnected1d(LocallyConnected):
    """1-D: `x` N C L, `weight` L' K C F, `bias` L' K."""

    axes: ClassVar[int] = 1
    rules: ClassVar[dict[str, str]] = {
        "y": "y[n,k,i] = Σ_c Σ_u x[n,c,iS+uD−P]·w[i,k,c,u] + b[i,k]",
        "weight": "∂w[i,k,c,u] = Σ_n δ[n,k,i]·x[n,c,iS+uD−P]",
        "bias": "∂b[i,k] = Σ_n δ[n,k,i]",
        "x": "∂x[n,c,p] = Σ_k Σ_{i,u: iS+uD−P=p} δ[n,k,i]·w[i,k,c,u]",
    }


@formula("locally_connected_2d", help="Windows over height and width, each with weights of its own", modules=("LocallyConnected2d",))
@dataclass(frozen=True, kw_only=True)
class LocallyConnected2d(LocallyConnected):
    """2-D: `x` N C H W, `weight` H' W' K C F_h F_w, `bias` H' W' K."""

    axes: ClassVar[int] = 2
    rules: ClassVar[dict[str, str]] = {
        "y": "y[n,k,i,j] = Σ_c Σ_u Σ_v x[n,c,iS+uD−P,jS+vD−P]·w[i,j,k,c,u,v] + b[i,j,k]",
        "weight": "∂w[i,j,k,c,u,v] = Σ_n δ[n,k,i,j]·x[n,c,iS+uD−P,jS+vD−P]",
        "bias": "∂b[i,j,k] = Σ_n δ[n,k,i,j]",
        "x": "∂x[n,c,p,q] = Σ_k Σ_{i,u: iS+uD−P=p} Σ_{j,v: jS+vD−P=q} δ[n,k,i,j]·w[i,j,k,c,u,v]",
    }
