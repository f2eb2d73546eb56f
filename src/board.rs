//! The board: the only writer of what is served. Workers hand in their feed's state; every publish turns all
//! states into one immutable [`Snapshot`] that readers clone bytes out of. Bytes change only at a publish, and a
//! document's version and time are those of the publish at which its bytes last changed; a selection's are those of
//! the feeds in it.

mod shared;

use std::{
    collections::{BTreeMap, HashMap},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use futures_util::FutureExt as _;
use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, Weekday},
};
use providers::{Institution, Kind, Quote, Reason};
use rust_decimal::Decimal;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    app::StartError,
    clock::{self, Clock, later},
    config,
    document::{self, Content, Document, Edition},
    events::{Follower, Numbered, numbered},
    filter::Filter,
    judge::{self, hold::Held},
    live::Live,
    refresh::RunEnd,
    schedule::{Calendar, Schedule},
    store::{Attempt, Kept, Publication, Published, Store},
};

/// Serving does not wait longer than this for the disk.
const DISK_PATIENCE: Duration = Duration::from_secs(1);

/// Why a paused feed brings nothing new.
#[must_use]
pub fn paused() -> Reason {
    Reason::new("paused", "the operator has paused this feed")
}

/// How current a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Read again in time.
    Fresh,
    /// A due run was missed.
    Stale,
    /// Too old to be shown.
    Expired,
    /// There never was a value.
    Unavailable,
}

impl Status {
    /// As documents write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Expired => "expired",
            Self::Unavailable => "unavailable",
        }
    }
}

/// From when a value is what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// The first due run after the last check, plus `stale_after`.
    pub fresh_until: Timestamp,
    /// That due run plus `expire_after`.
    pub expires_at: Timestamp,
}

impl Freshness {
    /// Status at `now`.
    #[must_use]
    pub fn status(self, now: Timestamp) -> Status {
        if now < self.fresh_until {
            Status::Fresh
        } else if now < self.expires_at {
            Status::Stale
        } else {
            Status::Expired
        }
    }
}

/// Schedule and grace of one feed.
#[derive(Debug, Clone)]
pub struct Rules {
    /// When it is due.
    pub schedule: Schedule,
    /// Grace after a missed run.
    pub stale_after: Duration,
    /// After a missed run, how long an old value is shown.
    pub expire_after: Duration,
    /// Days that do not count.
    pub calendar: Arc<Calendar>,
}

impl Rules {
    /// For a value last checked at `checked_at`.
    #[must_use]
    pub fn freshness(&self, checked_at: Timestamp) -> Freshness {
        let due = self.schedule.due_after(checked_at, &self.calendar);
        Freshness { fresh_until: later(due, self.stale_after), expires_at: later(due, self.expire_after) }
    }

    /// Due runs after `checked_at` and up to `until`, at most so many; holidays do not count.
    #[must_use]
    pub fn missed(&self, checked_at: Timestamp, until: Timestamp, most: u32) -> u32 {
        let mut due = self.schedule.due_after(checked_at, &self.calendar);
        let mut missed = 0;
        while due <= until && missed < most {
            missed += 1;
            due = self.schedule.due_after(due, &self.calendar);
        }
        missed
    }

    /// Working days after `day` and before today on which this feed was due: as many boards did not come. Banks
    /// publish from Monday to Friday; who also trades on Saturdays need not.
    #[must_use]
    pub fn missed_publishes(&self, day: Date, now: Timestamp) -> u32 {
        let today = clock::day(now);
        let days = std::iter::successors(day.tomorrow().ok(), |day| day.tomorrow().ok());
        let missed = days.take(400).take_while(|day| *day < today).filter(|day| {
            let works = !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday);
            works && !self.calendar.is_holiday(*day) && self.schedule.is_due_on(*day)
        });
        u32::try_from(missed.count()).unwrap_or(u32::MAX)
    }
}

/// The day from which on a new board is waited for: the one that the board states, or that on which it came, if that
/// was later. Who starts with an old board sees what it states, and waits for the next like everybody.
#[must_use]
pub fn published_on(board: &[&Kept], stated: Date) -> Date {
    board.iter().map(|kept| clock::day(kept.fetched_at)).max().map_or(stated, |came| came.max(stated))
}

/// Of some months; nobody asks whether it was more.
const MOST_MISSED: u32 = 10_000;

/// Why a source is not asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is asked.
    On,
    /// The operator switched it off.
    Off,
    /// Its secret, of this name, is not set.
    Skipped(&'static str),
}

