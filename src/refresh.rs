//! One worker a feed: wait for the bell, fetch, parse, judge, keep, hand to the board. Runs of a feed never
//! overlap, a panic stays inside its run, and whatever fails leaves what is served as it was.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use futures_util::FutureExt as _;
use jiff::Timestamp;
use providers::{Answer, AsOf, Ask, ParseError, Parsed, Quote, Reason, Secrets, Sheet, Source};
use rust_decimal::Decimal;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use crate::{
    board::{
        self, FeedState, News, Served, ServedFeed, Shared, Snapshot, SourceState, Standing, Status, Tuning,
        Update, most_current,
    },
    clock::{Clock, Watch, later, rfc3339},
    config,
    evidence::{Evidence, Note},
    fetch::{self, Body, Exchange, Fetcher, Outcome, Seen, Target, Validators},
    judge::{
        self, Before, Case, Judgement, Verdict,
        hold::{self, Held, Peer},
    },
    metrics::{Metrics, Phase},
    store::{Answer as Write, Attempt, Kept, Remark, Store, remarks},
};

/// A source may lead on, but not in circles.
pub(crate) const MAX_HOPS: usize = 3;
/// Parsing takes microseconds; what takes seconds is an attack.
const PARSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Serving does not wait longer than this for the disk.
const DISK_PATIENCE: Duration = Duration::from_secs(1);
/// Six hours after it was last read in full, a source is asked without conditions: caches can be wrong for ever.
const UNCONDITIONAL_AFTER: Duration = Duration::from_hours(6);
/// No source is left alone for longer: the most that `Retry-After` is honoured for.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_hours(6);
/// A leader whose lease may have passed looks so soon whether it still leads.
const LEASE_LOOK: Duration = Duration::from_secs(1);
const BACK_OFF_FROM: Duration = Duration::from_secs(30);
const BACK_OFF_TO: Duration = Duration::from_mins(30);
/// Seconds by which a machine's clock does not move by itself.
const ODD_STEP: i64 = 60;
/// From this many failures in a row on, one single try per back-off.
const SINGLE_TRIES_FROM: u32 = 5;

/// What all workers share.
pub struct Shop {
    /// Time.
    pub clock: Clock,
    /// Network or recordings.
    pub fetcher: Fetcher,
    /// Kept values.
    pub store: Arc<Store>,
    /// What the operator may change while they work.
    pub terms: ArcSwap<Terms>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Answers that were refused.
    pub evidence: Arc<Evidence>,
    /// Tasks that shutdown waits for.
    pub tracker: TaskTracker,
    /// Served values, for the reference bank.
    pub snapshot: Shared,
    /// Where finished states go.
    pub board: mpsc::Sender<Update>,
    /// Whether anybody was reached at all.
    pub first_round: FirstRound,
}

/// What holds for every feed, until the operator changes it.
#[derive(Debug)]
pub struct Terms {
    /// Keys of sources.
    pub secrets: Secrets,
    /// What is believed.
    pub limits: config::Judge,
    /// What is cut out of every reason before anybody sees it.
    pub sensitive: Vec<String>,
}

impl Terms {
    /// Those of a configuration.
    #[must_use]
    pub fn of(config: &config::Config) -> Self {
        Self { secrets: config.secrets.clone(), limits: config.judge.clone(), sensitive: config.sensitive() }
    }
}

/// How one run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEnd {
    /// At least one source was accepted or unchanged.
    Good,
    /// Nothing usable; the codes of the failures.
    Failed(Vec<String>),
}

impl Shop {
    /// A reason without secrets: sources like to repeat what they were asked with.
    #[must_use]
    pub fn discreet(&self, reason: Reason) -> Reason {
        let terms = self.terms.load();
        let message =
            terms.sensitive.iter().fold(reason.message, |message, word| message.replace(word, "<redacted>"));
        Reason { message, ..reason }
    }
}

/// Counts how the first run of every feed ended, to say once that nobody could be reached.
#[derive(Debug)]
pub struct FirstRound {
    waiting: AtomicUsize,
    reached: AtomicUsize,
}

impl FirstRound {
    /// For so many feeds.
    #[must_use]
    pub const fn new(feeds: usize) -> Self {
        Self { waiting: AtomicUsize::new(feeds), reached: AtomicUsize::new(0) }
    }

    /// One feed is through; `reached` when it has a value or some source answered at all.
    fn done(&self, reached: bool) {
        if reached {
            self.reached.fetch_add(1, Ordering::AcqRel);
        }
        if self.waiting.fetch_sub(1, Ordering::AcqRel) == 1 && self.reached.load(Ordering::Acquire) == 0 {
            tracing::warn!(
                "no source could be reached: is this machine connected? Recorded answers can be looked at with `banggia serve --replay`"
            );
        }
    }
}

/// What a worker can be told to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Run now; sources that are being left alone for a while are not asked.
    Run,
    /// Run now, whatever we agreed with ourselves about waiting. What a source asked for is honoured.
    Ask,
    /// Serve the value that is held under this key.
    Accept(String),
    /// Do not serve it for as long as the source says the same.
    Refuse(String),
}

/// An order, and who waits for it; answered when what it brought is published.
pub type Request = (Order, oneshot::Sender<RunEnd>);

/// The other ends of a worker.
pub struct Reins {
    /// What it is told to do.
    pub orders: mpsc::Sender<Request>,
    /// Its settings; it takes the newest as soon as no run is under way.
    pub tuning: watch::Sender<Arc<Tuning>>,
}

/// Everything of one feed.
pub struct Worker {
    shop: Arc<Shop>,
    config: config::Feed,
    state: FeedState,
    bell: Arc<Notify>,
    orders: mpsc::Receiver<Request>,
    tuning: watch::Receiver<Arc<Tuning>>,
    /// The feed's fixed offset from its due runs, so that feeds do not all ask in the same second.
    offset: Duration,
    run: usize,
    /// When the last good run began.
    good_since: Option<Timestamp>,
    memory: HashMap<&'static str, Memory>,
    /// When the next try comes that is no due run.
    retry: Option<Timestamp>,
    /// Whether the clock was set since the last run.
    watch: Watch,
    /// What other houses quoted for the same quantity when a figure was last good, by key.
    anchors: HashMap<String, Anchors>,
}

