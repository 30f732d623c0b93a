"""An access filter that hides one patient, and all that refers to them, holds on every way to the data alike.

Two callers use one app: `all_` sees everything, `some` must not notice that the patient `hidden` exists.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from server.interaction.api import Api
from server.interaction.context import EVERYTHING, Access
from server.keys import All, Ids, Link, Not, Test
from server.model import tables
from server.operations.registry import OPERATIONS
from server.rest.app import App
from server.rest.request import Request
from server.rest.routes import Service
from server.search.kinds.kind import Setting
from server.store.opening import open_store
from tests import servers
from tests.client import Fhir, Resource, bundle, done, entry, included, links, matches, post, put, refused, statuses


class HidesOnePatient:
    """Everything in this patient's compartment is hidden (https://hl7.org/fhir/R4/compartmentdefinition-patient.html)."""

    def filter(self, type: str) -> Test | None:
        codes = tables.compartment("Patient").get(type, ())
        if type == "Patient":
            return Not(Ids(("hidden",)))
        return All(tuple(Not(Link(f"{type}.{code}", "Patient/hidden")) for code in codes)) if codes else None


def grant(request: Request) -> Access:
    return HidesOnePatient() if request.header("x-caller") == "some" else EVERYTHING


Callers = tuple[Fhir, Fhir]


@pytest.fixture
async def callers(store_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Callers]:
    """(all_, some) on an empty store that then holds DATA."""
    url = f"sqlite://{tmp_path}/store"
    if store_kind == "mongodb":
        url = servers.database(request.getfixturevalue("mongodb"), f"access_{uuid4().hex}")

    @asynccontextmanager
    async def opening() -> AsyncIterator[Service]:
        store = await open_store(url)
        api = Api(store, Setting(ZoneInfo("Asia/Shanghai"), servers.BASE), operations=OPERATIONS)
        yield Service(api, "test", 2**20, servers.BASE, grant=grant)
        await store.close()

    async with servers.in_process(App(opening)) as http:
        all_ = Fhir(http, servers.BASE)
        await all_.store(*DATA)
        yield all_, Fhir(http, servers.BASE, {"x-caller": "some"})


def patient(id: str, **more: object) -> Resource:
    return {"resourceType": "Patient", "id": id, "identifier": [{"value": id}, {"value": "both"}], **more}


def observation(id: str, subject: str, *performers: str) -> Resource:
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": f"Patient/{subject}"},
        **({"performer": [{"reference": one} for one in performers]} if performers else {}),
    }


DATA = [
    patient("hidden"),
    patient("seen"),
    *(observation(f"h{n}", "hidden") for n in range(7)),
    *(observation(f"s{n}", "seen") for n in range(3)),
    observation("mixed", "seen", "Patient/hidden"),  # refers to both: hidden
    {"resourceType": "Organization", "id": "o", "name": "x"},
    {"resourceType": "Group", "id": "g", "type": "person", "actual": True,
     "member": [{"entity": {"reference": "Patient/hidden"}}, {"entity": {"reference": "Patient/seen"}}]},
    {"resourceType": "Basic", "id": "b", "code": {"text": "x"}, "subject": {"reference": "Patient/hidden"}},
    {"resourceType": "Library", "id": "l", "status": "active", "type": {"text": "x"},
     "subjectReference": {"reference": "Patient/hidden"}},
]  # fmt: skip
HIDDEN = ["Patient/hidden", *(f"Observation/h{n}" for n in range(7)), "Observation/mixed", "Group/g", "Basic/b"]
SEEN = ["Patient/seen", *(f"Observation/s{n}" for n in range(3)), "Organization/o"]


def addresses(page: Resource) -> list[str]:
    return [e["fullUrl"].removeprefix(f"{servers.BASE}/") for e in page.get("entry", ())]


async def test_reads_versions_and_histories_do_not_know_it(callers: Callers) -> None:
    all_, some = callers
    for address in HIDDEN:
        done(await all_.get(address))
        unknown = f"{address.split('/')[0]}/nobody"
        for path in ("", "/_history/1", "/_history", "/_history/9"):
            hidden = await some.get(address + path)
            never = await some.get(unknown + path)
            assert refused(hidden, 404)["code"] == refused(never, 404)["code"] == "not-found"
            same = hidden.text.replace(address, unknown)
            assert same == never.text, "the answers must not tell the two apart"
    for address in SEEN:
        done(await some.get(address))
        done(await some.get(f"{address}/_history/1"))
        assert done(await some.get(f"{address}/_history"))["total"] == 1


