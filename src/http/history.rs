//! `/v1/history/…`: what is asked for, read and named; pages with their links, or all of it as a stream. Reads the store,
//! some rows at a time and few readings at once; whatever can go wrong is told before the first byte.

use std::{collections::BTreeSet, fmt::Write as _, future::Future, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderValue, Method, StatusCode, Uri, header, request::Parts},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use futures_util::stream;
use jiff::{Timestamp, civil::Date};
use moka::{future::Cache, policy::EvictionPolicy};
use providers::{Channel, Customer, Deposit, Feed, Fx, Gold, Institution, Kind, Quote, WeightUnit};
use tokio::{runtime::Handle, sync::Semaphore, time::timeout};
use tokio_util::task::TaskTracker;
use xxhash_rust::xxh3::xxh3_64;

use super::{
    Problem, Site,
    cache::CachePolicy,
    encoded::Encoded,
    limit::{Exhausted, Left},
    moment, never_framed, wanted,
};
use crate::{
    backfill,
    board::{ServedFeed, Snapshot},
    clock::rfc3339,
    document::{
        self, csv,
        shapes::history::{Fields, HistoryJson, SeriesJson, columns, head, point},
    },
    filter::{self, Filter, MOST_ERRORS, WrongParameter},
    history::{self, Group, Line, Manner, Point, Range, Resume, Step, Walk, side_names},
    store::{Mark, Retention, Store, StoreError},
};

/// Parameters beside those of the lists.
pub(super) const OWN: [&str; 4] = ["series", "from", "to", "group"];
/// Of pages only.
pub(super) const PAGES: [&str; 2] = ["limit", "cursor"];
/// Figures that are named one by one.
pub(super) const MOST_SERIES: usize = 20;
/// Points a page.
pub(super) const LIMIT: usize = 1000;
/// And at most.
pub(super) const MOST_POINTS: usize = 5000;
/// Letters of an id.
const LONGEST_ID: usize = 100;
/// The store is read so often at once, whoever asks.
const READINGS: usize = 4;
const READINGS_OF_STREAMS: usize = 2;
/// Streams at once; each holds some hundred kilobytes while its reader takes its time.
const STREAMS: usize = 32;
/// Rows that a stream reads at once.
const ROWS_OF_STREAM: usize = 2000;
/// How long a reading may take, and how long one waits for its turn.
const PATIENCE: Duration = Duration::from_secs(2);
/// In the middle of a stream, which would have to begin anew.
const STREAM_PATIENCE: Duration = Duration::from_secs(30);
/// What is older can no longer be waiting on its way into the store.
const SETTLED: i64 = 300;

/// What histories are read from.
#[derive(Clone)]
pub struct Histories {
    store: Arc<Store>,
    readings: Arc<Semaphore>,
    /// Of these, those of streams: who wants a page need not wait for all who want everything.
    of_streams: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    tracker: TaskTracker,
    /// Where readings run: a connection to a database belongs to one runtime.
    runtime: Handle,
    retention: Retention,
    /// Pages of ranges that have ended, which many ask for: by their address and the codings that are wished for.
    kept: Cache<String, Arc<Encoded>>,
}

/// Bytes of these pages.
const KEPT: u64 = 4 << 20;
/// So soon a day that was read after the fact shows in them; caches keep them for longer.
const KEPT_FOR: Duration = Duration::from_mins(1);

/// Why there is no history.
enum Trouble {
    Busy,
    Slow,
    Failed(String),
}

impl Histories {
    /// Over a store; read on the runtime of the caller.
    ///
    /// # Panics
    /// Outside a runtime.
    #[must_use]
    pub fn new(store: Arc<Store>, tracker: TaskTracker, retention: Retention) -> Self {
        let (readings, streams) = (Arc::new(Semaphore::new(READINGS)), Arc::new(Semaphore::new(STREAMS)));
        let of_streams = Arc::new(Semaphore::new(READINGS_OF_STREAMS));
        let weigh = |address: &String, page: &Arc<Encoded>| {
            u32::try_from(address.len() + page.weight()).unwrap_or(u32::MAX)
        };
        let kept = Cache::builder().max_capacity(KEPT).weigher(weigh).eviction_policy(EvictionPolicy::lru());
        let kept = kept.time_to_live(KEPT_FOR).build();
        Self { store, readings, of_streams, streams, tracker, runtime: Handle::current(), retention, kept }
    }

    /// The same under another configuration: who reads goes on counting.
    #[must_use]
    pub fn renewed(&self, tracker: TaskTracker, retention: Retention) -> Self {
        Self { tracker, retention, runtime: Handle::current(), ..self.clone() }
    }

