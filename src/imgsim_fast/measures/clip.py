"""CLIP by open_clip, from a checkpoint on this machine; nothing is ever downloaded."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgsim_fast._extras import extra
from imgsim_fast.errors import InvalidInputError, InvalidTypeError, MissingModelError
from imgsim_fast.measures import weights
from imgsim_fast.measures.embedding import Pixels, Vectors

__all__ = ["Clip"]

_MODEL = "ViT-B-16-plus-240"
_RELEASE = "https://github.com/mlfoundations/open_clip/releases/download/v0.2-weights/"
# Files whose names end with the first digits of their SHA-256.
_DIGITS = {
    "vit_b_16_plus_240-laion400m_e31-8fb26589.pt": "8fb26589",
    "vit_b_16_plus_240-laion400m_e32-699c4b84.pt": "699c4b84",
}
_FILE = "vit_b_16_plus_240-laion400m_e32-699c4b84.pt"


class Clip(Vectors):
    """Cosine of CLIP's image embeddings, by open_clip.

    Images go in as RGB, through the model's own preprocessing; the model is in evaluation mode and
    keeps no gradients. Only its image tower stays in memory. Scripts that print "similarity 76.77"
    have multiplied the cosine by 100.

    Parameters
    ----------
    model : str
        One of ``open_clip.list_models()``.
    checkpoint : path
        The weights, a file on this machine. For the default model that is
        ``vit_b_16_plus_240-laion400m_e32-699c4b84.pt`` of open_clip's release v0.2-weights, whose
        SHA-256 begins with 699c4b84. (open_clip's own tag ``laion400m_e32`` loads the weights of
        epoch 31.) PyTorch reads it with ``weights_only``: it runs no code.
    sha256 : str, optional
        Refuse a file whose SHA-256 does not begin with these digits. The two files that open_clip
        released for the default model are checked anyway.
    metric, normalize
        See :class:`imgsim_fast.measures.embedding.Vectors`.

    Raises
    ------
    InvalidInputError
        No such model or file, another SHA-256, or weights of another model.
    MissingExtraError
        open_clip or PyTorch cannot be imported.
    """

    name = "clip"
    whereabouts = ("checkpoint",)

    def __init__(
        self,
        model: str = _MODEL,
        checkpoint: str | os.PathLike[Any] | None = None,
        sha256: str | None = None,
        metric: str = "cosine",
        normalize: bool = False,
    ) -> None:
        super().__init__(metric, normalize)
        if not isinstance(model, str):
            raise InvalidTypeError(f"model must be a name, got {model!r}")
        self._model = model
        self._path = _found(model, checkpoint)
        self._sha256 = weights.digest_of("checkpoint", self._path)
        weights.check_digest("checkpoint", self._path, self._sha256, sha256)
        known = _DIGITS.get(os.path.basename(self._path))
        weights.check_digest("checkpoint", self._path, self._sha256, known)
        self._torch = extra("torch", "clip", "measure 'clip'")
        clip = extra("open_clip", "clip", "measure 'clip'")
        if model not in clip.list_models():  # open_clip would also take names that download
            raise InvalidInputError(
                f"model must be one of open_clip.list_models(), such as {_MODEL!r}, got {model!r}"
            )
        try:
            whole, _, self._prepare = clip.create_model_and_transforms(
                model, pretrained=self._path, device="cpu"
            )
        except MemoryError:
            raise
        except Exception as error:  # unpickling damaged bytes raises anything
            reason = " ".join(str(error).split())[:300]
            raise MissingModelError(
                f"checkpoint: {self._path!r} holds no weights of {model!r}: {reason}"
            ) from error
        self._tower = whole.visual.eval()
        self._lock = threading.Lock()  # PyTorch has threads of its own

    @property
    def options(self) -> Mapping[str, Any]:
        """All options as plain JSON types; `checkpoint` as absolute path, `sha256` in full."""
        return {
            "model": self._model,
            "checkpoint": self._path,
            "sha256": self._sha256,
            "metric": self._metric,
            "normalize": self._normalize,
        }

    def _encode(self, pixels: list[Pixels]) -> NDArray[np.float32]:
        from PIL import Image

        torch = self._torch
        batch = torch.stack([self._prepare(Image.fromarray(image)) for image in pixels])
        with self._lock, torch.inference_mode():
            found: NDArray[np.float32] = self._tower(batch).float().numpy()
        return found


def _found(model: str, checkpoint: str | os.PathLike[Any] | None) -> str:
    """Return the path of the weights; a message says where to get the default model's."""
    advice = ""
    if model == _MODEL:
        advice = f"; download {_RELEASE}{_FILE} (its SHA-256 begins with {_DIGITS[_FILE]})"
    if checkpoint is None:
        raise MissingModelError(
            f"measure 'clip' needs checkpoint=, the file with the weights of {model} "
            f"(on the command line: --option checkpoint=FILE){advice}"
        )
    try:
        return weights.path_of("checkpoint", checkpoint)
    except InvalidInputError as error:
        raise MissingModelError(f"{error}{advice}") from error
