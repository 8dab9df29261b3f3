"""Values that cannot be copied, and weights of a network that computes something else: an error before the first copy, the model untouched."""

import re

import pytest
import torch
from torch import nn

from striate import surgery, zoo
from striate.core.contracts import ModelSpec
from striate.core.errors import ArgumentError, StorageError
from striate.zoo.weight_origin import difference

SHAPE = (3, 32, 32)


def two():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3))


def refused(model, path, words, kind=StorageError, **options):
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(kind, match=words):
        zoo.load_weights(model, path, **options)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert zoo.loaded_into(model) is None


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch's own, of prototypes
@pytest.mark.parametrize(
    ("key", "change", "words"),
    [
        ("2.weight", lambda v: v.to_sparse(), r"2\.weight is no plain tensor \(sparse_coo\): save it as one, with to_dense"),
        ("2.weight", lambda v: torch.quantize_per_tensor(v, 0.1, 0, torch.qint8), "quantised"),
        ("2.weight", lambda v: v.to("meta"), "2.weight has a shape but no values"),
        ("2.weight", lambda v: v.to(torch.complex64), "2.weight is complex64 in the file, float32 here: the imaginary part would be lost"),
        ("2.weight", lambda v: v.long(), "2.weight is int64 in the file, float32 here: whole numbers are no weights"),
        ("2.weight", lambda v: v.to(torch.int8), "quantised ones need their scale"),
        ("2.weight", lambda v: v * torch.nan, "2.weight holds nothing but NaN"),
        ("1.num_batches_tracked", lambda v: v + 0.5, "1.num_batches_tracked is float32 in the file, int64 here: not all its values are such numbers"),
    ],
)
def test_values_that_would_be_lost_are_refused_before_the_first_copy(tmp_path, key, change, words):
    state = {name: torch.zeros_like(value) for name, value in two().state_dict().items()}
    state[key] = change(state[key])
    torch.save(state, tmp_path / "w.pth")
    refused(two(), tmp_path / "w.pth", words)


def test_what_loses_nothing_is_converted(tmp_path):
    source, model = two(), two()
    state = {name: value.double() for name, value in source.state_dict().items()}
    torch.save(state, tmp_path / "w.pth")
    zoo.load_weights(model, tmp_path / "w.pth")
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in model.state_dict().items())
    state["0.weight"] = state["0.weight"] + 1e39
    torch.save(state, tmp_path / "large.pth")
    refused(two(), tmp_path / "large.pth", "0.weight is float64 in the file, float32 here: it has values up to 1e\\+39, beyond that precision")
    source[0].weight.data[0, 0, 0, 0] = torch.inf
    torch.save(source.state_dict(), tmp_path / "inf.pth")
    assert zoo.load_weights(model, tmp_path / "inf.pth").notes[1] == "NaN or infinity in 1 tensors: 0.weight"


def test_a_model_that_nothing_can_be_copied_into_is_said(tmp_path):
    torch.save(nn.Linear(3, 2).state_dict(), tmp_path / "w.pth")
    with torch.device("meta"):
        empty = nn.Linear(3, 2)
    with pytest.raises(ArgumentError, match=r"model: weight has no memory.*to_empty"):
        zoo.load_weights(empty, tmp_path / "w.pth")
    with pytest.raises(ArgumentError, match="model: weight has no shape yet"):
        zoo.load_weights(nn.LazyLinear(2), tmp_path / "w.pth")
    with torch.inference_mode():
        closed = nn.Linear(3, 2)
    with pytest.raises(ArgumentError, match=r"model: weight was made under torch\.inference_mode"):
        zoo.load_weights(closed, tmp_path / "w.pth")
    wide = nn.Linear(3, 2)
    wide.register_buffer("mask", torch.ones(1).expand(4))
    torch.save(wide.state_dict(), tmp_path / "wide.pth")
    refused(wide, tmp_path / "wide.pth", "mask shows one value in many places", ArgumentError)


def scores(model):
    torch.manual_seed(3)
    with torch.no_grad():
        return model.eval()(torch.rand(2, *SHAPE))


@pytest.mark.parametrize(("stored", "other"), [pytest.param("resnet50_v1", "resnet50", marks=pytest.mark.slow), ("plain20", "resnet20")])
def test_weights_of_an_architecture_with_the_same_shapes_are_refused(tmp_path, stored, other):
    source = zoo.build(stored, classes=2, input=SHAPE)
    zoo.save_weights(source, tmp_path / "w.safetensors")
    words = rf"holds weights of {stored}, this network is {other}: .*something else.*nothing was loaded\. Build {stored} for it"
    refused(zoo.build(other, classes=2, input=SHAPE), tmp_path / "w.safetensors", words)
    with pytest.warns(UserWarning, match="fc is for 2 classes"):
        zoo.build(stored, classes=3, input=SHAPE, weights=tmp_path / "w.safetensors")
    with pytest.raises(StorageError, match=words):
        zoo.build(other, classes=3, input=SHAPE, weights=tmp_path / "w.safetensors")
    same = zoo.build(stored, classes=2, input=SHAPE, weights=tmp_path / "w.safetensors")
    assert torch.equal(scores(same), scores(source))


