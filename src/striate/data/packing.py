"""Decoding many files by threads straight into one file: what a pack is built with."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from striate.core.errors import PictureError
from striate.core.storage import digest
from striate.data.sheet import Sheet
from striate.pixels.decoding import decode_bytes, unreadable
from striate.pixels.quiet import strict_pillow
from striate.pixels.scaling import reduction

FORMAT = 1
CHUNK_BYTES, CHUNK_FILES = 1 << 19, 64
"""A thread's portion of work: as many files as hold this many bytes, at most so many."""
SLOT = 256 * 256 * 3
"""Bytes up to which pictures of one size are kept as one array; larger ones are cut and resized one by one anyway."""
WAITING = 1
"""Threads more than processors: one may wait for the disk while the others decode."""
FLUSH = 128 << 20
"""Bytes after which what is written is sent to the disk, while decoding goes on."""

Progress = Callable[[int, int], None]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Job:
    """What is to be decoded, and how."""

    folder: Path
    root: Path
    files: tuple[str, ...]
    stats: list[tuple[int, int]]
    channels: Literal[1, 3]
    background: tuple[int, int, int]
    short_side: int | None
    workers: int
    progress: Progress | None

    @property
    def settings(self) -> str:
        """How the files are decoded."""
        return json.dumps([FORMAT, self.channels, list(self.background), self.short_side])

    @property
    def quick(self) -> str:
        """Digest of the folder, and of names, sizes and times: elsewhere other pictures may have the same."""
        lines = "\0".join(f"{name}\0{size}\0{changed}" for name, (size, changed) in zip(self.files, self.stats, strict=True))
        return digest("quick", self.settings, os.path.realpath(self.root), lines.encode("utf-8", "surrogateescape"))

    @property
    def sizes(self) -> Path:
        """Where a pack of files of just these sizes is remembered."""
        return self.folder / f"{digest('sizes', self.settings, ' '.join(str(size) for size, _ in self.stats))}.json"

    def key(self, contents: Bytes) -> str:
        """Return the digest of the files' contents, in order."""
        return digest("content", self.settings, contents.tobytes())

    def path(self, name: str) -> str:
        """Return where a file lies."""
        return os.path.join(self.root, name)

    def chunks(self) -> Iterator[range]:
        """Yield the files' positions in portions for a thread."""
        first, total = 0, 0
        for i, (size, _) in enumerate(self.stats):
            total += size
            if total >= CHUNK_BYTES or i + 1 - first == CHUNK_FILES:
                yield range(first, i + 1)
                first, total = i + 1, 0
        if first < len(self.stats):
            yield range(first, len(self.stats))


def stats(root: Path, files: Sequence[str]) -> list[tuple[int, int]]:
    """Return (bytes, nanoseconds of the last change) of every file, zeros where the system will not say."""
    found = []
    for name in files:
        try:
            status = os.stat(os.path.join(root, name))  # noqa: PTH116 - five times quicker than Path.stat
            found.append((status.st_size, status.st_mtime_ns))
        except OSError:
            found.append((0, 0))
    return found


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Decoded:
    """What lies where in the file, which files it is of, and what was wrong with the others."""

    offsets: npt.NDArray[np.int64]
    shapes: npt.NDArray[np.int32]
    kept: npt.NDArray[np.int64]
    contents: Bytes
    problems: list[tuple[int, str, str]]


def decode_all(job: Job, path: Path) -> Decoded:
    """Decode every file into `path` by threads."""
    count = len(job.files)
    starts, shapes, contents = np.full(count, -1, np.int64), np.zeros((count, 3), np.int32), np.zeros((count, 32), np.uint8)
    problems: dict[int, PictureError] = {}
    sheet = Sheet(path, starts, _slot(job))

    def work(chunk: range) -> int:
        for i in chunk:
            name = job.path(job.files[i])
            try:
                data = _read(name)
                contents[i] = np.frombuffer(hashlib.sha256(data).digest(), np.uint8)
                pixels = decode_bytes(
                    data, name, channels=job.channels, background=job.background, short_side=job.short_side, buffer=sheet.room(len(data))
                )
                shapes[i] = pixels.shape
                sheet.put(i, np.ascontiguousarray(pixels))
            except PictureError as error:
                problems[i] = error
            except FileNotFoundError as error:
                problems[i] = unreadable(name, error)
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                    raise
                problems[i] = unreadable(name, error)
        return len(chunk)

    with closing(sheet), ThreadPoolExecutor(1, thread_name_prefix="striate-flush") as disk:
        flushing: Future[None] | None = None
        done = flushed = 0
        for finished in in_threads(job, work):
            done += finished
            if sheet.written - flushed > FLUSH and (flushing is None or flushing.done()):
                flushed, flushing = sheet.written, disk.submit(sheet.sync)
            if job.progress:
                job.progress(done, count)
        sheet.finish()
    kept = np.flatnonzero(starts >= 0)
    told = [(i, problems[i].reason, problems[i].fix) for i in sorted(problems)]
    return Decoded(np.append(starts[kept], sheet.end), shapes[kept], kept, contents, told)


def _slot(job: Job) -> int:
    """Return the bytes of one decoded picture if some from all over the list are of one small size, else 0; looks at headers only."""
    from PIL import Image

    shapes = set()
    for i in sorted({round(share * (len(job.files) - 1)) for share in np.linspace(0, 1, 16)}):
        try:
            if is_device(job.path(job.files[i])):
                continue
            with strict_pillow(), Image.open(job.path(job.files[i])) as image:
                shapes.add(image.size)
        except Exception:  # noqa: BLE001, S112 - this is a guess at the layout; decoding says what is wrong with the file
            continue
        if len(shapes) > 1:
            return 0
    if not shapes:
        return 0
    width, height = shapes.pop()
    factor = reduction(height, width, job.short_side)
    size = -(-height // factor) * -(-width // factor) * job.channels
    return size if size <= SLOT else 0


def in_threads(job: Job, work: Callable[[range], Any]) -> Iterator[Any]:
    """Yield `work` of every chunk, in order, computed by threads."""
    pool = ThreadPoolExecutor(job.workers + WAITING, thread_name_prefix="striate-decode")
    try:
        yield from pool.map(work, job.chunks())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def is_device(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path is a pipe, a socket or a device, whose reading may wait for ever; False for one that is not there."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - five times quicker than Path.stat
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _read(path: str) -> bytes:
    if is_device(path):
        raise PictureError(path, "is a pipe, a socket or a device, not a file", "Leave it out")
    with open(path, "rb", buffering=0) as stream:
        return stream.readall()


def hashes(job: Job, chunk: range) -> Bytes:
    """Return the SHA-256 of a chunk's files, n 32; zeros where one cannot be read."""
    done = np.zeros((len(chunk), 32), np.uint8)
    for row, i in enumerate(chunk):
        try:
            done[row] = np.frombuffer(hashlib.sha256(_read(job.path(job.files[i]))).digest(), np.uint8)
        except (OSError, PictureError):
            continue
    return done
