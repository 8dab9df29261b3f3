"""Summaries of any model: what training really keeps, the model left as it was, functions, tokens, several inputs, pages."""

from __future__ import annotations

import importlib
import json
import threading

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from striate import zoo
from striate.core.errors import ArgumentError, UnknownNameError
from striate.layers.registry import layers
from striate.measure import summary


def really_kept(model, *inputs):
    """Bytes autograd holds after a forward pass in training mode; parameters and buffers not counted, each memory once."""
    owned = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers())}
    held = {}

    def pack(tensor):
        if tensor.untyped_storage().data_ptr() not in owned:
            held[tensor.untyped_storage()._cdata] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda kept: kept):
        output = model.train()(*inputs)
        del output
    return sum(tensor.untyped_storage().nbytes() for tensor in held.values())


class Mixed(nn.Module):
    """Functions, in-place operations, a module called twice, a parameter of the model's own, a tied weight, a branch."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.relu = nn.ReLU()
        self.inner = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(inplace=True), nn.Dropout(0.5))
        self.scale = nn.Parameter(torch.ones(1, 8, 1, 1))
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)
        self.second.weight = self.first.weight

    def forward(self, x):
        x = self.relu(self.norm(self.conv(x)))
        y = self.relu(self.inner(x) * self.scale + x)
        y = F.max_pool2d(F.gelu(y), 2)
        y += F.adaptive_avg_pool2d(y, 1)
        z = F.softmax(y.mean((2, 3)), 1)
        return self.second(torch.tanh(self.first(z)))


class Attending(nn.Module):
    """Tokens through an embedding, attention and a recurrence."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(50, 16)
        self.attention = nn.MultiheadAttention(16, 4, batch_first=True)
        self.norm = nn.LayerNorm(16)
        self.rnn = nn.GRU(16, 12, batch_first=True)
        self.out = nn.Linear(12, 3)

    def forward(self, tokens):
        x = self.words(tokens)
        x = self.norm(x + self.attention(x, x, x, need_weights=False)[0])
        return self.out(self.rnn(x)[0][:, -1])


class Reading(nn.Module):
    """Tokens through an embedding and a recurrence."""

    def __init__(self):
        super().__init__()
        self.words, self.norm, self.rnn = nn.Embedding(50, 16), nn.LayerNorm(16), nn.GRU(16, 12, batch_first=True)

    def forward(self, tokens):
        return self.rnn(self.norm(self.words(tokens)))[0]


@pytest.mark.parametrize("name", ["lenet5", "lenet5_1998", "resnet20", "squeezenet1_1", "nin_cifar", "sprint28"])
def test_stored_is_what_training_keeps(name):
    card = zoo.card(name)
    model = zoo.build(name, classes=card.classes, input=card.input)
    assert summary(model, card.input, batch=2).totals.stored == really_kept(model, torch.randn(2, *card.input))


def test_stored_through_functions_and_frozen_layers():
    model, x = Mixed(), torch.randn(2, 3, 16, 16)
    found = summary(model, (3, 16, 16), batch=2)
    assert found.totals.stored == really_kept(model, x) == sum(box.stored for box in found.boxes)
    model.requires_grad_(False)
    model.second.requires_grad_(True)
    frozen = summary(model, (3, 16, 16), batch=2)
    assert frozen.totals.stored == really_kept(model, x)
    assert frozen.totals.trainable == 8 * 8 + 8
    assert frozen.totals.stored < found.totals.stored / 100


def test_stored_of_recurrences():
    assert summary(Reading(), (7,), batch=2).totals.stored == really_kept(Reading(), torch.randint(50, (2, 7)))


def test_stored_of_a_block_without_gradient_below_it():
    model = nn.Sequential(nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 4, 3), nn.Sigmoid(), nn.AvgPool2d(2), nn.PReLU(), nn.Flatten(), nn.Linear(36, 2))
    assert summary(model, (3, 16, 16)).totals.stored == really_kept(model, torch.randn(1, 3, 16, 16))


