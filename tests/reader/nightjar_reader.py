#!/usr/bin/env python3
"""Reads nightjar repositories without nightjar: lists, verifies and extracts.

Written from repo/FORMAT.md alone (the § below are its sections), with Python's standard library,
libsodium and libzstd and no line of the program, so that it keeps the format honest, and so that
whoever has only a repository, a key and the two files (nightjar_cells.py is §11) can restore. It
never writes to a repository, and keeps nothing in mind: what vanished it knows from the manifests
that are there (§8).

What it trusts: nothing that a key does not authenticate. Damage is reported on stderr and makes the
exit status 1; extract goes on after it, with every file that is whole.
"""
import argparse
import base64
import binascii
import collections
import ctypes
import ctypes.util
import datetime
import grp
import hashlib
import hmac
import os
import pwd
import stat
import struct
import sys

import nightjar_parity
from nightjar_cells import Cuts, Damage, Image, need

CONFIG, KEY_SLOT, ROSTER, PACK, INDEX, RECORD, CONDEMN, KEY_FILE = range(1, 9)
DATA, TREE, TREE_BODY, CHUNKS, CHUNKS_BODY = range(1, 6)  # kinds of chunk
TO_R, TO_M = 1, 2  # recipients of a slot
VACUUM = 1  # how a database was read
MAX_OBJECT, MAX_CHUNK, LEVELS = 256 << 20, 8 << 20, 8
# kinds of signed records in snapshots/, and what one may name
MANIFEST, RETIRE, TAGS, DRILL, DAMAGE, MAX_PLACES, MAX_RETIRED = 1, 2, 3, 4, 5, 131072, 131072
MAX_RECORDS = 262144  # of a pack
MAX_CLOSURE, MEMO = 1024, 64 << 20  # records decoded for one chunk; bytes of bases that are kept


class NoKey(Exception):
    """The key cannot do what was asked for."""


class Revoked(Exception):
    """Does not count, and is no damage."""


# ---- §1 primitives -------------------------------------------------------------------------------

def load(name, soname):
    for candidate in (soname, ctypes.util.find_library(name)):
        try:
            if candidate:
                return ctypes.CDLL(candidate)
        except OSError:
            pass
    sys.exit(f"nightjar_reader: lib{name} is not installed ({soname})")


sodium = load("sodium", "libsodium.so.23")
zstd = load("zstd", "libzstd.so.1")
P, N, Z = ctypes.c_char_p, ctypes.c_ulonglong, ctypes.c_size_t
for lib, name, result, *arguments in (
        (sodium, "crypto_aead_xchacha20poly1305_ietf_decrypt", ctypes.c_int,
         P, P, P, P, N, P, N, P, P),
        (sodium, "crypto_box_seal_open", ctypes.c_int, P, P, N, P, P),
        (sodium, "crypto_pwhash", ctypes.c_int, P, N, P, N, P, N, Z, ctypes.c_int),
        (sodium, "crypto_scalarmult", ctypes.c_int, P, P, P),
        (sodium, "crypto_scalarmult_base", ctypes.c_int, P, P),
        (sodium, "crypto_shorthash", ctypes.c_int, P, P, N, P),
        (sodium, "crypto_sign_seed_keypair", ctypes.c_int, P, P, P),
        (sodium, "crypto_sign_verify_detached", ctypes.c_int, P, P, N, P),
        (sodium, "crypto_stream_xchacha20", ctypes.c_int, P, N, P, P),
        (zstd, "ZSTD_createDCtx", ctypes.c_void_p),
        (zstd, "ZSTD_DCtx_refPrefix", Z, ctypes.c_void_p, P, Z),
        (zstd, "ZSTD_decompressDCtx", Z, ctypes.c_void_p, P, Z, P, Z),
        (zstd, "ZSTD_isError", ctypes.c_uint, Z),
        (zstd, "ZSTD_findFrameCompressedSize", Z, P, Z)):
    getattr(lib, name).restype, getattr(lib, name).argtypes = result, arguments
if sodium.sodium_init() < 0:
    sys.exit("nightjar_reader: libsodium does not start")
DCTX = zstd.ZSTD_createDCtx()


def sha256(data):
    return hashlib.sha256(data).digest()


def mac(key, data):
    return hmac.digest(key, data, "sha256")


def blake2b(data, key=b"", size=32):
    return hashlib.blake2b(data, digest_size=size, key=key).digest()


def kdf(key, context, n):
    return hashlib.blake2b(b"", digest_size=32, key=key, salt=struct.pack("<QQ", n, 0),
                           person=context + bytes(8)).digest()


def siphash(key, data):
    out = ctypes.create_string_buffer(8)
    sodium.crypto_shorthash(out, data, len(data), key)
    return int.from_bytes(out.raw, "little")


def nonce(n):
    return struct.pack("<QQQ", n, 0, 0)


def aead_open(key, public_nonce, ad, sealed, what):
    need(len(sealed) >= 16, f"{what}: too short")
    out = ctypes.create_string_buffer(max(1, len(sealed) - 16))
    bad = sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
        out, None, None, sealed, len(sealed), ad, len(ad), public_nonce, key)
    need(bad == 0, f"{what}: does not open: damaged, or another key")
    return out.raw[:len(sealed) - 16]


def x25519(secret, point=None):
    out = ctypes.create_string_buffer(32)
    if point is None:
        sodium.crypto_scalarmult_base(out, secret)
    else:
        need(sodium.crypto_scalarmult(out, secret, point) == 0, "a weak point in a key exchange")
    return out.raw


def ed25519_public(seed):
    public, secret = ctypes.create_string_buffer(32), ctypes.create_string_buffer(64)
    sodium.crypto_sign_seed_keypair(public, secret, seed)
    return public.raw


def check_signature(data, tag, public, what):
    """§3: the last 64 bytes sign all before them."""
    message = b"nightjar " + tag + b" v1\0" + blake2b(data[:-64], size=64)
    bad = sodium.crypto_sign_verify_detached(data[-64:], message, len(message), public)
    need(len(data) > 64 and bad == 0, f"{what}: wrong signature")


def unzstd(frame, size, prefix=b""):
    """§4, codecs 1 and 2: one frame; no dictionary, checksum or content size; bases as prefix."""
    need(zstd.ZSTD_findFrameCompressedSize(frame, len(frame)) == len(frame), "not one zstd frame")
    need(frame[:4] == b"\x28\xb5\x2f\xfd" and frame[4] == 0, "a zstd frame with options")
    out = ctypes.create_string_buffer(max(1, size))
    need(not zstd.ZSTD_isError(zstd.ZSTD_DCtx_refPrefix(DCTX, prefix, len(prefix))), "zstd: prefix")
    need(zstd.ZSTD_decompressDCtx(DCTX, out, size, frame, len(frame)) == size, "zstd: wrong length")
    return out.raw[:size]


def bucket(n, floor):
    """§2: the length that hides n."""
    n = max(n, 1 << floor)
    return 1 << (n - 1).bit_length() if n <= 1 << 20 else padme(n)


