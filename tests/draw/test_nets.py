"""Drawings of networks: rows follow the arrows, nothing overlaps, lanes carry long edges, words are escaped."""

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.core.errors import ArgumentError
from striate.draw import Node, network

SVG = "{http://www.w3.org/2000/svg}"


def boxes(svg):
    """Name -> (left, top, right, bottom), read back from the drawing; names are the first lines."""
    root = ET.fromstring(str(svg))  # noqa: S314 - our own drawing
    found = {}
    for group in root.iter(f"{SVG}g"):
        frame = group.find(f"{SVG}rect").attrib
        x, y, width, height = (float(frame[key]) for key in ("x", "y", "width", "height"))
        found[group.find(f"{SVG}text").text] = (x, y, x + width, y + height)
    return found


def drawn(edges, count):
    nodes = [Node(f"n{i}", (f"n{i}", "conv 3×3" * (i % 4))) for i in range(count)]
    return network(nodes, [(f"n{a}", f"n{b}") for a, b in edges], standalone=True)


@given(st.sets(st.tuples(st.integers(0, 11), st.integers(0, 11)).filter(lambda pair: pair[0] < pair[1]), max_size=30))
def test_every_arrow_leads_down_and_no_two_boxes_overlap(edges):
    svg = drawn(sorted(edges), 12)
    found = boxes(svg)
    assert len(found) == 12
    for a, b in edges:
        assert found[f"n{a}"][3] < found[f"n{b}"][1]
    frames = list(found.values())
    for i, one in enumerate(frames):
        for other in frames[i + 1 :]:
            assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
    left, top, width, height = (float(v) for v in re.findall(r'viewBox="([^"]+)"', str(svg))[0].split())
    assert all(left <= f[0] and f[2] <= left + width and top <= f[1] and f[3] <= top + height for f in frames)
    assert str(svg).count("marker-end") == len(edges)


def test_a_shortcut_runs_beside_the_boxes_it_passes():
    svg = drawn([(0, 1), (1, 2), (2, 3), (0, 3)], 4)
    found = boxes(svg)
    lane = max((re.findall(r"[\d.-]+ [\d.-]+(?=V)", path), path) for path in re.findall(r'<path d="(M[^"]+)" fill="none"', str(svg)))[0]
    xs = [float(point.split()[0]) for point in lane]
    assert len(xs) == 2
    assert all(x < found[name][0] or x > found[name][2] for x, name in zip(xs, ("n1", "n2"), strict=True))


def test_a_plain_chain_is_straight_and_branches_are_balanced():
    found = boxes(drawn([(0, 1), (1, 2), (0, 3), (3, 2), (2, 4)], 5))
    middle = {name: (box[0] + box[2]) / 2 for name, box in found.items()}
    assert middle["n2"] == pytest.approx(middle["n4"], abs=1)
    assert middle["n0"] == pytest.approx((middle["n1"] + middle["n3"]) / 2, abs=1)
    assert found["n1"][1] == found["n3"][1]


def test_words_are_escaped_and_slips_are_named():
    svg = network([Node("a", ("<b>&", "x"), "conv", hint='"h"')], [], title="<t>", standalone=True)
    assert next(iter(boxes(svg))) == "<b>&"
    with pytest.raises(ArgumentError, match="same name"):
        network([Node("a", ("a",)), Node("a", ("a",))], [])
    with pytest.raises(ArgumentError, match="names 'c', which is no box"):
        network([Node("a", ("a",))], [("a", "c")])
    with pytest.raises(ArgumentError, match="run in a circle through"):
        drawn([(0, 1), (1, 2), (2, 1)], 3)


def test_nothing_at_all_is_an_empty_drawing():
    assert boxes(network([], [], standalone=True)) == {}
