"""What an encoder's source is: its file and what that is built on, found without running any of it."""

import pytest

from archrank import encoder
from archrank.datasets.errors import ArchrankError
from archrank.datasets.plugins.identity import built_on
from archrank.datasets.plugins.syntax import ENCODERS
from archrank.encoders import catalog

ENCODER = "\nraise RuntimeError('nobody may run this')\ndef E(graphs, space):\n    return graphs\n"


def lay(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    "encoder, statement, edited",
    [
        ("mypkg/enc.py", "from .helper import SCALE", "mypkg/helper.py"),
        ("mypkg/enc.py", "from . import helper", "mypkg/helper.py"),
        ("mypkg/enc.py", "from . import SCALE", "mypkg/__init__.py"),
        ("mypkg/enc.py", "from mypkg.helper import SCALE", "mypkg/helper.py"),
        ("mypkg/enc.py", "import mypkg.helper as h", "mypkg/helper.py"),
        ("mypkg/enc.py", "from mypkg import parts", "mypkg/parts/__init__.py"),
        ("mypkg/enc.py", "from .helper import SCALE", "mypkg/parts/deep.py"),
        ("mypkg/parts/enc.py", "from ..helper import SCALE", "mypkg/helper.py"),
        ("mypkg/parts/enc.py", "from mypkg.helper import SCALE", "mypkg/helper.py"),
        ("enc.py", "from helper import SCALE", "helper.py"),
        ("enc.py", "def later():\n    import helper", "helper.py"),
        ("enc.py", "from mypkg.helper import SCALE", "mypkg/parts/deep.py"),
        ("enc.py", "from mypkg.parts import deep", "mypkg/__init__.py"),
        ("sub/enc.py", "import sys\nsys.path.append('..')\nfrom helper import SCALE", "helper.py"),
    ],
)
def test_an_edit_of_what_an_encoder_is_built_on_is_another_source(tmp_path, encoder, statement, edited):
    lay(
        tmp_path,
        {
            "helper.py": "SCALE = 1",
            "other.py": "",
            "mypkg/__init__.py": "SCALE = 1",
            "mypkg/helper.py": "from .parts import deep\nSCALE = 1",
            "mypkg/parts/__init__.py": "",
            "mypkg/parts/deep.py": "from .. import helper",
            encoder: statement + ENCODER,
        },
    )
    (info,) = catalog.find(f"{tmp_path / encoder}:E")
    before = info.source
    lay(tmp_path, {"other.py": "SCALE = 2"})
    assert info.source == before
    lay(tmp_path, {edited: (tmp_path / edited).read_text() + "\nSCALE = 2"})
    assert info.source != before


CODE = 'SCALE = 1\nTEXT = """\n# kept\n\n"""\n\n\nclass A:\n    """Doc."""\n\n    x = 2\n'


@pytest.mark.parametrize(
    "edited, same",
    [
        (CODE.replace("Doc.", "Another,\n    longer.\n\n    # And more.\n    "), True),
        (CODE.replace("class", "# A comment.\nclass").replace("\n\n\n", "\n\n\n\n"), True),
        ('"""What this is."""\n\n' + CODE, True),
        (CODE.replace("x = 2", "x = 3"), False),
        (CODE.replace("# kept", "# changed"), False),
        (CODE.replace("# kept\n\n", "# kept\n"), False),
        (CODE.replace("    x = 2", "x = 2"), False),
        (CODE.replace('"""Doc."""', '"""Doc."""; y = 1'), False),
        (CODE.replace("x = 2", "x = 2  # said on the line"), False),
    ],
)
def test_an_explanation_is_no_part_of_the_source_and_a_text_that_is_a_value_is(tmp_path, edited, same):
    lay(tmp_path, {"enc.py": "from helper import SCALE" + ENCODER, "helper.py": CODE})
    before = catalog.find(f"{tmp_path / 'enc.py'}:E")[0].source
    lay(tmp_path, {"helper.py": edited})
    assert (catalog.find(f"{tmp_path / 'enc.py'}:E")[0].source == before) is same


@pytest.mark.parametrize(
    "statement",
    [
        "from archrank.encoders.gnn.gcn import GCN",
        "from archrank.encoders.gnn import gcn",
        "import archrank.encoders.gnn.gcn as g",
    ],
)
def test_every_form_of_import_of_a_built_in_encoder_counts(tmp_path, statement):
    lay(tmp_path, {"enc.py": f"import torch\nfrom archrank import encoder\n{statement}" + ENCODER})
    own, *others = built_on(tmp_path / "enc.py")
    assert own == tmp_path / "enc.py" and others == sorted(built_on(ENCODERS / "gnn" / "gcn.py")) and len(others) > 1


def test_installed_packages_are_not_followed(tmp_path):
    lay(
        tmp_path / "site-packages",
        {
            "enc.py": "import torch\nimport archrank.eval.metrics" + ENCODER,
            "torch/__init__.py": "",
            "archrank/__init__.py": "",
        },
    )
    assert len(built_on(tmp_path / "site-packages" / "enc.py")) == 1


def test_a_broken_helper_is_named(tmp_path):
    lay(tmp_path, {"enc.py": "import helper" + ENCODER, "helper.py": "def broken(:"})
    (info,) = catalog.find(f"{tmp_path / 'enc.py'}:E")
    with pytest.raises(ArchrankError, match=r"helper\.py, line 1: "):
        _ = info.source


def test_the_other_decorator_is_named():
    with pytest.raises(TypeError, match="@encoder marks a class, which count is not; see @encoding"):

        @encoder("count")
        def count(graphs, space):
            return graphs.mask.sum(-1, keepdim=True)


def test_what_a_built_in_encoder_uses_of_the_datasets_is_part_of_its_source():
    files = {path.relative_to(ENCODERS.parent).as_posix() for path in built_on(ENCODERS / "paths" / "path.py")}
    assert {"datasets/canonical.py", "datasets/graphs.py", "encoders/paths/limits.py"} <= files
    assert not files & {
        "datasets/errors.py",
        "datasets/__init__.py",
        "encoders/registry.py",
        "encoders/catalog/info.py",
    }
