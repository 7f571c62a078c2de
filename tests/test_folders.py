"""Finding the candidate images of a folder: order, links, loops, hostile names and failures."""

from __future__ import annotations

import os
import random
import socket
import sys
import threading
import types

import pytest

from imgsim_fast import folders
from imgsim_fast.errors import InvalidInputError, InvalidTypeError
from imgsim_fast.folders import SUFFIXES, find_images

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
JPEG = b"\xff\xd8\xff\xe0" + bytes(20)

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX file types")


@pytest.fixture
def root(tmp_path):
    return os.fsencode(tmp_path)


def make(root: bytes, name: bytes | str, content: bytes = b"") -> bytes:
    path = os.path.join(root, os.fsencode(name))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as stream:
        stream.write(content)
    return path


def walk(root, **options) -> list[bytes]:
    """Give what was found, relative to the root."""
    base = os.path.join(os.path.abspath(os.fsencode(root)), b"")
    found = list(find_images(root, **options))
    assert all(path.startswith(base) for path in found)
    return [path[len(base) :] for path in found]


# --- What is a candidate, and in which order ----------------------------------------------------


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_suffix_of_any_case_is_a_candidate(suffix, root):
    expected = sorted(b"x" + text.encode() for text in (suffix, suffix.upper(), suffix.title()))
    for name in expected:
        make(root, name, b"not an image")
    assert walk(root) == expected


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("photo", JPEG, True),
        ("photo.jpg.bak", PNG, True),
        ("noext.", PNG, True),
        ("page.html", b"<html><body>not an image", False),
        ("short", PNG[:8], False),
        ("empty", b"", False),
        ("empty.png", b"", True),
        ("jpg", b"a name, not a suffix", False),
        ("x.jpg.txt", b"not an image, whatever", False),
        ("bm", b"BM is how this text starts", False),
        (".hidden.jpg", JPEG, False),
        (".jpg", JPEG, False),
        (".git/x.jpg", JPEG, False),
        ("a/.b/c/x.jpg", JPEG, False),
        ("a/b.c/x.jpg", JPEG, True),
    ],
)
def test_candidate(name, content, found, root):
    make(root, name, content)
    assert walk(root) == ([os.fsencode(name)] if found else [])


def test_order_is_by_bytes_and_depth_first(root):
    names = [b"B.jpg", b"a.jpg", b"a/z.jpg", b"a/b/c.jpg", b"a b/x.jpg", b"b.jpg", b"\xc3\xa9.jpg"]
    if sys.platform.startswith("linux"):
        names.append(b"\xff.jpg")
    random.Random(0).shuffle(names)
    for name in names:
        make(root, name)
    found = walk(root)
    assert found == sorted(names, key=lambda name: name.split(b"/"))
    assert walk(root) == found


def test_not_recursive(root):
    for name in ("a/x.jpg", "b.jpg", "c/d/y.jpg"):
        make(root, name)
    assert walk(root, recursive=False) == [b"b.jpg"]


def test_directory_named_like_an_image_is_walked(root):
    make(root, "album.jpg/x.png")
    os.mkdir(os.path.join(root, b"empty.png"))
    assert walk(root) == [b"album.jpg/x.png"]


def test_empty_folder(root):
    assert walk(root) == []


def test_walk_streams(root):
    """Files of a later directory are found even if they were made after the walk had begun."""
    make(root, "a/x.jpg")
    make(root, "b/y.jpg")
    found = find_images(root)
    assert isinstance(found, types.GeneratorType)
    assert next(found).endswith(b"a/x.jpg")
    make(root, "b/z.jpg")
    assert [path[-7:] for path in found] == [b"b/y.jpg", b"b/z.jpg"]


def test_paths_are_absolute_for_every_kind_of_argument(root, tmp_path, monkeypatch):
    expected = [make(root, "x.jpg")]
    monkeypatch.chdir(tmp_path.parent)
    name = tmp_path.name
    for folder in (root, os.fsdecode(root), tmp_path, name, name + "/", name.encode(), f"./{name}"):
        assert list(find_images(folder)) == expected


