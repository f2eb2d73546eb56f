//! What lists are narrowed to, their CSV twins, and conversions.

use std::collections::BTreeSet;

use rust_decimal::{Decimal, RoundingStrategy, dec};
use serde_json::Value;

use crate::house::{House, find};

fn column<'a>(document: &'a Value, name: &str) -> BTreeSet<&'a str> {
    let quotes = document["quotes"].as_array().unwrap();
    quotes.iter().map(|quote| quote[name].as_str().unwrap_or("null")).collect()
}

fn decimal(value: &Value) -> Decimal {
    value.as_str().unwrap_or_else(|| panic!("{value}")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_narrowed_by_every_filter() {
    let house = House::on_a_good_day().await;
    for (address, name, wanted) in [
        ("/v1/gold?providers=tpbank", "provider", &["tpbank"][..]),
        ("/v1/gold?products=ring-9999,BAR", "product", &["ring-9999", "bar"]),
        ("/v1/gold?places=hcm", "place", &["hcm"]),
        ("/v1/gold?unit=gram", "unit", &["gram"]),
        ("/v1/gold?unit=%20gram", "unit", &["gram"]),
        ("/v1/fx?currencies=usd,%20eur", "currency", &["USD", "EUR"]),
        ("/v1/fx?providers=bidv,vietcombank&currencies=JPY", "provider", &["bidv", "vietcombank"]),
        ("/v1/deposits?terms=6", "term", &["P6M"]),
        ("/v1/deposits?terms=P12M,demand,6&providers=bidv", "term", &["P12M", "demand", "P6M"]),
        ("/v1/deposits?channel=online", "channel", &["online"]),
        ("/v1/deposits?channel=unknown", "channel", &["null"]),
        ("/v1/deposits?customer=personal", "customer", &["personal"]),
    ] {
        let document = house.json(address).await;
        assert_eq!(column(&document, name), wanted.iter().copied().collect(), "{address}");
        let feeds: BTreeSet<&str> =
            document["feeds"].as_array().unwrap().iter().map(|feed| feed["id"].as_str().unwrap()).collect();
        assert!(column(&document, "feed").is_subset(&feeds), "{address}: each quote's feed is there");
    }
    let nobody = house.json("/v1/deposits?customer=corporate").await;
    assert_eq!(nobody["quotes"], serde_json::json!([]), "a selection may be empty");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_selection_is_part_of_its_document_and_in_its_order() {
    let house = House::on_a_good_day().await;
    let whole = house.json("/v1/fx").await;
    let part = house.json("/v1/fx?currencies=THB,EUR,USD").await;
    for head in ["kind", "version", "generated_at", "recorded"] {
        assert_eq!(part[head], whole[head], "{head}");
    }
    let wanted: Vec<&Value> = whole["quotes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|quote| ["THB", "EUR", "USD"].iter().any(|code| quote["currency"] == *code))
        .collect();
    assert!(wanted.len() > 3);
    assert_eq!(part["quotes"].as_array().unwrap().iter().collect::<Vec<_>>(), wanted);

    // However it is written, it is the same bytes; and a selection of everything is the document.
    let tag = async |address: &str| house.get(address).await.headers()["etag"].clone();
    let one = tag("/v1/fx?currencies=THB,EUR,USD").await;
    for same in ["/v1/fx?currencies=usd,eur,thb,usd", "/v1/fx?currencies=USD&currencies=THB%2CEUR"] {
        assert_eq!(tag(same).await, one, "{same}");
    }
    for all in ["/v1/gold?", "/v1/gold?unit=luong"] {
        assert_eq!(tag(all).await, tag("/v1/gold").await, "{all}");
    }
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_selection_changes_with_the_feeds_that_are_in_it_and_with_no_other() {
    // DOJI's feed is due every second; TPBank's runs when this test asks for it.
    let due = |text: String| {
        let often = "[feeds.doji.gold]\nschedule = \"* * * * * *\"";
        text.replace("[feeds.doji.gold]\nschedule = \"0 3 1 1 *\"", often)
    };
    let house = House::with(|_| {}, due).await;
    house.settled().await;
    let of_one = ["/v1/gold?providers=tpbank", "/v1/gold.csv?providers=tpbank&unit=chi"];
    let get = async |address: &str| {
        let response = house.get(address).await;
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        (header("etag"), header("cache-control"))
    };
    let version = async |address: &str| house.json(address).await["version"].as_i64().unwrap();
    let (first, own) = (version("/v1/gold").await, version(of_one[0]).await);
    let before = [get(of_one[0]).await, get(of_one[1]).await];
    house
        .wait_for("/v1/gold", "DOJI was asked twice more", |gold| {
            gold["version"].as_i64().unwrap() >= first + 2
        })
        .await;
    let rendered = house.app.site().derived.renders();
    for (address, before) in of_one.iter().zip(&before) {
        assert_eq!(&get(address).await, before, "{address}: bytes and lifetime");
        assert!(before.1.starts_with("public, max-age=60, "), "{address}: {}", before.1);
    }
    assert_eq!(house.app.site().derived.renders(), rendered, "and nothing was rendered again");
    assert_eq!(version(of_one[0]).await, own);
    assert!(get("/v1/gold").await.1.starts_with("public, max-age=5, "), "the whole list is due with DOJI");
    for both in ["/v1/gold?providers=doji,tpbank", "/v1/gold?unit=chi"] {
        assert!(version(both).await >= first + 2, "{both}");
        assert!(get(both).await.1.starts_with("public, max-age=5, "), "{both}");
    }
    crate::house::good_day(&house.bank, 1);
    house.refresh("tpbank.gold").await;
    assert!(version(of_one[0]).await > first + 2, "its own refresh is the publish of both");
    for (address, before) in of_one.iter().zip(&before) {
        assert_ne!(get(address).await.0, before.0, "{address}");
    }
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gold_converts_exactly_between_weights() {
    let house = House::on_a_good_day().await;
    let luong = house.json("/v1/gold").await;
    for (unit, numerator, denominator) in [
        ("chi", dec!(3.75), dec!(37.5)),
        ("gram", dec!(1), dec!(37.5)),
        ("kg", dec!(1000), dec!(37.5)),
        ("oz", dec!(31.1034768), dec!(37.5)),
    ] {
        let converted = house.json(&format!("/v1/gold?unit={unit}")).await;
        for quote in converted["quotes"].as_array().unwrap() {
            let per_luong = find(&luong, quote["id"].as_str().unwrap()).unwrap();
            for side in ["buy", "sell"] {
                let exact = decimal(&per_luong[side]) * numerator / denominator;
                let wanted = exact.round_dp_with_strategy(0, RoundingStrategy::MidpointAwayFromZero);
                assert_eq!(decimal(&quote[side]), wanted, "{} {side} per {unit}", quote["id"]);
            }
        }
    }
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_that_of_the_converted_figures() {
    let house = House::on_a_good_day().await;
    crate::house::good_day(&house.bank, 1);
    house.refresh("tpbank.gold").await;
    let luong = house.quote("/v1/gold", "tpbank.gold.bar").await;
    let chi = house.quote("/v1/gold?unit=chi", "tpbank.gold.bar").await;
    assert_ne!(decimal(&luong["change_sell"]), dec!(0));
    assert_eq!(decimal(&chi["change_sell"]) * dec!(10), decimal(&luong["change_sell"]));
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn csv_has_the_same_rows_and_texts() {
    let house = House::on_a_good_day().await;
    for (csv, json) in [
        ("/v1/gold.csv", "/v1/gold"),
        ("/v1/fx.csv", "/v1/fx"),
        ("/v1/deposits.csv", "/v1/deposits"),
        ("/v1/gold.csv?unit=chi&providers=tpbank", "/v1/gold?unit=chi&providers=tpbank"),
        ("/v1/deposits.csv?terms=12,6", "/v1/deposits?terms=12,6"),
    ] {
        let response = house.get(csv).await;
        assert_eq!(response.headers()["content-type"], "text/csv; charset=utf-8; header=present", "{csv}");
        let text = response.text().await.unwrap();
        assert!(text.ends_with("\r\n"), "RFC 4180");
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        let document = house.json(json).await;
        let quotes = document["quotes"].as_array().unwrap();
        assert_eq!(rows.len(), quotes.len(), "{csv}");
        for (row, quote) in rows.iter().zip(quotes) {
            let fields = quote.as_object().unwrap();
            assert_eq!(
                fields.keys().map(String::as_str).collect::<BTreeSet<_>>(),
                header.iter().map(String::as_str).collect()
            );
            for (name, cell) in header.iter().zip(row) {
                let wanted = match &fields[name] {
                    Value::Null => String::new(),
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                assert_eq!(cell, wanted, "{csv} {name}");
            }
        }
        // In the order of the JSON's fields.
        let json_text = house.get(json).await.text().await.unwrap();
        let first = json_text.split_once("\"quotes\":[{").unwrap().1.split_once('}').unwrap().0;
        let places: Vec<usize> = header
            .iter()
            .map(|name| first.find(&format!("\"{name}\":")).unwrap_or_else(|| panic!("no {name} in {first}")))
            .collect();
        assert!(places.is_sorted(), "{csv}: {header:?}");
    }
    house.app.stop().await;
}

/// Each mistake lists what is allowed.
#[tokio::test(flavor = "multi_thread")]
async fn a_query_full_of_mistakes_is_told_of_eight() {
    let house = House::on_a_good_day().await;
    for (address, mistake) in
        [("/", "widget=x"), ("/images/fx.png", "scale=9"), ("/widgets/fx", "lang=x"), ("/v1/convert", "x=1")]
    {
        let response = house.get(&format!("{address}?{}", vec![mistake; 500].join("&"))).await;
        assert_eq!(response.status(), 422, "{address}");
        let problem: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        assert_eq!(problem["errors"].as_array().unwrap().len(), 8, "{address}");
    }
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_filter_is_named_with_what_is_allowed() {
    let house = House::on_a_good_day().await;
    for (address, parameter, value, allowed) in [
        ("/v1/gold?providers=acb", "providers", "acb", "doji"),
        ("/v1/gold?providers=bidv", "providers", "bidv", "tpbank"),
        ("/v1/gold?products=brick", "products", "brick", "sjc-bar"),
        ("/v1/gold?unit=stone", "unit", "stone", "luong"),
        ("/v1/gold?unit=chi&unit=kg", "unit", "kg", "the parameter once"),
        ("/v1/fx?currencies=USD,XYZ", "currencies", "USD,XYZ", "EUR"),
        ("/v1/fx?terms=6", "terms", "6", "currencies"),
        ("/v1/deposits?terms=6M", "terms", "6M", "demand"),
        ("/v1/deposits?channel=%3Cscript%3E", "channel", "<script>", "counter"),
        ("/v1/deposits.csv?customer=", "customer", "", "personal"),
        ("/v1/board?providers=bidv", "providers", "bidv", ""),
        ("/v1/convert?from=USD", "to", "", "VND"),
        ("/v1/convert?from=USD&to=VND&amount=abc", "amount", "abc", "decimal"),
        ("/v1/convert?from=USD&to=VND&provider=acb", "provider", "acb", "bidv"),
        ("/v1/convert?from=USD&to=VND&side=buy", "side", "buy", "buy_cash"),
        ("/v1/convert?from=NOK&to=VND&provider=bidv&side=sell_cash", "side", "sell_cash", "sell"),
        ("/v1/convert?from=luong&to=USD", "to", "USD", "VND"),
        ("/v1/convert?from=luong&to=VND&provider=tpbank&product=ring-9999", "product", "ring-9999", "bar"),
    ] {
        let response = house.get(address).await;
        assert_eq!(response.status(), 422, "{address}");
        let problem: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        let error = &problem["errors"][0];
        assert_eq!((&error["parameter"], &error["value"]), (&parameter.into(), &value.into()), "{address}");
        let listed = error["allowed"].as_array().unwrap();
        assert!(
            (listed.is_empty() && allowed.is_empty())
                || listed.iter().any(|listed| listed.as_str().unwrap().contains(allowed)),
            "{address}: {error}"
        );
    }
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn amounts_convert_exactly_and_name_the_quotes_that_were_used() {
    let house = House::on_a_good_day().await;
    let usd = house.quote("/v1/fx", "bidv.fx.USD").await;
    let eur = house.quote("/v1/fx", "bidv.fx.EUR").await;
    let bar = house.quote("/v1/gold", "tpbank.gold.bar").await;
    let round = |number: Decimal, places| {
        number.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero)
    };
    for (query, wanted, used) in [
        (
            "from=USD&to=VND&amount=100&provider=bidv&side=sell",
            round(dec!(100) * decimal(&usd["sell"]), 0),
            vec![&usd],
        ),
        (
            "from=usd&to=vnd&amount=0.01&provider=BIDV",
            round(dec!(0.01) * decimal(&usd["sell"]), 0),
            vec![&usd],
        ),
        (
            "from=VND&to=USD&amount=1000000&provider=bidv&side=buy_transfer",
            round(dec!(1000000) / decimal(&usd["buy_transfer"]), 2),
            vec![&usd],
        ),
        (
            "from=EUR&to=USD&amount=250.5&provider=bidv&side=sell",
            round(dec!(250.5) * decimal(&eur["sell"]) / decimal(&usd["sell"]), 2),
            vec![&eur, &usd],
        ),
        ("from=luong&to=VND&amount=2&provider=tpbank&side=buy", dec!(2) * decimal(&bar["buy"]), vec![&bar]),
        (
            "from=VND&to=chi&amount=100000000&provider=tpbank&side=sell",
            round(dec!(1000000000) / decimal(&bar["sell"]), 6),
            vec![&bar],
        ),
        ("from=luong&to=gram&amount=3", dec!(112.5), vec![]),
        ("from=USD&to=USD&amount=5", dec!(5), vec![]),
    ] {
        let converted = house.json(&format!("/v1/convert?{query}")).await;
        assert_eq!(decimal(&converted["result"]), wanted, "{query}");
        assert_eq!(converted["quotes"].as_array().unwrap().iter().collect::<Vec<_>>(), used, "{query}");
        assert!(converted["rounding"].as_str().unwrap().starts_with("half away from zero, to "), "{query}");
    }
    // Without a provider the first that has it; LAK is BIDV's alone.
    let kip = house.json("/v1/convert?from=LAK&to=VND&amount=1000").await;
    assert_eq!(kip["quotes"][0]["provider"], "bidv");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_quoted_price_can_be_converted_at() {
    let house =
        House::with(|_| {}, |text| text.replacen("[server]\n", "[server]\nrate_limit = 0\n", 1)).await;
    house.settled().await;
    let mut converted = 0;
    for (document, sides) in
        [("/v1/fx", &["buy_cash", "buy_transfer", "sell", "sell_cash"][..]), ("/v1/gold", &["buy", "sell"])]
    {
        for quote in house.json(document).await["quotes"].as_array().unwrap() {
            for side in sides.iter().filter(|side| !quote[**side].is_null() && quote["variant"].is_null()) {
                let from = if document == "/v1/fx" { quote["currency"].as_str().unwrap() } else { "luong" };
                let product =
                    quote["product"].as_str().map_or_else(String::new, |name| format!("&product={name}"));
                let provider = quote["provider"].as_str().unwrap();
                let answer = house
                    .json(&format!("/v1/convert?from={from}&to=VND&provider={provider}&side={side}{product}"))
                    .await;
                let wanted =
                    decimal(&quote[*side]).round_dp_with_strategy(0, RoundingStrategy::MidpointAwayFromZero);
                assert_eq!(decimal(&answer["result"]), wanted, "{} {side}", quote["id"]);
                converted += 1;
            }
        }
    }
    assert!(converted > 60, "{converted}");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_prices_a_conversion_says_to_come_back() {
    let house =
        House::with(|bank| bank.script("/tpbank.gold/chart", [crate::bank::Reply::status(500)]), |text| text)
            .await;
    house.settled().await;
    let response = house.get("/v1/convert?from=luong&to=VND&provider=tpbank").await;
    assert_eq!(response.status(), 503);
    assert!(response.headers()["retry-after"].to_str().unwrap().parse::<u32>().unwrap() >= 1);
    let other = house.json("/v1/convert?from=luong&to=VND").await;
    assert_eq!(other["quotes"][0]["provider"], "doji", "who has none gives way to who has");
    house.app.stop().await;
}
