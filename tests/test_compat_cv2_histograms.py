"""calcHist and compareHist against OpenCV: equal where it is right, and where it is not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

import imgsim_fast as isf
from imgsim_fast.compat import cv2 as ours
from tests import reference_comparison as reference

METHODS = {
    "HISTCMP_CORREL": "correlation", "HISTCMP_CHISQR": "chi2", "HISTCMP_INTERSECT": "intersection",
    "HISTCMP_BHATTACHARYYA": "bhattacharyya", "HISTCMP_HELLINGER": "bhattacharyya",
    "HISTCMP_CHISQR_ALT": "chi2-alt", "HISTCMP_KL_DIV": "kl",
}  # fmt: skip
# What OpenCV gets wrong is shown for this version; a later one may have mended it.
SHOWN = cv2.__version__ == "5.0.0"


def pixels(dtype, shape=(17, 23, 3), seed=0):
    rng = np.random.default_rng(seed)
    if dtype != "float32":
        return rng.integers(0, 256 if dtype == "uint8" else 700, shape).astype(dtype)
    values = rng.normal(128, 90, shape)
    whole = rng.random(shape) < 0.4
    values[whole] = np.rint(values[whole])
    return values.astype(dtype)


def theirs(*arguments):
    """What cv2.calcHist counts, in the shape of OpenCV 5."""
    counts = cv2.calcHist(*arguments)
    return counts[:, 0] if counts.ndim == 2 and len(arguments[1]) == 1 else counts


# ---- compareHist -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", METHODS)
def test_numbers_are_those_of_opencv(name):
    assert getattr(ours, name) == getattr(cv2, name)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("bins", [2, 3, 7, 8, 9, 16, 17, 33, 65, 256, 512])
def test_same_as_opencv_where_it_is_right(name, bins):
    rng = np.random.default_rng(bins)
    a, b = rng.integers(1, 99, (2, bins)).astype(np.float32)
    for first, second in ((a, b), (a, a), (a / a.sum(), b / b.sum()), (a[:, None], b[:, None])):
        found = ours.compareHist(first, second, getattr(ours, name))
        assert type(found) is float
        expected = cv2.compareHist(first.ravel(), second.ravel(), getattr(cv2, name))
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-7)
        exact = reference.comparison(first.ravel(), second.ravel(), METHODS[name])
        assert found == pytest.approx(exact, rel=1e-12, abs=1e-12 * 25 * float(first.sum()))


@pytest.mark.parametrize("name", METHODS)
def test_joint_histograms_as_flat_ones(name):
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 99, (2, 8, 8, 8)).astype(np.float32)
    method = getattr(ours, name)
    found = ours.compareHist(a, b, method)
    assert found == ours.compareHist(a.ravel(), b.ravel(), method)
    flat = cv2.compareHist(a.reshape(-1, 1), b.reshape(-1, 1), method)
    assert found == pytest.approx(flat, rel=1e-9)


def test_where_opencv_is_wrong_on_joint_histograms():
    """It divides by the number of bins of all axes but the last (opencv#29824)."""
    cube = np.random.default_rng(0).integers(0, 99, (8, 8, 8)).astype(np.float32)
    other = np.random.default_rng(1).integers(0, 99, (8, 8, 8)).astype(np.float32)
    assert ours.compareHist(cube, cube, ours.HISTCMP_CORREL) == 1.0
    exact = reference.comparison(cube.ravel(), other.ravel(), "correlation")
    assert ours.compareHist(cube, other, ours.HISTCMP_CORREL) == pytest.approx(exact, rel=1e-12)
    if SHOWN:
        assert cv2.compareHist(cube, cube, cv2.HISTCMP_CORREL) == -1.0
        assert abs(cv2.compareHist(cube, other, cv2.HISTCMP_CORREL)) > 1


def test_where_opencv_is_wrong_on_degenerate_histograms():
    empty, full = np.zeros(8, np.float32), np.arange(8, dtype=np.float32)
    nan = np.full(8, np.nan, np.float32)
    assert ours.compareHist(empty, full, ours.HISTCMP_CORREL) == 0.0
    assert ours.compareHist(empty, empty, ours.HISTCMP_BHATTACHARYYA) == 0.0
    if SHOWN:
        assert cv2.compareHist(empty, full, cv2.HISTCMP_CORREL) == 1.0  # the best match
        assert cv2.compareHist(empty, empty, cv2.HISTCMP_BHATTACHARYYA) == 1.0  # far from itself
        assert cv2.compareHist(nan, full, cv2.HISTCMP_CORREL) == 1.0
    with pytest.raises(ours.error, match=r"H1\[0\] is NaN"):
        ours.compareHist(nan, full, ours.HISTCMP_CORREL)


def test_where_opencv_is_wrong_on_close_and_on_nearly_constant_histograms():
    rng = np.random.default_rng(3)
    level = (1e6 + rng.integers(0, 2, 500)).astype(np.float32)
    other = (1e6 + rng.integers(0, 2, 500)).astype(np.float32)
    exact = reference.comparison(level, other, "correlation")
    assert ours.compareHist(level, other, ours.HISTCMP_CORREL) == pytest.approx(exact, rel=1e-12)
    if SHOWN:
        assert abs(cv2.compareHist(level, other, cv2.HISTCMP_CORREL) - exact) > 1e-6
    near = level.copy()
    near[0] += 0.125
    exact = reference.comparison(level, near, "bhattacharyya")
    found = ours.compareHist(level, near, ours.HISTCMP_BHATTACHARYYA)
    assert found == pytest.approx(exact, rel=1e-6)
    if SHOWN:
        other = cv2.compareHist(level, near, cv2.HISTCMP_BHATTACHARYYA)
        assert abs(other - exact) > 0.1 * exact


def test_other_types_and_shapes():
    a, b = np.arange(6), np.array([3, 1, 4, 1, 5, 9])
    expected = cv2.compareHist(a.astype(np.float32), b.astype(np.float32), 1)
    for first, second in ((a, b), (a.tolist(), b.astype(np.float64)), (a[:, None], b),
                          (a[None], b.astype(np.uint8)[:, None]), (a.astype(">f4"), b),
                          ):  # fmt: skip
        assert ours.compareHist(first, second, 1) == pytest.approx(expected, rel=1e-12)
    assert ours.compareHist(a, b, np.int64(1)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("h1", "h2", "method", "message"),
    [([1], [1], 9, "Unknown comparison method"), ([1], [1], -1, "Unknown comparison method"),
     ([1, 2], [1], 0, r"H1 has shape \(2,\) and H2 \(1,\)"), ([], [], 0, "H1 has no bins"),
     ([[1, 2], [3, 4]], [1, 2, 3, 4], 0, "same size"), ([1, -2], [1, 2], 3, r"H1\[1\] is -2.0")],
)  # fmt: skip
def test_what_compare_hist_refuses(h1, h2, method, message):
    with pytest.raises(ours.error, match=message) as caught:
        ours.compareHist(h1, h2, method)
    assert not isinstance(caught.value, TypeError)


@pytest.mark.parametrize(
    ("h1", "h2", "method"),
    [([1], [1], 1.0), ([1], [1], True), ([1], [1], None), (["a"], [1], 0), ([1], None, 0)],
)
def test_wrong_types_are_type_errors_too(h1, h2, method):
    with pytest.raises(ours.error) as caught:
        ours.compareHist(h1, h2, method)
    assert isinstance(caught.value, TypeError)


# ---- calcHist --------------------------------------------------------------------------------


@pytest.mark.parametrize("bins", [1, 2, 3, 10, 17, 64, 100, 255, 256, 257, 1000])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize(
    "limits", [(0, 256), (0, 255), (10, 200), (-20, 300), (0.3, 77.7), (0.1, 0.7), (-1e3, 1e3)]
)
def test_counts_are_those_of_opencv(dtype, bins, limits):
    image = pixels(dtype)[:, :, 1]
    found = ours.calcHist([image], [0], None, [bins], limits)
    assert found.shape == (bins,)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, theirs([image], [0], None, [bins], list(limits)))


