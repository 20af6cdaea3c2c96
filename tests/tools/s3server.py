#!/usr/bin/env python3
"""s3server.py [OPTION=VALUE …]: a small S3 for tests on 127.0.0.1, objects in memory. Prints its port, ends with its
parent, when it is killed, or after seconds= (600).

It checks Signature Version 4 by code of its own, written from the documentation and sharing nothing with what it tests:
the header's form, scope, date, signed headers (all x-amz-* and host must be among them), and the body's hash.

  key=AKTEST secret=SKTEST token=      who may; token: a session token that must come along
  readonly=KEY:SECRET                  another key that may neither delete nor make buckets
  buckets=a,b                          that exist at first
  region=us-east-1 page=1000           page: most names of one page
  skew=0                               seconds that the server's clock is ahead; more than 900 apart is refused
  vhost=                               "s3.test": buckets by host name below it, as in bucket.s3.test
  faults=a,b                           norange: ignores Range; noif: 501 to If-None-Match; ignoreif; plainlist: no
                                       encoding-type; loop: pages without end; circle: two pages again and again; slow:
                                       each second request gets 503 SlowDown; shift: ranges begin a byte late; nodate; other: somebody
                                       else's config is put right after each; swift: an unknown key is
                                       SignatureDoesNotMatch; lie: 200 to a PUT, and nothing is kept
  log=FILE                             a line a request: method, path, query, status, storage class
"""
import calendar
import email.utils
import hashlib
import hmac
import http.server
import os
import re
import sys
import threading
import time
import urllib.parse
from xml.sax.saxutils import escape

OPTIONS = dict(key="AKTEST", secret="SKTEST", token="", readonly="", buckets="", region="us-east-1", page="1000",
               skew="0", vhost="", faults="", log="", seconds="600")
for word in sys.argv[1:]:
    name, _, value = word.partition("=")
    if name not in OPTIONS:
        sys.exit(__doc__)
    OPTIONS[name] = value
FAULTS = set(OPTIONS["faults"].split(","))
SECRETS = {OPTIONS["key"]: OPTIONS["secret"]}
if OPTIONS["readonly"]:
    SECRETS.update([OPTIONS["readonly"].rsplit(":", 1)])
BUCKETS = {name: {} for name in OPTIONS["buckets"].split(",") if name}
LOCK = threading.Lock()
REQUESTS = [0]


class Refused(Exception):
    def __init__(self, status, code, message="", more=""):
        super().__init__(code)
        self.status, self.code, self.message, self.more = status, code, message, more


def now():
    return time.time() + int(OPTIONS["skew"])


def mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def encoded(text, safe=""):
    return urllib.parse.quote(text, safe=safe + "-._~")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    def date_time_string(self, timestamp=None):
        return email.utils.formatdate(now(), usegmt=True)

    # --- who asks ---

    def check_signature(self, body):
        header = self.headers.get("Authorization")
        if not header:
            raise Refused(403, "AccessDenied", "no Authorization")
        form = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^ ,]+)/(\d{8})/([^/ ,]+)/s3/aws4_request, "
                            r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})", header)
        if not form:
            raise Refused(400, "AuthorizationHeaderMalformed", "it is not of the form")
        access, day, region, names, signature = form.groups()
        if access not in SECRETS:
            if "swift" in FAULTS:
                raise Refused(403, "SignatureDoesNotMatch", "The request signature we calculated does not match the "
                              "signature you provided. Check your key and signing method.")
            raise Refused(403, "InvalidAccessKeyId", "The Access Key Id you provided does not exist in our records.")
        if region != OPTIONS["region"]:
            raise Refused(400, "AuthorizationHeaderMalformed",
                          f"The authorization header is malformed; the region '{region}' is wrong; expecting "
                          f"'{OPTIONS['region']}'", f"<Region>{OPTIONS['region']}</Region>")
        names = names.split(";")
        must = {"host"} | {n.lower() for n in self.headers if n.lower().startswith("x-amz-")}
        if names != sorted(names) or not must <= set(names):
            raise Refused(403, "AccessDenied", "There were headers present in the request which were not signed")
        stamp = self.headers.get("x-amz-date", "")
        if not re.fullmatch(r"\d{8}T\d{6}Z", stamp) or not stamp.startswith(day):
            raise Refused(403, "AccessDenied", "no good x-amz-date")
        at = calendar.timegm(time.strptime(stamp, "%Y%m%dT%H%M%SZ"))
        claimed = self.headers.get("x-amz-content-sha256", "")
        path, _, query = self.path.partition("?")
        pairs = sorted(tuple((p.split("=", 1) + [""])[:2]) for p in query.split("&") if p)
        if any(encoded(urllib.parse.unquote(word)) != word for pair in pairs for word in pair):
            raise Refused(400, "InvalidURI", "the query is not encoded as it must be")
        canonical = "\n".join([
            self.command, path, "&".join(f"{k}={v}" for k, v in pairs),
            "".join(f"{n}:{' '.join(self.headers[n].split())}\n" for n in names), ";".join(names), claimed])
        text = "\n".join(["AWS4-HMAC-SHA256", stamp, f"{day}/{region}/s3/aws4_request",
                          hashlib.sha256(canonical.encode("latin-1")).hexdigest()])
        key = ("AWS4" + SECRETS[access]).encode()
        for word in (day, region, "s3", "aws4_request"):
            key = mac(key, word)
        if not hmac.compare_digest(mac(key, text).hex(), signature):
            raise Refused(403, "SignatureDoesNotMatch", "The request signature we calculated does not match the "
                          "signature you provided. Check your key and signing method.")
        if abs(at - now()) > 900:
            raise Refused(403, "RequestTimeTooSkewed",
                          "The difference between the request time and the current time is too large.")
        if hashlib.sha256(body).hexdigest() != claimed:
            raise Refused(400, "XAmzContentSHA256Mismatch", "the body is another")
        if OPTIONS["token"] and self.headers.get("x-amz-security-token") != OPTIONS["token"]:
            raise Refused(403, "InvalidToken", "The provided token is malformed or otherwise invalid.")
        return access

    # --- what is asked ---

    def where(self):
        raw, _, query = self.path.partition("?")
        if encoded(urllib.parse.unquote(raw), "/") != raw:
            raise Refused(400, "InvalidURI", "the path is not encoded as it must be")
        path = urllib.parse.unquote(raw)
        host = self.headers.get("Host", "").partition(":")[0]
        if OPTIONS["vhost"] and host.endswith("." + OPTIONS["vhost"]):
            bucket, key = host[:-len(OPTIONS["vhost"]) - 1], path[1:]
        else:
            bucket, _, key = path[1:].partition("/")
        return bucket, key, dict(urllib.parse.parse_qsl(query, keep_blank_values=True))

    def answer(self, status, body=b"", headers=(), length=None):
        if OPTIONS["log"]:
            with open(OPTIONS["log"], "a", encoding="utf-8") as log:
                log.write(f"{self.command} {self.path} {status} {self.headers.get('x-amz-storage-class', '-')}\n")
        self.send_response_only(status)
        if "nodate" not in FAULTS:
            self.send_header("Date", self.date_time_string())
        for name, value in headers:
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            with LOCK:
                REQUESTS[0] += 1
                if "slow" in FAULTS and REQUESTS[0] % 2:
                    raise Refused(503, "SlowDown", "Please reduce your request rate.")
                access = self.check_signature(body)
                bucket, key, query = self.where()
                limited = OPTIONS["readonly"] and access == OPTIONS["readonly"].rsplit(":", 1)[0]
                if limited and (self.command == "DELETE" or (self.command == "PUT" and not key)):
                    raise Refused(403, "AccessDenied", "Access Denied")
                if not key and self.command == "PUT":
                    if bucket in BUCKETS:
                        raise Refused(409, "BucketAlreadyOwnedByYou")
                    BUCKETS[bucket] = {}
                    return self.answer(200)
                if bucket not in BUCKETS:
                    raise Refused(404, "NoSuchBucket", "The specified bucket does not exist")
                if not key:
                    return self.list(BUCKETS[bucket], query)
                return self.object(BUCKETS[bucket], key, body)
        except Refused as why:
            text = (f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{why.code}</Code><Message>'
                    f"{escape(why.message)}</Message>{why.more}<RequestId>1</RequestId></Error>").encode()
            more = [("x-amz-bucket-region", OPTIONS["region"])] if why.more else []
            return self.answer(why.status, text, [("Content-Type", "application/xml"), ("Retry-After", "1")][:1 + (
                why.status == 503)] + more)

    do_GET = do_HEAD = do_PUT = do_DELETE = serve

    def object(self, objects, key, body):
        if self.command == "PUT":
            if self.headers.get("If-None-Match") and "noif" in FAULTS:
                raise Refused(501, "NotImplemented", "A header you provided implies functionality that is not "
                              "implemented")
            if self.headers.get("If-None-Match") == "*" and key in objects and "ignoreif" not in FAULTS:
                raise Refused(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
            if "lie" not in FAULTS:
                objects[key] = body
            if "other" in FAULTS and key.endswith("/config"):
                objects[key] = b"another's"
            return self.answer(200, headers=[("ETag", '"%s"' % hashlib.md5(body).hexdigest())])
        if self.command == "DELETE":
            objects.pop(key, None)
            return self.answer(204)
        if key not in objects:
            raise Refused(404, "NoSuchKey", "The specified key does not exist.")
        data = objects[key]
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if self.command == "HEAD" or not wanted or "norange" in FAULTS:
            return self.answer(200, data)
        first, last = int(wanted[1]), min(int(wanted[2]), len(data) - 1)
        if first >= len(data):
            raise Refused(416, "InvalidRange", "The requested range is not satisfiable")
        if "shift" in FAULTS:
            first, last = first + 1, last + 1
        return self.answer(206, data[first:last + 1], [("Content-Range", f"bytes {first}-{last}/{len(data)}")])

    def list(self, objects, query):
        if query.get("list-type") != "2":
            raise Refused(400, "InvalidArgument", "version 2 only")
        prefix, token = query.get("prefix", ""), query.get("continuation-token", "")
        after = urllib.parse.unquote(token[4:]) if token.startswith("a&b ") else ""
        if token and not token.startswith("a&b "):
            raise Refused(400, "InvalidArgument", "The continuation token provided is incorrect")
        most = min(int(query.get("max-keys", "1000")), int(OPTIONS["page"]))
        keys = sorted((k for k in objects if k.startswith(prefix) and k > after), key=lambda k: k.encode())
        page, more = keys[:most], len(keys) > most
        url = query.get("encoding-type") == "url" and "plainlist" not in FAULTS
        show = (lambda k: urllib.parse.quote_plus(k, safe="/")) if url else escape
        following = "a&b " + encoded(page[-1]) if more else ""
        if "loop" in FAULTS:
            more, following = True, "a&b "
        if "circle" in FAULTS:
            more, following = True, "a&b " + ("" if token == "a&b %00" else "%00")
        text = ['<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult '
                'xmlns="http://s3.amazonaws.com/doc/2006-03-01/">', f"<Prefix>{show(prefix)}</Prefix>",
                "<EncodingType>url</EncodingType>" if url else "", f"<KeyCount>{len(page)}</KeyCount>",
                f"<IsTruncated>{'true' if more else 'false'}</IsTruncated>"]
        text += [f"<Contents><Key>{show(k)}</Key><ETag>&quot;{hashlib.md5(objects[k]).hexdigest()}&quot;</ETag>"
                 f"<Size>{len(objects[k])}</Size><StorageClass>STANDARD</StorageClass></Contents>" for k in page]
        if more:
            text.append(f"<NextContinuationToken>{escape(following)}</NextContinuationToken>")
        return self.answer(200, "".join(text + ["</ListBucketResult>"]).encode())


def end_with_parent(parent, until):
    while os.getppid() == parent and time.monotonic() < until:
        time.sleep(0.3)
    os._exit(0)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True


server = Server(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
os.close(1)
threading.Thread(target=end_with_parent, args=(os.getppid(), time.monotonic() + float(OPTIONS["seconds"])),
                 daemon=True).start()
server.serve_forever()
