"""Re-ranking, duplicates and evaluation at the command line: the same as the library."""

from __future__ import annotations

import json
import os
import re
import shutil

import numpy as np
import pytest
from PIL import Image

import imgsim_fast as isf
from imgsim_fast.index import Index
from imgsim_fast.report import display_name, duplicates, duplicates_page
from tests.cli_tools import control_characters, photos, process, write
from tests.measure_tools import Alike, Corner
from tests.test_report import HOSTILE, Outline, colour


@pytest.fixture
def folder(tmp_path, monkeypatch):
    return photos(tmp_path, monkeypatch)


def near(folder, number, name, change=1):
    """Save an image again, a little brighter."""
    pixels = np.asarray(Image.open(folder / f"{number:03d}.png")) + change
    (folder / name).parent.mkdir(exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(folder / name)


# ---- search --rerank ---------------------------------------------------------------------------


def test_reranking_is_that_of_the_library(folder, run):
    run("index", "photos")
    arguments = ("search", "photos/003.png", "photos", "-k", 4, "--rerank", "wasserstein")
    arguments += ("--rerank-option", "p=2", "--rerank-option", "bins=16", "--candidates", 9)
    found = run(*arguments, "--json")
    assert (found.code, found.err) == (0, "")
    with Index.open(folder / ".imgsim") as index:
        matches = index.search(
            folder / "003.png", 4, rerank="wasserstein", rerank_options={"p": 2, "bins": 16},
            candidates=9,
        )  # fmt: skip
    listed = [(m["distance"], m["id"], m["path"]) for m in found.json["matches"]]
    assert listed == list(zip(*matches, strict=True))
    assert found.json["measure"] == "wasserstein"
    assert found.json["options"] == {"bins": 256, "range": [0, 256], "p": 1}
    assert found.json["rerank"] == {
        "measure": "wasserstein", "options": {"bins": 16, "range": [0, 256], "p": 2},
        "unit": "grey levels", "higher_is_better": False, "candidates": 9, "skipped": [],
    }  # fmt: skip
    shown = run(*arguments, "--html", "page.html")
    assert "(wasserstein distance in grey levels; candidates by wasserstein)" in shown.out
    page = Outline((folder.parent / "page.html").read_text())
    assert "chose 9 candidates; the measure “wasserstein” ranked them" in page.text
    assert page.tags["article"] == 4
    assert "rerank" not in run("search", "photos/003.png", "photos", "--json").json


def test_candidates_that_have_gone_are_listed_and_the_code_is_3(folder, run):
    run("index", "photos")
    (folder / "005.png").unlink()
    for number in range(6, 8):
        (folder / f"{number:03d}.png").write_bytes(b"no")
    arguments = ("search", "photos/003.png", "photos", "-k", 20, "--rerank", "intersection")
    found = run(*arguments, "--json")
    assert found.code == 3
    assert len(found.json["matches"]) == 17
    assert found.json["skipped"] == []  # of the folder: nothing was read
    skipped = {item["path"]: item["reason"] for item in found.json["rerank"]["skipped"]}
    assert set(skipped) == {str(folder / f"{number:03d}.png") for number in (5, 6, 7)}
    assert skipped[str(folder / "005.png")] == "no such file or directory"
    shown = run(*arguments)
    assert shown.code == 3
    assert "skipped 3 candidates that could not be read:" in shown.err
    assert "similarity" in shown.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rerank", "nope"], "got 'nope'"),
        (["--rerank", "wasserstein", "--rerank-option", "colour=1"], "no option 'colour'"),
        (["--rerank", "wasserstein", "--rerank-option", "p"], "--rerank-option takes NAME=VALUE"),
        (["--candidates", "5"], "--candidates needs --rerank"),
        (["--rerank-option", "p=1"], "--rerank-option needs --rerank"),
        (["--rerank", "wasserstein", "--candidates", "0"], "candidates must be at least 1"),
        (["--rerank", "wasserstein", "--radius", "3"], "--radius and --rerank do not go together"),
    ],
)
def test_wrong_use_of_reranking_is_2(folder, run, arguments, words):
    run("index", "photos")
    result = run("search", "photos/003.png", "photos", *arguments)
    assert (result.code, result.out) == (2, "")
    assert words in result.err


