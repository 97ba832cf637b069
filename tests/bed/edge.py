"""Plays Cloudflare's edge for the tunnel's stand-in: registers connections and holds them, and writes down which.

edge.py ADDRESS PORT FOLDER TUNNEL=DIGEST...   the SHA-256 of the secret of each tunnel that it knows; of others it
takes any. A file in FOLDER, called as a guest's address, has that of the only secret that it takes from there.

The same few words, in datagrams for QUIC and in lines of TCP for HTTP/2: "hello NUMBER TUNNEL DIGEST", "ping", "bye",
"probe". What is registered, unregistered or lost is a line of JSON on standard output.
"""

from __future__ import annotations

import json
import socket
import socketserver
import sys
import threading
import time
from pathlib import Path

IDLE = 5  # seconds of silence after which a connection of datagrams is lost
REFUSAL = "Unauthorized: Invalid tunnel secret"

Peer = tuple[str, int]


class Edge:
    """The connections there are, of both kinds."""

    def __init__(self, secrets: dict[str, str], folder: Path) -> None:
        self._secrets, self._folder = secrets, folder
        self._connections: dict[tuple[str, Peer], str] = {}
        self._heard: dict[Peer, float] = {}
        self._lock = threading.Lock()

    def answer(self, protocol: str, peer: Peer, words: list[str]) -> str:
        """What it says; nothing to who speaks of a connection that it does not know."""
        with self._lock:
            match words:
                case ["probe"]:
                    return "probe"
                case ["hello", number, tunnel, digest]:
                    if self._expected(peer[0], tunnel) not in (None, digest):
                        self._note("refused", protocol, peer, number)
                        return f"refused {REFUSAL}"
                    self._connections[protocol, peer] = number
                    self._heard[peer] = time.monotonic()
                    self._note("registered", protocol, peer, number)
                    return "registered"
                case ["ping"] if (protocol, peer) in self._connections:
                    self._heard[peer] = time.monotonic()
                    return "pong"
                case ["bye"] if (protocol, peer) in self._connections:
                    self._note("unregistered", protocol, peer, self._connections.pop((protocol, peer)))
                    return "gone"
        return ""

    def _expected(self, guest: str, tunnel: str) -> str | None:
        try:
            return (self._folder / guest).read_text()
        except FileNotFoundError:
            return self._secrets.get(tunnel)

    def lose(self, protocol: str, peer: Peer) -> None:
        """A connection has ended without a word."""
        with self._lock:
            if (protocol, peer) in self._connections:
                self._note("lost", protocol, peer, self._connections.pop((protocol, peer)))

    def forget_the_silent(self) -> None:
        """For ever."""
        while True:
            time.sleep(1)
            for protocol, peer in list(self._connections):
                if protocol == "quic" and time.monotonic() - self._heard[peer] > IDLE:
                    self.lose(protocol, peer)

    @staticmethod
    def _note(what: str, protocol: str, peer: Peer, number: str) -> None:
        noted = {"time": time.time(), "guest": peer[0], "what": what, "protocol": protocol, "number": int(number)}
        print(json.dumps(noted), flush=True)


def serve(address: str, port: int, folder: Path, secrets: dict[str, str]) -> None:
    edge = Edge(secrets, folder)

    class Lines(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                self.wfile.write(edge.answer("http2", self.client_address, line.decode().split()).encode() + b"\n")

        def finish(self) -> None:
            edge.lose("http2", self.client_address)

    class Listener(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True
        # The others are tried again after a second and more: four connections of each guest, which may start together.
        request_queue_size = 128

        def handle_error(self, *_request: object) -> None:
            """Whoever goes away in the middle of a word."""

    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind((address, port))
    listener = Listener((address, port), Lines)
    for job in (listener.serve_forever, edge.forget_the_silent):
        threading.Thread(target=job, daemon=True).start()
    while True:
        data, peer = datagrams.recvfrom(1024)
        if said := edge.answer("quic", peer, data.decode(errors="replace").split()):
            datagrams.sendto(said.encode(), peer)


if __name__ == "__main__":
    address, port, folder, *known = sys.argv[1:]
    serve(address, int(port), Path(folder), dict(each.split("=") for each in known))
