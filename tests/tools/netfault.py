#!/usr/bin/env python3
"""netfault.py --to HOST:PORT [--rules FILE] [--delay-ms N] [--log FILE]

A bad network and a bad server in one: a proxy on loopback that passes HTTP requests on to a real server
and spoils those that a rule picks. Prints its own port and serves until it is killed.

FILE is a JSON list of rules, read anew for each request, so that a test may change it; the first rule that
fits a request and is not used up is applied:

  match     regular expression, searched in "METHOD PATH?QUERY"
  skip      let so many that fit pass first (0)
  times     then spoil so many, all without it
  do        what happens, below
  and its arguments

Without passing the request on:
  status    answers `status` with `headers`, `body`
  reset     reads `bytes` of the request's body, then resets the connection
  stall     reads it and never answers
  garbage   answers with bytes that are no HTTP
  headers   answers with header lines without end
  lie       answers 200, stored nothing
Passing it on first:
  lost      closes without an answer: success that nobody hears of
  after     answers `status` though it was done
  cut       sends `bytes` of the answer's body, then resets
  close     sends the header and closes, as "200, then nothing"
  drip      sends one byte of the body a `every_ms` (1000)
  longer    says a Content-Length that is `bytes` more than comes
  shorter   says one that is `bytes` less
  flip      changes one bit in the middle of the body
  insert    puts `text` into the body in front of `before`
  endless   repeats the body after `before` for ever, as one answer
  replay    answers what it answered to the same request first: a stale listing
  date      moves the Date header by `seconds`
"""

import argparse
import email.utils
import http.client
import json
import os
import re
import socket
import struct
import sys
import threading
import time

MAX_BODY = 1 << 28


class Rules:
    """The rules file and how often each was used."""

    def __init__(self, path):
        self.path = path
        self.text = None
        self.rules = []
        self.lock = threading.Lock()

    def pick(self, line):
        with self.lock:
            self.reload()
            for rule in self.rules:
                if re.search(rule["match"], line) and self.use(rule):
                    return rule
        return None

    def reload(self):
        if not self.path:
            return
        with open(self.path, encoding="utf-8") as f:
            text = f.read()
        if text != self.text:
            self.text = text
            self.rules = json.loads(text or "[]")

    @staticmethod
    def use(rule):
        seen = rule["seen"] = rule.get("seen", 0) + 1
        after = seen - rule.get("skip", 0)
        return after > 0 and ("times" not in rule or after <= rule["times"])


class Request:
    def __init__(self, sock, stream):
        self.sock = sock
        self.stream = stream
        self.line = stream.readline(65536).decode("latin-1").rstrip("\r\n")
        self.headers = []
        self.body_len = 0
        if not self.line:
            return
        self.method, self.path, _ = self.line.split(" ", 2)
        while True:
            h = stream.readline(65536).decode("latin-1").rstrip("\r\n")
            if not h:
                break
            name, value = h.split(":", 1)
            self.headers.append((name, value.strip()))
            if name.lower() == "content-length":
                self.body_len = int(value)
            if name.lower() == "expect":
                sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    def body(self, limit=MAX_BODY):
        return self.stream.read(min(self.body_len, limit))


class Answer:
    def __init__(self, status, reason, headers, body, head_only=False):
        self.status, self.reason, self.headers, self.body = status, reason, headers, body
        self.head_only = head_only

    def head(self, length=None):
        lines = ["HTTP/1.1 %d %s" % (self.status, self.reason or "-")]
        for name, value in self.headers:
            if name.lower() in ("transfer-encoding", "connection", "content-length"):
                continue
            lines.append("%s: %s" % (name, value))
        if length is not None:
            lines.append("Content-Length: %d" % length)
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def length(self):
        if self.head_only:
            for name, value in self.headers:
                if name.lower() == "content-length":
                    return int(value)
        return len(self.body)


def pass_on(server, request, body):
    conn = http.client.HTTPConnection(*server, timeout=60)
    conn.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
    for name, value in request.headers:
        if name.lower() not in ("connection", "expect"):
            conn.putheader(name, value)
    conn.endheaders()
    if body:
        conn.send(body)
    got = conn.getresponse()
    answer = Answer(got.status, got.reason, got.getheaders(), got.read(), request.method == "HEAD")
    conn.close()
    return answer


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise ConnectionError("reset on purpose")


def close(_sock):
    raise ConnectionError("closed on purpose")


# Each takes (sock, rule, request) and may end the connection by ConnectionError.


def do_status(sock, rule, request):
    request.body()
    body = rule.get("body", "").encode()
    a = Answer(rule["status"], "made up", list(rule.get("headers", {}).items()), body)
    sock.sendall(a.head(len(body)) + (b"" if request.method == "HEAD" else body))


def do_reset(sock, rule, request):
    request.body(rule.get("bytes", 0))
    reset(sock)


def do_stall(sock, _rule, request):
    request.body()
    while sock.recv(1):
        pass
    close(sock)


