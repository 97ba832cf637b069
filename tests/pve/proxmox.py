"""What the doubles of 'pct' and of Proxmox's API have in common: a cluster of files, and Proxmox's rules for names.

Texts, statuses and the order of the checks are those recorded of Proxmox's own code (pve-container 6.1.10).
The cluster lies in a folder: pve/ as /etc/pve, bin/ with the programs, rootfs/ID of each guest, calls (a line for each
command or request), and switches: broken ("ipcc" or "quorum"), down (names of nodes that do not answer), slow (seconds
before a write by the API is answered).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

_NAME = r"([a-zA-Z0-9]([a-zA-Z0-9\-]*[a-zA-Z0-9])?)"
_SECTION = re.compile(r"^\[([a-z][a-z0-9_-]+|pve:pending)\]\s*$", re.IGNORECASE)
_LONGEST_UTS_NAME = 64
_LIFETIME = 7200  # seconds after which a guest's processes end by themselves, whatever became of the tests

_INIT = """set -e
hostname "$2"
for folder in usr etc tmp; do mkdir -p "$1/$folder"; done
for folder in bin sbin lib lib64; do [ -L "$1/$folder" ] || ln -s "usr/$folder" "$1/$folder"; done
mount --bind /usr "$1/usr"
exec chroot "$1" /usr/bin/sleep "$3"
"""


class Die(Exception):
    """Proxmox's 'die': the text, and the exit status, which is whatever errno Perl had left."""

    def __init__(self, text: str, code: int = 255, status: int = 500, errors: dict[str, str] | None = None) -> None:
        super().__init__(text)
        self.text, self.code, self.status, self.errors = text, code, status, errors


