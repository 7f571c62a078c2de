"""SIFT, ORB and SURF: descriptors, matches against a slow twin and OpenCV, values, damage."""

from __future__ import annotations

import json
import sys
import types

import numpy as np
import pytest
from PIL import Image

import imgsim_fast as isf
from imgsim_fast.errors import (
    IndexCorruptError,
    InvalidInputError,
    InvalidTypeError,
    MissingExtraError,
)
from imgsim_fast.measures import describe, get_measure
from imgsim_fast.rows import RaggedRows
from tests.reference_keypoints import matches as slow_matches

cv2 = pytest.importorskip("cv2", exc_type=ImportError)

NAMES = ("sift", "orb")
UINT8 = np.dtype(np.uint8)


def scene(seed=0, height=150, width=190):
    """Blobs and edges: enough keypoints for both detectors."""
    random = np.random.default_rng(seed)
    image = Image.fromarray(random.integers(0, 256, (24, 30, 3), dtype=np.uint8))
    smooth = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC)).copy()
    for _ in range(25):
        y, x = random.integers(0, height - 20), random.integers(0, width - 20)
        smooth[y : y + random.integers(4, 20), x : x + random.integers(4, 20)] = random.integers(
            0, 256, 3
        )
    return smooth


def flat(height=100, width=120):
    return np.full((height, width), 90, np.uint8)


def packed(points, descriptors, width=100, height=80):
    head = np.array([len(points), width, height, descriptors.shape[1]], "<u4")
    parts = (head, np.asarray(points, "<f4"), descriptors)
    return np.concatenate([part.reshape(-1).view(np.uint8) for part in parts])


def some_rows(name, seed=0, count=12):
    """Descriptors with many ties: few distinct ones, near each other."""
    kind = get_measure(name)
    random = np.random.default_rng(seed)
    rows = []
    for n in random.integers(0, 40, count):
        stored = np.zeros((n, kind._bytes), np.uint8)
        stored[:, :3] = random.integers(0, 4, (n, 3))
        rows.append(packed(random.random((n, 2)) * 80, stored))
    return rows


# ---- descriptors -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_descriptors_are_those_of_opencv(name):
    image = scene()
    kind = get_measure(name, features=300)
    row = kind.describe(image)
    assert row.dtype == np.uint8
    assert row.ndim == 1
    grey = isf.images.to_grey(image)
    detector = cv2.SIFT_create(300) if name == "sift" else cv2.ORB_create(300)
    keypoints, wanted = detector.detectAndCompute(grey, None)
    assert (wanted == np.rint(wanted)).all()  # so that bytes lose nothing
    assert wanted.min() >= 0
    assert wanted.max() <= 255
    found = kind._unpacked(row)
    assert found.size == (190, 150)
    assert 40 < len(found.points) <= 300
    stored = row[16 + 8 * len(found.points) :].reshape(len(found.points), -1)
    theirs = {(*k.pt, *d.astype(int)) for k, d in zip(keypoints, wanted, strict=True)}
    ours = {(*p, *d) for p, d in zip(found.points.tolist(), stored.tolist(), strict=True)}
    assert ours <= theirs
    assert len(ours) >= min(300, len(theirs))


@pytest.mark.parametrize("name", NAMES)
def test_at_most_as_many_keypoints_as_asked_for_the_strongest(name):
    image = scene()
    rows = [get_measure(name, features=n).describe(image) for n in (1, 7, 50)]
    counts = [int(row[:4].view("<u4")[0]) for row in rows]
    if name == "sift":
        assert counts == [1, 7, 50]
        strongest = rows[2][16:].view("<f4")[:14]
        np.testing.assert_array_equal(rows[1][16:].view("<f4")[:14], strongest)
    else:  # OpenCV shares them out among the levels of its pyramid
        assert counts[0] <= 1
        assert counts[1] <= 7
        assert 25 < counts[2] <= 50


