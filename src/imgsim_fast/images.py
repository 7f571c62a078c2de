"""The one image reader: encoded bytes in, upright 8-bit pixels out, by fixed and stated rules.

Pillow decodes; this module decides what is read and what the numbers mean. Files are read here
(regular files only, size limited, never blocking), the format is chosen by content from a short
list, the size is known before any pixel is decoded, and everything that hostile data can make
Pillow raise becomes one `ImageDecodeError` with a one-line reason. The pixel rules are in
``docs/images.md``; whatever depends on them stores `DECODER` and refuses to mix.

Pillow is imported at first use, so that importing this module costs nothing over NumPy.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import operator
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from imgsim_fast._pillow import Quiet, clean, decode_error, named, one_line, pillow
from imgsim_fast.errors import (
    ImageDecodeError,
    ImageTooLargeError,
    InvalidInputError,
    InvalidTypeError,
)
from imgsim_fast.orientation import METADATA_KEYS, upright

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

__all__ = [
    "DECODER",
    "FORMATS",
    "MAX_BYTES",
    "MAX_PIXELS",
    "decode",
    "looks_like_image",
    "open_pixels",
    "read_file",
    "to_grey",
    "upright",
]

# What an index stores about its pixels. ``rules`` grows whenever the pixels of any file may change.
DECODER: Final[dict[str, object]] = {
    "name": "pillow",
    "rules": 1,
    "grey": "(19595*R + 38470*G + 7471*B + 32768) >> 16",
    "alpha": [255, 255, 255],
    "depth": "16-bit grey rounded, 16-bit colour high byte",
    "orientation": "exif",
    "frame": "first",
    "icc": "ignored",
}

MAX_PIXELS: Final = 89_478_485  # Pillow's own warning threshold: below it Pillow stays silent
MAX_BYTES: Final = 512 * 2**20
FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")

_PILLOW_MAX_PIXELS: Final = 178_956_970  # above it Pillow refuses, whatever we ask for
_WHITE: Final = (255, 255, 255)
_BAND_PIXELS: Final = 2**20  # conversions work on bands of rows, so that temporaries stay small
_BLOCK_PIXELS: Final = 2**15  # to_grey works on blocks that stay in the L2 cache
_READ_CHUNK: Final = 2**20
_HEADER_BYTES: Final = 16
_OPEN_FLAGS: Final = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)  # a FIFO without a writer would block the open
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)

_SIGNATURES: Final = (
    ("JPEG", re.compile(rb"\xff\xd8\xff")),
    ("PNG", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("WEBP", re.compile(rb"RIFF....WEBP", re.DOTALL)),
    ("GIF", re.compile(rb"GIF8[79]a")),
    # "BM" alone starts many a text; the size of the second header follows and has few values.
    ("BMP", re.compile(rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\x00", re.DOTALL)),
    ("TIFF", re.compile(rb"II[\x2a\x2b]\x00|MM\x00[\x2a\x2b]")),
)

# ISO media files: HEIF, HEIC and AVIF.
_ISO_IMAGE = re.compile(rb"....ftyp(heic|heix|hevc|heim|heis|mif1|msf1|avif|avis)", re.DOTALL)

_FILE_KINDS: Final = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


# --- Reading files ------------------------------------------------------------------------------


def read_file(
    path: str | bytes | os.PathLike[Any], *, max_bytes: int = MAX_BYTES
) -> tuple[bytes, os.stat_result]:
    """Read one regular file without ever blocking or reading more than a limit.

    Parameters
    ----------
    path : str, bytes or os.PathLike
        Any name the operating system accepts; bytes need not be valid in any encoding.
    max_bytes : int
        Larger files are refused before anything is read, and a file that grows beyond the limit
        while it is being read is refused too.

    Returns
    -------
    data : bytes
        The contents.
    status : os.stat_result
        Of the opened file, taken before reading.

    Raises
    ------
    ImageDecodeError
        The file is not a regular file or cannot be read; ``reason`` is short.
    ImageTooLargeError
        The file has more than `max_bytes` bytes.
    """
    max_bytes = _positive("max_bytes", max_bytes)
    try:
        name = os.fspath(path)
    except TypeError:
        raise InvalidTypeError(
            f"path: expected str, bytes or os.PathLike, got {type(path).__name__}"
        ) from None
    try:
        descriptor = os.open(name, _OPEN_FLAGS)
    except OSError as error:
        raise ImageDecodeError(_open_failure(name, error)) from error
    except ValueError as error:  # an embedded NUL, or a str that no file name can encode
        raise ImageDecodeError(one_line(error)) from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ImageDecodeError(f"not a regular file ({_kind(status.st_mode)})")
        _check_bytes(status.st_size, max_bytes)
        # Files of /proc say that they are empty.
        expected = status.st_size or _READ_CHUNK
        return _read_all(functools.partial(os.read, descriptor), expected, max_bytes), status
    except OSError as error:
        raise ImageDecodeError(_os_reason(error)) from error
    finally:
        os.close(descriptor)


def _read_all(read: Callable[[int], bytes], expected: int, max_bytes: int) -> bytes:
    """Read to the end, however the size changes meanwhile, but at most one byte too many."""
    chunks: list[bytes] = []
    total, wanted = 0, expected + 1  # the common case: one read, and one that finds the end
    while chunk := read(min(wanted, max_bytes + 1 - total)):
        chunks.append(chunk)
        total += len(chunk)
        _check_bytes(total, max_bytes)
        wanted = _READ_CHUNK
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _stream_reader(stream: Any) -> Callable[[int], bytes]:
    def read(count: int) -> bytes:
        try:
            chunk = stream.read(count)
        except OSError as error:
            raise ImageDecodeError(_os_reason(error)) from error
        except ValueError as error:  # a closed file
            raise ImageDecodeError(one_line(error)) from error
        if not isinstance(chunk, bytes):
            raise InvalidTypeError(
                f"source: read() must return bytes, got {type(chunk).__name__}"
                " (is the file open in binary mode?)"
            )
        return chunk

    return read


def _check_bytes(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise ImageTooLargeError(f"{size} bytes or more, above the limit max_bytes={max_bytes}")


def _kind(mode: int) -> str:
    return _FILE_KINDS.get(stat.S_IFMT(mode), "of an unknown kind")


def _open_failure(name: str | bytes, error: OSError) -> str:
    """Say why a file could not be opened; a socket gives an errno that says nothing."""
    if error.errno == errno.ENXIO:
        with contextlib.suppress(OSError):
            return f"not a regular file ({_kind(os.stat(name).st_mode)})"
    return _os_reason(error)


def _os_reason(error: OSError) -> str:
    text = error.strerror or str(error) or type(error).__name__
    return clean(text[:1].lower() + text[1:])


# --- Decoding -----------------------------------------------------------------------------------


def looks_like_image(header: bytes) -> bool:
    """Tell whether the first 16 bytes of a file are those of a format that `decode` reads."""
    return _format_of(header) is not None


def _format_of(header: bytes) -> str | None:
    return next((name for name, signature in _SIGNATURES if signature.match(header)), None)


def decode(
    source: str | os.PathLike[Any] | bytes | bytearray | memoryview | Any,
    *,
    mode: str = "rgb",
    background: Sequence[int] = _WHITE,
    max_pixels: int = MAX_PIXELS,
    max_bytes: int = MAX_BYTES,
) -> NDArray[np.uint8]:
    """Decode one image to upright 8-bit pixels.

    Parameters
    ----------
    source : str, os.PathLike, bytes-like or binary file object
        A path, or the encoded image itself as bytes, or an object whose ``read`` gives them
        (read from where it stands). The format is found from the content, never from the name.
    mode : {"rgb", "grey"}
        Shape of the answer: ``(h, w, 3)`` or ``(h, w)``.
    background : three ints, 0 to 255
        The colour behind transparent pixels.
    max_pixels : int
        Limit on width times height, checked before any pixel is decoded.
    max_bytes : int
        Limit on the encoded size.

    Returns
    -------
    ndarray of uint8
        C-contiguous, owned by the caller, writable. EXIF orientation is applied.

    Raises
    ------
    ImageDecodeError
        The data is not an image of one of `FORMATS`, is damaged or truncated, or has no defined
        8-bit range; ``reason`` says so in one line.
    ImageTooLargeError
        The image or the file is above a limit.
    """
    if mode not in ("rgb", "grey"):
        raise InvalidInputError(f"mode: expected 'rgb' or 'grey', got {mode!r}")
    max_bytes = _positive("max_bytes", max_bytes)
    with named(source):
        data = read_source(source, max_bytes)
        image = open_pixels(data, background=background, max_pixels=max_pixels)
    try:
        return _as_array(upright(image), grey=mode == "grey")
    except MemoryError as error:
        raise ImageDecodeError("out of memory") from error


def read_source(source: Any, max_bytes: int = MAX_BYTES) -> bytes:
    """Return the encoded bytes of a path, of bytes, or of a binary file object."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        _check_bytes(source.nbytes if isinstance(source, memoryview) else len(source), max_bytes)
        return source if isinstance(source, bytes) else bytes(source)
    if isinstance(source, (str, os.PathLike)):
        return read_file(source, max_bytes=max_bytes)[0]
    if callable(getattr(source, "read", None)):
        return _read_all(_stream_reader(source), _READ_CHUNK, max_bytes)
    got = f"{type(source).__module__}.{type(source).__qualname__}"
    raise InvalidTypeError(f"source: expected a path, bytes or a binary file object, got {got}")


