"""The command line, one file a command.

A command is a function under `@command("name", help="one line", options={...})` in a file of this folder; its flags come from its signature, and
all of that is read from the source, so that help, completion and errors in arguments import none of it (nor torch). See `registry.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `striate ARGUMENTS` (the process's own when None) and return the exit code; nothing but the code leaves this function."""
    try:
        from striate.cli.app import run

        return run(arguments)
    except KeyboardInterrupt:
        return 130
