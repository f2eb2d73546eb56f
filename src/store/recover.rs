//! What happens to a damaged store: it is set aside with everything that belongs to it, and the last good backup, or
//! an empty store, takes its place. Nothing is deleted, and nothing is tried twice.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
};

use jiff::Timestamp;
use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{
    MIGRATIONS, Nature, PATIENCE, Published, StoreError, backup, beside,
    inspect::{Depth, Trouble, garbage_log, inspect, is_ours, trouble},
    log, stamp,
};
use crate::clock::Clock;

/// What to do with a store that is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnCorrupt {
    /// Set it aside and start from the last good backup, or empty.
    SetAside,
    /// Refuse to start and leave it as it is.
    #[default]
    Fail,
}

impl FromStr for OnCorrupt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "set-aside" => Ok(Self::SetAside),
            "fail" => Ok(Self::Fail),
            _ => Err(format!("\"{text}\" is not allowed; allowed are set-aside, fail")),
        }
    }
}

/// A damaged store that was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// When.
    pub at: Timestamp,
    /// What was wrong with it.
    pub why: String,
    /// Where it is now; its log and index beside it.
    pub set_aside: PathBuf,
    /// The backup that took its place, or the store itself as far as it could be read; `None`: an empty store.
    pub from: Option<PathBuf>,
}

/// Where a store is and how it is opened.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) file: PathBuf,
    pub(super) options: SqliteConnectOptions,
    pub(super) nature: Nature,
    pub(super) on_corrupt: OnCorrupt,
}

impl Place {
    fn name(&self) -> String {
        self.file.display().to_string()
    }

    /// Opens the store, in its own place or after it was set aside. `known`: there was one here before.
    pub(super) async fn open(&self, known: bool) -> Result<(SqlitePool, Option<Recovery>), StoreError> {
        let ours = || is_ours(&self.file, known);
        if let Some(log) =
            garbage_log(&self.file).filter(|_| self.on_corrupt == OnCorrupt::SetAside && ours())
        {
            self.set_log_aside(&log);
        }
        if let Some(frame) = log::damaged_frame(&self.file).filter(|_| ours()) {
            return self.open_behind_damage(known, frame).await;
        }
        match self.attempt(known).await {
            Ok(pool) => Ok((pool, None)),
            Err(Trouble::Refused(error)) => Err(error),
            Err(Trouble::Damaged(why)) if !ours() => Err(StoreError::Unusable(self.name(), why)),
            Err(Trouble::Damaged(why)) if self.on_corrupt == OnCorrupt::Fail => {
                Err(StoreError::Damaged(self.name(), why))
            }
            Err(Trouble::Damaged(why)) => {
                let (pool, recovery) = self.recover(why).await?;
                Ok((pool, Some(recovery)))
            }
        }
    }

    /// A log that is damaged in its middle: SQLite will forget what is behind the damage. A copy of all of it is kept; what
    /// can be played is served, unless a backup is newer.
    async fn open_behind_damage(
        &self,
        known: bool,
        frame: usize,
    ) -> Result<(SqlitePool, Option<Recovery>), StoreError> {
        let why = format!("its log is damaged at frame {frame}, with whole transactions behind that");
        if self.on_corrupt == OnCorrupt::Fail {
            return Err(StoreError::Damaged(self.name(), why));
        }
        let at = Clock::system().now();
        let aside = beside(&self.file, &format!(".corrupt-{}", stamp(at)));
        for part in ["", "-wal"] {
            if let Err(error) = std::fs::copy(beside(&self.file, part), beside(&aside, part)) {
                return Err(StoreError::ReadOnly(
                    self.name(),
                    format!("{why}, and cannot be copied: {error}"),
                ));
            }
        }
        let Ok(pool) = self.attempt(known).await else {
            let (pool, recovery) = self.recover(why).await?;
            return Ok((pool, Some(recovery)));
        };
        let played = newest(&pool).await;
        if let Some(backup) = backup::list(&self.file).first()
            && newest_of(backup).await > played
        {
            pool.close().await;
            let (pool, recovery) = self.recover(why).await?;
            return Ok((pool, Some(recovery)));
        }
        let floor = Published { version: at.as_second(), generated_at: at, hash: String::new() };
        super::write::publish(&pool, &[("recovery".to_owned(), floor)], &[]).await?;
        tracing::error!(
            "the store {} was damaged ({why}): a copy is kept as {}, and the service starts from what is before the damage",
            self.name(),
            aside.display()
        );
        let from = Some(self.file.clone());
        Ok((pool, Some(Recovery { at, why, set_aside: aside, from })))
    }

    /// Sets the store aside and opens the newest backup that is whole, or an empty one.
    pub(super) async fn recover(&self, why: String) -> Result<(SqlitePool, Recovery), StoreError> {
        let at = Clock::system().now();
        let cannot = |error: std::io::Error| {
            StoreError::ReadOnly(
                self.name(),
                format!("it is damaged ({why}) and cannot be set aside: {error}"),
            )
        };
        let set_aside = self.set_aside(at).map_err(cannot)?;
        let mut opened = None;
        for backup in backup::list(&self.file) {
            match self.restore(&backup).await {
                Ok(pool) => {
                    opened = Some((pool, Some(backup)));
                    break;
                }
                Err(why) => {
                    tracing::error!(backup = %backup.display(), why, "a backup of the store cannot be used");
                }
            }
        }
        let (pool, from) = match opened {
            Some(opened) => opened,
            None => match self.attempt(false).await {
                Ok(pool) => (pool, None),
                Err(Trouble::Refused(error)) => return Err(error),
                Err(Trouble::Damaged(why)) => return Err(StoreError::Damaged(self.name(), why)),
            },
        };
        // Versions that were given out are not known any more, but there never was one a second.
        let floor = Published { version: at.as_second(), generated_at: at, hash: String::new() };
        super::write::publish(&pool, &[("recovery".to_owned(), floor)], &[]).await?;
        tracing::error!(
            "the store {} was damaged ({why}): it is set aside as {}, and the service starts from {}",
            self.name(),
            set_aside.display(),
            from.as_ref()
                .map_or_else(|| "an empty one".to_owned(), |from| format!("the backup {}", from.display())),
        );
        Ok((pool, Recovery { at, why, set_aside, from }))
    }

