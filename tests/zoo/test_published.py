"""Published files: names verified by their hash, what travels along, parts on request, old names, heads aside, half precision."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from oracles import library
from safetensors.torch import load_file
from torch import nn

from striate import zoo
from striate.core.errors import ArgumentError, StorageError, UnknownNameError
from striate.core.storage import download
from striate.pixels import Preprocess
from striate.zoo import published as table

SHAPE = (3, 32, 32)


@pytest.fixture
def offered(tmp_path, monkeypatch):
    """A published file of our own making on a server of our own: the table's entry for resnet18, and its content."""
    state = zoo.build("resnet18", classes=1000, input=SHAPE).state_dict()
    torch.save(state, tmp_path / "plain.pth")
    digits = hashlib.sha256((tmp_path / "plain.pth").read_bytes()).hexdigest()[:8]
    item = replace(table.published("resnet18"), file=f"resnet18-{digits}.pth")
    (tmp_path / "plain.pth").rename(tmp_path / item.file)
    monkeypatch.setattr(table, "ADDRESS", f"{tmp_path.as_uri()}/")
    monkeypatch.setattr(
        table, "PUBLISHED", tuple(item if each.tag == item.tag and each.architecture == "resnet18" else each for each in table.PUBLISHED)
    )
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    return item, state, tmp_path / item.file


def test_published_weights_are_fetched_verified_and_bring_what_belongs_to_them(offered):
    item, state, _ = offered
    model = zoo.build("resnet18", classes=1000, input=SHAPE, weights="published")
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in state.items())
    came = zoo.loaded_into(model)
    assert came.path == Path(os.environ["STRIATE_CACHE"]) / "weights" / item.file
    assert came.preprocess == Preprocess(size=(224, 224), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), resize="crop", short_side=256)
    assert (came.classes[0], came.classes[207], len(set(came.classes))) == ("tench", "golden retriever", 1000)
    assert "BSD-3-Clause" in came.licence


def test_a_damaged_file_is_refused_by_its_own_name(offered):
    _, _, path = offered
    content = bytearray(path.read_bytes())
    content[-200] ^= 1
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"sha256 is \w+, expected \w{8}; the file was discarded.*and give that path as weights"):
        zoo.build("resnet18", classes=1000, input=SHAPE, weights="published")
    with pytest.raises(StorageError, match="its name promises a SHA-256 that begins"):
        zoo.build("resnet18", classes=1000, input=SHAPE, weights=path)


def test_what_is_not_published_is_said():
    with pytest.raises(StorageError, match=r"nothing is published for 'lenet5'.*alexnet"):
        zoo.build("lenet5", classes=10, input=(1, 28, 28), weights="published")
    with pytest.raises(UnknownNameError, match="Did you mean IMAGENET1K_V1"):
        zoo.build("resnet18", classes=10, input=SHAPE, weights="published:IMAGENET1K_V9")
    with pytest.raises(ArgumentError, match=r"needs a network that zoo\.build made"):
        zoo.load_weights(nn.Linear(2, 3), "published")


def test_a_checksum_must_be_long_enough_to_mean_something(tmp_path):
    with pytest.raises(ArgumentError, match="8 digits or more"):
        download("file:///nowhere", tmp_path / "x", checksum="sha256:abc")


@pytest.mark.slow
def test_the_table_is_torchvisions():
    models = library("torchvision").models
    assert len({item.file for item in table.PUBLISHED}) == len(table.PUBLISHED) >= 33
    for item in table.PUBLISHED:
        weights = models.get_model_weights(item.architecture)[item.tag]
        theirs = weights.transforms()
        assert item.url == weights.url
        assert item.error == pytest.approx(100 - weights.meta["_metrics"]["ImageNet-1K"]["acc@1"], abs=0.0051)
        assert ([item.size], [item.short_side], theirs.interpolation.value) == (theirs.crop_size, theirs.resize_size, item.preprocess.kind)
        assert item.standard in (table.HALVES, (tuple(theirs.mean), tuple(theirs.std)))
        assert list(zoo.imagenet_classes()) == weights.meta["categories"]


def test_every_architecture_in_the_table_is_in_the_zoo():
    assert {item.architecture for item in table.PUBLISHED} <= set(zoo.names())