@pytest.mark.parametrize("name", NAMES)
def test_large_images_are_scaled_down(name):
    image = scene(1, 300, 400)
    small = get_measure(name, size=100)
    row = small.describe(image)
    found = small._unpacked(row)
    assert found.size == (100, 75)
    by_hand = cv2.resize(isf.images.to_grey(image), (100, 75), interpolation=cv2.INTER_AREA)
    assert row.tobytes() == get_measure(name).describe(by_hand).tobytes()
    assert get_measure(name, size=0)._unpacked(get_measure(name, size=0).describe(image)).size == (
        400,
        300,
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 5), (3, 3), (7, 300), (300, 2), (8, 8), (9, 31), (64, 64), (1, 5000)]
)
def test_images_of_any_size_have_a_descriptor(name, shape):
    kind = get_measure(name)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    row = kind.describe(pixels)
    found = kind._unpacked(row)
    assert not isinstance(found, str)
    assert kind.compare(row, row) == (1.0 if len(found.points) else 0.0)


@pytest.mark.parametrize("name", NAMES)
def test_orientation_is_applied_first(name, tmp_path):
    image = Image.fromarray(scene())
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.png", exif=exif)
    image.transpose(Image.Transpose.ROTATE_270).save(tmp_path / "upright.png")
    kind = get_measure(name)
    turned, upright = (describe(kind, tmp_path / n) for n in ("turned.png", "upright.png"))
    assert turned.tobytes() == upright.tobytes()
    assert kind._unpacked(turned).size == (150, 190)


@pytest.mark.parametrize("name", NAMES)
def test_describing_is_the_same_whatever_the_threads_and_strides(name):
    image = scene(3)
    kind = get_measure(name)
    wanted = kind.describe(image).tobytes()
    before = cv2.getNumThreads()
    try:
        for threads in (1, 2, 3):
            cv2.setNumThreads(threads)
            cv2.setRNGSeed(threads)
            assert kind.describe(image).tobytes() == wanted
            assert cv2.getNumThreads() == threads  # the user's setting stays
    finally:
        cv2.setNumThreads(before)
    wide = np.repeat(image, 2, axis=1)[:, ::2]
    read_only = image.copy()
    read_only.flags.writeable = False
    for other in (wide, read_only, np.asfortranarray(image)):
        assert kind.describe(other).tobytes() == wanted


# ---- matches -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("ratio", [0.5, 0.75, 1.0])
def test_matches_are_those_of_the_slow_twin(name, ratio):
    kind = get_measure(name, ratio=ratio, features=40)
    rows = some_rows(name, count=6) + [kind.describe(scene(s)) for s in (0, 4)]
    for a in rows:
        for b in rows:
            first, second = kind._unpacked(a), kind._unpacked(b)
            wanted = slow_matches(a, b, ratio, hamming=name == "orb")
            left, right, squares = kind._matches(first, second)
            assert len(left) == len(set(left.tolist())) == len(set(right.tolist()))
            found = sorted(zip(left.tolist(), right.tolist(), squares.tolist(), strict=True))
            # Which of several equal descriptors are paired is a free choice; how many is not.
            assert [pair for pair in found if pair[2]] == [pair for pair in wanted if pair[2]]
            assert len(found) == len(wanted)
            larger = max(len(first.points), len(second.points))
            assert kind.compare(a, b) == (len(found) / larger if larger else 0.0)
            assert kind.compare(a, b) == kind.compare(b, a)