    /// One reading of a stream, which has its turn among those of streams first.
    async fn read_on<T: Send + 'static>(
        &self,
        turn: Duration,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, Trouble> {
        let Ok(Ok(permit)) = timeout(turn, Arc::clone(&self.of_streams).acquire_owned()).await else {
            return Err(Trouble::Busy);
        };
        let read = self.read(turn, work).await;
        drop(permit);
        read
    }

    /// One reading, in its turn.
    async fn read<T: Send + 'static>(
        &self,
        turn: Duration,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, Trouble> {
        let Ok(Ok(permit)) = timeout(turn, Arc::clone(&self.readings).acquire_owned()).await else {
            return Err(Trouble::Busy);
        };
        let reading = async move {
            let read = timeout(PATIENCE, work).await;
            drop(permit);
            read
        };
        match self.tracker.spawn_on(reading, &self.runtime).await {
            Ok(Ok(Ok(found))) => Ok(found),
            Ok(Ok(Err(error))) => Err(Trouble::Failed(error.to_string())),
            Ok(Err(_)) => Err(Trouble::Slow),
            Err(error) => Err(Trouble::Failed(error.to_string())),
        }
    }
}

impl Trouble {
    fn problem(&self, uri: &Uri) -> Problem {
        match self {
            Self::Busy => Problem::unavailable(uri, "too many histories are being read at once", 1),
            Self::Slow => Problem::unavailable(uri, "the history could not be read within two seconds", 5),
            Self::Failed(error) => {
                tracing::debug!(error, "a history could not be read");
                Problem::unavailable(uri, "the history cannot be read at the moment", 5)
            }
        }
    }
}

/// How it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Csv,
    Ndjson,
}

impl Form {
    const fn ending(self) -> &'static str {
        match self {
            Self::Json => "",
            Self::Csv => ".csv",
            Self::Ndjson => ".ndjson",
        }
    }

    const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Ndjson => "application/x-ndjson",
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone)]
struct Asked {
    kind: Kind,
    form: Form,
    filter: Filter,
    series: Vec<(String, &'static Feed, Quote)>,
    from: Option<Bound>,
    to: Option<Bound>,
    group: Option<Group>,
    limit: usize,
    cursor: Option<Cursor>,
}

/// One end of a range, as it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    Day(Date),
    At(Timestamp),
}

impl Bound {
    fn read(text: &str) -> Option<Self> {
        // Where a plus sign was decoded, there is a blank.
        let text = text.trim().replacen(' ', "+", 1);
        if let Ok(day) = text.parse::<Date>().map(|day| (day, day.to_string() == text))
            && day.1
        {
            return Some(Self::Day(day.0));
        }
        if !text.contains(['T', 't']) || text.contains('[') {
            return None;
        }
        text.parse().ok().map(Self::At)
    }

    /// Its first second; of an instant within a second the next one.
    fn first(self) -> i64 {
        match self {
            Self::Day(day) => history::midnight(day).unwrap_or(i64::MIN),
            Self::At(at) => at.as_second() + i64::from(at.subsec_nanosecond() > 0),
        }
    }

    /// The second behind it.
    fn behind(self) -> i64 {
        match self {
            Self::Day(day) => day.tomorrow().ok().and_then(history::midnight).unwrap_or(i64::MAX),
            Self::At(at) => at.as_second() + i64::from(at.subsec_nanosecond() >= 0),
        }
    }

    fn text(self) -> String {
        match self {
            Self::Day(day) => day.to_string(),
            Self::At(at) => rfc3339(at),
        }
    }
}

const BOUNDS: [&str; 2] =
    ["an instant such as 2026-09-30T09:30:00+07:00", "a day of Vietnam such as 2026-09-30"];

/// Where a page begins; opaque to whoever follows a link.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cursor {
    /// Of the first page: what comes later is no part of it.
    until: i64,
    series: String,
    resume: Option<Resume>,
}

impl Cursor {
    fn text(&self, query: &str) -> String {
        let place = match self.resume {
            None => "s".to_owned(),
            Some(Resume::Behind(Mark { at, seq })) => format!("b{at},{seq}"),
            Some(Resume::Period(begin)) => format!("p{begin}"),
        };
        let text = format!("{}|{}|{place}", self.until, self.series);
        let sum = xxh3_64(format!("{query}|{text}").as_bytes());
        URL_SAFE_NO_PAD.encode(format!("{text}|{sum:x}"))
    }