def test_every_parameter_and_every_call_has_its_row():
    found = summary(Mixed(), (3, 16, 16))
    assert found.notes == ()
    assert sum(box.parameters for box in found.boxes) == found.totals.parameters == sum(p.numel() for p in Mixed().parameters())
    assert [box.address for box in found.boxes if box.operation == "ReLU"] == ["relu", "inner.1", "relu[1]"]
    assert found["/mul#1"].parameters == 8, "a parameter of the model's own belongs to the function that uses it first"
    assert (found["first"].parameters, found["second"].parameters) == (72, 8), "tied weights count once"
    assert found.totals.multiply_adds == 16 * 16 * (8 * 27 + 8 * 72) + 2 * 64
    assert found.totals.activations == 3 * 256 + 2 * 8 * 256 + 8 * 64 + 8 + 2 * 8
    with pytest.raises(UnknownNameError, match="Did you mean conv"):
        found["cnov"]


def fingerprint(model):
    """Everything a summary could change."""
    hooks = [[len(value) for key, value in vars(m).items() if key.endswith("hooks")] for m in model.modules()]
    tables = [(n, sorted(vars(m)), m.training, type(m)) for n, m in model.named_modules()]
    tensors = [(n, id(t), t._version, t.requires_grad, t.device, t.detach().clone()) for n, t in (*model.named_parameters(), *model.named_buffers())]
    return (tables, hooks), tensors, torch.get_rng_state()


def assert_same(before, after):
    assert before[0] == after[0]
    assert [row[:-1] for row in before[1]] == [row[:-1] for row in after[1]]
    assert all(torch.equal(a[-1], b[-1]) for a, b in zip(before[1], after[1], strict=True))
    assert torch.equal(before[2], after[2])


def test_the_model_is_left_as_it_was_after_success_and_after_errors():
    model, seen = Mixed(), []
    model.memory = []
    model.conv.register_forward_hook(lambda module, args, output: seen.append(output))
    model(torch.randn(2, 3, 16, 16)).sum().backward()
    model.inner.eval()
    grads = [p.grad for p in model.parameters()]
    seen.clear()
    before = fingerprint(model)
    found = summary(model, (3, 16, 16))
    assert_same(before, fingerprint(model))
    assert any("1 hook of the model did not run" in note for note in found.notes)
    with pytest.raises(ArgumentError, match=r"input: 1x4x16x16 does not run through Mixed, at conv: .*expected input.* to have 3 channels"):
        summary(model, (4, 16, 16))
    with pytest.raises(ArgumentError, match="strides that do not fit"):
        summary(nn.Sequential(model, nn.Unflatten(1, (1, 8)), nn.AvgPool1d(3)), (3, 16, 16), strict=True)
    assert_same(before, fingerprint(model))
    assert seen == []
    assert all(p.grad is grad for p, grad in zip(model.parameters(), grads, strict=True))


class Remembering(nn.Module):
    """Keeps what passes through it, counts calls, holds what cannot be copied, and asks for its device."""

    def __init__(self):
        super().__init__()
        self.calls, self.last, self.lock = 0, None, threading.Lock()
        self.conv = nn.Conv2d(1, 2, 3)

    def forward(self, x):
        self.calls += 1
        with self.lock, torch.autocast(x.device.type, enabled=False):
            self.last = self.conv(x)
        return self.last + torch.arange(2.0, device=x.device).view(1, 2, 1, 1)


def test_code_with_a_memory_of_its_own_remembers_nothing():
    model = Remembering()
    found = summary(model, (1, 8, 8))
    assert model.calls == 0
    assert model.last is None
    assert found["conv"].multiply_adds == 36 * 18
    assert any("lock cannot be copied and is shared" in note for note in found.notes)


def test_no_weights_are_allocated_for_a_factory():
    built = []

    def factory():
        built.append(zoo.build("vgg19", classes=1000, input=(3, 224, 224)))
        return built[-1]

    found = summary(factory, (3, 224, 224))
    assert {p.device.type for p in built[0].parameters()} == {"meta"}
    assert found.name == "vgg19"
    assert found.totals.parameter_bytes == 4 * 143_667_240
    stubborn = summary(lambda: nn.Sequential(nn.Linear(4, int(torch.tensor(3).item()))), (4,))
    assert stubborn.totals.parameters == 15
    assert any("its weights were allocated" in note for note in stubborn.notes)


