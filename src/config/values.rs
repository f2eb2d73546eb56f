//! Values that cannot hold nonsense: each is read from its text, or refused with what is allowed.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, de::Error as _};
use url::Url;

use super::{GoldPick, What};

/// An address to listen on, with an example where there is none.
pub(super) fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| {
        D::Error::custom(format!("\"{text}\" is not a socket address such as 127.0.0.1:8080 or [::1]:8080"))
    })
}

/// A text that fits into an HTTP header.
pub(super) fn header_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() || text.parse::<reqwest::header::HeaderValue>().is_err() {
        return Err(D::Error::custom(
            "must be one line of visible characters, such as \"banggia/1 (+https://…)\"",
        ));
    }
    Ok(text)
}

/// An address or a network: `10.0.0.1`, `10.0.0.0/8`, `fd00::/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Its address.
    pub address: IpAddr,
    /// Leading bits that count.
    pub prefix: u8,
}

impl Network {
    /// Whether an address is in it; an IPv4 address written as IPv6 counts as what it is.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        // As IPv6, in which the IPv4 addresses are a /96.
        let wide = |address| match address {
            IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
            IpAddr::V6(address) => address.to_bits(),
        };
        let host = if self.address.is_ipv4() { 32 } else { 128 } - u32::from(self.prefix);
        let network = |address| wide(address).checked_shr(host).unwrap_or(0);
        network(self.address) == network(address)
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("\"{text}\" is neither an address such as 10.0.0.1 nor a network such as 10.0.0.0/8");
        let (address, prefix) =
            text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(most), str::parse).map_err(|_| wrong())?;
        if prefix > most { Err(wrong()) } else { Ok(Self { address, prefix }) }
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

/// A length of time: `30s`, `15m`, `72h`, `14d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is not a length of time; allowed are 30s, 15m, 72h, 14d");
        let unit = text.chars().last().ok_or_else(wrong)?;
        let scale = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return Err(wrong()),
        };
        let count: u64 = text.strip_suffix(unit).and_then(|n| n.parse().ok()).ok_or_else(wrong)?;
        let seconds = count.checked_mul(scale).filter(|seconds| *seconds <= 366 * 86_400);
        seconds
            .map(|seconds| Self(Duration::from_secs(seconds)))
            .ok_or_else(|| format!("\"{text}\" is more than a year"))
    }
}

/// So long ago: a length of time of up to a hundred years; "" for none.
pub(super) fn optional_age<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    const LONGEST: u64 = 36_525;
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u64>().ok());
    if let Some(days) = days.filter(|days| *days <= LONGEST) {
        return Ok(Some(Duration::from_secs(days * 86_400)));
    }
    match text.parse::<Span>() {
        Ok(span) => Ok(Some(span.0)),
        Err(_) => Err(D::Error::custom(format!(
            "\"{text}\" is not an age; allowed are days such as 1825d, up to {LONGEST}d, or \"\" for none"
        ))),
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

/// `5%` of the last value, or `1.5` points of a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jump {
    /// The number.
    pub limit: Decimal,
    /// Whether it is percent of the last value.
    pub is_percent: bool,
}

impl FromStr for Jump {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let percent = text.strip_suffix('%');
        percent
            .unwrap_or(text)
            .parse::<Decimal>()
            .ok()
            .filter(|limit| limit.is_sign_positive() && !limit.is_zero() && *limit <= Decimal::ONE_THOUSAND)
            .map(|limit| Self { limit, is_percent: percent.is_some() })
            .ok_or_else(|| {
                format!(
                    "\"{text}\" is not a limit; allowed are \"3%\" or, for deposits, points such as \"1.5\""
                )
            })
    }
}

impl<'de> Deserialize<'de> for Jump {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

/// From the lowest to the highest figure that is believed: `15000..40000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Band {
    /// Nothing below this.
    pub low: Decimal,
    /// Nothing above this.
    pub high: Decimal,
}

