"""The tunnel's stand-in and its edge, as processes on loopback: what the real program was seen to do.

Each fact is of shared/facts, "cloudflared 2026.8.2". Where a wait is tested in tenths or less, haste divides it.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import edge as bed_edge
import pytest

BED = Path(__file__).resolve().parent
TUNNEL = "00000000-1111-4222-8333-444455556666"
SECRET = b"the right secret"
LIMIT = 60  # seconds for anything that is to come, on a busy machine


def token(**parts) -> str:
    whole = {"a": "account", "t": TUNNEL, "s": base64.b64encode(SECRET).decode()} | parts
    return base64.b64encode(
        json.dumps({key: value for key, value in whole.items() if value is not None}).encode()
    ).decode()


def free_port() -> int:
    """One that is free for both protocols."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            try:
                udp.bind(tcp.getsockname())
            except OSError:
                continue
            return tcp.getsockname()[1]


class Program:
    """A process whose lines are read as they come."""

    def __init__(self, *command: object, **environment: str) -> None:
        self.start = time.monotonic()
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        self.process = subprocess.Popen([str(word) for word in command], text=True, env=environment, **pipes)
        self.lines: list[str] = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def says(self, words: str) -> str:
        """The first line with these words, as soon as there is one."""
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            for line in list(self.lines):
                if words in line:
                    return line
            time.sleep(0.01)
        raise AssertionError(f"{words!r} was not said: {self.lines}")

    def ends(self) -> int:
        status = self.process.wait(LIMIT)
        self.reader.join()
        return status

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def started():
    """Start programs that do not outlive the test."""
    programs: list[Program] = []

    def start(*command: object, **environment: str) -> Program:
        programs.append(Program(*command, **environment))
        return programs[-1]

    yield start
    for program in programs:
        program.kill()


class Tunnel:
    """An edge, and the program that connects to it."""

    def __init__(self, started, secrets: Path) -> None:
        self._started, self.secrets = started, secrets
        self.port, self.metrics = free_port(), free_port()

    def edge(self) -> Program:
        known = f"{TUNNEL}={hashlib.sha256(SECRET).hexdigest()}"
        program = self._started(sys.executable, BED / "edge.py", "127.0.0.1", self.port, self.secrets, known)
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return program
            except OSError:
                time.sleep(0.01)
        raise AssertionError(program.lines)

    def run(self, *words: str, **environment: str) -> Program:
        settings = {
            "TUNNEL_TOKEN": token(),
            "TUNNEL_EDGE": f"127.0.0.1:{self.port}",
            "TUNNEL_METRICS": f"127.0.0.1:{self.metrics}",
        }
        stand_in = BED / "images/cloudflared.py"
        command = words or ("--no-autoupdate", "tunnel", "run")
        return self._started(sys.executable, "-IS", stand_in, *command, **settings | environment)

    def ready(self) -> tuple[int, int]:
        """Status, and how many connections there are."""
        connection = http.client.HTTPConnection("127.0.0.1", self.metrics, timeout=LIMIT)
        connection.request("GET", "/ready")
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())["readyConnections"]


@pytest.fixture
def tunnel(started, tmp_path):
    return Tunnel(started, tmp_path)


@pytest.mark.parametrize("protocol, name", [("auto", "quic"), ("quic", "quic"), ("http2", "http2")])
def test_it_connects_four_times(tunnel, protocol, name):
    """images.md: protocol auto is QUIC first; /ready is 200 from the first connection on."""
    edge = tunnel.edge()
    program = tunnel.run(TUNNEL_TRANSPORT_PROTOCOL=protocol)
    program.says("Environment is healthy")
    program.says("connIndex=3")
    assert tunnel.ready() == (200, 4)
    assert program.says(f"Initial protocol {name}")
    assert " INF Registered tunnel connection connIndex=0 connection=" in program.says("Registered")
    noted = [json.loads(line) for line in edge.lines]
    assert [(each["what"], each["protocol"], each["number"]) for each in noted] == [
        ("registered", name, number) for number in range(4)
    ]
    assert tunnel.run("tunnel", "ready").ends() == 0


