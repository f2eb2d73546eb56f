//! The operator's hand on the running service: the configuration read again, schedules changed, feeds paused, asked at once,
//! held values decided on. One change at a time, each applied whole or refused whole; no cached value is lost by any of
//! them, and each is noted. It knows no HTTP: `http/admin.rs` and the signals call it.

use std::{
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    app,
    board::{FeedState, News, Tuning, Update},
    config::{Change, Config, ConfigError, Console, Origin},
    http::{
        self, Site,
        serve::{Front, Shown},
    },
    judge::hold::Held,
    refresh::{Order, Reins, RunEnd, Shop, Terms, Worker},
    schedule::Bells,
    store::Act,
    webhook::Webhook,
};

/// First fetches are this far apart, and the last one still starts within two seconds.
const STAGGER: Duration = Duration::from_millis(150);
/// A source is not asked on request more often than this, whoever asks.
pub const COOL_DOWN: Duration = Duration::from_secs(10);
/// How long a feed that is switched off may take to end its run.
const WORKER_STOP: Duration = Duration::from_secs(2);
/// How long files may take to be read.
const READING: Duration = Duration::from_secs(5);
/// So many acts are at hand.
const ACTS: u32 = 200;
/// Letters of what an act is about.
const LONGEST_TARGET: usize = 200;
/// Letters of what stood before, and of what stands now.
const LONGEST_VALUE: usize = 4000;
/// Serving does not wait longer than this for the disk.
const DISK_PATIENCE: Duration = Duration::from_secs(1);
/// What is bound, opened or locked at the start, and can only be changed by another start.
const FIXED: [&str; 4] = ["server.listen", "server.ops_listen", "store.", "admin.overrides"];

/// The way in by which somebody acted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// The page at `/admin`.
    Console,
    /// The JSON beside it.
    Api,
    /// SIGHUP.
    Signal,
    /// A file that changed.
    File,
}

impl Via {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Console => "console",
            Self::Api => "api",
            Self::Signal => "signal",
            Self::File => "file",
        }
    }
}

/// Why an act was refused; nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such feed, or it is switched off.
    #[error("there is no feed {feed}; allowed are {}", allowed.join(", "))]
    NoFeed {
        /// What was asked for.
        feed: String,
        /// Those that there are.
        allowed: Vec<&'static str>,
    },
    /// The configuration would be wrong.
    #[error(transparent)]
    Invalid(#[from] ConfigError),
    /// Somebody set it where the console cannot reach.
    #[error("{key} is set by {origin}, which stands above the console; change it there")]
    Above {
        /// Which key.
        key: String,
        /// Where it is set.
        origin: Origin,
    },
    /// Changes for good have no place.
    #[error(
        "there is no file for changes for good: the store is in memory or admin.overrides is \"off\"; change it for now"
    )]
    NoPlace,
    /// That place cannot be written.
    #[error("{} cannot be written: {why}; nothing was changed", file.display())]
    NotKept {
        /// The file.
        file: PathBuf,
        /// The operating system's reason.
        why: String,
    },
    /// Nothing waits there.
    #[error("nothing is held at {quote}; {}", if held.is_empty() { "no value is held at all".to_owned() } else { format!("held are {}", held.join(", ")) })]
    NotHeld {
        /// What was asked for.
        quote: String,
        /// What is held.
        held: Vec<String>,
    },
    /// It was asked on request a moment ago.
    #[error("{feed} was asked on request less than {} s ago; wait {seconds} s", COOL_DOWN.as_secs())]
    CoolingDown {
        /// Which feed.
        feed: String,
        /// How long to wait.
        seconds: u64,
    },
    /// The store does not give what a feed needs that is switched on.
    #[error("the store cannot be read: {0}")]
    Store(String),
    /// Another replica asks the sources.
    #[error("this replica follows; {}", leader.as_ref().map_or_else(|| "nobody leads at the moment".to_owned(), |leader| format!("ask the one that leads: {leader}")))]
    Follows {
        /// Its name in the lease.
        leader: Option<String>,
    },
    /// What is served is kept nowhere.
    #[error("the store is in memory, and a successor would have nothing to serve")]
    NothingToHandOver,
    /// The service is stopping.
    #[error("the service is stopping")]
    Stopping,
}

/// How the configuration was read the last time.
#[derive(Debug, Clone)]
pub struct Reload {
    /// When.
    pub at: Timestamp,
    /// What changed, or why it was refused.
    pub result: Result<Vec<Change>, Refusal>,
}

