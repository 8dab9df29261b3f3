"""Greedy training, layer by layer: each layer learns to give back what the trained ones below it give (Bengio et al. 2007; row E6)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor, nn

from striate.autoencode.building import Autoencoder
from striate.autoencode.coding import as_data, as_pictures, chain, parts_of, through
from striate.autoencode.corruption import Noise
from striate.autoencode.learning import RECIPE, free_folder, made, pixels_of, told
from striate.autoencode.mirror import Stage
from striate.autoencode.turns import WHOLE, Turns
from striate.core.contracts import Progress, Recipe
from striate.core.runtime import Precision, derived_seed
from striate.core.storage import digest

if TYPE_CHECKING:
    from striate.training import Run

LAYERS = RECIPE.edited(name="autoencode-layer", epochs=10)
"""How each layer is trained unless told."""


@dataclass(frozen=True)
class Layer:
    """One layer's turn: its name, what it turns into what, its run's folder, and how pictures look through it and all below it."""

    name: str
    input: tuple[int, ...]
    output: tuple[int, ...]
    folder: Path
    loss: float
    """Mean squared error of this layer's own input on the part judged, at the end of its turn."""
    psnr: float
    """Pictures up to this layer and back down, in decibels; before fine-tuning."""
    pictures: np.ndarray = field(repr=False)
    """Some of them, uint8 N C H W."""

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain JSON values."""
        kept = {"name": self.name, "input": list(self.input), "output": list(self.output), "loss": self.loss, "psnr": self.psnr}
        return kept | {"folder": str(self.folder)}


@dataclass(frozen=True)
class Stack:
    """What greedy training gave: the autoencoder, its layers' turns, the run of fine-tuning (None where it was left out)."""

    model: Autoencoder
    layers: tuple[Layer, ...]
    run: Run | None
    before: float
    """PSNR of the whole before fine-tuning, in decibels."""
    after: float | None


def stack(
    model: Autoencoder | None,
    data: Any,
    *,
    options: Mapping[str, Any] | None = None,
    recipe: Recipe | None = None,
    epochs: float | None = None,
    fine_tune: float = 10,
    noise: Noise | None = None,
    amount: float | None = None,
    folder: str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: Precision = "auto",
    progress: Progress | None = None,
) -> Stack:
    """Train an autoencoder's layers one after the other, outermost first, then all together for `fine_tune` epochs (0: not at all).

    `model`: an `Autoencoder` (trained in place) or None for `autoencoder(data.shape, **options)`. Each layer is an autoencoder of its own on what the
    layers below give for the training pictures (kept in memory), `epochs` long by `recipe`; `noise` spoils its input, by default as the model's.
    Every layer's turn is a run under `folder`/layer-K; the fine-tuned whole is the run `folder`, with each layer's pictures in its report. Stopped or
    killed, the same call with the same `folder` goes on where it stopped, from the weights it began with, and ends with the same result.

    Raises `StorageError` for a folder that holds a finished run or one of other settings, `Stopped` (an `Interrupted`), and what training raises.
    """
    from striate.autoencode.judging import SHOWN, _pictures, _shown, judge, psnr

    opened = pixels_of(data)
    fresh = model is None
    model = made(opened, options or {}, seed) if model is None else model
    chosen, spoil = recipe or LAYERS, noise or model.corruption.noise
    share = model.corruption.amount if amount is None else amount
    shown = next(name for name in ("test", "val", "train", *opened.splits) if name in opened.splits)
    pictures, _ = _pictures(opened, shown, 10_000, seed)
    found: list[Layer] = []

    def watch(place: int, run: Run, loss: float) -> None:
        back = _there_and_back(model.stages[: place + 1], pictures)
        stage = model.stages[place]
        name = next(name for name, box in stage.encoder.items() if any(True for _ in box.parameters()))
        found.append(Layer(name, stage.input, stage.output, run.folder, loss, psnr(pictures, back), _shown(back[:SHOWN])))

    settings = {"data": opened.fingerprint, "network": digest(repr(model)), "recipe": chosen.to_json(), "epochs": epochs, "fine_tune": fine_tune}
    settings |= {"noise": spoil, "amount": share, "seed": seed}
    target = Path(folder) if folder is not None else free_folder(opened.name, "stacked")
    names = layer_names(model.stages) | {WHOLE: "fine-tuning"}
    with Turns(target, names, settings, first=model, progress=progress) as turns:
        how: dict[str, Any] = {"device": device, "precision": precision}
        greedy(
            model.stages, parts_of(opened), opened.name, turns, recipe=chosen, epochs=epochs, noise=spoil, amount=share, seed=seed, watch=watch, **how
        )
        before = psnr(pictures, through(model, pictures))
        if not fine_tune:
            turns.finish()
            return Stack(model, tuple(found), None, before, None)
        run = turns.take(WHOLE, model, opened, task="reconstruct", recipe=RECIPE, epochs=fine_tune, lr=chosen.lr / 2, seed=seed, **how)
        changes = {"recipe": recipe, "epochs": epochs, "fine_tune": fine_tune, "noise": noise, "amount": amount}
        run.update({"python": told("stack", fresh, opened, options, seed, changes), "command": None})
        judged = judge(model, opened, seed=seed, progress=progress)
        rows = {f"layers 1 to {place}" if place > 1 else "layer 1": turn for place, turn in enumerate(found, 1)}
        judged = dataclasses.replace(
            judged,
            pictures={"original": judged.pictures["original"], **{name: turn.pictures for name, turn in rows.items()}} | dict(judged.pictures),
            figures={**judged.figures, **{name: turn.psnr for name, turn in rows.items()}, "before fine-tuning": before},
            layers=tuple(turn.to_json() for turn in found),
        )
        judged.save(run.folder)
        turns.finish()
    return Stack(model, tuple(found), run, before, judged.figures["model"])