@pytest.mark.parametrize("protocol", ["quic", "http2"])
def test_it_unregisters_at_once_and_waits_the_whole_grace_period(tunnel, protocol):
    """real-programs.md: SIGTERM with live connections unregisters at once, ends after TUNNEL_GRACE_PERIOD."""
    edge = tunnel.edge()
    program = tunnel.run(TUNNEL_TRANSPORT_PROTOCOL=protocol, TUNNEL_GRACE_PERIOD="3s")
    program.says("connIndex=3")
    start = time.monotonic()
    program.process.send_signal(signal.SIGTERM)
    edge.says("unregistered")
    assert time.monotonic() - start < 2.5
    assert tunnel.ready()[0] == 503
    assert program.ends() == 0
    assert time.monotonic() - start >= 3
    assert program.says("Initiating graceful shutdown due to signal terminated ...")


def test_its_grace_period_is_30_seconds_and_a_second_signal_ends_it(tunnel):
    """real-programs.md: TUNNEL_GRACE_PERIOD, default 30s; its help: or when a second SIGTERM/SIGINT is received."""
    edge = tunnel.edge()
    program = tunnel.run()
    program.says("connIndex=3")
    program.process.send_signal(signal.SIGTERM)
    edge.says("unregistered")
    with pytest.raises(subprocess.TimeoutExpired):
        program.process.wait(5)
    program.process.send_signal(signal.SIGTERM)
    program.ends()
    assert tunnel.run(TUNNEL_GRACE_PERIOD="4m").ends() == 1


def test_it_ends_at_once_when_nothing_is_connected(tunnel):
    """images.md: SIGTERM with no connections: exit 0 in less than a second."""
    program = tunnel.run()
    program.says("Initial protocol")
    start = time.monotonic()
    program.process.send_signal(signal.SIGTERM)
    assert program.ends() == 0
    assert time.monotonic() - start < 10


@pytest.mark.parametrize(
    "given",
    [
        "not base64!",
        "bm90IGpzb24=",
        token(t="no-uuid"),
        token(s="%%"),
        token().rstrip("="),
        base64.b64encode(b"[]").decode(),
        "",
    ],
)
def test_a_bad_token_ends_it(tunnel, given):
    """real-programs.md: bad or empty token, t not a UUID, no padding: exit 255, two lines."""
    program = tunnel.run(TUNNEL_TOKEN=given)
    assert program.ends() == 255
    assert len(program.lines) == 2 and program.lines[1] == "See 'cloudflared tunnel run --help'."


def test_a_token_that_can_not_be_read_ends_it(tunnel, tmp_path):
    """images.md: Failed to read token file, exit 255."""
    program = tunnel.run(TUNNEL_TOKEN="", TUNNEL_TOKEN_FILE=str(tmp_path / "none"))
    assert program.ends() == 255
    assert program.lines[0] == f"Failed to read token file: open {tmp_path}/none: no such file or directory"


def test_an_empty_object_runs(tunnel):
    """images.md: {} in base64 is accepted, as tunnel 0000..."""
    tunnel.edge()
    assert "tunnelID=00000000-0000-0000-0000-000000000000" in tunnel.run(TUNNEL_TOKEN="e30=").says("Starting tunnel")


