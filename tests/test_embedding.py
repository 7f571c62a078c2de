"""Embeddings: values against float64 twins, any callable, bad encoders, indexes."""

from __future__ import annotations

import json
import math
import threading

import numpy as np
import pytest
from PIL import Image

import imgsim_fast as isf
from imgsim_fast.errors import (
    IndexCorruptError,
    IndexMismatchError,
    IndexVersionError,
    InvalidInputError,
    InvalidTypeError,
)
from imgsim_fast.measures import describe
from imgsim_fast.measures.embedding import Embedding, resized

SIZES = (1, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65, 640)


def mean_colours(images):
    return images.mean(axis=(1, 2))


def of_list(images):
    return [image.mean(axis=(0, 1)) for image in images]


def returning(value, **options):
    """An embedding whose function always returns the same."""
    return Embedding(lambda images: value, name="fixed", **options)


def comparing(length, metric="cosine", **options):
    return returning(None, length=length, metric=metric, **options)


def cosine(a, b):
    a, b = (np.asarray(v, np.longdouble) for v in (a, b))
    if not a.any() or not b.any():
        return float(a.any() == b.any())
    return float((a * b).sum() / np.sqrt((a * a).sum()) / np.sqrt((b * b).sum()))


def noise(height=20, width=30, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


# ---- values ------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", SIZES)
@pytest.mark.parametrize("rows", [1, 5, 700])
def test_values_are_those_of_long_doubles(length, rows):
    random = np.random.default_rng(length)
    matrix = random.normal(size=(rows, length)).astype(np.float32)
    query = random.normal(size=length).astype(np.float32)
    matrix[rows // 2] = query
    found = comparing(length).values(query, matrix, 1)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, [cosine(query, row) for row in matrix], rtol=0, atol=1e-15)
    assert found[rows // 2] == 1.0
    far = comparing(length, "euclidean").values(query, matrix, 1)
    wide = matrix.astype(np.longdouble) - query
    np.testing.assert_allclose(far, np.sqrt((wide**2).sum(axis=1)).astype(float), rtol=1e-14)
    assert far[rows // 2] == 0.0


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("length", [1, 7, 512])
def test_every_number_of_threads_and_every_piece_gives_the_same_bits(metric, length):
    random = np.random.default_rng(0)
    matrix = random.normal(size=(3 * (1 << 16) // length + 5, length)).astype(np.float32)
    kind = comparing(length, metric)
    wanted = kind.values(matrix[3], matrix, 1)
    for threads in (2, 3, 7):
        assert kind.values(matrix[3], matrix, threads).tobytes() == wanted.tobytes()
    assert kind.values(matrix[3], matrix[10:20], 1).tobytes() == wanted[10:20].tobytes()
    read_only = matrix[:50].copy()
    read_only.flags.writeable = False
    assert kind.values(matrix[3], read_only, 1).tobytes() == wanted[:50].tobytes()
    assert (read_only == matrix[:50]).all()
    for other in (np.asfortranarray(read_only), np.repeat(read_only, 2, axis=0)[::2]):
        assert kind.values(matrix[3], other, 1).tobytes() == wanted[:50].tobytes()
    assert kind.values(matrix[3], matrix[:0], 2).shape == (0,)


def test_zero_vectors_and_extremes_have_a_defined_value():
    kind = comparing(3)
    rows = np.array([[0, 0, 0], [1, 0, 0], [-1, 0, 0], [3e38, 3e38, 0], [1e-45, 0, 0]], np.float32)
    assert kind.values(rows[0], rows, 1).tolist() == [1, 0, 0, 0, 0]
    np.testing.assert_allclose(kind.values(rows[1], rows, 1), [0, 1, -1, math.sqrt(0.5), 1])
    for row in rows:
        assert kind.compare(row, row) == 1.0
    far = comparing(3, "euclidean")
    assert far.values(rows[0], rows, 1)[3] == pytest.approx(3e38 * math.sqrt(2))
    assert far.higher_is_better is False
    assert kind.higher_is_better is True


def test_damaged_rows_and_queries_are_named():
    kind = comparing(2)
    rows = np.array([[1, 2], [3, np.nan], [4, 5], [np.inf, 0]], np.float32)
    assert kind.first_bad(rows) == (1, "holds NaN or infinity")
    assert kind.first_bad(rows[[0, 2]]) is None
    for metric in ("cosine", "euclidean"):
        for threads in (1, 2):
            with pytest.raises(IndexCorruptError, match="row 1 is no vector"):
                comparing(2, metric).values(rows[0], rows, threads)
    with pytest.raises(InvalidInputError, match="query must hold finite numbers"):
        kind.values(rows[1], rows[:1], 1)
    with pytest.raises(InvalidTypeError, match=r"query must be a vector of float32, got float64"):
        kind.values(rows[0].astype(float), rows, 1)
    with pytest.raises(InvalidTypeError, match="got <class 'list'>"):
        kind.values([1.0, 2.0], rows, 1)
    with pytest.raises(InvalidInputError, match="query has 3 numbers, rows have the shape"):
        kind.values(np.ones(3, np.float32), rows, 1)


# ---- any callable ------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("normalize", [False, True])
def test_any_function_is_a_measure(metric, normalize):
    kind = Embedding(of_list, name="colours", metric=metric, normalize=normalize)
    first, second = noise(seed=1), noise(9, 5, seed=2)
    a, b = first.mean(axis=(0, 1)), second.mean(axis=(0, 1))
    if normalize:
        a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    wanted = cosine(a, b) if metric == "cosine" else np.linalg.norm(a - b)
    assert isf.compare(first, second, kind) == pytest.approx(wanted, rel=1e-5, abs=1e-6)
    row = kind.describe(first)
    assert row.dtype == np.float32
    assert row.shape == (3,)
    if metric == "cosine":
        assert np.linalg.norm(row.astype(float)) == pytest.approx(1, abs=1e-6)
        assert isf.compare(first, first, kind) == 1.0
    assert isf.Embedding is Embedding
    assert kind.row_length == 3


def test_the_length_is_found_out_by_one_grey_image_or_given():
    seen = []

    def function(images):
        seen.append([image.shape for image in images])
        return np.ones((len(images), 5))

    assert Embedding(function, name="f").row_length == 5
    assert Embedding(function, name="f", size=(4, 6)).row_length == 5
    assert seen == [[(224, 224, 3)], [(4, 6, 3)]]
    assert Embedding(function, name="f", length=7).row_length == 7
    assert len(seen) == 2
    with pytest.raises(InvalidInputError, match=r"5 numbers per image, it was 7 before"):
        Embedding(function, name="f", length=7).describe(noise())


def test_the_function_sees_upright_rgb_and_gets_grey_as_rgb(tmp_path):
    seen = []

    def function(images):
        seen.extend(images)
        return np.ones((len(images), 1))

    kind = Embedding(function, name="f", length=1)
    pixels = noise(4, 6)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    describe(kind, tmp_path / "turned.png")
    np.testing.assert_array_equal(seen.pop(), np.rot90(pixels, -1))
    describe(kind, pixels[::-1, ::2])
    np.testing.assert_array_equal(seen.pop(), pixels[::-1, ::2])
    describe(kind, pixels[..., 0])
    np.testing.assert_array_equal(seen.pop(), np.repeat(pixels[..., :1], 3, axis=2))
    describe(kind, Image.fromarray(pixels[..., 0]))
    assert seen[0].dtype == np.uint8
    assert seen.pop().shape == (4, 6, 3)


def test_batches_hold_at_most_64_images_of_one_size():
    shapes = []

    def function(images):
        shapes.append(images.shape)
        return mean_colours(images)

    kind = Embedding(function, name="f", size=8)
    images = [noise(10 + n, 12, seed=n) for n in range(70)]
    rows = kind.describe_many(images)
    assert shapes == [(64, 8, 8, 3), (6, 8, 8, 3)]
    assert [row.tobytes() for row in rows] == [kind.describe(image).tobytes() for image in images]
    assert kind.describe_many([]) == []
    assert kind.in_batches


@pytest.mark.parametrize("how", ["crop", "stretch"])
@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 300), (300, 1), (17, 33), (224, 224), (500, 300), (3, 4000)]
)
@pytest.mark.parametrize("size", [(224, 224), (10, 30), (30, 10), (1, 1)])
def test_images_of_any_shape_get_the_size(how, shape, size):
    flat = np.full((*shape, 3), (10, 20, 30), np.uint8)
    found = resized(flat, size, how)
    assert found.shape == (*size, 3)
    assert (found == (10, 20, 30)).all()


def test_the_middle_is_cut_out():
    """What torchvision's Resize(20) and CenterCrop(20) do."""
    pixels = noise(40, 60)
    whole = np.asarray(Image.fromarray(pixels).resize((30, 20), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(resized(pixels, (20, 20), "crop"), whole[:, 5:25])
    turned = np.ascontiguousarray(pixels.transpose(1, 0, 2))
    upright = resized(turned, (20, 20), "crop").transpose(1, 0, 2).astype(int)
    assert np.abs(upright - whole[:, 5:25]).max() <= 4  # Pillow rounds between its two passes
    stretched = np.asarray(Image.fromarray(pixels).resize((20, 20), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(resized(pixels, (20, 20), "stretch"), stretched)


# ---- results that are no vectors ---------------------------------------------------------------


class Tensor:
    """A tensor as PyTorch's, that requires a gradient or lies on another device."""

    def __init__(self, requires_grad):
        self.requires_grad = requires_grad

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("can't convert cuda:0 device type tensor to numpy")


@pytest.mark.parametrize(
    ("result", "error", "words"),
    [
        (
            np.ones(3),
            InvalidInputError,
            r"must have shape \(1, d\), one vector per image, got \(3,",
        ),
        (np.ones((2, 3)), InvalidInputError, r"got \(2, 3\)"),
        (np.ones((1, 0)), InvalidInputError, r"got \(1, 0\)"),
        (np.ones((1, 3, 2, 2)), InvalidInputError, r"got \(1, 3, 2, 2\)"),
        (5.0, InvalidInputError, r"got \(\)"),
        (None, InvalidTypeError, "must hold booleans, integers or floats"),
        ([[1, 2], [3]], InvalidTypeError, "cannot be seen as an array"),
        ([["a"]], InvalidTypeError, "must hold booleans, integers or floats"),
        (np.ones((1, 2), complex), InvalidTypeError, "complex128"),
        ([[1.0, math.nan]], InvalidInputError, r"is nan at \[0, 1\]"),
        ([[-math.inf, 0]], InvalidInputError, r"is -inf at \[0, 0\]"),
        (np.ma.masked_equal([[1, 2]], 2), InvalidInputError, "masked"),
        (Tensor(True), InvalidTypeError, r"requires a gradient: .*torch.no_grad"),
        (Tensor(False), InvalidTypeError, "can't convert cuda:0"),
    ],
)
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_bad_results_are_named(result, error, words, metric):
    with pytest.raises(error, match=words) as caught:
        returning(result, metric=metric).describe(noise())
    assert "encoder 'fixed'" in str(caught.value)


def test_good_results_of_many_kinds():
    for value in ([[3, 4]], np.array([[3, 4]], ">i2"), np.array([[3, 4]], np.float16),
                  np.array([[[[3.0]], [[4.0]]]]), np.array([[3e300, 4e300]]),
                  np.array([[3e-300, 4e-300]])):  # fmt: skip
        row = returning(value).describe(noise())
        np.testing.assert_allclose(row, [0.6, 0.8], rtol=1e-6)
    assert returning([[0, 0]]).describe(noise()).tolist() == [0, 0]
    assert returning([[True, False]]).describe(noise()).tolist() == [1, 0]
    with pytest.raises(
        InvalidInputError, match=r"is 1e\+39 at \[0, 1\]: it must be finite in float"
    ):
        returning([[1, 1e39]], metric="euclidean").describe(noise())


@pytest.mark.parametrize("error", [ValueError("boom"), ZeroDivisionError("boom"), OSError("boom")])
def test_errors_of_the_function_are_named(error):
    def function(images):
        raise error

    with pytest.raises(
        InvalidInputError, match=f"encoder 'f' failed: {type(error).__name__}: boom"
    ):
        Embedding(function, name="f").describe(noise())


def test_a_function_without_a_size_is_told_that_it_gets_a_list():
    def function(images):
        return images.mean(axis=(1, 2))

    with pytest.raises(InvalidInputError, match=r"no attribute 'mean'; without size= it gets a li"):
        Embedding(function, name="f").describe(noise())
    with pytest.raises(InvalidInputError, match=r"AxisError: .*dimension 4$"):
        Embedding(lambda images: images.mean(axis=(1, 9)), name="f", size=4).describe(noise())


@pytest.mark.parametrize("wrong", [RuntimeError, AttributeError, KeyError, MemoryError])
def test_a_result_that_cannot_say_whether_it_requires_a_gradient(wrong):
    class Shy:
        @property
        def requires_grad(self):
            raise wrong("not today")

        def __array__(self, dtype=None, copy=None):
            return np.ones((1, 3))

    expected = {MemoryError: MemoryError}.get(wrong, InvalidTypeError)
    if wrong is AttributeError:  # as if it had none
        assert returning(Shy()).describe(noise()).shape == (3,)
        return
    with pytest.raises(expected) as caught:
        returning(Shy()).describe(noise())
    if wrong is not MemoryError:
        assert str(caught.value).startswith(
            f"the result of encoder 'fixed' cannot say whether it requires a gradient: "
            f"{wrong.__name__}: "
        )


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), MemoryError("much")])
def test_interrupts_are_not_hidden(error):
    def function(images):
        raise error

    with pytest.raises(type(error)):
        Embedding(function, name="f").describe(noise())


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"name": ""}, InvalidInputError, "name must be printable"),
        ({"name": "wasserstein"}, InvalidInputError, "the name of no other measure"),
        ({"name": 3}, InvalidTypeError, "name must be text, got 3"),
        ({"metric": "l2"}, InvalidInputError, "metric must be one of cosine, euclidean, got 'l2'"),
        ({"normalize": 1}, InvalidTypeError, "normalize must be true or false, got 1"),
        ({"size": 0}, InvalidInputError, "size must be at least 1, got 0"),
        ({"size": 99999}, InvalidInputError, "size must be at most 8192"),
        ({"size": (1, 2, 3)}, InvalidInputError, r"an integer or \(height, width\), got \(1, 2, 3"),
        ({"size": "12"}, InvalidTypeError, "got '12'"),
        ({"size": 1.5}, InvalidTypeError, "size must be an integer, got 1.5"),
        ({"resize": "pad"}, InvalidInputError, "resize must be one of crop, stretch"),
        ({"length": 0}, InvalidInputError, "length must be at least 1"),
        ({"near_identical": math.nan}, InvalidInputError, "near_identical must be finite"),
        ({"near_identical": "x"}, InvalidTypeError, "near_identical must be a number"),
    ],
)
def test_bad_options(options, error, words):
    with pytest.raises(error, match=words):
        Embedding(mean_colours, **{"name": "f", **options})
    with pytest.raises(InvalidTypeError, match="function must be callable, got 3"):
        Embedding(3, name="f")


