"""A network as boxes and arrows, from a plain description: any boxes, any edges; branches stand side by side. SVG without any library.

Rows are longest paths from the input. An edge that passes rows gets a narrow lane of its own in each; boxes and lanes are ordered to cross little,
and each row is then placed as close to its neighbours as the order allows (isotonic regression).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from markupsafe import Markup, escape

from striate.core.errors import ArgumentError
from striate.draw import palette

WIDTH, LINE, PAD, GAP_X, GAP_Y, LANE = 158.0, 15.0, 7.0, 16.0, 22.0, 9.0
"""Pixels: a box's width, a line of text, its margin, the room between boxes across and down, and a lane's width."""
CHARACTER, BOLD = 6.2, 7.2
KINDS = {"conv": "c0", "pool": "c1", "join": "c2", "linear": "c3", "norm": "c5", "activation": "c7", "block": "accent", "input": "soft"}
"""What a box is -> the colour of its edge."""
SWEEPS = 12
STIFF = 12.0
"""How much harder an only line pulls than one of several."""


@dataclass(frozen=True)
class Node:
    """One box: a unique `name`, its `lines` of text from top to bottom (the first is bold), and its `kind`, a key of KINDS or ""."""

    name: str
    lines: tuple[str, ...]
    kind: str = ""
    hint: str = ""
    """What a pointer held over the box tells."""


@dataclass
class _Place:
    """A box or a lane on its row."""

    width: float
    row: int
    node: Node | None = None
    above: list[int] = field(default_factory=list)
    below: list[int] = field(default_factory=list)
    x: float = 0.0


def network(nodes: Sequence[Node], edges: Sequence[tuple[str, str]], *, title: str = "", standalone: bool = False) -> Markup:
    """Return an SVG of boxes and arrows from top to bottom, for a page that carries `palette.css()`; `standalone` brings the colours along.

    `edges` are (from, to) by the nodes' names and must not run in a circle; an edge given twice is drawn once.
    Raises `ArgumentError` for names that are not there, names given twice and circles.
    """
    known = {node.name: place for place, node in enumerate(nodes)}
    if len(known) < len(nodes):
        raise ArgumentError("nodes: two boxes have the same name; give each its own")
    pairs = list(dict.fromkeys((a, b) for a, b in edges))
    for pair in pairs:
        for end in pair:
            if end not in known:
                raise ArgumentError(f"edges: {pair[0]} -> {pair[1]} names {end!r}, which is no box")
    rows = _rows([node.name for node in nodes], pairs)
    places, lanes = _placed(nodes, pairs, rows, known)
    _arrange(places)
    return _drawn(places, lanes, title, standalone=standalone)


def _rows(names: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Return each box's row: the longest way from a box that nothing leads to, such boxes as low as those they lead to allow."""
    waiting = dict.fromkeys(names, 0)
    onward: dict[str, list[str]] = {name: [] for name in names}
    for a, b in edges:
        waiting[b] += 1
        onward[a].append(b)
    rows = dict.fromkeys(names, 0)
    ready = [name for name in names if not waiting[name]]
    order = []
    while ready:
        name = ready.pop(0)
        order.append(name)
        for other in onward[name]:
            rows[other] = max(rows[other], rows[name] + 1)
            waiting[other] -= 1
            if not waiting[other]:
                ready.append(other)
    if len(order) < len(names):
        raise ArgumentError(f"edges: they run in a circle through {next(name for name in names if waiting[name])}")
    return rows


def _placed(
    nodes: Sequence[Node], edges: Sequence[tuple[str, str]], rows: Mapping[str, int], known: Mapping[str, int]
) -> tuple[list[_Place], list[list[int]]]:
    """Return boxes and lanes with their neighbours, and for each edge the places it runs through."""
    places = [_Place(_width(node), rows[node.name], node) for node in nodes]
    ways = []
    for a, b in edges:
        way = [known[a]]
        for row in range(rows[a] + 1, rows[b]):
            places.append(_Place(LANE, row))
            way.append(len(places) - 1)
        way.append(known[b])
        for upper, lower in pairwise(way):
            places[upper].below.append(lower)
            places[lower].above.append(upper)
        ways.append(way)
    return places, ways


def _arrange(places: list[_Place]) -> None:
    """Order every row by its neighbours' places, down and up by turns, then give x."""
    rows: list[list[int]] = [[] for _ in range(1 + max((place.row for place in places), default=0))]
    for number, place in enumerate(places):
        rows[place.row].append(number)
    for row in rows:
        _pack(places, row, [float(at) for at in range(len(row))])
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for row in rows if down else rows[::-1]:
            wanted = {number: _middle(places, places[number].above if down else places[number].below, places[number].x) for number in row}
            row.sort(key=wanted.__getitem__)
            _pack(places, row, [wanted[number] for number in row])
    for _ in range(SWEEPS):
        for row in rows + rows[::-1]:
            _pack(places, row, [_straight(places, number) for number in row])


def _middle(places: Sequence[_Place], neighbours: Sequence[int], otherwise: float) -> float:
    return sum(places[n].x for n in neighbours) / len(neighbours) if neighbours else otherwise


