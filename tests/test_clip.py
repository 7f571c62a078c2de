"""CLIP: a tiny model with random weights through open_clip, and what is said without it."""

from __future__ import annotations

import hashlib
import importlib
import json
import sys

import numpy as np
import pytest
from PIL import Image

import imgsim_fast as isf
from imgsim_fast.errors import (
    IndexMismatchError,
    InvalidInputError,
    InvalidTypeError,
    MissingExtraError,
)
from imgsim_fast.measures import describe, get_measure
from tests.clip_tools import NAME

MEAN = np.array([0.48145466, 0.4578275, 0.40821073])
STD = np.array([0.26862954, 0.26130258, 0.27577711])


def noise(height=40, width=50, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def clip(checkpoint):
    return get_measure("clip", model=NAME, checkpoint=checkpoint)


# ---- with a model ------------------------------------------------------------------------------


def test_vectors_are_those_of_the_model(clip, checkpoint, open_clip):
    """RGB, the model's preprocessing by hand, evaluation mode: patch dropout would change it."""
    torch = importlib.import_module("torch")
    whole = open_clip.create_model(NAME, pretrained=str(checkpoint)).eval()
    images = [noise(32, 32, seed=n) for n in range(3)]
    batch = ((np.stack(images) / 255 - MEAN) / STD).transpose(0, 3, 1, 2)
    with torch.no_grad():
        wanted = whole.encode_image(torch.tensor(batch, dtype=torch.float32)).numpy()
    rows = clip.describe_many(images)
    unit = wanted / np.linalg.norm(wanted, axis=1)[:, None]
    np.testing.assert_allclose(rows, unit, atol=2e-6)
    for image, row in zip(images, rows, strict=True):
        np.testing.assert_allclose(clip.describe(image), row, atol=2e-6)
    assert clip.describe(images[0]).tobytes() == clip.describe(images[0]).tobytes()
    assert np.abs(clip.describe(images[0][..., ::-1]) - rows[0]).max() > 1e-3  # BGR is not RGB
    assert isf.compare(*images[:2], clip) == pytest.approx(unit[0] @ unit[1], abs=2e-6)
    assert isf.compare(images[0], images[0], clip) == 1.0
    assert clip.row_length == 16


def test_images_are_upright_and_grey_ones_work(clip, tmp_path):
    pixels = noise()
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    turned = describe(clip, tmp_path / "turned.png")
    np.testing.assert_array_equal(turned, clip.describe(pixels[::-1, ::-1]))
    grey = np.repeat(pixels[..., :1], 3, axis=2)
    np.testing.assert_array_equal(clip.describe(pixels[..., 0]), clip.describe(grey))


def test_an_index_by_clip(clip, checkpoint, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(20):
        Image.fromarray(noise(seed=number)).save(folder / f"{number:02d}.png")
    options = {"model": NAME, "checkpoint": checkpoint}
    with isf.Index.create(tmp_path / "index", "clip", **options) as index:
        assert index.add(folder, threads=2).added == 20
    with isf.Index.open(tmp_path / "index") as index:
        found = index.search(folder / "11.png", 3)
        assert found.paths[0] == str(folder / "11.png")
        assert found.distances[0] == pytest.approx(1, abs=1e-6)
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert json.loads(json.dumps(dict(clip.options))) == {
        "model": NAME, "checkpoint": str(checkpoint), "sha256": digest, "metric": "cosine",
        "normalize": False,
    }  # fmt: skip
    torch = importlib.import_module("torch")
    state = torch.load(checkpoint, weights_only=True)
    state["visual.proj"] = state["visual.proj"] * 2
    torch.save(state, tmp_path / "other.pt")
    other = get_measure("clip", model=NAME, checkpoint=tmp_path / "other.pt")
    with pytest.raises(IndexMismatchError, match="sha256="):
        isf.Index.open(tmp_path / "index", other)


def test_bad_checkpoints_and_models_are_named(checkpoint, tmp_path):
    torch = importlib.import_module("torch")
    torch.save({"some": torch.zeros(3)}, tmp_path / "other.pt")
    torch.save({"some": importlib.import_module("pathlib").Path()}, tmp_path / "code.pt")
    (tmp_path / "junk.pt").write_bytes(b"junk")
    (tmp_path / "empty.pt").touch()
    (tmp_path / "half.pt").write_bytes(checkpoint.read_bytes()[:9999])
    for name in ("other.pt", "code.pt", "junk.pt", "empty.pt", "half.pt"):
        with pytest.raises(InvalidInputError, match=rf"{name}' holds no weights of '{NAME}'"):
            get_measure("clip", model=NAME, checkpoint=tmp_path / name)
    for name in ("nope", "hf-hub:some/body", f"local-dir:{tmp_path}"):
        with pytest.raises(InvalidInputError, match=r"model must be one of open_clip.list_models"):
            get_measure("clip", model=name, checkpoint=checkpoint)


# ---- without -----------------------------------------------------------------------------------


def test_a_missing_checkpoint_says_what_to_download(tmp_path):
    for options in ({}, {"checkpoint": tmp_path / "none.pt"}, {"checkpoint": tmp_path}):
        with pytest.raises(
            InvalidInputError,
            match=r"checkpoint.*/v0.2-weights/vit_b_16_plus_240-laion400m_e32-699c4b84\.pt "
            r"\(its SHA-256 begins with 699c4b84\)",
        ):
            get_measure("clip", **options)
    with pytest.raises(
        InvalidInputError, match=r"needs checkpoint=, the file.*of ViT-B-32 \(.*=FILE\)$"
    ):
        get_measure("clip", model="ViT-B-32")


def test_weights_are_checked_before_anything_heavy_is_imported(tmp_path):
    path = tmp_path / "vit_b_16_plus_240-laion400m_e32-699c4b84.pt"
    path.write_bytes(b"half a download")
    with pytest.raises(InvalidInputError, match=r"has the SHA-256 [0-9a-f]{64}, not 699c4b84"):
        get_measure("clip", checkpoint=path)
    path = path.rename(tmp_path / "weights.pt")
    with pytest.raises(InvalidInputError, match="not 0123abcd: other weights, or damaged"):
        get_measure("clip", checkpoint=path, sha256="0123abcd")
    for bad, error in (("xyz", InvalidInputError), (5, InvalidTypeError)):
        with pytest.raises(error, match="sha256 must be"):
            get_measure("clip", checkpoint=path, sha256=bad)
    with pytest.raises(InvalidTypeError, match="model must be a name, got 5"):
        get_measure("clip", model=5, checkpoint=path)
    with pytest.raises(InvalidInputError, match="metric must be one of"):
        get_measure("clip", metric="angle", checkpoint=path)


@pytest.mark.parametrize("module", ["torch", "open_clip"])
def test_missing_packages_are_named(module, tmp_path, monkeypatch):
    path = tmp_path / "weights.pt"
    path.touch()
    monkeypatch.setitem(sys.modules, "torch", type(sys)("torch"))
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"needs {module}: pip install .imgsim_fast\[clip"):
        get_measure("clip", checkpoint=path)


def test_a_torchvision_for_another_torch_is_a_missing_package(tmp_path, monkeypatch):
    (tmp_path / "open_clip.py").write_text(
        'raise RuntimeError("operator torchvision::nms does not exist")'
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "open_clip", raising=False)
    monkeypatch.setitem(sys.modules, "torch", type(sys)("torch"))
    with pytest.raises(MissingExtraError, match="operator torchvision::nms does not exist"):
        get_measure("clip", checkpoint=tmp_path / "open_clip.py")
