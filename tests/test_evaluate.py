"""Evaluation of an index against one value at a time and scores in fractions."""

from __future__ import annotations

import csv
import os
import time

import numpy as np
import pytest
from PIL import Image

import imgsim_fast as isf
from imgsim_fast.errors import ImgsimError, InvalidInputError, InvalidTypeError
from imgsim_fast.measures import describe, get_measure
from tests import reference_evaluation as slow
from tests.measure_tools import Alike, Corner, Levels

MEASURES = {
    "wasserstein": lambda: get_measure("wasserstein", bins=32),
    "levels": Levels,
    "corner": Corner,
    "alike": Alike,
}
AT = (1, 3, 10, 99)


def draw(top, seed, count, labels="abc"):
    """Folders of images, named after their label, whose brightness tells it more or less."""
    random = np.random.default_rng(seed)
    for number in range(count):
        label = labels[number % len(labels)]
        base = 40 * "abcd".index(label) + random.integers(0, 60)
        values = base + random.integers(0, 30, (6, 7))
        path = top / label / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values.astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def top(tmp_path_factory):
    top = tmp_path_factory.mktemp("evaluate")
    draw(top / "photos", 0, 36)
    draw(top / "asked", 1, 13, "abd")  # nothing in the index has the label d
    return top


@pytest.fixture(scope="module")
def indexes(top):
    made = {}
    for name, kind in MEASURES.items():
        made[name] = isf.Index.create(top / f"{name}.imgsim", kind())
        paths = sorted((top / "photos").glob("*/*.png"))
        made[name].add(paths[20:])
        made[name].add(paths[:20])
        made[name].remove([4, 30])
    yield made
    for index in made.values():
        index.close()


def alive(index):
    found = index.search(np.zeros((3, 3), np.uint8), 10**6)
    return index.images(sorted(found.ids.tolist()))


def folder_of(path):
    return os.path.basename(os.path.dirname(path))


def ranking_of(measure, query, images, second=None, candidates=None):
    """Positions, one value at a time; the first of them again by the second measure."""
    asked = describe(measure, query)
    values = [measure.compare(asked, describe(measure, image.path)) for image in images]
    order = slow.rank(values, measure.higher_is_better)
    order = [at for at in order if images[at].path != str(query)]
    if second is None:
        return order
    again = describe(second, query)
    first = sorted(order[:candidates])
    values = [second.compare(again, describe(second, images[at].path)) for at in first]
    first = [first[at] for at in slow.rank(values, second.higher_is_better)]
    return first + [at for at in order if at not in first]


def assert_scores(found, rankings, labels, query_labels, itself):
    precision, recall, accuracy, mean = slow.scores(rankings, labels, query_labels, AT, itself)
    for k in AT:
        assert found.precision[k] == pytest.approx(float(precision[k]), abs=1e-12)
        assert found.recall[k] == pytest.approx(float(recall[k]), abs=1e-12)
        assert found.scores.accuracy[k] == pytest.approx(float(accuracy[k]), abs=1e-12)
    assert found.mean_average_precision == pytest.approx(float(mean), abs=1e-12)


# ---- against one value at a time ---------------------------------------------------------------


@pytest.mark.parametrize("name", MEASURES)
def test_every_image_asks_for_the_others(indexes, name):
    index, images = indexes[name], alive(indexes[name])
    labels = [folder_of(image.path) for image in images]
    rankings = [ranking_of(MEASURES[name](), image.path, images) for image in images]
    for threads in (1, 3):
        found = isf.evaluate(index, "folder", k=AT, threads=threads)
        assert_scores(found, rankings, labels, labels, range(len(images)))
    assert (found.queries, found.images, found.skipped) == (34, 34, [])
    assert (found.measure, found.options) == (index.measure, index.options)
    assert found.search_seconds > 0
    assert found.describe_seconds == 0
    assert 0.4 < found.mean_average_precision < 1  # neither nothing nor everything is found


@pytest.mark.parametrize("name", MEASURES)
def test_other_files_ask(indexes, top, name):
    index, images = indexes[name], alive(indexes[name])
    labels = [folder_of(image.path) for image in images]
    asked = sorted(map(str, (top / "asked").glob("*/*.png")))
    rankings = [ranking_of(MEASURES[name](), path, images) for path in asked]
    own = [folder_of(path) for path in asked]
    for queries in (top / "asked", asked, [os.fsencode(path) for path in asked] * 2):
        found = isf.evaluate(index, "folder", queries=queries, k=AT, threads=2)
        assert_scores(found, rankings, labels, own, [-1] * len(asked))
    assert found.queries == 13
    assert found.scores.without_relevant == 4
    assert found.describe_seconds > 0


def test_a_file_that_the_index_holds_is_left_out_of_its_ranking(indexes):
    index, images = indexes["wasserstein"], alive(indexes["wasserstein"])
    labels = [folder_of(image.path) for image in images]
    asked = [image.path for image in images[5:15]]
    rankings = [ranking_of(MEASURES["wasserstein"](), path, images) for path in asked]
    found = isf.evaluate(index, "folder", queries=asked, k=AT)
    assert_scores(found, rankings, labels, labels[5:15], range(5, 15))


