//! The accept loop. `axum::serve` never times out a half-sent header; this one does, caps connections, and at
//! the end lets open requests finish within a deadline.
//!
//! The public listener has a thread a core, each with a runtime of its own: a connection stays where it was accepted,
//! and nothing is handed from thread to thread to clone some bytes. What costs work goes to the main runtime.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use arc_swap::ArcSwap;
use axum::{
    Router,
    body::Body,
    http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header},
    response::IntoResponse as _,
};
use bytes::Bytes;
use futures_util::{
    FutureExt as _,
    future::{Either, Ready, ready},
};
use http_body_util::{Either as EitherBody, Full};
use hyper::{
    body::{Body as _, Frame, Incoming, SizeHint},
    server::conn::http1,
    service::Service,
};
use hyper_util::rt::TokioIo;
use slab::Slab;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::coop::unconstrained,
    time::{Instant, Sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_service::Service as _;

use super::{
    Peer, Problem, Site,
    stream::{Departure, Waiting},
    wire::{self, Patience, Wire},
};
use crate::metrics::Tally;

/// A half-sent header, and an idle connection, end after this.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_CONNECTIONS: usize = 8192;
/// Files that public connections leave to everything else: the ops listener, sources, the store.
const OTHER_FILES: u64 = 64;
/// However few files there are, so many connections.
const LEAST_CONNECTIONS: usize = 32;
/// More serving threads than this have nothing to do.
const MAX_THREADS: usize = 8;
const MAX_HEADERS: usize = 64;
const MAX_HEADER_BYTES: usize = 16 << 10;
/// Open requests may finish within this when the service stops.
const DRAIN: Duration = Duration::from_secs(10);
/// When the service stops, requests that are on their way by then arrive within this.
const ARRIVAL: Duration = Duration::from_millis(50);
/// When no file is left for another connection, it helps to wait a little.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A bound address.
pub struct Listener {
    listener: TcpListener,
    /// With the real port where 0 was asked for.
    pub address: SocketAddr,
}

/// What a listener serves now: a reload of the configuration puts another one in its place, and connections stay.
pub type Shown = Arc<ArcSwap<Front>>;

/// What a listener serves.
pub struct Front {
    /// Whose documents are answered the quick way, before the router.
    pub quick: Option<Arc<Site>>,
    /// Everything else.
    pub router: Router,
    /// Where it is mounted, for the problems of requests that reach neither.
    pub mount: Arc<str>,
    /// Where its answers are counted.
    pub tally: Arc<Tally>,
}

impl Front {
    /// The public listener's, with the API's routes, which take a millisecond to describe themselves.
    #[must_use]
    pub fn public(api: Router<Arc<Site>>, site: &Arc<Site>) -> Self {
        Self {
            quick: Some(Arc::clone(site)),
            router: super::public_with(api, Arc::clone(site)),
            mount: Arc::clone(&site.mount),
            tally: site.metrics.public(),
        }
    }
}

impl Listener {
    /// Binds.
    ///
    /// # Errors
    /// The operating system's; the caller knows what the address is for.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        Self::of(TcpListener::bind(address).await?.into_std()?)
    }

    /// Over a socket that somebody else has bound.
    ///
    /// # Errors
    /// The operating system's.
    pub fn of(socket: std::net::TcpListener) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let listener = TcpListener::from_std(socket)?;
        let address = listener.local_addr()?;
        // Accepted sockets inherit it, which saves a call for each. Without it answers are as right, and later.
        let _ = socket2::SockRef::from(&listener).set_tcp_nodelay(true);
        Ok(Self { listener, address })
    }

    /// The same socket once more, for whoever serves after us.
    ///
    /// # Errors
    /// The operating system's.
    pub fn copy(&self) -> io::Result<std::net::TcpListener> {
        socket2::SockRef::from(&self.listener).try_clone().map(Into::into)
    }

    /// Serves from a thread a core until `stop`, then drains; `running` waits for them.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn serve_on_threads(
        self,
        front: &Shown,
        stop: &CancellationToken,
        running: &TaskTracker,
    ) -> io::Result<()> {
        let places = Arc::new(Semaphore::new(public_connections()));
        let spare = Arc::new(Semaphore::new(spare_files()));
        let listener = self.listener.into_std()?;
        let cores = std::thread::available_parallelism().map_or(2, usize::from).min(MAX_THREADS);
        for core in 0..cores {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let listener = listener.try_clone()?;
            let (front, stop, token) = (Arc::clone(front), stop.clone(), running.token());
            let (places, spare) = (Arc::clone(&places), Arc::clone(&spare));
            let serve = async move {
                match TcpListener::from_std(listener) {
                    Ok(listener) => serve(listener, places, spare, front, stop).await,
                    Err(error) => tracing::error!(%error, "a serving thread could not listen"),
                }
                drop(token);
            };
            std::thread::Builder::new()
                .name(format!("serve-{core}"))
                .spawn(move || runtime.block_on(serve))?;
        }
        Ok(())
    }

    /// Serves on this runtime until `stop`, then drains.
    pub async fn serve(self, front: Shown, stop: CancellationToken) {
        let [places, spare] = [MAX_CONNECTIONS, 0].map(|permits| Arc::new(Semaphore::new(permits)));
        serve(self.listener, places, spare, front, stop).await;
    }
}