def test_a_part_is_loaded_only_on_request(tmp_path):
    torch.manual_seed(0)
    whole = zoo.build("vgg11", classes=10, input=SHAPE)
    zoo.save_weights(whole, tmp_path / "w.safetensors")
    part = {key: value for key, value in whole.state_dict().items() if key.startswith("features.")}
    torch.save(part, tmp_path / "features.pth")
    torch.manual_seed(1)
    other = zoo.build("vgg11", classes=10, input=SHAPE)
    head = other.classifier[0].weight.clone()
    with pytest.raises(StorageError, match=r"6 missing in the file: classifier.0.weight"):
        zoo.load_weights(other, tmp_path / "features.pth")
    loaded = zoo.load_weights(other, tmp_path / "features.pth", partial=True)
    assert (loaded.tensors, loaded.fresh) == (len(part), ("classifier.0", "classifier.3", "classifier.6"))
    assert "6 tensors are not in the file and keep their fresh values: classifier.0, classifier.3, classifier.6" in loaded.notes
    assert torch.equal(other.classifier[0].weight, head)
    assert torch.equal(other.features[0].weight, whole.features[0].weight)
    with pytest.warns(UserWarning, match="6 tensors are not in the file"):
        zoo.build("vgg11", classes=10, input=SHAPE, weights=tmp_path / "features.pth", partial=True)
    torch.save({"features.99.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(StorageError, match=r"unknown to the model: features.99.weight"):
        zoo.load_weights(other, tmp_path / "other.pth", partial=True)


def test_half_precision_on_disk_with_everything_that_travels(tmp_path):
    model = zoo.build("resnet20", classes=["cat", "dog"], input=SHAPE)
    preprocess = Preprocess(size=(32, 32), mean=(0.5,), std=(0.25,), whitening=None)
    zoo.save_weights(model, tmp_path / "h.safetensors", preprocess=preprocess, classes=("cat", "dog"), licence="CC0", half=True)
    assert load_file(tmp_path / "h.safetensors")["conv1.weight"].dtype == torch.float16
    other = zoo.build("resnet20", classes=2, input=SHAPE, weights=tmp_path / "h.safetensors")
    assert torch.equal(other.conv1.weight, model.conv1.weight.half().float())
    came = zoo.loaded_into(other)
    assert (came.preprocess, came.classes, came.licence) == (preprocess, ("cat", "dog"), "CC0")
    zoo.save_weights(other, tmp_path / "again.safetensors")  # what came along goes along
    assert zoo.load_weights(model, tmp_path / "again.safetensors").classes == ("cat", "dog")
    with torch.no_grad():
        model.fc.weight[0, 0] = 1e6
    with pytest.raises(ArgumentError, match=r"fc\.weight has values up to 1e\+06, half precision ends at 65,504"):
        zoo.save_weights(model, tmp_path / "no.safetensors", half=True)
    with pytest.raises(ArgumentError, match="got 3 names, expected 2"):
        zoo.save_weights(model, tmp_path / "no.safetensors", classes=("a", "b", "c"))
    assert not (tmp_path / "no.safetensors").exists()


def test_names_of_an_older_form_are_read_as_todays(tmp_path):
    model, other = (nn.Sequential() for _ in range(2))
    for each in (model, other):
        each.add_module("denselayer1", nn.Sequential())
        each.denselayer1.add_module("conv1", nn.Conv2d(2, 3, 1))
        each.add_module("fc", nn.Conv2d(3, 2, 1))
    torch.save({key.replace("conv1", "conv.1"): value for key, value in model.state_dict().items()}, tmp_path / "old.pth")
    loaded = zoo.load_weights(other, tmp_path / "old.pth")
    assert torch.equal(other.denselayer1.conv1.weight, model.denselayer1.conv1.weight)
    assert loaded.notes[1] == "2 names of an older form were read as today's (norm.1 as norm1)"


class Aside(nn.Module):
    def __init__(self, classes, *, aside=True):
        super().__init__()
        self.body = nn.Linear(4, 5)
        if aside:
            self.aux1 = nn.Linear(5, classes)
        self.fc = nn.Linear(5, classes)


def test_heads_aside_stay_in_the_file_or_stay_fresh(tmp_path):
    torch.save(Aside(1000).state_dict(), tmp_path / "w.pth")
    loaded = zoo.load_weights(Aside(1000, aside=False), tmp_path / "w.pth")
    assert (loaded.tensors, loaded.notes[1]) == (4, "aux1 left in the file: this network is built without auxiliary heads")
    assert zoo.load_weights(Aside(3), tmp_path / "w.pth").fresh == ("aux1", "fc")


@pytest.fixture
def files():
    folder = os.environ.get("STRIATE_WEIGHTS")
    if not folder:
        pytest.skip("STRIATE_WEIGHTS is not set: no published files here")
    return Path(folder)


@pytest.mark.data
@pytest.mark.parametrize(("name", "file", "convolutions"), [("vgg16", "vgg16_features.safetensors", 13), ("alexnet", "alexnet_features.pth", 5)])
def test_real_files_of_convolutions_load_as_a_part(files, name, file, convolutions):
    model = zoo.build(name, classes=5, input=(3, 224, 224))
    loaded = zoo.load_weights(model, files / file, partial=True)
    assert loaded.tensors == 2 * convolutions
    assert all(module.startswith("classifier.") for module in loaded.fresh)
    first = model.features[0].weight
    assert (first - first.flip(3)).abs().mean() > 0.5 * first.abs().mean(), "edges are not their own mirror images"


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "file", "top1", "top5"), [("resnet50_v1", "resnet50_v1.safetensors", 0.7, 0.9), ("squeezenet1_1", "squeezenet1_1.pth", 0.4, 0.75)]
)
def test_real_weights_name_photographs(files, name, file, top1, top5):
    """A palace of scikit-learn's, and ants and bees, which ImageNet knows."""
    datasets = pytest.importorskip("sklearn.datasets")
    model = zoo.build(name, classes=1000, input=(3, 224, 224), weights=files / file).eval()
    preprocess, names = zoo.imagenet_preprocess(), zoo.imagenet_classes()

    def likeliest(batch):
        with torch.no_grad():
            return [[names[i] for i in row] for row in model(preprocess(batch)).topk(5).indices]

    china = preprocess.fit(datasets.load_sample_image("china.jpg"))
    assert {"palace", "monastery", "stupa", "bell cote", "boathouse"} & set(likeliest(china[None])[0])
    photos = os.environ.get("STRIATE_PHOTOS")
    if photos:
        hits = []
        for kind, word in (("ants", "ant"), ("bees", "bee")):
            found = sorted(path for path in (Path(photos) / "val" / kind).iterdir() if path.suffix == ".jpg")[:20]
            hits += [[word == row[0], word in row] for row in likeliest(torch.stack([preprocess.open(path) for path in found]))]
        shares = torch.tensor(hits).float().mean(0)
        assert shares[0] >= top1
        assert shares[1] >= top5
