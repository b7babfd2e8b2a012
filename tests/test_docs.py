"""What the documentation names is there: commands and options, files, metrics."""

import re
import shlex
from functools import cache
from itertools import takewhile
from pathlib import Path

import pytest

from archrank.cli import COMMANDS, command
from archrank.eval.metrics import METRICS

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    path
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    if path.name not in ("CHANGELOG.md", "report.md") or path.parent.name == "docs"
]
PACKAGE = ["archrank", "datasets", "encoders", "eval", "reports", "tools"]
SOURCES = [path for folder in PACKAGE for path in (ROOT / folder).rglob("*.py")]
FILE = re.compile(rf"(?:{'|'.join(PACKAGE)}|tests|docs)/[\w./-]*\w\.(?:py|md|csv|yaml|css|j2|js|toml|json)\b")


def commands(text):
    """Command lines of archrank: those of code blocks, and those between backticks."""
    blocks = re.findall(r"^ *```(?:sh|bash|console)\n(.*?)^ *```", text, re.M | re.S)
    lines = [line.strip().removeprefix("$ ") for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    lines += re.findall(r"`(archrank [^`\n]+)`", text)
    for line in lines:
        if line.startswith("archrank "):
            yield shlex.split(line, comments=True)


@cache
def called(name):
    return command(name).commands[name]


def options(one):
    return {option for parameter in one.params for option in (*parameter.opts, *parameter.secondary_opts)} | {
        "--help",
        "-h",
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_parse(page):
    for words in commands(page.read_text(encoding="utf-8")):
        words = list(takewhile(lambda word: not word.startswith(("|", "&", ">", ";", "$(")), words[1:]))
        if not words or words[0].startswith("--") or not words[0].islower():
            continue
        assert words[0] in COMMANDS, f"archrank {words[0]}"
        actual, rest = called(words[0]), words[1:]
        if getattr(actual, "commands", None):
            if not rest or rest[0].startswith("-"):
                continue
            assert rest[0] in actual.commands, f"archrank {words[0]} {rest[0]}"
            actual, rest = actual.commands[rest[0]], rest[1:]
        known = options(actual)
        for word in rest:
            if word.startswith("-") and word != "-":
                assert word.partition("=")[0] in known, f"archrank {' '.join(words)}: {word}"


def every_option():
    known = {"--version"}
    for name in COMMANDS:
        actual = called(name)
        for one in [actual, *getattr(actual, "commands", {}).values()]:
            known |= options(one)
    for path in [*(ROOT / "tools").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]:
        known |= set(re.findall(r"add_argument\(\s*\"(--[\w-]+)\"", path.read_text()))
    return known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_options_that_prose_names_exist(page):
    prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    named = {
        option
        for code in re.findall(r"`([^`\n]+)`", prose)
        if code.startswith("--")
        for option in re.findall(r"(?<!\S)--[a-z][\w-]*", code)
    }
    assert named <= every_option(), named - every_option()


@pytest.mark.parametrize("path", [*PAGES, *SOURCES], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_that_are_named_exist(path):
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":  # docstrings and comments
        text = "\n".join([*re.findall(r'"""(.*?)"""', text, re.S), *re.findall(r"#.*", text)])
    text = re.sub(r"https?://\S+|[\w.-]+/[\w.-]+/blob/\S+", "", text)
    for name in re.findall(rf"(?<![\w/.-]){FILE.pattern}", text):
        assert (ROOT / name).exists() or re.search(r"/[A-Z]+[/.]", name), name  # FAMILY/NAME.py stands for any


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_metrics_that_are_named_exist(page):
    for name in re.findall(r"`((?:p|regret|acc)@[\w%]+)`", page.read_text(encoding="utf-8")):
        assert name in METRICS, name
