"""Image files made by hand for the tests of the reader: every mode, damaged and hostile ones."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from imgsim_fast.errors import ImageDecodeError
from imgsim_fast.images import decode

FORMATS = {
    "jpeg": {"format": "JPEG", "quality": 90},
    "progressive": {"format": "JPEG", "quality": 90, "progressive": True},
    "png": {"format": "PNG"},
    "webp": {"format": "WEBP", "lossless": True},
    "webp-lossy": {"format": "WEBP", "quality": 80},
    "gif": {"format": "GIF"},
    "bmp": {"format": "BMP"},
    "tiff": {"format": "TIFF"},
    "tiff-lzw": {"format": "TIFF", "compression": "tiff_lzw"},
    "tiff-deflate": {"format": "TIFF", "compression": "tiff_adobe_deflate"},
}


def encode(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, **options)
    return buffer.getvalue()


def picture(mode: str = "RGB", width: int = 40, height: int = 30, seed: int = 0) -> Image.Image:
    """Noise on a gradient: no two rows, columns or corners are equal."""
    noise = np.random.default_rng(seed).integers(0, 64, (height, width, 3))
    ramp = np.add.outer(np.arange(height) * 3, np.arange(width) * 2)[..., None]
    return Image.fromarray((noise + ramp).clip(0, 255).astype(np.uint8)).convert(mode)


def sample(name: str) -> bytes:
    return encode(picture(), **FORMATS[name])


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, depth, colour, rows=b"", extra=b"", interlace=0) -> bytes:
    """Make a PNG by hand; `rows` includes the filter byte of each row."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            extra,
            chunk(b"IDAT", zlib.compress(rows, 9)),
            chunk(b"IEND", b""),
        )
    )


SHORT, LONG = 3, 4


def tiff(entries: dict[int, tuple[int, list[int]]], data: bytes = b"", order: str = "<") -> bytes:
    """Make a TIFF by hand: the data at offset 8, long values and the directory after it."""
    out = bytearray((b"II*\0" if order == "<" else b"MM\0*") + b"\0\0\0\0" + data)
    directory = []
    for tag, (kind, values) in sorted(entries.items()):
        packed = struct.pack(f"{order}{len(values)}{'H' if kind == SHORT else 'I'}", *values)
        if len(packed) > 4:
            offset, packed = len(out), packed
            out += packed
            packed = struct.pack(order + "I", offset)
        header = struct.pack(order + "HHI", tag, kind, len(values))
        directory.append(header + packed.ljust(4, b"\0"))
    out[4:8] = struct.pack(order + "I", len(out))
    out += struct.pack(order + "H", len(directory)) + b"".join(directory) + bytes(4)
    return bytes(out)


def tiff_pixels(data, width, height, bits, photometric=1, order="<", compression=1, **more):
    entries = {
        256: (LONG, [width]),
        257: (LONG, [height]),
        258: (SHORT, bits),
        259: (SHORT, [compression]),
        262: (SHORT, [photometric]),
        273: (LONG, [8]),
        277: (SHORT, [len(bits)]),
        278: (LONG, [height]),
        279: (LONG, [len(data)]),
    }
    entries.update({int(tag[1:]): value for tag, value in more.items()})
    return tiff(entries, data, order)


def warning_tiff() -> bytes:
    """Make a good TIFF with a tag whose data lie outside: Pillow warns."""
    return tiff_pixels(b"\x07", 1, 1, [8], t700=(LONG, [1, 2, 3])).replace(
        struct.pack("<HHI", 700, LONG, 3), struct.pack("<HHI", 700, LONG, 3_000_000)
    )


