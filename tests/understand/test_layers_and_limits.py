"""Options that make no sense, for the methods that look at layers, are refused in one sentence that names the option."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

import striate.understand as u
from striate.core.errors import ArgumentError


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)).eval()


def pictures(count: int = 2) -> torch.Tensor:
    return torch.rand(count, 3, 20, 20, generator=torch.Generator().manual_seed(0))


WRONG: dict[str, dict[str, tuple[Any, ...]]] = {
    "activations": {"channels": ((), [1.5], 3, ["a"], [8], [-1]), "layer": ("", 3, ["0"])},
    "invert": {
        "steps": (0, math.nan, 1.5, "a"),
        "rate": (0, -1, math.nan, math.inf, "a"),
        "tv": (-1, math.nan, "a"),
        "power": (0.2, math.nan, "a"),
        "layer": ("", 3, [], [""]),
        "parametrise": ("x",),
    },
    "dream": {
        "steps": (0, math.nan, "a"),
        "rate": (0, math.nan, "a"),
        "octaves": (0, math.nan, 1.5, "a"),
        "ratio": (1, 0.5, math.nan, math.inf, "a"),
        "smooth": (-1, math.nan, "a"),
        "size": (3, math.nan, "a"),
        "colour": ("x", 3),
        "channel": (8, -1, 1.5, "a"),
        "layer": ("", 3, ["0"], "4", "3"),
    },
    "style": {
        "steps": (0, math.nan, "a"),
        "rate": (0, math.nan, "a"),
        "octaves": (0, math.nan, "a"),
        "tv": (-1, math.nan, "a"),
        "strength": (-1, math.nan, math.inf, "a"),
        "scale": (0, -1, math.nan, "a"),
        "size": (3, math.nan, "a"),
        "colour": ("x", 3),
        "content_layer": ("", 3, ["0"]),
        "style_layers": ([], [""], [3], 3, ["4"]),
    },
    "dead_filters": {"count": (0, -1, math.nan, 1.5, "a"), "layer": ("", 3, ["0"]), "split": (3,)},
    "sparsity": {"count": (0, -1, math.nan, 1.5, "a"), "files": (3, [3])},
    "top_patches": {
        "count": (0, -1, math.nan, 1.5, "a"),
        "layers": ([], [""], [3], 3),
        "channels": ([], [1.5], 3, ["a"], [8], [-1]),
        "rule": ("x",),
    },
    "filters": {"count": (0, -1, 1.5, "a"), "layer": ("", 3), "order": ("x",), "scale": ("x",), "shape": (3, (1, 2), (1.5, 2, 3), "a")},
}


def said(method: str, option: str, value: Any) -> str:
    given = () if method == "filters" else (pictures(1), pictures(1)) if method == "style" else (pictures(),)
    with pytest.raises(ArgumentError) as error:
        getattr(u, method)(net(), *given, **{option: value})
    return str(error.value)


@pytest.mark.parametrize(("method", "option"), [(method, option) for method, options in WRONG.items() for option in options])
def test_what_makes_no_sense_is_refused(method: str, option: str) -> None:
    for value in WRONG[method][option]:
        text = said(method, option, value)
        assert option.removeprefix("content_").removeprefix("style_").rstrip("s") in text, (value, text)
        assert "\n" not in text


def test_a_dream_wants_maps() -> None:
    assert "expected maps N C H W" in said("dream", "layer", "4")
    assert "expected maps N C H W" in said("style", "style_layers", ["4"])
