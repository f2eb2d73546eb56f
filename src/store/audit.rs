//! The operator's acts, in order: what was changed, by which way in, from what to what, and how it ended. Kept for as long
//! as anybody may ask; no address and no secret is in it.

use jiff::Timestamp;
use serde::Serialize;

use super::{Store, StoreError, rows::second, sql::Tx};

/// So many acts are kept.
const MOST: i64 = 10_000;

/// One act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// When.
    pub at: Timestamp,
    /// The way in: `console`, `api`, `signal`, `file`.
    pub via: String,
    /// `reload`, `schedule`, `pause`, `resume`, `refresh`, `accept`, `reject`.
    pub action: String,
    /// A feed, a quote, or the file.
    pub target: String,
    /// What stood before, where that can be said.
    pub before: Option<String>,
    /// What stands now.
    pub after: Option<String>,
    /// `done`, or why it was refused.
    pub outcome: String,
}

/// An act as the admin API writes it.
#[derive(Debug, Serialize)]
pub struct ActJson<'a> {
    at: String,
    via: &'a str,
    action: &'a str,
    target: &'a str,
    before: Option<&'a str>,
    after: Option<&'a str>,
    outcome: &'a str,
}

impl<'a> From<&'a Act> for ActJson<'a> {
    fn from(act: &'a Act) -> Self {
        Self {
            at: crate::clock::rfc3339(act.at),
            via: &act.via,
            action: &act.action,
            target: &act.target,
            before: act.before.as_deref(),
            after: act.after.as_deref(),
            outcome: &act.outcome,
        }
    }
}

impl Store {
    /// The last acts, newest first.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn acts(&self, most: u32) -> Result<Vec<Act>, StoreError> {
        let text =
            "SELECT at, via, action, target, before, after, outcome FROM audit ORDER BY seq DESC LIMIT $1";
        let rows = self.base().rows(text, &[i64::from(most).into()]).await?;
        rows.iter()
            .map(|row| {
                Ok(Act {
                    at: second(row.try_get("at")?),
                    via: row.try_get("via")?,
                    action: row.try_get("action")?,
                    target: row.try_get("target")?,
                    before: row.try_get("before")?,
                    after: row.try_get("after")?,
                    outcome: row.try_get("outcome")?,
                })
            })
            .collect()
    }
}

/// Adds an act, and lets the oldest go where there are too many.
pub(super) async fn keep_act(transaction: &mut Tx<'_>, act: &Act) -> Result<(), sqlx::Error> {
    let text = "INSERT INTO audit (at, via, action, target, before, after, outcome)
                VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let values = [
        act.at.as_second().into(),
        (&act.via).into(),
        (&act.action).into(),
        (&act.target).into(),
        (&act.before).into(),
        (&act.after).into(),
        (&act.outcome).into(),
    ];
    transaction.execute(text, &values).await?;
    let text = "DELETE FROM audit WHERE seq <= (SELECT max(seq) FROM audit) - $1";
    transaction.execute(text, &[MOST.into()]).await?;
    Ok(())
}
