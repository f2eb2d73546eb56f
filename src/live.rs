//! Who listens to what happens. Each event is written once, as all streams send it; a stream is a place in a bounded ring and
//! a filter. It knows no socket: `http/stream.rs` sends, and this wakes it. Time is counted in ticks of a second, which
//! whoever runs the service gives, so that heartbeats, ends and stalls need no timer a stream.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    task::Waker,
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use providers::Kind;
use slab::Slab;
use tokio::runtime::Handle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    clock::Clock,
    config,
    events::{Numbered, What},
    store::{self, Store, StoreError},
};

/// So many events are at hand for all streams; a reader who is further behind is let go.
const RING: usize = 1024;
/// So many older ones are read back from the store for those who come back.
const ARCHIVE: i64 = 8192;
/// Readings of the store that may be in memory at once, whoever holds them.
const ARCHIVES: usize = 2;
/// For so many ticks one is kept for the next who needs it.
const ARCHIVE_KEPT: u64 = 60;
/// The store is not waited for any longer.
const STORE_PATIENCE: Duration = Duration::from_secs(2);
/// Changes of each kind at hand for its feed; a page shows fewer, since they are filtered. As many as the store keeps.
const RECENT: usize = store::OF_A_KIND;
const TICK: Duration = Duration::from_secs(1);
/// Ticks between two signs of life.
const HEARTBEAT: u64 = 20;
/// Ticks after which a stream ends, and by how much sooner it may.
const LIFE: u64 = 3600;
const LIFE_SPREAD: u64 = 360;
/// Ticks that a reader may take nothing for.
const STALL: u64 = 30;
/// Milliseconds that a client waits before it comes back, and by how much they differ.
const RETRY: u64 = 5000;
const RETRY_SPREAD: u64 = 1000;

/// An event as every stream sends it.
#[derive(Debug)]
pub struct Frame {
    /// Its number.
    pub seq: i64,
    /// Which kind of event.
    pub what: What,
    /// Of this feed.
    pub feed: &'static str,
    subject: String,
    /// The same two as bits.
    of: Mask,
    /// One chunk of HTTP/1.1, its head and end included.
    chunk: Bytes,
    /// Where in it the JSON begins.
    data: usize,
}

/// What stands behind the JSON of a frame, its chunk's end included.
const BEHIND: &str = "\n\n\r\n";

/// A text as one chunk (RFC 9112 §7.1).
#[must_use]
pub fn chunk(text: &str) -> Bytes {
    Bytes::from(format!("{:x}\r\n{text}\r\n", text.len()))
}

/// What is in a chunk.
#[must_use]
pub fn unchunked(chunk: &Bytes) -> Bytes {
    let head = chunk.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    chunk.slice(head.min(chunk.len())..chunk.len().saturating_sub(2).max(head))
}

impl Frame {
    fn of(event: Numbered) -> Self {
        let Numbered { seq, what, feed, subject, data, .. } = event;
        let chunk = chunk(&format!("id: {seq}\nevent: {what}\ndata: {data}\n\n"));
        let data = chunk.len().saturating_sub(BEHIND.len() + data.len());
        let of = Mask { types: bit_of(what), feeds: bit(feed) };
        Self { seq, what, feed, subject, of, chunk, data }
    }

    /// Shared with all others that send it.
    #[must_use]
    pub fn chunk(&self) -> Bytes {
        self.chunk.clone()
    }

    /// What is told, as JSON.
    #[must_use]
    pub fn data(&self) -> &str {
        let end = self.chunk.len().saturating_sub(BEHIND.len());
        self.chunk.get(self.data..end).and_then(|data| std::str::from_utf8(data).ok()).unwrap_or_default()
    }
}

/// What a reader wants to be told of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interest {
    /// None: all.
    pub types: Vec<What>,
    /// None: all.
    pub feeds: Vec<&'static str>,
    /// Of quotes, or feeds. None: all.
    pub ids: Vec<String>,
}

