"""Guests: real unprivileged LXC containers, as Proxmox makes of unprivileged=1 with nesting=1 and keyctl=1."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import time

from . import rootfs
from .process import becomes, run, succeeds
from .settings import BRIDGE, EDGE_SECRETS, FAULTS, FIRST_ID, GATEWAY, GUESTS, HOME, KEYS, NETWORK, fail, say

BOOT_TIMEOUT = 600  # seconds; a guest that converges itself does it at its start
STOP_TIMEOUT = 300  # seconds; containers that ignore SIGTERM take 10 each

CONFIG = """\
lxc.include = /usr/share/lxc/config/common.conf
lxc.include = /usr/share/lxc/config/userns.conf
lxc.include = /usr/share/lxc/config/nesting.conf
lxc.arch = amd64
lxc.idmap = u 0 {first} 65536
lxc.idmap = g 0 {first} 65536
lxc.mount.auto = sys:mixed
lxc.apparmor.profile = unconfined
lxc.rootfs.path = dir:{root}
lxc.uts.name = {name}
lxc.net.0.type = veth
lxc.net.0.link = {bridge}
lxc.net.0.flags = up
lxc.net.0.name = eth0
lxc.net.0.ipv4.address = {address}/{prefix}
lxc.net.0.ipv4.gateway = {gateway}
lxc.mount.entry = {docker} var/lib/docker none bind 0 0
"""

# lxc-start sees a cgroup tree of version 2 only and maps of its own, all in a mount namespace that ends with it. The
# host's own mounts and files stay as they are.
PRIVATELY = """
if [ -d /sys/fs/cgroup/unified ]; then mount --bind /sys/fs/cgroup/unified /sys/fs/cgroup; fi
for file in subuid subgid; do [ -e /etc/$file ] || : > /etc/$file; mount --bind "$0" /etc/$file; done
exec "$@"
"""

ENVIRONMENT = ["--clear-env", "--set-var", "HOME=/root", "--set-var", "LANG=C.UTF-8", "--set-var"]
ENVIRONMENT += ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]


class Guest:
    """One guest, whether it exists or not."""

    def __init__(self, name: str) -> None:
        # The name is a host name and a folder.
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", name):
            fail(f"guest {name!r}: expected a name of lower-case letters, digits and dashes")
        self.name = name
        self.folder = GUESTS / name
        self.root = self.folder / "rootfs"

    @property
    def exists(self) -> bool:
        return (self.folder / "config").exists()

    @property
    def is_running(self) -> bool:
        # It may go while this looks at it.
        asked = ["lxc-info", "-P", GUESTS, "-n", self.name, "-s"]
        return self.exists and "RUNNING" in subprocess.run(asked, capture_output=True, text=True).stdout

    @property
    def address(self) -> str:
        return (self.folder / "address").read_text()

    @property
    def layers(self) -> int:
        """How many filesystems it lies over."""
        lower = self.folder / "lower"
        return lower.read_text().count(":") + 1 if lower.exists() else 0

    @property
    def ssh_options(self) -> list[str]:
        """For whoever speaks to it by ssh: nothing is to be remembered of guests, which come and go with their keys."""
        options = ["UserKnownHostsFile=/dev/null", "StrictHostKeyChecking=no", "LogLevel=ERROR"]
        # A connection for each command would cost a quarter of a second of CPU. A socket's path has to be short.
        options += [f"ControlPath=/run/felhom-bed-{BRIDGE}-%h"]
        return [word for option in options for word in ("-o", option)]

    def hang_up(self) -> None:
        """End the connection that is kept; one to a guest that is gone answers nobody."""
        if (self.folder / "address").exists():
            succeeds("ssh", *self.ssh_options, "-O", "exit", self.address)

    def reserve(self) -> None:
        """Have a folder, and an address on the bridge that no guest had for long. Needs the bed's lock."""
        # Who had it lately is remembered, by ssh's open connections for a minute: "Data could not be sent to remote
        # host", "Connection timed out".
        last = HOME / "last-address"
        addresses = [str(address) for address in NETWORK.hosts()][10:]
        known = last.read_text() if last.exists() else ""
        begin = addresses.index(known) + 1 if known in addresses else 0
        taken = {path.read_text() for path in GUESTS.glob("*/address")}
        address = next(address for address in addresses[begin:] + addresses[:begin] if address not in taken)
        last.write_text(address)
        self.folder.mkdir(parents=True)
        (self.folder / "address").write_text(address)

    def create(self, source: Guest | None = None, online: bool = True) -> None:
        """Make a reserved guest: an overlay over the root filesystem, or a stopped guest's, and an engine folder."""
        for name in ("upper", "work", "docker", "rootfs"):
            (self.folder / name).mkdir()
            os.chown(self.folder / name, FIRST_ID, FIRST_ID)
        lower = str(rootfs.path())
        if source is not None:
            lower = f"{source.folder}/upper:{(source.folder / 'lower').read_text()}"
            run("cp", "-a", f"{source.folder}/docker/.", self.folder / "docker")
            # The engine's own name; two guests with one would be taken for each other.
            (self.folder / "docker/engine-id").unlink(missing_ok=True)
        (self.folder / "lower").write_text(lower)
        self._mount()
        self._identify()
        self.set_online(online)
        (self.folder / "map").write_text(f"root:{FIRST_ID}:65536\n")
        (self.folder / "config").write_text(
            CONFIG.format(
                first=FIRST_ID,
                root=self.root,
                name=self.name,
                bridge=BRIDGE,
                address=self.address,
                prefix=NETWORK.prefixlen,
                gateway=GATEWAY,
                docker=self.folder / "docker",
            )
        )

    def _mount(self) -> None:
        if os.path.ismount(self.root):
            return
        layers = (
            f"lowerdir={(self.folder / 'lower').read_text()},upperdir={self.folder}/upper,workdir={self.folder}/work"
        )
        run("mount", "-t", "overlay", "overlay", "-o", layers, self.root)
        (self.root / "var/lib/docker").mkdir(exist_ok=True)

    def set_online(self, online: bool) -> None:
        """Whether names and so the registry are in reach."""
        # Where nothing is in reach this refuses at once: a name server that hangs costs the engine 10 s a pull.
        server = GATEWAY if online else "127.0.0.1"
        target = self.root / "etc/resolv.conf"
        target.write_text(f"nameserver {server}\noptions timeout:10 attempts:2\n")
        os.chown(target, FIRST_ID, FIRST_ID)

    def _identify(self) -> None:
        """What pct writes into a guest, and the bed's keys."""
        written = {
            "etc/hostname": f"{self.name}\n",
            "etc/hosts": f"127.0.0.1 localhost\n127.0.1.1 {self.name}\n",
            "etc/machine-id": "",
            "root/.ssh/authorized_keys": (KEYS / "ssh.pub").read_text(),
        }
        for path, text in written.items():
            target = self.root / path
            target.parent.mkdir(mode=0o700, exist_ok=True)
            target.write_text(text)
            for made in (target, target.parent) if path.startswith("root/") else (target,):
                os.chown(made, FIRST_ID, FIRST_ID)
        bundle = self.root / "etc/ssl/certs/ca-certificates.crt"
        authority = (KEYS / "ca.crt").read_text()
        if authority not in bundle.read_text():
            with open(bundle, "a") as stream:
                stream.write(authority)

    def start(self) -> None:
        self._mount()
        started = subprocess.run(
            ["unshare", "-m", "--propagation", "private", "bash", "-c", PRIVATELY, self.folder / "map"]
            + ["lxc-start", "-P", GUESTS, "-n", self.name, "-d", "-l", "WARN", "-o", self.folder / "log"]
        )
        if started.returncode:
            fail(f"guest {self.name} did not start; see {self.folder}/log")

    def wait(self) -> None:
        """Until systemd, the engine and sshd are up."""
        end = time.monotonic() + BOOT_TIMEOUT
        shown = time.monotonic()
        ready = "docker info >/dev/null 2>&1 && systemctl is-active --quiet ssh && systemctl is-system-running"
        while time.monotonic() < end:
            state = self.shell("sh", "-c", ready, capture_output=True, text=True).stdout.strip()
            if state == "running":
                return
            if state == "degraded":
                failed = self.shell("systemctl", "--failed", "--plain", "--no-legend", capture_output=True, text=True)
                fail(f"guest {self.name}: units failed: {failed.stdout.strip()}")
            if time.monotonic() - shown > 4:
                shown = time.monotonic()
                say(f"... guest {self.name} boots")
            time.sleep(0.2)
        fail(f"guest {self.name} was not up after {BOOT_TIMEOUT} s; see 'bed logs {self.name}'")

    def shell(self, *command: str, **options) -> subprocess.CompletedProcess:
        """Run a command in the guest."""
        attach = ["lxc-attach", "-P", str(GUESTS), "-n", self.name, *ENVIRONMENT, "--"]
        return subprocess.run([*attach, *command], **options)

    def stop(self) -> None:
        self.hang_up()
        if self.is_running:
            run("lxc-stop", "-P", GUESTS, "-n", self.name, "-t", STOP_TIMEOUT)

    def destroy(self) -> None:
        """Whatever there is of it."""
        self.hang_up()
        if self.exists and self.is_running:
            # Nothing in it is kept, so it need not go down in order.
            succeeds("lxc-stop", "-P", GUESTS, "-n", self.name, "-k")
        if not becomes(lambda: not os.path.ismount(self.root) or succeeds("umount", self.root)):
            fail(f"{self.root} can't be unmounted: something still uses it")
        if self.folder.exists():
            shutil.rmtree(self.folder)

    def set_faults(self, faults: list[str]) -> None:
        """What it suffers from the registry from now on."""
        told = FAULTS / self.address
        if faults:
            told.with_name(self.name).write_text(" ".join(faults))
            told.with_name(self.name).rename(told)
        else:
            told.unlink(missing_ok=True)

    def set_tunnel_secret(self, secret: bytes | None) -> None:
        """The only one that the edge takes from here from now on; None for what it knows of the tunnel."""
        told = EDGE_SECRETS / self.address
        if secret is None:
            told.unlink(missing_ok=True)
        else:
            told.write_text(hashlib.sha256(secret).hexdigest())

    def logs(self) -> str:
        """What a failed test wants to know."""
        script = """
        echo "== failed units"; systemctl --failed --plain --no-legend
        echo "== containers"; docker ps --all
        for name in $(docker ps --all --format '{{.Names}}'); do
            echo "== log of $name"; docker logs --tail 40 "$name" 2>&1
        done
        echo "== journal"; journalctl --no-pager --lines 100
        """
        return self.shell("sh", "-c", script, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout


def all_guests() -> list[Guest]:
    """Every guest, also half-made ones."""
    return [Guest(path.name) for path in sorted(GUESTS.glob("*")) if path.is_dir()]
