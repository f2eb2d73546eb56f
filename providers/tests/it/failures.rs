//! What comes instead of an answer, at every source.

use crate::support::{Case, case, files, fixture, fixtures};

fn sources() -> Vec<Case> {
    providers::feeds()
        .flat_map(|(_, feed)| feed.sources.iter().map(|source| case(feed.id, source.id)))
        .collect()
}

#[test]
fn f12_nothing_and_blanks_are_empty_at_every_source() {
    for source in sources() {
        for name in ["failure/empty.txt", "failure/blank.txt"] {
            assert_eq!(source.error(&fixture(name)).code(), "empty", "{} {}", source.feed, source.source);
        }
    }
}

#[test]
fn f11_firewalls_and_challenges_with_status_200_are_blocked_at_every_source() {
    for source in sources() {
        for name in
            ["request-rejected", "incapsula", "cloudflare", "captcha", "akamai", "loopback", "cookie-script"]
        {
            let error = source.error(&fixture(&format!("failure/{name}.html")));
            assert_eq!(error.code(), "blocked", "{} {} {name}: {error}", source.feed, source.source);
        }
    }
}

#[test]
fn f12_error_and_maintenance_pages_are_named_by_their_title_at_every_source() {
    for source in sources() {
        for (name, title) in [("502", "502 Bad Gateway"), ("maintenance", "Bảo trì hệ thống")] {
            let error = source.error(&fixture(&format!("failure/{name}.html")));
            assert_eq!(error.code(), "not_expected_content", "{} {} {name}", source.feed, source.source);
            assert!(
                error.to_string().ends_with(&format!("found an HTML page titled \"{title}\"")),
                "{error}"
            );
        }
    }
}

#[test]
fn the_message_says_what_was_expected_and_what_was_found() {
    let error = case("tpbank.gold", "chart").error(&fixture("failure/502.html"));
    assert_eq!(error.to_string(), "expected JSON, found an HTML page titled \"502 Bad Gateway\"");
}

#[test]
fn soft_404_pages_are_known_at_every_source() {
    for source in sources() {
        for name in ["failure/not-found.html", "ocb/deposit.soft-404.2026-09-12.html"] {
            assert_eq!(
                source.error(&fixture(name)).code(),
                "soft_404",
                "{} {} {name}",
                source.feed,
                source.source
            );
        }
    }
}

#[test]
fn f12_no_failure_is_a_sheet_at_any_source() {
    for path in files(&fixtures().join("failure")) {
        let bytes = std::fs::read(&path).unwrap();
        for source in sources() {
            let error = source.error(&bytes);
            assert!(error.to_string().len() < 500, "{error}");
        }
    }
}

#[test]
fn answers_of_one_source_are_refused_by_every_other() {
    for path in files(&fixtures()) {
        let Some((feed, own)) = crate::support::owner(&path) else { continue };
        let bytes = std::fs::read(&path).unwrap();
        for source in sources() {
            if (source.feed.as_str(), source.source.as_str()) != (feed.as_str(), own.as_str()) {
                assert!(
                    source.parse(&bytes).is_err(),
                    "{} is read by {} {}",
                    path.display(),
                    source.feed,
                    source.source
                );
            }
        }
    }
}

#[test]
fn f19_other_charsets_are_decoded_or_refused() {
    let text = String::from_utf8(fixture("vietcombank/fx.json.2025-12-09.json")).unwrap();
    let source = case("vietcombank.fx", "json");
    let wanted = source.sheet(text.as_bytes());
    for mark in [Some(0xfeff), None] {
        let wide: Vec<u8> = mark.into_iter().chain(text.encode_utf16()).flat_map(u16::to_be_bytes).collect();
        assert_eq!(source.sheet(&wide), wanted);
    }
    let mut declared = source.clone();
    declared.charset = Some("windows-1258");
    assert_eq!(declared.sheet(text.as_bytes()).quotes.len(), 20);
    assert_eq!(source.error(b"{\"Count\":1,\"Data\":[{\"currencyName\":\"\xe0\xff\"}]}").code(), "encoding");
}

#[test]
fn f15_gzip_sent_unasked_is_opened_and_a_bomb_is_not() {
    use std::io::Write as _;
    let zip = |bytes: &[u8]| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    };
    let source = case("tpbank.gold", "chart");
    let plain = fixture("tpbank/gold.chart.2024-05-24.json");
    assert_eq!(source.sheet(&zip(&plain)), source.sheet(&plain));
    assert_eq!(source.error(&zip(&vec![b'['; 9 << 20])).code(), "encoding");
}
