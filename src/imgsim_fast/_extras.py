"""Packages that some measures need and most people do not: imported when they are used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from imgsim_fast.errors import MissingExtraError

_ADVICE = {
    "opencv": " (not where another OpenCV is installed: two OpenCV wheels break each other)",
}


def extra(module: str, name: str, what: str) -> Any:
    """Import a module of an extra.

    Parameters
    ----------
    module : str
        What to import.
    name : str
        The extra that installs it.
    what : str
        Who needs it, for the message.

    Raises
    ------
    MissingExtraError
        It cannot be imported: it is not there, lacks a library, or fits no other package.
    """
    try:
        return import_module(module)
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        # All of these happen: torchvision built for another torch raises RuntimeError, a wheel
        # whose system libraries are missing ImportError or OSError.
        reason = " ".join(str(error).split())[:200]
        raise MissingExtraError(
            f'{what} needs {module}: pip install "imgsim_fast[{name}]"{_ADVICE.get(name, "")}; '
            f"importing it says: {reason}"
        ) from error