/// What is known of one source.
#[derive(Debug, Clone)]
pub struct SourceState {
    /// The adapter.
    pub source: &'static providers::Source,
    /// Whether it is asked.
    pub standing: Standing,
    /// Its address, without the adapter's own query.
    pub url: String,
    /// Every quote that it ever gave, by key.
    pub kept: BTreeMap<String, Kept>,
    /// Keys of its last accepted answer.
    pub last_keys: Vec<String>,
    /// The last good figure of each side, by key: a side that is not quoted for a while is not forgotten.
    pub sides: BTreeMap<String, Quote>,
    /// Values that wait for confirmation, by key.
    pub held: BTreeMap<String, Held>,
    /// How the last attempt ended.
    pub last: Option<Attempt>,
    /// The course of each gold price over the last weeks, by key.
    pub trends: BTreeMap<String, Trend>,
}

/// Prices with the instants from which they held, oldest first: selling prices, buying prices where nothing is sold.
pub type Trend = Vec<(Timestamp, Decimal)>;

/// So far back a trend goes.
pub const TREND: SignedDuration = SignedDuration::from_hours(30 * 24);
/// A house that moves its prices every quarter of an hour is drawn as finely as a small picture shows.
pub const TREND_POINTS: usize = 240;

/// The price that a trend is of.
#[must_use]
pub fn trend_price(quote: &Quote) -> Option<Decimal> {
    match quote {
        Quote::Gold(gold) => gold.sell.or(gold.buy),
        Quote::Fx(_) | Quote::Deposit(_) => None,
    }
}

impl SourceState {
    /// Adds a price that holds from `at`, and forgets what is too old to be drawn.
    pub fn extend_trend(&mut self, quote: &Quote, at: Timestamp) {
        if let Some(price) = trend_price(quote) {
            self.extend_trend_by(&quote.key(), at, price);
        }
    }

    /// The same of a price that is known already.
    pub fn extend_trend_by(&mut self, key: &str, at: Timestamp, price: Decimal) {
        let trend = self.trends.entry(key.to_owned()).or_default();
        trend.push((at, price));
        let oldest = at.saturating_sub(TREND).unwrap_or(Timestamp::MIN);
        // The last one before the window is the price at its beginning.
        let before = trend.iter().take_while(|(from, _)| *from <= oldest).count().saturating_sub(1);
        let surplus = trend.len().saturating_sub(TREND_POINTS);
        trend.drain(..before.max(surplus));
    }
}

/// What is known of one feed; owned by its worker, shared with the board as a copy.
#[derive(Debug, Clone)]
pub struct FeedState {
    /// Whose.
    pub institution: &'static Institution,
    /// The adapter.
    pub feed: &'static providers::Feed,
    /// Schedule and grace.
    pub rules: Rules,
    /// Asked only on request.
    pub paused: bool,
    /// In order of trust.
    pub sources: Vec<SourceState>,
    /// What the history of each quote ends with, by key.
    pub shown: BTreeMap<String, Quote>,
    /// The next run, its offset included.
    pub next_refresh_at: Option<Timestamp>,
    /// Why the last run brought nothing; `None` after a good one.
    pub failure: Option<Reason>,
    /// Due runs since the last good answer that brought nothing.
    pub missed: u32,
    /// Days since that of the newest board on which a new one was due and did not come.
    pub missed_publishes: u32,
}

use shared::{Sharing, passage};
pub use shared::{Turn, states as shared_states};

/// What the board is told.
#[derive(Debug)]
pub enum News {
    /// What happened among the replicas of a shared store.
    Turn(Turn),
    /// A feed after its run, or after it was tuned.
    State(Arc<FeedState>),
    /// A feed that the operator switched off.
    Gone(&'static str),
    /// Only look at the clock.
    Clock,
}

/// News for the board.
#[derive(Debug)]
pub struct Update {
    /// What is new.
    pub news: News,
    /// Who waits for the run, and how it ended; told once it is published.
    pub answer: Option<(oneshot::Sender<RunEnd>, RunEnd)>,
}

/// A quote as it is served.
#[derive(Debug, Clone)]
pub struct Served {
    /// Value and times.
    pub kept: Kept,
    /// From when it is what.
    pub freshness: Freshness,
    /// At the publish.
    pub status: Status,
    /// Which source.
    pub source: &'static providers::Source,
    /// Whether another value waits for confirmation.
    pub held: bool,
}

/// A feed as it is served.
#[derive(Debug, Clone)]
pub struct ServedFeed {
    /// State behind it.
    pub state: Arc<FeedState>,
    /// That of the best source.
    pub status: Status,
    /// The best source, and from when it is what.
    pub best: Option<(&'static providers::Source, Freshness)>,
    /// In stable order.
    pub quotes: Vec<Served>,
}

/// The operator's settings of one feed, as its worker takes them.
#[derive(Debug, Clone)]
pub struct Tuning {
    /// All of them.
    pub config: config::Feed,
    /// Schedule and grace.
    pub rules: Rules,
    /// The feed's fixed offset from its due runs.
    pub offset: Duration,
    /// Of each source, whether it is asked.
    pub standings: BTreeMap<&'static str, Standing>,
}

impl FeedState {
    /// Takes settings over; what is kept stays.
    pub fn tune(&mut self, tuning: &Tuning, now: Timestamp) {
        self.rules = tuning.rules.clone();
        for source in &mut self.sources {
            if let Some(standing) = tuning.standings.get(source.source.id) {
                source.standing = standing.clone();
            }
            if let Some(own) = tuning.config.sources.get(source.source.id) {
                source.url = config::shown(&own.url);
            }
        }
        let was_paused = std::mem::replace(&mut self.paused, tuning.config.paused);
        if self.paused {
            self.failure = Some(paused());
        } else if was_paused {
            self.failure = None;
        }
        let due = self.rules.schedule.after(now).map(|due| later(due, tuning.offset));
        self.next_refresh_at = due.filter(|_| !self.paused);
        self.count_missed(now);
    }

