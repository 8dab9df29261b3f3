"""Dataset: class names, tables of samples, and how they become batches. Immutable; every change is a copy."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from striate.core.errors import ArgumentError, DataError, PictureError, unknown_name
from striate.core.storage import digest
from striate.data.registry import build, parse_spec
from striate.data.stores import Fixed, Ragged, Store, Tokens

if TYPE_CHECKING:
    from striate.core.contracts import Preprocess as AnyPreprocess
    from striate.data.batches import TableSplit
    from striate.data.findings import CheckReport


@dataclass(frozen=True, eq=False)
class Table:
    """One split's samples: `store` holds them, `targets` N int64 (None: unlabelled), `names` their file names, `extra` further columns of N rows."""

    store: Store
    targets: npt.NDArray[np.int64] | None = None
    names: list[str] | None = None
    extra: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for what, column in (("targets", self.targets), ("names", self.names), *self.extra.items()):
            if column is not None and len(column) != len(self.store):
                raise ArgumentError(f"{what}: {len(column)} entries for {len(self.store)} samples; there must be one each")

    def __len__(self) -> int:
        return len(self.store)

    def take(self, rows: npt.NDArray[np.int64]) -> Table:
        """Return the samples at `rows` as a table of their own."""
        return Table(
            self.store.take(rows),
            None if self.targets is None else self.targets[rows],
            None if self.names is None else [self.names[row] for row in rows],
            {name: values[rows] for name, values in self.extra.items()},
        )

    @cached_property
    def fingerprint(self) -> str:
        """Digest of pixels and labels, and of boxes and points where there are any."""
        labels = b"" if self.targets is None else self.targets.astype("<i8").tobytes()
        placed = [self.extra[name].astype("<f4").tobytes() for name in ("boxes", "points") if name in self.extra]
        return digest(self.store.fingerprint, labels, *placed)


