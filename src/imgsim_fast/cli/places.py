"""Finding what a command is to look at."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from imgsim_fast import errors
from imgsim_fast.cli.output import progress_bar

if TYPE_CHECKING:
    from imgsim_fast.index import Index

INDEX_NAME = ".imgsim"  # where the index of a folder lies unless --index says otherwise


def index_of(where: str) -> str:
    """Return the index that a path means: itself, or the one inside a folder."""
    from imgsim_fast.index import Index

    inside = os.path.join(where, INDEX_NAME)
    return inside if not Index.exists(where) and Index.exists(inside) else where


@contextlib.contextmanager
def searchable(
    where: str, measure: str | None, options: dict[str, Any], threads: int | None, quiet: bool,
    argument: str = "WHERE",
) -> Iterator[tuple[Index, list[tuple[str, str]]]]:  # fmt: skip
    """Open the index that an argument means, or make a passing one of a plain folder."""
    import tempfile

    from imgsim_fast.index import Index

    path = index_of(where)
    if Index.exists(path):
        with Index.open(path, measure, **options) as store:
            yield store, []
        return
    if not os.path.isdir(where):
        raise errors.InvalidInputError(f"{argument} {where!r} is neither an index nor a folder")
    with (
        tempfile.TemporaryDirectory(prefix="imgsim-") as folder,
        Index.create(folder, measure or "wasserstein", **options) as store,
    ):
        with progress_bar("reading", lambda: count_images(where), quiet=quiet) as advance:
            report = store.add(where, threads=threads, progress=advance)
        if not len(store):
            raise errors.InvalidInputError(f"{argument} {where!r} holds no image that can be read")
        yield store, report.skipped


def reading_note(*places: str) -> str:
    """Say of a time that a plain folder was read before, which is not in it."""
    from imgsim_fast.index import Index

    plain = any(not Index.exists(index_of(where)) for where in places)
    return " once the folder was read" if plain else ""


def count_images(folder: str) -> int:
    """Count what a folder has to index."""
    from imgsim_fast.folders import find_images

    return sum(1 for _ in find_images(folder, on_error=lambda path, error: None))
