"""What an attacker found: each of these crashed, hung, lied or lost something once."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from PIL import Image

import imgsim_fast as isf
from imgsim_fast.compat import pot
from imgsim_fast.compat import scipy as drop_in
from imgsim_fast.errors import IndexCorruptError, InvalidInputError, InvalidTypeError
from imgsim_fast.evaluation import evaluate_labels
from imgsim_fast.index import Index, build
from tests.index_tools import GREY, made

RACE = """
import sys, threading, numpy as np
from imgsim_fast.compat.scipy import wasserstein_distance
rng = np.random.default_rng(0)
n = 60_000
x, y = rng.random(n), rng.random(n)
w, v = rng.random(n) + .1, rng.random(n) + .1
stop = threading.Event()
def change():
    i = 0
    while not stop.is_set():
        i += 1
        if sys.argv[1] == "positions":
            x[:] = rng.random(n) * (-1) ** i
        else:
            w[n // 2] = float("nan") if i % 2 else 0.5
thread = threading.Thread(target=change)
thread.start()
done = 0
while done < 40:
    try:
        wasserstein_distance(x, y, w, v)
    except ValueError:
        pass  # the check saw the NaN
    done += 1
stop.set()
thread.join()
print("survived")
"""


@pytest.mark.parametrize("what", ["positions", "weights"])
def test_a_caller_who_changes_the_samples_meanwhile(what):
    done = subprocess.run(
        [sys.executable, "-c", RACE, what], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout) == (0, "survived\n"), done.stderr


@pytest.mark.parametrize(
    ("positions", "p", "expected"),
    [
        ([0, 1e-170, 1], 2, 1e-170),
        ([0, 1e-161, 1], 2, 1e-161),
        ([0, 1e-120, 1], 3, 1e-120),
        ([0, 1e-5, 1e200], 2, 1e-5),
        ([0, 1e-5, 1e200], 500, 1e-5),
        ([0, 3, 7], 2, 3),
    ],
)
def test_powers_of_small_displacements_do_not_vanish(positions, p, expected):
    assert math.isclose(isf.wasserstein_1d([1, 0, 0], [0, 1, 0], positions, p=p), expected,
                        rel_tol=1e-14)  # fmt: skip


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_lock_that_is_a_link_is_refused(tmp_path):
    precious = tmp_path / "precious.txt"
    precious.write_text("mine")
    for make in (os.symlink, os.link):
        path = tmp_path / make.__name__
        Index.create(path).close()
        (path / "lock").unlink()
        make(precious, path / "lock")
        with Index.open(path) as index, pytest.raises(IndexCorruptError, match="lock"):
            index.add([])
        assert precious.read_text() == "mine"


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_an_index_opened_through_a_link_is_the_same_index(tmp_path, folder):
    with made(folder / ".imgsim", folder) as index:
        expected = index.search(GREY, 5)
    (tmp_path / "other").mkdir()
    os.symlink(folder / ".imgsim", tmp_path / "other" / "link")
    with Index.open(tmp_path / "other" / "link") as index:
        assert index.search(GREY, 5).paths == expected.paths
        report = index.refresh()
        assert (report.unchanged, report.removed, report.added) == (40, 0, 0)


def test_images_of_a_sound_index_while_another_writes(tmp_path, folder, monkeypatch):
    monkeypatch.setattr(build, "_MANY_SMALL", 2)
    with made(tmp_path / "index", folder) as index:
        stop = threading.Event()

        def churn():
            with Index.open(tmp_path / "index") as writer:
                names = sorted(folder.iterdir())
                while not stop.is_set():
                    writer.remove(names[:3])
                    for name in names[:3]:
                        writer.add([name])

        thread = threading.Thread(target=churn)
        thread.start()
        try:
            for _ in range(150):
                known = index.search(GREY, 30).ids
                for number in known:
                    try:
                        (image,) = index.images([number])
                    except InvalidInputError:
                        continue  # removed meanwhile
                    assert image.descriptor.sum() == 30
                assert index.verify() == []
        finally:
            stop.set()
            thread.join()


def test_folders_that_cannot_be_listed_are_reported(tmp_path, folder, monkeypatch):
    (folder / "locked").mkdir()
    listdir = os.listdir

    def denied(path="."):
        if os.fsencode(path).endswith(b"locked"):
            raise PermissionError(13, "Permission denied", path)
        return listdir(path)

    monkeypatch.setattr(os, "listdir", denied)
    with Index.create(tmp_path / "index") as index:
        assert index.add(folder).skipped == [
            (str(folder / "locked"), "the folder cannot be listed: Permission denied")
        ]


MASKED = np.ma.array([1.0, 2.0, 3.0], mask=[True, False, False])
HUGE = 10**400
STACK = np.stack([GREY] * 3, axis=-1)
SQUARE = np.zeros((8, 8), np.uint8)


def changed_sparse():
    made_of = isf.SparseHistogram([1, 2], [3, 4], (8,))
    made_of.keys.flags.writeable = True
    made_of.keys[:] = 2
    return made_of


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (InvalidInputError, lambda: drop_in.wasserstein_distance(MASKED, [1, 2])),
        (InvalidInputError, lambda: pot.wasserstein_1d(MASKED, np.ones(3))),
        (InvalidInputError, lambda: drop_in.wasserstein_distance([2**63 - 1], [1])),
        (InvalidTypeError, lambda: drop_in.wasserstein_distance(np.ones(2, np.longdouble), [1])),
        (InvalidTypeError, lambda: isf.wasserstein_1d([1, 2], [2, 1], p=HUGE)),
        (InvalidTypeError, lambda: isf.wasserstein_1d([1, 2], [2, 1], circular=HUGE)),
        (InvalidTypeError, lambda: isf.wasserstein_1d([1, 2], [2, 1], p=np.array([1, 2]))),
        (InvalidTypeError, lambda: isf.histogram([1, 2], range=(0, HUGE))),
        (InvalidInputError, lambda: isf.knn([1, 2], [[1, 2]], metric=np.array(["a", "b"]))),
        (InvalidTypeError, lambda: isf.cdf_vectors([1, 2], dtype="foo")),
        (InvalidInputError, lambda: isf.compare(GREY, GREY, measure=[])),
        (InvalidInputError, lambda: pot.emd2_1d([1], [2], metric=[1])),
        (InvalidTypeError, lambda: pot.wasserstein_1d([1.0], [2.0], p=None)),
        (InvalidInputError, lambda: Index.open("\ud800x")),
        (InvalidInputError, lambda: Index.create("a\0b")),
        (InvalidInputError, lambda: Index.open("")),
        (InvalidInputError, lambda: isf.compare(np.ma.array(GREY, mask=True), GREY)),
        (InvalidTypeError, lambda: isf.structural_similarities(SQUARE, memoryview(SQUARE))),
        (InvalidTypeError, lambda: isf.histograms(memoryview(STACK))),
        (InvalidTypeError, lambda: isf.resize_area(GREY, memoryview(GREY))),
        (InvalidTypeError, lambda: isf.sparse_histogram(STACK, memoryview(GREY))),
        (InvalidTypeError, lambda: isf.sparse_histogram(STACK, [[1, 2], [3]])),
        (InvalidTypeError, lambda: isf.sparse_histogram(STACK, ignore=memoryview(GREY))),
        (InvalidTypeError, lambda: isf.histogram(STACK, [[1, 2], [3]])),
        (InvalidTypeError, lambda: isf.histogram(STACK, 2, memoryview(GREY))),
        (InvalidTypeError, lambda: evaluate_labels(memoryview(GREY), ["a"])),
        (InvalidInputError, lambda: isf.compare_histograms(changed_sparse(), changed_sparse())),
    ],
)
def test_nonsense_gets_a_typed_error(error, call):
    with pytest.raises(error):
        call()


def test_nonsense_for_an_index(tmp_path, folder):
    with made(tmp_path / "index", folder) as index:
        for wrong in ([2**70], [-1], [1.9], ["a"], 5):
            with pytest.raises((InvalidInputError, InvalidTypeError)):
                index.images(wrong)
        with pytest.raises(InvalidInputError, match="is not in the index"):
            index.remove(2**70)
        with pytest.raises(InvalidTypeError, match=r"ids_or_paths .*None"):
            index.remove(None)
        with pytest.raises(InvalidTypeError):
            index.range_search(GREY, HUGE)
        assert len(index.images(i for i in (1, 2, 3) if len(index))) == 3
    with pytest.raises(InvalidInputError, match="closed"):
        index.add(folder)
    with pytest.raises(InvalidInputError, match="closed"):
        index.remove(1)


def test_edges_of_many_bins_are_not_kept():
    from imgsim_fast import histogram as module

    cache = sys.modules[module.__module__]._cached_axis
    before = cache.cache_info().currsize
    for end in range(5, 9):
        isf.histogram(np.arange(5.0), bins=100_000, range=(0, end))
    assert cache.cache_info().currsize == before


def test_infinities_as_in_scipy():
    assert math.isnan(drop_in.wasserstein_distance([math.inf, 1], [1, math.inf]))
    assert drop_in.wasserstein_distance([math.inf, 1], [1, 2]) == math.inf


def imgsim(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "imgsim_fast", *arguments],
        capture_output=True, text=True, timeout=60, env={**os.environ, **environment},
    )  # fmt: skip


@pytest.mark.skipif(os.name == "nt", reason="a shell's way to close the output")
def test_closed_standard_output(folder):
    with made(folder / ".imgsim", folder):
        pass
    command = f"{sys.executable} -m imgsim_fast stats {folder} >&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_hostile_environment(folder):
    with made(folder / ".imgsim", folder):
        pass
    query = str(folder / "000.png")
    for name, value in (("IMGSIM_FAST_ISA", "nonsense"), ("IMGSIM_FAST_NUM_THREADS", "-3")):
        done = imgsim("search", query, str(folder), **{name: value})
        assert done.returncode == 2
        assert name in done.stderr
        assert "Traceback" not in done.stderr
    assert imgsim("search", query, str(folder), IMGSIM_FAST_NUM_THREADS="9" * 30).returncode == 0


def test_the_query_is_not_overwritten_by_its_page(folder):
    before = (folder / "000.png").read_bytes()
    query = str(folder / "000.png")
    done = imgsim("search", query, str(folder), "--html", query, "--force")
    assert done.returncode == 2
    assert (folder / "000.png").read_bytes() == before


def test_an_oriented_thumbnail_is_turned_once():
    from imgsim_fast import images

    image = Image.new("RGB", (40, 30))
    exif = image.getexif()
    exif[0x0112] = 6
    import io

    file = io.BytesIO()
    image.save(file, "JPEG", exif=exif)
    once = images.upright(images.open_pixels(file.getvalue()))
    assert once.size == (30, 40)
    assert images.upright(once).size == (30, 40)
