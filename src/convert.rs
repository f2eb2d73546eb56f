//! Conversion between two currencies through the đồng, between gold and the đồng, and between weights of gold.
//! Exact rational arithmetic on the quotes' own digits; one rounding at the end.

use std::str::FromStr;

use num_bigint::BigInt;
use num_rational::BigRational;
use providers::{Kind, Quote, WeightUnit};
use rust_decimal::Decimal;

use crate::{
    board::{Served, ServedFeed, Status},
    filter::{self, MOST_ERRORS, WrongParameter},
};

/// Decimals of a weight: a milligram of a kilogram.
const WEIGHT_DECIMALS: usize = 6;
/// Digits of an amount before and after the point.
const AMOUNT_DIGITS: (usize, usize) = (15, 6);

/// What is converted from or to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Money {
    /// ISO 4217 code.
    Currency(&'static str),
    /// A weight of gold.
    Gold(WeightUnit),
}

/// The đồng, through which everything goes.
const VND: Money = Money::Currency("VND");

impl Money {
    /// Every name.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        let units = WeightUnit::ALL.iter().map(|unit| unit.as_str());
        std::iter::once("VND").chain(providers::CURRENCIES.iter().copied()).chain(units).collect()
    }

    fn read(name: &str) -> Option<Self> {
        let known = Self::names().into_iter().find(|known| known.eq_ignore_ascii_case(name))?;
        let unit = WeightUnit::ALL.into_iter().find(|unit| unit.as_str() == known);
        Some(unit.map_or(Self::Currency(known), Self::Gold))
    }

    /// As it is written: `USD`, `luong`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Currency(code) => code,
            Self::Gold(unit) => unit.as_str(),
        }
    }

    /// Decimals of a result: the smallest unit of a currency (ISO 4217), six for weights.
    #[must_use]
    pub fn decimals(self) -> usize {
        match self {
            Self::Currency("VND" | "JPY" | "KRW") => 0,
            Self::Currency("KWD") => 3,
            Self::Currency(_) => 2,
            Self::Gold(_) => WEIGHT_DECIMALS,
        }
    }

    const fn is_gold(self) -> bool {
        matches!(self, Self::Gold(_))
    }
}

/// Which of a quote's prices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// What a gold house pays.
    Buy,
    /// What a bank pays for notes.
    BuyCash,
    /// What a bank pays by transfer.
    BuyTransfer,
    /// What is asked.
    Sell,
    /// What a bank asks for notes, where it has two prices.
    SellCash,
}

impl Side {
    /// Every side.
    pub const ALL: [Self; 5] = [Self::Buy, Self::BuyCash, Self::BuyTransfer, Self::Sell, Self::SellCash];

    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Buy => "buy",
            Self::BuyCash => "buy_cash",
            Self::BuyTransfer => "buy_transfer",
            Self::Sell => "sell",
            Self::SellCash => "sell_cash",
        }
    }

    /// The price of this side, if the quote has one.
    fn of(self, quote: &Quote) -> Option<Decimal> {
        match (self, quote) {
            (Self::Buy, Quote::Gold(gold)) => gold.buy,
            (Self::Sell, Quote::Gold(gold)) => gold.sell,
            (Self::BuyCash, Quote::Fx(fx)) => fx.buy_cash,
            (Self::BuyTransfer, Quote::Fx(fx)) => fx.buy_transfer,
            (Self::Sell, Quote::Fx(fx)) => fx.sell,
            (Self::SellCash, Quote::Fx(fx)) => fx.sell_cash,
            _ => None,
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversion {
    /// From what.
    pub from: Money,
    /// Into what.
    pub to: Money,
    /// How much.
    pub amount: Decimal,
    /// Whose prices; the first institution that has them when none is asked for.
    pub provider: Option<String>,
    /// At which price; `None` where no price is needed.
    pub side: Option<Side>,
    /// Which gold; the institution's bar when none is asked for.
    product: Option<String>,
}

/// A converted amount.
pub struct Converted<'a> {
    /// Rounded once, half away from zero, to [`Money::decimals`].
    pub result: String,
    /// The quotes that were used, with their feeds.
    pub quotes: Vec<(&'a ServedFeed, &'a Served)>,
}

/// Why nothing is converted.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A parameter's value is not allowed, here or beside the others.
    Wrong(WrongParameter),
    /// The prices have not been read yet: try again.
    NotYet,
}

