# Copyright (c) 2026, The felhom.base_infra maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files on the guest: what is there, and how to put something else there in one step. Private to this collection."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from ansible_collections.felhom.base_infra.plugins.module_utils._guest import failpoints as _failpoints
from ansible_collections.felhom.base_infra.plugins.module_utils._guest.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hashlib import sha256
else:
    try:  # the C-level hash: importing hashlib costs the gate more than all its hashing
        from _sha2 import sha256
    except ImportError:  # Python before 3.12
        try:
            from _sha256 import sha256
        except ImportError:
            from hashlib import sha256

TEMPORARY = ".felhom-base-infra.tmp"


class NotStaged(OSError):
    """A file could not be written beside its place. No file was put into its place."""

    def __str__(self) -> str:
        return f"{self.filename}: {self.strerror}"


class FileState(NamedTuple):
    """What lies at a path: kind is file, directory, other (symlinks too) or absent.

    sha256 is None for what was not read; mode is an octal text such as "0644".
    """

    kind: str
    sha256: str | None
    mode: str
    uid: int
    gid: int


ABSENT = FileState("absent", None, "", -1, -1)


def digest(data: bytes) -> str:
    """SHA-256 in hex."""
    return sha256(data).hexdigest()


def read_state(path: str, with_content: bool = True) -> FileState:
    """What lies at a path, without following a link: a link there is as wrong as another content."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return ABSENT
    kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "directory"}
    kind = kinds.get(stat.S_IFMT(status.st_mode), "other")
    content = None
    if with_content and kind == "file":
        with open(path, "rb") as stream:
            content = digest(stream.read())
    return FileState(kind, content, f"{stat.S_IMODE(status.st_mode):04o}", status.st_uid, status.st_gid)


class Staging:
    """Several files put in their places together: all are on the disk, beside their places, before the first one moves.

    Used as a context. Whatever goes wrong while files are added, a full disk for instance, leaves everything as it was.
    """

    def __init__(self) -> None:
        self._staged: list[tuple[str, str]] = []

    def __enter__(self) -> Staging:
        return self

    def add(self, path: str, data: bytes, mode: str, uid: int, gid: int) -> None:
        """Write a file beside its place, with owner and mode from the start. Raises NotStaged."""
        temporary = temporary_of(path)
        self._staged.append((temporary, path))
        try:
            remove_if_there(temporary)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as stream:
                os.fchown(descriptor, uid, gid)
                os.fchmod(descriptor, int(mode, 8))
                stream.write(data)
                stream.flush()
                os.fsync(descriptor)
        except OSError as error:
            # A full disk names no file.
            raise NotStaged(error.errno, error.strerror, path) from error
        _failpoints.failpoint(f"{os.path.basename(path)}: staged")

    def __exit__(self, kind: object, _error: object, _trace: object) -> None:
        if kind is not None:
            for temporary, _path in self._staged:
                remove_if_there(temporary)
            return
        for temporary, path in self._staged:
            os.rename(temporary, path)
            _failpoints.failpoint(f"{os.path.basename(path)}: renamed")
        for folder in {os.path.dirname(path) for _temporary, path in self._staged}:
            sync(folder)


def temporary_of(path: str) -> str:
    """A name beside a path that no other process uses and that tells whose it is."""
    return os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.{os.getpid()}{TEMPORARY}")


def is_left_over(name: str) -> bool:
    """Whether a name is a temporary one whose process is gone."""
    owner = name.removesuffix(TEMPORARY).rpartition(".")[2]
    return name.endswith(TEMPORARY) and not (owner.isdecimal() and os.path.exists(f"/proc/{owner}"))


def write_atomic(path: str, data: bytes, mode: str, uid: int, gid: int) -> None:
    """Put data at path in one step, on disk before it is visible, with owner and mode from the start."""
    with Staging() as staging:
        staging.add(path, data, mode, uid, gid)


def make_directory(path: str, mode: str, uid: int, gid: int) -> None:
    """Make a directory, or give an existing one this owner and mode; what is in it is left alone."""
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            raise
    os.chown(path, uid, gid)
    os.chmod(path, int(mode, 8))


def set_attributes(path: str, mode: str, uid: int, gid: int) -> None:
    """Owner and mode of a file whose content stays."""
    os.chown(path, uid, gid, follow_symlinks=False)
    os.chmod(path, int(mode, 8))


def remove_if_there(path: str) -> None:
    """Remove a file that may be gone already."""
    with suppress(FileNotFoundError):
        os.unlink(path)


def sync(path: str) -> None:
    """Have a file's content, or a folder's names, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
