"""Boltzmann machines stacked, then unrolled into a deep autoencoder and fine-tuned (Hinton and Salakhutdinov 2006; row E8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from striate.autoencode.boltzmann import RBM, Unit
from striate.autoencode.building import Autoencoder
from striate.autoencode.coding import as_data, parts_of, through
from striate.autoencode.learning import RECIPE as WHOLE_RECIPE
from striate.autoencode.learning import free_folder, made, pixels_of, told
from striate.autoencode.turns import WHOLE, Turns
from striate.core.contracts import Progress, Recipe
from striate.core.errors import ArgumentError
from striate.core.runtime import Precision, derived_seed, random_state_kept

if TYPE_CHECKING:
    from striate.training import Run

RECIPE = Recipe(
    name="boltzmann",
    epochs=10,
    batch=100,
    optimiser="sgd",
    lr=0.05,
    momentum=0.9,
    weight_decay=2e-4,
    options={"decay_norms": False},
    schedule="linear",
)
"""How each machine learns unless told."""
GAUSSIAN_SHARE = 0.05
"""A machine with Gaussian units learns at this share of the rate: their drive has no bound."""


@dataclass(frozen=True)
class Machines:
    """The trained machines, lowest first, and their runs."""

    machines: tuple[RBM, ...]
    runs: tuple[Run, ...]


def boltzmann_stack(
    data: Any,
    widths: Sequence[int] = (500, 250),
    *,
    code: int = 30,
    recipe: Recipe | None = None,
    epochs: float | None = None,
    folder: str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
) -> Autoencoder:
    """Train a Boltzmann machine a layer, each on the hidden probabilities of the one below, and return them unrolled, ready for `train`.

    Hidden layers `widths` are binary, the code's `code` units Gaussian (linear); pixels in [0, 1] count as probabilities. The autoencoder has sigmoid
    layers, a linear code, and the transposed weights in its decoder, which fine-tuning may part from them. Machines are trained in float32; each
    machine's run lies in `folder`/machine-K, and the same call again takes finished ones from there and goes on with a stopped one.
    Raises `ArgumentError`, `StorageError` for a folder with machines of other settings, and what training raises.
    """
    opened = pixels_of(data)
    target = Path(folder) if folder is not None else free_folder(opened.name, "boltzmann")
    kinds, chosen = _kinds(widths, code), recipe or RECIPE
    with Turns(target, machine_names(kinds), _settings(opened, kinds, chosen, epochs, seed), progress=progress) as turns:
        return _unrolled(opened, widths, code, turns, recipe=chosen, epochs=epochs, seed=seed, device=device)


def boltzmann_train(
    data: Any,
    widths: Sequence[int],
    *,
    code: int,
    epochs: float,
    lr: float | None = None,
    batch: int | None = None,
    folder: str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: Precision = "auto",
    progress: Progress | None = None,
) -> Run:
    """Train a `boltzmann_stack`, fine-tune it in the run `folder`, judge it as `train` does, and return the run.

    `epochs` are those of each machine and of fine-tuning, `lr` and `batch` of fine-tuning. Stopped or killed, the same call with the same `folder`
    goes on where it stopped. Raises `StorageError` for a folder with a finished run or other settings, `Stopped`, and what training raises.
    """
    from striate.autoencode.judging import judge

    opened = pixels_of(data)
    target = Path(folder) if folder is not None else free_folder(opened.name)
    kinds, changes = _kinds(widths, code), {"epochs": epochs, "lr": lr, "batch": batch}
    settings = _settings(opened, kinds, RECIPE, epochs, seed) | {"fine_tune": changes}
    with Turns(target, machine_names(kinds) | {WHOLE: "fine-tuning"}, settings, progress=progress) as turns:
        model = _unrolled(opened, widths, code, turns, recipe=RECIPE, epochs=epochs, seed=seed, device=device)
        run = turns.take(
            WHOLE,
            model,
            opened,
            task="reconstruct",
            recipe=WHOLE_RECIPE,
            epochs=epochs,
            lr=lr,
            batch=batch,
            seed=seed,
            device=device,
            precision=precision,
        )
        run.update({"python": told("train", False, opened, None, seed, changes), "command": None})
        judge(model, opened, seed=seed, progress=progress).save(run.folder)
        turns.finish()
    return run


def machine_names(machines: Sequence[Any]) -> dict[str, str]:
    """Return the turns of so many machines: each one's folder and what it is in words."""
    return {f"machine-{place}": f"machine {place} of {len(machines)}" for place in range(1, len(machines) + 1)}


