"""Plays Cloudflare's API and name servers for zones of the bed: what lego asks of them, and nothing more.

cloudflare.py ADDRESS API_PORT DNS_PORT ZONE...   A token is good when it begins with test-customers-api-token.
"""

from __future__ import annotations

import json
import secrets
import socketserver
import struct
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

ADDRESS, API_PORT, DNS_PORT = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
ZONES = {zone: secrets.token_hex(16) for zone in sys.argv[4:]}
KEPT = 150  # seconds; lego gives up after 120
GOOD_TOKEN = "Bearer test-customers" + "-api-token"
TYPES = {"A": 1, "NS": 2, "SOA": 6, "TXT": 16}

records: dict[str, dict] = {}  # by id
lock = threading.Lock()


class Api(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if not self._allowed():
            return
        url = urlsplit(self.path)
        if url.path != "/client/v4/zones":
            self._answer(404, 7003, "Could not route to " + url.path)
            return
        wanted = parse_qs(url.query).get("name", list(ZONES))
        found = [{"id": ZONES[zone], "name": zone, "status": "active"} for zone in wanted if zone in ZONES]
        info = {"page": 1, "per_page": 50, "count": len(found), "total_count": len(found), "total_pages": 1}
        self._answer(200, result=found, result_info=info)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._allowed():
            return
        record = body | {"id": secrets.token_hex(16), "made": time.monotonic()}
        with lock:
            # A guest that is destroyed in the middle of it never takes its records away.
            for old in [old for old in records.values() if old["made"] < record["made"] - KEPT]:
                del records[old["id"]]
            records[record["id"]] = record
        self._answer(200, result=record)

    def do_DELETE(self) -> None:
        if not self._allowed():
            return
        with lock:
            gone = records.pop(self.path.rpartition("/")[2], None)
        self._answer(*((200,) if gone else (404, 81044, "Record does not exist.")), result=gone)

    def _allowed(self) -> bool:
        good = self.headers.get("Authorization", "").startswith(GOOD_TOKEN)
        if not good:
            self._answer(403, 9109, "Invalid access token")
        return good

    def _answer(self, status: int, code: int = 0, message: str = "", **more: object) -> None:
        errors = [{"code": code, "message": message}] if code else []
        body = json.dumps({"success": not errors, "errors": errors, "messages": [], **more}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def answer(query: bytes, with_data: bool = True) -> bytes:
    """A DNS answer: authoritative for the zones, refused for everything else."""
    number, end = query[:2], 12
    labels = []
    while query[end]:
        labels.append(query[end + 1 : end + 1 + query[end]].decode().lower())
        end += 1 + query[end]
    question = query[12 : end + 5]
    name, (kind,) = ".".join(labels), struct.unpack(">H", query[end + 1 : end + 3])
    zone = next((zone for zone in ZONES if name == zone or name.endswith("." + zone)), None)
    if zone is None:
        return number + struct.pack(">HHHHH", 0x8105, 1, 0, 0, 0) + question
    found = [data for has, data in _data(name, zone) if TYPES[has] == kind and with_data]
    packed = b"".join(_pack(b"\xc0\x0c", kind, data) for data in found)  # the name is where the question has it
    # What is not there is answered with the zone's SOA: "there is nothing", for no time at all.
    authority = b"" if found else _pack(_name(zone), TYPES["SOA"], _soa(zone))
    return number + struct.pack(">HHHHH", 0x8580, 1, len(found), 0, 0 if found else 1) + question + packed + authority


def _data(name: str, zone: str) -> list[tuple[str, bytes]]:
    data = []
    if name == zone:
        data += [("SOA", _soa(zone)), ("NS", _name(f"ns.{zone}"))]
    if name == f"ns.{zone}":
        data.append(("A", bytes(int(part) for part in ADDRESS.split("."))))
    with lock:
        texts = [
            entry["content"].strip('"').encode()
            for entry in records.values()
            if entry["type"] == "TXT" and entry["name"].lower().rstrip(".") == name
        ]
    return data + [("TXT", bytes([len(text)]) + text) for text in texts]


def _soa(zone: str) -> bytes:
    return _name(f"ns.{zone}") + _name(f"dns.{zone}") + struct.pack(">IIIII", 1, 60, 60, 60, 0)


def _name(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def _pack(name: bytes, kind: int, data: bytes) -> bytes:
    return name + struct.pack(">HHIH", kind, 1, 0, len(data)) + data


def _room(query: bytes) -> int:
    """How long an answer by UDP may be: what an OPT record at the end of the query says, else 512 bytes."""
    opt = query.rfind(b"\0\0\x29", 12)
    has_one = opt >= 0 and struct.unpack(">H", query[10:12])[0] > 0
    return max(512, struct.unpack(">H", query[opt + 3 : opt + 5])[0]) if has_one else 512


class Udp(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        query, connection = self.request
        whole = answer(query)
        cut = answer(query, with_data=False)
        # Pebble never asks by TCP, even when told that an answer was cut off: "No TXT records found for DNS challenge".
        fits = len(whole) <= _room(query)
        connection.sendto(whole if fits else cut[:2] + b"\x87\x80" + cut[4:], self.client_address)


class Tcp(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        (length,) = struct.unpack(">H", self.rfile.read(2))
        reply = answer(self.rfile.read(length))
        self.wfile.write(struct.pack(">H", len(reply)) + reply)


socketserver.TCPServer.allow_reuse_address = True
for server in (
    socketserver.ThreadingUDPServer((ADDRESS, DNS_PORT), Udp),
    socketserver.ThreadingTCPServer((ADDRESS, DNS_PORT), Tcp),
):
    threading.Thread(target=server.serve_forever, daemon=True).start()
ThreadingHTTPServer((ADDRESS, API_PORT), Api).serve_forever()
