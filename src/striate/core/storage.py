"""Files that are never torn: atomic writes, locks, the cache, verified downloads, fingerprints."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from striate.core.contracts import dump_json
from striate.core.errors import ArgumentError, RunInUseError, StorageError, UnwritableError

FULL = (errno.ENOSPC, errno.EDQUOT)
"""What the system says when the disk, or one's share of it, is full."""
LEAST_DIGITS = 8
"""Of a checksum: what a file's own name usually carries."""


def cache_folder(*parts: str) -> Path:
    """Return (and make) a folder under striate's cache: `$STRIATE_CACHE`, else the platform's user cache. Raises `UnwritableError`."""
    home = os.environ.get("STRIATE_CACHE")
    if home:
        root = Path(home)
    else:
        from platformdirs import user_cache_path

        root = user_cache_path("striate")
    folder = root.joinpath(*parts)
    with _writing(folder, "set STRIATE_CACHE to a folder that can be written to"):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def atomic(path: str | Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a temporary file beside `path`; on a clean exit it is flushed to disk and takes `path`'s place in one step.

    A crash at any moment leaves either the old file or the new one, whole. On an exception the temporary file is removed.
    Raises `UnwritableError`, which names `path`, where no file can be made or the disk is full.
    """
    target = Path(path)
    with _writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
    temporary = Path(name)
    try:
        with _writing(target, only=FULL), os.fdopen(handle, mode, encoding=None if "b" in mode else "utf-8") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        with _writing(target):
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(target)
        _sync_folder(target.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: str | Path, text: str) -> None:
    """Write `text` to `path` atomically, as UTF-8."""
    with atomic(path, "w") as stream:
        stream.write(text)


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` to `path` atomically, as JSON."""
    write_text(path, dump_json(value))


def read_json(path: str | Path) -> Any:
    """Read JSON; a missing or broken file raises `StorageError` that names it."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StorageError(f"{path}: no such file") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise StorageError(f"{path}: not valid JSON ({error})") from None


def clear_leftovers(folder: Path) -> None:
    """Remove temporary files that a killed process left in `folder`. Call it only while holding the folder's lock."""
    for leftover in folder.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)


@contextmanager
def lock(path: str | Path, *, wait: float = -1, busy: str | None = None) -> Iterator[None]:
    """Hold an inter-process lock on the file `path`. `wait` seconds (-1: for ever); then raises `RunInUseError` with `busy` as its text.

    Raises `UnwritableError`, which names the folder, where no lock can be made.
    """
    from filelock import FileLock, Timeout

    target = Path(path)
    try:
        with _writing(target.parent):
            target.parent.mkdir(parents=True, exist_ok=True)
            held = FileLock(str(target), timeout=wait)
            held.acquire()
    except Timeout:
        raise RunInUseError(busy or f"{target.parent} is in use by another process; wait for it or choose another folder") from None
    try:
        yield
    finally:
        held.release()


def digest(*parts: bytes | str) -> str:
    """Return the hex fingerprint (BLAKE2b, 128 bits) of the parts, each with its length so that borders count."""
    hasher = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        hasher.update(len(data).to_bytes(8, "little"))
        hasher.update(data)
    return hasher.hexdigest()


def file_digest(path: str | Path, algorithm: str = "sha256") -> str:
    """Return the hex digest of a file's bytes."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def download(
    url: str,
    target: Path,
    *,
    checksum: str,
    progress: Callable[[int, int | None], None] | None = None,
    otherwise: str = ", or set STRIATE_DATA to a folder that has the data",
) -> Path:
    """Fetch `url` to `target`, going on where a broken download stopped, verify `checksum` (`md5:...` or `sha256:...`), and keep it only if right.

    The digest's first eight digits or more will do, where no more is known. `progress(done, total)` is told bytes.
    Raises `StorageError` that names the address, what went wrong and where to put the file by hand; `otherwise` ends that advice.
    """
    import http.client
    import urllib.error
    import urllib.request

    algorithm, _, wanted = checksum.partition(":")
    if len(wanted) < LEAST_DIGITS:
        raise ArgumentError(f"checksum: got {checksum!r}, expected algorithm:digest with {LEAST_DIGITS} digits or more")
    if target.exists() and file_digest(target, algorithm).startswith(wanted):
        return target
    by_hand = f"Download it yourself and put it at {target}{otherwise}."
    partial = target.with_name(target.name + ".part")
    with lock(target.with_name(target.name + ".lock")):
        if target.exists() and file_digest(target, algorithm).startswith(wanted):
            return target
        have = partial.stat().st_size if partial.exists() else 0
        request = urllib.request.Request(url, headers={"User-Agent": "striate", **({"Range": f"bytes={have}-"} if have else {})})  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310 - addresses are ours, not the user's
                resumed = reply.status == 206
                length = reply.headers.get("Content-Length")
                done = have if resumed else 0
                total = done + int(length) if length else None
                with partial.open("ab" if resumed else "wb") as stream:
                    while block := reply.read(1 << 18):
                        stream.write(block)
                        done += len(block)
                        if progress:
                            progress(done, total)
            _whole(done, total)
        except urllib.error.HTTPError as error:
            if error.code != 416:  # 416: the partial file is already whole
                raise StorageError(f"{url}: the server answered {error.code} {error.reason}. {by_hand}") from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise StorageError(f"{url}: cannot be reached ({error}). What came so far is kept and resumed. {by_hand}") from None
        found = file_digest(partial, algorithm)
        if not found.startswith(wanted):
            partial.unlink()
            raise StorageError(f"{url}: {algorithm} is {found}, expected {wanted}; the file was discarded. Try again, or: {by_hand}")
        partial.replace(target)
    return target


def _whole(done: int, total: int | None) -> None:
    """Raise when a reply ended early: reading in blocks does not."""
    if total is not None and done < total:
        raise ConnectionError(f"the connection broke off after {done} of {total} bytes")


@contextmanager
def _writing(path: Path, advice: str = "choose another place", *, only: tuple[int, ...] | None = None) -> Iterator[None]:
    """Turn what the system says against writing `path` into an `UnwritableError` that names it; `only` of these numbers, where they are given."""
    try:
        yield
    except (TimeoutError, UnwritableError):
        raise
    except OSError as error:
        if only is not None and error.errno not in only:
            raise
        ways = {errno.ENOENT: "no file can be made there", errno.EEXIST: f"{error.filename} is a file"}
        reason = ways.get(error.errno or 0) or (error.strerror or str(error)).lower()
        told = UnwritableError(f"{path}: cannot be written ({reason}); {'free some space, or ' * (error.errno in FULL)}{advice}")
        told.errno = error.errno
        raise told from error


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
