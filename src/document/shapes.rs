//! The shapes of the JSON documents: the contract with developers, and the source of the OpenAPI schemas. Decimals
//! are strings with the source's digits, instants RFC 3339 with +07:00, an absent side is null and never 0.

use providers::{Channel, Feed, Quote, Reason, WeightUnit, convert_weight};
use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    board::{Served, ServedFeed, SourceState, Standing, Status},
    clock::rfc3339,
    judge::hold::Held,
    store::Kept,
};

use super::{as_of, difference};

pub mod history;

/// The three sections in one document.
#[derive(ToSchema)]
#[allow(dead_code, reason = "the schema of what the parent module puts together")]
pub struct Board {
    #[serde(flatten)]
    publish: Publish,
    /// Gold prices.
    gold: GoldSection,
    /// Exchange rates.
    fx: FxSection,
    /// Deposit rates.
    deposits: DepositSection,
}

/// Newest gold prices.
#[derive(ToSchema)]
#[allow(dead_code, reason = "the schema of what the parent module puts together")]
pub struct GoldList {
    /// `gold`
    #[schema(value_type = KindName)]
    kind: &'static str,
    #[serde(flatten)]
    publish: Publish,
    #[serde(flatten)]
    section: GoldSection,
}

/// Newest exchange rates.
#[derive(ToSchema)]
#[allow(dead_code, reason = "the schema of what the parent module puts together")]
pub struct FxList {
    /// `fx`
    #[schema(value_type = KindName)]
    kind: &'static str,
    #[serde(flatten)]
    publish: Publish,
    #[serde(flatten)]
    section: FxSection,
}

/// Newest deposit rates.
#[derive(ToSchema)]
#[allow(dead_code, reason = "the schema of what the parent module puts together")]
pub struct DepositList {
    /// `deposit`
    #[schema(value_type = KindName)]
    kind: &'static str,
    #[serde(flatten)]
    publish: Publish,
    #[serde(flatten)]
    section: DepositSection,
}

/// Every feed with its sources.
#[derive(ToSchema)]
#[allow(dead_code, reason = "the schema of what the parent module puts together")]
pub struct FeedList {
    #[serde(flatten)]
    publish: Publish,
    /// In document order.
    feeds: Vec<FeedDetail>,
}

/// At which publish the bytes of a document last changed.
#[derive(ToSchema)]
#[allow(dead_code, reason = "the schema of what the parent module puts together")]
pub struct Publish {
    /// Number of that publish; grows, and survives restarts.
    #[schema(minimum = 0)]
    version: i64,
    /// Its instant.
    #[schema(format = DateTime)]
    generated_at: String,
    /// Whether the figures are recorded ones, and not today's.
    recorded: bool,
}

/// Gold feeds and their quotes.
#[derive(ToSchema)]
#[allow(dead_code, reason = "the schema of what the parent module puts together")]
pub struct GoldSection {
    feeds: Vec<FeedJson>,
    quotes: Vec<GoldQuote>,
}

/// Exchange-rate feeds and their quotes.
#[derive(ToSchema)]
#[allow(dead_code, reason = "the schema of what the parent module puts together")]
pub struct FxSection {
    feeds: Vec<FeedJson>,
    quotes: Vec<FxQuote>,
}

/// Deposit feeds and their quotes.
#[derive(ToSchema)]
#[allow(dead_code, reason = "the schema of what the parent module puts together")]
pub struct DepositSection {
    feeds: Vec<FeedJson>,
    quotes: Vec<DepositQuote>,
}

