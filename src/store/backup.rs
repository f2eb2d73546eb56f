//! Backups beside the store, and what looks after it while the service runs: what could not be written is tried again,
//! the whole file is read once after the start and before every backup.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use jiff::{Timestamp, civil::DateTime, tz::Offset};
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio_util::sync::CancellationToken;

use super::{
    PATIENCE, Store, StoreError, beside, folder,
    inspect::{Depth, Trouble, check, inspect, is_damage},
    recover::{Place, sync_folder},
    stamp,
};
use crate::clock::Clock;

/// The first answers are more urgent than reading a file that may hold years.
const CHECK_AFTER: Duration = Duration::from_secs(5);
/// A backup that failed is tried again after this.
const AGAIN: Duration = Duration::from_mins(10);
const TICK: Duration = Duration::from_secs(1);
/// What is kept for a while only is looked through this often.
const DAILY: Duration = Duration::from_hours(24);

/// How a store is kept while the service runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backups {
    /// How often one is made.
    pub every: Duration,
    /// How many are kept; 0: none are made.
    pub keep: usize,
}

/// The backups of a store, newest first.
pub(super) fn list(store: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder(store)) else { return Vec::new() };
    let mut found: Vec<(Timestamp, PathBuf)> = entries
        .filter_map(|entry| {
            let path = folder(store).join(entry.ok()?.file_name());
            Some((made_at(store, &path)?, path))
        })
        .collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, path)| path).collect()
}

fn made_at(store: &Path, backup: &Path) -> Option<Timestamp> {
    let prefix = format!("{}.backup-", store.file_name()?.to_string_lossy());
    let name = backup.file_name()?.to_string_lossy().into_owned();
    let at = DateTime::strptime("%Y%m%dT%H%M%SZ", name.strip_prefix(&prefix)?).ok()?;
    Offset::UTC.to_timestamp(at).ok()
}

impl Store {
    /// Looks after the store until `stop`.
    pub async fn tend(self: Arc<Self>, backups: Backups, stop: CancellationToken) {
        // A store that is damaged while we look must not stop what looks after it.
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.look_after(backups) => {}
        }
    }

    async fn look_after(&self, backups: Backups) {
        let started = tokio::time::Instant::now();
        let mut checked = false;
        let mut pruned: Option<tokio::time::Instant> = None;
        let mut next = started + self.first_backup(backups);
        loop {
            tokio::time::sleep(TICK).await;
            if self.waiting() > 0 {
                self.flush().await;
            }
            if checked && pruned.is_none_or(|at| at.elapsed() >= DAILY) {
                pruned = Some(tokio::time::Instant::now());
                if let Err(error) = self.prune_events(Clock::system().now()).await {
                    tracing::warn!(%error, "old events could not be let go");
                }
            }
            let due = backups.keep > 0 && tokio::time::Instant::now() >= next;
            let unchecked = !checked && started.elapsed() >= CHECK_AFTER.min(backups.every);
            if unchecked || (checked && due) {
                checked = true;
                self.check().await;
            }
            if checked && due {
                let wait = match self.backup(backups.keep).await {
                    Ok(_) => backups.every,
                    Err(error) => {
                        self.errors.fetch_add(1, Ordering::Relaxed);
                        tracing::error!(%error, "the store could not be backed up");
                        backups.every.min(AGAIN)
                    }
                };
                next = tokio::time::Instant::now() + wait;
            }
        }
    }

    /// When the next backup is due, by the newest that there is; a clock that was set back makes none too many.
    fn first_backup(&self, backups: Backups) -> Duration {
        let newest = self.place.as_ref().and_then(|place| {
            let newest = list(&place.file);
            made_at(&place.file, newest.first()?)
        });
        newest.map_or(Duration::ZERO, |newest| {
            let age = Clock::system().now().as_second().saturating_sub(newest.as_second());
            backups.every.saturating_sub(Duration::from_secs(u64::try_from(age).unwrap_or(0)))
        })
    }

    /// Reads every page and row beside the writer. A store that is damaged is set aside, as at a start.
    pub async fn check(&self) {
        let Some(place) = &self.place else { return };
        let result = async {
            let mut connection = reader(place).await?;
            let verdict = check(&mut connection, Depth::Whole).await;
            connection.close().await?;
            verdict
        };
        let why = match result.await {
            Ok(None) => return,
            Ok(Some(why)) => why,
            Err(error) if is_damage(&error) => error.to_string(),
            Err(error) => {
                tracing::warn!(%error, "the store could not be checked");
                return;
            }
        };
        self.errors.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = self.recover(&why).await {
            tracing::error!(%error, "the store is damaged; serving goes on from memory");
        }
    }

    /// Copies the store beside itself while it is written, as it was at one commit, and keeps the newest `keep`.
    ///
    /// # Errors
    /// [`StoreError`]; what was there before stays. `None`: a store in memory or of recordings has no backups.
    pub async fn backup(&self, keep: usize) -> Result<Option<PathBuf>, StoreError> {
        let Some(place) = self.place.as_ref().filter(|place| place.nature == super::Nature::Live) else {
            return Ok(None);
        };
        let new = beside(&place.file, ".backup-new");
        let path = beside(&place.file, &format!(".backup-{}", stamp(Clock::system().now())));
        let result = make(place, &new, &path).await;
        for left in ["", "-journal"] {
            let _ = std::fs::remove_file(beside(&new, left));
        }
        result?;
        let name = path.display();
        tracing::info!(backup = %name, "the store is backed up");
        for old in list(&place.file).into_iter().skip(keep.max(1)).filter(|old| *old != path) {
            if let Err(error) = std::fs::remove_file(&old) {
                tracing::warn!(%error, backup = %old.display(), "an old backup cannot be removed");
            }
        }
        Ok(Some(path))
    }
}

/// Under another name until it is known to be whole and on the disk.
async fn make(place: &Place, new: &Path, path: &Path) -> Result<(), StoreError> {
    let unwritable =
        |error: std::io::Error| StoreError::ReadOnly(new.display().to_string(), error.to_string());
    for left in ["", "-journal"] {
        match std::fs::remove_file(beside(new, left)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(unwritable(error)),
            _ => {}
        }
    }
    let mut connection = reader(place).await?;
    let copied =
        sqlx::query("VACUUM INTO ?").bind(new.to_string_lossy().into_owned()).execute(&mut connection).await;
    connection.close().await?;
    copied?;
    inspect(new, place.nature, true, Depth::Whole).await.map_err(|trouble| match trouble {
        Trouble::Damaged(why) => StoreError::Damaged(new.display().to_string(), why),
        Trouble::Refused(error) => error,
    })?;
    std::fs::File::open(new).and_then(|file| file.sync_all()).map_err(unwritable)?;
    std::fs::rename(new, path).map_err(unwritable)?;
    sync_folder(path);
    Ok(())
}

/// A second connection that only reads: the log lets it, and the writer goes on.
async fn reader(place: &Place) -> Result<SqliteConnection, sqlx::Error> {
    SqliteConnectOptions::new()
        .filename(&place.file)
        .read_only(true)
        .busy_timeout(PATIENCE)
        .disable_statement_logging()
        .connect()
        .await
}
