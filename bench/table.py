"""One Markdown table of all results.

python bench/table.py               # bench/results/*.json -> docs/benchmarks.md
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import FORMAT, RESULTS, ROOT, BenchError, counted, say

ORDER = ("startup", "mnist-lenet5", "mnist-sprint28", "resnet18", "packs", "loader", "kill", "determinism", "ceilings")
HEAD = """# Benchmarks

Made by `python bench/table.py` from `bench/results/*.json`; each of those files holds every single measurement, the machine, the versions, the
command and the date. Figures are medians unless a mean is named; the range in brackets is that of all measurements, and what was measured a single
time says so. Jobs of one measurement ran in turn, A B A B, each in a process of its own. Ratios within one run are what to trust: absolute times
drift with a machine's load.
"""
LIMITS = """
A limit on a time that was set on one machine is scaled by how fast this one multiplies (the ceilings below); the scaled limit stands in brackets.
"""
MACHINE = ("processor", "cores", "threads", "instructions", "accelerator")


def results(folder: Path) -> list[dict[str, Any]]:
    """Return all results, in the order in which a reader asks for them."""
    found = []
    for path in sorted(folder.glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        if result.get("format") != FORMAT:
            raise BenchError(f"{path}: format {result.get('format')}, this script reads {FORMAT}; measure again: {result.get('command')}")
        found.append(result)
    return sorted(found, key=lambda result: (ORDER.index(result["name"]) if result["name"] in ORDER else len(ORDER), result["name"]))


def number(value: float) -> str:
    """Spell a figure with three digits that mean something: 0.0421, 1.85, 28.1, 12,300."""
    if value == round(value) and abs(value) < 10_000:
        return f"{value:,.0f}"
    if abs(value) >= 100:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.3g}"


def measured(row: Mapping[str, Any]) -> str:
    """Spell what was measured: the figure, its unit, the range where there is one."""
    text = f"**{number(counted(row))}** {row['unit']}".rstrip()
    if row["n"] > 1 and row["min"] != row["max"]:
        text += f" [{number(row['min'])} to {number(row['max'])}]"
    return text + (" (once)" if row["n"] == 1 else " (mean)" if "mean" in row else "")


def limit(row: Mapping[str, Any]) -> str:
    """Spell what is promised, and whether it holds."""
    if "limit" not in row:
        return ""
    text = f"{'≥' if row['at_least'] else '≤'} {number(row['limit'])}"
    if row["scaled_by"] and number(row["limit_here"]) != number(row["limit"]):
        text += f" [{number(row['limit_here'])} here]"
    return f"{text} {'✓' if row['holds'] else '✗ missed'}"


def cell(text: str) -> str:
    """Keep a text from breaking the table."""
    return text.replace("|", "\\|").replace("\n", " ")


def table(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the table's lines."""
    lines = ["| work | figure | measured | promised |", "|---|---|---|---|"]
    for result in found:
        for position, row in enumerate(result["rows"]):
            work = f"[{result['title']}](../bench/results/{result['name']}.json)" if position == 0 else ""
            lines.append(f"| {work} | {cell(row['what'])} | {measured(row)} | {limit(row)} |")
    return lines


def how(result: Mapping[str, Any]) -> list[str]:
    """Return the lines that say how one result came about."""
    machine, ceilings, load = result["machine"], result["ceilings"], result["machine"].get("load")
    facts = ", ".join(f"{name} {machine[name]}" for name in MACHINE if machine.get(name))
    lines = [f"### {result['title']}", "", f"`{result['command']}`, {result['date'][:10]}, commit {result['commit'] or 'unknown'}; {facts}."]
    if load:
        lines[-1] += f" Load at the end: {load[0]:g}."
    if ceilings:
        units = {name: "GiB/s" if name == "copy" else "GFLOP/s" for name in ceilings}
        lines.append("Ceilings: " + "; ".join(f"{name.replace('_', ' ')} {number(value)} {units[name]}" for name, value in ceilings.items()) + ".")
    spelled = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    lines.append(f"Versions: {spelled}.")
    for who, versions in result["peers"].items():
        lines.append(f"{who}: " + ", ".join(f"{name} {version}" for name, version in versions.items()) + ".")
    return ["", *lines, *[f"- {note}" for note in result["notes"]]]


def page(found: Sequence[Mapping[str, Any]]) -> str:
    """Return the whole page."""
    if not found:
        return HEAD + "\nNothing has been measured yet: the files of `bench/` say how, each in its first lines.\n"
    parts = [HEAD + LIMITS, "\n".join(table(found)), "", "## How each was measured"]
    for result in found:
        parts += how(result)
    return "\n".join(parts) + "\n"


def main() -> None:
    """Write docs/benchmarks.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--to", type=Path, default=ROOT / "docs" / "benchmarks.md")
    asked = parser.parse_args()
    found = results(asked.results)
    asked.to.write_text(page(found), encoding="utf-8")
    missed = [f"{result['name']}: {row['what']}" for result in found for row in result["rows"] if row.get("holds") is False]
    say(f"{asked.to}: {len(found)} results, {sum(len(result['rows']) for result in found)} figures, {len(missed)} promises missed")
    for line in missed:
        say(f"  missed  {line}")


if __name__ == "__main__":
    main()
