"""Several measures at once, and the page that shows what each one saw."""

from __future__ import annotations

import dataclasses
import html
import io
import math
import os
import re
import sys
import tracemalloc
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image, ImageFilter

import imgsim_fast as isf
from imgsim_fast.errors import ImageDecodeError, InvalidInputError, InvalidTypeError
from imgsim_fast.measures import get_measure
from imgsim_fast.report import compare, comparison_page
from imgsim_fast.report.colors import ColorBins, ColorFlow, color_bins_figure, flow_figure
from imgsim_fast.report.explained import explained
from imgsim_fast.report.matches import MOST_LINES, matches_figure
from imgsim_fast.report.overlays import LONGEST, similarity_picture
from imgsim_fast.report.thumbnails import read_small, thumbnail_of
from imgsim_fast.report.words import range_in_words
from tests.test_report import HOSTILE, Outline

NATIVE = ["wasserstein", "emd", "correlation", "kl", "ssim"]


def pair(tmp_path, names=("a.png", "b.png"), size=(90, 70)):
    random = np.random.default_rng(0)
    paths = []
    for name in names:
        pixels = random.integers(0, 256, (7, 9, 3), dtype=np.uint8)
        image = Image.fromarray(pixels).resize(size).filter(ImageFilter.GaussianBlur(1))
        image.save(tmp_path / name)
        paths.append(str(tmp_path / name))
    return paths


# ---- compare_all -------------------------------------------------------------------------------


def test_values_are_those_of_compare_in_the_order_given(tmp_path):
    a, b = pair(tmp_path)
    own = get_measure("intersection", space="hsv")
    found = isf.compare_all(a, b, ["ssim", own, "wasserstein"], options={"wasserstein": {"p": 2}})
    assert [one.measure for one in found] == ["ssim", "intersection", "wasserstein"]
    assert [one.value for one in found] == [
        isf.compare(a, b, "ssim"), isf.compare(a, b, own), isf.compare(a, b, p=2),
    ]  # fmt: skip
    assert [one.higher_is_better for one in found] == [True, True, False]
    assert found[1].options["space"] == "hsv"
    assert found[2].unit == "grey levels"
    assert all(one.seconds > 0 and not one.problem for one in found)


def test_what_cannot_be_used_says_why_and_does_not_stop_the_others(tmp_path):
    a, b = pair(tmp_path, size=(6, 90))
    found = isf.compare_all(a, b, ["onnx", "ssim", "wasserstein"])
    assert [one.value is None for one in found] == [True, True, False]
    assert "needs model=" in found[0].problem
    assert "needs at least 7 x 7" in found[1].problem
    assert "a.png" in found[1].problem


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"measures": "ssim"}, InvalidTypeError, "measures must be an iterable of measures, got"),
        ({"measures": ["psnr"]}, InvalidInputError, "measure must be one of .*, got 'psnr'"),
        ({"measures": ["ssim"], "options": {"emd": {}}}, InvalidTypeError, "given for 'emd'"),
        ({"measures": ["ssim"], "options": {"ssim": {"bins": 3}}}, InvalidTypeError, "no option"),
    ],
)
def test_mistakes_are_errors(tmp_path, arguments, error, words):
    a, b = pair(tmp_path)
    with pytest.raises(error, match=words):
        isf.compare_all(a, b, **arguments)


def test_an_image_that_cannot_be_read_is_an_error(tmp_path):
    a, _ = pair(tmp_path)
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))
    for first, second in ((a, tmp_path / "bad.png"), (tmp_path / "none.png", a)):
        with pytest.raises(ImageDecodeError, match=r"bad\.png|none\.png"):
            isf.compare_all(first, second, NATIVE)


# ---- the page ----------------------------------------------------------------------------------


