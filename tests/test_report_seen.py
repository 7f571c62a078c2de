"""What a measure of colours saw, on the page of a search: small, true, for the first matches."""

from __future__ import annotations

import html
import os
import re

import numpy as np
import pytest
from PIL import Image

from imgsim_fast.index import Index, Matches
from imgsim_fast.index import rerank as reranking
from imgsim_fast.measures import compare_all, get_measure
from imgsim_fast.measures.emd import ColorEMD
from imgsim_fast.report import comparison_page, search_page
from imgsim_fast.report import page as pages
from imgsim_fast.report.seen import seen_small, small_caption, small_figure
from tests.measure_tools import Corner
from tests.test_report import HOSTILE, Outline, colour
from tests.test_report_search import index_of
from tests.test_report_search import words as raw_words

BANDS = "The bands show how the query's colours, on the left, become those of the match"
BARS = "Each bar is a bin of colours"


def words(text):
    return html.unescape(raw_words(text))


def photo(seed, size=(48, 36)):
    """Patches of few colours, so that palettes differ, with noise."""
    random = np.random.default_rng(seed)
    patches = random.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    pixels = np.asarray(Image.fromarray(patches).resize(size, Image.Resampling.BILINEAR))
    return Image.fromarray(pixels ^ random.integers(0, 4, pixels.shape, dtype=np.uint8))


@pytest.fixture
def folder(tmp_path):
    top = tmp_path / "photos"
    top.mkdir()
    for number in range(15):
        photo(number).save(top / f"{number}.png")
    return top


def page_of(index, folder, k=5, matches=None, **options):
    query = str(folder / "0.png")
    if matches is None:
        matches = index.search(query, k, **options)
    options.pop("candidates", None)
    text = search_page(index, query, matches, source=".", seconds=0, **options)
    return matches, text, text.split("<article")[1:]


def colours_of(card):
    """Colours and heights of the swatches of a card, left and right."""
    pattern = r'<rect x="(0|314)" y="[\d.]+" width="26" height="([\d.]+)" fill="#(\w{6})"'
    found = re.findall(pattern, card)
    return [[(colour, float(h)) for x, h, colour in found if x == side] for side in ("0", "314")]


# ---- what is drawn -----------------------------------------------------------------------------


def test_each_match_shows_the_colours_stored_and_the_plan_between_them(tmp_path, folder):
    kind = get_measure("emd")
    with index_of(tmp_path, folder, kind) as index:
        matches, text, cards = page_of(index, folder)
        query = index.describe(str(folder / "0.png"))
        stored = [image.descriptor for image in index.images(matches.ids)]
    assert words(text).count(BANDS) == 1
    assert "Drawn for" not in words(text)
    for card, row in zip(cards, stored, strict=True):
        assert card.count('class="figure flow"') == 1
        assert "The query's colours left, the match's right." in words(card)
        for side, descriptor in zip(colours_of(card), (query, row), strict=True):
            colors, shares = kind.palette_of(descriptor)
            expected = {bytes(c).hex(): share for c, share in zip(colors, shares, strict=True)}
            total = sum(height for _, height in side)
            assert len(side) == len(expected) == 16
            for name, height in side:
                assert height / total == pytest.approx(expected[name], abs=2e-3)
        assert card.count("<linearGradient") == len(kind.flow(query, row)[0])


@pytest.mark.parametrize("measure", ["emd", "intersection"])
def test_files_are_not_needed_and_only_the_query_is_described(
    tmp_path, folder, measure, monkeypatch
):
    kind = get_measure(measure)
    describe, described = type(kind).describe, []

    def counted(self, image):
        described.append(image)
        return describe(self, image)

    with index_of(tmp_path, folder, kind) as index:
        matches, text, _ = page_of(index, folder)
        for path in matches.paths[1:]:
            os.remove(path)
        monkeypatch.setattr(type(kind), "describe", counted)
        _, again, _ = page_of(index, folder, matches=matches)
    assert len(described) == 1
    drawn = [re.findall(r'(?s)<svg class="figure.*?</svg>', page) for page in (text, again)]
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) == 5


