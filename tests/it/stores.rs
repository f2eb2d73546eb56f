//! One store, two bases: whatever is written to a file and to a server in the same order is read from both alike, to the bit; and what
//! only a server has: replicas that begin at once, an epoch that refuses a late leader, a schema of another version.

use std::{borrow::Cow, collections::BTreeMap, fmt::Write as _, time::Duration};

use banggia::{
    judge::hold::Held,
    store::{
        Act, Answer, Attempt, Kept, Nature, Past, PastBoard, Published, Remark, Retention, Store, StoreError,
    },
};
use jiff::Timestamp;
use providers::{AsOf, Quote, Reason};

use crate::{
    persistence::{Dice, seed},
    postgres::{Bouncer, PASSWORD, Postgres},
    service::{banggia, number, write_config},
};

const FEEDS: [(&str, &str); 3] =
    [("doji.gold", "board"), ("vietcombank.fx", "json"), ("ocb.deposit", "table")];
/// 2026-10-01T00:00:00+07:00; with the months that come after it, so that history is divided.
const BEGIN: i64 = 1_790_787_600;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A figure of a feed: one of a few keys, whose order is not the same in every alphabet.
fn quote(feed: &str, dice: &mut Dice) -> Quote {
    let n = dice.roll(5);
    let amount = 100 + dice.roll(40);
    let figures = match feed {
        "doji.gold" => {
            let product = ["ring-9999", "ring", "Ring-x", "sjc-bar", "sjc_bar"][usize::try_from(n).unwrap()];
            let place = if dice.roll(2) == 0 { "null" } else { "\"hanoi\"" };
            format!(
                r#"{{"gold":{{"product":"{product}","code":null,"name":"NHẪN TRÒN Đặc biệt \"{n}\"","place":{place},
                "unit":"luong","currency":"VND","buy":null,"sell":"{amount}500.00"}}}}"#
            )
        }
        "vietcombank.fx" => {
            let currency = ["USD", "EUR", "JPY", "AUD", "usd"][usize::try_from(n).unwrap()];
            format!(
                r#"{{"fx":{{"currency":"{currency}","variant":null,"name":"ĐÔ LA Ả RẬP","per":1,"buy_cash":"{amount}.10",
                "buy_transfer":null,"sell":"{amount}.90","sell_cash":null}}}}"#
            )
        }
        _ => format!(
            r#"{{"deposit":{{"term":"P{}M","channel":"online","customer":"personal","payout":null,"place":null,
            "currency":"VND","min_amount":null,"rate_percent":"{}.5","effective_from":"2026-09-30"}}}}"#,
            n + 1,
            amount % 10
        ),
    };
    serde_json::from_str(&figures).unwrap_or_else(|error| panic!("{error}: {figures}"))
}

fn as_of(second: i64, dice: &mut Dice) -> AsOf {
    match dice.roll(3) {
        0 => AsOf::At(at(second)),
        1 => AsOf::On(jiff::civil::date(2026, 10, 1)),
        _ => AsOf::Unstated,
    }
}

fn answer(second: i64, dice: &mut Dice) -> Answer {
    let (feed, source) = FEEDS[usize::try_from(dice.roll(3)).unwrap()];
    let mut quotes: BTreeMap<String, (Kept, bool)> = BTreeMap::new();
    for _ in 0..=dice.roll(4) {
        let quote = quote(feed, dice);
        let kept = Kept {
            previous: (dice.roll(2) == 0).then(|| quote.clone()),
            as_of: as_of(second, dice),
            fetched_at: at(second),
            checked_at: at(second + 1),
            changed_at: at(second),
            quote,
        };
        quotes.insert(kept.quote.key(), (kept, dice.roll(3) > 0));
    }
    let keys: Vec<String> = quotes.keys().cloned().collect();
    let held = (dice.roll(3) == 0).then(|| {
        let held = |quote: Quote| Held {
            quote,
            as_of: AsOf::Unstated,
            reasons: vec![Reason::new("jump", "tăng 7 % so với giá trước")],
            since: at(second),
            polls: 2,
            operator_only: false,
            refused: false,
        };
        keys.iter().take(2).map(|key| (key.clone(), held(quotes[key].0.quote.clone()))).collect()
    });
    let failed = dice.roll(4) == 0;
    Answer {
        feed: Cow::Borrowed(feed),
        source: Cow::Borrowed(source),
        attempt: Attempt {
            at: at(second),
            outcome: if failed { "timeout" } else { "ok" }.to_owned(),
            reason: failed.then(|| Reason::new("timeout", "không trả lời")),
        },
        dropped: if dice.roll(5) == 0 { keys.iter().take(1).cloned().collect() } else { Vec::new() },
        quotes: quotes.into_values().collect(),
        keys,
        held,
    }
}

