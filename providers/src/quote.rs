//! What a source quotes, as it quotes it: the source's own unit and digits, names that this project assigns.
//! Conversion is exact and happens once, where a quote is read.

use std::{borrow::Cow, fmt, str::FromStr};

use jiff::{Timestamp, civil::Date};
use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

/// What a feed holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Gold, bought and sold by weight.
    Gold,
    /// Foreign currencies against the đồng.
    Fx,
    /// Deposit rates by term.
    Deposit,
}

impl Kind {
    /// `gold`, `fx`, `deposit`
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gold => "gold",
            Self::Fx => "fx",
            Self::Deposit => "deposit",
        }
    }
}

/// When the source says that its figures hold; never when we read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AsOf {
    /// An instant.
    At(Timestamp),
    /// A day, where the source gives no time.
    On(Date),
    /// The source says nothing.
    Unstated,
}

impl AsOf {
    /// The day in Vietnam, where anything is stated.
    #[must_use]
    pub fn day(self) -> Option<Date> {
        match self {
            Self::At(at) => Some(crate::VIETNAM.to_datetime(at).date()),
            Self::On(day) => Some(day),
            Self::Unstated => None,
        }
    }
}

/// ISO 4217 code of the money in which a figure is quoted.
pub type Currency = Cow<'static, str>;

/// Weights in which gold is quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WeightUnit {
    /// Lượng (cây, tael): 37.5 g.
    Luong,
    /// Chỉ: a tenth of a lượng, 3.75 g.
    Chi,
    /// Gram.
    Gram,
    /// Kilogram.
    Kg,
    /// Troy ounce: 31.1034768 g.
    Oz,
}

impl WeightUnit {
    /// Every unit, the usual one first.
    pub const ALL: [Self; 5] = [Self::Luong, Self::Chi, Self::Gram, Self::Kg, Self::Oz];

    /// `luong`, `chi`, `gram`, `kg`, `oz`
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Luong => "luong",
            Self::Chi => "chi",
            Self::Gram => "gram",
            Self::Kg => "kg",
            Self::Oz => "oz",
        }
    }

    /// Ten-millionths of a gram: whole numbers, so that no conversion loses a digit before it is rounded.
    #[must_use]
    pub const fn tenth_micrograms(self) -> i64 {
        match self {
            Self::Luong => 375_000_000,
            Self::Chi => 37_500_000,
            Self::Gram => 10_000_000,
            Self::Kg => 10_000_000_000,
            Self::Oz => 311_034_768,
        }
    }
}

/// A price per `from` as a price per `to`: one multiplication, one division, one rounding (half away from zero)
/// to whole đồng, or to cents of another money. `None` when the product is beyond what a decimal holds.
#[must_use]
pub fn convert_weight(price: Decimal, from: WeightUnit, to: WeightUnit, currency: &str) -> Option<Decimal> {
    let digits = if currency == "VND" { 0 } else { 2 };
    let exact = if from == to {
        price
    } else {
        price
            .checked_mul(Decimal::from(to.tenth_micrograms()))?
            .checked_div(Decimal::from(from.tenth_micrograms()))?
    };
    let rounded = exact.round_dp_with_strategy(digits, RoundingStrategy::MidpointAwayFromZero);
    Some(if currency == "VND" { rounded.normalize() } else { rounded })
}

/// A gold quote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gold {
    /// `sjc-bar`, `ring-9999`, …
    pub product: Cow<'static, str>,
    /// `hanoi`, `hcm`, … where the source quotes by place.
    pub place: Option<Cow<'static, str>>,
    /// The source's own product code, where it has one.
    pub code: Option<String>,
    /// The source's own text (NFC, trimmed), where it has one.
    pub name: Option<String>,
    /// The weight for which `buy` and `sell` are.
    pub unit: WeightUnit,
    /// Money of `buy` and `sell`.
    pub currency: Currency,
    /// What the house pays.
    pub buy: Option<Decimal>,
    /// What the house asks.
    pub sell: Option<Decimal>,
}