/// A house's feed and what it quoted.
type Anchors = Vec<(&'static str, Decimal)>;

/// What is remembered of a source between runs, in memory only.
#[derive(Debug, Default)]
struct Memory {
    failures: u32,
    not_before: Option<Timestamp>,
    /// Whether that is the source's own wish.
    asked_to_wait: bool,
    /// Of the last accepted answer to a `GET`, and its address: another day's is another document.
    validators: Option<(Url, Validators)>,
    read_in_full_at: Option<Timestamp>,
}

impl Memory {
    /// What is left of it after a restart: a source's own wish to be left alone, and that it has failed.
    fn of(source: &SourceState, now: Timestamp) -> Self {
        let last = source.last.as_ref().filter(|last| last.outcome == "retry_after");
        let told = last.and_then(|last| Outcome::wait_told(&last.reason.as_ref()?.message));
        match told.map(|until| until.min(later(now, LONGEST_WAIT))).filter(|until| *until > now) {
            Some(until) => {
                Self { failures: 1, not_before: Some(until), asked_to_wait: true, ..Self::default() }
            }
            None => Self::default(),
        }
    }
}

/// What one source gave.
#[allow(clippy::large_enum_variant, reason = "one at a time, never in a collection")]
pub enum Gave {
    /// An accepted answer, as it was read and as it was judged.
    Sheet(Sheet, Judgement, Option<(Url, Validators)>),
    /// The last accepted answer still stands.
    Unchanged,
}

impl Gave {
    /// Rows that were refused, and rows that wait.
    fn outliers(&self) -> (usize, usize) {
        match self {
            Self::Unchanged => (0, 0),
            Self::Sheet(sheet, judgement, _) => {
                let held = judgement.held.len();
                (judgement.outliers(sheet).saturating_sub(held), held)
            }
        }
    }

    /// Why the first row that waits does.
    fn why_held(&self) -> Option<&Reason> {
        match self {
            Self::Unchanged => None,
            Self::Sheet(_, judgement, _) => judgement.held.iter().find_map(|held| held.reasons.first()),
        }
    }
}

/// Why one source gave nothing.
pub enum Trouble {
    /// No answer.
    Fetch(Outcome),
    /// An answer that cannot be read.
    Parse(ParseError),
    /// An answer that was refused.
    Judged(Sheet, Judgement),
    /// The adapter panicked.
    Panic,
    /// The adapter did not come to an end.
    ParseTimeout,
    /// The source leads in circles.
    TooManyHops,
}

impl Trouble {
    /// Code and sentence.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Fetch(outcome) => Reason::new(outcome.code(), outcome.to_string()),
            Self::Parse(error) => error.reason(),
            Self::Judged(_, judgement) => judgement
                .reasons
                .first()
                .cloned()
                .unwrap_or_else(|| Reason::new("rejected", "the answer was refused")),
            Self::Panic => {
                Reason::new("panic", "the adapter failed on this answer; this is a defect of banggia")
            }
            Self::ParseTimeout => {
                Reason::new("parse_timeout", format!("reading the answer took more than {PARSE_TIMEOUT:?}"))
            }
            Self::TooManyHops => {
                Reason::new("too_many_hops", format!("the source leads on more than {MAX_HOPS} times"))
            }
        }
    }
}

impl Worker {
    /// A worker and the way to make it run.
    #[must_use]
    pub fn new(shop: Arc<Shop>, tuning: Tuning, state: FeedState, bell: Arc<Notify>) -> (Self, Reins) {
        let (sender, orders) = mpsc::channel(4);
        let (config, offset) = (tuning.config.clone(), tuning.offset);
        let (tuner, tuning) = watch::channel(Arc::new(tuning));
        let now = shop.clock.now();
        let memory = state.sources.iter().map(|source| (source.source.id, Memory::of(source, now))).collect();
        let anchors = HashMap::new();
        let watch = Watch::new(&shop.clock);
        let worker = Self {
            shop,
            config,
            state,
            bell,
            orders,
            tuning,
            offset,
            run: 0,
            good_since: None,
            memory,
            retry: None,
            watch,
            anchors,
        };
        (worker, Reins { orders: sender, tuning: tuner })
    }

