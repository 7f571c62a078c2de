"""Pictures made of pixels: where two images agree in structure."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

__all__ = ["LONGEST", "similarity_picture"]

LONGEST = 640  # pixels of the longer side of a picture

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
    picture.thumbnail((LONGEST, LONGEST), Image.Resampling.BOX)
    # Few colours are enough for a scale, and make the file a third as long.
    buffer = io.BytesIO()
    picture.quantize(64, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
