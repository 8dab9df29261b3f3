"""An open PIL picture gives the pixels that its file gives, in every mode; what its file would be refused for, it is refused for."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from striate.core.errors import ArgumentError, PictureError
from striate.pixels import decode, decode_open

RAMP = np.linspace(0, 65535, 48).astype(np.uint16).reshape(6, 8)
COLOUR = np.random.default_rng(0).integers(0, 256, (6, 8, 4), dtype=np.uint8)


def _pictures() -> dict[str, tuple[Image.Image, str]]:
    """Pictures of every mode that a file keeps, and the file's ending."""
    rgba = Image.fromarray(COLOUR)
    rgb = rgba.convert("RGB")
    keyed = rgb.copy()
    keyed.info["transparency"] = tuple(int(value) for value in COLOUR[2, 3, :3])
    return {
        "1": (rgb.convert("1"), "png"),
        "L": (rgb.convert("L"), "png"),
        "LA": (rgba.convert("LA"), "png"),
        "P": (rgb.convert("P", palette=Image.Palette.ADAPTIVE), "png"),
        "RGB": (rgb, "png"),
        "RGB with one colour stored as transparent": (keyed, "png"),
        "RGBA": (rgba, "png"),
        "CMYK": (rgb.convert("CMYK"), "tif"),
        "I;16": (Image.fromarray(RAMP), "png"),
        "I;16 as TIFF": (Image.fromarray(RAMP), "tif"),
        "F": (Image.fromarray((RAMP / 65535).astype(np.float32)), "tif"),
    }


@pytest.mark.parametrize("kind", list(_pictures()))
@pytest.mark.parametrize("background", [(255, 255, 255), (200, 30, 90)])
def test_a_picture_made_or_opened_is_what_its_file_is(tmp_path, kind, background):
    made, ending = _pictures()[kind]
    path = tmp_path / f"a.{ending}"
    made.save(path)
    wanted = decode(path, background=background)
    with Image.open(path) as opened:
        assert np.array_equal(decode_open(opened, background=background), wanted)
    assert np.array_equal(decode_open(made, background=background), wanted)
    for channels in (1, 3):
        assert np.array_equal(decode_open(made, background=background, channels=channels), decode(path, background=background, channels=channels))


def test_a_16_bit_ramp_is_scaled_and_floats_are_shares_of_white():
    assert np.array_equal(decode_open(Image.fromarray(RAMP))[:, :, 0], np.rint(RAMP / 257).astype(np.uint8))
    assert np.array_equal(decode_open(Image.fromarray((RAMP / 65535).astype(np.float32)))[:, :, 0], np.rint(RAMP / 257).astype(np.uint8))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_an_open_picture_as_it_turns_its_file(tmp_path, orientation):
    path = tmp_path / "a.png"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(COLOUR).convert("RGB").save(path, exif=exif)
    with Image.open(path) as opened:
        found = decode_open(opened)
        smaller = decode_open(opened.crop((0, 0, 7, 6)))  # it still says how it lies
    assert np.array_equal(found, decode(path))
    assert found.shape == ((6, 8, 3) if orientation < 5 else (8, 6, 3))
    assert smaller.shape == ((6, 7, 3) if orientation < 5 else (7, 6, 3))


def test_large_pictures_are_read_smaller_and_left_as_they_were(tmp_path):
    small = np.random.default_rng(1).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    large = Image.fromarray(small).resize((400, 300), Image.Resampling.BICUBIC)
    for ending, most in (("png", 0), ("jpg", 2)):
        path = tmp_path / f"a.{ending}"
        large.save(path)
        wanted = decode(path, short_side=32)
        with Image.open(path) as opened:
            found = decode_open(opened, short_side=32)
            assert opened.size == (400, 300)
        assert found.shape == wanted.shape == (38, 50, 3)
        assert np.abs(found.astype(int) - wanted).max() <= most


def test_the_frame_it_stands_at_is_read(tmp_path):
    path = tmp_path / "a.gif"
    frames = [Image.fromarray(np.full((4, 4), level, np.uint8)) for level in (0, 255)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    with Image.open(path) as opened:
        assert decode_open(opened).max() == 0
        opened.seek(1)
        assert decode_open(opened).min() == 255


def test_what_a_file_is_refused_for_an_open_picture_is_refused_for(tmp_path):
    for made, words in (
        (Image.fromarray(RAMP.astype(np.int32)), r"images\[2\]: has integer pixels from 0 to 65,535 with no stored full scale"),
        (Image.fromarray(np.full((4, 4), 2, np.float32)), r"images\[2\]: has floating-point pixels from 0 to 2|from 2 to 2"),
        (Image.fromarray(COLOUR).convert("RGB").convert("LAB"), r"images\[2\]: is in the CIE Lab colour space"),
    ):
        with pytest.raises(PictureError, match=words):
            decode_open(made, "images[2]")
    path = tmp_path / "cut.png"
    Image.fromarray(COLOUR).save(path)
    path.write_bytes(path.read_bytes()[:-40])
    with Image.open(path) as opened, pytest.raises(PictureError, match=r"cut\.png: is (cut off|damaged)"):
        decode_open(opened)
    with pytest.raises(ArgumentError, match="picture: got ndarray, expected a PIL picture"):
        decode_open(COLOUR)
    with pytest.raises(ArgumentError, match="channels: got 2"):
        decode_open(Image.fromarray(COLOUR), channels=2)


def test_a_folder_in_a_pictures_place_is_called_one(tmp_path):
    with pytest.raises(PictureError, match=r"cannot be read: it is a folder\. Give the picture files in it"):
        decode(tmp_path)
