"""The whole way on real photographs: folder, index, search, against NumPy and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.distance import cdist

import imgsim_fast as isf

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def corpus(shared_data):
    return shared_data.resolve() / "corel1k"


@pytest.fixture(scope="module")
def index(corpus, tmp_path_factory):
    with isf.Index.create(tmp_path_factory.mktemp("corel") / "index") as made:
        report = made.add(corpus / "images", threads=2)
        assert (report.added, report.skipped) == (900, [])
        yield made


@pytest.fixture(scope="module")
def cdfs(index):
    """Distribution functions of the 900 images by Pillow and NumPy, in the order of the ids."""
    rows = []
    for image in index.images(range(1, 901)):
        with Image.open(image.path) as opened:
            rows.append(np.bincount(np.asarray(opened.convert("L")).ravel(), minlength=256))
    counts = np.array(rows)
    return counts.cumsum(axis=1) / counts.sum(axis=1, keepdims=True)


def test_nothing_is_wrong(index):
    assert index.verify() == []
    assert len(index) == 900


def test_neighbours_are_those_of_a_full_sort(index, corpus, cdfs):
    for number in range(0, 100, 7):
        query = corpus / "queries" / f"{number}.jpg"
        with Image.open(query) as opened:
            counts = np.bincount(np.asarray(opened.convert("L")).ravel(), minlength=256)
        expected = cdist((counts.cumsum() / counts.sum())[None, :], cdfs, "cityblock")[0]
        found = index.search(query, 900)
        np.testing.assert_allclose(found.distances, expected[found.ids - 1], rtol=1e-12)
        assert (np.diff(found.distances) >= 0).all()
        assert len(set(found.ids.tolist())) == 900


def test_an_image_finds_itself_first(index, corpus):
    for number in (0, 123, 899):
        path = corpus / "images" / f"{number}.jpg"
        found = index.search(path, 1)
        assert found.paths == [str(path)]
        assert found.distances[0] == 0