def padme(n):
    e = n.bit_length() - 1
    step = 1 << (e - e.bit_length())
    return (n + step - 1) // step * step


class Fields:
    """Takes the fields of an object one after the other, strictly."""

    def __init__(self, data, what):
        self.data, self.what, self.at = data, what, 0

    def take(self, n):
        need(n <= len(self.data) - self.at, f"{self.what}: cut short")
        self.at += n
        return self.data[self.at - n:self.at]

    def unpack(self, layout):
        values = struct.unpack("<" + layout, self.take(struct.calcsize("<" + layout)))
        return values if len(values) > 1 else values[0]

    def varint(self):
        n = 0
        for shift in range(0, 70, 7):
            byte = self.take(1)[0]
            n |= (byte & 127) << shift
            if byte < 128:
                break
        need(byte < 128 and (byte or not shift) and n < 1 << 64, f"{self.what}: bad varint")
        return n

    def zero(self, n):
        need(not any(self.take(n)), f"{self.what}: a zero byte is not zero")

    def text(self, layout="H"):
        return self.take(self.unpack(layout))

    def many(self, layout, one, key=None):
        """A count and that many items, strictly ascending by key when one is given."""
        items = [one() for _ in range(self.unpack(layout))]
        if key:
            keys = [key(item) for item in items]
            need(all(a < b for a, b in zip(keys, keys[1:])), f"{self.what}: wrong order")
        return items

    def header(self, kind_of_object, kinds=(0,)):
        magic, version, kind_found, kind, zero = self.unpack("4sBBBB")
        need(magic == b"njar" and version >= 1 and zero == 0, f"{self.what}: not an object")
        need(version == 1, f"{self.what}: made by a newer nightjar")
        need(kind_found == kind_of_object and kind in kinds, f"{self.what}: wrong type or kind")
        return kind

    def end(self, padding=False):
        if padding:
            self.zero(len(self.data) - self.at)
        need(self.at == len(self.data), f"{self.what}: bytes left over")


def same(item):
    return item


# ---- §3 keys -------------------------------------------------------------------------------------

class Domain:
    def __init__(self, root):
        self.id_key, self.chunker_key, self.index_key, self.psk = (
            kdf(root, b"njdokeys", n) for n in (1, 2, 3, 4))
        stream = ctypes.create_string_buffer(2096)
        sodium.crypto_stream_xchacha20(stream, 2096, b"nightjar chunker stream 1"[:24],
                                       self.chunker_key)
        self.gear = struct.unpack("<256Q", stream.raw[:2048])
        self.tree_key = stream.raw[2048:2064]
        self.multiplier = struct.unpack("<Q", stream.raw[2064:2072])[0] | 1
        self.cell_key = stream.raw[2080:2096]

    def chunk_id(self, kind, data):
        return mac(self.id_key, bytes([kind]) + data)


class Keys:
    """What a reader holds: everything from the master, or what a read key file lists."""

    def __init__(self, repository, master=None):
        self.repository, self.master, self.epochs, self.roots, self.domains = (
            repository, master, {}, {}, {})
        if master:
            self.owner = ed25519_public(kdf(master, b"njkeys01", 1))
            self.m_secret = kdf(master, b"njkeys01", 2)
            self.g_public = ed25519_public(kdf(master, b"njkeys01", 3))
            self.label_key = kdf(master, b"njkeys01", 4)

    def domain(self, number):
        if number not in self.domains:
            root = kdf(self.master, b"njdomain", number) if self.master else self.roots.get(number)
            if root is None:
                raise NoKey(f"the key file has no key of domain {number}")
            self.domains[number] = Domain(root)
        return self.domains[number]

    def slot_key(self, slot, recipient):
        """The key of one 44-byte slot, and the number of its domain."""
        f = Fields(slot, "slot")
        ephemeral, to = f.unpack("32sB")
        f.zero(3)
        epoch, number = f.unpack("II")
        need(to == recipient and (epoch == 0) == (to == TO_M), "slot: wrong recipient")
        psk, secret = bytes(32), self.m_secret
        if to == TO_R:
            psk = self.domain(number).psk
            secret = kdf(self.master, b"njread01", epoch) if self.master else self.epochs.get(epoch)
            if secret is None:
                raise NoKey(f"the key file has no key of epoch {epoch}")
        data = (b"nightjar slot v1" + self.repository + slot + x25519(secret) +
                x25519(secret, ephemeral))
        return blake2b(data, psk), number


def keys_from_file(path):
    text = open(path, "rb").read(1 << 20)
    first, _, rest = text.partition(b"\n")
    lines = rest.split(b"\n")
    roles = {b"nightjar-key-1 " + r: n + 1
             for n, r in enumerate((b"full", b"write", b"maintain", b"read"))}
    need(first in roles and lines[-1] == b"" and all(0 < len(line) <= 76 for line in lines[:-1]),
         f"{path}: not a key file")
    try:
        data = base64.b64decode(b"".join(lines), validate=True)
    except binascii.Error:
        raise Damage(f"{path}: not base64") from None
    need(sha256(data[:-8])[:8] == data[-8:], f"{path}: wrong checksum")
    f = Fields(data[:-8], path)
    role = f.header(KEY_FILE, (roles[first],))
    repository = f.take(16)
    if role == 1:
        keys = Keys(repository, f.take(32))
    elif role == 4:
        keys = Keys(repository)
        keys.m_secret, keys.owner, keys.g_public = f.unpack("32s32s32s")
        keys.epochs = dict(f.many("H", lambda: f.unpack("I32s"), lambda pair: pair[0]))
        keys.roots = dict(f.many("H", lambda: f.unpack("I32s"), lambda pair: pair[0]))
        need(keys.epochs and keys.roots, f"{path}: a key file without keys")
    else:
        raise NoKey(f"{path}: a key of this role cannot read backups")
    f.end()
    return keys


def keys_from_password(password, slots):
    """Tries the password on each of the key slots."""
    for name, data in slots:
        f = Fields(data, f"keys/{name}")
        f.header(KEY_SLOT)
        repository, passes, kib, salt, commitment = f.unpack("16sII16s32s")
        need(1 <= passes <= 64 and 8192 <= kib <= 4 << 20, f"keys/{name}: unlikely Argon2 cost")
        out = ctypes.create_string_buffer(64)
        if sodium.crypto_pwhash(out, 64, password, len(password), salt, passes, kib << 10, 2):
            sys.exit(f"nightjar_reader: no memory for Argon2 ({kib} KiB)")
        if hmac.compare_digest(out.raw[32:], commitment):
            ad, seal_nonce, sealed = data[:f.at], f.take(24), f.take(48)
            return Keys(repository, aead_open(out.raw[:32], seal_nonce, ad, sealed, f.what))
    raise NoKey("wrong password")


