//! What exists, in which order it starts and in which it stops. Start: store → last board → listeners → staggered
//! first fetches. Stop: no new connections → drain → workers → board → store.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use providers::{Feed, Institution, Quote};
use tokio::sync::{mpsc, oneshot};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    board::{self, Board, FeedState, News, Rules, Shared, SourceState, Standing, Tuning, Update},
    clock::{Clock, Watch, rfc3339},
    config::{self, Config},
    control::Control,
    evidence::Evidence,
    fetch::{Fetcher, Live, Transport},
    host::Sockets,
    http::{
        self, Site,
        serve::{Front, Listener, Shown},
    },
    judge::hold,
    metrics::{Metrics, StoreTrouble},
    refresh::{FirstRound, Order, RunEnd, Shop, Terms},
    replay::{Replay, ReplayError},
    replica::{self, Replica},
    schedule::{Bells, Ringer},
    store::{self, Kept, Nature, Publication, Store, StoreError},
    watch,
    webhook::{Watched, Webhook},
};

/// Updates on their way to the board; workers wait when it is full.
const BOARD_QUEUE: usize = 64;
/// The clock of a replay is looked at this often.
const REPLAY_TICK: Duration = Duration::from_millis(200);
/// The system's clock is compared with one that nobody sets this often.
const CLOCK_LOOK: Duration = Duration::from_secs(1);
/// Seconds by which a clock does not drift in that time.
const CLOCK_STEP: i64 = 5;
/// Buckets of clients are looked through this often.
const TIDY: Duration = Duration::from_mins(1);
/// A little more than the listeners' own drain.
const SERVERS_STOP: Duration = Duration::from_secs(12);
/// How long workers may take to notice that they should stop.
const WORKERS_STOP: Duration = Duration::from_secs(5);

/// Why the service does not start; one sentence each.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The recordings.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// An address.
    #[error("cannot listen on {address} ({key}): {why}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Where it was set.
        key: &'static str,
        /// The operating system's reason.
        why: String,
    },
    /// The board.
    #[error("the board cannot be published; the log says why")]
    FirstPublish,
    /// The system.
    #[error("cannot start a serving thread: {0}")]
    Threads(std::io::Error),
    /// A listening socket.
    #[error("a listening socket cannot be used twice: {0}")]
    Sockets(std::io::Error),
    /// The process before us.
    #[error("the process that hands over does not close the store: {0}")]
    HandOver(String),
    /// The scheduler.
    #[error("the scheduler does not start: {0}")]
    Scheduler(String),
}

/// Live sources, or recordings.
#[derive(Clone, Default)]
pub enum Mode {
    /// Over the network.
    #[default]
    Live,
    /// Built-in recordings, or those of a folder.
    Replay(Option<PathBuf>),
    /// By a clock and a transport in somebody's hand: a day that passes in seconds. Nothing runs but what is asked for.
    Simulated(Clock, Arc<dyn Transport>),
}

/// A running service.
pub struct App {
    /// Where the API and the widgets are.
    pub public: SocketAddr,
    /// Where health is.
    pub ops: SocketAddr,
    snapshot: Shared,
    site: Arc<Site>,
    store: Arc<Store>,
    control: Arc<Control>,
    updates: mpsc::Sender<Update>,
    /// Copies of the listeners' sockets, for whoever comes after us.
    bound: Option<(TcpListener, TcpListener)>,
    stop_ringing: CancellationToken,
    stop_listening: CancellationToken,
    stop_ops: CancellationToken,
    stop_working: CancellationToken,
    stop_board: CancellationToken,
    ops_server: TaskTracker,
    servers: TaskTracker,
    workers: TaskTracker,
    board: TaskTracker,
}

impl App {
    /// Starts everything.
    ///
    /// # Errors
    /// [`StartError`]
    pub async fn start(config: Config, mode: Mode) -> Result<Self, StartError> {
        Self::start_on(config, mode, Sockets::default()).await
    }

