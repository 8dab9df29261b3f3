"""`striate completion`: what makes the Tab key know striate."""

from __future__ import annotations

from typing import Literal

from striate.cli.registry import command

WHERE = {
    "bash": "striate completion bash > ~/.local/share/bash-completion/completions/striate",
    "zsh": "striate completion zsh > ~/.zfunc/_striate   (with fpath+=~/.zfunc before compinit in ~/.zshrc)",
    "fish": "striate completion fish > ~/.config/fish/completions/striate.fish",
}


@command(
    "completion",
    help="Print the script that makes the Tab key know striate.",
    section="Reference",
    options={"shell": "bash, zsh or fish; by default the shell in use ($SHELL)."},
    examples=("striate completion bash > ~/.local/share/bash-completion/completions/striate",),
)
def completion(shell: Literal["bash", "zsh", "fish"] | None = None) -> None:
    """Print the shell's script; on a terminal also where it belongs."""
    import os
    import sys
    from pathlib import PurePath

    from click.shell_completion import get_completion_class

    from striate.cli.app import COMPLETE, application
    from striate.cli.output import aside
    from striate.core.errors import ArgumentError

    name = shell or PurePath(os.environ.get("SHELL", "")).name
    kind = get_completion_class(name) if name in WHERE else None
    if kind is None:
        raise ArgumentError(f"$SHELL is {name or 'not set'}, which is none of bash, zsh, fish; say which: striate completion bash")
    sys.stdout.write(kind(application(), {}, "striate", COMPLETE).source().strip() + "\n")
    if sys.stdout.isatty():
        aside(f"Keep it for every new shell: {WHERE[name]}")
