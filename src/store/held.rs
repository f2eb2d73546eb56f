//! Candidates across restarts: what was held goes on being held, and its readings go on being counted.

use std::collections::BTreeMap;

use sqlx::{Row as _, Sqlite, Transaction};

use super::{Store, StoreError, rows::json};
use crate::judge::hold::Held;

impl Store {
    /// What one source's answers have waiting, by key.
    ///
    /// # Errors
    /// [`StoreError::Database`]; a row that cannot be read is left out and logged: its value is then held anew.
    pub async fn held(&self, feed: &str, source: &str) -> Result<BTreeMap<String, Held>, StoreError> {
        let rows = sqlx::query("SELECT key, held FROM held WHERE feed = ? AND source = ? ORDER BY key")
            .bind(feed)
            .bind(source)
            .fetch_all(&self.pool())
            .await?;
        let mut held = BTreeMap::new();
        for row in rows {
            let (key, text): (String, String) = (row.try_get("key")?, row.try_get("held")?);
            match serde_json::from_str(&text) {
                Ok(candidate) => drop(held.insert(key, candidate)),
                Err(error) => tracing::error!(feed, source, %key, %error, "a held value cannot be read"),
            }
        }
        Ok(held)
    }
}

/// Replaces what one source has waiting.
pub(super) async fn keep_held(
    transaction: &mut Transaction<'_, Sqlite>,
    feed: &str,
    source: &str,
    held: &BTreeMap<String, Held>,
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM held WHERE feed = ? AND source = ?")
        .bind(feed)
        .bind(source)
        .execute(&mut **transaction)
        .await?;
    for (key, candidate) in held {
        sqlx::query("INSERT INTO held (feed, source, key, held) VALUES (?, ?, ?, ?)")
            .bind(feed)
            .bind(source)
            .bind(key)
            .bind(json(candidate))
            .execute(&mut **transaction)
            .await?;
    }
    Ok(())
}
