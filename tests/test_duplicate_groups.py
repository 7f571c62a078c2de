"""Groups of duplicates: which image is to keep, which pairs are named, what is no pair."""

from __future__ import annotations

import time

import numpy as np
import pytest
from PIL import Image

import imgsim_fast as isf
from tests.measure_tools import Alike, Corner, Levels


def write(path, values):
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.asarray(values, np.uint8)).save(path)


def linked_with_the_one_to_keep(group):
    """Name of the image to keep, and those of the images that a pair links it with."""
    names = [path.rsplit("/", 1)[1] for path in group.paths]
    ends = [{pair.first, pair.second} for pair in group.pairs]
    partners = {names[at] for link in ends if group.keep in link for at in link - {group.keep}}
    return names[group.keep], partners


def test_pixels_count_before_bytes(tmp_path):
    noise = np.random.default_rng(0).integers(99, 102, (15, 20))
    values = {"a.png": noise, "b.png": np.full((20, 20), 100), "c.png": np.full((12, 12), 100)}
    for name, pixels in values.items():
        write(tmp_path / "photos" / name, pixels)
    assert (tmp_path / "photos" / "a.png").stat().st_size > (
        tmp_path / "photos" / "b.png"
    ).stat().st_size
    with isf.Index.create(tmp_path / "index") as index:
        index.add(tmp_path / "photos")
        (group,) = index.duplicates(9).groups
    assert linked_with_the_one_to_keep(group) == ("b.png", {"a.png", "c.png"})


@pytest.mark.parametrize("confirm", [None, "wasserstein"])
def test_an_image_of_the_reference_counts_before_pixels(tmp_path, confirm):
    sides = {"new/a.png": 30, "new/b.png": 6, "known/c.png": 10, "known/d.png": 20}
    for name, side in sides.items():
        write(tmp_path / name, np.full((side, side), 100))
    with (
        isf.Index.create(tmp_path / "index of new") as new,
        isf.Index.create(tmp_path / "index of known") as known,
    ):
        new.add(tmp_path / "new")
        known.add(tmp_path / "known")
        (group,) = new.duplicates(reference=known, confirm=confirm).groups
    assert linked_with_the_one_to_keep(group) == ("d.png", {"a.png", "b.png"})
    assert len(group.pairs) == 3


def test_equal_files_of_both_sides_are_grouped_whatever_the_measure_says(tmp_path):
    for name, level in {"new/a.png": 1, "new/b.png": 2, "known/c.png": 2, "known/d.png": 3}.items():
        write(tmp_path / name, np.full((4, 4), level))
    with (
        isf.Index.create(tmp_path / "index of new", Levels()) as new,
        isf.Index.create(tmp_path / "index of known", Levels()) as known,
    ):
        new.add(tmp_path / "new")
        known.add(tmp_path / "known")
        (group,) = new.duplicates(99, reference=known).groups  # no two share 99 levels
    assert [path.rsplit("/", 1)[1] for path in group.paths] == ["c.png", "b.png"]
    assert (group.exact, group.pairs) == (True, [])


def test_a_similarity_at_the_very_threshold_confirms(tmp_path):
    for number in range(2):
        pixels = np.full((11, 10), 100)
        pixels[10] += number  # beyond the hundred that count
        write(tmp_path / "photos" / f"{number}.png", pixels)
    with isf.Index.create(tmp_path / "index") as index:
        index.add(tmp_path / "photos")
        assert len(index.duplicates(confirm=Alike(), confirm_threshold=1)) == 1
        assert len(index.duplicates(confirm=Alike(), confirm_threshold=1.01)) == 0


def test_images_changed_by_another_process_meanwhile_are_left_out(tmp_path):
    top = tmp_path / "photos"
    for number in range(3):
        write(top / f"{number}.png", np.full((4, 4), 100 + number))
    with isf.Index.create(tmp_path / "index") as index:
        index.add(top)

        def change(done):
            with isf.Index.open(index.path) as other:
                write(top / "1.png", np.full((5, 5), 200))
                other.add(top)

        (group,) = index.duplicates(2, progress=change, threads=1).groups
        assert [path.rsplit("/", 1)[1] for path in group.paths] == ["0.png", "2.png"]
        assert index.stats().images == 3


def test_threads_do_not_run_far_ahead_of_whoever_takes_the_pairs(tmp_path, monkeypatch):
    monkeypatch.setattr("imgsim_fast.index.pairs._BLOCK", 1)
    compared, seen = [], []

    class Counting(Corner):
        def values(self, query, rows, threads):
            compared.append(len(rows))
            return super().values(query, rows, threads)

    def wait(done):
        if not seen:
            time.sleep(0.2)
        seen.append(len(compared))

    for number in range(40):
        write(tmp_path / "photos" / f"{number}.png", np.full((4, 4), number))
    with isf.Index.create(tmp_path / "index", Counting()) as index:
        index.add(tmp_path / "photos")
        index.duplicates(3, progress=wait, threads=2)
    assert seen[0] <= 7  # three waiting for each thread, and the one that is taken
    assert len(compared) == 39  # the last image has no later one
