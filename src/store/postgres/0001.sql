-- What SQLite keeps, on a server: the newest value of every quote, every change, the last accepted answer of every source, at
-- which publish each document last changed. Instants are Unix seconds; figures are JSON with decimals as text.
CREATE TABLE quote (
    id TEXT NOT NULL,
    source TEXT NOT NULL,
    feed TEXT NOT NULL,
    figures TEXT NOT NULL,
    previous TEXT,
    as_of TEXT NOT NULL,
    fetched_at BIGINT NOT NULL,
    checked_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    sum BIGINT,
    PRIMARY KEY (id, source)
);
CREATE INDEX quote_by_source ON quote (feed, source);

-- The same change is kept once, however often it is written.
CREATE SEQUENCE change_seq;
CREATE TABLE change (
    seq BIGINT NOT NULL DEFAULT nextval('change_seq'),
    id TEXT NOT NULL,
    source TEXT NOT NULL,
    feed TEXT NOT NULL,
    at BIGINT NOT NULL,
    as_of TEXT NOT NULL,
    figures TEXT NOT NULL,
    sum BIGINT NOT NULL,
    -- 1: a board of a past day that was read after the fact; 2: shown from then on, though its source said it before
    late BIGINT NOT NULL DEFAULT 0,
    -- 0: what a source said while another one before it was served
    shown BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (id, at, source, sum)
) /* by month */;
CREATE INDEX change_by_source ON change (id, source, late, at);

CREATE TABLE source (
    feed TEXT NOT NULL,
    source TEXT NOT NULL,
    keys TEXT NOT NULL,
    attempted_at BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT,
    sum BIGINT,
    PRIMARY KEY (feed, source)
);

CREATE TABLE document (
    name TEXT PRIMARY KEY,
    version BIGINT NOT NULL,
    generated_at BIGINT NOT NULL,
    hash TEXT NOT NULL,
    sum BIGINT
);

CREATE TABLE held (
    feed TEXT NOT NULL,
    source TEXT NOT NULL,
    key TEXT NOT NULL,
    held TEXT NOT NULL,
    PRIMARY KEY (feed, source, key)
);

CREATE SEQUENCE audit_seq;
CREATE TABLE audit (
    seq BIGINT PRIMARY KEY DEFAULT nextval('audit_seq'),
    at BIGINT NOT NULL,
    via TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    before TEXT,
    after TEXT,
    outcome TEXT NOT NULL
);

CREATE TABLE backfill (
    feed TEXT NOT NULL,
    source TEXT NOT NULL,
    day TEXT NOT NULL,
    outcome TEXT NOT NULL,
    asked_at BIGINT NOT NULL,
    PRIMARY KEY (feed, source, day)
);
CREATE TABLE backfill_wait (
    feed TEXT NOT NULL,
    source TEXT NOT NULL,
    until BIGINT NOT NULL,
    PRIMARY KEY (feed, source)
);

-- What of a past board its changes do not say: see 0006.sql of SQLite.
CREATE TABLE figure (
    id TEXT NOT NULL,
    source TEXT NOT NULL,
    feed TEXT NOT NULL,
    PRIMARY KEY (id, source)
);
CREATE TABLE watched (
    feed TEXT NOT NULL,
    source TEXT NOT NULL,
    day BIGINT NOT NULL,
    seconds TEXT NOT NULL,
    PRIMARY KEY (feed, source, day)
);
CREATE TABLE watched_before (
    feed TEXT NOT NULL,
    source TEXT NOT NULL,
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    PRIMARY KEY (feed, source)
);
CREATE TABLE stood (
    id TEXT NOT NULL,
    source TEXT NOT NULL,
    at BIGINT NOT NULL,
    kept TEXT NOT NULL,
    sum BIGINT NOT NULL,
    PRIMARY KEY (id, source, at)
);
CREATE TABLE dated (
    id TEXT NOT NULL,
    source TEXT NOT NULL,
    at BIGINT NOT NULL,
    as_of TEXT NOT NULL,
    PRIMARY KEY (id, source, at)
);

-- The figures of which a change was ever kept.
CREATE TABLE series (
    id TEXT PRIMARY KEY,
    feed TEXT NOT NULL
);
CREATE INDEX series_by_feed ON series (feed);

-- What happened at a publish, for readers of /v1/events that come back.
CREATE TABLE event (
    seq BIGINT PRIMARY KEY,
    at BIGINT NOT NULL,
    what TEXT NOT NULL,
    feed TEXT NOT NULL,
    subject TEXT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX event_at ON event (at);

-- Who fetches. Whoever takes over counts the epoch up; what is written under an earlier one is refused.
CREATE TABLE lease (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    until TIMESTAMPTZ NOT NULL
);
INSERT INTO lease (name, holder, epoch, until) VALUES ('leader', '', 0, to_timestamp(0));

-- What every replica serves: the newest publish, and each feed as it was published.
CREATE TABLE publication (
    name TEXT PRIMARY KEY,
    version BIGINT NOT NULL,
    at BIGINT NOT NULL
);
CREATE TABLE published_feed (
    feed TEXT PRIMARY KEY,
    version BIGINT NOT NULL,
    state TEXT NOT NULL
);