@pytest.mark.parametrize("seed", range(150))
def test_any_counts(seed):
    """Axes, channels, bins, ranges and masks at random."""
    rng = np.random.default_rng(seed)
    dtype = rng.choice(["uint8", "uint16", "float32"])
    image = pixels(dtype, seed=seed)
    dims = int(rng.integers(1, 5))
    channels = [int(c) for c in rng.integers(0, 6, dims)]
    sizes = [int(n) for n in rng.integers(1, 300 if dims == 1 else 12, dims)]
    ranges = []
    for _ in range(dims):
        choices = [(0.0, 256.0), (0.0, 255.0), (float(rng.integers(-20, 99)), 300.0),
                   (rng.uniform(-9, 99), rng.uniform(101, 300))]  # fmt: skip
        ranges += choices[rng.integers(4)]
    mask = (rng.random(image.shape[:2]) < 0.5).astype(np.uint8) if seed % 2 else None
    images = [image, image[::-1].copy()]
    found = ours.calcHist(images, channels, mask, sizes, ranges)
    expected = theirs(images, channels, mask, sizes, ranges)
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found, expected)


def test_joint_counts_over_all_levels():
    """Article 2's call; also with channels in another order and in images of their own."""
    image = pixels("uint8", (40, 50, 3))
    for channels, images in (([0, 1, 2], [image]), ([2, 1, 0], [image]), ([1, 2], [image]),
                             ([0, 1, 2], [image[:, :, c].copy() for c in range(3)]),
                             ([0, 2, 1], [image[:, :, :2].copy(), image[:, :, 2].copy()]),
                             ):  # fmt: skip
        sizes = [32] * len(channels)
        found = ours.calcHist(images, channels, None, sizes, [0, 256] * len(channels))
        np.testing.assert_array_equal(
            found, cv2.calcHist(images, channels, None, sizes, [0, 256] * len(channels))
        )


