"""Exit codes, and options that several commands share."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any, TypeVar, cast

import click

GOOD, FAILED, USAGE, SKIPPED, CORRUPT, LOCKED, INTERRUPTED, PIPE_CLOSED = 0, 1, 2, 3, 4, 5, 130, 141


Command = TypeVar("Command", bound=Callable[..., Any])


def options(*several: Callable[[Any], Any]) -> Callable[[Command], Command]:
    """Make several options one decorator; they are listed in this order."""

    def decorate(command: Command) -> Command:
        for option in reversed(several):
            command = option(command)
        return command

    return decorate


json_flag = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
threads_option = click.option("--threads", type=int, help="Decoding threads [default: all CPUs].")


_MEASURE_OPTIONS = options(
    click.option("--measure", help="How to compare [default: wasserstein]."),
    click.option("--bins", type=int, help="Bins, of grey levels or a channel."),
    click.option("--range", "grey_range", type=float, nargs=2, help="First and last edge."),
    click.option("--p", type=float, help="Order of the distance [default: 1]."),
    click.option(
        "--option", metavar="NAME=VALUE", multiple=True, help="Any option of the measure."
    ),
)


def measure_options(command: Command) -> Command:
    """Give a command `measure` (a name or None) and `given` (the options that were given).

    What is not given is the index's, or the default.
    """

    @functools.wraps(command)
    def gathered(
        *args: Any, bins: int | None, grey_range: tuple[float, float] | None, p: float | None,
        option: tuple[str, ...], **rest: Any,
    ) -> Any:  # fmt: skip
        given: dict[str, Any] = {"bins": bins, "range": grey_range, "p": p}
        given = {name: value for name, value in given.items() if value is not None}
        for text in option:
            name, value = _option(text)
            if name in given:
                raise click.UsageError(f"option {name!r} is given twice")
            given[name] = value
        return command(*args, given=given, **rest)

    return _MEASURE_OPTIONS(cast("Command", gathered))


def _option(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise click.UsageError(f"--option takes NAME=VALUE, got {text!r}")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def threads_of(threads: int | None) -> int:
    """Return the number of threads that is meant, before anything is done."""
    from imgsim_fast import _threads

    return _threads.resolve(threads)


html_options = options(
    click.option("--html", metavar="FILE", help="Write a page with pictures and curves."),
    click.option("--force", is_flag=True, help="Let --html replace a file."),
)
