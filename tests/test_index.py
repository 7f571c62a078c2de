"""The index: making, opening, exact search."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import threading

import numpy as np
import pytest
from PIL import Image

import imgsim_fast as isf
from imgsim_fast import images
from imgsim_fast.errors import (
    ImageDecodeError,
    IndexCorruptError,
    IndexLockedError,
    IndexMismatchError,
    IndexVersionError,
    IndexWarning,
    InvalidInputError,
    InvalidTypeError,
)
from imgsim_fast.index import Index, build, catalog
from imgsim_fast.index import index as index_module
from imgsim_fast.rows import PickedRows
from tests.cli_tools import runner
from tests.index_tools import (
    DAMAGE,
    GREY,
    answers,
    as_list,
    brute_force,
    execute,
    made,
    numbers,
    pixels,
)

# ---- making, opening, looking ------------------------------------------------------------------


def test_create_add_open_look(tmp_path, folder):
    path = tmp_path / "index"
    with Index.create(path, bins=64, range=(0, 256), p=1) as index:
        assert len(index) == 0
        assert Index.exists(path)
        report = index.add(folder)
        assert numbers(report) == (40, 0, 0, 0, 0)
        assert report.seconds > 0
        assert len(index) == 40
    with Index.open(str(path)) as index:
        stats = index.stats()
        assert (stats.path, stats.measure, stats.images) == (str(path), "wasserstein", 40)
        assert stats.options == index.options == {"bins": 64, "range": [0, 256], "p": 1}
        assert (stats.dead_rows, stats.skipped, stats.folders) == (0, [], [str(folder)])
        assert stats.bytes == sum(entry.stat().st_size for entry in os.scandir(path))
        assert index.measure == "wasserstein"
        assert str(path) in repr(index)
        assert index.verify() == []


def test_index_imports_lazily_as_isf_names():
    assert isf.Index is Index
    assert issubclass(isf.Matches, tuple)
    assert isf.AddReport is build.AddReport


def test_create_refuses_a_folder_with_something_in_it(tmp_path, folder):
    with pytest.raises(FileExistsError, match=r"not empty: it holds '\d+\.png'"):
        Index.create(folder)
    made(tmp_path / "index", folder).close()
    with pytest.raises(FileExistsError):
        Index.create(tmp_path / "index")
    with Index.open(tmp_path / "index") as index:
        assert len(index) == 40


def test_create_takes_an_empty_folder_and_what_a_killed_create_left(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    Index.create(empty).close()
    left = tmp_path / "left"
    left.mkdir()
    (left / "lock").touch()
    (left / "catalog.sqlite.new-1").write_bytes(b"half")
    (left / "catalog.sqlite.new-1-journal").write_bytes(b"half")
    with Index.create(left) as index:
        assert index.verify() == []


def test_create_after_a_killed_one_of_the_same_process_id(tmp_path):
    """In a container every run has the same number; the finished file was not yet in its place."""
    with Index.create(tmp_path / "other"):
        pass
    left = tmp_path / "left"
    left.mkdir()
    shutil.copy(tmp_path / "other" / "catalog.sqlite", left / f"catalog.sqlite.new-{os.getpid()}")
    with Index.create(left) as index:
        assert len(index) == 0


def test_two_creators_do_not_replace_each_others_index(tmp_path, folder, monkeypatch):
    """The other one comes between the look at the folder and the lock."""
    path = tmp_path / "index"
    lock = index_module.writer_lock

    @contextlib.contextmanager
    def after_another(where):
        monkeypatch.setattr(index_module, "writer_lock", lock)
        made(path, folder).close()
        with lock(where):
            yield

    monkeypatch.setattr(index_module, "writer_lock", after_another)
    with pytest.raises((FileExistsError, IndexLockedError)):
        Index.create(path).close()
    with Index.open(path) as index:
        assert len(index) == 40


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"measure": "nope"}, InvalidInputError),
        ({"bins": 0}, InvalidInputError),
        ({"colour": 1}, InvalidTypeError),
    ],
)
def test_create_with_bad_options_leaves_nothing(tmp_path, options, error):
    with pytest.raises(error):
        Index.create(tmp_path / "index", **options)
    assert os.listdir(tmp_path) == []


def test_open_what_is_no_index(tmp_path):
    for path, words in ((tmp_path, "not an imgsim index"), (tmp_path / "missing", "no such dir")):
        assert not Index.exists(path)
        with pytest.raises(IndexVersionError, match=words):
            Index.open(path)
    with pytest.raises(InvalidTypeError, match="expected a path, got 5"):
        Index.open(5)


def test_a_closed_index_says_that_it_is_closed(tmp_path):
    index = Index.create(tmp_path / "index")
    index.close()
    index.close()
    for call in (lambda: len(index), lambda: index.search(GREY), index.stats, index.verify):
        with pytest.raises(Exception, match=r"(?i)closed") as caught:
            call()
        assert not isinstance(caught.value, IndexCorruptError), "nothing is damaged"


def test_mismatches_name_both(tmp_path, folder):
    path = tmp_path / "index"
    made(path, folder, bins=32, range=(0, 255)).close()
    for wanted in ({}, {"bins": 32}, {"range": [0, 255.0]}, {"measure": "wasserstein", "p": 1.0}):
        Index.open(path, **wanted).close()
    with pytest.raises(IndexMismatchError, match=r"made with bins=32, not bins=64"):
        Index.open(path, bins=64)
    with pytest.raises(
        IndexMismatchError, match=r"range=\[0, 255\], p=1, not range=\[0, 256\], p=2"
    ):
        Index.open(path, range=(0, 256), p=2)
    with pytest.raises(IndexMismatchError, match="has measure 'wasserstein', not 'emd'"):
        Index.open(path, "emd")


def test_other_decoding_rules_are_a_mismatch(tmp_path, folder, monkeypatch):
    monkeypatch.setitem(images.DECODER, "rules", 0)
    made(tmp_path / "index", folder).close()
    monkeypatch.undo()
    with pytest.raises(IndexMismatchError, match=r"'rules': 0.*'rules': 1"):
        Index.open(tmp_path / "index")


def sign_meta(index_path):
    """Make the checksum of the meta data agree with them."""
    db = sqlite3.connect(os.path.join(index_path, "catalog.sqlite"))
    meta = dict(db.execute("SELECT key, value FROM meta"))
    db.close()
    new = catalog._checksum(meta)
    execute(index_path, ("UPDATE meta SET value = ? WHERE key = 'checksum'", (new,)))


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("measure", "clip"),
        ("measure", ""),
        ("options", '{"bins": 128, "range": [0, 256], "p": 1}'),
        ("options", '{"bins": 0}'),
        ("options", '{"bins": null}'),
        ("options", '{"colour": 1}'),
        ("options", "{"),
        ("options", "[]"),
        ("options", "3"),
        pytest.param("options", "[" * 100_000, id="nested"),
        ("decoder", ""),
        ("decoder", "{}"),
    ],
)
def test_meta_data_of_another_version_or_damaged(tmp_path, folder, key, value, signed):
    path = tmp_path / "index"
    made(path, folder).close()
    execute(path, ("UPDATE meta SET value = ? WHERE key = ?", (value, key)))
    if signed:
        sign_meta(path)
    found = None
    # (A mismatch of decoding rules is no damage.)
    with contextlib.suppress(*DAMAGE, IndexMismatchError), Index.open(path) as index:
        found = answers(index)
    assert found is None


@pytest.mark.parametrize("key", ["measure", "options", "decoder"])
def test_missing_meta_data(tmp_path, folder, key):
    path = tmp_path / "index"
    made(path, folder).close()
    execute(path, f"DELETE FROM meta WHERE key = '{key}'")
    with pytest.raises(IndexCorruptError, match=key):
        Index.open(path)


# ---- exact search ------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"bins": 16}, {"bins": 8, "range": (0, 512), "p": 2}])
def test_search_is_brute_force(tmp_path, folder, options):
    with made(tmp_path / "index", folder, **options) as index:
        for seed in range(6):
            query = pixels(seed * 7)
            expected = brute_force(index, query, options.get("p", 1))
            for k in (1, 2, 7, 39, 40, 41, 10**6):
                assert as_list(index.search(query, k)) == expected[:k]
            distances = [item[0] for item in expected]
            assert len(set(distances)) < len(distances)  # there are ties
            for radius in (0, distances[3], np.nextafter(distances[20], 0), 1e9, np.inf):
                inside = [item for item in expected if item[0] <= radius]
                assert as_list(index.range_search(query, radius)) == inside


def test_every_form_of_a_query(tmp_path, folder):
    with made(tmp_path / "index", folder) as index:
        file = folder / "004.png"
        expected = as_list(index.search(pixels(4), 5))
        assert [item[:2] for item in expected[:2]] == [(0.0, 5), (0.0, 35)]
        for source in (str(file), file, file.read_bytes(), np.repeat(pixels(4)[..., None], 3, 2)):
            assert as_list(index.search(source, 5)) == expected
            assert as_list(index.range_search(source, expected[-1][0]))[:5] == expected


def test_bad_arguments_of_searches(tmp_path, folder):
    with made(tmp_path / "index", folder) as index:
        for k in (0, -1):
            with pytest.raises(InvalidInputError, match=f"k must be at least 1, got {k}"):
                index.search(GREY, k)
        for k in (2.5, "3", None):
            with pytest.raises(InvalidTypeError, match="k must be an integer"):
                index.search(GREY, k)
        with pytest.raises(InvalidInputError, match=r"radius .*nan"):
            index.range_search(GREY, float("nan"))
        with pytest.raises(InvalidInputError, match=r"radius .*-1"):
            index.range_search(GREY, -1)
        with pytest.raises(InvalidTypeError, match="radius must be a number, got 'x'"):
            index.range_search(GREY, "x")
        with pytest.raises(ImageDecodeError, match=r"missing\.png"):
            index.search(folder / "missing.png")
        with pytest.raises(InvalidInputError, match="threads must be at least 1"):
            index.search(GREY, threads=0)
        with pytest.raises(
            InvalidInputError, match=r"commit_seconds must be .* not negative, got -1"
        ):
            index.add(folder, commit_seconds=-1)
        with pytest.raises(InvalidTypeError, match="got 5"):
            index.add(5)
        with pytest.raises(InvalidTypeError, match="expected a path, got 5"):
            index.add([5])
        with pytest.raises(InvalidInputError, match=r"nowhere' does not exist"):
            index.add(folder / "nowhere")
        assert len(index) == 40


def test_an_empty_index_finds_nothing(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with made(tmp_path / "index", empty) as index:
        assert as_list(index.search(GREY)) == []
        assert as_list(index.range_search(GREY, 1e9)) == []
        assert index.verify() == []
        assert index.images([]) == []
        assert numbers(index.refresh()) == (0, 0, 0, 0, 0)


def test_images_gives_what_the_index_holds(tmp_path, folder):
    Image.fromarray(pixels(5, 3, 9)).save(folder / "wide.png")
    with made(tmp_path / "index", folder, bins=32) as index:
        index.search(GREY)
        *_, wide = found = index.images([3, 1, 41])
        assert [image.id for image in found] == [3, 1, 41]
        assert [os.path.basename(image.path) for image in found] == [
            "002.png",
            "000.png",
            "wide.png",
        ]
        assert (wide.width, wide.height) == (9, 3)
        expected = np.histogram(pixels(5, 3, 9), 32, (0, 256))[0]
        np.testing.assert_array_equal(wide.descriptor, expected)
        np.testing.assert_array_equal(index.describe(pixels(5, 3, 9)), expected)
        with pytest.raises(InvalidInputError, match="image 99 is not in the index"):
            index.images([1, 99])


def test_images_of_an_index_that_was_not_searched_before(tmp_path, folder):
    made(tmp_path / "index", folder).close()
    with Index.open(tmp_path / "index") as index:
        assert index.images([2])[0].path == str(folder / "001.png")


def test_the_answer_does_not_depend_on_threads_or_segments(tmp_path, folder):
    with made(tmp_path / "one", folder) as index:
        expected = answers(index)
        # float64 distances bit for bit, for any number of searching threads
        for threads in (2, 3, 16):
            assert as_list(index.search(GREY, 100, threads=threads)) == expected
            within = index.range_search(GREY, expected[17][0], threads=threads)
            assert as_list(within) == [m for m in expected if m[0] <= expected[17][0]]
    for threads in (1, 3):
        with Index.create(tmp_path / f"threads{threads}") as index:
            index.add(folder, threads=threads, commit_seconds=0)
            assert index.stats().segments == 3  # groups of 16
            assert answers(index) == expected
    with Index.create(tmp_path / "pieces") as index:
        names = sorted(folder.iterdir())
        for start in range(0, 40, 5):
            index.add(names[start : start + 5])
        assert index.stats().segments == 8
        assert answers(index) == expected
        assert index.verify() == []


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), MemoryError()])
@pytest.mark.parametrize("call", ["add", "refresh"])
def test_a_merge_that_fails_is_a_warning(tmp_path, folder, monkeypatch, error, call):
    """What was asked for is done by then."""
    write = build.write_segment

    def full(where, number, rows, ids, *rest):
        if isinstance(rows, PickedRows):
            raise error
        return write(where, number, rows, ids, *rest)

    names = sorted(folder.iterdir())
    with Index.create(tmp_path / "index") as index:
        for name in names[:16]:
            index.add([name])
        monkeypatch.setattr(build, "write_segment", full)
        later = tmp_path / "later"
        later.mkdir()
        for name in names[16:]:
            name.rename(later / name.name)
        if call == "refresh":
            index.add(folder)  # remembered
        before = len(index)
        for number, name in enumerate(names[16:18], 1):
            (later / name.name).rename(name)
            with pytest.warns(
                IndexWarning, match=r"has been added.* not be merged.*: (No sp|.*28|Mem)"
            ):
                report = index.add([name]) if call == "add" else index.refresh()
            assert report.added == 1
            assert len(index) == before + number
            assert index.verify() == []
            assert index.stats().segments == 16 + number
            assert index.search(name, 1).distances[0] == 0
        monkeypatch.undo()
        report = index.refresh()
        assert index.stats().segments == 1
        assert index.verify() == []
        assert len(index) == before + 2


@pytest.mark.filterwarnings("always::imgsim_fast.errors.IndexWarning")
def test_the_command_line_shows_the_warning_and_goes_on(tmp_path, folder, monkeypatch, capsys):
    def full(self):
        raise OSError(28, "No space left on device", "segment-00000017.rows.npy")

    monkeypatch.setattr(build.Builder, "_merge_small_segments", full)
    done = runner(monkeypatch, capsys)("index", folder)
    assert done.code == 0
    assert done.out.startswith("40 images in ")
    assert done.err.startswith("imgsim: ")
    assert "No space left on device" in done.err
    assert done.err.count("\n") == 1


def test_many_small_segments_are_merged(tmp_path, folder):
    names = sorted(folder.iterdir())
    most = 0
    with made(tmp_path / "one", folder) as index:
        expected = answers(index)
    with Index.create(tmp_path / "many") as index, Index.open(tmp_path / "many") as reader:
        for number, name in enumerate(names):
            index.add([name])
            if number == 5:
                index.remove(name)
                index.add([name])  # a new id, behind the others'
            assert len(reader.search(GREY, 100).ids) == number + 1
            most = max(most, index.stats().segments)
        stats = index.stats()
        assert most == 16
        assert stats.segments <= 16
        assert stats.images == 40
        assert index.verify() == []
        assert reader.verify() == []
        found = answers(index)
        assert sorted(m[::2] for m in found) == sorted(m[::2] for m in expected)
        assert [m[0] for m in found] == [m[0] for m in expected]
        assert found == as_list(reader.search(GREY, 100))
        assert found == brute_force(index, GREY)
        files = {name.split(".")[0] for name in os.listdir(index.path) if "segment" in name}
        assert len(files) == stats.segments


def test_merging_drops_dead_rows(tmp_path, folder):
    with Index.create(tmp_path / "index") as index:
        for name in sorted(folder.iterdir())[:16]:
            index.add([name])
        assert index.remove([2, str(folder / "003.png"), 2]) == 2
        assert index.stats().dead_rows == 2
        expected = answers(index)
        assert len(expected) == 14
        index.add([])
        assert answers(index) == expected
        index.add([folder / "020.png"])  # the 17th small segment
        stats = index.stats()
        assert (stats.segments, stats.dead_rows, stats.images) == (1, 0, 15)
        assert [m for m in answers(index) if m[1] != 17] == expected
        assert index.verify() == []


def test_remove(tmp_path, folder):
    with made(tmp_path / "index", folder) as index:
        before = answers(index)
        assert index.remove(1) == 1
        assert index.remove(os.fsencode(folder / "001.png")) == 1
        assert index.remove([np.int64(3), folder / "003.png"]) == 2
        assert len(index) == 36
        assert answers(index) == [m for m in before if m[1] > 4]
        for missing in (1, 99, str(folder / "000.png"), folder / "no.png"):
            with pytest.raises(InvalidInputError, match="not in the index"):
                index.remove([10, missing])
        assert len(index) == 36  # all or nothing
        assert index.verify() == []
        index.remove(range(5, 41))
        assert answers(index) == []
        assert index.verify() == []
        assert numbers(index.refresh()) == (40, 0, 0, 0, 0)
        assert min(m[1] for m in answers(index)) == 41  # ids are never used twice


def test_methods_from_several_threads(tmp_path, folder):
    with made(tmp_path / "index", folder) as index:
        expected = answers(index)
        wrong = []

        def search():
            for _ in range(20):
                found = answers(index)
                if found != expected:
                    wrong.append(found)

        threads = [threading.Thread(target=search) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []


def test_a_folder_is_remembered_with_its_images_or_without(tmp_path, folder):
    """One transaction publishes both; an empty folder is remembered as well."""
    (tmp_path / "empty").mkdir()
    with Index.create(tmp_path / "index") as index:
        assert index.add(tmp_path / "empty").added == 0
        assert index.stats().folders == [str(tmp_path / "empty")]
        index.add(folder)
        assert index.stats().folders == [str(tmp_path / "empty"), str(folder)]
        (tmp_path / "empty" / "new.png").write_bytes((folder / "000.png").read_bytes())
        assert index.refresh().added == 1


@pytest.mark.skipif(not hasattr(os, "fdatasync"), reason="counts the calls of POSIX")
def test_a_new_catalogue_is_durable_before_it_has_its_name(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (calls.append("fsync"), fsync(file))[1])
    monkeypatch.setattr(os, "replace", lambda *names: (calls.append("name"), replace(*names))[1])
    Index.create(tmp_path / "index").close()
    assert calls == ["fsync", "name", "fsync"]  # the file, its name, the directory
    assert sorted(os.listdir(tmp_path / "index")) == ["catalog.sqlite", "lock"]