def test_five_axes():
    image = pixels("uint8")
    call = ([image, image], [0, 1, 2, 3, 5], None, [3] * 5, [0, 256] * 5)
    np.testing.assert_array_equal(ours.calcHist(*call), cv2.calcHist(*call))


def test_joint_counts_of_views():
    """A view of a view has the owner of the memory for its base, whatever that looks like."""
    whole = pixels("uint8", (10, 12, 3))
    signed = whole.view(np.int8)[:]
    views = (whole[:5], whole[:5, :6], whole[::2], whole[:, ::-1], signed.view(np.uint8))
    for view in (*views, whole[..., :2], whole[..., ::-1]):
        held = view.copy()
        mask = (np.indices(view.shape[:2]).sum(0) % 3 == 0).astype(np.uint8)
        axes = list(range(view.shape[2]))
        for chosen in (None, mask):
            for channels in (axes, axes[::-1]):
                rest = (channels, chosen, [2] * len(axes), [0, 256] * len(axes))
                assert (ours.calcHist([view], *rest) == theirs([held], *rest)).all()
    pair, rest = [whole[:5, :6], whole[5:, 6:]], (None, [2] * 3, [0, 256] * 3)
    for channels in ([0, 1, 2], [3, 4, 5], [0, 4, 2]):
        held = [image.copy() for image in pair]
        assert (ours.calcHist(pair, channels, *rest) == theirs(held, channels, *rest)).all()


def test_default_ranges_tuples_vectors_and_empty_images():
    image = pixels("uint8")[:, :, 0].copy()
    expected = theirs([image], [0], None, [256], [0, 256])
    for ranges in ([], None, (0, 256)):
        np.testing.assert_array_equal(ours.calcHist((image,), (0,), None, (256,), ranges), expected)
    np.testing.assert_array_equal(ours.calcHist([image.ravel()], 0, None, 256, [0, 256]), expected)
    np.testing.assert_array_equal(
        ours.calcHist([image], [0], np.ones(image.shape, bool), [256], []), expected
    )
    assert ours.calcHist([image[:0]], [0], None, [4], [0, 256]).tolist() == [0, 0, 0, 0]


def test_types_that_opencv_refuses():
    image = pixels("uint8")
    expected = ours.calcHist([image], [0, 1], None, [7, 9], [0, 200, 3, 99])
    for dtype in ("int16", "int32", "float64", "float16"):
        found = ours.calcHist([image.astype(dtype)], [0, 1], None, [7, 9], [0, 200, 3, 99])
        np.testing.assert_array_equal(found, expected)


def test_given_histograms_are_filled():
    image = pixels("uint8")[:, :, 0].copy()
    plain = ours.calcHist([image], [0], None, [16], [0, 256])
    for hist in (np.full(16, 7, np.float32), np.full((16, 1), 7, np.float32), np.full(16, 7.0),
                 np.full((16, 2), 7, np.float32)[:, 1]):  # fmt: skip
        found = ours.calcHist([image], [0], None, [16], [0, 256], hist)
        assert found is hist
        np.testing.assert_array_equal(found.ravel(), plain)
        assert ours.calcHist([image], [0], None, [16], [0, 256], hist, True) is hist
        np.testing.assert_array_equal(hist.ravel(), 2 * plain)
    small = np.full(5, 7, np.float32)
    assert ours.calcHist([image], [0], None, [16], [0, 256], small) is not small
    assert (small == 7).all()


@pytest.mark.parametrize("dims", [1, 2])
def test_accumulated_as_by_opencv(dims):
    image = pixels("uint8")
    call = ([image], [0, 1, 2][:dims], None, [6, 7, 8][:dims], [0, 256] * dims)
    mine, other = (np.full([6, 7, 8][:dims], 3, np.float32) for _ in range(2))
    ours.calcHist(*call, mine, accumulate=True)
    found = cv2.calcHist(*call, other, accumulate=True)
    np.testing.assert_array_equal(mine, found.reshape(mine.shape))


def test_fractions_are_kept():
    """OpenCV rounds what was there before to whole numbers."""
    image = np.zeros((4, 5), np.uint8)
    call = ([image], [0], None, [2], [0, 256])
    assert ours.calcHist(*call, np.full(2, 0.5, np.float32), True).tolist() == [20.5, 0.5]
    if SHOWN:
        assert theirs(*call, np.full(2, 0.5, np.float32), True).tolist() == [20, 0]


