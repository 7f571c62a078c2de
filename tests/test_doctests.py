"""The examples in docstrings run and show what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import numpy as np
import pytest

import imgsim_fast

MODULES = sorted(
    found.name
    for found in pkgutil.walk_packages(imgsim_fast.__path__, "imgsim_fast.")
    if not found.name.endswith(("._core", ".__main__"))
)

# Functions whose documentation must show an example.
SHOWN = (
    "imgsim_fast.histogram.histogram",
    "imgsim_fast.sparse_histogram.sparse_histogram",
    "imgsim_fast.sparse_histogram.SparseHistogram",
    "imgsim_fast.comparison.compare_histograms",
    "imgsim_fast.wasserstein.wasserstein_1d",
    "imgsim_fast.wasserstein.cdf_vectors",
    "imgsim_fast.transport.emd",
    "imgsim_fast.transport.transport",
    "imgsim_fast.pairwise.cdist",
    "imgsim_fast.knn.knn",
    "imgsim_fast.shards.merge_neighbors",
    "imgsim_fast.barycenter.barycenter_1d",
    "imgsim_fast.barycenter.interpolate_1d",
    "imgsim_fast.color_transfer.match_histograms",
    "imgsim_fast.color_transfer.transfer_color",
    "imgsim_fast.color_transfer.interpolate_images",
    "imgsim_fast.palette.color_palette",
    "imgsim_fast.palette.rgb_to_lab",
    "imgsim_fast.resize.resize_area",
    "imgsim_fast.ssim.structural_similarity",
    "imgsim_fast.ssim.structural_similarities",
    "imgsim_fast.evaluation.rank",
    "imgsim_fast.evaluation.evaluate_ranking",
    "imgsim_fast.evaluation.evaluate_values",
    "imgsim_fast.evaluation.evaluate_labels",
    "imgsim_fast.labels.labels_of",
    "imgsim_fast.sklearn.WassersteinNeighbors",
    "imgsim_fast.sklearn.WassersteinNeighborsClassifier",
    "imgsim_fast.compat.scipy.wasserstein_distance",
    "imgsim_fast.compat.cv2.EMD",
    "imgsim_fast.compat._cv2_histograms.calcHist",
    "imgsim_fast.compat._cv2_histograms.compareHist",
    "imgsim_fast.compat.pot.emd",
    "imgsim_fast.compat.pot.emd2",
    "imgsim_fast.compat.pot.wasserstein_1d",
    "imgsim_fast.compat.pot.emd2_1d",
    "imgsim_fast.compat.pyemd.emd",
    "imgsim_fast.compat.pyemd.emd_with_flow",
    "imgsim_fast.compat.pyemd.emd_samples",
)


def examples_of(name):
    return doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name), name)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runner = doctest.DocTestRunner(
        optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE, verbose=False
    )
    report = []
    with np.printoptions(legacy=False):
        for test in examples_of(name):
            runner.run(test, out=report.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)


@pytest.mark.parametrize("name", SHOWN)
def test_public_functions_show_an_example(name):
    shown = {test.name: len(test.examples) for test in examples_of(name.rpartition(".")[0])}
    assert shown[name] > 0
