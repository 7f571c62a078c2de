"""Matched histograms and transferred colours: exact on a channel, near in joint colours."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import imgsim_fast as isf
from imgsim_fast import _core, color_transfer
from imgsim_fast.errors import InvalidInputError, InvalidTypeError
from tests import reference_color as twin

SIZES = (1, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65)


def levels(shape, seed=0, low=0, high=256, dtype=np.uint8):
    return np.random.default_rng((seed, *shape)).integers(low, high, shape).astype(dtype)


def scene(h, w, seed=0):
    """Smooth colours, few of them equal."""
    rng = np.random.default_rng((seed, h, w))
    y, x = np.mgrid[0:h, 0:w] / max(h, w)
    waves = [np.sin(rng.uniform(2, 7) * x + rng.uniform(2, 7) * y + c) for c in range(3)]
    tint, depth = rng.uniform(70, 180, 3), rng.uniform(20, 70, 3)
    return np.clip(np.dstack(waves) * depth + tint + rng.normal(0, 6, (h, w, 3)), 0, 255).astype(
        np.uint8
    )


def counts(image):
    return np.bincount(image.ravel(), minlength=256)


# ---- one channel: the map --------------------------------------------------------------------


@pytest.mark.parametrize("n", SIZES)
def test_mean_is_the_projection_of_the_plan(n):
    for m in (1, 2, 5, 33):
        for high in (3, 256):
            image, target = levels((1, n), m, high=high), levels((1, m), n)
            found = isf.match_histograms(image, target)
            expected = twin.mean_map(image.ravel().tolist(), target.ravel().tolist())
            wanted = [twin.half_up(expected[level]) for level in image.ravel().tolist()]
            assert found.ravel().tolist() == wanted
            assert found.dtype == np.uint8


@pytest.mark.parametrize("n", SIZES)
def test_spread_gives_the_reference_its_histogram(n):
    for m in (1, 2, 5, 33, 200):
        for high in (3, 256):
            image, target = levels((1, n), m, high=high), levels((1, m), n)
            found = isf.match_histograms(image, target, ties="spread")
            shares = twin.largest_remainders(counts(target).tolist(), n)
            assert counts(found).tolist() == shares
            order = np.argsort(image.ravel(), kind="stable")
            highest_before = np.maximum.accumulate(found.ravel()[order])
            for level in np.unique(image)[1:]:  # the plan is monotone: levels keep their order
                first = int((image.ravel()[order] < level).sum())
                assert found[image == level].min() >= highest_before[first - 1]


def test_spread_equals_the_histogram_of_an_equally_large_reference():
    image, target = levels((41, 37), high=7), levels((37, 41), 1)
    found = isf.match_histograms(image, target, ties="spread")
    np.testing.assert_array_equal(counts(found), counts(target))
    thrice = np.concatenate([image] * 3)
    found = isf.match_histograms(thrice, target, ties="spread")
    np.testing.assert_array_equal(counts(found), 3 * counts(target))


def test_the_plan_has_the_cost_of_the_wasserstein_distance():
    image, target = levels((64, 65), high=100), levels((65, 64), 1, low=50)
    found = isf.match_histograms(image, target, ties="spread").astype(int)
    moved = np.abs(found - image).mean()
    assert moved == pytest.approx(isf.wasserstein_1d(counts(image), counts(target)), rel=1e-12)
    squared = ((found - image) ** 2).mean() ** 0.5
    expected = isf.wasserstein_1d(counts(image), counts(target), p=2)
    assert squared == pytest.approx(expected, rel=1e-12)


def test_spread_makes_no_stripes():
    """A flat image on two levels: every block of 8 x 8 pixels has some of both, evenly."""
    flat = np.full((256, 256), 90, np.uint8)
    half = np.repeat(np.array([[10, 200]], np.uint8), 50, axis=0)
    found = isf.match_histograms(flat, half, ties="spread") == 200
    assert found.mean() == 0.5
    blocks = found.reshape(32, 8, 32, 8).mean(axis=(1, 3))
    assert 0.15 < blocks.min() < blocks.max() < 0.85
    assert 0.05 < blocks.std() < 0.075  # independent pixels: sqrt(1 / 4 / 64) = 0.0625
    for lines in (found.mean(axis=0), found.mean(axis=1)):
        assert 0.02 < lines.std() < 0.045  # independent: 1 / 32


def test_equal_images_stay_as_they_are():
    image = levels((20, 30, 3))
    for ties in ("mean", "spread"):
        assert (isf.match_histograms(image, image, ties=ties) == image).all()
        tiled = np.concatenate([image[::-1]] * 2)
        assert (isf.match_histograms(image, tiled, ties=ties) == image).all()


def test_near_scikit_image_where_levels_are_dense():
    """Its rule differs within the step from one level to the next."""
    exposure = pytest.importorskip("skimage.exposure")
    image, target = scene(300, 200)[..., 0], scene(200, 300, 1)[..., 0]
    peer = exposure.match_histograms(image, target)
    difference = isf.match_histograms(image, target) - peer
    assert np.abs(difference).max() <= 4
    assert np.abs(difference).mean() < 1
    ours = isf.wasserstein_1d(counts(isf.match_histograms(image, target)), counts(target))
    theirs = isf.wasserstein_1d(counts(np.rint(peer).astype(np.uint8)), counts(target))
    assert ours <= theirs


@given(st.integers(0, 2**32), st.sampled_from([np.uint8, np.uint16]))
def test_maps_are_monotone_and_within_the_reference(seed, dtype):
    rng = np.random.default_rng(seed)
    high = int(rng.integers(1, np.iinfo(dtype).max + 2))
    image = rng.integers(0, high, rng.integers(1, 9, 2)).astype(dtype)
    target = rng.integers(0, high, rng.integers(1, 9, 2)).astype(dtype)
    for ties in ("mean", "spread"):
        found = isf.match_histograms(image, target, ties=ties)
        assert found.dtype == dtype
        assert target.min() <= found.min() <= found.max() <= target.max()
        order = np.argsort(image.ravel(), kind="stable")
        if ties == "mean":
            assert (np.diff(found.ravel()[order].astype(int)) >= 0).all()


# ---- one channel: large numbers --------------------------------------------------------------


def test_whole_numbers_beyond_64_bits():
    """2**40 pixels of 16 bits on each side: Python's integers take over, with the same answer."""
    small = np.zeros(65536, np.int64)
    small[[3, 700, 65535]] = (5, 2, 9)
    goals = np.zeros(65536, np.int64)
    goals[[1, 2, 60000]] = (3, 3, 1)
    plain = color_transfer._LevelMap(small, goals)
    large = color_transfer._LevelMap(small << 40, goals << 40)
    assert plain.numerators.dtype == np.int64
    assert large.numerators.dtype == object
    for part in (1.0, 0.3):
        expected = color_transfer._rounded(plain, np.dtype(np.uint16), part)
        found = color_transfer._rounded(large, np.dtype(np.uint16), part)
        np.testing.assert_array_equal(found, expected)
    assert color_transfer._share_out(goals << 40, 7 << 40).tolist() == (goals << 40).tolist()
    assert color_transfer._share_out(goals, 7).tolist() == goals.tolist()


