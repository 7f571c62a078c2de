"""Measures: the registry, options and their errors, descriptors, comparing two images."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import imgsim_fast as isf
from imgsim_fast.errors import (
    ImageDecodeError,
    ImgsimError,
    InvalidInputError,
    InvalidTypeError,
)
from imgsim_fast.measures import compare, describe, get_measure, measures
from tests.image_files import encode, picture


def noise(height=20, width=30, seed=0, low=0, high=256, colour=True):
    shape = (height, width, 3) if colour else (height, width)
    return np.random.default_rng(seed).integers(low, high, shape, dtype=np.uint8)


def counted(grey, bins=256, edges=(0, 256)):
    return np.histogram(grey, bins, edges)[0]


# ---- registry ----------------------------------------------------------------------------------


def test_measures_have_a_name_and_a_line_of_help():
    listed = measures()
    assert next(iter(listed)) == "wasserstein"
    for name, line in listed.items():
        if name not in ("surf", "onnx", "clip"):  # these need a file, or an OpenCV of one's own
            assert get_measure(name).name == name
        assert line
        assert "\n" not in line


@pytest.mark.parametrize(
    "before",
    [
        "",
        "isf.compare",
        "isf.Index",
        "import imgsim_fast.measures",
        "from imgsim_fast.measures import get_measure",
    ],
)
def test_the_public_function_is_not_hidden_by_the_package_of_its_name(before):
    """In a new process: what is imported first decides which of the two the name means."""
    code = f"import imgsim_fast as isf\n{before}\nprint(*isf.measures())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout == " ".join(measures()) + "\n"


@pytest.mark.parametrize("name", ["onnx", "clip"])
def test_measures_that_need_a_file_say_so(name):
    with pytest.raises(InvalidInputError, match=f"measure '{name}' needs"):
        get_measure(name)


def test_unknown_measures_and_options_are_named():
    with pytest.raises(InvalidInputError, match=r"one of wasserstein, .*, got 'psnr'"):
        get_measure("psnr")
    with pytest.raises(InvalidTypeError, match=r"no option 'bin'; it has bins, range, p"):
        get_measure("wasserstein", bin=3)


# ---- options -----------------------------------------------------------------------------------


def test_options_are_plain_json_and_make_the_same_measure_again():
    given = {
        "bins": np.int64(16),
        "range": (np.float32(0), np.float64(128.5)),
        "p": np.float32(1.5),
    }
    for kind in (get_measure(), get_measure("wasserstein", **given)):
        text = json.dumps(dict(kind.options))
        again = get_measure(kind.name, **json.loads(text))
        assert json.dumps(dict(again.options)) == text
    assert json.loads(text) == {"bins": 16, "range": [0, 128.5], "p": 1.5}
    assert get_measure().options == {"bins": 256, "range": [0, 256], "p": 1}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bins": 0}, "bins must be at least 1, got 0"),
        ({"bins": -3}, "bins must be at least 1, got -3"),
        ({"bins": 65537}, "bins must be at most 65536, got 65537"),
        ({"range": (5, 5)}, r"range must increase, got \(5.0, 5.0\)"),
        ({"range": (9, 1)}, r"range must not decrease, got \(9.0, 1.0\)"),
        ({"range": (0, math.nan)}, "range must be finite"),
        ({"range": (-math.inf, 0)}, "range must be finite"),
        ({"p": 0.5}, "p must be at least 1, got 0.5"),
        ({"p": math.nan}, "p must be at least 1, got nan"),
        ({"p": math.inf}, "a finite p, got inf"),
    ],
)
def test_bad_values_of_options(options, words):
    with pytest.raises(InvalidInputError, match=words):
        get_measure("wasserstein", **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bins": 2.5}, "bins must be an integer, got 2.5"),
        ({"bins": "8"}, "bins must be an integer, got '8'"),
        ({"bins": True}, "bins must be an integer, got True"),
        ({"range": 5}, "range must be two numbers, got 5"),
        ({"range": (1, 2, 3)}, "range must be two numbers"),
        ({"range": None}, "range must be two numbers, got None"),
        ({"range": ("a", "b")}, "range must be two numbers"),
        ({"p": "x"}, "p must be a number, got 'x'"),
        ({"p": None}, "p must be a number, got None"),
    ],
)
def test_bad_types_of_options(options, words):
    with pytest.raises(InvalidTypeError, match=words):
        get_measure("wasserstein", **options)


# ---- descriptors -------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_describe_is_the_same_with_and_without_arrow(mode):
    kind = get_measure()
    image = picture(mode, 61, 37)
    expected = counted(isf.decode(encode(image, format="PNG"), mode="grey"))
    exported = describe(kind, image)
    from_array = describe(kind, np.asarray(image))
    assert exported.dtype == from_array.dtype == np.uint32
    np.testing.assert_array_equal(exported, expected)
    np.testing.assert_array_equal(from_array, expected)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_describe_an_image_too_large_for_one_memory_block(mode):
    image = Image.new(mode, (5000, 4000), 0)
    image.paste(200 if mode == "L" else (200, 200, 200), (0, 0, 1250, 4000))
    with pytest.raises(ValueError, match="contiguous"):
        image.__arrow_c_array__()
    row = describe(get_measure(), image)
    assert (row[0], row[200], row.sum()) == (15_000_000, 5_000_000, 20_000_000)


def test_describe_takes_every_form_of_an_image(tmp_path):
    pixels = noise()
    data = encode(Image.fromarray(pixels), format="PNG")
    path = tmp_path / "image.png"
    path.write_bytes(data)
    kind = get_measure("wasserstein", bins=32)
    expected = counted(isf.decode(data, mode="grey"), 32)
    for source in (
        str(path), path, data, bytearray(data), memoryview(data), pixels, pixels[:, ::-1],
        Image.fromarray(pixels), np.asfortranarray(pixels),
    ):  # fmt: skip
        row = describe(kind, source)
        assert row.shape == (kind.row_length,)
        assert row.dtype == kind.row_dtype
        np.testing.assert_array_equal(row, expected)


@pytest.mark.parametrize("thing", [None, 5, 1.5, [1, 2], object(), {"a": 1}])
def test_describe_refuses_what_is_no_image(thing):
    with pytest.raises((InvalidInputError, InvalidTypeError)):
        describe(get_measure(), thing)


# ---- comparing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_compare_is_wasserstein_1d_of_the_grey_counts(seed, tmp_path):
    first, second = noise(31, 17, seed, 0, 200), noise(20, 40, seed + 100, 50, 256, colour=False)
    greys = [
        isf.decode(encode(Image.fromarray(a), format="PNG"), mode="grey") for a in (first, second)
    ]
    rows = [np.bincount(grey.ravel(), minlength=256) for grey in greys]
    assert compare(first, second) == isf.wasserstein_1d(*rows)
    assert compare(second, first) == compare(first, second)
    assert compare(first, first[::-1, ::-1]) == 0.0
    for p in (1.5, 2, 7):
        assert compare(first, second, p=p) == isf.wasserstein_1d(*rows, p=p)


@pytest.mark.parametrize(
    ("bins", "edges"),
    [(1, (0, 256)), (8, (0, 256)), (10, (0, 255)), (64, (-20, 300.5)), (5, (40, 60))],
)
@pytest.mark.parametrize("p", [1, 2])
def test_bins_stand_at_their_centres_in_grey_levels(bins, edges, p):
    first, second = noise(seed=1, colour=False), noise(seed=2, low=30, high=90, colour=False)
    borders = np.linspace(*edges, bins + 1)
    centres = (borders[1:] + borders[:-1]) / 2
    rows = [counted(grey, bins, edges) for grey in (first, second)]
    expected = isf.wasserstein_1d(*rows, centres, p=p)
    found = compare(first, second, bins=bins, range=edges, p=p)
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_compare_files_is_compare_of_what_decode_gives(tmp_path):
    turned = picture(width=40, height=30)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif)
    picture("RGBA", seed=3).save(tmp_path / "alpha.png")
    picture("L", seed=4).save(tmp_path / "grey.webp")
    Image.fromarray(np.arange(0, 60000, 100, np.uint16).reshape(20, 30)).save(tmp_path / "deep.png")
    names = sorted(os.listdir(tmp_path))
    for first in names:
        for second in names:
            expected = compare(isf.decode(tmp_path / first), isf.decode(tmp_path / second))
            assert compare(str(tmp_path / first), tmp_path / second) == expected
            assert (expected == 0) == (first == second)


def test_image_with_no_level_in_the_range():
    dark, light = np.full((4, 4), 10, np.uint8), np.full((4, 4), 200, np.uint8)
    with pytest.raises(InvalidInputError, match=r"no grey level.*range \[0.*, 100.*\]"):
        compare(dark, light, range=(0, 100))
    with pytest.raises(InvalidInputError, match=r"no grey level.*range \[150.*, 256.*\]"):
        compare(dark, light, range=(150, 256))
    assert compare(dark, np.full((1, 1), 99, np.uint8), range=(0, 100), bins=100) == 89.0


def test_pixels_outside_the_range_do_not_count():
    pixels = np.array([[10, 10, 250]], np.uint8)
    assert compare(pixels, np.array([[20]], np.uint8), range=(0, 100), bins=100) == 10.0


# ---- errors name the file ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["missing.png", "text.jpg", "empty.png", "half.png", "folder.png"])
def test_errors_name_the_file(name, tmp_path):
    good, path = tmp_path / "good.png", tmp_path / name
    picture().save(good)
    if name == "text.jpg":
        path.write_text("no image")
    elif name == "empty.png":
        path.touch()
    elif name == "half.png":
        path.write_bytes(good.read_bytes()[:500])
    elif name == "folder.png":
        path.mkdir()
    for pair in ((path, good), (str(good), str(path))):
        with pytest.raises(ImageDecodeError) as caught:
            compare(*pair)
        assert str(path) in str(caught.value)
        assert caught.value.reason
        assert str(path) not in caught.value.reason


def test_a_file_outside_the_range_is_named_too(tmp_path):
    """Of two files it must be told which one the range excludes."""
    for name, level in (("dark.png", 10), ("light.png", 200)):
        Image.new("L", (4, 4), level).save(tmp_path / name)
    with pytest.raises(ImgsimError, match=r"light\.png"):
        compare(tmp_path / "dark.png", tmp_path / "light.png", range=(0, 100))


def test_errors_survive_names_that_are_no_text(tmp_path):
    path = os.fsencode(tmp_path) + b"/\xff\n\x1b.png"
    with pytest.raises(ImageDecodeError) as caught:
        compare(os.fsdecode(path), os.fsdecode(path))
    assert str(caught.value).isprintable()
    assert r"\udcff" in str(caught.value)
