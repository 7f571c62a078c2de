"""What is imported when: whoever only has arrays waits for NumPy and the core, for nothing else."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("PIL", "sqlite3", "click", "rich", "jinja2", "cv2", "scipy", "ot", "concurrent.futures",
         "onnxruntime", "torch", "open_clip", "imgsim_fast.measures.embedding")  # fmt: skip

_LIST = "import json, sys; print(json.dumps(sorted(sys.modules)))"


def imported_by(code):
    """Top-level names and modules in a new process after running the code."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{_LIST}"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_the_package_imports_nothing_heavy():
    modules = imported_by("import imgsim_fast")
    assert "imgsim_fast._core" in modules
    assert modules.isdisjoint(HEAVY)


def test_using_arrays_imports_nothing_heavy():
    modules = imported_by(
        "import numpy as np, imgsim_fast as isf\n"
        "isf.wasserstein_1d([1, 2], [2, 1]); isf.knn(np.eye(3), np.eye(3), k=2)\n"
        "isf.histogram(np.zeros((3, 3), np.uint8)); isf.errors; isf.compat.scipy; dir(isf)"
    )
    assert modules.isdisjoint(HEAVY)


def test_array_comparison_needs_no_sqlite_and_no_decoder():
    modules = imported_by(
        "import numpy as np, imgsim_fast as isf\n"
        "isf.compare(np.zeros((3, 3), np.uint8), np.ones((3, 3), np.uint8))"
    )
    assert modules.isdisjoint({"sqlite3", "jinja2", "rich", "click", "PIL", "cv2"})


_COMMAND = """
import sys
from imgsim_fast.cli import main
sys.argv = ["imgsim", *{arguments}]
try:
    main()
except SystemExit as done:
    assert not done.code, done.code
"""


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["index", "--help"]])
def test_version_and_help_are_quick(arguments):
    modules = imported_by(_COMMAND.format(arguments=arguments))
    assert "click" in modules
    assert modules.isdisjoint({"PIL", "jinja2", "rich", "cv2", "sqlite3"})


def test_comparing_two_files_imports_no_report(tmp_path):
    from PIL import Image

    path = str(tmp_path / "a.png")
    Image.new("L", (3, 3)).save(path)
    modules = imported_by(_COMMAND.format(arguments=["compare", path, path]))
    assert "PIL.Image" in modules
    assert modules.isdisjoint({"jinja2", "rich", "cv2", "sqlite3"})
