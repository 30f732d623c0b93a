"""A search as it was asked -> a Select and what to do with its hits (https://hl7.org/fhir/R4/search.html)."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl

from server.errors import Invalid, NotSupported, TooCostly
from server.keys import All, Ids, Not, Present, Select, Sort, Stamped, Test, Word, stamp_of
from server.keys import Any as AnyOf
from server.model import tables
from server.model.subset import Subset, asked
from server.search import chain, composite, include, words
from server.search import filter as filters
from server.search.index import left_out
from server.search.kinds import KINDS
from server.search.kinds.date import EARLIEST, LATEST, bounds, instants, split_prefix
from server.search.kinds.kind import Asked, Setting, split, unescape

Parameters = Sequence[tuple[str, str]]
CURSOR = "_cursor"
MOST_SORTS = 8
IDS_EACH = 50
_BROKEN = re.compile(r"%(?![0-9A-Fa-f]{2})")
IGNORED = frozenset({"_format", "_pretty"})  # of the response format, not of the search
LINKED = frozenset({"_pretty"})  # of these, what page links carry on
OF_FILTER = frozenset({"equal", "suffix"})  # how `_filter` alone compares strings
BLANKS_DO_NOT_COUNT = frozenset({"pinyin"})
NEGATED = frozenset({"not", "not-in"})  # modifiers for which alternatives are ANDed
NOT_YET = frozenset(
    {
        "_query", "_type", "_contained", "_containedType", "_score",
    }
)  # fmt: skip


@dataclass(slots=True)
class Query:
    """A parsed search: the test, the order, the page, and what to add to it."""

    type: str
    tests: list[Test] = field(default_factory=list)
    sorts: tuple[Sort, ...] = ()
    count: int | None = None
    cursor: str = ""
    includes: list[include.Include] = field(default_factory=list)
    total: str = ""  # none | estimate | accurate
    explain: bool = False  # the plan in place of the hits
    summary: str = ""  # a value of _summary
    subset: Subset | None = None  # of _summary and _elements: what is shown of each resource
    used: list[tuple[str, str]] = field(default_factory=list)  # parameters that took effect: the self link
    shown: list[tuple[str, str]] = field(default_factory=list)  # and those of the response format

    def select(self, limit: int) -> Select:
        return Select(self.type, All(tuple(self.tests)), self.sorts, None, limit)


def check_percent(text: str) -> None:
    """Raises Invalid for a percent sign that encodes nothing."""
    if "%" in text and _BROKEN.search(text):
        raise Invalid("the query has a % that is not followed by two hexadecimal digits: write %25", "http.query")


def parameters(text: str) -> list[tuple[str, str]]:
    """`a=1&b=2` as sent -> names and values, decoded. Raises Invalid for bytes that are not UTF-8, or a bare `%`."""
    check_percent(text)
    try:
        return parse_qsl(text, keep_blank_values=True, errors="strict")
    except UnicodeDecodeError as error:
        raise Invalid("the query is not UTF-8", "http.query") from error


def parse(type: str, parameters: Parameters, setting: Setting, *, lenient: bool = False) -> Query:
    """Raises Invalid (400) or NotSupported, naming the parameter; lenient drops parameters nobody knows."""
    query = Query(type)
    for name, value in parameters:
        if name in IGNORED:
            if name in LINKED:
                query.shown.append((name, value))
            continue
        try:
            _one(query, name, value, setting)
        except chain.Unknown as unknown:
            if not lenient:
                raise Invalid(str(unknown), name, code="not-supported") from unknown
            continue
        except Invalid as error:  # of a value's own spelling: it does not know its name
            error.issues = [issue if issue.expression else replace(issue, expression=name) for issue in error.issues]
            raise
        if name != CURSOR:
            query.used.append((name, value))
    query.subset = asked(query.used, type, search=True)
    return query


def check_size(parameters: Parameters, most: int) -> None:
    """Parameters and alternatives of their values together, at most `most`; ids are cheap and may be IDS_EACH times as
    many. Asked before anything is parsed: a form may have megabytes. Raises TooCostly naming the limit."""
    ids = sum(value.count(",") for name, value in parameters if name == "_id")
    values = sum(1 + (value.count(",") if name != "_id" else 0) for name, value in parameters)
    if values > most or ids > most * IDS_EACH:
        raise TooCostly(f"the search has {values + ids} values, more than the limit search_values_max: split it")


def _one(query: Query, name: str, value: str, setting: Setting) -> None:
    code, _, modifier = name.partition(":")
    control = _CONTROLS.get(code)
    if control is not None:
        control(query, name, value, setting)
    elif code in NOT_YET:
        raise NotSupported(f"the parameter '{code}' is not supported yet", name)
    elif chain.is_chain(name):
        query.tests.append(chain.read(query.type, name, lambda type, rest: _last(type, rest, name, value, setting)))
    else:
        query.tests.append(criterion(query.type, code, modifier, name, value, setting))


def _last(type: str, rest: str, name: str, value: str, setting: Setting) -> Test:
    """The end of a chain: `rest` is `code:modifier` on `type`."""
    code, _, modifier = rest.partition(":")
    if code not in chain.ON_ALL:
        return criterion(type, code, modifier, name, value, setting)
    query = Query(type)
    try:
        _CONTROLS[code](query, rest, value, setting)
    except (Invalid, NotSupported) as error:
        error.issues = [replace(issue, expression=name) for issue in error.issues]
        raise
    return query.tests[0]


def criterion(type: str, code: str, modifier: str, name: str, value: str, setting: Setting) -> Test:
    """One `code:modifier=a,b` as a test: the values are alternatives."""
    parameter = tables.search_parameters(type).get(code)
    if parameter is None:
        raise chain.Unknown(f"{type} has no search parameter '{name}'")
    why_not = left_out(type).get(code)
    if why_not:
        raise NotSupported(why_not, name)
    values = split(value.replace(" ", "") if code in BLANKS_DO_NOT_COUNT else value, ",")
    if parameter.kind == "composite":
        if modifier:
            raise Invalid(f"'{code}' (composite) takes no modifier", name, code="not-supported")
        return _either([composite.test(type, code, Asked("", name, "", one, ()), setting) for one in values])
    kind = KINDS[parameter.kind]
    if modifier == "missing":
        return _missing(f"{type}.{code}", kind.shape, name, value)
    possible = kind.modifiers | (OF_FILTER if name == "_filter" else frozenset())
    if modifier and modifier not in possible and not (kind is KINDS["reference"] and modifier[:1].isupper()):
        raise Invalid(f"'{code}' ({parameter.kind}) has no modifier '{modifier}' here", name, code="not-supported")
    tests = [kind.test(Asked(f"{type}.{code}", name, modifier, one, parameter.targets), setting) for one in values]
    return All(tuple(tests)) if modifier in NEGATED and len(tests) > 1 else _either(tests)  # not (a or b)


def _either(tests: Sequence[Test]) -> Test:
    return tests[0] if len(tests) == 1 else AnyOf(tuple(tests))


def _missing(param: str, shape: str, name: str, value: str) -> Test:
    if value not in ("true", "false"):
        raise Invalid(f"'{name}' takes true or false, not '{value}'", name)
    present = Present(param, shape)
    return Not(present) if value == "true" else present


# ------------------------------------------------------------------------------------- parameters with a meaning
def _id(query: Query, name: str, value: str, _: Setting) -> None:
    _plain(name)
    ids = tuple(unescape(part).removeprefix(f"{query.type}/") for part in split(value, ","))
    query.tests.append(Ids(ids))


def _last_updated(query: Query, name: str, value: str, setting: Setting) -> None:
    _plain(name)
    alternatives: list[Test] = []
    for part in split(value, ","):
        prefix, text = split_prefix(unescape(part))
        try:
            low, high = instants(text, setting.zone)
        except (ValueError, OverflowError) as error:
            raise Invalid(f"'{part}' is not a date", name) from error
        alternatives += [_stamps(bound) for bound in bounds(prefix, low, high)]
    query.tests.append(alternatives[0] if len(alternatives) == 1 else AnyOf(tuple(alternatives)))


def _stamps(bound: tuple[tuple[str, str, int], ...]) -> Test:
    """A bound on a range -> on a stamp, which is a point in milliseconds (low and high are the same)."""
    low = high = None
    for _, op, micros in bound:
        if micros <= EARLIEST or micros >= LATEST:
            continue
        at = micros // 1000
        if op in (">=", ">"):
            first = _stamp(-(-micros // 1000) if op == ">=" else at + 1)
            low = first if low is None else max(low, first)
        else:
            end = _stamp(at + 1 if op == "<=" else -(-micros // 1000))
            high = end if high is None else min(high, end)
    return Stamped(low, high)


def _stamp(milliseconds: int) -> int:
    """The first stamp of a millisecond; a time before 1970 or after 2039 becomes the end of the stamps' range."""
    return max(0, min(stamp_of(milliseconds), 2**63 - 1))