    /// Works until `stop`. `first`: when to run for the first time without a bell, if a run was missed.
    pub async fn work(mut self, first: Option<Duration>, stop: CancellationToken) {
        if first.is_none() {
            self.shop.first_round.done(true);
        }
        // What others quoted when this feed was last good: at the start nobody has moved yet.
        self.drop_anchor(&self.keys(), true);
        let mut wake = first.map(|wait| tokio::time::Instant::now() + wait);
        let mut fresh_start = first.is_some();
        loop {
            let mut request = None;
            let due = async {
                match wake {
                    Some(at) if !self.shop.clock.stands() && !self.state.paused => {
                        tokio::time::sleep_until(at).await;
                    }
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = due => {}
                Ok(()) = self.tuning.changed() => {
                    if self.take_tuning() {
                        wake = Some(tokio::time::Instant::now());
                    }
                    if !self.hand_over(None).await {
                        break;
                    }
                    continue;
                }
                () = self.bell.notified() => {
                    tokio::select! {
                        () = stop.cancelled() => break,
                        () = tokio::time::sleep(self.offset) => {}
                        order = self.orders.recv() => match order {
                            Some(order) => request = Some(order),
                            None => break,
                        },
                    }
                    if request.is_none() && (self.state.paused || self.is_answered()) {
                        continue;
                    }
                }
                order = self.orders.recv() => match order {
                    Some(order) => request = Some(order),
                    None => break,
                },
            }
            let (order, sender) = request.map_or((Order::Run, None), |(order, sender)| (order, Some(sender)));
            if order == Order::Ask {
                self.forget_back_off();
            }
            let end = match order {
                Order::Run | Order::Ask if !self.shop.store.may_ask() => {
                    wake = Some(tokio::time::Instant::now() + LEASE_LOOK);
                    continue;
                }
                Order::Run | Order::Ask => {
                    let Some(end) = self.run_until(&stop).await else { break };
                    self.retry = self.retry_at(&end);
                    self.set_next();
                    wake = self.retry.map(|at| {
                        tokio::time::Instant::now() + self.shop.clock.until(at).max(Duration::from_secs(1))
                    });
                    if std::mem::take(&mut fresh_start) {
                        self.shop.first_round.done(match &end {
                            RunEnd::Good => true,
                            RunEnd::Failed(codes) => {
                                !codes.iter().all(|code| code == "dns" || code == "connect")
                            }
                        });
                    }
                    end
                }
                Order::Accept(key) => self.decide(&key, true).await,
                Order::Refuse(key) => self.decide(&key, false).await,
            };
            // What came during a run holds from now on; what is published must not show the old settings again.
            if self.tuning.has_changed().unwrap_or(false) && self.take_tuning() {
                wake = Some(tokio::time::Instant::now());
            }
            if !self.hand_over(sender.map(|sender| (sender, end))).await {
                break;
            }
        }
    }

    /// Gives the board a copy of the feed's state; whether somebody took it.
    async fn hand_over(&mut self, answer: Option<(oneshot::Sender<RunEnd>, RunEnd)>) -> bool {
        if self.state.paused && self.state.failure.is_none() {
            self.state.failure = Some(board::paused());
        }
        self.state.count_missed(self.shop.clock.now());
        let news = News::State(Arc::new(self.state.clone()));
        self.shop.board.send(Update { news, answer }).await.is_ok()
    }

    /// Takes the operator's newest settings; whether a run was missed by them.
    fn take_tuning(&mut self) -> bool {
        let tuning = Arc::clone(&self.tuning.borrow_and_update());
        let now = self.shop.clock.now();
        for source in &self.state.sources {
            let id = source.source.id;
            let asked = |config: &config::Feed| {
                config.sources.get(id).map(|own| (own.url.clone(), own.headers.clone()))
            };
            if asked(&tuning.config) != asked(&self.config) {
                // Another address, or other headers: what was learnt of the old ones says nothing of these.
                self.memory.insert(id, Memory::default());
            }
        }
        self.config = tuning.config.clone();
        self.offset = tuning.offset;
        self.state.tune(&tuning, now);
        self.set_next();
        let waits = |source: &SourceState| {
            let memory = self.memory.get(source.source.id);
            memory.and_then(|memory| memory.not_before).is_some_and(|until| until > now)
        };
        let mut asked = self.state.sources.iter().filter(|source| source.standing == Standing::On);
        self.state.is_due(now) && !self.shop.clock.stands() && asked.any(|source| !waits(source))
    }

    /// The operator asks now: of what keeps sources waiting only their own wishes stand.
    fn forget_back_off(&mut self) {
        for memory in self.memory.values_mut().filter(|memory| !memory.asked_to_wait) {
            memory.not_before = None;
        }
    }

    /// One run; `None`: stopped in its middle.
    async fn run_until(&mut self, stop: &CancellationToken) -> Option<RunEnd> {
        let began = self.shop.clock.now();
        self.mind_the_clock(began);
        self.no_future(began);
        let end = tokio::select! {
            () = stop.cancelled() => return None,
            end = AssertUnwindSafe(self.refresh()).catch_unwind() => end,
        };
        let end = end.unwrap_or_else(|_| self.panicked());
        if end == RunEnd::Good {
            self.good_since = Some(began);
        }
        Some(end)
    }

    /// A clock that was set leaves no time that can be reckoned with: what waits for confirmation begins anew. A clock
    /// of a replay or a test is moved on purpose.
    fn mind_the_clock(&mut self, now: Timestamp) {
        let off = self.watch.step(&self.shop.clock);
        if off.abs() > ODD_STEP && self.shop.clock.is_systems() {
            for held in self.state.sources.iter_mut().flat_map(|source| source.held.values_mut()) {
                held.since = now;
                held.polls = 0;
            }
        }
    }

    /// When the clock was set back, times from what was the future would keep values fresh and sources waiting.
    fn no_future(&mut self, now: Timestamp) {
        for kept in self.state.sources.iter_mut().flat_map(|source| source.kept.values_mut()) {
            kept.checked_at = kept.checked_at.min(now);
        }
        for held in self.state.sources.iter_mut().flat_map(|source| source.held.values_mut()) {
            held.since = held.since.min(now);
        }
        self.good_since = self.good_since.filter(|began| *began <= now);
        let longest = later(now, LONGEST_WAIT);
        for memory in self.memory.values_mut() {
            memory.not_before = memory.not_before.filter(|until| *until <= longest);
        }
    }

    /// Whether a good run has begun since the last due one: a back-off that ended, or somebody who asked, was first.
    fn is_answered(&self) -> bool {
        let due = self.state.rules.schedule.last(self.shop.clock.now());
        let now = self.shop.clock.now();
        self.good_since.zip(due).is_some_and(|(began, due)| (due..=now).contains(&began))
    }

    /// A panic ends its run and nothing else: values are kept as they were, the next run comes after a back-off.
    fn panicked(&mut self) -> RunEnd {
        let reason = Trouble::Panic.reason();
        tracing::error!(feed = self.state.feed.id, "a run panicked; the feed goes on");
        let now = self.shop.clock.now();
        for memory in self.memory.values_mut() {
            memory.not_before = Some(later(now, BACK_OFF_FROM));
        }
        let code = reason.code.to_string();
        self.state.failure = Some(reason);
        RunEnd::Failed(vec![code])
    }

    /// After a failed run the next try does not wait for the next due run, but backs off. While a value waits for
    /// confirmation its source is asked every few minutes.
    fn retry_at(&self, end: &RunEnd) -> Option<Timestamp> {
        let now = self.shop.clock.now();
        let soonest = match end {
            RunEnd::Good if self.awaits_confirmation() => later(now, hold::POLL),
            RunEnd::Good => return None,
            RunEnd::Failed(_) => self.memory.values().filter_map(|memory| memory.not_before).min()?,
        };
        Some(soonest.max(now))
    }

    /// Whether another reading may release a value. One that only the operator can release is looked at again as
    /// often, in case that the source mends it, and then left to the schedule.
    fn awaits_confirmation(&self) -> bool {
        let hold_polls = self.shop.terms.load().limits.hold_polls;
        let asked = self.state.sources.iter().filter(|source| source.standing == Standing::On);
        asked
            .flat_map(|source| source.held.values())
            .any(|held| !held.refused && (!held.operator_only || held.polls < hold_polls))
    }

    /// The next run that will ask somebody: a due one, or the end of a back-off, but none while all sources wait.
    fn set_next(&mut self) {
        if self.state.paused {
            self.state.next_refresh_at = None;
            return;
        }
        let now = self.shop.clock.now();
        let waits = || {
            self.state.sources.iter().filter(|state| state.standing == Standing::On).map(|state| {
                self.memory.get(state.source.id).and_then(|memory| memory.not_before).unwrap_or(now)
            })
        };
        let from = waits().min().unwrap_or(now).max(now);
        // Due at the very second at which a wait ends counts.
        let from = Timestamp::from_second(from.as_second() - i64::from(from > now)).unwrap_or(from);
        let due = self.state.rules.schedule.after(from).map(|due| later(due, self.offset));
        self.state.next_refresh_at = match (due, self.retry.filter(|retry| *retry > now)) {
            (Some(due), Some(retry)) => Some(due.min(retry)),
            (due, retry) => due.or(retry),
        };
    }

    async fn refresh(&mut self) -> RunEnd {
        let run = self.run;
        self.run += 1;
        let feed = self.state.feed.id;
        let mut good = false;
        let mut failures = Vec::new();
        for at in 0..self.state.sources.len() {
            let Some(state) = self.state.sources.get(at).filter(|state| state.standing == Standing::On)
            else {
                continue;
            };
            let source = state.source;
            let now = self.shop.clock.now();
            let waits_until = self.memory.get(source.id).and_then(|memory| memory.not_before);
            if waits_until.is_some_and(|until| until > now) {
                failures.extend(state.last.as_ref().and_then(|last| last.reason.clone()));
                continue;
            }
            let (started, seen) = (std::time::Instant::now(), Seen::default());
            let result = self.ask(source, at, run, &seen).await;
            let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            let (status, bytes) = (seen.status(), seen.bytes());
            match result {
                Ok(gave) => {
                    let (refused, held) = gave.outliers();
                    let reason = gave.why_held().map(|reason| self.shop.discreet(reason.clone()).message);
                    let (outcome, changed) = self.settle(at, gave).await;
                    self.shop.metrics.fetched(feed, source.id, outcome);
                    if held > 0 {
                        tracing::warn!(
                            feed,
                            source = source.id,
                            outcome,
                            reason,
                            status,
                            bytes,
                            ms,
                            changed,
                            refused,
                            held,
                            "fetch"
                        );
                    } else {
                        tracing::info!(
                            feed,
                            source = source.id,
                            outcome,
                            status,
                            bytes,
                            ms,
                            changed,
                            refused,
                            held,
                            "fetch"
                        );
                    }
                    good = true;
                    if source.whole && !self.lacks() {
                        break;
                    }
                }
                Err(trouble) => {
                    let reason = self.shop.discreet(trouble.reason());
                    let outcome = constant(&reason);
                    self.shop.metrics.fetched(feed, source.id, outcome);
                    self.fail(at, source, &trouble, &reason).await;
                    tracing::warn!(feed, source = source.id, outcome, reason = %reason.message, status, bytes, ms, changed = 0, "fetch");
                    failures.push(reason);
                }
            }
        }
        if good {
            self.state.failure = None;
            RunEnd::Good
        } else {
            self.state.failure = failures.first().cloned().or_else(|| {
                Some(Reason::new(
                    "no_source",
                    "no source of this feed can be asked: all are switched off or lack their secret",
                ))
            });
            RunEnd::Failed(failures.into_iter().map(|reason| reason.code.into_owned()).collect())
        }
    }

    /// Asks one source once and changes nothing: for `probe`. `None`: the feed has no such source.
    pub async fn probe(&mut self, source: &str) -> Option<Result<Gave, Trouble>> {
        let at = self.state.sources.iter().position(|state| state.source.id == source)?;
        let source = self.state.sources.get(at)?.source;
        Some(self.ask(source, at, 0, &Seen::default()).await)
    }

    /// Whether some figure is stale that another source may have: sources are in order for each figure, not for
    /// the feed. What has expired is not asked after for ever.
    fn lacks(&self) -> bool {
        let served = Arc::new(self.state.clone()).serve(self.shop.clock.now());
        served.quotes.iter().any(|quote| quote.status == Status::Stale)
    }

    /// All ways of asking one source, until one gives a board.
    async fn ask(
        &mut self,
        source: &'static Source,
        at: usize,
        run: usize,
        seen: &Seen,
    ) -> Result<Gave, Trouble> {
        let Some(config) = self.config.sources.get(source.id).cloned() else {
            return Err(Trouble::Fetch(Outcome::Setup("the source is not configured".to_owned())));
        };
        let secrets = self.shop.terms.load().secrets.clone();
        let ask = Ask { now: self.shop.clock.now(), base: &config.url, secrets: &secrets };
        let mut last = Trouble::TooManyHops;
        for request in (source.requests)(&ask) {
            match self.follow(source, (at, run), &config, request, seen).await {
                Ok(gave) => return Ok(gave),
                Err(trouble) => {
                    let hopeless = matches!(&trouble, Trouble::Fetch(outcome) if outcome.is_about_the_host());
                    last = trouble;
                    if hopeless {
                        break;
                    }
                }
            }
        }
        Err(last)
    }

    async fn follow(
        &mut self,
        source: &'static Source,
        (at, run): (usize, usize),
        config: &config::Source,
        first: providers::Request,
        seen: &Seen,
    ) -> Result<Gave, Trouble> {
        let mut request = first;
        for hop in 0..MAX_HOPS {
            let now = self.shop.clock.now();
            let memory = self.memory.entry(source.id).or_default();
            let get = hop == 0 && request.method == providers::Method::Get;
            let recent = memory.read_in_full_at.is_some_and(|read| later(read, UNCONDITIONAL_AFTER) > now);
            let known = memory
                .validators
                .as_ref()
                .filter(|(url, known)| get && recent && *url == request.url && !known.is_empty())
                .map(|(_, known)| known.clone());
            let target = Target {
                feed: self.state.feed.id,
                source: source.id,
                config,
                timeout: self.config.timeout.0,
                run,
                retry: memory.failures < SINGLE_TRIES_FROM,
                seen,
            };
            let body = match self
                .shop
                .fetcher
                .fetch(target, &request, known.as_ref())
                .await
                .map_err(Trouble::Fetch)?
            {
                Exchange::NotModified => return Ok(Gave::Unchanged),
                Exchange::Body(body) => Arc::new(body),
            };
            let validators = body.validators.clone();
            let parsed = self.parse(source, config.url.clone(), request.step, &body).await;
            match parsed.map_err(|trouble| self.witness(source, &request, &body, trouble))? {
                Parsed::Follow(next) => request = next,
                Parsed::Sheet(sheet) => {
                    let judgement = self.judge(at, &sheet);
                    let outliers = judgement.outliers(&sheet);
                    self.shop.metrics.outliers(self.state.feed.id, source.id, outliers);
                    if judgement.verdict == Verdict::Reject {
                        let trouble = Trouble::Judged(sheet, judgement);
                        return Err(self.witness(source, &request, &body, trouble));
                    }
                    for reason in &judgement.reasons {
                        let reason = self.shop.discreet(reason.clone());
                        tracing::debug!(feed = self.state.feed.id, source = source.id, code = %reason.code, reason = %reason.message, "row refused or held");
                    }
                    // Only the answer to the first request can be asked for conditionally, and not while something
                    // of it waits: a 304 would confirm nothing.
                    let validators =
                        (get && judgement.held.is_empty()).then(|| (request.url.clone(), validators));
                    return Ok(Gave::Sheet(sheet, judgement, validators));
                }
            }
        }
        Err(Trouble::TooManyHops)
    }

    async fn parse(
        &self,
        source: &'static Source,
        base: Url,
        step: &'static str,
        body: &Arc<Body>,
    ) -> Result<Parsed, Trouble> {
        let secrets = self.shop.terms.load().secrets.clone();
        let began = std::time::Instant::now();
        let parsed = parse(source, base, step, Arc::clone(body), secrets, self.shop.clock.now()).await;
        self.shop.metrics.took(self.state.feed.id, Phase::Parse, began.elapsed());
        parsed
    }

    /// Keeps an answer that was not taken, beside why; gives the trouble back.
    fn witness(
        &self,
        source: &'static Source,
        request: &providers::Request,
        body: &Arc<Body>,
        trouble: Trouble,
    ) -> Trouble {
        let reason = trouble.reason();
        let (expected, found) = match &trouble {
            Trouble::Parse(error) => error.sides(),
            _ => (format!("an answer that passes {}", reason.code), reason.message.clone()),
        };
        let discreet = |text: String| self.shop.discreet(Reason::new("found", text)).message;
        let now = self.shop.clock.now();
        let note = Note {
            feed: self.state.feed.id.to_owned(),
            source: source.id.to_owned(),
            step: request.step.to_owned(),
            at: rfc3339(now),
            code: reason.code.into_owned(),
            expected,
            found: discreet(found),
            url: config::shown(&request.url),
            content_type: body.content_type.clone().map(discreet),
            charset: body.charset.clone(),
            last_modified: body.last_modified,
            ..Note::default()
        };
        self.shop.evidence.keep(&self.shop.tracker, note, Arc::clone(body), now);
        trouble
    }

    fn judge(&self, at: usize, sheet: &Sheet) -> Judgement {
        let now = self.shop.clock.now();
        let snapshot = self.shop.snapshot.load();
        let own = self.state.feed.id == "vietcombank.fx";
        let empty = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new(), Vec::new());
        let (kept, sides, held, last_keys) =
            self.state.sources.get(at).map_or((&empty.0, &empty.1, &empty.2, &empty.3), |state| {
                (&state.kept, &state.sides, &state.held, &state.last_keys)
            });
        // A board that has expired is no yardstick: a bank that changed its board for good must not be locked out.
        let stands = |kept: &&Kept| self.state.rules.freshness(kept.checked_at).status(now) < Status::Expired;
        let board: Vec<&Kept> = last_keys.iter().filter_map(|key| kept.get(key)).collect();
        let last: Vec<&Kept> = board.iter().copied().filter(stands).collect();
        let keys: BTreeSet<String> = last.iter().map(|kept| kept.quote.key_without_place()).collect();
        let served: HashMap<String, Quote> = Arc::new(self.state.clone())
            .serve(now)
            .quotes
            .into_iter()
            .filter(|served| served.status < Status::Expired)
            .map(|served| (served.kept.quote.key(), served.kept.quote))
            .collect();
        let own_last = |key: &str| {
            let kept = kept.get(key).filter(stands)?;
            Some(sides.get(key).unwrap_or(&kept.quote))
        };
        let before = |quote: &Quote| Before {
            own: judge::known(quote, own_last).cloned(),
            served: judge::known(quote, |key| served.get(key)).cloned(),
            held: held.get(&quote.key()).cloned(),
            peers: self.peers(&snapshot, &quote.key()),
        };
        judge::judge(&Case {
            feed: self.state.feed,
            sheet,
            last: &keys.into_iter().collect::<Vec<_>>(),
            last_day: last.iter().filter_map(|kept| kept.as_of.day()).max(),
            frozen_for: self.frozen_for(sheet, &board, now),
            before: &before,
            reference: &|code| if own { None } else { snapshot.reference.get(code).copied() },
            limits: &self.shop.terms.load().limits,
            max_jump: self.config.max_jump.limit,
            now,
        })
    }