def test_only_the_first_twelve_are_drawn_and_the_page_says_so(tmp_path, folder):
    with index_of(tmp_path, folder, get_measure("emd")) as index:
        _, text, cards = page_of(index, folder, 15)
        assert ['class="figure flow"' in card for card in cards] == [True] * 12 + [False] * 3
        assert "Drawn for the first 12 of the 15 matches." in words(text)
        assert "Drawn for" not in page_of(index, folder, 12)[1]


@pytest.mark.parametrize(
    ("options", "total"),
    [
        ({}, "512"),
        ({"bins": 2, "space": "hsv"}, "8"),
        ({"space": "grey"}, "256"),
        ({"bins": 256}, "16,777,216"),
    ],
)
def test_histograms_show_their_fullest_bins(tmp_path, folder, options, total):
    kind = get_measure("chi2-alt", **options)
    with index_of(tmp_path, folder, kind) as index:
        matches, text, cards = page_of(index, folder)
        query = index.describe(str(folder / "0.png"))
        stored = [image.descriptor for image in index.images(matches.ids)]
    assert words(text).count(BARS) == 1
    for card, row in zip(cards, stored, strict=True):
        colors, ups, downs, _ = kind.fullest_bins(query, row, 32)
        shown = f"the {len(colors)} fullest of {total} bins"
        if str(len(colors)) == total:
            shown = f"all {total} bins"
        assert f"<figcaption>Pixels per bin, {shown}: query up, match down.</figcaption>" in card
        bars = re.findall(r'height="([\d.]+)" fill="#(\w{6})"', card)
        longest = max(ups.max(), downs.max())
        expected = [
            (44 * share / longest, bytes(color).hex())
            for color, both in zip(colors, zip(ups, downs, strict=True), strict=True)
            for share in both
            if share
        ]
        assert [name for _, name in bars] == [name for _, name in expected]
        np.testing.assert_allclose(
            [float(height) for height, _ in bars], [height for height, _ in expected], atol=0.006
        )


def test_images_with_every_pixel_ignored_have_no_bars(tmp_path, folder):
    for path in folder.iterdir():
        Image.new("RGB", (8, 8), "white").save(path)
    with index_of(tmp_path, folder, get_measure("correlation", ignore="white")) as index:
        matches, _, cards = page_of(index, folder, 3)
    for card in cards:
        assert 'class="figure bins"' in card
        assert "<rect x=" not in card
    kinds = [get_measure("kl", ignore="white", space=space) for space in ("rgb", "hsv", "grey")]
    pair = matches.paths[:2]
    compared = comparison_page(*pair, compare_all(*pair, kinds))
    assert compared.count('class="figure bins"') == 3


def test_equal_images_have_level_bands(tmp_path, folder):
    with index_of(tmp_path, folder, get_measure("emd")) as index:
        matches, _, cards = page_of(index, folder, 1)
    assert matches.distances[0] == 0
    bands = re.findall(r'd="M26 ([\d.]+)C122 [\d.]+ 218 [\d.]+ 314 ([\d.]+)v', cards[0])
    assert len(bands) == 16
    assert all(leaves == arrives for leaves, arrives in bands)


def test_of_many_colours_the_weightiest_are_drawn():
    kind = get_measure("emd", descriptor="histogram", bins=16)
    rows = [kind.describe(photo(seed, (200, 150))) for seed in (1, 2)]
    seen = seen_small(kind, *rows)
    sources, _, amounts = kind.flow(*rows)
    assert seen.bands == len(sources) > 500
    assert [len(colors) for colors, _ in (seen.first, seen.second)] == [22, 22]
    assert 0 < len(seen.amounts) <= 39
    assert 0.05 < seen.amounts.sum() < 1
    assert seen.amounts.max() == pytest.approx(amounts.max())
    for row, (colors, shares) in zip(rows, (seen.first, seen.second), strict=True):
        every = kind.palette_of(row)[1]
        np.testing.assert_array_equal(np.sort(shares), np.sort(every)[-22:])
        light = colors @ [299, 587, 114]
        assert (np.diff(light) <= 1500).all()  # from light to dark, to a rounded grey level
    # No band carries more than its colours have.
    assert (np.bincount(seen.sources, seen.amounts, 22) <= seen.first[1] + 1e-12).all()
    assert (np.bincount(seen.targets, seen.amounts, 22) <= seen.second[1] + 1e-12).all()
    figure = small_figure("x", seen)
    assert len(figure) < 12_500
    assert f"some of {seen.bands:,} bands, and carry" in figure
    assert f"{len(seen.amounts)} of {seen.bands:,} bands" in small_caption(seen)


