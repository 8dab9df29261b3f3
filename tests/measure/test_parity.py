"""Parameters and multiply-adds of published networks, against the papers' and torchvision's figures and torch's own counter of operations."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from striate import zoo
from striate.measure import summary

TABLE = {  # name: parameters, 10⁹ multiply-adds of convolutions and linear layers as printed (None where nobody prints them), options
    "lenet5_1998": (60_850, None, {}),
    "lenet5": (61_706, "0.00042", {}),
    "alexnet_2012": (60_965_224, "0.724", {}),
    "alexnet": (61_100_840, "0.714", {}),
    "alexnet_227": (62_378_344, "1.135", {}),
    "zfnet": (62_357_608, "1.17", {}),
    "zfnet_wide": (107_627_624, None, {}),
    "nin_cifar": (966_986, "0.222", {}),
    "nin": (7_595_176, "0.97", {}),
    "vgg11": (132_863_336, "7.609", {}),
    "vgg13": (133_047_848, "11.308", {}),
    "vgg16": (138_357_544, "15.470", {}),
    "vgg19": (143_667_240, "19.632", {}),
    "vgg11_bn": (132_868_840, "7.609", {}),
    "vgg13_bn": (133_053_736, "11.308", {}),
    "vgg16_bn": (138_365_992, "15.470", {}),
    "vgg19_bn": (143_678_248, "19.632", {}),
    "googlenet_2014": (6_998_552, None, {"auxiliary": False}),
    "googlenet": (6_624_904, "1.498", {"auxiliary": False}),
    "resnet18": (11_689_512, "1.814", {}),
    "resnet34": (21_797_672, "3.664", {}),
    "resnet50": (25_557_032, "4.089", {}),
    "resnet101": (44_549_160, "7.801", {}),
    "resnet152": (60_192_808, "11.514", {}),
    "resnet50_v1": (25_557_032, "3.858", {}),
    "preact_resnet50": (25_549_352, None, {}),
    "preact_resnet101": (44_541_480, None, {}),
    "preact_resnet152": (60_185_128, None, {}),
    "wide_resnet50_2": (68_883_240, "11.398", {}),
    "wide_resnet101_2": (126_886_696, "22.753", {}),
    "resnext50_32x4d": (25_028_904, "4.23", {}),
    "resnext101_32x4d": (44_177_704, "7.970", {}),
    "resnext101_32x8d": (88_791_336, "16.414", {}),
    "resnext101_64x4d": (83_455_272, "15.46", {}),
    "densenet121": (7_978_856, "2.834", {}),
    "densenet169": (14_149_480, "3.36", {}),
    "densenet201": (20_013_928, "4.291", {}),
    "densenet161": (28_681_000, "7.728", {}),
    "inception_v3": (23_834_568, "5.713", {"auxiliary": False}),
    "squeezenet1_0": (1_248_424, "0.819", {}),
    "squeezenet1_1": (1_235_496, "0.349", {}),
    "dpn68": (12_611_602, "2.326", {}),
    "dpn92": (37_668_392, "6.502", {}),
    "dpn98": (61_570_728, "11.671", {}),
    "dpn131": (79_254_504, "16.014", {}),
    "resnet20": (269_722, None, {}),
    "resnet32": (464_154, None, {}),
    "resnet44": (658_586, None, {}),
    "resnet56": (853_018, None, {}),
    "resnet110": (1_727_962, None, {}),
    "resnet1202": (19_421_274, None, {}),
    "preact_resnet164": (1_703_258, None, {}),
    "preact_resnet1001": (10_327_706, None, {}),
    "wide_resnet16_8": (10_961_370, None, {}),
    "wide_resnet40_4": (8_949_210, None, {}),
    "wide_resnet28_10": (36_479_194, "5.243", {}),
    "densenet_40_12": (1_019_722, None, {}),
    "densenet_100_12": (6_979_642, None, {}),
    "densenet_bc_100_12": (769_162, None, {}),
    "densenet_bc_250_24": (15_324_406, None, {}),
    "densenet_bc_190_40": (25_624_430, None, {}),
    "resnext29_8x64d": (34_426_698, None, {}),
    "resnext29_16x64d": (68_155_210, None, {}),
}
WITH_HEADS = {"googlenet_2014": 13_378_280, "googlenet": 13_004_888, "inception_v3": 27_161_264}
FAST = (
    "lenet5_1998",
    "lenet5",
    "alexnet_2012",
    "alexnet_227",
    "zfnet",
    "nin",
    "vgg16",
    "googlenet",
    "resnet18",
    "resnet50",
    "squeezenet1_0",
    "resnet20",
)
"""One of each kind for every commit; the others are more of the same and run in the slow suite."""
HERE = [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in TABLE if name in zoo.names()]


def build(name, options):
    """What builds it, and its own input."""
    card = zoo.card(name)
    return (lambda: zoo.build(name, classes=card.classes, input=card.input, options=options)), card.input


def counted_by_torch(factory, shape):
    """Multiply-adds by torch's counter, but for those with which a response norm adds up its neighbours."""
    with torch.device("meta"):
        model = factory().eval()
        with FlopCounterMode(display=False, depth=9) as counter:
            model(torch.empty(1, *shape))
    norms = [path for path, module in model.named_modules() if type(module).__name__ == "LocalResponseNorm"]
    inside = sum(sum(counter.get_flop_counts().get(f"{type(model).__name__}.{path}", {}).values()) for path in norms)
    return (counter.get_total_flops() - inside) // 2


@pytest.mark.parametrize("name", HERE)
def test_counts_are_the_published_ones(name):
    parameters, billions, options = TABLE[name]
    factory, shape = build(name, options)
    found = summary(factory, shape)
    assert found.notes == ()
    assert found.totals.parameters == found.totals.trainable == parameters
    assert sum(box.parameters for box in found.boxes) == parameters, "every parameter belongs to a box"
    assert found.totals.multiply_adds == counted_by_torch(factory, shape)
    if billions is not None:
        assert f"{found.totals.multiply_adds / 1e9:.{len(billions.partition('.')[2])}f}" == billions
    assert all(box.receptive_field is not None for box in found.boxes), [box.address for box in found.boxes if box.receptive_field is None]


@pytest.mark.parametrize("name", [name for name in WITH_HEADS if name in zoo.names()])
def test_heads_that_do_not_run_are_counted_and_told_of(name):
    factory, shape = build(name, {"auxiliary": True})
    found = summary(factory, shape)
    assert found.totals.parameters == WITH_HEADS[name]
    unused = WITH_HEADS[name] - TABLE[name][0]
    assert sum(box.parameters for box in found.boxes) == TABLE[name][0]
    assert any(note.startswith(f"{unused:,} parameters are not used in this pass: ") for note in found.notes)


def test_vgg16_as_the_course_counts_it():
    factory, shape = build("vgg16", {})
    found = summary(factory, shape)
    sizes = [(224, 64, 2), (112, 128, 2), (56, 256, 3), (28, 512, 3), (14, 512, 3)]
    maps = sum(side**2 * width * convolutions + (side // 2) ** 2 * width for side, width, convolutions in sizes)
    assert found.totals.activations == 3 * 224**2 + maps + 4096 + 4096 + 1000 == 15_237_608
    assert round(found.totals.activation_bytes / 1e6) == 61
    assert found.totals.stored > found.totals.activation_bytes, "what training keeps is told apart"
    assert found["features.28"].receptive_field.size == (196, 196)
