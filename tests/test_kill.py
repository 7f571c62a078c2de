"""A few kills of the program that release checks run with hundreds."""

from __future__ import annotations

import sys

import pytest

from tests.faults import kill_while_indexing


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_no_acknowledged_image_is_lost(tmp_path):
    summary = kill_while_indexing.run(12, seed=1, images=250, work=str(tmp_path))
    assert summary.kills == 12
    assert summary.acknowledged > 0
    assert (summary.lost, summary.duplicated, summary.problems) == (0, 0, [])


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_the_check_sees_what_is_lost_and_what_is_there_twice(tmp_path):
    paths = kill_while_indexing.make_images(str(tmp_path), 40)
    index_path = str(tmp_path / "index")
    acknowledged, done = kill_while_indexing.run_child(index_path, str(tmp_path), None)
    assert (acknowledged, done) == (40, True)

    from imgsim_fast.index import Index

    with Index.open(index_path) as index:
        index.remove([3, 5])
    summary = kill_while_indexing.Summary()
    assert kill_while_indexing.check(index_path, paths, 40, summary) == 38
    assert summary.lost == 2
    assert not summary.good

    summary = kill_while_indexing.Summary()
    kill_while_indexing.check(str(tmp_path / "nothing"), paths, 0, summary)
    assert summary.problems == ["the index is gone"]
