"""The histogram measures and the colour EMD, against plain NumPy and exact twins."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

import imgsim_fast as isf
from imgsim_fast.errors import ImageDecodeError, InvalidInputError, InvalidTypeError
from imgsim_fast.measures import get_measure
from imgsim_fast.rows import RaggedRows, as_rows

METHODS = ["correlation", "chi2", "chi2-alt", "intersection", "bhattacharyya", "kl"]


def blobs(seed, shape=(30, 40), spread=40):
    """Pixels around a few colours, some of them white."""
    random = np.random.default_rng(seed)
    centres = random.integers(0, 256, (4, 3))
    pixels = centres[random.integers(0, 4, shape)] + random.integers(
        -spread, spread + 1, (*shape, 3)
    )
    pixels = np.clip(pixels, 0, 255).astype(np.uint8)
    pixels[: shape[0] // 4] = 255
    return pixels


def shares(pixels, bins, ignore=None):
    """Joint histogram by NumPy, as float64 shares of all bins."""
    flat = pixels.reshape(-1, 3)
    counts = np.histogramdd(flat, bins=(bins,) * 3, range=[(0, 256)] * 3)[0]
    if ignore is not None:
        counts[tuple(np.array(ignore) * bins // 256)] = 0
    return (counts / max(counts.sum(), 1)).ravel()


def formula(method, a, b):
    """Formulas of measures.md 2.3, by fsum."""
    both = list(zip(a.tolist(), b.tolist(), strict=True))
    if method == "correlation":
        n = len(both)
        mean_a, mean_b = math.fsum(a) / n, math.fsum(b) / n
        s12 = math.fsum((x - mean_a) * (y - mean_b) for x, y in both)
        s11 = math.fsum((x - mean_a) ** 2 for x in a)
        s22 = math.fsum((y - mean_b) ** 2 for y in b)
        return s12 / math.sqrt(s11 * s22)
    if method == "chi2":
        return math.fsum((x - y) ** 2 / x for x, y in both if x > 0)
    if method == "chi2-alt":
        return 2 * math.fsum((x - y) ** 2 / (x + y) for x, y in both if x + y > 0)
    if method == "intersection":
        return math.fsum(min(x, y) for x, y in both)
    if method == "bhattacharyya":
        return math.sqrt(max(0.0, 1 - math.fsum(math.sqrt(x * y) for x, y in both)))
    return math.fsum(x * math.log(x / (y or 1e-10)) for x, y in both if x > 0)


# ---- histograms --------------------------------------------------------------------------------


@pytest.mark.parametrize("bins", [1, 2, 8, 16, 17, 40])  # the last two are kept sparse
@pytest.mark.parametrize("ignore", [None, "white", (9, 200, 31)])
@pytest.mark.parametrize("method", METHODS)
def test_values_are_those_of_the_formulas(method, bins, ignore):
    if method == "correlation" and bins == 1:
        return  # no variation: the next test but two
    kind = get_measure(method, bins=bins, ignore=ignore)
    a, b = blobs(1), blobs(2, (21, 33))
    color = (255, 255, 255) if ignore == "white" else ignore
    wanted = formula(method, shares(a, bins, color), shares(b, bins, color))
    if bins == 1 and ignore is not None:
        wanted = 1.0 if method == "intersection" else 0.0  # both are empty
    assert isf.compare(a, b, kind) == pytest.approx(
        wanted, rel=1e-12, abs=2e-8 if method == "bhattacharyya" else 1e-13
    )


@pytest.mark.parametrize("method", METHODS)
def test_sparse_and_dense_rows_say_the_same(method):
    """16 bins a channel are kept dense, and the same histogram is compared sparse here."""
    dense = get_measure(method, bins=16)
    assert dense.row_length == 4096
    assert get_measure(method, bins=17).row_length is None
    rows = [dense.describe(blobs(seed)) for seed in range(5)]
    packed = [np.concatenate([np.flatnonzero(row), row[row > 0]]).astype(np.uint32) for row in rows]
    sparse = get_measure(method, bins=17)
    sparse._total = 4096
    found = sparse.values(packed[0], RaggedRows.of(packed, np.dtype(np.uint32)), 2)
    wanted = dense.values(rows[0], np.stack(rows), 2)
    assert found == pytest.approx(wanted, rel=1e-13, abs=1e-15)
    assert found[0] == (1 if dense.higher_is_better else 0)


def test_correlation_of_counters_is_that_of_the_lists(isa):
    """`compare` lists no bins. Noise, which is sorted, and colours of many pixels as well."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (300, 401, 3), dtype=np.uint8)
    flat = np.full((400, 500, 3), 200, np.uint8)
    flat[:7] = 9, 8, 7
    striped = np.tile(np.array([[1, 2, 3], [255, 255, 255]], np.uint8), (300, 300, 1))
    images = [blobs(3), blobs(4, (210, 333)), noise, noise[::-1] // 2, flat, striped]
    for options in ({"bins": 256}, {"bins": 256, "ignore": "white"}, {"bins": 41},
                    {"bins": 100, "space": "hsv", "ignore": (9, 8, 7)}):  # fmt: skip
        kind = get_measure("correlation", **options)
        rows = [kind.describe(image) for image in images]
        for i, a in enumerate(images):
            for j, b in enumerate(images):
                assert isf.compare(a, b, kind) == kind.compare(rows[i], rows[j])
                assert isf.compare(a, b, kind) == isf.compare(b, a, kind)
            assert isf.compare(a, a, kind) == 1


def test_pixels_that_cannot_be_counted_are_named_as_ever(tmp_path):
    path = tmp_path / "broken.png"
    path.write_bytes(b"\x89PNG")
    with pytest.raises(ImageDecodeError, match=r"broken\.png"):
        isf.compare(blobs(1), path, "correlation", bins=256)
    with pytest.raises(InvalidInputError, match="shape"):
        isf.compare(blobs(1), np.zeros((3, 3, 2), np.uint8), "correlation", bins=256)


def test_the_bin_of_white_is_emptied_and_the_number_of_bins_stays():
    """Article 2's pipeline, 256 bins a channel, by dense float64 arithmetic over 2^24 bins."""
    a, b = blobs(3), blobs(4)
    kind = get_measure("correlation", bins=256, ignore="white")
    row = kind.describe(a)
    keys, counts = np.split(row, 2)
    assert counts.sum() == (a != 255).any(axis=2).sum()
    assert (2**24 - 1) not in keys
    s = []
    for pixels in (a, b):
        kept = pixels.reshape(-1, 3)[(pixels != 255).any(axis=2).ravel()].astype(np.int64)
        s.append(np.bincount(kept @ [65536, 256, 1], minlength=2**24).astype(float))
    assert isf.compare(a, b, kind) == pytest.approx(np.corrcoef(s[0], s[1])[0, 1], abs=1e-12)


@pytest.mark.parametrize(("method", "white_to_white", "white_to_other"), [
    ("correlation", 1, 0), ("chi2", 0, 0), ("chi2-alt", 0, 2), ("intersection", 1, 0),
    ("bhattacharyya", 0, 1), ("kl", 0, 0),
])  # fmt: skip
def test_images_that_are_ignored_whole(method, white_to_white, white_to_other):
    white, other = np.full((4, 5, 3), 255, np.uint8), blobs(5)
    for bins in (8, 64):
        options = {"bins": bins, "ignore": "white"}
        assert isf.compare(white, white[:2], method, **options) == white_to_white
        value = isf.compare(white, other, method, **options)
        assert value == pytest.approx(white_to_other, abs=1e-12)
        assert math.isfinite(isf.compare(other, white, method, **options))


def test_spaces_count_what_they_say():
    pixels = blobs(6)
    hsv = np.asarray(Image.fromarray(pixels).convert("HSV"))
    row = get_measure("intersection", space="hsv", bins=4).describe(pixels)
    assert (row == isf.histogram(hsv, 4).ravel()).all()
    grey = np.asarray(Image.fromarray(pixels).convert("L"))
    row = get_measure("intersection", space="grey").describe(pixels)
    assert (row == np.bincount(grey.ravel(), minlength=256)).all()
    ignoring = get_measure("intersection", space="grey", ignore="white").describe(pixels)
    assert ignoring[255] == 0 < row[255]
    assert (ignoring[:255] == row[:255]).all()
    red = get_measure("intersection", space="hsv", bins=16, ignore=(255, 0, 0))
    assert red.describe(np.array([[[255, 0, 0], [0, 255, 0]]], np.uint8)).sum() == 1


def test_defaults_are_8_bins_of_colour_and_256_of_grey():
    assert get_measure("correlation").options == {"bins": 8, "space": "rgb", "ignore": None}
    assert get_measure("kl", space="grey").options["bins"] == 256


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"bins": 0}, InvalidInputError, "bins must be at least 1, got 0"),
        ({"bins": 257}, InvalidInputError, "bins must be at most 256, got 257"),
        ({"bins": 2.5}, InvalidTypeError, "bins must be an integer, got 2.5"),
        ({"space": "lab"}, InvalidInputError, "space must be .*got 'lab'"),
        ({"ignore": "black"}, InvalidInputError, "ignore must be 'white' or .*, got 'black'"),
        ({"ignore": (1, 2)}, InvalidInputError, r"three numbers from 0 to 255, got \(1, 2\)"),
        ({"ignore": (1, 2, 256)}, InvalidInputError, "from 0 to 255"),
        ({"ignore": (1, 2, -1)}, InvalidInputError, "ignore must be at least 0, got -1"),
        ({"ignore": 7}, InvalidTypeError, "ignore must be 'white' or three numbers, got 7"),
        ({"range": (0, 5)}, InvalidTypeError, "has no option 'range'; it has bins, space, ignore"),
    ],
)
def test_bad_options_are_named(options, error, words):
    with pytest.raises(error, match=words):
        get_measure("correlation", **options)


