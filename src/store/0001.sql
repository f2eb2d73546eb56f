-- The newest value of every quote, every change, the last accepted answer of every source, and at which publish
-- each document last changed. Instants are Unix seconds; figures are JSON with decimals as text.
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE quote (
    id TEXT NOT NULL,
    source TEXT NOT NULL,
    feed TEXT NOT NULL,
    figures TEXT NOT NULL,
    previous TEXT,
    as_of TEXT NOT NULL,
    fetched_at INTEGER NOT NULL,
    checked_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (id, source)
) STRICT;
CREATE INDEX quote_by_source ON quote (feed, source);

CREATE TABLE change (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    source TEXT NOT NULL,
    feed TEXT NOT NULL,
    at INTEGER NOT NULL,
    as_of TEXT NOT NULL,
    figures TEXT NOT NULL
) STRICT;
CREATE INDEX change_by_id ON change (id, at);

CREATE TABLE source (
    feed TEXT NOT NULL,
    source TEXT NOT NULL,
    keys TEXT NOT NULL,
    attempted_at INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT,
    PRIMARY KEY (feed, source)
) STRICT;

CREATE TABLE document (
    name TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    generated_at INTEGER NOT NULL,
    hash TEXT NOT NULL
) STRICT;
