"""Measure the time of one transport problem over its size, and draw docs/pictures/emd-times.svg.

python -m benchmarks.plot_transport [--redraw] [--json FILE] [--picture FILE]

A contender is left out beyond the size at which a call takes half a second. A cross marks sizes at
which an answer was off by more than 0.01 percent.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import ot
from scipy.optimize import linear_sum_assignment
from scipy.stats import wasserstein_distance_nd

import imgsim_fast as isf
from benchmarks.case import OURS, Case, Instances, measure
from benchmarks.compare import RESULTS, machine
from benchmarks.transport_data import (
    Problem,
    as_signatures,
    instances,
    random_points,
    uniform_points,
)

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "emd-times.svg"
SIZES = (4, 8, 16, 32, 64, 128, 256, 512, 1024)
_MOST_SECONDS = 0.5
_WRONG = 1e-4

Call = Callable[[], Any]


@dataclass(frozen=True)
class Contender:
    """A way to solve a problem.

    Attributes
    ----------
    prepare : callable
        Problem -> call to be timed, as a user would have it ready.
    value : callable
        (What the call returns, problem) -> distance.
    """

    prepare: Callable[[Problem], Call]
    value: Callable[[Any, Problem], float]


def _as_is(answer: Any, _: Problem) -> float:
    return float(answer)


def _nd(problem: Problem) -> Call:
    return partial(wasserstein_distance_nd, problem.x, problem.y, *problem.shares)


FAST = Contender(lambda p: partial(isf.emd, *p.shares, p.cost), _as_is)
POT_CORE = Contender(Problem.pot_core, lambda answer, _: float(answer[1]))
GENERAL = {
    OURS: FAST,
    "POT core": POT_CORE,
    "ot.emd2": Contender(lambda p: partial(ot.emd2, *p.shares, p.cost), _as_is),
    "cv2.EMD": Contender(
        lambda p: partial(cv2.EMD, *as_signatures(p), cv2.DIST_L2),
        lambda answer, _: float(answer[0]),
    ),
    "SciPy wasserstein_distance_nd": Contender(_nd, _as_is),
}
UNIFORM = {
    OURS: FAST,
    "POT core": POT_CORE,
    "SciPy linear_sum_assignment": Contender(
        lambda p: partial(linear_sum_assignment, p.cost),
        lambda answer, p: float(p.cost[answer].sum()) / p.a.size,
    ),
}
PANELS = {
    "random weights": (GENERAL, random_points),
    "equal weights": (UNIFORM, uniform_points),
}

# ---- measuring ------------------------------------------------------------------------------


def measured(sizes: tuple[int, ...] = SIZES) -> dict[str, Any]:
    """Seconds and errors: panel -> contender -> points {n, seconds, error}."""
    panels = {}
    for title, (contenders, make) in PANELS.items():
        curves: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
        running = dict(contenders)
        for n in sizes:
            problems = make(n, instances(n))
            for name, point in _points(running, problems).items():
                curves[name].append({"n": n, **point})
                if point["seconds"] > _MOST_SECONDS / 4:  # the next size takes four times as long
                    del running[name]
        panels[title] = curves
    return {"machine": machine(), "panels": panels}


def _points(
    contenders: dict[str, Contender], problems: list[Problem]
) -> dict[str, dict[str, float]]:
    """Median seconds and largest relative error of each contender over the instances."""
    calls = {
        name: Instances(partial(lambda c: [c.prepare(p) for p in problems], contender))
        for name, contender in contenders.items()
    }
    proved = [isf.transport(*problem.shares, problem.cost) for problem in problems]
    assert all(plan.status == "optimal" and plan.gap <= 1e-12 for plan in proved)
    errors = {
        name: max(
            abs(contender.value(answer, problem) / plan.distance - 1)
            for answer, problem, plan in zip(calls[name](), problems, proved, strict=True)
        )
        for name, contender in contenders.items()
    }
    peers = {name: call for name, call in calls.items() if name != OURS}
    rounds = 11 if problems[0].a.size <= 64 else 3
    seconds = measure(Case("", calls[OURS], lambda: None, peers, rounds=rounds))
    return {name: {"seconds": seconds[name], "error": errors[name]} for name in contenders}


# ---- drawing --------------------------------------------------------------------------------

# Okabe and Ito's colours, which the colour-blind can tell apart; two of them darker.
_COLOURS = {
    OURS: "#0072B2",
    "POT core": "#D55E00",
    "ot.emd2": "#B8860B",
    "cv2.EMD": "#8F4A78",
    "SciPy wasserstein_distance_nd": "#00795A",
    "SciPy linear_sum_assignment": "#00795A",
}
_INK, _FAINT = "#24292F", "#D8DEE4"
_TICKS = {1e-6: "1 µs", 1e-5: "10 µs", 1e-4: "100 µs", 1e-3: "1 ms", 1e-2: "10 ms", 1e-1: "100 ms",
          1: "1 s"}  # fmt: skip
# Labels that would be in the way behind the end of their lines: the point that they belong to, how
# far from it they stand (in points of type), and what of them stands there.
_LABELS = {
    "ot.emd2": (0, (-3, 7), "left", "bottom"),
    "SciPy wasserstein_distance_nd": (-1, (-9, 0), "right", "center"),
    "SciPy linear_sum_assignment": (0, (-3, -9), "left", "top"),
}

_LINES = {"SciPy wasserstein_distance_nd": "SciPy\nwasserstein_distance_nd"}


def draw(results: dict[str, Any], picture: Path) -> None:
    """Write the picture, in the format of its name's ending."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    style = {"font.family": "DejaVu Sans", "font.size": 11, "svg.hashsalt": "imgsim_fast",
             "text.color": _INK, "axes.labelcolor": _INK, "xtick.color": _INK,
             "ytick.color": _INK, "axes.edgecolor": _INK}  # fmt: skip
    with mpl.rc_context(style):
        figure, axes = plt.subplots(
            1, 2, figsize=(9.6, 5.4), sharey=True, width_ratios=(1.14, 1), layout="constrained"
        )
        for axis, (title, curves) in zip(axes, results["panels"].items(), strict=True):
            _draw_panel(axis, title, curves)
        axes[0].set_ylabel("time of one call")
        figure.suptitle(
            "Exact Earth Mover's Distance between two sets of n points in the plane",
            x=0.01, ha="left", fontsize=14, fontweight="bold",
        )  # fmt: skip
        about = results["machine"]
        figure.supxlabel(
            f"{about['cpu']}, one thread. imgsim_fast {about['imgsim_fast']}, POT {about['POT']}, "
            f"SciPy {about['scipy']}, OpenCV {about['opencv-python-headless']}; medians. "
            "Crosses: answers off by more than 0.01 %.",
            x=0.01, ha="left", fontsize=9, color="#57606A",
        )  # fmt: skip
        picture.parent.mkdir(parents=True, exist_ok=True)
        stable = {"Date": None} if picture.suffix == ".svg" else {}
        figure.savefig(picture, dpi=100, facecolor="white", metadata=stable)
        plt.close(figure)


