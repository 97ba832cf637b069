"""What the API says, through the real proxmoxer and over real TLS, against the double with the recorded answers."""

from __future__ import annotations

import socket

import fleet
import proxmox
import pytest
import requests
from ansible_collections.felhom.base_infra.plugins.module_utils._proxmox import api as _api, rename as _rename
from ansible_collections.felhom.base_infra.plugins.module_utils._proxmox.plan import Gone, Locked, Problem, Unusable

TOKEN = "ansible@pve!felhom"


@pytest.mark.parametrize(
    "status, reason, errors, kind, told",
    [
        (500, "CT is locked (backup)", None, Locked, "is locked (backup)"),
        (500, "can't lock file '/run/lock/lxc/pve-config-1.lock' - got timeout", None, Locked, "is being worked on"),
        (
            500,
            "detected modified configuration - file changed by other user? Try again.",
            None,
            Locked,
            "is being edited by somebody else",
        ),
        (500, "Configuration file 'nodes/pve1/lxc/999.conf' does not exist", None, Gone, "was removed meanwhile"),
        (
            500,
            "hostname lookup 'nope' failed - x",
            None,
            Problem,
            "the API answers 500: hostname lookup 'nope' failed - x",
        ),
        (595, "Network is unreachable", {"errors": b""}, Problem, "its node can't be reached: Network is unreachable"),
        (401, "No ticket", {"errors": b""}, Unusable, f"the API refuses the token {TOKEN}: No ticket"),
        (
            400,
            "Parameter verification failed.",
            {"hostname": "invalid format - value does not look like a valid DNS name"},
            Problem,
            "the API answers 400: Parameter verification failed.; hostname: invalid format - value does not look like",
        ),
        (
            403,
            "Permission check failed (/vms/101, VM.Config.Network)",
            None,
            Problem,
            f"the token {TOKEN} lacks a privilege: Permission check failed (/vms/101, VM.Config.Network); expected "
            "VM.Audit and VM.Config.Network on /vms/101",
        ),
        (500, "", None, Problem, "the API answers 500: no reason given"),
    ],
)
def test_what_an_answer_means(status, reason, errors, kind, told):
    error = _api.error_of_answer(status, reason, errors, TOKEN, 101)
    assert type(error) is kind and str(error).startswith(told)


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "localhost")
    made = proxmox.Cluster(tmp_path / "cluster").make()
    for vmid, node in ((20101, "pve1"), (20102, "pve1"), (20103, "pve1"), (20201, "pve2")):
        made.add(vmid, fleet.conf(vmid), node)
    made.add(20301, "name: vm\n", kind="qemu")
    made.publish()
    return made


@pytest.fixture
def connect(cluster):
    running = []

    def start(acl=None, **changes):
        running.append(fleet.Api(cluster.folder, acl))
        given = running[-1].options | changes
        access = _api.Access(
            given["api_host"],
            given["api_port"],
            given["api_user"],
            given["api_token_id"],
            given["api_token_secret"],
            given["ca_path"],
            given.get("api_timeout", 30),
        )
        return _api.ApiClient(access)

    yield start
    for api in running:
        api.stop()


def rename(client, writes, seconds=0):
    return _rename.rename_all(client, writes, client.guests(), _rename.Patience(seconds))


def test_all_guests_in_a_request_a_node(cluster, connect):
    guests = connect().guests()
    assert sorted((guest.vmid, guest.node, guest.kind, guest.name) for guest in guests.values()) == [
        (20101, "pve1", "lxc", "felhom-golden"),
        (20102, "pve1", "lxc", "felhom-golden"),
        (20103, "pve1", "lxc", "felhom-golden"),
        (20201, "pve2", "lxc", "felhom-golden"),
        (20301, "pve1", "qemu", ""),
    ]
    assert cluster.calls.read_text().splitlines() == [
        "GET /cluster/resources",
        "GET /nodes/pve1/lxc",
        "GET /nodes/pve2/lxc",
    ]


def test_names_are_written_on_every_node(cluster, connect):
    client = connect()
    outcomes = rename(client, {20101: "acme", 20201: "beta"})
    assert all(outcome.written and not outcome.problem for outcome in outcomes.values())
    assert (cluster.name(20101, "pve1"), cluster.name(20201, "pve2")) == ("acme", "beta")
    # The cluster's own list is ten seconds behind, which must not count.
    assert {guest.name for guest in client.guests().values() if guest.vmid == 20101} == {"acme"}


