#!/usr/bin/python3 -IS
"""Stand-in for wollomatic/socket-proxy 1.13: the same flags and answers, read at upstream (cmd/socket-proxy).

A client that is not allowed gets 403, a method without a rule 405, a path that no rule matches 403. Rules match the
whole path and not the query.
"""

import http.client
import ipaddress
import os
import re
import signal
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "TRACE", "OPTIONS"]
DEFAULTS = {
    "allowfrom": "127.0.0.1/32",
    "allowhealthcheck": "false",
    "listenip": "127.0.0.1",
    "logjson": "false",
    "loglevel": "INFO",
    "proxyport": "2375",
    "shutdowngracetime": "10",
    "socketpath": "/var/run/docker.sock",
    "stoponwatchdog": "false",
    "watchdoginterval": "0",
    "allowbindmountfrom": "",
}
SWITCHES = ("allowhealthcheck", "logjson", "stoponwatchdog")


def die(text):
    print(text, file=sys.stderr, flush=True)
    sys.exit(2)


def settings(words):
    found = {name: os.environ.get(f"SP_{name.upper()}", value) for name, value in DEFAULTS.items()}
    rules = {method: [] for method in METHODS}
    for name, value in os.environ.items():
        match = re.fullmatch(r"SP_ALLOW_([A-Z]+)(_\w+)?", name)
        if match and match[1] in rules:
            rules[match[1]].append(value)
    words = list(words)
    while words:
        name, given, value = words.pop(0).lstrip("-").partition("=")
        if name in SWITCHES:
            found[name] = value if given else "true"
        elif name in DEFAULTS or name.removeprefix("allow") in rules:
            if not given:
                value = words.pop(0) if words else die(f"flag needs an argument: -{name}")
            if name in DEFAULTS:
                found[name] = value
            else:
                rules[name.removeprefix("allow")].append(value)
        else:
            die(f"flag provided but not defined: -{name}")
    try:
        patterns = {method: [re.compile(rule) for rule in given] for method, given in rules.items()}
    except re.error as error:
        die(f"invalid regex: {error}")
    return found, patterns


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    settings, rules = {}, {}

    def serve(self):
        path = self.path.partition("?")[0]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not self.allowed_client():
            self.refuse(403, "forbidden IP")
        elif not self.rules[self.command]:
            self.refuse(405, "method not allowed")
        elif not any(rule.fullmatch(path) for rule in self.rules[self.command]):
            self.refuse(403, "path not allowed")
        else:
            self.forward(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = do_CONNECT = serve

    def allowed_client(self):
        client = ipaddress.ip_address(self.client_address[0])
        for item in self.settings["allowfrom"].split(","):
            try:
                if client in ipaddress.ip_network(item):
                    return True
            except ValueError:
                try:
                    if str(client) in {entry[4][0] for entry in socket.getaddrinfo(item, None)}:
                        return True
                except OSError:
                    pass
        return False

    def refuse(self, status, reason):
        print(f"blocked request: {reason} method={self.command} path={self.path.partition('?')[0]}", flush=True)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def forward(self, body):
        try:
            upstream = UnixConnection(self.settings["socketpath"])
            kept = {name: value for name, value in self.headers.items() if name.lower() not in ("connection", "host")}
            upstream.request(self.command, self.path, body or None, kept)
            answer = upstream.getresponse()
        except OSError as error:
            print(f"socket not available: {error}", flush=True)
            self.refuse(502, "socket not available")
            return
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "date", "server"):
                self.send_header(name, value)
        chunked = answer.getheader("Content-Length") is None and self.command != "HEAD"
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            while data := answer.read1(65536):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data) if chunked else data)
                self.wfile.flush()
            if chunked:
                self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True
        finally:
            upstream.close()

    def log_message(self, *_words):
        pass


class Health(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_response(200 if socket_answers(Handler.settings["socketpath"]) else 503)
        self.end_headers()

    def log_message(self, *_words):
        pass


def socket_answers(path):
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path)
        return True
    except OSError:
        return False


def watch(interval):
    while True:
        time.sleep(interval)
        if not socket_answers(Handler.settings["socketpath"]):
            print("socket is unavailable", flush=True)
            if Handler.settings["stoponwatchdog"] == "true":
                os._exit(10)


def main():
    Handler.settings, Handler.rules = settings(sys.argv[1:])
    found = Handler.settings
    print("Stand-in for socket-proxy, made for felhom.base_infra's tests", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if not socket_answers(found["socketpath"]):
        die("socket not available")
    if found["allowhealthcheck"] == "true":
        health = ThreadingHTTPServer(("127.0.0.1", 55555), Health)
        threading.Thread(target=health.serve_forever, daemon=True).start()
    if int(found["watchdoginterval"]):
        threading.Thread(target=watch, args=(int(found["watchdoginterval"]),), daemon=True).start()
    ThreadingHTTPServer((found["listenip"], int(found["proxyport"])), Handler).serve_forever()


main()
