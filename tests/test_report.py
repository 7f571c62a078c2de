"""The search report: hostile names stay inert, drawings tell the truth, files are never half."""

from __future__ import annotations

import base64
import errno
import hashlib
import io
import os
import re
import stat
from collections import Counter
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from imgsim_fast.errors import ImgsimError, InvalidInputError
from imgsim_fast.report import (
    ReportExistsError,
    ReportImage,
    ReportMatch,
    SearchReport,
    display_name,
    figures,
    files,
    make_thumbnail,
    render_search,
    words,
    write_text_atomically,
)

HOSTILE = [
    "<script>alert(1)</script>.png",
    '"onload="alert(1).jpg',
    "'onerror='alert(1).jpg",
    "javascript:alert(1)",
    "</style><style>*{display:none}</style>",
    "</svg></title></desc></p></bdi>",
    "{{ 7 * 7 }}{% raw %}",
    "<!-- <![CDATA[ &lt; &#60;",
    b"undecodable-\xff\xfe.png",
    "lone-\udcff-\ud800.png",
    "two\nlines\r\t\x1b[31mred\x00.png",
    "gpj.\u202egnp.exe \u200b\u2066\u200f\u2028\ufeff",
    "data:text/html,<b>",
    b"",
    "/",
    "x" * 4000,
]


def histogram(centre: float, spread: float, bins: int = 256) -> np.ndarray:
    at = np.arange(bins) * (256 / bins)
    return np.round(1e4 * np.exp(-(((at - centre) / spread) ** 2))).astype(np.int64) + 1


def image(name="image.png", centre=100.0, spread=30.0, bins=256, thumbnail=None) -> ReportImage:
    if thumbnail is None:
        thumbnail = make_thumbnail(Image.new("L", (80, 60), int(centre)))
    return ReportImage(name, 80, 60, thumbnail, histogram(centre, spread, bins))


def w1(a: ReportImage, b: ReportImage, levels: float = 256) -> float:
    cdfs = [np.cumsum(i.counts) / i.counts.sum() for i in (a, b)]
    return float(np.abs(cdfs[0] - cdfs[1]).sum() * levels / len(a.counts))


def report(names=("a.png", "b.png", "c.png"), *, query="query.png", source="folder", **changes):
    searched_for = query if isinstance(query, ReportImage) else image(query)
    found = [image(name, 130.0 + 35 * i, 30 + 5 * i) for i, name in enumerate(names)]
    if "matches" in changes:
        found = []
    fields = {
        "query": searched_for,
        "matches": [ReportMatch(match, w1(searched_for, match)) for match in found],
        "measure": "wasserstein",
        "options": {"bins": 256, "range": [0, 256], "p": 1},
        "searched": 1000,
        "seconds": 0.0123,
        "source": source,
        "unit": "grey levels",
    }
    return SearchReport(**(fields | changes))


