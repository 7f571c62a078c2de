"""Commands about a folder of images and its index: index, search, stats, verify, demo."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import asdict
from typing import Any

import click

from imgsim_fast import errors
from imgsim_fast.cli.options import (
    CORRUPT,
    GOOD,
    SKIPPED,
    Rerank,
    html_options,
    json_flag,
    measure_options,
    rerank_options,
    threads_of,
    threads_option,
)
from imgsim_fast.cli.output import (
    check_page,
    json_path,
    json_skipped,
    list_skipped,
    measure_in_words,
    print_added,
    print_json,
    print_matches,
    progress_bar,
    shown,
    write_page,
)
from imgsim_fast.cli.places import INDEX_NAME, count_images, index_of, reading_note, searchable
from imgsim_fast.report.names import display_name
from imgsim_fast.report.words import size_in_words

_LONG = 5.0  # seconds after which somebody may want to know what is faster


@click.command()
@click.argument("folder")
@click.option("--index", "index_path", metavar="PATH", help="The index [default: FOLDER/.imgsim].")
@measure_options
@threads_option
@click.option("--checksum", is_flag=True, help="Compare contents, whatever size and time say.")
@json_flag
def index(
    folder: str, index_path: str | None, measure: str | None,
    given: dict[str, Any], threads: int | None, checksum: bool,
    as_json: bool,
) -> int:  # fmt: skip
    """Index the images of FOLDER, or bring its index up to date.

    New and changed files are read, vanished ones forgotten; the rest is not touched. An interrupted
    run loses nothing that it had committed; the next one goes on from there.
    """
    from imgsim_fast.index import Index

    path = index_path or os.path.join(folder, INDEX_NAME)
    threads = threads_of(threads)  # before anything is created
    if Index.exists(folder):
        raise errors.InvalidInputError(f"FOLDER {folder!r} is an index; name the folder of images")
    if not os.path.isdir(folder):
        raise errors.InvalidInputError(f"FOLDER {folder!r} is not a directory")
    if Index.exists(path):
        store = Index.open(path, measure, **given)
    else:
        store = Index.create(path, measure or "wasserstein", **given)
    with store:
        with progress_bar("indexing", lambda: count_images(folder), quiet=as_json) as advance:
            known = os.path.abspath(folder) in store.stats().folders
            call = store.refresh if known else lambda **kw: store.add(folder, **kw)
            report = call(threads=threads, progress=advance, checksum=checksum)
        print_added(report, store, as_json)
    return SKIPPED if report.skipped else GOOD


@click.command()
@click.argument("query")
@click.argument("where")
@click.option("-k", "--k", type=int, help="How many images [default: 10; with --radius: all].")
@click.option(
    "--radius",
    type=float,
    help="Only images within this distance; by similarities: of at least this value.",
)
@click.option(
    "--max-distance",
    type=float,
    help="Of the k only images within this distance, as of --radius; with --rerank by its measure.",
)
@click.option("--refresh", is_flag=True, help="Bring the index up to date first.")
@measure_options
@rerank_options
@html_options
@threads_option
@json_flag
def search(
    query: str, where: str, k: int | None, radius: float | None, max_distance: float | None,
    refresh: bool, measure: str | None, given: dict[str, Any], rerank: Rerank,
    html: str | None, force: bool, threads: int | None, as_json: bool,
) -> int:  # fmt: skip
    """Find the images in WHERE most similar to the image QUERY.

    WHERE is an index, a folder with an index, or any folder of images, which is then read first. An
    index is searched as it is: `--refresh`, or `imgsim index`, takes in what has changed since.
    With `--rerank` the files of the best are read again and ranked by that measure.
    """
    if radius is not None and rerank.measure is not None:
        raise click.UsageError(
            "--radius and --rerank do not go together; --max-distance goes with it"
        )
    if radius is not None and max_distance is not None:
        raise click.UsageError("--radius and --max-distance do not go together: both are a limit")
    check_page(html, force, query)
    with searchable(where, measure, given, threads, as_json) as (store, skipped):
        if refresh:
            with progress_bar("refreshing", lambda: len(store), quiet=as_json) as advance:
                skipped = store.refresh(threads=threads, progress=advance).skipped
        start = time.perf_counter()
        if radius is None:
            number = 10 if k is None else k
            quiet = as_json or rerank.measure is None
            total = min(max(rerank.candidates, number), len(store))
            with progress_bar("ranking again", lambda: total, quiet=quiet) as advance:
                matches = store.search(
                    query, number, max_distance=max_distance, rerank=rerank.measure,
                    candidates=rerank.candidates, threads=threads, progress=advance,
                )  # fmt: skip
        else:
            matches = store.range_search(query, radius, threads=threads)
            if k is not None:
                matches = matches.first(k)
        seconds = time.perf_counter() - start
        if html is not None:
            write_page(html, force, store, query, where, matches, seconds, len(skipped), rerank)
        note = reading_note(where)
        limit = "--radius" if max_distance is None else "--max-distance"
        print_matches(query, where, store, matches, seconds, skipped, as_json, rerank, note, limit)
        if rerank.measure is not None and seconds > _LONG and sys.stderr.isatty():
            click.echo(f"fewer --candidates than {rerank.candidates:,} are faster", err=True)
        if html is not None and not as_json:
            click.echo(f"\npage: {display_name(html)}")
    return SKIPPED if skipped or matches.skipped else GOOD


@click.command()
@click.argument("where")
@json_flag
def stats(where: str, as_json: bool) -> int:
    """Show what an index holds."""
    from imgsim_fast.index import index_stats

    found = index_stats(index_of(where))
    if as_json:
        print_json(
            {
                **asdict(found), "path": json_path(found.path),
                "skipped": json_skipped(found.skipped),
                "folders": [json_path(folder) for folder in found.folders],
            }
        )  # fmt: skip
        return GOOD
    lines = [
        ("index", display_name(found.path)),
        ("measure", measure_in_words(found.measure, found.options)),
        ("images", f"{found.images:,}"),
        *([("histograms", f"{found.histograms:,}")] if found.histograms else []),
        ("size", size_in_words(found.bytes)),
        ("segments", f"{found.segments:,} ({found.dead_rows:,} dead rows)"),
        *(("folder", display_name(folder)) for folder in found.folders),
    ]
    width = 10 if found.histograms else 9
    for name, value in lines:
        click.echo(f"{name:<{width}} {value}")
    list_skipped(found.skipped, err=False)
    return GOOD


@click.command()
@click.argument("where")
@json_flag
def verify(where: str, as_json: bool) -> int:
    """Check every byte and cross-reference of an index."""
    from imgsim_fast.index import index_stats, verify_index

    folder = index_of(where)
    problems, count, unseen = verify_index(folder)
    histograms = 0 if problems else index_stats(folder).histograms
    if as_json:
        note: dict[str, Any] = {"rows_not_checked": unseen} if unseen else {}
        if histograms:
            note["histograms"] = histograms
        print_json({"sound": not problems, "images": count, "problems": problems, **note})
    elif problems:
        for problem in problems:
            click.echo(display_name(problem))
    else:
        but = ", but the values in their rows were not checked" if unseen else ""
        others = f" and {histograms:,} histograms" if histograms else ""
        click.echo(f"sound: {count:,} images{others}{but}")
    if unseen and not as_json:
        click.echo(f"why not: {display_name(unseen)}")
    return CORRUPT if problems else GOOD


@click.command()
@click.argument("folder", default="imgsim-demo")
@click.option("--count", type=int, default=1000, show_default=True, help="How many images.")
@click.option("-k", "--k", type=int, default=10, show_default=True, help="How many matches.")
@threads_option
@json_flag
def demo(folder: str, count: int, k: int, threads: int | None, as_json: bool) -> int:
    """Render a gallery, index it, search it, and write a page about the result.

    Everything goes into FOLDER; a second run starts from what is there.
    """
    from imgsim_fast.demo import render_gallery
    from imgsim_fast.index import Index

    threads = threads_of(threads)
    with progress_bar("rendering", lambda: count, quiet=as_json) as advance:
        gallery = render_gallery(
            folder, count=count, progress=None if advance is None else lambda n, _: advance(n)
        )
    path = os.path.join(gallery.folder, INDEX_NAME)
    store = Index.open(path) if Index.exists(path) else Index.create(path)
    with store:
        with progress_bar("indexing", lambda: count, quiet=as_json) as advance:
            report = store.add(gallery.folder, threads=threads, progress=advance)
        print_added(report, store, as_json=False, silent=as_json)
        start = time.perf_counter()
        matches = store.search(gallery.query, k, threads=threads)
        seconds = time.perf_counter() - start
        page = os.path.join(folder, "report.html")
        write_page(page, True, store, gallery.query, gallery.folder, matches, seconds, 0)
        if not as_json:
            click.echo()
        print_matches(gallery.query, gallery.folder, store, matches, seconds, [], as_json)
    if not as_json:
        click.echo(f"\npage: {display_name(page)}   (open it in a browser)")
        click.echo(f"next: imgsim search {shown(gallery.query)} {shown(gallery.folder)} -k 5")
    return GOOD