def check_slot(data, keys, what):
    f = Fields(data, what)
    f.header(KEY_SLOT)
    need(f.take(16) == keys.repository, f"{what}: of another repository")
    f.take(4 + 4 + 16 + 32 + 24 + 48)
    ad, label_nonce, sealed = data[:f.at], f.take(24), f.take(272)
    f.end()
    if keys.master:
        label = Fields(aead_open(keys.label_key, label_nonce, ad, sealed, what), what)
        label.unpack("q"), label.text(), label.text(), label.end(padding=True)


# ---- §5, §6 packs and index ----------------------------------------------------------------------

Entry = collections.namedtuple("Entry", "id kind codec depth bases slot source counter offset "
                               "stored plain lineage chain")


class Pack:
    """Where the records of a pack are. Its bytes are read when they are asked for."""

    def __init__(self, name, length, slots, floor, body, tail=None):
        """tail: the length of the parity tail, None where only the length of the whole is known."""
        self.name, self.length, self.slots, self.keys = name, length, slots, {}
        start = body.at
        self.usual = {to: [next((i for i, s in enumerate(slots) if s[32] == to), None), 0, 1]
                      for to in (TO_R, TO_M)}  # slot, source, counter of what needs no words
        self.sources = body.many("H", lambda: body.unpack("32sQ"))
        self.entries = body.many("I", lambda: self.entry(body))
        self.body = body.data[start:body.at]
        self.records_at = 36 + 44 * len(slots) + max(512, padme(len(self.body) + 16))
        end, seen = self.records_at, set()
        for i, e in enumerate(self.entries):
            self.entries[i] = e._replace(offset=end)
            need(e.slot < len(slots) and e.source < len(self.sources) and e.counter >= 1 and
                 1 <= e.kind <= 5 and (e.slot, e.counter) not in seen, f"{body.what}: bad entry")
            need((e.depth == 0) == (not e.bases) and (e.codec == 2) == bool(e.bases) and
                 len(set(e.bases) - {e.id}) == len(e.bases) <= 3 and e.codec <= 2 and e.plain <= MAX_CHUNK, f"{body.what}: bad entry")
            seen.add((e.slot, e.counter))
            end += e.stored
        blocks = bucket(end, floor) // nightjar_parity.BLOCK
        tails = {nightjar_parity.tail_bytes(kind, blocks) if kind else 0
                 for kind in (0, 1, 2, 4) if not kind or nightjar_parity.kind_fits(kind, blocks)}
        need(length - bucket(end, floor) in (tails if tail is None else (tail,)), f"{body.what}: wrong length")

    def entry(self, f):
        """Its offset is known only when all are read."""
        id_, byte = f.unpack("32sB")
        kind, form, moved = byte & 7, byte >> 3 & 15, byte >> 7
        usual = self.usual[TO_M if kind in (TREE, CHUNKS) else TO_R]
        place = [f.varint() for _ in range(3)] if moved else list(usual)
        need(moved == (place != usual), f"{f.what}: a place that goes without saying")
        usual[2] += not moved
        stored = f.varint() + 16
        plain, codec, depth, lineage, chain, bases = stored - 16, min(form, 2), 0, 0, stored, []
        if form:
            plain = f.varint()
        if form > 1:
            depth, lineage, chain = f.unpack("B"), f.varint(), stored + f.varint()
            bases = [f.take(32) for _ in range(form - 1)]
        need(form <= 4 and place[0] is not None and max(place[2], lineage, chain) < 1 << 32,
             f"{f.what}: bad entry")
        return Entry(id_, kind, codec, depth, bases, *place, None, stored, plain, lineage, chain)

    def key(self, keys, slot, recipient):
        if slot not in self.keys:
            self.keys[slot] = recipient, *keys.slot_key(self.slots[slot], recipient)
        need(self.keys[slot][0] == recipient, "record: its slot is another recipient's")
        return self.keys[slot][1:]


def pack_from_file(path, name, keys, floor):
    """A pack's own directory, for when there is no index."""
    what, size = f"data/{name[:2]}/{name}", os.path.getsize(path)
    with open(path, "rb") as file:
        head = file.read(36)
        f = Fields(head, what)
        f.header(PACK)
        repository, sealed_length, count, parity, zero, tail = f.unpack("16sIHBBI")
        need(repository == keys.repository and count >= 1, f"{what}: not of this repository")
        need(parity in (0, 1, 2, 4) and not zero, f"{what}: parity, of a newer nightjar")
        need(36 + 44 * count + sealed_length + tail <= size, f"{what}: cut short")
        blocks, over = divmod(size - tail, nightjar_parity.BLOCK)
        need(not tail if not parity else not over and nightjar_parity.kind_fits(parity, blocks) and
             tail == nightjar_parity.tail_bytes(parity, blocks), f"{what}: wrong parity tail")
        table = file.read(44 * count)
        sealed = file.read(sealed_length)
    slots = [table[at:at + 44] for at in range(0, len(table), 44)]
    key, _ = keys.slot_key(slots[0], TO_M)
    body = Fields(aead_open(key, nonce(0), head + table, sealed, what), what)
    pack = Pack(name, size, slots, floor, body, tail)
    body.end(padding=True)
    need(pack.records_at == 36 + 44 * count + sealed_length, f"{what}: wrong directory length")
    return pack


def packs_from_index(data, what, keys, writers, floor):
    f = Fields(data, what)
    kind = f.header(INDEX, (1, 2))
    repository, signer, number = f.unpack("16s32sI")
    need(repository == keys.repository, f"{what}: of another repository")
    need(signer in writers if kind == 1 else signer == keys.g_public, f"{what}: unknown signer")
    check_signature(data, b"index", signer, what)
    seal_nonce, sealed, box = f.take(24), f.take(48), f.take(80)
    wrapper, salt = (f.take(32), f.take(32)) if kind == 2 else (signer, b"")
    out = ctypes.create_string_buffer(32)
    bad = sodium.crypto_box_seal_open(out, box, 80, x25519(keys.m_secret), keys.m_secret)
    need(bad == 0, f"{what}: its key does not open")
    if keys.master or number in keys.roots:
        # As it stood in front of the nonce in the segment of the writer who made the key.
        ad = data[:6] + b"\1\0" + repository + wrapper + struct.pack("<I", number)
        for_domain = aead_open(keys.domain(number).index_key, seal_nonce, ad, sealed, what)
        need(out.raw == for_domain, f"{what}: the two copies of its key differ")
    key = out.raw if kind == 1 else blake2b(b"nightjar gc index v1" + salt, out.raw)
    body = Fields(aead_open(key, nonce(0), data[:f.at], data[f.at:-64], what), what)

    def one():
        name, length, count = body.unpack("32sQH")
        slots = [body.take(44) for _ in range(count)]
        return Pack(name.hex(), length, slots, floor, body)

    packs = body.many("I", one, lambda pack: pack.name)
    end = f.at + body.at + 16 + 64
    need(len(data) == (padme(end) if end > 1 << floor else 1 << floor), f"{what}: wrong length")
    body.end(padding=True)
    return packs


