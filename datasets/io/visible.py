"""Text of a stranger (a label, a note, a message, a card) as a terminal or a page may show it."""

from __future__ import annotations

import re

__all__ = ["visible"]

# Controls (C0, delete, C1), marks that nobody sees or that turn the direction of what follows, line and paragraph
# separators, lone surrogates (no encoding can write them), and tags.
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
_HIDDEN_BUT_LINES = re.compile(_HIDDEN.pattern.replace("\x00-\x1f", "\x00-\x09\x0b-\x1f"))


def visible(text: str, *, lines: bool = False) -> str:
    r"""The text with every character that acts instead of being seen written as its escape: `\x1b`, `\n`,
    `\u202e`, `\ud800`.

    Args:
        text: any text.
        lines: keep line feeds, for text of several lines.
    """
    return (_HIDDEN_BUT_LINES if lines else _HIDDEN).sub(lambda match: ascii(match[0])[1:-1], text)