class Outline(HTMLParser):
    """Tags, attributes and texts of a page, as a browser would find them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: Counter[tuple[str, str]] = Counter()
        self.values: list[tuple[str, str, str]] = []
        self.texts: list[str] = []
        self.style = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self._open.append(tag)
        for name, value in attrs:
            self.attributes[tag, name] += 1
            self.values.append((tag, name, value or ""))

    def handle_endtag(self, tag):
        self.tags["/" + tag] += 1
        self._open.append("")

    def handle_data(self, data):
        if self._open and self._open[-1] == "style":
            self.style += data
        self.texts.append(data)

    def value(self, tag: str, name: str) -> list[str]:
        return [value for t, n, value in self.values if (t, n) == (tag, name)]

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))


# ------------------------------------------------------------------ hostile names


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_a_name_cannot_change_the_structure_of_the_page(name):
    harmless = Outline(render_search(report()))
    text = render_search(report([name] * 3, query=name, source=name or b"?"))
    text.encode("utf-8")
    outline = Outline(text)
    assert outline.tags == harmless.tags
    assert outline.attributes == harmless.attributes
    assert outline.style == harmless.style
    assert "<script" not in text.lower()
    for tag, attribute, value in outline.values:
        assert not attribute.startswith("on"), (tag, attribute)
        assert attribute not in {"href", "xlink:href", "style", "srcset", "action", "formaction"}
        assert attribute != "src" or value.startswith(("data:image/jpeg;", "data:image/png;"))
    shown = "".join(outline.texts)
    assert not re.search(
        "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]", shown
    )
    if name and name != "/":
        assert display_name(name) in shown.replace("\n", "") or "/" in display_name(name)


def test_names_are_shown_whole_with_their_folder():
    outline = Outline(render_search(report(["some/folder/picture of a cat.png"] * 3)))
    assert "some/folder/ picture of a cat.png" in outline.text
    assert "Match 1, some/folder/picture of a cat.png" in outline.value("img", "alt")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Käse 北京 🎉 عربي.png", "Käse 北京 🎉 عربي.png"),
        (b"caf\xc3\xa9-\xff\x80.png", "café-\\xff\\x80.png"),
        ("caf\udce9", "caf\\xe9"),
        ("\ud800x", "\\ud800x"),
        ("a\nb\rc\td", "a\\nb\\rc\\td"),
        ("\x1b[31m\x00\x7f\x85", "\\x1b[31m\\x00\\x7f\\u0085"),
        ("\u202egnp.\u2066\u2069\u200e\u200f", "\\u202egnp.\\u2066\\u2069\\u200e\\u200f"),
        ("\u200b\u200d\ufeff\u2028\u2029\u00ad", "\\u200b\\u200d\\ufeff\\u2028\\u2029\\u00ad"),
        ("\U000e0041", "\\U000e0041"),
        ("[red]<b>&\\", "[red]<b>&\\"),
        ("", ""),
    ],
)
def test_display_name(name, shown):
    assert display_name(name) == shown


def test_any_bytes_can_be_displayed_on_one_line():
    rng = np.random.default_rng(0)
    for _ in range(200):
        shown = display_name(rng.bytes(64))
        shown.encode("utf-8")
        assert len(shown.splitlines()) == 1
    for code in range(0, 0x30000, 7):
        display_name(chr(code)).encode("utf-8")


# ------------------------------------------------------------------ the page


def test_the_page_is_self_contained_and_its_policy_allows_just_its_style():
    outline = Outline(render_search(report()))
    digest = base64.b64encode(hashlib.sha256(outline.style.encode()).digest()).decode()
    (policy,) = [v for v in outline.value("meta", "content") if v.startswith("default-src")]
    assert policy.startswith(
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'"
    )  # fmt: skip
    assert "no-referrer" in outline.value("meta", "content")
    assert "url(" not in outline.style
    assert "@import" not in outline.style
    assert not {"script", "link", "iframe", "object", "a", "base", "use"} & set(outline.tags)


def test_the_page_is_accessible():
    outline = Outline(render_search(report()))
    assert outline.value("html", "lang") == ["en"]
    assert outline.tags["h1"] == 1
    assert outline.tags["h3"] == 3
    assert outline.attributes["img", "alt"] == outline.tags["img"] == 4
    drawings = outline.value("svg", "role").count("img")
    assert drawings == 7
    # HTMLParser does not know SVG: the page's own title is one of these.
    assert outline.tags["title"] == drawings + 1
    assert outline.tags["desc"] == drawings
    ids = [value for _, name, value in outline.values if name == "id"]
    assert len(ids) == len(set(ids))
    for value in outline.value("svg", "aria-labelledby"):
        assert set(value.split()) <= set(ids)
    for tag, closing in outline.tags.items():
        if not tag.startswith("/") and tag not in {"meta", "img"}:
            assert outline.tags["/" + tag] == closing, tag


def test_matches_come_in_their_order_with_distance_and_size():
    made = report()
    outline = Outline(render_search(made))
    assert outline.text.index("a.png") < outline.text.index("b.png") < outline.text.index("c.png")
    for match in made.matches:
        assert f"{words.format_distance(match.distance)} grey levels" in outline.text
    assert "80 × 60 pixels" in outline.text
    assert "1,000 images" in outline.text
    assert "12.3 ms" in outline.text
    assert "unreadable" not in outline.text
    assert "2 unreadable" in Outline(render_search(report(skipped=2))).text


def test_the_area_is_called_the_distance_only_where_it_is():
    assert render_search(report()).count(": the distance.") == 3
    of_order_two = render_search(report(options={"bins": 256, "range": (0, 256), "p": 2}))
    assert ": the distance." not in of_order_two
    assert "is the distance, the 1-D" not in of_order_two
    assert "W<sub>1</sub>" in of_order_two
    assert "W<sub>2</sub>" in of_order_two
    same = render_search(report(matches=[ReportMatch(image("copy.png"), 0.0)]))
    assert "The curves coincide" in same
    assert "0 grey levels" in Outline(same).text
    elsewhere = [ReportMatch(image("other.png", 140.0), 1.25)]  # not the area of these histograms
    assert ": the distance." not in render_search(report(matches=elsewhere))
    other = render_search(report(measure="chi2", options={}))
    assert ": the distance." not in other
    assert "chi2" in other


def test_no_matches_and_no_thumbnail():
    text = Outline(render_search(report(matches=[], searched=1))).text
    assert "No matches" in text
    assert "none of the 1 image searched" in text
    gone = ReportMatch(image("gone.png", thumbnail=b""), 0.0)
    outline = Outline(render_search(report(matches=[gone])))
    assert "could not be read again" in outline.text
    assert outline.tags["img"] == 1


@pytest.mark.parametrize(
    ("bins", "span"), [(1, (0, 256)), (10, (0, 255)), (17, (-1.5, 2.25)), (65536, (0, 65536))]
)
def test_any_bins_and_range(bins, span):
    query, match = image(bins=bins), image("m.png", 160.0, bins=bins)
    distance = w1(query, match, span[1] - span[0])
    options = {"bins": bins, "range": span, "p": 1}
    matches = [ReportMatch(match, distance)]
    text = render_search(report(query=query, matches=matches, options=options))
    assert ": the distance." in text or "The curves coincide" in text
    assert len(text) < 100_000


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"options": {"bins": 256, "range": (5, 5)}}, "range"),
        ({"options": {"bins": 256, "range": "ab"}}, "range"),
        ({"options": {"bins": 64}}, "64"),
        ({"options": {"p": 0}}, "p must be"),
        ({"matches": [ReportMatch(image("odd.png"), float("nan"))]}, "odd.png"),
        ({"matches": [ReportMatch(image("odd.png", bins=8), 1.0)]}, "odd.png"),
        ({"matches": [ReportMatch(image("odd.png", thumbnail=b"<svg>"), 1.0)]}, "odd.png"),
        ({"query": ReportImage("odd.png", 1, 1, b"", np.zeros(256)), "matches": []}, "odd.png"),
        ({"query": ReportImage("odd.png", 1, 1, b"", np.array([2, -1])), "matches": []}, "odd.png"),
    ],
)
def test_what_cannot_be_drawn_is_named(change, word):
    options = change.get("options", {})
    with pytest.raises(InvalidInputError, match=word):
        render_search(report(**({"options": options} | change)))


def test_a_page_of_twenty_detailed_matches_stays_below_a_megabyte():
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    thumbnail = make_thumbnail(Image.fromarray(coarse).resize((1280, 960)))
    counts = rng.integers(1, 5000, (21, 256))
    shown = [ReportImage(f"{i}.jpg", 1280, 960, thumbnail, counts[i]) for i in range(21)]
    made = report(
        query=shown[20],
        matches=[ReportMatch(shown[i], w1(shown[20], shown[i])) for i in range(20)],
    )
    assert len(render_search(made).encode()) < 1_000_000


# ------------------------------------------------------------------ numbers and drawings


@pytest.mark.parametrize(
    ("distance", "shown"),
    [
        (0, "0"), (0.0, "0"), (1e-9, "1.00 × 10⁻⁹"), (0.000999, "9.99 × 10⁻⁴"), (0.001, "0.00100"),
        (0.5, "0.500"), (3.4159, "3.42"), (1, "1.00"), (42.125, "42.12"), (255.04, "255.0"),
        (65535, "65535.0"), (3e8, "3.00 × 10⁸"), (np.float64(2.5), "2.50"),
    ],
)  # fmt: skip
def test_distances_in_words(distance, shown):
    assert words.format_distance(distance) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0 µs"), (12.3e-6, "12.3 µs"), (0.0123, "12.3 ms"), (1.5, "1.5 s"), (754, "12 min 34 s")],
)
def test_durations_in_words(seconds, shown):
    assert words.format_duration(seconds) == shown


def test_settings_in_words():
    options = {"a": None, "b": 0.0, "c": True, "d": False, "range": [0, 256.0], "e": "x\n", "f": 7}
    assert words.settings_in_words(options) == "b 0, c yes, d no, range 0 256, e x\\n, f 7"
    assert words.settings_in_words({"a": None}) == ""


def polygon(path: str) -> list[tuple[int, int]]:
    """Corners of a path of relative steps."""
    assert path.startswith("M0 0")
    corners = [(0, 0)]
    for axis, step in re.findall(r"([hv])(-?\d+)", path):
        x, y = corners[-1]
        corners.append((x + int(step), y) if axis == "h" else (x, y + int(step)))
    return corners


@pytest.mark.parametrize("bins", [2, 10, 256])
def test_the_shaded_area_is_the_distance(bins):
    query, match = image(bins=bins), image(centre=150.0, bins=bins)  # curves that do not cross
    axis = figures.GreyAxis(bins, 0.0, 256.0)
    shares = [i.counts / i.counts.sum() for i in (query, match)]
    svg = figures.cdf_figure("c", axis, *shares, "some")
    (path,) = re.findall(r'class="between" d="([^"]+)"', svg)
    corners = polygon(path)
    assert corners[-1][0] == 0  # back at the left edge; z closes the rest
    doubled = sum(
        ax * by - bx * ay
        for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True)
    )
    drawn = abs(doubled) / 2 / figures.LEVELS * axis.bin_width
    assert drawn == pytest.approx(w1(query, match), abs=0.3)
    assert figures.area_between(*shares, axis) == pytest.approx(w1(query, match), rel=1e-12)


def test_bars_keep_their_shares_and_a_giant_is_cut_and_labelled():
    counts = np.zeros(256)
    counts[40:200] = 1
    axis = figures.GreyAxis(256, 0.0, 256.0)
    level = figures.histogram_figure("h", axis, counts / counts.sum())
    (path,) = re.findall(r'class="q" d="([^"]+)V0z"', level)
    assert polygon(path) == [(0, 0), (40, 0), (40, -500), (200, -500), (200, 0), (256, 0)]
    assert "cut" not in level
    counts[255] = 160
    giant = figures.histogram_figure("h", axis, counts / counts.sum())
    assert "↑ 50 %" in giant
    assert 'class="cut end"' in giant


def test_ticks_are_round_and_inside():
    assert [t for _, t in figures.GreyAxis(256, 0, 256).ticks()] == ["0", "64", "128", "192", "255"]
    for low, high in ((0, 1), (-1.5, 2.25), (0, 65536), (100, 107), (0, 1e-5)):
        ticks = figures.GreyAxis(20, low, high).ticks()
        assert 3 <= len(ticks) <= 6
        assert all(-1e-6 <= at <= 20 + 1e-6 for at, _ in ticks)


# ------------------------------------------------------------------ thumbnails


def test_a_thumbnail_has_no_metadata_and_fits():
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    original = Image.fromarray(noise)
    exif = Image.Exif()
    exif[0x010E] = "SECRET description"
    exif[0x0112] = 6  # turned by 90 degrees
    buffer = io.BytesIO()
    original.save(buffer, "JPEG", exif=exif, comment=b"SECRET comment", icc_profile=b"SECRET" * 20)
    with Image.open(buffer) as opened:
        thumbnail = make_thumbnail(opened, 200)
        assert opened.size == (640, 480)
    assert b"SECRET" not in thumbnail
    assert b"Exif" not in thumbnail
    with Image.open(io.BytesIO(thumbnail)) as small:
        assert small.format == "JPEG"
        assert small.size == (150, 200)


def test_png_text_does_not_reach_a_thumbnail():
    buffer, text = io.BytesIO(), PngImagePlugin.PngInfo()
    text.add_text("comment", "SECRET")
    Image.new("P", (9, 7)).save(buffer, "PNG", pnginfo=text)
    with Image.open(buffer) as opened:
        assert b"SECRET" not in make_thumbnail(opened)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I", "F"])
def test_every_mode_has_a_thumbnail(mode):
    with Image.open(io.BytesIO(make_thumbnail(Image.new(mode, (3, 500), 0)))) as small:
        assert small.size == (2, 320)
    with Image.open(io.BytesIO(make_thumbnail(Image.new(mode, (1, 1), 0)))) as small:
        assert small.size == (1, 1)


def test_transparency_becomes_white_and_deep_images_are_scaled():
    clear = make_thumbnail(Image.new("RGBA", (8, 8), (0, 0, 0, 0)))
    assert Image.open(io.BytesIO(clear)).getpixel((4, 4)) == (255, 255, 255)
    deep = make_thumbnail(Image.fromarray(np.full((8, 8), 32768, dtype=np.uint16)))
    assert abs(Image.open(io.BytesIO(deep)).getpixel((4, 4))[0] - 128) <= 1
    with pytest.raises(InvalidInputError, match="0"):
        make_thumbnail(Image.new("L", (8, 8)), 0)


# ------------------------------------------------------------------ the file


def left_behind(folder) -> list[str]:
    return [name for name in os.listdir(folder) if name.startswith(".imgsim")]


@pytest.mark.parametrize("name", [b"r.html", b"bad-\xff\xfe.html", b"-rf\n.html", b"x" * 255])
def test_a_report_is_written_whatever_its_name(tmp_path, name):
    path = os.path.join(os.fsencode(tmp_path), name)
    write_text_atomically(path, "page \u20ac \udcff")
    with open(path, "rb") as file:
        assert file.read() == "page \u20ac \\udcff".encode()
    assert left_behind(tmp_path) == []
    write_text_atomically(os.fsdecode(path), "second", force=True)
    with open(path, "rb") as file:
        assert file.read() == b"second"


def test_an_existing_file_is_kept_unless_forced(tmp_path):
    path = tmp_path / "r.html"
    path.write_text("old")
    os.chmod(path, 0o600)
    with pytest.raises(ReportExistsError, match=r"r\.html exists") as caught:
        write_text_atomically(path, "new")
    assert isinstance(caught.value, (FileExistsError, ImgsimError))
    assert caught.value.errno == errno.EEXIST
    assert path.read_text() == "old"
    write_text_atomically(path, "new", force=True)
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_appears_meanwhile_is_kept(tmp_path, monkeypatch):
    path = tmp_path / "r.html"
    path.write_text("theirs")
    monkeypatch.setattr(files, "_mode_of_existing", lambda target, force: None)
    with pytest.raises(ReportExistsError):
        write_text_atomically(path, "ours")
    assert path.read_text() == "theirs"
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, error, call):
    path = tmp_path / "r.html"
    path.write_text("old")

    def fail(*arguments):
        raise error

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(type(error)) as caught:
        write_text_atomically(path, "new", force=True)
    if isinstance(error, OSError):
        assert caught.value.filename == str(path)
        assert caught.value.errno == errno.ENOSPC
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["r.html"]


def test_a_disk_that_fills_up_leaves_the_old_file_and_nothing_else(tmp_path):
    resource = pytest.importorskip("resource")
    path = tmp_path / "r.html"
    path.write_text("old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))  # Python ignores SIGXFSZ
    try:
        with pytest.raises(OSError, match=r"r\.html") as caught:
            write_text_atomically(path, "new" * 100_000, force=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.errno == errno.EFBIG
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["r.html"]


def test_a_file_system_without_links_is_good_enough(tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", fail)
    write_text_atomically(tmp_path / "r.html", "text")
    assert os.listdir(tmp_path) == ["r.html"]


def test_devices_and_folders_are_never_replaced(tmp_path):
    for path in (tmp_path, "/dev/null"):
        with pytest.raises(InvalidInputError, match="regular"):
            write_text_atomically(path, "text", force=True)
    with pytest.raises(FileNotFoundError, match="absent"):
        write_text_atomically(tmp_path / "absent" / "r.html", "text")


# ------------------------------------------------------------------ what a browser makes of it


def colour(style: str, name: str) -> tuple[int, int, int]:
    """First definition of a custom property: the light scheme's."""
    digits = re.search(rf"--{name}: #([0-9a-f]+)", style)[1]
    return tuple(bytes.fromhex(digits if len(digits) == 6 else "".join(d * 2 for d in digits)))


