"""NAS-Bench-101 cells: the official hash, pruning, validity, enumeration, samples."""

import json
import struct
from collections import Counter

import numpy as np
import pytest

from archrank.datasets.errors import DataError
from archrank.datasets.nb101_cells import NB101Cell, enumerate_cells, prune, sample_cells

LABELS = {"input": 0, "conv1x1-bn-relu": 1, "conv3x3-bn-relu": 2, "maxpool3x3": 3, "output": 4}


def official(path):
    """(hash, matrix, ops) of every line of a file in the official format."""
    content, at = path.read_bytes(), 0
    while at < len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        key, _, bits, ops, _ = json.loads(content[at + 12 : at + 12 + length])
        at += 16 + length
        ops = [LABELS[op] for op in ops.split(",")]
        yield key, np.array([int(bit) for bit in bits]).reshape(len(ops), len(ops)), ops


@pytest.fixture(scope="module")
def small():
    return {vertices: list(enumerate_cells(vertices)) for vertices in range(2, 6)}


@pytest.mark.data
def test_hashes_equal_the_official_ones_and_enumeration_finds_exactly_those(small, real_data):
    rows = list(official(real_data / "nasbench101" / "energy_5V9E.tfrecord"))
    assert all(NB101Cell.from_matrix(matrix, ops).hash == key for key, matrix, ops in rows)
    assert {key for key, _, _ in rows} == {cell.hash for cells in small.values() for cell in cells}


def test_known_hash():
    # Two keys of the EC-NAS files (which the official API wrote), so that the hash is pinned without them too.
    assert NB101Cell((0, 4), ((0, 1),)).hash == "043721b9c7fe8c5fad811d47d83132ec"
    assert NB101Cell((0, 2, 4), ((0, 1), (1, 2))).hash == "b49ac8c578b4561d79ac7087988f1c61"


def test_enumeration_counts(small):
    assert [len(cells) for cells in small.values()] == [1, 6, 84, 2441]
    everything = [cell for cells in small.values() for cell in cells]
    assert len({cell.hash for cell in everything}) == len(everything)
    assert all(prune(cell) is cell for cell in everything)


def test_hash_sees_isomorphism_and_nothing_else():
    cell = NB101Cell((0, 1, 2, 4), ((0, 1), (0, 2), (1, 3), (2, 3)))
    swapped = NB101Cell((0, 2, 1, 4), ((0, 1), (0, 2), (1, 3), (2, 3)))
    chained = NB101Cell((0, 1, 2, 4), ((0, 1), (0, 2), (1, 2), (2, 3)))
    assert cell.hash == swapped.hash
    assert chained.hash not in (cell.hash, NB101Cell((0, 2, 1, 4), chained.edges).hash)


def test_prune_drops_dead_ends_and_unreachable_vertices():
    kept = NB101Cell((0, 1, 4), ((0, 1), (1, 2)))
    # vertex 2 leads nowhere, vertex 3 comes from nowhere
    cell = NB101Cell((0, 1, 2, 3, 4), ((0, 1), (1, 2), (1, 4), (3, 4)))
    assert prune(cell) == kept
    assert prune(NB101Cell((0, 1, 4), ((0, 1),))) is None


@pytest.mark.parametrize(
    "ops, edges, word",
    [
        ((1, 4), ((0, 1),), "starts with the input"),
        ((0, 0, 4), ((0, 1),), "interior"),
        ((0, 1, 4), ((1, 0),), "0 <= u < v"),
        ((0, 1, 4), ((0, 1), (0, 1)), "twice"),
        ((0, 1, 1, 1, 1, 1, 1, 4), (), "vertices"),
        ((0, 1, 1, 1, 4), tuple((u, v) for u in range(5) for v in range(u + 1, 5)), "edges"),
    ],
)
def test_what_is_not_a_cell_is_refused(ops, edges, word):
    with pytest.raises(DataError, match=word):
        NB101Cell(ops, edges)


def test_samples_are_seeded_distinct_and_whole():
    cells = sample_cells(7, 60, seed=3)
    assert cells == sample_cells(7, 60, seed=3)
    assert cells != sample_cells(7, 60, seed=4)
    assert Counter(len(cell.ops) for cell in cells) == {7: 60}
    assert len({cell.hash for cell in cells}) == 60
    assert all(prune(cell) is cell and len(cell.edges) <= 9 for cell in cells)
    with pytest.raises(DataError, match="found only 1 of 9"):
        sample_cells(2, 9, seed=0)


def test_flat_form_round_trips_and_depth_is_the_longest_path():
    cell = NB101Cell((0, 1, 2, 4), ((0, 1), (0, 3), (1, 2), (2, 3)))
    assert NB101Cell.from_flat(cell.ops, cell.flat_edges) == cell
    assert cell.depth == 3
    assert NB101Cell((0, 4), ((0, 1),)).depth == 1
