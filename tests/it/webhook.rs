//! What an operator's receiver is told, by a scripted one: signed, once, in order, again where it was not taken, and
//! never at the cost of a publish. Signatures are checked here by an HMAC of the test's own.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use banggia::{
    app::{App, Mode},
    board::{FeedState, Snapshot, Status},
    events::{Event, events},
    fetch::Outcome,
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use jiff::SignedDuration;
use rust_decimal::dec;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    bank::{Bank, Hit, Reply},
    holds::scaled,
    house::{self, House, client, config_text, good_day, path},
    service::{Service, banggia, installed, missing, until, write_config},
    world::{Simulation, at, tape},
};

const DAY: &str = "2026-09-30T09:00:00+07:00";
/// TPBank's gold is due every half hour, with a quarter of an hour of grace.
const STALE: &str = "2026-09-30T09:45:00+07:00";
const KEY: &str = "whsec_bmljaHQgZ2VoZWltLCBudXIgZsO8ciBUZXN0cw==";
const FEED: &str = "tpbank.gold";

/// A webhook to the bank under `/hook/secret-path`, and only the feed of TPBank's gold.
fn told(bank: &Bank) -> String {
    let mut text = format!("{}[secrets]\nwebhook_key = \"{KEY}\"\n", hook(bank));
    for (_, feed) in providers::feeds().filter(|(_, feed)| feed.id != FEED) {
        text.push_str(&format!("[feeds.{}]\nenabled = false\n", feed.id));
    }
    text
}

fn hook(bank: &Bank) -> String {
    format!("[webhook]\nurl = \"{}\"\nallow_private = true\n", bank.url(HOOK))
}

const HOOK: &str = "/hook/secret-path";

/// A receiver that takes everything.
async fn receiver() -> Bank {
    let bank = Bank::open().await;
    bank.script(HOOK, [Reply::status(204)]);
    bank
}

/// Waits until so many deliveries were tried; how many more come only a later event can tell.
async fn hits(bank: &Bank, count: usize) -> Vec<Hit> {
    until(&format!("{count} deliveries"), async || bank.hits(HOOK).len() >= count).await;
    bank.hits(HOOK)
}

fn header<'a>(hit: &'a Hit, name: &str) -> &'a str {
    let line = hit.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
    line.unwrap_or_else(|| panic!("no {name} in\n{}", hit.head))
}

/// RFC 2104, from the definition.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let [inner, outer] = [0x36, 0x5c].map(|pad| block.map(|byte| byte ^ pad));
    let inner = Sha256::new().chain_update(inner).chain_update(message).finalize();
    Sha256::new().chain_update(outer).chain_update(inner).finalize().to_vec()
}

/// What a delivery says, once its signature is found to be right.
fn read(hit: &Hit) -> Value {
    assert_eq!((hit.method.as_str(), header(hit, "content-type")), ("POST", "application/json"));
    let signed = format!("{}.{}.{}", header(hit, "webhook-id"), header(hit, "webhook-timestamp"), hit.body);
    let key = BASE64.decode(KEY.strip_prefix("whsec_").unwrap()).unwrap();
    let ours = format!("v1,{}", BASE64.encode(hmac(&key, signed.as_bytes())));
    assert_eq!(header(hit, "webhook-signature"), ours);
    serde_json::from_str(&hit.body).unwrap()
}

fn types(hits: &[Hit]) -> Vec<String> {
    hits.iter().map(|hit| read(hit)["type"].as_str().unwrap().to_owned()).collect()
}

async fn metrics(ops: std::net::SocketAddr) -> String {
    client().get(format!("http://{ops}/metrics")).send().await.unwrap().text().await.unwrap()
}

/// A number of `/metrics`; 0 where the series is not there.
async fn counted(house: &Simulation, series: &str) -> u64 {
    let text = metrics(house.app.ops).await;
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("banggia_webhook_{series} ")));
    line.map_or(0, |count| count.parse().unwrap())
}

