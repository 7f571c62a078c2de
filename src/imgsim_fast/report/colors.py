"""Drawings of colours: the fullest bins of two colour histograms, and mass moving between palettes.

As in `figures`: numbers and fixed words only, so the markup needs no escaping.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from imgsim_fast.report.figures import LEFT, TOP, WIDTH, format_share, open_figure

__all__ = ["Colors", "color_bins_figure", "flow_figure"]

Colors = NDArray[np.uint8]
Shares = NDArray[np.float64]

_BAR_HEIGHT = 70.0  # of the longest bar
_RIGHT = 10.0
_COLUMN = 26.0  # width of a palette
_FLOW_HEIGHT = 220.0
_GAP = 2.0  # between two colours of a palette
_CURVE = 12  # points along the side of a band


def _fill(color: Sequence[int] | Colors) -> str:
    red, green, blue = (int(channel) for channel in color)
    return f"#{red:02x}{green:02x}{blue:02x}"


def color_bins_figure(ids: str, colors: Colors, first: Shares, second: Shares) -> str:
    """Bars in the colours of the bins: the first image upwards, the second downwards.

    Parameters
    ----------
    ids : str
        Prefix of the element ids, unique in the page.
    colors : ndarray of uint8, shape (n, 3)
        RGB of each bin drawn.
    first, second : ndarray, shape (n,)
        Shares of the pixels in these bins.
    """
    count = len(colors)
    top = max(float(first.max(initial=0)), float(second.max(initial=0)), 1e-300)
    base = TOP + _BAR_HEIGHT
    width = (WIDTH - LEFT - _RIGHT) / max(count, 1)
    covered = f"{format_share(float(first.sum()))} and {format_share(float(second.sum()))}"
    parts = [
        open_figure(
            ids,
            "bins",
            base + _BAR_HEIGHT + TOP,
            "The fullest colour bins of both images",
            f"{count} bins, which hold {covered} of the pixels; the longest bar is "
            f"{format_share(top)}.",
        )
    ]
    for y, label in ((TOP, format_share(top)), (base + _BAR_HEIGHT, format_share(top))):
        parts.append(f'<path class="grid" d="M{LEFT:g} {y:g}H{WIDTH - _RIGHT:g}"/>')
        parts.append(f'<text x="{LEFT - 5:g}" y="{y + 4:g}" class="end">{label}</text>')
    for number, color in enumerate(colors):
        x = LEFT + number * width
        for share, upwards in ((float(first[number]), True), (float(second[number]), False)):
            length = share / top * _BAR_HEIGHT
            if length:
                y = base - length if upwards else base
                parts.append(
                    f'<rect class="swatch" x="{x + 0.5:.2f}" y="{y:.2f}" width="{width - 1:.2f}" '
                    f'height="{length:.2f}" fill="{_fill(color)}"/>'
                )
    parts.append(f'<path class="axis" d="M{LEFT:g} {base:g}H{WIDTH - _RIGHT:g}"/>')
    parts.append(f'<text x="{LEFT - 5:g}" y="{base + 4:g}" class="end">0</text>')
    return "".join(parts) + "</svg>"


def flow_figure(
    ids: str,
    first: tuple[Colors, Shares],
    second: tuple[Colors, Shares],
    flow: tuple[NDArray[np.int64], NDArray[np.int64], Shares],
) -> str:
    """Which colour mass moved where: two palettes, and bands as wide as what they carry.

    Parameters
    ----------
    ids : str
    first, second : (colors, shares)
        RGB of shape (n, 3), and shares that add up to 1.
    flow : (sources, targets, amounts)
        An optimal plan between the shares.
    """
    sources, targets, amounts = flow
    scale = _FLOW_HEIGHT - _GAP * (max(len(first[1]), len(second[1])) - 1)
    left = _column_places(first[1], scale)
    right = _column_places(second[1], scale)
    x1, x2 = _COLUMN, WIDTH - _COLUMN
    moved = len(amounts)
    parts = [
        open_figure(
            ids,
            "flow",
            _FLOW_HEIGHT + 2 * TOP,
            "How the colours of the first image become those of the second",
            f"{len(first[1])} colours on the left, {len(second[1])} on the right, {moved} bands "
            "between them, as wide as the share of the pixels that they carry.",
        )
    ]
    used = left.copy(), right.copy()
    gradients, bands = [], []
    # Along the targets, so that bands leave a colour without crossing each other.
    for band, at in enumerate(np.lexsort((targets, sources))):
        source, target, amount = int(sources[at]), int(targets[at]), float(amounts[at])
        thickness = amount * scale
        gradients.append(
            f'<linearGradient id="{ids}-g{band}"><stop offset="0" '
            f'stop-color="{_fill(first[0][source])}"/><stop offset="1" '
            f'stop-color="{_fill(second[0][target])}"/></linearGradient>'
        )
        points = _band(x1, used[0][source], x2, used[1][target], thickness)
        bands.append(f'<polygon class="band" points="{points}" fill="url(#{ids}-g{band})"/>')
        used[0][source] += thickness
        used[1][target] += thickness
    parts.append(f"<defs>{''.join(gradients)}</defs>{''.join(bands)}")
    for x, (colors, shares), places in ((0.0, first, left), (x2, second, right)):
        for color, share, y in zip(colors, shares, places, strict=True):
            height = float(share) * scale
            parts.append(
                f'<rect class="swatch" x="{x:g}" y="{y:.2f}" width="{_COLUMN:g}" '
                f'height="{height:.2f}" fill="{_fill(color)}"/>'
            )
    return "".join(parts) + "</svg>"


def _column_places(shares: Shares, scale: float) -> Shares:
    """Top of each colour."""
    gaps = _GAP * np.arange(len(shares))
    return np.asarray(TOP + np.concatenate([[0.0], np.cumsum(shares)[:-1]]) * scale + gaps)


def _band(x1: float, y1: float, x2: float, y2: float, thickness: float) -> str:
    """Corners of a band that leaves and arrives level."""
    t = np.linspace(0.0, 1.0, _CURVE + 1)
    y = y1 + (y2 - y1) * (3 - 2 * t) * t * t
    x = x1 + (x2 - x1) * t
    upper = [f"{a:.1f},{b:.2f}" for a, b in zip(x, y, strict=True)]
    lower = [f"{a:.1f},{b + thickness:.2f}" for a, b in zip(x[::-1], y[::-1], strict=True)]
    return " ".join(upper + lower)
