"""ONNX encoders: a file of one kilobyte against NumPy, both runtimes, other weights, bad files."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sys

import numpy as np
import pytest
from PIL import Image

import imgsim_fast as isf
from imgsim_fast.errors import (
    IndexMismatchError,
    IndexVersionError,
    InvalidInputError,
    InvalidTypeError,
    MissingExtraError,
)
from imgsim_fast.measures import describe, get_measure
from tests import make_tiny_onnx as tiny


def runtimes():
    """The backends that can be imported here."""
    found = []
    for backend, module in (("onnxruntime", "onnxruntime"), ("opencv", "cv2")):
        try:
            __import__(module)
        except ImportError:
            continue
        found.append(backend)
    return found


RUNTIMES = runtimes()
pytestmark = pytest.mark.skipif(not RUNTIMES, reason="neither ONNX Runtime nor OpenCV")

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def noise(height=16, width=16, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encoder(backend=RUNTIMES[0] if RUNTIMES else "", **options):
    given = {"model": tiny.FILE, "size": 16, "metric": "euclidean", "backend": backend}
    return get_measure("onnx", **{**given, **options})


def vectors(images, mean=MEAN, std=STD, scale=1 / 255):
    return tiny.reference(((np.stack(images) * scale - mean) / std).transpose(0, 3, 1, 2))


def written(path, **options):
    path.write_bytes(tiny.model(**options))
    return path


def test_the_file_is_what_the_script_writes():
    data = tiny.FILE.read_bytes()
    assert data == tiny.model()
    assert len(data) < 1300


def test_the_file_is_sound():
    onnx = pytest.importorskip("onnx")
    onnx.checker.check_model(onnx.load(str(tiny.FILE)), full_check=True)


@pytest.mark.parametrize("backend", RUNTIMES)
def test_vectors_are_those_of_numpy(backend):
    images = [noise(seed=n) for n in range(5)]
    kind = encoder(backend)
    rows = kind.describe_many(images)
    assert kind.row_length == tiny.FILTERS
    assert rows[0].dtype == np.float32
    np.testing.assert_allclose(rows, vectors(images), rtol=2e-6, atol=1e-6)
    for image, row in zip(images, rows, strict=True):
        np.testing.assert_allclose(kind.describe(image), row, rtol=1e-6)
        assert kind.describe(image).tobytes() == kind.describe(image).tobytes()
    cosines = get_measure("onnx", model=tiny.FILE, size=16, backend=backend)
    unit = vectors(images) / np.linalg.norm(vectors(images), axis=1)[:, None]
    assert isf.compare(images[0], images[1], cosines) == pytest.approx(unit[0] @ unit[1], abs=1e-6)
    assert isf.compare(images[0], images[0], cosines) == 1.0


@pytest.mark.parametrize("backend", RUNTIMES)
def test_the_order_of_channels_and_the_normalisation(backend):
    image = noise()
    given = {"mean": [0.1, 0.2, 0.3], "std": (0.5, 1, 2), "scale": 0.01}
    wanted = vectors([image], np.array([0.1, 0.2, 0.3]), np.array([0.5, 1, 2]), 0.01)
    np.testing.assert_allclose([encoder(backend, **given).describe(image)], wanted, rtol=1e-5)
    values = ((image / 255 - MEAN) / STD)[..., ::-1].transpose(2, 0, 1)
    found = encoder(backend, channels="bgr").describe(image)
    np.testing.assert_allclose([found], tiny.reference(values[None]), rtol=1e-5)
    assert np.abs(found - encoder(backend).describe(image)).max() > 0.01


@pytest.mark.parametrize("backend", RUNTIMES)
def test_images_are_upright_and_grey_ones_work(backend, tmp_path):
    pixels = noise(20, 30)
    exif = Image.Exif()
    exif[0x0112] = 8
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    kind = encoder(backend)
    turned = describe(kind, tmp_path / "turned.png")
    np.testing.assert_array_equal(turned, kind.describe(np.rot90(pixels)))
    assert np.abs(turned - kind.describe(pixels)).max() > 1e-3
    grey = pixels[..., 0]
    same = kind.describe(np.repeat(grey[..., None], 3, axis=2))
    np.testing.assert_array_equal(kind.describe(grey), same)
    np.testing.assert_array_equal(kind.describe(Image.fromarray(grey)), same)


@pytest.mark.parametrize("backend", RUNTIMES)
def test_outputs_by_name_and_pooled_maps(backend, tmp_path):
    path = written(tmp_path / "many.onnx", outputs=("pooled", "vector", "relu"))
    wanted = encoder(backend).describe(noise())
    for options in ({}, {"output": "pooled"}, {"output": "vector"}):
        found = encoder(backend, model=path, **options).describe(noise())
        np.testing.assert_allclose(found, wanted, rtol=1e-6)
    with pytest.raises(InvalidInputError, match=r"must have shape \(1, d\).*got \(1, 8, 8, 8\)"):
        encoder(backend, model=path, output="relu").describe(noise())
    with pytest.raises(InvalidInputError, match="output must be one of pooled, vector, relu"):
        encoder(backend, model=path, output="logits")


@pytest.mark.parametrize("backend", RUNTIMES)
def test_damaged_files_are_named(backend, tmp_path):
    data = tiny.model()
    path = tmp_path / "bad.onnx"
    random = np.random.default_rng(0)
    for bad in (b"", b"not a model" * 20, data[:600], random.bytes(3000), data[:-3]):
        path.write_bytes(bad)
        with pytest.raises(InvalidInputError, match=r"bad\.onnx' holds no ONNX model"):
            encoder(backend, model=path)


@pytest.mark.skipif("onnxruntime" not in RUNTIMES, reason="no ONNX Runtime")
@pytest.mark.parametrize("batch", [1, 3, 4])
def test_models_of_a_fixed_size_and_batch(batch, tmp_path):
    path = written(tmp_path / "fixed.onnx", shape=(batch, 3, 16, 20))
    kind = encoder("onnxruntime", model=path, size=None, resize="stretch")
    assert kind.options["size"] == [16, 20]
    images = [noise(16, 20, seed=n) for n in range(7)]
    np.testing.assert_allclose(kind.describe_many(images), vectors(images), rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(kind.describe(images[6]), vectors(images)[6], rtol=2e-6, atol=1e-6)
    with pytest.raises(InvalidInputError, match=r"size must be 16 x 20 .*got 224 x 224"):
        encoder("onnxruntime", model=path, size=224)


@pytest.mark.skipif("onnxruntime" not in RUNTIMES, reason="no ONNX Runtime")
def test_layouts_that_do_not_fit(tmp_path):
    path = written(tmp_path / "other.onnx", shape=("n", 16, 16, 3))
    with pytest.raises(InvalidInputError, match=r"layout 'nchw' does not fit.*16 channels"):
        encoder("onnxruntime", model=path)
    with pytest.raises(InvalidInputError, match=r"layout 'nhwc' does not fit.*would have"):
        encoder("onnxruntime", model=written(path, shape=("n", 3, 16, 16)), layout="nhwc")


def test_weights_in_other_files_are_refused(tmp_path):
    onnx = pytest.importorskip("onnx")
    path = tmp_path / "apart.onnx"
    onnx.save(onnx.load(str(tiny.FILE)), str(path), save_as_external_data=True, size_threshold=0,
              location="apart.bin")  # fmt: skip
    with pytest.raises(InvalidInputError, match=r"apart\.onnx' keeps weights in other files"):
        encoder(model=path)


def test_paths_that_are_no_files(tmp_path):
    for path in (tmp_path / "missing.onnx", tmp_path, b"missing.onnx", "x\0y"):
        with pytest.raises(InvalidInputError, match=r"model"):
            encoder(model=path)
    with pytest.raises(InvalidInputError, match="needs model=, the path of an ONNX file"):
        get_measure("onnx")
    with pytest.raises(InvalidTypeError, match="model must be the path of a file, got 3"):
        encoder(model=3)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(InvalidInputError, match="is no regular file"):
            encoder(model=tmp_path / "pipe")


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"mean": [1, 2]}, InvalidInputError, "mean must be three numbers"),
        ({"mean": "abc"}, InvalidTypeError, "mean must be numbers, got 'abc'"),
        ({"mean": [1, 2, float("nan")]}, InvalidInputError, "mean must be three finite numbers"),
        ({"std": [1, 0, 1]}, InvalidInputError, "std must not be 0"),
        ({"scale": "x"}, InvalidTypeError, "scale must be numbers"),
        ({"scale": [1, 2]}, InvalidInputError, "scale must be a finite number"),
        ({"channels": "xyz"}, InvalidInputError, "channels must be one of rgb, bgr, got 'xyz'"),
        ({"layout": "chw"}, InvalidInputError, "layout must be one of nchw, nhwc"),
        ({"backend": "tensorrt"}, InvalidInputError, "backend must be one of auto, onnxruntime"),
        ({"resize": None}, InvalidInputError, "resize must be one of crop, stretch, got None"),
        ({"output": 3}, InvalidTypeError, "output must be a name, got 3"),
        ({"sha256": "123"}, InvalidInputError, "sha256 must be 8 to 64 hexadecimal digits"),
        ({"sha256": 12345678}, InvalidTypeError, "sha256 must be text"),
        ({"sha256": "0" * 64}, InvalidInputError, r"tiny\.onnx' has the SHA-256 .*, not 000"),
    ],
)
def test_bad_options(options, error, words):
    with pytest.raises(error, match=words):
        encoder(**options)


def test_options_are_plain_json_with_the_hash_of_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tiny.FILE.parent)
    digest = hashlib.sha256(tiny.FILE.read_bytes()).hexdigest()
    kind = encoder(model="tiny.onnx", sha256=digest[:8].upper())
    options = json.loads(json.dumps(dict(kind.options)))
    assert options["model"] == str(tiny.FILE)
    assert options["sha256"] == digest
    monkeypatch.chdir(tmp_path)
    assert dict(get_measure("onnx", **options).options) == options


def test_an_index_keeps_to_its_weights(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(20):
        Image.fromarray(noise(10 + number, 20, seed=number)).save(folder / f"{number:02d}.png")
    path = written(tmp_path / "model.onnx")
    for threads in (1, 2):
        with isf.Index.create(tmp_path / f"index{threads}", "onnx", model=path, size=16) as index:
            assert index.add(folder, threads=threads).added == 20
            assert index.verify() == []
    with isf.Index.open(tmp_path / "index1") as one, isf.Index.open(tmp_path / "index2") as two:
        for index in (one, two):
            found = index.search(folder / "07.png", 5)
            assert found.paths[0] == str(folder / "07.png")
            assert found.distances[0] == 1.0
    other = written(tmp_path / "other.onnx", scale=2.0)
    with pytest.raises(IndexMismatchError, match=r"was made with .*sha256="):
        isf.Index.open(tmp_path / "index1", get_measure("onnx", model=other, size=16))
    written(path, scale=0.5)
    with pytest.raises(IndexVersionError, match=r"model\.onnx' has the SHA-256 .*other weights"):
        isf.Index.open(tmp_path / "index1")
    path.unlink()
    with pytest.raises(IndexVersionError, match=r"model\.onnx' does not exist"):
        isf.Index.open(tmp_path / "index1")


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"pip install \"imgsim_fast\[onnx\]\""):
        encoder("onnxruntime")
    if "opencv" in RUNTIMES:  # takes its place
        found = encoder("auto").describe(noise())
        assert found.tobytes() == encoder("opencv").describe(noise()).tobytes()
    monkeypatch.setitem(sys.modules, "cv2", None)
    for backend in ("auto", "opencv"):
        with pytest.raises(MissingExtraError, match=r"imgsim_fast\[onnx\]"):
            encoder(backend)


def test_a_model_without_an_output_is_none(tmp_path):
    """Three bytes of a good file changed: ONNX Runtime loads it all the same."""
    data = base64.b64decode(
        "CAg6SQoPCgF4EgF5IgdGbGF0dGVuEgFnWhwKAXgSFwoVCAESEQoDEgFuCgIIAwoCCAgKAggIaRUKAXkSEBwOCAES"
        "CgoDEgFuugMIwAFCBAoAEA0="
    )
    (tmp_path / "model.onnx").write_bytes(data)
    with pytest.raises(InvalidInputError, match=r"model\.onnx' (has no output|holds no ONNX)"):
        get_measure("onnx", model=tmp_path / "model.onnx", backend="onnxruntime")
