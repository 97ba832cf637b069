#!/usr/bin/python3 -IS
"""Stand-in for cloudflared: takes and refuses what the real one does, and connects to an edge that only accepts.

Real: 2026.8.2, run for shared/facts/images.md. Here "the edge" is a TCP listener of the test bed under the real names.
"""

import os
import signal
import socket
import sys
import threading
import time

EDGES = ["region1.v2.argotunnel.com", "region2.v2.argotunnel.com"]
CONNECTIONS = 4
ready = [False] * CONNECTIONS


def log(text, level="INF"):
    print(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), level, text, file=sys.stderr, flush=True)


def die(*lines):
    for line in lines:
        print(line, file=sys.stderr)
    sys.exit(255)


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
    import base64
    import binascii
    import json

    value = found.get("token") or os.environ.get("TUNNEL_TOKEN", "")
    path = found.get("token-file") or os.environ.get("TUNNEL_TOKEN_FILE", "")
    if not value and path:
        try:
            with open(path) as stream:
                value = stream.read()
        except OSError as error:
            die(f"Failed to read token file: open {path}: {os.strerror(error.errno).lower()}")
    value = value.strip()
    if not value:
        die('"cloudflared tunnel run" requires the ID or name of the tunnel to run as the last command line argument.')
    try:
        decoded = json.loads(base64.b64decode(value, validate=True))
        if not isinstance(decoded, dict):
            raise ValueError
    except (ValueError, binascii.Error):
        die("Provided Tunnel token is not valid.", "See 'cloudflared tunnel run --help'.")
    return decoded


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

    ThreadingHTTPServer((host, port), Metrics).serve_forever()


def hold(number):
    """Keep one connection to the edge, again and again."""
    pause = 1
    while True:
        try:
            with socket.create_connection((EDGES[number % 2], 7844), timeout=5) as connection:
                connection.settimeout(None)
                ready[number], pause = True, 1
                log(f"Registered tunnel connection connIndex={number}")
                while connection.recv(1024):
                    pass
            log(f"Lost connection with the edge connIndex={number}", "WRN")
        except OSError as error:
            log(f"Unable to establish connection with Cloudflare edge connIndex={number} error={error}", "ERR")
        ready[number] = False
        time.sleep(pause)
        pause = min(pause * 2, 5)


def run(found):
    protocol = os.environ.get("TUNNEL_TRANSPORT_PROTOCOL") or found.get("protocol", "auto")
    if protocol not in ("auto", "quic", "http2"):
        print(f"unknown protocol {protocol}", file=sys.stderr)
        sys.exit(1)
    tunnel = token(found)
    host, _, port = (found.get("metrics") or os.environ.get("TUNNEL_METRICS", "0.0.0.0:20241")).rpartition(":")
    log("Stand-in for cloudflared, made for felhom.base_infra's tests: no traffic goes anywhere")
    log(f"Starting tunnel tunnelID={tunnel.get('t', '00000000-0000-0000-0000-000000000000')}")
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    try:
        socket.getaddrinfo(EDGES[0], 7844)
    except OSError as error:
        log(f"Failed to fetch features, default to disable error={error}", "ERR")
        print("could not lookup srv records on _v2-origintunneld._tcp.argotunnel.com", file=sys.stderr)
        sys.exit(1)
    threading.Thread(target=serve_metrics, args=(host, int(port)), daemon=True).start()
    for number in range(CONNECTIONS):
        threading.Thread(target=hold, args=(number,), daemon=True).start()
    while True:
        signal.pause()


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
    found, command = options(sys.argv[1:], known)
    if command[:2] == ["tunnel", "run"]:
        run(found)
    elif command[:2] == ["tunnel", "ready"]:
        ask_ready(found)
    elif command[:1] == ["version"]:
        print("cloudflared version 2026.10.0 (stand-in)")
    else:
        die(f"No help topic for '{' '.join(command)}'")


main()
