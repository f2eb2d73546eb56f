//! A-22 over the whole suite: every service that a test starts carries the secrets of `tests/canaries` and logs at trace
//! level, and whatever comes out of it is searched for them: logs of this process and of programs, pages and documents,
//! metrics, every file in a test's folder. What is found goes to `target/a22/leaks`, on which tests/run fails; the logs
//! themselves are kept beside it, up to a size, so that somebody can see that they were searched.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    ops::Deref,
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex, Once},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// In every canary.
const MARK: &str = "a22canary";
/// So much of a log is kept; all of it is searched.
const KEPT: u64 = 32 << 20;

/// Plain, and in base64 wherever its first byte falls into a group of three.
static FORMS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let in_base64 = |before: usize| {
        let text = format!("{}{MARK}", "\0".repeat(before));
        // Of the characters that the neighbours have a part in, none.
        let skipped = (before * 4).div_ceil(3);
        let whole = (text.len() * 8 / 6) - skipped;
        STANDARD.encode(text).chars().skip(skipped).take(whole).collect::<String>()
    };
    [MARK.to_owned(), MARK.to_uppercase()].into_iter().chain((0..3).map(in_base64)).collect()
});

static FINDERS: LazyLock<Vec<memchr::memmem::Finder<'static>>> =
    LazyLock::new(|| FORMS.iter().map(|form| memchr::memmem::Finder::new(form).into_owned()).collect());

/// Of the secrets: those that change nothing but what is sent to a source.
pub fn environment() -> impl Iterator<Item = (&'static str, &'static str)> {
    let everywhere = include_str!("../canaries").split("\n# replay").next().unwrap_or_default();
    everywhere.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='))
}

/// `target/a22`
fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("a22");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Whether there is a secret in it, in any form.
fn leak(bytes: &[u8]) -> Option<usize> {
    FINDERS.iter().find_map(|finder| finder.find(bytes))
}

/// Searches an output. A find is written down and told, and tests/run fails on it.
pub fn search(what: &str, bytes: &[u8]) {
    if let Some(at) = leak(bytes) {
        let around = &bytes[at.saturating_sub(200)..bytes.len().min(at + 80)];
        let line = format!("{what}: {}\n", String::from_utf8_lossy(around).escape_debug());
        eprintln!("a22: a secret is shown by {line}");
        let file = OpenOptions::new().create(true).append(true).open(folder().join("leaks"));
        file.unwrap().write_all(line.as_bytes()).unwrap();
    }
}

/// A log that is searched as it is written, and kept up to a size.
struct Log {
    name: &'static str,
    file: File,
    size: u64,
}

impl Log {
    fn of(name: &'static str) -> Mutex<Self> {
        let file = File::create(folder().join(format!("{name}-{}.log", std::process::id()))).unwrap();
        Mutex::new(Self { name, file, size: 0 })
    }

    fn hear(&mut self, bytes: &[u8]) {
        search(self.name, bytes);
        if self.size < KEPT {
            self.size += bytes.len() as u64;
            self.file.write_all(bytes).unwrap();
        }
    }
}

/// What a program said, a line or more of it.
pub fn said(bytes: &[u8]) {
    static PROGRAMS: LazyLock<Mutex<Log>> = LazyLock::new(|| Log::of("programs"));
    PROGRAMS.lock().unwrap_or_else(std::sync::PoisonError::into_inner).hear(bytes);
}

/// From now on everything that is logged in this process is searched.
pub fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let log = Log::of("tests");
        // A subscriber that is there already would leave this one deaf, and tests/run looks whether it heard anything.
        let _ = tracing_subscriber::fmt()
            .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
            .with_ansi(false)
            .with_writer(Heard(std::sync::Arc::new(log)))
            .try_init();
    });
}

#[derive(Clone)]
struct Heard(std::sync::Arc<Mutex<Log>>);

impl Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).hear(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> tracing_subscriber::fmt::MakeWriter<'a> for Heard {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// A test's folder; before it goes, every file in it is searched: the store and its log, backups, evidence.
pub struct Folder(tempfile::TempDir);

/// A folder of a test's own.
pub fn tempdir() -> io::Result<Folder> {
    tempfile::tempdir().map(Folder)
}

impl Deref for Folder {
    type Target = tempfile::TempDir;

    fn deref(&self) -> &tempfile::TempDir {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let mut open = vec![self.0.path().to_owned()];
        while let Some(folder) = open.pop() {
            // What a test took its rights from, or removed itself, cannot be read and need not be.
            let Ok(entries) = std::fs::read_dir(&folder) else { continue };
            for entry in entries.filter_map(Result::ok) {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => open.push(entry.path()),
                    Ok(kind) if kind.is_file() => {
                        if let Ok(bytes) = std::fs::read(entry.path()) {
                            search(&entry.path().display().to_string(), &bytes);
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

#[test]
fn a22_a_canary_is_found_in_every_form_and_every_secret_of_the_suite_is_one() {
    for (before, after) in [("", ""), ("x", "yz"), ("xy", "z")] {
        let text = format!("{before}{MARK}{after}");
        for shown in [text.clone(), text.to_uppercase(), STANDARD.encode(&text)] {
            assert!(leak(format!("… {shown} …").as_bytes()).is_some(), "{shown}");
        }
    }
    assert!(leak(b"what else there is: A22, canaries, YTIy").is_none());
    let canaries: Vec<_> = environment().collect();
    assert!(canaries.len() >= 6);
    let replays = include_str!("../canaries").split("\n# replay").nth(1).unwrap();
    let all = canaries.iter().copied().chain(replays.lines().filter_map(|line| line.split_once('=')));
    let config = banggia::config::assemble(
        None,
        &all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect::<Vec<_>>(),
        &banggia::config::Overrides::default(),
    )
    .unwrap();
    assert!(
        leak(format!("{config:?}").as_bytes()).is_none(),
        "a debug print of the configuration shows a secret"
    );
    for (name, value) in canaries {
        assert!(leak(value.as_bytes()).is_some(), "{name} would not be found");
        let known = config.sensitive().iter().any(|word| value.ends_with(word));
        assert!(known, "{name} is no secret to the service, so nothing would hide it");
    }
}