    /// Days on which a new board was due since the one that this answer says again came; however old that is.
    fn frozen_for(&self, sheet: &Sheet, board: &[&Kept], now: Timestamp) -> u32 {
        let Some(day) = sheet.as_of.day().filter(|_| judge::is_daily(self.state.feed.kind)) else { return 0 };
        let newest = board.iter().filter_map(|kept| kept.as_of.day()).max();
        let says_again = |quote: &Quote| {
            let key = quote.key();
            board.iter().any(|kept| kept.quote.key() == key && kept.quote.same_figures(quote))
        };
        if newest == Some(day) && sheet.quotes.iter().all(says_again) {
            self.state.rules.missed_publishes(board::published_on(board, day), now)
        } else {
            0
        }
    }

    /// How far other houses went with the same quantity since this figure was last good. What they hold themselves
    /// counts too, unless it looks like a slip: when all move at once, all hold.
    fn peers(&self, snapshot: &Snapshot, key: &str) -> Vec<Peer> {
        let Some(anchors) = self.anchors.get(key) else { return Vec::new() };
        let Some(quantity) = self.quantity(key) else { return Vec::new() };
        others(snapshot, &self.state, &quantity)
            .filter_map(|(feed, served)| {
                let (_, then) = anchors.iter().find(|(known, _)| *known == feed.state.feed.id)?;
                let candidate = feed.state.held(&served.kept.quote.key()).filter(|held| !held.operator_only);
                let quote = match candidate {
                    Some(held) => &held.quote,
                    None if served.status == Status::Fresh => &served.kept.quote,
                    None => return None,
                };
                let ratio = hold::leading(quote)?.checked_div(*then)?;
                Some(Peer { feed: feed.state.feed.id, ratio })
            })
            .collect()
    }

