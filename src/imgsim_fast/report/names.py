"""Names of files made safe to show.

A file name is whatever its author wanted: markup, terminal escapes, bytes that are no text, marks
that reverse the order of letters. What is shown must neither act nor deceive. Shown names are for
eyes only; whoever needs the file again keeps the name as the file system has it.
"""

from __future__ import annotations

__all__ = ["display_name"]

_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

# Characters that act on their neighbours or cannot be seen: first and last of each range.
_INVISIBLE = (
    (0x00AD, 0x00AD),  # soft hyphen
    (0x061C, 0x061C),  # Arabic letter mark
    (0x180E, 0x180E),  # Mongolian vowel separator
    (0x200B, 0x200F),  # zero-width space and joiners, left-to-right and right-to-left marks
    (0x2028, 0x202E),  # line and paragraph separators, bidirectional embeddings and overrides
    (0x2060, 0x206F),  # word joiner, invisible operators, bidirectional isolates
    (0xFEFF, 0xFEFF),  # byte order mark
    (0xFFF9, 0xFFFB),  # interlinear annotation
    (0xE0000, 0xE007F),  # tags: text inside text that nobody sees
)


def _escapes() -> dict[int, str]:
    table = {code: f"\\x{code:02x}" for code in (*range(0x20), 0x7F)}
    table.update({ord(character): escape for character, escape in _NAMED.items()})
    # Written \u0085, not \x85: \x80 to \xff are reserved for bytes that are not text.
    table.update({code: f"\\u{code:04x}" for code in range(0x80, 0xA0)})
    for first, last in _INVISIBLE:
        for code in range(first, last + 1):
            table[code] = f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    for code in range(0xD800, 0xE000):
        # os.fsdecode keeps an undecodable byte b as the lone surrogate U+DC00 + b.
        undecodable = 0xDC80 <= code <= 0xDCFF
        table[code] = f"\\x{code - 0xDC00:02x}" if undecodable else f"\\u{code:04x}"
    return table


_ESCAPES = _escapes()


def display_name(name: bytes | str) -> str:
    r"""Return the name with everything invisible or active spelled out.

    Undecodable bytes become ``\xNN``; control characters, newlines, terminal escapes, bidirectional
    controls, zero-width characters and line separators become visible escapes (``\n``, ``\x1b``,
    ``\u202e``). All else stays, letters of every script included. The result has one line and can
    be encoded as UTF-8. Markup is not touched: the page escapes it, as every other text.

    Parameters
    ----------
    name : bytes or str
        A path as `os.listdir` gives it, in either of its two forms.
    """
    if isinstance(name, bytes):
        name = name.decode("utf-8", "surrogateescape")
    return name.translate(_ESCAPES)
