//! What `backfill` keeps, beside a service that may be running on the same file: changes of days that have passed, and
//! which days were asked for. It touches no other table, changes no schema, and holds the right to write for one day only.

use std::{
    collections::BTreeSet,
    fs::{File, Metadata, TryLockError},
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
};

use jiff::{Timestamp, civil::Date};
use providers::{AsOf, Quote, VIETNAM};
use sqlx::{
    ConnectOptions as _, Connection as _, Sqlite, SqliteConnection, Transaction,
    sqlite::{SqliteConnectOptions, SqliteSynchronous},
};

use super::{
    MIGRATIONS, Nature, PATIENCE, Store, StoreError, beside,
    history::keep_series,
    inspect::unusable,
    options,
    rows::{json, second, sum},
};

/// What came of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Board,
    None,
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Board => "board",
            Self::None => "none",
        }
    }
}

/// A board of a day that has passed.
#[derive(Debug, Clone)]
pub struct PastBoard {
    /// Its day.
    pub day: Date,
    /// When it holds by its own word.
    pub as_of: AsOf,
    /// What passed judgement.
    pub quotes: Vec<Quote>,
}

/// A store, open for past days only.
#[derive(Debug)]
pub struct Past {
    connection: SqliteConnection,
    file: PathBuf,
    /// Device and inode: a store that is set aside meanwhile is another file.
    identity: (u64, u64),
    feed: String,
    source: String,
    _lock: File,
}

impl Past {
    /// Opens the store for past days of one source. Where no service has it, it is looked at, created or brought to our
    /// schema first, as a service would; where one has it, its schema must be ours.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is touched when it cannot be used.
    pub async fn open(url: &str, feed: &str, source: &str) -> Result<Self, StoreError> {
        let (name, options) = options(url)?;
        if name.contains(":memory:") {
            return Err(StoreError::InMemory);
        }
        match Store::open(url, Nature::Live).await {
            Ok(store) => store.close().await,
            Err(StoreError::InUse(_)) => {}
            Err(error) => return Err(error),
        }
        let file = options.get_filename().to_owned();
        let lock = alone(&file)?;
        let cannot = |error: std::io::Error| StoreError::ReadOnly(name.clone(), error.to_string());
        let identity = std::fs::metadata(&file).map(|file| identity(&file)).map_err(cannot)?;
        let connection = SqliteConnectOptions::new()
            .filename(&file)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(PATIENCE)
            .disable_statement_logging()
            .connect()
            .await
            .map_err(|error| unusable(&name, &error))?;
        let (feed, source) = (feed.to_owned(), source.to_owned());
        let mut past = Self { connection, file, identity, feed, source, _lock: lock };
        // Learns now, and not at the first board, whether it may write at all.
        past.begin().await?.rollback().await?;
        Ok(past)
    }

    /// Days that need not be asked for.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn settled(&mut self) -> Result<BTreeSet<Date>, StoreError> {
        let days: Vec<String> = sqlx::query_scalar("SELECT day FROM backfill WHERE feed = ? AND source = ?")
            .bind(&self.feed)
            .bind(&self.source)
            .fetch_all(&mut self.connection)
            .await?;
        Ok(days.iter().filter_map(|day| day.parse().ok()).collect())
    }

    /// Keeps a board, its figures at its own instant, or at the noon of its day where it states no other; in one
    /// transaction with the fact that its day is done. What the service itself saw of that day stands. Gives the number
    /// of figures that were new.
    ///
    /// # Errors
    /// [`StoreError`]: nothing of it is kept.
    pub async fn keep(&mut self, board: &PastBoard, now: Timestamp) -> Result<usize, StoreError> {
        let (feed, source) = (self.feed.clone(), self.source.clone());
        let mut transaction = self.begin().await?;
        let mut new = 0;
        for quote in &board.quotes {
            let as_of = quote.as_of(board.as_of);
            new += usize::from(keep_figure(&mut transaction, &feed, &source, quote, as_of, board.day).await?);
        }
        settle(&mut transaction, &feed, &source, board.day, Outcome::Board, now).await?;
        transaction.commit().await?;
        Ok(new)
    }

    /// Remembers days that have no board.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn keep_none(&mut self, days: &[Date], now: Timestamp) -> Result<(), StoreError> {
        let (feed, source) = (self.feed.clone(), self.source.clone());
        let mut transaction = self.begin().await?;
        for day in days {
            settle(&mut transaction, &feed, &source, *day, Outcome::None, now).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Remembers that the source asked to be left alone until then.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn keep_wait(&mut self, until: Timestamp) -> Result<(), StoreError> {
        let (feed, source) = (self.feed.clone(), self.source.clone());
        let mut transaction = self.begin().await?;
        sqlx::query(
            "INSERT INTO backfill_wait (feed, source, until) VALUES (?, ?, ?)
             ON CONFLICT (feed, source) DO UPDATE SET until = excluded.until",
        )
        .bind(feed)
        .bind(source)
        .bind(until.as_second())
        .execute(&mut *transaction)
        .await?;
        Ok(transaction.commit().await?)
    }

    /// Until when it asked to be left alone, if it ever did.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn waits_until(&mut self) -> Result<Option<Timestamp>, StoreError> {
        let until: Option<i64> =
            sqlx::query_scalar("SELECT until FROM backfill_wait WHERE feed = ? AND source = ?")
                .bind(&self.feed)
                .bind(&self.source)
                .fetch_optional(&mut self.connection)
                .await?;
        Ok(until.map(second))
    }

    /// Takes the right to write, if the file is still the one that was opened, of our schema and with live values.
    async fn begin(&mut self) -> Result<Transaction<'_, Sqlite>, StoreError> {
        let name = self.file.display().to_string();
        if std::fs::metadata(&self.file).map(|file| identity(&file)).ok() != Some(self.identity) {
            return Err(StoreError::Replaced(self.file.clone()));
        }
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
        let found: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *transaction).await?;
        if found > known {
            return Err(StoreError::Newer { file: name, found, known });
        }
        if found < known {
            return Err(StoreError::Older { file: name, found, known });
        }
        let nature: Option<String> = sqlx::query_scalar("SELECT value FROM meta WHERE key = 'nature'")
            .fetch_optional(&mut *transaction)
            .await?;
        let (found, wanted) = (nature.unwrap_or_default(), Nature::Live.as_str());
        if found != wanted {
            return Err(StoreError::Nature { file: name, found, wanted });
        }
        Ok(transaction)
    }
}

