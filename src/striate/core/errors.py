"""Every error striate raises on purpose: what came, what is allowed, what to do, and an exit code for the command line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class StriateError(Exception):
    """Base of all errors a user can cause or mend; the command line prints its text without a traceback."""

    exit_code = 1


class ArgumentError(StriateError, ValueError):
    """An argument has the wrong value, type or shape."""

    exit_code = 2


class UnknownNameError(ArgumentError):
    """A name that no registry, field or class list knows; the text carries the nearest valid names."""


class DataError(StriateError):
    """A data set cannot be read or used as asked."""

    exit_code = 3


class PictureError(DataError):
    """One file is not a picture striate can decode right.

    `path` is the file, `reason` what is wrong with it, `fix` what the user can do about it.
    """

    def __init__(self, path: str | Path, reason: str, fix: str) -> None:
        self.path, self.reason, self.fix = Path(path), reason, fix
        super().__init__(f"{path}: {reason}. {fix}")

    def __reduce__(self) -> tuple[type[PictureError], tuple[str, str, str]]:
        return type(self), (str(self.path), self.reason, self.fix)


class StorageError(StriateError):
    """A file cannot be written, read back, fetched or verified."""

    exit_code = 4


class UnwritableError(StorageError, OSError):
    """A file or folder cannot be made or written; the text names the one that was asked for, `errno` is the system's number."""


class RunInUseError(StorageError):
    """Another process is writing to this run folder."""


class TrainingError(StriateError):
    """Training stopped for a reason the text explains; the last good checkpoint is named."""

    exit_code = 5


class DivergenceError(TrainingError):
    """The loss became NaN, infinite or exploded."""


class MemoryLimitError(TrainingError):
    """The device ran out of memory; the text says which setting to lower."""


class Interrupted(StriateError):  # noqa: N818 - not a failure: the run was saved and can be resumed
    """Ctrl-C or a termination signal; the run is saved and `striate resume` goes on."""

    exit_code = 130


def nearest(name: str, allowed: Iterable[str], count: int = 3) -> list[str]:
    """Return the `count` names closest to `name`, best first; empty when none is close."""
    by_lower = {candidate.lower(): candidate for candidate in allowed}
    found = difflib.get_close_matches(name.lower(), by_lower, n=count, cutoff=0.55)
    return [by_lower[match] for match in found]


def unknown_name(kind: str, name: str, allowed: Iterable[str]) -> UnknownNameError:
    """Build the error for `name`, a `kind` nobody knows: the nearest names first, then all of them when they are few."""
    names = sorted(allowed)
    close = nearest(name, names)
    hint = f" Did you mean {' or '.join(close)}?" if close else ""
    if not names:
        listing = "there are none"
    elif len(names) <= 30:
        listing = "allowed: " + ", ".join(names)
    else:
        listing = f"{len(names)} are allowed, among them " + ", ".join(names[:12])
    return UnknownNameError(f"unknown {kind} {name!r}.{hint} ({listing})")
