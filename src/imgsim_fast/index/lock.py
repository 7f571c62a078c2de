"""One writer at a time: an advisory lock that the operating system drops with its process."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import sys
from collections.abc import Iterator

from imgsim_fast.errors import IndexCorruptError, IndexLockedError


@contextlib.contextmanager
def writer_lock(folder: str) -> Iterator[None]:
    """Hold the index's lock file, or raise IndexLockedError naming who does."""
    path = os.path.join(folder, "lock")
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise IndexCorruptError(f"{path!r} is a link; it must be a plain file") from error
        raise
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            # What is written into it must not end up in somebody else's file.
            raise IndexCorruptError(f"{path!r} must be a plain file with one name")
        if not _acquire(descriptor):
            owner = os.read(descriptor, 200).decode("utf-8", "replace").strip() or "unknown"
            raise IndexLockedError(f"another process or thread is writing to {folder!r}: {owner}")
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        owner_process = os.getpid()
        try:
            yield
        finally:
            # A child that another thread has forked meanwhile holds the file open; and one that
            # was forked in here must not end what its parent holds.
            if os.getpid() == owner_process:
                _release(descriptor)
    finally:
        os.close(descriptor)


if (
    sys.platform == "win32"
):  # the mandatory lock of Windows lies behind the text, to keep it readable
    import msvcrt

    def _acquire(descriptor: int) -> bool:
        os.lseek(descriptor, 4096, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
        return True

    def _release(descriptor: int) -> None:
        """Leave it to closing the file: there are no children that have it, too."""

else:
    import fcntl

    def _acquire(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _release(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
