//! Real answers, kept outside the repository: each is read by the adapter and by a second, independent reader.

use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf};

use providers::{AsOf, Quote, Sheet, WeightUnit, convert_weight};
use rust_decimal::Decimal;
use serde_json::Value;

use crate::support::{Random, case, envelope, fx, gold, keys, rate, refused};

/// `None`, and a line that says so, where the captures are not at hand.
fn captures() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures");
    let found = folder.is_dir().then_some(folder);
    if found.is_none() {
        println!("skipped: no real captures at ../shared/captures");
    }
    found
}

fn bytes(name: &str) -> Option<Vec<u8>> {
    Some(std::fs::read(captures()?.join(name)).unwrap())
}

fn text(name: &str) -> Option<String> {
    Some(String::from_utf8(bytes(name)?).unwrap())
}

/// Names of the files of a folder that end so.
fn named(folder: &str, end: &str) -> Vec<String> {
    let Some(captures) = captures() else { return Vec::new() };
    let mut names: Vec<String> = std::fs::read_dir(captures.join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(end))
        .map(|name| format!("{folder}/{name}"))
        .collect();
    names.sort();
    names
}

/// A figure as a second reader takes it: commas out, dashes and zeros none.
fn figure(text: &str) -> Option<Decimal> {
    let plain = text.trim().replace(',', "");
    if plain.is_empty() || plain == "-" {
        return None;
    }
    Some(plain.parse::<Decimal>().unwrap()).filter(|value| !value.is_zero())
}

#[test]
fn doji_boards_of_the_captures_are_read_right() {
    const PRODUCTS: [&str; 13] = [
        "sjc-bar",
        "avpl-bar",
        "ring-9999",
        "raw-9999",
        "raw-999",
        "jewelry-9999",
        "jewelry-999",
        "jewelry-99",
        "raw-18k",
        "raw-16k",
        "raw-15k",
        "raw-14k",
        "raw-10k",
    ];
    for name in named("gold/doji", "plain.json") {
        let plain = bytes(&name).unwrap();
        let sheet = case("doji.gold", "board").sheet(&plain);
        let rows: Value = serde_json::from_slice(&plain).unwrap();
        let mut wanted = BTreeMap::new();
        for row in rows.as_array().unwrap() {
            if row["type"] != "G" || row["isActive"] == false {
                continue;
            }
            let code: usize = row["materialCode"].as_str().unwrap().parse().unwrap();
            let side = |key: &str| Some(Decimal::from(row[key].as_i64().unwrap()) * Decimal::from(10_000));
            let sell = if code < 9 { side("priceDojiSellOut") } else { None };
            wanted.insert(PRODUCTS[code - 1].to_owned(), (side("priceDojiBuyIn"), sell));
        }
        assert_eq!(sheet.quotes.len(), wanted.len(), "{name}");
        for (key, (buy, sell)) in wanted {
            let (read_buy, read_sell) = gold(&sheet, &key);
            let luong = |side: Option<Decimal>| {
                side.and_then(|side| convert_weight(side, WeightUnit::Chi, WeightUnit::Luong, "VND"))
            };
            assert_eq!((luong(read_buy), luong(read_sell)), (buy, sell), "{name} {key}");
        }
        let (sealed, key) = envelope(&plain, &mut Random::unseeded());
        assert_eq!(case("doji.gold", "board").secret("doji_board_key", &key).sheet(&sealed), sheet, "{name}");
    }
}

#[test]
fn doji_envelopes_of_the_captures_want_a_key_and_refuse_another() {
    for name in named("gold/doji", "envelope.json") {
        let sealed = bytes(&name).unwrap();
        let board = case("doji.gold", "board");
        assert_eq!(board.error(&sealed).code(), "secret_missing", "{name}");
        let (_, key) = envelope(b"", &mut Random::unseeded());
        assert_eq!(board.secret("doji_board_key", &key).error(&sealed).code(), "envelope_key", "{name}");
    }
}

/// `name`, `Sell`, `Buy` of the rows of a list, by splitting at quotes.
fn xml_rows(list: &str) -> Vec<BTreeMap<String, String>> {
    list.split("<Row ")
        .skip(1)
        .map(|row| {
            let row = row.split("/>").next().unwrap();
            let quote = if row.contains('"') { '"' } else { '\'' };
            let parts: Vec<&str> = row.split(quote).collect();
            parts
                .chunks_exact(2)
                .map(|pair| (pair[0].trim().trim_end_matches('=').to_owned(), pair[1].to_owned()))
                .collect()
        })
        .collect()
}

