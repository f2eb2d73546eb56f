//! The lock file beside a store: one process at a time, and a mark that the store is ours.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};

use super::StoreError;

const MARK: &str = "banggia\n";

/// Held while the store is open; the operating system lets go of it even after `kill -9`.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    path: PathBuf,
    /// Whether a store was ever open here: then what stands in its place now may be set aside.
    pub(super) marked: bool,
}

impl Lock {
    /// Takes the store for this process.
    pub(super) fn take(store: &Path) -> Result<Self, StoreError> {
        let folder = super::folder(store);
        if !folder.is_dir() {
            return Err(StoreError::NoFolder { file: store.to_owned(), folder });
        }
        if store.is_dir() {
            return Err(StoreError::Unusable(store.display().to_string(), "it is a folder".to_owned()));
        }
        let path = super::beside(store, ".lock");
        let wrong = |error: std::io::Error| {
            StoreError::ReadOnly(store.display().to_string(), format!("{}: {error}", path.display()))
        };
        let mut file =
            File::options().create(true).truncate(false).read(true).write(true).open(&path).map_err(wrong)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(StoreError::InUse(store.to_owned())),
            Err(std::fs::TryLockError::Error(error)) => return Err(wrong(error)),
        }
        let mut mark = Vec::new();
        let marked = file.read_to_end(&mut mark).is_ok() && !mark.is_empty();
        Ok(Self { file, path, marked })
    }

    /// A store is open here.
    pub(super) fn mark(&mut self) {
        // Without it a damaged store is refused instead of set aside: no reason not to start.
        self.marked = self.marked || self.file.write_all(MARK.as_bytes()).is_ok();
    }

    /// No store was opened: where there never was one, nothing is left behind.
    pub(super) fn give_up(self) {
        if !self.marked {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
