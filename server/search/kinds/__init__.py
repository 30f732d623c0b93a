"""The search kinds of FHIR (https://hl7.org/fhir/R4/search.html#ptypes), one file each, and the table of them.

A kind says how a value of a datatype becomes index entries (`values`) and how a search value becomes a test
(`test`). Adding a kind is a file here and a row below; stores see only the shapes of keys.py.
"""

from server.search.kinds.date import DATE
from server.search.kinds.kind import Kind
from server.search.kinds.number import NUMBER
from server.search.kinds.quantity import QUANTITY
from server.search.kinds.reference import REFERENCE
from server.search.kinds.special import SPECIAL
from server.search.kinds.string import STRING
from server.search.kinds.token import TOKEN
from server.search.kinds.uri import URI

KINDS: dict[str, Kind] = {
    "date": DATE,
    "number": NUMBER,
    "quantity": QUANTITY,
    "reference": REFERENCE,
    "special": SPECIAL,
    "string": STRING,
    "token": TOKEN,
    "uri": URI,
}
"""`composite` is no kind of its own: composite.py puts its components' kinds together."""
