"""What an index tells about itself and about one of its images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class IndexStats:
    """What an index holds.

    Attributes
    ----------
    path : str
    measure : str
    options : dict
    images, segments, dead_rows, bytes : int
        `dead_rows` are rows of removed or changed images that no merge has dropped yet; `bytes` is
        the size of the index's own files.
    skipped : list of (str, str)
        Files that could not be read, with the reason.
    folders : list of str
        The folders that `refresh` looks at.
    """

    path: str
    measure: str
    options: dict[str, Any]
    images: int
    segments: int
    dead_rows: int
    bytes: int
    skipped: list[tuple[str, str]]
    folders: list[str]


class IndexedImage(NamedTuple):
    """An image as an index has it.

    Attributes
    ----------
    id : int
    path : str
        Absolute; names that are not valid text hold surrogates.
    width, height : int
        Of the upright image.
    descriptor : ndarray
        What the measure compares; for "wasserstein" the grey histogram, uint32 of shape (bins,).
    """

    id: int
    path: str
    width: int
    height: int
    descriptor: NDArray[Any]
