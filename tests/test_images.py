"""The image reader: answers, pixel rules, orientation and arguments."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFile

from imgsim_fast import images
from imgsim_fast.errors import (
    ImageDecodeError,
    InvalidInputError,
    InvalidTypeError,
)
from imgsim_fast.images import decode, open_pixels, read_file, to_grey, upright
from tests.image_files import (
    FORMATS,
    RULES,
    SHORT,
    chunk,
    encode,
    le16,
    over,
    picture,
    png,
    reason_of,
    row,
    sample,
    tiff_pixels,
)

# --- The answer ---------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["rgb", "grey"])
@pytest.mark.parametrize("name", FORMATS)
def test_array_is_contiguous_owned_and_writable(name, mode):
    pixels = decode(sample(name), mode=mode)
    assert pixels.dtype == np.uint8
    assert pixels.shape == ((30, 40, 3) if mode == "rgb" else (30, 40))
    assert pixels.flags.c_contiguous
    assert pixels.flags.owndata
    assert pixels.flags.writeable


@pytest.mark.parametrize("name", ["png", "webp", "bmp", "tiff", "tiff-lzw", "tiff-deflate"])
def test_lossless_formats_keep_the_pixels(name):
    np.testing.assert_array_equal(decode(sample(name)), np.asarray(picture()))


@pytest.mark.parametrize("name", FORMATS)
def test_every_source_gives_the_same_pixels(name, tmp_path):
    data = sample(name)
    path = tmp_path / "x"
    path.write_bytes(data)
    expected = decode(data)
    with path.open("rb") as stream, path.open("rb", buffering=0) as raw:
        for source in (
            str(path),
            path,
            bytearray(data),
            memoryview(data),
            io.BytesIO(data),
            stream,
            raw,
        ):
            np.testing.assert_array_equal(decode(source), expected)


def test_stream_is_read_from_where_it_stands():
    stream = io.BytesIO(b"12345" + sample("png"))
    stream.seek(5)
    assert decode(stream).shape == (30, 40, 3)


@pytest.mark.parametrize("name", ["jpeg", "png", "bmp"])
def test_plain_image_is_handed_out_as_pillow_decoded_it(name):
    image = open_pixels(sample(name))
    assert isinstance(image, ImageFile.ImageFile)
    assert upright(image) is image


def test_decoder_names_rules_but_no_version():
    assert images.DECODER["name"] == "pillow"
    assert images.DECODER["rules"] == 1
    assert Image.__version__ not in str(images.DECODER)
    assert images.DECODER["alpha"] == [255, 255, 255]


# --- Grey ---------------------------------------------------------------------------------------


def test_grey_formula_on_every_corner_and_on_noise():
    axis = [0, 1, 2, 127, 128, 254, 255]
    corners = np.array(np.meshgrid(axis, axis, axis), np.uint8).reshape(3, -1).T
    noise = np.random.default_rng(1).integers(0, 256, (70_001, 3), dtype=np.uint8)
    rgb = np.concatenate([corners, noise])
    slow = [(19595 * r + 38470 * g + 7471 * b + 32768) >> 16 for r, g, b in rgb.tolist()]
    np.testing.assert_array_equal(to_grey(rgb), slow)
    np.testing.assert_array_equal(
        to_grey(rgb[None])[0], np.asarray(Image.fromarray(rgb[None]).convert("L"))[0]
    )


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a[::-2, ::3],
        lambda a: a.transpose(1, 0, 2),
        lambda a: a[..., ::-1],
        lambda a: a[:0],
        lambda a: a[0, 0],
        lambda a: np.asfortranarray(a),
    ],
)
def test_grey_of_any_strides(view):
    rgb = view(np.asarray(picture()))
    grey = to_grey(rgb)
    wide = rgb.astype(np.int64)
    expected = (wide @ np.array([19595, 38470, 7471]) + 32768) >> 16
    np.testing.assert_array_equal(grey, expected)
    assert grey.shape == rgb.shape[:-1]
    assert grey.flags.c_contiguous


def test_grey_keeps_grey_values():
    level = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(to_grey(np.repeat(level[:, None], 3, axis=1)), level)


@pytest.mark.parametrize("name", FORMATS)
def test_grey_mode_is_the_formula_on_rgb(name):
    data = sample(name)
    np.testing.assert_array_equal(decode(data, mode="grey"), to_grey(decode(data)))


@pytest.mark.parametrize(
    ("rgb", "error"),
    [
        (np.zeros((2, 2, 3)), InvalidTypeError),
        ([[1, 2, 3]], InvalidTypeError),
        (np.zeros((2, 4), np.uint8), InvalidInputError),
        (np.uint8(3), InvalidInputError),
    ],
)
def test_grey_refuses_other_arrays(rgb, error):
    with pytest.raises(error, match="rgb"):
        to_grey(rgb)


# --- Pixel rules --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RULES)
def test_pixel_rule(name):
    data, expected = RULES[name]
    np.testing.assert_array_equal(decode(data)[0], expected)
    np.testing.assert_array_equal(
        decode(data, mode="grey"), to_grey(np.array([expected], np.uint8))
    )
    assert open_pixels(data).mode in ("L", "RGB")


@pytest.mark.parametrize("background", [(0, 0, 0), (255, 255, 255), (9, 9, 9), (200, 100, 3)])
@pytest.mark.parametrize("kind", [4, 6])
def test_alpha_is_composited_exactly(kind, background):
    """Every alpha against 64 colours, compared with integers of any size."""
    colours = list(range(0, 256, 5)) + list(range(244, 256))
    rows = b"".join(
        row(*(bytes([c] * (1 if kind == 4 else 3) + [alpha]) for c in colours))
        for alpha in range(256)
    )
    expected = [[over([c] * 3, alpha, background) for c in colours] for alpha in range(256)]
    data = png(len(colours), 256, 8, kind, rows)
    np.testing.assert_array_equal(decode(data, background=background), expected)


def test_compositing_is_the_nearest_integer():
    for alpha in range(256):
        got = over([100], alpha, [37])[0]
        assert abs(got - (100 * alpha + 37 * (255 - alpha)) / 255) <= 0.5


def test_background_may_be_any_sequence_of_integers():
    data = RULES["rgba"][0]
    expected = decode(data, background=(1, 2, 3))
    assert expected[0, 0].tolist() == [1, 2, 3]
    for background in ([1, 2, 3], np.array([1, 2, 3]), np.array([1, 2, 3], np.uint8)):
        np.testing.assert_array_equal(decode(data, background=background), expected)


def test_every_16_bit_level():
    levels = np.arange(65536, dtype=">u2").reshape(256, 256)
    rows = b"".join(b"\0" + row.tobytes() for row in levels)
    expected = [[round(v / 257) for v in row] for row in levels.tolist()]
    np.testing.assert_array_equal(decode(png(256, 256, 16, 0, rows), mode="grey"), expected)


@pytest.mark.parametrize("kind", [0, 4, 6])
def test_bands_do_not_show(kind, monkeypatch):
    depth = 16 if kind == 0 else 8
    size = {0: 2, 4: 2, 6: 4}[kind] * 40
    noise = np.random.default_rng(2).integers(0, 256, (30, size), dtype=np.uint8)
    data = png(40, 30, depth, kind, b"".join(b"\0" + row.tobytes() for row in noise))
    expected = decode(data)
    for band in (1, 41, 7 * 40, 30 * 40 - 1):
        monkeypatch.setattr(images, "_BAND_PIXELS", band)
        np.testing.assert_array_equal(decode(data), expected)


def test_cmyk_and_progressive_jpeg():
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    red = decode(encode(cmyk, format="JPEG", quality=95))
    assert red.shape == (16, 16, 3)
    assert red[8, 8, 0] > 240
    assert max(red[8, 8, 1:]) < 15
    flat = {"quality": 90, "subsampling": 0}
    np.testing.assert_array_equal(
        decode(encode(picture(), format="JPEG", progressive=True, **flat)),
        decode(encode(picture(), format="JPEG", **flat)),
    )


def test_lab_tiff():
    data = tiff_pixels(bytes([255, 0, 0, 0, 0, 0]), 2, 1, [8] * 3, photometric=8)
    pixels = decode(data)[0]
    assert min(pixels[0]) >= 250
    assert max(pixels[1]) <= 5


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "PNG", "MPO"])
def test_first_frame_of_several(kind):
    frames = [picture("P" if kind == "GIF" else "RGB", seed=i) for i in range(3)]
    more = {"lossless": True} if kind == "WEBP" else {}
    data = encode(frames[0], format=kind, save_all=True, append_images=frames[1:], **more)
    assert Image.open(io.BytesIO(data)).n_frames == 3
    pixels = decode(data).astype(int)
    expected = np.asarray(frames[0].convert("RGB")).astype(int)
    assert abs(pixels - expected).mean() < (25 if kind == "MPO" else 1e-9)
    assert abs(pixels - np.asarray(frames[1].convert("RGB"))).mean() > 10


def test_gif_transparency_and_small_first_frame():
    frame = Image.new("P", (2, 1))
    frame.putpalette([10, 20, 30, 40, 50, 60])
    frame.putdata([0, 1])
    data = encode(frame, format="GIF", transparency=1)
    np.testing.assert_array_equal(decode(data)[0], [[10, 20, 30], [255, 255, 255]])


def test_icc_profile_is_ignored():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    data = encode(picture(), format="PNG", icc_profile=profile)
    np.testing.assert_array_equal(decode(data), np.asarray(picture()))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (encode(Image.new("F", (2, 2), float("nan")), format="TIFF"), "floating-point"),
        (encode(Image.new("F", (2, 2), 0.5), format="TIFF"), "floating-point"),
        (encode(Image.new("I", (2, 2), 70000), format="TIFF"), "integer"),
        (tiff_pixels(le16(1, 2), 2, 1, [16], t339=(SHORT, [2])), "signed"),
    ],
)
def test_pixels_without_an_8_bit_range_are_refused(data, words):
    reason = reason_of(data)
    assert words in reason
    assert "8-bit range" in reason


# --- Orientation --------------------------------------------------------------------------------

STORED = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
# What a viewer must show for each orientation, from the EXIF standard (tag 274), which says where
# the stored row 0 and column 0 belong: top left, top right, bottom right, bottom left, then left
# top, right top, right bottom, left bottom.
UPRIGHT = {
    1: STORED,
    2: STORED[:, ::-1],
    3: STORED[::-1, ::-1],
    4: STORED[::-1],
    5: STORED.T,
    6: STORED[::-1].T,
    7: STORED[::-1, ::-1].T,
    8: STORED.T[::-1],
}


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "I;16"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_orientation(orientation, kind, mode):
    """Every rule that makes a new image has to hand the orientation on."""
    if kind == "WEBP" and mode in ("P", "I;16"):
        mode = "RGBA"  # WebP has neither
    image = Image.fromarray(STORED)
    image = image.convert(mode) if mode != "I;16" else Image.fromarray(STORED * np.uint16(257))
    if mode == "RGBA":
        image.putalpha(Image.new("L", image.size, 254))  # so that it must be composited
    exif = Image.Exif()
    exif[274] = orientation
    more = {"lossless": True} if kind == "WEBP" else {}
    pixels = decode(encode(image, format=kind, exif=exif, **more), mode="grey").astype(int)
    assert pixels.shape == UPRIGHT[orientation].shape
    assert abs(pixels - UPRIGHT[orientation]).max() <= (1 if mode == "RGBA" else 0)


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_orientation_of_jpeg(orientation):
    exif = Image.Exif()
    exif[274] = orientation
    blocks = STORED.repeat(16, axis=0).repeat(16, axis=1)
    data = encode(Image.fromarray(blocks), format="JPEG", quality=95, exif=exif)
    pixels = decode(data, mode="grey")[8::16, 8::16].astype(int)
    assert pixels.shape == UPRIGHT[orientation].shape
    assert abs(pixels - UPRIGHT[orientation]).max() <= 3
    # All but the orientation: the stored shape.
    assert open_pixels(data).size == (48, 32)


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_unknown_orientation_is_upright(value):
    exif = Image.Exif()
    exif[274] = value
    data = encode(Image.fromarray(STORED), format="PNG", exif=exif)
    np.testing.assert_array_equal(decode(data, mode="grey"), STORED)


@pytest.mark.parametrize(
    "exif",
    [
        b"",
        b"garbage",
        b"Exif\0\0",
        b"MM\0*\xff\xff\xff\xff",
        b"II*\0\x08\0\0\0\xff\xff" + bytes(range(256)),
        b"MM\0*\0\0\0\x08\0\1\x01\x12\0\2\0\0\0\4hey\0\0\0\0\0",  # the orientation is a text
    ],
)
def test_damaged_exif_does_not_cost_the_pixels(exif):
    data = png(3, 2, 8, 0, b"\0" + b"\0".join(row.tobytes() for row in STORED))
    data = data[:33] + chunk(b"eXIf", exif) + data[33:]
    np.testing.assert_array_equal(decode(data, mode="grey"), STORED)


# --- Arguments ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"mode": "RGB"}, InvalidInputError, "mode.*'RGB'"),
        ({"mode": None}, InvalidInputError, "mode.*None"),
        ({"background": (0, 0)}, InvalidInputError, "background"),
        ({"background": (0, 0, 256)}, InvalidInputError, "background.*256"),
        ({"background": (0, 0, -1)}, InvalidInputError, "background.*-1"),
        ({"background": (0, 0, 0.5)}, InvalidInputError, r"background.*0\.5"),
        ({"background": "white"}, InvalidInputError, "background.*white"),
        ({"background": 7}, InvalidInputError, "background.*7"),
        ({"max_pixels": 0}, InvalidInputError, "max_pixels.*0"),
        ({"max_pixels": -5}, InvalidInputError, "max_pixels.*-5"),
        ({"max_pixels": 178_956_971}, InvalidInputError, "max_pixels.*178956971"),
        ({"max_pixels": 1e6}, InvalidTypeError, "max_pixels.*float"),
        ({"max_bytes": 0}, InvalidInputError, "max_bytes.*0"),
        ({"max_bytes": "1"}, InvalidTypeError, "max_bytes.*str"),
    ],
)
def test_wrong_option(options, error, words):
    with pytest.raises(error, match=words):
        decode(sample("png"), **options)


@pytest.mark.parametrize(
    "source", [None, 3, 2.5, ["a"], np.zeros((2, 2), np.uint8), Image.new("L", (1, 1))]
)
def test_wrong_source(source):
    with pytest.raises(InvalidTypeError, match="source"):
        decode(source)


def test_text_stream_and_closed_stream(tmp_path):
    with pytest.raises(InvalidTypeError, match="binary"):
        decode(io.StringIO("text"))
    stream = io.BytesIO(sample("png"))
    stream.close()
    with pytest.raises(ImageDecodeError, match="closed file"):
        decode(stream)


@pytest.mark.parametrize("path", [None, 3, b"x".hex])
def test_wrong_path(path):
    with pytest.raises(InvalidTypeError, match="path"):
        read_file(path)


@pytest.mark.parametrize("name", FORMATS)
def test_header_is_recognised(name):
    assert images.looks_like_image(sample(name)[:16])
    assert not images.looks_like_image(sample(name)[1:17])


@pytest.mark.parametrize(
    "header", [b"", b"B", b"BM", b"BM is not a bitmap", b"GIF88a", b"RIFF\0\0\0\0WAVEfmt ", b"II*"]
)
def test_header_is_not_recognised(header):
    assert not images.looks_like_image(header[:16])


# --- Real photographs ---------------------------------------------------------------------------


@pytest.mark.data
def test_photographs_equal_plain_pillow(shared_data):
    paths = sorted((shared_data / "corel1k" / "images").glob("*.jpg"))[::30]
    assert paths
    for path in paths:
        with Image.open(path) as image:
            expected = np.asarray(image.convert("RGB"))
            grey = np.asarray(image.convert("L"))
        np.testing.assert_array_equal(decode(path), expected)
        np.testing.assert_array_equal(decode(path, mode="grey"), grey)


# --- Raw photographs ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [0, 1, 2, 3])
def test_the_preview_of_a_raw_photograph_is_not_the_photograph(kind):
    """NewSubfileType 1: a small version of something that comes later and is not read."""
    buffer = io.BytesIO()
    picture().save(buffer, "TIFF", tiffinfo={254: kind})
    if kind & 1:
        with pytest.raises(ImageDecodeError, match=r"40 x 30, is only a preview.*NEF, DNG"):
            decode(buffer.getvalue())
    else:  # 2: a page of several
        np.testing.assert_array_equal(decode(buffer.getvalue()), np.asarray(picture()))
