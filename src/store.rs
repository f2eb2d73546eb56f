//! What survives a restart: the newest value of every quote and every change, in one SQLite file with one writer, or in a
//! PostgreSQL that several machines share. Values are kept as published: the source's unit and digits, decimals as text.

mod asof;
mod audit;
mod backup;
mod course;
mod events;
mod held;
mod history;
mod inspect;
mod lock;
mod log;
mod past;
mod postgres;
mod recover;
mod retain;
mod rows;
mod sql;
mod stood;
mod transfer;
mod write;

use std::{
    path::{Path, PathBuf},
    str::FromStr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use jiff::Timestamp;
use providers::{AsOf, Quote, Reason};
use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};

pub use asof::{Stand, Stands};
pub use audit::{Act, ActJson};
pub use backup::Backups;
pub use events::OF_A_KIND;
pub(crate) use history::tell_damage;
pub use history::{Change, Course, MOST_TOGETHER, Mark, Page, Pages, Series, is_change};
use inspect::{is_damage, unusable};
use lock::Lock;
pub use past::{Past, PastBoard};
use postgres::Cluster;
pub use postgres::{Publication, check_url, is_refusal, is_shared, shown_url};
pub use recover::{OnCorrupt, Recovery};
use recover::{Place, connect, prepare};
pub use retain::{Dropped, Retention};
use rows::{CHANGE, is_whole, kept, second};
use sql::{Base, Row};
pub use stood::{Remark, remarks};
pub use write::Answer;
use write::Queue;

/// Whether a store holds live or recorded answers; it never holds both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nature {
    /// Read from sources.
    Live,
    /// Played back.
    Recorded,
}

impl Nature {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Recorded => "recorded",
        }
    }
}

/// Why the store cannot be used; one sentence each.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Where the file should be there is no folder.
    #[error(
        "the store {file} cannot be opened: its folder {folder} does not exist; create it, or set store.url"
    )]
    NoFolder {
        /// The database.
        file: PathBuf,
        /// Its folder.
        folder: PathBuf,
    },
    /// Another process has it.
    #[error("the store {0} is in use by another process")]
    InUse(PathBuf),
    /// The file or its folder cannot be written.
    #[error("the store {0} cannot be written: {1}")]
    ReadOnly(String, String),
    /// A file that this program did not write.
    #[error(
        "the store {0} cannot be used: {1}; it is left as it is, move it away to start with an empty one"
    )]
    Unusable(String, String),
    /// Ours, but not as it was written.
    #[error(
        "the store {0} is damaged: {1}; it is left as it is, store.on_corrupt = \"set-aside\" starts from the last good backup"
    )]
    Damaged(String, String),
    /// Written by a later version.
    #[error(
        "the store {file} has schema {found}, this program knows {known}: it was written by a newer version, which is needed to read it"
    )]
    Newer {
        /// The database.
        file: String,
        /// Its schema.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// Written by an earlier version, and not ours to bring up to date.
    #[error(
        "the store {file} has schema {found}, this program needs {known}: start its service with this version first"
    )]
    Older {
        /// The database.
        file: String,
        /// Its schema.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// A server that will not have us, or does not answer whoever cannot do without it.
    #[error("the store {0} cannot be used: {1}")]
    Refuses(String, String),
    /// Two histories are not made one.
    #[error("the store to copy into holds values already; it has to be an empty one")]
    NotEmpty,
    /// Recordings are one machine's.
    #[error(
        "recorded answers are played into a store of this machine only; give --store sqlite:<path>, or none"
    )]
    NotShared,
    /// Nothing that is kept there would last.
    #[error("the store is in memory and keeps nothing; set store.url to sqlite:<path>")]
    InMemory,
    /// Past days are being read already.
    #[error("another backfill is writing to the store {0}; wait for it, or stop it")]
    Backfilling(PathBuf),
    /// The service has set it aside meanwhile.
    #[error("the store {0} was replaced while it was written to; run this again")]
    Replaced(PathBuf),
    /// Live and recorded answers do not mix.
    #[error(
        "the store {file} holds {found} answers and cannot take {wanted} ones; give another store.url or --store"
    )]
    Nature {
        /// The database.
        file: String,
        /// What it holds.
        found: String,
        /// What we have.
        wanted: &'static str,
    },
    /// A later read or write failed.
    #[error("the store failed: {0}")]
    Database(#[from] sqlx::Error),
}

impl StoreError {
    /// Whether the file is damaged, so that another one in its place would help.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged(..) => true,
            Self::Database(error) => is_damage(error),
            _ => false,
        }
    }
}

