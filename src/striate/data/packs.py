"""Packs: a folder's pictures decoded once, by threads, into one memory-mapped file keyed by content; the next start opens it at once.

In the cache's `packs` folder lie, per pack, `KEY.u8` (pixels, each picture H W C) and `KEY.npz` (where each lies, which files were
broken, every file's SHA-256). KEY is made of the files' contents in their order and of how they were decoded, so a folder that moved finds its pack
again. `QUICK.json` remembers the key for a list of names, sizes and times; `SIZES.json` for a list of sizes, worth hashing the files for.
"""

from __future__ import annotations

import errno
import io
import json
import os
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from striate.core.errors import ArgumentError, DataError, PictureError, StorageError
from striate.core.storage import atomic, cache_folder, lock, read_json, write_json
from striate.data.packing import Bytes, Job, Progress, decode_all, hashes, in_threads, processors, stats
from striate.data.stores import Fixed, Ragged
from striate.pixels.decoding import WHITE

UNUSED_DAYS = 60
"""Packs nobody opened for so long are removed when a new one is built."""


@dataclass(frozen=True)
class Pack:
    """Decoded files: `store` has one picture for each position in `kept`; `problems` are the files left out, with reasons.

    `contents` is N 32 uint8, the SHA-256 of every file's bytes (zeros where the system would not let us read it); `built` says
    whether it was decoded just now.
    """

    store: Ragged
    kept: npt.NDArray[np.int64]
    problems: tuple[PictureError, ...]
    contents: Bytes
    built: bool

    def fixed(self) -> Fixed | None:
        """Return the pictures as N C H W when all have one size and lie in order, without copying; else None."""
        shapes, size = self.store.shapes, int(self.store.shapes[0].prod())
        if not (shapes == shapes[0]).all() or (np.diff(self.store.offsets) != size).any() or self.store.offsets[0]:
            return None
        pixels = self.store.data.reshape(len(shapes), *(int(n) for n in shapes[0]))
        return Fixed(pixels.transpose(0, 3, 1, 2), self.store.fingerprint)


