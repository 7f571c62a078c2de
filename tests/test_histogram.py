"""Histograms: NumPy's and OpenCV's counts, for every type, layout and instruction set."""

from __future__ import annotations

import itertools
from functools import cache

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

import imgsim_fast as isf
from imgsim_fast import _core
from imgsim_fast.errors import InvalidInputError, InvalidTypeError
from imgsim_fast.histogram import make_axis
from tests import reference

BINS = (1, 2, 3, 5, 7, 10, 16, 17, 31, 32, 33, 64, 100, 255, 256, 257, 1000)
RANGES = ((0, 255), (0, 256), (10, 200), (0.3, 77.7), (-5, 300), (7, 7))
SMALL = (0, 1, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65)
# Around: 255 blocks of a byte counter, the table of pairs, and several of each.
LARGE = (255 * 64 + 1, 131072 + 5, 300000)
READ_IN_PLACE = ("uint8", "uint16", "float32", "float64")


def pixels(dtype, n, seed=0):
    """Grey levels, edges of bins, values far outside, and for floats NaN and infinities."""
    rng = np.random.default_rng((seed, n))
    if dtype == "uint8":
        return rng.integers(0, 256, n, dtype=np.uint8)
    if dtype == "uint16":
        return np.where(
            rng.random(n) < 0.8, rng.integers(0, 400, n), rng.integers(0, 65536, n)
        ).astype(np.uint16)
    values = rng.uniform(-20, 320, n)
    whole = rng.random(n) < 0.3
    values[whole] = np.rint(values[whole])
    odd = rng.random(n) < 0.05
    values[odd] = rng.choice([np.nan, np.inf, -np.inf, -0.0, 255.0, 256.0, 77.7, 0.3], odd.sum())
    return values.astype(dtype)


@cache
def sample(dtype, n):
    values = pixels(dtype, n)
    values.setflags(write=False)
    return values


def numpy_counts(image, bins, limits):
    return np.histogram(image, bins=bins, range=limits)[0]


@cache
def expected(dtype, n, bins, limits):
    return numpy_counts(sample(dtype, n), bins, limits)


# ---- equal to NumPy --------------------------------------------------------------------------


@pytest.mark.parametrize("limits", RANGES)
@pytest.mark.parametrize("bins", BINS)
@pytest.mark.parametrize("dtype", READ_IN_PLACE)
def test_counts_are_those_of_numpy(dtype, bins, limits):
    sizes = SMALL + LARGE[:2] if bins in (10, 256, 257) else SMALL
    for n in sizes:
        counts = isf.histogram(sample(dtype, n), bins, limits)
        assert counts.dtype == np.int64
        assert counts.shape == (bins,)
        np.testing.assert_array_equal(counts, expected(dtype, n, bins, limits), err_msg=f"n={n}")


@pytest.mark.parametrize("limits", RANGES)
@pytest.mark.parametrize("bins", BINS)
def test_bytes_on_every_instruction_set(isa, bins, limits):
    for n in SMALL + LARGE:
        # The bin of each level from NumPy, the levels from bincount: as exact, and quick.
        levels = np.bincount(sample("uint8", n), minlength=256)
        by_level = np.histogram(np.arange(256, dtype=np.uint8), bins, limits, weights=levels)[0]
        counts = isf.histogram(sample("uint8", n), bins, limits)
        np.testing.assert_array_equal(counts, by_level, err_msg=f"{isa}, n={n}")


@pytest.mark.parametrize("bins", [1, 5, 33])
def test_counts_are_those_of_the_obvious_twin(bins):
    values = sample("float64", 500)
    for first, last in RANGES:
        twin = reference.histogram(values.tolist(), bins, first, last)
        assert isf.histogram(values, bins, (first, last)).tolist() == twin


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bins", [1, 3, 7, 10, 100, 255, 1000])
@pytest.mark.parametrize("limits", [*RANGES, (-1e-3, 1e-3), (1e6, 1e6 + 300), (-1e30, 1e30)])
def test_values_at_and_beside_the_edges(dtype, bins, limits):
    edges = np.histogram_bin_edges(np.zeros(1, dtype), bins, limits).astype(dtype)
    up, down = dtype_neighbours(edges)
    values = np.concatenate([edges, up, down])
    np.testing.assert_array_equal(
        isf.histogram(values, bins, limits), numpy_counts(values, bins, limits)
    )


