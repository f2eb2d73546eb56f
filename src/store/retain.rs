//! What is dropped of old changes, where the operator wishes it: nothing by default. Small transactions, between which
//! whoever writes has its turn. What is kept was really published, and what was in force at the edge stays.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;
use providers::{Quote, WeightUnit};

use super::{
    Change, Mark, Store, StoreError, is_change,
    rows::second,
    sql::{Row, Value},
    stood::DAY,
    write::together,
};
use crate::{
    clock::Clock,
    history::{Group, sides},
};

/// Rows that one transaction drops.
const TOGETHER: usize = 200;
/// Where it is kept how far days were thinned out.
const THINNED: &str = "thinned_until";
/// Where it is kept from when on nothing was dropped.
const WHOLE: &str = "whole_since";
/// How often the wishes are looked at, and after the start for the first time.
const LOOK: Duration = Duration::from_mins(1);
/// How often they are carried out.
const EVERY: Duration = Duration::from_hours(24);

/// `[history]`: what of old changes is dropped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// Changes that are older are dropped.
    pub keep: Option<Duration>,
    /// Days that are older keep first, last, low and high of each side.
    pub thin_after: Option<Duration>,
}

impl Retention {
    /// Whether anything is ever dropped.
    #[must_use]
    pub const fn drops(&self) -> bool {
        self.keep.is_some() || self.thin_after.is_some()
    }
}

/// How many rows were dropped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Since they are too old.
    pub old: usize,
    /// Between those that a day keeps.
    pub thinned: usize,
}

impl Store {
    /// Carries the wishes out once a day, and soon after they changed; for ever.
    pub async fn retain_daily(&self, clock: &Clock, wishes: impl Fn() -> Retention) {
        let mut last: Option<(tokio::time::Instant, Retention)> = None;
        loop {
            tokio::time::sleep(LOOK).await;
            let now = wishes();
            // Of replicas the leader does it.
            let ours = !self.is_shared() || self.epoch().is_some();
            if !ours || !now.drops() || last.is_some_and(|(at, then)| then == now && at.elapsed() < EVERY) {
                continue;
            }
            last = Some((tokio::time::Instant::now(), now));
            match self.retain(&now, clock.now()).await {
                Ok(Dropped { old, thinned }) => {
                    tracing::info!(
                        old,
                        thinned,
                        "changes were dropped from the store, as [history] asks for"
                    );
                }
                Err(error) => tracing::error!(%error, "old changes could not be dropped"),
            }
        }
    }

