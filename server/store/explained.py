"""A search as a store carries it out, told without any value: neither what was asked for nor what is stored."""

from typing import Any as AnyValue
from typing import NamedTuple, Protocol

from server.keys import All, Any, Backlinked, Ids, Linked, Not, Select, Stamped, Test, Together

EXPLAINS = "explains"
"""The ability of a store that is `Explains`."""


class Explained(NamedTuple):
    """leads: the criterion whose rows are the candidates, '' when none is. rows: how many it has,
    counted up to `counted`. statement: as the store reads it, values left out. steps: the store's own plan, if it
    says one."""

    leads: str
    rows: int | None
    counted: int
    statement: str
    steps: list[str]

    def lines(self) -> list[str]:
        """One sentence each."""
        more = "more than " if self.rows is not None and self.rows > self.counted else ""
        rows = "" if self.rows is None else f", {more}{min(self.rows, self.counted)} rows"
        leading = (
            f"leading criterion: {self.leads}{rows}"
            if self.leads
            else "no criterion leads: all are walked in their order"
        )
        return [leading, f"statement: {self.statement}", *(f"step: {step}" for step in self.steps)]


class Explains(Protocol):
    """What a store with the ability EXPLAINS can do beyond its port."""

    name: str

    async def explain(self, select: Select) -> Explained: ...


def criterion(test: Test) -> str:
    """A test without its values: `term Patient.identifier`."""
    match test:
        case All(tests) | Together(tests):
            return f"all of ({', '.join(map(criterion, tests))})"
        case Any(tests):
            return f"any of {len(tests)} ({', '.join(dict.fromkeys(map(criterion, tests)))})"
        case Not(inner):
            return f"not {criterion(inner)}"
        case Ids(ids):
            return f"_id, {len(ids)}"
        case Stamped():
            return "_lastUpdated"
        case Linked(param, type, inner):
            return f"{param} to a {type} with {criterion(inner)}"
        case Backlinked(type, param, inner):
            return f"{type} by {param} with {criterion(inner)}"
        case _:
            return f"{test.__class__.__name__.lower()} {test.param}"


def shape(value: AnyValue) -> AnyValue:
    """A document without its values: names and operators stay, of a list of values their number."""
    if isinstance(value, dict):
        return {name: shape(one) for name, one in value.items()}
    if isinstance(value, list):
        if any(isinstance(one, dict) for one in value):
            return [shape(one) for one in value]
        return f"{len(value)} values"
    return "?"
