//! Every change that was kept, for `export`: series by series, page by page, so that neither memory nor a reader that
//! pauses depends on how many years there are. Reads only.

use jiff::Timestamp;
use providers::{AsOf, Quote};
use sqlx::Row as _;

use super::{
    Store, StoreError,
    rows::{CHANGE, is_whole, second},
};

/// Rows at a time; between two pages the file is free for whoever writes.
const PAGE: i64 = 1000;
/// Since this schema a row says whether it is what was written.
const SUMMED: i64 = 3;

/// One figure over the years.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// Of the quote.
    pub id: String,
    /// Its feed.
    pub feed: String,
}

/// What was served from an instant on.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// That instant.
    pub at: Timestamp,
    /// Whose word it was.
    pub source: String,
    /// When it holds by the source's word.
    pub as_of: AsOf,
    /// The figures.
    pub quote: Quote,
}

/// A place in a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    at: i64,
    seq: i64,
}

/// Some changes in a row, oldest first.
#[derive(Debug, Default)]
pub struct Page {
    /// In order.
    pub changes: Vec<Change>,
    /// Rows that are not what was written and are left out.
    pub damaged: usize,
    /// Where the next page begins; `None`: this is the last.
    pub next: Option<Mark>,
}

impl Store {
    /// Every figure of which a change was kept.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn series(&self, name: &str) -> Result<Vec<Series>, StoreError> {
        let known = i64::try_from(super::MIGRATIONS.len()).unwrap_or(i64::MAX);
        let found: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&self.pool()).await?;
        let file = || name.strip_prefix("sqlite:").unwrap_or(name).to_owned();
        match found {
            // Begun and not finished: nothing was kept yet.
            0 => return Ok(Vec::new()),
            found if found > known => return Err(StoreError::Newer { file: file(), found, known }),
            found if found < SUMMED => return Err(StoreError::Older { file: file(), found, known }),
            _ => {}
        }
        let rows = sqlx::query("SELECT DISTINCT id, feed FROM change").fetch_all(&self.pool()).await?;
        let series = rows.iter().map(|row| Ok(Series { id: row.try_get("id")?, feed: row.try_get("feed")? }));
        Ok(series.collect::<Result<_, sqlx::Error>>()?)
    }

    /// The place of the last change before an instant, from which the one at it can be told; else the beginning.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn mark_before(&self, id: &str, from: Timestamp) -> Result<Mark, StoreError> {
        let found: Option<(i64, i64)> = sqlx::query_as(
            "SELECT at, seq FROM change WHERE id = ? AND at < ? ORDER BY at DESC, seq DESC LIMIT 1",
        )
        .bind(id)
        .bind(from.as_second())
        .fetch_optional(&self.pool())
        .await?;
        // One before it: a page begins behind its mark.
        Ok(found.map_or(Mark { at: i64::MIN, seq: i64::MIN }, |(at, seq)| Mark { at, seq: seq - 1 }))
    }

    /// Changes behind a mark and before an instant.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn page(&self, id: &str, behind: Mark, until: Timestamp) -> Result<Page, StoreError> {
        let plain = CHANGE.plain();
        let text = format!(
            "SELECT seq, at, source, as_of, figures, sum, {plain} FROM change
             WHERE id = ?1 AND (at, seq) > (?2, ?3) AND at < ?4 ORDER BY at, seq LIMIT {PAGE}"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(text))
            .bind(id)
            .bind(behind.at)
            .bind(behind.seq)
            .bind(until.as_second())
            .fetch_all(&self.pool())
            .await?;
        let full = i64::try_from(rows.len()).unwrap_or(PAGE) >= PAGE;
        let mut page = Page::default();
        for row in &rows {
            let change = || -> Option<Change> {
                let text = |column| row.try_get::<String, _>(column).ok();
                let whole = is_whole(row).ok()?;
                whole.then_some(())?;
                Some(Change {
                    at: second(row.try_get("at").ok()?),
                    source: text("source")?,
                    as_of: serde_json::from_str(&text("as_of")?).ok()?,
                    quote: serde_json::from_str(&text("figures")?).ok()?,
                })
            };
            match change() {
                Some(change) => page.changes.push(change),
                None => page.damaged += 1,
            }
        }
        if let Some(last) = rows.last().filter(|_| full) {
            page.next = Some(Mark { at: last.try_get("at")?, seq: last.try_get("seq")? });
        }
        Ok(page)
    }
}
