"""Temperature scaling: one number that makes a classifier as sure as it is right (Guo, Pleiss, Sun, Weinberger 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize_scalar
from torch import nn

from striate.core.contracts import Task
from striate.core.errors import ArgumentError
from striate.core.runtime import Settings
from striate.training import figures
from striate.training.evaluation import Views, run_over
from striate.training.groups import head_of

Floats = npt.NDArray[np.float64]
LOWEST, HIGHEST = 0.02, 50.0
HOMOGENEOUS = (nn.ReLU, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.MaxPool2d, nn.AdaptiveMaxPool2d, nn.Flatten, nn.Dropout, nn.Identity)
"""Layers behind a head that let a positive factor through."""


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
    scale_head(model, temperature)
    return {"temperature": temperature, "n": len(outcome.targets)}


def undone(shares: npt.ArrayLike, targets: npt.ArrayLike, temperature: float) -> Calibrated:
    """Return what the temperature did, from the class shares N K of a model whose logits are divided by it already."""
    return effect(_logits(shares) * temperature, targets, temperature)


def scale_head(model: nn.Module, temperature: float) -> None:
    """Divide the logits by `temperature` for good, by dividing the weights and bias of the head: the network stays as it is otherwise.

    What follows the head may only be ReLU, pooling, dropout and flattening, which let a factor through. Raises `ArgumentError` for anything else.
    """
    path = head_of(model)
    paths = [name for name, _ in model.named_modules()]
    after = [model.get_submodule(name) for name in paths[paths.index(path) + 1 :]]
    strange = [type(module).__name__ for module in after if not isinstance(module, HOMOGENEOUS)]
    if strange:
        raise ArgumentError(f"model: its head {path} is followed by {strange[0]}, which a temperature in the head's weights would not pass unchanged")
    head = model.get_submodule(path)
    with torch.no_grad():
        for parameter in head.parameters(recurse=False):
            parameter.div_(temperature)


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
