"""Temperature scaling: one number that makes a classifier as sure as it is right (Guo, Pleiss, Sun, Weinberger 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor, nn

from striate.core.contracts import Task
from striate.core.errors import ArgumentError
from striate.core.runtime import Settings
from striate.probe import record
from striate.training import figures
from striate.training.evaluation import Views, run_over
from striate.training.forward import as_input
from striate.training.outputs import logits_in

Floats = npt.NDArray[np.float64]
LOWEST, HIGHEST = 0.02, 50.0
FACTOR = 16.0
"""A power of two scales floats exactly, and one this large shows what saturates behind a layer."""
MOST = 8
"""Layers tried, from the last one called."""
SAMPLES = 8
"""Inputs a layer is tried on."""
MEND = "leave calibrate=0, or let the network return logits that a layer computes, without softmax or clipping behind it"


@dataclass(frozen=True)
class Calibrated:
    """What the temperature did to a part: expected calibration error and log-loss before and after, over `n` samples."""

    temperature: float
    n: int
    ece_before: float
    ece_after: float
    loss_before: float
    loss_after: float

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {name: float(value) if name != "n" else value for name, value in vars(self).items()}

    def __str__(self) -> str:
        """One line."""
        change = f"{100 * self.ece_before:.1f} % -> {100 * self.ece_after:.1f} %"
        return f"temperature {self.temperature:.2f}: calibration error {change} over {self.n:,} samples"


def find_temperature(logits: npt.ArrayLike, targets: npt.ArrayLike) -> float:
    """Return T > 0 for which softmax(logits / T) has the least log-loss: `logits` N K and `targets` N of samples the head was not fitted to.

    Each target counts as 1 / (N + 2) short of certain (Platt 1999): a few samples, all read right, do not make the classifier sure of everything.
    """
    values, wanted = np.asarray(logits, np.float64), np.asarray(targets)
    if values.ndim != 2 or len(values) != len(wanted) or not len(values):
        raise ArgumentError(f"logits: got shape {values.shape} for {len(wanted)} targets, expected N K")
    if not np.isfinite(values).all():
        raise ArgumentError("logits: some are NaN or infinite")
    doubt = 1 / (len(values) + 2)
    aims = np.full(values.shape, doubt / max(1, values.shape[1] - 1))
    aims[np.arange(len(values)), wanted] = 1 - doubt

    def loss(log_temperature: float) -> float:
        scaled = values / np.exp(log_temperature)
        return float((logsumexp(scaled) - (aims * scaled).sum(axis=1)).mean())

    found = minimize_scalar(loss, bounds=(np.log(LOWEST), np.log(HIGHEST)), method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x))


def effect(logits: npt.ArrayLike, targets: npt.ArrayLike, temperature: float) -> Calibrated:
    """Return calibration error and log-loss of a part before and after dividing the logits by `temperature`."""
    values, wanted = np.asarray(logits, np.float64), np.asarray(targets)
    before, after = softmax(values), softmax(values / temperature)
    bins = 15 if len(values) >= 1000 else 10
    errors = [figures.calibration(wanted, shares, bins=bins).ece for shares in (before, after)]
    losses = [figures.log_loss(wanted, shares) for shares in (before, after)]
    return Calibrated(temperature, len(values), errors[0], errors[1], losses[0], losses[1])


def calibrated(model: nn.Module, held: Any, task: Task, use: Settings, *, views: Views = "one") -> dict[str, Any]:
    """Fit the temperature to the `train` split of `held` and divide the model's logits by it for good; returns what result.json says of it."""
    outcome = run_over(model, held.prepared(device=use.device).split("train"), task, use, views=views)
    if outcome.targets is None:
        raise ArgumentError("recipe calibrate: the training pictures have no labels")
    temperature = find_temperature(_logits(outcome.shares), outcome.targets)
    scale_head(model, temperature, few_of(model, held, use))
    return {"temperature": temperature, "n": len(outcome.targets)}


def few_of(model: nn.Module, held: Any, use: Settings) -> Tensor:
    """Return a few inputs of the `train` split of `held`, as the network takes them."""
    batch = next(iter(held.prepared(device=use.device).split("train").batches(SAMPLES, epoch=0, seed=0)))
    return as_input(model, batch.x, use)


