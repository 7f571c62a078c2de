"""The two sides of a search for duplicates of a reference: the images, and those of the reference.

The reference is another index, or a folder inside what is indexed.
"""

from __future__ import annotations

import os

from imgsim_fast.errors import InvalidInputError
from imgsim_fast.index.agreement import agreed_measure
from imgsim_fast.index.paths import PathLike, absolute_folder
from imgsim_fast.index.reader import Reader
from imgsim_fast.index.search import Collection


def sides_of(
    own: Reader, reference: Reader | PathLike | None
) -> tuple[Collection, Collection | None]:
    """Return the images to be compared, and those of the reference, if there is one.

    Raises
    ------
    InvalidInputError
        No image lies in the reference, or all do; the reference is the index itself.
    IndexMismatchError
        The reference was made with another measure or other options.
    """
    if reference is None:
        return own.collection(), None
    if isinstance(reference, Reader):
        return _without_index(own, reference)
    return _without_folder(own, absolute_folder(reference))


def _without_index(own: Reader, reference: Reader) -> tuple[Collection, Collection]:
    agreed_measure(reference.catalog, own.measure, {})
    if os.path.samefile(reference.catalog.folder, own.catalog.folder):
        raise InvalidInputError("reference is this very index: all images lie in it")
    there = reference.collection()
    paths = set(there.paths)
    here = own.collection(lambda path: path not in paths)
    if not len(here.ids) and own.count():
        raise _nothing_left("are also in", reference.catalog.folder)
    return here, there


def _without_folder(own: Reader, inside: bytes) -> tuple[Collection, Collection]:
    there = own.collection(lambda path: path.startswith(inside))
    here = own.collection(lambda path: not path.startswith(inside))
    if not len(there.ids):
        raise InvalidInputError(
            f"reference: no image of the index lies in {os.fsdecode(inside)!r}"
            + ("; a folder outside it needs an index of its own, reference=Index.open(...)"
               if os.path.isdir(inside) else ": no such folder")
        )  # fmt: skip
    if not len(here.ids):
        raise _nothing_left("lie in", os.fsdecode(inside))
    return here, there


def _nothing_left(how: str, reference: str) -> InvalidInputError:
    """Say that the reference holds every image, and what to ask instead."""
    return InvalidInputError(
        f"all images of the index {how} {reference!r}, the reference: none is left to compare with "
        f"it; ask for the duplicates of {reference!r}, with the folder of these images as the "
        "reference"
    )
