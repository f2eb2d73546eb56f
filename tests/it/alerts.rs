//! The shipped alerts against what the service exports: it lives through a fault, a weekend and Tết by a clock in the
//! test's hand and is scraped meanwhile; promtool gives the series to the rules and says which fired.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use banggia::{
    clock::{self, Clock, later},
    control::Via,
    fetch::Outcome,
    metrics::Form,
};
use jiff::{
    Timestamp,
    civil::{Date, Weekday},
};
use serde_json::Value;

use crate::{
    insight::promtool,
    service,
    world::{Simulation, at, tape},
};

const RULES: &str = "deploy/prometheus/alerts.yml";

/// A tape with the dates of another day: what the bank would have published then.
fn of_day(tape: BTreeMap<String, Vec<u8>>, day: Date) -> BTreeMap<String, Vec<u8>> {
    let opens = format!("{day}T08:00:00+07:00").parse::<Timestamp>().unwrap().as_second();
    let newer = |format: &str| day.strftime(format).to_string();
    tape.into_iter()
        .map(|(step, bytes)| {
            let text = String::from_utf8(bytes).unwrap();
            let text = text
                .replace("2026-09-29", &newer("%Y-%m-%d"))
                .replace("09/29/2026", &newer("%m/%d/%Y"))
                .replace("29\\/09\\/2026", &newer("%d\\/%m\\/%Y"))
                .replace("20260929", &newer("%Y%m%d"))
                // 15:25:04 of that day, which vang.today says in three ways.
                .replace("1790670304", &(opens + 4).to_string())
                .replace("15:25", "08:00");
            (step, text.into_bytes())
        })
        .collect()
}

/// Tết 2027, as the built-in calendar has it.
fn is_holiday(day: Date) -> bool {
    let tet = "2027-02-05".parse::<Date>().unwrap().."2027-02-12".parse().unwrap();
    tet.contains(&day)
}

/// The day of the newest board: of the last working day on which the bank has opened.
fn published(now: Timestamp, saturdays: bool) -> Date {
    let mut day = clock::day(now);
    let opens = |day: Date| format!("{day}T08:00:00+07:00").parse::<Timestamp>().unwrap();
    loop {
        let rests = day.weekday() == Weekday::Sunday || day.weekday() == Weekday::Saturday && !saturdays;
        if !rests && !is_holiday(day) && opens(day) <= now {
            return day;
        }
        day = day.yesterday().unwrap();
    }
}

/// A source that publishes as banks do: a new board on every working day, and nothing new between them.
fn works(house: &Simulation, feed: &str, source: &str) {
    let (clock, tape, saturdays): (Clock, _, bool) =
        (house.clock.clone(), tape(feed, source, 0), feed == "doji.gold");
    house.world.script(
        feed,
        source,
        Box::new(move |request| {
            let tape = of_day(tape.clone(), published(clock.now(), saturdays));
            let bytes = tape.get(request.step).or_else(|| tape.get(""));
            bytes.cloned().ok_or_else(|| Outcome::NotRecorded(request.step.to_owned()))
        }),
    );
}

/// A service whose sources all work, asked once.
async fn quiet(start: &str) -> Simulation {
    let house = Simulation::at(start, "").await;
    for (feed, source) in crate::world::recorded_sources() {
        works(&house, feed.id, source.id);
    }
    for (_, feed) in providers::feeds() {
        house.refresh(feed.id).await;
    }
    house
}

