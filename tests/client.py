"""A FHIR client as the tests of the server use it: requests, and what their answers say."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx

FHIR_JSON = "application/fhir+json"
Resource = dict[str, Any]


class Fhir:
    """`base` is the FHIR base URL; paths are relative to it, and may be absolute (page links)."""

    def __init__(self, http: httpx.AsyncClient, base: str, headers: dict[str, str] | None = None) -> None:
        self.http, self.base, self.headers = http, base, headers or {}

    async def send(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """Header names with `_` for `-` (`if_match`). A body that is no bytes is sent as JSON."""
        named = {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if body is not None:
            named.setdefault("content-type", FHIR_JSON)
        request = self.http.build_request(method, self._url(path), headers=named, **_content(body))
        return await self.http.send(request)

    def _url(self, path: str) -> str:
        return path if path.startswith(("http://", "https://")) else f"{self.base}/{path}" if path else self.base

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.send("GET", path, **headers)

    async def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return await self.send("POST", path, body, **headers)

    async def put(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return await self.send("PUT", path, body, **headers)

    async def delete(self, path: str, **headers: str) -> httpx.Response:
        return await self.send("DELETE", path, **headers)

    # ------------------------------------------------------------------------------------- what most tests do first
    async def create(self, resource: Resource) -> Resource:
        """The created resource."""
        return done(await self.post(resource["resourceType"], resource), 201)

    async def store(self, *resources: Resource) -> None:
        """Stores the resources under their ids, all in one transaction."""
        for start in range(0, len(resources), 500):
            entries = [put(resource) for resource in resources[start : start + 500]]
            done(await self.post("", bundle("transaction", *entries)))

    async def ids(self, query: str) -> list[str]:
        """Ids of the hits on the first page, which has to be all of them."""
        page = done(await self.get(query))
        assert "next" not in links(page), f"{query} has more than one page"
        return [resource["id"] for resource in matches(page)]

    async def pages(self, query: str) -> list[Resource]:
        """All pages, by their `next` links."""
        found = [done(await self.get(query))]
        while onward := links(found[-1]).get("next"):
            assert len(found) < 5000, "the next links do not end"
            found.append(done(await self.get(onward)))
        return found


def _content(body: Any) -> dict[str, Any]:
    if body is None:
        return {}
    return {"content": body} if isinstance(body, bytes | str) else {"json": body}


# ------------------------------------------------------------------------------------------------------- answers
def done(response: httpx.Response, *statuses: int) -> Resource:
    """The body of a request that has to succeed ({} when there is none)."""
    assert response.status_code in (statuses or (200, 201)), f"{response.status_code} {response.text[:600]}"
    found: Resource = response.json() if response.content else {}
    return found


def refused(response: httpx.Response, status: int) -> Resource:
    """The first issue of an OperationOutcome; every refusal has to carry one, whole."""
    assert response.status_code == status, f"{response.status_code} {response.text[:600]}"
    assert response.headers["content-type"].startswith(FHIR_JSON)
    outcome = response.json()
    assert outcome["resourceType"] == "OperationOutcome"
    assert all(issue["severity"] and issue["code"] and issue["diagnostics"] for issue in outcome["issue"])
    issue: Resource = outcome["issue"][0]
    return issue


def version_of(response: httpx.Response) -> int:
    return int(response.headers["etag"].removeprefix('W/"').removesuffix('"'))


def links(page: Resource) -> dict[str, str]:
    return {link["relation"]: link["url"] for link in page.get("link", ())}


def matches(page: Resource) -> list[Resource]:
    return [entry["resource"] for entry in page.get("entry", ()) if entry["search"]["mode"] == "match"]


def included(page: Resource) -> list[str]:
    """`Type/id` of what _include added."""
    return [
        f"{entry['resource']['resourceType']}/{entry['resource']['id']}"
        for entry in page.get("entry", ())
        if entry["search"]["mode"] == "include"
    ]


def place(response: httpx.Response) -> str:
    """`Type/id` out of Location."""
    return "/".join(urlsplit(response.headers["location"]).path.split("/")[-4:-2])


# ------------------------------------------------------------------------------------------------------- Bundles
def bundle(type: str, *entries: Resource) -> Resource:
    return {"resourceType": "Bundle", "type": type, **({"entry": list(entries)} if entries else {})}


def entry(method: str, url: str, resource: Resource | None = None, full_url: str = "", **request: str) -> Resource:
    """A Bundle.entry; further words are members of its `request` (`ifNoneExist`)."""
    found: Resource = {"fullUrl": full_url} if full_url else {}
    if resource is not None:
        found["resource"] = resource
    return {**found, "request": {"method": method, "url": url, **request}}


def put(resource: Resource) -> Resource:
    return entry("PUT", f"{resource['resourceType']}/{resource['id']}", resource)


def post(resource: Resource, full_url: str = "", **request: str) -> Resource:
    return entry("POST", resource["resourceType"], resource, full_url, **request)


def statuses(response: Resource) -> list[str]:
    """The status codes of a batch or transaction response."""
    return [answer["response"]["status"][:3] for answer in response.get("entry", ())]


def codes(issues: Sequence[Resource]) -> list[str]:
    return [issue["code"] for issue in issues]
