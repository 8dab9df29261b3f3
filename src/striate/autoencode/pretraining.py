"""The encoder as a classifier's first weights: its trunk learns to give back unlabelled pictures before it sees a label (row E7)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from torch import nn

from striate.autoencode.boltzmann import Unit
from striate.autoencode.building import Autoencoder
from striate.autoencode.coding import parts_of
from striate.autoencode.corruption import Noise
from striate.autoencode.mirror import Stage, chain_of, mirrored
from striate.autoencode.stacking import LAYERS, greedy, layer_names
from striate.autoencode.turns import Turns
from striate.autoencode.unrolling import RECIPE, machine_names, machines, unroll
from striate.core.contracts import Progress, Recipe
from striate.core.errors import ArgumentError, unknown_name
from striate.core.runtime import Precision, random_state_kept
from striate.core.storage import digest

if TYPE_CHECKING:
    from striate.training import Run

Method = Literal["greedy", "whole", "boltzmann"]
METHODS = ("greedy", "whole", "boltzmann")


@dataclass(frozen=True)
class Pretrained:
    """What pre-training did: the classifier (the very one given), the module paths that learned, how, and the mean squared errors or their like."""

    model: nn.Module
    layers: tuple[str, ...]
    method: str
    losses: tuple[float, ...]
    """One for each run: a layer's reconstruction error in the units of its input, at the end."""
    runs: tuple[Run, ...]

    def __str__(self) -> str:
        """One line."""
        told = ", ".join(f"{loss:.3g}" for loss in self.losses)
        return f"{len(self.layers)} layers pre-trained ({self.method}): {', '.join(self.layers)}; reconstruction errors {told}"


def pretrain(
    classifier: nn.Module,
    unlabelled: Any,
    *,
    method: Method = "greedy",
    tied: bool = True,
    noise: Noise = "none",
    amount: float = 0.1,
    recipe: Recipe | None = None,
    epochs: float | None = None,
    folder: str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: Precision = "auto",
    progress: Progress | None = None,
) -> Pretrained:
    """Initialise a classifier's trunk, in place, by training it to give back the pictures of `unlabelled`; the head stays as it is.

    `classifier`  a plain chain of layers (any `nn.Sequential`; `mlp`, `lenet5` … of the zoo): all before its last layer with weights is the trunk
    `unlabelled`  anything `striate.data.load` takes; labels are not looked at; inputs are standardised as they will be for the classifier
    `method`      `greedy`: layer by layer; `whole`: all layers at once; `boltzmann`: a restricted Boltzmann machine a layer (linear and sigmoid only)
    `tied`        the decoder that is thrown away afterwards uses the trunk's own weights, transposed (not for `boltzmann`, which always does)

    `recipe` and `epochs` are those of each layer's turn. The runs lie under `folder` (None: they are not kept); stopped or killed, the same call with
    the same `folder` goes on where it stopped, from the weights it began with, and ends with the same result.
    Raises `ArgumentError` for a model that is no chain or has a layer without a mirror image, and for a method that does not fit; `StorageError` for
    a folder that holds a finished pre-training or one of other settings; `Stopped` (an `Interrupted`), and what training raises.
    """
    from striate.data import load

    if method not in METHODS:
        raise unknown_name("method", str(method), METHODS)
    data = load(unlabelled)
    trunk = _trunk(classifier)
    names = tuple(name for name, box in trunk if isinstance(box, (nn.Linear, nn.Conv2d)))
    modes = {module: module.training for module in classifier.modules()}
    home = next(classifier.parameters()).device
    chosen = recipe or (RECIPE if method == "boltzmann" else LAYERS)
    settings = {"data": data.fingerprint, "network": digest(repr(classifier)), "method": method, "tied": tied, "noise": noise, "amount": amount}
    settings |= {"recipe": chosen.to_json(), "epochs": epochs, "seed": seed}
    how: dict[str, Any] = {"epochs": epochs, "seed": seed, "device": device}
    with TemporaryDirectory() as scratch:
        target = Path(scratch) if folder is None else Path(folder)
        if method == "boltzmann":
            layers = _linear(trunk)
            with Turns(target, machine_names(layers), settings, first=classifier, progress=progress, kept=folder is not None) as turns:
                runs = _by_machines(layers, data, turns, recipe=chosen, **how)
                turns.finish()
        else:
            stages = _mirrored(trunk, data.shape, tied, seed)
            whole = Autoencoder(stages, noise=noise, amount=amount)
            turn_names = layer_names(stages) if method == "greedy" else {"whole": "all layers at once"}
            with Turns(target, turn_names, settings, first=whole, progress=progress, kept=folder is not None) as turns:
                how |= {"recipe": chosen, "precision": precision}
                if method == "greedy":
                    runs = greedy(stages, parts_of(data), data.name, turns, noise=noise, amount=amount, **how)
                else:
                    runs = [turns.take("whole", whole, data, task="reconstruct", **how)]
                turns.finish()
        losses = tuple(float(run.history[-1]["train/loss"]) for run in runs)
    classifier.to(home)
    for module, mode in modes.items():
        module.training = mode
    return Pretrained(classifier, names, method, losses, tuple(runs) if folder is not None else ())


def _trunk(classifier: nn.Module) -> list[tuple[str, nn.Module]]:
    boxes = chain_of(classifier)
    weighted = [place for place, (_, box) in enumerate(boxes) if isinstance(box, (nn.Linear, nn.Conv2d))]
    if len(weighted) < 2:
        raise ArgumentError(f"classifier: {type(classifier).__name__} has {len(weighted)} layers with weights; one before the head is needed")
    return boxes[: weighted[-1]]


def _mirrored(trunk: list[tuple[str, nn.Module]], shape: tuple[int, ...], tied: bool, seed: int) -> list[Stage]:
    import torch

    with random_state_kept():
        torch.manual_seed(seed)
        return mirrored(trunk, shape, tied=tied)


def _linear(trunk: list[tuple[str, nn.Module]]) -> list[nn.Linear]:
    """Return the trunk's linear layers; raises `ArgumentError` where anything else than sigmoids stands between them."""
    found: list[nn.Linear] = []
    for name, box in trunk:
        if isinstance(box, nn.Linear):
            found.append(box)
        elif not isinstance(box, (nn.Flatten, nn.Dropout, nn.Sigmoid)):
            raise ArgumentError(f"method: boltzmann machines are for linear layers followed by sigmoids; {name} is {type(box).__name__}: use greedy")
    return found


def _by_machines(layers: list[nn.Linear], data: Any, turns: Turns, **how: Any) -> list[Run]:
    kinds: list[tuple[int, Unit]] = [(box.out_features, "binary") for box in layers]
    found = machines(parts_of(data), kinds, data.name, turns, visible="gaussian", **how)
    for machine, box in zip(found.machines, layers, strict=True):
        unroll(machine, box)
    return list(found.runs)
