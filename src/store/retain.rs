//! What is dropped of old changes, where the operator wishes it: nothing by default. Small transactions, between which
//! whoever writes has its turn. What is kept was really published, and what was in force at the edge stays.

use std::time::Duration;

use jiff::Timestamp;
use providers::{Quote, WeightUnit};

use super::{Change, Mark, Store, StoreError, is_change, sql::Row, write::together};
use crate::{
    clock::Clock,
    history::{Group, sides},
};

/// Rows that one transaction drops.
const TOGETHER: usize = 200;
/// Where it is kept how far days were thinned out.
const THINNED: &str = "thinned_until";
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
        if let Some(keep) = wishes.keep {
            for id in &ids {
                dropped.old += self.drop_old(id, edge(keep)).await?;
            }
        }
        if let Some(after) = wishes.thin_after {
            // Whole days only.
            let until = Group::Day.begin(edge(after));
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

    /// All before the change that was in force at a second.
    async fn drop_old(&self, id: &str, edge: i64) -> Result<usize, StoreError> {
        let in_force = self.in_force(&[id.to_owned()], edge.saturating_add(1)).await?;
        let Some((standing, _)) = in_force.into_values().next() else { return Ok(0) };
        let mut dropped = 0;
        loop {
            let text =
                "SELECT seq FROM change WHERE id = $1 AND (at, seq) < ($2, $3) ORDER BY at, seq LIMIT 200";
            let values = [id.into(), standing.mark.at.into(), standing.mark.seq.into()];
            let rows = self.reader().rows(text, &values).await?;
            let old: Vec<i64> = rows.iter().map(Row::first).collect::<Result<_, _>>()?;
            self.drop_rows(id, &old).await?;
            dropped += old.len();
            if old.len() < TOGETHER {
                return Ok(dropped);
            }
        }
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
        Ok(together(&self.base(), &rows.iter().map(delete).collect::<Vec<_>>()).await?)
    }

    async fn thinned_until(&self) -> Result<Option<i64>, StoreError> {
        let row = self.reader().row("SELECT value FROM meta WHERE key = $1", &[THINNED.into()]).await?;
        Ok(row.and_then(|row| row.try_get::<String>("value").ok()?.parse().ok()))
    }

    async fn keep_thinned_until(&self, until: i64) -> Result<(), StoreError> {
        let text = "INSERT INTO meta (key, value) VALUES ($1, $2)
             ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        together(&self.base(), &[(text, vec![THINNED.into(), until.to_string().into()])]).await?;
        Ok(())
    }
}

/// The rows of a day that it can do without: all but its first and last, and of its changes the first, the last, and the
/// lowest and highest of each side. So what a history says of that day by day stays the same, but for how many there were.
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