async def test_searches_and_counts_leave_it_out(callers: Callers) -> None:
    all_, some = callers
    rows = [
        ("Patient", 2, ["seen"]),
        ("Patient?_id=hidden", 1, []),
        ("Patient?identifier=both", 2, ["seen"]),
        ("Patient?identifier:not=seen", 1, []),
        ("Patient?_sort=_id", 2, ["seen"]),
        ("Observation", 11, ["s0", "s1", "s2"]),
        ("Observation?subject=Patient/hidden", 7, []),
        ("Observation?subject:missing=false", 11, ["s0", "s1", "s2"]),
        ("Observation?performer=Patient/hidden", 1, []),
        ("Observation?subject=Patient/seen", 4, ["s0", "s1", "s2"]),
        ("Group", 1, []),
        ("Basic", 1, []),
        ("Organization", 1, ["o"]),
    ]
    for query, whole, expected in rows:
        assert len(await all_.ids(query)) == whole, query
        page = done(await some.get(query))
        assert sorted(resource["id"] for resource in matches(page)) == expected, query
        assert page["total"] == len(expected), query
        joined = f"{query}{'&' if '?' in query else '?'}"
        assert done(await some.get(f"{joined}_summary=count"))["total"] == len(expected), query
        assert done(await some.get(f"{joined}_count=1&_total=accurate"))["total"] == len(expected), query


@pytest.mark.parametrize("sort", ["", "&_sort=_id", "&_sort=-_lastUpdated"])
async def test_pages_are_full_and_end_as_if_it_were_not_there(callers: Callers, sort: str) -> None:
    _, some = callers
    pages = await some.pages(f"Observation?_count=2{sort}")
    assert [len(matches(page)) for page in pages] == [2, 1]
    assert sorted(r["id"] for page in pages for r in matches(page)) == ["s0", "s1", "s2"]


async def test_a_page_link_of_another_caller_shows_no_more(callers: Callers) -> None:
    all_, some = callers
    first = done(await all_.get("Observation?_count=2&_sort=_id"))
    rest = await some.pages(links(first)["next"])
    assert sorted(r["id"] for page in rest for r in matches(page)) == ["s0", "s1", "s2"]


async def test_include_does_not_bring_it_in(callers: Callers) -> None:
    all_, some = callers
    await all_.store(
        {"resourceType": "Provenance", "id": "p", "recorded": "2024-01-01T00:00:00Z",
         "target": [{"reference": "Organization/o"}], "agent": [{"who": {"reference": "Organization/o"}}],
         "entity": [{"role": "source", "what": {"reference": "Patient/hidden"}},
                    {"role": "source", "what": {"reference": "Observation/h1"}},
                    {"role": "source", "what": {"reference": "Patient/seen"}}]},
    )  # fmt: skip
    query = "Provenance?_id=p&_include=Provenance:entity"
    assert sorted(included(done(await all_.get(query)))) == ["Observation/h1", "Patient/hidden", "Patient/seen"]
    assert included(done(await some.get(query))) == ["Patient/seen"]


async def test_whole_records_leave_it_out(callers: Callers) -> None:
    all_, some = callers
    await all_.store(
        {"resourceType": "Group", "id": "both", "type": "person", "actual": True,
         "member": [{"entity": {"reference": "Patient/seen"}}, {"entity": {"reference": "Organization/o"}}]},
        {**patient("seen", managingOrganization={"reference": "Organization/o"}),
         "link": [{"other": {"reference": "Patient/hidden"}, "type": "seealso"}]},
    )  # fmt: skip
    own = ["Group/both", "Observation/s0", "Observation/s1", "Observation/s2", "Organization/o", "Patient/seen"]
    for place in ("Patient/seen", "Patient"):
        for count in ("", "?_count=2"):
            refs = [one for page in await some.pages(f"{place}/$everything{count}") for one in addresses(page)]
            assert sorted(refs) == own
    refused(await some.get("Patient/hidden/$everything"), 404)
    refused(await some.get("Group/g/$everything"), 404)


async def test_a_document_needs_what_the_caller_may_see(callers: Callers) -> None:
    all_, some = callers
    composition = {
        "resourceType": "Composition", "id": "c", "status": "final", "type": {"text": "x"}, "date": "2024",
        "title": "x", "author": [{"reference": "Organization/o"}],
        "section": [{"title": "x", "entry": [{"reference": "Observation/h1"}]}],
    }  # fmt: skip
    await all_.store(composition)
    done(await all_.get("Composition/c/$document"))
    assert refused(await some.get("Composition/c/$document"), 422)["expression"] == ["Composition.section[0].entry[0]"]