def dtype_neighbours(edges):
    return (np.nextafter(edges, edges.dtype.type(np.inf)),
            np.nextafter(edges, edges.dtype.type(-np.inf)))  # fmt: skip


@pytest.mark.parametrize(
    ("dtype", "same_as"),
    [("bool", "uint8"), ("int8", "int8"), ("int16", "int16"), ("int32", "int32"),
     ("int64", "int64"), ("uint32", "uint32"), ("uint64", "uint64"), ("float16", "float32")],
)  # fmt: skip
@pytest.mark.parametrize("bins", [1, 7, 256])
def test_other_types_are_widened(dtype, same_as, bins):
    rng = np.random.default_rng(5)
    info = (0, 2) if dtype == "bool" else (-128, 128) if dtype == "int8" else (0, 400)
    image = rng.integers(*info, (23, 31)).astype(dtype)
    for limits in RANGES:
        np.testing.assert_array_equal(
            isf.histogram(image, bins, limits), numpy_counts(image.astype(same_as), bins, limits)
        )


@pytest.mark.parametrize("value", [0, 1, 127, 254, 255])
@pytest.mark.parametrize("n", [1, 65, 255 * 64 * 2 + 1, 300000])
def test_flat_images(isa, value, n):
    flat = np.full(n, value, np.uint8)
    for bins, limits in ((10, (0, 255)), (256, (0, 256)), (40, (0, 256))):
        counts = isf.histogram(flat, bins, limits)
        assert counts.sum() == n
        assert counts.max() == n
        assert counts.argmax() == numpy_counts(flat[:1], bins, limits).argmax()


def test_long_runs_between_other_pixels(isa):
    image = sample("uint8", 300000).copy()
    for start in range(0, 300000, 1000):
        image[start : start + 333] = start % 251
    levels = np.bincount(image, minlength=256)
    np.testing.assert_array_equal(isf.histogram(image), levels)


@given(
    hnp.arrays(
        st.sampled_from([np.float32, np.float64, np.uint8, np.uint16, np.int32]),
        hnp.array_shapes(min_dims=1, max_dims=2, max_side=40),
    ),
    st.integers(1, 300),
    st.tuples(st.integers(-300, 300), st.integers(0, 700), st.sampled_from([1.0, 0.1, 1 / 3])),
)
def test_any_array(image, bins, limits):
    low, span, scale = limits
    first, last = low * scale, (low + span) * scale
    np.testing.assert_array_equal(
        isf.histogram(image, bins, (first, last)), numpy_counts(image, bins, (first, last))
    )


@pytest.mark.parametrize("dtype", READ_IN_PLACE)
@pytest.mark.parametrize("limits", [(0, 255), (0.3, 77.7)])
def test_density_is_that_of_numpy(dtype, limits):
    image = sample(dtype, 65)
    for bins in (1, 7, 100):
        np.testing.assert_array_equal(
            isf.histogram(image, bins, limits, density=True),
            np.histogram(image, bins, limits, density=True)[0],
        )


# ---- equal to OpenCV -------------------------------------------------------------------------


@pytest.mark.parametrize("bins", [1, 2, 3, 5, 10, 32, 50, 100, 255, 256])
def test_counts_are_those_of_opencv(bins):
    image = sample("uint8", 131072 + 5).reshape(1, -1)
    ours = isf.histogram(image, bins, (0, 256))
    np.testing.assert_array_equal(ours, cv2.calcHist([image], [0], None, [bins], [0, 256]).ravel())
    mask = (np.random.default_rng(1).random(image.shape) < 0.3).astype(np.uint8)
    np.testing.assert_array_equal(
        isf.histogram(image, bins, (0, 256), mask=mask),
        cv2.calcHist([image], [0], mask, [bins], [0, 256]).ravel(),
    )


@pytest.mark.parametrize("bins", [(8, 8, 8), (4, 5, 6), (256, 1, 3)])
def test_joint_counts_are_those_of_opencv(bins):
    image = np.random.default_rng(2).integers(0, 256, (50, 40, 3), dtype=np.uint8)
    theirs = cv2.calcHist([image], [0, 1, 2], None, list(bins), [0, 256] * 3)
    np.testing.assert_array_equal(isf.histogram(image, bins, (0, 256)), theirs.reshape(bins))


# ---- masks and memory layouts ----------------------------------------------------------------


