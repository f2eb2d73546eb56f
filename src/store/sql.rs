//! The same text on SQLite and on PostgreSQL: placeholders `$1`, integers of 64 bits, text, nothing that one of them does
//! not know. What differs (files and locks there, leases and partitions here) lies in files of its own.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures_util::TryStreamExt as _;
use sqlx::{
    AssertSqlSafe, Decode, PgPool, Postgres, Row as _, Sqlite, SqlitePool, Transaction, Type,
    pool::PoolConnection, postgres::PgRow, sqlite::SqliteRow,
};

/// So long a statement on a server may take.
pub(super) const STATEMENT: Duration = Duration::from_secs(2);
/// A transaction that goes on for longer is given up here, and by the server when nothing comes of it: a process that is
/// stopped in the middle must not keep what it had locked.
const BEGIN: &str =
    "BEGIN; SET LOCAL statement_timeout = 2000; SET LOCAL idle_in_transaction_session_timeout = 3000";
/// All of it at one instant.
const BEGIN_READING: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 2000; \
                             SET LOCAL idle_in_transaction_session_timeout = 3000";

/// Every question of ours has its index, and what a planner guesses of partitions that were never counted it guesses
/// wrong: by the whole history instead of some rows of it.
const BY_INDEX: &str =
    "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off";
/// Whether the server is known to be one that can be told so; distributed ones may know no such settings.
pub(super) static CAN_BE_TOLD: AtomicBool = AtomicBool::new(false);

/// Where rows are.
#[derive(Debug, Clone)]
pub(super) enum Base {
    /// A file, or memory.
    Sqlite(SqlitePool),
    /// A server, or a cluster that speaks like one.
    Postgres(PgPool),
}

/// What is bound to a placeholder.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Int(i64),
    Text(String),
    /// No text.
    Null,
    /// No number.
    NoInt,
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<&String> for Value {
    fn from(value: &String) -> Self {
        Self::Text(value.clone())
    }
}

impl From<&Option<String>> for Value {
    fn from(value: &Option<String>) -> Self {
        value.as_ref().map_or(Self::Null, |text| Self::Text(text.clone()))
    }
}

/// A row of either.
pub(super) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// What a cell may be read as.
pub(super) trait Cell:
    Type<Sqlite> + Type<Postgres> + for<'r> Decode<'r, Sqlite> + for<'r> Decode<'r, Postgres>
{
}

impl<T> Cell for T where
    T: Type<Sqlite> + Type<Postgres> + for<'r> Decode<'r, Sqlite> + for<'r> Decode<'r, Postgres>
{
}

impl Row {
    /// The cell of a column.
    pub(super) fn try_get<T: Cell>(&self, column: &str) -> Result<T, sqlx::Error> {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
    }

    /// The cell of this place.
    pub(super) fn nth<T: Cell>(&self, place: usize) -> Result<T, sqlx::Error> {
        match self {
            Self::Sqlite(row) => row.try_get(place),
            Self::Postgres(row) => row.try_get(place),
        }
    }

    /// The text of this place, where it lies.
    pub(super) fn text(&self, place: usize) -> Result<&str, sqlx::Error> {
        match self {
            Self::Sqlite(row) => row.try_get(place),
            Self::Postgres(row) => row.try_get(place),
        }
    }

    /// The first cell.
    pub(super) fn first<T: Cell>(&self) -> Result<T, sqlx::Error> {
        self.nth(0)
    }
}

/// A transaction on a server, on a connection that nobody gets back unless it was committed: where something was left
/// half-way, nobody knows what the server will answer next.
pub(super) struct PgTransaction {
    connection: PoolConnection<Postgres>,
    committed: bool,
}

impl PgTransaction {
    async fn begin(pool: &PgPool, how: &'static str) -> Result<Self, sqlx::Error> {
        in_time(async {
            let mut transaction = Self { connection: pool.acquire().await?, committed: false };
            sqlx::raw_sql(how).execute(&mut *transaction.connection).await?;
            Ok(transaction)
        })
        .await
    }
}

impl Drop for PgTransaction {
    fn drop(&mut self) {
        if !self.committed {
            self.connection.close_on_drop();
        }
    }
}

/// A transaction on either. Dropped, it is rolled back.
pub(super) enum Tx<'c> {
    Sqlite(Transaction<'c, Sqlite>),
    Postgres(Box<PgTransaction>),
}

macro_rules! bound {
    ($query:expr, $values:expr) => {{
        let mut query = $query;
        for value in $values {
            query = match value {
                Value::Int(value) => query.bind(*value),
                Value::Text(value) => query.bind(value.as_str()),
                Value::Null => query.bind(None::<String>),
                Value::NoInt => query.bind(None::<i64>),
            };
        }
        query
    }};
}

