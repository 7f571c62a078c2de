"""The command line with hostile names and in bare surroundings."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time

import pytest

from tests.cli_tools import COMMAND, control_characters, photos, process, write


@pytest.fixture
def folder(tmp_path, monkeypatch):
    return photos(tmp_path, monkeypatch)


# ---- hostile names -----------------------------------------------------------------------------

NAMES = {
    b"bad\xff.png": r"bad\xff.png",
    b"new\nline.png": r"new\nline.png",
    b"\x1b[31mred\x07.png": r"\x1b[31mred\x07.png",
    "rtl\u202egnp.png".encode(): r"rtl\u202egnp.png",
    b"c1\xc2\x9b.png": r"c1\u009b.png",
}


@pytest.fixture
def hostile(folder):
    for number, name in enumerate(NAMES):
        path = os.path.join(os.fsencode(folder), name)
        write(os.fsdecode(path), 50 + number)
        with open(path + b".jpg", "wb") as file:
            file.write(b"broken")
    return folder


def test_hostile_names_are_escaped_on_the_terminal(hostile, tmp_path):
    indexed = process("index", "photos")
    assert indexed.returncode == 3
    query = os.fsencode(hostile) + b"/bad\xff.png"
    found = process("search", query, "photos", "-k", "99", "--html", "page\x1b.html")
    assert found.returncode == 0
    stats = process("stats", "photos")
    for done in (indexed, found, stats):
        text = (done.stdout + done.stderr).decode()  # UTF-8, so no stray byte
        assert control_characters(text) == []
        for bad in "\u202e\u009b":
            assert bad not in text
    for shown in NAMES.values():
        assert f"photos/{shown}\n" in found.stdout.decode()
        assert f"photos/{shown}.jpg: not an image" in indexed.stderr.decode()
        assert f"photos/{shown}.jpg: not an image" in stats.stdout.decode()
    page = (tmp_path / "page\x1b.html").read_bytes().decode()
    for shown in NAMES.values():
        assert shown in page


def test_names_in_json_can_be_used_again(hostile):
    added = json.loads(process("index", "photos", "--json").stdout)
    top = os.fsencode(hostile)
    query = top + b"/bad\xff.png"
    found = json.loads(process("search", query, "photos", "-k", "99", "--json").stdout)

    def raw(path):
        return base64.b64decode(path["base64"]) if isinstance(path, dict) else path.encode()

    assert found["query"] == {
        "shown": os.fsdecode(top) + r"/bad\xff.png",
        "base64": base64.b64encode(query).decode(),
    }
    paths = {raw(match["path"]) for match in found["matches"]}
    assert {os.path.join(top, name) for name in NAMES} <= paths
    assert all(os.path.exists(path) for path in paths)
    assert {raw(item["path"]) for item in added["skipped"]} == {
        os.path.join(top, name) + b".jpg" for name in NAMES
    }
    assert sum(isinstance(match["path"], dict) for match in found["matches"]) == 1


def test_hostile_arguments_are_escaped_in_errors(hostile):
    """A glob puts names of files on the command line, also where they are wrong."""
    name = b"photos/\x1b[31mred\x07.png"
    for arguments in (
        ("compare", name, name, name),
        ("compare", name, b"photos/\x1b[2J"),
        ("search", name, name),
        ("stats", name),
        (name,),
        ("index", "photos", "--bins", name),
    ):
        done = process(*arguments)
        assert done.returncode in (2, 4)
        assert done.stdout == b""
        assert control_characters(done.stderr.decode()) == []
        assert b"Traceback" not in done.stderr


def test_a_folder_with_a_hostile_name(hostile, tmp_path):
    name = b"fol\xff\n\x1bder"
    os.rename(hostile, os.path.join(os.fsencode(tmp_path), name))
    for arguments in (("index", name), ("search", name + b"/000.png", name), ("stats", name),
                      ("verify", name), ("stats", name, "--json")):  # fmt: skip
        done = process(*arguments)
        assert done.returncode in (0, 3), done.stderr
        assert control_characters((done.stdout + done.stderr).decode()) == []


# ---- the surroundings --------------------------------------------------------------------------


def test_a_bare_environment(hostile):
    environment = {"LC_ALL": "C", "PATH": os.environ.get("PATH", ""), "PYTHONCOERCECLOCALE": "0"}
    for extra in ({}, {"PYTHONUTF8": "0"}, {"LC_ALL": "POSIX", "PYTHONIOENCODING": "ascii"}):
        done = process("index", "photos", environment=environment | extra)
        assert done.returncode == 3, done.stderr
        write(hostile / "caf\u00e9.png", 7) if extra == {} else None
        query = "photos/000.png"
        found = process("search", query, "photos", "-k", "99", environment=environment | extra)
        assert found.returncode == 0, found.stderr
        assert b"Traceback" not in found.stderr
        assert rb"bad\xff.png" in found.stdout
        as_json = process("search", query, "photos", "--json", environment=environment | extra)
        assert len(json.loads(as_json.stdout)["matches"]) == 10


@pytest.mark.parametrize("command", ["index", "search"])
def test_a_bar_only_on_a_terminal(folder, command):
    pty = pytest.importorskip("pty")
    arguments = (
        ["index", "photos"] if command == "index" else ["search", "photos/000.png", "photos"]
    )
    plain = process(*arguments)
    assert (plain.returncode, plain.stderr) == (0, b"")
    shutil.rmtree(folder / ".imgsim", ignore_errors=True)
    for extra in ([], ["--json"]):
        parent, terminal = pty.openpty()
        try:
            done = subprocess.run(
                [*COMMAND, *arguments, *extra],
                stdout=subprocess.PIPE, stderr=terminal, timeout=60,
                env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
            )  # fmt: skip
            os.close(terminal)
            seen = b""
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                try:
                    piece = os.read(parent, 65536)
                except OSError:  # all has been read
                    break
                if not piece:
                    break
                seen += piece
        finally:
            os.close(parent)
        assert done.returncode == 0
        word = b"indexing" if command == "index" else b"reading"
        assert (word in seen) == (not extra)
        assert word not in done.stdout
