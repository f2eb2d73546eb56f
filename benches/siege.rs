//! A siege of the release binary: 2,000 half-sent headers, 5,000 readers that do not read, and 10,000 requests a
//! second, while one good client goes on asking (G-B7). Run with `cargo bench --bench siege` for a tenth of a minute,
//! `-- --full` for a minute. Fails when the good client's p99 goes more than 20 ms over quiet, when the service takes more than
//! 192 MB, when any of the flood's requests fails, or when it is not back to normal two seconds after the end.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation ends the benchmark"
)]
#![allow(
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    reason = "figures about time and memory, not about money"
)]

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, ExitCode, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const HALF_SENT: usize = 2_000;
const SLOW_READERS: usize = 5_000;
const RATE: u64 = 10_000;
const FLOODERS: u64 = 8;
/// A document that fills a socket's buffers after some answers.
const LARGE: &str = "/v1/board";
const P99_OVER_QUIET: Duration = Duration::from_millis(20);
const MEMORY_MB: f64 = 192.0;
/// The service, and the whole crowd, are there within this.
const PATIENCE: Duration = Duration::from_mins(1);
const BACK_WITHIN: Duration = Duration::from_secs(2);

struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn main() -> ExitCode {
    let full = std::env::args().any(|argument| argument == "--full");
    let length = Duration::from_secs(if full { 60 } else { 6 });
    let files = rlimit::increase_nofile_limit(32_768).unwrap();
    assert!(files > 16_000, "only {files} files: `ulimit -n` must allow 16,000");
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let service = Service(
        Command::new(env!("CARGO_BIN_EXE_banggia"))
            .args(["serve", "--replay", "--listen", &address.to_string(), "--ops-listen", "127.0.0.1:0"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < deadline, "the service does not listen");
        std::thread::sleep(Duration::from_millis(10));
    }

    let quiet = Client::new(address).watch(Duration::from_secs(3));
    println!("quiet: p50 {:?}, p99 {:?}, {:.0} MB", quiet.p50, quiet.p99, resident(&service.0));

    let siege = Arc::new(Siege::default());
    let crowd = {
        let siege = Arc::clone(&siege);
        std::thread::spawn(move || siege.run(address))
    };
    // The crowd has gathered when everybody has connected once.
    let deadline = Instant::now() + PATIENCE;
    while siege.gathered.load(Ordering::Acquire) < HALF_SENT + SLOW_READERS {
        assert!(Instant::now() < deadline, "the crowd does not gather");
        std::thread::sleep(Duration::from_millis(10));
    }
    siege.flood.store(true, Ordering::Release);
    let (began, before) = (Instant::now(), siege.answered.load(Ordering::Acquire));
    let mut most: f64 = 0.0;
    let mut under = Vec::new();
    let mut client = Client::new(address);
    while began.elapsed() < length {
        under.extend(client.watch(Duration::from_secs(1)).all);
        most = most.max(resident(&service.0));
    }
    let answered = siege.answered.load(Ordering::Acquire) - before;
    let rate = answered as f64 / began.elapsed().as_secs_f64();
    siege.over.store(true, Ordering::Release);
    crowd.join().unwrap();
    let ended = Instant::now();
    let under = Watch::of(under);
    println!(
        "under siege for {length:?}: p50 {:?}, p99 {:?}, {:.0} MB at most, {rate:.0} requests/s answered, {} failed",
        under.p50,
        under.p99,
        most,
        siege.failed.load(Ordering::Acquire)
    );

    let back = loop {
        let watch = Client::new(address).watch(Duration::from_millis(300));
        if watch.p99 <= quiet.p99 * 2 + Duration::from_millis(2) {
            break ended.elapsed().saturating_sub(Duration::from_millis(300));
        }
        assert!(ended.elapsed() < Duration::from_secs(30), "never back to normal: p99 {:?}", watch.p99);
    };
    println!("back to normal after {back:?}");

    let failed = siege.failed.load(Ordering::Acquire);
    let mut good = true;
    for (what, holds) in [
        (format!("p99 within {P99_OVER_QUIET:?} of quiet"), under.p99 <= quiet.p99 + P99_OVER_QUIET),
        (format!("memory at most {MEMORY_MB} MB"), most <= MEMORY_MB),
        (format!("{RATE} requests/s (at least nine tenths on a busy machine)"), rate >= RATE as f64 * 0.9),
        ("no failed request of the flood".to_owned(), failed == 0),
        (format!("normal within {BACK_WITHIN:?}"), back <= BACK_WITHIN),
    ] {
        println!("{what}: {}", if holds { "yes" } else { "NO" });
        good &= holds;
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Megabytes of resident memory.
fn resident(service: &Child) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

/// Latencies.
struct Watch {
    all: Vec<Duration>,
    p50: Duration,
    p99: Duration,
}

impl Watch {
    fn of(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        let at = |percent: usize| all[(all.len() * percent / 100).min(all.len() - 1)];
        Self { p50: at(50), p99: at(99), all }
    }
}

/// One that asks every few milliseconds, over one connection, and notes how long it took.
struct Client(TcpStream);

impl Client {
    fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self(stream)
    }

    fn watch(&mut self, length: Duration) -> Watch {
        let began = Instant::now();
        let mut all = Vec::new();
        while began.elapsed() < length {
            let asked = Instant::now();
            self.0.write_all(b"GET /v1/gold HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            read_answer(&mut self.0);
            all.push(asked.elapsed());
            std::thread::sleep(Duration::from_millis(3));
        }
        Watch::of(all)
    }
}

fn read_answer(stream: &mut TcpStream) {
    let mut answer = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    while whole(&answer).is_none() {
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "the good client was let go");
        answer.extend_from_slice(&buffer[..read]);
    }
}

/// The length of an answer and whether it is 200, once it is complete.
fn whole(answer: &[u8]) -> Option<(usize, bool)> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).unwrap().to_ascii_lowercase();
    let length: usize =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    (answer.len() >= end + 4 + length).then(|| (end + 4 + length, head.starts_with("http/1.1 200 ")))
}

