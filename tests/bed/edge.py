"""Plays Cloudflare's edge for the tunnel's stand-in: accepts connections and holds them."""

import socketserver
import sys


class Hold(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while self.request.recv(1024):
            pass


class Edge(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    # The others are tried again after a second and more: four connections of each guest, which may start together.
    request_queue_size = 128


Edge((sys.argv[1], 7844), Hold).serve_forever()
