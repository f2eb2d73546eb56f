//! What happened: the difference between two snapshots, as events that somebody outside can be told. Pure: it knows
//! neither a clock nor who listens. Whoever is slow sees two snapshots that are further apart, and of what came and
//! went between them nothing.

use std::{collections::BTreeSet, fmt, str::FromStr, sync::Arc};

use jiff::Timestamp;
use providers::{Quote, Reason, WeightUnit};
use serde::Serialize;

use crate::{
    board::{Served, ServedFeed, Snapshot, Standing, Status},
    clock::rfc3339,
    document::{
        self,
        shapes::{FeedDetail, HeldJson, QuoteJson},
    },
    judge::hold::Held,
};

/// Kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// A feed is no longer fresh.
    Stale,
    /// A feed that was not fresh is fresh again.
    Recovered,
    /// A value waits for confirmation.
    Held,
    /// The figures of a quote differ, or the quote is new.
    Changed,
}

impl What {
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::Changed, Self::Stale, Self::Recovered, Self::Held];

    /// Its name outside.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stale => "feed.stale",
            Self::Recovered => "feed.recovered",
            Self::Held => "quote.held",
            Self::Changed => "quote.changed",
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for What {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|what| what.as_str() == text).ok_or_else(|| {
            format!("\"{text}\" is no event; allowed are {}", Self::ALL.map(Self::as_str).join(", "))
        })
    }
}

/// Something that happened.
pub struct Event {
    /// Which kind.
    pub what: What,
    /// The feed that it is about or whose quote it is about.
    pub feed: &'static str,
    /// Since when it is so.
    pub at: Timestamp,
    /// What is told of it.
    pub data: Data,
}

/// What is told of an event: `{ "id", "feed" | "quote", "at" }`, and of a held value what waits and why.
#[derive(Serialize)]
pub struct Data {
    id: String,
    #[serde(flatten)]
    about: About,
    at: String,
}

#[derive(Serialize)]
#[serde(untagged)]
enum About {
    Feed {
        feed: Box<FeedDetail>,
    },
    Quote {
        quote: Box<QuoteJson>,
    },
    Candidate {
        /// As it is served; `None` where nothing is.
        quote: Option<Box<QuoteJson>>,
        candidate: serde_json::Value,
        serving: serde_json::Value,
        reasons: Vec<Reason>,
        since: String,
    },
}

impl Event {
    fn of_feed(what: What, served: &ServedFeed, at: Timestamp) -> Self {
        let feed = served.state.feed.id;
        let about = About::Feed { feed: Box::new(FeedDetail::of(served)) };
        Self { what, feed, at, data: Data { id: feed.to_owned(), about, at: rfc3339(at) } }
    }

    /// Since when the feed is not fresh, not since when somebody saw it.
    fn stale(served: &ServedFeed, seen: Timestamp) -> Self {
        let since = served.best.map(|(_, until)| until.fresh_until).filter(|since| *since <= seen);
        Self::of_feed(What::Stale, served, since.unwrap_or(seen))
    }

    fn changed(served: &ServedFeed, quote: &Served, seen: Timestamp) -> Self {
        let (feed, at) = (served.state.feed, quote.kept.changed_at.min(seen));
        let json = QuoteJson::of(feed, served.state.institution.id, quote, WeightUnit::Luong);
        let about = About::Quote { quote: Box::new(json) };
        let data = Data { id: quote.kept.quote.id(feed.id), about, at: rfc3339(at) };
        Self { what: What::Changed, feed: feed.id, at, data }
    }

    fn held(served: &ServedFeed, source: &'static providers::Source, held: &Held, at: Timestamp) -> Self {
        let (feed, key) = (served.state.feed, held.quote.key());
        let quote = served.quotes.iter().find(|quote| quote.kept.quote.key() == key);
        let quote = quote
            .map(|quote| QuoteJson::of(feed, served.state.institution.id, quote, WeightUnit::Luong))
            .map(Box::new);
        let HeldJson { quote: id, candidate, serving, reasons, since } = HeldJson::of(served, source, held);
        let about = About::Candidate { quote, candidate, serving, reasons, since };
        Self { what: What::Held, feed: feed.id, at, data: Data { id, about, at: rfc3339(at) } }
    }
}

/// Numbers of one publish; the rest of its events have none and are not told.
const OF_ONE_PUBLISH: i64 = 1024;

/// An event of a publish as it is kept and sent, with a number that is the same after every restart and on every replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbered {
    /// Ascends with the publishes, and within one in the order of the documents.
    pub seq: i64,
    /// The publish.
    pub at: Timestamp,
    /// Which kind.
    pub what: What,
    /// The feed that it is about or whose quote it is about.
    pub feed: &'static str,
    /// Id of the feed or of the quote.
    pub subject: String,
    /// What is told, as JSON in one line.
    pub data: String,
}

