"""Residual families: one set of weights through literal re-computations and other libraries, stochastic depth."""

import json
import os
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from oracles import agree, calibrate, timm, torchvision
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from striate import zoo
from striate.core.errors import ArgumentError
from striate.layers import DropPath
from striate.pixels import Preprocess


def test_no_small_input_costs_more_than_the_papers():
    def cost(side):
        with torch.device("meta"), FlopCounterMode(display=False) as counted, torch.no_grad():
            zoo.build("resnet18", classes=10, input=(3, side, side)).eval()(torch.empty(1, 3, side, side))
        return counted.get_total_flops()

    assert max(cost(side) for side in (28, 32, 48, 49, 64, 96, 97)) < 0.8 * cost(224)


def ready(name, size, **options):
    """A network in float64 with random batch norms whose statistics are those of its pictures; its tensors; the pictures."""
    torch.manual_seed(2)
    model = zoo.build(name, classes=5, input=(3, size, size), options=options).double()
    x = torch.randn(2, 3, size, size, dtype=torch.float64)
    return calibrate(model, x), dict(model.state_dict()), x


def norm(s, at, x):
    scale = s[f"{at}.weight"] / (s[f"{at}.running_var"] + 1e-5).sqrt()
    return x * scale[:, None, None] + (s[f"{at}.bias"] - s[f"{at}.running_mean"] * scale)[:, None, None]


def active(s, at, x):
    return norm(s, at, x).clamp(min=0)


def post(s, at, x, stride, groups=1, early=False):
    """A bottleneck that activates after its sum."""
    out = active(s, f"{at}.bn1", F.conv2d(x, s[f"{at}.conv1.weight"], stride=stride if early else 1))
    filters = s[f"{at}.conv2.weight"].chunk(groups)
    parts = [F.conv2d(part, w, stride=1 if early else stride, padding=1) for part, w in zip(out.chunk(groups, 1), filters, strict=True)]
    out = norm(s, f"{at}.bn3", F.conv2d(active(s, f"{at}.bn2", torch.cat(parts, 1)), s[f"{at}.conv3.weight"]))
    if f"{at}.downsample.0.weight" in s:
        x = norm(s, f"{at}.downsample.1", F.conv2d(x, s[f"{at}.downsample.0.weight"], stride=stride))
    return (out + x).clamp(min=0)


def pre(s, at, x, stride, early=False):
    """A bottleneck that activates before each convolution."""
    out = active(s, f"{at}.bn1", x)
    if f"{at}.downsample.weight" in s:
        x = F.conv2d(out, s[f"{at}.downsample.weight"], stride=stride)
    out = F.conv2d(out, s[f"{at}.conv1.weight"], stride=stride if early else 1)
    out = F.conv2d(active(s, f"{at}.bn2", out), s[f"{at}.conv2.weight"], stride=1 if early else stride, padding=1)
    return x + F.conv2d(active(s, f"{at}.bn3", out), s[f"{at}.conv3.weight"])


def wide(s, at, x, stride):
    """A wide basic block."""
    out = active(s, f"{at}.bn1", x)
    if f"{at}.downsample.weight" in s:
        x = F.conv2d(out, s[f"{at}.downsample.weight"], stride=stride)
    out = F.conv2d(out, s[f"{at}.conv1.weight"], stride=stride, padding=1)
    return x + F.conv2d(active(s, f"{at}.bn2", out), s[f"{at}.conv2.weight"], padding=1)


def plain(s, at, x, stride):
    """Two convolutions and nothing beside them."""
    out = active(s, f"{at}.bn1", F.conv2d(x, s[f"{at}.conv1.weight"], stride=stride, padding=1))
    return active(s, f"{at}.bn2", F.conv2d(out, s[f"{at}.conv2.weight"], padding=1))


def basic_b(s, at, x, stride):
    """A basic block with a projection where the shape changes."""
    out = active(s, f"{at}.bn1", F.conv2d(x, s[f"{at}.conv1.weight"], stride=stride, padding=1))
    out = norm(s, f"{at}.bn2", F.conv2d(out, s[f"{at}.conv2.weight"], padding=1))
    if f"{at}.downsample.0.weight" in s:
        x = norm(s, f"{at}.downsample.1", F.conv2d(x, s[f"{at}.downsample.0.weight"], stride=stride))
    return (out + x).clamp(min=0)


def early(s, at, x, stride):
    return post(s, at, x, stride, early=True)


def pre_early(s, at, x, stride):
    return pre(s, at, x, stride, early=True)


def grouped(count):
    return lambda s, at, x, stride: post(s, at, x, stride, count)