async fn outcome(house: &Simulation, outcome: &str) -> u64 {
    counted(house, &format!("deliveries_total{{outcome=\"{outcome}\"}}")).await
}

async fn feed(house: &Simulation) -> Value {
    house.json("/v1/feeds").await["feeds"][0].clone()
}

/// The feed's source is away from now on, which leaves its value to age.
fn away(house: &Simulation) {
    house.world.fails(FEED, "chart", || Outcome::Connect("tpb.vn".to_owned()));
}

fn back(house: &Simulation) {
    house.world.says(FEED, "chart", tape(FEED, "chart", 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_that_goes_stale_and_recovers_is_told_each_once_signed_and_in_order() {
    let bank = receiver().await;
    let house = Simulation::at(DAY, &told(&bank)).await;
    assert_eq!(feed(&house).await["status"], "unavailable");
    house.refresh(FEED).await;
    house.move_to(at(STALE)).await;
    let first = &hits(&bank, 1).await[0];
    let stale = read(first);
    assert_eq!(
        stale,
        json!({
            "type": "feed.stale", "timestamp": STALE,
            "data": { "id": FEED, "feed": feed(&house).await, "at": STALE },
        }),
        "the first board that ever came is no recovery"
    );
    assert_eq!(header(first, "webhook-timestamp"), at(STALE).as_second().to_string());
    assert!(header(first, "user-agent").starts_with("banggia/1"), "{}", first.head);

    // From stale to expired it is still not fresh.
    house.move_to(at("2026-10-04T09:00:00+07:00")).await;
    assert_eq!(feed(&house).await["status"], "expired");
    house.world.says(FEED, "chart", tape(FEED, "chart", 1));
    house.refresh(FEED).await;
    let told = hits(&bank, 2).await;
    assert_eq!(types(&told), ["feed.stale", "feed.recovered"]);
    let recovered = read(&told[1]);
    assert_eq!(recovered["data"]["at"], "2026-10-04T09:00:00+07:00");
    assert_eq!(recovered["data"]["feed"], feed(&house).await);
    assert_ne!(header(&told[0], "webhook-id"), header(&told[1], "webhook-id"));

    // Straight from fresh to expired is one event too, and none came between.
    house.move_to(at("2026-10-20T09:00:00+07:00")).await;
    let told = hits(&bank, 3).await;
    assert_eq!(types(&told)[2..], ["feed.stale"]);
    assert_eq!(read(&told[2])["data"]["feed"]["status"], "expired");
    until("all were taken", async || outcome(&house, "delivered").await == 3).await;
    assert_eq!((counted(&house, "queue_length").await, outcome(&house, "retried").await), (0, 0));
    house.app.stop().await;
    assert_eq!(bank.hits(HOOK).len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_value_is_told_once_and_another_value_again() {
    let bank = receiver().await;
    let house = Simulation::at(DAY, &told(&bank)).await;
    house.refresh(FEED).await;
    let poll = async |minute: i64| {
        house.move_to(at(DAY).saturating_add(SignedDuration::from_mins(minute)).unwrap()).await;
        house.refresh(FEED).await;
    };
    house.world.says(FEED, "chart", scaled(FEED, "chart", dec!(0.93)));
    poll(1).await;
    let held = feed(&house).await["held"][0].clone();
    let told = read(&hits(&bank, 1).await[0]);
    assert_eq!(
        (&told["type"], &told["timestamp"]),
        (&json!("quote.held"), &json!("2026-09-30T09:01:00+07:00"))
    );
    let data = &told["data"];
    assert_eq!((&data["id"], &data["quote"]["id"]), (&json!("tpbank.gold.bar"), &json!("tpbank.gold.bar")));
    for part in ["candidate", "serving", "reasons", "since"] {
        assert_eq!(data[part], held[part], "{part}");
    }
    assert_eq!(data["reasons"][0]["code"], "jump");
    assert_eq!(data["quote"]["sell"], held["serving"]["sell"]);
    assert_eq!(data["at"], told["timestamp"]);

    // The same again, another one, the same, and what the operator refused.
    poll(2).await;
    house.world.says(FEED, "chart", scaled(FEED, "chart", dec!(0.92)));
    poll(3).await;
    hits(&bank, 2).await;
    poll(4).await;
    house.app.decide(FEED, "bar", false).await.unwrap();
    poll(5).await;
    back(&house);
    poll(6).await;
    house.move_to(at("2026-09-30T10:45:00+07:00")).await;
    let told = hits(&bank, 3).await;
    assert_eq!(types(&told), ["quote.held", "quote.held", "feed.stale"]);
    assert_ne!(read(&told[1])["data"]["candidate"], data["candidate"]);
    house.app.stop().await;
    assert_eq!(bank.hits(HOOK).len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_taken_is_sent_again_under_the_same_id_and_what_is_taken_is_not() {
    let bank = Bank::open().await;
    let elsewhere = bank.url("/elsewhere");
    bank.script(
        HOOK,
        [Reply::status(500), Reply::status(307).with("Location", elsewhere), Reply::status(200)],
    );
    let house = Simulation::at(DAY, &told(&bank)).await;
    house.refresh(FEED).await;
    house.move_to(at(STALE)).await;
    hits(&bank, 1).await;
    // Behind the one that is not taken, since it is of the same feed.
    house.refresh(FEED).await;
    until("both were taken", async || outcome(&house, "delivered").await == 2).await;
    let told = bank.hits(HOOK);
    assert_eq!(types(&told), ["feed.stale", "feed.stale", "feed.stale", "feed.recovered"]);
    for again in &told[1..3] {
        assert_eq!(header(again, "webhook-id"), header(&told[0], "webhook-id"));
        assert_eq!(again.body, told[0].body);
    }
    assert_eq!(outcome(&house, "retried").await, 2);
    assert_eq!(bank.hits("/elsewhere").len(), 0, "redirects are not followed");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_wants_no_more_hears_nothing_until_the_configuration_is_read_again() {
    let bank = Bank::open().await;
    bank.script(HOOK, [Reply::status(410)]);
    let text = told(&bank);
    let house = Simulation::at(DAY, &text).await;
    house.refresh(FEED).await;
    house.move_to(at(STALE)).await;
    until("it is gone", async || counted(&house, "on").await == 0).await;
    assert_eq!((outcome(&house, "gone").await, counted(&house, "queue_length").await), (1, 0));
    bank.script(HOOK, [Reply::status(200)]);
    house.refresh(FEED).await;
    house.app.webhook().configure(&house::config(&text));
    until("it is on", async || counted(&house, "on").await == 1).await;
    house.move_to(at("2026-09-30T13:00:00+07:00")).await;
    assert_eq!(
        types(&hits(&bank, 2).await),
        ["feed.stale", "feed.stale"],
        "what happened meanwhile is no news"
    );

    // Switched off: what waits is lost, and so is what happens.
    bank.script(HOOK, [Reply::status(500)]);
    house.refresh(FEED).await;
    until("it was not taken", async || outcome(&house, "retried").await > 0).await;
    house.app.webhook().configure(&house::config("[webhook]\nurl = \"\""));
    until("it is off", async || counted(&house, "on").await == 0).await;
    assert_eq!((outcome(&house, "lost").await, counted(&house, "queue_length").await), (1, 0));
    house.move_to(at("2026-09-30T14:00:00+07:00")).await;

    // On again, for held values only.
    let (before, stale) = (bank.hits(HOOK).len(), feed(&house).await);
    assert_eq!(stale["status"], "stale");
    bank.script(HOOK, [Reply::status(200)]);
    let only = text.replace("allow_private", "events = [\"quote.held\"]\nallow_private");
    house.app.webhook().configure(&house::config(&only));
    until("it is on", async || counted(&house, "on").await == 1).await;
    house.refresh(FEED).await;
    house.world.says(FEED, "chart", scaled(FEED, "chart", dec!(0.93)));
    house.refresh(FEED).await;
    assert_eq!(types(&hits(&bank, before + 1).await)[before..], ["quote.held"]);
    house.app.stop().await;
    assert_eq!(bank.hits(HOOK).len(), before + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a19_a_private_address_is_told_nothing_under_whatever_name() {
    let canary = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    canary.set_nonblocking(true).unwrap();
    let text = told(&Bank::open().await);
    let url = format!("url = \"https://localhost:{}/hook\"\n", canary.local_addr().unwrap().port());
    let lines = text.lines().filter(|line| !line.starts_with("allow_private"));
    let text: String =
        lines.map(|line| if line.starts_with("url") { url.clone() } else { format!("{line}\n") }).collect();
    let house = Simulation::at(DAY, &text).await;
    house.refresh(FEED).await;
    house.move_to(at(STALE)).await;
    until("two tries", async || outcome(&house, "retried").await >= 2).await;
    assert_eq!(canary.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "nobody came");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_never_answers_delays_no_publish_and_the_queue_stays_bounded() {
    // Connections are made by the kernel; nobody reads them.
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let text = format!(
        "[webhook]\nurl = \"http://{}/\"\nallow_private = true\ntimeout = \"10m\"\n[secrets]\nwebhook_key = \"{KEY}\"\n",
        dead.local_addr().unwrap()
    );
    let house = Simulation::at(DAY, &text).await;
    let feeds = providers::feeds().map(|(_, feed)| feed.id).collect::<Vec<_>>();
    for feed in &feeds {
        house.refresh(feed).await;
    }
    let mut happened = 0;
    let (fresh, late) = (at("2026-09-30T09:01:00+07:00"), at("2026-10-03T09:00:00+07:00"));
    for round in 0..50 {
        let (to, is) = if round % 2 == 0 { (late, false) } else { (fresh, true) };
        // Seconds on, so that no two events are one.
        house.move_to(to.saturating_add(SignedDuration::from_secs(round)).unwrap()).await;
        assert!(
            house.snapshot().feeds.iter().all(|feed| (feed.status == Status::Fresh) == is),
            "{round}: published, though six deliveries are under way for good"
        );
        happened += u64::try_from(feeds.len()).unwrap();
        until("it is queued", async || {
            let waiting = counted(&house, "queue_length").await;
            assert!(waiting <= 256, "{waiting}");
            waiting + outcome(&house, "dropped").await == happened
        })
        .await;
    }
    assert_eq!((counted(&house, "queue_length").await, outcome(&house, "dropped").await), (256, 300 - 256));
    let stopping = Instant::now();
    house.app.stop().await;
    assert!(
        stopping.elapsed() < Duration::from_secs(10),
        "a stop waits two seconds for it: {:?}",
        stopping.elapsed()
    );
}

/// The service on a store of its own at an instant.
async fn on(store: &Path, instant: &str, bank: &Bank) -> Simulation {
    let house = Simulation::on(&format!("sqlite:{}", store.display()), instant, &told(bank)).await;
    back(&house);
    house
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_nothing_is_told_again_and_what_went_stale_meanwhile_only_if_it_stays_so() {
    let (bank, folder) = (receiver().await, crate::canary::tempdir().unwrap());
    let store: PathBuf = folder.path().join("banggia.db");
    let house = on(&store, DAY, &bank).await;
    house.refresh(FEED).await;
    house.world.says(FEED, "chart", scaled(FEED, "chart", dec!(0.93)));
    house.move_to(at("2026-09-30T09:01:00+07:00")).await;
    house.refresh(FEED).await;
    hits(&bank, 1).await;
    house.app.stop().await;

    // A candidate that waited before the stop is no news after it, nor is the same one read again. What went stale while
    // nobody looked is news when a run has not mended it, from the time at which it did.
    let house = on(&store, "2026-09-30T12:00:00+07:00", &bank).await;
    assert_eq!(feed(&house).await["held"].as_array().unwrap().len(), 1);
    assert_eq!(feed(&house).await["status"], "stale");
    away(&house);
    house.refresh(FEED).await;
    let told = hits(&bank, 2).await;
    assert_eq!(types(&told), ["quote.held", "feed.stale"]);
    assert_eq!(read(&told[1])["data"]["at"], feed(&house).await["fresh_until"]);
    until("it was taken", async || outcome(&house, "delivered").await == 1).await;
    house.app.stop().await;

    // It was stale before, and everybody knows. Its recovery is news.
    let house = on(&store, "2026-09-30T12:10:00+07:00", &bank).await;
    away(&house);
    house.refresh(FEED).await;
    back(&house);
    house.move_to(at("2026-09-30T12:11:00+07:00")).await;
    house.refresh(FEED).await;
    assert_eq!(types(&hits(&bank, 3).await)[2..], ["feed.recovered"]);
    until("it was taken", async || outcome(&house, "delivered").await == 1).await;
    house.app.stop().await;

    // It went stale and the first run mends it: nothing happened that anybody has to know. The next time it is told.
    let house = on(&store, "2026-09-30T16:00:00+07:00", &bank).await;
    assert_eq!(feed(&house).await["status"], "stale");
    house.refresh(FEED).await;
    assert_eq!(feed(&house).await["status"], "fresh");
    house.move_to(at("2026-10-01T16:00:00+07:00")).await;
    let told = hits(&bank, 4).await;
    assert_eq!(types(&told)[3..], ["feed.stale"]);
    assert!(read(&told[3])["data"]["at"].as_str().unwrap() > "2026-09-30T16:00:00", "{}", told[3].body);
    house.app.stop().await;
    assert_eq!(bank.hits(HOOK).len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_delivers_what_has_just_happened() {
    let bank = Bank::open().await;
    bank.script(HOOK, [Reply::status(500), Reply::status(200)]);
    let house = Simulation::at(DAY, &told(&bank)).await;
    house.refresh(FEED).await;
    house.move_to(at(STALE)).await;
    until("it was not taken", async || outcome(&house, "retried").await == 1).await;
    house.app.stop().await;
    let told = bank.hits(HOOK);
    assert_eq!(types(&told), ["feed.stale", "feed.stale"]);
    assert_eq!(header(&told[0], "webhook-id"), header(&told[1], "webhook-id"));
}

#[tokio::test(flavor = "multi_thread")]
async fn recordings_wake_nobody() {
    let bank = receiver().await;
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nops_listen = \"127.0.0.1:0\"\n[store]\nurl = \"sqlite::memory:\"\n{}[secrets]\nwebhook_key = \"{KEY}\"\n",
        hook(&bank)
    );
    let config = house::config(&text);
    assert!(config.webhook.is_some());
    let app = App::start(config, Mode::Replay(None)).await.unwrap();
    let counted = metrics(app.ops).await;
    assert!(counted.contains("banggia_webhook_queue_length 0"), "{counted}");
    assert!(!counted.contains("banggia_webhook_deliveries_total{"), "it is off: {counted}");
    app.stop().await;
    assert_eq!(bank.all_hits(), 0);
}

/// A house whose TPBank moves by 7 % at the second answer.
async fn jumping(hook: &Bank) -> House {
    let bank = Bank::open().await;
    good_day(&bank, 0);
    let text = told(hook);
    let house = House::of(bank, |bank, store| only_tpbank(&config_text(bank, store), &text)).await;
    house.settled().await;
    house.bank.script(&path(FEED, "chart"), [Reply::ok(jump())]);
    house
}

/// The configuration of a house, with one feed.
fn only_tpbank(text: &str, told: &str) -> String {
    let mut text = text.to_owned();
    for (_, feed) in providers::feeds().filter(|(_, feed)| feed.id != FEED) {
        let section = format!("[feeds.{}]\n", feed.id);
        text = text.replace(&section, &format!("{section}enabled = false\n"));
    }
    let (told, _) = told.split_once("[feeds.").unwrap();
    text + told
}

fn jump() -> Vec<u8> {
    scaled(FEED, "chart", dec!(0.93)).into_values().next().unwrap()
}

/// The commands of the documentation that follow some words of it.
fn documented(words: &str) -> String {
    let text = std::fs::read_to_string("docs/OPERATIONS.md").unwrap();
    let (_, rest) =
        text.split_once(words).unwrap_or_else(|| panic!("docs/OPERATIONS.md says nothing of {words}"));
    let (_, rest) = rest.split_once("```sh").unwrap();
    let (_, rest) = rest.split_once('\n').unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_commands_make_a_key_and_verify_a_delivery_and_refuse_a_forged_one() {
    if !installed("openssl") {
        return missing("openssl");
    }
    let bank = receiver().await;
    let house = jumping(&bank).await;
    house.refresh(FEED).await;
    let hit = &hits(&bank, 1).await[0];
    assert_eq!(read(hit)["type"], "quote.held");
    house.app.stop().await;

    let folder = crate::canary::tempdir().unwrap();
    let run = |script: &str, key: &str, signature: &str, body: &str| {
        std::fs::write(folder.path().join("body"), body).unwrap();
        let output = Command::new("sh")
            .args(["-euc", script])
            .current_dir(folder.path())
            .envs([("key", key), ("signature", signature)])
            .envs([("id", header(hit, "webhook-id")), ("timestamp", header(hit, "webhook-timestamp"))])
            .output()
            .unwrap();
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let verify = documented("**Verify before you believe.**");
    let signature = header(hit, "webhook-signature");
    let verified = ("verified\n".to_owned(), String::new());
    assert_eq!(run(&verify, KEY, signature, &hit.body), verified);
    assert_ne!(run(&verify, KEY, signature, &hit.body.replace("held", "told")), verified);
    assert_ne!(
        run(&verify, "whsec_bmljaHQgZ2VoZWltLCBudXIgZsO8ciBUZXN0cyE=", signature, &hit.body),
        verified
    );
    // A key that is a plain text signs with its own bytes.
    let plain = "a text of at least 24 bytes";
    let signed = format!("{}.{}.{}", header(hit, "webhook-id"), header(hit, "webhook-timestamp"), hit.body);
    let signature = format!("v1,{}", BASE64.encode(hmac(plain.as_bytes(), signed.as_bytes())));
    assert_eq!(run(&verify, plain, &signature, &hit.body), verified);

    run(&documented("The key comes from"), "", "", "");
    let key = std::fs::read_to_string(folder.path().join("webhook.key")).unwrap();
    assert!(key.trim().parse::<banggia::webhook::Key>().is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a22_the_key_and_the_address_of_the_webhook_show_in_no_log_and_no_check() {
    let (bank, hook) = (Bank::open().await, Bank::open().await);
    good_day(&bank, 0);
    let good = tape(FEED, "chart", 0).into_values().next().unwrap();
    bank.script(&path(FEED, "chart"), [Reply::ok(good), Reply::ok(jump())]);
    hook.script(HOOK, [Reply::status(500), Reply::status(410)]);
    let folder = crate::canary::tempdir().unwrap();
    let text = only_tpbank(&config_text(&bank, &folder.path().join("banggia.db")), &told(&hook));
    let text = text.replace(
        "[feeds.tpbank.gold]\nschedule = \"0 3 1 1 *\"",
        "[feeds.tpbank.gold]\nschedule = \"* * * * * *\"",
    );
    let config = write_config(folder.path(), "banggia.toml", &text);
    let mut command = banggia();
    command.env("BANGGIA_LOG", "trace");
    let service = Service::start_by(command, &config);
    service.wait_log("the webhook's receiver wants no more events (410)");
    let log = service.stop().1;
    for told in ["the webhook is on", "status 500", "quote.held"] {
        assert!(log.contains(told), "{told}\n{log}");
    }
    let check = banggia().args(["check", "--config"]).arg(&config).output().unwrap();
    crate::canary::said(&check.stdout);
    crate::canary::said(&check.stderr);
    assert!(check.status.success());
    let check = String::from_utf8(check.stdout).unwrap();
    assert!(check.contains("webhook.url"), "{check}");
    for said in [&log, &check] {
        for secret in [KEY, KEY.strip_prefix("whsec_").unwrap(), "secret-path"] {
            assert!(!said.contains(secret), "{secret}\n{said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_is_the_difference_of_two_snapshots() {
    const FX: &str = "vietcombank.fx";
    let told = |before: &Snapshot, after: &Snapshot| -> Vec<(&'static str, String)> {
        let events = events(before, after).into_iter();
        let id = |event: &Event| json!(event.data)["id"].as_str().unwrap().to_owned();
        events.map(|event| (event.what.as_str(), id(&event))).collect()
    };
    let house = Simulation::at(DAY, "").await;
    let nothing = house.snapshot();
    house.refresh(FX).await;
    let good = house.snapshot();
    let new = told(&nothing, &good);
    assert!(new.len() > 5 && new.iter().all(|(what, _)| *what == "quote.changed"), "{new:?}");
    assert_eq!(told(&good, &good), []);

    house.world.says(FX, "json", scaled(FX, "json", dec!(1.05)));
    house.move_to(at("2026-09-30T09:06:00+07:00")).await;
    house.refresh(FX).await;
    let held = house.snapshot();
    let candidates = told(&good, &held);
    assert!(
        candidates.len() > 5 && candidates.iter().all(|(what, _)| *what == "quote.held"),
        "{candidates:?}"
    );
    assert_eq!(told(&held, &good), [], "that nothing waits any more is no event");
    house.world.says(FX, "json", scaled(FX, "json", dec!(1.06)));
    house.refresh(FX).await;
    assert_eq!(told(&held, &house.snapshot()), candidates, "other values for the same quotes");

    // The same values from another source, or from both, or after they were refused, are the same candidates.
    let changed = |change: fn(&mut FeedState)| {
        let feed = held.feeds.iter().find(|feed| feed.state.feed.id == FX).unwrap();
        let mut state = FeedState::clone(&feed.state);
        change(&mut state);
        Snapshot::of(vec![Arc::new(state).serve(house.clock.now())])
    };
    let moved = changed(|state| state.sources[1].held = std::mem::take(&mut state.sources[0].held));
    let both = changed(|state| state.sources[1].held = state.sources[0].held.clone());
    let refused = changed(|state| state.sources[0].held.values_mut().for_each(|held| held.refused = true));
    for (before, after) in [(&*held, &moved), (&moved, &both), (&both, &refused), (&refused, &held)] {
        assert_eq!(told(before, after), []);
    }
    assert_eq!(told(&good, &both), candidates, "each once");
    assert_eq!(told(&good, &refused), []);

    // A feed that is not in one of them has no past or no present. From never to stale it was fresh between the two.
    house.move_to(at("2026-09-30T18:00:00+07:00")).await;
    let late = house.snapshot();
    assert_eq!(told(&held, &late)[0], ("feed.stale", FX.to_owned()));
    assert_eq!(told(&nothing, &late)[0], ("feed.stale", FX.to_owned()));
    assert_eq!(told(&Snapshot::of(Vec::new()), &late), []);
    assert_eq!(told(&good, &Snapshot::of(Vec::new())), []);
    assert_eq!(told(&late, &good), [("feed.recovered", FX.to_owned())]);
    house.app.stop().await;
}

/// A published example of the convention.
#[test]
fn signatures_are_those_of_the_convention() {
    let key: banggia::webhook::Key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
    assert_eq!(
        key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b"{\"test\": 2432232314}"),
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    );
}
