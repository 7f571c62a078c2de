"""Structural similarity against fractions, scikit-image and its own laws."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import warnings
from itertools import product

import numpy as np
import pytest

import imgsim_fast as isf
from imgsim_fast import errors
from tests import reference_ssim

RNG = np.random.default_rng(11)
SIZES = (1, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65)
TYPES = (
    "bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64",
)  # fmt: skip


def noise(*shape):
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def alike(image):
    """Return a disturbed copy, so that similarities are neither 0 nor 1."""
    return (image * 0.8 + RNG.normal(20, 12, image.shape)).clip(0, 255).astype(np.uint8)


def skimage(image1, image2, **options):
    metrics = pytest.importorskip("skimage.metrics")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that data_range is the dtype's
        return metrics.structural_similarity(image1, image2, **options)


def check(image1, image2, **options):
    """Compare the similarity and the map with those of scikit-image; return the similarity."""
    ours, map_ = isf.structural_similarity(image1, image2, full=True, **options)
    if image1.dtype == np.float32 or image1.dtype == np.float16:
        image1, image2 = image1.astype(float), image2.astype(float)  # it would use float32
    theirs, their_map = skimage(image1, image2, full=True, **options)
    assert type(ours) is float
    assert abs(ours - theirs) < 1e-10
    assert map_.shape == their_map.shape
    assert map_.dtype == np.float64
    assert np.abs(map_ - their_map).max() < 1e-10
    assert isf.structural_similarity(image1, image2, **options) == pytest.approx(ours, abs=1e-14)
    return ours


# ---- against fractions -----------------------------------------------------------------------


@pytest.mark.parametrize("width", SIZES)
def test_integers_equal_fractions(isa, width):
    for win in (1, 3, 7):
        if win > width or (win == 7 and width > 17):  # test_sizes_of_registers has the others
            continue
        height = win + 1
        x, y = noise(height, width), noise(height, width)
        exact = reference_ssim.similarity_map(x, y, 255, win=win, sample=win > 1)
        mean, map_ = isf.structural_similarity(
            x, y, win_size=win, full=True, use_sample_covariance=win > 1
        )
        assert np.abs(map_ - np.array(exact, dtype=float)).max() < 1e-14
        middle = [row[win // 2 : width - win // 2] for row in exact]
        middle = middle[win // 2 : height - win // 2]
        assert mean == pytest.approx(float(np.mean(middle)), abs=1e-14)


@pytest.mark.parametrize("kind", [np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("sample", [True, False])
def test_floats_equal_fractions(isa, kind, sample):
    x, y = (RNG.integers(0, 4000, (7, 17)).astype(kind) / kind(1) for _ in range(2))
    x, y = x.astype(kind), y.astype(kind)
    for win, sigma in ((3, None), (5, None), (None, 0.5)):
        weights = None if sigma is None else reference_ssim.gaussian_weights(sigma)
        exact = reference_ssim.structural_similarity(
            x, y, 5000, win=win or len(weights), weights=weights, sample=sample
        )
        ours = isf.structural_similarity(
            x, y, win_size=win, data_range=5000, gaussian_weights=sigma is not None,
            sigma=sigma or 1.5, use_sample_covariance=sample,
        )  # fmt: skip
        assert ours == pytest.approx(float(exact), abs=1e-14)


def test_small_differences_on_a_large_offset():
    """Where the squares of the means hide the variances: nine digits of sixteen are left."""
    x, y = (1e6 + RNG.random((9, 9)) for _ in range(2))
    exact = reference_ssim.structural_similarity(x, y, 1.0)
    assert isf.structural_similarity(x, y, data_range=1) == pytest.approx(float(exact), abs=1e-13)


# ---- against scikit-image --------------------------------------------------------------------


@pytest.mark.parametrize("win", [None, 3, 7, 9, 11, 13, 15, 31, 63])
@pytest.mark.parametrize("sample", [True, False])
def test_uniform_windows(isa, win, sample):
    x = noise(70, 90)
    check(x, alike(x), win_size=win, use_sample_covariance=sample)
    check(x, noise(70, 90), win_size=win, use_sample_covariance=sample, K1=0.02, K2=0.1)


@pytest.mark.parametrize("win", [127, 129])
def test_largest_windows(isa, win):
    white = np.full((130, 140), 255, np.uint8)
    x = white - (noise(130, 140) < 3)
    check(x, alike(x), win_size=win)
    check(x, x[::-1], win_size=win)  # the largest sums of both
    check(white, 255 - white, win_size=win)


@pytest.mark.parametrize("sigma", [0, 0.1, 0.5, 1.0, 1.5, 2.7, 6])
@pytest.mark.parametrize("sample", [True, False])
def test_gaussian_windows(isa, sigma, sample):
    if sigma < 0.2 and sample:
        return  # one pixel: refused, see below
    x = noise(48, 57)
    options = {"gaussian_weights": True, "sigma": sigma, "use_sample_covariance": sample}
    check(x, alike(x), **options)
    check(x / 255.0, alike(x) / 255.0, data_range=1, **options)


@pytest.mark.parametrize("win", [3, 11, 25])
def test_gaussian_with_a_border_of_its_own(win):
    x = noise(26, 31)
    check(x, alike(x), win_size=win, gaussian_weights=True)
    for width in (25, 7, 3):  # mirrored once, and again
        narrow = x[:, :width]
        check(narrow, alike(narrow), win_size=3, gaussian_weights=True, sigma=7)


@pytest.mark.parametrize(("width", "farthest"), [(12, 1000), (1010, 1010)])
def test_a_gaussian_reaches_to_the_longer_side_or_1000_pixels(width, farthest):
    options = {"win_size": 3, "gaussian_weights": True}
    x = noise(8, width)
    widest = farthest / 3.5
    assert isf.structural_similarity(x, x, sigma=widest, **options) == 1
    with pytest.raises(ValueError, match="does not fit into image1"):
        isf.structural_similarity(x, x, sigma=widest + 0.2, **options)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("gaussian", [False, True])
def test_every_type(kind, gaussian):
    limits = np.iinfo(kind) if np.dtype(kind).kind in "iu" else None
    low, high = (limits.min, limits.max) if limits else (0, 1)
    x, y = ((low + RNG.random((24, 33)) * (high - low)).astype(kind) for _ in range(2))
    if kind == "bool":
        x, y = RNG.random((2, 24, 33)) < 0.4
    options = {"gaussian_weights": gaussian}
    if "float" in kind:
        options["data_range"] = 1
        check(x, y, **options)
    else:
        check(x, y, **options)
        assert check(x, y, data_range=100, **options) != check(x, y, **options)
    options.update(use_sample_covariance=False, data_range=3.5)
    check(x, y, **options)


@pytest.mark.parametrize("kind", [np.int64, np.uint64])
def test_64_bits(kind):
    x, y = (RNG.integers(0, 2**53, (12, 12)).astype(kind) for _ in range(2))
    check(x, y, data_range=2**53)
    check(x // 2**40, y // 2**40)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float64])
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 200])
def test_channels(isa, kind, channels):
    x = noise(17, 21, channels)
    y = alike(x)
    options = {"data_range": 255, "win_size": 5}
    for axis in (0, 1, 2, -1, -2, -3):
        a, b = (np.moveaxis(image, -1, axis).astype(kind) for image in (x, y))
        check(a, b, channel_axis=axis, **options)
    single = [
        isf.structural_similarity(x[..., c].astype(kind), y[..., c].astype(kind), **options)
        for c in range(channels)
    ]
    mean = isf.structural_similarity(x.astype(kind), y.astype(kind), channel_axis=2, **options)
    assert mean == pytest.approx(np.mean(single), abs=1e-14)


def test_sizes_of_registers(isa):
    for width in (*SIZES[2:], 511, 512, 513, 518, 519, 1025):
        x = noise(9, width)
        check(x, alike(x))
        check(x, alike(x), win_size=5)


def test_real_photographs(shared_data):
    paths = sorted((shared_data / "corel1k").rglob("*.jpg"))[:2]
    assert len(paths) == 2
    x, y = (isf.decode(path) for path in paths)
    y = isf.resize_area(y, x.shape[:2])
    channels = {"channel_axis": -1} if x.ndim == 3 else {}
    check(x, y, **channels)
    wang = {"gaussian_weights": True, "use_sample_covariance": False, "data_range": 255}
    check(x, y, **wang, **channels)


# ---- laws ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32, np.float64])
def test_equal_images_are_exactly_one(isa, kind):
    flat = np.full((20, 30), 77, kind)
    for image in (noise(31, 45).astype(kind), flat, flat * 0, (noise(20, 30) / 3).astype(kind)):
        for options in product(
            (7, 3, 13), (True, False), ((0.01, 0.03), (0, 0.03), (0, 0), (1, 0))
        ):
            win, sample, (k1, k2) = options
            mean, map_ = isf.structural_similarity(
                image, image.copy(), win_size=win, data_range=255, use_sample_covariance=sample,
                K1=k1, K2=k2, full=True,
            )  # fmt: skip
            assert mean == 1.0
            assert (map_ == 1.0).all()
        gaussian = {"gaussian_weights": True, "data_range": 255}
        assert isf.structural_similarity(image, image, **gaussian) == 1.0


@pytest.mark.parametrize("kind", [np.uint8, np.float64])
def test_constant_images(kind):
    a, b, black = (np.full((16, 16), level, kind) for level in (50, 100, 0))
    luminance = (2 * 50 * 100 + 2.55**2) / (50**2 + 100**2 + 2.55**2)
    options = {"data_range": 255}
    assert isf.structural_similarity(a, b, **options) == pytest.approx(luminance, abs=1e-13)
    assert isf.structural_similarity(black, b, **options) == pytest.approx(
        2.55**2 / (100**2 + 2.55**2), abs=1e-13
    )
    # Without constants: 0 / 0 is 1.
    options.update(K1=0, K2=0)
    assert isf.structural_similarity(a, b, **options) == pytest.approx(0.8, abs=1e-13)
    assert isf.structural_similarity(black, b, **options) == pytest.approx(0, abs=1e-13)
    assert isf.structural_similarity(black, black, **options) == 1
    x = noise(16, 16).astype(kind)
    exact = reference_ssim.structural_similarity(x, b, 255, k1=0, k2=0)
    assert isf.structural_similarity(x, b, **options) == pytest.approx(float(exact), abs=1e-13)


def test_flat_floats_without_constants():
    """Rounding of a mean of 0.1s is no variance."""
    a, b = np.full((12, 20), 0.1), np.full((12, 20), 0.7)
    a[:, :9] = 0.3
    ours = isf.structural_similarity(a, b, data_range=1, K1=0, K2=0, full=True)[1]
    theirs = np.array(reference_ssim.similarity_map(a, b, 1, k1=0, k2=0), dtype=float)
    assert np.abs(ours - theirs).max() < 1e-12


@pytest.mark.parametrize("scale", [1e-320, 1e-300, 1e-160, 1e160, 1e305])
def test_scale_does_not_matter(scale):
    x, y = np.round(RNG.random((2, 20, 20)), 3)
    if scale == 1e-320:
        x, y = x.round(0), y.round(0)
    ours = isf.structural_similarity(x * scale, y * scale, data_range=scale)
    assert ours == pytest.approx(isf.structural_similarity(x, y, data_range=1), abs=1e-3 * 1e-9)


@pytest.mark.parametrize("data_range", [5e-324, 1e-200, 1e200, 1.7e308])
@pytest.mark.parametrize("kind", [np.uint8, np.float64])
def test_extreme_ranges(data_range, kind):
    x, y = noise(12, 12).astype(kind), noise(12, 12).astype(kind)
    ours = isf.structural_similarity(x, y, data_range=data_range, K1=1, K2=1e9)
    if data_range > 1:
        assert ours == 1
    else:
        none = isf.structural_similarity(x, y, data_range=1, K1=0, K2=0)
        assert ours == pytest.approx(none, abs=1e-12)
    assert isf.structural_similarity(x, y, data_range=data_range, K1=1e300, K2=1e300) <= 1


def test_symmetry_and_bounds(isa):
    for kind, _ in product((np.uint8, np.float64), range(5)):
        x, y = noise(19, 23).astype(kind), noise(19, 23).astype(kind)
        options = {"data_range": 255}
        forth, map_ = isf.structural_similarity(x, y, full=True, **options)
        assert isf.structural_similarity(y, x, **options) == forth
        assert np.abs(map_).max() <= 1
        turned = isf.structural_similarity(x.T, y.T, **options)
        assert turned == pytest.approx(forth, abs=1e-14)


def test_rounding_does_not_leave_the_bounds(isa):
    rng = np.random.default_rng(0)
    highest, lowest = [], []
    for _ in range(500):
        image = rng.random((7, 8))
        close = image * (1 + 1e-16 * rng.integers(-3, 4, image.shape))
        for other, mode in ((close, highest), (close - 2 * image.mean(), lowest)):
            ours, map_ = isf.structural_similarity(image, other, data_range=1e-30, full=True)
            mode += [ours, map_.max(), map_.min()]
            assert -1 <= map_.min() <= ours <= map_.max() <= 1
    assert max(highest) == 1
    assert min(lowest) < -0.999


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32, np.float64])
def test_the_map_does_not_change_the_mean(isa, kind):
    x, y = noise(40, 533).astype(kind), noise(40, 533).astype(kind)
    for options in ({}, {"win_size": 13}, {"gaussian_weights": True}):
        with_map, map_ = isf.structural_similarity(x, y, data_range=255, full=True, **options)
        assert with_map == isf.structural_similarity(x, y, data_range=255, **options)
        border = options.get("win_size", 11 if options else 7) // 2
        middle = map_[border:-border, border:-border]
        assert with_map == pytest.approx(middle.mean(), abs=1e-14)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32, np.float64])
def test_layouts(kind):
    block = noise(2, 40, 42, 3).astype(kind)

    def unaligned(image):
        data = b"x" + np.ascontiguousarray(image).tobytes()
        return np.frombuffer(data, np.uint8)[1:].view(image.dtype).reshape(image.shape)

    views = (
        lambda b: b[..., 0],
        lambda b: b[::2, ::-1, 1],
        lambda b: b[::-1, ::3, 2].T,
        lambda b: np.broadcast_to(b[0, :, 0], (12, 42)),
        lambda b: b[..., 0].astype(b.dtype.newbyteorder()),
        lambda b: unaligned(b[..., 0]),
    )
    for view in views:
        x, y = view(block[0]), view(block[1])
        x.flags.writeable = False
        held = [np.ascontiguousarray(image).astype(kind) for image in (x, y)]
        options = {"data_range": 255, "full": True}
        ours, theirs = (isf.structural_similarity(*pair, **options) for pair in ((x, y), held))
        assert ours[0] == theirs[0]
        assert (ours[1] == theirs[1]).all()
    for view in (lambda b: b, lambda b: b[..., ::-1], lambda b: b[:, ::2], lambda b: b[..., :2]):
        x, y = view(block[0]), view(block[1])
        options = {"data_range": 255, "channel_axis": -1}
        ours = isf.structural_similarity(x, y, **options)
        assert ours == isf.structural_similarity(x.copy(), y.copy(), **options)


def test_lists_and_mixed_types():
    x = noise(8, 9)
    y = alike(x)
    wanted = isf.structural_similarity(x, y)
    for pair in ((x.tolist(), y.tolist()), (x, y.astype(float)), (x.astype(np.uint16), y)):
        assert isf.structural_similarity(*pair, data_range=255) == pytest.approx(wanted, abs=1e-14)
    assert isf.structural_similarity(x.view(np.int8), x) <= 1  # both types span 255


# ---- one against many ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32, np.float64])
def test_many_equal_pairs(isa, kind):
    images = noise(23, 40, 50).astype(kind)
    for options in ({}, {"win_size": 13}, {"gaussian_weights": True}, {"K1": 0.1}):
        pairs = [
            isf.structural_similarity(images[3], image, data_range=255, **options)
            for image in images
        ]
        for threads, given in product((1, 2, 3, 7, None), (images, list(images), tuple(images))):
            many = isf.structural_similarities(
                images[3], given, threads=threads, data_range=255, **options
            )
            assert many.dtype == np.float64
            assert many.tolist() == pairs


def test_many_of_another_byte_order():
    images = noise(3, 20, 30).astype(np.uint16)
    plain = isf.structural_similarities(images[0], images).tolist()
    swapped = images.astype(images.dtype.newbyteorder())
    assert isf.structural_similarities(swapped[0], images).tolist() == plain
    assert isf.structural_similarities(images[0], list(swapped)).tolist() == plain


def test_many_with_channels_on_any_axis():
    images = noise(5, 20, 30, 3)
    pairs = [isf.structural_similarity(images[0], image, channel_axis=-1) for image in images]
    many = isf.structural_similarities(images[0], images, channel_axis=-1)
    assert many.tolist() == pairs
    planes = np.moveaxis(images, -1, 1)
    assert isf.structural_similarities(planes[0], planes, channel_axis=0).tolist() == pairs


def test_many_of_other_sizes():
    query = noise(40, 50)
    images = [noise(h, w) for h, w in ((40, 50), (80, 100), (1, 1), (13, 77), (300, 20))]
    pairs = [
        isf.structural_similarity(query, isf.resize_area(image, query.shape)) for image in images
    ]
    for threads in (1, 2, 7):
        many = isf.structural_similarities(query, images, resize=True, threads=threads)
        assert many.tolist() == pairs
    query = noise(25, 28, 3)
    images = [noise(20, 30, 3)[:, ::-1], query, noise(75, 56, 4)[..., :3]]
    pairs = [
        isf.structural_similarity(query, isf.resize_area(image, (25, 28)), channel_axis=-1)
        for image in images
    ]
    many = isf.structural_similarities(query, images, resize=True, channel_axis=-1)
    assert many.tolist() == pairs
    assert pairs[1] == 1


def test_none_at_all():
    assert isf.structural_similarities(noise(9, 9), []).shape == (0,)
    assert isf.structural_similarities(noise(9, 9), noise(0, 9, 9)).shape == (0,)


def test_ctrl_c_stops_the_work():
    program = """
