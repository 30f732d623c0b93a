"""An access filter holds for operations too: what a caller may not see is not told, changed or removed by them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from server.interaction.api import Api
from server.interaction.context import EVERYTHING, Access
from server.keys import Ids, Not, Test
from server.operations.registry import OPERATIONS
from server.rest.app import App
from server.rest.request import Request
from server.rest.routes import Service
from server.search.kinds.kind import Setting
from server.store.opening import open_store
from tests import servers
from tests.client import Fhir, Resource, done, refused


class HidesOne:
    """Whatever has the id `hidden`."""

    def filter(self, type: str) -> Test | None:
        return Not(Ids(("hidden",)))


def grant(request: Request) -> Access:
    return HidesOne() if request.header("x-caller") == "some" else EVERYTHING


@pytest.fixture
async def callers(store_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[tuple[Fhir, Fhir]]:
    """(one who sees everything, one who must not notice what is `hidden`)."""
    url = f"sqlite://{tmp_path}/store"
    if store_kind == "mongodb":
        url = servers.database(request.getfixturevalue("mongodb"), f"access_{uuid4().hex}")

    @asynccontextmanager
    async def opening() -> AsyncIterator[Service]:
        store = await open_store(url)
        setting = Setting(ZoneInfo("Asia/Shanghai"), servers.BASE)
        yield Service(
            Api(store, setting, operations=OPERATIONS, expunge=True), "test", 2**20, servers.BASE, grant=grant
        )
        await store.close()

    async with servers.in_process(App(opening)) as http:
        all_ = Fhir(http, servers.BASE)
        await all_.store(basic("hidden", "h"), basic("open", "o"))
        yield all_, Fhir(http, servers.BASE, {"x-caller": "some"})


def basic(id: str, tag: str, **more: Any) -> Resource:
    meta = {"tag": [{"system": "http://example.org/tags", "code": tag}]}
    return {"resourceType": "Basic", "id": id, "meta": meta, "code": {"text": "x"}, **more}


def parameters(**given: Any) -> Resource:
    return {"resourceType": "Parameters", "parameter": [{"name": name, **value} for name, value in given.items()]}


def removing(versions: int, scope: str = "everything") -> Resource:
    return parameters(
        scope={"valueCode": scope}, versions={"valueUnsignedInt": versions}, reason={"valueString": "because"}
    )


def tags(answer: Resource) -> list[str]:
    return [tag["code"] for tag in answer["parameter"][0]["valueMeta"]["tag"]]


async def test_meta_tells_only_of_what_may_be_seen(callers: tuple[Fhir, Fhir]) -> None:
    all_, some = callers
    assert tags(done(await all_.get("Basic/$meta"))) == ["h", "o"]
    assert tags(done(await some.get("Basic/$meta"))) == tags(done(await some.get("$meta"))) == ["o"]
    refused(await some.get("Basic/hidden/$meta"), 404)


async def test_hidden_resources_are_not_changed_or_judged(callers: tuple[Fhir, Fhir]) -> None:
    all_, some = callers
    given = parameters(meta={"valueMeta": {"tag": [{"code": "new"}]}})
    for code in ("meta-add", "meta-delete"):
        refused(await some.post(f"Basic/hidden/${code}", given), 403)
    refused(await some.get("Basic/hidden/$validate"), 404)
    refused(await some.get("Basic/hidden/$validate?mode=delete"), 404)
    update = parameters(mode={"valueCode": "update"}, resource={"resource": basic("hidden", "mine")})
    assert done(await some.post("Basic/hidden/$validate", update))["issue"][0]["code"] == "forbidden"
    assert tags(done(await all_.get("Basic/hidden/$meta"))) == ["h"]


async def test_hidden_resources_are_not_expunged(callers: tuple[Fhir, Fhir]) -> None:
    all_, some = callers
    refused(await some.post("Basic/hidden/$expunge", removing(1)), 403)
    done(await all_.get("Basic/hidden"))
    await all_.delete("Basic/hidden")
    await all_.delete("Basic/open")
    done(await some.post("Basic/$expunge", removing(1)))
    done(await all_.get("Basic/hidden/_history/1"))
    refused(await all_.get("Basic/open/_history/1"), 404)


async def test_a_reference_from_what_is_hidden_holds_a_resource_and_is_not_named(callers: tuple[Fhir, Fhir]) -> None:
    all_, some = callers
    await all_.store({"resourceType": "Patient", "id": "p"}, basic("hidden", "h", subject={"reference": "Patient/p"}))
    issue = refused(await some.post("Patient/p/$expunge", removing(1)), 422)
    assert "hidden" not in issue["diagnostics"]
    assert "Basic/hidden" in refused(await all_.post("Patient/p/$expunge", removing(1)), 422)["diagnostics"]
