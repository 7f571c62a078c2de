"""The command about two images: compare."""

from __future__ import annotations

from typing import Any

import click

from imgsim_fast.cli.options import GOOD, json_flag, measure_options
from imgsim_fast.cli.output import json_path, print_json


@click.command()
@click.argument("image1")
@click.argument("image2")
@measure_options
@json_flag
def compare(
    image1: str, image2: str, measure: str | None,
    given: dict[str, Any], as_json: bool,
) -> int:  # fmt: skip
    """Compare two images."""
    from imgsim_fast.measures import describe, get_measure

    kind = get_measure(measure or "wasserstein", **given)
    value = kind.compare(describe(kind, image1), describe(kind, image2))
    if as_json:
        print_json(
            {
                "measure": kind.name, "options": dict(kind.options), "value": value,
                "unit": kind.unit, "higher_is_better": kind.higher_is_better,
                "image1": json_path(image1), "image2": json_path(image2),
            }
        )  # fmt: skip
    else:
        click.echo(f"{kind.name}: {value:.6g} {kind.unit}")
    return GOOD