/// So many that a flood of them takes no file from the ops listener: whoever watches us must not believe that we died.
fn public_connections() -> usize {
    let files = rlimit::Resource::NOFILE.get_soft().unwrap_or(u64::MAX);
    usize::try_from(files.saturating_sub(OTHER_FILES))
        .unwrap_or(MAX_CONNECTIONS)
        .clamp(LEAST_CONNECTIONS, MAX_CONNECTIONS)
}

/// How many connections may be streams of events: those of the files that requests have no use for, and where there are
/// few files, at most every other connection.
#[must_use]
pub fn room_for_streams() -> usize {
    public_connections() / 2 + spare_files()
}

/// Files beyond those of connections and everything else.
fn spare_files() -> usize {
    let files = rlimit::Resource::NOFILE.get_soft().unwrap_or(u64::MAX);
    let spare = files.saturating_sub(OTHER_FILES + u64::try_from(MAX_CONNECTIONS).unwrap_or(0));
    usize::try_from(spare).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS)
}

async fn serve(
    listener: TcpListener,
    places: Arc<Semaphore>,
    spare: Arc<Semaphore>,
    front: Shown,
    stop: CancellationToken,
) {
    let mut server = http1::Builder::new();
    server.header_read_timeout(None).max_headers(MAX_HEADERS).max_buf_size(MAX_HEADER_BYTES);
    let door = Door { server, front, spare, connections: TaskTracker::new(), stopping: Arc::default() };
    while !stop.is_cancelled() {
        if AssertUnwindSafe(door.accept(&listener, &places, &stop)).catch_unwind().await.is_err() {
            tracing::error!("the accept loop panicked; it goes on");
        }
    }
    // Whoever got through to the system before the end is answered too.
    while let Some(Ok((stream, peer))) = listener.accept().now_or_never() {
        door.attend(stream, peer.ip(), None);
    }
    drop(listener);
    door.stopping.tell();
    door.connections.close();
    if tokio::time::timeout(DRAIN, door.connections.wait()).await.is_err() {
        tracing::warn!("some requests did not finish within {DRAIN:?}");
    }
}

/// Where connections come in.
struct Door {
    server: http1::Builder,
    front: Shown,
    /// For streams, which then take no place from requests.
    spare: Arc<Semaphore>,
    connections: TaskTracker,
    stopping: Arc<Stopping>,
}

