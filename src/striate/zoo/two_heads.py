"""Two heads on one trunk, as one network: the class from pooled codes, box and points from the maps, where places are not lost (row R5).

    zoo.build("resnet18+boxes", classes=14, input=(3, 96, 96), options={"at": "layer4"})

`classes` counts the outputs: one a class, four of the box, two of each point, as the task `localise` reads them. `at` is the layer after which the
trunk ends, `trunk` holds the options of the network itself. Parameters are called `trunk.` and the network's own names, `classify.` and `place.`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from striate.core.contracts import ModelSpec
from striate.core.errors import ArgumentError, unknown_name

SUFFIX = "+boxes"
OPTIONS = ("at", "boxes", "points", "narrow", "hidden", "dropout", "trunk")


class Localiser(nn.Module):
    """`trunk`, then `classify` on the mean of its maps and `place` on a narrow version of them; the outputs stand side by side.

    Takes N C H W of the size it was built for and gives N (K + 4 + 2 P), as the task `localise` reads them.
    """

    heads: ClassVar[tuple[str, ...]] = ("classify", "place")
    """What is fresh on a pretrained trunk: the last of the layer groups."""

    def __init__(self, trunk: nn.Module, classify: nn.Module, place: nn.Module, *, at: str = "") -> None:
        super().__init__()
        self.at = at
        self.trunk, self.classify, self.place = trunk, classify, place

    def forward(self, x: Tensor) -> Tensor:
        """Return N (K + 4 + 2 P)."""
        maps = self.trunk(x)
        return torch.cat([self.classify(maps.mean((2, 3))), self.place(maps)], 1)


def localiser(
    model: nn.Module,
    classes: int | Sequence[str],
    *,
    input: tuple[int, int, int],  # noqa: A002 - the word of the zoo
    at: str | None = None,
    boxes: bool = True,
    points: int = 0,
    narrow: int = 32,
    hidden: int = 256,
    dropout: float = 0.2,
) -> Localiser:
    """Return a network that says class, box and points, on a copy of `model`'s trunk with its weights.

    Args:
        model: any network; it is left as it is.
        classes: how many, or their names.
        input: C H W of the pictures it will see; the box head is tied to it.
        at: the module after which the trunk ends, whose output must be maps N C H W; None takes the last before the model's own head that gives maps
            of more than one place.
        boxes: whether there is a box.
        points: how many points.
        narrow: maps that the box head sees: a 1x1 convolution makes them of the trunk's.
        hidden: units of its hidden layer.
        dropout: share left out around it.

    The heads are fresh and need training: `train(localiser(...), data, task="localise")`, with `settings={"freeze": "trunk"}` to keep the trunk. On a
    network of the zoo it has a spec, `NAME+boxes`, by which its runs are opened and resumed. Raises `UnknownNameError` for `at`, `ArgumentError`
    where there are no maps.
    """
    from striate.surgery import cut

    many = classes if isinstance(classes, int) else len(classes)
    numbers = 4 * boxes + 2 * points
    if points < 0 or not numbers:
        raise ArgumentError(f"points: got {points} with boxes={boxes}; expected boxes, or at least one point")
    if at is not None and at not in dict(model.named_modules()):
        raise unknown_name("module", at, [name for name, _ in model.named_modules() if name])
    shapes = _maps(model, input, at)
    place_at = at or next((name for name, shape in reversed(shapes.items()) if shape[2] * shape[3] > 1), None)
    shape = shapes.get(place_at or "")
    if place_at is None or shape is None:
        where = f"{at} gives no maps N C H W" if at else "no module of it gives maps N C H W of more than one place"
        raise ArgumentError(f"at: {where} for an input of {' x '.join(map(str, input))}; a box needs to know where; name an earlier layer")
    trunk = cut(model, place_at)
    channels, height, width = shape[1:]
    place = nn.Sequential(
        *(nn.Conv2d(channels, narrow, 1), nn.ReLU(), nn.Flatten()),
        nn.Sequential(nn.Dropout(dropout), nn.Linear(narrow * height * width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, numbers)),
    )
    made = Localiser(trunk, nn.Linear(channels, many), place, at=place_at)
    made.train(model.training)
    spec = getattr(model, "spec", None)
    if isinstance(spec, ModelSpec):
        options = {"at": place_at, "boxes": boxes, "points": points, "narrow": narrow, "hidden": hidden, "dropout": dropout}
        object.__setattr__(made, "spec", ModelSpec(spec.name + SUFFIX, many + numbers, tuple(input), options | {"trunk": dict(spec.options)}))
    return made


def build(name: str, classes: int, shape: Sequence[int], options: Mapping[str, Any]) -> Localiser:
    """Build the network that `name` and `options` say, freshly initialised; see the head of this file. `classes` counts all outputs."""
    from striate.zoo.building import build as build_whole

    for option in options:
        if option not in OPTIONS:
            raise unknown_name(f"option of {name}", option, OPTIONS)
    given = {key: value for key, value in options.items() if key != "trunk"}
    numbers = 4 * bool(given.get("boxes", True)) + 2 * int(given.get("points", 0))
    if classes <= numbers:
        raise ArgumentError(f"classes: got {classes} outputs, expected more than {numbers}: {name} has so many for the box and the points alone")
    whole = build_whole(name.removesuffix(SUFFIX), classes=max(2, classes - numbers), input=tuple(shape), options=options.get("trunk") or {})
    channels, height, width = shape
    return localiser(whole, classes - numbers, input=(channels, height, width), **given)


def _maps(model: nn.Module, shape: tuple[int, int, int], at: str | None) -> dict[str, tuple[int, ...]]:
    """Return the shapes of what the named modules give, in order of their running, where it is maps N C H W.

    Where no module is asked for, a head that works on maps (SqueezeNet's last convolution) and all behind it are left out: they know the old classes.
    """
    weighted = [name for name, module in model.named_modules() if isinstance(module, (nn.Linear, nn.Conv2d))]
    found: dict[str, tuple[int, ...]] = {}

    def keep(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.dim() == 4:
                found[name] = tuple(output.shape)

        return hook

    watched = [(name, module) for name, module in model.named_modules() if (name and at is None and not isinstance(module, nn.Dropout)) or name == at]
    handles = [module.register_forward_hook(keep(name)) for name, module in watched]
    modes = {module: module.training for module in model.modules()}
    try:
        example = next((each for each in model.parameters() if each.is_floating_point()), torch.empty(0))
        with torch.no_grad():
            output = model.eval()(torch.zeros(1, *shape, device=example.device, dtype=example.dtype))
    finally:
        for module, training in modes.items():
            module.training = training
        for handle in handles:
            handle.remove()
    if at is None and len(weighted) > 1 and weighted[-1] in found and not (isinstance(output, Tensor) and output.dim() == 4):
        return dict(list(found.items())[: list(found).index(weighted[-1])])
    return found
