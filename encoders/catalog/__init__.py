"""Which encoders there are. Finding, listing and planning read their text (`scanning`); training loads them
(`loading`), users' code in a namespace of its own, and where it is first tried, in a process of its own (`apart`)."""

from archrank.encoders.catalog.finding import builtin, find, known, plugins
from archrank.encoders.catalog.info import HOOKS, EncoderInfo, Reach, where
from archrank.encoders.catalog.reading import confirm, unsupported

__all__ = ["HOOKS", "EncoderInfo", "Reach", "builtin", "confirm", "find", "known", "plugins", "unsupported", "where"]
