"""README and manual tell the truth: links lead somewhere, figures cite evidence, Python and commands exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import striate

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not link.startswith(("http", "mailto:"))]
    broken = [link for link in links if link[0] != "#" and not (page.parent / link.partition("#")[0]).exists()]
    assert broken == []
    headings = {re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in text.splitlines() if line.startswith("#")}
    assert [link for link in links if link[0] == "#" and link[1:] not in headings] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_a_figure_of_speed_or_accuracy_cites_its_evidence(page):
    if page.name in ("rows.md", "CHANGELOG.md", "benchmarks.md"):  # facts to reproduce, not claims
        pytest.skip("promises, no claims")
    text = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    bare = [
        block.strip()
        for block in text.split("\n\n")
        if re.search(r"\d\s?(%|×|s\b|ms\b|min\b|minutes\b|seconds\b|times (faster|sooner))|pictures a second", block)
        and not re.search(r"\((\.\./)*(bench|recipes)/", block)
    ]
    assert bare == []


def code_blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_python_on_the_page_is_python_and_uses_names_that_exist(page):
    for block in code_blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Attribute) and re.fullmatch(r"st(\.\w+)+", ast.unparse(node)):
                thing = striate
                for part in ast.unparse(node).split(".")[1:]:
                    thing = getattr(thing, part)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_commands_on_the_page_exist_with_their_options(page):
    from striate.cli.build import flag_of
    from striate.cli.registry import commands

    lines = [line.partition("#")[0] for block in code_blocks(page, "(?:sh|bash|console)") for line in block.splitlines()]
    lines += re.findall(r"`(striate [^`]+)`", page.read_text(encoding="utf-8"))
    for line in lines:
        words = line.removeprefix("$ ").split()
        if not words or words[0] != "striate" or words[1:2] in ([], ["COMMAND"]) or words[1].startswith("-"):
            continue
        group = any(name.startswith(words[1] + " ") for name in commands.names())
        name = " ".join(words[1:3]) if " ".join(words[1:3]) in commands else words[1]
        assert name in commands or (group and len(words) == 2), line
        if name in commands:
            known = {flag_of(parameter) for parameter in commands.entry(name).signature.parameters} | {"--help", "--debug"}
            assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known, line