impl Door {
    /// Until `stop`.
    async fn accept(&self, listener: &TcpListener, places: &Arc<Semaphore>, stop: &CancellationToken) {
        let mut stopped = pin!(stop.cancelled());
        let mut paused = false;
        loop {
            let accepted = async {
                // Never closed.
                let place = Arc::clone(places).acquire_owned().await.ok();
                (place, listener.accept().await)
            };
            let (place, accepted) = tokio::select! {
                () = &mut stopped => return,
                accepted = accepted => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    paused = false;
                    self.attend(stream, peer.ip(), place);
                }
                // One client's trouble is no reason to keep the others waiting.
                Err(error) if is_of_one_client(&error) => {}
                Err(error) => {
                    if !paused {
                        tracing::warn!(%error, "no connection can be accepted for a moment");
                    }
                    paused = true;
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// A task for a connection.
    fn attend(&self, stream: TcpStream, peer: IpAddr, place: Option<OwnedSemaphorePermit>) {
        let front = self.front.load();
        let patience = Patience::new(&front.tally);
        let wire = TokioIo::new(Wire::new(stream, Arc::clone(&patience), Arc::clone(&front.mount)));
        let visitor = Visitor {
            front: Arc::clone(&self.front),
            peer,
            patience: Arc::clone(&patience),
            stopping: Arc::clone(&self.stopping),
        };
        // Boxed: it is large, and a task is moved more than once before it runs.
        let mut attendance = Box::new(Attendance {
            connection: self.server.serve_connection(wire, visitor),
            patience,
            timer: Box::pin(tokio::time::sleep(HEADER_TIMEOUT)),
            armed: false,
            stopping: Arc::clone(&self.stopping),
            registered: None,
            leaving: Leaving::No,
        });
        let spare = Arc::clone(&self.spare);
        self.connections.spawn(async move {
            let ended = attendance.as_mut().await;
            if let Some(departure) = attendance.patience.departure() {
                let place = spare.try_acquire_owned().ok().or(place);
                // Counts as an open connection for as long as it is held.
                let (patience, stream) = attendance.depart(departure);
                stream.await;
                drop((patience, place));
                return;
            }
            if let Some(farewell) = attendance.end(ended.as_ref()) {
                farewell.await;
            }
            drop(place);
        });
    }
}

/// Trouble of a single connection that ended before it was accepted.
fn is_of_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

/// Sees a connection through: to its end, to the end of our patience, or until the service stops.
struct Attendance {
    connection: Connection,
    patience: Arc<Patience>,
    timer: Pin<Box<Sleep>>,
    armed: bool,
    stopping: Arc<Stopping>,
    registered: Option<Registered>,
    leaving: Leaving,
}

/// When the service stops, an idle connection is closed at once; what is on its way to it by then must have arrived.
#[derive(PartialEq)]
enum Leaving {
    No,
    Soon,
    Now,
}

impl Future for Attendance {
    /// `None`: the client kept us waiting for too long.
    type Output = Option<hyper::Result<()>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        // A task is always woken through the same waker.
        this.registered.get_or_insert_with(|| Stopping::register(&this.stopping, cx.waker().clone()));
        if let Poll::Ready(ended) = Pin::new(&mut this.connection).poll(cx) {
            return Poll::Ready(Some(ended));
        }
        if this.patience.departs() {
            return Poll::Ready(Some(Ok(())));
        }
        if this.leaving == Leaving::No && this.stopping.is_now() {
            this.leaving = Leaving::Soon;
            this.timer.as_mut().reset(Instant::now() + ARRIVAL);
            this.armed = false;
        }
        // A timer that has been polled wakes this task when it is due; until then there is no need to look.
        while !this.armed || this.timer.is_elapsed() {
            // Without a budget, since a poll that is put off would leave no waker behind.
            let due = Pin::new(&mut unconstrained(this.timer.as_mut())).poll(cx).is_ready();
            this.armed = true;
            if !due {
                break;
            }
            let now = Instant::now();
            if this.leaving == Leaving::Soon {
                this.leaving = Leaving::Now;
                Pin::new(&mut this.connection).graceful_shutdown();
                if let Poll::Ready(ended) = Pin::new(&mut this.connection).poll(cx) {
                    return Poll::Ready(Some(ended));
                }
            }
            let ends = this.patience.ends(HEADER_TIMEOUT).unwrap_or(now + HEADER_TIMEOUT);
            if ends <= now {
                return Poll::Ready(None);
            }
            this.timer.as_mut().reset(ends);
            this.armed = false;
        }
        Poll::Pending
    }
}

impl Attendance {
    /// The connection as a stream; what hyper kept for it is given back.
    fn depart(self, departure: Departure) -> (Arc<Patience>, Pin<Box<dyn Future<Output = ()> + Send>>) {
        let wire = self.connection.into_parts().io.into_inner();
        (self.patience, Box::pin(departure.on(wire.into_stream(), self.stopping)))
    }

    /// Afterwards: who was refused or kept us waiting is told why. Rarely anything, so that it takes no room in the task
    /// of each connection.
    fn end(self, ended: Option<&hyper::Result<()>>) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        if let Some(Err(error)) = ended {
            tracing::debug!(%error, "a connection ended early");
        }
        let wire = self.connection.into_parts().io.into_inner();
        match ended {
            None => Some(Box::pin(Box::new(wire).tell(Problem::timeout("")))),
            // Of HTTP/2, hyper says nothing at all.
            Some(Err(error)) if error.is_parse() && !wire.was_refused() => {
                Some(Box::pin(Box::new(wire).tell(wire::unreadable())))
            }
            Some(_) if wire.was_refused() => Some(Box::pin(Box::new(wire).linger())),
            Some(_) => None,
        }
    }
}

type Connection = http1::Connection<TokioIo<Wire>, Visitor>;

/// Tells every connection once that the service stops. A token or a channel that each connection polls would take a
/// lock whenever it wakes; this is one flag, and a lock when a connection comes and goes.
#[derive(Default)]
pub(super) struct Stopping {
    now: AtomicBool,
    wakers: Mutex<Slab<Waker>>,
}

impl Stopping {
    fn wakers(&self) -> MutexGuard<'_, Slab<Waker>> {
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn register(this: &Arc<Self>, waker: Waker) -> Registered {
        Registered { at: this.wakers().insert(waker), stopping: Arc::clone(this) }
    }

