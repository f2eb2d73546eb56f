//! Drift: columns and keys that are renamed, removed or moved; days that cannot be; rates and terms of another form.

use jiff::ToSpan as _;
use providers::{AsOf, Kind, Quote, Term};
use serde_json::Value;

use super::content::{Saved, accepted, answers, assert_true, judged, now};

/// Keys without which a row has no price: when one is renamed everywhere, the board has another form and says which.
const COLUMNS: &[(&str, &str, &[&str])] = &[
    ("doji.gold", "board", &["priceDojiBuyIn", "priceDojiSellOut", "materialCode", "type"]),
    ("doji.gold", "xml", &["Buy", "Sell", "Name"]),
    ("doji.gold", "vangtoday", &["buy", "sell", "prices", "success", "currency"]),
    ("tpbank.gold", "chart", &["DATES", "RATE_BUY", "RATE_SELL", "item"]),
    ("bidv.fx", "board", &["currency", "muaTm", "muaCk", "ban", "day_vi"]),
    ("vietcombank.fx", "json", &["cash", "transfer", "sell", "currencyCode", "Data", "Count"]),
    ("vietcombank.fx", "xml", &["Buy", "Transfer", "Sell", "CurrencyCode", "DateTime"]),
    ("bidv.deposit", "rates", &["VND", "hanoi", "hcm", "day_vi", "data"]),
    ("ocb.deposit", "cafef", &["interestRates", "Data", "symbol"]),
];

/// Every name that stands for something: keys of JSON, attributes and elements of XML.
fn names(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    if text.trim_start().starts_with('<') {
        for part in text.split('=') {
            let name: String = part.chars().rev().take_while(|c| word(*c)).collect();
            names.push(name.chars().rev().collect());
        }
        for part in text.split('<').skip(1) {
            names.push(part.chars().take_while(|c| word(*c)).collect());
        }
    } else {
        for part in text.split("\":") {
            if let Some((_, name)) = part.rsplit_once('"') {
                names.push(name.to_owned());
            }
        }
    }
    names.retain(|name: &String| !name.is_empty());
    names.sort_unstable();
    names.dedup();
    names
}

fn renamed(text: &str, from: &str, to: &str) -> String {
    if text.trim_start().starts_with('<') {
        text.replace(&format!(" {from}="), &format!(" {to}="))
            .replace(&format!("<{from}>"), &format!("<{to}>"))
            .replace(&format!("</{from}>"), &format!("</{to}>"))
            .replace(&format!("<{from} "), &format!("<{to} "))
    } else {
        text.replace(&format!("\"{from}\":"), &format!("\"{to}\":"))
    }
}

#[test]
fn f27_a_key_that_is_renamed_or_missing_never_gives_another_figure() {
    let mut tried = 0;
    for saved in answers() {
        let truth = accepted(&saved, &saved.bytes, None);
        let text = String::from_utf8(saved.bytes.clone()).unwrap();
        for name in names(&text) {
            for to in [format!("{name}_new"), format!("x{name}"), name.to_uppercase(), String::new()] {
                if to == name || (to.is_empty() && text.starts_with('<')) {
                    continue;
                }
                tried += 1;
                let drifted = if to.is_empty() { removed(&text, &name) } else { renamed(&text, &name, &to) };
                let how = format!("{}: {name} -> {to:?}", saved.name);
                assert_true(&truth, &accepted(&saved, drifted.as_bytes(), None), &how);
            }
        }
        for (feed, source, columns) in COLUMNS {
            if saved.feed.id != *feed || saved.source.id != *source {
                continue;
            }
            for column in *columns {
                let drifted = renamed(&text, column, "renamed");
                if drifted == text {
                    continue;
                }
                let Err(reasons) = judged(&saved, drifted.as_bytes(), None, &[]) else {
                    panic!("{}: read without {column}", saved.name)
                };
                let loud = ["schema_drift", "not_expected_content", "no_data"];
                assert!(loud.contains(&reasons[0].code.as_ref()), "{}: {column}: {reasons:?}", saved.name);
                assert!(
                    reasons[0].code != "schema_drift" || reasons[0].message.len() > 40,
                    "{}: {column}: {reasons:?}",
                    saved.name
                );
            }
        }
    }
    println!("{tried} answers with another name, 0 wrong figures");
}

