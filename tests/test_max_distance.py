"""A search with a largest distance is a search for everything, cut."""

from __future__ import annotations

import math

import numpy as np
import pytest

import imgsim_fast as isf
from imgsim_fast.errors import InvalidInputError, InvalidTypeError
from tests.index_tools import as_list, pixels, write

MEASURES = ["wasserstein", "intersection", "correlation"]  # correlation: also below 0


@pytest.fixture(scope="module", params=MEASURES)
def index(request, tmp_path_factory):
    """Four segments, rows that no image uses, equal images."""
    folder = tmp_path_factory.mktemp("photos")
    paths = [folder / f"{number:02d}.png" for number in range(60)]
    for number, path in enumerate(paths):
        write(path, number % 45)
    with isf.Index.create(folder / "index", request.param) as made:
        for start in range(0, 60, 15):
            made.add(paths[start : start + 15])
        made.remove([2, 17, 47, 60])
        yield made


def cut(found, k, limit, higher):
    """What is within the limit, of the best k, one after the other."""
    return [one for one in found[:k] if (one[0] >= limit if higher else one[0] <= limit)]


@pytest.mark.parametrize("k", [1, 4, 30, 56, 500])
@pytest.mark.parametrize("seed", [3, 99])
def test_equals_everything_cut(index, k, seed):
    query = pixels(seed)
    every = as_list(index.search(query, 1000))
    assert len(every) == 56
    values = [value for value, _, _ in every]
    limits = [*values[::5], values[-1], math.nextafter(values[6], 0), math.inf, 0.0]
    limits += [-math.inf, -0.5] if index.higher_is_better else []
    lengths = set()
    for limit in limits:
        wanted = cut(every, k, limit, index.higher_is_better)
        lengths.add(len(wanted))
        for threads in (1, 3):
            found = index.search(query, k, max_distance=limit, threads=threads)
            assert as_list(found) == wanted
    assert k < 5 or len(lengths) > 2


def test_all_within_are_those_of_a_range_search(index):
    for limit in (0.0, 0.3, 5.0, 40.0):
        query = pixels(8)
        near = as_list(index.range_search(query, limit))
        assert as_list(index.search(query, 56, max_distance=limit)) == near


def test_no_limit_is_none(index):
    assert as_list(index.search(pixels(1), 7, max_distance=None)) == as_list(
        index.search(pixels(1), 7)
    )


@pytest.mark.parametrize("other", MEASURES)
def test_with_reranking_it_is_about_the_values_that_come_back(index, other):
    query = pixels(7)
    higher = other != "wasserstein"
    options = {"rerank": other, "candidates": 20}
    every = index.search(query, 12, **options)
    for position in (0, 3, 11):
        limit = float(every.distances[position])
        wanted = cut(as_list(every), 12, limit, higher)
        found = index.search(query, 12, max_distance=limit, **options)
        assert as_list(found) == wanted
        assert len(wanted) > position  # itself included
        assert len(found.descriptors) == len(wanted)
    nothing = 2.0 if higher else 0.0
    none = index.search(pixels(1000), 12, max_distance=nothing, **options)
    assert (len(none.ids), none.paths, none.descriptors) == (0, [], [])
    # Each measure has its own rule for what a limit may be.
    if higher:
        assert len(index.search(query, 3, max_distance=-2.0, **options).ids) == 3
    else:
        with pytest.raises(InvalidInputError, match="max_distance must not be negative"):
            index.search(query, 3, max_distance=-2.0, **options)


def test_an_empty_index(tmp_path):
    with isf.Index.create(tmp_path / "index") as empty:
        found = empty.search(pixels(1), 3, max_distance=10)
        assert as_list(found) == []


@pytest.mark.parametrize("bad", [-1.0, -0.001, math.nan, -math.inf])
def test_bad_limits_are_named(tmp_path, bad):
    with (
        isf.Index.create(tmp_path / "index") as index,
        pytest.raises(InvalidInputError, match=f"max_distance must not be .*, got {bad}"),
    ):
        index.search(pixels(1), max_distance=bad)


@pytest.mark.parametrize("bad", ["near", "5", b"5", [1.0, 2.0], 1j])
def test_limits_are_numbers(tmp_path, bad):
    with (
        isf.Index.create(tmp_path / "index") as index,
        pytest.raises(InvalidTypeError, match="max_distance must be a number, got "),
    ):
        index.search(pixels(1), max_distance=bad)


def test_limits_may_be_numbers_of_numpy(tmp_path, folder):
    with isf.Index.create(tmp_path / "index") as index:
        index.add(folder)
        for limit in (np.float32(20), np.int64(20), np.array(20.0), 20):
            assert as_list(index.search(pixels(3), max_distance=limit)) == as_list(
                index.search(pixels(3), max_distance=20.0)
            )


# ---- the command -------------------------------------------------------------------------------


@pytest.fixture
def here(folder, monkeypatch):
    """Folder of the photos, seen from beside it."""
    monkeypatch.chdir(folder.parent)
    return folder


def test_command(here, run):
    run("index", "photos")
    search = ("search", "photos/003.png", "photos")
    every = run(*search, "-k", 40, "--json").json["matches"]
    limit = every[6]["distance"]
    for k, more in ((10, ()), (4, ("-k", 4)), (40, ("-k", 40))):
        found = run(*search, *more, "--max-distance", repr(limit), "--json")
        assert found.code == 0
        assert found.json["matches"] == [m for m in every[:k] if m["distance"] <= limit]
    assert run(*search, "--max-distance", 1e9, "--json").json["matches"] == every[:10]
    refused = run(*search, "--max-distance", "-1")
    assert refused.code == 2
    assert "max_distance must not be negative or NaN, got -1.0" in refused.err
    both = run(*search, "--max-distance", 1, "--radius", 1)
    assert both.code == 2
    assert "--radius and --max-distance do not go together" in both.err


def test_command_with_reranking(here, run):
    run("index", "photos")
    search = ("search", "photos/003.png", "photos", "--rerank", "intersection", "-k", 5)
    every = run(*search, "--json").json["matches"]
    found = run(*search, "--max-distance", every[2]["distance"], "--json").json["matches"]
    assert 3 <= len(found) < 5
    assert found == every[: len(found)]
    none = run(*search, "--max-distance", 3)
    assert none.code == 0
    words = "--max-distance is the least similarity that counts, and intersection is 0 ... 1"
    assert words in none.out


def test_command_that_finds_nothing_writes_a_page(here, run):
    run("index", "photos")
    write(here.parent / "query.png", 1234)
    done = run("search", "query.png", "photos", "--max-distance", 0, "--html", "page.html")
    assert done.code == 0
    assert "no image is that near" in done.out
    assert (here.parent / "page.html").stat().st_size > 1000
