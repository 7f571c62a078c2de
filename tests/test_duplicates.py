"""Groups of near-identical images against all pairs one at a time; copies, references, doubts."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import imgsim_fast as isf
from imgsim_fast.errors import (
    IndexCorruptError,
    IndexMismatchError,
    InvalidInputError,
    InvalidTypeError,
)
from imgsim_fast.index import DuplicatePair, pairs
from imgsim_fast.measures import get_measure
from imgsim_fast.rows import as_rows
from tests.measure_tools import Alike, Corner, Levels

KINDS = {
    "wasserstein": lambda: get_measure("wasserstein"),
    "wasserstein, 7 bins, p = 2": lambda: get_measure("wasserstein", bins=7, p=2),
    "levels": Levels,
    "corner": Corner,
    "alike": Alike,
}
LIMITS = {"levels": (20, 30, 45), "alike": (-0.9, 0.5, 1)}


def write(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, np.uint8)).save(path)


def draw(top, seed=0, count=40):
    """Fill a folder: families of images with more or less noise, and plain copies."""
    random = np.random.default_rng(seed)
    for number in range(count):
        family = random.integers(0, 12)
        base = np.random.default_rng(family).integers(0, 200, (8, 9))
        noise = random.integers(0, 1 + 4 * (number % 3), (8, 9))
        write(top / f"{number:02d}.png", base + noise)
    for number in (3, 4, 30):
        shutil.copy(top / f"{number:02d}.png", top / f"copy of {number:02d}.png")
    shutil.copy(top / "03.png", top / "another of 03.png")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    top = tmp_path_factory.mktemp("duplicates") / "photos"
    draw(top)
    return top


@pytest.fixture(scope="module")
def indexes(tmp_path_factory, folder):
    """One index for each kind of measure: three segments, removed rows, a changed image."""
    paths = sorted(folder.glob("*.png"))
    made = {}
    for name, kind in KINDS.items():
        index = isf.Index.create(tmp_path_factory.mktemp("index"), kind())
        index.add(paths[20:])
        index.add(paths[:10])
        index.add(paths[10:20])
        index.remove([7, 25])
        made[name] = index
    yield made
    for index in made.values():
        index.close()


def contents(path):
    with open(path, "rb") as file:
        return file.read()


def slow_twin(measure, near, images, reference=()):
    """Sets of paths: each pair is compared by itself, groups grow until nothing joins."""
    if reference:
        couples = list(itertools.product(images, reference))
    else:
        couples = list(itertools.combinations(images, 2))
    links = [
        {a.path, b.path}
        for a, b in couples
        if contents(a.path) == contents(b.path) or near(measure.compare(a.descriptor, b.descriptor))
    ]
    groups = []
    for link in links:
        joined = [group for group in groups if group & link]
        groups = [group for group in groups if not group & link]
        groups.append(link.union(*joined))
    return groups


def nearness(measure, threshold):
    if measure.higher_is_better:
        return lambda value: value >= threshold
    return lambda value: value <= threshold


def alive(index):
    found = index.search(np.zeros((3, 3), np.uint8), 10**6)
    return index.images(sorted(found.ids.tolist()))


def as_sets(found):
    return sorted(sorted(group.paths) for group in found.groups)


def check_links(group, near):
    """As few of the near pairs as link what they link, those with the image to keep first."""
    assert set(group.pairs) <= set(near)
    ends = [{pair.first, pair.second} for pair in group.pairs]
    for pair in near:
        if group.keep in (pair.first, pair.second):
            assert pair in group.pairs
    parts = [{at} for at, image in enumerate(group.images) if image.copy_of is None]
    assert len(ends) == len(parts) - 1
    for link in ends:
        touched = [part for part in parts if part & link]
        parts = [part for part in parts if not part & link] + [set().union(*touched)]
    assert len(parts) == 1


# ---- against all pairs -------------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
def test_groups_are_those_of_all_pairs(indexes, name):
    index, measure = indexes[name], KINDS[name]()
    images = alive(index)
    by_path = {image.path: image for image in images}
    sizes = set()
    for threshold in LIMITS.get(name, (0, 1, 3, 9)):
        wanted = slow_twin(measure, nearness(measure, threshold), images)
        found = index.duplicates(threshold)
        assert as_sets(found) == sorted(map(sorted, wanted))
        assert (found.images, found.references, found.skipped) == (len(images), 0, [])
        assert [group.ids[0] for group in found.groups] == sorted(g.ids[0] for g in found.groups)
        for group in found.groups:
            assert group.ids == sorted(group.ids)
            assert group.ids == [by_path[path].id for path in group.paths]
            listed = [(pair.first, pair.second) for pair in group.pairs]
            assert listed == sorted(set(listed))
            firsts = [at for at, image in enumerate(group.images) if image.copy_of is None]
            near = []
            for a, b in itertools.combinations(firsts, 2):
                one, other = (by_path[group.paths[at]].descriptor for at in (a, b))
                value = measure.compare(one, other)
                if nearness(measure, threshold)(value):
                    near.append(DuplicatePair(a, b, value, None))
            check_links(group, near)
            assert group.exact == (len(firsts) == 1)
        for threads in (2, 5):
            assert index.duplicates(threshold, threads=threads) == found
        sizes.add(len(found))
    assert len(sizes) > 1  # the thresholds differ in what they find


@pytest.mark.parametrize("name", ["wasserstein", "corner", "alike"])
def test_the_default_is_what_the_measure_calls_near_identical(indexes, name):
    index, measure = indexes[name], KINDS[name]()
    found = index.duplicates()
    assert found == index.duplicates(measure.near_identical)
    assert found.threshold == measure.near_identical
    assert (found.measure, found.unit) == (measure.name, measure.unit)
    assert len(found) == len(found.groups)


@pytest.mark.parametrize("p", [1, 1.5, 2, 3])
@pytest.mark.parametrize("bins", [1, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65, 256])
def test_means_never_differ_by_more_than_the_distance(isa, p, bins):
    random = np.random.default_rng(bins)
    rows = random.integers(0, 9, (12, bins)).astype(np.uint32)
    rows[:, 0] += 1
    rows[3] = 0
    rows[3, -1] = 2**32 - 1
    measure = get_measure("wasserstein", bins=bins, p=p, range=(-3, 250))
    keys = measure.lower_bound_keys(rows)
    assert keys.shape == (12,)
    for row, key in zip(rows, keys, strict=True):
        distances = measure.values(row, as_rows(list(rows), rows.dtype, bins), 1)
        assert (abs(keys - key) <= distances + 1e-9).all()


def test_pairs_at_the_very_threshold_are_found(tmp_path):
    """One grey level apart, in the mean as in the distance."""
    with isf.Index.create(tmp_path / "index") as index:
        for level in range(250):
            write(tmp_path / "photos" / f"{level}.png", np.full((2, 2), level))
        index.add(tmp_path / "photos")
        (group,) = index.duplicates(1).groups
        assert len(group.images) == 250
        assert len(group.pairs) == 249
        assert len(index.duplicates(np.nextafter(1, 0))) == 0


def test_pieces_and_blocks_change_nothing(indexes, monkeypatch):
    limits = {"levels": 30, "alike": 0.5}
    wanted = {
        name: index.duplicates(limits.get(name, 3), threads=1) for name, index in indexes.items()
    }
    for piece, block in ((1, 1), (3, 2), (7, 100)):
        monkeypatch.setattr(pairs, "_PIECE", piece)
        monkeypatch.setattr(pairs, "_RAGGED_PIECE", piece)
        monkeypatch.setattr(pairs, "_BLOCK", block)
        for name, index in indexes.items():
            assert index.duplicates(limits.get(name, 3), threads=2) == wanted[name]


# ---- equal files -------------------------------------------------------------------------------


def test_equal_files_are_grouped_whatever_the_measure_says(indexes):
    for name, index in indexes.items():
        strict = 1e9 if KINDS[name]().higher_is_better else 0
        found = index.duplicates(strict)
        copies = [group for group in found.groups if group.exact]
        assert len(copies) >= 3
        for group in copies:
            assert [image.copy_of for image in group.images] == [None] + [0] * (
                len(group.images) - 1
            )
            assert len({contents(path) for path in group.paths}) == 1


def test_hundreds_of_equal_files_are_compared_once(tmp_path, monkeypatch):
    monkeypatch.setattr(pairs, "MOST_PAIRS", 10)
    write(tmp_path / "photos" / "a.png", np.zeros((3, 3)))
    for number in range(300):
        shutil.copy(tmp_path / "photos" / "a.png", tmp_path / "photos" / f"{number}.png")
    write(tmp_path / "photos" / "z.png", np.ones((3, 3)))
    with isf.Index.create(tmp_path / "index") as index:
        index.add(tmp_path / "photos")
        (group,) = index.duplicates(1).groups
        assert len(group.images) == 302
        assert len(group.pairs) == 1


@pytest.mark.parametrize("confirm", [None, Corner()])
def test_look_alikes_take_memory_for_the_images_not_for_their_pairs(tmp_path, confirm):
    """Equal to the measure, with other bytes: 600 images are 179,700 pairs."""
    top = tmp_path / "photos"
    write(top / "a.png", np.zeros((3, 3)))
    data = contents(top / "a.png")
    for number in range(599):
        (top / f"{number}.png").write_bytes(data + b"%d" % number)
    with isf.Index.create(tmp_path / "index") as index:
        index.add(top)
        index.duplicates(1, threads=1)
        tracemalloc.start()
        (group,) = index.duplicates(1, confirm=confirm, threads=1).groups
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(group.images) == 600
        assert {pair.first for pair in group.pairs} | {pair.second for pair in group.pairs} == {
            *range(600)
        }
        assert all(group.keep in (pair.first, pair.second) for pair in group.pairs)
        assert len(group.pairs) == len(group.links()) == 599
        assert confirm or peak < 3_000_000  # 17 bytes a pair


def test_the_image_to_keep_has_the_most_pixels_then_bytes_then_the_lowest_id(tmp_path):
    random = np.random.default_rng(0)
    noise = random.integers(99, 102, (20, 20))
    for name, values in (
        ("a", noise[:10]),
        ("b", np.full((20, 20), 100)),
        ("c", noise),
        ("d", noise[:, ::-1]),
    ):
        write(tmp_path / "photos" / f"{name}.png", values)
    shutil.copy(tmp_path / "photos" / "c.png", tmp_path / "photos" / "copy of c.png")
    with isf.Index.create(tmp_path / "index") as index:
        index.add(tmp_path / "photos")
        (group,) = index.duplicates(9).groups
        size = {name: (tmp_path / "photos" / f"{name}.png").stat().st_size for name in "bcd"}
        best = max("cd", key=lambda name: size[name])
        assert size["b"] < size[best]
        assert group.images[group.keep].path.endswith(f"/{best}.png")
        index.remove([image.id for image in group.images if image.path[-5] == "d"])
        (group,) = index.duplicates(9).groups
        kept = group.images[group.keep]
        assert kept.path.endswith("/c.png")  # not its copy
        assert (kept.width, kept.height, kept.bytes) == (20, 20, size["c"])


# ---- against a reference -----------------------------------------------------------------------


def test_a_folder_against_another_inside_the_same_index(tmp_path):
    draw(tmp_path / "all" / "new", 1, 31)
    draw(tmp_path / "all" / "known", 2, 31)
    write(tmp_path / "all" / "known too.png", np.zeros((9, 9)))
    known = tmp_path / "all" / "known"
    for kind in (KINDS["wasserstein"](), Alike(), Levels()):
        with isf.Index.create(tmp_path / kind.name, kind) as index:
            index.add(tmp_path / "all")
            images = alive(index)
            reference = [image for image in images if image.path.startswith(f"{known}/")]
            rest = [image for image in images if image not in reference]
            threshold = {"wasserstein": 2, "alike": 0.5, "levels": 30}[kind.name]
            wanted = slow_twin(kind, nearness(kind, threshold), rest, reference)
            assert wanted
            for where in (known, f"{known}/", os.fsencode(known)):
                found = index.duplicates(threshold, reference=where, threads=2)
                assert as_sets(found) == sorted(map(sorted, wanted))
            assert (found.images, found.references) == (len(rest), len(reference))
            for group in found.groups:
                sides = [image.reference for image in group.images]
                assert sides == sorted(sides, reverse=True)  # the reference first
                assert sides[0]
                assert not sides[-1]
                assert group.images[group.keep].reference
                for pair in group.pairs:
                    assert not group.images[pair.first].reference
                    assert group.images[pair.second].reference
            with pytest.raises(InvalidInputError, match=r"no image of the index lies in .*/elsew"):
                index.duplicates(threshold, reference=tmp_path / "elsewhere")
            with pytest.raises(InvalidInputError, match=r"all images of the index lie in .*/all/'"):
                index.duplicates(threshold, reference=tmp_path / "all")


def test_an_index_against_another(tmp_path):
    for kind in (KINDS["wasserstein"](), Alike()):
        draw(tmp_path / "new", 1)
        draw(tmp_path / "known", 2)
        shutil.copy(tmp_path / "known" / "05.png", tmp_path / "new" / "from there.png")
        with (
            isf.Index.create(tmp_path / f"{kind.name} new", kind) as new,
            isf.Index.create(tmp_path / f"{kind.name} known", kind) as known,
        ):
            new.add(tmp_path / "new")
            known.add(tmp_path / "known")
            threshold = {"wasserstein": 2, "alike": 0.5}[kind.name]
            wanted = slow_twin(kind, nearness(kind, threshold), alive(new), alive(known))
            found = new.duplicates(threshold, reference=known)
            assert as_sets(found) == sorted(map(sorted, wanted))
            strict = new.duplicates(1e-9 if kind.name == "wasserstein" else 1, reference=known)
            assert any("from there.png" in path for group in strict.groups for path in group.paths)
            # An image is no duplicate of itself: files that both hold are looked for nowhere.
            known.add(tmp_path / "new" / "07.png")
            again = new.duplicates(threshold, reference=known)
            assert again.images == found.images - 1
            assert all(
                len(set(group.paths)) == len(group.paths) and len(group.paths) > 1
                for group in again.groups
            )
            with (
                isf.Index.open(new.path, kind) as same,
                pytest.raises(InvalidInputError, match="reference is this very index"),
            ):
                new.duplicates(threshold, reference=same)


def test_a_reference_by_another_measure_is_refused(tmp_path, indexes):
    with pytest.raises(IndexMismatchError, match="has measure 'levels', not 'wasserstein'"):
        indexes["wasserstein"].duplicates(reference=indexes["levels"])
    with pytest.raises(IndexMismatchError, match="was made with bins=7, p=2, not bins=256, p=1"):
        indexes["wasserstein"].duplicates(reference=indexes["wasserstein, 7 bins, p = 2"])


# ---- confirming --------------------------------------------------------------------------------


@pytest.mark.parametrize("tile", [1, 3, 32])
@pytest.mark.parametrize("second", [Corner(), Alike(), Levels()], ids=lambda kind: kind.name)
def test_confirmed_pairs_pass_both(indexes, second, tile, monkeypatch):
    monkeypatch.setattr("imgsim_fast.index.duplicates._TILE", tile)
    index = indexes["wasserstein"]
    first = KINDS["wasserstein"]()
    limit = {"corner": 5, "alike": 0.0, "levels": 30}[second.name]
    images = alive(index)
    seen = {image.path: second.describe(isf.decode(image.path)) for image in images}

    class Both:
        """Passes where both do; the values of the second are looked up by path."""

        def compare(self, a, b):
            return nearness(first, 9)(first.compare(a[1], b[1])) and nearness(second, limit)(
                second.compare(seen[a[0]], seen[b[0]])
            )

    paired = [image._replace(descriptor=(image.path, image.descriptor)) for image in images]
    wanted = slow_twin(Both(), bool, paired)
    plain = index.duplicates(9)
    for threads in (1, 3):
        found = index.duplicates(9, confirm=second, confirm_threshold=limit, threads=threads)
        assert as_sets(found) == sorted(map(sorted, wanted))
        assert as_sets(found) != as_sets(plain)
        assert (found.confirm, found.confirm_threshold) == (second.name, limit)
        for group in found.groups:
            for pair in group.pairs:
                a, b = (group.paths[at] for at in (pair.first, pair.second))
                assert pair.confirmed == second.compare(seen[a], seen[b])
                assert nearness(second, limit)(pair.confirmed)


def test_confirming_by_name_with_options(indexes):
    index = indexes["corner"]
    by_name = index.duplicates(9, confirm="wasserstein", confirm_options={"p": 2, "bins": 32})
    by_object = index.duplicates(9, confirm=get_measure("wasserstein", p=2, bins=32))
    assert by_name == by_object
    assert by_name.confirm_threshold == get_measure("wasserstein").near_identical


def test_files_that_have_gone_or_changed_confirm_nothing_and_are_listed(tmp_path):
    top = tmp_path / "photos"
    for number in range(5):
        write(top / f"{number}.png", np.full((4, 4), 100 + number))
    shutil.copy(top / "2.png", top / "2 copy.png")
    with isf.Index.create(tmp_path / "index") as index:
        index.add(top)
        assert [len(group.images) for group in index.duplicates(1).groups] == [6]
        (top / "0.png").unlink()
        write(top / "4.png", np.full((4, 4), 103))
        (top / "2 copy.png").write_bytes(b"no image")  # the first of the two
        found = index.duplicates(1, confirm=Corner(), confirm_threshold=9)
        reasons = {os.path.basename(path): reason for path, reason in found.skipped}
        assert reasons.pop("2 copy.png").startswith("not an image")
        assert reasons == {
            "0.png": "no such file or directory",
            "4.png": "the file has changed since it was indexed",
        }
        # What is equal by its contents stays so: nothing had to be read for it.
        (group,) = found.groups
        assert sorted(map(os.path.basename, group.paths)) == ["2 copy.png", "2.png"]


# ---- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"threshold": -1}, InvalidInputError, "threshold must not be negative or NaN, got -1"),
        ({"threshold": float("nan")}, InvalidInputError, "threshold must not be negative or NaN"),
        ({"threshold": "x"}, InvalidTypeError, "threshold must be a number, got 'x'"),
        ({"confirm": "nope"}, InvalidInputError, "measure must be one of"),
        ({"confirm": 7}, InvalidTypeError, "confirm must be a measure or its name, got 7"),
        ({"confirm_threshold": 3}, InvalidInputError, "confirm_threshold=3 is of no measure"),
        ({"confirm": Corner(), "confirm_threshold": -2}, InvalidInputError, "confirm_threshold"),
        ({"confirm": Levels()}, InvalidInputError, "'levels' does not say .* give confirm_thre"),
        ({"confirm_options": {"p": 1}}, InvalidInputError, "are given .p., but no confirm"),
        ({"reference": 3}, InvalidTypeError, "expected a path, got 3"),
        ({"threads": 0}, InvalidInputError, "threads must be at least 1"),
    ],
)
def test_what_makes_no_sense_is_refused(indexes, options, error, words):
    with pytest.raises(error, match=words):
        indexes["wasserstein"].duplicates(**options)


def test_a_similarity_that_names_no_value_wants_a_threshold(indexes):
    with pytest.raises(InvalidInputError, match=r"'levels' does not say .* give threshold"):
        indexes["levels"].duplicates()


def test_too_many_pairs_are_an_error_not_a_full_memory(indexes, monkeypatch):
    monkeypatch.setattr(pairs, "MOST_PAIRS", 20)
    for name in ("wasserstein", "corner"):
        with pytest.raises(
            InvalidInputError, match=r"more than 20 pairs, .* threshold 999: choose"
        ):
            indexes[name].duplicates(999, confirm=Corner(), confirm_threshold=9)
        assert len(indexes[name].duplicates(999)) == 1  # where none has to be remembered


def test_small_and_empty_indexes(tmp_path):
    with isf.Index.create(tmp_path / "index") as index:
        assert index.duplicates().groups == []
        write(tmp_path / "a.png", np.zeros((3, 3)))
        index.add(tmp_path / "a.png")
        assert index.duplicates(999, confirm=Corner()).groups == []


def test_a_row_that_is_no_distribution_is_damage(tmp_path):
    path = tmp_path / "index"
    with isf.Index.create(path, bins=4) as index:
        for number in range(3):
            write(tmp_path / f"{number}.png", np.full((2, 2), number))
        index.add(sorted(tmp_path.glob("*.png")))
        snapshot = index._reader.current()
        segment = snapshot.segments[0]
        rows = np.array(segment.rows)
        rows[1] = 0
        snapshot.segments[0] = replace(segment, rows=rows)
        with pytest.raises(IndexCorruptError, match="row 1 is no distribution"):
            index.duplicates()


# ---- while it runs -----------------------------------------------------------------------------


def test_progress_counts_the_images_compared(indexes):
    for threads in (1, 3):
        seen = []
        found = indexes["wasserstein"].duplicates(3, threads=threads, progress=seen.append)
        assert seen == sorted(seen)
        distinct = {
            contents(image.path) for image in indexes["wasserstein"].images(
                number for number in range(1, found.images + 3) if number not in (7, 25)
            )
        }  # fmt: skip
        assert seen[-1] == len(distinct)


def test_an_error_while_comparing_ends_the_search(tmp_path, folder):
    class Failing(Corner):
        name = "failing"

        def values(self, query, rows, threads):
            raise RuntimeError("no luck")

    with isf.Index.create(tmp_path / "index", Failing()) as index:
        index.add(folder)
        for threads in (1, 4):
            with pytest.raises(RuntimeError, match="no luck"):
                index.duplicates(1, threads=threads)


def test_images_removed_by_another_process_meanwhile_are_left_out(tmp_path, folder):
    with isf.Index.create(tmp_path / "index") as index:
        index.add(folder)
        whole = index.duplicates(1)
        gone = whole.groups[0].ids[0]

        def remove(done):
            with isf.Index.open(index.path) as other:
                if len(other) == whole.images:
                    other.remove(gone)

        found = index.duplicates(1, progress=remove, threads=1)
        assert found.images == whole.images
        assert all(gone not in group.ids for group in found.groups)
        assert all(len(group.images) > 1 for group in found.groups)


PROGRAM = """
import os, signal, sys, threading, time
import numpy as np
import imgsim_fast as isf
sys.path.insert(0, {root!r})
from tests.measure_tools import Corner

compared, before = [], []

class Slow(Corner):
    def values(self, query, rows, threads):
        time.sleep(0.02)
        compared.append(len(rows))
        return super().values(query, rows, threads)

def interrupt():
    before.extend(compared)
    os.kill(os.getpid(), signal.SIGINT)

index = isf.Index.open({path!r}, Slow())
threading.Timer(0.3, interrupt).start()
try:
    index.duplicates(3, threads={threads})
except KeyboardInterrupt:
    print("interrupted", len(compared) - len(before), flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="POSIX signals")
@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_ends_it(tmp_path, threads):
    for number in range(200):
        write(tmp_path / "photos" / f"{number}.png", np.full((2, 2), number))
    with isf.Index.create(tmp_path / "index", Corner()) as index:
        index.add(tmp_path / "photos")
    root = os.path.dirname(os.path.dirname(__file__))
    program = PROGRAM.format(root=root, path=str(tmp_path / "index"), threads=threads)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.startswith("interrupted "), done.stderr
    # The queries at hand are finished; those of the blocks that wait, up to 112, are not begun.
    assert int(done.stdout.split()[1]) < 40
