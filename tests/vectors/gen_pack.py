#!/usr/bin/env python3
"""Writes chunker.txt, pack.txt and index.txt: known answers made from repo/FORMAT.md alone.

Nothing here shares code with nightjar. BLAKE2b and HMAC come from hashlib; the curve, the stream cipher and
the AEAD from libsodium by ctypes. zstd frames are put together by hand from RLE blocks (RFC 8878, 3.1.1.2).
Usage: tests/vectors/gen_pack.py [folder]; without a folder it renews the fuzzers' seeds too. Each line of a
file is a name, a space and hexadecimal digits.
"""
import ctypes
import hashlib
import hmac
import pathlib
import struct
import sys

sodium = ctypes.CDLL("libsodium.so.23")
assert sodium.sodium_init() >= 0
ULL = ctypes.c_ulonglong


def out(n):
    return ctypes.create_string_buffer(n)


def u(n, *values):
    return b"".join(v.to_bytes(n, "little") for v in values)


def u8(v):
    return u(1, v)


def u16(v):
    return u(2, v)


def u32(v):
    return u(4, v)


def u64(v):
    return u(8, v)


def varint(v):
    more = b""
    while v > 127:
        more += u8(v & 127 | 128)
        v >>= 7
    return more + u8(v)


def kdf(key, context, n):
    return hashlib.blake2b(key=key, digest_size=32, salt=u64(n) + bytes(8),
                           person=context.encode() + bytes(8)).digest()


def x25519(secret, public=None):
    q = out(32)
    if public is None:
        assert sodium.crypto_scalarmult_base(q, secret) == 0
    else:
        assert sodium.crypto_scalarmult(q, secret, public) == 0
    return q.raw


def aead(key, nonce, ad, plain):
    c = out(len(plain) + 16)
    assert sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(
        c, None, plain, ULL(len(plain)), ad, ULL(len(ad)), None, nonce, key) == 0
    return c.raw


def counted(n):
    return u64(n) + bytes(16)


def xchacha(key, nonce, n):
    c = out(n)
    assert sodium.crypto_stream_xchacha20(c, ULL(n), nonce, key) == 0
    return c.raw


def siphash(key, data):
    h = out(8)
    assert sodium.crypto_shorthash(h, data, ULL(len(data)), key) == 0
    return int.from_bytes(h.raw, "little")


def sign_keys(seed):
    pk, sk = out(32), out(64)
    assert sodium.crypto_sign_seed_keypair(pk, sk, seed) == 0
    return pk.raw, sk.raw


def signature(tag, data, secret):
    digest = hashlib.blake2b(data, digest_size=64).digest()
    message = b"nightjar " + tag.encode() + b" v1\0" + digest
    s = out(64)
    assert sodium.crypto_sign_detached(s, None, message, ULL(len(message)), secret) == 0
    return s.raw