#[test]
fn doji_xml_of_the_captures_is_read_right() {
    let Some(document) = text("gold/doji/2024-12-16-api-giavang.xml") else { return };
    let sheet = case("doji.gold", "xml").sheet(document.as_bytes());
    let jewelry = document.split("<JewelryList>").nth(1).unwrap().split("</JewelryList>").next().unwrap();
    let rows = xml_rows(jewelry);
    assert_eq!(rows.len(), 11);
    for (name, key, factor) in [
        ("DOJI HN lẻ", "sjc-bar.hanoi", 1_000),
        ("DOJI HCM lẻ", "sjc-bar.hcm", 1_000),
        ("DOJI HCM buôn", "sjc-bar-wholesale.hcm", 1_000),
        ("Vàng 24k (nghìn/chỉ)", "jewelry-24k", 10_000),
        ("Giá Nguyên Liệu 18K", "raw-18k", 10_000),
        ("Giá Nguyên Liệu 16K", "raw-16k", 10_000),
        ("Giá Nguyên Liệu 15K", "raw-15k", 10_000),
        ("Giá Nguyên Liệu 14K", "raw-14k", 10_000),
        ("Giá Nguyên Liệu 10K", "raw-10k", 10_000),
        ("Nhẫn Tròn 9999 Hưng Thịnh Vượng", "ring-9999", 10_000),
    ] {
        let row = rows.iter().find(|row| row["Name"] == name).unwrap();
        let wanted =
            ["Buy", "Sell"].map(|side| figure(&row[side]).map(|value| value * Decimal::from(factor)));
        let Quote::Gold(quote) = sheet.quotes.iter().find(|quote| quote.key() == key).unwrap() else {
            panic!()
        };
        let read = [quote.buy, quote.sell]
            .map(|side| side.and_then(|side| convert_weight(side, quote.unit, WeightUnit::Luong, "VND")));
        assert_eq!(read, wanted, "{name}");
    }
    let rows = text("gold/doji/2026-06-17-api-giavang-rows.txt").unwrap();
    let wrapped =
        format!("<?xml version='1.0' encoding='utf-8'?><GoldList><DGPlist>{rows}</DGPlist></GoldList>");
    let sheet = case("doji.gold", "xml").sheet(wrapped.as_bytes());
    assert_eq!(keys(&sheet), ["sjc-bar.hanoi", "sjc-bar.hcm"]);
    assert_eq!(gold(&sheet, "sjc-bar.hanoi"), (figure("148800000"), figure("151300000")));
    assert_eq!(gold(&sheet, "sjc-bar.hcm"), (figure("14880000"), figure("15130000")));
}

#[test]
fn tpbank_and_vangtoday_of_the_captures_are_read_right() {
    let Some(chart) = bytes("gold/tpbank/2024-05-17_2024-05-24-gold-info-chart.json") else { return };
    let sheet = case("tpbank.gold", "chart").sheet(&chart);
    let value: Value = serde_json::from_slice(&chart).unwrap();
    let last = value["item"].as_array().unwrap().last().unwrap();
    let side = |key: &str| Some(Decimal::from(last[key].as_i64().unwrap()));
    assert_eq!(gold(&sheet, "bar"), (side("RATE_BUY"), side("RATE_SELL")));
    assert_eq!(sheet.as_of, AsOf::On("2024-05-24".parse().unwrap()));

    let catalogue = bytes("gold/vangtoday/2026-08-24-catalogue-trimmed.json").unwrap();
    let sheet = case("doji.gold", "vangtoday").sheet(&catalogue);
    assert_eq!(keys(&sheet), ["sjc-bar.hcm"]);
    assert_eq!(gold(&sheet, "sjc-bar.hcm"), (figure("146500000"), figure("149500000")));
    assert_eq!(sheet.as_of, AsOf::At("2026-08-24T11:00:05+07:00".parse().unwrap()));
}

/// Cells of a line with quoted commas.
fn cells(line: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut quoted = false;
    for c in line.trim_end().chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            c => cells.last_mut().unwrap().push(c),
        }
    }
    cells
}

/// Compares a BIDV sheet with the cells that the bank's page drew.
fn compare_bidv(name: &str, sheet: &Sheet, rows: &[Vec<String>]) {
    let mut wanted = BTreeMap::new();
    for row in rows {
        let sides = [figure(&row[2]), figure(&row[3]), figure(&row[4])];
        if row[0] != "XAU" && sides != [None, None, None] {
            wanted.insert(row[0].replace('(', ".").replace(')', ""), sides);
        }
    }
    assert_eq!(sheet.quotes.len(), wanted.len(), "{name}: {:?}", keys(sheet));
    for (key, sides) in wanted {
        assert_eq!(fx(sheet, &key), sides, "{name} {key}");
    }
    assert_eq!(refused(sheet), [""; 0], "{name}");
}