def test_twelve_drawings_are_less_than_150_kb(tmp_path, folder):
    sizes = [("emd", {"colors": 20}), ("emd", {"colors": 32}), ("emd", {}), ("intersection", {})]
    for number, (name, options) in enumerate(sizes):
        path = tmp_path / str(number)
        with Index.create(path, name, **options) as index:
            index.add(folder)
            _, text, cards = page_of(index, folder, 12)
        assert sum(card.count('<svg class="figure') for card in cards) == 12
        assert sum(map(len, re.findall(r"(?s)<figure>.*?</figure>", text))) < 150_000


def test_places_are_said_not_to_be_drawn(tmp_path, folder):
    with index_of(tmp_path, folder, get_measure("emd", position=30)) as index:
        assert "places count as well and are not drawn." in words(page_of(index, folder)[1])


# ---- re-ranked ---------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["wasserstein", "corner"])
def test_a_search_ranked_again_by_colours_draws_these(tmp_path, folder, first):
    kind = get_measure("emd")
    chosen_by = Corner() if first == "corner" else get_measure(first)
    with index_of(tmp_path, folder, chosen_by) as index:
        _, text, cards = page_of(index, folder, 14, rerank=kind, candidates=15)
    assert ['class="figure flow"' in card for card in cards] == [True] * 12 + [False] * 2
    assert words(text).count(BANDS) == 1
    assert "chose the candidates" not in words(text)
    curves = first == "wasserstein"
    assert all(('class="figure cdf"' in card) == curves for card in cards)
    # The same drawings as from an index that has the rows.
    with index_of(tmp_path, folder, kind) as index:
        assert [colours_of(card) for card in page_of(index, folder, 14)[2]] == [
            colours_of(card) for card in cards
        ]


def test_descriptors_that_are_not_kept_are_not_drawn(tmp_path, folder, monkeypatch):
    kind = get_measure("emd")
    with index_of(tmp_path, folder, Corner()) as index:
        matches = index.search(str(folder / "0.png"), 14, rerank=kind)
        plain = Matches(*matches)
        _, text, _ = page_of(index, folder, matches=plain, rerank=kind)
        assert "What “emd” saw is not drawn: the search has not kept its descriptors." in words(
            text
        )
        assert "<figure" not in text
        some = [None, *matches.descriptors[1:]]
        _, text, cards = page_of(
            index, folder, matches=Matches(*matches, descriptors=some), rerank=kind
        )
        assert ["<figure" in card for card in cards] == [False] + [True] * 11 + [False] * 2
        assert "Drawn for 11 of the first 12 matches: the search has not kept the" in words(text)


def test_what_the_index_saw_does_not_pass_for_what_ranked_again(tmp_path, folder):
    with index_of(tmp_path, folder, get_measure("intersection")) as index:
        _, text, cards = page_of(index, folder, rerank=get_measure("ssim"))
    assert all('class="figure bins"' in card for card in cards)
    assert "That is what “intersection” saw, which chose the candidates." in words(text)


@pytest.mark.parametrize("kind", [get_measure("emd"), get_measure("intersection")], ids=str)
@pytest.mark.parametrize("batch", [1, 2, 7, 64])
def test_rows_of_the_best_are_kept_in_their_order(tmp_path, folder, kind, batch, monkeypatch):
    monkeypatch.setattr(reranking, "_MOST_ROWS", batch)
    monkeypatch.setattr(reranking, "_MOST_SHOWN", 4)
    for number in (11, 12, 13):  # ties
        photo(3).save(folder / f"{number}.png")
    with index_of(tmp_path, folder, Corner()) as index:
        query = str(folder / "0.png")
        assert index.search(query, 9).descriptors == []
        for k, kept in ((1, 1), (3, 3), (9, 4)):
            matches = index.search(query, k, rerank=kind)
            assert len(matches.descriptors) == kept
            for path, row in zip(matches.paths, matches.descriptors, strict=False):
                np.testing.assert_array_equal(row, kind.describe(Image.open(path)))
        assert len(matches.first(2).descriptors) == 2
        monkeypatch.setattr(reranking, "_MOST_SHOWN_BYTES", 8)
        assert index.search(query, 9, rerank=kind).descriptors == [None] * 4


