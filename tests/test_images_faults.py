"""The image reader on hostile data, names and files: one typed reason, quick and quiet."""

from __future__ import annotations

import errno
import io
import logging
import os
import pickle
import random
import socket
import stat
import struct
import sys
import threading
import time
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile

from imgsim_fast import images
from imgsim_fast.errors import (
    ImageDecodeError,
    ImageTooLargeError,
)
from imgsim_fast.images import decode, open_pixels, read_file
from tests.image_files import (
    FORMATS,
    LONG,
    RULES,
    SHORT,
    animated_webp,
    bmp_header,
    chunk,
    gif_header,
    jpeg_header,
    pixels_or_reason,
    png,
    reason_of,
    sample,
    tiff,
    tiff_pixels,
    warning_tiff,
    webp_header,
)

# --- Limits -------------------------------------------------------------------------------------


BOMBS = {
    "png 16000": (png(16000, 16000, 1, 0, bytes(2001 * 16000)), 16000 * 16000),
    "png 2^31": (png(2**31 - 1, 2**31 - 1, 8, 6), (2**31 - 1) ** 2),
    "png row": (png(1, 90_000_000, 8, 0), 90_000_000),
    "png 9500": (png(9500, 9500, 8, 0), 9500 * 9500),
    "jpeg": (jpeg_header(65500, 65500), 65500**2),
    "gif screen": (gif_header(65500, 65500), 65500**2),
    "gif frame": (gif_header(1, 1, (65500, 65500)), 65500**2),
    "bmp": (bmp_header(65500, 65500), 65500**2),
    "bmp top-down": (bmp_header(65500, -65500), 65500**2),
    "tiff": (tiff_pixels(bytes(9), 65500, 65500, [8]), 65500**2),
    "tiff lzw": (tiff_pixels(bytes(9), 65500, 65500, [8], compression=5), 65500**2),
    "tiff 2^31": (tiff_pixels(bytes(9), 2**31 - 1, 2**31 - 1, [8]), (2**31 - 1) ** 2),
    "webp x": (webp_header(b"VP8X", 65500, 65500), 65500**2),
    "webp l": (webp_header(b"VP8L", 16384, 16384), 16384**2),
    "webp": (webp_header(b"VP8 ", 16383, 16383), 16383**2),
    "webp canvas": (animated_webp(13000, 13000), 13000**2),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bomb_is_refused_from_its_header(name):
    data, pixels = BOMBS[name]
    decode(sample("png"))  # Pillow is imported by now
    start = time.perf_counter()
    with pytest.raises(ImageTooLargeError) as caught:
        decode(data)
    elapsed = time.perf_counter() - start
    assert str(pixels) in caught.value.reason
    assert f"max_pixels={images.MAX_PIXELS}" in caught.value.reason
    # The promise is 10 ms; a loaded machine may take a pause, decoding any of these takes seconds.
    assert elapsed < 0.1


@pytest.mark.parametrize("name", ["webp canvas", "png 16000", "jpeg", "gif frame"])
def test_bomb_is_refused_when_others_switched_pillows_check_off(name, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    data, pixels = BOMBS[name]
    with pytest.raises(ImageTooLargeError, match=str(pixels)):
        decode(data)


def test_smaller_limit_set_by_others_is_told(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ImageTooLargeError, match=r"refused by Pillow.*1200"):
        decode(sample("png"))


@pytest.mark.parametrize("name", FORMATS)
def test_max_pixels_is_the_largest_allowed(name):
    data = sample(name)
    assert decode(data, max_pixels=1200).shape == (30, 40, 3)
    with pytest.raises(ImageTooLargeError, match=r"40 x 30 = 1200 pixels.*max_pixels=1199"):
        decode(data, max_pixels=1199)


@pytest.mark.parametrize("compression", [1, 5, 8])
def test_small_tiff_with_huge_tiles(compression):
    data = tiff(  # Pillow spent 2.3 s and 858 MB on the LZW one
        {
            256: (LONG, [16]),
            257: (LONG, [16]),
            258: (SHORT, [8]),
            259: (SHORT, [compression]),
            262: (SHORT, [1]),
            277: (SHORT, [1]),
            322: (LONG, [30000]),
            323: (LONG, [30000]),
            324: (LONG, [8]),
            325: (LONG, [100]),
        },
        bytes(100),
    )
    with pytest.raises(ImageTooLargeError, match="tiles of 30000 x 30000"):
        decode(data)


@pytest.mark.parametrize(
    "data",
    [
        png(0, 0, 8, 0),
        png(0, 5, 8, 0),
        png(5, 0, 8, 2),
        jpeg_header(0, 0),
        gif_header(0, 0, (0, 0)),
        bmp_header(0, 0),
        tiff_pixels(b"", 0, 0, [8]),
    ],
)
def test_no_pixels_is_an_error(data):
    reason_of(data)


def test_compressed_text_bombs_are_quick():
    """zTXt and iCCP chunks of 200 MB when inflated."""
    body = zlib.compress(bytes(200_000_000), 9)
    for kind in (b"zTXt", b"iCCP"):
        data = png(1, 1, 8, 0, b"\0\x07", chunk(kind, b"k\0\0" + body))
        start = time.perf_counter()
        result = pixels_or_reason(data)
        if isinstance(result, str):
            assert "Decompressed data too large" in result
        else:
            assert result.tolist() == [[[7, 7, 7]]]
        assert time.perf_counter() - start < 0.5


def test_gif_of_ten_thousand_frames_is_quick():
    head = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes([1, 2, 3, 4, 5, 6])
    frame = b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    data = head + frame * 10_000 + b";"
    start = time.perf_counter()
    np.testing.assert_array_equal(decode(data), [[[1, 2, 3]]])
    assert time.perf_counter() - start < 0.2


def test_wide_row_is_fed_in_one_block(monkeypatch):
    """In blocks of 64 KiB the time is quadratic in the width: 68 s for a width of 2^24."""
    blocks: list[int] = []
    load = ImageFile.ImageFile.load

    monkeypatch.setattr(
        ImageFile.ImageFile, "load", lambda im: blocks.append(im.decodermaxblock) or load(im)
    )
    image = open_pixels(animated_webp(2**20, 4), background=(1, 2, 3))
    assert image.getpixel((2**20 - 1, 3)) == (1, 2, 3)
    assert blocks[0] >= 4 * 2**20


def test_no_more_is_read_than_the_limit_and_one_byte():
    class Endless:
        asked = 0

        def read(self, count):
            self.asked += count
            return b"\0" * count

    stream = Endless()
    with pytest.raises(ImageTooLargeError, match="max_bytes=5000000"):
        decode(stream, max_bytes=5_000_000)
    assert stream.asked == 5_000_001


def test_byte_limit_for_every_source(tmp_path):
    data = sample("png")
    path = tmp_path / "x.png"
    path.write_bytes(data)
    for source in (path, data, bytearray(data), memoryview(data), io.BytesIO(data)):
        with pytest.raises(ImageTooLargeError, match=f"max_bytes={len(data) - 1}"):
            decode(source, max_bytes=len(data) - 1)
        if hasattr(source, "seek"):
            source.seek(0)
        assert decode(source, max_bytes=len(data)).shape == (30, 40, 3)


# --- Damaged data -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMATS)
def test_truncated(name):
    """Cut anywhere: an error, or (the last bytes of some formats) every pixel of the whole."""
    data = sample(name)
    whole = decode(data)
    cuts = sorted(
        {*range(0, len(data), max(1, len(data) // 80)), *range(len(data) - 12, len(data))}
    )
    for cut in cuts:
        pixels = pixels_or_reason(data[:cut])
        if isinstance(pixels, str):
            continue
        assert cut > 0.9 * len(data), f"{cut} of {len(data)} bytes decoded"
        np.testing.assert_array_equal(pixels, whole, err_msg=f"{cut} of {len(data)} bytes")


@pytest.mark.parametrize("name", FORMATS)
def test_flipped_bits_give_pixels_or_an_error(name):
    data = sample(name)
    rng = random.Random(name)
    for _ in range(300):
        damaged = bytearray(data)
        # Half of the flips in the headers, where the decisions are.
        end = len(data) if rng.random() < 0.5 else min(200, len(data))
        damaged[rng.randrange(end)] ^= 1 << rng.randrange(8)
        pixels_or_reason(bytes(damaged), max_pixels=1_000_000)


@pytest.mark.parametrize("name", RULES)
def test_flipped_bits_of_unusual_modes(name):
    data = RULES[name][0]
    rng = random.Random(name)
    for _ in range(60):
        damaged = bytearray(data)
        damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        pixels_or_reason(bytes(damaged), max_pixels=1_000_000)


@pytest.mark.parametrize("name", FORMATS)
def test_random_bytes_after_a_valid_start(name):
    data = sample(name)
    rng = random.Random(name)
    for _ in range(60):
        pixels_or_reason(data[: rng.randrange(16, 120)] + rng.randbytes(400), max_pixels=1_000_000)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"\0", "not an image"),
        (bytes(10_000), "not an image"),
        (random.Random(0).randbytes(4096), "not an image"),
        (b"hello, world\n" * 9, "not an image"),
        (b"BMW and Audi are makers of cars", "not an image"),
        (b"<!doctype html><html><body>404 not found</body></html>", "not an image"),
        (b"\0\0\0 ftypavif\0\0\0\0avifmif1miaf", "AVIF are not read"),
        (b"%PDF-1.7", "not an image"),
        (b"\xff\xd8\xff", "cannot decode JPEG"),
        (b"\x89PNG\r\n\x1a\n", "cannot decode PNG"),
    ],
)
def test_not_an_image(data, words):
    assert words in reason_of(data)


def test_missing_end_mark_of_jpeg_and_data_after_the_end():
    data = sample("jpeg")
    assert "truncated" in reason_of(data[:-2])
    np.testing.assert_array_equal(decode(data + b"trailing rubbish"), decode(data))


def test_load_truncated_images_cannot_hide_damage(monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    data = sample("jpeg")
    assert np.asarray(Image.open(io.BytesIO(data[: len(data) // 2]))).shape == (30, 40, 3)
    assert "LOAD_TRUNCATED_IMAGES" in reason_of(data[: len(data) // 2])
    assert ImageFile.LOAD_TRUNCATED_IMAGES  # not ours to change


@pytest.mark.parametrize(
    "error",
    [
        OSError("x"),
        SyntaxError("x"),
        ValueError(),
        struct.error("a\nb\x1b[31m\x00"),
        MemoryError(),
        OverflowError("x" * 5000),
        zlib.error("x"),
        IndexError(),
        KeyError("k"),
        EOFError(),
        TypeError(),
        AttributeError(),
        RecursionError(),
        NotImplementedError(),
        Image.DecompressionBombError("no number"),
        UserWarning("as an error"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_pillow_raises_is_one_line(error, monkeypatch):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    with pytest.raises(ImageDecodeError) as caught:
        open_pixels(sample("png"))
    assert caught.value.__cause__ is error
    assert caught.value.reason.isprintable()
    assert 5 < len(caught.value.reason) <= 200


def test_interrupt_is_not_swallowed(monkeypatch):
    def fail(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    with pytest.raises(KeyboardInterrupt):
        open_pixels(sample("png"))


# --- Warnings -----------------------------------------------------------------------------------


def test_warning_file_does_warn():
    with pytest.warns(UserWarning, match="larger than file"):
        Image.open(io.BytesIO(warning_tiff())).load()


@pytest.mark.parametrize("action", ["error", "always", "default"])
def test_pillows_warnings_do_not_leak(action, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter(action)
        for _ in range(3):
            assert decode(warning_tiff(), mode="grey") == 7
    assert capfd.readouterr().err == ""


def test_warning_filters_of_others_stay():
    decode(warning_tiff())
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        decode(warning_tiff())
        warnings.warn("ours", UserWarning, stacklevel=1)
        Image.open(io.BytesIO(warning_tiff())).load()
    assert len(seen) >= 2
    assert str(seen[0].message) == "ours"


def test_filter_is_put_in_once_and_survives_pickling():
    decode(sample("png"))
    before = len(warnings.filters)
    for _ in range(5):
        decode(sample("png"))
    assert len(warnings.filters) == before
    copied = pickle.loads(pickle.dumps(warnings.filters[0]))
    assert copied == warnings.filters[0]


def test_threads_are_quiet_while_others_warn():
    failures: list[object] = []

    def work() -> None:
        try:
            for _ in range(100):
                assert decode(warning_tiff(), mode="grey") == 7
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    decode(sample("png"))  # the filter is in its place, under pytest's "error"
    for thread in threads:
        thread.start()
    for _ in range(200):
        with pytest.raises(UserWarning):
            Image.open(io.BytesIO(warning_tiff())).load()
    for thread in threads:
        thread.join()
    assert failures == []


def test_context_aware_warnings(monkeypatch):
    """The branch of Python 3.14, as far as another Python can run it."""

    class Flags:
        context_aware_warnings = 1

    monkeypatch.setattr(sys, "flags", Flags())
    before = list(warnings.filters)
    assert decode(warning_tiff(), mode="grey") == 7
    assert list(warnings.filters) == before


def test_pillows_error_log_does_not_leak(capfd, caplog):
    data = tiff_pixels(b"\x07", 1, 1, [8], t277=(LONG, [2**28]))
    with caplog.at_level(logging.DEBUG):
        reason_of(data)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert capfd.readouterr().err == ""


# --- Files --------------------------------------------------------------------------------------

HOSTILE_NAMES = [
    b"bad\xff.png",
    b"new\nline.png",
    b"quote'\".png",
    b"<img src=x onerror=alert(1)>.png",
    b"\x1b[31mred.png",
    b"-rf.png",
    "\u202egnp.exe".encode(),
    "\U0001f600.png".encode(),
    b"%s%n{0}.png",
    b"CON",
    b"x" * 255,
]


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=range(len(HOSTILE_NAMES)))
def test_hostile_name(name, tmp_path):
    path = os.path.join(os.fsencode(tmp_path), name)
    data = sample("png")
    with open(path, "wb") as stream:
        stream.write(data)
    assert read_file(path)[0] == data
    assert decode(os.fsdecode(path)).shape == (30, 40, 3)


def test_wrong_suffix_decodes(tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(sample("jpeg"))
    np.testing.assert_array_equal(decode(path), decode(sample("jpeg")))


def test_read_file_gives_contents_and_status(tmp_path):
    path = tmp_path / "x"
    for size in (0, 1, 2**20 - 1, 2**20, 2**20 + 1, 3_000_000):
        data = random.Random(size).randbytes(size)
        path.write_bytes(data)
        got, status = read_file(path)
        assert got == data
        assert status.st_size == size
        assert stat.S_ISREG(status.st_mode)


def within(seconds, function, *arguments):
    """Call in a thread, so that a call that blocks is a failure and not a hang."""
    result: list[object] = []

    def run() -> None:
        try:
            result.append(function(*arguments))
        except BaseException as error:
            result.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), "blocked"
    return result[0]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX file types")
@pytest.mark.parametrize("kind", ["FIFO", "socket", "directory", "device"])
def test_not_a_regular_file(kind, tmp_path):
    path = tmp_path / "x.jpg"
    if kind == "FIFO":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "device":
        path = "/dev/zero"
    else:
        with socket.socket(socket.AF_UNIX) as server:
            # The name of a socket is limited to about 100 bytes: bind by a relative one.
            here = os.getcwd()
            os.chdir(tmp_path)
            try:
                server.bind("x.jpg")
            finally:
                os.chdir(here)
    error = within(3, decode, os.fspath(path))
    assert isinstance(error, ImageDecodeError)
    assert error.reason == f"not a regular file (a {kind})"


def test_sparse_terabyte_is_refused_by_its_size(tmp_path):
    path = tmp_path / "x.png"
    path.touch()
    os.truncate(path, 2**40)
    with pytest.raises(ImageTooLargeError, match=str(2**40)):
        read_file(path)


def test_file_that_grows_while_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / "x"
    path.write_bytes(b"1" * 100)
    read = os.read

    def grow(descriptor: int, count: int) -> bytes:
        with path.open("ab") as stream:
            stream.write(b"2" * 50)
        return read(descriptor, count)

    monkeypatch.setattr(os, "read", grow)
    with pytest.raises(ImageTooLargeError, match="max_bytes=1000"):
        read_file(path, max_bytes=1000)


def test_file_that_shrinks_while_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / "x"
    path.write_bytes(sample("png"))
    read = os.read

    def shrink(descriptor: int, count: int) -> bytes:
        os.truncate(path, 60)
        return read(descriptor, count)

    monkeypatch.setattr(os, "read", shrink)
    with pytest.raises(ImageDecodeError, match="cannot decode PNG"):
        decode(path)


@pytest.mark.parametrize(
    ("code", "words"), [("EIO", "input/output error"), ("EACCES", "permission denied")]
)
def test_failing_read_has_a_short_reason(code, words, tmp_path, monkeypatch):
    path = tmp_path / "x"
    path.write_bytes(b"1")
    number = getattr(errno, code)

    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "read", fail)
    with pytest.raises(ImageDecodeError) as caught:
        read_file(path)
    assert caught.value.reason == words
    assert isinstance(caught.value.__cause__, OSError)


def test_permission_denied(tmp_path):
    path = tmp_path / "x.png"
    path.write_bytes(sample("png"))
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(ImageDecodeError, match=r"^permission denied$"):
        read_file(path)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("no/such/file.png", "no such file or directory"),
        ("", "no such file or directory"),
        ("a\0b", "null"),
        (b"a\0b", "null"),
        ("x" * 5000, "file name too long"),
        ("\ud800", "surrogates not allowed"),
    ],
)
def test_unusable_path(path, words):
    with pytest.raises(ImageDecodeError) as caught:
        read_file(path)
    assert words in caught.value.reason
    assert caught.value.__cause__ is not None


def test_link_loop(tmp_path):
    os.symlink(tmp_path / "b", tmp_path / "a")
    os.symlink(tmp_path / "a", tmp_path / "b")
    with pytest.raises(ImageDecodeError, match="symbolic links"):
        read_file(tmp_path / "a")


def test_no_descriptor_is_left_open(tmp_path):
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("no /proc")
    path = tmp_path / "x"
    path.write_bytes(b"not an image")
    before = len(os.listdir("/proc/self/fd"))
    for source in (path, tmp_path, tmp_path / "missing", "/dev/null"):
        with pytest.raises(ImageDecodeError):
            decode(source)
    with pytest.raises(ImageTooLargeError):
        decode(path, max_bytes=3)
    assert len(os.listdir("/proc/self/fd")) == before
