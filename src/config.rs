//! Typed configuration: one TOML file over documented defaults, the environment over both, the command line over
//! all. The only place that reads the environment. Whatever passes here cannot hold nonsense; whatever does not
//! is refused with file, line, key, the reason and, for a misspelt key, the nearest known one.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use jiff::civil::Date;
use providers::{Channel, Kind, Secrets};
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, de::Error as _};
use toml::{Spanned, Table, Value, de::DeTable, de::DeValue};
use url::Url;

use crate::schedule::{Calendar, Schedule};

/// Every default, with its documentation.
pub const DEFAULT: &str = include_str!("default.toml");

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// `default.toml`
    Default,
    /// A line of the operator's file.
    File(PathBuf, usize),
    /// An environment variable.
    Environment(String),
    /// An option of the command line.
    CommandLine(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::CommandLine(option) => f.write_str(option),
        }
    }
}

/// What is wrong, where, and what would be right; one line a problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigError(pub Vec<String>);

impl ConfigError {
    fn one(problem: impl Into<String>) -> Self {
        Self(vec![problem.into()])
    }
}

/// The whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Listeners.
    pub server: Server,
    /// Where values are kept.
    pub store: Store,
    /// How sources are asked.
    pub fetch: Fetch,
    /// Days that do not count for freshness.
    pub calendar: Calendar,
    /// Enabled feeds only, by id.
    pub feeds: BTreeMap<String, Feed>,
    /// What widgets show.
    pub widgets: Widgets,
    /// Keys of sources.
    pub secrets: Secrets,
    /// Effective values with their origin, for `check`.
    pub effective: Vec<(String, Value, Origin)>,
}

/// `[server]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// API and widgets.
    pub listen: SocketAddr,
    /// Health.
    pub ops_listen: SocketAddr,
    /// Absolute URLs start with this.
    #[serde(deserialize_with = "http_url")]
    pub public_url: Url,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<String>,
}

/// `[store]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// `sqlite:<path>` or `sqlite::memory:`
    #[serde(deserialize_with = "store_url")]
    pub url: String,
}

/// `[fetch]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fetch {
    /// Who we say that we are.
    pub user_agent: String,
    /// `None`: straight.
    #[serde(deserialize_with = "optional_url")]
    pub proxy: Option<Url>,
}

/// `[feeds.<provider>.<kind>]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feed {
    /// A disabled feed is absent everywhere.
    pub enabled: bool,
    /// When it is due.
    #[serde(deserialize_with = "parsed")]
    pub schedule: Schedule,
    /// Upper bound of its fixed offset.
    pub jitter: Span,
    /// Deadline of one exchange.
    pub timeout: Span,
    /// Grace after a missed run.
    pub stale_after: Span,
    /// After a missed run, how long an old value is shown.
    pub expire_after: Span,
    /// Limit of a plausible step.
    pub max_jump: Jump,
    /// By source id.
    pub sources: BTreeMap<String, Source>,
}

/// `[feeds.<provider>.<kind>.sources.<source>]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Whether it is asked at all.
    pub enabled: bool,
    /// Base address.
    #[serde(deserialize_with = "http_url")]
    pub url: Url,
    /// Sent with every request to it.
    pub headers: BTreeMap<String, String>,
    /// More roots of trust, PEM.
    #[serde(deserialize_with = "optional_path")]
    pub ca_file: Option<PathBuf>,
    /// An address on the operator's own network.
    pub allow_private: bool,
}

/// `[widgets]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Widgets {
    /// The sidebar board.
    pub panel: Panel,
}

/// `[widgets.panel]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Panel {
    /// Columns of the gold table.
    pub gold: Vec<GoldPick>,
    /// Rows of the exchange-rate table.
    pub fx: FxPick,
    /// The table of deposit rates.
    pub deposits: DepositPick,
}

/// `provider:product[.place]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoldPick {
    /// `doji`
    pub provider: String,
    /// `sjc-bar`
    pub product: String,
    /// `hanoi`; `None`: without a place, then hanoi, then hcm.
    pub place: Option<String>,
}

/// Whose rates, which currencies.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FxPick {
    /// `bidv`
    pub provider: String,
    /// In this order.
    pub currencies: Vec<String>,
}

/// Whose rates, which terms.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DepositPick {
    /// Columns.
    pub providers: Vec<String>,
    /// Rows, in months; 0 = demand.
    pub terms: Vec<u16>,
    /// Counter or online.
    pub channel: Channel,
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

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

