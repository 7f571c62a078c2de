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
    images, histograms, segments, dead_rows, bytes : int
        `histograms` came by `add_histograms`; `dead_rows` are rows of removed or changed images
        that no merge has dropped yet; `bytes` is the size of the index's own files.
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
    histograms: int = 0


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


class DuplicateImage(NamedTuple):
    """An image in a group of near-identical ones.

    Attributes
    ----------
    id : int
        In its index.
    path : str
        Absolute; names that are not valid text hold surrogates.
    width, height : int
        Of the upright image.
    bytes : int
        Size of the file.
    reference : bool
        True for an image of the reference.
    copy_of : int or None
        Position in the group of the first image whose file has the very same contents, if that is
        another one.
    """

    id: int
    path: str
    width: int
    height: int
    bytes: int
    reference: bool
    copy_of: int | None


class DuplicatePair(NamedTuple):
    """Two images within the threshold that link a group.

    Attributes
    ----------
    first, second : int
        Positions in the group.
    value : float
        By the measure of the index, of the first as the query.
    confirmed : float or None
        By the confirming measure; None where none was asked for.
    """

    first: int
    second: int
    value: float
    confirmed: float | None


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Images that are linked by pairs within the threshold, or by equal contents.

    Attributes
    ----------
    images : list of DuplicateImage
        Those of the reference first, then by id.
    pairs : list of DuplicatePair
        By position: as many as link the images that are no copies, not all that are within the
        threshold, of which a thousand look-alikes have half a million. An image that is a pair with
        the one to keep is linked with that one. Two images of a group need not be a pair: others
        may link them.
    keep : int
        Position of the image worth keeping: of the reference, if there is one; then the one with
        the most pixels, then the most bytes, then the lowest id.
    """

    images: list[DuplicateImage]
    pairs: list[DuplicatePair]
    keep: int

    @property
    def ids(self) -> list[int]:
        """Ids of the images."""
        return [image.id for image in self.images]

    @property
    def paths(self) -> list[str]:
        """Paths of the images."""
        return [image.path for image in self.images]

    def links(self) -> dict[int, DuplicatePair]:
        """Return, by position, the pair with the image to keep; without such, the first pair.

        Copies, and the image to keep itself, have none.
        """
        found: dict[int, DuplicatePair] = {}
        for pair in self.pairs:
            for position in (pair.first, pair.second):
                if position not in found or self.keep in (pair.first, pair.second):
                    found[position] = pair
        found.pop(self.keep, None)
        return found

    @property
    def exact(self) -> bool:
        """True where all files have the same contents."""
        return all(image.copy_of is not None for image in self.images[1:])


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Groups of near-identical images.

    Attributes
    ----------
    groups : list of DuplicateGroup
        By the lowest id, images of the reference not counted.
    measure, unit : str
        Of the index.
    higher_is_better : bool
        Of that measure.
    threshold : float
        Pairs reach or beat it.
    confirm : str or None
        Name of the confirming measure.
    confirm_threshold : float or None
    images, references : int
        How many were looked at.
    skipped : list of (str, str)
        Files that could not be read, or had changed, when a pair was to be confirmed: such pairs
        do not count.
    """

    groups: list[DuplicateGroup]
    measure: str
    unit: str
    higher_is_better: bool
    threshold: float
    confirm: str | None
    confirm_threshold: float | None
    images: int
    references: int
    skipped: list[tuple[str, str]]

    def __len__(self) -> int:
        return len(self.groups)
