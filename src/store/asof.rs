//! What was kept at a moment of the past: of every figure of every source its value and times, as the worker had them
//! then. Reads only, by index: what it costs depends on how many figures there are, not on how many years.

use std::collections::{BTreeMap, btree_map::Entry};

use jiff::{Timestamp, civil::Date};
use providers::{AsOf, Quote, VIETNAM};
use rust_decimal::Decimal;

use super::{
    Kept, Store, StoreError,
    rows::{second, sum},
    sql::Row,
    stood::{DAY, Stood, read_stood},
};
use crate::{
    board::{TREND_POINTS, trend_price},
    clock::day,
};

/// So far back the figure before a past day's is looked for.
const NEIGHBOURS: i64 = 60;

/// A figure of one source at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Stand {
    /// Its feed.
    pub feed: String,
    /// Whose word it is.
    pub source: String,
    /// Value and times.
    pub kept: Kept,
    /// What its price was before, oldest first, where it is one that is drawn.
    pub course: Vec<(Timestamp, Decimal)>,
}

/// All of a moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stands {
    /// Every figure of every source.
    pub figures: Vec<Stand>,
    /// When a feed (first) was last read at a source (second), up to the moment.
    pub watched: BTreeMap<(String, String), Timestamp>,
}

/// A row of `change`.
struct Change {
    id: String,
    source: String,
    feed: String,
    at: i64,
    as_of: AsOf,
    quote: Quote,
}

/// Of a figure and a source.
type Key = (String, String);

impl Store {
    /// Every figure of every source at a moment, and when each was last looked for.
    ///
    /// # Errors
    /// [`StoreError::Database`]; a row that is not what was written is left out.
    pub async fn stands(&self, at: Timestamp) -> Result<Stands, StoreError> {
        let until = at.as_second();
        let own = self.changes_at(LAST_OWN, until).await?;
        let before = self.changes_at(BEFORE_OWN, until).await?;
        let late = self.changes_at(LAST_LATE, until).await?;
        let (mut stood, mut dated) = (self.stood_at(until).await?, self.dated_at(until).await?);
        let mut watched: BTreeMap<Key, Option<Timestamp>> = BTreeMap::new();
        let mut figures = Vec::new();
        for row in self.reader().rows("SELECT id, source, feed FROM figure", &[]).await? {
            let (id, source, feed): (String, String, String) =
                (row.try_get("id")?, row.try_get("source")?, row.try_get("feed")?);
            let of = (feed.clone(), source.clone());
            if let Entry::Vacant(place) = watched.entry(of) {
                place.insert(self.watched_at(&feed, &source, until).await?);
            }
            figures.push((id, source, feed));
        }
        // By bytes: a server may order words as people do.
        figures.sort_unstable();
        // The newest board that was read after the fact, where nobody watched on its day or since.
        let mut boards: BTreeMap<Key, Date> = BTreeMap::new();
        for change in late.values() {
            let board = day(second(change.at));
            let of = (change.feed.clone(), change.source.clone());
            let seen = watched.get(&of).copied().flatten();
            if seen.is_none_or(|seen| board > day(seen)) {
                let newest = boards.entry(of).or_insert(board);
                *newest = board.max(*newest);
            }
        }
        let mut stands = Vec::new();
        for (id, source, feed) in figures {
            let (key, of) = ((id.clone(), source.clone()), (feed.clone(), source.clone()));
            let board = boards.get(&of);
            let kept = match late.get(&key).filter(|change| board == Some(&day(second(change.at)))) {
                Some(change) => Some(self.read_later(change, at).await?),
                None => own_value(
                    own.get(&key),
                    before.get(&key),
                    stood.remove(&key),
                    dated.remove(&key),
                    watched.get(&of).copied().flatten(),
                    at,
                ),
            };
            let Some(kept) = kept else { continue };
            let course = match trend_price(&kept.quote) {
                Some(_) => self.course(&id, &source, until).await?,
                None => Vec::new(),
            };
            stands.push(Stand { feed, source, kept, course });
        }
        let watched = watched.into_iter().filter_map(|(of, last)| Some((of, last?))).collect();
        Ok(Stands { figures: stands, watched })
    }

    async fn changes_at(&self, which: &'static str, until: i64) -> Result<BTreeMap<Key, Change>, StoreError> {
        let mut rows = self.reader().rows(which, &[until.into()]).await?;
        // Of several at one instant the last holds.
        rows.sort_by_key(|row| row.try_get::<i64>("seq").unwrap_or_default());
        let changes = rows.iter().filter_map(change);
        Ok(changes.map(|change| ((change.id.clone(), change.source.clone()), change)).collect())
    }