    /// Drops what the wishes leave out, as of `now`.
    ///
    /// # Errors
    /// [`StoreError`]: what was dropped until then is.
    pub async fn retain(&self, wishes: &Retention, now: Timestamp) -> Result<Dropped, StoreError> {
        let ids: Vec<String> = {
            let rows = self.reader().rows("SELECT id FROM series ORDER BY id", &[]).await?;
            rows.iter().map(Row::first).collect::<Result<_, _>>()?
        };
        let edge =
            |age: Duration| now.as_second().saturating_sub(i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
        let mut dropped = Dropped::default();
        let days = wishes.thin_after.map(|after| Group::Day.begin(edge(after)));
        if let Some(first) = wishes.keep.map(edge).max(days) {
            // Before anything is dropped: a moment that is no longer whole is never told as if it were.
            self.keep_whole_since(first).await?;
        }
        if let Some(keep) = wishes.keep {
            for id in &ids {
                dropped.old += self.drop_old(id, edge(keep)).await?;
            }
            self.forget_watching(edge(keep)).await?;
        }
        // Whole days only.
        if let Some(until) = days {
            let from = self.thinned_until().await?;
            for id in &ids {
                dropped.thinned += self.thin(id, from, until).await?;
            }
            if from.is_none_or(|from| from < until) {
                self.keep_thinned_until(until).await?;
            }
        }
        Ok(dropped)
    }

    /// All before the change that was in force at a second, but of each source its last two words before that: by these
    /// moments since then are told.
    async fn drop_old(&self, id: &str, edge: i64) -> Result<usize, StoreError> {
        let in_force = self.in_force(&[id.to_owned()], edge.saturating_add(1)).await?;
        let Some((standing, _)) = in_force.into_values().next() else { return Ok(0) };
        let sources = self.reader().rows("SELECT source FROM figure WHERE id = $1", &[id.into()]).await?;
        let mut dropped = 0;
        for source in sources.iter().map(Row::first::<String>) {
            let source = source?;
            for late in 0..=2 {
                dropped += self.drop_words(id, (&source, late), standing.mark, edge).await?;
            }
            let of = |table: &str| {
                format!(
                    "DELETE FROM {table} WHERE id = $1 AND source = $2 AND at <
                     (SELECT max(x.at) FROM {table} x WHERE x.id = $1 AND x.source = $2 AND x.at <= $3)"
                )
            };
            let values: Vec<Value> = vec![id.into(), (&source).into(), edge.into()];
            let (stood, dated) = (of("stood"), of("dated"));
            let statements = [(stood.as_str(), values.clone()), (dated.as_str(), values)];
            together(&self.base(), self.epoch(), &statements).await?;
        }
        Ok(dropped)
    }

    /// What a source said of a figure before a place and before its last two words up to a second.
    async fn drop_words(
        &self,
        id: &str,
        (source, late): (&str, i64),
        before: Mark,
        edge: i64,
    ) -> Result<usize, StoreError> {
        let text = format!(
            "SELECT seq FROM change WHERE id = $1 AND source = $2 AND late = $3 AND (at, seq) < ($4, $5) AND at <
               (SELECT x.at FROM change x WHERE x.id = $1 AND x.source = $2 AND x.late = $3 AND x.at <= $6
                ORDER BY x.at DESC LIMIT 1 OFFSET 1)
             ORDER BY at, seq LIMIT {TOGETHER}"
        );
        let values =
            [id.into(), source.into(), late.into(), before.at.into(), before.seq.into(), edge.into()];
        let mut dropped = 0;
        loop {
            let rows = self.reader().rows(&text, &values).await?;
            let old: Vec<i64> = rows.iter().map(Row::first).collect::<Result<_, _>>()?;
            self.drop_rows(id, &old).await?;
            dropped += old.len();
            if old.len() < TOGETHER {
                return Ok(dropped);
            }
        }
    }

    /// When sources were read, before a second; but for the last day before it.
    async fn forget_watching(&self, edge: i64) -> Result<(), StoreError> {
        let text = "DELETE FROM watched WHERE day < (SELECT max(w.day) FROM watched w
                    WHERE w.feed = watched.feed AND w.source = watched.source AND w.day < $1)";
        let values = vec![edge.div_euclid(DAY).into()];
        Ok(together(&self.base(), self.epoch(), &[(text, values)]).await?)
    }

