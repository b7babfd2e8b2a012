import subprocess
import sys

import pytest


def archrank(*words, cwd=None):
    return subprocess.run([sys.executable, "-m", "archrank", *words], capture_output=True, text=True, cwd=cwd)


@pytest.mark.parametrize(
    "words, said",
    [
        (["run", "-e", "gnc"], "unknown encoder 'gnc': did you mean g"),
        (["run", "-e", "gcn", "-b", "digits10"], "unknown benchmark 'digits10': did you mean digits101"),
        (["run", "-e", "gcn", "--budgets", "20,abc"], "--budgets 20,abc: give whole numbers"),
        (["run", "-e", "gcn", "--budgets", "999999"], "budget 999999"),
        (["run", "-e", "nowhere.py:E"], "nowhere.py does not exist"),
        (["run"], "no encoder given"),
        (["run", "--suite", "defalt"], "unknown suite 'defalt': did you mean default"),
        (["run", "--suite", "no.yaml"], "suite file no.yaml does not exist"),
        (["plan", "-e", "gcn", "--device"], "No such option"),
        (["list", "encodres"], "did you mean encoders"),
        (["report", "--store", "nowhere"], "nowhere"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(words, said, tmp_path):
    done = archrank(*words, cwd=tmp_path)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "results").exists()


def test_bad_suite_files_are_refused_by_field(tmp_path):
    for text, said in (("benchmarks: [digits101]\nencoders: [gcn]\nbudgets: [20]\nseed: 3\n", "seed: Extra inputs"), ("a: [", "not valid YAML")):
        (tmp_path / "mine.yaml").write_text(text)
        done = archrank("run", "--suite", "mine.yaml", cwd=tmp_path)
        assert done.returncode == 2 and said in done.stderr


def test_new_then_check(tmp_path):
    assert archrank("new", "my-encoder", cwd=tmp_path).returncode == 0
    again = archrank("new", "my-encoder", cwd=tmp_path)
    assert again.returncode == 2 and "exists" in again.stderr
    done = archrank("check", "my_encoder.py:MyEncoder", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "overfits" in done.stdout and "fail" not in done.stdout


def test_an_installed_plugin_appears_in_the_list(tmp_path):
    """A package with the entry point, as pip would leave it: a module and its metadata."""
    (tmp_path / "theirs.py").write_text("raise RuntimeError('listing imports nobody')\nfrom archrank import encoder\n"
                                        "@encoder('theirs', family='GNN')\nclass Theirs:\n    '''Somebody else's.'''\n"
                                        "    def __init__(self, space, *, dim: int = 3): ...\n")
    info = tmp_path / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[archrank.encoders]\ntheirs = theirs:Theirs\n")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from archrank.cli import main; main(['list', 'encoders'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert "theirs" in done.stdout and "Somebody else's." in done.stdout and "plug-in theirs" in done.stdout, done.stderr