/// A feed: one kind of figure from one institution.
#[derive(Serialize, ToSchema)]
#[schema(as = Feed)]
pub struct FeedJson {
    /// `<provider>.<kind>`
    #[schema(examples("bidv.fx"))]
    id: &'static str,
    /// The institution.
    #[schema(examples("bidv"))]
    provider: &'static str,
    /// Its own short name.
    #[schema(examples("BIDV"))]
    provider_name: &'static str,
    #[schema(value_type = KindName)]
    kind: &'static str,
    /// That of its best source.
    status: Status,
    /// Why the last run brought nothing, or why the figures are not fresh.
    #[schema(required, value_type = Option<ReasonJson>)]
    pub(crate) reason: Option<Reason>,
    /// When the source says that its figures hold: an instant, a plain date, or null if it says nothing.
    #[schema(required, examples("2026-09-30T09:30:00+07:00", "2026-09-30"))]
    pub(crate) as_of: Option<String>,
    /// When the newest of its values was first read.
    #[schema(required, format = DateTime)]
    fetched_at: Option<String>,
    /// Last answer that was accepted or unchanged.
    #[schema(required, format = DateTime)]
    checked_at: Option<String>,
    /// When a value last differed.
    #[schema(required, format = DateTime)]
    changed_at: Option<String>,
    /// From then on `stale`.
    #[schema(required, format = DateTime)]
    fresh_until: Option<String>,
    /// From then on `expired`.
    #[schema(required, format = DateTime)]
    expires_at: Option<String>,
    /// When the source is asked next.
    #[schema(required, format = DateTime)]
    next_refresh_at: Option<String>,
    /// The best source.
    #[schema(required, examples("board"))]
    source: Option<&'static str>,
    /// The third party that it is, if it is one.
    #[schema(required, examples("vang.today"))]
    via: Option<&'static str>,
    /// The institution's page for people.
    #[schema(format = "uri")]
    source_url: &'static str,
}

/// A feed with its sources and what is held back.
#[derive(Serialize, ToSchema)]
pub struct FeedDetail {
    #[serde(flatten)]
    pub(crate) feed: FeedJson,
    /// Five or six cron fields, Vietnamese time.
    #[schema(examples("*/10 8-17 * * Mon-Fri"))]
    schedule: String,
    /// In order of trust.
    pub(crate) sources: Vec<SourceJson>,
    /// Candidates that wait for confirmation.
    held: Vec<HeldJson>,
    /// Due runs since the last good answer that brought nothing.
    #[schema(minimum = 0)]
    missed: u32,
    /// Working days since that of the newest board on which a new one was due and did not come; 0 where the source
    /// states no day, and for rates, which stand for months.
    #[schema(minimum = 0)]
    missed_publishes: u32,
}

/// A place from which a feed is read.
#[derive(Serialize, ToSchema)]
#[schema(as = Source)]
pub struct SourceJson {
    id: &'static str,
    pub(crate) state: SourceStanding,
    /// Why it is skipped, off or failing.
    #[schema(required, value_type = Option<ReasonJson>)]
    pub(crate) reason: Option<Reason>,
    #[schema(required, format = DateTime)]
    last_attempt_at: Option<String>,
    /// `ok`, `unchanged`, or the class of the failure.
    #[schema(required, examples("ok", "timeout"))]
    last_outcome: Option<String>,
    /// Its address, without the adapter's own query.
    #[schema(format = "uri")]
    url: String,
    /// The third party that it is, if it is one.
    #[schema(required)]
    via: Option<&'static str>,
}

/// A candidate that is kept back beside the value that is served.
#[derive(Serialize, ToSchema)]
#[schema(as = Held)]
pub struct HeldJson {
    /// Id of the quote.
    pub(crate) quote: String,
    /// The figures that the source gives now, named and written as those of the quote.
    #[schema(value_type = Object)]
    pub(crate) candidate: serde_json::Value,
    /// The figures that are served; null where there are none.
    #[schema(value_type = Option<Object>)]
    pub(crate) serving: serde_json::Value,
    /// Why it is held.
    #[schema(value_type = Vec<ReasonJson>)]
    pub(crate) reasons: Vec<Reason>,
    #[schema(format = DateTime)]
    pub(crate) since: String,
}

/// What a source is doing.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SourceStanding {
    /// Its figures are served.
    Used,
    /// It answers; others are served.
    Standby,
    /// Its secret is not set.
    Skipped,
    /// Its last answer was no board.
    Failing,
    /// Switched off.
    Off,
}

/// Whose a quote is.
#[derive(Serialize, ToSchema)]
struct Identity {
    /// `feed.product[.place]`, `feed.CURRENCY[.variant]`, `feed.channel.term[.place]`
    #[schema(examples("bidv.fx.USD"))]
    id: String,
    feed: &'static str,
    provider: &'static str,
}

