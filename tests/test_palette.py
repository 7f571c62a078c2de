"""Palettes and CIELAB: the twin's cells, start and iterations; scikit-image's colours."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import imgsim_fast as isf
from imgsim_fast import _core
from imgsim_fast.errors import InvalidInputError, InvalidTypeError
from tests import reference_color as twin

SIZES = (1, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65)


def picture(h, w, seed=0):
    """Smooth colours with noise: many cells of very different counts."""
    rng = np.random.default_rng((seed, h, w))
    y, x = np.mgrid[0:h, 0:w] / max(h, w)
    waves = [np.sin(rng.uniform(1, 6) * x + rng.uniform(1, 6) * y + c) for c in range(3)]
    noise = rng.normal(0, 12, (h, w, 3))
    return np.clip(128 + 110 * np.dstack(waves) + noise, 0, 255).astype(np.uint8)


# ---- CIELAB ----------------------------------------------------------------------------------


def test_lab_is_that_of_scikit_image():
    color = pytest.importorskip("skimage.color")
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 256, (211, 97, 3), dtype=np.uint8)
    np.testing.assert_allclose(isf.rgb_to_lab(levels), color.rgb2lab(levels), rtol=0, atol=1e-10)
    floats = rng.random((500, 3))
    floats[:100] *= 0.05  # on both sides of the straight part
    np.testing.assert_allclose(isf.rgb_to_lab(floats), color.rgb2lab(floats), rtol=0, atol=1e-10)


def test_lab_is_that_of_the_twin():
    corners = np.stack(np.meshgrid(*[[0, 1, 10, 11, 128, 255]] * 3), axis=-1).reshape(-1, 3)
    expected = [twin.lab([c / 255 for c in rgb]) for rgb in corners.tolist()]
    found = isf.rgb_to_lab(corners.astype(np.uint8))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11)
    assert (isf.rgb_to_lab(corners / 255) == found).all()


def test_lab_of_any_shape_and_layout():
    levels = picture(9, 8)
    plain = isf.rgb_to_lab(levels)
    assert plain.dtype == np.float64
    assert plain.shape == levels.shape
    assert (isf.rgb_to_lab(levels[0, 0]) == plain[0, 0]).all()
    assert (isf.rgb_to_lab(levels[::-2, ::3]) == plain[::-2, ::3]).all()
    assert (isf.rgb_to_lab(np.asfortranarray(levels)) == plain).all()
    swapped = (levels / 255).astype(np.dtype(np.float64).newbyteorder())
    assert (isf.rgb_to_lab(swapped) == plain).all()
    assert isf.rgb_to_lab(np.zeros((0, 3))).shape == (0, 3)
    assert isf.rgb_to_lab(np.zeros((2, 3), np.float32)).shape == (2, 3)
    frozen = (levels / 255)[:2]
    frozen.setflags(write=False)
    assert (isf.rgb_to_lab(frozen) == plain[:2]).all()


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (np.zeros((4, 2)), InvalidInputError, r"rgb must have shape \(\.\.\., 3\), got \(4, 2\)"),
        (0.5, InvalidInputError, "rgb must have shape"),
        ([[0.0, np.nan, 1.0]], InvalidInputError, r"rgb\[0, 1\] is NaN"),
        ([0.0, 0.5, 1.5], InvalidInputError, r"rgb\[2\] is 1\.5.*255"),
        ([0.0, 0.5, np.inf], InvalidInputError, r"rgb\[2\] is inf"),
        ([-1e-9, 0.5, 0.0], InvalidInputError, r"rgb\[0\] is -1e-09"),
        ([1, 2, 3], InvalidTypeError, "int64"),
        (np.zeros(3, np.uint16), InvalidTypeError, "uint16"),
        (np.zeros(3, complex), InvalidTypeError, "complex128"),
        (["a", "b", "c"], InvalidTypeError, "rgb"),
        (np.ma.masked_equal([0.0, 1.0, 0.5], 1), InvalidInputError, "masked"),
    ],
)
def test_bad_colors_are_named(value, error, text):
    with pytest.raises(error, match=text):
        isf.rgb_to_lab(value)


# ---- palettes against the twin ---------------------------------------------------------------


def check_against_twin(image, colors, weight=0.0):
    found = isf.color_palette(image, colors, position_weight=weight)
    counts, points, rgb, steps = twin.palette(image, colors, weight)
    np.testing.assert_array_equal(found.weights, counts / (image.shape[0] * image.shape[1]))
    np.testing.assert_allclose(found.points, points, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(found.rgb, rgb)
    return steps


@pytest.mark.parametrize("weight", [0.0, 40.0])
@pytest.mark.parametrize("side", SIZES)
def test_small_pictures(side, weight):
    check_against_twin(picture(side, 5), 4, weight)
    check_against_twin(picture(3, side), 9, weight)


@pytest.mark.parametrize("weight", [0.0, 25.0])
@pytest.mark.parametrize("colors", [1, 2, 3, 8, 16, 32, 65, 256])
def test_numbers_of_colors(colors, weight):
    check_against_twin(picture(20, 41), colors, weight)


def test_many_iterations_are_the_same_too():
    assert check_against_twin(picture(70, 90, seed=3), 16) > 5


@given(st.integers(0, 2**32), st.integers(1, 12), st.sampled_from([0.0, 3.0, 100.0]))
def test_random_pictures_of_few_levels(seed, colors, weight):
    rng = np.random.default_rng(seed)
    h, w = rng.integers(1, 12, 2)
    image = rng.choice(np.array([0, 3, 90, 128, 200, 255], np.uint8), (h, w, 3))
    found = isf.color_palette(image, colors, position_weight=weight)
    counts, points, sums = twin.cells(image, weight)
    assert 1 <= len(found) <= colors
    assert len(found) == min(colors, len(counts))
    assert found.weights.sum() == pytest.approx(1, abs=1e-12)
    assert (found.weights > 0).all()
    assert (np.diff(found.weights) <= 0).all()
    assert len(np.unique(found.points, axis=0)) == len(found)
    # Fixed point: a centre is the mean of the cells that are nearest to it.
    np.testing.assert_allclose(
        found.weights @ found.points, counts @ points / counts.sum(), rtol=0, atol=1e-9
    )
    again = twin.palette(image, colors, weight)
    ours = twin.objective(counts, points, found.points)
    assert ours == pytest.approx(twin.objective(counts, points, again[1]), rel=1e-6, abs=1e-9)
    assert int(sum(sums)[0]) == int(image[..., 0].sum())


def test_objective_is_near_that_of_scikit_learn():
    """One deterministic start against the best of three random ones."""
    cluster = pytest.importorskip("sklearn.cluster")
    image = picture(60, 80, seed=5)
    counts, points, _ = twin.cells(image)
    peer = cluster.KMeans(16, n_init=3, random_state=0).fit(points, sample_weight=counts)
    ours = twin.objective(counts, points, isf.color_palette(image, 16).points)
    assert ours <= 1.15 * peer.inertia_


def test_few_colors_come_back_exactly():
    image = np.zeros((10, 10, 3), np.uint8)
    image[:3] = (250, 10, 30)
    image[3:5] = (0, 200, 90)
    for colors in (3, 4, 16, 256):
        found = isf.color_palette(image, colors)
        assert found.weights.tolist() == [0.5, 0.3, 0.2]
        assert found.rgb.tolist() == [[0, 0, 0], [250, 10, 30], [0, 200, 90]]
        np.testing.assert_array_equal(found.points, isf.rgb_to_lab(found.rgb))
    assert len(isf.color_palette(image, 2)) == 2
    assert len(isf.color_palette(np.full((5, 5), 77, np.uint8))) == 1


def test_positions_tell_places_apart():
    image = np.full((40, 80, 3), 128, np.uint8)
    found = isf.color_palette(image, 2, position_weight=100)
    assert found.points.shape == (2, 5)
    np.testing.assert_array_equal(found.weights, [0.5, 0.5])
    # Centres of the two halves: x at 1/4 and 3/4 of the longer side, y at half the shorter one.
    at = found.points[np.argsort(found.points[:, 3]), 3:]
    np.testing.assert_allclose(at, [[25, 25], [75, 25]], rtol=0, atol=1e-9)
    tall = isf.color_palette(np.swapaxes(image, 0, 1), 2, position_weight=100)
    at = tall.points[np.argsort(tall.points[:, 4]), 3:]
    np.testing.assert_allclose(at, [[25, 25], [25, 75]], rtol=0, atol=1e-9)


def test_places_of_pixels_do_not_matter_without_positions():
    image = picture(50, 60)
    mixed = np.random.default_rng(1).permutation(image.reshape(-1, 3)).reshape(30, 100, 3)
    one, other = isf.color_palette(image), isf.color_palette(mixed)
    assert (one.points == other.points).all()
    assert (one.weights == other.weights).all()
    assert (one.rgb == other.rgb).all()


def test_grey_is_equal_channels():
    grey = picture(33, 65)[..., 0]
    one, other = isf.color_palette(grey, 8), isf.color_palette(np.dstack([grey] * 3), 8)
    assert (one.points == other.points).all()
    assert (one.rgb == other.rgb).all()


def test_any_layout():
    image = picture(31, 33)
    plain = isf.color_palette(image, 8, position_weight=30)
    frozen = image.copy()
    frozen.setflags(write=False)
    big = np.zeros((62, 99, 3), np.uint8)
    big[::2, ::3] = image
    flipped = np.ascontiguousarray(image[::-1, ::-1, ::-1])[::-1, ::-1, ::-1]
    for view in (frozen, big[::2, ::3], flipped, np.asfortranarray(image), image.tolist()):
        array = np.asarray(view, dtype=np.uint8)
        assert (isf.color_palette(array, 8, position_weight=30).points == plain.points).all()


def test_signatures_for_the_earth_movers_distance():
    images = [picture(24, 24, seed) for seed in range(3)]
    palettes = [isf.color_palette(image, 8) for image in images]
    signatures = [(palette.weights, palette.points) for palette in palettes]
    matrix = isf.cdist(signatures, signatures, "emd")
    first, second = palettes[:2]
    alone = isf.emd(first.weights, second.weights, positions=(first.points, second.points))
    assert matrix[0, 1] == pytest.approx(alone, rel=1e-12)
    assert alone > 1
    assert np.abs(np.diag(matrix)).max() < 1e-9


def test_photographs(shared_data):
    image = isf.decode(shared_data / "corel1k" / "images" / "3.jpg")
    for colors in (8, 16, 32):
        check_against_twin(image[::3, ::3], colors)
    found = isf.color_palette(image, 16)
    assert len(found) == 16


# ---- bad input -------------------------------------------------------------------------------


IMAGE = np.zeros((2, 2, 3), np.uint8)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "text"),
    [
        ((np.zeros((2, 2, 3)),), {}, InvalidTypeError, "image must be uint8, got float64"),
        ((np.zeros((2, 2), bool),), {}, InvalidTypeError, "image must be uint8, got bool"),
        ((np.zeros((2, 2, 4), np.uint8),), {}, InvalidInputError, r"image .* got \(2, 2, 4\)"),
        ((np.zeros(5, np.uint8),), {}, InvalidInputError, r"image must have shape .* got \(5,\)"),
        ((np.zeros((0, 2, 3), np.uint8),), {}, InvalidInputError, "image has no pixels"),
        ((np.ma.masked_equal(IMAGE, 0),), {}, InvalidInputError, "masked"),
        ((None,), {}, InvalidTypeError, "image must be uint8"),
        (([[1, 2], [3]],), {}, InvalidTypeError, "image"),
        ((IMAGE, 0), {}, InvalidInputError, "colors must be at least 1, got 0"),
        ((IMAGE, 257), {}, InvalidInputError, "colors must be at most 256, got 257"),
        ((IMAGE, 2.5), {}, InvalidTypeError, r"colors must be an integer, got 2\.5"),
        ((IMAGE, True), {}, InvalidTypeError, "colors must be an integer, got True"),
        ((IMAGE,), {"position_weight": -1}, InvalidInputError, "position_weight .* got -1"),
        ((IMAGE,), {"position_weight": np.nan}, InvalidInputError, "position_weight .* got nan"),
        ((IMAGE,), {"position_weight": np.inf}, InvalidInputError, "position_weight .* got inf"),
        ((IMAGE,), {"position_weight": "x"}, InvalidTypeError, "position_weight .* 'x'"),
    ],
)
def test_bad_arguments_are_named(arguments, options, error, text):
    with pytest.raises(error, match=text):
        isf.color_palette(*arguments, **options)


def test_the_core_refuses_what_it_cannot_read():
    with pytest.raises(TypeError, match="uint8"):
        _core.color_palette(np.zeros((2, 2, 3)), 3, 0.0)
    with pytest.raises(TypeError, match="uint8"):
        _core.color_palette(np.zeros((2, 2), np.uint8), 3, 0.0)
    with pytest.raises(TypeError, match="C-contiguous"):
        _core.rgb_to_lab(np.zeros((3, 3)).T[:, :2])
    with pytest.raises(TypeError, match="uint8 or float64"):
        _core.rgb_to_lab(np.zeros((3, 3), np.float32))
