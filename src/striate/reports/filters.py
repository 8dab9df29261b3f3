"""A network's first-layer filters from its weights file: which layer, its filters, and which of them do nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from striate.core.contracts import ModelSpec
from striate.core.errors import StriateError
from striate.core.runtime import random_state_kept
from striate.reports.stored import StoredRun

NEAR_ZERO = 0.01
"""A filter counts as near zero when its norm is under this share of the layer's largest."""


@dataclass(frozen=True)
class Filters:
    """The filters of one convolution: `weights` O C H W float32, its module path, and the file they come from."""

    layer: str
    weights: npt.NDArray[np.float32]
    file: str

    @property
    def near_zero(self) -> list[int]:
        """Filters whose norm is under 1 % of the layer's largest: they look dead."""
        norms = np.linalg.norm(self.weights.reshape(len(self.weights), -1), axis=1)
        largest = float(norms.max(initial=0.0))
        return np.flatnonzero(norms <= NEAR_ZERO * largest).tolist() if largest > 0 else list(range(len(norms)))

    @property
    def title(self) -> str:
        """What is seen, in a sentence."""
        total, dead = len(self.weights), len(self.near_zero)
        if not dead:
            return f"All {total} first-layer filters are in use"
        return f"{dead} of {total} first-layer filters {'is' if dead == 1 else 'are'} near zero"


def first_filters(run: StoredRun) -> Filters | str:
    """Return the first convolution's filters of a run, or a sentence that says why there are none."""
    path = next((run.folder / name for name in ("weights.safetensors", "best.safetensors", "last.safetensors") if (run.folder / name).exists()), None)
    if path is None:
        return "There are no weights in the folder yet."
    try:
        kernels = _kernels(path)
    except Exception as error:  # noqa: BLE001 - safetensors raises its own bare errors for a torn file; the report says so and goes on
        return f"{path.name} cannot be read ({error})."
    if not kernels:
        return "The network has no two-dimensional convolution."
    layer = _first_layer(run, kernels)
    if layer is None:
        return "Which of the network's convolutions comes first cannot be told from its weights."
    weights = kernels[layer]
    if not np.isfinite(weights).all():
        return f"{layer} holds NaN or infinite weights."
    return Filters(layer, weights, path.name)


def _kernels(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    from safetensors import safe_open

    found: dict[str, npt.NDArray[np.float32]] = {}
    with safe_open(str(path), framework="pt") as file:
        for name in file.keys():  # noqa: SIM118 - not a mapping
            layer = name.removeprefix("average.").removeprefix("model.").removesuffix(".weight")
            if name.endswith(".weight") and len(file.get_slice(name).get_shape()) == 4 and (layer not in found or name.startswith("average.")):
                found[layer] = file.get_tensor(name).float().numpy()
    return found


def _first_layer(run: StoredRun, kernels: dict[str, npt.NDArray[np.float32]]) -> str | None:
    order = _convolutions(run)
    for name in order:
        if name in kernels:
            return name
    shape = run.part("data").get("shape") or run.part("model").get("input")
    channels = shape[0] if isinstance(shape, list) and shape else None
    fits = [name for name, kernel in kernels.items() if kernel.shape[1] == channels]
    return fits[0] if len(fits) == 1 else None


def _convolutions(run: StoredRun) -> list[str]:
    """Return the convolutions' module paths in the order the zoo's network defines them; empty for a network from elsewhere."""
    from torch import nn

    from striate.zoo import build

    try:
        spec = ModelSpec.from_json(run.part("model"))
        with random_state_kept():
            network: Any = build(spec.name, classes=spec.classes, input=spec.input, options=spec.options)
    except (StriateError, KeyError, TypeError, ValueError, ImportError):
        return []
    return [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d)]
