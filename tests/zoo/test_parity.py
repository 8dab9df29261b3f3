"""Parameters exactly, multiply-adds in the digits printed: every row of the table of published figures, on the meta device."""

from __future__ import annotations

import pytest
import torch
from networks import published_form
from torch.utils.flop_counter import FlopCounterMode

from striate import zoo
from striate.zoo.registry import architectures

PLAIN = {"auxiliary": False}

# name, options, parameters for the paper's input and classes, batch-norm statistics not counted;
# then giga multiply-adds of convolutions and linear layers
TABLE = [
    ("lenet5_1998", {}, 60_850, None),
    ("lenet5", {}, 61_706, "0.00042"),
    ("alexnet_2012", {}, 60_965_224, "0.724"),
    ("alexnet", {}, 61_100_840, "0.714"),
    ("alexnet_227", {}, 62_378_344, "1.135"),
    ("zfnet", {}, 62_357_608, "1.17"),
    ("zfnet_wide", {}, 107_627_624, None),
    ("nin_cifar", {}, 966_986, "0.222"),
    ("nin", {}, 7_595_176, "0.97"),
    ("vgg11", {}, 132_863_336, "7.609"),
    ("vgg13", {}, 133_047_848, "11.308"),
    ("vgg16", {}, 138_357_544, "15.470"),
    ("vgg19", {}, 143_667_240, "19.632"),
    ("vgg11_bn", {}, 132_868_840, "7.609"),
    ("vgg13_bn", {}, 133_053_736, "11.308"),
    ("vgg16_bn", {}, 138_365_992, "15.470"),
    ("vgg19_bn", {}, 143_678_248, "19.632"),
    ("googlenet_2014", PLAIN, 6_998_552, None),
    ("googlenet_2014", {}, 13_378_280, None),
    ("googlenet", PLAIN, 6_624_904, "1.498"),
    ("googlenet", {}, 13_004_888, "1.498"),
    ("resnet18", {}, 11_689_512, "1.814"),
    ("resnet34", {}, 21_797_672, "3.664"),
    ("resnet50", {}, 25_557_032, "4.089"),
    ("resnet101", {}, 44_549_160, "7.801"),
    ("resnet152", {}, 60_192_808, "11.514"),
    ("resnet50_v1", {}, 25_557_032, "3.858"),
    ("preact_resnet50", {}, 25_549_352, None),
    ("preact_resnet101", {}, 44_541_480, None),
    ("preact_resnet152", {}, 60_185_128, None),
    ("wide_resnet50_2", {}, 68_883_240, "11.398"),
    ("wide_resnet101_2", {}, 126_886_696, "22.753"),
    ("resnext50_32x4d", {}, 25_028_904, "4.23"),
    ("resnext101_32x4d", {}, 44_177_704, "7.970"),
    ("resnext101_32x8d", {}, 88_791_336, "16.414"),
    ("resnext101_64x4d", {}, 83_455_272, "15.46"),
    ("densenet121", {}, 7_978_856, "2.834"),
    ("densenet169", {}, 14_149_480, "3.36"),
    ("densenet201", {}, 20_013_928, "4.291"),
    ("densenet161", {}, 28_681_000, "7.728"),
    ("inception_v3", PLAIN, 23_834_568, "5.713"),
    ("inception_v3", {}, 27_161_264, "5.713"),
    ("squeezenet1_0", {}, 1_248_424, "0.819"),
    ("squeezenet1_1", {}, 1_235_496, "0.349"),
    ("dpn68", {}, 12_611_602, "2.326"),
    ("dpn92", {}, 37_668_392, "6.502"),
    ("dpn98", {}, 61_570_728, "11.671"),
    ("dpn131", {}, 79_254_504, "16.014"),
    ("resnet20", {}, 269_722, None),
    ("resnet32", {}, 464_154, None),
    ("resnet44", {}, 658_586, None),
    ("resnet56", {}, 853_018, None),
    ("resnet110", {}, 1_727_962, None),
    ("resnet1202", {}, 19_421_274, None),
    ("preact_resnet164", {}, 1_703_258, None),
    ("preact_resnet1001", {}, 10_327_706, None),
    ("wide_resnet16_8", {}, 10_961_370, None),
    ("wide_resnet40_4", {}, 8_949_210, None),
    ("wide_resnet28_10", {}, 36_479_194, "5.243"),
    ("densenet_40_12", {}, 1_019_722, None),
    ("densenet_100_12", {}, 6_979_642, None),
    ("densenet_bc_100_12", {}, 769_162, None),
    ("densenet_bc_250_24", {}, 15_324_406, None),
    ("densenet_bc_190_40", {}, 25_624_430, None),
    ("resnext29_8x64d", {}, 34_426_698, None),
    ("resnext29_16x64d", {}, 68_155_210, None),
    ("fractalnet20", {}, 33_724_618, None),
]
PROJECTIONS = 64 * 128 + 128 * 256 + 256 * 512 + 2 * (128 + 256 + 512)
COUNTED = {  # no published table: the arithmetic is written out
    **{f"plain{depth}": parameters for depth, parameters in ((20, 269_722), (32, 464_154), (44, 658_586), (56, 853_018), (110, 1_727_962))},
    "plain18": 11_689_512 - PROJECTIONS,
    "plain34": 21_797_672 - PROJECTIONS,
    "resnet101_v1": 44_549_160,
    "resnet152_v1": 60_192_808,
    "mlp": 784 * 300 + 300 + 300 * 100 + 100 + 100 * 10 + 10,
    "text_cnn": 18_767 * 300 + 300 * 100 * (3 + 4 + 5) + 3 * 100 + 300 * 2 + 2,
    "pattern": sum(9 * a * b + b for a, b in ((3, 32), (32, 32), (32, 64), (64, 64), (64, 128), (128, 128))) + (2048 + 1) * 128 + 129 * 10,
    "sprint28": 5 * 5 * 16 + 9 * (16 * 32 + 32 * 32 + 32 * 64) + 2 * (16 + 32 + 32 + 64) + 64 * 10 + 10,
    "sprint32": 13 * 24 + 9 * (24 * 64 + 64 * 64 + 64 * 256 + 3 * 256 * 256) + 2 * (64 + 256 + 256) + 256 * 10,
}