def share_of(pixels: np.ndarray, rgb: tuple[int, int, int]) -> float:
    return float((pixels == rgb).all(axis=2).mean())


def test_the_drawings_are_seen(screenshot):
    text = render_search(report())
    style = Outline(text).style
    legend = 36 * 36 / (1280 * 1600)  # the swatch of the shaded area
    pixels = screenshot(text, 1280, 1600)
    assert pixels.shape == (1600, 1280, 3)
    assert 0.2 < share_of(pixels, colour(style, "paper")) < 0.8
    assert share_of(pixels, colour(style, "card")) > 0.1
    # Query bars in the header and thrice in the cards; match bars and areas in the cards only.
    assert 0.003 < share_of(pixels, colour(style, "query")) < 0.1
    assert 0.003 < share_of(pixels, colour(style, "match")) < 0.1
    assert legend + 0.002 < share_of(pixels, colour(style, "between")) < 0.1
    dark = screenshot(text, 1280, 1600, dark=True)
    assert dark.mean() < 90 < pixels.mean()


def test_nothing_sticks_out_on_a_phone(screenshot):
    long = "a_very_long_name_without_any_place_to_break_" * 6 + ".jpeg"
    text = render_search(report([long, "b" * 200, "/".join("folder" * 9)], query=long, source=long))
    pixels = screenshot(text, 400, 6000)
    assert pixels.shape[1] == 400
    paper = np.array(colour(Outline(text).style, "paper"))
    # Whatever is too wide paints into the margins, which are 16 pixels wide.
    assert (pixels[:, :15] == paper).all()
    assert (pixels[:, -15:] == paper).all()
    assert not (pixels[:, 15:-15] == paper).all()
