"""The quick path equals Pillow; large photographs are read smaller without losing what was asked to be kept; warnings stay inside."""

from __future__ import annotations

import threading
import warnings

import numpy as np
import pytest
from PIL import Image

from striate.pixels import decode, decode_bytes, jpeg
from striate.pixels.quiet import strict_pillow
from striate.pixels.scaling import reduction


def smooth(height, width, channels=3, seed=0):
    """A picture with the smoothness of photographs: low-frequency noise enlarged."""
    small = np.random.default_rng(seed).integers(0, 256, (max(2, height // 12), max(2, width // 12), 3), dtype=np.uint8)
    image = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    return image if channels == 3 else image.convert("L")


@pytest.mark.skipif(jpeg.simplejpeg() is None, reason="simplejpeg is not installed")
@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("size", [(64, 96), (127, 93), (17, 250)])
def test_quick_path_equals_pillow(tmp_path, monkeypatch, subsampling, progressive, size):
    path = tmp_path / "a.jpg"
    for channels in (1, 3):
        smooth(*size, channels).save(path, quality=85, subsampling=subsampling, progressive=progressive)
        for short_side in (None, 8):
            quick = decode(path, short_side=short_side)
            with monkeypatch.context() as patch:
                patch.setattr(jpeg, "simplejpeg", lambda: None)
                slow = decode(path, short_side=short_side)
            assert quick.shape == slow.shape
            assert np.abs(quick.astype(int) - slow).max() <= 2


@pytest.mark.parametrize("kind", ["plain", "turned", "grey", "png", "short"])
def test_a_buffer_does_not_change_the_pixels(tmp_path, kind):
    path, exif = tmp_path / "a", Image.Exif()
    exif[0x0112] = 6 if kind == "turned" else 1
    picture = smooth(40, 60, 1 if kind == "grey" else 3)
    picture.save(path, "PNG" if kind == "png" else "JPEG", exif=exif)
    buffer = np.zeros(100 if kind == "short" else 10000, np.uint8)
    found = decode_bytes(path.read_bytes(), path, channels=3, buffer=buffer)
    np.testing.assert_array_equal(found, decode(path, channels=3))
    if kind == "plain" and jpeg.simplejpeg() is not None:
        assert found.ctypes.data == buffer.ctypes.data


def test_quick_path_is_taken_for_plain_jpegs_only(tmp_path):
    smooth(40, 60).save(tmp_path / "a.jpg")
    assert jpeg.header((tmp_path / "a.jpg").read_bytes()) == (40, 60, 3, 1)
    smooth(40, 60).convert("CMYK").save(tmp_path / "b.jpg")
    assert jpeg.header((tmp_path / "b.jpg").read_bytes()) is None
    smooth(40, 60).save(tmp_path / "c.png")
    assert jpeg.header((tmp_path / "c.png").read_bytes()) is None


@pytest.mark.parametrize(
    ("height", "width", "short_side", "factor"),
    [
        (3000, 4000, 448, 4),
        (4000, 3000, 448, 4),
        (3584, 5000, 448, 8),
        (3583, 5000, 448, 4),
        (895, 2000, 448, 1),
        (896, 2000, 448, 2),
        (90000, 90000, 448, 8),
        (5, 5, None, 1),
    ],
)
def test_reduction_keeps_the_short_side(height, width, short_side, factor):
    assert reduction(height, width, short_side) == factor


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "CMYK"])
def test_reduced_decoding_looks_like_the_whole_picture_averaged(tmp_path, kind):
    picture = smooth(400, 601)
    path = tmp_path / "a.img"
    if kind == "CMYK":
        picture.convert("CMYK").save(path, "JPEG", quality=95)
    else:
        picture.save(path, kind, quality=95)
    whole, small = decode(path), decode(path, short_side=100)
    assert whole.shape == (400, 601, 3)
    assert small.shape == (100, 151, 3)
    blocks = whole[:, :600].reshape(100, 4, 150, 4, 3).mean(axis=(1, 3))
    assert np.abs(small[:, :150] - blocks).mean() < 1.5


def test_a_photograph_far_larger_than_eight_times_is_reduced_by_eight_only(tmp_path, monkeypatch):
    smooth(640, 480).save(tmp_path / "a.jpg")
    for module in (jpeg.simplejpeg(), None):
        monkeypatch.setattr(jpeg, "simplejpeg", lambda module=module: module)
        assert decode(tmp_path / "a.jpg", short_side=10).shape == (80, 60, 3)


def test_turned_and_reduced(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    smooth(320, 480).save(tmp_path / "a.jpg", exif=exif, quality=95)
    plain = np.rot90(decode(tmp_path / "a.jpg"), 1)
    small = decode(tmp_path / "a.jpg", short_side=80)
    assert small.shape == (120, 80, 3)
    assert np.abs(np.rot90(small, 1) - plain.reshape(80, 4, 120, 4, 3).mean(axis=(1, 3))).mean() < 1.5


def test_pillows_warnings_are_held_back_in_threads_and_let_go_afterwards():
    before = list(warnings.filters)
    inside = threading.Barrier(4, timeout=10)

    def work():
        with strict_pillow():
            inside.wait()
            Image._decompression_bomb_check((10000, 10000))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before
    with pytest.warns(Image.DecompressionBombWarning):
        Image._decompression_bomb_check((10000, 10000))