    async fn stood_at(&self, until: i64) -> Result<BTreeMap<Key, (i64, String)>, StoreError> {
        let rows = self.reader().rows(LAST_STOOD, &[until.into()]).await?;
        let stood = |row: &Row| {
            let (id, source, at): Of = (text(row, "id")?, text(row, "source")?, row.try_get("at").ok()?);
            let (kept, written): (String, i64) = (text(row, "kept")?, row.try_get("sum").ok()?);
            let whole = written == sum(&[&id, &source, &at.to_string(), &kept]);
            whole.then_some(((id, source), (at, kept)))
        };
        Ok(rows.iter().filter_map(stood).collect())
    }

    async fn dated_at(&self, until: i64) -> Result<BTreeMap<Key, (i64, AsOf)>, StoreError> {
        let rows = self.reader().rows(LAST_DATED, &[until.into()]).await?;
        let dated = |row: &Row| {
            let (id, source, at): Of = (text(row, "id")?, text(row, "source")?, row.try_get("at").ok()?);
            Some(((id, source), (at, serde_json::from_str(&text(row, "as_of")?).ok()?)))
        };
        Ok(rows.iter().filter_map(dated).collect())
    }

    /// When a source was last read before a moment.
    async fn watched_at(
        &self,
        feed: &str,
        source: &str,
        until: i64,
    ) -> Result<Option<Timestamp>, StoreError> {
        // The newest row of all may begin after the moment.
        let rows = self
            .reader()
            .rows(
                "SELECT day, seconds FROM watched WHERE feed = $1 AND source = $2 AND day <= $3
             ORDER BY day DESC LIMIT 2",
                &[feed.into(), source.into(), until.div_euclid(DAY).into()],
            )
            .await?;
        let instants = |row: &Row| -> Option<i64> {
            let (day, seconds): (i64, String) = (row.try_get("day").ok()?, row.try_get("seconds").ok()?);
            let seconds = seconds.split(',').filter_map(|second| second.parse::<i64>().ok());
            seconds
                .map(|second| day.saturating_mul(DAY).saturating_add(second))
                .filter(|at| *at <= until)
                .max()
        };
        let last = rows.iter().filter_map(instants).max();
        let text = "SELECT last_at FROM watched_before WHERE feed = $1 AND source = $2 AND first_at <= $3";
        let row = self.reader().row(text, &[feed.into(), source.into(), until.into()]).await?;
        let span: Option<i64> = row.map(|row| row.first()).transpose()?;
        Ok(last.max(span.map(|last| last.min(until))).map(second))
    }

    /// A figure of a day that was read after the fact: good until the end of that day.
    async fn read_later(&self, newest: &Change, at: Timestamp) -> Result<Kept, StoreError> {
        let rows = self
            .reader()
            .rows(
                "SELECT id, source, feed, at, as_of, figures, sum FROM change
             WHERE id = $1 AND source = $2 AND late < 2 AND at <= $3 ORDER BY at DESC, seq DESC LIMIT $4",
                &[(&newest.id).into(), (&newest.source).into(), newest.at.into(), NEIGHBOURS.into()],
            )
            .await?;
        let (mut since, mut previous) = (newest.at, None);
        for change in rows.iter().filter_map(change) {
            if !change.quote.same_figures(&newest.quote) {
                previous = Some(change.quote);
                break;
            }
            since = change.at;
        }
        let board = day(second(newest.at));
        let end = VIETNAM.to_timestamp(board.at(23, 59, 59, 0)).unwrap_or(at);
        Ok(Kept {
            quote: newest.quote.clone(),
            previous,
            as_of: newest.as_of,
            fetched_at: second(since),
            checked_at: end.min(at),
            changed_at: second(since),
        })
    }

    /// The last prices up to a moment.
    async fn course(
        &self,
        id: &str,
        source: &str,
        until: i64,
    ) -> Result<Vec<(Timestamp, Decimal)>, StoreError> {
        let most = i64::try_from(TREND_POINTS).unwrap_or(i64::MAX);
        let rows = self
            .reader()
            .rows(
                "SELECT id, source, feed, at, as_of, figures, sum FROM change
             WHERE id = $1 AND source = $2 AND late < 2 AND at <= $3 ORDER BY at DESC, seq DESC LIMIT $4",
                &[id.into(), source.into(), until.into(), most.into()],
            )
            .await?;
        let points = rows.iter().rev().filter_map(change);
        Ok(points.filter_map(|change| Some((second(change.at), trend_price(&change.quote)?))).collect())
    }
}

