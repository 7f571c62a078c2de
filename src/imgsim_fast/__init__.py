"""Exact Wasserstein / Earth Mover's Distance for images.

Arrays in, numbers out::

    import imgsim_fast as isf

    counts = isf.histogram(image, bins=10, range=(0, 255))
    isf.wasserstein_1d(counts, other_counts)
    isf.knn(counts, database, k=5).indices

Folders of images: :class:`Index`, :func:`compare`, :func:`decode`, and the command ``imgsim``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imgsim_fast import compat, errors
from imgsim_fast.barycenter import barycenter_1d, interpolate_1d
from imgsim_fast.color_transfer import interpolate_images, match_histograms, transfer_color
from imgsim_fast.comparison import compare_histograms
from imgsim_fast.compat.cv2 import DIST_C, DIST_L1, DIST_L2, DIST_USER, EMD
from imgsim_fast.histogram import histogram, histograms
from imgsim_fast.knn import Neighbors, knn
from imgsim_fast.measures import Comparison, compare, compare_all, measures
from imgsim_fast.pairwise import cdist, pdist
from imgsim_fast.palette import Palette, color_palette, rgb_to_lab
from imgsim_fast.resize import resize_area
from imgsim_fast.shards import merge_neighbors
from imgsim_fast.sparse_histogram import SparseHistogram, sparse_histogram
from imgsim_fast.ssim import structural_similarities, structural_similarity
from imgsim_fast.transport import TransportResult, emd, transport
from imgsim_fast.wasserstein import cdf_vectors, wasserstein_1d

if TYPE_CHECKING:
    from imgsim_fast.images import decode
    from imgsim_fast.index import AddReport, Duplicates, Evaluation, Index, Matches, evaluate
    from imgsim_fast.measures.embedding import Embedding

__version__ = "0.1.0"

__all__ = [
    "DIST_C",
    "DIST_L1",
    "DIST_L2",
    "DIST_USER",
    "EMD",
    "AddReport",
    "Comparison",
    "Duplicates",
    "Embedding",
    "Evaluation",
    "Index",
    "Matches",
    "Neighbors",
    "Palette",
    "SparseHistogram",
    "TransportResult",
    "barycenter_1d",
    "cdf_vectors",
    "cdist",
    "color_palette",
    "compare",
    "compare_all",
    "compare_histograms",
    "compat",
    "decode",
    "emd",
    "errors",
    "evaluate",
    "histogram",
    "histograms",
    "interpolate_1d",
    "interpolate_images",
    "knn",
    "match_histograms",
    "measures",
    "merge_neighbors",
    "pdist",
    "resize_area",
    "rgb_to_lab",
    "sparse_histogram",
    "structural_similarities",
    "structural_similarity",
    "transfer_color",
    "transport",
    "wasserstein_1d",
]

# Found at first use: whoever only has arrays does not wait for Pillow and SQLite.
_LAZY = {
    "AddReport": "imgsim_fast.index",
    "Duplicates": "imgsim_fast.index",
    "Embedding": "imgsim_fast.measures.embedding",
    "Evaluation": "imgsim_fast.index",
    "Index": "imgsim_fast.index",
    "Matches": "imgsim_fast.index",
    "decode": "imgsim_fast.images",
    "evaluate": "imgsim_fast.index",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        value = getattr(import_module(_LAZY[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