# ---- channels, shapes, layouts ---------------------------------------------------------------


def test_channels_are_matched_on_their_own():
    image, target = levels((9, 8, 3)), levels((7, 5, 3), 1, high=90)
    for ties in ("mean", "spread"):
        found = isf.match_histograms(image, target, ties=ties)
        for c in range(3):
            alone = isf.match_histograms(image[..., c], target[..., c], ties=ties)
            assert (found[..., c] == alone).all()
    first = isf.match_histograms(
        np.moveaxis(image, 2, 0), np.moveaxis(target, 2, 0), channel_axis=0
    )
    assert (np.moveaxis(first, 0, 2) == isf.match_histograms(image, target)).all()
    assert (
        isf.match_histograms(image, target, channel_axis=-1) == isf.match_histograms(image, target)
    ).all()


def test_without_channels_all_values_are_one_distribution():
    image, target = levels((9, 8, 3)), levels((7, 5), 1, high=90)
    found = isf.match_histograms(image, target, channel_axis=None)
    flat = isf.match_histograms(image.reshape(1, -1), target.reshape(1, -1))
    assert (found.ravel() == flat.ravel()).all()
    assert found.shape == image.shape
    assert isf.match_histograms(levels((5,)), target).shape == (5,)


def test_any_layout():
    image, target = levels((9, 12, 3)), levels((7, 5, 3), 1)
    plain = isf.match_histograms(image, target)
    colors = isf.transfer_color(image, target)
    frozen = image.copy()
    frozen.setflags(write=False)
    wide = np.zeros((18, 36, 3), np.uint8)
    wide[::2, ::3] = image
    for view in (frozen, wide[::2, ::3], np.asfortranarray(image), image[::-1, ::-1][::-1, ::-1]):
        assert (isf.match_histograms(view, target) == plain).all()
        assert (isf.transfer_color(view, target) == colors).all()
    deep = image.astype(np.uint16) * 257
    swapped = deep.astype(np.dtype(np.uint16).newbyteorder())
    goal = target.astype(np.uint16) * 257
    assert (isf.match_histograms(swapped, goal) == isf.match_histograms(deep, goal)).all()
    assert plain.flags.c_contiguous
    assert plain.flags.writeable