impl Refusal {
    /// Of all institutions that could have been: whoever has no prices yet may have what is asked for; else what any of
    /// them would allow.
    fn of(refusals: Vec<Self>) -> Self {
        let mut all: Option<WrongParameter> = None;
        for refusal in refusals {
            match (refusal, &mut all) {
                (Self::NotYet, _) => return Self::NotYet,
                (Self::Wrong(wrong), None) => all = Some(wrong),
                (Self::Wrong(wrong), Some(all)) if wrong.parameter == all.parameter => {
                    let more: Vec<String> =
                        wrong.allowed.into_iter().filter(|name| !all.allowed.contains(name)).collect();
                    all.allowed.extend(more);
                }
                (Self::Wrong(_), Some(_)) => {}
            }
        }
        all.map_or(Self::NotYet, Self::Wrong)
    }
}

impl Conversion {
    /// The parameters.
    pub const PARAMETERS: [&str; 6] = ["from", "to", "amount", "provider", "side", "product"];

    /// Reads the parameters.
    ///
    /// # Errors
    /// Every parameter that is unknown, missing, given twice, or has a value that is not allowed.
    pub fn read(
        pairs: impl Iterator<Item = (String, String)>,
        feeds: &[ServedFeed],
    ) -> Result<Self, Vec<WrongParameter>> {
        let mut given: [Option<String>; 6] = Default::default();
        let mut errors = Vec::new();
        for (parameter, value) in pairs {
            if errors.len() == MOST_ERRORS {
                return Err(errors);
            }
            let at = Self::PARAMETERS.iter().position(|known| *known == parameter);
            match at.and_then(|at| given.get_mut(at)) {
                None => {
                    let allowed = Self::PARAMETERS.into_iter().chain(["at"]);
                    errors.push(wrong(&parameter, &value, allowed));
                }
                Some(Some(_)) => errors.push(wrong(&parameter, &value, ["the parameter once"])),
                Some(slot) => *slot = Some(value.trim().to_owned()),
            }
        }
        let [from, to, amount, provider, side, product] = given;
        let mut money = |name, value: Option<String>| {
            let value = value.unwrap_or_default();
            let money = Money::read(&value);
            if money.is_none() {
                errors.push(wrong(name, &value, Money::names()));
            }
            money
        };
        let (from, to) = (money("from", from), money("to", to));
        let amount = amount.unwrap_or_else(|| "1".to_owned());
        let number = read_amount(&amount);
        if number.is_none() {
            errors.push(wrong(
                "amount",
                &amount,
                ["a decimal number such as 100 or 0.5: at most 15 digits, a point, 6 digits"],
            ));
        }
        let gold = from.is_some_and(Money::is_gold) || to.is_some_and(Money::is_gold);
        if let (Some(from), Some(to)) = (from, to)
            && from.is_gold() != to.is_gold()
            && from != VND
            && to != VND
        {
            // Gold is priced in đồng.
            let others = Money::names().into_iter().filter(|name| {
                Money::read(name).is_some_and(|other| other == VND || other.is_gold() == from.is_gold())
            });
            errors.push(wrong("to", to.as_str(), others));
        }
        let kind = if gold { Kind::Gold } else { Kind::Fx };
        let houses: Vec<&str> = feeds
            .iter()
            .filter(|feed| feed.state.feed.kind == kind)
            .map(|feed| feed.state.institution.id)
            .collect();
        let provider = provider.map(|given| (given.to_ascii_lowercase(), given));
        if let Some((_, given)) = provider.as_ref().filter(|(name, _)| !houses.contains(&name.as_str())) {
            errors.push(wrong("provider", given, houses));
        }
        let provider = provider.map(|(name, _)| name);
        let sides: &[Side] = if gold { &[Side::Buy, Side::Sell] } else { &Side::ALL[1..] };
        let chosen = side.map(|side| {
            let found = sides.iter().find(|known| known.as_str().eq_ignore_ascii_case(&side));
            if found.is_none() {
                errors.push(wrong("side", &side, sides.iter().map(|side| side.as_str())));
            }
            found.copied()
        });
        let product = product.map(|given| (given.to_ascii_lowercase(), given));
        if let Some((name, given)) = &product {
            let known = filter::products();
            if !gold {
                errors.push(wrong("product", given, ["nothing: it is for gold"]));
            } else if !known.contains(name) {
                errors.push(wrong("product", given, known));
            }
        }
        let product = product.map(|(name, _)| name);
        match (from, to, number) {
            (Some(from), Some(to), Some(amount)) if errors.is_empty() => {
                let priced = from != to && !(from.is_gold() && to.is_gold());
                let side = priced.then(|| chosen.flatten().unwrap_or(Side::Sell));
                Ok(Self { from, to, amount, provider, side, product })
            }
            _ => Err(errors),
        }
    }

