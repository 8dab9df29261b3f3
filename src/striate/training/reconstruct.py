"""Tasks without labels: give back what came in, and make the data likelier than a machine's own dreams (rows E1 to E8)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from striate.core.contracts import Batch
from striate.core.errors import ArgumentError
from striate.training.registry import task


@task("reconstruct", help="give back the input: mean squared error over all its numbers")
class Reconstruct:
    """Mean squared error between a network's output and its own, clean input, whatever the network did to that input inside.

    Outputs have the input's shape. The figure is `loss`, a sample's mean squared error; for pixels in [0, 1] the PSNR is -10 log10 of it.
    """

    name, watch = "reconstruct", "loss"
    supervised, kept = False, False

    def loss(self, output: Any, batch: Batch) -> Tensor:
        """Return the mean squared error, in float32."""
        return _squared(output, batch).mean()

    @torch.no_grad()
    def metrics(self, output: Any, batch: Batch) -> dict[str, Tensor]:
        """Return per sample: `loss`, the mean squared error over its numbers."""
        return {"loss": _squared(output, batch).flatten(1).mean(1)}

    def decode(self, output: Any) -> Tensor:
        """Return the reconstructions, as they are, in float32."""
        rebuilt: Tensor = output.float()
        return rebuilt


@task("contrast", help="contrastive divergence: lower the data's free energy against that of the machine's own samples")
class Contrast:
    """Contrastive divergence (Hinton 2002): its gradient is that of F(data) - F(sample), where the sample does not move.

    Outputs are (free energy of the data N, free energy of the samples N, reconstructions of the data's shape). The figure is `loss`: how far the
    data lie from what the machine makes of them in one step, a mean square; the loss that is followed may have either sign.
    """

    name, watch = "contrast", "loss"
    supervised, kept = False, False

    def loss(self, output: Any, batch: Batch) -> Tensor:  # noqa: ARG002 - the contract's
        """Return the mean of F(data) - F(sample), in float32."""
        data, sample, _ = output
        difference: Tensor = (data.float() - sample.float()).mean()
        return difference

    @torch.no_grad()
    def metrics(self, output: Any, batch: Batch) -> dict[str, Tensor]:
        """Return per sample: `loss`, the mean squared error of the one-step reconstruction."""
        return {"loss": _squared(output[2], batch).flatten(1).mean(1)}

    def decode(self, output: Any) -> Tensor:
        """Return the one-step reconstructions, in float32."""
        rebuilt: Tensor = output[2].float()
        return rebuilt


def _squared(output: Any, batch: Batch) -> Tensor:
    if not isinstance(output, Tensor) or output.shape != batch.x.shape:
        came = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ArgumentError(f"model: its output is {came} for an input of {tuple(batch.x.shape)}; an autoencoder gives back its input's shape")
    return (output.float() - batch.x.float()).square()
