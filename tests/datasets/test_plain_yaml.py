"""Options and suites are plain YAML: whatever else is in the text, the answer is a value or one line, at once and
small."""

import random
import subprocess
import sys
import time
import tracemalloc
from contextlib import suppress

import pytest

from archrank.datasets.errors import ArchrankError
from archrank.datasets.io.plain_yaml import MOST_CHARACTERS, read_plain_file, read_plain_text
from archrank.eval.trials.specs import parse_list
from archrank.eval.trials.suite import read_skipped, read_suite, shipped
from archrank.eval.trials.trial import make_plan


@pytest.mark.parametrize(
    "text, value",
    [
        ("3", 3),
        ("-3", -3),
        ("1e-3", 1e-3),
        (".5", 0.5),
        ("1.", 1.0),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("word", "word"),
        ("'3'", "3"),
        ('"true"', "true"),
        ("[1, 2, [a]]", [1, 2, ["a"]]),
        ("a: 1\nb: [x]", {"a": 1, "b": ["x"]}),
        ("2001-01-01", "2001-01-01"),
        ("2001-99-99", "2001-99-99"),
        ("yes", "yes"),
        ("010", 10),
        ("1:30", "1:30"),
        ("0x", "0x"),
    ],
)
def test_plain_values(text, value):
    actual = read_plain_text(text, "it")
    assert actual == value and type(actual) is type(value)


@pytest.mark.parametrize(
    "text, said",
    [
        ("!!float x", "tags"),
        ("!!python/object/apply:os.system [id]", "tags"),
        ("!x 3", "tags"),
        ("&a 3", "anchors and aliases"),
        ("a: 1\nb: *a", "line 2: anchors"),
        ("[" * 3000, "more than 8 lists"),
        ("- " * 3000, "more than 8 lists"),
        ("{a: " * 3000, "more than 8"),
        ("a: 1\na: 2", "line 2: 'a' is given twice"),
        ("1: 2", "a key must be text"),
        ("[a, b]: 2", "a key must be text"),
        ("a: [", "not valid YAML"),
        ("a\n---\nb", "several documents"),
        ("9" * 5000, "too large"),
        ("1e999", "too large"),
        (".nan", "no finite number"),
        ("-.inf", "no finite number"),
        ("x" * (MOST_CHARACTERS + 1), "longer than"),
        ("a\x1b", "not valid YAML"),
        ("\ud800", "not valid YAML"),
    ],
)
def test_everything_else_is_refused_in_one_line(text, said):
    with pytest.raises(ArchrankError) as refused:
        read_plain_text(text, "it")
    assert said in str(refused.value) and "\n" not in str(refused.value) and len(str(refused.value)) < 300


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi")
)


def test_a_small_file_stays_small(tmp_path):
    tracemalloc.start()
    began = time.process_time()
    for text in (
        BOMB,
        "[" * 99_000,
        "? " * 50_000,
        "{" * 99_000,
        "a: " * 30_000,
        "- " * 50_000,
        '"' + "\\x41" * 20_000,
        "x: |\n" + " y\n" * 30_000,
        "#" * 99_000,
    ):
        with suppress(ArchrankError):
            read_plain_text(text, "it")
    assert time.process_time() - began < 10 and tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


@pytest.mark.parametrize(
    "data, said",
    [
        (b"a: \xff\xfe", "byte 3 is not UTF-8"),
        (b"benchmarks: 3", "benchmarks: "),
        (b"", "the file"),
        (b"- x", "the file"),
        (BOMB.encode(), "anchors and aliases"),
        (b"benchmarks: [digits101]\nencoders: [gcn]\nbudgets: [2001-01-01]\n", "budgets.0"),
        (b"x" * (MOST_CHARACTERS + 5), "longer than"),
    ],
)
def test_bad_suites(data, said, tmp_path):
    (tmp_path / "s.yaml").write_bytes(data)
    with pytest.raises(ArchrankError) as refused:
        read_suite(str(tmp_path / "s.yaml"))
    assert said in str(refused.value) and "\n" not in str(refused.value)


