"""The page of near-identical images: one section per group. It shows; it deletes nothing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from imgsim_fast.report.names import display_name
from imgsim_fast.report.search import below
from imgsim_fast.report.template import load_template, shown_image
from imgsim_fast.report.thumbnails import thumbnail_of
from imgsim_fast.report.words import format_distance, format_duration, size_in_words

if TYPE_CHECKING:
    from imgsim_fast.index import DuplicateGroup, Duplicates

__all__ = ["MOST_GROUPS", "MOST_IMAGES", "duplicates_page"]

# A page of more pictures than this would be no use to anybody; the rest is counted.
MOST_GROUPS = 100
MOST_IMAGES = 24  # of a group
_THUMBNAIL = 240  # pixels


def duplicates_page(
    found: Duplicates, *, source: str, seconds: float, reference: str | None = None,
    skipped: int = 0,
) -> str:  # fmt: skip
    """Write the page of duplicates, as one HTML text.

    Parameters
    ----------
    found : Duplicates
    source : str
        What to call the place that was looked at.
    seconds : float
        Time of the search.
    reference : str, optional
        What to call the reference, if there was one.
    skipped : int
        Files of the source that could not be read.
    """
    template, style, style_hash = load_template(
        "duplicates.html.j2", "search.css", "duplicates.css"
    )
    bases = [os.path.abspath(place) for place in (source, reference) if place is not None]
    word = "similarity" if found.higher_is_better else "distance"
    images = sum(len(group.images) for group in found.groups)
    return template.render(
        style=style,
        style_hash=style_hash,
        groups=[
            _group(number, group, bases)
            for number, group in enumerate(found.groups[:MOST_GROUPS], 1)
        ],
        group_count=f"{len(found.groups):,}",
        one_group=len(found.groups) == 1,
        image_count=_images(images),
        unshown=f"{len(found.groups) - MOST_GROUPS:,}" if len(found.groups) > MOST_GROUPS else "",
        freed=size_in_words(sum(_bytes_beside_kept(group) for group in found.groups)),
        measure=display_name(found.measure),
        unit=display_name(found.unit),
        word=word,
        bound="at least" if found.higher_is_better else "at most",
        threshold=format_distance(found.threshold),
        confirm=display_name(found.confirm or ""),
        confirm_threshold=format_distance(found.confirm_threshold or 0),
        looked_at=_images(found.images),
        one_image=found.images == 1,
        references=_images(found.references) if reference is not None else "",
        reference=display_name(reference or ""),
        source=display_name(source),
        duration=format_duration(seconds),
        unreadable=f"{skipped:,}" if skipped else "",
        vanished=f"{len(found.skipped):,}" if found.skipped else "",
    )


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count:,} images"


def _bytes_beside_kept(group: DuplicateGroup) -> int:
    """Bytes of the images that are not of the reference and not the one to keep."""
    return sum(
        image.bytes
        for position, image in enumerate(group.images)
        if position != group.keep and not image.reference
    )


def _group(number: int, group: DuplicateGroup, bases: list[str]) -> dict[str, object]:
    links = group.links()
    shown = []
    for position, image in enumerate(group.images[:MOST_IMAGES]):
        path = below(image.path, bases)
        entry: dict[str, object] = {
            "image": shown_image(
                path, image.width, image.height, thumbnail_of(image.path, _THUMBNAIL)
            ),
            "bytes": size_in_words(image.bytes),
            "keep": position == group.keep,
            "reference": image.reference,
            "copy_of": "",
            "value": "",
            "to": "",
            "confirmed": "",
        }
        pair = links.get(position)
        if image.copy_of is not None:
            entry["copy_of"] = str(image.copy_of + 1)
        elif pair is not None:
            other = pair.second if pair.first == position else pair.first
            entry |= {"value": format_distance(pair.value), "to": str(other + 1)}
            if pair.confirmed is not None:
                entry["confirmed"] = format_distance(pair.confirmed)
        shown.append(entry)
    count = len(group.images)
    return {
        "number": number,
        "count": f"{count:,}",
        "exact": group.exact,
        "images": shown,
        "unshown": f"{count - MOST_IMAGES:,}" if count > MOST_IMAGES else "",
    }