def _draw_panel(axis: Any, title: str, curves: dict[str, list[dict[str, float]]]) -> None:
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    axis.set_title(title, loc="left", fontsize=12)
    axis.set_xlabel("n")
    axis.set_xlim(3.2, 5600)  # room for the labels
    axis.set_ylim(1.3e-7, 1.2)
    axis.set_xticks(SIZES[::2], [f"{n:,}" for n in SIZES[::2]])
    axis.set_yticks(list(_TICKS), list(_TICKS.values()))
    axis.minorticks_off()
    axis.grid(color=_FAINT, linewidth=0.8)
    axis.set_axisbelow(True)
    axis.tick_params(length=0)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    for name, points in curves.items():
        _draw_curve(axis, name, points)
    _label(axis, curves)


def _draw_curve(axis: Any, name: str, points: list[dict[str, float]]) -> None:
    ours = name == OURS
    colour = _COLOURS[name]
    x, y = [point["n"] for point in points], [point["seconds"] for point in points]
    axis.plot(x, y, color=colour, linewidth=3.2 if ours else 1.8, zorder=4 if ours else 3,
              solid_capstyle="round")  # fmt: skip
    for wrong, marker, size in ((False, "o", 6 if ours else 4.5), (True, "X", 10)):
        chosen = [k for k, point in enumerate(points) if (point["error"] > _WRONG) == wrong]
        axis.plot(
            [x[k] for k in chosen], [y[k] for k in chosen], marker, color=colour, markersize=size,
            markeredgecolor="white" if wrong else colour, zorder=5,
        )  # fmt: skip


def _label(axis: Any, curves: dict[str, list[dict[str, float]]]) -> None:
    """Write the names beside the lines, moved apart where they would touch."""
    apart = 0.3  # decades
    below = -math.inf
    for name in sorted(
        curves.keys() - _LABELS.keys(), key=lambda name: curves[name][-1]["seconds"]
    ):
        last = curves[name][-1]
        below = max(math.log10(last["seconds"]), below + apart)
        wrong = [f"{point['n']:,}" for point in curves[name] if point["error"] > _WRONG]
        text = f"{name}\nwrong at n = {', '.join(wrong)}" if wrong else name
        _write(axis, name, text, (last["n"], 10**below), (9, 0), "left", "center")
    for name in curves.keys() & _LABELS.keys():
        k, offset, side, height = _LABELS[name]
        point = curves[name][k]
        _write(
            axis, name, _LINES.get(name, name), (point["n"], point["seconds"]), offset, side, height
        )


def _write(
    axis: Any, name: str, text: str, place: tuple[float, float], offset: tuple[float, float],
    side: str, height: str,
) -> None:  # fmt: skip
    axis.annotate(
        text, place, offset, textcoords="offset points", ha=side, va=height, color=_COLOURS[name],
        fontsize=12 if name == OURS else 10, fontweight="bold" if name == OURS else "normal",
        annotation_clip=False,
    )  # fmt: skip


def main() -> None:
    """Measure, write the numbers, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--redraw", action="store_true", help="take the numbers from the file")
    parser.add_argument("--json", type=Path, default=RESULTS / "emd-times.json")
    parser.add_argument("--picture", type=Path, default=PICTURE, help="ends in .svg or .png")
    given = parser.parse_args()
    if not given.redraw:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(measured(), indent=2) + "\n")
    draw(json.loads(given.json.read_text()), given.picture)


if __name__ == "__main__":
    main()