def layouts(image):
    """Views with the pixels of `image` (2-D) that lie differently in memory."""
    h, w = image.shape
    size = image.dtype.itemsize
    yield "C", np.ascontiguousarray(image)
    yield "Fortran", np.asfortranarray(image)
    padded = np.zeros((h, w + 5), image.dtype)
    padded[:, 2 : w + 2] = image
    yield "padded rows", padded[:, 2 : w + 2]
    wide = np.zeros((2 * h, 3 * w), image.dtype)
    wide[::2, ::3] = image
    yield "every third", wide[::2, ::3]
    yield "rows upside down", np.ascontiguousarray(image[::-1])[::-1]
    yield "columns reversed", np.ascontiguousarray(image[:, ::-1])[:, ::-1]
    yield "both reversed", np.ascontiguousarray(image[::-1, ::-1])[::-1, ::-1]
    yield "transposed", np.ascontiguousarray(image.T).T
    buffer = np.zeros(h * w * size + 1, np.uint8)
    unaligned = buffer[1:].view(image.dtype).reshape(h, w)
    unaligned[:] = image
    yield "unaligned", unaligned
    swapped = image.astype(image.dtype.newbyteorder())
    yield "byte-swapped", swapped
    locked = image.copy()
    locked.setflags(write=False)
    yield "read-only", locked


@pytest.mark.parametrize("shape", [(1, 1), (1, 65), (65, 1), (9, 33), (130, 129)])
@pytest.mark.parametrize("dtype", READ_IN_PLACE)
def test_layouts_count_the_same(dtype, shape):
    image = sample(dtype, shape[0] * shape[1]).reshape(shape)
    mask = np.random.default_rng(7).random(shape) < 0.5
    for bins, limits in ((10, (0, 255)), (256, (0, 256))):
        want = numpy_counts(image, bins, limits)
        want_masked = numpy_counts(image[mask], bins, limits)
        for name, view in layouts(image):
            before = view.tobytes()
            np.testing.assert_array_equal(isf.histogram(view, bins, limits), want, err_msg=name)
            np.testing.assert_array_equal(
                isf.histogram(view, bins, limits, mask=mask), want_masked, err_msg=name
            )
            assert view.tobytes() == before, name


@pytest.mark.parametrize("dtype", READ_IN_PLACE)
def test_zero_strides_count_each_repetition(dtype):
    row = sample(dtype, 65)
    for view in (np.broadcast_to(row, (300, 65)), np.broadcast_to(row[:, None], (65, 300))):
        np.testing.assert_array_equal(isf.histogram(view, 33), numpy_counts(view, 33, (0, 256)))


def test_large_strided_image(isa):
    image = sample("uint8", 300000).reshape(500, 600)
    want = np.bincount(image[::-1, ::2].ravel(), minlength=256)
    np.testing.assert_array_equal(isf.histogram(image[::-1, ::2]), want)
    np.testing.assert_array_equal(isf.histogram(image.T), np.bincount(image.ravel(), minlength=256))
    # Rows long enough to be counted in place, with a gap between them.
    wide = np.zeros((3, 20003), np.uint8)
    wide[:, :20000] = image.ravel()[:60000].reshape(3, 20000)
    want = np.bincount(wide[:, :20000].ravel(), minlength=256)
    np.testing.assert_array_equal(isf.histogram(wide[:, :20000]), want)


@pytest.mark.parametrize("mask_type", [np.bool_, np.uint8])
def test_mask_layouts(mask_type):
    image = sample("uint8", 33 * 65).reshape(33, 65)
    mask = (np.random.default_rng(3).integers(0, 3, image.shape)).astype(mask_type)
    want = numpy_counts(image[mask != 0], 64, (0, 256))
    for name, view in layouts(mask):
        counts = isf.histogram(image, 64, mask=view)
        np.testing.assert_array_equal(counts, want, err_msg=name)
    row = mask[0]
    np.testing.assert_array_equal(
        isf.histogram(image[0], 64, mask=row), numpy_counts(image[0][row != 0], 64, (0, 256))
    )
    assert isf.histogram(image, mask=np.zeros(image.shape, mask_type)).sum() == 0
    assert (
        isf.histogram(image, mask=np.full(image.shape, 255).astype(mask_type)).sum() == image.size
    )