    /// Starts everything; what is not among the sockets is bound.
    ///
    /// # Errors
    /// [`StartError`]
    pub async fn start_on(config: Config, mode: Mode, sockets: Sockets) -> Result<Self, StartError> {
        let metrics = Arc::new(Metrics::new());
        let (fetcher, clock, nature) = sources(mode, &config, &metrics)?;
        // Beside the store's first reads.
        let api = tokio::task::spawn_blocking(|| http::api::routes().split_for_parts().0);
        let recorded = nature == Nature::Recorded;
        let store = open(&config, nature).await?;

        let (public, ops) = listeners(&config.server, sockets).await?;
        let bound =
            Some((public.copy().map_err(StartError::Sockets)?, ops.copy().map_err(StartError::Sockets)?));
        let (tracker, renders) = (TaskTracker::new(), TaskTracker::new());
        let (board, states) = Box::pin(first_board(&config, &store, &clock, recorded, &tracker)).await?;
        let copies = board.copies();
        let snapshot = board.shared();
        metrics.watch_board(Arc::clone(&snapshot), clock.clone());
        watch_store(&metrics, &store);
        let live = board.live();
        metrics.watch_streams(live.tally());
        // Stops with the board, so that what the last runs bring is told too.
        let [stop_ringing, stop_listening, stop_working, stop_board, stop_ops] =
            std::array::from_fn(|_| CancellationToken::new());
        let watched = Watched::of(&board, &clock, &metrics);
        let webhook = Webhook::start(&config, watched, &tracker, stop_board.clone());
        let (updates, inbox) = mpsc::channel(BOARD_QUEUE);
        let site = Arc::new(Site::new(
            Arc::clone(&snapshot),
            clock.clone(),
            &config,
            Arc::clone(&metrics),
            http::Kept::new(&store, Arc::clone(&live), &config, &renders),
            renders.clone(),
        ));
        let (servers, workers) = (TaskTracker::new(), TaskTracker::new());
        tracker.spawn(board.run(inbox, stop_board.clone()));
        let api = api.await.unwrap_or_else(|_| http::api::routes().split_for_parts().0);
        let front: Shown = Arc::new(ArcSwap::from_pointee(Front::public(api, &site)));
        let (public_address, ops_address) = (public.address, ops.address);
        public.serve_on_threads(&front, &stop_listening, &servers).map_err(StartError::Threads)?;
        tracing::info!("public listener on http://{public_address}");
        tracing::info!("ops listener on http://{ops_address}");

        let evidence = Arc::new(Evidence::of(&config, recorded));
        servers.spawn(Arc::clone(&evidence).tidy(clock.clone(), stop_listening.clone()));
        let shop = Arc::new(Shop {
            clock: clock.clone(),
            fetcher,
            store: Arc::clone(&store),
            terms: ArcSwap::from_pointee(Terms::of(&config)),
            metrics,
            evidence,
            tracker: workers.clone(),
            snapshot: Arc::clone(&snapshot),
            board: updates.clone(),
            first_round: FirstRound::new(enabled(&config).count()),
        });
        let sharing = config.store.clone();
        let backups = config.store.backups();
        let is_watched = config.inputs.file.as_ref().is_some_and(|file| file.exists());
        let control =
            Control::new(config, shop, webhook, Arc::clone(&front), stop_working.clone(), renders).await;
        control.start(states);
        if let Some(copies) = copies {
            let seen = copies.borrow().as_ref().map_or(-1, |publication| publication.version);
            let (own, tuned) = (Arc::clone(&store), Arc::clone(&control));
            let replica =
                Replica::new(own, tuned, (updates.clone(), Arc::clone(&live)), sharing.lease.0, seen);
            workers.spawn(replica.run(stop_working.clone()));
            sharing.local_copy.map(|file| tracker.spawn(replica::copy(file, copies, stop_board.clone())));
        }
        start_ringing(&control, &clock, &workers, [&stop_working, &stop_ringing]).await?;
        let ops_server = TaskTracker::new();
        ops_server.spawn(ops.serve(ops_front(&site, &control), stop_ops.clone()));
        if is_watched && !clock.stands() {
            servers.spawn(watch::follow(Arc::clone(&control), stop_listening.clone()));
        }
        servers.spawn(tidy_buckets(front, stop_listening.clone()));
        servers.spawn(live.beat(stop_listening.clone()));
        workers.spawn(Arc::clone(&store).tend(backups, stop_working.clone()));
        if !clock.stands() {
            workers.spawn(retain(Arc::clone(&store), clock, Arc::clone(&control), stop_working.clone()));
        }
        Ok(Self {
            public: public_address,
            ops: ops_address,
            snapshot,
            site,
            store,
            control,
            updates,
            bound,
            stop_ringing,
            stop_listening,
            stop_ops,
            stop_working,
            stop_board,
            ops_server,
            servers,
            workers,
            board: tracker,
        })
    }

