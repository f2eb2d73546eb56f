//! Whether an answer may be served. A list of named rules, each asking one question; what they refuse or hold back
//! never replaces what is served. Pure: what was served before, the reference bank, peers and the time are handed in.

pub mod hold;
mod reject;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::Date};
use providers::{Feed, Kind, Quote, Reason, Sheet};
use rust_decimal::Decimal;
use serde::Serialize;

use crate::config;
use hold::{Held, Peer};

/// What becomes of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Served.
    Accept,
    /// Some of it is kept beside what is served until it is confirmed; the rest is served.
    Hold,
    /// Dropped; what is served stays.
    Reject,
}

/// The answer's fate and the reasons for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// Of the answer as a whole.
    pub verdict: Verdict,
    /// Rows that may be served, unless the answer is rejected.
    pub accepted: Vec<Quote>,
    /// Rows that wait for confirmation.
    pub held: Vec<Held>,
    /// Why rows or the whole were refused or held.
    pub reasons: Vec<Reason>,
    /// For `probe --explain`: every rule and what it found.
    pub trail: Vec<Trail>,
}

impl Judgement {
    /// How many rows of the answer are not served: refused by their reader or a rule, or held.
    #[must_use]
    pub fn outliers(&self, sheet: &Sheet) -> usize {
        (sheet.quotes.len() + sheet.refused.len()).saturating_sub(self.accepted.len())
    }
}

/// One rule's finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trail {
    /// The rule's name.
    pub rule: &'static str,
    /// The question it asks.
    pub question: &'static str,
    /// What it found; empty: nothing to object to.
    pub found: Vec<String>,
}

/// What is known of one row from before.
#[derive(Debug, Clone, Default)]
pub struct Before {
    /// The same source's last good value, unless that has expired.
    pub own: Option<Quote>,
    /// What is served, from whatever source, unless that has expired.
    pub served: Option<Quote>,
    /// What is being held.
    pub held: Option<Held>,
    /// Independent sources of the same quantity.
    pub peers: Vec<Peer>,
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
    /// Days on which a new board was due since the day that this answer states, if it says again what the last one
    /// said; else 0.
    pub frozen_for: u32,
    /// What is known of a row.
    pub before: &'a dyn Fn(&Quote) -> Before,
    /// The reference bank's middle rate of a currency, where it is fresh enough.
    pub reference: &'a dyn Fn(&str) -> Option<Decimal>,
    /// `[judge]`
    pub limits: &'a config::Judge,
    /// The feed's `max_jump`: percent, or points of a rate.
    pub max_jump: Decimal,
    /// Now.
    pub now: Timestamp,
}

impl<'a> Case<'a> {
    /// Of a first answer: nothing is known from before.
    #[must_use]
    pub fn first(
        feed: &'a Feed,
        sheet: &'a Sheet,
        limits: &'a config::Judge,
        max_jump: Decimal,
        now: Timestamp,
    ) -> Self {
        Self {
            feed,
            sheet,
            last: &[],
            last_day: None,
            frozen_for: 0,
            before: &|_| Before::default(),
            reference: &|_| None,
            limits,
            max_jump,
            now,
        }
    }
}

/// What a rule found.
enum Finding {
    /// The row of this key cannot be served; the others can.
    Row(String, Reason),
    /// The answer cannot be served.
    Answer(Reason),
    /// The row waits for confirmation.
    Hold { key: String, reasons: Vec<Reason>, operator_only: bool },
    /// A row would have been held, and is confirmed: how.
    Confirmed(String),
}

