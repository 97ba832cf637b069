#!/usr/bin/python3 -IS
"""Stand-in for felhom-controller: reads bootstrap.json, keeps controller.yaml in its data volume, answers on 8080.

felhom-controller serve       the service
felhom-controller health      its health check
felhom-controller configure   settings as JSON from standard input, as if they had come from the hub
felhom-controller write-app NAME   a catalogue app with a relative bind mount, in the stacks folder as seen in here
"""

import json
import os
import signal
import socket
import sys

BOOTSTRAP = "/etc/felhom-bootstrap/bootstrap.json"
CONFIGURATION = "/data/controller.yaml"
STACKS = "/opt/docker/stacks"
PROTECTED = ["traefik", "cloudflared", "felhom-controller", "filebrowser"]


def customer_id():
    try:
        with open(BOOTSTRAP) as stream:
            found = json.load(stream)["customer"]["id"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, str) and found else None


def serve():
    # Not at the top: a health check would import it every few seconds.
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Api(BaseHTTPRequestHandler):
        def do_GET(self):
            answers = {
                "/health": {"status": "ok"},
                "/api/info": {
                    "hostname": socket.gethostname(),
                    "customer": customer_id(),
                    "configured": os.path.exists(CONFIGURATION),
                    "stacks_dir": STACKS,
                },
            }
            self.send_response(200 if self.path in answers else 404)
            self.end_headers()
            self.wfile.write(json.dumps(answers.get(self.path, {})).encode())

        def log_message(self, *_words):
            pass

    print("Stand-in for felhom-controller, made for felhom.base_infra's tests", flush=True)
    print(f"customer: {customer_id() or 'not known yet, waiting for ' + BOOTSTRAP}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    HTTPServer(("0.0.0.0", 8080), Api).serve_forever()


def health():
    try:
        with socket.create_connection(("127.0.0.1", 8080), timeout=3) as connection:
            connection.sendall(b"GET /health HTTP/1.0\r\n\r\n")
            sys.exit(0 if b" 200 " in connection.recv(64) else 1)
    except OSError:
        sys.exit(1)


def configure():
    settings = json.load(sys.stdin)
    if customer_id() is None:
        sys.exit(f"{BOOTSTRAP}: no customer.id")
    # JSON texts are YAML texts too; the layout is that of the real file.
    quote = json.dumps
    lines = [
        "# Written by felhom-controller. Do not edit.",
        "customer:",
        f"  id: {quote(customer_id())}",
        f"  domain: {quote(settings['domain'])}",
        f"  email: {quote(settings['email'])}",
        "infrastructure:",
        f"  cf_tunnel_token: {quote(settings['cf_tunnel_token'])}",
        f"  cf_api_token: {quote(settings['cf_api_token'])}",
        "paths:",
        f"  stacks_dir: {STACKS}",
        "stacks:",
        "  protected:",
        *(f"    - {name}" for name in PROTECTED),
        "assets:",
        '  url: ""',
    ]
    if settings.get("storage_paths"):
        lines += ["storage:", "  paths:", *(f"    - {quote(path)}" for path in settings["storage_paths"])]
    temporary = CONFIGURATION + ".tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write("\n".join(lines) + "\n")
    os.rename(temporary, CONFIGURATION)
    print("controller.yaml written")


def write_app(name):
    folder = os.path.join(STACKS, name)
    os.makedirs(os.path.join(folder, "data"), exist_ok=True)
    with open(os.path.join(folder, "data", "hello"), "w") as stream:
        stream.write(f"hello from {name}\n")
    with open(os.path.join(folder, "docker-compose.yml"), "w") as stream:
        stream.write(f"services:\n  {name}:\n    image: ${{IMAGE}}\n    command: [cat, /data/hello]\n")
        stream.write("    volumes: ['./data:/data']\n")


commands = {"serve": serve, "health": health, "configure": configure, "write-app": write_app}
if len(sys.argv) < 2 or sys.argv[1] not in commands:
    sys.exit(__doc__)
commands[sys.argv[1]](*sys.argv[2:])
