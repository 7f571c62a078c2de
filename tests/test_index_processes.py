"""The index: several processes, and errors while writing."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import numpy as np
import pytest

from imgsim_fast.errors import (
    IndexLockedError,
)
from imgsim_fast.index import Index, segments
from imgsim_fast.index.lock import writer_lock
from imgsim_fast.index.search import Snapshot
from tests.index_tools import GREY, answers, brute_force, made, numbers, write

# ---- several processes -------------------------------------------------------------------------


def run_python(code, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


HOLD_LOCK = """
import sys
from imgsim_fast.index.lock import writer_lock
with writer_lock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_writer_at_a_time(tmp_path, folder):
    with made(tmp_path / "index", folder) as index:
        with run_python(HOLD_LOCK, index.path) as child:
            assert child.stdout.readline() == "held\n"
            for call in (lambda: index.add(folder), index.refresh, lambda: index.remove(1)):
                with pytest.raises(IndexLockedError, match=rf"process {child.pid} on "):
                    call()
            assert len(answers(index)) == 40  # readers do not care
            assert index.verify() == []
            child.kill()
        assert index.add(folder).unchanged == 40  # a dead process holds nothing


ADD = """
import sys, time
from imgsim_fast.index import Index
with Index.open(sys.argv[1]) as index:
    for line in sys.stdin:
        index.add(
            line.strip(), threads=1, commit_seconds=0, progress=lambda done: time.sleep(0.001)
        )
        print("done", flush=True)
"""


def test_readers_see_whole_commits_while_another_process_writes(tmp_path, folder):
    Index.create(tmp_path / "index").close()
    sizes = set()
    with Index.open(tmp_path / "index") as reader, run_python(ADD, tmp_path / "index") as child:
        for number in range(400):
            write(folder / f"{number:03d}.png", number)
        child.stdin.write(f"{folder}\n")
        child.stdin.close()
        while True:
            ended = child.poll() is not None
            found = reader.search(GREY, 10**6)
            count = len(found.ids)
            # Groups of 16 in the order of the walk: a commit is a prefix.
            assert count % 16 == 0
            assert sorted(found.paths) == [str(folder / f"{n:03d}.png") for n in range(count)]
            assert sorted(found.ids.tolist()) == list(range(1, count + 1))
            sizes.add(count)
            if ended:
                break
        assert child.returncode == 0
        assert count == 400
    assert len(sizes) > 2


def test_a_reader_notices_the_commits_of_others(tmp_path, folder):
    with made(tmp_path / "index", folder) as reader, run_python(ADD, reader.path) as child:
        before = answers(reader)
        write(folder / "new.png", 123)
        child.stdin.write(f"{folder}\n")
        child.stdin.flush()
        assert child.stdout.readline() == "done\n"
        assert len(reader) == 41
        after = answers(reader)
        assert len(after) == 41
        assert [m for m in after if m[1] != 41] == before
        child.stdin.close()


def test_a_search_is_of_one_commit_though_another_removes_what_it_found(
    tmp_path, folder, monkeypatch
):
    """The other process comes between the ranking and the look-up of the names."""
    with made(tmp_path / "index", folder) as reader, Index.open(reader.path) as writer:
        before = answers(reader)
        nearest = Snapshot.nearest

        def slow(*arguments):
            found = nearest(*arguments)
            if len(writer) == 40:
                writer.remove(1)
            return found

        monkeypatch.setattr(Snapshot, "nearest", slow)
        assert answers(reader) in (before, [m for m in before if m[1] != 1])


def test_a_search_survives_a_merge_by_another(tmp_path, folder, monkeypatch):
    """The segments of the commit just looked up are merged away before they are opened."""
    names = sorted(folder.iterdir())
    with Index.create(tmp_path / "index") as writer:
        for name in names[:16]:
            writer.add([name])
        with Index.open(writer.path) as reader:
            from imgsim_fast.index import search

            opened = search.open_segment

            def slow(*arguments):
                monkeypatch.setattr(search, "open_segment", opened)
                writer.add([names[20]])  # the 17th: merges
                assert writer.stats().segments == 1
                return opened(*arguments)

            monkeypatch.setattr(search, "open_segment", slow)
            assert len(answers(reader)) == 17


def test_read_only_index_can_be_searched(tmp_path, folder):
    made(tmp_path / "index", folder).close()
    path = tmp_path / "index"
    for name in os.listdir(path):
        os.chmod(path / name, 0o444)
    os.chmod(path, 0o555)
    try:
        if os.access(path / "catalog.sqlite", os.W_OK):
            pytest.skip("this user may write whatever the mode says")
        with Index.open(path) as index:
            assert len(answers(index)) == 40
            assert index.verify() == []
            with pytest.raises(OSError, match="Permission"):
                index.add(folder)
    finally:
        os.chmod(path, 0o755)


# ---- errors while writing ----------------------------------------------------------------------


class FailingAt:
    """A function that fails at its k-th call, and after it too if the disk stays full."""

    def __init__(self, function, number, code, forever):
        self.function, self.left, self.code, self.forever = function, number, code, forever
        self.failed = 0

    def __call__(self, *arguments, **options):
        self.left -= 1
        if self.left == 0 or (self.left < 0 and self.forever):
            self.failed += 1
            raise OSError(self.code, os.strerror(self.code))
        return self.function(*arguments, **options)