/// Those who mean no good.
#[derive(Default)]
struct Siege {
    gathered: AtomicUsize,
    flood: AtomicBool,
    over: AtomicBool,
    answered: AtomicU64,
    failed: AtomicU64,
}

impl Siege {
    fn run(self: &Arc<Self>, address: SocketAddr) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut tasks = tokio::task::JoinSet::new();
            for nth in 0..HALF_SENT + SLOW_READERS {
                tasks.spawn(Arc::clone(self).sit(address, nth < HALF_SENT));
                // Not all in one instant: the queue of a listener is short, and lost SYNs come again after a second.
                if nth % 100 == 99 {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
            for _ in 0..FLOODERS {
                tasks.spawn(Arc::clone(self).pour(address));
            }
            while !self.over.load(Ordering::Acquire) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            tasks.shutdown().await;
        });
    }

    /// Sends half a header, or asks for much and reads nothing; comes again when it is let go.
    async fn sit(self: Arc<Self>, address: SocketAddr, half_sent: bool) {
        let mut first = true;
        loop {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            // A small window is full soon.
            let _ = socket.set_recv_buffer_size(4096);
            let Ok(mut stream) = socket.connect(address).await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let request = if half_sent {
                "GET /v1/board HTTP/1.1\r\nHost: x\r\nX-Half: ".to_owned()
            } else {
                format!("GET {LARGE} HTTP/1.1\r\nHost: x\r\n\r\n").repeat(64)
            };
            let sent = stream.write_all(request.as_bytes()).await;
            if std::mem::take(&mut first) {
                self.gathered.fetch_add(1, Ordering::AcqRel);
            }
            if sent.is_err() {
                continue;
            }
            if half_sent {
                // Until it is told to go.
                let mut answer = Vec::new();
                let _ = stream.read_to_end(&mut answer).await;
            } else {
                // Nothing is read; whether the other side has gone shows when something is written.
                while stream.write_all(b"\r\n").await.is_ok() {
                    tokio::time::sleep(Duration::from_secs(2)).await;
                }
            }
        }
    }

    /// An even stream of good requests, some ahead of their answers.
    async fn pour(self: Arc<Self>, address: SocketAddr) {
        const AHEAD: usize = 16;
        while !self.flood.load(Ordering::Acquire) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = "GET /v1/fx HTTP/1.1\r\nHost: x\r\nAccept-Encoding: br\r\n\r\n".repeat(AHEAD);
        let began = Instant::now();
        let (mut sent, mut buffer, mut rest) = (0_u64, vec![0; 256 << 10], Vec::new());
        loop {
            let due = u64::try_from(began.elapsed().as_micros()).unwrap() * (RATE / FLOODERS) / 1_000_000;
            if sent > due {
                tokio::time::sleep(Duration::from_millis(2)).await;
                continue;
            }
            stream.write_all(request.as_bytes()).await.unwrap();
            sent += AHEAD as u64;
            let mut open = AHEAD;
            while open > 0 {
                let read = stream.read(&mut buffer).await.unwrap();
                if read == 0 {
                    self.failed.fetch_add(open as u64, Ordering::AcqRel);
                    return;
                }
                rest.extend_from_slice(&buffer[..read]);
                while let Some((length, good)) = whole(&rest) {
                    rest.drain(..length);
                    open -= 1;
                    let count = if good { &self.answered } else { &self.failed };
                    count.fetch_add(1, Ordering::AcqRel);
                }
            }
        }
    }
}