def test_the_page_draws_what_each_measure_saw(tmp_path):
    a, b = pair(tmp_path)
    found = isf.compare_all(a, b, [*NATIVE, "chi2", "onnx"])
    page = comparison_page(a, b, found)
    assert page.count("<article") == 4  # the three histogram measures share one
    assert page.count('class="figure histogram"') == page.count('class="figure cdf"') == 1
    assert page.count('class="figure bins"') == page.count('class="figure flow"') == 1
    assert page.count('<img class="sight"') == 1
    assert "needs model=" in html.unescape(page)
    assert set(re.findall(r'href="#(\w+)"', page)) <= set(re.findall(r'id="(\w+)"', page))
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_the_page_loads_nothing_and_runs_nothing(tmp_path):
    names = ("<script>alert(1)</script>.png", "x\" onload='a'.png")
    a, b = pair(tmp_path, [name.replace("/", "\u2215") for name in names])
    page = comparison_page(a, b, isf.compare_all(a, b, NATIVE))
    assert "<script" not in page
    seen = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: seen.extend(name for name, _ in attributes)
    parser.feed(page)
    assert "alt" in seen
    assert not [name for name in seen if name.startswith("on")]
    assert "default-src 'none'" in page
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", page)


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_a_name_cannot_change_the_structure_of_the_page(tmp_path, name, monkeypatch):
    """Whatever a file is called, or a measure of somebody else and its unit, or a problem."""
    harmless, text = (
        _page_called(tmp_path, called, monkeypatch) for called in ("a/b.png", os.fsdecode(name))
    )
    text.encode("utf-8")
    plain, outline = Outline(harmless), Outline(text)
    assert outline.tags == plain.tags
    assert outline.attributes == plain.attributes
    assert outline.style == plain.style
    assert "<script" not in text.lower()
    for tag, attribute, value in outline.values:
        assert not attribute.startswith("on"), (tag, attribute)
        if attribute in ("href", "src"):
            assert re.match(r"#\w+$|data:image/(png|jpeg);base64,", value)


def _page_called(tmp_path, name, monkeypatch):
    a, b = pair(tmp_path)
    found = isf.compare_all(a, b, ["wasserstein", "ssim", "onnx"])
    odd = dataclasses.replace(found[0], measure=name, unit=name)
    bad = dataclasses.replace(found[2], measure=name, problem=name or "none")
    monkeypatch.setattr(compare, "read_small", lambda path, longest: read_small(a, longest))
    return comparison_page(name, name, [*found, odd, bad])


def test_the_figure_of_bins_has_a_bar_for_each_share():
    colors = np.array([[255, 0, 0], [0, 255, 0], [1, 2, 3]], np.uint8)
    shares = np.array([0.5, 0.0, 0.1]), np.array([0.0, 0.25, 0.1])
    figure = color_bins_figure("x", ColorBins(colors, *shares, 512))
    bars = re.findall(r'height="([\d.]+)" fill="(#\w+)"', figure)
    assert bars == [("70", "#ff0000"), ("35", "#00ff00"), ("14", "#010203"), ("14", "#010203")]
    none = ColorBins(colors[:0], np.empty(0), np.empty(0), 512)
    assert color_bins_figure("x", none).endswith("</svg>")


def test_bands_are_as_wide_as_what_they_carry():
    left = (np.array([[0, 0, 0], [9, 9, 9]], np.uint8), np.array([0.25, 0.75]))
    right = (np.array([[255, 255, 255]], np.uint8), np.array([1.0]))
    flow = ColorFlow(left, right, np.array([0, 1]), np.array([0, 0]), np.array([0.25, 0.75]), 2)
    figure = flow_figure("x", flow)
    bands = [band_ends(path) for path in re.findall(r' d="(M[^"]+)"', figure)]
    widths = [end - start for start, end, _, _ in bands]
    for (_, _, start, end), width in zip(bands, widths, strict=True):
        assert end - start == pytest.approx(width, abs=0.011)
    assert widths[1] == pytest.approx(3 * widths[0], rel=0.01)
    heights = [float(h) for h in re.findall(r'height="([\d.]+)" fill', figure)]
    assert sum(heights[:2]) == pytest.approx(heights[2], abs=0.011)
    assert sum(widths) == pytest.approx(heights[2], abs=0.02)


def band_ends(path):
    """Upper and lower y of a band where it leaves, then where it arrives."""
    number = r"([\d.]+)"
    pattern = f"M26 {number}C122 {number} 218 {number} 314 {number}v{number}C218 {number} "
    pattern += f"122 {number} 26 {number}z"
    y = [float(found) for found in re.fullmatch(pattern, path).groups()]
    assert y[0] == y[1] and y[2] == y[3] and y[6] == y[7]  # noqa: PT018
    assert y[5] == pytest.approx(y[3] + y[4], abs=0.011)
    return y[0], y[7], y[3], y[5]


