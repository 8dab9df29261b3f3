"""What prepare and the pictures' reader take, change and refuse; the default layer; saving and reading back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

import striate.understand as u
from striate import zoo
from striate.core.errors import ArgumentError, PictureError, StorageError, UnknownNameError
from striate.pixels import Preprocess
from striate.probe import Snapshot
from striate.understand import fingerprints
from striate.understand.fingerprints import of_array, of_model
from striate.understand.pictures import pixels_of
from striate.understand.samples import samples_of


class Linear(nn.Module):
    """Class scores that are a known linear function of the pixels."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.arange(classes, dtype=torch.float32))

    def forward(self, x):
        return x.sum((1, 2, 3))[:, None] * self.weight


GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20


def test_pictures_of_every_kind_become_the_same_pixels(tmp_path):
    colour = np.stack([GREY, 255 - GREY, GREY // 2], axis=-1)
    path = tmp_path / "a.png"
    Image.fromarray(colour).save(path)
    wanted = torch.from_numpy(colour.transpose(2, 0, 1).astype(np.float32) / 255)[None]
    given = {
        "uint8 C H W": colour.transpose(2, 0, 1),
        "uint8 N C H W": torch.from_numpy(colour.transpose(2, 0, 1).copy())[None],
        "float": (colour.transpose(2, 0, 1) / 255).astype(np.float32),
        "PIL": Image.fromarray(colour),
        "file": path,
        "files": [str(path)],
        "mixed": [Image.fromarray(colour)],
    }
    for kind, images in given.items():
        pixels, names, _ = pixels_of(images)
        assert torch.equal(pixels, wanted), kind
        assert names == (("a.png",) if "file" in kind else ())
    last, _, notes = pixels_of(np.repeat(colour, 2, axis=0))  # 6 x 4 x 3: the channels cannot stand first
    assert last.shape == (1, 3, 6, 4)
    assert notes == ["the channels stood last and were moved to the front"]
    assert pixels_of(GREY)[0].shape == (1, 1, 3, 4)


def test_files_are_brought_to_the_size_of_the_preprocess(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.full((20, 30, 3), 51, np.uint8)).save(path)
    fixed = Preprocess(size=(8, 8), resize="none")
    pixels, _, notes = pixels_of(path, fixed)
    assert pixels.shape == (1, 3, 8, 8)
    assert torch.equal(pixels, torch.full_like(pixels, 0.2))
    assert notes == ["brought to 8 x 8 pixels, the size this network learned on"]
    assert pixels_of(path, Preprocess(size=(8, 8), resize="squash"))[2] == []


@pytest.mark.parametrize(
    ("images", "words"),
    [
        ([], "0 items of nothing"),
        (3, "got int"),
        (np.zeros((2, 3, 4, 4), np.int32), "int32"),
        (torch.full((1, 3, 4, 4), 1.5), "run from 1.5 to 1.5"),
        (torch.full((1, 3, 4, 4), -0.5), "standardises them goes into preprocess"),
        ([np.zeros((3, 4, 4), np.uint8), np.zeros((3, 5, 4), np.uint8)], "different shapes"),
        (np.zeros((1, 3, 0, 4), np.uint8), "expected N C H W"),
    ],
)
def test_what_is_no_picture_is_refused(images, words):
    with pytest.raises(ArgumentError, match=words):
        pixels_of(images)


def test_a_file_that_is_no_picture_names_itself(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    with pytest.raises(PictureError, match=r"notes\.txt"):
        pixels_of(path)


def test_target_is_the_predicted_class_or_the_one_asked_for():
    images = torch.rand(4, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    with u.prepare(Linear(), images) as p:
        assert p.target.tolist() == [2, 2, 2, 2]
        assert torch.allclose(p.logits, images.sum((1, 2, 3))[:, None] * torch.arange(3.0))
        assert any("no preprocess is known" in note for note in p.notes)
    for asked, wanted in ((1, [1] * 4), ([0, 1, 2, 0], [0, 1, 2, 0]), (torch.tensor([2, 1, 0, 0]), [2, 1, 0, 0])):
        with u.prepare(Linear(), images, target=asked) as p:
            assert p.target.tolist() == wanted
    for asked, words in (
        ([0, 1], "got 2 for 4 pictures"),
        (3, "from 0 to 2"),
        (-1, "from 0 to 2"),
        (True, "got True"),
        ("cat", "unknown class 'cat'"),
    ):
        with u.prepare(Linear(), images, target=asked) as p, pytest.raises(ArgumentError, match=words):
            assert p.target is None


def test_preprocess_is_applied_inside_and_its_gradient_reaches_the_pixels():
    images = torch.full((1, 3, 2, 2), 0.5)
    how = Preprocess(size=(2, 2), mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 1.0))
    with u.prepare(Linear(), images, preprocess=how) as p:
        assert p.logits[0].tolist() == pytest.approx([0, 4 * (0 + 1 + 0.5), 8 * 1.5])
        pixels = p.pixels.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(p.model(pixels)[0, 1], pixels)
        assert gradient[0, :, 0, 0].tolist() == [2, 4, 1]
        assert p.notes == []
    with pytest.raises(ArgumentError, match="unknown preprocess 'imagnet'"), u.prepare(Linear(), images, preprocess="imagnet"):
        pass


def test_inside_the_model_is_in_eval_mode_without_parameter_gradients_also_under_no_grad():
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2 * 9, 3)).train()
    before = Snapshot.of(model)
    with torch.no_grad(), u.prepare(model, torch.rand(2, 3, 5, 5, generator=torch.Generator().manual_seed(1))):
        assert not model.training
        assert not any(parameter.requires_grad for parameter in model.parameters())
        assert torch.is_grad_enabled()
    assert before.differences(model) == ()


def test_double_networks_stay_double_and_half_ones_give_float_scores():
    images = torch.rand(1, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with u.prepare(Linear().double(), images) as p:
        assert p.pixels.dtype == p.logits.dtype == torch.float64
        assert torch.equal(p.pixels, images)
    with u.prepare(Linear().bfloat16(), images) as p:
        assert p.pixels.dtype == p.logits.dtype == torch.float32


def test_the_generator_follows_the_picture_not_its_place():
    images = torch.rand(3, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    with u.prepare(Linear(), images, seed=1) as p, u.prepare(Linear(), images[2:], seed=1) as q, u.prepare(Linear(), images[2:], seed=2) as r:
        drawn = [torch.rand(5, generator=g) for g in (p.generator(2), q.generator(0), r.generator(0), p.generator(1))]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[1], drawn[2])
    assert not torch.equal(drawn[0], drawn[3])


def test_what_does_not_fit_the_network_is_said_and_the_networks_own_errors_pass():
    conv = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(18, 2))
    with pytest.raises(ArgumentError, match="does not take pictures of shape 3×9×9"), u.prepare(conv, torch.zeros(1, 3, 9, 9)) as p:
        assert p.logits is None

    class Angry(nn.Module):
        def forward(self, x):
            raise RuntimeError("size must match the size of my mood" if x.shape[0] > 1 else "no")

    with pytest.raises(RuntimeError, match="mood"), u.prepare(Angry(), torch.zeros(2, 3, 4, 4)) as p:
        assert p.logits is None
    with pytest.raises(ArgumentError, match="needs a classifier"), u.prepare(nn.Conv2d(3, 2, 1), torch.zeros(1, 3, 4, 4)) as p:
        assert p.logits is None


@pytest.mark.parametrize(
    ("name", "size", "layer", "options"),
    [
        ("resnet18", (3, 64, 64), "layer4.1.relu2", {}),
        ("vgg11", (3, 64, 64), "features.19", {}),
        ("squeezenet1_1", (3, 64, 64), "classifier.2", {}),
        ("lenet5", (1, 28, 28), None, {}),
    ],
)
def test_the_default_layer_is_the_last_with_a_map_before_it_is_pooled(name, size, layer, options):
    torch.manual_seed(0)
    model = zoo.build(name, classes=10, input=size, options=options).eval()
    found = u.default_layer(model, torch.zeros(1, *size))
    assert layer in (found, None)
    with u.prepare(model, torch.rand(1, *size, generator=torch.Generator().manual_seed(0))) as p:
        map_of = u.activations(model, p.pixels, layer=found).arrays["activation"]
    assert map_of.ndim == 4
    assert min(map_of.shape[2:]) > 1


def test_the_default_layer_of_a_functional_network():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.fc = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Linear(4, 2)

        def forward(self, x):
            x = F.relu(self.one(x))
            x = F.relu(self.two(x)) + x[..., 1:-1, 1:-1]
            return self.fc(F.adaptive_avg_pool2d(F.dropout(x, 0.5, self.training), 1).flatten(1))

    assert u.default_layer(Net().eval(), torch.zeros(1, 3, 12, 12)) == "/add#1"
    with pytest.raises(ArgumentError, match="no layer of this network gives maps"):
        u.default_layer(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), torch.zeros(1, 3, 2, 2))


