"""How an error grows as pictures are shifted, turned, scaled, squeezed, drawn thicker or thinner, or covered with noise (row L5)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from striate.core.contracts import Batch, Data
from striate.core.errors import DataError
from striate.core.runtime import generator
from striate.core.runtime import settings as resolve
from striate.training.evaluation import run_over
from striate.training.forward import placed
from striate.training.run import Run

STRENGTHS: dict[str, tuple[float, ...]] = {
    "shift": (1, 2, 3, 4),
    "rotation": (5, 10, 20, 30, 45),
    "scale": (0.6, 0.8, 1.2, 1.4),
    "squeeze": (0.6, 0.8, 1.2, 1.4),
    "stroke": (-1, 1, 2),
    "noise": (0.05, 0.1, 0.2, 0.4),
}
"""What is tried: pixels, degrees (either way), factor, factor of the width alone, pixels thinner or thicker, deviation as a share of white."""
UNITS = {"shift": "px", "rotation": "°", "scale": "×", "squeeze": "×", "stroke": "px", "noise": "σ"}


@dataclass(frozen=True)
class Robustness:
    """Errors (shares of 1) by distortion and strength, beside the error on the pictures as they are."""

    split: str
    plain: float
    errors: dict[str, dict[float, float]]

    def __str__(self) -> str:
        """A line a distortion: strength and error in percent."""
        lines = [f"{self.split}: {self.plain:.2%} error on the pictures as they are"]
        for name, row in self.errors.items():
            cells = "  ".join(f"{strength:g}{UNITS[name]} {error:.1%}" for strength, error in row.items())
            lines.append(f"{name:<9} {cells}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        rows = {name: [[strength, error] for strength, error in row.items()] for name, row in self.errors.items()}
        return {"split": self.split, "plain": self.plain, "errors": rows}


@dataclass
class _Distorted:
    """A split whose every batch is distorted; otherwise the split it wraps."""

    inner: Any
    change: Callable[[Tensor, torch.Generator], Tensor]
    seed: int

    @property
    def name(self) -> str:
        return str(self.inner.name)

    @property
    def length(self) -> int | None:
        length: int | None = self.inner.length
        return length

    def batches(self, size: int, *, epoch: int, seed: int, start: int = 0, rank: int = 0, world: int = 1) -> Iterator[Batch]:
        for step, batch in enumerate(self.inner.batches(size, epoch=epoch, seed=seed, start=start, rank=rank, world=world)):
            yield Batch(self.change(batch.x, generator(self.seed, step)), batch.y, batch.index, batch.extra)


def robustness(
    run: Run,
    data: Data | str | Path,
    *,
    split: str = "test",
    device: str = "auto",
    precision: Literal["auto", "fp32", "bf16"] = "auto",
    seed: int = 0,
) -> Robustness:
    """Return the run's error on `split` under every distortion of `STRENGTHS`, directions drawn from `seed`.

    Pixels that come in from outside repeat the border. `stroke` is for pictures of one channel, light on dark, and left out elsewhere. Raises
    `DataError` for data that are no pictures.
    """
    from striate.data import load

    opened: Any = load(data)
    if len(opened.shape) != 3:
        raise DataError(f"{opened.name}: robustness needs pictures (C H W), these samples have the shape {opened.shape}")
    use = resolve(device, precision)
    inner = opened.with_preprocess(run.preprocess).prepared(device=use.device).split(split)
    network, use = placed(run.model, use, opened.shape)

    def error(change: Callable[[Tensor, torch.Generator], Tensor]) -> float:
        return run_over(network, _Distorted(inner, change, seed), run.task, use).figures["error"]

    std = torch.tensor(getattr(run.preprocess, "std", (1.0,))).view(-1, 1, 1).to(use.device)
    kinds = {name: values for name, values in STRENGTHS.items() if name != "stroke" or opened.shape[0] == 1}
    found = {name: {value: error(_change(name, value, std)) for value in values} for name, values in kinds.items()}
    return Robustness(split, error(lambda x, _: x), found)


def _change(name: str, strength: float, std: Tensor) -> Callable[[Tensor, torch.Generator], Tensor]:
    """Standardising is affine per channel, so moving and thickening may follow it; noise is divided by the same deviation."""
    if name == "stroke":
        return lambda x, _: _thicker(x, int(strength))
    if name == "noise":
        return lambda x, g: x + torch.randn(x.shape, generator=g).to(x.device) * strength / std
    return lambda x, g: moved(x, *_matrix(name, strength, len(x), x.shape[-2:], g))


def _matrix(name: str, strength: float, count: int, size: torch.Size, g: torch.Generator) -> tuple[Tensor, ...]:
    """Return per sample (angle in radians, zoom across, zoom down, shift across, shift down); shifts in halves of the picture."""
    signs = torch.randint(0, 2, (2, count), generator=g).float() * 2 - 1
    zero, one = torch.zeros(count), torch.ones(count)
    if name == "shift":
        return zero, one, one, signs[0] * strength * 2 / size[1], signs[1] * strength * 2 / size[0]
    if name == "rotation":
        return signs[0] * math.radians(strength), one, one, zero, zero
    return zero, one * strength, one * (strength if name == "scale" else 1.0), zero, zero


def moved(x: Tensor, angle: Tensor, across: Tensor, down: Tensor, right: Tensor, below: Tensor) -> Tensor:
    """Return pictures N C H W turned by `angle`, enlarged by `across` and `down`, and shifted; bilinear, the border repeated."""
    height, width = x.shape[-2:]
    cos, sin = angle.cos(), angle.sin()
    rows = [
        torch.stack([cos / across, sin * height / width / across, -right], 1),
        torch.stack([-sin * width / height / down, cos / down, -below], 1),
    ]
    grid = F.affine_grid(torch.stack(rows, 1).to(x.device), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


def _thicker(x: Tensor, pixels: int) -> Tensor:
    """Return strokes (light on dark) `pixels` thicker, or thinner where negative: the largest or smallest neighbour in a window."""
    window = abs(pixels) + 1
    first = window // 2
    padded = F.pad(x, (first, window - 1 - first, first, window - 1 - first), "replicate")
    return F.max_pool2d(padded, window, 1) if pixels > 0 else -F.max_pool2d(-padded, window, 1)