@pytest.mark.parametrize("count", [1, 16, 110, 111, 1500])
def test_any_number_of_colours_fits_the_drawing(count):
    colors = np.random.default_rng(0).integers(0, 256, (count, 3), dtype=np.uint8)
    palette = colors, np.full(count, 1 / count)
    every = np.arange(count)
    figure = flow_figure("x", ColorFlow(palette, palette, every, every, palette[1], count))
    tops = [float(y) for y in re.findall(r'<rect x="0" y="([\d.]+)"', figure)]
    heights = [float(h) for h in re.findall(r'height="([^"]+)" fill', figure)]
    assert len(tops) == count
    assert len(heights) == 2 * count
    assert min(heights) > 0.1
    assert min(tops) == 8
    assert max(tops) + heights[0] == pytest.approx(8 + 220, abs=0.03)


def test_the_map_is_light_where_images_agree():
    values = np.linspace(-0.5, 1, 300).reshape(1, 300).repeat(40, axis=0)
    picture = Image.open(io.BytesIO(similarity_picture(values))).convert("L")
    across = np.asarray(picture)[20].astype(int)
    assert across[0] < 40 < 230 < across[-1]
    assert (np.diff(across) >= -3).all()
    assert across.size == 300
    large = similarity_picture(np.ones((2000, 500)))
    assert max(Image.open(io.BytesIO(large)).size) == LONGEST


