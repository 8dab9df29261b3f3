from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as some

from striate.core.contracts import Batch, ModelSpec, Recipe, dump_json
from striate.core.errors import ArgumentError, UnknownNameError


def test_a_recipe_survives_json():
    recipe = Recipe(name="fast", epochs=3, lr=0.1, milestones=(0.5, 0.75), augment=("shift(2)", "mirror"), clip=1.0, options={"nesterov": True})
    back = Recipe.from_json(json.loads(dump_json(recipe.to_json())))
    assert back == recipe
    assert isinstance(back.epochs, float)
    assert isinstance(back.milestones, tuple)


@given(
    epochs=some.floats(0.01, 1e4),
    batch=some.integers(1, 65536),
    lr=some.floats(1e-9, 10),
    smoothing=some.floats(0, 0.99),
    augment=some.lists(some.sampled_from(["mirror", "shift(2)", "crop(4)"]), max_size=3),
    clip=some.none() | some.floats(0.1, 10),
)
def test_any_recipe_survives_json(**values):
    recipe = Recipe(**{**values, "augment": tuple(values["augment"])})
    assert Recipe.from_json(json.loads(dump_json(recipe.to_json()))) == recipe


def test_every_default_has_the_annotated_type():
    assert Recipe.from_json({}) == Recipe()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 0}, "recipe epochs: got 0.0, expected more than 0"),
        ({"lr": -1.0}, "recipe lr: got -1.0, expected more than 0"),
        ({"batch": 0}, "recipe batch: got 0, expected 1 or more"),
        ({"batch": 12.5}, "batch: got 12.5, expected a whole number"),
        ({"smoothing": 1.0}, "recipe smoothing: got 1.0, expected a share from 0 up to 1"),
        ({"warmup": 5}, "recipe warmup: got 5.0, expected a share from 0 up to 1"),
        ({"divide": 1.0}, "recipe divide: got 1.0, expected more than 1"),
        ({"lr": "high"}, "lr: got 'high', expected a number"),
        ({"augment": "mirror"}, "augment: got 'mirror', expected"),
    ],
)
def test_a_wrong_recipe_is_refused_by_field(values, message):
    with pytest.raises(ArgumentError) as caught:
        Recipe(**values)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"early_stop": 0}, "early_stop: got 0, expected 1 or more, or None"),
        ({"clip": 0.0}, "clip: got 0.0, expected more than 0, or None"),
        ({"patience": 0}, "patience: got 0, expected 1 or more"),
        ({"momentum": 1.5}, "momentum: got 1.5, expected a share"),
        ({"epochs": float("inf")}, "epochs: got inf"),
        ({"lr": float("nan")}, "lr: got nan"),
        ({"patience": float("inf")}, "patience: got inf, expected"),
    ],
)
def test_values_that_could_only_fail_later_are_refused(values, message):
    with pytest.raises(ArgumentError, match=message.replace("(", r"\\(")):
        Recipe(**values)


def test_edits_know_the_fields():
    assert Recipe().edited(lr=0.5, average="ema").average == "ema"
    with pytest.raises(UnknownNameError, match="unknown setting 'learning_rate'"):
        Recipe().edited(learning_rate=0.5)
    with pytest.raises(UnknownNameError, match=r"unknown average 'emma'\. Did you mean ema"):
        Recipe().edited(average="emma")


def test_a_recipe_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Recipe().lr = 1.0


def test_a_model_spec_survives_json():
    spec = ModelSpec("lenet5", 10, (1, 32, 32), {"form": "1998"})
    assert ModelSpec.from_json(json.loads(dump_json(spec.to_json()))) == spec


def test_a_batch_is_as_long_as_its_index():
    import torch

    assert len(Batch(x=torch.zeros(3, 1, 4, 4), y=None, index=torch.arange(3))) == 3


def test_json_is_plain_utf8_and_refuses_nan():
    assert dump_json({"name": "Käfer"}) == '{\n  "name": "Käfer"\n}\n'
    with pytest.raises(ValueError, match="Out of range float values"):
        dump_json({"loss": float("nan")})
