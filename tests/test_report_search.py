"""The page of a search in an index: one card per match, whatever has become of the files."""

from __future__ import annotations

import base64
import io
import os
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from imgsim_fast.index import Index
from imgsim_fast.measures import get_measure
from imgsim_fast.report import display_name, search_page
from imgsim_fast.report.words import format_distance
from tests.measure_tools import Alike, Corner, Levels
from tests.test_report import Outline, colour

GONE = "The image could not be read again"


class Page(HTMLParser):
    """Cards of a page: their texts and thumbnails; and all tags."""

    def __init__(self, text):
        super().__init__()
        self.cards, self.query, self.tags = [], None, []
        self._card = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append(tag)
        if tag == "article":
            self._card = {"text": "", "images": []}
            self.cards.append(self._card)
        elif tag == "section" and attributes.get("class") == "query":
            self._card = self.query = {"text": "", "images": []}
        elif tag == "img" and self._card is not None:
            kind, _, data = attributes["src"].partition(",")
            assert kind == "data:image/jpeg;base64"
            self._card["images"].append(Image.open(io.BytesIO(base64.b64decode(data))))

    def handle_endtag(self, tag):
        if tag in ("dt", "dd") and self._card is not None:
            self._card["text"] += " "
        if tag in ("article", "section"):
            self._card = None

    def handle_data(self, data):
        if self._card is not None:
            self._card["text"] += data


def picture(seed, low=0, height=30, width=40):
    values = np.random.default_rng(seed).integers(low, low + 60, (height, width), dtype=np.uint8)
    return Image.fromarray(values)


@pytest.fixture
def folder(tmp_path):
    top = tmp_path / "photos"
    top.mkdir()
    for number in range(5):
        picture(number, 40 * number).save(top / f"image{number}.png")
    return top


@pytest.fixture
def index(tmp_path, folder):
    with Index.create(tmp_path / "index") as index:
        index.add(folder)
        yield index


def page_of(index, query, k=10, **options):
    matches = index.search(query, k)
    text = search_page(index, query, matches, source=index.path, seconds=0.0123, **options)
    return matches, text, Page(text)


def test_one_card_per_match_with_name_rank_and_distance(index, folder):
    matches, text, page = page_of(index, str(folder / "image1.png"), 4, skipped=7)
    assert len(page.cards) == len(matches.paths) == 4
    assert matches.distances[0] == 0
    for rank, (card, distance, path) in enumerate(
        zip(page.cards, matches.distances, matches.paths, strict=True), 1
    ):
        assert os.path.basename(path) in card["text"]
        assert f"Rank {rank}" in " ".join(card["text"].split())
        assert f"{format_distance(distance)} grey levels" in card["text"]
        assert "40 × 30 pixels" in card["text"]
        assert [image.size for image in card["images"]] == [(40, 30)]
    assert "image1.png" in page.query["text"]
    facts = " ".join(page.query["text"].split())
    for fact in ("Searched 5 images", "Time 12.3 ms", "Skipped 7 unreadable", str(index.path)):
        assert fact in facts
    assert "script" not in page.tags
    assert text.count("<article") == 4


def test_no_matches(index, folder):
    matches = index.range_search(np.zeros((2, 2), np.uint8), 0)
    query = str(folder / "image1.png")
    page = Page(search_page(index, query, matches, source=index.path, seconds=0))
    assert page.cards == []
    assert page.query["images"]


def test_a_match_whose_file_has_vanished_or_broken_keeps_its_card(index, folder):
    (folder / "image2.png").unlink()
    (folder / "image3.png").write_bytes(b"broken")
    matches, text, page = page_of(index, str(folder / "image1.png"))
    assert len(page.cards) == 5
    for card, path in zip(page.cards, matches.paths, strict=True):
        gone = os.path.basename(path) in ("image2.png", "image3.png")
        assert (GONE in card["text"]) == gone
        assert len(card["images"]) == (not gone)
    assert text.count(GONE) == 2


def rotated(folder, name="turned.jpg"):
    """Stored 40 wide with the left half white, to be shown 30 wide with the upper half white."""
    image = Image.new("L", (40, 30), 0)
    image.paste(255, (0, 0, 20, 30))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    image.save(folder / name, exif=exif, quality=95)
    return str(folder / name)


def test_an_image_to_be_turned_is_shown_upright(index, folder):
    query = rotated(folder)
    index.refresh()
    matches, _, page = page_of(index, query, 1)
    assert matches.paths == [query]
    assert matches.distances[0] == 0
    (card,) = page.cards
    for shown in (card, page.query):
        (image,) = shown["images"]
        assert image.size == (30, 40)
        values = np.asarray(image.convert("L"))
        assert values[:15].mean() > 240
        assert values[-15:].mean() < 15


