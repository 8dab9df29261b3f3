"""Which layers are taken for maps: rows and columns and nothing else, on the way from the picture to the score, whatever a network puts aside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import prune
from torch.utils.checkpoint import checkpoint

import striate.understand as u
from striate.core.errors import ArgumentError
from striate.probe import Snapshot
from striate.understand.inputs import prepare
from striate.understand.reading import stages

S = nn.Sequential


def pictures(count: int = 2, side: int = 20) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0))


class Own(nn.Module):
    """A convolution, ReLU, and a head; `way` goes from the maps to the scores."""

    def __init__(self, way: Callable[[Own, torch.Tensor], torch.Tensor] | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.c, self.h, self.way = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 5), way
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.c(x))
        if self.way is not None:
            self.way(self, y)
        return self.h(y.amax((2, 3)))


class Attention(nn.Module):
    """Patches, and attention of three heads among them: 25 tokens 3 times 4 wide; its maps are those of the patches alone."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patches, self.qkv, self.h = nn.Conv2d(3, 12, 4, stride=4), nn.Linear(12, 36), nn.Linear(12, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        q, k, v = self.qkv(tokens).view(len(x), -1, 3, 3, 4).permute(2, 0, 3, 1, 4)
        shares = (q @ k.transpose(2, 3)).softmax(-1)
        return self.h((shares @ v).transpose(1, 2).flatten(2).mean(1))


