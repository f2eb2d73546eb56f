//! Typed configuration: one TOML file over documented defaults, the environment over both, the command line over
//! all. The only place that reads the environment. Whatever passes here cannot hold nonsense; whatever does not
//! is refused with file, line, key, the reason and, for a misspelt key, the nearest known one.

mod layers;
mod values;

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use providers::{Channel, Secrets};
use serde::Deserialize;
use toml::Value;
use url::Url;

use crate::{
    schedule::{Calendar, Schedule},
    store::{Backups, OnCorrupt},
};
use layers::Layers;
pub use values::{Band, Jump, Network, Span};
use values::{Days, address, header_text, http_url, optional_path, optional_url, parsed, store_url};

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

impl Origin {
    /// The layer: what is set in a higher one stands.
    const fn rank(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::File(..) => 1,
            Self::Environment(_) => 2,
            Self::CommandLine(_) => 3,
        }
    }
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

    /// Keys and values are repeated as they stand in the file, which may be anything.
    fn a_line_each(self) -> Self {
        let visible = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
        Self(self.0.iter().map(|problem| problem.chars().map(visible).collect()).collect())
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
    /// What is believed.
    pub judge: Judge,
    /// Enabled feeds only, by id.
    pub feeds: BTreeMap<String, Feed>,
    /// What widgets show.
    pub widgets: Widgets,
    /// Options of widgets by name.
    pub presets: BTreeMap<String, Preset>,
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
    #[serde(deserialize_with = "address")]
    pub listen: SocketAddr,
    /// Health.
    #[serde(deserialize_with = "address")]
    pub ops_listen: SocketAddr,
    /// Absolute URLs start with this.
    #[serde(deserialize_with = "http_url")]
    pub public_url: Url,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Requests a minute and client that cost work; 0 = no limit.
    pub rate_limit: u32,
}

/// `[store]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// `sqlite:<path>` or `sqlite::memory:`
    #[serde(deserialize_with = "store_url")]
    pub url: String,
    /// What becomes of a damaged store.
    #[serde(deserialize_with = "parsed")]
    pub on_corrupt: OnCorrupt,
    /// How often a backup is made beside it.
    pub backup_every: Span,
    /// How many are kept; 0: none are made.
    pub backups: u16,
    /// Where refused answers are kept: a folder, "" for one beside the database, "off" for nowhere.
    pub evidence: String,
}

impl Store {
    /// How the store is backed up.
    #[must_use]
    pub fn backups(&self) -> Backups {
        Backups { every: self.backup_every.0, keep: self.backups.into() }
    }
}

/// `[fetch]`
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fetch {
    /// Who we say that we are.
    #[serde(deserialize_with = "header_text")]
    pub user_agent: String,
    /// `None`: straight.
    #[serde(deserialize_with = "optional_url")]
    pub proxy: Option<Url>,
}

/// `[judge]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judge {
    /// Đồng a lượng.
    pub gold_band: Band,
    /// Đồng for a US dollar.
    pub usd_band: Band,
    /// Percent a year.
    pub deposit_band: Band,
    /// Equal readings after which a step over `max_jump` is believed.
    pub hold_polls: u32,
    /// How long they must go on.
    pub hold_for: Span,
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
#[derive(Clone, Deserialize)]
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

// Addresses and headers may hold credentials, which no debug print of a configuration shows.
impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let proxy = self.proxy.as_ref().map(shown);
        f.debug_struct("Fetch").field("user_agent", &self.user_agent).field("proxy", &proxy).finish()
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("enabled", &self.enabled)
            .field("url", &shown(&self.url))
            .field("headers", &self.headers.keys())
            .field("ca_file", &self.ca_file)
            .field("allow_private", &self.allow_private)
            .finish()
    }
}

/// `[widgets]`: what each shows where the page that embeds it does not say.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Widgets {
    /// The sidebar board.
    pub panel: Picks,
    /// Gold prices.
    pub gold: Picks,
    /// Exchange rates.
    pub fx: Picks,
    /// Deposit rates.
    pub deposits: Picks,
    /// The tape.
    pub ticker: Picks,
}

impl Widgets {
    /// What a widget shows.
    #[must_use]
    pub const fn of(&self, kind: widgets::model::Kind) -> &Picks {
        match kind {
            widgets::model::Kind::Panel => &self.panel,
            widgets::model::Kind::Gold => &self.gold,
            widgets::model::Kind::Fx => &self.fx,
            widgets::model::Kind::Deposits => &self.deposits,
            widgets::model::Kind::Ticker => &self.ticker,
        }
    }
}

/// `[widgets.panel]` and its like; a kind that a widget does not show is not there.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Picks {
    /// Gold prices.
    pub gold: Vec<GoldPick>,
    /// Exchange rates.
    pub fx: Option<FxPick>,
    /// Deposit rates.
    pub deposits: Option<DepositPick>,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    server: Server,
    store: Store,
    fetch: Fetch,
    calendar: RawCalendar,
    judge: Judge,
    feeds: BTreeMap<String, BTreeMap<String, Feed>>,
    widgets: Widgets,
    #[serde(default)]
    presets: BTreeMap<String, RawPreset>,
    secrets: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCalendar {
    holidays: Option<Vec<Days>>,
    extra_holidays: Vec<Days>,
}