#[test]
fn bidv_boards_of_the_captures_are_read_right() {
    let board = case("bidv.fx", "board");
    for name in named("fx/bidv", "cells.csv") {
        let csv = text(&name).unwrap();
        let rows: Vec<Vec<String>> = csv.lines().skip(1).map(cells).collect();
        let data: Vec<Value> = rows
            .iter()
            .map(|row| {
                serde_json::json!({"currency": row[0], "nameVI": row[1], "muaTm": row[2], "muaCk": row[3], "ban": row[4]})
            })
            .collect();
        let body = serde_json::json!({"status": 1, "hour": "08:30", "day_vi": "10/12/2024", "data": data})
            .to_string();
        if rows.is_empty() {
            assert_eq!(board.error(body.as_bytes()).code(), "no_data", "{name}");
            continue;
        }
        assert!(rows.len() >= 23, "{name}");
        compare_bidv(&name, &board.sheet(body.as_bytes()), &rows);
        let reassembled = name.replace("cells.csv", "reassembled.json");
        if captures().is_some_and(|folder| folder.join(&reassembled).is_file()) {
            compare_bidv(&reassembled, &board.sheet(&bytes(&reassembled).unwrap()), &rows);
        }
    }
    if let Some(shell) = bytes("fx/bidv/2026-05-01-page-shell-fragment.html") {
        assert_eq!(board.error(&shell).code(), "not_expected_content");
    }
}

#[test]
fn vietcombank_xml_of_the_captures_is_read_right() {
    for (name, as_of) in [
        ("2013-05-17.xml", "2013-05-17T10:09:15+07:00"),
        ("2015-10-08.xml", "2015-10-08T07:09:09+07:00"),
        ("2022-12-21.xml", "2022-12-21T14:36:27+07:00"),
        ("2026-05-13-excerpt.xml", "2026-05-13T11:36:00+07:00"),
        ("2026-09-02-trimmed.xml", "2026-09-02T17:38:54+07:00"),
    ] {
        let Some(document) = text(&format!("fx/vietcombank-xml/{name}")) else { return };
        let sheet = case("vietcombank.fx", "xml").sheet(document.as_bytes());
        assert_eq!(sheet.as_of, AsOf::At(as_of.parse().unwrap()), "{name}");
        let rows: Vec<&str> = document.split("<Exrate ").skip(1).collect();
        let value = |row: &str, key: &str| {
            row.split(&format!("{key}=\"")).nth(1).unwrap().split('"').next().unwrap().to_owned()
        };
        for row in &rows {
            let sides = ["Buy", "Transfer", "Sell"].map(|key| figure(&value(row, key)));
            assert_eq!(fx(&sheet, &value(row, "CurrencyCode")), sides, "{name}");
        }
        assert_eq!(sheet.quotes.len(), rows.len(), "{name}");
        assert_eq!(refused(&sheet), [""; 0], "{name}");
    }
}

fn compare_vietcombank(name: &str, body: &str, rows: &[Value]) {
    let sheet = case("vietcombank.fx", "json").sheet(body.as_bytes());
    assert_eq!(sheet.quotes.len(), rows.len(), "{name}");
    for row in rows {
        let sides = ["cash", "transfer", "sell"].map(|key| figure(row[key].as_str().unwrap()));
        assert_eq!(fx(&sheet, row["currencyCode"].as_str().unwrap()), sides, "{name}");
    }
    assert_eq!(refused(&sheet), [""; 0], "{name}");
}

