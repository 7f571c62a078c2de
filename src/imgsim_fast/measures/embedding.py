"""Embeddings: vectors that an encoder makes of images, compared by angle or distance."""

from __future__ import annotations

import contextlib
import math
import threading
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from imgsim_fast import _threads, _validate
from imgsim_fast.descriptors import rgb_pixels
from imgsim_fast.errors import (
    ImgsimError,
    IndexCorruptError,
    InvalidInputError,
    InvalidTypeError,
)
from imgsim_fast.measures.base import Measure
from imgsim_fast.measures.registry import measures
from imgsim_fast.rows import Row, Rows, as_matrix

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Embedding", "Vectors", "as_size", "one_of", "resized"]

Pixels = NDArray[np.uint8]

_METRICS = ("cosine", "euclidean")
_RESIZES = ("crop", "stretch")
_BATCH = 64  # images given to an encoder at once
_CHUNK = 1 << 16  # numbers compared at once: half a megabyte of float64
_PROBE = 224  # side of the image that tells how long an encoder's vectors are
_MOST_ASPECT = 8
MOST_SIDE = 8192


class Vectors(Measure):
    """What embeddings have in common: rows of one length, cosine or Euclidean.

    ``cosine``: the cosine of the angle of two vectors, in [-1, 1], higher is better; rows are
    stored with length 1. It is 1.0 of a vector and itself. A zero vector has cosine 1.0 with a
    zero vector and 0.0 with every other. ``euclidean``: the distance of two vectors, as the
    encoder gives them or, with `normalize`, scaled to length 1.

    Rows are float32. Products and sums are float64, in an order that does not depend on threads or
    processors. O(n d) for n rows of d numbers.

    Subclasses say `name`, `options` and `_encode`.
    """

    unit: ClassVar[str] = ""
    higher_is_better = True  # and this by cosine, the default
    value_range = (-1.0, 1.0)
    row_dtype = np.dtype(np.float32)
    in_batches = True

    def __init__(self, metric: str, normalize: bool, length: int | None = None) -> None:
        self._metric = one_of("metric", metric, _METRICS)
        if not isinstance(normalize, (bool, np.bool_)):
            raise InvalidTypeError(f"normalize must be true or false, got {normalize!r}")
        self._normalize = bool(normalize)
        self.higher_is_better = metric == "cosine"
        if not self.higher_is_better:
            self.value_range = (0.0, 2.0 if self._normalize else math.inf)
        self.near_identical = 0.98 if self.higher_is_better else 0.0
        self._length = None if length is None else _validate.as_count("length", length)
        self._probing = threading.Lock()
        self._turns: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()

    @property
    def row_length(self) -> int:
        """Numbers in a vector; an encoder that has not been used yet describes a grey image."""
        if self._length is None:
            with self._probing:
                if self._length is None:
                    self._encoded([np.full((_PROBE, _PROBE, 3), 128, np.uint8)])
        assert self._length is not None
        return self._length

    def describe(self, image: Image | NDArray[Any]) -> Row:
        """Vector of an image, float32, shape (d,)."""
        return self.describe_many([image])[0]

    def describe_many(self, images: list[Any]) -> list[Row]:
        """Vectors of images, 64 at a time.

        The same as one at a time, up to what the encoder's own rounding depends on the size of a
        batch: some 1e-6 of a vector's length for networks in float32.
        """
        rows: list[Row] = []
        for start in range(0, len(images), _BATCH):
            pixels = [rgb_pixels(image) for image in images[start : start + _BATCH]]
            rows.extend(self._encoded(pixels))
        return rows

    def values(self, query: Row, rows: Rows, threads: int) -> NDArray[np.float64]:
        """Cosine or distance of the query and each of the rows, shape (n,)."""
        matrix = as_matrix(rows)
        vector = self._checked(query)
        if matrix.ndim != 2 or matrix.shape[1] != len(vector):
            raise InvalidInputError(
                f"query has {len(vector)} numbers, rows have the shape {matrix.shape}"
            )
        out = np.empty(len(matrix))
        step = max(1, _CHUNK // len(vector))
        one = self._cosines if self._metric == "cosine" else self._distances

        def fill(start: int) -> None:
            part = matrix[start : start + step].astype(np.float64)
            with np.errstate(invalid="ignore"):  # damaged rows
                out[start : start + step] = one(vector, part)

        _threads.for_each(fill, range(0, len(matrix), step), threads)
        if not np.isfinite(out).all():
            row = int(np.flatnonzero(~np.isfinite(out))[0])
            raise IndexCorruptError(f"row {row} is no vector: it holds NaN or infinity")
        return out

    def first_bad(self, rows: Rows) -> tuple[int, str] | None:
        """Find a vector with NaN or infinity."""
        bad = np.flatnonzero(~np.isfinite(as_matrix(rows)).all(axis=1))
        return (int(bad[0]), "holds NaN or infinity") if bad.size else None

    @abstractmethod
    def _encode(self, pixels: list[Pixels]) -> Any:
        """Vectors of upright RGB images of any sizes: anything that NumPy sees as (n, d)."""

    # ---- describing ----------------------------------------------------------------------------

    def _encoded(self, pixels: list[Pixels]) -> list[Row]:
        if not pixels:
            return []
        # An encoder that must be called by one thread at a time may also use its result again:
        # whoever called it makes rows of it first.
        with self._turns:
            try:
                result = self._encode(pixels)
            except (ImgsimError, MemoryError):
                raise
            except Exception as error:
                raise InvalidInputError(
                    f"encoder {self.name!r} failed: {type(error).__name__}: {error}{self._hint}"
                ) from error
            return list(self._as_vectors(result, len(pixels)))

    @property
    def _hint(self) -> str:
        """What else to say of an encoder that failed."""
        return ""

    def _as_vectors(self, result: Any, n: int) -> NDArray[np.float32]:
        """Check what an encoder returned; (n, d), or (n, d, 1, 1) as global pooling leaves it."""
        name = f"the result of encoder {self.name!r}"
        if _requires_grad(name, result):
            raise InvalidTypeError(
                f"{name} is a tensor that requires a gradient: encode under torch.no_grad()"
            )
        vectors = _validate.as_real(name, _as_plain(name, result))
        if vectors.ndim > 2 and all(side == 1 for side in vectors.shape[2:]):
            vectors = vectors.reshape(vectors.shape[:2])
        if vectors.ndim != 2 or vectors.shape[0] != n or vectors.shape[1] == 0:
            raise InvalidInputError(
                f"{name} must have shape ({n}, d), one vector per image, got {vectors.shape}"
            )
        if self._length is not None and vectors.shape[1] != self._length:
            raise InvalidInputError(
                f"{name} has {vectors.shape[1]} numbers per image, it was {self._length} before"
            )
        vectors = vectors.astype(np.float64)
        _check_finite(name, vectors, vectors)
        with np.errstate(over="ignore", under="ignore"):
            if self._metric == "cosine" or self._normalize:
                vectors = _normalized(vectors)
            rows = vectors.astype(np.float32)
        _check_finite(name, rows, vectors)
        if self._length is None:
            self._length = rows.shape[1]
        return rows

    # ---- comparing -----------------------------------------------------------------------------

    def _checked(self, query: Any) -> NDArray[np.float64]:
        if not isinstance(query, np.ndarray) or query.ndim != 1 or query.dtype != self.row_dtype:
            kind = f"{query.dtype}, {query.shape}" if isinstance(query, np.ndarray) else type(query)
            raise InvalidTypeError(f"query must be a vector of float32, got {kind}")
        if query.size == 0 or not np.isfinite(query).all():
            raise InvalidInputError("query must hold finite numbers, at least one")
        vector: NDArray[np.float64] = query.astype(np.float64)
        return vector

    @staticmethod
    def _cosines(query: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float64]:
        dots = _sums(rows * query)
        own, theirs = _sums((query * query)[None, :])[0], _sums(np.square(rows, out=rows))
        lengths = np.sqrt(own * theirs)
        zero = lengths == 0
        lengths[zero] = 1
        cosines: NDArray[np.float64] = np.clip(dots / lengths, -1, 1)
        cosines[zero] = (own == theirs[zero]).astype(float)
        return cosines

    @staticmethod
    def _distances(query: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float64]:
        rows -= query
        return np.sqrt(_sums(np.square(rows, out=rows)))


class Embedding(Vectors):
    """Any function that turns images into vectors, as a measure.

    For networks of your own: a Siamese network's branch, ResNet, VGG, whatever runs in Python.
    Give the object where a measure's name is taken: ``compare``, ``Index.create``, ``Index.open``.

    Parameters
    ----------
    function : callable
        Takes uint8 RGB images, upright: an array (n, h, w, 3) if `size` is given, else a list of
        arrays (h, w, 3) of any sizes. Returns n vectors: an array (n, d), or whatever
        ``numpy.asarray`` takes, such as a PyTorch tensor on the CPU that requires no gradient. It
        is called by one thread at a time, though not always the same; its exceptions become
        InvalidInputError.
    name : str
        The measure's name; an index stores it. Change it when the function changes: nothing else
        tells one function from another.
    size : int or (int, int), optional
        Height and width to which images are resized, bicubic.
    resize : {"crop", "stretch"}
        How: scale the shorter side and cut the middle out, or change the aspect.
    metric : {"cosine", "euclidean"}
        What is compared, see :class:`Vectors`.
    normalize : bool
        Scale vectors to length 1 (cosine always does).
    length : int, optional
        Numbers in a vector, d. Without it the function is called once on a grey image to find out.
    near_identical : float, optional
        The value that near-identical images reach; without it 0.98 for cosine and 0 for Euclidean.

    Raises
    ------
    InvalidInputError, InvalidTypeError

    Examples
    --------
    >>> import numpy as np, imgsim_fast as isf
    >>> def mean_colours(images):
    ...     return images.mean(axis=(1, 2))
    >>> colours = isf.Embedding(mean_colours, name="mean colour", size=8, metric="euclidean")
    >>> red, blue = np.zeros((2, 9, 9, 3), np.uint8)
    >>> red[..., 0], blue[..., 2] = 40, 30
    >>> isf.compare(red, blue, colours)
    50.0
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        *,
        name: str,
        size: int | Sequence[int] | None = None,
        resize: str = "crop",
        metric: str = "cosine",
        normalize: bool = False,
        length: int | None = None,
        near_identical: float | None = None,
    ) -> None:
        if not callable(function):
            raise InvalidTypeError(f"function must be callable, got {function!r}")
        if not isinstance(name, str):
            raise InvalidTypeError(f"name must be text, got {name!r}")
        if not name or not name.isprintable() or name in measures():
            raise InvalidInputError(
                f"name must be printable text and the name of no other measure, got {name!r}"
            )
        super().__init__(metric, normalize, length)
        self.name = name
        self._function = function
        self._size = None if size is None else as_size(size)
        self._resize = one_of("resize", resize, _RESIZES)
        if near_identical is not None:
            self.near_identical = _as_finite("near_identical", near_identical)
        self._turns = threading.Lock()

    @property
    def options(self) -> Mapping[str, Any]:
        """Size, resize, metric and normalize as plain JSON types; not the function."""
        return {
            "size": None if self._size is None else list(self._size),
            "resize": self._resize,
            "metric": self._metric,
            "normalize": self._normalize,
        }

    @property
    def _hint(self) -> str:
        if self._size is not None:
            return ""
        return "; without size= it gets a list of images of any sizes, with it one array"

    def _encode(self, pixels: list[Pixels]) -> Any:
        if self._size is None:
            # Copies: a function that works in place must not change the caller's images.
            return self._function([np.array(image) for image in pixels])
        return self._function(
            np.stack([resized(image, self._size, self._resize) for image in pixels])
        )


# ---- preparing images --------------------------------------------------------------------------


def as_size(size: int | Sequence[int]) -> tuple[int, int]:
    """Return a side, or height and width, as height and width."""
    if isinstance(size, (str, bytes)):
        raise InvalidTypeError(f"size must be an integer or (height, width), got {size!r}")
    sides = tuple(size) if isinstance(size, (Sequence, np.ndarray)) else (size, size)
    if len(sides) != 2:
        raise InvalidInputError(f"size must be an integer or (height, width), got {size!r}")
    height, width = (_validate.as_count("size", side) for side in sides)
    if max(height, width) > MOST_SIDE:
        raise InvalidInputError(f"size must be at most {MOST_SIDE}, got {size}")
    return height, width


def resized(pixels: Pixels, size: tuple[int, int], how: str) -> Pixels:
    """Resize as networks expect it: Pillow's bicubic filter, which averages when it shrinks.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (h, w, 3)
    size : (int, int)
        Height and width.
    how : {"crop", "stretch"}
        "crop" scales so that the image just covers the size, and cuts out the middle: what
        torchvision's ``Resize`` and ``CenterCrop`` do for a square.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
    """
    from PIL import Image

    height, width = size
    if how == "stretch":
        target = (width, height)
    else:
        pixels = _middle(pixels)
        rows, columns = pixels.shape[:2]
        if width * rows >= height * columns:
            target = (width, max(height, width * rows // columns))
        else:
            target = (max(width, height * columns // rows), height)
    image = Image.fromarray(pixels).resize(target, Image.Resampling.BICUBIC)
    top, left = round((target[1] - height) / 2), round((target[0] - width) / 2)
    return np.asarray(image)[top : top + height, left : left + width]


def _middle(pixels: Pixels) -> Pixels:
    """Cut far ends off a very long image: enlarged, they would fill the memory to be thrown away.

    What is left is long enough for every crop whose own aspect is less than `_MOST_ASPECT`.
    """
    rows, columns = pixels.shape[:2]
    most = 2 * _MOST_ASPECT * min(rows, columns)
    if max(rows, columns) <= most:
        return pixels
    first = (max(rows, columns) - most) // 2
    cut = pixels[first : first + most] if rows > columns else pixels[:, first : first + most]
    return np.ascontiguousarray(cut)


# ---- helpers -----------------------------------------------------------------------------------


def _sums(terms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of each row by halves: the same order on every machine. Overwrites the terms."""
    width = terms.shape[1]
    while width > 1:
        half = width // 2
        terms[:, :half] += terms[:, half : 2 * half]
        if width % 2:
            terms[:, 0] += terms[:, width - 1]
        width = half
    return terms[:, 0].copy()


def _normalized(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of length 1; zero rows stay. Scaled first, so that squares neither vanish nor grow."""
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    largest[largest == 0] = 1
    scaled: NDArray[np.float64] = vectors / largest
    lengths = np.sqrt(_sums(np.square(scaled)))[:, None]
    lengths[lengths == 0] = 1
    return scaled / lengths


def _as_plain(name: str, result: Any) -> Any:
    """Let NumPy see a result; tensors raise whatever they like."""
    if isinstance(result, np.ndarray):
        return result
    try:
        return np.asarray(result)
    except MemoryError:
        raise
    except Exception as error:
        raise InvalidTypeError(f"{name} cannot be seen as an array: {error}") from error


def _requires_grad(name: str, result: Any) -> bool:
    """Ask what an encoder returned, which may be anything."""
    try:
        return bool(getattr(result, "requires_grad", False))
    except MemoryError:
        raise
    except Exception as error:
        raise InvalidTypeError(
            f"{name} cannot say whether it requires a gradient: {type(error).__name__}: {error}"
        ) from error


def _check_finite(name: str, rows: NDArray[Any], shown: NDArray[np.float64]) -> None:
    if not np.isfinite(rows).all():
        image, at = (int(i) for i in np.argwhere(~np.isfinite(rows))[0])
        raise InvalidInputError(
            f"{name} is {shown[image, at]} at [{image}, {at}]: it must be finite in float32"
        )


def _as_finite(name: str, value: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidTypeError(f"{name} must be a number, got {value!r}") from error
    if not np.isfinite(number):
        raise InvalidInputError(f"{name} must be finite, got {value}")
    return number


def one_of(name: str, value: Any, known: tuple[str, ...]) -> str:
    """Return a value that is one of those known."""
    if not isinstance(value, str) or value not in known:
        raise InvalidInputError(f"{name} must be one of {', '.join(known)}, got {value!r}")
    return value
