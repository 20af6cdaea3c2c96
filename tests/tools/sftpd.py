#!/usr/bin/env python3
"""sftpd.py MODE: an SFTP server of version 3 on stdin and stdout, over the real file system.

"plain" is poor but right: listings without attributes, answers of at most 1000 bytes, status without words, and of the
extensions hardlink alone, on a file system that has no links. Every other mode
breaks the protocol, or lies, in the one way that its name says (see `spoil`): "idle-link" says OK to a link and makes none, as
rclone 1.60 does, "idle" to a RENAME as well. Arguments after MODE are ssh's and not looked at.
"""
import os
import struct
import sys
import time

MODE = sys.argv[1]
STATUS, HANDLE, DATA, NAME, ATTRS = 101, 102, 103, 104, 105
OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT, OPENDIR, READDIR = 3, 4, 5, 6, 7, 8, 11, 12
REMOVE, MKDIR, STAT, RENAME, EXTENDED = 13, 14, 17, 18, 200
handles = {}


def u32(value):
    return struct.pack(">I", value)


def text(value):
    return u32(len(value)) + value


def send(kind, body, length=None):
    packet = bytes([kind]) + body
    sys.stdout.buffer.write(u32(len(packet) if length is None else length) + packet)
    sys.stdout.buffer.flush()


def exactly(n):
    data = sys.stdin.buffer.read(n)
    if len(data) < n:
        sys.exit(0)
    return data


def attrs(st):
    size = 1 << 62 if MODE == "liar" else st.st_size - (MODE == "short-write")
    return u32(15) + struct.pack(">QIIIII", size, st.st_uid, st.st_gid, st.st_mode, int(st.st_atime), int(st.st_mtime))


class Packet:
    def __init__(self, data):
        self.data, self.at = data, 0

    def u32(self):
        self.at += 4
        return struct.unpack_from(">I", self.data, self.at - 4)[0]

    def u64(self):
        return self.u32() << 32 | self.u32()

    def text(self):
        length = self.u32()
        self.at += length
        return self.data[self.at - length : self.at]


def names(handle):
    """The next three names of a folder, without attributes."""
    left = handles[handle]
    part, handles[handle] = left[:3], left[3:]
    if not part:
        return STATUS, u32(1)
    return NAME, u32(len(part)) + b"".join(text(name) + text(b"") + u32(0) for name in part)


def new_handle(value):
    handle = b"h%d" % len(handles)
    handles[handle] = value
    return HANDLE, text(handle)


def answer(kind, p):
    if kind == OPEN:
        path, flags = p.text(), p.u32()
        mode = (os.O_RDWR if flags & 2 else os.O_RDONLY) | (os.O_CREAT if flags & 8 else 0) | (os.O_EXCL if flags & 32 else 0)
        return new_handle(os.open(path, mode, 0o600))
    if kind == CLOSE:
        value = handles[p.text()]
        if isinstance(value, int):
            os.close(value)
    elif kind == READ:
        handle, offset, length = p.text(), p.u64(), p.u32()
        data = os.pread(handles[handle], min(length, 1000), offset)
        return (DATA, text(data)) if data else (STATUS, u32(1))
    elif kind == WRITE:
        handle, offset = p.text(), p.u64()
        os.pwrite(handles[handle], p.text(), offset)
    elif kind in (LSTAT, STAT):
        return ATTRS, attrs((os.lstat if kind == LSTAT else os.stat)(p.text()))
    elif kind == FSTAT:
        return ATTRS, attrs(os.fstat(handles[p.text()]))
    elif kind == OPENDIR:
        return new_handle([b".", b".."] + os.listdir(p.text()))
    elif kind == READDIR:
        return names(p.text())
    elif kind == REMOVE:
        os.remove(p.text())
    elif kind == MKDIR:
        os.mkdir(p.text(), 0o700)
    elif kind == RENAME and MODE != "idle":
        old, new = p.text(), p.text()
        os.link(old, new)
        os.remove(old)
    elif kind == EXTENDED:
        return STATUS, u32(0 if MODE.startswith("idle") else 4)
    elif kind != RENAME:
        return STATUS, u32(8)
    return STATUS, u32(0)