@pytest.mark.parametrize("options", [{}, {"bins": 40}, {"space": "hsv"}, {"space": "grey"}])
def test_the_fullest_bins_are_drawn_in_their_colours(options):
    kind = get_measure("intersection", **options)
    rows = [kind.describe(blobs(seed)) for seed in (7, 8)]
    colors, first, second, total = kind.fullest_bins(*rows, 9)
    assert colors.shape == (9, 3)
    assert colors.dtype == np.uint8
    assert total == kind.options["bins"] ** (1 if options.get("space") == "grey" else 3)
    assert 0 < first.sum() <= 1
    assert 0 < second.sum() <= 1
    everything = kind.fullest_bins(*rows, 10**9)
    assert everything[1].sum() == pytest.approx(1, abs=1e-12)
    assert (first + second).min() >= np.sort(everything[1] + everything[2])[-9] - 1e-15
    for color, share in zip(colors, first, strict=True):
        single = kind.describe(color[None, None])  # the colour lies in the bin it stands for
        keys, _ = kind._occupied(single)
        of_first = dict(zip(*kind._occupied(rows[0]), strict=True))
        assert of_first.get(int(keys[0]), 0.0) == pytest.approx(share, abs=1e-15) or options == {
            "space": "hsv"
        }


def test_a_damaged_sparse_row_is_found_and_refused():
    kind = get_measure("chi2", bins=64)
    row = kind.describe(blobs(1))
    turned = row[::-1].copy()
    rows = as_rows([row, turned], kind.row_dtype, None)
    number, words = kind.first_bad(rows)
    assert (number, words) == (1, "is no histogram: its bins do not ascend")