/// `5%` of the last value, or `1.5` points of a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jump(pub Decimal);

impl FromStr for Jump {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.strip_suffix('%')
            .unwrap_or(text)
            .parse::<Decimal>()
            .ok()
            .filter(|limit| limit.is_sign_positive() && !limit.is_zero())
            .map(Self)
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

fn parsed<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
    T::Err: fmt::Display,
{
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

fn http_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
    let text = String::deserialize(deserializer)?;
    let url =
        Url::parse(&text).map_err(|error| D::Error::custom(format!("\"{text}\" is not a URL: {error}")))?;
    if matches!(url.scheme(), "http" | "https") && url.has_host() {
        Ok(url)
    } else {
        Err(D::Error::custom(format!("\"{text}\" is not an http or https URL")))
    }
}

fn optional_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    http_url(serde::de::value::StringDeserializer::<D::Error>::new(text)).map(Some)
}

fn optional_path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(Some(PathBuf::from(text)).filter(|path| !path.as_os_str().is_empty()))
}

fn store_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.strip_prefix("sqlite:").is_some_and(|path| !path.is_empty()) {
        Ok(text)
    } else if text.starts_with("postgres:") || text.starts_with("postgresql:") {
        Err(D::Error::custom("PostgreSQL is not supported yet; allowed is sqlite:<path>"))
    } else {
        Err(D::Error::custom(format!("\"{text}\" is not a store; allowed is sqlite:<path>")))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    server: Server,
    store: Store,
    fetch: Fetch,
    calendar: RawCalendar,
    feeds: BTreeMap<String, BTreeMap<String, Feed>>,
    widgets: Widgets,
    #[serde(default)]
    presets: BTreeMap<String, Preset>,
    secrets: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCalendar {
    holidays: Option<Vec<Days>>,
    extra_holidays: Vec<Days>,
}

/// Options of a widget under one name. Read and checked; served together with the widgets' options.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "presets are validated here and served with the widget options")]
struct Preset {
    widget: String,
    theme: Option<String>,
    lang: Option<String>,
    accent: Option<String>,
    compact: Option<bool>,
    rows: Option<u16>,
    title: Option<bool>,
    #[serde(default)]
    frame_ancestors: Vec<String>,
}

const PRESET_KEYS: &[&str] =
    &["widget", "theme", "lang", "accent", "compact", "rows", "title", "frame_ancestors"];

/// `2026-12-24` or `2027-02-05..2027-02-11`, both ends included.
struct Days(Vec<Date>);

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

/// Options of the command line that stand above everything.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--listen`
    pub listen: Option<String>,
    /// `--ops-listen`
    pub ops_listen: Option<String>,
    /// `--store`
    pub store: Option<String>,
}

/// Reads the configuration: `file` if one is given, the process's environment, the command line.
///
/// # Errors
/// One line for each problem: file, line, key, reason.
pub fn load(file: Option<&Path>, overrides: &Overrides) -> Result<Config, ConfigError> {
    #[allow(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    let environment: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let text = match file {
        None => None,
        Some(path) => Some((
            path,
            std::fs::read_to_string(path)
                .map_err(|error| ConfigError::one(format!("{}: cannot be read: {error}", path.display())))?,
        )),
    };
    assemble(text.as_ref().map(|(path, text)| (*path, text.as_str())), &environment, overrides)
}

/// How to log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// `BANGGIA_LOG`: `info`, `debug`, `banggia=debug,info`.
    pub filter: String,
    /// `BANGGIA_LOG_FORMAT=json`
    pub json: bool,
}

/// Read apart from the configuration, since its own errors want to be logged.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
pub fn log_settings() -> LogSettings {
    LogSettings {
        filter: std::env::var("BANGGIA_LOG").unwrap_or_else(|_| "info".to_owned()),
        json: std::env::var("BANGGIA_LOG_FORMAT").is_ok_and(|format| format == "json"),
    }
}

/// The same, of given texts.
///
/// # Errors
/// As [`load`].
pub fn assemble(
    file: Option<(&Path, &str)>,
    environment: &[(String, String)],
    overrides: &Overrides,
) -> Result<Config, ConfigError> {
    let mut layers = Layers::defaults()?;
    if let Some((path, text)) = file {
        layers.file(path, text)?;
    }
    layers.environment(environment)?;
    for (option, key, value) in [
        ("--listen", "server.listen", &overrides.listen),
        ("--ops-listen", "server.ops_listen", &overrides.ops_listen),
        ("--store", "store.url", &overrides.store),
    ] {
        if let Some(value) = value {
            layers.set(key, Value::String(value.clone()), Origin::CommandLine(option));
        }
    }
    layers.finish()
}