/// JSON without a key, wherever it stands.
fn removed(text: &str, name: &str) -> String {
    fn walk(value: &mut Value, name: &str) {
        match value {
            Value::Object(object) => {
                object.remove(name);
                object.values_mut().for_each(|value| walk(value, name));
            }
            Value::Array(list) => list.iter_mut().for_each(|value| walk(value, name)),
            _ => {}
        }
    }
    let Ok(mut value) = serde_json::from_str::<Value>(text) else { return text.to_owned() };
    walk(&mut value, name);
    value.to_string()
}

/// Names of prices that change places: who buys cheaper than they sell cannot be turned round.
const PAIRS: &[(&str, &str)] = &[
    ("priceDojiBuyIn", "priceDojiSellOut"),
    ("Buy", "Sell"),
    ("buy", "sell"),
    ("RATE_BUY", "RATE_SELL"),
    ("muaTm", "ban"),
    ("muaCk", "ban"),
    ("cash", "sell"),
    ("transfer", "sell"),
    ("Transfer", "Sell"),
    ("muaTm", "muaCk"),
    ("cash", "transfer"),
    ("Buy", "Transfer"),
];

#[test]
fn f27_names_that_change_places_are_never_taken_for_the_others_figures() {
    let mut tried = 0;
    for saved in answers() {
        let truth = accepted(&saved, &saved.bytes, None);
        let text = String::from_utf8(saved.bytes.clone()).unwrap();
        for (one, other) in PAIRS {
            let half = renamed(&text, one, "between");
            let swapped = renamed(&renamed(&half, other, one), "between", other);
            if swapped == text || half == text {
                continue;
            }
            tried += 1;
            let found = accepted(&saved, swapped.as_bytes(), None);
            assert_true(&truth, &found, &format!("{}: {one} <-> {other}", saved.name));
        }
    }
    println!("{tried} answers with names that changed places");
    assert!(tried >= 20, "{tried}");
}

#[test]
fn f27_columns_that_move_with_their_heading_say_the_same() {
    let mut moved = 0;
    for saved in answers().iter().filter(|saved| matches!(saved.source.id, "widget" | "table")) {
        let truth = accepted(saved, &saved.bytes, None);
        let text = String::from_utf8(saved.bytes.clone()).unwrap();
        // Tables whose cells span are for the other tests.
        if text.contains("span=") {
            continue;
        }
        let columns = text
            .split("</tr>")
            .next()
            .map_or(0, |row| row.matches("</td>").count() + row.matches("</th>").count());
        for from in 0..columns {
            for to in 0..columns {
                let turned = turn(&text, from, to);
                moved += 1;
                let mut found = accepted(saved, turned.as_bytes(), None);
                let mut truth = truth.clone();
                found.sort_by_key(Quote::key);
                truth.sort_by_key(Quote::key);
                assert_eq!(found, truth, "{}: column {from} to {to}", saved.name);
            }
        }
        // A heading that nobody knows.
        for heading in ["SAVING_TYPE", "SHORT_6_MONTH", "NORMALLY", "Online", "Kỳ hạn", "6 tháng"] {
            let drifted = text.replace(heading, "Xyz");
            assert_true(
                &truth,
                &accepted(saved, drifted.as_bytes(), None),
                &format!("{} without {heading}", saved.name),
            );
        }
    }
    assert!(moved > 10, "{moved}");
    println!("{moved} tables with columns elsewhere");
}

/// A page in which two columns of every row have changed places.
fn turn(text: &str, one: usize, other: usize) -> String {
    text.split_inclusive("</tr>")
        .map(|row| {
            let cells = ["<td>", "<td ", "<th>", "<th "];
            let Some(start) = cells.iter().filter_map(|cell| row.find(cell)).min() else {
                return row.to_owned();
            };
            let (head, cells) = row.split_at(start);
            let mut parts: Vec<String> = Vec::new();
            let mut rest = cells;
            while let Some(end) = rest.find("</td>").into_iter().chain(rest.find("</th>")).min() {
                parts.push(rest[..end + 5].to_owned());
                rest = &rest[end + 5..];
            }
            if one < parts.len() && other < parts.len() {
                parts.swap(one, other);
            }
            [head, &parts.concat(), rest].concat()
        })
        .collect()
}

type Writing = fn(jiff::civil::Date) -> String;

