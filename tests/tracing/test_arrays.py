"""Numbers from files: JSON, CSV, pictures; the axes they get; the parameters they fill."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from PIL import Image

from striate.core.errors import ArgumentError, DataError, UnknownNameError
from striate.tracing import build, parse
from striate.tracing.arrays import as_batch, drawn, fill, read
from striate.tracing.opening import opened


def test_a_json_array_or_object(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("[[1, 2], [3, 4]]")
    assert read(path).input.tolist() == [[1, 2], [3, 4]]
    content = {"input": [1, 2], "spec": "linear(1)", "target": [0], "loss": "hinge", "about": "x", "linear1": {"weight": [3, 4]}, "linear1.bias": 5}
    path.write_text(json.dumps(content))
    given = read(path)
    assert (given.spec, given.loss, given.about, given.target.tolist()) == ("linear(1)", "hinge", "x", [0])
    assert {name: value.tolist() for name, value in given.parameters.items()} == {"linear1.weight": [3, 4], "linear1.bias": 5}


def test_what_is_null_in_an_object_is_not_given(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"input": null, "spec": "relu", "target": null}')
    assert (read(path).input, read(path).target) == (None, None)
    with pytest.raises(ArgumentError, match="holds no input"):
        opened(str(path))


def test_csv_with_maps_parted_by_blank_lines(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("1,2\n3,4\n\n5,6\n7,8.5\n")
    assert read(path).input.tolist() == [[[1, 2], [3, 4]], [[5, 6], [7, 8.5]]]
    path.write_text("1;2;-3e1\n")
    assert read(path).input.tolist() == [1, 2, -30]
    path.write_text("1 2\n3 4\n")
    assert read(path).input.tolist() == [[1, 2], [3, 4]]


def test_a_picture_gives_its_pixels_and_says_so(tmp_path):
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    given = read(tmp_path / "a.png")
    assert given.input.tolist() == np.moveaxis(pixels, -1, 0).tolist()
    assert given.notes == ["a.png: the numbers are its pixels, 0 to 255"]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.json", "[[1, 2], [3]]", "rows must be equally long"),
        ("a.json", '{"input": [1, "x"]}', "input is no array of numbers"),
        ("a.json", "[1, 2", "line 1, column 6"),
        ("a.json", "[]", "input is empty"),
        ("a.json", "[NaN]", "NaN or infinity"),
        ("a.json", "null", "input is null, expected numbers"),
        ("a.json", "[[1, null]]", "input holds null, expected numbers"),
        ("a.json", '{"input": [1], "conv1": {"bias": null}}', "conv1.bias is null"),
        ("a.json", '["1", "2"]', "input is no array of numbers"),
        ("a.json", '{"spec": 3}', "spec is 3, expected text"),
        ("a.csv", "1,2\n3,four\n", "line 2: 'four' is not a number"),
        ("a.csv", "1,2\n3\n", "equally long"),
        ("a.csv", "\n", "is empty"),
    ],
)
def test_a_file_that_cannot_be_read_names_the_place(tmp_path, name, text, told):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=told) as caught:
        read(tmp_path / name)
    assert name in str(caught.value)
    with pytest.raises(DataError, match="no such file"):
        read(tmp_path / "nothing.json")
    (tmp_path / "b.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="neither text nor a picture"):
        read(tmp_path / "b.json")


@pytest.mark.parametrize(
    ("spec", "shape", "batch"),
    [
        ("linear(2)", (4,), (1, 4)),
        ("linear(2)", (3, 4), (3, 4)),
        ("conv(2)", (5,), (1, 1, 5)),
        ("conv(2)", (5, 6), (1, 1, 5, 6)),
        ("conv1d(2)", (2, 6), (1, 2, 6)),
        ("conv(2)", (3, 5, 6), (1, 3, 5, 6)),
        ("conv(2)", (2, 3, 5, 6), (2, 3, 5, 6)),
        ("relu", (5,), (1, 5)),
        ("flatten", (2, 2), (1, 1, 2, 2)),
        ("batchnorm", (5,), (1, 5)),
    ],
)
def test_axes(spec, shape, batch):
    assert as_batch(np.zeros(shape), parse(spec)[0]).shape == batch


def test_axes_that_do_not_fit():
    for spec, shape in (("linear(2)", (2, 2, 2)), ("conv(2)", (1,) * 5), ("conv1d(2)", (1,) * 4)):
        with pytest.raises(ArgumentError, match="input"):
            as_batch(np.zeros(shape), parse(spec)[0])


def test_parameters_are_filled_and_the_rest_is_told():
    model = build("conv(1, 2x2) -> batchnorm -> flatten -> linear(2)", (1, 3, 3))
    notes = fill(model, {"conv1.weight": np.array([[1, 2], [3, 4]])}, seed=3)
    assert model[0].weight.tolist() == [[[[1, 2], [3, 4]]]]
    assert model[0].bias.tolist() == [0]
    assert model[1].weight.tolist() == [1]
    drawn_weights = model[3].weight.detach().numpy()
    assert set(np.unique(drawn_weights)) <= {-2, -1, 0, 1, 2}
    assert notes == ["linear1.weight, linear1.bias: drawn from −2 … 2 with seed 3", "conv1.bias: 0, as none was given"]
    again = build("conv(1, 2x2) -> batchnorm -> flatten -> linear(2)", (1, 3, 3))
    fill(again, {"conv1.weight": np.ones((2, 2))}, seed=3)
    assert again[3].weight.tolist() == drawn_weights.tolist()
    with pytest.raises(UnknownNameError, match=r"conv1\.weight"):
        fill(model, {"conv1.wieght": np.ones(1)})
    with pytest.raises(ArgumentError, match=r"conv1\.weight: got 3x3, expected 1x1x2x2"):
        fill(model, {"conv1.weight": np.ones((3, 3))})


def test_drawn_numbers_are_small_whole_and_repeatable():
    x = drawn((3, 4, 4), 1)
    assert set(np.unique(x)) <= {0, 1, 2, 3, 4}
    assert (x == drawn((3, 4, 4), 1)).all()
    assert (x != drawn((3, 4, 4), 2)).any()


def test_the_cell_that_is_no_number_is_the_one_named(tmp_path):
    path = tmp_path / "x.csv"
    for row, bad in (("1,1.2.3,4", "1.2.3"), ("1E5,two", "two"), ("., 3", ".")):
        path.write_text(f"{row}\n")
        with pytest.raises(DataError, match=re.escape(f"line 1: {bad!r} is not a number")):
            read(path)


def test_a_long_spec_is_no_name_of_a_folder():
    found = opened(" → ".join(["conv(2, 3x3, padding=1)", "relu"] * 12), "1x6x6")
    assert len(found.boxes) == 25


def test_a_files_target_and_loss_count_for_networks_too(tmp_path):
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"input": np.ones((1, 28, 28)).tolist(), "target": 3, "loss": "cross_entropy"}))
    found = opened("lenet5", str(path), at=["fc3"])
    assert "no target" not in str(found)
    assert found.loss_name == opened("lenet5", str(path), target=3, loss="cross_entropy", at=["fc3"]).loss_name
    path.write_text(json.dumps({"input": np.ones((1, 28, 28)).tolist(), "conv1": {"weight": [1.0]}}))
    with pytest.raises(ArgumentError, match=r"gives conv1\.weight, but lenet5 has its own parameters"):
        opened("lenet5", str(path))
