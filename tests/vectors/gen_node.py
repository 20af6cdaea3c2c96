#!/usr/bin/env python3
"""Writes node.inc and manifest.inc: nodes and manifest parts by FORMAT.md §7 and §8, without nightjar's code.

    python3 tests/vectors/gen_node.py
"""
import hashlib
import hmac
import os
import struct


def u8(v):
    return struct.pack("<B", v)


def u16(v):
    return struct.pack("<H", v)


def u32(v):
    return struct.pack("<I", v)


def u64(v):
    return struct.pack("<Q", v)


def i64(v):
    return struct.pack("<q", v)


def str16(s):
    return u16(len(s)) + s


def str32(s):
    return u32(len(s)) + s


def an_id(n):
    return bytes((n + i) & 255 for i in range(32))


def entry(name, kind, mode, rest, link=0, xattrs=(), mtime=(0, 0), user=b"", group=b"", uid=0, gid=0):
    out = str16(name) + u8(kind) + u16(mode) + u32(uid) + u32(gid) + str16(user) + str16(group)
    out += i64(mtime[0]) + u32(mtime[1]) + u64(link) + u16(len(xattrs))
    for key, value in xattrs:
        out += str16(key) + str32(value)
    return out + rest


def file_rest(size, encoding, shape, count, extents=()):
    out = u64(size) + u8(encoding) + u8(shape) + u32(count) + u32(len(extents))
    return out + b"".join(u64(o) + u64(n) for o, n in extents)


list_ = u32(3) + u8(3) + an_id(0) + u8(2) + an_id(1) + u8(1) + an_id(2)

entries = [
    entry(b"a-file", 1, 0o644, file_rest(3_000_000, 0, 0, 2), link=0x1122334455667788,
          xattrs=[(b"user.a", b"\x00\x01"), (b"user.b", b"")], mtime=(1700000000, 999999999),
          user=b"app", group=b"www", uid=1000, gid=1001),
    entry(b"big", 1, 0o600, file_rest(1 << 40, 0, 1, 1), mtime=(-1, 0)),
    entry(b"db.sqlite", 1, 0o640, file_rest(8192, 1, 0, 1)),
    entry(b"dir", 2, 0o7777, b""),
    entry(b"empty", 1, 0, file_rest(0, 0, 0, 0)),
    entry(b"fifo", 4, 0o600, b""),
    entry(b"hole", 1, 0o600, file_rest(1 << 30, 0, 0, 0, [(0, 0)])),
    entry(b"link", 3, 0o777, str16(b"../a-file")),
    entry(b"null", 6, 0o666, u32(1) + u32(3)),
    entry(b"sda", 7, 0o660, u32(8) + u32(0)),
    entry(b"socket", 5, 0o755, b""),
    entry(b"sparse", 1, 0o600, file_rest(1 << 20, 0, 0, 1, [(0, 4096), (8192, 4096)])),
    entry(b"\xff\xfe", 2, 0o755, b""),
]
tree = u8(0) + u32(len(entries)) + b"".join(entries)
inner = u8(1) + u32(2) + str16(b"a") + u64(512) + str16(b"n") + u64(3)
chunks = u8(0) + u8(0) + u32(3) + u32(1 << 20) + u32(1) + u32(4 << 20)
chunk_lists = u8(2) + u8(0) + u32(2) + u64(1 << 40) + u64(5)

id_key = bytes(range(32, 64))


def mac(data):
    return hmac.new(id_key, data, hashlib.sha256).digest()


host, sources, tags = b"app1", [b"/srv/app", b"/var/lib/x"], [b"nightly", b"prod"]
group = mac(b"group" + str16(host) + b"".join(str16(s) for s in sources))
tag_macs = sorted(mac(b"tag" + t) for t in tags)
verdicts = [1, 3]
maint = u16(1) + an_id(7) + group + u16(len(tag_macs)) + b"".join(tag_macs)
maint += u32(len(verdicts)) + bytes(verdicts) + u64(12) + u64(34567) + u64(890)
maint += u8(2) + u8(1)


def database(path, method, reason, verdict, text, tables):
    out = str16(path) + u8(method) + str16(reason) + u32(4096) + u64(25) + u8(1) + str16(b"wal") + u8(2)
    out += u32(7) + u32(0xFFFFFFFF) + an_id(3) + an_id(4) + u64(102400)
    out += u64(2600) + u64(1 << 40) + u64(777) + u8(1) + u8(verdict) + str16(text)
    out += str16(b"3.40.1") + i64(-5) + i64(6) + u32(len(tables))
    return out + b"".join(str16(n) + u64(r) for n, r in tables)


read = str16(host) + str16(b"root") + str16(b"0.1")
read += u16(len(tags)) + b"".join(map(str16, tags)) + u16(len(sources)) + b"".join(map(str16, sources))
read += i64(1000) + i64(2000) + u64(1) + u32(2)
read += database(b"/srv/app/a.db", 1, b"", 1, b"", [(b"notes", 3), (b"users", 1 << 63)])
read += database(b"/srv/app/b.db", 2, b"no such module: fts9", 3, b"no such module", [])


def reference(name, query, named, missing, orphans):
    return str16(name) + str16(query) + u64(named) + u64(missing) + u64(orphans)


read += u16(2) + reference(b"b.db", b"SELECT path FROM files", 300, 2, 1 << 33)
read += reference(b"app/a.db", b"SELECT 'x'", 1, 1, 0)
read += u64(5) + u64(6) + u8(1) + an_id(9)


def write(name, arrays):
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, name), "w", encoding="ascii") as out:
        out.write("/* Made by tests/vectors/gen_node.py. */\n")
        for key, data in arrays:
            digits = data.hex()
            lines = [digits[i:i + 96] for i in range(0, len(digits), 96)]
            out.write("static const char %s[] =\n" % key)
            out.write("\n".join('\t"%s"' % line for line in lines) + ";\n")


write("node.inc", [("list_hex", list_), ("tree_hex", tree), ("inner_hex", inner),
                   ("chunks_hex", chunks), ("chunk_lists_hex", chunk_lists)])
write("manifest.inc", [("maint_hex", maint), ("read_hex", read)])


def seed(target, name, data):
    """A fuzzer's first inputs are the vectors themselves."""
    here = os.path.dirname(os.path.abspath(__file__))
    folder = os.path.join(here, "..", "..", "fuzz", "corpus", target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as out:
        out.write(data)


seed("list", "tree", list_)
seed("list", "chunks", u32(2) + u8(5) + an_id(0) + u8(1) + an_id(1))
seed("tree", "all-types", tree)
seed("tree", "inner", inner)
seed("tree", "empty", u8(0) + u32(0))
seed("listbody", "chunks", chunks)
seed("listbody", "lists", chunk_lists)
seed("manifest", "maintenance", u8(0) + maint)
seed("manifest", "reading", u8(1) + read)