@pytest.mark.parametrize("candidates", [1, 7, 200])
@pytest.mark.parametrize("second", [Levels(), Corner(), Alike()], ids=lambda kind: kind.name)
def test_reranked(indexes, top, second, candidates, monkeypatch):
    index, images = indexes["wasserstein"], alive(indexes["wasserstein"])
    measure = MEASURES["wasserstein"]()
    labels = [folder_of(image.path) for image in images]
    asked = sorted(map(str, (top / "asked").glob("*/*.png")))
    for queries, own, itself in (
        (None, labels, range(len(images))),
        (asked, [folder_of(path) for path in asked], [-1] * len(asked)),
    ):
        rankings = [
            ranking_of(measure, path, images, second, candidates)
            for path in (asked if queries else [image.path for image in images])
        ]
        for most in (10**9, 300):  # descriptors of some queries are forgotten and made again
            monkeypatch.setattr("imgsim_fast.index.retrieval._MOST_BYTES", most)
            found = isf.evaluate(
                index, "folder", queries=queries, k=AT, rerank=second, candidates=candidates,
                threads=2,
            )  # fmt: skip
            assert_scores(found, rankings, labels, own, itself)
        assert (found.rerank, found.rerank_options) == (second.name, dict(second.options))
        assert found.candidates == min(candidates, 34)
        assert found.skipped == []


def test_reranking_is_that_of_a_search(indexes, top):
    """The scores come from the ranking that a user gets."""
    index = indexes["wasserstein"]
    query = sorted((top / "asked").glob("*/*.png"))[0]
    matches = index.search(query, 99, rerank=Levels())
    found = isf.evaluate(index, "folder", queries=[query], k=5, rerank=Levels())
    right = [folder_of(path) == folder_of(str(query)) for path in matches.paths[:5]]
    assert found.precision == {5: sum(right) / 5}


# ---- labels ------------------------------------------------------------------------------------


def test_labels_from_a_table_a_mapping_a_rule_and_folders_are_the_same(indexes, top, tmp_path):
    index = indexes["wasserstein"]
    by_path = {image.path: folder_of(image.path) for image in alive(index)}
    with open(top / "labels.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["path", "label"])
        table.writerows((os.path.relpath(path, top), folder_of(path)) for path in sorted(by_path))
    wanted = isf.evaluate(index, "folder").scores.as_dict()
    for labels in (top / "labels.csv", str(top / "labels.csv"), by_path, folder_of):
        assert isf.evaluate(index, labels).scores.as_dict() == wanted
    numbered = isf.evaluate(index, lambda path: ord(folder_of(path)) - 97)
    assert numbered.scores.as_dict() == wanted


def test_queries_may_have_labels_of_their_own(indexes, top):
    index = indexes["wasserstein"]
    wanted = isf.evaluate(index, "folder", queries=top / "asked").scores.as_dict()
    found = isf.evaluate(
        index, lambda path: folder_of(path).upper(), queries=top / "asked",
        query_labels=lambda path: folder_of(path).upper(),
    )  # fmt: skip
    assert found.scores.as_dict() == wanted
    turned = isf.evaluate(index, "folder", query_labels=lambda path: "c")  # every image is a query
    assert turned.queries == 34
    assert turned.mean_average_precision < 0.9


def test_an_image_without_a_label_is_named(indexes, top):
    index = indexes["wasserstein"]
    one = alive(index)[0].path
    with pytest.raises(InvalidInputError, match=r"labels has none for 33 of 34 images"):
        isf.evaluate(index, {one: "a"})


# ---- files that cannot be read -----------------------------------------------------------------


def test_queries_that_cannot_be_read_are_left_out_and_listed(indexes, top, tmp_path):
    index = indexes["corner"]
    draw(tmp_path, 1, 6)
    wanted = isf.evaluate(index, "folder", queries=tmp_path).scores.as_dict()
    (tmp_path / "a" / "bad.png").write_bytes(b"no image")
    Image.new("L", (3, 3), 255).save(tmp_path / "b" / "white.png")
    for options in ({}, {"rerank": "wasserstein"}):
        found = isf.evaluate(index, "folder", queries=tmp_path, **options)
        assert found.queries == 6
        assert {os.path.basename(path): reason for path, reason in found.skipped} == {
            "bad.png": "not an image of a known format (JPEG, PNG, WEBP, GIF, BMP, TIFF)",
            "white.png": "its corner is white",
        }
        if not options:
            assert found.scores.as_dict() == wanted
    again = isf.evaluate(indexes["wasserstein"], "folder", queries=tmp_path, rerank=Corner())
    assert len(again.skipped) == 2


def test_candidates_that_have_gone_keep_their_place_behind_the_others(tmp_path):
    draw(tmp_path / "photos", 0, 12)
    with isf.Index.create(tmp_path / "index") as index:
        index.add(tmp_path / "photos")
        gone = tmp_path / "photos" / "a" / "00.png"
        gone.unlink()
        found = isf.evaluate(index, "folder", rerank=Levels(), k=AT)
        assert [path for path, _ in found.skipped] == [str(gone)]
        assert found.queries == 12  # its descriptor is there: it asks, by the index's measure
        assert 0 < found.mean_average_precision < 1


# ---- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"k": 0}, InvalidInputError, "k must be at least 1, got 0"),
        ({"k": ()}, InvalidInputError, "k must hold at least one integer"),
        ({"k": 1.5}, InvalidTypeError, "k must be an integer, got 1.5"),
        ({"k": "1"}, InvalidTypeError, "k must be an integer, got '1'"),
        ({"queries": []}, InvalidInputError, "queries holds no image that can be read"),
        ({"queries": "nowhere"}, InvalidInputError, "queries .*nowhere' is not a folder"),
        ({"queries": 3}, InvalidTypeError, "queries must be a folder or an iterable of paths"),
        ({"queries": [3]}, InvalidTypeError, "expected a path, got 3"),
        ({"queries": [__file__]}, InvalidInputError, "1 were skipped, the first .* not an image"),
        ({"rerank": "nope"}, InvalidInputError, "measure must be one of"),
        ({"rerank_options": {"p": 1}}, InvalidInputError, "but no rerank"),
        ({"candidates": 0}, InvalidInputError, "candidates must be at least 1, got 0"),
        ({"threads": 0}, InvalidInputError, "threads must be at least 1"),
        ({"query_labels": 3}, InvalidTypeError, "labels must be 'folder', the path of a table"),
    ],
)
def test_what_makes_no_sense_is_refused(indexes, options, error, words):
    with pytest.raises(error, match=words):
        isf.evaluate(indexes["wasserstein"], "folder", **options)


