"""The contract of every architecture: counts, boxes, gradients, groups, precision, round trips, inputs of all kinds."""

import json

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from striate import zoo
from striate.core.contracts import ModelSpec
from striate.core.errors import ArgumentError
from striate.zoo.registry import architectures

NAMES = zoo.names()
DEEPER = (  # more of the same blocks: run through the contract in the slow suite
    *("resnet32", "resnet34", "resnet44", "resnet56", "resnet101", "resnet152", "resnet101_v1", "resnet152_v1", "resnet110", "resnet1202"),
    *("plain32", "plain34", "plain44", "plain56", "plain110", "preact_resnet101", "preact_resnet152", "preact_resnet164", "preact_resnet1001"),
    *("wide_resnet28_10", "wide_resnet40_4", "wide_resnet50_2", "wide_resnet101_2", "resnext29_8x64d", "resnext29_16x64d"),
    *("resnext101_32x4d", "resnext101_32x8d", "resnext101_64x4d"),
)
EACH = [pytest.param(name, marks=pytest.mark.slow) if name in DEEPER else name for name in NAMES]
PARAMETERS = {  # from the papers' tables and torchvision; ours where nobody else counts
    "lenet5": 61_706,
    "lenet5_1998": 60_850,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet20": 269_722,
    "resnet32": 464_154,
    "resnet44": 658_586,
    "resnet56": 853_018,
    "resnet110": 1_727_962,
    "resnet1202": 19_421_274,
    "plain20": 269_722,
    "plain32": 464_154,
    "plain44": 658_586,
    "plain56": 853_018,
    "plain110": 1_727_962,
    "plain18": 11_689_512 - (64 * 128 + 128 * 256 + 256 * 512) - 2 * (128 + 256 + 512),  # less the projections
    "plain34": 21_797_672 - (64 * 128 + 128 * 256 + 256 * 512) - 2 * (128 + 256 + 512),
    "resnet50": 25_557_032,
    "resnet50_v1": 25_557_032,
    "resnet101": 44_549_160,
    "resnet101_v1": 44_549_160,
    "resnet152": 60_192_808,
    "resnet152_v1": 60_192_808,
    "preact_resnet50": 25_549_352,
    "preact_resnet101": 44_541_480,
    "preact_resnet152": 60_185_128,
    "preact_resnet164": 1_703_258,
    "preact_resnet1001": 10_327_706,
    "wide_resnet16_8": 10_961_370,
    "wide_resnet40_4": 8_949_210,
    "wide_resnet28_10": 36_479_194,
    "wide_resnet50_2": 68_883_240,
    "wide_resnet101_2": 126_886_696,
    "resnext50_32x4d": 25_028_904,
    "resnext101_32x4d": 44_177_704,
    "resnext101_32x8d": 88_791_336,
    "resnext101_64x4d": 83_455_272,
    "resnext29_8x64d": 34_426_698,
    "resnext29_16x64d": 68_155_210,
    "sprint28": 5 * 5 * 16 + 9 * (16 * 32 + 32 * 32 + 32 * 64) + 2 * (16 + 32 + 32 + 64) + 64 * 10 + 10,
    "sprint32": 13 * 24 + 9 * (24 * 64 + 64 * 64 + 64 * 256 + 3 * 256 * 256) + 2 * (64 + 256 + 256) + 256 * 10,
}


def small(name):
    """A quick input: the paper's own where the size is fixed or small, 16 pixels for the residual nets."""
    channels, height, width = zoo.card(name).input
    side = 16 if any(family in name for family in ("resnet", "resnext", "plain")) else 32
    return (channels, min(height, side), min(width, side))


def build(name, classes=7, shape=None, **options):
    torch.manual_seed(0)
    return zoo.build(name, classes=classes, input=shape or small(name), options=options)


def pictures(shape, count=4):
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(1))


def calibrated(model, x):
    """Set batch-norm statistics to those of `x`, so that a random net in eval mode gives sane numbers."""
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    momenta = [m.momentum for m in norms]
    for m in norms:
        m.momentum = 1.0
    with torch.no_grad():
        model.train()(x)
    for m, momentum in zip(norms, momenta, strict=True):
        m.momentum = momentum
    return model.eval()


def leaves(model):
    return {name: module for name, module in model.named_modules() if not list(module.children())}


class Stray(TorchDispatchMode):
    """Records every operation that runs while no leaf module does: what a hook on modules would miss."""

    def __init__(self):
        super().__init__()
        self.inside, self.found = 0, []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if not self.inside:
            self.found.append(str(function))
        return function(*args, **(kwargs or {}))


def test_the_table_of_counts_is_complete():
    assert set(PARAMETERS) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_counted_as_published(name):
    card, facts = zoo.card(name), architectures.entry(name).facts
    with torch.device("meta" if card.parameters > 5e6 else "cpu"):
        model = zoo.build(name, classes=card.classes, input=card.input)
    assert sum(p.numel() for p in model.parameters()) == card.parameters == facts["parameters"] == PARAMETERS[name]
    assert facts["year"] == card.year


