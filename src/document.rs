//! Documents: from what is served to bytes, once per publish. Nothing here is an age: caches keep these bytes.

pub mod atom;
pub mod csv;
pub mod shapes;

use std::{io, sync::Arc};

use jiff::Timestamp;
use providers::{AsOf, Channel, Kind, Quote, Term, WeightUnit};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    board::{Scope, ServedFeed, Status},
    clock::rfc3339,
    filter::Filter,
    http::{cache::CachePolicy, data, encoded::Encoded},
    store::Published,
};
use shapes::{FeedDetail, FeedJson, QuoteJson};

/// One encoded document.
#[derive(Debug)]
pub struct Document {
    /// In every coding.
    pub encoded: Arc<Encoded>,
    /// The publish at which its bytes last changed.
    pub published: Published,
    /// For how long it holds.
    pub policy: CachePolicy,
}

/// The publish at which something last changed, and for how long it holds.
#[derive(Debug, Clone, Copy)]
pub struct Edition {
    /// Number of the publish.
    pub version: i64,
    /// Its instant.
    pub generated_at: Timestamp,
    /// For how long it holds.
    pub policy: CachePolicy,
}

impl Edition {
    /// Of a publish.
    #[must_use]
    pub const fn of(published: &Published, policy: CachePolicy) -> Self {
        Self { version: published.version, generated_at: published.generated_at, policy }
    }

    /// Of both together: the newer one, until the first of them changes.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let newer = if other.version > self.version { other } else { self };
        Self { policy: self.policy.and(other.policy), ..newer }
    }
}

impl Document {
    /// Version, time and policy.
    #[must_use]
    pub const fn edition(&self) -> Edition {
        Edition::of(&self.published, self.policy)
    }
}

/// A document without version and time, and its hash.
pub struct Content {
    json: Vec<u8>,
    /// Equal hashes, equal bytes.
    pub hash: String,
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

#[derive(Serialize)]
struct Section {
    feeds: Vec<FeedJson>,
    quotes: Vec<QuoteJson>,
}

/// The feeds of a kind that are selected, each with the quotes that are.
fn selected<'a>(
    kind: Kind,
    feeds: &'a [ServedFeed],
    filter: &'a Filter,
) -> impl Iterator<Item = (&'a ServedFeed, Vec<QuoteJson>)> {
    let unit = filter.unit.unwrap_or(WeightUnit::Luong);
    feeds
        .iter()
        .filter(move |served| {
            served.state.feed.kind == kind && filter.keeps_provider(served.state.institution.id)
        })
        .map(move |served| {
            let quotes = served.quotes.iter().filter(|quote| filter.keeps(quote));
            let (feed, provider) = (served.state.feed, served.state.institution.id);
            (served, quotes.map(|quote| QuoteJson::of(feed, provider, quote, unit)).collect())
        })
}

fn section(kind: Kind, feeds: &[ServedFeed], filter: &Filter) -> Section {
    let mut section = Section { feeds: Vec::new(), quotes: Vec::new() };
    for (served, quotes) in selected(kind, feeds, filter) {
        section.feeds.push(FeedJson::of(served));
        section.quotes.extend(quotes);
    }
    section
}

#[derive(Serialize)]
#[serde(untagged)]
enum Body {
    Kind(Section),
    Board { gold: Section, fx: Section, deposits: Section },
    Feeds { feeds: Vec<FeedDetail> },
}