@pytest.mark.parametrize("name", NAMES)
def test_matches_are_mutual_ratio_matches_of_opencv(name):
    """Real descriptors hold no two that are equal: OpenCV's brute force is a twin."""
    kind = get_measure(name)
    a, b = kind.describe(scene(5)), kind.describe(np.roll(scene(5), 9, axis=1))
    first, second = kind._unpacked(a), kind._unpacked(b)

    def stored(row, n):
        data = row[16 + 8 * n :].reshape(n, -1)
        return data.astype(np.float32) if name == "sift" else data

    one, two = stored(a, len(first.points)), stored(b, len(second.points))
    matcher = cv2.BFMatcher(cv2.NORM_L2 if name == "sift" else cv2.NORM_HAMMING)

    def good(query, train):
        pairs = matcher.knnMatch(query, train, 2)
        return {(m.queryIdx, m.trainIdx): m.distance for m, n in pairs
                if m.distance < 0.75 * n.distance or m.distance == 0}  # fmt: skip

    there, back = good(one, two), good(two, one)
    wanted = {pair: d for pair, d in there.items() if pair[::-1] in back}
    matched = kind.match(a, b)
    assert len(matched.points1) == len(wanted) > 20
    left, right, _ = kind._matches(first, second)
    assert set(zip(left.tolist(), right.tolist(), strict=True)) == set(wanted)
    np.testing.assert_array_equal(matched.points1, first.points[left])
    np.testing.assert_array_equal(matched.points2, second.points[right])
    theirs = [wanted[pair] for pair in zip(left.tolist(), right.tolist(), strict=True)]
    np.testing.assert_allclose(matched.distances, theirs, rtol=1e-6)
    assert matched.inliers.all()
    assert (matched.size1, matched.size2) == ((190, 150), (190, 150))
    moved = np.median(matched.points2 - matched.points1, axis=0)
    np.testing.assert_allclose(moved, [9, 0], atol=0.5)


# ---- values ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("ransac", [False, True])
def test_values_at_the_ends(name, ransac):
    kind = get_measure(name, ransac=ransac)
    image, other = scene(0), scene(1)
    assert isf.compare(image, image, kind) == 1.0
    assert isf.compare(flat(), flat(), kind) == 0.0
    assert isf.compare(image, flat(), kind) == isf.compare(flat(), image, kind) == 0.0
    assert 0 <= isf.compare(image, other, kind) < kind.near_identical / 2
    smaller = np.asarray(Image.fromarray(image).resize((171, 135), Image.Resampling.LANCZOS))
    assert kind.near_identical < isf.compare(image, smaller, kind) < 1
    assert isf.compare(image, np.rot90(image), kind) > 0.5
    assert kind.higher_is_better
    assert kind.unit == ""
    assert kind.row_length is None


@pytest.mark.parametrize("name", NAMES)
def test_an_image_of_equal_keypoints_is_one_with_itself(name):
    """Equal descriptors fail every ratio test; a value of less than 1 would be absurd."""
    stored = np.ones((6, get_measure(name)._bytes), np.uint8)
    points = np.random.default_rng(0).random((6, 2)) * 50
    for ransac in (False, True):
        kind = get_measure(name, ransac=ransac)
        for n in (1, 2, 3, 6):
            row = packed(points[:n], stored[:n])
            assert kind.compare(row, row) == 1.0
        assert get_measure(name).compare(
            packed(points, stored), packed(points[:2], stored[:2])
        ) == (pytest.approx(1 / 3))


def test_ransac_counts_what_one_homography_explains():
    kind, checked = get_measure("sift"), get_measure("sift", ransac=True)
    image = scene(2)
    halves = np.concatenate([image[:, 95:], image[:, :95]], axis=1)  # no homography does this
    a, b = kind.describe(image), kind.describe(halves)
    all_of_them, some = kind.match(a, b), checked.match(a, b)
    np.testing.assert_array_equal(all_of_them.points1, some.points1)
    assert 0.2 < some.inliers.mean() < 0.9
    assert checked.compare(a, b) == pytest.approx(kind.compare(a, b) * some.inliers.mean())
    moved = (some.points2 - some.points1)[some.inliers]
    assert np.ptp(moved[:, 0]) <= 20  # all inliers went the same way
    for seed in (1, 2, 3):
        cv2.setRNGSeed(seed)
        np.testing.assert_array_equal(checked.match(a, b).inliers, some.inliers)


