"""One of each trap that has broken a well-known trainer: its pixels come out right, or it is refused with path, reason and fix."""

from __future__ import annotations

import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile, TiffImagePlugin

from striate.core.errors import ArgumentError, PictureError
from striate.pixels import decode, is_picture, jpeg
from striate.pixels.decoding import LARGEST

CORNERS = np.zeros((32, 48, 3), np.uint8)  # one colour per quarter, so that every turn and mirror shows
CORNERS[:16, :24], CORNERS[:16, 24:] = (250, 10, 10), (10, 250, 10)
CORNERS[16:, :24], CORNERS[16:, 24:] = (10, 10, 250), (240, 240, 240)


@pytest.fixture(params=["simplejpeg", "pillow"])
def decoder(request, monkeypatch):
    """Run the test with the quick JPEG path and without it."""
    if request.param == "pillow":
        monkeypatch.setattr(jpeg, "simplejpeg", lambda: None)
    elif jpeg.simplejpeg() is None:
        pytest.skip("simplejpeg is not installed")
    return request.param


def close(found, wanted, within):
    assert found.shape == wanted.shape
    assert np.abs(found.astype(int) - wanted.astype(int)).max() <= within


def refused(path, *words):
    with pytest.raises(PictureError) as caught:
        decode(path)
    error = caught.value
    assert error.path == path
    assert error.reason
    assert error.fix
    for word in words:
        assert word in error.reason, error.reason
    assert str(path) in str(error)


# upright


def as_stored(orientation):
    """What a camera with this EXIF orientation stores for a scene that is CORNERS (EXIF 2.3, tag 274)."""
    scene = CORNERS
    return {
        1: scene,
        2: scene[:, ::-1],
        3: scene[::-1, ::-1],
        4: scene[::-1],
        5: scene.transpose(1, 0, 2),
        6: np.rot90(scene, 1),
        7: np.rot90(scene, 2).transpose(1, 0, 2),
        8: np.rot90(scene, -1),
    }[orientation]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation(tmp_path, orientation, kind, decoder):
    path = tmp_path / f"turned.{kind.lower()}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 98, "subsampling": 0} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    Image.fromarray(np.ascontiguousarray(as_stored(orientation))).save(path, kind, exif=exif, **options)
    close(decode(path), CORNERS, 6 if kind == "JPEG" else 0)


def test_orientation_of_nonsense_leaves_the_picture_as_it_is(tmp_path, decoder):
    exif = Image.Exif()
    exif[0x0112] = 77
    Image.fromarray(CORNERS).save(tmp_path / "a.jpg", quality=98, subsampling=0, exif=exif)
    close(decode(tmp_path / "a.jpg"), CORNERS, 6)


