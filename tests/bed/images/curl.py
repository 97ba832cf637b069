#!/usr/bin/python3 -IS
"""The part of curl that a health check uses, for the stand-in of FileBrowser, whose image has the real one."""

# http.client would cost more than all the rest, every few seconds.
import socket
import sys

url = [word for word in sys.argv[1:] if word.startswith("http://")][0]
place, _, path = url.removeprefix("http://").partition("/")
host, _, port = place.partition(":")
try:
    with socket.create_connection((host, int(port or 80)), timeout=5) as connection:
        connection.sendall(f"GET /{path} HTTP/1.0\r\nHost: {place}\r\n\r\n".encode())
        status = int(connection.recv(64).split()[1])
except (OSError, IndexError) as error:
    sys.exit(f"curl: (7) {error}")
if status >= 400:
    print(f"curl: (22) The requested URL returned error: {status}", file=sys.stderr)
    sys.exit(22)