def test_query_and_match_of_the_same_file_have_the_same_size(index, folder):
    query = rotated(folder)
    index.refresh()
    _, _, page = page_of(index, query, 1)
    assert "30 × 40 pixels" in page.query["text"]
    assert "30 × 40 pixels" in page.cards[0]["text"]


def test_names_that_are_no_text_or_markup(index, folder):
    names = [b"bad\xff.png", b"<script>alert(1)<img src=x>.png", b"two\nlines\x1b[31m.png"]
    plain_tags = sorted(page_of(index, str(folder / "image1.png"), 3)[2].tags)
    paths = []
    for number, name in enumerate(names):
        paths.append(os.path.join(os.fsencode(folder), name))
        picture(number, 60 + number).save(os.fsdecode(paths[-1]), "PNG")
    index.refresh()
    matches, text, page = page_of(index, os.fsdecode(paths[0]), 3)
    assert sorted(matches.paths) == sorted(os.fsdecode(path) for path in paths)
    assert text.encode()  # no surrogate is left
    assert sorted(page.tags) == plain_tags
    for card, path in zip(page.cards, matches.paths, strict=True):
        assert os.path.basename(display_name(path)) in card["text"]
        assert card["images"]
    assert r"bad\xff.png" in page.query["text"]


def test_a_snapshot_taken_by_another_commit_meanwhile(index, folder):
    """Another process commits between the search and its page."""
    query = str(folder / "image1.png")
    matches = index.search(query, 3)
    picture(9, 90).save(folder / "new.png")
    with Index.open(index.path) as other:
        other.add(folder)
    page = Page(search_page(index, query, matches, source=index.path, seconds=0))
    assert len(page.cards) == 3


# ---- any measure -------------------------------------------------------------------------------


def index_of(tmp_path, folder, measure):
    index = Index.create(tmp_path / measure.name, measure)
    index.add(folder)
    return index


def bars(text):
    return [int(width) for width in re.findall(r'class="fill" width="(\d+)"', text)]


def words(text):
    return " ".join(re.sub("<[^>]*>", "", re.sub("(?s)<style>.*?</style>", "", text)).split())


def test_a_similarity_is_called_one_and_the_best_has_the_longest_bar(tmp_path, folder):
    with index_of(tmp_path, folder, Levels()) as index:
        matches, text, page = page_of(index, str(folder / "image1.png"))
        assert len(page.cards) == 5
        shared = matches.distances.tolist()
        assert shared[0] > shared[-1] >= 0
        for card, value in zip(page.cards, shared, strict=True):
            assert f"{format_distance(value)} similarity" in card["text"]
        assert bars(text) == [round(100 * value / shared[0]) for value in shared]
        assert "Images most similar by levels" in words(text)
        assert "The higher a similarity, the more alike" in words(text)
        assert "Matches, most similar first" in words(text)
        assert "Options least 1" in " ".join(page.query["text"].split())


def test_an_index_without_grey_histograms_has_no_curves(tmp_path, folder):
    for measure in (Levels(), Corner(), Alike()):
        with index_of(tmp_path, folder, measure) as index:
            _, text, page = page_of(index, str(folder / "image1.png"))
            assert "figure" not in page.tags
            assert "grey level" not in words(text)
            assert "undefined" not in text.lower()
            assert all(card["images"] for card in page.cards)


def test_a_distance_has_its_unit_and_the_farthest_the_longest_bar(tmp_path, folder):
    with index_of(tmp_path, folder, Corner()) as index:
        matches, text, page = page_of(index, str(folder / "image1.png"))
        distances = matches.distances.tolist()
        for card, value in zip(page.cards, distances, strict=True):
            assert f"{format_distance(value)} levels of the corner" in card["text"]
        assert bars(text) == [round(100 * value / distances[-1]) for value in distances]
        assert "The lower a distance, the more alike" in words(text)
        assert "compares it with the greatest on this page" in words(text)


def test_similarities_of_zero_and_less_have_no_bar(tmp_path, folder):
    with index_of(tmp_path, folder, Alike()) as index:
        matches, text, _ = page_of(index, str(folder / "image1.png"))
        assert matches.distances[0] == 1
        assert matches.distances[-1] < 0
        assert bars(text)[0] == 100
        assert bars(text)[-1] == 0


