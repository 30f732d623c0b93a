"""Builds everything from Settings: the only place that knows all parts."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from server.errors import Invalid
from server.interaction.api import Api
from server.interaction.limits import Limits
from server.operations.registry import OPERATIONS
from server.rest.app import App
from server.rest.routes import Service, now
from server.search.kinds.kind import Setting
from server.settings import Settings
from server.store.opening import open_store

ROOT = "/fhir"


def base_url(settings: Settings) -> str:
    return settings.base_url.rstrip("/") or f"http://{settings.host}:{settings.port}{ROOT}"


def build_app(settings: Settings) -> App:
    """The ASGI app; the store is opened when the server starts it, inside the event loop."""

    @asynccontextmanager
    async def opening() -> AsyncIterator[Service]:
        store = await open_store(settings.store or f"sqlite:{Path(settings.data).absolute()}")
        try:
            api = Api(
                store,
                Setting(_zone(settings.zone), base_url(settings), _text_search(settings.text_search)),
                Limits(
                    count_default=settings.count_default,
                    count_max=settings.count_max,
                    codes_max=settings.codes_max,
                    include_max=settings.include_max,
                    include_depth=settings.include_depth,
                    bundle_entries_max=settings.bundle_entries_max,
                    write_attempts=settings.write_attempts,
                    history_max=settings.history_max,
                    delete_max=settings.delete_max,
                    patch_max=settings.patch_max,
                ),
                _page_key(settings),
                settings.update_as_create,
                _conditional_delete(settings.conditional_delete),
                OPERATIONS,
            )
            yield Service(
                api,
                version("tiercare"),
                settings.body_max_bytes,
                settings.base_url.rstrip("/"),
                ROOT,
                started=now(),
                gzip_min_bytes=settings.gzip_min_bytes,
            )
        finally:
            await store.close()

    return App(opening, ROOT)


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


def _text_search(value: str) -> str:
    if value not in ("off", "narrative", "content"):
        raise Invalid(f"the setting text_search is '{value}': one of off, narrative, content is wanted")
    return value


def _page_key(settings: Settings) -> bytes:
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