impl Interest {
    fn mask(&self) -> Mask {
        let bits = |any: bool, bits: u64| if any { u64::MAX } else { bits };
        Mask {
            types: bits(self.types.is_empty(), self.types.iter().map(|what| bit_of(*what)).sum()),
            feeds: bits(self.feeds.is_empty(), self.feeds.iter().map(|feed| bit(feed)).sum()),
        }
    }
}

/// The same, as coarse as is needed to know whom to wake.
#[derive(Debug, Clone, Copy)]
struct Mask {
    types: u64,
    feeds: u64,
}

impl Mask {
    fn keeps(self, frame: &Frame) -> bool {
        self.types & frame.of.types != 0 && self.feeds & frame.of.feeds != 0
    }
}

const fn bit_of(what: What) -> u64 {
    1 << what as u64
}

fn bit(feed: &str) -> u64 {
    // More feeds than bits would share some, and their readers be woken for nothing.
    providers::feeds().position(|(_, known)| known.id == feed).map_or(0, |at| 1 << (at % 64))
}

/// The newest events.
#[derive(Debug)]
struct Ring {
    /// Number of the last event that is not in it; all later ones are.
    floor: i64,
    frames: Vec<Arc<Frame>>,
}

impl Ring {
    fn newest(&self) -> i64 {
        self.frames.last().map_or(self.floor, |frame| frame.seq)
    }

    fn after(&self, seq: i64) -> &[Arc<Frame>] {
        after(&self.frames, seq)
    }
}

fn after(frames: &[Arc<Frame>], seq: i64) -> &[Arc<Frame>] {
    frames.get(frames.partition_point(|frame| frame.seq <= seq)..).unwrap_or_default()
}

/// Older events, read back from the store.
#[derive(Debug)]
struct Archive(Vec<Arc<Frame>>);

impl Archive {
    /// Whether every event after `seq` and up to `floor` is in it.
    fn bridges(&self, seq: i64, floor: i64) -> bool {
        let oldest = self.0.first().is_some_and(|frame| frame.seq <= seq);
        oldest && self.0.last().is_some_and(|frame| frame.seq >= floor)
    }
}

#[derive(Debug, Default)]
struct Archives {
    /// For the next who comes back, and since when.
    kept: Option<(Arc<Archive>, u64)>,
    all: Vec<Weak<Archive>>,
}

/// A stream, as far as it has to be woken.
#[derive(Debug)]
struct Listener {
    waker: Option<Waker>,
    mask: Mask,
    client: IpAddr,
    stalled: bool,
    ends: u64,
}

#[derive(Debug, Default)]
struct Listeners {
    slots: Slab<Listener>,
    clients: HashMap<IpAddr, usize>,
    /// Streams at once, and of one client.
    most: usize,
    most_of_one: usize,
}

/// Why there is no stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// None are given at all.
    Off,
    /// All are taken.
    All(usize),
    /// The client has as many as one may have.
    Client(usize),
}

/// What streams are counted as.
#[derive(Debug, Default)]
pub struct Tally {
    /// Open now.
    pub open: AtomicI64,
    /// Events that were sent, to each reader.
    pub sent: AtomicU64,
    /// Readers that were too slow.
    pub dropped: AtomicU64,
}

/// What happens, and who is told.
#[derive(Debug)]
pub struct Live {
    store: Arc<Store>,
    /// The store is asked on the runtime that it was opened on.
    runtime: Handle,
    tracker: TaskTracker,
    /// What the store had at the beginning is known: from there on all is told.
    begun: AtomicBool,
    ring: ArcSwap<Ring>,
    recent: ArcSwap<[Vec<Arc<Frame>>; 3]>,
    listeners: Mutex<Listeners>,
    ticks: AtomicU64,
    archives: tokio::sync::Mutex<Archives>,
    off: AtomicBool,
    tally: Arc<Tally>,
    seed: RandomState,
}

const fn shelf(kind: Kind) -> usize {
    match kind {
        Kind::Gold => 0,
        Kind::Fx => 1,
        Kind::Deposit => 2,
    }
}