/// An exchange rate: đồng for `per` units of `currency`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fx {
    /// ISO 4217 code.
    pub currency: Currency,
    /// Small notes at a price of their own: `1-2-5`.
    pub variant: Option<String>,
    /// The source's own text (NFC, trimmed).
    pub name: Option<String>,
    /// How many units the rate is for; 1 at every bank so far.
    pub per: u32,
    /// What the bank pays for notes.
    pub buy_cash: Option<Decimal>,
    /// What the bank pays by transfer.
    pub buy_transfer: Option<Decimal>,
    /// What the bank asks; by transfer where it has two prices.
    pub sell: Option<Decimal>,
    /// What the bank asks for notes, only where it has two prices.
    pub sell_cash: Option<Decimal>,
}

/// How long money is tied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Term {
    /// Không kỳ hạn.
    Demand,
    /// A number of days.
    Days(u16),
    /// A number of months.
    Months(u16),
}

impl Term {
    /// 0 for demand, `None` for days.
    #[must_use]
    pub const fn months(self) -> Option<u16> {
        match self {
            Self::Demand => Some(0),
            Self::Days(_) => None,
            Self::Months(n) => Some(n),
        }
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Demand => f.write_str("demand"),
            Self::Days(n) => write!(f, "P{n}D"),
            Self::Months(n) => write!(f, "P{n}M"),
        }
    }
}

/// Not `demand`, `P<n>M`, `P<n>D` or a number of months.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no term; allowed are demand, P6M, P7D or a number of months")]
pub struct TermError(String);

impl FromStr for Term {
    type Err = TermError;

    fn from_str(text: &str) -> Result<Self, TermError> {
        let wrong = || TermError(text.to_owned());
        if text == "demand" {
            return Ok(Self::Demand);
        }
        if let Some(rest) = text.strip_prefix('P') {
            return match (rest.strip_suffix('M'), rest.strip_suffix('D')) {
                (Some(n), _) => n.parse().map(Self::Months).map_err(|_| wrong()),
                (_, Some(n)) => n.parse().map(Self::Days).map_err(|_| wrong()),
                _ => Err(wrong()),
            };
        }
        match text.parse() {
            Ok(0) => Ok(Self::Demand),
            Ok(n) => Ok(Self::Months(n)),
            Err(_) => Err(wrong()),
        }
    }
}

impl Serialize for Term {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Term {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Where a deposit is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// Tại quầy.
    Counter,
    /// Trực tuyến.
    Online,
}

impl Channel {
    /// `counter`, `online`
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Online => "online",
        }
    }
}

/// Whose deposit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Customer {
    /// Cá nhân.
    Personal,
    /// Tổ chức.
    Corporate,
}

impl Customer {
    /// `personal`, `corporate`
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Personal => "personal",
            Self::Corporate => "corporate",
        }
    }
}

/// A deposit rate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deposit {
    /// Term.
    pub term: Term,
    /// `None`: the source does not say.
    pub channel: Option<Channel>,
    /// Personal or corporate.
    pub customer: Customer,
    /// When interest is paid; `None`: the source does not say.
    pub payout: Option<Cow<'static, str>>,
    /// Region, where a bank's regions differ.
    pub place: Option<Cow<'static, str>>,
    /// Money of the deposit.
    pub currency: Currency,
    /// Smallest amount for this rate.
    pub min_amount: Option<Decimal>,
    /// Percent a year.
    pub rate_percent: Decimal,
    /// Since when, if the source says.
    pub effective_from: Option<Date>,
}

/// One row of a board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quote {
    /// Gold.
    Gold(Gold),
    /// Exchange rate.
    Fx(Fx),
    /// Deposit rate.
    Deposit(Deposit),
}

/// Rows of one board.
pub type Quotes = Vec<Quote>;

