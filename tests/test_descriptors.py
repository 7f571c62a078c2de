"""Grey histograms: the same counts whatever holds the pixels and however they lie in memory."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from imgsim_fast import images
from imgsim_fast.descriptors import grey_histogram
from imgsim_fast.errors import InvalidInputError, InvalidTypeError
from imgsim_fast.histogram import make_axis

AXIS = make_axis(256, (0, 256))
SIZES = [(1, 1), (3, 5), (7, 9), (64, 64), (200, 300)]  # (height, width)


def rgb_pixels(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def counted(grey):
    return np.bincount(np.asarray(grey).ravel(), minlength=256)


class Wrapped:
    """A Pillow image without Arrow export: NumPy's protocol only."""

    def __init__(self, image):
        self._image = image
        self.mode, self.height, self.width = image.mode, image.height, image.width
        self.__array_interface__ = image.__array_interface__


@pytest.mark.parametrize("size", SIZES)
def test_rgb_is_counted_by_the_formula_of_to_grey(size):
    pixels = rgb_pixels(*size)
    expected = counted(images.to_grey(pixels))
    image = Image.fromarray(pixels)
    assert image.mode == "RGB"
    for held in (pixels, image, Wrapped(image), np.asfortranarray(pixels), pixels.copy()[::-1]):
        found = grey_histogram(held, AXIS)
        assert found.dtype == np.int64
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("size", SIZES)
def test_grey_is_counted_as_it_is(size):
    pixels = rgb_pixels(*size)[..., 0]
    expected = counted(pixels)
    image = Image.fromarray(np.ascontiguousarray(pixels))
    assert image.mode == "L"
    for held in (pixels, pixels[..., None], image, Wrapped(image), pixels[:, ::-1]):
        np.testing.assert_array_equal(grey_histogram(held, AXIS), expected)


@pytest.mark.parametrize("size", SIZES)
def test_decoded_files_are_counted_as_decode_gives_them(size, tmp_path):
    pixels = rgb_pixels(*size)
    for name, mode in (("colour.png", "RGB"), ("grey.png", "L"), ("photo.jpg", "RGB")):
        path = tmp_path / name
        Image.fromarray(pixels).convert(mode).save(path)
        image = images.open_pixels(path.read_bytes())
        expected = counted(images.decode(path, mode="grey"))
        np.testing.assert_array_equal(grey_histogram(image, AXIS), expected)


def test_strided_arrays():
    pixels = rgb_pixels(40, 61)
    for view in (
        pixels[::2, ::3],
        pixels[::-1, ::-2],
        pixels.transpose(1, 0, 2),
        np.broadcast_to(pixels[:1, :1], (9, 7, 3)),
        pixels[..., ::-1],  # BGR read as RGB
    ):
        expected = counted(images.to_grey(view))
        np.testing.assert_array_equal(grey_histogram(view, AXIS), expected)
        np.testing.assert_array_equal(grey_histogram(view[..., 1], AXIS), counted(view[..., 1]))
    read_only = pixels.copy()
    read_only.flags.writeable = False
    np.testing.assert_array_equal(
        grey_histogram(read_only, AXIS), counted(images.to_grey(read_only))
    )


@pytest.mark.parametrize(("bins", "edges"), [(1, (0, 256)), (10, (0, 255)), (7, (13.5, 200.25))])
def test_bins_follow_numpy(bins, edges):
    pixels = rgb_pixels(33, 65)
    grey = images.to_grey(pixels)
    expected = np.histogram(grey, bins, edges)[0]
    axis = make_axis(bins, edges)
    for held, values in ((pixels, grey), (Image.fromarray(pixels), grey)):
        np.testing.assert_array_equal(grey_histogram(held, axis), expected)
        np.testing.assert_array_equal(grey_histogram(values, axis), expected)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_image_of_several_memory_blocks(mode):
    """Pillow's blocks have 16 MB: such an image has several and refuses to export them."""
    colour = np.zeros((4000, 5000), np.uint8)
    colour[:, 1000:] = 77
    colour[3999, 4999] = 255  # the last pixel of the last block
    channels = [Image.fromarray(colour)] * 3
    # (fromarray maps the array instead of using blocks; a copy of it does not.)
    image = channels[0].copy() if mode == "L" else Image.merge("RGB", channels)
    with pytest.raises(ValueError, match="contiguous"):
        image.__arrow_c_array__()
    found = grey_histogram(image, AXIS)
    assert dict(zip(np.flatnonzero(found).tolist(), found[found > 0].tolist(), strict=True)) == {
        0: 4_000_000,
        77: 15_999_999,
        255: 1,
    }


@pytest.mark.parametrize(
    ("array", "error", "words"),
    [
        (np.zeros((3, 3)), InvalidTypeError, "uint8, got float64"),
        (np.zeros((3, 3), np.int16), InvalidTypeError, "uint8, got int16"),
        (np.zeros((0, 3), np.uint8), InvalidInputError, r"no pixels: its shape is \(0, 3\)"),
        (np.zeros((0, 3, 3), np.uint8), InvalidInputError, "no pixels"),
        (np.zeros((3, 3, 4), np.uint8), InvalidInputError, r"\(3, 3, 4\)"),
        (np.zeros((3, 3, 2), np.uint8), InvalidInputError, r"\(3, 3, 2\)"),
        (np.zeros(3, np.uint8), InvalidInputError, r"\(3,\)"),
        (np.zeros((), np.uint8), InvalidInputError, r"\(\)"),
        (np.zeros((1, 3, 3, 3), np.uint8), InvalidInputError, r"\(1, 3, 3, 3\)"),
    ],
)
def test_arrays_that_are_no_image(array, error, words):
    with pytest.raises(error, match=words):
        grey_histogram(array, AXIS)


@pytest.mark.parametrize("mode", ["I", "F", "I;16", "RGBA", "CMYK", "HSV", "YCbCr", "P", "LA"])
def test_other_modes_are_refused_rather_than_misread(mode):
    """Their memory looks like that of "L" or "RGB" and means something else."""
    if mode == "P":
        image = Image.new("P", (4, 3), 1)
        image.putpalette([0, 0, 0, 200, 200, 200])  # index 1 is light grey
    else:
        image = Image.new(mode, (4, 3))
    with pytest.raises((InvalidInputError, InvalidTypeError), match=mode):
        grey_histogram(image, AXIS)