def test_options_and_what_near_identical_is():
    kind = Embedding(mean_colours, name="f", size=(4, 5), metric="euclidean", near_identical=2)
    assert json.loads(json.dumps(dict(kind.options))) == {
        "size": [4, 5], "resize": "crop", "metric": "euclidean", "normalize": False,
    }  # fmt: skip
    assert kind.near_identical == 2
    assert returning(None).near_identical == 0.98
    assert returning(None, metric="euclidean").near_identical == 0


# ---- in an index -------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(40):
        pixels = noise(8 + number, 12, seed=number) // (1 + number % 4)
        pixels[..., number % 3] //= 2
        Image.fromarray(pixels).save(folder / f"{number:02d}.png")
    return folder


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_an_index_by_a_function(folder, tmp_path, metric):
    lock = threading.Lock()

    def function(images):
        assert lock.acquire(blocking=False)  # one thread at a time
        try:
            if (images == 0).all(axis=(1, 2, 3)).any():
                raise ValueError("black")
            return mean_colours(images)
        finally:
            lock.release()

    kind = Embedding(function, name="colours", size=6, metric=metric)
    Image.new("RGB", (9, 9)).save(folder / "black.png")
    with isf.Index.create(tmp_path / "index", kind) as index:
        report = index.add(folder, threads=3)
        assert report.added == 40
        assert [reason for _, reason in report.skipped] == [
            "encoder 'colours' failed: ValueError: black"
        ]
        assert index.verify() == []
    again = Embedding(mean_colours, name="colours", size=6, metric=metric)
    with isf.Index.open(tmp_path / "index", again) as index:
        found = index.search(folder / "17.png", 40)
        assert found.paths[0] == str(folder / "17.png")
        assert found.distances[0] == (1 if metric == "cosine" else 0)
        rows = [again.describe(np.asarray(Image.open(path))) for path in found.paths]
        values = [again.compare(rows[0], row) for row in rows]
        assert found.distances.tolist() == values
        assert values == sorted(values, reverse=metric == "cosine")
    for other in (Embedding(mean_colours, name="colours", size=7, metric=metric),
                  Embedding(mean_colours, name="else", size=6, metric=metric)):  # fmt: skip
        with pytest.raises(IndexMismatchError):
            isf.Index.open(tmp_path / "index", other)
    with pytest.raises(IndexVersionError, match="needs the measure 'colours'"):
        isf.Index.open(tmp_path / "index")
    longer = Embedding(lambda images: np.ones((len(images), 4)), name="colours", size=6,
                       metric=metric)  # fmt: skip
    with isf.Index.open(tmp_path / "index", longer) as index, pytest.raises(IndexCorruptError):
        index.search(folder / "17.png")


