//! JSON documents: from what is served to bytes, once per publish. Decimals are strings with the source's digits,
//! instants are RFC 3339 with +07:00, an absent side is null. Nothing here is an age: caches keep these bytes.

use std::io;

use bytes::Bytes;
use jiff::Timestamp;
use providers::{AsOf, Channel, Kind, Quote, Reason, Term, WeightUnit, convert_weight};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::{
    board::{Scope, Served, ServedFeed, SourceState, Standing, Status},
    clock::rfc3339,
    store::{Kept, Published},
};

/// One encoded document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// JSON.
    pub body: Bytes,
    /// Strong, quoted.
    pub etag: String,
    /// When the first of its feeds is refreshed next.
    pub next_refresh_at: Option<Timestamp>,
    /// When the first of its feeds expires of those that have not.
    pub expires_at: Option<Timestamp>,
}

/// A document without version and time, and its hash.
pub struct Content {
    json: Vec<u8>,
    /// Equal hashes, equal bytes.
    pub hash: String,
}

/// A feed as documents show it.
#[derive(Debug, Serialize)]
struct FeedJson<'a> {
    id: &'a str,
    provider: &'a str,
    provider_name: &'a str,
    kind: Kind,
    status: &'static str,
    reason: Option<Reason>,
    as_of: Option<String>,
    fetched_at: Option<String>,
    checked_at: Option<String>,
    changed_at: Option<String>,
    fresh_until: Option<String>,
    expires_at: Option<String>,
    next_refresh_at: Option<String>,
    source: Option<&'a str>,
    via: Option<&'a str>,
    source_url: &'a str,
    #[serde(flatten)]
    more: Option<FeedMoreJson<'a>>,
}

#[derive(Debug, Serialize)]
struct FeedMoreJson<'a> {
    schedule: String,
    sources: Vec<SourceJson<'a>>,
    held: [(); 0],
    missed: u32,
}

#[derive(Debug, Serialize)]
struct SourceJson<'a> {
    id: &'a str,
    state: &'static str,
    reason: Option<Reason>,
    last_attempt_at: Option<String>,
    last_outcome: Option<&'a str>,
    url: &'a str,
    via: Option<&'a str>,
}

