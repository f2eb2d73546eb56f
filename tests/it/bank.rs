//! A scripted bank on loopback: what it answers, path by path and request by request, is the test's to say. It
//! speaks raw bytes, so that it can misbehave in ways that no HTTP library would.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use banggia::clock::Clock;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// One answer.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Status, more headers, body.
    Http(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Exactly these bytes, then the connection ends.
    Raw(Vec<u8>),
    /// These bytes, then one byte a second for ever.
    Drip(Vec<u8>),
    /// These bytes, then the connection is reset.
    Reset(Vec<u8>),
    /// These bytes, then so many blanks, or as many as the client takes.
    Pour(Vec<u8>, usize),
    /// Status 200 and this body, as soon as the test says so.
    Later(tokio::sync::watch::Receiver<bool>, Vec<u8>),
}

impl Reply {
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::Http(200, Vec::new(), body.into())
    }

    pub fn status(status: u16) -> Self {
        Self::Http(status, Vec::new(), b"no".to_vec())
    }

    pub fn with(self, name: &'static str, value: impl Into<String>) -> Self {
        match self {
            Self::Http(status, mut headers, body) => {
                headers.push((name, value.into()));
                Self::Http(status, headers, body)
            }
            other => other,
        }
    }
}

/// One request that arrived.
#[derive(Debug, Clone)]
pub struct Hit {
    pub method: String,
    pub target: String,
    pub head: String,
    pub body: String,
    /// When it had arrived.
    pub at: jiff::Timestamp,
}

#[derive(Default)]
struct Book {
    scripts: HashMap<String, Vec<Reply>>,
    hits: Vec<Hit>,
    /// Requests being answered now, and the most that ever were at once.
    open: usize,
    most: usize,
    /// Blanks that were poured.
    poured: usize,
}

/// The bank. It ends with the test's runtime.
#[derive(Clone)]
pub struct Bank {
    pub address: SocketAddr,
    book: Arc<Mutex<Book>>,
}

impl Bank {
    pub async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let bank = Self { address: listener.local_addr().unwrap(), book: Arc::default() };
        let book = Arc::clone(&bank.book);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&book)));
            }
        });
        bank
    }

    /// The same bank under eleven names of one port, `127.0.0.1` to `127.0.0.11`: a host is asked one thing at a time,
    /// and what is slow would wait for what is slow.
    pub async fn open_wide() -> Self {
        loop {
            let bank = Self::open().await;
            let mut listeners = Vec::new();
            for last in 2..=11 {
                listeners.push(
                    TcpListener::bind(SocketAddr::from(([127, 0, 0, last], bank.address.port()))).await,
                );
            }
            // Somebody has the port there: another one.
            let Ok(listeners) = listeners.into_iter().collect::<Result<Vec<_>, _>>() else { continue };
            for listener in listeners {
                let book = Arc::clone(&bank.book);
                tokio::spawn(async move {
                    while let Ok((stream, _)) = listener.accept().await {
                        tokio::spawn(answer(stream, Arc::clone(&book)));
                    }
                });
            }
            return bank;
        }
    }

    /// How many blanks have been poured for all.
    pub fn poured(&self) -> usize {
        self.book.lock().unwrap().poured
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Replies to a path, to a path with its query, or to a path and after a blank the form that is posted to it; in
    /// order, the last one stays.
    pub fn script(&self, path: &str, replies: impl IntoIterator<Item = Reply>) {
        let mut replies: Vec<Reply> = replies.into_iter().collect();
        replies.reverse();
        self.book.lock().unwrap().scripts.insert(path.to_owned(), replies);
    }

    pub fn hits(&self, path: &str) -> Vec<Hit> {
        let book = self.book.lock().unwrap();
        book.hits.iter().filter(|hit| hit.target.split('?').next() == Some(path)).cloned().collect()
    }

    /// The most requests that ever were open at once.
    pub fn most_at_once(&self) -> usize {
        self.book.lock().unwrap().most
    }

    pub fn all_hits(&self) -> usize {
        self.book.lock().unwrap().hits.len()
    }
}