@pytest.mark.parametrize(
    "name",
    [
        b"bad\xff.png",
        b"new\nline.png",
        b"quote'\".png",
        b"<img src=x onerror=alert(1)>.png",
        b"\x1b[31mred.png",
        b"-rf.png",
        "\u202egnp.exe.png".encode(),
        "\U0001f600.png".encode(),
        b"x" * 251 + b".png",
        b"bad\xffdirectory\n/\xfe.png",
    ],
    ids=range(10),
)
def test_hostile_name(name, root):
    make(root, name)
    assert walk(root) == [name]
    assert walk(os.fsdecode(root)) == [name]


def test_depth_of_a_thousand(root):
    """Deeper than Python's recursion limit, which os.makedirs and shutil.rmtree meet."""
    path = root
    for _ in range(1000):
        path = os.path.join(path, b"d")
        os.mkdir(path)
    make(path, "x.jpg")
    try:
        assert walk(root) == [b"d/" * 1000 + b"x.jpg"]
    finally:
        os.unlink(os.path.join(path, b"x.jpg"))
        while path != root:
            os.rmdir(path)
            path = os.path.dirname(path)


# --- Links --------------------------------------------------------------------------------------


def link(root: bytes, name: str, target: str) -> None:
    path = os.path.join(root, os.fsencode(name))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.symlink(os.path.join(root, os.fsencode(target)), path)


@posix
@pytest.mark.parametrize(
    ("links", "expected"),
    [
        ({"a.jpg": "m.jpg"}, [b"a.jpg"]),
        ({"z.jpg": "m.jpg"}, [b"m.jpg"]),
        ({"a.jpg": "m.jpg", "b.jpg": "m.jpg", "z.jpg": "m.jpg"}, [b"a.jpg"]),
        ({"a/b.jpg": "m.jpg"}, [b"a/b.jpg"]),
        ({"z/b.jpg": "m.jpg"}, [b"m.jpg"]),
        ({"z.jpg": "y.jpg", "y.jpg": "m.jpg"}, [b"m.jpg"]),
        ({"b.jpg": "a.jpg", "a.jpg": "m.jpg"}, [b"a.jpg"]),
    ],
)
def test_linked_file_is_given_once_under_its_first_name(links, expected, root):
    make(root, "m.jpg")
    for name, target in links.items():
        link(root, name, target)
    assert walk(root) == expected


@posix
@pytest.mark.parametrize("name", ["photo", "photo.jpg"])
def test_link_without_a_suffix_is_examined(name, root):
    make(root, "data/m", JPEG)
    link(root, f"a/{name}", "data/m")
    assert walk(root) == [os.fsencode(f"a/{name}")]


@posix
@pytest.mark.parametrize(
    ("target", "options"),
    [
        (".hidden.jpg", {}),
        (".d/x.jpg", {}),
        ("d/.e/x.jpg", {}),
        ("d/x.jpg", {"recursive": False}),
        ("d/x.jpg", {"exclude": "d"}),
        ("d/e/x.jpg", {"exclude": "d/e"}),
        ("d/x.bin", {}),
    ],
)
def test_link_to_a_file_that_the_walk_does_not_give_itself(target, options, root):
    make(root, target, b"no image, but a link may be named like one")
    link(root, "z.jpg", target)
    if "exclude" in options:
        options = {"exclude": [os.path.join(root, options["exclude"].encode())]}
    assert walk(root, **options) == [b"z.jpg"]


@posix
def test_link_to_a_file_outside(root):
    outside = make(root, "outside/m.jpg")
    inside = os.path.join(root, b"inside")
    os.mkdir(inside)
    for name in (b"a.jpg", b"b.jpg"):
        os.symlink(outside, os.path.join(inside, name))
    assert walk(inside) == [b"a.jpg"]


@posix
def test_links_are_resolved_when_the_folder_is_a_link_too(root):
    make(root, "real/m.jpg")
    link(root, "real/z.jpg", "real/m.jpg")
    link(root, "alias", "real")
    assert walk(os.path.join(root, b"alias")) == [b"m.jpg"]


