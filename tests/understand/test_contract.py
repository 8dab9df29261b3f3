"""What every method of understanding keeps to, whoever wrote it: the registry is walked, so a new file is tested by standing there.

The model comes out as it was, after success and after an exception inside it; a batch equals its single pictures; the source's literals equal what
importing gives; what a network does not depend on has a blank map; maps keep their raw range.
"""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import striate.understand as u
from striate.core.errors import ArgumentError, StriateError
from striate.core.signature import Signature
from striate.probe import Snapshot
from striate.understand.registry import methods, options_of

NAMES = methods.names()
OF_IMAGES = tuple(entry.name for entry in methods if entry.facts["needs"] == "images")
MAPS = tuple(name for name in OF_IMAGES if methods.entry(name).facts["kind"] == "map")
CLASSES, SIDE = 5, 24

SMALL = {
    "steps": 4,
    "iterations": 4,
    "samples": 8,
    "count": 4,
    "octaves": 1,
    "queries": 3,
    "perplexity": 2.0,
    "window": 7,
    "stride": 5,
    "restarts": 1,
}
"""Values that keep a method's work small where it has such a parameter and nothing but speed and quality depends on it."""
OVER: dict[str, dict[str, object]] = {"code_map": {"samples": 12, "by": "pca"}, "neighbours": {"samples": 12}, "dead_filters": {"count": 12}}


class Net(nn.Module):
    """Functional and module ReLUs, batch norm, dropout, a residual add, overlapping pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
        self.bn = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.bn(self.conv1(x)))
        x = F.max_pool2d(x, 3, 2)
        x = self.relu(self.conv2(x) + x)
        x = self.drop(x).mean((2, 3))
        return self.fc(x)


class Flattening(Net):
    """Ends in a dense layer over the flattened maps."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8 * 11 * 11, CLASSES)

    def flat(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.bn(self.conv1(x))), 3, 2)
        return self.fc(self.flat(self.drop(self.relu(self.conv2(x) + x))))


class Viewing(Flattening):
    """Flattens by `view`, as many do: maps that lie channels last cannot be."""

    def flat(self, x: torch.Tensor) -> torch.Tensor:
        return x.view(-1, 8 * 11 * 11)


