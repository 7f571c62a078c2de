"""Every registered measure, in everything that takes a measure: `compare`, an index, a report."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

import imgsim_fast as isf
from imgsim_fast.errors import (
    ImgsimError,
    IndexMismatchError,
    IndexVersionError,
    UnusableMeasureError,
)
from imgsim_fast.measures import get_measure
from imgsim_fast.measures.base import rank
from imgsim_fast.report import comparison_page, search_page
from imgsim_fast.rows import as_rows
from tests.clip_tools import NAME as CLIP

# What a measure needs besides its name.
NEEDED = {"onnx": {"model": str(Path(__file__).parent / "data" / "tiny.onnx"), "size": 32}}
NAMES = list(isf.measures())


@pytest.fixture(params=NAMES)
def named(request):
    """Name of each measure, and what it needs besides."""
    if request.param == "clip":
        checkpoint = request.getfixturevalue("checkpoint")  # skips where there is no open_clip
        return "clip", {"model": CLIP, "checkpoint": str(checkpoint)}
    return request.param, NEEDED.get(request.param, {})


@pytest.fixture
def kind(named):
    """Each measure; those that this machine has no means for say so in a typed error."""
    name, options = named
    try:
        return get_measure(name, **options)
    except UnusableMeasureError as error:
        assert name in ("surf", "sift", "orb", "onnx")
        pytest.skip(str(error))


def scene(seed, size=(160, 120)):
    """A picture with colours, edges and corners, which keypoints and structure can find."""
    random = np.random.default_rng(seed)
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[:] = random.integers(0, 200, 3)
    for _ in range(24):
        x, y = random.integers(0, size[0] - 12), random.integers(0, size[1] - 12)
        w, h = random.integers(8, 50, 2)
        pixels[y : y + h, x : x + w] = random.integers(0, 256, 3)
    image = Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(0.7))
    noise = random.integers(-6, 7, pixels.shape)
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve scenes; number 3 is saved a second time, as a JPEG."""
    folder = tmp_path_factory.mktemp("scenes")
    for number in range(12):
        size = (180, 140) if number % 3 == 0 else (160, 120)
        scene(number, size).save(folder / f"{number:02d}.png")
    scene(3, (180, 140)).save(folder / "twin-of-03.jpg", quality=92)
    return folder


def test_the_registry_names_what_the_issue_names():
    assert {
        "wasserstein", "emd", "correlation", "chi2", "chi2-alt", "intersection", "bhattacharyya",
        "kl", "ssim", "sift", "orb", "surf", "onnx", "clip",
    } <= set(NAMES)  # fmt: skip
    assert all(line and "\n" not in line for line in isf.measures().values())


def test_options_are_plain_json_and_make_the_same_measure_again(kind):
    text = json.dumps(dict(kind.options))
    again = get_measure(kind.name, **json.loads(text))
    assert json.dumps(dict(again.options)) == text
    assert set(kind.options) == set(kind.option_names())


def test_descriptors_are_rows_of_the_type_said(kind):
    for image in (scene(1), np.asarray(scene(1)), scene(1).convert("L")):
        row = kind.describe(image)
        assert row.ndim == 1
        assert row.dtype == kind.row_dtype
        assert kind.row_length in (None, len(row))
        rows = as_rows([row, row], kind.row_dtype, kind.row_length)
        assert kind.first_bad(rows) is None
    assert (kind.describe(scene(1)) == kind.describe(np.asarray(scene(1)))).all()


def test_an_image_is_as_good_as_can_be_for_itself(kind):
    rows = [kind.describe(scene(seed)) for seed in range(6)]
    values = kind.values(rows[0], as_rows(rows, kind.row_dtype, kind.row_length), 1)
    assert values.dtype == np.float64
    assert np.isfinite(values).all()
    assert kind.best == (1.0 if kind.higher_is_better else 0.0)
    best = kind.best
    assert values[0] == pytest.approx(best, abs=1e-6)
    worse = values[1:] <= values[0] if kind.higher_is_better else values[1:] >= values[0]
    assert worse.all()
    least, most = kind.value_range
    assert ((values >= least - 1e-9) & (values <= most + 1e-9)).all()


@pytest.mark.parametrize("threads", [2, 3, 7])
def test_threads_do_not_change_a_bit(kind, threads):
    rows = as_rows(
        [kind.describe(scene(seed)) for seed in range(9)], kind.row_dtype, kind.row_length
    )
    one = kind.values(rows[4], rows, 1)
    assert (kind.values(rows[4], rows, threads) == one).all()
    alone = [kind.compare(rows[4], row) for row in rows]
    assert alone == pytest.approx(one.tolist(), abs=1e-12)
    for k in (1, 4, 9):
        found = kind.nearest(rows[4], rows, None, k, threads)
        wanted = rank(one, None, k, higher_is_better=kind.higher_is_better)
        assert (found.indices == wanted).all()
        assert (found.distances == one[wanted]).all()


