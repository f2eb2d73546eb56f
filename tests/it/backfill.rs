//! `banggia backfill` against the scripted bank: polite, resumable, beside a running service, and never a board under
//! another day than its own.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use banggia::{
    app,
    board::trend_price,
    clock::Clock,
    store::{Past, Store, StoreError},
};
use jiff::{Timestamp, civil::Date};

use crate::{
    bank::{Bank, Reply},
    house::{House, config, config_text, path, recorded},
    service::{banggia, write_config},
};

const VCB: &str = "/vietcombank.fx/json";
/// Monday to Sunday, without a holiday.
const WEEK: [&str; 2] = ["2026-09-07", "2026-09-13"];
const WORKING: [&str; 5] = ["2026-09-07", "2026-09-08", "2026-09-09", "2026-09-10", "2026-09-11"];

/// Vietcombank's board of a day: the first figure is the cash rate of a dollar.
pub fn board(day: &str, usd: u32) -> Reply {
    let row = |code: &str, cash: u32, more: u32| {
        format!(
            r#"{{"currencyName":"{code}","currencyCode":"{code}","cash":"{cash}.00","transfer":"{}.00","sell":"{}.00"}}"#,
            cash + more,
            cash + 10 * more
        )
    };
    let rows = [row("USD", usd, 30), row("EUR", usd + 4000, 40)];
    Reply::ok(format!(
        r#"{{"Count":2,"Date":"{day}T00:00:00","UpdatedDate":"{day}T23:00:00+07:00","Data":[{}]}}"#,
        rows.join(",")
    ))
}

fn asked(day: &str) -> String {
    format!("{VCB}?date={day}")
}

/// A bank with a board of each working day of the week, and a store that nobody uses.
struct Desk {
    bank: Bank,
    folder: crate::canary::Folder,
    config: PathBuf,
}

impl Desk {
    async fn open() -> Self {
        let bank = Bank::open().await;
        for (at, day) in (0..).zip(WORKING) {
            bank.script(&asked(day), [board(day, 26_000 + at)]);
        }
        let folder = crate::canary::tempdir().unwrap();
        let text = config_text(&bank, &folder.path().join("banggia.db"));
        let config = write_config(folder.path(), "banggia.toml", &text);
        Self { bank, folder, config }
    }

    fn command(&self, feed: &str, [from, to]: [&str; 2]) -> Command {
        backfill(&self.config, feed, [from, to])
    }

    fn run(&self, days: [&str; 2]) -> (i32, String, String) {
        outcome(&mut self.command("vietcombank.fx", days))
    }

    async fn history(&self) -> Vec<(String, String, String)> {
        history(&self.folder.path().join("banggia.db")).await
    }
}

fn backfill(config: &Path, feed: &str, [from, to]: [&str; 2]) -> Command {
    let mut command = banggia();
    command.args(["backfill", feed, "--from", from, "--to", to, "--pause", "1s", "--config"]).arg(config);
    command
}

