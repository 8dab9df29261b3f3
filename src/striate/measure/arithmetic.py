"""How many places a window has: output = ⌊(W + 2P − D(F − 1) − 1) / S⌋ + 1, what the floor leaves out, and what would fit. No torch.

For example `fits(7, 3, stride=3).sentence("7x7")` says that there are two places, that the last pixel is never seen, and that strides 1, 2 or 4,
padding 1 and sizes 6 or 9 fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from striate.core.errors import ArgumentError

Pair = tuple[int, int]
Sides = int | Sequence[int]
"""One number for every axis, or one for each."""
Pads = Sides | str
"""Padding: pixels on each side, `same` (stride 1 keeps the size) or `valid` (none)."""

NEAREST = 2
"""How many sizes that fit are named on either side."""


@dataclass(frozen=True)
class Window:
    """A window that slides along one axis: `kernel` values, `stride` apart, `dilation` between its values.

    `before` and `after` are the padding on the two sides; `ceil` is torch's ceil_mode: a last window that hangs over the edge counts too.
    """

    kernel: int
    stride: int = 1
    before: int = 0
    after: int = 0
    dilation: int = 1
    ceil: bool = False

    @property
    def extent(self) -> int:
        """How many positions the window spans: D(F − 1) + 1."""
        return self.dilation * (self.kernel - 1) + 1

    def places(self, size: int) -> int:
        """Return how many places the window has on `size` pixels; raises `ArgumentError` where it has none."""
        room = size + self.before + self.after - self.extent
        if room < 0:
            padded = f" and padding {self.before}" + (f" and {self.after}" if self.after != self.before else "") if self.before or self.after else ""
            spread = f" with dilation {self.dilation} spans {self.extent} pixels, which" if self.dilation > 1 else ""
            raise ArgumentError(
                f"kernel {self.kernel}{spread} does not fit into {size} pixels{padded}: it needs {self.extent} and there are "
                f"{size + self.before + self.after}. Enlarge the input or the padding, or take a smaller kernel"
            )
        if not self.ceil:
            return room // self.stride + 1
        count = -(-room // self.stride) + 1
        return count - 1 if (count - 1) * self.stride >= size + self.before else count  # torch: no window may start in the padding after


@dataclass(frozen=True)
class Fit:
    """Whether a window's stride fits one axis, what the floor leaves unseen, and what would fit instead."""

    size: int
    window: Window
    places: int
    unseen: int
    """Positions at the end that no window covers, padding included."""
    lost: int
    """Real pixels among them, beyond the gaps that a stride larger than the kernel leaves everywhere."""
    strides: tuple[int, ...]
    """Strides that fit, from 1 to the room the window has."""
    paddings: tuple[int, ...]
    """Paddings (on both sides) below the kernel's extent that fit."""
    sizes: tuple[int, ...]
    """The nearest sizes that fit, ascending."""

    @property
    def exact(self) -> bool:
        """Whether every position is seen."""
        return self.unseen == 0

    def sentence(self, what: str = "") -> str:
        """Say in words whether it fits, what is lost and what fits; `what` names the input, such as `7x7`."""
        w = self.window
        name = what or f"{self.size}"
        pads = (
            f" and padding {w.before}"
            if w.before == w.after and w.before
            else f" and padding {w.before} and {w.after}"
            if w.before or w.after
            else ""
        )
        how = f"kernel {w.kernel}{f' with dilation {w.dilation}' if w.dilation > 1 else ''}, stride {w.stride}{pads}"
        if self.exact:
            return f"{name} fits {how}: {self.places} places"
        room = self.size + w.before + w.after - w.extent
        share = f"({self.size}{_signed(w.before + w.after)} − {w.extent})/{w.stride} + 1 = {room / w.stride + 1:.4g}"
        return f"{name} does not fit {how}: {share}, so {counted(self.places, 'place')}; {self.told_loss()}. {self.told_ways()}"

    def told_loss(self) -> str:
        """Say what is never seen."""
        if self.exact:
            return "nothing is lost"
        if self.lost:
            return f"the {_last(self.lost)} never seen"
        if self.window.stride > self.window.extent:
            return f"the {_last(self.unseen)} skipped, as pixels between two places are"
        return f"the {_last(self.unseen, ' of the padding')} never seen, no pixel of the picture is lost"

    def told_ways(self) -> str:
        """Say which strides, paddings and sizes fit."""
        ways = [
            f"stride{'s' * (len(self.strides) > 1)} {_listed(self.strides)}" if self.strides else "",
            f"padding{'s' * (len(self.paddings) > 1)} {_listed(self.paddings)}" if self.paddings else "",
            f"size{'s' * (len(self.sizes) > 1)} {_listed(self.sizes)}" if self.sizes else "",
        ]
        return "What fits: " + "; ".join(way for way in ways if way)


