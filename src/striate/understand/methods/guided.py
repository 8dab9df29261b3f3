"""Which pixels lift a class score or a unit, by guided backpropagation: sharp, and nearly blind to the class (row U6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from striate.understand.explanation import Explanation
from striate.understand.inputs import prepare
from striate.understand.projecting import by_rule, signal_figure
from striate.understand.registry import method

if TYPE_CHECKING:
    from striate.draw import Figure


@method("guided", help="Pixels that lift a class score or a unit, by guided backpropagation", needs="images", kind="map")
def guided(
    model: Any,
    images: Any,
    *,
    target: Any = None,
    layer: str | None = None,
    channel: int | None = None,
    preprocess: Any = None,
    batch: int | None = None,
    seed: int = 0,
) -> Explanation:
    """Return the gradient at the pixels, of which every ReLU lets through only what is positive, and only where it was on.

    From the score of `target`, or, with `layer`, from its strongest unit (of `channel`): `unit` N (1 or 3) says which. `signal` N C H W is signed and
    raw, `map` N H W its largest size over channels. Receipts: how many backward steps through ReLUs the rule did; max pools pass their gradient.
    Raises `ArgumentError` where the signal passes no ReLU. Row U6; Springenberg et al. 2015.
    """
    with prepare(model, images, preprocess=preprocess, target=target, batch=batch, seed=seed) as p:
        return by_rule(p, "guided", relu="guided", pool="gradient", layer=layer, channel=channel)


def figure(explanation: Explanation) -> Figure:
    """Draw picture, signal in colour, and its size."""
    return signal_figure(explanation, by="guided backpropagation")