/// A quote of any kind as documents show it.
#[derive(Debug, Serialize)]
pub struct QuoteJson {
    id: String,
    feed: &'static str,
    provider: &'static str,
    #[serde(flatten)]
    figures: Figures,
    as_of: Option<String>,
    checked_at: String,
    changed_at: String,
    fresh_until: String,
    expires_at: String,
    source: &'static str,
    via: Option<&'static str>,
    status: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Figures {
    Gold {
        product: String,
        code: Option<String>,
        name: Option<String>,
        place: Option<String>,
        unit: &'static str,
        currency: String,
        buy: Option<Decimal>,
        sell: Option<Decimal>,
        change_buy: Option<Decimal>,
        change_sell: Option<Decimal>,
    },
    Fx {
        currency: String,
        variant: Option<String>,
        name: Option<String>,
        per: u32,
        buy_cash: Option<Decimal>,
        buy_transfer: Option<Decimal>,
        sell: Option<Decimal>,
        sell_cash: Option<Decimal>,
        change_buy_cash: Option<Decimal>,
        change_buy_transfer: Option<Decimal>,
        change_sell: Option<Decimal>,
        change_sell_cash: Option<Decimal>,
    },
    Deposit {
        term: Term,
        term_months: Option<u16>,
        channel: Option<Channel>,
        customer: providers::Customer,
        payout: Option<String>,
        place: Option<String>,
        currency: String,
        min_amount: Option<Decimal>,
        rate_percent: Decimal,
        change_rate_percent: Option<Decimal>,
        effective_from: Option<String>,
    },
}

impl QuoteJson {
    /// A served quote of `feed`; gold per lượng.
    #[must_use]
    pub fn of(feed: &'static providers::Feed, provider: &'static str, served: &Served) -> Self {
        let kept = &served.kept;
        Self {
            id: kept.quote.id(feed.id),
            feed: feed.id,
            provider,
            figures: figures(kept),
            as_of: as_of(kept.as_of),
            checked_at: rfc3339(kept.checked_at),
            changed_at: rfc3339(kept.changed_at),
            fresh_until: rfc3339(served.freshness.fresh_until),
            expires_at: rfc3339(served.freshness.expires_at),
            source: served.source.id,
            via: served.source.via.map(|via| via.name),
            status: served.status.as_str(),
        }
    }
}

fn figures(kept: &Kept) -> Figures {
    match (&kept.quote, &kept.previous) {
        (Quote::Gold(gold), previous) => {
            let per_luong =
                |side: Option<Decimal>, unit| convert_weight(side?, unit, WeightUnit::Luong, &gold.currency);
            let before = match previous {
                Some(Quote::Gold(previous)) => {
                    (per_luong(previous.buy, previous.unit), per_luong(previous.sell, previous.unit))
                }
                _ => (None, None),
            };
            let (buy, sell) = (per_luong(gold.buy, gold.unit), per_luong(gold.sell, gold.unit));
            Figures::Gold {
                product: gold.product.to_string(),
                code: gold.code.clone(),
                name: gold.name.clone(),
                place: gold.place.as_ref().map(ToString::to_string),
                unit: WeightUnit::Luong.as_str(),
                currency: gold.currency.to_string(),
                buy,
                sell,
                change_buy: difference(buy, before.0),
                change_sell: difference(sell, before.1),
            }
        }
        (Quote::Fx(fx), previous) => {
            let before = match previous {
                Some(Quote::Fx(previous)) if previous.per == fx.per => Some(previous),
                _ => None,
            };
            let change =
                |side: fn(&providers::Fx) -> Option<Decimal>| difference(side(fx), before.and_then(side));
            Figures::Fx {
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
            }
        }
        (Quote::Deposit(deposit), previous) => {
            let before = match previous {
                Some(Quote::Deposit(previous)) => Some(previous.rate_percent),
                _ => None,
            };
            Figures::Deposit {
                term: deposit.term,
                term_months: deposit.term.months(),
                channel: deposit.channel,
                customer: deposit.customer,
                payout: deposit.payout.as_ref().map(ToString::to_string),
                place: deposit.place.as_ref().map(ToString::to_string),
                currency: deposit.currency.to_string(),
                min_amount: deposit.min_amount,
                rate_percent: deposit.rate_percent,
                change_rate_percent: difference(Some(deposit.rate_percent), before),
                effective_from: deposit.effective_from.map(|day| day.to_string()),
            }
        }
    }
}

/// The change of one side; `None` when it or its predecessor is not quoted.
pub(crate) fn difference(now: Option<Decimal>, before: Option<Decimal>) -> Option<Decimal> {
    now?.checked_sub(before?)
}

/// An instant, a plain date, or null.
#[must_use]
pub fn as_of(as_of: AsOf) -> Option<String> {
    match as_of {
        AsOf::At(at) => Some(rfc3339(at)),
        AsOf::On(day) => Some(day.to_string()),
        AsOf::Unstated => None,
    }
}

fn feed_json(served: &ServedFeed, more: bool) -> FeedJson<'_> {
    let state = &served.state;
    let best = served.best.map(|(source, _)| source);
    let kept: Vec<&Kept> = state
        .sources
        .iter()
        .filter(|source| best.is_some_and(|best| best.id == source.source.id))
        .flat_map(|source| source.kept.values())
        .collect();
    let newest = kept.iter().max_by_key(|kept| kept.checked_at);
    let latest = |time: fn(&Kept) -> Timestamp| kept.iter().map(|kept| time(kept)).max().map(rfc3339);
    let reason = match (&state.failure, served.status) {
        (Some(failure), _) => Some(failure.clone()),
        (None, Status::Unavailable) => Some(Reason::new("not_yet", "no answer has been read yet")),
        (None, Status::Stale | Status::Expired) => Some(Reason::new("missed", "a due run was missed")),
        (None, Status::Fresh) => None,
    };
    FeedJson {
        id: state.feed.id,
        provider: state.institution.id,
        provider_name: state.institution.name,
        kind: state.feed.kind,
        status: served.status.as_str(),
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
        more: more.then(|| FeedMoreJson {
            schedule: state.rules.schedule.to_string(),
            sources: state.sources.iter().map(|source| source_json(served, source)).collect(),
            held: [],
            missed: 0,
        }),
    }
}

