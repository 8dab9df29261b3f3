"""The contract of every architecture: boxes, gradients, cut points and groups, precision, round trips, inputs of all kinds."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from networks import ENDLESS, FAMILIES, FORMS, NAMES, QUICK, SENTENCES, blank, build, calibrated, each, leaves, pictures, published_form, small
from torch.utils._python_dispatch import TorchDispatchMode

from striate import zoo
from striate.core.contracts import Batch, ModelSpec
from striate.core.errors import ArgumentError
from striate.training.tasks import Classify
from striate.zoo.boxes import Aside
from striate.zoo.registry import architectures


class Stray(TorchDispatchMode):
    """Records every operation that runs while no leaf module does: what a hook on modules would miss."""

    def __init__(self):
        super().__init__()
        self.inside, self.found = 0, []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if not self.inside:
            self.found.append(str(function))
        return function(*args, **(kwargs or {}))


def watched(model, x):
    """Run `model(x)`; return how often each box was called and what ran outside of all boxes."""
    calls, stray, hooks = dict.fromkeys(leaves(model), 0), Stray(), []

    def entering(_module, _inputs):
        stray.inside += 1

    def leaving(path):
        def count(_module, _inputs, _output):
            stray.inside -= 1
            calls[path] += 1

        return count

    for path, module in leaves(model).items():
        hooks += [module.register_forward_pre_hook(entering), module.register_forward_hook(leaving(path))]
    with stray:
        model(x)
    for hook in hooks:
        hook.remove()
    return calls, stray.found


@pytest.mark.parametrize("name", each(*QUICK, *FAMILIES))
def test_every_operation_is_a_box_called_once_and_never_in_place(name):
    with torch.device("meta"):
        model = build(name)
        x = blank(small(name))
    assert not [path for path, module in leaves(model).items() if getattr(module, "inplace", False)]
    calls, stray = watched(model.train(), x)
    assert stray == []
    assert calls == dict.fromkeys(calls, 1)
    calls, stray = watched(model.eval(), x)
    assert stray == []
    heads = [path for path, module in model.named_modules() if isinstance(module, Aside)]
    assert {path for path, count in calls.items() if count == 0} == {path for path in calls if path.startswith(tuple(f"{h}." for h in heads))}
    assert set(calls.values()) <= {0, 1}


@pytest.mark.parametrize("name", QUICK)
def test_no_box_changes_what_it_is_given(name):
    model, x, changed = build(name), pictures(small(name)), []
    kept = x.clone()

    def compare(path):
        def hook(_module, inputs, _output):
            changed.extend(path for given in inputs if given._version != 0)

        return hook

    for path, module in leaves(model).items():
        module.register_forward_hook(compare(path))
    model(x)
    assert changed == []
    assert torch.equal(x, kept)


@pytest.mark.parametrize("name", each(*QUICK, "googlenet"))
def test_every_parameter_gets_a_gradient(name):
    model, x = build(name).train(), pictures(small(name), 8)
    Classify().loss(model(x), Batch(x=x, y=torch.arange(8) % 7, index=torch.arange(8))).backward()
    for path, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, path
            assert parameter.grad.isfinite().all(), path
            assert parameter.grad.any(), path
    frozen = [path for path, parameter in model.named_parameters() if not parameter.requires_grad]
    assert frozen == (["whiten.weight"] if name == "sprint32" else [])


@pytest.mark.parametrize("name", each(*(name for name in NAMES if name not in ENDLESS)))
def test_card_names_real_places_and_groups_hold_all_parameters_once(name):
    card, model = published_form(name)
    modules = dict(model.named_modules())
    assert card.paper
    assert card.cut_points
    for path in (*card.cut_points, *card.paper_names.values(), *(p for group in card.groups for p in group)):
        assert path in modules, path
    order = list(modules)
    assert sorted(card.cut_points, key=order.index) == list(card.cut_points)
    of = {path: number for number, group in enumerate(card.groups) for path in group}
    assert len(of) == sum(map(len, card.groups)), "no path twice"
    held = [[of[at] for at in beginnings(key) if at in of] for key, _ in model.named_parameters()]
    assert all(len(numbers) == 1 for numbers in held), "each parameter in one group"
    assert sorted(held) == held, "shallow to deep"
    assert {number for numbers in held for number in numbers} == set(range(len(card.groups)))


def beginnings(key):
    """Return the paths of the modules a parameter lies in: a.b.weight -> a, a.b."""
    parts = key.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts))]


@pytest.mark.parametrize("name", each(*QUICK, forms=True))
@torch.no_grad()
def test_bf16_and_channels_last_agree_with_what_they_stand_for(name):
    """Channels last in float64, where rounding that a deep random net amplifies does not matter; bf16 beside rounding weights and pictures."""
    if name in SENTENCES:
        pytest.skip("words have neither digits nor layout")
    x = pictures(small(name), 16)
    model = calibrated(build(name), x)
    wanted = model(x)
    with torch.autocast("cpu", torch.bfloat16):
        half = model.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last)).float()
    rounded = copy.deepcopy(model)
    for parameter in rounded.parameters():
        parameter.copy_(parameter.bfloat16())
    allowed = (rounded(x.bfloat16().float()) - wanted).abs().max()
    assert half.isfinite().all()
    assert (half - wanted).abs().max() <= max(8 * allowed, 0.02 * wanted.abs().max())

    x, model = x.double(), model.double()
    last = model(x.to(memory_format=torch.channels_last))
    plain = model.to(memory_format=torch.contiguous_format)(x)
    nudged = model(x * (1 + 1e-13))  # a hundred plain layers without shortcuts amplify even that
    assert (last - plain).abs().max() <= max(1e-9 * plain.abs().max(), (nudged - plain).abs().max())


@pytest.mark.parametrize("name", each(*QUICK, forms=True))
def test_spec_builds_the_same_network_and_a_state_dict_fills_it(name):
    x = pictures(small(name))
    model = calibrated(build(name), x)
    spec = ModelSpec.from_json(json.loads(json.dumps(zoo.spec_of(model).to_json())))
    torch.manual_seed(5)
    again = zoo.build(spec.name, classes=spec.classes, input=spec.input, options=spec.options).eval()
    assert zoo.spec_of(again) == zoo.spec_of(model)
    with torch.no_grad():
        assert not torch.equal(again(x), model(x))
        again.load_state_dict(model.state_dict())
        assert torch.equal(again(x), model(x))


@pytest.mark.parametrize("name", each(*QUICK, "googlenet_2014", "inception_v3", forms=True))
def test_any_number_of_channels_and_the_smallest_size_fit_and_less_is_refused(name):
    if name in SENTENCES:
        pytest.skip("sentences have no channels")
    smallest = 8 if name == "pattern" else architectures.entry(name).facts["smallest"]
    for channels, side in ((2, 0), (1, 5)):
        shape = (channels, smallest, smallest + (0 if name == "lenet5_1998" else side))
        with torch.device("meta"):
            model = build(name, classes=["cat", "dog"], shape=shape).eval()
            assert model(torch.empty(4, *shape)).shape == (4, 2)
    if name == "pattern" or smallest == 1:
        return  # the one's smallest size is its line's, nothing is too small for the other
    with pytest.raises(ArgumentError, match=f"too small for {name}; the smallest size that fits is {smallest}x{smallest}"):
        build(name, shape=(1, smallest - 1, 64))


STEMMED = [name for name in (*QUICK, *FORMS) if "stem" in architectures.entry(name).signature.names]


@pytest.mark.slow
@pytest.mark.parametrize("side", [28, 32, 48, 49, 64])
@pytest.mark.parametrize("name", STEMMED)
def test_small_pictures_leave_the_last_stage_something_to_see(name, side):
    seen = []
    with torch.device("meta"):
        model = build(name, shape=(3, side, side)).eval()
        head = [path for path, module in leaves(model).items() if list(module.parameters())][-1]
        for path, module in leaves(model).items():
            if isinstance(module, torch.nn.Conv2d) and path != head:
                module.register_forward_hook(lambda _m, inputs, _o: seen.append(min(inputs[0].shape[2:])))
        model(torch.empty(1, 3, side, side))
    assert seen[-1] >= 2, "the last convolution sees one place only"
    assert seen[0] == side, "the picture itself, never scaled"


@pytest.mark.parametrize(
    ("name", "options", "change"),
    [
        ("lenet5", {"pool": "average"}, 0),
        ("sprint28", {"padding": "same"}, 0),
        ("sprint28", {"widths": [8, 16, 16, 32]}, None),
        ("sprint32", {"widths": (32, 64, 64), "depth": 1}, None),
        ("sprint32", {"depth": 3}, 9 * (64**2 + 2 * 256**2) + 64 + 2 * 256),
        ("resnet18", {"stem": "imagenet"}, (49 - 9) * 3 * 64),
        ("googlenet", {"auxiliary": False}, -sum(c * 128 + 2 * 128 + 2049 * 1024 + 1025 * 7 for c in (512, 528))),
        ("googlenet", {"stem": "medium"}, (49 - 9) * 3 * 64),
        ("densenet_40_12", {"dropout": 0.2}, 0),
        ("densenet_40_12", {"checkpoint": True}, 0),
        ("squeezenet1_1", {"stem": "small"}, 0),
        ("fractalnet20", {"dropout": False, "drop_path": 0.0, "global_share": 0.0}, 0),
    ],
)
def test_options_change_what_they_say(name, options, change):
    side = max(small(name)[1], 24 if "stem" in options else 0)
    shape = (small(name)[0], side, side)
    with torch.device("meta"):
        plain, changed = build(name, shape=shape), build(name, shape=shape, **options)
        assert changed.eval()(torch.empty(4, *shape)).shape == (4, 7)
    if change is not None:
        assert sum(p.numel() for p in changed.parameters()) - sum(p.numel() for p in plain.parameters()) == change
    for path, module in leaves(changed).items():
        assert not getattr(module, "inplace", False), path
