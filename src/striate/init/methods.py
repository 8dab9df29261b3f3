"""The formulas, one function each: from a weight, seen as a stack of matrices (groups, units, inputs), and its fans to its values in float64."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor

from striate.init.registry import initialisation

Form = Literal["normal", "uniform"]


@dataclass(frozen=True)
class Fans:
    """How many products make one output number (`inward`), and how many outputs one input number goes into at stride 1 (`outward`)."""

    inward: float
    outward: float


@initialisation("zeros", help="all zero: every unit of a layer stays the same as every other", follows=False)
def zeros(shape: tuple[int, int, int], fans: Fans, gain: float, draw: Generator) -> Tensor:  # noqa: ARG001 - one form for all
    """Return zeros."""
    return torch.zeros(shape, dtype=torch.float64)


@initialisation("constant", help="one value everywhere: as symmetric as zeros", follows=False)
def constant(shape: tuple[int, int, int], fans: Fans, gain: float, draw: Generator, *, value: float = 0.01) -> Tensor:  # noqa: ARG001
    """Return `value` everywhere."""
    return torch.full(shape, value, dtype=torch.float64)


@initialisation("gaussian", help="N(0, deviation) whatever the layer's size", follows=False)
def gaussian(shape: tuple[int, int, int], fans: Fans, gain: float, draw: Generator, *, deviation: float = 0.01) -> Tensor:  # noqa: ARG001
    """Return draws from N(0, deviation)."""
    return torch.randn(shape, generator=draw, dtype=torch.float64) * deviation


@initialisation(
    "xavier", help="variance 1/fan_in or 2/(fan_in + fan_out): keeps it where units are about linear (Glorot and Bengio 2010)", follows=False
)
def xavier(
    shape: tuple[int, int, int], fans: Fans, gain: float, draw: Generator, *, form: Form = "normal", fan: Literal["average", "in", "out"] = "average"
) -> Tensor:
    """Return draws of variance gain² / fan."""
    count = {"average": (fans.inward + fans.outward) / 2, "in": fans.inward, "out": fans.outward}[fan]
    return _drawn(shape, gain / math.sqrt(count), form, draw)


@initialisation("he", help="variance 2/fan_in: keeps it where half the units are off, as behind ReLU (He et al. 2015)", follows=True)
def he(shape: tuple[int, int, int], fans: Fans, gain: float, draw: Generator, *, form: Form = "normal", fan: Literal["in", "out"] = "in") -> Tensor:
    """Return draws of variance gain² / fan; the gain is √2 before ReLU."""
    return _drawn(shape, gain / math.sqrt(fans.inward if fan == "in" else fans.outward), form, draw)


@initialisation("orthogonal", help="rows (or columns, whichever are fewer) orthonormal times the gain (Saxe et al. 2014)", follows=True)
def orthogonal(shape: tuple[int, int, int], fans: Fans, gain: float, draw: Generator) -> Tensor:  # noqa: ARG001
    """Return matrices with orthonormal rows or columns, drawn uniformly among all such: one for each group, or place of unshared filters."""
    stack, rows, columns = shape
    tall = torch.randn(stack, max(rows, columns), min(rows, columns), generator=draw, dtype=torch.float64)
    q, r = torch.linalg.qr(tall)
    q = q * torch.sign(torch.diagonal(r, dim1=-2, dim2=-1))[:, None, :]  # makes the draw uniform
    found: Tensor = gain * (q if rows >= columns else q.mT)
    return found


@initialisation("lsuv", help="orthogonal, then each layer scaled until one batch leaves it with deviation 1 (Mishkin and Matas 2016)", follows=False)
def lsuv(shape: tuple[int, int, int], fans: Fans, gain: float, draw: Generator) -> Tensor:
    """Return the orthonormal start; `apply` scales it while the batch passes."""
    return orthogonal(shape, fans, gain, draw)


def _drawn(shape: tuple[int, int, int], deviation: float, form: Form, draw: Generator) -> Tensor:
    if form == "normal":
        return torch.randn(shape, generator=draw, dtype=torch.float64) * deviation
    return (torch.rand(shape, generator=draw, dtype=torch.float64) * 2 - 1) * (deviation * math.sqrt(3))
