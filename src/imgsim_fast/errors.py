"""Every exception that imgsim_fast raises on purpose, and its one warning.

Each one also derives from the built-in exception a caller would expect, so ``except ValueError``
and ``except OSError`` keep working in code that has never heard of this module.
"""

from __future__ import annotations

__all__ = [
    "ImageDecodeError",
    "ImageTooLargeError",
    "ImgsimError",
    "IndexCorruptError",
    "IndexLockedError",
    "IndexMismatchError",
    "IndexTruncatedError",
    "IndexVersionError",
    "IndexWarning",
    "InfeasibleError",
    "InvalidInputError",
    "InvalidTypeError",
    "MissingExtraError",
    "MissingModelError",
    "OutOfRangeError",
    "UnbalancedMassError",
    "UnusableMeasureError",
]


class ImgsimError(Exception):
    """Base of all errors raised by imgsim_fast."""


class InvalidInputError(ImgsimError, ValueError):
    """An argument has a value that cannot be used; the message names both."""


class InvalidTypeError(ImgsimError, TypeError):
    """An argument has a type or dtype that cannot be used; the message names both."""


class UnbalancedMassError(InvalidInputError):
    """Two totals of mass have to agree and do not; the message names both."""


class InfeasibleError(ImgsimError, ValueError):
    """Every transport plan uses a forbidden arc; the message names a source that is cut off."""


class OutOfRangeError(ImgsimError, OverflowError):
    """A result is beyond float64, or so small that float64 cannot hold all its digits."""


class ImageDecodeError(ImgsimError, ValueError):
    """A file or byte string cannot be decoded to pixels; ``reason`` says why in one line."""

    def __init__(self, reason: str, path: object = None) -> None:
        super().__init__(reason if path is None else f"{path!r}: {reason}")
        self.reason = reason


class ImageTooLargeError(ImageDecodeError):
    """An image is larger than the limit, found out before any pixel is decoded."""


class IndexCorruptError(ImgsimError, RuntimeError):
    """A file of an index is not what its catalogue says it must be."""


class IndexTruncatedError(IndexCorruptError):
    """A file of an index is shorter or longer than its catalogue says."""


class IndexVersionError(ImgsimError, RuntimeError):
    """A directory is not an imgsim index, or one of a format that this version cannot read."""


class IndexMismatchError(ImgsimError, ValueError):
    """An index was made with other parameters than those asked for; the message lists both."""


class IndexWarning(UserWarning):
    """Looking after an index failed, though what was asked for is done; the message says why."""


class IndexLockedError(ImgsimError, RuntimeError):
    """Another process or thread is writing to the index; the message names it."""


class UnusableMeasureError(ImgsimError, RuntimeError):
    """A measure lacks something outside this library; the message says what to do about it."""


class MissingExtraError(UnusableMeasureError, ImportError):
    """A measure or estimator needs a package that is not installed; the message says which."""


class MissingModelError(UnusableMeasureError, InvalidInputError):
    """A measure needs a model file that was not given, does not exist or is another one."""
