# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking through a whole golden image for what must not be in it. Private to this collection."""

from __future__ import annotations

import hashlib
import mmap
import os
import re
import stat
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import IO, Any, NamedTuple, cast

from ansible_collections.felhom.base_infra.plugins.module_utils._golden import secret_scan as _secret_scan

MOUNTS = "/proc/self/mountinfo"
# File systems that are no part of an image.
_VIRTUAL = {"proc", "sysfs", "cgroup", "cgroup2", "devpts", "devtmpfs", "tmpfs", "mqueue", "nsfs", "bpf", "tracefs"}
_VIRTUAL |= {"debugfs", "securityfs", "pstore", "configfs", "fusectl", "binfmt_misc", "hugetlbfs", "autofs", "ramfs"}
_COMPRESSED = 32 * 1024 * 1024  # bytes of a .gz file that are read


class Finding(NamedTuple):
    """Something that must not be there: where, what, and at which byte. Never the thing itself."""

    path: str
    kind: str
    offset: int

    def __str__(self) -> str:
        return f"{self.path}: {self.kind}" + (f" at byte {self.offset}" if self.offset >= 0 else "")


class Allowed(NamedTuple):
    """A finding that belongs there: path is a shell pattern, kind a finding's kind or *, reason a line for people."""

    path: str
    kind: str
    reason: str


@dataclass
class Tally:
    """How much was examined. packaged are files that are as their package has them."""

    files: int = 0
    bytes: int = 0
    packaged: int = 0
    unreadable: list[str] = field(default_factory=list)


def sort_out(findings: Iterable[Finding], allowed: list[Allowed]) -> tuple[list[Finding], list[dict[str, Any]]]:
    """Findings that nobody has allowed, and those that somebody has, with the reason."""
    wrong, permitted = [], []
    for finding in findings:
        reasons = [
            entry.reason
            for entry in allowed
            if fnmatchcase(finding.path, entry.path) and entry.kind in ("*", finding.kind)
        ]
        if reasons:
            permitted.append(finding._asdict() | {"reason": reasons[0]})
        else:
            wrong.append(finding)
    return wrong, permitted


def files(root: str, known: list[_secret_scan.Fingerprint], tally: Tally) -> Iterator[Finding]:
    """What is found in the files of an image, the layers of its containers' images among them.

    A file that is as its Debian package has it holds nothing of anybody's and is not looked through.
    """
    packaged = packaged_files(root)
    skipped = virtual_mounts()
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if os.path.join(folder, name) not in skipped)
        for name in sorted(names):
            path = os.path.join(folder, name)
            try:
                yield from _file(path, packaged.get(os.path.relpath(path, root)), known, tally)
            except FileNotFoundError:
                continue  # gone since the folder was listed
            except OSError as error:
                tally.unreadable.append(f"{path}: {error.strerror}")


def _file(path: str, md5: str | None, known: list[_secret_scan.Fingerprint], tally: Tally) -> Iterator[Finding]:
    status = os.lstat(path)
    if not stat.S_ISREG(status.st_mode) or not status.st_size:
        return
    tally.files += 1
    tally.bytes += status.st_size
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if md5 is not None and hashlib.md5(data, usedforsecurity=False).hexdigest() == md5:
            tally.packaged += 1
            return
        for kind, offset in _secret_scan.scan(data, known, os.path.basename(path)):
            yield Finding(path, kind, offset)
        if path.endswith(".gz"):
            for kind, offset in _secret_scan.scan(_secret_scan.unpacked(data[:_COMPRESSED]), known):
                yield Finding(f"{path} (unpacked)", kind, offset)


def packaged_files(root: str) -> dict[str, str]:
    """MD5 of every file that a Debian package brought, by path below the root."""
    folder = os.path.join(root, "var/lib/dpkg/info")
    known: dict[str, str] = {}
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        if not name.endswith(".md5sums"):
            continue
        with open(os.path.join(folder, name), encoding="utf-8", errors="surrogateescape") as stream:
            for line in stream:
                md5, _blanks, path = line.rstrip("\n").partition("  ")
                known[path] = md5
                # /bin, /lib and /sbin are links into /usr, and packages may still name either.
                known.setdefault(f"usr/{path}", md5)
    return known


def virtual_mounts() -> set[str]:
    """Where file systems are mounted that are no part of the image."""
    mounts = set()
    with open(MOUNTS, encoding="utf-8", errors="surrogateescape") as stream:
        for line in stream:
            fields, _dash, rest = line.partition(" - ")
            if rest.split(" ", 1)[0].partition(".")[0] in _VIRTUAL:
                # A blank, a tab, a line's end and a backslash are written as \040 and so on.
                path = fields.split(" ")[4]
                mounts.add(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), path))
    return mounts


def history(repository: str, known: list[_secret_scan.Fingerprint]) -> Iterator[Finding]:
    """What is found in any object of a Git repository: content, messages and names of all that ever was committed."""
    command = ["git", "-c", "safe.directory=*", "--git-dir", repository, "cat-file", "--batch-all-objects", "--batch"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as git:
        objects = cast(IO[bytes], git.stdout)  # a pipe was asked for
        while header := objects.readline():
            name, kind, *size = header.decode().split()
            if not size:
                # "NAME missing": it is broken, or not there.
                yield Finding(f"{repository}: object {name[:12]}", "can't be read", -1)
                continue
            data = objects.read(int(size[0]) + 1)
            for found in _secret_scan.scan(data, known):
                yield Finding(f"{repository}: {kind} {name[:12]}", found.kind, found.offset)
    if git.returncode:
        yield Finding(repository, "a history that can't be read", -1)
