"""The same weights through a literal re-computation of each network, written with plain functions from the papers' tables."""

import pytest
import torch
from torch.nn import functional as F

from striate import zoo


def ready(name, shape, **options):
    """A network with random weights, random batch-norm scales and calibrated statistics, in float64, and its pictures."""
    torch.manual_seed(2)
    model = zoo.build(name, classes=10, input=shape, options=options).double().train()
    x = torch.randn(3, *shape, dtype=torch.float64)
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    with torch.no_grad():
        for m in norms:
            m.momentum = 1.0
            m.bias.uniform_(-0.5, 0.5)
            if isinstance(m.weight, torch.nn.Parameter):
                m.weight.uniform_(0.5, 1.5)
        model(x)
        return model.eval(), dict(model.state_dict()), x


def close(a, b):
    assert (a - b).abs().max() <= 1e-10 * b.abs().max()


def norm(s, at, x, eps=1e-5):
    mean, variance = s[f"{at}.running_mean"], s[f"{at}.running_var"]
    scale = s.get(f"{at}.weight", torch.ones_like(mean)) / (variance + eps).sqrt()
    return x * scale[:, None, None] + (s[f"{at}.bias"] - mean * scale)[:, None, None]


def block(s, at, x, stride, option):
    out = norm(s, f"{at}.bn1", F.conv2d(x, s[f"{at}.conv1.weight"], stride=stride, padding=1)).relu()
    out = norm(s, f"{at}.bn2", F.conv2d(out, s[f"{at}.conv2.weight"], padding=1))
    if f"{at}.downsample.0.weight" in s:
        x = norm(s, f"{at}.downsample.1", F.conv2d(x, s[f"{at}.downsample.0.weight"], stride=stride))
    elif option == "A" and stride == 2:
        x = torch.cat([x[:, :, ::2, ::2], torch.zeros_like(x[:, :, ::2, ::2])], 1)
    return (out + x).relu()


@pytest.mark.parametrize(
    ("name", "blocks", "size"),
    [("resnet18", (2, 2, 2, 2), 100), ("resnet18", (2, 2, 2, 2), 17), pytest.param("resnet34", (3, 4, 6, 3), 97, marks=pytest.mark.slow)],
)
@torch.no_grad()
def test_imagenet_resnets(name, blocks, size):
    model, s, x = ready(name, (3, size, size))
    if size > 96:
        out = F.max_pool2d(norm(s, "bn1", F.conv2d(x, s["conv1.weight"], stride=2, padding=3)).relu(), 3, 2, 1)
    else:
        out = norm(s, "bn1", F.conv2d(x, s["conv1.weight"], padding=1)).relu()
    for stage, count in enumerate(blocks, 1):
        for i in range(count):
            out = block(s, f"layer{stage}.{i}", out, 2 if i == 0 and stage > 1 else 1, "B")
    close(model(x), out.mean((2, 3)) @ s["fc.weight"].T + s["fc.bias"])


@pytest.mark.parametrize(("name", "n"), [("resnet20", 3), pytest.param("resnet44", 7, marks=pytest.mark.slow)])
@torch.no_grad()
def test_cifar_resnets(name, n):
    model, s, x = ready(name, (3, 32, 32))
    out = norm(s, "bn1", F.conv2d(x, s["conv1.weight"], padding=1)).relu()
    for stage in (1, 2, 3):
        for i in range(n):
            out = block(s, f"layer{stage}.{i}", out, 2 if i == 0 and stage > 1 else 1, "A")
    close(model(x), out.mean((2, 3)) @ s["fc.weight"].T + s["fc.bias"])


@pytest.mark.parametrize("pool", ["max", "average"])
@torch.no_grad()
def test_lenet5(pool):
    model, s, x = ready("lenet5", (1, 28, 28), pool=pool)
    join = F.max_pool2d if pool == "max" else F.avg_pool2d
    out = join(F.conv2d(F.pad(x, (2, 2, 2, 2)), s["conv1.weight"], s["conv1.bias"]).relu(), 2)
    out = join(F.conv2d(out, s["conv2.weight"], s["conv2.bias"]).relu(), 2).reshape(3, 400)
    for number in (1, 2):
        out = (out @ s[f"fc{number}.weight"].T + s[f"fc{number}.bias"]).relu()
    close(model(x), out @ s["fc3.weight"].T + s["fc3.bias"])