class Last(nn.Module):
    """Maps laid out N H W C, as wide as they are high, with as many channels or others; in the end perhaps turned back and pooled."""

    def __init__(self, channels: int, back: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.c, self.norm, self.h, self.back = nn.Conv2d(3, channels, 4, stride=4), nn.LayerNorm(channels), nn.Linear(channels, 5), back

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(self.c(x).permute(0, 2, 3, 1)[:, ::2, ::2])
        return self.h(y.permute(0, 3, 1, 2).mean((2, 3)) if self.back else y.mean((1, 2)))


class Rows(nn.Module):
    """An LSTM over the rows."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.lstm, self.h = nn.LSTM(60, 16, batch_first=True), nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.h(self.lstm(x.permute(0, 2, 3, 1).flatten(2))[0][:, -1])


def test_attention_and_channels_last_are_no_maps() -> None:
    assert u.default_layer(Attention().eval(), pictures(1)) == "patches"
    for channels in (3, 12, 192):
        assert u.default_layer(Last(channels, back=False).eval(), pictures(1)) == "c"
        assert u.default_layer(Last(channels, back=True).eval(), pictures(1)) == "/permute#2"
    with pytest.raises(ArgumentError, match="no layer of this network gives maps"):
        u.default_layer(Rows().eval(), pictures(1))
    with prepare(Attention(), pictures(1), preprocess="identity") as p:
        assert stages(p) == [["patches"]]


def _aside(model: Own, y: torch.Tensor) -> None:
    model.seen = y.detach()


def _numpy(model: Own, y: torch.Tensor) -> None:
    model.seen = y.detach().numpy()


def _inner(model: Own, y: torch.Tensor) -> None:
    with torch.enable_grad():
        again = F.relu(model.c(torch.ones(1, 3, 20, 20).requires_grad_()))
        torch.autograd.grad(again.square().sum(), again)


class Twice(torch.autograd.Function):
    """Its own operations lie on no graph."""

    @staticmethod
    def forward(ctx: Any, y: torch.Tensor) -> torch.Tensor:
        return torch.mul(y, 2.0)

    @staticmethod
    def backward(ctx: Any, back: torch.Tensor) -> torch.Tensor:
        return back * 2


@pytest.mark.parametrize("way", [_aside, _numpy, _inner], ids=["detach", "numpy", "inner gradient"])
@pytest.mark.parametrize("name", ["grad_cam", "eigen_cam", "activations", "invert", "dream"])
def test_what_is_put_aside_is_not_the_layer(name: str, way: Callable[[Own, torch.Tensor], torch.Tensor]) -> None:
    few = {"invert": {"steps": 2}, "dream": {"steps": 1, "octaves": 1}}.get(name, {})
    target = {"target": 2} if name == "grad_cam" else {}
    made = getattr(u, name)(Own(way), pictures(), preprocess="identity", **few, **target)
    wanted = getattr(u, name)(Own(), pictures(), preprocess="identity", **few, **target)
    assert made.layer == "/relu#1"
    for key, values in wanted.arrays.items():
        assert np.allclose(made.arrays[key], values, atol=1e-6), key
    assert made.arrays.get("map", np.ones(1)).any()


def test_an_operation_inside_a_function_of_its_own_is_not_the_layer() -> None:
    class Doubled(Own):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.h(Twice.apply(F.relu(self.c(x))).amax((2, 3)))

    made = u.grad_cam(Doubled(), pictures(), target=2)
    assert made.layer == "/relu#1"
    assert np.allclose(made.arrays["map"], 2 * u.grad_cam(Own(), pictures(), target=2).arrays["map"], atol=1e-5)


def test_a_gradient_inside_forward_keeps_what_it_needs() -> None:
    class Inner(Own):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.enable_grad():
                y = self.c(x if x.requires_grad else x.detach().requires_grad_()).square()
                self.steep = torch.autograd.grad(y.square().sum(), y, retain_graph=True)[0]
            return self.h(y.amax((2, 3)))

    for name in ("grad_cam", "eigen_cam"):
        made = getattr(u, name)(Inner(), pictures(), **({"target": 1} if name == "grad_cam" else {}))
        assert made.layer == "/square#1"
        assert made.arrays["map"].any()


@pytest.mark.parametrize("count", [1, 8])
def test_weights_that_are_computed_are_no_maps(count: int) -> None:
    torch.manual_seed(0)
    model = S(nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 8, 3)), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)).eval()
    with prepare(model, pictures(count), preprocess="identity") as p:
        assert stages(p) == [["1"]]
    assert u.invert(model, pictures(count), steps=2, preprocess="identity").options["layers"] == ("1",)
    pruned = S(prune.identity(nn.Conv2d(3, 8, 3), "weight"), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 18 * 18, 5)).eval()
    with prepare(pruned, pictures(count), preprocess="identity") as p:
        assert stages(p) == [["1"]]


def test_layers_that_cannot_be_read_are_no_stages() -> None:
    class Spectral(Own):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.c(x)
            y = torch.fft.irfft2(torch.fft.rfft2(y) * 2, s=y.shape[-2:])
            y[:, :2] = 0
            return self.h(y.mean((2, 3)))

    model = Spectral()
    model.register_forward_pre_hook(lambda _, given: (given[0] - 0.5,))
    with prepare(model, pictures(), preprocess="identity") as p:
        names = [name for stage in stages(p) for name in stage]
    assert names[0] == "c"
    assert not [name for name in names if "sub" in name or "setitem" in name or "/rfft" in name]
    assert u.invert(model, pictures(), steps=2, preprocess="identity").options["layers"]


def test_the_layer_is_that_of_pictures_of_this_size() -> None:
    def made() -> nn.Module:
        torch.manual_seed(0)
        return S(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)).eval()

    model = made()
    large = u.grad_cam(model, pictures(side=32), target=1)
    small = u.grad_cam(model, pictures(side=5), target=1)
    assert (large.layer, small.layer) == ("3", "1")
    assert np.array_equal(small.arrays["map"], u.grad_cam(made(), pictures(side=5), target=1).arrays["map"])
    assert np.array_equal(large.arrays["map"], u.grad_cam(model, pictures(side=32), target=1).arrays["map"])


def test_networks_that_run_in_inference_mode() -> None:
    class Closed(Own):
        @torch.inference_mode()
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x)

    wanted = F.relu(Own().c(pictures())).detach().numpy()
    assert np.allclose(u.activations(Closed(), pictures()).arrays["activation"], wanted)
    assert np.allclose(u.eigen_cam(Closed(), pictures()).arrays["map"], u.eigen_cam(Own(), pictures()).arrays["map"], atol=1e-5)
    with pytest.raises(ArgumentError, match=r"no gradient leads from its scores back to /relu#1.*without a graph"):
        u.grad_cam(Closed(), pictures(), target=1)


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
def test_networks_that_run_under_a_checkpoint() -> None:
    class Saved(Own):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.h(checkpoint(lambda given: F.relu(self.c(given)), x, use_reentrant=self.again).amax((2, 3)))

    for again in (False, True):
        model = Saved()
        model.again = again
        for name in ("eigen_cam", "activations"):
            made, wanted = (getattr(u, name)(each, pictures()) for each in (model, Own()))
            assert np.allclose(made.arrays["map"], wanted.arrays["map"], atol=1e-6)
        if again:
            with pytest.raises(ArgumentError, match="no gradient leads from its scores back to /relu#1"):
                u.grad_cam(model, pictures(), target=1)
        else:
            made, wanted = (u.grad_cam(each, pictures(), target=1) for each in (model, Own()))
            assert np.allclose(made.arrays["map"], wanted.arrays["map"], atol=1e-6)


@pytest.mark.parametrize("name", ["saliency", "grad_cam", "guided", "invert"])
def test_weights_made_in_inference_mode_do_as_others(name: str) -> None:
    with torch.inference_mode():
        model = Own()
    before = Snapshot.of(model)
    few = {"steps": 2, "layer": "c"} if name == "invert" else {"target": 1}
    made, wanted = (getattr(u, name)(each, pictures(), preprocess="identity", **few) for each in (model, Own()))
    for key, values in wanted.arrays.items():
        assert np.allclose(made.arrays[key], values, atol=1e-6), key
    assert before.differences(model) == ()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("name", ["grad_cam", "activations", "invert", "dead_filters", "sparsity", "top_patches", "filters"])
def test_what_is_quantised_says_so(name: str) -> None:
    import torch.ao.quantization as quantisation

    net = S(
        quantisation.QuantStub(), nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5), quantisation.DeQuantStub()
    )
    net.eval().qconfig = quantisation.get_default_qconfig("fbgemm")
    quantisation.prepare(net, inplace=True)(pictures())
    quantisation.convert(net, inplace=True)
    given = () if name == "filters" else (pictures(),)
    with pytest.raises(ArgumentError, match=r"its quantised layers give whole numbers.*pass the network before it was converted"):
        getattr(u, name)(net, *given)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("name", ["grad_cam", "eigen_cam", "activations", "invert", "dream", "dead_filters", "sparsity", "top_patches", "filters"])
@pytest.mark.parametrize("kind", ["scripted", "traced"])
def test_what_is_scripted_cannot_be_watched_and_says_so(name: str, kind: str) -> None:
    net = S(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)).eval()
    model = torch.jit.script(net) if kind == "scripted" else torch.jit.trace(net, pictures())
    given = () if name == "filters" else (pictures(),)
    with pytest.raises(ArgumentError, match=r"scripted or traced modules.*pass the network they were made from"):
        getattr(u, name)(model, *given)