@pytest.mark.parametrize(("name", "options", "parameters", "giga"), TABLE, ids=[f"{row[0]}{'-plain' if row[1] else ''}" for row in TABLE])
def test_figures_are_those_published(name, options, parameters, giga):
    card, model = published_form(name, **options)
    assert sum(p.numel() for p in model.parameters()) == parameters
    if not options:
        facts = architectures.entry(name).facts
        assert (card.parameters, facts["parameters"], facts["year"]) == (parameters, parameters, card.year)
    if giga is not None:
        digits = len(giga.partition(".")[2])
        assert f"{multiply_adds(model, card.input) / 1e9:.{digits}f}" == giga


def multiply_adds(model, shape):
    """Return the sum over convolutions and linear layers, as the published tables count: outputs times the weights that make one of them."""
    counts = []
    counted = [module for module in model.modules() if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear))]
    hooks = [m.register_forward_hook(lambda m, _inputs, out: counts.append(out.numel() * m.weight[0].numel())) for m in counted]
    with torch.no_grad():
        model(torch.empty(1, *shape, device="meta"))
    for hook in hooks:
        hook.remove()
    return sum(counts)


@pytest.mark.parametrize("name", ["googlenet", "densenet_40_12", "dpn68", "resnext50_32x4d"])
def test_multiply_adds_are_those_torch_counts(name):
    card, model = published_form(name)
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        model(torch.empty(1, *card.input, device="meta"))
    assert 2 * multiply_adds(model, card.input) == counted.get_total_flops()


@pytest.mark.parametrize("name", COUNTED)
def test_figures_without_a_published_table(name):
    card, model = published_form(name)
    assert sum(p.numel() for p in model.parameters()) == card.parameters == architectures.entry(name).facts["parameters"] == COUNTED[name]


def test_a_fractal_net_with_biases_has_the_other_literal_count():
    _, model = published_form("fractalnet20")
    convolutions = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convolutions) == 5 * 7
    assert sum(p.numel() for p in model.parameters()) + sum(m.out_channels for m in convolutions) == 33_734_922


def test_every_architecture_has_its_row():
    rows = {row[0] for row in TABLE} | set(COUNTED)
    assert rows == set(zoo.names())