def do_garbage(sock, _rule, request):
    request.body()
    sock.sendall(b"\x00\xff SSH-2.0-not-what-you-think\r\n" * 20)
    close(sock)


def do_headers(sock, _rule, request):
    request.body()
    sock.sendall(b"HTTP/1.1 200 OK\r\n")
    n = 0
    while True:
        sock.sendall(b"X-%d: %s\r\n" % (n, b"y" * 1000))
        n += 1


def do_lie(sock, _rule, request):
    request.body()
    sock.sendall(Answer(200, "OK", [], b"").head(0))


BEFORE = {
    "status": do_status, "reset": do_reset, "stall": do_stall, "garbage": do_garbage,
    "headers": do_headers, "lie": do_lie,
}

# Each takes (sock, rule, answer).


def do_lost(sock, _rule, _answer):
    close(sock)


def do_after(sock, rule, _answer):
    sock.sendall(Answer(rule["status"], "after all", list(rule.get("headers", {}).items()), b"").head(0))


def do_cut(sock, rule, answer):
    sock.sendall(answer.head(answer.length()) + answer.body[: rule.get("bytes", 0)])
    time.sleep(0.05)
    reset(sock)


def do_close(sock, _rule, answer):
    sock.sendall(answer.head(answer.length()))
    close(sock)


def do_drip(sock, rule, answer):
    sock.sendall(answer.head(answer.length()))
    for i in range(len(answer.body)):
        sock.sendall(answer.body[i : i + 1])
        time.sleep(rule.get("every_ms", 1000) / 1000)


def do_longer(sock, rule, answer):
    sock.sendall(answer.head(len(answer.body) + rule["bytes"]) + answer.body)
    close(sock)


def do_shorter(sock, rule, answer):
    sock.sendall(answer.head(max(0, len(answer.body) - rule["bytes"])) + answer.body)
    close(sock)


def do_flip(sock, _rule, answer):
    body = bytearray(answer.body)
    if body:
        body[len(body) // 2] ^= 1
    sock.sendall(answer.head(len(body)) + bytes(body))


def do_insert(sock, rule, answer):
    body = answer.body.replace(rule["before"].encode(), (rule["text"] + rule["before"]).encode(), 1)
    sock.sendall(answer.head(len(body)) + body)


def do_endless(sock, rule, answer):
    at = answer.body.find(rule["before"].encode())
    start = answer.body[: max(at, 0)]
    part = rule.get("text", "").encode() or answer.body[at:]
    sock.sendall(answer.head() + start)
    while True:
        sock.sendall(part * (1 + 65536 // max(1, len(part))))


first_answers = {}


def do_replay(sock, _rule, answer):
    sock.sendall(answer.head(len(answer.body)) + answer.body)


def do_date(sock, rule, answer):
    when = email.utils.formatdate(time.time() + rule["seconds"], usegmt=True)
    answer.headers = [h for h in answer.headers if h[0].lower() != "date"] + [("Date", when)]
    send(sock, answer)


AFTER = {
    "lost": do_lost, "after": do_after, "cut": do_cut, "close": do_close, "drip": do_drip,
    "longer": do_longer, "shorter": do_shorter, "flip": do_flip, "insert": do_insert,
    "endless": do_endless, "replay": do_replay, "date": do_date,
}


def send(sock, answer):
    sock.sendall(answer.head(answer.length()) + answer.body)


def serve_one(sock, stream, options, rules, log):
    request = Request(sock, stream)
    if not request.line:
        return False
    line = "%s %s" % (request.method, request.path)
    rule = rules.pick(line)
    log("%s%s" % (line, " (%s)" % rule["do"] if rule else ""))
    time.sleep(options.delay_ms / 1000)
    if rule and rule["do"] in BEFORE:
        BEFORE[rule["do"]](sock, rule, request)
        return True
    answer = pass_on(options.to, request, request.body())
    remembered = first_answers.setdefault(line, answer)
    if rule:
        AFTER[rule["do"]](sock, rule, remembered if rule["do"] == "replay" else answer)
    else:
        send(sock, answer)
    return True


def serve(sock, options, rules, log):
    stream = sock.makefile("rb", 1 << 16)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while serve_one(sock, stream, options, rules, log):
            pass
    except (OSError, http.client.HTTPException, ValueError):
        pass
    finally:
        stream.close()
        sock.close()


def address(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--to", type=address, required=True)
    parser.add_argument("--rules")
    parser.add_argument("--delay-ms", type=int, default=0)
    parser.add_argument("--log")
    options = parser.parse_args()
    lock = threading.Lock()

    def log(text):
        if options.log:
            with lock, open(options.log, "a", encoding="utf-8") as f:
                f.write(text + "\n")

    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    print(listener.getsockname()[1], flush=True)
    rules = Rules(options.rules)
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=serve, args=(sock, options, rules, log), daemon=True).start()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(0)
    finally:
        sys.stdout.flush()
        os._exit(0)