class Cluster:
    """The cluster in a folder."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.pve = self.folder / "pve"

    def make(self, nodes: tuple[str, ...] = ("pve1", "pve2")) -> Cluster:
        """An empty one; this machine is its first node."""
        for node in nodes:
            (self.pve / "nodes" / node / "lxc").mkdir(parents=True)
            (self.pve / "nodes" / node / "qemu-server").mkdir()
        (self.pve / "local").symlink_to(f"nodes/{nodes[0]}")
        (self.pve / "lxc").symlink_to("local/lxc")
        self._install()
        self.calls.touch()
        self.publish()
        return self

    def seen_from(self, node: str) -> Path:
        """A folder in which another node is the local one, with the same guests."""
        other = Cluster(self.folder / f"from-{node}")
        if not other.pve.exists():
            other.pve.mkdir(parents=True)
            for name in ("nodes", ".vmlist"):
                (other.pve / name).symlink_to(self.pve / name)
            (other.pve / "local").symlink_to(f"nodes/{node}")
            other._install()
            other.calls.symlink_to(self.calls)
        return other.folder

    def _install(self) -> None:
        (self.folder / "bin").mkdir()
        for name in ("pct", "lxc-info"):
            (self.folder / "bin" / name).symlink_to(Path(__file__).resolve().parent / name)
        # Modules that run with it find the doubles, and nothing else of this machine does.
        python = self.folder / "bin/python"
        python.write_text(f'#!/bin/sh\nPATH="{self.folder}/bin:$PATH" exec "{sys.executable}" "$@"\n')
        python.chmod(0o755)

    @property
    def calls(self) -> Path:
        return self.folder / "calls"

    def called(self, line: str) -> None:
        with self.calls.open("a") as stream:
            stream.write(line + "\n")

    def switch(self, name: str) -> str:
        path = self.folder / name
        return path.read_text().strip() if path.exists() else ""

    def add(self, vmid: int, text: str, node: str = "pve1", kind: str = "lxc") -> None:
        """A guest by the text of its configuration. publish() then tells the cluster."""
        folder = "lxc" if kind == "lxc" else "qemu-server"
        (self.pve / "nodes" / node / folder / f"{vmid}.conf").write_text(text)

    def publish(self) -> None:
        """What pmxcfs keeps in .vmlist."""
        ids = {}
        for path in sorted(self.pve.glob("nodes/*/*/*.conf")):
            kind = "lxc" if path.parent.name == "lxc" else "qemu"
            ids[path.stem] = {"node": path.parent.parent.name, "type": kind, "version": 1}
        (self.pve / ".vmlist").write_text(json.dumps({"version": 2, "ids": ids}))

    @property
    def local(self) -> str:
        return os.path.basename(os.readlink(self.pve / "local"))

    def guests(self) -> dict[int, tuple[str, str]]:
        """Node and kind by id."""
        ids = json.loads((self.pve / ".vmlist").read_text())["ids"]
        return {int(vmid): (entry["node"], entry["type"]) for vmid, entry in ids.items()}

    def path(self, vmid: int, node: str) -> Path:
        path = self.pve / "nodes" / node / "lxc" / f"{vmid}.conf"
        if not path.exists():
            raise Die(f"Configuration file 'nodes/{node}/lxc/{vmid}.conf' does not exist", 2)
        return path

    def config(self, vmid: int, node: str) -> dict[str, str]:
        """The top section. A key's last line counts."""
        return parse(self.path(vmid, node).read_bytes().decode(errors="replace"))

    def digest(self, vmid: int, node: str) -> str:
        return hashlib.sha1(self.path(vmid, node).read_bytes()).hexdigest()

    def name(self, vmid: int, node: str) -> str:
        """As the lists show it."""
        return self.config(vmid, node).get("hostname", f"CT{vmid}")

    def update(self, vmid: int, node: str, changes: dict[str, str], digest: str = "", delete: str = "") -> list[str]:
        """'pct set' and PUT config. Returns what is to be written on stderr; raises Die."""
        if self.switch("broken") == "ipcc":
            raise Die("Unable to load access control list: Connection refused", 111)
        hostname = changes.get("hostname")
        if hostname is not None:
            verify_name(hostname)
        if not changes and not delete:
            raise Die("no options specified", 2)
        path = self.path(vmid, node)
        self._lock(vmid)
        told = []
        try:
            text = path.read_bytes().decode(errors="replace")
            config = parse(text)
            if "lock" in config:
                raise Die(f"CT is locked ({config['lock']})")
            if digest and digest != hashlib.sha1(path.read_bytes()).hexdigest():
                raise Die("detected modified configuration - file changed by other user? Try again.")
            if delete and delete not in config:
                told.append(f"cannot delete '{delete}' - not set in current configuration!")
            if hostname is not None and hostname.endswith("\n"):
                raise Die("detected invalid newline inside property 'hostname'")
            if self.switch("broken") == "quorum":
                raise Die(
                    f"unable to open file '/etc/pve/nodes/{node}/lxc/{vmid}.conf.tmp.8225' - Permission denied", 2
                )
            new, dropped = rewrite(text, changes, delete)
            told += [f"vm {vmid} - unable to parse config: {line}" for line in dropped]
            # Also when nothing differs: the file is another one then, with the same content.
            temporary = path.with_name(f"{path.name}.tmp.{os.getpid()}")
            temporary.write_text(new)
            temporary.rename(path)
            if found := re.search(r"bridge=(gone\w*)", config.get("net0", "")):
                raise Die(f"bridge '{found[1]}' does not exist", 2)
            return told
        finally:
            os.close(self._held)

    def _lock(self, vmid: int) -> None:
        folder = self.folder / "lock"
        folder.mkdir(exist_ok=True)
        path = folder / f"pve-config-{vmid}.lock"
        self._held = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
        until = time.monotonic() + 10
        waited = False
        while True:
            try:
                fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if waited:
                    print(" OK", file=sys.stderr, flush=True)
                return
            except BlockingIOError:
                if not waited:
                    print("trying to acquire lock...", file=sys.stderr, flush=True)
                waited = True
            if time.monotonic() > until:
                os.close(self._held)
                real = f"/run/lock/lxc/pve-config-{vmid}.lock"
                raise Die(f"can't lock file '{real}' - got timeout", 4)
            time.sleep(0.1)

    def rootfs(self, vmid: int) -> Path:
        return self.folder / "rootfs" / str(vmid)

    def running(self, vmid: int) -> bool:
        """As Proxmox finds it."""
        return f"@/var/lib/lxc/{vmid}/command\n" in Path("/proc/net/unix").read_text()

    def pid(self, vmid: int) -> int | None:
        path = self.folder / "pids" / str(vmid)
        return int(path.read_text()) if path.exists() and self.running(vmid) else None

    def start(self, vmid: int) -> None:
        """A process in UTS and mount namespaces of its own, and a monitor that listens where LXC's does."""
        if self.running(vmid):
            raise Die(f"CT {vmid} already running")
        config = self.config(vmid, self.local)
        if "lock" in config:
            raise Die(f"CT is locked ({config['lock']})")
        name = config.get("hostname", f"CT{vmid}")
        root = self.rootfs(vmid)
        (root / "etc").mkdir(parents=True, exist_ok=True)
        if not (root / "etc/.pve-ignore.hostname").exists():
            (root / "etc/hostname").write_text(name.partition(".")[0] + "\n")
        if len(name) > _LONGEST_UTS_NAME:
            raise Die(f'Failed to parse config file "/var/lib/lxc/{vmid}/config" at line "lxc.uts.name = {name}"')
        (self.folder / "pids").mkdir(exist_ok=True)
        if os.fork():
            until = time.monotonic() + 120
            while not self.pid(vmid) or _uts_name(self.pid(vmid)) != name:
                if time.monotonic() > until:
                    raise Die("startup for container failed")
                time.sleep(0.01)
            return
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        monitor = socket.socket(socket.AF_UNIX)
        monitor.bind(f"\0/var/lib/lxc/{vmid}/command")
        monitor.listen()
        init = ["unshare", "--uts", "--mount", "sh", "-c", _INIT, "sh", str(root), name, str(_LIFETIME)]
        guest = subprocess.Popen(init)
        # Not there half written for whoever looks meanwhile.
        (self.folder / "pids" / f".{vmid}").write_text(str(guest.pid))
        (self.folder / "pids" / f".{vmid}").rename(self.folder / "pids" / str(vmid))
        # Nobody is left to stop it when its cluster was cleared away.
        while guest.poll() is None:
            if not root.exists():
                guest.kill()
            time.sleep(0.05)
        os._exit(0)

    def stop(self, vmid: int) -> None:
        """End its process; the monitor follows."""
        pid = self.pid(vmid)
        if pid:
            os.kill(pid, signal.SIGKILL)
            while self.running(vmid):
                time.sleep(0.01)

    def reboot(self, vmid: int) -> None:
        if not self.running(vmid):
            raise Die(f"VM {vmid} not running")
        self.stop(vmid)
        self.start(vmid)

    def stop_all(self) -> None:
        for vmid, (node, kind) in self.guests().items():
            if node == self.local and kind == "lxc":
                self.stop(vmid)


