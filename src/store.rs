//! What survives a restart: the newest value of every quote and every change, in one SQLite file with one writer.
//! Values are kept as published: the source's unit and digits, decimals as text.

mod held;

use std::{fs::File, path::PathBuf, str::FromStr, time::Duration};

use jiff::Timestamp;
use providers::{AsOf, Quote, Reason};
use sqlx::{
    Row, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};

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
    /// Live and recorded answers do not mix.
    #[error("the store {file} holds {found} answers and cannot take {wanted} ones; give another --store")]
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

/// The newest value of one quote from one source, and its times.
#[derive(Debug, Clone, PartialEq)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// When.
    pub at: Timestamp,
    /// `ok`, `unchanged`, or the class of the failure.
    pub outcome: String,
    /// Why it failed.
    pub reason: Option<Reason>,
}

/// At which publish a document's bytes last changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Number of that publish.
    pub version: i64,
    /// Its instant.
    pub generated_at: Timestamp,
    /// Of the document without the two above.
    pub hash: String,
}

const MIGRATIONS: &[&str] = &[include_str!("store/0001.sql"), include_str!("store/0002.sql")];

/// One SQLite file, open.
#[derive(Debug)]
pub struct Store {
    pool: SqlitePool,
    /// Held while the store is open; the operating system lets go of it even after `kill -9`.
    _lock: Option<File>,
}

