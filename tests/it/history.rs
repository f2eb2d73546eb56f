//! Histories: what came into force and when, by change and by period, in pages and as a stream; and what of it is dropped.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    time::Duration,
};

use banggia::{
    fetch::Outcome,
    history::{Group, Line, Manner, Period, Point, Range, Step, Walk, sides},
    store::{Answer, Attempt, Dropped, Kept, Nature, Retention, Store},
};
use jiff::Timestamp;
use proptest::prelude::*;
use providers::{AsOf, Fx, Quote, WeightUnit};
use reqwest::Method;
use rust_decimal::Decimal;
use serde_json::Value;

use crate::{
    contract::conforms,
    house::House,
    world::{Simulation, at, tape},
};

const FEED: &str = "bidv.fx";

fn rate(currency: &str, cash: Option<i64>, sell: i64) -> Quote {
    Quote::Fx(Fx {
        currency: currency.to_owned().into(),
        variant: None,
        name: None,
        per: 1,
        buy_cash: cash.map(Decimal::from),
        buy_transfer: None,
        sell: Some(Decimal::from(sell)),
        sell_cash: None,
    })
}

/// A board as a source gave it.
fn board(source: &'static str, when: Timestamp, quotes: Vec<Quote>) -> Answer {
    let kept = |quote| Kept {
        quote,
        previous: None,
        as_of: AsOf::At(when),
        fetched_at: when,
        checked_at: when,
        changed_at: when,
    };
    Answer {
        held: None,
        feed: FEED.into(),
        source: source.into(),
        attempt: Attempt { at: when, outcome: "ok".to_owned(), reason: None },
        quotes: quotes.into_iter().map(|quote| (kept(quote), true)).collect(),
        dropped: Vec::new(),
        keys: Vec::new(),
    }
}

async fn keep(store: &Store, boards: &[(&str, i64)]) {
    for (when, sell) in boards {
        store.push(board("board", at(when), vec![rate("XAA", None, *sell)]));
    }
    store.flush().await;
    assert_eq!(store.waiting(), 0);
}

/// Thursday to Monday, 24 to 28 September 2026.
const WEEK: &[(&str, i64)] = &[
    ("2026-09-24T09:00:00+07:00", 100),
    ("2026-09-25T09:00:00+07:00", 104),
    ("2026-09-25T11:00:00+07:00", 101),
    // As days that were read after the fact are kept.
    ("2026-09-25T12:00:00+07:00", 101),
    ("2026-09-28T09:00:00+07:00", 102),
    ("2026-09-28T15:00:00+07:00", 103),
];

