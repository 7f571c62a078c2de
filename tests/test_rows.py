"""Rows of different lengths: by themselves, in an index, and damaged there."""

from __future__ import annotations

import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

import imgsim_fast as isf
from imgsim_fast.descriptors import grey_pixels, rgb_pixels
from imgsim_fast.errors import (
    IndexCorruptError,
    IndexMismatchError,
    IndexVersionError,
    InvalidInputError,
    InvalidTypeError,
)
from imgsim_fast.index import build
from imgsim_fast.measures import get_measure
from imgsim_fast.measures.base import rank
from imgsim_fast.rows import PickedRows, RaggedRows, as_matrix, as_rows
from tests.measure_tools import Levels

UINT32 = np.dtype(np.uint32)


def some_rows(seed=0, n=9):
    random = np.random.default_rng(seed)
    return [random.integers(0, 99, size, dtype=np.uint32) for size in random.integers(0, 7, n)]


# ---- rows by themselves ------------------------------------------------------------------------


def test_rows_come_out_as_they_went_in():
    rows = some_rows()
    ragged = RaggedRows.of(rows, UINT32)
    assert len(ragged) == len(rows)
    for index in (*range(9), -1, np.int64(3)):
        assert (ragged[index] == rows[index]).all()
        assert ragged[index].dtype == UINT32
    assert [list(row) for row in ragged] == [list(row) for row in rows]
    with pytest.raises(IndexError):
        ragged[9]


@pytest.mark.parametrize(
    "which", [slice(2, 5), slice(None), slice(5, 2), slice(None, None, -2), [4, 4, 0], [-1]]
)
def test_some_of_the_rows(which):
    rows = some_rows()
    ragged = RaggedRows.of(rows, UINT32)
    wanted = rows[which] if isinstance(which, slice) else [rows[index] for index in which]
    assert [list(row) for row in ragged[which]] == [list(row) for row in wanted]


def test_masks_pick_rows():
    rows = some_rows()
    mask = np.arange(9) % 2 == 0
    picked = RaggedRows.of(rows, UINT32)[mask]
    assert [list(row) for row in picked] == [list(row) for row in rows[::2]]


@pytest.mark.parametrize("most", [1, 3, 4, 20, 50, 1 << 22])
def test_picked_rows_come_in_pieces(most):
    rows = some_rows()
    ragged = as_rows(rows, UINT32, None)
    part_of, row_of = np.array([1, 0, 1, 0, 1]), np.array([4, 1, 0, 3, 2])
    wanted = [rows[4 * part + row] for part, row in zip(part_of, row_of, strict=True)]
    picked = PickedRows([ragged[:4], ragged[4:]], part_of, row_of)
    assert picked.lengths().tolist() == [len(row) for row in wanted]
    pieces = list(picked.pieces(most))
    assert np.concatenate(pieces).tolist() == np.concatenate(wanted).tolist()
    longest = max(row.nbytes for row in wanted)
    assert max(piece.nbytes for piece in pieces) <= max(most, longest)

    matrix = np.arange(12, dtype=UINT32).reshape(4, 3)
    picked = PickedRows([matrix, matrix + 50], np.array([1, 0, 0]), np.array([0, 3, 1]))
    assert picked.lengths().tolist() == [3, 3, 3]
    numbers = np.concatenate(list(picked.pieces(most)))
    assert numbers.tolist() == [50, 51, 52, 9, 10, 11, 3, 4, 5]


def test_stacking():
    ragged = as_rows(some_rows(), UINT32, None)
    assert as_rows([], UINT32, 5).shape == (0, 5)
    with pytest.raises(TypeError, match="ragged"):
        as_matrix(ragged)


# ---- ranking -----------------------------------------------------------------------------------


