"""The command line: ``imgsim index | search | compare | stats | verify | demo``.

Each command calls one public function and prints what it gives. Results go to standard output,
everything else to standard error. Names of files are shown with control characters escaped.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

import click

from imgsim_fast import __version__, errors
from imgsim_fast.report.names import display_name

if TYPE_CHECKING:
    from imgsim_fast.index import AddReport, Index, Matches

GOOD, FAILED, USAGE, SKIPPED, CORRUPT, LOCKED, INTERRUPTED, PIPE_CLOSED = 0, 1, 2, 3, 4, 5, 130, 141

INDEX_NAME = ".imgsim"  # where the index of a folder lies unless --index says otherwise
_SHOWN_SKIPPED = 20

Command = TypeVar("Command", bound=Callable[..., Any])


# ---- options that several commands share -------------------------------------------------------


def _options(*options: Callable[[Any], Any]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
_threads = click.option("--threads", type=int, help="Decoding threads [default: all CPUs].")
_measure = _options(
    click.option("--measure", help="How to compare [default: wasserstein]."),
    click.option("--bins", type=int, help="Grey-level bins [default: 256]."),
    click.option(
        "--range", "grey_range", type=float, nargs=2, help="First and last edge [default: 0 256]."
    ),
    click.option("--p", type=float, help="Order of the distance [default: 1]."),
)
_html = _options(
    click.option("--html", metavar="FILE", help="Write a page with pictures and curves."),
    click.option("--force", is_flag=True, help="Let --html replace a file."),
)


def _threads_of(threads: int | None) -> int:
    from imgsim_fast import _threads

    return _threads.resolve(threads)


def _measure_options(
    bins: int | None, grey_range: tuple[float, float] | None, p: float | None
) -> dict[str, Any]:
    """Return only the options that were given: the others are the index's, or the defaults."""
    given = {"bins": bins, "range": grey_range, "p": p}
    return {name: value for name, value in given.items() if value is not None}


# ---- commands ----------------------------------------------------------------------------------


# \b keeps click from refilling the lines that follow.
_HELP = """Find images by the Wasserstein (earth mover's) distance of their grey levels.

\b
imgsim demo                                  see it work on 1,000 rendered images
imgsim index photos                          remember the images of a folder
imgsim search query.jpg photos               the most similar ones
imgsim search query.jpg photos --html a.html the same as a page to look at
"""


@click.group(help=_HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="imgsim")
def cli() -> None:
    """Give the commands a name in common."""


@cli.command()
@click.argument("folder")
@click.option("--index", "index_path", metavar="PATH", help="The index [default: FOLDER/.imgsim].")
@_measure
@_threads
@click.option("--checksum", is_flag=True, help="Compare contents, whatever size and time say.")
@_json
def index(
    folder: str, index_path: str | None, measure: str | None, bins: int | None,
    grey_range: tuple[float, float] | None, p: float | None, threads: int | None, checksum: bool,
    as_json: bool,
) -> int:  # fmt: skip
    """Index the images of FOLDER, or bring its index up to date.

    New and changed files are read, vanished ones forgotten; the rest is not touched. An interrupted
    run loses nothing that it had committed; the next one goes on from there.
    """
    from imgsim_fast.index import Index

    path = index_path or os.path.join(folder, INDEX_NAME)
    options = _measure_options(bins, grey_range, p)
    threads = _threads_of(threads)  # before anything is created
    if Index.exists(folder):
        raise errors.InvalidInputError(f"FOLDER {folder!r} is an index; name the folder of images")
    if not os.path.isdir(folder):
        raise errors.InvalidInputError(f"FOLDER {folder!r} is not a directory")
    if Index.exists(path):
        store = Index.open(path, measure, **options)
    else:
        store = Index.create(path, measure or "wasserstein", **options)
    with store:
        with _progress("indexing", lambda: _count(folder), quiet=as_json) as advance:
            known = os.path.abspath(folder) in store.stats().folders
            call = store.refresh if known else lambda **kw: store.add(folder, **kw)
            report = call(threads=threads, progress=advance, checksum=checksum)
        _print_added(report, store, as_json)
    return SKIPPED if report.skipped else GOOD


