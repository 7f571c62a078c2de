"""Several measures at once, and the page that shows what each one saw."""

from __future__ import annotations

import html
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image, ImageFilter

import imgsim_fast as isf
from imgsim_fast.errors import ImageDecodeError, InvalidInputError, InvalidTypeError
from imgsim_fast.measures import get_measure
from imgsim_fast.report import comparison_page
from imgsim_fast.report.colors import color_bins_figure, flow_figure
from imgsim_fast.report.overlays import match_picture, similarity_picture

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


def test_the_figure_of_bins_has_a_bar_for_each_share():
    colors = np.array([[255, 0, 0], [0, 255, 0], [1, 2, 3]], np.uint8)
    figure = color_bins_figure("x", colors, np.array([0.5, 0.0, 0.1]), np.array([0.0, 0.25, 0.1]))
    bars = re.findall(r'height="([\d.]+)" fill="(#\w+)"', figure)
    assert bars == [("70.00", "#ff0000"), ("35.00", "#00ff00"), ("14.00", "#010203"),
                    ("14.00", "#010203")]  # fmt: skip
    assert color_bins_figure("x", colors[:0], np.empty(0), np.empty(0)).endswith("</svg>")


def test_bands_are_as_wide_as_what_they_carry():
    left = (np.array([[0, 0, 0], [9, 9, 9]], np.uint8), np.array([0.25, 0.75]))
    right = (np.array([[255, 255, 255]], np.uint8), np.array([1.0]))
    flow = (np.array([0, 1]), np.array([0, 0]), np.array([0.25, 0.75]))
    figure = flow_figure("x", left, right, flow)
    bands = re.findall(r'points="([^"]+)"', figure)
    widths = []
    for band in bands:
        points = [tuple(map(float, point.split(","))) for point in band.split()]
        assert points[0][0] == points[-1][0]
        widths.append(points[-1][1] - points[0][1])
        assert points[13][1] - points[12][1] == pytest.approx(widths[-1], abs=0.011)
    assert widths[1] == pytest.approx(3 * widths[0], rel=0.01)
    heights = [float(h) for h in re.findall(r'height="([\d.]+)" fill', figure)]
    assert sum(heights[:2]) == pytest.approx(heights[2], abs=0.011)
    assert sum(widths) == pytest.approx(heights[2], abs=0.02)


def test_the_map_is_light_where_images_agree():
    values = np.linspace(-0.5, 1, 300).reshape(1, 300).repeat(40, axis=0)
    picture = Image.open(io.BytesIO(similarity_picture(values))).convert("L")
    across = np.asarray(picture)[20].astype(int)
    assert across[0] < 40 < 230 < across[-1]
    assert (np.diff(across) >= -3).all()
    assert across.size == 300
    large = similarity_picture(np.ones((2000, 500)))
    assert max(Image.open(io.BytesIO(large)).size) == 480


def test_lines_join_matching_points():
    first, second = np.zeros((50, 60, 3), np.uint8), np.full((100, 40, 3), 30, np.uint8)
    points = np.array([[10.0, 25.0]]), np.array([[20.0, 50.0]])
    opened = Image.open(io.BytesIO(match_picture(first, second, *points)))
    pixels = np.asarray(opened).astype(int)
    bare = np.asarray(
        Image.open(io.BytesIO(match_picture(first, second, *(p[:0] for p in points))))
    ).astype(int)
    changed = np.abs(pixels - bare).max(axis=2) > 60
    assert changed.any(axis=0).sum() > 60  # across the gap, from the one to the other
    assert opened.size == bare.shape[1::-1]


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
