"""The command about the worth of a search: evaluate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from imgsim_fast.cli.options import (
    GOOD,
    SKIPPED,
    Rerank,
    json_flag,
    measure_options,
    rerank_options,
    threads_of,
    threads_option,
)
from imgsim_fast.cli.output import (
    json_path,
    json_skipped,
    list_skipped,
    measure_in_words,
    print_json,
    progress_bar,
    shown,
)
from imgsim_fast.cli.places import count_images, searchable
from imgsim_fast.report.words import format_duration

if TYPE_CHECKING:
    from imgsim_fast.index import Evaluation


@click.command()
@click.argument("where", metavar="INDEX")
@click.option("--labels", required=True, metavar="FILE", help="CSV, TSV or JSON; or: folder.")
@click.option("--queries", metavar="FOLDER", help="Ask by these images [default: by every image].")
@click.option("--query-labels", metavar="FILE", help="Their labels [default: --labels].")
@click.option("-k", "--k", type=int, multiple=True, help="For P@k ... [default: 1 and 10].")
@measure_options
@rerank_options
@threads_option
@json_flag
def evaluate(
    where: str, labels: str, queries: str | None, query_labels: str | None, k: tuple[int, ...],
    measure: str | None, given: dict[str, Any], rerank: Rerank, threads: int | None,
    as_json: bool,
) -> int:  # fmt: skip
    """Measure how well INDEX finds images of the same label: P@k, recall@k, mAP, k-NN accuracy.

    INDEX is an index, a folder with an index, or any folder of images, which is then read first.
    Labels come from a table of path and label (paths relative to the table's folder), or are the
    names of the folders that the images lie in: `--labels folder`. Without `--queries` every image
    asks for the others.
    """
    from imgsim_fast.index import evaluate

    threads = threads_of(threads)
    with searchable(where, measure, given, threads, as_json) as (store, skipped):
        count = (lambda: len(store)) if queries is None else (lambda: count_images(queries))
        with progress_bar("ranking", count, quiet=as_json) as advance:
            found = evaluate(
                store, labels, queries=queries, query_labels=query_labels, k=k or (1, 10),
                rerank=rerank.measure, candidates=rerank.candidates, threads=threads,
                progress=advance,
            )  # fmt: skip
    if as_json:
        again = {} if found.rerank is None else {
            "rerank": {
                "measure": found.rerank, "options": found.rerank_options,
                "candidates": found.candidates,
            }
        }  # fmt: skip
        print_json(
            {
                "where": json_path(where), "measure": found.measure, "options": found.options,
                "images": found.images, **found.scores.as_dict(),
                "search_seconds": round(found.search_seconds, 9),
                "describe_seconds": round(found.describe_seconds, 9), **again,
                "skipped": json_skipped([*skipped, *found.skipped]),
            }
        )  # fmt: skip
    else:
        _print_table(found, where, queries)
        list_skipped(skipped, err=True)
        list_skipped(found.skipped, err=True, hint="--json lists all")
    return SKIPPED if skipped or found.skipped else GOOD


def _print_table(found: Evaluation, where: str, queries: str | None) -> None:
    scores = found.scores
    measure = measure_in_words(found.measure, found.options)
    if found.rerank is not None:
        again = measure_in_words(found.rerank, found.rerank_options)
        measure += f", best {found.candidates:,} again by {again}"
    asked = f"{scores.queries:,}"
    asked += " (every image, for the others)" if queries is None else f" from {shown(queries)}"
    if scores.without_relevant:
        asked += f"; {scores.without_relevant:,} have no image of their label"
    lines = [
        ("measure", measure),
        ("images", f"{found.images:,} in {shown(where)}"),
        ("queries", asked),
        *((f"P@{k}", f"{scores.precision[k]:.4f}") for k in scores.at),
        *((f"recall@{k}", f"{scores.recall[k]:.4f}") for k in scores.at),
        *((f"{k}-NN accuracy", f"{scores.accuracy[k]:.4f}") for k in scores.at),
        ("mAP", f"{scores.mean_average_precision:.4f}"),
        ("search", f"{format_duration(found.search_seconds)} per query"),
    ]
    if found.describe_seconds:
        lines.append(("describe", f"{format_duration(found.describe_seconds)} per query"))
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        click.echo(f"{name:<{width}}  {value}")
