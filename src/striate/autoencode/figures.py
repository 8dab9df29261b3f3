"""What was measured of an autoencoder, kept with its run: figures as JSON, pictures as arrays, and drawings of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from striate.core.errors import StorageError
from striate.core.storage import atomic, read_json, write_json

if TYPE_CHECKING:
    from striate.draw import Figure

FORMAT = 1
FIGURES, ARRAYS = "reconstruction.json", "reconstruction.npz"
KEPT = 64
"""Numbers of a code that are kept for the map; longer codes are kept as their coordinates along so many principal axes."""
FILTERS = 64
"""How many filters are kept and drawn."""
EXACT = 100.0
"""Decibels from which a copy counts as exact."""


@dataclass(frozen=True, kw_only=True)
class Reconstruction:
    """An autoencoder's figures on `n` pictures of `split`, in decibels of PSNR (peak 1), with pictures to look at.

    `code`      how many numbers a code has, `components` as many of PCA, at most those there are; None for a network without a code
    `figures`   `model`, `PCA` (with `components`), `mean` (the mean picture for all): clean pictures there and back
    `cleaned`   with noise: `noisy`, `noisy, clipped`, `model`, `PCA, K` for each count of components tried; `best`: the count that cleans best
    `pictures`  some of them, by row, uint8 N C H W; `filters` O C H W of the first layer; `codes` N K with their `thumbnails` and `labels`
    `layers`    of a stacked one: the PSNR after each layer was trained, outermost first, and the pictures through it
    """

    split: str
    n: int
    code: int | None
    components: int | None
    noise: str
    amount: float
    figures: Mapping[str, float]
    cleaned: Mapping[str, float]
    pictures: Mapping[str, npt.NDArray[np.uint8]]
    filters: npt.NDArray[np.float32] | None = None
    codes: npt.NDArray[np.float32] | None = None
    thumbnails: npt.NDArray[np.uint8] | None = None
    labels: npt.NDArray[np.int64] | None = None
    classes: tuple[str, ...] = ()
    fitted: int = 0
    layers: tuple[Mapping[str, Any], ...] = field(default=())

    @property
    def gain(self) -> dict[str, float]:
        """Decibels by which the model is better: than the noisy pictures and than PCA at its best where there is noise, else than PCA."""
        if self.cleaned:
            best = self.cleaned[f"PCA, {int(self.cleaned['best'])}"]
            return {"noisy": self.cleaned["model"] - self.cleaned["noisy"], "PCA": self.cleaned["model"] - best}
        return {"PCA": self.figures["model"] - self.figures["PCA"]} if "PCA" in self.figures else {}

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain JSON values."""
        names = ("split", "n", "code", "components", "noise", "amount", "fitted")
        plain = {"format": FORMAT, **{name: getattr(self, name) for name in names}, "classes": list(self.classes)}
        decibels = {"psnr": self.figures, "cleaned": self.cleaned, "gain": self.gain}
        finite = {name: {key: value if np.isfinite(value) else None for key, value in known.items()} for name, known in decibels.items()}
        return plain | finite | {"layers": [dict(layer) for layer in self.layers]}

    def save(self, folder: Path) -> None:
        """Write `reconstruction.json` and `.npz` into a run's folder, each in one step."""
        arrays: dict[str, Any] = {f"row {place} {name}": values for place, (name, values) in enumerate(self.pictures.items())}
        for name in ("filters", "codes", "thumbnails", "labels"):
            value = getattr(self, name)
            if value is not None:
                arrays[name] = value[:FILTERS] if name == "filters" else value
        with atomic(folder / ARRAYS) as stream:
            np.savez_compressed(stream, **arrays)
        write_json(folder / FIGURES, self.to_json())

    @classmethod
    def load(cls, folder: Path) -> Reconstruction:
        """Read back what `save` wrote; raises `StorageError` where it is missing or broken."""
        facts = read_json(folder / FIGURES)
        try:
            with np.load(folder / ARRAYS, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            rows = sorted((int(name.split()[1]), name.split(" ", 2)[2], values) for name, values in arrays.items() if name.startswith("row "))
            return cls(
                split=facts["split"],
                n=facts["n"],
                code=facts["code"],
                components=facts["components"],
                noise=facts["noise"],
                amount=facts["amount"],
                figures=_decibels(facts["psnr"]),
                cleaned=_decibels(facts["cleaned"]),
                pictures={name: values for _, name, values in rows},
                filters=arrays.get("filters"),
                codes=arrays.get("codes"),
                thumbnails=arrays.get("thumbnails"),
                labels=arrays.get("labels"),
                classes=tuple(facts["classes"]),
                fitted=facts["fitted"],
                layers=tuple(facts["layers"]),
            )
        except (KeyError, ValueError, OSError, EOFError, BadZipFile, IndexError, TypeError) as error:
            raise StorageError(f"{folder}: what was measured of the autoencoder cannot be read ({type(error).__name__}: {error})") from error

    @property
    def title(self) -> str:
        """What is seen, in a sentence."""
        if self.cleaned:
            gain = self.gain
            better = f"{abs(gain['PCA']):.1f} dB {'better' if gain['PCA'] >= 0 else 'worse'} than PCA at its best"
            direction = "gains" if gain["noisy"] >= 0 else "loses"
            return f"Denoising {direction} {abs(gain['noisy']):.1f} dB on the noisy pictures, {better}"
        if "PCA" in self.figures:
            if self.figures["PCA"] >= EXACT:
                back = f"Pictures come back with a PSNR of {self.figures['model']:.1f} dB"
                return f"{back}; {_components(self.components)} give{'s' * (self.components == 1)} them back exactly"
            gap = self.gain["PCA"]
            close = "about as well as" if abs(gap) < 0.05 else f"{abs(gap):.1f} dB {'better' if gap > 0 else 'worse'} than"
            numbers = "1 number gives" if self.code == 1 else f"{self.code} numbers give"
            return f"{numbers} back a picture {close} {_components(self.components)}"
        return f"Pictures come back with a PSNR of {self.figures['model']:.1f} dB"

    def rows(self) -> dict[str, float]:
        """Return the figures in the order in which a reader compares them, named in words."""
        spoiled = {"masking": f"{self.amount:.0%} of the pixels set to 0", "gaussian": f"noise of deviation {self.amount:g} added"}
        spoiled["salt"] = f"{self.amount:.0%} of the pixels set to 0 or 1"
        named: dict[str, float] = {}
        if self.cleaned:
            best = int(self.cleaned["best"])
            named[f"noisy: {spoiled.get(self.noise, self.noise)}"] = self.cleaned["noisy"]
            if abs(self.cleaned["noisy, clipped"] - self.cleaned["noisy"]) > 0.005:
                named["noisy, clipped to what pixels can be"] = self.cleaned["noisy, clipped"]
            named["cleaned by the autoencoder"] = self.cleaned["model"]
            alike = "as many as the code has numbers" if self.components == self.code else "all there are"
            for name, value in self.cleaned.items():
                if name.startswith("PCA"):
                    count = int(name.split(", ")[1])
                    why = "the count that cleans training pictures best" if count == best else alike
                    named[f"cleaned by {_components(count)}, {why}"] = value
        words = {
            "model": "clean, there and back",
            "PCA": f"clean, through {_components(self.components)}",
            "mean": "the mean picture for all",
        }
        return named | {words[name]: self.figures[name] for name in words if name in self.figures}

    def sheet(self, *, width: float = 760, titled: bool = True) -> Figure:
        """Draw pictures there and back, one row a method, with its PSNR."""
        from striate import draw

        rows, pictures = [], []
        columns = max(len(values) for values in self.pictures.values())
        for name, values in self.pictures.items():
            rows.append(self._row_name(name))
            pictures += [np.moveaxis(picture, 0, -1) for picture in values] + [None] * (columns - len(values))
        return draw.grid(pictures, title=self.title if titled else "", columns=columns, rows=rows, width=width)

    def _row_name(self, name: str) -> str:
        known = self.cleaned or self.figures
        value = known.get(name, self.figures.get("PCA") if name.startswith("PCA") and not self.cleaned else None)
        word = {"model": "autoencoder"}.get(name, name)
        return word if value is None else f"{word}  {decibels(value)}"

    def filter_figure(self) -> Figure | None:
        """Draw what the first layer looks for, all on one scale; None where there is nothing to draw."""
        from striate import draw

        if self.filters is None or max(self.filters.shape[2:]) < 2:
            return None
        chosen = self.filters[np.argsort(-np.linalg.norm(self.filters.reshape(len(self.filters), -1), axis=1), kind="stable")][:FILTERS]
        title = f"The {len(chosen)} strongest filters of the first layer" + (", mean over colours" if chosen.shape[1] > 1 else "")
        return draw.maps([kernel.mean(0) for kernel in chosen], signed=True, shared=True, columns=min(16, len(chosen)), size=42, title=title)

    def code_map(self, *, width: float = 760) -> Figure | None:
        """Draw codes as points in the plane, each its own picture: the code itself where it has two numbers, else its first two principal axes."""
        from striate import draw

        if self.codes is None or self.thumbnails is None or len(self.codes) < 3 or self.codes.shape[1] < 2:
            return None
        points, note = np.asarray(self.codes, np.float64), "the two numbers of the code"
        if points.shape[1] > 2:
            centred = points - points.mean(0)
            _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
            points = centred @ axes[:2].T
            share = (sizes[:2] ** 2).sum() / max((sizes**2).sum(), 1e-12)
            note = "first two principal axes of the codes" + (f", {100 * share:.0f} % of their variance" if (self.code or 0) <= KEPT else "")
        pictures = [np.moveaxis(picture, 0, -1) for picture in self.thumbnails]
        title = f"{len(points):,} codes of {self.code or self.codes.shape[1]:,} numbers on a map"
        labels = None if self.labels is None else [int(label) for label in self.labels]
        return draw.pictured(points, pictures, labels=labels, classes=self.classes, title=title, note=note, side=20, width=width)


def decibels(value: float) -> str:
    """Spell a PSNR: from 100 dB on, a hundred-thousandth of the range off, a copy is called exact."""
    return "exact" if value >= EXACT else f"{value:.1f} dB"


def _components(count: int | None) -> str:
    return f"{count} principal component{'s' * (count != 1)}"


def _decibels(values: Mapping[str, float | None]) -> dict[str, float]:
    """JSON has no infinity: a perfect copy is written as null."""
    return {name: float("inf") if value is None else value for name, value in values.items()}
