"""Sparse joint histograms: counts, what is ignored, and their comparison."""

from __future__ import annotations

import pickle
import sys

import numpy as np
import pytest

import imgsim_fast as isf
from imgsim_fast import _core
from imgsim_fast.comparison import METHODS
from imgsim_fast.errors import InvalidInputError, InvalidTypeError
from tests import reference_comparison as reference
from tests.peak_memory import peak_memory

SIZES = (1, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65)
BINS = (256, 255, 64, 41, 40, 17, 8, 3, 1)


def photograph(h, w, c=3, seed=0):
    """Neighbouring pixels are alike, some are white."""
    rng = np.random.default_rng((seed, h, w, c))
    image = np.cumsum(rng.integers(-3, 4, (h, w, c)), axis=1) + rng.integers(0, 256, (h, 1, c))
    image = np.clip(image, 0, 255).astype(np.uint8)
    image[rng.random((h, w)) < 0.1] = 255
    return image


def found_in(histogram):
    return dict(zip(histogram.keys.tolist(), histogram.counts.tolist(), strict=True))


# ---- counting --------------------------------------------------------------------------------


@pytest.mark.parametrize("bins", BINS)
def test_counts_are_those_of_the_obvious_twin(isa, bins):
    for n in SIZES:
        image = photograph(3, n)
        histogram = isf.sparse_histogram(image, bins)
        assert found_in(histogram) == reference.sparse_histogram(image, (bins,) * 3)
        assert histogram.keys.dtype == histogram.counts.dtype == np.uint32
        assert histogram.shape == (bins,) * 3
        assert histogram.bins == bins**3
        assert histogram.total == 3 * n


