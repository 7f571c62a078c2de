"""The command about near-identical images: duplicates."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from imgsim_fast.cli.options import (
    GOOD,
    SKIPPED,
    html_options,
    json_flag,
    measure_options,
    named_measure,
    named_values,
    threads_of,
    threads_option,
)
from imgsim_fast.cli.output import (
    check_page,
    json_path,
    json_skipped,
    list_skipped,
    print_json,
    progress_bar,
    shown,
)
from imgsim_fast.cli.places import index_of, reading_note, searchable
from imgsim_fast.report.names import display_name
from imgsim_fast.report.words import range_in_words, size_in_words

if TYPE_CHECKING:
    from imgsim_fast.index import DuplicateGroup, Duplicates, Index
    from imgsim_fast.measures import Measure

_SHOWN_GROUPS = 50
_SHOWN_IMAGES = 50  # of a group


@click.command()
@click.argument("where", metavar="INDEX")
@click.option("--threshold", type=float, help="Of a pair [default: the measure's own].")
@click.option("--reference", metavar="WHERE", help="Only pairs with an image of WHERE.")
@click.option("--confirm", metavar="MEASURE", help="Pairs must pass another --measure too.")
@click.option("--confirm-threshold", type=float, help="Of that measure [default: its own].")
@click.option("--confirm-option", metavar="NAME=VALUE", multiple=True, help="Any option of it.")
@measure_options
@html_options
@threads_option
@json_flag
def duplicates(
    where: str, threshold: float | None, reference: str | None, confirm: str | None,
    confirm_threshold: float | None, confirm_option: tuple[str, ...], measure: str | None,
    given: dict[str, Any], html: str | None, force: bool, threads: int | None, as_json: bool,
) -> int:  # fmt: skip
    """Group the near-identical images of INDEX. Nothing is deleted.

    INDEX is an index, a folder with an index, or any folder of images, which is then read first.
    With `--reference`, likewise an index or a folder, also one inside what INDEX holds, only pairs
    of an image and one of the reference count.
    """
    check_page(html, force)
    threads = threads_of(threads)
    options = named_values("--confirm-option", confirm_option, {})
    if confirm is None and (options or confirm_threshold is not None):
        raise click.UsageError("--confirm-threshold and --confirm-option need --confirm")
    other = named_measure("--confirm-option", confirm, options)
    with (
        searchable(where, measure, given, threads, as_json) as (store, skipped),
        _reference(reference, store, given, threads, as_json) as (there, skipped_there),
    ):
        skipped = skipped + skipped_there
        start = time.perf_counter()
        with progress_bar("comparing", lambda: len(store), quiet=as_json) as advance:
            found = store.duplicates(
                threshold, reference=there, confirm=other, confirm_threshold=confirm_threshold,
                threads=threads, progress=advance,
            )  # fmt: skip
        seconds = time.perf_counter() - start
        if html is not None:
            from imgsim_fast.report import duplicates_page, write_text_atomically

            page = duplicates_page(
                found, source=where, seconds=seconds, reference=reference, skipped=len(skipped)
            )
            write_text_atomically(html, page, force=force)
        if as_json:
            _print_json(found, where, reference, store, seconds, skipped)
        else:
            read = [where] if there is None or isinstance(there, str) else [where, str(reference)]
            _print_groups(found, where, reference, f"{seconds:.2f} s{reading_note(*read)}")
            _say_out_of_reach("--threshold", found.threshold, found.measure, store)
            if other is not None and found.confirm_threshold is not None:
                limit = found.confirm_threshold
                _say_out_of_reach("--confirm-threshold", limit, other.name, other)
            list_skipped(skipped, err=True)
            hint = "--json lists all"
            list_skipped(found.skipped, err=True, what="file of a pair", hint=hint)
        if html is not None and not as_json:
            click.echo(f"\npage: {display_name(html)}")
    return SKIPPED if skipped or found.skipped else GOOD


@contextlib.contextmanager
def _reference(
    where: str | None, store: Index, given: dict[str, Any], threads: int, quiet: bool
) -> Iterator[tuple[Index | str | None, list[tuple[str, str]]]]:
    """Open the index that a reference means, or read a plain folder that this one knows not of."""
    from imgsim_fast.index import Index

    if where is None:
        yield None, []
        return
    path = index_of(where)
    if Index.exists(path) and not os.path.samefile(path, store.path):
        with Index.open(path) as other:
            yield other, []
        return
    if store.holds(where):
        yield where, []
        return
    options = {**store.options, **given}
    with searchable(where, store.measure, options, threads, quiet, "--reference") as found:
        yield found


def _print_json(
    found: Duplicates, where: str, reference: str | None, store: Index, seconds: float,
    skipped: list[tuple[str, str]],
) -> None:  # fmt: skip
    print_json(
        {
            "where": json_path(where),
            "reference": None if reference is None else json_path(reference),
            "images": found.images, "references": found.references, "measure": found.measure,
            "options": store.options, "unit": found.unit,
            "higher_is_better": found.higher_is_better, "threshold": found.threshold,
            "confirm": found.confirm, "confirm_threshold": found.confirm_threshold,
            "seconds": round(seconds, 6),
            "groups": [
                {
                    "exact": group.exact, "keep": group.keep,
                    "images": [
                        {**image._asdict(), "path": json_path(image.path)}
                        for image in group.images
                    ],
                    "pairs": [pair._asdict() for pair in group.pairs],
                }
                for group in found.groups
            ],
            "skipped": json_skipped([*skipped, *found.skipped]),
        }
    )  # fmt: skip


def _say_out_of_reach(flag: str, threshold: float, name: str, measure: Index | Measure) -> None:
    """Explain a least similarity that nothing can have."""
    if measure.higher_is_better and threshold > measure.value_range[1]:
        known = range_in_words(measure.value_range)
        click.echo(
            f"\nno pair reaches {flag} {threshold:g}: it is the least similarity that counts, and "
            f"{display_name(name)} is {known}; only equal files are grouped"
        )


def _print_groups(found: Duplicates, where: str, reference: str | None, took: str) -> None:
    unit = f" {found.unit}" if found.unit else ""
    bound = "at least" if found.higher_is_better else "at most"
    rule = f"{found.measure} {bound} {found.threshold:g}{unit}"
    if found.confirm is not None:
        rule += f", confirmed by {found.confirm}, limit {found.confirm_threshold:g}"
    against = f" against {found.references:,} in {shown(reference)}" if reference else ""
    groups = "1 group" if len(found) == 1 else f"{len(found):,} groups"
    click.echo(
        f"{groups} of near-identical images among {found.images:,} in {shown(where)}{against}, "
        f"{took}   ({rule})"
    )
    for number, group in enumerate(found.groups[:_SHOWN_GROUPS], 1):
        _print_group(number, group, found)
    if len(found) > _SHOWN_GROUPS:
        click.echo(f"\n... and {len(found) - _SHOWN_GROUPS:,} more groups (--json lists all)")


def _print_group(number: int, group: DuplicateGroup, found: Duplicates) -> None:
    click.echo(f"\ngroup {number}")
    links = group.links()
    said = []
    for position, image in enumerate(group.images[:_SHOWN_IMAGES]):
        pair = links.get(position)
        if image.copy_of is not None:
            said.append(f"same as {image.copy_of + 1}")
        elif pair is None:
            said.append("")
        else:
            other = pair.second if pair.first == position else pair.first
            value = f"{pair.value:.3f}"
            if pair.confirmed is not None:  # two numbers: say whose they are
                value = f"{found.measure} {value}, {found.confirm} {pair.confirmed:.3f}"
            said.append(display_name(f"{value} to {other + 1}"))
    width = max(14, *map(len, said))
    for position, what in enumerate(said):
        image = group.images[position]
        mark = "*" if position == group.keep else " "
        size = f"{image.width} x {image.height}"
        tail = "   (reference)" if image.reference else ""
        tail += "" if os.path.lexists(image.path) else "   (the file has gone)"
        click.echo(
            f" {mark}{position + 1:3d}  {what:<{width}}  {size:>11}  "
            f"{size_in_words(image.bytes):>9}  {shown(image.path)}{tail}"
        )
    if len(group.images) > _SHOWN_IMAGES:
        click.echo(f"       ... and {len(group.images) - _SHOWN_IMAGES:,} more images")
