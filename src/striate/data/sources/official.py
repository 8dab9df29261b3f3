"""Finding the official files of a data set: `$STRIATE_DATA`, else the cache, else the official address; verified once, then remembered."""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from striate.core.errors import DataError, StorageError
from striate.core.storage import atomic, cache_folder, digest, download, file_digest, lock, read_json, write_json

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Download:
    """One file on the official server: its address below `base` and its MD5."""

    base: str
    file: str
    md5: str


def home(folder: str) -> Path | None:
    """Return `$STRIATE_DATA/folder` when the variable is set and the folder is there."""
    root = os.environ.get("STRIATE_DATA")
    if not root:
        return None
    path = Path(root) / folder
    return path if path.is_dir() else None


def unzipped(path: Path, folder: str) -> Path:
    """Return the content of `path` (.gz) as a file in the cache, unpacked once for each content."""
    target = cache_folder("sources", folder) / f"{path.stem}-{checked(path)[:12]}"
    if not target.exists():
        try:
            with gzip.open(path, "rb") as stream, atomic(target) as out:
                shutil.copyfileobj(stream, out, 1 << 20)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{path}: cannot be unpacked ({error}); download it again") from None
    return target


def untarred(path: Path, folder: str, wanted: Sequence[str]) -> Path:
    """Return a folder in the cache with the files `wanted` of the archive `path` (.tar.gz), unpacked once for each content."""
    target = cache_folder("sources", folder, checked(path)[:12])
    with lock(target / ".lock"):
        if all((target / name).exists() for name in wanted):
            return target
        try:
            with tarfile.open(path, "r:*") as archive:
                for member in archive:
                    name = PurePosixPath(member.name).name
                    if member.isfile() and name in wanted:
                        stream = archive.extractfile(member)
                        with atomic(target / name) as out:
                            shutil.copyfileobj(stream, out, 1 << 20)  # type: ignore[arg-type]
        except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
            raise DataError(f"{path}: cannot be unpacked ({error}); download it again") from None
    missing = [name for name in wanted if not (target / name).exists()]
    if missing:
        raise DataError(f"{path}: does not hold {missing[0]}; is it the binary version?")
    return target


def fetched(item: Download, folder: str, progress: Progress | None) -> Path:
    """Return the file in the cache, downloaded and verified when it is not there yet."""
    target = cache_folder("downloads", folder) / item.file
    if target.exists():  # verified when it was put there
        return target
    return download(item.base + item.file, target, checksum=f"md5:{item.md5}", progress=progress)


def checked(path: Path) -> str:
    """Return the MD5 of a file, remembered in the cache by path, size and time of change, so that a start does not read it again."""
    stat = path.stat()
    key = digest(str(path.resolve()), str(stat.st_size), str(stat.st_mtime_ns))
    note = cache_folder("checksums") / f"{key}.json"
    try:
        return str(read_json(note)["md5"])
    except (StorageError, KeyError, TypeError):
        found = file_digest(path, "md5")
        write_json(note, {"file": str(path), "md5": found})
        return found


def unlike_published(files: Mapping[str, Path], published: Mapping[str, str]) -> tuple[str, ...]:
    """Return a note for each file that is well formed but not the published one."""
    return tuple(
        f"{path} is not the published {name}: its MD5 is {checked(path)}, the published one is {published[name]}"
        for name, path in files.items()
        if name in published and checked(path) != published[name]
    )
