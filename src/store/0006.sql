-- A board as it stood at a moment of the past, exactly: beside the changes it takes when each source was read, and what
-- of a value a change does not say.

-- 1: a board of a past day that was read after the fact; what the service saw itself stands above it.
ALTER TABLE change ADD COLUMN late INTEGER NOT NULL DEFAULT 0;
CREATE INDEX change_by_source ON change (id, source, late, at);
-- Whose figures there are, so that nobody looks through the changes for them.
CREATE TABLE figure (
    id TEXT NOT NULL,
    source TEXT NOT NULL,
    feed TEXT NOT NULL,
    PRIMARY KEY (id, source)
) STRICT;
-- When a source was read and its answer was good: by day (since 1970, UTC), the seconds of the day behind commas.
CREATE TABLE watched (
    feed TEXT NOT NULL,
    source TEXT NOT NULL,
    day INTEGER NOT NULL,
    seconds TEXT NOT NULL,
    PRIMARY KEY (feed, source, day)
) STRICT;
-- From when to when a source was watched before that was kept.
CREATE TABLE watched_before (
    feed TEXT NOT NULL,
    source TEXT NOT NULL,
    first_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    PRIMARY KEY (feed, source)
) STRICT;
-- A value from an instant on, where the changes of its source do not tell its times or what was before it.
CREATE TABLE stood (
    id TEXT NOT NULL,
    source TEXT NOT NULL,
    at INTEGER NOT NULL,
    kept TEXT NOT NULL,
    sum INTEGER NOT NULL,
    PRIMARY KEY (id, source, at)
) STRICT;
-- The same figures under another date.
CREATE TABLE dated (
    id TEXT NOT NULL,
    source TEXT NOT NULL,
    at INTEGER NOT NULL,
    as_of TEXT NOT NULL,
    PRIMARY KEY (id, source, at)
) STRICT;

INSERT INTO figure (id, source, feed) SELECT DISTINCT id, source, feed FROM change;
INSERT INTO watched_before (feed, source, first_at, last_at)
    SELECT c.feed, c.source, min(c.at), max(q.checked_at) FROM change c
    JOIN quote q ON q.feed = c.feed AND q.source = c.source GROUP BY c.feed, c.source;
