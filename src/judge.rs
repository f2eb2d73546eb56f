//! Whether an answer may be served. A list of named rules, each asking one question; what they refuse never
//! replaces what is served. Pure: the last accepted board, the reference bank and the time are handed in.

use std::collections::BTreeSet;

use jiff::{Timestamp, civil::Date};
use providers::{
    AsOf, Feed, Fx, Gold, Kind, Quote, Reason, Sheet, Term, VIETNAM, WeightUnit, convert_weight,
};
use rust_decimal::{Decimal, dec};
use serde::Serialize;

use crate::clock;

/// What becomes of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Served.
    Accept,
    /// Kept beside what is served until it is confirmed.
    Hold,
    /// Dropped; what is served stays.
    Reject,
}

/// The answer's fate and the reasons for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// Of the answer as a whole.
    pub verdict: Verdict,
    /// Rows that may be served, when accepted.
    pub accepted: Vec<Quote>,
    /// Why rows or the whole were refused.
    pub reasons: Vec<Reason>,
    /// For `probe --explain`: every rule and what it found.
    pub trail: Vec<Trail>,
}

/// One rule's finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trail {
    /// The rule's name.
    pub rule: &'static str,
    /// The question it asks.
    pub question: &'static str,
    /// `passed`, or what it found.
    pub found: Vec<String>,
}

/// What the rules look at.
pub struct Case<'a> {
    /// The feed's required keys and kind.
    pub feed: &'a Feed,
    /// The answer.
    pub sheet: &'a Sheet,
    /// What the last accepted answer of the same source had, places left out; empty for a first one, and when that
    /// board has expired.
    pub last: &'a [String],
    /// The newest day of that answer, where it stated one.
    pub last_day: Option<Date>,
    /// The reference bank's middle rate of a currency, where it is fresh enough.
    pub reference: &'a dyn Fn(&str) -> Option<Decimal>,
    /// Now.
    pub now: Timestamp,
}

/// What a rule found.
enum Finding {
    /// The row of this key cannot be served; the others can.
    Row(String, Reason),
    /// The answer cannot be served.
    Answer(Reason),
}

struct Rule {
    name: &'static str,
    question: &'static str,
    find: fn(&Case<'_>, &[Quote]) -> Vec<Finding>,
}

/// In this order; a refused row is out of the later rules' sight.
const RULES: &[Rule] = &[
    Rule {
        name: "older",
        question: "Is the source's day no earlier than that of its last board?",
        find: older,
    },
    Rule { name: "future_date", question: "Is the source's date at most a day ahead?", find: future_date },
    Rule {
        name: "out_of_band",
        question: "Is every figure of a size that this market has seen?",
        find: out_of_band,
    },
    Rule {
        name: "order",
        question: "Does the house buy at or under the price at which it sells?",
        find: order,
    },
    Rule { name: "spread", question: "Are buying and selling price of a row near enough?", find: spread },
    Rule {
        name: "incomplete",
        question: "Are the required rows there, and 70 % of the last board?",
        find: incomplete,
    },
];

/// Applies all rules.
#[must_use]
pub fn judge(case: &Case<'_>) -> Judgement {
    let mut quotes = case.sheet.quotes.clone();
    let mut reasons = case.sheet.refused.clone();
    let mut verdict = Verdict::Accept;
    let mut trail = Vec::new();
    for rule in RULES {
        let mut found = Vec::new();
        for finding in (rule.find)(case, &quotes) {
            match finding {
                Finding::Row(key, reason) => {
                    quotes.retain(|quote| quote.key() != key);
                    found.push(reason.message.clone());
                    reasons.push(reason);
                }
                Finding::Answer(reason) => {
                    verdict = Verdict::Reject;
                    found.push(reason.message.clone());
                    reasons.push(reason);
                }
            }
        }
        trail.push(Trail { rule: rule.name, question: rule.question, found });
    }
    if verdict == Verdict::Reject {
        quotes.clear();
    }
    Judgement { verdict, accepted: quotes, reasons, trail }
}

/// A page out of an old cache looks as new as any other, but for its date.
fn older(case: &Case<'_>, _: &[Quote]) -> Vec<Finding> {
    match (case.sheet.as_of.day(), case.last_day) {
        (Some(day), Some(last)) if day < last => {
            let message = format!("the source's day {day} is before {last}, the day of its last board");
            vec![Finding::Answer(Reason::new("older", message))]
        }
        _ => Vec::new(),
    }
}

fn future_date(case: &Case<'_>, _: &[Quote]) -> Vec<Finding> {
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

/// Gold: 30 to 300 million đồng a lượng. US dollar: 15,000 to 40,000 đồng. Other currencies: within a factor 3 of
/// the reference bank, or of the figure built in below. Deposits: at most 15 % a year, and at least what no
/// Vietnamese bank has gone under for a term (see [`floor`]).
fn out_of_band(case: &Case<'_>, quotes: &[Quote]) -> Vec<Finding> {
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
                        outside(&row, per_luong, dec!(30_000_000), dec!(300_000_000), "đồng a lượng")
                    })
                    .collect::<Vec<_>>(),
                Quote::Fx(fx) => {
                    let Some((low, high)) = fx_band(fx, case.reference) else {
                        let message = format!("{row}: no reference rate is known for {}", fx.currency);
                        return vec![Finding::Row(row, Reason::new("out_of_band", message))];
                    };
                    rates(fx)
                        .into_iter()
                        .filter_map(|value| outside(&row, value, low, high, "đồng"))
                        .collect()
                }
                Quote::Deposit(deposit) => {
                    outside(&row, deposit.rate_percent, floor(deposit), dec!(15), "% a year")
                        .into_iter()
                        .collect()
                }
            }
        })
        .collect()
}