@cli.command()
@click.argument("query")
@click.argument("where")
@click.option("-k", "--k", type=int, help="How many images [default: 10; with --radius: all].")
@click.option("--radius", type=float, help="Only images within this distance.")
@click.option("--refresh", is_flag=True, help="Bring the index up to date first.")
@_measure
@_html
@_threads
@_json
def search(
    query: str, where: str, k: int | None, radius: float | None, refresh: bool,
    measure: str | None, bins: int | None, grey_range: tuple[float, float] | None, p: float | None,
    html: str | None, force: bool, threads: int | None, as_json: bool,
) -> int:  # fmt: skip
    """Find the images in WHERE most similar to the image QUERY.

    WHERE is an index, a folder with an index, or any folder of images, which is then read first. An
    index is searched as it is: `--refresh`, or `imgsim index`, takes in what has changed since.
    """
    if html is not None and not force and os.path.lexists(html):
        raise FileExistsError(f"{html!r} exists already; --force replaces it")
    if html is not None and os.path.exists(html) and os.path.samefile(html, query):
        raise errors.InvalidInputError(f"--html {html!r} is the query image itself")
    options = _measure_options(bins, grey_range, p)
    with _searchable(where, measure, options, threads, as_json) as (store, skipped):
        if refresh:
            with _progress("refreshing", lambda: len(store), quiet=as_json) as advance:
                skipped = store.refresh(threads=threads, progress=advance).skipped
        start = time.perf_counter()
        if radius is None:
            matches = store.search(query, 10 if k is None else k, threads=threads)
        else:
            matches = store.range_search(query, radius, threads=threads)
            if k is not None:
                matches = matches.first(k)
        seconds = time.perf_counter() - start
        if html is not None:
            _write_page(html, force, store, query, where, matches, seconds, len(skipped))
        _print_matches(query, where, store, matches, seconds, skipped, as_json)
        if html is not None and not as_json:
            click.echo(f"\npage: {display_name(html)}")
    return SKIPPED if skipped else GOOD


@cli.command()
@click.argument("image1")
@click.argument("image2")
@_measure
@_json
def compare(
    image1: str, image2: str, measure: str | None, bins: int | None,
    grey_range: tuple[float, float] | None, p: float | None, as_json: bool,
) -> int:  # fmt: skip
    """Compare two images."""
    from imgsim_fast.measures import describe, get_measure

    kind = get_measure(measure or "wasserstein", **_measure_options(bins, grey_range, p))
    value = kind.compare(describe(kind, image1), describe(kind, image2))
    if as_json:
        _print_json(
            {
                "measure": kind.name, "options": dict(kind.options), "value": value,
                "unit": kind.unit, "higher_is_better": kind.higher_is_better,
                "image1": _json_path(image1), "image2": _json_path(image2),
            }
        )  # fmt: skip
    else:
        click.echo(f"{kind.name}: {value:.6g} {kind.unit}")
    return GOOD


@cli.command()
@click.argument("where")
@_json
def stats(where: str, as_json: bool) -> int:
    """Show what an index holds."""
    from imgsim_fast.index import Index

    with Index.open(_index_of(where)) as store:
        found = store.stats()
    if as_json:
        _print_json(
            {
                **asdict(found), "path": _json_path(found.path),
                "skipped": _json_skipped(found.skipped),
                "folders": [_json_path(folder) for folder in found.folders],
            }
        )  # fmt: skip
        return GOOD
    options = ", ".join(f"{name}={value}" for name, value in found.options.items())
    lines = [
        ("index", display_name(found.path)),
        ("measure", f"{found.measure} ({options})"),
        ("images", f"{found.images:,}"),
        ("size", _size(found.bytes)),
        ("segments", f"{found.segments:,} ({found.dead_rows:,} dead rows)"),
        *(("folder", display_name(folder)) for folder in found.folders),
    ]
    for name, value in lines:
        click.echo(f"{name:<9} {value}")
    _list_skipped(found.skipped, err=False)
    return GOOD


@cli.command()
@click.argument("where")
@_json
def verify(where: str, as_json: bool) -> int:
    """Check every byte and cross-reference of an index."""
    from imgsim_fast.index import Index

    with Index.open(_index_of(where)) as store:
        problems, count = store.verify(), len(store)
    if as_json:
        _print_json({"sound": not problems, "images": count, "problems": problems})
    elif problems:
        for problem in problems:
            click.echo(display_name(problem))
    else:
        click.echo(f"sound: {count:,} images")
    return CORRUPT if problems else GOOD