def test_tokens_vectors_and_several_inputs():
    found = summary(Attending(), (7,), batch=2)
    assert found.boxes[0].output_shape == (2, 7)
    assert found["words"].output_shape == (2, 7, 16)
    projections = 7 * 16 * (3 * 16 + 16)
    products = 2 * 7 * 7 * 16
    recurrence = 7 * 3 * (16 * 12 + 12 * 12)
    assert found.totals.multiply_adds == 2 * (projections + products + recurrence + 36)
    assert found.totals.parameters == sum(p.numel() for p in Attending().parameters())
    assert summary(nn.Linear(10, 5), (10,)).boxes[-1].receptive_field.size == (10,)
    two = summary(nn.Bilinear(4, 5, 3), [(4,), torch.zeros(6, 5)[:1]])
    assert [box.output_shape for box in two.boxes] == [(1, 4), (1, 5), (1, 3)]
    assert [box.address for box in two.boxes[:2]] == ["input 1", "input 2"]


def test_every_layer_of_striates_can_be_measured():
    for entry in layers:
        if ".losses." in entry.module:
            continue
        layer, inputs = importlib.import_module(entry.module).example()
        found = summary(nn.ModuleDict({"box": layer}).__getitem__("box"), list(inputs))
        last = found.boxes[-1]
        assert last.output_shape == tuple(layer(*inputs).shape), entry.name
        assert found.totals.parameters == sum(p.numel() for p in layer.parameters())
        assert last.receptive_field is not None, entry.name
        assert not found.notes, (entry.name, found.notes)


def test_strides_that_do_not_fit_are_told_and_strict_refuses_them():
    model = nn.Sequential(nn.Conv2d(1, 4, 3, stride=3), nn.ReLU(), nn.Conv2d(4, 4, 1))
    found = summary(model, (1, 7, 7))
    (told,) = found.losses
    assert told.startswith("0: 7x7 does not fit kernel 3, stride 3: (7 − 3)/3 + 1 = 2.333, so 2 places; the last pixel is never seen. ")
    assert told.endswith("What fits: strides 1, 2 or 4; padding 1; sizes 6 or 9")
    assert "! 0: 7x7 does not fit" in str(found)
    assert any("7 does not divide cleanly at every stride, 6 and 9 do" in line for line in found.advice)
    with pytest.raises(ArgumentError, match=r"0: 7x7 does not fit kernel 3, stride 3"):
        summary(model, (1, 7, 7), strict=True)
    assert summary(model, (1, 9, 9), strict=True).losses == ()
    stem = summary(nn.Conv2d(3, 16, 7, 2, 3), (3, 224, 224))
    assert not stem.losses
    assert len(stem.floors) == 1


def imagenet(side):
    """ResNet-18 with the stem for large pictures, whatever the size."""
    return lambda: zoo.build("resnet18", classes=10, input=(3, side, side), options={"stem": "imagenet"})


def test_advice():
    told = " | ".join(summary(zoo.build("lenet5", classes=10, input=(1, 28, 28)), (1, 28, 28)).advice)
    assert "28x28 divides cleanly at every stride: 28, 14, 5" in told
    assert "conv2 (to 10x10): padding 2 for 5x5 would keep it" in told
    assert "conv1 has 6, the next is 16" in told
    resnet = summary(imagenet(100), (3, 100, 100))
    assert resnet.advice == ("the sides of the input: 100 does not divide cleanly at every stride, 96 and 128 do",)
    for side in (96, 128):
        found = summary(imagenet(side), (3, side, side))
        assert {side >> halvings for halvings in range(6)} <= {box.output_shape[-1] for box in found.boxes}


