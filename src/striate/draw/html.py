"""One self-contained HTML document: inline CSS, no scripts, nothing fetched; light and dark, on a phone and on paper.

Every helper returns `Markup`; every plain string that goes in is escaped, so that a class called `<b>` shows as text.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from striate.core.errors import ArgumentError
from striate.draw import palette
from striate.draw.canvas import FONT, Figure

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Piece = str | Markup
"""Plain text (escaped) or finished HTML."""


@dataclass(frozen=True)
class Section:
    """A part of the page: its title (also in the navigation), one sentence under it, and its pieces in order."""

    title: str
    pieces: Sequence[Piece]
    intro: Piece = ""
    short: str = ""
    """The title in the navigation, when the whole one is long."""


def page(title: str, sections: Sequence[Section], *, lead: Piece = "", facts: Mapping[str, object] | None = None, foot: Piece = "") -> str:
    """Return the whole document.

    `lead`: a sentence or a piece under the title; `facts`: the few figures that matter most, shown large, unit and all; `foot`: the last line.
    """
    anchors = _anchors(section.short or section.title for section in sections)
    links = Markup("").join(
        Markup('<li><a href="#{}">{}</a></li>').format(anchor, section.short or section.title)
        for anchor, section in zip(anchors, sections, strict=True)
    )
    navigation = Markup('<nav aria-label="Sections"><ul>{}</ul></nav>').format(links) if len(sections) > 1 else Markup("")
    figures = Markup("").join(Markup("<div><dt>{}</dt><dd>{}</dd></div>").format(name, _shown(value)) for name, value in (facts or {}).items())
    parts = Markup("").join(_section(section, anchor) for section, anchor in zip(sections, anchors, strict=True))
    document = str(
        Markup(_PAGE).format(  # noqa: S704 - our own literal
            title=title,
            style=Markup(palette.css() + _CSS),  # noqa: S704 - our own literals
            lead=Markup('<div class="lead">{}</div>').format(_block(lead)) if lead else "",
            facts=Markup('<dl class="figures">{}</dl>').format(figures) if facts else "",
            navigation=navigation,
            sections=parts,
            foot=Markup("<footer>{}</footer>").format(_block(foot)) if foot else "",
        )
    )
    return _UNWRITABLE.sub("\ufffd", document)


def text(words: Piece) -> Markup:
    """Return a paragraph."""
    return Markup("<p>{}</p>").format(words)


def heading(words: str) -> Markup:
    """Return a smaller heading inside a section."""
    return Markup("<h3>{}</h3>").format(words)


def warning(words: Piece) -> Markup:
    """Return a paragraph that asks for attention."""
    return Markup('<p class="warning"><span aria-hidden="true">▲</span> {}</p>').format(words)


def figure(drawing: Figure | Markup, caption: Piece = "") -> Markup:
    """Return a figure (or a finished piece) with its caption."""
    body = Markup(drawing.svg()) if isinstance(drawing, Figure) else drawing  # noqa: S704 - canvas escapes every word in it
    words = Markup("<figcaption>{}</figcaption>").format(caption) if caption else ""
    return Markup('<figure><div class="scroll">{}</div>{}</figure>').format(body, words)


def side_by_side(pieces: Iterable[Markup]) -> Markup:
    """Return pieces next to each other where the screen is wide, below each other where it is not."""
    return Markup('<div class="pair">{}</div>').format(Markup("").join(pieces))


def facts(values: Mapping[str, object]) -> Markup:
    """Return names and values as a quiet list of two columns; numbers and plain strings are escaped, None shows as a dash."""
    rows = Markup("").join(Markup("<div><dt>{}</dt><dd>{}</dd></div>").format(name, _shown(value)) for name, value in values.items())
    return Markup('<dl class="facts">{}</dl>').format(rows)


def table(
    rows: Sequence[Mapping[str, object]], *, columns: Mapping[str, str] | None = None, caption: str = "", foot: Mapping[str, object] | None = None
) -> Markup:
    """Return a table of `rows` (mappings with equal keys). Numbers stand right in tabular figures; the first column names the row.

    `columns`: key to shown name, in order (default: the first row's keys); `foot`: a last row, such as totals. Raises `ArgumentError`.
    """
    if not rows:
        raise ArgumentError("rows: got none, expected at least one mapping")
    names = dict(columns) if columns is not None else {str(key): str(key) for key in rows[0]}
    for number, row in enumerate(rows):
        if missing := [key for key in names if key not in row]:
            raise ArgumentError(f"row {number}: no {', '.join(missing)}; it has {', '.join(map(str, row))}")
    right = {key: all(_numeric(row[key]) for row in rows) for key in names}
    head = Markup("").join(Markup('<th scope="col"{}>{}</th>').format(_side(right[key]), shown) for key, shown in names.items())

    def line(row: Mapping[str, object]) -> Markup:
        cells = []
        for place, key in enumerate(names):
            tag = Markup('<th scope="row"{}>{}</th>') if place == 0 else Markup("<td{}>{}</td>")
            cells.append(tag.format(_side(right[key]), _shown(row.get(key, ""))))
        return Markup("<tr>{}</tr>").format(Markup("").join(cells))

    body = Markup("").join(line(row) for row in rows)
    last = Markup("<tfoot>{}</tfoot>").format(line(foot)) if foot else ""
    title = Markup("<caption>{}</caption>").format(caption) if caption else ""
    return Markup('<div class="scroll" tabindex="0"><table>{}<thead><tr>{}</tr></thead><tbody>{}</tbody>{}</table></div>').format(
        title, head, body, last
    )


def code(source: str, language: str = "") -> Markup:
    """Return a block of code; `language` is shown above it."""
    label = Markup('<span class="language">{}</span>').format(language) if language else ""
    return Markup('<div class="code">{}<pre tabindex="0"><code>{}</code></pre></div>').format(label, source.rstrip())


def folded(title: str, pieces: Iterable[Piece], *, opened: bool = False) -> Markup:
    """Return pieces that open with a click or a key; on paper they are open."""
    inner = Markup("").join(_block(piece) for piece in pieces)
    return Markup("<details{}><summary>{}</summary>{}</details>").format(Markup(" open") if opened else "", title, inner)


def image_source(picture: ArrayLike, *, largest: int = 480) -> str:
    """Return a picture (as `draw.grid` takes it) as a `data:` address: PNG, or JPEG for photographs of 64 pixels and more."""
    from PIL import Image

    from striate.draw.images import SMALL_PICTURE, as_rgb, fitted

    rgb = fitted(as_rgb(picture), largest, largest)
    photograph = max(rgb.shape[:2]) >= SMALL_PICTURE
    stream = io.BytesIO()
    image = Image.fromarray(rgb)
    if photograph:
        image.save(stream, "JPEG", quality=88, subsampling=0)
    else:
        (image.convert("L") if (rgb[..., :1] == rgb).all() else image).save(stream, "PNG", optimize=True)
    return f"data:image/{'jpeg' if photograph else 'png'};base64,{base64.b64encode(stream.getvalue()).decode()}"


def pictures(
    items: Sequence[ArrayLike],
    captions: Sequence[Piece] | None = None,
    *,
    details: Sequence[str] | None = None,
    size: int = 84,
    label: str = "pictures",
) -> Markup:
    """Return pictures as a grid that flows with the screen, each with a small caption; small pictures keep their hard pixels.

    `details`: what a screen reader says and the pointer shows for each; `size`: CSS pixels a side. Raises `ArgumentError`.
    """
    import numpy as np

    from striate.draw.images import SMALL_PICTURE

    for name, given in (("captions", captions), ("details", details)):
        if given is not None and len(given) != len(items):
            raise ArgumentError(f"{name}: got {len(given)} for {len(items)} pictures")
    cells = []
    for number, item in enumerate(items):
        words = captions[number] if captions is not None else ""
        said = details[number] if details is not None else escape(words).striptags() if words else f"{label} {number + 1}"
        hard = Markup(' class="hard"') if max(np.shape(item)) < SMALL_PICTURE else ""
        image = Markup('<img{} src="{}" alt="{}" title="{}" loading="lazy">').format(hard, image_source(item, largest=3 * size), said, said)
        under = Markup("<figcaption>{}</figcaption>").format(words) if words else ""
        cells.append(Markup("<li><figure>{}{}</figure></li>").format(image, under))
    return Markup('<ul class="pictures" style="--side:{}px" aria-label="{}">{}</ul>').format(size, label, Markup("").join(cells))


def _section(section: Section, anchor: str) -> Markup:
    intro = Markup('<p class="intro">{}</p>').format(section.intro) if section.intro else ""
    body = Markup("").join(_block(piece) for piece in section.pieces)
    return Markup('<section id="{0}" aria-labelledby="{0}-title"><h2 id="{0}-title">{1}</h2>{2}{3}</section>').format(
        anchor, section.title, intro, body
    )


def _block(piece: Piece) -> Markup:
    return piece if isinstance(piece, Markup) else text(piece)


def _anchors(titles: Iterable[str]) -> list[str]:
    found: list[str] = []
    for title in titles:
        plain = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "section"
        anchor, number = plain, 2
        while anchor in found:
            anchor, number = f"{plain}-{number}", number + 1
        found.append(anchor)
    return found


def _shown(value: object) -> Markup:
    if isinstance(value, float):
        from striate.draw.numbers import short

        return escape(short(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return escape(f"{value:,}")
    return escape("–" if value is None else value)


def _numeric(value: Any) -> bool:
    """Whether a cell reads as a number: numbers, None, and words such as `0.82 %` or `–`."""
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return True
    return (
        isinstance(value, str)
        and not isinstance(value, Markup)
        and bool(re.fullmatch(r"[−+-]?[\d.,]+(\s?[%×a-zA-Zµ/]{0,4})?( ± .*)?|–|", value.strip()))
    )


def _side(right: bool) -> Markup:
    return Markup(' class="number"') if right else Markup("")


_UNWRITABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
"""What UTF-8 or HTML cannot hold; names of files and classes may."""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="generator" content="striate">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header><h1>{title}</h1>{lead}{facts}</header>
{navigation}
<main id="main">
{sections}
</main>
{foot}
</body>
</html>
"""

_CSS = (
    "*{box-sizing:border-box}"
    f"html{{font:16px/1.55 {FONT};background:var(--paper);color:var(--ink);-webkit-text-size-adjust:100%;scroll-padding-top:3.5rem}}"
    "body{max-width:64rem;margin:0 auto;padding:2.5rem 1.25rem 4rem;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}"
    "h1{font-size:clamp(1.6rem,1.1rem + 2.2vw,2.4rem);line-height:1.15;letter-spacing:-.015em;margin:0 0 .6rem;text-wrap:balance}"
    "h2{font-size:1.3rem;line-height:1.25;letter-spacing:-.01em;margin:0 0 .35rem;text-wrap:balance}"
    "h3{font-size:1rem;margin:1.8rem 0 .4rem}"
    "p{margin:.5rem 0;max-width:44rem}a{color:var(--accent);text-underline-offset:.15em}"
    ":focus-visible{outline:2px solid var(--accent);outline-offset:2px;border-radius:2px}"
    ".skip{position:absolute;left:-99rem}.skip:focus{position:static}"
    ".lead,.lead p,.intro{color:var(--soft)}.lead{font-size:1.05rem}.lead p{margin:.2rem 0}.intro{margin:0 0 1rem}"
    "section{margin:3.2rem 0 0}"
    ".figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.5rem,1fr));gap:1.2rem 2rem;margin:1.8rem 0 0;padding:0}"
    ".figures div{display:flex;flex-direction:column-reverse;justify-content:flex-end}"
    ".figures dt{color:var(--soft);font-size:.85rem}.figures dd{margin:0;font-size:1.65rem;line-height:1.2;font-weight:600;letter-spacing:-.01em}"
    "nav{position:sticky;top:0;z-index:1;background:var(--paper);margin:2rem -1.25rem 0;padding:0 1.25rem;border-bottom:1px solid var(--line)}"
    "nav ul{display:flex;gap:1.4rem;list-style:none;margin:0;padding:.65rem 0;overflow-x:auto;scrollbar-width:none}"
    "nav ul::-webkit-scrollbar{display:none}nav a{color:var(--soft);text-decoration:none;white-space:nowrap;font-size:.9rem}"
    "nav a:hover{color:var(--accent)}"
    "figure{margin:1.2rem 0}figcaption{color:var(--soft);font-size:.85rem;max-width:44rem;margin-top:.3rem}"
    ".scroll{overflow-x:auto;max-width:100%}svg.plot{display:block;max-width:100%;height:auto}"
    ".pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,24rem),1fr));gap:0 2.5rem;align-items:start}"
    "table{border-collapse:collapse;font-size:.92rem;margin:.8rem 0;min-width:min(100%,24rem)}"
    "caption{text-align:left;color:var(--soft);font-size:.85rem;padding-bottom:.3rem}"
    "th,td{padding:.32rem 1.4rem .32rem 0;text-align:left;vertical-align:baseline;overflow-wrap:normal}th:last-child,td:last-child{padding-right:0}"
    "thead th{color:var(--soft);font-weight:500;font-size:.85rem;border-bottom:1px solid var(--ink)}tbody th{font-weight:500}"
    "tbody tr+tr>*{border-top:1px solid var(--line)}tfoot tr>*{border-top:1px solid var(--ink);font-weight:600}"
    ".number{text-align:right;white-space:nowrap}"
    ".facts{margin:.8rem 0;font-size:.92rem}.facts>div{display:grid;grid-template-columns:minmax(7rem,11rem) 1fr;gap:1rem;padding:.3rem 0;"
    "border-bottom:1px solid var(--line)}.facts dt{color:var(--soft)}.facts dd{margin:0}"
    ".code{position:relative;margin:.8rem 0}pre{background:var(--raised);border-radius:6px;padding:.9rem 1rem;margin:0;overflow-x:auto;"
    "font:.86rem/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,'Liberation Mono',monospace;overflow-wrap:normal}"
    ".language{display:block;color:var(--soft);font-size:.78rem;margin-bottom:.2rem}"
    ".pictures{display:grid;grid-template-columns:repeat(auto-fill,minmax(var(--side),1fr));gap:.6rem .35rem;list-style:none;margin:1rem 0;padding:0}"
    ".pictures figure{margin:0}.pictures img{display:block;width:100%;max-width:calc(var(--side)*1.4);aspect-ratio:1;"
    "object-fit:contain;object-position:left bottom}"
    ".hard{image-rendering:pixelated}.pictures figcaption{font-size:.78rem;line-height:1.3;margin-top:.15rem}"
    ".warning{border-left:3px solid var(--bad);padding:.1rem 0 .1rem .8rem}.warning span{color:var(--bad)}"
    "details{margin:1rem 0}summary{cursor:pointer;color:var(--accent)}"
    "footer{margin-top:4rem;padding-top:1rem;border-top:1px solid var(--line);color:var(--soft);font-size:.85rem}"
    "@media(prefers-reduced-motion:no-preference){html{scroll-behavior:smooth}}"
    "@media(max-width:36rem){body{padding-top:1.6rem}section{margin-top:2.4rem}.facts>div{grid-template-columns:1fr;gap:0}"
    "th,td{padding-right:.9rem}.figures{grid-template-columns:1fr 1fr;gap:1rem}.figures dd{font-size:1.4rem}}"
    "@media print{@page{margin:16mm}html{font-size:10.5pt}body{max-width:none;padding:0}nav,.skip{display:none}section{margin-top:1.6rem}"
    "h2,h3{break-after:avoid}figure,tr,.code,.pictures li{break-inside:avoid}pre{white-space:pre-wrap;overflow-wrap:anywhere}"
    ".pair{grid-template-columns:1fr 1fr;gap:0 1.5rem}a{color:inherit;text-decoration:none}"
    ".scroll{overflow:visible}details::details-content{content-visibility:visible;display:block;height:auto}"
    ".pictures{grid-template-columns:repeat(auto-fill,minmax(calc(var(--side)*.75),1fr))}}"
)