def layer_names(stages: Sequence[Stage]) -> dict[str, str]:
    """Return the turns of greedy training: each one's folder and what it is in words."""
    return {f"layer-{place}": f"layer {place} of {len(stages)}" for place in range(1, len(stages) + 1)}


def greedy(
    stages: Sequence[Stage],
    parts: Mapping[str, Tensor],
    name: str,
    turns: Turns,
    *,
    recipe: Recipe,
    epochs: float | None,
    noise: Noise,
    amount: float,
    seed: int,
    device: str,
    precision: Precision,
    watch: Any = None,
) -> list[Run]:
    """Train stages one after the other, each on what those before give for `parts` (by name, N …); `watch` is told place, run and loss of each."""
    runs: list[Run] = []
    for place, (turn, stage) in enumerate(zip(layer_names(stages), stages, strict=True)):
        run = turns.take(
            turn,
            Autoencoder([as_pictures(stage)], noise=noise, amount=amount),
            as_data(parts, f"{name}, layer {place + 1}"),
            task="reconstruct",
            recipe=recipe,
            epochs=epochs,
            seed=derived_seed(seed, place) % 2**31,
            device=device,
            precision=precision,
        )
        runs.append(run)
        splits = (run.result or {}).get("splits", {})
        figures = splits.get("test") or splits.get("val") or {"loss": run.history[-1]["train/loss"]}
        if watch is not None:
            watch(place, run, float(figures["loss"]))
        if place < len(stages) - 1:
            encoder = chain(stage.encoder).to("cpu")
            parts = {part: through(encoder, values) for part, values in parts.items()}
    return runs


def _there_and_back(stages: Sequence[Stage], x: Tensor) -> Tensor:
    boxes: list[nn.Module] = [box for stage in stages for box in stage.encoder.values()]
    boxes += [box for stage in reversed(stages) for box in stage.decoder.values()]
    whole = nn.Sequential(*boxes).to("cpu")
    return through(whole, x)