def padme(n):
    e = n.bit_length() - 1
    unit = 1 << (e - e.bit_length())
    return -(-n // unit) * unit


def bucket(n, floor=12):
    if n <= 1 << floor:
        return 1 << floor
    e = n.bit_length() - 1
    if n < 1 << 20:
        return n if n == 1 << e else 2 << e
    return padme(n)


# --- a repository of known keys ---
REPO = bytes(range(16))
MASTER = bytes(range(100, 132))
M_SECRET = kdf(MASTER, "njkeys01", 2)
M_PUBLIC = x25519(M_SECRET)
R_PUBLIC = x25519(kdf(MASTER, "njread01", 1))
WRITER_ROOT = kdf(MASTER, "njkeys01", 5)
DOMAIN_ROOT = kdf(MASTER, "njdomain", 0)
ID_KEY, CHUNKER_KEY, INDEX_KEY, PSK = (kdf(DOMAIN_ROOT, "njdokeys", n) for n in (1, 2, 3, 4))
W_PUBLIC, W_SECRET = sign_keys(
    hashlib.blake2b(b"nightjar writer v1" + b"vector", key=WRITER_ROOT, digest_size=32).digest())


def chunk_id(kind, plain):
    return hmac.new(ID_KEY, u8(kind) + plain, hashlib.sha256).digest()


def header(object_type, kind=0):
    return b"njar" + u8(1) + u8(object_type) + u8(kind) + u8(0)


def slot(eph_secret, recipient):
    public, epoch, k = (R_PUBLIC, 1, PSK) if recipient == 1 else (M_PUBLIC, 0, bytes(32))
    entry = x25519(eph_secret) + u8(recipient) + bytes(3) + u32(epoch) + u32(0)
    key = hashlib.blake2b(b"nightjar slot v1" + REPO + entry + public + x25519(eph_secret, public),
                          key=k, digest_size=32).digest()
    return entry, key


def rle_frame(byte, n):
    """One zstd frame that gives n times byte; a block gives at most 128 KiB."""
    frame = u(4, 0xFD2FB528) + u8(0) + u8(0x70)  # no size, checksum, dictionary; a window of 16 MiB
    while n:
        step = min(n, 131072)
        n -= step
        frame += u(3, (n == 0) | 1 << 1 | step << 3) + byte
    return frame


class Record:
    def __init__(self, kind, plain, codec, slot_number, counter, source=0, bases=(), compressed=None,
                 lineage=0, chain=0):
        self.__dict__.update(locals())
        self.id = chunk_id(kind, plain)
        self.depth = 1 if bases else 0
        self.compressed = plain if compressed is None else compressed
        self.stored = len(self.compressed) + 16

    def seal(self, key):
        ad = (REPO + u8(self.kind) + self.id + u32(len(self.plain)) + u8(self.codec) + u8(self.depth) +
              u8(len(self.bases)) + b"".join(self.bases))
        return aead(key, counted(self.counter), ad, self.compressed)

    def entry(self, usual):
        """usual: by recipient the first slot and the counter that is next in it."""
        here, mine = [self.slot_number, self.source, self.counter], usual[2 if self.kind in (2, 4) else 1]
        form = 1 + len(self.bases) if self.codec == 2 else self.codec
        entry = self.id + u8(self.kind | form << 3 | (here != mine) << 7)
        if here == mine:
            mine[2] += 1
        else:
            entry += b"".join(map(varint, here))
        entry += varint(len(self.compressed))
        if self.codec:
            entry += varint(len(self.plain))
        if self.codec == 2:
            entry += u8(self.depth) + varint(self.lineage) + varint(self.chain - self.stored) + b"".join(self.bases)
        return entry


def make_pack():
    slots = [slot(bytes([40]) * 32, 2), slot(bytes([41]) * 32, 1)]
    base = Record(1, b"the first plaintext", 0, 1, 1)
    records = [
        Record(3, b"b" * 5000, 1, 1, 2, source=1, compressed=rle_frame(b"b", 5000)),
        Record(2, u32(1) + u8(3) + chunk_id(3, b"b" * 5000), 0, 0, 1),
        base,
        # A delta, which this version can list but not decode: its bytes stand for themselves.
        Record(1, b"the second plaintext", 2, 1, 7, bases=[base.id], compressed=b"delta", lineage=300, chain=21 + 35),
        Record(1, b"z" * 300000, 1, 1, 4, compressed=rle_frame(b"z", 300000)),
    ]
    table = b"".join(entry for entry, _ in slots)
    sources = [(W_PUBLIC, 9), (bytes([7]) * 32, 3)]
    body = u16(len(sources)) + b"".join(w + u64(s) for w, s in sources) + u32(len(records))
    usual = {2: [0, 0, 1], 1: [1, 0, 1]}
    body += b"".join(r.entry(usual) for r in records)
    sealed_bytes = max(512, padme(len(body) + 16))
    pack = header(4) + REPO + u32(sealed_bytes) + u16(len(slots)) + u8(0) + u8(0) + u32(0) + table
    pack += aead(slots[0][1], counted(0), pack, body + bytes(sealed_bytes - 16 - len(body)))
    for r in records:
        pack += r.seal(slots[r.slot_number][1])
    return pack + bytes([0xAA]) * (bucket(len(pack)) - len(pack)), body, table, records, slots


def make_segment(pack, body, table):
    name = hashlib.sha256(pack).digest()
    packs = u32(1) + name + u64(len(pack)) + u16(len(table) // 44) + table + body
    key, nonce = bytes([9]) * 32, bytes([8]) * 24
    segment = header(5, 1) + REPO + W_PUBLIC + u32(0)
    wrapped = aead(INDEX_KEY, nonce, segment, key)
    eph_secret = bytes([42]) * 32
    eph_public = x25519(eph_secret)
    boxed = out(48)
    assert sodium.crypto_box_easy(
        boxed, key, ULL(32), hashlib.blake2b(eph_public + M_PUBLIC, digest_size=24).digest(), M_PUBLIC,
        eph_secret) == 0
    segment += nonce + wrapped + eph_public + boxed.raw
    around = len(segment) + 16 + 64
    packs += bytes(max(4096, padme(around + len(packs))) - around - len(packs))
    segment += aead(key, counted(0), segment, packs)
    return segment + signature("index", segment, W_SECRET), packs


def seeds(folder, pack, body, table):
    """The vectors and their relatives, for the fuzzers to begin with."""
    bases, usual = [chunk_id(1, u8(n)) for n in range(3)], {2: [0, 0, 1], 1: [1, 0, 1]}
    moved = [Record(1, bytes(70000), 2, 1, 1, bases=bases, compressed=bytes(200), lineage=2**32 - 1,
                    chain=2**32 - 1),
             Record(4, bytes(5), 0, 0, 2**32 - 1), Record(5, b"", 0, 2, 9, source=1), Record(1, b"base", 0, 1, 2)]
    three = u16(2) + bytes(80) + u32(4) + b"".join(record.entry(usual) for record in moved)
    in_segment = u64(len(pack)) + u16(2) + table + body
    for name, data in {
            "pack/known": u16(2) + u32(len(pack)) + table + body,
            "pack/empty": u16(1) + u32(8192) + table[:44] + u16(0) + u32(0),
            "pack/moved": u16(3) + u32(8192) + table + table[44:] + three,
            "pack/head": pack[:36],
            "indexseg/known": u32(1) + bytes(32) + in_segment,
            "indexseg/two": u32(2) + bytes(32) + in_segment + bytes([1] * 32) + in_segment,
            "indexseg/padded": bytes(44)}.items():
        (folder / name).write_bytes(data)


# --- the chunker, byte by byte from each chunk's start ---
def cut_positions(gear, multiplier, data):
    cuts, start, mask = [], 0, (1 << 64) - 1
    while start < len(data):
        h, n = 0, 0
        for byte in memoryview(data)[start:start + 4194304]:
            h = (2 * h + gear[byte]) & mask
            n += 1
            if n >= 262144:
                k = 22 if n < 1048576 else 18
                if (h * multiplier & mask) >> (64 - k) == 0:
                    break
        start += n
        cuts.append(start)
    return cuts


def write(path, pairs):
    with open(path, "w", encoding="ascii") as f:
        for name, value in pairs:
            f.write(f"{name} {value.hex()}\n")


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
    stream = xchacha(CHUNKER_KEY, b"nightjar chunker stream 1"[:24], 2080)
    gear = struct.unpack("<256Q", stream[:2048])
    tree_key, multiplier = stream[2048:2064], int.from_bytes(stream[2064:2072], "little") | 1
    data = xchacha(bytes([7]) * 32, bytes(24), 12 << 20)
    ends = [(level, n) for level in (0, 1) for n in range(3000)
            if siphash(tree_key, u8(level) + b"name-%d" % n) < 2**64 // 512]
    write(folder / "chunker.txt", [
        ("chunker_key", CHUNKER_KEY), ("gear", stream[:2048]), ("tree_key", tree_key),
        ("multiplier", u64(multiplier)),
        ("cuts", b"".join(map(u32, cut_positions(gear, multiplier, data)))),
        ("tree_ends", b"".join(u8(level) + u16(n) for level, n in ends))])

    pack, body, table, records, slots = make_pack()
    pairs = [("repository", REPO), ("master", MASTER), ("host", b"vector"), ("pack", pack),
             ("name", hashlib.sha256(pack).digest()), ("table", table), ("body", body)]
    pairs += [(f"id_{kind}", chunk_id(kind, b"abc")) for kind in range(1, 6)]
    pairs += [("m_key", slots[0][1]), ("r_key", slots[1][1])]
    pairs += [("delta_record", records[3].seal(slots[1][1])), ("raw_record", records[2].seal(slots[1][1]))]
    write(folder / "pack.txt", pairs)
    segment, packs = make_segment(pack, body, table)
    write(folder / "index.txt", [("segment", segment), ("packs", packs)])
    if len(sys.argv) < 2:
        seeds(folder.parent.parent / "fuzz/corpus", pack, body, table)


main()