/// Id, source, instant.
type Of = (String, String, i64);

/// The value as the worker had it: what its source's changes say, unless a later row says it outright.
fn own_value(
    own: Option<&Change>,
    before: Option<&Change>,
    stood: Option<(i64, String)>,
    dated: Option<(i64, AsOf)>,
    watched: Option<Timestamp>,
    at: Timestamp,
) -> Option<Kept> {
    let stood = stood.filter(|(from, _)| own.is_none_or(|own| *from >= own.at));
    let (from, mut kept, left) = match (stood, own) {
        (Some((from, text)), _) => match read_stood(&text)? {
            Stood::Kept(kept) => (from, *kept, None),
            Stood::Left(kept) => {
                let last = kept.checked_at;
                (from, *kept, Some(last))
            }
            Stood::Gone => return None,
        },
        (None, Some(own)) => {
            let since = second(own.at);
            let previous = before.filter(|before| !before.quote.same_figures(&own.quote));
            let kept = Kept {
                quote: own.quote.clone(),
                previous: previous.map(|before| before.quote.clone()),
                as_of: own.as_of,
                fetched_at: since,
                checked_at: since,
                changed_at: since,
            };
            (own.at, kept, None)
        }
        (None, None) => return None,
    };
    if let Some((_, as_of)) = dated.filter(|(since, _)| *since > from) {
        kept.as_of = as_of;
    }
    kept.checked_at = left.unwrap_or_else(|| watched.unwrap_or(Timestamp::MIN).max(second(from))).min(at);
    Some(kept)
}

fn text(row: &Row, column: &str) -> Option<String> {
    row.try_get(column).ok()
}

/// A row, if it is what was written.
fn change(row: &Row) -> Option<Change> {
    let (id, source, feed) = (text(row, "id")?, text(row, "source")?, text(row, "feed")?);
    let (as_of, figures) = (text(row, "as_of")?, text(row, "figures")?);
    let (at, written): (i64, Option<i64>) = (row.try_get("at").ok()?, row.try_get("sum").ok()?);
    let now = || sum(&[&id, &source, &feed, &at.to_string(), &as_of, &figures]);
    if written.is_some_and(|written| written != now()) {
        return None;
    }
    let (as_of, quote) = (serde_json::from_str(&as_of).ok()?, serde_json::from_str(&figures).ok()?);
    Some(Change { id, source, feed, at, as_of, quote })
}

/// The newest change of each figure of each source that the service saw itself. A cross join: figures first, in SQLite as
/// it is written.
const LAST_OWN: &str = "
    SELECT c.seq, c.id, c.source, c.feed, c.at, c.as_of, c.figures, c.sum FROM (
        SELECT f.id AS id, f.source AS source, (
            SELECT x.at FROM change x WHERE x.id = f.id AND x.source = f.source AND x.late = 0 AND x.at <= $1
            ORDER BY x.at DESC LIMIT 1
        ) AS at FROM figure f
    ) p CROSS JOIN change c WHERE c.id = p.id AND c.source = p.source AND c.late = 0 AND c.at = p.at";

/// The one before it.
const BEFORE_OWN: &str = "
    SELECT c.seq, c.id, c.source, c.feed, c.at, c.as_of, c.figures, c.sum FROM (
        SELECT q.id AS id, q.source AS source, (
            SELECT y.at FROM change y WHERE y.id = q.id AND y.source = q.source AND y.late = 0 AND y.at < q.at
            ORDER BY y.at DESC LIMIT 1
        ) AS at FROM (
            SELECT f.id AS id, f.source AS source, (
                SELECT x.at FROM change x WHERE x.id = f.id AND x.source = f.source AND x.late = 0 AND x.at <= $1
                ORDER BY x.at DESC LIMIT 1
            ) AS at FROM figure f
        ) q
    ) p CROSS JOIN change c WHERE c.id = p.id AND c.source = p.source AND c.late = 0 AND c.at = p.at";

/// The newest of those that were read after the fact.
const LAST_LATE: &str = "
    SELECT c.seq, c.id, c.source, c.feed, c.at, c.as_of, c.figures, c.sum FROM (
        SELECT f.id AS id, f.source AS source, (
            SELECT x.at FROM change x WHERE x.id = f.id AND x.source = f.source AND x.late = 1 AND x.at <= $1
            ORDER BY x.at DESC LIMIT 1
        ) AS at FROM figure f
    ) p CROSS JOIN change c WHERE c.id = p.id AND c.source = p.source AND c.late = 1 AND c.at = p.at";

