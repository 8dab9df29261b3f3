"""`striate models`: the architectures one can train."""

from __future__ import annotations

from striate.cli.output import print_json, say, table
from striate.cli.registry import command


@command(
    "models",
    help="List the architectures: name, year, parameters.",
    section="Reference",
    options={"pattern": "Only names that match, such as 'resnet*'.", "json": "Print JSON instead of a table."},
    examples=("striate models", "striate models 'resnet*'"),
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
        print_json([{"name": entry.name, **entry.facts, "help": entry.help} for entry in found])
        return
    rows = [(entry.name, entry.facts.get("year"), _thousands(entry.facts.get("parameters")), entry.help) for entry in found]
    table(("name", "year", "parameters", "what it is"), rows)
    say("Train one: striate train digits --model NAME", style="dim")


def _thousands(count: int | None) -> str:
    return "" if count is None else f"{count:,}"