    pub(super) fn is_now(&self) -> bool {
        self.now.load(Ordering::Acquire)
    }

    /// When the service stops, an answer says that it is the last one on its connection.
    fn last_of_all<B>(&self, mut response: Response<B>) -> Response<B> {
        if self.is_now() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    fn tell(&self) {
        // Before the lock: who registers after it is released sees the flag.
        self.now.store(true, Ordering::Release);
        for (_, waker) in self.wakers().iter() {
            waker.wake_by_ref();
        }
    }
}

/// A waker's place in [`Stopping`].
pub(super) struct Registered {
    stopping: Arc<Stopping>,
    at: usize,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.stopping.wakers().try_remove(self.at);
    }
}

/// The service of one connection.
struct Visitor {
    front: Shown,
    peer: IpAddr,
    patience: Arc<Patience>,
    stopping: Arc<Stopping>,
}

type Reply = Response<Sent>;
type Slow = Pin<Box<dyn Future<Output = Result<Reply, Infallible>> + Send>>;

impl Service<Request<Incoming>> for Visitor {
    type Response = Reply;
    type Error = Infallible;
    type Future = Either<Ready<Result<Reply, Infallible>>, Slow>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.patience.answering(true);
        let sent = |body| Sent { body, patience: Arc::clone(&self.patience) };
        let front = self.front.load();
        if let Some(site) = &front.quick
            && is_plain(&request)
            // Whatever goes wrong here, the long way says it better.
            && let Ok(Some(response)) = catch_unwind(AssertUnwindSafe(|| {
                site.quick(request.method(), request.uri(), request.headers())
            }))
        {
            self.patience.answered(response.status());
            let response = self.stopping.last_of_all(response);
            return Either::Left(ready(Ok(response.map(|body| sent(EitherBody::Left(body))))));
        }
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(self.peer));
        let (version, uri, mount) = (request.version(), request.uri().clone(), Arc::clone(&front.mount));
        let answer = front.router.clone().call(request);
        let (patience, stopping) = (Arc::clone(&self.patience), Arc::clone(&self.stopping));
        Either::Right(Box::pin(async move {
            let mut response = match answer.await {
                Ok(response) => response,
                Err(never) => match never {},
            };
            patience.answered(response.status());
            let waiting = response.extensions_mut().remove::<Waiting>();
            if let Some(beginning) = waiting.and_then(|waiting| waiting.take()) {
                let head = response.headers();
                if patience.depart(Departure::new(version, head, &wire::date(), beginning)) {
                    // The connection goes on without hyper, and without us.
                    return std::future::pending().await;
                }
                let problem = Problem::unavailable(&uri, "the answers before this one have not been read", 1);
                return Ok(problem_alone(problem, &mount).map(|body| Sent { body, patience }));
            }
            if response.status() == StatusCode::NOT_MODIFIED {
                // axum gives every HEAD one, here of a body that is not there.
                response.headers_mut().remove(header::CONTENT_LENGTH);
            }
            let response = stopping.last_of_all(response);
            Ok(response.map(|body| Sent { body: EitherBody::Right(body), patience }))
        }))
    }
}