# ---- joint -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", READ_IN_PLACE)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_joint_counts_are_those_of_numpy(dtype, channels):
    image = sample(dtype, 40 * 25 * channels).reshape(40, 25, channels)
    image = np.where(np.isfinite(image), image, 0).astype(dtype)  # histogramdd refuses NaN
    bins = (7, 3, 5, 2)[:channels]
    limits = ((0, 255), (0.3, 77.7), (-5, 300), (10, 200))[:channels]
    flat = image.reshape(-1, channels)
    want = np.histogramdd(flat, bins, limits)[0]
    counts = isf.histogram(image, bins, limits)
    assert counts.dtype == np.int64
    np.testing.assert_array_equal(counts, want)
    np.testing.assert_array_equal(
        isf.histogram(image, bins, limits, density=True),
        np.histogramdd(flat, bins, limits, density=True)[0],
    )
    same = isf.histogram(image, 4, (0, 256))
    np.testing.assert_array_equal(
        same, np.histogramdd(flat, [4] * channels, [(0, 256)] * channels)[0]
    )
    mask = np.random.default_rng(3).random((40, 25)) < 0.4
    np.testing.assert_array_equal(
        isf.histogram(image, bins, limits, mask=mask),
        np.histogramdd(image[mask], bins, limits)[0],
    )
    views = {
        "Fortran": np.asfortranarray(image),
        "rows reversed": np.ascontiguousarray(image[::-1])[::-1],
        "channels reversed": np.ascontiguousarray(image[..., ::-1])[..., ::-1],
        "channels first": np.ascontiguousarray(image.transpose(2, 0, 1)).transpose(1, 2, 0),
        "every second": np.repeat(image, 2, axis=1)[:, ::2],
    }
    for name, view in views.items():
        np.testing.assert_array_equal(isf.histogram(view, bins, limits), counts, err_msg=name)


