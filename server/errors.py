"""The closed error tree of the server, and the issue every error carries. No HTTP here.

    TiercareError
    ├── Invalid        the content breaks the specification: bad JSON, structure, parameter        400
    ├── Unprocessable  well-formed, but a rule forbids it (references, business rules)             422
    ├── TooLarge       a body or Bundle above a limit that has a name                              413
    ├── TooCostly      a query above such a limit, or out of time                                  422
    ├── NotFound       no such resource, version or type                                           404
    ├── Gone           it was deleted                                                              410
    ├── Conflict       two writers met, or the same identity twice in one transaction              409
    ├── Stale          If-Match or another precondition does not hold                              412
    ├── Forbidden      the caller may not do this                                                  403
    ├── NotSupported   the server does not have this (interaction, parameter kind, operation)      501
    ├── NotAllowed     the interaction does not exist on this address                              405
    ├── NotAcceptable  no representation that the client accepts                                   406
    ├── Late           the client did not send its body in time                                    408
    ├── MediaType      a body in a format the server does not read                                 415
    └── Unavailable    the store is closing or out of reach; try again                             503

`model/outcome.py` is the only place that maps a class to a status and an OperationOutcome
(https://hl7.org/fhir/R4/http.html#summary, https://hl7.org/fhir/R4/operationoutcome.html).
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Issue:
    """One OperationOutcome.issue.

    `code` is of http://hl7.org/fhir/issue-type, `expression` a FHIRPath of the element at fault
    (`Patient.name[0].given`, or `http.<header>` / the search parameter's name for requests).
    """

    code: str
    diagnostics: str
    expression: str = ""
    severity: str = "error"


class TiercareError(Exception):
    """Base of all errors a caller can cause or meet; `issues` is never empty."""

    code = "exception"

    def __init__(self, what: str | Sequence[Issue], expression: str = "", *, code: str = "") -> None:
        self.issues: list[Issue] = [Issue(code or self.code, what, expression)] if isinstance(what, str) else list(what)
        super().__init__("; ".join(issue.diagnostics for issue in self.issues))


class Invalid(TiercareError):
    code = "invalid"


class Unprocessable(TiercareError):
    code = "processing"


class TooLarge(TiercareError):
    code = "too-long"


class TooCostly(TiercareError):
    code = "too-costly"


class NotFound(TiercareError):
    code = "not-found"


class Gone(TiercareError):
    code = "deleted"


class Conflict(TiercareError):
    code = "conflict"


class Stale(TiercareError):
    code = "conflict"


class Forbidden(TiercareError):
    code = "forbidden"


class NotSupported(TiercareError):
    code = "not-supported"


class NotAllowed(TiercareError):
    code = "not-supported"


class NotAcceptable(TiercareError):
    code = "not-supported"


class Late(TiercareError):
    code = "timeout"


class MediaType(TiercareError):
    code = "not-supported"


class Unavailable(TiercareError):
    code = "transient"