    /// Whether a run was missed: nothing was read since the one that was due last, or the operator put a source above
    /// the others that was never asked.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        let asked = || self.sources.iter().filter(|source| source.standing == Standing::On);
        let checked =
            asked().flat_map(|source| source.kept.values()).map(|kept| kept.checked_at.min(now)).max();
        let missed = checked
            .is_none_or(|checked| self.rules.schedule.after(checked).is_some_and(|missed| missed <= now));
        !self.paused && (missed || asked().next().is_some_and(|source| source.last.is_none()))
    }

    /// Counts anew what did not come: after every run, and after a start.
    pub fn count_missed(&mut self, now: Timestamp) {
        self.missed = self.missed_runs(now, MOST_MISSED);
        self.missed_publishes = self.missed_boards(now);
    }

    /// Due runs since the last good answer that brought nothing, up to `most`; those of holidays do not count.
    #[must_use]
    pub fn missed_runs(&self, now: Timestamp, most: u32) -> u32 {
        let attempted = self.asked().filter_map(|source| source.last.as_ref()).map(|last| last.at).max();
        // A run that is due at this moment may be under way.
        let overdue =
            now.saturating_sub(SignedDuration::try_from(self.rules.stale_after).unwrap_or_default());
        let until = attempted.max(overdue.ok()).unwrap_or(now).min(now);
        let checked = self.asked().flat_map(|source| source.kept.values()).map(|kept| kept.checked_at).max();
        checked.map_or(0, |checked| self.rules.missed(checked, until, most))
    }

    /// Days since that of the newest board on which a new one was due and did not come.
    #[must_use]
    pub fn missed_boards(&self, now: Timestamp) -> u32 {
        let kept = self.asked().flat_map(|source| source.kept.values());
        let dated: Vec<&Kept> = kept.filter(|kept| kept.as_of.day().is_some()).collect();
        let day = dated.iter().filter_map(|kept| kept.as_of.day()).max();
        day.filter(|_| judge::is_daily(self.feed.kind))
            .map_or(0, |day| self.rules.missed_publishes(published_on(&dated, day), now))
    }

    fn asked(&self) -> impl Iterator<Item = &SourceState> {
        self.sources.iter().filter(|source| source.standing == Standing::On)
    }

    /// The candidate for a figure, where one waits.
    #[must_use]
    pub fn held(&self, key: &str) -> Option<&Held> {
        self.asked().find_map(|source| source.held.get(key)).filter(|held| !held.refused)
    }