/// Options of a widget under one name.
#[derive(Debug, Clone)]
pub struct Preset {
    /// Whose options.
    pub widget: widgets::model::Kind,
    /// As a query would have them.
    pub options: Vec<(String, String)>,
    /// Who may show it in a frame, `None` being everybody and an empty list nobody.
    pub frame_ancestors: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct RawPreset {
    widget: String,
    frame_ancestors: Option<Vec<String>>,
    #[serde(flatten)]
    options: BTreeMap<String, toml::Value>,
}

impl Config {
    /// What must never be shown: secrets, credentials in headers and in addresses. The shortest are left out,
    /// since to hide every "a" would hide everything.
    #[must_use]
    pub fn sensitive(&self) -> Vec<String> {
        let mut words: Vec<String> = self.secrets.values().map(str::to_owned).collect();
        let mut address = |url: &Url| {
            words.push(url.username().to_owned());
            words.extend(url.password().map(str::to_owned));
            words.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
        };
        self.fetch.proxy.iter().for_each(&mut address);
        let sources = || self.feeds.values().flat_map(|feed| feed.sources.values());
        sources().for_each(|source| address(&source.url));
        words.extend(
            sources()
                .flat_map(|source| &source.headers)
                .filter(|(name, _)| layers::is_credential(name))
                // "Bearer <token>", "name=<value>; other=<value>": a source may repeat a part of it.
                .flat_map(|(_, value)| {
                    let parts = value.split([' ', ';', ',', '=']).filter(|part| part.len() >= 8);
                    std::iter::once(value.as_str()).chain(parts).map(str::to_owned)
                }),
        );
        words.retain(|word| word.len() >= 4);
        // As they look in an address, which is how a source would repeat them.
        let encoded: Vec<String> = words
            .iter()
            .map(|word| url::form_urlencoded::byte_serialize(word.as_bytes()).collect())
            .collect();
        words.extend(encoded);
        words
    }
}

/// An address without what may be secret: no user, no password, no query.
#[must_use]
pub fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // Fails only for addresses that cannot have either.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    url.into()
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
        filter: std::env::var("BANGGIA_LOG")
            .unwrap_or_else(|_| "info,tokio_cron_scheduler=warn,sqlx=warn".to_owned()),
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
    layered(file, environment, overrides).map_err(ConfigError::a_line_each)
}

fn layered(
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
            (
                "[feeds.bidv.fx]\nstale_after = \"73h\"",
                "banggia.toml:2: feeds.bidv.fx.stale_after: ",
                "expire_after",
            ),
            ("\"a\\nb\" = 1", "banggia.toml:1: unknown key a\\nb; ", ""),
            ("[server]\nlisten = 8080", "banggia.toml:2: server.listen: ", "expected a string"),
            ("[server]\nlisten = \"nowhere\"", "banggia.toml:2: server.listen: ", "socket address"),
            ("[store]\nurl = \"mysql:x\"", "banggia.toml:2: store.url: ", "sqlite:<path>"),
            ("[store]\non_corrupt = \"ask\"", "banggia.toml:2: store.on_corrupt: ", "set-aside, fail"),
            ("[store]\nbackup_every = \"0s\"", "banggia.toml:2: store.backup_every: ", "backups = 0"),
            ("[store]\nbackup_every = \"daily\"", "banggia.toml:2: store.backup_every: ", "72h"),
            ("[store]\nbackups = -1", "banggia.toml:2: store.backups: ", "u16"),
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
            (
                "[presets.x]\nwidget = \"fx\"\nthem = \"dark\"",
                "banggia.toml:3: unknown key presets.x.them",
                "presets.x.theme",
            ),
            (
                "[presets.x]\nwidget = \"fx\"\naccent = \"red\"",
                "banggia.toml:3: presets.x.accent: ",
                "RRGGBB",
            ),
            (
                "[presets.x]\nwidget = \"fx\"\nframe_ancestors = [\"https://*\"]",
                "banggia.toml:3: presets.x.frame_ancestors: ",
                "https://example.vn",
            ),
            (
                "[widgets.fx]\nfx = { provider = \"bidv\", currencies = [\"XYZ\"] }",
                "banggia.toml:2: widgets.fx.fx.currencies: ",
                "USD",
            ),
            (
                "[server]\ntrusted_proxies = [\"nope\"]",
                "banggia.toml:2: server.trusted_proxies",
                "10.0.0.0/8",
            ),
            ("[fetch]\nuser_agent = \"a\\nb\"", "banggia.toml:2: fetch.user_agent: ", "one line"),
            (
                "[widgets.panel]\ngold = [\"doji:sjc-barr\"]",
                "banggia.toml:2: widgets.panel.gold: ",
                "sjc-bar",
            ),
            (
                "[presets.x]\nwidget = \"panel\"\nframe_ancestors = [\"; script-src *\"]",
                "banggia.toml:3: presets.x.frame_ancestors: ",
                "https://example.vn",
            ),
            (
                "[feeds.bidv.fx.sources.board]\nca_file = \"Cargo.toml\"",
                "banggia.toml:2: feeds.bidv.fx.sources.board.ca_file: ",
                "PEM",
            ),
            ("[server]\nlisten_addr = \"x\"", "banggia.toml:2: unknown key ", "did you mean server.listen?"),
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
            ("BANGGIA_CALENDAR__HOLIDAYS", "[]"),
            ("BANGGIA_SERVER__TRUSTED_PROXIES", "[\"10.0.0.1\"]"),
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
        assert!(!config.calendar.is_holiday("2027-02-06".parse().unwrap()));
        assert_eq!(config.server.trusted_proxies, ["10.0.0.1".parse().unwrap()]);
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