def jpeg_header(width: int, height: int) -> bytes:
    data = bytearray(sample("jpeg"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def webp_header(kind: bytes, width: int, height: int) -> bytes:
    if kind == b"VP8X":
        body = bytes(4) + struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    elif kind == b"VP8L":
        body = b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14) + bytes(20)
    else:
        body = b"\x10\x02\0\x9d\x01\x2a" + struct.pack("<HH", width, height) + bytes(20)
    body += bytes(len(body) % 2)
    payload = b"WEBP" + kind + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", len(payload)) + payload


def animated_webp(width: int, height: int) -> bytes:
    """Give a valid file with one 4 x 4 frame on a canvas of any size."""
    still = encode(Image.new("RGBA", (4, 4), (1, 2, 3, 9)), format="WEBP", lossless=True)[12:]
    canvas = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    frame = bytes(6) + b"\3\0\0\3\0\0\x64\0\0\0" + still
    payload = b"WEBPVP8X" + struct.pack("<I", 10) + b"\x12\0\0\0" + canvas
    payload += b"ANIM" + struct.pack("<I", 6) + bytes(6)
    payload += b"ANMF" + struct.pack("<I", len(frame)) + frame
    return b"RIFF" + struct.pack("<I", len(payload)) + payload


def bmp_header(width: int, height: int) -> bytes:
    data = bytearray(sample("bmp"))
    data[18:26] = struct.pack("<ii", width, height)
    return bytes(data)


def gif_header(width: int, height: int, frame: tuple[int, int] = (1, 1)) -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    return head + b"," + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\x02\x02\x44\x01\x00;"


def reason_of(data: bytes, **options: object) -> str:
    with pytest.raises(ImageDecodeError) as caught:
        decode(data, **options)
    reason = caught.value.reason
    assert reason
    assert reason.isprintable()
    assert len(reason) <= 200
    return reason


def pixels_or_reason(data: bytes, **options: object) -> np.ndarray | str:
    """Decode what may be damaged; anything but pixels or an `ImageDecodeError` gets through."""
    try:
        pixels = decode(data, **options)
    except ImageDecodeError as error:
        reason = error.reason
    else:
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 3
        return pixels
    assert reason.isprintable()
    assert 0 < len(reason) <= 200
    return reason


# --- One file for each pixel rule, of one row, with its pixels ---------------------------------


def over(colour, alpha, background=(255, 255, 255)):
    """Composite slowly, in Python integers."""
    return [
        (c * alpha + b * (255 - alpha) + 127) // 255
        for c, b in zip(colour, background, strict=True)
    ]


def row(*pixels: bytes) -> bytes:
    return b"\0" + b"".join(pixels)


def be16(*values: int) -> bytes:
    return struct.pack(f">{len(values)}H", *values)


def le16(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}H", *values)


PALETTE = chunk(b"PLTE", bytes([10, 20, 30, 40, 50, 60, 70, 80, 90, 255, 0, 0]))
DEEP = [0, 127, 128, 129, 300, 32767, 32768, 65407, 65408, 65535]
DEEP_8 = [round(v / 257) for v in DEEP]
GREY_16 = [[v] * 3 for v in DEEP_8]

# name -> file of one row, its pixels
RULES = {
    "1 bit": (png(4, 1, 1, 0, b"\0\x50"), [[0] * 3, [255] * 3, [0] * 3, [255] * 3]),
    "1 bit keyed": (
        png(2, 1, 1, 0, b"\0\x40", chunk(b"tRNS", b"\0\0")),
        [[255] * 3, [255] * 3],
    ),
    "2 bits": (png(4, 1, 2, 0, b"\0\x1b"), [[0] * 3, [85] * 3, [170] * 3, [255] * 3]),
    "2 bits keyed": (
        png(4, 1, 2, 0, b"\0\x1b", chunk(b"tRNS", b"\0\1")),
        [[0] * 3, [255] * 3, [170] * 3, [255] * 3],
    ),
    "4 bits keyed": (
        png(4, 1, 4, 0, b"\0\x01\x5f", chunk(b"tRNS", b"\0\5")),
        [[0] * 3, [17] * 3, [255] * 3, [255] * 3],
    ),
    "grey": (png(3, 1, 8, 0, b"\0\x00\x7f\xff"), [[0] * 3, [127] * 3, [255] * 3]),
    "grey keyed": (
        png(3, 1, 8, 0, b"\0\x00\x7f\xff", chunk(b"tRNS", b"\0\x7f")),
        [[0] * 3, [255] * 3, [255] * 3],
    ),
    "grey alpha": (
        png(4, 1, 8, 4, row(b"\x0a\x00\x0a\xff\x0a\x80\xc8\x01")),
        [[255] * 3, [10] * 3, over([10] * 3, 128), over([200] * 3, 1)],
    ),
    "palette": (
        png(4, 1, 8, 3, b"\0\0\1\2\3", PALETTE),
        [[10, 20, 30], [40, 50, 60], [70, 80, 90], [255, 0, 0]],
    ),
    "palette 2 bits": (
        png(4, 1, 2, 3, b"\0\x1b", PALETTE),
        [[10, 20, 30], [40, 50, 60], [70, 80, 90], [255, 0, 0]],
    ),
    "palette one transparent": (
        png(4, 1, 8, 3, b"\0\0\1\2\3", PALETTE + chunk(b"tRNS", b"\xff\x00")),
        [[10, 20, 30], [255] * 3, [70, 80, 90], [255, 0, 0]],
    ),
    "palette alphas": (
        png(4, 1, 8, 3, b"\0\0\1\2\3", PALETTE + chunk(b"tRNS", b"\x80\x00\xfe")),
        [over([10, 20, 30], 128), [255] * 3, over([70, 80, 90], 254), [255, 0, 0]],
    ),
    "rgb": (png(2, 1, 8, 2, row(b"\1\2\3\xfd\xfe\xff")), [[1, 2, 3], [253, 254, 255]]),
    "rgb keyed": (
        png(3, 1, 8, 2, row(b"\1\2\3\1\2\4\xfd\xfe\xff"), chunk(b"tRNS", be16(1, 2, 3))),
        [[255] * 3, [1, 2, 4], [253, 254, 255]],
    ),
    "rgba": (
        png(4, 1, 8, 6, row(b"\1\2\3\0\1\2\3\xff\1\2\3\x7f\xc8\x64\x32\x80")),
        [[255] * 3, [1, 2, 3], over([1, 2, 3], 127), over([200, 100, 50], 128)],
    ),
    "16-bit grey png": (png(10, 1, 16, 0, row(be16(*DEEP))), GREY_16),
    "16-bit grey keyed": (
        png(3, 1, 16, 0, row(be16(300, 301, 65535)), chunk(b"tRNS", be16(300))),
        [[255] * 3, [1] * 3, [255] * 3],
    ),
    "16-bit grey alpha": (
        png(2, 1, 16, 4, row(be16(0x1234, 0xFFFF, 0x1234, 0x8000))),
        [[0x12] * 3, over([0x12] * 3, 0x80)],
    ),
    "16-bit rgb png": (
        png(2, 1, 16, 2, row(be16(0x01FF, 0x8000, 0xFFFF, 0, 0xFE, 0x7FFF))),
        [[1, 128, 255], [0, 0, 127]],
    ),
    "16-bit rgb keyed": (
        png(
            2,
            1,
            16,
            2,
            row(be16(300, 600, 65535, 999, 600, 0)),
            chunk(b"tRNS", be16(300, 600, 65535)),
        ),
        [[255] * 3, [3, 2, 0]],
    ),
    "16-bit rgba": (
        png(2, 1, 16, 6, row(be16(0x0A00, 0x1400, 0x1EFF, 0xFFFF, 0x0A00, 0x1400, 0x1E00, 0x40FF))),
        [[10, 20, 30], over([10, 20, 30], 0x40)],
    ),
    "16-bit grey tiff little": (tiff_pixels(le16(*DEEP), 10, 1, [16]), GREY_16),
    "16-bit grey tiff big": (tiff_pixels(be16(*DEEP), 10, 1, [16], order=">"), GREY_16),
    "16-bit grey tiff deflate little": (
        tiff_pixels(zlib.compress(le16(*DEEP)), 10, 1, [16], compression=8),
        GREY_16,
    ),
    "16-bit grey tiff deflate big": (
        tiff_pixels(zlib.compress(be16(*DEEP)), 10, 1, [16], compression=8, order=">"),
        GREY_16,
    ),
    "16-bit grey tiff white is zero": (
        tiff_pixels(le16(*DEEP), 10, 1, [16], photometric=0),
        [[255 - v] * 3 for v in DEEP_8],
    ),
    "12-bit grey tiff": (
        tiff_pixels(bytes([0x00, 0x00, 0x08, 0xFF, 0xFF, 0x80]), 4, 1, [12]),
        [[round(v * 255 / 4095)] * 3 for v in (0, 8, 0xFFF, 0xF80)],
    ),
    "16-bit rgb tiff little": (
        tiff_pixels(le16(0x01FF, 0x8000, 0xFFFF), 1, 1, [16] * 3, photometric=2),
        [[1, 128, 255]],
    ),
    "16-bit rgb tiff big": (
        tiff_pixels(be16(0x01FF, 0x8000, 0xFFFF), 1, 1, [16] * 3, photometric=2, order=">"),
        [[1, 128, 255]],
    ),
    "16-bit rgb tiff deflate": (
        tiff_pixels(
            zlib.compress(be16(0x01FF, 0x8000, 0xFFFF)), 1, 1, [16] * 3, 2, ">", compression=8
        ),
        [[1, 128, 255]],
    ),
    "8-bit grey tiff white is zero": (
        tiff_pixels(b"\0\x0a\xff", 3, 1, [8], photometric=0),
        [[255] * 3, [245] * 3, [0] * 3],
    ),
    "grey alpha tiff": (
        tiff_pixels(b"\x0a\x00\x0a\x80", 2, 1, [8, 8], t338=(SHORT, [2])),
        [[255] * 3, over([10] * 3, 128)],
    ),
    # Premultiplied: Pillow divides by alpha first, so 5 of 128 is 9 (not 9.96).
    "premultiplied grey tiff": (
        tiff_pixels(b"\x05\x80\x07\xff", 2, 1, [8, 8], t338=(SHORT, [1])),
        [over([9] * 3, 128), [7] * 3],
    ),
    "premultiplied rgb tiff": (
        tiff_pixels(b"\x05\x0a\x40\x80\1\2\3\xff", 2, 1, [8] * 4, 2, t338=(SHORT, [1])),
        [over([9, 19, 127], 128), [1, 2, 3]],
    ),
    "cmyk tiff": (
        tiff_pixels(bytes([0, 0, 0, 0, 255, 0, 0, 0, 0, 0, 0, 255]), 3, 1, [8] * 4, photometric=5),
        [[255] * 3, [0, 255, 255], [0] * 3],
    ),
    "palette tiff": (
        tiff_pixels(
            b"\x01\x00",
            2,
            1,
            [8],
            photometric=3,
            t320=(
                SHORT,
                [0x0A00, 0x2800]
                + [0] * 254
                + [0x1400, 0x3200]
                + [0] * 254
                + [0x1E00, 0x3C00]
                + [0] * 254,
            ),
        ),
        [[40, 50, 60], [10, 20, 30]],
    ),
}
