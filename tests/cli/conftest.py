import pytest

from tests.commands import ended


@pytest.fixture
def archrank(monkeypatch, capfd):
    """The command line in this process, called with words and the folder it runs in."""

    def run(*words, cwd):
        monkeypatch.chdir(cwd)
        capfd.readouterr()
        return ended(capfd, *words)

    return run
