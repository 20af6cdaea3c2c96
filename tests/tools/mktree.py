#!/usr/bin/env python3
"""mktree.py DIR [MANY]: makes a folder with one of everything that a backup must bring back: every type of entry,
odd names, modes, owners, times, links, holes, attributes. What needs root is made when this is root. Names
what it made less of than it could, a line each, on stdout. One folder has MANY files, 5000 if not said."""
import os
import random
import socket
import stat
import subprocess
import sys

top = os.fsencode(sys.argv[1])
root = os.geteuid() == 0
many_files = int(sys.argv[2]) if len(sys.argv) > 2 else 5000
noise = random.Random(1)


def at(*parts):
    return os.path.join(top, *parts)


def write(path, data=b"", mode=None):
    with open(path, "wb") as f:
        f.write(data)
    if mode is not None:
        os.chmod(path, mode)
    return path


def folder(path, mode=0o755):
    os.mkdir(path)
    os.chmod(path, mode)
    return path


def missing(what, why):
    print(f"without {what}: {why}")


def attempt(what, call):
    try:
        call()
    except (OSError, subprocess.SubprocessError) as e:
        missing(what, e)


def files():
    write(at(b"empty"))
    write(at(b"one byte"), b"x")
    write(at(b"text"), b"some words\n" * 1000)
    write(at(b"zeros"), bytes(300_000))
    for size in (4095, 4096, 4097, 262_143, 262_144, 262_145, 4_194_305):
        write(at(b"noise-%d" % size), noise.randbytes(size))
    write(at(b"no database"), b"SQLite format 3")
    folder(at(b"nothing in it"))


def large():
    with open(at(b"large"), "wb") as f:
        for _ in range(72):
            f.write(noise.randbytes(1 << 20))


def many():
    folder(at(b"many"))
    for i in range(many_files):
        write(at(b"many", b"file %d" % i), b"%d" % i if i % 3 else b"")


def names():
    d = folder(at(b"names"))
    for name in (b"\xff\xfe not utf-8", b"new\nline", b"tab\t", b" ", b"  two", b"-rf", b"*", b"?", b"[a]",
                 b"back\\slash", b"quote'\"", b"\x01\x7f", "ünïcödé ☃".encode(), "ä".encode(),
                 "a\u0308".encode(), b"x" * 255, b".hidden", b"...", b"a:b", b"%41", b"$HOME", b"{}",
                 b"end.", b"a-wal", b"b-journal", b"c-shm", b".nightjar-0123abcd.tmp"):
        write(os.path.join(d, name), name)
    for i in range(1, 256):
        if i != ord("/") and i != ord("."):
            open(os.path.join(d, b"byte " + bytes([i])), "wb").close()


def deep():
    here = at(b"deep")
    for i in range(200):
        folder(here)
        if i % 50 == 49:
            write(os.path.join(here, b"leaf"), b"%d" % i)
        here = os.path.join(here, b"level%d" % i)


def modes():
    d = folder(at(b"modes"))
    for mode in (0o000, 0o400, 0o600, 0o644, 0o755, 0o777, 0o4755, 0o2755, 0o6711, 0o1644, 0o7777):
        if root or mode & 0o400:
            write(os.path.join(d, b"file-%o" % mode), b"%o" % mode, mode)
    for mode in (0o500, 0o555, 0o700, 0o755, 0o777, 0o1777, 0o2755, 0o3770) + ((0o000,) if root else ()):
        sub = folder(os.path.join(d, b"folder-%o" % mode), 0o755)
        write(os.path.join(sub, b"inside"), b"inside")
        os.chmod(sub, mode)


def owners():
    d = folder(at(b"owners"))
    for uid, gid in ((1, 1), (54321, 65432), (0, 12), (2**32 - 2, 2**32 - 2)):
        p = write(os.path.join(d, b"%d-%d" % (uid, gid)), b"owned", 0o640)
        os.chown(p, uid, gid)
    p = write(os.path.join(d, b"setuid of another"), b"owned")
    os.chown(p, 54321, 65432)
    os.chmod(p, 0o6755)
    p = os.path.join(d, b"link")
    os.symlink(b"nowhere", p)
    os.lchown(p, 54321, 65432)
    p = folder(os.path.join(d, b"folder"))
    os.chown(p, 54321, 65432)
    os.chmod(p, 0o2750)


def links():
    d = folder(at(b"links"))
    other = folder(at(b"links", b"other folder"))
    os.symlink(b"no such thing", os.path.join(d, b"dangling"))
    os.symlink(b"/etc/passwd", os.path.join(d, b"absolute"))
    os.symlink(b"../text", os.path.join(d, b"relative"))
    os.symlink(b".", os.path.join(d, b"loop"))
    os.symlink(b"\xff\n\x01", os.path.join(d, b"odd"))
    os.symlink(b"l" * 4000, os.path.join(d, b"long"))
    first = write(os.path.join(d, b"hard 1"), noise.randbytes(5000))
    os.link(first, os.path.join(d, b"hard 2"))
    os.link(first, os.path.join(other, b"hard 3"))
    os.link(first, at(b"hard 0"))
    os.link(write(os.path.join(d, b"empty 1")), os.path.join(d, b"empty 2"))
    write(os.path.join(d, b"same as empty"))
    os.link(os.path.join(d, b"dangling"), os.path.join(other, b"hard symlink"), follow_symlinks=False)


