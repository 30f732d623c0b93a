"""patch by FHIRPath Patch: a Parameters resource (https://hl7.org/fhir/R4/fhirpatch.html)."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import servers
from tests.client import Fhir, Resource, bundle, done, entry, post, put, refused, statuses, version_of

XML = "application/fhir+xml"


def operation(type: str, path: str, value: Resource | None = None, **more: object) -> Resource:
    """`value`: the members of the part `value`; further words are parts: a text or a whole number."""
    parts: list[Resource] = [{"name": "type", "valueCode": type}, {"name": "path", "valueString": path}]
    for name, word in more.items():
        parts.append({"name": name, ("valueString" if isinstance(word, str) else "valueInteger"): word})
    if value is not None:
        parts.append({"name": "value", **value})
    return {"name": "operation", "part": parts}


def part(name: str, **more: Any) -> Resource:
    return {"name": name, **more}


def parameters(*operations: Resource) -> Resource:
    return {"resourceType": "Parameters", **({"parameter": list(operations)} if operations else {})}


async def patch(fhir: Fhir, path: str, *operations: Resource, **headers: str) -> httpx.Response:
    return await fhir.send("PATCH", path, parameters(*operations), **headers)


IDENTIFIERS = [{"system": "urn:x", "value": value} for value in "abcd"]
NAME = {"use": "official", "family": "李", "given": ["秀", "英"]}
BORN = {"birthDate": "1949-12-31", "_birthDate": {"extension": [{"url": "urn:t", "valueTime": "08:00:00"}]}}
BORN_PARTS = [part("url", valueUri="urn:t"), part("value", valueTime="08:00:00")]
URL = "urn:e"


def patient(id: str, **more: object) -> Resource:
    return {"resourceType": "Patient", "id": id, **more}


# name -> (the patient but for type and id, operations, the patient afterwards)
APPLIED: dict[str, tuple[Resource, list[Resource], Resource]] = {
    "add a primitive": (
        {},
        [operation("add", "Patient", {"valueDate": "1930-01-01"}, name="birthDate")],
        {"birthDate": "1930-01-01"},
    ),
    "add a datatype": (
        {},
        [operation("add", "Patient", {"valueCodeableConcept": {"text": "m"}}, name="maritalStatus")],
        {"maritalStatus": {"text": "m"}},
    ),
    "add to a list": (
        {"name": [NAME]},
        [operation("add", "Patient.name", {"valueString": "x"}, name="given")],
        {"name": [{**NAME, "given": ["秀", "英", "x"]}]},
    ),
    "add the first of a list": (
        {},
        [operation("add", "Patient", {"valueHumanName": NAME}, name="name")],
        {"name": [NAME]},
    ),
    "add by a path without the type": (
        {"name": [NAME]},
        [operation("add", "name[0]", {"valueString": "t"}, name="text")],
        {"name": [{**NAME, "text": "t"}]},
    ),
    "add a backbone element": (
        {},
        [
            operation(
                "add",
                "Patient",
                {
                    "part": [
                        part("name", valueHumanName={"text": "c"}),
                        part("gender", valueCode="male"),
                        part("telecom", valueContactPoint={"value": "1"}),
                        part("telecom", valueContactPoint={"value": "2"}),
                    ]
                },
                name="contact",
            )
        ],
        {"contact": [{"name": {"text": "c"}, "gender": "male", "telecom": [{"value": "1"}, {"value": "2"}]}]},
    ),
    "add parts in parts": (
        {},
        [
            operation(
                "add",
                "Patient",
                {"part": [part("url", valueUri=URL), part("value", valueDecimal=1.5)]},
                name="extension",
            ),
            operation(
                "add",
                "Patient.extension",
                {"part": [part("url", valueUri="urn:n"), part("value[x]", valueCode="c")]},
                name="extension",
            ),
        ],
        {"extension": [{"url": URL, "valueDecimal": 1.5, "extension": [{"url": "urn:n", "valueCode": "c"}]}]},
    ),
    "add a choice": (
        {},
        [operation("add", "Patient", {"valueBoolean": False}, name="deceased")],
        {"deceasedBoolean": False},
    ),
    "add a choice by its name in definitions": (
        {},
        [operation("add", "Patient", {"valueInteger": 2}, name="multipleBirth[x]")],
        {"multipleBirthInteger": 2},
    ),
    "add an extension to a primitive": (
        {"birthDate": "1949-12-31"},
        [operation("add", "Patient.birthDate", {"part": BORN_PARTS}, name="extension")],
        BORN,
    ),
    "add a primitive with an extension": (
        {},
        [operation("add", "Patient", {"valueDate": "1949-12-31", "_valueDate": BORN["_birthDate"]}, name="birthDate")],
        BORN,
    ),
    "add an extension to the second of a list": (
        {"name": [NAME]},
        [operation("add", "Patient.name.given[1]", {"part": BORN_PARTS}, name="extension")],
        {"name": [{**NAME, "_given": [None, BORN["_birthDate"]]}]},
    ),
    "add a resource": (
        {},
        [
            operation(
                "add",
                "Patient",
                {"resource": {"resourceType": "Basic", "id": "b", "code": {"text": "x"}}},
                name="contained",
            )
        ],
        {"contained": [{"resourceType": "Basic", "id": "b", "code": {"text": "x"}}]},
    ),
    "add, then change what was added": (
        {},
        [
            operation("add", "Patient", {"part": [part("gender", valueCode="male")]}, name="contact"),
            operation("add", "Patient.contact[0]", {"valueHumanName": {"text": "n"}}, name="name"),
            operation("add", "Patient.contact[0].name", {"valueString": "f"}, name="family"),
        ],
        {"contact": [{"gender": "male", "name": {"text": "n", "family": "f"}}]},
    ),
    "insert first": (
        {"identifier": IDENTIFIERS[:2]},
        [operation("insert", "Patient.identifier", {"valueIdentifier": IDENTIFIERS[2]}, index=0)],
        {"identifier": [IDENTIFIERS[2], *IDENTIFIERS[:2]]},
    ),
    "insert between": (
        {"identifier": IDENTIFIERS[:2]},
        [operation("insert", "Patient.identifier", {"valueIdentifier": IDENTIFIERS[2]}, index=1)],
        {"identifier": [IDENTIFIERS[0], IDENTIFIERS[2], IDENTIFIERS[1]]},
    ),
    "insert last": (
        {"identifier": IDENTIFIERS[:2]},
        [operation("insert", "Patient.identifier", {"valueIdentifier": IDENTIFIERS[2]}, index=2)],
        {"identifier": IDENTIFIERS[:3]},
    ),
    "insert in a list that is empty": (
        {},
        [operation("insert", "Patient.name", {"valueHumanName": NAME}, index=0)],
        {"name": [NAME]},
    ),
    "insert beside extensions": (
        {"name": [{"given": ["a", "b"], "_given": [None, BORN["_birthDate"]]}]},
        [operation("insert", "Patient.name.given", {"valueString": "x"}, index=1)],
        {"name": [{"given": ["a", "x", "b"], "_given": [None, None, BORN["_birthDate"]]}]},
    ),
    "delete a primitive": ({"gender": "male", **BORN}, [operation("delete", "Patient.birthDate")], {"gender": "male"}),
    "delete nothing": (
        {"gender": "male"},
        [operation("delete", "Patient.birthDate"), operation("delete", "Patient.contact[3].name.family")],
        {"gender": "male"},
    ),
    "delete from a list": (
        {"identifier": IDENTIFIERS},
        [operation("delete", "Patient.identifier[1]")],
        {"identifier": [IDENTIFIERS[0], *IDENTIFIERS[2:]]},
    ),
    "delete the last of a list": ({"identifier": IDENTIFIERS[:1]}, [operation("delete", "Patient.identifier")], {}),
    "delete the last child of an element": (
        {"contact": [{"name": {"text": "a"}, "gender": "male"}]},
        [operation("delete", "Patient.contact[0].name.text")],
        {"contact": [{"gender": "male"}]},
    ),
    "delete the last child of an item": (
        {"contact": [{"name": {"text": "a"}}, {"gender": "male"}]},
        [operation("delete", "Patient.contact[0].name.text")],
        {"contact": [{"gender": "male"}]},
    ),
    "delete the extension of a primitive": (
        BORN,
        [operation("delete", "Patient.birthDate.extension('urn:t')")],
        {"birthDate": "1949-12-31"},
    ),
    "delete beside extensions": (
        {"name": [{"given": ["a", "b"], "_given": [None, BORN["_birthDate"]]}]},
        [operation("delete", "Patient.name.given[0]")],
        {"name": [{"given": ["b"], "_given": [BORN["_birthDate"]]}]},
    ),
    "delete a choice": ({"deceasedBoolean": True}, [operation("delete", "Patient.deceased")], {}),
    "replace a primitive": (
        {"birthDate": "1920-01-01"},
        [operation("replace", "Patient.birthDate", {"valueDate": "1930"})],
        {"birthDate": "1930"},
    ),
    "replace a primitive and its extension": (
        BORN,
        [operation("replace", "Patient.birthDate", {"valueDate": "1930"})],
        {"birthDate": "1930"},
    ),
    "replace a code by a string": (
        {"gender": "male"},
        [operation("replace", "Patient.gender", {"valueString": "other"})],
        {"gender": "other"},
    ),
    "replace a datatype": (
        {"maritalStatus": {"id": "1", "text": "m"}},
        [operation("replace", "Patient.maritalStatus", {"valueCodeableConcept": {"id": "2", "text": "n"}})],
        {"maritalStatus": {"id": "2", "text": "n"}},
    ),
    "replace a choice by another type": (
        {"deceasedBoolean": True, "gender": "male"},
        [operation("replace", "Patient.deceased", {"valueDateTime": "2020"})],
        {"deceasedDateTime": "2020", "gender": "male"},
    ),
    "replace an item": (
        {"identifier": IDENTIFIERS[:3]},
        [operation("replace", "Patient.identifier[1].value", {"valueString": "y"})],
        {"identifier": [IDENTIFIERS[0], {"system": "urn:x", "value": "y"}, IDENTIFIERS[2]]},
    ),
    "replace the narrative": (
        {"text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">a</div>'}},
        [
            operation(
                "replace", "Patient.text.div", {"valueString": '<div xmlns="http://www.w3.org/1999/xhtml">b</div>'}
            )
        ],
        {"text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">b</div>'}},
    ),
    "replace in a contained resource": (
        {"contained": [{"resourceType": "Basic", "id": "b", "code": {"text": "x"}}]},
        [operation("replace", "Patient.contained[0].code.text", {"valueString": "y"})],
        {"contained": [{"resourceType": "Basic", "id": "b", "code": {"text": "y"}}]},
    ),
    "move to the front": (
        {"identifier": IDENTIFIERS},
        [operation("move", "Patient.identifier", source=3, destination=0)],
        {"identifier": [IDENTIFIERS[3], *IDENTIFIERS[:3]]},
    ),
    "move to the end": (
        {"identifier": IDENTIFIERS},
        [operation("move", "Patient.identifier", source=0, destination=3)],
        {"identifier": [*IDENTIFIERS[1:], IDENTIFIERS[0]]},
    ),
    "move extensions along": (
        {"name": [{"given": ["a", "b"], "_given": [None, BORN["_birthDate"]]}]},
        [operation("move", "Patient.name.given", source=1, destination=0)],
        {"name": [{"given": ["b", "a"], "_given": [BORN["_birthDate"], None]}]},
    ),
    "several in their order": (
        {"gender": "male", "identifier": IDENTIFIERS[:2]},
        [
            operation("delete", "Patient.gender"),
            operation("add", "Patient", {"valueCode": "female"}, name="gender"),
            operation("delete", "Patient.identifier[0]"),
            operation("delete", "Patient.identifier[0]"),
        ],
        {"gender": "female"},
    ),
}


@pytest.mark.parametrize("what", APPLIED)
async def test_operations_are_applied_in_their_order(fhir: Fhir, mark: str, what: str) -> None:
    before, operations, after = APPLIED[what]
    done(await fhir.put(f"Patient/{mark}", patient(mark, **before)), 201)
    body = done(await patch(fhir, f"Patient/{mark}", *operations), 200)
    assert {name: value for name, value in body.items() if name != "meta"} == patient(mark, **after)
    assert done(await fhir.get(f"Patient/{mark}")) == body


PEOPLE = {
    "name": [NAME, {"use": "nickname", "given": ["小英"]}, {"use": "old", "family": "王"}],
    "telecom": [{"system": "phone", "value": "1", "rank": 1}, {"system": "email", "value": "2", "rank": 2}],
    "extension": [{"url": URL, "valueString": "e"}, {"url": "urn:f", "valueQuantity": {"value": 1.00, "unit": "kg"}}],
    "active": True,
}
# a path -> where it leads to, as keys and indexes in PEOPLE
LOCATED: dict[str, list[str | int]] = {
    "Patient.name[1].given": ["name", 1, "given", 0],
    "Patient.name.first().family": ["name", 0, "family"],
    "Patient.name.last().family": ["name", 2, "family"],
    "name.where(use = 'old').family": ["name", 2, "family"],
    "Patient.name.where(use='old' or use='none').family": ["name", 2, "family"],
    "Patient.name.where(use != 'official' and family.exists()).family": ["name", 2, "family"],
    "Patient.name.where(family.exists() and (use = 'old' or use = 'usual')).family": ["name", 2, "family"],
    "Patient.name.where((use) = 'old').family": ["name", 2, "family"],
    "Patient.name.given.where($this = '英')": ["name", 0, "given", 1],
    "Patient . name [ 0 ] . `family`": ["name", 0, "family"],
    "Patient.telecom.where(rank = 2).value": ["telecom", 1, "value"],
    "Patient.telecom.where(rank = 2.0).value": ["telecom", 1, "value"],
    "Patient.where(active = true).telecom[0].value": ["telecom", 0, "value"],
    "Patient.extension('urn:e').value": ["extension", 0, "valueString"],
    "Patient.extension('urn:f').value.ofType(Quantity).unit": ["extension", 1, "valueQuantity", "unit"],
    "(Patient.extension('urn:f').value as Quantity).unit": ["extension", 1, "valueQuantity", "unit"],
    "Patient.extension.where(url = 'urn:f').value.as(Quantity).unit": ["extension", 1, "valueQuantity", "unit"],
    "Patient.extension.value.ofType(string)": ["extension", 0, "valueString"],
    "Patient.extension.where(value.ofType(Quantity).exists()).value.unit": ["extension", 1, "valueQuantity", "unit"],
    "Patient.extension.where(value.unit = 'kg').value.unit": ["extension", 1, "valueQuantity", "unit"],
    "DomainResource.telecom[0].value": ["telecom", 0, "value"],
}


@pytest.mark.parametrize("path", LOCATED)
async def test_paths_lead_to_the_element(fhir: Fhir, mark: str, path: str) -> None:
    done(await fhir.put(f"Patient/{mark}", patient(mark, **PEOPLE)), 201)
    body = done(await patch(fhir, f"Patient/{mark}", operation("replace", path, {"valueString": "changed"})), 200)
    wanted: Any = json.loads(json.dumps(patient(mark, **PEOPLE)))
    place: Any = wanted
    *way, last = LOCATED[path]
    for step in way:
        place = place[step]
    place[last] = "changed"
    assert {name: value for name, value in body.items() if name != "meta"} == wanted


NOBODY = {"valueString": "x"}
UNPROCESSABLE: dict[str, Resource] = {
    "replace of nothing": operation("replace", "Patient.birthDate", {"valueDate": "1930"}),
    "replace of several": operation("replace", "Patient.name", {"valueHumanName": NAME}),
    "replace past the end": operation("replace", "Patient.name[3]", {"valueHumanName": NAME}),
    "delete of several": operation("delete", "Patient.name"),
    "delete of the resource": operation("delete", "Patient"),
    "replace of the resource": operation("replace", "Patient", {"resource": {"resourceType": "Patient"}}),
    "add of what is there": operation("add", "Patient", {"valueBoolean": False}, name="active"),
    "add of a choice that is there": operation("add", "Patient.extension[0]", {"valueCode": "c"}, name="value"),
    "add to nothing": operation("add", "Patient.maritalStatus", NOBODY, name="text"),
    "add to several": operation("add", "Patient.name", NOBODY, name="text"),
    "add of an element that is none": operation("add", "Patient", NOBODY, name="colour"),
    "add of an element by its name in JSON": operation(
        "add", "Patient", {"valueBoolean": True}, name="deceasedBoolean"
    ),
    "add under a path that is none": operation("add", "Patient.colour", NOBODY, name="text"),
    "delete under a path that is none": operation("delete", "Patient.contact.colour"),
    "delete by a name of JSON": operation("delete", "Patient.extension[0].valueString"),
    "a path of another type": operation("delete", "Person.gender"),
    "a type that cannot be": operation("delete", "Patient.deceased.ofType(Quantity)"),
    "a value of another type": operation("add", "Patient", {"valueString": "1930"}, name="birthDate"),
    "a choice of another type": operation("add", "Patient", {"valueString": "x"}, name="deceased"),
    "a number for a text": operation("replace", "Patient.name[0].family", {"valueInteger": 1}),
    "a datatype for another": operation("add", "Patient", {"valueAddress": {"text": "x"}}, name="name"),
    "parts for a primitive": operation("add", "Patient", {"part": [part("value", valueString="x")]}, name="language"),
    "a resource for a datatype": operation("add", "Patient", {"resource": {"resourceType": "Patient"}}, name="photo"),
    "a datatype for a resource": operation("add", "Patient", NOBODY, name="contained"),
    "a part that is no element": operation(
        "add", "Patient", {"part": [part("colour", valueString="x")]}, name="contact"
    ),
    "a part given twice": operation(
        "add", "Patient", {"part": [part("gender", valueCode="male"), part("gender", valueCode="male")]}, name="contact"
    ),
    "an empty value": operation("add", "Patient", {}, name="contact"),
    "insert in a single element": operation("insert", "Patient.active", {"valueBoolean": True}, index=0),
    "insert in an item": operation("insert", "Patient.name[0]", {"valueHumanName": NAME}, index=0),
    "insert past the end": operation("insert", "Patient.name", {"valueHumanName": NAME}, index=9),
    "insert before the start": operation("insert", "Patient.name", {"valueHumanName": NAME}, index=-1),
    "move past the end": operation("move", "Patient.name", source=0, destination=9),
    "move of nothing": operation("move", "Patient.identifier", source=0, destination=0),
    "another id": operation("replace", "Patient.id", {"valueId": "another"}),
    "no id": operation("delete", "Patient.id"),
    "a code that is none": operation("add", "Patient", {"valueCode": "woman"}, name="gender"),
    "a child of a text": operation("add", "Patient.active", NOBODY, name="text"),
}


@pytest.mark.parametrize("what", UNPROCESSABLE)
async def test_a_patch_that_cannot_be_applied_changes_nothing(fhir: Fhir, mark: str, what: str) -> None:
    done(await fhir.put(f"Patient/{mark}", patient(mark, **PEOPLE)), 201)
    good = operation("replace", "Patient.name[0].family", {"valueString": "changed"})
    issue = refused(await patch(fhir, f"Patient/{mark}", good, UNPROCESSABLE[what]), 422)
    assert issue["expression"][0]
    assert version_of(await fhir.get(f"Patient/{mark}")) == 1


INVALID: dict[str, Any] = {
    "no JSON": b"{",
    "an array": [],
    "another resource": {"resourceType": "Patient"},
    "an element that Parameters does not have": {"resourceType": "Parameters", "operation": []},
    "a part without a name": parameters({"name": "operation", "part": [{"valueCode": "delete"}]}),
    "a parameter of another name": parameters({"name": "op", "part": []}),
    "no parts": parameters({"name": "operation"}),
    "a type that is none": parameters(operation("remove", "Patient.gender")),
    "no path": parameters({"name": "operation", "part": [part("type", valueCode="delete")]}),
    "a path that is no text": parameters({"name": "operation", "part": [part("type", valueCode="delete"),
                                                                        part("path", valueInteger=1)]}),
    "an index that is no number": parameters(operation("insert", "Patient.name", {"valueHumanName": NAME}, index="0")),
    "no index": parameters(operation("insert", "Patient.name", {"valueHumanName": NAME})),
    "no value": parameters(operation("replace", "Patient.gender")),
    "no name": parameters(operation("add", "Patient", {"valueCode": "male"})),
    "a part nobody knows": parameters(operation("delete", "Patient.gender", why="x")),
    "a part that does not belong": parameters(operation("delete", "Patient.gender", index=1)),
    "a part twice": parameters({"name": "operation", "part": operation("delete", "Patient.gender")["part"] * 2}),
}  # fmt: skip
PATHS = [
    "", " ", ".", "Patient.", "Patient..name", "Patient.name[", "Patient.name[-1]", "Patient.name[1.5]",
    "Patient.name[x]",
    "Patient.name.where()", "Patient.name.where(use)", "Patient.name.where(use = )", "Patient.name.where(use ~ 'x')",
    "Patient.name.where(use = 'old'", "Patient.name.where(use = old)", "Patient.name.where('old' = use)",
    "Patient.name.where(use = 'old' and given)", "Patient.name.where(birthDate = @1970-01-01)",
    "Patient.name.where(given.count() > 1)", "Patient.name.exists()", "Patient.name.where(use.exists() = true)",
    "Patient.name | Patient.contact", "Patient.name + 1", "Patient.managingOrganization.resolve().name",
    "Patient.descendants()", "Patient.name.take(1)", "Patient.name.where(use.exists().x = 'a')", "%resource.name",
    "Patient.name.where(exists(use))", "Patient.name as", "Patient.extension(urn:x)", "'Patient'", "0", "$this",
    "(" * 500 + "Patient" + ")" * 500, "Patient.name.where(" + "(" * 900 + "use='x'" + ")" * 900 + ")",
    "Patient" + ".name" * 500, "Patient.name.where(use='\u0000", "患者.name",
]  # fmt: skip


@pytest.mark.parametrize("what", [*INVALID, *(f"path {number}" for number in range(len(PATHS)))])
async def test_a_document_that_is_no_patch_is_refused(face: Fhir, mark: str, what: str) -> None:
    await face.store(patient(mark, **PEOPLE))
    document = INVALID.get(what) if what in INVALID else parameters(operation("delete", PATHS[int(what[5:])]))
    issue = refused(await face.send("PATCH", f"Patient/{mark}", document), 400)
    assert issue["expression"][0].startswith("Parameters")
    assert version_of(await face.get(f"Patient/{mark}")) == 1


# ---------------------------------------------------------------------------------------------------------- bytes
BASIC = (
    '{"resourceType":"Basic","id":"%s", "code" : {"text":"\\u738b", "extension":[{"url":"urn:x","valueDecimal":1.00}]},'
    '"extension":[{"url":"urn:a","valueDecimal":1.00},{"url":"urn:c","valueDecimal":12345678901234567890.10}]}'
)


async def test_members_that_stay_keep_their_bytes_and_numbers_their_text(fhir: Fhir, mark: str) -> None:
    done(await fhir.put(f"Basic/{mark}", (BASIC % mark).encode()), 201)
    change = operation("replace", "Basic.extension('urn:a').value", {"valueDecimal": 0})
    text = json.dumps(parameters(change)).replace('"valueDecimal": 0', '"valueDecimal":2.500')
    done(await fhir.send("PATCH", f"Basic/{mark}", text), 200)
    stored = (await fhir.get(f"Basic/{mark}")).text
    assert '{"text":"\\u738b", "extension":[{"url":"urn:x","valueDecimal":1.00}]}' in stored
    for number in ("2.500", "12345678901234567890.10"):
        assert f'"valueDecimal":{number}' in stored


# ------------------------------------------------------------------------------------------ formats, versions, Bundles
PATCH_XML = (
    '<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="operation"/>'
    '<part><name value="type"/><valueCode value="add"/></part>'
    '<part><name value="path"/><valueString value="Basic"/></part>'
    '<part><name value="name"/><valueString value="extension"/></part><part><name value="value"/>'
    '<part><name value="url"/><valueUri value="urn:d"/></part>'
    '<part><name value="value"/><valueDecimal value="1.500"/></part>'
    "</part></parameter></Parameters>"
)


async def test_a_patch_may_come_in_xml_and_be_answered_in_it(fhir: Fhir, mark: str) -> None:
    done(await fhir.put(f"Basic/{mark}", (BASIC % mark).encode()), 201)
    response = await fhir.send("PATCH", f"Basic/{mark}", PATCH_XML, content_type=XML, accept=XML)
    assert response.status_code == 200
    assert '<extension url="urn:d"><valueDecimal value="1.500"/></extension>' in response.text
    refused(await fhir.send("PATCH", f"Basic/{mark}", PATCH_XML[:-3], content_type=XML), 400)


@pytest.mark.parametrize(
    "operations",
    [[], [operation("delete", "Patient.maritalStatus")],
     [operation("replace", "Patient.active", {"valueBoolean": True})],
     [operation("move", "Patient.name", source=1, destination=1)],
     [operation("replace", "Patient.meta.versionId", {"valueId": "9"})]],
)  # fmt: skip
async def test_a_patch_that_changes_nothing_makes_no_version(fhir: Fhir, mark: str, operations: list[Resource]) -> None:
    await fhir.store(patient(mark, **PEOPLE))
    response = await patch(fhir, f"Patient/{mark}", *operations)
    assert (response.status_code, version_of(response)) == (200, 1)


async def test_if_match_and_conditions_hold_as_for_a_json_patch(fhir: Fhir, mark: str) -> None:
    change, query = operation("add", "Patient", {"valueCode": "male"}, name="gender"), f"Patient?identifier={mark}"
    refused(await patch(fhir, f"Patient/{mark}", change), 404)
    refused(await patch(fhir, query, change), 404)
    await fhir.store(patient(mark, identifier=[{"value": mark}]))
    refused(await patch(fhir, f"Patient/{mark}", change, if_match='W/"2"'), 412)
    refused(await patch(fhir, query, change, if_match='W/"2"'), 412)
    assert done(await patch(fhir, query, change, if_match='W/"1"'))["gender"] == "male"
    assert done(await fhir.get(f"Patient/{mark}/_history"))["entry"][0]["request"]["method"] == "PATCH"
    assert await fhir.ids(f"Patient?identifier={mark}&gender=male") == [mark]
    await fhir.delete(f"Patient/{mark}")
    refused(await patch(fhir, f"Patient/{mark}", change), 410)


@pytest.mark.parametrize("type", ["batch", "transaction"])
async def test_a_patch_stands_in_a_bundle_as_parameters(fhir: Fhir, mark: str, type: str) -> None:
    await fhir.store(patient(mark), patient(f"{mark}b", identifier=[{"value": mark}]))
    change = parameters(operation("add", "Patient", {"valueCode": "male"}, name="gender"))
    whole = bundle(
        type,
        entry("PATCH", f"Patient/{mark}", change, ifMatch='W/"1"'),
        entry("PATCH", f"Patient?identifier={mark}", change),
    )
    assert statuses(done(await fhir.post("", whole))) == ["200", "200"]
    for id in (mark, f"{mark}b"):
        assert done(await fhir.get(f"Patient/{id}"))["gender"] == "male"


async def test_references_in_a_patch_of_a_transaction_are_resolved(fhir: Fhir, mark: str) -> None:
    name = "urn:uuid:5f3b2c1e-0000-4000-8000-000000000001"
    await fhir.store(*(patient(f"{mark}{n}", generalPractitioner=[{"reference": "Practitioner/x"}]) for n in range(3)))
    changes = [
        operation("add", "Patient", {"valueReference": {"reference": name}}, name="managingOrganization"),
        operation("replace", "Patient.generalPractitioner.reference", {"valueString": name}),
        operation(
            "add", "Patient", {"part": [part("organization", valueReference={"reference": name})]}, name="contact"
        ),
    ]
    patches = [entry("PATCH", f"Patient/{mark}{n}", parameters(change)) for n, change in enumerate(changes)]
    answer = done(await fhir.post("", bundle("transaction", post({"resourceType": "Organization", "name": mark}, name),
                                             *patches)))  # fmt: skip
    made = "/".join(answer["entry"][0]["response"]["location"].split("/")[:2])
    found = [done(await fhir.get(f"Patient/{mark}{n}")) for n in range(3)]
    assert found[0]["managingOrganization"]["reference"] == made
    assert found[1]["generalPractitioner"][0]["reference"] == made
    assert found[2]["contact"][0]["organization"]["reference"] == made


WRONG: dict[str, tuple[Resource, int]] = {
    "no patch": (parameters({"name": "operation"}), 400),
    "no Parameters": ({"resourceType": "Parameters", "colour": 1}, 400),
    "a replace of nothing": (parameters(operation("replace", "Patient.birthDate", {"valueDate": "1930"})), 422),
    "a result that is invalid": (parameters(operation("add", "Patient", {"valueCode": "x"}, name="gender")), 422),
}


@pytest.mark.parametrize("what", WRONG)
async def test_a_wrong_patch_refuses_the_transaction_and_is_named(fhir: Fhir, mark: str, what: str) -> None:
    resource, status = WRONG[what]
    await fhir.store(patient(mark))
    entries = [put(patient(f"{mark}b")), entry("PATCH", f"Patient/{mark}", resource)]
    issue = refused(await fhir.post("", bundle("transaction", *entries)), status)
    assert issue["expression"][0].startswith("Bundle.entry[1]")
    refused(await fhir.get(f"Patient/{mark}b"), 404)
    assert statuses(done(await fhir.post("", bundle("batch", *entries)))) == ["201", str(status)]


async def test_a_patch_past_the_limit_is_refused_by_its_name(tmp_path: Path) -> None:
    async with servers.in_process(servers.app_on("", tmp_path, patch_max=5)) as http:
        fhir = Fhir(http, servers.BASE)
        await fhir.store(patient("a", identifier=IDENTIFIERS * 10))
        issue = refused(await patch(fhir, "Patient/a", *[operation("delete", "Patient.gender")] * 6), 422)
        assert issue["code"] == "too-costly"
        looks = [operation("delete", "Patient.identifier.where(value = 'x')")]
        assert "patch_max" in refused(await patch(fhir, "Patient/a", *looks), 422)["diagnostics"]


async def test_the_capability_statement_names_the_patch_formats(face: Fhir) -> None:
    assert done(await face.get("metadata"))["patchFormat"] == [
        "application/fhir+json", XML, "application/json-patch+json",
    ]  # fmt: skip
