"""$everything: the whole record of a patient, of an encounter, of the patients of a group, or of all patients
(https://hl7.org/fhir/R4/patient-operation-everything.html, encounter-operation-everything.html,
group-operation-everything.html).

The answer is what belongs to the compartment (search.mode match), then what that refers to (mode include). `_type` and
`_since` choose from this whole; `start` and `end` say which records of care belong to it (care_dates.py).
"""

from urllib.parse import urlencode

import msgspec

from server.errors import Invalid
from server.interaction.api import Api
from server.interaction.compartment import Walk
from server.interaction.context import Context
from server.interaction.history import stamps
from server.interaction.operation import INSTANCE, TYPE, Call, Operation, Parameter, Result
from server.interaction.owners import EveryPatient, Members, One, Owners
from server.interaction.paging import seal, unseal
from server.interaction.read import read
from server.interaction.referred import named
from server.keys import Version
from server.model import bundle, tables
from server.model.subset import asked
from server.operations.care_dates import within
from server.operations.everything_pages import Reading, State, state_of
from server.search.query import CURSOR

_START = Parameter("start", "date", "records of care that ended before this date are left out")
_END = Parameter("end", "date", "records of care that began after this date are left out")
_SINCE = Parameter("_since", "instant", "only what was stored at or after this instant")
_TYPE = Parameter("_type", "code", "only resources of these types, separated by commas", max="*")
_COUNT = Parameter("_count", "integer", "matches on a page; without it the answer is one Bundle, up to everything_max")
_RETURN = Parameter("return", "Bundle", "a searchset: what belongs to it, then what that refers to", 1, "1", "out")
_ASKED = (_START, _END, _SINCE, _TYPE, _COUNT)


async def everything(api: Api, context: Context, call: Call) -> Result:
    """A searchset Bundle. Raises NotFound and Gone for what is asked about, Invalid naming a parameter."""
    own = [(one.name, text) for one in _ASKED for text in _written(call, one)]
    shape = [pair for pair in call.asked if pair[0] != CURSOR]
    sealed = next((value for name, value in call.asked if name == CURSOR), None)
    subset = asked(shape, None)
    place = "/".join(part for part in (call.type, call.id, "$everything") if part)
    scope = f"{place}?{urlencode(own)}"
    state = State() if sealed is None else state_of(unseal(api.page_key, scope, sealed))
    found, included, onward = await (await _reading(api, context, call)).page(state)

    def link(*more: tuple[str, str]) -> str:
        query = urlencode([*own, *shape, *more], safe=":/,|$")
        return f"{context.base}/{place}" + (f"?{query}" if query else "")

    links = {"self": link() if sealed is None else link((CURSOR, sealed))}
    if onward is not None:
        links["next"] = link((CURSOR, seal(api.page_key, scope, onward.cursor())))
    total = (
        len(found) if sealed is None and (onward is None or (onward.at is None and onward.key is not None)) else None
    )
    if subset is not None:
        found = [subset.cut(one) for one in found]
        included = [subset.cut(one, included=True) for one in included]
    return Result(bundle.searchset(found, included, total, links, context.base))


def _written(call: Call, parameter: Parameter) -> list[str]:
    if parameter is _COUNT:
        return [str(number)] if (number := call.number(parameter.name)) is not None else []
    return call.texts(parameter.name)


async def _reading(api: Api, context: Context, call: Call) -> Reading:
    """What is to be read, as the call says."""
    start, end, since, count = call.text("start"), call.text("end"), call.text("_since"), call.number("_count")
    types, limits, records = _types(call), api.limits, api.records(context)
    if count is not None and count < 1:
        raise Invalid(f"_count is a number of resources from 1 on, not '{count}'", "_count")
    within("Encounter", start, end, api.setting)  # a date that is none is refused before anything is read
    first = stamps(api, since, "_since")[0] if since is not None else 0
    owners: Owners = EveryPatient(records)
    heads: list[Version] = []
    if call.level == INSTANCE:
        focal = await read(api, context, call.type, call.id)
        owners = One(focal)
        if call.type == "Group":
            heads, owners = [focal], Members(records, _members(api, focal))
    walk = Walk(
        records,
        api.setting,
        owners,
        list(tables.compartment(owners.type)),
        lambda type: within(type, start, end, api.setting),
        heads=frozenset(f"{one.type}/{one.id}" for one in heads),
    )
    size = limits.everything_max if count is None else min(count, limits.count_max)
    room = max(size, limits.include_max)
    return Reading(records, api.setting, walk, heads, types, first, size, room, limits.count_max)


def _types(call: Call) -> frozenset[str]:
    """`_type`, given several times or with commas; without it all. Raises Invalid."""
    found = frozenset(type for text in call.texts("_type") for type in text.split(","))
    for type in sorted(found - tables.resource_types()):
        raise Invalid(f"'{type}' is not a resource type of R4", "_type")
    return found or tables.resource_types()


class _Who(msgspec.Struct):
    reference: str = ""


class _Member(msgspec.Struct):
    entity: _Who = msgspec.field(default_factory=_Who)
    inactive: bool = False


class _Group(msgspec.Struct):
    member: list[_Member] = msgspec.field(default_factory=list)


def _members(api: Api, group: Version) -> frozenset[str]:
    """Ids of the patients that are active members."""
    found = msgspec.json.decode(group.body, type=_Group).member
    names = (named(one.entity.reference, api.setting) for one in found if not one.inactive)
    return frozenset(name.id for name in names if name is not None and name.type == "Patient")


def _operation(type: str, title: str, description: str, levels: tuple[str, ...], *asked: Parameter) -> Operation:
    return Operation(
        id=f"{type}-everything",
        code="everything",
        title=title,
        description=description,
        run=everything,
        levels=levels,
        types=(type,),
        parameters=(*asked, _RETURN),
        base=f"http://hl7.org/fhir/OperationDefinition/{type}-everything",
    )


PATIENT_EVERYTHING = _operation(
    "Patient",
    "The whole record of a patient, or of all patients",
    "What belongs to the patient (the Patient compartment) and what that refers to, so that it can be read alone.",
    (TYPE, INSTANCE),
    *_ASKED,
)
ENCOUNTER_EVERYTHING = _operation(
    "Encounter",
    "Everything of an encounter",
    "What belongs to the encounter (the Encounter compartment), its patient and what else these refer to.",
    (INSTANCE,),
    _SINCE,
    _TYPE,
    _COUNT,
)
GROUP_EVERYTHING = _operation(
    "Group",
    "The whole records of a group's patients",
    "The group, and for each active member that is a patient what Patient $everything gives.",
    (INSTANCE,),
    *_ASKED,
)
