"""Optimisers by name, each built from torch's own; one object steps them all, sets their rates and saves their state exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from striate.core.contracts import Recipe
from striate.core.errors import ArgumentError
from striate.training.groups import rates as shares_of_rate
from striate.training.muon import FilterMuon
from striate.training.registry import optimiser, optimisers

Named = Sequence[tuple[str, nn.Parameter]]
_FROM_RECIPE = ("parameters", "lr", "momentum", "weight_decay")


@optimiser("sgd", help="stochastic gradient descent with momentum (0: plain; a batch as large as the split: gradient descent)")
def sgd(
    parameters: Named, *, lr: float, momentum: float, weight_decay: float, nesterov: bool = False, decay_norms: bool = True
) -> list[torch.optim.Optimizer]:
    """Return torch's SGD; decay reaches every parameter as in the papers unless `decay_norms` is off."""
    groups = _groups(parameters, lr, weight_decay, decay_norms=decay_norms)
    return [torch.optim.SGD(groups, lr=lr, momentum=momentum, nesterov=nesterov and momentum > 0)]


@optimiser("rmsprop", help="RMSProp (Tieleman and Hinton 2012)")
def rmsprop(
    parameters: Named, *, lr: float, momentum: float, weight_decay: float, alpha: float = 0.99, eps: float = 1e-8, decay_norms: bool = True
) -> list[torch.optim.Optimizer]:
    """Return torch's RMSProp."""
    groups = _groups(parameters, lr, weight_decay, decay_norms=decay_norms)
    return [torch.optim.RMSprop(groups, lr=lr, momentum=momentum, alpha=alpha, eps=eps)]


@optimiser("adam", help="Adam (Kingma and Ba 2015); momentum is its first beta")
def adam(
    parameters: Named, *, lr: float, momentum: float, weight_decay: float, beta2: float = 0.999, eps: float = 1e-8, decay_norms: bool = True
) -> list[torch.optim.Optimizer]:
    """Return torch's Adam, fused: half the time or less on a CPU too."""
    return [torch.optim.Adam(_groups(parameters, lr, weight_decay, decay_norms=decay_norms), lr=lr, betas=(momentum, beta2), eps=eps, fused=True)]


@optimiser("adamw", help="Adam with decoupled weight decay (Loshchilov and Hutter 2019); biases and norms are not decayed")
def adamw(
    parameters: Named, *, lr: float, momentum: float, weight_decay: float, beta2: float = 0.999, eps: float = 1e-8, decay_norms: bool = False
) -> list[torch.optim.Optimizer]:
    """Return torch's AdamW, fused."""
    return [torch.optim.AdamW(_groups(parameters, lr, weight_decay, decay_norms=decay_norms), lr=lr, betas=(momentum, beta2), eps=eps, fused=True)]


@optimiser("adadelta", help="Adadelta (Zeiler 2012); momentum is its decay rho")
def adadelta(
    parameters: Named, *, lr: float, momentum: float, weight_decay: float, eps: float = 1e-6, decay_norms: bool = True
) -> list[torch.optim.Optimizer]:
    """Return torch's Adadelta; its own rate is 1."""
    return [torch.optim.Adadelta(_groups(parameters, lr, weight_decay, decay_norms=decay_norms), lr=lr, rho=momentum, eps=eps)]


@optimiser("muon", help="Muon on convolution filters, Nesterov SGD on the rest (Jordan 2024)")
def muon(
    parameters: Named,
    *,
    lr: float,
    momentum: float,
    weight_decay: float,
    head_lr: float = 1.0,
    bias_lr: float = 0.1,
    rest_momentum: float = 0.85,
    iterations: int = 3,
) -> list[torch.optim.Optimizer]:
    """Return `FilterMuon` for filters of 4 axes and torch's SGD for weights of 2 (`head_lr`) and for all else (`bias_lr`).

    Filters keep a fixed norm, so `weight_decay` (per step, not times the rate) reaches only the rest.
    """
    filters = [p for _, p in parameters if p.dim() == 4]
    heads = [p for _, p in parameters if p.dim() in (2, 3)]
    others = [p for _, p in parameters if p.dim() < 2]
    rest = [{"params": group, "lr": rate, "weight_decay": weight_decay / rate} for group, rate in ((heads, head_lr), (others, bias_lr)) if group]
    made: list[torch.optim.Optimizer] = []
    if filters:
        made.append(FilterMuon(filters, lr=lr, momentum=momentum, iterations=iterations))
    if rest:
        made.append(torch.optim.SGD(rest, lr=head_lr, momentum=rest_momentum, nesterov=rest_momentum > 0))
    return made


