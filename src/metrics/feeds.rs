//! What is told of feeds and their sources: counts of their exchanges, and everything that their state says. The
//! state is read off the newest snapshot at each scrape and never set from a worker, so a feed that is switched off
//! loses its series with its place on the board.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _},
    metrics::{MetricType, histogram::Histogram},
    registry::Unit,
};

use super::{counters, gauges};
use crate::{
    board::{ServedFeed, Shared, Snapshot, Standing, Status},
    clock::Clock,
    document::shapes::SourceStanding,
};

/// From a name in a cache to the longest deadline, in seconds.
const BUCKETS: [f64; 10] = [0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 20.0, 90.0];
/// Nobody asks whether it was more, and each costs a look at the calendar.
const MOST_MISSED: u32 = 100;

/// A part of an exchange with a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The host's name.
    Dns,
    /// The connection, TLS included.
    Connect,
    /// From the request to the head of the answer.
    FirstByte,
    /// The rest of the answer.
    Body,
    /// Reading it.
    Parse,
}

impl Phase {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::FirstByte => "first_byte",
            Self::Body => "body",
            Self::Parse => "parse",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct Fetched {
    feed: &'static str,
    source: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct OfSource {
    feed: &'static str,
    source: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfFeed {
    feed: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InPhase {
    feed: &'static str,
    phase: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WithStatus {
    feed: &'static str,
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InState {
    feed: &'static str,
    source: &'static str,
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Aged {
    feed: &'static str,
    source: &'static str,
    kind: &'static str,
}

/// What workers and exchanges count.
#[derive(Debug, Default)]
struct Counted {
    fetches: BTreeMap<Fetched, u64>,
    durations: BTreeMap<(&'static str, Phase), Histogram>,
    certificates: BTreeMap<OfSource, i64>,
    skews: BTreeMap<OfSource, i64>,
    outliers: BTreeMap<OfSource, u64>,
}

/// All feeds.
#[derive(Default)]
pub(super) struct Feeds {
    counted: Mutex<Counted>,
    board: OnceLock<(Shared, Clock)>,
}

impl fmt::Debug for Feeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Feeds")
    }
}

impl Feeds {
    pub(super) fn watch(&self, board: Shared, clock: Clock) {
        let _ = self.board.set((board, clock));
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn fetched(&self, feed: &'static str, source: &'static str, outcome: &'static str) {
        *self.counted().fetches.entry(Fetched { feed, source, outcome }).or_default() += 1;
    }

    pub(super) fn took(&self, feed: &'static str, phase: Phase, time: Duration) {
        let mut counted = self.counted();
        let own = counted.durations.entry((feed, phase)).or_insert_with(|| Histogram::new(BUCKETS));
        own.observe(time.as_secs_f64());
    }

    pub(super) fn certificate(&self, feed: &'static str, source: &'static str, ends: i64) {
        self.counted().certificates.insert(OfSource { feed, source }, ends);
    }

    pub(super) fn clock_skew(&self, feed: &'static str, source: &'static str, seconds: i64) {
        self.counted().skews.insert(OfSource { feed, source }, seconds);
    }

    pub(super) fn outliers(&self, feed: &'static str, source: &'static str, rows: usize) {
        let rows = u64::try_from(rows).unwrap_or(u64::MAX);
        self.counted().outliers.insert(OfSource { feed, source }, rows);
    }
}

impl Collector for Feeds {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let board = self.board.get().map(|(board, clock)| (board.load_full(), clock.now()));
        if let Some((snapshot, now)) = &board {
            states(&mut encoder, snapshot, *now)?;
        }
        self.counts(&mut encoder, board.as_ref().map(|(snapshot, _)| snapshot))
    }
}

impl Feeds {
    /// What was counted of feeds and sources that are on the board.
    fn counts(&self, encoder: &mut DescriptorEncoder, board: Option<&Arc<Snapshot>>) -> fmt::Result {
        let served = |feed: &str| {
            board.is_none_or(|board| board.feeds.iter().any(|known| known.state.feed.id == feed))
        };
        let asked = |of: &OfSource| {
            let own = |feed: &&ServedFeed| feed.state.feed.id == of.feed;
            board.is_none_or(|board| {
                board.feeds.iter().find(own).is_some_and(|feed| {
                    let mut on = feed.state.sources.iter().filter(|source| source.standing == Standing::On);
                    on.any(|source| source.source.id == of.source)
                })
            })
        };
        let counted = self.counted();
        let fetches = counted.fetches.iter().filter(|(of, _)| served(of.feed));
        let fetches = fetches.map(|(of, count)| (of.clone(), *count));
        counters(encoder, "fetch", "How each attempt at a source ended", fetches)?;
        let help = "Time of each part of an exchange, retries apart";
        let mut family =
            encoder.encode_descriptor("fetch_duration", help, Some(&Unit::Seconds), MetricType::Histogram)?;
        for ((feed, phase), times) in counted.durations.iter().filter(|((feed, _), _)| served(feed)) {
            times.encode(family.encode_family(&InPhase { feed, phase: phase.as_str() })?)?;
        }
        let of_source = |values: &BTreeMap<OfSource, i64>| {
            let asked = values.iter().filter(|(of, _)| asked(of));
            asked.map(|(of, value)| (of.clone(), *value)).collect::<Vec<_>>()
        };
        let help = "When the certificate ends that a source last showed";
        let certificates = of_source(&counted.certificates);
        gauges(encoder, "upstream_cert_expiry_timestamp", help, Some(&Unit::Seconds), certificates)?;
        let help = "How far the clock of a source is ahead of ours, by its last answer";
        gauges(encoder, "clock_skew", help, Some(&Unit::Seconds), of_source(&counted.skews))?;
        let outliers = counted.outliers.iter().filter(|(of, _)| asked(of));
        let outliers = outliers.map(|(of, rows)| (of.clone(), *rows));
        let help = "Rows of a source's last answer that were refused or held";
        gauges(encoder, "source_outlier_quotes", help, None, outliers)
    }
}

const STATUSES: [Status; 4] = [Status::Fresh, Status::Stale, Status::Expired, Status::Unavailable];

/// What the state of each feed says.
fn states(encoder: &mut DescriptorEncoder, snapshot: &Snapshot, now: Timestamp) -> fmt::Result {
    let feeds = || snapshot.feeds.iter();
    let id = |feed: &ServedFeed| feed.state.feed.id;
    let seconds = Some(&Unit::Seconds);

    let status = feeds().flat_map(|feed| {
        let own = feed.best.map_or(Status::Unavailable, |(_, until)| until.status(now));
        STATUSES
            .map(|status| (WithStatus { feed: id(feed), status: status.as_str() }, i64::from(status == own)))
    });
    gauges(encoder, "feed_status", "1 for the status that a feed has", None, status)?;
    let paused = feeds().map(|feed| (OfFeed { feed: id(feed) }, i64::from(feed.state.paused)));
    gauges(encoder, "feed_paused", "1 while the operator lets a feed rest", None, paused)?;
    let quotes = feeds().flat_map(|feed| {
        // A quote that is there was read once.
        [Status::Fresh, Status::Stale, Status::Expired].map(|status| {
            let count = feed.quotes.iter().filter(|quote| quote.freshness.status(now) == status).count();
            (WithStatus { feed: id(feed), status: status.as_str() }, count)
        })
    });
    gauges(encoder, "quotes", "Quotes that are served, by their own status", None, quotes)?;
    let until = |at: fn(&crate::board::Freshness) -> Timestamp| {
        feeds().filter_map(move |feed| {
            feed.best.map(|(_, until)| (OfFeed { feed: id(feed) }, at(&until).as_second()))
        })
    };
    let help = "Until when what is served is fresh";
    gauges(encoder, "feed_fresh_until_timestamp", help, seconds, until(|until| until.fresh_until))?;
    let help = "When what is served is too old to be shown";
    gauges(encoder, "feed_expires_timestamp", help, seconds, until(|until| until.expires_at))?;
    let next = feeds()
        .filter_map(|feed| feed.state.next_refresh_at.map(|at| (OfFeed { feed: id(feed) }, at.as_second())));
    gauges(encoder, "feed_next_run_timestamp", "When a feed is asked next", seconds, next)?;
    let missed = feeds().map(|feed| (OfFeed { feed: id(feed) }, feed.state.missed_runs(now, MOST_MISSED)));
    let help =
        "Due runs since the last good answer that brought nothing, holidays left out; 100 and more are 100";
    gauges(encoder, "missed_runs", help, None, missed)?;
    let missed = feeds().map(|feed| (OfFeed { feed: id(feed) }, feed.state.missed_boards(now)));
    let help = "Working days on which a new board was due and did not come";
    gauges(encoder, "missed_publishes", help, None, missed)?;
    let held = feeds().map(|feed| {
        let waiting = feed.state.sources.iter().flat_map(|source| source.held.values());
        (OfFeed { feed: id(feed) }, waiting.filter(|held| !held.refused).count())
    });
    gauges(encoder, "quarantined_values", "Values held beside what is served", None, held)?;
    let help = "How long ago the oldest quote that is shown of a source was checked";
    gauges(encoder, "quote_age", help, seconds, feeds().flat_map(|feed| ages(feed, now)))?;

    let sources = || feeds().flat_map(|feed| feed.state.sources.iter().map(move |source| (feed, source)));
    let states = sources().flat_map(|(feed, source)| {
        let own = SourceStanding::of(feed, source).0;
        SourceStanding::ALL.map(|state| {
            let labels = InState { feed: id(feed), source: source.source.id, state: state.as_str() };
            (labels, i64::from(state == own))
        })
    });
    gauges(encoder, "source_state", "1 for what a source is doing", None, states)?;
    let good =
        sources().filter(|(_, source)| source.standing == Standing::On).filter_map(|(feed, source)| {
            let checked = source.kept.values().map(|kept| kept.checked_at).max()?;
            Some((OfSource { feed: id(feed), source: source.source.id }, checked.as_second()))
        });
    let help = "When a source was last accepted or unchanged";
    gauges(encoder, "source_last_success_timestamp", help, seconds, good)
}

/// The age of each source's oldest quote that is not expired; of its newest where all are: what a bank has dropped would
/// grow older for ever.
fn ages(feed: &ServedFeed, now: Timestamp) -> Vec<(Aged, i64)> {
    let age = |checked: Timestamp| now.as_second().saturating_sub(checked.as_second()).max(0);
    let of_source = |source: &'static str| {
        let own = || feed.quotes.iter().filter(move |quote| quote.source.id == source);
        let shown = own().filter(|quote| quote.freshness.status(now) < Status::Expired);
        let oldest = shown.map(|quote| quote.kept.checked_at).min();
        let checked = oldest.or_else(|| own().map(|quote| quote.kept.checked_at).max())?;
        let kind = feed.state.feed.kind.as_str();
        Some((Aged { feed: feed.state.feed.id, source, kind }, age(checked)))
    };
    feed.state.sources.iter().filter_map(|source| of_source(source.source.id)).collect()
}
