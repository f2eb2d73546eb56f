//! Evidence of drift: an answer that could not be read or was refused is kept as it came, beside what was expected
//! and what was found, so that `banggia probe FEED --source S --file ANSWER.body` plays it again. Secrets are cut
//! out, sizes and numbers are capped, and nothing here ever holds up or fails a run.

use std::{
    fs,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    str::FromStr as _,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use jiff::{Timestamp, ToSpan as _, civil::Date, tz::Offset};
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteConnectOptions;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use xxhash_rust::xxh3::xxh3_64;

use crate::{clock::Clock, config::Config, fetch::Body};

/// Of one answer.
const MAX_BODY: usize = 256 << 10;
/// Answers of one source.
const MAX_ANSWERS: usize = 5;
const MAX_DAYS: i64 = 7;
/// Old answers are looked for so often, besides with each new one.
const TIDY: Duration = Duration::from_hours(1);
/// In names of files: sorts as time does.
const STAMP: &str = "%Y%m%dT%H%M%SZ";

/// What stands beside a kept answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// `bidv.fx`
    pub feed: String,
    /// `board`
    pub source: String,
    /// Which request of the source.
    pub step: String,
    /// When it was read.
    pub at: String,
    /// `schema_drift`, `out_of_band`, …
    pub code: String,
    /// What should have come.
    pub expected: String,
    /// What came.
    pub found: String,
    /// Where from, without a query.
    pub url: String,
    /// As the source declared it.
    pub content_type: Option<String>,
    /// Of the declaration.
    pub charset: Option<String>,
    /// For sources whose body has no date.
    pub last_modified: Option<Date>,
    /// Bytes of the whole answer; the file may hold fewer.
    pub bytes: usize,
    /// Of what was kept.
    pub hash: String,
}

impl Note {
    /// The note beside a kept answer, if it is one.
    #[must_use]
    pub fn beside(body: &Path) -> Option<Self> {
        let text = fs::read(body.with_extension("json")).ok()?;
        (body.extension()? == "body").then(|| serde_json::from_slice(&text).ok()).flatten()
    }
}

/// Where answers are kept, and what is cut out of them.
#[derive(Debug, Default)]
pub struct Evidence {
    folder: Option<PathBuf>,
    sensitive: ArcSwap<Vec<String>>,
    /// One writer at a time, so that numbers hold.
    turn: Mutex<()>,
    complained: AtomicBool,
}

impl Evidence {
    /// Nothing is kept.
    #[must_use]
    pub fn off() -> Self {
        Self::default()
    }

    /// Where the operator wants it: beside the database unless they say otherwise. Recorded answers are no evidence.
    #[must_use]
    pub fn of(config: &Config, recorded: bool) -> Self {
        let folder = match config.store.evidence.as_str() {
            _ if recorded => None,
            "off" => None,
            "" if config.store.url.contains(":memory:") || crate::store::is_shared(&config.store.url) => None,
            "" => SqliteConnectOptions::from_str(&config.store.url).ok().map(|options| {
                let mut name = options.get_filename().as_os_str().to_owned();
                name.push(".evidence");
                PathBuf::from(name)
            }),
            folder => Some(PathBuf::from(folder)),
        };
        Self { folder, sensitive: ArcSwap::from_pointee(config.sensitive()), ..Self::default() }
    }

    /// What is cut out from now on.
    pub fn hide(&self, words: Vec<String>) {
        self.sensitive.store(Arc::new(words));
    }

    /// Keeps an answer, on a thread of its own.
    pub fn keep(self: &Arc<Self>, tracker: &TaskTracker, note: Note, body: Arc<Body>, now: Timestamp) {
        if self.folder.is_none() {
            return;
        }
        let evidence = Arc::clone(self);
        tracker.spawn_blocking(move || {
            let _turn = evidence.turn.lock().unwrap_or_else(PoisonError::into_inner);
            let (feed, source) = (note.feed.clone(), note.source.clone());
            match evidence.write(note, &body, now) {
                Ok(Some(file)) => {
                    evidence.complained.store(false, Ordering::Relaxed);
                    tracing::debug!(feed, source, file = %file.display(), "the answer is kept");
                }
                Ok(None) => {}
                Err(error) => evidence.complain(&error),
            }
        });
    }

    /// Throws old answers away, now and then, until `stop`.
    pub async fn tidy(self: Arc<Self>, clock: Clock, stop: CancellationToken) {
        loop {
            let (evidence, now) = (Arc::clone(&self), clock.now());
            let _ = tokio::task::spawn_blocking(move || {
                let _turn = evidence.turn.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(folder) = evidence.folder.as_deref().filter(|folder| folder.is_dir()) {
                    drop_old(folder, now).unwrap_or_else(|error| evidence.complain(&error));
                }
            })
            .await;
            if tokio::time::timeout(TIDY, stop.cancelled()).await.is_ok() {
                return;
            }
        }
    }