    /// What is served of this feed at `now`.
    #[must_use]
    pub fn serve(self: &Arc<Self>, now: Timestamp) -> ServedFeed {
        // Values of one answer share their check time, and a due run is not cheap to find.
        let mut known: HashMap<Timestamp, Freshness> = HashMap::new();
        let mut freshness = |checked_at: Timestamp| {
            *known.entry(checked_at).or_insert_with(|| self.rules.freshness(checked_at))
        };
        let mut best: Option<(Status, Timestamp, &'static providers::Source, Freshness)> = None;
        let mut chosen: BTreeMap<&str, Served> = BTreeMap::new();
        for source in self.sources.iter().filter(|source| source.standing != Standing::Off) {
            if let Some(checked_at) = source.kept.values().map(|kept| kept.checked_at).max() {
                let until = freshness(checked_at);
                let status = until.status(now);
                if best.is_none_or(|(found, read, ..)| gives_way((found, read), (status, checked_at))) {
                    best = Some((status, checked_at, source.source, until));
                }
            }
            for (key, kept) in &source.kept {
                let until = freshness(kept.checked_at);
                let status = until.status(now);
                let kept = match chosen.get(key.as_str()) {
                    None => kept.clone(),
                    Some(found)
                        if gives_way((found.status, found.kept.checked_at), (status, kept.checked_at)) =>
                    {
                        after(found, kept)
                    }
                    Some(_) => continue,
                };
                let held = self.held(key).is_some();
                chosen.insert(key, Served { kept, freshness: until, status, source: source.source, held });
            }
        }
        let first_hand: Vec<String> = chosen
            .values()
            .filter(|served| served.source.via.is_none() && served.status == Status::Fresh)
            .map(|served| quantity(&served.kept.quote))
            .collect();
        let mut quotes: Vec<Served> = chosen
            .into_values()
            .filter(|served| {
                served.source.via.is_none() || !first_hand.contains(&quantity(&served.kept.quote))
            })
            .collect();
        quotes.sort_by_cached_key(|served| document::order(&served.kept.quote));
        ServedFeed {
            state: Arc::clone(self),
            status: best.map_or(Status::Unavailable, |(status, ..)| status),
            best: best.map(|(_, _, source, until)| (source, until)),
            quotes,
        }
    }
}

/// Where no place is asked for: the quote without one, then these.
pub const PLACES: &[Option<&str>] = &[None, Some("hanoi"), Some("hcm")];

/// Of several quotes of one figure the most current; among equals the first.
pub fn most_current<'a>(quotes: impl Iterator<Item = &'a Served>) -> Option<&'a Served> {
    quotes.fold(None, |best: Option<&Served>, next| match best {
        Some(best) if best.status <= next.status => Some(best),
        _ => Some(next),
    })
}

impl ServedFeed {
    /// The course of a quote's price.
    #[must_use]
    pub fn trend(&self, served: &Served) -> &[(Timestamp, Decimal)] {
        let source = self.state.sources.iter().find(|source| source.source.id == served.source.id);
        source.and_then(|source| source.trends.get(&served.kept.quote.key())).map_or(&[], Vec::as_slice)
    }

    /// The price of a gold product at a place; where none is asked for, the most current of those that there are.
    #[must_use]
    pub fn gold(&self, product: &str, place: Option<&str>) -> Option<&Served> {
        let asked = [place];
        let places = if place.is_some() { &asked } else { PLACES };
        most_current(places.iter().filter_map(|place| {
            self.quotes.iter().find(|served| {
                matches!(&served.kept.quote, Quote::Gold(gold) if gold.product == product && gold.place.as_deref() == *place)
            })
        }))
    }
}

/// Whether what was found at a source gives way to what a later one has: a fresh value never does; where none is
/// fresh, the one that was read last is served, so that values and times do not jump back.
fn gives_way(found: (Status, Timestamp), next: (Status, Timestamp)) -> bool {
    match (found.0, next.0) {
        (Status::Fresh, _) => false,
        (_, Status::Fresh) => true,
        _ => next.1 > found.1,
    }
}

/// A value that took over when the one before it was no longer fresh. If it had been read before that, readers saw
/// the change, if it is one, at that instant.
fn after(found: &Served, kept: &Kept) -> Kept {
    let took_over = found.freshness.fresh_until;
    if kept.changed_at >= took_over {
        return kept.clone();
    }
    if found.kept.quote.same_figures(&kept.quote) {
        let Kept { previous, fetched_at, changed_at, .. } = found.kept.clone();
        return Kept { previous, fetched_at, changed_at, ..kept.clone() };
    }
    Kept { previous: Some(found.kept.quote.clone()), changed_at: took_over, ..kept.clone() }
}

/// What a figure is of, whatever the place or channel: a stand-in is silent where the institution itself speaks.
fn quantity(quote: &Quote) -> String {
    match quote {
        Quote::Gold(gold) => gold.product.to_string(),
        Quote::Fx(_) => quote.key(),
        Quote::Deposit(deposit) => deposit.term.to_string(),
    }
}

/// Everything that is served, at one publish.
#[derive(Debug)]
pub struct Snapshot {
    /// By name: `board`, `gold`, `fx`, `deposits`, `feeds`, and the CSV twins `gold.csv`, `fx.csv`, `deposits.csv`.
    pub documents: BTreeMap<&'static str, Arc<Document>>,
    /// The feeds behind them, for widgets.
    pub feeds: Vec<ServedFeed>,
    /// By feed: when its own part of the lists last changed.
    pub editions: BTreeMap<&'static str, Edition>,
    /// Whether answers are recorded.
    pub recorded: bool,
    /// Number of the publish.
    pub version: i64,
    /// Its instant.
    pub at: Timestamp,
    /// Middle rates of the reference bank that have not expired.
    pub reference: HashMap<String, Decimal>,
}

/// The reference bank of plausibility.
const REFERENCE: &str = "vietcombank.fx";

