//! A connection's socket, with what hyper does not do: errors that hyper answers by itself (400, 414, 431) leave as
//! problem documents, a reader that takes nothing for half a minute loses the connection, and a client that was
//! refused while it was still sending gets to read why. It also knows since when a client keeps us waiting, at the
//! price of one look at the clock an answer; hyper's own timer is set and cleared for each request.

use std::{
    cell::RefCell,
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::http::StatusCode;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep},
};

use super::{Problem, stream::Departure};
use crate::{clock::Clock, metrics::Tally};

/// Bytes that are copied rather than sent from two places.
const SMALL: usize = 4096;
/// A write makes some progress within this.
const STALL: Duration = Duration::from_secs(30);
/// What a client that was told off may take to read it.
const FAREWELL: Duration = Duration::from_secs(1);

/// Since when a client keeps us waiting for a request; shared by the socket, the service and the timer of one
/// connection.
pub(super) struct Patience {
    opened: Instant,
    /// Milliseconds after `opened` at which the last bytes went out.
    since: AtomicU64,
    /// It is we who work: a request is here whose answer is not complete.
    answering: AtomicBool,
    /// It is the reader of the answer who is slow; that has a limit of its own.
    stalled: AtomicBool,
    /// The connection becomes a stream of events: so much it says, and when it does, with what.
    departs: AtomicBool,
    departure: Mutex<Option<Box<Departure>>>,
    /// Where the connection and its answers are counted.
    tally: Arc<Tally>,
}

impl Patience {
    /// Of a connection that is open from now until nobody holds this.
    pub(super) fn new(tally: &Arc<Tally>) -> Arc<Self> {
        tally.opened();
        Arc::new(Self {
            opened: Instant::now(),
            since: AtomicU64::new(0),
            answering: AtomicBool::new(false),
            stalled: AtomicBool::new(false),
            departs: AtomicBool::new(false),
            departure: Mutex::new(None),
            tally: Arc::clone(tally),
        })
    }

    /// A request was answered with this status.
    pub(super) fn answered(&self, status: StatusCode) {
        self.tally.answered(status.as_u16());
    }

    /// From the request until the body of its answer is handed over.
    pub(super) fn answering(&self, now: bool) {
        self.answering.store(now, Ordering::Relaxed);
    }

    /// From now on the connection is a stream. Not so while an answer before this one is stuck in hyper's buffer.
    pub(super) fn depart(&self, departure: Departure) -> bool {
        if self.stalled.load(Ordering::Relaxed) {
            return false;
        }
        *self.departure.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(departure));
        self.departs.store(true, Ordering::Release);
        true
    }

    /// Whether it does.
    pub(super) fn departs(&self) -> bool {
        self.departs.load(Ordering::Acquire)
    }

    /// With what.
    pub(super) fn departure(&self) -> Option<Departure> {
        if !self.departs() {
            return None;
        }
        self.departure.lock().unwrap_or_else(PoisonError::into_inner).take().map(|boxed| *boxed)
    }

    fn written(&self) {
        let now = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.since.store(now, Ordering::Relaxed);
        self.stalled.store(false, Ordering::Relaxed);
    }

    /// When it ends, if it is the client that keeps us waiting.
    pub(super) fn ends(&self, patience: Duration) -> Option<Instant> {
        if self.answering.load(Ordering::Relaxed) || self.stalled.load(Ordering::Relaxed) {
            return None;
        }
        Some(self.opened + Duration::from_millis(self.since.load(Ordering::Relaxed)) + patience)
    }
}

impl Drop for Patience {
    fn drop(&mut self) {
        self.tally.closed();
    }
}

/// What came since the last answer: of a request that is unfinished, or whose answer is.
#[derive(Default)]
struct Begun {
    /// Its method, or the start of it; empty before the first byte.
    method: [u8; 5],
    length: usize,
    /// Its request line has ended.
    line_ended: bool,
}

impl Begun {
    fn read(&mut self, bytes: &[u8]) {
        for (place, byte) in self.method.iter_mut().skip(self.length).zip(bytes) {
            *place = *byte;
            self.length += 1;
        }
        self.line_ended = self.line_ended || bytes.contains(&b'\n');
    }

    /// Whether the answer has no body.
    fn is_head(&self) -> bool {
        self.method == *b"HEAD "
    }
}

/// The socket of one connection.
pub(super) struct Wire {
    stream: TcpStream,
    patience: Arc<Patience>,
    /// Where the listener is mounted.
    mount: Arc<str>,
    begun: Begun,
    /// Some request was refused.
    refused: bool,
    stalled: Option<Pin<Box<Sleep>>>,
    /// Our words instead of hyper's, and how much of them is out.
    instead: Option<(Vec<u8>, usize)>,
}

