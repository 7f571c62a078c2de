"""Re-ranking: the best by one measure, in the order of another; what cannot be read is said."""

from __future__ import annotations

import copy
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import imgsim_fast as isf
from imgsim_fast.errors import InvalidInputError, InvalidTypeError
from imgsim_fast.index import Matches, describing, rerank
from imgsim_fast.measures import describe, get_measure
from tests.index_tools import GREY, as_list, write
from tests.measure_tools import Alike, Corner, Levels

MEASURES = [
    Levels(),
    Corner(),
    Alike(),
    get_measure("wasserstein", bins=7),
    get_measure("wasserstein", p=2),
]


class Pixels(Levels):
    """Descriptors as large as the images; the value is a difference of the first pixels."""

    higher_is_better = False
    row_dtype = np.dtype(np.uint8)

    def describe(self, image):
        return np.array(image).reshape(-1)

    def values(self, query, rows, threads):
        return np.array([abs(float(row[0]) - float(query[0])) for row in rows])


def made(path, folder):
    """Make an index of three segments, with rows that no image uses."""
    index = isf.Index.create(path)
    for number in range(0, 40, 15):
        index.add(sorted(folder.glob("*.png"))[number : number + 15])
    index.remove([5, 20])
    return index


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """For tests that change nothing."""
    top = tmp_path_factory.mktemp("still")
    (top / "photos").mkdir()
    for number in range(40):
        write(top / "photos" / f"{number:03d}.png", number % 30)
    with made(top / "index", top / "photos") as index:
        yield index


@pytest.fixture
def photos(index):
    """Folder of that index."""
    return Path(index.path).parent / "photos"


@pytest.fixture
def changing(tmp_path, folder):
    """Make an index of a folder whose files a test may change."""
    with made(tmp_path / "index", folder) as index:
        yield index


def slow_twin(index, image, k, measure, candidates):
    """The same by one value at a time."""
    query = describe(measure, image)
    first = as_list(index.search(image, 10**6))[: max(k, candidates)]
    found = [
        (measure.compare(query, describe(measure, path)), number, path) for _, number, path in first
    ]
    sign = -1 if measure.higher_is_better else 1
    return sorted(found, key=lambda item: (sign * item[0], item[1]))[:k]


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: str(measure.name))
@pytest.mark.parametrize(("k", "candidates"), [(1, 1), (3, 10), (10, 3), (10, 200), (99, 200)])
def test_the_best_by_one_measure_in_the_order_of_another(index, photos, measure, k, candidates):
    query = photos / "003.png"
    wanted = slow_twin(index, query, k, measure, candidates)
    for threads in (1, 2, 7):
        found = index.search(query, k, rerank=measure, candidates=candidates, threads=threads)
        assert as_list(found) == wanted
        assert found.skipped == []
    assert len(wanted) == min(k, 38)


def test_ties_go_to_the_lower_id_whatever_the_first_measure_says(index, photos):
    found = index.search(photos / "012.png", 38, rerank=Corner())
    values = found.distances.tolist()
    assert list(zip(values, found.ids.tolist(), strict=True)) == sorted(
        zip(values, found.ids.tolist(), strict=True)
    )
    assert len(set(values)) < 38  # the folder repeats its images
    assert found.ids.tolist() != index.search(photos / "012.png", 38).ids.tolist()


def test_by_name_with_options(index):
    by_name = index.search(GREY, 9, rerank="wasserstein", rerank_options={"p": 2, "bins": 32})
    by_object = index.search(GREY, 9, rerank=get_measure("wasserstein", p=2, bins=32))
    assert as_list(by_name) == as_list(by_object)
    assert as_list(by_name) != as_list(index.search(GREY, 9))


@pytest.mark.parametrize("give", [str, lambda path: path.read_bytes(), Image.open, isf.decode])
def test_the_query_may_be_whatever_a_search_takes(index, photos, give):
    path = photos / "007.png"
    query = give(path)
    if isinstance(query, Image.Image):
        query.load()
    assert as_list(index.search(query, 5, rerank=Levels())) == as_list(
        index.search(path, 5, rerank=Levels())
    )


@pytest.mark.parametrize("measure", [Levels(), Corner(), Alike()], ids=lambda m: m.name)
def test_files_that_have_gone_or_broken_are_left_out_and_listed(changing, folder, measure):
    query = (folder / "010.png").read_bytes()
    whole = changing.search(query, 99, rerank=measure)
    (folder / "003.png").unlink()
    (folder / "008.png").write_bytes(b"no image")
    bad = {str(folder / "003.png"), str(folder / "008.png")}
    for threads in (1, 3):
        found = changing.search(query, 99, rerank=measure, threads=threads)
        assert as_list(found) == [match for match in as_list(whole) if match[2] not in bad]
        assert {path for path, _ in found.skipped} == bad
        reasons = dict(found.skipped)
        assert reasons[str(folder / "003.png")] == "no such file or directory"
        assert reasons[str(folder / "008.png")].startswith("not an image")
    assert found.first(2).skipped == found.skipped
    assert len(found.first(2).ids) == 2


def test_images_that_the_other_measure_cannot_describe_are_left_out_and_listed(changing, folder):
    Image.fromarray(np.full((5, 6), 255, np.uint8)).save(folder / "white.png")
    changing.add(folder / "white.png")
    found = changing.search(folder / "000.png", 99, rerank=Corner())
    assert found.skipped == [(str(folder / "white.png"), "its corner is white")]
    assert len(found.ids) == 38
    with pytest.raises(InvalidInputError, match=r"white\.png': its corner is white"):
        changing.search(folder / "white.png", rerank=Corner())