    /// The same text for the same conversion.
    #[must_use]
    pub fn key(&self) -> String {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        format!(
            "{},{},{},{},{},{}",
            self.from.as_str(),
            self.to.as_str(),
            self.amount,
            text(&self.provider),
            self.side.map_or("", Side::as_str),
            text(&self.product)
        )
    }

    /// The kind of quotes that it needs, if any.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        match (self.from.is_gold(), self.to.is_gold()) {
            _ if self.from == self.to => None,
            (true, true) => None,
            (false, false) => Some(Kind::Fx),
            _ => Some(Kind::Gold),
        }
    }

    /// Converts at the prices of `feeds`.
    ///
    /// # Errors
    /// [`Refusal`]
    pub fn convert<'a>(&self, feeds: &'a [ServedFeed]) -> Result<Converted<'a>, Refusal> {
        let Some(kind) = self.kind() else {
            return Ok(self.finish(weight(self.from) / weight(self.to), Vec::new()));
        };
        let mut best: Option<(Status, Converted<'a>)> = None;
        let mut refusals = Vec::new();
        for feed in feeds.iter().filter(|feed| {
            feed.state.feed.kind == kind
                && self.provider.as_deref().is_none_or(|asked| asked == feed.state.institution.id)
        }) {
            match self.at(feed) {
                // Of institutions that nobody asked for by name the first with the most current figures.
                Ok(found) if best.as_ref().is_none_or(|(status, _)| found.status() < *status) => {
                    best = Some((found.status(), found));
                }
                Ok(_) => {}
                Err(refusal) => refusals.push(refusal),
            }
        }
        match best {
            Some((_, found)) => Ok(found),
            None if refusals.is_empty() => {
                Err(Refusal::Wrong(wrong("from", self.from.as_str(), Vec::<String>::new())))
            }
            None => Err(Refusal::of(refusals)),
        }
    }

    /// At one institution's prices.
    fn at<'a>(&self, feed: &'a ServedFeed) -> Result<Converted<'a>, Refusal> {
        if feed.quotes.is_empty() {
            return Err(Refusal::NotYet);
        }
        let mut quotes = Vec::new();
        let mut price = |name: &str, money: Money| -> Result<BigRational, Refusal> {
            if money == VND {
                return Ok(whole(1));
            }
            let served = self.quote(feed, name, money)?;
            let price = self.side.and_then(|side| side.of(&served.kept.quote)).ok_or_else(|| {
                let sides = Side::ALL.into_iter().filter(|side| side.of(&served.kept.quote).is_some());
                Refusal::Wrong(wrong("side", self.side.map_or("", Side::as_str), sides.map(Side::as_str)))
            })?;
            quotes.push((feed, served));
            Ok(match &served.kept.quote {
                Quote::Gold(gold) => rational(price) * weight(money) / whole(gold.unit.tenth_micrograms()),
                Quote::Fx(fx) => rational(price) / whole(i64::from(fx.per.max(1))),
                Quote::Deposit(_) => return Err(Refusal::NotYet),
            })
        };
        let (from, to) = (price("from", self.from)?, price("to", self.to)?);
        if to == whole(0) {
            return Err(Refusal::NotYet);
        }
        Ok(self.finish(from / to, quotes))
    }

    fn quote<'a>(&self, feed: &'a ServedFeed, name: &str, money: Money) -> Result<&'a Served, Refusal> {
        match money {
            Money::Currency(code) => {
                let plain =
                    |served: &&Served| matches!(&served.kept.quote, Quote::Fx(fx) if fx.variant.is_none());
                feed.quotes
                    .iter()
                    .filter(plain)
                    .find(|served| matches!(&served.kept.quote, Quote::Fx(fx) if fx.currency == code))
                    .ok_or_else(|| {
                        let quoted =
                            feed.quotes.iter().filter(plain).filter_map(|served| match &served.kept.quote {
                                Quote::Fx(fx) => Some(fx.currency.to_string()),
                                _ => None,
                            });
                        Refusal::Wrong(wrong(name, code, std::iter::once("VND".to_owned()).chain(quoted)))
                    })
            }
            Money::Gold(_) => {
                let bar = feed.state.feed.required.first().copied().unwrap_or_default();
                let product = self.product.as_deref().unwrap_or(bar);
                feed.gold(product, None).ok_or_else(|| {
                    let mut quoted: Vec<String> = feed
                        .quotes
                        .iter()
                        .filter_map(|served| match &served.kept.quote {
                            Quote::Gold(gold) => Some(gold.product.to_string()),
                            _ => None,
                        })
                        .collect();
                    quoted.dedup();
                    Refusal::Wrong(wrong("product", product, quoted))
                })
            }
        }
    }

    fn finish<'a>(&self, factor: BigRational, quotes: Vec<(&'a ServedFeed, &'a Served)>) -> Converted<'a> {
        Converted { result: rounded(&(rational(self.amount) * factor), self.to), quotes }
    }
}