impl Wire {
    pub(super) fn new(stream: TcpStream, patience: Arc<Patience>, mount: Arc<str>) -> Self {
        Self {
            stream,
            patience,
            mount,
            begun: Begun::default(),
            refused: false,
            stalled: None,
            instead: None,
        }
    }

    /// Why a client that began a request gets no other answer; an idle one is let go without a word.
    pub(super) async fn tell(mut self: Box<Self>, problem: Problem) {
        if self.begun.length > 0 {
            let answer = self.raw(problem);
            // A client that does not read it has been told nothing; there is no more to be done.
            let told = tokio::time::timeout(FAREWELL, self.stream.write_all(&answer)).await;
            if matches!(told, Ok(Ok(()))) && self.stream.shutdown().await.is_ok() {
                self.linger().await;
            }
        }
    }

    /// Without us.
    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Whether a client may still be sending what was refused.
    pub(super) const fn was_refused(&self) -> bool {
        self.refused
    }

    /// Reads on for a moment before the end: closing a socket with unread bytes resets it, and the answer is lost on
    /// its way.
    pub(super) async fn linger(mut self: Box<Self>) {
        let mut rest = vec![0; 4096];
        let drained = async { while matches!(self.stream.read(&mut rest).await, Ok(read) if read > 0) {} };
        // Whoever goes on sending is cut off.
        let _ = tokio::time::timeout(FAREWELL, drained).await;
    }

    /// What to say when hyper is about to say `bytes` by itself: those have no body and no type.
    fn instead_of(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let status = refuses(bytes)?;
        if bytes.windows(13).any(|name| name == b"content-type:") {
            return None;
        }
        let problem = match status {
            b"00" => unreadable(),
            b"14" => Problem::uri_too_long(""),
            b"31" if self.begun.length > 0 && !self.begun.line_ended => Problem::uri_too_long(""),
            b"31" => Problem::headers_too_large(""),
            _ => return None,
        };
        Some(self.raw(problem))
    }

    fn raw(&self, problem: Problem) -> Vec<u8> {
        self.patience.answered(problem.status());
        problem.raw(&self.mount, &date(), self.begun.is_head())
    }

    /// Sends our words; ready when all are out.
    fn send_instead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some((bytes, sent)) = &mut self.instead {
            let rest = bytes.get(*sent..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *sent += written;
        }
        Poll::Ready(Ok(()))
    }

    fn watch_stall<T>(&mut self, cx: &mut Context<'_>, progress: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if progress.is_ready() {
            self.stalled = None;
            return progress;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(STALL)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the reader took nothing for half a minute")))
    }
}

/// 400 to what is no request that we know.
pub(super) fn unreadable() -> Problem {
    Problem::bad_request("", "the request could not be read as HTTP/1.1")
}

/// The last two digits of a status of the four hundreds, at the start of an answer.
fn refuses(bytes: &[u8]) -> Option<&[u8]> {
    bytes.strip_prefix(b"HTTP/1.1 4").or_else(|| bytes.strip_prefix(b"HTTP/1.0 4"))?.get(..2)
}

thread_local! {
    /// Head and body of a small answer; one for all connections of a thread.
    static TOGETHER: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(SMALL));
}

/// IMF-fixdate (RFC 9110 §5.6.7).
pub(super) fn date() -> String {
    Clock::system().now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        this.begun.read(buf.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.instead.is_none() {
            this.refused |= bufs.first().is_some_and(|first| refuses(first).is_some());
            this.instead = bufs.first().and_then(|first| this.instead_of(first)).map(|words| (words, 0));
        }
        if this.instead.is_some() {
            // hyper's own bytes count as written, and are not.
            let sent = this.send_instead(cx).map_ok(|()| bufs.iter().map(|buf| buf.len()).sum());
            return this.watch_stall(cx, sent);
        }
        let stream = Pin::new(&mut this.stream);
        let written = if bufs.len() > 1 && bufs.iter().map(|buf| buf.len()).sum::<usize>() <= SMALL {
            // One buffer is cheaper to send than two, as long as it is cheap to copy.
            TOGETHER.with_borrow_mut(|together| {
                together.clear();
                for buf in bufs {
                    together.extend_from_slice(buf);
                }
                stream.poll_write(cx, together)
            })
        } else {
            stream.poll_write_vectored(cx, bufs)
        };
        if written.is_ready() {
            this.begun = Begun::default();
            this.patience.written();
        } else {
            this.patience.stalled.store(true, Ordering::Relaxed);
        }
        this.watch_stall(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.send_instead(cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // The socket is closed at once, and that says the same; only who is refused is read on.
        if this.refused { Pin::new(&mut this.stream).poll_shutdown(cx) } else { Poll::Ready(Ok(())) }
    }
}
