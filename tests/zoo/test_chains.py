"""AlexNet, ZFNet, NiN, VGG and networks from a line: published counts, torchvision, and literal re-computations in float64."""

import pytest
import torch
from oracles import agree, calibrate, torchvision
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from striate import zoo
from striate.core.errors import ArgumentError
from striate.layers import LocalResponseNorm
from striate.zoo.chains import map_size
from striate.zoo.pattern import parse

PUBLISHED = {  # parameters, and 10^9 multiply-adds to the digits printed
    "alexnet_2012": (60_965_224, "0.724"),
    "alexnet": (61_100_840, "0.714"),
    "alexnet_227": (62_378_344, "1.135"),
    "zfnet": (62_357_608, "1.17"),
    "zfnet_wide": (107_627_624, None),
    "nin_cifar": (966_986, "0.222"),
    "nin": (7_595_176, "0.97"),
    "vgg11": (132_863_336, "7.609"),
    "vgg13": (133_047_848, "11.308"),
    "vgg16": (138_357_544, "15.470"),
    "vgg19": (143_667_240, "19.632"),
    "vgg11_bn": (132_868_840, "7.609"),
    "vgg13_bn": (133_053_736, "11.308"),
    "vgg16_bn": (138_365_992, "15.470"),
    "vgg19_bn": (143_678_248, "19.632"),
}


def counted(name, **options):
    """Parameters, and 10^9 multiply-adds by torch's counter; response normalisation adds by a convolution, which is no work."""
    card = zoo.card(name)
    with torch.device("meta"):
        model = zoo.build(name, classes=card.classes, input=card.input, options=options).eval()
        for path, module in model.named_children():
            if isinstance(module, LocalResponseNorm):
                setattr(model, path, torch.nn.Identity())
        with FlopCounterMode(display=False) as counter:
            model(torch.empty(1, *card.input))
    return sum(p.numel() for p in model.parameters()), counter.get_total_flops() / 2e9


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_and_multiply_adds_are_the_published_ones(name):
    parameters, billions = PUBLISHED[name]
    got, macs = counted(name)
    assert got == parameters
    if billions:
        assert f"{macs:.{len(billions) - 2 if billions[1] == '.' else len(billions) - 3}f}" == billions


def test_nin_with_pools_that_round_up():
    assert f"{counted('nin', ceil=True)[1]:.3f}" == "1.100"