    /// The operator's hand.
    #[must_use]
    pub fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// The values behind what is served, for health and metrics.
    #[must_use]
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// What is served now.
    #[must_use]
    pub fn snapshot(&self) -> Shared {
        Arc::clone(&self.snapshot)
    }

    /// Who is told of events.
    #[must_use]
    pub fn webhook(&self) -> &Webhook {
        self.control.webhook()
    }

    /// What the listeners served from at the start.
    #[must_use]
    pub fn site(&self) -> &Arc<Site> {
        &self.site
    }

    /// Runs a feed now and waits until what it brought is published; `None`: there is no such feed.
    pub async fn refresh(&self, feed: &str) -> Option<RunEnd> {
        self.control.order(feed, Order::Run).await
    }

    /// Serves a held value, or refuses it for as long as its source says the same. Failed with `not_held` where
    /// nothing waits under this key (the id without the feed's).
    pub async fn decide(&self, feed: &str, key: &str, accept: bool) -> Option<RunEnd> {
        let key = key.to_owned();
        self.control.order(feed, if accept { Order::Accept(key) } else { Order::Refuse(key) }).await
    }

    /// Publishes what the clock has brought about: for one that is moved by hand.
    pub async fn look_at_the_clock(&self) {
        let (sender, seen) = oneshot::channel();
        let update = Update { news: News::Clock, answer: Some((sender, RunEnd::Good)) };
        if self.updates.send(update).await.is_ok() {
            // Whoever stops the board meanwhile has no more use for it.
            let _ = seen.await;
        }
    }

    /// The sockets that this service listens on.
    ///
    /// # Errors
    /// The operating system's.
    pub fn sockets(&self) -> std::io::Result<Sockets> {
        Sockets::of(self.bound.as_ref())
    }

    /// Stops in order.
    pub async fn stop(mut self) {
        // As long as one copy is open, connections come that nobody takes.
        drop(self.bound.take());
        // Whoever balances load sees it while the last readers are answered.
        self.site.draining.store(true, Ordering::Relaxed);
        self.stop_ringing.cancel();
        self.stop_listening.cancel();
        ended(&self.servers).await;
        self.stop_ops.cancel();
        ended(&self.ops_server).await;
        self.stop_work().await;
        tracing::info!("stopped");
    }

    /// Stops everything but serving: from now on what is served stays as it is, and the store is anybody's.
    pub async fn rest(self) -> Resting {
        self.stop_work().await;
        Resting {
            stop_listening: [self.stop_listening, self.stop_ops],
            servers: [self.servers, self.ops_server],
            bound: self.bound,
        }
    }

    async fn stop_work(&self) {
        self.stop_ringing.cancel();
        self.stop_working.cancel();
        self.workers.close();
        if tokio::time::timeout(WORKERS_STOP, self.workers.wait()).await.is_err() {
            tracing::warn!("some worker did not stop in time");
        }
        self.stop_board.cancel();
        self.board.close();
        self.board.wait().await;
        self.store.close().await;
    }
}