    fn quantity(&self, key: &str) -> Option<String> {
        self.state.sources.iter().find_map(|source| judge::quantity(&source.kept.get(key)?.quote))
    }

    fn keys(&self) -> Vec<String> {
        let keys: BTreeSet<&String> =
            self.state.sources.iter().flat_map(|source| source.kept.keys()).collect();
        keys.into_iter().cloned().collect()
    }

    /// Notes what other houses quote now; `anew`: also of those of which that is known.
    fn drop_anchor(&mut self, keys: &[String], anew: bool) {
        let snapshot = self.shop.snapshot.load();
        for key in keys {
            let Some(quantity) = self.quantity(key) else { continue };
            let prices = others(&snapshot, &self.state, &quantity)
                .filter_map(|(feed, served)| Some((feed.state.feed.id, hold::leading(&served.kept.quote)?)));
            let anchors = self.anchors.entry(key.clone()).or_default();
            for (feed, price) in prices {
                match anchors.iter_mut().find(|(known, _)| *known == feed) {
                    Some((_, then)) if anew => *then = price,
                    Some(_) => {}
                    None => anchors.push((feed, price)),
                }
            }
        }
    }

    /// Takes an accepted answer over and keeps it.
    async fn settle(&mut self, at: usize, gave: Gave) -> (&'static str, usize) {
        let now = self.shop.clock.now();
        let (before, hidden) = self.replaced_by(at, now);
        let Some(state) = self.state.sources.get_mut(at) else { return ("ok", 0) };
        let memory = self.memory.entry(state.source.id).or_default();
        memory.failures = 0;
        memory.not_before = None;
        memory.asked_to_wait = false;
        let mut dropped = Vec::new();
        let held_before = state.held.clone();
        let (old, had) = (state.kept.clone(), confirmed(state));
        let (outcome, kept) = match gave {
            Gave::Unchanged => ("unchanged", touch(state, now)),
            Gave::Sheet(sheet, judgement, validators) => {
                memory.validators = validators;
                memory.read_in_full_at = Some(now);
                dropped = drop_superseded(state, &judgement.accepted);
                let kept = take_over(state, &before, &judgement.accepted, sheet.as_of, now);
                state.last_keys.extend(
                    judgement
                        .held
                        .iter()
                        .map(|held| held.quote.key())
                        .filter(|key| state.kept.contains_key(key)),
                );
                // Where everything waits nothing was served, and the answer's outcome says so.
                let waits = judgement.accepted.is_empty();
                state.held = judgement.held.into_iter().map(|held| (held.quote.key(), held)).collect();
                (if waits { "held" } else { "ok" }, kept)
            }
        };
        for (kept, _) in kept.iter().filter(|(_, changed)| *changed) {
            state.extend_trend(&kept.quote, kept.changed_at);
        }
        let changed = kept.iter().filter(|(_, changed)| *changed).count();
        let attempt = Attempt { at: now, outcome: outcome.to_owned(), reason: None };
        state.last = Some(attempt.clone());
        let (written, shown) = told(&mut self.state.shown, kept.clone(), &hidden);
        let mut remarks = remarks(&old, &state.kept, &had, &written, &dropped, now);
        remarks.extend(shown);
        let source = SourceKeys {
            id: state.source.id,
            keys: state.last_keys.clone(),
            dropped,
            held: (state.held != held_before).then(|| state.held.clone()),
        };
        // Since when peers' moves count: since this value came, not since it was last read.
        for (kept, changed) in &kept {
            self.drop_anchor(&[kept.quote.key()], *changed);
        }
        self.keep(attempt, written, source, remarks).await;
        (outcome, changed)
    }