async def test_type_and_system_histories_leave_it_out(callers: Callers) -> None:
    all_, some = callers
    await all_.store(patient("hidden", gender="male"), patient("seen", gender="male"))
    await all_.delete("Observation/h0")
    assert addresses(done(await some.get("Patient/_history"))) == ["Patient/seen"] * 2
    for count in (1, 3, 100):
        pages = await some.pages(f"_history?_count={count}")
        shown = [address for page in pages for address in addresses(page)]
        assert not set(shown) & set(HIDDEN)
        assert set(SEEN) <= set(shown)
        assert all(len(page["entry"]) == count for page in pages[:-1])


async def test_histories_at_a_time_leave_it_out_and_show_no_older_version_for_it(callers: Callers) -> None:
    all_, some = callers
    await all_.store(observation("moved", "seen"))
    await all_.store(observation("moved", "hidden"))
    for path in ("_history?_at=2038-01-01&_count=2", "_history?_at=2038-01-01", "Observation/_history?_at=2038-01-01"):
        shown = {address for page in await some.pages(path) for address in addresses(page)}
        assert not shown & {*HIDDEN, "Observation/moved"}
        assert {address for address in SEEN if path.startswith(address.partition("/")[0])} <= shown
        everything = {address for page in await all_.pages(path) for address in addresses(page)}
        assert "Observation/moved" in everything


async def test_what_was_deleted_stays_hidden(callers: Callers) -> None:
    all_, some = callers
    for address in ("Observation/h0", "Patient/hidden", "Observation/s0"):
        await all_.delete(address)
    refused(await all_.get("Observation/h0"), 410)
    for address in ("Observation/h0", "Patient/hidden"):
        for path in ("", "/_history/2", "/_history"):
            refused(await some.get(address + path), 404)
    refused(await some.get("Observation/s0"), 410)


async def test_each_version_is_as_visible_as_it_says(callers: Callers) -> None:
    all_, some = callers
    for subject in ("seen", "hidden", "seen"):
        await all_.store(observation("moved", subject))
    done(await some.get("Observation/moved"))
    done(await some.get("Observation/moved/_history/1"))
    refused(await some.get("Observation/moved/_history/2"), 404)
    past = done(await some.get("Observation/moved/_history"))
    assert [e["resource"]["meta"]["versionId"] for e in past["entry"]] == ["3", "1"]
    assert past["total"] == 2
    await all_.store(observation("moved", "hidden"))
    refused(await some.get("Observation/moved"), 404)
    done(await some.get("Observation/moved/_history/3"))


async def test_writes_over_it_are_refused_and_change_nothing(callers: Callers) -> None:
    all_, some = callers
    before = done(await all_.get("_history?_count=100"))["total"]
    for answer in (
        await some.put("Patient/hidden", patient("hidden", gender="male")),
        await some.put("Observation/h1", observation("h1", "seen")),
        await some.delete("Patient/hidden"),
        await some.delete("Observation/mixed"),
        await some.put("Patient/hidden", patient("hidden"), if_match='W/"1"'),
        await some.delete("Patient/hidden", if_match='W/"7"'),
    ):
        assert refused(answer, 403)["code"] == "forbidden"
    done(await all_.get("Patient/hidden"))
    assert done(await all_.get("_history?_count=100"))["total"] == before


async def test_a_transaction_that_touches_it_stores_nothing_and_a_batch_goes_on(callers: Callers) -> None:
    all_, some = callers
    entries = [put(patient("new")), put(observation("h1", "seen")), entry("GET", "Patient/hidden")]
    issue = refused(await some.post("", bundle("transaction", *entries)), 403)
    assert issue["expression"] == ["Bundle.entry[1]"]
    refused(await all_.get("Patient/new"), 404)
    answer = done(await some.post("", bundle("batch", *entries, entry("GET", "Patient?identifier=hidden"))))
    assert statuses(answer) == ["201", "403", "404", "200"]
    assert answer["entry"][3]["resource"]["total"] == 0
    assert done(await all_.get("Observation/h1"))["subject"] == {"reference": "Patient/hidden"}


