"""Databases taken apart: makes an SQLite image from a stream of cells and a stream of layout.

Written from repo/FORMAT.md §11 alone, for nightjar_reader.py. What the rules there foresee is made
here, what they foresee wrongly the layout says; the caller compares the image's SHA-256.
"""
import struct

MAGIC, PIECE, CELLS = b"SQLite format 3\0", 2, 1
LONG = 131072  # a longer payload is in pieces
TREES, DEPTH = 1 << 20, 20
INTERIOR, NUMBER, COUNT, ORDER, PLACE, PATCH, CHAIN, OVER, REFUSED, KEYS = (
    1 << n for n in range(10))
OF_LEAF = NUMBER | COUNT | ORDER | PLACE | PATCH | CHAIN | OVER
AFTER_CHILDREN = ORDER | PLACE | PATCH | OVER | KEYS
U64 = (1 << 64) - 1
LEAST, MOST = 16384, 114688  # where a chunk may end, in weight


class Damage(Exception):
    """Bytes that are not what a nightjar wrote."""


def need(condition, text):
    if not condition:
        raise Damage(text)


# ---- numbers -------------------------------------------------------------------------------------

def varints(data, at, count):
    """§1: that many varints, and the place behind them."""
    values = []
    for _ in range(count):
        value = data[at]
        at += 1
        if value > 127:
            byte, shift, value = value, 0, 0
            while byte > 127:
                value |= (byte & 127) << shift
                byte, shift, at = data[at], shift + 7, at + 1
            value |= byte << shift
            need(byte and value <= U64, "a varint that is not in its shortest form")
        values.append(value)
    return values, at


def signed(value):
    """Undoes zigzag."""
    return (value >> 1) ^ -(value & 1)


def zigzag(value):
    """Of a signed number modulo 2^64."""
    return value << 1 if value < 1 << 63 else (value << 1 ^ U64) & U64


def varint_bytes(value):
    return (value.bit_length() + 6) // 7 or 1


def sqlite_varint(value):
    """SQLite's own: the most significant bits first, and a ninth byte of 8 bits."""
    if value >= 1 << 56:
        return bytes([*(value >> shift & 127 | 128 for shift in range(57, 7, -7)), value & 255])
    out = [value & 127]
    while value > 127:
        value >>= 7
        out.append(value & 127 | 128)
    return bytes(reversed(out))


SHORT = [sqlite_varint(value) for value in range(16384)]


def read_sqlite_varint(data, at):
    """The number and the place behind it; None and no place when it is not in its shortest form."""
    value = 0
    for n in range(9):
        byte = data[at + n]
        value = value << 8 | byte if n == 8 else value << 7 | byte & 127
        if byte < 128 or n == 8:
            return (value, at + n + 1) if len(sqlite_varint(value)) == n + 1 else (None, None)


def columns(payload, count):
    """The first columns of a record as (serial type, bytes); None when they cannot be read."""
    try:
        length, at = read_sqlite_varint(payload, 0)
        body, found = length, []
        for _ in range(count):
            kind, at = read_sqlite_varint(payload, at)
            size = (kind - 12) // 2 if kind >= 12 else (0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0)[kind]
            if at > length or body + size > len(payload):
                return None
            found.append((kind, payload[body:body + size]))
            body += size
        return found
    except (IndexError, TypeError):
        return None


def tree_of_row(payload):
    """The root page and the id of the tree that a row of sqlite_schema names, or None."""
    found = columns(payload, 5) if len(payload) <= LONG else None
    if not found or not 1 <= found[3][0] <= 6:
        return None
    root = int.from_bytes(found[3][1], "big")
    return (root, tree_id(found[0][1], found[1][1])) if 2 <= root < 1 << 32 else None


def tree_id(kind, name):
    return struct.pack("<I", len(kind)) + kind + name


# ---- the data stream -----------------------------------------------------------------------------

