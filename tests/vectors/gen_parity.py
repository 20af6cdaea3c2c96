#!/usr/bin/env python3
"""Writes parity.txt: known answers for the parity tails of FORMAT.md §5, by the second reader's own code.

Usage: tests/vectors/gen_parity.py [folder]; without a folder it renews the fuzzers' seeds too. A line is
"tail_<kind>_<blocks>", a space, and the SHA-256 of the tail of that body.
"""
import hashlib
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "reader"))
import nightjar_parity as parity  # noqa: E402

TAILS = [(1, 1), (1, 2), (1, 5), (1, 7), (2, 8), (2, 33), (2, 64), (2, 65), (2, 130), (2, 600), (4, 8), (4, 64), (4, 65), (4, 520)]


def body(blocks):
    """A linear congruence: x = 1664525 x + 1013904223 mod 2^32 from x = 1, the highest byte of each."""
    out, x = bytearray(blocks * parity.BLOCK), 1
    for i in range(len(out)):
        x = (1664525 * x + 1013904223) & 0xFFFFFFFF
        out[i] = x >> 24
    return bytes(out)


def seeds(folder):
    folder.mkdir(exist_ok=True)
    small = body(1)
    small += parity.tail(1, small)
    two = body(2)
    two += parity.tail(1, two)
    (folder / "good").write_bytes(small)
    (folder / "head").write_bytes(bytes(4096) + small[4096:])
    (folder / "table").write_bytes(two[:8192] + bytes(32) + two[8224:])
    (folder / "short").write_bytes(two[:-20])
    (folder / "long").write_bytes(small + b"\1" * 9)
    # A table that claims 64 blocks, and no more than that.
    claim = parity.tail(2, bytes(64 * parity.BLOCK))[:4096]
    (folder / "claim").write_bytes(claim)


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    whole = body(max(blocks for _, blocks in TAILS))
    with open(folder / "parity.txt", "w", encoding="ascii") as f:
        for kind, blocks in TAILS:
            tail = parity.tail(kind, whole[:blocks * parity.BLOCK])
            assert len(tail) == parity.tail_bytes(kind, blocks)
            f.write(f"tail_{kind}_{blocks} {hashlib.sha256(tail).hexdigest()}\n")
    if len(sys.argv) < 2:
        seeds(HERE.parent.parent / "fuzz/corpus/parity")


main()
