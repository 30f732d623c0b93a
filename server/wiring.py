"""Builds everything from Settings: the only place that knows all parts."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from server.errors import Invalid
from server.interaction.accept import Stored
from server.interaction.api import Api
from server.interaction.limits import Limits
from server.operations.registry import OPERATIONS
from server.rest.app import App
from server.rest.routes import Service, now
from server.search.kinds.kind import Setting
from server.settings import Settings
from server.store.copying import Copied, Show, copy
from server.store.opening import open_store, place
from server.store.port import Store

ROOT = "/fhir"


def base_url(settings: Settings) -> str:
    return settings.base_url.rstrip("/") or f"http://{settings.host}:{settings.port}{ROOT}"


def build_app(settings: Settings, relay: str = "", *, writes: bool = True) -> App:
    """The ASGI app; the store is opened when the server starts it, inside the event loop.

    `relay` is for one of several workers: the path of a unix socket where the one that writes takes the others' writes.
    """

    @asynccontextmanager
    async def opening() -> AsyncIterator[Service]:
        async with closing(await open_store(_store_url(settings, relay, writes), _query_timeout(settings))) as store:
            api = Api(
                store,
                Setting(_zone(settings.zone), base_url(settings), _text_search(settings.text_search)),
                Limits(
                    count_default=settings.count_default,
                    count_max=settings.count_max,
                    codes_max=settings.codes_max,
                    include_max=settings.include_max,
                    include_depth=settings.include_depth,
                    search_values_max=settings.search_values_max,
                    everything_max=settings.everything_max,
                    bundle_entries_max=settings.bundle_entries_max,
                    write_attempts=settings.write_attempts,
                    history_max=settings.history_max,
                    delete_max=settings.delete_max,
                    patch_max=settings.patch_max,
                    meta_max=settings.meta_max,
                    expunge_max=settings.expunge_max,
                ),
                page_key(settings),
                settings.update_as_create,
                _conditional_delete(settings.conditional_delete),
                OPERATIONS,
                settings.expunge,
                settings.explain,
            )
            yield Service(
                api,
                version("tiercare"),
                settings.body_max_bytes,
                settings.base_url.rstrip("/"),
                ROOT,
                started=now(),
                gzip_min_bytes=settings.gzip_min_bytes,
                body_timeout=settings.body_timeout,
            )

    return App(opening, ROOT)


async def copy_store(settings: Settings, source: str, target: str, show: Show) -> Copied:
    """Everything of one store into another (store/copying.py). Raises Invalid for URLs that cannot be meant."""
    if place(source) == place(target):
        raise Invalid(f"source and target are the same store: {place(source)}")
    setting = Setting(_zone(settings.zone), base_url(settings))
    kept = f"{source}?mode=rw" if urlsplit(source).scheme == "sqlite" else source  # a source is not made on the way
    async with closing(await open_store(kept)) as old, closing(await open_store(target)) as new:
        return await copy(old, new, lambda version: Stored(version.body).entries(setting) if version.body else (), show)


def _store_url(settings: Settings, relay: str, writes: bool) -> str:
    url = settings.store or f"sqlite:{Path(settings.data).absolute()}"
    if not relay or urlsplit(url).scheme != "sqlite":  # other stores take several writing processes as they are
        return url
    return f"{url}{'&' if '?' in url else '?'}{'relay' if writes else 'join'}={quote(relay)}"


@asynccontextmanager
async def closing(store: Store) -> AsyncIterator[Store]:
    try:
        yield store
    finally:
        await store.close()


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise Invalid(f"the setting zone is '{name}', which is no time zone") from error


def _conditional_delete(value: str) -> str:
    """A code of http://hl7.org/fhir/conditional-delete-status, as the CapabilityStatement shows it."""
    codes = ("not-supported", "single", "multiple")
    if value not in codes:
        raise Invalid(f"the setting conditional_delete is '{value}': one of {', '.join(codes)} is wanted")
    return value


def _query_timeout(settings: Settings) -> float:
    if settings.query_timeout <= 0:
        raise Invalid(f"the setting query_timeout is {settings.query_timeout}: seconds are wanted, more than 0")
    return settings.query_timeout


def _text_search(value: str) -> str:
    if value not in ("off", "narrative", "content"):
        raise Invalid(f"the setting text_search is '{value}': one of off, narrative, content is wanted")
    return value


def page_key(settings: Settings) -> bytes:
    """The secret of page links: given, or made once and kept beside the data so that links outlive a restart."""
    if settings.page_key:
        return settings.page_key.encode()
    path = Path(settings.data) / "page.key"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.touch(0o600)
            path.write_bytes(secrets.token_bytes(32))
        return path.read_bytes()
    except OSError as error:
        raise Invalid(f"cannot keep the page key in {path.parent}: {error.strerror}") from error