/// The events of a publish, numbered.
#[must_use]
pub fn numbered(version: i64, at: Timestamp, events: &[Event]) -> Vec<Numbered> {
    let first = version.saturating_mul(OF_ONE_PUBLISH);
    let numbers = (0..OF_ONE_PUBLISH).map(|n| first.saturating_add(n));
    if events.len() > numbers.clone().count() {
        tracing::error!(
            events = events.len(),
            "one publish has more events than numbers; the last are not told"
        );
    }
    numbers
        .zip(events)
        .map(|(seq, event)| Numbered {
            seq,
            at,
            what: event.what,
            feed: event.feed,
            subject: event.data.id.clone(),
            // JSON is UTF-8.
            data: String::from_utf8(document::encode(&event.data)).unwrap_or_default(),
        })
        .collect()
}

/// What happened between two snapshots. A feed that is new has no past, and one that is gone no present.
#[must_use]
pub fn events(before: &Snapshot, after: &Snapshot) -> Vec<Event> {
    let mut events = Vec::new();
    for served in &after.feeds {
        let Some(was) = before.feeds.iter().find(|was| was.state.feed.id == served.state.feed.id) else {
            continue;
        };
        match (was.status, served.status) {
            // What has a value that was never seen fresh was so between the two.
            (Status::Fresh, now) if now != Status::Fresh => events.push(Event::stale(served, after.at)),
            (Status::Unavailable, Status::Stale | Status::Expired) => {
                events.push(Event::stale(served, after.at));
            }
            (Status::Stale | Status::Expired, Status::Fresh) => {
                events.push(Event::of_feed(What::Recovered, served, after.at));
            }
            _ => {}
        }
        // Another source that says the same is no change, and what is no longer served tells its absence in the documents.
        for quote in &served.quotes {
            let key = quote.kept.quote.key();
            let before = was.quotes.iter().find(|before| before.kept.quote.key() == key);
            if !before.is_some_and(|before| before.kept.quote.same_figures(&quote.kept.quote)) {
                events.push(Event::changed(served, quote, after.at));
            }
        }
        // A candidate is its figures: the same ones read again are no news, from whichever source.
        let mut known: Vec<&Quote> = candidates(was).map(|(_, held)| &held.quote).collect();
        for (source, held) in candidates(served).filter(|(_, held)| !held.refused) {
            let same = |quote: &&&Quote| quote.key() == held.quote.key() && quote.same_figures(&held.quote);
            if known.iter().find(same).is_none() {
                known.push(&held.quote);
                events.push(Event::held(served, source, held, after.at));
            }
        }
    }
    events
}

fn candidates(served: &ServedFeed) -> impl Iterator<Item = (&'static providers::Source, &Held)> {
    let asked = served.state.sources.iter().filter(|source| source.standing == Standing::On);
    asked.flat_map(|source| source.held.values().map(|held| (source.source, held)))
}

/// Follows the snapshots from a start on. What was so when the service stopped is no news after the start; a feed that
/// went stale while it was down is news once its first run has not mended that, since most are mended at once.
#[derive(Clone)]
pub struct Follower {
    last: Arc<Snapshot>,
    began: Timestamp,
    /// Feeds that went stale while nobody looked, of which nobody was told.
    untold: BTreeSet<&'static str>,
}

impl Follower {
    /// From the first snapshot of a start on. `published`: when the run before it published last. What passed until
    /// then was seen then, since each passage is a publish.
    #[must_use]
    pub fn new(first: Arc<Snapshot>, published: Option<Timestamp>) -> Self {
        let missed = |served: &&ServedFeed| {
            let since = served.best.map(|(_, until)| until.fresh_until);
            served.status != Status::Fresh && since.zip(published).is_some_and(|(since, seen)| since > seen)
        };
        let untold = first.feeds.iter().filter(missed).map(|served| served.state.feed.id).collect();
        Self { began: first.at, untold, last: first }
    }

    /// What happened since the snapshot before.
    pub fn step(&mut self, next: Arc<Snapshot>) -> Vec<Event> {
        let mut events = events(&self.last, &next);
        events.retain(|event| event.what != What::Recovered || !self.untold.remove(event.feed));
        for served in &next.feeds {
            let attempts = || served.state.sources.iter().filter_map(|source| source.last.as_ref());
            if self.untold.contains(served.state.feed.id)
                && attempts().any(|attempt| attempt.at >= self.began)
            {
                self.untold.remove(served.state.feed.id);
                events.push(Event::stale(served, next.at));
            }
        }
        self.last = next;
        events
    }
}
