"""`striate models`: the architectures one can train, what they cost, and one of them stage by stage."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from striate.cli.output import aside, facts, print_json, say, shown_path, table
from striate.cli.registry import command
from striate.core.errors import ArgumentError, unknown_name

if TYPE_CHECKING:
    from striate.core.registry import Entry

Sort = Literal["name", "year", "parameters", "gmacs", "memory", "field", "error"]
SETS = ("ImageNet", "CIFAR-10", "MNIST", "Movie reviews")
ERROR = re.compile(r":[^%\d]*(\d+(?:\.\d+)?)(?: / [\d.]+)? ?%")


@command(
    "models",
    help="List the architectures with size, work and error; draw one.",
    section="Reference",
    options={
        "pattern": "A name, to see its card and stages, or a pattern such as 'resnet*' or 'timm:resnet*'.",
        "sort": "The column to sort by.",
        "svg": "Draw the one architecture named, branches and all, into this file.",
        "depth": "Fold the drawing's blocks this many names deep; 0 draws every operation. By default what can be read.",
        "json": "Print JSON instead of a table.",
    },
    metavars={"svg": "FILE"},
    complete={"pattern": "models", "svg": "files"},
    examples=("striate models", "striate models 'resnet*' --sort gmacs", "striate models resnet50", "striate models googlenet --svg googlenet.svg"),
)
def models(
    pattern: str = "*",
    *,
    sort: Literal["name", "year", "parameters", "gmacs", "memory", "field", "error"] = "name",
    svg: Path | None = None,
    depth: int | None = None,
    json: bool = False,
) -> None:
    """List the zoo from its sources, without torch; one name alone is measured and drawn."""
    from fnmatch import fnmatchcase

    from striate.zoo import outside
    from striate.zoo.registry import architectures

    if outside.is_outside(pattern):
        _list_outside(pattern, json=json)
        return
    found = [entry for entry in architectures if fnmatchcase(entry.name, pattern)]
    if not found:
        raise unknown_name("architecture", pattern, architectures.names())
    alone = len(found) == 1 and found[0].name == pattern
    for flag, given in (("--svg", svg), ("--depth", depth)):
        if given is not None and not alone:
            raise ArgumentError(f"{flag}: draws one architecture, and {pattern!r} means {len(found)}; give one name")
    if depth is not None and svg is None:
        raise ArgumentError("--depth: belongs to --svg FILE")
    rows = sorted((_row(entry) for entry in found), key=lambda row: (row[sort] is None, row[sort], row["name"]))
    if json:
        print_json(rows)
    elif alone:
        _card(found[0], rows[0])
    else:
        _list(rows)
    if svg is not None:
        _draw(pattern, svg, depth)
        aside(f"drawing  {shown_path(svg)}")


def _row(entry: Entry) -> dict[str, Any]:
    """Return one architecture's figures; `field` is the receptive field in pixels, `memory` bytes of weights and of one picture in training."""
    from striate.zoo.figures import figures

    told = figures().get(entry.name, {})
    count = entry.facts["parameters"]
    error, of = _error(told.get("error", ""))
    return {
        "name": entry.name,
        "year": entry.facts["year"],
        "parameters": count,
        "gmacs": told["multiply_adds"] / 1e9 if told else None,
        "memory": 4 * count + told["stored"] if told else None,
        "field": told.get("receptive_field"),
        "error": error,
        "error_of": of,
        "input": told.get("input"),
        "help": entry.help,
        "options": {p.name: {"type": p.annotation, "default": p.default} for p in entry.signature.parameters if p.keyword_only},
    }


def _error(words: str) -> tuple[float | None, str]:
    """Read a card's sentence about the published error: percent, and of what; (None, "") where it names none."""
    found = ERROR.search(words)
    if not found:
        return None, ""
    data = next((name for name in SETS if name in words), words.partition(":")[0])
    return float(found[1]), f"{data}, top 5" if "top 5" in words and "top 1" not in words else data


def _list(rows: list[dict[str, Any]]) -> None:
    heads = ("name", "year", "parameters", "GMACs", "memory", "field", "error", "what it is")
    table(heads, [(row["name"], row["year"], f"{row['parameters']:,}", *_costs(row), row["help"]) for row in rows])
    say()
    say("GMACs and memory (float32 weights, and what training keeps) are for one picture of the size the paper takes; field in pixels.", style="dim")
    say("Errors are as published, some for a relative of the form built here: the card says which. See one: striate models NAME", style="dim")


