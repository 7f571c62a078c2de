"""Folders: building an index of photographs, and whole processes."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

import imgsim_fast as isf
from benchmarks.case import Case, contender_ids
from benchmarks.peers import SHARED_DATA

CORPUS = SHARED_DATA / "corel1k"
_SCRATCH = tempfile.TemporaryDirectory(prefix="imgsim-bench-")  # gone when the process ends


def _build() -> Case:
    files = sorted(CORPUS.glob("*/*.jpg"))
    scratch = Path(_SCRATCH.name, "built")

    def index() -> isf.Index:
        shutil.rmtree(scratch, ignore_errors=True)
        store = isf.Index.create(scratch)
        store.add(CORPUS, threads=2)
        return store

    def decode(file: Path) -> None:
        with Image.open(file) as image:
            image.load()

    def pillow() -> None:
        with ThreadPoolExecutor(2) as pool:
            for _ in pool.map(decode, files):
                pass

    def check() -> None:
        with index() as store:
            assert len(store) == len(files) == 1000
            assert store.verify() == []
            assert store.search(files[7], 1).paths == [str(files[7])]

    return Case(
        "index 1,000 JPEGs, 2 threads",
        lambda: index().close(),
        check,
        peers={"only decoding them, Pillow, 2 threads": pillow},
        within={"only decoding them, Pillow, 2 threads": 1.15},
        rounds=15,
    )


def _run(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)


def _import() -> Case:
    return Case(
        "import imgsim_fast beyond import numpy",
        lambda: _run("-c", "import numpy, imgsim_fast"),
        lambda: None,
        peers={"import numpy": lambda: _run("-c", "import numpy")},
        seconds=0.040,
        extra=True,
        rounds=15,
    )


def _search_process() -> Case:
    folder = Path(_SCRATCH.name, "searched")
    query = str(CORPUS / "queries" / "0.jpg")

    def check() -> None:
        with isf.Index.create(folder) as store:
            store.add(CORPUS)
        found = subprocess.run(
            [sys.executable, "-m", "imgsim_fast", "search", query, str(folder), "-k", "1"],
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        assert "queries/0.jpg" in found

    return Case(
        "imgsim search, whole process, 1,000-image index",
        lambda: _run("-m", "imgsim_fast", "search", query, str(folder)),
        check,
        seconds=0.35,
        rounds=15,
    )


CASES = [_build(), _import(), _search_process()] if CORPUS.is_dir() else [_import()]


@pytest.mark.parametrize(("case", "contender"), contender_ids(CASES))
def test_index(benchmark, case, contender):
    case.check()
    benchmark.pedantic(case.contenders[contender], rounds=3)