impl Snapshot {
    /// Served feeds without documents: enough to judge by.
    #[must_use]
    pub fn of(feeds: Vec<ServedFeed>) -> Self {
        let reference = Self::reference(&feeds);
        Self {
            documents: BTreeMap::new(),
            feeds,
            editions: BTreeMap::new(),
            recorded: false,
            version: 0,
            at: Timestamp::UNIX_EPOCH,
            reference,
        }
    }

    fn reference(feeds: &[ServedFeed]) -> HashMap<String, Decimal> {
        feeds
            .iter()
            .filter(|feed| feed.state.feed.id == REFERENCE)
            .flat_map(|feed| &feed.quotes)
            .filter(|served| served.status < Status::Expired)
            .filter_map(|served| match &served.kept.quote {
                Quote::Fx(fx) if fx.variant.is_none() && fx.per == 1 => {
                    Some((fx.currency.to_string(), fx.buy_transfer.or(fx.sell).or(fx.buy_cash)?))
                }
                _ => None,
            })
            .collect()
    }
}

/// Where readers find the newest snapshot.
pub type Shared = Arc<ArcSwap<Snapshot>>;

/// The single writer.
pub struct Board {
    clock: Clock,
    store: Arc<Store>,
    recorded: bool,
    states: BTreeMap<usize, Arc<FeedState>>,
    published: BTreeMap<String, Published>,
    version: i64,
    /// When the run before this one published last.
    published_before: Option<Timestamp>,
    /// Tasks that shutdown waits for.
    tracker: TaskTracker,
    shared: Shared,
    versions: watch::Sender<i64>,
    /// Where several machines share the store.
    sharing: Option<Sharing>,
    /// From the first snapshot on.
    follower: Option<Follower>,
    /// Who is told what happened.
    live: Arc<Live>,
}

impl Board {
    /// Publishes the first snapshot from what the store kept.
    ///
    /// # Errors
    /// When the store cannot be read, or nothing can be published.
    pub async fn start(
        clock: Clock,
        store: Arc<Store>,
        recorded: bool,
        states: Vec<Arc<FeedState>>,
        tracker: TaskTracker,
    ) -> Result<Self, StartError> {
        let published: BTreeMap<String, Published> = store.documents().await?.into_iter().collect();
        let version = published.values().map(|published| published.version).max().unwrap_or(0);
        let published_before = published.values().map(|published| published.generated_at).max();
        let mut board = Self {
            clock,
            recorded,
            states: states.into_iter().map(|state| (position(state.feed.id), state)).collect(),
            published,
            version,
            published_before,
            shared: Arc::new(ArcSwap::from_pointee(Snapshot::of(Vec::new()))),
            versions: watch::Sender::new(version),
            follower: None,
            live: Arc::new(live_of(&store, &tracker).await),
            store,
            tracker,
            sharing: None,
        };
        if board.publish().await { Ok(board) } else { Err(StartError::FirstPublish) }
    }

    /// Shows what the replicas of a shared store have published, or what this machine has kept of it.
    ///
    /// # Errors
    /// When nothing can be shown.
    pub async fn start_shared(
        clock: Clock,
        store: Arc<Store>,
        publication: Publication,
        is_copy: bool,
        states: Vec<Arc<FeedState>>,
        tracker: TaskTracker,
    ) -> Result<Self, StartError> {
        let live =
            if is_copy { Live::empty(&store, tracker.clone()) } else { live_of(&store, &tracker).await };
        let mut board = Self {
            clock,
            follower: None,
            live: Arc::new(live),
            store,
            recorded: false,
            states: BTreeMap::new(),
            published: BTreeMap::new(),
            version: 0,
            published_before: Some(publication.at),
            shared: Arc::new(ArcSwap::from_pointee(Snapshot::of(Vec::new()))),
            versions: watch::Sender::new(0),
            tracker,
            sharing: Some(Sharing::new()),
        };
        board.adopt(publication, states).await;
        board.age().await;
        if board.shared.load().documents.is_empty() { Err(StartError::FirstPublish) } else { Ok(board) }
    }

    /// What is to be kept on this machine, whenever that is something else; `None`: the store is ours alone.
    #[must_use]
    pub fn copies(&self) -> Option<watch::Receiver<Option<Arc<Publication>>>> {
        self.sharing.as_ref().map(Sharing::copies)
    }

    /// The newest snapshot, for readers.
    #[must_use]
    pub fn shared(&self) -> Shared {
        Arc::clone(&self.shared)
    }

    /// Where values are kept.
    #[must_use]
    pub const fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The number of the newest publish that changed something, for those who want to know when there is one.
    #[must_use]
    pub fn versions(&self) -> watch::Receiver<i64> {
        self.versions.subscribe()
    }

