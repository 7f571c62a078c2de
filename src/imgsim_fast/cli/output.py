"""What the commands print: tables for people, JSON for programs, a bar meanwhile.

Results go to standard output, everything else to standard error. Names of files are shown with
control characters escaped.
"""

from __future__ import annotations

import base64
import contextlib
import json
import math
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from imgsim_fast import errors
from imgsim_fast.cli.options import NOT_AGAIN, Rerank
from imgsim_fast.report.names import display_name
from imgsim_fast.report.words import options_in_words, range_in_words

if TYPE_CHECKING:
    from imgsim_fast.index import AddReport, Index, Matches
    from imgsim_fast.measures import Measure

_SHOWN_SKIPPED = 20
_PAGE_START = 1024  # bytes in which a page says that it is one


def print_json(value: dict[str, Any]) -> None:
    """Print an object for programs; null for an infinite number: JSON has no such."""
    click.echo(json.dumps(_finite(value), indent=2, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def json_path(path: str) -> dict[str, str] | str:
    """Return the path as text; where it is none, a shown form and its bytes in base64."""
    raw = os.fsencode(path)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return {"shown": display_name(path), "base64": base64.b64encode(raw).decode()}


def json_skipped(skipped: list[tuple[str, str]]) -> list[dict[str, Any]]:
    """Return skipped files for programs."""
    return [{"path": json_path(path), "reason": reason} for path, reason in skipped]


def shown(path: str) -> str:
    """Return the path for a terminal, relative to the working directory where that is shorter."""
    with contextlib.suppress(ValueError, OSError):  # another drive; a directory that has gone
        relative = os.path.relpath(path)
        if not relative.startswith(os.pardir):
            return display_name(relative)
    return display_name(path)


def measure_in_words(name: str, options: dict[str, Any]) -> str:
    """Return a measure with its options on one line."""
    inside = options_in_words(options)
    return f"{display_name(name)} ({inside})" if inside else display_name(name)


def print_added(report: AddReport, store: Index, as_json: bool, silent: bool = False) -> None:
    """Print what `add` or `refresh` did."""
    if as_json:
        print_json(
            {
                "index": json_path(store.path), "images": len(store), "added": report.added,
                "updated": report.updated, "unchanged": report.unchanged,
                "removed": report.removed, "skipped": json_skipped(report.skipped),
                "seconds": round(report.seconds, 6),
            }
        )  # fmt: skip
        return
    if silent:
        return
    parts = [
        f"{number:,} {word}"
        for word in ("added", "updated", "unchanged", "removed")
        if (number := getattr(report, word))
    ]
    done = ", ".join(parts) or "no images found"
    click.echo(f"{len(store):,} images in {shown(store.path)} ({done}) in {report.seconds:.2f} s")
    list_skipped(report.skipped, err=True)


def list_skipped(
    skipped: list[tuple[str, str]], *, err: bool, what: str = "file",
    hint: str = "imgsim stats INDEX --json lists all",
) -> None:  # fmt: skip
    """List the first of the skipped files."""
    if skipped:
        count = f"1 {what}" if len(skipped) == 1 else f"{len(skipped):,} {what}s"
        click.echo(f"skipped {count} that could not be read:", err=err)
    for path, reason in skipped[:_SHOWN_SKIPPED]:
        click.echo(f"  {shown(path)}: {display_name(reason)}", err=err)
    if len(skipped) > _SHOWN_SKIPPED:
        more = len(skipped) - _SHOWN_SKIPPED
        click.echo(f"  ... and {more:,} more ({hint})", err=err)


def print_matches(
    query: str, where: str, store: Index, matches: Matches, seconds: float,
    skipped: list[tuple[str, str]], as_json: bool, rerank: Rerank = NOT_AGAIN, note: str = "",
    limit: str = "--radius",
) -> None:  # fmt: skip
    """Print a ranking; the note is about the time, the limit the option that gave one."""
    other = rerank.measure
    if as_json:
        again = {} if other is None else {
            "rerank": {
                "measure": other.name, "options": dict(other.options), "unit": other.unit,
                "higher_is_better": other.higher_is_better, "candidates": rerank.candidates,
                "skipped": json_skipped(matches.skipped),
            }
        }  # fmt: skip
        print_json(
            {
                "query": json_path(query), "searched": len(store), "measure": store.measure,
                "options": store.options, "seconds": round(seconds, 6),
                "matches": [
                    {"rank": rank, "distance": float(distance), "id": int(number),
                     "path": json_path(path)}
                    for rank, (distance, number, path) in enumerate(zip(*matches, strict=True), 1)
                ],
                "skipped": json_skipped(skipped),
                **again,
            }
        )  # fmt: skip
        return
    ranked = store if other is None else other
    name = store.measure if other is None else other.name
    words = "similarity" if ranked.higher_is_better else "distance"
    unit = f" in {ranked.unit}" if ranked.unit else ""
    chosen = "" if other is None else f"; candidates by {store.measure}"
    click.echo(
        f"{shown(query)}: {len(matches.ids)} of {len(store):,} images in {shown(where)}, "
        f"{seconds * 1e3:.1f} ms{note}"
    )
    if matches.paths:
        click.echo(f"\n rank  {words:>10}  image          ({name} {words}{unit}{chosen})")
    elif len(store):
        click.echo(_none_near(store.kind if other is None else other, limit))
    elif store.stats().histograms:
        click.echo("the index has no images; Index.search_histograms finds its histograms")
    else:
        click.echo("the index is empty")
    for rank, (distance, path) in enumerate(zip(matches.distances, matches.paths, strict=True), 1):
        gone = "" if os.path.lexists(path) else "   (the file has gone)"
        click.echo(f"{rank:5d}  {distance:10.3f}  {shown(path)}{gone}")
    list_skipped(skipped, err=True)
    list_skipped(matches.skipped, err=True, what="candidate", hint="--json lists all")


def _none_near(measure: Measure, limit: str) -> str:
    """Say that nothing was found; of similarities, what the limit means."""
    if not measure.higher_is_better:
        return "no image is that near"
    known = range_in_words(measure.value_range)
    within = f", and {measure.name} is {known}" if known else ""
    return f"no image is that near: {limit} is the least similarity that counts{within}"


def check_page(html: str | None, force: bool, *inputs: str) -> None:
    """Raise, before any work, if a page would replace a file that it must not replace."""
    if html is None:
        return
    folder = os.path.dirname(html) or os.curdir
    if os.path.isdir(html):
        raise errors.InvalidInputError(f"--html {html!r} is a folder: name a file in it")
    if not os.path.isdir(folder):
        raise errors.InvalidInputError(f"--html {html!r}: there is no folder {folder!r}")
    if not force and os.path.lexists(html):
        raise FileExistsError(f"{html!r} exists already; --force replaces it")
    for path in inputs:
        if os.path.exists(html) and os.path.exists(path) and os.path.samefile(html, path):
            raise errors.InvalidInputError(f"--html {html!r} is an image to be read")
    if os.path.exists(html) and not _is_page(html):
        raise errors.InvalidInputError(
            f"--html {html!r} is no HTML page; --force replaces nothing else"
        )


def _is_page(path: str) -> bool:
    """Tell a page, or an empty file, from a photo, a part of an index or whatever else it is."""
    if not os.path.isfile(path):  # opening a FIFO would block
        return False
    with open(path, "rb") as file:
        start = file.read(_PAGE_START)
    words = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return not start or words.startswith((b"<!doctype html", b"<html"))


def write_page(
    file: str, force: bool, store: Index, query: str, where: str, matches: Matches,
    seconds: float, skipped: int, rerank: Rerank = NOT_AGAIN,
) -> None:  # fmt: skip
    """Write the page of a search."""
    from imgsim_fast.report import search_page, write_text_atomically

    page = search_page(
        store, query, matches, source=where, seconds=seconds, skipped=skipped,
        rerank=rerank.measure, candidates=rerank.candidates,
    )  # fmt: skip
    write_text_atomically(file, page, force=force)


@contextlib.contextmanager
def progress_bar(
    what: str, total: Callable[[], int], *, quiet: bool
) -> Iterator[Callable[[int], None] | None]:
    """Show a bar if standard error is a terminal; gives what to call with the number done."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total())
        yield lambda done: bar.update(task, completed=done)
