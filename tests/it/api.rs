//! The JSON documents: shapes, identity, units, validators, errors.

use serde_json::{Value, json};

use crate::house::{House, find};

#[tokio::test(flavor = "multi_thread")]
async fn six_feeds_go_from_real_answers_to_json() {
    let house = House::on_a_good_day().await;
    let board = house.json("/v1/board").await;
    let feeds: Vec<&str> = ["gold", "fx", "deposits"]
        .iter()
        .flat_map(|section| board[*section]["feeds"].as_array().unwrap())
        .map(|feed| {
            assert_eq!(feed["status"], "fresh", "{feed}");
            assert_eq!(feed["reason"], Value::Null, "{feed}");
            feed["id"].as_str().unwrap()
        })
        .collect();
    assert_eq!(
        feeds,
        ["doji.gold", "tpbank.gold", "bidv.fx", "vietcombank.fx", "bidv.deposit", "ocb.deposit"]
    );
    assert_eq!(board["recorded"], false);

    let usd = find(&board["fx"], "bidv.fx.USD").unwrap();
    for (key, value) in [
        ("feed", "bidv.fx"),
        ("provider", "bidv"),
        ("currency", "USD"),
        ("source", "board"),
        ("status", "fresh"),
    ] {
        assert_eq!(usd[key], value, "{key}");
    }
    assert!(
        usd["sell"].as_str().unwrap().parse::<rust_decimal::Decimal>().unwrap()
            > rust_decimal::Decimal::from(20_000)
    );
    assert_eq!(usd["variant"], Value::Null);
    assert_eq!(usd["per"], 1);
    assert!(find(&board["fx"], "bidv.fx.XAU").is_none());
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_quote_and_feed_has_the_keys_of_the_contract() {
    const QUOTE: &[&str] = &[
        "id",
        "feed",
        "provider",
        "as_of",
        "checked_at",
        "changed_at",
        "fresh_until",
        "expires_at",
        "source",
        "via",
        "status",
    ];
    let house = House::on_a_good_day().await;
    for (path, kind, own) in [
        (
            "/v1/gold",
            "gold",
            &[
                "product",
                "code",
                "name",
                "place",
                "unit",
                "currency",
                "buy",
                "sell",
                "change_buy",
                "change_sell",
            ][..],
        ),
        (
            "/v1/fx",
            "fx",
            &[
                "currency",
                "variant",
                "name",
                "per",
                "buy_cash",
                "buy_transfer",
                "sell",
                "sell_cash",
                "change_buy_cash",
                "change_buy_transfer",
                "change_sell",
            ],
        ),
        (
            "/v1/deposits",
            "deposit",
            &[
                "term",
                "term_months",
                "channel",
                "customer",
                "payout",
                "place",
                "currency",
                "min_amount",
                "rate_percent",
                "effective_from",
            ],
        ),
    ] {
        let document = house.json(path).await;
        assert_eq!(document["kind"], kind);
        assert!(
            document["version"].is_i64() && document["generated_at"].as_str().unwrap().ends_with("+07:00")
        );
        let quotes = document["quotes"].as_array().unwrap();
        assert!(!quotes.is_empty(), "{path}");
        for quote in quotes {
            for key in QUOTE.iter().chain(own) {
                assert!(quote.get(key).is_some(), "{path}: {key} is missing in {quote}");
            }
            assert!(!quote.to_string().contains("\"age"), "documents carry instants, never ages");
        }
        for feed in document["feeds"].as_array().unwrap() {
            for key in [
                "id",
                "provider",
                "provider_name",
                "kind",
                "status",
                "reason",
                "as_of",
                "fetched_at",
                "checked_at",
                "changed_at",
                "fresh_until",
                "expires_at",
                "next_refresh_at",
                "source",
                "via",
                "source_url",
            ] {
                assert!(feed.get(key).is_some(), "{path}: {key} is missing in {feed}");
            }
        }
    }
    let feeds = house.json("/v1/feeds").await;
    for feed in feeds["feeds"].as_array().unwrap() {
        assert_eq!((&feed["held"], &feed["missed"]), (&json!([]), &json!(0)));
        assert!(feed["schedule"].is_string());
        for source in feed["sources"].as_array().unwrap() {
            for key in ["id", "state", "reason", "last_attempt_at", "last_outcome", "url", "via"] {
                assert!(source.get(key).is_some(), "{key} is missing in {source}");
            }
        }
    }
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gold_is_given_per_luong_and_a_stand_in_is_named() {
    let house = House::on_a_good_day().await;
    let bar = house.quote("/v1/gold", "doji.gold.sjc-bar.hanoi").await;
    assert_eq!(
        (&bar["unit"], &bar["currency"], &bar["via"], &bar["source"]),
        (&json!("luong"), &json!("VND"), &json!("vang.today"), &json!("vangtoday"))
    );
    assert_eq!((&bar["buy"], &bar["sell"]), (&json!("139000000"), &json!("142000000")));
    let bank = house.quote("/v1/gold", "tpbank.gold.bar").await;
    assert_eq!(
        (&bank["buy"], &bank["as_of"], &bank["via"]),
        (&json!("139200000"), &json!("2026-09-29"), &Value::Null)
    );
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cells_of_different_sources_keep_their_own_source_and_time() {
    let house = House::on_a_good_day().await;
    let six = house.quote("/v1/deposits", "ocb.deposit.counter.P6M").await;
    assert_eq!(
        (&six["rate_percent"], &six["source"], &six["as_of"]),
        (&json!("6.4"), &json!("widget"), &Value::Null)
    );
    let nine = house.quote("/v1/deposits", "ocb.deposit.unknown.P9M").await;
    assert_eq!(
        (&nine["source"], &nine["via"], &nine["channel"], &nine["as_of"]),
        (&json!("cafef"), &json!("CafeF"), &Value::Null, &json!("2026-09-29"))
    );
    let deposits = house.json("/v1/deposits").await;
    assert!(
        find(&deposits, "ocb.deposit.unknown.P6M").is_none(),
        "the stand-in is silent where OCB itself speaks"
    );
    let feed = house.feed("ocb.deposit").await;
    assert_eq!(crate::house::source(&feed, "table")["reason"]["code"], "soft_404");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_change_only_at_a_publish_and_validators_follow_them() {
    let house = House::on_a_good_day().await;
    let first = house.get("/v1/fx").await;
    let headers = first.headers().clone();
    let tag = headers["etag"].to_str().unwrap().to_owned();
    let body = first.text().await.unwrap();
    assert!(tag.starts_with('"'), "strong: {tag}");
    assert_eq!(headers["access-control-allow-origin"], "*");
    assert_eq!(headers["vary"], "Accept-Encoding");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    let cache = headers["cache-control"].to_str().unwrap();
    assert!(cache.starts_with("public, max-age=60, stale-while-revalidate=300, stale-if-error="), "{cache}");

    // Another feed's refresh does not touch this document.
    house.refresh("tpbank.gold").await;
    let again = house.get("/v1/fx").await;
    assert_eq!(again.headers()["etag"], tag.as_str());
    assert_eq!(again.text().await.unwrap(), body);

    let unchanged =
        house.request(reqwest::Method::GET, "/v1/fx", &[("if-none-match", &format!("\"x\", W/{tag}"))]).await;
    assert_eq!(unchanged.status(), 304);
    for name in ["etag", "cache-control", "vary", "access-control-allow-origin", "date"] {
        assert!(unchanged.headers().contains_key(name), "{name}");
    }
    assert!(!unchanged.headers().contains_key("content-type"));

    let head = house.request(reqwest::Method::HEAD, "/v1/fx", &[]).await;
    assert_eq!(head.headers()["content-length"], body.len().to_string().as_str());
    assert_eq!(head.text().await.unwrap(), "");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_problem_documents() {
    let house = House::on_a_good_day().await;
    let problem = async |method: reqwest::Method, path: &str| {
        let response = house.request(method, path, &[]).await;
        let headers = response.headers().clone();
        assert_eq!(headers["content-type"], "application/problem+json", "{path}");
        assert_eq!(headers["cache-control"], "no-store", "{path}");
        assert_eq!(headers["access-control-allow-origin"], "*", "{path}");
        let status = response.status().as_u16();
        let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        assert_eq!(body["status"], status);
        (status, headers, body)
    };
    assert_eq!(problem(reqwest::Method::GET, "/v2").await.0, 404);
    assert_eq!(problem(reqwest::Method::GET, "/v1/goldx").await.0, 404);
    let (status, headers, _) = problem(reqwest::Method::POST, "/v1/gold").await;
    assert_eq!(status, 405);
    assert!(headers["allow"].to_str().unwrap().contains("GET"));
    let (status, _, body) = problem(reqwest::Method::GET, "/v1/gold?colour=%3Cb%3E").await;
    assert_eq!(
        (status, &body["errors"][0]["parameter"], &body["errors"][0]["value"]),
        (422, &json!("colour"), &json!("<b>"))
    );
    let (status, _, body) = problem(reqwest::Method::GET, "/widgets/panel?theme=pink").await;
    assert_eq!(status, 422);
    assert!(body["errors"][0]["allowed"].as_array().unwrap().contains(&json!("dark")));
    assert_eq!(house.get("/widgets/panel?utm_source=x").await.status(), 200);
    let index = house.json("/v1").await;
    assert!(index["documents"]["board"].as_str().unwrap().ends_with("/v1/board"));
    assert_eq!(index["feeds"].as_array().unwrap().len(), 6);
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_feed_is_absent_everywhere() {
    let house = House::with(
        |_| {},
        |text| text.replace("[feeds.tpbank.gold]\n", "[feeds.tpbank.gold]\nenabled = false\n"),
    )
    .await;
    house.settled().await;
    for path in ["/v1/board", "/v1/gold", "/v1/feeds", "/v1"] {
        let text = house.get(path).await.text().await.unwrap();
        assert!(!text.contains("tpbank"), "{path}");
    }
    assert!(!house.get("/widgets/panel").await.text().await.unwrap().contains("TienPhong"));
    house.app.stop().await;
}
