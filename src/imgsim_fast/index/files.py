"""The files that adding and refreshing look at, each path once, and what is taken out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

import numpy as np

from imgsim_fast import _validate, folders
from imgsim_fast.errors import InvalidInputError, InvalidTypeError
from imgsim_fast.index.build import Builder
from imgsim_fast.index.catalog import Catalog
from imgsim_fast.index.paths import PathLike, absolute_bytes


def given_files(builder: Builder, given: PathLike | Iterable[PathLike]) -> Iterator[bytes]:
    """Absolute paths that `add` was given; a folder is walked and remembered."""
    if isinstance(given, (str, bytes, os.PathLike)):
        path = absolute_bytes(given)
        if os.path.isdir(path):
            builder.remember_folder(path)
            yield from _walk(builder, path, [])
        elif os.path.lexists(path):
            yield path
        else:
            raise InvalidInputError(f"{os.fsdecode(path)!r} does not exist")
        return
    try:
        items = iter(given)
    except TypeError as error:
        raise InvalidTypeError(
            f"images_or_folder must be a path or an iterable of paths, got {given!r}"
        ) from error
    seen = set()
    for item in items:
        path = absolute_bytes(item)
        if path not in seen:
            seen.add(path)
            yield path


def _walk(builder: Builder, folder: bytes, unreadable: list[bytes]) -> Iterator[bytes]:
    def note(path: bytes, error: OSError) -> None:
        unreadable.append(path)
        builder.skip_folder(path, error)

    own = [os.fsencode(builder.catalog.folder)]
    return folders.find_images(folder, exclude=own, on_error=note)


def existing_folders(catalog: Catalog) -> list[bytes]:
    """Return the folders that were added; a missing one is an error, as a disk may be unmounted."""
    roots = catalog.folders()
    for root in roots:
        if not os.path.isdir(root):
            raise InvalidInputError(
                f"folder {os.fsdecode(root)!r} of the index does not exist; nothing was removed"
            )
    return roots


def recorded_files(
    builder: Builder, roots: list[bytes], seen: set[bytes], unreadable: list[bytes]
) -> Iterator[bytes]:
    """All that `refresh` looks at, each path once."""
    catalog = builder.catalog
    for root in roots:
        for path in _walk(builder, root, unreadable):
            if path not in seen:
                seen.add(path)
                yield path
    known = [catalog.absolute(record.path) for record in catalog.images()]
    skipped = [path for path, _ in catalog.skipped()]
    for path in known + skipped:
        if path not in seen and os.path.lexists(path):
            seen.add(path)
            yield path


def vanished(
    catalog: Catalog, seen: set[bytes], unreadable: list[bytes]
) -> tuple[list[int], list[bytes]]:
    """Ids of images, and paths of skipped files, whose file `recorded_files` has not seen.

    What lies in a folder that could not be read may be there still.
    """
    separator = os.fsencode(os.sep)
    kept = tuple(folder.rstrip(separator) + separator for folder in unreadable)
    gone = [
        record.id
        for record in catalog.images()
        if (path := catalog.absolute(record.path)) not in seen
        and not path.startswith(kept)
        and not os.path.lexists(path)
    ]
    return gone, [path for path, _ in catalog.skipped() if not os.path.lexists(path)]


def given_images(given: int | PathLike | Iterable[int | PathLike]) -> list[int | PathLike]:
    """Return the ids and paths that `remove` was given, one or many."""
    if isinstance(given, (int, np.integer, str, bytes, os.PathLike)):
        return [given]
    try:
        return list(given)
    except TypeError as error:
        raise InvalidTypeError(
            f"ids_or_paths must be an id, a path or an iterable of them, got {given!r}"
        ) from error


def id_of(catalog: Catalog, item: int | PathLike) -> int:
    """Return the id of an image, given by id or path."""
    if isinstance(item, (str, bytes, os.PathLike)):
        record = catalog.image(absolute_bytes(item))
        if record is None:
            raise InvalidInputError(f"{os.fsdecode(os.fspath(item))!r} is not in the index")
        return record.id
    number = _validate.as_count("id", item)
    if catalog.image_of(number) is None:
        raise InvalidInputError(f"image {number} is not in the index")
    return number