/// How old a quote is, and where it is from.
#[derive(Serialize, ToSchema)]
struct Age {
    /// When the source says that it holds: an instant, a plain date, or null if it says nothing.
    #[schema(required, examples("2026-09-30T09:30:00+07:00", "2026-09-30"))]
    as_of: Option<String>,
    /// Last answer that was accepted or unchanged.
    #[schema(format = DateTime)]
    checked_at: String,
    /// When the value last differed.
    #[schema(format = DateTime)]
    changed_at: String,
    /// From then on `stale`.
    #[schema(format = DateTime)]
    fresh_until: String,
    /// From then on `expired`.
    #[schema(format = DateTime)]
    expires_at: String,
    /// Which source of the feed.
    source: &'static str,
    /// The third party that it is, if it is one.
    #[schema(required)]
    via: Option<&'static str>,
    status: Status,
}

/// A gold price per `unit`.
#[derive(Serialize, ToSchema)]
pub struct GoldQuote {
    #[serde(flatten)]
    identity: Identity,
    /// A name that this project assigns.
    #[schema(examples("sjc-bar"))]
    product: String,
    /// The source's own product code.
    #[schema(required)]
    code: Option<String>,
    /// The source's own text.
    #[schema(required)]
    name: Option<String>,
    /// `hanoi`, `hcm`, or null where the price holds everywhere.
    #[schema(required)]
    place: Option<String>,
    #[schema(value_type = UnitName)]
    unit: &'static str,
    /// Money of the prices.
    #[schema(examples("VND"))]
    currency: String,
    /// What the house pays.
    #[schema(required, value_type = Option<DecimalText>)]
    buy: Option<Decimal>,
    /// What the house asks.
    #[schema(required, value_type = Option<DecimalText>)]
    sell: Option<Decimal>,
    /// Difference to the previous distinct value.
    #[schema(required, value_type = Option<DecimalText>)]
    change_buy: Option<Decimal>,
    /// Difference to the previous distinct value.
    #[schema(required, value_type = Option<DecimalText>)]
    change_sell: Option<Decimal>,
    #[serde(flatten)]
    age: Age,
}

/// An exchange rate: đồng for `per` units of `currency`.
#[derive(Serialize, ToSchema)]
pub struct FxQuote {
    #[serde(flatten)]
    identity: Identity,
    /// ISO 4217 code.
    #[schema(examples("USD"))]
    currency: String,
    /// Small notes at a price of their own.
    #[schema(required, examples("1-2-5"))]
    variant: Option<String>,
    /// The source's own text.
    #[schema(required)]
    name: Option<String>,
    /// How many units the rate is for.
    #[schema(minimum = 1)]
    per: u32,
    /// What the bank pays for notes.
    #[schema(required, value_type = Option<DecimalText>)]
    buy_cash: Option<Decimal>,
    /// What the bank pays by transfer.
    #[schema(required, value_type = Option<DecimalText>)]
    buy_transfer: Option<Decimal>,
    /// What the bank asks; by transfer where it has two prices.
    #[schema(required, value_type = Option<DecimalText>)]
    sell: Option<Decimal>,
    /// What the bank asks for notes, only where it has two prices.
    #[schema(required, value_type = Option<DecimalText>)]
    sell_cash: Option<Decimal>,
    /// Difference to the previous distinct value.
    #[schema(required, value_type = Option<DecimalText>)]
    change_buy_cash: Option<Decimal>,
    /// Difference to the previous distinct value.
    #[schema(required, value_type = Option<DecimalText>)]
    change_buy_transfer: Option<Decimal>,
    /// Difference to the previous distinct value.
    #[schema(required, value_type = Option<DecimalText>)]
    change_sell: Option<Decimal>,
    /// Difference to the previous distinct value.
    #[schema(required, value_type = Option<DecimalText>)]
    change_sell_cash: Option<Decimal>,
    #[serde(flatten)]
    age: Age,
}

/// A deposit rate for a term.
#[derive(Serialize, ToSchema)]
pub struct DepositQuote {
    #[serde(flatten)]
    identity: Identity,
    /// `demand`, `P6M` (months), `P7D` (days)
    #[schema(examples("P6M"))]
    term: String,
    /// 0 for demand, null for a term in days.
    #[schema(required)]
    term_months: Option<u16>,
    /// null: the source does not say.
    #[schema(required, value_type = Option<ChannelName>)]
    channel: Option<&'static str>,
    #[schema(value_type = CustomerName)]
    customer: &'static str,
    /// When interest is paid; null: the source does not say.
    #[schema(required)]
    payout: Option<String>,
    /// Region, where a bank's regions differ.
    #[schema(required)]
    place: Option<String>,
    /// Money of the deposit.
    currency: String,
    /// Smallest amount for this rate.
    #[schema(required, value_type = Option<DecimalText>)]
    min_amount: Option<Decimal>,
    /// Percent a year.
    #[schema(value_type = DecimalText)]
    rate_percent: Decimal,
    /// Difference to the previous distinct value, in points.
    #[schema(required, value_type = Option<DecimalText>)]
    change_rate_percent: Option<Decimal>,
    /// Since when, if the source says.
    #[schema(required, format = Date)]
    effective_from: Option<String>,
    #[serde(flatten)]
    age: Age,
}

