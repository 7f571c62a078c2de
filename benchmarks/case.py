"""What a benchmark case is, and how it is timed fairly on a shared machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

OURS = "imgsim_fast"
_SAMPLE_SECONDS = 2e-3

Call = Callable[[], Any]


class Instances:
    """Calls that do the same to several instances; made when first needed.

    Parameters
    ----------
    make : callable
        Returns the calls, one per instance.
    """

    def __init__(self, make: Callable[[], Iterable[Call]]) -> None:
        self._make = make

    @cached_property
    def calls(self) -> tuple[Call, ...]:
        """One call per instance."""
        return tuple(self._make())

    def __call__(self) -> list[Any]:
        """Make all of them."""
        return [call() for call in self.calls]


@dataclass(frozen=True)
class Case:
    """One question: how long `ours` takes, and how long its peers.

    Attributes
    ----------
    name : str
    ours : callable
        What is timed; all contenders do the same work. If all are `Instances`, the figure is the
        median over them.
    check : callable
        Raises unless the answers are right; runs first.
    peers : dict of callables
    faster : dict
        Bars: the peer must take at least so many times as long.
    within : dict
        Bars: ours may take at most so many times as long as the peer.
    shares : dict
        The part of the work that a peer does; its time is divided by it.
    seconds : float, optional
        Bar: ours may take at most so long (for "extra": so much longer than the only peer).
    extra : bool
        The figure is the difference to the only peer, not the time itself.
    rounds : int
        Rounds of one sample each, interleaved; so many for each instance.
    """

    name: str
    ours: Call
    check: Callable[[], None]
    peers: dict[str, Call] = field(default_factory=dict)
    faster: dict[str, float] = field(default_factory=dict)
    within: dict[str, float] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)
    seconds: float | None = None
    extra: bool = False
    rounds: int = 25

    @property
    def contenders(self) -> dict[str, Call]:
        """Ours first, then the peers."""
        return {OURS: self.ours, **self.peers}


@dataclass(frozen=True)
class Figure:
    """A question whose answer is no time: an error, a number of bytes.

    Attributes
    ----------
    name : str
    value : callable
        Measures it.
    at_most : float
        Bar.
    unit : str
    """

    name: str
    value: Callable[[], float]
    at_most: float
    unit: str = ""

    def check(self) -> None:
        """Raise unless the bar is met."""
        value = self.value()
        assert value <= self.at_most, f"{self.name}: {value} {self.unit}"


def measure(case: Case) -> dict[str, float]:
    """Median seconds per call of every contender, in interleaved rounds."""
    case.check()
    calls = {name: _calls(contender) for name, contender in case.contenders.items()}
    medians: dict[str, list[float]] = {name: [] for name in calls}
    for instance in zip(*calls.values(), strict=True):
        for name, median in _medians(dict(zip(calls, instance, strict=True)), case.rounds).items():
            medians[name].append(median)
    return {
        name: statistics.median(times) / case.shares.get(name, 1) for name, times in medians.items()
    }


def _calls(contender: Call) -> tuple[Call, ...]:
    return contender.calls if isinstance(contender, Instances) else (contender,)


def _medians(calls: dict[str, Call], rounds: int) -> dict[str, float]:
    """Of one instance."""
    repeats = {name: _repeats(call) for name, call in calls.items()}
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            samples[name].append(_time(call, repeats[name]))
    return {name: statistics.median(times) for name, times in samples.items()}


def _time(call: Call, repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def _repeats(call: Call) -> int:
    call()  # the first call fills caches
    once = max(_time(call, 1), 1e-9)
    return max(1, round(_SAMPLE_SECONDS / once))


def contender_ids(cases: Sequence[Case]) -> list[Any]:
    """Parameters for pytest: every contender of every case."""
    import pytest

    return [
        pytest.param(case, name, id=f"{case.name} | {name}")
        for case in cases
        for name in case.contenders
    ]
