"""The exception of the OpenCV drop-ins; ``compat.cv2`` shows it."""

from __future__ import annotations

from imgsim_fast.errors import InvalidInputError, InvalidTypeError


class error(InvalidInputError):  # noqa: N801, N818 - OpenCV's name
    """A mistake that OpenCV reports as ``cv2.error``; a ``ValueError`` as well."""


class WrongTypeError(error, InvalidTypeError):
    """The same for types, which makes it a ``TypeError`` too."""


error.__module__ = "imgsim_fast.compat.cv2"
