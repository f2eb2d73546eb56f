//! One of several machines that share a store: who leads, what the others have published, and the copy of it on this machine's
//! disk. Only the leader has workers. It judges by no clock but the database's and one that nobody sets; prices are none
//! of its business.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    app,
    board::{self, FeedState, News, Turn, Update},
    control::Control,
    live::Live,
    refresh::RunEnd,
    store::{self, Publication, Store, StoreError},
};

/// The others are looked for so often, where nobody tells of them.
const LOOK: Duration = Duration::from_secs(1);
/// The lease is renewed when a third of it has passed.
const RENEWALS: u32 = 3;
/// So long before its lease ends a leader that cannot renew it stops asking sources.
const MARGIN: Duration = Duration::from_millis(500);
/// The copy is not written more often than this.
const BETWEEN_COPIES: Duration = Duration::from_secs(2);

/// This machine among the others.
pub struct Replica {
    store: Arc<Store>,
    control: Arc<Control>,
    updates: mpsc::Sender<Update>,
    live: Arc<Live>,
    /// How long the lease lasts.
    lasts: Duration,
    leading: Option<Leading>,
    /// The epoch under which we led last; what waits to be written was read under it.
    led: Option<i64>,
    /// What was adopted last.
    seen: i64,
}

struct Leading {
    epoch: i64,
    renewed: Instant,
}

impl Replica {
    /// Over a service that is being started; `seen`: the publication that it shows.
    #[must_use]
    pub fn new(
        store: Arc<Store>,
        control: Arc<Control>,
        (updates, live): (mpsc::Sender<Update>, Arc<Live>),
        lasts: Duration,
        seen: i64,
    ) -> Self {
        Self { store, control, updates, live, lasts, leading: None, led: None, seen }
    }

    /// Follows, and leads when nobody else does, until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let (mut listener, mut said) = (None, String::new());
        let mut listens_again = Instant::now();
        loop {
            let step = self.step().await;
            self.store.answers(step.is_ok());
            match step {
                Ok(()) => said.clear(),
                Err(error) => {
                    // A server that is away comes back; what it refuses us with has to be seen to.
                    let told = error.to_string();
                    if matches!(&error, StoreError::Database(error) if !store::is_refusal(error))
                        || told == said
                    {
                        tracing::debug!(%error, "the shared store failed");
                    } else {
                        tracing::warn!(%error, "the shared store cannot be used");
                        said = told;
                    }
                }
            }
            if listener.is_none() && Instant::now() >= listens_again {
                listens_again = Instant::now() + LOOK * 10;
                listener = tokio::time::timeout(LOOK, self.store.listen()).await.ok().and_then(|found| {
                    found.inspect_err(|error| tracing::debug!(%error, "nobody tells of what is new")).ok()?
                });
            }
            let told = async {
                match &mut listener {
                    Some(listener) => listener.recv().await.is_ok(),
                    None => std::future::pending().await,
                }
            };
            let is_told = tokio::select! {
                () = stop.cancelled() => break,
                () = self.control.tuned() => {
                    self.tuned().await;
                    true
                }
                () = tokio::time::sleep(LOOK.min(self.lasts / RENEWALS)) => true,
                heard = told => heard,
            };
            if !is_told {
                // What was told while the connection was away is lost; looking goes on.
                listener = None;
            }
        }
        if self.leading.is_some() {
            // Workers are stopped by the same token; the next one may begin when their last words are written.
            self.control.stop_workers().await;
            self.store.flush().await;
        }
        if let Err(error) = self.store.release_lease().await {
            tracing::debug!(%error, "the lease ends by itself");
        }
    }

    async fn step(&mut self) -> Result<(), StoreError> {
        let Some(Leading { epoch, renewed }) = self.leading else {
            self.store.prepare().await?;
            self.adopt().await?;
            self.tell_events().await?;
            // Before it is taken: our idea of its end is never later than the database's.
            let began = Instant::now();
            let Some(epoch) = self.store.take_lease(self.lasts).await? else { return Ok(()) };
            let led = self.lead(Leading { epoch, renewed: began }).await;
            if led.is_err() && self.leading.is_none() {
                // Nobody else could lead until it ends.
                drop(self.store.release_lease().await);
            }
            return led;
        };
        if self.store.epoch() != Some(epoch) {
            tracing::warn!(epoch, "another replica leads; what was read here since is given up");
            self.follow(true).await;
            return Ok(());
        }
        if renewed.elapsed() < self.lasts / RENEWALS {
            return self.tell_events().await;
        }
        let began = Instant::now();
        match self.store.renew_lease(epoch, self.lasts).await {
            Ok(true) => {
                self.store.ask_until(Some(began + self.lasts));
                self.leading = Some(Leading { epoch, renewed: began });
                self.tell_events().await
            }
            Ok(false) => {
                tracing::warn!(epoch, "another replica leads; what was read here since is given up");
                self.follow(true).await;
                Ok(())
            }
            Err(error) => {
                if renewed.elapsed() + LOOK + MARGIN >= self.lasts {
                    tracing::warn!(epoch, %error, "the lease ends; no source is asked until the store is back");
                    self.store.dethrone();
                    self.follow(false).await;
                }
                Err(error)
            }
        }
    }

    /// Shows what another replica has published since.
    async fn adopt(&mut self) -> Result<(), StoreError> {
        let Some(publication) = self.store.publication(self.seen).await? else { return Ok(()) };
        self.seen = publication.version;
        let states = board::shared_states(&self.control.config(), Some(&publication), false);
        self.tell(Turn::Adopt(Box::new(publication), states)).await;
        Ok(())
    }

    /// Tells readers what happened, as the store has it: each event has one number, whichever replica tells it.
    async fn tell_events(&self) -> Result<(), StoreError> {
        // Whoever started from its own copy has what its feeds show from now on too.
        self.live.begin().await?;
        let events = self.store.events_after(self.live.newest()).await?;
        if !events.is_empty() {
            self.live.tell(events);
        }
        Ok(())
    }

    /// Begins to ask sources, from what the store keeps.
    async fn lead(&mut self, leading: Leading) -> Result<(), StoreError> {
        let epoch = leading.epoch;
        // Nobody led in between: what waited to be written is still the newest that there is.
        if self.led != Some(epoch - 1) {
            self.store.give_up_waiting();
        }
        self.store.flush_now().await;
        self.adopt().await?;
        let clock = self.control.shop().clock.clone();
        let states = app::load_states(&self.control.config(), &self.store, &clock, false).await?;
        tracing::info!(epoch, "this replica leads: it asks the sources from now on");
        self.store.ask_until(Some(leading.renewed + self.lasts));
        self.leading = Some(leading);
        self.led = Some(epoch);
        let shown = states.iter().map(|(state, _)| Arc::new(FeedState::clone(state))).collect();
        self.tell(Turn::Lead(shown)).await;
        self.control.lead(states);
        Ok(())
    }

    /// Stops asking. `lost`: to another one, so what waits to be written is no longer wanted.
    async fn follow(&mut self, lost: bool) {
        self.leading = None;
        self.store.ask_until(None);
        self.control.stop_workers().await;
        if lost {
            self.led = None;
            self.store.give_up_waiting();
        }
        self.tell(Turn::Follow).await;
        // What is committed may be newer than what we saw while we led.
        self.seen = -1;
    }

    /// Shows what is published under settings that are others now.
    async fn tuned(&mut self) {
        if self.leading.is_some() {
            return;
        }
        if let Ok(Some(publication)) = self.store.publication(-1).await {
            let states = board::shared_states(&self.control.config(), Some(&publication), false);
            self.tell(Turn::Tuned(states)).await;
        }
    }

    /// Waits until the board has taken it.
    async fn tell(&self, turn: Turn) {
        let (sender, done) = oneshot::channel();
        let update = Update { news: News::Turn(turn), answer: Some((sender, RunEnd::Good)) };
        if self.updates.send(update).await.is_ok() {
            // Whoever stops the board meanwhile has no more use for it.
            let _ = done.await;
        }
    }
}