    /// Who is told what happens.
    #[must_use]
    pub fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live)
    }

    /// When the run before this one published last; `None`: there was none.
    #[must_use]
    pub const fn published_before(&self) -> Option<Timestamp> {
        self.published_before
    }

    /// Publishes whenever a feed was refreshed or a status passes, until `stop`.
    pub async fn run(mut self, mut updates: mpsc::Receiver<Update>, stop: CancellationToken) {
        let mut answers = Vec::new();
        loop {
            let flip = self.next_flip();
            tokio::select! {
                update = updates.recv() => {
                    let Some(update) = update else { break };
                    answers.extend(self.take(update).await);
                    while let Ok(update) = updates.try_recv() {
                        answers.extend(self.take(update).await);
                    }
                }
                () = stop.cancelled() => break,
                // The clock of a replay may jump, so no sleep is long. One that stands is moved by somebody who says so.
                () = tokio::time::sleep(Duration::from_secs(1).min(self.until(flip))) => {
                    let passed = flip.is_some_and(|flip| self.clock.now() >= flip);
                    if self.clock.stands() || !(passed || self.is_waiting()) {
                        continue;
                    }
                }
            }
            // A publish that fails leaves the last snapshot, and the next one comes.
            if AssertUnwindSafe(self.publish()).catch_unwind().await.is_err() {
                tracing::error!("a publish panicked; the last snapshot stays");
            }
            for (sender, end) in answers.drain(..) {
                // Whoever asked may have gone.
                let _ = sender.send(end);
            }
        }
    }

    async fn take(&mut self, update: Update) -> Option<(oneshot::Sender<RunEnd>, RunEnd)> {
        match update.news {
            News::Turn(turn) => self.turn(turn).await,
            // The last word of a worker whose replica leads no more.
            News::State(_) | News::Gone(_) if !self.takes_states() => {}
            News::State(state) => {
                self.states.insert(position(state.feed.id), state);
                self.waits();
            }
            News::Gone(feed) => {
                self.states.remove(&position(feed));
                self.waits();
            }
            News::Clock => {}
        }
        update.answer
    }

    fn until(&self, flip: Option<Timestamp>) -> Duration {
        flip.map_or(Duration::MAX, |flip| self.clock.until(flip))
    }

    /// The next instant at which some status changes.
    fn next_flip(&self) -> Option<Timestamp> {
        let now = self.clock.now();
        // A passage that the last publish did not see is due now.
        passage(&self.shared.load()).map(|flip| flip.max(now))
    }

    /// Writes what was published on a task that outlives this wait: readers must not wait for a slow disk, and the
    /// store keeps in order what it could not write, since versions must not go back after a restart.
    async fn keep(&self, changed: Vec<(String, Published)>, events: Vec<Numbered>) {
        let store = Arc::clone(&self.store);
        store.push_publish(changed, events);
        let write = self.tracker.spawn(async move { store.flush().await });
        if tokio::time::timeout(DISK_PATIENCE, write).await.is_err() {
            tracing::error!("the store is slow; serving goes on from memory");
        }
    }

    /// What happened since the snapshot before, numbered.
    fn happened(&mut self, snapshot: &Arc<Snapshot>) -> Vec<Numbered> {
        match &mut self.follower {
            Some(follower) => numbered(snapshot.version, snapshot.at, &follower.step(Arc::clone(snapshot))),
            None => {
                self.follower = Some(Follower::new(Arc::clone(snapshot), self.published_before));
                Vec::new()
            }
        }
    }

    /// Whether it was published.
    async fn publish(&mut self) -> bool {
        if !self.has_own_store() {
            self.age().await;
            return !self.is_waiting() || self.commit().await;
        }
        let now = self.clock.now();
        let feeds: Vec<ServedFeed> = self.states.values().map(|state| state.serve(now)).collect();
        let (recorded, version) = (self.recorded, self.version + 1);
        let (published, last) = (self.published.clone(), self.shared.load_full());
        // Encoding takes milliseconds of work, for which the workers of other feeds need not wait.
        let written =
            tokio::task::spawn_blocking(move || write(feeds, recorded, version, now, &published, &last))
                .await;
        let Ok(written) = written else {
            tracing::error!("a publish panicked; the last snapshot stays");
            return false;
        };
        // Whatever happens changes a document.
        if !written.changed.is_empty() {
            self.version = version;
            self.published.extend(written.changed.iter().cloned());
        }
        let changed = written.changed.clone();
        let snapshot = drawn(written, self.recorded, self.version, now);
        let is_news = !changed.is_empty();
        let happened = if is_news || self.follower.is_none() { self.happened(&snapshot) } else { Vec::new() };
        if is_news {
            self.keep(changed, happened.clone()).await;
        }
        self.reveal(snapshot, happened);
        true
    }

    /// From now on this is what readers see, and what they are told.
    fn reveal(&mut self, snapshot: Arc<Snapshot>, happened: Vec<Numbered>) {
        let version = snapshot.version;
        self.shared.store(snapshot);
        self.live.tell(happened);
        self.versions.send_if_modified(|last| std::mem::replace(last, version) != version);
    }
}

