"""Labels of images: tables in every dress, folders' names, rules; a mistake names its line."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsim_fast.errors import InvalidInputError, InvalidTypeError
from imgsim_fast.labels import labels_of, read_labels

PAIRS = {"a.jpg": "beach", "b/c.jpg": "a bus", "\xe4 d.jpg": "\u82b1", "e, f.jpg": '"quoted"'}

TABLES = {
    "csv": ('a.jpg,beach\nb/c.jpg,a bus\n\xe4 d.jpg,\u82b1\n"e, f.jpg","""quoted"""\n', ".csv"),
    "no last line end": ('a.jpg,beach\nb/c.jpg,a bus\n\xe4 d.jpg,\u82b1\n"e, f.jpg","""quoted"""',
                         ".csv"),
    "header": ('path,label\na.jpg,beach\nb/c.jpg,a bus\n\xe4 d.jpg,\u82b1\n"e, f.jpg","""quoted"""',
               ".csv"),
    "Header": ('\n File , Class\na.jpg,beach\nb/c.jpg,a bus\n\xe4 d.jpg,\u82b1\n"e, f.jpg",'
               '"""quoted"""', ".csv"),
    "mark, returns, empty lines, spaces": (
        '\ufeff"path","label"\r\n\r\na.jpg, beach\r\nb/c.jpg,a bus \r\n , \r\n\xe4 d.jpg,\u82b1\r\n'
        '"e, f.jpg","""quoted"""\r\n', ".CSV"),
    "tsv": ('path\tlabel\na.jpg\tbeach\nb/c.jpg\ta bus\n\xe4 d.jpg\t\u82b1\ne, f.jpg\t"""quoted"""',
            ".tsv"),
    "same again": ('a.jpg,beach\na.jpg,beach\nb/c.jpg,a bus\n\xe4 d.jpg,\u82b1\n"e, f.jpg",'
                   '"""quoted"""\n', ".csv"),
    "json": (json.dumps(PAIRS), ".json"),
    "json, letters, mark": ("\ufeff" + json.dumps(PAIRS, ensure_ascii=False, indent=1), ".json"),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_tables_in_every_dress(name, tmp_path):
    text, ending = TABLES[name]
    path = tmp_path / f"labels{ending}"
    path.write_bytes(text.encode())
    for given_ in (path, str(path), os.fsencode(path)):
        assert read_labels(given_) == PAIRS
        assert list(read_labels(given_)) == list(PAIRS)


def test_a_header_is_no_header_further_down(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a.jpg,1\npath,label\nbeach,bus\n")
    assert read_labels(path) == {"a.jpg": "1", "path": "label", "beach": "bus"}


def test_json_numbers_are_text(tmp_path):
    path = tmp_path / "t.json"
    path.write_text('{"a": 3, "b": "3", "c": -1}')
    assert read_labels(path) == {"a": "3", "b": "3", "c": "-1"}


@given(
    st.dictionaries(
        st.text(min_size=1).filter(lambda s: "\0" not in s and s.strip()),
        st.text(min_size=1).map(str.strip).filter(lambda s: s and "\0" not in s),
        min_size=1,
    )
)
def test_what_json_writes_is_read(tmp_path_factory, table):
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(table))
    assert read_labels(path) == table


WRONG = {
    "one column": (b"a,1\nb\n", ".csv", "line 2: expected two columns .*got 1"),
    "three columns": (b"path,label\n\na,1\nb,2,3\n", ".csv", "line 4: expected two .*got 3"),
    "wrong separator": (b"a\t1\n", ".csv", "line 1: expected two .*a comma between, got 1"),
    "semicolon later": (b"a,1\nb;2\n", ".csv", "line 2: expected two .*a comma between, got 1"),
    "comma later": (b"a;1\nb,2\n", ".csv", "line 2: expected two .*a semicolon between, got 1"),
    "two semicolons": (b"a;1;2\n", ".csv", "line 1: expected two .*a comma between, got 1"),
    "semicolons in tsv": (b"a;1\n", ".tsv", "line 1: expected two .*a tab between, got 1"),
    "no path": (b"a,1\n,2\n", ".csv", "line 2: '' cannot be a path"),
    "no label": (b"a,1\nb, \n", ".csv", "line 2: no label for 'b'"),
    "two labels": (b"a,1\nb,2\na,2\n", ".csv", "line 3: 'a' is '2', but '1' in line 1"),
    "open quote": (b'a,1\n"b,2\nc,3\n', ".csv", "line 2: unexpected end"),
    "text behind a quote": (b'a,1\n"b"c,2\n', ".csv", "line 2: ',' expected"),
    "behind many lines": (b'"a\nb\nc",1\nd\n', ".csv", "line 4: expected two"),
    "endless field": (b"a,1\nb," + b"x" * 200_000, ".csv", "line 2: field larger"),
    "not UTF-8": (b"a,1\nb,\xff\n", ".csv", "line 2: not UTF-8"),
    "UTF-16": ("a,1\n".encode("utf-16"), ".csv", "line 1: not UTF-8"),
    "NUL": (b"a,1\nb\0,2\n", ".csv", r"line 2: 'b\\x00' cannot be a path"),
    "empty": (b"", ".csv", "holds no labels"),
    "header alone": (b"path,label\n", ".tsv", "line 1: expected two"),
    "tsv header alone": (b"path\tlabel\n", ".tsv", "holds no labels"),
    "json syntax": (b'{"a": "1",\n "b" "2"}', ".json", "line 2: not JSON"),
    "json list": (b'["a", "b"]', ".json", "is no JSON object"),
    "json number": (b"3", ".json", "is no JSON object"),
    "json empty": (b"{}", ".json", "holds no labels"),
    "json nothing": (b"", ".json", "line 1: not JSON"),
    "json null": (b'{"a": null}', ".json", "key 'a': .*got null"),
    "json bool": (b'{"a": true}', ".json", "key 'a': .*got true"),
    "json float": (b'{"a": 1.5}', ".json", r"key 'a': .*got 1\.5"),
    "json NaN": (b'{"a": NaN}', ".json", "key 'a': .*got NaN"),
    "json nested": (b'{"a": {"b": "c"}}', ".json", "key 'a': .*got a list or object"),
    "json twice": (b'{"a": "1", "a": "2"}', ".json", "key 'a': 'a' is '2', but '1' in key 'a'"),
    "json deep": (b"[" * 100_000 + b"]" * 100_000, ".json", "is no JSON object"),
    "json digits": (b'{"a": ' + b"1" * 5000 + b"}", ".json", "is no JSON object"),
    "ending": (b"a,1\n", ".txt", "ends in .csv, .tsv or .json"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_mistakes_name_their_line(name, tmp_path):
    data, ending, message = WRONG[name]
    path = tmp_path / f"labels{ending}"
    path.write_bytes(data)
    with pytest.raises(InvalidInputError, match=message) as caught:
        read_labels(path)
    assert str(path) in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InvalidInputError, match=r"none\.csv' cannot be read: No such file"):
        read_labels(tmp_path / "none.csv")
    folder = tmp_path / "folder.csv"
    folder.mkdir()
    with pytest.raises(InvalidInputError, match="no regular file"):
        read_labels(folder)
    with pytest.raises(InvalidTypeError, match="path must be a path, got 3"):
        read_labels(3)
    for name in ("", "a\0.csv"):
        with pytest.raises(InvalidInputError, match="cannot be a file name"):
            read_labels(name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_a_fifo_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(InvalidInputError, match="no regular file"):
        read_labels(tmp_path / "pipe.csv")


# ---- labels of images ------------------------------------------------------------------------


def test_folders_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = [b"beach/1.jpg", Path("beach") / "2.jpg", tmp_path / "bus" / "3.jpg", "x/../bus/4.jpg"]
    assert labels_of(paths, "folder") == ["beach", "beach", "bus", "bus"]
    assert labels_of(["5.jpg"], "folder") == [tmp_path.name]
    assert labels_of([], "folder") == []
    with pytest.raises(InvalidInputError, match=r"none for 1 of 2 images; the first .*'/6\.jpg'"):
        labels_of(["a/1.jpg", "/6.jpg"], "folder")


def test_paths_of_a_table_begin_where_it_lies(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    table = tmp_path / "data" / "labels.csv"
    whole = tmp_path / "elsewhere" / "c.jpg"
    table.write_text(f"a.jpg,1\n./sub/../b.jpg,2\n{whole},3\n")
    data = tmp_path / "data"
    wanted = [data / "b.jpg", whole, data / "a.jpg"]
    assert labels_of(wanted, table) == ["2", "3", "1"]
    monkeypatch.chdir(data)
    assert labels_of(["b.jpg", b"a.jpg"], "labels.csv") == ["2", "1"]
    monkeypatch.chdir(tmp_path)
    assert labels_of([tmp_path / "a.jpg"], table, root=tmp_path) == ["1"]
    assert labels_of(["a.jpg"], str(table), root=".") == ["1"]
    with pytest.raises(InvalidInputError, match=r"none for 2 of 3 images; the first .*x\.jpg"):
        labels_of([data / "a.jpg", data / "x.jpg", data / "y.jpg"], table)


def test_mappings_and_rules(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert labels_of(["a", "sub/b"], {"a": 1, b"sub/b": "two"}) == [1, "two"]
    assert labels_of([tmp_path / "c"], {Path("c"): 0}) == [0]
    assert labels_of([tmp_path / "c"], {"c": 0}, root=os.fsencode(tmp_path)) == [0]
    assert labels_of(["7.jpg", "95.jpg"], lambda path: int(Path(path).stem) // 90) == [0, 1]
    seen = []
    labels_of(["a/../b"], lambda path: seen.append(path) or 1)
    assert seen == [str(tmp_path / "b")]
    with pytest.raises(InvalidInputError, match="none for 1 of 1"):
        labels_of(["a"], lambda path: None)
    with pytest.raises(ZeroDivisionError):
        labels_of(["a"], lambda path: 1 / 0)
    with pytest.raises(InvalidInputError, match="two: 1 and 2"):
        labels_of(["a"], {"a": 1, "./a": 2})


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_that_are_no_text(tmp_path):
    table = tmp_path / "t.json"
    table.write_text(json.dumps({os.fsdecode(b"\xff.jpg"): "x"}))
    assert labels_of([os.fsencode(tmp_path) + b"/\xff.jpg"], table) == ["x"]


MISTAKES = {
    "paths": (InvalidTypeError, "paths .*'a'", lambda: labels_of("a", "folder")),
    "a path": (InvalidTypeError, r"paths\[1\] must be a path, got 3",
               lambda: labels_of(["a", 3], "folder")),
    "an empty path": (InvalidInputError, r"paths\[0\]: ''", lambda: labels_of([""], "folder")),
    "labels": (InvalidTypeError, "labels must be .*got 3", lambda: labels_of(["a"], 3)),
    "None": (InvalidTypeError, "labels must be .*got None", lambda: labels_of(["a"], None)),
    "a word": (InvalidInputError, "'folders': .* by the word 'folder'",
               lambda: labels_of(["a"], "folders")),
    "a key": (InvalidTypeError, "a key of labels .*got 3", lambda: labels_of(["a"], {3: "a"})),
    "root": (InvalidTypeError, "root .*got 3", lambda: labels_of(["a"], {"a": 1}, root=3)),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_named(name):
    kind, message, call = MISTAKES[name]
    with pytest.raises(kind, match=message):
        call()


def test_long_labels_and_tables_are_refused(tmp_path, monkeypatch):
    for label, words in (("x" * 1001, "longer than 1,000 characters"), ("c\0d", "holds a NUL")):
        (tmp_path / "a.csv").write_text(f"a.jpg,b\nb.jpg,{label}\n")
        with pytest.raises(InvalidInputError, match=rf"line 2: the label of 'b.jpg' .*{words}"):
            read_labels(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text("a.jpg," + "x" * 1000)
    assert len(read_labels(tmp_path / "a.csv")["a.jpg"]) == 1000
    monkeypatch.setattr("imgsim_fast.labels._MOST_BYTES", 1005)
    with pytest.raises(InvalidInputError, match="larger than 1,005 bytes"):
        read_labels(tmp_path / "a.csv")


def test_labels_that_are_arrays_are_passed_on(tmp_path):
    label = np.arange(2)
    assert labels_of(["a"], {"a": label})[0] is label
    with pytest.raises(InvalidInputError, match="two"):
        labels_of(["a"], {"a": label, "./a": np.arange(2)})


@pytest.mark.parametrize("start", ["path;label\n", "\n\n", "a;1\n"])
def test_semicolons_as_some_spreadsheets_write_them(tmp_path, start):
    path = tmp_path / "t.csv"
    path.write_text(f"{start}b c.jpg;2\nd.jpg;x, y\n")
    wanted = {"b c.jpg": "2", "d.jpg": "x, y"}
    assert read_labels(path) == ({"a": "1", **wanted} if start.startswith("a") else wanted)


def test_a_semicolon_in_a_name_is_part_of_it(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a;b.jpg,1\nc;d.jpg,2\n")
    assert read_labels(path) == {"a;b.jpg": "1", "c;d.jpg": "2"}


def test_labels_of_other_files_show_what_they_are_taken_for(tmp_path):
    table = tmp_path / "tables" / "t.csv"
    table.parent.mkdir()
    table.write_text("0.jpg,x\n1.jpg,y\n")
    images = [tmp_path / "photos" / f"{i}.jpg" for i in range(3)]
    for labels, root, top in (
        (table, None, table.parent),
        (table, tmp_path, tmp_path),
        ({"0.jpg": "x"}, None, Path.cwd()),
        ({b"0.jpg": "x"}, tmp_path / "..", tmp_path.parent),
    ):
        with pytest.raises(InvalidInputError) as caught:
            labels_of(images, labels, root=root)
        assert str(caught.value) == (
            f"labels has none for 3 of 3 images; the first without is {str(images[0])!r}; the "
            f"first path of labels, '0.jpg', means {str(top / '0.jpg')!r}: relative paths begin in "
            f"{str(top)!r}"
        )
    for labels in ({}, lambda path: None):
        with pytest.raises(InvalidInputError, match=r"the first without is '.*/photos/0\.jpg'$"):
            labels_of(images, labels)
