import pickle

import pytest

from striate.core import errors
from striate.core.errors import ArgumentError, PictureError, StriateError, UnknownNameError, nearest, unknown_name


def test_exit_codes_follow_the_kind_of_error():
    codes = {kind.__name__: kind.exit_code for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, StriateError)}
    assert codes == {
        "StriateError": 1,
        "ArgumentError": 2,
        "UnknownNameError": 2,
        "DataError": 3,
        "PictureError": 3,
        "StorageError": 4,
        "UnwritableError": 4,
        "RunInUseError": 4,
        "TrainingError": 5,
        "DivergenceError": 5,
        "MemoryLimitError": 5,
        "Interrupted": 130,
    }


def test_argument_errors_are_value_errors_too():
    with pytest.raises(ValueError, match="lr: got -1"):
        raise ArgumentError("lr: got -1, expected more than 0")


def test_a_picture_error_survives_the_way_between_processes():
    original = PictureError("photos/cat/7.png", "the file ends early", "Copy it again.")
    back = pickle.loads(pickle.dumps(original))  # noqa: S301
    assert str(back) == "photos/cat/7.png: the file ends early. Copy it again."
    assert (back.path, back.reason, back.fix) == (original.path, original.reason, original.fix)


def test_nearest_is_blind_to_case_and_silent_about_strangers():
    names = ["resnet18", "resnet20", "LeNet5"]
    assert nearest("resnet8", names)[0] == "resnet18"
    assert nearest("lenet-5", names) == ["LeNet5"]
    assert nearest("zzz", names) == []


def test_unknown_names_come_with_the_nearest_and_the_whole_list():
    error = unknown_name("architecture", "resnet81", ["vgg16", "resnet18"])
    assert isinstance(error, UnknownNameError)
    assert str(error) == "unknown architecture 'resnet81'. Did you mean resnet18? (allowed: resnet18, vgg16)"
    assert str(unknown_name("split", "x", [])) == "unknown split 'x'. (there are none)"


def test_a_long_list_is_counted_not_poured_out():
    text = str(unknown_name("class", "zebra", [f"n{number:04d}" for number in range(1000)]))
    assert "1000 are allowed, among them n0000, n0001" in text
    assert "n0012" not in text
