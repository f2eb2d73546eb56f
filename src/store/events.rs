//! What happened at each publish, kept for as long as a reader may be away and come back: written with the publish in one
//! transaction, read newest first, pruned by age. It decides nothing about who is told.

use jiff::Timestamp;

use super::{
    Store, StoreError,
    rows::second,
    sql::{Row, Tx},
    write::together,
};
use crate::events::Numbered;

/// Events are kept for so many seconds …
const AGE: i64 = 48 * 3600;
/// … and however old they are, so many of them: who comes back after a quiet week has missed nothing.
const LEAST: i64 = 1000;

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
        // Names of this program, no text of anybody's.
        let list = feeds.iter().map(|feed| format!("'{feed}'")).collect::<Vec<_>>().join(", ");
        let of = if feeds.is_empty() { String::new() } else { format!(" AND feed IN ({list})") };
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

    /// Lets go what is too old.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn prune_events(&self, now: Timestamp) -> Result<(), StoreError> {
        let text = "SELECT seq FROM event ORDER BY seq DESC LIMIT 1 OFFSET $1";
        let Some(row) = self.reader().row(text, &[(LEAST - 1).into()]).await? else { return Ok(()) };
        let last: i64 = row.first()?;
        let text = "DELETE FROM event WHERE at < $1 AND seq < $2";
        let values = vec![now.as_second().saturating_sub(AGE).into(), last.into()];
        together(&self.base(), self.epoch(), &[(text, values)]).await?;
        Ok(())
    }
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
