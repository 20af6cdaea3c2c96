#!/usr/bin/env python3
"""Computes the known answers of this folder from FORMAT.md §1-§3 alone.

A second implementation: it shares no code with nightjar and no more than libsodium's curve, signature, AEAD
and Argon2id calls with it. Hashes and key derivation are Python's. Run it in this folder; the result
must not change.
"""
import base64
import ctypes
import hashlib
import hmac
import os
import struct

sodium = ctypes.CDLL("libsodium.so.23")
assert sodium.sodium_init() >= 0


def blake2b(data, key=b"", n=32, salt=b"", person=b""):
    return hashlib.blake2b(data, digest_size=n, key=key, salt=salt, person=person).digest()


def kdf(key, context, n):
    return blake2b(b"", key, 32, struct.pack("<Q", n) + bytes(8), context + bytes(8))


def x25519(secret, point=None):
    out = ctypes.create_string_buffer(32)
    if point is None:
        assert sodium.crypto_scalarmult_base(out, secret) == 0
    else:
        assert sodium.crypto_scalarmult(out, secret, point) == 0
    return out.raw


def ed25519(seed):
    pub, secret = ctypes.create_string_buffer(32), ctypes.create_string_buffer(64)
    sodium.crypto_sign_seed_keypair(pub, secret, seed)
    return pub.raw, secret.raw


def sign(seed, tag, body):
    message = b"nightjar " + tag + b" v1\0" + blake2b(body, n=64)
    out = ctypes.create_string_buffer(64)
    sodium.crypto_sign_detached(out, None, message, ctypes.c_ulonglong(len(message)), ed25519(seed)[1])
    return out.raw


def aead(key, nonce, ad, plain):
    out = ctypes.create_string_buffer(len(plain) + 16)
    sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(
        out, None, plain, ctypes.c_ulonglong(len(plain)), ad, ctypes.c_ulonglong(len(ad)), None, nonce, key)
    return out.raw


def argon2id(password, salt, passes, kib):
    out = ctypes.create_string_buffer(64)
    assert sodium.crypto_pwhash(out, ctypes.c_ulonglong(64), password, ctypes.c_ulonglong(len(password)), salt,
                                ctypes.c_ulonglong(passes), ctypes.c_size_t(kib * 1024), 2) == 0
    return out.raw


def nonce(n):
    return struct.pack("<Q", n) + bytes(16)


def header(kind_of_object, kind=0):
    return b"njar" + bytes([1, kind_of_object, kind, 0])


def str16(text):
    return struct.pack("<H", len(text)) + text


def write(name, values):
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, name + ".hex"), "w") as out:
        for key, value in values.items():
            out.write(f"{key} {value.hex()}\n")


def ramp(start, n):
    return bytes((start + i) & 255 for i in range(n))


REPO, MASTER = ramp(0xA0, 16), ramp(1, 32)
FOREVER = 2**64 - 1

# --- §1 and §2 ---
long_text = bytes(i * 7 & 255 for i in range(1000))
write("sha256", {
    "empty": hashlib.sha256(b"").digest(), "abc": hashlib.sha256(b"abc").digest(),
    "long_in": long_text, "long": hashlib.sha256(long_text).digest(),
    "hmac_key": ramp(9, 32), "hmac_none": hmac.digest(ramp(9, 32), b"", "sha256"),
    "hmac_long": hmac.digest(ramp(9, 32), b"\x01" + long_text, "sha256"),
})


