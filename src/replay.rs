//! Recorded answers in place of the network. First fetches get the first recording, each refresh the next one,
//! and the last one stays. The clock is never behind the recording that is played.

use std::{collections::BTreeMap, path::Path};

use jiff::{Timestamp, civil::DateTime};
use providers::{Request, VIETNAM};

use crate::{
    clock::Clock,
    fetch::{Body, Outcome, Target},
};

/// What was recorded, by feed and source.
pub struct Replay {
    clock: Clock,
    /// `feed.source` -> instant -> step ("" where a source has one step) -> answer
    tapes: BTreeMap<String, BTreeMap<Timestamp, BTreeMap<String, Answer>>>,
}

#[derive(Clone)]
struct Answer {
    bytes: Vec<u8>,
    last_modified: Option<jiff::civil::Date>,
}

/// A folder that holds no usable recordings.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The folder or a file cannot be read.
    #[error("{0} cannot be read: {1}")]
    Read(String, std::io::Error),
    /// A file that is not named like a recording.
    #[error("{0} is not named like a recording: <provider>/<kind>.<source>.<2026-09-30T1005>[.<step>].<ext>")]
    Name(String),
    /// A feed or source that does not exist.
    #[error("{0} belongs to no source; `banggia feeds` lists them")]
    Source(String),
    /// Nothing at all.
    #[error("{0} holds no recordings")]
    Empty(String),
}

impl Replay {
    /// The recordings that come with the program.
    ///
    /// # Errors
    /// When they are not well named, which a test rules out.
    pub fn built_in() -> Result<Self, ReplayError> {
        let mut tapes = BTreeMap::new();
        for recording in providers::replay::RECORDINGS {
            let name = format!("{}.{}.{}", recording.feed, recording.source, recording.at);
            let answer = Answer {
                bytes: recording.bytes.to_vec(),
                last_modified: recording.last_modified.and_then(|day| day.parse().ok()),
            };
            insert(&mut tapes, recording.feed, recording.source, recording.at, recording.step, answer)
                .ok_or(ReplayError::Name(name))?;
        }
        Self::of(tapes, "the program")
    }

    /// Recordings of a folder, named as the built-in ones.
    ///
    /// # Errors
    /// [`ReplayError`]
    pub fn from_folder(folder: &Path) -> Result<Self, ReplayError> {
        let shown = |path: &Path| path.display().to_string();
        let entries = |path: &Path| -> Result<Vec<std::path::PathBuf>, ReplayError> {
            let read = |error| ReplayError::Read(shown(path), error);
            let mut paths = std::fs::read_dir(path)
                .map_err(read)?
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<Result<Vec<_>, _>>()
                .map_err(read)?;
            paths.sort();
            Ok(paths)
        };
        let mut tapes = BTreeMap::new();
        for provider in entries(folder)?.into_iter().filter(|path| path.is_dir()) {
            let name = provider.file_name().unwrap_or_default().to_string_lossy().into_owned();
            for file in entries(&provider)?.into_iter().filter(|path| path.is_file()) {
                let parts: Vec<String> = file
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .split('.')
                    .map(str::to_owned)
                    .collect();
                let (kind, source, at, step) = match parts.as_slice() {
                    [kind, source, at, _] => (kind, source, at, None),
                    [kind, source, at, step, _] => (kind, source, at, Some(step.as_str())),
                    _ => return Err(ReplayError::Name(shown(&file))),
                };
                let feed = format!("{name}.{kind}");
                if !providers::feed(&feed)
                    .is_some_and(|(_, feed)| feed.sources.iter().any(|known| known.id == source))
                {
                    return Err(ReplayError::Source(shown(&file)));
                }
                let bytes = std::fs::read(&file).map_err(|error| ReplayError::Read(shown(&file), error))?;
                insert(&mut tapes, &feed, source, at, step, Answer { bytes, last_modified: None })
                    .ok_or_else(|| ReplayError::Name(shown(&file)))?;
            }
        }
        Self::of(tapes, &shown(folder))
    }

    fn of(
        tapes: BTreeMap<String, BTreeMap<Timestamp, BTreeMap<String, Answer>>>,
        place: &str,
    ) -> Result<Self, ReplayError> {
        let start = tapes
            .values()
            .filter_map(|tape| tape.keys().next().copied())
            .min()
            .ok_or_else(|| ReplayError::Empty(place.to_owned()))?;
        Ok(Self { clock: Clock::starting_at(start), tapes })
    }

    /// Starts at the first recording's instant and runs on.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// What the source answered then.
    ///
    /// # Errors
    /// [`Outcome::NotRecorded`]
    pub fn answer(&self, target: Target<'_>, request: &Request) -> Result<Body, Outcome> {
        let name = format!("{}.{}", target.feed, target.source);
        let missing = || Outcome::NotRecorded(format!("{name} ({})", request.step));
        let tape = self.tapes.get(&name).ok_or_else(missing)?;
        let (at, steps) =
            tape.iter().nth(target.run.min(tape.len().saturating_sub(1))).ok_or_else(missing)?;
        let answer = steps.get(request.step).or_else(|| steps.get("")).ok_or_else(missing)?;
        self.clock.advance_to(*at);
        Ok(Body { bytes: answer.bytes.clone(), last_modified: answer.last_modified, ..Body::default() })
    }
}

fn insert(
    tapes: &mut BTreeMap<String, BTreeMap<Timestamp, BTreeMap<String, Answer>>>,
    feed: &str,
    source: &str,
    at: &str,
    step: Option<&str>,
    answer: Answer,
) -> Option<()> {
    let at = VIETNAM.to_timestamp(DateTime::strptime("%Y-%m-%dT%H%M", at).ok()?).ok()?;
    tapes
        .entry(format!("{feed}.{source}"))
        .or_default()
        .entry(at)
        .or_default()
        .insert(step.unwrap_or_default().to_owned(), answer);
    Some(())
}
