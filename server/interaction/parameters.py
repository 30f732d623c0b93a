"""The SearchParameter resources of the store as this process searches and indexes by them.

Every process looks at the store again and again (`refresh`): a parameter is indexed by new writes as soon as it is
seen, and searched by when the Task of its reindex is done (docs/decisions/0014-custom-search-parameters.md).
"""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from server.errors import Unprocessable
from server.interaction import reindex_task as tasks
from server.interaction.api import Api
from server.keys import All, Select, Version
from server.model.tables import Parameter
from server.search import custom

FRESH = 1.0  # seconds for which what was seen is good enough to write by
SETTLE = 3.0  # seconds after which every process writes by a change, or looks again before it does


async def fresh(api: Api) -> None:
    """What writes ask for first: nobody writes by knowledge that is older than FRESH."""
    if time.monotonic() - api.known.looked > FRESH:
        await refresh(api)


async def refresh(api: Api) -> None:
    """Looks at the store; a parameter without a Task gets one before anything is indexed by it."""
    looked = time.monotonic()
    stored = await _stored(api)
    jobs = await tasks.jobs(api)
    found: dict[str, list[Parameter]] = {}
    waiting: dict[str, str] = {}
    owners: dict[tuple[str, str], str] = {}
    pending: dict[str, Version] = {}
    for id, (version, parameters) in sorted(stored.items()):
        job = jobs.get(id)
        if parameters and job is None:
            job = await tasks.write(api, tasks.State(id, version.version, tasks.now()), None)
        over = job is not None and job.state.version == version.version and job.state.over
        if not over and (parameters or job is not None):
            pending[id] = version
        done = over and job is not None and job.state.phase == tasks.DONE
        for type, parameter in parameters.items():
            if (type, parameter.code) in owners:
                continue  # two were written at once; the first by id counts
            owners[type, parameter.code] = id
            found.setdefault(type, []).append(parameter)
            if not done:
                state = job.state if job and job.state.version == version.version else None
                waiting[f"{type}.{parameter.code}"] = (
                    f"'{parameter.code}' of {type} cannot be searched by yet: {tasks.progress(state)}. "
                    f"GET SearchParameter/{id}/$reindex shows it"
                )
    for id, job in jobs.items():
        if id and id not in stored:
            gone = await api.store.get("SearchParameter", id)
            if gone is not None and not (job.state.version == gone.version and job.state.over):
                pending[id] = gone
    api.known.owners, api.known.pending, api.known.looked = owners, pending, looked
    signature = ({type: tuple(some) for type, some in found.items()}, waiting)
    if signature != api.known.signature:
        api.known.signature = signature
        api.setting = replace(api.setting, extra=signature[0], waiting=waiting)


def check_unclaimed(api: Api, resource: Mapping[str, Any], id: str) -> None:
    """Raises Unprocessable for a code that another stored SearchParameter has given to one of the types."""
    if resource["resourceType"] == "SearchParameter" and custom.active(resource):
        for type in resource["base"]:
            owner = api.known.owners.get((type, resource["code"]))
            if owner not in (None, id):
                raise Unprocessable(
                    f"{type} has the search parameter '{resource['code']}' already: SearchParameter/{owner}",
                    "SearchParameter.code",
                    code="duplicate",
                )


def defined(version: Version) -> dict[str, Parameter]:
    """Type -> parameter of a stored SearchParameter; nothing when it is deleted, not active, or not one we take."""
    resource = orjson.loads(version.body) if version.body else {}
    if not custom.active(resource):
        return {}
    try:
        return custom.read(resource)
    except Unprocessable:  # it was stored before such were checked
        return {}


async def _stored(api: Api) -> dict[str, tuple[Version, dict[str, Parameter]]]:
    found: dict[str, tuple[Version, dict[str, Parameter]]] = {}
    select: Select | None = Select("SearchParameter", All(), limit=200)
    while select is not None:
        page = await api.store.select(select)
        for version in page.versions:
            found[version.id] = version, defined(version)
        select = replace(select, after=page.next) if page.next is not None else None
    return found