def listed(*entries):
    """A NAME body; each entry with the attributes of a file of 5 bytes."""
    what = u32(15) + struct.pack(">QIIIII", 5, 0, 0, 0o100400, 1, 1)
    return u32(len(entries)) + b"".join(text(e) + text(b"") + what for e in entries)


ENDLESS = listed(*[b"%064x" % n for n in range(200)])
BAD_NAMES = listed(
    b"..", b"../" + b"0" * 61, b"/etc/passwd", b"", b"A" * 64, b"0" * 63, b"0" * 65, b"\0" * 64, b"\x1b[2J\n", b".tmp-0123456789abcdef",
    b"7" * 64, b"7" * 64,
)


def spoil(kind, ident):
    """True when the mode has answered this request in its own way."""
    if MODE == "wrong-id" and kind == LSTAT:
        send(ATTRS, u32(ident + 7) + u32(0))
    elif MODE == "old-id" and kind == LSTAT:
        send(ATTRS, u32(ident + 1024) + u32(0))
    elif MODE == "twice" and kind == LSTAT:
        send(STATUS, u32(ident) + u32(2))
        send(STATUS, u32(ident) + u32(2))
    elif MODE == "huge" and kind == LSTAT:
        send(ATTRS, u32(ident), 0xFFFFFFFF)
    elif MODE == "empty" and kind == LSTAT:
        sys.stdout.buffer.write(u32(0))
        sys.stdout.buffer.flush()
    elif MODE == "nonsense" and kind == LSTAT:
        send(77, u32(ident))
    elif MODE == "long-text" and kind == LSTAT:
        send(STATUS, u32(ident) + u32(4) + text(b"\x1b[31mred\nline " + b"x" * 100000) + text(b""))
    elif MODE == "ok-handle" and kind == OPEN:
        send(STATUS, u32(ident) + u32(0))
    elif MODE == "long-handle" and kind == OPEN:
        send(HANDLE, u32(ident) + text(b"h" * 257))
    elif MODE == "long-data" and kind == READ:
        send(DATA, u32(ident) + text(b"x" * 40000))
    elif MODE == "no-data" and kind == READ:
        send(DATA, u32(ident) + text(b""))
    elif MODE == "early-eof" and kind == READ:
        send(STATUS, u32(ident) + u32(1))
    elif MODE == "half" and kind == READ:
        sys.stdout.buffer.write(u32(9 + 1000) + bytes([DATA]) + u32(ident) + u32(1000) + b"x" * 300)
        sys.stdout.buffer.flush()
        sys.exit(0)
    elif MODE == "stall" and kind == READ:
        time.sleep(600)
    elif MODE == "endless" and kind == READDIR:
        send(NAME, u32(ident) + ENDLESS)
    elif MODE == "many-names" and kind == READDIR:
        send(NAME, u32(ident) + u32(0xFFFFFFFF) + ENDLESS[4:])
    elif MODE == "bad-names" and kind == READDIR and not handles.get("told"):
        handles["told"] = True
        send(NAME, u32(ident) + BAD_NAMES)
    else:
        return False
    return True


def begin():
    if MODE == "greeting":
        sys.stdout.write("Welcome to the machine\n")
    elif MODE == "gone":
        sys.exit(0)
    elif MODE == "complains":
        sys.stderr.write("first line\n\x1b[1mlast\x07 line\n\n")
        sys.exit(1)
    elif MODE == "deaf":
        time.sleep(600)
    exactly(9)
    send(2, u32(2 if MODE == "old" else 3) + text(b"hardlink@openssh.com") + text(b"1"))


begin()
while True:
    (size,) = struct.unpack(">I", exactly(4))
    packet = Packet(exactly(size)[0:])
    kind = packet.data[0]
    packet.at = 1
    ident = packet.u32()
    if spoil(kind, ident):
        continue
    try:
        reply, body = answer(kind, packet)
    except FileNotFoundError:
        reply, body = STATUS, u32(2)
    except PermissionError:
        reply, body = STATUS, u32(3)
    except OSError:
        reply, body = STATUS, u32(4)
    send(reply, u32(ident) + body)
