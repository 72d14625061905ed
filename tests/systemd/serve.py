"""Serves a folder by HTTP: serve.py FOLDER ADDRESS PORT. Prints `ready` when it does."""
import functools
import http.server
import sys

folder, address, port = sys.argv[1:]
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
with http.server.ThreadingHTTPServer((address, int(port)), handler) as server:
    print("ready", flush=True)
    server.serve_forever()
