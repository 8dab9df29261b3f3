"""Text CNN and perceptron by their definitions, word2vec files in every form, and the movie reviews."""

import struct

import numpy as np
import pytest
import torch
from torch import nn

from striate import zoo
from striate.core.contracts import Recipe
from striate.core.errors import ArgumentError, StorageError, UnknownNameError
from striate.data.vocabulary import Vocabulary
from striate.training import train

WORDS = ("film", "fine", "dull", "naïve", "unseen")
VECTORS = {word: np.random.default_rng(i).normal(size=6).astype(np.float32) for i, word in enumerate((*WORDS[:4], "other", "Film"))}


def build(words=7, width=6, **options):
    torch.manual_seed(0)
    options = {"words": words, "width": width, "filters": 4} | options
    return zoo.build("text_cnn", classes=3, input=(8,), options=options)


def test_logits_equal_filters_slid_over_the_words_one_by_one():
    model = build(words=20).double().eval()
    s = {key: value.numpy() for key, value in model.state_dict().items()}
    sentences = torch.tensor([[3, 5, 19, 2, 4, 6, 7, 8], [9, 2, 0, 0, 0, 0, 0, 0]])
    for row, logits in zip(sentences.numpy(), model(sentences).detach().numpy(), strict=True):
        vectors = s["vectors.weight"][row]
        features = []
        for kernel in (3, 4, 5):
            edge = np.zeros((kernel - 1, 6))
            padded = np.concatenate([edge, vectors, edge])
            weight, bias = s[f"filters.conv{kernel}.weight"], s[f"filters.conv{kernel}.bias"]
            for f in range(4):
                scores = [(weight[f].T * padded[t : t + kernel]).sum() + bias[f] for t in range(len(padded) - kernel + 1)]
                features.append(max(0.0, *scores))
        assert logits == pytest.approx(s["fc.weight"] @ features + s["fc.bias"], rel=1e-10)


def test_padding_stays_zero_while_the_rest_learns_and_static_vectors_stay():
    x, y = torch.tensor([[2, 3, 0, 0], [4, 5, 6, 0]]), torch.tensor([0, 2])
    for static in (False, True):
        model = build(static=static).train()
        before = model.vectors.weight.detach().clone()
        assert before.abs().max() <= 0.25
        step = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1.0, weight_decay=0.1)
        nn.functional.cross_entropy(model(x), y).backward()
        step.step()
        assert not model.vectors.weight[0].any()
        assert torch.equal(model.vectors.weight, before) == static
        assert model.fc.most == 3.0


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"kernels": (3, 3)}, ArgumentError, "kernels: got"),
        ({"kernels": ()}, ArgumentError, "kernels: got"),
        ({"words": 0}, ArgumentError, "words: got 0"),
        ({"dropout": 1.0}, ArgumentError, "dropout: got 1.0"),
        ({"max_norm": 0.0}, ArgumentError, "most: got 0.0"),
        ({"kernel": 3}, UnknownNameError, "Did you mean kernels"),
    ],
)
def test_options_out_of_range_are_named(options, error, words):
    with pytest.raises(error, match=words):
        build(**options)


@pytest.mark.parametrize("shape", [(3, 32, 32), (0,), (2.5,), ()])
def test_pictures_are_refused(shape):
    with pytest.raises(ArgumentError, match="text_cnn takes sentences of 1 words or more"):
        zoo.build("text_cnn", classes=2, input=shape)


def binary(path, vectors=VECTORS, *, count=None, newline=b"\n"):
    """word2vec's C program writes a line end after each vector, others do not."""
    width = len(next(iter(vectors.values())))
    with path.open("wb") as file:
        file.write(f"{count or len(vectors)} {width}\n".encode())
        for word, vector in vectors.items():
            file.write(word.encode() + b" " + struct.pack(f"<{width}f", *vector) + newline)
    return path


def text(path, vectors=VECTORS, *, header=True):
    lines = [f"{len(vectors)} {len(next(iter(vectors.values())))}"] if header else []
    lines += [f"{word} {' '.join(repr(float(v)) for v in vector)}" for word, vector in vectors.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("form", ["binary", "binary without line ends", "text", "glove"])
def test_every_form_of_file_gives_the_same_vectors(form, tmp_path):
    path = {
        "binary": lambda: binary(tmp_path / "w.bin"),
        "binary without line ends": lambda: binary(tmp_path / "w.bin", newline=b""),
        "text": lambda: text(tmp_path / "w.txt"),
        "glove": lambda: text(tmp_path / "w.txt", header=False),
    }[form]()
    found = zoo.read_word_vectors(path, WORDS)
    assert set(found) == set(WORDS) - {"unseen"}
    for word, vector in found.items():
        assert vector.dtype == np.float32
        assert np.array_equal(vector, VECTORS[word])


def test_vectors_reach_the_network_and_unseen_words_get_the_same_spread(tmp_path):
    vocabulary = Vocabulary((*WORDS, *(f"new{i}" for i in range(2000))), 8)
    many = VECTORS | {f"w{i}": np.float32(3) * v for i, v in enumerate(np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32))}
    model = build(words=len(vocabulary))
    loaded = zoo.load_word_vectors(model, binary(tmp_path / "w.bin", many), vocabulary.words)
    weight = model.vectors.weight.detach()
    for number, word in enumerate(WORDS[:4], start=2):
        assert np.array_equal(weight[number].numpy(), VECTORS[word])
    assert not weight[0].any()
    spread = np.concatenate([VECTORS[word] for word in WORDS[:4]]).std()
    assert weight[7:].std().item() == pytest.approx(spread, rel=0.1)
    assert (loaded.found, len(loaded.missing)) == (4, 2001)
    assert "4 words have vectors, 2,001 are not in it and start at random, among them unseen" in str(loaded)


