//! Many at once: one render for all, a bounded cache, and no half-published board while every feed refreshes.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use axum::{body::Body, http::Request};
use banggia::http::{
    derived::{Charge, Derived, Key, Missed, Render},
    encoded::Encoded,
};
use serde_json::Value;
use tower_service::Service as _;
use xxhash_rust::xxh3::xxh3_128;

use crate::house::{House, good_day};

async fn unlimited() -> House {
    let house =
        House::with(|_| {}, |text| text.replacen("[server]\n", "[server]\nrate_limit = 0\n", 1)).await;
    house.settled().await;
    house
}

fn request(path: &str) -> Request<Body> {
    Request::get(path).header("host", "x").body(Body::empty()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_first_requests_for_a_selection_are_one_render() {
    let house = unlimited().await;
    let site = Arc::clone(house.app.site());
    let router = banggia::http::public(Arc::clone(&site));
    let before = site.derived.renders();
    let start = Arc::new(tokio::sync::Barrier::new(10_001));
    let asked: Vec<_> = (0..10_000)
        .map(|_| {
            let (mut router, start) = (router.clone(), Arc::clone(&start));
            tokio::spawn(async move {
                start.wait().await;
                let response = router.call(request("/v1/fx?currencies=USD,EUR")).await.unwrap();
                (response.status().as_u16(), response.headers()["etag"].clone())
            })
        })
        .collect();
    start.wait().await;
    let mut answers = Vec::new();
    for one in asked {
        answers.push(one.await.unwrap());
    }
    assert!(answers.iter().all(|answer| *answer == answers[0] && answer.0 == 200));
    assert_eq!(site.derived.renders() - before, 1);
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_share_fails_alone_and_who_waits_beside_it_renders() {
    let tracker = tokio_util::task::TaskTracker::new();
    let derived = Arc::new(Derived::new(tracker, tokio::runtime::Handle::current()));
    let key = || Key { path: "/", version: 1, query: String::new() };
    let render: Render = Arc::new(|| Some(Encoded::new(Vec::new(), "bytes")));
    let exhausted = banggia::http::limit::Limiter::new(1);
    let client = "203.0.113.1".parse().unwrap();
    exhausted.take(client).unwrap();
    let limiter = Arc::new(exhausted);
    // The first to come has no share, and takes its time to find out; the second has one and waits behind it.
    let (entered, wait) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(true)));
    let poor: Charge = {
        let (entered, wait, limiter) = (Arc::clone(&entered), Arc::clone(&wait), Arc::clone(&limiter));
        Arc::new(move || {
            entered.store(true, Ordering::Release);
            while wait.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
            limiter.take(client)
        })
    };
    let first = tokio::spawn({
        let (derived, render) = (Arc::clone(&derived), Arc::clone(&render));
        async move { derived.get(key(), poor, render).await.map(|_| ()) }
    });
    while !entered.load(Ordering::Acquire) {
        tokio::task::yield_now().await;
    }
    let second = tokio::spawn({
        let derived = Arc::clone(&derived);
        async move { derived.get(key(), Arc::new(|| Ok(None)), render).await.map(|_| ()) }
    });
    wait.store(false, Ordering::Release);
    assert!(matches!(first.await.unwrap(), Err(Missed::Exhausted(_)) | Ok(())));
    assert!(second.await.unwrap().is_ok(), "another's empty bucket is not this one's");
    assert_eq!(derived.renders(), 1);
}

#[test]
fn whoever_gets_no_turn_in_time_is_told_and_does_not_wait_for_ever() {
    // All turns that there are: one less than cores.
    let turns = std::thread::available_parallelism().map_or(2, usize::from).saturating_sub(1).max(1);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(turns + 2).enable_all().build().unwrap();
    runtime.block_on(async {
        let tracker = tokio_util::task::TaskTracker::new();
        let derived = Arc::new(Derived::new(tracker, tokio::runtime::Handle::current()));
        let key = |version| Key { path: "/", version, query: String::new() };
        let free: Charge = Arc::new(|| Ok(None));
        let (begun, hold) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(true)));
        let slow: Render = {
            let (begun, hold) = (Arc::clone(&begun), Arc::clone(&hold));
            Arc::new(move || {
                begun.fetch_add(1, Ordering::AcqRel);
                while hold.load(Ordering::Acquire) {
                    std::thread::yield_now();
                }
                Some(Encoded::new(Vec::new(), "bytes"))
            })
        };
        let busy: Vec<_> = (0..turns)
            .map(|at| {
                let (derived, free, slow) = (Arc::clone(&derived), Arc::clone(&free), Arc::clone(&slow));
                let key = key(i64::try_from(at).unwrap());
                tokio::spawn(async move { derived.get(key, free, slow).await.is_ok() })
            })
            .collect();
        while begun.load(Ordering::Acquire) < turns {
            tokio::task::yield_now().await;
        }
        let late = derived.get(key(-1), free, slow).await;
        assert!(matches!(late, Err(Missed::Busy)), "{:?}", late.map(|_| ()));
        hold.store(false, Ordering::Release);
        for one in busy {
            assert!(one.await.unwrap());
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_panics_is_a_500_that_tells_nothing_of_the_inside() {
    let house = unlimited().await;
    let broken = axum::Router::new().route(
        "/v1/broken",
        axum::routing::get(async || -> &'static str { panic!("the secret of /etc/banggia") }),
    );
    let mut router = banggia::http::public_with(broken, Arc::clone(house.app.site()));
    let response = router.call(request("/v1/broken")).await.unwrap();
    let headers = response.headers().clone();
    assert_eq!(response.status(), 500);
    for (name, value) in [
        ("content-type", "application/problem+json"),
        ("cache-control", "no-store"),
        ("access-control-allow-origin", "*"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(headers[name], value, "{name}");
    }
    let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
    let problem: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&problem["status"], &problem["type"]), (&500.into(), &"/docs/problems/internal".into()));
    assert_eq!(problem["request_id"].as_str().unwrap(), headers["x-request-id"]);
    assert!(!String::from_utf8_lossy(&body).contains("secret"));
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_render_that_panics_fails_one_request_and_is_tried_again() {
    let derived = Derived::new(tokio_util::task::TaskTracker::new(), tokio::runtime::Handle::current());
    let key = || Key { path: "/", version: 1, query: String::new() };
    let free: Charge = Arc::new(|| Ok(None));
    let panics: Render = Arc::new(|| panic!("as a test"));
    assert!(matches!(derived.get(key(), Arc::clone(&free), panics).await, Err(Missed::Failed)));
    let works: Render = Arc::new(|| Some(Encoded::new(Vec::new(), "bytes")));
    assert!(derived.get(key(), free, works).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_without_a_share_does_not_take_it_from_those_who_wait_beside_it() {
    let house = House::with(
        |_| {},
        |text| {
            text.replacen("[server]\n", "[server]\nrate_limit = 1\ntrusted_proxies = [\"127.0.0.1\"]\n", 1)
        },
    )
    .await;
    house.settled().await;
    let router = banggia::http::public(Arc::clone(house.app.site()));
    let ask = |client: &str, path: &str| {
        let mut router = router.clone();
        let request = Request::get(path).header("host", "x").header("x-forwarded-for", client);
        let request = request.body(Body::empty()).unwrap();
        async move { router.call(request).await.unwrap().status().as_u16() }
    };
    assert_eq!(ask("203.0.113.1", "/v1/fx?currencies=USD").await, 200);
    for round in ["EUR", "JPY", "GBP", "THB", "SGD"] {
        let path = format!("/v1/fx?currencies={round}");
        let (spent, fresh) = (
            ask("203.0.113.1", &path),
            ask(&format!("203.0.113.{}", 10 + round.len() + usize::from(round.as_bytes()[0])), &path),
        );
        let (spent, fresh) = tokio::join!(spent, fresh);
        assert_eq!(fresh, 200);
        assert!(spent == 429 || spent == 200, "{spent}: refused, or served what the other paid for");
    }
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a05_distinct_queries_keep_the_cache_within_its_bounds() {
    let house = unlimited().await;
    let site = Arc::clone(house.app.site());
    let mut router = banggia::http::public(Arc::clone(&site));
    for n in 0..6_000_u32 {
        let path = match n % 3 {
            0 => format!("/v1/convert?from=USD&to=VND&amount={n}"),
            1 => format!("/v1/deposits?terms={},{}", n % 999 + 1, n / 999 + 1),
            _ => format!("/widgets/panel?utm_source={n}"),
        };
        assert_eq!(router.call(request(&path)).await.unwrap().status(), 200, "{path}");
    }
    let (entries, bytes) = site.derived.size().await;
    assert!(bytes <= 4 << 20, "{bytes}");
    assert!((1..=4_100).contains(&entries), "{entries}");
    let panels = site.derived.renders();
    assert!(panels <= 4_001, "campaign tags make no new pages: {panels}");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_every_feed_refreshes_no_request_fails_and_none_sees_half_a_board() {
    const PATHS: &[&str] = &[
        "/v1/board",
        "/v1/gold",
        "/v1/fx",
        "/v1/deposits",
        "/v1/feeds",
        "/v1/fx?currencies=USD,EUR",
        "/v1/fx?currencies=USD&providers=bidv",
        "/v1/gold?providers=tpbank",
        "/v1/gold?unit=chi",
        "/v1/gold.csv",
        "/v1/deposits.csv?terms=6",
        "/widgets/panel",
        "/v1/convert?from=USD&to=VND&amount=3",
    ];
    let house = Arc::new(unlimited().await);
    let stop = Arc::new(AtomicBool::new(false));
    let answers = Arc::new(AtomicUsize::new(0));
    // Of one version of a document there is one tag.
    let seen: Arc<Mutex<HashMap<(&str, i64), String>>> = Arc::default();
    let readers: Vec<_> = (0..PATHS.len())
        .map(|first| {
            let (house, stop, answers, seen) =
                (Arc::clone(&house), Arc::clone(&stop), Arc::clone(&answers), Arc::clone(&seen));
            tokio::spawn(async move {
                let mut newest: HashMap<&str, i64> = HashMap::new();
                for path in PATHS.iter().cycle().skip(first) {
                    if stop.load(Ordering::Acquire) {
                        break;
                    }
                    let response = house.get(path).await;
                    assert_eq!(response.status(), 200, "{path}");
                    let tag = response.headers()["etag"].to_str().unwrap().to_owned();
                    let length: usize =
                        response.headers()["content-length"].to_str().unwrap().parse().unwrap();
                    let body = response.bytes().await.unwrap();
                    assert_eq!(body.len(), length, "{path}");
                    assert_eq!(
                        tag,
                        format!("\"{:032x}\"", xxh3_128(&body)),
                        "{path}: the tag is of these bytes"
                    );
                    answers.fetch_add(1, Ordering::Relaxed);
                    let Ok(document) = serde_json::from_slice::<Value>(&body) else { continue };
                    let Some(version) = document["version"].as_i64() else { continue };
                    let known =
                        seen.lock().unwrap().entry((path, version)).or_insert_with(|| tag.clone()).clone();
                    assert_eq!(known, tag, "{path}: one version, one tag");
                    let before = newest.insert(path, version).unwrap_or(0);
                    assert!(before <= version, "{path}: no client sees an older board after a newer one");
                    if path.starts_with("/v1/board") {
                        for section in ["gold", "fx", "deposits"] {
                            assert!(!document[section]["quotes"].as_array().unwrap().is_empty(), "{section}");
                        }
                    }
                }
            })
        })
        .collect();
    for round in 0..12 {
        good_day(&house.bank, (round + 1) % 2);
        let feeds = providers::feeds().map(|(_, feed)| house.refresh(feed.id));
        futures_util::future::join_all(feeds).await;
    }
    stop.store(true, Ordering::Release);
    for reader in readers {
        reader.await.unwrap();
    }
    assert!(answers.load(Ordering::Relaxed) > 200, "{answers:?}");
    let versions = seen.lock().unwrap().keys().filter(|(path, _)| *path == "/v1/board").count();
    assert!(versions > 3, "boards changed while they were read: {versions}");
    Arc::into_inner(house).unwrap().app.stop().await;
}