async fn answer(mut stream: TcpStream, book: Arc<Mutex<Book>>) {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    let head = loop {
        match stream.read(&mut buffer).await {
            Ok(n) if n > 0 => request.extend_from_slice(&buffer[..n]),
            _ => return,
        }
        if let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") {
            break String::from_utf8_lossy(&request[..end]).into_owned();
        }
    };
    let length = head
        .lines()
        .find_map(|line| {
            line.to_ascii_lowercase().strip_prefix("content-length:").map(|n| n.trim().parse().unwrap())
        })
        .unwrap_or(0);
    while request.len() < head.len() + 4 + length {
        match stream.read(&mut buffer).await {
            Ok(n) if n > 0 => request.extend_from_slice(&buffer[..n]),
            _ => return,
        }
    }
    let mut words = head.split(' ');
    let (method, target) =
        (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let path = target.split('?').next().unwrap_or_default().to_owned();
    let body = String::from_utf8_lossy(&request[head.len() + 4..]).into_owned();
    let reply = {
        let mut book = book.lock().unwrap();
        let (whole, form) = (target.clone(), body.clone());
        book.hits.push(Hit { method, target, head, body, at: Clock::system().now() });
        book.open += 1;
        book.most = book.most.max(book.open);
        // What was scripted for one question stands above what was scripted for its path.
        let one = [format!("{path} {form}"), whole];
        let key = one.into_iter().find(|key| book.scripts.contains_key(key)).unwrap_or(path);
        match book.scripts.get_mut(&key) {
            Some(replies) if replies.len() > 1 => replies.pop().unwrap(),
            Some(replies) => replies.last().cloned().unwrap_or_else(|| Reply::status(404)),
            None => Reply::status(404),
        }
    };
    let reply = match reply {
        Reply::Later(mut told, body) => {
            // A test that has ended says nothing any more.
            let _ = told.wait_for(|told| *told).await;
            Reply::ok(body)
        }
        reply => reply,
    };
    // A client that goes away in the middle is part of the game.
    let _ = match reply {
        Reply::Reset(bytes) => {
            let sent = stream.write_all(&bytes).await;
            let _ = socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO));
            sent
        }
        Reply::Pour(head, most) => pour(&mut stream, &head, most, &book).await,
        Reply::Http(status, headers, body) => {
            let bytes = http(status, headers, &body);
            let (most, last) = bytes.split_at(bytes.len() - 1);
            let sent = stream.write_all(most).await;
            // Before the last byte: whoever has all of it may ask the next thing at once.
            book.lock().unwrap().open -= 1;
            let _ = stream.write_all(last).await;
            let _ = stream.shutdown().await;
            return drop(sent);
        }
        reply => send(&mut stream, reply).await,
    };
    book.lock().unwrap().open -= 1;
}

fn http(status: u16, headers: Vec<(&'static str, String)>, body: &[u8]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}

async fn pour(stream: &mut TcpStream, head: &[u8], most: usize, book: &Mutex<Book>) -> std::io::Result<()> {
    static BLANKS: [u8; 16 << 10] = [b' '; 16 << 10];
    stream.write_all(head).await?;
    for _ in 0..most.div_ceil(BLANKS.len()) {
        stream.write_all(&BLANKS).await?;
        book.lock().unwrap().poured += BLANKS.len();
    }
    stream.shutdown().await
}

async fn send(stream: &mut TcpStream, reply: Reply) -> std::io::Result<()> {
    match reply {
        Reply::Raw(bytes) => stream.write_all(&bytes).await?,
        Reply::Drip(bytes) => {
            stream.write_all(&bytes).await?;
            loop {
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                stream.write_all(b" ").await?;
            }
        }
        Reply::Http(..) | Reply::Reset(_) | Reply::Pour(..) | Reply::Later(..) => {
            unreachable!("sent by their own functions")
        }
    }
    stream.shutdown().await
}

/// An address at which nobody listens, for as long as the socket is held: a port that is merely free is soon another
/// test's.
pub fn closed_port() -> (socket2::Socket, std::net::SocketAddr) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

/// An address, `127.0.0.<last>`, at which a connection is neither taken nor refused: the listener's queue is full for as long as the
/// sockets are held.
pub fn full_backlog(last: u8) -> (Vec<socket2::Socket>, std::net::SocketAddr) {
    let socket = || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let listener = socket();
    listener.bind(&std::net::SocketAddr::from(([127, 0, 0, last], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut held = vec![listener];
    // The kernel drops what does not fit: by then the queue is full.
    loop {
        let one = socket();
        if one.connect_timeout(&address, std::time::Duration::from_millis(200)).is_err() {
            return (held, address.as_socket().unwrap());
        }
        held.push(one);
    }
}
