"""The command line: exit codes, JSON, hostile names, and that it is the same as the library."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from importlib.metadata import entry_points

import pytest
from click.testing import CliRunner

import imgsim_fast as isf
import imgsim_fast_command
from imgsim_fast import cli
from imgsim_fast.index import Index
from tests.cli_tools import COMMAND, COMMANDS, photos, process, write


@pytest.fixture
def folder(tmp_path, monkeypatch):
    return photos(tmp_path, monkeypatch)


# ---- the everyday path -------------------------------------------------------------------------


def test_index_search_stats_verify_compare(folder, run):
    first = run("index", "photos")
    assert (first.code, first.err) == (0, "")
    assert "20 images in photos/.imgsim (20 added)" in first.out
    again = run("index", "photos")
    assert again.code == 0
    assert "20 images in photos/.imgsim (20 unchanged)" in again.out

    found = run("search", "photos/003.png", "photos", "-k", 3)
    assert found.code == 0
    lines = found.out.splitlines()
    assert lines[0].startswith("photos/003.png: 3 of 20 images in photos, ")
    assert lines[3].split() == ["1", "0.000", "photos/003.png"]
    assert len(lines) == 6

    stats = run("stats", "photos")
    assert stats.code == 0
    for line in ("measure   wasserstein (bins=256, p=1, range=[0, 256])", "images    20"):
        assert line in stats.out.splitlines()
    assert run("verify", "photos/.imgsim").out == "sound: 20 images\n"

    distance = isf.compare(folder / "003.png", folder / "004.png")
    assert run("compare", "photos/003.png", "photos/004.png").out == (
        f"wasserstein: {distance:.6g} grey levels   (0 ... 255, lower is more alike)\n"
    )


def test_json_is_what_the_library_says(folder, run):
    (folder / "bad.png").write_bytes(b"no image")
    added = run("index", "photos", "--json")
    assert (added.code, added.err) == (3, "")
    report = added.json
    assert report.pop("seconds") >= 0
    skipped = report["skipped"]
    assert [item["path"] for item in skipped] == [str(folder / "bad.png")]
    assert report == {
        "index": str(folder / ".imgsim"), "images": 20, "added": 20, "updated": 0,
        "unchanged": 0, "removed": 0, "skipped": skipped,
    }  # fmt: skip

    found = run("search", "photos/003.png", "photos", "-k", 7, "--json")
    assert (found.code, found.err) == (0, "")
    with Index.open(folder / ".imgsim") as index:
        matches = index.search(folder / "003.png", 7)
        ranked = enumerate(zip(*matches, strict=True), 1)
        assert found.json["matches"] == [
            {"rank": rank, "distance": distance, "id": number, "path": path}
            for rank, (distance, number, path) in ranked
        ]
        stats = index.stats()
    rest = {k: v for k, v in found.json.items() if k not in ("matches", "seconds")}
    assert rest == {
        "query": "photos/003.png", "searched": 20, "measure": "wasserstein",
        "options": {"bins": 256, "range": [0, 256], "p": 1}, "skipped": [],
    }  # fmt: skip

    assert run("stats", "photos", "--json").json == {
        "path": str(folder / ".imgsim"), "measure": "wasserstein",
        "options": {"bins": 256, "range": [0, 256], "p": 1}, "images": 20,
        "segments": stats.segments, "dead_rows": 0, "bytes": stats.bytes, "skipped": skipped,
        "histograms": 0,
        "folders": [str(folder)],
    }  # fmt: skip
    assert run("verify", "photos", "--json").json == {
        "sound": True,
        "images": 20,
        "problems": [],
    }
    value = run("compare", folder / "001.png", folder / "002.png", "--json", "--p", 2, "--bins", 9)
    shown = value.json
    assert 0 < shown.pop("seconds") < 60
    assert shown == {
        "measure": "wasserstein", "options": {"bins": 9, "range": [0, 256], "p": 2},
        "value": isf.compare(folder / "001.png", folder / "002.png", p=2, bins=9),
        "unit": "grey levels", "higher_is_better": False,
        "value_range": [0, 256 * 8 / 9],
        "image1": str(folder / "001.png"), "image2": str(folder / "002.png"),
    }  # fmt: skip


def test_search_gives_the_same_for_index_folder_and_plain_folder(folder, run):
    def matches(where):
        result = run("search", "photos/003.png", where, "-k", 9, "--json")
        assert result.code == 0
        return [(m["distance"], m["path"]) for m in result.json["matches"]]

    plain = matches("photos")
    assert not (folder / ".imgsim").exists()  # a search leaves nothing behind
    run("index", "photos")
    assert matches("photos") == matches("photos/.imgsim") == plain
    run("index", "photos", "--index", "elsewhere")
    assert matches("elsewhere") == plain
    assert len(plain) == 9


def test_radius(folder, run):
    run("index", "photos")
    everything = run("search", "photos/003.png", "photos", "-k", 99, "--json").json["matches"]
    radius = everything[6]["distance"]
    found = run("search", "photos/003.png", "photos", "--radius", repr(radius), "--json")
    assert found.json["matches"] == everything[:7]
    refused = run("search", "photos/003.png", "photos", "--radius", "-1")
    assert (refused.code, refused.out) == (2, "")
    assert "radius must not be negative or NaN, got -1.0" in refused.err


def test_html(folder, run, tmp_path):
    run("index", "photos")
    arguments = ("search", "photos/003.png", "photos", "-k", 4, "--html", "page.html")
    first = run(*arguments)
    assert first.code == 0
    assert first.out.endswith("\npage: page.html\n")
    page = (tmp_path / "page.html").read_text()
    assert page.count("<article") == 4
    (tmp_path / "page.html").write_text("<!DOCTYPE html>mine")
    refused = run(*arguments)
    assert refused.code == 2
    assert "page.html" in refused.err
    assert (tmp_path / "page.html").read_text() == "<!DOCTYPE html>mine"
    assert run(*arguments, "--force").code == 0
    assert (tmp_path / "page.html").read_text().count("<article") == 4
    quiet = run(*arguments, "--force", "--json")
    assert len(quiet.json["matches"]) == 4  # nothing but JSON


def test_refreshing(folder, run):
    run("index", "photos")
    (folder / "000.png").unlink()
    write(folder / "001.png", 100)
    write(folder / "new.png", 101)
    report = run("index", "photos", "--json").json
    counts = [report[key] for key in ("images", "added", "updated", "unchanged", "removed")]
    assert counts == [20, 1, 1, 18, 1]
    assert run("index", "photos", "--checksum").code == 0


def test_index_of_a_moved_folder(folder, run, tmp_path):
    run("index", "photos")
    folder.rename(tmp_path / "moved")
    for _ in range(2):
        report = run("index", "moved", "--json")
        assert report.code == 0, report.err
        assert (report.json["images"], report.json["unchanged"]) == (20, 20)


def test_index_elsewhere_and_other_options(folder, run, tmp_path):
    assert (
        run("index", "photos", "--index", "here.imgsim", "--bins", 32, "--range", 0, 255).code == 0
    )
    assert not (folder / ".imgsim").exists()
    for other, words in (
        (("--bins", "64"), "bins=32, not bins=64"),
        (("--p", "2"), "p=1, not p=2"),
        (("--range", "0", "256"), "range=[0, 255], not range=[0, 256]"),
    ):
        for command in (
            ("index", "photos", "--index", "here.imgsim"),
            ("search", "photos/001.png", "here.imgsim"),
        ):
            result = run(*command, *other)
            assert result.code == 2
            assert words in result.err
    assert run("search", "photos/001.png", "here.imgsim", "--bins", "32").code == 0
    assert run("index", "photos", "--index", "here.imgsim").code == 0


def test_demo_twice(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = run("demo", "gallery", "--count", 60, "-k", 5)
    assert first.code == 0
    assert "60 images in gallery/images/.imgsim (60 added)" in first.out
    assert (tmp_path / "gallery" / "report.html").read_text().count("<article") == 5
    shown = next(line for line in first.out.splitlines() if line.startswith("next: imgsim "))
    second = run("demo", "gallery", "--count", 60, "-k", 5)
    assert second.code == 0
    assert "60 unchanged" in second.out
    assert run(*shown.split()[2:]).code == 0  # the command it suggests works
    as_json = run("demo", "gallery", "--count", 60, "-k", 5, "--json")
    assert len(as_json.json["matches"]) == 5


def test_help_and_version():
    runner = CliRunner()
    shown = runner.invoke(cli.cli, ["--help"])
    assert shown.exit_code == 0
    for name in COMMANDS:
        assert name in shown.output
        for flag in ("--help", "-h"):
            page = runner.invoke(cli.cli, [name, flag])
            assert page.exit_code == 0
            assert page.output.startswith("Usage:")
            assert "--json" in page.output
    done = process("--version")
    assert (done.returncode, done.stdout, done.stderr) == (
        0, f"imgsim, version {isf.__version__}\n".encode(), b"",
    )  # fmt: skip


def test_the_installed_script_is_the_same():
    script = shutil.which("imgsim", path=os.path.dirname(sys.executable))
    if script is None:
        pytest.skip("the package is not installed with its script")
    done = subprocess.run([script, "--version"], capture_output=True, text=True)
    assert done.stdout == f"imgsim, version {isf.__version__}\n"


# ---- exit codes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Usage"),
        (["nonsense"], "nonsense"),
        (["index"], "FOLDER"),
        (["index", "missing"], "'missing' is not a directory"),
        (["index", "photos/000.png"], "is not a directory"),
        (["index", "photos", "--bins", "0"], "bins must be at least 1"),
        (["index", "photos", "--bins", "x"], "--bins"),
        (["index", "photos", "--measure", "nope"], "got 'nope'"),
        (["index", "photos", "--threads", "0"], "threads must be at least 1"),
        (["search", "missing.png", "photos"], "missing.png"),
        (["search", "photos/000.png", "missing"], "neither an index nor a folder"),
        (["search", "photos/000.png", "empty"], "holds no image"),
        (["search", "photos/000.png", "photos", "-k", "0"], "k must be at least 1"),
        (["search", "photos/000.png", "photos", "--radius", "nan"], "NaN"),
        (["compare", "photos/000.png", "photos"], "photos"),
        (["compare", "photos/000.png", "photos/001.png", "--range", "300", "400"], "range"),
        (["demo", "photos", "--count", "2"], "photos"),
        (["demo", "new", "--count", "0"], "count must be at least 1"),
    ],
)
def test_wrong_usage_is_2_and_says_what(folder, run, tmp_path, arguments, words):
    (tmp_path / "empty").mkdir()
    result = run(*arguments)
    assert result.code == 2
    assert words in result.err + result.out
    assert "Traceback" not in result.err


def test_wrong_usage_creates_no_index(folder, run):
    for arguments in (["--threads", "0"], ["--bins", "0"], ["--measure", "nope"]):
        run("index", "photos", *arguments)
        assert not (folder / ".imgsim").exists(), arguments


def test_skipped_files_are_3(folder, run):
    for number in range(25):
        (folder / f"bad{number:02d}.png").write_bytes(b"no")
    for result in (run("index", "photos"), run("index", "photos")):
        assert result.code == 3
        assert "skipped 25 files" in result.err
        assert "photos/bad00.png: not an image" in result.err
        assert result.err.count("\n") == 1 + 20 + 1  # the rest only in number
        assert "and 5 more" in result.err
    assert run("search", "photos/000.png", "photos").code == 0
    shutil.rmtree(folder / ".imgsim")
    plain = run("search", "photos/000.png", "photos", "--json")
    assert plain.code == 3
    assert len(plain.json["skipped"]) == 25


def test_folders_with_nothing_good(folder, run, tmp_path):
    (tmp_path / "empty").mkdir()
    result = run("index", "empty")
    assert (result.code, "no images found" in result.out) == (0, True)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "bad.png").touch()
    assert run("index", "bad").code == 3
    found = run("search", "photos/000.png", "empty", "--json")
    assert (found.code, found.json["matches"]) == (0, [])


@pytest.mark.parametrize("damage", ["segment", "catalogue"])
def test_damage_is_4(folder, damage):
    assert process("index", "photos").returncode == 0
    store = folder / ".imgsim"
    name = next(n for n in os.listdir(store) if ".rows." in n)
    path = store / (name if damage == "segment" else "catalog.sqlite")
    data = bytearray(path.read_bytes())
    data[-1 if damage == "segment" else 5] ^= 1
    path.write_bytes(data)
    for arguments in (("search", "photos/000.png", "photos"), ("verify", "photos")):
        done = process(*arguments)
        assert done.returncode == 4
        named = path.name.encode() if damage == "segment" else b"catalog"
        assert named in done.stdout + done.stderr
        assert b"Traceback" not in done.stderr


def test_verify_lists_what_is_wrong(folder, run):
    run("index", "photos")
    os.truncate(folder / ".imgsim" / "segment-00000001.rows.npy", 100)
    result = run("verify", "photos", "--json")
    assert result.code == 4
    assert result.json["sound"] is False
    assert any("segment-00000001" in text for text in result.json["problems"])
    assert "has 100 bytes" in run("verify", "photos").out


def test_another_writer_is_5(folder):
    assert process("index", "photos").returncode == 0
    code = (
        "import sys\nfrom imgsim_fast.index.lock import writer_lock\n"
        "with writer_lock(sys.argv[1]):\n    print(flush=True)\n    sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, folder / ".imgsim"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as holder:  # fmt: skip
        holder.stdout.readline()
        done = process("index", "photos")
        assert done.returncode == 5
        assert f"process {holder.pid} on".encode() in done.stderr
        assert process("search", "photos/000.png", "photos").returncode == 0
        holder.kill()
    assert process("index", "photos").returncode == 0


# Decodes as ever, but stops for good at the image given, after saying so.
SLOW = """
import sys, time
from imgsim_fast import cli, images
decode, left = images.open_pixels, int(sys.argv.pop(1))
def slow(data):
    global left
    left -= 1
    if left == 0:
        print("stopped", flush=True)
        time.sleep(60)
    return decode(data)