# ---- PyTorch, where it is ----------------------------------------------------------------------


def test_tensors_are_taken_unless_they_require_a_gradient():
    try:
        import torch
    except (ImportError, RuntimeError, OSError):
        pytest.skip("PyTorch cannot be imported")
    layer = torch.nn.Linear(3, 5)

    def with_gradient(images):
        return layer(torch.from_numpy(mean_colours(images)).float())

    def without(images):
        with torch.no_grad():
            return with_gradient(images)

    with pytest.raises(InvalidTypeError, match=r"requires a gradient"):
        Embedding(with_gradient, name="f", size=4).describe(noise())
    assert Embedding(without, name="f", size=4).describe(noise()).shape == (5,)


def test_a_result_that_is_used_again_is_copied_in_time(tmp_path):
    """As by ``out=``: the function returns a view of one buffer, whoever calls it."""
    buffer = np.zeros((64, 20000), np.float32)

    def encode(images):
        buffer[: len(images)] = images.mean(axis=(1, 2))[:, :1]
        return buffer[: len(images)]

    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(120):
        Image.new("RGB", (9, 9), (number + 1, 0, 0)).save(folder / f"{number:03d}.png")
    kind = isf.Embedding(encode, name="buffered", size=8, metric="euclidean")
    with isf.Index.create(tmp_path / "index", kind) as index:
        assert index.add(folder, threads=4).added == 120
        for image in index.images(range(1, 121)):
            assert set(image.descriptor.tolist()) == {float(image.id)}


def test_a_function_that_works_in_place_changes_nothing_of_the_caller():
    def encode(images):
        for image in images:
            image[:] = 0
        return np.ones((len(images), 2))

    pixels = np.full((9, 9, 3), 200, np.uint8)
    isf.compare(pixels, pixels, isf.Embedding(encode, name="in place"))
    assert (pixels == 200).all()