def test_broken_exif_neither_warns_nor_hurts(tmp_path, decoder):
    stream = io.BytesIO()
    Image.fromarray(CORNERS).save(stream, "JPEG", quality=98, subsampling=0)
    body = b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x12\x01\x03\0\xff\xff\xff\xff\xff\xff\xff\xff" * 3
    data = stream.getvalue()[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + stream.getvalue()[2:]
    (tmp_path / "a.jpg").write_bytes(data)
    close(decode(tmp_path / "a.jpg"), CORNERS, 6)


# depth


def test_16_bit_grey_png_is_scaled_not_clipped(tmp_path):
    values = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    Image.fromarray(values).save(tmp_path / "a.png")
    found = decode(tmp_path / "a.png")
    np.testing.assert_array_equal(found[:, :, 0], np.rint(values / 257.0).astype(np.uint8))
    assert found[0, 0, 0] == 0
    assert found[-1, -1, 0] == 255
    np.testing.assert_array_equal(decode(tmp_path / "a.png", channels=3), np.repeat(found, 3, axis=2))


def png(path, values, colour):
    """Write uint16 values H W C as a 16-bit PNG (Pillow cannot): colour type 0, 2, 4 or 6."""
    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def test_16_bit_colour_png_is_scaled(tmp_path):
    values = np.random.default_rng(0).integers(0, 65536, (20, 30, 3), dtype=np.uint16)
    png(tmp_path / "a.png", values, 2)
    close(decode(tmp_path / "a.png"), np.rint(values / 257.0).astype(np.uint8), 1)


def test_16_bit_alpha_is_laid_over_the_background(tmp_path):
    values = np.random.default_rng(1).integers(0, 65536, (20, 30, 4), dtype=np.uint16)
    png(tmp_path / "a.png", values, 6)
    share = values[:, :, 3:] / 65535
    close(decode(tmp_path / "a.png"), np.rint(values[:, :, :3] / 257 * share + 255 * (1 - share)).astype(np.uint8), 2)


@pytest.mark.parametrize("full", [65535, 1023])
def test_deep_pgm_is_scaled_by_its_own_maximum(tmp_path, full):
    values = np.linspace(0, full, 300).astype(np.uint16).reshape(10, 30)
    (tmp_path / "a.pgm").write_bytes(b"P5 30 10 %d\n" % full + values.astype(">u2").tobytes())
    close(decode(tmp_path / "a.pgm")[:, :, 0], np.rint(values / full * 255).astype(np.uint8), 1)


@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_16_bit_tiff_in_both_byte_orders(tmp_path, order):
    values = np.linspace(0, 65535, 300).astype(order).reshape(10, 30)
    Image.frombytes("I;16B" if order == ">u2" else "I;16", (30, 10), values.tobytes()).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(decode(tmp_path / "a.tif")[:, :, 0], np.rint(values / 257.0).astype(np.uint8))


def test_white_is_zero_tiff(tmp_path):
    values = np.linspace(0, 65535, 300).astype(np.uint16).reshape(10, 30)
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    Image.fromarray(values).save(tmp_path / "a.tif", tiffinfo=tags)
    data = bytearray((tmp_path / "a.tif").read_bytes())
    at = data.find(struct.pack("<HHI", 262, 3, 1)) + 8
    data[at : at + 2] = b"\0\0"  # photometric interpretation: black is zero -> white is zero
    (tmp_path / "a.tif").write_bytes(data)
    np.testing.assert_array_equal(decode(tmp_path / "a.tif")[:, :, 0], 255 - np.rint(values / 257.0).astype(np.uint8))


def test_float_tiff_of_shares_is_scaled_and_others_are_refused(tmp_path):
    values = np.linspace(0, 1, 300, dtype=np.float32).reshape(10, 30)
    Image.fromarray(values).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(decode(tmp_path / "a.tif")[:, :, 0], np.rint(values * 255).astype(np.uint8))
    Image.fromarray(values * 300).save(tmp_path / "b.tif")
    refused(tmp_path / "b.tif", "0 to 300")
    values[3, 3] = np.nan
    Image.fromarray(values).save(tmp_path / "c.tif")
    refused(tmp_path / "c.tif", "NaN")


def test_32_bit_integer_tiff_is_refused(tmp_path):
    Image.fromarray(np.arange(300, dtype=np.int32).reshape(10, 30) * 1000).save(tmp_path / "a.tif")
    refused(tmp_path / "a.tif", "299,000", "no stored full scale")


# colour


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk(tmp_path, kind, decoder):
    ink = np.zeros((32, 32, 4), np.uint8)
    ink[:16, :16], ink[:16, 16:], ink[16:, :16], ink[16:, 16:] = (0, 255, 255, 0), (255, 0, 255, 0), (0, 0, 0, 255), (0, 0, 0, 0)
    Image.frombytes("CMYK", (32, 32), ink.tobytes()).save(tmp_path / "a", kind, **({"quality": 98} if kind == "JPEG" else {}))
    if kind == "JPEG":
        assert b"Adobe" in (tmp_path / "a").read_bytes()  # stored inverted, as Photoshop does
    found = decode(tmp_path / "a")
    for (row, column), colour in {(4, 4): (255, 0, 0), (4, 28): (0, 255, 0), (28, 4): (0, 0, 0), (28, 28): (255, 255, 255)}.items():
        close(found[row, column], np.array(colour), 3)


def test_jpeg_stored_as_rgb_is_not_taken_for_ycbcr(tmp_path, decoder):
    Image.fromarray(CORNERS).save(tmp_path / "a.jpg", quality=98, keep_rgb=True)
    close(decode(tmp_path / "a.jpg"), CORNERS, 6)


def test_alpha_over_a_stated_background(tmp_path):
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[:, :, 0], pixels[:, :, 3] = 200, [0, 64, 128, 255]
    Image.fromarray(pixels).save(tmp_path / "a.png")
    for background in ((255, 255, 255), (0, 0, 0), (10, 200, 30)):
        share = pixels[:, :, 3:] / 255
        wanted = np.rint(pixels[:, :, :3] * share + np.array(background) * (1 - share)).astype(np.uint8)
        np.testing.assert_array_equal(decode(tmp_path / "a.png", background=background), wanted)


def test_grey_with_alpha_stays_grey_over_grey(tmp_path):
    pixels = np.zeros((4, 4, 2), np.uint8)
    pixels[:, :, 0], pixels[:, :, 1] = 100, [0, 64, 128, 255]
    Image.fromarray(pixels).save(tmp_path / "a.png")
    share = pixels[:, :, 1:] / 255
    np.testing.assert_array_equal(decode(tmp_path / "a.png"), np.rint(100 * share + 255 * (1 - share)).astype(np.uint8))
    over_green = decode(tmp_path / "a.png", background=(0, 255, 0))
    np.testing.assert_array_equal(over_green[0, 0], (0, 255, 0))
    np.testing.assert_array_equal(over_green[0, 3], (100, 100, 100))


def palette():
    image = Image.fromarray(np.tile(np.arange(4, dtype=np.uint8), (4, 1)))
    image = image.convert("P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9] + [0] * 756)
    return image


def test_palette(tmp_path):
    palette().save(tmp_path / "a.png")
    np.testing.assert_array_equal(decode(tmp_path / "a.png")[0], [(255, 0, 0), (0, 255, 0), (0, 0, 255), (9, 9, 9)])


@pytest.mark.parametrize("transparency", [1, b"\xff\x00\xff\x80"])
def test_palette_with_transparency(tmp_path, transparency):
    palette().save(tmp_path / "a.png", transparency=transparency)
    found = decode(tmp_path / "a.png", background=(50, 60, 70))
    last = (9, 9, 9) if transparency == 1 else tuple(round(9 * 128 / 255 + b * 127 / 255) for b in (50, 60, 70))
    np.testing.assert_array_equal(found[0], [(255, 0, 0), (50, 60, 70), (0, 0, 255), last])


@pytest.mark.parametrize(("mode", "key"), [("RGB", (250, 10, 10)), ("L", 7), ("1", 0)])
def test_one_colour_stored_as_transparent(tmp_path, mode, key):
    image = Image.new(mode, (2, 1), key)
    image.putpixel((1, 0), {"RGB": (1, 2, 3), "L": 90, "1": 255}[mode])
    image.save(tmp_path / "a.png", transparency=key)
    found = decode(tmp_path / "a.png", channels=3, background=(5, 6, 7))
    np.testing.assert_array_equal(found[0], [(5, 6, 7), {"RGB": (1, 2, 3), "L": (90, 90, 90), "1": (255, 255, 255)}[mode]])


def test_1_bit(tmp_path):
    bits = np.random.default_rng(2).random((9, 13)) > 0.5
    Image.fromarray(bits).save(tmp_path / "a.png")
    np.testing.assert_array_equal(decode(tmp_path / "a.png")[:, :, 0], bits * np.uint8(255))
    Image.fromarray(bits).save(tmp_path / "a.tif", compression="group4")
    np.testing.assert_array_equal(decode(tmp_path / "a.tif")[:, :, 0], bits * np.uint8(255))


def test_channels_asked_for(tmp_path):
    Image.fromarray(CORNERS).save(tmp_path / "a.png")
    luma = np.rint(CORNERS @ np.array([0.299, 0.587, 0.114]))
    close(decode(tmp_path / "a.png", channels=1)[:, :, 0], luma, 1)
    with pytest.raises(ArgumentError, match="channels: got 2"):
        decode(tmp_path / "a.png", channels=2)


def test_lab_is_refused(tmp_path):
    Image.new("LAB", (4, 4), (50, 10, 10)).save(tmp_path / "a.tif")
    refused(tmp_path / "a.tif", "Lab")


# first frame of many


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF", "MPO"])
def test_first_frame_of_animations_and_pages(tmp_path, kind, decoder):
    frames = [Image.new("RGB", (24, 16), colour) for colour in ((200, 30, 30), (30, 200, 30), (30, 30, 200))]
    options = {"lossless": True} if kind == "WEBP" else {"quality": 98} if kind == "MPO" else {}
    path = tmp_path / ("a.jpg" if kind == "MPO" else f"a.{kind.lower()}")
    frames[0].save(path, kind, save_all=True, append_images=frames[1:], **options)
    close(decode(path), np.full((16, 24, 3), (200, 30, 30), np.uint8), 3)


# no picture, or not a whole one


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
@pytest.mark.parametrize("part", [0.3, 0.9])
def test_cut_off(tmp_path, kind, part, decoder):
    noise = np.random.default_rng(3).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, kind)
    path = tmp_path / f"cut.{kind.lower()}"
    path.write_bytes(stream.getvalue()[: int(len(stream.getvalue()) * part)])
    refused(path)


def test_cut_off_is_refused_even_when_another_library_made_pillow_lenient(tmp_path, monkeypatch, decoder):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(3).integers(0, 256, (60, 80, 3), dtype=np.uint8)).save(stream, "JPEG")
    (tmp_path / "cut.jpg").write_bytes(stream.getvalue()[: len(stream.getvalue()) // 2])
    refused(tmp_path / "cut.jpg", "cut off")
    assert ImageFile.LOAD_TRUNCATED_IMAGES


def test_damaged_png_checksum(tmp_path):
    stream = io.BytesIO()
    Image.fromarray(CORNERS).save(stream, "PNG")
    data = bytearray(stream.getvalue())
    data[data.find(b"IDAT") + 10] ^= 0xFF
    (tmp_path / "a.png").write_bytes(data)
    refused(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty (0 bytes)"),
        (b"\0" * 5000, "only zero bytes"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "web page (HTML)"),
        (b"\n  <HTML><head></head></HTML>", "web page (HTML)"),
        (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"<Error><Code>AccessDenied</Code></Error>", "XML or HTML"),
        (b'{"error": "not found"}', "JSON"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "Git LFS pointer"),
        (b"%PDF-1.7 ...", "PDF"),
        (b"PK\x03\x04....", "ZIP"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
        (b"Not Found", "text, not a picture (it begins 'Not Found')"),
        (b"\x93\xfa\x01\x02\x03\x04\x05\x06\x07", "93 fa 01 02"),
        (b"\xff\xd8\xff\xe0", ""),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "text"),
    ],
)
def test_files_that_only_look_like_pictures(tmp_path, content, words, decoder):
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    refused(path, words)


def test_a_file_that_is_not_there_or_is_a_folder(tmp_path):
    refused(tmp_path / "nowhere.jpg", "does not exist")
    (tmp_path / "folder.jpg").mkdir()
    refused(tmp_path / "folder.jpg", "cannot be read")


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="the superuser may read everything")
def test_no_permission(tmp_path):
    Image.fromarray(CORNERS).save(tmp_path / "a.png")
    (tmp_path / "a.png").chmod(0)
    refused(tmp_path / "a.png", "Permission")


