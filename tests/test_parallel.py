"""Threads, fork, Ctrl-C and the environment variable."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import imgsim_fast as isf
from imgsim_fast import _threads
from imgsim_fast.errors import InvalidInputError

# ---- fork ------------------------------------------------------------------------------------

FORK = """
import os, sys, time
import numpy as np
import imgsim_fast as isf

A = np.random.default_rng(0).random((600, 64))
def threads():
    return len(os.listdir("/proc/self/task")) if sys.platform == "linux" else 1

alone = threads()
before = isf.cdist(A, A, threads=4).tobytes()
found = isf.knn(A[0], A, 5, threads=4)
child = os.fork()
assert threads() <= alone, "threads are ended before a fork"
if child == 0:
    same = isf.cdist(A, A, threads=4).tobytes() == before
    same &= isf.knn(A[0], A, 5, threads=4).indices.tolist() == found.indices.tolist()
    same &= isf.histograms([np.zeros((2000, 2000), np.uint8)] * 4, threads=4)[3, 0] == 4000000
    os._exit(0 if same else 7)
deadline = time.monotonic() + 10
while time.monotonic() < deadline:
    done, status = os.waitpid(child, os.WNOHANG)
    if done:
        assert isf.cdist(A, A, threads=4).tobytes() == before
        sys.exit(os.waitstatus_to_exitcode(status))
    time.sleep(0.01)
os.kill(child, 9)
sys.exit("the child hangs")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_computes():
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, (done.returncode, done.stderr)


FORKS_WHILE_OTHERS_COMPUTE = """
import os, sys, threading, time
import numpy as np
import imgsim_fast as isf

A = np.random.default_rng(0).random((300, 64))
want = isf.cdist(A, A, threads=3).tobytes()
stop = threading.Event()
wrong = []

def compute():
    while not stop.is_set():
        if isf.cdist(A, A, threads=3).tobytes() != want:
            wrong.append(1)

others = [threading.Thread(target=compute) for _ in range(3)]
for other in others:
    other.start()
children = []
for _ in range(20):
    child = os.fork()
    if child == 0:
        os._exit(0 if isf.cdist(A, A, threads=3).tobytes() == want else 7)
    children.append(child)
    time.sleep(0.01)
deadline = time.monotonic() + 30
while children and time.monotonic() < deadline:
    done, status = os.waitpid(children[0], os.WNOHANG)
    if done:
        assert status == 0, status
        del children[0]
    time.sleep(0.001)
for child in children:
    os.kill(child, 9)
stop.set()
for other in others:
    other.join()
sys.exit("a child hangs" if children else "wrong" if wrong else 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_children_forked_while_other_threads_compute():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKS_WHILE_OTHERS_COMPUTE],
        capture_output=True, text=True, timeout=90,
    )  # fmt: skip
    assert done.returncode == 0, (done.returncode, done.stderr)


SIGNALS = """
import os, signal
import numpy as np
import imgsim_fast as isf

A = np.random.default_rng(0).random((600, 64))
before = set(os.listdir("/proc/self/task"))
isf.cdist(A, A, threads=4)
workers = set(os.listdir("/proc/self/task")) - before
assert workers
for worker in workers:
    with open(f"/proc/self/task/{worker}/status") as lines:
        blocked = next(int(line.split()[1], 16) for line in lines if line.startswith("SigBlk"))
    assert blocked >> (signal.SIGINT - 1) & 1
    assert blocked >> (signal.SIGALRM - 1) & 1
    assert not blocked >> (signal.SIGSEGV - 1) & 1
"""


# A child that goes on with the call, or leaves it, does not wait for threads that it does not have.
FORK_IN_A_HANDLER = """
import os, signal, sys, time
import numpy as np
import imgsim_fast as isf

A = np.random.default_rng(0).random((900, 64))
child = None

def handler(*_):
    global child
    child = os.fork()
    if child == 0:
        signal.setitimer(signal.ITIMER_REAL, 0)
        if sys.argv[1] == "leave":
            sys.exit(7)

signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.05)
try:
    while child is None:
        isf.cdist(A, A, p=2.5, threads=3)
except RuntimeError as error:
    assert "a child forked by a signal handler" in str(error)
    os._exit(7)
deadline = time.monotonic() + 20
while time.monotonic() < deadline:
    done, status = os.waitpid(child, os.WNOHANG)
    if done:
        sys.exit(0 if os.waitstatus_to_exitcode(status) == 7 else 3)
    time.sleep(0.01)
os.kill(child, 9)
sys.exit("the child hangs")
"""

DAEMONS = """
import threading, time
import numpy as np
import imgsim_fast as isf

A = np.random.default_rng(0).random((3000, 256))

def compute():
    while True:
        isf.cdist(A, A, circular=True, threads=2)

for _ in range(2):
    threading.Thread(target=compute, daemon=True).start()
time.sleep(0.3)
"""

# A worker computes as its caller does, not as the one for whom it was started.
ROUNDING = """
import ctypes, ctypes.util, platform
import numpy as np
import imgsim_fast as isf

A = np.random.default_rng(0).random((500, 64))
want = isf.cdist(A, A, threads=1)
mode = ctypes.CDLL(ctypes.util.find_library("m"))
assert mode.fesetround({"x86_64": 0x800, "aarch64": 0x400000}[platform.machine()]) == 0  # upward
other = isf.cdist(A, A, threads=3)
mode.fesetround(0)
assert (other != want).any()
for _ in range(5):
    assert (isf.cdist(A, A, threads=3) == want).all()
"""

# Nobody ends the process: a thread without memory says so, or leaves the work to others.
MEMORY = """
import os, resource
import numpy as np
from imgsim_fast import _core
from imgsim_fast.index.coding import encoded

