"""What of a picture a class score or a unit answers to, by a deconvolutional network with the true pooling switches (row U6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from striate.understand.explanation import Explanation
from striate.understand.inputs import prepare
from striate.understand.projecting import by_rule, signal_figure
from striate.understand.registry import method

if TYPE_CHECKING:
    from striate.draw import Figure


@method("deconvnet", help="What a class score or a unit answers to, sent back through a deconvolutional network", needs="images", kind="map")
def deconvnet(
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
    """Return what comes back at the pixels: through convolutions transposed, through ReLUs rectified, through max pools to their switches.

    From the score of `target`, or, with `layer`, from its strongest unit (of `channel`): `unit` N (1 or 3) says which. `signal` N C H W is signed and
    raw, `map` N H W its largest size over channels. The signal starts as 1. Receipts: how many backward steps through ReLUs and max pools the rules
    did. Raises `ArgumentError` where the signal passes no ReLU. Row U6; Zeiler and Fergus 2014.
    """
    with prepare(model, images, preprocess=preprocess, target=target, batch=batch, seed=seed) as p:
        return by_rule(p, "deconvnet", relu="deconvnet", pool="switches", layer=layer, channel=channel)


def figure(explanation: Explanation) -> Figure:
    """Draw picture, signal in colour, and its size."""
    return signal_figure(explanation, by="deconvnet")
