"""torchvision and timm as oracles: the same random weights must give the same logits.

    from oracles import agree, timm, torchvision

    agree(zoo.build("resnet18", classes=10, input=(3, 112, 112)), torchvision("resnet18", num_classes=10), (3, 112, 112))

Where the libraries are not installed such a test is skipped with a reason; `.ci/run` installs them (extra `oracles`) and sets STRIATE_ORACLES=must,
and then their absence is a failure.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

OPERATORS = ("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor", "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""What torchvision declares in a compiled part that does not load beside torch's CPU build; its Python part wants them named at import."""

KEPT: list[torch.library.Library] = []
"""A declaration lives as long as its library object."""

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def torchvision(name: str, **options: Any) -> nn.Module:
    """Build torchvision's `name` without weights; `options` are torchvision's own (num_classes, aux_logits, init_weights ...)."""
    models = library("torchvision").models
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made: nn.Module = models.get_model(name, weights=None, **options)
    return made


def timm(name: str, **options: Any) -> nn.Module:
    """Build timm's `name` without weights; `options` are timm's own (num_classes, in_chans, img_size ...)."""
    found = library("timm")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made: nn.Module = found.create_model(name, pretrained=False, **options)
    return made


def agree(
    ours: nn.Module,
    theirs: nn.Module,
    shape: Sequence[int],
    *,
    names: Callable[[str], str] | None = None,
    order: bool = False,
    tolerance: float = 1e-10,
    dtype: torch.dtype = torch.float64,
    batch: int = 3,
) -> None:
    """Give both networks one set of random weights and require equal logits, within `tolerance` of the largest.

    Batch norms get random scales and shifts and the statistics of the test pictures, so that a deep random network gives sane numbers.
    `names` turns our parameter names into theirs; `order` pairs tensors by position instead, where two libraries name alike things differently
    but list them alike. Otherwise names are the same, as they are with torchvision.
    """
    ours, theirs = ours.to(dtype), theirs.to(dtype)
    x = torch.randn(batch, *shape, dtype=dtype, generator=torch.Generator().manual_seed(3))
    calibrate(ours, x)
    hand_over(ours, theirs, names=names, order=order)
    wanted, got = logits(theirs, x), logits(ours, x)
    assert wanted.shape == got.shape
    scale = wanted.abs().max()
    assert scale > 0, "random weights whose logits are all zero prove nothing"
    assert wanted.std(0).max() > 1e-6 * scale, "the pictures make no difference: the comparison would prove nothing"
    worst = ((got - wanted).abs().max() / scale).item()
    assert worst <= tolerance, f"the logits differ by {worst:.1e} of the largest"


def calibrate(model: nn.Module, x: Tensor, *, seed: int = 7) -> nn.Module:
    """Draw batch norms' scales and shifts, set their statistics to those of `x`, and leave the model in eval mode."""
    norms = [module for module in model.eval().modules() if isinstance(module, NORMS)]
    momenta = [module.momentum for module in norms]
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in norms:
            module.train()
            module.momentum = 1.0
            if isinstance(module.weight, nn.Parameter):
                module.weight.uniform_(0.5, 1.5, generator=draw)
            if isinstance(module.bias, nn.Parameter):
                module.bias.uniform_(-0.5, 0.5, generator=draw)
        model(x)
    for module, momentum in zip(norms, momenta, strict=True):
        module.momentum = momentum
    return model.eval()


def hand_over(ours: nn.Module, theirs: nn.Module, *, names: Callable[[str], str] | None = None, order: bool = False) -> None:
    """Copy our weights into `theirs`; every tensor on both sides must find its partner."""
    have, want = _tensors(ours), _tensors(theirs)
    if order:
        assert [tuple(t.shape) for t in have.values()] == [tuple(t.shape) for t in want.values()], "listed in another order"
        have = dict(zip(want, have.values(), strict=True))
    else:
        have = {names(key) if names else key: value for key, value in have.items()}
        assert set(have) == set(want), f"ours alone: {sorted(set(have) - set(want))[:8]}; theirs alone: {sorted(set(want) - set(have))[:8]}"
    theirs.load_state_dict(have, strict=False)


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    return {key: value for key, value in model.state_dict().items() if not key.endswith("num_batches_tracked")}


def logits(model: nn.Module, x: Tensor) -> Tensor:
    """Run in eval mode without gradients; a named or plain tuple's first entry is the main output."""
    with torch.no_grad():
        out = model.eval()(x)
    found: Tensor = out if isinstance(out, Tensor) else next(iter(out.values())) if isinstance(out, Mapping) else out[0]
    return found


def library(name: str) -> ModuleType:
    """Import torchvision or timm, or skip the test (fail it where STRIATE_ORACLES=must)."""
    if importlib.util.find_spec(name) is None:
        if os.environ.get("STRIATE_ORACLES") == "must":
            pytest.fail(f"STRIATE_ORACLES=must, but {name} is not installed")
        pytest.skip(f"{name} is not installed: python3 dev.py install --oracles")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _import_torchvision()
        return importlib.import_module(name)


def _import_torchvision() -> None:
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if not re.search(r"operator torchvision::\w+ does not exist", str(error)):
            raise
        for key in [key for key in sys.modules if key.partition(".")[0] == "torchvision"]:
            del sys.modules[key]
        declared = torch.library.Library("torchvision", "DEF")
        for operator in OPERATORS:
            declared.define(operator)
        KEPT.append(declared)
        importlib.import_module("torchvision")
