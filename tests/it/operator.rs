//! The operator at work on the real program: sees what will run, changes it under load, makes mistakes, decides on what is
//! held; reloads by the thousand and hands over by the dozen, and no reader notices.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    bank::{Bank, Reply},
    clock::sells,
    house::{config_text, find, good_day, path},
    load::Load,
    service::{Service, TOKEN, banggia, number, write_config},
};

/// What readers ask for.
const PATHS: [&str; 5] =
    ["/v1/board", "/v1/gold", "/v1/fx?currencies=USD,EUR", "/widgets/panel", "/v1/feeds"];

/// A bank, a folder, a configuration with a token in it.
struct Desk {
    bank: Bank,
    folder: crate::canary::Folder,
    file: PathBuf,
    text: String,
}

impl Desk {
    async fn new() -> Self {
        let bank = Bank::open().await;
        good_day(&bank, 0);
        let folder = crate::canary::tempdir().unwrap();
        // The token comes from the environment, as every service of the tests has it.
        let text = config_text(&bank, &folder.path().join("banggia.db"));
        let file = write_config(folder.path(), "banggia.toml", &text);
        Self { bank, folder, file, text }
    }

    /// The configuration with a schedule of TPBank's in the place of the rare one.
    fn with_schedule(&self, schedule: &str) -> String {
        let rare = "[feeds.tpbank.gold]\nschedule = \"0 3 1 1 *\"";
        assert!(self.text.contains(rare));
        self.text.replace(rare, &format!("[feeds.tpbank.gold]\nschedule = \"{schedule}\""))
    }

    fn line_of(text: &str, words: &str) -> usize {
        text.lines().position(|line| line.contains(words)).unwrap() + 1
    }

    fn overrides(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("banggia.db.overrides.toml")).unwrap_or_default()
    }
}

fn feed<'a>(feeds: &'a Value, id: &str) -> &'a Value {
    feeds["feeds"].as_array().unwrap().iter().find(|feed| feed["id"] == id).unwrap()
}

fn settled(service: &Service) {
    service.wait("/v1/feeds", "every feed was asked", |feeds| {
        feeds["feeds"].as_array().unwrap().iter().all(|feed| {
            feed["sources"].as_array().unwrap().iter().any(|source| !source["last_attempt_at"].is_null())
        })
    });
}

fn metric(service: &Service, name: &str) -> String {
    let (_, text) = service.ops("GET", "/metrics", None, None);
    let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("no {name} in\n{text}")).split(' ').next_back().unwrap().to_owned()
}

