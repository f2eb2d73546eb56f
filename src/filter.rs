//! What a list is narrowed to: query parameters read into names that this project assigns, in one canonical order,
//! so that one selection has one cache key. What is not allowed is refused by name, with what is.

use std::fmt::Write as _;

use providers::{Channel, Customer, Kind, Quote, Term, WeightUnit};

use crate::board::{Served, ServedFeed};

/// Longer terms are nowhere offered; a bound keeps the number of distinct selections small.
const LONGEST_TERM: u16 = 999;

/// So many mistakes are told of one request: each lists what is allowed, and an answer must not outweigh its question.
pub const MOST_ERRORS: usize = 8;

/// One wrong parameter.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct WrongParameter {
    /// Its name.
    #[schema(examples("providers"))]
    pub parameter: String,
    /// What was given.
    #[schema(examples("acb"))]
    pub value: String,
    /// What is allowed.
    #[schema(examples(json!(["bidv", "vietcombank"])))]
    pub allowed: Vec<String>,
}

/// A selection of quotes of one kind; an empty list means all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    providers: Vec<&'static str>,
    products: Vec<String>,
    places: Vec<&'static str>,
    /// The weight that gold is given for.
    pub unit: Option<WeightUnit>,
    currencies: Vec<&'static str>,
    terms: Vec<Term>,
    channels: Vec<Option<Channel>>,
    customers: Vec<Customer>,
}

/// The parameters of a kind's list.
#[must_use]
pub const fn parameters(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Gold => &["providers", "products", "places", "unit"],
        Kind::Fx => &["providers", "currencies"],
        Kind::Deposit => &["providers", "terms", "channel", "customer"],
    }
}

impl Filter {
    /// Reads the parameters of a kind's list. `feeds` are those that exist here: others have no quotes.
    ///
    /// # Errors
    /// Every parameter that is unknown or has a value that is not allowed.
    pub fn read(
        kind: Kind,
        pairs: impl Iterator<Item = (String, String)>,
        feeds: &[ServedFeed],
    ) -> Result<Self, Vec<WrongParameter>> {
        let mut filter = Self::default();
        let mut wrong = Vec::new();
        for (parameter, value) in pairs {
            if wrong.len() == MOST_ERRORS {
                break;
            }
            if let Err(allowed) = filter.set(kind, &parameter, &value, &|kind| houses(feeds, kind)) {
                wrong.push(WrongParameter { parameter, value, allowed });
            }
        }
        if wrong.is_empty() { Ok(filter.canonical()) } else { Err(wrong) }
    }

    /// Reads one parameter of a widget that shows quotes of these kinds; `None`: it is none of theirs. A provider is
    /// allowed if it has a feed of any of the kinds.
    ///
    /// # Errors
    /// What is allowed.
    pub fn read_one(
        &mut self,
        kinds: &[Kind],
        parameter: &str,
        value: &str,
        houses: &dyn Fn(Kind) -> Vec<&'static str>,
    ) -> Option<Result<(), Vec<String>>> {
        let kind = *kinds.iter().find(|kind| parameters(**kind).contains(&parameter))?;
        let all = |_: Kind| {
            let mut all: Vec<&'static str> = kinds.iter().flat_map(|kind| houses(*kind)).collect();
            tidy(&mut all);
            all
        };
        Some(self.set(kind, parameter, value, &all))
    }