/// Values by dotted key, each with its origin; a later layer replaces an earlier one key by key.
struct Layers {
    values: BTreeMap<String, (Value, Origin)>,
    known: BTreeSet<String>,
}

impl Layers {
    fn defaults() -> Result<Self, ConfigError> {
        let table: Table =
            DEFAULT.parse().map_err(|error| ConfigError::one(format!("default.toml: {error}")))?;
        let mut values = BTreeMap::new();
        flatten(&table, "", &mut |key, value| {
            values.insert(key, (value, Origin::Default));
        });
        let mut known: BTreeSet<String> = values.keys().cloned().collect();
        known.insert("calendar.holidays".to_owned());
        known.extend(Secrets::NAMES.iter().map(|name| format!("secrets.{name}_file")));
        Ok(Self { values, known })
    }

    fn set(&mut self, key: &str, value: Value, origin: Origin) {
        self.values.insert(key.to_owned(), (value, origin));
    }

    /// Keys whose last part the operator names: headers and presets.
    fn is_known(&self, key: &str) -> bool {
        self.known.contains(key)
            || key
                .split_once(".headers.")
                .is_some_and(|(source, _)| self.known.contains(&format!("{source}.headers")))
            || key.strip_prefix("presets.").is_some_and(|rest| {
                rest.split_once('.')
                    .is_some_and(|(name, option)| !name.is_empty() && PRESET_KEYS.contains(&option))
            })
    }

