"""Area interpolation against fractions, OpenCV and its own laws."""

from __future__ import annotations

import numpy as np
import pytest

import imgsim_fast as isf
from imgsim_fast import errors
from tests import reference_ssim

RNG = np.random.default_rng(5)
SIZES = (1, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65)


def noise(*shape):
    return RNG.integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("width", SIZES)
def test_equals_fractions(isa, width):
    image = noise(5, width)
    for shape in ((1, 1), (5, width), (3, 2 * width + 1), (7, (width + 1) // 2), (2, 16)):
        assert (isf.resize_area(image, shape) == reference_ssim.resize_area(image, shape)).all()


@pytest.mark.parametrize("height", SIZES)
def test_output_rows_within_one_row_equal_fractions(height):
    """Rows that lie in the same row as the one before are copies."""
    for image in (noise(5, 9), noise(7, 6)[:, ::-2], noise(1, 4), noise(3, 4).T):
        for shape in ((height, 3), (height, 1), (height, 13)):
            assert (isf.resize_area(image, shape) == reference_ssim.resize_area(image, shape)).all()


def test_one_side_shrinks_and_the_other_grows():
    """In time of input and output: one times the other would be 20 minutes."""
    row = noise(1, 1_000_000)
    expected = int((2 * int(row.sum()) + row.size) // (2 * row.size))
    assert (isf.resize_area(row, (1_000_000, 1)) == expected).all()
    assert (isf.resize_area(row.T, (1, 1_000_000)) == expected).all()


def test_ties_are_rounded_up():
    assert isf.resize_area(np.array([[0, 1]], np.uint8), (1, 1)).tolist() == [[1]]
    assert isf.resize_area(np.array([[2, 3]], np.uint8), (1, 1)).tolist() == [[3]]


def test_lists_are_refused_like_other_types():
    with pytest.raises(errors.InvalidTypeError, match="image must be uint8 to be resized, got int"):
        isf.resize_area([[0, 1]], (1, 1))


def opencv(image, shape):
    cv2 = pytest.importorskip("cv2")
    return cv2.resize(image, shape[::-1], interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize("size", [(101, 100), (301, 203), (200, 200), (1000, 137)])
@pytest.mark.parametrize("shape", [(16, 16), (37, 29), (64, 24), (10, 3), (100, 100)])
def test_within_one_level_of_opencv_when_shrinking(size, shape):
    for channels in ((), (3,)):
        image = noise(*size, *channels)
        ours = isf.resize_area(image, shape).astype(int)
        theirs = opencv(image, shape)
        assert np.abs(ours - theirs).max() <= 1
        assert (ours == theirs).mean() > 0.7


def test_opencv_does_something_else_when_a_side_grows():
    """One side: it takes two pixels of the other. Both: the same, at most sizes."""
    image = noise(20, 20)
    assert np.abs(isf.resize_area(image, (30, 50)).astype(int) - opencv(image, (30, 50))).max() <= 1
    rows = np.array([[0], [90], [240]], np.uint8)
    assert isf.resize_area(rows, (1, 2)).tolist() == [[110, 110]]
    assert opencv(rows, (1, 2)).max() < 90


def test_laws():
    image = noise(23, 31)
    assert (isf.resize_area(image, image.shape) == image).all()
    repeated = image.repeat(3, axis=0).repeat(4, axis=1)
    assert (isf.resize_area(image, (69, 124)) == repeated).all()
    assert (isf.resize_area(repeated, (23, 31)) == image).all()
    assert (isf.resize_area(image.T, (11, 40)) == isf.resize_area(image, (40, 11)).T).all()
    mirrored = isf.resize_area(image[::-1, ::-1], (9, 13))[::-1, ::-1]
    assert (mirrored == isf.resize_area(image, (9, 13))).all()
    for level in (0, 1, 254, 255):
        flat = isf.resize_area(np.full((40, 1000), level, np.uint8), (7, 333))
        assert (flat == level).all()


def test_channels_are_apart():
    image = noise(20, 30, 4)
    whole = isf.resize_area(image, (7, 45))
    for c in range(4):
        assert (whole[..., c] == isf.resize_area(image[..., c], (7, 45))).all()
    assert whole.shape == (7, 45, 4)


def test_layouts():
    block = noise(40, 60, 5)
    for view in (block, block[::2, ::-3], block[..., 1:4], block[..., 2], block[..., ::-1].T):
        held = np.ascontiguousarray(view)
        assert (isf.resize_area(view, (9, 11)) == isf.resize_area(held, (9, 11))).all()
    held = noise(8, 8)
    held.flags.writeable = False
    assert isf.resize_area(held, (4, 4)).shape == (4, 4)
    wide = np.broadcast_to(np.uint8(7), (3, 100000))
    assert (isf.resize_area(wide, (2, 3)) == 7).all()


def test_long_sides_do_not_overflow():
    assert isf.resize_area(np.full((2**24 - 1, 1), 255, np.uint8), (1, 1)).tolist() == [[255]]
    assert isf.resize_area(np.full((1, 2**24 - 1), 254, np.uint8), (1, 2)).tolist() == [[254, 254]]


@pytest.mark.parametrize(
    ("image", "shape", "error", "message"),
    [
        (np.zeros((2, 2)), (1, 1), TypeError, "image must be uint8 to be resized, got float64"),
        (np.zeros((2, 2), bool), (1, 1), TypeError, "got bool"),
        (np.zeros(4, np.uint8), (1, 1), ValueError, r"image must have shape \(h, w\).*\(4,\)"),
        (np.zeros((0, 4), np.uint8), (1, 1), ValueError, r"no pixels.*\(0, 4\)"),
        (np.zeros((4, 4, 0), np.uint8), (1, 1), ValueError, r"no pixels.*\(4, 4, 0\)"),
        (np.zeros((4, 4), np.uint8), (0, 1), ValueError, r"shape\[0\] must be at least 1, got 0"),
        (np.zeros((4, 4), np.uint8), (1, -2), ValueError, r"shape\[1\].*-2"),
        (np.zeros((4, 4), np.uint8), (1, 2.5), TypeError, r"shape\[1\].*2.5"),
        (np.zeros((4, 4), np.uint8), (1, 2**24), ValueError, "below 16777216"),
        (np.zeros((4, 4), np.uint8), 3, TypeError, "shape must be two integers, got 3"),
        (np.zeros((4, 4), np.uint8), (3, 3, 3), TypeError, "shape must be two integers"),
        (np.broadcast_to(np.uint8(7), (1, 2**24)), (1, 1), ValueError, "sides must be below"),
    ],
)
def test_refused(image, shape, error, message):
    with pytest.raises(error, match=message) as caught:
        isf.resize_area(image, shape)
    assert isinstance(caught.value, errors.ImgsimError)


def test_masked_arrays_are_refused():
    with pytest.raises(errors.InvalidInputError, match="masked"):
        isf.resize_area(np.ma.array(noise(4, 4), mask=np.eye(4, dtype=bool)), (2, 2))
