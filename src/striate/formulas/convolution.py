"""Convolution as the field and torch mean it (cross-correlation), over one or two axes. The other convention is in `true_convolution`.

Every tap u of every window i that looks at position p = i·S + D·u − P is a connection (i, u, p), and the three passes are three readings of it:

    forward     y[i]  gets  w[u]·x[p]
    gradient    ∂w[u] gets  δ[i]·x[p]
    message     ∂x[p] gets  δ[i]·w[u]
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from striate.core.errors import ArgumentError
from striate.formulas.base import Array, Formula, Index, Numbers, Term, array, entry, seen, zeros
from striate.formulas.registry import formula
from striate.formulas.windows import Grid, Padding, Sizes, each_axis, grid


@dataclass(frozen=True, kw_only=True)
class Convolution(Formula):
    """The formula over any number of axes.

    `x` is N C size…, `weight` K C/groups kernel…, `bias` K; the output is N K out…. Filter k belongs to group k // (K/groups) and sees
    only the C/groups channels of its group. Padding: a number, one an axis, "same" or "valid".
    """

    stride: Sizes = 1
    padding: Padding = 0
    dilation: Sizes = 1
    groups: int = 1

    axes: ClassVar[int] = 0
    arrays: ClassVar[tuple[str, ...]] = ("x", "weight", "bias")
    parameters: ClassVar[tuple[str, ...]] = ("weight", "bias")

    def forward(self, x: Numbers, weight: Numbers, bias: Numbers = None) -> Array:
        """Return y[n, k, i] = b[k] + Σ_c Σ_u x[n, c, i·S + D·u − P] · w[k, c, u]."""
        x, weight, windows = self._checked(x, weight)
        y = zeros((len(x), len(weight), *windows.out))
        if bias is not None:
            y += per_channel(array("bias", bias, shape=(len(weight),)), y.ndim)
        for i, u, p in windows.connections():
            for channels, filters in self._groups(x, weight):
                y[:, filters, *i] += x[:, channels, *p] @ weight[filters, :, *u].T
        return y

    def parameter_gradient(self, delta: Numbers, x: Numbers, weight: Numbers, bias: Numbers = None) -> dict[str, Array]:
        """Return ∂w[k, c, u] = Σ_n Σ_i δ[n, k, i] · x[n, c, i·S + D·u − P] and ∂b[k] = Σ_n Σ_i δ[n, k, i]."""
        x, weight, windows = self._checked(x, weight)
        delta = array("delta", delta, shape=(len(x), len(weight), *windows.out))
        gradient = zeros(weight.shape)
        for i, u, p in windows.connections():
            for channels, filters in self._groups(x, weight):
                gradient[filters, :, *u] += delta[:, filters, *i].T @ x[:, channels, *p]
        found = {"weight": gradient}
        if bias is not None:
            found["bias"] = delta.sum(axis=(0, *range(2, delta.ndim)))
        return found

    def message(self, delta: Numbers, x: Numbers, weight: Numbers, bias: Numbers = None) -> Array:  # noqa: ARG002
        """Return ∂x[n, c, p] = Σ_k Σ_(i, u that look at p) δ[n, k, i] · w[k, c, u]."""
        x, weight, windows = self._checked(x, weight)
        delta = array("delta", delta, shape=(len(x), len(weight), *windows.out))
        back = zeros(x.shape)
        for i, u, p in windows.connections():
            for channels, filters in self._groups(x, weight):
                back[:, channels, *p] += delta[:, filters, *i] @ weight[filters, :, *u]
        return back

    def shape(self, x: Numbers, weight: Numbers, bias: Numbers = None) -> Index:  # noqa: ARG002
        """Return the shape of y without computing it."""
        x, weight, windows = self._checked(x, weight)
        return (len(x), len(weight), *windows.out)

    def parameter_shapes(self, input: Index, filters: int, kernel: Sizes) -> dict[str, Index]:  # noqa: A002 - the field's word
        """Return the shapes of weight and bias for an input C size… and `filters` filters of `kernel`."""
        return {"weight": (filters, input[0] // self.groups, *each_axis("kernel", kernel, self.axes, least=1)), "bias": (filters,)}

    def windows(self, x: Numbers, weight: Numbers) -> Grid:
        """Return where the filters lie on `x`."""
        return self._checked(x, weight)[2]

    def _terms(self, of: str, at: Index, x: Numbers, weight: Numbers, bias: Numbers = None, *, delta: Numbers) -> Iterator[Term]:
        x, weight, windows = self._checked(x, weight)
        if of == "y":
            yield from self._of_output(at, x, weight, windows)
            if bias is not None:
                yield Term((entry("bias", array("bias", bias), at[1:2]),))
        elif of == "weight":
            yield from self._of_weight(at, x, weight, windows, delta)
        elif of == "bias":
            for n in range(len(x)):
                for i in windows.places():
                    yield Term((entry("delta", delta, (n, *at, *i)),))
        else:
            yield from self._of_input(at, weight, windows, delta)

    def _of_output(self, at: Index, x: Numbers, weight: Numbers, windows: Grid) -> Iterator[Term]:
        n, k, *i = at
        first = k // (len(weight) // self.groups) * weight.shape[1]
        for c in range(weight.shape[1]):
            for u in windows.taps():
                yield Term((seen(x, (n, first + c), windows.position(i, u), windows), entry("weight", weight, (k, c, *u))))

    def _of_weight(self, at: Index, x: Numbers, weight: Numbers, windows: Grid, delta: Numbers) -> Iterator[Term]:
        k, c, *u = at
        first = k // (len(weight) // self.groups) * weight.shape[1]
        for n in range(len(x)):
            for i in windows.places():
                yield Term((entry("delta", delta, (n, k, *i)), seen(x, (n, first + c), windows.position(i, u), windows)))

    def _of_input(self, at: Index, weight: Numbers, windows: Grid, delta: Numbers) -> Iterator[Term]:
        n, c, *p = at
        group, channel = divmod(c, weight.shape[1])
        filters = part(group, len(weight) // self.groups)
        for k in range(filters.start, filters.stop):
            for i, u in windows.who_sees(p):
                yield Term((entry("delta", delta, (n, k, *i)), entry("weight", weight, (k, channel, *u))))

    def _checked(self, x: Numbers, weight: Numbers) -> tuple[Numbers, Numbers, Grid]:
        x, weight = array("x", x, rank=self.axes + 2), array("weight", weight, rank=self.axes + 2)
        if self.groups < 1 or x.shape[1] % self.groups or len(weight) % self.groups:
            raise ArgumentError(f"groups: got {self.groups}, expected a divisor of the {x.shape[1]} input channels and of the {len(weight)} filters")
        if x.shape[1] != weight.shape[1] * self.groups:
            raise ArgumentError(
                f"x: got {x.shape[1]} channels, expected {weight.shape[1] * self.groups}: "
                f"{self.groups} group{'s' * (self.groups > 1)} of filters over {weight.shape[1]} channels each"
            )
        return x, weight, grid(x.shape[2:], weight.shape[2:], stride=self.stride, padding=self.padding, dilation=self.dilation)

    def _groups(self, x: Numbers, weight: Numbers) -> Iterator[tuple[Any, Any]]:
        for g in range(self.groups):
            yield part(g, x.shape[1] // self.groups), part(g, len(weight) // self.groups)


@formula("conv1d", help="Convolution along one axis: signals, text", modules=("Conv1d",))
@dataclass(frozen=True, kw_only=True)
class Conv1d(Convolution):
    """1-D convolution: `x` N C L, `weight` K C/groups F, `bias` K."""

    axes: ClassVar[int] = 1
    rules: ClassVar[dict[str, str]] = {
        "y": "y[n,k,i] = Σ_c Σ_u x[n,c,iS+uD−P]·w[k,c,u] + b[k]",
        "weight": "∂w[k,c,u] = Σ_n Σ_i δ[n,k,i]·x[n,c,iS+uD−P]",
        "bias": "∂b[k] = Σ_n Σ_i δ[n,k,i]",
        "x": "∂x[n,c,p] = Σ_k Σ_{i,u: iS+uD−P=p} δ[n,k,i]·w[k,c,u]",
    }


@formula("conv2d", help="Convolution over height and width: pictures", modules=("Conv2d",))
@dataclass(frozen=True, kw_only=True)
class Conv2d(Convolution):
    """2-D convolution: `x` N C H W, `weight` K C/groups F_h F_w, `bias` K."""

    axes: ClassVar[int] = 2
    rules: ClassVar[dict[str, str]] = {
        "y": "y[n,k,i,j] = Σ_c Σ_u Σ_v x[n,c,iS+uD−P,jS+vD−P]·w[k,c,u,v] + b[k]",
        "weight": "∂w[k,c,u,v] = Σ_n Σ_i Σ_j δ[n,k,i,j]·x[n,c,iS+uD−P,jS+vD−P]",
        "bias": "∂b[k] = Σ_n Σ_i Σ_j δ[n,k,i,j]",
        "x": "∂x[n,c,p,q] = Σ_k Σ_{i,u: iS+uD−P=p} Σ_{j,v: jS+vD−P=q} δ[n,k,i,j]·w[k,c,u,v]",
    }


def part(group: int, size: int) -> slice:
    """Return the slice of group number `group` when each has `size` members."""
    return slice(group * size, (group + 1) * size)


def per_channel(values: Array, rank: int) -> Array:
    """Shape C values so that they spread over an array N C … of `rank` axes."""
    return values.reshape(1, -1, *(1,) * (rank - 2))