class Stream:
    """The cells of the data chunks: the next one is cells[at], of a table b-tree when table."""

    def __init__(self, chunks, keep):
        self.chunks, self.data, self.behind = iter(chunks), b"", 0
        self.kept = [] if keep else None  # of each chunk its (table, cells); None for a piece
        self.cells, self.at, self.table, self.taken = [], 0, 0, 0

    def more(self):
        """Whether there is a next cell; in another group when the last one has been taken."""
        if self.at < len(self.cells):
            return True
        self.taken += self.at
        self.cells, self.at = [], 0
        if self.behind == len(self.data):
            self.data, self.behind = next(self.chunks, b""), 1
            if not self.data:
                self.behind = 0
                return False
            need(self.data[0] == CELLS and len(self.data) > 1, "a chunk that is not of cells")
            if self.kept is not None:
                self.kept.append([])
        self.group()
        return True

    def group(self):
        data = self.data
        (head,), at = varints(data, self.behind, 1)
        count, self.table = head >> 1, head & 1
        need(0 < count <= len(data), "a group of no cells")
        rowids = [0] * count
        if self.table:
            steps, at = varints(data, at, count)
            rowid = 0
            for n, step in enumerate(steps):
                rowid = rowids[n] = rowid + signed(step) & U64
        lengths, at = varints(data, at, count)
        payloads = []
        for length in lengths if lengths[-1] <= LONG else lengths[:-1]:
            need(length <= LONG, "a long payload that is not the last of its chunk")
            payloads.append(data[at:at + length])
            at += length
        need(at <= len(data), "payloads cut short")
        self.behind, groups = at, self.kept and self.kept[-1]
        if lengths[-1] > LONG:
            need(at == len(data), "a long payload that is not the last of its chunk")
            payloads.append(self.pieces(lengths[-1]))
        self.cells = list(zip(rowids, payloads))
        if self.kept is not None:
            groups.append((self.table, self.cells))

    def pieces(self, length):
        need(length < 1 << 31, "a payload that is too long")
        payload = bytearray()
        while len(payload) < length:
            chunk = next(self.chunks, b"")
            need(len(chunk) > 1 and chunk[0] == PIECE, "a long payload without its pieces")
            payload += memoryview(chunk)[1:]
            if self.kept is not None:
                self.kept.append(None)
        need(len(payload) == length, "a long payload with another one's pieces")
        return bytes(payload)


# ---- the image -----------------------------------------------------------------------------------