fn source_json<'a>(served: &ServedFeed, source: &'a SourceState) -> SourceJson<'a> {
    let used = served.quotes.iter().any(|quote| quote.source.id == source.source.id);
    let failed = source.last.as_ref().and_then(|last| last.reason.clone());
    let (state, reason) = match &source.standing {
        Standing::Off => ("off", Some(Reason::new("off", "switched off in the configuration"))),
        Standing::Skipped(secret) => {
            ("skipped", Some(Reason::new("secret_missing", format!("the secret {secret} is not set"))))
        }
        Standing::On if failed.is_some() => ("failing", failed),
        Standing::On if used => ("used", None),
        Standing::On => ("standby", None),
    };
    SourceJson {
        id: source.source.id,
        state,
        reason,
        last_attempt_at: source.last.as_ref().map(|last| rfc3339(last.at)),
        last_outcome: source.last.as_ref().map(|last| last.outcome.as_str()),
        url: &source.url,
        via: source.source.via.map(|via| via.name),
    }
}

#[derive(Serialize)]
struct Section<'a> {
    feeds: Vec<FeedJson<'a>>,
    quotes: Vec<QuoteJson>,
}

fn section(kind: Kind, feeds: &[ServedFeed]) -> Section<'_> {
    let feeds: Vec<&ServedFeed> = feeds.iter().filter(|served| served.state.feed.kind == kind).collect();
    Section {
        feeds: feeds.iter().map(|served| feed_json(served, false)).collect(),
        quotes: feeds
            .iter()
            .flat_map(|served| {
                served
                    .quotes
                    .iter()
                    .map(|quote| QuoteJson::of(served.state.feed, served.state.institution.id, quote))
            })
            .collect(),
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Body<'a> {
    Kind(Section<'a>),
    Board { gold: Section<'a>, fx: Section<'a>, deposits: Section<'a> },
    Feeds { feeds: Vec<FeedJson<'a>> },
}

/// A document's content without version and time.
#[must_use]
pub fn content(scope: Scope, feeds: &[ServedFeed], recorded: bool) -> Content {
    let body = match scope {
        Scope::Kind(kind) => Body::Kind(section(kind, feeds)),
        Scope::Board => Body::Board {
            gold: section(Kind::Gold, feeds),
            fx: section(Kind::Fx, feeds),
            deposits: section(Kind::Deposit, feeds),
        },
        Scope::Feeds => Body::Feeds { feeds: feeds.iter().map(|served| feed_json(served, true)).collect() },
    };
    let mut json = format!("\"recorded\":{recorded},").into_bytes();
    let inner = encode(&body);
    json.extend_from_slice(inner.get(1..).unwrap_or_default());
    let hash = format!("{:016x}", xxh3_64(&json));
    Content { json, hash }
}

/// The whole document, with the publish at which it last changed.
#[must_use]
pub fn finish(scope: Scope, content: &Content, published: &Published, feeds: &[ServedFeed]) -> Document {
    let kind = match scope {
        Scope::Kind(kind) => format!("\"kind\":\"{}\",", kind.as_str()),
        Scope::Board | Scope::Feeds => String::new(),
    };
    let mut json = format!(
        "{{{kind}\"version\":{},\"generated_at\":\"{}\",",
        published.version,
        rfc3339(published.generated_at)
    )
    .into_bytes();
    json.extend_from_slice(&content.json);
    let own = || feeds.iter().filter(|served| scope.holds(served.state.feed.kind));
    Document {
        etag: etag(&json),
        body: Bytes::from(json),
        next_refresh_at: own().filter_map(|served| served.state.next_refresh_at).min(),
        expires_at: own()
            .filter(|served| served.status < Status::Expired)
            .filter_map(|served| served.best)
            .map(|(_, freshness)| freshness.expires_at)
            .min(),
    }
}

/// Strong: of the bytes.
#[must_use]
pub fn etag(bytes: &[u8]) -> String {
    format!("\"{:032x}\"", xxh3_128(bytes))
}

/// JSON that stays harmless inside HTML: `<`, `>` and `&` are escaped.
#[must_use]
pub fn encode(value: &impl Serialize) -> Vec<u8> {
    let mut json = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut json, HtmlSafe);
    // Our own plain types, whose keys are strings, into memory: this does not fail.
    if let Err(error) = value.serialize(&mut serializer) {
        tracing::error!(%error, "a document could not be written");
    }
    json
}

struct HtmlSafe;

impl Formatter for HtmlSafe {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        for part in fragment.split_inclusive(['<', '>', '&']) {
            let (text, escape) = match part.as_bytes().last() {
                Some(b'<') => (part.strip_suffix('<'), "\\u003c"),
                Some(b'>') => (part.strip_suffix('>'), "\\u003e"),
                Some(b'&') => (part.strip_suffix('&'), "\\u0026"),
                _ => (None, ""),
            };
            CompactFormatter.write_string_fragment(writer, text.unwrap_or(part))?;
            writer.write_all(escape.as_bytes())?;
        }
        Ok(())
    }
}

/// The stable order of quotes in every list.
#[must_use]
pub fn order(quote: &Quote) -> (u16, u16, String, String) {
    const CURRENCIES: &[&str] =
        &["USD", "EUR", "GBP", "JPY", "AUD", "CNY", "KRW", "SGD", "THB", "CAD", "CHF", "HKD", "NZD", "TWD"];
    let rank = |list: &[&str], name: &str| {
        u16::try_from(list.iter().position(|known| *known == name).unwrap_or(list.len())).unwrap_or(u16::MAX)
    };
    match quote {
        Quote::Gold(gold) => {
            let plain = gold.product.strip_suffix("-wholesale");
            (
                rank(providers::PRODUCTS, plain.unwrap_or(&gold.product)),
                u16::from(plain.is_some()),
                gold.product.to_string(),
                gold.place.as_ref().map_or_else(String::new, ToString::to_string),
            )
        }
        Quote::Fx(fx) => (
            rank(CURRENCIES, &fx.currency),
            u16::from(fx.variant.is_some()),
            fx.currency.to_string(),
            fx.variant.clone().unwrap_or_default(),
        ),
        Quote::Deposit(deposit) => {
            let channel = match deposit.channel {
                Some(Channel::Counter) => 0,
                Some(Channel::Online) => 1,
                None => 2,
            };
            let days = match deposit.term {
                Term::Demand => 0,
                Term::Days(days) => days,
                Term::Months(months) => months.saturating_mul(30),
            };
            (
                channel,
                days,
                deposit.term.to_string(),
                deposit.place.as_ref().map_or_else(String::new, ToString::to_string),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_harmless_inside_html() {
        let json = encode(&["</script><b>&amp;", "a\"b\u{1}"]);
        assert_eq!(
            String::from_utf8(json).unwrap(),
            "[\"\\u003c/script\\u003e\\u003cb\\u003e\\u0026amp;\",\"a\\\"b\\u0001\"]"
        );
    }
}