    /// As parameters, in canonical order.
    #[must_use]
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        let terms: Vec<String> = self.terms.iter().map(ToString::to_string).collect();
        let channels: Vec<&str> =
            self.channels.iter().map(|channel| channel.map_or("unknown", Channel::as_str)).collect();
        let customers: Vec<&str> = self.customers.iter().map(|customer| customer.as_str()).collect();
        [
            ("providers", self.providers.join(",")),
            ("products", self.products.join(",")),
            ("places", self.places.join(",")),
            ("unit", self.unit.map_or_else(String::new, |unit| unit.as_str().to_owned())),
            ("currencies", self.currencies.join(",")),
            ("terms", terms.join(",")),
            ("channel", channels.join(",")),
            ("customer", customers.join(",")),
        ]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .collect()
    }

    /// Gold products asked for; none: all.
    #[must_use]
    pub fn products(&self) -> &[String] {
        &self.products
    }

    /// Places asked for; none: all.
    #[must_use]
    pub fn places(&self) -> &[&'static str] {
        &self.places
    }

    /// Currencies asked for; none: all.
    #[must_use]
    pub fn currencies(&self) -> &[&'static str] {
        &self.currencies
    }

    /// Terms asked for; none: all.
    #[must_use]
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// Channels asked for, `None` being that of a source which states none; none: all.
    #[must_use]
    pub fn channels(&self) -> &[Option<Channel>] {
        &self.channels
    }

    /// One parameter; the error is what is allowed, nothing for one that does not exist.
    fn set(
        &mut self,
        kind: Kind,
        parameter: &str,
        value: &str,
        houses: &dyn Fn(Kind) -> Vec<&'static str>,
    ) -> Result<(), Vec<String>> {
        if !parameters(kind).contains(&parameter) {
            return Err(parameters(kind).iter().copied().chain(["at"]).map(str::to_owned).collect());
        }
        match parameter {
            "providers" => {
                let known = houses(kind);
                read_list(value, &mut self.providers, |name| same(name, &known), || texts(&known))
            }
            "products" => read_list(value, &mut self.products, product, products),
            "places" => read_list(
                value,
                &mut self.places,
                |name| same(name, providers::PLACES),
                || texts(providers::PLACES),
            ),
            "unit" => {
                let name = value.trim();
                let found = WeightUnit::ALL.iter().find(|unit| unit.as_str().eq_ignore_ascii_case(name));
                let unit = *found.ok_or_else(|| texts(&WeightUnit::ALL.map(WeightUnit::as_str)))?;
                match self.unit.replace(unit) {
                    // Two units for one list: neither is meant more than the other.
                    Some(before) if before != unit => Err(texts(&["the parameter once"])),
                    _ => Ok(()),
                }
            }
            "currencies" => read_list(
                value,
                &mut self.currencies,
                |code| same(code, providers::CURRENCIES),
                || texts(providers::CURRENCIES),
            ),
            "terms" => read_list(value, &mut self.terms, term, || {
                texts(&["demand", "P1M…P999M or 1…999 (months)", "P1D…P999D (days)"])
            }),
            "channel" => read_list(value, &mut self.channels, channel, || texts(CHANNELS)),
            _ => read_list(
                value,
                &mut self.customers,
                |name| CUSTOMERS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, c)| *c),
                || CUSTOMERS.iter().map(|(name, _)| (*name).to_owned()).collect(),
            ),
        }
    }

    /// Sorted, each value once, without what is the default anyway.
    #[must_use]
    pub fn canonical(mut self) -> Self {
        self.unit = self.unit.filter(|unit| *unit != WeightUnit::Luong);
        tidy(&mut self.providers);
        tidy(&mut self.products);
        tidy(&mut self.places);
        tidy(&mut self.currencies);
        tidy(&mut self.terms);
        self.channels.sort_unstable_by_key(|channel| channel.map(Channel::as_str));
        self.channels.dedup();
        self.customers.sort_unstable_by_key(|customer| customer.as_str());
        self.customers.dedup();
        self
    }

    /// Whether everything passes unchanged.
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// The same text for the same selection, however it was written.
    #[must_use]
    pub fn key(&self) -> String {
        let mut key = String::new();
        let mut part = |name: char, values: &mut dyn Iterator<Item = &str>| {
            for (at, value) in values.enumerate() {
                // Into a string: cannot fail.
                let _ = if at == 0 { write!(key, ";{name}{value}") } else { write!(key, ",{value}") };
            }
        };
        part('p', &mut self.providers.iter().copied());
        part('o', &mut self.products.iter().map(String::as_str));
        part('l', &mut self.places.iter().copied());
        part('u', &mut self.unit.iter().map(|unit| unit.as_str()));
        part('c', &mut self.currencies.iter().copied());
        let terms: Vec<String> = self.terms.iter().map(ToString::to_string).collect();
        part('t', &mut terms.iter().map(String::as_str));
        part('h', &mut self.channels.iter().map(|channel| channel.map_or("unknown", Channel::as_str)));
        part('k', &mut self.customers.iter().map(|customer| customer.as_str()));
        key
    }

    /// The providers that are asked for by name; none: all of them.
    #[must_use]
    pub fn providers(&self) -> &[&'static str] {
        &self.providers
    }

    /// Whether rates for these customers are in the selection.
    #[must_use]
    pub fn keeps_customer(&self, customer: Customer) -> bool {
        self.customers.is_empty() || self.customers.contains(&customer)
    }

    /// Whether a feed of this provider is in the selection.
    #[must_use]
    pub fn keeps_provider(&self, provider: &str) -> bool {
        self.providers.is_empty() || self.providers.contains(&provider)
    }

    /// Whether a quote, as the documents write it, is in the selection, its provider included.
    #[must_use]
    pub fn keeps_json(&self, quote: &serde_json::Value) -> bool {
        let text = |field: &str| quote.get(field).and_then(serde_json::Value::as_str);
        let among = |list: &[&str], field: &str| {
            list.is_empty() || text(field).is_some_and(|value| list.contains(&value))
        };
        let products: Vec<&str> = self.products.iter().map(String::as_str).collect();
        let customers: Vec<&str> = self.customers.iter().map(|customer| customer.as_str()).collect();
        let term = text("term").and_then(|term| term.parse().ok());
        let channel = text("channel");
        among(&self.providers, "provider")
            && among(&products, "product")
            && among(&self.places, "place")
            && among(&self.currencies, "currency")
            && (self.terms.is_empty() || term.is_some_and(|term: Term| self.terms.contains(&term)))
            && (self.channels.is_empty()
                || self.channels.iter().any(|known| known.map(Channel::as_str) == channel))
            && among(&customers, "customer")
    }

    /// Whether a quote of a selected provider is in the selection.
    #[must_use]
    pub fn keeps(&self, served: &Served) -> bool {
        self.keeps_quote(&served.kept.quote)
    }

    /// Whether a quote of a selected provider is in the selection, whenever it was given.
    #[must_use]
    pub fn keeps_quote(&self, quote: &Quote) -> bool {
        fn among<T: PartialEq>(list: &[T], value: &T) -> bool {
            list.is_empty() || list.contains(value)
        }
        match quote {
            Quote::Gold(gold) => {
                (self.products.is_empty() || self.products.iter().any(|known| *known == gold.product))
                    && (self.places.is_empty()
                        || gold.place.as_deref().is_some_and(|place| self.places.contains(&place)))
            }
            Quote::Fx(fx) => among(&self.currencies, &fx.currency.as_ref()),
            Quote::Deposit(deposit) => {
                among(&self.terms, &deposit.term)
                    && among(&self.channels, &deposit.channel)
                    && among(&self.customers, &deposit.customer)
            }
        }
    }
}