def test_a_refused_token_over_quic_is_not_named_before_the_fallback(tunnel):
    """real-programs.md: three lines of the control stream; after 5 tries HTTP/2, and then the reason; for ever."""
    tunnel.edge()
    program = tunnel.run(
        TUNNEL_TOKEN=token(s=base64.b64encode(b"another").decode()),
        FELHOM_STAND_IN_HASTE="20",
        TUNNEL_METRICS="127.0.0.1:0",
    )
    refusal = program.says("Unauthorized")
    assert re.search(
        r' ERR Register tunnel error from server side error="Unauthorized: Invalid tunnel secret" connIndex=0', refusal
    )
    before = program.lines[: program.lines.index(refusal)]
    assert before[-1].split(" INF ")[1].startswith("Switching to fallback protocol http2")
    assert sum("Retrying connection in up to" in line for line in before) == 5
    errors = [re.sub(r" (connIndex|event|ip)=.*", "", line.partition(" ERR ")[2]) for line in before if " ERR " in line]
    ended = 'error="control stream encountered a failure while serving"'
    three = ['failed to run the datagram handler error="context canceled"']
    three += [f"failed to serve tunnel connection {ended}", f"Serve tunnel error {ended}"]
    assert errors == three * 5
    count = len(program.lines)
    while sum("Unauthorized" in line for line in program.lines[count:]) < 3:
        assert program.process.poll() is None
        time.sleep(0.05)


def test_a_refused_token_over_http2_is_named_at_once(tunnel):
    """real-programs.md: Register tunnel error from server side, over HTTP/2."""
    tunnel.edge()
    program = tunnel.run(TUNNEL_TOKEN=token(s=base64.b64encode(b"another").decode()), TUNNEL_TRANSPORT_PROTOCOL="http2")
    program.says("Unauthorized: Invalid tunnel secret")
    assert tunnel.ready() == (503, 0)
    assert tunnel.run("tunnel", "ready").ends() == 1


def test_a_rotated_secret(tunnel):
    """Of the bed: what somebody does at Cloudflare; a connection that is there stays, the next one is refused."""
    edge = tunnel.edge()
    program = tunnel.run(TUNNEL_TRANSPORT_PROTOCOL="http2")
    program.says("connIndex=3")
    (tunnel.secrets / "127.0.0.1").write_text(hashlib.sha256(b"rotated").hexdigest())
    tunnel.run(TUNNEL_TRANSPORT_PROTOCOL="http2", TUNNEL_METRICS="127.0.0.1:0").says("Unauthorized")
    assert json.loads(edge.says("refused"))["guest"] == "127.0.0.1"
    assert tunnel.ready() == (200, 4)
    rotated = token(s=base64.b64encode(b"rotated").decode())
    tunnel.run(TUNNEL_TOKEN=rotated, TUNNEL_METRICS="127.0.0.1:0").says("Registered")


def test_no_names_end_it(tunnel):
    """real-programs.md: no DNS: exit 1 after 1 s, some ERR lines."""
    inside = ["unshare", "--net"] if shutil.which("unshare") else []
    if not inside or subprocess.run([*inside, "true"]).returncode:
        inside = ["unshare", "--user", "--net"]
        if subprocess.run([*inside, "true"]).returncode:
            pytest.skip("a network of its own needs root or user namespaces")
    settings = {"TUNNEL_TOKEN": token(), "TUNNEL_METRICS": "127.0.0.1:0", "PATH": "/usr/bin:/bin"}
    program = tunnel._started(
        *inside, sys.executable, "-IS", BED / "images/cloudflared.py", "tunnel", "run", **settings
    )
    assert program.ends() == 1
    assert "Could not lookup srv records on _v2-origintunneld._tcp.argotunnel.com" in program.lines[-1]
    assert sum(" ERR " in line for line in program.lines) > 5


def test_an_edge_that_is_away_is_tried_for_ever(tunnel):
    """images.md: edge unreachable: stays up, /ready answers 503, ready exits 1."""
    program = tunnel.run(FELHOM_STAND_IN_HASTE="100")
    program.says("SUMMARY: Environment has critical failures")
    program.says("Failed to dial a quic connection")
    line = program.says("Unable to establish connection with Cloudflare edge")
    assert f'error="DialContext error: dial tcp 127.0.0.1:{tunnel.port}: connect: connection refused"' in line
    assert tunnel.ready() == (503, 0)
    tunnel.edge()
    program.says("Registered tunnel connection")