fn kind_of(feed: &str) -> Option<Kind> {
    providers::feed(feed).map(|(_, feed)| feed.kind)
}

impl Live {
    /// With what the store kept, and no room for anybody before [`Self::configure`].
    ///
    /// # Errors
    /// When the store cannot be read.
    ///
    /// # Panics
    /// Outside a runtime.
    pub async fn open(store: &Arc<Store>, tracker: TaskTracker) -> Result<Self, StoreError> {
        let live = Self::empty(store, tracker);
        live.begin().await?;
        Ok(live)
    }

    /// Without what the store kept.
    ///
    /// # Panics
    /// Outside a runtime.
    #[must_use]
    pub fn empty(store: &Arc<Store>, tracker: TaskTracker) -> Self {
        Self {
            store: Arc::clone(store),
            runtime: Handle::current(),
            tracker,
            begun: AtomicBool::new(false),
            ring: ArcSwap::from_pointee(Ring { floor: 0, frames: Vec::new() }),
            recent: ArcSwap::default(),
            listeners: Mutex::default(),
            ticks: AtomicU64::new(0),
            archives: tokio::sync::Mutex::default(),
            off: AtomicBool::new(false),
            tally: Arc::default(),
            seed: RandomState::new(),
        }
    }

    /// How many may listen. None at all: those who do are let go.
    pub fn configure(&self, server: &config::Server, room: usize) {
        let mut listeners = self.listeners();
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        listeners.most = count(server.event_streams).min(room);
        listeners.most_of_one = count(server.event_streams_per_client);
        self.off.store(server.event_streams == 0, Ordering::Release);
        if server.event_streams == 0 {
            wake(&listeners, |_, _| true);
        }
    }