def test_rows_fold_and_sums_stay():
    found = summary(lambda: zoo.build("resnet18", classes=1000, input=(3, 224, 224)), (3, 224, 224))
    for depth in (1, 2, 3, 4):
        rows = found.folded(depth)
        for figure in ("parameters", "multiply_adds", "activations", "stored", "count"):
            assert sum(getattr(row, figure) for row in rows) == sum(getattr(box, figure) for box in found.boxes)
    assert [row.address for row in found.folded(1)][:6] == ["input", "conv1", "bn1", "relu", "maxpool", "layer1"]
    assert found.folded(4) == found.boxes
    assert len(found.text(depth=1).splitlines()) < len(str(found).splitlines()) < len(found.text(depth=4).splitlines())
    assert "70 boxes are folded to 16 rows; depth 4 shows all of them" in str(found)
    assert max(len(line) for line in found.text(width=80).splitlines()) <= 80


GOLDEN = """\
Sequential on 1x6x6

box    operation  output  parameters  multiply-adds  activations  stored  sees  step  from
input              1x6x6                                      36   144 B   1x1     1     0
0      Conv2d      2x6x6          20            648           72   288 B   3x3     1    −1
1      MaxPool2d   2x3x3                                      18   144 B   4x4     2    −1
2      ReLU        2x3x3                                            72 B   4x4     2    −1
3      Flatten        18                                                   4x4     2    −1
4      Linear          2          38             36            2           8x8          −1

parameters       58, 232 B
multiply-adds    684 for one sample
activations      128 for one sample, 512 B: the input, and outputs of convolutions, pools, dense
stored           648 B for one sample: what training keeps until the backward pass
training         about 21 kB for a batch of 32: stored, parameters and their gradients
receptive field  4x4 at 2, a unit every 2 pixels

6x6 divides cleanly at every stride: 6, 3
filter counts in multiples of 16 use the hardware best: 0 has 2, the next is 16"""


def small():
    return nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(18, 2))


def test_the_text_as_a_person_reads_it():
    """Hand-checked: the convolution's output is kept by the pool, the pool's indices are 18 numbers of 8 bytes, its output is kept by nobody."""
    assert str(summary(small(), (1, 6, 6))) == GOLDEN


def test_json_and_page(tmp_path):
    found = summary(small(), (1, 6, 6), batch=3)
    told = json.loads(json.dumps(found.to_json()))
    assert told["totals"]["multiply_adds"] == 3 * 684
    assert told["boxes"][1] | {"misfits": None} == {
        "address": "0",
        "operation": "Conv2d",
        "output_shape": [3, 2, 6, 6],
        "parameters": 20,
        "trainable": 20,
        "multiply_adds": 3 * 648,
        "activations": 3 * 72,
        "stored": 3 * 288,
        "receptive_field": {"size": [3, 3], "stride": [1, 1], "offset": [-1, -1]},
        "misfits": None,
        "input_shape": [6, 6],
    }
    page = found.save(tmp_path / "net.html").read_text()
    for piece in ("MaxPool2d", "a batch of 3", "1,944", "Where multiply-adds are spent", "spends 95\u202f% of its multiply-adds in 0"):
        assert piece in page
    assert "<script" not in page
    assert json.loads(found.save(tmp_path / "net.json").read_text()) == told
    assert found.save(tmp_path / "net.txt").read_text() == f"{found}\n"


@pytest.mark.parametrize(
    ("model", "given", "keywords", "text"),
    [
        (3, (1, 6, 6), {}, "model: got int, expected an nn.Module, or a function that builds one"),
        (lambda: 5, (1, 6, 6), {}, "model: got a function that returned int"),
        (small(), "1x6x6", {}, "input: got '1x6x6', expected one sample's shape"),
        (small(), (1, 0, 6), {}, "input: got"),
        (small(), (1, 6, 6), {"batch": 0}, "batch: got 0, expected a whole number of 1 or more"),
        (small(), (1, 8, 8), {}, "input: 1x1x8x8 does not run through Sequential, at 4: .*18"),
    ],
)
def test_errors_name_the_argument(model, given, keywords, text):
    with pytest.raises(ArgumentError, match=text):
        summary(model, given, **keywords)