    /// Once, until it works again.
    fn complain(&self, error: &std::io::Error) {
        if !self.complained.swap(true, Ordering::Relaxed) {
            let folder = self.folder.as_deref().unwrap_or(Path::new(""));
            tracing::error!(folder = %folder.display(), %error, "answers that were refused cannot be kept");
        }
    }

    /// The new file; none if the same answer was the last to be kept.
    fn write(&self, mut note: Note, body: &Body, now: Timestamp) -> std::io::Result<Option<PathBuf>> {
        let Some(folder) = &self.folder else { return Ok(None) };
        let kept = self.discreet(&body.bytes);
        note.bytes = body.bytes.len();
        note.hash = format!("{:016x}", xxh3_64(&kept));
        make(folder)?;
        drop_old(folder, now)?;
        let of_source = format!("{}.{}.", note.feed, note.source);
        let mut stems = stems(folder, &of_source)?;
        let same_step = stems.iter().rev().find(|stem| stem.ends_with(&format!(".{}", note.step)));
        let last = same_step.and_then(|stem| Note::beside(&folder.join(format!("{stem}.body"))));
        if last.is_some_and(|last| last.hash == note.hash && last.code == note.code) {
            return Ok(None);
        }
        while stems.len() >= MAX_ANSWERS {
            drop_stem(folder, &stems.remove(0))?;
        }
        let stamp = Offset::UTC.to_datetime(now).strftime(STAMP).to_string();
        let stem = format!("{of_source}{stamp}.{}", note.step);
        let file = folder.join(format!("{stem}.body"));
        create(&file, &kept)?;
        let mut text = serde_json::to_vec_pretty(&note)?;
        text.push(b'\n');
        create(&folder.join(format!("{stem}.json")), &text)?;
        Ok(Some(file))
    }

    /// The beginning of an answer, without secrets, in whatever way it may repeat them.
    fn discreet(&self, bytes: &[u8]) -> Vec<u8> {
        // Packed without saying so, as the parsers accept it: words cannot be found inside.
        let mut bytes = if bytes.starts_with(&[0x1f, 0x8b]) {
            let mut plain = Vec::new();
            // What opens before the damage is what can be shown.
            let _ =
                flate2::read::MultiGzDecoder::new(bytes).take(MAX_BODY as u64 * 2).read_to_end(&mut plain);
            plain
        } else {
            bytes.to_vec()
        };
        for word in self.sensitive.load().iter() {
            let escaped = word.replace('\\', "\\\\").replace('"', "\\\"").replace('/', "\\/");
            let wide = |unit: fn(u16) -> [u8; 2]| word.encode_utf16().flat_map(unit).collect::<Vec<u8>>();
            let forms = [
                word.clone().into_bytes(),
                escaped.into_bytes(),
                wide(u16::to_le_bytes),
                wide(u16::to_be_bytes),
            ];
            for form in forms {
                bytes = without(&bytes, &form);
            }
        }
        bytes.truncate(MAX_BODY);
        bytes
    }
}

fn drop_old(folder: &Path, now: Timestamp) -> std::io::Result<()> {
    let oldest = now.saturating_sub((MAX_DAYS * 24).hours()).unwrap_or(Timestamp::MIN);
    let oldest = Offset::UTC.to_datetime(oldest).strftime(STAMP).to_string();
    for stem in stems(folder, "")? {
        // provider.kind.source.stamp.step
        if stem.split('.').nth(3).is_some_and(|stamp| is_stamp(stamp) && stamp < oldest.as_str()) {
            drop_stem(folder, &stem)?;
        }
    }
    Ok(())
}

fn is_stamp(text: &str) -> bool {
    text.len() == 16 && text.ends_with('Z') && text.bytes().filter(u8::is_ascii_digit).count() == 14
}

/// Names without their ending, oldest first, of answers and of notes that lost theirs; other files are not ours.
fn stems(folder: &Path, prefix: &str) -> std::io::Result<Vec<String>> {
    let mut stems = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let Some(stem) =
            name.to_str().and_then(|name| name.strip_suffix(".body").or_else(|| name.strip_suffix(".json")))
        else {
            continue;
        };
        if stem.starts_with(prefix) && stem.split('.').nth(3).is_some_and(is_stamp) {
            stems.push(stem.to_owned());
        }
    }
    stems.sort_unstable();
    stems.dedup();
    Ok(stems)
}

