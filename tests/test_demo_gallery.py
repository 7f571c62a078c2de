"""The demo gallery: repeatable, resumable, and with a right answer that everybody can see."""

from __future__ import annotations

import hashlib
import json
import os

import numpy as np
import pytest
from PIL import Image

from imgsim_fast import demo
from imgsim_fast.demo import VARIANTS, render_gallery
from imgsim_fast.errors import InvalidInputError

COUNT = 60


def cdf(path) -> np.ndarray:
    with Image.open(path) as image:
        counts = np.bincount(np.asarray(image.convert("L")).ravel(), minlength=256)
    return np.cumsum(counts / counts.sum())


def ranking(gallery) -> list[tuple[float, str]]:
    query = cdf(gallery.query)
    paths = [(os.path.join(gallery.folder, name), name) for name in os.listdir(gallery.folder)]
    return sorted((float(np.abs(cdf(path) - query).sum()), name) for path, name in paths)


def digests(folder) -> dict[str, str]:
    found = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, folder)] = hashlib.sha256(file.read()).hexdigest()
    return found


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return render_gallery(tmp_path_factory.mktemp("gallery"), count=COUNT)


def root(gallery) -> str:
    return os.path.dirname(gallery.query)


def test_the_folder_holds_what_the_gallery_says(small):
    names = sorted(os.listdir(small.folder))
    assert small.count == len(names) == COUNT
    assert sorted(os.listdir(root(small))) == ["gallery.json", "images", "query.png"]
    assert "scene-000-hills-much-darker.jpg" in names
    assert {name.rsplit(".")[-1] for name in names} == {"jpg"}  # the first scenes are no flat ones
    for name in names:
        with Image.open(os.path.join(small.folder, name)) as image:
            image.load()
            assert image.mode == ("L" if "-grey." in name else "RGB")
            assert 130 <= min(image.size) <= max(image.size) <= 256
            assert np.asarray(image).std() > 5


def check_answer(gallery):
    ranked = ranking(gallery)
    family = ranked[0][1].split("-")[1]
    own = {
        name.split("-", 3)[3].split(".")[0]: (place, distance)
        for place, (distance, name) in enumerate(ranked)
        if name.split("-")[1] == family
    }
    assert set(own) == set(VARIANTS)
    unchanged = set(demo.SAME_BRIGHTNESS)
    assert {v for v, (place, _) in own.items() if place < len(unchanged)} <= unchanged | {"blurred"}
    assert max(own[v][0] for v in (*unchanged, "blurred", "noisy")) == 5
    for gentle, strong in (("brighter", "much-brighter"), ("darker", "much-darker")):
        assert own["original"][1] * 5 < own[gentle][1] < own[strong][1]
    assert own["original"][1] < 3 < ranked[6][0]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_family_of_the_query_ranks_first(tmp_path, seed):
    check_answer(render_gallery(tmp_path, count=COUNT, seed=seed))


def test_a_thousand_pictures_are_varied_and_quick_and_have_a_clear_answer(tmp_path):
    gallery = render_gallery(tmp_path / "g")
    check_answer(gallery)
    names = os.listdir(gallery.folder)
    assert len(names) == gallery.count == 1000
    assert {name.split("-")[2] for name in names} == set(demo.SCENES)
    assert 50 < sum(name.endswith(".png") for name in names) < 500
    files = digests(gallery.folder)
    assert len(set(files.values())) == 1000  # no picture twice


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path, small):
    again = render_gallery(tmp_path / "again", count=COUNT)
    assert digests(root(again)) == digests(root(small))
    other = render_gallery(tmp_path / "other", count=14, seed=1)
    assert not set(digests(other.folder).values()) & set(digests(small.folder).values())


def test_a_finished_gallery_is_reused(small, monkeypatch):
    monkeypatch.setattr(demo, "_render_scene", lambda *_: pytest.fail("rendered again"))
    assert render_gallery(root(small), count=COUNT) == small


def test_progress_counts_to_the_end(tmp_path):
    seen = []
    render_gallery(tmp_path, count=5, progress=lambda done, count: seen.append((done, count)))
    assert seen == [(i, 5) for i in range(1, 6)]


def test_an_interrupted_gallery_is_completed(tmp_path, small):
    def interrupt(done: int, count: int) -> None:
        if done == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render_gallery(tmp_path, count=COUNT, progress=interrupt)
    assert "gallery.json" not in os.listdir(tmp_path)
    gallery = render_gallery(tmp_path, count=COUNT)
    assert digests(root(gallery)) == digests(root(small))


def test_a_deleted_picture_comes_back(tmp_path):
    gallery = render_gallery(tmp_path, count=5)
    before = digests(tmp_path)
    os.remove(os.path.join(gallery.folder, os.listdir(gallery.folder)[0]))
    render_gallery(tmp_path, count=5)
    assert digests(tmp_path) == before


@pytest.mark.parametrize("content", ["", "{}", '{"gallery": "of somebody else"}', "[1]", "\x00"])
def test_a_folder_with_other_things_is_left_alone(tmp_path, content):
    (tmp_path / "gallery.json").write_text(content)
    before = digests(tmp_path)
    with pytest.raises(InvalidInputError, match="not a demo gallery") as caught:
        render_gallery(tmp_path, count=5)
    assert str(tmp_path) in str(caught.value)
    assert digests(tmp_path) == before


def test_a_gallery_of_another_kind_is_left_alone(tmp_path):
    render_gallery(tmp_path, count=5)
    before = digests(tmp_path)
    for arguments in ({"count": 6}, {"count": 5, "seed": 1}):
        with pytest.raises(InvalidInputError, match="delete it or choose another"):
            render_gallery(tmp_path, **arguments)
    marker = json.loads((tmp_path / "gallery.json").read_text())
    (tmp_path / "gallery.json").write_text(json.dumps(marker | {"version": 0}))
    with pytest.raises(InvalidInputError, match="version 0"):
        render_gallery(tmp_path, count=5)
    (tmp_path / "gallery.json").write_text(json.dumps(marker))
    assert digests(tmp_path / "images") == {
        os.path.basename(k): v for k, v in before.items() if k.startswith("images")
    }


@pytest.mark.parametrize("arguments", [{"count": 0}, {"count": 3, "seed": -1}])
def test_bad_arguments_write_nothing(tmp_path, arguments):
    with pytest.raises(InvalidInputError):
        render_gallery(tmp_path / "g", **arguments)
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(InvalidInputError, match="not a folder"):
        render_gallery(file, count=1)
    assert os.listdir(tmp_path) == ["file"]