/// A quote of any kind.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Quote)]
pub enum QuoteJson {
    /// Gold price.
    Gold(Box<GoldQuote>),
    /// Exchange rate.
    Fx(Box<FxQuote>),
    /// Deposit rate.
    Deposit(Box<DepositQuote>),
}

/// A decimal number with the source's own digits.
#[derive(ToSchema)]
#[schema(as = Decimal, value_type = String, pattern = r"^-?[0-9]+(\.[0-9]+)?$", examples("25890.00", "-500000"))]
#[allow(dead_code, reason = "the schema of a decimal")]
pub(crate) struct DecimalText(String);

/// A stable code and a sentence.
#[derive(ToSchema)]
#[schema(as = Reason)]
#[allow(dead_code, reason = "the schema of providers::Reason")]
struct ReasonJson {
    /// Stable.
    #[schema(examples("timeout"))]
    code: String,
    /// For people.
    message: String,
}

/// Kinds of figures.
#[derive(ToSchema)]
#[schema(as = Kind, rename_all = "lowercase")]
#[allow(dead_code, reason = "the schema of providers::Kind")]
enum KindName {
    Gold,
    Fx,
    Deposit,
}

/// Weights of gold: lượng (37.5 g), chỉ (3.75 g), gram, kilogram, troy ounce (31.1034768 g).
#[derive(ToSchema)]
#[schema(as = WeightUnit, rename_all = "lowercase")]
#[allow(dead_code, reason = "the schema of providers::WeightUnit")]
enum UnitName {
    Luong,
    Chi,
    Gram,
    Kg,
    Oz,
}

/// Where a deposit is made.
#[derive(ToSchema)]
#[schema(as = Channel, rename_all = "lowercase")]
#[allow(dead_code, reason = "the schema of providers::Channel")]
enum ChannelName {
    Counter,
    Online,
}

/// Whose deposit.
#[derive(ToSchema)]
#[schema(as = Customer, rename_all = "lowercase")]
#[allow(dead_code, reason = "the schema of providers::Customer")]
enum CustomerName {
    Personal,
    Corporate,
}

impl QuoteJson {
    /// A served quote of `feed`; gold per `unit`.
    #[must_use]
    pub fn of(feed: &'static Feed, provider: &'static str, served: &Served, unit: WeightUnit) -> Self {
        let kept = &served.kept;
        let identity = Identity { id: kept.quote.id(feed.id), feed: feed.id, provider };
        let age = Age {
            as_of: as_of(kept.as_of),
            checked_at: rfc3339(kept.checked_at),
            changed_at: rfc3339(kept.changed_at),
            fresh_until: rfc3339(served.freshness.fresh_until),
            expires_at: rfc3339(served.freshness.expires_at),
            source: served.source.id,
            via: served.source.via.map(|via| via.name),
            status: served.status,
        };
        match &kept.quote {
            Quote::Gold(now) => Self::Gold(Box::new(gold(identity, age, now, kept.previous.as_ref(), unit))),
            Quote::Fx(now) => Self::Fx(Box::new(fx(identity, age, now, kept.previous.as_ref()))),
            Quote::Deposit(now) => {
                Self::Deposit(Box::new(deposit(identity, age, now, kept.previous.as_ref())))
            }
        }
    }
}

fn gold(
    identity: Identity,
    age: Age,
    gold: &providers::Gold,
    previous: Option<&Quote>,
    unit: WeightUnit,
) -> GoldQuote {
    let per_unit = |side: Option<Decimal>, from| convert_weight(side?, from, unit, &gold.currency);
    let before = match previous {
        Some(Quote::Gold(previous)) => {
            (per_unit(previous.buy, previous.unit), per_unit(previous.sell, previous.unit))
        }
        _ => (None, None),
    };
    let (buy, sell) = (per_unit(gold.buy, gold.unit), per_unit(gold.sell, gold.unit));
    GoldQuote {
        identity,
        product: gold.product.to_string(),
        code: gold.code.clone(),
        name: gold.name.clone(),
        place: gold.place.as_ref().map(ToString::to_string),
        unit: unit.as_str(),
        currency: gold.currency.to_string(),
        buy,
        sell,
        change_buy: difference(buy, before.0),
        change_sell: difference(sell, before.1),
        age,
    }
}

