"""Explanations as one HTML document that needs nothing else: a section a method, its figure, receipts, options and notes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from striate.core.errors import ArgumentError
from striate.draw import html
from striate.understand.figures import figure, titled
from striate.understand.registry import methods

if TYPE_CHECKING:
    from striate.understand.explanation import Explanation


def page(explanations: Sequence[Explanation], *, title: str = "", lead: str = "", failures: Sequence[str] = (), more: str = "") -> str:
    """Return the document; `failures`: methods that had nothing to say, and why; `more`: what else could be asked.

    Raises `ArgumentError` when there is nothing to show.
    """
    if not explanations:
        raise ArgumentError("explanations: got none, expected at least one")
    name = title or (titled(explanations[0]) if len(explanations) == 1 else "What the network sees")
    sections = [section(each) for each in explanations]
    if failures:
        sections.append(html.Section(f"{len(failures)} methods had nothing to say", [html.text(words) for words in failures], short="not shown"))
    if more:
        sections.append(html.Section("Not asked", [html.text(more)], short="not asked"))
    return html.page(name, sections, lead=lead)


def section(explanation: Explanation) -> html.Section:
    """Return one explanation as a section: figure, receipts, then how it was made."""
    help_line = methods.entry(explanation.method).help if explanation.method in methods else ""
    pieces: list[html.Piece] = [html.figure(figure(explanation, bare=True))]
    if explanation.receipts:
        pieces.append(html.facts({name.replace("_", " "): value for name, value in explanation.receipts.items()}))
    pieces += [html.text(note) for note in explanation.notes]
    options = {name: _shown(value) for name, value in explanation.options.items()}
    made = {"layer": explanation.layer, **options, "seed": explanation.seed, "model": explanation.fingerprints.get("model")}
    pieces.append(html.folded("How it was made", [html.facts({name: value for name, value in made.items() if value is not None})]))
    return html.Section(titled(explanation), pieces, intro=help_line, short=explanation.method)


def _shown(value: object) -> object:
    return value if isinstance(value, (int, float, str, Markup)) or value is None else str(value)
