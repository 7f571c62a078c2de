"""Parts that are searched apart and merged give the answer of the whole, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import imgsim_fast as isf
from imgsim_fast.errors import InvalidInputError, InvalidTypeError
from tests import reference
from tests.index_tools import as_list, made, pixels, write


def few_values(n, cols, seed=0):
    """Rows of few whole masses: many distances are equal, also across parts."""
    rng = np.random.default_rng((seed, n, cols))
    rows = rng.integers(0, 3, (n, cols)).astype(float)
    rows[:, 0] += 1
    return rows


def cuts(n, parts):
    """Begins and ends of the parts, of different lengths."""
    ends = sorted(np.random.default_rng(n).choice(np.arange(1, n), parts - 1, replace=False))
    return list(zip([0, *ends], [*ends, n], strict=True))


def check(merged, whole):
    assert merged.distances.dtype == np.float64
    assert merged.indices.dtype == np.int64
    np.testing.assert_array_equal(merged.indices, whole.indices, strict=True)
    np.testing.assert_array_equal(merged.distances, whole.distances, strict=True)


# ---- rows of an array ------------------------------------------------------------------------


@pytest.mark.parametrize("cols", [1, 3, 8, 17, 64])
@pytest.mark.parametrize("k", [1, 2, 10, 64, 300, 1000])
def test_knn_of_seven_slices(cols, k):
    rows = few_values(300, cols)
    queries = np.concatenate([rows[::60], few_values(3, cols, seed=1)])
    pieces = cuts(300, 7)
    starts = [start for start, _ in pieces]
    for asked in (queries, queries[0]):
        parts = [isf.knn(asked, rows[start:end], k) for start, end in pieces]
        whole = isf.knn(asked, rows, k)
        check(isf.merge_neighbors(parts, k, offsets=starts), whole)
        check(isf.merge_neighbors(parts[::-1], k, offsets=starts[::-1]), whole)
        longest = max(part.indices.shape[-1] for part in parts)
        best = isf.merge_neighbors(parts, offsets=np.array(starts))
        check(best, isf.knn(asked, rows, longest))
    tied = isf.knn(queries, rows, 300)
    assert (np.diff(tied.distances) == 0).any()  # else the data would test no tie


def test_ties_across_parts_go_to_the_lower_index():
    row = np.arange(1.0, 9.0)
    parts = [isf.knn(row, np.tile(row, (n, 1)), 4) for n in (2, 5, 1, 3)]
    found = isf.merge_neighbors(parts, 6, offsets=[9, 0, 8, 5])
    assert found.indices.tolist() == [0, 1, 2, 3, 5, 6]
    assert found.distances.tolist() == [0] * 6


def test_emd_of_slices():
    rng = np.random.default_rng(0)
    rows, places = rng.integers(1, 9, (40, 6)), rng.random((6, 2))
    options = {"metric": "emd", "positions": places, "mass": "normalize"}
    parts = [isf.knn(rows[:3], rows[start : start + 10], 5, **options) for start in (0, 10, 20, 30)]
    check(
        isf.merge_neighbors(parts, offsets=[0, 10, 20, 30]), isf.knn(rows[:3], rows, 5, **options)
    )


@pytest.mark.parametrize("queries", [0, 1])
def test_no_query_and_one(queries):
    rows = few_values(20, 5)
    parts = [isf.knn(rows[:queries], rows[start : start + 10], 4) for start in (0, 10)]
    whole = isf.knn(rows[:queries], rows, 4)
    assert whole.indices.shape == (queries, 4)
    check(isf.merge_neighbors(parts, offsets=[0, 10]), whole)


def test_one_part_is_the_answer():
    part = isf.knn(few_values(1, 4)[0], few_values(50, 4), 10)
    check(isf.merge_neighbors([part]), part)
    check(isf.merge_neighbors(iter([part]), 3), isf.Neighbors(part[0][:3], part[1][:3]))


RANKINGS = st.lists(
    st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.5, np.inf, -3.0]), max_size=6),
    min_size=1,
    max_size=5,
)


@given(RANKINGS, st.integers(1, 40), st.booleans(), st.randoms(use_true_random=False))
def test_equals_a_sort_of_everything(values, k, higher, random):
    numbers = list(range(sum(map(len, values))))
    random.shuffle(numbers)
    parts = []
    for part in values:
        pairs = [(value, numbers.pop()) for value in part]
        parts.append(reference.merged([pairs], len(pairs), higher))
    given_parts = [([d for d, _ in part], [i for _, i in part]) for part in parts]
    found = isf.merge_neighbors(given_parts, k, higher_is_better=higher)
    wanted = reference.merged(parts, k, higher)
    assert list(zip(found.distances.tolist(), found.indices.tolist(), strict=True)) == wanted


# ---- what other engines give -----------------------------------------------------------------


def test_no_neighbour_is_minus_one():
    nothing = np.finfo(np.float32).max  # FAISS's distance of no neighbour
    first = (np.array([[1, nothing], [nothing, nothing]], np.float32), [[4, -1], [-1, -1]])
    second = ([[0.5, 1], [3, np.nan]], [[9, 2], [0, -1]])
    found = isf.merge_neighbors([first, second], 5, offsets=[0, 100])
    assert found.indices.tolist() == [[109, 4, 102], [100, -1, -1]]
    assert found.distances.tolist() == [[0.5, 1, 1], [3, np.inf, np.inf]]
    found = isf.merge_neighbors([([[2.0, -9]], [[1, -1]])], higher_is_better=True)
    assert (found.distances.tolist(), found.indices.tolist()) == ([[2.0]], [[1]])
    found = isf.merge_neighbors([([2, 0], [1, -1]), ([0.0], [-1])])
    assert (found.distances.tolist(), found.indices.tolist()) == ([2.0], [1])
    found = isf.merge_neighbors([([[3, 1.0], [1, 0]], [[1, 2], [4, -1]])], higher_is_better=True)
    assert found.distances.tolist() == [[3, 1], [1, -np.inf]]
    assert found.indices.tolist() == [[1, 2], [4, -1]]
    infinite = isf.merge_neighbors([([np.inf, np.inf], [8, -1]), ([np.inf], [3])], 9)
    assert infinite.indices.tolist() == [3, 8]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, ">f8", np.int32])
@pytest.mark.parametrize("index", [np.uint8, np.int32, ">i8", np.uint64])
def test_any_numbers_in_any_order_of_bytes(dtype, index):
    values, rows = np.arange(12).astype(dtype)[::2], np.arange(12).astype(index)[::2]
    values.setflags(write=False)
    found = isf.merge_neighbors([(values[::2], rows[::2]), [values[1::2], rows[1::2]]], 6)
    assert found.indices.tolist() == found.distances.tolist() == [0, 2, 4, 6, 8, 10]


def test_what_is_given_is_not_changed():
    parts = [(np.array([1.0, 2.0]), np.array([0, 1])), (np.array([0.5]), np.array([0]))]
    before = [[array.copy() for array in part] for part in parts]
    isf.merge_neighbors(parts, offsets=[0, 2])
    for part, old in zip(parts, before, strict=True):
        assert all((a == b).all() for a, b in zip(part, old, strict=True))


def test_the_greatest_index():
    last = 2**63 - 1
    assert isf.merge_neighbors([([1.0], [last])]).indices.tolist() == [last]
    assert isf.merge_neighbors([([1.0], [last - 5])], offsets=[5]).indices.tolist() == [last]


# ---- indexes ---------------------------------------------------------------------------------


def seven(tmp_path, paths, measure="wasserstein", **options):
    """Index of all paths, and indexes of seven parts of them, added in the same order."""
    pieces = cuts(len(paths), 7)
    whole = made(tmp_path / "whole", paths, measure=measure, **options)
    parts = [
        made(tmp_path / f"part{number}", paths[start:end], measure=measure, **options)
        for number, (start, end) in enumerate(pieces)
    ]
    return whole, parts, [start for start, _ in pieces]


def check_index(whole, parts, starts, query, k, **options):
    found = [part.search(query, k, **options) for part in parts]
    merged = isf.merge_neighbors(found, k, offsets=starts, higher_is_better=whole.higher_is_better)
    wanted = whole.search(query, k, **options)
    check(merged, isf.Neighbors(wanted.distances, wanted.ids))
    # The paths: each number lies in one part only.
    at = np.searchsorted(starts, merged.indices, side="left") - 1
    known = [
        parts[part].images([number - starts[part]])[0].path
        for part, number in zip(at.tolist(), merged.indices.tolist(), strict=True)
    ]
    assert known == wanted.paths
    return as_list(wanted)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Paths of 60 images, of which 20 are equal to others."""
    folder = tmp_path_factory.mktemp("pictures")
    paths = [folder / f"{number:02d}.png" for number in range(60)]
    for number, path in enumerate(paths):
        write(path, number % 40)
    return paths


