//! Rules that hold back: a step that may be real or may be a slip of the source. The last good value stays, the
//! candidate is kept beside it until it is confirmed by repetition, by an independent peer, or by the operator.

use std::time::Duration;

use jiff::Timestamp;
use providers::{AsOf, Kind, Quote, Reason, WeightUnit, convert_weight};
use rust_decimal::{Decimal, dec};
use serde::{Deserialize, Serialize};

use super::{Before, Case, Finding};
use crate::clock::{later, rfc3339};

/// A value that waits beside the one that is served.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// What the source says now.
    pub quote: Quote,
    /// When the source says that it holds.
    pub as_of: AsOf,
    /// Why it is held.
    pub reasons: Vec<Reason>,
    /// When these figures were first read.
    pub since: Timestamp,
    /// How often in a row they were read.
    pub polls: u32,
    /// Whether only the operator can release it: it looks like a slip that is known.
    pub operator_only: bool,
    /// Whether the operator said no to these figures.
    pub refused: bool,
}

/// How far an independent source of the same quantity went since the last good value was read, as a ratio.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// `vietcombank.fx`
    pub feed: &'static str,
    /// Its price now by its price then.
    pub ratio: Decimal,
}

/// Factors by which sources slip: units of weight, of money and of time (a rate a month for one a year).
const SLIPS: &[(Decimal, &str)] = &[
    (dec!(10), "chỉ for lượng"),
    (dec!(100), "100 units for 1"),
    (dec!(1000), "nghìn for đồng"),
    (dec!(1000000), "triệu for đồng"),
    (dec!(1.2057), "ounce for lượng"),
    (dec!(37.5), "gram for lượng"),
    (dec!(3.75), "gram for chỉ"),
];
/// Those of rates: a rate slips in size, or is one a month in place of one a year.
const RATE_SLIPS: &[(Decimal, &str)] = &[
    (dec!(10), "a slipped digit"),
    (dec!(100), "a fraction for percent"),
    (dec!(1000), "a slipped digit"),
    (dec!(12), "a rate a month for a rate a year"),
];
/// Prices move while a source slips.
const NEAR: Decimal = dec!(0.03);

/// The figures of a row by their names, in units that compare: đồng a lượng, đồng for one unit, percent a year.
#[must_use]
pub fn figures(quote: &Quote) -> Vec<(&'static str, Decimal)> {
    let sides = match quote {
        Quote::Gold(gold) => {
            let per_luong =
                |side: Option<Decimal>| convert_weight(side?, gold.unit, WeightUnit::Luong, &gold.currency);
            vec![("buy", per_luong(gold.buy)), ("sell", per_luong(gold.sell))]
        }
        Quote::Fx(fx) => {
            let one = |side: Option<Decimal>| side?.checked_div(Decimal::from(fx.per));
            vec![
                ("buy_cash", one(fx.buy_cash)),
                ("buy_transfer", one(fx.buy_transfer)),
                ("sell", one(fx.sell)),
                ("sell_cash", one(fx.sell_cash)),
            ]
        }
        Quote::Deposit(deposit) => vec![("rate_percent", Some(deposit.rate_percent))],
    };
    sides.into_iter().filter_map(|(name, side)| Some((name, side?))).collect()
}

/// One figure for a row: what the house asks, or what it pays where it sells nothing.
#[must_use]
pub fn leading(quote: &Quote) -> Option<Decimal> {
    let figures = figures(quote);
    let of = |name: &str| figures.iter().find(|(side, _)| *side == name).map(|(_, figure)| *figure);
    ["sell", "buy_transfer", "buy", "buy_cash", "rate_percent"].iter().find_map(|name| of(name))
}

/// A side of a row that went further than a market goes between two readings.
struct Step {
    side: &'static str,
    from: Decimal,
    to: Decimal,
}

impl Step {
    fn ratio(&self) -> Option<Decimal> {
        self.to.checked_div(self.from)
    }

    /// The slip that this looks like.
    fn slip(&self, kind: Kind) -> Option<&'static str> {
        let ratio = self.ratio().filter(|ratio| !ratio.is_zero())?;
        let up = if ratio < Decimal::ONE { Decimal::ONE.checked_div(ratio)? } else { ratio };
        let known = if kind == Kind::Deposit { RATE_SLIPS } else { SLIPS };
        let near =
            |slip: Decimal| up.checked_div(slip).is_some_and(|part| (part - Decimal::ONE).abs() <= NEAR);
        known.iter().find(|(slip, _)| near(*slip)).map(|(_, name)| *name)
    }

    /// One unit of the currency for the đồng in place of đồng for one unit; it shows where a rate is near 1.
    fn is_inverted(&self, kind: Kind) -> bool {
        kind == Kind::Fx
            && self
                .from
                .checked_mul(self.to)
                .is_some_and(|product| (product - Decimal::ONE).abs() <= dec!(0.05))
    }
}

