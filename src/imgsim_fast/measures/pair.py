"""Two images under several measures at once."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from imgsim_fast import images
from imgsim_fast._pillow import named
from imgsim_fast.errors import ImgsimError, InvalidTypeError, UnusableMeasureError
from imgsim_fast.measures.base import Measure
from imgsim_fast.measures.registry import get_measure, measure_class, measures
from imgsim_fast.rows import Row

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Comparison", "ImageLike", "compare_all", "compare_decoded", "decoded"]

# What else an image can be: a Pillow image in mode L or RGB.
ImageLike = str | bytes | bytearray | memoryview | os.PathLike[Any] | NDArray[Any]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What one measure says about two images.

    Attributes
    ----------
    measure : str
    value : float or None
        None where the measure could not be used; `problem` says why.
    unit : str
        What a value of 1 means; empty for a bare number.
    higher_is_better : bool or None
        True for similarities, False for distances; None where the measure could not be made and
        options were given, which may decide it.
    options : mapping
        The measure's options.
    seconds : float
        Time for describing both decoded images and comparing them, once.
    problem : str
        Empty, or why there is no value: a missing package, a missing model file, an image that the
        measure cannot describe.
    kind : Measure or None
    descriptors : tuple of ndarray
        What the measure kept of the two images; empty where there is no value.
    value_range : (float, float)
        Least and greatest value of the measure, infinite where there is no such; best is the
        greatest where higher is better, else the least.
    """

    measure: str
    value: float | None
    unit: str
    higher_is_better: bool | None
    options: Mapping[str, Any]
    seconds: float
    problem: str = ""
    kind: Measure | None = field(default=None, repr=False)
    descriptors: tuple[Row, ...] = field(default=(), repr=False)
    value_range: tuple[float, float] = (-math.inf, math.inf)


def compare_all(
    image1: ImageLike | Image,
    image2: ImageLike | Image,
    measures: Iterable[str | Measure] | None = None,
    *,
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Comparison]:
    """Compare two images by several measures; each file is read once.

    Parameters
    ----------
    image1, image2
        As in :func:`compare`.
    measures : iterable of str or Measure, optional
        Default: all registered ones.
    options : mapping of str to mapping, optional
        Options of some of the measures, by the measure's name.

    Returns
    -------
    list of Comparison
        In the order of `measures`. A measure that cannot be used (its package is not installed, it
        has no model file) has a `problem` instead of a value.

    Raises
    ------
    ImageDecodeError, InvalidInputError, InvalidTypeError
        An image cannot be decoded; a measure or option does not exist or has a bad value.

    Examples
    --------
    >>> import numpy as np, imgsim_fast as isf
    >>> dark, light = np.full((8, 8), 10, np.uint8), np.full((8, 8), 14, np.uint8)
    >>> [(c.measure, c.value) for c in isf.compare_all(dark, light, ["wasserstein"])]
    [('wasserstein', 4.0)]
    """
    wanted = _wanted(measures)
    settings = dict(options or {})
    for name in settings:
        if name not in [kind if isinstance(kind, str) else kind.name for kind in wanted]:
            raise InvalidTypeError(
                f"options are given for {name!r}, which is not among the measures"
            )
    sources = image1, image2
    pixels = decoded(image1), decoded(image2)
    found = []
    for measure in wanted:
        given = settings.get(measure, {}) if isinstance(measure, str) else {}
        try:
            kind = get_measure(measure, **given)
        except UnusableMeasureError as error:
            assert isinstance(measure, str)  # objects have been made
            found.append(_unmade(measure, given, str(error)))
            continue
        try:
            found.append(compare_decoded(kind, sources, pixels))
        except (ImgsimError, MemoryError) as error:
            problem = str(error) or type(error).__name__
            found.append(
                Comparison(
                    kind.name, None, kind.unit, kind.higher_is_better, dict(kind.options), 0.0,
                    problem, kind, (), kind.value_range,
                )
            )  # fmt: skip
    return found


def compare_decoded(kind: Measure, sources: tuple[Any, Any], pixels: tuple[Any, Any]) -> Comparison:
    """Compare two decoded images by one measure; errors name the source that is to blame."""
    start = time.perf_counter()
    rows = []
    for source, image in zip(sources, pixels, strict=True):
        with named(source):
            rows.append(kind.describe(image))
    value = kind.compare(*rows)
    seconds = time.perf_counter() - start
    return Comparison(
        kind.name, value, kind.unit, kind.higher_is_better, dict(kind.options), seconds, "", kind,
        tuple(rows), kind.value_range,
    )  # fmt: skip


def _unmade(name: str, given: Mapping[str, Any], problem: str) -> Comparison:
    """Say of a measure that could not be made what its defaults say."""
    kind = measure_class(name)
    if given:
        return Comparison(name, None, kind.unit, None, given, 0.0, problem)
    return Comparison(
        name, None, kind.unit, kind.higher_is_better, given, 0.0, problem,
        value_range=kind.value_range,
    )  # fmt: skip


def _wanted(given: Iterable[str | Measure] | None) -> list[str | Measure]:
    if given is None:
        return list(measures())
    if isinstance(given, (str, Measure)):
        raise InvalidTypeError(f"measures must be an iterable of measures, got {given!r}")
    return list(given)


def decoded(image: ImageLike | Image) -> Image | NDArray[Any]:
    """Pixels of an encoded image (path, bytes, file); a decoded one as it is."""
    if isinstance(image, (str, bytes, bytearray, memoryview, os.PathLike)):
        with named(image):
            return images.open_pixels(images.read_source(image))
    return image