def test_images_that_have_nothing_are_compared_or_refused_in_words(kind):
    """One colour, one pixel, a line: a finite number, or an error that names the reason."""
    plain = [np.full((30, 40, 3), level, np.uint8) for level in (0, 128, 255)]
    tiny = [np.zeros((1, 1), np.uint8), np.zeros((1, 50), np.uint8), np.zeros((50, 2, 3), np.uint8)]
    refused = []
    for image in plain + tiny:
        try:
            row = kind.describe(image)
        except ImgsimError:
            refused.append(image.shape)
            continue
        for other in (scene(1), plain[1]):
            assert np.isfinite(kind.compare(row, kind.describe(other)))
            assert np.isfinite(kind.compare(kind.describe(other), row))
        assert kind.compare(row, row) == kind.compare(row, row)
    assert set(refused) <= {image.shape for image in tiny}


def test_compare_takes_files_bytes_and_arrays(kind, named, folder):
    name, options = named
    first, second = folder / "01.png", folder / "03.png"
    value = isf.compare(first, second, name, **options)
    assert value == isf.compare(first.read_bytes(), str(second), kind)
    assert value == isf.compare(np.asarray(Image.open(first)), Image.open(second), kind)


def test_an_index_ranks_as_comparing_does(kind, named, folder, tmp_path):
    name, options = named
    with isf.Index.create(tmp_path / "index", name, **options) as index:
        report = index.add(folder, threads=2)
        assert (report.added, report.skipped) == (13, [])
        assert index.verify() == []
    with isf.Index.open(tmp_path / "index") as index:
        query = folder / "03.png"
        found = index.search(query, 13)
        assert found.paths[0] == str(query)
        assert found.paths[1] == str(folder / "twin-of-03.jpg")
        values = [isf.compare(query, path, kind) for path in found.paths]
        assert values == pytest.approx(found.distances.tolist(), abs=1e-6)
        steps = np.diff(found.distances)
        assert (steps <= 0).all() if kind.higher_is_better else (steps >= 0).all()
        limit = float(found.distances[5])
        inside = index.range_search(query, limit)
        assert inside.ids[:6].tolist() == found.ids[:6].tolist()


def test_it_ranks_again_what_another_chose_and_is_ranked_again(kind, folder, tmp_path):
    query = folder / "03.png"
    with isf.Index.create(tmp_path / "plain", bins=16) as index:
        index.add(folder)
        found = index.search(query, 5, rerank=kind, threads=2)
        assert found.paths[:2] == [str(query), str(folder / "twin-of-03.jpg")]
        values = [isf.compare(query, path, kind) for path in found.paths]
        assert values == pytest.approx(found.distances.tolist(), abs=1e-6)
    with isf.Index.create(tmp_path / "own", kind) as index:
        index.add(folder)
        again = index.search(query, 3, rerank="wasserstein", candidates=5)
        assert set(again.paths) <= set(index.search(query, 5).paths)
        page = search_page(
            index, str(query), again, source=str(folder), seconds=0,
            rerank=get_measure("wasserstein"), candidates=5,
        )  # fmt: skip
        assert page.count("<article") == 3


def test_it_finds_and_confirms_duplicates(kind, folder, tmp_path):
    twins = [str(folder / "03.png"), str(folder / "twin-of-03.jpg")]
    slack = -1e-9 if kind.higher_is_better else 1e-9
    threshold = isf.compare(*twins, kind) + slack
    with isf.Index.create(tmp_path / "index", kind) as index:
        index.add(folder)
        found = index.duplicates(threshold, threads=2)
        assert any(set(twins) <= set(group.paths) for group in found.groups)
        confirmed = index.duplicates(threshold, confirm=kind, confirm_threshold=threshold)
        assert as_pairs(confirmed, "confirmed") == pytest.approx(as_pairs(found, "value"), abs=1e-9)


def as_pairs(found, which):
    return {
        (group.paths[pair.first], group.paths[pair.second]): getattr(pair, which)
        for group in found.groups
        for pair in group.pairs
    }


