"""Exact transport under limits of memory, other rounding modes, signals, threads and fork.

The letters are the rows of the fault table that a test covers.
"""

from __future__ import annotations

import os
import platform
import re
import signal
import subprocess
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import imgsim_fast as isf
from tests import reference
from tests.reference_transport import check, in_small_stack

ROOT = Path(__file__).parents[1]


def run(program, timeout=60):
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", program],
        capture_output=True,
        text=True,
        timeout=timeout,
    )


# ---- A16: more than there is memory for ------------------------------------------------------

MEMORY = """
import resource, time
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
import numpy as np, imgsim_fast as isf
n = 10**6
one = np.broadcast_to(1.0, n)
flat = np.broadcast_to(0.0, (n, 2))
begin = time.monotonic()
try:
    {call}
except MemoryError as error:
    print(time.monotonic() - begin, error)
print(isf.emd([1, 0], [0, 1]))
"""
HUGE = {
    "positions": "isf.emd(one, one, positions=flat)",
    "two positions": "isf.transport(one, one, positions=(flat, flat))",
    "matrix": "isf.emd(one, one, np.broadcast_to(0.0, (n, n)))",
    "matrix of bool": "isf.emd(one, one, np.broadcast_to(False, (n, n)))",
    "matrix of int": "isf.emd(one, one, np.broadcast_to(0, (n, n)))",
    "real matrix": "isf.transport(one[:20000], one[:20000], np.broadcast_to(0.0, (20000, 20000)))",
    "masses": "isf.emd(np.broadcast_to(1.0, 3 * 10**9), np.broadcast_to(1.0, 3 * 10**9))",
    "cdist": "isf.cdist(np.broadcast_to(1.0, (2, n)), np.broadcast_to(1.0, (2, n)), 'emd')",
    "knn": "isf.knn(one, np.broadcast_to(1.0, (2, n)), 1, 'emd')",
    "cdist of many": "isf.cdist(np.ones((n, 3)), np.ones((n, 3)), 'emd')",
    "pdist of many": "isf.pdist(np.ones((n, 3)), 'emd')",
    "signatures": "isf.cdist([(one, flat)], [(one, np.arange(2.0 * n).reshape(n, 2))], 'emd')",
    "knn, signatures": "isf.knn([(one, flat)], [(one, flat), (one, flat + 1)], 1, 'emd')",
}


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
@pytest.mark.parametrize("name", HUGE)
def test_huge_problems_are_refused_at_once(name):
    done = run(MEMORY.format(call=HUGE[name]))
    assert done.returncode == 0, done.stderr
    refused, after = done.stdout.splitlines()
    seconds, message = refused.split(" ", 1)
    assert float(seconds) < 2
    assert "bad_alloc" not in message
    assert " GB" in message or " GiB" in message or " TiB" in message, message
    assert after == "1.0"


# ---- A23: memory that runs out in the middle --------------------------------------------------

SCARCE = """
import resource
import numpy as np, imgsim_fast as isf

rng = np.random.default_rng(0)
n = 1000
a, b, x, y = rng.random(n), rng.random(n), rng.random((n, 2)), rng.random((n, 2))
cost, rows = rng.random((n, n)), rng.random((4, n))
small = isf.emd(a[:40], b[:40], cost[:40, :40], mass="normalize")

def call():
    return {call}

def allow(more):
    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + more, resource.RLIM_INFINITY))

refused, answer = 0, None
for more in range(0, 200 << 20, 3 << 19):
    allow(more)
    try:
        answer = np.array(call()).tobytes()
    except MemoryError:
        refused += 1
    allow(1 << 20)
    assert isf.emd(a[:40], b[:40], cost[:40, :40], mass="normalize") == small
    if answer is not None:
        break
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert np.array(call()).tobytes() == answer
print(refused)
"""
SCARCE_CALLS = {
    "emd": "isf.emd(a, b, positions=(x, y), mass='normalize')",
    "transport": "isf.transport(a, b, cost, mass='partial').potentials[0]",
    "uniform": "isf.emd(np.ones(700), np.ones(700), positions=(x[:700], y[:700]))",
    "EMD": "isf.EMD(np.column_stack([a, x]), np.column_stack([b, y]), 2)[2]",
    "cdist": "isf.cdist(rows, rows, 'emd', positions=x, mass='normalize', threads=2)",
    "knn": "isf.knn([(a, x)], [(b, y)] * 3, 2, 'emd', mass='normalize', threads=2)[0]",
}


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
@pytest.mark.parametrize("name", SCARCE_CALLS)
def test_memory_runs_out(name):
    """More and more memory until it is enough: MemoryError before, and small calls go on.

    Each single allocation: ``csrc/checks/allocation_check.cpp``.
    """
    done = run(SCARCE.format(call=SCARCE_CALLS[name]))
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 2


