# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Strict reading of the JSON and YAML files that others put on a guest. Private to this collection.

Every message names the file and the place, and none quotes the file: parsers' own messages and snippets can hold a
password.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Hashable
from typing import Any

MAX_SIZE = 1 << 20  # bytes; the real files have a few thousand

try:
    import yaml
except ImportError:
    HAVE_YAML = False
else:
    HAVE_YAML = True


class DocumentError(Exception):
    """A file is not what it must be. The text is one line: file, place, what was found, what is expected."""


class _Place(Exception):
    """What is wrong at a place of a YAML file."""

    def __init__(self, mark: yaml.Mark, found: str, expected: str) -> None:
        super().__init__(found)
        self.mark, self.found, self.expected = mark, found, expected


if HAVE_YAML:
    # Not the faster CSafeLoader: a hundred thousand '[' end its process with a segmentation fault.
    class _StrictLoader(yaml.SafeLoader):
        """YAML in which no key may be given twice: the reader would drop the first one silently."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
            seen = set()
            for key_node, _value in node.value:
                key = self.construct_object(key_node, deep=True)
                if not isinstance(key, str):
                    raise _Place(key_node.start_mark, "a key that is no text", "keys that are texts")
                if key in seen:
                    raise _Place(key_node.start_mark, "a key for the second time", "each key once")
                seen.add(key)
            return super().construct_mapping(node, deep)


def read(path: str) -> bytes | None:
    """The first MAX_SIZE + 1 bytes of a file, None where there is none. Raises DocumentError for no regular file."""
    try:
        # Not blocking: a FIFO in the file's place would hold the run for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DocumentError(f"{path}: can't be opened: {error.strerror}; expected a readable file") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DocumentError(f"{path}: found no regular file; expected one")
    with os.fdopen(descriptor, "rb") as stream:
        return stream.read(MAX_SIZE + 1)


def decode(path: str, data: bytes) -> str:
    """The bytes of a configuration file as text. Raises DocumentError for too many, none, or no UTF-8."""
    if len(data) > MAX_SIZE:
        raise DocumentError(f"{path}: found more than {MAX_SIZE} bytes; expected a configuration file")
    if not data.strip():
        raise DocumentError(f"{path}: found an empty file; expected content, or no file at all")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DocumentError(f"{path}: line {line}: found a byte that is not UTF-8; expected UTF-8 text") from error


def parse_json(path: str, text: str) -> dict[str, Any]:
    """A JSON text as a mapping. Raises DocumentError."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _value in items]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise DocumentError(f"{path}: found {_name(twice[0])} twice in one object; expected each key once")
        return dict(items)

    try:
        document = json.loads(text, object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        raise DocumentError(
            f"{path}: line {error.lineno} column {error.colno}: not valid JSON; expected a whole JSON object"
        ) from error
    except (ValueError, RecursionError) as error:
        # "Exceeds the limit (4300 digits) for integer string conversion", or nested deeper than Python reads.
        raise DocumentError(f"{path}: found a value that no configuration has; expected a JSON object") from error
    return _mapping(path, document)


def parse_yaml(path: str, text: str) -> dict[str, Any]:
    """A YAML text of one document as a mapping. Raises DocumentError."""
    if not HAVE_YAML:
        raise DocumentError(f"{path}: can't be read without PyYAML; install python3-yaml on the guest")
    try:
        document = yaml.load(text, Loader=_StrictLoader)  # noqa: S506  a SafeLoader, made stricter
    except _Place as error:
        place = _at(error.mark)
        raise DocumentError(f"{path}: {place}: found {error.found}; expected {error.expected}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{_at(mark)}: " if mark else ""
        raise DocumentError(f"{path}: {place}not valid YAML; expected one YAML mapping") from error
    except yaml.YAMLError as error:
        raise DocumentError(f"{path}: found a character that YAML does not allow; expected YAML text") from error
    except (ValueError, TypeError, RecursionError, OverflowError, AttributeError, KeyError, IndexError) as error:
        # Constructors of dates, numbers and binary data raise whatever Python raises, for instance for 2026-99-99.
        raise DocumentError(f"{path}: found a value that can't be read; expected plain texts and lists") from error
    return _mapping(path, document)


def _at(mark: yaml.Mark) -> str:
    return f"line {mark.line + 1} column {mark.column + 1}"


def _mapping(path: str, document: object) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise DocumentError(f"{path}: found {kind(document)} at the top; expected a mapping")
    return document


def _name(key: str) -> str:
    """A key for a message; a strange one may be a value that slipped into a key's place."""
    plain = len(key) <= 64 and key.replace("_", "a").replace("-", "a").replace(".", "a").isalnum() and key.isascii()
    return f"key {key}" if plain else "a key"


def kind(value: object) -> str:
    """What a value is, without the value."""
    if isinstance(value, bool):
        return "true or false"
    names = {
        dict: "a mapping",
        list: "a list",
        str: "a text",
        int: "a number",
        float: "a number",
        type(None): "nothing",
    }
    # Ansible's own texts and lists, in a template, are of types of its own.
    return next((name for of, name in names.items() if isinstance(value, of)), f"a {type(value).__name__}")