/// What readers see of it.
fn drawn(written: Written, recorded: bool, version: i64, at: Timestamp) -> Arc<Snapshot> {
    let Written { documents, editions, feeds, .. } = written;
    let reference = Snapshot::reference(&feeds);
    Arc::new(Snapshot { documents, feeds, editions, recorded, version, at, reference })
}

/// Events are no reason not to serve: where they cannot be read, whoever comes back is told to begin anew.
async fn live_of(store: &Arc<Store>, tracker: &TaskTracker) -> Live {
    match Live::open(store, tracker.clone()).await {
        Ok(live) => live,
        Err(error) => {
            tracing::error!(%error, "the events of before cannot be read");
            Live::empty(store, tracker.clone())
        }
    }
}

/// A publish, encoded.
struct Written {
    documents: BTreeMap<&'static str, Arc<Document>>,
    editions: BTreeMap<&'static str, Edition>,
    /// Documents and feeds whose bytes are new.
    changed: Vec<(String, Published)>,
    feeds: Vec<ServedFeed>,
}

/// Encodes what changed; what did not is shared with the last snapshot.
fn write(
    feeds: Vec<ServedFeed>,
    recorded: bool,
    version: i64,
    now: Timestamp,
    published: &BTreeMap<String, Published>,
    last: &Snapshot,
) -> Written {
    let (mut documents, mut changed) = (BTreeMap::new(), Vec::new());
    let editions = feeds
        .iter()
        .map(|feed| {
            let (scope, own) = (Scope::Kind(feed.state.feed.kind), std::slice::from_ref(feed));
            let content = document::content(scope, own, recorded, &Filter::default());
            let name = format!("feed:{}", feed.state.feed.id);
            let of = last_change(&name, &content, version, now, published);
            let edition = Edition::of(&of, document::policy(scope, own));
            if published.get(&name) != Some(&of) {
                changed.push((name, of));
            }
            (feed.state.feed.id, edition)
        })
        .collect();
    let mut add = |(name, document, csv): Pages| {
        if published.get(name) != Some(&document.published) {
            changed.push((name.to_owned(), document.published.clone()));
        }
        documents.insert(name, document);
        documents.extend(csv);
    };
    let one = |entry: &Entry| write_one(entry, &feeds, recorded, version, now, published, last);
    if !last.documents.is_empty() {
        DOCUMENTS.iter().map(one).for_each(&mut add);
        return Written { documents, editions, changed, feeds };
    }
    // The first publish is what a start waits for: two halves of about the same size side by side.
    let (whole, kinds): (Vec<&Entry>, Vec<&Entry>) =
        DOCUMENTS.iter().partition(|(_, scope, _)| !matches!(scope, Scope::Kind(_)));
    std::thread::scope(|scope| {
        let beside = scope.spawn(|| whole.into_iter().map(one).collect::<Vec<_>>());
        kinds.into_iter().map(one).for_each(&mut add);
        match beside.join() {
            Ok(whole) => whole.into_iter().for_each(&mut add),
            // As if it had happened here.
            Err(panic) => std::panic::resume_unwind(panic),
        }
    });
    Written { documents, editions, changed, feeds }
}

/// The publish at which this content, known by its name, last changed: this one, unless it is what it was.
fn last_change(
    name: &str,
    content: &Content,
    version: i64,
    now: Timestamp,
    published: &BTreeMap<String, Published>,
) -> Published {
    let known = published.get(name).filter(|published| published.hash == content.hash);
    known.cloned().unwrap_or_else(|| Published { version, generated_at: now, hash: content.hash.clone() })
}

/// Name, scope, and the CSV twin.
type Entry = (&'static str, Scope, Option<&'static str>);
/// A document and its CSV twin, by name.
type Pages = (&'static str, Arc<Document>, Option<(&'static str, Arc<Document>)>);

fn write_one(
    (name, scope, csv): &Entry,
    feeds: &[ServedFeed],
    recorded: bool,
    version: i64,
    now: Timestamp,
    published: &BTreeMap<String, Published>,
    last: &Snapshot,
) -> Pages {
    let content = document::content(*scope, feeds, recorded, &Filter::default());
    let same = |document: &&Arc<Document>| document.published.hash == content.hash;
    if let Some(document) = last.documents.get(name).filter(same) {
        let csv = csv.and_then(|csv| Some((csv, Arc::clone(last.documents.get(csv)?))));
        return (name, Arc::clone(document), csv);
    }
    let published = last_change(name, &content, version, now, published);
    let document = document::finish(*scope, &content, &published, feeds);
    let csv = match (csv, scope) {
        (Some(csv), Scope::Kind(kind)) => {
            let encoded = Arc::new(document::csv_twin(*kind, feeds, &Filter::default()));
            Some((*csv, Arc::new(Document { encoded, published, policy: document.policy })))
        }
        _ => None,
    };
    (name, Arc::new(document), csv)
}