/// A service that only serves, from memory, until another one has taken its place.
pub struct Resting {
    stop_listening: [CancellationToken; 2],
    servers: [TaskTracker; 2],
    bound: Option<(TcpListener, TcpListener)>,
}

impl Resting {
    /// The sockets that it listens on.
    ///
    /// # Errors
    /// The operating system's.
    pub fn sockets(&self) -> std::io::Result<Sockets> {
        Sockets::of(self.bound.as_ref())
    }

    /// Answers who is there, and ends.
    pub async fn stop(mut self) {
        drop(self.bound.take());
        self.stop_listening.iter().for_each(CancellationToken::cancel);
        let [public, ops] = &self.servers;
        tokio::join!(ended(public), ended(ops));
        tracing::info!("stopped");
    }
}

async fn ended(servers: &TaskTracker) {
    servers.close();
    if tokio::time::timeout(SERVERS_STOP, servers.wait()).await.is_err() {
        tracing::warn!("some connection did not end in time");
    }
}

/// What the operator's listener answers with.
fn ops_front(site: &Arc<Site>, control: &Arc<Control>) -> Shown {
    let router = http::ops(Arc::clone(site), Arc::clone(control));
    let front = Front { quick: None, router, mount: "".into(), tally: site.metrics.ops() };
    Arc::new(ArcSwap::from_pointee(front))
}

/// Hangs a feed's bells where somebody rings them: by the system's clock, or by that of a replay.
async fn start_ringing(
    control: &Arc<Control>,
    clock: &Clock,
    workers: &TaskTracker,
    [stop_working, stop_ringing]: [&CancellationToken; 2],
) -> Result<(), StartError> {
    let ringing = Arc::clone(control.bells());
    if control.shop().fetcher.is_replay() {
        workers.spawn(ring_by_clock(clock.clone(), ringing, stop_working.clone()));
    } else if !clock.stands() {
        let ringer =
            Ringer::start(&ringing).await.map_err(|error| StartError::Scheduler(error.to_string()))?;
        workers.spawn(ring(ringer, ringing, clock.clone(), stop_ringing.clone()));
    }
    Ok(())
}

/// Who is asked, by which clock, and what such answers are.
fn sources(
    mode: Mode,
    config: &Config,
    metrics: &Arc<Metrics>,
) -> Result<(Fetcher, Clock, Nature), StartError> {
    Ok(match mode {
        Mode::Live => {
            let clock = Clock::system();
            let live = Live::new(&config.fetch, clock.clone()).with_metrics(Arc::clone(metrics));
            (Fetcher::Live(live), clock, Nature::Live)
        }
        Mode::Replay(folder) => {
            let replay = match folder {
                Some(folder) => Replay::from_folder(&folder)?,
                None => Replay::built_in()?,
            };
            let clock = replay.clock();
            (Fetcher::Replay(replay), clock, Nature::Recorded)
        }
        Mode::Simulated(clock, transport) => (Fetcher::Simulated(transport), clock, Nature::Live),
    })
}

fn watch_store(metrics: &Metrics, store: &Arc<Store>) {
    let watched = Arc::clone(store);
    metrics.watch_store(move || StoreTrouble {
        errors: watched.errors(),
        waiting: u64::try_from(watched.waiting()).unwrap_or(u64::MAX),
        set_aside_at: watched.recovered().map_or(0, |recovery| recovery.at.as_second()),
        epoch: watched.is_shared().then(|| watched.epoch().unwrap_or(0)),
    });
}

async fn listeners(server: &config::Server, sockets: Sockets) -> Result<(Listener, Listener), StartError> {
    let open = async |socket: Option<TcpListener>, address: SocketAddr, key| {
        let listener = match socket {
            Some(socket) => Listener::of(socket),
            None => Listener::bind(address).await,
        };
        listener.map_err(|error| StartError::Listen { address, key, why: error.to_string() })
    };
    Ok((
        open(sockets.public, server.listen, "server.listen").await?,
        open(sockets.ops, server.ops_listen, "server.ops_listen").await?,
    ))
}

