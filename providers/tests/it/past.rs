//! Days that have passed: what is asked, and of which day an answer is.

use jiff::civil::Weekday;
use providers::{AsOf, Method};

use crate::support::{case, fixture};

const END: &str = "2024-12-10T23:59:59+07:00";

#[test]
fn only_the_sources_that_offer_past_days_are_asked_for_them() {
    let offering: Vec<String> = providers::feeds()
        .flat_map(|(_, feed)| feed.sources.iter().map(move |source| (feed, source)))
        .filter(|(_, source)| source.past.is_some())
        .map(|(feed, source)| format!("{}.{}", feed.id, source.id))
        .collect();
    assert_eq!(offering, ["tpbank.gold.chart", "bidv.fx.board", "vietcombank.fx.json"]);
}

#[test]
fn vietcombank_is_asked_by_its_date_and_a_past_board_is_of_the_day_that_it_states() {
    let past = case("vietcombank.fx", "json").at(END).past().unwrap();
    assert_eq!((past.step, past.method), ("past", Method::Get));
    assert_eq!(past.url.query(), Some("date=2024-12-10"));
    let evening = fixture("vietcombank/fx.json-evening.2026-08-20.json");
    let at = |step, now: &str| case("vietcombank.fx", "json").step(step).at(now).sheet(&evening).as_of;
    let day = AsOf::On("2026-08-20".parse().unwrap());
    assert_eq!(at("past", "2026-08-20T23:59:59+07:00"), day, "eleven at night is made up, the day is not");
    assert_eq!(at("past", "2026-08-19T23:59:59+07:00"), day, "and shows that it is another day's");
    assert_eq!(at("json", "2026-08-20T23:59:59+07:00"), AsOf::Unstated, "asked for today it says nothing");
    let captured = fixture("vietcombank/fx.json.2025-12-09.json");
    let board = case("vietcombank.fx", "json").step("past").at("2025-12-09T23:59:59+07:00");
    assert_eq!(board.sheet(&captured).as_of, AsOf::At("2025-12-09T08:16:30+07:00".parse().unwrap()));
}

#[test]
fn bidv_is_asked_for_the_list_of_the_day_and_a_day_without_one_is_not_answered_with_the_newest_board() {
    let board = case("bidv.fx", "board").at(END);
    let past = board.past().unwrap();
    assert_eq!(
        (past.step, past.method, past.form.as_str()),
        ("past-boards", Method::Post, "date=10%2F12%2F2024")
    );
    let next = board.clone().step("past-boards").follow(&fixture("bidv/fx.boards.2024-12-10.json"));
    assert_eq!((next.step, next.form.as_str()), ("board", "date=10%2F12%2F2024&time=r10"));
    for name in ["bidv/fx.boards-empty.2024-12-08.json", "bidv/fx.boards-none.2024-12-08.json"] {
        assert_eq!(board.clone().step("past-boards").error(&fixture(name)).code(), "no_data", "{name}");
    }
}

#[test]
fn tpbank_is_asked_for_the_ten_days_up_to_the_day() {
    let past = case("tpbank.gold", "chart").at("2024-05-24T23:59:59+07:00").past().unwrap();
    assert_eq!(past.url.query(), Some("from_date=05%2F14%2F2024&to_date=05%2F24%2F2024"));
}

#[test]
fn no_source_rests_on_a_day_of_which_a_capture_has_a_board() {
    // The chart of May 2024 has 18 May, a Saturday.
    let rests = |feed: &str, source: &str| case(feed, source).definition().past.unwrap().rests;
    assert!(!rests("tpbank.gold", "chart").contains(&Weekday::Saturday));
    for (feed, source) in [("tpbank.gold", "chart"), ("bidv.fx", "board"), ("vietcombank.fx", "json")] {
        assert!(rests(feed, source).iter().all(|day| matches!(day, Weekday::Saturday | Weekday::Sunday)));
    }
}
