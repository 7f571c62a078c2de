"""The command about two images: compare."""

from __future__ import annotations

from typing import Any

import click

from imgsim_fast import errors
from imgsim_fast.cli.options import GOOD, html_options, json_flag, pair_measure_options
from imgsim_fast.cli.output import check_page, json_path, print_json
from imgsim_fast.measures import Comparison
from imgsim_fast.report.names import display_name


@click.command()
@click.argument("image1")
@click.argument("image2")
@pair_measure_options
@html_options
@json_flag
def compare(
    image1: str, image2: str, measure: str | None, given: dict[str, Any], html: str | None,
    force: bool, as_json: bool,
) -> int:  # fmt: skip
    """Compare two images by one measure, or by all of them with `--measure all`."""
    from imgsim_fast.measures import compare_all, get_measure, measures
    from imgsim_fast.measures.pair import compare_decoded, decoded

    check_page(html, force, image1, image2)
    every = measure == "all"
    if every and given:
        raise errors.InvalidInputError(f"option {next(iter(given))!r} needs one --measure, not all")
    if every:
        found = compare_all(image1, image2)
    else:
        kind = get_measure(measure or "wasserstein", **given)
        pixels = decoded(image1), decoded(image2)
        found = [compare_decoded(kind, (image1, image2), pixels)]
    if html is not None:
        from imgsim_fast.report import comparison_page, write_text_atomically

        write_text_atomically(html, comparison_page(image1, image2, found), force=force)
    if as_json:
        pair = {"image1": json_path(image1), "image2": json_path(image2)}
        if every:
            summaries = measures()
            print_json({**pair, "measures": [_as_json(one, summaries) for one in found]})
        else:
            print_json({**_as_json(found[0], {}), **pair})
    elif every:
        _print_table(found)
    else:
        _print_one(found[0])
    if html is not None and not as_json:
        click.echo(f"\npage: {display_name(html)}")
    return GOOD


def _as_json(one: Comparison, summaries: dict[str, str]) -> dict[str, Any]:
    shown = {
        "measure": one.measure, "options": dict(one.options), "value": one.value,
        "unit": one.unit, "higher_is_better": one.higher_is_better,
        "value_range": list(one.value_range), "seconds": round(one.seconds, 6),
    }  # fmt: skip
    if one.problem:
        shown["problem"] = one.problem
    if one.measure in summaries:
        shown["summary"] = summaries[one.measure]
    return shown


def _print_one(one: Comparison) -> None:
    from imgsim_fast.report.words import range_in_words

    unit = f" {one.unit}" if one.unit else ""
    within = ", ".join(filter(None, (range_in_words(one.value_range), _direction(one))))
    click.echo(f"{display_name(one.measure)}: {one.value:.6g}{unit}   ({within})")


def _direction(one: Comparison) -> str:
    return "higher is more alike" if one.higher_is_better else "lower is more alike"


def _print_table(found: list[Comparison]) -> None:
    from imgsim_fast.report.words import format_duration, range_in_words

    width = max(len(one.measure) for one in found)
    click.echo(
        f"{'measure':<{width}}       value  unit         range           more alike      time"
    )
    for one in found:
        if one.value is not None:
            better = "higher" if one.higher_is_better else "lower"
            time = format_duration(one.seconds)
            click.echo(
                f"{one.measure:<{width}}  {one.value:10.5g}  {one.unit or '-':<11}  "
                f"{range_in_words(one.value_range):<14}  {better:<10}  {time:>8}"
            )
    for one in found:
        if one.value is None:
            click.echo(f"{one.measure:<{width}}  not used: {display_name(one.problem)}")
