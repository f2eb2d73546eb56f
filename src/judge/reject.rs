//! Rules that refuse: what they find is never served, whoever confirms it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use providers::{AsOf, Fx, Gold, Kind, Quote, Reason, Term, VIETNAM, WeightUnit, convert_weight};
use rust_decimal::{Decimal, dec};

use super::{Case, Finding, hold::figures};
use crate::clock;

/// A page out of an old cache looks as new as any other, but for its date.
pub(super) fn older(case: &Case<'_>, _: &[Quote]) -> Vec<Finding> {
    match (case.sheet.as_of.day(), case.last_day) {
        (Some(day), Some(last)) if day < last => {
            let message = format!("the source's day {day} is before {last}, the day of its last board");
            vec![Finding::Answer(Reason::new("older", message))]
        }
        _ => Vec::new(),
    }
}

pub(super) fn future_date(case: &Case<'_>, _: &[Quote]) -> Vec<Finding> {
    let limit = clock::later(case.now, std::time::Duration::from_hours(24));
    let (stated, instant) = match case.sheet.as_of {
        AsOf::Unstated => return Vec::new(),
        AsOf::At(at) => (clock::rfc3339(at), at),
        AsOf::On(day) => {
            (day.to_string(), VIETNAM.to_timestamp(day.at(0, 0, 0, 0)).unwrap_or(Timestamp::MAX))
        }
    };
    if instant <= limit {
        return Vec::new();
    }
    let message =
        format!("the source's date {stated} is more than a day ahead of now, {}", clock::rfc3339(case.now));
    vec![Finding::Answer(Reason::new("future_date", message))]
}

/// The board of an earlier day once more, after days on which a new one was due: the feed is frozen, however well
/// it answers. Figures that moved under an old date are a slip of the date, and are served with it.
pub(super) fn frozen(case: &Case<'_>, _: &[Quote]) -> Vec<Finding> {
    if case.frozen_for == 0 {
        return Vec::new();
    }
    let day =
        case.sheet.as_of.day().map_or_else(|| "of an earlier day".to_owned(), |day| format!("of {day}"));
    let message = format!("still the board {day}: {} new ones were due since", case.frozen_for);
    vec![Finding::Answer(Reason::new("frozen", message))]
}

/// Gold: 30 to 300 million đồng a lượng. US dollar: 15,000 to 40,000 đồng. Other currencies: within a factor 3 of
/// the reference bank, or of the figure built in below. Deposits: at most 15 % a year, and at least what no
/// Vietnamese bank has gone under for a term (see [`floor`]).
pub(super) fn out_of_band(case: &Case<'_>, quotes: &[Quote]) -> Vec<Finding> {
    let outside = |row: &str, value: Decimal, low: Decimal, high: Decimal, unit: &str| {
        (value < low || value > high).then(|| {
            let message = format!("{row}: {value} {unit} is outside the band of {low} to {high}");
            Finding::Answer(Reason::new("out_of_band", message))
        })
    };
    quotes
        .iter()
        .flat_map(|quote| {
            let row = quote.key();
            match quote {
                Quote::Gold(gold) => [gold.buy, gold.sell]
                    .into_iter()
                    .flatten()
                    .filter_map(|value| {
                        let per_luong = convert_weight(value, gold.unit, WeightUnit::Luong, &gold.currency)
                            .unwrap_or(Decimal::MAX);
                        let band = &case.limits.gold_band;
                        outside(&row, per_luong, band.low, band.high, "đồng a lượng")
                    })
                    .collect::<Vec<_>>(),
                Quote::Fx(fx) => {
                    let Some((low, high)) = fx_band(fx, case) else {
                        let message = format!("{row}: no reference rate is known for {}", fx.currency);
                        return vec![Finding::Row(row, Reason::new("out_of_band", message))];
                    };
                    rates(fx)
                        .into_iter()
                        .filter_map(|value| outside(&row, value, low, high, "đồng"))
                        .collect()
                }
                Quote::Deposit(deposit) => outside(
                    &row,
                    deposit.rate_percent,
                    floor(deposit).max(case.limits.deposit_band.low),
                    case.limits.deposit_band.high,
                    "% a year",
                )
                .into_iter()
                .collect(),
            }
        })
        .collect()
}

fn rates(fx: &Fx) -> Vec<Decimal> {
    [fx.buy_cash, fx.buy_transfer, fx.sell, fx.sell_cash].into_iter().flatten().collect()
}

