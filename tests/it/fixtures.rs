//! The project's own fixtures, through parser and judge.

use std::path::PathBuf;

use providers::{Feed, Source};

/// Fixtures named `<provider>/<kind>.<source>.<date>.<ext>`, with the source that they are of.
pub fn files() -> Vec<(PathBuf, &'static Feed, &'static Source)> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("providers/fixtures");
    let mut files = Vec::new();
    for (institution, feed) in providers::feeds() {
        let Ok(folder) = std::fs::read_dir(root.join(institution.id)) else { continue };
        for entry in folder {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let mut parts = name.split('.');
            if parts.next() != Some(feed.kind.as_str()) {
                continue;
            }
            // `board-map` is a `board` with something odd about it.
            let id = parts.next().and_then(|name| name.split('-').next()).unwrap_or_default().to_owned();
            if let Some(source) = feed.sources.iter().find(|source| source.id == id) {
                files.push((path, feed, source));
            }
        }
    }
    files.sort_by(|a, b| a.0.cmp(&b.0));
    files
}

#[test]
fn every_source_has_a_fixture() {
    let files = files();
    for (_, feed) in providers::feeds() {
        for source in feed.sources {
            assert!(
                files.iter().any(|(_, known, of)| known.id == feed.id && of.id == source.id),
                "{}.{} has no fixture",
                feed.id,
                source.id
            );
        }
    }
}
