"""Few of many pairs: enough to link what is linked, in memory for the images only.

A thousand images that look alike are half a million pairs, of which 999 say all that is to be said.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from imgsim_fast.index.pairs import Nodes, Pairs, joined

_AT_ONCE = 65_536  # pairs

Values = NDArray[np.float64]


class Forest:
    """Which of some nodes are connected (union-find, many at a time)."""

    def __init__(self, count: int) -> None:
        self._parent = np.arange(count)

    def roots(self, nodes: Nodes) -> Nodes:
        """Lowest node of the component of each."""
        found = self._parent[nodes]
        while ((higher := self._parent[found]) != found).any():
            found = higher
        self._parent[nodes] = found
        return found

    def unite(self, first: Nodes, second: Nodes) -> Nodes:
        """Connect pairs, in their order; returns the positions of those that were needed."""
        parent, needed = self._parent, list[int]()
        for at in np.flatnonzero(self.roots(first) != self.roots(second)).tolist():
            ends = int(first[at]), int(second[at])
            low, high = sorted(map(self._root, ends))
            if low != high:
                parent[high] = low
                needed.append(at)
        return np.array(needed, np.int64)

    def _root(self, node: int) -> int:
        parent = self._parent
        while (higher := int(parent[node])) != node:
            parent[node] = parent[higher]
            node = higher
        return node


class Links:
    """Takes pairs in, and keeps for each node the best of its partners, and a spanning forest.

    O(nodes) memory however many pairs come; what is kept depends on their order only.

    Parameters
    ----------
    merits : ndarray of int64, shape (nodes,)
        Different numbers; the highest of a component is the node to keep.
    same : list of ndarray of int64, shape (nodes,)
        Nodes that each is linked with whatever pairs come; itself for none.
    """

    def __init__(self, merits: Nodes, same: list[Nodes]) -> None:
        self._merits = merits
        self._same = same
        self._forest = self._of_equals()
        self._needed: list[tuple[Pairs, Values]] = []
        count = len(merits)
        self._partner = np.full(count, -1)
        self._best = np.full(count, -1)  # merit of the partner
        self._values = np.full((2, count), np.nan)  # of the pair with it

    def _of_equals(self) -> Forest:
        forest = Forest(len(self._merits))
        for other in self._same:
            forest.unite(other, np.arange(len(other)))
        return forest

    def add(self, pairs: Pairs, confirmed: Values | None = None) -> None:
        """Take pairs in, with their values by a second measure."""
        others = np.full(len(pairs.first), np.nan) if confirmed is None else confirmed
        for start in range(0, len(others), _AT_ONCE):
            piece = slice(start, start + _AT_ONCE)
            self._add(pairs.where(piece), others[piece])

    def _add(self, pairs: Pairs, confirmed: Values) -> None:
        needed = self._forest.unite(pairs.first, pairs.second)
        if len(needed):
            self._needed.append((pairs.where(needed), confirmed[needed]))
        node = np.concatenate([pairs.first, pairs.second])
        partner = np.concatenate([pairs.second, pairs.first])
        at = np.flatnonzero(self._merits[partner] > self._best[node])
        at = at[np.lexsort((self._merits[partner[at]], node[at]))]
        at = at[np.append(node[at][1:] != node[at][:-1], True)[: len(at)]]  # the best of each
        self._partner[node[at]] = partner[at]
        self._best[node[at]] = self._merits[partner[at]]
        number = at % max(len(confirmed), 1)
        self._values[:, node[at]] = pairs.values[number], confirmed[number]

    def chosen(self) -> tuple[Pairs, Values, Nodes]:
        """Return a spanning forest, its values by the second measure, and each node's root.

        A node is linked with the one to keep wherever these two are a pair.
        """
        nodes = np.arange(len(self._merits))
        roots = self._forest.roots(nodes)
        highest = np.full(len(nodes), -1)
        np.maximum.at(highest, roots, self._merits)
        direct = np.flatnonzero((self._best >= 0) & (self._best == highest[roots]))
        ends = np.stack([direct, self._partner[direct]])
        pieces = [
            (Pairs(ends.min(axis=0), ends.max(axis=0), self._values[0, direct]),
             self._values[1, direct]),
            *self._needed,
        ]  # fmt: skip
        pairs = joined([some for some, _ in pieces])
        confirmed = np.concatenate([values for _, values in pieces])
        needed = self._of_equals().unite(pairs.first, pairs.second)
        needed = needed[np.lexsort((pairs.second[needed], pairs.first[needed]))]
        return pairs.where(needed), confirmed[needed], roots
