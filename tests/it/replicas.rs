//! P-11 … P-17: replicas of the real program on a real PostgreSQL, while either of them is killed, frozen, restarted or set wrong, and
//! readers ask each replica all the time. `BANGGIA_STORE_ROUNDS` says how many rounds, `BANGGIA_SEED` repeats them.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use banggia::{
    app::{App, Mode},
    config::Overrides,
    refresh::Order,
};
use serde_json::Value;

use crate::{
    bank::{Bank, Reply},
    clock::{library, with_clock},
    fleet::{Answer, Fleet, Proxy, Reader, ask, config, price, rising},
    house::path,
    load::{Load, Plan},
    persistence::{Dice, bar, gold, seed},
    postgres::{Bouncer, Kind, PASSWORD, Postgres},
    service::{TOKEN, missing, number, refused, until, write_config},
};

/// What else readers ask for, without looking closely.
const PAGES: [&str; 7] = [
    "/v1",
    "/v1/fx",
    "/v1/gold?providers=tpbank&unit=chi",
    "/widgets/panel",
    "/images/gold.svg",
    "/widgets/chart?series=tpbank.gold.bar",
    "/images/chart.svg?series=tpbank.gold.bar&range=7d",
];
/// What is promised of a take-over.
const TAKE_OVER: Duration = Duration::from_secs(15);
/// Every second, where a test wants news.
const OFTEN: &str = "* * * * * *";
/// Where a test counts who asked when.
const SLOTS: (&str, i64) = ("*/2 * * * * *", 2000);
/// Never by itself.
const RARELY: &str = "0 3 1 1 *";

/// A test that blocks, on a thread for that.
async fn blocking(work: impl FnOnce() + Send + 'static) {
    tokio::task::spawn_blocking(work).await.unwrap();
}

fn rounds() -> u64 {
    number("BANGGIA_STORE_ROUNDS", 10)
}

/// Some clients a replica that ask for pages.
fn crowd(fleet: &Fleet) -> Vec<Load> {
    let plan = || Plan { connections: 2, pause: Duration::from_millis(40), ..Plan::default() };
    let paths: Vec<String> = PAGES.map(str::to_owned).to_vec();
    let of = |nth: usize| Load::by(fleet.address(nth), Plan { paths: paths.clone(), ..plan() });
    fleet.awake().into_iter().map(of).collect()
}

fn served_well(crowd: Vec<Load>) {
    for load in crowd {
        let report = load.stop();
        assert_eq!((report.failed, report.statuses.keys().max()), (0, Some(&200)), "{report}");
    }
}

/// The prices that the store keeps, in order.
fn kept(server: &Postgres, database: &str) -> Vec<u64> {
    let text =
        server.sql(database, "SELECT figures FROM change WHERE id = 'tpbank.gold.bar' ORDER BY at, seq");
    let price = |line: &str| -> u64 {
        let figures: Value = serde_json::from_str(line).unwrap();
        let mut open = vec![&figures];
        // Whatever the quote is wrapped in.
        while let Some(value) = open.pop() {
            if let Some(sell) = value.get("sell").and_then(Value::as_str) {
                return sell.parse().unwrap();
            }
            open.extend(value.as_object().into_iter().flat_map(|object| object.values()));
        }
        panic!("no price in {line}");
    };
    text.lines().map(price).collect()
}

/// Every price is kept once, in the order in which the bank said them; nothing was shown that is not kept.
fn nothing_lost_nothing_twice(server: &Postgres, database: &str, fleet: &Fleet) {
    let kept = kept(server, database);
    assert!(kept.windows(2).all(|pair| pair[0] < pair[1]), "kept twice or out of order: {kept:?}");
    let known: BTreeSet<u64> = kept.into_iter().collect();
    let book = fleet.book.lock().unwrap();
    let lost: Vec<_> = book.shown.difference(&known).collect();
    assert!(lost.is_empty(), "shown and not kept: {lost:?}");
    assert!(book.shown.len() >= 2, "{:?}", book.shown);
}

fn feed(fleet: &Fleet, nth: usize) -> Value {
    ask(fleet.address(nth), "/v1/feeds").unwrap().json()["feeds"][0].clone()
}

fn ready(fleet: &Fleet, nth: usize) -> (u16, String) {
    fleet.service(nth).ops("GET", "/readyz?verbose", None, None)
}

/// An operator's refresh; status and what was said.
fn refresh(fleet: &Fleet, nth: usize) -> (u16, String) {
    fleet.service(nth).ops("POST", "/admin/feeds/tpbank.gold/refresh", Some(TOKEN), Some("{}"))
}

/// The same of one that leads: between taking the lease and asking there is a moment.
fn refreshed(fleet: &Fleet, nth: usize) -> (u16, String) {
    fleet.until("a refresh", || Some(refresh(fleet, nth)).filter(|(status, _)| *status != 409))
}