# ---- joint colours ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sizes", [((60, 70), (60, 70)), ((60, 70), (33, 64)), ((31, 17), (90, 80))]
)
def test_sliced_distance_falls_with_iterations(sizes):
    image, target = (scene(*size, seed) for seed, size in enumerate(sizes))
    distances = [twin.sliced_distance(image, target)]
    for iterations in (1, 3, 9, 27):
        moved = isf.transfer_color(image, target, iterations=iterations)
        distances.append(twin.sliced_distance(moved, target))
    assert all(now < before for before, now in pairwise(distances))
    assert distances[-1] < 0.03 * distances[0]


def test_joint_colors_come_out_and_no_others():
    """Two colours on the diagonal of the cube onto two others: channels alone would mix them."""
    image = np.zeros((10, 10, 3), np.uint8)
    image[:, 5:] = 255
    target = np.zeros((10, 10, 3), np.uint8)
    target[:5] = (0, 200, 30)
    target[5:] = (180, 10, 90)
    found = isf.transfer_color(image, target)
    assert {tuple(color) for color in found.reshape(-1, 3).tolist()} == {
        (0, 200, 30),
        (180, 10, 90),
    }
    mixed = isf.transfer_color(image, target, method="channels")
    assert {tuple(color) for color in mixed.reshape(-1, 3).tolist()} == {
        (0, 10, 30),
        (180, 200, 90),
    }


def test_the_reference_itself_comes_back():
    image = scene(40, 50)
    shuffled = np.random.default_rng(0).permutation(image.reshape(-1, 3)).reshape(25, 80, 3)
    for reference in (image, shuffled, np.concatenate([shuffled] * 3)):
        for method in ("sliced", "channels"):
            assert (isf.transfer_color(image, reference, method=method) == image).all()


def test_equal_colors_stay_equal():
    image, target = levels((30, 30, 3), high=4) * 60, scene(20, 50)
    found = isf.transfer_color(image, target)
    for color in np.unique(image.reshape(-1, 3), axis=0):
        assert len(np.unique(found[(image == color).all(axis=2)], axis=0)) == 1


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("m", [1, 2, 7, 33, 40000])
@pytest.mark.parametrize("high", [2, 256])
def test_points_move_as_the_sums_in_order_say(n, m, high):
    """Equal to the last bit, ties of projections included."""
    rng = np.random.default_rng((n, m))
    points, goals = (rng.integers(0, high, (k, 3)).astype(np.float64) for k in (n, m))
    weights, goal_weights = (rng.integers(1, 9, k) for k in (n, m))
    given = points, weights / weights.sum(), goals, goal_weights / goal_weights.sum()
    directions = np.array(color_transfer._rotations(4))
    before = points.copy()
    expected = twin.move_sliced(*given, directions)
    assert np.array_equal(_core.move_sliced(*given, directions), expected)
    assert np.array_equal(points, before)
    assert np.array_equal(_core.move_sliced(*given, directions[:0]), points)


