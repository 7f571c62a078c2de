"""Find the candidate images of a folder: deterministic order, no loops, each file once.

A candidate is a name that ends like an image, whatever is behind it (so that the reader can say
why it was skipped), or any other regular file that starts like one. Names are bytes throughout:
file systems promise nothing about their encoding.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Collection, Iterator
from typing import Any, Final

from imgsim_fast.errors import InvalidInputError, InvalidTypeError
from imgsim_fast.images import looks_like_image

__all__ = ["SUFFIXES", "find_images"]

SUFFIXES: Final = frozenset(
    (
        *(".bmp", ".dib", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff"),
        ".webp",
        # Photographs that the reader refuses with a reason, rather than not at all.
        *(".avif", ".heic", ".heif", ".jp2", ".jxl"),
    )
)

_SUFFIX_BYTES: Final = frozenset(suffix.encode("ascii") for suffix in SUFFIXES)
_HEADER_BYTES: Final = 16
_SEPARATOR: Final = os.fsencode(os.sep)
_OPEN_FLAGS: Final = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)  # a FIFO put in the place of the file would block the open
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)

_Identity = tuple[int, int]  # (st_dev, st_ino)
_OnError = Callable[[bytes, OSError], None]


def find_images(
    folder: str | bytes | os.PathLike[Any],
    *,
    recursive: bool = True,
    exclude: Collection[bytes] = (),
    on_error: _OnError | None = None,
) -> Iterator[bytes]:
    """Walk a folder and give the paths of its candidate images, one at a time.

    Parameters
    ----------
    folder : str, bytes or os.PathLike
        An existing directory (or a link to one).
    recursive : bool
        Enter subdirectories.
    exclude : collection of bytes
        Directories that are not entered, by path or by identity.
    on_error : callable, optional
        Called with a path and the OSError when a directory cannot be listed or an entry cannot be
        examined; the walk goes on. Without it the OSError is raised: nothing is lost silently.

    Yields
    ------
    bytes
        Absolute paths. In each directory names are in byte order, and a subdirectory's files
        come where its name stands.

    Raises
    ------
    InvalidInputError
        `folder` does not exist or is not a directory.

    Notes
    -----
    Names that start with "." are skipped. Links to directories are not followed. A file that has
    several names in the folder (links of either kind) is given once, under the first of them.
    Links that lead nowhere are given if their name ends like an image: the reader reports them.
    Memory: the names of the directories on the current path, one pair of numbers per directory
    seen, and one per file with several links.
    """
    root = _absolute("folder", folder)
    try:
        mode = os.stat(root).st_mode
    except OSError as error:
        text = error.strerror or str(error)
        raise InvalidInputError(f"folder: {root!r} cannot be used: {text}") from error
    if not stat.S_ISDIR(mode):
        raise InvalidInputError(f"folder: {root!r} is not a directory")
    # Iterating over one bytes path gives ints, over one str gives str: both are caught here.
    given: Collection[object] = exclude
    wrong = [path for path in given if not isinstance(path, bytes)]
    if wrong:
        raise InvalidTypeError(f"exclude: expected a collection of bytes paths, got {wrong[0]!r}")
    return _Walk(root, recursive, exclude, on_error).images()


def _absolute(argument: str, path: str | bytes | os.PathLike[Any]) -> bytes:
    try:
        name = os.fsencode(path)
    except TypeError:
        raise InvalidTypeError(
            f"{argument}: expected str, bytes or os.PathLike, got {type(path).__name__}"
        ) from None
    except ValueError as error:
        raise InvalidInputError(f"{argument}: {path!r} cannot be a file name") from error
    if not name or b"\0" in name:
        raise InvalidInputError(f"{argument}: {path!r} cannot be a file name")
    return os.path.abspath(name)


class _Walk:
    """State of one walk."""

    def __init__(
        self, root: bytes, recursive: bool, exclude: Collection[bytes], on_error: _OnError | None
    ) -> None:
        self.root = root
        self.real_root = os.path.realpath(root)
        self.recursive = recursive
        self.on_error = on_error
        self.excluded_paths = {os.path.abspath(path) for path in exclude}
        self.excluded: set[_Identity] = set()
        for path in self.excluded_paths:
            with contextlib.suppress(OSError):  # one that does not exist yet has its path only
                status = os.stat(path)
                self.excluded.add((status.st_dev, status.st_ino))
        self.entered: set[_Identity] = set()
        # Files given that may come again under another name: only those with several links.
        self.given: set[_Identity] = set()

    def images(self) -> Iterator[bytes]:
        # An explicit stack: directories may be nested deeper than Python's recursion limit.
        # Each level keeps its remaining names in descending order, so that pop gives the next.
        stack: list[tuple[bytes, list[bytes]]] = []
        self._enter(self.root, stack)
        while stack:
            directory, names = stack[-1]
            if not names:
                stack.pop()
                continue
            path = os.path.join(directory, names.pop())
            try:
                status = os.lstat(path)
            except OSError as error:
                # The reader will report a candidate; anything else is reported here.
                if _has_image_suffix(path):
                    yield path
                else:
                    self._report(path, error)
                continue
            if stat.S_ISDIR(status.st_mode):
                if self.recursive:
                    self._enter(path, stack)
            elif self._is_new_image(path, status):
                yield path

    def _enter(self, directory: bytes, stack: list[tuple[bytes, list[bytes]]]) -> None:
        if directory in self.excluded_paths:
            return
        try:
            status = os.stat(directory)
            identity = (status.st_dev, status.st_ino)
            # A directory that was entered under another path is mounted twice.
            if identity in self.excluded or identity in self.entered:
                return
            names = [name for name in os.listdir(directory) if not name.startswith(b".")]
        except OSError as error:
            self._report(directory, error)
            return
        if status.st_ino:  # 0 where the file system has no such numbers
            self.entered.add(identity)
        names.sort(reverse=True)
        stack.append((directory, names))

    def _is_new_image(self, path: bytes, status: os.stat_result) -> bool:
        is_link = stat.S_ISLNK(status.st_mode)
        if is_link:
            try:
                status = os.stat(path)
            except OSError:  # it leads nowhere or in a circle
                return _has_image_suffix(path)
            if stat.S_ISDIR(status.st_mode):
                return False
        identity = (status.st_dev, status.st_ino)
        if identity in self.given or not self._is_candidate(path, status):
            return False
        if stat.S_ISREG(status.st_mode) and status.st_ino and (is_link or status.st_nlink > 1):
            if is_link and status.st_nlink == 1 and self._came_before(path, status):
                return False
            self.given.add(identity)
        return True

    def _is_candidate(self, path: bytes, status: os.stat_result) -> bool:
        if _has_image_suffix(path):
            return True
        if not stat.S_ISREG(status.st_mode) or status.st_size < _HEADER_BYTES:
            return False
        try:
            return looks_like_image(_first_bytes(path))
        except OSError as error:
            self._report(path, error)
            return False

    def _came_before(self, link: bytes, status: os.stat_result) -> bool:
        """Tell whether this walk has given the target of a link under its own name.

        Worked out from the order of the walk, because remembering every file would take memory in
        proportion to the collection.
        """
        target = os.path.realpath(link)
        prefix = self.real_root.rstrip(_SEPARATOR) + _SEPARATOR
        if not target.startswith(prefix):
            return False
        parts = target[len(prefix) :].split(_SEPARATOR)
        own = link[len(self.root.rstrip(_SEPARATOR)) + 1 :].split(_SEPARATOR)
        if parts > own or parts[-1].startswith(b"."):
            return False
        try:  # its directory may be hidden, excluded, unreadable or below a level not asked for
            directory = os.stat(os.path.dirname(target))
        except OSError:
            return False
        if (directory.st_dev, directory.st_ino) not in self.entered:
            return False
        return self._is_candidate(target, status)

    def _report(self, path: bytes, error: OSError) -> None:
        if error.errno == errno.ENOENT and path != self.root:
            return  # deleted since its name was read: as if the walk had come a moment later
        if self.on_error is None:
            raise error
        self.on_error(path, error)


def _has_image_suffix(path: bytes) -> bool:
    return os.path.splitext(path)[1].lower() in _SUFFIX_BYTES


def _first_bytes(path: bytes) -> bytes:
    descriptor = os.open(path, _OPEN_FLAGS)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return b""
        return os.read(descriptor, _HEADER_BYTES)
    finally:
        os.close(descriptor)
