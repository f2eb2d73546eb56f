//! The transactions that the service writes, and the queue in which they wait for the disk: in the order in which
//! they were made, until they are kept. Serving goes on from memory meanwhile.

use std::{
    borrow::Cow,
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use jiff::Timestamp;
use sqlx::{Connection as _, Sqlite, SqliteConnection, SqlitePool, Transaction, pool::PoolConnection};
use tokio::time::Instant;

use super::{
    Act, Attempt, Kept, Published, Store, StoreError,
    audit::keep_act,
    held::keep_held,
    history::keep_series,
    inspect::{is_damage, primary_code},
    rows::{json, sum},
};
use crate::judge::hold::Held;

/// A disk that fails is tried again after this, doubled up to the longest.
const AGAIN_FROM: Duration = Duration::from_secs(1);
const AGAIN_TO: Duration = Duration::from_mins(1);
/// A disk that damages what it is given is not given a new store every minute.
const BETWEEN_RECOVERIES: Duration = Duration::from_hours(1);
/// Of one source; some weeks of changes. More than these the memory is worth.
const MOST_WAITING: usize = 20_000;

/// What an attempt at a source brought.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Whose.
    pub feed: Cow<'static, str>,
    /// Of that feed.
    pub source: Cow<'static, str>,
    /// How it ended.
    pub attempt: Attempt,
    /// Quotes, `true` marking those that changed.
    pub quotes: Vec<(Kept, bool)>,
    /// Keys that gave way to them.
    pub dropped: Vec<String>,
    /// Of the last accepted answer.
    pub keys: Vec<String>,
    /// What waits for confirmation; `None`: the same as before.
    pub held: Option<BTreeMap<String, Held>>,
}

/// One transaction.
#[derive(Debug)]
enum Write {
    Answer(Box<Answer>),
    Publish(Vec<(String, Published)>),
    Act(Box<Act>),
}

/// What waits for the disk, oldest first.
#[derive(Debug, Default)]
pub(super) struct Queue {
    writes: Mutex<VecDeque<Write>>,
    /// Held by whoever writes.
    writing: tokio::sync::Mutex<Trouble>,
}

/// How the last writes went.
#[derive(Debug, Default)]
struct Trouble {
    failures: u32,
    not_before: Option<Instant>,
    recovered: Option<Instant>,
}

impl Queue {
    fn writes(&self) -> std::sync::MutexGuard<'_, VecDeque<Write>> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Write> {
        self.writes().pop_front()
    }

    fn put_back(&self, write: Write) {
        self.writes().push_front(write);
    }

    /// What waits for long is put together, so that a disk that is away for days costs little memory.
    fn push(&self, write: Write) {
        let mut writes = self.writes();
        match write {
            Write::Answer(new) => {
                let own = writes.iter_mut().rev().find_map(|waiting| match waiting {
                    Write::Answer(old) if (&old.feed, &old.source) == (&new.feed, &new.source) => Some(old),
                    _ => None,
                });
                match own.filter(|_| new.dropped.is_empty()) {
                    Some(old) => old.join(*new),
                    None => writes.push_back(Write::Answer(new)),
                }
            }
            Write::Publish(new) => {
                let own = writes.iter_mut().find_map(|waiting| match waiting {
                    Write::Publish(old) => Some(old),
                    Write::Answer(_) | Write::Act(_) => None,
                });
                match own {
                    Some(old) => {
                        old.retain(|(name, _)| !new.iter().any(|(known, _)| known == name));
                        old.extend(new);
                    }
                    None => writes.push_back(Write::Publish(new)),
                }
            }
            act @ Write::Act(_) => writes.push_back(act),
        }
    }
}

impl Answer {
    /// The next answer of the same source, written in the same transaction: of a quote that did not change only the
    /// last word counts.
    fn join(&mut self, new: Self) {
        let again: std::collections::HashSet<String> =
            new.quotes.iter().map(|(kept, _)| kept.quote.key()).collect();
        self.quotes.retain(|(kept, changed)| *changed || !again.contains(&kept.quote.key()));
        self.quotes.extend(new.quotes);
        self.attempt = new.attempt;
        self.keys = new.keys;
        self.held = new.held.or(self.held.take());
        if let Some(too_many) = self.quotes.len().checked_sub(MOST_WAITING).filter(|n| *n > 0) {
            tracing::error!(
                feed = %self.feed,
                source = %self.source,
                lost = too_many,
                "the store has been away for too long: the oldest changes that waited for it are given up"
            );
            self.quotes.drain(..too_many);
        }
    }
}

