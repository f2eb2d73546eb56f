//! What is kept of an answer that was refused, and that it can be played again.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use banggia::evidence::Note;

use crate::{
    bank::Reply,
    house::{House, path, recorded},
};

fn kept(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "body"))
        // Written after the body.
        .filter(|path| Note::beside(path).is_some())
        .collect();
    files.sort();
    files
}

async fn waited(folder: &Path, count: usize) -> Vec<PathBuf> {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let files = kept(folder);
        if files.len() >= count {
            return files;
        }
        assert!(std::time::Instant::now() < deadline, "{} of {count} answers were kept", files.len());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f27_an_answer_of_another_form_is_kept_and_plays_again() {
    let drifted = String::from_utf8(recorded("vietcombank.fx", "json", 0, None))
        .unwrap()
        .replace("\"sell\"", "\"selling\"")
        .replace("\"currencyName\":\"", "\"currencyName\":\"CANARY-0815 ");
    let scaled =
        String::from_utf8(recorded("tpbank.gold", "chart", 0, None)).unwrap().replace("00000", "000000");
    let house = House::with(
        |bank| {
            bank.script(
                &path("vietcombank.fx", "json"),
                [Reply::ok(drifted).with("Content-Type", "application/json")],
            );
            bank.script(&path("tpbank.gold", "chart"), [Reply::ok(scaled)]);
        },
        |text| text.replace("/vietcombank.fx/json\"", "/vietcombank.fx/json?token=CANARY-0815\""),
    )
    .await;
    house.settled().await;
    let folder = house.folder.path().join("banggia.db.evidence");
    // The third is the page that OCB sends for its table. Vietcombank's second source says 404, which is no answer.
    let files = waited(&folder, 3).await;
    assert_eq!(files.len(), 3, "{files:?}");
    let note = |feed: &str| {
        let file = files.iter().find(|file| file.to_string_lossy().contains(feed)).unwrap();
        (file.clone(), Note::beside(file).unwrap())
    };
    let (file, said) = note("vietcombank.fx.json");
    assert_eq!((said.code.as_str(), said.step.as_str()), ("schema_drift", "json"));
    assert!(said.found.contains("sell") && said.expected.contains("keys"), "{said:?}");
    assert!(said.url.ends_with("/vietcombank.fx/json"), "without a query: {}", said.url);
    assert_eq!(said.content_type.as_deref(), Some("application/json"));
    let body = std::fs::read_to_string(&file).unwrap();
    assert!(body.contains("<redacted>") && !body.contains("CANARY"));
    assert_eq!(note("tpbank.gold.chart").1.code, "out_of_band");

    for (feed, source, code) in
        [("vietcombank.fx", "json", "schema_drift"), ("tpbank.gold", "chart", "out_of_band")]
    {
        let output = Command::new(env!("CARGO_BIN_EXE_banggia"))
            .args(["probe", feed, "--source", source, "--file"])
            .arg(note(&format!("{feed}.{source}")).0)
            .current_dir(house.folder.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["reasons"][0]["code"], code, "{report}");
    }
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f27_evidence_can_be_switched_off_and_never_stops_a_run() {
    let bad = |bank: &crate::bank::Bank| bank.script(&path("tpbank.gold", "chart"), [Reply::ok("{}")]);
    let off = House::with(bad, |text| text.replace("[store]", "[store]\nevidence = \"off\"")).await;
    off.settled().await;
    off.app.stop().await;
    assert!(!off.folder.path().join("banggia.db.evidence").exists());

    // A file where the folder should be.
    let house = House::with(bad, |text| text.replace("[store]", "[store]\nevidence = \"/dev/null\"")).await;
    house.settled().await;
    let feed = house.feed("tpbank.gold").await;
    assert_eq!(crate::house::source(&feed, "chart")["last_outcome"], "schema_drift");
    assert_eq!(house.feed("bidv.fx").await["status"], "fresh");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_on_the_ops_listener_only() {
    let house = House::on_a_good_day().await;
    let text = house.metrics().await;
    for line in [
        "banggia_fetch_total{feed=\"bidv.fx\",source=\"board\",outcome=\"ok\"} 1",
        "# TYPE banggia_fetch_duration_seconds histogram",
        "banggia_store_errors_total 0",
        "banggia_feed_status{feed=\"bidv.fx\",status=\"fresh\"} 1",
        "banggia_feed_status{feed=\"bidv.fx\",status=\"stale\"} 0",
        "banggia_source_state{feed=\"doji.gold\",source=\"board\",state=\"skipped\"} 1",
        "banggia_source_state{feed=\"doji.gold\",source=\"vangtoday\",state=\"used\"} 1",
        "banggia_missed_runs{feed=\"ocb.deposit\"} 0",
    ] {
        assert!(text.lines().any(|known| known == line), "{line}\n{text}");
    }
    assert!(
        text.contains("banggia_source_last_success_timestamp_seconds{feed=\"bidv.fx\",source=\"board\"}")
    );
    for (accept, kind) in [
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        (
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
    ] {
        let asked = crate::house::client().get(format!("http://{}/metrics", house.app.ops));
        let response = asked.header("accept", accept).send().await.unwrap();
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(
            (header("content-type"), header("cache-control")),
            (kind.to_owned(), "no-store".to_owned())
        );
        let text = response.text().await.unwrap();
        assert_eq!(text.ends_with("# EOF\n"), accept != "*/*", "{accept}");
    }
    assert_eq!(house.get("/metrics").await.status(), 404);
    house.app.stop().await;
}
