"""Image retrieval by Wasserstein distance: 1,000 grey images, 10 bins, ``argmin``; corrected.

As article 1 printed it, the example does not run: ``cv2.EMD`` wants float32 signatures whose rows
are (weight, position), and gives a tuple. What it means is below, once as the loop it is and once
as one call for each step.

    python examples/nearest_by_wasserstein.py [FOLDER]

FOLDER holds ``query_image.png`` and ``image_0.png`` ... ``image_999.png``;
without it, they are drawn.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import imgsim_fast as isf


def draw(count: int = 1000, seed: int = 0) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return a query and grey images; the query is image 123 seen in a mirror."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:96, 0:128]
    images = []
    for _ in range(count):
        waves = np.sin(x / rng.uniform(4, 40) + y / rng.uniform(4, 40) + rng.uniform(0, 6))
        level, contrast = rng.uniform(60, 200), rng.uniform(10, 90)
        images.append((level + contrast * waves).clip(0, 255).astype(np.uint8))
    return images[123][:, ::-1], images


def read(folder: Path) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the query and the images of a folder, as grey levels."""
    query = isf.decode(folder / "query_image.png", mode="grey")
    return query, [isf.decode(folder / f"image_{i}.png", mode="grey") for i in range(1000)]


def nearest_by_loop(query: np.ndarray, images: list[np.ndarray]) -> int:
    """Return the index of the nearest image, step by step as in the article."""
    hist = isf.histogram(query, bins=10, range=(0, 255), density=True)
    distances = []
    for image in images:
        hist2 = isf.histogram(image, bins=10, range=(0, 255), density=True)
        distances.append(isf.wasserstein_1d(hist, hist2))
    return int(np.argmin(distances))


def nearest_at_once(query: np.ndarray, images: list[np.ndarray]) -> int:
    """Return the same from whole-number counts, with one call for each step."""
    rows = isf.histograms(images, bins=10, range=(0, 255))
    found = isf.knn(isf.histogram(query, bins=10, range=(0, 255)), rows, k=1)
    return int(found.indices[0])


def main() -> None:
    """Print the answer of both."""
    query, images = read(Path(sys.argv[1])) if len(sys.argv) > 1 else draw()
    print(f"nearest, loop:     image_{nearest_by_loop(query, images)}.png")
    print(f"nearest, one call: image_{nearest_at_once(query, images)}.png")


if __name__ == "__main__":
    main()
