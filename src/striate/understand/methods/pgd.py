"""Many small steps inside a bound, the strongest first-order attack there is: projected gradient descent (row U7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from striate.core.errors import ArgumentError
from striate.understand.attacking import aimed, bound_of, in_chunks, panels, saved, slope, told, whole
from striate.understand.explanation import Explanation
from striate.understand.inputs import Prepared, prepare
from striate.understand.registry import method

if TYPE_CHECKING:
    from striate.draw import Figure

STEP = 1 / 5
"""Of the bound: the size of one step unless told otherwise. On a CIFAR ResNet-20 a fifth turns a tenth more pictures than a thirtieth."""


@method("pgd", help="Adversarial pictures by many small steps inside a bound", needs="images", kind="image")
def pgd(
    model: Any,
    images: Any,
    *,
    target: Any = None,
    epsilon: float = 2.0,
    steps: int = 40,
    step: float | None = None,
    random_start: bool = False,
    preprocess: Any = None,
    batch: int | None = None,
    seed: int = 0,
) -> Explanation:
    """Return pictures after `steps` steps of size `step` along the gradient's sign, none further than ε from the original in any pixel.

    `epsilon` and `step` in 255ths of the range; `step` is a fifth of ε unless given. `random_start`: begin at a random place inside the bound,
    drawn for each picture by the seed. Without `target` away from the predicted class, with it towards the target. Arrays and receipts: see
    `attacking.told`; success is counted after saving with 8 bits. Raises `ArgumentError`. Row U7; Madry et al. 2018.
    """
    bound = bound_of(epsilon)
    whole("steps", steps)
    if step is not None and not 0 < step <= 255:
        raise ArgumentError(f"step: got {step:g}, expected more than 0, in 255ths of the range")
    size = bound * STEP if step is None else step / 255
    with prepare(model, images, preprocess=preprocess, target=target, batch=batch, seed=seed) as p:
        labels = aimed(p, targeted=target is not None)
        found = in_chunks(p, lambda part: descended(p, part, labels, bound, size, steps, targeted=target is not None, random_start=random_start))
        options = {"epsilon": epsilon, "steps": steps, "step": size * 255, "random_start": random_start}
        return told(p, "pgd", found, saved(found, p.pixels, bound), targeted=target is not None, options=options)


def descended(
    p: Prepared, part: slice, labels: Tensor, bound: float, size: float, steps: int, *, targeted: bool = False, random_start: bool = False
) -> Tensor:
    """Return the pictures of a slice after the steps, as floats."""
    origin = p.pixels[part]
    x = origin
    if random_start:
        drawn = [torch.rand(origin.shape[1:], generator=p.generator(number), dtype=origin.dtype) for number in range(part.start, part.stop)]
        x = (origin + (2 * torch.stack(drawn).to(origin.device) - 1) * bound).clamp(0, 1)
    way = -size if targeted else size
    for _ in range(steps):
        x = x + way * slope(p, x, labels[part]).sign()
        x = (origin + (x - origin).clamp(-bound, bound)).clamp(0, 1)
    return x


def figure(explanation: Explanation) -> Figure:
    """Draw original, adversarial, difference and tenfold difference."""
    return panels(explanation)