def bucket(n, floor):
    if n <= 2**floor:
        return 2**floor
    if n < 2**20:
        return 2 ** (n - 1).bit_length()
    e = n.bit_length() - 1
    unit = 2 ** (e - e.bit_length())  # floor(log2 e) + 1 is the number of e's bits
    return -(-n // unit) * unit


sizes = [0, 1, 4095, 4096, 4097, 65536, 65537, 2**20 - 1, 2**20, 2**20 + 1, 2**20 + 2**15, 2**20 + 2**15 + 1,
         16 * 2**20, 16 * 2**20 + 1, 16 * 2**20 - 1, 3**20, 2**32 - 1, 2**32, 2**32 + 1, 2**40 - 1, 2**40]
write("header", {
    "buckets": b"".join(struct.pack("<QQQ", f, n, bucket(n, f)) for f in (12, 16, 20) for n in sizes),
    "config": header(1), "index_by_g": header(5, 2),
})
write("seal", {
    "key": ramp(3, 32), "counter": struct.pack("<Q", 0x0102030405060708), "ad": b"bound", "plain": b"sealed text",
    "sealed": aead(ramp(3, 32), nonce(0x0102030405060708), b"bound", b"sealed text"),
    "nothing": aead(ramp(3, 32), nonce(0), b"", b""),
})
write("sign", {"seed": ramp(77, 32), "bytes": long_text, "manifest": sign(ramp(77, 32), b"manifest", long_text),
               "config": sign(ramp(77, 32), b"config", b"")})

# --- §3 ---
O_SEED = kdf(MASTER, b"njkeys01", 1)
M_SECRET = kdf(MASTER, b"njkeys01", 2)
G_SEED = kdf(MASTER, b"njkeys01", 3)
LABEL_KEY = kdf(MASTER, b"njkeys01", 4)
WRITER_ROOT = kdf(MASTER, b"njkeys01", 5)
O, M, G = ed25519(O_SEED)[0], x25519(M_SECRET), ed25519(G_SEED)[0]


def read_secret(epoch):
    return kdf(MASTER, b"njread01", epoch)


def domain_root(domain):
    return kdf(MASTER, b"njdomain", domain)


def writer_seed(host):
    return blake2b(b"nightjar writer v1" + host, WRITER_ROOT)


keys = {"repo": REPO, "master": MASTER, "owner_pub": O, "maint_pub": M, "maint_secret": M_SECRET, "gc_pub": G,
        "gc_seed": G_SEED, "owner_secret": ed25519(O_SEED)[1], "writer_host": b"db1.example",
        "writer_pub": ed25519(writer_seed(b"db1.example"))[0], "writer_secret": ed25519(writer_seed(b"db1.example"))[1]}
for e in (1, 2, 0xFFFFFFFF):
    keys[f"read_secret_{e}"], keys[f"read_pub_{e}"] = read_secret(e), x25519(read_secret(e))
for d in (0, 7):
    root = domain_root(d)
    keys[f"domain_{d}"] = root + b"".join(kdf(root, b"njdokeys", n) for n in (1, 2, 3, 4))
write("keys", keys)


def slot(eph_secret, recipient, epoch, domain):
    pub = x25519(read_secret(epoch)) if recipient == 1 else M
    psk = kdf(domain_root(domain), b"njdokeys", 4) if recipient == 1 else bytes(32)
    raw = x25519(eph_secret) + bytes([recipient, 0, 0, 0]) + struct.pack("<II", epoch, domain)
    key = blake2b(b"nightjar slot v1" + REPO + raw + pub + x25519(eph_secret, pub), psk)
    return raw, key


slots = {}
for name, args in {"r1": (ramp(5, 32), 1, 1, 0), "r2": (ramp(6, 32), 1, 2, 7), "m": (ramp(7, 32), 2, 0, 0),
                   "m7": (ramp(8, 32), 2, 0, 7)}.items():
    slots[name], slots[name + "_key"] = slot(*args)
write("slot", slots)

password, salt = "correct horse ü".encode(), ramp(0x30, 16)
stretched = argon2id(password, salt, 2, 8192)
ks = header(2) + REPO + struct.pack("<II", 2, 8192) + salt + stretched[32:]
ks += ramp(0x50, 24) + aead(stretched[:32], ramp(0x50, 24), ks, MASTER)
label = struct.pack("<q", 1700000000) + str16(b"anna") + str16(b"db1")
ks += ramp(0x60, 24) + aead(LABEL_KEY, ramp(0x60, 24), ks, label + bytes(256 - len(label)))
long_label = struct.pack("<q", -1) + str16(b"u" * 95) + str16(b"h" * 127)
bad_label = struct.pack("<q", 1) + str16(b"u" * 96) + str16(b"h")
dirty_label = label + bytes(255 - len(label)) + b"\x01"
before = ks[:152]


def with_label(text):
    return before + ramp(0x60, 24) + aead(LABEL_KEY, ramp(0x60, 24), before, text + bytes(256 - len(text)))


# Everything right but the commitment, which the sealed master binds as it stands.
uncommitted = ks[:79] + bytes([ks[79] ^ 1])
uncommitted += ramp(0x50, 24) + aead(stretched[:32], ramp(0x50, 24), uncommitted, MASTER)
uncommitted += ramp(0x60, 24) + aead(LABEL_KEY, ramp(0x60, 24), uncommitted, label + bytes(256 - len(label)))

write("keyslot", {"uncommitted": uncommitted,
                  "password": password, "slot": ks, "long_label": with_label(long_label),
                  "bad_label": with_label(bad_label), "dirty_label": with_label(dirty_label)})


def keyfile(role, number, fields, version=b"1"):
    blob = header(8, number) + REPO + fields
    blob += hashlib.sha256(blob).digest()[:8]
    text = base64.b64encode(blob).decode()
    lines = [text[i:i + 76] for i in range(0, len(text), 76)]
    return b"nightjar-key-" + version + b" " + role + b"\n" + "".join(line + "\n" for line in lines).encode()


def numbered(*pairs):
    return struct.pack("<H", len(pairs)) + b"".join(struct.pack("<I", n) + k for n, k in pairs)


def write_fields(seed, epoch, domain, host):
    return (seed + O + M + G + struct.pack("<I", epoch) + x25519(read_secret(epoch)) + struct.pack("<I", domain) +
            domain_root(domain) + str16(host))


read_start = M_SECRET + O + G
R1, R2 = (1, read_secret(1)), (2, read_secret(2))
D0, D7 = (0, domain_root(0)), (7, domain_root(7))
by_host = writer_seed(b"db1.example")
write("keyfile", {
    "full": keyfile(b"full", 1, MASTER),
    "write": keyfile(b"write", 2, write_fields(by_host, 1, 0, b"db1.example")),
    "maintain": keyfile(b"maintain", 3, M_SECRET + G_SEED + O),
    "read": keyfile(b"read", 4, read_start + numbered(R1) + numbered(D0)),
    "read_more": keyfile(b"read", 4, read_start + numbered(R1, R2) + numbered(D0, D7)),
    # Correctly summed, and still refused:
    "bad_role": keyfile(b"read", 3, M_SECRET + G_SEED + O),
    "bad_number": keyfile(b"full", 5, MASTER),
    "bad_tail": keyfile(b"full", 1, MASTER + b"\0"),
    "bad_short": keyfile(b"full", 1, MASTER[:31]),
    "bad_epoch_0": keyfile(b"write", 2, write_fields(by_host, 0, 0, b"h")),
    "bad_no_host": keyfile(b"write", 2, write_fields(by_host, 1, 0, b"")),
    "bad_host": keyfile(b"write", 2, write_fields(by_host, 1, 0, b"a\0b")),
    "bad_no_epochs": keyfile(b"read", 4, read_start + numbered() + numbered(D0)),
    "bad_no_domains": keyfile(b"read", 4, read_start + numbered(R1) + numbered()),
    "bad_epoch_order": keyfile(b"read", 4, read_start + numbered(R2, R1) + numbered(D0)),
    "bad_epoch_twice": keyfile(b"read", 4, read_start + numbered(R1, R1) + numbered(D0)),
    "bad_domain_twice": keyfile(b"read", 4, read_start + numbered(R1) + numbered(D0, D0)),
    "bad_count": keyfile(b"read", 4, read_start + struct.pack("<H", 65535) + numbered(D0)),
    "newer": keyfile(b"full", 1, MASTER, b"2"),
})

config = header(1) + REPO + struct.pack("<q", 1700000000) + O + M + G + bytes([0, 16]) + bytes(6)


def signed_config(body):
    return body + sign(O_SEED, b"config", body)


write("repoconf", {
    "config": signed_config(config),
    "parity_1": signed_config(config[:128] + b"\x01" + config[129:]),
    "floor_11": signed_config(config[:129] + b"\x0b" + config[130:]),
    "floor_21": signed_config(config[:129] + b"\x15" + config[130:]),
    "not_zero": signed_config(config[:135] + b"\x01"),
    "kind_1": signed_config(config[:6] + b"\x01" + config[7:]),
    "longer": signed_config(config + b"\0"),
    "shorter": signed_config(config[:-1]),
    "newer": signed_config(config[:4] + b"\x02" + config[5:]),
})


def roster(epochs, writers, repo=REPO, owner=O, tail=b"", number=3):
    body = header(3) + repo + struct.pack("<Q", number) + struct.pack("<H", len(epochs))
    body += b"".join(struct.pack("<I", e) + k for e, k in epochs) + struct.pack("<I", len(writers))
    for w in writers:
        body += w[0] + struct.pack("<IQQQ", *w[1:5])
        if w[3] != FOREVER:
            body += struct.pack("<I", len(w[5])) + b"".join(w[5])
    body += owner + tail
    return body + sign(O_SEED, b"roster", body)


E1, E2 = (1, x25519(read_secret(1))), (2, x25519(read_secret(2)))
W1, W2 = (ramp(0x10, 32), 0, 1, FOREVER, 1), (ramp(0x20, 32), 7, 5, 9, 4, [ramp(0x30, 32), ramp(0x31, 32)])
write("roster", {
    "roster": roster([E1, E2], [W1, W2]), "empty": roster([], [], number=0),
    "epoch_order": roster([E2, E1], []), "epoch_twice": roster([E1, E1], []), "epoch_0": roster([(0, E1[1])], []),
    "writer_order": roster([E1], [W2, W1]), "writer_twice": roster([E1], [W1, W1]),
    "other_repo": roster([E1], [W1], repo=ramp(0xB0, 16)), "other_owner": roster([E1], [W1], owner=G),
    "tail": roster([E1], [W1], tail=b"\0"),
    "kept_order": roster([E1], [W2[:5] + (W2[5][::-1],)]), "kept_twice": roster([E1], [W2[:5] + (W2[5][:1] * 2,)]),
})