def ready(name, shape, **options):
    torch.manual_seed(4)
    model = zoo.build(name, classes=10, input=shape, options=options).double()
    x = torch.randn(3, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.uniform_(-0.3, 0.3)
            elif parameter.dim() == 2:
                parameter.mul_(10)  # linear layers start so small that their inputs hardly matter
    return calibrate(model, x), dict(model.state_dict()), x


def close(got, wanted):
    assert wanted.std(0).max() > 1e-4 * wanted.abs().max()
    assert (got - wanted).abs().max() <= 1e-10 * wanted.abs().max()


def norm(x):
    """Section 3.3 of AlexNet's paper, one map after the other."""
    maps = x.shape[1]
    out = []
    for i in range(maps):
        total = sum(x[:, j] ** 2 for j in range(max(0, i - 2), min(maps - 1, i + 2) + 1))
        out.append(x[:, i] / (2 + 1e-4 * total) ** 0.75)
    return torch.stack(out, 1)


def tail(s, x, layers):
    for layer, groups in layers:
        x = F.conv2d(x, s[f"conv{layer}.weight"], s[f"conv{layer}.bias"], padding=1, groups=groups).relu()
    x = F.max_pool2d(x, 3, 2).flatten(1)
    for layer in (6, 7):
        x = (x @ s[f"fc{layer}.weight"].T + s[f"fc{layer}.bias"]).relu()
    return x @ s["fc8.weight"].T + s["fc8.bias"]


@pytest.mark.parametrize("size", [99, 40])
@torch.no_grad()
def test_alexnet_of_the_paper(size):
    model, s, x = ready("alexnet_2012", (3, size, size))
    stem = {"padding": 1} if size == 40 else {"stride": 4}
    out = F.max_pool2d(norm(F.conv2d(x, s["conv1.weight"], s["conv1.bias"], **stem).relu()), 3, 2)
    halves = [
        F.conv2d(half, weight, bias, padding=2)
        for half, weight, bias in zip(out.chunk(2, 1), s["conv2.weight"].chunk(2), s["conv2.bias"].chunk(2), strict=True)
    ]
    out = F.max_pool2d(norm(torch.cat(halves, 1).relu()), 3, 2)
    close(model(x), tail(s, out, ((3, 1), (4, 2), (5, 2))))


def test_alexnet_of_the_paper_starts_as_it_says():
    model = zoo.build("alexnet_2012", classes=10, input=(3, 67, 67))
    ones = {name: float(layer.bias.detach().min()) for name, layer in model.named_children() if hasattr(layer, "bias")}
    assert ones == {"conv1": 0, "conv2": 1, "conv3": 0, "conv4": 1, "conv5": 1, "fc6": 1, "fc7": 1, "fc8": 0}
    assert model.fc7.weight.detach().std().item() == pytest.approx(0.01, rel=0.01)


@torch.no_grad()
def test_alexnet_of_the_lectures():
    model, s, x = ready("alexnet_227", (3, 99, 99))
    out = norm(F.max_pool2d(F.conv2d(x, s["conv1.weight"], s["conv1.bias"], stride=4).relu(), 3, 2))
    out = norm(F.max_pool2d(F.conv2d(out, s["conv2.weight"], s["conv2.bias"], padding=2).relu(), 3, 2))
    close(model(x), tail(s, out, ((3, 1), (4, 1), (5, 1))))


@pytest.mark.parametrize("name", ["zfnet", pytest.param("zfnet_wide", marks=pytest.mark.slow)])
@torch.no_grad()
def test_zfnet(name):
    def pool(a):
        """Round up by padding with values that never win."""
        rest = (a.shape[-1] - 3) % 2
        return F.max_pool2d(F.pad(a, (0, rest, 0, rest), value=-torch.inf), 3, 2)

    model, s, x = ready(name, (3, 99, 99))
    out = norm(pool(F.conv2d(x, s["conv1.weight"], s["conv1.bias"], stride=2, padding=1).relu()))
    out = norm(pool(F.conv2d(out, s["conv2.weight"], s["conv2.bias"], stride=2).relu()))
    close(model(x), tail(s, out, ((3, 1), (4, 1), (5, 1))))


def test_zfnet_has_the_sizes_of_figure_3():
    model = zoo.build("zfnet", classes=10, input=(3, 224, 224))
    sizes = [
        map_size(model[: list(dict(model.named_children())).index(box) + 1], 224, 224)[0] for box in ("conv1", "pool1", "conv2", "pool2", "pool5")
    ]
    assert sizes == [110, 55, 26, 13, 6]


def mlp(s, x, stage, **how):
    x = F.conv2d(x, s[f"conv{stage}.weight"], s[f"conv{stage}.bias"], **how).relu()
    for layer in (1, 2):
        weight, bias = s[f"cccp{stage}_{layer}.weight"], s[f"cccp{stage}_{layer}.bias"]
        x = (torch.einsum("nchw,kc->nkhw", x, weight[:, :, 0, 0]) + bias[:, None, None]).relu()
    return x


@torch.no_grad()
def test_nin_for_cifar():
    model, s, x = ready("nin_cifar", (3, 33, 33))
    out = F.max_pool2d(mlp(s, x, 1, padding=2), 3, 2)  # 33 fits exactly, so rounding does not matter here ...
    out = F.avg_pool2d(mlp(s, out, 2, padding=2), 3, 2, ceil_mode=True)  # ... and does here: 16 to 8
    assert out.shape[-1] == 8
    close(model(x), mlp(s, out, 3, padding=1).mean((2, 3)))


@torch.no_grad()
def test_nin_for_imagenet():
    model, s, x = ready("nin", (3, 99, 99))
    out = F.max_pool2d(mlp(s, x, 1, stride=4), 3, 2)
    out = F.max_pool2d(mlp(s, out, 2, padding=2), 3, 2)
    out = F.max_pool2d(mlp(s, out, 3, padding=1), 3, 2)
    close(model(x), mlp(s, out, 4, padding=1).mean((2, 3)))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), [("alexnet", 224), ("alexnet", 256), ("vgg11", 256), ("vgg11_bn", 224)])
def test_torchvision_agrees(name, size):
    shape = (3, size, size)
    agree(zoo.build(name, classes=10, input=shape), torchvision(name, num_classes=10), shape, batch=2)


@pytest.mark.slow
@pytest.mark.parametrize("name", [f"vgg{depth}{kind}" for depth in (13, 16, 19) for kind in ("", "_bn")])
def test_torchvision_agrees_on_the_deeper_ones_in_float32(name):
    shape = (3, 224, 224)
    agree(zoo.build(name, classes=10, input=shape), torchvision(name, num_classes=10), shape, batch=2, tolerance=1e-5, dtype=torch.float32)


