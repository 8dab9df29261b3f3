"""The `striate` program: commands found by walking the folder, errors told in one message, exit codes that scripts can trust."""

from __future__ import annotations

import io
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from striate.cli.build import click_command
from striate.cli.registry import commands
from striate.core.errors import StorageError, StriateError, nearest, unknown_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from striate.core.registry import Entry

INTRO = "A workbench for convolutional networks.\nTo begin: striate train"
NOTES = (
    "striate COMMAND --help   what a command takes",
    "--debug, STRIATE_DEBUG=1 where an error comes from",
    "--version                which striate this is",
    "Exit codes: 0 done, 1 bug, 2 arguments, 3 data, 4 files, 5 training, 130 stopped",
)
ORDER = ("train", "resume", "data", "evaluate", "predict", "report", "runs")
"""Commands that stand first under their heading, in this order; the others follow by name."""
COMPLETE = "_STRIATE_COMPLETE"


class Group(click.Group):
    """A set of commands, built from their sources one at a time, when asked for."""

    def __init__(self, name: str, entries: dict[str, Entry], groups: dict[str, Group], help_text: str) -> None:
        settings = {"help_option_names": ["-h", "--help"]}
        super().__init__(name, help=help_text, callback=_help_when_alone, invoke_without_command=True, context_settings=settings)
        self.entries, self.groups = entries, groups

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of the commands in this group."""
        return sorted({*self.entries, *self.groups})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Build the command called `cmd_name`; None when there is none."""
        if cmd_name in self.groups:
            return self.groups[cmd_name]
        return click_command(self.entries[cmd_name]) if cmd_name in self.entries else None

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown one raises `UnknownNameError` with the nearest names."""
        found = self.get_command(ctx, args[0])
        if found is None:
            if ctx.resilient_parsing:
                return None, None, args[1:]
            raise _no_such_command(ctx, args[0], self.list_commands(ctx))
        return args[0], found, args[1:]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the group's default command (`runs` is `runs list`) before arguments that name none."""
        default = self.default
        if (
            default
            and not ctx.resilient_parsing
            and not (args and (args[0] in self.list_commands(ctx) or args[0] in ("-h", "--help")))
            and not _is_word(args)
        ):
            args = [default, *args]
        return super().parse_args(ctx, args)

    @property
    def default(self) -> str | None:
        """The command that runs when none is named."""
        return next((name for name, entry in self.entries.items() if entry.facts.get("default")), None)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the page that lists the commands."""
        from striate.cli.page_of_help import group_help

        rows = [(str(entry.facts.get("section", "More")), name, entry.help) for name, entry in self.entries.items()]
        rows += [(str(next(iter(group.entries.values())).facts.get("section", "More")), name, str(group.help)) for name, group in self.groups.items()]
        rows.sort(key=lambda row: (ORDER.index(row[1]) if row[1] in ORDER else len(ORDER), row[1]))
        top = ctx.parent is None
        formatter.write(group_help(ctx.command_path, str(self.help), rows, NOTES if top else (f"{ctx.command_path} COMMAND --help tells more.",)))


def application() -> Group:
    """Return the whole program as a click group; no command is imported."""
    single: dict[str, Entry] = {}
    nested: dict[str, dict[str, Entry]] = {}
    for entry in commands:
        group, _, name = entry.name.rpartition(" ")
        if group:
            nested.setdefault(group, {})[name] = entry
        else:
            single[name] = entry
    groups = {name: Group(name, members, {}, _group_text(members)) for name, members in nested.items()}
    top = Group("striate", single, groups, INTRO)
    top.params.append(click.Option(["--version"], is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print the version."))
    return top


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code; every error has become one message on stderr."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    speak_utf8()
    debug = os.environ.get("STRIATE_DEBUG", "") not in ("", "0")
    if "--debug" in words[: words.index("--") if "--" in words else None]:
        words.remove("--debug")
        debug = True
    program = application()
    if os.environ.get(COMPLETE):
        from click.shell_completion import shell_complete

        return shell_complete(program, {}, "striate", COMPLETE, os.environ[COMPLETE])
    return guarded(lambda: _invoke(program, words), debug=debug)


def speak_utf8() -> None:
    """Write UTF-8 into pipes and files, whatever the system's code page; on a terminal that lacks a letter, a mark stands for it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.encoding.lower().replace("-", "") != "utf8":
            if stream.isatty():
                stream.reconfigure(errors="replace")
            else:
                stream.reconfigure(encoding="utf-8")


def guarded(action: Callable[[], int], *, debug: bool = False) -> int:
    """Run `action`; return its exit code, or that of what it raised, told in one message. `debug` shows the traceback too."""
    from striate.cli.trouble import tell

    try:
        code = action()
        sys.stdout.flush()
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except BrokenPipeError:
        _silence()
        return 141
    except (KeyboardInterrupt, click.Abort):
        tell("interrupted", kind="stopped")
        return 130
    except BaseException as error:
        if isinstance(error, SystemExit):
            raise
        if debug:
            import traceback

            traceback.print_exc()
        return _told(error)
    return code


def _told(error: BaseException) -> int:
    from striate.cli.trouble import TRACE, tell, tell_bug, usage_text

    if isinstance(error, click.UsageError):
        tell(usage_text(error))
        return 2
    if isinstance(error, StriateError):
        tell(str(error), kind="stopped" if error.exit_code == 130 else "error")
        return error.exit_code
    if isinstance(error, OSError) and error.filename is not None:
        tell(f"{error.filename}: {(error.strerror or type(error).__name__).lower()}. {TRACE}")
        return StorageError.exit_code
    tell_bug(error)
    return 1


def _invoke(program: Group, words: list[str]) -> int:
    with program.make_context("striate", words) as ctx:
        program.invoke(ctx)
    return 0


@click.pass_context
def _help_when_alone(ctx: click.Context) -> None:
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def _group_text(members: dict[str, Entry]) -> str:
    """What a group is for: as one of its commands says it (`group=`), or the help of its default command, or of its first."""
    told = [str(entry.facts["group"]) for entry in members.values() if entry.facts.get("group")]
    told += [entry.help for entry in members.values() if entry.facts.get("default")]
    return next(iter(told), next(iter(members.values())).help)


def _no_such_command(ctx: click.Context, name: str, names: Sequence[str]) -> StriateError:
    if ctx.parent is None and not nearest(name, names) and Path(name).exists():
        return type(unknown_name("command", name, names))(f"unknown command {name!r}. To train on it, write: striate train {shlex.quote(name)}")
    return unknown_name("command" if ctx.parent is None else f"{ctx.command_path} command", name, names)


def _is_word(args: Sequence[str]) -> bool:
    return bool(args) and not args[0].startswith("-")


def _version(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        from striate import __version__

        click.echo(f"striate {__version__}")
        ctx.exit()


def _silence() -> None:
    """Point stdout at nothing, so that the interpreter's last flush does not complain of the closed pipe."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