def output_size(size: int, kernel: int, *, stride: int = 1, padding: Pads = 0, dilation: int = 1, ceil: bool = False) -> int:
    """Return the number of places on one axis, ⌊(W + 2P − D(F − 1) − 1)/S⌋ + 1 (O3).

    `padding` is a number, `same` (stride 1 only) or `valid`. Raises `ArgumentError` where the window is larger than the padded input.
    """
    return window(kernel, stride=stride, padding=padding, dilation=dilation, ceil=ceil).places(_positive("size", size))


def fits(size: int, kernel: int, *, stride: int = 1, padding: Pads = 0, dilation: int = 1) -> Fit:
    """Return whether a stride fits one axis, what is lost, and the strides, paddings and sizes that do fit. Raises `ArgumentError`."""
    return fit(_positive("size", size), window(kernel, stride=stride, padding=padding, dilation=dilation))


def fit(size: int, given: Window) -> Fit:
    """Return the same for a `Window`; one with ceil_mode leaves nothing unseen."""
    places = given.places(size)
    room = size + given.before + given.after - given.extent
    unseen = max(0, room - (places - 1) * given.stride)
    lost = max(0, unseen - given.after - max(0, given.stride - given.extent))
    strides = tuple(s for s in range(1, min(room, max(given.extent, given.stride + 1)) + 1) if room % s == 0) or (1,)
    paddings = tuple(p for p in range(given.extent) if _exact(size, replace(given, before=p, after=p)))
    below = [s for s in range(size - 1, max(0, size - 4 * given.stride), -1) if _exact(s, given)][:NEAREST]
    above = [s for s in range(size + 1, size + 4 * given.stride) if _exact(s, given)][:NEAREST]
    return Fit(size, given, places, unseen, lost, strides, paddings, tuple(sorted([*below[:1], *above[:1]])))


def window(kernel: int, *, stride: int = 1, padding: Pads = 0, dilation: int = 1, ceil: bool = False) -> Window:
    """Return a checked `Window` of one axis; `same` padding splits D(F − 1), the odd pixel last, as torch does. Raises `ArgumentError`."""
    for name, value in (("kernel", kernel), ("stride", stride), ("dilation", dilation)):
        _positive(name, value)
    before, after = _padding(padding, dilation * (kernel - 1), stride)
    return Window(kernel, stride, before, after, dilation, ceil)


def sides(value: Sides, axes: int, name: str) -> tuple[int, ...]:
    """Return one number an axis: 3 -> (3, 3). Raises `ArgumentError`, naming the argument."""
    found = (value,) * axes if isinstance(value, int) else tuple(value)
    if len(found) != axes or not all(isinstance(n, int) and not isinstance(n, bool) for n in found):
        raise ArgumentError(f"{name}: got {value!r}, expected a whole number or {axes} of them")
    return found


def spell(shape: Sequence[int]) -> str:
    """Spell a shape: (28, 28, 672) -> `28x28x672`."""
    return "x".join(map(str, shape)) or "a single number"


def _padding(padding: Pads, spread: int, stride: int) -> Pair:
    if isinstance(padding, str):
        if padding == "valid":
            return 0, 0
        if padding != "same":
            raise ArgumentError(f"padding: got {padding!r}, expected a number, same or valid")
        if stride != 1:
            raise ArgumentError(f"padding: same needs stride 1, got stride {stride}; for an odd kernel give the number {spread // 2}")
        return spread // 2, spread - spread // 2
    (number,) = sides(padding, 1, "padding")
    if number < 0:
        raise ArgumentError(f"padding: got {number}, expected 0 or more")
    return number, number


def _exact(size: int, given: Window) -> bool:
    room = size + given.before + given.after - given.extent
    return size > 0 and room >= 0 and room % given.stride == 0


T = TypeVar("T", bound=int)


def _positive(name: str, value: T) -> T:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ArgumentError(f"{name}: got {value!r}, expected a whole number of 1 or more")
    return value


def counted(number: int, word: str) -> str:
    """Spell a count with its noun: `1 filter`, `1,024 units`."""
    return f"{number:,} {word}{'s' * (number != 1)}"


def _last(number: int, of: str = "") -> str:
    return f"last pixel{of} is" if number == 1 else f"last {number:,} pixels{of} are"


def _listed(numbers: Sequence[int]) -> str:
    words = [str(n) for n in numbers]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _signed(number: int) -> str:
    return f" + {number}" if number else ""
