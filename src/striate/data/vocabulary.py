"""Words to numbers: a vocabulary learned from training text; it travels with the weights as pictures' Preprocess does."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from striate.core.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from torch import Tensor

    from striate.data.dataset import Table

PADDING, UNKNOWN = 0, 1
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[^\w\s]")


def words_of(text: str) -> list[str]:
    """Split text into lower-case words (inner apostrophes kept) and single marks."""
    return _WORD.findall(text.lower())


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Turns a sentence into `length` numbers: 0 pads on the right, 1 is an unknown word, word i of `words` is i + 2. Longer sentences are cut."""

    words: tuple[str, ...]
    length: int

    def __len__(self) -> int:
        return len(self.words) + 2

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Word -> number."""
        return {word: number for number, word in enumerate(self.words, start=2)}

    def same(self, other: Vocabulary) -> bool:
        """Whether the other gives every text the same numbers."""
        return self.words == other.words and self.length == other.length

    def encode(self, texts: Iterable[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return tokens N L and lengths N (1 at least), int64."""
        rows = [[self.numbers.get(word, UNKNOWN) for word in words_of(text)[: self.length]] for text in texts]
        tokens = np.zeros((len(rows), self.length), dtype=np.int64)
        for row, numbers in zip(tokens, rows, strict=True):
            row[: len(numbers)] = numbers
        return tokens, np.array([max(1, len(numbers)) for numbers in rows], dtype=np.int64)

    def decode(self, tokens: Iterable[int]) -> str:
        """Return the words of one row; unknown ones as `?`."""
        return " ".join("?" if token == UNKNOWN else self.words[token - 2] for token in map(int, tokens) if token != PADDING)

    def __call__(self, images: Tensor) -> Tensor:
        """Return tokens (N L, int64) as they are: they are the input. Raises `ArgumentError` for anything else."""
        if images.ndim != 2 or images.is_floating_point():
            raise ArgumentError(
                f"tokens: got {images.dtype} of shape {tuple(images.shape)}, expected N L whole numbers; `encode` makes them from text"
            )
        return images.long()

    def tensors(self) -> dict[str, Tensor]:
        """Return nothing: JSON holds it all."""
        return {}

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"format": 1, "kind": "words", "length": self.length, "words": list(self.words)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Vocabulary:
        """Rebuild from `to_json`'s output."""
        if values.get("kind") != "words" or values.get("format") != 1:
            raise ArgumentError(f"vocabulary: kind {values.get('kind')!r}, format {values.get('format')!r}; expected 'words', 1")
        return cls(tuple(values["words"]), int(values["length"]))

    @classmethod
    def learned(cls, texts: Sequence[str], *, most: int | None = None, least: int = 1, longest: int | None = None) -> Vocabulary:
        """Return the vocabulary of `texts`: words seen `least` times or more, the commonest first (ties alphabetical), at most `most`."""
        split = [words_of(text) for text in texts]
        counts = Counter(word for words in split for word in words)
        kept = sorted((word for word, count in counts.items() if count >= least), key=lambda word: (-counts[word], word))
        length = max(map(len, split), default=1)
        return cls(tuple(kept[:most]), max(1, min(length, longest) if longest else length))


def renumbered(name: str, tables: Mapping[str, Table], vocabulary: Vocabulary) -> dict[str, Table]:
    """Return a text data set's tables with their sentences numbered by another vocabulary. Raises `DataError` where the sentences are not at hand."""
    from striate.data.stores import Tokens, array_fingerprint

    changed = dict(tables)
    for split, table in tables.items():
        if isinstance(table.store, Tokens):
            if table.store.texts is None:
                raise DataError(f"{name}: {split} holds the numbers of words, not the words, so another vocabulary cannot read it")
            tokens, lengths = vocabulary.encode(table.store.texts)
            changed[split] = dataclasses.replace(table, store=Tokens(tokens, lengths, array_fingerprint([tokens]), table.store.texts))
    return changed
