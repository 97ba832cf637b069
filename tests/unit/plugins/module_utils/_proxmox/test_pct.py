"""What pct and the node's files say. The texts are those recorded of Proxmox's own code."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess

import fleet
import proxmox
import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._proxmox import pct as _pct, rename as _rename
from ansible_collections.felhom.base_infra.plugins.module_utils._proxmox.plan import (
    Container,
    Gone,
    Locked,
    Problem,
    Unusable,
)
from hypothesis import given, strategies as st

INVALID = (
    "400 Parameter verification failed.\n"
    "hostname: invalid format - value does not look like a valid DNS name\n\npct set <vmid> [OPTIONS]\n"
)
IPCC = "".join(f"ipcc_send_rec[{number}] failed: Connection refused\n" for number in (1, 2, 3))
LOCALE = (
    "perl: warning: Setting locale failed.\nperl: warning: Please check that your locale settings:\n"
    '\tLC_ALL = "hu_HU.UTF-8",\nCT is locked (backup)\n'
)


@pytest.mark.parametrize(
    "errors, kind, told",
    [
        ("CT is locked (backup)\n", Locked, "is locked (backup)"),
        ("CT is locked (snapshot-delete)\n", Locked, "is locked (snapshot-delete)"),
        (LOCALE, Locked, "is locked (backup)"),
        (
            "trying to acquire lock...\ncan't lock file '/run/lock/lxc/pve-config-101.lock' - got timeout\n",
            Locked,
            "is being worked on by another process, which holds its lock file",
        ),
        (
            "detected modified configuration - file changed by other user? Try again.\n",
            Locked,
            "is being edited by somebody else",
        ),
        ("Configuration file 'nodes/pve1/lxc/999.conf' does not exist\n", Gone, "is not on this node any more"),
        (
            INVALID,
            Problem,
            "400 Parameter verification failed.; hostname: invalid format - value does not look like a valid DNS name",
        ),
        ("bridge 'vmbr0' does not exist\n", Problem, "bridge 'vmbr0' does not exist"),
        (
            IPCC + "Unable to load access control list: Connection refused\n",
            Unusable,
            "the node's cluster file system can't be used: ",
        ),
        (
            "unable to open file '/etc/pve/nodes/pve1/lxc/101.conf.tmp.8225' - Permission denied\n",
            Unusable,
            "the cluster's files can't be written: ",
        ),
        ("", Problem, "pct said nothing"),
    ],
)
def test_what_an_error_means(errors, kind, told):
    error = _pct.error_of_output(errors)
    assert type(error) is kind
    assert str(error).startswith(told) and "\n" not in str(error)


@pytest.mark.parametrize(
    "text, name, lock",
    [
        ("arch: amd64\nhostname: acme\nlock: backup\n", "acme", "backup"),
        ("hostname: one\nhostname: two\n", "two", ""),
        ("hostname:   Spaced-Name   \n", "Spaced-Name", ""),
        ("hostname: crlf\r\nlock: mounted\r\n", "crlf", "mounted"),
        ("#hostname: described\nhostname: acme\n", "acme", ""),
        ("description: x%0Ahostname: no\nmemory: 1\n", "CT101", ""),
        ("memory: 1\n[pve:pending]\nhostname: pending\n", "CT101", ""),
        ("hostname: now\n\n[before-Upgrade]\nhostname: then\nlock: backup\n", "now", ""),
        ("#\u2028hostname: no\nhostname: a_b\n", "a_b", ""),
        ("", "CT101", ""),
    ],
)
def test_a_guests_file(text, name, lock):
    guest = _pct.parse_config(101, "pve1", text.encode(), running=False)
    assert (guest.name, guest.lock, guest.template) == (name, lock, False)
    assert guest.digest == hashlib.sha1(text.encode()).hexdigest()
    assert _pct.parse_config(101, "pve1", text.encode() + b"\xff", running=False).name


LINES = st.one_of(
    st.text(max_size=30),
    st.sampled_from(["hostname: acme", "lock: backup", "template: 1", "[pve:pending]", "[snap]", "", "#hostname: x"]),
)


@given(st.lists(LINES, max_size=6), st.sampled_from(["\n", "\r\n"]), st.binary(max_size=6))
def test_any_file_of_a_guest_s_is_read(lines, end, rest):
    guest = _pct.parse_config(101, "pve1", end.join(lines).encode("utf-8", "surrogatepass") + rest, running=True)
    assert guest.name and "\n" not in guest.name + guest.lock
    assert guest.name == guest.name.strip() and guest.lock == guest.lock.strip()


@given(LINES, LINES, LINES)
def test_what_follows_a_section_s_head_is_not_the_guest_s(line, one, other):
    text = "\n".join(["hostname: now", "[pve:pending]", line, one, other])
    guest = _pct.parse_config(101, "pve1", text.encode("utf-8", "surrogatepass"), running=False)
    assert (guest.name, guest.lock) == ("now", "")


SAID = st.one_of(
    st.text(max_size=40),
    st.text("CT is locked(backup)\n can't lock file'", max_size=60),
    st.sampled_from([INVALID, IPCC, LOCALE, "CT is locked (a\nb)", "CT is locked (", "\tperl", "pct set x\n"]),
)


@given(st.lists(SAID, max_size=3))
def test_any_error_is_one_line(said):
    error = _pct.error_of_output("\n".join(said))
    assert isinstance(error, (Problem, Unusable)) and str(error).strip() and len(str(error).splitlines()) == 1


# As lxc-info prints it: the number for a guest that runs, nothing for one that stops, an error for one that does not.
@pytest.mark.parametrize(
    "status, printed, pid",
    [
        (0, "24817\n", "24817"),
        (0, "", ""),
        (1, "", ""),
        (1, "24817\n", ""),
        (0, "-1\n", ""),
        (0, "24817 7\n", ""),
        (0, "../1\n", ""),
        (0, "²\n", ""),
    ],
)
def test_the_process_of_a_guest(tmp_path, status, printed, pid):
    (tmp_path / "local").symlink_to("nodes/pve1")
    asked = []

    def run(argv):
        asked.append(argv)
        return status, printed, ""

    client = _pct.PctClient(run, str(tmp_path))
    assert client._pid(Container(101, "pve1", running=True)) == pid
    assert asked == [["lxc-info", "-n", "101", "-p", "-H"]]


@given(st.text(max_size=20))
def test_whatever_lxc_info_prints_a_path_is_made_of_digits_only(printed):
    client = object.__new__(_pct.PctClient)
    client._run = lambda _argv: (0, printed, "")
    pid = client._pid(Container(101, "pve1", running=True))
    assert not pid or (pid.isascii() and pid.isdecimal())


@pytest.fixture
def cluster(tmp_path):
    made = proxmox.Cluster(tmp_path / "cluster").make()
    for vmid in (20101, 20102, 20103):
        made.add(vmid, fleet.conf(vmid))
    made.add(20201, fleet.conf(20201, "other"), node="pve2")
    made.add(20301, "name: vm\n", kind="qemu")
    made.publish()
    yield made
    made.stop_all()


@pytest.fixture
def client(cluster):
    def run(argv):
        program = cluster.folder / "bin" / argv[0]
        command = [str(program), *argv[1:]] if program.exists() else argv
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | _pct.ENVIRONMENT)
        return done.returncode, done.stdout, done.stderr

    return _pct.PctClient(run, str(cluster.pve))


def test_a_bulk_read_starts_no_process(cluster, client):
    guests = client.guests()
    assert sorted((guest.vmid, guest.node, guest.kind, guest.name) for guest in guests.values()) == [
        (20101, "pve1", "lxc", "felhom-golden"),
        (20102, "pve1", "lxc", "felhom-golden"),
        (20103, "pve1", "lxc", "felhom-golden"),
        (20201, "pve2", "lxc", "other"),
        (20301, "pve1", "qemu", ""),
    ]
    assert guests[20101].digest == cluster.digest(20101, "pve1")
    assert cluster.calls.read_text() == ""


def test_only_the_name_changes(cluster, client):
    before = cluster.path(20101, "pve1").read_text()
    _rename.rename_all(client, {20101: "acme"}, client.guests(), _rename.Patience(0))
    assert cluster.path(20101, "pve1").read_text() == before.replace("\nhostname: felhom-golden", "\nhostname: acme")


def test_an_edit_after_the_read_is_not_overwritten(cluster, client):
    read = client.fresh(client.guests()[20101])
    path = cluster.path(20101, "pve1")
    path.write_text(path.read_text().replace("memory: 2048", "memory: 4096"))
    with pytest.raises(Locked, match="is being edited by somebody else"):
        client.rename(read, "acme")
    assert "hostname: felhom-golden\nmemory: 4096" in path.read_text()
    # It is read again, and then written with the other change.
    outcome = _rename.rename_all(client, {20101: "acme"}, client.guests(), _rename.Patience(0))[20101]
    assert outcome.written and "hostname: acme\nmemory: 4096" in path.read_text()


def test_a_failed_command_that_has_written(cluster, client):
    path = cluster.path(20101, "pve1")
    path.write_text(path.read_text().replace("bridge=vmbr0", "bridge=gone0"))
    outcome = _rename.rename_all(client, {20101: "acme"}, client.guests(), _rename.Patience(0))[20101]
    assert outcome.written and outcome.problem == "was written, but: bridge 'gone0' does not exist"
    assert "\nhostname: acme" in path.read_text()


def test_a_broken_cluster_is_said_once(cluster, client):
    guests = client.guests()
    (cluster.folder / "broken").write_text("quorum")
    outcomes = _rename.rename_all(client, {20101: "a", 20102: "b"}, guests, _rename.Patience(60))
    assert {outcome.problem for outcome in outcomes.values()} == {
        "the cluster's files can't be written: unable to open file '/etc/pve/nodes/pve1/lxc/20101.conf.tmp.8225' - "
        "Permission denied; expected a cluster with quorum"
    }
    assert len(cluster.calls.read_text().splitlines()) == 1


def test_a_guest_that_was_moved_or_removed_meanwhile(cluster, client):
    guests = client.guests()
    cluster.path(20101, "pve1").rename(cluster.pve / "nodes/pve2/lxc/20101.conf")
    cluster.path(20102, "pve1").unlink()
    cluster.publish()
    outcomes = _rename.rename_all(client, {20101: "a", 20102: "b", 20103: "c"}, guests, _rename.Patience(0))
    assert outcomes[20101].problem == "was moved to node pve2 meanwhile"
    assert outcomes[20102].problem == "was removed meanwhile"
    assert outcomes[20103].written


def test_a_lock_file_that_is_held_for_a_moment(cluster, client):
    """pct waits for it, and says so on standard error with status 0."""
    (cluster.folder / "lock").mkdir()
    with open(cluster.folder / "lock/pve-config-20101.lock", "w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        writing = subprocess.Popen(
            [cluster.folder / "bin/pct", "set", "20101", "--hostname", "x"], stderr=subprocess.PIPE
        )
        assert writing.stderr.readline() == b"trying to acquire lock...\n"
    assert writing.communicate()[1] == b" OK\n" and writing.returncode == 0


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"ids": {"x": 1}}'])
def test_no_proxmox_node(tmp_path, content):
    (tmp_path / "local").symlink_to("nodes/pve1")
    if content is not None:
        (tmp_path / ".vmlist").write_text(content)
    with pytest.raises(Unusable, match=r"\.vmlist: .*; expected "):
        _pct.PctClient(None, str(tmp_path)).guests()
    with pytest.raises(Unusable, match="expected a Proxmox node"):
        _pct.PctClient(None, str(tmp_path / "other"))


def test_files_of_a_guest_never_lead_to_the_nodes(tmp_path):
    (tmp_path / "outside").write_text("the node's secret")
    root = tmp_path / "root"
    (root / "etc/real").mkdir(parents=True)
    (root / "etc/hostname").write_text("acme\n")
    (root / "etc/link").symlink_to("../../outside")
    (root / "etc/folder").symlink_to(tmp_path)
    os.mkfifo(root / "etc/fifo")
    (root / "etc/big").write_bytes(bytes(1 << 17))
    assert _pct.read_in_guest(str(root), "etc/hostname") == b"acme\n"
    for path in ("etc/link", "etc/folder/outside", "etc/fifo", "etc/big", "etc/real", "etc/none"):
        with pytest.raises(OSError):
            _pct.read_in_guest(str(root), path)
    assert _pct.exists_in_guest(str(root), "etc/hostname")
    assert not _pct.exists_in_guest(str(root), "etc/folder/outside")


def test_a_guest_that_runs_no_more_is_not_looked_into(client):
    assert client.inside(Container(20101, "pve1", "acme", running=True)) is None