def _costs(row: dict[str, Any]) -> tuple[str, str, str, str]:
    error = "" if row["error"] is None else f"{row['error']:g} % {row['error_of']}"
    if row["gmacs"] is None:
        return "", "", "", error
    return (
        _figure(row["gmacs"]),
        f"{row['memory'] / 1e6:,.0f} MB" if row["memory"] >= 1e7 else f"{row['memory'] / 1e6:.1f} MB",
        f"{row['field'] or ''}",
        error,
    )


def _figure(gmacs: float) -> str:
    return f"{gmacs:.2f}" if gmacs >= 0.1 else f"{gmacs:.2g}" if gmacs >= 1e-4 else f"{gmacs:.5f}"


def _list_outside(pattern: str, *, json: bool) -> None:
    from striate.zoo import outside

    found = outside.names(pattern)
    if not found:
        raise ArgumentError(f"pattern: {pattern!r} matches nothing there")
    if json:
        print_json(list(found))
        return
    for name in found:
        say(name)


def _card(entry: Entry, row: dict[str, Any]) -> None:
    """Print what is known about one architecture, and its stages from input to output."""
    from striate import zoo

    card = zoo.card(entry.name)
    gmacs, memory, field, _ = _costs(row)
    say(f"{entry.name}: {entry.help}", style="bold")
    say()
    facts(
        {
            "paper": f"{card.paper}, {card.year}",
            "made for": f"{'x'.join(map(str, card.input))}, {card.classes} classes",
            "parameters": f"{card.parameters:,}",
            "GMACs": gmacs or None,
            "memory": f"{memory} for the weights and one picture in training" if memory else None,
            "field": f"{field} pixels" if field else None,
            "error": card.error or None,
            "recipe": card.recipe.name if card.recipe else None,
            "weights": card.weights or None,
            "deviations": card.deviations or None,
            "options": "; ".join(_option(name, told) for name, told in row["options"].items()) or "none",
            "cut points": ", ".join(card.cut_points) or None,
        }
    )
    say()
    _stages(entry.name)
    say()
    say(f"Train it: striate train digits --model {entry.name}", style="dim")
    say(f"See every box: striate summary {entry.name}, striate models {entry.name} --svg {entry.name}.svg", style="dim")


def _option(name: str, told: dict[str, Any]) -> str:
    choices = re.findall(r"'([^']+)'", told["type"])
    others = ", ".join(word for word in choices if word != told["default"])
    return f"{name}={told['default']}{f' (or {others})' if others else ''}"


def _stages(name: str) -> None:
    """Print one line a stage, as a column to be read from top to bottom."""
    from striate import zoo
    from striate.measure import summary, wire

    card = zoo.card(name)

    def factory() -> Any:
        return zoo.build(name, classes=card.classes, input=card.input)

    folded = {box.address: box for box in summary(factory, card.input).folded(1)}
    nodes = wire(factory, card.input, depth=1).nodes
    rows: list[tuple[str, ...]] = []
    for node in nodes:
        parts = [folded[path] for path in _members(node.hint, node.name) if path in folded]
        parameters, products = sum(box.parameters for box in parts), sum(box.multiply_adds for box in parts)
        what = " · ".join(node.lines[1:-1])
        rows.append((f"{'│ ' if rows else '┌ '}{node.name}", what, node.lines[-1], f"{parameters:,}" if parameters else "", _products(products)))
    rows[-1] = (rows[-1][0].replace("│", "└"), *rows[-1][1:])
    table(("stage", "what it does", "output", "parameters", "GMACs"), rows)


def _members(hint: str, name: str) -> list[str]:
    """The boxes a drawn box stands for: those of a straight run, or the block itself."""
    return hint.splitlines() if "\n" in hint or hint == name else [name]


def _products(count: int) -> str:
    return _figure(count / 1e9) if count else ""


def _draw(name: str, target: Path, depth: int | None) -> None:
    from striate import zoo
    from striate.core.storage import write_text
    from striate.draw import network
    from striate.measure import wire

    if target.suffix.lower() != ".svg":
        raise ArgumentError(f"--svg {target}: expected a name that ends in .svg")
    card = zoo.card(name)
    found = wire(lambda: zoo.build(name, classes=card.classes, input=card.input), card.input, depth=depth)
    write_text(target, str(network(found.nodes, found.edges, title=f"{name} for inputs of {'×'.join(map(str, card.input))}", standalone=True)))
