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
    ConnectOptions as _, Connection as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteSynchronous},
};

use super::{
    MIGRATIONS, Nature, PATIENCE, Store, StoreError, beside,
    inspect::unusable,
    is_shared, options,
    rows::{json, second},
    sql::{Base, Tx, Value, begin_on},
    write::{Sort, keep_change},
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
    place: Place,
    feed: String,
    source: String,
}

/// Where they are kept.
#[derive(Debug)]
enum Place {
    File {
        connection: SqliteConnection,
        file: PathBuf,
        /// Device and inode: a store that is set aside meanwhile is another file.
        identity: (u64, u64),
        _lock: File,
    },
    /// A server sorts out by itself who writes.
    Shared(Box<Store>),
}

impl Past {
    /// Opens the store for past days of one source. Where no service has it, it is looked at, created or brought to our
    /// schema first, as a service would; where one has it, its schema must be ours.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is touched when it cannot be used.
    pub async fn open(url: &str, feed: &str, source: &str) -> Result<Self, StoreError> {
        if is_shared(url) {
            let store = Store::open(url, Nature::Live).await?;
            // Learns now, and not at the first board, whether it is there.
            store.prepare().await?;
            let (feed, source) = (feed.to_owned(), source.to_owned());
            return Ok(Self { place: Place::Shared(Box::new(store)), feed, source });
        }
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
        let place = Place::File { connection, file, identity, _lock: lock };
        let mut past = Self { place, feed, source };
        // Learns now, and not at the first board, whether it may write at all.
        drop(past.begin(None).await?);
        Ok(past)
    }

    /// Days that need not be asked for.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn settled(&mut self) -> Result<BTreeSet<Date>, StoreError> {
        let values = self.who();
        let mut transaction = self.begin(None).await?;
        let text = "SELECT day FROM backfill WHERE feed = $1 AND source = $2";
        let rows = transaction.rows(text, &values).await?;
        transaction.commit().await?;
        Ok(rows.iter().filter_map(|row| row.first::<String>().ok()?.parse().ok()).collect())
    }

    /// Keeps a board, its figures at its own instant, or at the noon of its day where it states no other; in one
    /// transaction with the fact that its day is done. What the service itself saw of that day stands. Gives the number
    /// of figures that were new.
    ///
    /// # Errors
    /// [`StoreError`]: nothing of it is kept.
    pub async fn keep(&mut self, board: &PastBoard, now: Timestamp) -> Result<usize, StoreError> {
        let (feed, source) = (self.feed.clone(), self.source.clone());
        let mut transaction = self.begin(Some(board)).await?;
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
        let mut transaction = self.begin(None).await?;
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
        let [feed, source] = self.who();
        let mut transaction = self.begin(None).await?;
        let text = "INSERT INTO backfill_wait (feed, source, until) VALUES ($1, $2, $3)
             ON CONFLICT (feed, source) DO UPDATE SET until = excluded.until";
        transaction.execute(text, &[feed, source, until.as_second().into()]).await?;
        Ok(transaction.commit().await?)
    }

    /// Until when it asked to be left alone, if it ever did.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn waits_until(&mut self) -> Result<Option<Timestamp>, StoreError> {
        let values = self.who();
        let mut transaction = self.begin(None).await?;
        let text = "SELECT until FROM backfill_wait WHERE feed = $1 AND source = $2";
        let row = transaction.row(text, &values).await?;
        transaction.commit().await?;
        Ok(row.map(|row| row.first()).transpose()?.map(second))
    }

    fn who(&self) -> [Value; 2] {
        [(&self.feed).into(), (&self.source).into()]
    }

    /// Takes the right to write, for a board, if the file is still the one that was opened, of our schema and with live
    /// values.
    async fn begin(&mut self, board: Option<&PastBoard>) -> Result<Tx<'_>, StoreError> {
        let (connection, file, identity) = match &mut self.place {
            Place::Shared(store) => {
                let base = store.base();
                let Base::Postgres(pool) = &*base else { return Err(StoreError::InMemory) };
                if let (Some(cluster), Some(board)) = (&store.cluster, board) {
                    let instants =
                        board.quotes.iter().map(|quote| in_force(quote.as_of(board.as_of), board.day));
                    cluster.make_room(pool, instants).await?;
                }
                return Ok(begin_on(pool).await?);
            }
            Place::File { connection, file, identity, .. } => (connection, file, identity),
        };
        let name = file.display().to_string();
        if std::fs::metadata(&*file).map(|file| self::identity(&file)).ok() != Some(*identity) {
            return Err(StoreError::Replaced(file.clone()));
        }
        let mut transaction = Tx::Sqlite(connection.begin_with("BEGIN IMMEDIATE").await?);
        let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
        let found: i64 = match transaction.row("PRAGMA user_version", &[]).await? {
            Some(row) => row.first()?,
            None => 0,
        };
        if found > known {
            return Err(StoreError::Newer { file: name, found, known });
        }
        if found < known {
            return Err(StoreError::Older { file: name, found, known });
        }
        let nature = transaction.row("SELECT value FROM meta WHERE key = 'nature'", &[]).await?;
        let nature: Option<String> = nature.map(|row| row.first()).transpose()?;
        let (found, wanted) = (nature.unwrap_or_default(), Nature::Live.as_str());
        if found != wanted {
            return Err(StoreError::Nature { file: name, found, wanted });
        }
        Ok(transaction)
    }
}

