"""A linear autoencoder trained on MNIST spans the PCA subspace: the largest principal angle to the closed form (row E4).

    python recipes/autoencode_pca.py

All 60,000 training pictures, a code of 6 (behind the sixth variance the next is a quarter smaller), tied weights, Adam with a rate that falls to
zero. Figures: logs/autoencode-pca.json.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from autoencode_evidence import measure, subset
from striate import autoencode
from striate.autoencode.learning import pixels_of
from striate.core.contracts import Recipe
from striate.training import train

LEARN = Recipe(name="linear-pca", epochs=150, batch=1000, optimiser="adam", lr=5e-3, schedule="cosine", average="tail", average_decay=0.9)
CODE = 6


def each(seed: int, small: bool) -> dict[str, Any]:
    """Train once; returns the largest angle in radians and how far the loss lies above the least there is."""
    data = pixels_of(subset("mnist", 500 if small else 60_000))
    rows = torch.cat([batch.x for batch in data.split("train").batches(5000, epoch=0, seed=0)]).flatten(1)
    best = autoencode.principal(rows.numpy())
    torch.manual_seed(seed)
    model = autoencode.autoencoder(data.shape, code=CODE, activation="none", output="linear", tied=True)
    recipe = LEARN.edited(epochs=1) if small else LEARN
    with TemporaryDirectory() as folder:
        train(model, data, task="reconstruct", recipe=recipe, seed=seed, folder=Path(folder) / "run", precision="fp32", save_seconds=1e9)
    angles = autoencode.principal_angles(model.encoder.get_submodule("code").weight, best.components[:CODE])
    with torch.no_grad():
        loss = float((model(rows.view(-1, *data.shape)).flatten(1) - rows).double().square().mean())
    return {"largest angle": float(angles.max()), "loss": loss, "least loss": best.lost(CODE), "share above": loss / best.lost(CODE) - 1}


if __name__ == "__main__":
    claim = "largest principal angle between the linear autoencoder's weights and the first six principal components at most 1e-3, 3 seeds"
    measure("autoencode-pca", claim, each, seeds=3, facts={"data": "mnist, all training pictures", "recipe": LEARN.to_json(), "code": CODE})