/// Names that the rules ask for.
fn asked() -> BTreeSet<String> {
    let rules = std::fs::read_to_string(RULES).unwrap();
    let names = rules.match_indices("banggia_").map(|(at, _)| {
        rules[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>()
    });
    names.collect()
}

/// The names of all alerts.
fn alerts() -> Vec<String> {
    let rules = std::fs::read_to_string(RULES).unwrap();
    let names: Vec<String> =
        rules.split("- alert: ").skip(1).map(|rule| rule.lines().next().unwrap().to_owned()).collect();
    assert_eq!(names.len(), 10, "as many as there may be");
    names
}

/// What Prometheus would have, from scrapes at equal distances.
struct Scrapes {
    every: u64,
    start: Timestamp,
    count: usize,
    /// By series: values, and how often each came in a row; `None`: it was not there.
    series: BTreeMap<String, Vec<(Option<i64>, usize)>>,
    asked: BTreeSet<String>,
}

impl Scrapes {
    fn new(house: &Simulation, every: u64) -> Self {
        Self { every, start: house.clock.now(), count: 0, series: BTreeMap::new(), asked: asked() }
    }

    fn take(&mut self, house: &Simulation) {
        let text = house.app.site().metrics.text(Form::Classic).unwrap();
        let mut found: BTreeMap<String, i64> = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            if !self.asked.contains(name) {
                continue;
            }
            let labels = series.split_once('{').map_or("", |(_, labels)| labels.trim_end_matches('}'));
            let comma = if labels.is_empty() { "" } else { "," };
            let mut value: i64 = value.parse().unwrap();
            // The tests of promtool begin in 1970.
            if name.ends_with("_timestamp_seconds") {
                value -= self.start.as_second();
            }
            found.insert(format!("{name}{{{labels}{comma}job=\"banggia\",instance=\"a:9080\"}}"), value);
        }
        found.insert("up{job=\"banggia\",instance=\"a:9080\"}".to_owned(), 1);
        for series in found.keys() {
            self.series.entry(series.clone()).or_insert_with(|| vec![(None, self.count)]);
        }
        for (series, runs) in &mut self.series {
            let value = found.get(series).copied();
            match runs.last_mut() {
                Some((last, times)) if *last == value => *times += 1,
                _ => runs.push((value, 1)),
            }
        }
        self.count += 1;
    }

    /// Lives until an instant and scrapes on the way.
    async fn live_until(&mut self, house: &Simulation, end: &str) {
        let end = at(end);
        loop {
            let next = later(self.start, Duration::from_secs(self.every * self.count as u64));
            if next > end {
                break;
            }
            if house.next().is_some_and(|due| due <= next) {
                house.live_until(next, |_, _| {}).await;
            } else {
                house.clock.set(next);
            }
            self.take(house);
        }
    }

    /// The names of the alerts that fired at any time, by promtool.
    fn fired(&self, promtool: &Path, name: &str) -> BTreeSet<String> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("alerts");
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join(format!("{name}.yml"));
        let rules: PathBuf = std::fs::canonicalize(RULES).unwrap();
        let seconds = self.every * self.count as u64;
        let mut text = format!(
            "rule_files: [\"{}\"]\nevaluation_interval: {}s\ntests:\n  - interval: {}s\n    input_series:\n",
            rules.display(),
            self.every,
            self.every
        );
        for (series, runs) in &self.series {
            let mut values = String::new();
            for (value, times) in runs.iter().filter(|(_, times)| *times > 0) {
                match value {
                    Some(value) => write!(values, "{value}x{} ", times - 1).unwrap(),
                    None => write!(values, "_x{times} ").unwrap(),
                }
            }
            write!(text, "      - series: '{series}'\n        values: '{}'\n", values.trim_end()).unwrap();
        }
        text.push_str("    promql_expr_test:\n");
        // What is expected is that none ever fired, so promtool says which did.
        for alert in alerts() {
            write!(
                text,
                "      - expr: 'group by (alertname) (count_over_time(ALERTS{{alertstate=\"firing\",alertname=\"{alert}\"}}[{seconds}s]))'\n        eval_time: {}s\n        exp_samples: []\n",
                self.every * (self.count as u64 - 1)
            )
            .unwrap();
        }
        std::fs::write(&file, text).unwrap();
        let output = Command::new(promtool).args(["test", "rules"]).arg(&file).output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        let fired: BTreeSet<String> = said
            .split("got: {alertname=\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap().trim_start_matches("Banggia").to_owned())
            .collect();
        assert!(!said.contains("err:"), "{name}: {said}");
        assert_eq!(output.status.success(), fired.is_empty(), "{name}: {said}");
        assert!(output.status.success() || said.contains("FAILED"), "{name}: {said}");
        println!("{name}: {} scrapes of {} series; fired: {fired:?}", self.count, self.series.len());
        fired
    }
}