def pack(
    root: str | Path,
    files: Sequence[str],
    *,
    channels: Literal[1, 3] = 3,
    background: tuple[int, int, int] = WHITE,
    short_side: int | None = None,
    broken: float = 0.05,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Pack:
    """Return the pictures `files` (relative to `root`) decoded, from the cache where they were decoded before.

    Args:
        root: the folder `files` are relative to.
        files: names, in the order the pictures will have.
        channels: 1 (grey) or 3 (colour).
        background: laid under transparent pixels.
        short_side: photographs whose short side stays at least this long are read at 1/2, 1/4 or 1/8; None keeps all whole.
        broken: the share of files that may be left out; ten always may.
        workers: threads; None takes one per processor.
        progress: told (files done, files in all) while decoding.

    Safe for several processes: the second waits for the first and uses its pack. Raises `DataError` when too many files are broken, `StorageError`
    when the cache cannot be written.
    """
    if not files:
        raise ArgumentError("files: got none; a pack needs at least one picture")
    folder, root = cache_folder("packs"), Path(root)
    job = Job(folder, root, tuple(files), stats(root, files), channels, background, short_side, workers or processors(), progress)
    quick = folder / f"{job.quick}.json"
    found = _remembered(job, quick)
    if found is None:
        with lock(folder / f"{job.quick}.lock"):
            found = _remembered(job, quick) or _moved(job, quick) or _build(job, quick)
    _judge(found, job, broken)
    return found


def _remembered(job: Job, note: Path) -> Pack | None:
    try:
        return _opened(job, str(read_json(note)["pack"]))
    except (StorageError, KeyError, TypeError):
        return None


def _moved(job: Job, quick: Path) -> Pack | None:
    """Find the pack of equal contents under other names or times: hash every file, where a pack of just these sizes is known."""
    if not job.sizes.exists():
        return None
    contents = np.concatenate(list(in_threads(job, lambda chunk: hashes(job, chunk))))
    found = _opened(job, job.key(contents))
    if found is not None and contents.any(axis=1).all():
        write_json(quick, {"pack": found.store.fingerprint})
    return found


def _opened(job: Job, key: str) -> Pack | None:
    """Open a pack; None where it is missing or not whole."""
    index, pixels = job.folder / f"{key}.npz", job.folder / f"{key}.u8"
    try:
        with np.load(io.BytesIO(index.read_bytes()), allow_pickle=False) as parts:
            offsets, shapes, kept, contents = (parts[name] for name in ("offsets", "shapes", "kept", "contents"))
            problems = json.loads(parts["problems"].tobytes())
        if len(contents) != len(job.files) or pixels.stat().st_size != offsets[-1]:
            return None
        data = np.memmap(pixels, np.uint8, "r") if offsets[-1] else np.empty(0, np.uint8)
        os.utime(index)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    errors = tuple(PictureError(job.root / job.files[position], reason, fix) for position, reason, fix in problems)
    return Pack(Ragged(data, offsets, shapes, key), kept, errors, contents, built=False)


def _build(job: Job, quick: Path) -> Pack:
    _tidy(job.folder)
    temporary = job.folder / f".{job.quick}.u8.tmp"
    try:
        found = decode_all(job, temporary)
        key = job.key(found.contents)
        with lock(job.folder / f"{key}.lock"):  # the same files under other names may be packed at the same moment
            if _opened(job, key) is None:
                index = job.folder / f"{key}.npz"
                index.unlink(missing_ok=True)
                temporary.replace(job.folder / f"{key}.u8")
                with atomic(index) as stream:
                    problems = np.frombuffer(json.dumps(found.problems).encode(), np.uint8)
                    np.savez(stream, offsets=found.offsets, shapes=found.shapes, kept=found.kept, contents=found.contents, problems=problems)
            temporary.unlink(missing_ok=True)
        write_json(job.sizes, {"pack": key})
        if found.contents.any(axis=1).all():  # a file nobody could read may become readable without its size or time changing
            write_json(quick, {"pack": key})
    except OSError as error:
        temporary.unlink(missing_ok=True)
        full = " (the disk is full)" if error.errno == errno.ENOSPC else ""
        raise StorageError(f"{job.folder}: cannot write the pack{full}: {error}. Free some space, or set STRIATE_CACHE to another folder") from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    opened = _opened(job, key)
    if opened is None:
        raise StorageError(
            f"{job.folder / key}.u8: the pack just written cannot be read back; check the disk, or set STRIATE_CACHE to another folder"
        )
    return Pack(opened.store, opened.kept, opened.problems, opened.contents, built=True)


def _tidy(folder: Path) -> None:
    """Remove what killed builds left behind a day ago, and packs nobody opened for two months."""
    now = time.time()
    for path, days in [*((p, 1) for p in folder.glob(".*.tmp")), *((p, UNUSED_DAYS) for p in folder.glob("*.npz"))]:
        try:
            if now - path.stat().st_mtime > days * 86400:
                path.unlink()
                path.with_suffix(".u8").unlink(missing_ok=True)
        except OSError:  # another process was quicker, or the file is in use: it stays
            continue


def _judge(found: Pack, job: Job, broken: float) -> None:
    count = len(found.problems)
    if not len(found.kept) or (count > 10 and count > broken * len(job.files)):
        first = "".join(f"\n  {error}" for error in found.problems[:5])
        more = f"\n  … and {count - 5} more" if count > 5 else ""
        allowed = f"at most {broken:.0%} or ten may be left out" if len(found.kept) else "none is left"
        raise DataError(
            f"{job.root}: {count} of {len(job.files)} files are broken ({allowed}):{first}{more}\nMend or delete them, or allow more (broken=0.5)."
        )
