#!/usr/bin/python3 -IS
"""Stand-in for wollomatic/socket-proxy 1.13.1: the same flags, answers and end, read at upstream and run once
(shared/facts/real-programs.md).

A client that is not allowed gets 403, a method without a rule 405, a path that no rule matches 403. Rules are matched
with the path, its escapes undone, and not with the query. Not played: lists by container label, a socket to listen on.
"""

import contextlib
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
from urllib.parse import unquote

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


NUMBERS = ("proxyport", "shutdowngracetime", "watchdoginterval")
LEVELS = ("DEBUG", "INFO", "WARN", "ERROR")
# Requests that are being answered; an end waits for them.
under_way = threading.Semaphore(0)
SIGNALS = (signal.SIGTERM, signal.SIGINT)


def die(text, status=2):
    print(text, file=sys.stderr, flush=True)
    sys.exit(status)


def refuse_configuration(text):
    die(f'ERROR error initializing config error="{text}"', 1)


def settings(words):
    found = {name: os.environ.get(f"SP_{name.upper()}") or value for name, value in DEFAULTS.items()}
    # What is no number in the environment is as if it were not there.
    found |= {name: DEFAULTS[name] for name in NUMBERS if not found[name].isdecimal()}
    of_environment, rules = {method: [] for method in METHODS}, {method: [] for method in METHODS}
    for name, value in os.environ.items():
        match = re.fullmatch(r"SP_ALLOW_([A-Z]+)(_\w+)?", name)
        if match and match[1] in rules:
            of_environment[match[1]].append(value)
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
    for name in NUMBERS:
        if not found[name].isdecimal():
            die(f'invalid value "{found[name]}" for flag -{name}: parse error')
    check(found)
    # The options for a method replace what the environment says of it.
    return found, {method: compiled(method, rules[method] or of_environment[method]) for method in METHODS}


def check(found):
    if not 1 <= int(found["proxyport"]) <= 65535:
        refuse_configuration("port number has to be between 1 and 65535")
    try:
        ipaddress.ip_address(found["listenip"])
    except ValueError:
        refuse_configuration(f'invalid IP "{found["listenip"]}" for listenip')
    if found["loglevel"].upper() not in LEVELS:
        refuse_configuration(f"invalid log level {found['loglevel']}: Supported levels are {', '.join(LEVELS)}")


def compiled(method, rules):
    try:
        # Without a group: of a|b the first is bound to the beginning only. Go's $ is Python's \Z.
        return [re.compile(f"^{rule}\\Z") for rule in rules if rule]
    except re.error as error:
        refuse_configuration(f'invalid regex "{rules}" for method {method}: {error}')


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = self.kept = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)

    def hang_up_after(self, client):
        """A stream ends when whoever reads it has gone, and not only when there is something more for them."""
        if not client.recv(1, socket.MSG_PEEK):
            self.kept.shutdown(socket.SHUT_RDWR)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    settings, rules, server_of_all = {}, {}, None

    def serve(self):
        under_way.release()
        try:
            self.answer()
        finally:
            under_way.acquire()

    def parse_request(self):
        parsed = super().parse_request()
        # The class makes one slash of several at the beginning; the real one does not.
        self.path = self.requestline.split()[1] if parsed else ""
        return parsed

    def answer(self):
        path = unquote(self.path.partition("?")[0])
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not self.allowed_client():
            self.refuse(403, "forbidden IP")
        elif not self.rules[self.command]:
            self.refuse(405, "method not allowed")
        elif not any(rule.search(path) for rule in self.rules[self.command]):
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
        client = "{}:{}".format(*self.client_address)
        asked = f"method={self.command} URL={self.path} client={client} response={status}"
        print(f'level=WARN msg="blocked request" reason="{reason}" {asked}', flush=True)
        body = f"{http.client.responses[status]}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def forward(self, body):
        try:
            upstream = UnixConnection(self.settings["socketpath"])
            kept = {name: value for name, value in self.headers.items() if name.lower() not in ("connection", "host")}
            upstream.request(self.command, self.path, body or None, kept)
            answer = upstream.getresponse()
        except OSError as error:
            print(f"http: proxy error: dial unix {self.settings['socketpath']}: {error.strerror}", flush=True)
            self.send_response(502)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "date", "server"):
                self.send_header(name, value)
        chunked = answer.getheader("Content-Length") is None and self.command != "HEAD"
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
            threading.Thread(target=self.watch_client, args=(upstream,), daemon=True).start()
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

    def watch_client(self, upstream):
        with contextlib.suppress(OSError):
            upstream.hang_up_after(self.connection)

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
                end(10)


def end(status):
    """What is being answered may go on for a while: Traefik's stream of events does so for ever."""
    Handler.server_of_all.shutdown()
    until = time.monotonic() + int(Handler.settings["shutdowngracetime"])
    while under_way.acquire(blocking=False):
        under_way.release()
        if time.monotonic() > until:
            print('level=WARN msg="timeout stopping server" error="context deadline exceeded"', flush=True)
            break
        time.sleep(0.01)
    os._exit(status)


def main():
    Handler.settings, Handler.rules = settings(sys.argv[1:])
    found = Handler.settings
    print("Stand-in for socket-proxy, made for felhom.base_infra's tests", flush=True)
    print("Default request allowlist:\n   Method   Regex", flush=True)
    for method, patterns in Handler.rules.items():
        if patterns:
            print(f"   {method:<8} [{' '.join(rule.pattern for rule in patterns)}]", flush=True)
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    if not socket_answers(found["socketpath"]):
        die("socket not available")
    if found["allowhealthcheck"] == "true":
        health = ThreadingHTTPServer(("127.0.0.1", 55555), Health)
        threading.Thread(target=health.serve_forever, daemon=True).start()
    if int(found["watchdoginterval"]):
        threading.Thread(target=watch, args=(int(found["watchdoginterval"]),), daemon=True).start()
    server = Handler.server_of_all = ThreadingHTTPServer((found["listenip"], int(found["proxyport"])), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    signal.sigwait(SIGNALS)
    end(0)


main()