impl Store {
    /// Opens `sqlite:<path>` or `sqlite::memory:`, creates or migrates it, and takes it for this process alone.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is touched when it cannot be used.
    pub async fn open(url: &str, nature: Nature) -> Result<Self, StoreError> {
        let name = url.strip_prefix("sqlite:").unwrap_or(url).to_owned();
        let options = SqliteConnectOptions::from_str(url)
            .map_err(|error| StoreError::Unusable(name.clone(), error.to_string()))?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5))
            .optimize_on_close(true, None);
        let lock = if name.contains(":memory:") { None } else { Some(lock(options.get_filename())?) };
        let pool = SqlitePoolOptions::new()
            .min_connections(1)
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options)
            .await
            .map_err(|error| unusable(&name, &error))?;
        let store = Self { pool, _lock: lock };
        store.migrate(&name).await?;
        store.mark(&name, nature).await?;
        Ok(store)
    }

    /// Opens an existing store to look at it, beside a process that may be using it. `None`: there is no store yet.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn look(url: &str) -> Result<Option<Self>, StoreError> {
        let name = url.strip_prefix("sqlite:").unwrap_or(url).to_owned();
        let options = SqliteConnectOptions::from_str(url)
            .map_err(|error| StoreError::Unusable(name.clone(), error.to_string()))?
            .read_only(true);
        if !options.get_filename().is_file() {
            return Ok(None);
        }
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options)
            .await
            .map_err(|error| unusable(&name, &error))?;
        Ok(Some(Self { pool, _lock: None }))
    }

    async fn migrate(&self, name: &str) -> Result<(), StoreError> {
        let wrong = |error: sqlx::Error| unusable(name, &error);
        let found: i64 =
            sqlx::query_scalar("PRAGMA user_version").fetch_one(&self.pool).await.map_err(wrong)?;
        let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
        if found > known {
            return Err(StoreError::Newer { file: name.to_owned(), found, known });
        }
        for (at, migration) in (1_i64..).zip(MIGRATIONS).filter(|(at, _)| *at > found) {
            let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(wrong)?;
            sqlx::raw_sql(*migration).execute(&mut *transaction).await.map_err(wrong)?;
            sqlx::raw_sql(sqlx::AssertSqlSafe(format!("PRAGMA user_version = {at}")))
                .execute(&mut *transaction)
                .await
                .map_err(wrong)?;
            transaction.commit().await.map_err(wrong)?;
        }
        Ok(())
    }

    async fn mark(&self, name: &str, nature: Nature) -> Result<(), StoreError> {
        let wrong = |error: sqlx::Error| unusable(name, &error);
        let found: Option<String> = sqlx::query_scalar("SELECT value FROM meta WHERE key = 'nature'")
            .fetch_optional(&self.pool)
            .await
            .map_err(wrong)?;
        match found {
            Some(found) if found == nature.as_str() => {
                // Takes the right to write and gives it back, to learn at the start and not at the first fetch
                // that there is none; without a commit, since that would wait for the disk.
                let transaction = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(wrong)?;
                transaction.rollback().await.map_err(wrong)?;
                Ok(())
            }
            Some(found) => Err(StoreError::Nature { file: name.to_owned(), found, wanted: nature.as_str() }),
            None => {
                sqlx::query("INSERT INTO meta (key, value) VALUES ('nature', ?)")
                    .bind(nature.as_str())
                    .execute(&self.pool)
                    .await
                    .map_err(wrong)?;
                Ok(())
            }
        }
    }

    /// Everything that one source ever gave, newest values.
    ///
    /// # Errors
    /// [`StoreError::Database`]; a row that cannot be read is left out and logged.
    pub async fn source(&self, feed: &str, source: &str) -> Result<KeptSource, StoreError> {
        let rows = sqlx::query(
            "SELECT id, figures, previous, as_of, fetched_at, checked_at, changed_at FROM quote WHERE feed = ? AND source = ? ORDER BY id",
        )
        .bind(feed)
        .bind(source)
        .fetch_all(&self.pool)
        .await?;
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
        let row = sqlx::query(
            "SELECT keys, attempted_at, outcome, reason FROM source WHERE feed = ? AND source = ?",
        )
        .bind(feed)
        .bind(source)
        .fetch_optional(&self.pool)
        .await?;
        let (mut last_keys, mut last) = (Vec::new(), None);
        if let Some(row) = row {
            last_keys = serde_json::from_str(&row.try_get::<String, _>("keys")?).unwrap_or_default();
            let reason: Option<String> = row.try_get("reason")?;
            last = Some(Attempt {
                at: second(row.try_get("attempted_at")?),
                outcome: row.try_get("outcome")?,
                reason: reason.and_then(|reason| serde_json::from_str(&reason).ok()),
            });
        }
        Ok(KeptSource { quotes, last_keys, last })
    }

    /// Keeps how an attempt ended and, where it was accepted, its quotes; `true` marks those that changed, and
    /// `dropped` are the keys that gave way to them. One transaction.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn keep(
        &self,
        feed: &str,
        source: &str,
        attempt: &Attempt,
        quotes: &[(Kept, bool)],
        dropped: &[String],
        keys: &[String],
    ) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        for key in dropped {
            sqlx::query("DELETE FROM quote WHERE id = ? AND source = ?")
                .bind(format!("{feed}.{key}"))
                .bind(source)
                .execute(&mut *transaction)
                .await?;
        }
        for (kept, changed) in quotes {
            let id = kept.quote.id(feed);
            let figures = json(&kept.quote);
            let as_of = json(&kept.as_of);
            if *changed {
                sqlx::query(
                    "INSERT INTO change (id, source, feed, at, as_of, figures) VALUES (?, ?, ?, ?, ?, ?)",
                )
                .bind(&id)
                .bind(source)
                .bind(feed)
                .bind(kept.changed_at.as_second())
                .bind(&as_of)
                .bind(&figures)
                .execute(&mut *transaction)
                .await?;
            }
            sqlx::query(
                "INSERT INTO quote (id, source, feed, figures, previous, as_of, fetched_at, checked_at, changed_at)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
                 ON CONFLICT (id, source) DO UPDATE SET figures = excluded.figures, previous = excluded.previous,
                 as_of = excluded.as_of, fetched_at = excluded.fetched_at, checked_at = excluded.checked_at,
                 changed_at = excluded.changed_at",
            )
            .bind(&id)
            .bind(source)
            .bind(feed)
            .bind(&figures)
            .bind(kept.previous.as_ref().map(json))
            .bind(&as_of)
            .bind(kept.fetched_at.as_second())
            .bind(kept.checked_at.as_second())
            .bind(kept.changed_at.as_second())
            .execute(&mut *transaction)
            .await?;
        }
        sqlx::query(
            "INSERT INTO source (feed, source, keys, attempted_at, outcome, reason) VALUES (?, ?, ?, ?, ?, ?)
             ON CONFLICT (feed, source) DO UPDATE SET keys = excluded.keys, attempted_at = excluded.attempted_at,
             outcome = excluded.outcome, reason = excluded.reason",
        )
        .bind(feed)
        .bind(source)
        .bind(json(&keys))
        .bind(attempt.at.as_second())
        .bind(&attempt.outcome)
        .bind(attempt.reason.as_ref().map(json))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The last publish of every document and, as `feed:…`, of every feed's own part of the lists.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn documents(&self) -> Result<Vec<(String, Published)>, StoreError> {
        let rows = sqlx::query("SELECT name, version, generated_at, hash FROM document")
            .fetch_all(&self.pool)
            .await?;
        rows.iter()
            .map(|row| {
                let published = Published {
                    version: row.try_get("version")?,
                    generated_at: second(row.try_get("generated_at")?),
                    hash: row.try_get("hash")?,
                };
                Ok((row.try_get("name")?, published))
            })
            .collect()
    }

    /// Keeps what was published.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn publish(&self, documents: &[(String, Published)]) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        for (name, published) in documents {
            sqlx::query(
                "INSERT INTO document (name, version, generated_at, hash) VALUES (?, ?, ?, ?)
                 ON CONFLICT (name) DO UPDATE SET version = excluded.version, generated_at = excluded.generated_at, hash = excluded.hash",
            )
            .bind(name)
            .bind(published.version)
            .bind(published.generated_at.as_second())
            .bind(&published.hash)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
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
        let rows = sqlx::query(
            "SELECT at, figures FROM change WHERE id = ?1 AND source = ?2 AND at >= coalesce(
               (SELECT max(at) FROM change WHERE id = ?1 AND source = ?2 AND at <= ?3), ?3) ORDER BY at, seq",
        )
        .bind(id)
        .bind(source)
        .bind(since.as_second())
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .iter()
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
        Ok(sqlx::query_scalar("SELECT count(*) FROM change WHERE id = ?")
            .bind(id)
            .fetch_one(&self.pool)
            .await?)
    }

    /// Closes the file in order.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// Takes the store for this process, by a lock file beside it.