/// A feed's worker and what leads it.
struct Hand {
    reins: Reins,
    bell: Arc<Notify>,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

/// A run on request: whoever comes meanwhile waits for the same one.
enum Visit {
    Running(watch::Receiver<Option<RunEnd>>),
    Ended(Instant),
}

/// What the operator can do.
pub struct Control {
    shop: Arc<Shop>,
    webhook: Webhook,
    front: Shown,
    bells: Arc<Bells>,
    hands: Mutex<BTreeMap<&'static str, Hand>>,
    visits: Mutex<BTreeMap<&'static str, Visit>>,
    acts: Mutex<VecDeque<Act>>,
    current: ArcSwap<Config>,
    last: ArcSwap<Reload>,
    /// Whoever changes something holds it.
    changing: tokio::sync::Mutex<()>,
    /// Of a replica: rung when settings have changed.
    tuned: Notify,
    /// Of a replica: whether it has workers.
    leads: AtomicBool,
    stop_working: CancellationToken,
    renders: TaskTracker,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Control {
    /// Over a service that is being started.
    pub async fn new(
        config: Config,
        shop: Arc<Shop>,
        webhook: Webhook,
        front: Shown,
        stop_working: CancellationToken,
        renders: TaskTracker,
    ) -> Arc<Self> {
        // They are shown, nothing rests on them: a damaged page among them is no reason not to serve.
        let acts = shop.store.acts(ACTS).await.unwrap_or_else(|error| {
            tracing::error!(%error, "the acts of before cannot be read");
            Vec::new()
        });
        let last = Reload { at: shop.clock.now(), result: Ok(Vec::new()) };
        shop.metrics.reloaded(true, last.at);
        Arc::new(Self {
            shop,
            webhook,
            front,
            bells: Arc::default(),
            hands: Mutex::default(),
            visits: Mutex::default(),
            acts: Mutex::new(acts.into()),
            current: ArcSwap::from_pointee(config),
            last: ArcSwap::from_pointee(last),
            changing: tokio::sync::Mutex::default(),
            tuned: Notify::new(),
            leads: AtomicBool::new(false),
            stop_working,
            renders,
        })
    }

    /// Starts the workers, those that are due one after the other.
    pub fn start(&self, states: Vec<(FeedState, bool)>) {
        for (at, (state, due)) in (0..).zip(states) {
            let first = due
                .then(|| if self.shop.fetcher.is_replay() { Duration::ZERO } else { STAGGER * at })
                .filter(|_| !self.shop.clock.stands());
            let config = self.current.load();
            self.start_worker(&config, state, first);
        }
    }

    /// The same, of a replica that has come to lead.
    pub fn lead(&self, states: Vec<(FeedState, bool)>) {
        self.leads.store(true, Ordering::Release);
        self.start(states);
    }

    /// No feed is asked any more.
    pub async fn stop_workers(&self) {
        self.leads.store(false, Ordering::Release);
        let feeds: Vec<&'static str> = lock(&self.hands).keys().copied().collect();
        futures_util::future::join_all(feeds.into_iter().map(|feed| self.stop_worker(feed))).await;
    }

    /// Waits until settings have changed.
    pub async fn tuned(&self) {
        self.tuned.notified().await;
    }

    /// Whether there are workers here, or another replica has them.
    fn is_asked(&self) -> bool {
        !self.shop.store.is_shared() || self.leads.load(Ordering::Acquire)
    }

    /// Refuses what only the leader can do.
    async fn only_leader(&self) -> Result<(), Refusal> {
        // A lease that has passed is noticed by what it could not write, before workers are stopped.
        if self.is_asked() && (!self.shop.store.is_shared() || self.shop.store.epoch().is_some()) {
            return Ok(());
        }
        Err(Refusal::Follows { leader: self.shop.store.leader().await.ok().flatten() })
    }

    /// The bells that are rung.
    #[must_use]
    pub const fn bells(&self) -> &Arc<Bells> {
        &self.bells
    }

    /// What all workers share.
    #[must_use]
    pub const fn shop(&self) -> &Arc<Shop> {
        &self.shop
    }

    /// Who is told of events.
    #[must_use]
    pub const fn webhook(&self) -> &Webhook {
        &self.webhook
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        self.current.load_full()
    }

    /// How it was read the last time.
    #[must_use]
    pub fn last_reload(&self) -> Arc<Reload> {
        self.last.load_full()
    }

    /// The last acts, newest first.
    #[must_use]
    pub fn acts(&self) -> Vec<Act> {
        lock(&self.acts).iter().cloned().collect()
    }

    /// Tells a worker what to do, and waits until that is published; `None`: there is no such feed.
    pub async fn order(&self, feed: &str, order: Order) -> Option<RunEnd> {
        let orders: mpsc::Sender<_> = lock(&self.hands).get(feed)?.reins.orders.clone();
        let (sender, end) = oneshot::channel();
        orders.send((order, sender)).await.ok()?;
        end.await.ok()
    }

    /// Reads the configuration again, and applies it.
    ///
    /// # Errors
    /// [`Refusal`]: the old one stays in force as a whole.
    pub async fn reload(&self, via: Via) -> Result<Vec<Change>, Refusal> {
        let _changing = self.changing.lock().await;
        let current = self.config();
        let result = match read_again(&current).await {
            Ok(new) => self.apply(&current, new).await,
            Err(refusal) => Err(refusal),
        };
        let now = self.shop.clock.now();
        self.shop.metrics.reloaded(result.is_ok(), now);
        self.last.store(Arc::new(Reload { at: now, result: result.clone() }));
        let file = current.inputs.file.as_ref().map_or_else(String::new, |file| file.display().to_string());
        match &result {
            Ok(changes) if changes.is_empty() => {
                tracing::info!(via = via.as_str(), "configuration read again: nothing changed");
            }
            Ok(changes) => {
                for change in changes {
                    tracing::info!(via = via.as_str(), "configuration changed: {change}");
                }
                let after = changes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                self.note(via, "reload", &file, None, Some(after), "done").await;
            }
            Err(refusal) => {
                let why = one_line(refusal);
                tracing::warn!(
                    via = via.as_str(),
                    "the configuration was refused and the old one stays in force: {why}"
                );
                self.note(via, "reload", &file, None, None, &why).await;
            }
        }
        result
    }

    /// The configuration under which a successor would start, if it would serve what is served now.
    ///
    /// # Errors
    /// [`Refusal`]
    pub async fn for_successor(&self) -> Result<Config, Refusal> {
        let current = self.config();
        let url = &current.store.url;
        if crate::store::file_of(url).is_none() && !crate::store::is_shared(url) {
            return Err(Refusal::NothingToHandOver);
        }
        let new = read_again(&current).await?;
        refuse_fixed(&current.changes(&new))?;
        Ok(new)
    }

    /// Changes a feed's schedule, for now or for good.
    ///
    /// # Errors
    /// [`Refusal`]; the old schedule goes on.
    pub async fn reschedule(
        &self,
        via: Via,
        feed: &str,
        schedule: &str,
        for_good: bool,
    ) -> Result<Vec<Change>, Refusal> {
        let id = self.known(feed)?;
        self.tune(via, "schedule", id, "schedule", Some(schedule), for_good).await
    }

    /// Goes back to the schedule that stands in the operator's own file, or is the default.
    ///
    /// # Errors
    /// [`Refusal`]
    pub async fn reset_schedule(&self, via: Via, feed: &str) -> Result<Vec<Change>, Refusal> {
        let id = self.known(feed)?;
        self.tune(via, "schedule", id, "schedule", None, true).await
    }

    /// Lets a feed rest: its values are kept and age, and it is asked only on request.
    ///
    /// # Errors
    /// [`Refusal`]
    pub async fn pause(&self, via: Via, feed: &str, for_good: bool) -> Result<Vec<Change>, Refusal> {
        let id = self.known(feed)?;
        self.tune(via, "pause", id, "paused", Some("true"), for_good).await
    }

    /// Lets it run again; a run that was missed meanwhile is made at once.
    ///
    /// # Errors
    /// [`Refusal`]
    pub async fn resume(&self, via: Via, feed: &str) -> Result<Vec<Change>, Refusal> {
        let id = self.known(feed)?;
        let (current, key) = (self.config(), format!("feeds.{id}.paused"));
        let mut without = kept_by_now(&current)?;
        without.for_now.remove(&key);
        without.kept.remove(&key);
        // Where it is the operator's own file that pauses it, that takes a change of its own.
        let stays = current.inputs.tuned(without)?.feeds.get(id).is_some_and(|feed| feed.paused);
        let for_good = !stays || current.overrides_file().is_some();
        self.tune(via, "resume", id, "paused", stays.then_some("false"), for_good).await
    }

    /// One key of one feed; `None` takes back what was changed before.
    async fn tune(
        &self,
        via: Via,
        action: &str,
        feed: &'static str,
        name: &str,
        value: Option<&str>,
        for_good: bool,
    ) -> Result<Vec<Change>, Refusal> {
        let _changing = self.changing.lock().await;
        let key = format!("feeds.{feed}.{name}");
        let current = self.config();
        let shown = |config: &Config| {
            let found = config.effective.iter().find(|(known, ..)| *known == key);
            found.map(|(_, value, origin)| format!("{value} ({origin})"))
        };
        let before = shown(&current);
        let result = self.try_tune(&current, &key, value, for_good).await;
        let outcome = match &result {
            Ok(_) => "done".to_owned(),
            Err(refusal) => one_line(refusal),
        };
        let after = match &result {
            Ok(_) => shown(&self.config()),
            Err(_) => value.map(str::to_owned),
        };
        for change in result.iter().flatten() {
            tracing::info!(via = via.as_str(), "configuration changed: {change}");
        }
        self.note(via, action, feed, before, after, &outcome).await;
        result
    }

    async fn try_tune(
        &self,
        current: &Arc<Config>,
        key: &str,
        value: Option<&str>,
        for_good: bool,
    ) -> Result<Vec<Change>, Refusal> {
        let old = &kept_by_now(current)?;
        let mut console = old.clone();
        console.for_now.remove(key);
        match value {
            Some(value) if for_good => drop(console.kept.insert(key.to_owned(), value.to_owned())),
            Some(value) => drop(console.for_now.insert(key.to_owned(), value.to_owned())),
            None => drop(console.kept.remove(key)),
        }
        // Before anything is written.
        let new = current.inputs.tuned(console.clone())?;
        let origin = new.origin(key).cloned().unwrap_or(Origin::Default);
        if value.is_some() && !matches!(origin, Origin::Console(_)) {
            return Err(Refusal::Above { key: key.to_owned(), origin });
        }
        if console.kept == old.kept {
            return self.apply(current, new).await;
        }
        let file = current.overrides_file().ok_or(Refusal::NoPlace)?;
        let write = |console: &Console| {
            let refused =
                |error: std::io::Error| Refusal::NotKept { file: file.clone(), why: error.to_string() };
            console.write(&file).map_err(refused)
        };
        write(&console)?;
        // With the lines of what has been written.
        let applied = match current.inputs.tuned(console) {
            Ok(new) => self.apply(current, new).await,
            Err(error) => Err(error.into()),
        };
        if applied.is_err() {
            write(old)?;
        }
        applied
    }

    /// Asks a feed's sources now. Whoever comes while that run is under way waits for the same one.
    ///
    /// # Errors
    /// [`Refusal`], [`Refusal::CoolingDown`] shortly after the last one.
    pub async fn refresh(self: &Arc<Self>, via: Via, feed: &str) -> Result<RunEnd, Refusal> {
        let id = self.known(feed)?;
        self.only_leader().await?;
        let running = {
            let mut visits = lock(&self.visits);
            match visits.get(id) {
                Some(Visit::Running(end)) => Ok(end.clone()),
                Some(Visit::Ended(at)) if at.elapsed() < COOL_DOWN => {
                    Err(COOL_DOWN.saturating_sub(at.elapsed()).as_secs() + 1)
                }
                _ => {
                    let (sender, end) = watch::channel(None);
                    visits.insert(id, Visit::Running(end.clone()));
                    let this = Arc::clone(self);
                    // On a task of its own: whoever asked may go away.
                    self.shop.tracker.spawn(async move {
                        let end = this.order(id, Order::Ask).await;
                        lock(&this.visits).insert(id, Visit::Ended(Instant::now()));
                        let lost = this.only_leader().await.err();
                        let outcome = match &end {
                            _ if let Some(lost) = &lost => lost.to_string(),
                            Some(RunEnd::Good) => "done".to_owned(),
                            Some(RunEnd::Failed(codes)) => {
                                format!("no source gave a board: {}", codes.join(", "))
                            }
                            None => this.gone(id).to_string(),
                        };
                        this.note(via, "refresh", id, None, None, &outcome).await;
                        if let Some(end) = end.filter(|_| lost.is_none()) {
                            sender.send_replace(Some(end));
                        }
                    });
                    Ok(end)
                }
            }
        };
        let mut running = running.map_err(|seconds| Refusal::CoolingDown { feed: id.to_owned(), seconds })?;
        let Ok(end) = running.wait_for(Option::is_some).await.map(|end| end.clone()) else {
            self.only_leader().await?;
            return Err(self.gone(id));
        };
        end.ok_or(Refusal::Stopping)
    }

    /// Why a worker does not answer.
    fn gone(&self, feed: &str) -> Refusal {
        self.known(feed).err().unwrap_or(Refusal::Stopping)
    }

    /// Serves a held value, or refuses it for as long as its source says the same. `quote` is its id.
    ///
    /// # Errors
    /// [`Refusal::NotHeld`]
    pub async fn decide(&self, via: Via, quote: &str, accept: bool) -> Result<(), Refusal> {
        let (action, order): (_, fn(String) -> Order) =
            if accept { ("accept", Order::Accept) } else { ("reject", Order::Refuse) };
        self.only_leader().await?;
        let held = self.held();
        let not_held = || Refusal::NotHeld {
            quote: quote.to_owned(),
            held: held.iter().map(|(id, ..)| id.clone()).collect(),
        };
        let Some((_, feed, key, served, candidate)) = held.iter().find(|(id, ..)| id == quote) else {
            let refusal = not_held();
            self.note(via, action, quote, None, None, &one_line(&refusal)).await;
            return Err(refusal);
        };
        let before = served.as_ref().map(figures);
        let after = Some(figures(&candidate.quote));
        match self.order(feed, order(key.clone())).await {
            Some(RunEnd::Good) => {
                self.note(via, action, quote, before, after, "done").await;
                Ok(())
            }
            Some(RunEnd::Failed(_)) => Err(not_held()),
            None => Err(self.gone(feed)),
        }
    }

    /// Everything that is held: the quote's id, its feed and key, what is served, the candidate.
    fn held(&self) -> Vec<(String, &'static str, String, Option<providers::Quote>, Held)> {
        let snapshot = self.shop.snapshot.load();
        let mut all = Vec::new();
        for feed in &snapshot.feeds {
            let id = feed.state.feed.id;
            for source in &feed.state.sources {
                for (key, held) in &source.held {
                    let served = feed.quotes.iter().find(|served| served.kept.quote.key() == *key);
                    let served = served.map(|served| served.kept.quote.clone());
                    all.push((format!("{id}.{key}"), id, key.clone(), served, held.clone()));
                }
            }
        }
        all
    }

    fn known(&self, feed: &str) -> Result<&'static str, Refusal> {
        let config = self.config();
        let enabled = || app::enabled(&config).map(|(_, feed, _)| feed.id);
        enabled().find(|known| *known == feed).ok_or_else(|| Refusal::NoFeed {
            feed: feed.to_owned(),
            allowed: enabled().collect::<std::collections::BTreeSet<_>>().into_iter().collect(),
        })
    }