@pytest.mark.parametrize("higher", [False, True])
@pytest.mark.parametrize("k", [1, 2, 7, 40, 99])
def test_ranks_are_those_of_a_sort(higher, k):
    random = np.random.default_rng(k)
    values = random.integers(0, 6, 40).astype(float)
    skip = (random.random(40) < 0.3).astype(np.uint8)
    for mask in (None, skip, np.ones(40, np.uint8)):
        alive = [i for i in range(40) if mask is None or not mask[i]]
        wanted = sorted(alive, key=lambda i: (-values[i] if higher else values[i], i))[:k]
        assert rank(values, mask, k, higher_is_better=higher).tolist() == wanted


# ---- a measure with such rows in an index ------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    random = np.random.default_rng(1)
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(30):
        pixels = random.integers(0, number + 1, (6, 7), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02d}.png")
    return folder


def test_an_index_takes_a_measure_of_somebody(folder, tmp_path):
    path = tmp_path / "index"
    with isf.Index.create(path, Levels()) as index:
        for number in range(0, 30, 10):
            index.add(sorted(folder.glob("*.png"))[number : number + 10], threads=2)
        assert index.verify() == []
        index.remove([3, 17])
    with isf.Index.open(path, Levels()) as index:
        assert index.measure == "levels"
        assert index.higher_is_better
        query = folder / "29.png"
        found = index.search(query, 99)
        kind = Levels()
        wanted = [
            (-kind.compare(index.describe(query), index.describe(image.path)), image.id)
            for image in index.images(i for i in range(1, 31) if i not in (3, 17))
        ]
        assert [(-d, i) for d, i in zip(found.distances, found.ids, strict=True)] == sorted(wanted)
        assert (index.range_search(query, 12).distances >= 12).all()


def test_small_segments_of_ragged_rows_merge(folder, tmp_path):
    paths = sorted(folder.glob("*.png"))
    with isf.Index.create(tmp_path / "many", Levels()) as index:
        for path in paths:
            index.add([path])
        assert index.stats().segments < 20
        assert index.verify() == []
        with isf.Index.create(tmp_path / "one", Levels()) as other:
            other.add(paths)
            for found, wanted in zip(
                index.search(paths[20], 30), other.search(paths[20], 30), strict=True
            ):
                assert list(found) == list(wanted)


class Pixels(Levels):
    """Rows as large as the images."""

    row_dtype = np.dtype(np.uint8)

    def describe(self, image):
        return np.array(image).reshape(-1)

    def values(self, query, rows, threads):
        return np.array([float(row.sum()) for row in rows])


