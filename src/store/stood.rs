//! What of an answer its changes do not say, so that a board of the past can be told exactly: when the source was read,
//! what it said without changing what is served, which figures it left out. Pure but for the rows that it writes.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use providers::{AsOf, Quote};
use serde::{Deserialize, Serialize};

use super::{
    Kept,
    rows::{json, second, sum},
    sql::Tx,
    write::{Sort, keep_change},
};

/// Seconds of a day.
pub(super) const DAY: i64 = 86_400;

/// Something that the changes do not say.
#[derive(Debug, Clone, PartialEq)]
pub enum Remark {
    /// The source was read, and its answer was good.
    Watched(Timestamp),
    /// It said something new; what was served did not change by it.
    Said(Box<Kept>),
    /// What it had said before is what is served from now on: the word of a source before it does not count any more.
    Shown(Box<Kept>),
    /// From an instant on this is the value; `left`: the answers do not have it any more.
    Stood {
        /// The instant.
        at: Timestamp,
        /// Value and times.
        kept: Box<Kept>,
        /// Nothing after `kept.checked_at` confirms it.
        left: bool,
    },
    /// The same figures under another date.
    Dated {
        /// Since when.
        at: Timestamp,
        /// Of the quote.
        key: String,
        /// The date.
        as_of: AsOf,
    },
    /// Another figure took its place.
    Gone {
        /// When.
        at: Timestamp,
        /// Of the quote.
        key: String,
    },
}

impl Remark {
    /// When what it says came, if it is kept among the changes.
    pub(super) fn change(&self) -> Option<Timestamp> {
        match self {
            Self::Said(kept) | Self::Shown(kept) => Some(kept.checked_at),
            Self::Watched(_) | Self::Stood { .. } | Self::Dated { .. } | Self::Gone { .. } => None,
        }
    }
}

/// What is to be remarked of an answer that came at `now`: `old` was kept of the source before it and the answer before
/// it `had` these; `new` is kept now, of which it `read` those, `true` marking changes of what is served; `dropped` gave
/// way.
#[must_use]
pub fn remarks(
    old: &BTreeMap<String, Kept>,
    new: &BTreeMap<String, Kept>,
    had: &BTreeSet<String>,
    read: &[(Kept, bool)],
    dropped: &[String],
    now: Timestamp,
) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let mut has = BTreeSet::new();
    for (kept, changed) in read {
        let key = kept.quote.key();
        let stood = |kept: &Kept| Remark::Stood { at: now, kept: Box::new(kept.clone()), left: false };
        match old.get(&key) {
            None => {
                if !changed {
                    remarks.push(Remark::Said(Box::new(kept.clone())));
                }
                remarks.push(stood(kept));
            }
            Some(before) => {
                let new_figures = !before.quote.same_figures(&kept.quote);
                if new_figures && !changed {
                    remarks.push(Remark::Said(Box::new(kept.clone())));
                }
                // What a reader of this source's own changes would take it for.
                let told = if new_figures {
                    Kept {
                        previous: Some(before.quote.clone()),
                        fetched_at: now,
                        changed_at: now,
                        ..kept.clone()
                    }
                } else {
                    before.clone()
                };
                let returned = !new_figures && !had.contains(&key);
                let repeated = *changed && !new_figures;
                let renamed = !new_figures && before.quote != kept.quote;
                let times = |kept: &Kept| (kept.fetched_at, kept.changed_at);
                let same_before = match (&told.previous, &kept.previous) {
                    (Some(told), Some(kept)) => told.same_figures(kept),
                    (told, kept) => told.is_none() && kept.is_none(),
                };
                if returned || repeated || renamed || times(&told) != times(kept) || !same_before {
                    remarks.push(stood(kept));
                } else if told.as_of != kept.as_of {
                    remarks.push(Remark::Dated { at: now, key: key.clone(), as_of: kept.as_of });
                }
            }
        }
        has.insert(key);
    }
    let left = had.iter().filter(|key| !has.contains(*key)).filter_map(|key| new.get(key));
    remarks.extend(left.map(|kept| Remark::Stood { at: now, kept: Box::new(kept.clone()), left: true }));
    remarks.extend(dropped.iter().map(|key| Remark::Gone { at: now, key: key.clone() }));
    if !read.is_empty() {
        remarks.push(Remark::Watched(now));
    }
    remarks
}

/// A value and its times, as a row keeps them; instants are seconds.
#[derive(Serialize, Deserialize)]
struct Row {
    quote: Quote,
    previous: Option<Quote>,
    as_of: AsOf,
    fetched_at: i64,
    changed_at: i64,
    /// Only of what the answers do not have any more.
    checked_at: Option<i64>,
}