    /// Opens what is there, if it is whole.
    async fn attempt(&self, known: bool) -> Result<SqlitePool, Trouble> {
        inspect(&self.file, self.nature, known, Depth::Live).await?;
        let name = self.name();
        let pool = connect(self.options.clone()).await.map_err(|error| trouble(&name, &error))?;
        match prepare(&pool, self.nature).await {
            Ok(()) => Ok(pool),
            Err(error) => {
                pool.close().await;
                Err(trouble(&name, &error))
            }
        }
    }

    /// Puts a copy of a backup in the store's place, unless it is damaged too.
    async fn restore(&self, backup: &Path) -> Result<SqlitePool, String> {
        let new = beside(&self.file, ".restored");
        let copy = || std::fs::copy(backup, &new).and_then(|_| std::fs::File::open(&new)?.sync_all());
        copy().map_err(|error| error.to_string())?;
        let opened = match inspect(&new, self.nature, true, Depth::Whole).await {
            Ok(()) => {
                std::fs::rename(&new, &self.file).map_err(|error| error.to_string())?;
                sync_folder(&self.file);
                self.attempt(true).await
            }
            Err(trouble) => Err(trouble),
        };
        opened.map_err(|trouble| {
            let _ = std::fs::remove_file(&new);
            match trouble {
                Trouble::Damaged(why) => why,
                Trouble::Refused(error) => error.to_string(),
            }
        })
    }

    /// The log first: a log without its store would be played into the next one.
    fn set_aside(&self, at: Timestamp) -> std::io::Result<PathBuf> {
        let named = |n: u32| {
            let more = if n == 0 { String::new() } else { format!("-{n}") };
            beside(&self.file, &format!(".corrupt-{}{more}", stamp(at)))
        };
        let free = (0..1000).map(named).find(|path| !path.exists()).unwrap_or_else(|| named(1000));
        for part in ["-wal", "-shm", ""] {
            match std::fs::rename(beside(&self.file, part), beside(&free, part)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        sync_folder(&self.file);
        Ok(free)
    }

    fn set_log_aside(&self, log: &Path) {
        let aside = beside(&self.file, &format!(".corrupt-{}-wal", stamp(Clock::system().now())));
        match std::fs::rename(log, &aside) {
            Ok(()) => tracing::error!(
                "the log of the store {} is damaged: it is set aside as {}, and the service starts from what was written before it",
                self.name(),
                aside.display()
            ),
            // SQLite will pass over it.
            Err(error) => tracing::error!(%error, "the damaged log {} cannot be set aside", log.display()),
        }
    }
}

/// The last attempt that a store knows of, in Unix seconds.
async fn newest(pool: &SqlitePool) -> Option<i64> {
    sqlx::query_scalar("SELECT max(attempted_at) FROM source").fetch_one(pool).await.ok().flatten()
}

async fn newest_of(backup: &Path) -> Option<i64> {
    let options = SqliteConnectOptions::new().filename(backup).read_only(true).immutable(true);
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.ok()?;
    let newest = newest(&pool).await;
    pool.close().await;
    newest
}

/// One connection for writing; it stays open.
pub(super) async fn connect(options: SqliteConnectOptions) -> Result<SqlitePool, sqlx::Error> {
    let options = options
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(PATIENCE)
        .optimize_on_close(true, None);
    SqlitePoolOptions::new()
        .min_connections(1)
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options)
        .await
}

/// Brings a store to our schema, one transaction a step, and marks what it holds.
pub(super) async fn prepare(pool: &SqlitePool, nature: Nature) -> Result<(), sqlx::Error> {
    let found: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(pool).await?;
    let steps = (1_i64..).zip(MIGRATIONS).filter(|(at, _)| *at > found);
    let mut written = false;
    for (at, migration) in steps {
        let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::raw_sql(*migration).execute(&mut *transaction).await?;
        for (key, value) in [("schema", at.to_string()), ("nature", nature.as_str().to_owned())] {
            sqlx::query("INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value")
                .bind(key)
                .bind(value)
                .execute(&mut *transaction)
                .await?;
        }
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("PRAGMA user_version = {at}")))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        written = true;
    }
    if !written {
        // Takes the right to write and gives it back, to learn at the start and not at the first fetch that there
        // is none; without a commit, since that would wait for the disk.
        pool.begin_with("BEGIN IMMEDIATE").await?.rollback().await?;
    }
    Ok(())
}

/// A rename is lasting once its folder is.
pub(super) fn sync_folder(file: &Path) {
    let _ = std::fs::File::open(super::folder(file)).and_then(|folder| folder.sync_all());
}