impl Store {
    /// Takes an answer for writing; [`Store::flush`] writes it.
    pub fn push(&self, answer: Answer) {
        self.queue.push(Write::Answer(Box::new(answer)));
    }

    /// Takes a publish for writing; [`Store::flush`] writes it.
    pub fn push_published(&self, documents: Vec<(String, Published)>) {
        self.queue.push(Write::Publish(documents));
    }

    /// Takes an act of the operator's for writing; [`Store::flush`] writes it.
    pub fn push_act(&self, act: Act) {
        self.queue.push(Write::Act(Box::new(act)));
    }

    /// How many transactions wait for the disk.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.writes().len()
    }

    /// Writes what waits, in order. What cannot be written stays and is tried again later, so this fails never; the
    /// log and [`Store::errors`] tell.
    pub async fn flush(&self) {
        self.write_all(false).await;
    }

    /// `now`: whatever was agreed about trying again.
    pub(super) async fn write_all(&self, now: bool) {
        let mut trouble = self.queue.writing.lock().await;
        if !now && trouble.not_before.is_some_and(|until| Instant::now() < until) {
            return;
        }
        while let Some(write) = self.queue.take() {
            let result = match &write {
                Write::Answer(of) => keep(&self.pool(), of).await,
                Write::Publish(documents) => publish(&self.pool(), documents).await,
                Write::Act(act) => act_out(&self.pool(), act).await,
            };
            let Err(error) = result else {
                if std::mem::take(&mut trouble.failures) > 0 {
                    tracing::warn!("the store can be written again; what waited is being kept");
                }
                trouble.not_before = None;
                continue;
            };
            self.errors.fetch_add(1, Ordering::Relaxed);
            if is_hopeless(&error) {
                // Tried again it would fail again, and everything behind it would wait.
                tracing::error!(%error, "a transaction is refused by the store and given up; this is a defect of banggia");
                continue;
            }
            self.queue.put_back(write);
            let waiting = self.waiting();
            tracing::error!(%error, waiting, "the store cannot be written; serving goes on from memory");
            let damaged = is_damage(&error) || matches!(error, sqlx::Error::PoolClosed);
            let long_ago = trouble.recovered.is_none_or(|at| at.elapsed() > BETWEEN_RECOVERIES);
            if damaged && long_ago && self.replace(&error.to_string()).await.is_ok() {
                trouble.recovered = Some(Instant::now());
                continue;
            }
            let wait = AGAIN_FROM.saturating_mul(1 << trouble.failures.min(10)).min(AGAIN_TO);
            trouble.failures = trouble.failures.saturating_add(1);
            trouble.not_before = Some(Instant::now() + wait);
            return;
        }
    }

    /// Sets a store that turned out to be damaged aside and goes on with the last good backup or an empty one; what is
    /// served is written to it with the next answers.
    ///
    /// # Errors
    /// [`StoreError`]: the store stays as it is, or what took its place cannot be used.
    pub async fn recover(&self, why: &str) -> Result<(), StoreError> {
        let mut trouble = self.queue.writing.lock().await;
        self.replace(why).await?;
        *trouble = Trouble { recovered: Some(Instant::now()), ..Trouble::default() };
        Ok(())
    }
}

/// Whether to try again is of no use: a constraint, a type, a statement that the database does not know.
fn is_hopeless(error: &sqlx::Error) -> bool {
    matches!(primary_code(error), Some(1 | 18 | 19 | 20 | 25))
}

/// One answer, in one transaction.
pub(super) async fn keep(pool: &SqlitePool, answer: &Answer) -> Result<(), sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let result = keep_answer(&mut connection, answer).await;
    give_back(connection, &result);
    result
}

/// What was published, in one transaction; a version never goes back.
pub(super) async fn publish(pool: &SqlitePool, documents: &[(String, Published)]) -> Result<(), sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let result = keep_documents(&mut connection, documents).await;
    give_back(connection, &result);
    result
}

/// One act of the operator's, in one transaction.
async fn act_out(pool: &SqlitePool, act: &Act) -> Result<(), sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let result = async {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        keep_act(&mut transaction, act).await?;
        transaction.commit().await
    }
    .await;
    give_back(connection, &result);
    result
}

