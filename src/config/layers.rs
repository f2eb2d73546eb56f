//! Layers of configuration: defaults, the operator's file, the environment, the command line. Kept as values by
//! dotted key with their origin, so that every problem can say where its value was set.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    str::FromStr as _,
    time::Duration,
};

use providers::{Kind, Secrets};
use toml::{
    Spanned, Table, Value,
    de::{DeTable, DeValue},
};
use url::Url;

use super::{
    Admin, Config, ConfigError, Console, DEFAULT, Feed, Inputs, OWN_SECRETS, Origin, Picks, Preset, Raw,
    RawHistory, RawPreset, RawWebhook, Secret, Webhook,
};
use crate::{fetch, schedule::Calendar, store::Retention, webhook::Key, widget};

/// Days of which changes stay at least.
const LEAST_KEPT: u32 = 31;
/// Shorter, and a moment's hiccup changes the leader; longer, and readers notice that one is gone.
const SHORTEST_LEASE: std::time::Duration = std::time::Duration::from_secs(3);
const LONGEST_LEASE: std::time::Duration = std::time::Duration::from_mins(1);
/// A token that nobody guesses.
const LEAST_TOKEN: usize = 16;

/// Secrets of sources, and our own.
fn secret_names() -> impl Iterator<Item = &'static str> {
    Secrets::NAMES.iter().chain(OWN_SECRETS).copied()
}

/// Two values of a key with the same mark are the same, though neither may be shown; of a file of certificates what is in it counts.
fn mark(key: &str, value: &Value) -> u64 {
    let mut bytes = value.to_string().into_bytes();
    if let Some(path) = value.as_str().filter(|path| key.ends_with(".ca_file") && !path.is_empty()) {
        bytes.extend(std::fs::read(path).unwrap_or_default());
    }
    xxhash_rust::xxh3::xxh3_64(&bytes)
}

/// Values by dotted key, each with its origin; a later layer replaces an earlier one key by key.
pub(super) struct Layers {
    values: BTreeMap<String, (Value, Origin)>,
    known: BTreeSet<String>,
    /// What is read besides: secrets and certificates.
    files: Vec<PathBuf>,
    /// What was wrong with them so far.
    pub(super) problems: Vec<String>,
    /// The operator's file, by whose lines problems are sorted.
    path: Option<PathBuf>,
}

impl Layers {
    pub(super) fn defaults() -> Result<Self, ConfigError> {
        let table: Table =
            DEFAULT.parse().map_err(|error| ConfigError::one(format!("default.toml: {error}")))?;
        let mut values = BTreeMap::new();
        flatten(&table, "", &mut |key, value| {
            values.insert(key, (value, Origin::Default));
        });
        let mut known: BTreeSet<String> = values.keys().cloned().collect();
        known.insert("calendar.holidays".to_owned());
        known.extend(secret_names().map(|name| format!("secrets.{name}_file")));
        Ok(Self { values, known, files: Vec::new(), problems: Vec::new(), path: None })
    }

    pub(super) fn set(&mut self, key: &str, value: Value, origin: Origin) {
        self.values.insert(key.to_owned(), (value, origin));
    }

