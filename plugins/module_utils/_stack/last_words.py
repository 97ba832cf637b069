# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container's log says of why it is not well, without any secret. Private to this collection.

Programs print more than that: FileBrowser, for some mistakes, three lines of its configuration on each side, with
password and key among them. So the message is looked for and the rest is left in the log; and what is known to be
secret is made unreadable in what was found.

All is a function of lines and texts that are read already.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from urllib.parse import quote

MASK = "(secret)"
_WIDTH = 300  # characters of a message that are shown
_SHINGLE = 8  # characters of a secret in a row that are too many
_LEAST = 4  # a secret of fewer would mask half of all texts
# Programs that print a text put it in quotes, escape it, or break it over lines.
_QUOTING = frozenset("\\\"' \t\r\n")

_HARMLESS, _SAID, _WRONG, _FATAL = range(4)
_LEVELS = {
    "fatal": _FATAL, "panic": _FATAL, "ftl": _FATAL, "critical": _FATAL,
    "error": _WRONG, "err": _WRONG,
    "warning": _HARMLESS, "warn": _HARMLESS, "wrn": _HARMLESS, "info": _HARMLESS, "inf": _HARMLESS,
    "debug": _HARMLESS, "dbg": _HARMLESS, "trace": _HARMLESS, "trc": _HARMLESS,
}  # fmt: skip
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_TIME = re.compile(r"(time=)?[\"\[]?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d[.,\d]*(Z|[+-]\d\d:?\d\d)?[\"\]]?\s*")
_NAMES = "|".join(_LEVELS)
# A bare one in capitals only: "error reading the file" is a text.
_LEVEL = re.compile(rf"(?:level=((?i:{_NAMES}))\b|\[((?i:{_NAMES}))\s*\]:?|((?i:{_NAMES})):|({_NAMES.upper()})\s)\s*")
# As FileBrowser's YAML parser shows a file, and the mark below the line in question.
_EXCERPT = re.compile(r"\s*>?\s*\d+ \||\s*\^+\s*$")
_SOUNDS_WRONG = re.compile(
    r"error|fatal|fail|panic|invalid|not valid|incorrect|unknown|denied|refused|required|no such|cannot|can't|could not"
    r"|unable|exception",
    re.IGNORECASE,
)


class Secrets(NamedTuple):
    """Texts of which no part may be seen, and lines that may not be seen as a whole."""

    texts: list[str]
    lines: list[str]


class _Message(NamedTuple):
    weight: int
    text: str


def secrets(contents: Iterable[str]) -> Secrets:
    """What is secret of the contents of secret files.

    A file of one line is a secret. A longer one has secrets and other words in it, such as a configuration into which
    those were put; what looks like a key there is one.
    """
    texts, lines = set(), set()
    for content in contents:
        found = [line.strip() for line in content.splitlines() if line.strip()]
        if len(found) == 1:
            texts.add(found[0])
        else:
            lines |= {line for line in found if len(line) >= _SHINGLE}
            texts |= {word for word in re.findall(r"[A-Za-z0-9+/_=-]{40,}", content) if re.search(r"\d", word)}
    return Secrets(sorted(texts), sorted(lines, key=len, reverse=True))


def cause(lines: list[str], known: Secrets) -> str:
    """What the last lines of a log say of why their program is not well, in one line; "" for an empty log."""
    said = list(_messages(lines))
    fatal = [message.text for message in said if message.weight == _FATAL]
    wrong = [message.text for message in said if message.weight == _WRONG]
    other = [message.text for message in said if message.weight == _SAID]
    chosen = fatal[-1:] or wrong[-2:] or other[-2:] or [message.text for message in said[-1:]]
    # A program that is started again and again says the same.
    return " | ".join(mask(text, known)[:_WIDTH] for text in dict.fromkeys(chosen))


def _messages(lines: list[str]) -> Iterator[_Message]:
    """The messages of a log, without what is shown of a file below one."""
    in_excerpt = False
    for line in lines:
        plain = _COLOUR.sub("", line)
        if _EXCERPT.match(plain):
            in_excerpt = True
            continue
        message, begins = _message(plain)
        in_excerpt = in_excerpt and not begins
        if message.text and not in_excerpt:
            yield message


def _message(line: str) -> tuple[_Message, bool]:
    """A line's message, and whether it begins one: a line that does not may be an excerpt's, too."""
    if line.startswith("{"):
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if isinstance(entry, dict):
            words = [str(entry[key]) for key in ("message", "msg", "error") if entry.get(key)]
            return _Message(_LEVELS.get(str(entry.get("level", "")).lower(), _SAID), _one_line(": ".join(words))), True
    rest = _TIME.sub("", line, count=1) if _TIME.match(line) else line
    level = _LEVEL.match(rest)
    text = _one_line(rest[level.end() :] if level else rest)
    unmarked = _WRONG if _SOUNDS_WRONG.search(text) else _SAID
    weight = _LEVELS[level[level.lastindex or 0].lower()] if level else unmarked
    return _Message(weight, text), bool(level) or rest is not line


def _one_line(text: str) -> str:
    """Up to the first line that is an excerpt's."""
    kept = []
    for line in text.splitlines():
        if _EXCERPT.match(line):
            break
        kept.append(line)
    return " ".join("".join(char if char.isprintable() else " " for char in " ".join(kept)).split())


def mask(text: str, known: Secrets) -> str:
    """The text with secrets made unreadable, also the greater part of one, quoted, escaped, or broken over lines."""
    for line in known.lines:
        text = text.replace(line, MASK)
    places = [place for place, char in enumerate(text) if char not in _QUOTING]
    shown = plain(text)
    hidden: set[int] = set()
    for secret in known.texts:
        for form in (secret, json.dumps(secret), quote(secret, safe="")):
            hidden |= _found(plain(form), shown, places)
    kept, was_hidden = [], False
    for place, char in enumerate(text):
        if place not in hidden:
            kept.append(char)
        elif not was_hidden:
            kept.append(MASK)
        was_hidden = place in hidden
    return "".join(kept)


def plain(text: str) -> str:
    """A text without what quoting adds, escapes and breaks it with."""
    return "".join(char for char in text if char not in _QUOTING)


def _found(secret: str, shown: str, places: list[int]) -> set[int]:
    """Where parts of a secret are, as places of the text that shown was made of."""
    if len(secret) < _LEAST:
        return set()
    size = min(_SHINGLE, len(secret))
    parts = {secret[start : start + size] for start in range(len(secret) - size + 1)}
    return {
        place
        for start in range(len(shown) - size + 1)
        if shown[start : start + size] in parts
        for place in range(places[start], places[start + size - 1] + 1)
    }