fn fx_band(fx: &Fx, case: &Case<'_>) -> Option<(Decimal, Decimal)> {
    let per = Decimal::from(fx.per);
    if fx.currency == "USD" {
        let band = &case.limits.usd_band;
        return Some((band.low.checked_mul(per)?, band.high.checked_mul(per)?));
    }
    let built_in = TYPICAL.iter().find(|(code, _)| *code == fx.currency).map(|(_, rate)| *rate);
    let middle = (case.reference)(&fx.currency).or(built_in)?.checked_mul(per)?;
    Some((middle.checked_div(dec!(3))?.round_dp(2), middle.checked_mul(dec!(3))?.round_dp(2)))
}

/// Đồng for one unit, of the size seen at Vietcombank and BIDV in 2024–2026: the yardstick where the reference
/// bank has no fresh figure or does not quote the currency. A factor 3 either way holds since 2013.
const TYPICAL: &[(&str, Decimal)] = &[
    ("AUD", dec!(17500)),
    ("CAD", dec!(18800)),
    ("CHF", dec!(31000)),
    ("CNY", dec!(3650)),
    ("DKK", dec!(4000)),
    ("EUR", dec!(29500)),
    ("GBP", dec!(34500)),
    ("HKD", dec!(3350)),
    ("IDR", dec!(1.6)),
    ("INR", dec!(305)),
    ("JPY", dec!(168)),
    ("KHR", dec!(6.4)),
    ("KRW", dec!(18)),
    ("KWD", dec!(85000)),
    ("LAK", dec!(1.15)),
    ("MYR", dec!(6200)),
    ("NOK", dec!(2600)),
    ("NZD", dec!(15200)),
    ("PHP", dec!(450)),
    ("RUB", dec!(320)),
    ("SAR", dec!(7000)),
    ("SEK", dec!(2650)),
    ("SGD", dec!(20200)),
    ("THB", dec!(780)),
    ("TWD", dec!(830)),
];

/// The lowest rate that is taken for a percentage and not for a fraction (0.059) or a slipped digit (0.59). The
/// lowest board seen, the state banks' of 2024, had 1.6 % for a month and 4.6 % for a year.
fn floor(deposit: &providers::Deposit) -> Decimal {
    match deposit.term {
        Term::Months(6..) if deposit.currency == "VND" => dec!(1),
        Term::Months(1..) if deposit.currency == "VND" => dec!(0.5),
        _ => Decimal::ZERO,
    }
}

/// Cash ≤ transfer ≤ sell: the other way round, columns have changed places.
pub(super) fn order(_: &Case<'_>, quotes: &[Quote]) -> Vec<Finding> {
    quotes
        .iter()
        .filter_map(|quote| {
            let pairs: Vec<(&str, Option<Decimal>, &str, Option<Decimal>)> = match quote {
                Quote::Gold(gold) => {
                    let per_luong = |side: Option<Decimal>| {
                        convert_weight(side?, gold.unit, WeightUnit::Luong, &gold.currency)
                    };
                    vec![("buying", per_luong(gold.buy), "selling", per_luong(gold.sell))]
                }
                Quote::Fx(fx) => vec![
                    ("buying (cash)", fx.buy_cash, "selling", fx.sell),
                    ("buying (transfer)", fx.buy_transfer, "selling", fx.sell),
                    ("buying (cash)", fx.buy_cash, "buying (transfer)", fx.buy_transfer),
                    ("buying (cash)", fx.buy_cash, "selling (cash)", fx.sell_cash),
                ],
                Quote::Deposit(_) => Vec::new(),
            };
            pairs.into_iter().find_map(|(low_name, low, high_name, high)| {
                let (low, high) = (low?, high?);
                (low > high).then(|| {
                    let message = format!("{}: {low_name} {low} is above {high_name} {high}", quote.key());
                    Finding::Answer(Reason::new("order", message))
                })
            })
        })
        .collect()
}