/// What a document is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// One kind of quote.
    Kind(Kind),
    /// The three sections.
    Board,
    /// Every feed and its sources.
    Feeds,
}

impl Scope {
    /// Whether a feed of this kind is in it.
    #[must_use]
    pub fn holds(self, kind: Kind) -> bool {
        match self {
            Self::Kind(own) => own == kind,
            Self::Board | Self::Feeds => true,
        }
    }
}

const DOCUMENTS: &[Entry] = &[
    ("board", Scope::Board, None),
    ("gold", Scope::Kind(Kind::Gold), Some("gold.csv")),
    ("fx", Scope::Kind(Kind::Fx), Some("fx.csv")),
    ("deposits", Scope::Kind(Kind::Deposit), Some("deposits.csv")),
    ("feeds", Scope::Feeds, None),
];

/// Where a feed stands in every list.
fn position(feed: &str) -> usize {
    providers::feeds().position(|(_, known)| known.id == feed).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use providers::AsOf;
    use rust_decimal::dec;

    use super::*;

    fn at(minute: &str) -> Timestamp {
        format!("2026-09-30T{minute}:00+07:00").parse().unwrap()
    }

    fn usd(sell: Decimal, read: &str, checked: &str) -> BTreeMap<String, Kept> {
        let quote = Quote::Fx(providers::Fx {
            currency: "USD".into(),
            variant: None,
            name: None,
            per: 1,
            buy_cash: None,
            buy_transfer: None,
            sell: Some(sell),
            sell_cash: None,
        });
        let kept = Kept {
            quote,
            previous: None,
            as_of: AsOf::Unstated,
            fetched_at: at(read),
            checked_at: at(checked),
            changed_at: at(read),
        };
        BTreeMap::from([("USD".to_owned(), kept)])
    }

    /// Due every ten minutes, 15 minutes of grace, an hour to expiry; the first source and the second.
    fn feed(first: BTreeMap<String, Kept>, second: BTreeMap<String, Kept>) -> Arc<FeedState> {
        let (institution, feed) = providers::feed("vietcombank.fx").unwrap();
        let source = |at: usize, kept| SourceState {
            source: &feed.sources[at],
            standing: Standing::On,
            url: String::new(),
            kept,
            last_keys: vec!["USD".to_owned()],
            sides: BTreeMap::new(),
            held: BTreeMap::new(),
            last: None,
            trends: BTreeMap::new(),
        };
        let rules = Rules {
            schedule: "*/10 * * * *".parse().unwrap(),
            stale_after: Duration::from_mins(15),
            expire_after: Duration::from_hours(1),
            calendar: Arc::default(),
        };
        let sources = vec![source(0, first), source(1, second)];
        Arc::new(FeedState {
            institution,
            feed,
            rules,
            paused: false,
            shown: BTreeMap::new(),
            sources,
            next_refresh_at: None,
            failure: None,
            missed: 0,
            missed_publishes: 0,
        })
    }

    #[test]
    fn a_standby_that_was_read_before_it_takes_over_changes_the_value_when_it_does() {
        // The first source was read last at 10:00 and is fresh until 10:25; the second was asked meanwhile.
        let state = feed(usd(dec!(26260), "09:00", "10:00"), usd(dec!(26240), "10:10", "10:20"));
        let before = &state.serve(at("10:24")).quotes[0];
        assert_eq!((before.source.id, before.kept.changed_at), ("json", at("09:00")));
        let after = &state.serve(at("10:25")).quotes[0];
        assert_eq!((after.source.id, after.kept.changed_at), ("xml", at("10:25")));
        assert!(after.kept.previous.as_ref().unwrap().same_figures(&before.kept.quote));

        let same = feed(usd(dec!(26260), "09:00", "10:00"), usd(dec!(26260), "10:10", "10:20"));
        assert_eq!(
            same.serve(at("10:25")).quotes[0].kept.changed_at,
            at("09:00"),
            "no change of value is none"
        );
    }

    #[test]
    fn where_no_source_is_fresh_the_one_that_was_read_last_stays() {
        let state = feed(usd(dec!(26260), "09:00", "10:00"), usd(dec!(26240), "10:10", "10:20"));
        for (now, status) in [("10:40", Status::Fresh), ("10:50", Status::Stale), ("12:00", Status::Expired)]
        {
            let served = state.serve(at(now));
            assert_eq!((served.quotes[0].source.id, served.status), ("xml", status), "{now}");
            assert_eq!(served.best.unwrap().0.id, "xml", "{now}");
        }
    }
}
