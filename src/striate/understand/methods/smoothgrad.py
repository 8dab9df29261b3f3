"""Saliency without its noise: the gradient averaged over noisy copies of the picture (row U3)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from striate.core.errors import ArgumentError
from striate.understand.checking import checked, within
from striate.understand.explanation import Explanation
from striate.understand.fine_maps import fine_figure
from striate.understand.inputs import prepare
from striate.understand.registry import method
from striate.understand.throughput import Throughput

if TYPE_CHECKING:
    from striate.draw import Figure


@method("smoothgrad", help="Saliency averaged over noisy copies of the picture", needs="images", kind="map")
def smoothgrad(
    model: Any,
    images: Any,
    *,
    target: Any = None,
    samples: int = 32,
    noise: float = 0.15,
    magnitude: bool = False,
    preprocess: Any = None,
    batch: int | None = None,
    seed: int = 0,
) -> Explanation:
    """Return `map` N H W: max over channels of |mean of ∂S/∂pixel over `samples` copies with Gaussian noise|.

    `noise`: its deviation as a share of the picture's own range; `magnitude`: average |∂S/∂pixel| instead, so that nothing cancels.
    The noise is drawn for each picture from `seed` and its content. Raises `ArgumentError`. Row U3; Smilkov et al. 2017.
    """
    options = checked("smoothgrad", {"samples": samples, "noise": noise, "magnitude": magnitude})
    samples, noise, magnitude = options.values()
    within("samples", samples, 1)
    within("noise", noise, 0)
    with prepare(model, images, preprocess=preprocess, target=target, batch=batch, seed=seed) as p:
        fast = Throughput(p, precision="fp32", batch=batch)
        found = []
        for number, picture in enumerate(p.pixels):
            noisy = partial(_noisy, picture, noise * float(picture.max() - picture.min()), p.generator(number))
            total = torch.zeros_like(picture, dtype=torch.float64)
            for _, gradient in fast.gradients(samples, noisy, p.target[number]):
                total += (gradient.abs() if magnitude else gradient).sum(0, dtype=torch.float64)
            if not bool(total.isfinite().all()):
                raise ArgumentError(f"noise: with {noise} the gradients at noisy copies are NaN or infinite; give less, such as 0.15")
            found.append((total / samples).abs().amax(0).to(picture.dtype))
        return p.explanation("smoothgrad", "map", {"map": torch.stack(found)}, options=options, targeted=True)


def figure(explanation: Explanation) -> Figure:
    """Draw it as a map of single pixels."""
    return fine_figure(explanation)


def _noisy(picture: Tensor, deviation: float, generator: torch.Generator, numbers: Tensor) -> Tensor:
    """Return as many copies with noise as there are numbers; drawn one by one, so that the size of a batch does not count."""
    drawn = [torch.randn(picture.shape, generator=generator, dtype=picture.dtype) for _ in numbers]
    return picture + deviation * torch.stack(drawn).to(picture.device)