async fn open(config: &Config, nature: Nature) -> Result<Arc<Store>, StoreError> {
    if store::is_shared(&config.store.url) && nature == Nature::Recorded {
        return Err(StoreError::NotShared);
    }
    Ok(Arc::new(Store::open_or_recover(&config.store.url, nature, config.store.on_corrupt).await?))
}

/// The board from what the store holds, and the states of the feeds that are asked from here. Damage that only shows when
/// the rows are read is treated like any other, once. Replicas begin with what is published, or with what this machine has
/// kept of it, and ask nobody until they lead.
async fn first_board(
    config: &Config,
    store: &Arc<Store>,
    clock: &Clock,
    recorded: bool,
    tracker: &TaskTracker,
) -> Result<(Board, Vec<(FeedState, bool)>), StartError> {
    let (clock_of_board, own) = (clock.clone(), Arc::clone(store));
    if store.is_shared() {
        let file = config.store.local_copy.as_deref();
        // One that was away a moment ago is not waited for once more.
        let found = if store.is_away() { None } else { store.publication(-1).await.ok() };
        let is_copy = found.is_none();
        let mut publication = found.unwrap_or_else(|| {
            let kept = file.and_then(replica::kept);
            let at = kept.as_ref().map_or_else(|| "nothing".to_owned(), |kept| rfc3339(kept.at));
            tracing::warn!(kept = at, "the shared store is away; this machine's own copy is served");
            kept
        });
        // Nothing is published yet; what was brought along from another store counts on.
        let mut documents = Vec::new();
        if publication.is_none() && !is_copy {
            documents = store.documents().await.unwrap_or_default();
            // Or somebody published between the two questions: a version is never shown without its board.
            match store.publication(-1).await {
                Ok(found) => publication = found,
                Err(_) => documents.clear(),
            }
        }
        let states = board::shared_states(config, publication.as_ref(), false);
        let first = publication.unwrap_or_else(|| {
            let version = documents.iter().map(|(_, published)| published.version).max().unwrap_or(0);
            Publication { version, at: clock.now(), documents, ..Publication::default() }
        });
        let board = Board::start_shared(clock_of_board, own, first, is_copy, states, tracker.clone()).await?;
        return Ok((board, Vec::new()));
    }
    let states = match load_states(config, store, clock, recorded).await {
        Err(error) if error.is_damage() => {
            store.recover(&error.to_string()).await?;
            load_states(config, store, clock, recorded).await?
        }
        states => states?,
    };
    let shown = states.iter().map(|(state, _)| Arc::new(state.clone())).collect();
    let board = Board::start(clock_of_board, own, recorded, shown, tracker.clone()).await?;
    Ok((board, states))
}

/// The state of each enabled feed as the store left it, and whether a run was missed meanwhile.
///
/// # Errors
/// When the store cannot be read.
pub async fn load_states(
    config: &Config,
    store: &Store,
    clock: &Clock,
    recorded: bool,
) -> Result<Vec<(FeedState, bool)>, StoreError> {
    let mut states = Vec::new();
    for (_, feed, _) in enabled(config) {
        states.extend(load_state(config, feed, store, clock, recorded).await?);
    }
    Ok(states)
}

