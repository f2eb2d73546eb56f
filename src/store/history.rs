//! Every change that was kept, for `export`: series by series, page by page, so that neither memory nor a reader that
//! pauses depends on how many years there are. Reads only.

use jiff::Timestamp;
use providers::{AsOf, Quote};

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
        let shared = matches!(&*self.base(), super::Base::Postgres(_));
        let steps = if shared { super::postgres::MIGRATIONS.len() } else { super::MIGRATIONS.len() };
        let known = i64::try_from(steps).unwrap_or(i64::MAX);
        let found = self.schema().await?;
        let file = || {
            let shown = super::shown_url(name);
            shown.strip_prefix("sqlite:").unwrap_or(&shown).to_owned()
        };
        match found {
            // Begun and not finished: nothing was kept yet.
            0 => return Ok(Vec::new()),
            _ if super::is_shared(name) => {}
            found if found > known => return Err(StoreError::Newer { file: file(), found, known }),
            found if found < SUMMED && !shared => {
                return Err(StoreError::Older { file: file(), found, known });
            }
            _ => {}
        }
        let rows = self.base().rows("SELECT DISTINCT id, feed FROM change", &[]).await?;
        let series = rows.iter().map(|row| Ok(Series { id: row.try_get("id")?, feed: row.try_get("feed")? }));
        Ok(series.collect::<Result<_, sqlx::Error>>()?)
    }

    /// The place of the last change before an instant, from which the one at it can be told; else the beginning.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn mark_before(&self, id: &str, from: Timestamp) -> Result<Mark, StoreError> {
        let text = "SELECT at, seq FROM change WHERE id = $1 AND at < $2 ORDER BY at DESC, seq DESC LIMIT 1";
        let found = self.base().row(text, &[id.into(), from.as_second().into()]).await?;
        let Some(row) = found else { return Ok(Mark { at: i64::MIN, seq: i64::MIN }) };
        // One before it: a page begins behind its mark.
        Ok(Mark { at: row.try_get("at")?, seq: row.try_get::<i64>("seq")? - 1 })
    }

    /// Changes behind a mark and before an instant.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn page(&self, id: &str, behind: Mark, until: Timestamp) -> Result<Page, StoreError> {
        let plain = CHANGE.plain();
        let text = format!(
            "SELECT seq, at, source, as_of, figures, sum, {plain} FROM change
             WHERE id = $1 AND (at, seq) > ($2, $3) AND at < $4 ORDER BY at, seq LIMIT {PAGE}"
        );
        let values = [id.into(), behind.at.into(), behind.seq.into(), until.as_second().into()];
        let rows = self.base().rows(&text, &values).await?;
        let full = i64::try_from(rows.len()).unwrap_or(PAGE) >= PAGE;
        let mut page = Page::default();
        for row in &rows {
            let change = || -> Option<Change> {
                let text = |column| row.try_get::<String>(column).ok();
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
