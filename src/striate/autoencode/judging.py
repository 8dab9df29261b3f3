"""How well an autoencoder gives back pictures, takes noise away and orders its codes, beside PCA with as many components."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from striate.autoencode.building import Autoencoder
from striate.autoencode.corruption import Noise, checked, corrupted
from striate.autoencode.figures import KEPT, Reconstruction
from striate.autoencode.subspace import WHOLE, Principal, principal
from striate.core.contracts import Progress
from striate.core.errors import ArgumentError
from striate.core.runtime import derived_seed, generator
from striate.probe import traceless

SHOWN = 12
"""Pictures shown there and back."""
MAPPED = 1000
"""Codes on the map."""
FITTED = 20_000
"""Training pictures, at most, that PCA is found from: a seeded draw."""
NUMBERS = 2**27
"""Numbers of pictures, at most, that are held at once of each part: of large pictures fewer are taken."""
LONG = 2e10
"""Products of two numbers from which finding PCA is announced: seconds."""
CHOOSING = 1000
"""Training pictures on which the number of components that denoises best is chosen."""


def psnr(first: Any, second: Any, *, peak: float = 1.0) -> float:
    """Return the peak signal-to-noise ratio of two arrays of one shape in decibels, 10 log10(peak² / mean squared difference); equal ones: inf.

    For several pictures the mean is over all of them before the logarithm: it is the PSNR of the set, not the mean of PSNRs. Raises `ArgumentError`.
    """
    a, b = np.asarray(_plain(first), np.float64), np.asarray(_plain(second), np.float64)
    if a.shape != b.shape or not a.size:
        raise ArgumentError(f"first, second: got shapes {a.shape} and {b.shape}, expected the same, not empty")
    error = float(((a - b) ** 2).mean())
    return math.inf if error == 0 else 10 * math.log10(peak**2 / error)


def judge(
    model: nn.Module,
    data: Any,
    *,
    split: str | None = None,
    limit: int = 10_000,
    noise: Noise | None = None,
    amount: float | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Reconstruction:
    """Measure an autoencoder on one part of `data` (None: test, else val, else train), at most `limit` pictures, a seeded draw.

    `noise` and `amount` default to what the model was trained against; with noise, the PSNR of the noisy pictures, of the model's and of PCA's
    cleaned ones are taken too, PCA with as many components as the code has numbers and with as many as clean best (chosen on training pictures).
    What model and PCA give is clipped to [0, 1], as pixels are. PCA is found from clean training pictures, at most `FITTED`; where they have more
    than `WHOLE` numbers, from at most `WHOLE` where every count is tried. Of each part at most `NUMBERS` numbers are taken. PCA has as many
    components as there are where the code has more numbers. A model that is not an `Autoencoder` has no code: its PCA and map are left out.
    `progress` is told what takes long.
    Raises `UnknownNameError`, `ArgumentError`.
    """
    from striate.autoencode.learning import pixels_of

    opened = pixels_of(data)
    place = split or next(name for name in ("test", "val", "train", *opened.splits) if name in opened.splits)
    spoil = getattr(model, "corruption", None)
    noise, amount = checked(str(noise or getattr(spoil, "noise", "none")), getattr(spoil, "amount", 0.1) if amount is None else amount)
    code = model.code_size if isinstance(model, Autoencoder) else None
    width = math.prod(opened.shape)
    held = max(2, NUMBERS // width)
    x, y = _pictures(opened, place, min(limit, held), seed)
    needed = (code or 1) if noise == "none" else None
    whole = width > WHOLE and (needed is None or needed > WHOLE // 4)
    most = min(WHOLE if whole else FITTED, held)
    known = _pictures(opened, "train", most, seed)[0] if "train" in opened.splits else x[:most]
    if progress is not None and len(known) * width * min(len(known), width) > LONG:
        progress.note(f"measuring beside PCA, which is found from {len(known):,} training pictures of {width:,} numbers: this takes a while")
    basis = _basis(known, needed)
    alike = None if code is None else min(code, len(basis.components))
    rebuilt = _through(model, x).clamp(0, 1)
    figures: dict[str, float] = {"model": psnr(x, rebuilt), "mean": psnr(x, np.broadcast_to(basis.mean, x.flatten(1).shape).reshape(x.shape))}
    pictures = {"original": x[:SHOWN]}
    cleaned: dict[str, float] = {}
    if noise != "none":
        noisy = corrupted(x, noise, amount, seed=seed)
        clean = _through(model, noisy).clamp(0, 1)
        best = _best_count(basis, known[:CHOOSING], noise, amount, seed)
        cleaned = {"noisy": psnr(x, noisy), "noisy, clipped": psnr(x, noisy.clamp(0, 1)), "model": psnr(x, clean), "best": float(best)}
        pictures |= {"noisy": noisy[:SHOWN].clamp(0, 1), "model": clean[:SHOWN]}
        counts = {f"PCA, {n}": n for n in dict.fromkeys([*([alike] if alike else []), best])}
        for name, count in counts.items():
            by_pca = _projected(basis, noisy, count)
            cleaned[name] = psnr(x, by_pca)
            pictures[name] = by_pca[:SHOWN]
    else:
        pictures["model"] = rebuilt[:SHOWN]
    if alike is not None:
        by_pca = _projected(basis, x, alike)
        figures["PCA"] = psnr(x, by_pca)
        if noise == "none":
            pictures[f"PCA, {alike}"] = by_pca[:SHOWN]
    codes = _codes(model, x[:MAPPED]) if code is not None else None
    return Reconstruction(
        split=place,
        n=len(x),
        code=code,
        components=alike,
        noise=noise,
        amount=amount,
        figures=figures,
        cleaned=cleaned,
        pictures={name: _shown(values) for name, values in pictures.items()},
        filters=first_filters(model),
        codes=codes,
        thumbnails=None if codes is None else _shown(x[:MAPPED]),
        labels=None if y is None else y[: len(x[:MAPPED])],
        classes=tuple(opened.classes),
        fitted=len(known),
    )


def first_filters(model: nn.Module) -> npt.NDArray[np.float32] | None:
    """Return what the first layer looks for, as pictures O C H W: kernels of a convolution, rows of a linear layer; None for another network."""
    first = next((box for box in model.modules() if isinstance(box, (nn.Conv2d, nn.Linear))), None)
    if isinstance(first, nn.Conv2d):
        return first.weight.detach().float().cpu().numpy()
    if isinstance(first, nn.Linear) and isinstance(model, Autoencoder) and len(model.stages[0].input) == 3:
        return first.weight.detach().float().cpu().reshape(-1, *model.stages[0].input).numpy()
    return None


def _pictures(data: Any, split: str, limit: int, seed: int) -> tuple[Tensor, npt.NDArray[np.int64] | None]:
    """Return pictures of one part as floats N C H W in [0, 1], and their labels; at most `limit`, in a seeded order."""
    part = data.split(split)
    table = data.tables[split]
    if len(table) > limit:
        rows = torch.randperm(len(table), generator=generator(derived_seed(seed, 3)))[:limit].sort().values.numpy()
        from dataclasses import replace

        part = replace(data, tables={split: table.take(rows)}, given=data.preprocess).split(split)
    found = [(batch.x.clone(), batch.y) for batch in part.batches(1000, epoch=0, seed=0)]
    x = torch.cat([pixels for pixels, _ in found])
    y = None if found[0][1] is None else torch.cat([labels for _, labels in found if labels is not None]).numpy()
    mixed = torch.randperm(len(x), generator=generator(derived_seed(seed, 5)))
    return x[mixed].contiguous(), None if y is None else y[mixed.numpy()]


@torch.no_grad()
def _through(model: nn.Module, x: Tensor, call: Callable[[Tensor], Tensor] | None = None, batch: int = 1000) -> Tensor:
    """Run the model in evaluation mode, in its own precision, in parts; return float32. It is left as it was."""
    weight = next(model.parameters())
    with traceless(model) as inner:
        inner.eval()
        return torch.cat([(call or inner)(part.to(weight.device, weight.dtype)).float().cpu() for part in torch.split(x, batch)])


def _codes(model: Any, x: Tensor) -> npt.NDArray[np.float32]:
    """Return codes N K; of longer ones than `KEPT` the coordinates along that many principal axes of theirs."""
    codes: npt.NDArray[np.float32] = _through(model, x, model.encode).flatten(1).numpy()
    if codes.shape[1] <= KEPT:
        return codes
    centred = codes - codes.mean(0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    kept: npt.NDArray[np.float32] = (left[:, :KEPT] * sizes[:KEPT]).astype(np.float32)
    return kept


def _basis(known: Tensor, count: int | None) -> Principal:
    """Return what `principal` finds; of one picture its mean, and no component."""
    rows = known.flatten(1).numpy()
    if len(rows) > 1:
        return principal(rows, count)
    return Principal(rows.mean(0, dtype=np.float64), np.zeros((0, rows.shape[1])), np.zeros(0))


def _projected(basis: Principal, x: Tensor, count: int, batch: int = 1000) -> Tensor:
    rebuilt = [torch.from_numpy(basis.rebuilt(part.flatten(1).numpy(), count)).float().clamp(0, 1) for part in torch.split(x, batch)]
    return torch.cat(rebuilt).reshape(x.shape)


def _best_count(basis: Principal, clean: Tensor, noise: Noise, amount: float, seed: int) -> int:
    """Return how many components clean training pictures best, of counts about a sixth apart."""
    noisy = corrupted(clean, noise, amount, seed=derived_seed(seed, 4)).flatten(1).numpy() - basis.mean
    known, kept = clean.flatten(1).numpy(), basis.components
    counts, n = [], 1.0
    while n < len(kept):
        counts.append(int(n))
        n = max(n + 1, n * 1.15)
    found, before, cleaned = {}, 0, np.tile(basis.mean, (len(known), 1))
    for count in dict.fromkeys([*counts, len(kept)]):
        more = kept[before:count]
        cleaned, before = cleaned + noisy @ more.T @ more, count
        found[count] = psnr(known, cleaned.clip(0, 1))
    return max(found, key=found.__getitem__)


def _plain(values: Any) -> Any:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else values


def _shown(values: Tensor) -> npt.NDArray[np.uint8]:
    found: npt.NDArray[np.uint8] = (values.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    return found
