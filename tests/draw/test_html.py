from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from markupsafe import Markup

from striate import draw
from striate.core.errors import ArgumentError
from striate.draw import html

HOSTILE = "<b>&\"'</script><script>alert(1)</script>\x07\udcff"
VOID = {"meta", "img", "br", "link"}


class Reader(HTMLParser):
    """Checks nesting and gathers text, tags and attributes."""

    def __init__(self, source):
        super().__init__()
        self.open, self.tags, self.attributes, self.words = [], [], [], []
        self.feed(source)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module", name="document")
def _document():
    small = np.zeros((8, 8), np.uint8)
    return html.page(
        HOSTILE,
        [
            html.Section(
                HOSTILE,
                [
                    HOSTILE,
                    html.table([{HOSTILE: HOSTILE, "n": 3}], foot={HOSTILE: "all", "n": 3}),
                    html.facts({HOSTILE: HOSTILE}),
                    html.code(HOSTILE, HOSTILE),
                    html.warning(HOSTILE),
                    html.folded(HOSTILE, [HOSTILE]),
                    html.pictures([small], [HOSTILE], details=[HOSTILE]),
                    html.figure(draw.bars({HOSTILE: 1.0}, HOSTILE), HOSTILE),
                ],
                intro=HOSTILE,
            ),
            html.Section(HOSTILE, []),
        ],
        lead=HOSTILE,
        facts={HOSTILE: HOSTILE},
        foot=HOSTILE,
    )


def test_nothing_hostile_becomes_markup(document):
    document.encode()
    read = Reader(document)
    assert "script" not in read.tags
    assert "b" not in read.tags
    assert "".join(read.words).count("alert(1)") >= 14


def test_the_document_is_self_contained(document):
    read = Reader(document)
    for name, value in read.attributes:
        if name in ("src", "href", "xlink:href") and value:
            assert value.startswith(("data:", "#")), value
    assert "@import" not in document
    assert not re.search(r"url\((?!#)", document)
    assert "default-src 'none'" in document


def test_links_meet_their_sections_and_ids_are_unique(document):
    read = Reader(document)
    ids = [value for name, value in read.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {value[1:] for name, value in read.attributes if name == "href"} <= set(ids)


def test_it_serves_phones_dark_rooms_paper_and_keyboards(document):
    for needed in ("width=device-width", "prefers-color-scheme:dark", "@media print", "prefers-reduced-motion", ":focus-visible", 'lang="en"'):
        assert needed in document


def test_finished_pieces_are_not_escaped_again():
    assert "<em>x</em>" in html.page("t", [html.Section("s", [Markup("<em>x</em>")])])


def test_table_aligns_numbers_and_keeps_the_order():
    made = str(
        html.table(
            [{"class": "cat", "n": 60000, "error": "0.82 %"}, {"class": "dog", "n": None, "error": "–"}],
            columns={"class": "", "error": "test error", "n": "n"},
        )
    )
    assert re.findall(r"<t[hd](?: [^>]*)?>([^<]*)<", made) == ["", "test error", "n", "cat", "0.82 %", "60,000", "dog", "–", "–"]
    assert made.count('class="number"') == 6


def test_table_names_the_missing_column():
    with pytest.raises(ArgumentError, match="row 1: no n; it has class"):
        html.table([{"class": "a", "n": 1}, {"class": "b"}])


def test_small_pictures_are_png_with_hard_pixels_and_photographs_jpeg():
    made = str(html.pictures([np.zeros((8, 8), np.uint8), np.zeros((100, 80, 3), np.uint8)], ["a", "b"]))
    assert made.count('class="hard"') == 1
    assert "data:image/png" in made
    assert "data:image/jpeg" in made
    with pytest.raises(ArgumentError, match="captions: got 1 for 2"):
        html.pictures([np.zeros((2, 2), np.uint8)] * 2, ["a"])