    /// The operator's word on a held value.
    async fn decide(&mut self, key: &str, accept: bool) -> RunEnd {
        let now = self.shop.clock.now();
        let Some(at) = self.state.sources.iter().position(|source| source.held.contains_key(key)) else {
            return RunEnd::Failed(vec!["not_held".to_owned()]);
        };
        let (before, hidden) = self.replaced_by(at, now);
        let Some(state) = self.state.sources.get_mut(at) else {
            return RunEnd::Failed(vec!["not_held".to_owned()]);
        };
        let mut kept = Vec::new();
        let mut more = Vec::new();
        let had: BTreeSet<String> = confirmed(state).into_iter().filter(|known| known == key).collect();
        if accept {
            if let Some(held) = state.held.remove(key) {
                let old = before.get(key).or_else(|| state.kept.get(key));
                // It was read at its last poll, and is good since the operator says so.
                let accepted = vec![renew(old, &held.quote, held.as_of, now)];
                let shown;
                (kept, shown) = told(&mut self.state.shown, accepted, &hidden);
                more = remarks(&state.kept, &state.kept, &had, &kept, &[], now);
                // Nobody asked the source.
                more.retain(|remark| !matches!(remark, Remark::Watched(_)));
                more.extend(shown);
            }
            for (kept, _) in &kept {
                state.sides.insert(key.to_owned(), kept.quote.clone());
                state.kept.insert(key.to_owned(), kept.clone());
                state.extend_trend(&kept.quote, kept.changed_at);
            }
        } else if let Some(held) = state.held.get_mut(key) {
            held.refused = true;
        }
        tracing::info!(
            feed = self.state.feed.id,
            source = state.source.id,
            key,
            accept,
            "a held value was decided on"
        );
        let attempt =
            state.last.clone().unwrap_or(Attempt { at: now, outcome: "ok".to_owned(), reason: None });
        let source = SourceKeys {
            id: state.source.id,
            keys: state.last_keys.clone(),
            dropped: Vec::new(),
            held: Some(state.held.clone()),
        };
        self.drop_anchor(&[key.to_owned()], true);
        self.keep(attempt, kept, source, more).await;
        RunEnd::Good
    }