/// What a row of `stood` says.
pub(super) enum Stood {
    /// The value; every answer from then on confirms it.
    Kept(Box<Kept>),
    /// The value; no answer confirms it any more.
    Left(Box<Kept>),
    /// It is no more.
    Gone,
}

/// `None`: it cannot be read.
pub(super) fn read_stood(text: &str) -> Option<Stood> {
    let row: Option<Row> = serde_json::from_str(text).ok()?;
    let Some(row) = row else { return Some(Stood::Gone) };
    let kept = Box::new(Kept {
        quote: row.quote,
        previous: row.previous,
        as_of: row.as_of,
        fetched_at: second(row.fetched_at),
        checked_at: row.checked_at.map_or(Timestamp::MIN, second),
        changed_at: second(row.changed_at),
    });
    Some(if row.checked_at.is_some() { Stood::Left(kept) } else { Stood::Kept(kept) })
}

/// In the transaction of their answer.
pub(super) async fn keep_remarks(
    transaction: &mut Tx<'_>,
    feed: &str,
    source: &str,
    remarks: &[Remark],
) -> Result<(), sqlx::Error> {
    for remark in remarks {
        match remark {
            Remark::Watched(at) => keep_watched(transaction, feed, source, *at).await?,
            Remark::Said(kept) => keep_word(transaction, feed, source, kept, Sort::Said).await?,
            Remark::Shown(kept) => keep_word(transaction, feed, source, kept, Sort::ShownLater).await?,
            Remark::Stood { at, kept, left } => {
                let row = Row {
                    quote: kept.quote.clone(),
                    previous: kept.previous.clone(),
                    as_of: kept.as_of,
                    fetched_at: kept.fetched_at.as_second(),
                    changed_at: kept.changed_at.as_second(),
                    checked_at: left.then(|| kept.checked_at.as_second()),
                };
                keep_stood(transaction, &kept.quote.id(feed), source, *at, &json(&row)).await?;
            }
            Remark::Gone { at, key } => {
                keep_stood(transaction, &format!("{feed}.{key}"), source, *at, "null").await?;
            }
            Remark::Dated { at, key, as_of } => {
                transaction
                    .execute(
                        "INSERT INTO dated (id, source, at, as_of) VALUES ($1, $2, $3, $4)
                     ON CONFLICT (id, source, at) DO UPDATE SET as_of = excluded.as_of",
                        &[
                            format!("{feed}.{key}").into(),
                            source.into(),
                            at.as_second().into(),
                            json(as_of).into(),
                        ],
                    )
                    .await?;
            }
        }
    }
    Ok(())
}

async fn keep_watched(
    transaction: &mut Tx<'_>,
    feed: &str,
    source: &str,
    at: Timestamp,
) -> Result<(), sqlx::Error> {
    transaction
        .execute(
            "INSERT INTO watched (feed, source, day, seconds) VALUES ($1, $2, $3, $4)
         ON CONFLICT (feed, source, day) DO UPDATE SET seconds = watched.seconds || excluded.seconds",
            &[
                feed.into(),
                source.into(),
                at.as_second().div_euclid(DAY).into(),
                format!(",{}", at.as_second().rem_euclid(DAY)).into(),
            ],
        )
        .await?;
    Ok(())
}

/// What the source says, at the instant at which it was read.
async fn keep_word(
    transaction: &mut Tx<'_>,
    feed: &str,
    source: &str,
    kept: &Kept,
    sort: Sort,
) -> Result<(), sqlx::Error> {
    let id = kept.quote.id(feed);
    let (figures, as_of) = (json(&kept.quote), json(&kept.as_of));
    keep_change(transaction, (&id, source, feed), kept.checked_at.as_second(), (&as_of, &figures), sort).await
}

async fn keep_stood(
    transaction: &mut Tx<'_>,
    id: &str,
    source: &str,
    at: Timestamp,
    kept: &str,
) -> Result<(), sqlx::Error> {
    let at = at.as_second();
    transaction
        .execute(
            "INSERT INTO stood (id, source, at, kept, sum) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (id, source, at) DO UPDATE SET kept = excluded.kept, sum = excluded.sum",
            &[
                id.into(),
                source.into(),
                at.into(),
                kept.into(),
                sum(&[id, source, &at.to_string(), kept]).into(),
            ],
        )
        .await?;
    Ok(())
}

/// Remembers whose figure it is.
pub(super) async fn keep_name(
    transaction: &mut Tx<'_>,
    id: &str,
    source: &str,
    feed: &str,
) -> Result<(), sqlx::Error> {
    transaction
        .execute(
            "INSERT INTO figure (id, source, feed) VALUES ($1, $2, $3) ON CONFLICT (id, source) DO NOTHING",
            &[id.into(), source.into(), feed.into()],
        )
        .await?;
    Ok(())
}
