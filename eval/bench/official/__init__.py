"""Official codes, from checkouts that a user has, timed in turn with archrank's training (`archrank bench --against
FOLDER`).

A module an encoder: it imports the network, the loss and, where there is one, the function that trains an epoch from
the checkout, hands them the architectures and labels of the case, and steps as that code's own loop does. Nothing of
those codes is kept here. Where a loop is written out (because the code has it in the middle of a script), what only
reports is left out: logs, metrics, evaluation, checkpoints.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Code:
    """Where an official code is published, and a file by which a checkout of it is known."""

    repository: str
    marker: str


CODES = {
    "flowerformer": Code("y0ngjaenius/CVPR2024_FLOWERFormer", "one_cell/flowerformer.py"),
    "gcn": Code("automl/NASLib", "naslib/predictors/gcn.py"),
    "brp_nas": Code("SamsungLabs/eagle", "eagle/predictors/__main__.py"),
    "nar_former": Code("yuny220/NAR-Former", "data_process/position_encoding.py"),
    "arch2vec": Code("MSU-MLSys-Lab/arch2vec", "models/pretraining_nasbench201.py"),
    "cate": Code("MSU-MLSys-Lab/CATE", "layers/graphEncoder.py"),
}
