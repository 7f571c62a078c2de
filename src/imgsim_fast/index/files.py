"""The files that adding and refreshing look at, each path once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from imgsim_fast import folders
from imgsim_fast.errors import InvalidInputError, InvalidTypeError
from imgsim_fast.index.build import Builder
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
