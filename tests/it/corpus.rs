//! The corpus of the fuzz targets (`tests/fuzz`), without their engine: what once found new code, or a defect, is
//! read by every test run.

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use crate::{fixtures, targets};

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn everything_that_the_fuzzer_found_is_survived() {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    let (mut read, mut bytes, mut failed) = (0, 0, Vec::new());
    let mut run = |target: &targets::Target, name: &str, input: &[u8]| {
        (read, bytes) = (read + 1, bytes + input.len());
        if catch_unwind(AssertUnwindSafe(|| target.run(input))).is_err() {
            failed.push(format!("{}: {name}", target.name));
        }
    };
    let all = targets::all();
    for target in &all {
        let inputs = files(&corpus.join(&target.name));
        assert!(!inputs.is_empty(), "{} has no corpus", target.name);
        for path in inputs {
            run(target, &path.display().to_string(), &std::fs::read(&path).unwrap());
        }
        // The recordings and fixtures belong to it too, and are not copied.
        for recording in providers::replay::RECORDINGS {
            if target.name == format!("{}.{}", recording.feed, recording.source) {
                run(target, recording.feed, recording.bytes);
            }
        }
        for (path, feed, source) in fixtures::files() {
            if target.name == format!("{}.{}", feed.id, source.id) {
                run(target, &path.display().to_string(), &std::fs::read(&path).unwrap());
            }
        }
    }
    println!("{read} inputs of {} targets, {bytes} bytes", all.len());
    assert!(failed.is_empty(), "{failed:#?}");
    let names: BTreeSet<String> = all.into_iter().map(|target| target.name).collect();
    for folder in files(&corpus) {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        assert!(names.contains(&name), "{name} is the corpus of nothing");
    }
}
