"""What every process does beside its requests: it looks for changed SearchParameters, and one of them reindexes."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from server.errors import TiercareError
from server.interaction.api import Api
from server.interaction.parameters import refresh
from server.interaction.reindexing import Lost, claimed

log = structlog.get_logger()
LOOK = 0.4  # seconds between two looks, less than parameters.FRESH


@asynccontextmanager
async def keeping(api: Api) -> AsyncIterator[None]:
    """From before the first request until the store closes. Raises what the first look does."""
    await refresh(api)
    looking, working = asyncio.create_task(_look(api)), asyncio.create_task(_work(api, uuid.uuid4().hex))
    try:
        yield
    finally:
        for task in (looking, working):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _look(api: Api) -> None:
    while True:
        await asyncio.sleep(LOOK)
        try:
            await refresh(api)
        except TiercareError as error:  # the store is out of reach: requests say so, and the next look may succeed
            log.warning("search parameters were not looked up", reason=str(error))
        except Exception:
            log.exception("search parameters were not looked up")


async def _work(api: Api, runner: str) -> None:
    while True:
        for version in list(api.known.pending.values()):
            try:
                job = await claimed(api, version, runner)
                if job is not None:
                    await job.run()
                    await refresh(api)
            except Lost:
                pass
            except TiercareError as error:
                log.warning("a reindex stopped and is tried again", parameter=version.id, reason=str(error))
            except Exception:
                log.exception("a reindex stopped and is tried again", parameter=version.id)
        await asyncio.sleep(LOOK)
