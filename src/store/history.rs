//! Every change that was shown: which figures there are, what was in force at an instant, and what changed after it, page
//! by page, so that neither memory nor a reader that pauses depends on how many years there are. Reads only.

use std::{collections::HashMap, sync::LazyLock};

use jiff::Timestamp;
use providers::{AsOf, Quote};

use super::{
    Store, StoreError,
    rows::{CHANGE, SEPARATOR, hash, second},
    sql::{Row, Tx, Value},
};

/// Rows at a time; between two pages the file is free for whoever writes.
const PAGE: i64 = 1000;
/// Since this schema a row says whether it is what was written, and whether it was shown.
const TOLD: i64 = 9;
/// So many figures are read in one statement.
pub const MOST_TOGETHER: usize = 64;
/// How far the same figures are followed back in one statement, first and last; longer runs begin there.
const RUN_FROM: usize = 16;
const RUN_TO: usize = 4096;
/// Between changes: the record separator of ASCII, which none of them has in it.
const BETWEEN: char = '\u{1e}';
/// The columns of a change, few of them: each cell of each row is copied out of the database.
static COLUMNS: LazyLock<String> = LazyLock::new(|| format!("seq, sum, {}", CHANGE.plain()));

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
    /// Where it stands in its series.
    pub mark: Mark,
}

/// A place in a series: behind a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// Unix seconds.
    pub at: i64,
    /// Of rows of one second.
    pub seq: i64,
}

impl Mark {
    /// Before everything.
    pub const BEGINNING: Self = Self { at: i64::MIN, seq: i64::MIN };

    /// Before whatever is of this second.
    #[must_use]
    pub const fn before(at: i64) -> Self {
        Self { at, seq: i64::MIN }
    }