    /// Puts a configuration into force. Everything that may fail comes first.
    async fn apply(&self, old: &Arc<Config>, new: Config) -> Result<Vec<Change>, Refusal> {
        if self.stop_working.is_cancelled() {
            return Err(Refusal::Stopping);
        }
        let changes = old.changes(&new);
        refuse_fixed(&changes)?;
        let recorded = self.shop.fetcher.is_replay();
        let (mut added, mut tuned, mut gone) = (Vec::new(), Vec::new(), Vec::new());
        for (_, feed) in providers::feeds() {
            let (before, after) = (app::tuning(old, feed, recorded), app::tuning(&new, feed, recorded));
            match (before, after) {
                (None, Some(_)) => {
                    let state = app::load_state(&new, feed, &self.shop.store, &self.shop.clock, recorded);
                    let state = Box::pin(state).await;
                    added.extend(state.map_err(|error| Refusal::Store(error.to_string()))?);
                }
                (Some(_), None) => gone.push(feed.id),
                (Some(_), Some(tuning)) if concerns(&changes, feed) => tuned.push((feed.id, tuning)),
                _ => {}
            }
        }
        let is_of = |sections: &[&str]| {
            changes.iter().any(|change| sections.iter().any(|section| change.key.starts_with(section)))
        };
        let mut terms = Terms::of(&new);
        // A secret that was changed is still none to be shown: answers that repeat it may be under way.
        let before = self.shop.terms.load();
        let known: Vec<String> =
            before.sensitive.iter().filter(|word| !terms.sensitive.contains(word)).cloned().collect();
        terms.sensitive.extend(known);
        self.shop.evidence.hide(terms.sensitive.clone());
        self.shop.terms.store(Arc::new(terms));
        if is_of(&["fetch.", "feeds."])
            && let crate::fetch::Fetcher::Live(live) = &self.shop.fetcher
        {
            live.renew(&new.fetch);
        }
        if is_of(&["server.", "widgets.", "presets."]) {
            self.renew_front(&new);
        }
        self.webhook.configure(&new);
        let new = Arc::new(new);
        self.current.store(Arc::clone(&new));
        let mut told = Vec::new();
        for feed in gone {
            self.stop_worker(feed).await;
            told.push(self.tell(News::Gone(feed)).await);
        }
        self.tuned.notify_one();
        for (state, due) in added.into_iter().filter(|_| self.is_asked()) {
            told.push(self.tell(News::State(Arc::new(state.clone()))).await);
            let first = due.then_some(Duration::ZERO).filter(|_| !self.shop.clock.stands());
            self.start_worker(&new, state, first);
        }
        for (feed, tuning) in tuned {
            told.push(self.retune(feed, tuning).await);
        }
        for published in told.into_iter().flatten() {
            // A board that stops meanwhile tells nobody.
            let _ = published.await;
        }
        Ok(changes)
    }

