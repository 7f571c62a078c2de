"""What the tests of the command line share."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
from PIL import Image

from imgsim_fast import cli

# As the script of that name would; `main` turns errors into exit codes.
COMMAND = [sys.executable, "-m", "imgsim_fast"]
COMMANDS = [
    "index", "search", "compare", "duplicates", "evaluate", "stats", "verify", "demo",
]  # fmt: skip


def process(*arguments, environment=None, **options):
    """Run the real thing; decodes nothing, because names may be no text."""
    return subprocess.run(
        [*COMMAND, *map(os.fsencode, arguments)],
        capture_output=True, timeout=60, env=environment, **options,
    )  # fmt: skip


class Result:
    """Exit code and texts of a run in this process."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def json(self):
        return json.loads(self.out)


def runner(monkeypatch, capsys):
    """Run commands in this process, by the same way as the script: quick, but not isolated."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["imgsim", *map(os.fspath, map(str, arguments))])
        capsys.readouterr()
        code = cli._run()
        out, err = capsys.readouterr()
        return Result(code, out, err)

    return call


def write(path, seed):
    rng = np.random.default_rng(seed)
    low = int(rng.integers(0, 200))
    Image.fromarray(rng.integers(low, low + 56, (5, 6), dtype=np.uint8)).save(path, "PNG")


def photos(tmp_path, monkeypatch):
    """Twenty images, in the working directory."""
    top = tmp_path / "photos"
    top.mkdir()
    for number in range(20):
        write(top / f"{number:03d}.png", number)
    monkeypatch.chdir(tmp_path)
    return top


def control_characters(text):
    return [character for character in text if ord(character) < 32 and character not in "\n"]