/// The newest value that was kept outright.
const LAST_STOOD: &str = "
    SELECT s.id, s.source, s.at, s.kept, s.sum FROM (
        SELECT f.id AS id, f.source AS source, (
            SELECT x.at FROM stood x WHERE x.id = f.id AND x.source = f.source AND x.at <= $1
            ORDER BY x.at DESC LIMIT 1
        ) AS at FROM figure f
    ) p CROSS JOIN stood s WHERE s.id = p.id AND s.source = p.source AND s.at = p.at";

/// The newest date that came without a change.
const LAST_DATED: &str = "
    SELECT d.id, d.source, d.at, d.as_of FROM (
        SELECT f.id AS id, f.source AS source, (
            SELECT x.at FROM dated x WHERE x.id = f.id AND x.source = f.source AND x.at <= $1
            ORDER BY x.at DESC LIMIT 1
        ) AS at FROM figure f
    ) p CROSS JOIN dated d WHERE d.id = p.id AND d.source = p.source AND d.at = p.at";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Nature;

    #[tokio::test]
    async fn a_moment_is_found_by_index_however_many_years_there_are() {
        let store = Store::open("sqlite::memory:", Nature::Live).await.unwrap();
        for text in [LAST_OWN, BEFORE_OWN, LAST_LATE, LAST_STOOD, LAST_DATED] {
            let explain = format!("EXPLAIN QUERY PLAN {text}");
            let rows = store.reader().rows(&explain, &[0.into()]).await.unwrap();
            let steps: Vec<String> = rows.iter().map(|row| row.try_get("detail").unwrap()).collect();
            // What is looked through is the list of figures; all else is searched.
            let scans = steps.iter().filter(|step| step.starts_with("SCAN"));
            assert!(scans.clone().all(|step| step.starts_with("SCAN f ")), "{steps:#?}");
            assert!(scans.count() <= 1 && steps.iter().any(|step| step.starts_with("SEARCH")), "{steps:#?}");
            let whole = |step: &&String| step.contains("(id=?)") || step.contains("(id=? AND source=?)");
            assert_eq!(steps.iter().find(whole), None, "all changes of a figure would be read");
        }
        store.close().await;
    }

    #[tokio::test]
    async fn a_date_that_moves_alone_is_told_of_its_moment() {
        use std::collections::{BTreeMap, BTreeSet};

        use crate::store::{Answer, Attempt, remarks};
        let store = Store::open("sqlite::memory:", Nature::Live).await.unwrap();
        let at = |n: i64| Timestamp::from_second(1_790_000_000 + n).unwrap();
        let quote: Quote =
            serde_json::from_str(r#"{"fx":{"currency":"USD","per":1,"sell":"26260"}}"#).unwrap();
        let kept = |n: i64| Kept {
            quote: quote.clone(),
            previous: None,
            as_of: AsOf::At(at(n)),
            fetched_at: at(0),
            checked_at: at(n),
            changed_at: at(0),
        };
        let mut old = BTreeMap::new();
        for n in [0, 60, 120] {
            let new = BTreeMap::from([(quote.key(), kept(n))]);
            let had: BTreeSet<String> = old.keys().cloned().collect();
            let read = vec![(kept(n), n == 0)];
            let remarks = remarks(&old, &new, &had, &read, &[], at(n));
            assert_eq!(remarks.len(), 2, "{remarks:?}");
            let attempt = Attempt { at: at(n), outcome: "ok".to_owned(), reason: None };
            let (feed, source) = ("vietcombank.fx".into(), "json".into());
            let answer = Answer {
                feed,
                source,
                attempt,
                quotes: read,
                dropped: Vec::new(),
                keys: Vec::new(),
                held: None,
            };
            store.push_with(answer, remarks);
            store.flush().await;
            old = new;
        }
        for (n, of) in [(0, 0), (59, 0), (60, 60), (119, 60), (500, 120)] {
            let stands = store.stands(at(n)).await.unwrap();
            assert_eq!(stands.figures.len(), 1);
            assert_eq!(stands.figures[0].kept, kept(of), "{n}");
        }
        assert!(store.stands(at(-1)).await.unwrap().figures.is_empty());
        store.close().await;
    }
}