/// Keeps what is published on this machine's disk, whole or not at all, until `stop`.
pub async fn copy(
    file: PathBuf,
    mut copies: watch::Receiver<Option<Arc<Publication>>>,
    stop: CancellationToken,
) {
    let mut said = false;
    loop {
        let publication = copies.borrow_and_update().clone();
        if let Some(publication) = publication {
            let to = file.clone();
            let written = tokio::task::spawn_blocking(move || write(&to, &publication)).await;
            match written {
                Ok(Err(error)) if !said => {
                    said = true;
                    tracing::error!(file = %file.display(), %error, "the last board cannot be kept on this machine");
                }
                Ok(Ok(())) => said = false,
                _ => {}
            }
        }
        tokio::select! {
            () = stop.cancelled() => {
                if !copies.has_changed().unwrap_or(false) {
                    return;
                }
            }
            changed = async {
                tokio::time::sleep(BETWEEN_COPIES).await;
                copies.changed().await
            } => if changed.is_err() {
                return;
            },
        }
    }
}

fn write(file: &Path, publication: &Publication) -> std::io::Result<()> {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = file.with_file_name(name);
    let text = serde_json::to_vec(publication).map_err(std::io::Error::other)?;
    let hash = xxhash_rust::xxh3::xxh3_64(&text);
    let mut whole = format!("banggia-board 1 {hash:016x}\n").into_bytes();
    whole.extend_from_slice(&text);
    std::fs::write(&new, whole)?;
    std::fs::File::open(&new)?.sync_all()?;
    std::fs::rename(&new, file)
}

/// What this machine kept; `None`: nothing, or nothing that is whole.
#[must_use]
pub fn kept(file: &Path) -> Option<Publication> {
    let whole = match std::fs::read(file) {
        Ok(whole) => whole,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::error!(file = %file.display(), %error, "the last board on this machine cannot be read");
            return None;
        }
    };
    let read = || {
        let end = whole.iter().position(|byte| *byte == b'\n')?;
        let (head, text) = (whole.get(..end)?, whole.get(end + 1..)?);
        let wanted = format!("banggia-board 1 {:016x}", xxhash_rust::xxh3::xxh3_64(text));
        (head == wanted.as_bytes()).then(|| serde_json::from_slice(text).ok())?
    };
    let publication = read();
    if publication.is_none() {
        tracing::error!(file = %file.display(), "the last board on this machine is damaged and passed over");
    }
    publication
}