class Broken(Net):
    """Raises in its `at`-th forward pass."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at, self.passed = at, [0]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = super().forward(x)
        self.passed[0] += 1
        if self.passed[0] == self.at:
            raise KeyError("injected")
        return made


def net(kind: type[Net] = Net, *given: int) -> Net:
    torch.manual_seed(3)
    made = kind(*given)
    with torch.no_grad():
        made.bn.running_mean.normal_(0, 0.1)
        made.fc.weight.mul_(5)
    made.train()
    made.conv2.weight.requires_grad_(False)
    made.fc.weight.grad = torch.ones_like(made.fc.weight)
    made.fc.register_forward_hook(lambda *_: None)
    return made


def pictures(count: int = 3) -> torch.Tensor:
    return torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(7))


def call(name: str, model: nn.Module, images: torch.Tensor, **more: object) -> u.Explanation:
    entry = methods.entry(name)
    needs, known = entry.facts["needs"], entry.signature.names
    options = {key: value for key, value in (SMALL | OVER.get(name, {})).items() if key in known}
    options |= {key: value for key, value in {"preprocess": "identity", "seed": 5, **more}.items() if key in known}
    if needs == "nothing" and "shape" in known and name != "filters":
        options.setdefault("shape", (3, SIDE, SIDE))
    subject: tuple[object, ...] = (images,)
    if needs == "nothing":
        subject = ()
    elif needs == "data":
        subject = ((torch.cat([images] * 4)[:12], np.arange(12) % CLASSES),)
    elif needs == "pair":
        subject = (images[:1], images[1:2])
    return methods.get(name)(model, *subject, **options)


@pytest.mark.parametrize("name", NAMES)
def test_source_tells_what_importing_gives(name: str) -> None:
    entry, live = methods.entry(name), methods.get(name)
    assert live.__dict__["registered"] == {"name": name, "help": entry.help, "facts": entry.facts}
    assert Signature.of_callable(live) == entry.signature
    assert entry.name == entry.attribute == entry.module.rpartition(".")[2], "one function a file, all three of one name"
    assert set(entry.facts) == {"needs", "kind"}
    assert entry.facts["needs"] in ("images", "data", "pair", "nothing")
    assert entry.facts["kind"] in ("map", "image", "table", "embedding")
    assert not any(p.kind is p.VAR_KEYWORD for p in inspect.signature(live).parameters.values())
    assert getattr(u, name) is live, f"add `from .methods.{name} import {name} as {name}` to understand/__init__.pyi"


@pytest.mark.parametrize("name", NAMES)
def test_the_model_is_left_as_it_was(name: str) -> None:
    model = net()
    before = Snapshot.of(model)
    made = call(name, model, pictures())
    assert before.differences(model) == ()
    assert made.method == name
    assert made.kind == methods.entry(name).facts["kind"]
    assert set(made.fingerprints) >= {"model"}
    for array in made.arrays.values():
        if array.dtype.kind == "f" and made.kind != "table" and name != "filters":
            assert np.isfinite(array).all()
    figure = made.figure()
    assert figure.title
    assert figure.png(scale=1).startswith(b"\x89PNG")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("last", [False, True])
def test_maps_may_be_flattened_by_view(name: str, last: bool) -> None:
    images = pictures().contiguous(memory_format=torch.channels_last) if last else pictures()
    model = net(Viewing)
    before = Snapshot.of(model)
    made, wanted = call(name, model, images), call(name, net(Flattening), images)
    assert before.differences(model) == ()
    assert set(made.arrays) == set(wanted.arrays)
    if name in MAPS:
        for key, values in wanted.arrays.items():
            assert np.allclose(made.arrays[key], values, rtol=0, atol=1e-4 * max(1e-12, float(np.abs(values).max(initial=0)))), key


@pytest.mark.parametrize("name", [name for name in NAMES if methods.entry(name).facts["needs"] != "nothing"])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_the_model_is_left_as_it_was_after_an_exception(name: str, at: int) -> None:
    model = net(Broken, at)
    before = Snapshot.of(model)
    raised = None
    try:
        call(name, model, pictures())
    except KeyError as error:
        raised = error.args
    assert raised == ("injected",) or (raised is None and at > 1), "the pass raised, and nobody heard of it"
    model.passed[0] = 0
    assert before.differences(model) == ()


@pytest.mark.parametrize("name", OF_IMAGES)
def test_a_batch_equals_its_single_pictures(name: str) -> None:
    model, images = net(), pictures()
    target = {"target": [1, 0, 2]} if "target" in methods.entry(name).signature.names else {}
    whole = call(name, model, images, **target)
    if len(whole) != len(images):
        pytest.skip("its samples are not the pictures")
    for number in range(len(images)):
        one_target = {"target": target["target"][number]} if target else {}
        alone = call(name, model, images[number : number + 1], **one_target)
        for key, values in alone.arrays.items():
            if key in alone.shared or values.dtype.kind not in "fiub":
                continue
            largest = max(float(np.abs(values).max(initial=0)), 1e-12)
            difference = np.abs(whole[number].arrays[key].astype(np.float64) - values.astype(np.float64)).max(initial=0)
            assert difference <= 1e-5 * largest, f"{key} of picture {number} differs by {difference / largest:.1e}"


@pytest.mark.parametrize("name", [name for name in OF_IMAGES if "seed" in methods.entry(name).signature.names])
def test_the_same_seed_gives_the_same_bits(name: str) -> None:
    model = net()
    first, second = (call(name, model, pictures()) for _ in range(2))
    for key, values in first.arrays.items():
        assert np.array_equal(values, second.arrays[key]), key


@pytest.mark.parametrize("name", MAPS)
def test_what_does_not_matter_has_a_blank_map(name: str) -> None:
    model = net()
    with torch.no_grad():
        model.conv1.weight.zero_()
        model.conv2.weight.zero_()  # else its padding shows at the border
    try:
        made = call(name, model, pictures())
    except StriateError:
        return  # a refusal says so too
    spread = np.ptp(made.arrays["map"], axis=(1, 2)) if "map" in made.arrays else np.zeros(1)
    assert (spread <= 1e-6 * max(1.0, float(np.abs(made.arrays["map"]).max()))).all() or name == "activations", "a constant network has a map"
    assert made.figure().png(scale=1)


@pytest.mark.parametrize("name", MAPS)
def test_maps_keep_their_raw_range(name: str) -> None:
    made = call(name, net(), pictures())
    values = made.arrays["map"]
    assert made.receipts["raw_min"] == pytest.approx(float(values.min()))
    assert made.receipts["raw_max"] == pytest.approx(float(values.max()))


@pytest.mark.parametrize("name", NAMES)
def test_options_are_checked_whoever_calls(name: str) -> None:
    model = net()
    for parameter in options_of(methods.entry(name)).parameters:
        if parameter.annotation != "Any":
            with pytest.raises(ArgumentError, match=f"{parameter.name}: got <object"):
                call(name, model, pictures(), **{parameter.name: object()})
        if parameter.annotation == "float":
            with pytest.raises(ArgumentError, match=f"{parameter.name}: got (nan|inf), expected a finite number"):
                call(name, model, pictures(), **{parameter.name: float("nan" if len(parameter.name) % 2 else "inf")})


def test_options_may_come_from_arrays() -> None:
    made = u.activations(net(), pictures(), layer="conv1", channels=np.array([1, 3]))
    assert np.array_equal(made.arrays["map"], u.activations(net(), pictures(), layer="conv1", channels=(1, 3)).arrays["map"])
    assert u.smoothgrad(net(), pictures(), noise=np.float32(0.25), samples=np.int64(2)).options["noise"] == 0.25


@pytest.mark.parametrize("name", OF_IMAGES)
def test_bad_pictures_and_weights_are_refused(name: str) -> None:
    model = net()
    before = Snapshot.of(model)
    for bad, words in (
        (pictures() * 255, "expected 0 to 1"),
        (torch.full((1, 3, SIDE, SIDE), torch.nan), "NaN"),
        (torch.zeros(2, 4, SIDE, SIDE), "4×24×24|4 channels"),
        (torch.zeros(3, dtype=torch.uint8), "expected N C H W"),
    ):
        with pytest.raises(ArgumentError, match=words):
            call(name, model, bad)
    if "target" in methods.entry(name).signature.names:
        with pytest.raises(ArgumentError, match="from 0 to 4"):
            call(name, model, pictures(), target=5)
    if "layer" in methods.entry(name).signature.names:
        with pytest.raises(ArgumentError, match="conv2"):
            call(name, model, pictures(), layer="conv22")
    assert before.differences(model) == ()
    with torch.no_grad():
        model.conv2.weight[0, 0, 0, 0] = torch.nan
    with pytest.raises(ArgumentError, match=r"conv2\.weight holds NaN"):
        call(name, model, pictures())
