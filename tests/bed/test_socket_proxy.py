"""The socket filter's stand-in, as a process on loopback before an engine of a few lines.

Each fact is of shared/facts/real-programs.md, "socket-proxy 1.13.1", or of its source (cmd/socket-proxy, config.go).
"""

from __future__ import annotations

import http.client
import signal
import socket
import socketserver
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from test_cloudflared import LIMIT, Program, free_port

BED = Path(__file__).resolve().parent
ALLOW = ["-allowGET=/v1\\..{1,2}/(version|events)", "-allowHEAD=/_ping"]


class Engine(socketserver.ThreadingUnixStreamServer):
    """Answers every request; what it is asked for as events does not end."""

    daemon_threads = True

    class RequestHandlerClass(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            if "events" not in self.path:
                self.send_header("Content-Length", "2")
            else:
                self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"ok" if "events" not in self.path else b"2\r\n{}\r\n")
            if "events" in self.path:
                self.rfile.read(1)

        do_HEAD = do_POST = do_GET

        def address_string(self) -> str:
            return ""

        def log_message(self, *_words: object) -> None:
            pass

    def __init__(self, path: str) -> None:
        super().__init__(path, self.RequestHandlerClass)


class Filter:
    def __init__(self, folder: Path) -> None:
        self.engine = Engine(str(folder / "docker.sock"))
        threading.Thread(target=self.engine.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        self.port = free_port()
        self.socket = str(folder / "docker.sock")
        self.programs: list[Program] = []

    def run(self, *options: str, **environment: str) -> Program:
        stand_in = BED / "images/socket_proxy.py"
        command = [sys.executable, "-IS", stand_in, f"-socketpath={self.socket}", f"-proxyport={self.port}", *options]
        self.programs.append(Program(*command, **environment))
        return self.programs[-1]

    def up(self, *options: str, **environment: str) -> Program:
        program = self.run(*options, **environment)
        end = time.monotonic() + LIMIT
        while time.monotonic() < end and program.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return program
            except OSError:
                time.sleep(0.01)
        raise AssertionError(program.lines)

    def ask(self, method: str, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)
        connection.request(method, path)
        answer = connection.getresponse()
        found = answer.status, answer.read().decode()
        connection.close()
        return found

    def events(self) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """A stream that is open, as Traefik keeps one."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)
        connection.request("GET", "/v1.45/events")
        answer = connection.getresponse()
        assert answer.read1(2) == b"{}"
        return connection, answer


@pytest.fixture
def proxy(tmp_path):
    made = Filter(tmp_path)
    yield made
    for program in made.programs:
        program.kill()
    made.engine.shutdown()
    made.engine.server_close()


@pytest.mark.parametrize(
    "method, path, answer",
    [
        ("GET", "/v1.45/version", (200, "ok")),
        ("HEAD", "/_ping", (200, "")),
        ("GET", "/v1.45/images/json", (403, "Forbidden\n")),
        ("GET", "/v1.45/version?a=b", (200, "ok")),
        ("GET", "/v1.45/..%2fversion", (403, "Forbidden\n")),
        ("GET", "//v1.45/version", (403, "Forbidden\n")),
        ("GET", "/v1.45/version%0a", (403, "Forbidden\n")),
        ("POST", "/v1.45/version", (405, "Method Not Allowed\n")),
        ("OPTIONS", "/v1.45/version", (405, "Method Not Allowed\n")),
    ],
)
def test_what_it_answers(proxy, method, path, answer):
    """405 for a method without a rule, 403 with "Forbidden" for all else, path tricks too."""
    program = proxy.up(*ALLOW, "-loglevel=warn")
    assert proxy.ask(method, path) == answer
    if answer[0] != 200:
        blocked = program.says("blocked request")
        assert f"method={method} URL={path} client=127.0.0.1:" in blocked and f"response={answer[0]}" in blocked


def test_other_addresses_are_refused(proxy):
    """403 for the guest's own and any other address."""
    proxy.up(*ALLOW, "-allowfrom=192.0.2.0/24")
    assert proxy.ask("GET", "/v1.45/version") == (403, "Forbidden\n")


def test_a_pattern_has_no_group_of_its_own(proxy):
    """Patterns become "^" + regex + "$" without a group: a|b must be (a|b)."""
    program = proxy.up("-allowGET=/v1.45/version|/_ping")
    assert proxy.ask("GET", "/v1.45/version/and/more")[0] == 200
    assert proxy.ask("GET", "/and/more/_ping")[0] == 200
    assert proxy.ask("GET", "/_ping/and/more")[0] == 403
    # "Prints its allow list at any log level."
    assert program.says("GET")


def test_options_replace_the_rules_of_the_environment(proxy):
    """effectiveMethodParams: options for a method replace what the environment says of it."""
    proxy.up("-allowGET=/_ping", SP_ALLOW_GET="/v1.45/version", SP_ALLOW_HEAD="/_ping", SP_ALLOW_HEAD_2="/other")
    assert proxy.ask("GET", "/_ping")[0] == 200
    assert proxy.ask("GET", "/v1.45/version")[0] == 403
    assert proxy.ask("HEAD", "/_ping")[0] == proxy.ask("HEAD", "/other")[0] == 200


@pytest.mark.parametrize(
    "option, status",
    [
        ("-allowGET=(", 1),
        ("-loglevel=loud", 1),
        ("-listenip=traefik", 1),
        ("-proxyport=0", 1),
        ("-proxyport=many", 2),
        ("-unknown", 2),
        ("-socketpath=/nowhere", 2),
    ],
)
def test_how_it_ends_for_what_it_does_not_take(proxy, option, status):
    """Exit 1 for a bad configuration; by source 2 for an option that is none, and for a socket that is not there."""
    program = proxy.run(option)
    assert program.ends() == status
    assert ("error initializing config" in program.lines[-1]) == (status == 1)


def test_it_ends_only_after_the_streams(proxy):
    """Exits on SIGTERM only after the event stream ends, at most -shutdowngracetime later."""
    program = proxy.up(*ALLOW)
    connection, _answer = proxy.events()
    start = time.monotonic()
    program.process.send_signal(signal.SIGTERM)
    time.sleep(2)
    assert program.process.poll() is None
    connection.sock.shutdown(socket.SHUT_RDWR)
    assert program.ends() == 0
    assert 2 <= time.monotonic() - start < 8


@pytest.mark.parametrize("option, seconds", [([], 10), (["-shutdowngracetime=1"], 1), (["-shutdowngracetime=0"], 0)])
def test_it_waits_for_a_stream_no_longer_than_its_grace(proxy, option, seconds):
    """10.3 s with Traefik's stream open: its -shutdowngracetime is 10."""
    program = proxy.up(*ALLOW, *option)
    held = proxy.events()
    start = time.monotonic()
    program.process.send_signal(signal.SIGTERM)
    assert program.ends() == 0
    assert seconds <= time.monotonic() - start < seconds + 6
    assert program.says("timeout stopping server")
    held[0].close()


def test_it_ends_at_once_without_a_stream(proxy):
    """main.go: Shutdown returns as soon as nothing is being answered."""
    program = proxy.up(*ALLOW)
    assert proxy.ask("GET", "/v1.45/version")[0] == 200
    start = time.monotonic()
    program.process.send_signal(signal.SIGTERM)
    assert program.ends() == 0
    assert time.monotonic() - start < 6


def test_a_socket_that_is_replaced_ends_it(proxy, tmp_path):
    """Watchdog: exit 10."""
    program = proxy.up(*ALLOW, "-watchdoginterval=1", "-stoponwatchdog")
    (tmp_path / "docker.sock").unlink()
    assert program.ends() == 10