    /// What is served of this feed and would give way to the source at `at`: all but the fresh figures of sources
    /// before it.
    fn replaced_by(&self, at: usize, now: Timestamp) -> (HashMap<String, Kept>, BTreeSet<String>) {
        let rank = |source: &Source| self.state.sources.iter().position(|state| state.source.id == source.id);
        let served = Arc::new(self.state.clone()).serve(now).quotes.into_iter();
        let (before, hidden): (Vec<_>, Vec<_>) =
            served.partition(|served| served.status != Status::Fresh || rank(served.source) >= Some(at));
        let before = before.into_iter().map(|served| (served.kept.quote.key(), served.kept)).collect();
        (before, hidden.into_iter().map(|served| served.kept.quote.key()).collect())
    }

    async fn fail(&mut self, at: usize, source: &'static Source, trouble: &Trouble, reason: &Reason) {
        let now = self.shop.clock.now();
        let interval = self.state.rules.schedule.interval(now);
        let memory = self.memory.entry(source.id).or_default();
        memory.failures = memory.failures.saturating_add(1);
        let wait = later(now, back_off(memory.failures, interval));
        memory.asked_to_wait = matches!(trouble, Trouble::Fetch(Outcome::RetryAfter { .. }));
        memory.not_before = Some(match trouble {
            // A source that asks for no wait at all is still failing.
            Trouble::Fetch(Outcome::RetryAfter { until, .. }) => wait.max(*until),
            _ => wait,
        });
        let attempt = Attempt { at: now, outcome: reason.code.to_string(), reason: Some(reason.clone()) };
        let Some(state) = self.state.sources.get_mut(at) else { return };
        state.last = Some(attempt.clone());
        let keys =
            SourceKeys { id: source.id, keys: state.last_keys.clone(), dropped: Vec::new(), held: None };
        self.keep(attempt, Vec::new(), keys, Vec::new()).await;
    }

    /// Writes on a task that outlives this wait: the disk may stall, serving may not, and nothing is cut in half.
    /// What could not be written waits in the store's queue, in order.
    async fn keep(&self, attempt: Attempt, more: Vec<(Kept, bool)>, state: SourceKeys, remarks: Vec<Remark>) {
        let store = Arc::clone(&self.shop.store);
        let feed = self.state.feed.id;
        let SourceKeys { id: source, keys, dropped, held } = state;
        let answer =
            Write { feed: feed.into(), source: source.into(), attempt, quotes: more, dropped, keys, held };
        store.push_with(answer, remarks);
        let write = self.shop.tracker.spawn(async move { store.flush().await });
        if tokio::time::timeout(DISK_PATIENCE, write).await.is_err() {
            tracing::error!(feed, source, "the store is slow; serving goes on from memory");
        }
    }
}

/// Reads an answer on a thread of its own, so that neither a panic nor an endless page stops anything else.
///
/// # Errors
/// [`Trouble`]
pub async fn parse(
    source: &'static Source,
    base: Url,
    step: &'static str,
    body: Arc<Body>,
    secrets: Secrets,
    now: Timestamp,
) -> Result<Parsed, Trouble> {
    let parse = tokio::task::spawn_blocking(move || {
        let parsed = (source.parse)(&Answer {
            body: &body.bytes,
            charset: body.charset.as_deref(),
            last_modified: body.last_modified,
            step: Some(step),
            now,
            base: &base,
            secrets: &secrets,
        });
        parsed.map_err(|error| fetch::blocked::named(error, &body))
    });
    match tokio::time::timeout(PARSE_TIMEOUT, parse).await {
        Err(_) => Err(Trouble::ParseTimeout),
        Ok(Err(_)) => Err(Trouble::Panic),
        Ok(Ok(parsed)) => parsed.map_err(Trouble::Parse),
    }
}

/// Other institutions' quotes of the same quantity.
fn others<'a>(
    snapshot: &'a Snapshot,
    own: &'a FeedState,
    quantity: &'a str,
) -> impl Iterator<Item = (&'a ServedFeed, &'a Served)> {
    snapshot
        .feeds
        .iter()
        .filter(|feed| {
            feed.state.institution.id != own.institution.id && feed.state.feed.kind == own.feed.kind
        })
        .filter_map(move |feed| {
            let same = |served: &&Served| judge::quantity(&served.kept.quote).as_deref() == Some(quantity);
            Some((feed, most_current(feed.quotes.iter().filter(same))?))
        })
}

/// Which quotes a source's last accepted answer had, which gave way to it, and what waits, if that changed.
struct SourceKeys {
    id: &'static str,
    keys: Vec<String>,
    dropped: Vec<String>,
    held: Option<BTreeMap<String, Held>>,
}

/// A code that is one of our own words, as all are but those that come back from the store.
fn constant(reason: &Reason) -> &'static str {
    match reason.code {
        std::borrow::Cow::Borrowed(code) => code,
        std::borrow::Cow::Owned(_) => "other",
    }
}

/// Half a minute, doubled at each failure in a row, up to four intervals of the schedule and half an hour.
fn back_off(failures: u32, interval: Duration) -> Duration {
    let cap = BACK_OFF_TO.min(BACK_OFF_FROM.max(interval.saturating_mul(4)));
    BACK_OFF_FROM.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(cap)
}

/// The last accepted answer stands: its quotes were checked again.
fn touch(state: &mut SourceState, now: Timestamp) -> Vec<(Kept, bool)> {
    let SourceState { kept, last_keys, held, .. } = state;
    last_keys
        .iter()
        .filter(|key| !held.contains_key(*key))
        .filter_map(|key| {
            let kept = kept.get_mut(key)?;
            kept.checked_at = now;
            Some((kept.clone(), false))
        })
        .collect()
}

