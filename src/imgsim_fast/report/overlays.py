"""Pictures made of pixels: where two images agree in structure, and which points of them match."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["match_picture", "similarity_picture"]

Pixels = NDArray[np.uint8]

_LONGEST = 480  # pixels of the longer side of a picture
_GAP = 8  # between two images side by side
_MOST_LINES = 200

# From what differs to what agrees: dark violet, orange, near white; each step is lighter than the
# one before, so that the map can be read without its colours.
_SCALE_AT = (0.0, 0.35, 0.7, 0.9, 1.0)
_SCALE = ((38, 12, 81), (150, 38, 103), (237, 105, 37), (252, 187, 90), (252, 253, 245))


def similarity_picture(values: NDArray[np.float64]) -> bytes:
    """Draw a map of structural similarity as PNG: dark where the images differ.

    Parameters
    ----------
    values : ndarray, shape (h, w)
        Local similarity; what is below 0 is drawn as 0.
    """
    from PIL import Image

    clipped = np.clip(values, 0.0, 1.0)
    channels = [
        np.interp(clipped, _SCALE_AT, [color[channel] for color in _SCALE]) for channel in range(3)
    ]
    picture = Image.fromarray(np.rint(np.dstack(channels)).astype(np.uint8))
    picture.thumbnail((_LONGEST, _LONGEST), Image.Resampling.BOX)
    # Few colours are enough for a scale, and make the file a third as long.
    return _encoded(picture.quantize(64, dither=Image.Dither.NONE), "PNG")


def match_picture(
    first: Pixels, second: Pixels, points1: NDArray[np.float64], points2: NDArray[np.float64]
) -> bytes:
    """Draw two images side by side with lines between matching points, as JPEG.

    Parameters
    ----------
    first, second : ndarray of uint8, shape (h, w, 3)
    points1, points2 : ndarray, shape (m, 2)
        Matching points (x, y) in pixels of their image; at most 200 are drawn, evenly chosen.
    """
    from PIL import Image, ImageDraw

    height = min(_LONGEST // 2, max(len(first), len(second)))
    scales = [height / len(first), height / len(second)]
    pictures = [
        Image.fromarray(image).resize(
            (max(1, round(image.shape[1] * scale)), height), Image.Resampling.LANCZOS
        )
        for image, scale in zip((first, second), scales, strict=True)
    ]
    offset = pictures[0].width + _GAP
    canvas = Image.new("RGB", (offset + pictures[1].width, height), "white")
    canvas.paste(pictures[0], (0, 0))
    canvas.paste(pictures[1], (offset, 0))
    drawing = ImageDraw.Draw(canvas)
    chosen = np.linspace(0, len(points1) - 1, min(len(points1), _MOST_LINES)).astype(np.int64)
    for number, at in enumerate(chosen):
        x1, y1 = (float(value) * scales[0] for value in points1[at])
        x2, y2 = (float(value) * scales[1] for value in points2[at])
        color = f"hsl({number * 137 % 360}, 95%, 55%)"  # neighbours in the list get far colours
        drawing.line((x1, y1, x2 + offset, y2), fill=color, width=1)
        for x, y in ((x1, y1), (x2 + offset, y2)):
            drawing.ellipse((x - 2, y - 2, x + 2, y + 2), outline=color)
    return _encoded(canvas, "JPEG", quality=85)


def _encoded(picture: Image.Image, form: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, optimize=True, **options)
    return buffer.getvalue()
