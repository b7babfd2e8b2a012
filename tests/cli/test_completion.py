"""The shell completes commands, and options of the command that stands on the line."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "line, expected",
    [
        ("archrank re", {"report", "reproduce"}),
        ("archrank search --str", {"--strategies"}),
        ("archrank data ver", {"verify"}),
    ],
)
def test_completion(line, expected):
    variables = {"_ARCHRANK_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
    done = subprocess.run(
        [sys.executable, "-m", "archrank"], env=os.environ | variables, capture_output=True, text=True
    )
    assert set(done.stdout.split()) == expected, done.stderr