@posix
def test_hard_links_are_given_once(root):
    path = make(root, "m.jpg")
    for name in (b"a.jpg", b"z.jpg"):
        os.link(path, os.path.join(root, name))
    link(root, "k.jpg", "m.jpg")
    link(root, "A.jpg", "z.jpg")
    assert walk(root) == [b"A.jpg"]
    os.unlink(os.path.join(root, b"A.jpg"))
    assert walk(root) == [b"a.jpg"]


@posix
def test_equal_contents_are_not_the_same_file(root):
    for name in ("a.jpg", "b.jpg"):
        make(root, name, JPEG)
    assert walk(root) == [b"a.jpg", b"b.jpg"]


@posix
def test_dangling_link_and_loop_are_left_to_the_reader(root):
    link(root, "dangling.jpg", "nowhere")
    link(root, "dangling.txt", "nowhere")
    link(root, "loop.jpg", "loop2.jpg")
    link(root, "loop2.jpg", "loop.jpg")
    link(root, "self", "self")
    assert walk(root) == [b"dangling.jpg", b"loop.jpg", b"loop2.jpg"]


@posix
def test_linked_directories_are_not_followed(root):
    make(root, "d/x.jpg")
    link(root, "d/up", ".")
    link(root, "d/up.jpg", ".")
    link(root, "other", "d")
    assert walk(root) == [b"d/x.jpg"]


@posix
def test_directory_mounted_twice_is_walked_once(root, monkeypatch):
    """A mount needs rights; one inode under two names is what the walk sees of it."""
    make(root, "a/x.jpg")
    make(root, "b/x.jpg")
    real, twice = os.stat, os.stat(os.path.join(root, b"a"))
    monkeypatch.setattr(
        os,
        "stat",
        lambda path, **more: (
            twice if isinstance(path, bytes) and path.endswith(b"/b") else real(path, **more)
        ),
    )
    assert walk(root) == [b"a/x.jpg"]


# --- Exclusion ----------------------------------------------------------------------------------


def test_exclude(root):
    for name in ("a/x.jpg", "b/c/y.jpg", "b/d/z.jpg", "bc/w.jpg"):
        make(root, name)
    here = [os.path.join(root, name) for name in (b"a", b"b/c/", b"missing")]
    assert walk(root, exclude=here) == [b"b/d/z.jpg", b"bc/w.jpg"]
    assert walk(root, exclude=[os.path.join(root, b"b/../b")]) == [b"a/x.jpg", b"bc/w.jpg"]
    assert walk(root, exclude={root}) == []


@posix
def test_exclude_by_identity(root):
    make(root, "real/index/x.jpg")
    make(root, "real/y.jpg")
    link(root, "alias", "real")
    excluded = [os.path.join(root, b"real/index")]
    assert walk(os.path.join(root, b"alias"), exclude=excluded) == [b"y.jpg"]


# --- Failures -----------------------------------------------------------------------------------


@posix
def test_other_file_types(root):
    os.mkfifo(os.path.join(root, b"fifo.jpg"))
    os.mkfifo(os.path.join(root, b"fifo"))
    here = os.getcwd()
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(root)
        try:
            server.bind("socket.jpg")
        finally:
            os.chdir(here)
    result: list[list[bytes]] = []
    thread = threading.Thread(target=lambda: result.append(walk(root)), daemon=True)
    thread.start()
    thread.join(3)
    assert not thread.is_alive(), "blocked on a FIFO"
    assert result == [[b"fifo.jpg", b"socket.jpg"]]


@posix
def test_fifo_in_the_place_of_a_file_does_not_block(root, monkeypatch):
    """The file was replaced between its examination and its opening."""
    path = make(root, "unknown", JPEG)
    before = os.lstat(path)
    os.unlink(path)
    os.mkfifo(path)
    real = os.lstat
    monkeypatch.setattr(
        os, "lstat", lambda name, **more: before if name == path else real(name, **more)
    )
    result: list[list[bytes]] = []
    thread = threading.Thread(target=lambda: result.append(walk(root)), daemon=True)
    thread.start()
    thread.join(3)
    assert not thread.is_alive(), "blocked on a FIFO"
    assert result == [[]]