def test_it_can_be_evaluated(kind, folder, tmp_path):
    with isf.Index.create(tmp_path / "index", kind) as index:
        index.add(folder)
        labels = {image.path: "03" in image.path for image in index.images(range(1, 14))}
        found = isf.evaluate(index, labels, k=1)
        assert found.measure == kind.name
        at = np.flatnonzero(list(labels.values()))
        assert found.scores.precision_of[at, 0].tolist() == [1, 1]  # each twin finds the other


def test_the_command_line_takes_it(kind, named, folder, tmp_path, run):
    options = [f"--option={option}={value}" for option, value in named[1].items()]
    pair = (folder / "01.png", folder / "02.png")
    shown = run("compare", *pair, "--measure", kind.name, *options, "--json").json
    assert shown["value"] == isf.compare(*pair, kind)
    assert shown["higher_is_better"] == kind.higher_is_better
    where = tmp_path / "index"
    done = run("index", folder, "--index", where, "--measure", kind.name, *options)
    assert done.code == 0, done.err
    matches = run("search", folder / "05.png", where, "-k", 3, "--json").json["matches"]
    assert matches[0]["path"] == str(folder / "05.png")
    page = tmp_path / "page.html"
    assert run("search", folder / "05.png", where, "--html", page).code == 0
    assert page.read_text().count("<article") == 10


def test_all_measures_in_one_table(folder, run):
    pair = (folder / "03.png", folder / "twin-of-03.jpg")
    found = isf.compare_all(*pair, options=NEEDED)
    assert [one.measure for one in found] == NAMES
    for one in found:
        assert (one.value is None) == bool(one.problem)
        if one.value is not None:
            assert one.value == isf.compare(*pair, one.kind)
            assert one.seconds > 0
    page = comparison_page(str(pair[0]), str(pair[1]), found)
    assert page.count('<th scope="row">') == len(NAMES)
    assert "<script" not in page
    alike = {"sift", "orb", "surf", "clip"}  # whatever is installed here
    assert all(one.higher_is_better is True for one in found if one.measure in alike)
    unusable = isf.compare_all(*pair, ["onnx", "clip"])
    assert [(one.value, one.higher_is_better) for one in unusable] == [(None, True)] * 2
    assert all(one.value_range == (-1, 1) for one in unusable)
    shown = run("compare", *pair, "--measure", "all", "--json").json
    assert [one["measure"] for one in shown["measures"]] == NAMES
    table = run("compare", *pair, "--measure", "all").out
    assert all(f"\n{name} " in table for name in NAMES)


def test_stored_nonsense_is_found(kind):
    """Rows that no image has must not crash whoever checks them."""
    good = kind.describe(scene(1))
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, good.nbytes, dtype=np.uint8).view(kind.row_dtype)
    rows = [noise]
    if kind.row_length is None:
        rows += [noise[:0], noise[:3], good[:-1]]
    for row in rows:
        bad = kind.first_bad(as_rows([good, row], kind.row_dtype, kind.row_length))
        assert bad is None or (bad[0] == 1 and bad[1])


def test_saved_again_is_near_identical_and_another_is_not(kind):
    image = scene(5, (320, 240)).filter(ImageFilter.GaussianBlur(1))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95, subsampling=0)
    again, other = Image.open(buffer).convert("RGB"), scene(6, (320, 240))
    row = kind.describe(image)
    near, far = kind.compare(row, kind.describe(again)), kind.compare(row, kind.describe(other))
    if kind.higher_is_better:
        assert far < kind.near_identical <= near
    else:
        assert near <= kind.near_identical < far


def test_a_model_that_has_moved_is_the_same_model(folder, tmp_path):
    model = tmp_path / "here.onnx"
    model.write_bytes(Path(NEEDED["onnx"]["model"]).read_bytes())
    isf.Index.create(tmp_path / "index", "onnx", model=str(model), size=32).close()
    moved = model.rename(tmp_path / "there.onnx")
    with pytest.raises(IndexVersionError, match=r"here\.onnx' does not exist"):
        isf.Index.open(tmp_path / "index")
    with isf.Index.open(tmp_path / "index", model=str(moved)) as index:
        assert index.add(folder).added == 13
        assert index.search(folder / "01.png", 1).paths == [str(folder / "01.png")]
    with pytest.raises(IndexMismatchError, match=r"with size=.32, 32., not size=.64, 64."):
        isf.Index.open(tmp_path / "index", model=str(moved), size=64)
    data = bytearray(moved.read_bytes())
    data[-30] ^= 1  # other weights
    moved.write_bytes(data)
    with pytest.raises((IndexMismatchError, UnusableMeasureError), match=r"sha256|SHA-256"):
        isf.Index.open(tmp_path / "index", model=str(moved))
