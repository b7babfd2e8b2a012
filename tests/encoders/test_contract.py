"""Every registered encoder passes `archrank check`; a new one is tested without a test of its own."""

from functools import partial

import pytest

from archrank.cli.check import new
from archrank.datasets.errors import ArchrankError
from archrank.encoders import catalog
from archrank.eval.check import check
from archrank.eval.check import running as checks
from archrank.eval.trials.specs import parse
from tests.encoders import spaces
from tests.encoders.shallow import shallow

# What gives encodings; a portfolio is made of such.
ENCODERS = [name for name, info in catalog.builtin().items() if not info.portfolio]


@pytest.mark.parametrize("name", ENCODERS)
def test_is_fit_for_the_suite(name):
    findings = list(check(parse(shallow(name))[0]))
    assert len(findings) >= 7
    assert not [finding for finding in findings if finding.verdict == "fail"]


@pytest.mark.parametrize("name", ENCODERS)
def test_no_architectures_give_no_rows(name):
    info = parse(name)[0].info
    options = {"updates": 2} if info.pretrained else {}
    for space, graphs in (
        (spaces.nasbench101(), spaces.random_graphs(spaces.nasbench101(), 4, 0)),
        spaces.darts(4, 0)[:2],
    ):
        encode = info.load()(space).eval() if info.learned else partial(info.load(), space=space, **options)
        few, none = encode(graphs), encode(graphs[:0])
        # The adjacency of two cells is as wide as the largest of them that it is given.
        varies = name.startswith("adjacency") and space.cells > 1
        assert none.shape == (0, none.shape[1] if varies else few.shape[1])


def bad(folder, body):
    """An encoder whose `forward` is `body`, on line 7 of its file."""
    (folder / "bad.py").write_text(
        "import torch\nfrom torch import nn\nclass Bad(nn.Module):\n    def __init__(self, space, *, dim: int = 8):\n"
        "        super().__init__(); self.embed = nn.Embedding(len(space.ops), dim)\n"
        f"    def forward(self, graphs):\n        {body}\n"
    )
    return parse(f"{folder}/bad.py:Bad")[0]


@pytest.mark.parametrize(
    "body, check_name",
    [
        ("return (self.embed(graphs.ops)).mean(-2)", "padding"),
        (
            "x = self.embed(graphs.ops).mul(graphs.mask.unsqueeze(-1)).sum(-2); return x - x.mean(0, keepdim=True)",
            "batch composition",
        ),
        ("return self.embed(graphs.ops).mul(graphs.mask.unsqueeze(-1)).sum(-2) + torch.rand(1)", "asked twice"),
        ("return self.embed(graphs.ops).mul(graphs.mask.unsqueeze(-1)).sum(-2) * 0 + 1.0", "overfits"),
        ("return self.embed(graphs.ops).sum()", "output"),
    ],
)
def test_bad_encoders_are_caught(tmp_path, body, check_name):
    failed = [finding.name for finding in check(bad(tmp_path, body)) if finding.verdict == "fail"]
    assert check_name in failed


INIT = "import numpy as np, torch\nfrom torch import nn\nclass Bad(nn.Module):\n    def __init__(self, space, *, dim: int = 8):\n        super().__init__()\n"
SUM = "\n    def forward(self, graphs):\n        return ({}).sum(-2)\n"
EMBEDDED = "        self.embed = nn.Embedding(len(space.ops), dim)"


@pytest.mark.parametrize(
    "made, forward, failed, said",
    [
        (
            "        self.table = nn.Parameter(torch.from_numpy(np.random.normal(0, 1, (len(space.ops), dim)).astype('float32')))",
            "self.table[graphs.ops] * graphs.mask.unsqueeze(-1)",
            "same seed",
            "initial weights do not follow torch's seed, they come from numpy's generator",
        ),
        (
            f"        torch.manual_seed(42)\n{EMBEDDED}",
            "self.embed(graphs.ops) * graphs.mask.unsqueeze(-1)",
            "same seed",
            "every seed starts from the same weights",
        ),
        (
            f"{EMBEDDED}; self.layers = [nn.Linear(dim, dim)]",
            "self.layers[0](self.embed(graphs.ops)) * graphs.mask.unsqueeze(-1)",
            "weights",
            "self.layers of Bad, a list,",
        ),
        (
            EMBEDDED,
            "(self.embed(graphs.ops) + torch.rand(1)) * graphs.mask.unsqueeze(-1)",
            "asked twice",
            "answers differently",
        ),
    ],
)
def test_check_names_the_fault_and_nothing_that_follows_from_it(tmp_path, monkeypatch, made, forward, failed, said):
    (tmp_path / "bad.py").write_text(INIT + made + SUM.format(forward))
    for name in ("overfits", "shuffled labels", "cost"):
        monkeypatch.delitem(checks.LEARNED, name)
    findings = [finding for finding in check(parse(f"{tmp_path}/bad.py:Bad")[0]) if finding.verdict == "fail"]
    assert [finding.name for finding in findings] == [failed] and said in findings[0].said