fn names<const N: usize>(of: [&str; N]) -> BTreeSet<String> {
    of.map(str::to_owned).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_alert_fires_on_a_quiet_weekend() {
    let Some(promtool) = promtool() else { return service::missing("promtool") };
    let house = quiet("2027-01-22T15:00:00+07:00").await;
    let mut scrapes = Scrapes::new(&house, 300);
    scrapes.live_until(&house, "2027-01-25T12:00:00+07:00").await;
    assert_eq!(scrapes.fired(&promtool, "weekend"), names([]));
    assert!(house.world.asked("bidv.fx") > 60, "it was asked on both working days, two steps a run");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_alert_fires_at_tet() {
    let Some(promtool) = promtool() else { return service::missing("promtool") };
    let house = quiet("2027-02-04T15:00:00+07:00").await;
    let mut scrapes = Scrapes::new(&house, 300);
    scrapes.live_until(&house, "2027-02-12T12:00:00+07:00").await;
    assert_eq!(scrapes.fired(&promtool, "tet"), names([]));
    house.app.stop().await;
}

/// Ways of failing, each of a class of its own.
fn failing(row: &str) -> Result<Vec<u8>, Outcome> {
    match row {
        "f01" => Err(Outcome::Connect("bank.example".to_owned())),
        "f03" => Err(Outcome::Dns("bank.example".to_owned())),
        "f04" => Err(Outcome::Timeout(Duration::from_secs(20))),
        "f05" => Err(Outcome::Slow),
        "f06" => Err(Outcome::Truncated),
        // What is cut in the middle of a row.
        "f08" => Ok(b"{\"rows\":[{\"name\":\"USD\",\"pri".to_vec()),
        "f10" => Err(Outcome::RetryAfter {
            status: reqwest::StatusCode::TOO_MANY_REQUESTS,
            until: at("2027-01-20T09:30:00+07:00"),
        }),
        "f09" => Err(Outcome::Status(reqwest::StatusCode::BAD_GATEWAY)),
        "f11" => Ok(b"<html><head><title>Request Rejected</title></head><body>The requested URL was rejected. Please consult with your administrator.</body></html>".to_vec()),
        "f13" => Err(Outcome::Redirect("https://bank.example/login".to_owned())),
        "f37" => Err(Outcome::Blocked { status: reqwest::StatusCode::FORBIDDEN, by: "Cloudflare" }),
        "f20" => Err(Outcome::Tls { host: "bank.example".to_owned(), why: "certificate expired".to_owned(), ended: None }),
        _ => Ok(b"{\"rows\":[{\"name\":\"USD\",\"price\":1}]}".to_vec()),
    }
}

/// A day of work with one fault from its beginning on.
async fn a_day_with(row: &'static str, (feed, source): (&str, &str), until: &str) -> (Simulation, Scrapes) {
    let house = quiet("2027-01-20T08:05:00+07:00").await;
    let mut scrapes = Scrapes::new(&house, 60);
    scrapes.live_until(&house, "2027-01-20T08:30:00+07:00").await;
    house.world.script(feed, source, Box::new(move |_| failing(row)));
    scrapes.live_until(&house, &format!("2027-01-20T{until}:00+07:00")).await;
    (house, scrapes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_fails_all_day_fires_its_alerts_whatever_its_failure_is() {
    let Some(promtool) = promtool() else { return service::missing("promtool") };
    for row in ["f01", "f03", "f04", "f05", "f06", "f08", "f09", "f10", "f11", "f13", "f20", "f27", "f37"] {
        let (house, scrapes) = a_day_with(row, ("bidv.fx", "board"), "16:00").await;
        let fired = scrapes.fired(&promtool, &format!("{row}-alone"));
        assert_eq!(fired, names(["FeedStale", "SourceFailing"]), "{row}: nobody stands in for it");
        house.app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_another_stands_in_for_fires_no_more_than_that_it_fails() {
    let Some(promtool) = promtool() else { return service::missing("promtool") };
    // OCB's widget is gone, from the run at noon on; what it had is in the other sources too.
    let (house, scrapes) = a_day_with("f11", ("ocb.deposit", "widget"), "20:00").await;
    assert_eq!(scrapes.fired(&promtool, "f11-stand-in"), names(["SourceFailing"]));
    house.app.stop().await;
    // An hour of maintenance is nobody's business but the feed's.
    let house = quiet("2027-01-20T08:05:00+07:00").await;
    let mut scrapes = Scrapes::new(&house, 60);
    house.world.script("ocb.deposit", "widget", Box::new(|_| failing("f11")));
    scrapes.live_until(&house, "2027-01-20T13:00:00+07:00").await;
    works(&house, "ocb.deposit", "widget");
    scrapes.live_until(&house, "2027-01-20T16:00:00+07:00").await;
    assert_eq!(scrapes.fired(&promtool, "f11-for-an-hour"), names([]));
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f32_a_frozen_board_fires_although_the_source_answers() {
    let Some(promtool) = promtool() else { return service::missing("promtool") };
    let house = quiet("2027-01-18T11:00:00+07:00").await;
    let last = of_day(tape("tpbank.gold", "chart", 0), "2027-01-18".parse().unwrap());
    house.world.says("tpbank.gold", "chart", last);
    let mut scrapes = Scrapes::new(&house, 300);
    // One working day without a board is not enough; a second one is.
    scrapes.live_until(&house, "2027-01-20T23:00:00+07:00").await;
    let fired = scrapes.fired(&promtool, "f32-one-day");
    assert!(!fired.contains("BoardFrozen"), "{fired:?}");
    scrapes.live_until(&house, "2027-01-21T12:00:00+07:00").await;
    let fired = scrapes.fired(&promtool, "f32");
    assert!(fired.contains("BoardFrozen") && fired.contains("FeedStale"), "{fired:?}");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f23_a_value_that_looks_like_a_slip_fires_until_somebody_decides() {
    let Some(promtool) = promtool() else { return service::missing("promtool") };
    let house = quiet("2027-01-20T08:05:00+07:00").await;
    let mut tape = of_day(tape("doji.gold", "vangtoday", 0), "2027-01-20".parse().unwrap());
    // Hanoi's bars an ounce instead of a lượng.
    for bytes in tape.values_mut() {
        let mut answer: Value = serde_json::from_slice(bytes).unwrap();
        answer["prices"]["DOHNL"]["buy"] = 167_592_300.into();
        answer["prices"]["DOHNL"]["sell"] = 171_209_400.into();
        *bytes = answer.to_string().into_bytes();
    }
    house.world.says("doji.gold", "vangtoday", tape);
    let mut scrapes = Scrapes::new(&house, 60);
    scrapes.live_until(&house, "2027-01-20T10:00:00+07:00").await;
    assert_eq!(scrapes.fired(&promtool, "f23"), names(["ValueHeld"]));
    assert_eq!(house.feed("doji.gold").status.as_str(), "fresh", "the other rows go on");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_its_source_repeats_fires_nothing_and_one_that_nobody_confirms_fires() {
    let Some(promtool) = promtool() else { return service::missing("promtool") };
    for (name, further, fires) in [("f24-repeated", 0, names([])), ("f24", 200_000, names(["ValueHeld"]))] {
        let house = quiet("2027-01-20T08:05:00+07:00").await;
        let tape = of_day(tape("doji.gold", "vangtoday", 0), "2027-01-20".parse().unwrap());
        let readings = AtomicI64::new(0);
        house.world.script(
            "doji.gold",
            "vangtoday",
            Box::new(move |request| {
                let bytes = tape.get(request.step).or_else(|| tape.get("")).unwrap();
                let mut answer: Value = serde_json::from_slice(bytes).unwrap();
                let more = further * readings.fetch_add(1, Ordering::Relaxed);
                for side in ["buy", "sell"] {
                    let figure = answer["prices"]["DOHNL"][side].as_i64().unwrap();
                    answer["prices"]["DOHNL"][side] = (figure / 100 * 107 + more).into();
                }
                Ok(answer.to_string().into_bytes())
            }),
        );
        let mut scrapes = Scrapes::new(&house, 60);
        scrapes.live_until(&house, "2027-01-20T10:00:00+07:00").await;
        let waited = scrapes
            .series
            .iter()
            .filter(|(name, _)| name.starts_with("banggia_quarantined_values{feed=\"doji.gold\""))
            .any(|(_, runs)| runs.iter().any(|(value, _)| value.is_some_and(|held| held > 0)));
        assert!(waited, "{name}: it was held at first");
        assert_eq!(scrapes.fired(&promtool, name), fires, "{name}");
        house.app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f38_with_everybody_away_for_days_feeds_go_stale_and_then_expire() {
    let Some(promtool) = promtool() else { return service::missing("promtool") };
    let house = quiet("2027-01-20T11:00:00+07:00").await;
    for (feed, source) in crate::world::recorded_sources() {
        house.world.script(feed.id, source.id, Box::new(|_| failing("f01")));
    }
    let mut scrapes = Scrapes::new(&house, 300);
    scrapes.live_until(&house, "2027-01-20T16:00:00+07:00").await;
    assert_eq!(scrapes.fired(&promtool, "f38-five-hours"), names(["FeedStale"]));
    scrapes.live_until(&house, "2027-01-22T20:00:00+07:00").await;
    let fired = scrapes.fired(&promtool, "f38-two-days");
    assert_eq!(fired, names(["FeedStale", "SourceFailing"]));
    scrapes.live_until(&house, "2027-01-23T16:00:00+07:00").await;
    let fired = scrapes.fired(&promtool, "f38-three-days");
    assert_eq!(fired, names(["BoardFrozen", "FeedExpired", "FeedStale", "SourceFailing"]));
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_that_the_operator_has_paused_fires_nothing_until_its_values_have_expired() {
    let Some(promtool) = promtool() else { return service::missing("promtool") };
    let house = quiet("2027-01-20T11:00:00+07:00").await;
    house.app.control().pause(Via::Api, "bidv.fx", false).await.unwrap();
    let asked = house.world.asked("bidv.fx");
    let mut scrapes = Scrapes::new(&house, 300);
    scrapes.live_until(&house, "2027-01-22T20:00:00+07:00").await;
    assert_eq!(scrapes.fired(&promtool, "paused-two-days"), names([]));
    let state = house.feed("bidv.fx");
    let missed = state.state.missed_runs(house.clock.now(), 100);
    assert_eq!((state.status.as_str(), missed), ("stale", 100), "it would have fired");
    scrapes.live_until(&house, "2027-01-23T16:00:00+07:00").await;
    assert_eq!(scrapes.fired(&promtool, "paused-three-days"), names(["FeedExpired"]));
    assert_eq!(house.world.asked("bidv.fx"), asked);
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f39_a_worker_that_does_nothing_any_more_fires_since_due_runs_are_counted_by_the_clock() {
    let Some(promtool) = promtool() else { return service::missing("promtool") };
    let house = quiet("2027-01-20T08:05:00+07:00").await;
    let mut scrapes = Scrapes::new(&house, 60);
    // Nobody is asked: only the clock goes on.
    while house.clock.now() < at("2027-01-20T09:30:00+07:00") {
        let next = later(scrapes.start, Duration::from_secs(60 * scrapes.count as u64));
        house.clock.set(next);
        scrapes.take(&house);
    }
    assert_eq!(scrapes.fired(&promtool, "f39"), names(["FeedStale"]));
    house.app.stop().await;
}

/// Labels of each family that the service exports, and those that Prometheus adds.
async fn exported() -> BTreeMap<String, BTreeSet<String>> {
    let house = crate::house::House::on_a_good_day().await;
    let metrics = &house.app.site().metrics;
    metrics.certificate("bidv.fx", "board", 1);
    metrics.clock_skew("bidv.fx", "board", 1);
    let text = metrics.text(Form::Classic).unwrap();
    house.app.stop().await;
    let mut known: BTreeMap<String, BTreeSet<String>> =
        BTreeMap::from([("up".to_owned(), names(["job", "instance"]))]);
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let series = line.rsplit_once(' ').unwrap().0;
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let labels =
            labels.split("\",").filter_map(|label| label.split_once('=')).map(|(name, _)| name.to_owned());
        let own = known.entry(name.to_owned()).or_insert_with(|| names(["job", "instance"]));
        own.extend(labels);
    }
    known
}

/// Words of an expression that name something, strings left out; and labels in braces with the metric before them.
fn words(expression: &str) -> (BTreeSet<String>, Vec<(String, String)>) {
    let (mut found, mut labels) = (BTreeSet::new(), Vec::new());
    let (mut word, mut last, mut in_braces, mut in_text) = (String::new(), String::new(), false, false);
    for c in expression.chars().chain([' ']) {
        if c == '"' {
            in_text = !in_text;
        } else if in_text {
        } else if c.is_ascii_alphanumeric() || c == '_' {
            word.push(c);
            continue;
        }
        let named = std::mem::take(&mut word);
        if !named.is_empty() && in_braces {
            labels.push((last.clone(), named));
        } else if !named.is_empty() {
            last.clone_from(&named);
            found.insert(named);
        }
        in_braces = !in_text && (c == '{' || in_braces && c != '}') || in_text && in_braces;
    }
    (found, labels)
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_and_dashboard_ask_only_for_what_the_service_exports() {
    let known = exported().await;
    let every_label: BTreeSet<&String> = known.values().flatten().collect();
    let rules = std::fs::read_to_string(RULES).unwrap();
    let mut asked: Vec<(String, String)> = rules
        .split("- alert: ")
        .skip(1)
        .map(|rule| {
            let name = rule.lines().next().unwrap().to_owned();
            let (_, rest) = rule.split_once("expr: ").unwrap();
            (name, rest.split_once("\n        for:").unwrap().0.trim_start_matches("|-").to_owned())
        })
        .collect();
    assert_eq!(asked.len(), 10, "as many as may be, and all of them were found");
    let board: Value =
        serde_json::from_str(&std::fs::read_to_string("deploy/grafana/banggia.json").unwrap()).unwrap();
    let mut legends = Vec::new();
    for panel in board["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        assert!(panel["type"] == "row" || !targets.is_empty(), "{title} shows nothing");
        for target in &targets {
            asked.push((title.to_owned(), target["expr"].as_str().unwrap().to_owned()));
            legends.extend(target["legendFormat"].as_str().map(str::to_owned));
        }
    }
    assert!(asked.len() > 25, "{asked:?}");
    let mut used = BTreeSet::new();
    for (place, expression) in &asked {
        let (found, labels) = words(expression);
        let metrics: Vec<&String> = found
            .iter()
            .filter(|word| word.starts_with("banggia_") || word.starts_with("process_") || *word == "up")
            .collect();
        assert!(!metrics.is_empty(), "{place}: {expression}");
        for metric in metrics {
            assert!(known.contains_key(metric), "{place}: {metric} is not exported");
            used.insert(metric.trim_end_matches("_bucket").to_owned());
        }
        for (metric, label) in labels {
            assert!(
                known.get(&metric).is_some_and(|own| own.contains(&label)),
                "{place}: {metric} has no {label}"
            );
        }
        for grouping in expression.split("by (").chain(expression.split("ignoring (")).skip(1) {
            let inside = grouping.split(')').next().unwrap();
            if expression.contains(&format!("({inside})")) && !inside.contains(['(', '{', '"']) {
                for label in inside
                    .split(',')
                    .map(str::trim)
                    .filter(|label| label.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
                {
                    assert!(
                        known.contains_key(label) || every_label.contains(&label.to_owned()),
                        "{place}: {label}"
                    );
                }
            }
        }
    }
    for legend in legends {
        for label in legend.split("{{").skip(1).map(|rest| rest.split("}}").next().unwrap().trim()) {
            assert!(every_label.contains(&label.to_owned()), "{legend}");
        }
    }
    // The families of the operations page are all there, under their names.
    for family in [
        "banggia_fetch_total",
        "banggia_fetch_duration_seconds_bucket",
        "banggia_source_last_success_timestamp_seconds",
        "banggia_quote_age_seconds",
        "banggia_quarantined_values",
        "banggia_source_outlier_quotes",
        "banggia_missed_publishes",
        "banggia_upstream_cert_expiry_timestamp_seconds",
        "banggia_build_info",
        "banggia_config_last_reload_successful",
    ] {
        assert!(known.contains_key(family), "{family}");
        assert!(used.contains(family.trim_end_matches("_bucket")), "{family} is shown nowhere");
    }
}

#[test]
fn every_alert_has_a_severity_words_for_people_and_a_place_in_the_runbook() {
    let rules = std::fs::read_to_string(RULES).unwrap();
    let page = std::fs::read_to_string("docs/OPERATIONS.md").ok();
    for rule in rules.split("- alert: ").skip(1) {
        let name = rule.lines().next().unwrap();
        for part in ["severity: ", "summary: ", "description: ", "for: "] {
            assert!(rule.contains(part), "{name}: {part}");
        }
        let anchor = format!("alert-{}", name.to_lowercase());
        assert!(rule.contains(&format!("runbook_url: docs/OPERATIONS.md#{anchor}\n")), "{name}");
        if let Some(page) = &page {
            let there =
                page.lines().any(|line| line.contains(&format!("\"{anchor}\"")) || is_heading(line, &anchor));
            assert!(there, "docs/OPERATIONS.md has no {anchor}");
        }
    }
}

/// Whether a Markdown heading has this anchor, as code hosts make it.
fn is_heading(line: &str, anchor: &str) -> bool {
    let Some(title) = line.strip_prefix('#').map(|rest| rest.trim_start_matches('#').trim()) else {
        return false;
    };
    let kept = |c: char| (c.is_alphanumeric() || c == '-' || c == ' ' || c == '_').then_some(c);
    title.to_lowercase().chars().filter_map(kept).map(|c| if c == ' ' { '-' } else { c }).eq(anchor.chars())
}

#[test]
fn promtool_takes_rules_and_configuration_and_the_tests_written_by_hand() {
    let Some(promtool) = promtool() else { return service::missing("promtool") };
    for arguments in [
        ["check", "rules", RULES],
        ["check", "config", "deploy/prometheus/prometheus.yml"],
        ["test", "rules", "deploy/prometheus/alerts.test.yml"],
    ] {
        let output = Command::new(&promtool).args(arguments).output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.success() && said.contains("SUCCESS"), "{arguments:?}: {said}");
    }
}