    /// Hands settings to a feed's worker, which may be in the middle of a long run; what is published shows them at once.
    async fn retune(&self, feed: &'static str, tuning: Tuning) -> Option<oneshot::Receiver<RunEnd>> {
        let tuning = Arc::new(tuning);
        {
            let hands = lock(&self.hands);
            let hand = hands.get(feed)?;
            self.hang(feed, &tuning, &hand.bell);
            hand.reins.tuning.send_replace(Arc::clone(&tuning));
        }
        let snapshot = self.shop.snapshot.load_full();
        let served = snapshot.feeds.iter().find(|served| served.state.feed.id == feed)?;
        let mut state = FeedState::clone(&served.state);
        state.tune(&tuning, self.shop.clock.now());
        self.tell(News::State(Arc::new(state))).await
    }

    fn hang(&self, feed: &'static str, tuning: &Tuning, bell: &Arc<Notify>) {
        let bell = (!tuning.config.paused).then(|| (tuning.rules.schedule.clone(), Arc::clone(bell)));
        self.bells.hang(feed, bell);
    }

    async fn tell(&self, news: News) -> Option<oneshot::Receiver<RunEnd>> {
        let (sender, published) = oneshot::channel();
        let update = Update { news, answer: Some((sender, RunEnd::Good)) };
        self.shop.board.send(update).await.ok()?;
        Some(published)
    }

