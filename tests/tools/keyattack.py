#!/usr/bin/env python3
"""keyattack.py REPO KEYFILE [--marker TEXT]... [--confirm FILE]: what a thief of a key file reads of a repository.

It has all of the repository and all of the key file, and nothing else; it shares no code with the
program, only the parsing of tests/reader. It does not ask what the role may do: every slot of every
pack, record and note, every key slot and every segment is tried with every key that can be made of
what the file holds, in the right role and in wrong ones: as pre-shared key, as X25519 scalar against
the ephemeral key, R's and M's, as the shared secret, as the key itself, and with secrets of zeros.

Prints one JSON object: how many keys and openings were tried, what opened, how many plaintexts
of records that gave, and which markers were seen in anything that is readable to this key, clear bytes of
objects included. With --confirm only the segments are opened: is the chunk that FILE would be among their ids? The key file of a
role that reads must find all of it, else the program has no teeth.
"""
import argparse
import base64
import ctypes
import itertools
import json
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "reader"))
import nightjar_reader as nj
from nightjar_cells import Damage

ZERO = bytes(32)
ROLES = {1: "full", 2: "write", 3: "maintain", 4: "read"}


def seed_to_scalar(seed):
    """Ed25519's secret as an X25519 one, as libsodium's own conversion makes it."""
    public, secret = ctypes.create_string_buffer(32), ctypes.create_string_buffer(64)
    nj.sodium.crypto_sign_seed_keypair(public, secret, seed)
    out = ctypes.create_string_buffer(32)
    nj.sodium.crypto_sign_ed25519_sk_to_curve25519(out, secret)
    return out.raw, secret.raw[:32], public.raw


def shared(scalar, point):
    out = ctypes.create_string_buffer(32)
    return out.raw if nj.sodium.crypto_scalarmult(out, scalar, point) == 0 else None


class Loot:
    """Every secret of a key file, whatever its role, and what can be derived of it."""

    def __init__(self, path):
        text = open(path, "rb").read()
        data = base64.b64decode(b"".join(text.split(b"\n")[1:]))
        f = nj.Fields(data[:-8], path)
        self.role = f.header(nj.KEY_FILE, (1, 2, 3, 4))
        self.repository, self.secrets, self.publics, self.roots, self.host = f.take(16), [], [], {}, ""
        getattr(self, ROLES[self.role])(f)
        f.end()
        self.domains = {n: nj.Domain(root) for n, root in self.roots.items()}
        self.grow()

    def full(self, f):
        master = f.take(32)
        self.secrets = [master] + [nj.kdf(master, b"njkeys01", n) for n in range(1, 6)]
        self.secrets += [nj.kdf(master, b"njread01", n) for n in range(1, 9)]
        self.roots = {n: nj.kdf(master, b"njdomain", n) for n in range(8)}

    def write(self, f):
        seed, owner, m, g, _, r, number, root = f.unpack("32s32s32s32sI32sI32s")
        self.secrets, self.publics, self.roots = [seed], [owner, m, g, r], {number: root}
        self.host = f.text().decode()

    def maintain(self, f):
        self.secrets = [f.take(32), f.take(32)]
        self.publics = [f.take(32)]

    def read(self, f):
        m, owner, g = f.unpack("32s32s32s")
        epochs = dict(f.many("H", lambda: f.unpack("I32s")))
        self.roots = dict(f.many("H", lambda: f.unpack("I32s")))
        self.secrets, self.publics = [m, *epochs.values()], [owner, g]

    def grow(self):
        """One round of every derivation there is, over everything that there is."""
        keys = [k for d in self.domains.values() for k in (d.id_key, d.chunker_key, d.index_key, d.psk)]
        base = [*self.secrets, *self.roots.values(), *keys]
        self.psks = [ZERO, *base, *self.publics]
        scalars = []
        for secret in base:
            scalars += [secret, *seed_to_scalar(secret)[:2], nj.sha256(secret), nj.blake2b(secret)]
            scalars += [nj.kdf(secret, b"njkeys01", n) for n in range(1, 6)]
            scalars += [nj.kdf(secret, b"njread01", n) for n in range(1, 4)]
        self.scalars = list(dict.fromkeys(scalars))
        self.keys = list(dict.fromkeys([ZERO, *base, *scalars, *self.publics]))


