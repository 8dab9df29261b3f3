"""The trace as one self-contained HTML page: the document, its viewer and its look in one file, nothing fetched."""

from __future__ import annotations

import json
import re
from importlib import resources

import numpy as np

from striate.draw import palette
from striate.tracing.document import as_json
from striate.tracing.traced import Trace

DIGITS = 9
"""Significant digits of a number on the page; the JSON document keeps them all."""
LARGEST = 400_000
"""Numbers a page may hold: beyond, it would open too slowly on a phone."""


def as_html(trace: Trace) -> str:
    """Return the page. Raises `ArgumentError` where the trace holds too many numbers for one."""
    document = json.dumps(as_json(trace, digits=DIGITS, largest=LARGEST), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    maps = {
        "signed": palette.colour(np.linspace(-1, 1, 65), signed=True).tolist(),
    }
    folder = resources.files("striate.tracing")
    parts = {
        "TITLE": _escaped(f"{trace.title}: trace"),
        "STYLE": palette.css() + (folder / "page.css").read_text(encoding="utf-8"),
        "DOCUMENT": _inside_script(document),
        "MAPS": json.dumps(maps, separators=(",", ":")),
        "TERMS": (folder / "page_terms.js").read_text(encoding="utf-8"),
        "DRAW": (folder / "page_maps.js").read_text(encoding="utf-8"),
        "VIEW": (folder / "page_view.js").read_text(encoding="utf-8"),
    }
    template = (folder / "page.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{([A-Z]+)\}\}", lambda found: parts[found[1]], template)


def _inside_script(text: str) -> str:
    """JSON that cannot end the script element it stands in."""
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _escaped(text: str) -> str:
    from markupsafe import escape

    return str(escape(text))
