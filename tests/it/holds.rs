//! What is held back, what releases it, and what time does to a board, by a clock in the test's hand.

use std::collections::BTreeMap;

use banggia::{board::Status, fetch::Outcome, refresh::RunEnd};
use rust_decimal::{Decimal, dec};
use serde_json::{Value, json};

use crate::{
    damage::{moved, prices, replaced, times},
    world::{Simulation, at, board_step, sheet, tape},
};

const DAY: &str = "2026-09-30T09:00:00+07:00";

/// The recorded answers of a source with one change of their text.
fn changed(
    feed: &str,
    source: &str,
    nth: usize,
    change: impl Fn(String) -> String,
) -> BTreeMap<String, Vec<u8>> {
    let mut tape = tape(feed, source, nth);
    let step = board_step(&tape);
    let text = String::from_utf8(tape.remove(&step).unwrap()).unwrap();
    tape.insert(step, change(text).into_bytes());
    tape
}

/// All prices of a source times a factor, on the wire.
pub fn scaled(feed: &str, source: &str, factor: Decimal) -> BTreeMap<String, Vec<u8>> {
    let mut tape = tape(feed, source, 0);
    let step = board_step(&tape);
    let adapter = providers::feed(feed).unwrap().1.sources.iter().find(|known| known.id == source).unwrap();
    let read = sheet(adapter, &tape[&step], at(DAY)).unwrap();
    let bytes = moved(&tape[&step], &read, factor);
    tape.insert(step, bytes);
    tape
}

fn with_date(tape: BTreeMap<String, Vec<u8>>, from: &str, to: &str) -> BTreeMap<String, Vec<u8>> {
    tape.into_iter()
        .map(|(step, bytes)| (step, String::from_utf8(bytes).unwrap().replace(from, to).into_bytes()))
        .collect()
}

async fn all_once(house: &Simulation) {
    for (_, feed) in providers::feeds() {
        house.refresh(feed.id).await;
    }
}

async fn quote(house: &Simulation, document: &str, id: &str) -> Value {
    let document = house.json(document).await;
    let quotes = document["quotes"].as_array().unwrap();
    quotes.iter().find(|quote| quote["id"] == id).unwrap_or_else(|| panic!("no {id}")).clone()
}

async fn detail(house: &Simulation, id: &str) -> Value {
    let document = house.json("/v1/feeds").await;
    document["feeds"].as_array().unwrap().iter().find(|feed| feed["id"] == id).unwrap().clone()
}