def test_fingerprints_tell_content_apart():
    model = Linear()
    first = of_model(model)
    assert of_model(Linear()) == first
    with torch.no_grad():
        model.weight[1] += 1e-6
    assert of_model(model) != first
    values = torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(0))
    assert of_array(values) == of_array(values.transpose(0, 2).contiguous().transpose(0, 2))
    assert of_array(values) != of_array(values.reshape(4, 3, 5))


def test_a_network_is_read_once_while_it_stays_as_it_is(monkeypatch):
    model = nn.Sequential(nn.Conv2d(3, 64, 5), nn.BatchNorm2d(64), nn.Linear(64, 128)).to(memory_format=torch.channels_last)
    read = []
    monkeypatch.setattr(fingerprints, "_read", lambda network: read.append(network) or str(len(read)))
    changes = (
        lambda: None,
        lambda: model[0].weight.detach()[5, 1].add_(1e-3),  # torch counts it, though no sample may lie there
        lambda: model[2].weight.data.mul_(1.001),  # nothing counts it; the samples show it
        lambda: setattr(model[2], "weight", nn.Parameter(model[2].weight.detach().clone())),
        lambda: model[1].train()(torch.rand(2, 64, 3, 3)),  # batch norm's statistics, which torch does not count either
        lambda: model[2].bias.data[7].fill_(float("nan")),
    )
    for number, change in enumerate(changes, start=1):
        with torch.no_grad():
            change()
        assert of_model(model) == of_model(model) == str(number)
    assert of_model(nn.Linear(2, 2)) == str(len(changes) + 1)


