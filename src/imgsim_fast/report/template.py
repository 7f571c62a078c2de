"""What every page is made with: templates, styles with their hash, images as data URIs.

A page states its own content security policy; the only style it allows is the one inlined in it, by
hash, and the only images are data URIs of pictures that this package encoded.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
from functools import lru_cache
from typing import TYPE_CHECKING

from imgsim_fast.errors import InvalidInputError
from imgsim_fast.report.names import display_name
from imgsim_fast.report.words import TIMES

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["data_uri", "load_template", "shown_image"]


@lru_cache(maxsize=8)
def load_template(page: str, *styles: str) -> tuple[Template, str, str]:
    """Return a template of the package, the style sheets one after the other, and their hash."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        loader=FunctionLoader(_read),
    )  # fmt: skip
    # Browsers hash the style after turning line ends into \n; a checkout on Windows has others.
    style = "".join(_read(name) for name in styles).replace("\r\n", "\n")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    return environment.get_template(page), style, digest


def _read(name: str) -> str:
    folder = importlib.resources.files("imgsim_fast.report").joinpath("templates")
    return folder.joinpath(name).read_text(encoding="utf-8")


def data_uri(picture: bytes, name: bytes | str) -> str:
    """Return an encoded picture as a data URI; nothing for none."""
    if not picture:
        return ""
    for kind, magic in (("jpeg", b"\xff\xd8\xff"), ("png", b"\x89PNG\r\n\x1a\n")):
        if picture.startswith(magic):
            return f"data:image/{kind};base64,{base64.b64encode(picture).decode('ascii')}"
    raise InvalidInputError(f"thumbnail of {display_name(name)!r} is neither a JPEG nor a PNG")


def shown_image(path: bytes | str, width: int, height: int, thumbnail: bytes) -> dict[str, str]:
    """Return what a template shows of an image: name in parts, size, picture."""
    name = display_name(path)
    folder, slash, file = name.rpartition("/")
    return {
        "name": name,
        "folder": folder + slash,
        "file": file,
        "size": f"{width} {TIMES} {height}",
        "uri": data_uri(thumbnail, path),
    }