#[tokio::test(flavor = "multi_thread")]
async fn p11_with_the_store_away_at_the_start_a_replica_serves_its_local_copy_at_once_or_says_that_it_has_none()
 {
    let bank = rising().await;
    blocking(move || {
        let Some(mut server) = Postgres::start() else { return };
        let name = server.database();
        let text = config(&bank, OFTEN, "3s", "stale_after = \"2s\"");
        let mut fleet = Fleet::new(bank, &server.url(&name), 3, &text);
        fleet.start(0);
        fleet.start(1);
        fleet.news();
        let copy = fleet.home(1).join("banggia-board.json");
        fleet.until("a local copy", || copy.is_file().then_some(()));
        for nth in [0, 1] {
            fleet.leave(nth);
            fleet.stop(nth);
        }
        let last = *fleet.book.lock().unwrap().shown.last().unwrap();
        server.stop();
        // One has its copy, one has a copy that was cut off, one has none; of these two nobody has seen anything yet.
        let mut fleet = fleet.followed_by(2);
        let bytes = std::fs::read(&copy).unwrap();
        std::fs::write(fleet.home(3).join("banggia-board.json"), &bytes[..bytes.len() / 2]).unwrap();

        let asked = fleet.asked();
        for nth in [1, 2, 3] {
            let from = Instant::now();
            fleet.start(nth);
            let gold = ask(fleet.address(nth), "/v1/gold").unwrap();
            let took = from.elapsed();
            assert_eq!(gold.status, 200);
            // From the moment that the program is started.
            assert!(took < Duration::from_secs(1), "replica {nth}: {took:?}");
            let shown = bar(&gold.json());
            if nth == 1 {
                assert!(shown >= Some(last), "{shown:?} after {last}");
            } else {
                assert_eq!(shown, None);
                assert_eq!(feed(&fleet, nth)["status"], "unavailable");
            }
            let (status, said) = ready(&fleet, nth);
            assert_eq!(status, 200, "{said}");
            println!("P-11: replica {nth} answered {took:?} after it was started");
        }
        // What it has ages by its own times, while nobody asks the bank without a lease.
        fleet.until("stale by its times", || (feed(&fleet, 1)["status"] == "stale").then_some(()));
        assert_eq!(fleet.asked(), asked, "nobody leads, so nobody asks");
        assert!([1, 2, 3].iter().all(|nth| !fleet.leads(*nth)));

        server.start_again();
        let back = Instant::now();
        fleet.news();
        println!("P-11: {:?} after the store came everybody had news", back.elapsed());
        fleet.assert_right();
        nothing_lost_nothing_twice(&server, &name, &fleet);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p12_a_store_that_is_killed_frozen_or_restarted_costs_no_answer_and_no_change() {
    let bank = rising().await;
    let (seed, rounds, first) = (seed(), rounds(), number("BANGGIA_FROM", 0));
    println!("{rounds} rounds from {first}, seed {seed}");
    blocking(move || {
        let Some(mut server) = Postgres::start() else { return };
        let name = server.database();
        let text = config(&bank, OFTEN, "3s", "");
        let mut fleet = Fleet::new(bank, &server.url(&name), 3, &text);
        fleet.start_all();
        fleet.news();
        let crowd = crowd(&fleet);
        let mut slowest = Duration::ZERO;
        for round in first..first + rounds {
            let mut dice = Dice::of(seed, round);
            let kind = ["killed", "frozen", "restarted"][usize::try_from(round % 3).unwrap()];
            match kind {
                "killed" => server.kill(),
                "frozen" => server.freeze(),
                _ => server.restart(),
            }
            // For a moment, or for longer than a lease.
            fleet.answers(20 + dice.roll(900));
            for nth in fleet.awake() {
                let (status, said) = ready(&fleet, nth);
                assert_eq!(status, 200, "round {round}, {kind}: {said}");
            }
            match kind {
                "killed" => server.start_again(),
                "frozen" => server.thaw(),
                _ => {}
            }
            let back = Instant::now();
            fleet.news();
            slowest = slowest.max(back.elapsed());
        }
        served_well(crowd);
        fleet.assert_right();
        nothing_lost_nothing_twice(&server, &name, &fleet);
        let answers = fleet.book.lock().unwrap().answers;
        println!("P-12: {rounds} rounds, {answers} answers looked at, none wrong; news everywhere {slowest:?} after the store at the latest");
        assert!(slowest < TAKE_OVER, "{slowest:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p12_figures_age_on_time_on_every_replica_while_the_store_is_away() {
    let bank = rising().await;
    blocking(move || {
        let Some(server) = Postgres::start() else { return };
        let text = config(&bank, SLOTS.0, "3s", "stale_after = \"3s\"\nexpire_after = \"7s\"");
        let mut fleet = Fleet::new(bank, &server.url(&server.database()), 2, &text);
        fleet.start_all();
        fleet.news();
        server.freeze();
        for (status, until) in [("stale", "fresh_until"), ("expired", "expires_at")] {
            for nth in [0, 1] {
                let (seen, quote) = fleet.until(status, || {
                    let quote = ask(fleet.address(nth), "/v1/gold").unwrap().json()["quotes"][0].clone();
                    (quote["status"] == status).then(|| (banggia::clock::Clock::system().now(), quote))
                });
                let due: jiff::Timestamp = quote[until].as_str().unwrap().parse().unwrap();
                assert!(seen >= due, "replica {nth} is {status} before its time: {quote}");
                // The second replica is looked at after the first.
                let late = seen.duration_since(due);
                assert!(
                    late < jiff::SignedDuration::from_secs(2),
                    "replica {nth}: {status} {late:?} late: {quote}"
                );
            }
        }
        server.thaw();
        fleet.everywhere("/v1/gold", "fresh again", |gold| gold["quotes"][0]["status"] == "fresh");
        fleet.news();
        fleet.assert_right();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p12_what_the_leader_read_while_the_store_hung_is_shown_once_it_is_kept_and_not_before() {
    let bank = rising().await;
    blocking(move || {
        let Some(server) = Postgres::start() else { return };
        let name = server.database();
        let text = config(&bank, RARELY, "30s", "");
        let mut fleet = Fleet::new(bank, &server.url(&name), 2, &text);
        fleet.start_all();
        let first = price(0);
        fleet.everywhere("/v1/gold", "the first price", |gold| bar(gold) == Some(first));
        let leader = fleet.leader();
        server.freeze();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| refresh(&fleet, leader));
            fleet.until("the bank was asked", || (fleet.asked() >= 2).then_some(()));
            // Long enough for a statement to be given up.
            fleet.answers(200);
            for nth in [0, 1] {
                assert_eq!(
                    bar(&ask(fleet.address(nth), "/v1/gold").unwrap().json()),
                    Some(first),
                    "not kept yet"
                );
            }
            server.thaw();
            let (status, said) = waiting.join().unwrap();
            assert!(status == 200 || status == 202 || status == 503, "{status}: {said}");
        });
        fleet.everywhere("/v1/gold", "the second price", |gold| bar(gold) == Some(price(1)));
        assert_eq!(fleet.asked(), 2, "the bank is not asked again for it");
        fleet.assert_right();
        assert_eq!(kept(&server, &name), [price(0), price(1)]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p13_a_store_that_only_reads_after_a_fail_over_is_written_again_as_soon_as_it_can_be() {
    let bank = rising().await;
    blocking(move || {
        let Some(server) = Postgres::start() else { return };
        let name = server.database();
        let text = config(&bank, OFTEN, "3s", "");
        let mut fleet = Fleet::new(bank, &server.url(&name), 2, &text);
        fleet.start_all();
        fleet.news();
        let crowd = crowd(&fleet);
        for round in 0..2 {
            server.read_only(true);
            let before = server.count(&name, "SELECT count(*) FROM change");
            // For a moment, then for longer than the lease.
            fleet.answers(if round == 0 { 60 } else { 500 });
            if round == 1 {
                fleet.until("nobody leads", || [0, 1].iter().all(|nth| !fleet.leads(*nth)).then_some(()));
                let asked = fleet.asked();
                fleet.answers(100);
                assert_eq!(fleet.asked(), asked, "nobody leads, so nobody asks");
            }
            let after = server.count(&name, "SELECT count(*) FROM change");
            assert!(after <= before + 1, "{before} rows, then {after} while nothing could be written");
            server.read_only(false);
            let back = Instant::now();
            fleet.news();
            let took = back.elapsed();
            println!("P-13: news {took:?} after it could be written");
            assert!(took < TAKE_OVER, "{took:?}");
        }
        served_well(crowd);
        fleet.assert_right();
        nothing_lost_nothing_twice(&server, &name, &fleet);
    })
    .await;
}

/// How many requests came that were not the first of their slot of the schedule.
fn extra(bank: &Bank, slot: i64) -> usize {
    let hits = bank.hits(&path("tpbank.gold", "chart"));
    let slots: BTreeSet<i64> = hits.iter().map(|hit| hit.at.as_millisecond().div_euclid(slot)).collect();
    hits.len() - slots.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn p14_a_leader_that_is_killed_or_frozen_is_replaced_within_15_s_and_the_bank_is_asked_once_more_at_most()
 {
    let bank = rising().await;
    let (seed, rounds, first) = (seed(), rounds(), number("BANGGIA_FROM", 0));
    println!("{rounds} rounds from {first}, seed {seed}");
    blocking(move || {
        let Some(server) = Postgres::start() else { return };
        let name = server.database();
        let text = config(&bank, SLOTS.0, "3s", "");
        let mut fleet = Fleet::new(bank, &server.url(&name), 3, &text);
        fleet.start_all();
        fleet.news();
        // Three that start at once may ask once more than one that starts alone.
        let begun = extra(&fleet.bank, SLOTS.1);
        assert!(begun <= 1, "{begun} requests too many at the start");
        let mut slowest = Duration::ZERO;
        for round in first..first + rounds {
            let mut dice = Dice::of(seed, round);
            fleet.answers(dice.roll(200));
            let leader = fleet.leader();
            let epoch = fleet.epoch(leader);
            let before = fleet.bank.hits(&path("tpbank.gold", "chart")).len();
            fleet.leave(leader);
            let kills = round % 2 == 0;
            if kills {
                fleet.kill(leader);
            } else {
                fleet.freeze(leader);
            }
            let gone = Instant::now();
            let new = fleet.leader();
            assert!(new != leader && fleet.epoch(new) > epoch, "epoch {} after {epoch}", fleet.epoch(new));
            fleet.news();
            slowest = slowest.max(gone.elapsed());
            assert!(gone.elapsed() < TAKE_OVER, "round {round}: {:?}", gone.elapsed());
            if kills {
                fleet.start(leader);
            } else {
                fleet.thaw(leader);
                fleet.until("the late leader follows", || (!fleet.leads(leader)).then_some(()));
                fleet.read(leader);
            }
            fleet.news();
            let leaders: Vec<_> = fleet.awake().into_iter().filter(|nth| fleet.leads(*nth)).collect();
            assert_eq!(leaders, [new], "round {round}: who came back leads nobody");
            let extra = extra(&fleet.bank, SLOTS.1) - begun;
            assert!(
                extra <= usize::try_from(round - first + 1).unwrap(),
                "round {round}: {extra} requests too many, {before} before"
            );
        }
        fleet.assert_right();
        nothing_lost_nothing_twice(&server, &name, &fleet);
        let more = extra(&fleet.bank, SLOTS.1) - begun;
        println!("P-14: {rounds} take-overs, news within {slowest:?}; {} requests of the bank, {more} more than were due", fleet.asked());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p14_with_the_lease_as_it_comes_a_killed_leader_is_replaced_within_15_s() {
    let bank = rising().await;
    blocking(move || {
        let Some(server) = Postgres::start() else { return };
        let text = config(&bank, OFTEN, "3s", "").replace("lease = \"3s\"\n", "");
        let mut fleet = Fleet::new(bank, &server.url(&server.database()), 3, &text);
        fleet.start_all();
        fleet.news();
        let leader = fleet.leader();
        fleet.leave(leader);
        fleet.kill(leader);
        let gone = Instant::now();
        fleet.leader();
        fleet.news();
        println!("P-14: news {:?} after the leader was killed, with the default lease", gone.elapsed());
        assert!(gone.elapsed() < TAKE_OVER, "{:?}", gone.elapsed());
        fleet.assert_right();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p14_a_replica_whose_clock_is_an_hour_off_neither_takes_the_lease_from_another_nor_loses_it() {
    let Some(library) = library() else { return missing("libfaketime") };
    let bank = rising().await;
    blocking(move || {
        let Some(server) = Postgres::start() else { return };
        for (offset, skewed) in [("+3600", 0), ("-3600", 0), ("+3600", 1), ("-3600", 1)] {
            let name = server.database();
            let text = config(&bank, OFTEN, "3s", "");
            let mut fleet = Fleet::new(bank.clone(), &server.url(&name), 2, &text);
            let clock = fleet.home(skewed).join("clock");
            std::fs::write(&clock, offset).unwrap();
            // The first to be started leads.
            for nth in [0, 1] {
                if nth == skewed {
                    let mut command = with_clock(&clock, &library);
                    command.current_dir(fleet.home(nth)).env("BANGGIA_STORE__URL", server.url(&name));
                    fleet.start_by(nth, command);
                } else {
                    fleet.start(nth);
                }
                fleet.until("the first leads", || fleet.leads(0).then_some(()));
            }
            let epoch = fleet.epoch(0);
            // By the database's clock: as long as two leases.
            let lease = || server.sql(&name, "SELECT epoch, until FROM lease").replace('\n', " ");
            let mut renewed = BTreeSet::new();
            let began = Instant::now();
            fleet.until("the lease was renewed for twice its length", || {
                renewed.insert(lease());
                assert!(fleet.leads(0) && !fleet.leads(1), "{offset} on {skewed}: {renewed:?}");
                (began.elapsed() > Duration::from_secs(6) && renewed.len() > 3).then_some(())
            });
            assert_eq!(fleet.epoch(0), epoch, "{offset} on {skewed}");
            // And whoever leads is replaced, by whatever clock.
            fleet.leave(0);
            fleet.kill(0);
            let gone = Instant::now();
            fleet.until("the other leads", || fleet.leads(1).then_some(()));
            assert!(gone.elapsed() < TAKE_OVER, "{:?}", gone.elapsed());
            assert!(gone.elapsed() > Duration::from_secs(1), "a lease is not taken before its time");
            assert_eq!(fleet.epoch(1), epoch + 1);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p15_a_leader_that_slept_through_its_lease_writes_nothing_more_and_follows() {
    let bank = rising().await;
    blocking(move || {
        let Some(server) = Postgres::start() else { return };
        let name = server.database();
        let text = config(&bank, RARELY, "3s", "");
        let mut fleet = Fleet::new(bank, &server.url(&name), 3, &text);
        fleet.start_all();
        fleet.everywhere("/v1/gold", "the first price", |gold| bar(gold) == Some(price(0)));
        let old = fleet.leader();
        let epoch = fleet.epoch(old);
        // The bank thinks about its answer to the old leader until long after that one fell asleep.
        let late = price(1000);
        let (say, told) = tokio::sync::watch::channel(false);
        let answers = [Reply::Later(told, gold(late).into_bytes()), Reply::ok(gold(price(1)))];
        fleet.bank.script(&path("tpbank.gold", "chart"), answers);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| refresh(&fleet, old));
            fleet.until("the bank was asked", || (fleet.asked() > 1).then_some(()));
            // Not by way of the fleet, which somebody else looks at. Its readers wait, and have their answers later.
            fleet.service(old).signal("-STOP");
            let others: Vec<_> = fleet.awake().into_iter().filter(|nth| *nth != old).collect();
            let new =
                fleet.until("another one leads", || others.iter().copied().find(|nth| fleet.leads(*nth)));
            assert!(fleet.epoch(new) > epoch);
            let (status, said) = refreshed(&fleet, new);
            assert_eq!(status, 200, "{said}");
            for nth in &others {
                fleet.until("the new leader's price", || {
                    let gold = ask(fleet.address(*nth), "/v1/gold").ok()?.json();
                    (bar(&gold) == Some(price(1))).then_some(())
                });
            }
            say.send(true).unwrap();
            fleet.service(old).signal("-CONT");
            let (status, said) = waiting.join().unwrap();
            assert_eq!(status, 409, "its operator is not told that it was done: {said}");
            fleet.until("the late leader follows", || (!fleet.leads(old)).then_some(()));
            assert!(fleet.leads(new), "and the new one goes on");
        });
        fleet.everywhere("/v1/gold", "the new leader's price", |gold| bar(gold) == Some(price(1)));
        fleet.assert_right();
        assert_eq!(kept(&server, &name), [price(0), price(1)], "nothing of a late leader is kept");
        assert!(!fleet.book.lock().unwrap().shown.contains(&late), "nor shown");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p14_who_cannot_say_that_its_lease_lasts_asks_no_source_until_it_has_looked() {
    let Some(server) = Postgres::start() else { return };
    let bank = rising().await;
    let address = path("tpbank.gold", "chart");
    // A long lease is looked at rarely: what this test does to it stays for a while.
    let text = config(&bank, RARELY, "60s", "");
    let environment = [
        ("BANGGIA_STORE__URL".to_owned(), server.url(&server.database())),
        ("BANGGIA_SERVER__LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
        ("BANGGIA_SERVER__OPS_LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
        ("BANGGIA_STORE__LOCAL_COPY".to_owned(), String::new()),
    ];
    let file = std::path::Path::new("test.toml");
    let config = banggia::config::assemble(Some((file, &text)), &environment, &Overrides::default()).unwrap();
    let app = App::start(config, Mode::Live).await.unwrap();
    until("it leads and has asked", async || app.store().may_ask() && bank.hits(&address).len() == 1).await;
    // As after a sleep that may have been longer than the lease.
    app.store().ask_until(Some(tokio::time::Instant::now()));
    assert!(!app.store().may_ask());
    // The worker takes the order, looks at the lease and puts it off; the next one finds a lease that lasts.
    assert_eq!(app.control().order("tpbank.gold", Order::Ask).await, None, "put off");
    assert_eq!(bank.hits(&address).len(), 1, "nobody was asked");
    app.store().ask_until(Some(tokio::time::Instant::now() + Duration::from_mins(1)));
    until("what was put off is done", async || bank.hits(&address).len() == 2).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p16_three_replicas_behind_nginx_are_replaced_one_after_the_other_and_no_request_fails() {
    let bank = rising().await;
    blocking(move || {
        let Some(server) = Postgres::start() else { return };
        let name = server.database();
        let text = config(&bank, OFTEN, "3s", "");
        let mut fleet = Fleet::new(bank, &server.url(&name), 3, &text);
        let Some(proxy) = Proxy::before(&[0, 1, 2].map(|nth| fleet.address(nth))) else { return };
        fleet.start_all();
        fleet.news();
        let reader = Reader::start("nginx", proxy.address, &fleet.book);
        let load = Load::start(proxy.address, 8, PAGES);
        for nth in [0, 1, 2] {
            load.wait_for(100);
            // Readers of this one alone would find nobody; those behind nginx do.
            fleet.leave(nth);
            fleet.stop(nth);
            load.wait_for(50);
            fleet.start(nth);
            fleet.news();
        }
        load.wait_for(100);
        let report = load.stop();
        drop(reader);
        println!("P-16: {report}");
        assert_eq!((report.failed, report.statuses.keys().max()), (0, Some(&200)), "{report}");
        fleet.assert_right();
        nothing_lost_nothing_twice(&server, &name, &fleet);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p16_three_replicas_behind_nginx_lose_their_leader_and_their_store_and_no_request_fails() {
    let bank = rising().await;
    blocking(move || {
        let Some(mut server) = Postgres::start() else { return };
        let name = server.database();
        let text = config(&bank, OFTEN, "3s", "");
        let mut fleet = Fleet::new(bank, &server.url(&name), 3, &text);
        let Some(proxy) = Proxy::before(&[0, 1, 2].map(|nth| fleet.address(nth))) else { return };
        fleet.start_all();
        fleet.news();
        let reader = Reader::start("nginx", proxy.address, &fleet.book);
        let load = Load::start(proxy.address, 8, PAGES);
        for round in 0..3 {
            load.wait_for(100);
            let leader = fleet.leader();
            fleet.leave(leader);
            fleet.kill(leader);
            // While nobody leads yet.
            server.restart();
            load.wait_for(100);
            fleet.start(leader);
            fleet.news();
            if round == 1 {
                server.kill();
                load.wait_for(400);
                server.start_again();
                fleet.news();
            }
        }
        let report = load.stop();
        drop(reader);
        println!("behind nginx: {report}");
        assert_eq!((report.failed, report.statuses.keys().max()), (0, Some(&200)), "{report}");
        fleet.assert_right();
        nothing_lost_nothing_twice(&server, &name, &fleet);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p17_versions_are_the_same_everywhere_never_go_back_and_move_within_a_second() {
    let bank = rising().await;
    blocking(move || {
        let Some(server) = Postgres::start() else { return };
        let text = config(&bank, OFTEN, "3s", "stale_after = \"1s\"");
        let mut fleet = Fleet::new(bank, &server.url(&server.database()), 3, &text);
        fleet.start_all();
        for _ in 0..8 {
            fleet.news();
        }
        fleet.assert_right();
        {
            let book = fleet.book.lock().unwrap();
            let lags = book.lags();
            let at = |percent: usize| lags[(lags.len() - 1) * percent / 100];
            println!(
                "P-17: {} versions a replica and more, median lag {:?}, p90 {:?}, longest {:?}",
                lags.len() / 3,
                at(50),
                at(90),
                at(100)
            );
            assert!(lags.len() >= 24, "{}", lags.len());
            assert!(at(90) < Duration::from_secs(1), "{lags:?}");
        }
        // Statuses pass by themselves, while the store is away and when it is back.
        server.freeze();
        fleet.everywhere("/v1/gold", "stale", |gold| gold["quotes"][0]["status"] == "stale");
        server.thaw();
        fleet.news();
        // Every replica has a moment of its own at which it is told: then all say the same.
        fleet.until("one ETag on all", || {
            let etags: BTreeSet<_> = fleet
                .awake()
                .into_iter()
                .map(|nth| ask(fleet.address(nth), "/v1/gold").unwrap().header("etag").unwrap().to_owned())
                .collect();
            (etags.len() == 1).then_some(())
        });
        fleet.assert_right();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p17_a_feed_of_changes_is_the_same_on_a_replica_that_started_without_the_store_or_was_restarted() {
    let bank = rising().await;
    blocking(move || {
        let Some(mut server) = Postgres::start() else { return };
        // Nothing moves by itself: what is compared is of one version.
        let text = config(&bank, RARELY, "3s", "");
        let mut fleet = Fleet::new(bank, &server.url(&server.database()), 2, &text);
        fleet.start(0);
        fleet.leader();
        fleet.start(1);
        fleet.everywhere("/v1/gold", "the first price", |gold| bar(gold) == Some(price(0)));
        let entries = |answer: &Answer| answer.body.matches("<entry>").count();
        // Whoever leads anew may ask the bank at once: there may be more.
        let same = |fleet: &Fleet, changes: usize| {
            fleet.until("one feed on both, under one tag, at one version", || {
                let version = |nth| ask(fleet.address(nth), "/v1/gold").unwrap().json()["version"].clone();
                let [one, other] = [0, 1].map(|nth| ask(fleet.address(nth), "/v1/gold.atom").unwrap());
                let tags = (one.header("etag").unwrap(), other.header("etag").unwrap());
                let equal = one.body == other.body && tags.0 == tags.1 && version(0) == version(1);
                (equal && entries(&one) >= changes).then_some(())
            });
        };
        // An operator may not ask again at once.
        let refreshed =
            |fleet: &Fleet, nth| fleet.until("a refresh", || (refresh(fleet, nth).0 == 200).then_some(()));
        // Changes of one second are one entry, and an operator waits longer than that.
        for nth in 1..3 {
            refreshed(&fleet, 0);
            fleet.everywhere("/v1/gold", "the next price", |gold| bar(gold) == Some(price(nth)));
        }
        same(&fleet, 2);

        let copy = fleet.home(1).join("banggia-board.json");
        fleet.until("the copy has the last price", || {
            std::fs::read_to_string(&copy).ok().filter(|copy| copy.contains(&price(2).to_string())).map(drop)
        });
        fleet.leave(1);
        fleet.stop(1);
        server.stop();
        fleet.start(1);
        let alone = ask(fleet.address(1), "/v1/gold.atom").unwrap();
        assert_eq!((alone.status, entries(&alone)), (200, 1), "of what is served it knows the last change");
        server.start_again();
        same(&fleet, 2);

        // One that is started while the store is there, and what comes after.
        fleet.leave(0);
        fleet.stop(0);
        fleet.start(0);
        same(&fleet, 2);
        let leader = fleet.leader();
        refreshed(&fleet, leader);
        fleet.everywhere("/v1/gold", "the price after that", |gold| bar(gold) >= Some(price(3)));
        same(&fleet, 2);
        fleet.assert_right();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_the_leader_is_refused_by_a_follower_which_names_it() {
    let bank = rising().await;
    blocking(move || {
        let Some(server) = Postgres::start() else { return };
        let text = config(&bank, RARELY, "3s", "");
        let name = server.database();
        let mut fleet = Fleet::new(bank, &server.url(&name), 2, &text);
        fleet.start_all();
        fleet.everywhere("/v1/gold", "the first price", |gold| bar(gold) == Some(price(0)));
        let leader = fleet.leader();
        let follower = 1 - leader;
        let asked = fleet.asked();
        // A figure that jumps is held by the leader, and every replica says so.
        let jumped = price(0) * 107 / 100;
        fleet.bank.script(&path("tpbank.gold", "chart"), [Reply::ok(gold(jumped))]);
        assert_eq!(refresh(&fleet, leader).0, 200);
        fleet.everywhere("/v1/feeds", "a held value", |feeds| feeds["feeds"][0]["held"][0].is_object());
        let holder = server.sql(&name, "SELECT holder FROM lease");
        for act in ["feeds/tpbank.gold/refresh", "held/tpbank.gold.bar/accept", "held/tpbank.gold.bar/reject"]
        {
            let (status, said) =
                fleet.service(follower).ops("POST", &format!("/admin/{act}"), Some(TOKEN), Some("{}"));
            assert_eq!(status, 409, "{act}: {said}");
            let problem: Value = serde_json::from_str(&said).unwrap();
            assert_eq!(problem["status"], 409);
            assert!(problem["detail"].as_str().unwrap().ends_with(&holder) && holder.len() > 2, "{said}");
        }
        assert_eq!(fleet.asked(), asked + 1, "a follower asks nobody");
        fleet.service(leader).admin("POST", "/admin/held/tpbank.gold.bar/accept", Some("{}"));
        fleet.everywhere("/v1/gold", "the accepted price", |gold| bar(gold) == Some(jumped));
        let leads = format!("this replica leads, epoch {}", fleet.epoch(leader));
        for (nth, words) in [(leader, leads.as_str()), (follower, "this replica follows")] {
            let (_, said) = ready(&fleet, nth);
            assert!(said.contains(words), "{said}");
        }
        fleet.assert_right();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_pooler_that_changes_sessions_between_transactions_everything_goes_on() {
    let bank = rising().await;
    blocking(move || {
        let Some(server) = Postgres::start() else { return };
        let Some(bouncer) = Bouncer::before(&server) else { return };
        let name = server.database();
        let text = config(&bank, OFTEN, "3s", "");
        let mut fleet = Fleet::new(bank, &bouncer.url(&name), 3, &text);
        fleet.start_all();
        for _ in 0..3 {
            fleet.news();
        }
        // The pooler's sessions are ended under it, then the leader is.
        server.end_sessions();
        fleet.news();
        let leader = fleet.leader();
        fleet.leave(leader);
        fleet.kill(leader);
        fleet.leader();
        fleet.news();
        fleet.start(leader);
        fleet.news();
        fleet.assert_right();
        nothing_lost_nothing_twice(&server, &name, &fleet);
        for log in [server.log(), bouncer.log()] {
            assert!(!log.contains("prepared statement"), "{log}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_reached_by_tls_and_only_if_it_is_who_it_should_be() {
    let bank = rising().await;
    blocking(move || {
        let (Some(server), Some(other)) = (Postgres::of(Kind::Tls), Postgres::of(Kind::Tls)) else { return };
        let url = |server: &Postgres, more: &str| {
            let url = server.url(&server.database()).replace("127.0.0.1", "localhost");
            format!("{url}?{more}")
        };
        // The authority is read by the program, which is nobody special.
        let folder = crate::canary::tempdir().unwrap();
        let saved = |server: &Postgres, name: &str| {
            let file = folder.path().join(name);
            std::fs::copy(server.authority(), &file).unwrap();
            format!("sslmode=verify-full&sslrootcert={}", file.display())
        };
        let (right, wrong) = (saved(&server, "right.pem"), saved(&other, "wrong.pem"));
        let text = config(&bank, OFTEN, "3s", "");
        let mut fleet = Fleet::new(bank, &url(&server, &right), 1, &text);
        fleet.start(0);
        fleet.news();
        let encrypted =
            server.count("postgres", "SELECT count(*) FROM pg_stat_ssl WHERE ssl AND client_serial IS NULL");
        assert!(encrypted > 0);
        fleet.assert_right();

        // A stranger is not spoken to, and the sentence says why.
        let file = write_config(folder.path(), "refused.toml", &text);
        for (url, word) in [
            (url(&server, &wrong), "certificate"),
            (url(&server, "sslmode=disable"), "encryption"),
            (url(&server, &right).replace(PASSWORD, "a22canary-wrong-password"), "password"),
        ] {
            let mut command = fleet.command(0);
            command.env("BANGGIA_STORE__URL", url).env("BANGGIA_SERVER__LISTEN", "127.0.0.1:0");
            let (code, said) = refused(command, &file);
            assert_eq!(code, 1, "{said}");
            let last = said.lines().last().unwrap_or_default();
            assert!(last.contains("store") && last.contains(word), "{last}");
            assert!(!said.contains("a22canary"), "{said}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_work_beside_replicas_and_no_password_is_shown_by_any() {
    let bank = rising().await;
    blocking(move || {
        let Some(server) = Postgres::start() else { return };
        let name = server.database();
        let text = config(&bank, OFTEN, "3s", "");
        let mut fleet = Fleet::new(bank, &server.url(&name), 2, &text);
        fleet.start_all();
        fleet.news();
        fleet.news();
        let file = write_config(&fleet.home(0), "c.toml", &text);
        let run = |arguments: &[&str]| {
            let done = fleet.command(0).args(arguments).arg("--config").arg(&file).output().unwrap();
            let (out, err) =
                (String::from_utf8(done.stdout).unwrap(), String::from_utf8(done.stderr).unwrap());
            for said in [&out, &err] {
                crate::canary::said(said.as_bytes());
                assert!(!said.contains(PASSWORD), "{arguments:?}: {said}");
            }
            assert!(done.status.success(), "{arguments:?}: {out}{err}");
            out
        };
        assert!(run(&["check"]).contains("postgres://"));
        assert!(run(&["feeds"]).contains("tpbank.gold"));
        let history = run(&["export", "--kind", "gold", "--format", "ndjson"]);
        let prices: Vec<u64> = history
            .lines()
            .map(|line| {
                serde_json::from_str::<Value>(line).unwrap()["sell"].as_str().unwrap().parse().unwrap()
            })
            .collect();
        assert!(prices.len() >= 2 && prices.windows(2).all(|pair| pair[0] < pair[1]), "{prices:?}");
        let kept = kept(&server, &name);
        assert!(kept.starts_with(&prices), "{prices:?} of {kept:?}");
        fleet.assert_right();
    })
    .await;
}

/// The numbers and kinds of the events that a replica tells from now on, as they come.
fn listen(address: SocketAddr, after: Option<&str>) -> Arc<Mutex<Vec<String>>> {
    use std::io::{BufRead as _, BufReader, Write as _};
    let told = Arc::new(Mutex::new(Vec::new()));
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let resume = after.map_or_else(String::new, |id| format!("Last-Event-ID: {id}\r\n"));
    write!(stream, "GET /v1/events HTTP/1.1\r\nHost: x\r\n{resume}\r\n").unwrap();
    let own = Arc::clone(&told);
    std::thread::spawn(move || {
        let mut id = String::new();
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if let Some(number) = line.strip_prefix("id: ") {
                number.clone_into(&mut id);
            } else if let Some(event) = line.strip_prefix("event: ") {
                own.lock().unwrap().push(format!("{id} {event}"));
            }
        }
    });
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn p17_an_event_has_one_number_on_every_replica_and_whoever_changes_replica_misses_none() {
    let bank = rising().await;
    blocking(move || {
        let Some(server) = Postgres::start() else { return };
        let text = config(&bank, OFTEN, "3s", "stale_after = \"1s\"");
        let mut fleet = Fleet::new(bank, &server.url(&server.database()), 3, &text);
        fleet.start_all();
        fleet.news();
        let told: Vec<_> = (0..3).map(|nth| listen(fleet.address(nth), None)).collect();
        for _ in 0..3 {
            fleet.news();
        }
        let leader = fleet.leader();
        fleet.kill(leader);
        fleet.leave(leader);
        fleet.until("another one leads", || fleet.awake().into_iter().find(|nth| fleet.leads(*nth)));
        for _ in 0..3 {
            fleet.news();
        }
        let [one, other] = fleet.awake()[..] else { panic!("two are left") };
        // Streams do not open at one moment: what counts is what comes from the first event on that both have heard.
        let number = |line: &String| line.split(' ').next().unwrap().parse::<i64>().unwrap();
        let first = |nth: usize| told[nth].lock().unwrap().first().map_or(i64::MAX, number);
        let begin = first(one).max(first(other));
        let heard = |nth: usize| -> Vec<String> {
            told[nth].lock().unwrap().iter().filter(|line| number(line) >= begin).cloned().collect()
        };
        let both = fleet.until("both have heard the same", || {
            let (mut one, mut other) = (heard(one), heard(other));
            // The bank goes on: one may be an event ahead.
            let common = one.len().min(other.len());
            one.truncate(common);
            other.truncate(common);
            (common >= 6).then_some((one, other))
        });
        assert_eq!(both.0, both.1);
        let all = both.0;
        let ids: Vec<&str> = all.iter().map(|line| line.split(' ').next().unwrap()).collect();
        assert!(
            ids.windows(2).all(|two| two[0].parse::<i64>().unwrap() < two[1].parse::<i64>().unwrap()),
            "{all:?}"
        );
        // From one replica to the other, in the middle.
        let again = listen(fleet.address(other), Some(ids[2]));
        fleet.until("the rest is told", || {
            let again = again.lock().unwrap();
            (again.len() >= all.len() - 3).then_some(())
        });
        assert_eq!(again.lock().unwrap()[..all.len() - 3], all[3..]);
    })
    .await;
}