def test_explanations_are_sliced_saved_and_read_back(tmp_path):
    images = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    made = u.activations(model, images, layer="1")
    assert len(made) == 3
    assert [len(each) for each in made] == [1, 1, 1]
    assert np.array_equal(made[-1].arrays["activation"][0], made.arrays["activation"][2])
    with pytest.raises(IndexError):
        made[3]
    read = u.load(made.save(tmp_path / "a.npz"))
    assert read.to_json() == made.to_json()
    assert all(np.array_equal(read.arrays[name], array) for name, array in made.arrays.items())
    page = made.save(tmp_path / "a.html").read_text(encoding="utf-8")
    assert "Activations at 1" in page
    assert "<script" not in page
    assert made.save(tmp_path / "a.svg").read_text(encoding="utf-8").startswith("<svg")
    with pytest.raises(ArgumentError, match=r"saved as .png, .svg, .html or .npz"):
        made.save(tmp_path / "a.pdf")
    with pytest.raises(StorageError, match="not an explanation"):
        u.load(tmp_path / "a.html")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("code_map", {"space": "code"}),
        ("code_map", {"by": "umap"}),
        ("filters", {"order": "norms"}),
        ("fooling", {"start": "noisy"}),
        ("top_patches", {"rule": "guide"}),
    ],
)
def test_misspelt_choices_are_refused_not_ignored(name: str, options: dict[str, str]) -> None:
    subject = () if name == "filters" else (torch.rand(6, 3, 8, 8),)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2)).eval()
    with pytest.raises(UnknownNameError, match=next(iter(options))):
        getattr(u, name)(net, *subject, **options)


def test_a_preprocess_by_name_decides_the_size_of_a_data_sets_pictures(tmp_path: Path) -> None:
    for number in range(6):
        place = tmp_path / ("ant" if number % 2 else "bee")
        place.mkdir(exist_ok=True)
        Image.fromarray(np.full((60 + number, 70, 3), 40 * number, np.uint8)).save(place / f"{number}.png")
    assert samples_of(str(tmp_path), preprocess="imagenet").pixels.shape[-2:] == (224, 224)
    files = sorted(tmp_path.rglob("*.png"))
    assert samples_of(files, preprocess="imagenet").pixels.shape == (6, 3, 224, 224)
