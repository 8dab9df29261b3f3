"""Multi-layer perceptron: the zoo's, trained by striate's one loop (row C mlp)."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from striate.classical.bases import Classifier, softmax
from striate.classical.checking import Rows, whole
from striate.classical.registry import estimator
from striate.classical.templates import template_figure
from striate.core.errors import ArgumentError

if TYPE_CHECKING:
    from striate.draw import Figure


@estimator("mlp", help="Multi-layer perceptron", row="C mlp")
class MLP(Classifier):
    """Fully connected layers `widths` units wide with `activation` between them, trained by AdamW with one rise and fall of the rate.

    Rows are standardised by the training rows' mean and one common deviation. `smoothing` of the labels and `weight_decay` keep it modest.
    After `fit`: `network_` (an `nn.Module` that takes N 1 1 D). Raises `ArgumentError`, `DivergenceError`.
    """

    def __init__(
        self,
        widths: tuple[int, ...] = (512,),
        *,
        activation: Literal["relu", "tanh", "sigmoid"] = "relu",
        epochs: float = 12,
        batch: int = 128,
        lr: float = 2e-3,
        weight_decay: float = 0.05,
        smoothing: float = 0.05,
        image_shape: tuple[int, ...] | None = None,
        random_state: int = 0,
    ) -> None:
        self.widths = widths
        self.activation = activation
        self.epochs = epochs
        self.batch = batch
        self.lr = lr
        self.weight_decay = weight_decay
        self.smoothing = smoothing
        self.image_shape = image_shape
        self.random_state = random_state

    def predict_proba(self, X: Any) -> npt.NDArray[Any]:
        """Return class shares, N K."""
        return softmax(self.scores(X))

    def _learn(self, X: Rows, codes: npt.NDArray[np.int64]) -> None:
        from striate.core.contracts import Recipe
        from striate.data.dataset import Dataset, Table
        from striate.data.stores import Fixed, array_fingerprint
        from striate.pixels import Preprocess
        from striate.training import train

        widths = tuple(whole("widths", width) for width in self.widths)
        seed = whole("random_state", 0 if self.random_state is None else self.random_state, least=0)
        self.mean_ = X.mean(axis=0, dtype=np.float64).astype(np.float32)
        spread = float(X.var(axis=0, dtype=np.float64).mean()) ** 0.5
        self.spread_ = spread if spread > 1e-12 else 1.0
        self.deviation_ = X.std(axis=0, dtype=np.float64).astype(np.float32)
        pixels = self._standard(X)
        table = Table(Fixed(pixels, array_fingerprint([pixels])), codes)
        given = Preprocess(size=(1, X.shape[1]), channels=1, mean=(0.0,), std=(1.0,), resize="none")
        data = Dataset(name="rows", classes=tuple(str(label) for label in self.classes_), tables={"train": table}, given=given)
        recipe = Recipe(
            epochs=self.epochs,
            batch=min(whole("batch", self.batch), len(X)),
            lr=self.lr,
            optimiser="adamw",
            weight_decay=self.weight_decay,
            smoothing=self.smoothing,
            schedule="one-cycle",
            warmup=0.2,
        )
        with tempfile.TemporaryDirectory(prefix="striate-mlp-") as folder:
            options = {"widths": widths, "activation": self.activation}
            run = train("mlp", data, recipe=recipe, options=options, folder=Path(folder) / "run", seed=seed, device="cpu", save_seconds=1e9)
            self.network_ = run.model.eval()

    def _standard(self, X: Rows) -> npt.NDArray[np.float32]:
        rows: npt.NDArray[np.float32] = ((X - self.mean_) / np.float32(self.spread_)).astype(np.float32, copy=False)
        return rows.reshape(len(X), 1, 1, -1)

    def _scores(self, X: Rows) -> npt.NDArray[Any]:
        import torch

        with torch.inference_mode():
            parts = [self.network_(torch.from_numpy(self._standard(X[first : first + 4096]))) for first in range(0, len(X), 4096)]
        return np.asarray(torch.cat(parts).double().numpy())

    def figure(self, units: int = 25, *, title: str = "") -> Figure:
        """Draw what the `units` hidden units that count most look for: weights times each pixel's deviation, so that still pixels are blank.

        Raises `ArgumentError` before `fit` and where X held no pictures.
        """
        from striate.classical.checking import shape_of

        if not hasattr(self, "network_"):
            raise ArgumentError("figure: this MLP has not been fitted; call fit(X, y) first")
        layers = [weight.detach().numpy() for weight in self.network_.parameters() if weight.ndim == 2]
        weights = layers[0] * (self.deviation_ / np.float32(self.spread_))
        force = np.square(weights).sum(axis=1) * np.square(layers[1]).sum(axis=0)
        strongest = np.argsort(-force, kind="stable")[:units]
        templates = weights[strongest].reshape(len(strongest), *shape_of(weights.shape[1], self.image_shape))
        return template_figure(templates, [f"unit {unit}" for unit in strongest], title=title or "What the strongest hidden units look for")
