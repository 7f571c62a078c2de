"""Paths as an index takes them."""

from __future__ import annotations

import os
from typing import Any

from imgsim_fast.errors import InvalidInputError, InvalidTypeError
from imgsim_fast.index import catalog as catalogs

PathLike = str | bytes | os.PathLike[Any]


def absolute(path: PathLike) -> str:
    """Return the absolute path as text, with surrogates where it is none."""
    return os.fsdecode(absolute_bytes(path))


def absolute_bytes(path: PathLike) -> bytes:
    """Return the absolute path as the file system has it."""
    try:
        name = os.fsencode(path)
    except TypeError as error:
        raise InvalidTypeError(f"expected a path, got {path!r}") from error
    except UnicodeEncodeError as error:
        raise InvalidInputError(f"{path!r} is no path: {error}") from error
    if not name or b"\0" in name:
        raise InvalidInputError(f"{path!r} is no path")
    return os.path.abspath(name)


def absolute_folder(path: PathLike) -> bytes:
    """Return the absolute path with a separator at its end, with which those inside begin."""
    separator = os.fsencode(os.sep)
    return absolute_bytes(path).rstrip(separator) + separator


def check_vacant(folder: str) -> None:
    """Raise if a folder holds anything but what an interrupted creation leaves."""
    for name in sorted(os.listdir(folder)):
        if name == catalogs.FILE:
            raise FileExistsError(f"{folder!r} is an index already: use Index.open")
        if name != "lock" and not name.startswith(catalogs.UNFINISHED):
            hint = ", what is left of an index; delete it" if name.startswith("segment-") else ""
            raise FileExistsError(f"{folder!r} exists and is not empty: it holds {name!r}{hint}")