# ---- A22: other modes of the floating-point unit ---------------------------------------------

MODES = """
import ctypes, ctypes.util, struct
import numpy as np, imgsim_fast as isf

libm = ctypes.CDLL(ctypes.util.find_library("m"))
rng = np.random.default_rng(0)
results = []
for n, m in ((3, 4), (6, 6), (8, 5)):
    a = rng.integers(1, 9, n)
    b = rng.multinomial(a.sum(), np.ones(m) / m)
    for cost in (rng.integers(0, 20, (n, m)), rng.random((n, m)), rng.random((n, m)) * 1e-310):
        results.append((a, b, cost))
environment = ctypes.create_string_buffer(64)
libm.fegetenv(environment)
plain = environment.raw
{enter}
found = [isf.transport(a, b, cost) if cost.max() > 1e-300 else None for a, b, cost in results]
tiny = [isf.emd(a, b, cost * 1e10) for a, b, cost in results]
assert libm.fesetenv(plain) == 0
for (a, b, cost), plan, small in zip(results, found, tiny):
    if plan is not None:
        print(a.tolist(), b.tolist(), cost.tolist(), plan.distance, plan.lower_bound, sep="|")
"""
ENTER = {
    "upwards": "assert libm.fesetround(0x800) == 0",
    "downwards": "assert libm.fesetround(0x400) == 0",
    "towards zero": "assert libm.fesetround(0xC00) == 0",
    "denormals are zero": """
mxcsr = struct.unpack_from("I", plain, 28)[0] | 0x8040
altered = bytearray(plain)
struct.pack_into("I", altered, 28, mxcsr)
assert libm.fesetenv(bytes(altered)) == 0
""",
}


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="knows the layout of fenv_t"
)
@pytest.mark.parametrize("mode", ENTER)
def test_modes_of_the_floating_point_unit(mode):
    done = run(MODES.format(enter=ENTER[mode]))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 6
    for line in lines:
        a, b, cost, distance, bound = (eval(part) for part in line.split("|"))
        want = reference.emd(a, b, cost)
        whole = all(isinstance(x, int) for row in cost for x in row)
        if whole:
            assert distance == bound == want
        assert distance == pytest.approx(float(want), rel=1e-15, abs=0)
        assert Fraction(bound) <= want
        assert bound == pytest.approx(distance, rel=1e-12, abs=0)


def test_the_core_knows_no_locale():
    """Nothing in it reads or writes numbers as text."""
    sources = [
        path
        for folder in ("imgsim", "kernels", "src")
        for path in (ROOT / "csrc" / folder).rglob("*.?pp")
    ]
    assert len(sources) > 40
    words = re.compile(r"strto|\bsto[dfi]\b|atof|printf|scanf|stream>|<locale>|to_string")
    for path in sources:
        assert not words.search(path.read_text()), path


# ---- A19: an end ----------------------------------------------------------------------------

ENDLESS = """
import faulthandler
import numpy as np, imgsim_fast as isf

faulthandler.dump_traceback_later(30, exit=True)
a = [650.80859375, 4.056083679199219]
b = [0.03825137561687619, 0.9228881654095719, 0.7118883815126367, 0.09171554500366141]
cost = [[2.7e-268, 5.2e-151, 6.5e-263, 2.5e-247], [1.1e295, 1.1e-228, 1.5e49, 2.7e-75]]
for mass in ("normalize", "partial", "opencv", 0.5):
    try:
        isf.emd(a, b, cost, mass=mass)
    except OverflowError:
        pass
"""


def test_every_call_ends():
    done = run(ENDLESS)
    assert done.returncode == 0, done.stderr


# ---- A24: Ctrl-C -----------------------------------------------------------------------------