metric = _core.Metric(32, None, 1.0, 1.0, 0.0)
rows = np.random.default_rng(0).integers(1, 1000, (300, 32)).astype(np.uint32)
part = (rows, _core.arrange_codes(encoded(metric, rows, 1), 1), None, None)
search = metric, rows[:1].astype(float), (part,) * 100, 5, np.inf
_core.nearest_coded(*search, 1)
_core.set_thread_worth(1.0)
ends = set()
for more in [*range(10_000, 140_000, 1000), *range(8_400_000, 8_630_000, 3000)]:
    child = os.fork()
    if child == 0:
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + more, used + more))
        try:
            for _ in range(3):
                _core.nearest_coded(*search, 3)
        except MemoryError:
            os._exit(1)
        os._exit(0)
    ends.add(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
assert {1} <= ends <= {0, 1}, ends
"""

# Nor is it where that one was, or as urgent.
STANDING = """
import os, threading
import numpy as np
import imgsim_fast as isf

A = np.random.default_rng(0).random((600, 64))

def standings():
    threads = map(int, os.listdir("/proc/self/task"))
    return {n: (os.sched_getaffinity(n), os.getpriority(os.PRIO_PROCESS, n)) for n in threads}

cpus = os.sched_getaffinity(0)
one = {min(cpus)}
before = set(standings())

def call_from_elsewhere():
    os.sched_setaffinity(0, one)
    os.setpriority(os.PRIO_PROCESS, 0, 19)
    isf.cdist(A, A, threads=2)

thread = threading.Thread(target=call_from_elsewhere)
thread.start()
thread.join()
while os.path.exists(f"/proc/self/task/{thread.native_id}"):
    pass  # it ends somewhat later than Python says
first = {number: of for number, of in standings().items() if number not in before}
assert list(first.values()) == [(one, 19)], first
isf.cdist(A, A, threads=2)
second = {n: of for n, of in standings().items() if n not in before and n not in first}
assert list(second.values()) == [(cpus, 0)], second
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("how", ["go on", "leave"])
def test_a_child_forked_by_a_handler_ends(how):
    done = subprocess.run(
        [sys.executable, "-c", FORK_IN_A_HANDLER, how], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, (done.returncode, done.stderr)


def test_daemon_threads_inside_calls_do_not_keep_python_from_ending():
    done = subprocess.run([sys.executable, "-c", DAEMONS], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")
@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="names of modes")
@pytest.mark.parametrize("script", [SIGNALS, ROUNDING, STANDING])
def test_workers_are_like_their_callers(script):
    """But for signals: whoever waits for one would sleep on if a worker took it."""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_threads_without_memory_raise():
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_threads_that_wait_for_a_call_fall_asleep():
    A = np.random.default_rng(0).random((600, 64))
    isf.cdist(A, A, threads=2)  # more than there are processors would not wait awake
    before = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - before < 0.1


# ---- Python threads --------------------------------------------------------------------------


@pytest.mark.parametrize("own_threads", [1, 3])
def test_python_threads_get_the_same_bits(own_threads):
    rng = np.random.default_rng(0)
    A = rng.random((400, 33))
    images = [rng.integers(0, 256, (500, 600), dtype=np.uint8) for _ in range(4)]
    floats = rng.normal(128, 60, (300, 301))

    def work():
        return b"".join(
            np.ascontiguousarray(part).tobytes()
            for part in (
                isf.cdist(A, A, threads=own_threads),
                isf.pdist(A[:150], circular=True, threads=own_threads),
                isf.cdist(A[:100], A[:100], p=2, threads=own_threads),
                *isf.knn(A[:5], A, 9, threads=own_threads),
                *isf.knn(A[0], A, 9),
                isf.histograms(images, threads=own_threads),
                isf.histogram(images[0]),
                isf.histogram(images[0].reshape(-1, 10), 10),
                isf.histogram(floats, 77),
                isf.histogram(floats.T, 77),
                isf.wasserstein_1d(A, A[::-1]),
            )
        )

    want = work()
    answers = [None] * 8
    start = threading.Barrier(8)

    def member(i):
        start.wait()
        answers[i] = [work() for _ in range(3)]

    crew = [threading.Thread(target=member, args=(i,)) for i in range(8)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    assert answers == [[want] * 3] * 8


def test_the_gil_is_released():
    """Another Python thread goes on while a long call computes."""
    A = np.random.default_rng(0).random((250, 256))
    ticks = []
    stop = threading.Event()

    def tick():
        while not stop.is_set():
            ticks.append(time.monotonic())
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        begin = time.monotonic()
        isf.cdist(A, A, circular=True, threads=1)
        end = time.monotonic()
    finally:
        stop.set()
        thread.join()
    inside = sum(begin < moment < end for moment in ticks)
    assert end - begin > 0.1, "the call is too short to tell"
    assert inside > (end - begin) / 0.1


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_work_in_threads_stops_after_the_first_error(threads):
    for items in (range(0), range(1), range(40)):
        done = []
        _threads.for_each(done.append, items, threads)
        assert sorted(done) == list(items)
    begun, running = [], threading.active_count()

    def work(item):
        begun.append(item)
        time.sleep(0.002)
        if item in (3, 5):
            raise ValueError(f"item {item}")

    with pytest.raises(ValueError, match="item 3"):
        _threads.for_each(work, range(2000), threads)
    assert len(begun) < 1000
    assert threading.active_count() == running


# ---- Ctrl-C ----------------------------------------------------------------------------------

LONG_CALLS = {
    "cdist": "isf.cdist(A, A, circular=True, threads=2)",
    "cdist on one thread": "isf.cdist(A, A, circular=True, threads=1)",
    "pdist": "isf.pdist(A, p=2.5, threads=2)",
    "pairs": "isf.wasserstein_1d(A[:, None], A, circular=True)",
    "knn": "isf.knn(A, A, 10, p=2.5, threads=2)",
    "codes that cannot tell rows apart": (
        "isf._core.encode_rows(METRIC, ONES, CODES, 2), isf._core.nearest_coded("
        "METRIC, ONES[:4000], ((ONES, CODES, None, None),), 10, np.inf, 2)"
    ),
    "arranged codes that cannot tell rows apart": (
        "isf._core.encode_rows(METRIC, ONES, RAW, 2), isf._core.nearest_coded("
        "METRIC, ONES[:4000], ((ONES, isf._core.arrange_codes(RAW, 2), None, None),), "
        "10, np.inf, 2)"
    ),
    "arranging codes": "isf._core.arrange_codes(np.resize(A.view('u1'), 26 * 8_000_000), 2)",
    "embeddings": (
        "isf.Embedding(len, name='x', length=256).values("
        "A[0].astype('f4'), np.broadcast_to(A[1].astype('f4'), (10**7, 256)), 2)"
    ),
    "histograms": "isf.histograms([np.full((1500, 1500), 0.5)] * 2000, threads=2)",
}

INTERRUPT = """
import time
import numpy as np
import imgsim_fast as isf

A = np.random.default_rng(0).random((3000, 256))
METRIC = isf._core.Metric(1024, None, 1.0, 1.0, 0.0)
ONES, CODES = np.ones((16000, 1024)), np.empty(16000 * isf._core.CODE_BYTES, np.uint8)
RAW = np.empty(16000 * isf._core.RAW_BYTES, np.uint8)
print("ready", flush=True)
try:
    {call}
    print("finished", flush=True)
except KeyboardInterrupt:
    print(time.monotonic(), flush=True)
print(isf.cdist(A[:50], A[:50], threads=2).trace(), flush=True)
print(isf.wasserstein_1d([1, 0, 0], [0, 0, 1]), flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to one process")
@pytest.mark.parametrize("call", LONG_CALLS)
def test_ctrl_c_stops_a_long_call(call):
    program = INTERRUPT.format(call=LONG_CALLS[call])
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        try:
            assert child.stdout.readline() == "ready\n", child.stderr.read()
            time.sleep(0.4)
            sent = time.monotonic()  # one clock for all processes
            child.send_signal(signal.SIGINT)
            timer = threading.Timer(8, child.kill)  # then readline() gives ""
            timer.start()
            stopped = child.stdout.readline()
            timer.cancel()
            assert stopped != "finished\n", "the call is too short to be interrupted"
            assert stopped, f"no KeyboardInterrupt within 8 s: {child.stderr.read()}"
            assert float(stopped) - sent < 0.5
            assert child.stdout.read() == "0.0\n2.0\n"
            assert child.wait(10) == 0
        finally:
            child.kill()


# ---- IMGSIM_FAST_NUM_THREADS -----------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "0", "-2", "two", "1.5", "0x2", "1e3"])
def test_bad_numbers_of_threads_in_the_environment(monkeypatch, text):
    monkeypatch.setenv("IMGSIM_FAST_NUM_THREADS", text)
    for call in (
        lambda: isf.cdist([[1, 2]], [[1, 2]]),
        lambda: isf.pdist([[1, 2]]),
        lambda: isf.knn([1, 2], [[1, 2]], 1),
        lambda: isf.histograms([np.zeros((2, 2))]),
    ):
        with pytest.raises(InvalidInputError) as caught:
            call()
        assert "IMGSIM_FAST_NUM_THREADS" in str(caught.value)
        assert repr(text) in str(caught.value)
    assert isf.cdist([[1, 2]], [[2, 1]], threads=1).shape == (1, 1)  # an argument comes first
    assert isf.wasserstein_1d([1, 2], [1, 2]) == 0


@pytest.mark.parametrize("text", ["1", "2", " 3 ", "100000"])
def test_numbers_of_threads_in_the_environment(monkeypatch, text):
    A = np.random.default_rng(0).random((300, 64))
    want = isf.cdist(A, A, threads=1)
    monkeypatch.setenv("IMGSIM_FAST_NUM_THREADS", text)
    np.testing.assert_array_equal(isf.cdist(A, A), want)


def test_far_too_many_threads():
    A = np.random.default_rng(0).random((300, 64))
    np.testing.assert_array_equal(isf.cdist(A, A, threads=10**9), isf.cdist(A, A, threads=1))
    assert isf.cdist(A[:2], A, threads=np.int32(2)).shape == (2, 300)
