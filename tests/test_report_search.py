"""The page of a search in an index: one card per match, whatever has become of the files."""

from __future__ import annotations

import base64
import io
import os
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from imgsim_fast.index import Index
from imgsim_fast.report import display_name, search_page
from imgsim_fast.report.words import format_distance

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