/// What the last good answer of a source had and nothing holds back.
fn confirmed(state: &SourceState) -> BTreeSet<String> {
    state.last_keys.iter().filter(|key| !state.held.contains_key(*key)).cloned().collect()
}

/// Replaces what was kept by what was accepted; quotes that are missing age, they are not deleted. A change is a
/// change of what is served, whichever source that came from.
fn take_over(
    state: &mut SourceState,
    before: &HashMap<String, Kept>,
    accepted: &[Quote],
    as_of: AsOf,
    now: Timestamp,
) -> Vec<(Kept, bool)> {
    state.last_keys = accepted.iter().map(Quote::key).collect();
    accepted
        .iter()
        .map(|quote| {
            let key = quote.key();
            let before = before.get(&key).or_else(|| state.kept.get(&key));
            let (kept, changed) = renew(before, quote, quote.as_of(as_of), now);
            let last = hold::remembered(quote, state.sides.get(&key));
            state.sides.insert(key.clone(), last);
            state.kept.insert(key, kept.clone());
            (kept, changed)
        })
        .collect()
}

/// Of what an answer changed, what is part of the history: not what a fresh word of a source before it hides, but what
/// others hid until now. `shown` is what the history ends with.
fn told(
    shown: &mut BTreeMap<String, Quote>,
    kept: Vec<(Kept, bool)>,
    hidden: &BTreeSet<String>,
) -> (Vec<(Kept, bool)>, Vec<Remark>) {
    let mut later = Vec::new();
    let told = kept.into_iter().map(|(kept, changed)| {
        let key = kept.quote.key();
        if hidden.contains(&key) {
            return (kept, false);
        }
        let is_known = shown.get(&key).is_some_and(|shown| shown.same_figures(&kept.quote));
        if !is_known {
            if !changed {
                later.push(Remark::Shown(Box::new(kept.clone())));
            }
            shown.insert(key, kept.quote.clone());
        }
        (kept, changed)
    });
    (told.collect(), later)
}

/// Quotes that an answer says in another way: for both regions at once instead of for each, or the other way
/// round. What is merely missing ages; what was replaced would contradict.
fn drop_superseded(state: &mut SourceState, accepted: &[Quote]) -> Vec<String> {
    let now_placed: HashMap<String, bool> =
        accepted.iter().map(|quote| (quote.key_without_place(), quote.place().is_some())).collect();
    let superseded: Vec<String> = state
        .kept
        .iter()
        .filter(|(_, kept)| {
            now_placed
                .get(&kept.quote.key_without_place())
                .is_some_and(|placed| *placed != kept.quote.place().is_some())
        })
        .map(|(key, _)| key.clone())
        .collect();
    for key in &superseded {
        state.kept.remove(key);
    }
    superseded
}

fn renew(old: Option<&Kept>, quote: &Quote, as_of: AsOf, now: Timestamp) -> (Kept, bool) {
    match old {
        Some(old) if old.quote.same_figures(quote) => {
            (Kept { quote: quote.clone(), as_of, checked_at: now, ..old.clone() }, false)
        }
        old => {
            let previous = old.map(|old| old.quote.clone());
            (
                Kept {
                    quote: quote.clone(),
                    previous,
                    as_of,
                    fetched_at: now,
                    checked_at: now,
                    changed_at: now,
                },
                true,
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A worker of a real feed, whose shop is empty.
    async fn worker() -> Worker {
        let config = config::assemble(None, &[], &config::Overrides::default()).unwrap();
        let store = Arc::new(Store::open("sqlite::memory:", crate::store::Nature::Live).await.unwrap());
        let clock = Clock::system();
        let states = crate::app::load_states(&config, &store, &clock, false).await.unwrap();
        let shop = Shop {
            clock: clock.clone(),
            fetcher: Fetcher::Live(crate::fetch::Live::new(&config.fetch, clock)),
            store,
            terms: ArcSwap::from_pointee(Terms::of(&config)),
            metrics: Arc::default(),
            evidence: Arc::default(),
            tracker: TaskTracker::new(),
            snapshot: Arc::new(arc_swap::ArcSwap::from_pointee(crate::board::Snapshot::of(Vec::new()))),
            board: mpsc::channel(1).0,
            first_round: FirstRound::new(1),
        };
        let (state, _) = states.into_iter().find(|(state, _)| state.feed.id == "tpbank.gold").unwrap();
        let tuning = crate::app::tuning(&config, state.feed, false).unwrap();
        Worker::new(Arc::new(shop), tuning, state, Arc::new(Notify::new())).0
    }

    async fn read_with(parse: fn(&Answer<'_>) -> Result<Parsed, ParseError>) -> Reason {
        let real = &providers::feed("tpbank.gold").unwrap().1.sources[0];
        // Leaked once a test: sources are constants everywhere else.
        let source: &'static Source = Box::leak(Box::new(Source { parse, ..*real }));
        let body = Arc::new(Body { bytes: b"{}".to_vec(), ..Body::default() });
        let base = Url::parse("http://127.0.0.1/").unwrap();
        worker().await.parse(source, base, "chart", &body).await.err().unwrap().reason()
    }

    #[tokio::test]
    async fn f39_an_adapter_that_panics_is_a_failure_of_its_source_and_of_nothing_else() {
        assert_eq!(read_with(|_| panic!("a defect")).await.code, "panic");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn f39_an_adapter_that_does_not_come_back_is_given_up() {
        let forever = |_: &Answer<'_>| {
            let started = std::time::Instant::now();
            while started.elapsed() < PARSE_TIMEOUT * 2 {
                std::hint::spin_loop();
            }
            Err(ParseError::Empty)
        };
        assert_eq!(read_with(forever).await.code, "parse_timeout");
    }

    #[test]
    fn back_off_doubles_up_to_four_intervals_and_half_an_hour() {
        let seconds = |failures, minutes: u64| back_off(failures, Duration::from_mins(minutes)).as_secs();
        assert_eq!([1, 2, 3, 4].map(|failures| seconds(failures, 10)), [30, 60, 120, 240]);
        assert_eq!(seconds(30, 10), 1800);
        assert_eq!(seconds(30, 5), 1200);
        assert_eq!(back_off(30, Duration::from_secs(1)).as_secs(), 30);
        assert_eq!(back_off(u32::MAX, Duration::MAX).as_secs(), 1800);
    }
}
