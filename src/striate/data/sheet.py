"""The file of a pack while many threads write to it."""

from __future__ import annotations

import mmap
import os
import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
PAGE = 4096
TRAY = 4 << 20
"""Bytes a thread gathers before it writes them in one go."""


class _Tray:
    """One thread's pictures on their way to the disk, in memory that begins at a page as unbuffered writing wants it."""

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, TRAY)
        self.bytes: Bytes = np.frombuffer(self.memory, np.uint8)
        self.filled = 0
        self.rows: list[tuple[int, int]] = []


class Sheet:
    """Pictures written by many threads into one file; `starts[i]` becomes the place of picture `i`.

    Where all pictures seem to have one small size (`slot` bytes), picture i goes to place i, so that the pack is one array. All others are
    decoded straight into trays and written past the system's cache where it allows that (`O_DIRECT`): a page of cache costs more than writing it
    to the disk, and a large pack would push everything else out of memory.
    """

    def __init__(self, path: Path, starts: npt.NDArray[np.int64], slot: int) -> None:
        self.starts, self.slot, self.end, self.written = starts, slot, len(starts) * slot, 0
        self.stream = path.open("w+b", buffering=0)
        self.direct = -1
        if hasattr(os, "O_DIRECT"):
            try:
                self.direct = os.open(path, os.O_RDWR | os.O_DIRECT)
            except OSError:  # the file system knows no unbuffered writing
                self.direct = -1
        self.guard = threading.Lock()
        self.mine = threading.local()
        self.trays: list[_Tray] = []

    def room(self, expected: int) -> Bytes | None:
        """Return memory that the calling thread may decode its next picture into; None where it is written from where it is."""
        if self.slot:
            return None
        tray = self._tray()
        if TRAY - tray.filled < max(expected, TRAY // 8):
            self._flush(tray)
        return tray.bytes[tray.filled :]

    def put(self, i: int, pixels: Bytes) -> None:
        """Keep picture `i`, contiguous."""
        with self.guard:
            self.written += pixels.size
        if self.slot or pixels.size > TRAY:
            self._write_at(pixels, self._place(i, pixels.size))
            return
        tray = self._tray()
        at = tray.filled
        if pixels.ctypes.data != tray.bytes.ctypes.data + at:  # not decoded there
            if TRAY - at < pixels.size:
                self._flush(tray)
                at = 0
            tray.bytes[at : at + pixels.size] = pixels.reshape(-1)
        tray.rows.append((i, at))
        tray.filled = at + pixels.size

    def finish(self) -> None:
        """Write what is left, close gaps that broken files left in an array, and send all to the disk. No thread may write any more."""
        for tray in self.trays:
            self._flush(tray)
        kept = np.flatnonzero(self.starts >= 0)
        if self.slot and len(kept) < len(self.starts) and len(kept) * self.slot == self.written:
            self._close_gaps(kept)
        if self.end:
            self.stream.truncate(self.end)
        self.sync()

    def sync(self) -> None:
        """Wait until everything written lies on the disk."""
        getattr(os, "fdatasync", os.fsync)(self.stream.fileno())

    def close(self) -> None:
        """Close the file."""
        self.stream.close()
        if self.direct >= 0:
            os.close(self.direct)
            self.direct = -1

    def _tray(self) -> _Tray:
        tray: _Tray | None = getattr(self.mine, "tray", None)
        if tray is None:
            tray = self.mine.tray = _Tray()
            with self.guard:
                self.trays.append(tray)
        return tray

    def _place(self, i: int, size: int) -> int:
        if size == self.slot:
            at = i * size
        else:
            with self.guard:
                at, self.end = self.end, self.end + size
        self.starts[i] = at
        return at

    def _flush(self, tray: _Tray) -> None:
        if not tray.filled:
            return
        length = -(-tray.filled // PAGE) * PAGE
        with self.guard:
            start = -(-self.end // PAGE) * PAGE
            self.end = start + length
        part = memoryview(tray.memory)[:length]
        try:
            whole = self.direct >= 0 and os.pwrite(self.direct, part, start) == length
        except OSError:  # refused, or the disk is full: the usual way says which
            whole = False
        if not whole:
            self._write_at(tray.bytes[:length], start)
        part.release()
        for i, at in tray.rows:
            self.starts[i] = start + at
        tray.filled = 0
        tray.rows.clear()

    def _write_at(self, pixels: Bytes, at: int) -> None:
        rest = memoryview(pixels.reshape(-1).data)
        if not hasattr(os, "pwrite"):
            with self.guard:
                self.stream.seek(at)
                while rest:
                    rest = rest[self.stream.write(rest) :]
            return
        while rest:
            done = os.pwrite(self.stream.fileno(), rest, at)
            rest, at = rest[done:], at + done

    def _close_gaps(self, kept: npt.NDArray[np.int64]) -> None:
        for new, i in enumerate(kept.tolist()):
            if new != i:
                self.stream.seek(i * self.slot)
                picture = self.stream.read(self.slot)
                self.stream.seek(new * self.slot)
                self.stream.write(picture)
                self.starts[i] = new * self.slot
        self.end = len(kept) * self.slot