    /// The text that stands at a key so far.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.values.get(key).and_then(|(value, _)| value.as_str())
    }

    /// The operator's changes: above the file, below what somebody set above that.
    pub(super) fn console(&mut self, changes: Vec<(String, Value, Origin)>) {
        for (key, value, origin) in changes {
            if self.values.get(&key).is_none_or(|(_, own)| own.rank() <= origin.rank()) {
                self.set(&key, value, origin);
            }
        }
    }

    /// Keys whose last part the operator names: headers and presets.
    fn is_known(&self, key: &str) -> bool {
        self.known.contains(key)
            || key
                .split_once(".headers.")
                .is_some_and(|(source, _)| self.known.contains(&format!("{source}.headers")))
            || key.strip_prefix("presets.").is_some_and(|rest| {
                rest.split_once('.').is_some_and(|(name, option)| {
                    let own = ["widget", "frame_ancestors"];
                    !name.is_empty() && widget::preset_options().chain(own).any(|known| known == option)
                })
            })
    }

    pub(super) fn file(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        self.path = Some(path.to_owned());
        let at = |offset| line(text, offset);
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

    pub(super) fn environment(&mut self, environment: &[(String, String)]) -> Result<(), ConfigError> {
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
        // Options of a preset stand under a name that only the operator knows.
        let preset = key.strip_prefix("presets.").and_then(|rest| rest.split_once('.'));
        let own = preset.into_iter().flat_map(|(name, _)| {
            let options = widget::preset_options().chain(["widget", "frame_ancestors"]);
            options.map(move |option| format!("presets.{name}.{option}"))
        });
        let far = |known: &String| strsim::damerau_levenshtein(known, key);
        let nearest = self.known.iter().cloned().chain(own).min_by_key(far);
        match nearest.filter(|nearest| far(nearest) <= (key.chars().count() / 3).max(3)) {
            Some(nearest) => format!("unknown key {key}; did you mean {nearest}?"),
            // To name what is nothing like it would mislead.
            None => format!("unknown key {key}; `banggia check` without a file prints every key"),
        }
    }

    /// The whole, or every problem of every layer at once: whoever mends one would else be told the next.
    pub(super) fn finish(mut self) -> Result<Config, ConfigError> {
        let (mut problems, path) = (std::mem::take(&mut self.problems), self.path.clone());
        match self.typed() {
            Ok(config) if problems.is_empty() => return Ok(config),
            Ok(_) => {}
            Err(error) => problems.extend(error.0),
        }
        // As the file is read, from its top; what stands elsewhere comes after it.
        let line = |problem: &String| -> Option<usize> {
            let rest = problem.strip_prefix(&format!("{}:", path.as_ref()?.display()))?;
            rest.split_once(':')?.0.parse().ok()
        };
        problems.sort_by_key(|problem| line(problem).unwrap_or(usize::MAX));
        Err(ConfigError(problems))
    }

    fn typed(mut self) -> Result<Config, ConfigError> {
        let mut problems = Vec::new();
        problems.extend(self.secret_files().err().map(|error| error.0).unwrap_or_default());
        let raw = self.read(&mut problems)?;
        if raw.store.backup_every.0.is_zero() {
            let why = "must be at least 1s; backups = 0 makes none";
            problems.push(self.problem("store.backup_every", why));
        }
        let lease = raw.store.lease.0;
        if lease < SHORTEST_LEASE || lease > LONGEST_LEASE {
            problems.push(self.problem("store.lease", "allowed are 3s to 60s"));
        }
        let history = self.history(&raw.history, &mut problems);
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
        for kind in widgets::model::Kind::ALL {
            self.check_picks(&format!("widgets.{}", kind.as_str()), raw.widgets.of(kind), &mut problems);
        }
        let presets = self.presets(raw.presets, &feeds, &mut problems);
        if raw.judge.hold_polls == 0 {
            problems.push(self.problem("judge.hold_polls", "must be at least 1"));
        }
        let (own, sources): (BTreeMap<String, String>, BTreeMap<String, String>) =
            raw.secrets.into_iter().partition(|(name, _)| OWN_SECRETS.contains(&name.as_str()));
        let admin_token = own.get("admin_token").filter(|token| !token.is_empty());
        if admin_token.is_some_and(|token| token.len() < LEAST_TOKEN) {
            let why =
                format!("must have at least {LEAST_TOKEN} characters, such as `openssl rand -hex 24` prints");
            problems.push(self.problem("secrets.admin_token", &why));
        }
        let webhook = self.webhook(raw.webhook, own.get("webhook_key"), &mut problems);
        if !problems.is_empty() {
            return Err(ConfigError(problems));
        }
        let certificates =
            feeds.values().flat_map(|feed| feed.sources.values()).filter_map(|source| source.ca_file.clone());
        let files = self.files.drain(..).chain(certificates).collect();
        let marks = self.values.iter().map(|(key, (value, _))| (key.clone(), mark(key, value))).collect();
        Ok(Config {
            server: raw.server,
            store: raw.store,
            history,
            fetch: raw.fetch,
            calendar,
            judge: raw.judge,
            feeds,
            widgets: raw.widgets,
            presets,
            secrets: Secrets::new(sources),
            admin: Admin { token: admin_token.cloned().map(Secret::new), overrides: raw.admin.overrides },
            inputs: Inputs::default(),
            files,
            console: Console::default(),
            marks,
            webhook,
            effective: self
                .values
                .into_iter()
                .map(|(key, (value, origin))| {
                    let value = printable(&key, value);
                    (key, value, origin)
                })
                .collect(),
        })
    }

    /// The values by their types. What cannot be read is a problem, and its default takes its place to find the next.
    fn read(&mut self, problems: &mut Vec<String>) -> Result<Raw, ConfigError> {
        let defaults = Self::defaults()?;
        loop {
            let mut tree = Table::new();
            for (key, (value, _)) in &self.values {
                insert(&mut tree, key, value.clone());
            }
            let error = match serde_path_to_error::deserialize(Value::Table(tree)) {
                Ok(raw) => return Ok(raw),
                Err(error) => error,
            };
            let path = error.path().to_string();
            let (key, origin) = self.origin(&path);
            problems.push(format!("{origin}: {key}: {}", error.into_inner().message().trim_end()));
            let wrong = |known: &String, path: &str| {
                let path = path.split('[').next().unwrap_or(path);
                known == path
                    || known.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'))
                    || path.strip_prefix(known.as_str()).is_some_and(|rest| rest.starts_with('.'))
            };
            let set: Vec<String> = self
                .values
                .iter()
                .filter(|(known, (_, origin))| *origin != Origin::Default && wrong(known, &path))
                .map(|(known, _)| known.clone())
                .collect();
            if set.is_empty() {
                return Err(ConfigError(std::mem::take(problems)));
            }
            for key in set {
                match defaults.values.get(&key) {
                    Some(default) => self.values.insert(key, default.clone()),
                    None => self.values.remove(&key),
                };
            }
        }
    }

    /// `secrets.x_file` names a file that holds the secret, as container platforms mount it.
    fn secret_files(&mut self) -> Result<(), ConfigError> {
        for name in secret_names() {
            let Some((value, origin)) = self.values.remove(&format!("secrets.{name}_file")) else { continue };
            let Some(path) = value.as_str().filter(|path| !path.is_empty()) else { continue };
            // The secret itself, set in a layer above, stands above its file.
            let above = self
                .values
                .get(&format!("secrets.{name}"))
                .is_some_and(|(_, own)| own.rank() > origin.rank());
            if above {
                continue;
            }
            self.files.push(path.into());
            let text = std::fs::read_to_string(path).map_err(|error| {
                ConfigError::one(format!("{origin}: secrets.{name}_file: {path} cannot be read: {error}"))
            })?;
            let secret = text.trim();
            if secret.is_empty() || secret.chars().any(char::is_control) {
                let why = if secret.is_empty() { "is empty" } else { "has more than one line" };
                return Err(ConfigError::one(format!("{origin}: secrets.{name}_file: {path} {why}")));
            }
            self.set(&format!("secrets.{name}"), Value::String(secret.to_owned()), origin);
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
        let of_rates = id.ends_with(Kind::Deposit.as_str());
        if feed.max_jump.is_percent == of_rates {
            let wanted =
                if of_rates { "points of a rate, such as \"1.5\"" } else { "percent, such as \"3%\"" };
            problems.push(self.problem(&format!("feeds.{id}.max_jump"), &format!("must be {wanted}")));
        }
        if feed.expire_after < feed.stale_after {
            let key = |name: &str| format!("feeds.{id}.{name}");
            // Whichever of the two somebody set.
            let (key, why) = match self.origin(&key("expire_after")) {
                (_, Origin::Default) => (key("stale_after"), "must not be longer than expire_after"),
                (key, _) => (key, "must not be shorter than stale_after"),
            };
            problems.push(self.problem(&key, &format!("{why}: a value cannot expire before it is stale")));
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
            if let Some(Err(outcome)) = source.ca_file.as_deref().map(crate::fetch::certificates) {
                problems.push(self.problem(&format!("{key}.ca_file"), &outcome.to_string()));
            }
        }
    }

    /// What of old changes is dropped, which must leave the courses of prices that pages draw.
    fn history(&self, raw: &RawHistory, problems: &mut Vec<String>) -> Retention {
        const DAY: Duration = Duration::from_hours(24);
        let RawHistory { keep, thin_after } = *raw;
        if keep.is_some_and(|keep| keep < DAY * LEAST_KEPT) {
            let why = format!("must be at least {LEAST_KEPT}d, since widgets draw the last 30 days");
            problems.push(self.problem("history.keep", &why));
        }
        if thin_after.is_some_and(|after| after < DAY) {
            problems.push(self.problem("history.thin_after", "must be at least 1d"));
        }
        if let (Some(keep), Some(after)) = (keep, thin_after)
            && after >= keep
        {
            let why = "must be shorter than history.keep: what is dropped is not thinned out before";
            problems.push(self.problem("history.thin_after", why));
        }
        Retention { keep, thin_after }
    }

    /// Who is told of events, by which key; `None`: nobody, or something is wrong with it.
    fn webhook(&self, raw: RawWebhook, key: Option<&String>, problems: &mut Vec<String>) -> Option<Webhook> {
        let RawWebhook { url, events, allow_private, timeout } = raw;
        let before = problems.len();
        if timeout.0.is_zero() {
            problems.push(self.problem("webhook.timeout", "must be at least 1s"));
        }
        let key = key.filter(|key| !key.is_empty()).map(|key| key.parse::<Key>());
        if let Some(Err(why)) = &key {
            problems.push(self.problem("secrets.webhook_key", why));
        }
        let url = url?;
        if key.is_none() {
            problems.push(self.problem(
                "webhook.url",
                "needs secrets.webhook_key, which signs what is sent (or webhook_key_file, or BANGGIA_SECRETS__WEBHOOK_KEY)",
            ));
        }
        if url.scheme() == "http" && !allow_private {
            problems.push(self.problem(
                "webhook.url",
                "plain http is allowed only with allow_private = true, for an address on your own network; otherwise https",
            ));
        }
        if let Some(Err(outcome)) = (!allow_private).then(|| fetch::refuse_private_literal(&url)) {
            problems.push(self.problem("webhook.url", &outcome.to_string()));
        }
        let key = key?.ok().filter(|_| problems.len() == before)?;
        Some(Webhook { url, key, events, allow_private, timeout })
    }

    fn check_picks(&self, section: &str, picks: &Picks, problems: &mut Vec<String>) {
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
                    &format!("{section}.{key}"),
                    &format!("\"{name}\" has no {} feed; allowed are {}", kind.as_str(), allowed.join(", ")),
                ));
            }
        };
        for pick in &picks.gold {
            provider("gold", &pick.provider, Kind::Gold);
        }
        if let Some(fx) = &picks.fx {
            provider("fx.provider", &fx.provider, Kind::Fx);
        }
        for name in picks.deposits.iter().flat_map(|deposits| &deposits.providers) {
            provider("deposits.providers", name, Kind::Deposit);
        }
        for pick in &picks.gold {
            let product = pick.product.strip_suffix("-wholesale").unwrap_or(&pick.product);
            if !providers::PRODUCTS.contains(&product) {
                let allowed = providers::PRODUCTS.join(", ");
                let why =
                    format!("\"{product}\" is no product; allowed are {allowed}, each also with -wholesale");
                problems.push(self.problem(&format!("{section}.gold"), &why));
            }
        }
        for code in picks.fx.iter().flat_map(|fx| &fx.currencies) {
            if !providers::CURRENCIES.contains(&code.as_str()) {
                let allowed = providers::CURRENCIES.join(", ");
                let why = format!("\"{code}\" is no currency that is quoted; allowed are {allowed}");
                problems.push(self.problem(&format!("{section}.fx.currencies"), &why));
            }
        }
    }

    /// Presets with their options as a query would have them, each checked as a query is.
    fn presets(
        &self,
        raw: BTreeMap<String, RawPreset>,
        feeds: &BTreeMap<String, Feed>,
        problems: &mut Vec<String>,
    ) -> BTreeMap<String, Preset> {
        let houses = |kind: Kind| -> Vec<&'static str> {
            providers::feeds()
                .filter(|(_, feed)| feed.kind == kind && feeds.contains_key(feed.id))
                .map(|(institution, _)| institution.id)
                .collect()
        };
        let mut presets = BTreeMap::new();
        for (name, raw) in raw {
            let before = problems.len();
            let key = |option: &str| format!("presets.{name}.{option}");
            let kind = widgets::model::Kind::named(&raw.widget);
            if kind.is_none() {
                let allowed = widgets::model::Kind::ALL.map(widgets::model::Kind::as_str).join(", ");
                let why = format!("\"{}\" is no widget; allowed are {allowed}", raw.widget);
                problems.push(self.problem(&key("widget"), &why));
            }
            for ancestor in raw.frame_ancestors.iter().flatten().filter(|ancestor| !is_ancestor(ancestor)) {
                let why = format!("\"{ancestor}\" is neither an origin such as https://example.vn nor *");
                problems.push(self.problem(&key("frame_ancestors"), &why));
            }
            let mut options = Vec::new();
            for (option, value) in &raw.options {
                match as_query(value) {
                    Some(text) => options.push((option.clone(), text)),
                    None => problems.push(self.problem(
                        &key(option),
                        "must be a text, a number, true or false, or a list of these",
                    )),
                }
            }
            let Some(kind) = kind else { continue };
            let read = widget::Options::read(kind, options.iter().cloned(), &houses, &BTreeMap::new());
            for wrong in read.err().unwrap_or_default() {
                let why =
                    format!("\"{}\" is not allowed; allowed are {}", wrong.value, wrong.allowed.join(", "));
                problems.push(self.problem(&key(&wrong.parameter), &why));
            }
            if problems.len() == before {
                presets.insert(name, Preset { widget: kind, options, frame_ancestors: raw.frame_ancestors });
            }
        }
        presets
    }
}