def test_what_is_no_index_or_empty_is_refused(tmp_path):
    with pytest.raises(InvalidTypeError, match="index must be an Index, got 'photos'"):
        isf.evaluate("photos", "folder")
    with (
        isf.Index.create(tmp_path / "index") as index,
        pytest.raises(ImgsimError, match="holds no image to rank"),
    ):
        isf.evaluate(index, "folder")


def test_progress_counts_the_queries(indexes):
    seen = []
    isf.evaluate(indexes["alike"], "folder", progress=seen.append)
    assert seen == list(range(1, 35))


def test_seconds_are_means_over_the_queries(indexes, top):
    class Slow(Corner):
        def describe(self, image):
            time.sleep(0.003)
            return super().describe(image)

        def values(self, query, rows, threads):
            time.sleep(0.003)
            return super().values(query, rows, threads)

    with isf.Index.open(indexes["corner"].path, Slow()) as index:
        start = time.perf_counter()
        found = isf.evaluate(index, "folder", queries=top / "asked", threads=1)
        seconds = time.perf_counter() - start
    assert found.queries == 13
    assert found.describe_seconds >= 0.003
    assert found.search_seconds >= 0.003
    assert 13 * (found.describe_seconds + found.search_seconds) <= seconds


def test_descriptors_beyond_the_limit_are_made_again(indexes, monkeypatch):
    class Counting(Corner):
        made = 0

        def describe(self, image):
            self.made += 1
            return super().describe(image)

    for most, again in ((10**9, False), (0, True)):
        monkeypatch.setattr("imgsim_fast.index.retrieval._MOST_BYTES", most)
        kind = Counting()
        isf.evaluate(indexes["wasserstein"], "folder", rerank=kind, candidates=3, threads=1)
        assert (kind.made > 34) == again


# ---- known values ------------------------------------------------------------------------------


@pytest.mark.data
@pytest.mark.parametrize(
    ("measure", "options", "known"),
    [
        ("wasserstein", {}, 0.29),
        ("intersection", {"space": "rgb"}, 0.50),
        ("intersection", {"space": "hsv"}, 0.53),
    ],
)
def test_the_known_values_of_photographs(shared_data, tmp_path, measure, options, known):
    corpus = shared_data / "corel1k"
    with isf.Index.create(tmp_path / "index", measure, **options) as index:
        index.add(corpus / "images")
        found = isf.evaluate(
            index,
            lambda path: int(os.path.basename(path)[:-4]) // 90,
            queries=corpus / "queries",
            query_labels=lambda path: int(os.path.basename(path)[:-4]) // 10,
        )
    assert found.mean_average_precision == pytest.approx(known, abs=0.01)
    assert (found.images, found.queries) == (900, 100)


def test_one_label_for_all_is_a_mistake(tmp_path):
    folder = tmp_path / "flat"
    folder.mkdir()
    for number in range(3):
        Image.new("L", (4, 4), 40 * number).save(folder / f"{number}.png")
    with isf.Index.create(tmp_path / "index") as index:
        index.add(folder)
        with pytest.raises(InvalidInputError, match=r"all 3 images .* same label, 'flat'"):
            isf.evaluate(index, "folder")
