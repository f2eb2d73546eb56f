//! The command line: one function a sub-command. Exit 0 good, 1 failed (store, port, network), 2 bad usage or
//! configuration; every failure is one sentence on standard error.

use std::{
    io::{IsTerminal, Write as _},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use arc_swap::ArcSwap;
use clap::{Args, Parser, Subcommand};
use jiff::{Timestamp, civil::Date};
use providers::{Answer, ParseError, Parsed, Quote, Reason, Secrets, Sheet, Source, VIETNAM};
use serde::Serialize;
use tokio::sync::{Notify, mpsc};
use tokio_util::task::TaskTracker;
use url::Url;

use crate::{
    app::{self, Mode},
    board::{FeedState, Rules, Served, Snapshot, Status},
    clock::{Clock, rfc3339},
    config::{self, Config, Overrides},
    document::{self, shapes::QuoteJson},
    evidence::Note,
    fetch::{Fetcher, Live},
    host::{Host, Sockets},
    judge::{self, Case, Judgement, Trail, Verdict},
    refresh::{FirstRound, Gave, Shop, Terms, Trouble, Worker},
    store::{Kept, Nature, Store},
};

/// A self-hosted price board for Vietnam: gold, exchange rates, deposit rates.
#[derive(Debug, Parser)]
#[command(name = "banggia", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Fetch and serve until SIGTERM (the default)
    Serve(Serve),
    /// Validate the configuration; print the effective one and each feed's next five runs
    Check(Common),
    /// List feeds: sources, schedule, next run, state, last error
    Feeds(Common),
    /// Ask a source once, or read a saved answer, and print as JSON what would be published; changes nothing
    Probe(Probe),
    /// Print the OpenAPI document of the API
    Openapi,
}

#[derive(Debug, Args, Default)]
struct Common {
    /// Configuration file (TOML)
    #[arg(long, value_name = "F", env = "BANGGIA_CONFIG")]
    config: Option<PathBuf>,
}

#[derive(Debug, Args, Default)]
struct Serve {
    #[command(flatten)]
    common: Common,
    /// Address of API and widgets
    #[arg(long, value_name = "A")]
    listen: Option<String>,
    /// Address of health; never public
    #[arg(long, value_name = "A")]
    ops_listen: Option<String>,
    /// Where values are kept: sqlite:<path>
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// Answer every fetch from recordings: the built-in ones, or those of a folder
    #[arg(long, value_name = "DIR", num_args = 0..=1)]
    #[allow(clippy::option_option, reason = "clap's form of an option with an optional value")]
    replay: Option<Option<PathBuf>>,
}

#[derive(Debug, Args)]
struct Probe {
    #[command(flatten)]
    common: Common,
    /// Feed, such as bidv.fx
    feed: String,
    /// Source of the feed; without it the first whose parser accepts the file, or the first of the feed
    #[arg(long, value_name = "S")]
    source: Option<String>,
    /// Read this saved answer instead of asking the source
    #[arg(long, value_name = "SAVED")]
    file: Option<PathBuf>,
    /// Judge as of this time: 2026-09-30T10:05:00+07:00 or 2026-09-30
    #[arg(long, value_name = "T")]
    now: Option<String>,
    /// Say what each rule asked and found
    #[arg(long)]
    explain: bool,
}

/// A sentence and an exit code.
struct Failure(u8, String);

impl Failure {
    fn usage(message: impl Into<String>) -> Self {
        Self(2, message.into())
    }

    fn failed(message: impl std::fmt::Display) -> Self {
        Self(1, message.to_string())
    }
}

impl From<config::ConfigError> for Failure {
    fn from(error: config::ConfigError) -> Self {
        Self::usage(error.to_string())
    }
}