def machines(
    parts: dict[str, Tensor],
    kinds: Sequence[tuple[int, Unit]],
    name: str,
    turns: Turns,
    *,
    visible: Unit = "binary",
    recipe: Recipe = RECIPE,
    epochs: float | None = None,
    seed: int = 0,
    device: str = "auto",
) -> Machines:
    """Train machines on `parts` (by name, N …), one of (hidden units, their kind) after the other, each on the means of the one below."""
    if visible == "binary" and not all(float(part.min()) >= 0 and float(part.max()) <= 1 for part in parts.values()):
        raise ArgumentError("data: binary visible units take numbers from 0 to 1; standardised data need visible units of the kind gaussian")
    made_: list[RBM] = []
    runs = []
    for place, (turn, (hidden, units)) in enumerate(zip(machine_names(kinds), kinds, strict=True)):
        codes = as_data(parts, f"{name}, machine {place + 1}")
        kind = visible if place == 0 else kinds[place - 1][1]
        with random_state_kept():
            torch.manual_seed(derived_seed(seed, place))
            machine = RBM(codes.shape, hidden, visible_units=kind, hidden_units=units, sampled=False)
        run = turns.take(
            turn,
            machine,
            codes,
            task="contrast",
            recipe=recipe,
            epochs=epochs,
            lr=recipe.lr * (GAUSSIAN_SHARE if "gaussian" in (kind, units) else 1.0),
            seed=derived_seed(seed, place, 1) % 2**31,
            device=device,
            precision="fp32",
        )
        machine.to("cpu")
        made_.append(machine)
        runs.append(run)
        if place < len(kinds) - 1:
            coder = _Means(machine)
            parts = {part: through(coder, values.reshape(len(values), *codes.shape)) for part, values in parts.items()}
    return Machines(tuple(made_), tuple(runs))


def _kinds(widths: Sequence[int], code: int) -> list[tuple[int, Unit]]:
    return [*((width, "binary") for width in widths), (code, "gaussian")]


def _settings(data: Any, kinds: Sequence[tuple[int, Unit]], recipe: Recipe, epochs: float | None, seed: int) -> dict[str, Any]:
    return {"data": data.fingerprint, "widths": [width for width, _ in kinds], "recipe": recipe.to_json(), "epochs": epochs, "seed": seed}


def _unrolled(data: Any, widths: Sequence[int], code: int, turns: Turns, **how: Any) -> Autoencoder:
    """Train the machines, or take them from their turns, and return them as an autoencoder."""
    found = machines(parts_of(data), _kinds(widths, code), data.name, turns, **how)
    options = {"widths": list(widths), "code": code, "activation": "sigmoid", "code_activation": "none", "output": "sigmoid"}
    model = made(data, options, how["seed"])
    linear = [[box for box in half if isinstance(box, nn.Linear)] for half in (model.encoder, model.decoder)]
    for machine, there, back in zip(found.machines, linear[0], reversed(linear[1]), strict=True):
        unroll(machine, there, back)
    return model.eval()


@torch.no_grad()
def unroll(machine: RBM, there: nn.Linear, back: nn.Linear | None = None) -> None:
    """Copy a machine's weights into a layer of an encoder, and transposed into one of a decoder."""
    there.weight.copy_(machine.weight)
    there.bias.copy_(machine.hidden_bias)
    if back is not None:
        back.weight.copy_(machine.weight.t())
        back.bias.copy_(machine.visible_bias)


class _Means(nn.Module):
    """A machine as an encoder."""

    def __init__(self, machine: RBM) -> None:
        super().__init__()
        self.machine = machine

    def forward(self, x: Tensor) -> Tensor:
        """Return the hidden units' means."""
        return self.machine.encode(x)