/// Minutes later: the clock moves, the feed is asked.
async fn poll(house: &Simulation, feed: &str, minutes: i64) -> RunEnd {
    let later = house.clock.now().saturating_add(jiff::SignedDuration::from_mins(minutes)).unwrap();
    house.move_to(later).await;
    house.refresh(feed).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f24_a_plausible_jump_is_held_and_released_by_three_equal_readings_over_a_quarter_of_an_hour() {
    let house = Simulation::at(DAY, "").await;
    all_once(&house).await;
    let before = quote(&house, "/v1/gold", "tpbank.gold.bar").await;
    house.world.says("tpbank.gold", "chart", scaled("tpbank.gold", "chart", dec!(0.93)));

    assert_eq!(poll(&house, "tpbank.gold", 1).await, RunEnd::Good);
    let (began, now) = (house.clock.now(), quote(&house, "/v1/gold", "tpbank.gold.bar").await);
    assert_eq!(now, before, "the last good value stays, with its own times");
    let feed = detail(&house, "tpbank.gold").await;
    let held = &feed["held"][0];
    assert_eq!(held["quote"], "tpbank.gold.bar");
    assert_eq!(held["serving"]["sell"], before["sell"]);
    let candidate: Decimal = held["candidate"]["sell"].as_str().unwrap().parse().unwrap();
    let serving: Decimal = before["sell"].as_str().unwrap().parse().unwrap();
    assert!((candidate / serving - dec!(0.93)).abs() < dec!(0.001), "{candidate} {serving}");
    assert_eq!(held["reasons"][0]["code"], "jump");
    assert_eq!(held["since"], "2026-09-30T09:01:00+07:00");
    assert_eq!(feed["reason"]["code"], "held");
    assert_eq!(feed["sources"][0]["last_outcome"], "held");
    assert_eq!(
        feed["next_refresh_at"], "2026-09-30T09:06:00+07:00",
        "a held feed is asked every five minutes besides its schedule"
    );
    assert!(house.text("/widgets/gold").await.contains("chờ kiểm tra"), "and the widget says so");

    // Two readings more, but not yet a quarter of an hour.
    for _ in 0..2 {
        poll(&house, "tpbank.gold", 5).await;
        assert_eq!(quote(&house, "/v1/gold", "tpbank.gold.bar").await["sell"], before["sell"]);
    }
    poll(&house, "tpbank.gold", 5).await;
    let released = quote(&house, "/v1/gold", "tpbank.gold.bar").await;
    assert_eq!(released["sell"], candidate.to_string());
    assert!(house.clock.now().duration_since(began).as_mins() <= 20, "within twenty minutes");
    assert_eq!(detail(&house, "tpbank.gold").await["held"], json!([]));
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f24_a_jump_is_released_by_another_house_that_moved_the_same_way_and_by_no_other() {
    for (factor, released) in [(dec!(0.935), true), (dec!(1.02), false), (dec!(0.98), false)] {
        let house = Simulation::at(DAY, "").await;
        all_once(&house).await;
        let before = quote(&house, "/v1/gold", "tpbank.gold.bar").await["sell"].clone();
        // DOJI's step is over its own limit too and waits; as evidence it counts.
        house.world.says("doji.gold", "vangtoday", scaled("doji.gold", "vangtoday", factor));
        poll(&house, "doji.gold", 1).await;
        house.world.says("tpbank.gold", "chart", scaled("tpbank.gold", "chart", dec!(0.93)));
        poll(&house, "tpbank.gold", 1).await;
        let now = quote(&house, "/v1/gold", "tpbank.gold.bar").await["sell"].clone();
        assert_eq!(now != before, released, "{factor}: {now}");
        house.app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_returns_or_moves_on_is_not_confirmed_by_what_was_held_before() {
    let house = Simulation::at(DAY, "").await;
    all_once(&house).await;
    let before = quote(&house, "/v1/gold", "tpbank.gold.bar").await["sell"].clone();
    for factor in [dec!(0.93), dec!(0.92), dec!(0.93), dec!(0.92), dec!(0.93), dec!(0.92)] {
        house.world.says("tpbank.gold", "chart", scaled("tpbank.gold", "chart", factor));
        poll(&house, "tpbank.gold", 5).await;
        assert_eq!(quote(&house, "/v1/gold", "tpbank.gold.bar").await["sell"], before, "{factor}");
    }
    house.world.says("tpbank.gold", "chart", tape("tpbank.gold", "chart", 0));
    poll(&house, "tpbank.gold", 5).await;
    let feed = detail(&house, "tpbank.gold").await;
    assert_eq!((&feed["held"], &feed["reason"]), (&json!([]), &Value::Null));
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f23_a_slipped_unit_is_never_released_by_repetition_only_by_the_operator() {
    // Within the band: gold of ounces for lượng.
    let house = Simulation::at(DAY, "").await;
    all_once(&house).await;
    let before = quote(&house, "/v1/gold", "tpbank.gold.bar").await["sell"].clone();
    house.world.says("tpbank.gold", "chart", scaled("tpbank.gold", "chart", dec!(1.2057)));
    for _ in 0..12 {
        poll(&house, "tpbank.gold", 5).await;
        assert_eq!(quote(&house, "/v1/gold", "tpbank.gold.bar").await["sell"], before);
    }
    let held = detail(&house, "tpbank.gold").await["held"][0].clone();
    assert_eq!(held["reasons"][0]["code"], "unit_slip", "{held}");
    // A held value survives no restart of its count by a wrong word.
    assert_eq!(
        house.app.decide("tpbank.gold", "no-such", true).await,
        Some(RunEnd::Failed(vec!["not_held".to_owned()]))
    );
    house.app.decide("tpbank.gold", "bar", true).await;
    let released = quote(&house, "/v1/gold", "tpbank.gold.bar").await["sell"].clone();
    assert_eq!(released, held["candidate"]["sell"]);
    assert_eq!(detail(&house, "tpbank.gold").await["held"], json!([]));
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_the_operator_refused_stays_refused_until_the_source_says_another() {
    let house = Simulation::at(DAY, "").await;
    all_once(&house).await;
    let before = quote(&house, "/v1/gold", "tpbank.gold.bar").await["sell"].clone();
    house.world.says("tpbank.gold", "chart", scaled("tpbank.gold", "chart", dec!(0.93)));
    poll(&house, "tpbank.gold", 5).await;
    house.app.decide("tpbank.gold", "bar", false).await;
    for _ in 0..5 {
        poll(&house, "tpbank.gold", 10).await;
    }
    assert_eq!(quote(&house, "/v1/gold", "tpbank.gold.bar").await["sell"], before);
    let held = detail(&house, "tpbank.gold").await["held"][0].clone();
    assert_eq!(held["reasons"].as_array().unwrap().last().unwrap()["code"], "refused", "{held}");
    assert!(!house.text("/widgets/gold").await.contains("chờ kiểm tra"), "nothing waits any more");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_survives_a_restart_and_its_readings_count_on() {
    let folder = crate::canary::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("banggia.db").display());
    let house = Simulation::on(&store, DAY, "").await;
    house.world.says("tpbank.gold", "chart", tape("tpbank.gold", "chart", 0));
    house.refresh("tpbank.gold").await;
    house.world.says("tpbank.gold", "chart", scaled("tpbank.gold", "chart", dec!(0.93)));
    poll(&house, "tpbank.gold", 5).await;
    poll(&house, "tpbank.gold", 5).await;
    let before = detail(&house, "tpbank.gold").await["held"].clone();
    house.app.stop().await;

    let house = Simulation::on(&store, "2026-09-30T09:12:00+07:00", "").await;
    assert_eq!(detail(&house, "tpbank.gold").await["held"], before, "before anybody is asked");
    house.world.says("tpbank.gold", "chart", scaled("tpbank.gold", "chart", dec!(0.93)));
    poll(&house, "tpbank.gold", 10).await;
    let released = quote(&house, "/v1/gold", "tpbank.gold.bar").await["sell"].clone();
    assert_eq!(released, before[0]["candidate"]["sell"], "the third reading, 17 minutes after the first");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f28_the_same_row_twice_counts_once_and_two_that_differ_are_refused() {
    let house = Simulation::at(DAY, "").await;
    all_once(&house).await;
    let before = house.json("/v1/fx?providers=vietcombank").await["quotes"].clone();
    let twice = |other: bool| {
        changed("vietcombank.fx", "json", 0, |text| {
            let start = text[..text.find("\"USD\"").unwrap()].rfind('{').unwrap();
            let end = start + text[start..].find('}').unwrap() + 1;
            let row = text[start..end].to_owned();
            let again = if other {
                let figure = prices(&row, &whole("vietcombank.fx", "json"));
                replaced(&row, &figure, |_, token| times(&token.text, dec!(1.01)))
            } else {
                row.clone()
            };
            format!("{}{row},{again}{}", &text[..start], &text[end..]).replace("\"Count\":20", "\"Count\":21")
        })
    };
    house.world.says("vietcombank.fx", "json", twice(false));
    assert_eq!(poll(&house, "vietcombank.fx", 10).await, RunEnd::Good);
    let figures = |quotes: &Value| -> Vec<Value> {
        quotes.as_array().unwrap().iter().map(|quote| quote["sell"].clone()).collect()
    };
    let after = house.json("/v1/fx?providers=vietcombank").await["quotes"].clone();
    assert_eq!(figures(&after), figures(&before));
    house.world.says("vietcombank.fx", "json", twice(true));
    house.world.fails("vietcombank.fx", "xml", || Outcome::Connect("xml".to_owned()));
    poll(&house, "vietcombank.fx", 10).await;
    assert_eq!(house.json("/v1/fx?providers=vietcombank").await["quotes"], after);
    assert_eq!(detail(&house, "vietcombank.fx").await["sources"][0]["last_outcome"], "conflict");
    house.app.stop().await;
}

fn whole(feed: &str, source: &str) -> providers::Sheet {
    let tape = tape(feed, source, 0);
    let adapter = providers::feed(feed).unwrap().1.sources.iter().find(|known| known.id == source).unwrap();
    sheet(adapter, &tape[&board_step(&tape)], at(DAY)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn f30_a_currency_with_the_figures_of_another_is_held_for_the_operator() {
    let house = Simulation::at(DAY, "").await;
    all_once(&house).await;
    let before = house.json("/v1/fx?providers=vietcombank").await["quotes"].clone();
    let row = |text: &str, code: &str| -> (usize, usize) {
        let at = text.find(&format!("\"{code}\"")).unwrap();
        let start = text[..at].rfind('{').unwrap();
        (start, start + text[start..].find('}').unwrap() + 1)
    };
    // Malaysia's row gets the figures of Saudi Arabia's: near enough to pass every band.
    let copied = changed("vietcombank.fx", "json", 0, |text| {
        let (sar, myr) = (row(&text, "SAR"), row(&text, "MYR"));
        let copy = text[sar.0..sar.1].replace("\"SAR\"", "\"MYR\"");
        format!("{}{copy}{}", &text[..myr.0], &text[myr.1..])
    });
    house.world.says("vietcombank.fx", "json", copied);
    for _ in 0..6 {
        poll(&house, "vietcombank.fx", 5).await;
        let after = house.json("/v1/fx?providers=vietcombank").await["quotes"].clone();
        for (before, after) in before.as_array().unwrap().iter().zip(after.as_array().unwrap()) {
            assert_eq!((&before["sell"], &before["buy_transfer"]), (&after["sell"], &after["buy_transfer"]));
        }
    }
    let held = detail(&house, "vietcombank.fx").await["held"].clone();
    assert_eq!(held.as_array().unwrap().len(), 1, "{held}");
    assert_eq!(held[0]["quote"], "vietcombank.fx.MYR");
    assert!(held[0]["reasons"].as_array().unwrap().iter().any(|reason| reason["code"] == "copied_row"));
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f31_a_rate_upside_down_is_held_for_the_operator_or_refused() {
    let house = Simulation::at(DAY, "").await;
    all_once(&house).await;
    let before = house.json("/v1/fx?providers=bidv").await["quotes"].clone();
    let kip = before.as_array().unwrap().iter().find(|quote| quote["currency"] == "LAK").cloned();
    let inverted = changed("bidv.fx", "board", 0, |text| {
        let read = whole("bidv.fx", "board");
        let tokens = prices(&text, &read);
        // The kip, near 1, is the one that an inversion leaves in its band.
        replaced(&text, &tokens, |_, token| {
            let value: Decimal = token.text.replace(',', "").parse().unwrap();
            let upside_down = (Decimal::ONE / value).round_dp(2).to_string();
            if value < dec!(3) { upside_down } else { token.text.clone() }
        })
    });
    house.world.says("bidv.fx", "board", inverted);
    for _ in 0..6 {
        poll(&house, "bidv.fx", 5).await;
        let after = house.json("/v1/fx?providers=bidv").await["quotes"].clone();
        let now = after.as_array().unwrap().iter().find(|quote| quote["currency"] == "LAK").cloned();
        assert_eq!(
            now.as_ref().map(|quote| (&quote["buy_transfer"], &quote["sell"])),
            kip.as_ref().map(|quote| (&quote["buy_transfer"], &quote["sell"]))
        );
    }
    assert!(kip.is_some(), "the recording quotes the kip");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f32_a_frozen_feed_goes_stale_though_it_answers_and_its_missed_boards_are_counted() {
    let mut others = String::new();
    for (_, feed) in providers::feeds().filter(|(_, feed)| feed.id != "tpbank.gold") {
        others.push_str(&format!("[feeds.{}]\nenabled = false\n", feed.id));
    }
    let house = Simulation::at("2026-09-29T16:00:00+07:00", &others).await;
    house.refresh("tpbank.gold").await;
    let read = quote(&house, "/v1/gold", "tpbank.gold.bar").await;
    assert_eq!(read["as_of"], "2026-09-29");
    // The next morning the board of yesterday is what there is; a day later it is what should not be.
    house.live_until(at("2026-09-30T18:00:00+07:00"), |_, _| {}).await;
    assert_eq!(house.feed("tpbank.gold").status, Status::Fresh);
    house.live_until(at("2026-10-01T12:00:00+07:00"), |_, _| {}).await;
    let feed = detail(&house, "tpbank.gold").await;
    assert_eq!((&feed["status"], &feed["reason"]["code"]), (&json!("stale"), &json!("frozen")), "{feed:#}");
    assert_eq!(feed["missed_publishes"], 1);
    house.live_until(at("2026-10-02T18:00:00+07:00"), |_, _| {}).await;
    let feed = detail(&house, "tpbank.gold").await;
    assert_eq!(feed["missed_publishes"], 2);
    assert!(feed["missed"].as_u64().unwrap() > 20, "{feed:#}");
    assert_eq!(quote(&house, "/v1/gold", "tpbank.gold.bar").await["sell"], read["sell"]);
    // The weekend brings nothing and costs nothing; on Monday the bank publishes again.
    house.live_until(at("2026-10-05T09:00:00+07:00"), |_, _| {}).await;
    assert_eq!(
        detail(&house, "tpbank.gold").await["missed_publishes"],
        3,
        "Thursday's and Friday's, and Wednesday's"
    );
    let fresh = with_date(tape("tpbank.gold", "chart", 0), "09/29/2026", "10/05/2026");
    house.world.says("tpbank.gold", "chart", fresh);
    house.live_until(at("2026-10-05T12:00:00+07:00"), |_, _| {}).await;
    let feed = detail(&house, "tpbank.gold").await;
    assert_eq!(
        (&feed["status"], &feed["missed"], &feed["missed_publishes"]),
        (&json!("fresh"), &json!(0), &json!(0)),
        "{feed:#}"
    );
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f38_with_everybody_away_states_change_to_the_second_and_every_read_succeeds() {
    // Everything expires within a day here: every passage of every kind in fewer steps.
    let mut short = String::new();
    for (_, feed) in providers::feeds() {
        short.push_str(&format!("[feeds.{}]\nexpire_after = \"20h\"\n", feed.id));
    }
    let house = Simulation::at("2026-09-29T15:00:00+07:00", &short).await;
    all_once(&house).await;
    for (feed, source) in crate::world::recorded_sources() {
        house.world.fails(feed.id, source.id, || Outcome::Connect("nobody".to_owned()));
    }
    let mut seen: BTreeMap<(String, &str), jiff::Timestamp> = BTreeMap::new();
    let mut reads = 0;
    house
        .live_until(at("2026-10-01T12:00:00+07:00"), |house, now| {
            for feed in &house.snapshot().feeds {
                for quote in &feed.quotes {
                    reads += 1;
                    let due = quote.freshness.status(now);
                    assert_eq!(quote.status, due, "{} at {now}", feed.state.feed.id);
                    let id = quote.kept.quote.id(feed.state.feed.id);
                    seen.entry((id, quote.status.as_str())).or_insert(now);
                }
            }
        })
        .await;
    // At the very second: fresh_until and expires_at of what was read at 15:00.
    for feed in &house.snapshot().feeds {
        for quote in &feed.quotes {
            let id = quote.kept.quote.id(feed.state.feed.id);
            assert_eq!(seen.get(&(id.clone(), "stale")), Some(&quote.freshness.fresh_until), "{id}");
            assert_eq!(seen.get(&(id.clone(), "expired")), Some(&quote.freshness.expires_at), "{id}");
        }
    }
    assert!(reads > 5_000, "{reads}");
    let board = house.json("/v1/board").await;
    let all = ["gold", "fx", "deposits"]
        .iter()
        .flat_map(|kind| board[*kind]["quotes"].as_array().unwrap())
        .collect::<Vec<_>>();
    assert!(all.len() > 60 && all.iter().all(|quote| quote["status"] == "expired"));
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f22_a_clock_that_is_set_back_or_forth_neither_stops_the_feeds_nor_makes_an_age_negative() {
    let house = Simulation::at(DAY, "").await;
    all_once(&house).await;
    for (hours, status) in
        [(1, Status::Stale), (-2, Status::Fresh), (25, Status::Stale), (-48, Status::Fresh)]
    {
        let jumped = house.clock.now().saturating_add(jiff::SignedDuration::from_hours(hours)).unwrap();
        house.move_to(jumped).await;
        let feed = house.feed("tpbank.gold");
        // Whatever was read in what is now the future is no fresher than what is read now.
        assert!(hours < 0 || feed.status == status, "{hours} h: {:?}", feed.status);
        house.refresh("tpbank.gold").await;
        let feed = house.feed("tpbank.gold");
        for quote in &feed.quotes {
            assert!(quote.kept.checked_at <= house.clock.now(), "{hours} h");
        }
        let next = feed.state.next_refresh_at.unwrap();
        assert!(next > house.clock.now(), "{hours} h");
        let wait = next.duration_since(house.clock.now()).as_hours();
        assert!(wait <= 38, "{hours} h: the next run is in {wait} h");
    }
    house.app.stop().await;
}

/// From the last run before a weekend or a holiday to the first one after it the boards are fresh.
#[tokio::test(flavor = "multi_thread")]
async fn a_weekend_and_tet_turn_no_board_stale() {
    for (last, first, days) in [
        ("2026-10-02T17:55:00+07:00", "2026-10-05T07:59:00+07:00", "a weekend"),
        ("2027-02-04T17:55:00+07:00", "2027-02-12T07:59:00+07:00", "Tết 2027"),
        ("2026-12-31T17:55:00+07:00", "2027-01-04T07:59:00+07:00", "New Year 2027, a Friday"),
    ] {
        let house = Simulation::at(last, "").await;
        all_once(&house).await;
        for (feed, source) in crate::world::recorded_sources() {
            house.world.fails(feed.id, source.id, || Outcome::Connect("closed".to_owned()));
        }
        for feed in ["vietcombank.fx", "bidv.fx"] {
            assert_eq!(house.feed(feed).status, Status::Fresh, "{days}: {feed} before");
        }
        house.move_to(at(first)).await;
        for feed in ["vietcombank.fx", "bidv.fx"] {
            assert_eq!(house.feed(feed).status, Status::Fresh, "{days}: {feed} after");
        }
        house.app.stop().await;
    }
}

/// Reads over kept connections, each answer whole and 200; how many there were.
async fn read_all(address: std::net::SocketAddr, paths: &'static [&'static str], count: usize) -> usize {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut buffer = vec![0; 256 << 10];
    for nth in 0..count {
        let path = paths[nth % paths.len()];
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: br\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut filled = 0;
        let whole = loop {
            let read = stream.read(&mut buffer[filled..]).await.unwrap();
            assert!(read > 0, "{path}: closed after {nth} reads");
            filled += read;
            let Some(end) = buffer[..filled].windows(4).position(|window| window == b"\r\n\r\n") else {
                continue;
            };
            let head = std::str::from_utf8(&buffer[..end]).unwrap().to_ascii_lowercase();
            assert!(head.starts_with("http/1.1 200 "), "{path}: {head}");
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            break end + 4 + length.parse::<usize>().unwrap();
        };
        while filled < whole {
            let read = stream.read(&mut buffer[filled..]).await.unwrap();
            assert!(read > 0, "{path}: cut");
            filled += read;
        }
        assert_eq!(filled, whole, "{path}");
    }
    count
}

/// `BANGGIA_READS`: a million in `--full`.
#[tokio::test(flavor = "multi_thread")]
async fn f38_with_everybody_away_no_read_of_very_many_fails() {
    let house = Simulation::at(DAY, "").await;
    all_once(&house).await;
    for (feed, source) in crate::world::recorded_sources() {
        house.world.fails(feed.id, source.id, || Outcome::Connect("nobody".to_owned()));
    }
    let reads = usize::try_from(crate::truth::number("BANGGIA_READS", 20_000)).unwrap();
    let paths: &'static [&'static str] = &[
        "/v1/board",
        "/v1/gold",
        "/v1/fx",
        "/v1/deposits.csv",
        "/v1/feeds",
        "/widgets/panel",
        "/embed/v1.js",
    ];
    let readers: Vec<_> = (0..8)
        .map(|_| tokio::spawn(read_all(house.app.public, paths, reads.div_ceil(8))))
        .map(|reader| async { reader.await.unwrap() })
        .collect();
    let mut read = 0;
    let all = async {
        for reader in readers {
            read += reader.await;
        }
    };
    // Meanwhile every feed fails again and again.
    let failing = async {
        for _ in 0..4 {
            for (_, feed) in providers::feeds() {
                poll(&house, feed.id, 11).await;
            }
        }
    };
    tokio::join!(all, failing);
    println!("{read} reads, none failed");
    assert!(read >= reads);
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f23_a_side_that_is_absent_for_a_while_is_measured_by_its_last_figure() {
    let house = Simulation::at(DAY, "").await;
    all_once(&house).await;
    let good = quote(&house, "/v1/fx", "vietcombank.fx.EUR").await;
    let with = |cash: &str, transfer: &str, sell: &str| {
        let (cash, transfer, sell) = (cash.to_owned(), transfer.to_owned(), sell.to_owned());
        changed("vietcombank.fx", "json", 0, move |text| {
            let at = text.find("\"EUR\"").unwrap();
            let start = text[..at].rfind('{').unwrap();
            let end = start + text[start..].find('}').unwrap() + 1;
            let row = format!(
                "{{\"currencyName\":\"EURO\",\"currencyCode\":\"EUR\",\"cash\":\"{cash}\",\"transfer\":\"{transfer}\",\"sell\":\"{sell}\"}}"
            );
            format!("{}{row}{}", &text[..start], &text[end..])
        })
    };
    let side = |name: &str| good[name].as_str().unwrap().to_owned();
    let scaled = |name: &str| (side(name).parse::<Decimal>().unwrap() * dec!(1.2057)).round_dp(2).to_string();
    let steps = [
        with(&side("buy_cash"), &side("buy_transfer"), "-"),
        with("-", "-", &scaled("sell")),
        with(&scaled("buy_cash"), &scaled("buy_transfer"), &scaled("sell")),
    ];
    for (nth, step) in steps.into_iter().enumerate() {
        house.world.says("vietcombank.fx", "json", step);
        for _ in 0..4 {
            poll(&house, "vietcombank.fx", 5).await;
            let now = quote(&house, "/v1/fx", "vietcombank.fx.EUR").await;
            for name in ["buy_cash", "buy_transfer", "sell"] {
                assert!(now[name] == good[name] || now[name].is_null(), "step {nth}: {name} {}", now[name]);
            }
        }
    }
    house.app.stop().await;
}
