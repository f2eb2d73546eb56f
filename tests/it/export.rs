//! `banggia export`: what was served comes back out, beside a running service, whatever happens to the pipe.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Command, Stdio},
};

use banggia::store::{Answer, Attempt, Kept, Nature, Store};
use jiff::Timestamp;
use providers::{AsOf, Quote};
use serde_json::Value;

use crate::{
    bank::Reply,
    house::{House, config_text, good_day, path},
    service::{banggia, write_config},
};

fn export(config: &Path, arguments: &[&str]) -> Command {
    let mut command = banggia();
    command.arg("export").args(arguments).arg("--config").arg(config);
    command
}

fn run(config: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = export(config, arguments).output().unwrap();
    crate::canary::said(&output.stdout);
    crate::canary::said(&output.stderr);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The rows of a CSV as objects of texts.
fn table(text: &str) -> Vec<serde_json::Map<String, Value>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().unwrap().clone();
    let row = |record: csv::StringRecord| {
        header.iter().zip(record.iter()).map(|(name, cell)| (name.to_owned(), cell.into())).collect()
    };
    reader.records().map(|record| row(record.unwrap())).collect()
}

/// A field as CSV has it.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_value_that_was_served_comes_back_with_its_own_digits_as_ndjson_and_as_csv() {
    let house = House::on_a_good_day().await;
    let store = house.folder.path().join("banggia.db");
    let file = write_config(house.folder.path(), "banggia.toml", &config_text(&house.bank, &store));
    let mut served = Vec::new();
    let mut look = async |house: &House| {
        for document in ["/v1/gold", "/v1/fx", "/v1/deposits"] {
            let document = house.json(document).await;
            served.extend(document["quotes"].as_array().unwrap().iter().cloned());
        }
    };
    look(&house).await;
    // A second day, as soon as the clock shows another second: a change has its own.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    good_day(&house.bank, 1);
    for (_, feed) in providers::feeds() {
        house.refresh(feed.id).await;
    }
    look(&house).await;

    let (code, out, err) = run(&file, &[]);
    assert_eq!((code, err.as_str()), (0, ""));
    let exported = lines(&out);
    let fields = [
        "buy",
        "sell",
        "buy_cash",
        "buy_transfer",
        "sell_cash",
        "rate_percent",
        "name",
        "unit",
        "as_of",
        "source",
        "via",
    ];
    let mut found = 0;
    for quote in &served {
        let change = exported.iter().find(|row| row["id"] == quote["id"] && row["at"] == quote["changed_at"]);
        let change = change.unwrap_or_else(|| panic!("{quote}"));
        // A day's word for the same value may change without a change of it.
        for field in fields.iter().filter(|field| **field != "as_of") {
            assert_eq!(change[field], quote[field], "{field} of {quote}");
        }
        for (field, value) in
            quote.as_object().unwrap().iter().filter(|(field, _)| field.starts_with("change_"))
        {
            assert_eq!(&change[field], value, "{field} of {quote}");
        }
        found += 1;
    }
    assert!(found > 100, "{found}");
    let distinct: std::collections::BTreeSet<(String, String)> =
        served.iter().map(|quote| (quote["id"].to_string(), quote["changed_at"].to_string())).collect();
    let known = |row: &Value| distinct.contains(&(row["id"].to_string(), row["at"].to_string()));
    for more in exported.iter().filter(|row| !known(row)) {
        assert!(
            !more["via"].is_null(),
            "only what a stand-in says and is not served while the house itself does: {more}"
        );
    }

    for kind in ["gold", "fx", "deposit"] {
        let (code, csv, _) = run(&file, &["--kind", kind, "--format", "csv"]);
        assert_eq!(code, 0);
        let rows = table(&csv);
        let of_kind: Vec<&Value> = exported.iter().filter(|row| row["kind"] == kind).collect();
        assert_eq!(rows.len(), of_kind.len(), "{kind}");
        for (row, line) in rows.iter().zip(of_kind) {
            for (name, value) in line.as_object().unwrap().iter().filter(|(name, _)| *name != "kind") {
                assert_eq!(row[name], cell(value), "{name} of {line}");
            }
        }
    }
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn days_are_vietnamese_ones_with_both_ends_and_changes_know_what_was_before() {
    let folder = crate::canary::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("a.db").display());
    let file = write_config(folder.path(), "b.toml", &format!("[store]\nurl = \"{url}\"\n"));
    let store = Store::open(&url, Nature::Live).await.unwrap();
    let figures = |sell: u32, name: &str| -> Quote {
        serde_json::from_str(&format!(
            r#"{{"fx":{{"currency":"USD","name":"{name}","per":1,"sell":"{sell}"}}}}"#
        ))
        .unwrap()
    };
    let write = async |at: &str, sell: u32, name: &str| {
        let at: Timestamp = at.parse().unwrap();
        let kept = Kept {
            quote: figures(sell, name),
            previous: None,
            as_of: AsOf::Unstated,
            fetched_at: at,
            checked_at: at,
            changed_at: at,
        };
        store.push(Answer {
            feed: "vietcombank.fx".into(),
            source: "json".into(),
            attempt: Attempt { at, outcome: "ok".to_owned(), reason: None },
            quotes: vec![(kept, true)],
            dropped: Vec::new(),
            keys: Vec::new(),
            held: None,
        });
        store.flush().await;
    };
    write("2026-09-01T23:59:59+07:00", 26_000, "=1+1").await;
    write("2026-09-02T00:00:00+07:00", 26_100, "=1+1").await;
    write("2026-09-02T23:59:59+07:00", 26_100, "=1+1").await;
    write("2026-09-03T00:00:00+07:00", 26_050, "=1+1").await;
    store.close().await;
    let (code, out, _) = run(&file, &["--from", "2026-09-02", "--to", "2026-09-02"]);
    assert_eq!(code, 0);
    let rows = lines(&out);
    assert_eq!(rows.len(), 1, "what says the same again is no change\n{out}");
    assert_eq!(rows[0]["at"], "2026-09-02T00:00:00+07:00");
    assert_eq!((&rows[0]["sell"], &rows[0]["change_sell"]), (&"26100".into(), &"100".into()));
    let (_, out, _) = run(&file, &["--kind", "fx", "--format", "csv"]);
    let rows = table(&out);
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0]["name"], "'=1+1", "a24: no cell is a formula");
    assert_eq!(rows[2]["change_sell"], "-50", "and a negative number is none");
    assert!(out.starts_with("id,feed,provider,currency,"), "{out}");
    let (_, out, _) = run(&file, &["--kind", "gold", "--format", "csv"]);
    assert_eq!(out.lines().count(), 1, "a header, and nothing kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_has_seen_enough_ends_it_quietly_and_memory_does_not_grow_with_the_years() {
    let folder = crate::canary::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("a.db").display());
    let file = write_config(folder.path(), "b.toml", &format!("[store]\nurl = \"{url}\"\n"));
    let store = Store::open(&url, Nature::Live).await.unwrap();
    store.close().await;
    // 100,000 changes, as of a feed that moves every few minutes for a year; without sums, as old rows are.
    {
        use sqlx::Connection as _;
        let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
        sqlx::raw_sql(
            r#"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
               INSERT INTO change (id, source, feed, at, as_of, figures)
               SELECT 'vietcombank.fx.USD', 'json', 'vietcombank.fx', 1700000000 + i * 300, '"unstated"',
                 '{"fx":{"currency":"USD","variant":null,"name":null,"per":1,"buy_cash":null,"buy_transfer":null,"sell":"' || (20000 + i % 9000) || '","sell_cash":null}}' FROM n"#,
        )
        .execute(&mut connection)
        .await
        .unwrap();
        connection.close().await.unwrap();
    }
    let mut child = export(&file, &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("\"sell\":\"20001\""));
    drop(lines);
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));

    let mut child = export(&file, &[]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let rss = || -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let mut read = |n: usize| lines.by_ref().take(n).map(Result::unwrap).count();
    assert_eq!(read(5_000), 5_000);
    let early = rss();
    assert_eq!(read(85_000), 85_000);
    let late = rss();
    assert_eq!(read(usize::MAX), 10_000);
    assert!(child.wait().unwrap().success());
    assert!(late < early + 4_096, "{early} kB after 5,000 rows, {late} kB after 90,000");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_not_what_was_written_are_left_out_and_told() {
    let house = House::on_a_good_day().await;
    let store = house.folder.path().join("banggia.db");
    let file = write_config(house.folder.path(), "banggia.toml", &config_text(&house.bank, &store));
    house.app.stop().await;
    {
        use sqlx::Connection as _;
        let url = format!("sqlite:{}", store.display());
        let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
        let text = "UPDATE change SET figures = replace(figures, '1', '2') WHERE id = 'tpbank.gold.bar'";
        sqlx::raw_sql(text).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
    let (code, out, err) = run(&file, &["--kind", "gold"]);
    assert_eq!(code, 1);
    assert!(
        err.contains("1 rows of sqlite:") && err.contains("are not what was written and were left out"),
        "{err}"
    );
    assert!(!out.contains("tpbank.gold.bar") && out.contains("doji.gold.sjc-bar"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_went_away_and_came_back_is_two_changes() {
    let house = House::on_a_good_day().await;
    let store = house.folder.path().join("banggia.db");
    let file = write_config(house.folder.path(), "banggia.toml", &config_text(&house.bank, &store));
    let chart = path("tpbank.gold", "chart");
    for (day, price) in
        [("09/30/2026", 139_500_000), ("10/01/2026", 139_900_000), ("10/02/2026", 139_500_000)]
    {
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        let body = format!(r#"{{"item":[{{"DATES":"{day}","RATE_BUY":{price},"RATE_SELL":142000000}}]}}"#);
        house.bank.script(&chart, [Reply::ok(body)]);
        house.refresh("tpbank.gold").await;
    }
    let (_, out, _) = run(&file, &["--kind", "gold"]);
    let bars: Vec<Value> = lines(&out).into_iter().filter(|row| row["id"] == "tpbank.gold.bar").collect();
    let last: Vec<&str> = bars.iter().rev().take(3).map(|row| row["buy"].as_str().unwrap()).collect();
    assert_eq!(last, ["139500000", "139900000", "139500000"], "{bars:?}");
    assert_eq!(bars.last().unwrap()["change_buy"], "-400000");
    house.app.stop().await;
}
