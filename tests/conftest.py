"""Fixtures that all tests share, and the hypothesis profile."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from PIL import Image

from imgsim_fast import _core
from imgsim_fast.report import write_text_atomically
from tests.cli_tools import runner
from tests.clip_tools import import_open_clip, save_tiny_model
from tests.index_tools import write

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As behind `nohup ... &`: the children, which are to be interrupted, would ignore it as well.
    signal.signal(signal.SIGINT, signal.default_int_handler)

hypothesis.settings.register_profile(
    "imgsim", deadline=None, derandomize=bool(os.environ.get("CI")), max_examples=60
)
hypothesis.settings.load_profile("imgsim")


@pytest.fixture(scope="session")
def shared_data():
    """Folder of the image collections: ../shared/data, or wherever IMGSIM_FAST_DATA says."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("IMGSIM_FAST_DATA") or beside)
    if not folder.is_dir():
        missing = f"the image collections are not in {folder} (set IMGSIM_FAST_DATA)"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return folder


@pytest.fixture(params=_core.available_isas())
def isa(request):
    """Each instruction set this machine can run, one after the other; then the one before."""
    before = _core.active_isa()
    _core.set_isa(request.param)
    yield request.param
    _core.set_isa(before)


@pytest.fixture
def eager_threads():
    """Threads are started for however little work."""
    before = _core.set_thread_worth(1.0)
    yield
    _core.set_thread_worth(before)


@pytest.fixture
def folder(tmp_path):
    """Forty images, of which the ten last repeat the ten first."""
    top = tmp_path / "photos"
    top.mkdir()
    for number in range(40):
        write(top / f"{number:03d}.png", number % 30)
    return top


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a command in this process."""
    return runner(monkeypatch, capsys)


@pytest.fixture(scope="session")
def open_clip():
    """Package of CLIP models, where it is installed."""
    return import_open_clip()


@pytest.fixture(scope="session")
def checkpoint(open_clip, tmp_path_factory):
    """File with the weights of a tiny CLIP model."""
    return save_tiny_model(open_clip, tmp_path_factory.mktemp("clip"))


# Under load a headless browser may save a picture before the last rows of its window are painted.
_UNPAINTED = 500


@pytest.fixture(scope="session")
def screenshot(tmp_path_factory):
    """Show a page in a headless browser; gives its pixels."""
    chromium = os.environ.get("IMGSIM_FAST_CHROMIUM") or shutil.which("chromium")
    if not chromium:
        if os.environ.get("CI"):
            pytest.fail("no Chromium for the screenshot of the report")
        pytest.skip("no Chromium (set IMGSIM_FAST_CHROMIUM)")

    def take(text: str, width: int, height: int, *, dark: bool = False) -> np.ndarray:
        folder = tmp_path_factory.mktemp("chromium")
        write_text_atomically(folder / "r.html", text)
        command = [
            *(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
            *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
            *("--disable-sync", "--hide-scrollbars", "--force-device-scale-factor=1"),
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            f"--window-size={width},{height + _UNPAINTED}",
            f"--user-data-dir={folder / 'profile'}",
            f"--screenshot={folder / 'shot.png'}",
            f"file://{folder / 'r.html'}",
        ]
        subprocess.run(command, check=True, timeout=60, capture_output=True)
        shutil.rmtree(folder / "profile", ignore_errors=True)
        with Image.open(folder / "shot.png") as shot:
            return np.asarray(shot.convert("RGB"))[:height]

    return take
