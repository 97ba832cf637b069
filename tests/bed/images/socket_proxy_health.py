#!/usr/bin/python3 -IS
"""The health check program beside socket-proxy: asks its health port."""

import socket
import sys

try:
    with socket.create_connection(("127.0.0.1", 55555), timeout=3) as connection:
        connection.sendall(b"HEAD /health HTTP/1.0\r\n\r\n")
        sys.exit(0 if b" 200 " in connection.recv(64) else 1)
except OSError:
    sys.exit(1)
