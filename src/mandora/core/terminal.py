"""Text for terminals: without control characters, and in characters that the terminal has.

Anybody can write file names, patients' names and cells of tables. A terminal obeys escape
sequences in them, and characters that change the direction of text change the order of words.
"""

from __future__ import annotations

import codecs
import sys
import unicodedata

_SHOWN = {"\n", "\t"}
# controls, marks of direction, lone surrogates, line and paragraph separators
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_ALIKE = str.maketrans({
    "\N{EN DASH}": "-", "\N{EM DASH}": "-", "\N{MINUS SIGN}": "-", "\N{MULTIPLICATION SIGN}": "x",
    "\N{MIDDLE DOT}": ".", "\N{LEFT SINGLE QUOTATION MARK}": "'",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'", "\N{NO-BREAK SPACE}": " ",
})  # fmt: skip
_HANDLER = "mandora.readable"


def printable(text: str, *, one_line: bool = False) -> str:
    r"""Text whose control characters are shown as ``\x1b``, ``\u202e`` and so on.

    Args:
        text: from anywhere.
        one_line: show line ends and tabs so as well; for names.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        c if (c in _SHOWN and not one_line) or not _is_control(c) else _escaped(c) for c in text
    )


def write_line(text: str, *, err: bool = False) -> None:
    """Write a line of printable text to standard output or error.

    Not with click: it writes UTF-8 to a stream whose encoding is ASCII.
    """
    stream = sys.stderr if err else sys.stdout
    stream.write(f"{printable(text)}\n")
    stream.flush()


def replace_unencodable() -> None:
    """Let standard output and error replace characters that their encoding lacks."""
    codecs.register_error(_HANDLER, _readable)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors=_HANDLER)


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in _HIDDEN


def _escaped(character: str) -> str:
    return f"\\x{ord(character):02x}" if character < "\x7f" else _json(character)


def _readable(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end].translate(_ALIKE)
    # as JSON writes them, so that JSON stays JSON
    return "".join(c if c.isascii() else _json(c) for c in lacking), error.end


def _json(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