    /// `None`: not ours, or not of this query.
    fn read(text: &str, query: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let mut parts = text.split('|');
        let (until, series, place) = (parts.next()?.parse().ok()?, parts.next()?.to_owned(), parts.next()?);
        let resume = match place.split_at_checked(1)? {
            ("s", "") => None,
            ("b", mark) => {
                let (at, seq) = mark.split_once(',')?;
                Some(Resume::Behind(Mark { at: at.parse().ok()?, seq: seq.parse().ok()? }))
            }
            ("p", begin) => Some(Resume::Period(begin.parse().ok()?)),
            _ => return None,
        };
        let cursor = Self { until, series, resume };
        (cursor.text(query) == URL_SAFE_NO_PAD.encode(&text)).then_some(cursor)
    }
}

fn texts(allowed: &[&str]) -> Vec<String> {
    allowed.iter().map(|text| (*text).to_owned()).collect()
}

/// The enabled feeds of a kind.
fn feeds(snapshot: &Snapshot, kind: Kind) -> impl Iterator<Item = (&'static Institution, &'static Feed)> {
    let own = move |feed: &&ServedFeed| feed.state.feed.kind == kind;
    snapshot.feeds.iter().filter(own).map(|feed| (feed.state.institution, feed.state.feed))
}

/// What an id names by its own words, whether or not it was ever quoted.
fn named(id: &str, feeds: &[&'static Feed]) -> Option<(&'static Feed, Quote)> {
    let feed =
        feeds.iter().find(|feed| id.strip_prefix(feed.id).is_some_and(|rest| rest.starts_with('.')))?;
    let rest = id.strip_prefix(feed.id)?.strip_prefix('.')?;
    let sound = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if id.len() > LONGEST_ID || !rest.split('.').all(sound) {
        return None;
    }
    let parts: Vec<String> = rest.split('.').map(str::to_owned).collect();
    let quote = match (feed.kind, parts.as_slice()) {
        (Kind::Gold, [product, place @ ..]) if place.len() < 2 => Quote::Gold(Gold {
            product: product.clone().into(),
            place: place.first().cloned().map(Into::into),
            code: None,
            name: None,
            unit: WeightUnit::Luong,
            currency: "VND".into(),
            buy: None,
            sell: None,
        }),
        (Kind::Fx, [currency, variant @ ..]) if variant.len() < 2 => Quote::Fx(Fx {
            currency: currency.clone().into(),
            variant: variant.first().cloned(),
            name: None,
            per: 1,
            buy_cash: None,
            buy_transfer: None,
            sell: None,
            sell_cash: None,
        }),
        (Kind::Deposit, [channel, term, place @ ..]) if place.len() < 2 => Quote::Deposit(Deposit {
            term: term.parse().ok()?,
            channel: match channel.as_str() {
                "counter" => Some(Channel::Counter),
                "online" => Some(Channel::Online),
                "unknown" => None,
                _ => return None,
            },
            customer: Customer::Personal,
            payout: None,
            place: place.first().cloned().map(Into::into),
            currency: "VND".into(),
            min_amount: None,
            rate_percent: rust_decimal::Decimal::ZERO,
            effective_from: None,
        }),
        _ => return None,
    };
    (quote.id(feed.id) == id).then_some((*feed, quote))
}

impl Asked {
    /// Reads a query.
    fn read(
        kind: Kind,
        form: Form,
        query: &str,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> Result<Self, Vec<WrongParameter>> {
        let mut own = Vec::new();
        let mut narrowing = Vec::new();
        for (name, value) in wanted::pairs(query) {
            let pages = form == Form::Json && PAGES.contains(&name.as_str());
            let ours = pages || OWN.contains(&name.as_str());
            if ours { own.push((name, value)) } else { narrowing.push((name, value)) }
        }
        let mut wrong = Vec::new();
        let lists = narrowing
            .iter()
            .find(|(name, _)| name != "unit" && filter::parameters(kind).contains(&name.as_str()));
        let lists = lists.cloned();
        let filter = Filter::read(kind, narrowing.into_iter(), &snapshot.feeds).unwrap_or_else(|errors| {
            wrong.extend(errors);
            Filter::default()
        });
        for error in &mut wrong {
            if !filter::parameters(kind).contains(&error.parameter.as_str()) {
                // A range has no moment.
                error.allowed.retain(|name| name != moment::AT);
                error.allowed.extend(texts(&OWN));
                error.allowed.extend(texts(if form == Form::Json { &PAGES } else { &[] }));
            }
        }
        let mut asked = Self {
            kind,
            form,
            filter,
            series: Vec::new(),
            from: None,
            to: None,
            group: None,
            limit: LIMIT,
            cursor: None,
        };
        let (mut seen, mut cursor) = (BTreeSet::new(), None);
        for (parameter, value) in own {
            let result = if parameter != "series" && !seen.insert(parameter.clone()) {
                Err(texts(&["the parameter once"]))
            } else if parameter == "cursor" {
                cursor = Some(value.clone());
                Ok(())
            } else {
                asked.set(&parameter, &value, snapshot)
            };
            if let Err(allowed) = result {
                wrong.push(WrongParameter { parameter, value, allowed });
            }
        }
        if let (false, Some((parameter, value))) = (asked.series.is_empty(), lists) {
            let allowed = vec!["series alone, or the filters alone".to_owned()];
            wrong.push(WrongParameter { parameter, value, allowed });
        }
        let mut bound = |parameter: &str, bound: Bound, allowed: String| {
            let (parameter, value) = (parameter.to_owned(), bound.text());
            wrong.push(WrongParameter { parameter, value, allowed: vec![allowed] });
        };
        if let Some(from) = asked.from {
            if from.first() > now.as_second() {
                bound("from", from, format!("an instant or a day until {}", rfc3339(now)));
            } else if let Some(to) = asked.to.filter(|to| to.behind() <= from.first()) {
                bound("to", to, format!("an instant or a day from {} on", from.text()));
            }
        }
        if let Some(value) = cursor {
            asked.cursor = Cursor::read(&value, &asked.query());
            if asked.cursor.is_none() {
                let allowed = vec!["the cursor of a link, with the other parameters of that link".to_owned()];
                wrong.push(WrongParameter { parameter: "cursor".to_owned(), value, allowed });
            }
        }
        wrong.truncate(MOST_ERRORS);
        if wrong.is_empty() { Ok(asked) } else { Err(wrong) }
    }

    fn set(&mut self, parameter: &str, value: &str, snapshot: &Snapshot) -> Result<(), Vec<String>> {
        match parameter {
            "series" => {
                let known: Vec<&'static Feed> = feeds(snapshot, self.kind).map(|(_, feed)| feed).collect();
                for id in value.split(',').map(str::trim) {
                    let form = match self.kind {
                        Kind::Gold => "<product>[.<place>]",
                        Kind::Fx => "<CURRENCY>[.<variant>]",
                        Kind::Deposit => "<counter|online|unknown>.<term>[.<place>]",
                    };
                    let allowed =
                        || known.iter().map(|feed| format!("{}.{form}", feed.id)).collect::<Vec<_>>();
                    let (feed, quote) = named(id, &known).ok_or_else(allowed)?;
                    if self.series.iter().all(|(known, ..)| known != id) {
                        self.series.push((id.to_owned(), feed, quote));
                    }
                }
                self.series.sort_by_cached_key(|(_, feed, quote)| {
                    (known.iter().position(|known| known.id == feed.id), document::order(quote))
                });
                if self.series.len() > MOST_SERIES {
                    return Err(vec![format!("at most {MOST_SERIES} ids")]);
                }
            }
            "from" => self.from = Some(Bound::read(value).ok_or_else(|| texts(&BOUNDS))?),
            "to" => self.to = Some(Bound::read(value).ok_or_else(|| texts(&BOUNDS))?),
            "group" => {
                let group = value.trim().to_ascii_lowercase().parse();
                self.group = Some(group.map_err(|()| texts(&Group::ALL.map(Group::as_str)))?);
            }
            _ => {
                let digits = value.bytes().all(|byte| byte.is_ascii_digit());
                let limit = value.parse().ok().filter(|limit| digits && (1..=MOST_POINTS).contains(limit));
                self.limit = limit.ok_or_else(|| vec![format!("1…{MOST_POINTS} points")])?;
            }
        }
        Ok(())
    }

    /// What is asked for, canonical, without what pages it.
    fn query(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.filter.pairs());
        if !self.series.is_empty() {
            let ids: Vec<&str> = self.series.iter().map(|(id, ..)| id.as_str()).collect();
            query.append_pair("series", &ids.join(","));
        }
        for (name, bound) in [("from", self.from), ("to", self.to)] {
            if let Some(bound) = bound {
                query.append_pair(name, &bound.text());
            }
        }
        if let Some(group) = self.group {
            query.append_pair("group", group.as_str());
        }
        query.finish()
    }

    /// The address of a page, relative to the host.
    fn page(&self, mount: &str, cursor: Option<&Cursor>) -> String {
        let canonical = self.query();
        let mut query = url::form_urlencoded::Serializer::for_suffix(canonical.clone(), 0);
        if self.limit != LIMIT {
            query.append_pair("limit", &self.limit.to_string());
        }
        if let Some(cursor) = cursor {
            query.append_pair("cursor", &cursor.text(&canonical));
        }
        let query = query.finish();
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{mount}/v1/history/{}{}{mark}{query}", wanted::name_of(self.kind), self.form.ending())
    }

    /// How long the answer holds.
    fn policy(&self, site: &Site, snapshot: &Snapshot, now: Timestamp) -> CachePolicy {
        let asked = || {
            feeds(snapshot, self.kind).filter(|(institution, feed)| {
                let named = |(_, own, _): &(String, &'static Feed, Quote)| own.id == feed.id;
                (self.series.is_empty() || self.series.iter().any(named))
                    && self.filter.keeps_provider(institution.id)
            })
        };
        let settled = self.to.is_some_and(|to| to.behind() <= now.as_second() - SETTLED);
        if settled && site.history.store.waiting() == 0 {
            let fixed = asked().all(|(_, feed)| backfill::offering(feed).is_none());
            return CachePolicy::Past { immutable: fixed && !site.history.retention.drops() };
        }
        let houses: Vec<&str> = asked().map(|(institution, _)| institution.id).collect();
        wanted::edition(snapshot, self.kind, &houses).map_or(CachePolicy::Program, |edition| edition.policy)
    }

    /// The series that are asked for, in the order of the lists.
    async fn lines(
        self,
        store: Arc<Store>,
        known: Vec<(&'static Institution, &'static Feed)>,
    ) -> Result<Vec<Line>, StoreError> {
        let mut lines = Vec::new();
        for (institution, feed) in known {
            let named = || self.series.iter().filter(|(_, own, _)| own.id == feed.id);
            if !self.filter.keeps_provider(institution.id)
                || (!self.series.is_empty() && named().next().is_none())
            {
                continue;
            }
            let of_feed = store.series_of(feed.id).await?;
            let line = |id: String, quote: Quote, is_quoted| Line { id, institution, feed, quote, is_quoted };
            let mut own: Vec<Line> = if self.series.is_empty() {
                let kept = of_feed.into_iter().filter(|(_, quote)| self.filter.keeps_quote(quote));
                kept.map(|(id, quote)| line(id, quote, true)).collect()
            } else {
                named()
                    .map(|(id, _, bare)| match of_feed.iter().find(|(known, _)| known == id) {
                        Some((_, quote)) => line(id.clone(), quote.clone(), true),
                        None => line(id.clone(), bare.clone(), false),
                    })
                    .collect()
            };
            own.sort_by_cached_key(|line| (document::order(&line.quote), line.id.clone()));
            lines.extend(own);
        }
        Ok(lines)
    }

    fn manner(&self) -> Manner {
        Manner { group: self.group, unit: self.filter.unit.unwrap_or(WeightUnit::Luong) }
    }

    fn range(&self, now: Timestamp) -> Range {
        let open = now.as_second().saturating_add(1);
        let until = self.cursor.as_ref().map(|cursor| cursor.until);
        let until = until.or(self.to.map(Bound::behind)).unwrap_or(open).min(open);
        Range { from: self.from.map(Bound::first), until }
    }
}

/// A page, and where the next one begins.
struct Page {
    series: Vec<SeriesJson>,
    next: Option<Cursor>,
}

/// Reads as much as a page holds, and one step more to know whether there is a next one.
async fn read_page(mut walk: Walk, limit: usize, until: i64, store: Arc<Store>) -> Result<Page, StoreError> {
    let mut page = Page { series: Vec::new(), next: None };
    let (mut points, mut resume, mut number) = (0, None, 0);
    loop {
        let Some(step) = walk.pop() else {
            if walk.read(&store).await? {
                continue;
            }
            return Ok(page);
        };
        if points >= limit {
            let (number, resume) = match step {
                Step::Series(next) => (next, None),
                Step::Point(_) => (number, resume),
            };
            let line = walk.lines().get(number);
            page.next = line.map(|line| Cursor { until, series: line.id.clone(), resume });
            return Ok(page);
        }
        match step {
            Step::Series(next) => {
                (number, resume) = (next, None);
                if let Some(line) = walk.lines().get(next) {
                    page.series.push(SeriesJson { head: head(line, walk.unit()), points: Vec::new() });
                }
            }
            Step::Point(next) => {
                resume = Some(match &next {
                    Point::Change { mark, .. } => Resume::Behind(*mark),
                    Point::Period(period) => Resume::Period(period.begin),
                });
                points += 1;
                if let (Some(series), Some(line)) = (page.series.last_mut(), walk.lines().get(number)) {
                    series.points.push(point(line, &next));
                }
            }
        }
    }
}

/// `/v1/history/…`
pub(super) async fn answer(site: &Arc<Site>, request: Request, kind: Kind, form: Form) -> Response {
    let (parts, _) = request.into_parts();
    let (snapshot, now) = (site.snapshot.load_full(), site.clock.now());
    let asked = match Asked::read(kind, form, parts.uri.query().unwrap_or_default(), &snapshot, now) {
        Ok(asked) => asked,
        Err(wrong) => return Problem::parameters(&parts.uri, wrong).into_response(),
    };
    let policy = asked.policy(site, &snapshot, now);
    if form == Form::Json {
        pages(site, &parts, &snapshot, asked, policy, now).await
    } else {
        streamed(site, &parts, &snapshot, asked, policy, now).await
    }
}

/// Nothing is left for this client.
fn refused(site: &Site, uri: &Uri, exhausted: &Exhausted) -> Response {
    site.metrics.rate_limited();
    Problem::too_many(uri, exhausted.retry_after).with_headers(exhausted.left.headers()).into_response()
}

async fn pages(
    site: &Arc<Site>,
    parts: &Parts,
    snapshot: &Snapshot,
    asked: Asked,
    policy: CachePolicy,
    now: Timestamp,
) -> Response {
    let charge = || site.limiter.take(site.client(parts));
    // A 304 is never counted, and what will be one is known only when it is read.
    let conditional = parts.headers.contains_key(header::IF_NONE_MATCH);
    let mut left: Option<Left> = None;
    if !conditional {
        match charge() {
            Ok(taken) => left = taken,
            Err(exhausted) => return refused(site, &parts.uri, &exhausted),
        }
    }
    let address = kept_as(parts, &asked, policy);
    if let Some(address) = &address
        && let Some(encoded) = site.history.kept.get(address).await
    {
        return counted(site, parts, &encoded, policy, conditional, left);
    }
    let known: Vec<_> = feeds(snapshot, asked.kind).collect();
    let (range, store, wish) = (asked.range(now), Arc::clone(&site.history.store), asked.clone());
    let reading = Box::pin(async move {
        let (manner, limit, cursor) = (wish.manner(), wish.limit, wish.cursor.clone());
        let lines = wish.lines(Arc::clone(&store), known).await?;
        let start = match cursor {
            None => Some((0, None)),
            Some(cursor) => {
                lines.iter().position(|line| line.id == cursor.series).map(|place| (place, cursor.resume))
            }
        };
        let Some(start) = start else { return Ok(None) };
        let walk = Walk::new(lines, range, manner, start).few(limit);
        read_page(walk, limit, range.until, store).await.map(Some)
    });
    let page = match site.history.read(PATIENCE, reading).await {
        Ok(Some(page)) => page,
        Ok(None) => {
            let allowed = vec!["the cursor of a link, with the other parameters of that link".to_owned()];
            let value = asked.cursor.map(|cursor| cursor.series).unwrap_or_default();
            let wrong = WrongParameter { parameter: "cursor".to_owned(), value, allowed };
            return Problem::parameters(&parts.uri, vec![wrong]).into_response();
        }
        Err(trouble) => return trouble.problem(&parts.uri).into_response(),
    };
    let mut headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static(Form::Json.content_type()))];
    headers.extend(never_framed());
    let mut links = Vec::new();
    if let Some(next) = &page.next {
        links.push(format!("<{}>; rel=\"next\"", asked.page(&site.mount, Some(next))));
    }
    if asked.cursor.is_some() || page.next.is_some() {
        links.push(format!("<{}>; rel=\"first\"", asked.page(&site.mount, None)));
    }
    if !links.is_empty() {
        headers.extend(HeaderValue::try_from(links.join(", ")).ok().map(|links| (header::LINK, links)));
    }
    let body = HistoryJson { kind: asked.kind.as_str(), recorded: snapshot.recorded, series: page.series };
    // Not on the thread that serves: five thousand points take a while.
    let wishes = parts.headers.clone();
    let encoding = async move { Encoded::for_one(headers, document::encode(&body), &wishes) };
    let Ok(encoded) = site.history.tracker.spawn_on(encoding, &site.history.runtime).await else {
        return Problem::internal(&parts.uri).into_response();
    };
    let encoded = Arc::new(encoded);
    if let Some(address) = address {
        site.history.kept.insert(address, Arc::clone(&encoded)).await;
    }
    counted(site, parts, &encoded, policy, conditional, left)
}