def test_many_points_move_as_the_sums_in_order_say():
    rng = np.random.default_rng(0)
    points, goals = (rng.integers(0, 256, (k, 3)).astype(np.float64) for k in (50_000, 70_001))
    weights, goal_weights = (rng.random(k) + 0.01 for k in (50_000, 70_001))
    given = points, weights / weights.sum(), goals, goal_weights / goal_weights.sum()
    directions = np.array(color_transfer._rotations(3))
    expected = twin.move_sliced(*given, directions)
    assert np.array_equal(_core.move_sliced(*given, directions), expected)


def test_the_core_refuses_points_that_it_cannot_read():
    points, weights = np.zeros((4, 3)), np.full(4, 0.25)
    directions = np.eye(3)[None]
    for changed in (
        (points[:, :2], weights, points, weights, directions),
        (points, weights[:3], points, weights, directions),
        (points[:0], weights[:0], points, weights, directions),
        (points, weights, points.astype(np.float32), weights, directions),
        (points, weights, points[::2], weights[::2], directions),
        (points, weights, points, weights, directions[:, :2]),
    ):
        with pytest.raises(TypeError):
            _core.move_sliced(*changed)


def test_ctrl_c_stops_a_transfer():
    """A thousand rotations of so many colours take minutes."""
    script = """
import signal, sys, threading, time
import numpy as np
import imgsim_fast as isf
rng = np.random.default_rng(0)
image = rng.integers(0, 256, (700, 1000, 3), dtype=np.uint8)
signal.signal(signal.SIGINT, signal.default_int_handler)
threading.Timer(1.0, lambda: signal.raise_signal(signal.SIGINT)).start()
start = time.perf_counter()
try:
    isf.transfer_color(image, image[::-1, :999], iterations=1000)
except KeyboardInterrupt:
    print("stopped after", time.perf_counter() - start)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert float(done.stdout.removeprefix("stopped after")) < 30


def test_colors_are_counted_and_painted():
    """An image of several blocks, seen through strides; each colour gets its own."""
    image = scene(301, 402)[::-1, ::2]
    colors = color_transfer._Colors("image", image)
    expected, which, found = np.unique(
        image.reshape(-1, 3), axis=0, return_inverse=True, return_counts=True
    )
    np.testing.assert_array_equal(colors.points, expected)
    np.testing.assert_array_equal(colors.shares, found / found.sum())
    moved = np.random.default_rng(0).uniform(-20, 280, expected.shape)
    levels_of_each = np.floor(moved.clip(0, 255) + 0.5).astype(np.uint8)
    painted = colors.painted(moved)
    np.testing.assert_array_equal(painted, levels_of_each[which.ravel()].reshape(image.shape))
    assert painted.flags.c_contiguous
    assert painted.dtype == np.uint8


def test_more_pixels_than_keys_are_refused():
    enormous = np.broadcast_to(np.zeros(3, np.uint8), (1 << 16, 1 << 16, 3))
    with pytest.raises(InvalidInputError, match=r"reference has shape .* 2\*\*32 pixels"):
        isf.transfer_color(RGB, enormous)
    with pytest.raises(InvalidInputError, match=r"image1 has shape .* 2\*\*32 pixels"):
        isf.interpolate_images(enormous, RGB, 0.5, method="sliced")


def test_one_color_becomes_the_mean():
    target = scene(20, 50)
    found = isf.transfer_color(np.zeros((3, 3, 3), np.uint8), target)
    mean = np.floor(target.reshape(-1, 3).mean(axis=0) + 0.5)
    assert (found == mean).all()


def test_the_first_rotation_is_the_channels():
    image, target = scene(40, 50), scene(30, 30, 1)
    one = isf.transfer_color(image, target, iterations=1)
    assert (one == isf.transfer_color(image, target, method="channels")).all()


def test_rotations_are_rotations_and_spread():
    rotations = np.array(color_transfer._rotations(200))
    product = np.einsum("nij,nkj->nik", rotations, rotations)
    np.testing.assert_allclose(product, np.broadcast_to(np.eye(3), product.shape), atol=1e-14)
    np.testing.assert_allclose(np.linalg.det(rotations), 1, atol=1e-14)
    directions = rotations.reshape(-1, 3)
    # Evenly spread directions have the second moment of the sphere.
    np.testing.assert_allclose(
        directions.T @ directions / len(directions), np.eye(3) / 3, atol=0.01
    )
    eighths = np.bincount((directions > 0) @ [1, 2, 4], minlength=8)
    assert eighths.min() > 0.7 * len(directions) / 8


def test_photographs(shared_data):
    image, target = (
        isf.decode(shared_data / "corel1k" / "images" / f"{number}.jpg") for number in (3, 500)
    )
    before = twin.sliced_distance(image, target)
    joint = twin.sliced_distance(isf.transfer_color(image, target), target)
    alone = twin.sliced_distance(isf.transfer_color(image, target, method="channels"), target)
    assert joint < 0.02 * before
    assert joint < 0.2 * alone


# ---- between two images ----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_ends_of_the_way(dtype):
    one, other = levels((31, 33, 3), dtype=dtype), levels((17, 16, 3), 1, 40, 200, dtype)
    assert (isf.interpolate_images(one, other, 0) == one).all()
    assert (isf.interpolate_images(one, other, 1) == isf.match_histograms(one, other)).all()
    assert (
        isf.interpolate_images(one[..., 0], other[..., 0], 1)
        == isf.match_histograms(one[..., 0], other[..., 0])
    ).all()


def test_ends_of_the_joint_way():
    one, other = scene(31, 33), scene(20, 20, 1)
    ways = {"method": "sliced", "iterations": 7}
    assert (isf.interpolate_images(one, other, 0, **ways) == one).all()
    expected = isf.transfer_color(one, other, iterations=7)
    assert (isf.interpolate_images(one, other, 1, **ways) == expected).all()


def test_levels_go_their_part_of_the_way():
    one, other = levels((31, 33), high=50), levels((17, 16), 1, 120, 250)
    sent = twin.mean_map(one.ravel().tolist(), other.ravel().tolist())
    for t in (0.25, 0.5, 0.75):
        found = isf.interpolate_images(one, other, t)
        wanted = [float(level + t * (sent[level] - level)) for level in one.ravel().tolist()]
        np.testing.assert_array_equal(found.ravel(), np.floor(np.array(wanted) + 0.5))


def test_distance_from_the_first_grows_evenly():
    one, other = scene(64, 65), scene(65, 64, 1)
    whole = [isf.wasserstein_1d(counts(one[..., c]), counts(other[..., c])) for c in range(3)]
    for t in (0.25, 0.5, 0.75):
        found = isf.interpolate_images(one, other, t)
        for c in range(3):
            gone = isf.wasserstein_1d(counts(one[..., c]), counts(found[..., c]))
            assert gone == pytest.approx(t * whole[c], abs=0.5)  # levels are whole numbers


# ---- bad input -------------------------------------------------------------------------------

GREY = np.zeros((2, 3), np.uint8)
RGB = np.zeros((2, 3, 3), np.uint8)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "text"),
    [
        ((GREY / 1.0, GREY), {}, InvalidTypeError, "image must be uint8 or uint16, got float64"),
        ((GREY, GREY.astype(int)), {}, InvalidTypeError, "reference must be uint8 or uint16"),
        ((GREY, GREY.astype(np.uint16)), {}, InvalidTypeError, "one dtype, got uint8 and uint16"),
        ((GREY[:0], GREY), {}, InvalidInputError, r"image has no pixels: its shape is \(0, 3\)"),
        ((GREY, GREY[:0]), {}, InvalidInputError, "reference has no pixels"),
        ((RGB, GREY), {}, InvalidInputError, r"same number of channels, got 3 and 1"),
        ((RGB, RGB[..., :2]), {}, InvalidInputError, "same number of channels, got 3 and 2"),
        ((np.ma.masked_equal(GREY, 0), GREY), {}, InvalidInputError, "masked"),
        ((GREY, GREY), {"ties": "median"}, InvalidInputError, "ties .*'mean', 'spread'.*'median'"),
        ((GREY, GREY), {"ties": None}, InvalidInputError, "ties .* None"),
        ((RGB, RGB), {"channel_axis": 3}, InvalidInputError, r"channel_axis is 3, .*\(2, 3, 3\)"),
        ((RGB, GREY), {"channel_axis": 2}, InvalidInputError, r"channel_axis is 2.* reference"),
        ((RGB, RGB), {"channel_axis": 1.0}, InvalidTypeError, r"channel_axis .* 1\.0"),
        ((RGB, RGB), {"channel_axis": True}, InvalidTypeError, "channel_axis .* True"),
        ((RGB, RGB), {"channel_axis": "last"}, InvalidTypeError, "channel_axis .* 'last'"),
        (("photo.jpg", GREY), {}, InvalidTypeError, "image must hold numbers, got 'photo.jpg'"),
    ],
)
def test_bad_arguments_of_match_histograms(arguments, options, error, text):
    with pytest.raises(error, match=text):
        isf.match_histograms(*arguments, **options)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "text"),
    [
        ((GREY, RGB), {}, InvalidInputError, r"image must have shape \(h, w, 3\), got \(2, 3\)"),
        ((RGB, RGB[..., :2]), {}, InvalidInputError, "reference must have shape"),
        ((RGB, RGB / 1.0), {}, InvalidTypeError, "reference must be uint8, got float64"),
        ((RGB[:0], RGB), {}, InvalidInputError, "image has no pixels"),
        ((RGB, RGB), {"method": "lab"}, InvalidInputError, "method .*'sliced', 'channels'.*'lab'"),
        ((RGB, RGB), {"iterations": 0}, InvalidInputError, "iterations must be at least 1, got 0"),
        ((RGB, RGB), {"iterations": 1001}, InvalidInputError, "iterations .* most 1000, got 1001"),
        ((RGB, RGB), {"iterations": 1.5}, InvalidTypeError, r"iterations must be an integer"),
    ],
)
def test_bad_arguments_of_transfer_color(arguments, options, error, text):
    with pytest.raises(error, match=text):
        isf.transfer_color(*arguments, **options)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "text"),
    [
        ((GREY, GREY, 1.5), {}, InvalidInputError, r"t must be in 0 \.\.\. 1, got 1\.5"),
        ((GREY, GREY, -0.1), {}, InvalidInputError, r"t must be in 0 \.\.\. 1, got -0\.1"),
        ((GREY, GREY, np.nan), {}, InvalidInputError, "t must be .* nan"),
        ((GREY, GREY, "half"), {}, InvalidTypeError, "t must be a number, got 'half'"),
        ((GREY, RGB, 0.5), {}, InvalidInputError, "image1 and image2 must have the same number"),
        ((GREY / 1.0, GREY, 0.5), {}, InvalidTypeError, "image1 must be uint8 or uint16"),
        ((GREY, GREY, 0.5), {"method": "sliced"}, InvalidInputError, "image1 must have shape"),
        ((GREY, GREY, 0.5), {"method": "x"}, InvalidInputError, "method .* 'x'"),
        ((GREY, GREY, 0.5), {"iterations": 0}, InvalidInputError, "iterations"),
    ],
)
def test_bad_arguments_of_interpolate_images(arguments, options, error, text):
    with pytest.raises(error, match=text):
        isf.interpolate_images(*arguments, **options)


def test_a_single_level_is_an_image_without_axes():
    one, image = np.array(5, np.uint8), np.array([[7, 9]], np.uint8)
    assert isf.match_histograms(one, image).shape == ()
    assert isf.match_histograms(one, one).tolist() == 5
    assert isf.interpolate_images(one, np.array(9, np.uint8), 0.5).tolist() == 7
    assert isf.match_histograms(image, one).tolist() == [[5, 5]]