# ---- §8 manifest ---------------------------------------------------------------------------------

Database = collections.namedtuple("Database", "path method reason page_size pages encoding journal "
                                  "vacuum user_version application schema sha256 size cells "
                                  "changed stored check verdict text sqlite started finished tables")


class Manifest:
    def __init__(self, data, name, keys, writers, floor):
        self.name, what = name, f"snapshots/{name}"
        f = Fields(data, what)
        f.header(RECORD, (1,))
        repository, self.writer, self.sequence, self.time = f.unpack("16s32sQq")
        need(repository == keys.repository, f"{what}: of another repository")
        _, first, last, _, kept = writers.get(self.writer, (0, 1, 0, 0, None))
        if kept is not None and not (self.sequence <= last and bytes.fromhex(name) in kept):
            raise Revoked(f"{what}: made with a revoked key")
        need(first <= self.sequence <= last, f"{what}: no roster names its writer")
        check_signature(data, b"manifest", self.writer, what)
        self.parents = f.many("H", lambda: f.take(32), same)
        self.others = f.many("H", lambda: f.unpack("32sQ32s"), same)
        need(self.sequence >= 1 and self.writer not in [writer for writer, _, _ in self.others],
             f"{what}: bad sequence or writers")
        m, m_length, number = self.part(f, keys, TO_M)
        r, _, same_number = self.part(f, keys, TO_R)
        need(number == same_number, f"{what}: parts of two domains")
        self.domain = keys.domain(number)
        need(f.at + 64 == len(data), f"{what}: bytes left over")
        self.parse_m(m)
        self.parse_r(r)
        need(m_length == max(512, 1 << (m.at + 16 - 1).bit_length()), f"{what}: wrong M part")
        need(len(data) == bucket(f.at - len(r.data) + r.at + 64, floor), f"{what}: wrong length")
        m.end(padding=True), r.end(padding=True)
        hmacs = sorted(mac(self.domain.id_key, b"tag" + tag) for tag in self.tags)
        group = b"group" + b"".join(struct.pack("<H", len(s)) + s for s in [self.host] + self.sources)
        need(self.group == mac(self.domain.id_key, group) and self.tag_macs == hmacs and
             self.verdicts == [d.verdict for d in self.databases] and
             (self.standing == 0) == (self.original == bytes(32)) and
             self.gaps == (self.unread != 0), f"{what}: its parts differ")

    @staticmethod
    def part(f, keys, recipient):
        key, number = keys.slot_key(f.take(44), recipient)
        length = f.unpack("I")
        ad = f.data[:f.at]
        return Fields(aead_open(key, nonce(0), ad, f.take(length), f.what), f.what), length, number

    def parse_m(self, f):
        self.roots = f.many("H", lambda: f.take(32))
        need(len(self.roots) == 1, f"{f.what}: not one root")
        self.group = f.take(32)
        self.tag_macs = f.many("H", lambda: f.take(32), same)
        self.verdicts = f.many("I", lambda: f.unpack("B"))
        self.files, self.bytes, self.added, self.standing, self.gaps = f.unpack("QQQBB")
        need(self.standing <= 2 and self.gaps <= 1, f"{f.what}: an unknown standing")

    def parse_r(self, f):
        self.host, self.user, self.program = f.text(), f.text(), f.text()
        self.tags = f.many("H", f.text, same)
        self.sources = f.many("H", f.text, same)
        self.started, self.finished, self.unread = f.unpack("qqQ")

        def database():
            path, method, reason = f.text(), f.unpack("B"), f.text()
            page_size, pages, encoding, journal = *f.unpack("IQB"), f.text()
            numbers = f.unpack("BII32s32sQQQQBB")
            text, sqlite, times = f.text(), f.text(), f.unpack("qq")
            tables = f.many("I", lambda: (f.text(), f.unpack("Q")), lambda table: table[0])
            return Database(path, method, reason, page_size, pages, encoding, journal, *numbers,
                            text, sqlite, *times, tables)

        self.databases = f.many("I", database, lambda d: d.path)
        self.references = f.many("H", lambda: (f.text(), f.text(), *f.unpack("QQQ")))
        need(all(database and query and missing <= named
                 for database, query, named, missing, _ in self.references),
             f"{f.what}: bad references")
        self.carried, self.alarms, copy, self.original = f.unpack("QQB32s")
        need(copy == (self.original != bytes(32)), f"{f.what}: an unclear original")


# ---- the repository ------------------------------------------------------------------------------

