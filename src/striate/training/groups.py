"""Layer groups: which layers learn at a point of training, and how fast. Frozen batch norms keep their statistics.

Groups run from the input to the head, as the architecture's card lists them, or as the model's own blocks where it has none. A recipe's
`layer_decay` gives each group a share of the next deeper one's rate, `freeze` holds everything up to a layer for good, `head_first` lets only the
head learn at the beginning, `thaw` lets the others join one by one from the deep end (Howard and Ruder 2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from striate.core.contracts import Recipe
from striate.core.errors import ArgumentError, StriateError, unknown_name

MOST = 5
"""Groups of a model without a card: its blocks are joined until there are no more."""
Norm = nn.modules.batchnorm._BatchNorm  # noqa: SLF001 - the common base of torch's batch norms, which has no public name


@dataclass(frozen=True)
class Group:
    """Neighbouring layers that learn at one rate: the modules' paths and the names of their parameters."""

    modules: tuple[str, ...]
    parameters: tuple[str, ...]


def layer_groups(model: nn.Module) -> tuple[Group, ...]:
    """Return the model's layer groups, shallow to deep; the last is the head. Every parameter is in exactly one of them.

    Parameters of the model itself, outside its layers (a class token, a temperature), go with the first group.
    """
    names = [name for name, _ in model.named_parameters()]
    paths = _carded(model) or _by_blocks(model)
    groups = [Group(tuple(part), tuple(name for name in names if any(_within(name, path) for path in part))) for part in paths]
    found = [name for group in groups for name in group.parameters]
    if sorted(found) != sorted(names):  # a card for another form of the network
        groups = [Group(tuple(part), tuple(name for name in names if any(_within(name, path) for path in part))) for part in _by_blocks(model)]
    groups = [group for group in groups if group.parameters]
    held = {name for group in groups for name in group.parameters}
    own = tuple(name for name in names if name not in held)
    if own and groups:
        groups[0] = Group(groups[0].modules, (*own, *groups[0].parameters))
    return tuple(groups or ([Group((), own)] if own else ()))


def head_of(model: nn.Module) -> str:
    """Return the path of the head: the last linear layer or convolution."""
    weighted: list[str] = [path for path, module in model.named_modules() if isinstance(module, (nn.Linear, nn.Conv2d))]
    if not weighted:
        raise ArgumentError(f"model: {type(model).__name__} has neither a linear layer nor a convolution, so it has no head")
    return weighted[-1]


def up_to(model: nn.Module, layer: str) -> tuple[str, ...]:
    """Return the names of all parameters that stand before or in the module `layer`, in the model's order; raises `UnknownNameError`."""
    paths = [path for path, _ in model.named_modules() if path]
    if layer not in paths:
        raise unknown_name("layer", layer, paths)
    names = [name for name, _ in model.named_parameters()]
    position = paths.index(layer)
    before = {path for place, path in enumerate(paths) if place <= position or _within(path, layer)}
    return tuple(name for name in names if name.rpartition(".")[0] in before)


def rates(model: nn.Module, recipe: Recipe) -> dict[str, float]:
    """Return each parameter's share of the recipe's rate: `layer_decay` to the power of its group's distance from the head."""
    groups = layer_groups(model)
    return {name: recipe.layer_decay ** (len(groups) - 1 - place) for place, group in enumerate(groups) for name in group.parameters}


class Freezing:
    """Holds the layers that do not learn yet: no gradient, and batch norms that use and keep their statistics."""

    def __init__(self, model: nn.Module, recipe: Recipe) -> None:
        self.model, self.recipe = model, recipe
        self.groups = layer_groups(model) if recipe.head_first or recipe.thaw else ()
        self.found = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
        self.never = set(up_to(model, recipe.freeze)) if recipe.freeze else set()
        self.some = bool(self.groups or self.never) or not all(self.found.values())
        self.learning = -1

    def hold(self) -> None:
        """Freeze for good what the recipe freezes for good, before the optimiser looks at what there is to train."""
        for name, parameter in self.model.named_parameters():
            if name in self.never:
                parameter.requires_grad_(False)

    def at(self, share: float, *, mode_set: bool = False) -> None:
        """Set what learns when `share` (0 to 1) of training is done; `mode_set` says that the model has just been put into training mode."""
        if not self.some:
            return
        learning = self.count(share)
        if learning == self.learning and not mode_set:
            return
        if learning != self.learning and self.groups:
            for group in self.groups[: len(self.groups) - learning]:
                self._set(group.parameters, learns=False)
            for group in self.groups[len(self.groups) - learning :]:
                self._set(group.parameters, learns=True)
        if learning != self.learning:
            self.model.train()  # the batch norms of layers that have just joined learn from now on
        self.learning = learning
        keep_statistics(self.model)

    def count(self, share: float) -> int:
        """Return how many groups learn, from the head upwards, when `share` of training is done."""
        others = len(self.groups) - 1
        if others < 1:
            return len(self.groups)
        if share < self.recipe.head_first:
            return 1
        if self.recipe.thaw <= 0 or others == 1:
            return 1 + others
        joined = (share - self.recipe.head_first) / self.recipe.thaw * (others - 1)
        return 1 + min(others, 1 + int(joined + 1e-9))

    def release(self) -> None:
        """Give every parameter back as it was found."""
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(self.found[name])

    def _set(self, names: Sequence[str], *, learns: bool) -> None:
        for name in names:
            parameter = self.model.get_parameter(name)
            wanted = learns and self.found[name] and name not in self.never
            parameter.requires_grad_(wanted)
            if not wanted:
                parameter.grad = None


def keep_statistics(model: nn.Module) -> int:
    """Put every batch norm whose layer does not learn into evaluation mode, so that its statistics stay; returns how many.

    A batch norm is frozen with its own scale and shift; one without them with the last layer with weights before it.
    """
    learns, count = True, 0
    for module in model.modules():
        own = list(module.parameters(recurse=False))
        if own:
            learns = any(parameter.requires_grad for parameter in own)
        if isinstance(module, Norm) and not learns:
            module.eval()
            count += 1
    return count


def _within(name: str, path: str) -> bool:
    return name == path or name.startswith(f"{path}.")


def _carded(model: nn.Module) -> list[tuple[str, ...]]:
    from striate.zoo import card, spec_of

    spec = spec_of(model)
    if spec is None:
        return []
    try:
        return [tuple(part) for part in card(spec.name).groups]
    except StriateError:  # networks from outside the zoo have no card
        return []


def _by_blocks(model: nn.Module) -> list[tuple[str, ...]]:
    """Part a model at its outermost blocks, `MOST` groups at most.

    The head is the last layer with weights, or what the model names as its `heads` (a tuple of paths).
    """
    leaves = [path for path, module in model.named_modules() if list(module.parameters(recurse=False))]
    if not leaves:
        return []
    named = getattr(model, "heads", None)
    own = [path for path in leaves if any(_within(path, name) for name in named)] if isinstance(named, tuple) else []
    head = tuple(own or leaves[-1:])
    rest = [path for path in leaves if path not in head]
    depth = 1
    while depth < 6 and len({_start(path, depth) for path in rest}) < 2:
        depth += 1
    blocks = list(dict.fromkeys(_start(path, depth) for path in rest))
    size = -(-len(blocks) // (MOST - 1)) if blocks else 1
    grouped: list[list[str]] = [[] for _ in range(-(-len(blocks) // size))] if blocks else []
    for path in rest:
        grouped[blocks.index(_start(path, depth)) // size].append(path)
    return [*(tuple(group) for group in grouped), head]


def _start(path: str, depth: int) -> str:
    return ".".join(path.split(".")[:depth])