@pytest.mark.parametrize("bins", [256, 100, 64, 41, 8])
@pytest.mark.parametrize("size", [(64, 64), (111, 97), (1, 5000), (5000, 1), (300, 401)])
def test_counts_are_those_of_numpy(isa, bins, size):
    """Several chunks of keys, in one run and row by row; counts of 1 to 120,300."""
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    for image in (photograph(*size), noise, noise // 64 + 77, np.full((*size, 3), 77, np.uint8)):
        levels = image.astype(np.int64) * bins // 256
        keys, counts = np.unique(levels @ [bins * bins, bins, 1], return_counts=True)
        for view in (image, np.repeat(image, 2, axis=1)[:, ::2], image[::-1, ::-1]):
            histogram = isf.sparse_histogram(view, bins)
            np.testing.assert_array_equal(histogram.keys, keys)
            np.testing.assert_array_equal(histogram.counts, counts)


@pytest.mark.parametrize("bins", [8, 17, 40])
def test_dense_is_histogram(bins):
    image = photograph(50, 70)
    dense = isf.sparse_histogram(image, bins).dense()
    np.testing.assert_array_equal(dense, isf.histogram(image, bins))
    assert dense.dtype == np.int64
    grey = image[:, :, 1]
    np.testing.assert_array_equal(
        isf.sparse_histogram(grey, bins).dense(), isf.histogram(grey, bins)
    )
    for c in (1, 2):
        np.testing.assert_array_equal(
            isf.sparse_histogram(image[:, :, :c], bins).dense(),
            isf.histogram(image[:, :, :c], bins),
        )
    uneven = (bins, 256, 3)
    np.testing.assert_array_equal(
        isf.sparse_histogram(image, uneven).dense(), isf.histogram(image, uneven)
    )


def test_layouts():
    image = photograph(37, 53)
    plain = isf.sparse_histogram(image)
    planes = np.moveaxis(np.ascontiguousarray(np.moveaxis(image, 2, 0)), 0, 2)
    four = np.concatenate([image, image[:, :, :1]], axis=2)[:, :, :3]
    for view in (planes, four, np.asfortranarray(image), image.swapaxes(0, 1), image[:, ::-1]):
        assert isf.sparse_histogram(view) == plain
    swapped = isf.sparse_histogram(image[:, :, ::-1])
    assert swapped == isf.sparse_histogram(np.ascontiguousarray(image[:, :, ::-1]))
    assert swapped.dense().sum() == plain.total
    image.setflags(write=False)
    assert isf.sparse_histogram(image) == plain
    one = np.broadcast_to(image[:1, :1], image.shape)
    assert isf.sparse_histogram(one).counts.tolist() == [37 * 53]
    assert isf.sparse_histogram(image[:, :, 0] > 99, 2).counts.tolist() == [37 * 53]


@pytest.mark.parametrize("bins", [256, 8])
def test_masks(bins):
    image = photograph(41, 97)
    mask = np.random.default_rng(1).random((41, 97)) < 0.4
    expected = reference.sparse_histogram(image, (bins,) * 3, mask=mask)
    assert found_in(isf.sparse_histogram(image, bins, mask=mask)) == expected
    assert found_in(isf.sparse_histogram(image, bins, mask=7 * mask.astype(np.uint8))) == expected
    wide = np.zeros((41, 194), bool)
    wide[:, ::2] = mask
    assert found_in(isf.sparse_histogram(image, bins, mask=wide[:, ::2])) == expected
    assert isf.sparse_histogram(image, bins, mask=np.ones_like(mask)) == isf.sparse_histogram(
        image, bins
    )


def test_nothing_to_count():
    image = photograph(5, 6)
    with pytest.raises(InvalidInputError, match="mask is 0 at all 30 pixels"):
        isf.sparse_histogram(image, mask=np.zeros((5, 6), bool))
    for view in (image[:0], image[:, :0], image[:0, :0, 0]):
        with pytest.raises(InvalidInputError, match=r"image has no pixels: its shape is \(0,|5, 0"):
            isf.sparse_histogram(view, mask=np.zeros(view.shape[:2], bool))
    white = isf.sparse_histogram(np.full((5, 6, 3), 255, np.uint8), ignore="white")
    assert white.total == white.keys.size == 0
    assert white.bins == 2**24
    assert white == isf.SparseHistogram([], [], (256, 256, 256))


@pytest.mark.parametrize("bins", [256, 10])
def test_ignored_colours(bins):
    """As article 2: the bin of the colour is zeroed, and it keeps its place."""
    image = photograph(30, 40)
    for colour in ((255, 255, 255), tuple(int(v) for v in image[3, 4]), (1, 2, 3)):
        dense = isf.histogram(image, bins)
        dense[tuple(level * bins // 256 for level in colour)] = 0
        histogram = isf.sparse_histogram(image, bins, ignore=colour)
        assert histogram.shape == (bins,) * 3
        assert found_in(histogram) == reference.sparse_histogram(image, (bins,) * 3, colour)
        np.testing.assert_array_equal(histogram.dense(), dense)
        assert histogram.total == dense.sum()
    white = isf.sparse_histogram(image, bins, ignore="white")
    assert white == isf.sparse_histogram(image, bins, ignore=(255, 255, 255))
    grey = image[:, :, 0]
    dark = isf.sparse_histogram(grey, bins, ignore=int(grey[0, 0]))
    binned = grey.astype(int) * bins // 256
    assert dark.total == (binned != binned[0, 0]).sum()
    assert isf.sparse_histogram(grey, bins, ignore=[255]) == isf.sparse_histogram(
        grey, bins, ignore="white"
    )


# ---- the object ------------------------------------------------------------------------------


def test_made_by_hand():
    histogram = isf.SparseHistogram([1, 5], [2, 7], (2, 3))
    assert histogram.dense().tolist() == [[0, 2, 0], [0, 0, 7]]
    assert (histogram.total, histogram.bins) == (9, 6)
    assert pickle.loads(pickle.dumps(histogram)) == histogram
    with pytest.raises(TypeError, match="unhashable"):
        hash(histogram)
    assert histogram != isf.SparseHistogram([1, 5], [2, 7], (3, 2))
    assert histogram != isf.SparseHistogram([1, 4], [2, 7], (2, 3))
    assert histogram == isf.SparseHistogram([0, 1, 5], [0, 2, 7], (2, 3))
    assert histogram != 3
    assert repr(histogram) == "<SparseHistogram (2, 3): 2 bins hold 9>"
    with pytest.raises(ValueError, match="read-only"):
        histogram.counts[0] = 1
    mine = np.array([1, 5], np.uint32)
    kept = isf.SparseHistogram(mine, mine, (8,))
    mine[0] = 3
    assert kept.keys.tolist() == [1, 5]


@pytest.mark.parametrize(
    ("keys", "counts", "shape", "message"),
    [([1, 1], [1, 1], (4,), r"keys must ascend: keys\[1\] is 1 after 1"),
     ([3, 1], [1, 1], (4,), r"keys\[1\] is 1 after 3"), ([4], [1], (4,), r"keys\[0\] is 4"),
     ([-1], [1], (4,), r"keys\[0\] is -1"), ([1], [-1], (4,), r"counts\[0\] is -1"),
     ([1], [2**32], (4,), r"counts\[0\] is 4294967296"),
     ([0, 1], [2**31, 2**31], (4,), "counts add up to 4294967296"),
     ([1], [1, 2], (4,), "one element for each of the 1 keys, got 2"),
     ([[1]], [1], (4,), "keys must have one dimension"), ([1], [1], (), "shape must have"),
     ([1], [1], (2**20, 2**20), "shape must have"), ([1], [1], (0,), "shape must be at least 1")],
)  # fmt: skip
def test_bad_parts(keys, counts, shape, message):
    with pytest.raises(InvalidInputError, match=message):
        isf.SparseHistogram(keys, counts, shape)


@pytest.mark.parametrize(
    ("keys", "counts", "shape"), [([0.5], [1], (4,)), ([1], [1], 4), (["a"], [1], (4,))]
)
def test_bad_types_of_parts(keys, counts, shape):
    with pytest.raises(InvalidTypeError):
        isf.SparseHistogram(keys, counts, shape)


IMAGE = np.zeros((4, 5, 3), np.uint8)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"bins": 0}, "bins must be at least 1"), ({"bins": 257}, "at most 256 per channel, got 257"),
     ({"bins": (8, 8)}, "one entry for each of the 3 channels, got 2"),
     ({"ignore": "black"}, "'white' or levels, got 'black'"),
     ({"ignore": (1, 2)}, "one level for each of the 3 channels"),
     ({"ignore": (1, 2, 256)}, "levels are 0 to 255"), ({"ignore": 255}, "one level for each"),
     ({"mask": np.ones((4, 4), bool)}, r"mask must have the image's shape \(4, 5\)"),
     ({"image": IMAGE[0, 0]}, r"got \(3,\)"), ({"image": np.zeros((4, 5, 4), np.uint8)}, "1 to 3"),
     ({"image": np.zeros((4, 5, 0), np.uint8)}, "1 to 3"),
     ({"image": np.broadcast_to(np.uint8(0), (2**16, 2**16))}, "2\\*\\*32 pixels"),
     ({"image": np.ma.masked_equal(IMAGE, 0)}, "masked array")],
)  # fmt: skip
def test_bad_values(options, message):
    with pytest.raises(InvalidInputError, match=message):
        isf.sparse_histogram(**{"image": IMAGE, **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [({"bins": 2.5}, "bins must be an integer"), ({"ignore": (1.5, 2, 3)}, "ignore must be"),
     ({"image": IMAGE.astype(float)}, "image must be uint8, got float64"),
     ({"image": IMAGE.astype(np.int8)}, "image must be uint8, got int8"),
     ({"mask": np.ones((4, 5))}, "mask must be boolean or uint8")],
)  # fmt: skip
def test_bad_types(options, message):
    with pytest.raises(InvalidTypeError, match=message):
        isf.sparse_histogram(**{"image": IMAGE, **options})


# ---- comparison ------------------------------------------------------------------------------


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_sparse_and_dense_agree(method, normalize):
    for n in SIZES:
        a = isf.sparse_histogram(photograph(9, n, seed=1), 5)
        b = isf.sparse_histogram(photograph(7, n, seed=2), 5)
        found = isf.compare_histograms(a, b, method, normalize=normalize)
        dense = [h.dense().ravel().tolist() for h in (a, b)]
        expected = reference.comparison(*dense, method, normalize)
        scale = 30 * (1 if normalize else a.total) if method == "kl" else 1
        assert found == pytest.approx(expected, rel=1e-12, abs=1e-12 * scale)


@pytest.mark.parametrize("method", METHODS)
def test_many_bins_agree(method):
    """Lists in several blocks, each half longer than the other's."""
    a = isf.sparse_histogram(photograph(150, 200, seed=1), 40, ignore="white")
    b = isf.sparse_histogram(photograph(100, 130, seed=2), 40)
    few = isf.SparseHistogram(b.keys[:3], b.counts[:3], b.shape)
    for first, second in ((a, b), (b, a), (a, few), (few, a), (a, a)):
        for normalize in (False, True):
            found = isf.compare_histograms(first, second, method, normalize=normalize)
            expected = isf.compare_histograms(
                first.dense(), second.dense(), method, normalize=normalize
            )
            assert found == pytest.approx(expected, rel=1e-12, abs=1e-13)


def test_itself_and_itself_larger():
    image = photograph(60, 70)
    a = isf.sparse_histogram(image)
    larger = isf.sparse_histogram(np.repeat(np.repeat(image, 3, axis=0), 5, axis=1))
    for method in METHODS:
        same = 0.0 if method in ("chi2", "chi2-alt", "bhattacharyya", "kl") else 1.0
        assert isf.compare_histograms(a, a, method, normalize=True) == same
        found = isf.compare_histograms(a, larger, method, normalize=True)
        assert found == (pytest.approx(1, rel=1e-15) if method == "correlation" else same)
    assert isf.compare_histograms(a, a) == 1
    assert isf.compare_histograms(a, a, "intersection") == a.total


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("normalize", [False, True])
def test_degenerate(method, normalize):
    """The same defined values as for dense histograms."""
    shape = (2, 3)
    cases = [isf.SparseHistogram([], [], shape), isf.SparseHistogram(range(6), [4] * 6, shape),
             isf.SparseHistogram([2], [9], shape), isf.SparseHistogram([0, 2], [0, 3], shape),
             ]  # fmt: skip
    for a in cases:
        for b in cases:
            found = isf.compare_histograms(a, b, method, normalize=normalize)
            expected = isf.compare_histograms(a.dense(), b.dense(), method, normalize=normalize)
            assert found == pytest.approx(expected, rel=1e-14, abs=1e-14)


def test_nearly_constant_counts_correlate_exactly():
    """Sums of products are whole numbers of 128 bits: nothing cancels."""
    rng = np.random.default_rng(0)
    keys = np.arange(4000)
    a, b = 1000000 + rng.integers(0, 2, (2, 4000))
    found = isf.compare_histograms(
        isf.SparseHistogram(keys, a, (4000,)), isf.SparseHistogram(keys, b, (4000,))
    )
    assert found == pytest.approx(reference.comparison(a, b, "correlation"), rel=1e-14)


def test_correlation_over_the_true_number_of_bins():
    """From counts alone: r = (S12 - S1 S2 / N) / sqrt(...), N = 2**24."""
    a, b = (isf.sparse_histogram(photograph(99, 80, seed=s), ignore="white") for s in (1, 2))
    n, common = 2**24, np.intersect1d(a.keys, b.keys, return_indices=True)[1:]
    s12 = int((a.counts[common[0]].astype(int) * b.counts[common[1]]).sum())
    s11, s22 = (int((h.counts.astype(int) ** 2).sum()) for h in (a, b))
    expected = (n * s12 - a.total * b.total) / np.sqrt(
        float(n * s11 - a.total**2) * float(n * s22 - b.total**2)
    )
    assert isf.compare_histograms(a, b) == pytest.approx(expected, rel=1e-14)


def test_both_must_be_sparse_and_alike():
    a = isf.SparseHistogram([1], [1], (4,))
    with pytest.raises(InvalidTypeError, match=r"a is a SparseHistogram and the other one ndarray"):
        isf.compare_histograms(a, a.dense())
    with pytest.raises(InvalidTypeError, match="b is a SparseHistogram"):
        isf.compare_histograms([1, 2, 3, 4], a)
    with pytest.raises(InvalidInputError, match=r"same shape, got \(4,\) and \(2, 2\)"):
        isf.compare_histograms(a, isf.SparseHistogram([1], [1], (2, 2)))


# ---- one against many ------------------------------------------------------------------------


def packed(histogram):
    return np.concatenate([histogram.keys, histogram.counts])


def stored(histograms):
    rows = [packed(histogram) for histogram in histograms]
    return np.concatenate(rows), np.cumsum([0] + [row.size for row in rows])


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_rows_are_pairs(method, normalize):
    found = [isf.sparse_histogram(photograph(5 + s, 60, seed=s)) for s in range(12)]
    found.insert(3, isf.SparseHistogram([], [], (256,) * 3))
    rows, offsets = stored(found)
    for threads in (1, 3):
        values = _core.compare_sparse_rows(
            METHODS[method], normalize, packed(found[0]), rows, offsets, 2**24, threads
        )
        for value, row in zip(values, found, strict=True):
            assert value == isf.compare_histograms(found[0], row, method, normalize=normalize)


def test_bad_rows_are_named():
    good = isf.sparse_histogram(photograph(9, 9))
    rows, offsets = stored([good] * 5)
    size = good.keys.size
    for at, value in ((3 * 2 * size, 2**24 - 1), (3 * 2 * size + size - 1, 2**24)):
        wrong = rows.copy()
        wrong[at] = value
        with pytest.raises(_core.BadHistogramError) as caught:
            _core.compare_sparse_rows(0, False, packed(good), wrong, offsets, 2**24, 2)
        assert (caught.value.which, caught.value.row) == (1, 3)
    wrong = rows.copy()
    wrong[-2:] = 2**31
    with pytest.raises(_core.BadHistogramError) as caught:
        _core.compare_sparse_rows(0, False, packed(good), wrong, offsets, 2**24, 2)
    assert (caught.value.which, caught.value.row) == (1, 4)
    with pytest.raises(_core.BadHistogramError) as caught:
        _core.compare_sparse(
            0, False, good.keys[::-1].copy(), good.counts, good.keys, good.counts, 2**24
        )
    assert (caught.value.which, caught.value.row) == (0, 0)
    odd = np.concatenate([packed(good), packed(good)[:1]])
    with pytest.raises(TypeError, match="one count for each key"):
        _core.compare_sparse_rows(0, False, odd, rows, offsets, 2**24, 2)


@pytest.mark.parametrize(
    "offsets", [[0, 6, 4], [0, 3], [-2, 2], [0, 98], [], [[0, 1]], np.array([0, 1], np.int32)]
)
def test_the_core_refuses_bad_offsets(offsets):
    keys = np.arange(9, dtype=np.uint32)
    offsets = offsets if isinstance(offsets, np.ndarray) else np.array(offsets, np.int64)
    with pytest.raises(TypeError, match="offsets"):
        _core.compare_sparse_rows(0, False, keys[:4], keys, offsets, 100, 1)


@pytest.mark.parametrize(
    "call",
    ["sparse_histogram(I, None, (8, 8), None)", "sparse_histogram(I, None, (8, 8, 257), None)",
     "sparse_histogram(I.astype('f4'), None, (8, 8, 8), None)",
     "sparse_histogram(I, None, (8, 8, 8), 'white')", "sparse_histogram(I, None, (0, 8, 8), None)",
     "compare_sparse(0, False, K, K[:3], K, K, 99)", "compare_sparse(0, False, K, K, K, K, 0)",
     "compare_sparse(6, False, K, K, K, K, 99)",
     "compare_sparse(0, False, K[::2], K[::2], K, K, 99)",
     "compare_sparse(0, False, K.astype('i8'), K, K, K, 99)"],
)  # fmt: skip
def test_the_core_refuses_what_it_cannot_read(call):
    names = {"I": IMAGE, "K": np.arange(8, dtype=np.uint32)}
    with pytest.raises(TypeError):
        eval(f"core.{call}", {"core": _core, **names})


# ---- memory ----------------------------------------------------------------------------------

PHOTOGRAPHS = """
import numpy as np
import imgsim_fast as isf

rng = np.random.default_rng(0)
images = [np.clip(np.cumsum(rng.integers(-3, 4, (1000, 1000, 3), dtype=np.int8), axis=1,
                            dtype=np.int16) + 128, 0, 255).astype(np.uint8) for _ in range(2)]
isf.compare_histograms(isf.sparse_histogram(images[0][:9]), isf.sparse_histogram(images[1][:9]))
"""
COMPARISON = (
    "isf.compare_histograms(*(isf.sparse_histogram(image, ignore='white') for image in images))"
)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_two_megapixels_take_little_memory():
    """A dense histogram alone takes 67 MB as float32."""
    assert peak_memory(PHOTOGRAPHS, COMPARISON) <= 16