@pytest.mark.parametrize("name", EACH)
def test_every_operation_is_a_box_called_once_and_never_in_place(name):
    model, calls, stray = build(name), dict.fromkeys(leaves(build(name)), 0), Stray()

    def entering(_module, _inputs):
        stray.inside += 1

    def leaving(path):
        def count(_module, _inputs, _output):
            stray.inside -= 1
            calls[path] += 1

        return count

    for path, module in leaves(model).items():
        module.register_forward_pre_hook(entering)
        module.register_forward_hook(leaving(path))
        assert not getattr(module, "inplace", False), path
    x = pictures(small(name))
    kept = x.clone()
    with stray:
        model(x)
    assert stray.found == []
    assert calls == dict.fromkeys(calls, 1)
    assert torch.equal(x, kept)


@pytest.mark.parametrize("name", EACH)
def test_every_parameter_gets_a_gradient(name):
    model, x = build(name), pictures(small(name), 8)
    nn.functional.cross_entropy(model(x), torch.arange(8) % 7).backward()
    for path, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, path
            assert parameter.grad.isfinite().all(), path
            assert parameter.grad.any(), path
    frozen = [path for path, parameter in model.named_parameters() if not parameter.requires_grad]
    assert frozen == (["whiten.weight"] if name == "sprint32" else [])


@pytest.mark.parametrize("name", EACH)
def test_card_names_real_places_and_groups_hold_all_parameters_once(name):
    card, model = zoo.card(name), build(name)
    modules = dict(model.named_modules())
    assert card.paper
    assert card.cut_points
    for path in (*card.cut_points, *card.paper_names.values(), *(p for group in card.groups for p in group)):
        assert path in modules, path
    order = list(modules)
    assert sorted(card.cut_points, key=order.index) == list(card.cut_points)
    held = [[key for key, _ in model.named_parameters() if any(key.startswith(f"{p}.") for p in group)] for group in card.groups]
    assert all(held)
    assert [key for group in held for key in group] == [key for key, _ in model.named_parameters()], "each once, shallow to deep"


@pytest.mark.parametrize("name", EACH)
def test_bf16_and_channels_last_agree_with_fp32(name):
    x = pictures(small(name), 16)
    model = calibrated(build(name), x)
    with torch.no_grad():
        wanted = model(x)
        model.to(memory_format=torch.channels_last)
        x = x.to(memory_format=torch.channels_last)
        last = model(x)
        with torch.autocast("cpu", torch.bfloat16):
            half = model(x).float()
    scale = wanted.abs().max()
    assert (last - wanted).abs().max() <= 1e-4 * scale
    assert (half - wanted).abs().max() <= 0.06 * scale


@pytest.mark.parametrize("name", EACH)
def test_spec_builds_the_same_network_and_a_state_dict_fills_it(name):
    model = calibrated(build(name), pictures(small(name)))
    spec = ModelSpec.from_json(json.loads(json.dumps(zoo.spec_of(model).to_json())))
    torch.manual_seed(5)
    again = zoo.build(spec.name, classes=spec.classes, input=spec.input, options=spec.options).eval()
    assert zoo.spec_of(again) == zoo.spec_of(model)
    x = pictures(small(name))
    with torch.no_grad():
        assert not torch.equal(again(x), model(x))
        again.load_state_dict(model.state_dict())
        assert torch.equal(again(x), model(x))


@pytest.mark.parametrize("name", EACH)
def test_any_number_of_channels_and_the_smallest_size_fit_and_less_is_refused(name):
    smallest = architectures.entry(name).facts["smallest"]
    shape = (2, smallest, smallest if name == "lenet5_1998" else smallest + 5)
    model = build(name, classes=["cat", "dog"], shape=shape)
    assert model(pictures(shape)).isfinite().all()
    assert model(pictures(shape)).shape == (4, 2)
    with pytest.raises(ArgumentError, match=f"too small for {name}; the smallest size that fits is {smallest}x{smallest}"):
        build(name, shape=(1, smallest - 1, 64))


@pytest.mark.parametrize(
    ("name", "options", "change"),
    [
        ("lenet5", {"pool": "average"}, 0),
        ("sprint28", {"padding": "same"}, 0),
        ("sprint28", {"widths": [8, 16, 16, 32]}, None),
        ("sprint32", {"widths": (32, 64, 64), "depth": 1}, None),
        ("sprint32", {"depth": 3}, 9 * (64**2 + 2 * 256**2) + 64 + 2 * 256),
        ("resnet18", {"stem": "imagenet"}, (49 - 9) * 3 * 64),
    ],
)
def test_options_change_what_they_say(name, options, change):
    plain, changed = build(name), build(name, **options)
    if change is not None:
        assert sum(p.numel() for p in changed.parameters()) - sum(p.numel() for p in plain.parameters()) == change
    assert changed(pictures(small(name))).shape == (4, 7)
    for path, module in leaves(changed).items():
        assert not getattr(module, "inplace", False), path