def sparse():
    d = folder(at(b"sparse"))
    for name, size, data in (
            (b"hole first", 4 << 20, [((4 << 20) - 70_000, 70_000)]),
            (b"hole between", 8 << 20, [(0, 65_536), (5 << 20, 100_000), ((8 << 20) - 1, 1)]),
            (b"hole last", 3_000_001, [(0, 4096)]),
            (b"hole only", 10 << 20, []),
            (b"hole of an odd size", 12_345_677, [(1_000_001, 3)]),
            (b"huge", 1 << 40, [(1 << 39, 4096)])):
        with open(os.path.join(d, name), "wb") as f:
            for offset, length in data:
                f.seek(offset)
                f.write(noise.randbytes(length))
            f.truncate(size)


def specials():
    d = folder(at(b"specials"))
    os.mkfifo(os.path.join(d, b"fifo"), 0o640)
    os.link(os.path.join(d, b"fifo"), os.path.join(d, b"fifo again"))
    here = os.getcwd()
    os.chdir(d)
    s = socket.socket(socket.AF_UNIX)
    s.bind("socket")
    s.close()
    os.chdir(here)
    if root:
        for name, kind, major, minor in ((b"char", stat.S_IFCHR, 1, 3), (b"block", stat.S_IFBLK, 7, 99),
                                         (b"far", stat.S_IFCHR, 4000, 1_000_000)):
            attempt("device nodes", lambda n=name, k=kind, a=major, i=minor: os.mknod(
                os.path.join(d, n), k | 0o620, os.makedev(a, i)))


def attributes():
    d = folder(at(b"attributes"))
    f = write(os.path.join(d, b"file"), b"with attributes")
    sub = folder(os.path.join(d, b"folder"))
    ln = os.path.join(d, b"link")
    os.symlink(b"file", ln)
    for path in (f, sub):
        attempt("user.* attributes", lambda p=path: (
            os.setxattr(p, b"user.small", b"value"), os.setxattr(p, b"user.empty", b""),
            os.setxattr(p, b"user.bytes", bytes(range(256))), os.setxattr(p, b"user.\xff odd", b"\0\0"),
            os.setxattr(p, b"user.large", noise.randbytes(2000))))
        attempt("access control lists", lambda p=path: subprocess.run(
            [b"setfacl", b"-m", b"u:12345:rw,g:54321:r,m:rw", p], check=True))
    attempt("default access control lists", lambda: subprocess.run(
        [b"setfacl", b"-d", b"-m", b"u:12345:rwx", sub], check=True))
    write(os.path.join(sub, b"inherits"), b"")
    if root:
        for path in (f, sub, ln):
            attempt("trusted.* attributes", lambda p=path: os.setxattr(
                p, b"trusted.nightjar", b"root only", follow_symlinks=False))
        # cap_net_raw+ep, version 2; a change of owner would take it away.
        capable = write(os.path.join(d, b"capable"), b"#!/bin/true\n", 0o755)
        os.chown(capable, 1, 1)
        attempt("file capabilities", lambda: os.setxattr(
            capable, b"security.capability", bytes.fromhex("0100000200200000000000000000000000000000")))


def times():
    d = folder(at(b"times"))
    made = []
    for name, ns in ((b"before 1970", -1_234_567_890_123_456_789), (b"just before 1970", -1),
                     (b"1970", 0), (b"one", 1), (b"2038", 2_147_483_648_999_999_999),
                     (b"2400", 13_569_465_600_000_000_007), (b"year 1902", -2_147_000_000_500_000_000)):
        made.append((write(os.path.join(d, name), name), ns))
        made.append((folder(os.path.join(d, name + b" folder")), ns))
        link = os.path.join(d, name + b" link")
        os.symlink(b"x", link)
        made.append((link, ns))
    for path, ns in made:
        os.utime(path, ns=(ns, ns), follow_symlinks=False)


def age_folders():
    """Folders get times of their own, so that one which is not put back shows."""
    when = 1_500_000_000_000_000_001
    for here, below, _ in os.walk(top, topdown=False):
        if not here.startswith(at(b"times")):
            os.utime(here, ns=(when, when))
            when += 1_000_000_007


os.umask(0o022)
folder(top)
for make in (files, large, many, names, deep, modes, links, sparse, specials, attributes, times):
    make()
if root:
    owners()
else:
    missing("owners and devices", "only root can make them")
age_folders()