INTERRUPT = """
import time
import numpy as np
import imgsim_fast as isf

rng = np.random.default_rng(0)
a, b = rng.random(33), rng.random(33)
first = isf.emd(a, b, mass="normalize")
{setup}
for _ in range({times}):
    try:
        print("ready", flush=True)
        {call}
        print("finished", flush=True)
    except KeyboardInterrupt:
        print(time.monotonic(), flush=True)
    assert isf.emd(a, b, mass="normalize") == first
print("same bits", flush=True)
"""
METRIC = "C = np.sqrt(((x[:, None] - x[None]) ** 2).sum(-1))"
LONG_CALLS = {
    "points": (
        "x, y = rng.random((12000, 2)), rng.random((12000, 2)); u, v = rng.random((2, 12000))",
        "isf.transport(u, v, positions=(x, y), mass='normalize')",
    ),
    "matrix": (
        "C = rng.random((4000, 4000)) ** 9; u, v = rng.random((2, 4000))",
        "[isf.emd(u, v, C, mass='partial') for _ in range(9)]",
    ),
    "assignment": (
        "C = rng.integers(0, 3, (4000, 4000)) * 1.0; u = np.ones(4000)",
        "[isf.emd(u, u, C) for _ in range(9)]",
    ),
    "many dimensions": (
        "x = rng.random((2000, 2000)); u, v = rng.random((2, 2000))",
        "[isf.emd(u, v, positions=x, mass='normalize') for _ in range(9)]",
    ),
    "small pairs": ("R = rng.random((3000, 16))", "isf.cdist(R, R, 'emd', mass='normalize')"),
    "small pairs, one thread": (
        "R = rng.random((3000, 16))",
        "isf.pdist(R, 'emd', mass='normalize', threads=1)",
    ),
    "signatures": (
        "R = [rng.random((20, 3)) for _ in range(2000)]",
        "isf.knn(R, R, 3, 'emd', mass='partial', threads=2)",
    ),
    "is it a metric": (
        f"x = rng.random((2500, 2)); {METRIC}; R = rng.random((60, 2500))",
        "isf.cdist(R, R, 'emd', cost=C, mass='normalize')",
    ),
    "one matrix for all pairs": (
        "x = rng.random((2000, 2000)); R = rng.random((60, 2000))",
        "isf.cdist(R, R, 'emd', positions=x, mass='normalize')",
    ),
}


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to one process")
@pytest.mark.parametrize("name", LONG_CALLS)
def test_ctrl_c_is_seen_at_any_time(name):
    setup, call = LONG_CALLS[name]
    program = INTERRUPT.format(setup=setup, call=call, times=4)
    rng = np.random.default_rng(len(name))
    waits = []
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        timer = threading.Timer(40, child.kill)  # then readline() gives ""
        timer.start()
        try:
            for _ in range(4):
                assert child.stdout.readline() == "ready\n", child.stderr.read()
                time.sleep(rng.uniform(0.05, 0.5))
                sent = time.monotonic()  # one clock for all processes
                child.send_signal(signal.SIGINT)
                stopped = child.stdout.readline()
                assert stopped, f"no KeyboardInterrupt: {child.stderr.read()}"
                assert stopped != "finished\n", "the call is too short to be interrupted"
                waits.append(float(stopped) - sent)
            assert child.stdout.readline() == "same bits\n", child.stderr.read()
            assert child.wait(10) == 0
        finally:
            timer.cancel()
            child.kill()
    assert sorted(waits)[1] < 0.1, waits  # others use this machine, too
    assert max(waits) < 0.5, waits


ALARMS = {
    "points": lambda u, x: isf.emd(u, u[::-1].copy(), positions=x, mass="normalize"),
    "plan": lambda u, x: isf.transport(u, u[::-1].copy(), positions=(x, x[::-1] + 1)).distance,
    "EMD": lambda u, x: isf.EMD(np.column_stack([u, x]), np.column_stack([u, x[::-1] * 2]), 2)[0],
    "cdist": lambda u, x: isf.cdist(u.reshape(-1, 60), u.reshape(-1, 60), "emd", mass="normalize",
                                    cost=np.abs(np.subtract.outer(x[:60, 0], x[:60, 1]))),
}  # fmt: skip


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no SIGALRM")
@pytest.mark.parametrize("name", ALARMS)
def test_a_signal_handler_that_raises(name):
    """Its own exception comes out, and calls go on as before."""

    class TimeIsUpError(Exception):
        pass

    def handler(number, frame):
        raise TimeIsUpError(number)

    rng = np.random.default_rng(0)
    u, x = rng.random(9000), rng.random((9000, 2))
    few, places = u[:1200], x[:1200]
    want = np.array(ALARMS[name](few, places)).tobytes()
    before = signal.signal(signal.SIGALRM, handler)
    waits = []
    try:
        for after in (0.02, 0.05, 0.11):
            signal.setitimer(signal.ITIMER_REAL, after)
            begin = time.monotonic()
            with pytest.raises(TimeIsUpError):
                ALARMS[name](u, x)
            waits.append(time.monotonic() - begin - after)
            assert np.array(ALARMS[name](few, places)).tobytes() == want
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert min(waits) < 0.1, waits  # others use this machine, too
    assert max(waits) < 0.5, waits


# ---- A25, A26: threads and fork --------------------------------------------------------------


