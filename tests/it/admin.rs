//! `/admin` as a program meets it: who is let in, who is not, and how each mistake is told.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::Path,
    time::{Duration, Instant},
};

use banggia::{
    app::{App, Mode},
    config::{self, Overrides},
    http::admin::is_same,
};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::{
    bank::{Bank, Reply},
    house::{House, client, config_text, good_day, path, recorded},
    service::TOKEN,
};

/// A good day, and an operator with a token.
async fn house() -> House {
    let house = House::with(|_| {}, |text| format!("{text}[secrets]\nadmin_token = \"{TOKEN}\"\n")).await;
    house.settled().await;
    house
}

async fn ask(
    app: &App,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &'static str,
) -> Response {
    let mut request = client().request(method, format!("http://{}{path}", app.ops)).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

async fn post(app: &App, path: &str, body: &'static str) -> (StatusCode, Value) {
    let token = bearer(TOKEN);
    let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
    told(ask(app, Method::POST, path, &headers, body).await).await
}

async fn get(app: &App, path: &str) -> (StatusCode, Value) {
    let token = bearer(TOKEN);
    told(ask(app, Method::GET, path, &[("authorization", &token)], "").await).await
}

async fn told(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    if status.as_u16() >= 400 {
        assert_eq!(response.headers()["content-type"], "application/problem+json");
    }
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(response.headers().get("set-cookie").is_none(), "no cookie, ever");
    assert!(response.headers().get("access-control-allow-origin").is_none(), "no other site reads it");
    (status, serde_json::from_str(&response.text().await.unwrap()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a16_without_a_token_in_the_configuration_there_is_no_console() {
    let house = House::on_a_good_day().await;
    for (method, path) in
        [(Method::GET, "/admin"), (Method::GET, "/admin/feeds"), (Method::POST, "/admin/reload")]
    {
        let token = bearer("");
        let response = ask(&house.app, method, path, &[("authorization", &token)], "").await;
        let (status, problem) = told(response).await;
        assert_eq!(status, 404, "{path}");
        assert!(problem["detail"].as_str().unwrap().contains("secrets.admin_token"), "{problem}");
    }
    // Nor is there ever one on the public listener.
    assert_eq!(house.get("/admin").await.status(), 404);
    assert_eq!(house.get("/metrics").await.status(), 404);
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a16_a_missing_or_wrong_token_is_refused_and_whoever_goes_on_guessing_is_not_even_compared() {
    let house = house().await;
    let app = &house.app;
    for headers in [
        vec![],
        vec![("authorization", "Bearer wrong".to_owned())],
        vec![("authorization", format!("Basic {TOKEN}"))],
        vec![("authorization", TOKEN.to_owned())],
        vec![("authorization", format!("Bearer {TOKEN}x"))],
        vec![("cookie", format!("token={TOKEN}"))],
    ] {
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let response = ask(app, Method::GET, "/admin/feeds", &headers, "").await;
        assert_eq!(response.headers()["www-authenticate"], "Bearer realm=\"banggia\"", "{headers:?}");
        let (status, problem) = told(response).await;
        assert_eq!(status, 401, "{headers:?}");
        assert_eq!(problem["type"], "/docs/problems/unauthorized");
        assert!(!problem.to_string().contains(TOKEN), "nothing is repeated: {problem}");
    }
    let response = ask(app, Method::GET, &format!("/admin/feeds?access_token={}", "x"), &[], "").await;
    assert_eq!(response.status(), 401, "nor in the address, which is logged everywhere");
    assert_eq!(get(app, "/admin/feeds").await.0, 200);

    let mut last = StatusCode::OK;
    for _ in 0..20 {
        last = ask(app, Method::GET, "/admin/feeds", &[("authorization", "Bearer wrong")], "").await.status();
    }
    assert_eq!(last, 429);
    let (status, problem) = get(app, "/admin/feeds").await;
    assert_eq!(status, 429, "the right one is not compared either");
    assert!(problem["detail"].as_str().unwrap().contains("the next try is in"), "{problem}");

    // Another client is not kept out by that.
    let other = reqwest::Client::builder()
        .no_proxy()
        .local_address(Some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2))))
        .build()
        .unwrap();
    let response =
        other.get(format!("http://{}/admin/feeds", app.ops)).bearer_auth(TOKEN).send().await.unwrap();
    assert_eq!(response.status(), 200);
    house.app.stop().await;
}

/// Welch's t over the times of two kinds of wrong token: one that differs at once, one that differs in its last letter.
#[test]
fn a16_how_long_a_comparison_takes_tells_nothing_of_the_token() {
    fn mean_and_variance(times: &mut Vec<f64>) -> (f64, f64, f64) {
        // Interruptions by the machine are no part of the comparison.
        times.sort_by(f64::total_cmp);
        times.truncate(times.len() * 9 / 10);
        let n = f64::from(u32::try_from(times.len()).unwrap());
        let mean = times.iter().sum::<f64>() / n;
        (mean, times.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / (n - 1.0), n)
    }
    let wanted = "0123456789abcdef0123456789abcdef0123456789abcdef";
    let early = format!("x{}", &wanted[1..]);
    let late = format!("{}x", &wanted[..wanted.len() - 1]);
    assert!(is_same(wanted, wanted) && !is_same(&early, wanted) && !is_same(&late, wanted));
    let mut worst = Vec::new();
    // A leak shows every time, a noisy machine does not.
    for _ in 0..5 {
        let mut times = [Vec::new(), Vec::new()];
        for at in 0..100_000_usize {
            // In an order that no clock of the machine has.
            let which = (at.wrapping_mul(2_654_435_761) >> 7) & 1;
            let given = if which == 0 { &early } else { &late };
            let began = Instant::now();
            std::hint::black_box(is_same(std::hint::black_box(given), std::hint::black_box(wanted)));
            times[which].push(began.elapsed().as_secs_f64());
        }
        let [(early, spread_early, n), (late, spread_late, m)] = times.each_mut().map(mean_and_variance);
        let t = (early - late) / (spread_early / n + spread_late / m).sqrt();
        worst.push(t);
        if t.abs() < 4.5 {
            return;
        }
    }
    panic!("|t| of at least 4.5 in each round: {worst:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a17_no_page_of_another_site_can_act_with_the_browser_of_an_operator() {
    let house = house().await;
    let app = &house.app;
    let token = bearer(TOKEN);
    let path = "/admin/feeds/bidv.fx/pause";
    let json = ("content-type", "application/json");
    for site in ["cross-site", "same-site"] {
        let headers = [("authorization", token.as_str()), json, ("sec-fetch-site", site)];
        let (status, problem) = told(ask(app, Method::POST, path, &headers, "{}").await).await;
        assert_eq!((status.as_u16(), &problem["type"]), (403, &json!("/docs/problems/forbidden")), "{site}");
    }
    // What forms of any page can send.
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""] {
        let headers = [("authorization", token.as_str()), ("content-type", kind)];
        let (status, _) = told(ask(app, Method::POST, path, &headers, "{}").await).await;
        assert_eq!(status, 415, "{kind}");
    }
    let preflight = [
        ("origin", "https://elsewhere.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization"),
    ];
    let response = ask(app, Method::OPTIONS, path, &preflight, "").await;
    assert!(response.headers().get("access-control-allow-headers").is_none());
    assert_eq!(told(response).await.0, 401, "no preflight is granted");
    assert_eq!(house.feed("bidv.fx").await["reason"], Value::Null, "nothing was paused");
    let headers = [("authorization", token.as_str()), json, ("sec-fetch-site", "same-origin")];
    assert_eq!(told(ask(app, Method::POST, path, &headers, "{}").await).await.0, 200);
    assert_eq!(house.feed("bidv.fx").await["reason"]["code"], "paused");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mistake_names_what_was_wrong_and_what_is_allowed_and_changes_nothing() {
    let house = house().await;
    let app = &house.app;
    let before = house.json("/v1/feeds").await;
    let cases: &[(&str, &'static str, u16, &str)] = &[
        ("/admin/feeds/bidv.gold/pause", "{}", 404, "allowed are bidv.deposit, bidv.fx, doji.gold"),
        ("/admin/feeds/bidv.fx/pause", "{", 422, "the body is not what is expected here"),
        ("/admin/feeds/bidv.fx/pause", r#"{"persist": "yes"}"#, 422, "expected a boolean"),
        ("/admin/feeds/bidv.fx/pause", r#"{"for_ever": true}"#, 422, "expected `persist`"),
        ("/admin/feeds/bidv.fx/schedule", "{}", 422, "missing field `schedule`"),
        ("/admin/feeds/bidv.fx/schedule", r#"{"persist": true}"#, 422, "missing field `schedule`"),
        (
            "/admin/feeds/bidv.fx/schedule",
            r#"{"schedule": "often"}"#,
            422,
            "five fields (minute hour day month weekday)",
        ),
        ("/admin/feeds/bidv.fx/schedule", r#"{"schedule": "0 0 30 2 *"}"#, 422, "feeds.bidv.fx.schedule"),
        ("/admin/held/bidv.fx.USD/accept", "{}", 404, "no value is held at all"),
        ("/admin/held/bidv.fx.USD/perhaps", "{}", 404, ""),
        ("/admin/feeds/bidv.fx", "{}", 404, ""),
        ("/admin/reload", r#"{"now": true}"#, 422, "now"),
        ("/admin/reload", "{}", 422, "test.toml: cannot be read"),
    ];
    for (path, body, wanted, part) in cases {
        let (status, problem) = post(app, path, body).await;
        assert_eq!(status.as_u16(), *wanted, "{path} {body}: {problem}");
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(part), "{path} {body}: {detail}");
    }
    let (status, _) = get(app, "/admin/feeds/nobody").await;
    assert_eq!(status, 404);
    for method in [Method::PUT, Method::DELETE, Method::PATCH] {
        let token = bearer(TOKEN);
        let response =
            ask(app, method, "/admin/feeds/bidv.fx/schedule", &[("authorization", &token)], "").await;
        assert_eq!(response.headers()["allow"], "GET, HEAD, POST");
        assert_eq!(told(response).await.0, 405);
    }
    let after = house.json("/v1/feeds").await;
    assert_eq!(before, after);

    let (_, kept) = get(app, "/admin/audit").await;
    let acts = kept["acts"].as_array().unwrap();
    assert!(acts.iter().all(|act| act["via"] == "api"), "{acts:#?}");
    assert!(acts.iter().any(|act| act["action"] == "schedule" && act["after"] == "often"), "{acts:#?}");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_environment_says_stands_above_the_console_and_a_store_in_memory_keeps_nothing_for_good() {
    let bank = Bank::open().await;
    good_day(&bank, 0);
    let folder = crate::canary::tempdir().unwrap();
    let text = config_text(&bank, &folder.path().join("unused.db"));
    let memory =
        text.replace(&format!("sqlite:{}", folder.path().join("unused.db").display()), "sqlite::memory:");
    let environment = [
        ("BANGGIA_FEEDS__BIDV__FX__SCHEDULE".to_owned(), "0 4 1 1 *".to_owned()),
        ("BANGGIA_SECRETS__ADMIN_TOKEN".to_owned(), TOKEN.to_owned()),
    ];
    let config =
        config::assemble(Some((Path::new("test.toml"), &memory)), &environment, &Overrides::default())
            .unwrap();
    let app = App::start(config, Mode::Live).await.unwrap();
    let (status, problem) =
        post(&app, "/admin/feeds/bidv.fx/schedule", r#"{"schedule": "*/5 * * * *"}"#).await;
    assert_eq!(status, 409);
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("BANGGIA_FEEDS__BIDV__FX__SCHEDULE"), "{detail}");
    let (status, problem) =
        post(&app, "/admin/feeds/tpbank.gold/schedule", r#"{"schedule": "*/5 * * * *", "persist": true}"#)
            .await;
    assert_eq!(status, 409);
    assert!(problem["detail"].as_str().unwrap().contains("change it for now"), "{problem}");
    let (status, changed) =
        post(&app, "/admin/feeds/tpbank.gold/schedule", r#"{"schedule": "*/5 * * * *"}"#).await;
    assert_eq!((status.as_u16(), &changed["feed"]["schedule"]), (200, &json!("*/5 * * * *")));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_while_a_feed_is_asked_waits_for_the_same_run() {
    let house = house().await;
    let chart = path("tpbank.gold", "chart");
    let before = house.bank.hits(&chart).len();
    // A slow answer, so that both come in its time.
    let body = recorded("tpbank.gold", "chart", 1, None);
    let slow = Reply::Drip(format!("HTTP/1.1 200 X\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes());
    house.bank.script(&chart, [slow, Reply::ok(body)]);
    let ask = || post(&house.app, "/admin/feeds/tpbank.gold/refresh", "{}");
    let (one, two, three) = tokio::join!(ask(), ask(), ask());
    for (status, end) in [&one, &two, &three] {
        assert_eq!((status.as_u16(), &end["outcome"]), (200, &one.1["outcome"]));
    }
    // One run: a first try and, as it failed in passing, those that every run makes.
    assert!((1..=3).contains(&(house.bank.hits(&chart).len() - before)));
    let (status, problem) = ask().await;
    assert_eq!(status, 429);
    assert!(problem["detail"].as_str().unwrap().contains("wait "), "{problem}");
    let acts = get(&house.app, "/admin/audit").await.1;
    let runs = acts["acts"].as_array().unwrap().iter().filter(|act| act["action"] == "refresh").count();
    assert_eq!(runs, 1);
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_for_good_that_cannot_be_written_is_no_change() {
    let house = house().await;
    // A folder stands where the file would be written.
    std::fs::create_dir(house.folder.path().join("banggia.db.overrides.toml.new")).unwrap();
    let body = r#"{"schedule": "*/5 * * * *", "persist": true}"#;
    let (status, problem) = post(&house.app, "/admin/feeds/tpbank.gold/schedule", body).await;
    assert_eq!(status, 503, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("nothing was changed"), "{problem}");
    assert_eq!(house.feed("tpbank.gold").await["schedule"], "0 3 1 1 *");
    std::fs::remove_dir(house.folder.path().join("banggia.db.overrides.toml.new")).unwrap();
    assert_eq!(post(&house.app, "/admin/feeds/tpbank.gold/schedule", body).await.0, 200);
    assert_eq!(house.feed("tpbank.gold").await["schedule"], "*/5 * * * *");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_in_the_middle_of_a_long_run_is_tuned_at_once() {
    let house = house().await;
    let chart = path("tpbank.gold", "chart");
    house.bank.script(&chart, [Reply::Drip(b"HTTP/1.1 200 X\r\nContent-Length: 999\r\n\r\n".to_vec())]);
    let asked = house.bank.hits(&chart).len();
    let running = house.app.refresh("tpbank.gold");
    let tuned = async {
        while house.bank.hits(&chart).len() == asked {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let began = Instant::now();
        let body = r#"{"schedule": "0 5 1 1 *"}"#;
        assert_eq!(post(&house.app, "/admin/feeds/tpbank.gold/schedule", body).await.0, 200);
        let feed = house.feed("tpbank.gold").await;
        assert_eq!(feed["schedule"], "0 5 1 1 *");
        assert!(feed["next_refresh_at"].as_str().unwrap().contains("-01-01T05:00:00"), "{feed:#}");
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    };
    tokio::join!(running, tuned);
    assert_eq!(house.feed("tpbank.gold").await["schedule"], "0 5 1 1 *", "nor does the run's end undo it");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resume_that_is_refused_changes_nothing_and_is_one_act() {
    let bank = Bank::open().await;
    good_day(&bank, 0);
    let folder = crate::canary::tempdir().unwrap();
    let overrides = folder.path().join("a.db.overrides.toml");
    let kept = "[feeds.bidv.fx]\npaused = true\n";
    std::fs::write(&overrides, kept).unwrap();
    let text = config_text(&bank, &folder.path().join("a.db"));
    let environment = [
        ("BANGGIA_FEEDS__BIDV__FX__PAUSED".to_owned(), "true".to_owned()),
        ("BANGGIA_SECRETS__ADMIN_TOKEN".to_owned(), TOKEN.to_owned()),
    ];
    let config =
        config::assemble(Some((Path::new("test.toml"), &text)), &environment, &Overrides::default()).unwrap();
    let app = App::start(config, Mode::Live).await.unwrap();
    let (status, problem) = post(&app, "/admin/feeds/bidv.fx/resume", "{}").await;
    assert_eq!(status, 409, "{problem}");
    assert_eq!(std::fs::read_to_string(&overrides).unwrap(), kept);
    let acts = get(&app, "/admin/audit").await.1["acts"].as_array().unwrap().clone();
    assert!(acts.len() == 1 && acts[0]["outcome"] != "done", "{acts:#?}");
    app.stop().await;
}

#[test]
fn a_token_that_is_easily_guessed_is_refused_and_says_how_to_make_one() {
    let text = "[secrets]\nadmin_token = \"secret\"\n";
    let error = config::assemble(Some((Path::new("b.toml"), text)), &[], &Overrides::default()).unwrap_err();
    let error = error.to_string();
    assert!(error.starts_with("b.toml:2: secrets.admin_token: must have at least 16 characters"), "{error}");
    assert!(!error.contains("\"secret\""), "{error}");
}
