#!/usr/bin/python3 -IS
"""Stand-in for cloudflared: takes and refuses what the real one does, and says the same in its log.

Real: 2026.8.2, run for shared/facts/real-programs.md and images.md; its waits and counters are of its source
(supervisor/tunnel.go, retry/backoffhandler.go, prechecks). "The edge" is the test bed's edge.py, under the real names:
what stands for QUIC are datagrams of a few words, what stands for HTTP/2 are lines of the same words on TCP, without
TLS. No request is ever proxied. Not played: the name server's word on the initial protocol (QUIC comes first), IPv6,
and what several addresses of the edge are good for.

FELHOM_STAND_IN_HASTE divides the waits of its retries, so that a test need not wait 153 seconds for the fallback.
"""

import os
import select
import signal
import socket
import sys
import threading
import time

EDGES = ["region1.v2.argotunnel.com", "region2.v2.argotunnel.com"]
PORT = 7844
CONNECTIONS = 4
LEVELS = ["debug", "info", "warn", "error", "fatal"]
HASTE = float(os.environ.get("FELHOM_STAND_IN_HASTE", "1"))
HANDSHAKE = 5 / HASTE  # seconds for an answer to the first datagram
DIAL = 15 / HASTE  # seconds for a connection of TCP
PROBE = 5 / HASTE  # seconds for one try of the pre-check
IDLE = 5  # seconds of silence after which a connection is lost
PING = 1
DIALS = 8  # retries of a dial, after which another protocol is tried
LONGEST_GRACE = 180
SIGNALS = (signal.SIGTERM, signal.SIGINT)
ready = [False] * CONNECTIONS
had = {"quic": False, "http2": False}  # protocols that were connected with
stopping = threading.Event()
wake, waker = os.pipe()  # readable when the program is to end
level = "info"


def log(text, kind="INF", **fields):
    if {"DBG": "debug", "INF": "info", "WRN": "warn", "ERR": "error"}[kind] in LEVELS[LEVELS.index(level) :]:
        # The error comes first, then the others by name.
        words = [f"error={quoted(fields.pop('error'))}"] if "error" in fields else []
        words += [f"{name}={quoted(value)}" for name, value in sorted(fields.items())]
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        print(" ".join([at, kind, text, *words]), file=sys.stderr, flush=True)


def quoted(value):
    text = str(value)
    return '"' + text.replace('"', '\\"') + '"' if " " in text else text


def trouble(text, **fields):
    """An error while nothing is connected, a warning while something is."""
    log(text, "WRN" if any(ready) else "ERR", **fields)


def die(*lines, status=255):
    for line in lines:
        print(line, file=sys.stderr)
    sys.exit(status)


def options(words, known):
    """Options of one command; what it does not know ends the program, as with the real one."""
    found = {}
    rest = []
    words = list(words)
    while words:
        word = words.pop(0)
        if not word.startswith("-"):
            rest.append(word)
            continue
        name, _, value = word.lstrip("-").partition("=")
        if name not in known:
            die(f"Incorrect Usage: flag provided but not defined: -{name}")
        found[name] = value if "=" in word or name == "no-autoupdate" else (words.pop(0) if words else "")
    return found, rest


def token(found):
    """Tunnel and a digest of its secret; the bed's edge needs no more to know the right one."""
    import base64
    import binascii
    import hashlib
    import json
    import uuid

    value = found.get("token") or os.environ.get("TUNNEL_TOKEN", "")
    path = found.get("token-file") or os.environ.get("TUNNEL_TOKEN_FILE", "")
    if not value and path:
        try:
            with open(path) as stream:
                value = stream.read().strip()
        except OSError as error:
            die(f"Failed to read token file: open {path}: {os.strerror(error.errno).lower()}", USAGE)
    if not value:
        die(
            '"cloudflared tunnel run" requires the ID or name of the tunnel to run as the last command line argument'
            " or in the configuration file.",
            USAGE,
        )
    try:
        decoded = json.loads(base64.b64decode(value, validate=True))
        if not isinstance(decoded, dict) or not isinstance(decoded.get("a", ""), str):
            raise ValueError
        tunnel = uuid.UUID(decoded.get("t", "00000000-0000-0000-0000-000000000000"))
        secret = base64.b64decode(decoded.get("s", ""), validate=True)
    except (ValueError, AttributeError, TypeError, binascii.Error):
        die("Provided Tunnel token is not valid.", USAGE)
    return str(tunnel), hashlib.sha256(secret).hexdigest()


USAGE = "See 'cloudflared tunnel run --help'."