@cli.command()
@click.argument("folder", default="imgsim-demo")
@click.option("--count", type=int, default=1000, show_default=True, help="How many images.")
@click.option("-k", "--k", type=int, default=10, show_default=True, help="How many matches.")
@_threads
@_json
def demo(folder: str, count: int, k: int, threads: int | None, as_json: bool) -> int:
    """Render a gallery, index it, search it, and write a page about the result.

    Everything goes into FOLDER; a second run starts from what is there.
    """
    from imgsim_fast.demo import render_gallery
    from imgsim_fast.index import Index

    threads = _threads_of(threads)
    with _progress("rendering", lambda: count, quiet=as_json) as advance:
        gallery = render_gallery(
            folder, count=count, progress=None if advance is None else lambda n, _: advance(n)
        )
    path = os.path.join(gallery.folder, INDEX_NAME)
    store = Index.open(path) if Index.exists(path) else Index.create(path)
    with store:
        with _progress("indexing", lambda: count, quiet=as_json) as advance:
            report = store.add(gallery.folder, threads=threads, progress=advance)
        _print_added(report, store, as_json=False, silent=as_json)
        start = time.perf_counter()
        matches = store.search(gallery.query, k, threads=threads)
        seconds = time.perf_counter() - start
        page = os.path.join(folder, "report.html")
        _write_page(page, True, store, gallery.query, gallery.folder, matches, seconds, 0)
        if not as_json:
            click.echo()
        _print_matches(gallery.query, gallery.folder, store, matches, seconds, [], as_json)
    if not as_json:
        click.echo(f"\npage: {display_name(page)}   (open it in a browser)")
        click.echo(f"next: imgsim search {_shown(gallery.query)} {_shown(gallery.folder)} -k 5")
    return GOOD


# ---- finding what to search --------------------------------------------------------------------


def _index_of(where: str) -> str:
    """Return the index that a path means: itself, or the one inside a folder."""
    from imgsim_fast.index import Index

    inside = os.path.join(where, INDEX_NAME)
    return inside if not Index.exists(where) and Index.exists(inside) else where


@contextlib.contextmanager
def _searchable(
    where: str, measure: str | None, options: dict[str, Any], threads: int | None, quiet: bool
) -> Iterator[tuple[Index, list[tuple[str, str]]]]:
    """Open the index that WHERE means, or make a passing one of a plain folder."""
    import tempfile

    from imgsim_fast.index import Index

    path = _index_of(where)
    if Index.exists(path):
        with Index.open(path, measure, **options) as store:
            yield store, []
        return
    if not os.path.isdir(where):
        raise errors.InvalidInputError(f"WHERE {where!r} is neither an index nor a folder")
    with (
        tempfile.TemporaryDirectory(prefix="imgsim-") as folder,
        Index.create(folder, measure or "wasserstein", **options) as store,
    ):
        with _progress("reading", lambda: _count(where), quiet=quiet) as advance:
            report = store.add(where, threads=threads, progress=advance)
        if not len(store):
            raise errors.InvalidInputError(f"WHERE {where!r} holds no image that can be read")
        yield store, report.skipped


def _count(folder: str) -> int:
    from imgsim_fast.folders import find_images

    return sum(1 for _ in find_images(folder, on_error=lambda path, error: None))


# ---- printing ----------------------------------------------------------------------------------


def _print_json(value: dict[str, Any]) -> None:
    click.echo(json.dumps(value, indent=2))


def _json_path(path: str) -> dict[str, str] | str:
    """Return the path as text; where it is none, a shown form and its bytes in base64."""
    raw = os.fsencode(path)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return {"shown": display_name(path), "base64": base64.b64encode(raw).decode()}


def _json_skipped(skipped: list[tuple[str, str]]) -> list[dict[str, Any]]:
    return [{"path": _json_path(path), "reason": reason} for path, reason in skipped]


def _shown(path: str) -> str:
    """Return the path for a terminal, relative to the working directory where that is shorter."""
    with contextlib.suppress(ValueError, OSError):  # another drive; a directory that has gone
        relative = os.path.relpath(path)
        if not relative.startswith(os.pardir):
            return display_name(relative)
    return display_name(path)


