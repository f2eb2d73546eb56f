//! `at=`: what was served at a moment is what is told of it later, whatever happened since. A simulated service lives
//! through days of trouble and is asked for its past.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use banggia::{
    board::{Served, Snapshot, Status},
    clock::{Clock, later, rfc3339},
    past,
    store::{Mark, Past, PastBoard, Retention},
};
use jiff::{Timestamp, civil::Date};
use providers::{AsOf, Fx, Quote};
use reqwest::Method;
use serde_json::Value;

use crate::{
    damage::Dice,
    day::{Market, Published},
    house::House,
    world::{Simulation, at, recorded_sources, tape},
};

/// What was served at an instant: every quote with its times, and the bytes of the documents.
struct Moment {
    at: Timestamp,
    served: Vec<Told>,
    board: Value,
    csv: String,
}

/// Of one quote all that a reader can see.
#[derive(Debug, PartialEq)]
struct Told {
    id: String,
    quote: Quote,
    previous: Option<String>,
    as_of: AsOf,
    fetched_at: Timestamp,
    checked_at: Timestamp,
    changed_at: Timestamp,
    source: &'static str,
    status: Status,
}

fn told(snapshot: &Snapshot) -> Vec<Told> {
    let one = |feed: &'static str, served: &Served| Told {
        id: served.kept.quote.id(feed),
        quote: served.kept.quote.clone(),
        previous: served.kept.previous.as_ref().map(|previous| {
            let facts = crate::world::facts(std::slice::from_ref(previous));
            let sides: Vec<String> =
                facts.iter().map(|(_, side, figure)| format!("{side} {figure}")).collect();
            sides.join(", ")
        }),
        as_of: served.kept.as_of,
        fetched_at: served.kept.fetched_at,
        checked_at: served.kept.checked_at,
        changed_at: served.kept.changed_at,
        source: served.source.id,
        status: served.status,
    };
    let feeds = snapshot.feeds.iter();
    feeds.flat_map(|feed| feed.quotes.iter().map(move |served| one(feed.state.feed.id, served))).collect()
}

fn record(house: &Simulation, now: Timestamp) -> Moment {
    let snapshot = house.snapshot();
    let bytes = |name: &str| snapshot.documents[name].encoded.bytes().to_vec();
    Moment {
        at: now,
        served: told(&snapshot),
        board: serde_json::from_slice(&bytes("board")).unwrap(),
        csv: String::from_utf8(bytes("fx.csv")).unwrap(),
    }
}

/// A market of which half of all answers are something else than the truth, but for the first ones.
fn trouble(house: &Simulation, seed: u64, calm_until: Timestamp) {
    let published: Published = Arc::default();
    for (feed, source) in recorded_sources() {
        let market = Market {
            feed,
            source,
            tapes: [tape(feed.id, source.id, 0), tape(feed.id, source.id, 1)],
            clock: house.clock.clone(),
            published: Arc::clone(&published),
        };
        let mut dice = Dice::new(seed ^ (feed.id.len() * 31 + source.id.len()) as u64);
        let clock = house.clock.clone();
        house.world.script(
            feed.id,
            source.id,
            Box::new(move |request| {
                if clock.now() <= calm_until {
                    Ok(market.truth(request.step))
                } else {
                    market.answer(request.step, &mut dice)
                }
            }),
        );
    }
}

/// Every moment told again from the store, without HTTP; what differs is named.
async fn check(house: &Simulation, moments: &[Moment], what: &str) {
    let (present, began) = (house.snapshot(), std::time::Instant::now());
    for moment in moments {
        let stands = house.app.store().stands(moment.at).await.unwrap();
        let again = told(&past::board(&present, &stands.figures, moment.at));
        for (now, then) in again.iter().zip(&moment.served) {
            assert_eq!(now, then, "{what}, {}", rfc3339(moment.at));
        }
        assert_eq!(again.len(), moment.served.len(), "{what}, {}", rfc3339(moment.at));
    }
    println!("{what}: {} moments, {:?}", moments.len(), began.elapsed());
}

