"""The performance page's part on official codes, from the samples of `archrank bench --against`."""

from __future__ import annotations

from collections.abc import Sequence

from archrank.eval.bench.official import CODES
from archrank.eval.bench.results import Sample
from archrank.eval.bench.summary import distinct, ratios, select, spread
from archrank.reports.bench_tables import duration, table, times

__all__ = ["beside_official"]

# Variant -> what a column calls it.
OURS = {"ensemble": "ensemble", "compiled": "ensemble with compiled steps", "alone": "one alone"}

HEAD = """## Against official codes

How long the official code of a method takes in training, beside our ensemble and one member alone, measured in turn like all ways on this page, at the
same allocator settings. Check the codes out beside one another in one folder, with what they import (`pip install einops yacs`), and name it:

```console
$ git clone https://github.com/OWNER/NAME CHECKOUTS/NAME
$ archrank bench --against CHECKOUTS --budget 96 --batch 32
```

`--variants ensemble,compiled,alone,official` measures the ensemble with compiled steps too; building its programs is not counted.
"""
NOTES = """The official network, loss and optimiser are imported from the checkout, in its published configuration, and see the same architectures, labels and
batches. FlowerFormer and GCN train by their own function for an epoch or a training, BRP-NAS by its function for a step; of NAR-Former, arch2vec and CATE,
whose loops lie in scripts, the loop is written out in archrank without what only reports (logs, metrics, evaluation, checkpoints). PyTorch's AdamW, which is
faster, stands in for that of old releases of `transformers`. Making batches is part of a step, as it is in those codes. arch2vec and CATE are measured in
pre-training: one network on each side, which has no ensemble.

Any other command is timed from start to exit, in turn with our whole training: name it in place of the folder.

```console
$ archrank bench flowerformer --budget 78 --against 'env -C CHECKOUT python THEIR_SCRIPT.py THEIR OPTIONS' --against-members 1
```

What an official code does beside training (it evaluates while it trains, or reads its table anew) is part of its time: say so beside a figure.
"""


def beside_official(samples: Sequence[Sample]) -> list[str]:
    """The section: how to measure, and the table where there are samples."""
    mine = select(samples, part="official")
    rows, missing = [], []
    for case in distinct(mine, lambda s: str(s["case"])):
        of = select(mine, case=case)
        trained = select(of, what="train")
        missing += [f"- {case}: {miss['variant']}: {miss['why']}" for miss in select(of, what="missing")]
        ready = select(of, what="ready", variant="official")
        if not ready or not select(trained, variant="official"):
            continue
        members = {s["variant"]: s["members"] for s in select(of, what="ready")}
        cost = {way: spread(s["cpu"] for s in select(trained, variant=way)) for way in ("official", *OURS)}
        rows.append(
            [
                case,
                f"[{CODES[case.split('[')[0]].repository}](https://github.com/{CODES[case.split('[')[0]].repository})",
                f"{ready[0]['recipe']}, {ready[0]['batch']}",
                *(duration(seconds.median if seconds else None) for seconds in cost.values()),
                str(members["ensemble"]),
                *(times(ratios(trained, "official", way, "cpu")) for way in OURS),
            ]
        )
    head = ["encoder", "official code", "recipe, batch", "official step, CPU", "ours, step and member", "ours compiled"]
    head += ["ours alone", "members", *(f"official over {way}" for way in OURS.values())]
    return [HEAD, *(table(head, rows) if rows else []), *missing, *([""] if missing else []), NOTES]