class Repository:
    def __init__(self, path, arguments):
        self.path, self.problems, self.keys = path, 0, None
        self.places, self.well_cut = collections.defaultdict(list), set()
        self.rested_on, self.retired = set(), set()
        self.memo, self.memo_bytes, self.budget = collections.OrderedDict(), 0, 0
        slots, rosters = [], []
        for name in self.names("keys"):
            with self.guard():
                data = self.object("keys", name)
                (rosters if data[5:6] == bytes([ROSTER]) else slots).append((name, data))
        if arguments.key_file:
            self.keys = keys_from_file(arguments.key_file)
        else:
            password = open(arguments.password_file, "rb").read(4098)
            if password.endswith(b"\n"):
                password = password[:-2 if password.endswith(b"\r\n") else -1]
            self.keys = keys_from_password(password, slots)
        self.read_config()
        for name, data in slots:
            with self.guard():
                check_slot(data, self.keys, f"keys/{name}")
        self.writers = {}
        for name, data in rosters:
            with self.guard():
                self.read_roster(data, f"keys/{name}")

    def guard(self):
        return Guard(self)

    def problem(self, error):
        self.problems += 1
        print(f"nightjar_reader: {error}", file=sys.stderr)

    def names(self, folder):
        """§2: a name that is not 64 lowercase hexadecimal digits is not an object."""
        try:
            found = os.listdir(os.path.join(self.path, folder))
        except FileNotFoundError:
            return []
        return sorted(n for n in found if len(n) == 64 and set(n) <= set("0123456789abcdef"))

    def object(self, folder, name):
        path = os.path.join(self.path, folder, name)
        need(os.path.getsize(path) <= MAX_OBJECT, f"{folder}/{name}: too large")
        data = open(path, "rb").read()
        need(sha256(data).hex() == name, f"{folder}/{name}: damaged: its SHA-256 is not its name")
        return data

    def read_config(self):
        data = open(os.path.join(self.path, "config"), "rb").read(4096)
        f = Fields(data, "config")
        f.header(CONFIG)
        repository, _, owner, m_public, g_public, parity, self.floor = f.unpack("16sq32s32s32sBB")
        f.zero(6)
        f.take(64), f.end()
        if repository != self.keys.repository:
            raise NoKey("the key is of another repository")
        need(owner == self.keys.owner and m_public == x25519(self.keys.m_secret) and
             g_public == self.keys.g_public, "config: keys that are not the owner's")
        check_signature(data, b"config", owner, "config")
        need(parity in (0, 2, 4) and 12 <= self.floor <= 20, "config: bad values")

    def read_roster(self, data, what):
        f = Fields(data, what)
        f.header(ROSTER)
        need(f.take(16) == self.keys.repository, f"{what}: of another repository")
        f.unpack("Q")
        f.many("H", lambda: f.unpack("I32s"), lambda pair: pair[0])

        def one():
            writer = f.unpack("32sIQQQ")
            kept = None if writer[3] == (1 << 64) - 1 else set(f.many("I", lambda: f.take(32), same))
            return *writer, kept

        writers = f.many("I", one, lambda writer: writer[0])
        need(f.take(32) == self.keys.owner, f"{what}: another owner")
        check_signature(data, b"roster", self.keys.owner, what)
        f.take(64), f.end()
        for writer, domain, first, last, version, kept in writers:
            old = self.writers.get(writer, (0, 0, 0, -1, None))
            # (domain, first, last) of the highest version; the least of equal ones.
            if version == old[3]:
                both = kept if old[4] is None else old[4] if kept is None else kept & old[4]
                self.writers[writer] = (min(domain, old[0]), max(first, old[1]),
                                        min(last, old[2]), version, both)
            elif version > old[3]:
                self.writers[writer] = (domain, first, last, version, kept)

    def pack_names(self):
        return [n for x in range(256) for n in self.names(f"data/{x:02x}") if n[:2] == f"{x:02x}"]

    def pack_path(self, name):
        return os.path.join(self.path, "data", name[:2], name)

    def index_packs(self):
        for name in self.names("index"):
            with self.guard():
                yield from packs_from_index(self.object("index", name), f"index/{name}",
                                            self.keys, self.writers, self.floor)

    def directory_packs(self):
        for name in self.pack_names():
            with self.guard():
                yield pack_from_file(self.pack_path(name), name, self.keys, self.floor)

    def find_records(self, without_index):
        for pack in self.directory_packs() if without_index else self.index_packs():
            for entry in pack.entries:
                self.places[entry.id].append((pack, entry))
                self.rested_on.update(entry.bases)

    def manifests(self):
        found, listed, known = [], self.names("snapshots"), set()
        self.read_records(listed, found)
        known.update(listed)
        if self.vanished(found, known):
            # §8: a listing is not of one moment. What came meanwhile, retire records too, counts as seen.
            again = [name for name in self.names("snapshots") if name not in known]
            self.read_records(again, found)
            known.update(again)
        for name, (writer, sequence, by) in sorted(self.vanished(found, known).items()):
            self.problem(f"snapshots/{name}: has vanished, and no record says that it was removed: "
                         f"backup {sequence or ''} of writer {writer.hex()[:8]}, which manifest {by} names")
        return sorted(found, key=lambda m: (m.time, m.writer, m.sequence, m.name))

    def read_records(self, names, found):
        for name in names:
            with self.guard():
                data = self.object("snapshots", name)
                read = {MANIFEST: self.manifest, RETIRE: self.retire_record,
                        TAGS: self.tag_record, DRILL: self.drill_note,
                        DAMAGE: self.damage_note}.get(data[6])
                need(read or data[5] != RECORD, f"snapshots/{name}: made by a newer nightjar")
                if read:
                    found += read(data, name) or []

    def vanished(self, manifests, known):
        """§8 "What vanished": of what manifests name, what is neither there, be it damaged, nor retired."""
        missed = {}
        for m in manifests:
            named = [(m.writer, 0, name) for name in m.parents] + m.others
            for writer, sequence, name in named:
                if name.hex() not in known and name not in self.retired:
                    _, most, _ = missed.get(name.hex(), (None, 0, None))
                    if sequence >= most:
                        missed[name.hex()] = writer, sequence, m.name
        return missed

    def manifest(self, data, name):
        try:
            return [Manifest(data, name, self.keys, self.writers, self.floor)]
        except Revoked as error:
            print(f"nightjar_reader: not counted: {error}", file=sys.stderr)
            return []

    def signed_head(self, data, name, kind, tag):
        """§8: what the small signed records begin with."""
        f = Fields(data, f"snapshots/{name}")
        f.header(RECORD, (kind,))
        repository, signer, number, _ = f.unpack("16s32sQq")
        need(repository == self.keys.repository and number > 0 and
             signer == self.keys.g_public,
             f"{f.what}: of another repository, without a number, or not signed for maintenance")
        check_signature(data, tag, signer, f.what)
        return f

    def signed_parts(self, f):
        m, m_length, domain = Manifest.part(f, self.keys, TO_M)
        r, _, same_domain = Manifest.part(f, self.keys, TO_R)
        need(domain == same_domain and f.at + 64 == len(f.data), f"{f.what}: wrong parts")
        return m, m_length, r, domain

    def parts_end(self, f, m, m_length, r):
        need(m_length == max(512, 1 << (m.at + 16 - 1).bit_length()) and
             len(f.data) == bucket(f.at - len(r.data) + r.at + 64, self.floor),
             f"{f.what}: parts of wrong lengths")
        m.end(padding=True), r.end(padding=True)

    def retire_record(self, data, name):
        f = self.signed_head(data, name, RETIRE, b"retire")
        gone = f.many("I", lambda: f.unpack("32sQ32s"), same)
        need(gone and len(gone) <= MAX_RETIRED and all(sequence for _, sequence, _ in gone) and
             f.at + 64 == len(data), f"{f.what}: not a retire record")
        self.retired.update(manifest for _, _, manifest in gone)

    def tag_record(self, data, name):
        """What `list` shows are the tags of the backup; but a record must be what it claims to be."""
        f = self.signed_head(data, name, TAGS, b"tag")
        f.take(32)
        m, m_length, r, domain = self.signed_parts(f)
        hmacs, tags = m.many("H", lambda: m.take(32), same), r.many("H", r.text, same)
        key = self.keys.domain(domain).id_key
        need(hmacs == sorted(mac(key, b"tag" + tag) for tag in tags), f"{f.what}: its parts differ")
        self.parts_end(f, m, m_length, r)

    def drill_note(self, data, name):
        f = self.signed_head(data, name, DRILL, b"drill")
        f.take(32)
        m, m_length, r, _ = self.signed_parts(f)
        verdict, place, *n = m.unpack("BB7I5Q")
        dbs, failed, unchecked, asserted, false, queries, unrun, _, missing, _, unread, _ = n
        need(verdict == (2 if failed or false or unrun or missing or unread else 1) and
             place in (1, 2) and failed + unchecked <= dbs and false <= asserted and
             unrun <= queries, f"{f.what}: contradicts itself")
        self.parts_end(f, m, m_length, r)

    def damage_note(self, data, name):
        """It says nothing to who only reads."""
        f = self.signed_head(data, name, DAMAGE, b"damage")
        places = f.many("I", lambda: f.unpack("32sI"), same)
        need(places and len(places) <= MAX_PLACES and f.at + 64 == len(data) and
             all(record < MAX_RECORDS for _, record in places), f"{f.what}: wrong places")

    def record(self, pack, e):
        """Opens one record; what it gives is what its id names."""
        self.budget = MAX_CLOSURE
        return self.decode(pack, e)

    def bases(self, e):
        """§4 "Delta records": the plaintexts of the bases, from places of strictly lower depth."""
        data = b""
        for id_ in e.bases:
            depth, plain = self.memo.get((e.kind, id_), (256, b""))
            if depth >= e.depth:
                plain = self.from_places(e.kind, id_, e.depth)
            data += plain
        return data

    def keep(self, e, data):
        """For what rests on it; a deeper place's plaintext is no answer to a lower one's question."""
        key = e.kind, e.id
        if self.memo.get(key, (256, b""))[0] > e.depth:
            self.memo_bytes += len(data) - len(self.memo.pop(key, (0, b""))[1])
            self.memo[key] = e.depth, data
        while self.memo_bytes > MEMO:
            self.memo_bytes -= len(self.memo.popitem(last=False)[1][1])

    def decode(self, pack, e):
        self.budget -= 1
        need(self.budget >= 0, f"chunk {e.id.hex()}: rests on too many records")
        prefix = self.bases(e)
        what = f"data/{pack.name[:2]}/{pack.name} at {e.offset}"
        key, number = pack.key(self.keys, e.slot, TO_M if e.kind in (TREE, CHUNKS) else TO_R)
        with open(self.pack_path(pack.name), "rb") as file:
            sealed = os.pread(file.fileno(), e.stored, e.offset)
        ad = (self.keys.repository + bytes([e.kind]) + e.id + struct.pack(
            "<IBBB", e.plain, e.codec, e.depth, len(e.bases)) + b"".join(e.bases))
        data = aead_open(key, nonce(e.counter), ad, sealed, what)
        data = unzstd(data, e.plain, prefix) if e.codec else data
        need(len(data) == e.plain and
             self.keys.domain(number).chunk_id(e.kind, data) == e.id,
             f"{what}: not what its id says")
        if e.kind != DATA or e.codec == 2 or e.id in self.rested_on:
            self.keep(e, data)
        return data

    def chunk(self, kind, id_):
        """§9: from any place whose bytes open and whose recomputed id is right."""
        self.budget = MAX_CLOSURE
        return self.from_places(kind, id_, 256)

    def from_places(self, kind, id_, below):
        reason = "in no pack that the index names"
        for pack, entry in self.places.get(id_, ()):
            try:
                if entry.kind == kind and entry.depth < below:
                    return self.decode(pack, entry)
            except (Damage, OSError) as error:
                reason = str(error)
        raise Damage(f"chunk {id_.hex()}: {reason}")