@pytest.mark.parametrize(
    ("name", "shape", "stored", "other", "words"),
    [
        ("lenet5", (1, 28, 28), {"pool": "average"}, {}, "pool is average there, max here"),
        ("mlp", (1, 8, 8), {"activation": "tanh"}, {}, "activation is tanh there, relu here"),
        ("resnet20+codes", SHAPE, {"at": ["layer3"], "pool": "max"}, {"at": ["layer3"]}, "pool is max there, avg here"),
    ],
)
def test_options_that_change_what_is_computed_and_no_shape_are_refused(tmp_path, name, shape, stored, other, words):
    zoo.save_weights(zoo.build(name, classes=2, input=shape, options=stored), tmp_path / "w.safetensors")
    refused(zoo.build(name, classes=2, input=shape, options=other), tmp_path / "w.safetensors", words)


@pytest.mark.parametrize(
    ("name", "options", "shape"),
    [
        ("resnet18", {"survival": 0.5}, SHAPE),
        ("resnet18", {"stem": "small"}, SHAPE),
        ("alexnet", {"dropout": 0.1}, SHAPE),
        ("mlp", {"widths": [300, 100]}, SHAPE),
        ("pattern", {"spec": "[conv-relu-conv-relu-pool]*3-fc-relu-softmax"}, SHAPE),
        ("resnet20+codes", {"at": ["layer3"], "trunk": {"survival": 0.5}}, SHAPE),
    ],
)
def test_what_computes_the_same_loads(tmp_path, name, options, shape):
    source = zoo.build(name, classes=2, input=shape, options=options)
    zoo.save_weights(source, tmp_path / "w.safetensors")
    plain = {"at": options["at"]} if "at" in options else {}
    other = zoo.build(name, classes=2, input=shape, options=plain, weights=tmp_path / "w.safetensors")
    assert torch.equal(scores(other), scores(source))


def test_another_size_of_input_may_load_and_the_random_state_stays(tmp_path):
    zoo.save_weights(zoo.build("resnet18", classes=2, input=(3, 224, 224)), tmp_path / "w.safetensors")
    before = torch.get_rng_state()
    other = zoo.build("resnet18", classes=2, input=(3, 64, 64))
    after = torch.get_rng_state()
    zoo.load_weights(other, tmp_path / "w.safetensors")
    assert not torch.equal(before, after)
    assert torch.equal(torch.get_rng_state(), after)
    zoo.save_weights(zoo.build("plain20", classes=2, input=SHAPE), tmp_path / "plain.safetensors")
    after = torch.get_rng_state()
    with pytest.raises(StorageError):
        zoo.load_weights(other, tmp_path / "plain.safetensors")
    assert torch.equal(torch.get_rng_state(), after)


def test_a_part_of_a_deeper_network_loads_and_is_said(tmp_path):
    zoo.save_weights(zoo.build("resnet18", classes=2, input=SHAPE), tmp_path / "w.safetensors")
    deeper = zoo.build("resnet34", classes=2, input=SHAPE)
    with pytest.raises(StorageError, match=r"does not fit this network; nothing was loaded\. It holds weights of resnet18\."):
        zoo.load_weights(deeper, tmp_path / "w.safetensors")
    assert (
        "stored from resnet18, which computes the same as resnet34 where it was loaded"
        in zoo.load_weights(deeper, tmp_path / "w.safetensors", partial=True).notes
    )


def test_where_the_stride_sits_tells_two_networks_apart_also_in_a_part():
    """resnet50_v1 has it in the first convolution of a bottleneck, resnet50 in the second."""

    def spec(name, **options):
        return ModelSpec(name, 2, SHAPE, options)

    told = difference(spec("resnet50_v1"), spec("resnet50"))
    assert re.match(r"layer2\.0\.conv1 is Conv2d\(.*stride=\(2, 2\).* there, Conv2d\(.*stride=\(1, 1\).* here", told)
    assert difference(spec("resnet50_v1"), spec("resnet101"), ["layer1.0.conv1"]) is None
    assert "stride" in difference(spec("resnet50_v1"), spec("resnet101"), ["layer1.0.conv1", "layer2.0.conv1"])
    assert difference(spec("torchvision:resnet50"), spec("resnet50", survival=0.5, stem="imagenet")) is None
    assert "stride" in difference(spec("torchvision:resnet50"), spec("resnet50_v1"))
    with pytest.raises(LookupError):
        difference(spec("timm:resnet50"), spec("resnet50_v1"))


def test_another_number_of_channels_is_told_how(tmp_path):
    colour = zoo.build("resnet20", classes=2, input=SHAPE)
    zoo.save_weights(colour, tmp_path / "w.safetensors")
    words = r"takes 3 input channels, this one 1: build it for 3, load, then striate\.surgery\.adapt_first_layer\(model, 1\)"
    refused(zoo.build("resnet20", classes=2, input=(1, 32, 32)), tmp_path / "w.safetensors", words)
    adapted = surgery.adapt_first_layer(zoo.build("resnet20", classes=2, input=SHAPE, weights=tmp_path / "w.safetensors"), 1)
    zoo.save_weights(adapted, tmp_path / "grey.safetensors")
    zoo.build("resnet20", classes=2, input=(1, 32, 32), weights=tmp_path / "grey.safetensors")
