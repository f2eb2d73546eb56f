//! What happened at each publish, kept for as long as a reader may be away and come back: written with the publish in one
//! transaction, read newest first, pruned by age. It decides nothing about who is told.

use jiff::Timestamp;
use providers::Kind;

use super::{
    Store, StoreError,
    rows::second,
    sql::{Row, Tx, Value},
    write::together,
};
use crate::events::{Numbered, What};

/// Events are kept for so many seconds …
const AGE: i64 = 48 * 3600;
/// … and however old they are, so many of them: who comes back after a quiet week has missed nothing.
const LEAST: i64 = 1000;
/// Of each kind so many changes are kept besides, for its feed: one rule for whoever has run for months and for whoever
/// starts today, or the two would show other entries at one version.
pub const OF_A_KIND: usize = 200;

impl Store {
    /// Number of the newest event that is kept; 0: there is none.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn newest_event(&self) -> Result<i64, StoreError> {
        let row = self.reader().row("SELECT max(seq) FROM event", &[]).await?;
        Ok(row.map(|row| row.first::<Option<i64>>()).transpose()?.flatten().unwrap_or(0))
    }

    /// The newest `most` events up to a number, of one kind of event or of all, oldest first. Rows that cannot be read are
    /// left out.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn events_until(
        &self,
        seq: i64,
        feeds: &[&str],
        what: Option<&str>,
        most: i64,
    ) -> Result<Vec<Numbered>, StoreError> {
        let of = if feeds.is_empty() { String::new() } else { format!(" AND feed IN ({})", list(feeds)) };
        let kind = what.map_or_else(String::new, |what| format!(" AND what = '{what}'"));
        let text = format!(
            "SELECT seq, at, what, feed, subject, data FROM event WHERE seq <= $1{of}{kind} ORDER BY seq DESC LIMIT $2"
        );
        let rows = self.reader().rows(&text, &[seq.into(), most.into()]).await?;
        Ok(rows.iter().rev().filter_map(event).collect())
    }

    /// The next events behind a number, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn events_after(&self, seq: i64) -> Result<Vec<Numbered>, StoreError> {
        let text =
            "SELECT seq, at, what, feed, subject, data FROM event WHERE seq > $1 ORDER BY seq LIMIT 1000";
        let rows = self.reader().rows(text, &[seq.into()]).await?;
        Ok(rows.iter().filter_map(event).collect())
    }

    /// The newest changes of a kind's quotes up to a number, oldest first: what its feed is made of.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn changes_until(&self, seq: i64, kind: Kind) -> Result<Vec<Numbered>, StoreError> {
        let most = i64::try_from(OF_A_KIND).unwrap_or(i64::MAX);
        self.events_until(seq, &feeds_of(Some(kind)), Some(What::Changed.as_str()), most).await
    }

    /// Behind this number every event is kept; before it there are some that are kept for the feeds of their kind.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn events_whole_behind(&self, now: Timestamp) -> Result<i64, StoreError> {
        let Some(least) = self.least().await? else { return Ok(0) };
        let text = "SELECT max(seq) FROM event WHERE at < $1 AND seq < $2";
        let row = self.reader().row(text, &[oldest(now).into(), least.into()]).await?;
        Ok(row.map(|row| row.first::<Option<i64>>()).transpose()?.flatten().unwrap_or(0))
    }

    /// Number of the first of those that are kept however old they are; `None`: there are fewer.
    async fn least(&self) -> Result<Option<i64>, StoreError> {
        let text = "SELECT seq FROM event ORDER BY seq DESC LIMIT 1 OFFSET $1";
        let row = self.reader().row(text, &[(LEAST - 1).into()]).await?;
        Ok(row.map(|row| row.first()).transpose()?)
    }

    /// Lets go what is too old.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn prune_events(&self, now: Timestamp) -> Result<(), StoreError> {
        let Some(least) = self.least().await? else { return Ok(()) };
        let old = || -> Vec<Value> { vec![oldest(now).into(), least.into()] };
        // Of feeds that are gone nobody is told.
        let text = format!(
            "DELETE FROM event WHERE at < $1 AND seq < $2 AND feed NOT IN ({})",
            list(&feeds_of(None))
        );
        together(&self.base(), self.epoch(), &[(&text, old())]).await?;
        let changed = What::Changed.as_str();
        for kind in [Kind::Gold, Kind::Fx, Kind::Deposit] {
            let first = self.changes_until(i64::MAX, kind).await?.first().map_or(0, |event| event.seq);
            let feeds = list(&feeds_of(Some(kind)));
            let text = format!(
                "DELETE FROM event WHERE at < $1 AND seq < $2 AND feed IN ({feeds})
                 AND (what <> '{changed}' OR seq < $3)"
            );
            let mut values = old();
            values.push(first.into());
            together(&self.base(), self.epoch(), &[(&text, values)]).await?;
        }
        Ok(())
    }
}

/// Before this second it is too old.
fn oldest(now: Timestamp) -> i64 {
    now.as_second().saturating_sub(AGE)
}

/// Feeds of a kind, or all.
fn feeds_of(kind: Option<Kind>) -> Vec<&'static str> {
    let feeds = providers::feeds().filter(|(_, feed)| kind.is_none_or(|kind| feed.kind == kind));
    feeds.map(|(_, feed)| feed.id).collect()
}

/// Names of this program, no text of anybody's, as they stand in a statement.
fn list(feeds: &[&str]) -> String {
    feeds.iter().map(|feed| format!("'{feed}'")).collect::<Vec<_>>().join(", ")
}

fn event(row: &Row) -> Option<Numbered> {
    let text = |column| row.try_get::<String>(column).ok();
    Some(Numbered {
        seq: row.try_get("seq").ok()?,
        at: second(row.try_get("at").ok()?),
        what: text("what")?.parse().ok()?,
        // Of a feed that is gone nobody is told.
        feed: providers::feed(&text("feed")?)?.1.id,
        subject: text("subject")?,
        data: text("data")?,
    })
}

/// What happened at a publish, in its transaction. A publish that is written again has the same events.
pub(super) async fn keep_events(transaction: &mut Tx<'_>, events: &[Numbered]) -> Result<(), sqlx::Error> {
    for event in events {
        let text = "INSERT INTO event (seq, at, what, feed, subject, data) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (seq) DO NOTHING";
        let values = [
            event.seq.into(),
            event.at.as_second().into(),
            event.what.as_str().into(),
            event.feed.into(),
            (&event.subject).into(),
            (&event.data).into(),
        ];
        transaction.execute(text, &values).await?;
    }
    Ok(())
}
