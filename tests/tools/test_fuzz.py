"""A few hundred mutated inputs of all kinds, and what the command makes of inputs that do not hold."""

import os
import signal

from tests.tools.fuzz import __main__ as fuzzing
from tests.tools.fuzz.kinds import Kind
from tests.tools.fuzz.written import Specs


def test_mutated_inputs_are_accepted_or_refused_in_one_line(tmp_path, capsys):
    assert fuzzing.fuzz(200, 0, tmp_path) == 0, capsys.readouterr().out
    *_, last = capsys.readouterr().out.splitlines()
    name, inputs, accepted, refused, findings = last.split()[:5]
    assert name == "all" and int(inputs) >= 200 and int(accepted) > 10 and int(refused) > 100 and findings == "0"
    size = (tmp_path / "inputs.jsonl").stat().st_size
    assert (
        fuzzing.fuzz(20, 0, tmp_path, ("specs",)) == 0 and (tmp_path / "inputs.jsonl").stat().st_size == size
    )  # nothing is read twice


class Wrong(Kind):
    """What must be found: an error of another kind, two lines, silence for ever, much memory, and the end of the
    process."""

    name, share, number = "wrong", 1, 0

    def give(self, scratch, rng):
        match self.number:
            case 0:
                raise KeyError("x")
            case 1:
                return ["two\nlines"]
            case 2:
                while True:
                    pass
            case 3:
                assert bytearray(b"x") * (64 << 20)
            case 4:
                os.kill(os.getpid(), signal.SIGKILL)
        return []


def test_what_does_not_hold_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(fuzzing, "SECONDS", 0.5)
    monkeypatch.setattr(fuzzing, "MEMORY", 32 << 20)
    log = tmp_path / "inputs.jsonl"
    kind = Wrong(tmp_path)
    for kind.number in range(6):
        number = kind.number
        fuzzing.fork(kind, 0, range(number, number + 1), log, tmp_path / "scratch")
    actual = fuzzing.read_log(log)["wrong", 0]
    assert [actual[number]["outcome"] for number in range(6)] == ["finding"] * 5 + ["accepted"]
    for number, says in enumerate(("KeyError: 'x'", "two\\nlines", "TooLong", "MiB", "ended with -9")):
        assert says in actual[number]["said"]


def test_an_input_follows_from_its_seed(tmp_path):
    kind = Specs(tmp_path)
    for number in range(5):
        assert fuzzing.judged(kind, 3, number, tmp_path / "input") == fuzzing.judged(
            kind, 3, number, tmp_path / "input"
        )