class Guard:
    """Reports damage inside its block, and goes on after the block."""

    def __init__(self, repository):
        self.repository = repository

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        if isinstance(error, (Damage, NoKey, OSError)):
            self.repository.problem(error)
            return True
        return False


# ---- §7 nodes ------------------------------------------------------------------------------------

class File:
    """One entry of a folder."""

    def __init__(self, f, children):
        self.name, self.type, self.mode, self.uid, self.gid = f.text(), *f.unpack("BHII")
        self.user, self.group = f.text(), f.text()
        self.seconds, self.nanoseconds, self.link = f.unpack("qIQ")
        self.xattrs = f.many("H", lambda: (f.text(), f.text("I")), lambda pair: pair[0])
        need(self.name not in (b"", b".", b"..") and not set(self.name) & {0, 47},
             f"{f.what}: the name {self.name!r} is refused")
        need(self.mode <= 0o7777 and self.nanoseconds < 10**9 and 1 <= self.type <= 7,
             f"{f.what}: bad entry {self.name!r}")
        self.size, self.extents, self.encoding, kinds = 0, [], 0, []
        if self.type == 1:
            self.size, self.encoding, self.shape, count = f.unpack("QBBI")
            self.extents = f.many("I", lambda: f.unpack("QQ"))
            self.data_bytes = f.unpack("Q") if self.encoding == 2 else None
            self.check_extents(f.what)
            need(self.encoding <= 2 and self.shape <= 1 and self.size < 1 << 63 and
                 (count == 1 and self.stored if self.shape else count <= min(16, self.stored)) and
                 (self.encoding < 2 or (self.shape and not self.extents)),
                 f"{f.what}: bad file {self.name!r}")
            kinds = [DATA] * count if self.shape == 0 else [CHUNKS]
        elif self.type == 2:
            kinds = [TREE]
        elif self.type == 3:
            self.target = f.text()
            need(self.target and 0 not in self.target, f"{f.what}: bad target of {self.name!r}")
        elif self.type >= 6:
            self.device = f.unpack("II")
        self.children = [next(children, (0, b"")) for _ in kinds]
        need([kind for kind, _ in self.children] == kinds, f"{f.what}: wrong children")

    def check_extents(self, what):
        end = -1
        for offset, length in self.extents:
            need(offset > end and offset + length <= self.size and length < self.size and
                 (length or (len(self.extents) == 1 and offset == 0)), f"{what}: bad extents")
            end = offset + length
        self.stored = sum(n for _, n in self.extents) if self.extents else self.size


class Node:
    def __init__(self, repository, kind, id_):
        what = f"node {id_.hex()}"
        f = Fields(repository.chunk(kind, id_), what)
        self.children = f.many("I", lambda: f.unpack("B32s"))
        f.end()
        need(self.children and self.children[0][0] == kind + 1, f"{what}: no body")
        self.body = Fields(repository.chunk(kind + 1, self.children[0][1]), what)
        self.level = self.body.unpack("B")