def failing(function, suffix: bytes, error: OSError):
    def call(path, *more, **options):
        if isinstance(path, bytes) and path.endswith(suffix):
            raise error
        return function(path, *more, **options)

    return call


@pytest.mark.parametrize("name", ["listdir", "stat"])
def test_unreadable_directory_is_reported(name, root, monkeypatch):
    for path in ("a/x.jpg", "b/y.jpg", "c/z.jpg"):
        make(root, path)
    error = PermissionError(13, "Permission denied")
    monkeypatch.setattr(os, name, failing(getattr(os, name), b"/b", error))
    reports: list[tuple[bytes, OSError]] = []
    found = walk(root, on_error=lambda path, error: reports.append((path, error)))
    assert found == [b"a/x.jpg", b"c/z.jpg"]
    assert reports == [(os.path.join(root, b"b"), error)]
    with pytest.raises(PermissionError):
        walk(root)


def test_unreadable_root_is_reported(root, monkeypatch):
    error = PermissionError(13, "Permission denied")
    monkeypatch.setattr(os, "listdir", failing(os.listdir, b"", error))
    reports: list[bytes] = []
    assert walk(root, on_error=lambda path, _: reports.append(path)) == []
    assert reports == [root]


@pytest.mark.parametrize(
    ("name", "function"), [("unknown", "lstat"), ("unknown", "open"), ("x.jpg", "lstat")]
)
def test_entry_that_cannot_be_examined(name, function, root, monkeypatch):
    path = make(root, name, JPEG)
    error = PermissionError(13, "Permission denied")
    monkeypatch.setattr(os, function, failing(getattr(os, function), b"/" + name.encode(), error))
    reports: list[bytes] = []
    found = walk(root, on_error=lambda path, _: reports.append(path))
    # A candidate is left to the reader, which meets the same error and says so.
    assert (found, reports) == (([b"x.jpg"], []) if name == "x.jpg" else ([], [path]))


@pytest.mark.parametrize("victim", ["b", "b.txt"])
def test_deleted_during_the_walk(victim, root):
    make(root, "a.jpg")
    path = make(root, "b/x.jpg" if victim == "b" else victim, b"just some text, no image")
    make(root, "c.jpg")
    found = find_images(root)
    assert next(found).endswith(b"a.jpg")
    os.unlink(path)
    if victim == "b":
        os.rmdir(os.path.dirname(path))
    assert [path[-5:] for path in found] == [b"c.jpg"]


def test_candidate_deleted_during_the_walk_is_left_to_the_reader(root):
    make(root, "a.jpg")
    path = make(root, "b.jpg")
    found = find_images(root)
    next(found)
    os.unlink(path)
    assert list(found) == [path]


def test_no_descriptor_is_left_open(root):
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("no /proc")
    for i in range(20):
        make(root, f"d{i}/unknown", JPEG)
    before = len(os.listdir("/proc/self/fd"))
    found = find_images(root)
    next(found)
    assert len(os.listdir("/proc/self/fd")) == before


# --- Arguments ----------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["no/such/folder", b"no/such\xff", "", "a\0b", "\ud800"])
def test_missing_folder(folder):
    with pytest.raises(InvalidInputError, match="folder"):
        find_images(folder)


def test_folder_that_is_a_file(root):
    path = make(root, "x.jpg")
    with pytest.raises(InvalidInputError, match=r"folder: .*x\.jpg.* is not a directory"):
        find_images(path)


@pytest.mark.parametrize("folder", [None, 3, ["a"]])
def test_wrong_type_of_folder(folder):
    with pytest.raises(InvalidTypeError, match="folder"):
        find_images(folder)


@pytest.mark.parametrize("exclude", ["abc", b"abc", ["text"], [None]])
def test_wrong_exclude(exclude, root):
    with pytest.raises(InvalidTypeError, match="exclude"):
        find_images(root, exclude=exclude)


def test_names_of_the_module():
    assert set(folders.__all__) == {"SUFFIXES", "find_images"}
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in SUFFIXES)