def _sort(query: Query, name: str, value: str, _: Setting) -> None:
    _plain(name)
    sorts: list[Sort] = []
    for key in value.split(","):
        if len(sorts) == MOST_SORTS:
            raise TooCostly(f"_sort takes at most {MOST_SORTS} keys", name)
        code, descending = key.removeprefix("-"), key.startswith("-")
        if code in ("_id", "_lastUpdated"):
            sorts.append(Sort(code, "", descending))
            continue
        parameter = tables.search_parameters(query.type).get(code)
        if parameter is None:
            raise Invalid(f"{query.type} has no search parameter '{code}' to sort by", name)
        kind = KINDS.get(parameter.kind)  # a composite is none
        if kind is None or not kind.sortable or code in left_out(query.type):
            raise NotSupported(f"sorting by '{code}' ({parameter.kind}) is not supported", name)
        sorts.append(Sort(f"{query.type}.{code}", kind.shape, descending))
    query.sorts = tuple(sorts)


def _count(query: Query, name: str, value: str, _: Setting) -> None:
    _plain(name)
    if not (value.isascii() and value.isdigit()):
        raise Invalid(f"_count is a number of resources, not '{value}'", name)
    query.count = int(value[:9])


def _include(query: Query, name: str, value: str, _: Setting) -> None:
    query.includes.append(include.read(query.type, name, value))