    /// From when on every moment can be told, if anything was ever dropped.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn whole_since(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.number(WHOLE).await?.map(second))
    }

    /// It never goes back.
    async fn keep_whole_since(&self, edge: i64) -> Result<(), StoreError> {
        if self.number(WHOLE).await?.is_some_and(|known| known >= edge) {
            return Ok(());
        }
        self.keep_number(WHOLE, edge).await
    }

    /// Whole days of one figure.
    async fn thin(&self, id: &str, from: Option<i64>, until: i64) -> Result<usize, StoreError> {
        let mut before = match from {
            Some(from) => {
                self.in_force(&[id.to_owned()], from).await?.into_values().next().map(|found| found.0.quote)
            }
            None => None,
        };
        let mut mark = Some(from.map_or(Mark::BEGINNING, Mark::before));
        let (mut day, mut dropped) = (Vec::new(), 0);
        while let Some(behind) = mark {
            let until = Timestamp::from_second(until).unwrap_or(Timestamp::UNIX_EPOCH);
            let page = self.page(id, behind, until).await?;
            mark = page.next;
            for change in page.changes {
                let begin = Group::Day.begin(change.mark.at);
                if day.first().is_some_and(|first: &Change| Group::Day.begin(first.mark.at) != begin) {
                    dropped += self.thin_day(id, &day, &mut before).await?;
                    day.clear();
                }
                day.push(change);
            }
        }
        Ok(dropped + self.thin_day(id, &day, &mut before).await?)
    }

    async fn thin_day(
        &self,
        id: &str,
        day: &[Change],
        before: &mut Option<Quote>,
    ) -> Result<usize, StoreError> {
        let rest = superfluous(day, before.as_ref());
        for rows in rest.chunks(TOGETHER) {
            self.drop_rows(id, rows).await?;
        }
        if let Some(last) = day.last() {
            *before = Some(last.quote.clone());
        }
        Ok(rest.len())
    }

    /// In one transaction.
    async fn drop_rows(&self, id: &str, rows: &[i64]) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let delete =
            |seq: &i64| ("DELETE FROM change WHERE id = $1 AND seq = $2", vec![id.into(), (*seq).into()]);
        Ok(together(&self.base(), self.epoch(), &rows.iter().map(delete).collect::<Vec<_>>()).await?)
    }

    async fn thinned_until(&self) -> Result<Option<i64>, StoreError> {
        self.number(THINNED).await
    }

    async fn keep_thinned_until(&self, until: i64) -> Result<(), StoreError> {
        self.keep_number(THINNED, until).await
    }

    async fn number(&self, key: &str) -> Result<Option<i64>, StoreError> {
        let row = self.reader().row("SELECT value FROM meta WHERE key = $1", &[key.into()]).await?;
        Ok(row.and_then(|row| row.try_get::<String>("value").ok()?.parse().ok()))
    }

    async fn keep_number(&self, key: &str, number: i64) -> Result<(), StoreError> {
        let text = "INSERT INTO meta (key, value) VALUES ($1, $2)
             ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        let values = vec![key.into(), number.to_string().into()];
        Ok(together(&self.base(), self.epoch(), &[(text, values)]).await?)
    }
}

/// The rows of a day that it can do without: all but its first and last, of its changes the first, the last, and the
/// lowest and highest of each side, and of each source its last two. So what a history says of that day by day stays the
/// same, but for how many there were, and so does what stood after it.
fn superfluous(day: &[Change], before: Option<&Quote>) -> Vec<i64> {
    let mut changes: Vec<&Change> = Vec::new();
    let mut last = before;
    for change in day {
        if is_change(last, &change.quote) {
            changes.push(change);
        }
        last = Some(&change.quote);
    }
    let mut kept: Vec<i64> = [day.first(), day.last(), changes.first().copied(), changes.last().copied()]
        .into_iter()
        .flatten()
        .map(|change| change.mark.seq)
        .collect();
    let mut words: HashMap<&str, usize> = HashMap::new();
    for change in day.iter().rev() {
        let words = words.entry(&change.source).or_default();
        *words += 1;
        if *words <= 2 {
            kept.push(change.mark.seq);
        }
    }
    for side in 0..4 {
        let of = |change: &&&Change| sides(&change.quote, WeightUnit::Luong).get(side).copied().flatten();
        let quoted: Vec<_> =
            changes.iter().filter_map(|change| Some((of(&change)?, change.mark.seq))).collect();
        let extremes = [
            quoted.first(),
            quoted.last(),
            quoted.iter().min_by_key(|(side, _)| *side),
            quoted.iter().max_by_key(|(side, _)| *side),
        ];
        kept.extend(extremes.into_iter().flatten().map(|(_, seq)| *seq));
    }
    day.iter().map(|change| change.mark.seq).filter(|seq| !kept.contains(seq)).collect()
}