class Tree:
    """Walks what one manifest holds. With cuts, checks that nodes and chunks end where §7 says."""

    def __init__(self, repository, domain, cuts=False):
        self.repository, self.domain, self.cuts = repository, domain, cuts

    def folder(self, id_):
        """The entries of a folder, in order."""
        before = b""
        for file in self.nodes(id_, None, None, True):
            need(file.name > before, f"node {id_.hex()}: wrong order")
            before = file.name
            yield file

    def nodes(self, id_, level, first, is_last):
        node = Node(self.repository, TREE, id_)
        f, children, total, above = node.body, iter(node.children[1:]), 0, level is None
        need(node.level < LEVELS if above else node.level == level, f"{f.what}: wrong level")
        count, before = f.unpack("I"), b""
        need(count > (1 if node.level and above else 0) or (above and not node.level),
             f"{f.what}: too few entries")
        for n in range(count):
            if node.level == 0:
                file = File(f, children)
                name, total = file.name, total + 1
            else:
                name, below = f.text(), f.unpack("Q")
                kind, child = next(children, (0, b""))
                need(kind == TREE, f"{f.what}: wrong children")
            need(name > before and (n or first in (None, name)), f"{f.what}: wrong order")
            before = name
            self.check_cut(node, name, n == count - 1, is_last)
            if node.level == 0:
                yield file
            else:
                got = yield from self.nodes(child, node.level - 1, name, is_last and n == count - 1)
                need(got == below, f"{f.what}: wrong count below")
                total += got
        f.end()
        need(next(children, None) is None, f"{f.what}: children left over")
        return total

    def check_cut(self, node, name, is_end, is_last):
        if self.cuts and not (is_end and is_last):
            h = siphash(self.domain.tree_key, bytes([node.level]) + name)
            cut = h < 2**64 // 512 or node.body.at >= 262144
            need(cut == is_end, f"{node.body.what}: cut elsewhere than §7 says, at {name!r}")

    def chunk_list(self, id_, keyed, level=None, is_last=True):
        """(id, plaintext length, key) of each data chunk; the key is None when not keyed."""
        node = Node(self.repository, CHUNKS, id_)
        f = node.body
        need(node.level < LEVELS if level is None else node.level == level,
             f"{f.what}: wrong level")
        keyed_here = keyed and node.level == 0
        need(f.unpack("B") == keyed_here, f"{f.what}: its format is of another encoding, or newer")
        sizes = f.many("I", lambda: f.unpack("Q" if node.level else "I"))
        keys = [f.unpack("Q") if keyed_here else None for _ in sizes]
        f.end()
        need(sizes and len(sizes) == len(node.children) - 1, f"{f.what}: wrong children")
        for n, (size, (kind, child)) in enumerate(zip(sizes, node.children[1:]), 1):
            last = n == len(sizes)
            need(kind == (CHUNKS if node.level else DATA), f"{f.what}: wrong children")
            if self.cuts and not (last and is_last):
                cut = struct.unpack("<Q", child[:8])[0] < 2**64 // 512 or n == 4096
                need(cut == last, f"{f.what}: cut elsewhere than §7 says")
            if node.level == 0:
                yield child, size, keys[n - 1]
                continue
            for chunk in self.chunk_list(child, keyed, node.level - 1, is_last and last):
                size -= chunk[1]
                yield chunk
            need(size == 0, f"{f.what}: wrong total below")

    def content(self, file):
        """The data of a file, piece by piece: all of it, or that of its extents."""
        if file.encoding == 2:
            image = memoryview(self.image(file))
            yield from (image[at:at + (1 << 20)] for at in range(0, len(image), 1 << 20))
            return
        left, chunks = file.stored, ((id_, None, None) for _, id_ in file.children)
        if file.shape == 1:
            chunks = self.chunk_list(file.children[0][1], False)
        for id_, size, _ in chunks:
            data = self.repository.chunk(DATA, id_)
            need(size in (None, len(data)) and 0 < len(data) <= left, "a chunk of wrong length")
            left -= len(data)
            self.check_chunk_cut(id_, data, left == 0)
            yield data
        need(left == 0, "its chunks are too short")

    def check_chunk_cut(self, id_, data, is_last):
        if self.cuts and (id_, is_last) not in self.repository.well_cut:
            end = first_cut(data, self.domain)
            need(end == len(data) or (end is None and is_last),
                 f"chunk {id_.hex()}: cut elsewhere than §7 says")
            self.repository.well_cut.add((id_, is_last))

    def image(self, file):
        """§11: a database that is stored as cells and their layout."""
        chunks, left, count = list(self.chunk_list(file.children[0][1], True)), file.data_bytes, 0
        while left > 0 and count < len(chunks):
            left -= chunks[count][1]
            count += 1
        need(left == 0, "its data stream does not end with a chunk")

        def chunk(id_, size):
            data = self.repository.chunk(DATA, id_)
            need(0 < len(data) == size, "a chunk of wrong length")
            return data

        layout = [chunk(id_, size) for id_, size, _ in chunks[count:]]
        data = (chunk(id_, size) for id_, size, _ in chunks[:count])
        image = Image(data, b"".join(layout), file.size, keep=self.cuts)
        if self.cuts:
            self.check_image_cuts(image, chunks, count, chunk)
        return image.bytes

    def check_image_cuts(self, image, chunks, count, chunk):
        """Pieces and the layout are cut like files, cells by their hashes."""
        kept = image.stream.kept if image.stream else [None] * count
        pieces = [groups is None for groups in kept]
        for n, (id_, size, key) in enumerate(chunks):
            if n < count and pieces[n]:
                is_last = n + 1 == count or not pieces[n + 1]
                need(image.stream or key == n, "a piece with a wrong key")
                self.check_chunk_cut(id_, chunk(id_, size)[1:], is_last)
            elif n >= count:
                need(key == n - count, "a chunk of a layout with a wrong key")
                self.check_chunk_cut(id_, chunk(id_, size), n + 1 == len(chunks))
        if image.stream:
            Cuts(image, [key for _, _, key in chunks[:count]], siphash, self.domain.cell_key)

    def walk(self, id_, above=b""):
        """(path, entry) of everything, a folder before what is in it."""
        for file in self.folder(id_):
            path = above + b"/" + file.name
            yield path, file
            if file.type == 2:
                need(path.count(b"/") <= 1024, "folders too deep")
                yield from self.walk(file.children[0][1], path)


def first_cut(data, domain):
    """Where FastCDC ends the chunk that starts data; None when data ends first."""
    gear, multiplier, h, mask = domain.gear, domain.multiplier, 0, 2**64 - 1
    # What is more than 64 bytes back has left h.
    for byte in data[262144 - 65:262143]:
        h = (h << 1) + gear[byte] & mask
    for start, end, k in ((262143, (1 << 20) - 1, 22), ((1 << 20) - 1, 4194304, 18)):
        for at, byte in enumerate(data[start:end], start + 1):
            h = (h << 1) + gear[byte] & mask
            if h * multiplier & mask < 1 << 64 - k:
                return at
    return 4194304 if len(data) >= 4194304 else None


# ---- commands ------------------------------------------------------------------------------------

def show(name):
    """A name as bytes that do no harm to a terminal."""
    text = name.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def utc(seconds):
    try:
        time = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    except (OverflowError, ValueError, OSError):
        return str(seconds)
    return time.strftime("%Y-%m-%d %H:%M:%S")


def choose(repository, wanted):
    manifests = repository.manifests()
    found = [m for m in manifests if m.name.startswith(wanted)]
    if wanted == "latest":
        found = manifests[-1:]
    if len(found) != 1:
        sys.exit(f"nightjar_reader: {'no' if not found else 'more than one'} manifest {wanted!r}")
    return found[0]