/// A problem that no router has seen; nothing is read behind it.
fn problem_alone(problem: Problem, mount: &str) -> Response<EitherBody<Full<Bytes>, Body>> {
    let mut response = problem.into_response();
    let problem = response.extensions_mut().remove::<Problem>();
    let told = problem.map_or_else(Vec::new, |problem| problem.told(mount));
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response.map(|_| EitherBody::Left(Full::new(told.into())))
}

/// A body that says when it has been handed over.
struct Sent {
    body: EitherBody<Full<Bytes>, Body>,
    patience: Arc<Patience>,
}

impl Drop for Sent {
    fn drop(&mut self) {
        self.patience.answering(false);
    }
}

impl hyper::body::Body for Sent {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A request to which nothing need be said but what it asks for.
fn is_plain(request: &Request<Incoming>) -> bool {
    (request.method() == Method::GET || request.method() == Method::HEAD)
        && request.body().is_end_stream()
        && !super::is_too_long(request.uri())
        && has_one_host(request.version(), request.headers())
}

/// Every HTTP/1.1 request names its host, once (RFC 9112 §3.2); the name itself is never used.
pub(super) fn has_one_host(version: Version, headers: &HeaderMap) -> bool {
    let hosts = headers.get_all(header::HOST).iter().count();
    hosts == 1 || (hosts == 0 && version < Version::HTTP_11)
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

    async fn doors(
        router: Router,
        places: usize,
    ) -> (SocketAddr, CancellationToken, impl Future<Output = ()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let front = Arc::new(ArcSwap::from_pointee(Front {
            quick: None,
            router,
            mount: "".into(),
            tally: Arc::default(),
        }));
        let spare = Arc::new(Semaphore::new(0));
        let serving = serve(listener, Arc::new(Semaphore::new(places)), spare, front, stop.clone());
        (address, stop, serving)
    }

    async fn visitor(address: SocketAddr) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(REQUEST).await.unwrap();
        stream
    }

    async fn answer(stream: &mut TcpStream) -> [u8; 12] {
        let mut head = [0; 12];
        stream.read_exact(&mut head).await.unwrap();
        head
    }

    #[tokio::test]
    async fn beyond_the_cap_a_connection_waits_until_another_ends() {
        let (address, stop, serving) = doors(Router::new().route("/", get(async || "ok")), 2).await;
        let visits = async {
            let (mut first, mut second) = (visitor(address).await, visitor(address).await);
            assert_eq!(&answer(&mut first).await, b"HTTP/1.1 200");
            assert_eq!(&answer(&mut second).await, b"HTTP/1.1 200");
            let mut third = visitor(address).await;
            let early = tokio::time::timeout(Duration::from_millis(300), answer(&mut third)).await;
            assert!(early.is_err(), "answered although both places are taken");
            drop(first);
            assert_eq!(&answer(&mut third).await, b"HTTP/1.1 200");
            stop.cancel();
        };
        tokio::join!(serving, visits);
    }

    #[tokio::test]
    async fn a_request_that_does_not_end_keeps_nobody_beyond_the_deadline() {
        let begun = Arc::new(tokio::sync::Notify::new());
        let told = Arc::clone(&begun);
        let endless = async move || {
            told.notify_one();
            std::future::pending::<&'static str>().await
        };
        let (address, stop, serving) = doors(Router::new().route("/", get(endless)), 2).await;
        let visit = async {
            let stream = visitor(address).await;
            begun.notified().await;
            stop.cancel();
            stream
        };
        let ended = tokio::time::timeout(DRAIN * 2, async { tokio::join!(serving, visit) }).await;
        assert!(ended.is_ok(), "still serving");
    }
}
