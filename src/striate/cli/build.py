"""From what the source says about a command (an Entry) to a click command: arguments, options, help, completion. Imports no command."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from striate.cli.complete import offered
from striate.cli.registry import commands
from striate.core.errors import ArgumentError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable

    from striate.core.registry import Entry
    from striate.core.signature import Parameter

    _ParamType = click.ParamType[Any]
else:
    _ParamType = click.ParamType

FACTS = frozenset({"section", "options", "metavars", "complete", "examples", "torch", "default", "group"})
"""The decorator keywords a command may carry besides its help."""


class Value(_ParamType):
    """One value, parsed and checked by the parameter's annotation."""

    name = "value"

    def __init__(self, parameter: Parameter, spelled: str, offers: str | None) -> None:
        self.parameter, self.spelled, self.offers = parameter, spelled, offers

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ARG002 - click's signature
        """Turn the text of the command line into the annotated type."""
        if not isinstance(value, str):
            return value
        try:
            parsed = self.parameter.parse(value)
        except UnknownNameError as error:
            raise ArgumentError(f"{self.spelled}: {error}") from None
        except ArgumentError as error:
            raise ArgumentError(str(error).replace(f"{self.parameter.name}:", f"{self.spelled}:", 1)) from None
        return Path(parsed) if isinstance(parsed, str) and "Path" in self.parameter.annotation else parsed

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002 - click's
        """Offer the choices of a `Literal`, or what the command's `complete=` names."""
        return [CompletionItem(word, type=kind) for word, kind in offered(self.parameter.choices, self.offers, incomplete)]


class Command(click.Command):
    """A click command with striate's help page."""

    entry: Entry

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse; a complaint always knows which command it is about."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            raise

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help page."""
        from striate.cli.page_of_help import command_help

        formatter.write(command_help(self.entry, ctx.command_path, [p for p in self.get_params(ctx) if isinstance(p, click.Parameter)]))


def click_command(entry: Entry) -> Command:
    """Build the click command for `entry`; literals that do not fit its signature raise `ArgumentError`."""
    _check_facts(entry)
    parameters = [_parameter(parameter, entry) for parameter in entry.signature.parameters]
    built = Command(
        entry.name.split()[-1],
        params=parameters,
        callback=_callback(entry),
        help=entry.help,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    built.entry = entry
    return built


def flag_of(parameter: Parameter) -> str:
    """Return the option's spelling: `--weight-decay`; a trailing underscore is dropped."""
    return "--" + parameter.name.rstrip("_").replace("_", "-")


def metavar_of(parameter: Parameter, entry: Entry) -> str:
    """Return what stands for the value in usage lines."""
    chosen = entry.facts.get("metavars", {}).get(parameter.name)
    if chosen:
        return str(chosen)
    if not parameter.keyword_only:
        return parameter.name.rstrip("_").upper()
    if parameter.choices:
        return "|".join(parameter.choices)
    words = parameter.annotation.replace("None", "").replace("|", " ").split()
    return {"int": "N", "float": "X", "Path": "PATH"}.get(words[0] if words else "", "TEXT")


def _callback(entry: Entry) -> Callable[..., Any]:
    def call(**values: Any) -> Any:
        if entry.facts.get("torch"):
            from striate.core.runtime import keep_freed_memory

            keep_freed_memory()
        positional = [values.pop(p.name) for p in entry.signature.parameters if not p.keyword_only]
        return commands.get(entry.name)(*positional, **values)

    return call


def _parameter(parameter: Parameter, entry: Entry) -> click.Parameter:
    many = parameter.annotation.startswith(("tuple[", "list[", "Sequence["))
    item = replace(parameter, annotation=parameter.annotation.partition("[")[2].removesuffix("]").partition(",")[0]) if many else parameter
    item = replace(item, annotation=item.annotation.replace(" | None", ""))  # leaving an option out is how one says none
    metavar = metavar_of(parameter, entry)
    offers = entry.facts.get("complete", {}).get(parameter.name)
    if not parameter.keyword_only:
        if many:
            return click.Argument([parameter.name], type=Value(item, metavar, offers), nargs=-1, required=parameter.required, metavar=metavar)
        default = {} if parameter.required else {"default": parameter.default}
        return click.Argument([parameter.name], type=Value(item, metavar, offers), required=parameter.required, metavar=metavar, **default)
    flag, help_text = flag_of(parameter), entry.facts["options"][parameter.name]
    if parameter.annotation == "bool":
        spelled = f"{flag}/--no-{flag[2:]}" if parameter.default else flag
        return click.Option([spelled, parameter.name], is_flag=True, default=bool(parameter.default), help=help_text)
    if many:
        return click.Option([flag, parameter.name], type=Value(item, flag, offers), multiple=True, metavar=metavar, help=help_text)
    default = {} if parameter.required else {"default": parameter.default}
    return click.Option(
        [flag, parameter.name], type=Value(item, flag, offers), required=parameter.required, metavar=metavar, help=help_text, **default
    )


def _check_facts(entry: Entry) -> None:
    where = f"command {entry.name!r} in {entry.module}"
    unknown = set(entry.facts) - FACTS
    if unknown:
        raise ArgumentError(f"{where}: unknown {', '.join(sorted(unknown))}; allowed: {', '.join(sorted(FACTS))}")
    told, names = set(entry.facts.get("options", {})), set(entry.signature.names)
    if told != names:
        raise ArgumentError(f"{where}: options= must tell of {', '.join(sorted(names))}; it tells of {', '.join(sorted(told)) or 'none'}")
