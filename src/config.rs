//! Typed configuration: one TOML file over documented defaults, the environment over both, the command line over
//! all. The only place that reads the environment. Whatever passes here cannot hold nonsense; whatever does not
//! is refused with file, line, key, the reason and, for a misspelt key, the nearest known one.

mod console;
mod layers;
mod values;

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use providers::{Channel, Secrets};
use serde::Deserialize;
use toml::Value;
use url::Url;

use crate::{
    events::What,
    schedule::{Calendar, Schedule},
    store::{Backups, OnCorrupt, Retention},
    webhook::Key,
};
pub use console::Console;
use layers::Layers;
pub use values::{Band, Jump, Network, Span};
use values::{
    Days, address, header_text, http_url, optional_age, optional_path, optional_url, parsed, store_url,
};

/// Every default, with its documentation.
pub const DEFAULT: &str = include_str!("default.toml");

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// `default.toml`
    Default,
    /// A line of the operator's file.
    File(PathBuf, usize),
    /// A change of the operator's while the service ran: the line of the file where it is kept, or only in this process.
    Console(Option<(PathBuf, usize)>),
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
            Self::Console(_) => 2,
            Self::Environment(_) => 3,
            Self::CommandLine(_) => 4,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Console(Some((path, line))) => write!(f, "console ({}:{line})", path.display()),
            Self::Console(None) => f.write_str("console, until the next restart"),
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
    /// What of old changes is dropped.
    pub history: Retention,
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
    /// Who may change what while the service runs.
    pub admin: Admin,
    /// What it was read from, to be read again.
    pub inputs: Inputs,
    /// The operator's changes that are in it.
    pub console: Console,
    /// Files besides the operator's own that it was read from: secrets, certificates.
    pub files: Vec<PathBuf>,
    marks: BTreeMap<String, u64>,
    /// Who is told of events; `None`: nobody.
    pub webhook: Option<Webhook>,
    /// Effective values with their origin, for `check`.
    pub effective: Vec<(String, Value, Origin)>,
}

/// Secrets of the service itself, which no adapter sees.
const OWN_SECRETS: &[&str] = &["admin_token", "webhook_key"];

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    const fn new(text: String) -> Self {
        Self(text)
    }

    /// What it is, for those who use it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// `[admin]`, and `secrets.admin_token`
#[derive(Debug, Clone)]
pub struct Admin {
    /// Whoever has it may tune the service; `None`: nobody may.
    pub token: Option<Secret>,
    /// Where changes for good are kept: "" for beside the database, "off" for nowhere.
    overrides: String,
}

/// What a configuration is read from.
#[derive(Clone, Default)]
pub struct Inputs {
    /// The operator's file.
    pub file: Option<PathBuf>,
    /// What stood in it when it was last good.
    text: Option<String>,
    environment: Vec<(String, String)>,
    overrides: Overrides,
}

impl fmt::Debug for Inputs {
    /// The environment holds secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inputs").field("file", &self.file).finish_non_exhaustive()
    }
}

/// A key whose value is not what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// `feeds.bidv.fx.schedule`
    pub key: String,
    /// As it may be shown.
    pub before: String,
    /// As it may be shown.
    pub after: String,
    /// Where it comes from now.
    pub origin: Origin,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, before, after, origin } = self;
        write!(f, "{key}: {before} -> {after} ({origin})")
    }
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
    /// Streams of events at once; 0 = none are given.
    pub event_streams: u32,
    /// Of these, of one client.
    pub event_streams_per_client: u32,
}

/// `[store]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// `sqlite:<path>`, `sqlite::memory:`, or `postgres://…`
    #[serde(deserialize_with = "store_url")]
    pub url: String,
    /// Of a shared store: how long a leader that is not heard of goes on leading.
    pub lease: Span,
    /// Of a shared store: where the last board is kept on this machine.
    #[serde(deserialize_with = "optional_path")]
    pub local_copy: Option<PathBuf>,
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
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fetch {
    /// Who we say that we are.
    #[serde(deserialize_with = "header_text")]
    pub user_agent: String,
    /// `None`: straight.
    #[serde(deserialize_with = "optional_url")]
    pub proxy: Option<Url>,
}