/// Runs the program.
///
/// # Errors
/// When the asynchronous runtime cannot be started.
pub fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    // Before there are threads.
    let sockets = Sockets::inherited()?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(threads()).enable_all().build()?;
    let result = match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(options) => runtime.block_on(serve(options, sockets)),
        Command::Check(options) => check(&options),
        Command::Feeds(options) => runtime.block_on(feeds(&options)),
        Command::Probe(options) => runtime.block_on(probe(&options)),
        Command::Openapi => {
            print(&format!("{:#}\n", crate::http::openapi()));
            Ok(ExitCode::SUCCESS)
        }
    };
    // A parser that does not come back must not keep the program.
    runtime.shutdown_background();
    Ok(match result {
        Ok(code) => code,
        Err(Failure(code, message)) => {
            for line in message.lines() {
                complain(&format!("banggia: {line}"));
            }
            ExitCode::from(code)
        }
    })
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get).clamp(2, 8)
}

/// One line on standard error; when that is gone, nobody is listening.
fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Text on standard output; a closed pipe ends the printing, not the program.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn load(common: &Common, overrides: &Overrides) -> Result<Config, Failure> {
    Ok(config::load(common.config.as_deref(), overrides)?)
}

async fn serve(options: Serve, sockets: Sockets) -> Result<ExitCode, Failure> {
    let replay = options.replay;
    let overrides = Overrides {
        listen: options.listen,
        ops_listen: options.ops_listen,
        // Recorded answers stay in memory unless a store is asked for.
        store: options.store.or_else(|| replay.as_ref().map(|_| "sqlite::memory:".to_owned())),
    };
    let config = load(&options.common, &overrides)?;
    log();
    let mode = replay.map_or(Mode::Live, Mode::Replay);
    if let Mode::Replay(_) = mode {
        tracing::info!("replay: answers are recorded ones, not current prices");
    }
    // A connection is a file; the system's usual 1,024 are fewer than the connections that are allowed.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    let host = Host::new(sockets).map_err(Failure::failed)?;
    host.run(config, mode).await.map_err(Failure::failed)?;
    Ok(ExitCode::SUCCESS)
}

/// Logs go to standard error: text for people, JSON when `BANGGIA_LOG_FORMAT=json`.
fn log() {
    let settings = config::log_settings();
    let filter = tracing_subscriber::EnvFilter::try_new(&settings.filter)
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        // A log that cannot be written is lost; to complain about it on the same broken stream would panic.
        .log_internal_errors(false);
    // A second subscriber is refused; then the first one stays.
    let _ = if settings.json {
        builder.json().try_init()
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).try_init()
    };
}

fn check(options: &Common) -> Result<ExitCode, Failure> {
    let config = load(options, &Overrides::default())?;
    if let Some(key) = config.secrets.get("doji_board_key")
        && (key.len() != 64 || !key.bytes().all(|byte| byte.is_ascii_hexdigit()))
    {
        complain(
            "banggia: warning: secrets.doji_board_key is not of 64 hex digits; no envelope will open with it",
        );
    }
    let mut text = String::from("# effective configuration; behind each value where it comes from\n");
    for (key, value, origin) in &config.effective {
        text.push_str(&format!("{key} = {value}  # {origin}\n"));
    }
    text.push_str("\n# next five runs, Vietnamese time\n");
    let now = Clock::system().now();
    for (_, feed, settings) in app::enabled(&config) {
        let offset = app::offset(feed.id, settings, false);
        text.push_str(&format!("{}  \"{}\"  +{}s\n", feed.id, settings.schedule, offset.as_secs()));
        for run in settings.schedule.runs(now, 5) {
            text.push_str(&format!("  {}\n", rfc3339(run)));
        }
        let interval = settings.schedule.interval(now).as_secs();
        for source in feed.sources {
            if let Some(least) = source.min_interval.filter(|least| interval < u64::from(*least)) {
                complain(&format!(
                    "banggia: warning: {}.{} asks its readers for at most one request every {least} s; the schedule asks every {interval} s",
                    feed.id, source.id
                ));
            }
        }
    }
    print(&text);
    Ok(ExitCode::SUCCESS)
}

