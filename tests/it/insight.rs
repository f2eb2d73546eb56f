//! What an operator is told: metrics that Prometheus takes as they are and that stay few, health that says what can
//! be done about it, one line of the log a fetch.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    process::{Command, Stdio},
    sync::atomic::Ordering,
};

use banggia::{
    control::Via,
    metrics::{Form, Metrics, Phase},
};
use providers::ParseError;

use crate::{
    bank::{Bank, Reply},
    canary::tempdir,
    house::{House, client, config_text, good_day, path},
    service,
    world::{Simulation, at},
};

/// Every class by which a fetch can end, read off the sources: what is counted is a constant, and constants can be found.
fn outcomes() -> BTreeSet<String> {
    let mut found: BTreeSet<String> = ["ok", "unchanged", "held", "other"].map(str::to_owned).into();
    for file in [
        "src/fetch.rs",
        "src/refresh.rs",
        "src/judge.rs",
        "src/judge/reject.rs",
        "src/judge/hold.rs",
        "providers/src/error.rs",
    ] {
        let text = std::fs::read_to_string(file).unwrap();
        for (at, _) in text.match_indices('"') {
            let word: String =
                text[at + 1..].chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            let end = text[at + 1 + word.len()..].starts_with('"');
            let before = text[..at].trim_end();
            if end && !word.is_empty() && (before.ends_with("=>") || before.ends_with("Reason::new(")) {
                found.insert(word);
            }
        }
    }
    found
}