# ---- safe, and to be read by anybody -----------------------------------------------------------


class Hostile(ColorEMD):
    """Colours moved by a measure whose every word is markup."""

    name = "</p><script>alert(1)</script>\x1b[31m"

    @property
    def options(self):
        return {**super().options, "</dd><b>": "<i>\u202e"}


def test_the_words_of_a_measure_stay_words(tmp_path, folder):
    with index_of(tmp_path, folder, Corner()) as index:
        matches = index.search(str(folder / "0.png"), 3, rerank=Hostile())
        for given in (matches, Matches(*matches)):
            hostile, plain = (
                Outline(page_of(index, folder, matches=given, rerank=kind)[1])
                for kind in (Hostile(), get_measure("emd"))
            )
            assert hostile.tags == plain.tags
            assert hostile.attributes == plain.attributes
            assert not re.search("[\x1b\u202e]", "".join(hostile.texts))


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_a_name_cannot_change_the_structure_of_the_page(name):
    kind = get_measure("emd", colors=3)
    seen = seen_small(kind, kind.describe(photo(1)), kind.describe(photo(2)))

    def page(called):
        image = pages.ReportImage(called, 8, 6, b"")
        match = pages.ReportMatch(image, 1.5, seen)
        drawn = pages.Drawn(called if isinstance(called, str) else repr(called), {})
        report = pages.SearchReport(
            image, [match] * 2, "emd", {}, 9, 0.1, called or "?", drawn=drawn,
            rerank=pages.Reranked("x", {}, "", False, 5),
        )  # fmt: skip
        return Outline(pages.render_search(report))

    harmless, outline = page("a/b.png"), page(name)
    assert outline.tags == harmless.tags
    assert outline.attributes == harmless.attributes
    assert outline.tags["linearGradient".lower()] == 2 * seen.bands


@pytest.mark.parametrize("measure", ["emd", "intersection"])
def test_the_drawings_are_accessible(tmp_path, folder, measure):
    with index_of(tmp_path, folder, get_measure(measure)) as index:
        outline = Outline(page_of(index, folder)[1])
    assert outline.value("svg", "role") == ["img"] * 5
    assert outline.tags["title"] == 6
    assert outline.tags["desc"] == 5
    ids = [value for _, name, value in outline.values if name == "id"]
    assert len(ids) == len(set(ids))
    for value in outline.value("svg", "aria-labelledby"):
        assert set(value.split()) <= set(ids)
    for _, name, value in outline.values:
        if name == "fill" and value.startswith("url"):
            assert value[5:-1] in ids
    title = {
        "emd": "How the colours of the query become those of the match",
        "intersection": "The fullest colour bins of the query and the match",
    }
    assert outline.text.count(title[measure]) == 5
    assert not {"script", "style-src", "a"} & set(outline.tags)


def test_a_measure_that_is_not_of_colours_draws_nothing(tmp_path, folder):
    for kind in (Corner(), get_measure("ssim")):
        with index_of(tmp_path, folder, kind) as index:
            _, text, _ = page_of(index, folder)
        assert "<figure" not in text
        assert "drawn" not in words(text).lower()


@pytest.mark.parametrize("dark", [False, True])
def test_the_colours_are_seen_and_nothing_sticks_out_on_a_phone(tmp_path, folder, screenshot, dark):
    Image.new("RGB", (60, 20), (250, 20, 230)).save(folder / "0.png")
    with index_of(tmp_path, folder, get_measure("emd")) as index:
        text = page_of(index, folder, 1)[1]
    paper = np.array(colour(Outline(text).style.split("dark) {")[dark], "paper"))
    for width in (420, 1200):
        pixels = screenshot(text, width, 1800, dark=dark)
        assert (pixels[:, :15] == paper).all()
        assert (pixels[:, -15:] == paper).all()
        # Two swatches, 26 of 340 wide, of just this colour; the images are saved as JPEG.
        swatches = (pixels == (250, 20, 230)).all(axis=2)
        assert swatches.sum() > 2 * 20 * 70
