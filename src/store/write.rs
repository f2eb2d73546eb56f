//! The transactions that the service writes, and the queue in which they wait for the disk: in the order in which
//! they were made, until they are kept. Serving goes on from memory meanwhile.

use std::{
    borrow::Cow,
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use jiff::Timestamp;
use sqlx::{Connection as _, Sqlite, SqlitePool, pool::PoolConnection};
use tokio::time::Instant;

use super::{
    Act, Attempt, Kept, Published, Store, StoreError,
    audit::keep_act,
    events::keep_events,
    held::keep_held,
    history::keep_series,
    inspect::{is_damage, primary_code},
    postgres,
    rows::{json, sum},
    sql::{Base, Tx, Value, begin_on},
    stood::{Remark, keep_name, keep_remarks},
};
use crate::{events::Numbered, judge::hold::Held};

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
    /// With what the changes in it do not say.
    Answer(Box<Answer>, Vec<Remark>),
    Publish(Vec<(String, Published)>, Vec<Numbered>),
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
            Write::Answer(new, more) => {
                let own = writes.iter_mut().rev().find_map(|waiting| match waiting {
                    Write::Answer(old, remarks) if (&old.feed, &old.source) == (&new.feed, &new.source) => {
                        Some((old, remarks))
                    }
                    _ => None,
                });
                match own.filter(|_| new.dropped.is_empty()) {
                    Some((old, remarks)) => {
                        old.join(*new);
                        remarks.extend(more);
                    }
                    None => writes.push_back(Write::Answer(new, more)),
                }
            }
            Write::Publish(new, happened) => {
                let own = writes.iter_mut().find_map(|waiting| match waiting {
                    Write::Publish(old, events) => Some((old, events)),
                    Write::Answer(..) | Write::Act(_) => None,
                });
                match own {
                    Some((old, events)) => {
                        old.retain(|(name, _)| !new.iter().any(|(known, _)| known == name));
                        old.extend(new);
                        events.extend(happened);
                        events.drain(..events.len().saturating_sub(MOST_WAITING));
                    }
                    None => writes.push_back(Write::Publish(new, happened)),
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
        self.push_with(answer, Vec::new());
    }

    /// The same, with what a past board needs of it beside its changes; in one transaction.
    pub fn push_with(&self, answer: Answer, remarks: Vec<Remark>) {
        self.queue.push(Write::Answer(Box::new(answer), remarks));
    }

    /// Takes a publish for writing; [`Store::flush`] writes it.
    pub fn push_published(&self, documents: Vec<(String, Published)>) {
        self.push_publish(documents, Vec::new());
    }

    /// The same with what happened between it and the one before.
    pub fn push_publish(&self, documents: Vec<(String, Published)>, events: Vec<Numbered>) {
        self.queue.push(Write::Publish(documents, events));
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

    /// The same, at once, whatever was agreed with a store that failed.
    pub async fn flush_now(&self) {
        self.write_all(true).await;
    }

    /// `now`: whatever was agreed about trying again.
    pub(super) async fn write_all(&self, now: bool) {
        let mut trouble = self.queue.writing.lock().await;
        if !now && trouble.not_before.is_some_and(|until| Instant::now() < until) {
            return;
        }
        while let Some(write) = self.queue.take() {
            let result = self.write_one(&write).await;
            let Err(error) = result else {
                if std::mem::take(&mut trouble.failures) > 0 {
                    tracing::warn!("the store can be written again; what waited is being kept");
                }
                trouble.not_before = None;
                continue;
            };
            if postgres::is_fenced(&error) {
                // Another one leads: what it fetched counts, and what we fetched is given up.
                self.dethrone();
                continue;
            }
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

    /// On a server: in the partition of its month, and only while we lead.
    async fn write_one(&self, write: &Write) -> Result<(), sqlx::Error> {
        let base = self.base();
        let result = async {
            if let (Base::Postgres(pool), Some(cluster)) = (&*base, &self.cluster) {
                cluster.make_room(pool, write.changes()).await?;
            }
            written(&base, self.epoch(), write).await
        };
        self.mind(result.await)
    }

    /// Writes what was published, without a queue.
    pub(super) async fn publish_now(&self, documents: Vec<(String, Published)>) -> Result<(), sqlx::Error> {
        self.write_one(&Write::Publish(documents, Vec::new())).await
    }

    /// Forgets what waits and is not the operator's.
    pub fn give_up_waiting(&self) {
        self.queue.writes().retain(|write| matches!(write, Write::Act(_)));
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
    matches!(primary_code(error), Some(1 | 18 | 19 | 20 | 25)) || postgres::is_hopeless(error)
}

/// What was published, beside the queue.
pub(super) async fn publish(
    pool: &SqlitePool,
    documents: Vec<(String, Published)>,
) -> Result<(), sqlx::Error> {
    written(&Base::Sqlite(pool.clone()), None, &Write::Publish(documents, Vec::new())).await
}

/// One write, in one transaction.
async fn written(base: &Base, epoch: Option<i64>, write: &Write) -> Result<(), sqlx::Error> {
    match base {
        Base::Sqlite(pool) => {
            let mut connection = pool.acquire().await?;
            let result = async {
                let mut transaction = Tx::Sqlite(connection.begin_with("BEGIN IMMEDIATE").await?);
                write.put(&mut transaction).await?;
                transaction.commit().await
            }
            .await;
            give_back(connection, &result);
            result
        }
        Base::Postgres(pool) => {
            let mut transaction = begin_on(pool).await?;
            // Acts are anybody's; prices are the leader's.
            if !matches!(write, Write::Act(_)) {
                postgres::fence(&mut transaction, epoch).await?;
            }
            write.put(&mut transaction).await?;
            transaction.commit().await
        }
    }
}

/// Statements beside the queue, in one transaction; on a server only while we lead.
pub(super) async fn together(
    base: &Base,
    epoch: Option<i64>,
    statements: &[(&str, Vec<Value>)],
) -> Result<(), sqlx::Error> {
    let all = async |mut transaction: Tx<'_>| {
        for (text, values) in statements {
            transaction.execute(text, values).await?;
        }
        transaction.commit().await
    };
    match base {
        Base::Sqlite(pool) => {
            let mut connection = pool.acquire().await?;
            let result = async {
                let transaction = Tx::Sqlite(connection.begin_with("BEGIN IMMEDIATE").await?);
                all(transaction).await
            }
            .await;
            give_back(connection, &result);
            result
        }
        Base::Postgres(pool) => {
            let mut transaction = begin_on(pool).await?;
            postgres::fence(&mut transaction, epoch).await?;
            all(transaction).await
        }
    }
}

impl Write {
    async fn put(&self, transaction: &mut Tx<'_>) -> Result<(), sqlx::Error> {
        match self {
            Self::Answer(answer, remarks) => keep_answer(transaction, answer, remarks).await,
            Self::Publish(documents, events) => keep_documents(transaction, documents, events).await,
            Self::Act(act) => keep_act(transaction, act).await,
        }
    }

    /// Instants of the changes in it.
    fn changes(&self) -> impl Iterator<Item = Timestamp> {
        let (quotes, remarks) = match self {
            Self::Answer(answer, remarks) => (answer.quotes.as_slice(), remarks.as_slice()),
            Self::Publish(..) | Self::Act(_) => (&[][..], &[][..]),
        };
        let changed = quotes.iter().filter(|(_, changed)| *changed).map(|(kept, _)| kept.changed_at);
        changed.chain(remarks.iter().filter_map(Remark::change))
    }
}

/// A full disk makes SQLite end a transaction by itself, which sqlx does not notice: it counts that transaction for
/// ever and begins no other. So a connection on which something failed is not used again.
pub(super) fn give_back(mut connection: PoolConnection<Sqlite>, result: &Result<(), sqlx::Error>) {
    if result.as_ref().is_err_and(|error| !is_hopeless(error)) {
        connection.close_on_drop();
    }
}

/// One answer, with what its changes do not say.
pub(super) async fn keep_answer(
    transaction: &mut Tx<'_>,
    answer: &Answer,
    remarks: &[Remark],
) -> Result<(), sqlx::Error> {
    let Answer { attempt, quotes, dropped, keys, held, .. } = answer;
    let (feed, source) = (answer.feed.as_ref(), answer.source.as_ref());
    for key in dropped {
        let text = "DELETE FROM quote WHERE id = $1 AND source = $2";
        transaction.execute(text, &[format!("{feed}.{key}").into(), source.into()]).await?;
    }
    if let Some(held) = held {
        keep_held(transaction, feed, source, held).await?;
    }
    for (kept, changed) in quotes {
        keep_quote(transaction, feed, source, kept, *changed).await?;
    }
    keep_remarks(transaction, feed, source, remarks).await?;
    let (keys, at) = (json(&keys), attempt.at.as_second());
    let reason = attempt.reason.as_ref().map(json);
    let cells =
        [feed, source, keys.as_str(), &at.to_string(), &attempt.outcome, reason.as_deref().unwrap_or("")];
    let text = "INSERT INTO source (feed, source, keys, attempted_at, outcome, reason, sum)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (feed, source) DO UPDATE SET keys = excluded.keys, attempted_at = excluded.attempted_at,
         outcome = excluded.outcome, reason = excluded.reason, sum = excluded.sum";
    let values = [
        feed.into(),
        source.into(),
        (&keys).into(),
        at.into(),
        (&attempt.outcome).into(),
        (&reason).into(),
        sum(&cells).into(),
    ];
    transaction.execute(text, &values).await?;
    Ok(())
}

/// What a row of `change` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// It was read then, and shown from then on.
    Shown,
    /// Its source said it; another one's word was shown.
    Said,
    /// A board of a past day that was read after the fact.
    Late,
    /// It was shown from then on, and said before.
    ShownLater,
}

/// A change, once: a transaction of which nobody knows whether it was committed is written again.
pub(super) async fn keep_change(
    transaction: &mut Tx<'_>,
    (id, source, feed): (&str, &str, &str),
    at: i64,
    (as_of, figures): (&str, &str),
    sort: Sort,
) -> Result<(), sqlx::Error> {
    let (late, shown) = match sort {
        Sort::Shown => (0, 1),
        Sort::Said => (0, 0),
        Sort::Late => (1, 1),
        Sort::ShownLater => (2, 1),
    };
    let text = "INSERT INTO change (id, source, feed, at, as_of, figures, sum, late, shown)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING";
    let sum = sum(&[id, source, feed, &at.to_string(), as_of, figures]);
    let values: [Value; 9] = [
        id.into(),
        source.into(),
        feed.into(),
        at.into(),
        as_of.into(),
        figures.into(),
        sum.into(),
        late.into(),
        shown.into(),
    ];
    transaction.execute(text, &values).await?;
    keep_name(transaction, id, source, feed).await?;
    if sort != Sort::Said {
        keep_series(transaction, id, feed).await?;
    }
    Ok(())
}

async fn keep_quote(
    transaction: &mut Tx<'_>,
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
        keep_change(transaction, (&id, source, feed), times[2], (&as_of, &figures), Sort::Shown).await?;
    }
    let before = previous.as_deref().unwrap_or("");
    let text = "INSERT INTO quote
         (id, source, feed, figures, previous, as_of, fetched_at, checked_at, changed_at, sum)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (id, source) DO UPDATE SET figures = excluded.figures, previous = excluded.previous,
         as_of = excluded.as_of, fetched_at = excluded.fetched_at, checked_at = excluded.checked_at,
         changed_at = excluded.changed_at, sum = excluded.sum";
    let values = [
        (&id).into(),
        source.into(),
        feed.into(),
        (&figures).into(),
        (&previous).into(),
        (&as_of).into(),
        times[0].into(),
        times[1].into(),
        times[2].into(),
        sum(&[&id, source, feed, &figures, before, &as_of, &fetched_at, &checked_at, &changed_at]).into(),
    ];
    transaction.execute(text, &values).await?;
    Ok(())
}

/// What was published; a version never goes back.
pub(super) async fn keep_documents(
    transaction: &mut Tx<'_>,
    documents: &[(String, Published)],
    events: &[Numbered],
) -> Result<(), sqlx::Error> {
    for (name, published) in documents {
        let (version, at) = (published.version, published.generated_at.as_second());
        let text = "INSERT INTO document (name, version, generated_at, hash, sum) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (name) DO UPDATE SET version = excluded.version, generated_at = excluded.generated_at,
             hash = excluded.hash, sum = excluded.sum WHERE excluded.version >= document.version";
        let values = [
            name.into(),
            version.into(),
            at.into(),
            (&published.hash).into(),
            sum(&[name, &version.to_string(), &at.to_string(), &published.hash]).into(),
        ];
        transaction.execute(text, &values).await?;
    }
    keep_events(transaction, events).await
}