# ---- duplicates --------------------------------------------------------------------------------


def test_duplicates_are_those_of_the_library(folder, run):
    near(folder, 3, "near.png")
    shutil.copy(folder / "005.png", folder / "copy.png")
    plain = run("duplicates", "photos", "--json")
    assert not (folder / ".imgsim").exists()
    run("index", "photos")
    found = run("duplicates", "photos", "--json")
    assert (found.code, found.err) == (0, "")
    with Index.open(folder / ".imgsim") as index:
        wanted = index.duplicates()
    assert found.json.pop("seconds") >= 0
    groups = found.json["groups"]
    assert plain.json["groups"] == groups
    assert len(groups) == len(wanted) == 2
    for group, own in zip(groups, wanted.groups, strict=True):
        assert group == {
            "exact": own.exact, "keep": own.keep,
            "images": [image._asdict() for image in own.images],
            "pairs": [pair._asdict() for pair in own.pairs],
        }  # fmt: skip
    rest = {k: v for k, v in found.json.items() if k not in ("groups", "seconds")}
    assert rest == {
        "where": "photos", "reference": None, "images": 22, "references": 0,
        "measure": "wasserstein", "options": {"bins": 256, "range": [0, 256], "p": 1},
        "unit": "grey levels", "higher_is_better": False, "threshold": 1.5, "confirm": None,
        "confirm_threshold": None, "skipped": [],
    }  # fmt: skip

    shown = run("duplicates", "photos")
    assert shown.code == 0
    lines = shown.out.splitlines()
    assert lines[0].startswith("2 groups of near-identical images among 22 in photos, ")
    assert lines[0].endswith("(wasserstein at most 1.5 grey levels)")
    assert [line.split()[-1] for line in lines if line.startswith(" ")] == [
        f"photos/{name}.png" for name in ("003", "near", "005", "copy")
    ]
    assert lines[3].startswith(" *  1 ")
    assert lines[4].split()[:4] == ["2", "1.000", "to", "1"]
    assert lines[8].split()[:4] == ["2", "same", "as", "1"]
    assert run("duplicates", "photos", "--threshold", 0).out.startswith("1 group of near-identical")
    assert len(run("duplicates", "photos", "--threshold", 1e9, "--json").json["groups"]) == 1


def test_a_reference_is_a_folder_inside_or_another_index(folder, run, tmp_path):
    for number in range(3):
        near(folder, number, f"new/{number}.png")
    near(folder, 7, "near.png")
    whole = run("duplicates", "photos", "--json").json["groups"]
    assert len(whole) == 4
    inside = run("duplicates", "photos", "--reference", "photos/new", "--json")
    assert inside.code == 0
    assert (inside.json["images"], inside.json["references"]) == (21, 3)
    assert inside.json["reference"] == "photos/new"
    for group in inside.json["groups"]:
        assert [image["reference"] for image in group["images"]] == [True, False]
    assert len(inside.json["groups"]) == 3
    shutil.move(folder / "new", tmp_path / "elsewhere")
    run("index", "photos")
    run("index", "elsewhere")
    other = run("duplicates", "elsewhere", "--reference", "photos", "--json")
    assert (other.json["images"], other.json["references"]) == (3, 21)
    assert len(other.json["groups"]) == 3
    shown = run("duplicates", "elsewhere", "--reference", "photos")
    assert "among 3 in elsewhere against 21 in photos" in shown.out
    assert shown.out.count("(reference)") == 3
    run("index", "photos", "--index", "other.imgsim", "--bins", 9)
    refused = run("duplicates", "elsewhere", "--reference", "other.imgsim")
    assert refused.code == 2
    assert "bins=9, not bins=256" in refused.err


