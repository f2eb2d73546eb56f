//! Recorded answers through the same path as live ones.

use banggia::app::{App, Mode};
use serde_json::{Value, json};

use crate::house::{client, config};

const START: &str =
    "[server]\nlisten = \"127.0.0.1:0\"\nops_listen = \"127.0.0.1:0\"\n[store]\nurl = \"sqlite::memory:\"\n";

async fn json(app: &App, path: &str) -> Value {
    let text =
        client().get(format!("http://{}{path}", app.public)).send().await.unwrap().text().await.unwrap();
    serde_json::from_str(&text).unwrap()
}

async fn until(app: &App, path: &str, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let document = json(app, path).await;
        if condition(&document) {
            return document;
        }
        assert!(std::time::Instant::now() < deadline, "waited for: {what}\n{document:#}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

fn all_fresh(feeds: &Value) -> bool {
    feeds["feeds"].as_array().unwrap().iter().all(|feed| feed["status"] == "fresh")
}

#[tokio::test(flavor = "multi_thread")]
async fn all_six_feeds_are_filled_at_once_and_marked_as_recorded() {
    let app = App::start(config(START), Mode::Replay(None)).await.unwrap();
    until(&app, "/v1/feeds", "six fresh feeds", all_fresh).await;
    for path in ["/v1/board", "/v1/gold", "/v1/fx", "/v1/deposits", "/v1/feeds"] {
        assert_eq!(json(&app, path).await["recorded"], true, "{path}");
    }
    let gold = json(&app, "/v1/gold").await;
    let generated: jiff::Timestamp = gold["generated_at"].as_str().unwrap().parse().unwrap();
    let start: jiff::Timestamp = "2026-09-29T15:30:00+07:00".parse().unwrap();
    let after = generated.as_second() - start.as_second();
    assert!((0..120).contains(&after), "the clock starts at the first recording: {generated}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refresh_is_one_recording_later_and_the_last_one_stays() {
    let app = App::start(config(START), Mode::Replay(None)).await.unwrap();
    until(&app, "/v1/feeds", "six fresh feeds", all_fresh).await;
    for (_, feed) in providers::feeds() {
        app.refresh(feed.id).await.unwrap();
    }
    let gold = json(&app, "/v1/gold").await;
    let bar = crate::house::find(&gold, "doji.gold.sjc-bar.hanoi").unwrap();
    assert_eq!((&bar["buy"], &bar["change_buy"]), (&json!("139500000"), &json!("500000")));
    let bank = crate::house::find(&gold, "tpbank.gold.bar").unwrap();
    assert_eq!(
        (&bank["sell"], &bank["change_sell"], &bank["change_buy"]),
        (&json!("142300000"), &json!("-200000"), &json!("0"))
    );
    let now = |document: &Value| document["generated_at"].as_str().unwrap().to_owned();
    assert!(now(&gold).starts_with("2026-09-30"), "the clock is never behind what is played: {}", now(&gold));

    app.refresh("doji.gold").await.unwrap();
    let again = json(&app, "/v1/gold").await;
    assert_eq!(crate::house::find(&again, "doji.gold.sjc-bar.hanoi").unwrap()["buy"], "139500000");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_step_comes_by_the_schedule_of_the_recorded_clock() {
    let text = format!("{START}[feeds.tpbank.gold]\nschedule = \"* * * * * *\"\n");
    let app = App::start(config(&text), Mode::Replay(None)).await.unwrap();
    until(&app, "/v1/gold", "the second day", |gold| {
        crate::house::find(gold, "tpbank.gold.bar").is_some_and(|bar| bar["sell"] == "142300000")
    })
    .await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recordings_are_read_from_a_folder_with_the_same_names() {
    let folder = crate::canary::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("tpbank")).unwrap();
    let body = r#"{"item":[{"DATES":"05/17/2024","RATE_BUY":87400000,"RATE_SELL":89500000}]}"#;
    std::fs::write(folder.path().join("tpbank/gold.chart.2024-05-17T1000.json"), body).unwrap();
    let app = App::start(config(START), Mode::Replay(Some(folder.path().to_owned()))).await.unwrap();
    let gold =
        until(&app, "/v1/gold", "the price", |gold| !gold["quotes"].as_array().unwrap().is_empty()).await;
    assert_eq!(gold["quotes"][0]["buy"], "87400000");
    assert_eq!(gold["feeds"][0]["status"], "unavailable", "what was not recorded is not invented");
    app.stop().await;

    for (name, part) in [
        ("x/gold.chart.2024-05-17T1000.json", "no source"),
        ("tpbank/gold.json", "not named like a recording"),
    ] {
        let folder = crate::canary::tempdir().unwrap();
        let file = folder.path().join(name);
        std::fs::create_dir(file.parent().unwrap()).unwrap();
        std::fs::write(&file, body).unwrap();
        let error =
            App::start(config(START), Mode::Replay(Some(folder.path().to_owned()))).await.err().unwrap();
        assert!(error.to_string().contains(part), "{error}");
    }
}