/// States from the store, without touching it.
async fn states(config: &Config, clock: &Clock) -> Result<(Vec<FeedState>, bool), Failure> {
    let store = match Store::look(&config.store.url).await.map_err(Failure::failed)? {
        Some(store) => (store, true),
        None => (Store::open("sqlite::memory:", Nature::Live).await.map_err(Failure::failed)?, false),
    };
    let states = app::load_states(config, &store.0, clock, false).await.map_err(Failure::failed)?;
    store.0.close().await;
    Ok((states.into_iter().map(|(state, _)| state).collect(), store.1))
}

async fn feeds(options: &Common) -> Result<ExitCode, Failure> {
    let config = load(options, &Overrides::default())?;
    let clock = Clock::system();
    let (states, exists) = states(&config, &clock).await?;
    let mut text = String::new();
    if !exists {
        text.push_str(&format!("# {} does not exist yet: nothing has been fetched\n", config.store.url));
    }
    for state in states {
        let state = Arc::new(state);
        let served = state.serve(clock.now());
        text.push_str(&format!(
            "{}  {}  schedule \"{}\"  next {}\n",
            state.feed.id,
            served.status.as_str(),
            state.rules.schedule,
            state.next_refresh_at.map_or_else(|| "never".to_owned(), rfc3339),
        ));
        if state.missed > 0 || state.missed_publishes > 0 {
            text.push_str(&format!("  missed: {} runs, {} boards\n", state.missed, state.missed_publishes));
        }
        for source in &state.sources {
            let standing = match &source.standing {
                crate::board::Standing::Off => "off".to_owned(),
                crate::board::Standing::Skipped(secret) => format!("skipped: the secret {secret} is not set"),
                crate::board::Standing::On => match &source.last {
                    None => "not asked yet".to_owned(),
                    Some(last) => {
                        let reason = last
                            .reason
                            .as_ref()
                            .map_or_else(String::new, |reason| format!(": {}", reason.message));
                        format!("{} at {}{reason}", last.outcome, rfc3339(last.at))
                    }
                },
            };
            let via = source.source.via.map_or_else(String::new, |via| format!(" via {}", via.name));
            text.push_str(&format!("  {}{via}  {standing}  {}\n", source.source.id, source.url));
            for (key, held) in &source.held {
                let why = held.reasons.first().map_or("", |reason| reason.message.as_str());
                let word = if held.refused { "refused" } else { "held" };
                text.push_str(&format!("    {word} since {}: {key}: {why}\n", rfc3339(held.since)));
            }
        }
    }
    print(&text);
    Ok(ExitCode::SUCCESS)
}

/// What `probe` prints.
#[derive(Serialize)]
struct Report {
    feed: &'static str,
    source: Option<&'static str>,
    via: Option<&'static str>,
    verdict: Verdict,
    reasons: Vec<Reason>,
    as_of: Option<String>,
    checked_at: String,
    quotes: Vec<QuoteJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    explain: Option<Vec<Trail>>,
}

