-- The figures of which a change was ever kept, so that nobody looks through all changes to learn which there are.
CREATE TABLE series (
    id TEXT PRIMARY KEY,
    feed TEXT NOT NULL
) STRICT;
INSERT INTO series (id, feed) SELECT id, min(feed) FROM change GROUP BY id;
CREATE INDEX series_by_feed ON series (feed);