def test_ransac_survives_points_that_no_image_has():
    kind = get_measure("sift", ransac=True)
    random = np.random.default_rng(0)
    stored = random.integers(0, 256, (20, 128), dtype=np.uint8)
    for points in (np.zeros((20, 2)), np.full((20, 2), 3e38), random.normal(0, 1e30, (20, 2)),
                   np.repeat(np.arange(20.0)[:, None], 2, 1)):  # fmt: skip
        row, other = packed(points, stored), packed(points[::-1], stored, 1, 1)
        for a, b in ((row, row), (row, other), (other, row)):
            assert 0 <= kind.compare(a, b) <= 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("ransac", [False, True])
def test_every_number_of_threads_gives_the_same(name, ransac):
    kind = get_measure(name, ransac=ransac)
    rows = RaggedRows.of([kind.describe(scene(s, 90, 100)) for s in range(21)], UINT8)
    query = kind.describe(scene(20, 90, 100))
    wanted = kind.values(query, rows, 1)
    assert wanted[20] == 1
    assert wanted.tolist() == [kind.compare(query, row) for row in rows]
    for threads in (2, 3, 7):
        assert kind.values(query, rows, threads).tobytes() == wanted.tobytes()
    assert kind.values(query, rows[:0], 2).shape == (0,)
    best = kind.nearest(query, rows, None, 3, 2)
    assert best.indices[0] == 20


# ---- options, damage, missing packages ---------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_options_are_plain_json(name):
    kind = get_measure(name, features=np.int64(9), ratio=np.float32(0.5), ransac=np.True_, size=64)
    text = json.dumps(dict(kind.options))
    assert json.loads(text) == {"features": 9, "ratio": 0.5, "ransac": True, "size": 64}
    assert dict(get_measure(name, **json.loads(text)).options) == json.loads(text)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"features": 0}, InvalidInputError, "features must be at least 1, got 0"),
        ({"features": 10**9}, InvalidInputError, "features must be at most 100000"),
        ({"features": 2.5}, InvalidTypeError, "features must be an integer"),
        ({"ratio": 0}, InvalidInputError, r"ratio must be in \(0, 1\], got 0"),
        ({"ratio": 1.1}, InvalidInputError, r"ratio must be in \(0, 1\], got 1.1"),
        ({"ratio": float("nan")}, InvalidInputError, "got nan"),
        ({"ratio": "x"}, InvalidTypeError, "ratio must be a number, got 'x'"),
        ({"ratio": True}, InvalidTypeError, "ratio must be a number"),
        ({"ransac": 1}, InvalidTypeError, "ransac must be true or false, got 1"),
        ({"size": -1}, InvalidInputError, "size must be at least 0, got -1"),
    ],
)
def test_bad_options(options, error, words):
    with pytest.raises(error, match=words):
        get_measure("sift", **options)


def test_damaged_rows_are_named():
    kind = get_measure("orb", features=10)
    good = packed(np.ones((3, 2)), np.ones((3, 32), np.uint8))
    bad = {
        "no head": good[:15],
        "3 keypoints in": good[:-1],
        "descriptors of 128 bytes": packed(np.ones((3, 2)), np.ones((3, 128), np.uint8)),
        "11 keypoints in": packed(np.ones((11, 2)), np.ones((11, 32), np.uint8)),
        "not finite": packed(np.full((3, 2), np.nan), np.ones((3, 32), np.uint8)),
        "keypoints in": np.full(len(good), 255, np.uint8),
    }
    for words, row in bad.items():
        rows = RaggedRows.of([good, row, good], UINT8)
        where, why = kind.first_bad(rows)
        assert where == 1
        with pytest.raises(InvalidInputError, match="query holds no keypoints of orb"):
            kind.values(row, rows, 1)
        for threads in (1, 2):
            with pytest.raises(IndexCorruptError, match="row 1 holds no keypoints"):
                kind.values(good, rows, threads)
        if words != "keypoints in":
            assert words in why
    assert kind.first_bad(RaggedRows.of([good, good], UINT8)) is None
    for query in (good.astype(int), good[:, None], None):
        with pytest.raises(InvalidTypeError, match="query must be a row of uint8"):
            kind.values(query, RaggedRows.of([good], UINT8), 1)
    with pytest.raises(InvalidInputError, match="b holds no keypoints"):
        kind.match(good, good[:-1])


