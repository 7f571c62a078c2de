"""Types of the compiled core; tests/test_codebase.py compares them with the build."""

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Keys = NDArray[np.uint32]
CodedPart = tuple[Array, Array, Array | None, Array | None]

class BadMassError(Exception):
    which: int
    row: int
    def __init__(self, which: int, row: int) -> None: ...

@final
class Axis:
    edges: Floats
    @property
    def bins(self) -> int: ...
    def __init__(
        self, first: float, last: float, edges: Floats, single_precision: bool
    ) -> None: ...

@final
class Metric:
    bins: int
    def __init__(
        self, bins: int, positions: Floats | None, spacing: float, p: float, period: float
    ) -> None: ...

def available_isas() -> list[str]: ...
def active_isa() -> str: ...
def set_isa(name: str) -> None: ...
def set_thread_worth(nanoseconds: float) -> float: ...
def histogram(image: Array, mask: Array | None, axis: Axis) -> Counts: ...
def histogram_joint(image: Array, mask: Array | None, axes: tuple[Axis, ...]) -> Counts: ...
def histograms(images: list[Array], axis: Axis, threads: int) -> Counts: ...
def grey(rgb: Array) -> NDArray[np.uint8]: ...
def histogram_grey(rgb: Array, axis: Axis) -> Counts: ...
def histogram_grey_arrow(capsule: object, height: int, width: int, axis: Axis) -> Counts: ...

COMPARISONS: tuple[str, ...]

class BadHistogramError(Exception):
    which: int | None
    row: int
    def __init__(self, which: int | None, row: int) -> None: ...

def compare_plain(a: object, b: object, method: object) -> float | None: ...
def compare_dense(method: int, normalize: bool, a: Array, b: Array) -> float: ...

# out[r] = comparison of query (bins,) and rows[r] of (n, bins), both C-contiguous float32, float64,
# uint32 or int64. A row that cannot be compared (NaN, infinite; negative where that is refused; an
# integer above 2**53) raises BadHistogramError(1, row), the query BadHistogramError(0, 0), a
# result beyond float64 BadHistogramError(None, row); the lowest such row is named.
def compare_dense_many(
    method: int, normalize: bool, query: Array, rows: Array, threads: int
) -> Floats: ...
def compare_sparse(
    method: int,
    normalize: bool,
    keys_a: Keys,
    counts_a: Keys,
    keys_b: Keys,
    counts_b: Keys,
    bins: int,
) -> float: ...

# The same for rows of (key, count): row r is [offsets[r], offsets[r + 1]) of keys, which ascend
# within a row and are below bins, and of counts, whose total per row is below 2**32.
def compare_sparse_rows(
    method: int,
    normalize: bool,
    query: NDArray[np.uint32],
    packed: NDArray[np.uint32],
    offsets: NDArray[np.int64],
    bins: int,
    threads: int,
) -> Floats: ...
def sparse_histogram(
    image: Array, mask: Array | None, bins: tuple[int, ...], ignored: int | None
) -> tuple[Keys, Keys, int]: ...
def correlate_images(
    a: NDArray[np.uint8], b: NDArray[np.uint8], bins: tuple[int, ...], ignored: int | None
) -> float: ...
def wasserstein_1d_plain(a: object, b: object) -> float | None: ...
def pairs(
    metric: Metric, a: Array, b: Array, index_a: Counts, index_b: Counts, threads: int
) -> Floats: ...
def cdist(metric: Metric, a: Array, b: Array, out: Floats, threads: int) -> None: ...
def pdist(metric: Metric, a: Array, threads: int) -> Floats: ...
def running_sums(rows: Array) -> tuple[Floats, Floats]: ...
def sample_coupling(
    x: Floats,
    x_weights: Floats | None,
    y: Floats,
    y_weights: Floats | None,
    p: float,
    normalize: bool,
    with_plan: bool,
) -> tuple[float, tuple[Counts, Counts, Floats] | None]: ...
def knn(
    metric: Metric, queries: Array, database: Array, skip: Array | None, k: int, threads: int
) -> tuple[Floats, Counts]: ...
def knn_plain(
    query: object, database: object, k: object, metric: object, p: object, threads: object
) -> tuple[Floats, Counts] | None: ...

