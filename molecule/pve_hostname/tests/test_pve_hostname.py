"""Guests get their host names: by the node's pct and by the API, one or a thousand, whatever holds some of them up."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from pathlib import Path

import fleet
import proxmox
import pytest
from waiting import wait_for

ROOT = Path(__file__).resolve().parents[3]
WAIT = 2  # seconds that runs here wait for locks


def inside(cluster: proxmox.Cluster, vmid: int, *command: str) -> str:
    """What a running guest says."""
    return subprocess.run(
        [cluster.folder / "bin/pct", "exec", str(vmid), "--", *command], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_the_converged_clones():
    """Converge found them by itself: the ids are from their own bootstrap.json, one of them of a stopped guest."""
    cluster = proxmox.Cluster(Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "cluster")
    names = {cluster.name(vmid, node): vmid for vmid, (node, _kind) in cluster.guests().items()}
    assert names.keys() == {"felhom-golden", "named-by-hand", "acme", "szucs-tarsa-kft-449f3801", "4711"}
    assert cluster.config(names["felhom-golden"], "pve1")["template"] == "1"
    for name in ("acme", "szucs-tarsa-kft-449f3801"):
        assert inside(cluster, names[name], "hostname") == inside(cluster, names[name], "cat", "/etc/hostname") == name
    assert not cluster.running(names["4711"]) and "lock" not in cluster.config(names["4711"], "pve1")


def test_check_mode_says_it_all_and_does_nothing(clones):
    before = {vmid: clones.cluster.path(vmid, "pve1").read_bytes() for vmid in clones.ids.values()}
    run = clones.play("--check", "--diff", running_guests="rename")
    # The stopped one's file system is not even mounted for a look.
    assert run.status == 2
    assert f"not named: {clones.ids['4711']}: is stopped; start it" in run.output
    assert f"-{clones.ids['ACME']}: felhom-golden" in run.output
    assert f"+{clones.ids['ACME']}: acme" in run.output and f"+{clones.ids['ACME']}: renamed inside" in run.output
    assert before == {vmid: clones.cluster.path(vmid, "pve1").read_bytes() for vmid in before}
    assert not [call for call in run.calls if call.startswith("pct")]
    assert inside(clones.cluster, clones.ids["ACME"], "hostname") == "felhom-golden"


def test_when_a_name_takes_effect(clones):
    """It runs under its old name until it is started again, which a second run says too, without writing."""
    vmid = clones.ids["ACME"]
    for _round in range(2):
        run = clones.play(guests={vmid: "acme"})
        assert run.status == 0 and f"at their next start: {vmid}" in run.output
    assert not run.changed and [call.split()[0] for call in run.calls] == ["lxc-info"]
    assert inside(clones.cluster, vmid, "hostname") == "felhom-golden"
    clones.cluster.reboot(vmid)
    run = clones.play(guests={vmid: "acme"})
    assert "next start" not in run.output and "pve1: 1 right" in run.output


def test_a_file_that_proxmox_leaves_alone(clones):
    vmid = clones.ids["ACME"]
    (clones.cluster.rootfs(vmid) / "etc/.pve-ignore.hostname").touch()
    run = clones.play("-v", guests={vmid: "acme"}, running_guests="rename")
    assert run.status == 0 and "has /etc/.pve-ignore.hostname" in run.output
    assert '"file": {"effective": "never", "name": "felhom-golden"}' in run.output
    assert inside(clones.cluster, vmid, "hostname") == "acme"
    assert inside(clones.cluster, vmid, "cat", "/etc/hostname") == "felhom-golden"


def test_a_restart_only_within_its_window(clones):
    vmid = clones.ids["ACME"]
    now = time.localtime()
    later = f"{(now.tm_hour + 2) % 24:02}:00-{(now.tm_hour + 3) % 24:02}:00"
    run = clones.play("-v", guests={vmid: "acme"}, running_guests="restart", restart_window=later)
    assert run.status == 0 and "is to be restarted, outside of the window" in run.output
    assert not [call for call in run.calls if "reboot" in call]
    run = clones.play("-v", guests={vmid: "acme"}, running_guests="restart", restart_window="00:00-24:00")
    assert run.status == 0 and run.changed and "next start" not in run.output
    assert [call for call in run.calls if "reboot" in call] == [f"pct reboot {vmid}"]
    assert inside(clones.cluster, vmid, "cat", "/etc/hostname") == "acme"
    assert not clones.play(guests={vmid: "acme"}, running_guests="restart", restart_window="00:00-24:00").changed


def test_a_restart_by_the_api(clones):
    clones.serve({"/vms": [*fleet.PRIVILEGES, "VM.PowerMgmt"]})
    vmid = clones.ids["ACME"]
    wanted = {"guests": {vmid: "acme"}, "running_guests": "restart", "restart_window": "00:00-24:00"}
    run = clones.play(**clones.from_here(**wanted))
    assert run.status == 0 and run.changed
    assert inside(clones.cluster, vmid, "hostname") == "acme"
    run = clones.play(**clones.from_here(**wanted))
    assert run.status == 0 and not run.changed


# What is in the place of bootstrap.json, and what is said of it.
UNTELLABLE = {
    None: "/etc/felhom-bootstrap/bootstrap.json: No such file or directory",
    '{"customer": {"id": ""}, "x": "planted-rest"}': "customer.id: found a text that is empty",
    '{"customer": "planted-rest"}': "customer: found a text; expected a mapping",
    '{"customer": {"id": "x"}, planted-rest': ": not valid JSON; expected a whole JSON object",
    "-> ../../../../../../etc/passwd": "Too many levels of symbolic links",
}


def test_whose_they_are_can_not_be_told(clones):
    """It is reported, and the others are named."""
    first = max(clones.ids.values()) + 1
    for vmid, content in enumerate(UNTELLABLE, first):
        clones.cluster.add(vmid, fleet.conf(vmid))
        fleet.provision(clones.cluster, vmid, content or "")
        path = clones.cluster.rootfs(vmid) / "etc/felhom-bootstrap/bootstrap.json"
        if content is None or content.startswith("-> "):
            path.unlink()
        if content and content.startswith("-> "):
            path.symlink_to(content.removeprefix("-> "))
    clones.cluster.publish()
    run = clones.play("-vvv", mount_stopped=True, exclude=[clones.ids["4711"]])
    assert run.status == 2 and "pve1: 2 renamed" in run.output
    for vmid, told in enumerate(UNTELLABLE.values(), first):
        assert any(f"not named: {vmid}: " in line and told in line for line in run.output.splitlines())
        assert clones.cluster.name(vmid, "pve1") == fleet.GOLDEN
    assert "planted-rest" not in run.output
    assert clones.cluster.name(clones.ids["4711"], "pve1") == fleet.GOLDEN


def test_nothing_but_the_id_is_ever_said(clones):
    """The rest of bootstrap.json has a password."""
    run = clones.play("-vvvv", "--diff", mount_stopped=True, running_guests="rename")
    assert run.status == 0 and "pve1: 3 renamed" in run.output
    assert fleet.SECRET not in run.output


def test_two_clones_of_one_customer(clones):
    fleet.provision(clones.cluster, clones.ids["Szűcs & Társa Kft."], '{"customer": {"id": "acme"}}')
    run = clones.play(mount_stopped=True)
    one, other = clones.ids["ACME"], clones.ids["Szűcs & Társa Kft."]
    assert run.status == 2
    assert f"{one} the name acme is wanted for {other} too" in run.output
    assert clones.cluster.name(one, "pve1") == clones.cluster.name(other, "pve1") == fleet.GOLDEN
    assert clones.cluster.name(clones.ids["4711"], "pve1") == "4711"
    assert clones.play(mount_stopped=True, allow_shared_names=True).status == 0


def test_bad_input_is_refused_before_anything_is_touched(clones):
    vmid = clones.ids["ACME"]
    one, other = clones.ids["Szűcs & Társa Kft."], clones.ids["4711"]
    run = clones.play(guests={vmid: "a_b", "99": "x", one: "x" * 65, other: 4711})
    assert run.status == 2 and "Traceback" not in run.output
    for told in (f"{vmid}: found 'a_b'", "'99': found no id of a guest", "found 65 characters", "found a number"):
        assert told in run.output
    assert not [call for call in clones.calls if "set" in call]


@pytest.fixture(params=["pct", "api"])
def thousand(bench, request):
    """1,000 guests: 37 wrong, 2 locked, 1 on another node."""
    wanted = fleet.make(bench.folder, 1000, wrong=37, locked=2, elsewhere=1)
    if request.param == "api":
        bench.serve()

    def play(*options, **more):
        more = {"guests": wanted, "lock_timeout": WAIT} | more
        return bench.play(*options, **(bench.from_here(**more) if request.param == "api" else more))

    return request.param, bench, wanted, play


def writes(run) -> int:
    return sum(call.startswith(("pct set", "PUT ")) for call in run.calls)


def test_a_thousand_guests(thousand, cost):
    method, bench, wanted, play = thousand
    checked = play("--check")
    run = play()
    cost(f"{method}, first", run, summary(run))
    assert writes(checked) == 0 and run.status == 2
    for vmid in (10037, 10038):
        assert f"{vmid} is locked (backup); waited {WAIT} seconds for that to end" in run.output
        assert bench.cluster.name(vmid, "pve1") == fleet.GOLDEN
    if method == "pct":
        assert "10039 is on a node that this play does not run on" in run.output
        assert summary(run) == "pve1: 960 right, 37 renamed, 1 elsewhere, 2 failed"
    else:
        assert summary(run) == "all nodes: 960 right, 38 renamed, 2 failed"
        assert bench.cluster.name(10039, "pve2") == wanted[10039]
    assert writes(run) == (37 if method == "pct" else 38)
    assert all(bench.cluster.name(vmid, "pve1") == wanted[vmid] for vmid in range(10000, 10037))
    again = play()
    cost(f"{method}, second", again, summary(again))
    assert again.status == 2 and writes(again) == 0
    # The backups end, and so does what there is to do.
    for vmid in (10037, 10038):
        path = bench.cluster.path(vmid, "pve1")
        path.write_text(path.read_text().replace("lock: backup\n", ""))
    within_reach = {vmid: name for vmid, name in wanted.items() if method == "api" or vmid != 10039}
    last = play(guests=within_reach)
    assert last.status == 0 and writes(last) == 2
    done = play(guests=within_reach)
    cost(f"{method}, all right", done, summary(done))
    assert done.status == 0 and not done.changed
    assert done.calls == (
        [] if method == "pct" else ["GET /cluster/resources", "GET /nodes/pve1/lxc", "GET /nodes/pve2/lxc"]
    )


def summary(run) -> str:
    """The line that starts with the node."""
    text = run.output[run.output.index("Show the summary") :]
    return next(part for part in text.replace("'", '"').split('"') if part.startswith(("pve1: ", "all nodes: ")))


def test_a_backup_that_ends_in_time(bench):
    wanted = fleet.make(bench.folder, 5, wrong=2, locked=1)
    path = bench.cluster.path(10002, "pve1")

    def end() -> None:
        # The others come first.
        wait_for(lambda: writes(bench) == 2)
        path.write_text(path.read_text().replace("lock: backup\n", ""))

    backup = threading.Thread(target=end)
    backup.start()
    run = bench.play(guests=wanted, lock_timeout=600)
    backup.join()
    assert run.status == 0 and "pve1: 2 right, 3 renamed" in run.output and run.seconds < 600


def test_nodes_of_a_cluster_share_the_work(bench):
    wanted = fleet.make(bench.folder, 8, wrong=4, elsewhere=3)
    run = bench.play(guests=wanted, nodes=("pve1", "pve2"))
    assert run.status == 0
    assert "pve1: 1 right, 4 renamed, 3 elsewhere" in run.output and "pve2: 5 right, 3 renamed" in run.output
    assert {bench.cluster.name(vmid, node) for vmid, (node, _kind) in bench.cluster.guests().items()} == set(
        wanted.values()
    )


def test_two_nodes_do_not_give_one_name(bench):
    """Each finds a clone of the same customer, and each sees only what the other one has done already."""
    fleet.make(bench.folder, 2, wrong=1, elsewhere=1)
    run = bench.play(guests={10000: "acme", 10001: "acme"}, nodes=("pve1", "pve2"))
    assert run.status == 2 and "is wanted for" in run.output
    assert {bench.cluster.name(10000, "pve1"), bench.cluster.name(10001, "pve2")} == {fleet.GOLDEN}


def test_the_token_comes_from_the_environment_and_is_never_shown(bench):
    wanted = fleet.make(bench.folder, 3, wrong=1)
    api = bench.serve()
    environment = {
        "PROXMOX_HOST": "localhost",
        "PROXMOX_PORT": str(api.port),
        "PROXMOX_USER": "ansible@pve",
        "PROXMOX_TOKEN_ID": "felhom",
        "PROXMOX_TOKEN_SECRET": fleet.SECRET,
        "PROXMOX_CA_PATH": str(api.ca),
    }
    run = bench.play("-vvvv", hosts="localhost", guests=wanted, environment=environment)
    assert run.status == 0 and "all nodes: 2 right, 1 renamed" in run.output
    assert fleet.SECRET not in run.output
    run = bench.play("-vvvv", **bench.from_here(guests=wanted))
    assert run.status == 0 and fleet.SECRET not in run.output
    # Without the CA the certificate is not trusted.
    run = bench.play(hosts="localhost", guests=wanted, environment=environment | {"PROXMOX_CA_PATH": ""})
    assert run.status == 2 and "its certificate is not trusted" in run.output and "ca_path" in run.output
    run = bench.play("-vvvv", **bench.from_here(guests=wanted, api_token_secret="planted-wrong-secret"))
    assert run.status == 2 and "the API refuses the token ansible@pve!felhom" in run.output
    assert "planted-wrong-secret" not in run.output


def test_a_missing_privilege_is_named(bench):
    wanted = fleet.make(bench.folder, 4, wrong=3)
    bench.serve({"/vms": fleet.PRIVILEGES, "/vms/10000": ["VM.Audit", "VM.Config.Options"], "/vms/10001": []})
    run = bench.play(**bench.from_here(guests=wanted))
    assert run.status == 2
    assert "(/vms/10000, VM.Config.Network); expected VM.Audit and VM.Config.Network on /vms/10000" in run.output
    assert "10001 is not there, or the token ansible@pve!felhom lacks VM.Audit on /vms/10001" in run.output
    assert bench.cluster.name(10002, "pve1") == wanted[10002]


def test_no_way_to_the_guests(bench):
    fleet.make(bench.folder, 1)
    run = bench.play(hosts="localhost", guests={10000: "x"})
    assert run.status == 2 and "this is no Proxmox node (/etc/pve/local), and api_host, api_user" in run.output
    run = bench.play(hosts="localhost", guests={10000: "x"}, method="pct")
    assert run.status == 2 and "/etc/pve/local: No such file or directory; expected a Proxmox node" in run.output


def test_the_example_inventory(bench):
    """A token that may look, and nothing else, is enough."""
    fleet.make(bench.folder, 5, elsewhere=1)
    bench.cluster.add(20301, "name: vm\n", kind="qemu")
    bench.cluster.publish()
    api = bench.serve({"/vms": ["VM.Audit"]})
    environment = os.environ | {
        "PROXMOX_URL": f"https://localhost:{api.port}",
        "PROXMOX_USER": "ansible@pve",
        "PROXMOX_TOKEN_ID": "felhom",
        "PROXMOX_TOKEN_SECRET": fleet.SECRET,
        "REQUESTS_CA_BUNDLE": str(api.ca),
        "NO_PROXY": "*",
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true",
    }
    command = ["ansible-inventory", "-i", "inventories/example", "--list"]
    listed = json.loads(subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True).stdout)
    assert set(listed["guests"]["hosts"]) == {
        "acme",
        fleet.GOLDEN,
        *(f"customer-{number:04}" for number in range(1, 5)),
    }
    assert listed["pve_nodes"]["hosts"] == ["pve1", "pve2"]
    hosts = {
        name: {key: plain(value) for key, value in found.items()} for name, found in listed["_meta"]["hostvars"].items()
    }
    assert (
        hosts["customer-0001"].items()
        >= {
            "ansible_connection": "community.proxmox.proxmox_pct_remote",
            "ansible_host": "pve1.example.org",
            "ansible_user": "root",
            "proxmox_vmid": 10001,
        }.items()
    )
    assert hosts[fleet.GOLDEN]["ansible_host"] == "pve2.example.org"
    assert hosts["acme"]["ansible_connection"] == "ssh"
    assert {call.split("/")[1] for call in bench.calls} <= {"nodes", "pools", "cluster"}
    assert not [call for call in bench.calls if not call.startswith("GET ")]


def plain(value):
    """What ansible-inventory writes of a value that came from outside."""
    return value.get("__ansible_unsafe", value) if isinstance(value, dict) else value