/// A value of the file as it would stand in a query.
fn as_query(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Boolean(on) => Some(if *on { "1" } else { "0" }.to_owned()),
        Value::Array(values) => {
            values.iter().map(as_query).collect::<Option<Vec<_>>>().map(|values| values.join(","))
        }
        _ => None,
    }
}

/// Goes into a Content-Security-Policy as it is, so it is an origin and nothing else.
fn is_ancestor(text: &str) -> bool {
    let origin =
        || Url::parse(text).is_ok_and(|url| url.origin().ascii_serialization() == text.trim_end_matches('/'));
    text == "*" || (text.starts_with("http") && !text.contains('*') && origin())
}

/// A header that usually carries a key.
pub(super) fn is_credential(header: &str) -> bool {
    let header = header.to_lowercase();
    ["authorization", "cookie", "token", "key", "secret"].iter().any(|word| header.contains(word))
}

/// What `check` may print of a value: no secret, no credential of a header or an address.
fn printable(key: &str, value: Value) -> Value {
    let text = value.as_str().unwrap_or_default();
    let hidden = (key.starts_with("secrets.") && !text.is_empty())
        || key.split_once(".headers.").is_some_and(|(_, header)| is_credential(header));
    if hidden {
        return Value::String("<redacted>".to_owned());
    }
    match Url::parse(text) {
        // Who knows such an address may often post there: all of it is a secret but the host.
        Ok(mut url) if url.has_host() && key == "webhook.url" => {
            let _ = url.set_username("").and_then(|()| url.set_password(None));
            url.set_query(None);
            url.set_fragment(None);
            url.set_path("redacted");
            Value::String(url.into())
        }
        Ok(mut url)
            if url.has_host()
                && (url.password().is_some() || url.query().is_some() || !url.username().is_empty()) =>
        {
            if !url.username().is_empty() {
                let _ = url.set_username("redacted");
            }
            if url.password().is_some() {
                let _ = url.set_password(Some("redacted"));
            }
            if url.query().is_some() {
                url.set_query(Some("redacted"));
            }
            Value::String(url.into())
        }
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
            if text.trim_start().starts_with('[') {
                let table: Table =
                    format!("list = {text}").parse().map_err(|_| "a list such as [\"a\", \"b\"]")?;
                return table.get("list").cloned().ok_or("a list");
            }
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

pub(super) fn flatten_spanned(table: &DeTable<'_>, prefix: &str, leaves: &mut Vec<(String, Value, usize)>) {
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

/// The line of a byte, from 1.
pub(super) fn line(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

pub(super) fn insert(tree: &mut Table, key: &str, value: Value) {
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
