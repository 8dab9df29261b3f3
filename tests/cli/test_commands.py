"""The commands as the source tells them: what importing gives is the same, and their flags are frozen."""

from __future__ import annotations

import inspect
import os
from pathlib import Path

import click
import pytest

from striate.cli.app import application
from striate.cli.build import FACTS, click_command, flag_of, metavar_of
from striate.cli.registry import commands
from striate.core.errors import ArgumentError
from striate.core.registry import Entry
from striate.core.signature import Parameter, Signature

NAMES = commands.names()
GOLDEN = Path(__file__).parent / "flags"


def spelled(entry: Entry) -> str:
    """One line a parameter: what users and scripts rely on."""
    lines = []
    for p in entry.signature.parameters:
        name = flag_of(p) if p.keyword_only else metavar_of(p, entry)
        lines.append(f"{name}: {p.annotation}" + ("" if p.required else f" = {p.default!r}"))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("name", NAMES)
def test_flags_are_frozen(name: str) -> None:
    path = GOLDEN / f"{name.replace(' ', '-')}.txt"
    now = spelled(commands.entry(name))
    if os.environ.get("STRIATE_WRITE_GOLDEN"):
        path.write_text(now)
    assert path.exists(), f"a new command: run this test once with STRIATE_WRITE_GOLDEN=1 and commit {path.name}"
    assert now == path.read_text(), "flags changed: scripts rely on them; see the deprecation policy, then write the golden file anew"


def test_no_frozen_command_has_vanished() -> None:
    assert sorted(path.stem for path in GOLDEN.glob("*.txt")) == sorted(name.replace(" ", "-") for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_source_tells_what_importing_gives(name: str) -> None:
    entry, live = commands.entry(name), commands.get(name)
    assert live.__dict__["registered"] == {"name": name, "help": entry.help, "facts": entry.facts}
    assert [(p.name, p.default) for p in inspect.signature(live).parameters.values()] == [(p.name, p.default) for p in entry.signature.parameters]


@pytest.mark.parametrize("name", NAMES)
def test_every_command_builds_and_helps(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    from striate.cli import main

    entry = commands.entry(name)
    assert len(entry.help) <= 66, "the list of commands shows this on one line of 80 columns"
    assert main([*name.split(), "--help"]) == 0
    text = capsys.readouterr().out
    for p in entry.signature.parameters:
        assert (flag_of(p) if p.keyword_only else metavar_of(p, entry)) in text
    assert all(len(line) <= 80 for line in text.splitlines() if not line.startswith("  striate ")), "fits 80 columns"


def test_a_command_that_does_not_tell_of_a_parameter_is_refused() -> None:
    entry = Entry("x", "help", "m", "x", Signature((Parameter("a", "int", 1),)), {"options": {"b": "?"}})
    with pytest.raises(ArgumentError, match=r"must tell of a; it tells of b"):
        click_command(entry)
    with pytest.raises(ArgumentError, match="unknown colour"):
        click_command(Entry("x", "help", "m", "x", Signature(()), {"options": {}, "colour": 1}))
    assert "options" in FACTS


@pytest.mark.parametrize(
    ("annotation", "default", "words", "value"),
    [
        ("int", 3, ["--v", "7"], 7),
        ("int", 3, [], 3),
        ("float | None", None, ["--v", "7"], 7.0),
        ("bool", False, ["--v"], True),
        ("bool", True, ["--no-v"], False),
        ("tuple[str, ...]", (), ["--v", "a", "--v", "b=c"], ("a", "b=c")),
        ("Path | None", None, ["--v", "a/b"], Path("a/b")),
        ("Literal['one', 'two']", "one", ["--v", "two"], "two"),
    ],
)
def test_signature_becomes_option(annotation: str, default: object, words: list[str], value: object) -> None:
    entry = Entry("x", "help", "m", "x", Signature((Parameter("v", annotation, default),)), {"options": {"v": "told"}})
    with click_command(entry).make_context("x", words) as ctx:
        assert ctx.params == {"v": value}
        assert type(ctx.params["v"]) is type(value)


def test_positional_many_and_trailing_underscore() -> None:
    signature = Signature((Parameter("files", "tuple[Path, ...]", keyword_only=False), Parameter("set_", "tuple[str, ...]", ())))
    command = click_command(Entry("x", "help", "m", "x", signature, {"options": {"files": "", "set_": ""}}))
    with command.make_context("x", ["a", "b", "--set", "k=v"]) as ctx:
        assert ctx.params == {"files": (Path("a"), Path("b")), "set_": ("k=v",)}


def test_groups_and_commands_are_listed_once() -> None:
    top = application()
    with click.Context(top) as ctx:
        assert top.list_commands(ctx) == sorted({name.split()[0] for name in NAMES})