@dataclass(frozen=True, eq=False, kw_only=True)
class Dataset:
    """A data set (a `contracts.Data`).

    `tables` by split name, `train` first; `source` is the registered source's name, `spec` and `options` are what `load` takes to get it again;
    `problems` are files left out, each with its reason; `notes` say what else a reader should know; `empty_folders` stand among the class folders and
    hold no picture. `size` (H W) is the input's size where pictures have many; `given` replaces the preprocessing found from the training split.
    """

    name: str
    classes: tuple[str, ...]
    tables: Mapping[str, Table]
    source: str = ""
    spec: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[PictureError, ...] = ()
    notes: tuple[str, ...] = ()
    empty_folders: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    given: AnyPreprocess | None = None
    whitening: str = "none"
    augment: tuple[str, ...] = ()
    device: str = "cpu"
    classes_as_shares: bool = False

    def __post_init__(self) -> None:
        if not self.tables or not len(next(iter(self.tables.values()))):
            raise DataError(f"{self.name}: there is nothing in it")
        for split, table in self.tables.items():
            if table.targets is not None and len(table) and table.targets.ndim == 1:
                low, high = int(table.targets.min()), int(table.targets.max())
                if low < 0 or high >= len(self.classes):
                    raise DataError(f"{self.name}: labels of {split} run from {low} to {high}, but there are {len(self.classes)} classes")
            if "boxes" in table.extra or "points" in table.extra:
                from striate.data.placed import checked

                checked(f"{self.name}: {split}", table)

    def __repr__(self) -> str:
        parts = ", ".join(f"{name} {len(table)}" for name, table in self.tables.items())
        return f"Dataset {self.name!r}: {parts}; {len(self.classes)} classes; {' x '.join(map(str, self.shape))}"

    @property
    def splits(self) -> tuple[str, ...]:
        """The parts' names."""
        return tuple(self.tables)

    @property
    def training_table(self) -> Table:
        """The split everything learned is learned from: `train`, else the first."""
        return self.tables.get("train") or next(iter(self.tables.values()))

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """C H W as the model gets it, or (L,) for tokens."""
        store = self.training_table.store
        if isinstance(store, Tokens):
            return (store.tokens.shape[1],)
        if isinstance(store, Fixed) and self.size is None and self.given is None:
            return store.shape
        if self.given is not None and hasattr(self.given, "size"):
            return (int(self.given.channels), *self.given.size)  # type: ignore[attr-defined]
        return (store.shape[0] if isinstance(store, Fixed) else int(store.shapes[:, 2].max()), *self.input_size)

    @property
    def input_size(self) -> tuple[int, int]:
        """H W of the input where pictures have many sizes: `size`, else the largest multiple of 32 up to the median short side, at most 224."""
        if self.size is not None:
            return self.size
        store = self.training_table.store
        if isinstance(store, Fixed):
            return store.shape[1:]
        if isinstance(store, Tokens):
            raise ArgumentError(f"{self.name} is text; it has no picture size")
        side = int(np.median(store.shapes[:, :2].min(axis=1)))
        side = min(224, max(32, side // 32 * 32))
        return side, side

    @cached_property
    def preprocess(self) -> Any:
        """What turns pixels into the model's input: standardised per channel by the training split only, or what was given."""
        if self.given is not None:
            return self.given
        from striate.data.whitening import preprocess_for

        return preprocess_for(self.training_table.store, self.shape, self.whitening)

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the classes and every split's content."""
        parts = [text for name, table in self.tables.items() for text in (name, table.fingerprint)]
        return digest(*self.classes, *parts)

    def split(self, name: str, *, training: bool = False) -> TableSplit:
        """Return one part, shuffled and augmented when `training`; raises `UnknownNameError`."""
        if name not in self.tables:
            raise unknown_name("split", name, self.tables)
        from striate.data.batches import TableSplit

        preprocess = None if isinstance(self.tables[name].store, Tokens) else self.preprocess
        augment = self.augmentations if training else ()
        return TableSplit(name, self.tables[name], len(self.classes), preprocess, training, augment, self.device, self.classes_as_shares)

    @cached_property
    def augmentations(self) -> tuple[Any, ...]:
        """The augmentations of `augment`, built and fitted to the training split."""
        if not self.augment:
            return ()
        from striate.data.ragged import Cut

        store = self.training_table.store
        if isinstance(store, Tokens):
            raise ArgumentError(f"augment: {', '.join(self.augment)} is for pictures; {self.name} is text")
        built = build(self.augment)
        mixing = [spec for spec, augment in zip(self.augment, built, strict=True) if augment.mixes]
        if mixing and any(name in self.training_table.extra for name in ("boxes", "points")):
            raise ArgumentError(f"augment: {mixing[0]} blends pictures, and a blend has no one box; leave it out for data with boxes or points")
        if any(isinstance(augment, Cut) for augment in built[1:]):
            raise ArgumentError(f"augment: {', '.join(self.augment)}: a crop that resizes sees the whole picture, so it must come first")
        return tuple(augment.fitted(store) for augment in built)

    def prepared(self, *, augment: Sequence[str] = (), device: str = "cpu", classes_as_shares: bool = False) -> Dataset:
        """Return the same data with its batches augmented (specs such as `crop(4)`, `mirror`) and delivered on `device`.

        Raises `UnknownNameError` or `ArgumentError` for a spec that cannot be read.
        """
        for spec in augment:
            parse_spec(spec)
        copied = dataclasses.replace(self, augment=tuple(augment), device=device, classes_as_shares=classes_as_shares)
        for known in ("preprocess", "fingerprint", "shape"):
            if known in self.__dict__:
                copied.__dict__[known] = self.__dict__[known]
        return copied

    def held_out(self, share: float, seed: int = 0) -> Dataset:
        """Return a copy with a stratified share of `train` moved into `val` (added to the end of a `val` that is there).

        Raises `ArgumentError` when the share leaves a part empty.
        """
        from striate.data.splits import held_out

        return held_out(self, share, seed)

    def merged(self, *names: str) -> Dataset:
        """Return a copy whose `train` also holds the samples of the splits `names`, which go away: the last step after choosing on `val`."""
        from striate.data.splits import merged

        return merged(self, names)

    def with_preprocess(self, preprocess: AnyPreprocess) -> Dataset:
        """Return a copy whose pixels are prepared as `preprocess` says, or whose words are numbered by it: a trained network's own.

        Raises `DataError` for text whose words are no longer at hand.
        """
        from striate.data.vocabulary import Vocabulary, renumbered

        tables = self.tables
        if isinstance(preprocess, Vocabulary) and not (isinstance(self.given, Vocabulary) and preprocess.same(self.given)):
            tables = renumbered(self.name, tables, preprocess)
        return dataclasses.replace(self, given=preprocess, tables=tables)

    def resized(self, size: int | tuple[int, int]) -> Dataset:
        """Return a copy whose pictures reach the model at `size` (H W, or one number for both)."""
        pair = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
        if min(pair) < 1:
            raise ArgumentError(f"size: got {size!r}, expected 1 or more pixels each way")
        self._refuse_given("size")
        return dataclasses.replace(self, size=pair)

    def whitened(self, kind: str) -> Dataset:
        """Return a copy whose input is decorrelated as well (`pca`, `zca`) or only standardised (`none`); a note says what it costs."""
        if kind not in ("none", "pca", "zca"):
            raise unknown_name("whitening", kind, ("none", "pca", "zca"))
        if kind == "none":
            return dataclasses.replace(self, whitening=kind)
        self._refuse_given("whitening")
        length = int(np.prod(self.shape))
        cost = f"{kind} whitening costs {length**2:,} multiply-adds a picture and a matrix of {length**2 * 4 / 2**20:.1f} MiB"
        return dataclasses.replace(self, whitening=kind, notes=(*self.notes, cost))

    def _refuse_given(self, what: str) -> None:
        if self.given is not None:
            raise ArgumentError(f"{what}: the preprocessing of {self.name} is set already and would not be reached; set {what} before it")

    def class_counts(self, split: str = "train") -> npt.NDArray[np.int64]:
        """Return how many samples each class has in a split, K int64."""
        if split not in self.tables:
            raise unknown_name("split", split, self.tables)
        targets = self.tables[split].targets
        if targets is None or targets.ndim != 1:
            raise DataError(f"{self.name}: {split} has no class labels")
        return np.bincount(targets, minlength=len(self.classes)).astype(np.int64)

    def class_weights(self) -> npt.NDArray[np.float64]:
        """Return n / (K count) per class of the training split, K of them there, so that each weighs the same in the loss; 0 for an empty one."""
        from striate.data.checks import class_weights

        return np.array(class_weights(self.class_counts(next(name for name, table in self.tables.items() if table is self.training_table))))

    def pictures(self, split: str, indices: Sequence[int] | npt.NDArray[np.int64]) -> list[npt.NDArray[np.uint8]]:
        """Return raw pictures (H W C uint8) for galleries."""
        if split not in self.tables:
            raise unknown_name("split", split, self.tables)
        store = self.tables[split].store
        if isinstance(store, Tokens):
            raise ArgumentError(f"{self.name} is text; it has no pictures")
        return [store.picture(int(index)) for index in indices]

    def check(self) -> CheckReport:
        """Look for what goes wrong with data: broken files, duplicates, leaks between splits, imbalance."""
        from striate.data.checks import check

        return check(self)


__all__ = ["Dataset", "Fixed", "Ragged", "Table", "Tokens"]
