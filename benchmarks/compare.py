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
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import imgsim_fast
from benchmarks.case import OURS, Case, Figure, measure
from imgsim_fast import _core


@dataclass(frozen=True)
class Mean:
    """A bar for the geometric mean of the ratios to one peer.

    Attributes
    ----------
    cases : str
        How the names of the cases begin.
    peer : str
    faster : float
        Bar, as in `Case`.
    count : int
        Of so many cases; no mean of fewer.
    """

    cases: str
    peer: str
    faster: float
    count: int


MODULES = (
    "bench_histogram", "bench_wasserstein", "bench_knn", "bench_index", "bench_transport",
    "bench_emd_calls", "bench_proof", "bench_palette", "bench_color_transfer", "bench_ssim",
    "bench_comparison",
)  # fmt: skip
MEANS = (
    Mean("histogram, 1 MP uint8, 256 bins", "cv2.calcHist", 1.3, 3),
    Mean("transport, random points, ", "POT core", 4, 7),
)
RESULTS = Path(__file__).parent / "results"
PACKAGES = ("numpy", "scipy", "POT", "opencv-python-headless", "scikit-image", "pillow")


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


Row = dict[str, Any]


def rows_of(case: Case | Figure) -> list[Row]:
    """Measure: one row per comparison, with the figure, its bar, and whether it is met."""
    return [_figure_row(case)] if isinstance(case, Figure) else _time_rows(case, measure(case))


def _figure_row(figure: Figure) -> Row:
    value = figure.value()
    return {
        "case": figure.name, "ours": value, "peer": "", "theirs": None, "ratio": None,
        "bar": f"<= {format_value(figure.at_most, figure.unit)}", "met": value <= figure.at_most,
        "unit": figure.unit,
    }  # fmt: skip


def _time_rows(case: Case, seconds: dict[str, float]) -> list[Row]:
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


def mean_row(mean: Mean, rows: list[Row]) -> Row | None:
    """Return the row of a mean, if all its cases were measured."""
    ratios = [
        row["ratio"]
        for row in rows
        if row["case"].startswith(mean.cases) and row["peer"] == mean.peer
    ]
    if len(ratios) != mean.count:
        return None
    ratio = math.prod(ratios) ** (1 / len(ratios))
    return {
        "case": f"{mean.cases.rstrip(', ')}, mean", "ours": None, "peer": mean.peer,
        "theirs": None, "ratio": ratio, "bar": f">= {mean.faster:g}x",
        "met": ratio >= mean.faster,
    }  # fmt: skip


def format_value(value: float | None, unit: str) -> str:
    """Three digits; seconds with a fitting unit."""
    if unit == "s" or value is None:
        return format_seconds(value)
    return f"{value:.3g} {unit}".rstrip()


def format_seconds(seconds: float | None) -> str:
    """Three digits with a fitting unit."""
    if seconds is None:
        return ""
    for factor, unit in ((1, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns")):
        if abs(seconds) >= factor:
            return f"{seconds / factor:.3g} {unit}"
    return f"{seconds:.3g} s"


def table(rows: list[Row]) -> str:
    """Markdown."""
    head = ("case", "ours", "against", "theirs", "ratio", "bar", "met")
    lines = [head, tuple("---" for _ in head)]
    for row in rows:
        met = {True: "yes", False: "NO", None: ""}[row["met"]]
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.3g}x"
        lines.append(
            (row["case"], format_value(row["ours"], row.get("unit", "s")), row["peer"],
             format_seconds(row["theirs"]), ratio, row["bar"], met)
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
    rows: list[Row] = []
    for name in MODULES:
        for case in importlib.import_module(f"benchmarks.{name}").CASES:
            if given.only in case.name:
                rows += rows_of(case)
    rows += [row for mean in MEANS if (row := mean_row(mean, rows)) is not None]
    about = machine()
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    print()
    print(table(rows))
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps({"machine": about, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
