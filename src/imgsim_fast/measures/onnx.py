"""Image encoders in ONNX files, run by ONNX Runtime or by OpenCV."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgsim_fast._extras import extra
from imgsim_fast.errors import (
    InvalidInputError,
    InvalidTypeError,
    MissingExtraError,
    MissingModelError,
)
from imgsim_fast.measures import weights
from imgsim_fast.measures.embedding import MOST_SIDE, Pixels, Vectors, as_size, one_of, resized

__all__ = ["Onnx"]

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, in [0, 1]
_MOST_AT_ONCE = 4096  # images that a model wants in one batch
_SIDE = 224  # where neither the caller nor the file tells
_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}
# How a protobuf begins to name another file that holds weights: TensorProto.external_data.
_ELSEWHERE = b"\x0a\x08location"


class _Shape(NamedTuple):
    """What a model takes at once; None where it takes any number."""

    batch: int | None
    height: int | None
    width: int | None


class _Session(Protocol):
    shape: _Shape
    dtype: Any

    def __call__(self, batch: NDArray[Any]) -> NDArray[Any]: ...


class Onnx(Vectors):
    """Vectors of an image encoder in an ONNX file: ResNet, CLIP's image tower, whatever was saved.

    The images' RGB values times `scale`, less `mean`, divided by `std`, go in as float32 (or what
    the file asks for). One output is taken, of shape (n, d) or (n, d, 1, 1).

    Parameters
    ----------
    model : path
        The file; all weights must be in it. Options name it by its absolute path and `sha256`.
    size : int or (int, int), optional
        Height and width; without it those that the file tells (OpenCV does not pass them on), else
        224.
    mean, std : three floats
        Of R, G and B after scaling; those of ImageNet unless given.
    scale : float
        Factor that comes first; 1/255 unless given.
    channels : {"rgb", "bgr"}
        The order the model was trained with; `mean` and `std` stay in the order R, G, B.
    layout : {"nchw", "nhwc"}
    resize : {"crop", "stretch"}
        See :class:`imgsim_fast.measures.embedding.Embedding`.
    output : str, optional
        Name of the output; the first unless given.
    backend : {"auto", "onnxruntime", "opencv"}
        auto: ONNX Runtime, OpenCV where that is missing. They differ by rounding.
    metric, normalize
        See :class:`imgsim_fast.measures.embedding.Vectors`.
    sha256 : str, optional
        Refuse a file whose SHA-256 does not begin with these digits.

    Raises
    ------
    InvalidInputError
        No such file, no ONNX model, another SHA-256, or a model that takes no such images.
    MissingExtraError
        Neither ONNX Runtime nor OpenCV is installed.
    """

    name = "onnx"
    whereabouts = ("model",)

    def __init__(
        self,
        model: str | os.PathLike[Any] | None = None,
        size: int | Sequence[int] | None = None,
        mean: Sequence[float] = _MEAN,
        std: Sequence[float] = _STD,
        scale: float = 1 / 255,
        channels: str = "rgb",
        layout: str = "nchw",
        resize: str = "crop",
        output: str | None = None,
        backend: str = "auto",
        metric: str = "cosine",
        normalize: bool = False,
        sha256: str | None = None,
    ) -> None:
        super().__init__(metric, normalize)
        if model is None:
            raise MissingModelError(
                "measure 'onnx' needs model=, the path of an ONNX file "
                "(on the command line: --option model=FILE)"
            )
        self._mean, self._std = _as_three("mean", mean), _as_three("std", std)
        if (self._std == 0).any():
            raise InvalidInputError(f"std must not be 0, got {list(std)}")
        self._scale = float(_as_floats("scale", scale, 0))
        self._channels = one_of("channels", channels, ("rgb", "bgr"))
        self._layout = one_of("layout", layout, ("nchw", "nhwc"))
        self._resize = one_of("resize", resize, ("crop", "stretch"))
        if output is not None and not isinstance(output, str):
            raise InvalidTypeError(f"output must be a name, got {output!r}")
        self._output = output
        self._backend = one_of("backend", backend, ("auto", "onnxruntime", "opencv"))
        wanted = None if size is None else as_size(size)
        self._path = weights.path_of("model", model)
        data = weights.read("model", self._path)
        self._sha256 = hashlib.sha256(data).hexdigest()
        weights.check_digest("model", self._path, self._sha256, sha256)
        if _ELSEWHERE in data:  # the SHA-256 would say nothing about them
            raise InvalidInputError(
                f"model: {self._path!r} keeps weights in other files; save it as one file"
            )
        self._session = _open(self._path, data, backend, output, layout)
        self._size = self._fitting(wanted)

    @property
    def options(self) -> Mapping[str, Any]:
        """All options as plain JSON types; `model` as an absolute path, `sha256` in full."""
        return {
            "model": self._path,
            "size": list(self._size),
            "mean": self._mean.tolist(),
            "std": self._std.tolist(),
            "scale": self._scale,
            "channels": self._channels,
            "layout": self._layout,
            "resize": self._resize,
            "output": self._output,
            "backend": self._backend,
            "metric": self._metric,
            "normalize": self._normalize,
            "sha256": self._sha256,
        }

    def _fitting(self, wanted: tuple[int, int] | None) -> tuple[int, int]:
        shape = self._session.shape
        if wanted is None:
            return shape.height or shape.width or _SIDE, shape.width or shape.height or _SIDE
        for side, fixed in zip(wanted, (shape.height, shape.width), strict=True):
            if fixed is not None and side != fixed:
                raise InvalidInputError(
                    f"size must be {shape.height} x {shape.width} for the model {self._path!r}, "
                    f"got {wanted[0]} x {wanted[1]}"
                )
        return wanted

    def _encode(self, pixels: list[Pixels]) -> NDArray[Any]:
        inputs = self._inputs(pixels)
        step = self._session.shape.batch or len(inputs)
        parts = []
        for start in range(0, len(inputs), step):
            batch = inputs[start : start + step]
            missing = step - len(batch)
            if missing:  # the model takes so many at once, no fewer
                batch = np.concatenate([batch, np.repeat(batch[-1:], missing, axis=0)])
            parts.append(self._session(batch)[: step - missing])
        return np.concatenate(parts)

    def _inputs(self, pixels: list[Pixels]) -> NDArray[Any]:
        images = np.stack([resized(image, self._size, self._resize) for image in pixels])
        values = images.astype(np.float64) * self._scale
        values = (values - self._mean) / self._std
        if self._channels == "bgr":
            values = values[..., ::-1]
        if self._layout == "nchw":
            values = values.transpose(0, 3, 1, 2)
        if self._session.dtype is np.uint8:
            values = np.clip(np.rint(values), 0, 255)
        return np.ascontiguousarray(values, self._session.dtype)


# ---- the two runtimes --------------------------------------------------------------------------


def _open(path: str, data: bytes, backend: str, output: str | None, layout: str) -> _Session:
    if backend == "opencv":
        return _OpenCV(path, data, output)
    try:
        return _Runtime(path, data, output, layout)
    except MissingExtraError:
        if backend == "onnxruntime":
            raise
        try:
            return _OpenCV(path, data, output)
        except MissingExtraError:
            pass
        raise


class _Runtime:
    """ONNX Runtime on one thread of the processor: the same bits in every run."""

    def __init__(self, path: str, data: bytes, output: str | None, layout: str) -> None:
        runtime = extra("onnxruntime", "onnx", "measure 'onnx'")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # exceptions say it
        options.use_deterministic_compute = True
        try:
            session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime has a dozen types of its own
            raise _no_model(path, error) from error
        inputs, names = session.get_inputs(), [each.name for each in session.get_outputs()]
        if len(inputs) != 1:
            raise InvalidInputError(
                f"model: {path!r} must take one input, it takes "
                f"{', '.join(each.name for each in inputs) or 'none'}"
            )
        self._input = inputs[0].name
        self.shape = _shape(path, inputs[0].shape, layout)
        if inputs[0].type not in _TYPES:
            raise InvalidInputError(f"model: {path!r} takes {inputs[0].type}, no real numbers")
        self.dtype: Any = _TYPES[inputs[0].type]
        self._output = _chosen(path, names, output)
        self._session = session

    def __call__(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Return the outputs of a batch; threads may share a session."""
        (found,) = self._session.run([self._output], {self._input: batch})
        return np.asarray(found)


