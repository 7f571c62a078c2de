"""Which way up an image is: its EXIF orientation (Exif 2.3, tag 274), or the XMP twin of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from imgsim_fast._pillow import Quiet, pillow
from imgsim_fast.errors import ImageDecodeError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["METADATA_KEYS", "upright", "upright_size"]

_TAG: Final = 0x0112
METADATA_KEYS: Final = ("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif")
_UPRIGHT: Final = 1
_FIRST_TURNED_BY_90: Final = 5

# Pillow's names of what undoes the orientations 2 to 8.
_TURNS: Final = (
    "FLIP_LEFT_RIGHT",
    "ROTATE_180",
    "FLIP_TOP_BOTTOM",
    "TRANSPOSE",
    "ROTATE_270",
    "TRANSVERSE",
    "ROTATE_90",
)


def upright(image: Image) -> Image:
    """Turn an image from `open_pixels` the way its EXIF orientation says.

    Parameters
    ----------
    image : PIL.Image.Image
        Loaded image with its metadata.

    Returns
    -------
    PIL.Image.Image
        The same object when there is nothing to turn, else a new one without the metadata that
        say so. Unreadable metadata counts as upright: it
        is no reason to refuse good pixels.
    """
    orientation = _orientation(image)
    if orientation == _UPRIGHT:
        return image
    with Quiet():
        try:
            turned: Image = image.transpose(pillow().Transpose[_TURNS[orientation - 2]])
        except MemoryError as error:
            raise ImageDecodeError("out of memory") from error
    for key in METADATA_KEYS:  # else somebody would turn it again
        turned.info.pop(key, None)
    return turned


def upright_size(image: Image) -> tuple[int, int]:
    """Return width and height of the upright image, without turning it."""
    if _orientation(image) >= _FIRST_TURNED_BY_90:
        return image.height, image.width
    return image.width, image.height


def _orientation(image: Image) -> int:
    if not any(key in image.info for key in METADATA_KEYS):
        return _UPRIGHT
    with Quiet():
        try:
            orientation = image.getexif().get(_TAG, _UPRIGHT)
        except Exception:  # Pillow raises anything on damaged metadata
            return _UPRIGHT
    return orientation if isinstance(orientation, int) and 2 <= orientation <= 8 else _UPRIGHT