async fn probe(options: &Probe) -> Result<ExitCode, Failure> {
    let Some((institution, feed)) = providers::feed(&options.feed) else {
        let known: Vec<&str> = providers::feeds().map(|(_, feed)| feed.id).collect();
        return Err(Failure::usage(format!(
            "there is no feed {}; allowed are {}",
            options.feed,
            known.join(", ")
        )));
    };
    let sources: Vec<&'static Source> = match &options.source {
        None => feed.sources.iter().collect(),
        Some(name) => match feed.sources.iter().find(|source| source.id == name) {
            Some(source) => vec![source],
            None => {
                let known: Vec<&str> = feed.sources.iter().map(|source| source.id).collect();
                return Err(Failure::usage(format!(
                    "{} has no source {name}; allowed are {}",
                    feed.id,
                    known.join(", ")
                )));
            }
        },
    };
    let now = match &options.now {
        None => Clock::system().now(),
        Some(text) => instant(text)?,
    };
    let config = load(&options.common, &Overrides::default())?;
    let Some(settings) = config.feeds.get(feed.id) else {
        return Err(Failure::usage(format!("{} is switched off in the configuration", feed.id)));
    };
    let rules = Rules {
        schedule: settings.schedule.clone(),
        stale_after: settings.stale_after.0,
        expire_after: settings.expire_after.0,
        calendar: Arc::new(config.calendar.clone()),
    };
    let (source, result) = match &options.file {
        Some(path) => {
            let bytes = saved_answer(path)?;
            let note = Note::beside(path);
            read_saved(feed, &sources, (&bytes, note.as_ref()), &config, now)
        }
        None => {
            let source = sources.first().copied().ok_or_else(|| Failure::failed("the feed has no source"))?;
            (Some(source), ask_live(&config, feed, source, Clock::starting_at(now)).await?)
        }
    };
    let mut report = Report {
        feed: feed.id,
        source: source.map(|source| source.id),
        via: source.and_then(|source| source.via).map(|via| via.name),
        verdict: Verdict::Reject,
        reasons: Vec::new(),
        as_of: None,
        checked_at: rfc3339(now),
        quotes: Vec::new(),
        explain: options.explain.then(Vec::new),
    };
    match (source, result) {
        (Some(source), Ok((sheet, judgement))) => {
            report.verdict = judgement.verdict;
            report.reasons = judgement.reasons;
            report.as_of = document::as_of(sheet.as_of);
            report.quotes = quotes(institution.id, feed, source, &sheet, &rules, now);
            report.explain = options.explain.then_some(judgement.trail);
        }
        (_, Ok(_)) => {}
        (_, Err(reasons)) => report.reasons = reasons,
    }
    let mut json = serde_json::to_string_pretty(&report).map_err(Failure::failed)?;
    json.push('\n');
    print(&json);
    Ok(if report.verdict == Verdict::Reject { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn instant(text: &str) -> Result<Timestamp, Failure> {
    let day = || text.parse::<Date>().ok().and_then(|day| VIETNAM.to_timestamp(day.at(12, 0, 0, 0)).ok());
    text.parse::<Timestamp>().ok().or_else(day).ok_or_else(|| {
        Failure::usage(format!("--now \"{text}\" is neither an instant such as 2026-09-30T10:05:00+07:00 nor a day such as 2026-09-30"))
    })
}

/// A saved answer, as large as an answer may be.
fn saved_answer(path: &std::path::Path) -> Result<Vec<u8>, Failure> {
    use std::io::Read as _;
    const MOST: u64 = 8 << 20;
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MOST + 1).read_to_end(&mut bytes))
        .map_err(|error| Failure::usage(format!("{} cannot be read: {error}", path.display())))?;
    if bytes.len() as u64 > MOST {
        return Err(Failure::usage(format!("{} is larger than 8 MB, which no answer is", path.display())));
    }
    Ok(bytes)
}

type Judged = Result<(Sheet, Judgement), Vec<Reason>>;

