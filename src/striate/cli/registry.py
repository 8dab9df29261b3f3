"""Where commands register.

To add one, write `cli/NAME.py`:

    @command(
        "data",                                    # "runs compare" stands under the group `runs`
        help="Check a data set before training on it.",     # one line; every argument of the decorator is a literal
        section="Start",                           # heading in `striate --help`
        options={"path": "Folder or file.", "views": "How many views."},  # one help line for each parameter
        metavars={"path": "DATA"},                 # what stands for the value in the usage line, where the guess is poor
        complete={"path": "data"},                 # what Tab offers: data, models, recipes, runs, files
        examples=("striate data photos/",),
        torch=True,                                # it computes: freed memory is kept (core.runtime.keep_freed_memory)
        group="Runs: list them, compare them.",    # what the group is for, said by one of its commands
    )
    def data(path: str = "digits", *, views: int = 1, json: bool = False) -> None:
        from striate.data import load              # heavy imports inside the function
        ...

Parameters before `*` are arguments (with a default: optional; `tuple[str, ...]`: any number); those after it are options. `bool = False` is a
flag; `Literal[...]` a choice; `tuple[str, ...]` an option that may be repeated; a trailing underscore is dropped (`set_` is `--set`).
Values arrive checked and converted. Say what happened with `striate.cli.output`;
complain by raising a `StriateError`, never with `print` or `sys.exit`.
"""

from __future__ import annotations

from striate.core.registry import Registry

commands = Registry("command", package="striate.cli")
command = commands.register
