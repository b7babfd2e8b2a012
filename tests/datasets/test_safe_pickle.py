"""Pickles: numbers come back as they were, and nothing that a file asks for is ever run."""

import collections
import contextlib
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archrank.datasets.errors import DataError
from archrank.datasets.io import safe_pickle

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=20,
)


@settings(deadline=None)
@given(values, st.sampled_from(PROTOCOLS))
def test_plain_values_come_back_as_they_were(value, protocol):
    assert safe_pickle.loads(pickle.dumps(value, protocol), "here") == [value]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3)),
        np.array(["ab", "c"]),
        np.array([], np.float32),
        np.array([True, False]),
    ],
    ids=str,
)
def test_arrays_come_back_as_they_were(array, protocol):
    (actual,) = safe_pickle.loads(pickle.dumps({"a": array}, protocol), "here")
    np.testing.assert_array_equal(np.asarray(actual["a"]), array)
    assert np.asarray(actual["a"]).dtype == array.dtype


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_sets_and_pairs_as_keys_come_back(protocol):
    value = {"seen": {1, 2}, "none": set(), ("cifar10", 777): 1.5, b"raw": b"\xff" * 300}
    assert safe_pickle.loads(pickle.dumps(value, protocol), "here") == [value]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_scalars_and_ordered_dictionaries_come_back(protocol):
    value = {"x": np.float32(2.5), "y": np.int64(-3), "o": collections.OrderedDict(a=1, b=2)}
    (actual,) = safe_pickle.loads(pickle.dumps(value, protocol), "here")
    assert actual == {"x": 2.5, "y": -3, "o": {"a": 1, "b": 2}} and list(actual["o"]) == ["a", "b"]


class Call:
    """Pickles as a call of `function(*arguments)`."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("function", "argument"),
    [
        (os.system, "touch {}"),
        (eval, "open('{}', 'w')"),
        (exec, "open('{}', 'w')"),
        (subprocess.call, "touch {}"),
        (os.mkdir, "{}"),
        (__import__, "antigravity"),
        (getattr, "x"),
        (pickle.loads, b"N."),
    ],
)
def test_code_is_refused_by_name_and_never_run(tmp_path, function, argument, protocol):
    target = tmp_path / "owned"
    argument = argument.format(target) if isinstance(argument, str) else argument
    data = pickle.dumps({"a": [1.0, Call(function, argument)]}, protocol)
    with pytest.raises(DataError, match=function.__name__) as caught:
        safe_pickle.loads(data, "evil.bench")
    assert not target.exists() and "\n" not in str(caught.value) and str(caught.value).startswith("evil.bench")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "complete pickle"),
        (b"\xffhello", "instruction"),
        (pickle.dumps({"a": 1.5}, 4)[:-4], "complete pickle"),
        (
            b"\x80\x04\x8e" + (10**10).to_bytes(8, "little") + b"x.",
            "complete pickle",
        ),  # ten gigabytes announced, one byte there
        (b"\x80\x05\x96" + (10**12).to_bytes(8, "little") + b"x.", "complete pickle"),
        (b"\x80\x04Nr\xff\xff\xff\x7f.", None),  # a memo slot that would take 32 GB in a memo array: just a key here
        (b"\x80\x02P0\n.", "instruction"),  # persistent id
        (b"\x80\x02\x82\x01.", "instruction"),  # extension registry
        (b"(S'ls'\nios\nsystem\n.", "instruction"),  # INST
        (b"\x80\x02cnumpy\ndtype\nU\x01O\x85R.", "array of 'O'"),
        (b"\x80\x02cnumpy\ndtype\nU\x06V99999\x85R.", "array of"),
        (b"\x80\x02ccollections\nOrderedDict\n}U\x01xK\x01sb.", "changed attribute"),  # BUILD on a constructor
        (b"\x80\x02ccollections\nOrderedDict.__init__\n.", "OrderedDict.__init__"),
        (b"\x80\x02K\x05K\x01\x85R.", "no constructor"),
        (b"\x80\x04" + b"(" * 100_000, "complete pickle"),
        (
            b"\x80\x04G" + bytes(8) + b"".join(b"q%ch%c\x86" % (at, at) for at in range(40)) + b".",
            "repeats its own parts",
        ),  # 2^40 numbers
        (b"\x80\x04]q\x00h\x00a.", "repeats its own parts"),  # a list that holds itself
        *(
            (
                b"\x80\x04"
                + start
                + b"G"
                + bytes(8)
                + b"".join(b"q%ch%c\x86" % (at, at) for at in range(40))
                + end
                + b".",
                "key that is no text",
            )
            for start, end in ((b"}", b"Ns"), (b"}(", b"Nu"), (b"(", b"Nd"), (b"\x8f(", b"\x90"), (b"(", b"\x91"))
        ),
        *(
            (
                b"\x80\x02"
                + start
                + b"G"
                + bytes(8)
                + b"".join(b"q%ch%c\x86" % (at, at) for at in range(40))
                + end
                + b"R.",
                "key that is no text",
            )
            for start, end in ((b"c__builtin__\nset\n((", b"lt"), (b"ccollections\nOrderedDict\n]", b"N\x86a\x85"))
        ),
        (
            b"\x80\x02](c_codecs\nencode\nX\x40\x00\x00\x00"
            + b"x" * 64
            + b"\x85q\x01R"
            + b"c_codecs\nencode\nh\x01R" * 9
            + b"e.",
            "more than it holds",
        ),
        (
            b"\x80\x02](ccollections\nOrderedDict\n}("
            + b"".join(b"K%cN" % at for at in range(90))
            + b"u\x85q\x01R"
            + b"ccollections\nOrderedDict\nh\x01R" * 9
            + b"e.",
            "more than it holds",
        ),
    ],
)
def test_damaged_and_crafted_pickles_are_refused_in_one_line(data, says):
    if says is None:
        assert safe_pickle.loads(data, "f") == [None]
        return
    with pytest.raises(DataError, match=says) as caught:
        safe_pickle.loads(data, "f")
    assert "\n" not in str(caught.value)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_at_all_make_it_fail_in_another_way(data):
    with contextlib.suppress(DataError):
        safe_pickle.loads(b"\x80\x04" + data, "f")


def test_array_that_claims_more_than_it_brings_is_refused():
    data = pickle.dumps(np.arange(3.0), 2).replace(b"K\x03\x85", b"J\x00\x00\x00\x7f\x85")
    assert data != pickle.dumps(np.arange(3.0), 2)
    with pytest.raises(DataError, match="complete pickle"):
        safe_pickle.loads(data, "f")


def test_consecutive_pickles_and_size_limit(tmp_path):
    data = pickle.dumps({"columns": ["a"]}) + pickle.dumps([[1.0]])
    assert safe_pickle.loads(data, "f", count=2) == [{"columns": ["a"]}, [[1.0]]]
    path = tmp_path / "big.bench"
    path.write_bytes(data)
    with pytest.raises(DataError, match="right file"):
        safe_pickle.load(path, limit=10)


def test_reader_needs_no_torch():
    code = "import sys; import archrank.datasets.io.safe_pickle, archrank.datasets.catalog; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
