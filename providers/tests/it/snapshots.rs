//! Every fixture, read and written out, for a reviewer's eye.

use crate::support::{case, files, fixtures, owner, written};

#[test]
fn every_fixture_is_read_as_reviewed() {
    let mut seen = 0;
    for path in files(&fixtures()) {
        let place = path.strip_prefix(fixtures()).unwrap().to_str().unwrap().to_owned();
        if place.starts_with("replay/") || place.starts_with("failure/") {
            continue;
        }
        let Some((feed, source)) = owner(&path) else {
            assert_eq!(place, "README.md");
            continue;
        };
        let mut case = case(&feed, &source);
        if source == "cafef" {
            case.last_modified = Some("2026-07-16".parse().unwrap());
        }
        if place.contains(".boards") {
            case = case.step("boards");
        }
        insta::assert_snapshot!(
            place.replace('/', "-"),
            written(&case.parse(&std::fs::read(&path).unwrap()))
        );
        seen += 1;
    }
    assert!(seen > 40, "{seen} fixtures");
}

#[test]
fn every_fixture_is_listed_in_the_readme() {
    let readme = std::fs::read_to_string(fixtures().join("README.md")).unwrap();
    for path in files(&fixtures()) {
        let place = path.strip_prefix(fixtures()).unwrap().to_str().unwrap();
        assert!(
            place == "README.md" || readme.contains(&format!("`{place}`")),
            "{place} is not in fixtures/README.md"
        );
    }
}