CODE_BYTES: int
RAW_BYTES: int
LEAF_ROWS: int

class DamagedCodesError(Exception):
    part: int
    def __init__(self, part: int) -> None: ...

def codes_useful(metric: Metric) -> bool: ...
def encode_rows(metric: Metric, rows: Array, codes: Array, threads: int) -> None: ...
def arranged_bytes(rows: int) -> int: ...
def arrange_codes(codes: Array, threads: int) -> NDArray[np.uint8]: ...
def nearest_coded(
    metric: Metric,
    queries: Array,
    parts: tuple[CodedPart, ...],
    k: int,
    radius: float,
    threads: int,
) -> tuple[Floats, Counts, int, int]: ...
def within_coded(
    metric: Metric, query: Array, parts: tuple[CodedPart, ...], radius: float, threads: int
) -> tuple[Floats, Counts, int, int]: ...
def sum_words(words: Array, threads: int) -> int: ...

STATUS: tuple[str, ...]
RULES: tuple[str, ...]
GROUNDS: tuple[str, ...]

class Ground:
    matrix: Floats | None
    x: Floats | None
    y: Floats | None
    is_metric: bool
    is_on_line: bool
    def __init__(
        self,
        kind: int,
        matrix: Floats | None,
        x: Floats | None,
        y: Floats | None,
        dims: int,
        threshold: float,
        is_metric: bool,
    ) -> None: ...
    def cut_matrix(self) -> Floats: ...
    def as_matrix(self) -> Floats: ...
    def bytes(self, n: int, m: int) -> int: ...

class Signatures:
    kept: tuple[Any, Any]
    def __init__(self, masses: Any, points: Any) -> None: ...
    def __len__(self) -> int: ...
    def first_bad(self) -> int: ...

def is_mass(masses: Floats) -> bool: ...
def is_metric(matrix: Floats) -> bool: ...
def transport(
    supply: Floats,
    demand: Floats,
    ground: Ground,
    rule: int,
    penalty: float,
    max_pivots: int,
    plan: bool,
    steps: bool,
) -> tuple[int, float, dict[str, Any]]: ...
def emd_plain(
    a: object, b: object, cost: object, positions: object, metric: object, mass: object
) -> float | None: ...
def emd_signatures(
    first: object, second: object, metric: object, cost: object
) -> tuple[float, None, NDArray[Any]] | None: ...
def transport_cdist(
    a: Signatures,
    b: Signatures,
    ground: Ground,
    rule: int,
    penalty: float,
    threads: int,
    out: Floats,
) -> tuple[int, int, int, int]: ...
def transport_pdist(
    a: Signatures, ground: Ground, rule: int, penalty: float, threads: int, out: Floats
) -> tuple[int, int, int, int]: ...
def transport_knn(
    a: Signatures,
    b: Signatures,
    ground: Ground,
    rule: int,
    penalty: float,
    k: int,
    threads: int,
    distances: Floats,
    indices: NDArray[np.int64],
) -> tuple[int, int, int, int]: ...
def rgb_to_lab(rgb: Array) -> Floats: ...
def color_palette(
    image: Array, colors: int, position_weight: float
) -> tuple[Counts, Floats, NDArray[np.uint8]]: ...
def move_sliced(
    points: Floats, weights: Floats, goals: Floats, goal_weights: Floats, directions: Floats
) -> Floats: ...

MOST_RESIZED: int

class SsimRule:
    weights: Floats | None
    @property
    def win(self) -> int: ...
    def __init__(
        self,
        win: int,
        weights: Floats | None,
        data_range: float,
        k1: float,
        k2: float,
        sample_covariance: bool,
    ) -> None: ...

def structural_similarity(
    x: Array, y: Array, rule: SsimRule, full: bool
) -> tuple[float, Floats | None]: ...
def structural_similarities(
    query: Array, images: list[Array], rule: SsimRule, threads: int
) -> Floats: ...
def resize_area(image: Array, height: int, width: int) -> NDArray[np.uint8]: ...