class _OpenCV:
    """OpenCV's dnn module, one image and one thread at a time."""

    dtype: Any = np.float32
    shape = _Shape(1, None, None)  # it does not tell

    def __init__(self, path: str, data: bytes, output: str | None) -> None:
        cv2 = extra("cv2", "onnx", "measure 'onnx' with backend='opencv'")
        try:
            self._net = cv2.dnn.readNetFromONNX(np.frombuffer(data, np.uint8))
            names = [str(name) for name in self._net.getUnconnectedOutLayersNames()]
        except AttributeError as error:
            raise MissingExtraError(
                f"this OpenCV ({cv2.__version__}) cannot read ONNX files: install "
                '"imgsim_fast[onnx]"'
            ) from error
        except Exception as error:
            raise _no_model(path, error) from error
        if self._net.empty():
            raise MissingModelError(f"model: {path!r} holds no ONNX model")
        self._output = [_chosen(path, names, output)]
        self._lock = threading.Lock()

    def __call__(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Return the output of a batch of one."""
        with self._lock:
            self._net.setInput(batch)
            return np.array(self._net.forward(*self._output))


def _no_model(path: str, error: Exception) -> MissingModelError:
    reason = " ".join(str(error).split())[:300]
    return MissingModelError(f"model: {path!r} holds no ONNX model that can be run: {reason}")


def _chosen(path: str, names: list[str], output: str | None) -> str:
    """Return the output to take: the one asked for, or the first."""
    if not names:
        raise MissingModelError(f"model: {path!r} has no output")
    if output is not None and output not in names:
        raise InvalidInputError(f"output must be one of {', '.join(names)}, got {output!r}")
    return names[0] if output is None else output


def _shape(path: str, shape: list[Any], layout: str) -> _Shape:
    """Read the shape of an input: numbers where it is fixed, names or None where not."""
    sides = [side if isinstance(side, int) and side > 0 else None for side in shape]
    if len(sides) != 4:
        raise InvalidInputError(f"model: {path!r} takes no images: its input is {shape}")
    batch, *rest = sides
    if max(rest[0] or 1, rest[1] or 1, rest[2] or 1) > MOST_SIDE or (batch or 1) > _MOST_AT_ONCE:
        raise InvalidInputError(
            f"model: {path!r} takes inputs of {shape}: at most {_MOST_AT_ONCE} images with sides "
            f"of {MOST_SIDE}"
        )
    channels = rest.pop(0 if layout == "nchw" else 2)
    if channels not in (3, None):
        raise InvalidInputError(
            f"layout {layout!r} does not fit the model {path!r}: its input {shape} would have "
            f"{channels} channels"
        )
    return _Shape(batch, rest[0], rest[1])


def _as_three(name: str, values: Sequence[float]) -> NDArray[np.float64]:
    numbers = _as_floats(name, values, 1)
    if numbers.shape != (3,):
        raise InvalidInputError(f"{name} must be three numbers, for R, G and B, got {values!r}")
    return numbers


def _as_floats(name: str, values: ArrayLike, dimensions: int) -> NDArray[np.float64]:
    try:
        numbers = np.array(values, np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidTypeError(f"{name} must be numbers, got {values!r}") from error
    if numbers.ndim != dimensions or not np.isfinite(numbers).all():
        kind = "a finite number" if dimensions == 0 else "three finite numbers"
        raise InvalidInputError(f"{name} must be {kind}, got {values!r}")
    return numbers