/// Whether a side is over the limit against this value.
fn is_over(kind: Kind, limit: Decimal, from: Decimal, to: Decimal) -> bool {
    let difference = (to - from).abs();
    match kind {
        Kind::Deposit => difference > limit,
        Kind::Gold | Kind::Fx => {
            from.checked_mul(limit).is_none_or(|allowed| difference > allowed / Decimal::ONE_HUNDRED)
        }
    }
}

/// The sides over the limit. Against the same source's own last figure of that side; who agrees with what is served has
/// not jumped either. Where the source has none of its own, it is a first value, and only a known slip against
/// what is served holds it.
fn over(limit: Decimal, before: &Before, quote: &Quote) -> Vec<Step> {
    let of = |earlier: Option<&Quote>, side: &str| {
        let figures = earlier.map(figures).unwrap_or_default();
        figures.into_iter().find(|(name, _)| *name == side).map(|(_, figure)| figure)
    };
    let kind = quote.kind();
    figures(quote)
        .into_iter()
        .filter_map(|(side, to)| {
            let (own, served) = (of(before.own.as_ref(), side), of(before.served.as_ref(), side));
            let step = |from: Decimal| Step { side, from, to };
            let slips = |from: Decimal| step(from).slip(kind).is_some() || step(from).is_inverted(kind);
            let is_over = |from: Decimal| {
                // A small rate slips within any limit in points.
                is_over(kind, limit, from, to) || (kind == Kind::Deposit && slips(from))
            };
            match (own, served) {
                (Some(own), served) => (is_over(own) && served.is_none_or(is_over)).then(|| step(own)),
                (None, Some(served)) => (is_over(served) && slips(served)).then(|| step(served)),
                (None, None) => None,
            }
        })
        .collect()
}

/// Gold 5 %, currencies 3 %, rates 1.5 points, unless the configuration says otherwise.
pub(super) fn jump(case: &Case<'_>, quotes: &[Quote]) -> Vec<Finding> {
    quotes
        .iter()
        .filter_map(|quote| {
            let before = (case.before)(quote);
            let steps = over(case.max_jump, &before, quote);
            (!steps.is_empty()).then(|| judged_step(case, &before, quote, &steps))
        })
        .collect()
}

/// A row with the sides that it lacks taken from an earlier one: the last figure of each side.
#[must_use]
pub fn remembered(quote: &Quote, earlier: Option<&Quote>) -> Quote {
    let mut quote = quote.clone();
    match (&mut quote, earlier) {
        (Quote::Gold(gold), Some(Quote::Gold(earlier)))
            if (gold.unit, &gold.currency) == (earlier.unit, &earlier.currency) =>
        {
            gold.buy = gold.buy.or(earlier.buy);
            gold.sell = gold.sell.or(earlier.sell);
        }
        (Quote::Fx(fx), Some(Quote::Fx(earlier))) if fx.per == earlier.per => {
            fx.buy_cash = fx.buy_cash.or(earlier.buy_cash);
            fx.buy_transfer = fx.buy_transfer.or(earlier.buy_transfer);
            fx.sell = fx.sell.or(earlier.sell);
            fx.sell_cash = fx.sell_cash.or(earlier.sell_cash);
        }
        _ => {}
    }
    quote
}

fn judged_step(case: &Case<'_>, before: &Before, quote: &Quote, steps: &[Step]) -> Finding {
    let key = quote.key();
    let kind = quote.kind();
    let unit = if kind == Kind::Deposit { " points" } else { "%" };
    let mut reasons: Vec<Reason> = steps
        .iter()
        .map(|step| {
            let message = format!(
                "{key}: {} went from {} to {}, more than {}{unit} at once",
                step.side, step.from, step.to, case.max_jump
            );
            Reason::new("jump", message)
        })
        .collect();
    let slips: Vec<Reason> = steps
        .iter()
        .filter_map(|step| {
            if step.is_inverted(kind) {
                let message = format!("{key}: {} {} is 1 / {}", step.side, step.to, step.from);
                return Some(Reason::new("inverted", message));
            }
            let slip = step.slip(kind)?;
            let message = format!("{key}: {} {} against {} looks like {slip}", step.side, step.to, step.from);
            Some(Reason::new("unit_slip", message))
        })
        .collect();
    let operator_only = !slips.is_empty();
    reasons.splice(0..0, slips);
    if !operator_only {
        if let Some(peer) = before.peers.iter().find(|peer| steps.iter().all(|step| agrees(case, step, peer)))
        {
            let message = format!("{key}: {} moved the same way, so the step is taken as real", peer.feed);
            return Finding::Confirmed(message);
        }
        if let Some(how) = repeated(case, before, quote) {
            return Finding::Confirmed(how);
        }
    }
    Finding::Hold { key, reasons, operator_only }
}

