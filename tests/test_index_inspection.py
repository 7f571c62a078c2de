"""Counting and checking an index whose measure is not at hand."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import numpy as np
import pytest

import imgsim_fast as isf
from imgsim_fast.errors import IndexVersionError
from imgsim_fast.index import Index, index_stats, verify_index
from tests.cli_tools import photos, runner
from tests.index_tools import execute
from tests.measure_tools import Alike, Levels


@pytest.fixture
def run(monkeypatch, capsys):
    return runner(monkeypatch, capsys)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    return photos(tmp_path, monkeypatch)


def mean_colours(images):
    return images.mean(axis=(1, 2))


def own_measures():
    """Rows of one length, rows of many, a function."""
    return [Alike(), Levels(2), isf.Embedding(mean_colours, name="mine", size=8)]


@pytest.fixture(params=own_measures(), ids=lambda measure: measure.name)
def own(request, folder):
    with Index.create(folder / ".imgsim", request.param) as index:
        index.add(folder)
        yield request.param, index


def test_stats_and_verify_need_no_measure(own, run):
    measure, index = own
    assert index_stats(index.path) == index.stats()
    problems, images, unseen = verify_index(index.path)
    assert (problems, images) == ([], 20)
    assert f"needs the measure {measure.name!r}" in unseen
    stats = run("stats", "photos")
    assert (stats.code, stats.err) == (0, "")
    assert f"measure   {measure.name}" in stats.out
    assert run("stats", "photos", "--json").json["images"] == 20
    verified = run("verify", "photos")
    assert verified.code == 0
    first, second = verified.out.splitlines()
    assert first == "sound: 20 images, but the values in their rows were not checked"
    assert second.startswith("why not: '")
    assert f"needs the measure {measure.name!r} with" in second
    assert "which imgsim_fast does not have itself: open it from Python" in second
    shown = run("verify", "photos", "--json").json
    assert (shown["sound"], shown["images"], shown["problems"]) == (True, 20, [])
    assert shown["rows_not_checked"] == unseen


@pytest.mark.parametrize(
    "arguments",
    [("search", "photos/001.png"), ("duplicates",), ("evaluate", "--labels", "folder"), ("index",)],
    ids=lambda arguments: arguments[0],
)
def test_other_commands_say_what_to_do(own, run, arguments):
    measure, index = own
    done = run(*arguments, "photos")
    assert (done.code, done.out) == (2, "")
    for words in (f"the measure {measure.name!r}", "Index.open(path, measure)", "the Embedding"):
        assert words in done.err
    with pytest.raises(IndexVersionError, match=r"open it from Python, Index\.open\(path, measure"):
        Index.open(index.path)
    Index.open(index.path, measure).close()


@pytest.mark.parametrize("part", ["rows", "ids"])
@pytest.mark.parametrize("how", ["flip", "cut", "gone"])
def test_damage_is_found_without_the_measure(own, run, part, how):
    _, index = own
    (name,) = [name for name in os.listdir(index.path) if name.endswith(f".{part}.npy")]
    path = os.path.join(index.path, name)
    data = bytearray(Path(path).read_bytes())
    if how == "flip":
        data[-3] ^= 1
    os.unlink(path)
    if how != "gone":
        with open(path, "wb") as file:
            file.write(data[: len(data) - (how == "cut")])
    (problem,) = verify_index(index.path).problems
    assert name in problem
    assert run("verify", "photos").code == 4


def test_references_are_checked_without_the_measure(own):
    _, index = own
    execute(index.path, "DELETE FROM images WHERE id = 3")
    assert verify_index(index.path).problems


def test_a_measure_that_is_at_hand_looks_at_every_row(folder):
    with Index.create(folder / ".imgsim", "emd") as index:
        index.add(folder)
        assert verify_index(index.path) == ([], 20, "")
        assert index.verify() == []


def test_an_index_is_needed(tmp_path):
    for call in (index_stats, verify_index):
        with pytest.raises(IndexVersionError, match="no such directory"):
            call(tmp_path / "none")


def test_rows_in_numbers_that_are_none(folder):
    """An array of another type under the catalogue's checksum is still only looked at."""
    with Index.create(folder / ".imgsim", Alike()) as index:
        index.add(folder)
    (name,) = [name for name in os.listdir(index.path) if name.endswith(".rows.npy")]
    path = os.path.join(index.path, name)
    for array, words in (
        (np.zeros(20, "V0"), "holds |V0"),
        (np.zeros((7, 3)), "holds 7, not 20 rows"),
        (np.zeros(()), "holds ()"),
    ):
        np.save(path, array)
        data = Path(path).read_bytes()
        execute(
            index.path,
            ("UPDATE segments SET rows_bytes = ?, rows_crc = ?", (len(data), zlib.crc32(data))),
        )
        (problem,) = verify_index(index.path).problems
        assert words in problem
