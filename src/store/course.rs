//! What a chart asks beside the changes of its series: whether others of its feed were heard. Reads only.

use jiff::Timestamp;

use super::{Store, StoreError, rows::second};

impl Store {
    /// The last change of a figure behind an instant and up to another.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn last_between(
        &self,
        id: &str,
        behind: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let found: Option<i64> =
            sqlx::query_scalar("SELECT MAX(at) FROM change WHERE id = $1 AND at > $2 AND at <= $3")
                .bind(id)
                .bind(behind.as_second())
                .bind(until.as_second())
                .fetch_one(&self.pool())
                .await?;
        Ok(found.map(second))
    }
}