class Optimiser:
    """Every torch optimiser of one training: one rate share for all, one state."""

    def __init__(self, model: nn.Module, recipe: Recipe) -> None:
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        if not named:
            raise ArgumentError("model: no parameter requires a gradient, so there is nothing to train")
        entry = optimisers.entry(recipe.optimiser)
        reserved = [name for name in recipe.options if name in _FROM_RECIPE]
        if reserved:
            raise ArgumentError(f"recipe options: {reserved[0]!r} is a field of the recipe itself; write {reserved[0]}=... instead")
        options = entry.signature.check(recipe.options)
        make = optimisers.get(recipe.optimiser)
        self.parts: list[torch.optim.Optimizer] = make(named, lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay, **options)
        if recipe.layer_decay != 1.0:
            for part in self.parts:
                part.param_groups[:] = _by_rate(part.param_groups, named, shares_of_rate(model, recipe))
        self.full = [[float(group["lr"]) for group in part.param_groups] for part in self.parts]

    def set_rate(self, share: float) -> None:
        """Set every group's rate to `share` of its full rate."""
        for part, rates in zip(self.parts, self.full, strict=True):
            for group, rate in zip(part.param_groups, rates, strict=True):
                group["lr"] = rate * share

    @property
    def rate(self) -> float:
        """The first group's present rate."""
        return float(self.parts[0].param_groups[0]["lr"])

    def step(self) -> None:
        """Take one step with every part and drop the gradients."""
        for part in self.parts:
            part.step()
        for part in self.parts:
            part.zero_grad(set_to_none=True)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return (tensors, numbers): all that `load` needs to go on to the bit."""
        tensors: dict[str, Tensor] = {}
        numbers: dict[str, Any] = {}
        for index, part in enumerate(self.parts):
            for position, values in part.state_dict()["state"].items():
                for key, value in values.items():
                    name = f"{index}.{position}.{key}"
                    if isinstance(value, Tensor):
                        tensors[name] = value
                    else:
                        numbers[name] = value
        return tensors, numbers

    def load(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        """Take `state`'s output back."""
        states: list[dict[int, dict[str, Any]]] = [{} for _ in self.parts]
        for name, value in [*tensors.items(), *numbers.items()]:
            index, position, key = name.split(".", 2)
            states[int(index)].setdefault(int(position), {})[key] = value
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict({"state": state, "param_groups": part.state_dict()["param_groups"]})
            for parameter, values in part.state.items():
                values |= {key: _laid_as(parameter, value) for key, value in values.items() if isinstance(value, Tensor)}


def _laid_as(parameter: Tensor, value: Tensor) -> Tensor:
    """Return a state of the parameter's shape in the parameter's strides: fused optimisers walk both through memory, a file keeps values only."""
    if value.shape != parameter.shape:
        return value
    return torch.empty_like(parameter, dtype=value.dtype, device=value.device, requires_grad=False).copy_(value)


def _by_rate(groups: list[dict[str, Any]], named: Named, shares: Mapping[str, float]) -> list[dict[str, Any]]:
    """Split parameter groups by their layers' share of the rate, the highest first: the head speaks for the whole."""
    share_of = {parameter: shares[name] for name, parameter in named}
    parted = []
    for share in sorted(set(share_of.values()), reverse=True):
        for group in groups:
            mine = [parameter for parameter in group["params"] if share_of[parameter] == share]
            if mine:
                parted.append({**group, "params": mine, "lr": group["lr"] * share})
    return parted


def _groups(parameters: Named, lr: float, weight_decay: float, *, decay_norms: bool) -> list[dict[str, Any]]:
    """Split into decayed and undecayed parameters; biases and norm scales have one axis."""
    decayed = [p for _, p in parameters if decay_norms or p.dim() > 1]
    plain = [p for _, p in parameters if not decay_norms and p.dim() <= 1]
    groups = [{"params": decayed, "lr": lr, "weight_decay": weight_decay}, {"params": plain, "lr": lr, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
