"""Groups of near-identical images: near pairs, confirmed by a second measure, linked.

Files with equal contents are found by their SHA-256 and only the first of them is compared: a
folder of a thousand equal files has no half million pairs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgsim_fast.errors import InvalidInputError
from imgsim_fast.index.catalog import ImageRecord
from imgsim_fast.index.describing import described
from imgsim_fast.index.links import Forest, Links
from imgsim_fast.index.pairs import Pairs, Progress, Table, all_of, near_pairs
from imgsim_fast.index.records import DuplicateGroup, DuplicateImage, DuplicatePair, Duplicates
from imgsim_fast.index.rerank import second_measure
from imgsim_fast.index.search import Collection, as_limit
from imgsim_fast.measures.base import Measure
from imgsim_fast.rows import Row, as_rows

_TILE = 32  # images whose second descriptors are in memory at once, twice


class Criterion(NamedTuple):
    """A measure and the value that near-identical images reach or beat."""

    measure: Measure
    threshold: float

    @classmethod
    def of(cls, name: str, measure: Measure, threshold: float | None) -> Criterion:
        """Check the argument `name`; None means the measure's own value.

        Raises
        ------
        InvalidInputError, InvalidTypeError
            It is no number, or the measure has no value of its own.
        """
        if threshold is None:
            threshold = measure.near_identical
            if measure.higher_is_better and threshold == Measure.near_identical:
                raise InvalidInputError(
                    f"measure {measure.name!r} does not say what is near-identical: give {name}"
                )
        return cls(measure, as_limit(name, threshold, higher_is_better=measure.higher_is_better))

    def met(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which values reach or beat it; NaN does not."""
        higher = self.measure.higher_is_better
        return values >= self.threshold if higher else values <= self.threshold


def confirmation_of(
    measure: str | Measure | None, threshold: float | None, options: Mapping[str, Any] | None
) -> Criterion | None:
    """Return what `confirm` and its companions ask of a pair, if anything."""
    other = second_measure("confirm", measure, options)
    if other is not None:
        return Criterion.of("confirm_threshold", other, threshold)
    if threshold is not None:
        raise InvalidInputError(f"confirm_threshold={threshold} is of no measure")
    return None


def find_duplicates(
    collection: Collection,
    reference: Collection | None,
    criterion: Criterion,
    confirmation: Criterion | None,
    threads: int,
    progress: Progress | None,
) -> Duplicates:
    """Group the images of a collection, or those of it and a reference.

    Parameters
    ----------
    collection : Collection
    reference : Collection or None
        Then a pair is an image of the collection and one of the reference, in this order.
    criterion : Criterion
        Of the index's measure.
    confirmation : Criterion or None
        Of a second measure that pairs must pass too.
    threads : int
    progress : callable or None
        Called with the number of images compared.
    """
    nodes = _Nodes(collection, reference)
    same = nodes.same_in_reference()
    # Equal contents are linked whatever the measures say.
    blocks = (
        pairs.where(same[pairs.first] != pairs.second)
        for pairs in near_pairs(
            criterion.measure, *nodes.tables(), criterion.threshold, threads, progress
        )
    )
    links = Links(nodes.merits(), [np.array(nodes.first_copy, np.int64), same])
    skipped = list[tuple[str, str]]()
    if confirmation is None:
        for pairs in blocks:
            links.add(pairs)
    else:
        pairs = all_of(blocks, criterion.threshold)
        confirmed, skipped = _Confirming(nodes, confirmation.measure, threads).values_of(pairs)
        met = confirmation.met(confirmed)
        links.add(pairs.where(met), confirmed[met])
    return Duplicates(
        _groups(nodes, links, confirmation is not None),
        criterion.measure.name, criterion.measure.unit, criterion.measure.higher_is_better,
        criterion.threshold,
        None if confirmation is None else confirmation.measure.name,
        None if confirmation is None else confirmation.threshold,
        len(collection.ids), 0 if reference is None else len(reference.ids), skipped,
    )  # fmt: skip