/// A full disk makes SQLite end a transaction by itself, which sqlx does not notice: it counts that transaction for
/// ever and begins no other. So a connection on which something failed is not used again.
pub(super) fn give_back(mut connection: PoolConnection<Sqlite>, result: &Result<(), sqlx::Error>) {
    if result.as_ref().is_err_and(|error| !is_hopeless(error)) {
        connection.close_on_drop();
    }
}

async fn keep_answer(connection: &mut SqliteConnection, answer: &Answer) -> Result<(), sqlx::Error> {
    let Answer { attempt, quotes, dropped, keys, held, .. } = answer;
    let (feed, source) = (answer.feed.as_ref(), answer.source.as_ref());
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for key in dropped {
        sqlx::query("DELETE FROM quote WHERE id = ? AND source = ?")
            .bind(format!("{feed}.{key}"))
            .bind(source)
            .execute(&mut *transaction)
            .await?;
    }
    if let Some(held) = held {
        keep_held(&mut transaction, feed, source, held).await?;
    }
    for (kept, changed) in quotes {
        keep_quote(&mut transaction, feed, source, kept, *changed).await?;
    }
    let (keys, at) = (json(&keys), attempt.at.as_second());
    let reason = attempt.reason.as_ref().map(json);
    let cells =
        [feed, source, keys.as_str(), &at.to_string(), &attempt.outcome, reason.as_deref().unwrap_or("")];
    sqlx::query(
        "INSERT INTO source (feed, source, keys, attempted_at, outcome, reason, sum) VALUES (?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (feed, source) DO UPDATE SET keys = excluded.keys, attempted_at = excluded.attempted_at,
         outcome = excluded.outcome, reason = excluded.reason, sum = excluded.sum",
    )
    .bind(feed)
    .bind(source)
    .bind(&keys)
    .bind(at)
    .bind(&attempt.outcome)
    .bind(&reason)
    .bind(sum(&cells))
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await
}

async fn keep_quote(
    transaction: &mut Transaction<'_, Sqlite>,
    feed: &str,
    source: &str,
    kept: &Kept,
    changed: bool,
) -> Result<(), sqlx::Error> {
    let id = kept.quote.id(feed);
    let (figures, as_of) = (json(&kept.quote), json(&kept.as_of));
    let previous = kept.previous.as_ref().map(json);
    let times = [kept.fetched_at, kept.checked_at, kept.changed_at].map(Timestamp::as_second);
    let [fetched_at, checked_at, changed_at] = times.map(|at| at.to_string());
    if changed {
        sqlx::query(
            "INSERT INTO change (id, source, feed, at, as_of, figures, sum) VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(&id)
        .bind(source)
        .bind(feed)
        .bind(times[2])
        .bind(&as_of)
        .bind(&figures)
        .bind(sum(&[&id, source, feed, &changed_at, &as_of, &figures]))
        .execute(&mut **transaction)
        .await?;
        keep_series!(transaction, &id, feed)?;
    }
    let before = previous.as_deref().unwrap_or("");
    sqlx::query(
        "INSERT INTO quote (id, source, feed, figures, previous, as_of, fetched_at, checked_at, changed_at, sum)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (id, source) DO UPDATE SET figures = excluded.figures, previous = excluded.previous,
         as_of = excluded.as_of, fetched_at = excluded.fetched_at, checked_at = excluded.checked_at,
         changed_at = excluded.changed_at, sum = excluded.sum",
    )
    .bind(&id)
    .bind(source)
    .bind(feed)
    .bind(&figures)
    .bind(&previous)
    .bind(&as_of)
    .bind(times[0])
    .bind(times[1])
    .bind(times[2])
    .bind(sum(&[&id, source, feed, &figures, before, &as_of, &fetched_at, &checked_at, &changed_at]))
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

async fn keep_documents(
    connection: &mut SqliteConnection,
    documents: &[(String, Published)],
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for (name, published) in documents {
        let (version, at) = (published.version, published.generated_at.as_second());
        sqlx::query(
            "INSERT INTO document (name, version, generated_at, hash, sum) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (name) DO UPDATE SET version = excluded.version, generated_at = excluded.generated_at,
             hash = excluded.hash, sum = excluded.sum WHERE excluded.version >= document.version",
        )
        .bind(name)
        .bind(version)
        .bind(at)
        .bind(&published.hash)
        .bind(sum(&[name, &version.to_string(), &at.to_string(), &published.hash]))
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await
}