def _uts_name(pid: int | None) -> str:
    done = subprocess.run(["nsenter", "-t", str(pid), "-u", "hostname"], capture_output=True, text=True)
    return done.stdout.strip()


def verify_name(name: str) -> None:
    """Proxmox's format 'dns-name'. Its '$' lets one newline at the end through."""
    errors = {}
    if len(name) > 255:
        errors["hostname"] = "value may only be 255 characters long"
    elif not re.match(rf"^({_NAME}\.)*{_NAME}$", name):
        errors["hostname"] = "invalid format - value does not look like a valid DNS name"
    if errors:
        raise Die("Parameter verification failed.", 2, 400, errors)


def top(text: str) -> tuple[list[str], list[str]]:
    """The lines of the top section, and the rest."""
    lines = text.split("\n")
    end = next((number for number, line in enumerate(lines) if _SECTION.match(line)), len(lines))
    return lines[:end], lines[end:]


def parse(text: str) -> dict[str, str]:
    found = {}
    for line in top(text)[0]:
        if match := re.match(r"^([a-z][a-z_]*\d*):\s*(.+?)\s*$", line):
            found[match[1]] = match[2]
    return found


def rewrite(text: str, changes: dict[str, str], delete: str) -> tuple[str, list[str]]:
    """The file with changes in its top section, and the lines that were dropped since they are none of Proxmox's."""
    head, rest = top(text)
    comments = [line.rstrip("\r") for line in head if line.startswith("#")]
    dropped = [
        line
        for line in head
        if line.strip() and not line.startswith("#") and not re.match(r"^[a-z][\w.-]*:\s*\S", line)
    ]
    options = parse("\n".join(head)) | changes
    options.pop(delete, None)
    raw = [line.rstrip("\r") for line in head if re.match(r"^lxc\.", line)]
    lines = comments + [f"{key}: {options[key]}" for key in sorted(options)] + raw
    return "\n".join([*lines, "", *rest]), dropped
