"""Errors as a person reads them: one message on stderr, what to do last, no traceback."""

from __future__ import annotations

import sys

import click

from striate.core.errors import nearest

TRACE = "Add --debug to the command (or set STRIATE_DEBUG=1) to see where it happened."


def tell(text: str, *, kind: str = "error") -> None:
    """Print the text on stderr, `error: ` before it unless it tells of a stop; long texts wrap at words on a terminal."""
    from rich.text import Text

    from striate.cli.output import console

    out = console(sys.stderr)
    message = Text.assemble(("error: ", "bold red"), text) if kind == "error" else Text(text, style="yellow")
    out.print(message, soft_wrap=not out.is_terminal)


def tell_bug(error: BaseException) -> None:
    """Tell of an exception nobody foresaw, in one line, and how to see its traceback."""
    detail = " ".join(str(error).split()) or "no further text"
    tell(f"{type(error).__name__}: {detail}. striate did not expect this. {TRACE}")


def usage_text(error: click.UsageError) -> str:
    """Return click's complaint in striate's words: what came, the nearest valid name, where help is."""
    ctx = error.ctx
    where = ctx.command_path if ctx else "striate"
    see = f"See: {where} --help"
    if isinstance(error, click.NoSuchOption):
        known = [name for p in ctx.command.get_params(ctx) for name in (*p.opts, *p.secondary_opts) if name.startswith("--")] if ctx else []
        close = [name for name in known if name.startswith(error.option_name)] or nearest(error.option_name, known, count=1)
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        return f"{where} has no option {error.option_name}.{hint} {see}"
    if isinstance(error, click.BadOptionUsage):
        return f"{where}: {error.option_name} needs a value. {see}"
    if isinstance(error, click.MissingParameter) and error.param is not None:
        metavar = error.param.metavar or error.param.opts[0]
        name = f"{error.param.opts[0]} {metavar}" if isinstance(error.param, click.Option) else metavar
        return f"{where} needs {name}. {see}"
    text = error.format_message().rstrip(".")
    return f"{where}: {text[:1].lower()}{text[1:]}. {see}"