    /// What streams are counted as.
    #[must_use]
    pub fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.tally)
    }

    /// Number of the newest event.
    #[must_use]
    pub fn newest(&self) -> i64 {
        self.ring.load().newest()
    }

    /// The newest changes of a kind's quotes, oldest first.
    #[must_use]
    pub fn recent(&self, kind: Kind) -> Vec<Arc<Frame>> {
        self.recent.load().get(shelf(kind)).cloned().unwrap_or_default()
    }

    /// Number of the newest change of a kind's quotes that is at hand: what its feed is made of differs with it.
    #[must_use]
    pub fn newest_change(&self, kind: Kind) -> i64 {
        self.recent.load().get(shelf(kind)).and_then(|shelf| shelf.last()).map_or(0, |frame| frame.seq)
    }

    /// Begins with what the store kept, where nothing is known yet; nobody may tell anything meanwhile.
    ///
    /// # Errors
    /// When the store cannot be read: nothing is known then either.
    pub async fn begin(&self) -> Result<(), StoreError> {
        if self.begun.load(Ordering::Acquire) {
            return Ok(());
        }
        let floor = self.store.newest_event().await?;
        let mut recent: [Vec<Arc<Frame>>; 3] = Default::default();
        for kind in [Kind::Gold, Kind::Fx, Kind::Deposit] {
            let found = self.store.changes_until(floor, kind).await?;
            if let Some(shelf) = recent.get_mut(shelf(kind)) {
                *shelf = found.into_iter().map(|event| Arc::new(Frame::of(event))).collect();
            }
        }
        self.recent.store(Arc::new(recent));
        self.ring.store(Arc::new(Ring { floor, frames: Vec::new() }));
        // Where there was nothing, what comes first is told like the rest: nobody who listens already misses it.
        self.begun.store(true, Ordering::Release);
        Ok(())
    }

    /// Tells whoever listens.
    pub fn tell(&self, events: Vec<Numbered>) {
        let last = self.newest();
        let frames: Vec<Arc<Frame>> = events
            .into_iter()
            // Numbers never go back, whatever a publish was called.
            .filter(|event| event.seq > last)
            .map(|event| Arc::new(Frame::of(event)))
            .collect();
        if frames.is_empty() {
            return;
        }
        self.remember(&frames);
        let old = self.ring.load();
        let surplus = (old.frames.len() + frames.len()).saturating_sub(RING);
        let all = || old.frames.iter().chain(&frames);
        let floor = surplus.checked_sub(1).and_then(|at| all().nth(at)).map_or(old.floor, |frame| frame.seq);
        let kept = all().skip(surplus).cloned().collect();
        self.ring.store(Arc::new(Ring { floor, frames: kept }));
        wake(&self.listeners(), |_, listener| frames.iter().any(|frame| listener.mask.keeps(frame)));
    }

    fn remember(&self, frames: &[Arc<Frame>]) {
        let mut recent = self.recent.load().as_ref().clone();
        for frame in frames.iter().filter(|frame| frame.what == What::Changed) {
            if let Some(shelf) = kind_of(frame.feed).and_then(|kind| recent.get_mut(shelf(kind))) {
                shelf.push(Arc::clone(frame));
            }
        }
        for shelf in &mut recent {
            shelf.drain(..shelf.len().saturating_sub(RECENT));
        }
        self.recent.store(Arc::new(recent));
    }

    /// Gives ticks until `stop`.
    pub async fn beat(self: Arc<Self>, stop: CancellationToken) {
        while tokio::time::timeout(TICK, stop.cancelled()).await.is_err() {
            self.tick();
        }
    }

    /// A second has passed: wakes whose heartbeat, end or last moment has come, a part of them each time.
    pub fn tick(&self) {
        let now = self.ticks.fetch_add(1, Ordering::AcqRel) + 1;
        wake(&self.listeners(), |slot, listener| {
            listener.stalled || now >= listener.ends || beats(slot, now) != beats(slot, now - 1)
        });
        if let Ok(mut archives) = self.archives.try_lock() {
            archives.kept.take_if(|(_, since)| now.saturating_sub(*since) >= ARCHIVE_KEPT);
        }
    }

    fn now(&self) -> u64 {
        self.ticks.load(Ordering::Acquire)
    }

    fn listeners(&self) -> MutexGuard<'_, Listeners> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a stream.
    ///
    /// # Errors
    /// [`Full`]
    pub fn enter(self: &Arc<Self>, client: IpAddr, interest: &Interest) -> Result<Place, Full> {
        let (now, mask) = (self.now(), interest.mask());
        let mut listeners = self.listeners();
        if self.off.load(Ordering::Acquire) {
            return Err(Full::Off);
        }
        if listeners.slots.len() >= listeners.most {
            return Err(Full::All(listeners.most));
        }
        let most = listeners.most_of_one;
        let own = listeners.clients.entry(client).or_default();
        if *own >= most {
            // An entry of nobody's would stay.
            if *own == 0 {
                listeners.clients.remove(&client);
            }
            return Err(Full::Client(most));
        }
        *own += 1;
        let slot = listeners.slots.vacant_key();
        let random = self.seed.hash_one((slot, now, self.tally.sent.load(Ordering::Relaxed)));
        let ends = now + LIFE - random % LIFE_SPREAD;
        listeners.slots.insert(Listener { waker: None, mask, client, stalled: false, ends });
        self.tally.open.fetch_add(1, Ordering::Relaxed);
        let retry = RETRY - RETRY_SPREAD + (random >> 32) % (2 * RETRY_SPREAD + 1);
        Ok(Place { live: Arc::clone(self), slot, ends, retry })
    }

    /// Where a reader who has seen this event goes on.
    pub async fn resume(self: &Arc<Self>, seen: Option<i64>) -> Start {
        let ring = self.ring.load_full();
        let newest = ring.newest();
        let lost = |reason| Start { cursor: newest, archive: None, lost: Some(reason) };
        match seen {
            None => Start { cursor: newest, archive: None, lost: None },
            // Of another store, or of one that was lost.
            Some(seen) if seen > newest => lost(Lost::Unknown),
            Some(seen) if seen >= ring.floor => Start { cursor: seen, archive: None, lost: None },
            Some(seen) => {
                let live = Arc::clone(self);
                // Goes on though its reader may not: others wait for the same.
                let read = self.tracker.spawn_on(
                    async move { tokio::time::timeout(STORE_PATIENCE, live.older(ring.floor)).await },
                    &self.runtime,
                );
                match read.await {
                    Ok(Ok(Some(archive))) if archive.bridges(seen, self.ring.load().floor) => {
                        Start { cursor: seen, archive: Some(archive), lost: None }
                    }
                    Ok(Ok(Some(_))) => lost(Lost::TooOld),
                    _ => lost(Lost::Unavailable),
                }
            }
        }
    }

    /// Events up to this number. `None`: the store does not answer, or too many readings of it are in memory.
    async fn older(&self, floor: i64) -> Option<Arc<Archive>> {
        let mut archives = self.archives.lock().await;
        let kept = archives.kept.as_ref().map(|(archive, _)| Arc::clone(archive));
        if let Some(kept) = kept.filter(|kept| kept.0.last().is_some_and(|frame| frame.seq >= floor)) {
            return Some(kept);
        }
        archives.kept = None;
        archives.all.retain(|known| known.strong_count() > 0);
        if archives.all.len() >= ARCHIVES {
            return None;
        }
        let read = self.store.events_until(floor, &[], None, ARCHIVE).await;
        let read = read.inspect_err(|error| tracing::warn!(%error, "old events cannot be read")).ok()?;
        // Asked after they were read: what was let go meanwhile lies before it.
        let whole = self.store.events_whole_behind(Clock::system().now()).await;
        let whole = whole.inspect_err(|error| tracing::warn!(%error, "old events cannot be read")).ok()?;
        let read = read.into_iter().filter(|event| event.seq > whole);
        let frames = read.map(|event| Arc::new(Frame::of(event))).collect();
        let archive = Arc::new(Archive(frames));
        archives.all.push(Arc::downgrade(&archive));
        archives.kept = Some((Arc::clone(&archive), self.now()));
        Some(archive)
    }
}

