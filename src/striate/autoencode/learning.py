"""Training an autoencoder with the one loop, and judging it: the run's folder then holds what the report shows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from striate.autoencode.building import NAME, Autoencoder
from striate.core.contracts import Progress, Recipe
from striate.core.errors import ArgumentError, DataError
from striate.core.runtime import Precision, derived_seed, random_state_kept

if TYPE_CHECKING:
    from striate.data import Dataset
    from striate.training import Run

RECIPE = Recipe(name="autoencode", epochs=20, batch=128, optimiser="adamw", lr=2e-3, schedule="one-cycle")
"""What `train` does unless told: twenty epochs; weight decay 0, because a code's scale is nobody's concern."""
WEIGHTS = 17
"""Keeps the random numbers of the first weights apart from others of the same seed."""
MEANS = 5000
"""Training pictures, at most, whose mean the output starts from."""


def train(
    model: nn.Module | None,
    data: Any,
    *,
    options: Mapping[str, Any] | None = None,
    recipe: Recipe | None = None,
    folder: str | Path | None = None,
    epochs: float | None = None,
    lr: float | None = None,
    batch: int | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: Precision = "auto",
    settings: Mapping[str, Any] | None = None,
    judged: bool = True,
    progress: Progress | None = None,
) -> Run:
    """Train an autoencoder on the pictures of `data`, as pixels in [0, 1], and return its run; labels are not looked at.

    `model`: any network that gives back its input's shape (trained in place), or None for `autoencoder(data.shape, **options)`. `recipe` and the
    fields after it as in `striate.training.train`. With `judged`, reconstructions, the noise taken away and the PCA beside it are measured on the
    test part (else the validation part, else the training part) and written beside the weights, where `striate report` finds them.

    Raises `ArgumentError`, `DataError` for text, and all that training raises. Source: rows E1 to E5.
    """
    from striate.autoencode.judging import judge
    from striate.training import train as train_any

    opened, fresh = pixels_of(data), model is None
    if model is None:
        model = made(opened, options or {}, seed)
    elif options:
        raise ArgumentError(f"options: {', '.join(options)} build an autoencoder; this one is built already")
    run = train_any(
        model,
        opened,
        recipe=recipe or RECIPE,
        task="reconstruct",
        folder=folder if folder is not None else free_folder(opened.name),
        epochs=epochs,
        lr=lr,
        batch=batch,
        seed=seed,
        device=device,
        precision=precision,
        settings=settings,
        progress=progress,
    )
    changes = {"epochs": epochs, "lr": lr, "batch": batch, "settings": settings, "recipe": recipe}
    run.update({"python": told("train", fresh, opened, options, seed, changes), "command": None})
    if judged:
        judge(model, opened, seed=seed, progress=progress).save(run.folder)
    return run


def resume(folder: str | Path, *, data: Any = None, progress: Progress | None = None) -> Run:
    """Go on with an autoencoder that `train` began, as `striate.training.resume` does, and measure what `train` measures where that is missing.

    `data` is needed only where it came as arrays or has moved. Raises what `striate.training.resume` raises.
    """
    from striate.autoencode.figures import FIGURES
    from striate.autoencode.judging import judge
    from striate.data import load
    from striate.training import resume as go_on
    from striate.training.session import options_for

    run = go_on(folder, data=data, progress=progress)
    if not (run.folder / FIGURES).exists():
        facts = run.facts
        spec = data if data is not None else facts["data"]["spec"]
        opened = pixels_of(load(spec, options=options_for(spec, data, facts["data"]["options"])))
        judge(run.model, opened, seed=facts["seed"], progress=progress).save(run.folder)
    return run


def told(function: str, fresh: bool, data: Any, options: Mapping[str, Any] | None, seed: int, changes: Mapping[str, Any]) -> str:
    """Return the Python that does the same, for the run's report."""
    from striate.core.signature import Source, python_call

    given = {name: value for name, value in changes.items() if value is not None}
    keywords = ({"options": dict(options)} if options else {}) | given | {"seed": seed}
    opened: Any = data.spec if data.spec is not None else Source("data")
    if data.spec is not None and data.options:
        opened = Source(python_call("st.data.load", [data.spec], {"options": dict(data.options)}))
    return python_call(f"st.autoencode.{function}", [None if fresh else Source("model"), opened], keywords)


def pixels_of(data: Any) -> Dataset:
    """Return the data with pixels in [0, 1] as the network's input, nothing standardised. Raises `DataError` for text."""
    from striate.data import load
    from striate.pixels import Preprocess

    opened = load(data)
    if len(opened.shape) != 3:
        raise DataError(f"{opened.name} is text; autoencoders here are for pictures")
    channels, height, width = opened.shape
    return opened.with_preprocess(Preprocess(size=(height, width), channels=channels))


def made(data: Any, options: Mapping[str, Any], seed: int) -> Autoencoder:
    """Return a fresh autoencoder for the data's pictures: the seed decides its weights, its output starts at the training pictures' mean."""
    from striate.zoo import build

    with random_state_kept():
        torch.manual_seed(derived_seed(seed, WEIGHTS))
        network: Any = build(NAME, classes=1, input=data.shape, options=dict(options))
    batch = next(iter(data.split("train").batches(min(MEANS, len(data.tables["train"])), epoch=0, seed=0)))
    start_at_mean(network, batch.x)
    return network  # type: ignore[no-any-return]


@torch.no_grad()
def start_at_mean(model: Autoencoder, x: Tensor) -> None:
    """Set the bias of the last layer so that an autoencoder that knows nothing yet gives the mean of pictures N C H W, and not grey.

    Without it a dark set's first steps go into darkening everything, which can leave a sigmoid or the ReLUs before it without a gradient. Means are
    kept between 0.05 and 0.95 for a sigmoid output, one a pixel for a linear layer and one a channel for a convolution.
    """
    last = next(box for box in reversed(list(model.decoder)) if getattr(box, "bias", None) is not None)
    bias: Any = last.bias
    mean = x.float().mean(0).flatten() if bias.numel() == x[0].numel() else x.float().mean((0, 2, 3))
    if isinstance(list(model.decoder)[-1], nn.Sigmoid):
        mean = mean.clamp(0.05, 0.95).logit()
    bias.copy_(mean.to(bias))


def free_folder(data: str, word: str = "autoencoder") -> Path:
    """Return the first `runs/DATA-autoencoder-N` that is not there yet."""
    number = 1
    while (target := Path("runs") / f"{data}-{word}-{number}").exists():
        number += 1
    return target