/// The same deeds for the same seed.
async fn play(store: &Store, url: &str, seed: u64, deeds: u64) {
    // A file is this process's; a server's prices are the leader's.
    let lease = store.take_lease(Duration::from_mins(10)).await.unwrap();
    assert_eq!(lease.is_some(), store.is_shared());
    let mut documents: BTreeMap<&str, i64> = BTreeMap::new();
    for deed in 0..deeds {
        let mut dice = Dice::of(seed, deed);
        // Some days at a time, so that some months pass.
        let second = BEGIN + i64::try_from(deed * 40_000 + dice.roll(30_000)).unwrap();
        match dice.roll(6) {
            0 => {
                let name = ["/v1/gold", "feed:doji.gold", "/v1/Gold"][usize::try_from(dice.roll(3)).unwrap()];
                // Sometimes an older one, which must not win.
                let version = i64::try_from(1000 + deed - dice.roll(3)).unwrap();
                let version = *documents.entry(name).and_modify(|old| *old = version).or_insert(version);
                let published = Published { version, generated_at: at(second), hash: format!("h{deed}") };
                store.publish(&[(name.to_owned(), published)]).await.unwrap();
            }
            1 => store.push_act(Act {
                at: at(second),
                via: "api".to_owned(),
                action: "schedule".to_owned(),
                target: "doji.gold".to_owned(),
                before: (dice.roll(2) == 0).then(|| "*/5 * * * *".to_owned()),
                after: Some("* * * * *; DROP TABLE audit; -- $1 'ngày'".to_owned()),
                outcome: "done".to_owned(),
            }),
            _ => store.push(answer(second, &mut dice)),
        }
        store.flush().await;
        assert_eq!((store.errors(), store.waiting()), (0, 0), "deed {deed}");
    }
    let (feed, source) = FEEDS[1];
    let mut past = Past::open(url, feed, source).await.unwrap();
    for step in 0..deeds / 4 {
        let mut dice = Dice::of(seed, 1_000_000 + step);
        let day = jiff::civil::date(2026, 8, 1)
            .checked_add(jiff::Span::new().days(i64::try_from(step).unwrap()))
            .unwrap();
        let noon = BEGIN + 86_400 * i64::try_from(step).unwrap();
        match dice.roll(4) {
            0 => past.keep_none(&[day, day.tomorrow().unwrap()], at(noon)).await.unwrap(),
            1 => past.keep_wait(at(noon)).await.unwrap(),
            _ => {
                let quotes: BTreeMap<String, Quote> =
                    (0..3).map(|_| quote(feed, &mut dice)).map(|quote| (quote.key(), quote)).collect();
                let board = PastBoard { day, as_of: AsOf::Unstated, quotes: quotes.into_values().collect() };
                past.keep(&board, at(noon)).await.unwrap();
                assert_eq!(
                    past.keep(&board, at(noon)).await.unwrap(),
                    0,
                    "the same board again is nothing new"
                );
            }
        }
    }
}

/// Everything that can be read, as text.
async fn told(store: &Store, url: &str) -> String {
    let mut text = String::new();
    for (feed, source) in FEEDS {
        let kept = store.source(feed, source).await.unwrap();
        writeln!(text, "{feed} {source} {kept:#?}").unwrap();
        writeln!(text, "held {:#?}", store.held(feed, source).await.unwrap()).unwrap();
        let mut past = Past::open(url, feed, source).await.unwrap();
        let (settled, waits) = (past.settled().await.unwrap(), past.waits_until().await.unwrap());
        writeln!(text, "settled {settled:?}, waits {waits:?}").unwrap();
    }
    for day in [5, 40, 90] {
        let stands = store.stands(at(BEGIN + 86_400 * day)).await.unwrap();
        writeln!(text, "day {day}: {stands:#?}").unwrap();
    }
    for (feed, _) in FEEDS {
        writeln!(text, "series of {feed}: {:#?}", store.series_of(feed).await.unwrap()).unwrap();
    }
    let mut documents = store.documents().await.unwrap();
    documents.sort_by(|a, b| a.0.cmp(&b.0));
    writeln!(text, "{documents:#?}").unwrap();
    writeln!(text, "{:#?}", store.acts(50).await.unwrap()).unwrap();
    let mut series = store.series(url).await.unwrap();
    series.sort_by(|a, b| a.id.cmp(&b.id));
    assert!(series.len() >= 10, "{series:?}");
    for series in series {
        writeln!(text, "{} of {}: {}", series.id, series.feed, store.changes(&series.id).await.unwrap())
            .unwrap();
        for (from, until) in [(0, i64::MAX / 1_000_000_000), (BEGIN + 86_400 * 20, BEGIN + 86_400 * 60)] {
            let mut mark = store.mark_before(&series.id, at(from)).await.unwrap();
            loop {
                let page = store.page(&series.id, mark, at(until)).await.unwrap();
                assert_eq!(page.damaged, 0);
                writeln!(text, "{:#?}", page.changes).unwrap();
                let Some(next) = page.next else { break };
                mark = next;
            }
        }
        for (feed, source) in FEEDS.into_iter().filter(|(feed, _)| *feed == series.feed) {
            let since = store.changes_since(&series.id, source, at(BEGIN + 86_400 * 30)).await.unwrap();
            writeln!(text, "since, {feed}: {since:#?}").unwrap();
        }
    }
    text
}

