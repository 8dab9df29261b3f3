"""A figure that renders itself as SVG (in the page's font and colours) or PNG (on white), and never touches matplotlib's global state for long."""

from __future__ import annotations

import hashlib
import io
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate.core.errors import ArgumentError
from striate.core.storage import atomic, write_text
from striate.draw import palette

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', Arial, sans-serif"
TEXT, SMALL = 12.0, 10.5
"""Sizes of words in CSS pixels: labels, captions."""

_lock = threading.RLock()
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "striate",
    "text.parse_math": False,
    "font.size": TEXT,
    "axes.edgecolor": palette.ROLES["soft"][0],
    "axes.labelcolor": palette.ROLES["soft"][0],
    "axes.labelsize": SMALL,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "axes.unicode_minus": True,
    "figure.facecolor": "none",
    "grid.color": palette.ROLES["line"][0],
    "grid.linewidth": 0.8,
    "text.color": palette.ROLES["ink"][0],
    "xtick.color": palette.ROLES["soft"][0],
    "ytick.color": palette.ROLES["soft"][0],
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "lines.solid_joinstyle": "round",
    "patch.linewidth": 0,
    "legend.frameon": False,
}


class Figure:
    """A drawing of `width` x `height` CSS pixels. `build` is called with an empty matplotlib figure (72 units an inch: one unit, one pixel).

    `title` is what a screen reader says.
    """

    def __init__(self, width: float, height: float, build: Callable[[Canvas], None], *, title: str) -> None:
        self.width, self.height, self.title = float(width), float(height), printable(title)
        self._build = build

    def svg(self, *, standalone: bool = False) -> str:
        """Return SVG for putting inside a page that carries `palette.css()`; `standalone=True` brings the colours along."""
        from matplotlib.image import AxesImage

        with self._drawn() as canvas:
            for image in canvas.findobj(AxesImage):
                image.set_interpolation("none")  # with all its pixels: the browser knows how dense the screen is
            stream = io.StringIO()
            canvas.savefig(stream, format="svg", dpi=72, transparent=True, metadata={"Date": None, "Creator": None, "Type": None, "Format": None})
        return _dressed(stream.getvalue(), self, standalone=standalone)

    def png(self, scale: float = 2) -> bytes:
        """Return PNG bytes on white, `scale` device pixels for each CSS pixel."""
        with self._drawn() as canvas:
            stream = io.BytesIO()
            canvas.savefig(stream, format="png", dpi=72 * scale, facecolor="#ffffff", metadata={"Software": None})
        return stream.getvalue()

    def save(self, path: str | Path) -> Path:
        """Write `.svg` or `.png`, told by the name's ending, in one step; raises `ArgumentError` for another ending."""
        target = Path(path)
        kind = target.suffix.lower()
        if kind == ".svg":
            write_text(target, self.svg(standalone=True))
        elif kind == ".png":
            with atomic(target) as stream:
                stream.write(self.png())
        else:
            raise ArgumentError(f"{target}: a figure can be saved as .svg or .png, not as {kind or 'a file without an ending'}")
        return target

    def __repr__(self) -> str:
        return f"Figure({self.width:g} x {self.height:g}, {self.title!r})"

    @contextmanager
    def _drawn(self) -> Iterator[Canvas]:
        import matplotlib as mpl
        from matplotlib.figure import Figure as Canvas

        with _lock, warnings.catch_warnings(), mpl.rc_context():
            mpl.rcdefaults()  # the user's own matplotlibrc must not change our figures
            mpl.rcParams.update(_STYLE)
            mpl.rcParams["font.family"] = _fonts()
            # A script that the PNG font lacks is drawn as boxes there; in the SVG the browser's own fonts show it.
            warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
            canvas = Canvas(figsize=(self.width / 72, self.height / 72), dpi=72)
            self._build(canvas)
            yield canvas


