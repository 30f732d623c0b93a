"""$validate: whether a resource would be accepted as it is, as a create, an update or a deletion
(https://hl7.org/fhir/R4/resource-operation-validate.html)."""

import orjson

from server.errors import Invalid, Issue, NotSupported, TiercareError
from server.interaction.accept import accept
from server.interaction.api import Api
from server.interaction.context import Context
from server.interaction.operation import INSTANCE, TYPE, Call, Operation, Parameter, Result
from server.interaction.plan import plan_delete, plan_update
from server.interaction.read import read, vread
from server.model import tables
from server.model.outcome import operation_outcome
from server.validation.structure import check

_DEFINITIONS = "http://hl7.org/fhir/StructureDefinition/"
_MODES = ("create", "update", "delete", "profile")
_ERRORS = ("fatal", "error")


async def validate(api: Api, context: Context, call: Call) -> Result:
    """200 with all that is wrong: an invalid resource is no error of the call.

    Raises Invalid for a call that makes no sense (no resource, a mode without its id), NotSupported for a profile that
    is not loaded, NotFound and Gone as a read does where the resource is the stored one.
    """
    mode = call.text("mode") or ""
    if mode and mode not in _MODES:
        raise Invalid(f"the mode is one of {', '.join(_MODES)}, not '{mode}'", "mode", code="code-invalid")
    if mode in ("update", "delete") and call.level == TYPE:
        raise Invalid(f"mode {mode} is about one resource: call {call.type}/[id]/$validate", "mode")
    profile = call.text("profile") or ""
    _check_profile(profile, mode)
    if mode == "delete":
        return _outcome(await _deletion(api, context, call), f"{call.type}/{call.id} could be deleted")
    raw = await _resource(api, context, call, mode)
    issues = _structure(raw, call.type, profile)
    if mode == "update" and not any(issue.severity in _ERRORS for issue in issues):
        issues += await _update(api, context, call, raw)
    done = {"create": "it could be created", "update": f"it could be stored as {call.type}/{call.id}"}
    fine = f"the resource is a valid {call.type}: structure, datatypes and required bindings hold"
    return _outcome(issues, f"{fine}; {done[mode]}" if mode in done else fine)


def _check_profile(profile: str, mode: str) -> None:
    """The definitions of R4 itself are what is always checked; others are not loaded."""
    if not profile and mode == "profile":
        raise Invalid("mode profile needs the parameter 'profile'", "profile", code="required")
    if profile and _base(profile) is None:
        raise NotSupported(
            f"the profile {profile} is not loaded: only the base definitions {_DEFINITIONS}[type] are checked so far",
            "profile",
        )


def _base(profile: str) -> str | None:
    """The type whose base definition the profile is; None for any other profile."""
    url, _, version = profile.partition("|")
    type = url.removeprefix(_DEFINITIONS)
    if type == url or version not in ("", "4.0.1", "4.0"):
        return None
    return type if type in (*tables.resource_types(), "Resource", "DomainResource") else None


async def _resource(api: Api, context: Context, call: Call, mode: str) -> bytes:
    """What to look at: the resource that was sent, else the stored one."""
    given = call.raw("resource")
    if given is not None and mode == "profile":
        raise Invalid("mode profile is about the stored resource: leave 'resource' out", "resource")
    if given is not None:
        return given
    if call.level == TYPE or mode in ("create", "update"):
        raise Invalid("there is nothing to validate: the parameter 'resource' is missing", "resource", code="required")
    if call.version:
        return (await vread(api, context, call.type, call.id, call.version)).body
    return (await read(api, context, call.type, call.id)).body


def _structure(raw: bytes, type: str, profile: str) -> list[Issue]:
    """All issues of the content. What is not JSON was refused before."""
    resource = orjson.loads(raw)
    issues = check(resource)
    named = resource.get("resourceType") if isinstance(resource, dict) else None
    if named in tables.resource_types() and named != type:
        issues.insert(0, Issue("invalid", f"the address is for {type}, the resource is a {named}", "resourceType"))
    of = _base(profile)
    if of in tables.resource_types() and of != named:
        issues.append(Issue("invalid", f"{profile} is a definition of {of}, not of {named}", "resourceType"))
    return issues + _unchecked(resource, type)


def _unchecked(resource: object, of: str) -> list[Issue]:
    """A resource may claim profiles in its meta: those of R4 itself hold, about others nothing is known."""
    meta = resource.get("meta") if isinstance(resource, dict) else None
    claimed = meta.get("profile") if isinstance(meta, dict) else None
    return [
        Issue(
            "not-supported",
            f"the profile {one} is not loaded: it was not checked",
            f"{of}.meta.profile[{n}]",
            "warning",
        )
        for n, one in enumerate(claimed if isinstance(claimed, list) else ())
        if isinstance(one, str) and _base(one) is None
    ]


async def _update(api: Api, context: Context, call: Call, raw: bytes) -> list[Issue]:
    """What would stop an update of this resource with this content."""
    try:
        accepted = accept(raw, call.type)
        id = accepted.resource.get("id")
        if id != call.id:
            raise Invalid(f"the resource's id is {id!r}, the address says '{call.id}'", f"{call.type}.id")
        planned = await plan_update(api, context, accepted, call.id)
    except TiercareError as error:
        return error.issues
    if planned.write is None:
        return [Issue("informational", "the update would change nothing, and make no version", "", "information")]
    return []


async def _deletion(api: Api, context: Context, call: Call) -> list[Issue]:
    """What would stop its deletion. Raises NotFound and Gone: then there is nothing to ask about."""
    if call.raw("resource") is not None:
        raise Invalid("mode delete is about the stored resource: leave 'resource' out", "resource")
    await read(api, context, call.type, call.id)
    try:
        await plan_delete(api, context, call.type, call.id)
    except TiercareError as error:
        return error.issues
    return []


def _outcome(issues: list[Issue], fine: str) -> Result:
    if not any(issue.severity in _ERRORS for issue in issues):
        issues = [*issues, Issue("informational", fine, "", "information")]
    return Result(operation_outcome(issues))


VALIDATE = Operation(
    id="Resource-validate",
    code="validate",
    title="Validate a resource",
    description="Says what is wrong with a resource, or what would stop its creation, update or deletion. Structure, "
    "cardinality, datatypes and required bindings are checked; invariants and profiles are not yet.",
    run=validate,
    levels=(TYPE, INSTANCE),
    parameters=(
        Parameter("resource", "Resource", "what to validate; at instance level without it: the stored resource"),
        Parameter("mode", "code", "create, update (of an instance), delete (an instance) or profile (the stored one)"),
        Parameter("profile", "uri", "a base definition of R4 that the resource has to follow; others are not loaded"),
        Parameter(
            "return", "OperationOutcome", "all issues; one of severity information if nothing is wrong", 1, "1", "out"
        ),
    ),
    base="http://hl7.org/fhir/OperationDefinition/Resource-validate",
    versions=True,
)