def duration(text):
    """Seconds of what Go calls a duration."""
    import re

    units = {"h": 3600, "m": 60, "s": 1, "ms": 0.001}
    if text != "0" and not re.fullmatch(r"(\d+(\.\d+)?(h|ms|m|s))+", text):
        die(f'Incorrect Usage: could not parse "{text}" as duration value', status=1)
    return sum(float(number) * units[unit] for number, _, unit in re.findall(r"(\d+(\.\d+)?)(h|ms|m|s)", text))


def serve_metrics(host, port):
    # Not at the top: what a health check imports, it imports every few seconds.
    import json
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Metrics(BaseHTTPRequestHandler):
        def do_GET(self):
            number = sum(ready)
            if self.path == "/ready":
                status = 200 if number else 503
                body = json.dumps(
                    {"status": status, "readyConnections": number, "connectorId": "00000000-0000-0000-0000-0"}
                )
            elif self.path == "/healthcheck":
                status, body = 200, "OK\n"
            elif self.path == "/metrics":
                status, body = 200, f"cloudflared_tunnel_ha_connections {number}\n"
            else:
                status, body = 404, "404 page not found\n"
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_words):
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_request):
            """Whoever asks need not hear the whole answer."""

    server = Server((host, port), Metrics)
    threading.Thread(target=server.serve_forever, daemon=True).start()


class Failed(Exception):
    """A connection that was not made (dial), was refused (refused), or was lost (lost)."""

    def __init__(self, kind, reason=""):
        super().__init__(reason)
        self.kind = kind


class Quic:
    """A connection of datagrams. A network that drops them, or answers that nobody is there, is the same: silence."""

    name = "quic"

    def __init__(self, address, timeout):
        self._address = address
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(timeout)

    def ask(self, words):
        try:
            self._socket.sendto(words.encode(), self._address)
            while True:
                answer, sender = self._socket.recvfrom(1024)
                if sender == self._address:
                    return answer.decode()
        except OSError:
            raise Failed("dial", "timeout: no recent network activity") from None

    def serve(self):
        """Until it is lost, or the program ends."""
        self._socket.settimeout(PING)
        silent_since = time.monotonic()
        while not stopping.wait(PING):
            try:
                self.ask("ping")
                silent_since = time.monotonic()
            except Failed:
                if time.monotonic() - silent_since > IDLE:
                    raise Failed("lost", "timeout: no recent network activity") from None
        self.ask("bye")

    def close(self):
        self._socket.close()


class Http2:
    """A connection of lines."""

    name = "http2"

    def __init__(self, address, timeout):
        try:
            self._socket = socket.create_connection(address, timeout=timeout)
        except OSError as error:
            what = "i/o timeout" if isinstance(error, TimeoutError) else f"connect: {os.strerror(error.errno).lower()}"
            raise Failed("dial", f"DialContext error: dial tcp {address[0]}:{address[1]}: {what}") from None

    def ask(self, words):
        try:
            self._socket.sendall(words.encode() + b"\n" if words else b"")
            answer = self._socket.recv(1024)
        except OSError:
            answer = b""
        if not answer:
            raise Failed("lost", "connection with edge closed")
        return answer.decode().strip()

    def serve(self):
        while self._socket in select.select([self._socket, wake], [], [])[0]:
            self.ask("")
        self.ask("bye")

    def close(self):
        self._socket.close()