LITERAL = [
    ("resnet50_v1", 17, (3, 4, 6, 3), early),
    ("plain20", 17, (3, 3, 3), plain),
    ("wide_resnet16_8", 12, (2, 2, 2), wide),
    pytest.param("resnet50_v1", 98, (3, 4, 6, 3), early, marks=pytest.mark.slow),
    pytest.param("resnet50", 50, (3, 4, 6, 3), post, marks=pytest.mark.slow),
    pytest.param("preact_resnet50", 50, (3, 4, 6, 3), pre, marks=pytest.mark.slow),
    pytest.param("preact_resnet50", 98, (3, 4, 6, 3), pre, marks=pytest.mark.slow),
    pytest.param("resnext50_32x4d", 98, (3, 4, 6, 3), grouped(32), marks=pytest.mark.slow),
    pytest.param("plain18", 98, (2, 2, 2, 2), plain, marks=pytest.mark.slow),
    pytest.param("preact_resnet164", 12, (18, 18, 18), pre_early, marks=pytest.mark.slow),
    pytest.param("resnext29_8x64d", 12, (3, 3, 3), grouped(8), marks=pytest.mark.slow),
    pytest.param("wide_resnet40_4", 16, (6, 6, 6), wide, marks=pytest.mark.slow),
    pytest.param("resnet152_v1", 98, (3, 8, 36, 3), early, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "size", "blocks", "block"), LITERAL)
@torch.no_grad()
def test_the_same_weights_through_a_literal_recomputation(name, size, blocks, block):
    model, s, x = ready(name, size)
    assert_literal(model, s, x, blocks, block, active_first=name.startswith(("preact", "wide")), imagenet=len(blocks) == 4)


@torch.no_grad()
def test_shortcut_b_on_cifar():
    model, s, x = ready("resnet20", 16, shortcut="B")
    assert_literal(model, s, x, (3, 3, 3), basic_b, active_first=False, imagenet=False)


def assert_literal(model, s, x, blocks, block, *, active_first, imagenet):
    size = x.shape[-1]
    stride = 2 if imagenet and size > 48 else 1
    out = F.conv2d(x, s["conv1.weight"], stride=stride, padding=3 if stride == 2 else 1)
    out = out if active_first else active(s, "bn1", out)
    out = F.max_pool2d(out, 3, 2, 1) if imagenet and size > 96 else out
    for stage, count in enumerate(blocks, 1):
        for number in range(count):
            out = block(s, f"layer{stage}.{number}", out, 2 if number == 0 and stage > 1 else 1)
    out = active(s, "bn", out) if active_first else out
    wanted = out.mean((2, 3)) @ s["fc.weight"].T + s["fc.bias"]
    assert (model(x) - wanted).abs().max() <= 1e-10 * wanted.abs().max()


def test_survival_falls_linearly_over_all_blocks():
    chances = [
        m.survival for m in zoo.build("resnet110", classes=10, input=(3, 32, 32), options={"survival": 0.5}).modules() if isinstance(m, DropPath)
    ]
    assert chances == pytest.approx([1 - block / 54 * 0.5 for block in range(1, 55)], rel=1e-12)
    assert not any(isinstance(m, DropPath) for m in zoo.build("resnet20", classes=10, input=(3, 32, 32)).modules())


def coins(seed, survival):
    """Whether each of two samples is kept, drawn as torch draws for a branch."""
    torch.manual_seed(seed)
    return [bool(kept) for kept in DropPath(survival).train()(torch.ones(2, 1, dtype=torch.float64)).flatten()]


@pytest.mark.parametrize("name", ["resnet20", "resnet50", "wide_resnet16_8"])
@torch.no_grad()
def test_at_test_time_a_branch_is_its_expectation(name):
    torch.manual_seed(0)
    model = zoo.build(name, classes=4, input=(3, 16, 16), options={"survival": 0.6}).double().eval()
    plain = zoo.build(name, classes=4, input=(3, 16, 16)).double().eval()
    plain.load_state_dict(model.state_dict())
    x = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    assert torch.equal(model(x), plain(x)), "evaluation knows no coins"

    block, sums = model.layer2[1], {}
    block.add.register_forward_hook(lambda _module, _inputs, output: sums.update({state: output}))
    for state in ("evaluated", "dropped", "kept"):
        if state != "evaluated":
            block.drop.train()
            seed = next(s for s in range(99) if coins(s, block.drop.survival) == [state == "kept"] * 2)
            torch.manual_seed(seed)
        model(x)
    p = block.drop.survival
    assert torch.allclose((1 - p) * sums["dropped"] + p * sums["kept"], sums["evaluated"], rtol=1e-12, atol=1e-12)
    assert not torch.allclose(sums["dropped"], sums["kept"])


