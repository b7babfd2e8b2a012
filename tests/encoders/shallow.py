"""Deep encoders with fewer layers, for tests that train each of them: their layers are alike."""

OPTIONS = {
    "dagnn": "dim=16,layers=1",
    "flan": "dim=16,layers=2,op_dim=16,node_dim=16,hidden=32,update_dim=16",
    "flowerformer": "layers=2",
    "gated_gcn": "layers=2",
    "gmae_nas": "dim=16,heads=2,layers=2",
    "graph_gps": "layers=1",
    "graphormer": "layers=2",
    "nar_former": "dim=24,heads=2,hidden=48,layers=1",
    "nar_former_v2": "dim=16,groups=4,layers=2",
    "pace": "layers=2",
    "pinat": "layers=1",
    "ta_gates": "layers=2,steps=2",
    "tnasp": "layers=1",
}


def shallow(name: str) -> str:
    """A reference to the encoder of that name, of fewer layers where it is deep."""
    return f"{name}[{OPTIONS[name]}]" if name in OPTIONS else name
