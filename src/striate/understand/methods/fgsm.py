"""One step along the sign of the gradient: the fast gradient sign method (row U7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from striate.understand.attacking import aimed, bound_of, in_chunks, panels, saved, slope, told
from striate.understand.explanation import Explanation
from striate.understand.inputs import prepare
from striate.understand.registry import method

if TYPE_CHECKING:
    from striate.draw import Figure


@method("fgsm", help="Adversarial pictures by one step along the gradient's sign", needs="images", kind="image")
def fgsm(
    model: Any,
    images: Any,
    *,
    target: Any = None,
    epsilon: float = 2.0,
    preprocess: Any = None,
    batch: int | None = None,
    seed: int = 0,
) -> Explanation:
    """Return x + ε·sign(∂ loss/∂x), clipped to [0, 1], saved with 8 bits: every pixel is moved by ε or not at all.

    `epsilon`: in 255ths of the range. Without `target` away from the predicted class, with it towards the target. Arrays, receipts: see
    `attacking.told`; success is counted after saving. Raises `ArgumentError` for a bound under half a step. Row U7; Goodfellow et al. 2015.
    """
    bound = bound_of(epsilon)
    with prepare(model, images, preprocess=preprocess, target=target, batch=batch, seed=seed) as p:
        labels, way = aimed(p, targeted=target is not None), -1.0 if target is not None else 1.0

        def attack(part: slice) -> Tensor:
            x = p.pixels[part]
            return (x + way * bound * slope(p, x, labels[part]).sign()).clamp(0, 1)

        found = in_chunks(p, attack)
        return told(p, "fgsm", found, saved(found, p.pixels, bound), targeted=target is not None, options={"epsilon": epsilon})


def figure(explanation: Explanation) -> Figure:
    """Draw original, adversarial, difference and tenfold difference."""
    return panels(explanation)