fn drop_stem(folder: &Path, stem: &str) -> std::io::Result<()> {
    for ending in ["body", "json"] {
        match fs::remove_file(folder.join(format!("{stem}.{ending}"))) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// For nobody but us: an answer may hold more than prices.
fn make(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn create(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file)?.write_all(bytes)
}

fn without(bytes: &[u8], word: &[u8]) -> Vec<u8> {
    const INSTEAD: &[u8] = b"<redacted>";
    let mut rest = bytes;
    let mut clean = Vec::with_capacity(bytes.len());
    while let Some((first, tail)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(word).filter(|_| !word.is_empty()) {
            clean.extend_from_slice(INSTEAD);
            rest = after;
        } else {
            clean.push(*first);
            rest = tail;
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(folder: &Path) -> Evidence {
        Evidence {
            folder: Some(folder.join("kept")),
            sensitive: ArcSwap::from_pointee(vec!["CANARY/1".to_owned()]),
            ..Evidence::default()
        }
    }

    fn note(source: &str, code: &str) -> Note {
        Note {
            feed: "bidv.fx".to_owned(),
            source: source.to_owned(),
            step: "boards".to_owned(),
            code: code.to_owned(),
            ..Note::default()
        }
    }

    fn body(bytes: impl Into<Vec<u8>>) -> Body {
        Body { bytes: bytes.into(), ..Body::default() }
    }

    fn day(day: u8, second: u8) -> Timestamp {
        format!("2026-09-{day:02}T10:05:{second:02}+07:00").parse().unwrap()
    }

    fn files(folder: &Path) -> Vec<String> {
        stems(&folder.join("kept"), "").unwrap()
    }

    #[test]
    fn f27_five_answers_a_source_are_kept_for_seven_days_and_the_same_one_once() {
        let folder = tempfile::tempdir().unwrap();
        let evidence = evidence(folder.path());
        for second in 0..8 {
            let kept =
                evidence.write(note("board", "schema_drift"), &body([second]), day(1, second)).unwrap();
            assert!(kept.is_some());
        }
        let same = |code, second| evidence.write(note("board", code), &body([7]), day(1, second)).unwrap();
        assert_eq!(same("schema_drift", 9), None, "the last one, again");
        assert!(same("out_of_band", 10).is_some(), "for another reason");
        assert_eq!(files(folder.path()).len(), 5);
        evidence.write(note("newest", "empty"), &body(""), day(2, 0)).unwrap();
        assert_eq!(files(folder.path()).len(), 6, "another source has its own");
        evidence.write(note("newest", "empty"), &body(" "), day(9, 0)).unwrap();
        let left = files(folder.path());
        assert_eq!(
            left,
            ["bidv.fx.newest.20260902T030500Z.boards", "bidv.fx.newest.20260909T030500Z.boards"]
        );
    }

    #[test]
    fn a22_f27_secrets_are_cut_out_of_what_is_kept_in_every_form() {
        let folder = tempfile::tempdir().unwrap();
        let evidence = evidence(folder.path());
        let mut said = b"{\"key\":\"CANARY/1\",\"again\":\"CANARY\\/1\"}".to_vec();
        said.extend("CANARY/1".encode_utf16().flat_map(u16::to_le_bytes));
        said.extend(vec![b' '; MAX_BODY - said.len() - 3]);
        said.extend(b"CANARY/1 at the very end of what is kept");
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(&said).unwrap();
        let packed = packed.finish().unwrap();
        let same = body(packed);
        for (second, body, wanted) in [(1, body(said), true), (2, same, false)] {
            let file = evidence.write(note("board", "schema_drift"), &body, day(1, second)).unwrap();
            assert_eq!(file.is_some(), wanted, "the second is the first in another coding");
            let Some(file) = file else { continue };
            let kept = fs::read(&file).unwrap();
            assert!(kept.len() <= MAX_BODY);
            let text = String::from_utf8_lossy(&kept).replace('\0', "");
            assert!(text.contains("<redacted>") && !text.contains("CANARY"), "{}", text.trim());
            assert_eq!(mode(&fs::metadata(&file).unwrap()), 0o600);
        }
    }

    fn mode(meta: &fs::Metadata) -> u32 {
        use std::os::unix::fs::PermissionsExt as _;
        meta.permissions().mode() & 0o777
    }

    #[test]
    fn what_cannot_be_written_is_an_error_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("kept"), "a file where the folder should be").unwrap();
        let result = evidence(folder.path()).write(note("board", "empty"), &body(""), day(1, 1));
        assert!(result.is_err());
    }
}