class Image:
    """Makes an image; `bytes` is it.

    For Cuts, keep makes stream.kept, and trees are (cells taken up to the tree's end, its id)."""

    def __init__(self, chunks, layout, size, keep=False):
        self.layout, self.at = layout, 0
        self.bytes, self.trees, self.stream = bytearray(size), [], None
        try:
            if self.take(1) == b"\1":
                self.stream = Stream(chunks, keep)
                self.database(size)
                need(not self.stream.more(), "cells left over")
            else:
                need(layout == b"\0", "the layout is of a newer nightjar")
                self.bytes = bytearray()
                for chunk in chunks:
                    need(len(chunk) > 1 and chunk[0] == PIECE, "a piece of an image is none")
                    self.bytes += memoryview(chunk)[1:]
        except IndexError:
            raise Damage("cells or their layout are cut short") from None
        need(self.at == len(layout) and len(self.bytes) == size, "bytes of an image left over")

    def take(self, n):
        need(n <= len(self.layout) - self.at, "the layout is cut short")
        self.at += n
        return self.layout[self.at - n:self.at]

    def varint(self):
        value = self.layout[self.at]
        if value < 128:
            self.at += 1
            return value
        (value,), self.at = varints(self.layout, self.at, 1)
        return value

    def zigzag(self):
        return signed(self.varint())

    def database(self, size):
        self.head = self.take(100)
        self.page_size = int.from_bytes(self.head[16:18], "big")
        self.page_size = 65536 if self.page_size == 1 else self.page_size
        self.usable = self.page_size - self.head[20]
        need(self.head[:16] == MAGIC and self.page_size in (1 << n for n in range(9, 17)) and
             self.usable >= 480 and size >= self.page_size, "the layout of what is no database")
        self.pages = size // self.page_size
        self.made = bytearray(self.pages + 2)  # the bytes behind the last page are one more
        self.next, self.plain, self.rows = 2, 0, []
        rows = self.tree(1, tree_id(b"schema", b""))
        named = [tree for tree in map(tree_of_row, rows) if tree]
        for root, id_ in named[:TREES]:
            self.tree(root, id_)
        for _ in range(self.varint()):
            self.raw_page(size)
        self.trees.append((self.stream.taken + self.stream.at, tree_id(b"raw", b"")))
        need(self.plain == 0, "more leaf pages than there are")

    def raw_page(self, size):
        need(self.stream.more() and self.stream.table, "a raw page is missing")
        number, data = self.stream.cells[self.stream.at]
        self.stream.at += 1
        start = (number - 1) * self.page_size
        end = min(start + self.page_size, size)
        need(1 <= number <= self.pages + 1 and not self.made[number] and
             start + len(data) <= end and data[-1:] != b"\0", "a bad raw page")
        self.made[number] = 1
        self.bytes[start:start + len(data)] = data

    def tree(self, root, id_):
        """Makes the pages of a tree; gives the payloads of its cells when it is sqlite_schema."""
        self.table, = self.take(1)
        need(self.table <= 1 and not self.plain, "a tree of another kind, or leaf pages left over")
        # The rowid of the last cell taken; the payloads.
        self.last, self.payloads = 0, [] if root == 1 else None
        # The most of a payload that is in its cell.
        self.most = self.usable - 35 if self.table else (self.usable - 12) * 64 // 255 - 23
        self.page(root, 1)
        self.trees.append((self.stream.taken + self.stream.at, id_))
        return self.payloads

    def page(self, root, depth):
        """Makes a page and what is below it; gives its number. root is 0 for any but a root."""
        flags = 0
        if self.plain:
            self.plain -= 1
        else:
            t = self.varint()
            if t & 1:
                flags = t >> 1
                need(flags, "flags of a newer nightjar")
            else:
                self.plain = t >> 1
        if flags == REFUSED:
            number = self.varint()
            need(number < 1 << 32, "a page number that is too large")
            return number
        need(depth <= DEPTH, "a tree that is too deep")
        need(not (root and flags & NUMBER), "a root that is not where its row says")
        if flags & INTERIOR:
            need(not flags & ~(INTERIOR | NUMBER), "flags of a newer nightjar")
            return self.interior(root, flags, depth)
        need(not flags & ~OF_LEAF, "flags of a newer nightjar")
        return self.leaf(root, flags)

    def claim(self, number):
        need(1 <= number <= self.pages and not self.made[number], "a page made twice, or outside")
        self.made[number] = 1
        return number

    def leaf(self, root, flags):
        step = self.zigzag() if flags & NUMBER else 0
        count = self.varint() if flags & COUNT else None
        cells, over = self.leaf_cells(count, self.usable - (108 if root == 1 else 8))
        of_first = over[0][2] if over and over[0][0] == 0 else 0
        number = self.claim((root or self.next + of_first) + step)
        pages = []
        if over:
            total = sum(f for _, _, f in over)
            if flags & CHAIN:
                pages = self.chain(total)
            else:
                before = total if root else of_first
                pages = [*range(self.next, self.next + before),
                         *range(number + 1, number + 1 + total - before)]
            self.overflow(cells, over, pages)
        else:
            need(not flags & CHAIN, "a chain of no pages")
        if root:
            self.next = pages[-1] + 1 if pages else self.next
        else:
            self.next = pages[-1] + 1 if len(pages) > of_first else number + 1
        self.put(number, 13 if self.table else 10, cells, flags, None)
        if flags & OVER:
            self.patch_overflow(pages)
        return number

    def leaf_cells(self, count, room):
        """Cells, and (index, payload that is not local, pages for it) of those that overflow."""
        stream, table, most, cells, over = self.stream, self.table, self.most, [], []
        while len(cells) != count:
            if not stream.more() or stream.table != table:
                break
            rowid, payload = stream.cells[stream.at]
            length = len(payload)
            cell = SHORT[length] if length < 16384 else sqlite_varint(length)
            if table:
                cell += SHORT[rowid] if rowid < 16384 else sqlite_varint(rowid)
            if length <= most:
                cell += payload
                size = len(cell)
                room -= size + 2 if size > 4 else 6
                if room < 0:
                    break
            else:
                local = self.local(length, table)
                room -= len(cell) + local + 6
                if room < 0:
                    break
                cell += payload[:local]
                f = -(-(length - local) // (self.usable - 4))
                over.append((len(cells), payload[local:], f))
            cells.append(cell)
            if table:
                self.last = rowid
            if self.payloads is not None:
                self.payloads.append(payload)
            stream.at += 1
        need(cells if count is None else len(cells) == count, "cells that do not fit their page")
        return cells, over

    def local(self, length, table):
        """How much of a payload is in its cell, SQLite's rule."""
        most = self.usable - 35 if table else (self.usable - 12) * 64 // 255 - 23
        if length <= most:
            return length
        least = (self.usable - 12) * 32 // 255 - 23
        local = least + (length - least) % (self.usable - 4)
        return local if local <= most else least

    def interior(self, root, flags, depth):
        number = self.claim((root or self.next) + (self.zigzag() if flags & NUMBER else 0))
        cells, pages, keys = [], [], []
        table = self.table
        for left in range(self.varint(), 0, -1):
            child = struct.pack(">I", self.page(0, depth + 1))
            if table:
                cells.append(child)
                keys.append(self.last)
            else:
                cells.append(child + self.index_cell(pages))
        right = struct.pack(">I", self.page(0, depth + 1))
        flags = self.varint()
        need(not self.plain and not flags & ~(AFTER_CHILDREN if table else AFTER_CHILDREN & ~KEYS),
             "flags of a newer nightjar, or leaf pages left over")
        if flags & KEYS:
            at = 0
            for _ in range(self.varint()):
                at += self.varint()
                keys[at] = keys[at] + self.zigzag() & U64
        if table:
            cells = [child + sqlite_varint(key) for child, key in zip(cells, keys)]
        self.put(number, 5 if table else 2, cells, flags, right)
        if flags & OVER:
            self.patch_overflow(pages)
        return number

    def index_cell(self, pages):
        """The next cell, for an interior page, without its child. Adds its overflow pages."""
        stream = self.stream
        need(stream.more() and not stream.table, "a cell of an interior page is missing")
        payload = stream.cells[stream.at][1]
        stream.at += 1
        if self.payloads is not None:
            self.payloads.append(payload)
        length, local = len(payload), self.local(len(payload), 0)
        cells = [sqlite_varint(length) + payload[:local]]
        if local < length:
            f = -(-(length - local) // (self.usable - 4))
            chain = self.chain(f)
            self.next = chain[-1] + 1
            self.overflow(cells, [(0, payload[local:], f)], chain)
            pages += chain
        return cells[0]

    def chain(self, total):
        pages, expected = [], self.next
        for _ in range(self.varint()):
            first, count = expected + self.zigzag(), self.varint()
            need(0 < count <= total - len(pages), "a chain of wrong length")
            pages += range(first, first + count)
            expected = first + count
        need(len(pages) == total, "a chain of wrong length")
        return pages

    def overflow(self, cells, over, pages):
        """Makes overflow pages, and ends the cells with the number of their first one."""
        room, behind = self.usable - 4, iter(pages)
        for index, payload, f in over:
            numbers = [self.claim(next(behind)) for _ in range(f)]
            cells[index] += struct.pack(">I", numbers[0])
            for n, number in enumerate(numbers):
                data = struct.pack(">I", numbers[n + 1] if n + 1 < f else 0)
                data += payload[n * room:(n + 1) * room]
                start = (number - 1) * self.page_size
                self.bytes[start:start + len(data)] = data

    def put(self, number, kind, cells, flags, right):
        """Makes a page of a tree: its header, the pointers, the cells."""
        page, count, end = bytearray(self.page_size), len(cells), self.usable
        order = range(count)
        need(count > 1 or not flags & ORDER, "an order of one cell")
        if (kind == 10) != bool(flags & ORDER) and count > 1:
            order = [count - 1, *range(count - 1)]
        places = [0] * count
        if flags & PLACE:
            steps = self.misplaced(count)
            for n, index in enumerate(order):
                cell = cells[index]
                end += steps.get(n, 0) - max(4, len(cell))
                need(0 <= end <= self.usable - len(cell), "a cell outside its page")
                page[end:end + len(cell)] = cell
                places[index] = end
        else:
            for index in order:
                cell = cells[index]
                size = len(cell)
                end -= size if size > 4 else 4
                page[end:end + size] = cell
                places[index] = end
            need(end >= 0, "cells that do not fit their page")
        start = 0
        if number == 1:
            page[:100], start = self.head, 100
        struct.pack_into(">BHHHB", page, start, kind, 0, count,
                         min(places, default=self.usable) & 65535, 0)
        start += 8
        if right:
            page[start:start + 4] = right
            start += 4
        need(start + 2 * count <= self.usable, "cells that do not fit their page")
        struct.pack_into(f">{count}H", page, start, *places)
        if flags & PATCH:
            self.patch(page, 0)
        at = (number - 1) * self.page_size
        self.bytes[at:at + self.page_size] = page

    def misplaced(self, count):
        """{cells placed before it: how far from its expected place} of the misplaced cells."""
        steps, at = {}, 0
        for _ in range(self.varint()):
            at += self.varint()
            need(at < count, "a misplaced cell that is none")
            steps[at] = self.zigzag()
            at += 1
        return steps

    def patch(self, data, start):
        """Writes what differs of a page that starts there."""
        at, end = start, start + self.page_size
        for _ in range(self.varint()):
            at += self.varint()
            length = self.varint()
            need(0 < length <= end - at, "a patch outside its page")
            data[at:at + length] = self.take(length)
            at += length

    def patch_overflow(self, pages):
        for _ in range(self.varint()):
            self.patch(self.bytes, (pages[self.varint()] - 1) * self.page_size)


# ---- where chunks end ----------------------------------------------------------------------------

class Cuts:
    """Checks that the chunks of a data stream end where §11 says, and have the keys that it says.

    Where pieces end is the caller's to check, as of files. siphash(key, data) gives a number."""

    def __init__(self, image, keys, siphash, cell_key):
        self.image = image
        self.cells, self.trees, self.end, self.number = [], iter(image.trees), 0, 0
        begins, before = [], 0
        for groups, key in zip(image.stream.kept, keys):
            begin = len(self.cells)
            if groups is None:
                before += 1
                need(key == before & U64, "a piece with a wrong key")
                continue
            self.chunk(groups, siphash, cell_key)
            begins.append(begin)
            need(key == self.cells[begin][0], "a chunk of cells with a wrong key")
            before = self.cells[-1][0]
        need(begins == self.wanted(), "cells cut elsewhere than §11 says")

    def chunk(self, groups, siphash, cell_key):
        """Adds the (hash, weight, whether long) of each cell."""
        before = None
        for table, cells in groups:
            while len(self.cells) >= self.end:
                self.end, id_ = next(self.trees)
                self.number, self.rowid = self.number + 1, 0
                self.key = struct.pack("<QQ", *(siphash(cell_key, n + id_) for n in (b"\0", b"\1")))
            need(self.number != before and len(self.cells) + len(cells) <= self.end,
                 "a group that is not the cells of one tree")
            before = self.number
            for rowid, payload in cells:
                length = len(payload)
                if table:
                    data = struct.pack("<Q", rowid)
                else:
                    data = payload if length <= LONG else payload[:self.image.local(length, 0)]
                weight = (0 if length > LONG else length) + varint_bytes(length)
                if table:
                    steps = zigzag(rowid), zigzag(rowid - self.rowid & U64)
                    weight, self.rowid = weight + varint_bytes(min(steps)), rowid
                self.cells.append((siphash(self.key, data), weight, length > LONG))

    def wanted(self):
        """The numbers of the cells that begin chunks. What is before a long one ends with it."""
        begins, begin = [], 0
        while begin < len(self.cells):
            begins.append(begin)
            at, weight, best = begin, 0, None
            while at < len(self.cells) and weight <= MOST:
                key, of_cell, is_long = self.cells[at]
                if weight >= LEAST and at > begin and (best is None or key < self.cells[best][0]):
                    best = at
                at, weight = at + 1, weight + of_cell
                if is_long:
                    break
            begin = at if best is None or weight <= MOST else best
        return begins