/// From when on a figure of a day counts: its own instant, or the noon of that day.
fn in_force(as_of: AsOf, day: Date) -> Timestamp {
    match as_of {
        AsOf::At(at) => at,
        AsOf::On(_) | AsOf::Unstated => second(of_day(day, 12, 0, 0)),
    }
}

fn of_day(day: Date, hour: i8, minute: i8, second: i8) -> i64 {
    VIETNAM.to_timestamp(day.at(hour, minute, second, 0)).map_or(0, Timestamp::as_second)
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
    transaction: &mut Tx<'_>,
    feed: &str,
    source: &str,
    quote: &Quote,
    as_of: AsOf,
    day: Date,
) -> Result<bool, StoreError> {
    let id = quote.id(feed);
    let at = in_force(as_of, day).as_second();
    let text = "SELECT at, figures FROM change WHERE id = $1 AND at BETWEEN $2 AND $3
                ORDER BY at DESC, seq DESC LIMIT 1";
    let values = [(&id).into(), of_day(day, 0, 0, 0).into(), of_day(day, 23, 59, 59).into()];
    let seen = transaction.row(text, &values).await?;
    let seen: Option<(i64, String)> =
        seen.map(|row| Ok::<_, sqlx::Error>((row.try_get("at")?, row.try_get("figures")?))).transpose()?;
    let figures = json(quote);
    if let Some((last, same)) = seen {
        let later = matches!(as_of, AsOf::At(_)) && at > last;
        let same = serde_json::from_str::<Quote>(&same).is_ok_and(|seen| seen.same_figures(quote));
        if !later || same {
            return Ok(false);
        }
    }
    let as_of = json(&as_of);
    keep_change(transaction, (&id, source, feed), at, (&as_of, &figures), Sort::Late).await?;
    Ok(true)
}

async fn settle(
    transaction: &mut Tx<'_>,
    feed: &str,
    source: &str,
    day: Date,
    outcome: Outcome,
    now: Timestamp,
) -> Result<(), StoreError> {
    let text = "INSERT INTO backfill (feed, source, day, outcome, asked_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (feed, source, day) DO UPDATE SET outcome = excluded.outcome, asked_at = excluded.asked_at";
    let values =
        [feed.into(), source.into(), day.to_string().into(), outcome.as_str().into(), now.as_second().into()];
    transaction.execute(text, &values).await?;
    Ok(())
}