/// A history says what was served, when, and nothing else: where a source stands in for another without being asked anew, from its next
/// answer on.
async fn check_histories(house: &Simulation, moments: &[Moment]) {
    let store = house.app.store();
    let ids: BTreeSet<&String> =
        moments.iter().flat_map(|moment| &moment.served).map(|told| &told.id).collect();
    let (mut all, mut late) = (0, 0);
    for id in ids {
        let page = store.page(id, Mark::BEGINNING, Timestamp::MAX).await.unwrap();
        assert_eq!((page.next, page.damaged), (None, 0));
        let served = || {
            let of = |moment: &'_ Moment| moment.served.iter().position(|told| &told.id == id);
            moments.iter().filter_map(move |moment| Some((moment.at, &moment.served[of(moment)?])))
        };
        for change in &page.changes {
            let was = served().any(|(at, told)| at >= change.at && told.quote.same_figures(&change.quote));
            assert!(was, "{id} of {} at {} was never served", change.source, rfc3339(change.at));
            all += 1;
        }
        for (at, told) in served() {
            let last = page.changes.iter().rfind(|change| change.at <= at);
            let is_told = last.is_some_and(|change| change.quote.same_figures(&told.quote));
            if !is_told {
                assert!(told.checked_at < at, "{id} of {} at {}: {last:?}", told.source, rfc3339(at));
                late += 1;
            }
        }
    }
    println!("{all} changes in histories; {late} moments before a stand-in's next answer");
    assert!(all > 100);
}

fn query(at: Timestamp) -> String {
    format!("at={}", rfc3339(at).replace('+', "%2B"))
}