# ---- colour EMD --------------------------------------------------------------------------------


def test_the_distance_of_plain_images_is_that_of_their_colours():
    red, blue = np.zeros((2, 9, 9, 3), np.uint8)
    red[..., 0], blue[..., 2] = 255, 255
    wanted = np.linalg.norm(
        isf.rgb_to_lab(np.array([255, 0, 0], np.uint8))
        - isf.rgb_to_lab(np.array([0, 0, 255], np.uint8))
    )
    assert isf.compare(red, blue, "emd") == pytest.approx(wanted, rel=1e-12)
    assert isf.compare(red, blue, "emd", threshold=20.0) == pytest.approx(20, rel=1e-12)
    assert isf.compare(red, red[:3], "emd") == 0


@pytest.mark.parametrize("options", [{}, {"colors": 5}, {"position": 25.0}, {"threshold": 12.0},
                                     {"descriptor": "histogram", "bins": 4}])  # fmt: skip
def test_the_distance_is_the_optimum_between_the_signatures(options):
    kind = get_measure("emd", **options)
    a, b = kind.describe(blobs(1)), kind.describe(blobs(2))
    first, second = kind._signature(a), kind._signature(b)
    wanted = isf.emd(
        first[0], second[0], positions=(first[1], second[1]), mass="normalize",
        threshold=options.get("threshold"),
    )  # fmt: skip
    assert kind.compare(a, b) == pytest.approx(wanted, rel=1e-12)
    assert kind.compare(b, a) == pytest.approx(wanted, rel=1e-12)
    sources, targets, amounts = kind.flow(a, b)
    gap = np.linalg.norm(first[1][sources] - second[1][targets], axis=1)
    if "threshold" in options:
        gap = np.minimum(gap, options["threshold"])
    assert gap @ amounts == pytest.approx(wanted, rel=1e-9)
    colors, weights = kind.palette_of(a)
    assert colors.dtype == np.uint8
    assert weights.sum() == pytest.approx(1, abs=1e-12)