def _size(size: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _print_added(report: AddReport, store: Index, as_json: bool, silent: bool = False) -> None:
    if as_json:
        _print_json(
            {
                "index": _json_path(store.path), "images": len(store), "added": report.added,
                "updated": report.updated, "unchanged": report.unchanged,
                "removed": report.removed, "skipped": _json_skipped(report.skipped),
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
    click.echo(f"{len(store):,} images in {_shown(store.path)} ({done}) in {report.seconds:.2f} s")
    _list_skipped(report.skipped, err=True)


def _list_skipped(skipped: list[tuple[str, str]], *, err: bool) -> None:
    if skipped:
        files = "1 file" if len(skipped) == 1 else f"{len(skipped):,} files"
        click.echo(f"skipped {files} that could not be read:", err=err)
    for path, reason in skipped[:_SHOWN_SKIPPED]:
        click.echo(f"  {_shown(path)}: {display_name(reason)}", err=err)
    if len(skipped) > _SHOWN_SKIPPED:
        more = len(skipped) - _SHOWN_SKIPPED
        click.echo(f"  ... and {more:,} more (imgsim stats INDEX --json lists all)", err=err)


def _print_matches(
    query: str, where: str, store: Index, matches: Matches, seconds: float,
    skipped: list[tuple[str, str]], as_json: bool,
) -> None:  # fmt: skip
    if as_json:
        _print_json(
            {
                "query": _json_path(query), "searched": len(store), "measure": store.measure,
                "options": store.options, "seconds": round(seconds, 6),
                "matches": [
                    {"rank": rank, "distance": float(distance), "id": int(number),
                     "path": _json_path(path)}
                    for rank, (distance, number, path) in enumerate(zip(*matches, strict=True), 1)
                ],
                "skipped": _json_skipped(skipped),
            }
        )  # fmt: skip
        return
    unit = "grey levels"
    click.echo(
        f"{_shown(query)}: {len(matches.ids)} of {len(store):,} images in {_shown(where)}, "
        f"{seconds * 1e3:.1f} ms"
    )
    if matches.paths:
        click.echo(f"\n rank  distance  image          ({store.measure} distance in {unit})")
    else:
        click.echo("no image is that near" if len(store) else "the index is empty")
    for rank, (distance, path) in enumerate(zip(matches.distances, matches.paths, strict=True), 1):
        gone = "" if os.path.lexists(path) else "   (the file has gone)"
        click.echo(f"{rank:5d}  {distance:8.3f}  {_shown(path)}{gone}")
    _list_skipped(skipped, err=True)


def _write_page(
    file: str, force: bool, store: Index, query: str, where: str, matches: Matches,
    seconds: float, skipped: int,
) -> None:  # fmt: skip
    from imgsim_fast.report import search_page, write_text_atomically

    page = search_page(store, query, matches, source=where, seconds=seconds, skipped=skipped)
    write_text_atomically(file, page, force=force)


@contextlib.contextmanager
def _progress(
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


# ---- running -----------------------------------------------------------------------------------


def main() -> None:
    """Run the command line and exit with its code."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character gets an escape, not a traceback.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    code = _run()
    try:
        if sys.stdout is not None:  # as with `imgsim ... >&-`
            sys.stdout.flush()
    except BrokenPipeError:
        code = PIPE_CLOSED
    if code == PIPE_CLOSED:  # what is left in the buffer must not complain again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _run() -> int:
    try:
        # Not `cli.main`: it would turn a closed pipe into exit code 1.
        with cli.make_context("imgsim", sys.argv[1:]) as context:
            return int(cli.invoke(context) or GOOD)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return USAGE
    except click.ClickException as error:
        where = getattr(error, "ctx", None)
        if where is not None:
            click.echo(where.get_usage(), err=True)
        return _complain(error.format_message(), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        return PIPE_CLOSED
    except errors.IndexLockedError as error:
        return _complain(str(error), LOCKED)
    except errors.IndexCorruptError as error:
        hint = "delete the index (the images stay) and make it again with `imgsim index`"
        return _complain(f"{error}; to repair it, {hint}", CORRUPT)
    except errors.IndexMismatchError as error:
        return _complain(f"{error}; name another --index, or delete this one", USAGE)
    except (errors.ImgsimError, FileExistsError) as error:
        return _complain(str(error), USAGE)
    except (OSError, MemoryError) as error:
        return _complain(str(error) or type(error).__name__, FAILED)
    except ValueError as error:
        if "IMGSIM_FAST_ISA" not in str(error):
            raise
        return _complain(str(error), USAGE)


def _complain(text: str, code: int) -> int:
    click.echo(f"imgsim: {display_name(text)}", err=True)
    return code