@pytest.mark.parametrize(
    ("name", "scale"),
    [
        ("intersection", "has its full length at 1, the best there is."),
        ("correlation", "has its full length at 1, the best there is; 0 and less have none."),
        ("bhattacharyya", "compares it with the greatest on this page."),
    ],
)
def test_a_bar_of_a_similarity_is_its_part_of_the_best_there_is(tmp_path, folder, name, scale):
    """Also where nothing is alike: what is found first is not good for that."""
    query = str(tmp_path / "odd.png")
    picture(9, 190).save(query)
    with index_of(tmp_path, folder, get_measure(name)) as index:
        matches, text, page = page_of(index, query)
        values = matches.distances.tolist()
        assert f"The bar below each {'distance' if 'greatest' in scale else 'similarity'} " in text
        assert scale in words(text)
        longest = values[-1] if name == "bhattacharyya" else 1
        assert bars(text) == [max(0, round(100 * value / longest)) for value in values]
        facts = " ".join(page.query["text"].split())
        assert f"Possible values {'-1' if name == 'correlation' else '0'} ... 1" in facts
        again = index.search(query, 3, rerank=get_measure("intersection"), candidates=4)
        reranked = search_page(
            index, query, again, source=index.path, seconds=0, rerank=get_measure("intersection")
        )
        assert bars(reranked) == [round(100 * value) for value in again.distances]


def test_the_page_says_what_a_measure_looks_at_and_its_options_in_words(tmp_path, folder):
    with index_of(tmp_path, folder, get_measure("emd", colors=4)) as index:
        _, text, page = page_of(index, str(folder / "image1.png"), 2)
        assert "2.3 is a just noticeable difference" in words(text)
        facts = " ".join(page.query["text"].split())
        assert "Possible values 0 or more" in facts
        assert "colors 4, descriptor palette, position 0" in facts
        assert "null" not in facts


# ---- re-ranked ---------------------------------------------------------------------------------


def test_a_reranked_page_states_both_measures(index, folder):
    query = str(folder / "image1.png")
    (folder / "image3.png").unlink()
    matches = index.search(query, 3, rerank=Levels(), candidates=4)
    assert len(matches.skipped) == 1
    text = search_page(
        index, query, matches, source=index.path, seconds=0, rerank=Levels(), candidates=4
    )
    page = Page(text)
    assert "Images most similar by levels" in words(text)
    assert "“wasserstein” of the index chose 4 candidates; the measure “levels” ranked them" in (
        words(text)
    )
    facts = " ".join(page.query["text"].split())
    assert "Measure levels" in facts
    assert "Candidates 4 by wasserstein (bins 256, p 1, range 0 256)" in facts
    assert "Left out 1 not readable any more" in facts
    for card, value in zip(page.cards, matches.distances, strict=True):
        assert f"{format_distance(value)} similarity" in card["text"]
    # The drawings stay, and do not pass for the measure.
    assert page.tags.count("figure") == 7
    assert ": the distance." not in text
    assert "the measure “levels” may see more" in words(text)


def test_a_reranked_page_without_curves(tmp_path, folder):
    with index_of(tmp_path, folder, Corner()) as index:
        query = str(folder / "image1.png")
        matches = index.search(query, 1, rerank="wasserstein", candidates=1)
        kind = get_measure("wasserstein")
        text = search_page(index, query, matches, source=".", seconds=0, rerank=kind, candidates=1)
        assert "“corner” of the index chose 1 candidate; the measure “wasserstein” ranked it" in (
            words(text)
        )
        assert "grey levels" in Page(text).cards[0]["text"]
        assert "Candidates 1 by corner" in " ".join(Page(text).query["text"].split())


class Hostile(Levels):
    """A measure whose every word is markup."""

    name = "<script>alert(1)</script>"
    unit = '"><img src=x>\x1b[31m'

    @property
    def options(self):
        return {"</dd><b>": "<i>\u202e"}


def test_the_words_of_a_measure_stay_words(index, folder, tmp_path):
    query = str(folder / "image1.png")
    matches = index.search(query, 3, rerank=Hostile())
    reranked = search_page(
        index, query, matches, source=".", seconds=0, rerank=Hostile(), candidates=3
    )
    plain = search_page(index, query, matches, source=".", seconds=0, rerank=Levels())
    assert sorted(Page(reranked).tags) == sorted(Page(plain).tags)
    assert "\x1b" not in reranked
    assert "\u202e" not in reranked
    path = tmp_path / "other"
    with Index.create(path, Hostile()) as other:
        other.add(folder)
        text = page_of(other, query)[1]
        assert "<script" not in text
        assert "<img src=x" not in text


def test_a_page_without_curves_is_seen_and_nothing_sticks_out_on_a_phone(
    tmp_path, folder, screenshot
):
    with index_of(tmp_path, folder, Alike()) as index:
        text = page_of(index, str(folder / "image1.png"))[1]
    style = Outline(text).style
    paper, bar = (np.array(colour(style, name)) for name in ("paper", "distance"))
    for width in (400, 1280):
        pixels = screenshot(text, width, 2400)
        assert (pixels[:, :15] == paper).all()
        assert (pixels[:, -15:] == paper).all()
        assert (pixels == bar).all(axis=2).any(axis=0).sum() > 200  # the longest bar
