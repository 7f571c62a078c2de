"""Evaluate every measure on the photographs of Corel-1k: 900 images, 100 queries, 10 classes.

python -m benchmarks.retrieval [--only WORD] [--output FILE] [--threads N]

Writes a table to benchmarks/results/<date>-corel1k.md. What a machine lacks (a package, a model
file) and measures that the table below does not name are listed beneath it. CLIP needs the path of
a checkpoint and `onnx` that of a model: IMGSIM_FAST_CLIP and IMGSIM_FAST_ONNX name them.
"""

from __future__ import annotations

import argparse
import datetime
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import imgsim_fast as isf
from benchmarks.compare import RESULTS, machine
from benchmarks.peers import SHARED_DATA
from imgsim_fast import images
from imgsim_fast.errors import UnusableMeasureError
from imgsim_fast.measures import Measure, get_measure

CORPUS = SHARED_DATA / "corel1k"
IMAGES, QUERIES, CLASSES = 900, 100, 10
AT = (1, 10)


@dataclass(frozen=True)
class Entry:
    """One line of the table.

    Attributes
    ----------
    measure : str
    options : mapping
    rerank : tuple of (str, mapping), optional
        Another measure that ranks the best 200 again.
    known : float, optional
        The mAP that it must have within 0.01.
    """

    measure: str
    options: Mapping[str, Any] = field(default_factory=dict)
    rerank: tuple[str, Mapping[str, Any]] | None = None
    known: float | None = None

    @property
    def name(self) -> str:
        """Measure and options, as in the table."""
        name = in_words(self.measure, self.options)
        return name if self.rerank is None else f"{name}, then {in_words(*self.rerank)}"


def in_words(measure: str, options: Mapping[str, Any]) -> str:
    """Name with what is not the default; of a file only its name."""
    shown = [
        f"{name}={os.path.basename(value) if isinstance(value, str) else value}"
        for name, value in options.items()
    ]
    return f"{measure} ({', '.join(shown)})" if shown else measure


def from_environment(measure: str, option: str, variable: str) -> Entry:
    """Name the file of a model, if there is one."""
    path = os.environ.get(variable)
    return Entry(measure, {option: path} if path else {})


HISTOGRAMS = ("intersection", "correlation", "bhattacharyya", "chi2", "chi2-alt", "kl")
KNOWN = {("intersection", "rgb"): 0.50, ("intersection", "hsv"): 0.53}
ENTRIES = (
    Entry("wasserstein", known=0.29),
    Entry("wasserstein", {"p": 2}),
    Entry("wasserstein", {"bins": 16}),
    *(
        Entry(name, {"bins": bins, "space": space}, known=KNOWN.get((name, space)))
        for space, bins in (("grey", 256), ("rgb", 8), ("hsv", 8))
        for name in HISTOGRAMS
    ),
    Entry("correlation", {"bins": 256, "ignore": "white"}),  # article 2's
    Entry("emd"),
    Entry("emd", {"colors": 8}),
    Entry("emd", {"position": 30}),
    Entry("emd", {"threshold": 20}),
    Entry("ssim"),
    Entry("ssim", {"longest": 64}),
    Entry("sift"),
    Entry("orb"),
    Entry("surf"),
    from_environment("onnx", "model", "IMGSIM_FAST_ONNX"),
    from_environment("clip", "checkpoint", "IMGSIM_FAST_CLIP"),
    Entry("wasserstein", rerank=("intersection", {"space": "hsv"})),
    Entry("wasserstein", rerank=("emd", {})),
    Entry("intersection", {"space": "hsv"}, rerank=("emd", {})),
)


def number_of(path: str) -> int:
    """Return the number that a file is named by."""
    return int(os.path.basename(path).partition(".")[0])


def class_of_image(path: str) -> int:
    """Label of an image of the database."""
    return number_of(path) // (IMAGES // CLASSES)


def class_of_query(path: str) -> int:
    """Label of a query."""
    return number_of(path) // (QUERIES // CLASSES)