@pytest.mark.parametrize(
    "body, said",
    [
        ("pass", "returned None; [B, dim] is needed"),
        ("return [1.0]", "returned a list; [B, dim] is needed"),
        ("return {}['missing']", "KeyError: 'missing' (bad.py, line 7)"),
        ("\n        return torch.zeros(2) + torch.zeros(3)", "(bad.py, line 8)"),
    ],
)
def test_check_says_what_was_returned_and_where_an_error_is(tmp_path, body, said):
    begun, finding = checks.steps(bad(tmp_path, body))
    assert begun == "output" and finding.verdict == "fail" and finding.said.endswith(said)


def test_a_crash_fails_the_check_that_it_happens_in(tmp_path, capfd):
    crash = "print('noise'); import ctypes; ctypes.string_at(0)"
    output, passed, weights, failed = checks.steps_apart(
        bad(
            tmp_path,
            f"x = self.embed(graphs.ops)\n        if torch.is_grad_enabled():\n            {crash}\n        return (x * graphs.mask.unsqueeze(-1)).sum(-2)",
        )
    )
    assert (output, passed.verdict, weights, failed.verdict) == ("output", "pass", "weights", "fail")
    assert "signal SIGSEGV (bad.py, line " in failed.said and capfd.readouterr().out == ""


@pytest.mark.parametrize(
    "body", ["assert int(graphs.mask.sum()) > 0", "x = nn.functional.dropout(x, 0.05, self.training)"]
)
def test_what_trains_as_a_loop_can_be_checked(tmp_path, body):
    whole = f"x = self.embed(graphs.ops) * graphs.mask.unsqueeze(-1); {body}; return x.sum(-2)"
    findings = {finding.name: finding for finding in check(bad(tmp_path, whole))}
    assert "trained sequentially" in findings["ensemble"].said and "architectures/s" in findings["cost"].said
    assert [finding.name for finding in findings.values() if finding.verdict == "fail"] == [
        "overfits"
    ]  # as its nodes are only counted


def test_a_fixed_encoding_that_forgets_to_return_is_told(tmp_path):
    path = tmp_path / "bad.py"
    path.write_text("from archrank import encoding\n@encoding('bad')\ndef bad(graphs, space):\n    pass\n")
    assert [finding.said for finding in check(parse(f"{path}:bad")[0])] == ["returned None; [B, dim] is needed"]


def test_a_new_encoder_cannot_take_the_name_of_a_known_one(tmp_path):
    with pytest.raises(ArchrankError, match="there is one of that name already"):
        new("gcn", tmp_path)
    assert not list(tmp_path.iterdir())


def test_catalogue_reads_options_and_marks_from_source(tmp_path):
    path = tmp_path / "e.py"
    path.write_text(
        "raise RuntimeError('never imported')\nSIZE: int = 600\nNONE = print()\nfrom typing import Literal\nfrom archrank import encoder\n"
        "@encoder('mine', family='GNN')\nclass E:\n    '''Short.\n\n    Long.'''\n"
        "    def __init__(self, space, *, dim: int, mode: Literal['a', 'b'] = 'a', rate: float | None = None, size: int = SIZE): ...\n"
        "    @staticmethod\n    def paper_recipe(space): ...\n"
    )
    info = catalog.find(f"{path}:E")[0]
    assert (info.name, info.family, info.learned, info.summary, info.hooks) == (
        "mine",
        "GNN",
        True,
        "Short.",
        ("paper_recipe",),
    )
    assert info.validate({"dim": "8", "mode": "a", "size": 600}) == {"dim": 8} and info.options["size"].default == 600
    for config, said in (
        ({}, "'dim' has no default"),
        ({"dim": 8, "mode": "c"}, "mode='c'"),
        ({"dim": 8, "ratee": 1}, "did you mean rate"),
    ):
        with pytest.raises(ArchrankError, match=said):
            info.validate(config)
    with pytest.raises(ArchrankError, match=r"cannot be imported \(e.py, line 1\): RuntimeError: never imported"):
        info.load()


@pytest.mark.parametrize("name", ["gcn[backend=pyg]", "gin[backend=pyg,dropout=0.3]"])
def test_members_on_flat_graphs_equal_themselves_alone(monkeypatch, name):
    monkeypatch.setattr(checks, "LEARNED", {name: checks.LEARNED[name] for name in ("output", "ensemble")})
    (_, ensemble) = check(parse(name)[0])
    assert ensemble.verdict == "info" and ensemble.said.startswith("works, trained sequentially: ")