fn fx(identity: Identity, age: Age, fx: &providers::Fx, previous: Option<&Quote>) -> FxQuote {
    let before = match previous {
        Some(Quote::Fx(previous)) if previous.per == fx.per => Some(previous),
        _ => None,
    };
    let change = |side: fn(&providers::Fx) -> Option<Decimal>| difference(side(fx), before.and_then(side));
    FxQuote {
        identity,
        currency: fx.currency.to_string(),
        variant: fx.variant.clone(),
        name: fx.name.clone(),
        per: fx.per,
        buy_cash: fx.buy_cash,
        buy_transfer: fx.buy_transfer,
        sell: fx.sell,
        sell_cash: fx.sell_cash,
        change_buy_cash: change(|fx| fx.buy_cash),
        change_buy_transfer: change(|fx| fx.buy_transfer),
        change_sell: change(|fx| fx.sell),
        change_sell_cash: change(|fx| fx.sell_cash),
        age,
    }
}

fn deposit(
    identity: Identity,
    age: Age,
    deposit: &providers::Deposit,
    previous: Option<&Quote>,
) -> DepositQuote {
    let before = match previous {
        Some(Quote::Deposit(previous)) => Some(previous.rate_percent),
        _ => None,
    };
    DepositQuote {
        identity,
        term: deposit.term.to_string(),
        term_months: deposit.term.months(),
        channel: deposit.channel.map(Channel::as_str),
        customer: deposit.customer.as_str(),
        payout: deposit.payout.as_ref().map(ToString::to_string),
        place: deposit.place.as_ref().map(ToString::to_string),
        currency: deposit.currency.to_string(),
        min_amount: deposit.min_amount,
        rate_percent: deposit.rate_percent,
        change_rate_percent: difference(Some(deposit.rate_percent), before),
        effective_from: deposit.effective_from.map(|day| day.to_string()),
        age,
    }
}

impl FeedJson {
    /// A feed as it is served.
    #[must_use]
    pub fn of(served: &ServedFeed) -> Self {
        let state = &served.state;
        let best = served.best.map(|(source, _)| source);
        let kept: Vec<&Kept> = state
            .sources
            .iter()
            .filter(|source| best.is_some_and(|best| best.id == source.source.id))
            .flat_map(|source| source.kept.values())
            .collect();
        let newest = kept.iter().max_by_key(|kept| kept.checked_at);
        let latest =
            |time: fn(&Kept) -> jiff::Timestamp| kept.iter().map(|kept| time(kept)).max().map(rfc3339);
        let waiting =
            || state.sources.iter().flat_map(|source| source.held.values()).find(|held| !held.refused);
        let reason = match (&state.failure, served.status) {
            (Some(failure), _) => Some(failure.clone()),
            (None, Status::Fresh | Status::Stale) if waiting().is_some() => {
                let why = waiting().and_then(|held| held.reasons.first());
                let why = why.map_or_else(String::new, |why| format!(": {}", why.message));
                Some(Reason::new("held", format!("a new value waits for confirmation{why}")))
            }
            (None, Status::Unavailable) => Some(Reason::new("not_yet", "no answer has been read yet")),
            (None, Status::Stale | Status::Expired) => Some(Reason::new("missed", "a due run was missed")),
            (None, Status::Fresh) => None,
        };
        Self {
            id: state.feed.id,
            provider: state.institution.id,
            provider_name: state.institution.name,
            kind: state.feed.kind.as_str(),
            status: served.status,
            reason,
            as_of: newest.and_then(|kept| as_of(kept.as_of)),
            fetched_at: latest(|kept| kept.fetched_at),
            checked_at: latest(|kept| kept.checked_at),
            changed_at: latest(|kept| kept.changed_at),
            fresh_until: served.best.map(|(_, freshness)| rfc3339(freshness.fresh_until)),
            expires_at: served.best.map(|(_, freshness)| rfc3339(freshness.expires_at)),
            next_refresh_at: state.next_refresh_at.map(rfc3339),
            source: best.map(|source| source.id),
            via: best.and_then(|source| source.via).map(|via| via.name),
            source_url: state.feed.page,
        }
    }
}

