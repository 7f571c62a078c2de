"""Slow, obvious twins of the scores of rankings: plain Python, fractions throughout."""

from __future__ import annotations

from fractions import Fraction


def rank(values, higher_is_better=False):
    """Row numbers from the best value on, ties to the lower."""
    sign = -1 if higher_is_better else 1
    return sorted(range(len(values)), key=lambda i: (sign * values[i], i))


def precision(relevant, k):
    """Relevant items among the first k, divided by k."""
    return Fraction(sum(relevant[:k]), k)


def recall(relevant, k, total):
    """Relevant items among the first k, divided by all there are."""
    return Fraction(sum(relevant[:k]), total)


def average_precision(relevant, total):
    """Precision at the rank of each relevant item, added up, divided by all there are."""
    found = [precision(relevant, i + 1) for i in range(len(relevant)) if relevant[i]]
    return sum(found, Fraction(0)) / total


def vote(labels, k):
    """The most frequent of the first k labels; of equally frequent ones the first in order."""
    first = list(labels[:k])
    return min(first, key=lambda label: (-first.count(label), label)) if first else None


def scores(rankings, labels, query_labels, at, exclude=None):
    """(precision, recall, accuracy: {k: mean}, mAP), None for a mean of nothing."""
    rows = []
    for query, (ranking, own) in enumerate(zip(rankings, query_labels, strict=True)):
        itself = None if exclude is None or exclude[query] < 0 else exclude[query]
        ranked = [labels[i] for i in ranking if i != itself]
        total = sum(labels[i] == own for i in range(len(labels)) if i != itself)
        relevant = [label == own for label in ranked]
        rows.append((ranked, relevant, own, total))
    with_some = [row for row in rows if row[3]]
    return (
        {k: mean([precision(relevant, k) for _, relevant, _, _ in rows]) for k in at},
        {k: mean([recall(relevant, k, total) for _, relevant, _, total in with_some]) for k in at},
        {k: mean([Fraction(vote(ranked, k) == own) for ranked, _, own, _ in rows]) for k in at},
        mean([average_precision(relevant, total) for _, relevant, _, total in with_some]),
    )


def mean(values):
    return sum(values, Fraction(0)) / len(values) if values else None
