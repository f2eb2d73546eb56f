//! How often the judge would have held what banks and houses really published: the recorded series, each board
//! against the one before it. Read where they are; the project does not depend on them.

use std::{collections::BTreeMap, path::PathBuf};

use banggia::judge::{Before, Case, Verdict, hold::figures, judge};
use jiff::{SignedDuration, Timestamp};
use providers::{AsOf, Fx, Gold, Quote, Sheet, WeightUnit};
use rust_decimal::Decimal;
use serde_json::Value;

use crate::world::{at, sheet};

/// A board and when it was published.
type Board = (Timestamp, Sheet);

fn captures() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/captures");
    folder.is_dir().then_some(folder)
}

fn text(folder: &std::path::Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn decimal(value: &Value) -> Option<Decimal> {
    let text = match value {
        Value::String(text) => text.replace(',', ""),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    text.parse().ok().filter(|figure: &Decimal| !figure.is_zero())
}

fn fx(code: &str, cash: Option<Decimal>, transfer: Option<Decimal>, sell: Option<Decimal>) -> Option<Quote> {
    let currency = providers::CURRENCIES.iter().find(|known| **known == code)?;
    Some(Quote::Fx(Fx {
        currency: (*currency).into(),
        variant: None,
        name: None,
        per: 1,
        buy_cash: cash,
        buy_transfer: transfer,
        sell,
        sell_cash: None,
    }))
}

fn gold(product: &str, buy: Option<Decimal>, sell: Option<Decimal>) -> Quote {
    Quote::Gold(Gold {
        product: product.to_owned().into(),
        place: None,
        code: None,
        name: None,
        unit: WeightUnit::Luong,
        currency: "VND".into(),
        buy,
        sell,
    })
}

fn board(quotes: Vec<Quote>) -> Sheet {
    Sheet { as_of: AsOf::Unstated, quotes, refused: Vec::new() }
}

/// Vietcombank, every day of February 2024, with Tết in it.
fn vietcombank(folder: &std::path::Path) -> Vec<Board> {
    let days: Value = serde_json::from_str(&text(folder, "fx/vietcombank-json/month-2024-02.json")).unwrap();
    days.as_array()
        .unwrap()
        .iter()
        .map(|day| {
            let rows = day["data"].as_array().unwrap().iter().filter_map(|row| {
                let code = row["currencyCode"].as_str()?;
                fx(code, decimal(&row["cash"]), decimal(&row["transfer"]), decimal(&row["sell"]))
            });
            (at(&format!("{}T10:00:00+07:00", day["day"].as_str().unwrap())), board(rows.collect()))
        })
        .collect()
}

/// BIDV, five currencies, once a day, May to August 2026.
fn bidv(folder: &std::path::Path) -> Vec<Board> {
    let reads: Value = serde_json::from_str(&text(folder, "fx/bidv/2026-parsed-series.json")).unwrap();
    reads
        .as_array()
        .unwrap()
        .iter()
        .map(|read| {
            let rows = read["rates"]
                .as_object()
                .unwrap()
                .iter()
                .filter_map(|(code, row)| fx(code, decimal(&row[0]), decimal(&row[1]), decimal(&row[2])));
            (at(read["read_at"].as_str().unwrap()), board(rows.collect()))
        })
        .collect()
}

/// BIDV's cells of 2023 and 2024: whole boards, days or weeks apart.
fn bidv_cells(folder: &std::path::Path) -> Vec<Board> {
    let mut boards = Vec::new();
    for entry in std::fs::read_dir(folder.join("fx/bidv")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(day) = name.get(..10).filter(|_| name.ends_with("cells.csv")) else { continue };
        let cells = text(folder, &format!("fx/bidv/{name}"));
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .from_reader(cells.trim_start_matches('\u{feff}').as_bytes());
        let rows: Vec<Quote> = reader
            .records()
            .filter_map(|row| {
                let row = row.unwrap();
                let cell = |at: usize| decimal(&Value::String(row.get(at).unwrap_or_default().to_owned()));
                fx(row.get(0)?.trim(), cell(2), cell(3), cell(4))
            })
            .collect();
        if !rows.is_empty() {
            boards.push((at(&format!("{day}T10:00:00+07:00")), board(rows)));
        }
    }
    boards.sort_by_key(|(day, _)| *day);
    boards
}

/// DOJI's own boards, as decrypted by their readers.
fn doji(folder: &std::path::Path) -> Vec<Board> {
    let (_, feed) = providers::feed("doji.gold").unwrap();
    let source = feed.sources.iter().find(|source| source.id == "board").unwrap();
    [
        ("2026-07-23T0454Z-envelope-plain.json", "2026-07-23T11:54:00+07:00"),
        ("2026-07-23T0855Z-envelope-plain.json", "2026-07-23T15:55:00+07:00"),
        ("2026-07-24-banggia-plain.json", "2026-07-24T11:40:00+07:00"),
        ("2026-08-13-banggia-plain.json", "2026-08-13T12:00:00+07:00"),
        ("2026-08-22-banggia-plain.json", "2026-08-23T03:54:00+07:00"),
        ("2026-08-31-banggia-plain.json", "2026-09-01T03:56:00+07:00"),
    ]
    .into_iter()
    .map(|(name, when)| {
        let bytes = text(folder, &format!("gold/doji/{name}"));
        (
            at(when),
            sheet(source, bytes.as_bytes(), at(when)).unwrap_or_else(|error| panic!("{name}: {error}")),
        )
    })
    .collect()
}

/// Mi Hồng's boards, in đồng a chỉ.
fn mihong(folder: &std::path::Path) -> Vec<Board> {
    ["2026-07-25", "2026-08-20"]
        .into_iter()
        .map(|day| {
            let rows: Value =
                serde_json::from_str(&text(folder, &format!("gold/mihong/{day}-api-v1.json"))).unwrap();
            let quotes = rows.as_array().unwrap().iter().map(|row| {
                let side = |name: &str| decimal(&row[name]).map(|price| price * Decimal::TEN);
                gold(row["code"].as_str().unwrap(), side("buyingPrice"), side("sellingPrice"))
            });
            (at(&format!("{day}T09:00:00+07:00")), board(quotes.collect()))
        })
        .collect()
}

/// TPBank's chart and SJC's changes within days.
fn series(folder: &std::path::Path) -> [Vec<Board>; 2] {
    let chart: Value =
        serde_json::from_str(&text(folder, "gold/tpbank/2024-05-17_2024-05-24-gold-info-chart.json"))
            .unwrap();
    let tpbank = chart["item"].as_array().unwrap().iter().map(|row| {
        let date = row["DATES"].as_str().unwrap();
        let day = format!("{}-{}-{}T10:00:00+07:00", &date[6..], &date[..2], &date[3..5]);
        (at(&day), board(vec![gold("bar", decimal(&row["RATE_BUY"]), decimal(&row["RATE_SELL"]))]))
    });
    let rows: Value =
        serde_json::from_str(&text(folder, "gold/sjc/2025-03-01_2025-03-10-history-rows.json")).unwrap();
    let sjc = rows.as_array().unwrap().iter().map(|row| {
        let stamp = row["GroupDate"].as_str().unwrap();
        let millis: i64 = stamp.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap();
        let sides =
            [&row["BuyValue"], &row["SellValue"]].map(|side| decimal(side).map(|side| side.normalize()));
        (Timestamp::from_millisecond(millis).unwrap(), board(vec![gold("sjc-bar", sides[0], sides[1])]))
    });
    let mut series = [tpbank.collect::<Vec<_>>(), sjc.collect()];
    for boards in &mut series {
        boards.sort_by_key(|(when, _)| *when);
    }
    series
}

/// A series and what the judge made of it.
#[derive(Default)]
struct Tally {
    boards: usize,
    figures: usize,
    held: usize,
    refused: usize,
    largest: Decimal,
    /// Boards so far apart that the earlier one had expired: their steps are no readings of a running service.
    apart: usize,
}

fn run(feed_id: &str, boards: &[Board]) -> Tally {
    let config = crate::house::config("");
    let (_, feed) = providers::feed(feed_id).unwrap();
    // Judged as figures: which rows a feed cannot do without is not the question here.
    let feed = providers::Feed { required: &[], ..*feed };
    let mut tally = Tally::default();
    // Each by itself, as the first answer ever.
    for (when, board) in boards {
        let judgement =
            judge(&Case::first(&feed, board, &config.judge, config.feeds[feed_id].max_jump.limit, *when));
        if judgement.verdict == Verdict::Reject {
            println!("  refused at {when}: {:?}", judgement.reasons);
            tally.refused += 1;
        }
    }
    for pair in boards.windows(2) {
        let [(then, last), (now, next)] = pair else { unreachable!() };
        if now.duration_since(*then) > SignedDuration::from_hours(72) {
            tally.apart += 1;
            continue;
        }
        let known: BTreeMap<String, Quote> =
            last.quotes.iter().map(|quote| (quote.key(), quote.clone())).collect();
        let before = |quote: &Quote| Before { own: known.get(&quote.key()).cloned(), ..Before::default() };
        let keys: Vec<String> = known.keys().cloned().collect();
        let first = Case::first(&feed, next, &config.judge, config.feeds[feed_id].max_jump.limit, *now);
        let judgement = judge(&Case { last: &keys, before: &before, ..first });
        tally.boards += 1;
        for quote in &next.quotes {
            tally.figures += figures(quote).len();
            for (side, figure) in figures(quote) {
                let was = known.get(&quote.key()).and_then(|known| {
                    figures(known).into_iter().find(|(name, _)| *name == side).map(|(_, figure)| figure)
                });
                if let Some(was) = was {
                    let step = ((figure - was) / was * Decimal::ONE_HUNDRED).abs().round_dp(2);
                    tally.largest = tally.largest.max(step);
                }
            }
        }
        for held in &judgement.held {
            println!("  held at {now}: {:?}", held.reasons);
            tally.held += figures(&held.quote).len();
        }
        if judgement.verdict == Verdict::Reject {
            println!("  refused at {now}: {:?}", judgement.reasons);
            tally.refused += 1;
        }
    }
    tally
}

#[test]
fn f24_recorded_series_are_hardly_ever_held_and_never_refused() {
    let Some(folder) = captures() else {
        println!("the recorded series are not here: the rate of false holds is not printed");
        return;
    };
    let [tpbank, sjc] = series(&folder);
    let series = [
        ("Vietcombank, February 2024, daily", "vietcombank.fx", vietcombank(&folder)),
        ("BIDV, May to August 2026, daily", "bidv.fx", bidv(&folder)),
        ("BIDV, whole boards of 2023 and 2024", "bidv.fx", bidv_cells(&folder)),
        ("DOJI, July and August 2026", "doji.gold", doji(&folder)),
        ("Mi Hồng, July and August 2026", "doji.gold", mihong(&folder)),
        ("TPBank, May 2024, daily", "tpbank.gold", tpbank),
        ("SJC, March 2025, every change", "doji.gold", sjc),
    ];
    println!("series | boards compared (too far apart) | figures | largest step | held | boards refused");
    let (mut figures, mut held) = (0, 0);
    for (name, feed, boards) in &series {
        let tally = run(feed, boards);
        println!(
            "{name} | {} ({}) | {} | {}% | {} | {}",
            tally.boards, tally.apart, tally.figures, tally.largest, tally.held, tally.refused
        );
        assert_eq!(tally.refused, 0, "{name}");
        figures += tally.figures;
        held += tally.held;
    }
    println!("false holds: {held} of {figures} figures");
    assert!(figures > 2_000, "{figures}");
    assert!(held * 1000 < figures * 5, "{held} of {figures} are 0.5 % or more");
}
