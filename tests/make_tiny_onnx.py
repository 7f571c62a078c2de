"""Write tests/data/tiny.onnx, an image encoder of one kilobyte: ``python -m tests.make_tiny_onnx``.

A convolution (8 filters of 3 x 3, stride 2), ReLU, global average, flatten. The protobuf is written
by hand, from the field numbers of onnx.proto3, so that nothing but NumPy is needed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

FILE = Path(__file__).with_name("data") / "tiny.onnx"
FILTERS = 8
FLOAT = 1  # TensorProto.DataType
INTS = 7  # AttributeProto.AttributeType


def _varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def _field(number, value):
    """One field: an integer, text, bytes, or a message as its bytes."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _message(*fields):
    return b"".join(_field(number, value) for number, value in fields)


def _attribute(name, numbers):
    return _message((1, name), *((8, number) for number in numbers), (20, INTS))


def _node(kind, inputs, output, *attributes):
    named = [(1, name) for name in inputs]
    return _message(*named, (2, output), (4, kind), *((5, each) for each in attributes))


def _tensor(name, values):
    dims = [(1, side) for side in values.shape]
    return _message(*dims, (2, FLOAT), (8, name), (9, values.astype("<f4").tobytes()))


def _value(name, shape):
    sides = [(1, _message((1 if isinstance(side, int) else 2, side))) for side in shape]
    return _message((1, name), (2, _field(1, _message((1, FLOAT), (2, _message(*sides))))))


def weights():
    """The filters, (8, 3, 3, 3): multiples of 1/64, so that they are the same everywhere."""
    return ((np.arange(FILTERS * 27) * 37 % 101 - 50) / 64).reshape(FILTERS, 3, 3, 3)


def model(shape=("n", 3, "h", "w"), outputs=("vector",), scale=1.0):
    """The file's bytes; `outputs` are some of vector (n, 8), pooled (n, 8, 1, 1), relu."""
    nodes = [
        _node(
            "Conv", ["image", "filters"], "conv",
            _attribute("kernel_shape", [3, 3]), _attribute("pads", [1, 1, 1, 1]),
            _attribute("strides", [2, 2]),
        ),
        _node("Relu", ["conv"], "relu"),
        _node("GlobalAveragePool", ["relu"], "pooled"),
        _node("Flatten", ["pooled"], "vector"),
    ]  # fmt: skip
    n = shape[0]
    shapes = {"vector": (n, FILTERS), "pooled": (n, FILTERS, 1, 1), "relu": (n, FILTERS, "i", "j")}
    graph = _message(
        *((1, node) for node in nodes),
        (2, "tiny"),
        (5, _tensor("filters", weights() * scale)),
        (11, _value("image", shape)),
        *((12, _value(name, shapes[name])) for name in outputs),
    )
    return _message((1, 8), (2, "imgsim_fast"), (7, graph), (8, _message((1, ""), (2, 13))))


def reference(batch):
    """The vectors by NumPy: (n, 3, h, w) -> (n, 8), slowly."""
    n, _, height, width = batch.shape
    padded = np.pad(np.asarray(batch, float), ((0, 0), (0, 0), (1, 1), (1, 1)))
    found = np.zeros((n, FILTERS, -(-height // 2), -(-width // 2)))
    for y in range(found.shape[2]):
        for x in range(found.shape[3]):
            window = padded[:, :, 2 * y : 2 * y + 3, 2 * x : 2 * x + 3]
            found[:, :, y, x] = np.einsum("ncij,fcij->nf", window, weights())
    return np.maximum(found, 0).mean(axis=(2, 3))


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_bytes(model())
