"""The benchmarks archrank can import: what they are called, which file they come from and where a user gets it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Download:
    """A file that can be fetched without a browser.

    url: http(s) address. path: where it belongs below a data folder. digest: `sha256:...` or `md5:...`, always checked.
    limit: no more bytes than this are accepted.
    """

    url: str
    path: str
    digest: str
    limit: int = 4 << 30


@dataclass(frozen=True)
class Source:
    """A benchmark archrank can import.

    file: what `locate` looks for below a data folder. obtain: where a user gets the official file.
    module: the importer in this package. version: raise it when the importer's output changes.
    variant: which of its benchmarks the importer is asked for. downloads: the files `archrank data get` can fetch.
    """

    name: str
    title: str
    file: str
    obtain: str
    module: str
    version: int = 1
    variant: str = ""
    downloads: tuple[Download, ...] = ()


_GRAPH_DIGESTS = {
    "cora": "5e69b2f9bb08d8927d9ffd4921f8494a3cea349c9c3a461334cb9dc9e11701a8",
    "citeseer": "99c7f79b73372636305bf73fb32a58b63c57bd1871a152dd62ec72d984c8c50f",
    "pubmed": "10b4dcf6cfd3a24f6059f7d541a4a872960b4adac0b3dba26abed1bb9a3d904d",
    "cs": "71ae8469930517160b024f52db6000a4897f1aff5d765beb27bb60952ed5bd31",
    "physics": "1e309bafee0b832c8b84fa3c039c36992bc0a910238b128f26b7e9190d7f2aea",
    "photo": "5511b4dc3f63fa988792177227db7901290fb9b27fc6c02e3036b29e134ed6df",
    "computers": "fdb3dc0cf405d62322f0ab9614b2083c2a5e6576c2f43e4f2214be64bc62b1b3",
    "arxiv": "7ee21a7653297a806c0ed1be3efe6ecc06acc84e48e942da0bfde0e5d287debe",
    "proteins": "b9e7fb0902bda44fec32c948e5fde822fb22d38d674c52e43ace5197378f2d21",
}


def _nasbench_graph(data_set: str) -> Source:
    count = "2,021" if data_set == "proteins" else "26,206"
    path = f"nasbench_graph/{data_set}.bench"
    return Source(
        f"nasbench_graph_{data_set}",
        f"NAS-Bench-Graph, {count} graph neural networks on {data_set}",
        path,
        "the light release of NAS-Bench-Graph (github.com/THUMNLab/NAS-Bench-Graph)",
        "nasbench_graph",
        variant=data_set,
        downloads=(Download(f"https://raw.githubusercontent.com/THUMNLab/NAS-Bench-Graph/main/light/{data_set}.bench", path,
                            f"sha256:{_GRAPH_DIGESTS[data_set]}"),),
    )


def _transnasbench101(space: str, count: str, file: str) -> Source:
    return Source(
        f"transnasbench101_{space}",
        f"TransNAS-Bench-101 {space}, {count} networks on seven vision tasks",
        f"transnasbench101/transnas-bench_v10141024.pth or transnasbench101/{file}",
        "the TransNAS-Bench-101 project (github.com/yawen-d/TransNASBench), transnas-bench_v10141024.pth, or the zip archives of JSON shards that "
        "NASLib users pass on",
        "transnasbench101",
        version=2,
        variant=space,
    )


_PPUDA = "https://raw.githubusercontent.com/facebookresearch/ppuda/main/data/"
_NASBENCH101 = "https://storage.googleapis.com/nasbench/"

SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        Source(
            "nasbench201",
            "NAS-Bench-201 (NATS-Bench topology), 15,625 cells, CIFAR-10/100 and ImageNet16-120",
            "nasbench201/NAS-Bench-201-v1_1-096897.pth or nasbench201/table.csv",
            "the NAS-Bench-201 project (github.com/D-X-Y/NAS-Bench-201), NAS-Bench-201-v1_1-096897.pth (4.7 GB) on Google Drive, or an export of "
            "it to one CSV row per architecture",
            "nasbench201",
            version=2,
        ),
        Source(
            "hwnasbench201",
            "HW-NAS-Bench, latency and energy of the NAS-Bench-201 networks on six devices",
            "hwnasbench/HW-NAS-Bench-v1_0.pickle (or hwnasbench/hw_{cifar10,cifar100,ImageNet16-120}.csv)",
            "the HW-NAS-Bench project (github.com/GATECH-EIC/HW-NAS-Bench), HW-NAS-Bench-v1_0.pickle",
            "hwnasbench",
            version=2,
        ),
        *(
            Source(
                f"natsbench_{variant}",
                f"NATS-Bench {variant} space, {count} networks on CIFAR-10/100 and ImageNet16-120",
                f"natsbench/{folder} (the folder, or the .tar of it)",
                f"the NATS-Bench project (github.com/D-X-Y/NATS-Bench), {folder}.tar on Google Drive",
                "natsbench",
                version=2,
                variant=variant,
            )
            for variant, count, folder in (("topology", "15,625", "NATS-tss-v1_0-3ffb9-simple"),
                                           ("size", "32,768", "NATS-sss-v1_0-50262-simple"))
        ),
        Source(
            "nasbench101",
            "NAS-Bench-101, 423,624 cells on CIFAR-10, 3 runs each",
            "nasbench101/nasbench_only108.tfrecord or nasbench101/nasbench_full.tfrecord",
            f"{_NASBENCH101}nasbench_only108.tfrecord (499 MB) or, with 4, 12 and 36 epochs too, nasbench_full.tfrecord (1.95 GB)",
            "nasbench101",
            variant="full",
            downloads=(Download(f"{_NASBENCH101}nasbench_only108.tfrecord", "nasbench101/nasbench_only108.tfrecord",
                                "sha256:4c39c3936e36a85269881d659e44e61a245babcb72cb374eacacf75d0e5f4fd1"),),
        ),
        Source(
            "nasbench101_cells",
            "292 official NAS-Bench-101 cells, 108 epochs",
            "nasbench101/cells_108epochs.json",
            "a JSON file {'nasbench101': {'cifar10': {adjacency and op ids: {val_accuracy, params, flops}}}}",
            "nasbench101",
            variant="cells",
        ),
        *(
            Source(
                f"ecnas_{size}v9e",
                f"EC-NAS, {count} cells of the NAS-Bench-101 space trained again, {size} vertices",
                f"nasbench101/energy_{size}V9E.tfrecord",
                f"the EC-NAS project (github.com/saintslab/EC-NAS-Bench), energy_{size}V9E.tfrecord",
                "nasbench101",
                variant=f"ecnas_{size}v",
            )
            for size, count in ((4, 91), (5, "2,532"))
        ),
        Source(
            "nasbench301",
            "NAS-Bench-301, about 60,000 DARTS networks trained on CIFAR-10",
            "nasbench301/nb_301_v13_lc_iclr_final or nasbench301/nb_301_v13_lc_iclr_final.zip",
            "figshare.com/articles/dataset/nasbench301_full_data/13286105, nb_301_v13_lc_iclr_final.zip",
            "nasbench301_release",
        ),
        Source(
            "nasbench301_trained",
            "DARTS space, 1,000 random networks trained on CIFAR-10",
            "nasbench301/darts_cells_trained.csv",
            "a CSV of lines 'Genotype(...)', accuracy",
            "nasbench301",
            variant="trained",
        ),
        Source(
            "nasbench301_surrogate",
            "NAS-Bench-301, 1,218 DARTS networks with accuracies predicted by its XGBoost surrogate",
            "nasbench301/surrogate_xgb_a.json and nasbench301/surrogate_xgb_b.json",
            "JSON exports {(normal, reduction): {val_accuracy, params, flops}} of the surrogate (github.com/automl/nasbench301)",
            "nasbench301",
            variant="surrogate",
        ),
        *(
            Source(
                f"nasbench_nlp_{corpus}",
                f"NAS-Bench-NLP, recurrent cells as language models on {title}",
                f"nasbench_nlp/{file}",
                f"the NAS-Bench-NLP project (github.com/fmsnew/nas-bench-nlp-release), {where}",
                "nasbench_nlp",
                variant=corpus,
            )
            for corpus, title, file, where in (
                ("ptb", "Penn Treebank", "logs.zip", "train_logs_single_run/logs.zip"),
                ("wikitext2", "WikiText-2", "logs_wikitext2.zip", "the WikiText-2 logs in one zip"),
            )
        ),
        Source(
            "nasbench_asr",
            "NAS-Bench-ASR, 8,242 speech recognition cells on TIMIT",
            "nasbench_asr/nb-asr-e40-1234.pickle and the other six .pickle files of the release",
            "release v1.1.0 of github.com/SamsungLabs/nb-asr: nb-asr-e40-{1234,1235,1236}.pickle, nb-asr-bench-{gtx-1080ti,jetson-nano}-"
            "fp32.pickle, nb-asr-info.pickle",
            "nasbench_asr",
        ),
        Source(
            "deepnets1m",
            "DeepNets-1M, 1,000 whole networks of up to about 600 nodes: accuracy, robustness, speed, convergence",
            "deepnets1m/deepnets1m_eval.hdf5, deepnets1m_meta.tar.gz, results_cifar10.json and results_imagenet.json",
            "the PPUDA project (github.com/facebookresearch/ppuda), data/download.sh and data/results_*.json",
            "deepnets1m",
            downloads=tuple(
                Download(url, f"deepnets1m/{url.rsplit('/', 1)[1]}", f"md5:{digest}")
                for url, digest in (
                    ("https://dl.fbaipublicfiles.com/deepnets1m/deepnets1m_eval.hdf5", "1f5641329271583ad068f43e1521517e"),
                    ("https://dl.fbaipublicfiles.com/deepnets1m/deepnets1m_meta.tar.gz", "a42b6f513da6bbe493fc16a30d6d4e3e"),
                    (f"{_PPUDA}results_cifar10.json", "257a1f89bc1f728d7b467d43b627567f"),
                    (f"{_PPUDA}results_imagenet.json", "67017778d0d1f56d3e62041ea0e8fe0f"),
                )
            ),
        ),
        Source(
            "nnlqp",
            "NNLQP, latency of whole ONNX networks on deployment platforms",
            "nnlqp/gt.txt and the ONNX files it names",
            "release v1.0-data of github.com/ModelTC/NNLQP, dataset.tar.gz unpacked",
            "nnlqp",
        ),
        _transnasbench101("micro", "4,096", "all_benchmarks_zen.zip"),
        _transnasbench101("macro", "3,256", "tnb101_macro_zen.zip"),
        *(_nasbench_graph(data_set) for data_set in _GRAPH_DIGESTS),
    )
}
