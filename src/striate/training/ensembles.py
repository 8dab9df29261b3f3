"""Ensembles: several trained networks that vote with their class shares."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from striate.core.contracts import Data
from striate.core.errors import ArgumentError, DataError
from striate.training.evaluation import Evaluation, Views, evaluate
from striate.training.figures import topk_error
from striate.training.outputs import logits_in
from striate.training.run import Run, run_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Ensemble(nn.Module):
    """Several classifiers as one network: logits are the logarithm of the mean of their class shares."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        if not members:
            raise ArgumentError("members: an ensemble needs at least one network")
        self.members = nn.ModuleList(members)

    def forward(self, x: Tensor) -> Tensor:
        """Return log shares N K for inputs N C H W."""
        shares = torch.stack([logits_in(member(x)).float().softmax(1) for member in self.members]).mean(0)
        return shares.clamp_min(1e-12).log()


def ensemble(
    runs: Sequence[Run | str | Path],
    data: Data | str | Path,
    *,
    split: str = "test",
    views: Views = "one",
    device: str = "auto",
    precision: Literal["auto", "fp32", "bf16"] = "auto",
) -> Evaluation:
    """Return the figures of several runs voting together (the mean of their class shares) on one split of `data`.

    Each run prepares the pictures its own way; all must know the same classes. Raises `ArgumentError`, `DataError`.
    """
    opened = [run_of(run, word="runs") for run in ([runs] if isinstance(runs, (str, Path, Run)) else runs)]
    if not opened:
        raise ArgumentError("runs: an ensemble needs at least one run")
    different = [run for run in opened if run.classes != opened[0].classes]
    if different:
        raise DataError(f"{different[0].folder} knows other classes than {opened[0].folder}; only runs with the same classes can vote together")
    outcomes = [evaluate(run, data, split=split, views=views, device=device, precision=precision) for run in opened]
    shares = np.mean([outcome.shares for outcome in outcomes], axis=0)
    return Evaluation(split, _figures(shares, outcomes[0].targets), shares, outcomes[0].targets, outcomes[0].index)


def _figures(shares: NDArray[Any], targets: NDArray[Any] | None) -> dict[str, float]:
    figures: dict[str, float] = {"n": float(len(shares))}
    if targets is not None:
        own = shares[np.arange(len(shares)), targets].astype(np.float64)
        figures |= {"loss": float(-np.log(np.maximum(own, 1e-12)).mean()), "error": topk_error(targets, shares, 1)}
        if shares.shape[1] > 5:
            figures["top5_error"] = topk_error(targets, shares, 5)
    return figures
