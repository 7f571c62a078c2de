"""The documented examples run and give the right answer."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

import imgsim_fast as isf

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "nearest_by_wasserstein.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("nearest_by_wasserstein", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_worked_example_agrees_with_scipy(example):
    query, images = example.draw()
    assert len(images) == 1000
    bins = np.arange(10)
    hist = np.histogram(query, bins=10, range=(0, 255), density=True)[0]
    distances = [
        wasserstein_distance(
            bins, bins, hist, np.histogram(image, bins=10, range=(0, 255), density=True)[0]
        )
        for image in images
    ]
    assert example.nearest_by_loop(query, images) == np.argmin(distances)
    assert example.nearest_at_once(query, images) == np.argmin(distances)
    found = isf.knn(hist, isf.histograms(images, bins=10, range=(0, 255)), k=1000)
    np.testing.assert_allclose(
        found.distances, np.array(distances)[found.indices], rtol=1e-11, atol=1e-12
    )


def test_worked_example_runs_as_a_program():
    done = subprocess.run([sys.executable, EXAMPLE], capture_output=True, text=True, check=True)
    answers = re.findall(r"image_(\d+)\.png", done.stdout)
    assert len(answers) == 2
    assert answers[0] == answers[1]


def test_worked_example_reads_a_folder(example, tmp_path):
    from PIL import Image

    query, images = example.draw()
    Image.fromarray(query).save(tmp_path / "query_image.png")
    for i, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"image_{i}.png", compress_level=1)
    again, read = example.read(tmp_path)
    assert (again == query).all()
    assert all((a == b).all() for a, b in zip(read, images, strict=True))


@pytest.mark.parametrize("part", [[], ["1"], ["0"]])
def test_transfer_of_colors_writes_a_picture(part, tmp_path):
    from PIL import Image

    rng = np.random.default_rng(0)
    image = rng.integers(0, 90, (24, 32, 3), dtype=np.uint8)
    reference = rng.integers(120, 256, (16, 20, 3), dtype=np.uint8)
    names = [str(tmp_path / name) for name in ("a.png", "b.png", "c.png")]
    for name, pixels in zip(names, (image, reference), strict=False):
        Image.fromarray(pixels).save(name)
    program = ROOT / "examples" / "transfer_colors.py"
    done = subprocess.run(
        [sys.executable, program, *names, *part], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert [line.split(":")[0].strip() for line in lines] == ["image", "reference", "result"]
    assert all(len(re.findall(r"\d+% #[0-9a-f]{6}", line)) == 5 for line in lines)
    expected = image if part == ["0"] else isf.transfer_color(image, reference)
    assert (isf.decode(names[2], mode="rgb") == expected).all()


def test_transfer_of_colors_says_how_it_is_used():
    program = ROOT / "examples" / "transfer_colors.py"
    for arguments in ([], ["a.png"], ["a", "b", "c", "1", "e"]):
        done = subprocess.run([sys.executable, program, *arguments], capture_output=True, text=True)
        assert done.returncode == 1
        assert "IMAGE REFERENCE RESULT [PART]" in done.stderr
        assert "Traceback" not in done.stderr


def _python_blocks(page):
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)


PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_in_the_pages_runs(page, tmp_path, monkeypatch):
    """Blocks of one page run in order, in one namespace, beside a folder of photos."""
    blocks = _python_blocks(page)
    if not blocks:
        assert "```python" not in page.read_text()
        return
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    Path("photos").mkdir()
    for i in range(12):
        pixels = rng.integers(0, 20 * (i + 1), (24, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(f"photos/{i}.png")
    for name in ("query.jpg", "photo.jpg", "a.jpg", "b.jpg"):
        Image.fromarray(rng.integers(0, 200, (24, 32, 3), dtype=np.uint8)).save(name)
    Image.fromarray(rng.integers(0, 255, (8, 8, 4), dtype=np.uint8), "RGBA").save("logo.png")
    names = {"data": Path("photo.jpg").read_bytes(), "np": np}
    for block in blocks:
        exec(compile(block, str(page), "exec"), names)