def test_confirming(folder, run):
    near(folder, 3, "near.png")
    run("index", "photos")
    arguments = ("duplicates", "photos", "--confirm", "wasserstein", "--confirm-option", "p=2")
    found = run(*arguments, "--confirm-threshold", 1, "--json")
    assert found.code == 0
    assert (found.json["confirm"], found.json["confirm_threshold"]) == ("wasserstein", 1)
    (group,) = found.json["groups"]
    assert [pair["confirmed"] for pair in group["pairs"]] == [1]
    assert "confirmed by wasserstein, limit 0.5" in run(*arguments, "--confirm-threshold", 0.5).out
    said = run(*arguments, "--confirm-threshold", 1).out
    assert re.search(r"wasserstein 1\.000, wasserstein 1\.000 to \d+  ", said)
    assert "wasserstein 1.0" not in run("duplicates", "photos").out
    (folder / "003.png").unlink()
    gone = run(*arguments)
    assert gone.code == 3
    assert gone.out.startswith("0 groups")
    assert "skipped 1 file of a pair that could not be read:" in gone.err
    assert "photos/003.png: no such file" in gone.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing"], "neither an index nor a folder"),
        (["photos", "--threshold", "-1"], "threshold must not be negative"),
        (["photos", "--confirm", "nope"], "got 'nope'"),
        (["photos", "--confirm-threshold", "1"], "need --confirm"),
        (["photos", "--confirm-option", "p=1"], "need --confirm"),
        (["photos", "--reference", "elsewhere"], "'elsewhere' is neither an index nor a folder"),
        (["photos", "--reference", "photos"], "all images of the index lie in"),
        (["photos", "--html", "photos/000.png"], "exists already; --force replaces it"),
        (["photos", "--threads", "0"], "threads must be at least 1"),
    ],
)
def test_wrong_use_of_duplicates_is_2(folder, run, arguments, words):
    result = run("duplicates", *arguments)
    assert (result.code, result.out) == (2, "")
    assert words in result.err


def test_many_groups_and_images_are_counted_not_listed(folder, run, monkeypatch):
    monkeypatch.setattr("imgsim_fast.cli.duplicates._SHOWN_GROUPS", 2)
    monkeypatch.setattr("imgsim_fast.cli.duplicates._SHOWN_IMAGES", 2)
    for number in range(4):
        near(folder, number, f"near{number}.png")
    for number in range(3):
        shutil.copy(folder / "000.png", folder / f"copy{number}.png")
    shown = run("duplicates", "photos").out
    assert shown.count("\ngroup ") == 2
    assert "... and 3 more images" in shown
    assert "... and 2 more groups (--json lists all)" in shown


# ---- the page of duplicates --------------------------------------------------------------------


def test_the_page_has_a_section_for_each_group(folder, run, tmp_path):
    near(folder, 3, "near.png")
    shutil.copy(folder / "005.png", folder / "copy.png")
    shown = run("duplicates", "photos", "--html", "page.html")
    assert shown.out.endswith("\npage: page.html\n")
    text = (tmp_path / "page.html").read_text()
    page = Outline(text)
    assert page.tags["article"] == page.tags["img"] == 4
    assert "2 groups of near-identical images" in page.text
    assert "Group 1 2 images" in page.text
    assert "Group 2 2 images, equal files" in page.text
    assert "gives at most 1.50 grey levels, or where the files are equal" in page.text
    assert page.text.count("worth keeping") == 2
    assert "same contents as 1" in page.text
    assert "distance to 1 1.00 grey levels" in page.text
    assert f"6 × 5 pixels, {(folder / '005.png').stat().st_size} bytes" in page.text
    assert "22 images" in page.text
    (policy,) = [v for v in page.value("meta", "content") if v.startswith("default-src")]
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert not {"script", "link", "iframe", "object", "a", "base", "use"} & set(page.tags)
    ids = [value for _, name, value in page.values if name == "id"]
    assert len(ids) == len(set(ids))
    for tag, closing in page.tags.items():
        if not tag.startswith("/") and tag not in {"meta", "img"}:
            assert page.tags["/" + tag] == closing, tag
    assert (tmp_path / "page.html").read_text() == text  # asked again without --force
    assert run("duplicates", "photos", "--html", "page.html").code == 2
    assert run("duplicates", "photos", "--html", "page.html", "--force", "--json").code == 0


def test_the_page_counts_what_could_be_freed_and_what_was_skipped(folder, run, tmp_path):
    shutil.copy(folder / "005.png", folder / "copy.png")
    (folder / "broken.png").write_bytes(b"no image")
    assert run("duplicates", "photos", "--html", "page.html").code == 3
    page = Outline((tmp_path / "page.html").read_text())
    freed = f"{(folder / '005.png').stat().st_size} bytes"
    assert f"Could be freed {freed} , if one image of each group stays" in page.text
    assert "Skipped 1 unreadable" in page.text
    for path in folder.iterdir():
        if path.name != "005.png":
            path.unlink()
    assert run("duplicates", "photos", "--html", "one.html").code == 0
    page = Outline((tmp_path / "one.html").read_text())
    assert "Looked at 1 image " in page.text
    assert "The one image looked at has no near-identical one" in page.text
    assert "Could be freed" not in page.text


