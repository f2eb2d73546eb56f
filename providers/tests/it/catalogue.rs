//! The descriptions: addresses, identities, and what is asked.

use std::collections::BTreeSet;

use providers::{INSTITUTIONS, Kind, Method, Secrets};

use crate::support::case;

#[test]
fn every_feed_and_source_is_well_described() {
    let mut ids = BTreeSet::new();
    for (institution, feed) in providers::feeds() {
        assert_eq!(feed.id, format!("{}.{}", institution.id, feed.kind.as_str()));
        assert!(ids.insert(feed.id), "{}", feed.id);
        assert!(feed.page.parse::<url::Url>().unwrap().scheme() == "https");
        assert_eq!(feed.schedule.split(' ').count(), 5, "{}", feed.id);
        let mut sources = BTreeSet::new();
        for source in feed.sources {
            assert!(sources.insert(source.id), "{}", source.id);
            let base = source.base().unwrap();
            assert!(base.scheme() == "https" || (source.id == "xml" && institution.id == "doji"), "{base}");
            assert!(source.secret.is_none_or(|name| Secrets::NAMES.contains(&name)), "{}", source.id);
        }
    }
    assert_eq!(
        ids.into_iter().collect::<Vec<_>>(),
        ["bidv.deposit", "bidv.fx", "doji.gold", "ocb.deposit", "tpbank.gold", "vietcombank.fx"]
    );
    assert_eq!(
        INSTITUTIONS.iter().map(|i| i.label).collect::<Vec<_>>(),
        ["Doji", "TienPhongBank", "BIDV", "Vietcombank", "OCB"]
    );
    assert!(providers::feed("doji.gold").is_some_and(|(_, feed)| feed.kind == Kind::Gold));
    assert!(providers::feed("doji.silver").is_none());
}

#[test]
fn only_the_widget_of_ocb_is_partial_and_only_stand_ins_have_a_via() {
    for (_, feed) in providers::feeds() {
        for source in feed.sources {
            assert_eq!(source.whole, source.id != "widget", "{} {}", feed.id, source.id);
            assert_eq!(source.via.is_some(), ["vangtoday", "cafef"].contains(&source.id), "{}", source.id);
            let interval = (feed.id == "vietcombank.fx" && source.id == "xml").then_some(300);
            assert_eq!(source.min_interval, interval, "{} {}", feed.id, source.id);
        }
    }
}

#[test]
fn every_source_is_asked_under_its_base_with_the_operators_query_kept() {
    for (_, feed) in providers::feeds() {
        for source in feed.sources {
            let base = "http://127.0.0.1:8901/mirror/file?tenant=7";
            let asked = case(feed.id, source.id).base(base).requests();
            assert!(!asked.is_empty());
            for request in &asked {
                assert!(request.url.as_str().starts_with("http://127.0.0.1:8901/mirror/"), "{}", request.url);
                assert!(request.url.query().unwrap().starts_with("tenant=7"), "{}", request.url);
                assert!(request.method == Method::Post || request.form.is_empty());
            }
            assert!(asked.first().unwrap().url.path() == "/mirror/file", "{}", feed.id);
        }
    }
}

#[test]
fn secrets_are_never_printed() {
    let secrets = Secrets::new([
        ("doji_api_key".to_owned(), "canary".to_owned()),
        ("doji_board_key".to_owned(), String::new()),
    ]);
    assert_eq!(format!("{secrets:?}"), "[\"doji_api_key\"]");
    assert_eq!((secrets.get("doji_api_key"), secrets.get("doji_board_key")), (Some("canary"), None));
}
