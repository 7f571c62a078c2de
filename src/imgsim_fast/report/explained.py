"""The measures in words: what each one looks at, and how to read its values."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["explained"]

_KEYPOINTS = (
    "The share of the conspicuous points of the images that are found again in the other one, "
    "also where it is turned, scaled or partly covered. Unrelated photographs share few or none."
)
_NETWORK = (
    "How alike the images are to a neural network: what they show counts more than their colours."
)

_WORDS = {
    "wasserstein": (
        "By how many grey levels pixels must move, on average, until both images have the same "
        "share of dark, middle and light. Neither places nor colours count."
    ),
    "emd": (
        "How far colours must move, on average, until both images have the same ones, in units of "
        "CIELAB: 2.3 is a just noticeable difference, black and white are 100 apart."
    ),
    "correlation": (
        "Whether both images have the same colours often and the same ones rarely: 1 for equal "
        "shares, about 0 for unrelated ones."
    ),
    "intersection": "The share of the pixels for which the other image has one of like colour.",
    "bhattacharyya": (
        "How far apart the shares of the colours are: 0 for equal shares, 1 where no colour is "
        "common."
    ),
    "chi2": (
        "How much the shares of the first image's colours differ, compared with what they are "
        "there. Colours that only the second image has do not count: 1 where none is common, more "
        "where the second has much of what is rare in the first."
    ),
    "chi2-alt": (
        "How much the shares of the colours differ, compared with their sums: 0 for equal shares, "
        "4 where no colour is common."
    ),
    "kl": (
        "How surprising the colours of the first image are to one who expects those of the second; "
        "not the same the other way round."
    ),
    "ssim": (
        "Whether light and dark lie in the same places with the same contrast: 1 for equal images, "
        "about 0 for unrelated ones. A shift by a few pixels counts as a difference."
    ),
    "sift": _KEYPOINTS,
    "orb": _KEYPOINTS,
    "surf": _KEYPOINTS,
    "onnx": _NETWORK,
    "clip": _NETWORK,
}
_PLACES = " The option position makes places count as well."


def explained(measure: str, options: Mapping[str, object]) -> str:
    """Return a sentence or two; nothing for a measure that is not the package's own."""
    words = _WORDS.get(measure, "")
    return words + _PLACES if measure == "emd" and options.get("position") else words