def command_list(repository, _):
    for m in repository.manifests():
        print(m.name, utc(m.time // 10**9), show(m.host), f"{m.files} files", f"{m.bytes} bytes",
              ",".join(map(show, m.tags)) or "-", *map(show, m.sources))


def command_ls(repository, arguments):
    manifest = choose(repository, arguments.manifest)
    for path, file in Tree(repository, manifest.domain).walk(manifest.roots[0]):
        kind = stat.filemode((0, 0o100000, 0o40000, 0o120000, 0o10000, 0o140000, 0o20000,
                              0o60000)[file.type] | file.mode)
        target = " -> " + show(file.target) if file.type == 3 else ""
        print(kind, f"{file.uid}:{file.gid}", file.size, utc(file.seconds), show(path) + target)


class Extraction:
    """Puts a manifest into a new folder. Everything in it is made here, so no link leads outside."""

    def __init__(self, repository, manifest, target):
        self.repository, self.target, self.links = repository, os.fsencode(target), {}
        self.sources = [source.rstrip(b"/") + b"/" for source in manifest.sources]
        self.tree = Tree(repository, manifest.domain)
        self.images = {d.path: d for d in manifest.databases}
        os.makedirs(target, exist_ok=True)
        if os.listdir(target):
            sys.exit(f"nightjar_reader: {target}: not empty")
        self.folder(manifest.roots[0], b"")

    def folder(self, id_, above):
        with self.repository.guard():
            for file in self.tree.folder(id_):
                with self.repository.guard():
                    self.entry(file, above + b"/" + file.name)

    def entry(self, file, inside):
        path = self.target + inside
        if file.link and file.link in self.links:
            os.link(self.links[file.link], path, follow_symlinks=False)
            return
        if file.type == 1:
            self.file(file, path, inside)
        elif file.type == 2:
            os.mkdir(path, 0o700)
            self.folder(file.children[0][1], inside)
        elif file.type == 3:
            os.symlink(file.target, path)
        else:
            kind = {4: stat.S_IFIFO, 5: stat.S_IFSOCK, 6: stat.S_IFCHR, 7: stat.S_IFBLK}[file.type]
            os.mknod(path, kind | 0o600, os.makedev(*file.device) if file.type >= 6 else 0)
        self.attributes(file, path, any((inside + b"/").startswith(s) for s in self.sources))
        if file.link:
            self.links[file.link] = path

    def file(self, file, path, inside):
        out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            digest, extents, room = hashlib.sha256(), iter(file.extents or [(0, file.size)]), 0
            for data in self.tree.content(file):
                digest.update(data)
                while data:
                    if room == 0:
                        at, room = next(extents)
                    n = os.pwrite(out, data[:room], at)
                    data, at, room = data[n:], at + n, room - n
            os.truncate(out, file.size)
            database = self.images.get(inside)
            check_image(file, database, digest)
            if file.encoding and database.method == VACUUM and database.journal == b"wal":
                os.pwrite(out, b"\2\2", 18)  # §9: VACUUM INTO takes it out of WAL mode
        except (Damage, OSError) as error:
            os.unlink(path)
            raise Damage(f"{show(inside)}: left out: {error}") from None
        finally:
            os.close(out)

    def attributes(self, file, path, has_time):
        if os.geteuid() == 0:
            os.chown(path, number_of(pwd.getpwnam, file.user, file.uid),
                     number_of(grp.getgrnam, file.group, file.gid), follow_symlinks=False)
        for name, value in file.xattrs:
            with self.repository.guard():
                os.setxattr(path, name, value, follow_symlinks=False)
        if file.type != 3:
            os.chmod(path, file.mode)
        if has_time:
            time = file.seconds * 10**9 + file.nanoseconds
            os.utime(path, ns=(time, time), follow_symlinks=False)


def number_of(look_up, name, number):
    """§9: this machine's number of an owner's name; the stored number where it has none."""
    try:
        return look_up(os.fsdecode(name))[2] if name else number
    except KeyError:
        return number


def check_image(file, database, digest):
    if file.encoding:
        need(database, "a database that the manifest does not describe")
        need(database.size == file.size and database.sha256 == digest.digest(),
             "the image is not what the manifest says")


def command_extract(repository, arguments):
    Extraction(repository, choose(repository, arguments.manifest), arguments.folder)


def command_verify(repository, arguments):
    """Every object of the repository, then everything that every manifest reaches."""
    packs, records = {}, 0
    for pack in repository.directory_packs():
        packs[pack.name] = pack
        with repository.guard():
            data = repository.object(f"data/{pack.name[:2]}", pack.name)
            kind, tail = data[30], int.from_bytes(data[32:36], "little")
            need(not kind or nightjar_parity.tail(kind, data[:-tail]) == data[-tail:],
                 f"data/{pack.name[:2]}/{pack.name}: its parity tail is not that of its body")
        for entry in pack.entries:
            records += 1
            with repository.guard():
                repository.record(pack, entry)
    for pack in repository.index_packs():
        with repository.guard():
            own = packs.get(pack.name)
            need(own, f"index: pack {pack.name} is missing or damaged")
            need((own.length, own.slots, own.body) == (pack.length, pack.slots, pack.body),
                 f"index: pack {pack.name} differs from its own directory")
    manifests = repository.manifests()
    for manifest in manifests:
        with repository.guard():
            verify_manifest(repository, manifest, arguments.cuts)
    if not repository.problems:
        print(f"whole: {len(manifests)} manifests, {len(packs)} packs, {records} records")


def verify_manifest(repository, manifest, cuts):
    tree, images, count = Tree(repository, manifest.domain, cuts), {}, 0
    for path, file in tree.walk(manifest.roots[0]):
        if file.type != 1:
            continue
        count += 1
        with repository.guard():
            digest = hashlib.sha256()
            for data in tree.content(file):
                digest.update(data)
            images[path] = file
            check_image(file, {d.path: d for d in manifest.databases}.get(path), digest)
    need((count, sum(file.stored for file in images.values())) == (manifest.files, manifest.bytes),
         f"snapshots/{manifest.name}: not as many files or bytes as it says")
    for database in manifest.databases:
        need(database.path in images, f"{show(database.path)}: a database that is not in the tree")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-r", "--repo", required=True, help="the repository, a folder")
    secret = parser.add_mutually_exclusive_group(required=True)
    secret.add_argument("--password-file")
    secret.add_argument("--key-file")
    parser.add_argument("--no-index", action="store_true", help="read the packs' own directories")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="list the manifests")
    commands.add_parser("ls", help="list what is in one").add_argument("manifest")
    extract = commands.add_parser("extract", help="put one into an empty folder")
    extract.add_argument("manifest", help="an id, its first digits, or 'latest'")
    extract.add_argument("folder")
    verify = commands.add_parser("verify", help="read and check everything")
    verify.add_argument("--cuts", action="store_true", help="also where chunks and nodes end")
    arguments = parser.parse_args()
    sys.setrecursionlimit(10000)  # folders in folders, and bases of bases
    try:
        repository = Repository(arguments.repo, arguments)
        if arguments.command != "list":
            repository.find_records(arguments.no_index)
        globals()["command_" + arguments.command](repository, arguments)
    except (Damage, NoKey, OSError) as error:
        sys.exit(f"nightjar_reader: {error}")
    sys.exit(1 if repository.problems else 0)


if __name__ == "__main__":
    main()