@pytest.mark.parametrize("forever", [False, True])
@pytest.mark.parametrize(
    ("owner", "name", "code"),
    [
        (os, "fsync", errno.EIO),
        (np.lib.format, "write_array_header_1_0", errno.ENOSPC),
        (segments, "_write_array", errno.EDQUOT),
        (segments, "sync_folder", errno.EIO),
    ],
)
def test_write_errors_at_every_step(tmp_path, folder, monkeypatch, owner, name, code, forever):
    for attempt in range(1, 30):
        path = tmp_path / f"index-{attempt}"
        with Index.create(path) as index:
            index.add([folder / "000.png"])
            failing = FailingAt(getattr(owner, name), attempt, code, forever)
            monkeypatch.setattr(owner, name, failing)
            raised = None
            try:
                index.add(folder, threads=1, commit_seconds=0)
            except OSError as error:
                raised = error.errno
            monkeypatch.undo()
            if not failing.failed:
                assert raised is None
                break
            assert raised == code
            # What had been committed is there: the first file, and groups of 16 of the others.
            with Index.open(path) as reader:
                count = len(answers(reader))
                assert (count - 1) % 16 in (0, 15)
                assert len(reader) == count
                assert reader.verify() == []
                assert answers(index) == answers(reader)
            # The same object goes on, and leaves nothing behind.
            assert index.add(folder).added == 40 - count
            assert index.verify() == []
            assert len(answers(index)) == 40
    assert attempt > 3


def test_interruption_keeps_what_was_described(tmp_path, folder):
    for stop in (1, 17, 33, 40):

        def interrupt(done, stop=stop):
            if done == stop:
                raise KeyboardInterrupt

        for threads in (1, 3):
            with Index.create(tmp_path / f"index-{stop}-{threads}") as index:
                with pytest.raises(KeyboardInterrupt):
                    index.add(folder, threads=threads, progress=interrupt)
                assert len(index) == stop
                assert len(answers(index)) == stop
                assert index.verify() == []
                assert numbers(index.add(folder)) == (40 - stop, 0, stop, 0, 0)
                assert index.verify() == []
                assert answers(index) == brute_force(index, GREY)


def test_orphan_segments_are_ignored_and_removed_by_the_next_writer(tmp_path, folder):
    with made(tmp_path / "index", folder) as index:
        expected = answers(index)
        for name in ("segment-00000099.rows.npy", "segment-00000099.ids.npy"):
            (tmp_path / "index" / name).write_bytes(b"half")
        (tmp_path / "index" / "notes.txt").write_text("mine")
        assert answers(index) == expected
        assert index.verify() == []  # a writer at work has such files too
        index.add([])
        left = os.listdir(tmp_path / "index")
        assert not [name for name in left if name.startswith("segment-00000099")]
        assert index.verify() == []
        assert (tmp_path / "index" / "notes.txt").exists()


# Another thread may hold the index, and SQLite, at the moment of the fork.
FORKS = """
import os, sys, threading, time
import numpy as np
import imgsim_fast as isf

index = isf.Index.create(sys.argv[1], bins=64)
index.add_histograms(np.random.default_rng(0).integers(1, 99, (2000, 64)))
query = np.arange(64) + 1
closed = isf.Index.open(sys.argv[1])
closed.close()
want = index.search_histograms(query, k=3).indices.tolist()

def search():
    while True:
        index.search_histograms(query, k=3)

def works():
    if index.search_histograms(query, k=3).indices.tolist() != want or index.verify():
        return False
    index.add_histograms(np.ones((1, 64)))
    try:
        closed.stats()
    except isf.errors.ImgsimError:
        return index.stats().histograms > 2000
    return False

threading.Thread(target=search, daemon=True).start()
for number in range(30):
    child = os.fork()
    if child == 0:
        os._exit(0 if works() else 7)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        time.sleep(0.001)
    else:
        os.kill(child, 9)
        sys.exit("a child hangs")
    if status:
        sys.exit(f"a child ended with {status}")
assert index.stats().histograms == 2030
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_children_forked_while_another_thread_searches(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKS, str(tmp_path / "index")],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, (done.returncode, done.stderr)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_does_not_keep_the_lock_of_a_writer(tmp_path):
    """One forked while another thread writes has the lock's file open."""
    reading, writing = os.pipe()
    with writer_lock(str(tmp_path)):
        child = os.fork()
        if child == 0:
            os.close(writing)
            os.read(reading, 1)
            os._exit(0)
    try:
        with writer_lock(str(tmp_path)):
            pass
    finally:
        os.close(writing)
        os.close(reading)
        os.waitpid(child, 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_does_not_end_the_lock_of_its_parent(tmp_path):
    lock = writer_lock(str(tmp_path))
    lock.__enter__()
    child = os.fork()
    if child == 0:
        try:
            lock.__exit__(None, None, None)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    with pytest.raises(IndexLockedError), writer_lock(str(tmp_path)):
        pass
    lock.__exit__(None, None, None)
