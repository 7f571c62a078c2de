"""The drawings of a report: grey histograms and the area between two CDFs, as inline SVG.

A figure is made of numbers and fixed words only; no file name ever reaches this module, so its
markup needs no escaping. Colours come from the page's style sheet by class name.

Curves are drawn in data units (bins across, 1/500 of the height up) with relative whole-number
steps and stretched to the plot by a transform: short text, exact steps, no drift.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "GreyAxis",
    "area_between",
    "cdf_figure",
    "format_share",
    "histogram_figure",
    "open_figure",
    "titled",
]

WIDTH = 340.0
LEFT, RIGHT = 38.0, 10.0  # room for the labels of the share axis, and for half a label at the end
PLOT_WIDTH = WIDTH - LEFT - RIGHT
TOP = 8.0
TICKS, AXIS_NAME = 20.0, 17.0  # height of the tick labels and of the axis name below them
LEVELS = 500  # vertical resolution of the paths: a quarter of a pixel
MOST_STEPS = 512  # more cannot be told apart at this size: finer histograms are drawn coarser

Shares = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class GreyAxis:
    """The common x axis: ``bins`` equal bins over the grey levels ``low`` to ``high``."""

    bins: int
    low: float
    high: float

    @property
    def bin_width(self) -> float:
        """Grey levels per bin."""
        return (self.high - self.low) / self.bins

    def ticks(self) -> list[tuple[float, str]]:
        """Position in bins and label of each tick."""
        if self.low == 0 and self.high in (255, 256):
            values = [0.0, 64.0, 128.0, 192.0, 255.0]
        else:
            values = round_values(self.low, self.high)
        return [((value - self.low) / self.bin_width, f"{value:.6g}") for value in values]


def round_values(low: float, high: float) -> list[float]:
    """Three to six round numbers from ``low`` to ``high``."""
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)]


def format_share(share: float) -> str:
    """Return a share of pixels as a percentage of two significant digits."""
    percent = 100 * share
    return f"{percent:.0f} %" if percent >= 10 else f"{percent:.2g} %"


def area_between(a: Shares, b: Shares, axis: GreyAxis) -> float:
    """Area between two CDFs in grey levels: W1 of the histograms they belong to."""
    return float(np.abs(np.cumsum(a - b)).sum() * axis.bin_width)


# ------------------------------------------------------------------ paths


def _coarser(values: Shares, *, cumulative: bool) -> tuple[list[int], Shares]:
    """Edges in bins and at most `MOST_STEPS` values: sums of shares, or the CDF at group ends."""
    group = -(-len(values) // MOST_STEPS)
    starts = np.arange(0, len(values), group)
    ends = np.append(starts[1:], len(values))
    drawn = values[ends - 1] if cumulative else np.add.reduceat(values, starts)
    return [0, *(int(end) for end in ends)], drawn


def _steps(edges: list[int], heights: list[int], start: int) -> Iterator[str]:
    """Path commands of a step curve to the right; equal neighbours become one step."""
    level, run = start, 0
    for left, right, height in zip(edges, edges[1:], heights, strict=False):
        if height != level:
            if run:
                yield f"h{run}"
            # y grows downwards in SVG.
            yield f"v{level - height}"
            level, run = height, 0
        run += right - left
    yield f"h{run}"


def _levels(values: Shares, top: float) -> list[int]:
    return [min(LEVELS, round(float(value) / top * LEVELS)) for value in values]


def _histogram_path(shares: Shares, top: float) -> str:
    """Outline of the bars, closed along the base line at y = 0."""
    edges, drawn = _coarser(shares, cumulative=False)
    return f"M0 0{''.join(_steps(edges, _levels(drawn, top), 0))}V0z"


def _cdf_path(edges: list[int], heights: list[int]) -> str:
    return f"M0 0{''.join(_steps(edges, heights, 0))}"


def _between_path(edges: list[int], a: list[int], b: list[int]) -> str:
    """Region between two step curves: right along the one, back along the other."""
    back_edges = [edges[-1] - edge for edge in reversed(edges)]
    # The way back is the mirrored curve walked to the right; its horizontal steps turn around.
    back = _steps(back_edges, b[::-1], a[-1])
    there = "".join(_steps(edges, a, 0))
    return f"M0 0{there}{''.join(s.replace('h', 'h-') for s in back)}z"


# ------------------------------------------------------------------ figures


def open_figure(ids: str, kind: str, height: float, title: str, description: str) -> str:
    """Begin a figure of the common width."""
    box = f'<svg class="figure {kind}" viewBox="0 0 {WIDTH:g} {height:g}" '
    return box + titled(ids, title, description)


def titled(ids: str, title: str, description: str) -> str:
    """Return the rest of an opening tag of SVG, and what it shows in words."""
    return (
        f'role="img" aria-labelledby="{ids}-t {ids}-d"><title id="{ids}-t">{title}</title>'
        f'<desc id="{ids}-d">{description}</desc>'
    )


def _x_axis(axis: GreyAxis, bottom: float, *, named: bool) -> str:
    scale = PLOT_WIDTH / axis.bins
    parts = [f'<path class="axis" d="M{LEFT:g} {bottom:g}h{PLOT_WIDTH:g}"/>']
    for at, label in axis.ticks():
        x = LEFT + at * scale
        parts.append(f'<path class="axis" d="M{x:.1f} {bottom:g}v4"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 15:g}" class="middle">{label}</text>')
    if named:
        x, y = LEFT + PLOT_WIDTH / 2, bottom + TICKS + AXIS_NAME - 5
        parts.append(f'<text x="{x:g}" y="{y:g}" class="middle">grey level, dark to light</text>')
    return "".join(parts)


def _grid_line(y: float, label: str) -> str:
    return (
        f'<path class="grid" d="M{LEFT:g} {y:g}h{PLOT_WIDTH:g}"/>'
        f'<text x="{LEFT - 5:g}" y="{y + 4:g}" class="end">{label}</text>'
    )


def _stretched(axis: GreyAxis, base: float, height: float, paths: str) -> str:
    """Paths in bins and `LEVELS`, put into the plot with y = 0 on the line ``base``."""
    across, up = PLOT_WIDTH / axis.bins, height / LEVELS
    return f'<g transform="translate({LEFT:g} {base:g}) scale({across:.6g} {up:.6g})">{paths}</g>'


def _scale_top(bars: list[Shares]) -> float:
    """Share at the top of the scale: the highest bar, unless that would flatten all others.

    One grey level often has a large share (a white background, a black border). Bars above three
    times what 95 % of the bars stay below are cut, and labelled.
    """
    drawn = np.concatenate([bar[bar > 0] for bar in bars])
    return float(min(drawn.max(), 3 * np.quantile(drawn, 0.95)))


def _cut_label(bars: Shares, top: float, y: float, arrow: str) -> str:
    """Height of the highest bar, beside it, if it is cut."""
    highest = int(bars.argmax())
    if float(bars[highest]) <= top:
        return ""
    place = (highest + 0.5) / len(bars)
    x, side = LEFT + place * PLOT_WIDTH, " end" if place > 0.5 else ""
    x += -5 if side else 5
    label = f"{arrow} {format_share(float(bars[highest]))}"
    return f'<text x="{x:.1f}" y="{y:g}" class="cut{side}">{label}</text>'


def histogram_figure(ids: str, axis: GreyAxis, query: Shares, match: Shares | None = None) -> str:
    """Histogram of the query, with the match's hanging back to back below the same base line.

    Parameters
    ----------
    ids : str
        Prefix of the element ids, unique in the page.
    axis : GreyAxis
        The bins.
    query, match : ndarray, shape (bins,)
        Shares of pixels, each adding up to 1.
    """
    both = [query] if match is None else [query, match]
    bars = [_coarser(shares, cumulative=False)[1] for shares in both]
    top = _scale_top(bars)
    height = 96.0 if match is None else 54.0
    base = TOP + height
    bottom = base if match is None else base + height
    whose = "query" if match is None else "query (upwards) and match (downwards)"
    highest = " and ".join(format_share(float(bar.max())) for bar in bars)
    parts = [
        open_figure(
            ids,
            "histogram",
            bottom + TICKS + (AXIS_NAME if match is None else 0),
            f"Grey histogram of the {whose}",
            f"Share of the pixels at each grey level; the highest bar is {highest} of the pixels.",
        ),
        _grid_line(TOP, format_share(top)),
        _stretched(axis, base, height, f'<path class="q" d="{_histogram_path(query, top)}"/>'),
        _cut_label(bars[0], top, TOP + 9, "↑"),
    ]
    if match is not None:
        # A negative height turns the bars upside down.
        path = f'<path class="m" d="{_histogram_path(match, top)}"/>'
        parts.append(_grid_line(bottom, format_share(top)))
        parts.append(_stretched(axis, base, -height, path))
        parts.append(_cut_label(bars[1], top, bottom - 4, "↓"))
        parts.append(f'<path class="axis" d="M{LEFT:g} {base:g}h{PLOT_WIDTH:g}"/>')
    parts.append(f'<text x="{LEFT - 5:g}" y="{base + 4:g}" class="end">0</text>')
    # With a match, the figure of the CDFs stands right below and names the common axis.
    parts.append(_x_axis(axis, bottom, named=match is None))
    return "".join(parts) + "</svg>"


def cdf_figure(ids: str, axis: GreyAxis, query: Shares, match: Shares, area: str) -> str:
    """Both CDFs with the area between them shaded; ``area`` is its size in words."""
    edges, drawn = _coarser(np.cumsum(query), cumulative=True)
    q = _levels(drawn, 1.0)
    m = _levels(_coarser(np.cumsum(match), cumulative=True)[1], 1.0)
    height = 116.0
    base = TOP + height
    paths = (
        f'<path class="between" d="{_between_path(edges, q, m)}"/>'
        f'<path class="q" d="{_cdf_path(edges, q)}"/><path class="m" d="{_cdf_path(edges, m)}"/>'
    )
    return "".join(
        [
            open_figure(
                ids,
                "cdf",
                base + TICKS + AXIS_NAME,
                "Cumulative distributions of query and match",
                "Share of the pixels at or below each grey level; "
                f"the shaded area between the two curves is {area}.",
            ),
            _grid_line(TOP, "100 %"),
            _grid_line(TOP + height / 2, "50 %"),
            f'<text x="{LEFT - 5:g}" y="{base + 4:g}" class="end">0</text>',
            _stretched(axis, base, height, paths),
            _x_axis(axis, base, named=True),
            "</svg>",
        ]
    )