def _list(query: Query, name: str, value: str, _: Setting) -> None:
    _plain(name)
    query.tests.append(chain.in_lists(name, value))


def _words(query: Query, name: str, value: str, setting: Setting) -> None:
    """`_text` and `_content`: all words of one of the values."""
    _plain(name)
    if name not in tables.search_parameters(query.type):
        raise chain.Unknown(f"{query.type} has no search parameter '{name}'")
    if name in words.switched_off(setting):
        raise NotSupported(f"'{name}' is switched off on this server (setting text_search)", name)
    alternatives: list[Test] = []
    for one in split(value, ","):
        asked_for = words.asked(unescape(one))
        if not asked_for:
            raise Invalid(f"'{one}' has no word to look for", name)
        alternatives.append(All(tuple(Word(f"{query.type}.{name}", word, begins) for word, begins in asked_for)))
    query.tests.append(_either(alternatives))


def _filter(query: Query, name: str, value: str, setting: Setting) -> None:
    _plain(name)

    def compared(path: str, spelled: filters.Spelled) -> Test:
        def leaf(type: str, code: str) -> Test:
            modifier, text = spelled(tables.search_parameters(type)[code].kind)
            return _last(type, f"{code}:{modifier}".rstrip(":"), name, text, setting)

        try:
            return chain.read(query.type, path, leaf)
        except chain.Unknown as unknown:
            raise Invalid(f"_filter: {unknown}", name) from unknown

    query.tests.append(filters.parse(value, compared))


def _summary(query: Query, name: str, value: str, _: Setting) -> None:
    _plain(name)
    query.summary = value  # model/subset.py reads it together with _elements


def _explain(query: Query, name: str, value: str, _: Setting) -> None:
    _plain(name)
    if value not in ("true", "false"):
        raise Invalid(f"{name} is true or false, not '{value}'", name)
    query.explain = value == "true"


def _elements(query: Query, name: str, value: str, _: Setting) -> None:
    _plain(name)


def _one_of(attribute: str, allowed: tuple[str, ...]) -> "Control":
    def control(query: Query, name: str, value: str, _: Setting) -> None:
        _plain(name)
        if value not in allowed:
            raise Invalid(f"{name} is one of {', '.join(allowed)}, not '{value}'", name)
        setattr(query, attribute, value)

    return control


def _cursor(query: Query, name: str, value: str, _: Setting) -> None:
    if not value:
        raise Invalid("the page link is damaged: start the search anew", name)
    query.cursor = value


def _plain(name: str) -> None:
    if ":" in name:
        raise Invalid(f"'{name.partition(':')[0]}' takes no modifier", name, code="not-supported")


Control = Callable[[Query, str, str, Setting], None]
_CONTROLS: dict[str, Control] = {
    "_id": _id,
    "_lastUpdated": _last_updated,
    "_sort": _sort,
    "_count": _count,
    "_include": _include,
    "_revinclude": _include,
    "_list": _list,
    "_total": _one_of("total", ("none", "estimate", "accurate")),
    "_summary": _summary,
    "_text": _words,
    "_content": _words,
    "_filter": _filter,
    "_elements": _elements,
    "_explain": _explain,
    CURSOR: _cursor,
}
