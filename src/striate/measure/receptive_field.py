"""The algebra of receptive fields: which input pixels one unit sees, through windows, branches and joins. No torch.

Unit i of an axis sees the input positions start + i·stride … start + i·stride + size − 1. A window of kernel F, stride S, dilation D and padding P on
top of it has size + D(F − 1)·stride, stride·S and start − P·stride; a join of branches sees from the first position any of them sees to the last.

After upsampling neighbours do not see alike: of the units a transposed convolution of kernel 3 and stride 2 makes, every other one sees two inputs
and the rest one. What each unit of one period sees is then kept, and size is the largest extent among them.
Positions below 0 or past the end lie in the padding. What normalisation layers see while they take their statistics is not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, gcd, lcm

from striate.measure.arithmetic import Window

Span = tuple[int, int] | None
"""The first and the last position a unit sees; None where it sees none."""
Taps = Callable[[int], Iterable[int]]
"""An output unit's number -> the numbers of the input units it reads."""


@dataclass(frozen=True)
class Field:
    """The receptive field along one axis: `size` positions at most, `stride` between neighbouring units, the first unit's begins at `start`."""

    size: int = 1
    stride: Fraction = Fraction(1)
    start: Fraction = Fraction(0)
    spans: tuple[Span, ...] = ()
    """What the units of one period see, the first unit's first, where they do not see alike; `stride` is then the mean."""

    @property
    def centre(self) -> float:
        """The middle of the first unit's field, in pixels."""
        return float(self.start) + (self.size - 1) / 2

    @property
    def period(self) -> int:
        """After how many units all see the same again, further on."""
        return len(self.spans) or 1

    def at(self, unit: int) -> Span:
        """Return the first and the last position that `unit` sees."""
        if not self.spans:
            first = int(self.start + unit * self.stride)
            return first, first + self.size - 1
        turns, place = divmod(unit, self.period)
        return _moved(self.spans[place], int(turns * self.period * self.stride))

    def largest(self, units: int) -> int:
        """Return the largest size among the first `units`."""
        return max((last - first + 1 for first, last in filter(None, self.spans[:units])), default=0) if self.spans else self.size

    def through(self, window: Window) -> Field:
        """Return the field of a window's outputs."""
        if self.spans:
            return self.read(lambda unit: range(first := unit * window.stride - window.before, first + window.extent, window.dilation), window.stride)
        return Field(
            self.size + int((window.extent - 1) * self.stride),
            self.stride * window.stride,
            self.start - window.before * self.stride,
        )

    def through_transposed(self, window: Window) -> Field:
        """Return the field of a transposed convolution's outputs: input i adds to the places i·S − P + D·d, d < F."""

        def taps(unit: int) -> Iterable[int]:
            places = (unit + window.before - step * window.dilation for step in range(window.kernel))
            return (place // window.stride for place in places if place % window.stride == 0)

        return self.read(taps, Fraction(1, window.stride))

    def read(self, taps: Taps, ahead: Fraction | int, units: int | None = None) -> Field:
        """Return the field of outputs of which each reads the inputs `taps` names, `ahead` inputs further from one output to the next.

        `units` is how many outputs there are: none beyond them is looked at.
        """
        step = Fraction(ahead)
        period = step.denominator * (self.period // gcd(step.numerator, self.period))
        period = period if units is None else min(period, units)
        return _of_spans([_hull(self.at(place) for place in taps(unit)) for unit in range(period)], self.stride * step * period)

    def over(self, units: int) -> Field:
        """Return the field of something that sees all `units`: a dense layer, a global pool."""
        if self.spans:
            ends = {*range(min(units, self.period)), *range(max(0, units - self.period), units)}
            first, last = _hull(map(self.at, ends)) or (0, -1)
            return Field(last - first + 1, Fraction(ceil(self.stride * units)), Fraction(first))
        return Field(self.size + int((units - 1) * self.stride), self.stride * units, self.start)

    def covering(self, other: Field) -> Field:
        """Return the field of units that see, besides their own, what `other`'s first unit does: a gate computed from the whole map."""
        first, end = int(other.start), int(other.start) + other.size
        if self.spans:
            return _of_spans([_hull((span, (first, end - 1))) for span in self.spans], self.stride * self.period)
        start = min(int(self.start), first)
        return Field(max(int(self.start) + self.size, end) - start, self.stride, Fraction(start))

    def joined(self, other: Field, units: int | None = None) -> Field:
        """Return the field of a sum or concatenation, unit by unit; `units` is how many there are, where both have as many."""
        if self.stride != other.stride and not units:
            return self.covering(other) if self.stride > other.stride else other.covering(self)
        period = lcm(self.period, other.period) if self.stride == other.stride else units or 1
        period = period if units is None else min(period, units)
        return _of_spans([_hull((self.at(unit), other.at(unit))) for unit in range(period)], max(self.stride, other.stride) * period)


def join(fields: Sequence[Field]) -> Field:
    """Return the field of a join of one or more branches."""
    found = fields[0]
    for field in fields[1:]:
        found = found.joined(field)
    return found


def _of_spans(spans: Sequence[Span], ahead: Fraction) -> Field:
    """Return the field of units that see `spans`, and again so `ahead` positions further; the shortest period is kept."""
    total = round(ahead)
    for period in range(1, len(spans) + 1):
        turns, rest = divmod(len(spans), period)
        if rest or total % turns:
            continue
        if all(spans[unit] == _moved(spans[unit % period], unit // period * total // turns) for unit in range(period, len(spans))):
            break
    kept = tuple(spans[:period])
    stride = Fraction(total, len(spans))
    seen = [span for span in kept if span is not None]
    found = Field(1, stride, Fraction(seen[0][0] if seen else 0), kept)
    return replace(found, size=found.largest(period), spans=kept if period > 1 or not seen else ())


def _moved(span: Span, by: int) -> Span:
    return None if span is None else (span[0] + by, span[1] + by)


def _hull(spans: Iterable[Span]) -> Span:
    """Return from the first position any of them sees to the last."""
    seen = [span for span in spans if span is not None]
    return (min(first for first, _ in seen), max(last for _, last in seen)) if seen else None