/// Heartbeats of a slot so far: each has a second of its own.
fn beats(slot: usize, now: u64) -> u64 {
    (now + u64::try_from(slot).unwrap_or(0) % HEARTBEAT) / HEARTBEAT
}

fn wake(listeners: &Listeners, mut whom: impl FnMut(usize, &Listener) -> bool) {
    for (slot, listener) in &listeners.slots {
        if let Some(waker) = listener.waker.as_ref().filter(|_| whom(slot, listener)) {
            waker.wake_by_ref();
        }
    }
}

/// Why a reader who came back may have missed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// What it saw last is older than what is kept.
    TooOld,
    /// It names an event that never was here.
    Unknown,
    /// The store does not say what happened meanwhile.
    Unavailable,
}

impl Lost {
    /// As it is told.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooOld => "too_old",
            Self::Unknown => "unknown_id",
            Self::Unavailable => "store_unavailable",
        }
    }
}

/// Where a stream begins.
#[derive(Debug)]
pub struct Start {
    /// The last event that is not sent.
    pub cursor: i64,
    archive: Option<Arc<Archive>>,
    /// Nothing between what the reader saw and the cursor is known.
    pub lost: Option<Lost>,
}

/// A stream's place among the listeners; given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    live: Arc<Live>,
    slot: usize,
    ends: u64,
    /// Milliseconds that its client should wait before it comes back.
    pub retry: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut listeners = self.live.listeners();
        if let Some(gone) = listeners.slots.try_remove(self.slot)
            && let Some(own) = listeners.clients.get_mut(&gone.client)
        {
            *own -= 1;
            if *own == 0 {
                listeners.clients.remove(&gone.client);
            }
        }
        drop(listeners);
        self.live.tally.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a stream does next.