    fn file(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let at = |offset: usize| text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1;
        let document = DeTable::parse(text).map_err(|error| {
            let line = error.span().map_or(1, |span| at(span.start));
            ConfigError::one(format!("{}:{line}: {}", path.display(), error.message()))
        })?;
        let mut problems = Vec::new();
        let mut leaves = Vec::new();
        flatten_spanned(document.get_ref(), "", &mut leaves);
        for (key, value, offset) in leaves {
            let line = at(offset);
            if self.is_known(&key) {
                self.set(&key, value, Origin::File(path.to_owned(), line));
            } else {
                problems.push(format!("{}:{line}: {}", path.display(), self.unknown(&key)));
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(ConfigError(problems)) }
    }

    fn environment(&mut self, environment: &[(String, String)]) -> Result<(), ConfigError> {
        let mut problems = Vec::new();
        for (name, text) in environment {
            let Some(path) = name.strip_prefix("BANGGIA_").filter(|path| path.contains("__")) else {
                continue;
            };
            let mut key = path.to_lowercase().replace("__", ".");
            if let Some((source, header)) = key.split_once(".headers.") {
                key = format!("{source}.headers.{}", header.replace('_', "-"));
            }
            if !self.is_known(&key) {
                problems.push(format!("{name}: {}", self.unknown(&key)));
                continue;
            }
            match typed(text, self.values.get(&key).map(|(value, _)| value), &key) {
                Ok(value) => self.set(&key, value, Origin::Environment(name.clone())),
                Err(wanted) => problems.push(format!("{name}: {key}: \"{text}\" is not {wanted}")),
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(ConfigError(problems)) }
    }

    fn unknown(&self, key: &str) -> String {
        let nearest = self
            .known
            .iter()
            .map(|known| (strsim::damerau_levenshtein(known, key), known))
            .min_by_key(|(distance, known)| (*distance, known.len()));
        match nearest {
            Some((distance, known)) if distance <= 4.max(key.len() / 4) => {
                format!("unknown key {key}; did you mean {known}?")
            }
            _ => format!("unknown key {key}; all keys with their defaults are printed by `banggia check`"),
        }
    }

    fn finish(mut self) -> Result<Config, ConfigError> {
        self.secret_files()?;
        let mut tree = Table::new();
        for (key, (value, _)) in &self.values {
            insert(&mut tree, key, value.clone());
        }
        let raw: Raw = serde_path_to_error::deserialize(Value::Table(tree)).map_err(|error| {
            let path = error.path().to_string();
            let (key, origin) = self.origin(&path);
            ConfigError::one(format!("{origin}: {key}: {}", error.into_inner().message().trim_end()))
        })?;
        let mut problems = Vec::new();
        let mut calendar = match raw.calendar.holidays {
            Some(days) => Calendar::new(days.into_iter().flat_map(|days| days.0)),
            None => Calendar::built_in(),
        };
        calendar.extend(raw.calendar.extra_holidays.into_iter().flat_map(|days| days.0));
        let feeds: BTreeMap<String, Feed> = raw
            .feeds
            .into_iter()
            .flat_map(|(provider, kinds)| {
                kinds.into_iter().map(move |(kind, feed)| (format!("{provider}.{kind}"), feed))
            })
            .filter(|(_, feed)| feed.enabled)
            .collect();
        for (id, feed) in &feeds {
            self.check_feed(id, feed, &mut problems);
        }
        self.check_panel(&raw.widgets.panel, &mut problems);
        self.check_presets(&raw.presets, &mut problems);
        if !problems.is_empty() {
            return Err(ConfigError(problems));
        }
        Ok(Config {
            server: raw.server,
            store: raw.store,
            fetch: raw.fetch,
            calendar,
            feeds,
            widgets: raw.widgets,
            secrets: Secrets::new(raw.secrets),
            effective: self
                .values
                .into_iter()
                .map(|(key, (value, origin))| {
                    let secret = key.starts_with("secrets.")
                        && !matches!(&value, Value::String(text) if text.is_empty());
                    let hidden = secret || is_credential(&key);
                    (
                        key,
                        if hidden { Value::String("<redacted>".to_owned()) } else { redact_userinfo(value) },
                        origin,
                    )
                })
                .collect(),
        })
    }

    /// `secrets.x_file` names a file that holds the secret, as container platforms mount it.
    fn secret_files(&mut self) -> Result<(), ConfigError> {
        for name in Secrets::NAMES {
            let Some((value, origin)) = self.values.remove(&format!("secrets.{name}_file")) else { continue };
            let Some(path) = value.as_str().filter(|path| !path.is_empty()) else { continue };
            let text = std::fs::read_to_string(path).map_err(|error| {
                ConfigError::one(format!("{origin}: secrets.{name}_file: {path} cannot be read: {error}"))
            })?;
            self.set(&format!("secrets.{name}"), Value::String(text.trim().to_owned()), origin);
        }
        Ok(())
    }

    /// The nearest key at or above `path` that somebody set.
    fn origin(&self, path: &str) -> (String, Origin) {
        let mut key = path.split('[').next().unwrap_or(path).to_owned();
        loop {
            if let Some((_, origin)) = self.values.get(&key) {
                return (path.to_owned(), origin.clone());
            }
            let below = format!("{key}.");
            if let Some((_, (_, origin))) = self
                .values
                .range(below.clone()..)
                .take_while(|(known, _)| known.starts_with(&below))
                .find(|(_, (_, origin))| *origin != Origin::Default)
            {
                return (path.to_owned(), origin.clone());
            }
            match key.rsplit_once('.') {
                Some((parent, _)) => key = parent.to_owned(),
                None => return (path.to_owned(), Origin::Default),
            }
        }
    }

    fn problem(&self, key: &str, why: &str) -> String {
        let (_, origin) = self.origin(key);
        format!("{origin}: {key}: {why}")
    }

    fn check_feed(&self, id: &str, feed: &Feed, problems: &mut Vec<String>) {
        for (key, span, least) in [("timeout", feed.timeout, 1), ("stale_after", feed.stale_after, 0)] {
            if span.0.as_secs() < least {
                problems.push(self.problem(&format!("feeds.{id}.{key}"), "must be at least 1s"));
            }
        }
        if feed.expire_after < feed.stale_after {
            problems.push(self.problem(
                &format!("feeds.{id}.expire_after"),
                "must not be shorter than stale_after: a value cannot expire before it is stale",
            ));
        }
        let built_in = |name: &str| {
            providers::feed(id).and_then(|(_, feed)| feed.sources.iter().find(|source| source.id == name))
        };
        for (name, source) in &feed.sources {
            let key = format!("feeds.{id}.sources.{name}");
            let built_in_http = built_in(name).is_some_and(|source| source.url.starts_with("http://"));
            if source.enabled && source.url.scheme() == "http" && !source.allow_private && !built_in_http {
                problems.push(self.problem(
                    &format!("{key}.url"),
                    "plain http is allowed only with allow_private = true, for an address on your own network; otherwise https",
                ));
            }
            for (header, value) in &source.headers {
                if reqwest::header::HeaderName::from_str(header).is_err()
                    || reqwest::header::HeaderValue::from_str(value).is_err()
                {
                    problems.push(self.problem(&format!("{key}.headers.{header}"), "not an HTTP header"));
                }
            }
            if let Some(path) = source.ca_file.as_ref().filter(|path| !path.is_file()) {
                problems.push(
                    self.problem(&format!("{key}.ca_file"), &format!("{} is not a file", path.display())),
                );
            }
        }
    }

    fn check_panel(&self, panel: &Panel, problems: &mut Vec<String>) {
        let with = |kind: Kind| -> Vec<&str> {
            providers::feeds()
                .filter(|(_, feed)| feed.kind == kind)
                .map(|(institution, _)| institution.id)
                .collect()
        };
        let mut provider = |key: &str, name: &str, kind: Kind| {
            let allowed = with(kind);
            if !allowed.contains(&name) {
                problems.push(self.problem(
                    &format!("widgets.panel.{key}"),
                    &format!("\"{name}\" has no {} feed; allowed are {}", kind.as_str(), allowed.join(", ")),
                ));
            }
        };
        for pick in &panel.gold {
            provider("gold", &pick.provider, Kind::Gold);
        }
        provider("fx.provider", &panel.fx.provider, Kind::Fx);
        for name in &panel.deposits.providers {
            provider("deposits.providers", name, Kind::Deposit);
        }
        for code in &panel.fx.currencies {
            if code.len() != 3 || !code.bytes().all(|byte| byte.is_ascii_uppercase()) {
                problems.push(self.problem(
                    "widgets.panel.fx.currencies",
                    &format!("\"{code}\" is not a currency code such as USD"),
                ));
            }
        }
    }

    fn check_presets(&self, presets: &BTreeMap<String, Preset>, problems: &mut Vec<String>) {
        const WIDGETS: &[&str] = &["panel", "gold", "fx", "deposits", "ticker", "chart"];
        for (name, preset) in presets {
            if !WIDGETS.contains(&preset.widget.as_str()) {
                problems.push(self.problem(
                    &format!("presets.{name}.widget"),
                    &format!("\"{}\" is no widget; allowed are {}", preset.widget, WIDGETS.join(", ")),
                ));
            }
            if let Some(theme) =
                preset.theme.as_ref().filter(|theme| theme.parse::<widgets::Theme>().is_err())
            {
                problems.push(
                    self.problem(&format!("presets.{name}.theme"), &format!("\"{theme}\" is no theme")),
                );
            }
            if let Some(lang) = preset.lang.as_ref().filter(|lang| lang.parse::<widgets::Lang>().is_err()) {
                problems.push(
                    self.problem(&format!("presets.{name}.lang"), &format!("\"{lang}\" is no language")),
                );
            }
        }
    }
}

/// A header that usually carries a key.
fn is_credential(key: &str) -> bool {
    key.split_once(".headers.").is_some_and(|(_, header)| {
        let header = header.to_lowercase();
        ["authorization", "cookie", "token", "key", "secret"].iter().any(|word| header.contains(word))
    })
}

/// A proxy's or a store's password is not printed.
fn redact_userinfo(value: Value) -> Value {
    match &value {
        Value::String(text) => match Url::parse(text) {
            Ok(mut url) if url.password().is_some() => {
                let _ = url.set_password(Some("redacted"));
                Value::String(url.into())
            }
            _ => value,
        },
        _ => value,
    }
}

/// The text of an environment variable as the type of the default.
fn typed(text: &str, default: Option<&Value>, key: &str) -> Result<Value, &'static str> {
    let list = key.ends_with("holidays");
    match default {
        Some(Value::Boolean(_)) => text.parse().map(Value::Boolean).map_err(|_| "true or false"),
        Some(Value::Integer(_)) => text.parse().map(Value::Integer).map_err(|_| "a whole number"),
        Some(Value::Array(_)) | None if list || default.is_some() => {
            let numbers = matches!(default, Some(Value::Array(items)) if matches!(items.first(), Some(Value::Integer(_))));
            text.split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| match item.parse() {
                    Ok(number) if numbers => Ok(Value::Integer(number)),
                    Err(_) if numbers => Err("a list of whole numbers, separated by commas"),
                    _ => Ok(Value::String(item.to_owned())),
                })
                .collect::<Result<Vec<_>, _>>()
                .map(Value::Array)
        }
        _ => Ok(Value::String(text.to_owned())),
    }
}

