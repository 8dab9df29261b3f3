from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits, load_sample_images
from sklearn.utils.class_weight import compute_class_weight

from striate.core.errors import ArgumentError, DataError, PictureError, UnknownNameError
from striate.data import alike, arrays
from striate.data.alike import equal_groups, find_alike, near_pairs
from striate.data.checks import check, class_weights
from striate.data.contact import contact_sheet
from striate.data.dataset import Dataset, Table
from striate.data.findings import CheckReport
from striate.data.sources.folder import folder
from striate.data.stores import Fixed, Ragged, Tokens, array_fingerprint


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))


def fixed(pixels):
    return Fixed(pixels, array_fingerprint([pixels]))


def ragged(pictures):
    data = np.concatenate([picture.ravel() for picture in pictures])
    offsets = np.cumsum([0, *(picture.size for picture in pictures)]).astype(np.int64)
    shapes = np.array([picture.shape for picture in pictures], np.int32)
    return Ragged(data, offsets, shapes, array_fingerprint([data, shapes]))


def crops(count, seed=0):
    """Different pieces of two photographs."""
    rng = np.random.default_rng(seed)
    photographs = load_sample_images().images
    found = []
    for number in range(count):
        photograph = photographs[number % 2]
        high, wide = rng.integers(90, 200, 2)
        top, left = rng.integers(0, photograph.shape[0] - high), rng.integers(0, photograph.shape[1] - wide)
        found.append(np.ascontiguousarray(photograph[top : top + high, left : left + wide]))
    return found


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def dataset(train, test, classes=("cat", "dog"), **more):
    return Dataset(name="pets", classes=classes, tables={"train": train, "test": test}, **more)


def as_jpeg(picture, quality):
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))


def test_equal_groups_by_hand():
    assert equal_groups([b"a", b"b", b"a", b"c", b"b", b"a"]) == [[0, 2, 5], [1, 4]]


def test_the_search_finds_exactly_what_comparing_all_with_all_finds():
    """The oracle: the whole correlation matrix."""
    pictures = np.repeat(np.repeat((load_digits().images * 15.9).astype(np.uint8), 4, axis=1), 4, axis=2)
    coarse = pictures.reshape(-1, 16, 2, 16, 2).mean(axis=(2, 4)).reshape(len(pictures), -1)
    every = np.corrcoef(coarse)
    expected = {(i, j) for i, j in np.argwhere(np.triu(every >= alike.LIKE, 1)).tolist()}
    flat = alike._unit(coarse.astype(np.float32))
    pairs, least = alike._candidates(flat)
    found = {(i, j) for (i, j), like in zip(pairs.tolist(), alike._pairwise(flat, pairs), strict=True) if like >= least}
    assert least == alike.LIKE
    assert len(expected) > 20
    assert found == expected


def test_handwriting_is_not_full_of_near_duplicates():
    pictures = np.repeat(np.repeat((load_digits().images * 15.9).astype(np.uint8), 4, axis=1), 4, axis=2)
    pairs, _, common, _ = near_pairs(pictures)
    assert len(pairs) == 0
    assert common > 20