/// Where each source says its day, and how it writes one.
const DAYS: &[(&str, &str, Writing)] = &[
    ("tpbank.gold", "chart", |day| day.strftime("%m/%d/%Y").to_string()),
    ("bidv.fx", "board", |day| day.strftime("%d/%m/%Y").to_string()),
    ("bidv.deposit", "rates", |day| day.strftime("%d/%m/%Y").to_string()),
    ("vietcombank.fx", "json", |day| day.to_string()),
    ("vietcombank.fx", "xml", |day| day.strftime("%-m/%-d/%Y").to_string()),
];

/// The days that an answer writes, in the source's own way.
fn days_in(text: &str, write: Writing) -> Vec<String> {
    let mut day: jiff::civil::Date = "2010-01-01".parse().unwrap();
    let mut found = Vec::new();
    while day.year() < 2027 {
        let written = write(day);
        if text.contains(&format!("\"{written}")) || text.contains(&format!(">{written}")) {
            found.push(written);
        }
        day = day.saturating_add(1.day());
    }
    found
}

#[test]
fn f33_days_that_cannot_be_or_are_to_come_are_refused() {
    let today = providers::VIETNAM.to_datetime(now()).date();
    let mut tried = 0;
    for (feed, source, write) in DAYS {
        for saved in answers().iter().filter(|saved| saved.feed.id == *feed && saved.source.id == *source) {
            let text = String::from_utf8(saved.bytes.clone()).unwrap();
            let truth = accepted(saved, &saved.bytes, None);
            let days = days_in(&text, *write);
            if days.is_empty() {
                continue;
            }
            let put = |day: &str| days.iter().fold(text.clone(), |text, old| text.replace(old, day));
            let impossible = |form: &str| {
                let form = form.to_owned();
                // 30 February, a thirteenth month, day nought, a year of two digits, words.
                [
                    ("2026", "02", "30"),
                    ("2026", "13", "13"),
                    ("2026", "00", "10"),
                    ("26", "09", "29"),
                    ("2026", "09", "00"),
                ]
                .map(|(year, month, day)| form.replace('Y', year).replace('M', month).replace('D', day))
            };
            let form = match *feed {
                "bidv.fx" | "bidv.deposit" => "D/M/Y",
                "vietcombank.fx" if *source == "json" => "Y-M-D",
                _ => "M/D/Y",
            };
            for day in impossible(form).into_iter().chain(["hôm nay".to_owned(), "29-09-2026x".to_owned()]) {
                tried += 1;
                let result = judged(saved, put(&day).as_bytes(), None, &[]);
                assert!(result.is_err(), "{}: the day {day}: {:?}", saved.name, result.unwrap().0);
            }
            for ahead in [2, 3, 30, 366, 3650] {
                tried += 1;
                let day = write(today.saturating_add(ahead.days()));
                match judged(saved, put(&day).as_bytes(), None, &[]) {
                    Err(reasons) => {
                        assert!(
                            matches!(reasons[0].code.as_ref(), "future_date" | "schema_drift" | "conflict"),
                            "{reasons:?}"
                        );
                    }
                    // Vietcombank's own times to come are known to be made up, and not taken for its word.
                    Ok((as_of, found)) => {
                        assert_eq!(
                            (*feed, as_of),
                            ("vietcombank.fx", AsOf::Unstated),
                            "{}: {day}",
                            saved.name
                        );
                        assert_true(&truth, &found, &saved.name);
                    }
                }
            }
            // Day and month the other way round: no such month, or a day to come. 9 October read as 10 September is
            // in the past, which is for the rule `older`.
            for day in ["2026-09-13", "2026-09-30", "2026-01-31"] {
                let day: jiff::civil::Date = day.parse().unwrap();
                let wrong = match form {
                    "D/M/Y" => day.strftime("%m/%d/%Y").to_string(),
                    "M/D/Y" => day.strftime("%d/%m/%Y").to_string(),
                    _ => day.strftime("%Y-%d-%m").to_string(),
                };
                tried += 1;
                assert!(judged(saved, put(&wrong).as_bytes(), None, &[]).is_err(), "{}: {wrong}", saved.name);
            }
        }
    }
    assert!(tried > 100, "{tried}");
    println!("{tried} days");
}

