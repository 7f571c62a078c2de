"""Fixtures that all tests share, and the hypothesis profile."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

from imgsim_fast import _core
from tests.index_tools import write

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
def folder(tmp_path):
    """Forty images, of which the ten last repeat the ten first."""
    top = tmp_path / "photos"
    top.mkdir()
    for number in range(40):
        write(top / f"{number:03d}.png", number % 30)
    return top