impl Tx<'_> {
    /// Runs a statement; gives the number of rows that it touched.
    pub(super) async fn execute(&mut self, text: &str, values: &[Value]) -> Result<u64, sqlx::Error> {
        let query = AssertSqlSafe(text.to_owned());
        match self {
            Self::Sqlite(transaction) => {
                let done = Box::pin(bound!(sqlx::query(query), values).execute(&mut **transaction)).await?;
                Ok(done.rows_affected())
            }
            Self::Postgres(transaction) => {
                in_time(async {
                    // Nothing is prepared for later: behind a pooler the next transaction is another session.
                    let query = bound!(sqlx::query(query), values).persistent(false);
                    Ok(query.execute(&mut *transaction.connection).await?.rows_affected())
                })
                .await
            }
        }
    }

    /// The rows that a statement gives.
    pub(super) async fn rows(&mut self, text: &str, values: &[Value]) -> Result<Vec<Row>, sqlx::Error> {
        let mut rows = Vec::new();
        Box::pin(self.each(text, values, |row| {
            rows.push(row);
            Ok(())
        }))
        .await?;
        Ok(rows)
    }

    async fn each(
        &mut self,
        text: &str,
        values: &[Value],
        mut take: impl FnMut(Row) -> Result<(), sqlx::Error> + Send,
    ) -> Result<(), sqlx::Error> {
        let query = AssertSqlSafe(text.to_owned());
        match self {
            Self::Sqlite(transaction) => {
                let mut rows = bound!(sqlx::query(query), values).fetch(&mut **transaction);
                while let Some(row) = rows.try_next().await? {
                    take(Row::Sqlite(row))?;
                }
                Ok(())
            }
            Self::Postgres(transaction) => {
                in_time(async {
                    let query = bound!(sqlx::query(query), values).persistent(false);
                    let mut rows = query.fetch(&mut *transaction.connection);
                    while let Some(row) = rows.try_next().await? {
                        take(Row::Postgres(row))?;
                    }
                    Ok(())
                })
                .await
            }
        }
    }

    /// The first row.
    pub(super) async fn row(&mut self, text: &str, values: &[Value]) -> Result<Option<Row>, sqlx::Error> {
        Ok(self.rows(text, values).await?.into_iter().next())
    }

    /// Makes it last.
    pub(super) async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(transaction) => transaction.commit().await,
            Self::Postgres(mut transaction) => {
                in_time(async {
                    sqlx::raw_sql("COMMIT").execute(&mut *transaction.connection).await?;
                    transaction.committed = true;
                    Ok(())
                })
                .await
            }
        }
    }
}

impl Base {
    /// Closes its connections.
    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            // A server that does not answer keeps nobody.
            Self::Postgres(pool) => drop(tokio::time::timeout(STATEMENT, pool.close()).await),
        }
    }

    /// For reading: all of it at one instant.
    pub(super) async fn read(&self) -> Result<Tx<'static>, sqlx::Error> {
        match self {
            Self::Sqlite(pool) => Ok(Tx::Sqlite(pool.begin().await?)),
            Self::Postgres(pool) => {
                let mut transaction = PgTransaction::begin(pool, BEGIN_READING).await?;
                if CAN_BE_TOLD.load(Ordering::Relaxed) {
                    let told = sqlx::raw_sql(BY_INDEX).execute(&mut *transaction.connection);
                    in_time(told).await?;
                }
                Ok(Tx::Postgres(Box::new(transaction)))
            }
        }
    }

    /// The rows of one question.
    pub(super) async fn rows(&self, text: &str, values: &[Value]) -> Result<Vec<Row>, sqlx::Error> {
        let mut rows = Vec::new();
        self.each(text, values, |row| {
            rows.push(row);
            Ok(())
        })
        .await?;
        Ok(rows)
    }

    /// Each row of one question as it comes: it is read here while the next one is fetched.
    pub(super) async fn each(
        &self,
        text: &str,
        values: &[Value],
        take: impl FnMut(Row) -> Result<(), sqlx::Error> + Send,
    ) -> Result<(), sqlx::Error> {
        Box::pin(self.each_of(text, values, take)).await
    }

    async fn each_of(
        &self,
        text: &str,
        values: &[Value],
        mut take: impl FnMut(Row) -> Result<(), sqlx::Error> + Send,
    ) -> Result<(), sqlx::Error> {
        if let Self::Sqlite(pool) = self {
            let mut rows = bound!(sqlx::query(AssertSqlSafe(text.to_owned())), values).fetch(pool);
            while let Some(row) = rows.try_next().await? {
                take(Row::Sqlite(row))?;
            }
            return Ok(());
        }
        let mut transaction = self.read().await?;
        transaction.each(text, values, take).await?;
        transaction.commit().await
    }

    /// The first row of one question.
    pub(super) async fn row(&self, text: &str, values: &[Value]) -> Result<Option<Row>, sqlx::Error> {
        Ok(self.rows(text, values).await?.into_iter().next())
    }
}

/// For writing on a server.
pub(super) async fn begin_on(pool: &PgPool) -> Result<Tx<'static>, sqlx::Error> {
    Ok(Tx::Postgres(Box::new(PgTransaction::begin(pool, BEGIN).await?)))
}

/// What a server does not answer in time is given up, with its connection.
async fn in_time<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    // On the heap: these are large, and whoever waits for one would be as large.
    match tokio::time::timeout(STATEMENT, Box::pin(work)).await {
        Ok(result) => result,
        Err(_) => Err(sqlx::Error::Io(std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            format!("the server did not answer within {} s", STATEMENT.as_secs()),
        ))),
    }
}
