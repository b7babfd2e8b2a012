"""Plug-ins live apart: each file has its own modules, a process is as it was after one, and one that crashes takes
nobody with it."""

import os
import sys
import time

import pytest

from archrank.datasets.errors import ArchrankError, one_line
from archrank.datasets.plugins.loading import effects
from archrank.encoders import catalog
from archrank.encoders.catalog.apart import Apart
from archrank.eval.runners.run import run
from archrank.eval.trials.execute import probe
from archrank.eval.trials.specs import parse
from archrank.eval.trials.store import Store
from tests.eval.runs import PLUGIN, plan_of

pytestmark = pytest.mark.usefixtures("short_training")
ENCODER = "from archrank import encoding\n@encoding('{name}')\ndef E(graphs, space):\n    return {value}\n"


def lay(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def loaded(path, name="E"):
    return catalog.find(f"{path}:{name}")[0].load()


def test_helpers_of_one_name_stay_apart(tmp_path):
    for which, statement in (
        ("A", "from utils import scale"),
        ("B", "import utils\nscale = utils.scale"),
        ("C", "from .utils import scale"),
        ("D", "import sys, os\nsys.path.insert(0, os.path.dirname(__file__))\nfrom utils import scale"),
        (
            "E",
            "import importlib, sys, os\nsys.path.insert(0, os.path.dirname(__file__))\nscale = importlib.import_module('utils').scale",
        ),
    ):
        lay(
            tmp_path / which,
            {"utils.py": f"scale = '{which}'", "enc.py": f"{statement}\n" + ENCODER.format(name=which, value="scale")},
        )
    before = [*sys.path]
    for which in "ABCDEA":
        assert loaded(tmp_path / which / "enc.py")(None, None) == which
    assert sys.path == before and "utils" not in sys.modules


@pytest.mark.parametrize(
    "encoder, statement",
    [
        ("pkg/enc.py", "from .parts.deep import scale"),
        ("pkg/enc.py", "from pkg.parts.deep import scale"),
        ("pkg/enc.py", "import pkg.parts.deep as d\nscale = d.scale"),
        ("pkg/parts/enc.py", "from .. import scale"),
        ("pkg/parts/enc.py", "from ..helper import scale"),
        ("pkg/__init__.py", "from .helper import scale"),
        ("enc.py", "import pkg.parts.deep\nscale = pkg.parts.deep.scale"),
        ("enc.py", "from plain.inner import scale"),
        ("a.b c.py", "from pkg.helper import scale"),
        (
            "sub/enc.py",
            "import sys, os\nsys.path.append(os.path.dirname(os.path.dirname(__file__)))\nfrom pkg.helper import scale",
        ),
    ],
)
def test_plug_ins_of_several_files(tmp_path, encoder, statement):
    lay(
        tmp_path,
        {
            "pkg/__init__.py": "from .helper import scale",
            "pkg/helper.py": "scale = 'it'",
            "pkg/parts/__init__.py": "",
            "pkg/parts/deep.py": "from ..helper import scale",
            "plain/inner.py": "scale = 'it'",
        },
    )
    lay(tmp_path, {encoder: f"{statement}\n" + ENCODER.format(name="it", value="scale")})
    assert loaded(tmp_path / encoder)(None, None) == "it" and not effects(tmp_path / encoder, None)[1:]


def test_an_import_inside_a_function_finds_its_own_helper_later(tmp_path):
    for which in "AB":
        lay(
            tmp_path / which,
            {
                "utils.py": f"scale = '{which}'",
                "enc.py": ENCODER.format(name=which, value="scale_of()")
                + "def scale_of():\n    from utils import scale\n    return scale\n",
            },
        )
    a, b = (loaded(tmp_path / which / "enc.py") for which in "AB")
    assert (a(None, None), b(None, None)) == ("A", "B")


def test_an_edit_of_the_same_length_in_the_same_second_counts(tmp_path):
    for value in "12":
        lay(
            tmp_path,
            {
                "utils.py": f"scale = {value}",
                "enc.py": "from utils import scale\n" + ENCODER.format(name="e", value="scale"),
            },
        )
        os.utime(tmp_path / "utils.py", ns=(10**18 + int(value), 10**18 + int(value)))
        assert loaded(tmp_path / "enc.py")(None, None) == int(value)
    assert not (tmp_path / "__pycache__").exists()


def test_a_sibling_does_not_stand_for_python_or_archrank(tmp_path):
    lay(
        tmp_path,
        {
            "random.py": "x = 1",
            "archrank/__init__.py": "x = 1",
            "enc.py": "import random\nrandom.random()\n" + ENCODER.format(name="e", value="random"),
        },
    )
    assert loaded(tmp_path / "enc.py")


def test_what_the_hash_does_not_cover_is_named(tmp_path):
    lay(
        tmp_path,
        {
            "away/far.py": "scale = 1",
            "sub/enc.py": "import sys\n"
            f"sys.path.append({str(tmp_path / 'away')!r})\nfrom far import scale\n"
            + ENCODER.format(name="e", value="scale"),
        },
    )
    assert loaded(tmp_path / "sub" / "enc.py")(None, None) == 1
    path_changed, uncovered = effects(tmp_path / "sub" / "enc.py", None)
    assert "sys.path" in path_changed and str(tmp_path / "away" / "far.py") in uncovered


STATE = """
import os, sys, signal, warnings
import numpy as np
import torch
def change():
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    torch.set_grad_enabled(False)
    torch.autograd.set_detect_anomaly(True)
    torch.set_num_threads(3)
    torch.set_float32_matmul_precision("medium")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = not torch.backends.cudnn.benchmark
    np.seterr(all="raise")
    warnings.simplefilter("error")
    sys.path.insert(0, "/nowhere")
    os.environ["MINE"] = "1"
    os.environ.pop("HOME", None)
    os.chdir("/")
    signal.signal(signal.SIGTERM, lambda *_: None)
    sys.setrecursionlimit(5000)
    sys.stdout = None
"""
NAMES = (
    "default dtype, default device, gradient mode, anomaly mode, threads, matmul precision, deterministic algorithms, cuDNN flags, "
    "NumPy's error state, warning filters, sys.path, environment, working directory, recursion limit, standard streams, signal handlers"
)


def test_the_process_is_as_it_was_after_a_plug_in_was_imported(tmp_path):
    from archrank.datasets.plugins.process_state import _states

    before = [(name, get()) for name, get, _ in _states()]
    lay(tmp_path, {"enc.py": STATE + "change()\n" + ENCODER.format(name="e", value="1")})
    loaded(tmp_path / "enc.py")
    assert [(name, get()) for name, get, _ in _states()] == before
    assert effects(tmp_path / "enc.py", None) == [f"importing it changed the process ({NAMES}); that was put back"]


@pytest.mark.parametrize(
    "act, status",
    [
        ("torch.set_num_threads(3); np.seterr(all='raise')", "done"),
        ("torch.set_default_dtype(torch.float64)", "failed"),
        ("torch.set_grad_enabled(False)", "failed"),
    ],
)
def test_a_plug_in_that_trained_before_changes_nobodys_numbers(cells, tmp_path, act, status):
    loud = PLUGIN.replace('"mine"', '"loud"').replace(
        "        x = self.embed", f"        if self.training: {act}\n        x = self.embed"
    )
    lay(tmp_path, {"mine.py": PLUGIN, "loud.py": "import numpy as np\n" + loud})
    alone, after = Store(tmp_path / "alone"), Store(tmp_path / "after")
    run(plan_of(cells, f"{tmp_path}/mine.py:Mine", [12], 1), alone.folder, workers=0)
    run(plan_of(cells, f"{tmp_path}/loud.py:Mine,{tmp_path}/mine.py:Mine", [12], 1), after.folder, workers=0)
    (mine,) = alone.records()
    assert (
        mine.status == "done"
        and after.read(mine.key).metrics == mine.metrics
        and after.read(mine.key).notes == mine.notes
    )
    (noisy,) = (record for record in after.records() if record.label == "loud")
    assert noisy.status == status, noisy.error
    assert status == "failed" or any(
        note.startswith("training it changed the process (threads, NumPy's") for note in noisy.notes
    )


@pytest.fixture(scope="module")
def apart():
    process = Apart()
    yield process
    process.close()


@pytest.mark.parametrize(
    "body, said",
    [
        ("import ctypes; ctypes.string_at(0)", r"ended the process that did so: signal SIGSEGV \(enc.py, line 1\)"),
        ("import os; os._exit(7)", "ended the process that did so: exit code 7"),
        ("import sys; sys.exit('bye')", r"cannot be imported \(enc.py, line 1\): SystemExit: bye"),
        ("raise GeneratorExit", r"cannot be imported \(enc.py, line 1\): GeneratorExit"),
        (
            "class Mute(Exception):\n    def __str__(self): raise SystemExit\nraise Mute",
            r"cannot be imported \(enc.py, line 3\): Mute: \(no message: its __str__ raises SystemExit\)",
        ),
        ("raise ValueError('a\\ud800b\\x1b[31m\\nc')", r"ValueError: a\\ud800b\\x1b\[31m$"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "signal SIGTERM"),
    ],
)
def test_a_plug_in_that_ends_everything_ends_its_own_process(tmp_path, apart, body, said):
    (tmp_path / "enc.py").write_text(body + "\n" + ENCODER.format(name="e", value="1"))
    with pytest.raises(ArchrankError, match=said) as error:
        apart.call(catalog.confirm, parse(f"{tmp_path}/enc.py:E+ridge")[0].info, doing="encoder e")
    assert "\n" not in str(error.value)


def test_a_plug_in_that_loops_is_given_up(tmp_path, apart):
    (tmp_path / "enc.py").write_text("while True: pass\n" + ENCODER.format(name="e", value="1"))
    apart.call(one_line, ValueError("the process is started before the clock"))
    started = time.monotonic()
    with pytest.raises(ArchrankError, match="encoder e: importing it or trying it out took longer than 1 s"):
        apart.call(catalog.confirm, parse(f"{tmp_path}/enc.py:E+ridge")[0].info, doing="encoder e", patience=1)
    assert time.monotonic() - started < 10


def test_a_run_with_workers_survives_a_plug_in_that_crashes_when_it_is_tried(cells, tmp_path, capfd):
    (tmp_path / "enc.py").write_text(
        "print('\\x1b]0;title\\x07')\nimport os\nos.write(1, b'\\xff\\x00')\n"
        + ENCODER.format(name="e", value="__import__('ctypes').string_at(0)")
    )
    plan = plan_of(cells, f"{tmp_path}/enc.py:E+ridge", [12], 1)
    with pytest.raises(ArchrankError, match=r"encoder e\+ridge on synthetic0: .* SIGSEGV \(enc.py, line 7\)"):
        run(plan, tmp_path / "store", workers=1)
    assert not (tmp_path / "store").exists() and capfd.readouterr() == ("", "")
    with pytest.raises(ArchrankError, match="cannot be used on synthetic0"):
        (tmp_path / "enc.py").write_text(ENCODER.format(name="e", value="1 / 0"))
        (item,) = plan_of(cells, f"{tmp_path}/enc.py:E+ridge", [12], 1).trials
        probe(item, cells.subset([0, 1]))
