"""Tables of the SQLite store, and the pragmas they are measured with (docs/decisions/0002-sqlite-layout.md).

One narrow WITHOUT ROWID table for each shape of entry, clustered by parameter. `p` is the number of an interned
(type, parameter) pair, so the type test is free; `rid` is a row number that a resource keeps for life.
"""

import sqlite3

from server.errors import Invalid

VERSION = 2

TABLES = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS word (n INTEGER PRIMARY KEY, kind TEXT NOT NULL, text TEXT NOT NULL, UNIQUE (kind, text));
-- body NULL: deleted, or only referred to so far (ver 0)
CREATE TABLE IF NOT EXISTS res (
    rid INTEGER PRIMARY KEY, type INT NOT NULL, id TEXT NOT NULL, ver INT NOT NULL, stamp INT NOT NULL,
    method TEXT NOT NULL, body BLOB);
CREATE UNIQUE INDEX IF NOT EXISTS res_id ON res (id, type);
-- bodies that are not current any more
CREATE TABLE IF NOT EXISTS hist (
    seq INTEGER PRIMARY KEY, rid INT NOT NULL, ver INT NOT NULL, stamp INT NOT NULL, method TEXT NOT NULL, body BLOB);
CREATE UNIQUE INDEX IF NOT EXISTS hist_version ON hist (rid, ver);
-- one line a write: the change sequence, and the history of a type and of the system
CREATE TABLE IF NOT EXISTS log (
    stamp INTEGER PRIMARY KEY, rid INT NOT NULL, ver INT NOT NULL, method TEXT NOT NULL);
-- living resources of a type, in their own order and by last update
CREATE TABLE IF NOT EXISTS live (type INT, rid INT, PRIMARY KEY (type, rid)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS late (type INT, stamp INT, rid INT, PRIMARY KEY (type, stamp)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS claim (key TEXT PRIMARY KEY, rid INT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS claim_rid ON claim (rid);

-- rank is in the key: a part may occur twice with one value (keys.Together)
CREATE TABLE IF NOT EXISTS tok (
    p INT, k TEXT, rid INT, sys INT, rank INT, PRIMARY KEY (p, k, rid, sys, rank)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS str (
    p INT, k TEXT, rid INT, raw TEXT, rank INT, PRIMARY KEY (p, k, rid, raw, rank)) WITHOUT ROWID;
-- the same forwards: what a resource has, for probes and for its sort values
CREATE INDEX IF NOT EXISTS tok_rid ON tok (rid, p, rank);
CREATE INDEX IF NOT EXISTS str_rid ON str (rid, p, rank);
-- words are neither sorted by nor asked for as missing, so they need no way forwards
CREATE TABLE IF NOT EXISTS gram (p INT, k TEXT, rid INT, PRIMARY KEY (p, k, rid)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ref (p INT, k INT, rid INT, PRIMARY KEY (p, k, rid)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ref_rid ON ref (rid, p);
CREATE TABLE IF NOT EXISTS span (
    p INT, k INT, lo INT, rid INT, hi INT, rank INT, PRIMARY KEY (p, k, lo, rid, hi, rank)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS span_rid ON span (rid, p, lo);
-- of a parameter's spans: the widest there ever was, and whether a resource ever had several
CREATE TABLE IF NOT EXISTS width (p INTEGER PRIMARY KEY, widest INT NOT NULL, several INT NOT NULL);
"""

PRAGMAS = {
    "journal_mode": "WAL",
    "synchronous": "FULL",  # an acknowledged write survives a power cut
    "foreign_keys": "OFF",
    "temp_store": "MEMORY",
    "cache_size": -65536,  # KiB: 64 MB
    "wal_autocheckpoint": 0,  # checkpoints run beside the request path, writer.py
    "journal_size_limit": 2**20,  # a WAL that begins anew is cut to this, so that its size says how far it has grown
    "secure_delete": 1,  # zeros where bytes lay: else pieces of what expunge removed stay in the file
    "busy_timeout": 5000,
}
READER_PRAGMAS = {"mmap_size": 2147418112, "cache_size": -65536, "temp_store": "MEMORY", "query_only": 1}


def prepare(connection: sqlite3.Connection) -> None:
    """Pragmas and tables of a file. Raises Invalid for a file of another layout, which stays as it is."""
    for name, value in PRAGMAS.items():
        connection.execute(f"PRAGMA {name}={value}")
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name='meta'").fetchone():
        found = connection.execute("SELECT value FROM meta WHERE name='schema'").fetchone()
        if found is not None and found[0] != VERSION:
            raise Invalid(
                f"the data has layout {found[0]} and this server needs {VERSION}: "
                "use the server that wrote it, or another data folder"
            )
    connection.executescript(TABLES)
    connection.execute("INSERT OR IGNORE INTO meta VALUES ('schema', ?)", (VERSION,))