/// Institutions with an enabled feed of this kind.
#[must_use]
pub fn houses(feeds: &[ServedFeed], kind: Kind) -> Vec<&'static str> {
    feeds.iter().filter(|feed| feed.state.feed.kind == kind).map(|feed| feed.state.institution.id).collect()
}

/// Channels as the parameter names them; `unknown` is that of a source which states none.
pub const CHANNELS: &[&str] = &["counter", "online", "unknown"];
const CUSTOMERS: &[(&str, Customer)] =
    &[("personal", Customer::Personal), ("corporate", Customer::Corporate)];

fn tidy<T: Ord>(list: &mut Vec<T>) {
    list.sort_unstable();
    list.dedup();
}

pub(crate) fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

/// A comma list. Nothing between two commas is nothing that could be allowed.
pub(crate) fn read_list<T>(
    value: &str,
    into: &mut Vec<T>,
    read: impl Fn(&str) -> Option<T>,
    allowed: impl Fn() -> Vec<String>,
) -> Result<(), Vec<String>> {
    for part in value.split(',') {
        into.push(read(part.trim()).ok_or_else(&allowed)?);
    }
    Ok(())
}

pub(crate) fn same(name: &str, known: &[&'static str]) -> Option<&'static str> {
    known.iter().copied().find(|known| known.eq_ignore_ascii_case(name))
}

/// A product of the catalogue, or its wholesale twin.
fn product(name: &str) -> Option<String> {
    let name = name.to_ascii_lowercase();
    let plain = name.strip_suffix("-wholesale").unwrap_or(&name);
    providers::PRODUCTS.contains(&plain).then_some(name)
}

/// Every product of the catalogue.
#[must_use]
pub fn products() -> Vec<String> {
    let plain = providers::PRODUCTS.iter().map(|name| (*name).to_owned());
    plain.chain(providers::PRODUCTS.iter().map(|name| format!("{name}-wholesale"))).collect()
}

/// `demand`, `P6M`, `6`, `P7D`, in any case of letters.
fn term(text: &str) -> Option<Term> {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let upper = text.to_ascii_uppercase();
    let number = upper.strip_prefix('P').and_then(|rest| rest.strip_suffix(['M', 'D'])).unwrap_or(&upper);
    if text.eq_ignore_ascii_case("demand") {
        return Some(Term::Demand);
    }
    if !digits(number) {
        return None;
    }
    match upper.parse().ok()? {
        Term::Demand => Some(Term::Demand),
        Term::Days(days) => (1..=LONGEST_TERM).contains(&days).then_some(Term::Days(days)),
        Term::Months(months) => (1..=LONGEST_TERM).contains(&months).then_some(Term::Months(months)),
    }
}

#[allow(clippy::option_option, reason = "found, and what a source states")]
fn channel(name: &str) -> Option<Option<Channel>> {
    match same(name, CHANNELS)? {
        "counter" => Some(Some(Channel::Counter)),
        "online" => Some(Some(Channel::Online)),
        _ => Some(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: Kind, query: &str) -> Result<Filter, Vec<WrongParameter>> {
        let pairs = url::form_urlencoded::parse(query.as_bytes())
            .map(|(name, value)| (name.into_owned(), value.into_owned()));
        Filter::read(kind, pairs, &[])
    }

    #[test]
    fn one_selection_has_one_key_however_it_is_written() {
        for (kind, one, other) in [
            (Kind::Gold, "products=ring-9999,sjc-bar", "products=SJC-bar&products=ring-9999,ring-9999"),
            (Kind::Gold, "unit=luong", ""),
            (Kind::Gold, "unit=CHI&places=hcm,hanoi", "places=hanoi,hcm&unit=chi"),
            (Kind::Gold, "unit=%20chi&unit=chi+", "unit=chi"),
            (Kind::Fx, "currencies=usd%2Ceur", "currencies=EUR,+USD"),
            (Kind::Deposit, "terms=6,demand", "terms=P6M&terms=0"),
            (Kind::Deposit, "terms=p12m,P7D", "terms=P7D,012"),
            (Kind::Deposit, "channel=unknown,online", "channel=Online,Unknown"),
        ] {
            let (one, other) = (read(kind, one).unwrap(), read(kind, other).unwrap());
            assert_eq!((one.key(), &one), (other.key(), &other));
        }
        assert!(read(Kind::Gold, "unit=luong").unwrap().is_all());
        assert_eq!(
            read(Kind::Deposit, "terms=6&customer=personal&channel=counter").unwrap().key(),
            ";tP6M;hcounter;kpersonal"
        );
    }

    #[test]
    fn what_is_not_allowed_is_named_with_what_is() {
        for (kind, query, parameter, part) in [
            (Kind::Gold, "unit=stone", "unit", "luong"),
            (Kind::Gold, "unit=chi&unit=gram", "unit", "the parameter once"),
            (Kind::Gold, "unit=chi&unit=stone", "unit", "gram"),
            (Kind::Gold, "unit=", "unit", "kg"),
            (Kind::Gold, "products=ring", "products", "ring-9999"),
            (Kind::Gold, "products=sjc-bar,", "products", "sjc-bar"),
            (Kind::Gold, "places=saigon", "places", "hcm"),
            (Kind::Gold, "currencies=USD", "currencies", "products"),
            (Kind::Fx, "currencies=XAU", "currencies", "USD"),
            (Kind::Fx, "colour=%3Cb%3E", "colour", "providers"),
            (Kind::Deposit, "terms=6M", "terms", "demand"),
            (Kind::Deposit, "terms=%2B6", "terms", "demand"),
            (Kind::Deposit, "terms=P0M", "terms", "demand"),
            (Kind::Deposit, "terms=1000", "terms", "demand"),
            (Kind::Deposit, "terms=99999999999", "terms", "demand"),
            (Kind::Deposit, "channel=branch", "channel", "counter"),
            (Kind::Deposit, "customer=dog", "customer", "corporate"),
        ] {
            let wrong = read(kind, query).unwrap_err();
            assert_eq!(wrong.len(), 1, "{query}");
            assert_eq!(wrong[0].parameter, parameter, "{query}");
            assert!(wrong[0].allowed.iter().any(|allowed| allowed.contains(part)), "{query}: {wrong:?}");
        }
        assert_eq!(read(Kind::Fx, "a=1&b=2&currencies=QQQ").unwrap_err().len(), 3, "all of them at once");
    }
}
