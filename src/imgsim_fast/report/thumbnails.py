"""Small copies of images that a page can hold."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from imgsim_fast import images
from imgsim_fast.errors import ImageDecodeError, InvalidInputError
from imgsim_fast.orientation import upright_size

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["make_thumbnail", "read_small", "thumbnail_of"]


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


def read_small(path: str, longest: int) -> tuple[Image, tuple[int, int]]:
    """Read an image, upright, in no more pixels than a page shows; and its width and height.

    Parameters
    ----------
    path : str
    longest : int
        Longest side in pixels of the image returned; smaller ones keep their size.

    Raises
    ------
    ImageDecodeError
        The file cannot be read.
    """
    from PIL import Image

    image = images.open_pixels(images.read_source(path))
    size = upright_size(image)
    if max(size) > longest:  # first of all: each copy of a large photograph is 100 MB
        scale = longest / max(size)
        smaller = [max(1, round(side * scale)) for side in image.size]
        image = image.resize(smaller, Image.Resampling.LANCZOS, reducing_gap=2.0)
    return images.upright(image), size


def thumbnail_of(path: str, size: int = 320) -> bytes:
    """Return nothing for a file that has gone or changed for the worse since it was indexed."""
    try:
        return make_thumbnail(read_small(path, size)[0], size)
    except ImageDecodeError:
        return b""
