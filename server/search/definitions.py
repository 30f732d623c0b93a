"""The search parameters of a type as one server has them: those of R4, and those of the SearchParameter resources that
are stored there (`Setting.extra`, read by custom.py)."""

import functools
from collections.abc import Mapping

from server.model import tables
from server.model.tables import Parameter

Extra = Mapping[str, tuple[Parameter, ...]]
"""Resource type -> the parameters that stored SearchParameter resources add to it."""


def parameters(type: str, extra: Extra) -> Mapping[str, Parameter]:
    """Code -> parameter."""
    added = extra.get(type)
    return _with(type, added) if added else tables.search_parameters(type)


@functools.lru_cache(512)
def _with(type: str, added: tuple[Parameter, ...]) -> Mapping[str, Parameter]:
    return {**tables.search_parameters(type), **{one.code: one for one in added}}