def test_merging_takes_little_memory(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(17):
        pixels = np.full((2000, 1500), number, np.uint8)  # 3 MB
        Image.fromarray(pixels).save(folder / f"{number:02d}.png")
    paths = sorted(folder.iterdir())
    with isf.Index.create(tmp_path / "index", Pixels()) as index:
        for path in paths[:16]:
            index.add([path], threads=1)
        assert index.stats().segments == 16
        tracemalloc.start()
        try:
            index.add([paths[16]], threads=1)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert index.stats().segments == 1
        assert index.verify() == []
        assert index.search(paths[0], 17).distances.tolist() == [
            3_000_000.0 * number for number in range(16, -1, -1)
        ]
    assert most < 30e6  # the rows are 51 MB


def test_large_segments_are_not_copied_again(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "_SMALL_BYTES", 100)
    with isf.Index.create(tmp_path / "index", Pixels()) as index:
        for path in sorted(folder.iterdir())[:20]:  # 30 bytes of pixels and a header of 128
            index.add([path])
        assert index.stats().segments == 20
        assert index.verify() == []
        monkeypatch.setattr(build, "_PARTS_OF_ALL", 4)  # a large index: few segments still
        index.add([sorted(folder.iterdir())[20]])
        assert index.stats().segments == 1


def test_opening_without_the_measure_says_what_is_needed(folder, tmp_path):
    path = tmp_path / "index"
    isf.Index.create(path, Levels(2)).close()
    with pytest.raises(IndexVersionError, match=r"needs the measure 'levels' with .'least': 2."):
        isf.Index.open(path)
    with pytest.raises(IndexMismatchError, match="was made with least=2, not least=1"):
        isf.Index.open(path, Levels())
    with pytest.raises(IndexMismatchError, match="has measure 'levels', not 'wasserstein'"):
        isf.Index.open(path, "wasserstein")
    with pytest.raises(InvalidTypeError, match="'levels' is an object that has its options"):
        get_measure(Levels(), least=3)


@pytest.mark.parametrize("at", [0, 8, 16])
def test_offsets_that_cannot_be_are_damage(folder, tmp_path, at):
    path = tmp_path / "index"
    with isf.Index.create(path, Levels()) as index:
        index.add(folder)
    file = path / "segment-00000001.rows.npy"
    data = bytearray(file.read_bytes())
    data[128 + at + 7] = 0x7F  # the highest byte of an offset
    file.write_bytes(data)
    with isf.Index.open(path, Levels()) as index:
        index._reader.catalog._db.execute("UPDATE segments SET rows_crc = ?", (zlib.crc32(data),))
        with pytest.raises(IndexCorruptError, match="does not hold 30 rows of uint32"):
            index.search(folder / "00.png")
        assert any("does not hold 30 rows" in problem for problem in index.verify())


# ---- describing in batches ---------------------------------------------------------------------


class Batched(Levels):
    """The same, and it says how it was called."""

    name = "batched"
    in_batches = True

    def __init__(self):
        super().__init__()
        self.sizes = []

    def describe_many(self, images):
        self.sizes.append(len(images))
        if any(grey_pixels(image).max() == 0 for image in images):
            raise InvalidInputError("one of them is black")
        return super().describe_many(images)

    def describe(self, image):
        if grey_pixels(image).max() == 0:
            raise InvalidInputError("it is black")
        return super().describe(image)


def test_batches_give_the_rows_of_single_images(folder, tmp_path):
    kind = Batched()
    with isf.Index.create(tmp_path / "index", kind) as index:
        report = index.add(folder, threads=1)
        assert max(kind.sizes) > 1
        black = [path for path, reason in report.skipped if reason == "it is black"]
        assert len(black) == len(report.skipped) == 1
        assert report.added == 29
        for image in index.images(range(1, 30)):
            assert list(image.descriptor) == list(index.describe(image.path))


# ---- pixels ------------------------------------------------------------------------------------


def test_pixels_are_upright_and_have_the_channels_asked_for():
    random = np.random.default_rng(2)
    colour = random.integers(0, 256, (4, 6, 3), dtype=np.uint8)
    grey = colour[..., 0]
    assert (rgb_pixels(colour[:, ::-1]) == colour[:, ::-1]).all()
    assert (rgb_pixels(grey)[..., 2] == grey).all()
    assert (grey_pixels(grey[..., None]) == grey).all()
    assert (grey_pixels(colour) == np.asarray(Image.fromarray(colour).convert("L"))).all()
    turned = Image.fromarray(colour)
    turned.getexif()[0x0112] = 6
    turned.info["exif"] = turned.getexif().tobytes()
    assert (rgb_pixels(turned) == np.rot90(colour, -1)).all()
    assert grey_pixels(turned).shape == (6, 4)
    for pixels in (rgb_pixels(colour[::2, ::3]), grey_pixels(grey.T)):
        assert pixels.flags.c_contiguous
    with pytest.raises(InvalidInputError, match=r"no pixels: its shape is \(0, 3\)"):
        grey_pixels(np.empty((0, 3), np.uint8))
    with pytest.raises(InvalidTypeError, match="must be uint8, got float64"):
        rgb_pixels(np.zeros((3, 3)))
    with pytest.raises(InvalidTypeError, match="got CMYK"):
        rgb_pixels(Image.new("CMYK", (3, 3)))
