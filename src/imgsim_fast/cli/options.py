"""Exit codes, and options that several commands share."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import click

from imgsim_fast.measures import measures

if TYPE_CHECKING:
    from imgsim_fast.measures import Measure

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


def _measure_flag(default: str) -> Callable[[Any], Any]:
    names = ", ".join(measures())
    return click.option(
        "--measure", metavar="NAME", help=f"How to compare: {names} [default: {default}]."
    )


_OPTIONS_OF_MEASURES = options(
    click.option("--bins", type=int, help="Bins, of grey levels or a channel."),
    click.option("--range", "grey_range", type=float, nargs=2, help="First and last edge."),
    click.option("--p", type=float, help="Order of the distance [default: 1]."),
    click.option(
        "--option", metavar="NAME=VALUE", multiple=True,
        help="Any option of the measure, such as space=hsv; a wrong name lists them.",
    ),
)  # fmt: skip


def measure_options(command: Command) -> Command:
    """Give a command `measure` (a name or None) and `given` (the options that were given).

    What is not given is the index's, or the default.
    """
    return _with_measure(command, "the index's, or wasserstein")


def pair_measure_options(command: Command) -> Command:
    """Give the same to a command that looks at no index."""
    return _with_measure(command, "wasserstein")


def _with_measure(command: Command, default: str) -> Command:

    @functools.wraps(command)
    def gathered(
        *args: Any, bins: int | None, grey_range: tuple[float, float] | None, p: float | None,
        option: tuple[str, ...], **rest: Any,
    ) -> Any:  # fmt: skip
        given: dict[str, Any] = {"bins": bins, "range": grey_range, "p": p}
        given = {name: value for name, value in given.items() if value is not None}
        return command(*args, given=named_values("--option", option, given), **rest)

    return options(_measure_flag(default), _OPTIONS_OF_MEASURES)(cast("Command", gathered))


def named_values(flag: str, texts: tuple[str, ...], given: dict[str, Any]) -> dict[str, Any]:
    """Add NAME=VALUE texts to what was given otherwise."""
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise click.UsageError(f"{flag} takes NAME=VALUE, got {text!r}")
        if name in given:
            raise click.UsageError(f"option {name!r} is given twice")
        try:
            given[name] = json.loads(value)
        except (ValueError, RecursionError):  # not JSON, or nested too deep
            given[name] = value
    return given


_RERANK_OPTIONS = options(
    click.option("--rerank", metavar="MEASURE", help="Rank the best again, by another --measure."),
    click.option(
        "--rerank-option", metavar="NAME=VALUE", multiple=True, help="Any option of that measure."
    ),
    click.option(
        "--candidates",
        type=int,
        help="How many to rank again; fewer are faster [default: 200, at least k].",
    ),
)


class Rerank(NamedTuple):
    """Another measure and how many it is to rank."""

    measure: Measure | None
    candidates: int


NOT_AGAIN = Rerank(None, 200)


def rerank_options(command: Command) -> Command:
    """Give a command `rerank`, a Rerank."""

    @functools.wraps(command)
    def gathered(
        *args: Any, rerank: str | None, rerank_option: tuple[str, ...], candidates: int | None,
        **rest: Any,
    ) -> Any:  # fmt: skip
        given = named_values("--rerank-option", rerank_option, {})
        if rerank is None and (given or candidates is not None):
            flag = "--rerank-option" if given else "--candidates"
            raise click.UsageError(f"{flag} needs --rerank")
        kind = named_measure("--rerank-option", rerank, given)
        number = NOT_AGAIN.candidates if candidates is None else candidates
        return command(*args, rerank=Rerank(kind, number), **rest)

    return _RERANK_OPTIONS(cast("Command", gathered))


def named_measure(flag: str, name: str | None, given: dict[str, Any]) -> Measure | None:
    """Make a measure whose options come by a flag, before any work is done."""
    if name is None:
        return None
    from imgsim_fast.errors import MissingModelError
    from imgsim_fast.measures import get_measure

    try:
        return get_measure(name, **given)
    except MissingModelError as error:
        raise MissingModelError(str(error).replace(" --option ", f" {flag} ")) from error


def threads_of(threads: int | None) -> int:
    """Return the number of threads that is meant, before anything is done."""
    from imgsim_fast import _threads

    return _threads.resolve(threads)


html_options = options(
    click.option("--html", metavar="FILE", help="Write a page with pictures and curves."),
    click.option("--force", is_flag=True, help="Let --html replace a page."),
)