def frame(canvas: Canvas, title: str, *, right: float = 0, left: float = 0, bottom: float = 0) -> Axes:
    """Return one axes under a bold title, laid out to fit its labels, with so many pixels kept free at its sides."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    width, height = canvas.get_size_inches() * 72
    head = headline(canvas, title)
    engine = ConstrainedLayoutEngine(w_pad=2 / 72, h_pad=2 / 72, hspace=0, wspace=0)
    engine.set(rect=(left / width, bottom / height, 1 - (left + right) / width, 1 - (head + bottom) / height))
    canvas.set_layout_engine(engine)
    return canvas.add_subplot()


def settle(canvas: Canvas) -> None:
    """Lay the figure out and freeze it, so that positions on it can be asked for."""
    canvas.draw_without_rendering()
    canvas.set_layout_engine("none")


def title_height(title: str, width: float) -> float:
    """Return how many pixels `headline` takes."""
    return len(_wrapped(title, width)) * 17 + 10 if title else 0.0


def headline(canvas: Canvas, title: str) -> float:
    """Write `title` at the top left, wrapped; return the height it takes in pixels."""
    if not title:
        return 0.0
    width, height = canvas.get_size_inches() * 72
    for number, line in enumerate(_wrapped(title, width)):
        canvas.text(1 / width, 1 - (number * 17 + 2) / height, line, va="top", ha="left", fontsize=13, fontweight="bold", in_layout=False)
    return title_height(title, width)


def note(canvas: Canvas, text: str) -> None:
    """Write a small remark at the bottom right."""
    if text:
        width, height = canvas.get_size_inches() * 72
        soft = palette.ROLES["soft"][0]
        canvas.text(1 - 2 / width, 2 / height, text, ha="right", va="bottom", fontsize=9.5, color=soft, in_layout=False)


def text_width(text: str, size: float = TEXT) -> float:
    """Return about how many pixels `text` takes: wide scripts count double."""
    import unicodedata

    return sum(1.0 if unicodedata.east_asian_width(c) in "WF" else 0.6 for c in text) * size


def printable(text: str) -> str:
    """Return `text` with control characters and halves of broken characters as blanks: names of files and classes may hold any."""
    return "".join(c if c.isprintable() else " " for c in text)


def clipped(text: str, width: float, size: float = TEXT) -> str:
    """Return `text` cut with an ellipsis to fit `width` pixels; control characters become blanks."""
    clean = printable(text)
    if text_width(clean, size) <= width:
        return clean
    while clean and text_width(clean + "…", size) > width:
        clean = clean[:-1]
    return clean.rstrip() + "…"


def _wrapped(title: str, width: float) -> list[str]:
    lines: list[str] = []
    for word in printable(title).split():
        if lines and text_width(f"{lines[-1]} {word}", 13.6) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


@cache
def _fonts() -> list[str]:
    """The PNG's fonts: matplotlib's own, then whatever this machine has for further scripts."""
    from matplotlib.font_manager import fontManager

    wanted = (
        "Noto Sans CJK JP",
        "Noto Sans CJK SC",
        "Hiragino Sans",
        "PingFang SC",
        "Microsoft YaHei",
        "Noto Sans Devanagari",
        "Noto Sans Thai",
        "Arial Unicode MS",
    )
    present = {font.name for font in fontManager.ttflist}
    return ["DejaVu Sans", *(name for name in wanted if name in present)]


_TAG = re.compile(r"<[^>]*>")
_COLOUR = re.compile(r"#[0-9a-f]{6}\b")
_FAMILY = re.compile(r"(font: [^;\"]*?px) [^;\"]*|font-family: [^;\"]*")


def _dressed(raw: str, figure: Figure, *, standalone: bool) -> str:
    """Turn matplotlib's SVG into a piece of the page: variables for colours, the page's font, ids that no other figure has."""
    from markupsafe import escape

    body = raw[raw.index("<svg") :]
    body = body[body.index(">") + 1 : body.rindex("</svg>")]
    body = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", body, flags=re.DOTALL)
    by_colour = {pair[0]: f"var(--{name},{pair[0]})" for name, pair in palette.variables().items()}
    prefix = "f" + hashlib.blake2b((figure.title + body).encode(), digest_size=5).hexdigest()

    def dress(match: re.Match[str]) -> str:
        tag = match[0]
        if "data:image" in tag:
            if 'id="smooth' in tag:
                tag = re.sub(r'style="image-rendering[^"]*"', "", tag)
            head, data, tail = tag.partition("data:image")
            body_end = tail.index('"')
            return re.sub(r'id="[^"]*"', "", head) + data + tail[:body_end] + re.sub(r'id="[^"]*"', "", tail[body_end:])
        tag = _COLOUR.sub(lambda m: by_colour.get(m[0], m[0]), tag)
        tag = _FAMILY.sub(lambda m: f"{m[1]} {FONT}" if m[1] else f"font-family: {FONT}", tag)
        return re.sub(r'(\bid="|xlink:href="#|url\(#)', lambda m: m[1] + prefix + "-", tag)

    body = _TAG.sub(dress, body)
    name = str(escape(figure.title))
    size = f'viewBox="0 0 {figure.width:g} {figure.height:g}" width="{figure.width:g}" height="{figure.height:g}"'
    spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    colours = f"<style>{palette.css()}</style>" if standalone else ""
    look = 'style="font-variant-numeric:tabular-nums"'
    return f'<svg {spaces} {size} {look} class="plot" role="img" aria-label="{name}">{colours}{body.strip()}</svg>\n'
