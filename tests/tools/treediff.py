#!/usr/bin/env python3
"""treediff.py [--no-owner] [--skip NAME]… A B: compares two folders, entry by entry: type, mode, owner, time
to the nanosecond, size, content, link groups, symlink targets, extended attributes, device numbers, and that B
is about as sparse as A. One line a difference; exit 1 when there is any. NAME is left out wherever it is met."""
import argparse
import hashlib
import os
import stat
import sys

SLACK_BLOCKS = 256  # of 512 bytes: file systems differ in how they allocate


def walk(top, skip):
    """{relative path: absolute path} of the folder itself and everything below, links not followed."""
    found = {b".": top}
    pending = [b""]
    while pending:
        rel = pending.pop()
        with os.scandir(os.path.join(top, rel)) as entries:
            for e in entries:
                if e.name in skip:
                    continue
                below = os.path.join(rel, e.name)
                found[below] = os.path.join(top, below)
                if e.is_dir(follow_symlinks=False):
                    pending.append(below)
    return found


def content(path, size):
    """A digest of the data between holes and where they are not zero, so that huge holes cost nothing."""
    digest = hashlib.sha256()
    fd = os.open(path, os.O_RDONLY)
    try:
        at = 0
        while at < size:
            try:
                at = os.lseek(fd, at, os.SEEK_DATA)
            except OSError:
                break
            end = os.lseek(fd, at, os.SEEK_HOLE)
            while at < end:
                part = os.pread(fd, min(65536 - at % 65536, end - at), at)
                if not part:
                    return "unreadable to its end"
                if part.strip(b"\0"):
                    # Zeros at the ends may be a hole on one side and data on the other.
                    lead = len(part) - len(part.lstrip(b"\0"))
                    digest.update(b"%d " % (at + lead) + part.strip(b"\0"))
                at += len(part)
    finally:
        os.close(fd)
    return digest.hexdigest()


def attributes(path):
    try:
        return {n: os.getxattr(path, n, follow_symlinks=False)
                for n in os.listxattr(path, follow_symlinks=False)}
    except OSError as e:
        return str(e)


def groups(tree):
    """{relative path: names of the same file}, for those with several names in the tree."""
    by_inode = {}
    for rel, path in tree.items():
        st = os.lstat(path)
        if not stat.S_ISDIR(st.st_mode) and st.st_nlink > 1:
            by_inode.setdefault((st.st_dev, st.st_ino), []).append(rel)
    return {rel: sorted(names) for names in by_inode.values() if len(names) > 1 for rel in names}


def facts(path, options):
    st = os.lstat(path)
    kind = stat.S_IFMT(st.st_mode)
    out = {"type": kind, "mtime": st.st_mtime_ns, "xattrs": attributes(path)}
    if kind == stat.S_IFLNK:
        out["target"] = os.readlink(path)
    else:
        out["mode"] = oct(stat.S_IMODE(st.st_mode))
    if not options.no_owner:
        out["owner"] = (st.st_uid, st.st_gid)
    if kind == stat.S_IFREG:
        out["size"] = st.st_size
        out["content"] = content(path, st.st_size)
    if kind in (stat.S_IFCHR, stat.S_IFBLK):
        out["device"] = (os.major(st.st_rdev), os.minor(st.st_rdev))
    return out, st.st_blocks


def compare(a, b, options):
    one, two = (walk(os.fsencode(t), {os.fsencode(s) for s in options.skip}) for t in (a, b))
    for rel in sorted(one.keys() ^ two.keys()):
        yield rel, "only in " + (a if rel in one else b)
    group_one, group_two = groups(one), groups(two)
    for rel in sorted(one.keys() & two.keys()):
        x, blocks_x = facts(one[rel], options)
        y, blocks_y = facts(two[rel], options)
        for key in sorted(x.keys() | y.keys()):
            if x.get(key) != y.get(key):
                yield rel, f"{key}: {x.get(key)!r} became {y.get(key)!r}"
        if blocks_y > blocks_x + SLACK_BLOCKS:
            yield rel, f"was sparse: {blocks_x} blocks became {blocks_y}"
        if group_one.get(rel) != group_two.get(rel):
            yield rel, f"linked to {group_one.get(rel)} became {group_two.get(rel)}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--no-owner", action="store_true")
    parser.add_argument("--skip", action="append", default=[])
    parser.add_argument("a")
    parser.add_argument("b")
    options = parser.parse_args()
    count = 0
    for rel, what in compare(options.a, options.b, options):
        count += 1
        if count <= 40:
            print(f"{rel!r}: {what}"[:400])
    if count > 40:
        print(f"… {count} differences in all")
    return 1 if count else 0


sys.exit(main())
