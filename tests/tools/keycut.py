#!/usr/bin/env python3
"""keycut.py FULL-KEY-FILE REPOSITORY: the maintain key file cut from a full one, from FORMAT.md §3 alone, on standard output."""
import base64
import hashlib
import sys


def derive(master, number):
    return hashlib.blake2b(b"", digest_size=32, key=master, salt=number.to_bytes(16, "little"),
                           person=b"njkeys01").digest()


with open(sys.argv[1], encoding="ascii") as f:
    blob = base64.b64decode("".join(f.read().split("\n")[1:]))
with open(sys.argv[2] + "/config", "rb") as f:
    owner = f.read()[32:64]
repository, master = blob[8:24], blob[24:56]
cut = b"njar\x01\x08\x03\x00" + repository + derive(master, 2) + derive(master, 3) + owner
text = base64.b64encode(cut + hashlib.sha256(cut).digest()[:8]).decode()
print("nightjar-key-1 maintain")
for at in range(0, len(text), 76):
    print(text[at:at + 76])