class Attack:
    def __init__(self, path, loot, markers):
        self.path, self.loot, self.markers = path, loot, markers
        self.tried, self.opened, self.seen, self.found = 0, {}, set(), {}
        self.plain, self.packs, self.points = {}, {}, [p for p in loot.publics]
        self.floor = 12

    # -- what is readable --

    def readable(self, what, data):
        self.opened[what] = self.opened.get(what, 0) + 1
        self.look(data)

    def look(self, data):
        self.seen.update(m for m in self.markers if m.encode() in data)

    def try_key(self, key, public_nonce, ad, sealed):
        self.tried += 1
        try:
            return nj.aead_open(key, public_nonce, ad, sealed, "")
        except Damage:
            return None

    # -- slots --

    def slot_keys(self, slot):
        """Every key that the 44 bytes could mean to who holds the loot."""
        yield from self.loot.keys
        ephemeral = slot[:32]
        secrets = [ZERO, ephemeral, *self.points]
        for scalar in self.loot.scalars:
            secrets += [s for p in (ephemeral, *self.points) if (s := shared(scalar, p))]
        secrets = list(dict.fromkeys(secrets))
        own = [nj.x25519(s) for s in self.loot.secrets]
        for recipient, secret, psk in itertools.product(
                dict.fromkeys([*self.points, *own]), secrets, self.loot.psks):
            yield nj.blake2b(b"nightjar slot v1" + self.loot.repository + slot + recipient + secret, psk)

    def open_slot(self, slot, public_nonce, ad, sealed):
        if slot in self.found:
            key = self.found[slot]
            return key and self.try_key(key, public_nonce, ad, sealed)
        self.found[slot] = None
        for key in self.slot_keys(slot):
            data = self.try_key(key, public_nonce, ad, sealed)
            if data is not None:
                self.found[slot] = key
                return data
        return None

    # -- objects --

    def objects(self, folder):
        for where, _, names in os.walk(os.path.join(self.path, folder)):
            for name in sorted(names):
                yield name, open(os.path.join(where, name), "rb").read()

    def config(self):
        data = open(os.path.join(self.path, "config"), "rb").read()
        _, owner, m, g, _, self.floor = struct.unpack_from("<q32s32s32sBB", data, 24)
        self.points += [m, owner, g]
        for _, roster in self.objects("keys"):
            if roster[5] == nj.ROSTER:
                count = struct.unpack_from("<H", roster, 32)[0]
                self.points += [roster[34 + 36 * i + 4:34 + 36 * i + 36] for i in range(count)]
        self.points = list(dict.fromkeys(self.points))

    def key_slots(self):
        for _, data in self.objects("keys"):
            if data[5] != nj.KEY_SLOT:
                continue
            for key in self.loot.keys:
                for ad_end, length, what in ((80, 48, "master"), (152, 272, "label")):
                    n = data[ad_end:ad_end + 24]
                    sealed = data[ad_end + 24:ad_end + 24 + length]
                    plain = self.try_key(key, n, data[:ad_end], sealed)
                    if plain:
                        self.readable(what, plain)

    def box(self, box):
        out = ctypes.create_string_buffer(32)
        for scalar in self.loot.scalars:
            self.tried += 1
            if nj.sodium.crypto_box_seal_open(out, box, 80, nj.x25519(scalar), scalar) == 0:
                return out.raw
        return None

    def segments(self):
        """A segment says where records are, to who deduplicates; no plaintext."""
        for name, data in self.objects("index"):
            f = nj.Fields(data, name)
            kind = f.header(nj.INDEX, (1, 2))
            signer, number = self.segment_head(f)
            seal_nonce, sealed, box = f.take(24), f.take(48), f.take(80)
            wrapper, salt = (f.take(32), f.take(32)) if kind == 2 else (signer, b"")
            ad = data[:6] + b"\1\0" + self.loot.repository + wrapper + struct.pack("<I", number)
            candidates = [k for key in self.loot.keys if (k := self.try_key(key, seal_nonce, ad, sealed))]
            candidates += [k for k in [self.box(box)] if k]
            for key in candidates[:1]:
                key = key if kind == 1 else nj.blake2b(b"nightjar gc index v1" + salt, key)
                body = self.try_key(key, nj.nonce(0), data[:f.at], data[f.at:-64])
                if body is not None:
                    self.readable("segment", body)
                    self.packs_of(nj.Fields(body, name))

    @staticmethod
    def segment_head(f):
        f.take(16)
        return f.unpack("32sI")

    def packs_of(self, body):
        for _ in range(body.unpack("I")):
            name, length, count = body.unpack("32sQH")
            slots = [body.take(44) for _ in range(count)]
            self.packs[name.hex()] = nj.Pack(name.hex(), length, slots, self.floor, body)

    def directory(self, name, data):
        length, count = struct.unpack_from("<IH", data, 24)
        end = 36 + 44 * count
        body = self.open_slot(data[36:80], nj.nonce(0), data[:end], data[end:end + length])
        if body is None:
            return
        self.readable("directory", body)
        slots = [data[36 + 44 * i:80 + 44 * i] for i in range(count)]
        self.packs.setdefault(name, nj.Pack(name, len(data), slots, self.floor, nj.Fields(body, name)))

    def records(self):
        """Where they are is known of an opened segment or directory; a slot's key opens all that are in it."""
        waiting = []
        for name, data in self.objects("data"):
            self.directory(name, data)
            for e in self.packs[name].entries if name in self.packs else ():
                ad = (self.loot.repository + bytes([e.kind]) + e.id + struct.pack(
                    "<IBBB", e.plain, e.codec, e.depth, len(e.bases)) + b"".join(e.bases))
                sealed = data[e.offset:e.offset + e.stored]
                plain = self.open_slot(self.packs[name].slots[e.slot], nj.nonce(e.counter), ad, sealed)
                if plain is not None:
                    waiting.append((e, plain))
        self.decode(waiting)

    def decode(self, waiting):
        for _ in range(256):
            rest = []
            for e, data in waiting:
                if all((e.kind, b) in self.plain for b in e.bases):
                    prefix = b"".join(self.plain[e.kind, b] for b in e.bases)
                    data = nj.unzstd(data, e.plain, prefix) if e.codec else data
                    self.plain[e.kind, e.id] = data
                    self.readable("record", data)
                else:
                    rest.append((e, data))
            waiting, before = rest, len(waiting)
            if len(waiting) == before:
                return

    def signed_records(self):
        """Manifests, tags and notes: wherever something that could be a slot and a sealed part stands."""
        for name, data in self.objects("snapshots"):
            at = 32
            while at + 48 < len(data) - 64:
                slot, length = data[at:at + 44], struct.unpack_from("<I", data, at + 44)[0]
                ok = slot[32] in (1, 2) and slot[33:36] == b"\0\0\0" and 16 <= length <= len(data) - 64 - at - 48
                ends = ok and at + 48 + length
                if not ok or not (ends == len(data) - 64 or data[ends + 32:ends + 36] == b"\1\0\0\0"):
                    at += 1
                    continue
                self.parts += 1
                plain = self.open_slot(slot, nj.nonce(0), data[:at + 48], data[at + 48:ends])
                if plain is not None:
                    self.readable("part " + "?RM"[slot[32]], plain)
                at = ends

    def run(self, segments_only):
        self.parts = 0
        if segments_only:
            self.config()
            self.segments()
            return
        for where, _, names in os.walk(self.path):
            for name in names:
                self.look(open(os.path.join(where, name), "rb").read())
        self.config()
        self.key_slots()
        self.segments()
        self.records()
        self.signed_records()

    def confirms(self, data):
        ids = {e.id for pack in self.packs.values() for e in pack.entries}
        return any(d.chunk_id(nj.DATA, data) in ids for d in self.loot.domains.values())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("repo")
    parser.add_argument("key")
    parser.add_argument("--marker", action="append", default=[])
    parser.add_argument("--confirm")
    arguments = parser.parse_args()
    loot = Loot(arguments.key)
    attack = Attack(arguments.repo, loot, arguments.marker)
    attack.run(arguments.confirm is not None)
    result = {"role": ROLES[loot.role], "keys": len(loot.keys), "slots": len(attack.found), "parts": attack.parts,
              "tried": attack.tried, "opened": attack.opened, "records": len(attack.plain),
              "ids": sum(len(p.entries) for p in attack.packs.values()), "markers": sorted(attack.seen)}
    if arguments.confirm:
        result["confirmed"] = attack.confirms(open(arguments.confirm, "rb").read())
    print(json.dumps(result))


if __name__ == "__main__":
    main()
