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
from striate.autoencode.learning import free_folder, made, pixels_of
from striate.core.contracts import Progress, Recipe
from striate.core.errors import ArgumentError
from striate.core.runtime import derived_seed, random_state_kept

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
    machine's run lies in `folder`/machine-K. Raises `ArgumentError`, and what training raises.
    """
    opened = pixels_of(data)
    target = Path(folder) if folder is not None else free_folder(opened.name, "boltzmann")
    kinds: list[tuple[int, Unit]] = [*((width, "binary") for width in widths), (code, "gaussian")]
    found = machines(parts_of(opened), kinds, opened.name, recipe=recipe, epochs=epochs, folder=target, seed=seed, device=device, progress=progress)
    options = {"widths": list(widths), "code": code, "activation": "sigmoid", "code_activation": "none", "output": "sigmoid"}
    model = made(opened, options, seed)
    linear = [[box for box in half if isinstance(box, nn.Linear)] for half in (model.encoder, model.decoder)]
    for machine, there, back in zip(found.machines, linear[0], reversed(linear[1]), strict=True):
        unroll(machine, there, back)
    return model.eval()


def machines(
    parts: dict[str, Tensor],
    kinds: Sequence[tuple[int, Unit]],
    name: str,
    *,
    visible: Unit = "binary",
    recipe: Recipe | None = None,
    epochs: float | None = None,
    folder: Path,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
) -> Machines:
    """Train machines on `parts` (by name, N …), one of (hidden units, their kind) after the other, each on the means of the one below."""
    from striate.training import train as train_any

    if visible == "binary" and not all(float(part.min()) >= 0 and float(part.max()) <= 1 for part in parts.values()):
        raise ArgumentError("data: binary visible units take numbers from 0 to 1; standardised data need visible units of the kind gaussian")
    chosen = recipe or RECIPE
    made_: list[RBM] = []
    runs = []
    for place, (hidden, units) in enumerate(kinds):
        codes = as_data(parts, f"{name}, machine {place + 1}")
        kind = visible if place == 0 else kinds[place - 1][1]
        with random_state_kept():
            torch.manual_seed(derived_seed(seed, place))
            machine = RBM(codes.shape, hidden, visible_units=kind, hidden_units=units, sampled=False)
        rate = chosen.lr * (GAUSSIAN_SHARE if "gaussian" in (kind, units) else 1.0)
        run = train_any(
            machine,
            codes,
            recipe=chosen,
            task="contrast",
            folder=folder / f"machine-{place + 1}",
            epochs=epochs,
            lr=rate,
            seed=derived_seed(seed, place, 1) % 2**31,
            device=device,
            precision="fp32",
            progress=progress,
        )
        machine.to("cpu")
        made_.append(machine)
        runs.append(run)
        if place < len(kinds) - 1:
            coder = _Means(machine)
            parts = {part: through(coder, values.reshape(len(values), *codes.shape)) for part, values in parts.items()}
    return Machines(tuple(made_), tuple(runs))


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