/// `[webhook]` with an address, and `secrets.webhook_key`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Where events are posted.
    pub url: Url,
    /// What signs them.
    pub key: Key,
    /// Which are.
    pub events: Vec<What>,
    /// An address on the operator's own network.
    pub allow_private: bool,
    /// Deadline of one delivery.
    pub timeout: Span,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWebhook {
    #[serde(deserialize_with = "optional_url")]
    url: Option<Url>,
    events: Vec<What>,
    allow_private: bool,
    timeout: Span,
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
    /// Its values are kept and age; no run comes by itself.
    pub paused: bool,
    /// By source id.
    pub sources: BTreeMap<String, Source>,
}

/// `[feeds.<provider>.<kind>.sources.<source>]`
#[derive(Clone, PartialEq, Eq, Deserialize)]
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

/// A chart shows what its address says.
static NO_PICKS: Picks = Picks { gold: Vec::new(), fx: None, deposits: None };

impl Widgets {
    /// What a widget shows.
    #[must_use]
    pub fn of(&self, kind: widgets::model::Kind) -> &Picks {
        match kind {
            widgets::model::Kind::Panel => &self.panel,
            widgets::model::Kind::Gold => &self.gold,
            widgets::model::Kind::Fx => &self.fx,
            widgets::model::Kind::Deposits => &self.deposits,
            widgets::model::Kind::Ticker => &self.ticker,
            widgets::model::Kind::Chart => &NO_PICKS,
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
    history: RawHistory,
    fetch: Fetch,
    calendar: RawCalendar,
    judge: Judge,
    feeds: BTreeMap<String, BTreeMap<String, Feed>>,
    widgets: Widgets,
    #[serde(default)]
    presets: BTreeMap<String, RawPreset>,
    webhook: RawWebhook,
    secrets: BTreeMap<String, String>,
    admin: RawAdmin,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHistory {
    #[serde(deserialize_with = "optional_age")]
    keep: Option<Duration>,
    #[serde(deserialize_with = "optional_age")]
    thin_after: Option<Duration>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAdmin {
    overrides: String,
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
    /// What is not as it is in `self`, by key.
    #[must_use]
    pub fn changes(&self, new: &Self) -> Vec<Change> {
        let index = |config: &Self| -> BTreeMap<String, (String, Origin)> {
            let shown = config.effective.iter();
            shown.map(|(key, value, origin)| (key.clone(), (value.to_string(), origin.clone()))).collect()
        };
        let (before, after) = (index(self), index(new));
        let keys: std::collections::BTreeSet<&String> = self.marks.keys().chain(new.marks.keys()).collect();
        let different = keys.into_iter().filter(|key| self.marks.get(*key) != new.marks.get(*key));
        let show = |of: &BTreeMap<String, (String, Origin)>, key: &String| {
            of.get(key).map_or_else(|| "nothing".to_owned(), |(text, _)| text.clone())
        };
        different
            .map(|key| Change {
                key: key.clone(),
                before: show(&before, key),
                after: show(&after, key),
                origin: after.get(key).map_or(Origin::Default, |(_, origin)| origin.clone()),
            })
            .collect()
    }

    /// Where the value of a key comes from.
    #[must_use]
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        self.effective.iter().find(|(known, ..)| known == key).map(|(.., origin)| origin)
    }

    /// Where changes for good are kept; `None`: nowhere.
    #[must_use]
    pub fn overrides_file(&self) -> Option<PathBuf> {
        overrides_file(&self.admin.overrides, &self.store.url)
    }

    /// What must never be shown: secrets, credentials in headers and in addresses. The shortest are left out,
    /// since to hide every "a" would hide everything.
    #[must_use]
    pub fn sensitive(&self) -> Vec<String> {
        let mut words: Vec<String> = self.secrets.values().map(str::to_owned).collect();
        words.extend(self.admin.token.iter().map(|token| token.expose().to_owned()));
        words.extend(self.webhook.iter().flat_map(|webhook| webhook.key.texts()).map(str::to_owned));
        words.extend(Url::parse(&self.store.url).ok().and_then(|url| url.password().map(str::to_owned)));
        let mut address = |url: &Url| {
            words.push(url.username().to_owned());
            words.extend(url.password().map(str::to_owned));
            words.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
        };
        self.fetch.proxy.iter().for_each(&mut address);
        self.webhook.iter().for_each(|webhook| address(&webhook.url));
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

/// Reads the configuration: `file` if one is given, the process's environment, the command line, and what the operator
/// changed in the console.
///
/// # Errors
/// One line for each problem: file, line, key, reason.
pub fn load(file: Option<&Path>, overrides: &Overrides) -> Result<Config, ConfigError> {
    #[allow(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("BANGGIA_"))
        .collect();
    Inputs { file: file.map(Path::to_owned), text: None, environment, overrides: overrides.clone() }.read()
}

impl Inputs {
    /// Of a file alone.
    #[must_use]
    pub fn of_file(file: &Path) -> Self {
        Self { file: Some(file.to_owned()), ..Self::default() }
    }

    /// Reads everything, for a start.
    ///
    /// # Errors
    /// As [`load`].
    pub fn read(&self) -> Result<Config, ConfigError> {
        let text = self.text()?;
        let first = self.layers(text.as_deref())?;
        let (place, store) = (first.text("admin.overrides"), first.text("store.url"));
        let mut console = Console::default();
        if let Some(path) = overrides_file(place.unwrap_or_default(), store.unwrap_or_default()) {
            console.read(&path)?;
        }
        self.check(text.as_deref(), &console)?;
        self.finish(first, console, text)
    }

    /// Reads everything again beside the operator's changes. A file that is empty or gone is somebody's mistake, or an
    /// editor at work, and no wish for defaults.
    ///
    /// # Errors
    /// As [`load`].
    pub fn read_again(&self, console: Console) -> Result<Config, ConfigError> {
        // A pipe would be waited for, and says something else each time.
        if let Some(path) = self.file.as_ref().filter(|path| path.exists() && !path.is_file()) {
            return Err(ConfigError::one(format!(
                "{}: cannot be read: it is no regular file",
                path.display()
            )));
        }
        let text = self.text()?;
        if let Some(path) = self.empty(text.as_deref()) {
            return Err(ConfigError::one(format!(
                "{}:1: the file is empty; to go back to all defaults leave a comment in it",
                path.display()
            )));
        }
        self.check(text.as_deref(), &console)?;
        self.finish(self.layers(text.as_deref())?, console, text)
    }

    /// The file, if nothing stood in it.
    #[must_use]
    pub fn empty_file(&self) -> Option<&Path> {
        self.empty(self.text.as_deref())
    }

    fn empty(&self, text: Option<&str>) -> Option<&Path> {
        self.file.as_deref().filter(|_| text.is_some_and(|text| text.trim().is_empty()))
    }

    /// The same with other changes of the operator's; what stands in the file by now is another matter.
    ///
    /// # Errors
    /// As [`load`].
    pub fn tuned(&self, console: Console) -> Result<Config, ConfigError> {
        self.finish(self.layers(self.text.as_deref())?, console, self.text.clone())
    }

    fn text(&self) -> Result<Option<String>, ConfigError> {
        let read = |path: &PathBuf| {
            std::fs::read_to_string(path)
                .map_err(|error| ConfigError::one(format!("{}: cannot be read: {error}", path.display())))
        };
        self.file.as_ref().map(read).transpose()
    }

    fn layers(&self, text: Option<&str>) -> Result<Layers, ConfigError> {
        layered(self.file.as_deref().zip(text), &self.environment, &self.overrides)
            .map_err(ConfigError::a_line_each)
    }

    /// What stands below the operator's changes must be right as well, though it may not be in force.
    fn check(&self, text: Option<&str>, console: &Console) -> Result<(), ConfigError> {
        if *console == Console::default() {
            return Ok(());
        }
        self.layers(text)?.finish().map_err(ConfigError::a_line_each).map(drop)
    }

    fn finish(
        &self,
        mut layers: Layers,
        console: Console,
        text: Option<String>,
    ) -> Result<Config, ConfigError> {
        let (place, store) = (layers.text("admin.overrides"), layers.text("store.url"));
        let file = overrides_file(place.unwrap_or_default(), store.unwrap_or_default());
        layers.console(console.values(file.as_deref()));
        let config = layers.finish().map_err(ConfigError::a_line_each)?;
        Ok(Config { inputs: Self { text, ..self.clone() }, console, ..config })
    }
}

/// Where changes for good are kept: a place of the operator's, or beside the database.
fn overrides_file(place: &str, store: &str) -> Option<PathBuf> {
    match place {
        "off" => None,
        "" => {
            let mut name = crate::store::file_of(store)?.into_os_string();
            name.push(".overrides.toml");
            Some(name.into())
        }
        path => Some(path.into()),
    }
}

/// Names of the sockets that this process was started with (`LISTEN_FDNAMES`), in their order.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
pub fn socket_names() -> Vec<String> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    names.split(':').filter(|name| !name.is_empty()).map(str::to_owned).collect()
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
        filter: std::env::var("BANGGIA_LOG").unwrap_or_else(|_| "info,sqlx=warn".to_owned()),
        json: std::env::var("BANGGIA_LOG_FORMAT").is_ok_and(|format| format == "json"),
    }
}

/// Variables that are ours by name and that nothing reads: a section and its key are separated by two underscores.
#[must_use]
pub fn stray_environment() -> Vec<String> {
    #[allow(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let ours = names.filter(|name| name.starts_with("BANGGIA_") && !name.contains("__"));
    ours.filter(|name| !VARIABLES.contains(&name.as_str())).collect()
}

/// Variables beside those of the configuration.
pub const VARIABLES: &[&str] = &["BANGGIA_CONFIG", "BANGGIA_LOG", "BANGGIA_LOG_FORMAT"];

/// The same, of given texts.
///
/// # Errors
/// As [`load`].
pub fn assemble(
    file: Option<(&Path, &str)>,
    environment: &[(String, String)],
    overrides: &Overrides,
) -> Result<Config, ConfigError> {
    let inputs = Inputs {
        file: file.map(|(path, _)| path.to_owned()),
        text: None,
        environment: environment.to_vec(),
        overrides: overrides.clone(),
    };
    let text = file.map(|(_, text)| text.to_owned());
    inputs.finish(inputs.layers(text.as_deref())?, Console::default(), text)
}

fn layered(
    file: Option<(&Path, &str)>,
    environment: &[(String, String)],
    overrides: &Overrides,
) -> Result<Layers, ConfigError> {
    let mut layers = Layers::defaults()?;
    let mut problems = Vec::new();
    if let Some((path, text)) = file {
        problems.extend(layers.file(path, text).err().map(|error| error.0).unwrap_or_default());
    }
    problems.extend(layers.environment(environment).err().map(|error| error.0).unwrap_or_default());
    for (option, key, value) in [
        ("--listen", "server.listen", &overrides.listen),
        ("--ops-listen", "server.ops_listen", &overrides.ops_listen),
        ("--store", "store.url", &overrides.store),
    ] {
        if let Some(value) = value {
            layers.set(key, Value::String(value.clone()), Origin::CommandLine(option));
        }
    }
    layers.problems = problems;
    Ok(layers)
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
            ("[history]\nkeep = \"5y\"", "banggia.toml:2: history.keep: ", "1825d"),
            ("[history]\nkeep = \"30d\"", "banggia.toml:2: history.keep: ", "31d"),
            ("[history]\nthin_after = \"1h\"", "banggia.toml:2: history.thin_after: ", "1d"),
            (
                "[history]\nkeep = \"60d\"\nthin_after = \"60d\"",
                "banggia.toml:3: history.thin_after: ",
                "history.keep",
            ),
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
    fn a_webhook_needs_an_address_that_may_be_asked_and_a_key_that_nobody_guesses() {
        let key = "webhook_key = \"a text of at least 24 bytes\"";
        let cases = [
            ("url = \"https://example.vn/hook\"", "", "f:2: webhook.url: ", "BANGGIA_SECRETS__WEBHOOK_KEY"),
            ("url = \"http://example.vn/hook\"", key, "f:2: webhook.url: ", "allow_private = true"),
            ("url = \"https://127.0.0.1/hook\"", key, "f:2: webhook.url: ", "127.0.0.1 is not public"),
            ("url = \"https://0x7f.1/hook\"", key, "f:2: webhook.url: ", "127.0.0.1 is not public"),
            ("url = \"example.vn/hook\"", key, "f:2: webhook.url: ", "is not a URL"),
            (
                "events = [\"feed.late\"]",
                key,
                "f:2: webhook.events",
                "feed.stale, feed.recovered, quote.held",
            ),
            ("timeout = \"0s\"", key, "f:2: webhook.timeout: ", "1s"),
            ("", "webhook_key = \"23 bytes are too little\"", "f:4: secrets.webhook_key: ", "24 bytes"),
            (
                "",
                "webhook_key = \"whsec_MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM=\"",
                "f:4: secrets.webhook_key: ",
                "23 bytes;",
            ),
            (
                "",
                "webhook_key = \"whsec_(MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0)\"",
                "f:4: secrets.webhook_key: ",
                "base64",
            ),
        ];
        for (webhook, key, start, part) in cases {
            let text = format!("[webhook]\n{webhook}\n[secrets]\n{key}\n");
            let problem =
                assemble(Some((Path::new("f"), &text)), &[], &Overrides::default()).unwrap_err().to_string();
            assert!(problem.starts_with(start) && problem.contains(part), "{text}\n{problem}");
            assert!(!problem.contains("MTIz") && !problem.contains("too little"), "{problem}");
        }
        assert!(read("").unwrap().webhook.is_none());
        assert!(read(&format!("[secrets]\n{key}")).unwrap().webhook.is_none(), "a key alone tells nobody");

        let url = "https://ops:pass@example.vn/hook/T0K3N?a=b4b4";
        let text = format!(
            "[webhook]\nurl = \"{url}\"\n[secrets]\nwebhook_key = \"whsec_MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0\""
        );
        let config = read(&text).unwrap();
        let webhook = config.webhook.as_ref().unwrap();
        assert_eq!(
            (webhook.url.as_str(), &webhook.events[..]),
            (url, &[What::Stale, What::Recovered, What::Held][..])
        );
        assert_eq!((webhook.timeout, webhook.allow_private), (Span(Duration::from_secs(10)), false));
        let shown = format!("{:?} {:?} {:?}", config.effective, config.secrets, webhook.key);
        for word in ["pass", "T0K3N", "b4b4", "MTIz"] {
            assert!(!shown.contains(word), "{shown}");
        }
        assert!(shown.contains("https://example.vn/redacted"), "{shown}");
        let sensitive = config.sensitive();
        for word in
            ["pass", "b4b4", "whsec_MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0", "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0"]
        {
            assert!(sensitive.iter().any(|known| known == word), "{word}: {sensitive:?}");
        }
    }

    #[test]
    fn a_key_of_the_service_comes_from_a_file_too_and_no_adapter_sees_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, "a text of at least 24 bytes\n").unwrap();
        let environment = [
            ("BANGGIA_WEBHOOK__URL".to_owned(), "https://example.vn/hook".to_owned()),
            ("BANGGIA_WEBHOOK__EVENTS".to_owned(), "feed.stale,quote.held".to_owned()),
            ("BANGGIA_SECRETS__WEBHOOK_KEY_FILE".to_owned(), file.display().to_string()),
        ];
        let config = assemble(None, &environment, &Overrides::default()).unwrap();
        let webhook = config.webhook.unwrap();
        assert_eq!(webhook.events, [What::Stale, What::Held]);
        assert_eq!(webhook.key, "a text of at least 24 bytes".parse().unwrap());
        assert_eq!(config.secrets.get("webhook_key"), None);
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
