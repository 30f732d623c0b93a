"""Polling a database through SQLAlchemy: SQLite always, PostgreSQL in a server of its own when one is installed."""

import contextlib
import datetime
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from adapters.delivery import Delivery, Target
from adapters.his_tables import ADAPTER
from adapters.listeners.database import Bookmark, Source, poll
from adapters.runner import Conversion
from tests import servers

COLUMNS = "zyh, xm, yljgdm, bah, ryrq, zyzdbm, changed"
QUERY = "SELECT * FROM discharged WHERE changed >= :bookmark ORDER BY changed, zyh"


class Counting:
    """A sink that remembers what it was given; `away` makes it answer like a server that is down."""

    def __init__(self) -> None:
        self.got: list[str] = []
        self.away = False

    def deliver(self, conversion: Conversion) -> Delivery:
        if self.away:
            return Delivery("again")
        self.got.append(conversion.parsed.raw.decode().splitlines()[1].split(",")[0])
        return Delivery("stored")


@contextlib.contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """A PostgreSQL of the test's own on a free port; it does not run as root."""
    user = ["runuser", "-u", "nobody", "--"] if os.geteuid() == 0 else []
    if user:
        shutil.chown(folder, pwd.getpwnam("nobody").pw_uid)
    port, data = servers.free_port(), folder / "data"
    subprocess.run(
        [*user, "initdb", "-D", data, "-U", "test", "-A", "trust", "-N"], check=True, capture_output=True, cwd=folder
    )
    command = [*user, "postgres", "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", str(folder), "-F"]
    with servers.running(command, port, folder / "log.txt"):
        engine = sqlalchemy.create_engine(f"postgresql+pg8000://test@127.0.0.1:{port}/postgres")
        for _ in range(100):
            with contextlib.suppress(sqlalchemy.exc.DBAPIError, OSError), engine.connect():
                break
        engine.dispose()
        yield f"postgresql+pg8000://test@127.0.0.1:{port}/postgres"


KINDS = ["sqlite", *(["postgresql"] if shutil.which("postgres") else [])]


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as name:
        if request.param == "sqlite":
            yield f"sqlite:///{name}/his.db"
        else:
            with postgresql(Path(name)) as url:
                yield url


@pytest.fixture
def database(server: str) -> Iterator[sqlalchemy.Engine]:
    engine = sqlalchemy.create_engine(server, poolclass=sqlalchemy.pool.NullPool)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("DROP TABLE IF EXISTS discharged"))
        kinds = "zyh VARCHAR(20), xm VARCHAR(20), yljgdm VARCHAR(20), bah VARCHAR(20), ryrq DATE, zyzdbm VARCHAR(40)"
        connection.execute(sqlalchemy.text(f"CREATE TABLE discharged ({kinds}, changed INTEGER)"))
    yield engine
    engine.dispose()


def insert(database: sqlalchemy.Engine, *numbers: str, changed: int, diagnosis: str = "I10.x00x002") -> None:
    values = ":n, '沈知微', 'H9001', 'BA77', '2026-01-05', :d, :c"
    with database.begin() as connection:
        for number in numbers:
            statement = sqlalchemy.text(f"INSERT INTO discharged ({COLUMNS}) VALUES ({values})")
            connection.execute(statement, {"n": number, "d": diagnosis, "c": changed})


def polled(database: sqlalchemy.Engine, sink: Any, folder: Path) -> tuple[int, int, str]:
    url = database.url.render_as_string(hide_password=False)
    found = poll(Source(url, QUERY, "changed", "0"), ADAPTER, sink, folder / "bookmark.json")
    return found.sent, found.refused, found.stopped


def test_each_poll_sends_only_what_is_new(database: sqlalchemy.Engine, tmp_path: Path) -> None:
    sink = Counting()
    insert(database, "Z1", "Z2", changed=1)
    assert polled(database, sink, tmp_path)[0] == 2
    assert polled(database, sink, tmp_path)[0] == 0
    insert(database, "Z3", changed=2)
    assert polled(database, sink, tmp_path)[0] == 1
    assert sink.got == ["Z1", "Z2", "Z3"]


def test_a_row_with_the_same_bookmark_as_the_last_is_not_lost(database: sqlalchemy.Engine, tmp_path: Path) -> None:
    sink = Counting()
    insert(database, "Z1", changed=1)
    polled(database, sink, tmp_path)
    insert(database, "Z0", changed=1)
    assert polled(database, sink, tmp_path)[0] == 1
    assert sink.got == ["Z1", "Z0"]


def test_a_server_that_is_away_loses_nothing(database: sqlalchemy.Engine, tmp_path: Path) -> None:
    sink = Counting()
    insert(database, "Z1", changed=1)
    sink.away = True
    sent, _, stopped = polled(database, sink, tmp_path)
    assert sent == 0 and stopped
    sink.away = False
    assert polled(database, sink, tmp_path)[0] == 1


def test_a_row_at_fault_does_not_stop_the_others(database: sqlalchemy.Engine, tmp_path: Path) -> None:
    sink = Counting()
    with database.begin() as connection:
        connection.execute(sqlalchemy.text("INSERT INTO discharged (zyh, changed) VALUES ('Z1', 1)"))
    insert(database, "Z2", changed=2)
    assert polled(database, sink, tmp_path) == (2, 1, "")


def test_a_server_stores_polled_rows_once(database: sqlalchemy.Engine, tmp_path: Path) -> None:
    insert(database, "Z1", changed=1)
    with servers.tiercare(tmp_path / "fhir") as fhir:
        target = Target(fhir.base)
        assert polled(database, target, tmp_path) == (1, 0, "")
        (tmp_path / "bookmark.json").unlink()
        assert polled(database, target, tmp_path) == (1, 0, "")
        target.close()
        import httpx

        found = httpx.get(f"{fhir.base}/Encounter", params={"_summary": "count"}, timeout=20).json()
        assert found["total"] == 1


@pytest.mark.parametrize("value", [7, 2.5, "2026-01-01", datetime.datetime(2026, 1, 1, 8), datetime.date(2026, 1, 1)])
def test_a_bookmark_is_read_as_it_was_written(value: Any, tmp_path: Path) -> None:
    Bookmark(value, ["a"]).save(tmp_path / "b.json")
    assert Bookmark.load(tmp_path / "b.json", "0") == Bookmark(value, ["a"])


def test_a_broken_bookmark_is_an_error_and_not_a_new_beginning(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text("{}")
    with pytest.raises(ValueError, match="no bookmark"):
        Bookmark.load(tmp_path / "b.json", "0")


def test_a_query_without_a_bookmark_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=":bookmark"):
        poll(Source("sqlite://", "SELECT 1", "changed", "0"), ADAPTER, Counting(), tmp_path / "b.json")
