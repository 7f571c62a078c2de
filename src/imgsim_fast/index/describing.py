"""Reading and describing files in threads, in order: for building, re-ranking and confirming."""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from imgsim_fast import images
from imgsim_fast._pillow import reused_memory
from imgsim_fast.errors import ImgsimError, InvalidInputError
from imgsim_fast.index.catalog import ImageRecord
from imgsim_fast.measures.base import Measure
from imgsim_fast.orientation import upright_size

if TYPE_CHECKING:
    from PIL.Image import Image

_GROUP = 16  # files per task: the executor costs some 50 us a task
_BYTES_PER_PIXEL = 4  # of a decoded image
_BATCH_BYTES = 1 << 26  # of the images that a measure gets at once, unless it is one


@dataclass(slots=True)
class Task:
    """A file to describe; one whose contents are `known` already is not described again."""

    path: bytes
    known: ImageRecord | None = None


@dataclass(slots=True)
class Outcome:
    """A described image (row), one that is unchanged (no row), or a reason to skip it."""

    task: Task
    row: NDArray[Any] | None = None
    size: int = 0
    mtime_ns: int = 0
    sha256: bytes = b""
    width: int = 0
    height: int = 0
    reason: str = ""


class Describer:
    """Describes files by a measure; the number of threads changes no outcome.

    Parameters
    ----------
    measure : Measure
    threads : int
    group : int
        Files that a thread takes at once; a measure with batches gets them together, but no more
        than 64 MB of pixels unless it is one image.
    """

    def __init__(self, measure: Measure, threads: int, group: int = _GROUP) -> None:
        self._measure = measure
        self._threads = threads
        self._group = group
        self._stop = threading.Event()

    def outcomes(self, tasks: Iterable[Task]) -> Iterator[list[Outcome]]:
        """Outcomes of groups of tasks, in order."""
        waiting_tasks = iter(tasks)
        groups = iter(lambda: list(islice(waiting_tasks, self._group)), [])
        if self._threads == 1:
            with reused_memory(2):
                for group in groups:
                    yield self._describe_group(group)
            return
        with (
            reused_memory(2 * self._threads),
            ThreadPoolExecutor(self._threads, thread_name_prefix="imgsim") as pool,
        ):
            waiting: deque[Future[list[Outcome]]] = deque()
            try:
                for group in groups:
                    waiting.append(pool.submit(self._describe_group, group))
                    if len(waiting) > 3 * self._threads:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:  # after an error or Ctrl-C: no worker begins another file
                self._stop.set()

    def _describe_group(self, group: list[Task]) -> list[Outcome]:
        if not self._measure.in_batches:
            return [self._describe(task) for task in group if not self._stop.is_set()]
        outcomes: list[Outcome] = []
        batch: list[tuple[Outcome, Image | None]] = []
        held = 0
        for task in group:
            if self._stop.is_set():
                break
            outcome, image = self._read(task)
            size = _BYTES_PER_PIXEL * outcome.width * outcome.height
            if held + size > _BATCH_BYTES and held:
                outcomes += self._describe_batch(batch)
                batch, held = [], 0
            batch.append((outcome, image))
            held += size
            del image  # the batch alone holds it
        return outcomes + self._describe_batch(batch)

    def _describe_batch(self, read: list[tuple[Outcome, Image | None]]) -> list[Outcome]:
        wanted = [(outcome, image) for outcome, image in read if image is not None]
        try:
            images_read = [image for _, image in wanted]
            rows = self._measure.describe_many(images_read) if images_read else []
            if len(rows) != len(wanted):
                raise InvalidInputError(
                    f"measure {self._measure.name!r}: {len(rows)} descriptors for {len(wanted)}"
                )
            for (outcome, _), row in zip(wanted, rows, strict=True):
                outcome.row = row
        except (ImgsimError, MemoryError):  # one of them: find out which
            return [self._describe(outcome.task) for outcome, _ in read]
        return [outcome for outcome, _ in read]

    def _describe(self, task: Task) -> Outcome:
        outcome, image = self._read(task)
        if image is None:
            return outcome
        try:
            outcome.row = self._measure.describe(image)
        except ImgsimError as error:
            return Outcome(task, reason=str(error))
        except MemoryError:
            return Outcome(task, reason="not enough memory to describe it")
        return outcome

    def _read(self, task: Task) -> tuple[Outcome, Image | None]:
        """Read and decode a file; no image where that failed or the contents are known."""
        try:
            data, status = images.read_file(task.path)
            digest = hashlib.sha256(data).digest()
            outcome = Outcome(task, None, status.st_size, status.st_mtime_ns, digest)
            if task.known is not None and task.known.sha256 == digest:
                return outcome, None
            image = images.open_pixels(data)
        except ImgsimError as error:
            return Outcome(task, reason=str(error)), None
        except MemoryError:
            return Outcome(task, reason="not enough memory to decode it"), None
        outcome.width, outcome.height = upright_size(image)
        return outcome, image


def described(
    measure: Measure, paths: Sequence[bytes], threads: int, sha256: Sequence[bytes] | None = None
) -> tuple[list[NDArray[Any] | None], dict[int, str]]:
    """Descriptor of each file, None where there is none, and by position the reason why.

    Parameters
    ----------
    measure : Measure
    paths : sequence of bytes
    threads : int
    sha256 : sequence of bytes, optional
        What the contents must be; other contents are a reason.
    """
    rows: list[NDArray[Any] | None] = []
    reasons: dict[int, str] = {}
    for position, outcome in enumerate(described_one_by_one(measure, paths, threads)):
        if outcome.row is None:
            reasons[position] = outcome.reason
        elif sha256 is not None and outcome.sha256 != sha256[position]:
            reasons[position] = "the file has changed since it was indexed"
        rows.append(None if position in reasons else outcome.row)
    return rows, reasons


def described_one_by_one(
    measure: Measure, paths: Sequence[bytes], threads: int
) -> Iterator[Outcome]:
    """Outcome of each file, in order; few of them are in memory at once, with their rows."""
    # Smaller groups than for an index: there are few files, and every thread is to have some. The
    # size of a batch must not depend on the threads: an encoder's bits may depend on it.
    describer = Describer(measure, threads, _GROUP if measure.in_batches else 1)
    for outcomes in describer.outcomes(Task(path) for path in paths):
        outcomes.reverse()
        while outcomes:
            yield outcomes.pop()
