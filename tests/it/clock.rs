//! The machine's own clock, set while the real program runs: by libfaketime, which moves what the program takes for the
//! time and leaves alone what nobody can set.

use std::{path::Path, process::Command};

use crate::{
    bank::{Bank, Reply},
    house::{find, good_day, path, recorded},
    service::{Service, banggia, write_config},
};

const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// Where the library is; Debian's folders differ by machine.
pub fn library() -> Option<String> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.filter_map(Result::ok);
    let own = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    std::iter::once(Path::new(LIBRARY).to_owned())
        .chain(own)
        .find(|path| path.is_file())
        .map(|path| path.to_string_lossy().into_owned())
}

/// A program whose clock is `offset` ahead, until the file says another.
pub fn with_clock(file: &Path, library: &str) -> Command {
    let mut command = banggia();
    command
        .env("LD_PRELOAD", library)
        .env("FAKETIME_TIMESTAMP_FILE", file)
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("DONT_FAKE_MONOTONIC", "1");
    command
}

/// TPBank alone, every two seconds.
fn config(bank: &Bank, store: &Path) -> String {
    let mut text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nops_listen = \"127.0.0.1:0\"\n[store]\nurl = \"sqlite:{}\"\n",
        store.display()
    );
    for (_, feed) in providers::feeds().filter(|(_, feed)| feed.id != "tpbank.gold") {
        text.push_str(&format!("[feeds.{}]\nenabled = false\n", feed.id));
    }
    text.push_str(&format!(
        "[feeds.tpbank.gold]\nschedule = \"*/2 * * * * *\"\njitter = \"0s\"\n[feeds.tpbank.gold.sources.chart]\nurl = \"{}\"\nallow_private = true\n",
        bank.url(&path("tpbank.gold", "chart"))
    ));
    text
}

/// The recorded chart with another selling price.
pub fn sells(price: &str) -> Reply {
    let text = String::from_utf8(recorded("tpbank.gold", "chart", 0, None)).unwrap();
    let at = text.rfind("\"RATE_SELL\"").unwrap();
    let start = at + text[at..].find(|c: char| c.is_ascii_digit()).unwrap();
    let end = start + text[start..].find(|c: char| !c.is_ascii_digit()).unwrap();
    Reply::ok(format!("{}{price}{}", &text[..start], &text[end..]))
}

fn sell(gold: &serde_json::Value) -> Option<String> {
    Some(find(gold, "tpbank.gold.bar")?["sell"].as_str()?.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn f22_a_machine_whose_clock_is_set_goes_on_fetching_and_believes_nothing_sooner() {
    let Some(library) = library() else {
        crate::service::missing("libfaketime");
        return;
    };
    let bank = Bank::open().await;
    good_day(&bank, 0);
    let chart = path("tpbank.gold", "chart");
    let folder = crate::canary::tempdir().unwrap();
    let clock = folder.path().join("clock");
    std::fs::write(&clock, "+86400").unwrap();
    let file = write_config(folder.path(), "b.toml", &config(&bank, &folder.path().join("banggia.db")));
    let (hits, served) = (bank.clone(), chart.clone());
    tokio::task::spawn_blocking(move || {
        let service = Service::start_by(with_clock(&clock, &library), &file);
        let first = sell(&service.wait("/v1/gold", "a first board", |gold| sell(gold).is_some())).unwrap();
        let ahead = service.get("/v1/gold")["quotes"][0]["checked_at"].as_str().unwrap().to_owned();

        // Set right: nothing may wait until tomorrow.
        std::fs::write(&clock, "+0").unwrap();
        let price: u64 = first.parse().unwrap();
        let (near, far) = ((price + 100_000).to_string(), (price * 107 / 100).to_string());
        hits.script(&served, [sells(&near)]);
        service.wait("/v1/gold", "the value after the clock was set back", |gold| {
            sell(gold).as_ref() == Some(&near)
        });
        let quote = service.get("/v1/gold")["quotes"][0].clone();
        assert!(quote["checked_at"].as_str().unwrap() < ahead.as_str(), "no time of tomorrow: {quote}");
        assert!(service.log().contains("the clock was set"), "{}", service.log());

        // Set forth by an hour, a candidate of some seconds is no older for it.
        hits.script(&served, [sells(&far)]);
        service.wait("/v1/feeds", "a held value", |feeds| feeds["feeds"][0]["held"][0].is_object());
        std::fs::write(&clock, "+3600").unwrap();
        let polls = hits.hits(&served).len();
        service.wait("/v1/gold", "five readings more", |gold| {
            assert_eq!(sell(gold).as_ref(), Some(&near), "held for a quarter of an hour of real time");
            hits.hits(&served).len() >= polls + 5
        });
        service.stop();
    })
    .await
    .unwrap();
}