/// The state of one feed; `None`: it is not enabled.
///
/// # Errors
/// When the store cannot be read.
pub async fn load_state(
    config: &Config,
    feed: &'static Feed,
    store: &Store,
    clock: &Clock,
    recorded: bool,
) -> Result<Option<(FeedState, bool)>, StoreError> {
    let Some((institution, tuning)) = enabled(config)
        .find(|(_, known, _)| known.id == feed.id)
        .and_then(|(institution, feed, _)| Some((institution, tuning(config, feed, recorded)?)))
    else {
        return Ok(None);
    };
    let now = clock.now();
    let mut sources = Vec::new();
    for source in feed.sources {
        let Some(own) = tuning.config.sources.get(source.id) else { continue };
        let kept = store.source(feed.id, source.id).await?;
        let standing = tuning.standings.get(source.id).cloned().unwrap_or(Standing::Off);
        let mut state = SourceState {
            source,
            standing,
            url: config::shown(&own.url),
            kept: kept.quotes.into_iter().map(|kept| (kept.quote.key(), kept)).collect(),
            last_keys: kept.last_keys,
            sides: BTreeMap::new(),
            held: store.held(feed.id, source.id).await?,
            last: kept.last,
            trends: BTreeMap::new(),
        };
        let last = |kept: &Kept| hold::remembered(&kept.quote, kept.previous.as_ref());
        state.sides = state.kept.iter().map(|(key, kept)| (key.clone(), last(kept))).collect();
        load_trends(&mut state, feed.id, store, now).await?;
        sources.push(state);
    }
    // Why the last run before the stop brought nothing is still why nothing is here.
    let asked = || sources.iter().filter_map(|source| source.last.as_ref());
    let failure = if asked().any(|last| last.reason.is_none()) {
        None
    } else {
        asked().find_map(|last| last.reason.clone())
    };
    let mut state = FeedState {
        institution,
        feed,
        rules: tuning.rules.clone(),
        paused: false,
        shown: load_shown(feed, &sources, store).await?,
        sources,
        next_refresh_at: None,
        failure,
        missed: 0,
        missed_publishes: 0,
    };
    state.tune(&tuning, now);
    let due = !state.paused && (recorded || state.is_due(now));
    if due {
        state.next_refresh_at = Some(now);
    }
    Ok(Some((state, due)))
}

/// The operator's settings of a feed; `None`: it is not enabled.
#[must_use]
pub fn tuning(config: &Config, feed: &'static Feed, recorded: bool) -> Option<Tuning> {
    let settings = config.feeds.get(feed.id)?;
    let standing = |source: &'static providers::Source| {
        let own = settings.sources.get(source.id)?;
        let standing = match source.secret {
            _ if !own.enabled => Standing::Off,
            Some(secret) if config.secrets.get(secret).is_none() => Standing::Skipped(secret),
            _ => Standing::On,
        };
        Some((source.id, standing))
    };
    Some(Tuning {
        config: settings.clone(),
        rules: Rules {
            schedule: settings.schedule.clone(),
            stale_after: settings.stale_after.0,
            expire_after: settings.expire_after.0,
            calendar: Arc::new(config.calendar.clone()),
        },
        offset: offset(feed.id, settings, recorded),
        standings: feed.sources.iter().filter_map(standing).collect(),
    })
}

/// What the history of each quote ends with.
async fn load_shown(
    feed: &Feed,
    sources: &[SourceState],
    store: &Store,
) -> Result<BTreeMap<String, Quote>, StoreError> {
    let quotes = sources.iter().flat_map(|source| source.kept.values()).map(|kept| kept.quote.id(feed.id));
    let ids: Vec<String> = quotes.collect::<BTreeSet<_>>().into_iter().collect();
    let last = store.in_force(&ids, i64::MAX).await?.into_values();
    Ok(last.map(|(change, _)| (change.quote.key(), change.quote)).collect())
}

