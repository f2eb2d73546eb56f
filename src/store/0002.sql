-- Values that wait for confirmation beside the ones that are served; as JSON, like figures.
CREATE TABLE held (
    feed TEXT NOT NULL,
    source TEXT NOT NULL,
    key TEXT NOT NULL,
    held TEXT NOT NULL,
    PRIMARY KEY (feed, source, key)
) STRICT;
