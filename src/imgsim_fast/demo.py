"""A gallery of synthetic pictures to try the search on, without downloading anything.

Every scene comes as a family: the original and variants whose names say what was done to them. Some
keep the distribution of grey levels (mirrored, rotated, grey), others shift or stretch it (darker,
more contrast). A search for a further variant must rank its own family first, and in it those of
unchanged brightness before the brighter and darker ones: a right answer is visible to the eye.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imgsim_fast.errors import InvalidInputError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["VARIANTS", "Gallery", "render_gallery"]

Floats = NDArray[np.floating[Any]]  # float32 throughout, but for a few rows

VERSION = 1  # of the pictures: raise it with every change that a pixel can notice
MARKER = "gallery.json"  # written last: its presence means the gallery is complete
UNFINISHED = "gallery.unfinished.json"  # written first: this folder is ours, though incomplete

SIZES = ((192, 144), (208, 156), (224, 168), (240, 180), (256, 192), (256, 160), (156, 208))

#: What is done to each scene, in the order of rendering.
VARIANTS = (
    *("original", "mirrored", "rotated", "grey", "cropped", "noisy", "blurred"),
    *("brighter", "much-brighter", "darker", "much-darker"),
    *("more-contrast", "less-contrast", "negative"),
)
SAME_BRIGHTNESS = VARIANTS[:4]  # these keep the grey-level distribution of the original
GAMMA = {"brighter": 0.72, "much-brighter": 0.48, "darker": 1.4, "much-darker": 2.0}
CONTRAST = {"more-contrast": 1.55, "less-contrast": 0.6}

PALETTES = (
    *("0b132b 1c2541 3a506b 5bc0be f0f7f4", "2d1e2f 6d3b47 b5635a f0a868 fde8c9"),  # lagoon, dusk
    *("1b2d1f 3f5d3a 7a9e5f c4d79b f4f4e1", "22223b 4a4e69 9a8c98 c9ada7 f2e9e4"),  # moss, mauve
    *("03045e 0077b6 00b4d8 90e0ef f1fafe", "2b2118 6b4a2f a97c50 d9b382 f5e6cf"),  # ocean, earth
    *("1a1423 5b2a5b b8336a f26a5b fbd3a1", "10221b 1f5045 3f8f7b 8fd0b5 eefbf3"),  # rose, mint
    *("14213d 3d405b e07a5f f2cc8f f4f1de", "2a0a12 7a1f2b c8553d f28f3b ffd5a0"),  # clay, ember
    *("0d1b2a 1b3a4b 4d7c8a cbdfbd f4f1bb", "241b2f 433a78 7f6fc0 b9a9e8 f3edff"),  # meadow, lilac
)


@dataclass(frozen=True, slots=True)
class Gallery:
    """A rendered gallery: ``count`` pictures in ``folder`` and a ``query`` that is none of them."""

    folder: str
    query: str
    count: int


def render_gallery(
    folder: str | os.PathLike[str],
    *,
    count: int = 1000,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Gallery:
    """Render pictures into ``folder/images`` and a query into ``folder/query.png``.

    A folder that holds it already is left alone; one in which rendering was interrupted is
    completed. Any other folder that is not empty raises `InvalidInputError` and stays as it is.

    Parameters
    ----------
    folder : path
        Created if needed.
    count : int
        Number of pictures, at least 1.
    seed : int
        Same seed, same pictures.
    progress : callable, optional
        Called as ``progress(done, count)`` after each picture.
    """
    if count < 1:
        raise InvalidInputError(f"count must be at least 1, not {count}")
    if seed < 0:
        raise InvalidInputError(f"seed must not be negative, not {seed}")
    path = os.fspath(folder)
    gallery = Gallery(os.path.join(path, "images"), os.path.join(path, "query.png"), count)
    identity = {"gallery": "imgsim_fast demo", "version": VERSION, "count": count, "seed": seed}
    names = [_file_name(*divmod(i, len(VARIANTS))) for i in range(count)]
    if _is_complete(path, identity, names):
        return gallery

    marker = (json.dumps(identity, indent=2) + "\n").encode()
    os.makedirs(path, exist_ok=True)
    _write(os.path.join(path, UNFINISHED), marker)
    _remove(os.path.join(path, MARKER))  # there if pictures were deleted from a finished gallery
    os.makedirs(gallery.folder, exist_ok=True)
    histograms = np.empty((count, 256))
    for i, name in enumerate(names):
        scene, variant = divmod(i, len(VARIANTS))
        if variant == 0:
            original = _render_scene(scene, seed)
        picture = _vary(original, VARIANTS[variant], np.random.default_rng([seed, scene, 1]))
        _write(os.path.join(gallery.folder, name), _encode(picture, name))
        histograms[i] = picture.convert("L").histogram()
        if progress is not None:
            progress(i + 1, count)

    chosen = _most_recognisable(histograms)
    rng = np.random.default_rng([seed, chosen, 2])
    query = _add_noise(_vary(_render_scene(chosen, seed), "mirrored", rng), rng, 3.0)
    _write(gallery.query, _encode(query, gallery.query))
    _write(os.path.join(path, MARKER), marker)
    _remove(os.path.join(path, UNFINISHED))
    return gallery


def _kind(scene: int) -> str:
    return list(SCENES)[scene % len(SCENES)]


def _file_name(scene: int, variant: int) -> str:
    kind = _kind(scene)
    # Flat pictures compress better, and stay sharp, as PNG; noise never compresses.
    extension = "png" if kind in FLAT_KINDS and VARIANTS[variant] != "noisy" else "jpg"
    return f"scene-{scene:03d}-{kind}-{VARIANTS[variant]}.{extension}"


def _is_complete(folder: str, identity: dict[str, object], names: list[str]) -> bool:
    """Whether the gallery is there; raises if the folder is not one for us to write to."""
    try:
        entries = set(os.listdir(folder))
    except FileNotFoundError:
        entries = set()
    except NotADirectoryError:
        raise InvalidInputError(f"{folder!r} is not a folder") from None
    if not entries:
        return False
    marker = MARKER if MARKER in entries else UNFINISHED
    try:
        with open(os.path.join(folder, marker), encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict) or found.get("gallery") != identity["gallery"]:
        raise InvalidInputError(f"folder {folder!r} is not empty and not a demo gallery")
    differing = [f"{k} {found.get(k)}, not {v}" for k, v in identity.items() if found.get(k) != v]
    if differing:
        raise InvalidInputError(
            f"folder {folder!r} holds a demo gallery of {'; '.join(differing)}: "
            "delete it or choose another folder"
        )
    wanted = {"images", "query.png", MARKER}
    images = os.path.join(folder, "images")
    return wanted <= entries and os.path.isdir(images) and set(names) <= set(os.listdir(images))


def _write(path: str, data: bytes) -> None:
    """Write a file so that it has all its bytes or does not exist."""
    partial = f"{path}.{secrets.token_hex(4)}.tmp"
    try:
        with open(partial, "xb") as file:
            file.write(data)
        os.replace(partial, path)
    except BaseException:
        _remove(partial)
        raise


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.remove(path)


def _encode(picture: Image, name: str) -> bytes:
    buffer = io.BytesIO()
    # Each format takes its own option and ignores the other's.
    picture.save(buffer, "PNG" if name.endswith("png") else "JPEG", compress_level=4, quality=88)
    return buffer.getvalue()


def _vary(original: Image, variant: str, rng: np.random.Generator) -> Image:
    """One member of the family; of the same size, except for the crop."""
    from PIL import Image, ImageFilter

    width, height = original.size
    left, top = int(width * rng.uniform(0, 0.1)), int(height * rng.uniform(0, 0.1))
    untoned: dict[str, Callable[[], Image.Image]] = {
        "original": original.copy,
        "mirrored": lambda: original.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        "rotated": lambda: original.transpose(Image.Transpose.ROTATE_180),
        "grey": lambda: original.convert("L"),
        "cropped": lambda: original.crop(
            (left, top, left + width * 9 // 10, top + height * 9 // 10)
        ),
        "noisy": lambda: _add_noise(original, rng, 9.0),
        "blurred": lambda: original.filter(ImageFilter.GaussianBlur(1.6)),
    }
    if variant in untoned:
        return untoned[variant]()
    levels = np.arange(256) / 255.0
    if variant in GAMMA:
        levels = levels ** GAMMA[variant]
    else:
        # Around the picture's own mean, so that contrast changes the spread and not the brightness.
        mean = float(np.asarray(original.convert("L")).mean()) / 255.0
        levels = 1 - levels if variant == "negative" else mean + (levels - mean) * CONTRAST[variant]
    return original.point(np.clip(np.rint(levels * 255), 0, 255).astype(int).tolist() * 3)


def _add_noise(picture: Image, rng: np.random.Generator, sigma: float) -> Image:
    from PIL import Image

    pixels = np.asarray(picture)
    # One grey value for all channels, as a sensor's luminance noise.
    noise = rng.standard_normal((*pixels.shape[:2], 1), dtype=np.float32) * sigma
    return Image.fromarray(np.clip(pixels + noise + 0.5, 0, 255).astype(np.uint8))


def _most_recognisable(histograms: Floats) -> int:
    """Scene whose original is farthest in grey-level W1 from all pictures of other scenes.

    Histograms know neither shape nor colour: another picture of the gallery may happen to have the
    same one. The query is a variant of the scene for which that is least the case.
    """
    cdfs = np.cumsum(histograms, axis=1) / histograms.sum(axis=1, keepdims=True)
    scene_of = np.arange(len(cdfs)) // len(VARIANTS)
    margins = {0: -1.0}
    for scene in range(len(cdfs) // len(VARIANTS)):
        if _kind(scene) in QUERY_KINDS:
            others = cdfs[scene_of != scene]
            distances = np.abs(others - cdfs[scene * len(VARIANTS)]).sum(axis=1)
            margins[scene] = float(distances.min(initial=256))
    return max(margins, key=lambda scene: margins[scene])


class _Canvas:
    """Coordinates and random numbers of one scene: y from 0 (top) to 1, x from 0 to the aspect."""

    def __init__(self, rng: np.random.Generator, size: tuple[int, int]) -> None:
        self.rng = rng
        self.width, self.height = size
        self.aspect = self.width / self.height
        self.y = ((np.arange(self.height, dtype=np.float32) + 0.5) / self.height)[:, None]
        self.x = ((np.arange(self.width, dtype=np.float32) + 0.5) / self.height)[None, :]
        self.palette = _colours(self.pick(PALETTES))

    def between(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def pick(self, options: Any) -> Any:
        return options[int(self.rng.integers(len(options)))]

    def noise(self, cells: float, octaves: int = 4, stretch: float = 1, rows: int = 0) -> Floats:
        """Fractal noise in 0..1 with ``cells`` bumps per picture height, wider by ``stretch``."""
        from PIL import Image

        size = self.width, rows or self.height
        total = np.zeros(size[::-1], dtype=np.float32)
        for octave in range(octaves):
            across = min(size[0], int(cells * self.aspect / stretch) + 2)
            down = min(size[1], int(cells) + 2)
            grid = Image.fromarray(self.rng.random((down, across), dtype=np.float32))
            total += 0.5**octave * np.asarray(grid.resize(size, Image.Resampling.BICUBIC))
            cells *= 2
        total -= total.min()
        return np.asarray(total / max(float(total.max()), 1e-6))

    def skyline(self, cells: float, octaves: int = 4) -> Floats:
        """Noise in 0..1 along x, shape (1, width)."""
        return self.noise(cells, octaves, rows=1)

    def mask(self, signed_distance: Floats, softness: float = 0.0) -> Floats:
        """Coverage of the pixels where a distance in picture heights is positive: smooth edges."""
        edge = max(softness, 1.0 / self.height)
        return np.asarray(np.clip(signed_distance / edge + 0.5, 0, 1))[..., None]

    def disc(self, x: float, y: float, radius: float, softness: float = 0.0) -> Floats:
        return self.mask(radius - np.hypot(self.x - x, self.y - y), softness)

    def turned(self, angle: float) -> tuple[Floats, Floats]:
        """Coordinates in a frame turned by ``angle`` about the centre."""
        x, y, c, s = self.x - self.aspect / 2, self.y - 0.5, np.cos(angle), np.sin(angle)
        return np.asarray(c * x + s * y), np.asarray(c * y - s * x)

    def flat(self, colour: Floats) -> Floats:
        return np.tile(colour, (self.height, self.width, 1))


def _rgb(red: float, green: float, blue: float) -> Floats:
    return np.array([red, green, blue], dtype=np.float32)


def _colours(hexes: str) -> Floats:
    return np.array([list(bytes.fromhex(c)) for c in hexes.split()], dtype=np.float32) / 255


def _ramp(t: Floats, colours: Floats) -> Floats:
    """Colours along a gradient; ``t`` is clipped to 0..1."""
    stops = np.linspace(0, 1, len(colours))
    at = np.linspace(0, 1, 512)
    table = np.stack([np.interp(at, stops, colours[:, k]) for k in range(3)], axis=1)
    index = (np.clip(t, 0, 1) * 511).astype(np.intp)
    return np.asarray(table.astype(np.float32)[index])


def _over(below: Floats, coverage: Floats, colour: Floats) -> Floats:
    return np.asarray(below + coverage * (colour - below), dtype=np.float32)


def _sky(c: _Canvas, colours: Floats, reach: float = 1.0) -> Floats:
    return _ramp(np.broadcast_to(c.y / reach, (c.height, c.width)), colours)


def _star_field(c: _Canvas, count: int) -> Floats:
    """Light to add, (h, w, 1): points of unequal brightness."""
    light = np.zeros((c.height, c.width, 1), dtype=np.float32)
    rows, columns = c.rng.integers(c.height, size=count), c.rng.integers(c.width, size=count)
    light[rows, columns, 0] = c.rng.power(0.35, size=count) * 0.9 + 0.1
    return light


DAYLIGHTS = (  # sky from the zenith to the horizon, then the colour of the nearest ground
    ("2b6cb0 7fb3e0 e8f3fb", "2f5d3a"),
    ("27284d 8a4f7d f08a5d fbd08a", "241b33"),
    ("5b7fa6 b8cde0 f6ecd9", "3a4a3f"),
    ("f2b880 f7d9a8 fff3d6", "6b3e26"),
    ("0f2a43 2f6f8f a8dadc f1faee", "10222e"),
    ("8e9aaf cbc0d3 efd3d7 feeafa", "4a4463"),
)


def _hills(c: _Canvas) -> Floats:
    colours, ground = c.pick(DAYLIGHTS)
    sky = _colours(colours)
    picture, white = _sky(c, sky, 0.75), _rgb(1, 0.97, 0.86)
    x, y = c.between(0.2, 0.8) * c.aspect, c.between(0.15, 0.4)
    glow = np.exp(-6 * np.hypot(c.x - x, c.y - y))[..., None] * 0.5
    picture = _over(_over(picture, glow, white), c.disc(x, y, c.between(0.05, 0.09)), white)
    layers = int(c.rng.integers(4, 7))
    for k in range(layers):
        depth = (k + 1) / layers
        ridge = 0.42 + 0.5 * depth - c.skyline(1.5 + 1.5 * depth, 4) * (0.24 - 0.1 * depth)
        tone = sky[-1] * (1 - depth) * 0.85 + _colours(ground)[0] * depth
        shade = 1 + 0.5 * np.clip(c.y - ridge, 0, 0.3)[..., None]
        picture = _over(picture, c.mask(c.y - ridge), np.clip(tone * shade, 0, 1))
    return picture


def _sea(c: _Canvas) -> Floats:
    colours, _ = c.pick(DAYLIGHTS)
    sky = _colours(colours)
    horizon, x = c.between(0.42, 0.6), c.between(0.25, 0.75) * c.aspect
    picture, light = _sky(c, sky, horizon), _rgb(1, 0.93, 0.74)
    sun_y = horizon - c.between(0.0, 0.16)
    glow = np.exp(-5 * np.hypot(c.x - x, c.y - sun_y))[..., None]
    picture = _over(picture, glow * 0.6, light)
    picture = _over(picture, c.disc(x, sun_y, c.between(0.05, 0.1)), light)
    depth = np.clip((c.y - horizon) / (1 - horizon), 0, 1)
    waves = c.noise(26, 3, stretch=7)
    water = _ramp(1 - depth * 0.85 + (waves - 0.5) * (0.16 + 0.3 * depth), sky * 0.72)
    path = np.exp(-(((c.x - x) / (0.05 + 0.2 * depth)) ** 2)) * np.clip(waves * 2.6 - 1, 0, 1)
    water = _over(water, path[..., None] * 0.9, light)
    return _over(picture, c.mask(c.y - horizon), water)


def _night(c: _Canvas) -> Floats:
    picture = _sky(c, _colours("050714 0c1433 1f2c5c 45507f"), 1.1)
    _, along = c.turned(c.between(-0.9, 0.9))
    band = np.exp(-((along / 0.16) ** 2)) * c.noise(5, 5)
    picture = picture + band[..., None] * _rgb(0.25, 0.22, 0.34) + _star_field(c, 320)
    x, y, radius = c.between(0.2, 0.8) * c.aspect, c.between(0.18, 0.4), c.between(0.06, 0.12)
    glow = c.disc(x, y, radius * 1.2, radius * 2.4) * 0.35
    picture = _over(picture, glow, _rgb(0.6, 0.65, 0.9))
    craters = 0.8 + 0.2 * c.noise(9, 3)[..., None]
    picture = _over(picture, c.disc(x, y, radius), _rgb(0.98, 0.96, 0.88) * craters)
    for k in range(2):
        ridge = 0.78 + 0.1 * k - 0.14 * c.skyline(3 + 2 * k, 5)
        picture = _over(picture, c.mask(c.y - ridge), _rgb(0.05, 0.06, 0.13) * (1.6 - k))
    return picture


def _clouds(c: _Canvas) -> Floats:
    colours, _ = c.pick(DAYLIGHTS)
    sky = _sky(c, _colours(colours), 1.3)
    billows = c.noise(2.5, 6, stretch=1.8)
    cover = np.clip((billows - c.between(0.3, 0.5)) * 3, 0, 1)[..., None]
    shadow = np.roll(billows, -5, axis=0)[..., None]  # lit from above
    white = np.clip(1.18 - 0.55 * shadow, 0, 1) * _rgb(1, 0.985, 0.97)
    return _over(sky, cover, white)


def _marble(c: _Canvas) -> Floats:
    across, along = c.turned(c.between(0, 3.1))
    folds = across * c.between(6, 12) + c.noise(2.5, 5) * c.between(5, 9) + along
    veins = 1 - np.abs(np.sin(folds)) ** c.between(0.35, 0.8)
    stone = _ramp(0.8 + 0.2 * c.noise(2, 3), c.palette)
    return _over(stone, veins[..., None], c.pick(c.palette[:2]))


def _wood(c: _Canvas) -> Floats:
    tones = _colours(c.pick(("3b2314 7a4a26 b07a45 dcb27a", "6b4f2e a88855 d6bd8a f0e2bd")))
    plank_width = c.between(0.22, 0.36)
    plank = np.floor(c.y / plank_width)
    offset = np.modf(np.sin(plank * 12.9898) * 43758.5)[0].astype(np.float32)
    grain = c.noise(6, 4, stretch=9)
    rings = np.hypot((c.x - 0.7 - offset) * 0.22, c.y - (plank + 0.5 + offset) * plank_width)
    tone = np.modf(rings * c.between(16, 26) + grain * 3.5)[0] * 0.55
    tone = tone + 0.3 * c.noise(40, 2, stretch=20)
    picture = _ramp(tone + 0.15 * offset, tones)
    gap = np.abs(np.modf(c.y / plank_width)[0] - 0.5) - 0.5 + 0.012
    return _over(picture, c.mask(np.broadcast_to(gap, tone.shape)), tones[0] * 0.4)


def _cells(c: _Canvas) -> Floats:
    count = int(c.rng.integers(18, 48))
    sites = c.rng.random((count, 2), dtype=np.float32) * np.array([c.aspect, 1])
    away = np.hypot(c.x[..., None] - sites[:, 0], c.y[..., None] - sites[:, 1])
    nearest = away.argmin(axis=2)
    first, second = np.moveaxis(np.partition(away, 1, axis=2)[..., :2], 2, 0)
    glass = _ramp(c.rng.random(count, dtype=np.float32), c.palette)[nearest]
    glass = glass * (1.08 - np.clip(first * 1.4, 0, 0.5))[..., None]
    return _over(glass, c.mask(0.018 - (second - first)), c.palette[0] * 0.5)


def _stripes(c: _Canvas) -> Floats:
    across, along = c.turned(c.between(0, 3.1))
    bend = c.between(0, 0.12) * np.sin(along * c.between(4, 9))
    edges = np.sort(c.rng.uniform(-1, 1, int(c.rng.integers(12, 26)))).tolist()
    picture = c.flat(c.palette[0])
    for edge in edges:
        picture = _over(picture, c.mask(across + bend - edge), c.pick(c.palette))
    return picture


def _checkers(c: _Canvas) -> Floats:
    across, along = c.turned(c.between(0, 1.5))
    if c.rng.random() < 0.5:  # a floor seen in perspective
        depth = 1 / (0.35 + c.y)
        across, along = (c.x - c.aspect / 2) * depth * 1.3, depth * np.ones_like(c.x)
    frequency = c.between(9, 17)
    squares = np.sin(across * frequency) * np.sin(along * frequency)
    squares = np.clip(squares * 6 + 0.5, 0, 1)[..., None]
    picture = _over(c.flat(c.pick(c.palette[:2])), squares, c.pick(c.palette[3:]))
    return picture * (0.72 + 0.35 * c.y[..., None])


def _discs(c: _Canvas) -> Floats:
    picture = c.flat(c.pick(c.palette[::4]))
    for _ in range(int(c.rng.integers(14, 34))):
        x, y, radius = c.between(0, c.aspect), c.between(0, 1), c.between(0.04, 0.24)
        coverage = c.disc(x, y, radius) * c.between(0.6, 1)
        picture = _over(picture, coverage, c.pick(c.palette))
    return picture


def _facets(c: _Canvas) -> Floats:
    from PIL import Image, ImageDraw

    down = int(c.rng.integers(5, 9))
    across = round(down * c.aspect)
    jitter = c.rng.uniform(-0.36, 0.36, (down + 3, across + 3, 2))
    grid = np.moveaxis(np.mgrid[-1 : down + 2, -1 : across + 2], 0, -1) + jitter
    # (x, y) corners at twice the size: ImageDraw has no smooth edges.
    points = grid[..., ::-1] * np.array([c.width / across, c.height / down]) * 2
    image = Image.new("RGB", (c.width * 2, c.height * 2))
    draw, angle = ImageDraw.Draw(image), c.between(0, 6.3)
    for i, j in np.ndindex(down + 2, across + 2):
        slope = np.cos(angle) * (i / down - 0.5) + np.sin(angle) * (j / across - 0.5)
        quad = [tuple(points[i + di, j + dj]) for di, dj in ((0, 0), (0, 1), (1, 1), (1, 0))]
        for triangle in (quad[:3], [quad[2], quad[3], quad[0]]):
            tone = _ramp(np.array(0.5 + 0.7 * slope + c.between(-0.2, 0.2)), c.palette)
            draw.polygon(triangle, fill=tuple((tone * 255).astype(int).tolist()))
    small = image.resize((c.width, c.height), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32) / 255


def _linear(c: _Canvas) -> Floats:
    across, _ = c.turned(c.between(0, 6.2))
    return _ramp(0.5 + across * c.between(0.6, 1.0) / c.aspect, c.palette)


def _radial(c: _Canvas) -> Floats:
    x, y = c.between(0.25, 0.75) * c.aspect, c.between(0.25, 0.75)
    t = np.hypot(c.x - x, (c.y - y) * c.between(0.8, 1.3)) * c.between(0.9, 1.5)
    return _ramp(t, c.palette[::-1] if c.rng.random() < 0.7 else c.palette)


def _grain(c: _Canvas) -> Floats:
    base = _ramp(c.noise(1.5, 2), c.palette[1:4])
    strength = c.between(0.08, 0.2)
    shape = (c.height, c.width, c.pick((1, 3)))
    if c.rng.random() < 0.5:
        return base + strength * c.rng.standard_normal(shape, dtype=np.float32)
    return base + 4 * strength * (c.rng.random(shape, dtype=np.float32) - 0.5)


def _pepper(c: _Canvas) -> Floats:
    picture = _radial(c)
    hit, share = c.rng.random((c.height, c.width)), c.between(0.03, 0.09)
    picture[hit < share] = 0.02
    picture[hit > 1 - share] = 0.98
    return picture


def _dunes(c: _Canvas) -> Floats:
    colours, _ = c.pick(DAYLIGHTS[:5])
    picture = _sky(c, _colours(colours), 0.6)
    sand = _colours(c.pick(("5a2f1b b5652f e9a25b ffdf9e", "4a3524 9c7246 d9b06f fbe7b2")))
    for k in range(4):
        crest = 0.36 + 0.17 * k - 0.17 * c.skyline(1.2 + 0.5 * k, 2)
        slope = np.gradient(crest[0]) * c.height
        ripples = 0.07 * np.sin((c.y - crest) * (190 - 30 * k) + 5 * c.noise(3, 2))
        light = 0.52 + 0.3 * np.tanh(2.2 * slope) - 0.5 * (c.y - crest) + ripples
        picture = _over(picture, c.mask(c.y - crest), _ramp(light, sand))
    return picture


def _city(c: _Canvas) -> Floats:
    dusk = _colours(c.pick(("10163a 4b2f6b c75c6a f8b26a", "071326 12365a 2f7a9b f0c27b")))
    picture = _sky(c, dusk, 0.95)
    columns, rows = np.arange(c.width), np.arange(c.height)
    for k in range(3):
        left = 0
        tone = dusk[0] * (1.35 - 0.45 * k) + (0.22 - 0.1 * k) * dusk[2]
        while left < c.width:
            wide = int(c.rng.integers(10, 26))
            top = int(c.height * (0.9 - c.between(0.1, 0.62 - 0.12 * k)))
            box = picture[top:, left : left + wide]
            box[:] = tone
            lit = c.rng.random((c.height // 4 + 1, c.width // 4 + 1)) < 0.1 + 0.16 * k
            r, q = rows[top:], columns[left : left + wide]
            window = lit[(r - top) // 5][:, q // 4]
            pane = ((r - top) % 5 > 1)[:, None] & ((q - left) % 4 > 1)[None, :] & window
            pane[:3] = False
            box[pane] = _rgb(1, 0.83, 0.48) * (0.6 + 0.2 * k)
            left += wide + int(c.rng.integers(0, 4 + 3 * k))
    return picture


def _forest(c: _Canvas) -> Floats:
    fog, tree = _colours(c.pick(("e8f0ee 16332c", "dfe6ee 1b2a3f", "f4e6d2 3a2a24")))
    picture = _sky(c, np.stack([fog * 0.86, fog]))
    for k in range(5):
        depth = (k + 1) / 5
        ground = 0.42 + 0.5 * depth - 0.12 * c.skyline(2, 2)
        top: Floats = ground.copy()
        for _ in range(int(34 - 4 * k)):
            x, tall = c.between(0, c.aspect), c.between(0.1, 0.2) * (0.5 + depth)
            away = np.abs(c.x - x) / (0.17 * tall)
            branches = tall * (1 - away) + 0.025 * tall * np.sin(away * 22)
            at = ground[0, min(c.width - 1, int(x * c.height))]
            top = np.where(away < 1, np.minimum(top, at - branches), top).astype(np.float32)
        tone = fog * (1 - depth) + tree * depth
        picture = _over(picture, c.mask(c.y - top), tone)
        mist = np.clip((c.y - ground) * 2.2, 0, 0.5)[..., None] * (1 - depth)
        picture = _over(picture, mist, fog)
    return picture


def _planet(c: _Canvas) -> Floats:
    picture: Floats = c.flat(_rgb(0.02, 0.025, 0.06)) + _star_field(c, 220)
    x, y, radius = c.between(0.35, 0.65) * c.aspect, c.between(0.4, 0.6), c.between(0.26, 0.42)
    u, v = (c.x - x) / radius, (c.y - y) / radius
    z = np.sqrt(np.clip(1 - u * u - v * v, 0, 1))
    bands = 0.5 + 0.5 * np.sin(v * c.between(5, 13) + 2.2 * c.noise(4, 5, stretch=3))
    angle = c.between(0.4, 2.7)
    light = np.clip(0.75 * z + 0.9 * np.cos(angle) * u - 0.5 * np.sin(angle) * v, 0.03, 1.15)
    surface = _ramp(bands, c.palette[1:]) * light[..., None]
    picture = _over(picture, c.disc(x, y, radius * 1.06, 0.09) * 0.25, c.palette[3])
    return _over(picture, c.disc(x, y, radius), surface)


#: Painters by name, in the order in which scenes take turns.
SCENES: dict[str, Callable[[_Canvas], Floats]] = {
    "hills": _hills, "cells": _cells, "sea": _sea, "wood": _wood, "city": _city,
    "stripes": _stripes, "forest": _forest, "radial": _radial, "planet": _planet,
    "marble": _marble, "dunes": _dunes, "discs": _discs, "clouds": _clouds, "facets": _facets,
    "grain": _grain, "checkers": _checkers, "linear": _linear, "night": _night, "pepper": _pepper,
}  # fmt: skip
FLAT_KINDS = frozenset({"stripes", "checkers", "discs", "facets"})
#: Pictures of something: a query that a visitor can name.
QUERY_KINDS = frozenset({"hills", "sea", "city", "forest", "dunes"})


def _render_scene(scene: int, seed: int) -> Image:
    from PIL import Image

    rng = np.random.default_rng([seed, scene, 0])
    canvas = _Canvas(rng, SIZES[int(rng.integers(len(SIZES)))])
    painted = SCENES[_kind(scene)](canvas)
    return Image.fromarray((np.clip(painted, 0, 1) * 255 + 0.5).astype(np.uint8))
