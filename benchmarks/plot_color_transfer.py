"""Draw docs/pictures/color-transfer.png and docs/pictures/barycenters.svg from rendered scenes.

python -m benchmarks.plot_color_transfer [--folder FOLDER]
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import imgsim_fast as isf
from imgsim_fast import demo

PICTURES = Path(__file__).resolve().parents[1] / "docs" / "pictures"
SIZE = (264, 176)
PARTS = (0.0, 0.25, 0.5, 0.75, 1.0)

_INK, _FAINT = "#24292F", "#57606A"
_STYLE = {"font.family": "DejaVu Sans", "font.size": 10, "svg.hashsalt": "imgsim_fast",
          "text.color": _INK, "axes.labelcolor": _INK, "xtick.color": _INK,
          "ytick.color": _INK}  # fmt: skip


def scene(kind: str, number: int) -> np.ndarray:
    """Return a picture of the kind that the gallery of ``imgsim demo`` has."""
    canvas = demo._Canvas(np.random.default_rng([number, 7]), SIZE)
    return (np.clip(demo.SCENES[kind](canvas), 0, 1) * 255 + 0.5).astype(np.uint8)


def strip(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return its palette, dark to light, each colour as wide as its weight."""
    palette = isf.color_palette(image, 12)
    order = np.argsort(palette.points[:, 0])
    ends = np.rint(np.cumsum(palette.weights[order]) * width).astype(int)
    at = np.searchsorted(ends, np.arange(width), side="right")
    return np.broadcast_to(palette.rgb[order][np.minimum(at, len(order) - 1)], (height, width, 3))


# ---- pictures given other colours ------------------------------------------------------------


def draw_transfer(path: Path) -> None:
    """Two rows: four pictures of one transfer, five of one interpolation; palettes below each."""
    from matplotlib import pyplot as plt

    image, reference = scene("dunes", 6), scene("sea", 3)
    first = {
        "image": image,
        "reference": reference,
        "each channel on its own": isf.transfer_color(image, reference, method="channels"),
        "joint colours (sliced)": isf.transfer_color(image, reference),
    }
    hills, sunset = scene("hills", 2), scene("sea", 7)
    second = {f"t = {t:g}": isf.interpolate_images(hills, sunset, t) for t in PARTS}
    second["image2"] = sunset
    figure = plt.figure(figsize=(9.6, 4.5))
    _label(figure, 0.953, "isf.transfer_color(image, reference)")
    _row(figure, first, top=0.925)
    _label(figure, 0.393, "isf.interpolate_images(image1, image2, t)")
    _row(figure, second, top=0.365)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=100, facecolor="white")
    plt.close(figure)
    Image.open(drawn).convert("RGB").save(path, optimize=True)


def _label(figure: Any, y: float, text: str) -> None:
    figure.text(0.012, y, text, fontsize=11, family="DejaVu Sans Mono", fontweight="bold")


def _row(figure: Any, pictures: dict[str, np.ndarray], top: float) -> None:
    """Pictures of one width, side by side, each with its palette and its name below."""
    wide, high = figure.get_size_inches()
    margin, gap = 0.012, 0.010
    width = (1 - 2 * margin - gap * (len(pictures) - 1)) / len(pictures)
    tall = width * wide / high * SIZE[1] / SIZE[0]
    for number, (name, picture) in enumerate(pictures.items()):
        left = margin + number * (width + gap)
        axis = figure.add_axes((left, top - tall, width, tall))
        axis.imshow(picture, interpolation="lanczos", aspect="auto")
        axis.set_axis_off()
        axis = figure.add_axes((left, top - tall - 0.046, width, 0.034))
        axis.imshow(strip(picture, 600, 1), interpolation="nearest", aspect="auto")
        axis.set_axis_off()
        figure.text(left, top - tall - 0.084, name, fontsize=9, color=_FAINT)


# ---- barycentres -----------------------------------------------------------------------------


_FINE = 16  # bins of a level: fine enough that the steps of the bins do not show


def bump(middle: float, wide: float) -> np.ndarray:
    """Return the masses of a bell over the levels 0 ... 255, in fine bins."""
    return np.exp(-0.5 * (((np.arange(256 * _FINE) + 0.5) / _FINE - middle) / wide) ** 2)


def draw_barycenters(path: Path) -> None:
    """Between two histograms: what mixing them gives, and what moving their mass gives."""
    from matplotlib import pyplot as plt

    a = bump(46, 11) + 0.55 * bump(92, 9)
    b = 0.6 * bump(176, 14) + bump(222, 8)
    a, b = a / a.sum(), b / b.sum()
    columns = {
        "the mean of histograms\n(1 - t) a + t b": lambda t: (1 - t) * a + t * b,
        "displacement interpolation\nisf.interpolate_1d(a, b, t)": lambda t: isf.interpolate_1d(
            a, b, t
        ),
    }
    figure, axes = plt.subplots(
        len(PARTS), 2, figsize=(9.6, 4.6), sharex=True, sharey=True,
        gridspec_kw={"hspace": 0.12, "wspace": 0.05, "left": 0.08, "right": 0.985, "top": 0.865,
                     "bottom": 0.1},
    )  # fmt: skip
    color = plt.get_cmap("viridis")
    for column, (title, between) in enumerate(columns.items()):
        for row, t in enumerate(PARTS):
            axis = axes[row, column]
            masses = between(t).reshape(256, _FINE).sum(axis=1)
            axis.fill_between(np.arange(256), masses, color=color(0.12 + 0.68 * t), lw=0, alpha=0.9)
            mean = float(masses @ np.arange(256))
            axis.plot([mean, mean], [0, 0.034], color=_INK, lw=0.9, ls=(0, (2, 2)))
            axis.set_xlim(0, 255)
            axis.set_ylim(0, 0.036)
            axis.set_yticks([])
            for side in ("left", "right", "top"):
                axis.spines[side].set_visible(False)
            axis.spines["bottom"].set_color("#D0D7DE")
            axis.tick_params(bottom=row == len(PARTS) - 1, color="#D0D7DE")
            axis.set_xticks([0, 64, 128, 192, 255])
            if column == 0:
                axis.set_ylabel(f"t = {t:g}", rotation=0, ha="right", va="center")
        axes[0, column].set_title(title, loc="left", fontsize=10.5, linespacing=1.5)
        axes[-1, column].set_xlabel("level (dashes: the mean)", color=_FAINT)
    figure.savefig(path, facecolor="white", metadata={"Date": None})
    plt.close(figure)


def main() -> None:
    """Draw both."""
    import matplotlib as mpl

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=PICTURES)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    mpl.use("agg")
    with mpl.rc_context(_STYLE):
        draw_transfer(folder / "color-transfer.png")
        draw_barycenters(folder / "barycenters.svg")


if __name__ == "__main__":
    main()
