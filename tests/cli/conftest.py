from types import SimpleNamespace

import pytest

from archrank.cli import main


@pytest.fixture
def archrank(monkeypatch, capfd):
    """The command line in this process, called with words and the folder it runs in: how it ended and what it
    printed."""

    def run(*words, cwd):
        monkeypatch.chdir(cwd)
        capfd.readouterr()
        code = 0
        try:
            main(words)
        except SystemExit as stop:
            code = int(stop.code or 0)
        said = capfd.readouterr()
        return SimpleNamespace(returncode=code, stdout=said.out, stderr=said.err)

    return run
