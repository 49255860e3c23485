"""The workspace's tables, one entry per format; migrations go forward only (``contracts.md``).

Format n is what the first n entries make. A release never edits an entry that was shipped: it appends one.
"""

from __future__ import annotations

from typing import Final

__all__ = ["APPLICATION_ID", "MIGRATIONS", "Migration"]

Migration = tuple[str, ...]

# "rlex" in ASCII: tells our file from any other program's SQLite file.
APPLICATION_ID: Final = 0x726C6578

_FIRST: Final[Migration] = (
    """CREATE TABLE runs (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        value TEXT NOT NULL
    )""",
    """CREATE TABLE steps (
        id TEXT PRIMARY KEY,
        run TEXT NOT NULL REFERENCES runs(id),
        kind TEXT NOT NULL,
        value TEXT NOT NULL,
        spend TEXT NOT NULL,
        at TEXT NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE ledgers (
        run TEXT PRIMARY KEY REFERENCES runs(id),
        value TEXT NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE events (
        run TEXT NOT NULL REFERENCES runs(id),
        seq INTEGER NOT NULL,
        at TEXT NOT NULL,
        step TEXT NOT NULL,
        kind TEXT NOT NULL,
        data TEXT NOT NULL,
        PRIMARY KEY (run, seq)
    ) WITHOUT ROWID""",
    """CREATE TABLE documents (
        run TEXT NOT NULL REFERENCES runs(id),
        name TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (run, name)
    ) WITHOUT ROWID""",
    """CREATE TABLE trials (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        run TEXT NOT NULL REFERENCES runs(id),
        id TEXT NOT NULL,
        value TEXT NOT NULL,
        UNIQUE (run, id)
    )""",
    "CREATE INDEX trials_by_id ON trials(id)",
    """CREATE TABLE lessons (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        value TEXT NOT NULL
    )""",
    """CREATE TABLE skills (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        value TEXT NOT NULL
    )""",
    """CREATE TABLE exchanges (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        run TEXT NOT NULL REFERENCES runs(id),
        kind TEXT NOT NULL,
        question TEXT NOT NULL,
        answer TEXT NOT NULL,
        usage TEXT NOT NULL,
        at TEXT NOT NULL
    )""",
    "CREATE INDEX exchanges_by_run ON exchanges(run)",
    """CREATE TABLE commands (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        run TEXT NOT NULL REFERENCES runs(id),
        kind TEXT NOT NULL,
        payload TEXT NOT NULL,
        created TEXT NOT NULL,
        state TEXT NOT NULL
    )""",
    "CREATE INDEX commands_by_state ON commands(run, state)",
)

# ``seq`` never comes back, so that an index over the vectors can ask for what is newer than it has seen.
_SECOND: Final[Migration] = (
    """CREATE TABLE vectors (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        embedder TEXT NOT NULL,
        item TEXT NOT NULL,
        text_hash TEXT NOT NULL,
        vector BLOB NOT NULL,
        UNIQUE (embedder, item)
    )""",
    # Covers every column but the vector: which texts are known is asked without reading the vectors' pages.
    "CREATE INDEX vectors_by_seq ON vectors(embedder, seq, item, text_hash)",
    """CREATE TABLE testimonies (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        lesson TEXT NOT NULL,
        trial TEXT NOT NULL,
        value TEXT NOT NULL,
        UNIQUE (lesson, trial)
    )""",
)

# Calls of language models, each kept before its reply is used, so that none is paid for twice.
_THIRD: Final[Migration] = (
    """CREATE TABLE calls (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        run TEXT NOT NULL REFERENCES runs(id),
        id TEXT NOT NULL,
        question TEXT NOT NULL,
        value TEXT NOT NULL,
        at TEXT NOT NULL,
        UNIQUE (run, id)
    )""",
    # A refusal that a passing fault brought about: the run went on without, and may ask again when it is resumed.
    "ALTER TABLE exchanges ADD COLUMN passing INTEGER NOT NULL DEFAULT 0",
)

MIGRATIONS: Final[tuple[Migration, ...]] = (_FIRST, _SECOND, _THIRD)
