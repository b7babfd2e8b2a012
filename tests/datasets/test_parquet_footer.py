"""The footer of a Parquet file, and readers of files in which every bit of it is wrong in turn."""

import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from archrank.datasets.errors import DataError
from archrank.datasets.io import bounded, torch_files
from archrank.datasets.io.parquet_footer import Extent, extent
from archrank.eval.trials.files import parse_encodings
from archrank.eval.trials.records import Damaged


def written(table, **how):
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **how)
    return bytes(sink.getvalue())


@pytest.mark.parametrize(
    "how", [{}, {"row_group_size": 7, "compression": "gzip"}, {"version": "1.0", "write_statistics": False}]
)
def test_extent_is_what_pyarrow_says(how):
    table = pa.table(
        {
            "a": np.arange(40),
            "b": [[1.0] * (at % 5) for at in range(40)],
            "c": [{"x": "text", "y": None} for _ in range(40)],
        }
    )
    data = written(table, **how)
    about = pq.ParquetFile(pa.BufferReader(data)).metadata
    groups = [about.row_group(at) for at in range(about.num_row_groups)]
    values = sum(group.column(at).num_values for group in groups for at in range(group.num_columns))
    assert extent(data) == Extent(40, values, sum(group.total_byte_size for group in groups))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PAR1",
        b"PAR1" * 4,
        b"PAR1" + b"\xff" * 40 + b"PAR1",
        b"PAR1" + b"\x1c" * 40 + (40).to_bytes(4, "little") + b"PAR1",
        b"PAR1" + b"\x00" + (1).to_bytes(4, "little") + b"PAR1",
        b"PAR1" + b"\x19\xfc\xff\xff\xff\xff\x0f" + (7).to_bytes(4, "little") + b"PAR1",
    ],
)
def test_what_is_no_footer_is_refused(data):
    with pytest.raises(ValueError, match="footer"):
        extent(data)


def test_no_wrong_bit_of_a_footer_ends_the_process():
    """pyarrow's own metadata of a column does: there, an error of C++ that nobody catches ends Python."""
    data = written(
        pa.table(
            {
                "index": np.arange(3, dtype=np.int32),
                "encoding": pa.FixedSizeListArray.from_arrays(pa.array(np.arange(6.0)), 2),
            }
        )
    )
    length = int.from_bytes(data[-8:-4], "little")
    refused = 0
    for at in range(len(data) - 8 - length, len(data)):
        for bit in (0, 4):
            wrong = data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
            for read, error in (
                (parse_encodings, Damaged),
                (lambda given: bounded.parse_parquet(given, "x"), DataError),
            ):
                try:
                    read(wrong)
                except error:
                    refused += 1
    assert refused > 100


def test_text_that_its_writer_did_not_call_text_is_read_where_it_is_utf8():
    assert bounded.parse_parquet(written(pa.table({"x": ["é".encode(), b"a"]})), "x")["x"].tolist() == ["é", "a"]
    with pytest.raises(DataError, match="not a readable Parquet table"):
        bounded.parse_parquet(written(pa.table({"x": [b"\xff\xfe", b"a"]})), "x")


def test_a_torch_file_whose_member_lies_elsewhere_is_refused(tmp_path):
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", b"\x80\x02N.")
    data = path.read_bytes()
    for wrong in (
        data.replace(b"PK\x03\x04", b"PK\x03\x05"),
        data.replace(b"PK\x05\x06" + data[-18:-6], b"PK\x05\x06" + data[-18:-10] + b"\xff\xff\x00\x00"),
    ):
        path.write_bytes(wrong)
        with pytest.raises(DataError, match=r"a\.pth"):
            torch_files.load(path)
