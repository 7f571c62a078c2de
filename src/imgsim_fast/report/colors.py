"""Drawings of colours: the fullest bins of two colour histograms, and mass moving between palettes.

As in `figures`: numbers and fixed words only, so the markup needs no escaping.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgsim_fast.report.figures import LEFT, TOP, WIDTH, format_share, open_figure

__all__ = ["ColorBins", "ColorFlow", "Colors", "Palette", "color_bins_figure", "flow_figure"]

Colors = NDArray[np.uint8]
Shares = NDArray[np.float64]
Palette = tuple[Colors, Shares]

_RIGHT = 10.0
_COLUMN = 26.0  # width of a palette
_IMAGES = ("first image", "second image")


def _fill(color: Sequence[int] | Colors) -> str:
    red, green, blue = (int(channel) for channel in color)
    return f"#{red:02x}{green:02x}{blue:02x}"


class ColorFlow(NamedTuple):
    """A plan that turns the colours of one image into those of another.

    Attributes
    ----------
    first, second : (colors, shares)
        RGB of shape (n, 3), uint8, and shares of the pixels.
    sources, targets, amounts : ndarray
        Which share goes from which colour of the first to which of the second.
    bands : int
        How many moves the whole plan has, if not all are here.
    """

    first: Palette
    second: Palette
    sources: NDArray[np.int64]
    targets: NDArray[np.int64]
    amounts: Shares
    bands: int


class ColorBins(NamedTuple):
    """The fullest colour bins of two images.

    Attributes
    ----------
    colors : ndarray of uint8, shape (n, 3)
        RGB of each bin.
    first, second : ndarray, shape (n,)
        Shares of the pixels in these bins.
    total : int
        How many bins there are, empty ones included.
    """

    colors: Colors
    first: Shares
    second: Shares
    total: int


def color_bins_figure(
    ids: str, bins: ColorBins, bar: float = 70.0, whose: tuple[str, str] = _IMAGES
) -> str:
    """Bars in the colours of the bins: the first image upwards, the second downwards.

    Parameters
    ----------
    ids : str
        Prefix of the element ids, unique in the page.
    bins : ColorBins
    bar : float
        Height of the longest bar.
    whose : (str, str)
        What to call the images: fixed words, not names.
    """
    colors, first, second, _ = bins
    count = len(colors)
    top = max(float(first.max(initial=0)), float(second.max(initial=0)), 1e-300)
    base = TOP + bar
    width = (WIDTH - LEFT - _RIGHT) / max(count, 1)
    covered = f"{format_share(float(first.sum()))} and {format_share(float(second.sum()))}"
    parts = [
        open_figure(
            ids,
            "bins",
            base + bar + TOP,
            f"The fullest colour bins of the {whose[0]} and the {whose[1]}",
            f"{count} bins, which hold {covered} of the pixels; the longest bar is "
            f"{format_share(top)}.",
        )
    ]
    for y, label in ((TOP, format_share(top)), (base + bar, format_share(top))):
        parts.append(f'<path class="grid" d="M{LEFT:g} {y:g}H{WIDTH - _RIGHT:g}"/>')
        parts.append(f'<text x="{LEFT - 5:g}" y="{y + 4:g}" class="end">{label}</text>')
    parts.append('<g class="swatches">')
    for number, color in enumerate(colors):
        x = LEFT + number * width
        for share, upwards in ((float(first[number]), True), (float(second[number]), False)):
            length = share / top * bar
            if length:
                y = base - length if upwards else base
                parts.append(
                    f'<rect x="{x + 0.5:.2f}" y="{_short(y)}" width="{width - 1:.2f}" '
                    f'height="{_short(length)}" fill="{_fill(color)}"/>'
                )
    parts.append(f'</g><path class="axis" d="M{LEFT:g} {base:g}H{WIDTH - _RIGHT:g}"/>')
    parts.append(f'<text x="{LEFT - 5:g}" y="{base + 4:g}" class="end">0</text>')
    return "".join(parts) + "</svg>"


def flow_figure(
    ids: str, moved: ColorFlow, height: float = 220.0, whose: tuple[str, str] = _IMAGES
) -> str:
    """Which colour mass moved where: two palettes, and bands as wide as what they carry.

    Parameters
    ----------
    ids : str
        Prefix of the element ids, unique in the page.
    moved : ColorFlow
    height : float
        Of the drawing.
    whose : (str, str)
        What to call the images: fixed words, not names.
    """
    (colors1, shares1), (colors2, shares2) = moved.first, moved.second
    most = max(len(shares1), len(shares2))
    # Between two colours of a palette; hundreds of them leave room for themselves.
    gap = min(height / 110, height / 4 / max(most - 1, 1))
    total = max(float(shares1.sum()), float(shares2.sum()), 1e-300)
    scale = (height - gap * (most - 1)) / total
    left, right = _column_places(shares1, scale, gap), _column_places(shares2, scale, gap)
    carried = ""
    if moved.bands > len(moved.amounts):
        of = format_share(float(moved.amounts.sum()))
        carried = f" They are some of {moved.bands:,} bands, and carry {of} of the pixels."
    parts = [
        open_figure(
            ids,
            "flow",
            height + 2 * TOP,
            f"How the colours of the {whose[0]} become those of the {whose[1]}",
            f"{len(shares1)} colours on the left, {len(shares2)} on the right, "
            f"{len(moved.amounts)} bands between them, as wide as the share of the pixels that "
            f"they carry, at most {format_share(float(moved.amounts.max(initial=0)))}.{carried}",
        )
    ]
    x1, x2 = _COLUMN, WIDTH - _COLUMN
    used = left.copy(), right.copy()
    gradients, bands = [], []
    # Along the targets, so that bands leave a colour without crossing each other.
    for band, at in enumerate(np.lexsort((moved.targets, moved.sources))):
        source, target = int(moved.sources[at]), int(moved.targets[at])
        thickness = float(moved.amounts[at]) * scale
        gradients.append(
            f'<linearGradient id="{ids}-{band}"><stop stop-color="{_fill(colors1[source])}"/>'
            f'<stop offset="1" stop-color="{_fill(colors2[target])}"/></linearGradient>'
        )
        path = _band(x1, used[0][source], x2, used[1][target], thickness)
        bands.append(f'<path fill="url(#{ids}-{band})" d="{path}"/>')
        used[0][source] += thickness
        used[1][target] += thickness
    parts.append(f'<defs>{"".join(gradients)}</defs><g class="bands">{"".join(bands)}</g>')
    parts.append('<g class="swatches">')
    for x, (colors, shares), places in ((0.0, moved.first, left), (x2, moved.second, right)):
        for color, share, y in zip(colors, shares, places, strict=True):
            parts.append(
                f'<rect x="{x:g}" y="{_short(y)}" width="{_COLUMN:g}" '
                f'height="{_short(float(share) * scale)}" fill="{_fill(color)}"/>'
            )
    return "".join(parts) + "</g></svg>"


def _column_places(shares: Shares, scale: float, gap: float) -> Shares:
    """Top of each colour."""
    gaps = gap * np.arange(len(shares))
    return np.asarray(TOP + np.concatenate([[0.0], np.cumsum(shares)[:-1]]) * scale + gaps)


def _band(x1: float, y1: float, x2: float, y2: float, thickness: float) -> str:
    """Outline of a band that leaves and arrives level: y follows 3 t^2 - 2 t^3, exactly."""
    near, far = x1 + (x2 - x1) / 3, x2 - (x2 - x1) / 3
    return (
        f"M{x1:g} {_short(y1)}C{near:g} {_short(y1)} {far:g} {_short(y2)} {x2:g} {_short(y2)}"
        f"v{_short(thickness)}"
        f"C{far:g} {_short(y2 + thickness)} {near:g} {_short(y1 + thickness)} "
        f"{x1:g} {_short(y1 + thickness)}z"
    )


def _short(number: float) -> str:
    """Return a length to a hundredth of a pixel, in as few letters as say it."""
    return f"{number:.2f}".rstrip("0").rstrip(".")
