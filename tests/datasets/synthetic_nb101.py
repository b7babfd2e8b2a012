"""A NAS-Bench-101 file of any size, in the official form but with invented scores.

As a script it writes one, imports it and prints the peak memory: `python -m tests.datasets.synthetic_nb101 423624`.
"""

import base64
import itertools
import json
import random
import resource
import struct
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from archrank.datasets import nb101_cells
from archrank.datasets.io import tfrecord

BLOCK = 1 << 13
NAMES = {0: "input", 1: "conv1x1-bn-relu", 2: "conv3x3-bn-relu", 3: "maxpool3x3", 4: "output"}


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def frame(payload):
    """One TFRecord."""
    length = struct.pack("<Q", len(payload))
    crc = struct.pack("<I", tfrecord.masked_crc(length))
    return length + crc + payload + struct.pack("<I", 0)


def metrics(val, test, seconds, parameters):
    """A ModelMetrics message: start, half-way and final evaluation."""
    out = b""
    for part in (0.0, 0.5, 1.0):
        fields = enumerate((108 * part, seconds * part, val, val * part, test * part), 1)
        body = b"".join(struct.pack("<Bd", number << 3 | 1, value) for number, value in fields)
        out += b"\x0a" + varint(len(body)) + body
    return out + b"\x10" + varint(parameters) + b"\x19" + struct.pack("<d", seconds)


def record(cell, epochs, message, name=None):
    """The payload of one record."""
    bits = "".join(str(int(bit)) for row in cell.matrix for bit in row)
    packed = base64.encodebytes(message).decode()
    return json.dumps([name or cell.hash, epochs, bits, ",".join(NAMES[op] for op in cell.ops), packed]).encode()


def shapes(vertices, seed=0):
    """Adjacencies of full cells, one for each isomorphism class, in a random order."""
    slots = np.array(list(itertools.combinations(range(vertices), 2)))
    order = np.random.default_rng(seed).permutation(1 << len(slots))
    seen = set()
    for start in range(0, len(order), BLOCK):
        bits = order[start : start + BLOCK, None] >> np.arange(len(slots)) & 1
        matrices = np.zeros((len(bits), vertices, vertices), bool)
        matrices[:, slots[:, 0], slots[:, 1]] = bits
        for matrix in matrices[(bits.sum(1) <= nb101_cells.MAX_EDGES) & nb101_cells.is_full(matrices)]:
            blank = nb101_cells.NB101Cell.from_matrix(matrix, [0, *[1] * (vertices - 2), 4])
            if blank.hash not in seen:
                seen.add(blank.hash)
                yield blank.edges


def cells(count, seed=0):
    """`count` different cells, those of 7 vertices first; at most the 423,624 of the space."""
    seen = set()
    for vertices in range(7, 1, -1):
        for edges in shapes(vertices, seed):
            for interior in itertools.product((1, 2, 3), repeat=vertices - 2):
                cell = nb101_cells.NB101Cell((0, *interior, 4), edges)
                if (name := bytes.fromhex(cell.hash)) not in seen:
                    if len(seen) == count:
                        return
                    seen.add(name)
                    yield cell


def write(path, count, epochs=(108,), repeats=3, seed=0):
    """A TFRecord file of `count` cells; returns them."""
    draw = random.Random(seed)
    written = []
    with Path(path).open("wb") as stream:
        for number, cell in enumerate(cells(count, seed)):
            if count < 10_000:
                written.append(cell)
            for epoch in epochs:
                for _ in range(repeats):
                    val = draw.randint(8000, 9500) / 9984
                    message = metrics(val, val - 0.01, 10.0 * epoch, 1_000_000 + number)
                    stream.write(frame(record(cell, epoch, message)))
    return written


def main():
    count = int(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "nasbench_only108.tfrecord"
        started = time.time()
        write(path, count)
        print(f"{count:,} cells written: {path.stat().st_size / 1e6:.0f} MB, {time.time() - started:.0f} s", flush=True)
        from archrank.datasets.benchmark import read_benchmark, write_benchmark
        from archrank.datasets.importers import nasbench101

        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        started = time.time()
        table = write_benchmark(Path(folder), *nasbench101.read(path))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"imported in {time.time() - started:.0f} s; peak memory {peak:.0f} MiB ({before:.0f} MiB before)",
            flush=True,
        )
        print(
            f"table {table.stat().st_size / 1e6:.0f} MB, {len(read_benchmark(table)):,} rows read back, "
            f"peak now {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB"
        )


if __name__ == "__main__":
    main()