class _Nodes:
    """Images by node number: those of the collection first, then those of the reference."""

    def __init__(self, collection: Collection, reference: Collection | None) -> None:
        self.between = reference is not None
        self._sides = [collection] if reference is None else [collection, reference]
        self._sha256 = [digest for side in self._sides for digest in side.sha256]
        self.own = len(collection.ids)  # number of nodes of the collection
        self.count = len(self._sha256)
        self.first_copy = [*self._first_copies(0, self.own)]
        self.first_copy += self._first_copies(self.own, self.count)

    def _first_copies(self, low: int, high: int) -> Iterator[int]:
        """First node of the same side with the same contents, for each."""
        seen: dict[bytes, int] = {}
        return (seen.setdefault(self._sha256[node], node) for node in range(low, high))

    def same_in_reference(self) -> NDArray[np.int64]:
        """First equal in the reference of each first copy of the collection; itself for none."""
        there: dict[bytes, int] = {}
        for node in range(self.own, self.count):
            there.setdefault(self._sha256[node], node)
        same = np.arange(self.count)
        for node in dict.fromkeys(self.first_copy[: self.own]):
            same[node] = there.get(self._sha256[node], node)
        return same

    def merits(self) -> NDArray[np.int64]:
        """Rank the nodes by how much they are worth keeping, the best last."""
        nodes = np.arange(self.count)
        pixels, size = np.concatenate([side.sizes for side in self._sides]).T
        ranks = np.empty(self.count, np.int64)
        ranks[np.lexsort((-nodes, size, pixels, nodes >= self.own))] = nodes
        return ranks

    def tables(self) -> tuple[Table, Table | None]:
        """Rows of the first copies."""
        is_first = np.array(self.first_copy, np.int64) == np.arange(self.count)
        collection, *reference = self._sides
        own = Table(collection.snapshot, collection.ids, is_first[: self.own], 0)
        if not reference:
            return own, None
        there = reference[0]
        return own, Table(there.snapshot, there.ids, is_first[self.own :], self.own)

    def record(self, node: int) -> tuple[ImageRecord, bytes] | None:
        """Look an image up again; nothing if it has gone or changed since."""
        side = int(node >= self.own)
        found = self._sides[side].lookup(int(self._sides[side].ids[node - side * self.own]))
        return None if found is None or found[0].sha256 != self._sha256[node] else found


