"""`striate models`: the architectures one can train."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from striate.cli.output import facts, print_json, say, table
from striate.cli.registry import command

if TYPE_CHECKING:
    from striate.core.registry import Entry


@command(
    "models",
    help="List the architectures: name, year, parameters.",
    section="Reference",
    options={"pattern": "A name, to see its options, or a pattern such as 'resnet*'.", "json": "Print JSON instead of a table."},
    complete={"pattern": "models"},
    examples=("striate models", "striate models 'resnet*'", "striate models resnet18"),
)
def models(pattern: str = "*", *, json: bool = False) -> None:
    """List the zoo from its sources; torch is not imported."""
    from fnmatch import fnmatchcase

    from striate.core.errors import unknown_name
    from striate.zoo.registry import architectures

    found = [entry for entry in architectures if fnmatchcase(entry.name, pattern)]
    if not found:
        raise unknown_name("architecture", pattern, architectures.names())
    if json:
        print_json([{"name": entry.name, **entry.facts, "help": entry.help, "options": _options(entry)} for entry in found])
        return
    rows = [(entry.name, entry.facts.get("year"), _thousands(entry.facts.get("parameters")), entry.help) for entry in found]
    table(("name", "year", "parameters", "what it is"), rows)
    if len(found) == 1 and found[0].name == pattern:
        say()
        facts({name: f"{told['type']}, by default {told['default']}" for name, told in _options(found[0]).items()} or {"options": "it has none"})
    say("Train one: striate train digits --model NAME", style="dim")


def _options(entry: Entry) -> dict[str, dict[str, Any]]:
    return {p.name: {"type": p.annotation, "default": p.default} for p in entry.signature.parameters if p.keyword_only}


def _thousands(count: int | None) -> str:
    return "" if count is None else f"{count:,}"