/// One backfill of a store at a time, so that no source is asked twice at once.
fn alone(store: &std::path::Path) -> Result<File, StoreError> {
    let path = beside(store, ".backfill");
    let wrong = |error: std::io::Error| {
        StoreError::ReadOnly(store.display().to_string(), format!("{}: {error}", path.display()))
    };
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    // Made by another user, such as root: to lock it, it need not be written.
    let file = file.or_else(|error| File::open(&path).map_err(|_| error)).map_err(wrong)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Backfilling(store.to_owned())),
        Err(TryLockError::Error(error)) => Err(wrong(error)),
    }
}

fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

/// Every board is kept in full, also where it says again what the one before it said: a day between two that are known
/// may be read later, and would else seem to last.
async fn keep_figure(
    transaction: &mut Transaction<'_, Sqlite>,
    feed: &str,
    source: &str,
    quote: &Quote,
    as_of: AsOf,
    day: Date,
) -> Result<bool, StoreError> {
    let id = quote.id(feed);
    let second = |hour, minute, second| {
        VIETNAM.to_timestamp(day.at(hour, minute, second, 0)).map_or(0, Timestamp::as_second)
    };
    let at = match as_of {
        AsOf::At(at) => at.as_second(),
        AsOf::On(_) | AsOf::Unstated => second(12, 0, 0),
    };
    let seen: Option<(i64, String)> = sqlx::query_as(
        "SELECT at, figures FROM change WHERE id = ? AND at BETWEEN ? AND ? ORDER BY at DESC, seq DESC LIMIT 1",
    )
    .bind(&id)
    .bind(second(0, 0, 0))
    .bind(second(23, 59, 59))
    .fetch_optional(&mut **transaction)
    .await?;
    let figures = json(quote);
    if let Some((last, same)) = seen {
        let later = matches!(as_of, AsOf::At(_)) && at > last;
        let same = serde_json::from_str::<Quote>(&same).is_ok_and(|seen| seen.same_figures(quote));
        if !later || same {
            return Ok(false);
        }
    }
    let as_of = json(&as_of);
    sqlx::query(
        "INSERT INTO change (id, source, feed, at, as_of, figures, sum) VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&id)
    .bind(source)
    .bind(feed)
    .bind(at)
    .bind(&as_of)
    .bind(&figures)
    .bind(sum(&[&id, source, feed, &at.to_string(), &as_of, &figures]))
    .execute(&mut **transaction)
    .await?;
    keep_series!(transaction, &id, feed)?;
    Ok(true)
}

async fn settle(
    transaction: &mut Transaction<'_, Sqlite>,
    feed: &str,
    source: &str,
    day: Date,
    outcome: Outcome,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO backfill (feed, source, day, outcome, asked_at) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (feed, source, day) DO UPDATE SET outcome = excluded.outcome, asked_at = excluded.asked_at",
    )
    .bind(feed)
    .bind(source)
    .bind(day.to_string())
    .bind(outcome.as_str())
    .bind(now.as_second())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