class Connection:
    """One of the four: it is made again for ever, with another protocol where the first one fails."""

    def __init__(self, number, edge, tunnel, selected):
        self._number, self._edge, self._tunnel = number, edge, tunnel
        self._selected, self.protocol = selected, "http2" if selected == "http2" else "quic"
        self._tries = self._dials = 0
        self._fields = {"connIndex": number, "event": 0, "ip": edge[0]}

    def hold(self, connected):
        most = int(os.environ.get("TUNNEL_RETRIES", "5"))
        while not stopping.is_set():
            failed = self._once(connected)
            if failed is None:
                return
            falls_back = self._may_fall_back(failed)
            log(f"Retrying connection in up to {2 ** (self._tries + 1)}s", **self._fields)
            self._tries = min(self._tries + 1, most)
            if stopping.wait(random(2**self._tries) / HASTE):
                return
            unheard = failed.kind == "dial" and self.protocol == "quic"
            if falls_back and not had["quic"] and (self._tries == most or unheard):
                self._fall_back(unheard)

    def _once(self, connected):
        """Why it ended, None for the program's own end."""
        made = None
        try:
            made = (Quic if self.protocol == "quic" else Http2)(
                self._edge, HANDSHAKE if self.protocol == "quic" else DIAL
            )
            answer = made.ask(f"hello {self._number} {' '.join(self._tunnel)}")
            if answer.startswith("refused "):
                raise Failed("refused", answer.partition(" ")[2])
            self._registered(connected)
            made.serve()
            log("Unregistered tunnel connection", **self._fields)
        except Failed as failed:
            ready[self._number] = False
            if not stopping.is_set():
                self._say(failed)
                return failed
        finally:
            ready[self._number] = False
            # What is under way may end until the grace period does.
            if made is not None and not stopping.is_set():
                made.close()
        return None

    def _registered(self, connected):
        self._tries = self._dials = 0
        ready[self._number] = had[self.protocol] = True
        at = {"connection": "00000000-0000-4000-8000-00000000000" + str(self._number), "location": "bed01"}
        log("Registered tunnel connection", protocol=self.protocol, **at, **self._fields)
        connected.set()

    def _say(self, failed):
        if self.protocol == "quic" and failed.kind == "dial":
            trouble(
                "Failed to dial a quic connection", error=f"failed to dial to edge with quic: {failed}", **self._fields
            )
        elif self.protocol == "quic" and failed.kind == "refused":
            # Not a word of why.
            ended = "control stream encountered a failure while serving"
            log("failed to run the datagram handler", "ERR", error="context canceled", **self._fields)
            trouble("failed to serve tunnel connection", error=ended, **self._fields)
            trouble("Serve tunnel error", error=ended, **self._fields)
        elif failed.kind == "refused":
            trouble("Register tunnel error from server side", error=failed, **self._fields)
        elif failed.kind == "dial":
            trouble("Unable to establish connection with Cloudflare edge", error=failed, **self._fields)
            trouble("Serve tunnel error", error=failed, **self._fields)
        else:
            log("Lost connection with the edge", **self._fields)
            trouble("Serve tunnel error", error=failed, **self._fields)

    def _may_fall_back(self, failed):
        if failed.kind != "dial":
            return self.protocol == "quic"
        if self._dials < DIALS:
            self._dials += 1
            return False
        self._dials = 0
        return True

    def _fall_back(self, unheard):
        if unheard:
            log(
                "If this log occurs persistently, and cloudflared is unable to connect to Cloudflare Network with"
                " `quic` protocol, then most likely your machine/network is getting its egress UDP to port 7844 (or"
                " others) blocked or dropped.",
                "WRN",
                **self._fields,
            )
        if self._selected == "auto" and self.protocol == "quic":
            log("Switching to fallback protocol http2", **self._fields)
            self.protocol, self._tries = "http2", 0


def random(limit):
    """Seconds up to a limit."""
    return int.from_bytes(os.urandom(4), "big") / 2**32 * limit


def check_environment(edge, selected):
    """What the real one finds out beside its start, and shows in a box."""
    heard, reached = probe(Quic, edge), probe(Http2, edge)
    rows = [("COMPONENT", "TARGET", "STATUS", "DETAILS")]
    rows += [("DNS Resolution", name, "PASS", "DNS Resolved successfully") for name in EDGES]
    rows += [("UDP Connectivity", name, *result("QUIC", heard, "failed")) for name in EDGES]
    rows += [("TCP Connectivity", name, *result("HTTP/2", reached, "is blocked or unreachable")) for name in EDGES]
    rows += [("Cloudflare API", "api.cloudflare.com:443", "PASS", "API is reachable")]
    lines = ["  ".join(cell.ljust(28) for cell in row).rstrip() for row in rows]
    kind = "WARNING" if heard or reached else "ERROR"
    lines += [] if heard else [f"{kind}: Allow outbound QUIC traffic on port 7844 or use HTTP2."] * 2
    lines += [] if reached else [f"{kind}: Allow outbound TCP on port 7844."] * 2
    use = "http2" if reached and (selected == "http2" or not heard) else "quic"
    if heard and reached:
        summary = f"SUMMARY: Environment is healthy. cloudflared will use '{use}' as primary protocol."
    elif heard or reached:
        summary = f"SUMMARY: Environment ready with degraded transport. cloudflared will proceed using '{use}'."
    else:
        summary = "SUMMARY: Environment has critical failures. cloudflared may not be able to establish a tunnel."
    lines += ["", summary]
    width = max(map(len, lines))
    border = "+" + "-" * (width + 4) + "+"
    box = [border, "|  " + "CONNECTIVITY PRE-CHECKS".center(width) + "  |", border]
    for line in [*box, *(f"|  {line.ljust(width)}  |" for line in lines), border]:
        log(line)


def result(protocol, passed, words):
    return ("PASS", f"{protocol} connection successful") if passed else ("FAIL", f"{protocol} connection {words}")


def probe(kind, edge):
    """Whether the edge answers; the whole has ten seconds."""
    end = time.monotonic() + 10 / HASTE
    for pause in (1, 2, None):
        try:
            made = kind(edge, min(PROBE, max(end - time.monotonic(), 0.01)))
            made.ask("probe")
            made.close()
            return True
        except Failed:
            if pause is None or time.monotonic() + pause / HASTE > end:
                return False
            time.sleep(pause / HASTE)
    return False