def describe_seconds(kind: Measure, decoded: list[Any]) -> float:
    """Mean time to describe a decoded image, one thread."""
    kind.describe(decoded[0])  # loads models and libraries
    start = time.perf_counter()
    if kind.in_batches:
        for first in range(0, len(decoded), 16):
            kind.describe_many(decoded[first : first + 16])
    else:
        for image in decoded:
            kind.describe(image)
    return (time.perf_counter() - start) / len(decoded)


def row_of(entry: Entry, decoded: list[Any], threads: int) -> list[str]:
    """Evaluate: one row of the table."""
    kind = get_measure(entry.measure, **entry.options)
    other = None if entry.rerank is None else get_measure(entry.rerank[0], **entry.rerank[1])
    with (
        tempfile.TemporaryDirectory(prefix="imgsim-bench-") as scratch,
        isf.Index.create(scratch, kind) as index,
    ):
        index.add(CORPUS / "images")
        assert len(index) == IMAGES
        found = isf.evaluate(
            index, class_of_image, queries=CORPUS / "queries", query_labels=class_of_query,
            k=AT, rerank=other, threads=threads,
        )  # fmt: skip
    assert (found.queries, found.skipped) == (QUERIES, []), found.skipped
    value = found.mean_average_precision
    if entry.known is not None:
        assert abs(value - entry.known) <= 0.01, f"{entry.name}: mAP {value}, not {entry.known}"
    describing = describe_seconds(kind, decoded)
    if other is not None:
        describing += describe_seconds(other, decoded)
    return [
        entry.name,
        *(f"{found.precision[k]:.3f}" for k in AT),
        f"{value:.4f}" + ("" if entry.known is None else f" (known: {entry.known:.2f})"),
        f"{describing * 1e3:.3g}",
        f"{found.search_seconds * 1e3:.3g}",
    ]


def main() -> None:
    """Evaluate all, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="lines whose name contains this")
    parser.add_argument("--output", type=Path, help="write the table here")
    parser.add_argument("--threads", type=int, default=1, help="of a search")
    given = parser.parse_args()
    today = datetime.date.today().isoformat()
    output = given.output or RESULTS / f"{today}-corel1k.md"
    if not CORPUS.is_dir():
        parser.error(f"{CORPUS} is not there: IMGSIM_FAST_DATA says where the images are")
    decoded = [
        images.upright(images.open_pixels(path.read_bytes()))
        for path in sorted((CORPUS / "queries").glob("*.jpg"))
    ]
    rows, missing = [], []
    for entry in ENTRIES:
        if given.only in entry.name:
            try:
                row = row_of(entry, decoded, given.threads)
            except UnusableMeasureError as error:
                missing.append(f"{entry.name}: not evaluated, {error}")
                print(missing[-1], flush=True)
                continue
            rows.append(row)
            print(" | ".join(row), flush=True)
    if not given.only:
        named = {entry.measure for entry in ENTRIES}
        missing += [
            f"{name}: not evaluated, the benchmark does not name it"
            for name in isf.measures()
            if name not in named
        ]
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(page(rows, missing, given.threads), encoding="utf-8")
    print(f"\n{output}")


def page(rows: list[list[str]], missing: list[str], threads: int) -> str:
    """Markdown."""
    about = machine()
    head = [
        "measure",
        *(f"P@{k}" for k in AT),
        "mAP",
        "describe, ms per image",
        "search, ms per query",
    ]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        [
            "# Retrieval on Corel-1k",
            "",
            f"{IMAGES} images, {QUERIES} other ones as queries, {CLASSES} classes; mAP over the "
            "whole ranking. Describing: one decoded image of 384 x 256, one thread. Searching: "
            "ranking all images, their descriptors at hand, "
            f'{threads} thread{"" if threads == 1 else "s"}. After "then": the best 200 ranked '
            "again by another measure, the times of both together.",
            "",
            f"{about['cpu']}, {about['isa']}, Python {about['python']}; "
            f"`python -m benchmarks.retrieval`, {datetime.date.today().isoformat()}.",
            "",
            *("| " + " | ".join(line) + " |" for line in lines),
            "",
            *(f"- {line}" for line in missing),
            *([""] if missing else []),
        ]
    )


if __name__ == "__main__":
    main()