fn rates(fx: &Fx) -> Vec<Decimal> {
    [fx.buy_cash, fx.buy_transfer, fx.sell, fx.sell_cash].into_iter().flatten().collect()
}

fn fx_band(fx: &Fx, reference: &dyn Fn(&str) -> Option<Decimal>) -> Option<(Decimal, Decimal)> {
    let per = Decimal::from(fx.per);
    if fx.currency == "USD" {
        return Some((dec!(15000).checked_mul(per)?, dec!(40000).checked_mul(per)?));
    }
    let built_in = TYPICAL.iter().find(|(code, _)| *code == fx.currency).map(|(_, rate)| *rate);
    let middle = reference(&fx.currency).or(built_in)?.checked_mul(per)?;
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
fn order(_: &Case<'_>, quotes: &[Quote]) -> Vec<Finding> {
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

/// Currencies with a narrow market in Vietnam; the others are quoted with up to 60 % between the sides.
const MAJOR: &[&str] =
    &["USD", "EUR", "GBP", "JPY", "AUD", "CAD", "CHF", "CNY", "HKD", "SGD", "THB", "KRW", "NZD"];

fn spread(_: &Case<'_>, quotes: &[Quote]) -> Vec<Finding> {
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

fn incomplete(case: &Case<'_>, quotes: &[Quote]) -> Vec<Finding> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn gold(product: &'static str, buy: Option<Decimal>, sell: Option<Decimal>) -> Quote {
        Quote::Gold(Gold {
            product: product.into(),
            place: None,
            code: None,
            name: None,
            unit: WeightUnit::Chi,
            currency: "VND".into(),
            buy,
            sell,
        })
    }

    fn fx(
        code: &'static str,
        cash: Option<Decimal>,
        transfer: Option<Decimal>,
        sell: Option<Decimal>,
    ) -> Quote {
        Quote::Fx(Fx {
            currency: code.into(),
            variant: None,
            name: None,
            per: 1,
            buy_cash: cash,
            buy_transfer: transfer,
            sell,
            sell_cash: None,
        })
    }

    fn deposit(months: u16, rate: Decimal) -> Quote {
        Quote::Deposit(providers::Deposit {
            term: Term::Months(months),
            channel: None,
            customer: providers::Customer::Personal,
            payout: None,
            place: None,
            currency: "VND".into(),
            min_amount: None,
            rate_percent: rate,
            effective_from: None,
        })
    }

    fn run(
        feed: &str,
        quotes: Vec<Quote>,
        as_of: AsOf,
        last_keys: &[&str],
    ) -> (Verdict, Vec<String>, Vec<String>) {
        let sheet = Sheet { as_of, quotes, refused: Vec::new() };
        let last_keys: Vec<String> = last_keys.iter().map(|key| (*key).to_owned()).collect();
        let judgement = judge(&Case {
            feed: providers::feed(feed).unwrap().1,
            sheet: &sheet,
            last: &last_keys,
            last_day: None,
            reference: &|_| None,
            now: at("2026-09-30T10:00:00+07:00"),
        });
        (
            judgement.verdict,
            judgement.accepted.iter().map(Quote::key).collect(),
            judgement.reasons.iter().map(|reason| reason.code.to_string()).collect(),
        )
    }

    const USD: fn() -> Quote = || fx("USD", Some(dec!(25850)), Some(dec!(25880)), Some(dec!(26260)));

    #[test]
    fn a_sound_board_is_accepted_whole() {
        let (verdict, kept, reasons) = run(
            "bidv.fx",
            vec![USD(), fx("CNY", None, Some(dec!(3464)), Some(dec!(3561)))],
            AsOf::Unstated,
            &[],
        );
        assert_eq!((verdict, kept.len(), reasons.len()), (Verdict::Accept, 2, 0));
    }

    #[test]
    fn figures_outside_their_band_refuse_the_answer() {
        let bar = |buy, sell| gold("sjc-bar", Some(buy), Some(sell));
        for quote in [
            bar(dec!(2_999_999), dec!(3_000_000)),
            bar(dec!(14_000_000), dec!(140_000_000)),
            bar(dec!(30_000_001), dec!(30_000_002)),
        ] {
            assert_eq!(run("doji.gold", vec![quote], AsOf::Unstated, &[]).0, Verdict::Reject);
        }
        for rate in [dec!(258800), dec!(2588), dec!(14999.99)] {
            assert_eq!(
                run("bidv.fx", vec![fx("USD", None, Some(rate), None)], AsOf::Unstated, &[]).0,
                Verdict::Reject
            );
        }
        // JPY per 100 instead of per 1
        assert_eq!(
            run(
                "bidv.fx",
                vec![USD(), fx("JPY", None, Some(dec!(15914)), Some(dec!(16855)))],
                AsOf::Unstated,
                &[]
            )
            .2,
            ["out_of_band", "out_of_band"]
        );
        assert_eq!(run("bidv.deposit", vec![deposit(12, dec!(55))], AsOf::Unstated, &[]).0, Verdict::Reject);
    }

    #[test]
    fn the_reference_bank_narrows_the_band_of_other_currencies() {
        let sheet = Sheet {
            as_of: AsOf::Unstated,
            quotes: vec![USD(), fx("EUR", None, Some(dec!(60000)), None)],
            refused: Vec::new(),
        };
        let verdict = |reference: &dyn Fn(&str) -> Option<Decimal>| {
            let feed = providers::feed("bidv.fx").unwrap().1;
            judge(&Case {
                feed,
                sheet: &sheet,
                last: &[],
                last_day: None,
                reference,
                now: at("2026-09-30T10:00:00+07:00"),
            })
            .verdict
        };
        assert_eq!(verdict(&|_| None), Verdict::Accept);
        assert_eq!(verdict(&|_| Some(dec!(19000))), Verdict::Reject);
    }

    #[test]
    fn fractions_and_slipped_digits_are_not_taken_for_percent() {
        for rates in [[dec!(0.021), dec!(0.059)], [dec!(0.21), dec!(0.59)], [dec!(2.1), dec!(0.059)]] {
            let board = vec![deposit(1, rates[0]), deposit(12, rates[1])];
            assert_eq!(run("bidv.deposit", board, AsOf::Unstated, &[]).0, Verdict::Reject, "{rates:?}");
        }
        // The lowest that a state bank ever quoted.
        let board = vec![deposit(1, dec!(1.6)), deposit(12, dec!(4.6))];
        assert_eq!(run("bidv.deposit", board, AsOf::Unstated, &[]).0, Verdict::Accept);
    }

    #[test]
    fn an_answer_of_which_a_third_cannot_be_read_is_refused() {
        let sheet = Sheet {
            as_of: AsOf::Unstated,
            quotes: vec![deposit(6, dec!(3.5)), deposit(12, dec!(5.9))],
            refused: vec![Reason::new("unreadable", "row 1 Tháng")],
        };
        let feed = providers::feed("bidv.deposit").unwrap().1;
        let now = at("2026-09-30T10:00:00+07:00");
        let judgement =
            judge(&Case { feed, sheet: &sheet, last: &[], last_day: None, reference: &|_| None, now });
        assert_eq!(judgement.verdict, Verdict::Reject);
        assert_eq!(judgement.reasons.last().unwrap().code, "incomplete");
    }

    #[test]
    fn buying_above_selling_or_cash_above_transfer_refuses_the_answer() {
        assert_eq!(
            run(
                "doji.gold",
                vec![gold("sjc-bar", Some(dec!(14760000)), Some(dec!(14460000)))],
                AsOf::Unstated,
                &[]
            )
            .2,
            ["order"]
        );
        assert_eq!(
            run(
                "bidv.fx",
                vec![fx("USD", Some(dec!(25890)), Some(dec!(25880)), Some(dec!(26260)))],
                AsOf::Unstated,
                &[]
            )
            .2,
            ["order"]
        );
        assert_eq!(
            run("bidv.fx", vec![fx("USD", None, Some(dec!(26300)), Some(dec!(26260)))], AsOf::Unstated, &[])
                .2,
            ["order"]
        );
    }

    #[test]
    fn a_row_over_its_spread_is_refused_alone() {
        let (verdict, kept, reasons) = run(
            "bidv.fx",
            vec![USD(), fx("EUR", Some(dec!(20000)), None, Some(dec!(26100)))],
            AsOf::Unstated,
            &[],
        );
        assert_eq!(
            (verdict, kept, reasons),
            (Verdict::Accept, vec!["USD".to_owned()], vec!["spread".to_owned()])
        );
        // LAK is really quoted 39 % apart
        assert_eq!(
            run(
                "bidv.fx",
                vec![USD(), fx("LAK", None, Some(dec!(0.88)), Some(dec!(1.22)))],
                AsOf::Unstated,
                &[]
            )
            .1
            .len(),
            2
        );
        assert_eq!(
            run(
                "doji.gold",
                vec![gold("sjc-bar", Some(dec!(10000000)), Some(dec!(11000001)))],
                AsOf::Unstated,
                &[]
            )
            .2,
            ["spread", "incomplete"]
        );
    }

    #[test]
    fn an_answer_without_its_required_row_or_with_half_of_the_last_board_is_refused() {
        assert_eq!(
            run("bidv.fx", vec![fx("EUR", None, Some(dec!(29915)), None)], AsOf::Unstated, &[]).2,
            ["incomplete"]
        );
        assert_eq!(run("bidv.fx", Vec::new(), AsOf::Unstated, &[]).2, ["incomplete"]);
        let last = ["USD", "EUR", "GBP", "JPY"];
        let two = vec![USD(), fx("EUR", None, Some(dec!(29915)), None)];
        assert_eq!(run("bidv.fx", two.clone(), AsOf::Unstated, &last).2, ["incomplete"]);
        let mut three = two;
        three.push(fx("GBP", None, Some(dec!(34310)), None));
        assert_eq!(run("bidv.fx", three, AsOf::Unstated, &last).0, Verdict::Accept);
    }

    #[test]
    fn a_board_of_an_earlier_day_than_the_last_one_is_refused() {
        let feed = providers::feed("bidv.fx").unwrap().1;
        let verdict = |as_of| {
            let sheet = Sheet { as_of, quotes: vec![USD()], refused: Vec::new() };
            let last_day = Some("2026-09-30".parse().unwrap());
            let now = at("2026-09-30T10:00:00+07:00");
            judge(&Case { feed, sheet: &sheet, last: &[], last_day, reference: &|_| None, now }).verdict
        };
        assert_eq!(verdict(AsOf::At(at("2026-09-30T00:10:00+07:00"))), Verdict::Accept);
        assert_eq!(verdict(AsOf::At(at("2026-09-29T23:50:00+07:00"))), Verdict::Reject);
        assert_eq!(verdict(AsOf::On("2026-09-29".parse().unwrap())), Verdict::Reject);
        assert_eq!(verdict(AsOf::Unstated), Verdict::Accept);
    }

    #[test]
    fn a_date_more_than_a_day_ahead_refuses_the_answer_and_an_old_one_does_not() {
        for (as_of, wanted) in [
            (AsOf::At(at("2026-10-01T10:00:01+07:00")), Verdict::Reject),
            (AsOf::At(at("2026-09-30T10:00:30+07:00")), Verdict::Accept),
            (AsOf::On("2026-10-02".parse().unwrap()), Verdict::Reject),
            (AsOf::On("2026-10-01".parse().unwrap()), Verdict::Accept),
            (AsOf::On("2013-05-17".parse().unwrap()), Verdict::Accept),
        ] {
            assert_eq!(run("bidv.fx", vec![USD()], as_of, &[]).0, wanted, "{as_of:?}");
        }
    }
}
