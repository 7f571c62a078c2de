"""Give one picture the colours of another one, a part of the way or wholly.

    python examples/transfer_colors.py IMAGE REFERENCE RESULT [PART]

PART is 0 ... 1, by default 1. RESULT is overwritten; the palettes of all three are printed.
"""

from __future__ import annotations

import sys

import numpy as np
from PIL import Image

import imgsim_fast as isf


def in_words(image: np.ndarray, colors: int = 5) -> str:
    """Return the main colours of an image: share and hexadecimal code."""
    palette = isf.color_palette(image, colors)
    return "  ".join(
        f"{weight:4.0%} #{bytes(rgb).hex()}"
        for weight, rgb in zip(palette.weights, palette.rgb, strict=True)
    )


def main(image_file: str, reference_file: str, result_file: str, part: str = "1") -> None:
    """Read two files, write one."""
    image, reference = (isf.decode(file, mode="rgb") for file in (image_file, reference_file))
    result = isf.interpolate_images(image, reference, float(part), method="sliced")
    Image.fromarray(result).save(result_file)
    for name, pixels in (("image", image), ("reference", reference), ("result", result)):
        print(f"{name:>9}: {in_words(pixels)}")


if __name__ == "__main__":
    if not 4 <= len(sys.argv) <= 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
