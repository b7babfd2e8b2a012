"""`archrank data` as a user meets it: official files made small, a table of one's own, bad files, exit codes."""

import json
import pickle

import pytest

from archrank.cli.listing import doctor
from archrank.datasets import catalog
from tests.commands import ended

ENTRY = {"valid_perf": 0.8, "perf": 0.79, "latency": 0.01, "para": 1.5}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A fresh machine: no data folder, an empty cache."""
    monkeypatch.setenv("ARCHRANK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ARCHRANK_TABLES", str(tmp_path / "tables"))
    monkeypatch.delenv("ARCHRANK_DATA", raising=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def run(capsys, *words):
    """Exit code, what was printed, what was complained about."""
    return ended(capsys, "data", *words)


def official(folder, count=5):
    path = folder / "cora.bench"
    path.write_bytes(pickle.dumps({code: dict(ENTRY, perf=0.5 + code / 1e6) for code in range(count)}))
    return path


def test_official_file_becomes_a_benchmark_that_verify_knows_is_not_whole(place, capsys):
    path = official(place)
    code, out, _ = run(capsys, "import", path)
    assert code == 0 and "imported as nasbench_graph_cora" in out
    assert catalog.available()["nasbench_graph_cora"] == "imported" and len(catalog.load("nasbench_graph_cora")) == 5
    assert run(capsys, "import", path)[0] == 0  # again is safe
    code, out, _ = run(capsys, "info", "nasbench_graph_cora")
    assert code == 0 and "NAS-Bench-Graph, Cora" in out and "Apache-2.0" in out and "* valid" in out
    assert json.loads(run(capsys, "info", "nasbench_graph_cora", "--json")[1])["name"] == "nasbench_graph_cora"
    code, out, _ = run(capsys, "verify", "nasbench_graph_cora")
    assert code == 1 and "FAIL architectures: 5 (known: 26,206)" in out and "ok   sha256" in out
    report = json.loads(run(capsys, "verify", "nasbench_graph_cora", "--json")[1])
    assert {check["what"] for check in report["nasbench_graph_cora"] if not check["ok"]} >= {
        "architectures",
        "best valid",
    }


def test_changed_table_is_noticed(place, capsys):
    run(capsys, "import", official(place))
    table = catalog.cache_folder() / "benchmarks" / "nasbench_graph_cora.parquet"
    import pandas as pd

    frame = pd.read_parquet(table)
    frame.loc[0, "valid"] = 0.99
    frame.to_parquet(table)
    code, out, _ = run(capsys, "verify", "nasbench_graph_cora")
    assert code == 1 and "FAIL sha256" in out


def test_bad_file_is_one_line_and_leaves_the_imported_one(place, capsys):
    path = official(place)
    run(capsys, "import", path)
    before = {file: file.read_bytes() for file in catalog.cache_folder().rglob("*.*") if file.is_file()}
    for data in (
        path.read_bytes()[:-20],
        b"cos\nsystem\n(S'touch owned'\ntR.",
        pickle.dumps({0: {1: 2}, "a": dict(ENTRY, perf=[1])}),
        pickle.dumps({0: dict(ENTRY, perf=float("nan"))}),
    ):
        path.write_bytes(data)
        code, out, err = run(capsys, "import", path)
        assert code == 2 and not out and err.startswith("archrank: ") and err.count("\n") == 1 and "cora.bench" in err
    assert {file: file.read_bytes() for file in catalog.cache_folder().rglob("*.*") if file.is_file()} == before
    assert not (place / "owned").exists()


def test_whatever_an_importer_fails_with_is_one_line(place, capsys):
    (place / "darts_cells_trained.csv").write_text(f'"{"x" * 200_000}",1.0\n')
    code, out, err = run(capsys, "import", "darts_cells_trained.csv")
    assert (
        code == 2
        and not out
        and err.count("\n") == 1
        and "not the official form of nasbench301_trained (Error: field larger than" in err
    )


def test_own_table_from_beginning_to_end(place, capsys):
    (place / "mine.csv").write_text(
        "arch,ops,edges,accuracy,latency\n"
        "a,input conv3x3 output,0>1 1>2,91.2,3.1\nb,input conv1x1 output,0>1 1>2,90.0,1.2\n"
        "c,input conv3x3 conv1x1 output,0>1 1>2 2>3 0>3,92.5,4.0\nd,input output,0>1,70.1,0.4\n"
    )
    code, out, _ = run(capsys, "import", "mine.csv", "--units", "accuracy=%,latency=ms", "--target", "latency")
    assert (
        code == 0
        and "imported as mine: 4 architectures, metrics accuracy (max), latency (min, the target)" in out
        and "left out" not in out
    )
    benchmark = catalog.load("mine")
    assert benchmark.default_target == "latency" and benchmark.direction("latency") == "min"
    assert catalog.available()["mine"] == "custom" and run(capsys, "verify", "mine")[0] == 0
    assert "[ms] latency" in run(capsys, "info", "mine")[1]
    assert "units kept from the last import: accuracy=%, latency=ms" in run(capsys, "import", "mine.csv")[1]
    assert "[ms] latency" in run(capsys, "info", "mine")[1]
    assert (
        "kept" not in run(capsys, "import", "mine.csv", "--units", "accuracy=%")[1]
        and "min  latency" in run(capsys, "info", "mine")[1]
    )
    assert run(capsys, "import", "mine.csv", "--metrics", "accuracy,accuracy")[2].endswith(
        "metric 'accuracy' comes twice; name it once\n"
    )
    run(capsys, "import", "mine.csv", "--target", "latency")
    code, _, _ = run(capsys, "import", "mine.csv", "--as", "other", "--to", place / "data")
    assert code == 0 and (place / "data" / "other.parquet").is_file() and len(catalog.load("other")) == 4


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("import", "nowhere.csv"), "no such file"),
        (("import", "cells.json"), "say it with --as NAME"),
        (("import", "cells.json", "--as", "nasbench_graph_coral"), "did you mean nasbench_graph_cora"),
        (("import", "broken.csv"), "line 3: the graph is cyclic"),
        (("import", "broken.csv", "--units", "ms"), "has no unit"),
        (
            ("import", "broken.csv", "--as", "digits101"),
            "'digits101' is the name of a benchmark that archrank comes with",
        ),
        (
            ("import", "broken.csv", "--own", "--as", "nasbench301"),
            "'nasbench301' is the name of a benchmark that archrank comes with",
        ),
        (("info", "nasbench2001"), "did you mean nasbench201"),
        (("info", "nasbench201"), "096897.pth or nasbench201/table.csv"),
        (("get", "nasbench201"), "has no plain download"),
        (("verify",), "or give --all"),
        (("verify", "--all", "x"), "or give --all"),
        (("import", "broken.csv", "--option"), "No such option"),
    ],
)
def test_wrong_use_is_exit_code_2(place, capsys, words, says):
    (place / "cells.json").write_text("{}")
    (place / "broken.csv").write_text("arch,ops,edges,accuracy\na,x y,0>1,1\nb,x y,0>1 1>0,2\n")
    code, _, err = run(capsys, *words)
    assert code == 2 and says in err
    assert not (catalog.cache_folder()).exists()


def test_import_says_what_it_leaves_out(place, capsys):
    (place / "mine.csv").write_text("ops,edges,accuracy,note\ninput output,0>1,1,fine\ninput output,0>1,2,odd\n")
    code, out, _ = run(capsys, "import", "mine.csv")
    assert (
        code == 0
        and "left out: column 'note' (text such as 'fine')" in out
        and "left_out" in run(capsys, "info", "mine")[1]
    )
    (place / "mine.csv").write_text(
        'ops,edges,accuracy,latency\ninput output,0>1,"91,2",1\ninput output,0>1,"90,2",2\n'
    )
    code, out, err = run(capsys, "import", "mine.csv")
    assert code == 2 and not out and err.count("\n") == 1 and "line 2: 'accuracy' is '91,2', not a number" in err


def test_verify_fails_what_import_refuses(place, capsys):
    (place / "mine.csv").write_text("ops,edges,accuracy\ninput a output,0>1 1>2,1\ninput a output,0>2 1>2,2\n")
    run(capsys, "import", "mine.csv", "--to", "data")
    assert run(capsys, "verify", "mine")[0] == 0
    import pandas as pd

    frame = pd.read_parquet("data/mine.parquet")
    frame.at[1, "edges"] = []
    frame.to_parquet("data/mine.parquet")
    assert "1 of several nodes have none, first: 1" in run(capsys, "verify", "mine")[1]


def test_list_names_every_benchmark_and_its_state(place, capsys):
    rows = {row["name"]: row["state"] for row in json.loads(run(capsys, "list", "--json")[1])}
    assert rows["nasbench101"] == "missing" and rows["nasbench201"] == "missing" and len(rows) > 20
    _, out, _ = run(capsys, "list")
    assert all(name in out for name in rows)
    titles = {row["name"]: row["title"] for row in json.loads(run(capsys, "list", "--json")[1])}
    assert (
        all(titles.values())
        and titles["digits101"] == catalog.load("digits101").card.title
        and titles["digits101"] in " ".join(out.split())
    )
    assert max(map(len, out.splitlines())) <= 80
    assert "put nasbench101/nasbench_only108.tfrecord or" in " ".join(out.split())
    (place / "data").mkdir()
    (place / "data" / "broken.json").write_text("{")
    (place / "data" / "broken.parquet").write_text("")
    (place / "data" / "deep.json").write_text("[" * 100_000)
    (place / "data" / "deep.parquet").write_text("")
    assert {"broken", "deep"} <= set(run(capsys, "list")[1].split())
    code, out, _ = run(capsys, "verify", "--all")
    assert code == 1 and "deep: 1 of 1 checks FAILED" in out and "digits101: ok" in out


def test_doctor_tells_of_the_machine_and_not_of_a_trial(capsys):
    doctor()
    out = capsys.readouterr().out
    assert "python" in out and "finished" not in out and "compiled" not in out


def test_info_prints_how_good_the_embedded_table_is(capsys):
    code, out, _ = run(capsys, "info", "digits101")
    card = json.loads(run(capsys, "info", "digits101", "--json")[1])
    assert (
        code == 0
        and f"tau {card['reliability']['test_accuracy']} between" in out
        and f"tau {card['noise_ceiling']['test_accuracy']} between" in out
    )
    assert (
        card["cells"]["trained"] >= 6000
        and not card["cells"]["failed"]
        and f"parameters {card['baselines']['kendall_tau']['parameters']}" in out
    )
    assert card["reliability"]["test_accuracy"] >= 0.85 and card["distinct"]["test_accuracy"] >= 0.95
    assert card["baselines"]["kendall_tau"]["parameters"] < card["noise_ceiling"]["test_accuracy"] - 0.1


def test_roles_and_space_are_said(place, capsys):
    rows = [
        "a,start conv end,0>1 1>2,1",
        "b,start conv id end,0>1 1>2 2>3,2",
        "c,start id conv end,0>1 1>2 2>3,3",
        "d,start zero end,0>1 1>2,4",
    ]
    (place / "mine.csv").write_text("\n".join(["arch,ops,edges,accuracy", *rows]))
    _, out, _ = run(capsys, "import", "mine.csv")
    assert "4 isomorphism classes, by equal graphs" not in out and "note: no operation is taken for input" in out
    code, out, _ = run(
        capsys, "import", "mine.csv", "--roles", "input=start,output=end,none=zero,skip=id", "--space", "chains"
    )
    assert (
        code == 0
        and "search space chains; 2 isomorphism classes, by equal computation (input, output, none, skip)" in out
        and "note" not in out
    )
    assert (
        "isomorphism classes: 2 (known: 2, by equal computation" in run(capsys, "verify", "mine")[1]
        and catalog.load("mine").space.name == "chains"
    )
    assert "'input' has no operation" in run(capsys, "import", "mine.csv", "--roles", "input")[2]
    for words in (("t.json",), ("t.json", "--as", "mine")):
        (place / "t.json").write_text("[]")
        assert "your own tables are .csv, .tsv or .parquet" in run(capsys, "import", *words)[2]
