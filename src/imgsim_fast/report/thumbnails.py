"""Small copies of images that a page can hold."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from imgsim_fast import images
from imgsim_fast.errors import ImageDecodeError, InvalidInputError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["make_thumbnail", "thumbnail_of"]


def make_thumbnail(image: Image, size: int = 320) -> bytes:
    """Encode a small JPEG of the image, without a trace of its metadata.

    Parameters
    ----------
    image : PIL.Image.Image
        Of any mode; is not changed. Its EXIF orientation is applied, transparency becomes white.
    size : int
        Longest side in pixels; smaller images keep their size.
    """
    from PIL import Image, ImageOps

    if size < 1:
        raise InvalidInputError(f"size must be at least 1, not {size}")
    try:
        small = ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF fails in many ways; the pixels are good all the same
        small = image.copy()
    if small.mode.startswith("I") or small.mode == "F":
        small = _to_eight_bits(small)
    elif small.has_transparency_data:
        small = small.convert("RGBA")
        # Before scaling, which would mix the colour of transparent pixels into the edges.
        small = Image.alpha_composite(Image.new("RGBA", small.size, "white"), small)
    small = small.convert("RGB")
    small.thumbnail((size, size), Image.Resampling.LANCZOS)
    # Savers take comments and profiles from `info`: save pixels that have none.
    clean = Image.fromarray(np.asarray(small))
    buffer = io.BytesIO()
    clean.save(buffer, "JPEG", quality=82, optimize=True)
    return buffer.getvalue()


def _to_eight_bits(image: Image) -> Image:
    """Scale deep images as a whole; converting them with Pillow alone would clip."""
    from PIL import Image

    values = np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=65535, neginf=0)
    low, high = float(values.min()), float(values.max())
    if image.mode.startswith("I;16") or (low >= 0 and 255 < high <= 65535):
        low, high = 0.0, 65535.0
    elif low >= 0 and high <= 255:
        low, high = 0.0, 255.0
    scale = 255 / max(high - low, 1e-300)
    return Image.fromarray(np.rint((values - low) * scale).astype(np.uint8))


def thumbnail_of(path: str, size: int = 320) -> bytes:
    """Return nothing for a file that has gone or changed for the worse since it was indexed."""
    try:
        return make_thumbnail(images.upright(images.open_pixels(images.read_source(path))), size)
    except ImageDecodeError:
        return b""
