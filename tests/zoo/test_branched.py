"""Families whose paths branch: the same weights through torchvision, timm and literal re-computations; heads aside, checkpoints, fractal columns."""

from __future__ import annotations

import itertools

import pytest
import torch
from networks import build, calibrated, pictures
from oracles import agree, calibrate, timm, torchvision
from torch import nn
from torch.nn import functional as F

from striate.core.contracts import Batch
from striate.core.errors import ArgumentError
from striate.layers import Concat
from striate.training.tasks import Classify
from striate.zoo.boxes import Aside, Branches, Network, stem_for
from striate.zoo.fractalnet import Draw, GlobalDrop, Join, column

# ---------------------------------------------------------------- the same logits as other libraries


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("googlenet", 224),
        ("googlenet", 193),
        ("inception_v3", 299),
        ("squeezenet1_0", 224),
        ("squeezenet1_1", 131),
        ("densenet121", 224),
        ("densenet169", 112),
        ("densenet201", 112),
        ("densenet161", 112),
    ],
)
def test_logits_are_torchvisions(name, size):
    branched = name in ("googlenet", "inception_v3")
    theirs = torchvision(name, num_classes=10, **({"init_weights": False} if branched else {}))
    agree(build(name, classes=10, shape=(3, size, size)), theirs, (3, size, size), batch=2)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), [("dpn68", 224), ("dpn92", 112), ("dpn98", 112), ("dpn131", 112)])
def test_logits_are_timms(name, size):
    agree(build(name, classes=10, shape=(3, size, size)), timm(name, num_classes=10), (3, size, size), batch=2)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), [("googlenet", 224), ("inception_v3", 299)])
@torch.no_grad()
def test_auxiliary_logits_are_torchvisions(name, size):
    """Both in training mode, with dropout taken out; torchvision names its second head first."""
    ours = build(name, classes=10, shape=(3, size, size)).double()
    theirs = torchvision(name, num_classes=10, init_weights=False).double()
    theirs.load_state_dict(ours.state_dict())
    for module in itertools.chain(ours.modules(), theirs.modules()):
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    x = pictures((3, size, size), 2).double()
    got, wanted = ours.train()(x), theirs.train()(x)
    for mine, other in zip((got[0], *reversed(got[1:])), wanted, strict=True):
        assert (mine - other).abs().max() <= 1e-9 * other.abs().max()


# ---------------------------------------------------------------- the paper's GoogLeNet, which no library has


def conv_relu(s, at, x, **options):
    return F.conv2d(x, s[f"{at}.conv.weight"], s[f"{at}.conv.bias"], **options).relu()


def inception_2014(s, at, x):
    pooled = F.max_pool2d(x, 3, 1, 1)
    return torch.cat(
        [
            conv_relu(s, f"{at}.branch1", x),
            conv_relu(s, f"{at}.branch2.1", conv_relu(s, f"{at}.branch2.0", x), padding=1),
            conv_relu(s, f"{at}.branch3.1", conv_relu(s, f"{at}.branch3.0", x), padding=2),
            conv_relu(s, f"{at}.branch4.1", pooled),
        ],
        1,
    )


def respond(x):
    """Krizhevsky's normalisation over 5 neighbours with alpha 1e-4 (divided by 5 as Caffe does) and beta 0.75, written out."""
    squares, out = x**2, torch.empty_like(x)
    for channel in range(x.shape[1]):
        near = squares[:, max(0, channel - 2) : channel + 3].sum(1)
        out[:, channel] = x[:, channel] / (1 + 1e-4 / 5 * near) ** 0.75
    return out


def head_2014(s, at, x):
    x = conv_relu(s, f"{at}.conv", F.avg_pool2d(x, 5, 3)).flatten(1)
    x = (x @ s[f"{at}.fc1.weight"].T + s[f"{at}.fc1.bias"]).relu()
    return x @ s[f"{at}.fc2.weight"].T + s[f"{at}.fc2.bias"]


