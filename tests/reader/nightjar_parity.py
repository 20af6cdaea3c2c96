"""The parity tail of a pack, from repo/FORMAT.md §5 alone: what the tail of a body must be.

XXH3-64 (seed 0) is here as far as it is needed: inputs of more than 240 bytes.
"""
import struct

BLOCK = 4096
SUMS = 510
MASK = (1 << 64) - 1
P32_1, P32_2, P32_3 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D
P64_1, P64_2, P64_3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
P64_4, P64_5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221"
    "b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb"
    "170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e")
KEYS = struct.unpack("<24Q", SECRET[:192])


def xxh3_64(data):
    assert len(data) > 240
    words = len(data) // 8
    lanes = struct.unpack(f"<{words}Q", data[:words * 8])
    acc = [P32_3, P64_1, P64_2, P64_3, P64_4, P32_2, P64_5, P32_1]

    def stripe(values, keys):
        for i in range(8):
            value = values[i]
            mixed = value ^ keys[i]
            acc[i ^ 1] = acc[i ^ 1] + value & MASK
            acc[i] = acc[i] + (mixed & 0xFFFFFFFF) * (mixed >> 32) & MASK

    stripes = (len(data) - 1) // 64
    for n in range(stripes):
        k = n % 16
        stripe(lanes[8 * n:8 * n + 8], KEYS[k:k + 8])
        if k == 15:
            for i in range(8):
                acc[i] = (acc[i] ^ acc[i] >> 47 ^ KEYS[16 + i]) * P32_1 & MASK
    stripe(struct.unpack("<8Q", data[-64:]), struct.unpack("<8Q", SECRET[121:185]))
    result = len(data) * P64_1 & MASK
    ends = struct.unpack("<8Q", SECRET[11:75])
    for i in range(4):
        product = (acc[2 * i] ^ ends[2 * i]) * (acc[2 * i + 1] ^ ends[2 * i + 1])
        result = result + (product & MASK ^ product >> 64) & MASK
    result = (result ^ result >> 37) * 0x165667919E3779F9 & MASK
    return result ^ result >> 32


def gf_mul(a, b):
    product = 0
    while b:
        product ^= a * (b & 1)
        a = a << 1 ^ (0x11D if a & 128 else 0)
        b >>= 1
    return product


INVERSE = {a: b for a in range(1, 256) for b in range(1, 256) if gf_mul(a, b) == 1}
TIMES = {}


def times(factor, block):
    if factor not in TIMES:
        TIMES[factor] = bytes(gf_mul(factor, x) for x in range(256))
    return block.translate(TIMES[factor])


def factor(row, column):
    y = 4 + column
    return gf_mul(y, INVERSE[y ^ row])


def kind_fits(kind, blocks):
    return blocks >= 1 and (kind == 1 if blocks < 8 else kind in (2, 4))


def tail_bytes(kind, blocks):
    if kind == 1:
        return blocks * BLOCK + 2 * (8 * blocks + 16)
    stripes = -(-blocks // 64)
    return stripes * kind * BLOCK + 2 * -(-(blocks + stripes * kind) // SUMS) * BLOCK


def parity_blocks(kind, body):
    """Parity blocks in the order of the object."""
    blocks = len(body) // BLOCK
    stripes = -(-blocks // 64)
    result = []
    for q in range(stripes * kind):
        stripe, row = (blocks + q) % stripes, q // stripes
        total = 0
        for i, c in enumerate(range(stripe, blocks, stripes)):
            block = times(factor(row, i), body[c * BLOCK:c * BLOCK + BLOCK])
            total ^= int.from_bytes(block, "little")
        result.append(total.to_bytes(BLOCK, "little"))
    return result


def tail(kind, body):
    blocks = len(body) // BLOCK
    coded = [body[i:i + BLOCK] for i in range(0, len(body), BLOCK)]
    middle = body
    if kind != 1:
        parity = parity_blocks(kind, body)
        coded += parity
        middle = b"".join(parity)
    sums = [struct.pack("<Q", xxh3_64(block)) for block in coded]
    table = b""
    for k in range(0, len(sums), SUMS):
        some = b"".join(sums[k:k + SUMS])
        whole = some.ljust(8 * SUMS, b"\0") + struct.pack("<IBBH", blocks, kind, 0, k // SUMS)
        end = whole[-8:] + struct.pack("<Q", xxh3_64(whole))
        table += (some if kind == 1 else whole[:-8]) + end
    return table + middle + table