def test_nan_is_not_counted():
    """OpenCV 5.0 may count it in the first bin."""
    image = np.array([[np.nan, np.inf, 5], [255, 256, -np.inf]], np.float32)
    assert ours.calcHist([image], [0], None, [4], [0, 256]).tolist() == [1, 0, 0, 1]


def test_accumulation_in_three_axes():
    """OpenCV 5.0 forgets what was there before."""
    image = pixels("uint8")
    call = ([image], [0, 1, 2], None, [6, 7, 8], [0, 256] * 3)
    hist = np.ones((6, 7, 8), np.float32)
    assert ours.calcHist(*call, hist, accumulate=True) is hist
    np.testing.assert_array_equal(hist, 1 + ours.calcHist(*call))
    if SHOWN:
        found = cv2.calcHist(*call, np.ones((6, 7, 8), np.float32), accumulate=True)
        assert found.sum() == image[:, :, 0].size


IMAGE = np.zeros((4, 5, 3), np.uint8)
CALL = {"images": [IMAGE], "channels": [0], "mask": None, "histSize": [8], "ranges": [0, 256]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"images": []}, "nimages > 0"), ({"channels": []}, "channels is empty"),
     ({"channels": [3]}, "channels holds 3: the images have 3"), ({"channels": [-1]}, "holds -1"),
     ({"histSize": [8, 8]}, "csz == dims"), ({"histSize": [0]}, "at least one bin"),
     ({"channels": [0] * 65, "histSize": [1] * 65, "ranges": []}, "histSize has 65 entries"),
     ({"ranges": [0, 100, 256]}, "rsz == dims\\*2"), ({"ranges": [5, 5]}, "below the upper"),
     ({"ranges": [256, 0]}, "below the upper"), ({"ranges": [0, np.nan]}, "below the upper"),
     ({"ranges": [0, np.inf]}, "below the upper"),
     ({"images": [IMAGE.astype(np.float32)], "ranges": []}, "rsz == dims"),
     ({"images": [IMAGE, IMAGE[:2]], "channels": [0, 3], "histSize": [2, 2], "ranges": []},
      "one size and type"),
     ({"images": [np.zeros((2, 2, 2, 2), np.uint8)]}, r"images\[0\] has shape"),
     ({"mask": np.ones((3, 3), np.uint8)}, "mask must have the image's shape"),
     ({"hist": np.zeros(9, np.float32), "accumulate": True}, "to accumulate it must be float32")],
)  # fmt: skip
def test_what_calc_hist_refuses(changes, message):
    with pytest.raises(ours.error, match=message):
        ours.calcHist(**{**CALL, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"images": IMAGE}, r"write \[image\]"), ({"images": ["a"]}, r"images\[0\] must hold"),
     ({"channels": [0.5]}, "channels must be"), ({"histSize": ["8"]}, "histSize must be"),
     ({"ranges": ["a", "b"]}, "ranges must be"), ({"ranges": [0, 10**400]}, "ranges must be"),
     ({"ranges": np.array([0, 256 + 3j])}, "ranges must be"),
     ({"hist": [0.0]}, "hist is not a numpy array"),
     ({"mask": np.ones((4, 5))}, "mask must be boolean or uint8")],
)  # fmt: skip
def test_wrong_types_of_calc_hist(changes, message):
    with pytest.raises(ours.error, match=message) as caught:
        ours.calcHist(**{**CALL, **changes})
    assert isinstance(caught.value, TypeError)


def test_a_read_only_histogram():
    hist = np.zeros(8, np.float32)
    hist.setflags(write=False)
    with pytest.raises(ours.error, match="readonly"):
        ours.calcHist(**CALL, hist=hist)


# ---- article 2 -------------------------------------------------------------------------------


def test_the_pipeline_of_article_2():
    """Joint counts of all levels, white zeroed, MINMAX, correlation: flattened, OpenCV is right."""
    rng = np.random.default_rng(0)
    images = []
    for _ in range(2):
        image = np.clip(np.cumsum(rng.integers(-3, 4, (60, 80, 3)), axis=1) + 128, 0, 255)
        image[rng.random((60, 80)) < 0.2] = 255
        images.append(image.astype(np.uint8))
    histograms = []
    for image in images:
        counts = cv2.calcHist([image], [0, 1, 2], None, [256] * 3, [0, 256] * 3)
        counts[255, 255, 255] = 0
        cv2.normalize(counts, counts, alpha=0, beta=1, norm_type=cv2.NORM_MINMAX)
        histograms.append(counts.reshape(-1, 1))
    expected = cv2.compareHist(*histograms, cv2.HISTCMP_CORREL)
    found = isf.compare_histograms(*(isf.sparse_histogram(i, 256, ignore="white") for i in images))
    assert found == pytest.approx(expected, rel=1e-6)
