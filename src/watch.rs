//! Files that the configuration is read from: when one of them changes, it is read again. The folders are watched, not the
//! files, since editors and Kubernetes put another file in the place of the old one; contents are compared, so that
//! only a change counts.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use notify::{
    EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::xxh3_64;

use crate::control::{Control, Via};

/// So long a file must have been left alone: whoever writes it may not be done.
const QUIET: Duration = Duration::from_millis(500);
/// Somebody who writes all the time does not keep us waiting for ever.
const LONGEST: u32 = 20;
/// Where folders cannot be watched, and in case an event was lost.
const LOOK: Duration = Duration::from_secs(10);

/// Reads the configuration again whenever one of its files has changed, until `stop`.
pub async fn follow(control: Arc<Control>, stop: CancellationToken) {
    let touched = Arc::new(Notify::new());
    let mut files = files(&control);
    let mut seen = contents(&files);
    let mut watcher = watch(&files, &touched);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = touched.notified() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
        if !is_news(&control, &seen, &contents(&files)) {
            continue;
        }
        for _ in 0..LONGEST {
            if tokio::time::timeout(QUIET, touched.notified()).await.is_err() {
                break;
            }
        }
        let now = contents(&files);
        if !is_news(&control, &seen, &now) {
            continue;
        }
        // Read before it is applied: what is written meanwhile is another change.
        seen = now;
        // What is wrong with it has been logged, and the old one goes on.
        let _ = control.reload(Via::File).await;
        let named = self::files(&control);
        if named != files {
            files = named;
            seen = contents(&files);
        }
        // A link may lead elsewhere by now.
        watcher = watch(&files, &touched).or(watcher);
    }
}

fn files(control: &Control) -> Vec<PathBuf> {
    let config = control.config();
    config.inputs.file.iter().chain(&config.files).cloned().collect()
}

/// A hash of what stands in a file, and when it was written; `None`: it cannot be read.
type Seen = Vec<Option<(u64, Option<SystemTime>)>>;

fn contents(files: &[PathBuf]) -> Seen {
    let look = |file: &PathBuf| {
        let about = std::fs::metadata(file).ok().filter(std::fs::Metadata::is_file)?;
        let written = about.modified().ok();
        Some((xxh3_64(&std::fs::read(file).ok()?), written))
    };
    files.iter().map(look).collect()
}

/// Other content is. Whoever wrote the same again after it had been refused wants to know that it is good.
fn is_news(control: &Control, seen: &Seen, now: &Seen) -> bool {
    let content =
        |of: &Seen| -> Vec<Option<u64>> { of.iter().map(|file| file.map(|(hash, _)| hash)).collect() };
    content(seen) != content(now) || (seen != now && control.last_reload().result.is_err())
}

/// Folders in which the files, or what they lead to, can be replaced.
fn folders(files: &[PathBuf]) -> BTreeSet<PathBuf> {
    let folder = |file: &Path| match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    files
        .iter()
        .flat_map(|file| [Some(folder(file)), std::fs::canonicalize(file).ok().map(|real| folder(&real))])
        .flatten()
        .collect()
}

fn watch(files: &[PathBuf], touched: &Arc<Notify>) -> Option<RecommendedWatcher> {
    let touched = Arc::clone(touched);
    let heard = move |event: notify::Result<notify::Event>| {
        // That we read them ourselves is no news.
        let is_reading = event.is_ok_and(|event| {
            matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write))
        });
        if !is_reading {
            touched.notify_one();
        }
    };
    let mut watcher = notify::recommended_watcher(heard)
        .inspect_err(|error| {
            tracing::warn!(%error, "files cannot be watched; they are looked at every {LOOK:?}");
        })
        .ok()?;
    for folder in folders(files) {
        if let Err(error) = watcher.watch(&folder, RecursiveMode::NonRecursive) {
            tracing::warn!(%error, folder = %folder.display(), "a folder cannot be watched; it is looked at every {LOOK:?}");
        }
    }
    Some(watcher)
}
