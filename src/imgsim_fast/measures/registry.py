"""The measures by name. A measure's module is imported when somebody asks for it."""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

from imgsim_fast.errors import InvalidInputError, InvalidTypeError
from imgsim_fast.measures.base import Measure

__all__ = ["every_option", "get_measure", "measure_class", "measures"]


class _Entry(NamedTuple):
    module: str
    factory: str
    summary: str


_MEASURES: dict[str, _Entry] = {
    "wasserstein": _Entry(
        "wasserstein", "Wasserstein", "earth mover's distance of grey-level distributions"
    ),
    "emd": _Entry("emd", "ColorEMD", "earth mover's distance of colour palettes in CIELAB"),
    "correlation": _Entry("histogram", "Correlation", "correlation of colour histograms"),
    "intersection": _Entry("histogram", "Intersection", "mass that colour histograms share"),
    "bhattacharyya": _Entry("histogram", "Bhattacharyya", "Hellinger distance of colours"),
    "chi2": _Entry("histogram", "ChiSquare", "chi-square by the first colour histogram"),
    "chi2-alt": _Entry("histogram", "SymmetricChiSquare", "chi-square by both colour histograms"),
    "kl": _Entry("histogram", "KullbackLeibler", "Kullback-Leibler divergence of colours"),
    "ssim": _Entry("ssim", "SSIM", "structural similarity of grey images"),
    "sift": _Entry("keypoints", "SIFT", "share of SIFT keypoints that match; extra opencv"),
    "orb": _Entry("keypoints", "ORB", "share of ORB keypoints that match; extra opencv"),
    "surf": _Entry(
        "keypoints", "SURF", "share of SURF keypoints that match; an OpenCV that has it"
    ),
    "onnx": _Entry("onnx", "Onnx", "cosine of vectors of an ONNX image encoder; extra onnx"),
    "clip": _Entry("clip", "Clip", "cosine of CLIP's image vectors, by open_clip; extra clip"),
}


def measures() -> dict[str, str]:
    """Name the measures.

    Returns
    -------
    dict of str to str
        Each name with one line of help.

    Examples
    --------
    >>> import imgsim_fast as isf
    >>> isf.measures()["wasserstein"]
    "earth mover's distance of grey-level distributions"
    """
    return {name: entry.summary for name, entry in _MEASURES.items()}


def get_measure(measure: str | Measure = "wasserstein", **options: Any) -> Measure:
    """Make a measure from its name and options; errors name what is wrong.

    A measure object is returned as it is; it takes no more options.
    """
    if isinstance(measure, Measure):
        if options:
            raise InvalidTypeError(
                f"measure {measure.name!r} is an object that has its options; got "
                f"{', '.join(options)} besides"
            )
        return measure
    name: object = measure
    entry = _MEASURES.get(name) if isinstance(name, str) else None
    if entry is None:
        hint = "; isf.Embedding(function, name=...) makes one of a function"
        raise InvalidInputError(
            f"measure must be one of {', '.join(_MEASURES)}, got {measure!r}"
            + (hint if callable(name) else "")
        )
    kind = _class_of(entry)
    known = kind.option_names()
    for option in options:
        if option not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise InvalidTypeError(f"measure {measure!r} has no option {option!r}; {has}")
    return kind(**options)


def measure_class(name: str) -> type[Measure]:
    """Return the class of a registered measure, which needs nothing that making one does."""
    return _class_of(_MEASURES[name])


def every_option() -> set[str]:
    """Names of the options of all registered measures."""
    return {option for entry in _MEASURES.values() for option in _class_of(entry).option_names()}


def _class_of(entry: _Entry) -> type[Measure]:
    module = import_module(f"imgsim_fast.measures.{entry.module}")
    kind: type[Measure] = getattr(module, entry.factory)
    return kind