def test_decompression_bombs_are_refused_before_they_unfold(tmp_path, decoder):
    side = int(LARGEST**0.5) + 1

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(10000))) + chunk(b"IEND", b""))
    refused(tmp_path / "bomb.png", "bomb")
    stream = io.BytesIO()
    Image.fromarray(CORNERS).save(stream, "JPEG")
    data = bytearray(stream.getvalue())
    at = data.find(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 60000, 60000)
    (tmp_path / "bomb.jpg").write_bytes(data)
    refused(tmp_path / "bomb.jpg", "60,000 × 60,000", "bomb")


def test_large_but_honest_pictures_do_not_warn(tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # 1,536 pixels: Pillow warns, striate's own limit decides
        Image.fromarray(CORNERS).save(tmp_path / "a.png")
        np.testing.assert_array_equal(decode(tmp_path / "a.png"), CORNERS)


def test_wrong_extension_is_nobodys_problem(tmp_path, decoder):
    Image.fromarray(CORNERS).save(tmp_path / "a.jpg", "PNG")
    np.testing.assert_array_equal(decode(tmp_path / "a.jpg"), CORNERS)
    assert is_picture("A.JPG")
    assert is_picture("x.heic")
    assert not is_picture("notes.txt")


def test_one_pixel(tmp_path, decoder):
    for kind in ("PNG", "JPEG"):
        Image.new("RGB", (1, 1), (120, 120, 120)).save(tmp_path / kind, kind)
        close(decode(tmp_path / kind, short_side=448), np.full((1, 1, 3), 120, np.uint8), 1)