def test_vgg_leaves_out_the_first_pool_under_32_pixels():
    boxes = [[name for name, _ in zoo.build("vgg16", classes=10, input=(3, size, size)).features.named_children()] for size in (31, 32)]
    assert [name for name in boxes[1] if name not in boxes[0]] == ["4"]
    with pytest.raises(ArgumentError, match="imagenet stem takes inputs from 32x32, got 31x31"):
        zoo.build("vgg16", classes=10, input=(3, 31, 31), options={"stem": "imagenet"})


@pytest.mark.parametrize(("name", "fits"), [("alexnet", 63), ("alexnet_2012", 67), ("zfnet", 63), ("nin", 67)])
def test_the_imagenet_stem_names_the_smallest_size_it_takes(name, fits):
    x = torch.randn(2, 3, fits, fits)
    assert zoo.build(name, classes=4, input=x.shape[1:], options={"stem": "imagenet"}).eval()(x).shape == (2, 4)
    with pytest.raises(ArgumentError, match=f"from {fits}x{fits}, got {fits - 1}x90"):
        zoo.build(name, classes=4, input=(3, fits - 1, 90), options={"stem": "imagenet"})


def test_a_dropout_out_of_range_is_refused():
    with pytest.raises(ArgumentError, match=r"dropout: got 1\.0"):
        zoo.build("vgg11", classes=4, input=(3, 32, 32), options={"dropout": 1.0})


def names(spec):
    return [f"{name}{number}" for name, number, _ in parse(spec)]


def test_a_line_is_written_out_as_the_pattern_says():
    stage = ["conv", "relu", "conv", "relu", "pool"]
    assert names("[(conv-relu)*2-pool]*3-(fc-relu)*1-softmax") == [*stage * 3, "fc", "relu", "softmax"]
    assert names("[(conv-relu)*2-pool?]*1 - (fc-relu)*0 - softmax") == [*stage, "softmax"]
    assert names("conv64x5-relu*2-[ (conv-bn-relu) * 1 - meanpool ]*2-gap-softmax") == [
        *("conv64", "relu", "relu"),
        *["conv", "bn", "relu", "meanpool"] * 2,
        *("gap", "softmax"),
    ]


@torch.no_grad()
def test_a_line_builds_what_it_says():
    line = "[(conv-relu)*2-pool]*2-conv20x5-tanh-(fc-relu)*1-fc7-softmax"
    model, s, x = ready("pattern", (2, 12, 13), spec=line, width=6, hidden=11)
    out = x
    for stage in (1, 2):
        for layer in (1, 2):
            out = F.conv2d(out, s[f"conv{stage}_{layer}.weight"], s[f"conv{stage}_{layer}.bias"], padding=1).relu()
        out = F.max_pool2d(out, 2)
    out = F.conv2d(out, s["conv3_1.weight"], s["conv3_1.bias"], padding=2).tanh().flatten(1)
    assert [tuple(s[f"fc{n}.weight"].shape) for n in (1, 2, 3)] == [(11, 180), (7, 11), (10, 7)]
    out = (out @ s["fc1.weight"].T + s["fc1.bias"]).relu() @ s["fc2.weight"].T + s["fc2.bias"]
    close(model(x), out @ s["fc3.weight"].T + s["fc3.bias"])


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("[(conv-relu)*2-pool", "is never closed"),
        ("(conv-relu]-softmax", r"\] closes nothing that is open\n  \(conv-relu\]-softmax\n            \^"),
        ("convv-softmax", "unknown element 'convv'. Did you mean conv"),
        ("conv-relu", "must end with softmax"),
        ("softmax-conv-softmax", "must end with softmax, once"),
        ("fc-conv-softmax", "conv stands behind a linear layer"),
        ("*2-softmax", r"before \*"),
        ("conv0-softmax", "got 0, expected a whole number from 1"),
        ("[pool]*6-softmax", "input: 32x32 is too small: only 1x1 reach pool6"),
        ("[(conv-relu)*99-pool]*99-softmax", "more than 2000 boxes"),
        ("conv=3", "expected an element, a bracket"),
    ],
)
def test_slips_in_a_line_are_pointed_at(spec, words):
    with pytest.raises(ArgumentError, match=words):
        zoo.build("pattern", classes=10, input=(3, 32, 32), options={"spec": spec})
