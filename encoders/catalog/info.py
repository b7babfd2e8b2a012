"""What the catalogue knows of an encoder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from archrank.datasets.errors import ArchrankError, one_line
from archrank.datasets.plugins.identity import source_hash
from archrank.datasets.plugins.loading import import_file, import_module
from archrank.datasets.source_text import Option, checked_options
from archrank.encoders.reserved import RESERVED_BY_KIND, ReservedOption

HOOKS = ("paper_recipe", "paper_config", "twins", "auxiliary_loss", "compare", "states", "supports")
# Whether a user's code may run to learn what its text does not say: not at all, in this process, or in one of its own.
Reach = Literal["text", "here", "apart"]


@dataclass(frozen=True)
class EncoderInfo:
    """An encoder as its source text describes it, or, where that leaves something open and its code may run, the loaded
    object.

    open: what the text leaves open, in a few words; empty if nothing. limits: `module:function` of a fixed encoding
    that says what it cannot hold.
    """

    name: str
    learned: bool
    family: str
    summary: str
    path: Path
    object: str
    module: str | None
    origin: str
    options: dict[str, Option] = field(default_factory=dict)
    hooks: tuple[str, ...] = ()
    pretrained: bool = False
    ranks: bool = False
    portfolio: bool = False
    head: str = ""
    doc: str = ""
    limits: str | None = None
    open: str = ""
    reach: Reach = "text"

    @property
    def source(self) -> str:
        """sha256 over the encoder's file and every file it is built on, however deep (`plugins.identity`)."""
        return source_hash(self.path)

    @property
    def place(self) -> str:
        """Where it is defined, as a reference: `module:Object` or `file.py:Object`."""
        return f"{self.module or self.path}:{self.object}"

    def load(self) -> Any:
        """Import the encoder's module and return the class or function. ArchrankError, one line, if that fails."""
        import torch  # noqa: F401  # before a plug-in: what that changes of PyTorch's state is then put back

        try:
            return getattr(import_module(self.module) if self.module else import_file(self.path), self.object)
        except (ArchrankError, KeyboardInterrupt):
            raise
        except BaseException as error:  # SystemExit and others of a stranger's code included
            raise ArchrankError(
                f"encoder {self.path.name}:{self.object} cannot be imported{where(error, self.path)}: {one_line(error)}"
            ) from error

    @property
    def reserved(self) -> dict[str, ReservedOption]:
        """Options that it has without declaring them."""
        return RESERVED_BY_KIND.get(self._kind, {})

    @property
    def _kind(self) -> str:
        return "learned encoder" if self.learned else "portfolio" if self.portfolio else "fixed encoding"

    def validate(self, config: dict[str, Any]) -> dict[str, Any]:
        """`config` with values brought to their declared types, without defaults; ArchrankError for a misspelt option
        or a wrong value. A learned encoder and a portfolio have reserved options (`encoders.reserved`) too."""
        options = self.options
        if self.open:
            options = dict.fromkeys(config, Option(None, ..., False)) | options
        reserved = self.reserved
        if taken := sorted(reserved.keys() & self.options.keys()):
            raise ArchrankError(
                f"encoder {self.name} has an option '{taken[0]}', which every {self._kind} is given by archrank; give its own "
                "another name"
            )
        options = {**options, **{name: said.option for name, said in reserved.items()}}
        return checked_options(f"encoder {self.name}", options, config)


def where(error: BaseException, path: Path) -> str:
    """` (my_encoder.py, line 22)`: the last line of the file that the error passed through; nothing if it passed
    through none."""
    step, place = error.__traceback__, ""
    while step is not None:
        if Path(step.tb_frame.f_code.co_filename).resolve() == path:
            place = f" ({path.name}, line {step.tb_lineno})"
        step = step.tb_next
    return place