def test_broken_and_unfitting_files_are_named(tmp_path):
    good = binary(tmp_path / "good.bin")
    torn = tmp_path / "torn.bin"
    torn.write_bytes(good.read_bytes()[:-9])
    lying = binary(tmp_path / "lying.bin", count=99)
    (tmp_path / "no.txt").write_text("this is\nno such file\n")
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "packed.gz").write_bytes(b"\x1f\x8b")
    (tmp_path / "short.txt").write_text("2 3\nfilm 1 2 3\nfine 1 2\n")
    (tmp_path / "word.txt").write_text("2 3\nfilm 1 2 3\nfine 1 x 2\n")
    for name, words in (
        ("torn.bin", r"torn.bin: ends or breaks within word 6 of 6"),
        ("lying.bin", "within word 7 of 99"),
        ("no.txt", "is no word2vec file: its first line is b'this is'"),
        ("empty.txt", "is empty"),
        ("packed.gz", "unpack it first"),
        ("short.txt", "entry 2 has 2 numbers, expected 3"),
        ("word.txt", "entry 2 holds what is no number"),
        ("gone.bin", "cannot be read"),
    ):
        with pytest.raises(StorageError, match=words):
            zoo.read_word_vectors(tmp_path / name, WORDS)
    assert lying.exists()
    with pytest.raises(ArgumentError, match="holds 7 vectors for 4 words and 2 more; build it with words=6"):
        zoo.load_word_vectors(build(), good, WORDS[:4])
    with pytest.raises(ArgumentError, match=r"have 6 numbers, vectors has 5; build the network with width=6"):
        zoo.load_word_vectors(build(width=5), good, WORDS)
    with pytest.raises(ArgumentError, match="has none of the 5 words"):
        zoo.load_word_vectors(build(), good, ["a", "b", "c", "d", "e"])
    with pytest.raises(ArgumentError, match="has 0 layers of word vectors"):
        zoo.load_word_vectors(zoo.build("mlp", classes=2, input=(1, 4, 4)), good, WORDS)


def test_it_trains_on_labelled_lines(tmp_path):
    rows = [f"{label}\tthe {word} {other} thing" for label, word in (("bad", "dull"), ("good", "fine")) for other in "abcdefghijklmnopqrst"]
    (tmp_path / "reviews.tsv").write_text("\n".join(rows))
    from striate import data

    opened = data.text(tmp_path / "reviews.tsv", test=0.25)
    options = {"words": len(opened.preprocess), "width": 8, "filters": 4}
    recipe = Recipe(epochs=30, batch=10, lr=0.02, optimiser="adamw")
    run = train("text_cnn", opened, recipe=recipe, options=options, folder=tmp_path / "run", precision="fp32")
    assert run.result["splits"]["test"]["error"] == 0
    assert zoo.spec_of(run.model).input == opened.shape


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "none"])
def test_a_perceptron_is_matrices_and_activations(activation):
    torch.manual_seed(0)
    model = zoo.build("mlp", classes=4, input=(2, 3, 5), options={"widths": [7, 6], "activation": activation}).double()
    s = {key: value.numpy() for key, value in model.state_dict().items()}
    x = torch.randn(3, 2, 3, 5, dtype=torch.float64)
    squash = {"relu": lambda a: np.maximum(a, 0), "tanh": np.tanh, "sigmoid": lambda a: 1 / (1 + np.exp(-a)), "none": lambda a: a}[activation]
    out = x.numpy().reshape(3, 30)
    for number in (1, 2, 3):
        out = out @ s[f"fc{number}.weight"].T + s[f"fc{number}.bias"]
        out = squash(out) if number < 3 else out
    assert model(x).detach().numpy() == pytest.approx(out, rel=1e-10)
    if activation == "none":  # the course's point: without activations the layers collapse into one
        whole = s["fc3.weight"] @ s["fc2.weight"] @ s["fc1.weight"]
        change = model(x) - model(torch.zeros_like(x))
        assert change.detach().numpy() == pytest.approx(x.numpy().reshape(3, 30) @ whole.T, rel=1e-9)


def test_perceptrons_of_the_course():
    def count(classes, shape, *widths):
        with torch.device("meta"):
            return sum(p.numel() for p in zoo.build("mlp", classes=classes, input=shape, options={"widths": widths}).parameters())

    assert count(32 * 32, (1, 32, 32)) == 32**2 * (32**2 + 1) == 1_049_600
    assert count(10, (1, 8, 8), 1000, 100) == 65 * 1000 + 1001 * 100 + 101 * 10
    assert count(10, (1, 28, 28), 300, 100) == 266_610
    with pytest.raises(ArgumentError, match=r"widths: got \(3, 0\)"):
        zoo.build("mlp", classes=2, input=(1, 2, 2), options={"widths": (3, 0)})