def test_joint_skips_nan_and_values_outside():
    nan, inf = np.nan, np.inf
    image = np.array([[[0, 0], [nan, 0], [0, nan], [inf, 1], [2, -inf], [1, 1], [2, 2]]])
    np.testing.assert_array_equal(isf.histogram(image, 2, (0, 2)), [[1, 0], [0, 2]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bins", [3, 10, 77])
def test_joint_values_at_and_beside_the_edges(dtype, bins):
    limits = (0.1, 0.7)
    edges = np.linspace(*limits, bins + 1).astype(dtype)
    values = np.concatenate([edges, *dtype_neighbours(edges)])
    image = np.stack([values, values[::-1]], axis=-1)[None]
    np.testing.assert_array_equal(
        isf.histogram(image, bins, limits), np.histogramdd(image[0], [bins] * 2, [limits] * 2)[0]
    )


# ---- many images -----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", READ_IN_PLACE)
@pytest.mark.parametrize("threads", [1, 2, 3, 7, None])
def test_histograms_are_rows_of_histogram(dtype, threads):
    images = [
        sample(dtype, h * w).reshape(h, w)
        for h, w in ((1, 1), (33, 65), (300, 500), (1, 0), (500, 300), (7, 9), (361, 362))
    ]
    rows = isf.histograms(images, 10, (0, 255), threads=threads)
    assert rows.dtype == np.int64
    np.testing.assert_array_equal(rows, [isf.histogram(i, 10, (0, 255)) for i in images])
    stack = sample(dtype, 300000).reshape(6, 200, 250)[:, ::-1]
    np.testing.assert_array_equal(
        isf.histograms(stack, threads=threads), [isf.histogram(image) for image in stack]
    )


def test_no_images():
    assert isf.histograms([], 5).shape == (0, 5)
    assert isf.histograms(np.zeros((0, 4, 4), np.uint8), 5).shape == (0, 5)


# ---- grey ------------------------------------------------------------------------------------


def grey_layouts(h, w):
    rng = np.random.default_rng((h, w))
    packed = rng.integers(0, 256, (h, w, 3), dtype=np.uint8)
    yield "RGB", packed
    four = rng.integers(0, 256, (h, w, 4), dtype=np.uint8)
    yield "RGBA", four
    yield "RGB of RGBA", four[..., :3]
    yield "BGR turned", packed[..., ::-1]
    yield "upside down", packed[::-1]
    yield "reversed", four[:, ::-1]
    yield "every second", np.repeat(packed, 2, axis=1)[:, ::2]
    yield "cropped", np.pad(packed, ((1, 1), (2, 3), (0, 0)))[1 : h + 1, 2 : w + 2]
    yield "planes", rng.integers(0, 256, (3, h, w), dtype=np.uint8).transpose(1, 2, 0)
    yield "five channels", rng.integers(0, 256, (h, w, 5), dtype=np.uint8)
    yield "flat", np.broadcast_to(np.array([200, 30, 90], np.uint8), (h, w, 3))


@pytest.mark.parametrize(
    ("h", "w"),
    [(1, 1), (3, 5), (17, 31), (33, 65), (1, 16384 + 7), (2, 16384 + 300), (130, 127), (750, 701)],
)
def test_grey_and_its_histogram(isa, h, w):
    few, many = make_axis(10, (0, 255)), make_axis(256, (0, 256))
    for name, rgb in grey_layouts(h, w):
        want = reference.grey(rgb)
        np.testing.assert_array_equal(_core.grey(rgb), want, err_msg=f"{isa}, {name}")
        for axis, bins, limits in ((few, 10, (0, 255)), (many, 256, (0, 256))):
            levels = np.bincount(want.ravel(), minlength=256)
            counts = np.histogram(np.arange(256), bins, limits, weights=levels)[0]
            np.testing.assert_array_equal(
                _core.histogram_grey(rgb, axis), counts, err_msg=f"{isa}, {name}, {bins} bins"
            )


def test_grey_formula_at_the_ends_of_every_channel(isa):
    ends = [0, 1, 2, 127, 128, 254, 255]
    rgb = np.array(list(itertools.product(ends, repeat=3)), np.uint8)[None]
    for image in (rgb, np.pad(rgb, ((0, 0), (0, 0), (0, 1)), constant_values=99)):
        np.testing.assert_array_equal(_core.grey(image), reference.grey(rgb))
    pillow = np.asarray(Image.fromarray(rgb).convert("L"))
    np.testing.assert_array_equal(_core.grey(rgb), pillow)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_histogram_in_the_memory_of_a_decoder(isa, mode):
    pixels = np.random.default_rng(1).integers(0, 256, (61, 77, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).convert(mode)
    _, array = image.__arrow_c_array__()
    counts = _core.histogram_grey_arrow(array, 61, 77, make_axis(256, (0, 256)))
    levels = np.asarray(image.convert("L"))
    np.testing.assert_array_equal(counts, np.bincount(levels.ravel(), minlength=256))
    with pytest.raises(TypeError, match="pixels"):
        _core.histogram_grey_arrow(image.__arrow_c_array__()[1], 61, 78, make_axis(9, (0, 256)))


# ---- mistakes --------------------------------------------------------------------------------

GREY = np.zeros((4, 5), np.uint8)
COLOUR = np.zeros((4, 5, 3), np.uint8)

MISTAKES = {
    "complex": (InvalidTypeError, r"image .*complex128", lambda: isf.histogram(GREY + 1j)),
    "object": (InvalidTypeError, r"image .*object", lambda: isf.histogram(GREY.astype(object))),
    "text": (InvalidTypeError, r"image .*<U1", lambda: isf.histogram(["a", "b"])),
    "date": (InvalidTypeError, r"image .*datetime64",
             lambda: isf.histogram(np.zeros(3, "M8[D]"))),
    "long double": (InvalidTypeError, r"image .*128",
                    lambda: isf.histogram(np.zeros(3, np.longdouble))),
    "ragged": (InvalidTypeError, "image cannot be seen", lambda: isf.histogram([[1], [1, 2]])),
    "scalar": (InvalidInputError, r"image .*\(\)", lambda: isf.histogram(3)),
    "4-D": (InvalidInputError, r"image .*\(1, 1, 1, 1\)",
            lambda: isf.histogram(np.zeros((1, 1, 1, 1)))),
    "masked": (InvalidInputError, "image is a masked array",
               lambda: isf.histogram(np.ma.masked_equal([1, 2], 2))),
    "large integers": (InvalidInputError, r"image\[1\] is 9007199254740993",
                       lambda: isf.histogram(np.array([0, 2**53 + 1]))),
    "bins 0": (InvalidInputError, "bins .*got 0", lambda: isf.histogram(GREY, 0)),
    "bins -3": (InvalidInputError, "bins .*got -3", lambda: isf.histogram(GREY, -3)),
    "bins 2.5": (InvalidTypeError, r"bins .*2\.5", lambda: isf.histogram(GREY, 2.5)),
    "bins True": (InvalidTypeError, "bins .*True", lambda: isf.histogram(GREY, True)),
    "bins text": (InvalidTypeError, "bins .*'auto'", lambda: isf.histogram(GREY, "auto")),
    "bins None": (InvalidTypeError, "bins .*None", lambda: isf.histogram(GREY, None)),
    "bins array": (InvalidTypeError, "bins .*4", lambda: isf.histogram(GREY, [4])),
    "too many bins": (MemoryError, "bins is 1099511627776", lambda: isf.histogram(GREY, 2**40)),
    "range falls": (InvalidInputError, r"range .*\(3\.0, 1\.0\)",
                    lambda: isf.histogram(GREY, 4, (3, 1))),
    "range NaN": (InvalidInputError, "range .*nan",
                  lambda: isf.histogram(GREY, 4, (float("nan"), 1))),
    "range infinite": (InvalidInputError, "range .*inf",
                       lambda: isf.histogram(GREY, 4, (0, float("inf")))),
    "range None": (InvalidTypeError, "range .*None", lambda: isf.histogram(GREY, 4, None)),
    "range of three": (InvalidTypeError, r"range .*\(1, 2, 3\)",
                       lambda: isf.histogram(GREY, 4, (1, 2, 3))),
    "range of text": (InvalidTypeError, r"range .*\('a', 'b'\)",
                      lambda: isf.histogram(GREY, 4, ("a", "b"))),
    # As NumPy: neighbouring edges would be one and the same number.
    "too many bins for the range": (InvalidInputError, "bins .*100|range",
                                    lambda: isf.histogram(np.float32([1e6]), 100, (1e6, 1e6 + 3))),
    "infinite width": (InvalidInputError, "range .*1e[+]308",
                       lambda: isf.histogram(np.array([0.0]), 4, (-1e308, 1e308))),
    "mask shape": (InvalidInputError, r"mask .*\(4, 5\).*\(5, 4\)",
                   lambda: isf.histogram(GREY, mask=GREY.T)),
    "mask of a colour image": (InvalidInputError, r"mask .*\(4, 5\).*\(4, 5, 3\)",
                               lambda: isf.histogram(COLOUR, 4, mask=COLOUR)),
    "mask type": (InvalidTypeError, "mask .*float64",
                  lambda: isf.histogram(GREY, mask=GREY.astype(float))),
    "channels 0": (InvalidInputError, "channels.* 0", lambda: isf.histogram(COLOUR[..., :0], 4)),
    "channels 5": (InvalidInputError, "channels.* 5",
                   lambda: isf.histogram(np.zeros((2, 2, 5)), 4)),
    "bins per channel": (InvalidInputError, "bins .*3 channels, got 2",
                         lambda: isf.histogram(COLOUR, (4, 4))),
    "range per channel": (InvalidInputError, "range .*3 channels, got 2",
                          lambda: isf.histogram(COLOUR, 4, ((0, 1), (0, 1)))),
    "range None, colour": (InvalidTypeError, "range .*None",
                           lambda: isf.histogram(COLOUR, 4, None)),
    "range empty, colour": (TypeError, "range", lambda: isf.histogram(COLOUR, 4, ())),
    "too many joint bins": (MemoryError, r"bins \(2048, 2048, 2048\) make 8589934592",
                            lambda: isf.histogram(COLOUR, 2048)),
    "images: 2-D": (InvalidInputError, r"images .*\(4, 5\)", lambda: isf.histograms(GREY)),
    "images: 1-D item": (InvalidInputError, r"images\[1\] .*\(5,\)",
                         lambda: isf.histograms([GREY, GREY[0]])),
    "images: mixed": (InvalidTypeError, r"images\[0\] has uint8, images\[1\] float64",
                      lambda: isf.histograms([GREY, GREY.astype(float)])),
    "images: a number": (InvalidTypeError, "images .*7", lambda: isf.histograms(7)),
    "threads 0": (InvalidInputError, "threads .*0", lambda: isf.histograms([GREY], threads=0)),
    "threads 1.5": (InvalidTypeError, r"threads .*1\.5",
                    lambda: isf.histograms([GREY], threads=1.5)),
    "threads True": (InvalidTypeError, "threads .*True",
                     lambda: isf.histograms([GREY], threads=True)),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_named(name):
    kind, message, call = MISTAKES[name]
    with pytest.raises(kind, match=message):
        call()