def open_pixels(
    data: bytes, *, background: Sequence[int] = _WHITE, max_pixels: int = MAX_PIXELS
) -> Image:
    """Decode the first frame to a Pillow image in mode "L" or "RGB", by every rule but one.

    The missing rule is the orientation: `upright` applies it to the answer. (Pillow has already
    applied that of a TIFF.) Plain grey and RGB files are handed out as Pillow decoded them,
    without a copy, so that indexing pays for nothing else.

    Parameters
    ----------
    data : bytes
        The encoded image.
    background : three ints, 0 to 255
        The colour behind transparent pixels.
    max_pixels : int
        Limit on width times height, checked before any pixel is decoded.

    Returns
    -------
    PIL.Image.Image
        Loaded; independent of `data`.

    Raises
    ------
    ImageDecodeError, ImageTooLargeError
        As `decode`.
    """
    behind = _colour(background)
    max_pixels = _positive("max_pixels", max_pixels)
    if max_pixels > _PILLOW_MAX_PIXELS:
        raise InvalidInputError(
            f"max_pixels: at most {_PILLOW_MAX_PIXELS} (Pillow's hard limit), got {max_pixels}"
        )
    form = _format_of(data[:_HEADER_BYTES])
    if not data:
        raise ImageDecodeError("empty file")
    if form is None and _ISO_IMAGE.match(data):
        raise ImageDecodeError("HEIF, HEIC and AVIF are not read: convert it to JPEG or PNG")
    if form is None:
        raise ImageDecodeError(f"not an image of a known format ({', '.join(FORMATS)})")
    with Quiet():
        try:
            return _open(data, form, behind, max_pixels)
        except ImageDecodeError:
            raise
        # Whatever else comes out of a decoder is a fact about the data: Pillow is known to raise
        # anything from struct.error to RecursionError.
        except Exception as error:
            raise decode_error(error, form, max_pixels) from error


