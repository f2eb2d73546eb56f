//! A board as it stood: what was kept at a moment, under the rules and feeds of today, served as the present one is, so
//! that there is one renderer. Pure; it reads no store and no clock, and takes nothing of the present but its settings.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::{
    backfill,
    board::{FeedState, Snapshot, SourceState, trend_price},
    clock::day,
    store::Stand,
};

/// The board of a moment.
#[must_use]
pub fn board(present: &Snapshot, stands: &[Stand], at: Timestamp) -> Snapshot {
    let feeds = present.feeds.iter().map(|feed| {
        let state = &feed.state;
        let own = |source: &SourceState| -> Vec<&Stand> {
            let same = |stand: &&Stand| stand.feed == state.feed.id && stand.source == source.source.id;
            stands.iter().filter(same).collect()
        };
        let mut past = FeedState {
            institution: state.institution,
            feed: state.feed,
            rules: state.rules.clone(),
            paused: false,
            shown: BTreeMap::new(),
            sources: state.sources.iter().map(|source| source_at(source, &own(source))).collect(),
            next_refresh_at: state.rules.schedule.after(at),
            failure: None,
            missed: 0,
            missed_publishes: 0,
        };
        past.count_missed(at);
        std::sync::Arc::new(past).serve(at)
    });
    Snapshot { recorded: present.recorded, at, ..Snapshot::of(feeds.collect()) }
}

/// More days in a row without boards there are nowhere.
const LONGEST_REST: usize = 400;

/// Feeds whose figures of a moment `backfill` may still change: on the last day that it can ask for, nobody watched.
#[must_use]
pub fn fillable(
    present: &Snapshot,
    watched: &BTreeMap<(String, String), Timestamp>,
    at: Timestamp,
) -> BTreeSet<&'static str> {
    // Recordings have no past days.
    let feeds = present.feeds.iter().filter(|_| !present.recorded).map(|feed| &feed.state);
    let is_fillable = |state: &FeedState| {
        let (source, past) = backfill::offering(state.feed)?;
        let days = std::iter::successors(Some(day(at)), |day| day.yesterday().ok()).take(LONGEST_REST);
        let mut asked = days.filter(|day| backfill::has_boards(&past, &state.rules.calendar, *day));
        // A board that is read after the fact counts from the day after the last on which somebody watched.
        let seen = watched.get(&(state.feed.id.to_owned(), source.id.to_owned())).map(|seen| day(*seen));
        let last = asked.next()?;
        seen.is_none_or(|seen| seen < last).then_some(state.feed.id)
    };
    feeds.filter_map(|state| is_fillable(state)).collect()
}

fn source_at(source: &SourceState, stands: &[&Stand]) -> SourceState {
    let mut past = SourceState {
        source: source.source,
        standing: source.standing.clone(),
        url: source.url.clone(),
        kept: BTreeMap::new(),
        last_keys: Vec::new(),
        sides: BTreeMap::new(),
        held: BTreeMap::new(),
        last: None,
        trends: BTreeMap::new(),
    };
    for Stand { kept, course, .. } in stands {
        let key = kept.quote.key();
        for (at, price) in course {
            past.extend_trend_by(&key, *at, *price);
        }
        // A course ends with the price that stands beside it.
        if let (Some(trend), Some(price)) = (past.trends.get_mut(&key), trend_price(&kept.quote)) {
            trend.retain(|(at, _)| *at <= kept.checked_at);
            if trend.last().is_some_and(|(_, last)| *last != price) {
                trend.push((kept.checked_at, price));
            }
        }
        past.kept.insert(key, kept.clone());
    }
    past
}
