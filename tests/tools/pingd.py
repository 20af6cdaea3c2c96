#!/usr/bin/env python3
"""pingd.py FILE SECONDS [STATUS]: a monitor on 127.0.0.1 for tests. Prints its port, then writes a line a request to FILE:
its path, and its body as JSON. Answers with STATUS (200). Ends after SECONDS, or when it is killed."""
import http.server
import json
import sys
import threading

path, seconds = sys.argv[1], float(sys.argv[2])
status = int(sys.argv[3]) if len(sys.argv) > 3 else 200


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode("utf-8", "replace")
        with open(path, "a", encoding="utf-8") as log:
            log.write(self.path + " " + json.dumps(body) + "\n")
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
sys.stdout.close()
threading.Timer(seconds, server.shutdown).start()
server.serve_forever()