/// Some of them over HTTP: the quotes are the same JSON, the rows the same text.
async fn check_documents(house: &Simulation, moments: &[Moment]) {
    for moment in moments.iter().step_by(moments.len() / 12) {
        let board = house.json(&format!("/v1/board?{}", query(moment.at))).await;
        assert_eq!(board["generated_at"], rfc3339(moment.at));
        assert_eq!((&board["version"], &board["recorded"]), (&0.into(), &moment.board["recorded"]));
        for section in ["gold", "fx", "deposits"] {
            assert_eq!(board[section]["quotes"], moment.board[section]["quotes"], "{section}");
            let list = house.json(&format!("/v1/{section}?{}", query(moment.at))).await;
            assert_eq!(list["quotes"], moment.board[section]["quotes"], "{section}");
            for feed in list["feeds"].as_array().unwrap() {
                let then = moment.board[section]["feeds"].as_array().unwrap();
                let then = then.iter().find(|known| known["id"] == feed["id"]).unwrap();
                for field in ["status", "as_of", "checked_at", "changed_at", "fresh_until", "source"] {
                    assert_eq!(feed[field], then[field], "{field} of {}", feed["id"]);
                }
                // What is of the present is not in it.
                let code = feed["reason"]["code"].as_str();
                assert!(matches!(code, None | Some("missed")), "{code:?}");
            }
        }
        let csv = house.text(&format!("/v1/fx.csv?{}", query(moment.at))).await;
        assert_eq!(csv, moment.csv);
        let feeds = house.json(&format!("/v1/feeds?{}", query(moment.at))).await;
        for feed in feeds["feeds"].as_array().unwrap() {
            assert_eq!(feed["held"], serde_json::json!([]));
            let due = feed["next_refresh_at"].as_str().unwrap().parse::<Timestamp>().unwrap();
            assert!(due > moment.at);
            for source in feed["sources"].as_array().unwrap() {
                assert!(source["last_attempt_at"].is_null() && source["last_outcome"].is_null());
                assert!(source["state"] != "failing", "{source}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_moment_of_troubled_days_is_told_again_as_it_was_served_across_a_restart_and_after_a_backfill()
{
    let folder = crate::canary::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("banggia.db").display());
    let seed = crate::truth::number("BANGGIA_SEED", 20_260_930);
    let start = "2026-09-29T16:00:00+07:00";
    let moments: Mutex<Vec<Moment>> = Mutex::default();
    let keep = |house: &Simulation, now: Timestamp| {
        let mut moments = moments.lock().unwrap();
        // Of several at one second the last is what was served from then on.
        moments.retain(|known| known.at != now);
        moments.push(record(house, now));
    };
    let house = Simulation::on(&url, start, "").await;
    trouble(&house, seed, at(start));
    for (_, feed) in providers::feeds() {
        house.refresh(feed.id).await;
    }
    house.live_until(at("2026-09-30T11:00:00+07:00"), keep).await;
    let first = std::mem::take(&mut *moments.lock().unwrap());
    check(&house, &first, "the same run").await;
    *moments.lock().unwrap() = first;
    house.app.stop().await;

    // Two hours without anybody; then another day, and a calm evening.
    let back = "2026-09-30T13:00:00+07:00";
    let house = Simulation::on(&url, back, "").await;
    trouble(&house, seed ^ 1, at(back));
    for (_, feed) in providers::feeds() {
        house.refresh(feed.id).await;
    }
    house.live_until(at("2026-10-01T12:00:00+07:00"), keep).await;
    let mut moments = moments.into_inner().unwrap();
    check(&house, &moments, "after a restart").await;
    check_histories(&house, &moments).await;

    // Days before, and days that were lived through, are read after the fact.
    let dollar = |sell: i64| {
        Quote::Fx(Fx {
            currency: "USD".into(),
            variant: None,
            name: Some("US DOLLAR".to_owned()),
            per: 1,
            buy_cash: None,
            buy_transfer: None,
            sell: Some(sell.into()),
            sell_cash: None,
        })
    };
    let mut later_read = Past::open(&url, "vietcombank.fx", "json").await.unwrap();
    for (day, sell) in
        [("2026-09-10", 26_010), ("2026-09-11", 26_010), ("2026-09-14", 26_020), ("2026-09-30", 1)]
    {
        let day: Date = day.parse().unwrap();
        let board = PastBoard { day, as_of: AsOf::On(day), quotes: vec![dollar(sell)] };
        later_read.keep(&board, Clock::system().now()).await.unwrap();
    }
    check(&house, &moments, "after a backfill").await;
    check_documents(&house, &moments).await;

    // Where nobody watched, such a board is good until the end of its day, or until the moment.
    let fx = async |moment: &str| house.json(&format!("/v1/fx?{}", query(at(moment)))).await;
    for (moment, day, checked, change, changed) in [
        ("2026-09-10T15:00:00+07:00", "2026-09-10", "2026-09-10T15:00:00+07:00", Value::Null, "2026-09-10"),
        ("2026-09-11T15:00:00+07:00", "2026-09-11", "2026-09-11T15:00:00+07:00", Value::Null, "2026-09-10"),
        ("2026-09-13T09:00:00+07:00", "2026-09-11", "2026-09-11T23:59:59+07:00", Value::Null, "2026-09-10"),
        ("2026-09-15T09:00:00+07:00", "2026-09-14", "2026-09-14T23:59:59+07:00", "10".into(), "2026-09-14"),
    ] {
        let list = fx(moment).await;
        assert_eq!(list["quotes"].as_array().unwrap().len(), 1, "{moment}");
        let usd = &list["quotes"][0];
        let what = [&usd["as_of"], &usd["checked_at"], &usd["change_sell"], &usd["changed_at"]];
        let changed = format!("{changed}T12:00:00+07:00");
        assert_eq!(what, [&day.into(), &checked.into(), &change, &changed.into()], "{moment}");
        let fresh = usd["fresh_until"].as_str().unwrap().parse::<Timestamp>().unwrap() > at(moment);
        assert_eq!(usd["status"] == "fresh", fresh, "{moment}");
    }
    assert_eq!(fx("2026-09-10T11:59:59+07:00").await["quotes"], serde_json::json!([]), "not read yet");

    // What the operator lets go is refused, and what is left is told as before.
    let days = |days: u64| Duration::from_hours(days * 24);
    for (wishes, edge) in [
        (Retention { keep: Some(days(31)), thin_after: None }, "2026-09-30T15:00:00+07:00"),
        (Retention { keep: None, thin_after: Some(days(31)) }, "2026-10-01T00:00:00+07:00"),
    ] {
        let dropped = house.app.store().retain(&wishes, later(at(edge), days(31))).await.unwrap();
        assert!(dropped.old + dropped.thinned > 20, "{dropped:?}");
        moments.retain(|moment| moment.at >= at(edge));
        check(&house, &moments, &format!("{dropped:?}")).await;
        let last = at(edge) - Duration::from_secs(1);
        let url = format!("http://{}/v1/fx?{}", house.app.public, query(last));
        let answer = crate::house::client().get(url).send().await.unwrap();
        assert_eq!(answer.status(), 422);
        let problem: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        let allowed = &problem["errors"][0]["allowed"][0];
        assert_eq!(allowed, &format!("{edge} or later: what is older was dropped"), "{problem}");
    }
    house.app.stop().await;
    // Days in which the changes would have said it all test nothing.
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.path().join("banggia.db"));
    let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
    for (what, rows) in [
        ("rows that left the board", "SELECT count(*) FROM stood WHERE kept LIKE '%\"checked_at\":1%'"),
        ("rows that came back", "SELECT count(*) FROM stood WHERE kept LIKE '%\"checked_at\":null%'"),
    ] {
        let count: i64 = sqlx::query_scalar(rows).fetch_one(&mut connection).await.unwrap();
        println!("{what}: {count}");
        assert!(count > 0, "{what}");
    }
    let size: i64 = sqlx::query_scalar("SELECT sum(length(seconds)) FROM watched")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    let changes: i64 =
        sqlx::query_scalar("SELECT count(*) FROM change").fetch_one(&mut connection).await.unwrap();
    println!("{changes} changes; {size} bytes of checks");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moment_that_is_over_is_immutable_and_what_may_still_change_is_not() {
    let start = "2026-09-30T09:00:00+07:00";
    let house = Simulation::at(start, "").await;
    for (_, feed) in providers::feeds() {
        house.refresh(feed.id).await;
    }
    let (client, public) = (crate::house::client(), house.app.public);
    let ask = async |method: Method, path: &str, known: &str| {
        let request = client.request(method, format!("http://{public}{path}"));
        request.header("if-none-match", known).send().await.unwrap()
    };
    let get = async |path: &str| ask(Method::GET, path, "").await;
    let lifetime =
        |answer: &reqwest::Response| answer.headers()["cache-control"].to_str().unwrap().to_owned();
    let forever = "public, max-age=31536000, immutable";
    let own = query(at(start));
    let paths: Vec<String> = [
        "/v1/board?",
        "/v1/gold?unit=chi&",
        "/v1/gold.csv?",
        "/v1/fx?currencies=USD&",
        "/v1/deposits?",
        "/v1/feeds?",
        "/v1/convert?from=USD&to=VND&",
        "/widgets/panel?",
        "/fragments/fx?lang=en&",
        "/fragments/ticker.json?",
        "/images/gold.svg?",
        "/images/deposits.png?scale=2&",
    ]
    .iter()
    .map(|path| format!("{path}{own}"))
    .collect();

    // Just now: what happened may still be on its way to the disk.
    for path in &paths {
        let answer = get(path).await;
        assert_eq!(answer.status(), 200, "{path}");
        let cache = lifetime(&answer);
        assert!(cache.starts_with("public, max-age=") && !cache.contains("immutable"), "{path}: {cache}");
    }
    house.move_to(later(at(start), Duration::from_mins(6))).await;
    for path in &paths {
        let answer = get(path).await;
        assert_eq!((answer.status().as_u16(), lifetime(&answer).as_str()), (200, forever), "{path}");
        let tag = answer.headers()["etag"].to_str().unwrap().to_owned();
        let bytes = answer.bytes().await.unwrap();
        let head = ask(Method::HEAD, path, "").await;
        assert_eq!(head.headers()["content-length"], bytes.len().to_string().as_str(), "{path}");
        let unchanged = ask(Method::GET, path, &tag).await;
        assert_eq!((unchanged.status().as_u16(), lifetime(&unchanged).as_str()), (304, forever), "{path}");
        assert_eq!(get(path).await.bytes().await.unwrap(), bytes, "{path}");
    }
    let reads = house.app.site().moments.readings();
    assert!(reads <= 2, "one read a moment, and one before it was over: {reads}");

    // Before there was anything: an answer, for a short time.
    let before = query(at("2026-09-01T10:00:00+07:00"));
    let answer = get(&format!("/v1/fx?{before}")).await;
    assert!(!lifetime(&answer).contains("immutable"));
    let list: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(list["quotes"], serde_json::json!([]));
    assert!(list["feeds"].as_array().unwrap().iter().all(|feed| feed["status"] == "unavailable"));
    assert_eq!(get(&format!("/v1/convert?from=USD&to=VND&{before}")).await.status(), 422);

    // One moment, however it is written: bytes and tag are the same, the end of a day too.
    house.move_to(at("2026-10-01T09:00:00+07:00")).await;
    let tag = async |at: &str| get(&format!("/v1/gold?at={at}")).await.headers()["etag"].clone();
    let canonical = tag("2026-09-30T09:30:00%2B07:00").await;
    for other in ["2026-09-30T09:30:00+07:00", "2026-09-30T02:30:00Z", "2026-09-29T21%3A30:00-05:00"] {
        assert_eq!(tag(other).await, canonical, "{other}");
    }
    assert_eq!(tag("2026-09-30").await, tag("2026-09-30T23:59:59%2B07:00").await);

    // What cannot be asked for is named with what can.
    for wrong in [
        "2026-10-01",
        "2026-10-01T09:00:01Z",
        "2027-01-01",
        "1999-12-31",
        "yesterday",
        "",
        "2026-09-30T09:30:00",
        "2026-09-30T09:30:00.5Z",
        "%3Cb%3E",
    ] {
        for path in
            ["/v1/gold", "/v1/board", "/v1/convert", "/widgets/panel", "/images/fx.png", "/fragments/fx.json"]
        {
            let answer = get(&format!("{path}?at={wrong}")).await;
            assert_eq!(
                (answer.status().as_u16(), lifetime(&answer).as_str()),
                (422, "no-store"),
                "{path} {wrong}"
            );
            let problem: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
            assert_eq!(problem["errors"][0]["parameter"], "at");
            let allowed = problem["errors"][0]["allowed"].to_string();
            assert!(allowed.contains("2000-01-01") && allowed.contains("2026-09-30"), "{allowed}");
        }
    }
    assert_eq!(get(&format!("/v1/board?{own}&colour=red")).await.status(), 422);
    assert_eq!(get(&format!("/v1?{own}")).await.status(), 422, "no figures there");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_that_a_backfill_can_still_fill_is_not_immutable_and_shows_the_figures_once_it_is_filled() {
    let folder = crate::canary::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("banggia.db").display());
    // A Friday; nobody watches from then on, until the Wednesday after it.
    let house = Simulation::on(&url, "2026-10-02T10:00:00+07:00", "").await;
    for (feed, source) in recorded_sources() {
        house.world.says(feed.id, source.id, tape(feed.id, source.id, 0));
    }
    for (_, feed) in providers::feeds() {
        house.refresh(feed.id).await;
    }
    house.app.store().flush().await;
    house.move_to(at("2026-10-07T10:15:00+07:00")).await;
    let client = crate::house::client();
    let get = async |path: &str| {
        let answer = client.get(format!("http://{}{path}", house.app.public)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let cache = answer.headers()["cache-control"].to_str().unwrap().to_owned();
        (cache, answer.text().await.unwrap())
    };
    for (path, moment, is_fixed) in [
        // Somebody watched that day, before the moment.
        ("/v1/board?", "2026-10-02", true),
        ("/v1/board?", "2026-10-02T10:00:00%2B07:00", true),
        ("/v1/fx?providers=vietcombank&", "2026-10-02T09:59:59%2B07:00", false),
        ("/v1/fx?providers=vietcombank&", "2026-10-07T09:59:59%2B07:00", false),
        // Of a weekend there is no board of Vietcombank; a Saturday's of BIDV there may be.
        ("/v1/fx?providers=vietcombank&", "2026-10-03", true),
        ("/v1/fx?providers=vietcombank&", "2026-10-04", true),
        ("/v1/fx?providers=bidv&", "2026-10-03", false),
        ("/v1/fx?providers=bidv&", "2026-10-04", false),
        ("/v1/convert?from=USD&to=VND&provider=vietcombank&", "2026-10-04", true),
        // A Tuesday without anybody.
        ("/v1/fx?currencies=USD&", "2026-10-06", false),
        ("/v1/fx?providers=vietcombank&", "2026-10-06", false),
        ("/v1/fx.csv?", "2026-10-06", false),
        ("/v1/feeds?", "2026-10-06", false),
        ("/v1/convert?from=USD&to=VND&provider=vietcombank&", "2026-10-06", false),
        ("/v1/convert?from=USD&to=VND&", "2026-10-06", false),
        ("/fragments/fx?", "2026-10-06", false),
        ("/images/fx.svg?", "2026-10-06", false),
        ("/v1/gold?", "2026-10-06", false),
        // What no backfill reads.
        ("/v1/gold?providers=doji&", "2026-10-06", true),
        ("/v1/deposits?", "2026-10-06", true),
        ("/widgets/deposits?", "2026-10-06", true),
    ] {
        let (cache, _) = get(&format!("{path}at={moment}")).await;
        assert_eq!(cache.contains("immutable"), is_fixed, "{path}at={moment}: {cache}");
        let seconds = cache.trim_start_matches("public, max-age=").split(',').next().unwrap();
        let seconds: u32 = seconds.parse().unwrap();
        assert!(is_fixed || (5..=60).contains(&seconds), "{path}at={moment}: {cache}");
    }
    // A chart that ends there lasts as long as any range that has ended.
    for (series, wanted) in
        [("vietcombank.fx.USD", "public, max-age=86400"), ("doji.gold.sjc-bar.hanoi", "immutable")]
    {
        let (cache, _) = get(&format!("/fragments/chart?series={series}&at=2026-10-06")).await;
        assert!(cache.ends_with(wanted), "{series}: {cache}");
    }

    let paths =
        ["/v1/fx?providers=vietcombank&currencies=USD&", "/v1/fx.csv?currencies=USD&", "/fragments/fx?"];
    let told = async || {
        let mut told = Vec::new();
        for path in paths {
            told.push(get(&format!("{path}at=2026-10-06")).await.1);
        }
        told
    };
    let before = told().await;
    let mut later_read = Past::open(&url, "vietcombank.fx", "json").await.unwrap();
    let day: Date = "2026-10-06".parse().unwrap();
    let usd = r#"{"fx":{"currency":"USD","name":"US DOLLAR","per":1,"sell":"26437"}}"#;
    let quotes = vec![serde_json::from_str(usd).unwrap()];
    let board = PastBoard { day, as_of: AsOf::On(day), quotes };
    assert_eq!(later_read.keep(&board, Clock::system().now()).await.unwrap(), 1);
    house.move_to(at("2026-10-07T10:15:05+07:00")).await;
    let after = told().await;
    for (n, mark) in ["\"26437\"", ",26437,", "26.437"].into_iter().enumerate() {
        assert!(!before[n].contains(mark), "{}", paths[n]);
        assert!(after[n].contains(mark), "{}: {}", paths[n], after[n]);
    }
    // The day that was watched does not know of it.
    let (cache, text) = get("/v1/fx?providers=vietcombank&currencies=USD&at=2026-10-02").await;
    assert!(cache.contains("immutable") && !text.contains("26437"), "{cache}: {text}");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_widget_of_a_moment_says_so_in_both_languages_and_never_grows_old() {
    let start = "2026-09-30T10:05:00+07:00";
    let house = Simulation::at(
        start,
        "[presets.article]\nwidget = \"gold\"\ntheme = \"dark\"\n[presets.article2]\nwidget = \"fx\"\nlang = \"en\"\n",
    )
    .await;
    for (_, feed) in providers::feeds() {
        house.refresh(feed.id).await;
    }
    house.move_to(at("2027-09-30T10:05:00+07:00")).await;
    let own = query(at(start));
    for (lang, moment, reference) in [
        ("vi", "Số liệu lúc 10:05 30/09/2026", "giá tham khảo"),
        ("en", "As of 30 Sept 2026, 10:05", "reference"),
    ] {
        for kind in ["panel", "gold", "fx", "deposits", "ticker"] {
            for path in [
                format!("/widgets/{kind}?lang={lang}&{own}"),
                format!("/fragments/{kind}?lang={lang}&{own}"),
                format!("/fragments/{kind}.json?lang={lang}&{own}"),
                format!("/images/{kind}.svg?lang={lang}&{own}"),
            ] {
                let text = house.text(&path).await;
                assert!(text.contains(moment), "{path}: {text}");
                assert!(text.to_lowercase().contains(reference), "{path}: {text}");
                let markup = text.split("<script>").next().unwrap();
                assert!(!markup.contains("data-f") && !markup.contains("data-late"), "{path}");
                assert!(!markup.contains("class=\"bgia-old"), "{path}");
            }
            let now = house.text(&format!("/widgets/{kind}?lang={lang}")).await;
            assert!(!now.contains(moment), "{kind}");
        }
    }
    // Whoever is given the address of such a page embeds that page, with the band's height.
    let page = format!("http://127.0.0.1:8080/widgets/gold?{own}");
    let described = async |page: &str| {
        let url = url::form_urlencoded::Serializer::new(String::new()).append_pair("url", page).finish();
        house.json(&format!("/oembed?{url}")).await
    };
    let embed = described(&page).await;
    assert!(embed["html"].as_str().unwrap().contains(&own), "{embed}");
    let now = described("http://127.0.0.1:8080/widgets/gold").await;
    assert_eq!(embed["height"].as_u64().unwrap(), now["height"].as_u64().unwrap() + 30);
    // The page's moment stands beside its preset.
    assert!(house.text(&format!("/widgets/gold?preset=article&{own}")).await.contains("Số liệu lúc 10:05"));
    let page = house.text(&format!("/widgets/fx?{own}&preset=article2")).await;
    assert!(page.contains("As of 30 Sept 2026"), "{page}");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a35_ten_thousand_moments_cost_a_client_its_share_and_the_service_a_bounded_memory() {
    let house =
        House::with(|_| {}, |text| text.replacen("[server]\n", "[server]\nrate_limit = 20\n", 1)).await;
    house.settled().await;
    let now = Clock::system().now().as_second();
    let mut statuses: BTreeMap<u16, u32> = BTreeMap::new();
    let all: Vec<i64> = (0..10_000).map(|n| now - 100 - n * 61).collect();
    for batch in all.chunks(50) {
        let answers = batch.iter().enumerate().map(async |(n, second)| {
            let at = query(Timestamp::from_second(*second).unwrap());
            let path = ["/v1/board", "/v1/gold", "/widgets/panel", "/images/fx.svg"][n % 4];
            let claim = [("if-none-match", "\"00000000000000000000000000000000\"")];
            let headers = if n % 5 == 0 { &claim[..] } else { &[] };
            house.request(Method::GET, &format!("{path}?{at}"), headers).await.status().as_u16()
        });
        for status in futures_util::future::join_all(answers).await {
            *statuses.entry(status).or_default() += 1;
        }
    }
    println!("{statuses:?}");
    assert!(statuses.keys().all(|status| [200, 429, 503].contains(status)), "{statuses:?}");
    assert!((1..=120).contains(&statuses[&200]), "twenty at once and twenty a minute: {statuses:?}");
    let site = house.app.site();
    assert!(site.moments.at_hand().await <= 16);
    // Who only claims to know an answer may look as often as others may ask.
    assert!(site.moments.readings() <= 200, "{}", site.moments.readings());
    let (_, bytes) = site.derived.size().await;
    assert!(bytes <= 3 << 20, "{bytes}");
    // The present is not touched by it.
    let answer = house.get("/v1/board").await;
    assert_eq!(answer.status(), 200);
    assert!(!answer.headers().contains_key("ratelimit"));
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn four_widgets_of_one_moment_are_one_read_and_the_present_is_none() {
    let house = House::on_a_good_day().await;
    for path in ["/v1/board", "/v1/gold?unit=chi", "/widgets/panel?lang=en", "/images/fx.svg", "/"] {
        assert_eq!(house.get(path).await.status(), 200, "{path}");
    }
    assert_eq!(house.app.site().moments.readings(), 0, "only the past is in the store");
    let own = query(Clock::system().now());
    let paths = ["/widgets/panel", "/widgets/gold", "/fragments/fx", "/images/deposits.svg"];
    let (house_of, own) = (&house, &own);
    let answers = paths.map(async |path| house_of.get(&format!("{path}?{own}")).await);
    for answer in futures_util::future::join_all(answers).await {
        assert_eq!(answer.status(), 200);
    }
    assert_eq!(house.app.site().moments.readings(), 1);
    house.app.stop().await;
}