def test_an_edit_after_the_read_is_not_overwritten(cluster, connect):
    client = connect()
    read = client.fresh(client.guests()[20101])
    path = cluster.path(20101, "pve1")
    path.write_text(path.read_text().replace("memory: 2048", "memory: 4096"))
    with pytest.raises(Locked, match="is being edited by somebody else"):
        client.rename(read, "acme")
    assert rename(client, {20101: "acme"})[20101].written and "memory: 4096" in path.read_text()


def test_a_lock_is_named(cluster, connect):
    cluster.add(20101, fleet.conf(20101, more="lock: snapshot\n"))
    outcomes = rename(connect(), {20101: "a", 20102: "b"})
    assert outcomes[20101].problem == "is locked (snapshot); waited 0 seconds for that to end"
    assert outcomes[20102].written


def test_missing_privileges_are_named(cluster, connect):
    client = connect({"/vms": ["VM.Audit", "VM.Config.Options"], "/vms/20102": [], "/vms/20103": ["VM.Audit"]})
    guests = client.guests()
    assert 20102 not in guests and "lacks VM.Audit on /vms/20102" in client.unseen(20102, guests)
    outcomes = rename(client, {20101: "a", 20103: "b"})
    assert "(/vms/20101, VM.Config.Network); expected VM.Audit and VM.Config.Network" in outcomes[20101].problem
    assert "lacks a privilege" in outcomes[20103].problem


def test_a_node_that_is_down_holds_up_nobody(cluster, connect):
    (cluster.folder / "down").write_text("pve2")
    client = connect()
    guests = client.guests()
    assert client.unseen(20201, guests) == "its node can't be reached: Network is unreachable"
    assert client.unseen(20101, guests) == ""
    assert rename(client, {20101: "a"})[20101].written


def test_a_guest_that_moves_meanwhile_is_followed(cluster, connect):
    client = connect()
    guests = client.guests()
    cluster.path(20101, "pve1").rename(cluster.pve / "nodes/pve2/lxc/20101.conf")
    cluster.path(20102, "pve1").unlink()
    cluster.publish()
    outcomes = _rename.rename_all(client, {20101: "a", 20102: "b"}, guests, _rename.Patience(0))
    assert outcomes[20101].written and outcomes[20101].guest.node == "pve2"
    assert outcomes[20102].problem == "was removed meanwhile"


def test_a_bad_token(connect):
    with pytest.raises(Unusable) as error:
        connect(api_token_secret="planted-wrong-secret").guests()
    assert str(error.value).startswith(f"the API refuses the token {TOKEN}: ")
    assert "planted" not in str(error.value)


def test_a_certificate_that_is_not_trusted(connect, cluster):
    with pytest.raises(Unusable, match="its certificate is not trusted: .*; expected one that ca_path"):
        connect(ca_path=True).guests()
    # Trusted, but another name's.
    with pytest.raises(Unusable, match="its certificate is not trusted"):
        connect(api_host="127.0.0.1").guests()


def test_nobody_answers(connect):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(Unusable, match="(did not answer in 1 seconds|can't be reached)"):
            connect(api_port=port, api_timeout=1).guests()
    with pytest.raises(Unusable, match="can't be reached: "):
        connect(api_port=port).guests()


@pytest.mark.parametrize("answer", [b"<html>login</html>", b'{"data": {"errors": 1}}'])
def test_something_else_answers(connect, answer, monkeypatch):
    client = connect()
    response = requests.Response()
    response.status_code, response._content = 200, answer
    monkeypatch.setattr(requests.Session, "request", lambda *words, **options: response)
    with pytest.raises(Unusable, match="answers, but not as Proxmox does"):
        client.guests()


def test_a_write_without_an_answer_is_looked_at_again(cluster, connect):
    (cluster.folder / "slow").write_text("600")
    outcome = rename(connect(api_timeout=5), {20101: "a"})[20101]
    assert outcome.written
    assert outcome.problem.startswith("was written, but: ")
    assert outcome.problem.endswith(" did not answer in 5 seconds")
