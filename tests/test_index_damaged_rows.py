"""Damaged rows whose checksum is right: every call says so, whatever the measure does with them."""

from __future__ import annotations

import itertools
import sqlite3
import zlib

import numpy as np
import pytest
from PIL import Image

import imgsim_fast as isf
from imgsim_fast.errors import IndexCorruptError

IMAGES = 6


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Folder of six noisy images, each with a colour of its own."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(4)
    for number in range(IMAGES):
        pixels = random.integers(30 * number, 30 * number + 60, (64, 80, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def put(at, value, dtype):
    """Return a change that writes a number at a byte of a row."""

    def change(offsets, values, row):
        number = np.frombuffer(np.array([value], dtype).tobytes(), values.dtype)
        start = offsets[row] + at // values.itemsize
        values[start : start + len(number)] = number

    return change


def shifted(offsets, values, row):
    offsets[row] += 1


def emptied(offsets, values, row):
    offsets[row] = offsets[row + 1]


def zeroed(offsets, values, row):
    values[offsets[row] : offsets[row + 1]] = 0


def tiny(offsets, values, row):
    """Keep the head of the row before this one, which says that the image has 0 x 0 pixels."""
    values[offsets[row - 1] : offsets[row - 1] + 8] = 0
    offsets[row] = offsets[row - 1] + 8


SSIM = ("ssim", {}, "u1")
EMD = ("emd", {"position": 5.0}, "<f8")
SPARSE = [
    (name, {"bins": 256}, "<u4")
    for name in ("correlation", "chi2", "chi2-alt", "intersection", "bhattacharyya", "kl")
]
ORB = ("orb", {}, "u1")

CASES = [
    *itertools.product([SSIM], [shifted, emptied, zeroed, tiny]),
    *itertools.product([SSIM], [put(at, h, "<u4") for at in (0, 4) for h in (0, 1, 2**31)]),
    *itertools.product([EMD], [shifted, emptied, zeroed]),
    *itertools.product([EMD], [put(0, v, "<f8") for v in (np.nan, np.inf, -1.0, 0.0, 1e308)]),
    *itertools.product([EMD], [put(8, v, "<f8") for v in (np.nan, -np.inf, 1e308)]),
    *itertools.product([EMD], [put(32, v, "<f8") for v in (-5.1, 5.1)]),
    *itertools.product([EMD], [put(48, v, "<f8") for v in (-1.0, 256.0)]),
    *itertools.product(SPARSE, [shifted, zeroed, put(0, 2**24, "<u4")]),
    *itertools.product([ORB], [shifted, emptied, zeroed]),
    *itertools.product([ORB], [put(at, side, "<u4") for at in (4, 8) for side in (0, 2**31)]),
]


@pytest.mark.parametrize("row", [0, 3])
@pytest.mark.parametrize(("setting", "change"), CASES)
def test_every_call_names_the_segment(photos, tmp_path, setting, change, row):
    name, options, dtype = setting
    if name == "orb":
        pytest.importorskip("cv2")
    if row == 0 and change in (shifted, tiny, emptied):
        row = 1  # the first offset is looked at before
    path = tmp_path / "index"
    with isf.Index.create(path, name, **options) as index:
        index.add(photos, threads=1)
    damage(path, dtype, change, row)

    label = {str(file): file.name for file in photos.iterdir()}
    with isf.Index.open(path) as index:
        assert "segment-00000001: row " in index.verify()[0]
        radius = 0.0 if index.higher_is_better else 1e6
        calls = {
            "search": lambda: index.search(photos / "5.png", 3),
            "range_search": lambda: index.range_search(photos / "5.png", radius),
            "duplicates": lambda: index.duplicates(radius, threads=1),
            "evaluate": lambda: isf.evaluate(index, label, k=1),
            "images": lambda: index.images(range(1, IMAGES + 1)),
        }
        for function in calls.values():
            with pytest.raises(IndexCorruptError, match=r"segment-00000001: row \d"):
                function()


def damage(path, dtype, change, row):
    """Change a row, or the offset of its start, and sign the file again."""
    file = path / "segment-00000001.rows.npy"
    packed = np.load(file)
    head = 8 * (IMAGES + 1)
    change(packed[:head].view("<i8"), packed[head:].view(dtype), row)
    np.save(file, packed)
    data = file.read_bytes()
    with sqlite3.connect(path / "catalog.sqlite") as catalog:
        catalog.execute(
            "UPDATE segments SET rows_bytes = ?, rows_crc = ?", (len(data), zlib.crc32(data))
        )
    catalog.close()


def test_an_error_that_no_row_explains_goes_on(photos, tmp_path):
    """A measure may fail for reasons of its own."""
    from tests.measure_tools import Levels

    class Failing(Levels):
        def values(self, query, rows, threads):
            raise ZeroDivisionError("of its own")

    with isf.Index.create(tmp_path / "index", Failing()) as index:
        index.add(photos)
        with pytest.raises(ZeroDivisionError, match="of its own"):
            index.search(photos / "1.png", 3)
