"""A search as one HTML page: no script, nothing loaded from anywhere, inert whatever the names.

The page states its own content security policy; the only style it allows is the one inlined here,
by hash, and the only images are data URIs of thumbnails that this module encoded.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import hashlib
import importlib.resources
import io
import math
import os
import secrets
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imgsim_fast.errors import ImgsimError, InvalidInputError
from imgsim_fast.report.figures import GreyAxis, area_between, cdf_figure, histogram_figure
from imgsim_fast.report.names import display_name

if TYPE_CHECKING:
    from jinja2 import Template
    from PIL.Image import Image

__all__ = [
    "ReportExistsError",
    "ReportImage",
    "ReportMatch",
    "SearchReport",
    "format_distance",
    "format_duration",
    "make_thumbnail",
    "render_search",
    "write_text_atomically",
]

TIMES = "\N{MULTIPLICATION SIGN}"


class ReportExistsError(ImgsimError, FileExistsError):
    """A report would replace a file, and replacing was not asked for."""

    def __init__(self, path: bytes | str) -> None:
        super().__init__(errno.EEXIST, os.strerror(errno.EEXIST), path)

    def __str__(self) -> str:
        return f"{display_name(self.filename)} exists already and is not replaced"


@dataclass(frozen=True, slots=True)
class ReportImage:
    """What the page shows of one image.

    Attributes
    ----------
    name : bytes or str
        Path as the file system has it; may contain anything.
    width, height : int
        Size of the image in pixels.
    thumbnail : bytes
        From `make_thumbnail`, or empty if the image could not be read again.
    counts : ndarray, shape (bins,)
        Grey histogram; non-negative, total above 0.
    """

    name: bytes | str
    width: int
    height: int
    thumbnail: bytes
    counts: NDArray[Any]


@dataclass(frozen=True, slots=True)
class ReportMatch:
    """A match and its distance from the query."""

    image: ReportImage
    distance: float


@dataclass(frozen=True, slots=True)
class SearchReport:
    """A finished search.

    Attributes
    ----------
    query : ReportImage
        What was looked for.
    matches : sequence of ReportMatch
        Ranked, nearest first; may be empty.
    measure : str
        Name of the measure that ranked them, "wasserstein" for the 1-D distance of grey levels.
    options : mapping
        Of the measure: "bins", "range" and "p" (default 256, (0, 256) and 1).
    searched : int
        Number of images searched.
    seconds : float
        Time of the search.
    source : str or bytes
        Index or folder searched; may contain anything, as a name.
    skipped : int
        Files of the source that could not be read.
    """

    query: ReportImage
    matches: Sequence[ReportMatch]
    measure: str
    options: Mapping[str, object]
    searched: int
    seconds: float
    source: str | bytes
    skipped: int = 0


# ------------------------------------------------------------------ thumbnails


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


def _data_uri(thumbnail: bytes, name: bytes | str) -> str:
    if not thumbnail:
        return ""
    for kind, magic in (("jpeg", b"\xff\xd8\xff"), ("png", b"\x89PNG\r\n\x1a\n")):
        if thumbnail.startswith(magic):
            return f"data:image/{kind};base64,{base64.b64encode(thumbnail).decode('ascii')}"
    raise InvalidInputError(f"thumbnail of {display_name(name)!r} is neither a JPEG nor a PNG")


# ------------------------------------------------------------------ numbers in words


def format_distance(distance: float) -> str:
    """Return about three digits: "0" only for exactly zero, powers of ten for the very small."""
    if distance == 0:
        return "0"
    size = abs(distance)
    if size < 0.001 or size >= 1e7:
        mantissa, exponent = f"{distance:.2e}".split("e")
        power = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        return f"{mantissa} {TIMES} 10{power}"
    if size < 1:
        return f"{distance:#.3g}"
    return f"{distance:.2f}" if size < 100 else f"{distance:.1f}"


def format_duration(seconds: float) -> str:
    """Return a time in the unit that suits it, three digits."""
    if seconds < 0.9995:
        return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} µs"
    if seconds < 99.95:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


# ------------------------------------------------------------------ the page


def render_search(report: SearchReport) -> str:
    """Return the whole page as text that can be encoded as UTF-8.

    Raises
    ------
    InvalidInputError
        A histogram, a distance or an option cannot be drawn; the message names it.
    """
    axis, p = _axis(report), _exponent(report.options)
    query = _shares(report.query, axis)
    grey_levels = report.measure == "wasserstein"
    for match in report.matches:
        if not math.isfinite(match.distance):
            name = display_name(match.image.name)
            raise InvalidInputError(f"distance of {name!r} is {match.distance}")
    farthest = max((abs(match.distance) for match in report.matches), default=0.0)
    matches = []
    for rank, match in enumerate(report.matches, 1):
        shares = _shares(match.image, axis)
        area = area_between(query, shares, axis)
        words = f"{format_distance(area)} grey levels"
        matches.append(
            {
                "rank": rank,
                "image": _shown(match.image),
                "distance": format_distance(match.distance),
                "share_of_farthest": round(100 * abs(match.distance) / farthest) if farthest else 0,
                "area": words,
                # Only W1 is an area, and only of the very histograms that were compared.
                "area_is_distance": grey_levels
                and p == "1"
                and math.isclose(area, match.distance, rel_tol=1e-6, abs_tol=1e-9),
                "histogram": histogram_figure(f"h{rank}", axis, query, shares),
                "cdf": cdf_figure(f"c{rank}", axis, query, shares, words),
            }
        )
    template, style = _template()
    return template.render(
        style=style,
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii"),
        query=_shown(report.query),
        query_histogram=histogram_figure("q", axis, query),
        matches=matches,
        measure=display_name(report.measure),
        grey_levels=grey_levels,
        p=p,
        bins=axis.bins,
        low=f"{axis.low:.6g}",
        high=f"{axis.high:.6g}",
        searched=f"{report.searched:,}",
        one_searched=report.searched == 1,
        duration=format_duration(report.seconds),
        source=display_name(report.source),
        skipped=f"{report.skipped:,}" if report.skipped else "",
    )


@lru_cache(maxsize=1)
def _template() -> tuple[Template, str]:
    from jinja2 import Environment, StrictUndefined

    folder = importlib.resources.files("imgsim_fast.report").joinpath("templates")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = folder.joinpath("search.html.j2").read_text(encoding="utf-8")
    # Browsers hash the style after turning line ends into \n; a checkout on Windows has others.
    style = folder.joinpath("search.css").read_text(encoding="utf-8").replace("\r\n", "\n")
    return environment.from_string(page), style


def _shown(image: ReportImage) -> dict[str, object]:
    name = display_name(image.name)
    folder, slash, file = name.rpartition("/")
    return {
        "name": name,
        "folder": folder + slash,
        "file": file,
        "size": f"{image.width} {TIMES} {image.height}",
        "uri": _data_uri(image.thumbnail, image.name),
    }


def _axis(report: SearchReport) -> GreyAxis:
    bins = len(report.query.counts)
    try:
        low, high = (float(v) for v in report.options.get("range") or (0, 256))  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InvalidInputError(f"range {report.options['range']!r} is not an interval")
    if report.options.get("bins", bins) != bins:
        raise InvalidInputError(
            f"histogram of the query has {bins} bins, the options say {report.options['bins']!r}"
        )
    return GreyAxis(bins, low, high)


def _exponent(options: Mapping[str, object]) -> str:
    p = options.get("p", 1)
    if isinstance(p, (int, float, np.integer, np.floating)) and p > 0:
        return "∞" if math.isinf(p) else f"{float(p):g}"
    raise InvalidInputError(f"p must be a positive number, not {p!r}")


def _shares(image: ReportImage, axis: GreyAxis) -> NDArray[np.float64]:
    counts = np.asarray(image.counts, dtype=np.float64)
    name = display_name(image.name)
    if counts.shape != (axis.bins,):
        raise InvalidInputError(
            f"histogram of {name!r} has shape {counts.shape}, expected ({axis.bins},)"
        )
    total = float(counts.sum())
    if not (math.isfinite(total) and total > 0 and counts.min() >= 0):
        raise InvalidInputError(f"histogram of {name!r} is not a distribution: total {total:g}")
    return np.asarray(counts / total)


# ------------------------------------------------------------------ the file


def write_text_atomically(
    path: str | bytes | os.PathLike[str] | os.PathLike[bytes], text: str, *, force: bool = False
) -> None:
    """Write UTF-8 text so that the file has all of it or is as it was before.

    Parameters
    ----------
    path : path
        May contain undecodable bytes. A symbolic link is replaced, not followed.
    text : str
        A lone surrogate, which UTF-8 cannot express, is written as a backslash escape.
    force : bool
        Replace a file that exists; it must be a regular one.

    Raises
    ------
    ReportExistsError
        The file exists and ``force`` is false.
    InvalidInputError
        The path exists and is no regular file: a device or folder is never replaced.
    OSError
        Writing failed, say on a full disk; the error names ``path``. No partial file is left.
    """
    target = os.fsencode(path)
    data = text.encode("utf-8", "backslashreplace")
    mode = _mode_of_existing(target, force=force)
    partial = os.path.join(
        os.path.dirname(target), b".imgsim-%s.tmp" % secrets.token_hex(8).encode()
    )
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        descriptor = os.open(partial, flags, 0o666 if mode is None else mode)
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if mode is not None:
                os.chmod(partial, mode)
            if force or not _link(partial, target):
                os.replace(partial, target)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.remove(partial)
    except FileExistsError:
        raise ReportExistsError(target) from None
    except OSError as error:
        # The temporary name would mean nothing to the reader of the message.
        raise OSError(error.errno, error.strerror, os.fsdecode(target)) from error


def _mode_of_existing(target: bytes, *, force: bool) -> int | None:
    """Permissions that the new file takes over from the one it replaces, None if there is none."""
    if not os.path.lexists(target):
        return None
    if not force:
        raise ReportExistsError(target)
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:  # a dangling link
        return None
    if not stat.S_ISREG(mode):
        raise InvalidInputError(f"{display_name(target)!r} is not a regular file")
    return stat.S_IMODE(mode)


def _link(partial: bytes, target: bytes) -> bool:
    """Give the finished file its name unless another process took it meanwhile.

    Returns False where the file system knows no hard links.
    """
    try:
        os.link(partial, target)
    except FileExistsError:
        raise
    except (OSError, NotImplementedError, AttributeError):
        return False
    return True