#[derive(Debug)]
pub enum Next {
    /// Sends these.
    Send(Vec<Bytes>),
    /// Says that it is there.
    Heartbeat,
    /// Waits to be woken.
    Wait,
    /// Ends: its time is over, or there are to be no streams.
    End,
    /// Is let go: it is further behind than what is at hand.
    Overtaken,
}

/// One reader's way through the events.
#[derive(Debug)]
pub struct Reader {
    place: Place,
    mask: Mask,
    /// None: all.
    ids: Vec<String>,
    cursor: i64,
    archive: Option<Arc<Archive>>,
    beat: u64,
    /// The tick at which it first took nothing.
    stalled: Option<u64>,
    asleep: bool,
}

/// Events that go out together.
const TOGETHER: usize = 16;

impl Reader {
    /// At its beginning.
    #[must_use]
    pub fn new(place: Place, interest: Interest, start: Start) -> Self {
        let (mask, ids) = (interest.mask(), interest.ids);
        let beat = beats(place.slot, place.live.now());
        let Start { cursor, archive, .. } = start;
        Self { place, mask, ids, cursor, archive, beat, stalled: None, asleep: false }
    }

    /// Who is woken when there is something to do. A task is always woken through the same waker.
    pub fn wake_by(&mut self, waker: &Waker) {
        if !self.asleep {
            self.asleep = true;
            if let Some(listener) = self.place.live.listeners().slots.get_mut(self.place.slot) {
                listener.waker = Some(waker.clone());
            }
        }
    }

    /// What there is to do.
    pub fn step(&mut self) -> Next {
        let ring = self.place.live.ring.load();
        if let Some(archive) = &self.archive {
            let (frames, last) = self.wanted(after(&archive.0, self.cursor));
            self.cursor = last;
            if !frames.is_empty() {
                return Next::Send(frames);
            }
            self.archive = None;
        }
        if self.cursor < ring.floor {
            return Next::Overtaken;
        }
        let (frames, last) = self.wanted(ring.after(self.cursor));
        self.cursor = last;
        let now = self.place.live.now();
        let beat = beats(self.place.slot, now);
        let due = std::mem::replace(&mut self.beat, beat) != beat;
        if !frames.is_empty() {
            Next::Send(frames)
        } else if now >= self.place.ends || self.place.live.off.load(Ordering::Acquire) {
            Next::End
        } else if due {
            Next::Heartbeat
        } else {
            Next::Wait
        }
    }

    /// The next that pass the filter, and the last one that was looked at.
    fn wanted(&self, frames: &[Arc<Frame>]) -> (Vec<Bytes>, i64) {
        let mut last = self.cursor;
        let mut wanted = Vec::new();
        for frame in frames {
            if wanted.len() == TOGETHER {
                break;
            }
            last = frame.seq;
            if self.mask.keeps(frame) && (self.ids.is_empty() || self.ids.contains(&frame.subject)) {
                wanted.push(frame.chunk());
            }
        }
        (wanted, last)
    }

    /// The reader took something, `events` of them whole.
    pub fn took(&mut self, events: u64) {
        self.place.live.tally.sent.fetch_add(events, Ordering::Relaxed);
        if self.stalled.take().is_some() {
            self.mark_stalled(false);
        }
    }

    /// The reader takes nothing at the moment. Whether that has been so for too long, or it is too far behind.
    pub fn is_too_slow(&mut self) -> bool {
        let now = self.place.live.now();
        if self.stalled.is_none() {
            self.stalled = Some(now);
            self.mark_stalled(true);
        }
        let overtaken = self.archive.is_none() && self.cursor < self.place.live.ring.load().floor;
        overtaken || self.stalled.is_some_and(|since| now.saturating_sub(since) > STALL)
    }

    fn mark_stalled(&self, now: bool) {
        if let Some(listener) = self.place.live.listeners().slots.get_mut(self.place.slot) {
            listener.stalled = now;
        }
    }

    /// It was let go for being slow.
    pub fn dropped(&self) {
        self.place.live.tally.dropped.fetch_add(1, Ordering::Relaxed);
    }
}