import os, signal, threading, time, numpy as np, imgsim_fast as isf
images = np.broadcast_to(np.zeros((300, 300)), (20000, 300, 300))
threading.Timer(0.4, os.kill, (os.getpid(), signal.SIGINT)).start()
start = time.perf_counter()
try:
    isf.structural_similarities(images[0], images, data_range=1, threads=2)
except KeyboardInterrupt:
    print("stopped", time.perf_counter() - start)
"""
    if not hasattr(signal, "SIGINT") or os.name == "nt":
        pytest.skip("no signals to send")
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.startswith("stopped"), done.stderr
    assert float(done.stdout.split()[1]) < 3


# ---- mistakes --------------------------------------------------------------------------------

A, F = np.zeros((9, 12), np.uint8), np.zeros((9, 12))
BAD = np.ones((9, 12))
BAD[3, 5] = math.nan
INF = np.ones((9, 12), np.float32)
INF[8, 11] = -math.inf


@pytest.mark.parametrize(
    ("image1", "image2", "options", "error", "message"),
    [
        (A, A[1:], {}, ValueError, r"same shape, got \(9, 12\) and \(8, 12\)"),
        (A[:6], A[:6], {}, ValueError, r"win_size is 7: larger than image1 of size \(6, 12\)"),
        (A, A, {"win_size": 11}, ValueError, r"win_size is 11: larger"),
        (A, A, {"win_size": 4}, ValueError, "win_size must be odd, got 4"),
        (A, A, {"win_size": 0}, ValueError, "win_size must be at least 1, got 0"),
        (A, A, {"win_size": -3}, ValueError, "win_size must be at least 1, got -3"),
        (A, A, {"win_size": 3.0}, TypeError, "win_size must be an integer, got 3.0"),
        (A, A, {"win_size": 1}, ValueError, "win_size is 1: one pixel has no sample covariance"),
        (A, A, {"gaussian_weights": True}, ValueError, r"sigma is 1.5.*\(9, 12\)"),
        (A, A, {"gaussian_weights": True, "sigma": 999, "win_size": 3}, ValueError, "sigma is 999"),
        (A, A, {"gaussian_weights": True, "sigma": 1e308}, ValueError, "sigma is 1e"),
        (A, A, {"gaussian_weights": True, "sigma": -1}, ValueError, "sigma must be .*got -1"),
        (A, A, {"gaussian_weights": True, "sigma": 0}, ValueError, "win_size is 1"),
        (F, F, {}, ValueError, "data_range must be given for float64"),
        (A, F, {}, ValueError, "data_range must be given for float64"),
        (A, A.astype(np.uint16), {}, ValueError, "different types, got uint8 and uint16"),
        (A, A, {"data_range": 0}, ValueError, "data_range must be finite and positive, got 0"),
        (A, A, {"data_range": -255}, ValueError, "data_range .* got -255"),
        (A, A, {"data_range": math.nan}, ValueError, "data_range .* got nan"),
        (A, A, {"data_range": math.inf}, ValueError, "data_range .* got inf"),
        (A, A, {"data_range": "255x"}, TypeError, "data_range must be a number, got '255x'"),
        (A, A, {"K1": -0.1}, ValueError, "K1 must be finite and not negative, got -0.1"),
        (A, A, {"K2": math.nan}, ValueError, "K2 must be finite and not negative, got nan"),
        (A, A, {"K2": None}, TypeError, "K2 must be a number, got None"),
        (A[0], A[0], {}, ValueError, r"image1 must have shape \(h, w\), got \(12,\)"),
        (noise(9, 9, 3), noise(9, 9, 3), {}, ValueError, "channel_axis=-1"),
        (A, A, {"channel_axis": -1}, ValueError, r"three dimensions.*\(9, 12\)"),
        (noise(9, 9, 3), noise(9, 9, 3), {"channel_axis": 3}, ValueError, "got 3"),
        (noise(9, 9, 3), noise(9, 9, 3), {"channel_axis": -4}, ValueError, "got -4"),
        (noise(9, 9, 3), noise(9, 9, 3), {"channel_axis": "x"}, TypeError, "got 'x'"),
        (noise(9, 9, 0), noise(9, 9, 0), {"channel_axis": 2}, ValueError, "no channels"),
        (noise(0, 9), noise(0, 9), {}, ValueError, r"image1 has no pixels: its shape is \(0, 9\)"),
        (BAD, F, {"data_range": 1}, ValueError, r"image1\[3, 5\] is nan: pixels must be finite"),
        (F, BAD, {"data_range": 1}, ValueError, r"image2\[3, 5\] is nan"),
        (INF, INF, {"data_range": 1}, ValueError, r"image1\[8, 11\] is -inf"),
        (A * 1j, A * 1j, {}, TypeError, "image1 must hold booleans, integers or floats"),
        (A, [[1, 2], [3]], {}, TypeError, "image2 cannot be seen as an array"),
        (A, np.ma.array(A, mask=A == 0), {}, ValueError, "image2 is a masked array"),
        (np.array([["a"]]), A, {}, TypeError, "image1 must hold"),
        (A + np.int64(2**53 + 2), A, {"data_range": 1}, ValueError, "2\\*\\*53"),
    ],
)
def test_refused(image1, image2, options, error, message):
    with pytest.raises(error, match=message) as caught:
        isf.structural_similarity(image1, image2, **options)
    assert isinstance(caught.value, errors.ImgsimError)


@pytest.mark.parametrize(
    ("images", "options", "error", "message"),
    [
        (
            [A, A[1:]],
            {},
            ValueError,
            r"images\[1\] must have the query's shape .*\(8, 12\); resize",
        ),
        (np.stack([A, A])[:, 1:], {}, ValueError, r"images\[0\].*\(8, 12\)"),
        (A, {}, ValueError, r"images must have shape \(n, 9, 12\), got \(9, 12\)"),
        ([A, F], {}, TypeError, r"images\[1\] must have the query's dtype uint8, got float64"),
        (np.stack([F]), {}, TypeError, "images must have the query's dtype uint8, got float64"),
        ([A, None], {}, TypeError, r"images\[1\]"),
        (7, {}, TypeError, "images must be a sequence of arrays, got 7"),
        ([A], {"threads": 0}, ValueError, "threads must be at least 1"),
        ([A], {"threads": 1.5}, TypeError, "threads"),
        ([A, A[:0]], {"resize": True}, ValueError, r"images\[1\] has no pixels"),
        ([A, noise(9, 9, 3)], {"resize": True}, ValueError, r"images\[1\] must have the channels"),
        ([np.broadcast_to(np.uint8(0), (1, 2**24))], {"resize": True}, ValueError, "sides"),
    ],
)
def test_many_refused(images, options, error, message):
    with pytest.raises(error, match=message) as caught:
        isf.structural_similarities(A, images, **options)
    assert isinstance(caught.value, errors.ImgsimError)


def test_many_name_the_bad_pixel():
    with pytest.raises(errors.InvalidInputError, match=r"images\[2\]\[3, 5\] is nan"):
        isf.structural_similarities(F, [F, F, BAD], data_range=1)
    with pytest.raises(errors.InvalidInputError, match=r"query\[3, 5\] is nan"):
        isf.structural_similarities(BAD, [F], data_range=1)
    with pytest.raises(errors.InvalidTypeError, match="resize=True needs uint8"):
        isf.structural_similarities(F, [F], data_range=1, resize=True)
    with pytest.raises(errors.InvalidTypeError, match="channel_axis=0"):
        isf.structural_similarities(noise(3, 9, 9), [], channel_axis=0, resize=True)
