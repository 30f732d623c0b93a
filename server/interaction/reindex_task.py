"""The state of a reindex as a Task that the server owns (https://hl7.org/fhir/R4/task.html): kept in the store, so that
every process and every client sees it, and one that was killed can be gone on with.

`focus` names the version of the SearchParameter it is for, `input` holds the place it has come to, `output` the counts.
"""

import hashlib
import time
from dataclasses import asdict, dataclass, replace

import orjson

from server.interaction.accept import Stored, accept
from server.interaction.api import Api
from server.keys import Cursor, Select, StaleWrite, Term, Version, Write, instant, stamp_of

SYSTEM, CODE = "https://tiercare.example/fhir/CodeSystem/jobs", "reindex"
PREFIX, EVERYTHING = "reindex-", "reindex.everything"  # ids of Task that clients cannot write
WALK, FOLLOW, CHECK, DONE, FAILED = "walk", "follow", "check", "done", "failed"
LEASE = 5.0  # seconds without a sign of life after which another process goes on


@dataclass(frozen=True, slots=True)
class State:
    """parameter: id of the SearchParameter ('' for a reindex of everything), version: of it. place: what `phase` is at.

    begun and beat are milliseconds since 1970; feed is a stamp; `seen` of `total` resources in the phase.
    """

    parameter: str
    version: int
    begun: int
    phase: str = WALK
    type: str = ""
    cursor: Cursor | None = None
    feed: int = 0
    seen: int = 0
    total: int = 0
    indexed: int = 0
    checked: int = 0
    repaired: int = 0
    rounds: int = 0
    runner: str = ""
    beat: int = 0
    problem: str = ""

    @property
    def over(self) -> bool:
        return self.phase in (DONE, FAILED)


@dataclass(frozen=True, slots=True)
class Job:
    """A stored Task: its version, and what it says."""

    task: Version
    state: State


def task_id(parameter: str) -> str:
    """Of the SearchParameter with this id; an id may be as long as a Task's own may be."""
    if not parameter:
        return EVERYTHING
    fits = len(PREFIX) + len(parameter) <= 64
    return PREFIX + (parameter if fits else hashlib.sha256(parameter.encode()).hexdigest())[:56]


def owned(type: str, id: str) -> bool:
    """Whether it is, or would be, such a Task."""
    return type == "Task" and (id.startswith(PREFIX) or id == EVERYTHING)


def read(task: Version) -> State | None:
    """None for a Task that is not the server's."""
    if not owned("Task", task.id) or not task.body:
        return None
    found = [one for one in orjson.loads(task.body).get("input", ()) if one["type"].get("text") == "place"]
    if not found:
        return None
    state = orjson.loads(found[0]["valueString"])
    return State(**{**state, "cursor": None if state["cursor"] is None else tuple(state["cursor"])})


async def jobs(api: Api) -> dict[str, Job]:
    """All by the id of their SearchParameter, finished ones too."""
    found: dict[str, Job] = {}
    select: Select | None = Select("Task", Term("Task.code", CODE, SYSTEM), limit=200)
    while select is not None:
        page = await api.store.select(select)
        for version in page.versions:
            state = read(version)
            if state is not None:
                found[state.parameter] = Job(version, state)
        select = replace(select, after=page.next) if page.next is not None else None
    return found


async def write(api: Api, state: State, over: Version | None) -> Job | None:
    """The Task as its next version. None: another process has written it meanwhile."""
    id = task_id(state.parameter)
    accepted = accept(orjson.dumps(_task(id, state)), "Task")
    before = () if over is None or over.deleted else Stored(over.body).entries(api.setting)
    one = Write(
        "PUT" if over else "POST", "Task", id, accepted.draft(id),
        expect=over.version if over else 0, before=before, after=accepted.entries(api.setting),
    )  # fmt: skip
    try:
        return Job((await api.store.commit([one]))[0], state)
    except StaleWrite:
        return None


def now() -> int:
    return time.time_ns() // 1_000_000


def progress(state: State | None) -> str:
    """A sentence on how far it is."""
    if state is None:
        return "the reindex has not begun yet"
    if state.phase == FAILED:
        return f"the reindex failed: {state.problem}"
    if state.phase == DONE:
        return (
            f"{state.indexed} resources written anew, {state.checked} checked, {state.repaired} repaired: "
            f"done at {instant(stamp_of(state.beat))}"
        )
    what = {WALK: "going through", FOLLOW: "taking up what was written meanwhile after", CHECK: "checking"}[state.phase]
    return f"the server is {what} stored resources ({state.seen} of {state.total}, at {state.type or 'the start'})"


_STATUS = {DONE: "completed", FAILED: "failed"}


def _task(id: str, state: State) -> dict[str, object]:
    begun, beat = instant(stamp_of(state.begun)), instant(stamp_of(state.beat or state.begun))
    counts = ("seen", "total", "indexed", "checked", "repaired")
    focus = {"reference": f"SearchParameter/{state.parameter}/_history/{state.version}"}
    return {
        "resourceType": "Task",
        "id": id,
        "status": _STATUS.get(state.phase, "in-progress" if state.runner else "requested"),
        "intent": "order",
        "code": {"coding": [{"system": SYSTEM, "code": CODE}]},
        "description": progress(state),
        **({"focus": focus} if state.parameter else {}),
        "executionPeriod": {"start": begun, **({"end": beat} if state.over else {})},
        "lastModified": beat,
        "input": [{"type": {"text": "place"}, "valueString": orjson.dumps(asdict(state)).decode()}],
        "output": [{"type": {"text": name}, "valueUnsignedInt": getattr(state, name)} for name in counts],
    }