/// Under what a page is kept, if it is of a range that has ended: only the codings that were asked for are in it.
fn kept_as(parts: &Parts, asked: &Asked, policy: CachePolicy) -> Option<String> {
    let CachePolicy::Past { .. } = policy else { return None };
    let codings = parts.headers.get_all(header::ACCEPT_ENCODING).iter();
    let codings: Vec<&str> = codings.filter_map(|value| value.to_str().ok()).collect();
    let page = asked.page("", asked.cursor.as_ref());
    (codings.iter().map(|coding| coding.len()).sum::<usize>() < 200)
        .then(|| format!("{page} {}", codings.join(",")))
}

/// The answer, and what is left of the client's share; `conditional`: it was not charged yet.
fn counted(
    site: &Site,
    parts: &Parts,
    encoded: &Encoded,
    policy: CachePolicy,
    conditional: bool,
    mut left: Option<Left>,
) -> Response {
    let mut response = site.respond(parts, encoded, policy);
    if response.status() == StatusCode::NOT_MODIFIED {
        return response;
    }
    if conditional {
        match site.limiter.take(site.client(parts)) {
            Ok(taken) => left = taken,
            Err(exhausted) => return refused(site, &parts.uri, &exhausted),
        }
    }
    response.headers_mut().extend(left.into_iter().flat_map(Left::headers));
    response
}