/// The peer moved the same way to within half the limit.
fn agrees(case: &Case<'_>, step: &Step, peer: &Peer) -> bool {
    let Some(ratio) = step.ratio() else { return false };
    let (own, other) = (ratio - Decimal::ONE, peer.ratio - Decimal::ONE);
    let within = case.max_jump / Decimal::TWO / Decimal::ONE_HUNDRED;
    own.is_sign_negative() == other.is_sign_negative() && !other.is_zero() && (own - other).abs() <= within
}

/// The same figures, read often enough over a time that is long enough.
fn repeated(case: &Case<'_>, before: &Before, quote: &Quote) -> Option<String> {
    let held = before.held.as_ref().filter(|held| held.quote.same_figures(quote) && !held.refused)?;
    let polls = held.polls.saturating_add(1);
    let long = later(held.since, case.limits.hold_for.0) <= case.now;
    (polls >= case.limits.hold_polls && long).then(|| {
        format!("{}: read {polls} times since {}, so it is taken as real", quote.key(), rfc3339(held.since))
    })
}

/// A house that earned on a row and no longer does: one column stands in two places.
pub(super) fn flat(case: &Case<'_>, quotes: &[Quote]) -> Vec<Finding> {
    let is_flat = |quote: &Quote| {
        let figures = figures(quote);
        let of = |name: &str| figures.iter().find(|(side, _)| *side == name).map(|(_, figure)| *figure);
        let sell = of("sell");
        sell.is_some() && [of("buy"), of("buy_transfer"), of("buy_cash")].contains(&sell)
    };
    quotes
        .iter()
        .filter(|quote| is_flat(quote))
        .filter_map(|quote| {
            let before = (case.before)(quote);
            let last = before.own.as_ref().or(before.served.as_ref()).filter(|last| !is_flat(last))?;
            if last.kind() == Kind::Deposit || repeated(case, &before, quote).is_some() {
                return None;
            }
            let key = quote.key();
            let message = format!("{key}: buying and selling price are the same, which they were not");
            Some(Finding::Hold { key, reasons: vec![Reason::new("flat", message)], operator_only: false })
        })
        .collect()
}

/// A currency that has the figures of another one: what it is bought and what it is sold at.
pub(super) fn copied_row(case: &Case<'_>, quotes: &[Quote]) -> Vec<Finding> {
    quotes
        .iter()
        .filter_map(|quote| {
            let (twin, shared) = quotes.iter().find_map(|other| {
                let shared = shared(quote, other);
                is_telling(&shared).then_some((other, shared))
            })?;
            let key = quote.key();
            let known = |quote: &Quote| {
                let before = (case.before)(quote);
                before.own.or(before.served)
            };
            let is_copy = match known(quote) {
                // What it had itself is its own.
                Some(known) => !shared.iter().any(|figure| figures(&known).contains(figure)),
                // Of two that nobody knows either may be the copy.
                None => true,
            };
            is_copy.then(|| {
                let message = format!("{key} has the figures of {}", twin.key());
                Finding::Hold { key, reasons: vec![Reason::new("copied_row", message)], operator_only: true }
            })
        })
        .collect()
}

/// The figures that two currencies have in common, side by side.
fn shared(one: &Quote, other: &Quote) -> Vec<(&'static str, Decimal)> {
    match (one, other) {
        (Quote::Fx(a), Quote::Fx(b)) if a.currency != b.currency => {
            let theirs = figures(other);
            figures(one).into_iter().filter(|figure| theirs.contains(figure)).collect()
        }
        _ => Vec::new(),
    }
}