@pytest.mark.parametrize("measure", ["wasserstein", "intersection", "chi2", "emd"])
def test_seven_indexes_are_one(measure, pictures, tmp_path):
    whole, parts, starts = seven(tmp_path, pictures, measure)
    ties = 0
    for seed in (3, 17, 99):
        for k in (1, 5, 60, 100):
            found = check_index(whole, parts, starts, pixels(seed), k)
            assert len(found) == min(k, 60)
            ties += len(found) - len({distance for distance, _, _ in found})
            limit = found[len(found) // 2][0]
            near = check_index(whole, parts, starts, pixels(seed), k, max_distance=limit)
            higher = whole.higher_is_better
            assert near == [
                one for one in found if (one[0] >= limit if higher else one[0] <= limit)
            ]
    assert ties > 0


def test_corel_in_seven_parts(shared_data, tmp_path):
    paths = sorted((shared_data / "corel1k" / "images").glob("*.jpg"))[::3]
    assert len(paths) >= 200
    whole, parts, starts = seven(tmp_path, paths)
    for query in paths[::40]:
        for k in (1, 10, 100):
            found = check_index(whole, parts, starts, query, k)
            assert found[0][0] == 0
        check_index(whole, parts, starts, query, 100, max_distance=10.0)


# ---- what is refused -------------------------------------------------------------------------

GOOD = ([1.0, 2.0], [0, 1])
BAD = {
    "no part": (lambda: isf.merge_neighbors([]), "parts is empty"),
    "k of 0": (lambda: isf.merge_neighbors([GOOD], 0), "k must be at least 1, got 0"),
    "shapes of a part": (
        lambda: isf.merge_neighbors([GOOD, ([1.0], [1, 2])]),
        r"parts\[1\] must hold distances and indices of one shape, .* got \(1,\) and \(2,\)",
    ),
    "three dimensions": (
        lambda: isf.merge_neighbors([(np.ones((1, 1, 1)), np.ones((1, 1, 1), int))]),
        r"got \(1, 1, 1\)",
    ),
    "scalars": (lambda: isf.merge_neighbors([(1.0, 1)]), r"got \(\) and \(\)"),
    "one query and many": (
        lambda: isf.merge_neighbors([GOOD, ([[1.0]], [[2]])]),
        r"same queries: parts\[0\] has the shape \(2,\), parts\[1\] \(1, 1\)",
    ),
    "numbers of queries": (
        lambda: isf.merge_neighbors([([[1.0]], [[2]]), ([[1.0], [1.0]], [[3], [4]])]),
        r"parts\[1\] \(2, 1\)",
    ),
    "NaN": (
        lambda: isf.merge_neighbors([GOOD, ([[0.0, np.nan]], [[2, 3]])]),
        r"parts\[1\]: distances\[0, 1\] is NaN",
    ),
    "unsorted": (
        lambda: isf.merge_neighbors([GOOD, ([3.0, 2.5], [2, 3])]),
        r"parts\[1\] must be sorted, nearest first: distances\[1\] is 2.5 after 3.0; simil",
    ),
    "unsorted similarities": (
        lambda: isf.merge_neighbors([GOOD], higher_is_better=True),
        r"parts\[0\] must be sorted, greatest first: distances\[1\] is 2.0 after 1.0$",
    ),
    "no neighbour before one": (
        lambda: isf.merge_neighbors([([[1, 9, 1.5]], [[2, -1, 3]])]),
        r"parts\[0\] must be sorted, nearest first: distances\[0, 2\] is 1.5 after 9.0",
    ),
    "negative index": (
        lambda: isf.merge_neighbors([([1.0], [-2])]),
        r"parts\[0\]: indices\[0\] is -2: indices must not be negative",
    ),
    "an index in two parts": (
        lambda: isf.merge_neighbors([GOOD, ([0.0], [7]), ([5.0], [1])]),
        r"index 1 is in parts\[0\] and parts\[2\]: parts must not overlap; .*offsets= says",
    ),
    "an index that offsets make equal": (
        lambda: isf.merge_neighbors([GOOD, GOOD], offsets=[0, 1]),
        r"index 1 is in parts\[0\] and parts\[1\]",
    ),
    "an index twice in a part": (
        lambda: isf.merge_neighbors([([[1.0, 1], [1, 2]], [[0, 1], [4, 4]])]),
        r"index 4 is twice in parts\[0\]",
    ),
    "too few offsets": (
        lambda: isf.merge_neighbors([GOOD, GOOD], offsets=[0]),
        "offsets must be one per part, got 1 for 2 parts",
    ),
    "negative offset": (
        lambda: isf.merge_neighbors([GOOD], offsets=[-1]),
        r"offsets\[0\] must be at least 0, got -1",
    ),
    "offset beyond 64 bits": (
        lambda: isf.merge_neighbors([GOOD], offsets=[2**63 - 1]),
        r"offsets\[0\] is 9223372036854775807: with the index 1 that is beyond 64 bits",
    ),
    "index beyond 64 bits": (
        lambda: isf.merge_neighbors([([1.0], np.array([2**63], np.uint64))]),
        r"indices of parts\[0\] holds 9223372036854775808, more than",
    ),
    "masked": (
        lambda: isf.merge_neighbors([(np.ma.array([1.0, 2.0], mask=[0, 1]), [1, 2])]),
        r"distances of parts\[0\] is a masked array",
    ),
}
BAD_TYPES = {
    "parts that are one": (
        lambda: isf.merge_neighbors(isf.Neighbors(*map(np.array, GOOD))),
        "got one: write",
    ),
    "a pair, not a list of pairs": (
        lambda: isf.merge_neighbors(tuple(map(np.array, GOOD))),
        r"parts\[0\] must be a pair",
    ),
    "a number": (lambda: isf.merge_neighbors(3), "parts must be a sequence of Neighbors, got 3"),
    "text": (lambda: isf.merge_neighbors(["ab"]), r"parts\[0\] must be a pair .* got 'ab'"),
    "one array": (lambda: isf.merge_neighbors([np.ones((2, 3))]), r"parts\[0\] must be a pair"),
    "too short": (lambda: isf.merge_neighbors([([1.0],)]), r"parts\[0\] must be a pair"),
    "float indices": (
        lambda: isf.merge_neighbors([([1.0], [0.0])]),
        r"indices of parts\[0\] must hold integers, got float64",
    ),
    "boolean indices": (lambda: isf.merge_neighbors([([1.0], [True])]), "integers, got bool"),
    "complex distances": (lambda: isf.merge_neighbors([([1j], [0])]), "got complex128"),
    "ragged": (lambda: isf.merge_neighbors([([[1.0], []], [[1], []])]), "seen as an array"),
    "k of 2.5": (lambda: isf.merge_neighbors([GOOD], 2.5), "k must be an integer, got 2.5"),
    "float offsets": (
        lambda: isf.merge_neighbors([GOOD], offsets=[0.5]),
        r"offsets\[0\] must be an integer, got 0.5",
    ),
    "one offset": (
        lambda: isf.merge_neighbors([GOOD], offsets=3),
        "offsets must be a sequence of integers, got 3",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named(name):
    call, message = BAD[name]
    with pytest.raises(InvalidInputError, match=message):
        call()


@pytest.mark.parametrize("name", BAD_TYPES)
def test_wrong_types_are_named(name):
    call, message = BAD_TYPES[name]
    with pytest.raises(InvalidTypeError, match=message):
        call()