def undone(shares: npt.ArrayLike, targets: npt.ArrayLike, temperature: float) -> Calibrated:
    """Return what the temperature did, from the class shares N K of a model whose logits are divided by it already."""
    return effect(_logits(shares) * temperature, targets, temperature)


def scale_head(model: nn.Module, temperature: float, x: Tensor) -> str:
    """Divide the logits by `temperature` for good, by dividing the weights and bias of one layer; returns its path.

    `x`: a few inputs, N C H W. Raises `ArgumentError` where no layer's weights are a plain factor of the logits, and where the logits did not come
    out divided; the network is then as it was.
    """
    path = head_for_scaling(model, x)
    own = list(model.get_submodule(path).parameters(recurse=False))
    before, kept = _centred(model, x), [parameter.detach().clone() for parameter in own]
    _write(own, [value / temperature for value in kept])
    if not _near(_centred(model, x), before / temperature, within=1e-2):  # what an accelerator rounds in its short formats
        _write(own, kept)
        raise ArgumentError(f"model: dividing the weights of {path} by {temperature:.3g} did not divide the logits; {MEND}")
    return path


def head_for_scaling(model: nn.Module, x: Tensor) -> str:
    """Return the path of the layer whose weights and bias are a factor of the logits of inputs `x`: sixteen times the one, sixteen times the other.

    It is found by trial, the layers called last first: in what order they are registered says nothing, nor do they say what a function does behind
    them. The network is left as it was. Raises `ArgumentError` where there is no such layer.
    """
    was_training = model.training
    model.eval()
    try:
        paths: dict[nn.Module, str] = {module: path for path, module in model.named_modules() if path}
        called = [call.module for call in reversed(record(model, x).calls)]
        order = dict.fromkeys([module for module in called if module in paths] + list(reversed(paths)))
        tried: list[nn.Module] = [module for module in order if module is not None and _weights(module)][:MOST]
        for module in tried:
            if _is_factor(model, _weights(module), x):
                return paths[module]
    finally:
        model.train(was_training)
    names = ", ".join(paths[module] for module in tried) or "none has weights"
    raise ArgumentError(
        f"model: no layer of {type(model).__name__} has weights that a temperature could divide the logits by (tried {names}); {MEND}"
    )


def _weights(module: nn.Module) -> list[nn.Parameter]:
    own = list(module.parameters(recurse=False))
    return own if own and all(parameter.is_floating_point() for parameter in own) else []


def _is_factor(model: nn.Module, own: list[nn.Parameter], x: Tensor) -> bool:
    """Whether the logits grow as these weights do: as they are, and, where they say nothing (all zero at first), with numbers above zero in place."""
    kept = [parameter.detach().clone() for parameter in own]
    number = torch.Generator().manual_seed(0)
    drawn = [torch.rand(value.shape, generator=number).to(value) for value in kept]
    try:
        for values in (kept, drawn):
            _write(own, values)
            one = _centred(model, x)
            _write(own, [FACTOR * value for value in values])
            if bool(one.any()):
                return _near(_centred(model, x), FACTOR * one, within=1e-3)
    finally:
        _write(own, kept)
    return False


@torch.no_grad()
def _write(own: Sequence[nn.Parameter], values: Sequence[Tensor]) -> None:
    for parameter, value in zip(own, values, strict=True):
        parameter.copy_(value)


@torch.no_grad()
def _centred(model: nn.Module, x: Tensor) -> Tensor:
    """Return logits N K less the mean of each row, which softmax does not see: so a log-softmax at the end is none in the way."""
    was_training = model.training
    model.eval()
    try:
        found = logits_in(model(x.clone())).double().cpu()
    finally:
        model.train(was_training)
    return found - found.mean(1, keepdim=True)


def _near(values: Tensor, wanted: Tensor, *, within: float) -> bool:
    return bool((values - wanted).abs().max() <= within * wanted.abs().max())


def softmax(logits: Floats) -> Floats:
    """Return class shares N K."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def logsumexp(logits: Floats) -> Floats:
    """Return log Σ exp of each row."""
    top = logits.max(axis=1)
    return np.asarray(top + np.log(np.exp(logits - top[:, None]).sum(axis=1)))


def _logits(shares: npt.ArrayLike) -> Floats:
    """Return logits that have these class shares; a share of nothing counts as the least a float32 can hold."""
    return np.asarray(np.log(np.maximum(np.asarray(shares, np.float64), 1e-37)))