def _straight(places: Sequence[_Place], number: int) -> float:
    """Where a place would stand for its lines to be straight: a line that is the only one at both ends pulls hardest."""
    here = places[number]
    pulls = [(places[n].x, STIFF if len(here.above) == 1 and len(places[n].below) == 1 else 1.0) for n in here.above]
    pulls += [(places[n].x, STIFF if len(here.below) == 1 and len(places[n].above) == 1 else 1.0) for n in here.below]
    return sum(x * weight for x, weight in pulls) / sum(weight for _, weight in pulls) if pulls else here.x


def _pack(places: Sequence[_Place], row: Sequence[int], wanted: Sequence[float]) -> None:
    """Place a row in its order, nowhere overlapping, with the least squared distance from `wanted` (pool adjacent violators)."""
    if not row:
        return
    shift, shifts = 0.0, [0.0]
    for left, right in pairwise(row):
        lanes = places[left].node is None and places[right].node is None
        shift += (places[left].width + places[right].width) / 2 + (2 if lanes else GAP_X)
        shifts.append(shift)
    blocks: list[tuple[float, int]] = []
    for value, moved in zip(wanted, shifts, strict=True):
        blocks.append((value - moved, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, m), (b, n) = blocks[-2:]
            blocks[-2:] = [((a * m + b * n) / (m + n), m + n)]
    level = [value for value, count in blocks for _ in range(count)]
    for number, base, moved in zip(row, level, shifts, strict=True):
        places[number].x = base + moved


def _drawn(places: Sequence[_Place], ways: Sequence[Sequence[int]], title: str, *, standalone: bool) -> Markup:
    heights = [0.0] * (1 + max((place.row for place in places), default=0))
    for place in places:
        if place.node is not None:
            heights[place.row] = max(heights[place.row], _height(place.node))
    tops, y = [], 8.0
    for height in heights:
        tops.append(y)
        y += height + GAP_Y
    left = min((place.x - place.width / 2 for place in places), default=0) - 8
    right = max((place.x + place.width / 2 for place in places), default=0) + 8
    arrows = [_arrow([places[n] for n in way], tops, heights) for way in ways]
    boxes = [_box(place, tops[place.row]) for place in places if place.node is not None]
    style = f"<style>{palette.css()}svg{{background:var(--paper)}}</style>" if standalone else ""
    name = f"<title>{escape(title)}</title>" if title else ""
    namespace = ' xmlns="http://www.w3.org/2000/svg"' if standalone else ""
    head = (
        f'<svg{namespace} role="img" viewBox="{left:.0f} 0 {right - left:.0f} {y - GAP_Y + 8:.0f}" width="{right - left:.0f}" '
        f'height="{y - GAP_Y + 8:.0f}" font-family="system-ui,sans-serif" font-size="11">{name}{style}'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="var(--soft)"/></marker></defs>'
    )
    return Markup(f"{head}{''.join(arrows)}{''.join(boxes)}</svg>")  # noqa: S704 - every word in it is escaped


def _width(node: Node) -> float:
    letters = [len(line) * (CHARACTER if number else BOLD) for number, line in enumerate(node.lines)]
    return max(WIDTH, max(letters, default=0) + 2 * PAD + 8)


def _height(node: Node) -> float:
    return len(node.lines) * LINE + 2 * PAD - 3


def _arrow(way: Sequence[_Place], tops: Sequence[float], heights: Sequence[float]) -> str:
    """Draw one edge: down its lanes, a soft bend between rows."""
    first, last = way[0], way[-1]
    x, y = first.x, tops[first.row] + (_height(first.node) if first.node else 0)
    path = f"M{x:.1f} {y:.1f}"
    for place in way[1:]:
        top = tops[place.row]
        bend = max(10.0, (top - y) / 2)
        path += f"C{x:.1f} {y + bend:.1f} {place.x:.1f} {top - bend:.1f} {place.x:.1f} {top - (1 if place is last else 0):.1f}"
        x, y = place.x, top
        if place is not last:
            y = top + heights[place.row]
            path += f"V{y:.1f}"
    return f'<path d="{path}" fill="none" stroke="var(--soft)" stroke-width="1.1" marker-end="url(#tip)"/>'


def _box(place: _Place, top: float) -> str:
    node = place.node
    if node is None:
        return ""
    x, height = place.x - place.width / 2, _height(node)
    looks = ['fill="var(--ink)" font-weight="600"', *['fill="var(--soft)"'] * len(node.lines)]
    words = "".join(
        f'<text x="{x + PAD + 5:.1f}" y="{top + PAD + 8 + LINE * number:.1f}" {look}>{escape(line)}</text>'
        for number, (line, look) in enumerate(zip(node.lines, looks, strict=False))
    )
    colour = KINDS.get(node.kind, "soft")
    hint = f"<title>{escape(node.hint)}</title>" if node.hint else ""
    return (
        f'<g>{hint}<rect x="{x:.1f}" y="{top:.1f}" width="{place.width:.1f}" height="{height:.1f}" rx="3" fill="var(--raised)" '
        f'stroke="var(--line)"/><rect x="{x:.1f}" y="{top:.1f}" width="4" height="{height:.1f}" rx="1.5" '
        f'fill="var(--{colour})"/>{words}</g>'
    )