    /// One before: what is read behind it begins with the row itself.
    #[must_use]
    pub const fn included(self) -> Self {
        Self { at: self.at, seq: self.seq.saturating_sub(1) }
    }
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

/// Changes of several figures, each oldest first.
#[derive(Debug, Default)]
pub struct Pages {
    /// By id.
    pub changes: HashMap<String, Vec<Change>>,
    /// There were too many: the figure that was cut through. Of those that are not here nobody knows whether they come behind
    /// it, since each database has an order of its own.
    cut_at: Option<String>,
    /// Something in them is no text any more: row by row the others of these can still be read.
    unread: Vec<String>,
}

impl Pages {
    /// Whether all changes of a figure are here.
    #[must_use]
    pub fn is_whole(&self, id: &str) -> bool {
        self.cut_at.as_ref().is_none_or(|cut| cut != id && self.changes.contains_key(id))
            && !self.unread.iter().any(|unread| unread == id)
    }
}

/// Says the same again as the figures before it: then it is passed over, whatever source it is of. Days that were read
/// after the fact are kept in full, also where nothing changed.
#[must_use]
pub fn is_change(before: Option<&Quote>, quote: &Quote) -> bool {
    before.is_none_or(|before| !before.same_figures(quote))
}

/// A row as it was written, with the id of its figure, or nothing.
fn read_change(row: &Row) -> Option<(&str, Change)> {
    read_cells(row.nth(0).ok()?, row.nth(1).ok()?, row.text(2).ok()?)
}

/// One of those that [`Store::pages`] has put together.
fn read_part(part: &str) -> Option<Change> {
    let mut cells = part.splitn(3, SEPARATOR);
    let seq = cells.next()?.parse().ok()?;
    let sum = Some(cells.next()?).filter(|sum| !sum.is_empty()).map(str::parse).transpose().ok()?;
    Some(read_cells(seq, sum, cells.next()?)?.1)
}

fn read_cells(seq: i64, written: Option<i64>, plain: &str) -> Option<(&str, Change)> {
    if written.is_some_and(|written| written != hash(plain)) {
        return None;
    }
    let mut cells = plain.splitn(6, SEPARATOR);
    let (id, source, _feed) = (cells.next()?, cells.next()?.to_owned(), cells.next()?);
    let at: i64 = cells.next()?.parse().ok()?;
    let as_of = serde_json::from_str(cells.next()?).ok()?;
    let quote = serde_json::from_str(cells.next()?).ok()?;
    Some((id, Change { at: second(at), source, as_of, quote, mark: Mark { at, seq } }))
}

/// What is in force by the last changes of a figure.
struct Begun {
    change: Change,
    before: Option<Change>,
    /// Or it may have said the same before what was read.
    is_sure: bool,
}

/// By the last row and so many before it, oldest first; `None`: nobody knows how many there are.
fn begun(mut changes: Vec<Change>, more: Option<usize>) -> Option<Begun> {
    let is_all = more.is_some_and(|more| changes.len() <= more);
    let mut change = changes.pop()?;
    while let Some(earlier) = changes.pop() {
        if is_change(Some(&earlier.quote), &change.quote) {
            return Some(Begun { change, before: Some(earlier), is_sure: true });
        }
        change = earlier;
    }
    Some(Begun { change, before: None, is_sure: is_all })
}

/// `$2, $3, …` for so many ids, the last one repeated up to a round number: few texts for the database to plan.
fn places(ids: &[String], first: usize) -> (String, impl Iterator<Item = &String>) {
    let count = [1, 8, MOST_TOGETHER].into_iter().find(|count| ids.len() <= *count).unwrap_or(ids.len());
    let places: Vec<String> = (first..first + count).map(|place| format!("${place}")).collect();
    (places.join(", "), (0..count).filter_map(|at| ids.get(at).or(ids.last())))
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
            found if found < TOLD && !shared => {
                return Err(StoreError::Older { file: file(), found, known });
            }
            _ => {}
        }
        let rows = self.base().rows("SELECT DISTINCT id, feed FROM change WHERE shown = 1", &[]).await?;
        let series = rows.iter().map(|row| Ok(Series { id: row.try_get("id")?, feed: row.try_get("feed")? }));
        let mut series = series.collect::<Result<Vec<_>, sqlx::Error>>()?;
        // By bytes: a server may order words as people do.
        series.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(series)
    }

    /// Every figure of a feed of which a change was kept, with its newest word: what it is of.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn series_of(&self, feed: &str) -> Result<Vec<(String, Quote)>, StoreError> {
        let rows = self
            .reader()
            .rows(
                "SELECT s.id, max(q.figures) AS figures FROM series s LEFT JOIN quote q ON q.id = s.id
             WHERE s.feed = $1 GROUP BY s.id",
                &[feed.into()],
            )
            .await?;
        let mut series = Vec::with_capacity(rows.len());
        let mut unquoted = Vec::new();
        for row in &rows {
            let (id, figures): (String, Option<String>) = (row.try_get("id")?, row.try_get("figures")?);
            match figures.and_then(|figures| serde_json::from_str(&figures).ok()) {
                Some(quote) => series.push((id, quote)),
                None => unquoted.push(id),
            }
        }
        // No longer quoted, or only ever read after the fact.
        for ids in unquoted.chunks(MOST_TOGETHER) {
            let (last, _) = self.last_before(ids, i64::MAX, 0).await?;
            series.extend(
                last.into_iter().filter_map(|(id, changes)| Some((id, changes.last()?.quote.clone()))),
            );
        }
        // By bytes: a server may order words as people do.
        series.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(series)
    }

    /// Of each figure what came into force last before a second, and the last word before that.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn in_force(
        &self,
        ids: &[String],
        before: i64,
    ) -> Result<HashMap<String, (Change, Option<Change>)>, StoreError> {
        let mut found = HashMap::new();
        for ids in ids.chunks(MOST_TOGETHER) {
            // Most figures changed with their last word; of the others, together, what they said before.
            let mut runs = Vec::new();
            let (last, is_whole) = self.last_before(ids, before, 1).await?;
            for (id, changes) in last {
                match begun(changes, is_whole.then_some(1)) {
                    Some(Begun { change, before, is_sure: true }) => drop(found.insert(id, (change, before))),
                    Some(_) => runs.push(id),
                    None => {}
                }
            }
            if runs.is_empty() {
                continue;
            }
            let (last, is_whole) = self.last_before(&runs, before, RUN_FROM).await?;
            for (id, changes) in last {
                let begun = begun(changes, is_whole.then_some(RUN_FROM));
                let Some(Begun { change, before, is_sure }) = begun else { continue };
                let run = if is_sure { (change, before) } else { self.beginning_of_run(&id, change).await? };
                found.insert(id, run);
            }
        }
        Ok(found)
    }

    /// Where the figures of a change began to hold, and those before them.
    async fn beginning_of_run(
        &self,
        id: &str,
        mut change: Change,
    ) -> Result<(Change, Option<Change>), StoreError> {
        let mut most = RUN_FROM;
        while most <= RUN_TO {
            let text = format!(
                "SELECT {} FROM change WHERE id = $1 AND shown = 1 AND (at, seq) < ($2, $3) ORDER BY at DESC, seq DESC LIMIT {most}",
                *COLUMNS
            );
            let rows = self
                .reader()
                .rows(&text, &[id.into(), change.mark.at.into(), change.mark.seq.into()])
                .await?;
            for row in &rows {
                let Some((_, earlier)) = read_change(row) else { continue };
                if is_change(Some(&earlier.quote), &change.quote) {
                    return Ok((change, Some(earlier)));
                }
                change = earlier;
            }
            if rows.len() < most {
                break;
            }
            most *= 16;
        }
        Ok((change, None))
    }

    /// The last row before a second and so many before that, of each figure, with whatever else is of the same second as the
    /// first of them; oldest first. And whether every row is what was written: others are left out.
    async fn last_before(
        &self,
        ids: &[String],
        before: i64,
        more: usize,
    ) -> Result<(HashMap<String, Vec<Change>>, bool), StoreError> {
        let (places, bound) = places(ids, 3);
        let text = format!(
            // SQLite joins in this order where it says so; the other way round it goes by every change there ever was.
            "SELECT {} FROM (SELECT id AS own FROM series WHERE id IN ({places})) s CROSS JOIN change
             WHERE id = s.own AND shown = 1 AND at < $1 AND at >= coalesce(
               (SELECT b.at FROM change b WHERE b.id = s.own AND b.shown = 1 AND b.at < $1 ORDER BY b.at DESC LIMIT 1 OFFSET {more}), $2)
             ORDER BY id, at, seq",
            *COLUMNS
        );
        let mut values: Vec<Value> = vec![before.into(), i64::MIN.into()];
        values.extend(bound.map(Value::from));
        let (mut found, mut is_whole) = (HashMap::<String, Vec<Change>>::new(), true);
        for row in &self.reader().rows(&text, &values).await? {
            let Some((id, change)) = read_change(row) else {
                is_whole = false;
                continue;
            };
            match found.get_mut(id) {
                Some(changes) => changes.push(change),
                None => drop(found.insert(id.to_owned(), vec![change])),
            }
        }
        Ok((found, is_whole))
    }

    /// Changes of several figures from a second on and before another, so many at most.
    ///
    /// # Errors
    /// [`StoreError::Database`]; a row that is not what was written is left out.
    pub async fn pages(
        &self,
        ids: &[String],
        from: i64,
        until: i64,
        most: usize,
    ) -> Result<Pages, StoreError> {
        let mut pages = Pages::default();
        let (places, bound) = places(ids, 3);
        // One row a figure: each row is handed over by a thread of its own, which takes longer than to read it.
        let text = format!(
            "SELECT id, count(*), string_agg(concat_ws('{SEPARATOR}', CAST(seq AS TEXT), coalesce(CAST(sum AS TEXT), ''), plain),
               '{BETWEEN}' ORDER BY at, seq)
             FROM (SELECT id, at, seq, sum, {} FROM change
                   WHERE id IN ({places}) AND shown = 1 AND at >= $1 AND at < $2 ORDER BY id, at, seq LIMIT {}) c
             GROUP BY id ORDER BY id",
            CHANGE.plain(),
            most + 1
        );
        let mut values: Vec<Value> = vec![from.into(), until.into()];
        values.extend(bound.map(Value::from));
        let (mut read, mut damaged, mut last) = (0, 0, None);
        let each = |row: Row| {
            let (id, count): (String, i64) = (row.nth(0)?, row.nth(1)?);
            let count = usize::try_from(count).unwrap_or_default();
            read += count;
            last = Some(id.clone());
            let Ok(parts) = row.text(2) else {
                pages.unread.push(id);
                return Ok(());
            };
            let mut changes = Vec::with_capacity(count);
            for part in parts.split(BETWEEN) {
                match read_part(part) {
                    Some(change) => changes.push(change),
                    None => damaged += 1,
                }
            }
            pages.changes.insert(id, changes);
            Ok(())
        };
        self.reader().each(&text, &values, each).await?;
        pages.cut_at = last.filter(|_| read > most);
        tell_damage(damaged);
        Ok(pages)
    }

    /// The place of the last change before an instant, from which the one at it can be told; else the beginning.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn mark_before(&self, id: &str, from: Timestamp) -> Result<Mark, StoreError> {
        let text = "SELECT at, seq FROM change WHERE id = $1 AND shown = 1 AND at < $2 ORDER BY at DESC, seq DESC LIMIT 1";
        let found = self.reader().row(text, &[id.into(), from.as_second().into()]).await?;
        let Some(row) = found else { return Ok(Mark::BEGINNING) };
        // One before it: a page begins behind its mark.
        Ok(Mark { at: row.try_get("at")?, seq: row.try_get("seq")? }.included())
    }

    /// Changes behind a mark and before an instant.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn page(&self, id: &str, behind: Mark, until: Timestamp) -> Result<Page, StoreError> {
        let text = format!(
            "SELECT {}, at FROM change
             WHERE id = $1 AND shown = 1 AND (at, seq) > ($2, $3) AND at < $4 ORDER BY at, seq LIMIT {PAGE}",
            *COLUMNS
        );
        let values = [id.into(), behind.at.into(), behind.seq.into(), until.as_second().into()];
        let rows = self.reader().rows(&text, &values).await?;
        let full = i64::try_from(rows.len()).unwrap_or(PAGE) >= PAGE;
        let mut page = Page::default();
        for row in &rows {
            match read_change(row) {
                Some((_, change)) => page.changes.push(change),
                None => page.damaged += 1,
            }
        }
        if let Some(last) = rows.last().filter(|_| full) {
            page.next = Some(Mark { at: last.try_get("at")?, seq: last.try_get("seq")? });
        }
        Ok(page)
    }
}