    fn start_worker(&self, config: &Config, state: FeedState, first: Option<Duration>) {
        let Some(tuning) = app::tuning(config, state.feed, self.shop.fetcher.is_replay()) else { return };
        let (feed, bell) = (state.feed.id, Arc::new(Notify::new()));
        self.hang(feed, &tuning, &bell);
        let (worker, reins) = Worker::new(Arc::clone(&self.shop), tuning, state, Arc::clone(&bell));
        let stop = self.stop_working.child_token();
        let running = self.shop.tracker.spawn(worker.work(first, stop.clone()));
        lock(&self.hands).insert(feed, Hand { reins, bell, stop, running });
    }

    async fn stop_worker(&self, feed: &'static str) {
        self.bells.hang(feed, None);
        let Some(hand) = lock(&self.hands).remove(feed) else { return };
        hand.stop.cancel();
        if tokio::time::timeout(WORKER_STOP, hand.running).await.is_err() {
            tracing::warn!(feed, "the feed's last run does not end; what it brings is dropped");
        }
    }

    /// Connections stay; from their next request on they are answered under the new configuration.
    fn renew_front(&self, config: &Config) {
        let Some(site) = self.front.load().quick.clone() else { return };
        let site: Arc<Site> = Arc::new(site.renewed(config, self.renders.clone()));
        let api = http::api::routes().split_for_parts().0;
        self.front.store(Arc::new(Front::public(api, &site)));
    }