fn flatten(table: &Table, prefix: &str, leaf: &mut impl FnMut(String, Value)) {
    for (name, value) in table {
        let key = join(prefix, name);
        match value {
            Value::Table(inner) if !inner.is_empty() => flatten(inner, &key, leaf),
            _ => leaf(key, value.clone()),
        }
    }
}

fn flatten_spanned(table: &DeTable<'_>, prefix: &str, leaves: &mut Vec<(String, Value, usize)>) {
    for (name, value) in table {
        let key = join(prefix, name.get_ref());
        match value.get_ref() {
            DeValue::Table(inner) => flatten_spanned(inner, &key, leaves),
            _ => leaves.push((key, plain(value), name.span().start)),
        }
    }
}

fn plain(value: &Spanned<DeValue<'_>>) -> Value {
    match value.get_ref() {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| Value::String(number.to_string()), Value::Integer),
        DeValue::Float(number) => Value::String(number.as_str().to_owned()),
        DeValue::Boolean(flag) => Value::Boolean(*flag),
        DeValue::Datetime(datetime) => Value::String(datetime.to_string()),
        DeValue::Array(items) => Value::Array(items.iter().map(plain).collect()),
        DeValue::Table(_) => Value::String("a table".to_owned()),
    }
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

fn insert(tree: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        // Header names and presets may hold dots no more than TOML's bare keys do.
        Some((first, rest)) => {
            if let Value::Table(inner) = tree.entry(first).or_insert_with(|| Value::Table(Table::new())) {
                insert(inner, rest, value);
            }
        }
        None => match (tree.get(key), &value) {
            // An empty default table must not wipe what a longer key put there.
            (Some(Value::Table(inner)), Value::Table(_)) if !inner.is_empty() => {}
            _ => {
                tree.insert(key.to_owned(), value);
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, ConfigError> {
        assemble(Some((Path::new("banggia.toml"), text)), &[], &Overrides::default())
    }

    fn problem(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    #[test]
    fn an_empty_file_is_all_defaults() {
        let config = read("").unwrap();
        assert_eq!(config.server.listen.port(), 8080);
        assert_eq!(config.feeds.len(), 6);
        assert_eq!(config.feeds["ocb.deposit"].timeout, Span(Duration::from_secs(90)));
        assert!(config.calendar.is_holiday("2027-02-06".parse().unwrap()));
        assert_eq!(config.secrets.get("doji_board_key"), None);
    }

    #[test]
    fn the_documented_defaults_are_those_of_the_adapters() {
        let config = read("").unwrap();
        for (_, feed) in providers::feeds() {
            let documented =
                config.feeds.get(feed.id).unwrap_or_else(|| panic!("{} is not in default.toml", feed.id));
            assert_eq!(documented.schedule.to_string(), feed.schedule, "{}", feed.id);
            for (key, documented, built_in) in [
                ("timeout", documented.timeout, feed.timeout),
                ("stale_after", documented.stale_after, feed.stale_after),
                ("expire_after", documented.expire_after, feed.expire_after),
            ] {
                assert_eq!(Ok(documented), built_in.parse(), "{} {key}", feed.id);
            }
            assert_eq!(Ok(documented.max_jump), feed.max_jump.parse(), "{}", feed.id);
            let sources: Vec<_> =
                documented.sources.iter().map(|(id, source)| (id.as_str(), source.url.as_str())).collect();
            let mut built_in: Vec<_> = feed.sources.iter().map(|source| (source.id, source.url)).collect();
            built_in.sort_unstable();
            assert_eq!(sources, built_in, "{}", feed.id);
        }
    }

    #[test]
    fn an_unknown_key_names_file_line_and_the_nearest_known_key() {
        assert_eq!(
            problem("[server]\nlisten = \"127.0.0.1:1\"\n\n[feeds.bidv.fx]\nshedule = \"* * * * *\"\n"),
            "banggia.toml:5: unknown key feeds.bidv.fx.shedule; did you mean feeds.bidv.fx.schedule?"
        );
        assert!(
            problem("[feeds.bidv.fx.sources.bord]\nurl = \"https://x\"")
                .contains("did you mean feeds.bidv.fx.sources.board.url?")
        );
        assert!(problem("colour = 1").starts_with("banggia.toml:1: unknown key colour"));
    }

    #[test]
    fn a_wrong_value_names_file_line_key_and_what_is_allowed() {
        let cases = [
            (
                "[feeds.bidv.fx]\nschedule = \"often\"",
                "banggia.toml:2: feeds.bidv.fx.schedule: ",
                "five fields",
            ),
            ("[feeds.bidv.fx]\nstale_after = \"15\"", "banggia.toml:2: feeds.bidv.fx.stale_after: ", "15m"),
            (
                "[feeds.bidv.fx]\nexpire_after = \"1m\"",
                "banggia.toml:2: feeds.bidv.fx.expire_after: ",
                "stale_after",
            ),
            ("[server]\nlisten = 8080", "banggia.toml:2: server.listen: ", "socket address"),
            ("[server]\nlisten = \"nowhere\"", "banggia.toml:2: server.listen: ", "socket address"),
            ("[store]\nurl = \"mysql:x\"", "banggia.toml:2: store.url: ", "sqlite:<path>"),
            (
                "[feeds.bidv.fx.sources.board]\nurl = \"http://example.vn/\"",
                "banggia.toml:2: feeds.bidv.fx.sources.board.url: ",
                "allow_private",
            ),
            (
                "[feeds.bidv.fx.sources.board]\nurl = \"ftp://example.vn/\"",
                "banggia.toml:2: feeds.bidv.fx.sources.board.url: ",
                "https",
            ),
            ("[widgets.panel]\ngold = [\"sjc:bar\"]", "banggia.toml:2: widgets.panel.gold: ", "doji"),
            (
                "[calendar]\nholidays = [\"2027-02-30\"]",
                "banggia.toml:2: calendar.holidays",
                "2027-02-05..2027-02-11",
            ),
            ("[presets.x]\nwidget = \"clock\"", "banggia.toml:2: presets.x.widget: ", "panel"),
            ("[server\n", "banggia.toml:1: ", ""),
        ];
        for (text, start, part) in cases {
            let problem = problem(text);
            assert!(problem.starts_with(start) && problem.contains(part), "{text}\n{problem}");
        }
    }

    #[test]
    fn the_environment_stands_above_the_file_and_the_command_line_above_both() {
        let environment = [
            ("BANGGIA_FEEDS__BIDV__FX__SCHEDULE", "*/5 * * * *"),
            ("BANGGIA_FEEDS__BIDV__FX__SOURCES__BOARD__ALLOW_PRIVATE", "true"),
            ("BANGGIA_FEEDS__TPBANK__GOLD__ENABLED", "false"),
            ("BANGGIA_SECRETS__DOJI_API_KEY", "abc"),
            ("BANGGIA_SERVER__LISTEN", "127.0.0.1:1"),
            ("BANGGIA_FEEDS__TPBANK__GOLD__SOURCES__CHART__HEADERS__X_API_KEY", "k"),
            ("BANGGIA_CONFIG", "elsewhere.toml"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let overrides = Overrides { listen: Some("127.0.0.1:2".to_owned()), ..Overrides::default() };
        let file = "[feeds.bidv.fx]\nschedule = \"0 * * * *\"\njitter = \"0s\"\n";
        let config = assemble(Some((Path::new("f"), file)), &environment, &overrides).unwrap();
        assert_eq!(config.feeds["bidv.fx"].schedule.to_string(), "*/5 * * * *");
        assert_eq!(config.feeds["bidv.fx"].jitter, Span(Duration::ZERO));
        assert!(config.feeds["bidv.fx"].sources["board"].allow_private);
        assert!(!config.feeds.contains_key("tpbank.gold"));
        assert_eq!(config.secrets.get("doji_api_key"), Some("abc"));
        assert_eq!(config.server.listen.port(), 2);
        let printed = format!("{:?}", config.effective);
        assert!(!printed.contains("abc") && !printed.contains("\"k\""), "{printed}");
    }

    #[test]
    fn a_misspelt_environment_variable_is_an_error_too() {
        let environment = [("BANGGIA_FEEDS__BIDV__FX__SHEDULE".to_owned(), "x".to_owned())];
        let error = assemble(None, &environment, &Overrides::default()).unwrap_err().to_string();
        assert_eq!(
            error,
            "BANGGIA_FEEDS__BIDV__FX__SHEDULE: unknown key feeds.bidv.fx.shedule; did you mean feeds.bidv.fx.schedule?"
        );
    }
}
