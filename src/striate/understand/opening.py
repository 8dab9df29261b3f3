"""What a model brings along besides its network: preprocessing and class names, as a run, as loaded weights or as one of ImageNet's own."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from torch import nn

from striate.core.errors import ArgumentError, UnknownNameError, unknown_name
from striate.probe import original
from striate.understand.scoring import Scorer, scores_of
from striate.zoo.published import PUBLISHED, imagenet_classes

if TYPE_CHECKING:
    from striate.training import Run

IMAGENET = 1000
"""Classes of ImageNet."""


def opened(model: Any) -> tuple[nn.Module, Any, tuple[str, ...]]:
    """Return a Run's (or its folder's) network, preprocess and classes; of a module itself, and what its loaded weights brought along."""
    from striate.training import Run
    from striate.zoo import loaded_into

    if isinstance(model, Run):
        if not hasattr(model.preprocess, "fit"):
            raise ArgumentError(f"{model.folder}: this run does not take pictures, so there is nothing to see in them")
        return model.model, model.preprocess, tuple(model.classes)
    if not isinstance(model, nn.Module):
        raise ArgumentError(f"model: got {type(model).__name__}, expected an nn.Module or a Run")
    inner, _ = original(model)
    loaded = loaded_into(inner)
    own = getattr(inner, "preprocess", None)
    preprocess = loaded.preprocess if loaded is not None else own if hasattr(own, "to_json") else None
    if bare_imagenet(inner):
        return model, preprocess or _imagenets(inner), imagenet_classes()
    return model, preprocess, loaded.classes if loaded is not None and not loaded.fresh else ()


def scorer(model: Any) -> Scorer:
    """Return how class scores are read from what a model's network gives back: `scores_of`, unless it is a run whose task says otherwise.

    Of a run that learned more than classes (a box, points) the first outputs are the scores, one a class. Of a run that names no classes, as an
    autoencoder's, there are none: whoever asks for them gets an `ArgumentError`.
    """
    from striate.training import Run

    if not isinstance(model, Run):
        return scores_of
    try:
        task = model.task
    except UnknownNameError:  # a task of the user's own
        return scores_of
    if not getattr(task, "supervised", True):
        return partial(_without_classes, model)
    return partial(scores_of, classes=len(model.classes)) if getattr(task, "extra_outputs", 0) else scores_of


def _without_classes(run: Run, _output: Any, _count: int) -> NoReturn:
    raise ArgumentError(
        f"{run.folder}: learned to give pictures back (task {run.facts['task']}) and names no classes, so there is no class score to explain. "
        f"Its report shows what it learned"
    )


def bare_imagenet(network: nn.Module) -> bool:
    """Tell whether a network is taken for one of ImageNet: the zoo's, for 1,000 classes of colour pictures, from a file that names no classes."""
    from striate.zoo import loaded_into, spec_of

    spec, loaded = spec_of(network), loaded_into(network)
    if spec is None or spec.classes != IMAGENET or tuple(spec.input[:1]) != (3,) or len(spec.input) != 3:
        return False
    return loaded is not None and not loaded.fresh and not loaded.classes


def assumed(network: nn.Module, preprocess: Any) -> tuple[str, ...]:
    """Return what is taken for granted about a network of ImageNet whose file says nothing; `preprocess` is what was asked for."""
    from striate.zoo import loaded_into

    loaded = loaded_into(network)
    if loaded is None or not bare_imagenet(network):
        return ()
    if preprocess is None and loaded.preprocess is None:
        return (f"{loaded.path.name} names neither classes nor a preprocess: those of ImageNet are taken, since it has {IMAGENET:,} outputs",)
    return (f"{loaded.path.name} names no classes: those of ImageNet are shown, since it has {IMAGENET:,} outputs",)


def _imagenets(network: nn.Module) -> Any:
    """Return how pictures are prepared for this architecture's published weights, else ImageNet's usual way."""
    from striate.zoo import imagenet_preprocess, spec_of

    spec = spec_of(network)
    known = [item for item in PUBLISHED if spec is not None and item.architecture == spec.name]
    return known[0].preprocess if known else imagenet_preprocess(min(spec.input[1:]) if spec is not None else 224)


def chosen_preprocess(asked: Any, own: Any) -> tuple[Any, tuple[str, ...]]:
    """Return the preprocess to use (None: identity) and what a person should know about the choice."""
    if asked is None:
        if own is not None:
            return own, ()
        return None, ("no preprocess is known for this model, so its input is the pixels, 0 to 1, as they are; give preprocess= if it wants another",)
    if isinstance(asked, str):
        if asked == "identity":
            return None, ()
        if asked == "imagenet":
            from striate.zoo import imagenet_preprocess

            return imagenet_preprocess(), ()
        raise unknown_name("preprocess", asked, ("imagenet", "identity"))
    if not callable(asked):
        raise ArgumentError(f"preprocess: got {type(asked).__name__}, expected a callable, 'imagenet' or 'identity'")
    return asked, ()