/// The newest value of one quote from one source, and its times.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Kept {
    /// As the source quotes it.
    pub quote: Quote,
    /// The previous distinct figures.
    pub previous: Option<Quote>,
    /// When the source says that it holds.
    pub as_of: AsOf,
    /// When this value was first read.
    pub fetched_at: Timestamp,
    /// Last answer that was accepted or unchanged.
    pub checked_at: Timestamp,
    /// When the value last differed.
    pub changed_at: Timestamp,
}

/// What is left of one source after a restart.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KeptSource {
    /// Every quote that it ever gave.
    pub quotes: Vec<Kept>,
    /// Keys of its last accepted answer.
    pub last_keys: Vec<String>,
    /// How the last attempt ended.
    pub last: Option<Attempt>,
}

/// How an attempt at a source ended.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Attempt {
    /// When.
    pub at: Timestamp,
    /// `ok`, `unchanged`, or the class of the failure.
    pub outcome: String,
    /// Why it failed.
    pub reason: Option<Reason>,
}

/// At which publish a document's bytes last changed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Published {
    /// Number of that publish.
    pub version: i64,
    /// Its instant.
    pub generated_at: Timestamp,
    /// Of the document without the two above.
    pub hash: String,
}

/// Every step of the schema, oldest first; `user_version` counts those that were taken.
pub const MIGRATIONS: &[&str] = &[
    include_str!("store/0001.sql"),
    include_str!("store/0002.sql"),
    include_str!("store/0003.sql"),
    include_str!("store/0004.sql"),
    include_str!("store/0005.sql"),
    include_str!("store/0006.sql"),
    include_str!("store/0007.sql"),
    include_str!("store/0008.sql"),
    include_str!("store/0009.sql"),
];
/// How long another process that reads or writes the file is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// A store that is in use is asked for so often again.
const LOCK_TRIES: u32 = 10;
const LOCK_AGAIN: Duration = Duration::from_millis(50);
/// How long an orderly stop waits for a disk that does not write.
const LAST_PATIENCE: Duration = Duration::from_secs(6);

/// Readers of history beside the writer of a file.
const READERS: u32 = 2;

/// One SQLite file, or one PostgreSQL, open.
#[derive(Debug)]
pub struct Store {
    /// Replaced when a damaged file is, or a server that only reads.
    base: ArcSwap<Base>,
    /// Of a file: connections that only read.
    readers: ArcSwapOption<Base>,
    /// Of a server.
    cluster: Option<Cluster>,
    /// `None`: in memory, or only looked at.
    place: Option<Place>,
    queue: Queue,
    errors: AtomicU64,
    recovery: ArcSwapOption<Recovery>,
    closed: AtomicBool,
    /// Taken until the store is closed.
    lock: Mutex<Option<Lock>>,
}

impl Store {
    /// Opens `sqlite:<path>` or `sqlite::memory:`, creates or migrates it, and takes it for this process alone.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is touched when it cannot be used.
    pub async fn open(url: &str, nature: Nature) -> Result<Self, StoreError> {
        Self::open_or_recover(url, nature, OnCorrupt::Fail).await
    }

    /// The same; `on_corrupt` says what becomes of a store that is damaged.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is touched when it cannot be used.
    pub async fn open_or_recover(
        url: &str,
        nature: Nature,
        on_corrupt: OnCorrupt,
    ) -> Result<Self, StoreError> {
        if is_shared(url) {
            return Self::open_shared(url, nature).await;
        }
        let (name, options) = options(url)?;
        if name.contains(":memory:") {
            let pool = connect(options).await.map_err(|error| unusable(&name, &error))?;
            prepare(&pool, nature).await.map_err(|error| unusable(&name, &error))?;
            return Ok(Self::of(Base::Sqlite(pool), None, None, None));
        }
        let file = options.get_filename().to_owned();
        let mut lock = take(&file).await?;
        let place = Place { file, options: options.create_if_missing(true), nature, on_corrupt };
        match place.open(lock.marked).await {
            Ok((pool, recovery)) => {
                lock.mark();
                let store = Self::of(Base::Sqlite(pool), Some(place), Some(lock), None);
                store.recovery.store(recovery.map(Arc::new));
                Ok(store)
            }
            Err(error) => {
                lock.give_up();
                Err(error)
            }
        }
    }