async def test_conditions_do_not_see_it(callers: Callers) -> None:
    all_, some = callers
    body = {"resourceType": "Patient", "identifier": [{"value": "both"}]}
    refused(await all_.post("Patient", body, if_none_exist="identifier=both"), 412)
    kept = await some.post("Patient", body, if_none_exist="identifier=both")
    assert done(kept, 200)["id"] == "seen"
    updated = done(await some.put("Patient?identifier=both", {**body, "active": True}), 200)
    assert updated["id"] == "seen"
    whole = bundle("transaction", post(body, ifNoneExist="identifier=both"))
    assert done(await some.post("", whole))["entry"][0]["response"]["location"].startswith("Patient/seen/")


async def test_the_filter_costs_the_other_caller_nothing(callers: Callers) -> None:
    all_, _ = callers
    for address in [*HIDDEN, *SEEN]:
        done(await all_.get(address))
    assert done(await all_.get("_history?_count=100"))["total"] == len(DATA)


async def test_criteria_that_only_a_hidden_resource_meets_make_no_second_one(callers: Callers) -> None:
    all_, some = callers
    done(await all_.delete("Patient/hidden"), 204)
    done(await all_.put("Patient?identifier=once", {**patient("hidden"), "identifier": [{"value": "once"}]}), 201)
    body = {"resourceType": "Patient", "identifier": [{"value": "once"}]}
    refused(await some.post("Patient", body, if_none_exist="identifier=once"), 403)
    refused(await some.put("Patient?identifier=once", body), 403)
    refused(await some.post("", bundle("transaction", post(body, ifNoneExist="identifier=once"))), 403)
    assert await all_.ids("Patient?identifier=once") == ["hidden"]


CHAINED = [
    # query, what all_ sees, what some sees
    ("Provenance?entity:Patient.identifier=both", ["p"], ["p"]),
    ("Provenance?entity:Patient.identifier=hidden", ["p"], []),
    ("Provenance?entity:Patient._id=hidden", ["p"], []),
    ("Provenance?entity:Patient.identifier:not=seen", ["p"], []),
    ("Provenance?entity:Patient.link.identifier=hidden", ["p"], []),
    ("Provenance?entity:Observation.subject:Patient.identifier=hidden", ["p"], []),
    ("Provenance?entity:Patient._has:Observation:patient:status=final", ["p"], ["p"]),
    ("Provenance?entity:Patient.identifier=seen&entity:Patient._has:Observation:performer:status=final", ["p"], []),
    ("Organization?_has:Patient:organization:identifier=hidden", ["o"], []),
    ("Organization?_has:Patient:organization:identifier=both", ["o"], []),
    ("Organization?_has:Patient:organization:_has:Observation:patient:status=final", ["o"], []),
    ("Organization?_has:Provenance:target:entity:Patient.identifier=hidden", ["o"], []),
    ("Patient?_has:Observation:patient:performer.identifier=hidden", ["seen"], []),
    ("Patient?_has:Group:member:actual=true", ["hidden", "seen"], []),
    ("Patient?_list=li", ["hidden", "seen"], ["seen"]),
]


async def test_chains_do_not_tell_of_it(callers: Callers) -> None:
    all_, some = callers
    await all_.store(
        patient("hidden", managingOrganization={"reference": "Organization/o"}),
        patient("seen", link=[{"other": {"reference": "Patient/hidden"}, "type": "seealso"}]),
        {"resourceType": "Provenance", "id": "p", "recorded": "2024-01-01T00:00:00Z",
         "target": [{"reference": "Organization/o"}], "agent": [{"who": {"reference": "Organization/o"}}],
         "entity": [{"role": "source", "what": {"reference": "Patient/hidden"}},
                    {"role": "source", "what": {"reference": "Observation/h1"}},
                    {"role": "source", "what": {"reference": "Patient/seen"}}]},
        {"resourceType": "List", "id": "li", "status": "current", "mode": "working", "entry": [
            {"item": {"reference": "Patient/hidden"}}, {"item": {"reference": "Patient/seen"}}]},
    )  # fmt: skip
    for query, whole, seen in CHAINED:
        assert sorted(await all_.ids(query)) == whole, query
        assert sorted(await some.ids(query)) == seen, query
        joined = f"{query}&_summary=count"
        assert (done(await all_.get(joined))["total"], done(await some.get(joined))["total"]) == (len(whole), len(seen))


async def test_reverse_inclusions_leave_it_out(callers: Callers) -> None:
    all_, some = callers
    for words in ("_revinclude=Observation:patient", "_revinclude=*", "_revinclude:iterate=*&_include:iterate=*"):
        query = f"Patient?_id=seen&{words}"
        assert "Observation/mixed" in included(done(await all_.get(query)))
        assert sorted(included(done(await some.get(query)))) == ["Observation/s0", "Observation/s1", "Observation/s2"]
