//! An answer through parser and judge, and what must hold of whatever they accept. For damaged answers, mutated
//! (`mutations.rs`) or fuzzed (`tests/fuzz`).

use std::sync::LazyLock;

use banggia::{
    config,
    judge::{Case, Verdict, judge},
};
use jiff::Timestamp;
use providers::{
    Answer, Feed, ParseError, Parsed, Quote, Secrets, Sheet, Source, WeightUnit, convert_weight,
};
use rust_decimal::{Decimal, dec};

/// When answers are read: 10:05 on 30 September 2026, in Vietnam.
pub fn now() -> Timestamp {
    "2026-09-30T10:05:00+07:00".parse().unwrap()
}

/// Reads an answer that has nothing but its bytes.
pub fn parsed(source: &Source, bytes: &[u8], secrets: &Secrets) -> Result<Parsed, ParseError> {
    (source.parse)(&Answer {
        body: bytes,
        charset: None,
        last_modified: None,
        step: None,
        now: now(),
        base: &source.base().unwrap(),
        secrets,
    })
}

/// The default limits.
pub fn limits() -> &'static config::Judge {
    static LIMITS: LazyLock<config::Judge> =
        LazyLock::new(|| config::assemble(None, &[], &config::Overrides::default()).unwrap().judge);
    &LIMITS
}

/// What the judge lets through of a first board.
pub fn accepted(feed: &Feed, sheet: &Sheet) -> Vec<Quote> {
    let judgement = judge(&Case::first(feed, sheet, limits(), dec!(5), now()));
    if judgement.verdict == Verdict::Reject { Vec::new() } else { judgement.accepted }
}

/// Written anew and not taken from the judge: the bands of the reliability page.
pub fn in_band(quote: &Quote) -> bool {
    let within = |value: Option<Decimal>, low: Decimal, high: Decimal| {
        value.is_none_or(|value| value >= low && value <= high)
    };
    match quote {
        Quote::Gold(gold) => [gold.buy, gold.sell].into_iter().all(|side| {
            let per_luong =
                side.map(|side| convert_weight(side, gold.unit, WeightUnit::Luong, "VND").unwrap());
            within(per_luong, dec!(30_000_000), dec!(300_000_000))
        }),
        Quote::Fx(fx) => {
            let (low, high) = match fx.currency.as_ref() {
                "USD" => (dec!(15_000), dec!(40_000)),
                "EUR" | "GBP" | "CHF" => (dec!(9_000), dec!(110_000)),
                "JPY" => (dec!(50), dec!(600)),
                "KRW" => (dec!(5), dec!(60)),
                "LAK" => (dec!(0.3), dec!(4)),
                "KWD" => (dec!(28_000), dec!(260_000)),
                _ => (dec!(0.1), dec!(100_000)),
            };
            [fx.buy_cash, fx.buy_transfer, fx.sell, fx.sell_cash]
                .into_iter()
                .all(|side| within(side, low, high))
                && fx.buy_cash.zip(fx.sell).is_none_or(|(buy, sell)| buy <= sell)
        }
        Quote::Deposit(deposit) => within(Some(deposit.rate_percent), Decimal::ZERO, dec!(15)),
    }
}
