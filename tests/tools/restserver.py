#!/usr/bin/env python3
"""restserver.py [options] DIR: restic's rest-server, as far as a client can tell, for tests. Prints its port. As that does, it
refuses a name that is not the SHA-256 of the body (400), a name that is there (403) and types it does not know (404).
  --append-only      removes nothing but locks (403)
  --user NAME:PW     basic authentication (401); may be repeated
  --private          each user's repositories lie below /NAME/ (else 401)
  --tls CERT KEY     https
  --v1               speaks version 1 only: listings of bare names
  --skew SECONDS     its clock is so far off
  --delay SECONDS    each answer takes so long
  --log FILE         appends a line a request: method, path, status
Ends after --seconds (120), or when it is killed."""
import argparse
import base64
import hashlib
import http.server
import json
import os
import re
import ssl
import sys
import tempfile
import threading
import time

parser = argparse.ArgumentParser()
parser.add_argument("dir")
parser.add_argument("--append-only", action="store_true")
parser.add_argument("--user", action="append", default=[])
parser.add_argument("--private", action="store_true")
parser.add_argument("--tls", nargs=2)
parser.add_argument("--v1", action="store_true")
parser.add_argument("--skew", type=float, default=0)
parser.add_argument("--delay", type=float, default=0)
parser.add_argument("--log")
parser.add_argument("--seconds", type=float, default=120)
args = parser.parse_args()

V2 = "application/vnd.x.restic.rest.v2"
TYPES = ("data", "keys", "locks", "snapshots", "index")
HASH = re.compile("[0-9a-f]{64}")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # a head and its body in one packet

    def date_time_string(self, timestamp=None):
        return super().date_time_string((time.time() if timestamp is None else timestamp) + args.skew)

    def log_message(self, *what):
        pass

    def answer(self, status, body=b"", kind="text/plain", **headers):
        time.sleep(args.delay)
        if args.log:
            with open(args.log, "a", encoding="utf-8") as log:
                log.write(f"{self.command} {self.path} {status}\n")
        self.send_response(status)
        self.send_header("Content-Type", kind)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status, text):
        self.answer(status, text.encode() + b"\n")

    def allowed(self, parts):
        if not args.user:
            return True
        given = self.headers.get("Authorization", "")
        try:
            user = base64.b64decode(given.removeprefix("Basic "), validate=True).decode()
        except ValueError:
            return False
        private = parts and parts[0] == user.split(":")[0]
        return user in args.user and (private or not args.private)

    def handle_all(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, _, query = self.path.partition("?")
        parts = [p for p in path.split("/") if p]
        if not self.allowed(parts):
            self.answer(401, b"Unauthorized\n", WWW_Authenticate='Basic realm="restic"')
        elif ".." in parts:
            self.refuse(400, "bad path")
        elif path.endswith("/") and query == "create=true" and self.command == "POST":
            self.create(os.path.join(args.dir, *parts))
        elif parts and parts[-1] == "config" and not path.endswith("/"):
            self.object("config", os.path.join(args.dir, *parts), None, body)
        elif parts and parts[-1] in TYPES and path.endswith("/"):
            self.listing(os.path.join(args.dir, *parts))
        elif len(parts) > 1 and parts[-2] in TYPES:
            folder = os.path.join(args.dir, *parts[:-1])
            if parts[-2] == "data":
                folder = os.path.join(folder, parts[-1][:2])
            self.object(parts[-2], os.path.join(folder, parts[-1]), parts[-1], body)
        else:
            self.refuse(404, "404 page not found")

    do_GET = do_HEAD = do_POST = do_DELETE = handle_all

    def create(self, repo):
        for kind in TYPES:
            os.makedirs(os.path.join(repo, kind), exist_ok=True)
        self.answer(200)

    def listing(self, folder):
        if self.command != "GET":
            return self.refuse(405, "Method Not Allowed")
        if not os.path.isdir(folder):
            return self.refuse(404, "Not Found")
        found = []
        for at, _, names in os.walk(folder):
            found += [{"name": n, "size": os.path.getsize(os.path.join(at, n))} for n in names if HASH.fullmatch(n)]
        if args.v1 or self.headers.get("Accept") != V2:
            found, kind = [f["name"] for f in found], "application/vnd.x.restic.rest.v1"
        else:
            kind = V2
        return self.answer(200, json.dumps(found, separators=(",", ":")).encode(), kind)

    def object(self, kind, path, name, body):
        if self.command == "POST":
            return self.save(path, name, body)
        if not os.path.isfile(path):
            return self.refuse(404, "Not Found")
        if self.command == "HEAD":
            return self.answer(200, Content_Length=str(os.path.getsize(path)))
        if self.command == "GET":
            return self.give(path)
        if args.append_only and kind != "locks":
            return self.refuse(403, "Forbidden")
        os.unlink(path)
        return self.answer(200)

    def give(self, path):
        with open(path, "rb") as f:
            whole = f.read()
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if not wanted:
            return self.answer(200, whole, "application/octet-stream")
        first, last = int(wanted[1]), min(int(wanted[2]), len(whole) - 1)
        if first >= len(whole):
            return self.answer(416, b"invalid range\n", Content_Range=f"bytes */{len(whole)}")
        return self.answer(206, whole[first:last + 1], "application/octet-stream",
                           Content_Range=f"bytes {first}-{last}/{len(whole)}")

    def save(self, path, name, body):
        if name and hashlib.sha256(body).hexdigest() != name:
            return self.refuse(400, "Bad Request")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path))
        try:
            with os.fdopen(handle, "wb") as f:
                f.write(body)
            os.link(temporary, path)
        except FileExistsError:
            return self.refuse(403, "Forbidden")
        finally:
            os.unlink(temporary)
        return self.answer(200)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


server = Server(("127.0.0.1", 0), Handler)
if args.tls:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*args.tls)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print(server.server_port, flush=True)
sys.stdout.close()
threading.Timer(args.seconds, server.shutdown).start()
server.serve_forever()
