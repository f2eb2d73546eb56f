//! A connection that has become a stream of events: taken out of hyper, whose buffers it does not need, once its request is
//! answered. It sends bytes that are shared with all other streams, and ends when its reader goes, is too slow, or the
//! service stops. What it sends is `live.rs`'s say.

use std::{
    collections::VecDeque,
    io::IoSlice,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use axum::http::{HeaderMap, Version, header};
use bytes::{Buf as _, Bytes};
use tokio::{
    io::{AsyncRead as _, AsyncWrite as _, ReadBuf},
    net::TcpStream,
};

use super::serve::{Registered, Stopping};
use crate::live::{self, Next, Reader};

/// What the system keeps of what a reader does not take: some hundred events, and no megabytes for each of thousands.
const SEND_BUFFER: usize = 32 << 10;
/// The last chunk (RFC 9112 §7.1).
const LAST: &[u8] = b"0\r\n\r\n";

/// A sign of life that clients ignore.
fn heartbeat() -> Bytes {
    Bytes::from_static(b"3\r\n:\n\n\r\n")
}

/// A stream that waits for its connection; it travels with the response that begins it.
#[derive(Clone)]
pub(super) struct Waiting(Arc<Mutex<Option<Beginning>>>);

/// What a stream begins with, and how it goes on.
pub(super) struct Beginning {
    pub(super) reader: Reader,
    /// One chunk.
    pub(super) first: Bytes,
}

impl Waiting {
    pub(super) fn new(beginning: Beginning) -> Self {
        Self(Arc::new(Mutex::new(Some(beginning))))
    }

    pub(super) fn take(&self) -> Option<Beginning> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A stream with the head of its answer.
pub(super) struct Departure {
    head: Bytes,
    beginning: Beginning,
    /// HTTP/1.0 knows no chunks; there the end of the connection is that of the answer.
    chunked: bool,
}

impl Departure {
    /// `headers` are those of the answer.
    pub(super) fn new(version: Version, headers: &HeaderMap, date: &str, beginning: Beginning) -> Self {
        let chunked = version >= Version::HTTP_11;
        let mut head = format!("HTTP/1.{} 200 OK\r\n", u8::from(chunked)).into_bytes();
        let framing = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION, header::DATE];
        for (name, value) in headers.iter().filter(|(name, _)| !framing.contains(name)) {
            head.extend_from_slice(name.as_str().as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        let framing = if chunked { "transfer-encoding: chunked\r\n" } else { "" };
        head.extend_from_slice(format!("{framing}connection: close\r\ndate: {date}\r\n\r\n").as_bytes());
        Self { head: head.into(), beginning, chunked }
    }

    /// On this connection, until the service stops.
    pub(super) fn on(self, socket: TcpStream, stopping: Arc<Stopping>) -> Stream {
        // A reader that does not read costs the system more without it, and is noticed later.
        let _ = socket2::SockRef::from(&socket).set_send_buffer_size(SEND_BUFFER);
        let Self { head, beginning: Beginning { reader, first }, chunked } = self;
        let mut stream = Stream {
            socket,
            reader,
            out: VecDeque::from([head]),
            events: 0,
            chunked,
            ending: false,
            stopping,
            registered: None,
        };
        stream.push(first);
        stream
    }
}

/// A reader and its socket.
pub(super) struct Stream {
    socket: TcpStream,
    reader: Reader,
    out: VecDeque<Bytes>,
    /// Of what is on its way out.
    events: u64,
    chunked: bool,
    ending: bool,
    stopping: Arc<Stopping>,
    registered: Option<Registered>,
}

impl Stream {
    fn push(&mut self, chunk: Bytes) {
        self.out.push_back(if self.chunked { chunk } else { live::unchunked(&chunk) });
    }

    /// Sends what waits; ready when all is out.
    fn send(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        while !self.out.is_empty() {
            let mut slices = [IoSlice::new(&[]); 18];
            let mut count = 0;
            for (slice, bytes) in slices.iter_mut().zip(&self.out) {
                *slice = IoSlice::new(bytes);
                count += 1;
            }
            let slices = slices.get(..count).unwrap_or_default();
            let mut sent = ready!(Pin::new(&mut self.socket).poll_write_vectored(cx, slices))?;
            while let Some(first) = self.out.front_mut().filter(|_| sent > 0) {
                let part = sent.min(first.len());
                first.advance(part);
                sent -= part;
                if first.is_empty() {
                    self.out.pop_front();
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Whether the client has gone. What it still says is of no interest.
    fn is_gone(&mut self, cx: &mut Context<'_>) -> bool {
        let mut rest = [0; 512];
        loop {
            let mut rest = ReadBuf::new(&mut rest);
            match Pin::new(&mut self.socket).poll_read(cx, &mut rest) {
                Poll::Pending => return false,
                Poll::Ready(Ok(())) if !rest.filled().is_empty() => {}
                Poll::Ready(_) => return true,
            }
        }
    }
}

impl Future for Stream {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.registered.get_or_insert_with(|| Stopping::register(&this.stopping, cx.waker().clone()));
        this.reader.wake_by(cx.waker());
        if this.is_gone(cx) {
            return Poll::Ready(());
        }
        loop {
            match this.send(cx) {
                Poll::Pending if this.reader.is_too_slow() => {
                    this.reader.dropped();
                    return Poll::Ready(());
                }
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) => this.reader.took(std::mem::take(&mut this.events)),
            }
            if this.ending {
                return Poll::Ready(());
            }
            let next = if this.stopping.is_now() { Next::End } else { this.reader.step() };
            match next {
                Next::Send(chunks) => {
                    this.events = u64::try_from(chunks.len()).unwrap_or(0);
                    for chunk in chunks {
                        this.push(chunk);
                    }
                }
                Next::Heartbeat => this.push(heartbeat()),
                Next::End => {
                    this.ending = true;
                    if this.chunked {
                        this.out.push_back(Bytes::from_static(LAST));
                    }
                }
                Next::Overtaken => {
                    this.reader.dropped();
                    return Poll::Ready(());
                }
                Next::Wait => {
                    this.out = VecDeque::new();
                    return Poll::Pending;
                }
            }
        }
    }
}
