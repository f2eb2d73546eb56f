//! `probe`: one source asked once, or a saved answer read, and what would be published said as JSON. Changes nothing.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use arc_swap::ArcSwap;
use clap::Args;
use jiff::{Timestamp, civil::Date};
use providers::{Answer, ParseError, Parsed, Quote, Reason, Secrets, Sheet, Source, VIETNAM};
use serde::Serialize;
use tokio::sync::{Notify, mpsc};
use tokio_util::task::TaskTracker;
use url::Url;

use super::{Common, Failure, load, print, states};
use crate::{
    app,
    board::{Rules, Served, Snapshot, Status},
    clock::{Clock, rfc3339},
    config::{Config, Overrides},
    document::{self, shapes::QuoteJson},
    evidence::Note,
    fetch::{Fetcher, Live},
    judge::{self, Case, Judgement, Trail, Verdict},
    refresh::{FirstRound, Gave, Shop, Terms, Trouble, Worker},
    store::{Kept, Nature, Store},
};

#[derive(Debug, Args)]
pub(super) struct Probe {
    #[command(flatten)]
    common: Common,
    /// Feed, such as bidv.fx
    feed: String,
    /// Source of the feed; without it the first whose parser accepts the file, or the first that can be asked
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

pub(super) async fn probe(options: &Probe) -> Result<ExitCode, Failure> {
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
            // The first that can be asked; where none can, the first says why.
            let can = |source: &&&Source| {
                let on = settings.sources.get(source.id).is_some_and(|own| own.enabled);
                on && source.secret.is_none_or(|secret| config.secrets.get(secret).is_some())
            };
            let source = sources.iter().find(can).or(sources.first()).copied();
            let source = source.ok_or_else(|| Failure::failed("the feed has no source"))?;
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
