"""Cutting, heads, batch-norm fusion and first layers: the numbers stay what they should be, the original stays what it was."""

import copy

import pytest
import torch
from torch import nn

from striate import surgery, zoo
from striate.core.errors import ArgumentError, UnknownNameError

SHAPE = (3, 32, 32)


def build(name="resnet18", classes=6):
    torch.manual_seed(0)
    model = zoo.build(name, classes=classes, input=SHAPE)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.bias, -0.5, 0.5)
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
    return model.eval()


def pictures(count=4, shape=SHAPE):
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(1))


def seen(model, at, x):
    """What a module gives in a plain pass, by a hook of our own."""
    found = []
    handle = model.get_submodule(at).register_forward_hook(lambda _m, _i, out: found.append(out))
    with torch.no_grad():
        model(x)
    handle.remove()
    return found[0]


class Two(nn.Module):
    """Branches that a chain cannot hold, with a block and a function behind the cut."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), nn.Conv2d(3, 4, 3)
        self.both = nn.Conv2d(4, 5, 1)
        self.twice = nn.ReLU()
        self.fc = nn.Linear(5, 2)

    def forward(self, x):
        return self.fc(self.twice(self.both(self.twice(self.left(x) + self.right(x)))).mean((2, 3)))


@pytest.mark.parametrize("at", ["relu", "layer2", "layer3.1.bn1", "layer4.0.add", "avgpool"])
def test_a_cut_network_gives_what_the_module_gave(at):
    model, x = build(), pictures()
    kept = copy.deepcopy(model.state_dict())
    shorter = surgery.cut(model, at)
    with torch.no_grad():
        assert torch.equal(shorter(x), seen(model, at, x))
    assert "layer4.1.conv2.weight" not in shorter.state_dict() or at == "avgpool"
    assert set(shorter.state_dict()) <= set(model.state_dict())
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in kept.items())
    if "." not in at:
        assert type(shorter) is type(model), "a chain stays a chain"


def test_any_model_can_be_cut():
    model, x = Two().eval(), pictures()
    shorter = surgery.cut(model, "left")
    assert set(shorter.state_dict()) == {"left.0.weight", "left.0.bias"}
    with torch.no_grad():
        assert torch.equal(shorter(x), seen(model, "left", x))
        assert torch.equal(surgery.cut(model, "both")(x), seen(model, "both", x))
    assert surgery.notes(shorter) == ("cut after left: 6 of 8 parameter tensors are gone",)
    with pytest.raises(ArgumentError, match="twice is called several times"):
        surgery.cut(model, "twice")
    with pytest.raises(UnknownNameError, match="Did you mean right"):
        surgery.cut(model, "rigth")


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", "lenet5"])
def test_a_new_head_is_fresh_and_the_rest_stays(name):
    shape = (1, 28, 28) if name == "lenet5" else SHAPE
    torch.manual_seed(0)
    model = zoo.build(name, classes=9, input=shape).eval()
    changed = surgery.replace_head(model, ["ant", "bee"])
    assert changed(pictures(2, shape)).shape == (2, 2)
    assert zoo.spec_of(changed).classes == 2
    assert zoo.spec_of(model).classes == 9
    differing = [key for key, value in changed.state_dict().items() if value.shape != model.state_dict()[key].shape]
    head = {key.rpartition(".")[0] for key in differing}
    assert len(head) == 1
    assert surgery.notes(changed) == (f"{head.pop()} is fresh, for 2 classes where it had 9: it needs training",)
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in changed.state_dict().items() if key not in differing)


def test_heads_beside_the_chain_change_too():
    with torch.device("meta"):
        model = zoo.build("googlenet", classes=9, input=(3, 224, 224))
    changed = surgery.replace_head(model, 4).state_dict()
    assert [changed[f"{head}.bias"].shape[0] for head in ("aux1.fc2", "aux2.fc2", "fc")] == [4, 4, 4]


@pytest.mark.parametrize("name", [pytest.param("resnet18", marks=pytest.mark.slow), "sprint28", "resnet20"])
def test_fused_batch_norms_change_nothing_but_the_time(name):
    shape = (1, 28, 28) if name == "sprint28" else SHAPE
    torch.manual_seed(0)
    model, x = zoo.build(name, classes=5, input=shape).double(), pictures(8, shape).double()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
            nn.init.uniform_(module.bias, -1, 1)
    with torch.no_grad():
        model.train()(x)
        model.eval()
        fused = surgery.fuse_batch_norm(model)
        assert (fused(x) - model(x)).abs().max() <= 1e-12 * model(x).abs().max()
    norms = [m for m in fused.modules() if isinstance(m, nn.BatchNorm2d)]
    pooled_first = 2 if name == "sprint28" else 0  # conv1 and conv3 of sprint28 pool before they normalise
    assert len(norms) == pooled_first
    assert f"{pooled_first} kept" in surgery.notes(fused)[0]
    assert set(dict(fused.named_modules())) == set(dict(model.named_modules())), "paths keep their meaning"


def test_a_norm_whose_layer_is_read_twice_stays():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.bn, self.fc, self.bn1 = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 3), nn.BatchNorm1d(3)

        def forward(self, x):
            x = self.conv(x)
            return self.bn1(self.fc((self.bn(x) + x).mean((2, 3))))

    model = Shared().eval()
    model.bn1.running_mean.uniform_(-1, 1)
    fused, x = surgery.fuse_batch_norm(model), pictures()
    with torch.no_grad():
        assert torch.allclose(fused(x), model(x), rtol=1e-5, atol=1e-6)
    assert surgery.notes(fused) == ("1 batch norms folded into the layers before them, 1 kept (conv is used elsewhere too)",)
    with pytest.raises(ArgumentError, match="there is no batch norm in it"):
        surgery.fuse_batch_norm(nn.Sequential(nn.Linear(2, 2)))


def test_grey_through_summed_filters_is_grey_in_three_channels():
    model, grey = build(), pictures(3, (1, 32, 32))
    adapted = surgery.adapt_first_layer(model, 1)
    with torch.no_grad():
        wanted = model(grey.expand(-1, 3, -1, -1))
        assert (adapted(grey) - wanted).abs().max() <= 1e-5 * wanted.abs().max()
        six = surgery.adapt_first_layer(model, 6)(grey.expand(-1, 6, -1, -1))
        assert (six - wanted).abs().max() <= 1e-5 * wanted.abs().max()
    assert surgery.notes(adapted) == ("conv1 takes 1 channels where it took 3: each gets the sum of the 3 planes",)
    assert zoo.spec_of(adapted).input == (1, 32, 32)


def test_averaged_filters_are_the_mean_of_the_planes():
    model = build()
    adapted = surgery.adapt_first_layer(model, 4, how="average")
    mean = model.conv1.weight.detach().mean(1)
    assert all(torch.allclose(adapted.conv1.weight[:, c], mean) for c in range(4))
    assert surgery.notes(adapted)[0].endswith("each gets the mean of the 3 planes")
    assert "nothing was changed" in surgery.notes(surgery.adapt_first_layer(model, 3))[0]
    for bad, words in ((nn.Linear(3, 4), "the model itself, Linear"), (nn.Sequential(nn.ReLU()), "no layer with weights")):
        with pytest.raises(ArgumentError, match=words):
            surgery.adapt_first_layer(bad, 1)
    with pytest.raises(UnknownNameError, match="Did you mean average"):
        surgery.adapt_first_layer(model, 1, how="averge")


def test_what_a_file_said_of_classes_and_colours_goes_with_them(tmp_path):
    from striate.pixels import Preprocess

    names = tuple("abcdef")
    zoo.save_weights(build(), tmp_path / "six.safetensors", preprocess=Preprocess(size=(32, 32)), classes=names)
    model = zoo.build("resnet18", classes=6, input=SHAPE, weights=tmp_path / "six.safetensors")
    assert zoo.loaded_into(model).classes == names
    other = surgery.replace_head(model, 3)
    loaded = zoo.loaded_into(other)
    assert (loaded.classes, loaded.fresh) == ((), ("fc",))
    assert loaded.preprocess is not None
    zoo.save_weights(other, tmp_path / "three.safetensors")
    assert zoo.loaded_into(zoo.build("resnet18", classes=3, input=SHAPE, weights=tmp_path / "three.safetensors")).classes == ()
    grey = zoo.loaded_into(surgery.adapt_first_layer(model, 1))
    assert (grey.preprocess, grey.classes) == (None, names)
    assert zoo.loaded_into(model).classes == names
