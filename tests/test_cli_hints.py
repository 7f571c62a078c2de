"""What the command line says to somebody who does not know it yet."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import imgsim_fast as isf
from imgsim_fast.cli import collection
from imgsim_fast.errors import InvalidInputError, InvalidTypeError
from imgsim_fast.index import Index
from tests.cli_tools import photos, runner


@pytest.fixture
def run(monkeypatch, capsys):
    return runner(monkeypatch, capsys)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    return photos(tmp_path, monkeypatch)


def words_of(text):
    return " ".join(text.split())


# ---- measures ----------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["index", "search", "compare", "duplicates", "evaluate"])
def test_help_lists_the_measures(run, command):
    shown = words_of(run(command, "--help").out)
    assert f"How to compare: {', '.join(isf.measures())} [default: " in shown
    assert "such as space=hsv" in shown


def test_help_says_what_is_there(run):
    assert "of at least this value" in words_of(run("search", "--help").out)
    shown = run("--help").out
    assert "imgsim compare a.jpg b.jpg --measure all" in shown
    assert "keypoints" in shown


@pytest.mark.parametrize("name", ["emdd", "EMD", "all"])
def test_a_mistyped_measure_is_called_that_where_an_index_exists(folder, run, name):
    run("index", "photos")
    for command in (("index", "photos"), ("search", "photos/001.png", "photos")):
        done = run(*command, "--measure", name)
        assert done.code == 2
        assert "measure must be one of wasserstein, emd, correlation, " in done.err
        assert f"got {name!r}" in done.err
        assert "delete" not in done.err
    for measure in (name, 3, ["emd"]):
        with pytest.raises(InvalidInputError, match="measure must be one of wasserstein"):
            Index.open(folder / ".imgsim", measure)


def test_an_option_of_a_measure_is_not_a_flag(folder, run):
    pair = ("compare", "photos/001.png", "photos/002.png")
    done = run(*pair, "--measure", "intersection", "--space", "hsv")
    assert done.code == 2
    assert "--space is an option of measures: --option space=VALUE" in done.err
    assert "--option gaussian_weights=VALUE" in run(*pair, "--gaussian-weights").err
    for other in ((*pair, "--nonsense"), ("stats", "photos", "--space")):
        done = run(*other)
        assert done.code == 2
        assert "No such option" in done.err
        assert "of measures" not in done.err


def test_a_radius_that_no_similarity_reaches(folder, run):
    run("index", "photos", "--measure", "intersection")
    search = ("search", "photos/001.png", "photos", "--radius")
    assert "001.png" in run(*search, 1).out
    done = run(*search, 2)
    assert done.code == 0
    assert "--radius is the least similarity that counts, and intersection is 0 ... 1" in done.out
    run("index", "photos", "--index", "grey.imgsim")
    Image.new("L", (8, 8), 255).save("white.png")
    found = run("search", "white.png", "grey.imgsim", "--radius", 0)
    assert found.out.endswith("no image is that near\n")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--confirm", "ssim", "--confirm-threshold", 5], "--confirm-threshold 5: it is"),
        (["--measure", "ssim", "--threshold", 1.5], "--threshold 1.5: it is"),
        (["--confirm", "ssim", "--confirm-threshold", 1], None),
        (["--confirm", "emd", "--confirm-threshold", 1e9], None),
    ],
)
def test_a_threshold_that_no_pair_reaches(folder, run, arguments, hint):
    for path in folder.glob("*.png"):
        Image.open(path).resize((12, 10)).save(path)  # as SSIM needs
    shutil.copy(folder / "000.png", folder / "again.png")
    done = run("duplicates", "photos", *arguments)
    assert done.code == 0
    assert "again.png" in done.out  # equal files need no measure
    if hint is None:
        assert "no pair reaches" not in done.out
    else:
        words = f"no pair reaches {hint} the least similarity that counts, and ssim is -1 ... 1"
        assert words in done.out
        assert run("duplicates", "photos", *arguments, "--json").json["groups"]


def test_the_default_measure_of_two_images_is_no_index_s(run):
    assert "[default: wasserstein]" in words_of(run("compare", "--help").out)
    assert "[default: the index's, or wasserstein]" in words_of(run("search", "--help").out)


@pytest.mark.parametrize(("name", "option"), [("onnx", "model"), ("clip", "checkpoint")])
def test_a_missing_model_names_the_flag(folder, run, name, option):
    pair = ("photos/001.png", "photos/002.png")
    assert f" --option {option}=FILE)" in run("compare", *pair, "--measure", name).err
    assert f" --option {option}=FILE)" in run("compare", *pair, "--measure", "all").out
    search = run("search", pair[0], "photos", "--rerank", name)
    assert f" --rerank-option {option}=FILE)" in search.err
    confirm = run("duplicates", "photos", "--confirm", name)
    assert f" --confirm-option {option}=FILE)" in confirm.err
    assert search.code == confirm.code == 2


def test_a_file_is_no_index(folder, run):
    for command in ("stats", "verify"):
        done = run(command, "photos/001.png")
        assert done.code == 2
        assert "001.png' is a file: an index is a directory" in done.err


def test_stats_and_evaluate_say_options_alike(folder, run):
    run("index", "photos", "--measure", "emd")
    kind = next(
        line.split(None, 1)[1]
        for line in run("stats", "photos").out.splitlines()
        if line.startswith("measure")
    )
    assert kind.startswith("emd (bins=")
    assert "threshold=null" in kind
    lines = [f"photos/{number:03d}.png,{number % 3}" for number in range(20)]
    Path("labels.csv").write_text("path,label\n" + "\n".join(lines))
    shown = run("evaluate", "photos", "--labels", "labels.csv", "--rerank", "emd").out
    assert f"{kind}, best 20 again by {kind}\n" in shown


def test_a_time_does_not_count_reading_a_folder(folder, run):
    note = "once the folder was read"
    search, pairs = ("search", "photos/001.png", "photos"), ("duplicates", "photos")
    assert f" ms {note}\n" in run(*search).out
    assert f" s {note}   (" in run(*pairs).out
    run("index", "photos")
    assert note not in run(*search).out
    assert note not in run(*pairs).out
    shutil.copytree(folder, folder.parent / "plain", ignore=shutil.ignore_patterns(".imgsim"))
    assert note in run(*pairs, "--reference", "plain").out


def test_a_function_is_no_measure_yet(folder):
    image = folder / "001.png"
    with pytest.raises(InvalidInputError, match=r"; isf\.Embedding\(function, name=\.\.\.\) makes"):
        isf.compare(image, image, lambda images: images)
    with pytest.raises(InvalidInputError, match=r"got 'emdd'$"):
        isf.compare(image, image, "emdd")


# ---- duplicates --reference --------------------------------------------------------------------


@pytest.fixture
def apart(folder):
    """Three of the twenty images in a folder of their own, one of them under another name."""
    there = folder.parent / "known"
    there.mkdir()
    shutil.copy(folder / "003.png", there / "003.png")
    shutil.copy(folder / "007.png", there / "seven.png")
    Image.open(folder / "009.png").save(there / "009.bmp")
    return there


def found(result):
    """Each group as sorted (path, is a reference)."""
    assert result.code == 0, result.err
    groups = result.json["groups"]
    return sorted(sorted((i["path"], i["reference"]) for i in group["images"]) for group in groups)


def test_a_reference_may_be_any_folder(folder, apart, run):
    """Which of these do I have already? With and without an index on either side."""
    question = ("duplicates", "photos", "--reference", "known", "--threshold", 0, "--json")
    wanted = sorted(
        sorted([(str(folder / a), False), (str(apart / b), True)])
        for a, b in (("003.png", "003.png"), ("007.png", "seven.png"), ("009.png", "009.bmp"))
    )
    assert found(run(*question)) == wanted
    assert not (apart / ".imgsim").exists()
    run("index", "photos")
    assert found(run(*question)) == wanted
    run("index", "known")
    assert found(run(*question)) == wanted
    shutil.rmtree(folder / ".imgsim")
    assert found(run(*question)) == wanted


def test_a_plain_reference_is_read_as_the_index_was(folder, apart, run):
    run("index", "photos", "--measure", "intersection", "--option", "space=hsv")
    shown = run("duplicates", "photos", "--reference", "known", "--threshold", 1, "--json")
    assert len(found(shown)) == 3
    assert shown.json["options"]["space"] == "hsv"
    (apart / "bad.png").write_bytes(b"no image")
    skipped = run("duplicates", "photos", "--reference", "known")
    assert skipped.code == 3
    assert "bad.png" in skipped.err


def test_a_folder_inside_the_index_is_not_read_again(folder, run):
    inside = folder / "old"
    inside.mkdir()
    shutil.copy(folder / "003.png", inside / "003.png")
    run("index", "photos")
    shutil.copy(folder / "004.png", inside / "004.png")  # the index does not know it yet
    shown = run("duplicates", "photos", "--reference", "photos/old", "--threshold", 0, "--json")
    assert found(shown) == [
        [(str(folder / "003.png"), False), (str(inside / "003.png"), True)],
    ]


def test_a_reference_that_holds_all(folder, run):
    """With and without an index on either side; the other way round there is an answer."""
    (folder / "part").mkdir()
    shutil.copy(folder / "003.png", folder / "part" / "003.png")
    asked = ("duplicates", "photos/part", "--reference", "photos")
    other = ("duplicates", "photos", "--reference", "photos/part", "--json")

    def refused(how):
        done = run(*asked)
        assert (done.code, done.out) == (2, "")
        assert f"all images of the index {how} '{folder}" in done.err
        assert "none is left to compare with it; ask for the duplicates of" in done.err
        groups = run(*other).json["groups"]
        assert any(image["reference"] for group in groups for image in group["images"])

    refused("lie in")
    run("index", "photos")
    refused("are also in")
    run("index", "photos/part")
    refused("are also in")
    with Index.create(folder.parent / "nothing") as nothing, Index.open(folder / ".imgsim") as all_:
        assert nothing.duplicates(reference=all_).groups == []


def test_a_reference_that_is_none(folder, run, tmp_path):
    (tmp_path / "empty").mkdir()
    for where, words in (
        ("nothere", "--reference 'nothere' is neither an index nor a folder"),
        ("photos/001.png", "--reference 'photos/001.png' is neither an index nor a folder"),
        ("empty", "--reference 'empty' holds no image that can be read"),
        ("photos", "all images of the index lie in"),
    ):
        done = run("duplicates", "photos", "--reference", where)
        assert (done.code, done.out) == (2, "")
        assert words in done.err
    with Index.create(tmp_path / "index") as index:
        index.add(folder)
        assert index.holds(folder)
        assert index.holds(str(tmp_path))
        assert not index.holds(tmp_path / "pho")
        with pytest.raises(InvalidInputError, match=r"reference: no image .* no such folder"):
            index.duplicates(reference=tmp_path / "nothere")
        with pytest.raises(InvalidInputError, match=r"needs an index of its own, reference=Index"):
            index.duplicates(reference=tmp_path / "empty")


# ---- pages and bars ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        ("compare", "photos/001.png", "photos/002.png"),
        ("search", "photos/001.png", "photos"),
        ("duplicates", "photos"),
    ],
    ids=lambda command: command[0],
)
def test_a_page_that_cannot_be_is_refused_before_the_work(folder, run, command):
    for page, words in (
        ("nosuchdir/x.html", "--html 'nosuchdir/x.html': there is no folder 'nosuchdir'"),
        (".", "--html '.' is a folder: name a file in it"),
    ):
        for force in ([], ["--force"]):
            done = run(*command, "--html", page, *force)
            assert (done.code, done.out) == (2, "")
            assert words in done.err


def test_reranking_shows_how_far_it_is(folder, run, monkeypatch):
    seen = []

    @contextlib.contextmanager
    def bar(what, total, *, quiet):
        seen.append((what, total(), quiet))
        yield lambda done: seen.append(done)

    monkeypatch.setattr(collection, "progress_bar", bar)
    run("index", "photos")
    search = ("search", "photos/001.png", "photos", "--candidates", 7)
    del seen[:]
    run(*search, "-k", 3, "--rerank", "intersection")
    assert seen == [("ranking again", 7, False), *range(1, 8)]
    del seen[:]
    run(*search, "-k", 9, "--rerank", "intersection", "--json")
    assert seen == [("ranking again", 9, True), *range(1, 10)]
    del seen[:]
    run("search", "photos/001.png", "photos")
    assert seen == [("ranking again", 20, True)]


def test_slow_reranking_says_what_is_faster(folder, run, monkeypatch):
    run("index", "photos")
    search = ("search", "photos/001.png", "photos", "--rerank", "intersection")
    assert "faster" not in run(*search).err
    monkeypatch.setattr(collection, "_LONG", -1.0)
    assert "faster" not in run(*search).err
    monkeypatch.setattr(collection, "progress_bar", lambda *a, **k: contextlib.nullcontext())
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert "fewer --candidates than 200 are faster" in run(*search).err
    assert "faster" not in run(*search[:-2]).err


# ---- arrays ------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["a.jpg", b"a.jpg", Path("a.jpg")])
def test_a_file_name_in_the_place_of_pixels(file):
    image = np.zeros((9, 9, 3), np.uint8)
    for call in (
        lambda: isf.transfer_color(file, image),
        lambda: isf.match_histograms(image, file),
        lambda: isf.color_palette(file, 4),
        lambda: isf.structural_similarity(file, file),
        lambda: isf.structural_similarities(image[..., 0], [file]),
        lambda: isf.compare_histograms(file, file),
        lambda: isf.sparse_histogram(file),
        lambda: isf.histogram(file),
        lambda: isf.histograms([file, file]),
        lambda: isf.resize_area(file, (3, 3)),
        lambda: isf.rgb_to_lab(file),
        lambda: isf.wasserstein_1d(file, [1, 2]),
    ):
        with pytest.raises(
            InvalidTypeError, match=r"must hold numbers, got .*a\.jpg.*decode\(path"
        ):
            call()
