-- What happened at a publish, for readers of /v1/events that come back. seq is 1024 times the publish's number plus the
-- event's place in it.
CREATE TABLE event (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    what TEXT NOT NULL,
    feed TEXT NOT NULL,
    subject TEXT NOT NULL,
    data TEXT NOT NULL
) STRICT;
CREATE INDEX event_at ON event (at);
