"""Files of a model's weights: found, and told apart by their SHA-256."""

from __future__ import annotations

import hashlib
import os
import re
from typing import Any

from imgsim_fast.errors import InvalidInputError, InvalidTypeError, MissingModelError

__all__ = ["check_digest", "digest_of", "path_of", "read"]

_PREFIX = re.compile(r"[0-9a-f]{8,64}")


def path_of(name: str, path: str | bytes | os.PathLike[Any]) -> str:
    """Return the absolute path of a regular file; `name` is the argument, for the message."""
    try:
        text = os.fsdecode(os.fspath(path))
    except TypeError as error:
        raise InvalidTypeError(f"{name} must be the path of a file, got {path!r}") from error
    full = os.path.abspath(text)
    try:
        regular = os.path.isfile(full)
    except ValueError as error:  # a null character
        raise InvalidInputError(f"{name} must be the path of a file, got {path!r}") from error
    if not regular:
        there = "is no regular file" if os.path.exists(full) else "does not exist"
        raise MissingModelError(f"{name}: {full!r} {there}")
    return full


def read(name: str, path: str) -> bytes:
    """Return the contents of a file."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise MissingModelError(f"{name}: {path!r} cannot be read: {error.strerror}") from error


def digest_of(name: str, path: str) -> str:
    """SHA-256 of a file in hexadecimal digits, without reading it into memory at once."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise MissingModelError(f"{name}: {path!r} cannot be read: {error.strerror}") from error


def check_digest(name: str, path: str, digest: str, wanted: str | None) -> None:
    """Raise unless a file's digest begins with the digits wanted (8 to 64 of them)."""
    if wanted is None:
        return
    if not isinstance(wanted, str):
        raise InvalidTypeError(f"sha256 must be text, got {wanted!r}")
    if _PREFIX.fullmatch(wanted.lower()) is None:
        raise InvalidInputError(f"sha256 must be 8 to 64 hexadecimal digits, got {wanted!r}")
    if not digest.startswith(wanted.lower()):
        raise MissingModelError(
            f"{name}: {path!r} has the SHA-256 {digest}, not {wanted}: other weights, or damaged"
        )