/// Rows of everything, as they are read.
struct Rows {
    walk: Walk,
    form: Form,
    kind: Kind,
    /// Of the series that is being told.
    head: Fields,
    number: usize,
    begun: bool,
    grouped: bool,
}

impl Rows {
    /// What is at hand, as text.
    fn text(&mut self) -> Bytes {
        let mut text = Vec::new();
        if !std::mem::replace(&mut self.begun, true) && self.form == Form::Csv {
            let names = columns(self.kind, self.grouped);
            text.extend(csv::line(names.into_iter().map(std::borrow::Cow::into_owned)));
        }
        while let Some(step) = self.walk.pop() {
            match step {
                Step::Series(number) => {
                    self.number = number;
                    let line = self.walk.lines().get(number);
                    self.head = line.map(|line| head(line, self.walk.unit())).unwrap_or_default();
                }
                Step::Point(next) => {
                    let Some(line) = self.walk.lines().get(self.number) else { continue };
                    let mut fields = self.head.clone();
                    let names = if self.grouped { side_names(self.kind) } else { &[] };
                    fields.0.extend(point(line, &next).flat(names).0);
                    if self.form == Form::Csv {
                        text.extend(csv::line(fields.0.iter().map(|(_, cell)| cell.plain())));
                    } else {
                        text.extend(document::encode(&fields));
                        text.push(b'\n');
                    }
                }
            }
        }
        text.into()
    }
}