/// In the log: what is left out of an answer is no reason to refuse the rest.
pub(crate) fn tell_damage(rows: usize) {
    if rows > 0 {
        tracing::error!(rows, "changes in the store are not what was written and are left out of a history");
    }
}

/// One figure from a mark on, page by page, without what says the same again.
#[derive(Debug)]
pub struct Course {
    id: String,
    until: Timestamp,
    next: Option<Mark>,
    before: Option<Quote>,
    /// Rows that are not what was written and were left out.
    pub damaged: usize,
}

impl Course {
    /// Behind a mark and before an instant; `before` are the figures at the mark.
    #[must_use]
    pub fn new(id: &str, behind: Mark, until: Timestamp, before: Option<Quote>) -> Self {
        Self { id: id.to_owned(), until, next: Some(behind), before, damaged: 0 }
    }

    /// The next changes, each with the figures before it; `None`: that was all.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn more(&mut self, store: &Store) -> Result<Option<Vec<(Change, Option<Quote>)>>, StoreError> {
        let Some(behind) = self.next else { return Ok(None) };
        let page = store.page(&self.id, behind, self.until).await?;
        self.next = page.next;
        self.damaged += page.damaged;
        let mut changes = Vec::with_capacity(page.changes.len());
        for change in page.changes {
            if is_change(self.before.as_ref(), &change.quote) {
                let before = self.before.replace(change.quote.clone());
                changes.push((change, before));
            }
        }
        Ok(Some(changes))
    }
}

/// Remembers that a figure has a history.
pub(super) async fn keep_series(transaction: &mut Tx<'_>, id: &str, feed: &str) -> Result<(), sqlx::Error> {
    let text = "INSERT INTO series (id, feed) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING";
    transaction.execute(text, &[id.into(), feed.into()]).await?;
    Ok(())
}
