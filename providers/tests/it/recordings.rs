//! The built-in recordings: all six feeds, one coherent pair of days.

use std::collections::BTreeSet;

use jiff::{Timestamp, civil::DateTime};
use providers::{AsOf, Parsed, VIETNAM, replay::RECORDINGS};
use rust_decimal::dec;

use crate::support::{case, fx, gold, rate, written};

fn instant(at: &str) -> Timestamp {
    let (day, time) = at.split_once('T').unwrap();
    let (hour, minute) = time.split_at(2);
    VIETNAM.to_timestamp(format!("{day}T{hour}:{minute}:00").parse::<DateTime>().unwrap()).unwrap()
}

#[test]
fn every_recording_is_read_as_reviewed_and_none_is_from_its_future() {
    for recording in RECORDINGS {
        let mut case = case(recording.feed, recording.source).at(&instant(recording.at).to_string());
        case.step = recording.step;
        case.last_modified = recording.last_modified.map(|day| day.parse().unwrap());
        let parsed = case.parse(recording.bytes);
        let name = format!(
            "replay-{}.{}.{}.{}",
            recording.feed,
            recording.source,
            recording.at,
            recording.step.unwrap_or("only")
        );
        insta::assert_snapshot!(name.clone(), written(&parsed));
        if let Ok(Parsed::Sheet(sheet)) = parsed {
            assert_eq!(sheet.refused, [], "{name}");
            match sheet.as_of {
                AsOf::At(time) => assert!(time <= case.now, "{name}"),
                AsOf::On(day) => assert!(day <= VIETNAM.to_datetime(case.now).date(), "{name}"),
                AsOf::Unstated => {}
            }
        } else {
            assert!(recording.source == "table" || recording.step == Some("boards"), "{name}: {parsed:?}");
        }
    }
}

#[test]
fn all_six_feeds_are_recorded_at_two_times() {
    let feeds: BTreeSet<&str> = RECORDINGS.iter().map(|recording| recording.feed).collect();
    assert_eq!(feeds, providers::feeds().map(|(_, feed)| feed.id).collect());
    for feed in feeds {
        let times: BTreeSet<&str> = RECORDINGS
            .iter()
            .filter(|recording| recording.feed == feed)
            .map(|recording| recording.at)
            .collect();
        assert_eq!(times.into_iter().collect::<Vec<_>>(), ["2026-09-29T1530", "2026-09-30T1005"], "{feed}");
    }
}

#[test]
fn recordings_are_the_files_of_their_name() {
    for recording in RECORDINGS {
        let (provider, kind) = recording.feed.split_once('.').unwrap();
        let step = recording.step.map_or_else(String::new, |step| format!(".{step}"));
        let stem = format!("{kind}.{}.{}{step}.", recording.source, recording.at);
        let folder = crate::support::fixtures().join("replay").join(provider);
        let file = crate::support::files(&folder)
            .into_iter()
            .find(|path| path.file_name().unwrap().to_str().unwrap().starts_with(&stem))
            .unwrap_or_else(|| panic!("no {stem}"));
        assert_eq!(std::fs::read(file).unwrap(), recording.bytes, "{stem}");
    }
    assert_eq!(crate::support::files(&crate::support::fixtures().join("replay")).len(), RECORDINGS.len());
}

#[test]
fn the_second_recording_shows_the_figures_of_the_panel() {
    let sheet = |feed: &str, source: &str| {
        let recording = RECORDINGS
            .iter()
            .find(|r| {
                r.feed == feed && r.source == source && r.at == "2026-09-30T1005" && r.step != Some("boards")
            })
            .unwrap();
        case(feed, source).sheet(recording.bytes)
    };
    let doji = sheet("doji.gold", "vangtoday");
    assert_eq!(gold(&doji, "sjc-bar.hanoi"), (Some(dec!(139500000)), Some(dec!(142500000))));
    let tpbank = sheet("tpbank.gold", "chart");
    assert_eq!(gold(&tpbank, "bar"), (Some(dec!(139200000)), Some(dec!(142300000))));
    let bidv = sheet("bidv.fx", "board");
    assert_eq!(bidv.quotes.len(), 23);
    for (code, buy, sell) in [
        ("USD", dec!(25880), dec!(26260)),
        ("EUR", dec!(29915), dec!(31178)),
        ("JPY", dec!(157.6), dec!(168.4)),
        ("CNY", dec!(3762), dec!(3884)),
        ("KRW", dec!(16.35), dec!(19.12)),
        ("THB", dec!(745.2), dec!(838.6)),
    ] {
        let [cash, transfer, sold] = fx(&bidv, code);
        assert_eq!((transfer.or(cash), sold), (Some(buy), Some(sell)), "{code}");
    }
    let deposit = sheet("bidv.deposit", "rates");
    assert_eq!((rate(&deposit, "counter.P1M"), rate(&deposit, "counter.P36M")), (dec!(2.1), dec!(6)));
    let ocb = sheet("ocb.deposit", "widget");
    assert_eq!(rate(&ocb, "counter.P12M"), dec!(6.7));
    assert_eq!(rate(&sheet("ocb.deposit", "cafef"), "unknown.P24M"), dec!(6.8));
}