impl Converted<'_> {
    /// That of the least current of its quotes.
    fn status(&self) -> Status {
        self.quotes.iter().map(|(_, served)| served.status).max().unwrap_or(Status::Fresh)
    }
}

fn wrong<T: Into<String>>(
    parameter: &str,
    value: &str,
    allowed: impl IntoIterator<Item = T>,
) -> WrongParameter {
    let allowed = allowed.into_iter().map(Into::into).collect();
    WrongParameter { parameter: parameter.to_owned(), value: value.to_owned(), allowed }
}

/// Ten-millionths of a gram; 1 for money.
fn weight(money: Money) -> BigRational {
    match money {
        Money::Gold(unit) => whole(unit.tenth_micrograms()),
        Money::Currency(_) => whole(1),
    }
}

fn read_amount(text: &str) -> Option<Decimal> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str, most: usize| {
        (1..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    if !digits(whole, AMOUNT_DIGITS.0) || !digits(fraction, AMOUNT_DIGITS.1) {
        return None;
    }
    Decimal::from_str(text).ok()
}

fn whole(number: i64) -> BigRational {
    BigRational::from_integer(BigInt::from(number))
}

fn rational(number: Decimal) -> BigRational {
    BigRational::new(BigInt::from(number.mantissa()), BigInt::from(10).pow(number.scale()))
}

/// Half away from zero; a weight without zeros at its end.
fn rounded(number: &BigRational, money: Money) -> String {
    let decimals = money.decimals();
    let scaled = number * whole(10).pow(i32::try_from(decimals).unwrap_or(0));
    let digits = format!("{:0>width$}", scaled.round().to_integer().to_string(), width = decimals + 1);
    let (whole, fraction) = digits.split_at_checked(digits.len() - decimals).unwrap_or((&digits, ""));
    let fraction = if money.is_gold() { fraction.trim_end_matches('0') } else { fraction };
    if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::{
        board::{FeedState, Rules, SourceState, Standing},
        store::Kept,
    };

    fn read(query: &str) -> Result<Conversion, Vec<WrongParameter>> {
        let pairs = url::form_urlencoded::parse(query.as_bytes())
            .map(|(name, value)| (name.into_owned(), value.into_owned()));
        Conversion::read(pairs, &[])
    }

    /// A bank's feed, due every ten minutes, stale after a quarter of an hour and expired after an hour; each rate was
    /// last checked at its own minute of ten o'clock.
    fn bank(id: &str, rates: &[(&'static str, i64, i32)], now: &str) -> ServedFeed {
        let (institution, feed) = providers::feed(id).unwrap();
        let kept = |(code, sell, minute): &(&'static str, i64, i32)| {
            let at: jiff::Timestamp = format!("2026-09-30T10:{minute:02}:00+07:00").parse().unwrap();
            let quote = Quote::Fx(providers::Fx {
                currency: (*code).into(),
                variant: None,
                name: None,
                per: 1,
                buy_cash: None,
                buy_transfer: None,
                sell: Some(Decimal::from(*sell)),
                sell_cash: None,
            });
            let as_of = providers::AsOf::Unstated;
            let kept = Kept { quote, previous: None, as_of, fetched_at: at, checked_at: at, changed_at: at };
            ((*code).to_owned(), kept)
        };
        let source = SourceState {
            source: &feed.sources[0],
            standing: Standing::On,
            url: String::new(),
            kept: rates.iter().map(kept).collect(),
            last_keys: Vec::new(),
            sides: std::collections::BTreeMap::new(),
            held: std::collections::BTreeMap::new(),
            last: None,
            trends: std::collections::BTreeMap::new(),
        };
        let rules = Rules {
            schedule: "*/10 * * * *".parse().unwrap(),
            stale_after: Duration::from_mins(15),
            expire_after: Duration::from_hours(1),
            calendar: Arc::default(),
        };
        let sources = vec![source];
        let state = Arc::new(FeedState {
            institution,
            feed,
            paused: false,
            rules,
            shown: std::collections::BTreeMap::new(),
            sources,
            next_refresh_at: None,
            failure: None,
            missed: 0,
            missed_publishes: 0,
        });
        state.serve(format!("2026-09-30T{now}:00+07:00").parse().unwrap())
    }

    fn result(query: &str, feeds: &[ServedFeed]) -> Result<String, Refusal> {
        let pairs = url::form_urlencoded::parse(query.as_bytes())
            .map(|(name, value)| (name.into_owned(), value.into_owned()));
        Conversion::read(pairs, feeds).unwrap().convert(feeds).map(|converted| converted.result)
    }

    #[test]
    fn who_is_not_asked_for_by_name_gives_way_to_whoever_is_more_current() {
        let at = |now| {
            [bank("bidv.fx", &[("USD", 26_000, 0)], now), bank("vietcombank.fx", &[("USD", 26_100, 30)], now)]
        };
        for (now, wanted) in [
            ("10:10", "26000"), // both fresh: the first
            ("10:40", "26100"), // stale, fresh
            ("11:20", "26100"), // expired, stale
            ("12:00", "26000"), // both expired: the first, and its quote says so
        ] {
            assert_eq!(result("from=USD&to=VND", &at(now)).as_deref(), Ok(wanted), "{now}");
        }
        assert_eq!(result("from=USD&to=VND&provider=bidv", &at("11:20")).as_deref(), Ok("26000"));
    }

    #[test]
    fn a_refusal_speaks_for_all_institutions_that_could_have_been() {
        let bidv = || bank("bidv.fx", &[("USD", 26_000, 0), ("LAK", 1, 0)], "10:10");
        let vietcombank = || bank("vietcombank.fx", &[("USD", 26_100, 0), ("INR", 290, 0)], "10:10");
        let refusal = result("from=NOK&to=VND", &[bidv(), vietcombank()]).unwrap_err();
        let Refusal::Wrong(wrong) = refusal else { panic!("{refusal:?}") };
        for code in ["VND", "USD", "LAK", "INR"] {
            assert!(wrong.allowed.iter().any(|allowed| allowed == code), "{code}: {wrong:?}");
        }
        // Whoever has not been read yet may have it.
        let unread = bank("vietcombank.fx", &[], "10:10");
        assert_eq!(result("from=INR&to=VND", &[bidv(), unread]), Err(Refusal::NotYet));
    }

    #[test]
    fn caches_may_keep_figures_no_longer_than_until_the_first_of_them_expires() {
        use crate::{board::Scope, document, http::cache::CachePolicy, store::Published};
        // Of one board one row was last seen half an hour earlier.
        let feeds = [bank("bidv.fx", &[("USD", 26_000, 30), ("EUR", 30_000, 0)], "10:31")];
        let content = document::content(Scope::Kind(Kind::Fx), &feeds, false, &filter::Filter::default());
        let now: jiff::Timestamp = "2026-09-30T10:31:00+07:00".parse().unwrap();
        let published = Published { version: 1, generated_at: now, hash: content.hash.clone() };
        let policy = document::finish(Scope::Kind(Kind::Fx), &content, &published, &feeds).policy;
        let expires_at = Some("2026-09-30T11:10:00+07:00".parse().unwrap());
        assert_eq!(policy, CachePolicy::Latest { next_refresh_at: None, expires_at });
    }

    #[test]
    fn weights_convert_exactly_and_round_once() {
        for (query, wanted) in [
            ("from=luong&to=chi&amount=2", "20"),
            ("from=luong&to=gram", "37.5"),
            ("from=kg&to=luong&amount=1", "26.666667"),
            ("from=oz&to=gram&amount=1", "31.103477"),
            ("from=oz&to=luong&amount=1000000", "829426.048"),
            ("from=chi&to=chi&amount=0.1", "0.1"),
            ("from=gram&to=kg&amount=0.000001", "0"),
            ("from=gram&to=kg&amount=0.0005", "0.000001"),
            ("from=kg&to=gram&amount=999999999999999.999999", "999999999999999999.999"),
        ] {
            let converted = read(query).unwrap();
            assert_eq!(
                converted.convert(&[]).map(|converted| converted.result),
                Ok(wanted.to_owned()),
                "{query}"
            );
        }
    }

    #[test]
    fn results_have_the_decimals_of_their_money() {
        for (number, money, wanted) in [
            ((25_890_005, 10_000), "USD", "2589.00"),
            ((25_890_050, 10_000), "USD", "2589.01"),
            ((5, 1000), "USD", "0.01"),
            ((1, 3), "KWD", "0.333"),
            ((5, 2), "VND", "3"),
            ((3, 2), "JPY", "2"),
        ] {
            let number = BigRational::new(BigInt::from(number.0), BigInt::from(number.1));
            assert_eq!(rounded(&number, Money::read(money).unwrap()), wanted);
        }
    }

    #[test]
    fn what_is_not_allowed_is_named_with_what_is() {
        for (query, parameter, part) in [
            ("to=VND", "from", "USD"),
            ("from=USD&to=XYZ", "to", "luong"),
            ("from=USD&to=VND&amount=1e3", "amount", "decimal"),
            ("from=USD&to=VND&amount=-1", "amount", "decimal"),
            ("from=USD&to=VND&amount=1,000", "amount", "decimal"),
            ("from=USD&to=VND&amount=.5", "amount", "decimal"),
            ("from=USD&to=VND&amount=1234567890123456", "amount", "15"),
            ("from=USD&to=VND&side=buy", "side", "buy_transfer"),
            ("from=luong&to=VND&side=sell_cash", "side", "buy"),
            ("from=luong&to=USD", "to", "VND"),
            ("from=USD&to=luong", "to", "EUR"),
            ("from=USD&to=VND&product=sjc-bar", "product", "gold"),
            ("from=luong&to=VND&product=brick", "product", "ring-9999"),
            ("from=USD&to=VND&colour=red", "colour", "from"),
            ("from=USD&from=EUR&to=VND", "from", "once"),
        ] {
            let errors = read(query).unwrap_err();
            assert_eq!(errors.len(), 1, "{query}: {errors:?}");
            assert_eq!(errors[0].parameter, parameter, "{query}");
            assert!(errors[0].allowed.iter().any(|allowed| allowed.contains(part)), "{query}: {errors:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a28_an_amount_at_any_price_converts_exactly(
            (coefficient, scale) in (1..=i128::MAX >> 31, 0..=28_u32),
            amount in 0..1_000_000_000_000_000_000_000_u128,
        ) {
            // Any price that a decimal can say, far outside of every band, and the largest amounts that are read.
            let price = Decimal::from_i128_with_scale(coefficient, scale);
            let amount = format!("{}.{:06}", amount / 1_000_000, amount % 1_000_000);
            let mut feed = bank("bidv.fx", &[("USD", 1, 0), ("EUR", 3, 0)], "10:05");
            let mut state = (*feed.state).clone();
            let kept = state.sources[0].kept.get_mut("USD").unwrap();
            let Quote::Fx(fx) = &mut kept.quote else { unreachable!() };
            fx.sell = Some(price);
            feed = Arc::new(state).serve("2026-09-30T10:05:00+07:00".parse().unwrap());
            let feeds = [feed];
            let exact = |text: &str| rational(text.parse().unwrap());
            for (query, wanted, decimals) in [
                (format!("from=USD&to=VND&amount={amount}"), exact(&amount) * rational(price), 0),
                (format!("from=VND&to=USD&amount={amount}"), exact(&amount) / rational(price), 2),
                (format!("from=USD&to=EUR&amount={amount}"), exact(&amount) * rational(price) / whole(3), 2),
            ] {
                let found = result(&query, &feeds).unwrap();
                let digits = found.replace('.', "").parse::<BigInt>().unwrap();
                let found = BigRational::new(digits, BigInt::from(10).pow(decimals));
                let off = (found - wanted) * whole(10).pow(i32::try_from(decimals).unwrap()) * whole(2);
                proptest::prop_assert!(off <= whole(1) && off > whole(-1), "{}: off by {}", query, off);
            }
        }
    }
}