def test_when_all_files_have_gone_nothing_is_found_and_all_is_said(changing, folder):
    query = (folder / "000.png").read_bytes()
    for path in folder.glob("*.png"):
        path.unlink()
    found = changing.search(query, 5, rerank=Levels(), candidates=12)
    assert as_list(found) == []
    assert len(found.skipped) == 12


def test_an_empty_index_has_no_candidates(tmp_path):
    with isf.Index.create(tmp_path / "index") as index:
        assert as_list(index.search(GREY, rerank=Levels())) == []


@pytest.mark.parametrize("threads", [1, 2])
def test_few_descriptors_are_in_memory_at_once(tmp_path, monkeypatch, threads):
    monkeypatch.setattr(rerank, "_MOST_BYTES", 1 << 20)
    (tmp_path / "photos").mkdir()
    for number in range(24):
        pixels = np.full((1000, 1000), 10 * number, np.uint8)  # 1 MB
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number:02d}.png")
    query = tmp_path / "photos" / "07.png"
    with isf.Index.create(tmp_path / "index") as index:
        index.add(tmp_path / "photos", threads=1)
        tracemalloc.start()
        try:
            found = index.search(query, 24, rerank=Pixels(), threads=threads)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    order = sorted(range(24), key=lambda number: (abs(number - 7), number))
    assert found.distances.tolist() == [10.0 * abs(number - 7) for number in order]
    assert [int(Path(path).stem) for path in found.paths] == order
    assert most < 18e6  # all of them are 24 MB, and were there twice


def test_batches_do_not_depend_on_the_threads(index, photos):
    sizes = set()
    for threads in (1, 2, 5):
        measure = Alike()
        index.search(photos / "000.png", rerank=measure, threads=threads)
        sizes.add(tuple(sorted(measure.batches)))
    assert sizes == {(6, 16, 16)}


@pytest.mark.parametrize("threads", [1, 3])
def test_batches_hold_few_pixels(tmp_path, monkeypatch, threads):
    """A measure that describes many at once gets as many as fit, and a large one alone."""
    monkeypatch.setattr(describing, "_BATCH_BYTES", 4 * 1000)
    (tmp_path / "photos").mkdir()
    for number, pixels in enumerate([400, 600, 10, 1000, 1001, 5000, 300, 300, 300, 300]):
        image = Image.fromarray(np.full((1, pixels), number, np.uint8))
        image.save(tmp_path / "photos" / f"{number:02d}.png")
    (tmp_path / "photos" / "06b.png").write_bytes(b"no image")
    measure = Alike()
    with isf.Index.create(tmp_path / "index", measure) as index:
        report = index.add(tmp_path / "photos", threads=threads)
        assert (report.added, len(report.skipped)) == (10, 1)
        assert measure.batches == [2, 1, 1, 1, 1, 3, 1]
        assert index.verify() == []
        for number in range(10):
            (found,) = index.images([number + 1])
            assert found.path.endswith(f"{number:02d}.png")
            assert set(found.descriptor.tolist()) == {number}
        del measure.batches[:]
        assert index.refresh(threads=threads, checksum=True).unchanged == 10
        assert measure.batches == []  # nothing to describe is no batch


def test_an_image_that_cannot_be_described_fails_only_its_own_batch(tmp_path, monkeypatch):
    monkeypatch.setattr(describing, "_BATCH_BYTES", 4 * 1000)

    class Picky(Alike):
        alone = 0

        def describe(self, image):
            self.alone += 1
            return super().describe(image)

        def describe_many(self, images):
            self.batches.append(len(images))
            if any(image.width == 301 for image in images):
                raise InvalidInputError("301")
            return [Alike.describe(self, image) for image in images]

    (tmp_path / "photos").mkdir()
    for number, pixels in enumerate([500, 500, 301, 300, 300, 300]):
        image = Image.fromarray(np.full((1, pixels), number, np.uint8))
        image.save(tmp_path / "photos" / f"{number:02d}.png")
    measure = Picky()
    with isf.Index.create(tmp_path / "index", measure) as index:
        assert index.add(tmp_path / "photos", threads=1).added == 6
        assert measure.batches == [2, 3, 1]
        assert measure.alone == 3


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"rerank": "nope"}, InvalidInputError, "measure must be one of .* got 'nope'"),
        ({"rerank": 3}, InvalidTypeError, "rerank must be a measure or its name, got 3"),
        ({"rerank_options": {"p": 2}}, InvalidInputError, r"are given \(p\), but no rerank"),
        ({"rerank": "wasserstein", "rerank_options": 3}, InvalidTypeError, "a mapping, got 3"),
        (
            {"rerank": "wasserstein", "rerank_options": {"colour": 1}},
            InvalidTypeError,
            "no option 'colour'",
        ),
        ({"rerank": Levels(), "rerank_options": {"least": 2}}, InvalidTypeError, "has its options"),
        ({"candidates": 0}, InvalidInputError, "candidates must be at least 1, got 0"),
        ({"candidates": 1.5}, InvalidTypeError, "candidates must be an integer, got 1.5"),
        ({"rerank": Levels(), "threads": 0}, InvalidInputError, "threads must be at least 1"),
    ],
)
def test_what_makes_no_sense_is_refused(index, options, error, words):
    with pytest.raises(error, match=words):
        index.search(GREY, **options)


def test_matches_unpack_as_three_and_keep_what_was_skipped():
    matches = Matches(np.array([1.0]), np.array([7]), ["/a"], [("/b", "gone")])
    distances, ids, paths = matches
    assert (distances.tolist(), ids.tolist(), paths) == ([1.0], [7], ["/a"])
    assert len(matches) == 3
    for same in (matches, copy.copy(matches), pickle.loads(pickle.dumps(matches))):
        assert same.skipped == [("/b", "gone")]
        assert same.paths == ["/a"]
    assert Matches(distances, ids, paths).skipped == []