def _open(data: bytes, form: str, background: tuple[int, ...], max_pixels: int) -> Image:
    pillow_image = pillow()
    if sys.modules["PIL.ImageFile"].LOAD_TRUNCATED_IMAGES:
        # Changing it back would race with whoever set it; decoding would pass off half an image.
        raise ImageDecodeError("PIL.ImageFile.LOAD_TRUNCATED_IMAGES is set, which hides damage")
    image = pillow_image.open(io.BytesIO(data), formats=(form,))
    _check_pixels(image.size, max_pixels)  # a WebP has its canvas by now, but no page of it is used
    if form == "TIFF":
        _check_preview(image)
        _check_tiles(image, max_pixels)
    # Pillow feeds its raw decoder blocks of 64 KiB and copies the unfinished row each time, which
    # is quadratic in the width: a WebP of 96 bytes, 2^24 wide, took 68 s.
    image.decodermaxblock = max(image.decodermaxblock, 8 * image.width)
    raw_mode = _raw_mode(image)
    image.load()
    if image.mode in ("RGB", "L") and "transparency" not in image.info:
        return cast("Image", image)
    pixels = _to_8_bit(image, raw_mode, background)
    for key in METADATA_KEYS:
        if key in image.info:
            pixels.info[key] = image.info[key]
    return pixels