async fn streamed(
    site: &Arc<Site>,
    parts: &Parts,
    snapshot: &Snapshot,
    asked: Asked,
    policy: CachePolicy,
    now: Timestamp,
) -> Response {
    let mut headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static(asked.form.content_type()))];
    headers.extend(never_framed());
    let acceptable = site.respond(parts, &Encoded::as_it_is(headers, "history"), policy);
    if acceptable.status() == StatusCode::NOT_ACCEPTABLE {
        return acceptable;
    }
    let left = match site.limiter.take(site.client(parts)) {
        Ok(left) => left,
        Err(exhausted) => return refused(site, &parts.uri, &exhausted),
    };
    let Ok(stream) = Arc::clone(&site.history.streams).try_acquire_owned() else {
        return Trouble::Busy.problem(&parts.uri).into_response();
    };
    let known: Vec<_> = feeds(snapshot, asked.kind).collect();
    let (range, store, histories) = (asked.range(now), Arc::clone(&site.history.store), site.history.clone());
    let (form, kind, grouped) = (asked.form, asked.kind, asked.group.is_some());
    let first = async move {
        let manner = asked.manner();
        let lines = asked.lines(Arc::clone(&store), known).await?;
        let walk = Walk::new(lines, range, manner, (0, None)).at_once(ROWS_OF_STREAM);
        let mut rows = Rows { walk, form, kind, head: Fields::default(), number: 0, begun: false, grouped };
        let more = rows.walk.read(&store).await?;
        Ok((rows.text(), more.then_some(rows)))
    };
    let (text, rows) = match site.history.read_on(PATIENCE, first).await {
        Ok(first) => first,
        Err(trouble) => return trouble.problem(&parts.uri).into_response(),
    };
    let body = if parts.method == Method::HEAD {
        // Of a length that nobody knows, as that of a GET.
        Body::from_stream(stream::empty::<Result<Bytes, std::io::Error>>())
    } else {
        let rest = stream::try_unfold((Some(text), rows, stream), move |(text, rows, stream)| {
            let histories = histories.clone();
            async move {
                if let Some(text) = text {
                    return Ok(Some((text, (None, rows, stream))));
                }
                let Some(mut rows) = rows else { return Ok(None) };
                let store = Arc::clone(&histories.store);
                let reading = async move {
                    let more = rows.walk.read(&store).await?;
                    Ok((rows.text(), more.then_some(rows)))
                };
                match histories.read_on(STREAM_PATIENCE, reading).await {
                    Ok((text, rows)) => Ok(Some((text, (None, rows, stream)))),
                    // Without a clean end, so that nobody takes half of it for the whole.
                    Err(trouble) => Err(cut_off(&trouble)),
                }
            }
        });
        Body::from_stream(rest)
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    headers.extend(left.into_iter().flat_map(Left::headers));
    response.extensions_mut().insert(policy);
    response
}