    /// Opens an existing store to look at it, beside a process that may be using it. `None`: there is no store yet.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn look(url: &str) -> Result<Option<Self>, StoreError> {
        if is_shared(url) {
            return Self::look_at_shared(url).await;
        }
        let (name, options) = options(url)?;
        let options = options.read_only(true);
        if !options.get_filename().is_file() {
            return Ok(None);
        }
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options)
            .await
            .map_err(|error| unusable(&name, &error))?;
        Ok(Some(Self::of(Base::Sqlite(pool), None, None, None)))
    }

    fn of(base: Base, place: Option<Place>, lock: Option<Lock>, cluster: Option<Cluster>) -> Self {
        Self {
            base: ArcSwap::from_pointee(base),
            readers: ArcSwapOption::from_pointee(place.as_ref().map(readers)),
            cluster,
            place,
            queue: Queue::default(),
            errors: AtomicU64::new(0),
            recovery: ArcSwapOption::empty(),
            closed: AtomicBool::new(false),
            lock: Mutex::new(lock),
        }
    }

    fn base(&self) -> Arc<Base> {
        self.base.load_full()
    }

    /// For what is read beside the writer: history, and boards that have passed.
    fn reader(&self) -> Arc<Base> {
        self.readers.load_full().unwrap_or_else(|| self.base())
    }

    /// The writer of a file.
    fn file_pool(&self) -> Option<SqlitePool> {
        match &*self.base() {
            Base::Sqlite(pool) => Some(pool.clone()),
            Base::Postgres(_) => None,
        }
    }

    /// How often something could not be written, or was found damaged, since the start.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// The damaged store that was set aside last, if any was since the start.
    #[must_use]
    pub fn recovered(&self) -> Option<Arc<Recovery>> {
        self.recovery.load_full()
    }

    /// Puts the last good backup, or an empty store, in the place of this one.
    async fn replace(&self, why: &str) -> Result<(), StoreError> {
        let Some(place) = self.place.as_ref().filter(|_| !self.closed.load(Ordering::Acquire)) else {
            return Err(StoreError::Damaged("in memory".to_owned(), why.to_owned()));
        };
        if place.on_corrupt == OnCorrupt::Fail {
            return Err(StoreError::Damaged(place.file.display().to_string(), why.to_owned()));
        }
        let Some(pool) = self.file_pool() else {
            return Err(StoreError::Damaged("a server".to_owned(), why.to_owned()));
        };
        let (pool, recovery) = if pool.is_closed() {
            // Set aside before, but nothing could be put in its place then.
            place.open(false).await?
        } else {
            pool.close().await;
            place.recover(why.to_owned()).await.map(|(pool, recovery)| (pool, Some(recovery)))?
        };
        self.base.store(Arc::new(Base::Sqlite(pool)));
        self.readers.store(Some(Arc::new(readers(place))));
        if let Some(recovery) = recovery {
            self.recovery.store(Some(Arc::new(recovery)));
        }
        Ok(())
    }

    /// Everything that one source ever gave, newest values.
    ///
    /// # Errors
    /// [`StoreError::Database`]; a row that cannot be read is left out and logged.
    pub async fn source(&self, feed: &str, source: &str) -> Result<KeptSource, StoreError> {
        let text = "SELECT id, figures, previous, as_of, fetched_at, checked_at, changed_at FROM quote
                    WHERE feed = $1 AND source = $2";
        let mut rows = self.base().rows(text, &[feed.into(), source.into()]).await?;
        // By bytes: a server may order words as people do.
        rows.sort_by_cached_key(|row| row.try_get::<String>("id").unwrap_or_default());
        let quotes = rows
            .iter()
            .filter_map(|row| match kept(row) {
                Ok(kept) => Some(kept),
                Err(error) => {
                    let id: String = row.try_get("id").unwrap_or_default();
                    tracing::error!(%id, source, %error, "a stored quote cannot be read and is left out");
                    None
                }
            })
            .collect();
        let text = "SELECT keys, attempted_at, outcome, reason FROM source WHERE feed = $1 AND source = $2";
        let row = self.base().row(text, &[feed.into(), source.into()]).await?;
        let (mut last_keys, mut last) = (Vec::new(), None);
        if let Some(row) = row {
            last_keys = serde_json::from_str(&row.try_get::<String>("keys")?).unwrap_or_default();
            let reason: Option<String> = row.try_get("reason")?;
            last = Some(Attempt {
                at: second(row.try_get("attempted_at")?),
                outcome: row.try_get("outcome")?,
                reason: reason.and_then(|reason| serde_json::from_str(&reason).ok()),
            });
        }
        Ok(KeptSource { quotes, last_keys, last })
    }

    /// The last publish of every document and, as `feed:…`, of every feed's own part of the lists.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn documents(&self) -> Result<Vec<(String, Published)>, StoreError> {
        let rows = self.base().rows("SELECT name, version, generated_at, hash FROM document", &[]).await?;
        Ok(rows.iter().map(published).collect::<Result<_, _>>()?)
    }

    /// Keeps what was published.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn publish(&self, documents: &[(String, Published)]) -> Result<(), StoreError> {
        Ok(self.publish_now(documents.to_vec()).await?)
    }

    /// Every change of a quote since an instant, and the last one before it; oldest first.
    ///
    /// # Errors
    /// [`StoreError::Database`]; a row that cannot be read is left out.
    pub async fn changes_since(
        &self,
        id: &str,
        source: &str,
        since: Timestamp,
    ) -> Result<Vec<(Quote, Timestamp)>, StoreError> {
        let plain = CHANGE.plain();
        let text = format!(
            "SELECT at, figures, sum, {plain} FROM change WHERE id = $1 AND source = $2 AND late < 2 AND at >= coalesce(
               (SELECT max(at) FROM change WHERE id = $1 AND source = $2 AND late < 2 AND at <= $3), $3) ORDER BY at, seq"
        );
        let values = [id.into(), source.into(), since.as_second().into()];
        let rows = self.base().rows(&text, &values).await?;
        Ok(rows
            .iter()
            .filter(|row| is_whole(row).unwrap_or(false))
            .filter_map(|row| {
                let figures: String = row.try_get("figures").ok()?;
                Some((serde_json::from_str(&figures).ok()?, second(row.try_get("at").ok()?)))
            })
            .collect())
    }

    /// How many changes are kept of one quote.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn changes(&self, id: &str) -> Result<i64, StoreError> {
        let row = self.base().row("SELECT count(*) FROM change WHERE id = $1", &[id.into()]).await?;
        Ok(row.map(|row| row.first()).transpose()?.unwrap_or(0))
    }

    /// Closes the file in order, after a last try at what still waits.
    pub async fn close(&self) {
        if self.waiting() > 0 && tokio::time::timeout(LAST_PATIENCE, self.write_all(true)).await.is_err() {
            tracing::error!("the store does not write");
        }
        self.closed.store(true, Ordering::Release);
        let lost = self.waiting();
        if lost > 0 {
            tracing::error!(lost, "what the store did not take is lost with this stop");
        }
        if let Some(readers) = self.readers.swap(None) {
            readers.close().await;
        }
        self.base().close().await;
        // Whoever comes after us may open it from now on.
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// Takes the lock. A backfill holds it for a moment while it brings the store up to date.
async fn take(file: &Path) -> Result<Lock, StoreError> {
    for _ in 0..LOCK_TRIES {
        match Lock::take(file) {
            Err(StoreError::InUse(_)) => tokio::time::sleep(LOCK_AGAIN).await,
            other => return other,
        }
    }
    Lock::take(file)
}

/// Connections that only read, beside the one that writes; they are opened when somebody asks.
fn readers(place: &Place) -> Base {
    let options = place.options.clone().create_if_missing(false).read_only(true).busy_timeout(PATIENCE);
    // In kB: a month of every figure lies all over the file, and is asked for again.
    let options = options.pragma("cache_size", "-8000");
    Base::Sqlite(SqlitePoolOptions::new().max_connections(READERS).connect_lazy_with(options))
}

/// A row of `document`.
fn published(row: &Row) -> Result<(String, Published), sqlx::Error> {
    let published = Published {
        version: row.try_get("version")?,
        generated_at: second(row.try_get("generated_at")?),
        hash: row.try_get("hash")?,
    };
    Ok((row.try_get("name")?, published))
}

/// The database that a URL names; `None`: in memory, or no such URL.
#[must_use]
pub fn file_of(url: &str) -> Option<PathBuf> {
    if is_shared(url) {
        return None;
    }
    let (name, options) = options(url).ok()?;
    (!name.contains(":memory:")).then(|| options.get_filename().to_owned())
}

/// What a URL says, and the name by which people know it.
fn options(url: &str) -> Result<(String, SqliteConnectOptions), StoreError> {
    let name = url.strip_prefix("sqlite:").unwrap_or(url).to_owned();
    let options = SqliteConnectOptions::from_str(url)
        .map_err(|error| StoreError::Unusable(name.clone(), error.to_string()))?;
    Ok((name, options))
}

/// Where a store lies.
fn folder(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// A file beside a store, named after it.
fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    file.with_file_name(name)
}

/// As names of files have it: `20261126T052400Z`.
fn stamp(at: Timestamp) -> String {
    at.strftime("%Y%m%dT%H%M%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(n: i64) -> Answer {
        let at = Timestamp::from_second(1_790_000_000 + n).unwrap();
        let figures = format!(r#"{{"fx":{{"currency":"USD","per":1,"sell":"{n}"}}}}"#);
        let kept = Kept {
            quote: serde_json::from_str(&figures).unwrap(),
            previous: None,
            as_of: AsOf::Unstated,
            fetched_at: at,
            checked_at: at,
            changed_at: at,
        };
        Answer {
            held: None,
            feed: "vietcombank.fx".into(),
            source: "json".into(),
            attempt: Attempt { at, outcome: "ok".to_owned(), reason: None },
            quotes: vec![(kept, true)],
            dropped: Vec::new(),
            keys: vec!["x".repeat(9000)],
        }
    }

    async fn open(folder: &tempfile::TempDir) -> Store {
        Store::open(&format!("sqlite:{}", folder.path().join("a.db").display()), Nature::Live).await.unwrap()
    }

    #[tokio::test]
    async fn p02_every_commit_is_on_the_disk_before_it_counts() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder).await;
        let pragma = async |name| -> String {
            let text = format!("SELECT CAST((SELECT * FROM pragma_{name}) AS TEXT)");
            sqlx::query_scalar(sqlx::AssertSqlSafe(text))
                .fetch_one(&store.file_pool().unwrap())
                .await
                .unwrap()
        };
        assert_eq!(pragma("synchronous").await, "2", "FULL");
        assert_eq!(pragma("journal_mode").await, "wal");
        store.close().await;
    }

    #[tokio::test]
    async fn p03_a_store_that_is_full_keeps_what_it_could_not_take_for_later_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder).await;
        let pages: i64 =
            sqlx::query_scalar("PRAGMA page_count").fetch_one(&store.file_pool().unwrap()).await.unwrap();
        let limit = async |pages: i64| {
            let text = format!("PRAGMA max_page_count = {pages}");
            sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(&store.file_pool().unwrap()).await.unwrap();
        };
        limit(pages).await;
        for n in 1..=3 {
            store.push(answer(n));
            store.flush().await;
        }
        assert_eq!((store.errors(), store.waiting()), (1, 1), "one try, the others wait for the next");
        assert_eq!(store.changes("vietcombank.fx.USD").await.unwrap(), 0);
        // A new connection has no limit: there is room again.
        store.write_all(true).await;
        assert_eq!((store.errors(), store.waiting()), (1, 0));
        let kept = store.changes_since("vietcombank.fx.USD", "json", Timestamp::UNIX_EPOCH).await.unwrap();
        let all: Vec<_> = (1..=3).map(|n| answer(n).quotes[0].0.quote.clone()).collect();
        assert_eq!(kept.into_iter().map(|(quote, _)| quote).collect::<Vec<_>>(), all);
        store.close().await;
    }

    #[tokio::test]
    async fn p04_a_row_that_is_not_what_was_written_is_noticed_though_its_page_is_sound() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder).await;
        store.push(answer(26260));
        store.flush().await;
        sqlx::raw_sql("UPDATE quote SET figures = replace(figures, '26260', '26269')")
            .execute(&store.file_pool().unwrap())
            .await
            .unwrap();
        store.close().await;
        drop(store);
        let error =
            Store::open(&format!("sqlite:{}", folder.path().join("a.db").display()), Nature::Live).await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains("1 rows of quote are not what was written"), "{error}");
    }

    #[tokio::test]
    async fn what_waits_for_long_keeps_every_change_and_of_the_rest_the_last_word() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder).await;
        let unchanged = |n| {
            let mut answer = answer(n);
            answer.quotes[0].1 = false;
            answer
        };
        let mut stall = store.file_pool().unwrap().acquire().await.unwrap();
        sqlx::raw_sql("PRAGMA query_only = 1").execute(&mut *stall).await.unwrap();
        drop(stall);
        for n in 1..=5 {
            store.push(answer(n));
            for m in 0..100 {
                store.push(unchanged(n * 1000 + m));
            }
        }
        store.flush().await;
        assert_eq!(store.errors(), 1, "read-only for now");
        assert_eq!(store.waiting(), 1, "one transaction");
        store.write_all(true).await;
        assert_eq!(store.changes("vietcombank.fx.USD").await.unwrap(), 5);
        let kept = store.source("vietcombank.fx", "json").await.unwrap();
        assert_eq!(kept.quotes[0].quote, answer(5099).quotes[0].0.quote);
        store.close().await;
    }
}