def _check_pixels(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise ImageTooLargeError(
            f"{width} x {height} = {width * height} pixels, above the limit max_pixels={max_pixels}"
        )


def _check_preview(image: Any) -> None:
    """Refuse what begins with a small version of something else, as raw photographs do."""
    kind = image.tag_v2.get(254, 0)  # NewSubfileType: bit 0 is a picture of reduced resolution
    if isinstance(kind, int) and kind & 1:
        raise ImageDecodeError(
            f"its first picture, {image.width} x {image.height}, is only a preview, as in the raw"
            " files of cameras (NEF, DNG, CR2, ...): develop it to JPEG or TIFF"
        )


def _check_tiles(image: Any, max_pixels: int) -> None:
    """Refuse a small TIFF whose tiles are huge: libtiff allocates and fills a whole tile."""
    width, height = image.tag_v2.get(322, 0), image.tag_v2.get(323, 0)
    if isinstance(width, int) and isinstance(height, int) and width * height > max_pixels:
        raise ImageTooLargeError(
            f"TIFF tiles of {width} x {height} = {width * height} pixels,"
            f" above the limit max_pixels={max_pixels}"
        )


def _raw_mode(image: Any) -> str:
    """Pillow's name of the samples in the file, which says more than the mode: "L;4", "I;12"."""
    if not image.tile:
        return ""
    arguments = image.tile[0][3]
    if isinstance(arguments, tuple):
        arguments = arguments[0] if arguments else ""
    return arguments if isinstance(arguments, str) else ""


# --- Pixel rules --------------------------------------------------------------------------------


def _to_8_bit(image: Image, raw_mode: str, background: tuple[int, ...]) -> Image:
    """Apply the rule of the image's mode; the answer is in mode "L" or "RGB"."""
    mode, key = image.mode, image.info.get("transparency")
    if mode in ("I", "F"):
        kind = "floating-point" if mode == "F" else "32-bit or signed integer"
        raise ImageDecodeError(f"{kind} pixels have no defined 8-bit range (Pillow mode {mode!r})")
    if mode.startswith("I;16"):
        return _from_16_bit(image, raw_mode, background)
    if mode in ("LA", "La"):
        return _over_background(image if mode == "LA" else image.convert("LA"), background)
    if mode in ("PA", "RGBA", "RGBa") or (mode == "P" and image.has_transparency_data):
        return _over_background(image if mode == "RGBA" else image.convert("RGBA"), background)
    if mode in ("1", "L") and key is not None:
        # A 2- or 4-bit PNG has its samples scaled to 8 bits, but not its transparent value.
        scale = {"L;4": 17, "L;2": 85}.get(raw_mode, 1)
        grey = image if mode == "L" else image.convert("L")
        return _without_key(grey, [key * scale], background)
    if mode == "RGB" and key is not None:
        shift = 8 if ";16" in raw_mode else 0  # of 16-bit samples Pillow keeps the high byte
        return _without_key(image, [value >> shift for value in key], background)
    return image.convert("L" if mode == "1" else "RGB")


def _from_16_bit(image: Image, raw_mode: str, background: tuple[int, ...]) -> Image:
    """Scale to 8 bits with rounding; Pillow's own conversion would clip at 255."""
    white = 4095 if raw_mode.startswith("I;12") else 65535
    # Pillow inverts 8-bit TIFFs whose zero is white, but not 16-bit ones.
    inverted = getattr(image, "tag_v2", {}).get(262, 1) == 0
    key = image.info.get("transparency")
    grey: NDArray[np.uint8] = np.empty((image.height, image.width), np.uint8)
    opaque: NDArray[np.bool_] = np.ones(grey.shape, np.bool_)
    for rows, samples in _bands(image):
        scaled = (samples.astype(np.uint32) * np.uint32(255) + np.uint32(white // 2)) // white
        grey[rows] = 255 - scaled if inverted else scaled
        if key is not None:
            opaque[rows] = samples != key
    if key is None:
        return _from_array(grey)
    alpha = opaque.astype(np.uint8) * np.uint8(255)
    return _from_array(_blend(grey[..., None], alpha, _channels(background)))


def _over_background(image: Image, background: tuple[int, ...]) -> Image:
    """Composite an image in mode "LA" or "RGBA" on the background."""
    alpha = image.getchannel("A")
    if alpha.getextrema() == (255, 255):
        return image.convert("RGB" if image.mode == "RGBA" else "L")
    behind = _channels(background) if image.mode == "LA" else background
    out: NDArray[np.uint8] = np.empty((image.height, image.width, len(behind)), np.uint8)
    for rows, samples in _bands(image):
        out[rows] = _blend(samples[..., :-1], samples[..., -1], behind)
    return _from_array(out)


def _without_key(image: Image, key: Sequence[int], background: tuple[int, ...]) -> Image:
    """Replace the one transparent value of a grey or RGB image by the background."""
    behind = _channels(background) if image.mode == "L" else background
    out: NDArray[np.uint8] = np.empty((image.height, image.width, len(behind)), np.uint8)
    for rows, samples in _bands(image):
        colour = samples.reshape(samples.shape[0], samples.shape[1], -1)
        alpha = np.where((colour == np.array(key)).all(axis=-1), 0, 255).astype(np.uint8)
        out[rows] = _blend(colour, alpha, behind)
    return _from_array(out)


def _channels(background: tuple[int, ...]) -> tuple[int, ...]:
    """Grey stays grey on a grey background."""
    return background[:1] if len(set(background)) == 1 else background


def _blend(
    colour: NDArray[np.uint8], alpha: NDArray[np.uint8], background: tuple[int, ...]
) -> NDArray[np.uint8]:
    """``(colour * alpha + background * (255 - alpha)) / 255``, rounded, exact in 16 bits."""
    weight = alpha.astype(np.uint16)[..., None]
    total = colour * weight
    total = total + np.array(background, np.uint16) * (np.uint16(255) - weight)
    total += np.uint16(127)
    total //= np.uint16(255)
    return total.astype(np.uint8)


def _bands(image: Image) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Give the samples of an image in bands of rows."""
    step = max(1, _BAND_PIXELS // image.width)
    for top in range(0, image.height, step):
        bottom = min(top + step, image.height)
        whole = bottom - top == image.height
        band = image if whole else image.crop((0, top, image.width, bottom))
        yield slice(top, bottom), np.asarray(band)


def _from_array(pixels: NDArray[np.uint8]) -> Image:
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    return cast("Image", pillow().fromarray(np.ascontiguousarray(pixels)))


def _as_array(image: Image, *, grey: bool) -> NDArray[np.uint8]:
    shape = (image.height, image.width) if grey else (image.height, image.width, 3)
    out: NDArray[np.uint8] = np.empty(shape, np.uint8)
    for rows, samples in _bands(image):
        if image.mode == "RGB":
            out[rows] = to_grey(samples) if grey else samples
        else:
            out[rows] = samples if grey else samples[..., None]
    return out


def to_grey(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey levels of RGB pixels: ``(19595*R + 38470*G + 7471*B + 32768) >> 16``.

    These are the weights of ITU-R BT.601 in 16-bit fixed point, the same as Pillow's
    ``convert("L")``. The weights add up to 65536, so grey pixels keep their value.

    Parameters
    ----------
    rgb : ndarray of uint8, shape (..., 3)
        Pixels; any strides.

    Returns
    -------
    ndarray of uint8, shape (...)
        New and C-contiguous.
    """
    if getattr(rgb, "dtype", None) != np.uint8:
        got = getattr(rgb, "dtype", type(rgb).__name__)
        raise InvalidTypeError(f"rgb: expected an ndarray of uint8, got {got}")
    if rgb.ndim < 1 or rgb.shape[-1] != 3:
        raise InvalidInputError(f"rgb: expected shape (..., 3), got {rgb.shape}")
    pixels = rgb.reshape(-1, 3)
    grey: NDArray[np.uint8] = np.empty(len(pixels), np.uint8)
    for start in range(0, len(pixels), _BLOCK_PIXELS):
        block = pixels[start : start + _BLOCK_PIXELS]
        total = block[:, 0] * np.uint32(19595)
        total += block[:, 1] * np.uint32(38470)
        total += block[:, 2] * np.uint32(7471)
        total += np.uint32(32768)
        total >>= np.uint32(16)
        grey[start : start + _BLOCK_PIXELS] = total
    return grey.reshape(rgb.shape[:-1])


# --- Arguments --------------------------------------------------------------------------------


def _positive(name: str, value: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise InvalidTypeError(f"{name}: expected an int, got {type(value).__name__}") from None
    if number < 1:
        raise InvalidInputError(f"{name}: must be at least 1, got {number}")
    return number


def _colour(background: Sequence[int]) -> tuple[int, ...]:
    if background is _WHITE:
        return _WHITE
    try:
        colour = tuple(operator.index(value) for value in background)
    except TypeError:
        colour = ()
    if len(colour) != 3 or not all(0 <= value <= 255 for value in colour):
        raise InvalidInputError(
            f"background: expected three integers from 0 to 255, got {background!r}"
        )
    return colour
