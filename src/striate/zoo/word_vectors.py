"""Word vectors from files: word2vec's binary form, its text form, and the same without a first line (GloVe's)."""

from __future__ import annotations

import math
import mmap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from striate.core.errors import ArgumentError, StorageError

LONGEST = 4096
"""Bytes within which a word of a binary file must end; more means that the file is something else."""


@dataclass(frozen=True)
class LoadedVectors:
    """What `load_word_vectors` did: how many words got a vector from the file, and which kept a random one."""

    path: Path
    found: int
    missing: tuple[str, ...]

    def __str__(self) -> str:
        """One line: the file, how many were found, examples of those that were not."""
        some = f", among them {', '.join(self.missing[:5])}" if self.missing else ""
        return f"{self.path.name}: {self.found:,} words have vectors, {len(self.missing):,} are not in it and start at random{some}"


def load_word_vectors(model: nn.Module, path: str | Path, words: Sequence[str], *, first: int = 2) -> LoadedVectors:
    """Set the word vectors of `model` from a file of word2vec's (`.bin`, or text).

    `words` are the vocabulary's, word i has number i + `first` (a `Vocabulary` keeps 0 for padding and 1 for unknown words). Words that the file
    lacks get random vectors of the same spread, from torch's random state, as in Kim 2014. Raises `StorageError` for a file that cannot be read,
    `ArgumentError` where model and file do not fit.
    """
    path = Path(path)
    layers = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Embedding)]
    if len(layers) != 1:
        raise ArgumentError(f"model: has {len(layers)} layers of word vectors, expected one, as text_cnn has")
    name, layer = layers[0]
    if layer.num_embeddings != len(words) + first:
        raise ArgumentError(
            f"{name}: holds {layer.num_embeddings} vectors for {len(words)} words and {first} more; build it with words={len(words) + first}"
        )
    found = read_word_vectors(path, words)
    if not found:
        raise ArgumentError(f"{path}: has none of the {len(words)} words; is it of another language, or are its words in capitals?")
    width = len(next(iter(found.values())))
    if width != layer.embedding_dim:
        raise ArgumentError(f"{path}: its vectors have {width} numbers, {name} has {layer.embedding_dim}; build the network with width={width}")
    known = torch.from_numpy(np.stack([found[word] for word in words if word in found]))
    bound = math.sqrt(3) * float(known.std()) if known.numel() > 1 else 0.25
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound)
        layer.weight[0] = 0
        layer.weight[[number for number, word in enumerate(words, first) if word in found]] = known.to(layer.weight)
    return LoadedVectors(path, len(found), tuple(word for word in words if word not in found))


def read_word_vectors(path: str | Path, words: Sequence[str]) -> dict[str, npt.NDArray[np.float32]]:
    """Return the vectors of those `words` that a word2vec file has, float32; the first entry of a word counts. Raises `StorageError`."""
    path = Path(path)
    if path.suffix == ".gz":
        raise StorageError(f"{path}: is packed; unpack it first (gunzip -k {path.name})")
    wanted = {word.encode(): word for word in words}
    found: dict[str, npt.NDArray[np.float32]] = {}
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise StorageError(f"{path}: is empty")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                for word, read in _entries(path, content):
                    if word in wanted and wanted[word] not in found:
                        found[wanted[word]] = read()
    except OSError as error:
        raise StorageError(f"{path}: cannot be read ({error.strerror or error}); give a word2vec file, text or binary") from error
    return found


Entry = tuple[bytes, Callable[[], npt.NDArray[np.float32]]]


def _entries(path: Path, content: mmap.mmap) -> Iterator[Entry]:
    """Yield each word and what reads its vector, by the file's form: a first line of two numbers, then text or binary."""
    line = content[: max(0, content.find(b"\n", 0, LONGEST))]
    numbers = line.split()
    if len(numbers) == 2 and all(number.isdigit() for number in numbers):
        count, width = int(numbers[0]), int(numbers[1])
        start = len(line) + 1
        if _is_text(content, start, width):
            return _text(path, content, start, width)
        return _binary(path, content, start, count, width)
    if len(numbers) > 2 and _is_text(content, 0, len(numbers) - 1):
        return _text(path, content, 0, len(numbers) - 1)
    raise StorageError(f"{path}: is no word2vec file: its first line is {line[:40]!r}, expected two whole numbers, or a word and its vector")


def _is_text(content: mmap.mmap, start: int, width: int) -> bool:
    end = content.find(b"\n", start)
    fields = content[start : end if end >= 0 else len(content)].split()
    try:
        return len(fields) == width + 1 and all(math.isfinite(float(field)) for field in fields[1:])
    except ValueError:
        return False


def _binary(path: Path, content: mmap.mmap, at: int, count: int, width: int) -> Iterator[Entry]:
    size = 4 * width
    for number in range(count):
        space = content.find(b" ", at, at + LONGEST)
        if space < 0 or space + 1 + size > len(content):
            raise StorageError(f"{path}: ends or breaks within word {number + 1} of {count}; fetch or copy it again")
        first = space + 1
        yield content[at:space].lstrip(b"\n"), lambda first=first: np.frombuffer(content[first : first + size], "<f4").astype(np.float32)  # type: ignore[misc]
        at = first + size


def _text(path: Path, content: mmap.mmap, at: int, width: int) -> Iterator[Entry]:
    content.seek(at)
    for number, line in enumerate(iter(content.readline, b""), 1):
        fields = line.rstrip().rsplit(b" ", width)
        if len(fields) != width + 1:
            raise StorageError(f"{path}: entry {number} has {len(fields) - 1} numbers, expected {width}; fetch or copy it again")
        yield fields[0], lambda fields=fields, number=number: _floats(path, number, fields[1:])  # type: ignore[misc]


def _floats(path: Path, number: int, fields: list[bytes]) -> npt.NDArray[np.float32]:
    try:
        return np.array([float(field) for field in fields], dtype=np.float32)
    except ValueError as error:
        raise StorageError(f"{path}: entry {number} holds what is no number ({error}); fetch or copy it again") from error