def test_a_histogram_is_its_occupied_bins_at_their_centres():
    kind = get_measure("emd", descriptor="histogram", bins=2)
    row = kind.describe(np.array([[[0, 0, 0], [255, 255, 255], [1, 2, 3], [200, 1, 1]]], np.uint8))
    table = row.reshape(-1, 7)
    assert table[:, 0].tolist() == [0.5, 0.25, 0.25]
    assert table[:, 4:].tolist() == [[63.5] * 3, [191.5, 63.5, 63.5], [191.5] * 3]
    assert table[:, 1:4] == pytest.approx(isf.rgb_to_lab(table[:, 4:] / 255))


def test_places_count_only_when_they_are_asked_for():
    image = np.zeros((40, 40, 3), np.uint8)
    image[:, :20] = 255
    mirrored = image[:, ::-1]
    assert isf.compare(image, mirrored, "emd") == 0
    moved = isf.compare(image, mirrored, "emd", position=10.0)
    assert moved == pytest.approx(10 * 0.5, rel=0.05)  # half the side


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"colors": 0}, InvalidInputError, "colors must be at least 1, got 0"),
        ({"colors": 300}, InvalidInputError, "colors must be at most 256, got 300"),
        ({"position": -1}, InvalidInputError, "position must be in 0 .*got -1"),
        ({"position": "x"}, InvalidTypeError, "position must be a number, got 'x'"),
        ({"threshold": 0}, InvalidInputError, "threshold must be above 0, got 0"),
        ({"threshold": math.nan}, InvalidInputError, "threshold must be in"),
        ({"descriptor": "bag"}, InvalidInputError, "descriptor must be .*got 'bag'"),
        ({"descriptor": "histogram", "position": 3}, InvalidInputError, "position is for palettes"),
        ({"bins": 17}, InvalidInputError, "bins must be at most 16, got 17"),
    ],
)
def test_bad_options_of_emd_are_named(options, error, words):
    with pytest.raises(error, match=words):
        get_measure("emd", **options)


@pytest.mark.parametrize("spoil", [lambda row: row[:-1], lambda row: row[:0], lambda row: -row,
                                   lambda row: row * np.nan, lambda row: row * 2])  # fmt: skip
def test_rows_that_are_no_palettes_are_found(spoil):
    kind = get_measure("emd")
    row = kind.describe(blobs(1))
    rows = as_rows([row, spoil(row)], kind.row_dtype, None)
    number, words = kind.first_bad(rows)
    assert number == 1
    assert words.startswith("is no palette")
