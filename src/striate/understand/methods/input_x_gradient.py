"""How much each pixel adds to the class score, to first order: itself times its gradient (row U3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from striate.understand.explanation import Explanation
from striate.understand.fine_maps import fine_figure
from striate.understand.inputs import prepare
from striate.understand.pixel_gradients import pixel_gradients
from striate.understand.registry import method

if TYPE_CHECKING:
    from striate.draw import Figure


@method("input_x_gradient", help="What each pixel adds to the class score, to first order from black", needs="images", kind="map")
def input_x_gradient(model: Any, images: Any, *, target: Any = None, preprocess: Any = None, batch: int | None = None, seed: int = 0) -> Explanation:
    """Return `map` N H W, signed: Σ over channels of pixel · ∂S/∂pixel, S the class score before softmax and pixels in [0, 1].

    Black pixels get nothing: it measures from black, along the tangent. Receipt `completeness_error`: |Σ map − (S(picture) − S(black))| relative to
    that difference, the median over the pictures; integrated gradients bring it to zero. Raises `ArgumentError`. Row U3; Shrikumar et al. 2016.
    """
    with prepare(model, images, preprocess=preprocess, target=target, batch=batch, seed=seed) as p:
        found = (p.pixels * pixel_gradients(p)).sum(1)
        black = p.model(p.pixels[:1] * 0)[0]
        gained = (p.logits.gather(1, p.target[:, None])[:, 0] - black[p.target]).double()
        missed = (found.flatten(1).double().sum(1) - gained).abs() / gained.abs().clamp_min(1e-12)
        receipts = {"completeness_error": float(missed.median())}
        return p.explanation("input_x_gradient", "map", {"map": found, "difference": gained}, targeted=True, receipts=receipts)


def figure(explanation: Explanation) -> Figure:
    """Draw it as a map of single pixels."""
    return fine_figure(explanation)
