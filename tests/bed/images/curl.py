#!/usr/bin/python3 -IS
"""The part of curl that a health check uses, for the stand-in of FileBrowser, whose image has the real one."""

import http.client
import sys

url = [word for word in sys.argv[1:] if word.startswith("http://")][0]
host, _, path = url.removeprefix("http://").partition("/")
try:
    connection = http.client.HTTPConnection(host, timeout=5)
    connection.request("GET", "/" + path)
    status = connection.getresponse().status
except OSError as error:
    sys.exit(f"curl: (7) {error}")
if status >= 400:
    print(f"curl: (22) The requested URL returned error: {status}", file=sys.stderr)
    sys.exit(22)