images.open_pixels = slow
sys.argv[0] = "imgsim"
cli.main()
"""


def test_interruption_is_130_and_keeps_what_was_done(tmp_path, monkeypatch, run):
    top = tmp_path / "many"
    top.mkdir()
    for number in range(60):
        write(top / f"{number:03d}.png", number)
    with subprocess.Popen(
        [sys.executable, "-c", SLOW, "40", "index", top, "--threads", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as child:  # fmt: skip
        assert child.stdout.readline() == b"stopped\n"
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=20)
    assert (child.returncode, out) == (130, b"")
    assert err.decode().split() == ["interrupted"]
    monkeypatch.chdir(tmp_path)
    stats = run("stats", "many", "--json").json
    assert stats["images"] == 32  # two groups of 16; the third was under way
    assert run("verify", "many").code == 0
    report = run("index", "many", "--json").json
    assert (report["added"], report["unchanged"]) == (28, 32)


INTERRUPTED_WHILE_LOADING = """
import importlib.abc, runpy, sys
class Interrupting(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == sys.argv[1]:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupting())
runpy.run_module("imgsim_fast", run_name="__main__")
"""


@pytest.mark.parametrize("module", ["imgsim_fast.cli", "click", "imgsim_fast.report.names"])
def test_interruption_while_loading_is_130(module):
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_WHILE_LOADING, module], capture_output=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr.split()) == (130, b"", [b"interrupted"])


SIGNALLED_WHILE_LOADING = """
import importlib.abc, os, signal, sys
wanted = sys.argv[1]
class Interrupting(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == wanted:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
{before}
from imgsim_fast_command import main
assert "numpy" not in sys.modules
sys.argv = ["imgsim", "--version"]
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to one process")
@pytest.mark.parametrize(
    "module", ["numpy", "numpy._core.multiarray", "imgsim_fast._core", "imgsim_fast.cli", "click"]
)
def test_ctrl_c_while_loading_is_130(module):
    """Also in the middle of NumPy, which makes another error of it."""
    program = SIGNALLED_WHILE_LOADING.format(before="")
    done = subprocess.run([sys.executable, "-c", program, module], capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"interrupted\n")


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to one process")
def test_whoever_ignores_ctrl_c_goes_on(folder):
    program = SIGNALLED_WHILE_LOADING.format(before="signal.signal(signal.SIGINT, signal.SIG_IGN)")
    done = subprocess.run([sys.executable, "-c", program, "numpy"], capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_command_is_the_module_that_catches_ctrl_c():
    (command,) = entry_points(group="console_scripts", name="imgsim")
    assert command.value == "imgsim_fast_command:main"
    assert command.load() is imgsim_fast_command.main


@pytest.mark.parametrize("extra", [[], ["--json"]])
def test_closed_output_is_141(folder, extra):
    assert process("index", "photos").returncode == 0
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [*COMMAND, "search", "photos/000.png", "photos", "-k", "20", *extra],
            stdout=writer, stderr=subprocess.PIPE, timeout=60,
        )  # fmt: skip
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_head_takes_one_line(folder):
    assert process("index", "photos").returncode == 0
    with subprocess.Popen(
        [*COMMAND, "search", "photos/000.png", "photos", "-k", "20"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as child:  # fmt: skip
        assert child.stdout.readline().startswith(b"photos/000.png: 20 of 20")
        child.stdout.close()
        err = child.stderr.read()
        assert child.wait(timeout=60) in (0, 141)  # it may have been quicker than we
    assert err == b""


# ---- what newcomers stumbled over ----------------------------------------------------------------


def test_no_command_shows_the_help():
    done = process()
    assert done.returncode == 2
    assert b"imgsim demo" in done.stderr.splitlines()[6]
    assert b"\\n" not in done.stderr


def test_search_takes_the_index_as_it_is_unless_told(folder, run):
    assert run("index", "photos").code == 0
    write(folder / "new.png", 77)
    stale = run("search", "photos/new.png", "photos", "-k", 1)
    assert "new.png" not in stale.out.splitlines()[3]
    fresh = run("search", "photos/new.png", "photos", "-k", 1, "--refresh")
    assert fresh.out.splitlines()[3].split() == ["1", "0.000", "photos/new.png"]


def test_a_match_whose_file_has_gone_is_marked(folder, run):
    assert run("index", "photos").code == 0
    shutil.copy(folder / "003.png", "query.png")
    (folder / "003.png").unlink()
    found = run("search", "query.png", "photos", "-k", 2).out.splitlines()
    assert found[3].endswith("photos/003.png   (the file has gone)")
    assert "gone" not in found[4]


def test_radius_and_k_together_give_the_nearest_within(folder, run):
    every = run("search", "photos/003.png", "photos", "--radius", 1000, "--json").json["matches"]
    three = run("search", "photos/003.png", "photos", "--radius", 1000, "-k", 3, "--json")
    assert len(every) == 20
    assert [m["distance"] for m in three.json["matches"]] == [m["distance"] for m in every[:3]]
    none = run("search", "photos/003.png", "photos", "-k", 1, "--radius", 0, "--json").json
    assert len(none["matches"]) == 1


def test_photographs_of_a_format_that_is_not_read_are_listed(folder, run):
    (folder / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    done = run("index", "photos")
    assert done.code == 3
    assert "skipped 1 file that could not be read:" in done.err
    assert "photos/phone.heic: HEIF, HEIC and AVIF are not read" in done.err


def test_an_index_is_no_folder_of_images(folder, run):
    assert run("index", "photos").code == 0
    again = run("index", "photos/.imgsim")
    assert again.code == 2
    assert "is an index; name the folder of images" in again.err


def test_messages_say_what_to_do(folder, run):
    assert run("index", "photos").code == 0
    (folder / "page.html").write_text("mine")
    refused = run("search", "photos/003.png", "photos", "--html", "photos/page.html")
    assert refused.code == 2
    assert "--force" in refused.err
    assert "--index" in run("index", "photos", "--bins", 7).err
    os.truncate(folder / ".imgsim" / "segment-00000001.rows.npy", 100)
    damaged = run("search", "photos/003.png", "photos")
    assert damaged.code == 4
    assert "delete the index" in damaged.err