class OnlyTcp:
    """An edge whose datagrams a network drops."""

    def __init__(self, port: int) -> None:
        self._edge = bed_edge.Edge({}, BED)
        self.server = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, peer = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection, peer), daemon=True).start()

    def _talk(self, connection: socket.socket, peer: tuple[str, int]) -> None:
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as words:
            for line in words:
                connection.sendall(self._edge.answer("http2", peer, line.decode().split()).encode() + b"\n")


def test_blocked_datagrams_delay_it_until_the_fallback(tunnel):
    """real-programs.md: QUIC blocked, auto: 153 s of retries, then the fallback; the pre-check says so within 10 s."""
    haste = 50
    only = OnlyTcp(tunnel.port)
    program = tunnel.run(FELHOM_STAND_IN_HASTE=str(haste))
    degraded = "Environment ready with degraded transport. cloudflared will proceed using 'http2'."
    program.says(degraded)
    seconds_to_pre_check = (time.monotonic() - program.start) * haste
    switched = program.says("Switching to fallback protocol http2")
    seconds_to_fallback = (time.monotonic() - program.start) * haste
    assert "protocol=http2" in program.says("Registered tunnel connection")
    lines = program.lines
    assert lines.index(program.says(degraded)) < lines.index(switched)
    assert " WRN If this log occurs persistently" in lines[lines.index(switched) - 1]
    dials = [line for line in lines if "Failed to dial a quic connection" in line]
    assert len(dials) == 9
    no_word = 'error="failed to dial to edge with quic: timeout: no recent network activity" connIndex=0'
    assert all(no_word in line for line in dials)
    # 45 s of handshakes, and waits by chance. The start of Python counts fifty times here.
    assert seconds_to_fallback > max(45, seconds_to_pre_check)
    only.server.close()


def test_a_protocol_that_was_chosen_is_kept(tunnel):
    """Source (connection/protocol.go): who picks a protocol sticks to it no matter what."""
    only = OnlyTcp(tunnel.port)
    program = tunnel.run(FELHOM_STAND_IN_HASTE="200", TUNNEL_TRANSPORT_PROTOCOL="quic")
    program.says("If this log occurs persistently")
    time.sleep(0.5)
    assert not any("fallback" in line for line in program.lines)
    only.server.close()


@pytest.mark.parametrize("protocol", ["quic", "http2"])
def test_it_reconnects_by_itself(tunnel, protocol):
    """real-programs.md: edge gone: reconnects by itself. The 90 s of being healthy are the health check's own."""
    edge = tunnel.edge()
    program = tunnel.run(FELHOM_STAND_IN_HASTE="10", TUNNEL_TRANSPORT_PROTOCOL=protocol)
    program.says("connIndex=3")
    edge.kill()
    program.says("Lost connection with the edge")
    end = time.monotonic() + LIMIT
    while tunnel.ready()[0] != 503:
        assert time.monotonic() < end
    known = len(program.lines)
    tunnel.edge()
    while not any("Registered" in line for line in program.lines[known:]):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_the_edge_notes_what_is_lost(tunnel):
    """Of the bed: seconds without a tunnel are counted from it, also where the program was killed."""
    edge = tunnel.edge()
    program = tunnel.run(TUNNEL_TRANSPORT_PROTOCOL="quic")
    program.says("connIndex=3")
    program.kill()
    assert json.loads(edge.says('"lost"'))["protocol"] == "quic"


@pytest.mark.parametrize("level, said", [("info", True), ("warn", False)])
def test_how_much_it_says(tunnel, level, said):
    """images.md: TUNNEL_LOGLEVEL."""
    tunnel.edge()
    program = tunnel.run(TUNNEL_LOGLEVEL=level)
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        try:
            if tunnel.ready()[0] == 200:
                break
        except OSError:
            time.sleep(0.05)
    assert any("Registered" in line for line in program.lines) == said