def connections():
    """Table I by its own words: six sets of three neighbours, six of four, three of four with gaps, one of all."""
    three = [{(j + k) % 6 for k in range(3)} for j in range(6)]
    four = [{(j + k) % 6 for k in range(4)} for j in range(6)]
    gaps = [{j % 6, (j + 1) % 6, (j + 3) % 6, (j + 4) % 6} for j in range(3)]
    return [*three, *four, *gaps, set(range(6))]


@pytest.mark.parametrize("size", [28, 32])
@torch.no_grad()
def test_lenet5_of_1998(size):
    model, s, x = ready("lenet5_1998", (1, size, size))
    assert [set(sources) for sources in model.c3.table] == connections()
    counts = [sum(p.numel() for p in getattr(model, name).parameters()) for name in ("c1", "s2", "c3", "s4", "c5", "f6", "output")]
    assert counts == [156, 12, 1516, 32, 48_120, 10_164, 850]

    def squash(a):
        return 1.7159 * torch.tanh(a * 2 / 3)

    def halve(a, at):
        a = a[..., ::2, ::2] + a[..., 1::2, ::2] + a[..., ::2, 1::2] + a[..., 1::2, 1::2]
        return squash(a * s[f"{at}.weight"][:, None, None] + s[f"{at}.bias"][:, None, None])

    if size == 28:
        rows = torch.arange(32).sub(2).clamp(0, 27)
        x2 = x[:, :, rows][..., rows]
    else:
        x2 = x
    out = halve(squash(F.conv2d(x2, s["c1.weight"], s["c1.bias"])), "s2")
    maps, kernel = [], 0
    for j, sources in enumerate(connections()):
        total = s["c3.bias"][j]
        for i in sorted(sources, key=model.c3.table[j].index):
            total = total + F.conv2d(out[:, i : i + 1], s["c3.weight"][kernel][None, None])
            kernel += 1
        maps.append(total)
    out = halve(squash(torch.cat(maps, 1)), "s4").reshape(3, 400)
    out = squash(out @ s["c5.weight"].reshape(120, 400).T + s["c5.bias"])
    out = squash(out @ s["f6.weight"].T + s["f6.bias"])
    close(model(x), out @ s["output.weight"].T + s["output.bias"])


@pytest.mark.parametrize(("size", "padding"), [(28, "auto"), (24, "valid"), (23, "auto"), (28, "same")])
@torch.no_grad()
def test_sprint28(size, padding):
    model, s, pictures = ready("sprint28", (1, size, size), padding=padding)
    x = pictures
    pad = padding == "same" or size < 24
    for number, (edge, pool) in enumerate(((2, True), (1, False), (1, True), (1, False)), 1):
        x = F.conv2d(x, s[f"conv{number}.weight"], padding=edge if pad else 0)
        x = norm(s, f"bn{number}", F.max_pool2d(x, 2) if pool else x).relu()
    close(model(pictures), x.amax((2, 3)) @ s["fc.weight"].T + s["fc.bias"])


@torch.no_grad()
def test_sprint32_and_its_first_weights():
    torch.manual_seed(0)
    fresh = zoo.build("sprint32", classes=10, input=(3, 32, 32))
    kernel = fresh.group2.entry.conv.weight
    centre = torch.zeros(64, 64, 3, 3)
    centre[range(64), range(64), 1, 1] = 1
    assert torch.equal(kernel[:64], centre), "the first filters hand their input through"
    assert kernel[64:].abs().max() <= (64 * 9) ** -0.5
    assert fresh.fc.weight.std().item() == pytest.approx(1, abs=1e-5)

    model, s, x = ready("sprint32", (3, 32, 32))
    out = F.gelu(F.conv2d(x, s["whiten.weight"], s["whiten.bias"]))
    for g in ("group1", "group2", "group3"):
        out = F.max_pool2d(F.conv2d(out, s[f"{g}.entry.conv.weight"], padding=1), 2)
        out = F.gelu(norm(s, f"{g}.entry.bn", out, 1e-12))
        out = F.gelu(norm(s, f"{g}.body.bn2", F.conv2d(out, s[f"{g}.body.conv2.weight"], padding=1), 1e-12))
    assert out.shape[2:] == (3, 3), "so the global maximum is airbench's 3x3 pool"
    close(model(x), F.max_pool2d(out, 3).flatten(1) @ s["fc.weight"].T / 256)