def resolve():
    """Where the edge is. TUNNEL_EDGE is the real one's own, for its tests."""
    name, _, port = os.environ.get("TUNNEL_EDGE", f"{EDGES[0]}:{PORT}").partition(":")
    try:
        return socket.getaddrinfo(name, int(port), socket.AF_INET, socket.SOCK_STREAM)[0][4]
    except OSError as error:
        asked = "_v2-origintunneld._tcp.argotunnel.com"
        why = f"lookup {asked}: {error.strerror}"
        log("Failed to fetch features, default to disable", "ERR", error=why)
        log("edge discovery: error looking up Cloudflare edge IPs: the DNS query failed", "ERR", error=why)
        for line in (
            "Please try the following things to diagnose this issue:",
            '  1. ensure that argotunnel.com is returning "origintunneld" service records.',
            "     Run your system's equivalent of: dig srv _origintunneld._tcp.argotunnel.com",
            "  2. ensure that your DNS resolver is not returning compressed SRV records.",
            "     See GitHub issue https://github.com/golang/go/issues/27546",
            "     For example, you could use Cloudflare's 1.1.1.1 as your resolver:",
            "     https://developers.cloudflare.com/1.1.1.1/setting-up-1.1.1.1/",
        ):
            log(line, "ERR")
        log("Initiating shutdown", "ERR", error=f"Could not lookup srv records on {asked}: {why}")
        sys.exit(1)


def wait_for_the_end(grace):
    """Unregister at once, then wait the whole grace period, unless nothing is connected. A second signal ends it."""
    number = signal.sigwait(SIGNALS)
    name = {signal.SIGTERM: "terminated", signal.SIGINT: "interrupt"}[number]
    log(f"Initiating graceful shutdown due to signal {name} ...")
    connected = any(ready)
    stopping.set()
    os.close(waker)
    if connected:
        signal.sigtimedwait(SIGNALS, grace)
    log("Tunnel server stopped")


def run(found):
    global level
    level = found.get("loglevel") or os.environ.get("TUNNEL_LOGLEVEL", "info")
    grace = duration(found.get("grace-period") or os.environ.get("TUNNEL_GRACE_PERIOD", "30s"))
    protocol = os.environ.get("TUNNEL_TRANSPORT_PROTOCOL") or found.get("protocol", "auto")
    tunnel = token(found)
    if protocol not in ("auto", "quic", "http2"):
        die(f"unknown protocol {protocol}", status=1)
    if grace > LONGEST_GRACE:
        die("grace-period must be equal or less than 3m0s", status=1)
    host, _, port = (found.get("metrics") or os.environ.get("TUNNEL_METRICS", "0.0.0.0:20241")).rpartition(":")
    log("Stand-in for cloudflared, made for felhom.base_infra's tests: no traffic goes anywhere")
    log("Starting tunnel", tunnelID=tunnel[0])
    # Before the threads, which inherit it.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    log(f"Initial protocol {'http2' if protocol == 'http2' else 'quic'}")
    edge = resolve()
    serve_metrics(host, int(port))
    threading.Thread(target=check_environment, args=(edge, protocol), daemon=True).start()
    threading.Thread(target=connect, args=(edge, tunnel, protocol), daemon=True).start()
    wait_for_the_end(grace)
    os._exit(0)


def connect(edge, tunnel, selected):
    """The first connection, then the others with the protocol that it was made with."""
    first, connected = Connection(0, edge, tunnel, selected), threading.Event()
    threading.Thread(target=first.hold, args=(connected,), daemon=True).start()
    connected.wait()
    for number in range(1, CONNECTIONS):
        other = Connection(number, edge, tunnel, selected)
        other.protocol = first.protocol
        threading.Thread(target=other.hold, args=(threading.Event(),), daemon=True).start()
        time.sleep(1)


def ask_ready(found):
    address = found.get("metrics") or os.environ.get("TUNNEL_METRICS")
    if not address:
        print("--metrics has to be provided", file=sys.stderr)
        sys.exit(1)
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=3) as connection:
            connection.sendall(b"GET /ready HTTP/1.0\r\n\r\n")
            status = connection.recv(64).split()[1]
    except (OSError, IndexError):
        sys.exit(1)
    sys.exit(0 if status == b"200" else 1)


def main():
    known = {"no-autoupdate", "metrics", "token", "token-file", "protocol", "loglevel", "output", "edge-ip-version"}
    found, command = options(sys.argv[1:], known | {"grace-period"})
    if command[:2] == ["tunnel", "run"]:
        run(found)
    elif command[:2] == ["tunnel", "ready"]:
        ask_ready(found)
    elif command[:1] == ["version"]:
        print("cloudflared version 2026.10.0 (stand-in)")
    else:
        die(f"No help topic for '{' '.join(command)}'")


main()
