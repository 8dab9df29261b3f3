"""Codes of a frozen trunk: at several depths, of several views, in one pass a view, kept on disk until weights, data or preprocessing change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from striate.core.contracts import Progress
from striate.core.errors import ArgumentError, DataError, unknown_name
from striate.core.runtime import Precision, Settings, settings
from striate.core.storage import digest
from striate.probe import tapped
from striate.surgery import fuse_batch_norm
from striate.surgery.following import deep_copy, unwrapped
from striate.training.forward import forward, placed
from striate.transfer import shelf
from striate.transfer.depths import depths
from striate.transfer.pooling import Pool, pooled

Floats = npt.NDArray[np.float32]
AUGMENT = ("resized_crop(scale=(0.35, 1.0))", "mirror")
"""How pictures are changed for augmented views unless told otherwise."""
BATCH = 32
FUSED_IN = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


@dataclass(frozen=True, eq=False)
class Codes:
    """What a frozen trunk makes of a split's pictures.

    `layers`   by (layer, `avg` or `max`): V N D float32, one code a view and picture
    `targets`  N int64, None where the split is unlabelled
    `views`    V names: `plain`, `mirror`, `augmented 0` ...
    `at`       the layers, shallow to deep
    `cached`   whether all of it came from the disk
    """

    at: tuple[str, ...]
    layers: Mapping[tuple[str, str], Floats]
    targets: npt.NDArray[np.int64] | None
    views: tuple[str, ...]
    classes: tuple[str, ...]
    split: str
    cached: bool = False

    def __len__(self) -> int:
        return len(next(iter(self.layers.values()))[0])

    def take(self, rows: npt.NDArray[np.int64]) -> Codes:
        """Return the codes of the pictures at `rows`."""
        layers = {name: values[:, rows] for name, values in self.layers.items()}
        return replace(self, layers=layers, targets=None if self.targets is None else self.targets[rows])

    def of(self, layer: str, pool: Pool = "avg") -> Floats:
        """Return one layer's codes, V N D; `both` lays means and maxima beside each other (a layer without maps has means only)."""
        if layer not in self.at:
            raise unknown_name("layer", layer, self.at)
        kinds = ("avg", "max") if pool == "both" else (pool,)
        found = [self.layers[layer, kind] for kind in kinds if (layer, kind) in self.layers]
        if not found:
            raise ArgumentError(f"pool: {layer} gives no maps, only one code a picture; use avg")
        return found[0] if len(found) == 1 else np.concatenate(found, axis=2)

    def of_views(self, *names: str) -> Codes:
        """Return the codes of some views only."""
        places = [self.views.index(name) if name in self.views else -1 for name in names]
        if -1 in places:
            raise unknown_name("view", names[places.index(-1)], self.views)
        return replace(self, layers={name: values[places] for name, values in self.layers.items()}, views=tuple(names))