/// A buying and a selling price, of which one has digits enough that chance does not make them equal.
fn is_telling(shared: &[(&'static str, Decimal)]) -> bool {
    shared.iter().any(|(side, _)| side.starts_with("buy"))
        && shared.iter().any(|(side, _)| side.starts_with("sell"))
        && shared.iter().any(|(_, figure)| significant_digits(*figure) >= 4)
}

fn significant_digits(figure: Decimal) -> usize {
    figure.normalize().mantissa().unsigned_abs().to_string().trim_end_matches('0').len()
}

/// Two rows that have changed places, or a run of rows that slipped by one.
pub(super) fn swapped_rows(case: &Case<'_>, quotes: &[Quote]) -> Vec<Finding> {
    let known: Vec<(&Quote, Quote)> = quotes
        .iter()
        .filter_map(|quote| {
            let before = (case.before)(quote);
            Some((quote, before.own.or(before.served)?))
        })
        .collect();
    let changed: Vec<&(&Quote, Quote)> =
        known.iter().filter(|(quote, before)| figures(quote) != figures(before)).collect();
    let hold = |quote: &Quote, message: String, operator_only: bool| Finding::Hold {
        key: quote.key(),
        reasons: vec![Reason::new("swapped_rows", message)],
        operator_only,
    };
    let mut found: Vec<Finding> = changed
        .iter()
        .filter_map(|(quote, before)| {
            let (other, exactly) = changed.iter().find_map(|(other, other_before)| {
                let exactly = figures(quote) == figures(other_before) && figures(other) == figures(before);
                (exactly || is_mirrored((quote, before), (other, other_before))).then_some((other, exactly))
            })?;
            if !exactly && repeated(case, &(case.before)(quote), quote).is_some() {
                return None;
            }
            let message = format!("{} and {} have changed places", quote.key(), other.key());
            Some(hold(quote, message, exactly))
        })
        .collect();
    found.extend(slipped(&known, &changed).into_iter().map(|(quote, message)| hold(quote, message, true)));
    found
}

/// Two prices of one house that moved together and changed places: on every side they are about as far apart as before,
/// the other way round. Repetition may confirm it: premiums do turn.
fn is_mirrored((one, one_before): (&Quote, &Quote), (other, other_before): (&Quote, &Quote)) -> bool {
    let apart = |a: &Quote, b: &Quote| {
        let b = figures(b);
        let sides: Vec<Decimal> = figures(a)
            .into_iter()
            .filter_map(|(side, figure)| {
                let (_, other) = b.iter().find(|(name, _)| *name == side)?;
                figure.checked_sub(*other)
            })
            .collect();
        sides
    };
    let (before, now) = (apart(one_before, other_before), apart(one, other));
    one.kind() != Kind::Deposit
        && before.len() >= 2
        && before.len() == now.len()
        && before
            .iter()
            .zip(&now)
            .all(|(before, now)| !before.is_zero() && (*now + *before).abs() * Decimal::TEN <= before.abs())
}

/// At least three rows of which nearly each has what a neighbour had, all from the same side. Prices of gold houses
/// are too often equal from row to row to tell, and those of currencies never are near enough.
fn slipped<'a>(known: &[(&'a Quote, Quote)], changed: &[&(&'a Quote, Quote)]) -> Vec<(&'a Quote, String)> {
    if changed.len() < 3 || changed.iter().any(|(quote, _)| quote.kind() != Kind::Deposit) {
        return Vec::new();
    }
    // Places and channels are runs of their own, one after the other.
    for step in [1, 2, 3, -1, -2, -3_isize] {
        let rows = changed
            .iter()
            .filter(|(quote, _)| {
                let at = known.iter().position(|(known, _)| known.key() == quote.key());
                let neighbour = at.and_then(|at| known.get(at.checked_add_signed(step)?));
                neighbour.is_some_and(|(_, had)| figures(quote) == figures(had))
            })
            .count();
        // The ends of the run have figures from elsewhere.
        if rows >= 3 && rows + 2 * step.unsigned_abs() >= changed.len() {
            return changed
                .iter()
                .map(|(quote, _)| (*quote, format!("{}: the rows have slipped by {step}", quote.key())))
                .collect();
        }
    }
    Vec::new()
}

/// What is kept back after this answer: what was held before and what is held now, by key.
#[must_use]
pub fn next(
    before: Option<&Held>,
    quote: &Quote,
    as_of: AsOf,
    found: (Vec<Reason>, bool),
    now: Timestamp,
) -> Held {
    let (reasons, operator_only) = found;
    match before.filter(|held| held.quote.same_figures(quote)) {
        Some(held) => Held {
            quote: quote.clone(),
            as_of,
            reasons,
            polls: held.polls.saturating_add(1),
            operator_only,
            ..held.clone()
        },
        None => {
            Held { quote: quote.clone(), as_of, reasons, since: now, polls: 1, operator_only, refused: false }
        }
    }
}

/// While something is held its source is asked this often, besides its schedule, so that a real step is not kept
/// back for longer than it takes to believe it.
pub const POLL: Duration = Duration::from_mins(5);