/// Raw gold and jewellery of one house go by their purity: the other way round, rows have changed places. Whether
/// the purer costs more is a fact of physics, whether it costs as much is the house's choice.
pub(super) fn purity(_: &Case<'_>, quotes: &[Quote]) -> Vec<Finding> {
    let row = |product: &str| {
        quotes.iter().find(
            |quote| matches!(quote, Quote::Gold(gold) if gold.product == product && gold.place.is_none()),
        )
    };
    LADDERS
        .iter()
        .flat_map(|ladder| ladder.iter().zip(ladder.iter().skip(1)))
        .filter_map(|(purer, other)| {
            let (purer, other) = (row(purer)?, row(other)?);
            let less = figures(other);
            // Side by side: what a house pays for one does not compare with what it asks for another.
            let (side, price, less) = figures(purer).into_iter().find_map(|(side, price)| {
                let (_, less) = less.iter().find(|(name, less)| *name == side && price < *less)?;
                Some((side, price, *less))
            })?;
            let (purer, other) = (purer.key(), other.key());
            let message = format!("{purer}: {side} {price} is under {less} of {other}, which is less pure");
            Some(Finding::Answer(Reason::new("purity", message)))
        })
        .collect()
}

/// From the purest on.
const LADDERS: &[&[&str]] = &[
    &["raw-9999", "raw-999", "raw-18k", "raw-16k", "raw-15k", "raw-14k", "raw-10k"],
    &["jewelry-9999", "jewelry-999", "jewelry-99"],
];

/// Currencies with a narrow market in Vietnam; the others are quoted with up to 60 % between the sides.
const MAJOR: &[&str] =
    &["USD", "EUR", "GBP", "JPY", "AUD", "CAD", "CHF", "CNY", "HKD", "SGD", "THB", "KRW", "NZD"];

pub(super) fn spread(_: &Case<'_>, quotes: &[Quote]) -> Vec<Finding> {
    let wide = |row: String, low: Option<Decimal>, high: Option<Decimal>, limit: Decimal| {
        let (low, high) = (low?, high?);
        let percent = high.checked_sub(low)?.checked_mul(dec!(100))?.checked_div(low)?;
        (percent > limit).then(|| {
            let message = format!(
                "{row}: selling {high} is {}% over buying {low}; the limit is {limit}%",
                percent.round_dp(1)
            );
            Finding::Row(row, Reason::new("spread", message))
        })
    };
    quotes
        .iter()
        .filter_map(|quote| match quote {
            Quote::Gold(Gold { buy, sell, .. }) => wide(quote.key(), *buy, *sell, dec!(10)),
            Quote::Fx(fx) => {
                let (transfer, cash) = if MAJOR.contains(&fx.currency.as_ref()) {
                    (dec!(15), dec!(30))
                } else {
                    (dec!(60), dec!(60))
                };
                wide(quote.key(), fx.buy_transfer, fx.sell, transfer)
                    .or_else(|| wide(quote.key(), fx.buy_cash, fx.sell, cash))
                    .or_else(|| wide(quote.key(), fx.buy_cash, fx.sell_cash, cash))
            }
            Quote::Deposit(_) => None,
        })
        .collect()
}

pub(super) fn incomplete(case: &Case<'_>, quotes: &[Quote]) -> Vec<Finding> {
    let reason = |message: String| vec![Finding::Answer(Reason::new("incomplete", message))];
    if quotes.is_empty() {
        return reason("the answer holds no usable figure".to_owned());
    }
    let has = |required: &str| {
        quotes.iter().any(|quote| match quote {
            Quote::Gold(gold) => gold.product == required,
            Quote::Fx(fx) => fx.currency == required && fx.variant.is_none(),
            // The counter's rate, or that of a source which states no channel.
            Quote::Deposit(deposit) => {
                deposit.term.to_string() == required && deposit.channel != Some(providers::Channel::Online)
            }
        })
    };
    if let Some(missing) = case.feed.required.iter().find(|required| !has(required)) {
        let what = match case.feed.kind {
            Kind::Gold => "product",
            Kind::Fx => "currency",
            Kind::Deposit => "term",
        };
        return reason(format!(
            "the {what} {missing} is missing or was refused, and without it this is no board"
        ));
    }
    let (read, rows) = (case.sheet.quotes.len(), case.sheet.quotes.len() + case.sheet.refused.len());
    if read * 100 < rows * 70 {
        return reason(format!("only {read} of the {rows} rows of the answer can be read"));
    }
    let keys: BTreeSet<String> = quotes.iter().map(Quote::key_without_place).collect();
    let kept = case.last.iter().filter(|key| keys.contains(*key)).count();
    if kept * 100 < case.last.len() * 70 {
        return reason(format!("only {kept} of the {} figures of the last board are there", case.last.len()));
    }
    Vec::new()
}
