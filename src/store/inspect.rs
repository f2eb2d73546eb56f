//! Is this file a store, ours, whole, and of a schema that we know? Looked at without changing it, before it is opened
//! for writing: what is refused is left as it was.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use sqlx::{
    ConnectOptions as _, Connection as _, SqliteConnection,
    error::DatabaseError as _,
    sqlite::{SqliteConnectOptions, SqliteError},
};

use super::{
    MIGRATIONS, Nature, PATIENCE, StoreError,
    rows::{CHANGE, LIVE, Summed, kept},
    sql::Row,
};

/// Something that our schema has always had and nobody else's has.
const OURS: &[u8] = b"quote_by_source";

/// Why a file cannot be used.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Its content is not what was written.
    Damaged(String),
    /// Anything else, which a new file in its place would not mend.
    Refused(StoreError),
}

/// How much is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// What is served after a start: a few hundred rows, whatever the age of the store.
    Live,
    /// Every page and every row.
    Whole,
}

/// Whether an error says that the file is damaged, not that the disk is full or slow.
pub(super) fn is_damage(error: &sqlx::Error) -> bool {
    // SQLITE_CORRUPT and SQLITE_NOTADB, whatever the extended code.
    matches!(primary_code(error), Some(11 | 26))
}

pub(super) fn primary_code(error: &sqlx::Error) -> Option<u32> {
    let error = error.as_database_error()?.try_downcast_ref::<SqliteError>()?;
    error.code()?.parse::<u32>().ok().map(|code| code & 0xff)
}

/// What the database says, without what sqlx says about it.
fn words(error: &sqlx::Error) -> String {
    error.as_database_error().map_or_else(|| error.to_string(), |error| error.message().to_owned())
}

pub(super) fn unusable(name: &str, error: &sqlx::Error) -> StoreError {
    match primary_code(error) {
        // READONLY, CANTOPEN, PERM
        Some(8 | 14 | 3) => StoreError::ReadOnly(name.to_owned(), words(error)),
        _ => StoreError::Unusable(name.to_owned(), words(error)),
    }
}

/// An error while a file is opened for writing, or its schema is read.
pub(super) fn trouble(name: &str, error: &sqlx::Error) -> Trouble {
    if is_damage(error) { Trouble::Damaged(words(error)) } else { Trouble::Refused(unusable(name, error)) }
}

/// An error while rows are read: where ours are expected, what cannot be read is damaged.
fn trouble_of_rows(name: &str, error: &sqlx::Error) -> Trouble {
    match primary_code(error) {
        Some(11 | 26 | 1) => Trouble::Damaged(words(error)),
        None if matches!(
            error,
            sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_)
        ) =>
        {
            Trouble::Damaged(error.to_string())
        }
        _ => Trouble::Refused(unusable(name, error)),
    }
}

/// Whether a file that cannot be read has any sign of being our store. `known`: a store was open here before.
pub(super) fn is_ours(file: &Path, known: bool) -> bool {
    let mut head = Vec::new();
    let mut read = || std::fs::File::open(file)?.take(64 * 1024).read_to_end(&mut head);
    known
        || !super::backup::list(file).is_empty()
        || (read().is_ok() && head.windows(OURS.len()).any(|window| window == OURS))
}

/// Looks at a file that may become, or is, a store. `known`: there was one here before, so it cannot be empty.
pub(super) async fn inspect(file: &Path, nature: Nature, known: bool, depth: Depth) -> Result<(), Trouble> {
    let name = file.display().to_string();
    let cannot =
        |error: std::io::Error| Trouble::Refused(StoreError::ReadOnly(name.clone(), error.to_string()));
    let mut head = Vec::new();
    match std::fs::File::open(file) {
        Ok(open) => open.take(100).read_to_end(&mut head).map_err(cannot)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(cannot(error)),
    };
    let wal = log_length(file);
    if head.is_empty() && wal == 0 {
        return if known { Err(Trouble::Damaged("the file is empty".to_owned())) } else { Ok(()) };
    }
    if let Some(why) = wrong_header(&head) {
        return Err(Trouble::Damaged(why.to_owned()));
    }
    // Without a log nothing but the file is read, and nothing is created beside it.
    let options = SqliteConnectOptions::new()
        .filename(file)
        .read_only(true)
        .immutable(wal == 0)
        .busy_timeout(PATIENCE)
        .disable_statement_logging();
    let mut connection = options.connect().await.map_err(|error| trouble(&name, &error))?;
    let depth = if is_odd(&head) { Depth::Whole } else { depth };
    let verdict = look(&mut connection, &name, nature, known, depth).await;
    // Read only: there is nothing that a failed close could lose.
    let _ = connection.close().await;
    verdict
}

