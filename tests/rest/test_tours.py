"""docs/rest.md and docs/search.md: every curl line of them is answered as the comment behind it says."""

import re
import shlex
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

import httpx
import pytest

from tests import servers
from tests.client import matches

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {"rest.md": 45, "search.md": 40}  # page -> fewest lines that it has to have


class Line(NamedTuple):
    words: list[str]  # of the command, as a shell would pass them
    said: str  # the comment: a status, or `finds` and ids


def lines(page: str) -> Iterator[Line]:
    """The curl commands of a page in their order; one may go over several lines inside quotes."""
    for block in re.findall(r"^```\n(.*?)^```", (DOCS / page).read_text("utf-8"), re.DOTALL | re.MULTILINE):
        for command in re.split(r"\n(?=curl )", f"\n{block}")[1:]:
            curl, said = command.strip().rsplit(" # ", 1)
            yield Line([word.replace("\\$", "$") for word in shlex.split(curl)], said)


def request(http: httpx.AsyncClient, words: list[str]) -> httpx.Request:
    """What curl would send. Only the options that the pages use."""
    method, url, body, headers, options = "", "", "", {"accept-encoding": "identity"}, iter(words[1:])
    more: list[str] = []
    for word in options:
        match word:
            case "-s":
                pass
            case "-I":
                method = "HEAD"
            case "-X":
                method = next(options)
            case "-H":
                name, _, value = next(options).partition(": ")
                headers[name] = value
            case "-d":
                body, method = next(options), method or "POST"
            case "--compressed":
                headers["accept-encoding"] = "gzip"
            case "--get":
                method = "GET"
            case "--data-urlencode":
                name, _, value = next(options).partition("=")
                more.append(f"{name}={quote(value)}")
            case _:
                assert word.startswith("$BASE") and not url, f"an option that no test knows: {word}"
                url = word.replace("$BASE", servers.BASE)
    url = "&".join([url, *more]) if "?" in url else "?".join([url, "&".join(more)] if more else [url])
    return http.build_request(method or "GET", url, headers=headers, content=body.encode() or None)


@pytest.fixture
async def fresh(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with servers.in_process(servers.app_on("", tmp_path)) as http:
        yield http


@pytest.mark.parametrize("page", PAGES)
async def test_every_command_of_the_tour_is_answered_as_it_says(fresh: httpx.AsyncClient, page: str) -> None:
    count = 0
    for words, said in lines(page):
        sent = request(fresh, words)
        response = await fresh.send(sent)
        where = f"{sent.method} {unquote(str(sent.url))}: {response.status_code} {response.text[:500]}"
        if said.startswith("finds"):
            assert response.status_code == 200, where
            assert sorted(one["id"] for one in matches(response.json())) == said.split()[1:], where
        else:
            assert response.status_code == int(said), where
        count += 1
    assert count >= PAGES[page]
