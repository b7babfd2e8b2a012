import os
import signal

import pytest

# Tests run side by side: one thread each.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# The compiler compiles here and believes what the processor says of itself: else it starts processes that import torch.
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
os.environ.setdefault("TORCHINDUCTOR_VEC_ISA_OK", "1")
# A shell without job control starts its background jobs deaf to interrupts, and every process they start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config, items):
    """Tests marked `data` or `gpu` are skipped, visibly, where there is no data or no GPU."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked:
        import torch

        if not torch.cuda.is_available():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason="no GPU on this machine"))
    for item in items:
        if (mark := item.get_closest_marker("data")) is not None:
            from archrank.datasets.catalog import available

            name = mark.args[0] if mark.args else "nasbench201"
            if available().get(name) == "missing":
                item.add_marker(
                    pytest.mark.skip(reason=f"{name} is not available: set ARCHRANK_DATA (see docs/benchmarks.md)")
                )


@pytest.fixture(autouse=True)
def one_thread():
    import sys

    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(scope="session")
def cells():
    from archrank.eval.synthetic import synthetic

    return synthetic()