#[test]
fn vietcombank_json_of_the_captures_is_read_right() {
    let Some(whole) = text("fx/vietcombank-json/2025-12-09.json") else { return };
    let value: Value = serde_json::from_str(&whole).unwrap();
    compare_vietcombank("2025-12-09", &whole, value["Data"].as_array().unwrap());
    let wrapped = |day: &str, data: &Value| {
        serde_json::json!({"Count": data.as_array().unwrap().len(), "Date": format!("{day}T00:00:00"),
            "UpdatedDate": format!("{day}T23:00:00+07:00"), "Data": data})
        .to_string()
    };
    let slice: Value =
        serde_json::from_str(&text("fx/vietcombank-json/2023-03-01.data.json").unwrap()).unwrap();
    compare_vietcombank("2023-03-01", &wrapped("2023-03-01", &slice), slice.as_array().unwrap());
    assert_eq!(
        case("vietcombank.fx", "json").error(slice.to_string().as_bytes()).code(),
        "not_expected_content"
    );
    let month: Value =
        serde_json::from_str(&text("fx/vietcombank-json/month-2024-02.json").unwrap()).unwrap();
    let days = month.as_array().unwrap();
    assert_eq!(days.len(), 29);
    for day in days {
        let name = day["day"].as_str().unwrap();
        compare_vietcombank(name, &wrapped(name, &day["data"]), day["data"].as_array().unwrap());
    }
}

#[test]
fn deposits_of_the_captures_are_read_right() {
    let Some(body) = bytes("deposit/bidv/2026-07-18.json") else { return };
    let sheet = case("bidv.deposit", "rates").sheet(&body);
    let value: Value = serde_json::from_slice(&body).unwrap();
    let rows = value["hanoi"]["data"].as_array().unwrap();
    assert_eq!(sheet.quotes.len(), rows.len());
    for (row, quote) in rows.iter().zip(&sheet.quotes) {
        let title = row["title_vi"].as_str().unwrap();
        let term = title.split_once(" Tháng").map_or("demand".to_owned(), |(n, _)| format!("P{n}M"));
        assert_eq!(quote.key(), format!("counter.{term}"));
        assert_eq!(rate(&sheet, &quote.key()), row["VND"].as_str().unwrap().parse().unwrap());
    }
    assert_eq!(sheet.as_of, AsOf::On("2026-04-13".parse().unwrap()));

    let widget = bytes("deposit/ocb/2026-09-12-ca-nhan-widget-trimmed.html").unwrap();
    let widget = case("ocb.deposit", "widget").sheet(&widget);
    let parsed: Value = serde_json::from_str(&text("deposit/ocb/2026-08-11-parsed.json").unwrap()).unwrap();
    // Another project's reading of the same bank: 1, 6 and 12 months had not changed in between.
    let mut compared = 0;
    let mut terms: BTreeMap<u32, BTreeMap<String, String>> = BTreeMap::new();
    for row in parsed["rates"].as_array().unwrap() {
        let months: u32 = row["term"].as_str().unwrap().trim_end_matches('M').parse().unwrap();
        let channel = if row["product"] == "online" { "online" } else { "counter" };
        terms.entry(months).or_default().insert(channel.to_owned(), row["rate"].to_string());
        if [1, 6, 12].contains(&months) {
            let wanted: Decimal = row["rate"].to_string().parse().unwrap();
            assert_eq!(rate(&widget, &format!("{channel}.P{months}M")), wanted);
            compared += 1;
        }
    }
    assert_eq!(compared, 6);
    // The same figures in the documented form of the full table.
    let mut rows = String::new();
    for (months, rates) in &terms {
        let (counter, online) = (&rates["counter"], &rates["online"]);
        write!(rows, "<tr><td>{months} tháng</td><td>9,9</td><td>{counter}</td><td>{online}</td></tr>")
            .unwrap();
    }
    let page = format!(
        "<html><table><tr><th>Kỳ hạn</th><th>Tiền gửi có kỳ hạn</th><th>Tiết kiệm thông thường</th><th>Tiết kiệm Online</th></tr>{rows}</table></html>"
    );
    let table = case("ocb.deposit", "table").sheet(page.as_bytes());
    for (months, rates) in &terms {
        for (channel, wanted) in rates {
            assert_eq!(rate(&table, &format!("{channel}.P{months}M")), wanted.parse().unwrap());
        }
    }
    let banks = bytes("deposit/cafef/reconstructed-2026-07-shape.json").unwrap();
    assert_eq!(case("ocb.deposit", "cafef").error(&banks).code(), "no_data");
}

#[test]
fn failure_pages_of_the_captures_are_named() {
    let Some(bad_gateway) = bytes("gold/btmh/2026-08-16-502-html.html") else { return };
    let loopback = bytes("fx/sbv/2025-09-08-legacy-vi-loopback.html").unwrap();
    for (_, feed) in providers::feeds() {
        for source in feed.sources {
            let case = case(feed.id, source.id);
            assert!(case.error(&bad_gateway).to_string().contains("\"502 Bad Gateway\""), "{}", feed.id);
            assert_eq!(case.error(&loopback).code(), "blocked", "{}", feed.id);
        }
    }
}
