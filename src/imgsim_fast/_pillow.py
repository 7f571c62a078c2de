"""Pillow as `images` needs it: few plugins, no output, and every exception a typed one-line reason.

Pillow warns about damaged metadata of files that it decodes well. Under ``-W error`` such a warning
would turn pixels into an error, and otherwise it would reach the user's terminal.
``warnings.catch_warnings`` cannot help: it swaps a process-wide list and is unsafe with threads.
Instead one filter is put in front of that list and stays there. It matches every warning of a
thread that is inside `Quiet`, and nothing anywhere else, so other code never notices it.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import logging
import os
import re
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, cast

from imgsim_fast.errors import ImageDecodeError, ImageTooLargeError, InvalidInputError

if TYPE_CHECKING:
    from types import ModuleType, TracebackType

__all__ = ["Quiet", "clean", "decode_error", "named", "one_line", "pillow", "reused_memory"]

_PLUGINS: Final = ("Bmp", "Gif", "Jpeg", "Mpo", "Png", "Tiff", "WebP")
_REASON_LENGTH: Final = 200


@functools.cache
def pillow() -> ModuleType:
    """Import ``PIL.Image`` and the plugins of our formats.

    Asked for a format whose plugin is missing, Pillow would import all of its forty.
    """
    for name in _PLUGINS:
        importlib.import_module(f"PIL.{name}ImagePlugin")
    logging.getLogger("PIL.TiffImagePlugin").addFilter(_drop_decoder_errors)
    return importlib.import_module("PIL.Image")


class _DecodingThreads(threading.local):
    active = False


_decoding = _DecodingThreads()


class _InsideDecoder:
    """A stand-in for the compiled message pattern of a warning filter."""

    pattern = "(?!)"  # what those who copy filters read: a pattern that matches nothing

    def match(self, text: str) -> bool:
        """Tell whether the thread that warns is decoding."""
        return _decoding.active

    def __reduce__(self) -> str:  # some libraries send warning filters to other processes
        return "_INSIDE_DECODER"


_INSIDE_DECODER = _InsideDecoder()
_FILTER: Final = ("ignore", _INSIDE_DECODER, Warning, None, 0)


def _drop_decoder_errors(record: logging.LogRecord) -> bool:
    # Pillow logs one error that it also raises; without logging set up it would reach stderr.
    return not (_decoding.active and record.levelno >= logging.ERROR)


class Quiet:
    """Context in which this thread's warnings are dropped; may be nested, costs a microsecond."""

    __slots__ = ("_before", "_catcher")

    def __enter__(self) -> None:
        self._before = _decoding.active
        self._catcher: Any = None
        if getattr(sys.flags, "context_aware_warnings", False):
            # Python 3.14 can give each thread its own filters, which go before the common ones.
            self._catcher = warnings.catch_warnings()
            self._catcher.__enter__()
            warnings.simplefilter("ignore")
        else:
            # Inserting is one atomic step. Others who put a filter in front of ours, or restore
            # an older list (every pytest test does), only cause the next call to insert it again.
            filters = cast("list[object]", warnings.filters)
            if not filters or filters[0] != _FILTER:
                filters.insert(0, _FILTER)
        _decoding.active = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _decoding.active = self._before
        if self._catcher is not None:
            self._catcher.__exit__(kind, error, traceback)


def decode_error(error: Exception, form: str, max_pixels: int) -> ImageDecodeError:
    """Translate what Pillow raised while it decoded an image of format `form`."""
    image = pillow()
    if isinstance(error, MemoryError):
        return ImageDecodeError(f"cannot decode {form}: out of memory")
    if isinstance(error, image.DecompressionBombError):
        count = re.search(r"\d+", str(error))
        if count and int(count[0]) > max_pixels:
            return ImageTooLargeError(f"{count[0]} pixels, above the limit max_pixels={max_pixels}")
        # Only if someone has lowered PIL.Image.MAX_IMAGE_PIXELS.
        return ImageTooLargeError(f"refused by Pillow: {one_line(error)}")
    if isinstance(error, image.UnidentifiedImageError):
        # Pillow's own text is the address of a buffer.
        return ImageDecodeError(f"cannot decode {form}: damaged or unsupported header")
    return ImageDecodeError(clean(f"cannot decode {form}: {one_line(error)}"))


@contextlib.contextmanager
def named(source: object) -> Iterator[None]:
    """Put the path in front of what is wrong, where the source of an image is one."""
    try:
        yield
    except ImageDecodeError as error:
        if not isinstance(source, (str, os.PathLike)):
            raise
        raise type(error)(error.reason, os.fspath(source)) from error
    except InvalidInputError as error:
        if not isinstance(source, (str, os.PathLike)):
            raise
        raise InvalidInputError(f"{os.fspath(source)!r}: {error}") from error


def one_line(error: BaseException) -> str:
    """Text of an exception as one line; the name of its type if it has no text."""
    return clean(str(error)) or type(error).__name__


def clean(text: str) -> str:
    """One printable line of bounded length: texts of decoders may quote the file's own bytes."""
    line = " ".join(text[: 4 * _REASON_LENGTH].split())
    line = "".join(char if char.isprintable() else "?" for char in line)
    return line if len(line) <= _REASON_LENGTH else line[: _REASON_LENGTH - 3] + "..."


@contextlib.contextmanager
def reused_memory(blocks: int) -> Iterator[None]:
    """Let Pillow keep this many blocks of pixels (16 MB at most each) instead of freeing them.

    Decoding many images is some 10 % faster when each need not be given fresh memory by the system.
    """
    core = pillow().core
    before = core.get_blocks_max()
    core.set_blocks_max(max(before, blocks))
    try:
        yield
    finally:
        core.set_blocks_max(before)
