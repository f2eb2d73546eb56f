//! Rows and their sums. SQLite finds damaged pages but not a digit that changed inside one, and a wrong digit is the
//! one thing that must never be served; so each row carries a hash of its cells.

use jiff::Timestamp;
use sqlx::SqliteConnection;
use xxhash_rust::xxh3::xxh3_64;

use super::{Kept, sql::Row};

/// Between cells: the unit separator of ASCII, which none of them has in it.
pub(super) const SEPARATOR: char = '\u{1f}';

/// A table whose rows have sums, and the cells that count, in order.
pub(super) struct Summed {
    pub(super) table: &'static str,
    cells: &'static str,
}

pub(super) const QUOTE: Summed = Summed {
    table: "quote",
    cells: "id, source, feed, figures, coalesce(previous, ''), as_of, CAST(fetched_at AS TEXT), CAST(checked_at AS TEXT), CAST(changed_at AS TEXT)",
};
pub(super) const CHANGE: Summed =
    Summed { table: "change", cells: "id, source, feed, CAST(at AS TEXT), as_of, figures" };
pub(super) const SOURCE: Summed = Summed {
    table: "source",
    cells: "feed, source, keys, CAST(attempted_at AS TEXT), outcome, coalesce(reason, '')",
};
pub(super) const DOCUMENT: Summed =
    Summed { table: "document", cells: "name, CAST(version AS TEXT), CAST(generated_at AS TEXT), hash" };

/// What is read at every start; `change` grows for years.
pub(super) const LIVE: [Summed; 3] = [QUOTE, SOURCE, DOCUMENT];

impl Summed {
    /// For a `SELECT`: the cells as they were summed.
    pub(super) fn plain(&self) -> String {
        format!("concat_ws('{SEPARATOR}', {}) AS plain", self.cells)
    }

    /// How many rows are not what was written.
    pub(super) async fn damaged_rows(&self, connection: &mut SqliteConnection) -> Result<usize, sqlx::Error> {
        use futures_util::TryStreamExt as _;
        let text = format!("SELECT sum, {} FROM {} WHERE sum IS NOT NULL", self.plain(), self.table);
        let mut rows = sqlx::query(sqlx::AssertSqlSafe(text)).fetch(connection);
        let mut damaged = 0;
        while let Some(row) = rows.try_next().await? {
            damaged += usize::from(!is_whole(&Row::Sqlite(row))?);
        }
        Ok(damaged)
    }
}

/// Whether a row with `sum` and [`Summed::plain`] is what was written.
pub(super) fn is_whole(row: &Row) -> Result<bool, sqlx::Error> {
    let sum: Option<i64> = row.try_get("sum")?;
    match row.try_get::<String>("plain") {
        Ok(plain) => Ok(sum.is_none_or(|sum| sum == hash(&plain))),
        // No text any more.
        Err(sqlx::Error::ColumnDecode { .. }) => Ok(sum.is_none()),
        Err(error) => Err(error),
    }
}

/// The sum of cells, in the order of their [`Summed`].
pub(super) fn sum(cells: &[&str]) -> i64 {
    hash(&cells.join(SEPARATOR.encode_utf8(&mut [0; 4])))
}

/// The sum of cells that are put together already.
pub(super) fn hash(plain: &str) -> i64 {
    xxh3_64(plain.as_bytes()).cast_signed()
}

pub(super) fn kept(row: &Row) -> Result<Kept, String> {
    let text = |column: &str| row.try_get::<String>(column).map_err(|error| error.to_string());
    let at = |column: &str| row.try_get::<i64>(column).map(second).map_err(|error| error.to_string());
    let previous: Option<String> = row.try_get("previous").map_err(|error| error.to_string())?;
    Ok(Kept {
        quote: serde_json::from_str(&text("figures")?).map_err(|error| error.to_string())?,
        previous: previous
            .map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|error| error.to_string())?,
        as_of: serde_json::from_str(&text("as_of")?).map_err(|error| error.to_string())?,
        fetched_at: at("fetched_at")?,
        checked_at: at("checked_at")?,
        changed_at: at("changed_at")?,
    })
}

pub(super) fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Our own plain types, whose keys are strings: writing them as JSON does not fail.
pub(super) fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