@pytest.mark.slow
@torch.no_grad()
def test_googlenet_of_the_paper_by_its_table():
    model = build("googlenet_2014", classes=10, shape=(3, 224, 224)).double().train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.bias.uniform_(-0.1, 0.1)
    s, x = dict(model.state_dict()), pictures((3, 224, 224), 2).double()
    out = respond(F.max_pool2d(conv_relu(s, "conv1", x, stride=2, padding=3), 3, 2, ceil_mode=True))
    out = respond(conv_relu(s, "conv3", conv_relu(s, "conv2", out), padding=1))
    sizes, heads = [], []
    for at in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"):
        if at in ("3a", "4a", "5a"):
            out = F.max_pool2d(out, 3, 2, ceil_mode=True)
        out = inception_2014(s, f"inception{at}", out)
        sizes.append(tuple(out.shape[1:]))
        if at in ("4a", "4d"):
            heads.append(head_2014(s, f"aux{len(heads) + 1}", out))
    assert sizes[:3] == [(256, 28, 28), (480, 28, 28), (512, 14, 14)]
    assert sizes[5:] == [(528, 14, 14), (832, 14, 14), (832, 7, 7), (1024, 7, 7)]
    wanted = [out.mean((2, 3)) @ s["fc.weight"].T + s["fc.bias"], *heads]
    for mine, other in zip(model(x), wanted, strict=True):
        assert (mine - other).abs().max() <= 1e-10 * other.abs().max()


# ---------------------------------------------------------------- plain DenseNet, which no library has


def normed(s, at, x):
    mean, variance = s[f"{at}.running_mean"], s[f"{at}.running_var"]
    scale = s[f"{at}.weight"] / (variance + 1e-5).sqrt()
    return x * scale[:, None, None] + (s[f"{at}.bias"] - mean * scale)[:, None, None]