fn outcome(command: &mut Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    crate::canary::said(&output.stdout);
    crate::canary::said(&output.stderr);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Every change in a store: id, instant, figures.
async fn history(file: &Path) -> Vec<(String, String, String)> {
    let url = format!("sqlite:{}", file.display());
    let store = Store::look(&url).await.unwrap().unwrap();
    let mut all = Vec::new();
    for series in store.series(&url).await.unwrap() {
        let mark = store.mark_before(&series.id, Timestamp::MIN).await.unwrap();
        let page = store.page(&series.id, mark, Timestamp::MAX).await.unwrap();
        assert_eq!((page.damaged, page.next), (0, None));
        for change in page.changes {
            let figures = serde_json::to_string(&change.quote).unwrap();
            all.push((series.id.clone(), banggia::clock::rfc3339(change.at), figures));
        }
    }
    store.close().await;
    all
}

fn days_asked(bank: &Bank) -> Vec<String> {
    bank.hits(VCB).iter().map(|hit| hit.target.rsplit_once('=').unwrap().1.to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn past_days_are_asked_for_once_one_at_a_time_and_kept_at_their_own_day() {
    let desk = Desk::open().await;
    let began = Instant::now();
    let (code, out, err) = desk.run(WEEK);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("5 boards with 10 new figures"), "{out}");
    assert!(out.contains("2 weekends and holidays"), "{out}");
    assert_eq!(out.lines().count(), 6, "a line a day and the sum\n{out}");
    assert_eq!(days_asked(&desk.bank), WORKING, "as many requests as there are days");
    assert_eq!(desk.bank.most_at_once(), 1);
    assert!(began.elapsed() >= Duration::from_secs(4), "a pause between two");
    let history = desk.history().await;
    let dollars: Vec<_> = history.iter().filter(|(id, ..)| id == "vietcombank.fx.USD").collect();
    assert_eq!(dollars.len(), 5);
    for ((_, at, figures), (nth, day)) in dollars.into_iter().zip((0..).zip(WORKING)) {
        assert_eq!(*at, format!("{day}T12:00:00+07:00"), "a day without a time stands for its noon");
        assert!(figures.contains(&format!("\"{}.00\"", 26_000 + nth)), "{figures}");
    }
    // Again: nothing is asked, nothing added.
    let (code, out, _) = desk.run(WEEK);
    assert_eq!(code, 0);
    assert!(out.contains("0 boards with 0 new figures") && out.contains("5 kept before"), "{out}");
    assert_eq!(days_asked(&desk.bank).len(), 5);
    assert_eq!(desk.history().await, history);
    // Independence Day, and the day before it.
    let (code, out, _) = desk.run(["2026-09-01", "2026-09-02"]);
    assert_eq!((code, days_asked(&desk.bank).len()), (0, 5));
    assert!(out.contains("0 boards") && out.contains("2 weekends and holidays"), "{out}");
    // A longer range asks for what is missing only.
    desk.bank.script(&asked("2026-09-04"), [board("2026-09-04", 25_990)]);
    let (code, _, _) = desk.run(["2026-09-03", "2026-09-08"]);
    assert_eq!(code, 1, "nothing is scripted for the third");
    assert_eq!(days_asked(&desk.bank)[5..], ["2026-09-03", "2026-09-04"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_its_middle_it_goes_on_where_it_was_and_loses_nothing() {
    let desk = Desk::open().await;
    let mut child =
        desk.command("vietcombank.fx", WEEK).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    while desk.bank.all_hits() < 3 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let (code, out, err) = desk.run(WEEK);
    assert_eq!(code, 0, "{out}{err}");
    let asked = days_asked(&desk.bank);
    assert!(
        (5..=6).contains(&asked.len()),
        "at most the day that was under way is asked for again: {asked:?}"
    );
    assert_eq!(desk.history().await.len(), 10, "two currencies on five days");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_fails_is_left_alone_and_its_days_are_asked_for_by_the_next_run() {
    let desk = Desk::open().await;
    for day in &WORKING[1..4] {
        desk.bank.script(&asked(day), [Reply::status(500), board(day, 26_100)]);
    }
    let (code, out, err) = desk.run(WEEK);
    assert_eq!(code, 1, "{out}");
    assert!(err.contains("2026-09-08: the source answered with status 500"), "{err}");
    assert!(err.contains("banggia: stopped: 3 days in a row failed"), "{err}");
    assert!(err.contains("run the same command again to go on"), "{err}");
    assert!(out.contains("1 boards") && out.contains("1 not asked"), "{out}");
    assert_eq!(days_asked(&desk.bank), WORKING[..4], "a day that failed is not asked for twice in a run");
    let (code, out, _) = desk.run(WEEK);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("4 boards") && out.contains("1 kept before"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_board_of_another_day_is_never_kept_under_the_day_that_was_asked_for() {
    let desk = Desk::open().await;
    // Of the day before: there was none of its own. Of a later one: the bank did not understand.
    desk.bank.script(&asked(WORKING[1]), [board(WORKING[0], 26_000)]);
    desk.bank.script(&asked(WORKING[3]), [board("2026-11-26", 26_500)]);
    let undated = r#"{"Count":1,"Data":[{"currencyName":"USD","currencyCode":"USD","cash":"26000.00","transfer":"26030.00","sell":"26300.00"}]}"#;
    desk.bank.script(&asked(WORKING[4]), [Reply::ok(undated)]);
    let (code, out, err) = desk.run(WEEK);
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains("2026-09-08  no board: its last board before is of 2026-09-07"), "{out}");
    assert!(err.contains("the answer for 2026-09-10 is the board of 2026-11-26"), "{err}");
    assert!(err.contains("the answer for 2026-09-11 does not say of which day it is"), "{err}");
    let days: Vec<String> = desk
        .history()
        .await
        .into_iter()
        .filter(|(id, ..)| id.ends_with("USD"))
        .map(|(_, at, _)| at)
        .collect();
    assert_eq!(days, ["2026-09-07T12:00:00+07:00", "2026-09-09T12:00:00+07:00"]);
    // A day without a board is known for good, the others are asked for again.
    let (_, out, _) = desk.run(WEEK);
    assert!(out.contains("3 kept before"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_bands_refuse_is_not_kept_and_a_row_that_is_refused_alone_is_told() {
    let desk = Desk::open().await;
    desk.bank.script(&asked(WORKING[0]), [board(WORKING[0], 260_000)]);
    let wide = board(WORKING[1], 26_000);
    let Reply::Http(status, headers, body) = wide else { panic!() };
    let body = String::from_utf8(body).unwrap().replace("\"30400.00\"", "\"39000.00\"");
    desk.bank.script(&asked(WORKING[1]), [Reply::Http(status, headers, body.into_bytes())]);
    let (code, out, err) = desk.run([WORKING[0], WORKING[1]]);
    assert_eq!(code, 1);
    assert!(err.contains("2026-09-07: USD: 260000.00 đồng is outside the band of 15000 to 40000"), "{err}");
    assert!(err.contains("2026-09-08: left out: EUR: selling 39000.00"), "{err}");
    assert!(out.contains("2026-09-08  1 figures, 1 new"), "{out}");
    assert_eq!(desk.history().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn f10_a_source_that_asks_to_wait_is_waited_for_if_that_is_not_long() {
    let desk = Desk::open().await;
    let wait = |seconds: &str| Reply::status(429).with("Retry-After", seconds);
    desk.bank.script(&asked(WORKING[0]), [wait("2"), board(WORKING[0], 26_000)]);
    let began = Instant::now();
    let (code, out, err) = desk.run([WORKING[0], WORKING[0]]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(began.elapsed() >= Duration::from_secs(2));
    assert_eq!(desk.bank.all_hits(), 2);
    desk.bank.script(&asked(WORKING[1]), [wait("3600")]);
    let (code, _, err) = desk.run(WEEK);
    assert_eq!(code, 1);
    assert!(
        err.contains("stopped: the source answered with status 429") && err.contains("asks to wait until"),
        "{err}"
    );
    assert_eq!(desk.bank.all_hits(), 3, "nothing else was asked");
    // Nor does the next run, however soon it comes.
    let (code, _, err) = desk.run(WEEK);
    assert_eq!(code, 1);
    assert!(err.contains("stopped: the source asked to be left alone until 20"), "{err}");
    assert_eq!(desk.bank.all_hits(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn bidv_is_asked_for_the_days_list_and_its_last_board_which_is_kept_at_its_own_minute() {
    let desk = Desk::open().await;
    let list = path("bidv.fx", "board");
    desk.bank.script(&list, [Reply::ok(r#"{"status":0}"#)]);
    desk.bank.script(
        &format!("{list} date=29%2F09%2F2026"),
        [Reply::ok(recorded("bidv.fx", "board", 0, Some("boards")))],
    );
    desk.bank.script(
        "/bidv.fx/ExchangeDetailServlet",
        [Reply::ok(recorded("bidv.fx", "board", 0, Some("board")))],
    );
    let (code, out, err) = outcome(&mut desk.command("bidv.fx", ["2026-09-26", "2026-09-29"]));
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("2026-09-26  no board: its status is 0"), "a Saturday is asked for: {out}");
    assert!(out.contains("1 boards") && out.contains("2 days without, 1 weekends"), "{out}");
    let boards = desk.bank.hits("/bidv.fx/ExchangeDetailServlet");
    assert_eq!(boards.len(), 1, "the newest board is nobody's past");
    assert!(boards[0].body.contains("date=29%2F09%2F2026"), "{}", boards[0].body);
    assert_eq!(desk.bank.most_at_once(), 1);
    let history = desk.history().await;
    let dollar = history.iter().find(|(id, ..)| id == "bidv.fx.USD").unwrap();
    assert!(dollar.1.starts_with("2026-09-29T") && !dollar.1.contains("T12:00:00"), "{dollar:?}");
    // The days without one were between days with one: they are known.
    let (_, out, _) = outcome(&mut desk.command("bidv.fx", ["2026-09-26", "2026-09-29"]));
    assert!(out.contains("3 kept before"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_running_service_nothing_that_is_served_changes_now_or_after_a_restart() {
    let house = House::on_a_good_day().await;
    let (gold, fx) =
        (house.get("/v1/gold").await.text().await.unwrap(), house.get("/v1/fx").await.text().await.unwrap());
    let store = house.folder.path().join("banggia.db");
    let file = write_config(house.folder.path(), "banggia.toml", &config_text(&house.bank, &store));
    let today = banggia::clock::day(Clock::system().now());
    let chart = path("tpbank.gold", "chart");
    let day = |back: i32| -> Date { today.saturating_sub(jiff::Span::new().days(back)) };
    for back in 1..=9 {
        let day = day(back);
        let american = |day: Date| format!("{:02}%2F{:02}%2F{}", day.month(), day.day(), day.year());
        let from = day.saturating_sub(jiff::Span::new().days(10));
        let target = format!("{chart}?from_date={}&to_date={}", american(from), american(day));
        let written = format!("{:02}/{:02}/{}", day.month(), day.day(), day.year());
        let price = 140_000_000 + back * 100_000;
        let body = format!(
            r#"{{"item":[{{"DATES":"{written}","RATE_BUY":{price},"RATE_SELL":{}}}]}}"#,
            price + 2_000_000
        );
        house.bank.script(&target, [Reply::ok(body)]);
    }
    let (from, to) = (day(9).to_string(), day(1).to_string());
    let (code, out, err) = outcome(&mut backfill(&file, "tpbank.gold", [&from, &to]));
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(house.get("/v1/gold").await.text().await.unwrap(), gold);
    // The service writes on, and its own word comes last.
    house.refresh("tpbank.gold").await;
    let text = config_text(&house.bank, &store);
    let house = house.restart(|text| text).await;
    assert_eq!(house.get("/v1/fx").await.text().await.unwrap(), fx, "bytes, versions, changes");
    let before: serde_json::Value = serde_json::from_str(&gold).unwrap();
    let after = house.json("/v1/gold").await;
    let bar = |document: &serde_json::Value| crate::house::find(document, "tpbank.gold.bar").unwrap();
    for field in ["buy", "sell", "change_buy", "change_sell", "changed_at", "as_of", "status"] {
        assert_eq!(bar(&before)[field], bar(&after)[field], "{field}");
    }
    // The course of the price is in order and ends with what is served.
    let look = Store::look(&format!("sqlite:{}", store.display())).await.unwrap().unwrap();
    let states = app::load_states(&config(&text), &look, &Clock::system(), false).await.unwrap();
    let state =
        states.iter().map(|(state, _)| Arc::new(state.clone())).find(|state| state.feed.id == "tpbank.gold");
    let source = &state.unwrap().sources[0];
    let trend = &source.trends["bar"];
    assert!(trend.len() >= 8, "the days are in it: {trend:?}");
    assert!(trend.windows(2).all(|pair| pair[0].0 < pair[1].0), "{trend:?}");
    assert_eq!(trend.last().map(|(_, price)| *price), trend_price(&source.kept["bar"].quote));
    look.close().await;
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_service_saw_of_a_day_itself_stands() {
    let house = House::on_a_good_day().await;
    let store = house.folder.path().join("banggia.db");
    let before = history(&store).await;
    let url = format!("sqlite:{}", store.display());
    let mut past = Past::open(&url, "vietcombank.fx", "json").await.unwrap();
    let seen: Vec<_> = before.iter().filter(|(id, ..)| id == "vietcombank.fx.USD").collect();
    let (now, quote) = (Clock::system().now(), serde_json::from_str(&seen[0].2).unwrap());
    let day = banggia::clock::day(seen[0].1.parse().unwrap());
    let board = banggia::store::PastBoard { day, as_of: providers::AsOf::On(day), quotes: vec![quote] };
    assert_eq!(past.keep(&board, now).await.unwrap(), 0);
    assert_eq!(history(&store).await, before);
    assert!(past.settled().await.unwrap().contains(&day));
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p08_one_backfill_at_a_time_and_none_beside_a_service_of_another_schema() {
    let house = House::on_a_good_day().await;
    let store = house.folder.path().join("banggia.db");
    let file = write_config(house.folder.path(), "banggia.toml", &config_text(&house.bank, &store));
    let url = format!("sqlite:{}", store.display());
    let past = Past::open(&url, "bidv.fx", "board").await.unwrap();
    let hits = house.bank.all_hits();
    let (code, _, err) = outcome(&mut backfill(&file, "vietcombank.fx", WEEK));
    assert_eq!(code, 1);
    assert!(err.contains("another backfill is writing to the store") && err.lines().count() == 1, "{err}");
    drop(past);
    let pragma = async |version: i64| {
        use sqlx::Connection as _;
        let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
        let text = format!("PRAGMA user_version = {version}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    };
    let ours = i64::try_from(banggia::store::MIGRATIONS.len()).unwrap();
    pragma(ours + 1).await;
    assert!(matches!(Past::open(&url, "bidv.fx", "board").await, Err(StoreError::Newer { .. })));
    pragma(ours - 1).await;
    let (code, _, err) = outcome(&mut backfill(&file, "vietcombank.fx", WEEK));
    assert_eq!(code, 1);
    assert!(err.contains("start its service with this version first"), "{err}");
    pragma(ours).await;
    assert!(Past::open(&url, "bidv.fx", "board").await.is_ok());
    assert_eq!(house.bank.all_hits(), hits, "nobody was asked");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_set_aside_meanwhile_is_written_to_no_more() {
    let folder = crate::canary::tempdir().unwrap();
    let file = folder.path().join("banggia.db");
    let url = format!("sqlite:{}", file.display());
    let mut past = Past::open(&url, "bidv.fx", "board").await.unwrap();
    let day = "2026-09-07".parse().unwrap();
    past.keep_none(&[day], Clock::system().now()).await.unwrap();
    std::fs::rename(&file, folder.path().join("banggia.db.corrupt-x")).unwrap();
    std::fs::write(&file, "").unwrap();
    let error = past.keep_none(&[day], Clock::system().now()).await.unwrap_err();
    assert!(matches!(error, StoreError::Replaced(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn p08_a_service_starts_serves_and_stops_while_days_are_read_and_finds_its_store_whole() {
    let desk = Desk::open().await;
    let mut child =
        desk.command("vietcombank.fx", WEEK).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    while desk.bank.all_hits() < 1 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // From its first day to its last, services come and go.
    let text = std::fs::read_to_string(&desk.config).unwrap();
    let mut starts = 0;
    while child.try_wait().unwrap().is_none() {
        let app = app::App::start(config(&text), app::Mode::Live).await.unwrap();
        app.refresh("tpbank.gold").await;
        app.stop().await;
        starts += 1;
    }
    assert!(child.wait().unwrap().success());
    assert!(starts > 1, "{starts}");
    let names: Vec<String> = std::fs::read_dir(desk.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(!names.iter().any(|name| name.contains("corrupt")), "nothing was set aside: {names:?}");
    let dollars = desk.history().await.into_iter().filter(|(id, ..)| id == "vietcombank.fx.USD").count();
    assert_eq!(dollars, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_writers_of_one_store_do_not_get_into_each_others_way() {
    let folder = crate::canary::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("banggia.db").display());
    let store = Arc::new(Store::open(&url, banggia::store::Nature::Live).await.unwrap());
    let mut past = Past::open(&url, "vietcombank.fx", "json").await.unwrap();
    let dollar = |sell: i64| -> providers::Quote {
        serde_json::from_str(&format!(r#"{{"fx":{{"currency":"USD","per":1,"sell":"{sell}"}}}}"#)).unwrap()
    };
    let service = {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for n in 0..200 {
                let at = Timestamp::from_second(1_790_000_000 + n).unwrap();
                let kept = banggia::store::Kept {
                    quote: dollar(30_000 + n),
                    previous: None,
                    as_of: providers::AsOf::Unstated,
                    fetched_at: at,
                    checked_at: at,
                    changed_at: at,
                };
                store.push(banggia::store::Answer {
                    feed: "bidv.fx".into(),
                    source: "board".into(),
                    attempt: banggia::store::Attempt { at, outcome: "ok".to_owned(), reason: None },
                    quotes: vec![(kept, true)],
                    dropped: Vec::new(),
                    keys: Vec::new(),
                    held: None,
                });
                store.flush().await;
            }
        })
    };
    let first: Date = "2024-01-01".parse().unwrap();
    for n in 0..200_i32 {
        let day = first.saturating_add(jiff::Span::new().days(n));
        let quotes = vec![dollar(26_000 + i64::from(n))];
        let board = banggia::store::PastBoard { day, as_of: providers::AsOf::On(day), quotes };
        assert_eq!(past.keep(&board, Clock::system().now()).await.unwrap(), 1);
    }
    service.await.unwrap();
    assert_eq!((store.errors(), store.waiting()), (0, 0));
    assert_eq!(store.changes("bidv.fx.USD").await.unwrap(), 200);
    assert_eq!(store.changes("vietcombank.fx.USD").await.unwrap(), 200);
    store.check().await;
    assert_eq!((store.errors(), store.recovered()), (0, None), "every page and row is what was written");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_terminal_there_is_a_bar() {
    if !crate::service::installed("script") {
        return crate::service::missing("script");
    }
    let desk = Desk::open().await;
    let program = desk.command("vietcombank.fx", [WORKING[0], WORKING[1]]);
    let words: Vec<String> = std::iter::once(program.get_program())
        .chain(program.get_args())
        .map(|word| format!("'{}'", word.to_str().unwrap()))
        .collect();
    let (code, out, _) = outcome(
        Command::new("script")
            .args(["-qec", &words.join(" "), "/dev/null"])
            .env("TERM", "xterm")
            .stdin(Stdio::null()),
    );
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("1/2 days") && out.contains("2 figures, 2 new"), "{out}");
    assert!(out.contains("vietcombank.fx json: 2 boards with 4 new figures"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_on_when_nobody_reads_what_it_says() {
    let desk = Desk::open().await;
    let mut child = desk
        .command("vietcombank.fx", [WORKING[0], WORKING[1]])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(desk.history().await.len(), 4);
}

/// The bank was away for two weeks; the days were read since, and said something else than what is served.
#[tokio::test(flavor = "multi_thread")]
async fn the_course_of_a_price_ends_with_the_price_that_stands_beside_it() {
    let folder = crate::canary::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("banggia.db").display());
    let bar = |sell: u32| -> providers::Quote {
        let text =
            format!(r#"{{"gold":{{"product":"bar","unit":"luong","currency":"VND","sell":"{sell}"}}}}"#);
        serde_json::from_str(&text).unwrap()
    };
    let day = |day: i8| jiff::civil::date(2026, 9, day);
    let at = |day: Date, hour| providers::VIETNAM.to_timestamp(day.at(hour, 0, 0, 0)).unwrap();
    let store = Store::open(&url, banggia::store::Nature::Live).await.unwrap();
    let kept = banggia::store::Kept {
        quote: bar(142_000_000),
        previous: Some(bar(141_000_000)),
        as_of: providers::AsOf::On(day(7)),
        fetched_at: at(day(7), 9),
        checked_at: at(day(10), 18),
        changed_at: at(day(7), 9),
    };
    store.push(banggia::store::Answer {
        feed: "tpbank.gold".into(),
        source: "chart".into(),
        attempt: banggia::store::Attempt { at: kept.checked_at, outcome: "ok".to_owned(), reason: None },
        quotes: vec![(kept.clone(), true)],
        dropped: Vec::new(),
        keys: vec!["bar".to_owned()],
        held: None,
    });
    store.flush().await;
    store.close().await;
    drop(store);
    let mut past = Past::open(&url, "tpbank.gold", "chart").await.unwrap();
    for (n, price) in [(4, 140_000_000), (9, 143_000_000), (14, 144_000_000)] {
        let board = banggia::store::PastBoard {
            day: day(n),
            as_of: providers::AsOf::On(day(n)),
            quotes: vec![bar(price)],
        };
        assert_eq!(past.keep(&board, Clock::system().now()).await.unwrap(), 1);
    }
    drop(past);
    let look = Store::look(&url).await.unwrap().unwrap();
    let clock = Clock::standing_at(at(day(21), 9));
    let text = format!("[store]\nurl = \"{url}\"\n");
    let states = app::load_states(&config(&text), &look, &clock, false).await.unwrap();
    let (state, _) = states.into_iter().find(|(state, _)| state.feed.id == "tpbank.gold").unwrap();
    let source = &state.sources[0];
    assert_eq!(source.kept["bar"], kept, "value, previous value and times are as they were");
    let price = |sell: u32| rust_decimal::Decimal::from(sell);
    assert_eq!(
        source.trends["bar"],
        [
            (at(day(4), 12), price(140_000_000)),
            (at(day(7), 9), price(142_000_000)),
            (at(day(9), 12), price(143_000_000)),
            (at(day(10), 18), price(142_000_000)),
        ]
    );
    look.close().await;
}