fn points(document: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    document["series"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|series| series["points"].as_array().unwrap())
        .map(|point| (text(&point["at"]), text(&point["sell"])))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_weekend_answers_with_the_board_that_was_in_force_and_says_its_date() {
    let house = House::on_a_good_day().await;
    keep(house.app.store(), WEEK).await;
    let ask = async |query: &str| {
        let document = house.json(&format!("/v1/history/fx?series=bidv.fx.XAA&{query}")).await;
        conforms(&banggia::http::openapi(), "/v1/history/fx", "200", &document);
        points(&document)
    };
    for (query, wanted) in [
        // All of it; what says the same again is no change.
        (
            "",
            &[
                "2026-09-24T09:00:00 100",
                "2026-09-25T09:00:00 104",
                "2026-09-25T11:00:00 101",
                "2026-09-28T09:00:00 102",
                "2026-09-28T15:00:00 103",
            ][..],
        ),
        ("from=2026-09-26&to=2026-09-27", &["2026-09-25T11:00:00 101"]),
        ("from=2026-09-28T08:00:00Z&to=2026-09-28", &["2026-09-28T15:00:00 103"]),
        ("from=2026-09-28T15:00:00%2B07:00", &["2026-09-28T15:00:00 103"]),
        ("from=2026-09-28T15:00:00+07:00&to=2026-09-28T15:00:00+07:00", &["2026-09-28T15:00:00 103"]),
        ("from=2026-09-28&to=2026-09-28T08:59:59%2B07:00", &["2026-09-25T11:00:00 101"]),
        ("from=2026-09-25T11:30:00%2B07:00&to=2026-09-25", &["2026-09-25T11:00:00 101"]),
        ("to=2026-09-24", &["2026-09-24T09:00:00 100"]),
        ("to=2026-09-23", &[]),
        ("from=2026-09-01&to=2026-09-20", &[]),
    ] {
        let found: Vec<String> = ask(query)
            .await
            .iter()
            .map(|(at, sell)| format!("{} {sell}", at.trim_end_matches("+07:00")))
            .collect();
        assert_eq!(found, wanted, "{query}");
    }
    let by = async |query: &str| {
        let found = ask(query).await;
        let of = |text: &str| -> String {
            let span: Value = serde_json::from_str(text).unwrap();
            ["first", "last", "low", "high"].map(|name| span[name].as_str().unwrap().to_owned()).join(" ")
        };
        found.iter().map(|(at, span)| format!("{at:.10} {}", of(span))).collect::<Vec<_>>()
    };
    let friday = "2026-09-25 104 101 101 104";
    for (query, wanted) in [
        ("group=day", &["2026-09-24 100 100 100 100", friday, "2026-09-28 102 103 102 103"][..]),
        ("group=day&from=2026-09-26&to=2026-09-27", &[friday]),
        ("group=day&from=2026-09-26", &[friday, "2026-09-28 102 103 102 103"]),
        ("group=day&from=2026-09-25T10:00:00%2B07:00&to=2026-09-26", &["2026-09-25 101 101 101 101"]),
        ("group=week&from=2026-09-26", &["2026-09-21 100 101 100 104", "2026-09-28 102 103 102 103"]),
        ("group=month&from=2026-10-02", &["2026-09-01 100 103 100 104"]),
        (
            "group=hour&from=2026-09-28",
            &["2026-09-25 101 101 101 101", "2026-09-28 102 102 102 102", "2026-09-28 103 103 103 103"],
        ),
    ] {
        assert_eq!(by(query).await, wanted, "{query}");
    }
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_ends_with_what_the_list_shows_and_is_narrowed_as_it_is() {
    let house = House::on_a_good_day().await;
    let api = banggia::http::openapi();
    let identity: BTreeMap<&str, &[&str]> = [
        ("gold", &["id", "feed", "provider", "product", "place", "unit", "currency"][..]),
        ("fx", &["id", "feed", "provider", "currency", "variant", "per"]),
        (
            "deposits",
            &[
                "id",
                "feed",
                "provider",
                "term",
                "term_months",
                "channel",
                "customer",
                "payout",
                "place",
                "currency",
            ],
        ),
    ]
    .into();
    for (kind, query) in [
        ("gold", ""),
        ("gold", "unit=gram&places=hcm"),
        ("gold", "unit=kg&products=sjc-bar,bar&providers=tpbank,doji"),
        ("fx", ""),
        ("fx", "currencies=USD,jpy&providers=vietcombank"),
        ("deposits", ""),
        ("deposits", "terms=6,demand&channel=unknown,counter&customer=personal"),
        ("deposits", "customer=corporate"),
    ] {
        let list = house.json(&format!("/v1/{kind}?{query}")).await;
        let history = house.json(&format!("/v1/history/{kind}?{query}&limit=5000")).await;
        conforms(&api, &format!("/v1/history/{kind}"), "200", &history);
        let (quotes, series) = (list["quotes"].as_array().unwrap(), history["series"].as_array().unwrap());
        // A stand-in's quotes have a history too, where they are not served.
        let served: BTreeSet<&str> = quotes.iter().map(|quote| quote["id"].as_str().unwrap()).collect();
        let told: Vec<&Value> =
            series.iter().filter(|series| served.contains(series["id"].as_str().unwrap())).collect();
        assert_eq!(told.len(), quotes.len(), "{kind}?{query}");
        for (quote, series) in quotes.iter().zip(told) {
            for name in identity[kind] {
                assert_eq!(series[*name], quote[*name], "{kind}?{query} {name}: {series}");
            }
            let last = series["points"].as_array().unwrap().last().unwrap();
            for name in [
                "buy",
                "sell",
                "buy_cash",
                "buy_transfer",
                "sell_cash",
                "rate_percent",
                "as_of",
                "source",
                "via",
            ] {
                assert_eq!(last.get(name), quote.get(name), "{kind}?{query} {name}: {series}");
            }
            assert_eq!(last["at"], quote["changed_at"]);
        }
    }
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a02_hostile_parameters_of_histories_are_refused_by_name_with_what_is_allowed() {
    let house = House::on_a_good_day().await;
    let many = (0..21).map(|n| format!("bidv.fx.X{n}")).collect::<Vec<_>>().join(",");
    let long = format!("bidv.fx.{}", "X".repeat(200));
    for (path, query, parameter, allowed) in [
        ("fx", "group=year".to_owned(), "group", "hour"),
        ("fx", "group=day&group=day".to_owned(), "group", "once"),
        ("fx", "from=yesterday".to_owned(), "from", "2026-09-30"),
        ("fx", "from=".to_owned(), "from", "2026-09-30"),
        ("fx", "from=2999-01-01".to_owned(), "from", "until"),
        ("fx", "from=2026-09-02&to=2026-09-01".to_owned(), "to", "2026-09-02"),
        ("fx", "to=2026-02-30".to_owned(), "to", "RFC"),
        ("fx", "to=%00".to_owned(), "to", "instant"),
        ("fx", "to=2026-09-01T00:00:00%2B99:00".to_owned(), "to", "instant"),
        ("fx", "limit=0".to_owned(), "limit", "1…5000"),
        ("fx", "limit=5001".to_owned(), "limit", "1…5000"),
        ("fx", "limit=-1".to_owned(), "limit", "1…5000"),
        ("fx", "limit=%2B5".to_owned(), "limit", "1…5000"),
        ("fx", "limit=99999999999999999999".to_owned(), "limit", "1…5000"),
        ("fx", "cursor=".to_owned(), "cursor", "link"),
        ("fx", "cursor=%3Cscript%3E".to_owned(), "cursor", "link"),
        ("fx", "colour=%3Cb%3E".to_owned(), "colour", "cursor"),
        ("fx", "products=sjc-bar".to_owned(), "products", "currencies"),
        ("fx", "currencies=QQQ".to_owned(), "currencies", "USD"),
        ("fx", "series=acb.fx.USD".to_owned(), "series", "bidv.fx.<CURRENCY>"),
        ("fx", "series=doji.gold.sjc-bar".to_owned(), "series", "vietcombank.fx"),
        ("fx", "series=bidv.fx".to_owned(), "series", "bidv.fx"),
        ("fx", "series=bidv.fx.USD,".to_owned(), "series", "bidv.fx"),
        ("fx", "series=bidv.fx.USD'%20OR%201=1--".to_owned(), "series", "bidv.fx"),
        ("fx", format!("series={many}"), "series", "at most 20"),
        ("fx", format!("series={long}"), "series", "bidv.fx"),
        ("fx", "series=bidv.fx.USD&currencies=USD".to_owned(), "currencies", "alone"),
        ("deposits", "series=bidv.deposit.counter.6".to_owned(), "series", "<term>"),
        ("deposits", "series=bidv.deposit.branch.P6M".to_owned(), "series", "<counter|online|unknown>"),
        ("fx.csv", "limit=5".to_owned(), "limit", "series"),
        ("fx.ndjson", "cursor=x".to_owned(), "cursor", "group"),
    ] {
        let response = house.get(&format!("/v1/history/{path}?{query}")).await;
        assert_eq!(response.status(), 422, "{path}?{query}");
        let text = response.text().await.unwrap();
        assert!(!text.contains(['<', '>', '&']), "{text}");
        let problem: Value = serde_json::from_str(&text).unwrap();
        let error = &problem["errors"][0];
        assert_eq!(error["parameter"], parameter, "{query}: {problem}");
        let told = error["allowed"].to_string();
        assert!(told.contains(allowed) || (allowed == "RFC" && told.contains("instant")), "{query}: {told}");
    }
    // Known, and never quoted: no history, and no error.
    for (path, id) in [
        ("gold", "doji.gold.no-such-thing"),
        ("fx", "bidv.fx.XZZ"),
        ("deposits", "ocb.deposit.online.P77M.hue"),
    ] {
        let document = house.json(&format!("/v1/history/{path}?series={id}")).await;
        conforms(&banggia::http::openapi(), &format!("/v1/history/{path}"), "200", &document);
        assert_eq!(
            (&document["series"][0]["id"], &document["series"][0]["points"]),
            (&id.into(), &serde_json::json!([]))
        );
    }
    let unit = house.json("/v1/history/gold?series=tpbank.gold.bar&unit=chi").await;
    assert_eq!(unit["series"][0]["unit"], "chi", "a unit narrows nothing");
    house.app.stop().await;
}

/// The page behind, by its link.
fn next(response: &reqwest::Response) -> Option<String> {
    let links = response.headers().get("link")?.to_str().unwrap();
    links
        .split(", ")
        .find_map(|link| Some(link.strip_suffix(">; rel=\"next\"")?.strip_prefix('<')?.to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_lose_nothing_and_repeat_nothing_while_rows_are_added() {
    let house =
        House::with(|_| {}, |text| text.replacen("[server]\n", "[server]\nrate_limit = 0\n", 1)).await;
    house.settled().await;
    let store = house.app.store();
    let begin = at("2026-06-01T08:00:00+07:00").as_second();
    let moment = |n: i64| Timestamp::from_second(begin + n * 5 * 3600).unwrap();
    for n in 0..60 {
        let quotes = (0..4)
            .filter(|c| (n + c) % 3 != 0)
            .map(|c| rate(["XAA", "XAB", "XAC", "XAD"][usize::try_from(c).unwrap()], None, 100 + n % 7));
        store.push(board("board", moment(n), quotes.collect()));
    }
    store.flush().await;
    let mut added = 0;
    let is_new = |point: &Value| {
        let sell = point["sell"].as_str().or(point["sell"]["first"].as_str()).unwrap();
        sell.parse::<u32>().unwrap() >= 500
    };
    let series = "series=bidv.fx.XAC,bidv.fx.XAA,bidv.fx.XAD,bidv.fx.XAB,bidv.fx.XZZ";
    for (query, limit) in [
        ("", 1),
        ("", 7),
        ("group=day", 1),
        ("group=day", 5),
        ("group=week&from=2026-06-07", 3),
        ("from=2026-06-03&to=2026-06-08", 2),
    ] {
        let whole = house.json(&format!("/v1/history/fx?{series}&{query}&limit=5000")).await;
        let flat = |document: &Value| -> Vec<(String, Value)> {
            let of = |series: &Value| {
                let id = series["id"].as_str().unwrap().to_owned();
                series["points"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(move |point| (id.clone(), point.clone()))
                    .collect::<Vec<_>>()
            };
            document["series"].as_array().unwrap().iter().flat_map(of).collect()
        };
        let mut wanted = flat(&whole);
        wanted.retain(|(_, point)| !is_new(point));
        let (mut found, mut ids) = (Vec::new(), BTreeSet::new());
        let mut page = Some(format!("/v1/history/fx?{series}&{query}&limit={limit}"));
        let mut turn = 0;
        while let Some(address) = page {
            let response = house.get(&address).await;
            assert_eq!(response.status(), 200, "{address}");
            page = next(&response);
            let first =
                response.headers().get("link").map(|links| links.to_str().unwrap().contains("rel=\"first\""));
            assert!(first.unwrap_or(turn == 0), "{address}");
            let document: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
            let points = flat(&document);
            assert!(
                points.len() <= limit && (points.len() == limit || page.is_none()),
                "{address}: {}",
                points.len()
            );
            ids.extend(document["series"].as_array().unwrap().iter().map(|series| series["id"].to_string()));
            found.extend(points);
            // Days that are read after the fact while somebody pages: before all that was there.
            if turn < 30 {
                let when = Timestamp::from_second(begin - (added + 1) * 86_400).unwrap();
                let quotes = vec![rate("XAA", None, 500 + added), rate("XAD", None, 500 + added)];
                store.push(board("board", when, quotes));
                store.flush().await;
                added += 1;
            }
            turn += 1;
            assert!(turn < 1000, "pages end");
        }
        assert!(
            query.contains("from") || found.iter().any(|(_, point)| is_new(point)),
            "{query}: they are there"
        );
        found.retain(|(_, point)| !is_new(point));
        assert_eq!(found, wanted, "{query} by {limit}");
        assert_eq!(ids.len(), 5, "{query}: a series without points is there too");
    }
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_csv_and_ndjson_twins_hold_the_same_points() {
    let house = House::on_a_good_day().await;
    keep(house.app.store(), WEEK).await;
    for query in ["", "group=day", "group=week&from=2026-09-26", "from=2026-09-26"] {
        for kind in ["gold", "fx", "deposits"] {
            let document = house.json(&format!("/v1/history/{kind}?{query}&limit=5000")).await;
            let mut rows = Vec::new();
            for series in document["series"].as_array().unwrap() {
                for point in series["points"].as_array().unwrap() {
                    let mut row = series.as_object().unwrap().clone();
                    row.remove("points");
                    for (name, value) in point.as_object().unwrap() {
                        let side = !["at", "as_of", "source", "via", "changes"].contains(&name.as_str());
                        if side && query.contains("group") {
                            for part in ["first", "last", "low", "high"] {
                                row.insert(format!("{name}_{part}"), value[part].clone());
                            }
                        } else {
                            row.insert(name.clone(), value.clone());
                        }
                    }
                    rows.push(Value::Object(row));
                }
            }
            assert!(!rows.is_empty());
            let text = house.get(&format!("/v1/history/{kind}.ndjson?{query}")).await.text().await.unwrap();
            let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert_eq!(lines, rows, "{kind}?{query}");
            let text = house.get(&format!("/v1/history/{kind}.csv?{query}")).await.text().await.unwrap();
            let mut reader = csv::Reader::from_reader(text.as_bytes());
            let names = reader.headers().unwrap().clone();
            assert_eq!(names.len(), rows[0].as_object().unwrap().len(), "{kind}?{query}");
            let cells: Vec<Value> = reader
                .records()
                .zip(&rows)
                .map(|(record, row)| {
                    let cell = |(name, text): (&str, &str)| {
                        let value = match &row[name] {
                            Value::Null => "",
                            Value::String(text) => text,
                            number => &number.to_string(),
                        };
                        assert_eq!(text, value, "{kind}?{query} {name}");
                        row[name].clone()
                    };
                    names.iter().zip(record.unwrap().iter()).map(cell).collect()
                })
                .collect();
            assert_eq!(cells.len(), rows.len());
        }
    }
    house.app.stop().await;
}

/// A service over a store with so many changes of one rate, five minutes apart, and the folder in which that is.
async fn long_history(house: House, changes: u32) -> (House, crate::canary::Folder) {
    let store = house.folder.path().join("banggia.db");
    let (folder, bank) = (house.folder, house.bank);
    house.app.stop().await;
    {
        use sqlx::Connection as _;
        let mut connection =
            sqlx::SqliteConnection::connect(&format!("sqlite:{}", store.display())).await.unwrap();
        let text = format!(
            r#"INSERT INTO series VALUES ('bidv.fx.XAA', 'bidv.fx') ON CONFLICT DO NOTHING;
               WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {changes})
               INSERT INTO change (id, source, feed, at, as_of, figures)
               SELECT 'bidv.fx.XAA', 'board', 'bidv.fx', 1700000000 + i * 300, '"unstated"',
                 '{{"fx":{{"currency":"XAA","variant":null,"name":null,"per":1,"buy_cash":null,"buy_transfer":null,"sell":"' || (20000 + i % 9000) || '","sell_cash":null}}}}' FROM n"#
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
    let text = crate::house::config_text(&bank, &store);
    (House::of(bank, |_, _| text).await, folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn a09_a_reader_that_pauses_in_a_stream_holds_nobody_up_and_gets_all_of_it() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (house, _folder) = long_history(House::on_a_good_day().await, 60_000).await;
    let mut paused = Vec::new();
    // More than may read at once: who comes while too many do is asked to come again.
    while paused.len() < 6 {
        let mut stream = tokio::net::TcpStream::connect(house.app.public).await.unwrap();
        let request =
            "GET /v1/history/fx.ndjson?series=bidv.fx.XAA HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = vec![0; 64];
        stream.read_exact(&mut head).await.unwrap();
        if head.starts_with(b"HTTP/1.1 503 ") {
            continue;
        }
        assert!(head.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&head));
        paused.push((stream, head));
    }
    for _ in 0..5 {
        let page = house.json("/v1/history/fx?series=bidv.fx.XAA&group=day&limit=3").await;
        assert_eq!(page["series"][0]["points"].as_array().unwrap().len(), 3);
        keep(house.app.store(), WEEK).await;
    }
    for (mut stream, mut text) in paused {
        stream.read_to_end(&mut text).await.unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.ends_with("\r\n0\r\n\r\n"), "the end of the chunks");
        assert!(text.matches("\"at\":").count() >= 60_000);
    }
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_goes_away_is_told_before_the_first_byte_and_cuts_a_stream_off_after_it() {
    let (house, _folder) = long_history(House::on_a_good_day().await, 60_000).await;
    let mut stream = house.get("/v1/history/fx.csv?series=bidv.fx.XAA").await;
    assert_eq!(stream.status(), 200);
    let first = stream.chunk().await.unwrap().unwrap();
    assert!(first.starts_with(b"id,feed,provider,currency,"));
    house.app.store().close().await;
    let cut = loop {
        match stream.chunk().await {
            Ok(Some(_)) => {}
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(cut, "nobody takes half of it for the whole");
    for path in ["/v1/history/fx", "/v1/history/fx.csv", "/v1/history/fx.ndjson?group=day"] {
        let response = house.get(path).await;
        assert_eq!(
            (response.status().as_u16(), &response.headers()["retry-after"]),
            (503, &"5".parse().unwrap()),
            "{path}"
        );
        assert_eq!(response.headers()["content-type"], "application/problem+json");
    }
    assert_eq!(house.get("/v1/fx").await.status(), 200, "what is served from memory is not concerned");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_says_something_else_behind_a_fresh_one_is_no_part_of_a_history_until_it_is_served() {
    let folder = crate::canary::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("a.db").display());
    let feed = "ocb.deposit";
    let widget = tape(feed, "widget", 0)[""].clone();
    let table = include_str!("../../providers/fixtures/ocb/deposit.table.2026-08-11.html");
    let mut house = Simulation::on(&url, "2026-09-29T16:00:00+07:00", "").await;
    let mut told = Vec::new();
    for (when, widget_answers, says, wanted, source) in [
        ("2026-09-29T16:00:01+07:00", true, "6,1", "6.4", "widget"),
        ("2026-09-30T06:20:00+07:00", true, "6,0", "6.4", "widget"),
        // As long as the widget's word is fresh.
        ("2026-09-30T12:20:00+07:00", false, "6,0", "6.4", "widget"),
        ("2026-10-01T06:20:00+07:00", false, "6,0", "6.0", "table"),
        ("2026-10-01T12:20:00+07:00", false, "6,0", "6.0", "table"),
        ("2026-10-01T12:50:00+07:00", false, "5,9", "5.9", "table"),
        ("2026-10-01T13:20:00+07:00", true, "5,9", "6.4", "widget"),
        ("2026-10-01T13:50:00+07:00", true, "5,8", "6.4", "widget"),
    ] {
        let (text, page) = (table.replace("6,4", says).into_bytes(), widget.clone());
        house.world.script(feed, "table", Box::new(move |_| Ok(text.clone())));
        house.world.script(
            feed,
            "widget",
            Box::new(move |_| {
                widget_answers.then(|| page.clone()).ok_or_else(|| Outcome::Connect("ocb.com.vn".to_owned()))
            }),
        );
        house.move_to(at(when)).await;
        house.refresh(feed).await;
        if told.last() != Some(&wanted) {
            told.push(wanted);
        }
        for again in [false, true] {
            if again {
                // Whoever comes after it knows what the history ends with.
                house.app.stop().await;
                house = Simulation::on(&url, when, "").await;
            }
            let list = house.json("/v1/deposits?providers=ocb&terms=6&channel=counter").await;
            let quote = &list["quotes"][0];
            assert_eq!([&quote["rate_percent"], &quote["source"]], [wanted, source], "{when}");
            let history = house.json("/v1/history/deposits?series=ocb.deposit.counter.P6M").await;
            let points = history["series"][0]["points"].as_array().unwrap();
            let rates: Vec<&str> =
                points.iter().map(|point| point["rate_percent"].as_str().unwrap()).collect();
            assert_eq!(rates, told, "{when}, again {again}");
            assert_eq!(points.last().unwrap()["source"], source, "{when}");
        }
    }
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_not_what_was_written_are_left_out_and_nothing_else_is() {
    use sqlx::Connection as _;
    let folder = crate::canary::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("a.db").display());
    let store = Store::open(&url, Nature::Live).await.unwrap();
    let names = ["XAA", "XBB", "XCC", "XDD"];
    for (nth, (when, sell)) in WEEK.iter().enumerate() {
        let amount = |name: usize| sell + i64::try_from(1000 * nth + name).unwrap();
        let quotes = names.iter().enumerate().map(|(at, name)| rate(name, None, amount(at)));
        store.push(board("board", at(when), quotes.collect()));
    }
    store.flush().await;
    let ids: Vec<String> = names.iter().map(|name| format!("{FEED}.{name}")).collect();
    let read = async || {
        let feed = providers::feeds().find(|(_, feed)| feed.id == FEED).unwrap();
        let line = |id: &String| Line {
            id: id.clone(),
            institution: feed.0,
            feed: feed.1,
            quote: rate("XAA", None, 1),
            is_quoted: true,
        };
        let range = Range { from: None, until: i64::MAX };
        let manner = Manner { group: None, unit: WeightUnit::Luong };
        let mut walk = Walk::new(ids.iter().map(line).collect(), range, manner, (0, None));
        let mut counts = Vec::new();
        while walk.read(&store).await.unwrap() {
            while let Some(step) = walk.pop() {
                match step {
                    Step::Series(_) => counts.push(0),
                    Step::Point(_) => *counts.last_mut().unwrap() += 1,
                }
            }
        }
        counts
    };
    assert_eq!(read().await, [6; 4]);
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    let of = |name: &str, n: u32| {
        format!(
            "WHERE seq = (SELECT seq FROM change WHERE id = '{FEED}.{name}' ORDER BY at LIMIT 1 OFFSET {n})"
        )
    };
    for (deed, wanted) in [
        (format!("UPDATE change SET figures = replace(figures, '1', '2') {}", of("XAA", 1)), [5, 6, 6, 6]),
        // What stands between cells and between rows when they are read together.
        (format!("UPDATE change SET source = char(31) || char(30) || source {}", of("XBB", 0)), [5, 5, 6, 6]),
        // No text any more.
        (format!("UPDATE change SET figures = CAST(X'ff41' AS TEXT) {}", of("XCC", 3)), [5, 5, 5, 6]),
        (format!("UPDATE change SET as_of = as_of || ' ' {}", of("XDD", 5)), [5, 5, 5, 5]),
        (format!("UPDATE change SET sum = sum + 1 WHERE id = '{FEED}.XBB'"), [5, 0, 5, 5]),
    ] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(deed.clone())).execute(&mut connection).await.unwrap();
        assert_eq!(read().await, wanted, "{deed}");
    }
    connection.close().await.unwrap();
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_history_is_counted_but_a_304_never() {
    let house =
        House::with(|_| {}, |text| text.replacen("[server]\n", "[server]\nrate_limit = 3\n", 1)).await;
    house.settled().await;
    let page = "/v1/history/gold";
    let left = |response: &reqwest::Response| {
        response.headers()["ratelimit"].to_str().unwrap().split(';').nth(1).unwrap().to_owned()
    };
    let response = house.get(page).await;
    assert_eq!(left(&response), "r=2");
    let tag = response.headers()["etag"].to_str().unwrap().to_owned();
    for _ in 0..5 {
        for method in [Method::GET, Method::HEAD] {
            let response = house.request(method, page, &[("if-none-match", &tag)]).await;
            assert_eq!(response.status(), 304);
            assert!(!response.headers().contains_key("ratelimit"));
        }
    }
    assert_eq!(left(&house.request(Method::GET, page, &[("if-none-match", "\"x\"")]).await), "r=1");
    assert_eq!(left(&house.get("/v1/history/gold.csv").await), "r=0");
    for path in [page, "/v1/history/gold.ndjson"] {
        assert_eq!(house.get(path).await.status(), 429, "{path}");
    }
    assert_eq!(house.get("/v1/history/gold?group=year").await.status(), 422, "a refusal costs nothing");
    assert_eq!(house.request(Method::GET, page, &[("if-none-match", "\"x\"")]).await.status(), 429);
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_that_has_ended_keeps_for_a_day_and_for_good_where_it_cannot_change() {
    let house = House::on_a_good_day().await;
    let cache = async |house: &House, path: &str| {
        house.get(path).await.headers()["cache-control"].to_str().unwrap().to_owned()
    };
    let (day, fixed) = ("public, max-age=86400", "public, max-age=86400, immutable");
    for (path, wanted) in [
        ("gold?to=2026-09-30", day),
        ("gold?to=2026-09-30&providers=doji", fixed),
        ("gold.csv?to=2026-09-30&providers=tpbank", day),
        ("fx?to=2026-09-30&from=2026-09-01", day),
        ("deposits.ndjson?to=2026-09-30", fixed),
        ("deposits?to=2026-09-30&series=ocb.deposit.online.P6M", fixed),
    ] {
        assert_eq!(cache(&house, &format!("/v1/history/{path}")).await, wanted, "{path}");
    }
    let open = ["deposits", "fx?from=2026-09-01", "gold.csv", "gold?to=2999-01-01", "gold?limit=1"];
    for path in open {
        let found = cache(&house, &format!("/v1/history/{path}")).await;
        assert!(found.contains("stale-while-revalidate=300") && !found.contains("86400,"), "{path}: {found}");
    }
    // Where the operator drops what is old, nothing is for good; and that can be changed while the service runs.
    let house = house.restart(|text| format!("{text}[history]\nkeep = \"3650d\"\n")).await;
    assert_eq!(cache(&house, "/v1/history/deposits?to=2026-09-30").await, day);
    house.app.stop().await;
}

fn line(currency: &str) -> Line {
    let (institution, feed) = providers::feed(FEED).unwrap();
    Line {
        id: format!("{FEED}.{currency}"),
        institution,
        feed,
        quote: rate(currency, None, 1),
        is_quoted: true,
    }
}

async fn walked(
    store: &Store,
    lines: &[Line],
    range: Range,
    group: Option<Group>,
    rows: usize,
) -> Vec<(usize, Vec<Point>)> {
    let manner = Manner { group, unit: WeightUnit::Luong };
    let mut walk = Walk::new(lines.to_vec(), range, manner, (0, None)).at_once(rows);
    let mut found: Vec<(usize, Vec<Point>)> = Vec::new();
    loop {
        match walk.pop() {
            Some(Step::Series(number)) => found.push((number, Vec::new())),
            Some(Step::Point(point)) => found.last_mut().unwrap().1.push(point),
            None if walk.read(store).await.unwrap() => {}
            None => return found,
        }
    }
}

/// When, first, last, low and high of each side, and how many changes.
type Told = (i64, Vec<Option<[Decimal; 4]>>, u32);

/// What a history is, said in one piece.
fn oracle(rows: &[(i64, Quote)], range: Range, group: Option<Group>) -> Vec<Told> {
    let mut changes: Vec<&(i64, Quote)> = Vec::new();
    for row in rows {
        if changes.last().is_none_or(|last| !last.1.same_figures(&row.1)) {
            changes.push(row);
        }
    }
    let from = range.from.unwrap_or(i64::MIN);
    let mut told: Vec<&(i64, Quote)> =
        changes.iter().copied().filter(|(at, _)| *at >= from && *at < range.until).collect();
    let standing = changes.iter().copied().rfind(|(at, _)| *at < from);
    if let Some(standing) = standing {
        let begin = |second: i64| group.map_or(second, |group| group.begin(second));
        if told.first().is_none_or(|first| begin(first.0) != begin(from)) {
            let own = changes.iter().copied().filter(|(at, _)| *at < from && begin(*at) == begin(standing.0));
            let own: Vec<_> = if group.is_some() { own.collect() } else { vec![standing] };
            told.splice(0..0, own);
        }
    }
    let mut periods: Vec<(i64, Vec<&Quote>)> = Vec::new();
    for (at, quote) in told {
        let begin = group.map_or(*at, |group| group.begin(*at));
        match periods.last_mut().filter(|last| group.is_some() && last.0 == begin) {
            Some(last) => last.1.push(quote),
            None => periods.push((begin, vec![quote])),
        }
    }
    periods
        .into_iter()
        .map(|(begin, quotes)| {
            let spans = (0..4)
                .map(|side| {
                    let own: Vec<Decimal> =
                        quotes.iter().filter_map(|quote| sides(quote, WeightUnit::Luong)[side]).collect();
                    Some([*own.first()?, *own.last()?, *own.iter().min()?, *own.iter().max()?])
                })
                .collect();
            (begin, spans, u32::try_from(quotes.len()).unwrap())
        })
        .collect()
}

fn plain(points: &[Point]) -> Vec<Told> {
    let of = |point: &Point| match point {
        Point::Change { at, sides, .. } => {
            (at.as_second(), sides.iter().map(|side| side.map(|side| [side; 4])).collect(), 1)
        }
        Point::Period(Period { begin, sides, changes, .. }) => {
            let spans =
                sides.iter().map(|span| span.map(|span| [span.first, span.last, span.low, span.high]));
            (*begin, spans.collect(), *changes)
        }
    };
    points.iter().map(of).collect()
}

/// Rows of up to four rates over some weeks: hours apart or in one second, often the same again, sides that come and go.
fn rows() -> impl Strategy<Value = Vec<(usize, i64, Option<i64>, i64)>> {
    let row = (0..4_usize, 0..60_i64, prop::option::of(1..4_i64), 1..5_i64);
    prop::collection::vec(row, 0..80).prop_map(|mut rows| {
        for row in &mut rows {
            row.1 = 1_790_000_000 + row.1 * 7 * 3600;
        }
        rows.sort_by_key(|row| row.1);
        rows
    })
}

const CURRENCIES: [&str; 4] = ["XAA", "XAB", "XAC", "XAD"];

async fn filled(rows: &[(usize, i64, Option<i64>, i64)]) -> Store {
    let store = Store::open("sqlite::memory:", Nature::Live).await.unwrap();
    for (which, second, cash, sell) in rows {
        let when = Timestamp::from_second(*second).unwrap();
        // Whatever source it is of.
        let source = if sell % 2 == 0 { "board" } else { "other" };
        store.push(board(source, when, vec![rate(CURRENCIES[*which], *cash, *sell)]));
        store.flush().await;
    }
    assert_eq!(store.waiting(), 0);
    store
}

fn of(rows: &[(usize, i64, Option<i64>, i64)], which: usize) -> Vec<(i64, Quote)> {
    let own = rows.iter().filter(|row| row.0 == which);
    own.map(|(_, second, cash, sell)| (*second, rate(CURRENCIES[which], *cash, *sell))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_history_is_what_the_rows_say_however_many_are_read_at_once(
        rows in rows(), from in prop::option::of(0..60_i64), length in 0..60_i64, off in 0..3_i64, at_once in 1..40_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = filled(&rows).await;
            // Of the order of the alphabet nothing depends on.
            let order = [2, 0, 3, 1];
            let lines: Vec<Line> = order.iter().map(|which| line(CURRENCIES[*which])).collect();
            let from = from.map(|from| 1_790_000_000 + from * 7 * 3600 + off - 1);
            let range = Range { from, until: from.unwrap_or(1_790_000_000) + length * 7 * 3600 + 1 };
            for group in [None, Some(Group::Hour), Some(Group::Day), Some(Group::Week), Some(Group::Month)] {
                let found = walked(&store, &lines, range, group, at_once).await;
                let numbers: Vec<usize> = found.iter().map(|series| series.0).collect();
                assert_eq!(numbers, [0, 1, 2, 3], "each once, in order");
                for (number, points) in &found {
                    let wanted = oracle(&of(&rows, order[*number]), range, group);
                    assert_eq!(plain(points), wanted, "{group:?} {range:?} {}", lines[*number].id);
                }
            }
            store.close().await;
        });
    }

    #[test]
    fn days_that_are_thinned_out_say_the_same_but_for_how_many_changes_there_were(rows in rows(), days in 0..20_u64) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = filled(&rows).await;
            let lines: Vec<Line> = CURRENCIES.iter().map(|currency| line(currency)).collect();
            let (all, by_day) = (Range { from: None, until: i64::MAX / 2 }, Some(Group::Day));
            let told = |found: Vec<(usize, Vec<Point>)>| -> Vec<_> {
                let sides = |point: (i64, Vec<_>, u32)| (point.0, point.1);
                found.iter().map(|(_, points)| plain(points).into_iter().map(sides).collect::<Vec<_>>()).collect()
            };
            let before = told(walked(&store, &lines, all, by_day, 4000).await);
            let now = Timestamp::from_second(1_790_000_000 + 60 * 7 * 3600).unwrap();
            let wishes = Retention { keep: None, thin_after: Some(Duration::from_hours(days * 24)) };
            let Dropped { old, thinned } = store.retain(&wishes, now).await.unwrap();
            let mut left = 0;
            for line in &lines {
                left += store.changes(&line.id).await.unwrap();
            }
            assert_eq!((old, usize::try_from(left).unwrap() + thinned), (0, rows.len()));
            assert_eq!(told(walked(&store, &lines, all, by_day, 4000).await), before);
            assert_eq!(store.retain(&wishes, now).await.unwrap(), Dropped::default(), "once is enough");
            store.close().await;
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_older_than_the_operator_keeps_is_dropped_but_for_what_was_in_force_at_that_edge() {
    let store = Store::open("sqlite::memory:", Nature::Live).await.unwrap();
    keep(&store, WEEK).await;
    assert_eq!(
        store.retain(&Retention::default(), at("2036-01-01T00:00:00Z")).await.unwrap(),
        Dropped::default()
    );
    let wishes = Retention { keep: Some(Duration::from_hours(31 * 24)), thin_after: None };
    // The edge lies on Saturday.
    let dropped = store.retain(&wishes, at("2026-10-27T12:00:00+07:00")).await.unwrap();
    assert_eq!(dropped, Dropped { old: 2, thinned: 0 });
    let all = Range { from: None, until: i64::MAX / 2 };
    let found = walked(&store, &[line("XAA")], all, None, 4000).await;
    let told: Vec<String> = found[0].1.iter().fold(Vec::new(), |mut told, point| {
        if let Point::Change { at, sides, .. } = point {
            let mut text = String::new();
            write!(text, "{at} {}", sides[2].unwrap()).unwrap();
            told.push(text);
        }
        told
    });
    assert_eq!(told, ["2026-09-25T04:00:00Z 101", "2026-09-28T02:00:00Z 102", "2026-09-28T08:00:00Z 103"]);
    assert_eq!(store.retain(&wishes, at("2026-10-27T12:00:00+07:00")).await.unwrap(), Dropped::default());
    store.close().await;
}