def test_infinite_thresholds_are_null_in_json(folder, run):
    found = run("duplicates", "photos", "--threshold", "inf", "--json")
    assert found.code == 0
    assert json.loads(found.out, parse_constant=pytest.fail)["threshold"] is None
    limits = ["--threshold", "-inf", "--confirm", "correlation", "--confirm-threshold", "-inf"]
    found = run("duplicates", "photos", "--measure", "intersection", *limits, "--json")
    rest = json.loads(found.out, parse_constant=pytest.fail)
    assert (rest["threshold"], rest["confirm_threshold"]) == (None, None)
    assert len(rest["groups"]) == 1


def test_an_option_nested_too_deep_is_wrong_use(folder, run):
    found = run("compare", folder / "000.png", folder / "001.png", "--option", "p=" + "[" * 10**5)
    assert (found.code, found.out) == (2, "")
    assert "p must be" in found.err


def test_force_replaces_pages_only(folder, run, tmp_path):
    """Neither photos, which a wrong expansion names, nor the index itself, nor anything else."""
    query = folder / "000.png"
    assert run("index", "photos").code == 0
    (tmp_path / "notes.txt").write_text("<p>DOCTYPE html")
    os.symlink(folder / "003.png", tmp_path / "link.html")
    os.mkfifo(tmp_path / "pipe.html")
    kept = [path for path in (folder, *folder.rglob("*"), *tmp_path.glob("*.*")) if path.is_file()]
    before = {path: path.read_bytes() for path in kept}
    assert folder / ".imgsim" / "catalog.sqlite" in before
    for command in (
        ["duplicates", "photos"],
        ["search", query, "photos"],
        ["compare", query, query],
    ):
        for page in (*kept, "pipe.html", "photos"):
            refused = run(*command, "--html", page, "--force")
            assert (refused.code, refused.out) == (2, ""), page
            words = ("is no HTML page", "is an image to be read", "is a folder: name a file in it")
            assert any(part in refused.err for part in words)
    assert {path: path.read_bytes() for path in kept} == before
    assert run("search", query, "photos").code == 0
    for text in ("", "<!DOCTYPE html>\n", "\ufeff \n<HTML>"):
        (tmp_path / "page.html").write_text(text)
        assert run("duplicates", "photos", "--html", "page.html", "--force").code == 0
        assert (tmp_path / "page.html").read_text().startswith("<!DOCTYPE html>\n<html lang")
    os.symlink(tmp_path / "nowhere", tmp_path / "dangling.html")
    assert run("duplicates", "photos", "--html", "dangling.html", "--force").code == 0


def index_of(tmp_path, folder, measure):
    index = Index.create(tmp_path / measure.name, measure)
    index.add(folder)
    return index


def test_the_page_of_a_similarity_and_of_a_reference(folder, tmp_path):
    for number in range(3):
        shutil.copy(folder / f"{number:03d}.png", folder / f"copy{number}.png")
        near(folder, number, f"new/{number}.png", 0)
    with index_of(tmp_path, folder, Alike()) as index:
        found = index.duplicates(0.5, reference=folder / "new", confirm=Corner())
        text = duplicates_page(
            found, source=str(folder), seconds=1.5, reference=str(folder / "new")
        )
    page = Outline(text)
    assert "the measure “alike” gives at least 0.500 and the measure “corner” agrees" in page.text
    assert "Reference 3 images" in page.text
    assert "Against " + str(folder / "new") in page.text
    assert page.text.count("reference") >= 3
    assert "Time 1.5 s" in page.text
    assert "same contents as" in page.text


def test_a_page_without_groups_says_so(folder, run, tmp_path):
    run("duplicates", "photos", "--threshold", 0, "--html", "page.html")
    page = Outline((tmp_path / "page.html").read_text())
    assert "No near-identical images" in page.text
    assert "None of the 20 images has a near-identical one. A wider threshold" in page.text