def test_training_with_stochastic_depth_reaches_every_parameter_sooner_or_later():
    torch.manual_seed(0)
    model = zoo.build("resnet20", classes=3, input=(3, 8, 8), options={"survival": 0.5})
    outputs = [model(torch.ones(4, 3, 8, 8)) for _ in range(3)]
    assert not torch.equal(outputs[0], outputs[1]) or not torch.equal(outputs[1], outputs[2])
    sum(F.cross_entropy(out, torch.tensor([0, 1, 2, 0])) for out in outputs).backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("resnet20", {"survival": 0.0}, "survival: got 0.0, expected a probability above 0"),
        ("resnext29_8x64d", {"survival": 1.5}, "survival: got 1.5"),
        ("wide_resnet16_8", {"dropout": 1.0}, "dropout: got 1.0"),
        ("resnet20", {"shortcut": "C"}, "unknown shortcut 'C'"),
    ],
)
def test_options_out_of_range_are_named(name, options, text):
    with pytest.raises(ArgumentError, match=text):
        zoo.build(name, classes=2, input=(3, 16, 16), options=options)


def test_wide_dropout_stands_between_the_convolutions():
    model = zoo.build("wide_resnet16_8", classes=2, input=(3, 16, 16), options={"dropout": 0.3})
    names = [name for name, _ in model.layer1[0].named_children()]
    assert names.index("conv1") < names.index("dropout") < names.index("conv2")
    assert model.layer3[1].dropout.p == 0.3


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
        *("wide_resnet50_2", "wide_resnet101_2", "resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d"),
    ],
)
def test_torchvision_gives_the_same_logits(name):
    agree(zoo.build(name, classes=10, input=(3, 100, 100)), torchvision(name, num_classes=10), (3, 100, 100))


@pytest.mark.slow
def test_timm_gives_the_same_logits():
    agree(zoo.build("resnext101_32x4d", classes=10, input=(3, 100, 100)), timm("resnext101_32x4d", num_classes=10), (3, 100, 100))


@pytest.mark.slow
@pytest.mark.parametrize("depth", [50, 101])
def test_timm_gives_the_same_logits_for_preactivation(depth):
    def renamed(key):
        parts = key.split(".")
        if parts[0] == "conv1":
            return f"stem.conv.{parts[-1]}"
        if parts[0] in ("bn", "fc"):
            return f"norm.{parts[-1]}" if parts[0] == "bn" else f"head.fc.{parts[-1]}"
        stage, block, box = int(parts[0].removeprefix("layer")) - 1, parts[1], parts[2]
        box = f"norm{box[-1]}" if box.startswith("bn") else "downsample.conv" if box == "downsample" else box
        return f"stages.{stage}.blocks.{block}.{box}.{parts[-1]}"

    theirs = timm(f"resnetv2_{depth}", num_classes=10)
    theirs.head = torch.nn.Sequential(  # a 1x1 convolution there: the same numbers as a linear layer
        OrderedDict(pool=torch.nn.AdaptiveAvgPool2d(1), flatten=torch.nn.Flatten(), fc=torch.nn.Linear(2048, 10))
    )
    agree(zoo.build(f"preact_resnet{depth}", classes=10, input=(3, 100, 100)), theirs, (3, 100, 100), names=renamed)


@pytest.fixture(scope="module")
def published():
    """The folder of published weights, and the classes' names that lie one folder above it."""
    folder = os.environ.get("STRIATE_WEIGHTS")
    if not folder:
        pytest.skip("STRIATE_WEIGHTS is not set: no published weights here")
    names = json.loads((Path(folder).parent / "imagenet_classes.json").read_text())
    return Path(folder), [name for _synset, name in names]


PHOTOGRAPHS = {  # what a person sees -> what ImageNet may call it, and among how many first answers
    "cat": (1, {"tabby", "tiger cat", "Egyptian cat"}),
    "coffee": (1, {"espresso", "cup"}),
    "china": (1, {"palace", "monastery"}),
    "rocket": (3, {"missile", "projectile"}),  # on its launch pad by the sea, it is a drilling platform first
}


def photographs():
    data = pytest.importorskip("skimage.data")
    from sklearn.datasets import load_sample_image

    return {
        "cat": data.cat(),
        "coffee": data.coffee(),
        "rocket": data.rocket(),
        "china": load_sample_image("china.jpg"),
    }


@pytest.mark.data
def test_published_resnet50_names_photographs(published):
    folder, names = published
    model = zoo.build("resnet50_v1", classes=1000, input=(3, 224, 224), weights=folder / "resnet50_v1.safetensors").eval()
    preprocess = Preprocess(size=(224, 224), channels=3, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), short_side=256)
    for what, picture in photographs().items():
        x = preprocess(preprocess.fit(np.ascontiguousarray(picture))[None])
        with torch.no_grad():
            best = [names[i].partition(",")[0] for i in model(x)[0].topk(3).indices]
        first, allowed = PHOTOGRAPHS[what]
        assert allowed & set(best[:first]), f"{what}: {best}"
