"""Autoencoders as they are built: mirror images, tied gradients by the chain rule, noise, what a run's file brings back."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from striate import autoencode, zoo
from striate.autoencode.mirror import chain_of, mirrored
from striate.core.contracts import ModelSpec
from striate.core.errors import ArgumentError, UnknownNameError


def build(shape=(1, 6, 5), **options):
    torch.manual_seed(0)
    return autoencode.autoencoder(shape, **options)


def test_a_shallow_one_is_two_matrix_products():
    model = build(code=4, activation="none", output="linear").double()
    x = torch.randn(3, 1, 6, 5, dtype=torch.float64)
    there, back = model.encoder.get_submodule("code"), model.decoder.get_submodule("code_1")
    with torch.no_grad():
        there.bias.copy_(torch.randn(4))
        expected = (x.flatten(1).numpy() @ there.weight.numpy().T + there.bias.numpy()) @ back.weight.numpy().T + back.bias.numpy()
    assert np.allclose(model(x).detach().flatten(1).numpy(), expected, atol=1e-12)
    assert model.code_size == 4


def test_tied_gradient_is_the_sum_of_both_roles():
    """W stands in x̂ = WᵀWx twice; of ½|x̂ - x|² the gradient is W(r xᵀ + x rᵀ) with r = x̂ - x: written out by hand."""
    model = build(code=3, activation="none", output="linear", tied=True).double()
    weight = model.encoder.get_submodule("code").weight
    assert sum(p.numel() for p in model.parameters()) == 3 * 30 + 3 + 30
    x = torch.randn(7, 1, 6, 5, dtype=torch.float64)
    (0.5 * (model(x) - x).square().sum()).backward()
    w, rows = weight.detach().numpy(), x.flatten(1).numpy()
    residual = rows @ w.T @ w - rows
    expected = w @ (residual.T @ rows + rows.T @ residual)
    assert np.allclose(weight.grad.numpy(), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize(("shape", "widths", "code"), [((1, 28, 28), (4, 6), 5), ((3, 15, 11), (4,), 0), ((2, 9, 16), (3, 3, 3), 2)])
def test_convolutions_come_back_to_any_size(shape, widths, code, tied):
    model = build(shape, form="convolutional", widths=widths, code=code, tied=tied)
    x = torch.rand(2, *shape)
    assert model(x).shape == x.shape
    assert tuple(model.encode(x).shape[1:]) == model.code_shape
    if tied:  # each transposed convolution is the message its convolution sends back: <conv x, z> = <x, convᵀ z>
        conv, back = model.encoder.get_submodule("conv1").double(), next(m for m in model.decoder if type(m).__name__ == "TiedConvTranspose2d")
        convs = [m for m in model.decoder if type(m).__name__ == "TiedConvTranspose2d"]
        back = convs[-1].double()
        x = torch.randn(2, *shape, dtype=torch.float64)
        y = conv(x) - conv.bias[:, None, None]
        z = torch.randn_like(y)
        assert torch.allclose((y * z).sum(), (x * (back(z) - back.bias[:, None, None])).sum())


def test_activations_stand_where_the_values_were_made():
    model = build(widths=(8, 7), code=3, activation="sigmoid", code_activation="tanh", output="sigmoid")
    assert [type(m).__name__ for m in model.encoder] == ["Flatten", "Linear", "Sigmoid", "Linear", "Sigmoid", "Linear", "Tanh"]
    assert [type(m).__name__ for m in model.decoder] == ["Linear", "Sigmoid", "Linear", "Sigmoid", "Linear", "Unflatten", "Sigmoid"]
    assert [stage.output for stage in model.stages] == [(8,), (7,), (3,)]


def test_a_classifiers_trunk_is_mirrored_with_its_pooling():
    net = zoo.build("lenet5", classes=10, input=(1, 28, 28))
    boxes = chain_of(net)
    last = [place for place, (_, box) in enumerate(boxes) if isinstance(box, nn.Linear)][-1]
    stages = mirrored(boxes[:last], (1, 28, 28), tied=True)
    whole = autoencode.Autoencoder(stages)
    x = torch.rand(2, 1, 28, 28)
    assert whole(x).shape == x.shape
    assert torch.equal(whole.encode(x), nn.Sequential(*[box for _, box in boxes[:last]])(x))
    assert stages[0].encoder["conv1"] is net.get_submodule("conv1")


def test_a_copy_is_whole_and_keeps_its_ties():
    model = build(widths=(8,), code=3, tied=True)
    twin = copy.deepcopy(model)
    assert twin.stages[0].encoder["fc1"] is twin.encoder.get_submodule("fc1")
    assert twin.stages[0].encoder["fc1"] is not model.encoder.get_submodule("fc1")
    assert twin.decoder.get_submodule("fc1_1").weight is twin.encoder.get_submodule("fc1").weight


def test_a_runs_file_may_name_our_factory_and_nothing_else_of_ours():
    model = build(widths=(8,), code=3, tied=True, noise="salt", amount=0.2)
    spec = ModelSpec.from_json(model.spec.to_json())
    again = zoo.build(spec.name, classes=spec.classes, input=spec.input, options=spec.options)
    again.load_state_dict(model.state_dict())
    x = torch.rand(2, 1, 6, 5)
    assert torch.equal(again.eval()(x), model.eval()(x))
    assert repr(again) == repr(model)
    with pytest.raises(ArgumentError, match="not run on a file's word"):
        ModelSpec.from_json({"name": "striate.autoencode:train", "classes": 1, "input": [1, 2, 2], "options": {}})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"code": 0}, "code: got 0"),
        ({"form": "convolutional"}, "widths: a convolutional autoencoder needs"),
        ({"widths": (4, 0)}, "widths: got"),
        ({"activation": "rellu"}, "Did you mean relu"),
        ({"noise": "gausian"}, "Did you mean gaussian"),
        ({"noise": "masking", "amount": 0.0}, "amount: got 0"),
        ({"kernel": 4, "form": "convolutional", "widths": (2,)}, "kernel: got 4, expected an odd"),
        ({"output": "relu"}, "unknown output"),
    ],
)
def test_bad_options_are_named(options, words):
    with pytest.raises((ArgumentError, UnknownNameError), match=words):
        build(**options)


def test_no_mirror_image_is_said_with_the_layers_name():
    with pytest.raises(ArgumentError, match=r"norm .LayerNorm. has no mirror image"):
        mirrored([("fc", nn.Linear(4, 3)), ("norm", nn.LayerNorm(3))], (4,))
    with pytest.raises(ArgumentError, match=r"layer1.0 .* is not a single layer"):
        chain_of(zoo.build("resnet18", classes=2, input=(3, 32, 32)))
    with pytest.raises(ArgumentError, match="neither a linear layer nor a convolution"):
        mirrored([("act", nn.ReLU())], (4,))


class TestNoise:
    x = torch.rand(200, 1, 20, 20) * 0.5 + 0.25

    def test_masking_hides_its_share_and_leaves_the_rest(self):
        spoiled = autoencode.corrupted(self.x, "masking", 0.1)
        hidden = spoiled == 0
        assert abs(hidden.float().mean() - 0.1) < 4 * (0.1 * 0.9 / self.x.numel()) ** 0.5
        assert torch.equal(spoiled[~hidden], self.x[~hidden])

    def test_gaussian_noise_has_its_deviation(self):
        noise = (autoencode.corrupted(self.x, "gaussian", 0.05) - self.x).flatten()
        assert abs(noise.std() - 0.05) < 4 * 0.05 / (2 * len(noise)) ** 0.5
        assert abs(noise.mean()) < 4 * 0.05 / len(noise) ** 0.5

    def test_salt_is_black_as_often_as_white(self):
        spoiled = autoencode.corrupted(self.x, "salt", 0.2)
        for value in (0.0, 1.0):
            assert abs((spoiled == value).float().mean() - 0.1) < 4 * (0.09 / self.x.numel()) ** 0.5

    def test_a_pictures_noise_is_its_own(self):
        one, all_ = autoencode.corrupted(self.x[:1], "gaussian", seed=3), autoencode.corrupted(self.x, "gaussian", seed=3)
        assert torch.equal(one[0], all_[0])
        assert not torch.equal(all_[0] - self.x[0], all_[1] - self.x[1])
        assert not torch.equal(all_, autoencode.corrupted(self.x, "gaussian", seed=4))

    def test_the_layer_spoils_in_training_only_and_writes_to_nothing(self):
        layer, kept = autoencode.Corruption("masking", 0.5), self.x.clone()
        assert not torch.equal(layer(self.x), self.x)
        assert torch.equal(self.x, kept)
        assert layer.eval()(self.x) is self.x

    def test_whole_numbers_are_refused(self):
        with pytest.raises(ArgumentError, match="divide by 255"):
            autoencode.corrupted(torch.zeros(1, 1, 2, 2, dtype=torch.uint8), "masking")