/// The first source whose parser accepts the file; where none does, why each did not.
fn read_saved(
    feed: &'static providers::Feed,
    sources: &[&'static Source],
    saved: (&[u8], Option<&Note>),
    config: &Config,
    now: Timestamp,
) -> (Option<&'static Source>, Judged) {
    let mut reasons = Vec::new();
    let max_jump =
        config.feeds.get(feed.id).map_or(rust_decimal::Decimal::MAX, |settings| settings.max_jump.limit);
    for source in sources {
        match read(source, saved, &config.secrets, now) {
            Ok(sheet) => {
                let case = Case::first(feed, &sheet, &config.judge, max_jump, now);
                let judgement = judge::judge(&case);
                return (Some(source), Ok((sheet, judgement)));
            }
            Err(error) => {
                let message =
                    if sources.len() == 1 { error.to_string() } else { format!("as {}: {error}", source.id) };
                reasons.push(Reason::new(error.code(), message));
            }
        }
    }
    (if let [only] = sources { Some(only) } else { None }, Err(reasons))
}

fn read(
    source: &Source,
    (bytes, note): (&[u8], Option<&Note>),
    secrets: &Secrets,
    now: Timestamp,
) -> Result<Sheet, ParseError> {
    let base = Url::parse(source.url).map_err(|error| ParseError::Schema(error.to_string()))?;
    // What the service kept beside a refused answer says how it came.
    let answer = Answer {
        body: bytes,
        charset: note.and_then(|note| note.charset.as_deref()),
        last_modified: note.and_then(|note| note.last_modified),
        step: None,
        now,
        base: &base,
        secrets,
    };
    // A saved answer gets the same protection as a live one.
    let parsed = std::panic::catch_unwind(|| (source.parse)(&answer)).unwrap_or_else(|_| {
        Err(ParseError::Schema("the adapter failed on it; this is a defect of banggia".to_owned()))
    })?;
    match parsed {
        Parsed::Sheet(sheet) => Ok(sheet),
        Parsed::Follow(request) => Err(ParseError::NotExpectedContent {
            expected: "a board",
            found: format!("an answer that leads on to {}", request.step),
        }),
    }
}

async fn ask_live(
    config: &Config,
    feed: &'static providers::Feed,
    source: &'static Source,
    clock: Clock,
) -> Result<Judged, Failure> {
    let (states, _) = states(config, &clock).await?;
    let (Some(state), Some(tuning)) =
        (states.iter().find(|state| state.feed.id == feed.id).cloned(), app::tuning(config, feed, false))
    else {
        return Err(Failure::usage(format!("{} is switched off in the configuration", feed.id)));
    };
    if let Some(secret) = source.secret.filter(|secret| config.secrets.get(secret).is_none()) {
        return Ok(Err(vec![ParseError::SecretMissing(secret).reason()]));
    }
    let served: Vec<_> = states.into_iter().map(|state| Arc::new(state).serve(clock.now())).collect();
    let shop = Shop {
        clock: clock.clone(),
        fetcher: Fetcher::Live(Live::new(&config.fetch, clock)),
        store: Arc::new(Store::open("sqlite::memory:", Nature::Live).await.map_err(Failure::failed)?),
        terms: ArcSwap::from_pointee(Terms::of(config)),
        metrics: Arc::default(),
        evidence: Arc::default(),
        tracker: TaskTracker::new(),
        snapshot: Arc::new(ArcSwap::from_pointee(Snapshot::of(served))),
        board: mpsc::channel(1).0,
        first_round: FirstRound::new(1),
    };
    let shop = Arc::new(shop);
    let (mut worker, _runs) = Worker::new(Arc::clone(&shop), tuning, state, Arc::new(Notify::new()));
    Ok(match worker.probe(source.id).await {
        Some(Ok(Gave::Sheet(sheet, judgement, _)) | Err(Trouble::Judged(sheet, judgement))) => {
            Ok((sheet, judgement))
        }
        Some(Ok(Gave::Unchanged)) | None => {
            Err(vec![Reason::new("unchanged", "the source answered that nothing changed")])
        }
        Some(Err(trouble)) => Err(vec![shop.discreet(trouble.reason())]),
    })
}

/// Everything that could be read, as the API would show it.
fn quotes(
    provider: &'static str,
    feed: &'static providers::Feed,
    source: &'static Source,
    sheet: &Sheet,
    rules: &Rules,
    now: Timestamp,
) -> Vec<QuoteJson> {
    let mut quotes: Vec<Quote> = sheet.quotes.clone();
    quotes.sort_by_cached_key(document::order);
    quotes
        .into_iter()
        .map(|quote| {
            let kept = Kept {
                as_of: quote.as_of(sheet.as_of),
                quote,
                previous: None,
                fetched_at: now,
                checked_at: now,
                changed_at: now,
            };
            let served =
                Served { kept, freshness: rules.freshness(now), status: Status::Fresh, source, held: false };
            QuoteJson::of(feed, provider, &served, providers::WeightUnit::Luong)
        })
        .collect()
}