#[test]
fn f33_a_catalogue_whose_time_is_to_come_or_none_is_refused() {
    for saved in answers().iter().filter(|saved| saved.source.id == "vangtoday") {
        let text = String::from_utf8(saved.bytes.clone()).unwrap();
        let mut body: Value = serde_json::from_str(&text).unwrap();
        for stamp in [now().as_second() + 3 * 86400, -1, i64::MAX, 0] {
            body["timestamp"] = stamp.into();
            for bare in [false, true] {
                let mut body = body.clone();
                if bare {
                    body.as_object_mut().unwrap().retain(|key, _| key != "date" && key != "time");
                }
                match judged(saved, body.to_string().as_bytes(), None, &[]) {
                    Err(_) => {}
                    Ok((as_of, _)) => assert!(stamp <= 0 && bare, "{}: {stamp}: {as_of:?}", saved.name),
                }
            }
        }
    }
}

/// Rates that no bank pays and spellings that are no rate.
const NO_RATES: &[&str] =
    &["55", "0.055", "550", "5500", "-5", "16", "15.01", "5.9.1", "1e3", "NaN", "năm phần trăm"];

#[test]
fn f35_rates_out_of_range_terms_and_footnotes() {
    let mut tried = 0;
    for saved in answers().iter().filter(|saved| saved.feed.kind == Kind::Deposit) {
        let truth = accepted(saved, &saved.bytes, None);
        let text = String::from_utf8(saved.bytes.clone()).unwrap();
        for range in super::content::numbers(&saved.bytes) {
            let old = &text[range.clone()];
            // Only rates, not days, ids or terms: those that the answer publishes.
            let is_rate = old.replace(',', ".").parse::<rust_decimal::Decimal>().is_ok_and(|value| {
                truth.iter().any(|quote| {
                    // A demand deposit may well bear 0.055 %.
                    matches!(quote, Quote::Deposit(deposit) if deposit.rate_percent == value && deposit.term != Term::Demand)
                })
            });
            if !is_rate {
                continue;
            }
            for value in NO_RATES {
                tried += 1;
                let bytes = super::content::with(&saved.bytes, &range, value.as_bytes());
                for quote in accepted(saved, &bytes, None) {
                    let Quote::Deposit(deposit) = quote else { unreachable!() };
                    assert_ne!(deposit.rate_percent.to_string(), *value, "{}", saved.name);
                }
                assert_true(&truth, &accepted(saved, &bytes, None), &format!("{}: {value}", saved.name));
            }
            for note in ["*", " (*)", " [1]", " (khuyến mãi)", "¹", " + quà"] {
                let bytes = super::content::with(&saved.bytes, &range, format!("{old}{note}").as_bytes());
                assert_true(&truth, &accepted(saved, &bytes, None), &format!("{}: {old}{note}", saved.name));
            }
        }
    }
    assert!(tried > 200, "{tried}");
    println!("{tried} rates");

    // One term in all its spellings, and what is none.
    let spelt = |saved: &Saved, from: &str, to: &str| {
        let text = String::from_utf8(saved.bytes.clone()).unwrap();
        assert!(text.contains(from), "{}: {from}", saved.name);
        accepted(saved, text.replace(from, to).as_bytes(), None)
    };
    for saved in answers() {
        let (from, made): (&str, fn(&str) -> String) = match (saved.source.id, saved.name.contains(" of ")) {
            ("widget", true) => ("SHORT_12_MONTH", str::to_owned),
            ("cafef", true) => ("\"time\":\"12T\"", |term| format!("\"time\":\"{term}\"")),
            _ => continue,
        };
        let truth = accepted(&saved, &saved.bytes, None);
        for term in ["12T", "12 tháng", "1 năm", "12 Tháng", "12M", "SHORT_12_MONTH", "12 tháng"] {
            assert_eq!(spelt(&saved, from, &made(term)), truth, "{}: {term}", saved.name);
        }
        for none in ["", "12 tuần", "12+ tháng", "từ 12 tháng", "12 tháng plus", "mười hai tháng", "999T"]
        {
            // Twelve months are required of this feed.
            let found = spelt(&saved, from, &made(none));
            assert_true(&truth, &found, &format!("{}: {none}", saved.name));
            assert!(
                !super::content::by_key(&found)
                    .keys()
                    .any(|key| key.contains("P12M") && key.contains("counter")),
                "{none}"
            );
        }
    }
}