fn lock(file: &std::path::Path) -> Result<File, StoreError> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    if !folder.is_dir() {
        return Err(StoreError::NoFolder { file: file.to_owned(), folder });
    }
    if file.is_dir() {
        return Err(StoreError::Unusable(file.display().to_string(), "it is a folder".to_owned()));
    }
    let path =
        file.with_file_name(format!("{}.lock", file.file_name().unwrap_or_default().to_string_lossy()));
    let lock = File::options().create(true).truncate(false).write(true).open(&path).map_err(|error| {
        StoreError::ReadOnly(file.display().to_string(), format!("{}: {error}", path.display()))
    })?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(std::fs::TryLockError::WouldBlock) => Err(StoreError::InUse(file.to_owned())),
        Err(std::fs::TryLockError::Error(error)) => {
            Err(StoreError::Unusable(path.display().to_string(), error.to_string()))
        }
    }
}

fn unusable(name: &str, error: &sqlx::Error) -> StoreError {
    let text = error.to_string();
    let why = text.rsplit(": ").next().unwrap_or(&text).to_owned();
    if text.contains("readonly")
        || text.contains("read-only")
        || text.contains("unable to open")
        || text.contains("code: 8")
    {
        StoreError::ReadOnly(name.to_owned(), why)
    } else {
        StoreError::Unusable(name.to_owned(), why)
    }
}

fn kept(row: &SqliteRow) -> Result<Kept, String> {
    let text = |column: &str| row.try_get::<String, _>(column).map_err(|error| error.to_string());
    let at = |column: &str| row.try_get::<i64, _>(column).map(second).map_err(|error| error.to_string());
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

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Our own plain types, whose keys are strings: writing them as JSON does not fail.
fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
