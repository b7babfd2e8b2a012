"""What tests of stores share: a stored trial changed as a careful hand would change it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from archrank.eval.trials.trial import key_of


def rewrite(path: Path, record: dict[str, Any]) -> Path:
    """Store `record` (schema 1, which has no digest) in place of the trial at `path`, under the key of its fields; its
    predictions move with it."""
    key = key_of(record["trial"])
    text = json.dumps(record | {"schema": 1, "digest": None, "key": key})
    for kind in ("predictions", "encodings"):
        if (beside := path.parent.parent / kind / f"{path.stem}.parquet").exists():
            beside.rename(beside.with_name(f"{key}.parquet"))
    path.unlink()
    new = path.with_name(f"{key}.json")
    new.write_text(text, encoding="utf-8", errors="surrogatepass")
    return new