impl Quote {
    /// The part of the id after the feed's: unique in a feed, stable, made of names that this project assigns.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Gold(gold) => dotted(&[Some(&gold.product), gold.place.as_deref()]),
            Self::Fx(fx) => dotted(&[Some(&fx.currency), fx.variant.as_deref()]),
            Self::Deposit(deposit) => dotted(&[
                Some(deposit.channel.map_or("unknown", Channel::as_str)),
                Some(&deposit.term.to_string()),
                deposit.place.as_deref(),
            ]),
        }
    }

    /// The key without its place: what the figure is of, wherever it holds.
    #[must_use]
    pub fn key_without_place(&self) -> String {
        let mut quote = self.clone();
        match &mut quote {
            Self::Gold(gold) => gold.place = None,
            Self::Fx(_) => {}
            Self::Deposit(deposit) => deposit.place = None,
        }
        quote.key()
    }

    /// Where it holds, if the source says.
    #[must_use]
    pub fn place(&self) -> Option<&str> {
        match self {
            Self::Gold(gold) => gold.place.as_deref(),
            Self::Fx(_) => None,
            Self::Deposit(deposit) => deposit.place.as_deref(),
        }
    }

    /// `feed.key`
    #[must_use]
    pub fn id(&self, feed: &str) -> String {
        format!("{feed}.{}", self.key())
    }

    /// When the source says that this row holds: a rate's own date where it has one, else the sheet's.
    #[must_use]
    pub fn as_of(&self, sheet: AsOf) -> AsOf {
        match self {
            Self::Deposit(Deposit { effective_from: Some(day), .. }) => AsOf::On(*day),
            _ => sheet,
        }
    }

    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Gold(_) => Kind::Gold,
            Self::Fx(_) => Kind::Fx,
            Self::Deposit(_) => Kind::Deposit,
        }
    }

    /// Whether both rows say the same figures; names, codes and dates do not count.
    #[must_use]
    pub fn same_figures(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Gold(a), Self::Gold(b)) => {
                let per_luong = |gold: &Gold| {
                    [gold.buy, gold.sell]
                        .map(|side| convert_weight(side?, gold.unit, WeightUnit::Luong, &gold.currency))
                };
                a.currency == b.currency && per_luong(a) == per_luong(b)
            }
            (Self::Fx(a), Self::Fx(b)) => {
                (a.per, a.buy_cash, a.buy_transfer, a.sell, a.sell_cash)
                    == (b.per, b.buy_cash, b.buy_transfer, b.sell, b.sell_cash)
            }
            (Self::Deposit(a), Self::Deposit(b)) => {
                (a.rate_percent, a.min_amount) == (b.rate_percent, b.min_amount)
            }
            _ => false,
        }
    }
}

fn dotted(parts: &[Option<&str>]) -> String {
    parts.iter().flatten().copied().collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use rust_decimal::dec;

    use super::*;

    #[test]
    fn a_price_per_chi_is_ten_times_that_per_luong() {
        assert_eq!(
            convert_weight(dec!(14460000), WeightUnit::Chi, WeightUnit::Luong, "VND"),
            Some(dec!(144600000))
        );
        assert_eq!(
            convert_weight(dec!(13500000.0), WeightUnit::Chi, WeightUnit::Luong, "VND").unwrap().to_string(),
            "135000000"
        );
    }

    #[test]
    fn weights_convert_by_their_exact_factors_and_round_once_half_away_from_zero() {
        let cases = [
            (dec!(142500000), WeightUnit::Luong, WeightUnit::Gram, "VND", dec!(3800000)),
            (dec!(142500000), WeightUnit::Luong, WeightUnit::Kg, "VND", dec!(3800000000)),
            // 142,500,000 × 31.1034768 / 37.5 = 118,193,211.84
            (dec!(142500000), WeightUnit::Luong, WeightUnit::Oz, "VND", dec!(118193212)),
            // 4447.975148 × 37.5 / 31.1034768 = 5362.714… USD
            (dec!(4447.975148), WeightUnit::Oz, WeightUnit::Luong, "USD", dec!(5362.71)),
            (dec!(25), WeightUnit::Luong, WeightUnit::Chi, "VND", dec!(3)),
        ];
        for (price, from, to, currency, wanted) in cases {
            assert_eq!(convert_weight(price, from, to, currency), Some(wanted), "{price} {from:?} {to:?}");
        }
        assert_eq!(convert_weight(Decimal::MAX, WeightUnit::Gram, WeightUnit::Kg, "VND"), None);
    }

    #[test]
    fn terms_read_back_as_they_are_written() {
        for term in [Term::Demand, Term::Months(6), Term::Days(7)] {
            assert_eq!(term.to_string().parse(), Ok(term));
        }
        assert_eq!("6".parse(), Ok(Term::Months(6)));
        assert_eq!("0".parse(), Ok(Term::Demand));
        for wrong in ["", "P", "PM", "P6", "6M", "P6W", "-1", "half a year", "P70000M"] {
            assert!(wrong.parse::<Term>().is_err(), "{wrong}");
        }
    }
}
