//! Candidates across restarts: what was held goes on being held, and its readings go on being counted.

use std::collections::BTreeMap;

use super::{Store, StoreError, rows::json, sql::Tx};
use crate::judge::hold::Held;

impl Store {
    /// What one source's answers have waiting, by key.
    ///
    /// # Errors
    /// [`StoreError::Database`]; a row that cannot be read is left out and logged: its value is then held anew.
    pub async fn held(&self, feed: &str, source: &str) -> Result<BTreeMap<String, Held>, StoreError> {
        let text = "SELECT key, held FROM held WHERE feed = $1 AND source = $2 ORDER BY key";
        let rows = self.base().rows(text, &[feed.into(), source.into()]).await?;
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
    transaction: &mut Tx<'_>,
    feed: &str,
    source: &str,
    held: &BTreeMap<String, Held>,
) -> Result<(), sqlx::Error> {
    let text = "DELETE FROM held WHERE feed = $1 AND source = $2";
    transaction.execute(text, &[feed.into(), source.into()]).await?;
    for (key, candidate) in held {
        let text = "INSERT INTO held (feed, source, key, held) VALUES ($1, $2, $3, $4)";
        let values = [feed.into(), source.into(), key.into(), json(candidate).into()];
        transaction.execute(text, &values).await?;
    }
    Ok(())
}
