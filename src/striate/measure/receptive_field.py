"""The algebra of receptive fields: which input pixels one unit sees, through windows, branches and joins. No torch.

Unit i of an axis sees the input positions start + i·stride … start + i·stride + size − 1. A window of kernel F, stride S, dilation D and padding P on
top of it has size + D(F − 1)·stride, stride·S and start − P·stride; a join of branches sees from the first position any of them sees to the last.
Positions below 0 or past the end lie in the padding. What normalisation layers see while they take their statistics is not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from striate.measure.arithmetic import Window


@dataclass(frozen=True)
class Field:
    """The receptive field along one axis: `size` positions, `stride` between neighbouring units, the first unit's begins at `start`."""

    size: int = 1
    stride: Fraction = Fraction(1)
    start: Fraction = Fraction(0)

    @property
    def centre(self) -> float:
        """The middle of the first unit's field, in pixels."""
        return float(self.start) + (self.size - 1) / 2

    def through(self, window: Window) -> Field:
        """Return the field of a window's outputs."""
        return Field(
            self.size + int((window.extent - 1) * self.stride),
            self.stride * window.stride,
            self.start - window.before * self.stride,
        )

    def through_transposed(self, window: Window) -> Field:
        """Return the field of a transposed convolution's outputs, 1/stride apart; each sees this at most, by its phase one input less."""
        step = self.stride / window.stride
        return Field(self.size + ceil((window.extent - 1) * step), step, self.start - (window.extent - 1 - window.before) * step)

    def resized(self, factor: Fraction, *, mixed: bool = False) -> Field:
        """Return the field after resizing by `factor`; `mixed` (bilinear and finer) sees one neighbour more."""
        return Field(self.size + (int(self.stride) if mixed else 0), self.stride / factor, self.start)

    def over(self, units: int) -> Field:
        """Return the field of something that sees all `units`: a dense layer, a global pool."""
        return Field(self.size + int((units - 1) * self.stride), self.stride * units, self.start)

    def joined(self, other: Field) -> Field:
        """Return the field of a sum or concatenation, unit by unit."""
        start = min(self.start, other.start)
        end = max(self.start + self.size, other.start + other.size)
        return Field(int(end - start), max(self.stride, other.stride), start)


def join(fields: Sequence[Field]) -> Field:
    """Return the field of a join of one or more branches."""
    found = fields[0]
    for field in fields[1:]:
        found = found.joined(field)
    return found
