"""Numbers as people read them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from imgsim_fast.report.names import display_name

__all__ = [
    "TIMES",
    "format_distance",
    "format_duration",
    "options_in_words",
    "range_in_words",
    "settings_in_words",
    "size_in_words",
]

TIMES = "\N{MULTIPLICATION SIGN}"


def format_distance(distance: float) -> str:
    """Return about three digits: "0" only for exactly zero, powers of ten for the very small."""
    if distance == 0:
        return "0"
    size = abs(distance)
    if size < 0.001 or size >= 1e7:
        mantissa, exponent = f"{distance:.2e}".split("e")
        power = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        return f"{mantissa} {TIMES} 10{power}"
    if size < 1:
        return f"{distance:#.3g}"
    return f"{distance:.2f}" if size < 100 else f"{distance:.1f}"


def format_duration(seconds: float) -> str:
    """Return a time in the unit that suits it, three digits."""
    if seconds < 0.9995:
        return f"{seconds * 1e3:.3g} ms" if seconds >= 0.9995e-3 else f"{seconds * 1e6:.3g} µs"
    if seconds < 99.95:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def size_in_words(size: float) -> str:
    """Return a number of bytes with its unit."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def options_in_words(options: Mapping[str, object]) -> str:
    """Return the options of a measure, by name, as a command takes them: text without quotes."""
    said = [
        f"{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in sorted(options.items())  # as an index keeps them
    ]
    return display_name(", ".join(said))


def settings_in_words(options: Mapping[str, object]) -> str:
    """Return the options of a measure on one line to read; those that are not set are left out."""
    said = [f"{name} {_option(value)}" for name, value in options.items() if value is not None]
    return display_name(", ".join(said))


def _option(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)):
        return " ".join(map(_option, value))
    return f"{value:g}" if isinstance(value, float) else json.dumps(value)


def range_in_words(value_range: tuple[float, float]) -> str:
    """Return least and greatest value of a measure, as "0 ... 1"; empty where neither is known."""
    least, most = value_range
    if math.isinf(least) and math.isinf(most):
        return ""
    if math.isinf(most):
        return f"{least:g} or more"
    return f"at most {most:g}" if math.isinf(least) else f"{least:g} ... {most:g}"