    /// Notes an act, in the log, at hand, and in the store.
    async fn note(
        &self,
        via: Via,
        action: &str,
        target: &str,
        before: Option<String>,
        after: Option<String>,
        outcome: &str,
    ) {
        let act = Act {
            at: self.shop.clock.now(),
            via: via.as_str().to_owned(),
            action: action.to_owned(),
            // What somebody typed may be anything.
            target: target.chars().take(LONGEST_TARGET).collect(),
            before: before.map(cut),
            after: after.map(cut),
            outcome: cut(outcome.to_owned()),
        };
        tracing::info!(
            via = via.as_str(),
            action,
            target,
            before = act.before.as_deref().unwrap_or_default(),
            after = act.after.as_deref().unwrap_or_default(),
            outcome,
            "audit"
        );
        {
            let mut acts = lock(&self.acts);
            acts.push_front(act.clone());
            acts.truncate(ACTS as usize);
        }
        let store = Arc::clone(&self.shop.store);
        store.push_act(act);
        let write = self.shop.tracker.spawn(async move { store.flush().await });
        if tokio::time::timeout(DISK_PATIENCE, write).await.is_err() {
            tracing::error!("the store is slow; the act is kept when it takes it");
        }
    }
}

/// Reads everything that it was read from again; what the operator changed for good may have been edited by hand. Whatever
/// a file leads to by now, nobody waits for it for ever.
async fn read_again(current: &Arc<Config>) -> Result<Config, Refusal> {
    let current = Arc::clone(current);
    let read = tokio::task::spawn_blocking(move || {
        let console = kept_by_now(&current)?;
        current.inputs.read_again(console)
    });
    match tokio::time::timeout(READING, read).await {
        Ok(Ok(read)) => Ok(read?),
        Ok(Err(_)) => Err(unreadable("reading it panicked")),
        Err(_) => Err(unreadable(&format!("it could not be read within {READING:?}"))),
    }
}

fn unreadable(why: &str) -> Refusal {
    ConfigError(vec![format!("the configuration: {why}")]).into()
}

/// The operator's changes: those for now, and those for good as they stand in their file.
fn kept_by_now(current: &Config) -> Result<Console, ConfigError> {
    let mut console = current.console.clone();
    if let Some(file) = current.overrides_file() {
        console.read(&file)?;
    }
    Ok(console)
}

/// What is bound, open or locked cannot be changed.
fn refuse_fixed(changes: &[Change]) -> Result<(), Refusal> {
    let is_fixed = |change: &&Change| {
        FIXED.iter().any(|key| change.key == *key || (key.ends_with('.') && change.key.starts_with(key)))
    };
    let fixed: Vec<String> = changes
        .iter()
        .filter(is_fixed)
        .map(|Change { key, before, after, origin }| {
            format!(
                "{origin}: {key}: {before} cannot become {after} while the service runs; restart it for that"
            )
        })
        .collect();
    if fixed.is_empty() { Ok(()) } else { Err(ConfigError(fixed).into()) }
}

/// Whether some change is one of this feed's settings, or of what it reckons by.
fn concerns(changes: &[Change], feed: &providers::Feed) -> bool {
    let own = format!("feeds.{}.", feed.id);
    changes.iter().any(|change| {
        change.key.starts_with(&own)
            || change.key.starts_with("calendar.")
            || change.key.starts_with("secrets.")
    })
}

/// A reload may change everything at once.
fn cut(text: String) -> String {
    match text.char_indices().nth(LONGEST_VALUE) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// A log has one line an event.
fn one_line(refusal: &Refusal) -> String {
    refusal.to_string().lines().collect::<Vec<_>>().join("; ")
}

/// The figures of a quote in a few words.
#[must_use]
pub fn figures(quote: &providers::Quote) -> String {
    let say = |sides: &[(&str, Option<rust_decimal::Decimal>)]| {
        let known = sides.iter().filter_map(|(side, figure)| Some(format!("{side} {}", (*figure)?)));
        known.collect::<Vec<_>>().join(", ")
    };
    match quote {
        providers::Quote::Gold(gold) => say(&[("buy", gold.buy), ("sell", gold.sell)]),
        providers::Quote::Fx(fx) => say(&[
            ("buy_cash", fx.buy_cash),
            ("buy_transfer", fx.buy_transfer),
            ("sell", fx.sell),
            ("sell_cash", fx.sell_cash),
        ]),
        providers::Quote::Deposit(deposit) => say(&[("rate_percent", Some(deposit.rate_percent))]),
    }
}