fn with(work: impl FnOnce() + Send + 'static) -> tokio::task::JoinHandle<()> {
    tokio::task::spawn_blocking(work)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_tunes_the_service_under_load_and_finds_it_in_the_audit_log() {
    let desk = Desk::new().await;
    with(move || {
        let service = Service::start(&desk.file);
        settled(&service);
        let load = Load::start(service.public, 8, PATHS);

        // Sees the next five runs.
        let feeds = service.admin("GET", "/admin/feeds", None);
        let tpbank = feed(&feeds, "tpbank.gold");
        assert_eq!(tpbank["next_runs"].as_array().unwrap().len(), 5);
        assert!(tpbank["next_runs"][0].as_str().unwrap().contains("-01-01T03:00:00+07:00"), "{tpbank:#}");
        let place = tpbank["schedule_origin"].as_str().unwrap();
        let line = Desk::line_of(&desk.text, "[feeds.tpbank.gold]") + 1;
        assert!(place.ends_with(&format!("banggia.toml:{line}")), "{place}");

        // Changes a schedule, and it takes effect within a second.
        let asked = desk.bank.hits(&path("tpbank.gold", "chart")).len();
        let began = Instant::now();
        let changed = service.admin(
            "POST",
            "/admin/feeds/tpbank.gold/schedule",
            Some(r#"{"schedule": "* * * * * *"}"#),
        );
        let shown = service.get("/v1/feeds");
        assert_eq!(feed(&shown, "tpbank.gold")["schedule"], "* * * * * *");
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        assert_eq!(changed["feed"]["schedule_origin"], "console, until the next restart");
        service.wait("/v1/feeds", "runs by the new schedule", |_| {
            desk.bank.hits(&path("tpbank.gold", "chart")).len() >= asked + 3
        });
        assert_eq!(desk.overrides(), "", "for now is not for good");

        // Makes a mistake, and is told where.
        let (status, told) = service.ops(
            "POST",
            "/admin/feeds/tpbank.gold/schedule",
            Some(TOKEN),
            Some(r#"{"schedule": "61 * * * *", "persist": true}"#),
        );
        assert_eq!(status, 422, "{told}");
        assert!(told.contains("feeds.tpbank.gold.schedule") && told.contains("five fields"), "{told}");
        let broken = desk.with_schedule("often");
        std::fs::write(&desk.file, &broken).unwrap();
        let (status, told) = service.ops("POST", "/admin/reload", Some(TOKEN), Some("{}"));
        let line = Desk::line_of(&broken, "\"often\"");
        assert_eq!(status, 422, "{told}");
        assert!(told.contains(&format!("banggia.toml:{line}: feeds.tpbank.gold.schedule: ")), "{told}");
        assert_eq!(feed(&service.get("/v1/feeds"), "tpbank.gold")["schedule"], "* * * * * *");

        // Changes it for good, though the file is broken at the moment.
        service.admin(
            "POST",
            "/admin/feeds/tpbank.gold/schedule",
            Some(r#"{"schedule": "*/30 * * * *", "persist": true}"#),
        );
        assert!(desk.overrides().contains("schedule = \"*/30 * * * *\""), "{}", desk.overrides());
        assert_eq!(
            std::fs::read_to_string(&desk.file).unwrap(),
            broken,
            "the operator's file is the operator's"
        );
        std::fs::write(&desk.file, &desk.text).unwrap();
        service.wait_log("configuration read again: nothing changed");

        // Pauses and resumes a feed.
        let paused = service.admin("POST", "/admin/feeds/bidv.fx/pause", Some("{}"));
        assert_eq!((&paused["feed"]["paused"], &paused["feed"]["next_runs"]), (&json!(true), &json!([])));
        let bidv = service.get("/v1/feeds");
        assert_eq!(feed(&bidv, "bidv.fx")["next_refresh_at"], Value::Null);
        assert_eq!(feed(&bidv, "bidv.fx")["reason"]["code"], "paused");
        assert!(find(&service.get("/v1/fx"), "bidv.fx.USD").is_some(), "what is kept is still served");
        let resumed = service.admin("POST", "/admin/feeds/bidv.fx/resume", Some("{}"));
        assert_eq!(resumed["feed"]["paused"], false);
        assert_eq!(feed(&service.get("/v1/feeds"), "bidv.fx")["reason"], Value::Null);

        // Asks a source now; a price that jumps is held, and released by hand.
        desk.bank.script(&path("tpbank.gold", "chart"), [sells("152000000")]);
        let end = service.admin("POST", "/admin/feeds/tpbank.gold/refresh", Some("{}"));
        assert_eq!(end["outcome"], "good", "{end}");
        let held = service.admin("GET", "/admin/feeds/tpbank.gold", None);
        let candidate = &held["held"][0];
        assert_eq!(candidate["quote"], "tpbank.gold.bar");
        assert_eq!(candidate["candidate"]["sell"], "152000000", "{candidate:#}");
        assert_ne!(candidate["serving"]["sell"], "152000000");
        let (status, told) = service.ops("POST", "/admin/feeds/tpbank.gold/refresh", Some(TOKEN), Some("{}"));
        assert_eq!(status, 429, "a source is not asked again at once: {told}");
        service.admin("POST", "/admin/held/tpbank.gold.bar/accept", Some("{}"));
        let bar = find(&service.get("/v1/gold"), "tpbank.gold.bar").unwrap();
        assert_eq!(bar["sell"], "152000000");
        let (status, told) =
            service.ops("POST", "/admin/held/tpbank.gold.bar/accept", Some(TOKEN), Some("{}"));
        assert_eq!(status, 404, "{told}");

        // Finds all of it in the audit log.
        let acts = service.admin("GET", "/admin/audit", None);
        let acts = acts["acts"].as_array().unwrap();
        let said = |action: &str, outcome: &str| {
            acts.iter()
                .find(|act| act["action"] == action && act["outcome"].as_str().unwrap().contains(outcome))
                .unwrap_or_else(|| panic!("no {action} with {outcome} in {acts:#?}"))
        };
        let accepted = said("accept", "done");
        assert_eq!(accepted["target"], "tpbank.gold.bar");
        assert!(accepted["after"].as_str().unwrap().contains("sell 152000000"), "{accepted}");
        assert!(accepted["before"].as_str().unwrap().contains("sell 14"), "{accepted}");
        said("schedule", "done");
        said("schedule", "five fields");
        said("reload", "feeds.tpbank.gold.schedule");
        said("pause", "done");
        said("resume", "done");
        said("refresh", "done");
        said("accept", "nothing is held");

        let report = load.stop();
        assert!(report.failed == 0 && report.ok > 100, "{report}");
        let (status, log) = service.stop();
        assert!(status.success(), "{log}");
        assert!(!log.contains(TOKEN), "{log}");

        // What was for good is, and the acts are remembered.
        let service = Service::start(&desk.file);
        let feeds = service.admin("GET", "/admin/feeds", None);
        let tpbank = feed(&feeds, "tpbank.gold");
        assert_eq!(tpbank["schedule"], "*/30 * * * *");
        assert!(tpbank["schedule_origin"].as_str().unwrap().starts_with("console ("), "{tpbank:#}");
        let again = service.admin("GET", "/admin/audit", None);
        assert_eq!(again["acts"].as_array().unwrap().len(), acts.len());
        // And can be taken back.
        service.admin("POST", "/admin/feeds/tpbank.gold/schedule", Some(r#"{"schedule": null}"#));
        assert_eq!(feed(&service.get("/v1/feeds"), "tpbank.gold")["schedule"], "0 3 1 1 *");
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_applied_whole_or_refused_whole_with_file_line_and_key() {
    let desk = Desk::new().await;
    with(move || {
        let service = Service::start(&desk.file);
        settled(&service);
        let before = service.get("/v1/board");
        let schedule = |service: &Service| feed(&service.get("/v1/feeds"), "tpbank.gold")["schedule"].clone();

        std::fs::write(&desk.file, desk.with_schedule("*/20 * * * *")).unwrap();
        service.wait("/v1/feeds", "the new schedule", |feeds| {
            feed(feeds, "tpbank.gold")["schedule"] == "*/20 * * * *"
        });
        service
            .wait_log("configuration changed: feeds.tpbank.gold.schedule: \"0 3 1 1 *\" -> \"*/20 * * * *\"");
        assert_eq!(metric(&service, "banggia_config_last_reload_successful"), "1");

        // Two changes, one of them wrong: neither is applied.
        let wrong = desk.with_schedule("*/5 * * * *") + "[judge]\nhold_polls = 0\n";
        std::fs::write(&desk.file, &wrong).unwrap();
        let line = Desk::line_of(&wrong, "hold_polls");
        service.wait_log(&format!("banggia.toml:{line}: judge.hold_polls: must be at least 1"));
        assert_eq!(schedule(&service), "*/20 * * * *");
        assert_eq!(metric(&service, "banggia_config_last_reload_successful"), "0");

        // What is bound or open stays, and nothing beside it is applied.
        let fixed =
            desk.with_schedule("*/6 * * * *").replace("listen = \"127.0.0.1:0\"", "listen = \"127.0.0.1:1\"");
        std::fs::write(&desk.file, fixed).unwrap();
        service.wait_log("banggia.toml:2: server.listen: \"127.0.0.1:0\" cannot become \"127.0.0.1:1\"");
        let moved = desk.with_schedule("*/6 * * * *").replace("banggia.db", "other.db");
        std::fs::write(&desk.file, moved).unwrap();
        service.wait_log("store.url: ");
        assert_eq!(schedule(&service), "*/20 * * * *");

        // Emptied, and gone.
        std::fs::write(&desk.file, "").unwrap();
        service.wait_log("banggia.toml:1: the file is empty");
        std::fs::remove_file(&desk.file).unwrap();
        service.wait_log("banggia.toml: cannot be read");
        assert_eq!(schedule(&service), "*/20 * * * *");
        let last = service.admin("GET", "/admin/config", None);
        assert_eq!(last["last_reload"]["successful"], false);
        assert!(last["last_reload"]["reason"].as_str().unwrap().contains("cannot be read"));
        assert!(!last.to_string().contains(TOKEN), "{last}");
        let warnings =
            service.log().lines().filter(|line| line.contains("the configuration was refused")).count();
        assert_eq!(warnings, 5, "one line each\n{}", service.log());

        // As Kubernetes mounts it: a link to a folder that is put in the place of another.
        let folder = desk.folder.path();
        for (version, minutes) in [("v1", 15), ("v2", 10)] {
            std::fs::create_dir(folder.join(version)).unwrap();
            let text = desk.with_schedule(&format!("*/{minutes} * * * *"));
            std::fs::write(folder.join(version).join("banggia.toml"), text).unwrap();
        }
        let link = |to: &str, name: &str| {
            std::os::unix::fs::symlink(to, folder.join("new")).unwrap();
            std::fs::rename(folder.join("new"), folder.join(name)).unwrap();
        };
        link("v1", "..data");
        link("..data/banggia.toml", "banggia.toml");
        let becomes = |wanted: &str| {
            service.wait("/v1/feeds", wanted, |feeds| feed(feeds, "tpbank.gold")["schedule"] == wanted);
        };
        becomes("*/15 * * * *");
        link("v2", "..data");
        becomes("*/10 * * * *");
        assert_eq!(metric(&service, "banggia_config_last_reload_successful"), "1");

        // A feed that is switched off is absent everywhere; switched on again it has lost nothing.
        let text = desk.with_schedule("*/10 * * * *");
        let off = text.replace("[feeds.bidv.deposit]\n", "[feeds.bidv.deposit]\nenabled = false\n");
        std::fs::write(folder.join("v2/banggia.toml"), off).unwrap();
        service.wait("/v1/feeds", "without the feed", |feeds| !feeds.to_string().contains("bidv.deposit"));
        assert!(!service.get("/v1/board").to_string().contains("bidv.deposit"));
        let asked = desk.bank.hits(&path("bidv.deposit", "rates")).len();
        std::fs::write(folder.join("v2/banggia.toml"), text).unwrap();
        service.wait("/v1/feeds", "with the feed", |feeds| feeds.to_string().contains("bidv.deposit"));
        let after = service.get("/v1/board");
        for kind in ["gold", "fx", "deposits"] {
            let values = |board: &Value| -> Vec<(Value, Value)> {
                let quotes = board[kind]["quotes"].as_array().unwrap();
                quotes.iter().map(|quote| (quote["id"].clone(), quote["fetched_at"].clone())).collect()
            };
            assert_eq!(values(&before), values(&after), "{kind}");
        }
        assert_eq!(desk.bank.hits(&path("bidv.deposit", "rates")).len(), asked, "no run was missed");
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a33_a_storm_of_reloads_under_load_fails_no_request() {
    let desk = Desk::new().await;
    with(move || {
        let service = Service::start(&desk.file);
        settled(&service);
        let before = service.get("/v1/gold");
        let load = Load::start(service.public, 8, PATHS);
        let storms = number("BANGGIA_RELOADS", 1000);
        let id = service.id().to_string();
        for round in 0..storms {
            // Every tenth with another file, one in a hundred with a wrong one.
            if round % 10 == 0 {
                let text = match round % 100 {
                    0 => desk.with_schedule("never"),
                    _ => desk.with_schedule(&format!("{} 3 1 1 *", round / 10 % 60)),
                };
                std::fs::write(&desk.file, text).unwrap();
            }
            assert!(std::process::Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
        }
        std::fs::write(&desk.file, desk.with_schedule("59 2 1 1 *")).unwrap();
        service.signal("-HUP");
        service.wait("/v1/feeds", "the last schedule", |feeds| {
            feed(feeds, "tpbank.gold")["schedule"] == "59 2 1 1 *"
        });
        let report = load.stop();
        println!("{storms} SIGHUPs: {report}");
        assert!(report.failed == 0 && report.ok > 100, "{report}");
        let after = service.get("/v1/gold");
        assert_eq!(before["quotes"].as_array().unwrap().len(), after["quotes"].as_array().unwrap().len());
        let (status, log) = service.stop();
        assert!(status.success(), "{log}");
        assert!(
            log.contains("configuration changed: ") && log.contains("the configuration was refused"),
            "{log}"
        );
        assert!(!log.contains("panic"), "{log}");
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_kept_for_good_can_be_edited_by_hand_and_nonsense_there_is_told_before_the_next_start() {
    let desk = Desk::new().await;
    with(move || {
        let service = Service::start(&desk.file);
        settled(&service);
        let overrides = desk.folder.path().join("banggia.db.overrides.toml");
        let schedule = |service: &Service| feed(&service.get("/v1/feeds"), "tpbank.gold")["schedule"].clone();
        let body = r#"{"schedule": "*/20 * * * *", "persist": true}"#;
        service.admin("POST", "/admin/feeds/tpbank.gold/schedule", Some(body));
        let kept = desk.overrides();
        std::fs::write(&overrides, kept.replace("*/20", "*/21")).unwrap();
        service.admin("POST", "/admin/reload", Some("{}"));
        assert_eq!(schedule(&service), "*/21 * * * *");
        // A change in the console keeps what was edited.
        std::fs::write(&overrides, kept.replace("*/20", "*/22")).unwrap();
        service.admin("POST", "/admin/feeds/bidv.fx/pause", Some(r#"{"persist": true}"#));
        assert!(desk.overrides().contains("*/22") && desk.overrides().contains("paused = true"));
        assert_eq!(schedule(&service), "*/22 * * * *");
        std::fs::write(&overrides, "][}{").unwrap();
        let (status, told) = service.ops("POST", "/admin/reload", Some(TOKEN), Some("{}"));
        assert!(status == 422 && told.contains("overrides.toml:1: "), "{told}");
        assert_eq!(schedule(&service), "*/22 * * * *");
        std::fs::write(&overrides, "# nothing\n").unwrap();
        service.signal("-HUP");
        service.wait("/v1/feeds", "the file's own", |feeds| {
            feed(feeds, "tpbank.gold")["schedule"] == "0 3 1 1 *"
        });
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_never_ends_holds_up_nothing() {
    let desk = Desk::new().await;
    with(move || {
        let service = Service::start(&desk.file);
        settled(&service);
        std::fs::remove_file(&desk.file).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&desk.file).status().unwrap().success());
        let (status, told) = service.ops("POST", "/admin/reload", Some(TOKEN), Some("{}"));
        assert!(status == 422 && told.contains("it is no regular file"), "{told}");
        service.admin("POST", "/admin/feeds/bidv.fx/pause", Some("{}"));
        std::fs::remove_file(&desk.file).unwrap();
        std::fs::write(&desk.file, &desk.text).unwrap();
        service.admin("POST", "/admin/reload", Some("{}"));
        let (status, log) = service.stop();
        assert!(status.success(), "{log}");
    })
    .await
    .unwrap();
}

/// The process that serves at the moment, by what the log of all of them says; `0`: the first.
fn successors(service: &Service) -> Vec<u32> {
    let log = service.log();
    log.lines()
        .filter(|line| line.contains("handing over"))
        .filter_map(|line| line.split("pid=").nth(1)?.split_whitespace().next()?.parse().ok())
        .collect()
}

fn signal(pid: u32, signal: &str) {
    assert!(std::process::Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

fn waited(what: &str, condition: impl Fn() -> bool, log: impl Fn() -> String) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !condition() {
        assert!(Instant::now() < deadline, "waited a minute for: {what}\n{}", log());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p16_restarts_with_hand_over_under_load_fail_no_request_and_lose_no_value() {
    let desk = Desk::new().await;
    with(move || {
        let mut service = Service::start(&desk.file);
        settled(&service);
        let version = |service: &Service| service.get("/v1/board")["version"].as_i64().unwrap();
        let (mut newest, first) = (version(&service), service.id());
        let load = Load::start(service.public, 8, PATHS);
        let rounds = number("BANGGIA_HAND_OVERS", 10);
        let mut serving = first;
        for round in 1..=rounds {
            signal(serving, "-USR2");
            let count = usize::try_from(round).unwrap();
            waited(
                "a successor, and the end of the one before it",
                || {
                    let log = service.log();
                    log.matches("public listener on").count() > count
                        && log.matches("stopped").count() >= count
                },
                || service.log(),
            );
            serving = *successors(&service).last().unwrap();
            let now = version(&service);
            assert!(now >= newest, "{now} after {newest}");
            newest = now;
        }
        let report = load.stop();
        println!("{rounds} hand-overs: {report}");
        assert!(report.failed == 0 && report.ok > 100, "{report}\n{}", service.log());
        assert!(service.ended(), "the first process has ended");
        let gold = service.get("/v1/gold");
        assert!(find(&gold, "tpbank.gold.bar").is_some());
        signal(serving, "-TERM");
        waited(
            "the last one's end",
            || service.log().matches("stopped").count() > usize::try_from(rounds).unwrap(),
            || service.log(),
        );
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hand_over_names_what_was_changed_for_now_since_the_successor_does_not_know_it() {
    let desk = Desk::new().await;
    with(move || {
        let lost = "the successor does not know what was changed for now: ";
        let service = Service::start(&desk.file);
        settled(&service);
        let body = r#"{"schedule": "*/20 * * * *", "persist": true}"#;
        service.admin("POST", "/admin/feeds/doji.gold/schedule", Some(body));
        service.admin("POST", "/admin/feeds/tpbank.gold/schedule", Some(r#"{"schedule": "*/21 * * * *"}"#));
        service.admin("POST", "/admin/feeds/bidv.fx/pause", Some("{}"));
        service.signal("-USR2");
        waited("the end of the first process", || service.log().contains("stopped"), || service.log());
        waited("a successor", || service.log().matches("public listener on").count() == 2, || service.log());
        let log = service.log();
        let told: Vec<&str> = log.lines().filter(|line| line.contains(lost)).collect();
        assert_eq!(told.len(), 1, "{log}");
        assert!(told[0].contains(" WARN "), "{told:?}");
        let what = told[0].split_once(lost).unwrap().1;
        assert_eq!(
            what.trim_end(),
            "feeds.bidv.fx.paused = true; feeds.tpbank.gold.schedule = \"*/21 * * * *\"",
            "what is for good is known"
        );
        let feeds = service.admin("GET", "/admin/feeds", None);
        assert_eq!(feed(&feeds, "bidv.fx")["paused"], false);
        assert_eq!(feed(&feeds, "tpbank.gold")["schedule"], "0 3 1 1 *");
        assert_eq!(feed(&feeds, "doji.gold")["schedule"], "*/20 * * * *");
        // Nothing is left that a second one could lose.
        let second = *successors(&service).last().unwrap();
        signal(second, "-USR2");
        waited("the second end", || service.log().matches("stopped").count() == 2, || service.log());
        assert_eq!(service.log().matches(lost).count(), 1, "{}", service.log());
        signal(*successors(&service).last().unwrap(), "-TERM");
        waited("the last end", || service.log().matches("stopped").count() == 3, || service.log());
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_successor_that_fails_leaves_the_service_as_it_was() {
    let desk = Desk::new().await;
    with(move || {
        let service = Service::start(&desk.file);
        settled(&service);
        let load = Load::start(service.public, 4, PATHS);
        // The new configuration is wrong: nobody is started.
        std::fs::write(&desk.file, desk.with_schedule("never")).unwrap();
        service.signal("-USR2");
        service.wait_log("no hand-over: ");
        assert!(successors(&service).is_empty());
        // Another store, whose board is another: a hand-over is no way around what a reload refuses.
        std::fs::write(&desk.file, desk.text.replace("banggia.db", "other.db")).unwrap();
        service.signal("-USR2");
        service.wait_log("no hand-over: ");
        service.wait_log("store.url: ");
        assert!(successors(&service).is_empty());
        std::fs::write(&desk.file, &desk.text).unwrap();

        // The store is damaged in a way that is refused, at the one moment at which nobody has it open: the first process
        // starts again, and meanwhile serves from memory.
        let asked = desk.bank.hits(&path("tpbank.gold", "chart")).len();
        let lock = desk.folder.path().join("banggia.db.lock");
        let (held, taken) = std::sync::mpsc::channel::<()>();
        let thief = std::thread::spawn(move || {
            let file = std::fs::File::options().read(true).write(true).open(lock).unwrap();
            // Looks until the first process lets go, and is faster than the second; or is not, and is told.
            while file.try_lock().is_err() {
                if taken.recv_timeout(Duration::from_millis(1))
                    != Err(std::sync::mpsc::RecvTimeoutError::Timeout)
                {
                    return;
                }
            }
            let _ = taken.recv_timeout(Duration::from_secs(20));
        });
        service.signal("-USR2");
        let refused = "the successor does not serve; this process starts again";
        waited(
            "one side or the other",
            || service.log().contains(refused) || service.log().matches("public listener on").count() > 1,
            || service.log(),
        );
        let _ = held.send(());
        thief.join().unwrap();
        service.wait("/v1/gold", "served again", |gold| find(gold, "tpbank.gold.bar").is_some());
        let report = load.stop();
        assert!(report.failed == 0, "{report}\n{}", service.log());
        assert!(desk.bank.hits(&path("tpbank.gold", "chart")).len() >= asked);
        for pid in successors(&service) {
            // Whichever serves is ended; one that failed is gone already.
            let _ = std::process::Command::new("kill").args(["-TERM", &pid.to_string()]).output();
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_of_a_service_manager_are_used_and_survive_a_restart_with_connections_waiting_in_them() {
    let desk = Desk::new().await;
    with(move || {
        // As systemd does: the sockets are bound by somebody else, and stay open between two runs.
        let sockets = [0, 1].map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let addresses = [0, 1].map(|at: usize| sockets[at].local_addr().unwrap());
        let start = |file: &Path| {
            use command_fds::{CommandFdExt as _, FdMapping};
            let mut command = banggia();
            let mappings = (3..)
                .zip(&sockets)
                .map(|(child_fd, socket)| FdMapping {
                    parent_fd: socket.try_clone().unwrap().into(),
                    child_fd,
                })
                .collect();
            command.fd_mappings(mappings).unwrap();
            command.env("LISTEN_FDS", "2").env("LISTEN_FDNAMES", "public:ops");
            Service::start_by(command, file)
        };
        let service = start(&desk.file);
        assert_eq!([service.public, service.ops], addresses);
        settled(&service);
        let load = Load::start(service.public, 4, PATHS);
        for _ in 0..3 {
            waited("some answers", || load.report().ok > 20, String::new);
        }
        let (status, log) = service.stop();
        assert!(status.success(), "{log}");
        let service = start(&desk.file);
        let before = load.report().ok;
        waited("answers after the restart", || load.report().ok > before + 50, || service.log());
        let report = load.stop();
        assert!(report.failed == 0, "{report}\n{}", service.log());
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_manager_is_told_of_the_start_of_reloads_of_life_and_of_the_end() {
    let desk = Desk::new().await;
    with(move || {
        let ear = desk.folder.path().join("notify");
        let socket = std::os::unix::net::UnixDatagram::bind(&ear).unwrap();
        socket.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        let next = |wanted: &str| {
            let mut heard = Vec::new();
            loop {
                let mut bytes = [0; 512];
                let length =
                    socket.recv(&mut bytes).unwrap_or_else(|error| panic!("{wanted}: {error}; {heard:?}"));
                let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
                if text.contains(wanted) {
                    return text;
                }
                heard.push(text);
            }
        };
        let mut command = banggia();
        command.env("NOTIFY_SOCKET", &ear).env("WATCHDOG_USEC", "600000");
        let service = Service::start_by(command, &desk.file);
        next("READY=1");
        next("WATCHDOG=1");
        service.signal("-HUP");
        assert!(next("RELOADING=1").contains("MONOTONIC_USEC="));
        next("READY=1");
        service.signal("-TERM");
        next("STOPPING=1");
        let (status, log) = service.stop();
        assert!(status.success(), "{log}");
    })
    .await
    .unwrap();
}

/// Who misbehaves is not asked more often because somebody changes settings.
#[tokio::test(flavor = "multi_thread")]
async fn changing_settings_again_and_again_asks_no_source_more_often() {
    let desk = Desk::new().await;
    with(move || {
        let service = Service::start(&desk.file);
        settled(&service);
        desk.bank.script(&path("tpbank.gold", "chart"), [Reply::status(500)]);
        service.admin("POST", "/admin/feeds/tpbank.gold/refresh", Some("{}"));
        let asked = desk.bank.hits(&path("tpbank.gold", "chart")).len();
        for round in 0..20 {
            let body = format!(r#"{{"schedule": "{round} 3 1 1 *"}}"#);
            service.admin("POST", "/admin/feeds/tpbank.gold/schedule", Some(&body));
        }
        service.admin("POST", "/admin/feeds/tpbank.gold/pause", Some("{}"));
        service.admin("POST", "/admin/feeds/tpbank.gold/resume", Some("{}"));
        assert_eq!(desk.bank.hits(&path("tpbank.gold", "chart")).len(), asked);
    })
    .await
    .unwrap();
}

/// A 304 brings no policy, so whoever asks with the tag of a page under the old one must get the page again.
#[tokio::test(flavor = "multi_thread")]
async fn who_may_frame_a_preset_is_another_page_when_it_changes() {
    let desk = Desk::new().await;
    with(move || {
        let preset = |site: &str| {
            format!("{}[presets.home]\nwidget = \"fx\"\nframe_ancestors = [\"https://{site}\"]\n", desk.text)
        };
        std::fs::write(&desk.file, preset("b.example.vn")).unwrap();
        let service = Service::start(&desk.file);
        settled(&service);
        let page = |tag: &str| service.page("/widgets/fx?preset=home", &[("If-None-Match", tag)]);
        let header = |answer: &str, name: &str| {
            let line = answer.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}:")));
            line.unwrap_or_else(|| panic!("no {name}: {answer}")).split_once(": ").unwrap().1.to_owned()
        };
        let first = page("\"none\"");
        assert!(header(&first, "content-security-policy").contains("frame-ancestors https://b.example.vn"));
        let tag = header(&first, "etag");
        assert!(page(&tag).starts_with("HTTP/1.1 304"));
        std::fs::write(&desk.file, preset("c.example.vn")).unwrap();
        service.admin("POST", "/admin/reload", Some("{}"));
        let second = page(&tag);
        assert!(second.starts_with("HTTP/1.1 200"), "{second}");
        assert!(header(&second, "content-security-policy").contains("frame-ancestors https://c.example.vn"));
    })
    .await
    .unwrap();
}