def work():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 65))
    x = rng.random((65, 2))
    cost = rng.random((65, 65))
    rows = rng.random((12, 20))
    ones = np.ones(64)
    plan = isf.transport(a, b, cost, mass="partial")
    return b"".join(
        np.ascontiguousarray(part).tobytes()
        for part in (
            isf.emd(a, b, positions=x, mass="normalize"),
            isf.emd(ones, ones, cost[:64, :64].copy()),
            plan.distance,
            plan.flow_matrix(),
            *plan.potentials,
            isf.pdist(rows, "emd", mass="normalize", threads=3),
            *isf.knn(rows, rows, 4, "emd", mass="opencv", threads=2),
        )
    )


def test_python_threads_get_the_same_bits():
    want = work()
    answers = [None] * 16
    start = threading.Barrier(16)

    def member(i):
        start.wait()
        answers[i] = [work() for _ in range(4)]

    crew = [threading.Thread(target=member, args=(i,)) for i in range(16)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    assert answers == [[want] * 4] * 16


def test_long_paths_need_no_stack():
    """A basis that is one path, in 64 KB of stack: nothing recurses."""
    n = 1500
    a, b = np.ones(n), np.ones(n)
    a[0], b[-1] = 1.5, 1.5
    i, j = np.indices((n, n))
    cost = np.where((j == i) | (j == i - 1), 0.0, 1.0 + np.abs(i - j))
    found = []

    def work():
        found.append(isf.transport(a[::-1].copy(), b, cost))
        found.append(isf.emd(a, b, positions=np.arange(n)))

    in_small_stack(work)
    plan, line = found
    check(plan, a[::-1], b, cost, largest_gap=0)
    assert line == 0.5 * (n - 1)


FORK = """
import os, sys, time
from tests.test_transport_processes import work

before = work()
child = os.fork()
if child == 0:
    os._exit(0 if work() == before else 7)
deadline = time.monotonic() + 10
while time.monotonic() < deadline:
    done, status = os.waitpid(child, os.WNOHANG)
    if done:
        assert work() == before
        sys.exit(os.waitstatus_to_exitcode(status))
    time.sleep(0.01)
os.kill(child, 9)
sys.exit("the child hangs")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_computes():
    done = run(FORK)
    assert done.returncode == 0, (done.returncode, done.stderr)


MUTATE = """
import faulthandler, threading, time
import numpy as np, imgsim_fast as isf

faulthandler.dump_traceback_later(30, exit=True)
rng = np.random.default_rng(0)
n = {n}
a, cost, x = rng.random(n), rng.random((n, n)), rng.random((n, 2))
if {uniform}:
    a[:] = 1
b = a[::-1].copy()
given = {{"a": a, "cost": cost, "x": x}}["{what}"]
clean = given.copy()
values = np.array({values})
over = False

def spoil():
    other = np.random.default_rng(1)
    while not over:
        given[other.integers(n)] = other.choice(values) + other.random(given[0].shape)
        time.sleep(0.0002)
        given[...] = clean

thread = threading.Thread(target=spoil)
thread.start()
end = time.monotonic() + {seconds}
calls = 0
while time.monotonic() < end:
    try:
        {call}
    except Exception:  # whatever the numbers of the moment deserve
        pass
    calls += 1
over = True
thread.join()
given[...] = clean
assert calls > 0
print(isf.emd([1, 0, 0], [0, 0, 1]))
"""
BAD_VALUES = "[np.nan, np.inf, -np.inf, -1e300, 1e300, 0.0]"
MUTATIONS = {
    "costs": (64, False, "cost", "[0.0]", "isf.emd(a, b, cost)"),
    "costs, transport": (160, False, "cost", "[0.0]", "isf.transport(a, b, cost)"),
    "bad costs": (160, False, "cost", BAD_VALUES, "isf.emd(a, b, cost)"),
    "costs of an assignment": (160, True, "cost", BAD_VALUES, "isf.emd(a, b, cost)"),
    "masses": (160, False, "a", BAD_VALUES, "isf.emd(a, b, cost, mass='partial')"),
    "points": (160, False, "x", BAD_VALUES, "isf.emd(a, b, positions=x)"),
    "costs of a batch": (64, False, "cost", BAD_VALUES,
                         "isf.pdist(rng.random((8, n)), 'emd', cost=cost, mass='normalize')"),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTATIONS)
def test_arrays_that_change_during_a_call(name):
    """Any value or typed error, but no crash and no endless loop."""
    n, uniform, what, values, call = MUTATIONS[name]
    done = run(
        MUTATE.format(n=n, uniform=uniform, what=what, values=values, call=call, seconds=0.7)
    )
    assert done.returncode == 0, done.stderr[:600]
    assert done.stdout == "2.0\n"