fn cut_off(trouble: &Trouble) -> std::io::Error {
    let mut why = String::from("a history was cut off: ");
    // Into a string: cannot fail.
    let _ = match trouble {
        Trouble::Busy => write!(why, "too many are read at once"),
        Trouble::Slow => write!(why, "a reading took more than two seconds"),
        Trouble::Failed(error) => write!(why, "{error}"),
    };
    tracing::warn!("{why}");
    std::io::Error::other(why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Nature;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_reading_that_takes_too_long_is_given_up_and_no_more_than_four_are_made_at_once() {
        let store = Arc::new(Store::open("sqlite::memory:", Nature::Live).await.unwrap());
        let histories = Histories::new(Arc::clone(&store), TaskTracker::new(), Retention::default());
        let uri: Uri = "/v1/history/gold".parse().unwrap();
        let never = || histories.read(PATIENCE, std::future::pending::<Result<(), StoreError>>());
        let fifth = async {
            while histories.readings.available_permits() > 0 {
                tokio::task::yield_now().await;
            }
            histories.read(Duration::ZERO, async { Ok(()) }).await
        };
        let (one, two, three, four, five) = tokio::join!(never(), never(), never(), never(), fifth);
        for slow in [one, two, three, four] {
            let problem = slow.unwrap_err().problem(&uri).into_response();
            assert_eq!(
                (problem.status().as_u16(), &problem.headers()["retry-after"]),
                (503, &HeaderValue::from(5))
            );
        }
        let busy = five.unwrap_err().problem(&uri).into_response();
        assert_eq!((busy.status().as_u16(), &busy.headers()["retry-after"]), (503, &HeaderValue::from(1)));
        assert!(histories.read(PATIENCE, async { Ok(()) }).await.is_ok(), "and then there is room again");
        store.close().await;
    }

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_only_with_its_own_query() {
        let series = "bidv.fx.USD".to_owned();
        for resume in
            [None, Some(Resume::Behind(Mark { at: -5, seq: 7 })), Some(Resume::Period(1_790_000_000))]
        {
            let cursor = Cursor { until: 1_790_000_001, series: series.clone(), resume };
            let text = cursor.text("group=day");
            assert_eq!(Cursor::read(&text, "group=day"), Some(cursor));
            assert_eq!(Cursor::read(&text, "group=week"), None);
            for at in 0..text.len() {
                let mut other = text.clone().into_bytes();
                other[at] = if other[at] == b'A' { b'B' } else { b'A' };
                assert_eq!(
                    Cursor::read(&String::from_utf8(other).unwrap(), "group=day"),
                    None,
                    "letter {at}"
                );
            }
        }
        for text in ["", "x", "fHx8", "\u{e1}", "MTB8Ynww"] {
            assert_eq!(Cursor::read(text, ""), None, "{text}");
        }
    }

    #[test]
    fn ends_of_a_range_are_instants_or_days_and_hold_what_is_of_them() {
        let second = |text: &str| text.parse::<Timestamp>().unwrap().as_second();
        for (text, first, behind) in [
            ("2026-09-30", "2026-09-30T00:00:00+07:00", "2026-10-01T00:00:00+07:00"),
            ("2026-09-30T09:30:00+07:00", "2026-09-30T09:30:00+07:00", "2026-09-30T09:30:01+07:00"),
            ("2026-09-30T09:30:00 07:00", "2026-09-30T09:30:00+07:00", "2026-09-30T09:30:01+07:00"),
            ("2026-09-30T02:30:00Z", "2026-09-30T09:30:00+07:00", "2026-09-30T09:30:01+07:00"),
            ("2026-09-30T02:30:00.5Z", "2026-09-30T09:30:01+07:00", "2026-09-30T09:30:01+07:00"),
        ] {
            let bound = Bound::read(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((bound.first(), bound.behind()), (second(first), second(behind)), "{text}");
        }
        for text in [
            "",
            "x",
            "2026-09-31",
            "2026-9-1",
            "20260930",
            "2026-09-30T09:30:00",
            "2026-09-30 09:30",
            "1790000000",
            "2026-09-30T09:30:00+07:00[Asia/Ho_Chi_Minh]",
            "2026-09-30T25:00:00Z",
            "99999-01-01",
            "-0001-01-01",
        ] {
            assert_eq!(Bound::read(text), None, "{text}");
        }
    }
}
