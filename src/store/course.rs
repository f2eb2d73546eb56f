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
        let text = "SELECT MAX(at) FROM change WHERE id = $1 AND at > $2 AND at <= $3";
        let values = [id.into(), behind.as_second().into(), until.as_second().into()];
        let row = self.reader().row(text, &values).await?;
        let found: Option<i64> = row.map(|row| row.first()).transpose()?.flatten();
        Ok(found.map(second))
    }
}
