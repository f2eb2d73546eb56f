-- Days that have passed and were asked for since, and what came of each: they are not asked for again.
CREATE TABLE backfill (
    feed TEXT NOT NULL,
    source TEXT NOT NULL,
    day TEXT NOT NULL,
    outcome TEXT NOT NULL,
    asked_at INTEGER NOT NULL,
    PRIMARY KEY (feed, source, day)
) STRICT;
-- Until when a source asked to be left alone, where that is longer than a run waits.
CREATE TABLE backfill_wait (
    feed TEXT NOT NULL,
    source TEXT NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (feed, source)
) STRICT;