/// Names of samples with their labels.
fn series(text: &str) -> BTreeSet<&str> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit_once(' ').map(|(series, _)| series))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a23_with_every_outcome_of_every_source_the_series_stay_under_two_thousand() {
    let outcomes = outcomes();
    for known in
        ["ok", "dns", "private_address", "schema_drift", "frozen", "panic", "retry_after", "incomplete"]
    {
        assert!(outcomes.contains(known), "{known} is not in {outcomes:?}");
    }
    let house = Simulation::at("2026-09-29T16:00:00+07:00", "").await;
    let metrics = &house.app.site().metrics;
    for (_, feed) in providers::feeds() {
        house.refresh(feed.id).await;
        for source in feed.sources {
            for outcome in &outcomes {
                metrics.fetched(feed.id, source.id, outcome.clone().leak());
            }
            metrics.certificate(feed.id, source.id, 1);
            metrics.clock_skew(feed.id, source.id, 1);
            metrics.outliers(feed.id, source.id, 1);
        }
        for phase in [Phase::Dns, Phase::Connect, Phase::FirstByte, Phase::Body, Phase::Parse] {
            metrics.took(feed.id, phase, std::time::Duration::from_secs(1));
        }
    }
    // What strangers write is nowhere in it.
    for odd in ["/v1/gold?forged=1", "/forged", "/widgets/forged"] {
        let request = client().get(format!("http://{}{odd}", house.app.public));
        request.header("user-agent", "forged").header("x-forwarded-for", "forged").send().await.unwrap();
    }
    for form in [Form::Classic, Form::Open] {
        let text = metrics.text(form).unwrap();
        let series = series(&text);
        println!("{} series with {} outcomes", series.len(), outcomes.len());
        assert!(series.len() < 2000, "{}", series.len());
        assert!(series.len() > 1000, "the worst case is not in it: {}", series.len());
        assert!(!text.contains("forged"), "{text}");
    }
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a23_a_flood_of_odd_requests_adds_no_series() {
    let house = House::on_a_good_day().await;
    let before = house.metrics().await;
    for at in 0..300 {
        let path = format!("/v1/fx{}?c{at}={at}", if at % 2 == 0 { "" } else { "/x" });
        let method = reqwest::Method::from_bytes(format!("M{}", at % 7).as_bytes()).unwrap();
        let method = if at % 3 == 0 { method } else { reqwest::Method::GET };
        house
            .request(method, &path, &[("origin", "https://a.example"), ("x-forwarded-for", "1.2.3.4")])
            .await;
    }
    let after = house.metrics().await;
    assert_eq!(series(&before), series(&after));
    let refused = |text: &str| {
        let line = "banggia_http_requests_total{listener=\"public\",class=\"4xx\"} ";
        text.lines().find_map(|known| known.strip_prefix(line)?.parse::<u64>().ok()).unwrap()
    };
    assert_eq!(refused(&after) - refused(&before), 300, "every refusal is counted, however it was refused");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_counted_once_however_it_is_given() {
    let house =
        House::with(|_| {}, |text| text.replacen("[server]\n", "[server]\nrate_limit = 2\n", 1)).await;
    house.settled().await;
    let count = |text: &str, series: &str| -> i64 {
        let line = format!("banggia_http_{series} ");
        text.lines()
            .find_map(|known| known.strip_prefix(&line)?.parse().ok())
            .unwrap_or_else(|| panic!("{series}\n{text}"))
    };
    let of = |text: &str, class: &str| {
        count(text, &format!("requests_total{{listener=\"public\",class=\"{class}\"}}"))
    };
    let before = house.metrics().await;
    // The quick way, the router's, hyper's own answer to what is no request, and whoever has used up its share.
    let etag = house.get("/v1/fx").await.headers()["etag"].to_str().unwrap().to_owned();
    house.request(reqwest::Method::GET, "/v1/fx", &[("if-none-match", &etag)]).await;
    house.get("/docs").await;
    let mut limited = 0;
    for amount in 1..=4 {
        let answer = house.get(&format!("/v1/convert?from=USD&to=VND&amount={amount}")).await;
        limited += i64::from(answer.status() == 429);
    }
    assert_eq!(limited, 2);
    let mut raw = std::net::TcpStream::connect(house.app.public).unwrap();
    raw.write_all(b"nonsense\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    std::io::Read::read_to_end(&mut raw, &mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&answer));
    let text = house.metrics().await;
    assert_eq!(
        [
            of(&text, "2xx") - of(&before, "2xx"),
            of(&text, "3xx") - of(&before, "3xx"),
            of(&text, "4xx") - of(&before, "4xx")
        ],
        [4, 1, 3],
        "{text}"
    );
    assert_eq!(count(&text, "rate_limited_total"), 2);
    assert!(count(&text, "requests_total{listener=\"ops\",class=\"2xx\"}") >= 1);
    assert!(count(&text, "connections{listener=\"public\"}") >= 1);
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_is_timed_by_its_parts() {
    let house = House::on_a_good_day().await;
    let text = house.metrics().await;
    let count = |phase: &str| {
        let line = format!("banggia_fetch_duration_seconds_count{{feed=\"tpbank.gold\",phase=\"{phase}\"}} ");
        text.lines().find_map(|known| known.strip_prefix(&line)?.parse::<u64>().ok())
    };
    // The bank is an address, so no name was asked for.
    assert_eq!(
        ["dns", "connect", "first_byte", "body", "parse"].map(count),
        [None, Some(1), Some(1), Some(1), Some(1)],
        "{text}"
    );
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_without_a_value_has_its_series_and_one_that_is_switched_off_has_none() {
    let house =
        Simulation::silent("2026-09-29T16:00:00+07:00", "[feeds.tpbank.gold]\nenabled = false\n").await;
    let text = || house.app.site().metrics.text(Form::Classic).unwrap();
    let before = text();
    for line in [
        "banggia_feed_status{feed=\"bidv.fx\",status=\"unavailable\"} 1",
        "banggia_missed_runs{feed=\"bidv.fx\"} 0",
        "banggia_feed_paused{feed=\"bidv.fx\"} 0",
        "banggia_quarantined_values{feed=\"bidv.fx\"} 0",
        "banggia_source_state{feed=\"bidv.fx\",source=\"board\",state=\"standby\"} 1",
    ] {
        assert!(before.lines().any(|known| known == line), "{line}\n{before}");
    }
    assert!(before.contains("banggia_feed_next_run_timestamp_seconds{feed=\"bidv.fx\"}"));
    house.refresh("bidv.fx").await;
    assert!(text().lines().any(|line| line == "banggia_source_state{feed=\"bidv.fx\",source=\"board\",state=\"failing\"} 1"));
    // Whatever was counted of it before it was switched off.
    let metrics = &house.app.site().metrics;
    metrics.fetched("tpbank.gold", "chart", "ok");
    metrics.took("tpbank.gold", Phase::Parse, std::time::Duration::from_millis(1));
    metrics.certificate("tpbank.gold", "chart", 1);
    metrics.outliers("tpbank.gold", "chart", 1);
    assert!(!text().contains("tpbank.gold"), "{}", text());
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_is_told_as_paused_for_as_long_as_it_is() {
    let house = Simulation::at("2026-09-29T16:00:00+07:00", "").await;
    let paused = || -> Vec<String> {
        let text = house.app.site().metrics.text(Form::Classic).unwrap();
        let lines =
            text.lines().filter(|line| line.starts_with("banggia_feed_paused{") && line.ends_with(" 1"));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(paused(), Vec::<String>::new());
    house.app.control().pause(Via::Api, "bidv.fx", false).await.unwrap();
    assert_eq!(paused(), ["banggia_feed_paused{feed=\"bidv.fx\"} 1"]);
    house.app.control().resume(Via::Api, "bidv.fx").await.unwrap();
    assert_eq!(paused(), Vec::<String>::new());
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ages_and_instants_are_those_of_the_moment_at_which_they_are_asked_for() {
    let house = Simulation::at("2026-09-29T16:00:00+07:00", "").await;
    house.refresh("tpbank.gold").await;
    let metrics = std::sync::Arc::clone(&house.app.site().metrics);
    let value = |name: &str| -> i64 {
        let text = metrics.text(Form::Classic).unwrap();
        let line = format!("banggia_{name} ");
        text.lines()
            .find_map(|known| known.strip_prefix(&line)?.parse().ok())
            .unwrap_or_else(|| panic!("{name}\n{text}"))
    };
    let age = "quote_age_seconds{feed=\"tpbank.gold\",source=\"chart\",kind=\"gold\"}";
    assert_eq!(value(age), 0);
    let read = at("2026-09-29T16:00:00+07:00").as_second();
    assert_eq!(value("source_last_success_timestamp_seconds{feed=\"tpbank.gold\",source=\"chart\"}"), read);
    assert_eq!(value("feed_fresh_until_timestamp_seconds{feed=\"tpbank.gold\"}"), read + 45 * 60);
    // Nobody publishes; the clock alone goes on.
    house.clock.set(at("2026-09-29T16:45:00+07:00"));
    assert_eq!(value(age), 45 * 60);
    assert_eq!(value("feed_status{feed=\"tpbank.gold\",status=\"stale\"}"), 1);
    assert_eq!(value("quotes{feed=\"tpbank.gold\",status=\"stale\"}"), 1);
    house.clock.set(at("2026-09-29T17:46:00+07:00"));
    assert_eq!(value("missed_runs{feed=\"tpbank.gold\"}"), 3, "16:30, 17:00 and 17:30, whose grace is over");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_says_each_check_and_a_service_that_stops_sends_requests_elsewhere() {
    // Every source is away, and that makes nobody unready.
    let house = House::of(Bank::open().await, config_text).await;
    house.settled().await;
    let ask = async |path: &str| {
        let answer = client().get(format!("http://{}{path}", house.app.ops)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    // Whether the page of another site may read it through an operator's browser.
    let readable = async |path: &str| {
        let request = client().get(format!("http://{}{path}", house.app.ops));
        let answer = request.header("origin", "https://elsewhere.example").send().await.unwrap();
        answer.headers().get("access-control-allow-origin").map(|origin| origin.to_str().unwrap().to_owned())
    };
    for path in ["/livez", "/livez?verbose", "/readyz", "/readyz?verbose", "/metrics"] {
        assert_eq!(readable(path).await, None, "{path}");
        let url = format!("http://{}{path}", house.app.ops);
        let preflight = client().request(reqwest::Method::OPTIONS, url).send().await.unwrap();
        assert!(!preflight.headers().contains_key("access-control-allow-origin"), "{path}");
    }
    assert_eq!(readable("/nothing").await.as_deref(), Some("*"), "a problem says nothing of the service");
    assert_eq!(ask("/livez").await, (200, "ok\n".to_owned()));
    assert_eq!(ask("/livez?verbose").await, (200, "[+]ping ok\nlivez check passed\n".to_owned()));
    assert_eq!(ask("/readyz").await.0, 200);
    let (status, text) = ask("/readyz?verbose").await;
    assert_eq!(status, 200);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("[+]snapshot ok: version "), "{text}");
    assert_eq!(lines[1..3], ["[+]serving ok", "[+]store ok: 0 waiting, 0 errors"]);
    assert_eq!(lines.iter().filter(|line| line.starts_with("[i]feed ")).count(), 6, "{text}");
    assert!(lines.contains(&"[i]feed bidv.fx: unavailable: status"), "{text}");
    assert_eq!(lines.last(), Some(&"readyz check passed"));

    house.app.site().draining.store(true, Ordering::Relaxed);
    for path in ["/livez?verbose", "/readyz?verbose", "/metrics"] {
        assert_eq!(readable(path).await, None, "{path} while it stops");
    }
    let (status, text) = ask("/readyz?verbose").await;
    assert_eq!(status, 503);
    assert!(
        text.contains("[-]serving failed: the service is stopping\n")
            && text.ends_with("readyz check failed\n"),
        "{text}"
    );
    let answer = client().get(format!("http://{}/readyz", house.app.ops)).send().await.unwrap();
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    assert_eq!(answer.headers()["access-control-allow-origin"], "*", "as every problem");
    assert_eq!(ask("/livez").await.0, 200, "it is alive until it ends");
    assert_eq!(house.get("/v1/board").await.status(), 200, "and answers whoever still comes");
    house.app.stop().await;
}

/// promtool, if it is here: from the path, or where tests/run has put it.
pub fn promtool() -> Option<std::path::PathBuf> {
    let kept = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).parent()?.join("promtool");
    if service::installed("promtool") {
        Some("promtool".into())
    } else {
        Some(kept).filter(|path| path.is_file())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_takes_the_metrics_of_a_running_service_as_they_are() {
    let Some(promtool) = promtool() else { return service::missing("promtool") };
    let house = House::on_a_good_day().await;
    let text = house.metrics().await;
    house.app.stop().await;
    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_is_one_line_of_the_log_whatever_becomes_of_it() {
    let bank = Bank::open().await;
    good_day(&bank, 0);
    bank.script(&path("tpbank.gold", "chart"), [Reply::status(404)]);
    bank.script(&path("doji.gold", "vangtoday"), [Reply::status(302).with("Location", bank.url("/login"))]);
    bank.script(&path("bidv.deposit", "rates"), [Reply::ok("[]")]);
    let folder = tempdir().unwrap();
    let config =
        service::write_config(folder.path(), "b.toml", &config_text(&bank, &folder.path().join("b.db")));
    let mut command = service::banggia();
    command.env("BANGGIA_LOG_FORMAT", "json");
    let program = service::Service::start_by(command, &config);
    program.wait("/v1/feeds", "every feed was asked", |feeds| {
        let asked = |feed: &serde_json::Value| {
            feed["sources"].as_array().unwrap().iter().any(|source| !source["last_attempt_at"].is_null())
        };
        feeds["feeds"].as_array().unwrap().iter().all(asked)
    });
    let (_, log) = program.stop();
    let mut lines: BTreeMap<String, Vec<serde_json::Value>> = BTreeMap::new();
    for line in log.lines() {
        let event: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let fields = event["fields"].clone();
        if event["level"] != "INFO" && event["level"] != "WARN" {
            continue;
        }
        if let (Some(feed), Some(source)) = (fields["feed"].as_str(), fields["source"].as_str()) {
            assert_eq!(fields["message"], "fetch", "{line}");
            lines.entry(format!("{feed} {source}")).or_default().push(event.clone());
        }
    }
    let one = |name: &str| {
        assert_eq!(lines[name].len(), 1, "{name}: {:?}", lines[name]);
        (lines[name][0]["level"].as_str().unwrap().to_owned(), lines[name][0]["fields"].clone())
    };
    for (name, level, outcome, status) in [
        ("vietcombank.fx json", "INFO", "ok", 200),
        ("bidv.fx board", "INFO", "ok", 200),
        ("tpbank.gold chart", "WARN", "status", 404),
        ("doji.gold vangtoday", "WARN", "redirect", 302),
    ] {
        let (said, fields) = one(name);
        assert_eq!(
            (said.as_str(), &fields["outcome"], &fields["status"]),
            (level, &outcome.into(), &status.into()),
            "{fields}"
        );
        assert!(fields["ms"].is_u64() && fields["bytes"].is_u64() && fields["changed"].is_u64(), "{fields}");
        if outcome == "ok" {
            assert!(fields["bytes"].as_u64() > Some(500) && fields["changed"].as_u64() > Some(5), "{fields}");
        } else {
            assert!(fields["reason"].as_str().is_some_and(|reason| reason.len() > 10), "{fields}");
        }
    }
    let (level, fields) = one("bidv.deposit rates");
    let known = ParseError::Empty.reason().code;
    assert!(level == "WARN" && fields["status"] == 200 && fields["outcome"].is_string(), "{known} {fields}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a22_no_level_of_the_log_says_who_asked_or_what_they_brought() {
    let folder = tempdir().unwrap();
    let config = service::write_config(
        folder.path(),
        "b.toml",
        "[server]\nlisten = \"127.0.0.1:0\"\nops_listen = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.0/8\"]\nrate_limit = 1\n",
    );
    let mut command = service::banggia();
    command.args(["serve", "--replay"]).args(["--config"]).arg(&config);
    let program = service::Service::start_with(command);
    let _ = rustls::crypto::ring::default_provider().install_default();
    // An address that nobody else has.
    let client = reqwest::Client::builder()
        .no_proxy()
        .local_address(std::net::IpAddr::from([127, 77, 0, 7]))
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let mut refused = 0;
    for path in [
        "/v1/board",
        "/v1/nothing",
        "/v1/convert?from=USD&to=VND&amount=1",
        "/v1/convert?from=USD&to=VND&amount=2",
        "/v1/gold?odd-query=1",
        "/oembed?url=odd-query",
        "/",
    ] {
        for method in [reqwest::Method::GET, reqwest::Method::POST] {
            let request = client.request(method, format!("http://{}{path}", program.public));
            let request = request
                .header("x-forwarded-for", "203.0.113.77")
                .header("forwarded", "for=203.0.113.77")
                .header("authorization", "Bearer stranger-token")
                .header("cookie", "stranger-cookie=1")
                .header("user-agent", "stranger-agent")
                .header("referer", "https://stranger.example/")
                .header("origin", "https://stranger.example")
                .body("stranger-body");
            refused += usize::from(request.send().await.unwrap().status().is_client_error());
        }
    }
    assert!(refused >= 9, "{refused}");
    // What is no HTTP at all is told in another place.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 77, 0, 7], 0)).into()).unwrap();
    socket.connect(&program.public.into()).unwrap();
    (&socket).write_all(b"stranger-line\r\n\r\n").unwrap();
    std::io::Read::read_to_end(&mut &socket, &mut Vec::new()).unwrap();
    let (_, log) = program.stop();
    assert!(log.contains("request_id") && log.contains("TRACE"), "it was logged, and at every level");
    for word in ["127.77.0.7", "203.0.113", "stranger"] {
        let said = log.lines().find(|line| line.contains(word));
        assert!(said.is_none(), "{word}: {said:?}");
    }
}

#[test]
fn a_reload_that_was_refused_is_told_beside_the_last_good_one() {
    let metrics = Metrics::new();
    let line = |text: &str, name: &str| -> i64 {
        let found =
            text.lines().find_map(|line| line.strip_prefix(&format!("banggia_config_last_reload_{name} ")));
        found.unwrap().parse().unwrap()
    };
    let text = metrics.text(Form::Classic).unwrap();
    assert_eq!(line(&text, "successful"), 1, "it was read at the start");
    assert!(line(&text, "success_timestamp_seconds") > 1_700_000_000);
    metrics.reloaded(false, at("2026-09-30T10:00:00+07:00"));
    let text = metrics.text(Form::Classic).unwrap();
    assert_eq!(line(&text, "successful"), 0);
    metrics.reloaded(true, at("2026-09-30T10:00:00+07:00"));
    let text = metrics.text(Form::Classic).unwrap();
    assert_eq!(
        (line(&text, "successful"), line(&text, "success_timestamp_seconds")),
        (1, at("2026-09-30T10:00:00+07:00").as_second())
    );
}
