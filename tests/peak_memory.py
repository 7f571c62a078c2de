"""Peak memory of a statement, for tests and benchmarks; Linux only."""

from __future__ import annotations

import subprocess
import sys

# In a process of its own, by /proc: getrusage would count what the parent had held before.
_PROGRAM = """
import ctypes

def figure(name):
    for line in open("/proc/self/status"):
        if line.startswith(name):
            return int(line.split()[1])

{preparation}
try:
    ctypes.CDLL(None).malloc_trim(0)  # what lies free would hide what is needed
except AttributeError:
    pass
open("/proc/self/clear_refs", "w").write("5")  # the peak begins here
before = figure("VmRSS")
{statement}
print((figure("VmHWM") - before) * 1024 / 1e6)
"""


def peak_memory(preparation, statement):
    """Megabytes that a statement takes beyond what the preparation left."""
    program = _PROGRAM.format(preparation=preparation, statement=statement)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return float(done.stdout)