@pytest.mark.parametrize("gaussian", [False, True])
@pytest.mark.parametrize("size", [(7, 7), (11, 300), (65, 33), (150, 201), (201, 150)])
def test_the_map_is_that_of_every_pixel_in_few_means(size, gaussian, monkeypatch):
    if gaussian and min(size) < 11:
        size = (11, 11)
    random = np.random.default_rng(size)
    first = random.integers(0, 256, size, dtype=np.uint8)
    second = (first // 2 + random.integers(0, 100, size, dtype=np.uint8)).astype(np.uint8)
    kind = get_measure("ssim", gaussian_weights=gaussian)
    monkeypatch.setattr(sys.modules[type(kind).__module__], "_BAND", 1500)  # several bands
    rows = kind.describe(first), kind.describe(second)
    rule = {"gaussian_weights": True, "use_sample_covariance": False} if gaussian else {}
    whole = isf.structural_similarity(first, second, full=True, **rule)[1]
    np.testing.assert_allclose(kind.map_of(*rows), whole, atol=1e-12)
    for longest in (1, 2, 50, 120, 5000):
        step = kind.map_step(rows[0], longest)
        found = kind.map_of(*rows, longest=longest)
        assert max(found.shape) <= longest
        expected = [
            [whole[y : y + step, x : x + step].mean() for x in range(0, size[1], step)]
            for y in range(0, size[0], step)
        ]
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_the_map_of_large_images_says_what_a_point_is(tmp_path):
    a, b = pair(tmp_path, size=(1300, 200))
    page = html.unescape(comparison_page(a, b, isf.compare_all(a, b, ["ssim"])))
    assert "Each point is the mean over 3 \N{MULTIPLICATION SIGN} 3 pixels." in page
    a, b = pair(tmp_path, size=(640, 200))
    assert "Each point" not in comparison_page(a, b, isf.compare_all(a, b, ["ssim"]))


def test_a_page_needs_no_copies_of_large_images(tmp_path):
    """The peak of a process that makes the page is that of one decoded image, not of its maps."""
    random = np.random.default_rng(0)
    paths = []
    for name in ("a.jpg", "b.jpg"):
        pixels = random.integers(0, 256, (30, 40), dtype=np.uint8)
        Image.fromarray(pixels).resize((4000, 3000)).save(tmp_path / name)
        paths.append(str(tmp_path / name))
    found = isf.compare_all(*paths, ["ssim", "wasserstein"])
    tracemalloc.start()  # counts what NumPy allocates; a map of all pixels is 96 MB
    try:
        comparison_page(*paths, found)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40e6


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_small_copies_are_upright_and_know_the_size(tmp_path, orientation):
    image = Image.new("RGB", (1000, 600), "black")
    image.paste("white", (0, 0, 500, 300))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = str(tmp_path / "a.png")
    image.save(path, exif=exif)
    small, size = read_small(path, 100)
    assert size == ((600, 1000) if orientation == 6 else (1000, 600))
    assert small.size == ((60, 100) if orientation == 6 else (100, 60))
    whole = isf.decode(path)
    for x, y in ((0.2, 0.2), (0.8, 0.2), (0.2, 0.8), (0.8, 0.8)):
        expected = whole[int(y * size[1]), int(x * size[0])]
        assert (np.array(small)[int(y * small.height), int(x * small.width)] == expected).all()
        shown = Image.open(io.BytesIO(thumbnail_of(path, 50)))
        near = np.asarray(shown)[int(y * shown.height), int(x * shown.width)].astype(int)
        assert np.abs(near - expected).max() < 20
    assert read_small(path, 1000)[0].size == size


def lines(figure):
    """Ends of the lines of both drawings, [beside, below]."""
    parts = re.sub(r'<path class="edge" d="[^"]*"/>', "", figure).split("<svg")[1:]
    pattern = r"M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)"
    return [[tuple(map(float, found)) for found in re.findall(pattern, part)] for part in parts]


def test_lines_join_matching_points():
    sizes = (60, 50), (40, 100)
    figure = matches_figure("k", sizes, np.array([[0.0, 0.5]]), np.array([[1.0, 1.0]]))
    beside, below = lines(figure)
    # One height for both, 1200 wide with a gap of 12, but none higher than 600.
    ((x1, y1, x2, y2),) = beside
    height = 600.0
    left = (1200 - 12 - height * (60 / 50 + 40 / 100)) / 2
    assert (x1, y1, x2, y2) == pytest.approx((left, height / 2, 1200 - left, height), abs=0.06)
    # Each as wide as the drawing, or 600 high; the second below the first.
    ((x1, y1, x2, y2),) = below
    assert (x1, y1, x2, y2) == pytest.approx((0, 250, 420, 500 + 12 + 600), abs=0.06)
    assert figure.count('<use href="#first_pixels"') == 2
    assert figure.count('<use href="#second_pixels"') == 2


def test_lines_have_an_edge_below_them():
    points = np.random.default_rng(1).random((5, 2))
    for part in matches_figure("k", ((30, 20), (30, 20)), points, points).split("<svg")[1:]:
        edge, *paths = re.findall(r'<path (?:class="edge"|stroke="[^"]*") d="([^"]*)"', part)
        assert edge == "".join(paths)
        assert len(paths) == 5
        assert part.index('class="edge"') < part.index("stroke=")
        assert all(path.count("a3 3 0 1 0") == 4 for path in paths)  # a ring at both ends


def test_many_lines_are_thinned():
    points = np.random.default_rng(0).random((350, 2))
    beside, below = lines(matches_figure("k", ((30, 20), (30, 20)), points, points))
    assert len(beside) == len(below) == MOST_LINES


def test_matches_are_drawn_across_the_page(tmp_path):
    pytest.importorskip("cv2")
    a, b = pair(tmp_path, size=(200, 150))
    page = comparison_page(a, a, isf.compare_all(a, a, ["orb", "sift", "ssim"]))
    assert page.count('class="figure matches beside"') == 2
    assert page.count('class="across"') == 2
    assert page.count('id="first_pixels"') == page.count('id="second_pixels"') == 1
    assert "of the first image found again in the second." in page
    flat = str(tmp_path / "flat.png")
    Image.new("L", (90, 70)).save(flat)
    none = comparison_page(flat, b, isf.compare_all(flat, b, ["sift"]))
    assert "No point of the first image is found again in the second." in none
    assert "matches beside" not in none


def test_the_page_speaks_of_as_many_measures_as_gave_a_value(tmp_path):
    a, b = pair(tmp_path)

    def page(*names):
        text = comparison_page(a, b, isf.compare_all(a, b, names))
        return " ".join(html.unescape(re.sub("<[^>]+>", " ", text)).split())

    assert "Two images under 2 measures" in page("ssim", "emd", "onnx")
    one = page("ssim")
    assert "Two images compared by ssim" in one
    assert "The higher the number, the more alike" in one
    assert "Each measure looks at something else" not in one
    assert "1 measures" not in one
    assert "no measure that could be used" in page("onnx")


def test_the_table_says_which_values_there_are_and_which_is_best(tmp_path):
    a, b = pair(tmp_path)
    page = comparison_page(a, b, isf.compare_all(a, b, ["intersection", "wasserstein", "chi2"]))
    assert re.findall('class="range">([^<]*)', page) == ["0 ... 1", "0 ... 255", "0 or more"]
    found = re.findall('class="direction">([^<]*)', page)
    assert found == ["higher, 1 is best", "lower, 0 is best", "lower, 0 is best"]
    assert "Colours that only the second image has do not count" in page


@pytest.mark.parametrize("name", isf.measures())
def test_every_measure_is_explained_without_words_of_its_makers(name):
    words = explained(name, {})
    assert words[0].isupper()
    assert words.endswith(".")
    assert "extra" not in words
    assert explained("emd", {"position": 20.0}).startswith(explained("emd", {}) + " ")
    assert explained("mine", {}) == ""


def test_nothing_sticks_out_on_a_phone(tmp_path, screenshot):
    a, b = pair(tmp_path, ("x" * 200 + ".png", "y.png"))
    page = comparison_page(a, b, isf.compare_all(a, b))
    pixels = screenshot(page, 420, 7000)
    paper = pixels[5, 5]
    assert (pixels[:, :15] == paper).all()
    assert (pixels[:, -15:] == paper).all()
    assert not (pixels[:, 15:-15] == paper).all()


# ---- the command line --------------------------------------------------------------------------


def test_the_command_writes_the_page_and_replaces_nothing(tmp_path, run):
    a, b = pair(tmp_path)
    page = tmp_path / "page.html"
    done = run("compare", a, b, "--measure", "all", "--html", page)
    assert done.code == 0
    assert f"page: {page}" in done.out
    assert page.read_text().startswith("<!DOCTYPE html>")
    again = run("compare", a, b, "--html", page)
    assert again.code == 2
    assert "--force replaces it" in again.err
    assert run("compare", a, b, "--html", page, "--force").code == 0
    own = run("compare", a, b, "--html", a, "--force")
    assert own.code == 2
    assert "is an image to be read" in own.err


def test_options_need_one_measure(tmp_path, run):
    a, b = pair(tmp_path)
    done = run("compare", a, b, "--measure", "all", "--bins", 8)
    assert (done.code, done.err) == (2, "imgsim: option 'bins' needs one --measure, not all\n")
    done = run("compare", a, b, "--measure", "emd", "--option", "threshold=20", "--json")
    assert done.json["options"]["threshold"] == 20
    assert done.json["value"] == isf.compare(a, b, "emd", threshold=20)
    for wrong, words in (
        ("threshold", "NAME=VALUE"),
        ("=3", "NAME=VALUE"),
        ("x=3", "no option 'x'"),
    ):
        done = run("compare", a, b, "--measure", "emd", "--option", wrong)
        assert done.code == 2
        assert words in done.err
    done = run("compare", a, b, "--p", 2, "--option", "p=3")
    assert done.code == 2
    assert "option 'p' is given twice" in done.err


def test_a_measure_that_cannot_be_used_is_wrong_use(tmp_path, run):
    a, b = pair(tmp_path)
    done = run("compare", a, b, "--measure", "onnx")
    assert done.code == 2
    assert "needs model=" in done.err
    done = run("compare", a, b, "--measure", "onnx", "--option", f"model={tmp_path / 'no.onnx'}")
    assert done.code == 2
    assert "no.onnx" in done.err
    assert "does not exist" in done.err


@pytest.mark.parametrize(
    ("value_range", "words"),
    [((0, 1), "0 ... 1"), ((-1.0, 1.0), "-1 ... 1"), ((0, math.inf), "0 or more"),
     ((-math.inf, 3), "at most 3"), ((-math.inf, math.inf), "")],
)  # fmt: skip
def test_ranges_in_words(value_range, words):
    assert range_in_words(value_range) == words


def test_the_terminal_says_which_values_a_measure_has(tmp_path, run):
    a, b = pair(tmp_path)
    line = run("compare", a, b, "--measure", "ssim").out
    assert line.endswith("   (-1 ... 1, higher is more alike)\n")
    table = run("compare", a, b, "--measure", "all").out.splitlines()
    assert table[0].split() == ["measure", "value", "unit", "range", "more", "alike", "time"]
    rows = {row.split()[0]: row for row in table[1:]}
    assert " 0 or more " in rows["chi2"]
    assert " 0 ... 1 " in rows["intersection"]
    shown = run("compare", a, b, "--measure", "all", "--json").json["measures"]
    assert {one["measure"]: one["value_range"] for one in shown}["emd"] == [0, None]
