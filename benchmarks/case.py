"""What a benchmark case is, and how it is timed fairly on a shared machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

OURS = "imgsim_fast"
_SAMPLE_SECONDS = 2e-3


@dataclass(frozen=True)
class Case:
    """One question: how long `ours` takes, and how long its peers.

    Attributes
    ----------
    name : str
    ours : callable
        What is timed; all contenders do the same work.
    check : callable
        Raises unless the answers are right; runs first.
    peers : dict of callables
    faster : dict
        Bars: the peer must take at least so many times as long.
    within : dict
        Bars: ours may take at most so many times as long as the peer.
    seconds : float, optional
        Bar: ours may take at most so long (for "extra": so much longer than the only peer).
    extra : bool
        The figure is the difference to the only peer, not the time itself.
    rounds : int
        Rounds of one sample each, interleaved.
    """

    name: str
    ours: Callable[[], Any]
    check: Callable[[], None]
    peers: dict[str, Callable[[], Any]] = field(default_factory=dict)
    faster: dict[str, float] = field(default_factory=dict)
    within: dict[str, float] = field(default_factory=dict)
    seconds: float | None = None
    extra: bool = False
    rounds: int = 25

    @property
    def contenders(self) -> dict[str, Callable[[], Any]]:
        """Ours first, then the peers."""
        return {OURS: self.ours, **self.peers}


def measure(case: Case) -> dict[str, float]:
    """Median seconds per call of every contender, in interleaved rounds."""
    case.check()
    repeats = {name: _repeats(call) for name, call in case.contenders.items()}
    samples: dict[str, list[float]] = {name: [] for name in repeats}
    for _ in range(case.rounds):
        for name, call in case.contenders.items():
            samples[name].append(_time(call, repeats[name]))
    return {name: statistics.median(times) for name, times in samples.items()}


def _time(call: Callable[[], Any], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def _repeats(call: Callable[[], Any]) -> int:
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