impl FeedDetail {
    /// A feed as it is served, with its sources.
    #[must_use]
    pub fn of(served: &ServedFeed) -> Self {
        Self {
            feed: FeedJson::of(served),
            schedule: served.state.rules.schedule.to_string(),
            sources: served.state.sources.iter().map(|source| SourceJson::of(served, source)).collect(),
            held: HeldJson::all(served),
            missed: served.state.missed,
            missed_publishes: served.state.missed_publishes,
        }
    }
}

impl HeldJson {
    fn all(served: &ServedFeed) -> Vec<Self> {
        let asked = served.state.sources.iter().filter(|source| source.standing == Standing::On);
        asked
            .flat_map(|source| source.held.values().map(move |held| (source.source, held)))
            .map(|(source, held)| Self::of(served, source, held))
            .collect()
    }

    /// One candidate of a source.
    #[must_use]
    pub fn of(served: &ServedFeed, source: &'static providers::Source, held: &Held) -> Self {
        let state = &served.state;
        let key = held.quote.key();
        let serving = served.quotes.iter().find(|quote| quote.kept.quote.key() == key);
        let kept = Kept {
            quote: held.quote.clone(),
            previous: None,
            as_of: held.as_of,
            fetched_at: held.since,
            checked_at: held.since,
            changed_at: held.since,
        };
        let freshness = state.rules.freshness(held.since);
        let candidate = Served { kept, freshness, status: Status::Fresh, source, held: true };
        let figures = |quote: &Served| {
            let json = QuoteJson::of(state.feed, state.institution.id, quote, WeightUnit::Luong);
            match serde_json::to_value(json) {
                Ok(serde_json::Value::Object(mut fields)) => {
                    fields.retain(|name, _| FIGURES.contains(&name.as_str()));
                    serde_json::Value::Object(fields)
                }
                _ => serde_json::Value::Null,
            }
        };
        let mut reasons = held.reasons.clone();
        if held.refused {
            reasons.push(Reason::new("refused", "the operator refused this value"));
        }
        Self {
            quote: held.quote.id(state.feed.id),
            candidate: figures(&candidate),
            serving: serving.map_or(serde_json::Value::Null, figures),
            reasons,
            since: rfc3339(held.since),
        }
    }
}

/// The figures of a quote of any kind, and when they hold.
const FIGURES: &[&str] = &["buy", "sell", "buy_cash", "buy_transfer", "sell_cash", "rate_percent", "as_of"];

impl SourceStanding {
    /// All of them.
    pub(crate) const ALL: [Self; 5] = [Self::Used, Self::Standby, Self::Skipped, Self::Failing, Self::Off];

    /// As documents write it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Used => "used",
            Self::Standby => "standby",
            Self::Skipped => "skipped",
            Self::Failing => "failing",
            Self::Off => "off",
        }
    }

    /// What a source of a feed is doing, and why where that is not as it should be.
    pub(crate) fn of(served: &ServedFeed, source: &SourceState) -> (Self, Option<Reason>) {
        let used = served.quotes.iter().any(|quote| quote.source.id == source.source.id);
        let failed = source.last.as_ref().and_then(|last| last.reason.clone());
        match &source.standing {
            Standing::Off => (Self::Off, Some(Reason::new("off", "switched off in the configuration"))),
            Standing::Skipped(secret) => (
                Self::Skipped,
                Some(Reason::new("secret_missing", format!("the secret {secret} is not set"))),
            ),
            Standing::On if failed.is_some() => (Self::Failing, failed),
            Standing::On if used => (Self::Used, None),
            Standing::On => (Self::Standby, None),
        }
    }
}

impl SourceJson {
    fn of(served: &ServedFeed, source: &SourceState) -> Self {
        let (state, reason) = SourceStanding::of(served, source);
        Self {
            id: source.source.id,
            state,
            reason,
            last_attempt_at: source.last.as_ref().map(|last| rfc3339(last.at)),
            last_outcome: source.last.as_ref().map(|last| last.outcome.clone()),
            url: source.url.clone(),
            via: source.source.via.map(|via| via.name),
        }
    }
}