def test_the_same_picture_saved_again_is_found_and_different_ones_are_not():
    pictures = crops(60)
    for number, change in enumerate(
        (
            lambda p: as_jpeg(p, 40),
            lambda p: np.asarray(Image.fromarray(p).resize((p.shape[1] // 2, p.shape[0] // 2))),
            lambda p: (p * 0.6 + 40).astype(np.uint8),
            lambda p: p[1:-1, 1:-1],
            lambda p: np.repeat(p.mean(axis=2, keepdims=True), 1, axis=2).astype(np.uint8),
        )
    ):
        pictures.append(np.ascontiguousarray(change(pictures[7 * number])))
    found = find_alike([ragged(pictures)])
    assert {tuple(pair) for pair in found.pairs.tolist()} == {(7 * number, 60 + number) for number in range(5)}
    assert found.groups == []
    assert (found.likeness > 0.98).all()


def test_frames_of_a_film_count_though_they_are_many():
    photograph = load_sample_images().images[0]
    frames = [np.ascontiguousarray(photograph[100:300, 100 + n : 400 + n]) for n in range(40)]
    found = find_alike([ragged([*crops(30), *frames])])
    assert len({place for pair in found.pairs.tolist() for place in pair if place >= 30}) == 40
    assert found.pairs.min() >= 30


def test_exact_copies_leaks_conflicts_and_flat_pictures_are_told_apart():
    train, test = noise(6, 3, 8, 8), noise(4, 3, 8, 8, seed=1)
    train[3] = train[0]  # a copy with the same class
    train[4] = train[1]  # a copy with another class
    test[2] = train[5]  # a leak
    test[3] = 77  # one flat colour
    found = check(
        dataset(
            Table(fixed(train), np.array([0, 0, 1, 0, 1, 1]), [f"{n}.png" for n in range(6)]),
            Table(fixed(test), np.array([0, 1, 1, 0])),
        )
    )
    assert [[(s.split, s.index) for s in group] for group in found.duplicates] == [
        [("train", 0), ("train", 3)],
        [("train", 1), ("train", 4)],
        [("train", 5), ("test", 2)],
    ]
    assert found.leaks == (found.duplicates[2],)
    assert found.conflicts == (found.duplicates[1],)
    assert [(s.split, s.index) for s in found.blank] == [("test", 3)]
    assert not found.ok
    text = " ".join(found.warnings)
    assert "1 picture of test is also in train, with the same pixels" in text
    assert "1 picture carries more than one class (first: train/1.png (cat) and train/4.png (dog))" in text
    assert "train holds 2 superfluous copies of its own pictures" in text
    assert "1 picture is one flat colour (first: test[3] (cat))" in text


def test_equal_bytes_of_another_shape_are_no_copy():
    data = noise(2, 12)[0]
    store = ragged([data.reshape(2, 2, 3), data.reshape(1, 4, 3), data.reshape(2, 2, 3)])
    assert find_alike([store]).groups == [[0, 2]]


def test_near_leaks_say_how_many_pictures_of_the_test_split():
    pictures = crops(20)
    copies = [as_jpeg(pictures[3], 50), as_jpeg(pictures[3], 30), as_jpeg(pictures[8], 50), crops(1, seed=9)[0]]
    found = check(dataset(Table(ragged(pictures), np.arange(20) % 2), Table(ragged(copies), np.array([1, 1, 0, 0]))))
    assert len(found.near_leaks) == 3
    assert found.leaks == ()
    assert any("3 pictures of test have a near duplicate in train" in warning for warning in found.warnings)


def test_copies_are_told_by_their_pixels_for_the_files_may_differ(tmp_path):
    grey = np.random.default_rng(0).integers(0, 256, (40, 40), dtype=np.uint8)
    for part in ("train", "val"):
        for number, label in enumerate(("cat", "dog")):
            (tmp_path / "pets" / part / label).mkdir(parents=True)
            Image.fromarray(grey[::-1] // (number + 2)).save(tmp_path / "pets" / part / label / f"own-{part}.png")
    for part in ("train", "val"):
        Image.fromarray(grey // (2 if part == "val" else 3)).save(tmp_path / "pets" / part / "dog" / "other.png")
    wide, narrow = tmp_path / "pets" / "train" / "cat" / "sixteen.png", tmp_path / "pets" / "val" / "cat" / "grey.png"
    Image.fromarray(grey.astype(np.uint16) * 257).save(wide)
    Image.fromarray(grey).save(narrow)
    assert wide.read_bytes() != narrow.read_bytes()
    found = folder(tmp_path / "pets").check()
    assert {sample.name for group in found.leaks for sample in group} >= {"train/cat/sixteen.png", "val/cat/grey.png"}
    assert "also in train, with the same pixels" in str(found)
    assert "same pixels" in str(found)
    assert "byte for byte" not in str(found)
    assert "exact" not in str(found)


def test_an_empty_class_folder_is_something_to_mend(tmp_path):
    for label in ("cat", "dog"):
        for number, picture in enumerate(noise(18, 3, 8, 8, seed=len(label) + ord(label[0]))):
            (tmp_path / "pets" / label).mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture.transpose(1, 2, 0)).save(tmp_path / "pets" / label / f"{number}.png")
    assert folder(tmp_path / "pets").check().ok
    (tmp_path / "pets" / "Empty").mkdir()
    found = folder(tmp_path / "pets").check()
    assert found.warnings == ["1 class folder holds no picture and is no class: Empty. Put pictures in, or remove it."]
    assert "Nothing to mend" not in str(found)
    told = json.loads(json.dumps(found.to_json()))
    assert CheckReport.from_json(told) == found
    del told["empty_folders"]  # written before they were looked for
    assert CheckReport.from_json(told).empty_folders == ()


def test_a_leak_from_validation_into_test_counts_too():
    pixels = noise(30, 1, 6, 6)
    tables = {
        "train": Table(fixed(pixels[:20]), np.arange(20) % 2),
        "val": Table(fixed(pixels[20:26]), np.arange(6) % 2),
        "test": Table(fixed(pixels[[0, 20, 21, 28]]), np.arange(4) % 2),
    }
    found = check(Dataset(name="pets", classes=("cat", "dog"), tables=tables))
    assert found.warnings[0] == (
        "3 pictures of test are also in train and val, with the same pixels: figures on test come out too good. Remove them from train and val."
    )


def test_near_duplicates_with_two_classes_are_told():
    pictures = crops(20)
    pictures.append(as_jpeg(pictures[2], 50))
    found = check(dataset(Table(ragged(pictures), np.array([0, 1] * 10 + [1])), Table(ragged(crops(4, seed=5)), np.array([0, 1, 0, 1]))))
    assert any("1 pair of near duplicates carries two classes" in warning for warning in found.warnings)


def test_sizes_and_channels_by_hand():
    pictures = [np.zeros((h, w, c), np.uint8) for h, w, c in ((10, 20, 3), (30, 10, 1), (40, 50, 3))]
    for n, picture in enumerate(pictures):
        picture[0, 0] = n + 1
    facts = check(dataset(Table(ragged(pictures), np.array([0, 1, 1])), Table(ragged(pictures[:1]), np.array([0])))).splits["train"]
    assert facts.sizes == ((10, 20), (30, 10), (40, 50))
    assert facts.aspect == pytest.approx((1 / 3, 1.25, 2.0))
    assert facts.channels == {1: 1, 3: 2}
    assert facts.counts == [1, 2]
    assert facts.distinct == 3


def test_class_weights_are_scikit_learns():
    targets = np.repeat([0, 1, 2], [70, 20, 5])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=targets)
    assert class_weights(np.bincount(targets)) == pytest.approx(expected.tolist())
    assert class_weights([4, 0, 4]) == [1.0, 0.0, 1.0]


def test_imbalance_missing_and_small_classes_are_told():
    targets = np.repeat([0, 1], [40, 4])
    found = check(
        dataset(Table(fixed(noise(44, 1, 6, 6)), targets), Table(fixed(noise(3, 1, 6, 6, seed=2)), np.zeros(3, np.int64)), ("cat", "dog", "cow"))
    )
    assert found.imbalance == 10
    text = " ".join(found.warnings)
    assert "train has no picture of cow: they cannot be learned" in text
    assert "test has no picture of dog, cow: their error cannot be measured" in text
    assert "train has fewer than 10 pictures of dog" in text
    assert "train has 10 times as many pictures of cat as of dog: train with class weights (--set class_weights=true)" in text


def test_broken_files_are_counted_and_the_fix_is_said():
    problem = PictureError("a/b.jpg", "the file ends early", "Fetch it again.")
    found = check(
        dataset(Table(fixed(noise(20, 1, 5, 5)), np.arange(20) % 2), Table(fixed(noise(4, 1, 5, 5, seed=3)), np.arange(4) % 2), problems=(problem,))
    )
    assert found.warnings == ["1 file could not be read and is left out (first: a/b.jpg: the file ends early). Fetch it again."]
    assert "1 left out" in str(found)


def test_clean_data_is_ok_and_the_table_holds_every_count():
    found = check(
        dataset(Table(fixed(noise(30, 3, 9, 9)), np.repeat([0, 1], [10, 20])), Table(fixed(noise(6, 3, 9, 9, seed=1)), np.repeat([0, 1], [2, 4])))
    )
    assert found.ok
    lines = str(found).splitlines()
    assert lines[0] == "pets: 36 pictures, 2 classes"
    assert [line.split() for line in lines[2:6]] == [["class", "train", "test"], ["cat", "10", "2"], ["dog", "20", "4"], ["all", "30", "6"]]
    assert lines[-1] == "Nothing to mend."


def test_many_classes_are_shown_by_their_ends():
    names = tuple(f"c{n}" for n in range(50))
    targets = np.concatenate([np.full(60 - n, n) for n in range(50)])
    table = Table(fixed(noise(len(targets), 1, 4, 4)), targets)
    text = str(check(dataset(table, Table(fixed(noise(50, 1, 4, 4, seed=1)), np.arange(50)), names), near=False))
    assert "… 40 more" in text
    assert "c0 " in text
    assert "c49" in text
    assert "c20" not in text
    assert "near copies  not looked for" in text


def test_unlabelled_data_is_said_to_be_so():
    found = check(dataset(Table(fixed(noise(8, 1, 4, 4))), Table(fixed(noise(4, 1, 4, 4, seed=1)))))
    assert found.imbalance is None
    assert found.class_weights is None
    assert found.warnings == ["train has no labels: it can be predicted and looked at, not learned from as classes."]


def test_sentences_too():
    tokens = np.array([[1, 2, 0], [3, 4, 5], [1, 2, 0], [0, 0, 0]])
    store = Tokens(tokens, np.array([2, 3, 2, 0]), array_fingerprint([tokens]))
    found = check(dataset(Table(store, np.array([0, 1, 1, 0])), Table(store.take(np.array([1])), np.array([1]))))
    assert len(found.conflicts) == 1
    assert len(found.leaks) == 1
    assert [s.index for s in found.blank] == [3]
    assert found.near is None
    assert "sentence" in " ".join(found.warnings)
    with pytest.raises(DataError, match="is text"):
        contact_sheet(dataset(Table(store, np.array([0, 1, 1, 0])), Table(store, np.array([0, 1, 1, 0]))))


def test_json_goes_there_and_back():
    pictures = crops(12)
    pictures += [as_jpeg(pictures[1], 50), pictures[2]]
    problem = PictureError("x.png", "empty", "Remove it.")
    found = check(dataset(Table(ragged(pictures), np.arange(14) % 2), Table(ragged(crops(3, seed=4)), np.array([0, 1, 0])), problems=(problem,)))
    spelled = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert CheckReport.from_json(spelled) == found
    assert spelled["warnings"] == found.warnings
    assert len(found.near) == 1


def test_the_second_time_comes_from_the_cache_and_a_torn_one_is_made_anew(tmp_path, monkeypatch):
    stores = [ragged([*crops(10), as_jpeg(crops(10)[4], 50)])]
    first = find_alike(stores)
    (kept,) = (tmp_path / "cache" / "alike").iterdir()
    monkeypatch.setattr(alike, "_look", lambda store: pytest.fail("looked again"))
    again = find_alike(stores)
    np.testing.assert_array_equal(again.pairs, first.pairs)
    assert again.groups == first.groups
    monkeypatch.undo()
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    kept.write_text("{")
    np.testing.assert_array_equal(find_alike(stores).pairs, first.pairs)


def test_floats_of_any_range_and_many_channels():
    pixels = np.random.default_rng(0).normal(size=(12, 5, 10, 10)).astype(np.float32) * 1e4
    pixels[7] = pixels[2]
    pixels[9] = pixels[3] * 0.5 + 100
    pixels[0, 0, 0, 0] = np.nan
    found = find_alike([fixed(pixels)])
    assert found.groups == [[2, 7]]
    assert found.pairs.tolist() == [[3, 9]]


def test_a_set_where_all_looks_alike_is_searched_strictly_and_says_so(monkeypatch):
    monkeypatch.setattr(alike, "MANY", 50)
    photograph = load_sample_images().images[1]
    frames = [np.ascontiguousarray(photograph[100:300, 100 + n // 4 : 400 + n // 4] // 2 + n % 4) for n in range(60)]
    found = check(dataset(Table(ragged(frames), np.arange(60) % 2), Table(ragged(crops(4)), np.array([0, 1, 0, 1]))))
    assert found.least > alike.LIKE
    assert "only correlations of" in str(found)


def test_html_shows_hostile_names_as_text_and_the_near_pairs():
    pictures = crops(11)
    pictures.append(as_jpeg(pictures[1], 50))
    held = dataset(
        Table(ragged(pictures), np.arange(12) % 2, [f"<b>{n}" for n in range(12)]),
        Table(ragged(crops(2, seed=3)), np.array([0, 1])),
        ("<i>cat", "dog"),
    )
    found = "".join(check(held).html(held))
    assert "<i>" not in found
    assert "&lt;i&gt;cat" in found
    assert found.count("<img") == 2


def test_contact_sheet_shows_each_class_in_its_row(tmp_path):
    pixels = np.zeros((9, 3, 10, 10), np.uint8)
    pixels[:6, 0], pixels[6:, 2] = 255, 255  # class 0 red, class 1 blue
    held = dataset(Table(fixed(pixels), np.repeat([0, 1], [6, 3])), Table(fixed(pixels[:2]), np.array([0, 1])))
    contact_sheet(held, per_class=4, path=tmp_path / "sheet.png")
    image = np.asarray(Image.open(tmp_path / "sheet.png").convert("RGB")).astype(int)
    red, blue = image[..., 0] - image[..., 2] > 200, image[..., 2] - image[..., 0] > 200
    assert np.flatnonzero(red.any(axis=1)).max() < np.flatnonzero(blue.any(axis=1)).min()
    assert red.sum() / blue.sum() == pytest.approx(4 / 3, rel=0.03)  # four of six, all three
    with pytest.raises(UnknownNameError, match="Did you mean test"):
        contact_sheet(held, "tset")
    with pytest.raises(ArgumentError, match=r"seed: got -1, expected a whole number, 0 or more"):
        contact_sheet(held, seed=-1)


@pytest.mark.data
@pytest.mark.slow
def test_the_real_sets(monkeypatch):
    """CIFAR-10's known near duplicates are found; MNIST's many ones are not taken for copies."""
    import striate.data

    mnist = check(striate.data.load("mnist"))
    assert mnist.ok
    assert mnist.common > 10_000
    cifar = check(striate.data.load("cifar10"))
    assert len(cifar.near_leaks) > 20
    assert sum(a.label == b.label for a, b, _ in cifar.near) > 0.95 * len(cifar.near)


def test_class_weights_are_the_same_wherever_they_are_asked_for():
    data = arrays(np.zeros((6, 1, 4, 4), np.uint8), np.array([0, 0, 0, 0, 2, 2]), classes=("a", "b", "c"))
    assert data.class_weights().tolist() == class_weights(data.class_counts()) == [0.75, 0.0, 1.5]