async fn look(
    connection: &mut SqliteConnection,
    name: &str,
    nature: Nature,
    known: bool,
    depth: Depth,
) -> Result<(), Trouble> {
    let wrong = |error: sqlx::Error| trouble_of_rows(name, &error);
    let ours = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let found: i64 =
        sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *connection).await.map_err(wrong)?;
    let tables: Vec<String> = sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table'")
        .fetch_all(&mut *connection)
        .await
        .map_err(wrong)?;
    if found == 0 && tables.is_empty() {
        // Never used, or begun and not finished.
        return if known { Err(Trouble::Damaged("it holds nothing".to_owned())) } else { Ok(()) };
    }
    if !tables.iter().any(|table| table == "meta") {
        return Err(Trouble::Damaged("it is a database, but not of this program".to_owned()));
    }
    let meta =
        |key: &'static str| sqlx::query_scalar::<_, String>("SELECT value FROM meta WHERE key = ?").bind(key);
    let written = meta("schema").fetch_optional(&mut *connection).await.map_err(wrong)?;
    // Schema 1 did not say so yet.
    let written = written.map_or(Some(1), |text| text.parse::<i64>().ok());
    if written != Some(found) {
        return Err(Trouble::Damaged("it does not know its own schema".to_owned()));
    }
    if found > ours {
        return Err(Trouble::Refused(StoreError::Newer { file: name.to_owned(), found, known: ours }));
    }
    match meta("nature").fetch_optional(&mut *connection).await.map_err(wrong)? {
        Some(found) if ![Nature::Live, Nature::Recorded].iter().any(|known| known.as_str() == found) => {
            return Err(Trouble::Damaged("it does not say what it holds".to_owned()));
        }
        Some(found) if found != nature.as_str() => {
            let wanted = nature.as_str();
            return Err(Trouble::Refused(StoreError::Nature { file: name.to_owned(), found, wanted }));
        }
        // Schema 1 was marked in a second step, which a kill could cut off.
        None if written > Some(1) => {
            return Err(Trouble::Damaged("it does not say what it holds".to_owned()));
        }
        _ => {}
    }
    check(connection, depth).await.map_err(wrong)?.map_or(Ok(()), |why| Err(Trouble::Damaged(why)))
}

/// What is wrong with the pages and rows of a store.
pub(super) async fn check(
    connection: &mut SqliteConnection,
    depth: Depth,
) -> Result<Option<String>, sqlx::Error> {
    let pages = match depth {
        Depth::Live => LIVE.iter().map(|of| format!("PRAGMA quick_check({})", of.table)).collect(),
        Depth::Whole => vec!["PRAGMA integrity_check(1)".to_owned()],
    };
    for pragma in pages {
        let said: String =
            sqlx::query_scalar(sqlx::AssertSqlSafe(pragma)).fetch_one(&mut *connection).await?;
        if said != "ok" {
            return Ok(Some(said.lines().take(2).collect::<Vec<_>>().join(" ")));
        }
    }
    let summed: i64 =
        sqlx::query_scalar("SELECT count(*) FROM pragma_table_info('quote') WHERE name = 'sum'")
            .fetch_one(&mut *connection)
            .await?;
    if summed > 0 {
        let history = (depth == Depth::Whole).then_some(CHANGE);
        for table in LIVE.iter().chain(&history) {
            let Summed { table: name, .. } = table;
            match table.damaged_rows(connection).await? {
                0 => {}
                rows => return Ok(Some(format!("{rows} rows of {name} are not what was written"))),
            }
        }
    }
    for row in sqlx::query("SELECT * FROM quote").fetch_all(&mut *connection).await? {
        if let Err(error) = kept(&Row::Sqlite(row)) {
            return Ok(Some(format!("a stored quote cannot be read: {error}")));
        }
    }
    Ok(None)
}

/// What no database has in its first hundred bytes.
fn wrong_header(head: &[u8]) -> Option<&'static str> {
    // Empty: everything may still be in the log.
    let database = head.is_empty() || (head.len() == 100 && head.starts_with(b"SQLite format 3\0"));
    // Versions of the format; SQLite takes a file of a later one for read-only.
    let known = head.get(18..20).is_none_or(|versions| versions.iter().all(|byte| matches!(byte, 1 | 2)));
    (!database || !known).then_some("file is not a database")
}

/// What SQLite believes without looking, and what our stores do not have: room at the end of pages, payload fractions,
/// auto-vacuum, another encoding. An operator's tool may have changed it, or the disk: the pages tell.
fn is_odd(head: &[u8]) -> bool {
    let field = |from: usize, to: usize| head.get(from..to).unwrap_or_default();
    let plain = field(20, 24) == [0, 64, 32, 32]
        && field(52, 56) == [0; 4]
        && matches!(field(56, 60), [0, 0, 0, 0 | 1]);
    !head.is_empty() && !plain
}

/// Bytes of the write-ahead log beside a store.
pub(super) fn log_length(file: &Path) -> u64 {
    std::fs::metadata(super::beside(file, "-wal")).map_or(0, |log| log.len())
}

/// The log beside a store, where it does not begin as one: SQLite would pass over it without a word.
pub(super) fn garbage_log(file: &Path) -> Option<PathBuf> {
    let path = super::beside(file, "-wal");
    let mut head = Vec::new();
    std::fs::File::open(&path).ok()?.take(32).read_to_end(&mut head).ok()?;
    // A log that a power cut left empty holds nothing that was ever promised.
    let nothing = head.iter().all(|byte| *byte == 0);
    let begins = head.starts_with(&[0x37, 0x7f, 0x06, 0x82]) || head.starts_with(&[0x37, 0x7f, 0x06, 0x83]);
    (!nothing && !begins).then_some(path)
}
