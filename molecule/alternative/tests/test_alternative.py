"""Every variable does what it says: a guest on which all of them differ from their defaults."""

from __future__ import annotations

import json
import shlex
import ssl
import subprocess
from pathlib import Path

import pytest
import yaml
from waiting import ANSWER, served_certificate, wait_for

ROOT = Path(__file__).resolve().parents[3]
VARIABLES = yaml.safe_load((ROOT / "molecule/alternative/vars/alternative.yml").read_text())
ROLES = ("base_traefik", "base_cloudflared", "base_filebrowser")
# Given by the bed or by the guest's configuration, or what a run is told and no setting of a guest.
GIVEN = {"base_traefik_domain", "base_traefik_acme_email", "base_traefik_cf_api_token"}
GIVEN |= {"base_cloudflared_tunnel_token", "base_filebrowser_host", "base_filebrowser_storage_paths"}
OF_A_RUN = {f"{role}_{name}" for role in ROLES for name in ("state", "settle", "observed", "accepted_gates")}


@pytest.mark.parametrize("role", ROLES)
def test_every_variable_differs_from_its_default(host, role):
    defaults = yaml.safe_load((ROOT / f"roles/{role}/defaults/main.yml").read_text())
    specs = yaml.safe_load((ROOT / f"roles/{role}/meta/argument_specs.yml").read_text())["argument_specs"]["main"]
    given = host.ansible.get_variables() | VARIABLES
    required = {name for name, spec in specs["options"].items() if spec.get("required")}
    assert set(specs["options"]) == set(defaults) | required
    same = {name for name in set(specs["options"]) - GIVEN - OF_A_RUN if given.get(name) == defaults.get(name)}
    assert same == set()


def inspect(host, name):
    return json.loads(host.check_output(f"docker inspect {name}"))[0]


@pytest.mark.parametrize("name, megabytes", [("traefik", 300), ("cloudflared", 100), ("filebrowser", 700)])
def test_what_the_engine_was_told(host, name, megabytes):
    # The converge does not wait for the tunnel's connection.
    wait_for(lambda: inspect(host, name)["State"]["Health"]["Status"] == "healthy")
    found = inspect(host, name)
    # The bed's engines have no memory controller and forget the limit.
    compose = yaml.safe_load(host.file(f"/opt/alternative/{name}/docker-compose.yml").content_string)
    assert compose["services"][name]["mem_limit"] == f"{megabytes}m"
    assert found["HostConfig"]["LogConfig"]["Config"] == {"max-size": "1m", "max-file": "2"}
    assert list(found["NetworkSettings"]["Networks"]) == ["alternative-net"]
    assert found["Config"]["Labels"]["com.docker.compose.project.working_dir"] == f"/opt/alternative/{name}"


def test_no_filter_no_container_of_it(host):
    assert "traefik-socket-proxy" not in host.check_output("docker ps --all --format '{{.Names}}'")


def test_the_tunnel_s_settings(host):
    environment = dict(line.split("=", 1) for line in inspect(host, "cloudflared")["Config"]["Env"])
    assert environment["TUNNEL_TRANSPORT_PROTOCOL"] == "http2"
    assert environment["TUNNEL_EDGE_IP_VERSION"] == "4"
    assert environment["TUNNEL_LOGLEVEL"] == "debug"


def test_ports_and_headers(ask, customer):
    domain = customer["customer"]["domain"]
    redirect = ask(f"http://files.{domain}:8080/a?b=c")
    assert f"location: https://files.{domain}:8443/a?b=c" in redirect
    answer = ask(f"https://files.{domain}:8443/")
    assert " 200" in answer.splitlines()[0]
    assert "x-alternative: yes" in answer and "x-frame-options: deny" in answer
    assert "strict-transport-security" not in answer
    assert ask(f"https://files.{domain}:8443/", "--tls-max", "1.2") == ""


def test_the_dashboard(ask, customer):
    url = f"https://dash.{customer['customer']['domain']}:8443/dashboard/"
    assert " 401" in ask(url).splitlines()[0]
    assert " 200" in ask(url, "--user", "ops:alternative").splitlines()[0]


def test_the_tunnel_s_entry(host, customer):
    image = host.ansible.get_variables()["felhom_controller_image"]
    headers = {"Host": f"files.{customer['customer']['domain']}"}
    request = "import urllib.request as r; "
    request += f"print(r.urlopen(r.Request('http://traefik:9000/', headers={headers!r}), timeout={ANSWER}).status)"
    inside = f"docker run --rm --network alternative-net --entrypoint python3 {image} -c {shlex.quote(request)}"
    assert host.check_output(inside) == "200"


def test_the_network_has_its_addresses(host):
    shown = "docker network inspect --format '{{range .IPAM.Config}}{{.Subnet}}{{end}}' alternative-net"
    assert host.check_output(shown) == "172.29.77.0/24"


def test_another_domain_has_a_certificate(address):
    root = subprocess.run([ROOT / "tests/bed/bed", "issuer"], check=True, capture_output=True, text=True).stdout
    trust = ssl.create_default_context(cadata=root)
    certificate = served_certificate(address, 8443, "www.extra.felhom.test", trust)
    names = {name for _kind, name in certificate["subjectAltName"]}
    assert names == {"extra.felhom.test", "*.extra.felhom.test"}


def test_file_browser_s_settings(host, customer):
    root = "/opt/alternative/filebrowser"
    data = host.file(f"{root}/data")
    assert (data.uid, data.gid) == (1234, 1235)
    password = host.file(f"{root}/secrets/admin_password").content_string.strip()
    name = f"files.{customer['customer']['domain']}"
    curl = f"curl -sk --resolve {name}:8443:127.0.0.1 -H @-"
    login = f"{curl} -X POST 'https://{name}:8443/api/auth/login?username=boss'"
    token = host.check_output(f"printf 'X-Password: %s' {shlex.quote(password)} | {login}")
    for source in ("Everything", "Disks"):
        listing = f"{curl} 'https://{name}:8443/api/resources?path=/&source={source}'"
        found = json.loads(host.check_output(f"printf 'Authorization: Bearer %s' {shlex.quote(token)} | {listing}"))
        assert found["source"] == source
    mounts = {mount["Source"]: mount["RW"] for mount in inspect(host, "filebrowser")["Mounts"]}
    assert (mounts["/srv"], mounts["/mnt"]) == (False, True)
    sources = yaml.safe_load(host.file(f"{root}/config/config.yaml").content_string)["server"]["sources"]
    assert [source["config"] for source in sources] == [
        {"private": True, "useLogicalSize": True, "defaultEnabled": True, "readOnly": True},
        {"defaultEnabled": True, "readOnly": False},
    ]


def test_the_limit_of_log_ins(ask, customer):
    """Three at once, and then one a second."""
    url = f"https://files.{customer['customer']['domain']}:8443/api/auth/login?username=nobody"

    def status() -> str:
        return ask(url, "-XPOST", "-HX-Password: wrong").split()[1]

    tries = [status() for _ in range(20)]
    assert tries[:3] == ["401", "401", "401"] and "429" in tries
    wait_for(lambda: status() == "401")