/// The course of each price that is drawn, from the changes that the store kept.
async fn load_trends(
    state: &mut SourceState,
    feed: &str,
    store: &Store,
    now: Timestamp,
) -> Result<(), StoreError> {
    let since = now.saturating_sub(board::TREND).unwrap_or(Timestamp::MIN);
    let drawn = state.kept.values().filter(|kept| board::trend_price(&kept.quote).is_some());
    let ids: Vec<String> = drawn.map(|kept| kept.quote.id(feed)).collect();
    for id in ids {
        for (quote, at) in store.changes_since(&id, state.source.id, since).await? {
            state.extend_trend(&quote, at);
        }
    }
    // Days that were read after the fact may say something else than what is served, or come after it: a course ends
    // with the price that stands beside it.
    for (key, kept) in &state.kept {
        let (Some(trend), Some(price)) = (state.trends.get_mut(key), board::trend_price(&kept.quote)) else {
            continue;
        };
        trend.retain(|(at, _)| *at <= kept.checked_at);
        if trend.last().is_some_and(|(_, last)| *last != price) {
            trend.push((kept.checked_at, price));
        }
    }
    Ok(())
}

/// Enabled feeds in document order.
pub fn enabled(
    config: &Config,
) -> impl Iterator<Item = (&'static Institution, &'static Feed, &config::Feed)> {
    providers::feeds().filter_map(|(institution, feed)| Some((institution, feed, config.feeds.get(feed.id)?)))
}

/// The feed's fixed offset from its due runs: a hash of its name, so that it is the same after every restart, mod
/// `jitter`. Jitter longer than the schedule's interval counts as that: no offset may reach the next run.
#[must_use]
pub fn offset(feed: &str, settings: &config::Feed, recorded: bool) -> Duration {
    match settings.jitter.0.min(settings.schedule.shortest_interval()).as_secs() {
        0 => Duration::ZERO,
        _ if recorded => Duration::ZERO,
        seconds => Duration::from_secs(xxh3_64(feed.as_bytes()) % seconds),
    }
}

/// Drops old changes as the configuration in force asks for, until `stop`.
async fn retain(store: Arc<Store>, clock: Clock, control: Arc<Control>, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = store.retain_daily(&clock, || control.config().history) => {}
    }
}

/// Forgets clients that have not cost anything for a while.
async fn tidy_buckets(front: Shown, stop: CancellationToken) {
    while tokio::time::timeout(TIDY, stop.cancelled()).await.is_err() {
        if let Some(site) = &front.load().quick {
            site.limiter.tidy();
            site.looks.tidy();
        }
    }
}

/// Rings until `stop`, by the schedules that hang at the moment. The scheduler sleeps until what the system's clock called
/// the next run: when that clock is set, it begins anew, and every feed is asked, whose times may have come to lie in the
/// future.
async fn ring(mut ringer: Ringer, bells: Arc<Bells>, clock: Clock, stop: CancellationToken) {
    let mut watch = Watch::new(&clock);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = bells.changed() => {
                match ringer.follow(&bells, Some(&clock)).await {
                    Ok(()) => continue,
                    Err(error) => tracing::error!(%error, "the scheduler does not follow; it begins anew"),
                }
            }
            () = tokio::time::sleep(CLOCK_LOOK) => {
                let off = watch.step(&clock);
                if off.abs() < CLOCK_STEP {
                    continue;
                }
                tracing::warn!(
                    seconds = off,
                    "the clock was set; every feed is asked, and due runs are reckoned anew"
                );
                bells.ring_all();
            }
        }
        ringer.stop().await;
        ringer = loop {
            match Ringer::start(&bells).await {
                Ok(ringer) => break ringer,
                Err(error) => tracing::error!(%error, "the scheduler does not start"),
            }
            if tokio::time::timeout(CLOCK_LOOK, stop.cancelled()).await.is_ok() {
                return;
            }
        };
    }
    ringer.stop().await;
}

/// Rings by the clock of a replay, which the scheduler does not know.
async fn ring_by_clock(clock: Clock, bells: Arc<Bells>, stop: CancellationToken) {
    let mut seen = clock.now();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(REPLAY_TICK) => {}
        }
        let now = clock.now();
        for (schedule, bell) in bells.hung().values() {
            if schedule.after(seen).is_some_and(|due| due <= now) {
                bell.notify_one();
            }
        }
        seen = now;
    }
}