/// A document's content without version and time.
#[must_use]
pub fn content(scope: Scope, feeds: &[ServedFeed], recorded: bool, filter: &Filter) -> Content {
    let body = match scope {
        Scope::Kind(kind) => Body::Kind(section(kind, feeds, filter)),
        Scope::Board => Body::Board {
            gold: section(Kind::Gold, feeds, filter),
            fx: section(Kind::Fx, feeds, filter),
            deposits: section(Kind::Deposit, feeds, filter),
        },
        Scope::Feeds => Body::Feeds { feeds: feeds.iter().map(FeedDetail::of).collect() },
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
    let policy = policy(scope, feeds);
    let json = whole(scope, content, Edition::of(published, policy));
    Document { encoded: Arc::new(data("application/json", json)), published: published.clone(), policy }
}

/// Part of a kind's document: the selected feeds and quotes, with the version and time of those feeds.
#[must_use]
pub fn part(kind: Kind, feeds: &[ServedFeed], recorded: bool, filter: &Filter, edition: Edition) -> Encoded {
    let scope = Scope::Kind(kind);
    let content = content(scope, feeds, recorded, filter);
    data("application/json", whole(scope, &content, edition))
}

/// A document of the past, or part of it: it has the moment instead of a publish, and no number.
#[must_use]
pub fn past(scope: Scope, feeds: &[ServedFeed], recorded: bool, filter: &Filter, at: Timestamp) -> Encoded {
    let content = content(scope, feeds, recorded, filter);
    let edition = Edition { version: 0, generated_at: at, policy: CachePolicy::Immutable };
    data("application/json", whole(scope, &content, edition))
}

/// The CSV twin of a kind's document, or of a part of it.
#[must_use]
pub fn csv_twin(kind: Kind, feeds: &[ServedFeed], filter: &Filter) -> Encoded {
    let quotes: Vec<QuoteJson> = selected(kind, feeds, filter).flat_map(|(_, quotes)| quotes).collect();
    data("text/csv; charset=utf-8; header=present", csv::rows(kind, &quotes))
}

fn whole(scope: Scope, content: &Content, edition: Edition) -> Vec<u8> {
    let kind = match scope {
        Scope::Kind(kind) => format!("\"kind\":\"{}\",", kind.as_str()),
        Scope::Board | Scope::Feeds => String::new(),
    };
    let mut json = format!(
        "{{{kind}\"version\":{},\"generated_at\":\"{}\",",
        edition.version,
        rfc3339(edition.generated_at)
    )
    .into_bytes();
    json.extend_from_slice(&content.json);
    json
}

/// Until the first of the feeds in it is refreshed.
#[must_use]
pub fn policy(scope: Scope, feeds: &[ServedFeed]) -> CachePolicy {
    let own = || feeds.iter().filter(|served| scope.holds(served.state.feed.kind));
    CachePolicy::Latest {
        next_refresh_at: own().filter_map(|served| served.state.next_refresh_at).min(),
        expires_at: own()
            .flat_map(|served| &served.quotes)
            .filter(|quote| quote.status < Status::Expired)
            .map(|quote| quote.freshness.expires_at)
            .min(),
    }
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

/// Currencies that readers look for first.
const CURRENCIES: &[&str] =
    &["USD", "EUR", "GBP", "JPY", "AUD", "CNY", "KRW", "SGD", "THB", "CAD", "CHF", "HKD", "NZD", "TWD"];

/// Where a currency stands in every list; those of one rank are in the order of the alphabet.
#[must_use]
pub fn currency_rank(code: &str) -> u16 {
    rank(CURRENCIES, code)
}

fn rank(list: &[&str], name: &str) -> u16 {
    u16::try_from(list.iter().position(|known| *known == name).unwrap_or(list.len())).unwrap_or(u16::MAX)
}

/// The stable order of quotes in every list.
#[must_use]
pub fn order(quote: &Quote) -> (u16, u16, String, String) {
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
            currency_rank(&fx.currency),
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

    #[test]
    fn a28_a_change_beyond_all_decimals_is_none_and_wraps_into_nothing() {
        let limits = [Decimal::MAX, Decimal::MIN, Decimal::new(1, 28), Decimal::new(-1, 28), Decimal::ZERO];
        for (now, before) in limits.iter().flat_map(|now| limits.map(|before| (*now, before))) {
            match difference(Some(now), Some(before)) {
                Some(change) => assert_eq!(change > Decimal::ZERO, now > before && change != Decimal::ZERO),
                None => assert!((now.is_sign_negative() != before.is_sign_negative()) && !before.is_zero()),
            }
        }
        assert_eq!(difference(Some(Decimal::MAX), Some(Decimal::MIN)), None);
        assert_eq!(difference(Some(Decimal::MIN), Some(Decimal::MAX)), None);
        assert_eq!(
            (difference(None, Some(Decimal::ONE)), difference(Some(Decimal::ONE), None)),
            (None, None)
        );
    }
}