impl FromStr for Band {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("\"{text}\" is not a band; allowed are two figures such as 15000..40000, the lower first")
        };
        let (low, high) = text.split_once("..").ok_or_else(wrong)?;
        let figure = |text: &str| text.trim().parse::<Decimal>().map_err(|_| wrong());
        let band = Self { low: figure(low)?, high: figure(high)? };
        if band.low.is_sign_negative() || band.low >= band.high { Err(wrong()) } else { Ok(band) }
    }
}

impl<'de> Deserialize<'de> for Band {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

impl FromStr for GoldPick {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (provider, product) = text
            .split_once(':')
            .filter(|(provider, product)| !provider.is_empty() && !product.is_empty())
            .ok_or_else(|| format!("\"{text}\" is not provider:product, such as doji:sjc-bar"))?;
        let (product, place) = match product.split_once('.') {
            Some((product, place)) => (product, Some(place.to_owned())),
            None => (product, None),
        };
        Ok(Self { provider: provider.to_owned(), product: product.to_owned(), place })
    }
}

impl<'de> Deserialize<'de> for GoldPick {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

impl<'de> Deserialize<'de> for What {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

pub(super) fn parsed<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
    T::Err: fmt::Display,
{
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

pub(super) fn http_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
    let text = String::deserialize(deserializer)?;
    let shown = discreet(&text);
    let url =
        Url::parse(&text).map_err(|error| D::Error::custom(format!("\"{shown}\" is not a URL: {error}")))?;
    if matches!(url.scheme(), "http" | "https") && url.has_host() {
        Ok(url)
    } else {
        Err(D::Error::custom(format!("\"{shown}\" is not an http or https URL")))
    }
}

/// What may be an address, without what may be a name, a password or a key in it.
fn discreet(text: &str) -> String {
    let before_query = text.split_once('?').map_or(text, |(before, _)| before);
    let (scheme, rest) = before_query.split_once("://").unwrap_or(("", before_query));
    let Some((_, host)) = rest.rsplit_once('@') else { return before_query.to_owned() };
    if scheme.is_empty() { format!("…@{host}") } else { format!("{scheme}://…@{host}") }
}

pub(super) fn optional_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    http_url(serde::de::value::StringDeserializer::<D::Error>::new(text)).map(Some)
}

pub(super) fn optional_path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(Some(PathBuf::from(text)).filter(|path| !path.as_os_str().is_empty()))
}

/// The beginning of what should be an address, and nothing behind it: a password may be anywhere.
fn scheme(text: &str) -> String {
    let plain = |scheme: &&str| !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric());
    let scheme = text.split_once(':').map(|(scheme, _)| scheme).filter(plain);
    scheme.map_or_else(|| "this".to_owned(), |scheme| format!("\"{scheme}:…\""))
}

const SHARED_STORE: &str = "postgres://<user>:<password>@<host>:<port>/<database>";

pub(super) fn store_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.strip_prefix("sqlite:").is_some_and(|path| !path.is_empty()) {
        Ok(text)
    } else if crate::store::is_shared(&text) {
        crate::store::check_url(&text)
            .map_err(|why| D::Error::custom(format!("{why}; allowed is {SHARED_STORE}")))?;
        Ok(text)
    } else {
        Err(D::Error::custom(format!(
            "{} is not a store; allowed are sqlite:<path> and {SHARED_STORE}",
            scheme(&text)
        )))
    }
}

/// `2026-12-24` or `2027-02-05..2027-02-11`, both ends included.
pub(super) struct Days(pub(super) Vec<Date>);

impl FromStr for Days {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "\"{text}\" is neither a day such as 2026-12-24 nor a range such as 2027-02-05..2027-02-11"
            )
        };
        let (from, to) = text.split_once("..").unwrap_or((text, text));
        let from: Date = from.trim().parse().map_err(|_| wrong())?;
        let to: Date = to.trim().parse().map_err(|_| wrong())?;
        let days: Vec<Date> =
            from.series(jiff::Span::new().days(1)).take(367).take_while(|day| *day <= to).collect();
        if days.is_empty() || days.len() > 366 { Err(wrong()) } else { Ok(Self(days)) }
    }
}

impl<'de> Deserialize<'de> for Days {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}