@pytest.mark.parametrize(("name", "layers", "bc"), [("densenet_40_12", 12, False), ("densenet_bc_100_12", 16, True)])
@torch.no_grad()
def test_cifar_densenets_by_their_definition(name, layers, bc):
    x = pictures((3, 32, 32), 2).double()
    model = calibrate(build(name, classes=10, shape=(3, 32, 32)).double(), x)
    s = dict(model.state_dict())
    maps = F.conv2d(x, s["features.conv0.weight"], padding=1)
    for block in (1, 2, 3):
        for layer in range(1, layers + 1):
            at = f"features.denseblock{block}.denselayer{layer}"
            new = F.conv2d(normed(s, f"{at}.norm1", maps).relu(), s[f"{at}.conv1.weight"], padding=0 if bc else 1)
            if bc:
                new = F.conv2d(normed(s, f"{at}.norm2", new).relu(), s[f"{at}.conv2.weight"], padding=1)
            assert new.shape[1] == 12
            maps = torch.cat([maps, new], 1)
        if block < 3:
            at, channels = f"features.transition{block}", maps.shape[1]
            maps = F.conv2d(normed(s, f"{at}.norm", maps).relu(), s[f"{at}.conv.weight"])
            assert maps.shape[1] == (channels // 2 if bc else channels)
            maps = F.avg_pool2d(maps, 2)
    wanted = normed(s, "features.norm4", maps).relu().mean((2, 3)) @ s["classifier.weight"].T + s["classifier.bias"]
    assert (model(x) - wanted).abs().max() <= 1e-10 * wanted.abs().max()


def test_checkpointing_keeps_numbers_and_statistics_and_less_memory():
    """The same loss, gradients and running statistics; the graph keeps fewer numbers."""
    results = []
    for checkpoint in (False, True):
        model, x = build("densenet_40_12", checkpoint=checkpoint, dropout=0.2).double().train(), pictures((3, 8, 8), 4).double()
        kept = {}

        def keep(tensor, kept=kept):
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        torch.manual_seed(3)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = F.cross_entropy(model(x), torch.arange(4))
        loss.backward()
        results.append((loss, [p.grad for p in model.parameters()], dict(model.named_buffers()), sum(kept.values())))
    (loss, grads, buffers, bytes_), (again, grads2, buffers2, bytes2) = results
    assert torch.equal(loss, again)
    assert all(torch.allclose(a, b, rtol=1e-12, atol=1e-14) for a, b in zip(grads, grads2, strict=True))
    assert all(torch.equal(buffers[key], buffers2[key]) for key in buffers)
    assert int(buffers2["features.denseblock1.denselayer3.norm1.num_batches_tracked"]) == 1
    assert bytes2 < 0.6 * bytes_


def test_dropout_of_densenet_stands_behind_every_convolution_but_the_first():
    model = build("densenet_bc_100_12", dropout=0.2)
    assert sum(isinstance(m, nn.Dropout) for m in model.modules()) == sum(isinstance(m, nn.Conv2d) for m in model.modules()) - 1
    with pytest.raises(ArgumentError, match=r"dropout: got 1\.0, expected a share from 0 up to 1"):
        build("densenet_40_12", dropout=1.0)


# ---------------------------------------------------------------- FractalNet


def fractal(s, at, x, convolutions):
    """Column of length 2^(k-1) by the expansion rule, in evaluation: f_1 = conv, f_{C+1} = mean of f_C twice and conv."""

    def unit(number, height, z):
        name = f"{at}.column{number}_{height}"
        convolutions.add(name)
        return normed(s, f"{name}.bn", F.conv2d(z, s[f"{name}.conv.weight"], padding=1)).relu()

    def expand(columns, z, start):
        """Return the outputs, unjoined, of a fractal of the last `columns` columns whose first convolutions are numbered from `start`."""
        if columns == 1:
            return [unit(3, start, z)]
        half = 2 ** (columns - 2)
        inner = torch.stack(expand(columns - 1, z, start)).mean(0)
        return [unit(4 - columns, (start - 1) // 2 ** (columns - 1) + 1, z), *expand(columns - 1, inner, start + half)]

    return torch.stack([F.max_pool2d(out, 2, ceil_mode=True) for out in expand(3, x, 1)]).mean(0)


@pytest.mark.slow
@torch.no_grad()
def test_fractalnet_by_its_expansion_rule():
    x = pictures((3, 32, 32), 3).double()
    model = calibrate(build("fractalnet20", classes=10, shape=(3, 32, 32)).double(), x)
    s, out, seen = dict(model.state_dict()), x, set()
    for block in range(1, 6):
        out = fractal(s, f"block{block}", out, seen)
    assert len(seen) == 35, "every convolution of the network was used"
    wanted = out.flatten(1) @ s["fc.weight"].T + s["fc.bias"]
    assert (model(x) - wanted).abs().max() <= 1e-10 * wanted.abs().max()


def test_a_join_is_a_mean_of_what_drop_path_leaves():
    torch.manual_seed(0)
    draw, inputs = Draw(), [torch.full((4000, 1, 1, 1), value) for value in (1.0, 10.0, 100.0)]
    join = Join(draw, 0, 0.15)
    assert torch.equal(join.eval()(*inputs), torch.full((4000, 1, 1, 1), 37.0))
    means = {sum(group) / len(group) for size in (1, 2, 3) for group in itertools.combinations((1.0, 10.0, 100.0), size)}
    out = join.train()(*inputs).flatten()
    assert {min(means, key=lambda m: abs(m - value)) for value in out.unique().tolist()} == means, "every non-empty set of inputs"
    assert all(min(abs(m - value) for m in means) < 1e-4 for value in out.unique().tolist())
    whole = (out - 37).abs() < 1e-4
    assert whole.float().mean().item() == pytest.approx(0.85**3, abs=0.03)

    draw.column = torch.arange(4000) % 3
    assert torch.equal(join(*inputs).flatten(), torch.tensor([1.0, 10.0, 100.0])[draw.column]), "one column alone, the same everywhere"
    never = Join(Draw(), 0, 1.0).train()(*inputs).flatten()
    assert set(never.tolist()) == {1.0, 10.0, 100.0}, "one input always stays"


def test_global_drop_keeps_one_column_for_half_of_the_pictures():
    torch.manual_seed(0)
    draw = Draw()
    box, x = GlobalDrop(draw, 3, 0.5), torch.zeros(9000, 1)
    assert box.eval()(x) is x
    assert draw.column is None
    assert box.train()(x) is x
    counts = torch.bincount(draw.column + 1, minlength=4) / 9000
    assert counts.tolist() == pytest.approx([0.5, 1 / 6, 1 / 6, 1 / 6], abs=0.02)


@pytest.mark.parametrize("number", [pytest.param(1, marks=pytest.mark.slow), 2, pytest.param(3, marks=pytest.mark.slow)])
def test_a_column_is_a_net_of_its_own_and_what_global_drop_path_trains(number):
    model = build("fractalnet20", dropout=False, global_share=1.0, shape=(3, 32, 32)).double()
    alone = column(model, number)
    convolutions = [m for m in alone.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 5 * 2 ** (number - 1)
    assert {id(p) for p in alone.parameters()} <= {id(p) for p in model.parameters()}, "the same weights, not copies"
    x = pictures((3, 32, 32), 3).double()
    model = calibrated(model, x)
    for module in model.modules():  # keep the statistics, drop the paths
        if isinstance(module, (Join, GlobalDrop)):
            module.train()
        if isinstance(module, GlobalDrop):
            module.forward = lambda pictures, draw=module.draw: (setattr(draw, "column", torch.full((3,), number - 1)), pictures)[1]
    with torch.no_grad():
        assert torch.allclose(model(x), alone.eval()(x), rtol=1e-12)


def test_what_has_no_columns_is_refused():
    with pytest.raises(ArgumentError, match="expected a FractalNet"):
        column(build("lenet5"), 1)
    with pytest.raises(ArgumentError, match="expected a column from 1 to 2"):
        column(build("fractalnet20", columns=2), 3)
    with pytest.raises(ArgumentError, match=r"drop_path: got 1\.5"):
        build("fractalnet20", drop_path=1.5)


# ---------------------------------------------------------------- the forms of the tables


def test_heads_aside_speak_in_training_only_and_are_left_out_of_slices():
    double, triple = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    nn.init.constant_(double.weight, 2.0)
    nn.init.constant_(triple.weight, 3.0)
    network = Network({"first": double, "head": Aside({"triple": triple}), "nothing": None, "last": nn.Flatten()})
    x = torch.ones(1, 1)
    main, head = network.train()(x)
    assert (main.item(), head.item()) == (2.0, 6.0)
    assert network.eval()(x).item() == 2.0
    assert list(network[:2]._modules) == ["first"]
    assert network.train()[:3](x).item() == 2.0
    assert network[1] is network.head


def test_branches_join_their_columns_from_left_to_right():
    def times(factor):
        box = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.constant_(box.weight, factor)
        return box

    module = Branches(
        {"a": times(2.0)},
        {"b1": times(3.0), "b2": times(5.0)},
        {"c": times(7.0), "fork": [{"d": times(11.0)}, {"e1": times(13.0), "e2": times(17.0)}]},
    )
    assert module(torch.ones(1, 1, 1, 1)).flatten().tolist() == [2.0, 15.0, 77.0, 7.0 * 13 * 17]
    assert list(module._modules) == ["a", "b1", "b2", "c", "d", "e1", "e2", "concat"]
    assert isinstance(module.concat, Concat)


def test_the_stem_follows_the_shorter_side():
    assert [stem_for((3, side, 300), "auto") for side in (28, 48, 49, 96, 97, 224)] == ["small", "small", "medium", "medium", "imagenet", "imagenet"]
    assert stem_for((3, 300, 40), "auto") == "small"
    assert stem_for((3, 32, 32), "imagenet") == "imagenet"


@pytest.mark.parametrize(
    ("name", "stem", "least"),
    [
        ("googlenet", "imagenet", 15),
        pytest.param("googlenet", "medium", 7, marks=pytest.mark.slow),
        pytest.param("googlenet_2014", "imagenet", 31, marks=pytest.mark.slow),
        ("googlenet_2014", "medium", 15),
        pytest.param("inception_v3", "imagenet", 75, marks=pytest.mark.slow),
        pytest.param("inception_v3", "medium", 31, marks=pytest.mark.slow),
        ("squeezenet1_0", "imagenet", 21),
        ("squeezenet1_1", "imagenet", 17),
        pytest.param("densenet121", "imagenet", 29, marks=pytest.mark.slow),
        ("densenet121", "medium", 15),
    ],
)
def test_a_stem_by_hand_names_its_smallest_size(name, stem, least):
    with torch.device("meta"):
        assert build(name, shape=(3, least, least), stem=stem).eval()(torch.empty(2, 3, least, least)).shape == (2, 7)
    with pytest.raises(ArgumentError, match=rf"too small for {name} with .*{stem}.*; the smallest size that fits is {least}x{least}"):
        build(name, shape=(3, least - 1, least), stem=stem)


def test_auxiliary_heads_count_with_three_tenths():
    """The loss is main + 0.3 (head 1 + head 2); in evaluation the heads do not run."""
    model, x, y = build("googlenet", shape=(3, 32, 32)), pictures((3, 32, 32)), torch.arange(4)
    main, *heads = model.train()(x)
    assert [h.shape for h in heads] == [(4, 7), (4, 7)]
    wanted = F.cross_entropy(main, y) + 0.3 * sum(F.cross_entropy(h, y) for h in heads)
    assert Classify().loss((main, *heads), Batch(x=x, y=y, index=y)).item() == pytest.approx(wanted.item(), rel=1e-6)
    assert model.eval()(x).shape == (4, 7)
