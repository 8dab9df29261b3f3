"""What every method returns: raw arrays, how they were made, what speaks for them; drawn, saved and read back. No torch."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.core import contracts
from striate.core.errors import ArgumentError, StorageError
from striate.core.storage import atomic, write_text

if TYPE_CHECKING:
    from striate.draw import Figure

FORMAT = 1
META = "explanation.json"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Explanation(contracts.Explanation):
    """The result of a method, for one sample or many.

    Arrays by convention: `pixels` the pictures asked about, N C H W in [0, 1]; `map` (kind map) N H W, raw values, never stretched;
    `image` (kind image) M C H W in [0, 1]; `points` (kind embedding) N 2; a table's columns, one array each. Every array runs over the samples
    along its first axis but those named in `shared`.
    """

    shared: tuple[str, ...] = ()
    """Arrays that are not by sample."""
    names: tuple[str, ...] = ()
    """What each sample is called: a file's name; empty where nobody said."""
    classes: tuple[str, ...] = ()
    """Class names in label order, where they are known."""

    def __post_init__(self) -> None:
        lengths = {name: len(array) for name, array in self.arrays.items() if name not in self.shared}
        if len(set(lengths.values())) > 1:
            raise ArgumentError(f"{self.method}: arrays of different lengths: {lengths}; name those that are not by sample in shared=")

    def __len__(self) -> int:
        return next((len(array) for name, array in self.arrays.items() if name not in self.shared), 0)

    def __getitem__(self, number: int) -> Explanation:
        """Return the explanation of one sample; raises IndexError past the end."""
        place = range(len(self))[number]
        arrays = {name: array if name in self.shared else array[place : place + 1] for name, array in self.arrays.items()}
        target = None if self.target is None or len(self.target) != len(self) else self.target[place : place + 1]
        names = self.names[place : place + 1] if len(self.names) == len(self) else ()
        return dataclasses.replace(self, arrays=arrays, target=target, names=names)

    def __iter__(self) -> Iterator[Explanation]:
        return (self[number] for number in range(len(self)))

    def over(self, fingerprint: str, title: str) -> Explanation:
        """Return a copy that says which data it was computed on."""
        return dataclasses.replace(self, fingerprints={**self.fingerprints, "images": fingerprint}, options={**self.options, "data": title})

    def figure(self) -> Figure:
        """Draw it: the method's own way where its file has one, else the kind's."""
        from striate.understand.figures import figure

        return figure(self)

    def save(self, path: str | Path) -> Path:
        """Write it as told by the ending: `.png` and `.svg` the figure, `.html` a page, `.npz` everything, for `load`. Raises `ArgumentError`."""
        target = Path(path)
        kind = target.suffix.lower()
        if kind == ".npz":
            with atomic(target) as stream:
                stored: dict[str, Any] = {META: np.array(json.dumps(self.to_json())), **self.arrays}
                np.savez_compressed(stream, **stored)
        elif kind == ".html":
            from striate.understand.pages import page

            write_text(target, page([self]))
        elif kind in (".png", ".svg"):
            self.figure().save(target)
        else:
            raise ArgumentError(f"{target}: an explanation can be saved as .png, .svg, .html or .npz, not as {kind or 'a file without an ending'}")
        return target

    def to_json(self) -> dict[str, Any]:
        """Return everything but the arrays as plain JSON values; of the arrays their shapes."""
        values: dict[str, Any] = {"format": FORMAT}
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            values[item.name] = {k: list(v.shape) for k, v in value.items()} if item.name == "arrays" else _plain(value)
        return values

    def __repr__(self) -> str:
        arrays = ", ".join(f"{name} {'×'.join(map(str, array.shape))}" for name, array in self.arrays.items())
        return f"Explanation({self.method!r}, {self.kind}: {arrays})"

    def _repr_html_(self) -> str:
        return self.figure().svg(standalone=True)


def load(path: str | Path) -> Explanation:
    """Read back what `save` wrote as `.npz`. Raises `StorageError` that names the file."""
    try:
        with np.load(Path(path), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        values = json.loads(str(arrays.pop(META)))
    except FileNotFoundError:
        raise StorageError(f"{path}: no such file") from None
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise StorageError(f"{path}: not an explanation saved as .npz ({error})") from None
    if values.pop("format", FORMAT) > FORMAT:
        raise StorageError(f"{path}: written by a newer striate; upgrade striate")
    values["arrays"] = arrays
    values["receipts"] = {name: float(value) for name, value in values.get("receipts", {}).items()}
    known = {item.name for item in dataclasses.fields(Explanation)}
    given: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items() if name in known}
    return Explanation(**given)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
