"""What an index was made with, and whether that is what somebody counts on."""

from __future__ import annotations

from typing import Any

from imgsim_fast import images
from imgsim_fast.errors import (
    ImgsimError,
    IndexMismatchError,
    IndexVersionError,
    MissingModelError,
)
from imgsim_fast.index.catalog import Catalog
from imgsim_fast.measures import Measure, get_measure, measures


def measure_of(catalog: Catalog) -> Measure:
    """Make the measure that a catalogue names."""
    try:
        return get_measure(catalog.measure, **catalog.options)
    except (ImgsimError, TypeError) as error:  # written by a later version, or by nobody
        if catalog.measure not in measures():
            raise IndexVersionError(
                f"{catalog.folder!r} needs the measure {catalog.measure!r} with "
                f"{catalog.options!r}, which imgsim_fast does not have itself: open it from "
                "Python, Index.open(path, measure), with the Embedding or other object that made it"
            ) from error
        raise IndexVersionError(
            f"{catalog.folder!r} needs the measure {catalog.measure!r} with {catalog.options!r}: "
            f"{error}"
        ) from error


def agreed_measure(
    catalog: Catalog, measure: str | Measure | None, options: dict[str, Any]
) -> Measure:
    """Return the measure, if the index was made as the caller and this version expect.

    Raises IndexMismatchError otherwise. A model file may have moved: only its contents count.
    """
    name = measure.name if isinstance(measure, Measure) else measure
    if name is not None and name != catalog.measure:
        if not isinstance(measure, Measure) and measure not in list(measures()):
            get_measure(name)  # says which there are
        raise IndexMismatchError(
            f"{catalog.folder!r} has measure {catalog.measure!r}, not {name!r}"
        )
    if isinstance(measure, Measure):
        kind = get_measure(measure, **options)
    elif not options:
        kind = measure_of(catalog)
    else:
        try:
            measure_of(catalog)
        except IndexVersionError as error:
            if not isinstance(error.__cause__, MissingModelError):
                raise
        kind = get_measure(catalog.measure, **{**catalog.options, **options})
    wanted = {name: value for name, value in kind.options.items() if name not in kind.whereabouts}
    differing = [option for option in wanted if wanted[option] != catalog.options.get(option)]
    if differing:
        has = ", ".join(f"{option}={catalog.options.get(option)}" for option in differing)
        asked = ", ".join(f"{option}={wanted[option]}" for option in differing)
        raise IndexMismatchError(f"{catalog.folder!r} was made with {has}, not {asked}")
    if catalog.decoder != images.DECODER:
        raise IndexMismatchError(
            f"{catalog.folder!r} was made by the decoder {catalog.decoder}; this version has "
            f"{dict(images.DECODER)}"
        )
    return kind
