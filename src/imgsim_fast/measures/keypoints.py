"""Keypoints found again in the other image: SIFT, ORB and SURF."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgsim_fast import _memory, _threads, _validate
from imgsim_fast._extras import extra
from imgsim_fast.descriptors import grey_pixels
from imgsim_fast.errors import (
    IndexCorruptError,
    InvalidInputError,
    InvalidTypeError,
    MissingExtraError,
)
from imgsim_fast.measures.base import Measure
from imgsim_fast.rows import RaggedRows, Row, Rows

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["ORB", "SIFT", "SURF", "Keypoints", "Matched"]

# A row is _HEAD (keypoints, width, height, bytes of a descriptor), then x and y of each keypoint
# as float32, then the descriptors; all little-endian.
_HEAD = 4 * 4
_POINT = 2 * 4
_LEAST_SIDE = 8  # smaller images have no keypoint; ORB fails on the smallest
_INLIER_PIXELS = 5.0
_MOST_FEATURES = 100_000
_ROWS_PER_TASK = 8
_SERIAL_BLAS = 1 << 18  # multiplications that OpenBLAS does without threads


class Matched(NamedTuple):
    """Keypoints of two images that were found to be the same.

    Attributes
    ----------
    points1, points2 : ndarray of float32, shape (m, 2)
        Their x and y, in pixels of the upright images as described: scaled down to `size1` and
        `size2`.
    distances : ndarray of float64, shape (m,)
        Distances of their descriptors: Euclidean (SIFT, SURF) or Hamming (ORB).
    inliers : ndarray of bool, shape (m,)
        Which of them one homography explains; all, if the measure has ``ransac=False``.
    size1, size2 : (int, int)
        Width and height to which `points1` and `points2` refer.
    """

    points1: NDArray[np.float32]
    points2: NDArray[np.float32]
    distances: NDArray[np.float64]
    inliers: NDArray[np.bool_]
    size1: tuple[int, int]
    size2: tuple[int, int]


class _Described(NamedTuple):
    """A row, unpacked."""

    size: tuple[int, int]
    points: NDArray[np.float32]
    vectors: NDArray[Any]


class Keypoints(Measure):
    """Share of the keypoints of two images that match, in [0, 1].

    Two keypoints match if each is the other's nearest by descriptor and, in both images, clearly
    nearer than the second nearest (Lowe, "Distinctive image features from scale-invariant
    keypoints", IJCV 2004, section 7.1). So no keypoint is used twice, and the order of the images
    does not matter. With m matches among n1 and n2 keypoints the value is ``m / max(n1, n2)``: 1
    for an image and itself, 0 where an image has no keypoint. Division by the smaller number
    would let an image of one keypoint match everything (docs/keypoints.md has figures).

    Matching is exact: descriptors are small integers, so that their squared distances are whole
    numbers that float32 holds. It takes O(n1 n2) time and memory for each pair of images.

    Parameters
    ----------
    features : int
        Keep at most so many keypoints, the strongest; 1 to 100,000.
    ratio : float
        Greatest distance, as a part of that of the second nearest; in (0, 1].
    ransac : bool
        Count only matches that one homography explains within 5 pixels. Its random numbers begin
        with the same seed in every call. The order of the images then matters a little.
    size : int
        Images whose longer side has more pixels are scaled down to it first; 0: never.

    Raises
    ------
    MissingExtraError
        OpenCV is missing, or has been built without the detector.
    """

    higher_is_better = True
    value_range = (0.0, 1.0)
    unit: ClassVar[str] = ""
    row_dtype = np.dtype(np.uint8)
    drawn_as = "matches"
    near_identical = 0.25  # measured, see docs/keypoints.md

    _bytes: ClassVar[int]  # of one descriptor

    def __init__(
        self, features: int = 500, ratio: float = 0.75, ransac: bool = False, size: int = 640
    ) -> None:
        self._features = _validate.as_count("features", features)
        if self._features > _MOST_FEATURES:
            raise InvalidInputError(f"features must be at most {_MOST_FEATURES}, got {features}")
        self._ratio = _as_ratio(ratio)
        if not isinstance(ransac, (bool, np.bool_)):
            raise InvalidTypeError(f"ransac must be true or false, got {ransac!r}")
        self._ransac = bool(ransac)
        self._size = _validate.as_count("size", size, least=0)
        self._cv2 = extra("cv2", "opencv", f"measure {self.name!r}")
        self._detector()  # fails now if this OpenCV has none

    @property
    def options(self) -> Mapping[str, Any]:
        """Features, ratio, ransac and size as plain JSON types."""
        return {
            "features": self._features,
            "ratio": self._ratio,
            "ransac": self._ransac,
            "size": self._size,
        }

    @property
    def row_length(self) -> None:
        """Bytes of a row: that depends on the number of keypoints."""
        return

    def describe(self, image: Image | NDArray[Any]) -> Row:
        """Keypoints of the upright grey image, packed as uint8; see `match` for what is inside."""
        grey = self._scaled(grey_pixels(image))
        height, width = grey.shape
        points = np.empty((0, 2), np.float32)
        vectors = np.empty((0, self._bytes), np.uint8)
        if min(height, width) >= _LEAST_SIDE:
            points, vectors = self._detect(grey)
        head = np.array([len(points), width, height, self._bytes], "<u4")
        parts = (head, points.astype("<f4"), vectors)
        return np.concatenate([part.reshape(-1).view(np.uint8) for part in parts])

    def values(self, query: Row, rows: Rows, threads: int) -> NDArray[np.float64]:
        """Similarity of the query and each of the rows, shape (n,); 8 rows to a task."""
        if not isinstance(rows, RaggedRows):
            raise InvalidTypeError("rows of keypoints are ragged, got a matrix")
        wanted = self._query("query", query)
        out = np.zeros(len(rows))

        def fill(start: int) -> None:
            for row in range(start, min(start + _ROWS_PER_TASK, len(rows))):
                other = self._unpacked(rows[row])
                if isinstance(other, str):
                    raise IndexCorruptError(f"row {row} holds no keypoints: {other}")
                out[row] = self._value(wanted, other)

        _threads.for_each(fill, range(0, len(rows), _ROWS_PER_TASK), threads)
        return out

    def match(self, a: Row, b: Row) -> Matched:
        """Find the matches of two descriptors, to draw them.

        Parameters
        ----------
        a, b : ndarray of uint8
            Descriptors from `describe`.

        Returns
        -------
        Matched

        Raises
        ------
        InvalidInputError
            An array is no descriptor of this measure.
        """
        first, second = self._query("a", a), self._query("b", b)
        left, right, squares = self._matches(first, second)
        points1, points2 = first.points[left], second.points[right]
        inliers = np.ones(len(left), np.bool_)
        if self._ransac:
            inliers = self._inliers(points1, points2, first.size, second.size)
        distances = self._distance(squares.astype(np.float64))
        return Matched(points1, points2, distances, inliers, first.size, second.size)

    def first_bad(self, rows: Rows) -> tuple[int, str] | None:
        """Find a row that holds no keypoints of this measure."""
        for row, packed in enumerate(rows):
            why = self._unpacked(packed)
            if isinstance(why, str):
                return row, f"holds no keypoints: {why}"
        return None

    # ---- describing ----------------------------------------------------------------------------

    @abstractmethod
    def _detector(self) -> Any:
        """Make OpenCV's detector: one for each image, nobody promises that two can share it."""

    @abstractmethod
    def _stored(self, found: NDArray[Any]) -> NDArray[np.uint8]:
        """Turn OpenCV's descriptors into bytes."""

    def _scaled(self, grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
        height, width = grey.shape
        longer = max(height, width)
        if self._size == 0 or longer <= self._size:
            return grey
        size = [max(1, round(side * self._size / longer)) for side in (width, height)]
        smaller: NDArray[np.uint8] = self._cv2.resize(
            grey, size, interpolation=self._cv2.INTER_AREA
        )
        return smaller

    def _detect(self, grey: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        cv2 = self._cv2
        try:
            keypoints, found = self._detector().detectAndCompute(grey, None)
        except cv2.error as error:
            if error.code == cv2.Error.STS_NO_MEM:
                raise MemoryError(str(error)) from error
            raise InvalidInputError(
                f"OpenCV finds no {self.name} keypoints in an image of shape {grey.shape}: {error}"
            ) from error
        if found is None or len(keypoints) == 0:
            return np.empty((0, 2), np.float32), np.empty((0, self._bytes), np.uint8)
        points = np.array([keypoint.pt for keypoint in keypoints], np.float32)
        # The strongest first, and what is equally strong in an order of its own: OpenCV keeps more
        # than were asked for if they tie.
        keys = np.array([(-k.response, *k.pt[::-1], k.size, k.angle) for k in keypoints])
        order = np.lexsort(keys.T[::-1])[: self._features]
        return points[order], self._stored(found[order])

    # ---- comparing -----------------------------------------------------------------------------

    # Descriptors are compared by squared Euclidean distances, or whatever else is a whole number
    # below 2**24: float32 then holds it exactly.

    def _vectors(self, stored: NDArray[np.uint8]) -> NDArray[Any]:
        """Descriptors as `_squares` wants them, one per row."""
        return stored.astype(np.float32)

    def _squares(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float32]:
        """Squared distance of each a and each b: exact, in whatever order BLAS adds."""
        squares = _products(a, b)
        squares *= -2
        squares += np.einsum("ij,ij->i", a, a)[:, None]
        squares += np.einsum("ij,ij->i", b, b)
        return squares

    def _distance(self, squares: NDArray[np.float64]) -> NDArray[np.float64]:
        """Distances as people know them."""
        return np.sqrt(squares)

    @property
    def _nearer(self) -> float:
        """The ratio of squared distances."""
        return self._ratio**2

    def _query(self, name: str, row: Any) -> _Described:
        if not isinstance(row, np.ndarray) or row.dtype != self.row_dtype or row.ndim != 1:
            kind = f"{row.dtype}, {row.shape}" if isinstance(row, np.ndarray) else type(row)
            raise InvalidTypeError(f"{name} must be a row of uint8, got {kind}")
        found = self._unpacked(row)
        if isinstance(found, str):
            raise InvalidInputError(f"{name} holds no keypoints of {self.name}: {found}")
        return found

    def _unpacked(self, row: Row) -> _Described | str:
        """Read a row; or say what is wrong with it."""
        data = row.tobytes()
        if len(data) < _HEAD:
            return f"{len(data)} bytes are no head"
        count, width, height, size = np.frombuffer(data, "<u4", 4).tolist()
        if size != self._bytes:
            return f"descriptors of {size} bytes, {self.name} has {self._bytes}"
        if count > self._features or len(data) != _HEAD + count * (_POINT + size):
            return f"{count} keypoints in {len(data)} bytes, of at most {self._features} keypoints"
        if min(width, height) < 1 or 0 < self._size < max(width, height):
            return f"an image of {width} x {height} pixels"
        points = np.frombuffer(data, "<f4", 2 * count, _HEAD).reshape(count, 2)
        if not np.isfinite(points).all():
            return "a coordinate is not finite"
        stored = np.frombuffer(data, np.uint8, count * size, _HEAD + count * _POINT)
        vectors = self._vectors(stored.reshape(count, size))
        return _Described((width, height), points.astype(np.float32), vectors)

    def _value(self, a: _Described, b: _Described) -> float:
        left, right, _ = self._matches(a, b)
        good = len(left)
        if self._ransac:
            good = int(self._inliers(a.points[left], b.points[right], a.size, b.size).sum())
        return good / max(len(a.points), len(b.points), 1)

    def _matches(
        self, a: _Described, b: _Described
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
        """Find the matches: their indices in both images, and their squared distances."""
        if len(a.points) == 0 or len(b.points) == 0:
            none = np.empty(0, np.intp)
            return none, none, np.empty(0, np.float32)
        n, m = len(a.points), len(b.points)
        _memory.check(16 * n * m, f"matching {n} keypoints with {m}")
        squares = self._squares(a.vectors, b.vectors)
        left = np.arange(len(squares))
        right = squares.argmin(axis=1)
        nearest = squares[left, right]
        keep = self._clearly(nearest, _second(squares, right))
        left, right, nearest = left[keep], right[keep], nearest[keep]
        columns = np.ascontiguousarray(squares[:, right].T)  # these few from the other image
        best = columns.argmin(axis=1)
        keep = columns[np.arange(len(best)), best] == nearest
        keep &= self._clearly(nearest, _second(columns, best))
        left, right, nearest = left[keep], right[keep], nearest[keep]
        same = nearest == 0
        if same.any():  # equal descriptors may be several in an image: pair them one to one
            right[same] = _paired(squares, left[same])
            keep = right >= 0
            left, right, nearest = left[keep], right[keep], nearest[keep]
        return left, right, nearest

    def _clearly(
        self, nearest: NDArray[np.float32], second: NDArray[np.float32]
    ) -> NDArray[np.bool_]:
        clearly: NDArray[np.bool_] = nearest < self._nearer * second.astype(np.float64)
        clearly |= nearest == 0
        return clearly

    def _inliers(
        self,
        points1: NDArray[np.float32],
        points2: NDArray[np.float32],
        size1: tuple[int, int],
        size2: tuple[int, int],
    ) -> NDArray[np.bool_]:
        """Tell which matches a homography explains: the best that RANSAC finds, or the stretching.

        RANSAC needs four matches. The homography that stretches one image over the other is tried
        besides, so that an image is always one with itself.
        """
        stretched = points1 * (np.array(size2, float) / np.maximum(size1, 1))
        inliers: NDArray[np.bool_] = np.hypot(*(stretched - points2).T) <= _INLIER_PIXELS
        if len(points1) < 4 or inliers.all():
            return inliers
        cv2 = self._cv2
        try:
            _, mask = cv2.findHomography(points1, points2, cv2.RANSAC, _INLIER_PIXELS)
        except cv2.error:  # coordinates that no image has
            return inliers
        if mask is None:
            return inliers
        found: NDArray[np.bool_] = mask.reshape(-1) != 0
        return found if found.sum() > inliers.sum() else inliers


class SIFT(Keypoints):
    """Share of matching SIFT keypoints; options as in :class:`Keypoints`.

    Lowe's scale-invariant features (IJCV 2004); OpenCV's 128 whole numbers of 0 to 255.
    """

    name = "sift"
    _bytes = 128

    def _detector(self) -> Any:
        return self._cv2.SIFT_create(nfeatures=self._features)

    def _stored(self, found: NDArray[Any]) -> NDArray[np.uint8]:
        stored: NDArray[np.uint8] = np.clip(np.rint(found), 0, 255).astype(np.uint8)
        return stored


class ORB(Keypoints):
    """Share of matching ORB keypoints; options as in :class:`Keypoints`.

    Oriented FAST and rotated BRIEF (Rublee et al., ICCV 2011): 256 bits, Hamming distance; faster
    than SIFT. Images need some 64 pixels on each side to have any.
    """

    name = "orb"
    near_identical = 0.2
    _bytes = 32

    def _detector(self) -> Any:
        return self._cv2.ORB_create(nfeatures=self._features)

    def _stored(self, found: NDArray[Any]) -> NDArray[np.uint8]:
        return np.ascontiguousarray(found, np.uint8)

    def _vectors(self, stored: NDArray[np.uint8]) -> NDArray[Any]:
        return stored.view(np.uint64)

    def _squares(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float32]:
        # Bits that differ: the squared distance of vectors of bits, and their Hamming distance.
        counts = np.zeros((len(a), len(b)), np.uint16)
        for word in range(a.shape[1]):
            counts += np.bitwise_count(a[:, word, None] ^ b[None, :, word])
        return counts.astype(np.float32)

    def _distance(self, squares: NDArray[np.float64]) -> NDArray[np.float64]:
        return squares

    @property
    def _nearer(self) -> float:
        return self._ratio


class SURF(Keypoints):
    """Share of matching SURF keypoints; options as in :class:`Keypoints`.

    Bay et al., CVIU 2008. Patented for long, so that no OpenCV wheel has it: it works with an
    OpenCV of your own, built with opencv_contrib and OPENCV_ENABLE_NONFREE. Its 64 numbers in
    [-1, 1] are stored as whole numbers of 0 to 254, which changes each by at most 1 / 254.
    """

    name = "surf"
    _bytes = 64

    def _detector(self) -> Any:
        cv2 = self._cv2
        create = getattr(getattr(cv2, "xfeatures2d", None), "SURF_create", None)
        advice = (
            f"measure 'surf' needs an OpenCV built with opencv_contrib and OPENCV_ENABLE_NONFREE; "
            f"OpenCV {cv2.__version__} here"
        )
        if create is None:
            raise MissingExtraError(f"{advice} has no SURF: build one, or use 'sift' or 'orb'")
        try:
            return create(hessianThreshold=100)
        except cv2.error as error:
            raise MissingExtraError(
                f"{advice} has it locked: build one, or use 'sift' or 'orb'"
            ) from error

    def _stored(self, found: NDArray[Any]) -> NDArray[np.uint8]:
        stored: NDArray[np.uint8] = np.rint(127 + 127 * np.clip(found, -1, 1)).astype(np.uint8)
        return stored

    def _distance(self, squares: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.sqrt(squares) / 127


def _products(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Product of a and the transpose of b, in pieces so small that OpenBLAS starts no threads.

    Its threads spin while they wait for each other: with anything else running on the machine, one
    product of this size took 40 ms instead of 0.7 ms.
    """
    columns = np.ascontiguousarray(b.T)
    height = max(1, _SERIAL_BLAS // max(columns.size, 1))
    whole = len(a) // height * height
    out = np.empty((len(a), len(b)), np.float32)
    pieces = a[:whole].reshape(-1, height, a.shape[1])
    np.matmul(pieces, columns, out=out[:whole].reshape(-1, height, len(b)))
    np.matmul(a[whole:], columns, out=out[whole:])
    return out


def _second(squares: NDArray[np.float32], nearest: NDArray[np.intp]) -> NDArray[np.float32]:
    """Second smallest of each row; infinity where there is one column."""
    rows = np.arange(len(squares))
    kept = squares[rows, nearest]
    squares[rows, nearest] = np.inf
    second: NDArray[np.float32] = squares.min(axis=1, initial=np.inf)
    squares[rows, nearest] = kept
    return second


def _paired(squares: NDArray[np.float32], left: NDArray[np.intp]) -> NDArray[np.intp]:
    """Give each of these rows a column of its own where it has a 0; -1 where none is left."""
    free = np.ones(squares.shape[1], np.bool_)
    found = np.full(len(left), -1, np.intp)
    for index, row in enumerate(left):
        columns = np.flatnonzero((squares[row] == 0) & free)
        if columns.size:
            found[index] = columns[0]
            free[columns[0]] = False
    return found


def _as_ratio(ratio: float) -> float:
    if isinstance(ratio, bool):
        raise InvalidTypeError(f"ratio must be a number, got {ratio!r}")
    try:
        number = float(ratio)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidTypeError(f"ratio must be a number, got {ratio!r}") from error
    if not 0 < number <= 1 or math.isnan(number):
        raise InvalidInputError(f"ratio must be in (0, 1], got {ratio}")
    return number