struct Rule {
    name: &'static str,
    question: &'static str,
    find: fn(&Case<'_>, &[Quote]) -> Vec<Finding>,
}

const fn rule(
    name: &'static str,
    question: &'static str,
    find: fn(&Case<'_>, &[Quote]) -> Vec<Finding>,
) -> Rule {
    Rule { name, question, find }
}

/// In this order; a refused row is out of the later rules' sight, a held one is not.
const RULES: &[Rule] = &[
    rule("older", "Is the source's day no earlier than that of its last board?", reject::older),
    rule("future_date", "Is the source's date at most a day ahead?", reject::future_date),
    rule("frozen", "Is it a new board, where one was due?", reject::frozen),
    rule("out_of_band", "Is every figure of a size that this market has seen?", reject::out_of_band),
    rule("order", "Does the house buy at or under the price at which it sells?", reject::order),
    rule("spread", "Are buying and selling price of a row near enough?", reject::spread),
    rule("purity", "Is purer gold no cheaper?", reject::purity),
    rule("incomplete", "Are the required rows there, and 70 % of the last board?", reject::incomplete),
    rule("copied_row", "Has every currency figures of its own?", hold::copied_row),
    rule("swapped_rows", "Is every row where it was?", hold::swapped_rows),
    rule("flat", "Do buying and selling price still differ?", hold::flat),
    rule("jump", "Is the step from the last good value one that a market makes?", hold::jump),
];

/// Applies all rules.
#[must_use]
pub fn judge(case: &Case<'_>) -> Judgement {
    let mut quotes = case.sheet.quotes.clone();
    let mut reasons = case.sheet.refused.clone();
    let mut rejected = false;
    let mut holds: BTreeMap<String, (Vec<Reason>, bool)> = BTreeMap::new();
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
                    rejected = true;
                    found.push(reason.message.clone());
                    reasons.push(reason);
                }
                Finding::Hold { key, reasons, operator_only } => {
                    found.extend(reasons.iter().map(|reason| reason.message.clone()));
                    let hold = holds.entry(key).or_default();
                    hold.0.extend(reasons);
                    hold.1 |= operator_only;
                }
                Finding::Confirmed(how) => found.push(how),
            }
        }
        trail.push(Trail { rule: rule.name, question: rule.question, found });
    }
    if rejected {
        return Judgement {
            verdict: Verdict::Reject,
            accepted: Vec::new(),
            held: Vec::new(),
            reasons,
            trail,
        };
    }
    hold_siblings(case, &quotes, &mut holds);
    reasons.extend(holds.values().flat_map(|(reasons, _)| reasons.iter().cloned()));
    let (mut accepted, mut held) = (Vec::new(), Vec::new());
    for quote in quotes {
        let key = quote.key();
        match holds.remove(&key) {
            None => accepted.push(quote),
            Some(found) => {
                let before = (case.before)(&quote).held;
                let as_of = quote.as_of(case.sheet.as_of);
                held.push(hold::next(before.as_ref(), &quote, as_of, found, case.now));
            }
        }
    }
    let verdict = if held.is_empty() { Verdict::Accept } else { Verdict::Hold };
    Judgement { verdict, accepted, held, reasons, trail }
}

/// A figure for all regions that an answer gives for each: while one of them is held, the others would replace it and
/// leave that one without a value. They wait together.
fn hold_siblings(case: &Case<'_>, quotes: &[Quote], holds: &mut BTreeMap<String, (Vec<Reason>, bool)>) {
    let of_held: Vec<(String, String, bool)> = quotes
        .iter()
        .filter(|quote| quote.place().is_some())
        .filter_map(|quote| {
            let (_, operator_only) = holds.get(&quote.key())?;
            Some((quote.key_without_place(), quote.key(), *operator_only))
        })
        .collect();
    for quote in quotes.iter().filter(|quote| quote.place().is_some()) {
        if holds.contains_key(&quote.key()) {
            continue;
        }
        let Some((_, held, operator_only)) =
            of_held.iter().find(|(whole, ..)| *whole == quote.key_without_place())
        else {
            continue;
        };
        let was_one = (case.before)(quote).own.is_some_and(|own| own.place().is_none());
        if was_one {
            let message = format!("{}: waits with {held}, with which it was one figure", quote.key());
            holds.insert(quote.key(), (vec![Reason::new("region", message)], *operator_only));
        }
    }
}

/// A row's last value: under its own key, or under that of all places or of another place, where the source gave it
/// in that way.
pub fn known<'a>(quote: &Quote, get: impl Fn(&str) -> Option<&'a Quote>) -> Option<&'a Quote> {
    get(&quote.key()).or_else(|| {
        let whole = quote.key_without_place();
        get(&whole).or_else(|| providers::PLACES.iter().find_map(|place| get(&format!("{whole}.{place}"))))
    })
}

/// Which quotes of other houses are of the same quantity: the đồng price of a currency, or of an SJC bar.
#[must_use]
pub fn quantity(quote: &Quote) -> Option<String> {
    match quote {
        Quote::Fx(fx) if fx.variant.is_none() => Some(fx.currency.to_string()),
        // The bar that TPBank trades is SJC's.
        Quote::Gold(gold) if matches!(gold.product.as_ref(), "sjc-bar" | "bar") => Some("sjc-bar".to_owned()),
        _ => None,
    }
}

/// Whether a feed's figures move daily: rates stand for months.
#[must_use]
pub const fn is_daily(kind: Kind) -> bool {
    matches!(kind, Kind::Gold | Kind::Fx)
}
