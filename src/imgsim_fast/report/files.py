"""Writing a page so that the file is never half."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat

from imgsim_fast.errors import ImgsimError, InvalidInputError
from imgsim_fast.report.names import display_name

__all__ = ["ReportExistsError", "write_text_atomically"]


class ReportExistsError(ImgsimError, FileExistsError):
    """A report would replace a file, and replacing was not asked for."""

    def __init__(self, path: bytes | str) -> None:
        super().__init__(errno.EEXIST, os.strerror(errno.EEXIST), path)

    def __str__(self) -> str:
        return f"{display_name(self.filename)} exists already and is not replaced"


def write_text_atomically(
    path: str | bytes | os.PathLike[str] | os.PathLike[bytes], text: str, *, force: bool = False
) -> None:
    """Write UTF-8 text so that the file has all of it or is as it was before.

    Parameters
    ----------
    path : path
        May contain undecodable bytes. A symbolic link is replaced, not followed.
    text : str
        A lone surrogate, which UTF-8 cannot express, is written as a backslash escape.
    force : bool
        Replace a file that exists; it must be a regular one.

    Raises
    ------
    ReportExistsError
        The file exists and ``force`` is false.
    InvalidInputError
        The path exists and is no regular file: a device or folder is never replaced.
    OSError
        Writing failed, say on a full disk; the error names ``path``. No partial file is left.
    """
    target = os.fsencode(path)
    data = text.encode("utf-8", "backslashreplace")
    mode = _mode_of_existing(target, force=force)
    partial = os.path.join(
        os.path.dirname(target), b".imgsim-%s.tmp" % secrets.token_hex(8).encode()
    )
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        descriptor = os.open(partial, flags, 0o666 if mode is None else mode)
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if mode is not None:
                os.chmod(partial, mode)
            if force or not _link(partial, target):
                os.replace(partial, target)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.remove(partial)
    except FileExistsError:
        raise ReportExistsError(target) from None
    except OSError as error:
        # The temporary name would mean nothing to the reader of the message.
        raise OSError(error.errno, error.strerror, os.fsdecode(target)) from error


def _mode_of_existing(target: bytes, *, force: bool) -> int | None:
    """Permissions that the new file takes over from the one it replaces, None if there is none."""
    if not os.path.lexists(target):
        return None
    if not force:
        raise ReportExistsError(target)
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:  # a dangling link
        return None
    if not stat.S_ISREG(mode):
        raise InvalidInputError(f"{display_name(target)!r} is not a regular file")
    return stat.S_IMODE(mode)


def _link(partial: bytes, target: bytes) -> bool:
    """Give the finished file its name unless another process took it meanwhile.

    Returns False where the file system knows no hard links.
    """
    try:
        os.link(partial, target)
    except FileExistsError:
        raise
    except (OSError, NotImplementedError, AttributeError):
        return False
    return True