def test_a_suite_with_a_byte_order_mark_is_read_and_a_device_is_not(tmp_path):
    (tmp_path / "s.yaml").write_bytes(b"\xef\xbb\xbfa: 1")
    assert read_plain_file(tmp_path / "s.yaml", "it") == {"a": 1}
    (tmp_path / "zero.yaml").symlink_to("/dev/zero")
    with pytest.raises(ArchrankError, match="zero"):
        read_suite(str(tmp_path / "zero.yaml"))


@pytest.mark.parametrize("seeds", [10**9, 10**15])
def test_too_many_trials_are_counted_and_not_made(seeds):
    tracemalloc.start()
    with pytest.raises(ArchrankError, match=f"{2 * 3 * seeds:,} trials asked for") as refused:
        make_plan(parse_list("gcn,path"), benchmarks=["digits101"], budgets=[20, 30, 40], seeds=seeds)
    assert tracemalloc.get_traced_memory()[1] < 20e6 and "\n" not in str(refused.value)
    tracemalloc.stop()


def test_the_command_line_answers_with_the_number(tmp_path):
    (tmp_path / "s.yaml").write_text("benchmarks: [digits101]\nencoders: [gcn]\nbudgets: [20]\nseeds: 1000000000\n")
    done = subprocess.run(
        [sys.executable, "-m", "archrank", "plan", "--suite", "s.yaml"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2 and "1,000,000,000 trials" in done.stderr and len(done.stderr.splitlines()) == 1


def test_fuzzed_specs_and_suites_give_a_value_or_one_line(tmp_path):
    random.seed(0)
    bits = [
        "gcn",
        "path",
        "[",
        "]",
        "dim=",
        "layers",
        "=",
        ",",
        "+",
        "ridge",
        "linear",
        "!!float x",
        "2001-99-99",
        "&a",
        "*a",
        "(1,2)",
        "(",
        ")",
        "null",
        ":",
        "1e9",
        "9" * 400,
        "{",
        "}",
        "'",
        '"',
        "- ",
        "\n",
        "#",
        "\x1b",
        "\ud800",
        "*",
        "?",
        "é",
        ".nan",
        "<<",
        "a.py:X",
        "true",
        "|",
        ">",
        "%",
        "@",
        "`",
        "dropout=0.5",
    ]
    suites = [
        "benchmarks: [digits101]\n",
        "encoders: [gcn, {name: path, ",
        "kind: truncated}]\n",
        "budgets: ",
        "[20]\n",
        "seeds: ",
        "head: ",
        "targets: [x]\n",
    ]
    for number in range(3000):
        text = "".join(random.choices(bits, k=random.randint(1, 7)))
        if number % 2:
            text = "gcn[dim=" + text + "]"
        try:
            parse_list(text)
        except ArchrankError as error:
            assert "\n" not in repr(str(error))[1:-1]
        if number % 10 == 0:
            (tmp_path / "f.yaml").write_bytes(
                "".join(random.choices(bits + suites * 4, k=12)).encode("utf-8", "surrogatepass")
            )
            try:
                suite = read_suite(str(tmp_path / "f.yaml"))
                parse_list(suite.encoders)
            except ArchrankError:
                pass


def test_shipped_suites_are_plain():
    for name in shipped():
        suite = read_suite(name)
        assert suite.budgets and parse_list(suite.encoders)


@pytest.mark.parametrize(
    "note",
    [
        "[" * 100_000,
        '{"suite": 3, "skipped": {}}',
        '{"suite": "s", "skipped": [["a", 1]]}',
        '{"suite": "s", "skipped": {"a": {}}}',
        "\ud800",
    ],
)
def test_a_strangers_note_of_skipped_benchmarks_is_read_or_passed_over(note, tmp_path):
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites" / "s.json").write_bytes(note.encode("utf-8", "surrogatepass"))
    assert read_skipped([tmp_path]) == {}