class _Confirming:
    """Values of near pairs by a second measure, from the files."""

    def __init__(self, nodes: _Nodes, measure: Measure, threads: int) -> None:
        self._nodes = nodes
        self._measure = measure
        self._threads = threads
        self._skipped: dict[str, str] = {}

    def values_of(self, pairs: Pairs) -> tuple[NDArray[np.float64], list[tuple[str, str]]]:
        """Value of each pair, NaN where a file cannot be read again; and these files.

        Linked images lie side by side, so that few tiles of the square of all pairs are visited,
        and a bounded number of descriptors is in memory.
        """
        forest = Forest(self._nodes.count)
        forest.unite(pairs.first, pairs.second)
        ends = np.unique(np.concatenate([pairs.first, pairs.second]))
        ends = ends[np.lexsort((ends, forest.roots(ends)))]
        tile_of = np.zeros(self._nodes.count, np.int64)
        tile_of[ends] = np.arange(len(ends)) // _TILE
        tiles = np.sort(np.stack([tile_of[pairs.first], tile_of[pairs.second]]), axis=0)
        order = np.lexsort(tiles[::-1])
        starts = np.flatnonzero((np.diff(tiles[:, order], prepend=-1) != 0).any(axis=0))
        values = np.full(len(pairs.first), np.nan)
        rows: dict[int, dict[int, Row]] = {}  # of the tiles in memory
        for start, end in zip(starts, np.append(starts, len(order))[1:], strict=True):
            tile = tiles[:, order[start]].tolist()
            rows = {
                at: rows[at]
                if at in rows
                else self._rows(ends[at * _TILE : (at + 1) * _TILE].tolist())
                for at in tile
            }
            numbers = order[start:end].tolist()
            self._fill(values, pairs, numbers, rows[tile[0]] | rows[tile[1]])
        return values, sorted(self._skipped.items())

    def _rows(self, nodes: list[int]) -> dict[int, Row]:
        found = [(node, record) for node in nodes if (record := self._nodes.record(node))]
        paths = [path for _, (_, path) in found]
        digests = [record.sha256 for _, (record, _) in found]
        rows, reasons = described(self._measure, paths, self._threads, digests)
        for position, reason in reasons.items():
            self._skipped[os.fsdecode(paths[position])] = reason
        nodes = [node for node, _ in found]
        return {node: row for node, row in zip(nodes, rows, strict=True) if row is not None}

    def _fill(
        self, values: NDArray[np.float64], pairs: Pairs, numbers: list[int], rows: dict[int, Row]
    ) -> None:
        """Compare the first image of some pairs with all its second ones at once."""
        of_first: dict[int, list[int]] = {}
        for number in numbers:
            first = int(pairs.first[number])
            if first in rows and int(pairs.second[number]) in rows:
                of_first.setdefault(first, []).append(number)
        for first, own in of_first.items():
            others = [rows[int(pairs.second[number])] for number in own]
            stacked = as_rows(others, self._measure.row_dtype, self._measure.row_length)
            values[own] = self._measure.values(rows[first], stacked, self._threads)


def _groups(nodes: _Nodes, links: Links, confirming: bool) -> list[DuplicateGroup]:
    """Return connected components of two images or more, by their lowest node."""
    pairs, confirmed, roots = links.chosen()
    members: dict[int, list[int]] = {}
    for node, root in enumerate(roots.tolist()):
        members.setdefault(root, []).append(node)
    own: dict[int, list[int]] = {}
    for number, root in enumerate(roots[pairs.first].tolist()):
        own.setdefault(root, []).append(number)
    made = (
        _group(nodes, members[root], pairs, own.get(root, []), confirmed if confirming else None)
        for root in sorted(members)
        if len(members[root]) > 1
    )
    return [group for group in made if group is not None]


def _group(
    nodes: _Nodes,
    members: list[int],
    pairs: Pairs,
    numbers: list[int],
    confirmed: NDArray[np.float64] | None,
) -> DuplicateGroup | None:
    """Make a group of what is still there; nothing if that is no group any more."""
    images: list[DuplicateImage] = []
    position: dict[int, int] = {}
    first_with: dict[bytes, int] = {}
    for node in sorted(members, key=lambda node: (node < nodes.own, node)):
        found = nodes.record(node)
        if found is None:
            continue
        record, path = found
        position[node] = len(images)
        first = first_with.setdefault(record.sha256, len(images))
        images.append(
            DuplicateImage(
                record.id, os.fsdecode(path), record.width, record.height, record.size,
                node >= nodes.own, None if first == len(images) else first,
            )
        )  # fmt: skip
    if len(images) < 2 or (nodes.between and len({image.reference for image in images}) < 2):
        return None
    linked = [
        DuplicatePair(
            position[int(pairs.first[number])],
            position[int(pairs.second[number])],
            float(pairs.values[number]),
            None if confirmed is None else float(confirmed[number]),
        )
        for number in numbers
        if int(pairs.first[number]) in position and int(pairs.second[number]) in position
    ]
    return DuplicateGroup(images, sorted(linked), _worth_keeping(images))


def _worth_keeping(images: list[DuplicateImage]) -> int:
    def merit(position: int) -> tuple[bool, int, int, int]:
        image = images[position]
        return image.reference, image.width * image.height, image.bytes, -position

    return max(range(len(images)), key=merit)