@pytest.mark.parametrize("name", NAMES)
def test_any_bytes_are_refused_or_compared(name):
    kind = get_measure(name, ransac=True)
    random = np.random.default_rng(0)
    good = bytearray(kind.describe(scene(0, 80, 80)).tobytes())
    for _ in range(60):
        data = good.copy()
        for at in random.integers(0, len(data), 4).tolist() + random.integers(0, 16, 1).tolist():
            data[at] = random.integers(0, 256)
        row = np.frombuffer(data[: random.integers(0, len(data))] or data, np.uint8)
        for each in (row, np.frombuffer(data, np.uint8)):
            rows = RaggedRows.of([each], UINT8)
            try:
                assert 0 <= kind.values(np.frombuffer(good, np.uint8), rows, 1)[0] <= 1
                assert kind.first_bad(rows) is None
            except IndexCorruptError:
                assert kind.first_bad(rows) is not None


def test_a_missing_opencv_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtraError, match=r"imgsim_fast\[opencv\].*two OpenCV wheels") as got:
        get_measure("sift")
    assert isinstance(got.value, ImportError)


def test_surf_says_what_it_needs():
    if hasattr(cv2, "xfeatures2d"):
        pytest.skip("this OpenCV has contrib modules")
    with pytest.raises(MissingExtraError, match=r"OPENCV_ENABLE_NONFREE.*has no SURF.*'sift'"):
        get_measure("surf")


def test_surf_of_a_wheel_with_contrib_is_locked(monkeypatch):
    def create(**_):
        raise cv2.error("patented and excluded")

    modules = types.SimpleNamespace(SURF_create=create)
    monkeypatch.setattr(cv2, "xfeatures2d", modules, raising=False)
    with pytest.raises(MissingExtraError, match=r"OPENCV_ENABLE_NONFREE.*locked"):
        get_measure("surf")


def test_surf_where_there_is_one(monkeypatch):
    """A detector of the same interface stands for it: SIFT's first 64 numbers, as floats."""

    class Detector:
        def detectAndCompute(self, image, mask):  # noqa: N802
            keypoints, found = cv2.SIFT_create(2000).detectAndCompute(image, mask)
            return keypoints, None if found is None else found[:, :64] / 512 - 0.1

    modules = types.SimpleNamespace(SURF_create=lambda hessianThreshold: Detector())
    monkeypatch.setattr(cv2, "xfeatures2d", modules, raising=False)
    kind = get_measure("surf", features=100)
    image = scene()
    row = kind.describe(image)
    assert row[:4].view("<u4")[0] == 100
    assert kind.compare(row, row) == 1.0
    moved = kind.describe(np.roll(image, 4, axis=0))
    matched = kind.match(row, moved)
    assert 0.3 < kind.compare(row, moved) < 1
    assert (matched.distances < 0.5).all()
    assert isf.compare(image, flat(), kind) == 0.0


# ---- in an index -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_an_index_finds_the_image_that_was_cropped_and_turned(name, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(8):
        Image.fromarray(scene(number)).save(folder / f"{number}.png")
    Image.fromarray(flat()).save(folder / "flat.png")
    for threads in (1, 2):
        with isf.Index.create(tmp_path / f"index{threads}", name, features=200) as index:
            report = index.add(folder, threads=threads)
            assert (report.added, report.skipped) == (9, [])
            assert index.verify() == []
    query = Image.fromarray(np.rot90(scene(3)[10:, 10:]))
    found = []
    for threads in (1, 2):
        with isf.Index.open(tmp_path / f"index{threads}") as index:
            found.append(index.search(query, 9))
            assert found[-1].paths[0] == str(folder / "3.png")
            assert found[-1].distances[-1] == 0.0
            assert len(index.range_search(query, 0.2)) == 3
    assert found[0].distances.tobytes() == found[1].distances.tobytes()
