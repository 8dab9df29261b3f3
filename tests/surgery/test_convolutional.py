"""Row O10: linear layers as convolutions. Exact for unpadded nets in one pass over a larger picture; measured for padded ones; and back."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from striate import surgery, zoo
from striate.core.errors import ArgumentError


def calibrated(model, x):
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.momentum = 1.0
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    with torch.no_grad():
        model.train()(x)
    return model.eval()


def unpadded(channels=3):
    return nn.Sequential(
        *(nn.Conv2d(channels, 6, 5), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 8, 3, 2), nn.ReLU(), nn.Flatten()),
        *(nn.Linear(8 * 4 * 5, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(), nn.Linear(12, 7)),
    )


class Functional(nn.Module):
    """Flattens, activates and pools by functions, as many nets of one's own do."""

    def __init__(self, how):
        super().__init__()
        self.conv1, self.conv2, self.fc1, self.fc2 = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3), nn.Linear(5 * 4 * 4, 6), nn.Linear(6, 3)
        self.how = how

    def forward(self, x):
        x = F.relu(self.conv2(F.max_pool2d(F.relu(self.conv1(x)), 2)))
        if self.how == "view":
            x = x.view(x.size(0), -1)
        elif self.how == "reshape":
            x = x.reshape(-1, 80)
        else:
            x = torch.flatten(x, 1)
        return self.fc2(F.dropout(F.relu(self.fc1(x)), training=self.training) * 2.0)


class Mean(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 6, 3, 2), nn.Linear(6, 4)

    def forward(self, x):
        return self.fc(self.conv(x).relu().mean((2, 3)))


def case(kind):
    torch.manual_seed(1)
    if kind == "chain":
        return unpadded(), (24, 28)
    if kind in ("view", "reshape", "flatten"):
        return Functional(kind), (14, 14)
    if kind == "mean":
        return Mean(), (9, 9)
    return zoo.build("lenet5", classes=5, input=(3, 32, 32)), (32, 32)


@pytest.mark.parametrize("kind", ["chain", "view", "reshape", "flatten", "mean", "lenet5"])
def test_one_pass_over_a_larger_picture_equals_sliding(kind):
    model, size = case(kind)
    model = calibrated(model, torch.randn(8, 3, *size))
    before = copy.deepcopy(model.state_dict())
    dense = surgery.to_convolutional(model, (3, *size))
    x = torch.randn(2, 3, *size)
    with torch.no_grad():
        wanted = model(x)
        assert dense(x).shape == (2, wanted.shape[1], 1, 1)
        assert (dense(x).flatten(1) - wanted).abs().max() <= 1e-5 * wanted.abs().max()
        large = torch.randn(2, 3, size[0] + 21, size[1] + 13)
        stride = surgery.total_stride(dense, (3, *size))
        once = dense(large)
        for i in range(once.shape[2]):  # every window on its own, cut out by hand
            for j in range(once.shape[3]):
                window = model(large[:, :, i * stride : i * stride + size[0], j * stride : j * stride + size[1]])
                assert (once[:, :, i, j] - window).abs().max() <= 1e-5 * wanted.abs().max()
    assert once.shape[2:] == (21 // stride + 1, 13 // stride + 1)
    told = surgery.compare_with_sliding(model, dense, large, size)
    assert told.deviation <= 1e-5
    assert (told.windows, told.padded, told.same_class) == (tuple(once.shape[2:]), (), 1)
    assert "nothing is padded" in str(told)
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in before.items()), "the model itself is left as it was"
    assert sum(p.numel() for p in dense.parameters()) == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("kind", ["chain", "view", "mean", "lenet5"])
def test_and_back(kind):
    model, size = case(kind)
    x = torch.randn(3, 3, *size)
    model = calibrated(model, x)
    back = surgery.to_linear(surgery.to_convolutional(model, (3, *size)))
    with torch.no_grad():
        assert (back(x) - model(x)).abs().max() <= 1e-6 * model(x).abs().max()
    assert {key: tuple(v.shape) for key, v in back.state_dict().items()} == {key: tuple(v.shape) for key, v in model.state_dict().items()}
    assert "what they were before to_convolutional" in surgery.notes(back)[-1]


def test_alexnets_first_linear_layer_is_the_convolution_of_the_lectures():
    model = zoo.build("alexnet_227", classes=10, input=(3, 227, 227))
    dense = surgery.to_convolutional(model, (3, 227, 227))
    assert [tuple(getattr(dense, f"fc{n}").weight.shape) for n in (6, 7, 8)] == [(4096, 256, 6, 6), (4096, 4096, 1, 1), (10, 4096, 1, 1)]
    kernel = model.fc6.weight.detach().view(4096, 256, 6, 6)
    assert torch.equal(dense.fc6.weight, kernel)
    with torch.no_grad():
        assert dense(torch.zeros(1, 3, 227 + 32, 227 + 64)).shape == (1, 10, 2, 3)


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", "sprint32", "resnet20"])
def test_padding_makes_a_difference_which_is_measured(name):
    torch.manual_seed(2)
    model = calibrated(zoo.build(name, classes=6, input=(3, 32, 32)), torch.randn(16, 3, 32, 32))
    dense = surgery.to_convolutional(model, (3, 32, 32))
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert (dense(x).flatten(1) - model(x)).abs().max() <= 1e-5 * model(x).abs().max()
    told = surgery.compare_with_sliding(model, dense, torch.randn(1, 3, 80, 80), (32, 32))
    assert told.deviation > 1e-3
    assert told.padded
    assert "layers pad" in str(told)


def test_pools_that_change_nothing_are_kept_and_others_are_refused():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(6), nn.Flatten(), nn.Linear(144, 5)).eval()
    dense = surgery.to_convolutional(model, (3, 8, 8))
    assert surgery.compare_with_sliding(model, dense, torch.randn(1, 3, 12, 11), (8, 8)).deviation <= 1e-5
    with pytest.raises(ArgumentError, match="1 pools 10x10 to 6x6, which no sliding window does"):
        surgery.to_convolutional(model, (3, 12, 12))


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Branching(), "the forward pass of Branching cannot be followed to find its linear layers"),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), "neither a flatten nor a global pool"),
        (nn.Sequential(nn.Flatten(), nn.Linear(192, 8), nn.LayerNorm(8)), r"2 \(LayerNorm\) behind the flatten has no form over maps"),
        (nn.Sequential(nn.Flatten(), nn.Linear(100, 8)), r"input: \(3, 8, 8\) does not go through Sequential"),
        ("resnet", "model: got str, expected an nn.Module"),
    ],
)
def test_what_has_no_convolutional_form_is_named(model, words):
    with pytest.raises(ArgumentError, match=words):
        surgery.to_convolutional(model, (3, 8, 8))
    with pytest.raises(ArgumentError, match=r"nothing in it was made by to_convolutional|expected an nn\.Module"):
        surgery.to_linear(model)