def test_files_that_have_gone_keep_their_card(folder, run, tmp_path):
    near(folder, 3, "near.png")
    run("index", "photos")
    (folder / "near.png").unlink()
    shown = run("duplicates", "photos", "--html", "page.html")
    assert "(the file has gone)" in shown.out
    page = Outline((tmp_path / "page.html").read_text())
    assert page.tags["article"] == 2
    assert page.text.count("could not be read again") == 1


def test_long_pages_are_cut_and_say_so(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(duplicates, "MOST_GROUPS", 2)
    monkeypatch.setattr(duplicates, "MOST_IMAGES", 3)
    for number in range(4):
        for copy in range(3 + number):
            shutil.copy(folder / f"{number:03d}.png", folder / f"copy {number} {copy}.png")
    with index_of(tmp_path, folder, Corner()) as index:
        found = index.duplicates(0, threads=1)
    page = Outline(duplicates_page(found, source="here", seconds=0))
    assert page.text.count("Group ") == 2
    assert "more images of this group that are not shown" in page.text
    assert f"And {len(found) - 2} more groups that are not shown" in page.text
    assert page.tags["article"] == 6


def test_names_of_duplicates_cannot_act(folder, tmp_path, run):
    names = [
        os.fsencode(name) if isinstance(name, str) else name
        for name in HOSTILE[:12]
        if "\ud800" not in str(name)
    ]
    names = [name for name in names if name and b"/" not in name and b"\0" not in name]
    assert len(names) > 5
    tops = [tmp_path / "plain", tmp_path / "hostile"]
    for top, given in zip(tops, ([b"%d.png" % i for i in range(len(names))], names), strict=True):
        top.mkdir()
        for name in given:
            shutil.copy(folder / "000.png", os.path.join(os.fsencode(top), name + b".png"))
    pages = []
    for top in tops:
        with index_of(tmp_path / f"{top.name} index", top, Corner()) as index:
            pages.append(
                Outline(duplicates_page(index.duplicates(), source=names[0].decode(), seconds=0))
            )
    plain, hostile = pages
    assert hostile.tags == plain.tags
    assert hostile.attributes == plain.attributes
    assert hostile.style == plain.style
    shown = "".join(hostile.texts)
    for name in names:
        assert display_name(name) in shown.replace("\n", "")
    listed = run("duplicates", "hostile")
    assert control_characters(listed.out) == []
    assert len(run("duplicates", "hostile", "--json").json["groups"][0]["images"]) == len(names)


def test_groups_are_seen_and_nothing_sticks_out_on_a_phone(folder, tmp_path, screenshot):
    long = "a_very_long_name_without_any_place_to_break_" * 5
    near(folder, 3, f"{long}.png")
    shutil.copy(folder / "005.png", folder / ("b" * 200 + ".png"))
    with index_of(tmp_path, folder, Corner()) as index:
        text = duplicates_page(index.duplicates(1), source=long, seconds=0)
    style = Outline(text).style
    for width in (400, 1280):
        pixels = screenshot(text, width, 3000)
        paper = np.array(colour(style, "paper"))
        assert (pixels[:, :14] == paper).all()
        assert (pixels[:, -14:] == paper).all()
        kept = (pixels == colour(style, "query")).all(axis=2).mean()
        assert 0.0005 < kept < 0.1  # the frame and badge of the image worth keeping


# ---- evaluate ----------------------------------------------------------------------------------


@pytest.fixture
def labelled(folder):
    """The first ten images in one folder, the others in another."""
    for number in range(20):
        top = folder / ("dark" if number < 10 else "light")
        top.mkdir(exist_ok=True)
        (folder / f"{number:03d}.png").rename(top / f"{number:03d}.png")
    return folder


def test_evaluation_is_that_of_the_library(labelled, run):
    run("index", "photos")
    found = run("evaluate", "photos", "--labels", "folder", "--json")
    assert (found.code, found.err) == (0, "")
    with Index.open(labelled / ".imgsim") as index:
        wanted = isf.evaluate(index, "folder")
    result = found.json
    assert result.pop("search_seconds") > 0
    assert result == {
        "where": "photos", "measure": "wasserstein",
        "options": {"bins": 256, "range": [0, 256], "p": 1}, "images": 20,
        **wanted.scores.as_dict(), "describe_seconds": 0, "skipped": [],
    }  # fmt: skip
    shown = run("evaluate", "photos", "--labels", "folder")
    lines = dict(line.split(None, 1) for line in shown.out.splitlines())
    assert lines["measure"] == "wasserstein (bins=256, p=1, range=[0, 256])"
    assert lines["images"] == "20 in photos"
    assert lines["queries"] == "20 (every image, for the others)"
    assert lines["P@1"] == f"{wanted.precision[1]:.4f}"
    assert lines["mAP"] == f"{wanted.mean_average_precision:.4f}"
    assert lines["search"].endswith("per query")
    assert "describe" not in lines


def test_evaluation_with_queries_a_table_and_reranking(labelled, run, tmp_path):
    (tmp_path / "asked").mkdir()
    rows = ["path\tlabel"]
    for number in range(4):
        write(tmp_path / "asked" / f"{number}.png", 50 + number)
        rows.append(f"asked/{number}.png\t{'dark' if number < 2 else 'light'}")
    rows += [
        f"photos/{label}/{number:03d}.png\t{label}"
        for number in range(20)
        for label in ["dark" if number < 10 else "light"]
    ]
    (tmp_path / "labels.tsv").write_text("\n".join(rows))
    arguments = ("evaluate", "photos", "--labels", "labels.tsv", "--queries", "asked", "-k", 3)
    arguments += ("--rerank", "wasserstein", "--rerank-option", "p=2", "--candidates", 7)
    result = run(*arguments, "--json").json
    assert result["queries"] == 4
    assert list(result["precision"]) == ["3"]
    assert result["rerank"] == {
        "measure": "wasserstein", "options": {"bins": 256, "range": [0, 256], "p": 2},
        "candidates": 7,
    }  # fmt: skip
    run("index", "photos")
    with Index.open(labelled / ".imgsim") as index:
        wanted = isf.evaluate(
            index, tmp_path / "labels.tsv", queries=tmp_path / "asked", k=3, rerank="wasserstein",
            rerank_options={"p": 2}, candidates=7,
        )  # fmt: skip
    assert result["mean_average_precision"] == wanted.mean_average_precision
    shown = run(*arguments)
    assert shown.code == 0
    assert "best 7 again by wasserstein (bins=256, p=2, range=[0, 256])" in shown.out
    assert "queries        4 from asked" in shown.out
    assert "\n3-NN accuracy  " in shown.out
    (tmp_path / "asked" / "3.png").write_bytes(b"no")
    bad = run(*arguments)
    assert bad.code == 3
    assert "asked/3.png: not an image" in bad.err
    assert "queries        3 from asked" in bad.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--labels"),
        (["--labels", "nowhere.csv"], "'nowhere.csv' cannot be read"),
        (["--labels", "photos"], "ends in .csv, .tsv or .json"),
        (["--labels", "folder", "-k", "0"], "k must be at least 1"),
        (["--labels", "folder", "--queries", "nowhere"], "is not a folder"),
        (["--labels", "folder", "--queries", "empty"], "holds no image that can be read"),
        (["--labels", "folder", "--candidates", "3"], "--candidates needs --rerank"),
        (["--labels", "labels.csv"], "labels has none for 20 of 20 images"),
    ],
)
def test_wrong_use_of_evaluate_is_2(labelled, run, tmp_path, arguments, words):
    (tmp_path / "empty").mkdir()
    (tmp_path / "labels.csv").write_text("a.png,b\n")
    result = run("evaluate", "photos", *arguments)
    assert (result.code, result.out) == (2, "")
    assert words in result.err


def test_the_three_as_processes(labelled):
    shutil.copy(labelled / "dark" / "000.png", labelled / "light" / "copy.png")
    bad = os.path.join(os.fsencode(labelled), b"bad\xff.png")
    shutil.copy(labelled / "dark" / "001.png", bad)
    assert process("index", "photos").returncode == 0
    done = process("duplicates", "photos")
    assert done.returncode == 0
    assert rb"bad\xff.png" in done.stdout
    assert process("evaluate", "photos", "--labels", "folder").returncode == 0
    done = process("search", bad, "photos", "--rerank", "wasserstein", "-k", "2")
    assert (done.returncode, done.stderr) == (0, b"")
