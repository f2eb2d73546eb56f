//! What survives a restart, and which stores are refused.

use banggia::store::{Nature, Store, StoreError};
use serde_json::json;

use crate::{
    bank::Reply,
    house::{House, good_day, path},
};

#[tokio::test(flavor = "multi_thread")]
async fn the_last_board_is_served_before_any_fetch_with_its_true_age_and_version() {
    let house = House::on_a_good_day().await;
    // Newer than the other bank's.
    house.refresh("vietcombank.fx").await;
    let asked = house.bank.all_hits();
    let mut before = Vec::new();
    for path in ["/v1/fx", "/v1/fx?currencies=USD", "/v1/fx?providers=bidv"] {
        let response = house.get(path).await;
        before.push((path, response.headers()["etag"].clone(), response.text().await.unwrap()));
    }
    let house = house.restart(|text| text).await;
    for (path, tag, body) in before {
        let after = house.get(path).await;
        assert_eq!(after.headers()["etag"], tag, "{path}");
        assert_eq!(after.text().await.unwrap(), body, "{path}: bytes, version and time survive");
    }
    assert_eq!(house.bank.all_hits(), asked, "no run was missed, so nobody is asked");

    // Without the bank that was read last: another list of feeds is a change of it, and not of the feeds in it.
    let version = async |house: &House, path: &str| house.json(path).await["version"].as_i64().unwrap();
    let (list, own) =
        (version(&house, "/v1/fx?currencies=USD").await, version(&house, "/v1/fx?providers=bidv").await);
    assert!(own < list);
    let enabled = "[feeds.vietcombank.fx]\n";
    let house = house.restart(|text| text.replace(enabled, &format!("{enabled}enabled = false\n"))).await;
    assert!(version(&house, "/v1/fx?currencies=USD").await > list, "no version comes twice");
    assert_eq!(version(&house, "/v1/fx?providers=bidv").await, own);
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missed_run_is_fetched_soon_after_the_start() {
    let house = House::on_a_good_day().await;
    let asked = house.bank.hits(&path("tpbank.gold", "chart")).len();
    good_day(&house.bank, 1);
    // Due every second, so a run was missed by the time that the service is back.
    let house = house
        .restart(|text| {
            text.replace(
                "[feeds.tpbank.gold]\nschedule = \"0 3 1 1 *\"",
                "[feeds.tpbank.gold]\nschedule = \"* * * * * *\"",
            )
        })
        .await;
    house
        .wait("tpbank was asked again", |feeds| feeds.to_string().contains("\"as_of\":\"2026-09-30\""))
        .await;
    assert!(house.bank.hits(&path("tpbank.gold", "chart")).len() > asked);
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_kept_and_an_unchanged_answer_is_none() {
    let house = House::on_a_good_day().await;
    house.refresh("tpbank.gold").await;
    good_day(&house.bank, 1);
    house.refresh("tpbank.gold").await;
    house.refresh("tpbank.gold").await;
    let bar = house.quote("/v1/gold", "tpbank.gold.bar").await;
    assert_eq!((&bar["sell"], &bar["change_sell"]), (&json!("142300000"), &json!("-200000")));
    let file = house.folder.path().join("banggia.db");
    let store = Store::look(&format!("sqlite:{}", file.display())).await.unwrap().unwrap();
    assert_eq!(store.changes("tpbank.gold.bar").await.unwrap(), 2);
    assert_eq!(store.changes("doji.gold.sjc-bar.hanoi").await.unwrap(), 1);
    store.close().await;
    let house = house.restart(|text| text).await;
    assert_eq!(
        house.quote("/v1/gold", "tpbank.gold.bar").await["change_sell"],
        "-200000",
        "the change survives too"
    );
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_that_fails_after_a_restart_keeps_its_last_board() {
    let house = House::on_a_good_day().await;
    house.bank.script(&path("bidv.fx", "board"), [Reply::ok("<html><title>Bảo trì</title></html>")]);
    let house = house.restart(|text| text).await;
    house.refresh("bidv.fx").await;
    let usd = house.quote("/v1/fx", "bidv.fx.USD").await;
    assert_eq!(usd["status"], "fresh");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_that_cannot_be_used_are_refused_in_one_sentence_and_left_alone() {
    let folder = crate::canary::tempdir().unwrap();
    let url = |name: &str| format!("sqlite:{}", folder.path().join(name).display());

    let missing = Store::open(&url("no/such/banggia.db"), Nature::Live).await.unwrap_err();
    assert!(matches!(missing, StoreError::NoFolder { .. }), "{missing}");

    let store = Store::open(&url("a.db"), Nature::Live).await.unwrap();
    let second = Store::open(&url("a.db"), Nature::Live).await.unwrap_err();
    assert!(matches!(second, StoreError::InUse(_)), "{second}");
    store.close().await;
    drop(store);
    let other = Store::open(&url("a.db"), Nature::Recorded).await.unwrap_err();
    assert!(matches!(other, StoreError::Nature { .. }), "{other}");

    std::fs::write(
        folder.path().join("b.db"),
        "this is not a database, but a note that somebody kept here".repeat(100),
    )
    .unwrap();
    let note = std::fs::read(folder.path().join("b.db")).unwrap();
    let error = Store::open(&url("b.db"), Nature::Live).await.unwrap_err();
    assert!(error.to_string().contains("not a database"), "{error}");
    assert_eq!(std::fs::read(folder.path().join("b.db")).unwrap(), note);
}

#[tokio::test(flavor = "multi_thread")]
async fn f10_a_source_that_asked_to_be_left_alone_is_left_alone_after_a_restart_too() {
    let house = House::on_a_good_day().await;
    let chart = path("tpbank.gold", "chart");
    house.bank.script(&chart, [Reply::status(503).with("Retry-After", "600")]);
    house.refresh("tpbank.gold").await;
    let asked = house.bank.hits(&chart).len();
    // A run was missed, so that a start would ask.
    let house = house
        .restart(|text| {
            text.replace(
                "[feeds.tpbank.gold]\nschedule = \"0 3 1 1 *\"",
                "[feeds.tpbank.gold]\nschedule = \"* * * * * *\"",
            )
        })
        .await;
    let ends = house.refresh("tpbank.gold").await;
    assert!(matches!(ends, banggia::refresh::RunEnd::Failed(_)));
    assert_eq!(house.bank.hits(&chart).len(), asked);
    let next = house.feed("tpbank.gold").await["next_refresh_at"].as_str().unwrap().to_owned();
    let next: jiff::Timestamp = next.parse().unwrap();
    assert!(next.as_second() - banggia::clock::Clock::system().now().as_second() > 500, "{next}");
    house.app.stop().await;
}
