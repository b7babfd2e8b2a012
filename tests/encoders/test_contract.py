"""Every registered encoder passes `archrank check`; a new one is tested without a test of its own."""

import pytest

from archrank.encoders import catalog
from archrank.eval.check import check
from archrank.eval.specs import parse


@pytest.mark.parametrize("name", catalog.builtin())
def test_is_fit_for_the_suite(name):
    findings = list(check(parse(name)[0]))
    assert len(findings) >= 7
    assert not [finding for finding in findings if finding.verdict == "fail"]


@pytest.mark.parametrize(
    "body, check_name",
    [
        ("return (self.embed(graphs.ops)).mean(-2)", "padding"),
        ("x = self.embed(graphs.ops).mul(graphs.mask.unsqueeze(-1)).sum(-2); return x - x.mean(0, keepdim=True)", "batch company"),
        ("return self.embed(graphs.ops).mul(graphs.mask.unsqueeze(-1)).sum(-2) + torch.rand(1)", "same seed"),
        ("return self.embed(graphs.ops).mul(graphs.mask.unsqueeze(-1)).sum(-2) * 0 + 1.0", "overfits"),
        ("return self.embed(graphs.ops).sum()", "output"),
    ],
)
def test_bad_encoders_are_caught(tmp_path, body, check_name):
    path = tmp_path / "bad.py"
    path.write_text("import torch\nfrom torch import nn\nclass Bad(nn.Module):\n    def __init__(self, space, *, dim: int = 8):\n"
                    "        super().__init__()\n        self.embed = nn.Embedding(len(space.ops), dim)\n"
                    f"    def forward(self, graphs):\n        {body}\n")
    failed = [finding.name for finding in check(parse(f"{path}:Bad")[0]) if finding.verdict == "fail"]
    assert check_name in failed


def test_catalogue_reads_options_and_marks_from_source(tmp_path):
    path = tmp_path / "e.py"
    path.write_text("raise RuntimeError('never imported')\nfrom typing import Literal\nfrom archrank import encoder\n"
                    "@encoder('mine', family='GNN')\nclass E:\n    '''Short.\n\n    Long.'''\n"
                    "    def __init__(self, space, *, dim: int, mode: Literal['a', 'b'] = 'a', rate: float | None = None): ...\n"
                    "    @staticmethod\n    def paper_recipe(space): ...\n")
    info = catalog.find(f"{path}:E")[0]
    assert (info.name, info.family, info.learned, info.summary, info.hooks) == ("mine", "GNN", True, "Short.", ("paper_recipe",))
    from archrank.datasets.errors import ArchrankError

    assert info.validate({"dim": "8", "mode": "a"}) == {"dim": 8}
    for config, said in (({}, "'dim' has no default"), ({"dim": 8, "mode": "c"}, "mode='c'"), ({"dim": 8, "ratee": 1}, "did you mean rate")):
        with pytest.raises(ArchrankError, match=said):
            info.validate(config)
    with pytest.raises(ArchrankError, match=r"cannot be imported \(e.py, line 1\): RuntimeError: never imported"):
        info.load()
