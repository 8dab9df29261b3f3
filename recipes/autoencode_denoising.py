"""Denoising autoencoders on MNIST: how many decibels they take off the noise, beside PCA with the count of components that cleans best.

    python recipes/autoencode_denoising.py

10,000 training pictures (a fixed draw), ten epochs; judged on the 10,000 test pictures, each with noise of its own. A dense net of one hidden layer
of 500, and one of 32 filters of 5 x 5 with stride 2, whose maps are the code. Figures: logs/autoencode-denoising.json.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from autoencode_evidence import measure, subset
from striate import autoencode
from striate.core.contracts import Recipe

LEARN = Recipe(name="denoising", epochs=10, batch=100, optimiser="adamw", lr=2e-3, schedule="one-cycle")
NETS = {
    "dense": {"code": 500, "code_activation": "relu"},
    "convolutional": {"form": "convolutional", "widths": (32,), "code": 0, "kernel": 5, "code_activation": "relu"},
}
NOISES = (("masking", 0.05), ("masking", 0.1), ("gaussian", 0.05), ("gaussian", 0.1))


def each(seed: int, small: bool) -> dict[str, Any]:
    """Train both nets against each noise; returns decibels on the test part."""
    data = subset("mnist", 500 if small else 10_000)
    recipe = LEARN.edited(epochs=1) if small else LEARN
    found: dict[str, Any] = {}
    for noise, amount in NOISES:
        word = f"{noise} {amount:.0%}"
        for name, options in NETS.items():
            with TemporaryDirectory() as folder:
                asked = {**options, "noise": noise, "amount": amount}
                run = autoencode.train(None, data, options=asked, recipe=recipe, seed=seed, folder=Path(folder) / "run")
                judged = autoencode.Reconstruction.load(run.folder)
            best = int(judged.cleaned["best"])
            found[f"{word}, noisy"] = judged.cleaned["noisy"]
            found[f"{word}, PCA"] = judged.cleaned[f"PCA, {best}"]
            found[f"{word}, PCA components"] = best
            found[f"{word}, {name}"] = judged.cleaned["model"]
            found[f"{word}, {name}: gain over the noisy"] = judged.gain["noisy"]
            found[f"{word}, {name}: gain over PCA"] = judged.gain["PCA"]
            print(f"  seed {seed}, {word}, {name}: {judged.title}", flush=True)
    return found


if __name__ == "__main__":
    claim = "denoising on MNIST at 5 and 10 %: gain in PSNR over the noisy pictures and over PCA at its best count, mean of 3 seeds"
    facts = {"data": "mnist, 10,000 training pictures, whole test part", "recipe": LEARN.to_json(), "nets": NETS}
    measure("autoencode-denoising", claim, each, seeds=3, facts=facts)
