"""Which class each image belongs to: from a table, from the folders' names, or by a rule."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NoReturn

from imgsim_fast.errors import InvalidInputError, InvalidTypeError

__all__ = ["labels_of", "read_labels"]

Path = str | bytes | os.PathLike[Any]
# What labels_of takes: "folder", the path of a table, what read_labels gave, or a rule.
Labels = Path | Mapping[str, Any] | Callable[[str], Any]

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_PATH_NAMES = frozenset({"path", "file", "filename", "file_name", "image", "name"})
_LONGEST = 1000  # characters of a label
_MOST_BYTES = 2**28  # of a table
_LABEL_NAMES = frozenset({"label", "class", "category", "target"})


def labels_of(paths: Iterable[Path], labels: Labels, *, root: Path | None = None) -> list[Any]:
    """Label of each image.

    Parameters
    ----------
    paths : iterable of paths
        The images; nothing is read from them.
    labels : "folder", path, mapping or callable
        "folder": the name of the folder that an image lies in. A path: a table for
        :func:`read_labels`. A mapping from path to label. Or any rule: it gets the absolute path as
        text and returns the label.
    root : path, optional
        The folder in which relative paths of a table or mapping begin; default: that of the table,
        or the current one for a mapping.

    Returns
    -------
    list
        One label per path: text, unless a mapping or callable gives something else.

    Raises
    ------
    InvalidInputError
        An image has no label (the message names the first of them and their number), or as
        :func:`read_labels`.
    InvalidTypeError
        An argument is of no use.

    Notes
    -----
    Paths are compared as absolute normalised text; links are not followed, upper and lower case
    are different where the system thinks so. Names that are not valid UTF-8 hold surrogates, as
    everywhere in ``os``.

    Examples
    --------
    >>> from imgsim_fast.labels import labels_of
    >>> labels_of(["photos/beach/1.jpg", "photos/bus/2.jpg"], "folder")
    ['beach', 'bus']
    >>> labels_of(["photos/117.jpg"], lambda path: int(os.path.basename(path)[:-4]) // 90)
    [1]
    """
    if isinstance(paths, (str, bytes, os.PathLike)):
        raise InvalidTypeError(f"paths must be an iterable of paths, got {paths!r}")
    images = [_absolute(f"paths[{i}]", path) for i, path in enumerate(paths)]
    rule = _as_rule(labels, root)
    found = [rule(image) for image in images]
    missing = [image for image, label in zip(images, found, strict=True) if label is None]
    if missing:
        note = rule.understood() if isinstance(rule, _Table) else ""
        raise InvalidInputError(
            f"labels has none for {len(missing)} of {len(images)} images; the first without is "
            f"{missing[0]!r}{note}"
        )
    return found


def read_labels(path: Path) -> dict[str, str]:
    r"""Read a table of labels: CSV, TSV or JSON, by the ending of its name.

    Parameters
    ----------
    path : path
        ``.csv`` or ``.tsv``: two columns, path and label; a first line such as ``path,label`` is a
        header; empty lines do not count; quotes as in RFC 4180; a CSV table whose first line has a
        semicolon and no comma is divided by semicolons. ``.json``: an object from path to
        label, which is text or a whole number. UTF-8, with or without a byte order mark.

    Returns
    -------
    dict of str to str
        Label of each path, in the order of the file. Paths are as they stand in the file, labels
        without spaces at either end.

    Raises
    ------
    InvalidInputError
        The file cannot be read, is none of these, or a line of it is wrong: not two columns, no
        path, no label or one of more than 1,000 characters or with a NUL, a path that came before
        with another label; or it is larger than 256 MiB. The message names the line (of
        JSON: the key, once the file is JSON at all).
    InvalidTypeError
        `path` is no path.
    """
    name = os.fsdecode(_as_path("path", path))
    ending = os.path.splitext(name)[1].lower()
    if ending not in (*_DELIMITERS, ".json"):
        raise InvalidInputError(
            f"{name!r}: a table of labels ends in .csv, .tsv or .json; the names of the folders "
            "are used by the word 'folder'"
        )
    text = _read(name)
    pairs = _json_pairs(name, text) if ending == ".json" else _rows(name, text, _DELIMITERS[ending])
    table: dict[str, str] = {}
    came: dict[str, str] = {}
    for where, image, label in pairs:
        label = label.strip()
        if not image or "\0" in image:
            _fail(name, where, f"{image!r} cannot be a path")
        if not label:
            _fail(name, where, f"no label for {image!r}")
        if len(label) > _LONGEST or "\0" in label:
            what = "holds a NUL" if "\0" in label else f"is longer than {_LONGEST:,} characters"
            _fail(name, where, f"the label of {image!r} {what}")
        if table.setdefault(image, label) != label:
            _fail(name, where, f"{image!r} is {label!r}, but {table[image]!r} in {came[image]}")
        came.setdefault(image, where)
    if not table:
        raise InvalidInputError(f"{name!r} holds no labels")
    return table


# ---- rules -----------------------------------------------------------------------------------


def _as_rule(labels: Labels, root: Path | None) -> Callable[[str], Any]:
    """Return what gives the label of an absolute path, or None."""
    if isinstance(labels, (str, bytes, os.PathLike)):
        if isinstance(labels, str) and labels == "folder":
            return _folder_name
        table = os.path.abspath(os.fsdecode(_as_path("labels", labels)))
        return _Table(read_labels(labels), os.path.dirname(table) if root is None else root)
    if isinstance(labels, Mapping):
        return _Table(labels, os.curdir if root is None else root)
    if callable(labels):
        return labels
    raise InvalidTypeError(
        "labels must be 'folder', the path of a table, a mapping from path to label or a "
        f"callable, got {labels!r}"
    )


class _Table:
    """Labels by path; relative paths begin in a folder."""

    def __init__(self, table: Mapping[str, Any], root: Path) -> None:
        self._top = _absolute("root", root)
        self._by_path: dict[str, Any] = {}
        for path, label in table.items():
            whole = os.path.normcase(self._whole(path))
            known = self._by_path.setdefault(whole, label)
            if known is not label and not _is_equal(known, label):
                raise InvalidInputError(f"labels gives {whole!r} two: {known!r} and {label!r}")
        self._first = next(iter(table), None)

    def __call__(self, image: str) -> Any:
        return self._by_path.get(os.path.normcase(image))

    def understood(self) -> str:
        """Say which file the first path names, and why."""
        if self._first is None:
            return ""
        return (
            f"; the first path of labels, {os.fsdecode(self._first)!r}, means "
            f"{self._whole(self._first)!r}: relative paths begin in {self._top!r}"
        )

    def _whole(self, path: Path) -> str:
        given = os.fsdecode(_as_path("a key of labels", path))
        return os.path.normpath(os.path.join(self._top, given))


def _is_equal(label: Any, other: Any) -> bool:
    try:
        return bool(label == other)
    except ValueError:  # arrays, which are no labels: whoever uses them says so
        return False


def _folder_name(path: str) -> str | None:
    return os.path.basename(os.path.dirname(path)) or None  # an image in "/" has no folder's name


def _absolute(name: str, path: Path) -> str:
    return os.path.abspath(os.fsdecode(_as_path(name, path)))


def _as_path(name: str, path: Path) -> str | bytes:
    try:
        given: str | bytes = os.fspath(path)
    except TypeError:
        raise InvalidTypeError(f"{name} must be a path, got {path!r}") from None
    if not given or "\0" in os.fsdecode(given):
        raise InvalidInputError(f"{name}: {given!r} cannot be a file name")
    return given


# ---- files -----------------------------------------------------------------------------------


def _fail(name: str, where: str, reason: str) -> NoReturn:
    raise InvalidInputError(f"{name!r}, {where}: {reason}")


def _read(name: str) -> str:
    try:
        regular = stat.S_ISREG(os.stat(name).st_mode)  # opening a FIFO would block
        data = b""
        if regular:
            with open(name, "rb") as file:
                data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise InvalidInputError(f"{name!r} cannot be read: {error.strerror or error}") from error
    if not regular:
        raise InvalidInputError(f"{name!r} is no regular file")
    if len(data) > _MOST_BYTES:
        raise InvalidInputError(
            f"{name!r} is larger than {_MOST_BYTES:,} bytes: no table of labels"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        _fail(name, f"line {line}", f"not UTF-8: {error.reason}")


def _rows(name: str, text: str, delimiter: str) -> Iterator[tuple[str, str, str]]:
    """(line, path, label) of each row of a table, without the header."""
    if delimiter == "," and _has_semicolons(text):
        delimiter = ";"
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    first = True
    while True:
        line = reader.line_num + 1  # a quoted field may hold line ends: this is where a row begins
        try:
            row = next(reader, None)
        except csv.Error as error:
            _fail(name, f"line {line}", str(error))
        if row is None:
            return
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != 2:
            between = {",": "a comma", ";": "a semicolon", "\t": "a tab"}[delimiter]
            _fail(
                name, f"line {line}",
                f"expected two columns (path, label) with {between} between, got {len(row)}",
            )  # fmt: skip
        header = first and _is_header(row)
        first = False
        if not header:
            yield f"line {line}", row[0], row[1]


def _has_semicolons(text: str) -> bool:
    """Tell a table as spreadsheets write it where the comma is for decimals, by its first line."""
    line = next((line for line in text.splitlines() if line.strip()), "")
    return "," not in line and line.count(";") == 1


def _is_header(row: list[str]) -> bool:
    path, label = (cell.strip().lower() for cell in row)
    return path in _PATH_NAMES and label in _LABEL_NAMES


def _json_pairs(name: str, text: str) -> Iterator[tuple[str, str, str]]:
    """(key, path, label) of each member of an object, also of those with the same key."""
    content = _json(name, text)
    if not isinstance(content, tuple):
        raise InvalidInputError(f"{name!r} is no JSON object from path to label")
    for path, label in content:
        if isinstance(label, bool) or not isinstance(label, (str, int)):
            shown = "a list or object" if isinstance(label, (list, tuple)) else json.dumps(label)
            _fail(name, f"key {path!r}", f"a label is text or a whole number, got {shown}")
        yield f"key {path!r}", path, str(label)


def _json(name: str, text: str) -> Any:
    """Parse JSON, with objects as tuples of pairs: a dict would drop all but the last of a key."""
    try:
        return json.loads(text, object_pairs_hook=tuple)
    except json.JSONDecodeError as error:
        _fail(name, f"line {error.lineno}", f"not JSON: {error.msg}")
    except (RecursionError, ValueError) as error:  # too deep, or a number of too many digits
        raise InvalidInputError(
            f"{name!r} is no JSON object from path to label: {error}"
        ) from error
