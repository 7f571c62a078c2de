"""Time ours and the peers side by side: one table of ratios, and the same as JSON.

python -m benchmarks.compare [--only WORD] [--json FILE]
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import imgsim_fast
from benchmarks.case import OURS, Case, measure
from imgsim_fast import _core

MODULES = ("bench_histogram", "bench_wasserstein", "bench_knn", "bench_index")
RESULTS = Path(__file__).parent / "results"
PACKAGES = ("numpy", "scipy", "POT", "opencv-python-headless", "pillow")


def machine() -> dict[str, Any]:
    """Describe what the figures were measured on."""
    cpu = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                cpu = line.split(":", 1)[1].strip()
                break
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "isa": _core.active_isa(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "imgsim_fast": imgsim_fast.__version__,
        **{name: version(name) for name in PACKAGES},
    }


def rows_of(case: Case, seconds: dict[str, float]) -> list[dict[str, Any]]:
    """One row per comparison: the figure, its bar, and whether it is met."""
    ours = seconds[OURS]
    base = {"case": case.name, "ours": ours}
    if case.extra:
        (peer, theirs), *_ = ((name, seconds[name]) for name in case.peers)
        extra = ours - theirs
        return [
            {
                **base, "ours": extra, "peer": f"beyond {peer}", "theirs": theirs, "ratio": None,
                "bar": f"<= {format_seconds(case.seconds or 0)}",
                "met": extra <= (case.seconds or math.inf),
            }
        ]  # fmt: skip
    rows = []
    if case.seconds is not None:
        bar = f"<= {format_seconds(case.seconds)}"
        rows.append({**base, "peer": "", "theirs": None, "ratio": None, "bar": bar,
                     "met": ours <= case.seconds})  # fmt: skip
    for peer in case.peers:
        ratio = seconds[peer] / ours
        row = {
            **base,
            "peer": peer,
            "theirs": seconds[peer],
            "ratio": ratio,
            "bar": "",
            "met": None,
        }
        if peer in case.faster:
            row.update(bar=f">= {case.faster[peer]:g}x", met=ratio >= case.faster[peer])
        if peer in case.within:
            limit = case.within[peer]
            row.update(bar=f"time <= {limit:g}x", met=1 / ratio <= limit)
        rows.append(row)
    return rows


def mean_row(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """256 bins: the geometric mean over the kinds of image has a bar of its own."""
    ratios = [row["ratio"] for row in rows if "256 bins" in row["case"] and row["ratio"]]
    ratios = ratios[:3]
    if len(ratios) < 3:
        return None
    mean = math.prod(ratios) ** (1 / len(ratios))
    return {
        "case": "histogram, 1 MP uint8, 256 bins, mean", "ours": None, "peer": "cv2.calcHist",
        "theirs": None, "ratio": mean, "bar": ">= 1.3x", "met": mean >= 1.3,
    }  # fmt: skip


def format_seconds(seconds: float | None) -> str:
    """Three digits with a fitting unit."""
    if seconds is None:
        return ""
    for factor, unit in ((1, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns")):
        if abs(seconds) >= factor:
            return f"{seconds / factor:.3g} {unit}"
    return f"{seconds:.3g} s"


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    head = ("case", "ours", "against", "theirs", "ratio", "bar", "met")
    lines = [head, tuple("---" for _ in head)]
    for row in rows:
        met = {True: "yes", False: "NO", None: ""}[row["met"]]
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.3g}x"
        lines.append(
            (row["case"], format_seconds(row["ours"]), row["peer"], format_seconds(row["theirs"]),
             ratio, row["bar"], met)
        )  # fmt: skip
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    )


def main() -> None:
    """Run every case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument(
        "--json", type=Path, default=RESULTS / "latest.json", help="write them here"
    )
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in MODULES:
        for case in importlib.import_module(f"benchmarks.{name}").CASES:
            if given.only in case.name:
                rows += rows_of(case, measure(case))
    mean = mean_row(rows)
    if mean is not None:
        rows.append(mean)
    about = machine()
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    print()
    print(table(rows))
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps({"machine": about, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