def codes(
    model: nn.Module,
    data: Any,
    at: Sequence[str] | None = None,
    *,
    split: str = "train",
    mirror: bool = False,
    augmented: int = 0,
    augment: Sequence[str] = AUGMENT,
    seed: int = 0,
    batch: int = BATCH,
    device: str = "auto",
    precision: Precision = "auto",
    cache: bool = True,
    progress: Progress | None = None,
) -> Codes:
    """Return the codes of one split's pictures at several layers, from one pass a view of the frozen model in evaluation mode.

    `at` as `depths` takes it. Views: the plain picture, its `mirror` image, and `augmented` random ones, drawn by `seed` as `augment` says. Batch
    norms are folded in and the pass runs in bf16, channels last, where the machine has it. Maps are pooled to their means and their maxima. What was
    computed before, of the same weights, pixels, preprocessing and precision, is read from the cache (`cache=False` neither reads nor writes it).
    Raises `UnknownNameError` for a layer, `DataError` where a code is not a finite number.
    """
    model = unwrapped(model)
    places = depths(model, at, shape=data.shape)
    use = settings(device, precision)
    known = data.split(split)
    targets = _targets(data, split)
    views = ["plain", *(["mirror"] if mirror else []), *(f"augmented {number}" for number in range(augmented))]
    weights = shelf.model_fingerprint(model) if cache else ""
    quick: nn.Module | None = None
    fresh = False
    gathered: dict[tuple[str, str], list[Floats]] = {}
    for view in views:
        drawn = [*augment, str(seed)] if view.startswith("augmented") else []
        key = digest(weights, data.tables[split].fingerprint, str(data.preprocess.to_json()), view, *drawn, use.precision) if cache else ""
        found = shelf.read(key, places) if cache else {}
        missing = [place for place in places if not any(layer == place for layer, _ in found)]
        if missing:
            if quick is None:
                quick, use = placed(_quick(model, places), use, data.shape)
            if progress is not None:
                progress.note(f"codes of {known.length:,} pictures ({split}, {view}) at {', '.join(missing)}")
            made = _pass(quick, data, split, missing, view, tuple(augment), seed, batch, use)
            _check(made, split, view)
            if cache:
                shelf.write(key, made)
            found |= made
            fresh = True
        for name, values in found.items():
            gathered.setdefault(name, []).append(values)
    layers = {name: np.stack(parts) for name, parts in gathered.items()}
    return Codes(places, layers, targets, tuple(views), data.classes, split, cached=not fresh)


def _pass(
    model: nn.Module, data: Any, split: str, at: Sequence[str], view: str, augment: Sequence[str], seed: int, batch: int, use: Settings
) -> dict[tuple[str, str], Floats]:
    """Run the split once and pool what comes out of the layers `at`, in the order of the split."""
    random = view.startswith("augmented")
    epoch = int(view.rpartition(" ")[2]) if random else 0
    part = data.prepared(augment=tuple(augment) if random else (), device=use.device).split(split, training=random)
    found: dict[tuple[str, str], Floats] = {}
    with tapped(model, list(at)) as taps, torch.inference_mode(False), torch.no_grad():
        taps.model.eval()
        for samples in part.batches(batch, epoch=epoch, seed=seed):
            forward(taps.model, samples.x.flip(-1) if view == "mirror" else samples.x, use)
            rows = samples.index.numpy()
            for layer in at:
                for kind in ("avg", "max") if taps[layer].dim() > 2 else ("avg",):
                    values = pooled(taps[layer], kind).cpu().numpy()
                    whole = found.setdefault((layer, kind), np.empty((part.length, values.shape[1]), np.float32))
                    whole[rows] = values
    return found


def _quick(model: nn.Module, at: Sequence[str]) -> nn.Module:
    """Return a copy whose batch norms are folded in, where that changes none of the outputs asked for; else the model's own copy."""
    inner = unwrapped(model)
    if not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in inner.modules()):  # noqa: SLF001
        return deep_copy(inner)
    ends = [[m for m in inner.get_submodule(place).modules() if any(True for _ in m.parameters(recurse=False))] for place in at]
    if any(weighted and isinstance(weighted[-1], FUSED_IN) for weighted in ends):  # its own output changes with the norm behind it
        return deep_copy(inner)
    try:
        return fuse_batch_norm(inner)
    except ArgumentError:  # it cannot be followed: slower, but the same
        return deep_copy(inner)


def _check(found: Mapping[tuple[str, str], Floats], split: str, view: str) -> None:
    for (layer, _), values in found.items():
        broken = np.flatnonzero(~np.isfinite(values).all(axis=1))
        if len(broken):
            raise DataError(
                f"codes at {layer}: {len(broken)} of {len(values)} pictures ({split}, {view}) have NaN or infinite values, the first is picture "
                f"{broken[0]}. Check the weights (striate models), the pictures (striate data), or try precision='fp32'"
            )


def _targets(data: Any, split: str) -> npt.NDArray[np.int64] | None:
    if split not in data.tables:
        raise unknown_name("split", split, data.tables)
    targets = data.tables[split].targets
    return None if targets is None else np.asarray(targets, np.int64)