/// The first line in which two texts differ, with those before it.
fn difference(a: &str, b: &str) -> Option<String> {
    let (a, b): (Vec<_>, Vec<_>) = (a.lines().collect(), b.lines().collect());
    let at = (0..a.len().max(b.len())).find(|at| a.get(*at) != b.get(*at))?;
    let before = a[at.saturating_sub(12)..at].join("\n");
    Some(format!("{before}\n- {:?}\n+ {:?}", a.get(at), b.get(at)))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_to_a_file_and_to_a_server_is_read_from_both_alike() {
    let Some(server) = Postgres::start() else { return };
    let (seed, deeds) = (seed(), number("BANGGIA_DEEDS", 150));
    println!("{deeds} deeds, seed {seed}");
    let folder = crate::canary::tempdir().unwrap();
    let file = format!("sqlite:{}", folder.path().join("banggia.db").display());
    let url = server.url(&server.database());
    let mut texts = Vec::new();
    for url in [&file, &url] {
        let store = Store::open(url, Nature::Live).await.unwrap();
        play(&store, url, seed, deeds).await;
        texts.push(told(&store, url).await);
        // And again by whoever comes after it.
        store.close().await;
        let store = Store::open(url, Nature::Live).await.unwrap();
        let again = told(&store, url).await;
        assert_eq!(difference(&texts[texts.len() - 1], &again), None, "{url}");
        store.close().await;
    }
    let difference = difference(&texts[0], &texts[1]);
    assert!(difference.is_none(), "a file and a server differ, seed {seed}:\n{}", difference.unwrap());
    assert!(texts[0].lines().count() > 1000, "{}", texts[0].lines().count());
    println!("{} lines read from each", texts[0].lines().count());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_file_keeps_goes_over_to_a_server_whole_and_only_to_one_that_nobody_uses() {
    let Some(server) = Postgres::start() else { return };
    let (seed, deeds) = (seed(), number("BANGGIA_DEEDS", 150));
    println!("{deeds} deeds, seed {seed}");
    let folder = crate::canary::tempdir().unwrap();
    let file = format!("sqlite:{}", folder.path().join("banggia.db").display());
    let name = server.database();
    let url = server.url(&name);
    let from = Store::open(&file, Nature::Live).await.unwrap();
    play(&from, &file, seed, deeds).await;
    let config = write_config(folder.path(), "banggia.toml", "");
    let transfer = |from: &str| {
        let mut command = banggia();
        command.args(["transfer", "--from", from, "--config"]).arg(&config).env("BANGGIA_STORE__URL", &url);
        let done = command.output().unwrap();
        let said = [done.stdout, done.stderr].map(|said| String::from_utf8(said).unwrap());
        for said in &said {
            crate::canary::said(said.as_bytes());
            assert!(!said.contains(PASSWORD), "{said}");
        }
        (done.status.code(), said)
    };
    let (code, [out, err]) = transfer(&file);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    for table in ["change", "quote", "audit", "held", "backfill", "document"] {
        let copied =
            format!("{table}: {} rows copied", server.count(&name, &format!("SELECT count(*) FROM {table}")));
        assert!(out.lines().any(|line| line == copied) && !copied.contains(": 0 "), "{copied}\n{out}");
    }
    let to = Store::open(&url, Nature::Live).await.unwrap();
    let difference = difference(&told(&from, &file).await, &told(&to, &url).await);
    assert!(difference.is_none(), "a file and its copy differ, seed {seed}:\n{}", difference.unwrap());
    // A server that somebody uses keeps what it has, whatever the file says.
    let used = told(&to, &url).await;
    let (code, [out, err]) = transfer(&file);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert_eq!(err.lines().count(), 1, "{err}");
    assert!(err.contains(&StoreError::NotEmpty.to_string()), "{err}");
    assert_eq!(told(&to, &url).await, used);
    // Nor is there anything to copy from a file that is not there, and none is made.
    let missing = folder.path().join("missing.db");
    let (code, [_, err]) = transfer(&format!("sqlite:{}", missing.display()));
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("missing.db does not exist") && !missing.exists(), "{err}");
    from.close().await;
    to.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_begin_at_once_make_one_schema_and_one_of_them_leads() {
    let Some(server) = Postgres::start() else { return };
    let name = server.database();
    let url = server.url(&name);
    let opened = futures_util::future::join_all((0..8).map(|_| Store::open(&url, Nature::Live))).await;
    let stores: Vec<Store> = opened.into_iter().map(Result::unwrap).collect();
    // Who came while another one made it may have taken the server for one that is away, and looks again.
    let prepared = futures_util::future::join_all(stores.iter().map(Store::prepare));
    let failed: Vec<_> = prepared.await.into_iter().filter_map(Result::err).collect();
    assert!(failed.is_empty(), "{failed:?}\n{}", server.log());
    let taken =
        futures_util::future::join_all(stores.iter().map(|store| store.take_lease(Duration::from_mins(1))));
    let epochs: Vec<i64> = taken.await.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(epochs, [1]);
    assert_eq!(server.count(&name, "SELECT count(*) FROM lease"), 1);
    assert_eq!(server.sql(&name, "SELECT count(DISTINCT key), count(*) FROM meta"), "2|2");
    // A lease that has passed is another one's, once.
    server.sql(&name, "UPDATE lease SET until = now() - interval '1 second'");
    let taken =
        futures_util::future::join_all(stores.iter().map(|store| store.take_lease(Duration::from_mins(1))));
    let epochs: Vec<i64> = taken.await.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(epochs, [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn p15_what_is_written_under_an_earlier_epoch_is_refused_and_nothing_of_it_appears() {
    let Some(server) = Postgres::start() else { return };
    let Some(bouncer) = Bouncer::before(&server) else { return };
    let name = server.database();
    for (begin, url) in [(BEGIN, server.url(&name)), (BEGIN + 1000, bouncer.url(&name))] {
        let (old, new) =
            (Store::open(&url, Nature::Live).await.unwrap(), Store::open(&url, Nature::Live).await.unwrap());
        let lasts = Duration::from_mins(1);
        let epoch = old.take_lease(lasts).await.unwrap().unwrap();
        assert_eq!(new.take_lease(lasts).await.unwrap(), None, "it is taken");
        old.push(answer(begin, &mut Dice::of(1, 1)));
        old.flush().await;
        let content = || {
            server.sql(
                &name,
                "SELECT (SELECT string_agg(change::text, '' ORDER BY seq) FROM change),
                 (SELECT string_agg(quote::text, '' ORDER BY id) FROM quote),
                 (SELECT string_agg(document::text, '' ORDER BY name) FROM document),
                 (SELECT string_agg(publication::text, '') FROM publication)",
            )
        };
        let before = content();
        assert!(before.len() > 100, "the leader writes: {before}");
        // It sleeps; another one takes over.
        server.sql(&name, "UPDATE lease SET until = now() - interval '1 second'");
        assert_eq!(new.take_lease(lasts).await.unwrap(), Some(epoch + 1));
        old.push(answer(begin + 60, &mut Dice::of(2, 2)));
        old.flush().await;
        assert_eq!((old.waiting(), old.epoch()), (0, None), "given up, and it knows that it does not lead");
        let published = Published { version: 1 << 40, generated_at: at(begin), hash: "late".to_owned() };
        assert!(old.publish(&[("/v1/gold".to_owned(), published.clone())]).await.is_err());
        let publication = banggia::store::Publication {
            version: 1 << 40,
            at: at(begin),
            documents: vec![("/v1/gold".to_owned(), published)],
            events: Vec::new(),
            feeds: vec![("doji.gold".to_owned(), "{}".to_owned())],
        };
        assert!(old.publish_for_all(&publication).await.is_err());
        let wishes = Retention { keep: Some(Duration::from_hours(24)), thin_after: None };
        assert!(old.retain(&wishes, at(BEGIN + 400 * 86_400)).await.is_err());
        assert!(old.prune_events(at(BEGIN + 400 * 86_400)).await.is_ok(), "where there is nothing to let go");
        assert!(!old.renew_lease(epoch, lasts).await.unwrap(), "nor has it the lease");
        assert_eq!(content(), before, "nothing of it appears");
        // What the operator did is kept whoever it was told to.
        old.push_act(Act {
            at: at(begin),
            via: "api".to_owned(),
            action: "refresh".to_owned(),
            target: "doji.gold".to_owned(),
            before: None,
            after: None,
            outcome: "another replica leads".to_owned(),
        });
        old.flush().await;
        assert_eq!(old.waiting(), 0);
        assert_eq!(new.acts(1).await.unwrap()[0].outcome, "another replica leads");
        new.push(answer(begin + 120, &mut Dice::of(3, 3)));
        new.flush().await;
        assert_ne!(content(), before, "while the new one writes");
        assert!(new.renew_lease(epoch + 1, lasts).await.unwrap());
        new.release_lease().await.unwrap();
        assert_eq!(old.take_lease(lasts).await.unwrap(), Some(epoch + 2), "who lets go is followed at once");
        old.release_lease().await.unwrap();
        for store in [old, new] {
            store.close().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_source_says_behind_another_has_room_in_its_month_and_is_kept_once() {
    let Some(server) = Postgres::start() else { return };
    let name = server.database();
    let store = Store::open(&server.url(&name), Nature::Live).await.unwrap();
    store.take_lease(Duration::from_mins(1)).await.unwrap().unwrap();
    // The first word of months that nobody has made room for.
    for month in [30, 60, 90] {
        let mut answer = answer(BEGIN + month * 86_400, &mut Dice::of(1, 7));
        answer.quotes.truncate(1);
        answer.quotes[0].1 = false;
        let word = || Box::new(answer.quotes[0].0.clone());
        let remarks = vec![if month == 60 { Remark::Shown(word()) } else { Remark::Said(word()) }];
        // Twice, as where nobody knows whether the first time was the last.
        store.push_with(answer.clone(), remarks.clone());
        store.flush().await;
        store.push_with(answer, remarks);
        store.flush().await;
        assert_eq!((store.errors(), store.waiting()), (0, 0), "{}", server.log());
    }
    assert_eq!(server.sql(&name, "SELECT shown, late FROM change ORDER BY at"), "0|0\n1|2\n0|0");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_for_us_is_refused_in_one_sentence_and_left_alone() {
    let Some(server) = Postgres::start() else { return };
    let name = server.database();
    let url = server.url(&name);
    Store::open(&url, Nature::Live).await.unwrap().close().await;
    let refused = async |url: &str, nature| Store::open(url, nature).await.unwrap_err();

    let error = refused(&url, Nature::Recorded).await;
    assert!(matches!(error, StoreError::Nature { .. }), "{error}");
    server.sql(&name, "UPDATE meta SET value = '99' WHERE key = 'schema'");
    let error = refused(&url, Nature::Live).await;
    assert!(matches!(error, StoreError::Newer { found: 99, .. }), "{error}");
    assert_eq!(server.sql(&name, "SELECT value FROM meta WHERE key = 'schema'"), "99");

    for (url, word) in [
        (url.replace(PASSWORD, "a22canary-wrong-password"), "password"),
        (url.replace(&name, "no_such"), "no_such"),
        (url.replace("banggia:", "nobody:"), "nobody"),
    ] {
        let error = refused(&url, Nature::Live).await.to_string();
        assert!(error.contains(word), "{error}");
        assert!(!error.contains("a22canary") && !error.contains('\n'), "{error}");
    }
    // One that is away is no reason not to start.
    let (_held, nobody) = crate::bank::closed_port();
    let store = Store::open(&format!("postgres://a:b@{nobody}/c"), Nature::Live).await.unwrap();
    assert!(store.prepare().await.is_err());
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_a_server_that_is_not_what_was_written_is_noticed() {
    let Some(server) = Postgres::start() else { return };
    let name = server.database();
    let store = Store::open(&server.url(&name), Nature::Live).await.unwrap();
    store.take_lease(Duration::from_mins(1)).await.unwrap().unwrap();
    let mut answer = answer(BEGIN, &mut Dice::of(1, 1));
    answer.quotes.truncate(1);
    answer.quotes[0].1 = true;
    let id = answer.quotes[0].0.quote.id(&answer.feed);
    store.push(answer);
    store.flush().await;
    let page = async || {
        let mark = store.mark_before(&id, Timestamp::UNIX_EPOCH).await.unwrap();
        let page = store.page(&id, mark, at(BEGIN * 2)).await.unwrap();
        (page.changes.len(), page.damaged)
    };
    assert_eq!(page().await, (1, 0));
    server.sql(&name, "UPDATE change SET as_of = as_of || ' '");
    assert_eq!(page().await, (0, 1));
    store.close().await;
}
