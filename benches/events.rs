//! What a stream of events costs (P9): the release binary with 10,000 readers of `/v1/events` on loopback, and a process that
//! does nothing but write the same bytes to as many sockets. Run with `cargo bench --bench events`; `-- --quick` takes 1,000.
//! Fails when a stream takes more than 12 kB, or a delivery more than 1.35 times the CPU of a raw write (margin 0.05).

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
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use jiff::tz::{self, TimeZone};
use memchr::memmem;

const READERS: usize = 10_000;
const QUICK: usize = 1_000;
const PUBLISHES: usize = 20;
const KB_A_STREAM: f64 = 12.0;
const OVER_RAW: f64 = 1.35;
const MARGIN: f64 = 0.05;
const PATIENCE: Duration = Duration::from_mins(1);
const EVENT: &[u8] = b"\nevent: quote.changed\n";
const GREETING: &[u8] = b"retry: ";
const HEARTBEAT: &[u8] = b"3\r\n:\n";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [raw, readers, file] = &arguments[..]
        && raw == "--raw"
    {
        write_raw(readers.parse().unwrap(), &std::fs::read(file).unwrap());
        return ExitCode::SUCCESS;
    }
    let readers = if arguments.iter().any(|argument| argument == "--quick") { QUICK } else { READERS };
    let files = rlimit::increase_nofile_limit(32_768).unwrap();
    let needed = u64::try_from(readers).unwrap() + 1_000;
    assert!(files >= needed, "only {files} files: `ulimit -n` must allow {needed}");

    let folder = tempfile::tempdir().unwrap();
    let bank = Bank::open();
    let service = Service::start(&bank, folder.path(), readers);

    // What reading, storing and publishing take by themselves.
    let quiet = cpu(&service.child);
    for nth in 1..=PUBLISHES {
        bank.moves(nth);
        bank.wait();
    }
    // Runs of a feed do not overlap: once it is asked again, the last price is out, and no reader to come is told of it.
    for _ in 0..2 {
        bank.forget();
        bank.wait();
    }
    let quiet = cpu(&service.child) - quiet;

    let idle = resident(&service.child);
    let crowd = Crowd::gather(
        service.address,
        readers,
        b"GET /v1/events?types=quote.changed HTTP/1.1\r\nHost: x\r\n\r\n",
    );
    crowd.wait(|count| count.greeted == readers, "a greeting for every reader");
    let open = resident(&service.child);
    let (before, sent) = (cpu(&service.child), crowd.count());
    let mut waits = Vec::new();
    for nth in 1..=PUBLISHES {
        bank.moves(PUBLISHES + nth);
        crowd.wait(|count| count.events == nth * readers, "an event for every reader");
        let count = crowd.count();
        let asked = bank.told();
        waits.push((count.last - asked, count.last - count.first));
    }
    let after = crowd.count();
    let events = after.events - sent.events;
    // A sign of life is a write too.
    let writes = events + after.heartbeats - sent.heartbeats;
    let all = cpu(&service.child) - before;
    let ours = (all - quiet) / writes as f64;
    let worked = resident(&service.child);
    let chunk = after.sample;
    assert_eq!(after.gone, 0, "readers were let go");
    drop(crowd);
    drop(service);

    let file = folder.path().join("chunk");
    std::fs::write(&file, &chunk).unwrap();
    // Twice, so that what else the machine does shows.
    let raws = [(); 2].map(|()| Raw::start(readers, &file).measure(readers));
    let raw = raws.iter().sum::<f64>() / 2.0;

    let memory = (open.max(worked) - idle) / readers as f64;
    println!(
        "{readers} streams: {memory:.1} kB each ({idle:.0} kB before, {open:.0} open, {worked:.0} after {PUBLISHES} publishes)"
    );
    println!(
        "CPU a delivery of {} bytes: {ours:.2} µs ({writes} of them; {:.0} ms less {:.0} ms for as many publishes to nobody), raw write loop {raw:.2} ({:.2}, {:.2}): ratio {:.2}",
        chunk.len(),
        all / 1e3,
        quiet / 1e3,
        raws[0],
        raws[1],
        ours / raw
    );
    for (what, mut waits) in [
        ("the source's answer", waits.iter().map(|(all, _)| *all).collect::<Vec<_>>()),
        ("the first reader", waits.iter().map(|(_, spread)| *spread).collect()),
    ] {
        waits.sort_unstable();
        let [least, median, most] =
            [0, waits.len() / 2, waits.len() - 1].map(|at| waits[at].as_secs_f64() * 1e3);
        println!(
            "from {what} to the last of {readers}: {least:.0} / {median:.0} / {most:.0} ms (least, median, most of {PUBLISHES})"
        );
    }
    let mut good = true;
    for (what, holds) in [
        (format!("at most {KB_A_STREAM} kB a stream"), memory <= KB_A_STREAM),
        (format!("at most {OVER_RAW} times a raw write loop"), ours / raw <= OVER_RAW + MARGIN),
    ] {
        println!("{what}: {}", if holds { "yes" } else { "NO" });
        good &= holds;
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A source of one quote that answers with the price of the moment.
#[derive(Clone)]
struct Bank {
    address: SocketAddr,
    /// The answer, and when it was first given.
    says: Arc<Mutex<(String, Option<Instant>)>>,
}

impl Bank {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let bank = Self { address: listener.local_addr().unwrap(), says: Arc::default() };
        bank.moves(0);
        let says = Arc::clone(&bank.says);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = Vec::new();
                while memmem::find(&request, b"\r\n\r\n").is_none() {
                    let mut buffer = [0; 4096];
                    let read = stream.read(&mut buffer).unwrap_or(0);
                    if read == 0 {
                        break;
                    }
                    request.extend_from_slice(&buffer[..read]);
                }
                let mut says = says.lock().unwrap();
                says.1.get_or_insert_with(Instant::now);
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    says.0.len()
                );
                // A service that ends may go in the middle.
                let _ = stream.write_all((head + &says.0).as_bytes());
            }
        });
        bank
    }

    fn moves(&self, nth: usize) {
        let today = TimeZone::fixed(tz::offset(7)).to_datetime(banggia::clock::Clock::system().now());
        let (buy, sell) = (139_200_000 + nth * 10_000, 142_300_000 + nth * 10_000);
        let day = today.strftime("%m/%d/%Y");
        let body = format!("{{\"item\":[{{\"DATES\":\"{day}\",\"RATE_BUY\":{buy},\"RATE_SELL\":{sell}}}]}}");
        *self.says.lock().unwrap() = (body, None);
    }

    fn forget(&self) {
        self.says.lock().unwrap().1 = None;
    }

    /// Until the service has asked.
    fn wait(&self) {
        let began = Instant::now();
        while self.says.lock().unwrap().1.is_none() {
            assert!(began.elapsed() < PATIENCE, "the service does not ask");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn told(&self) -> Instant {
        self.says.lock().unwrap().1.unwrap()
    }
}

struct Service {
    child: Child,
    address: SocketAddr,
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Service {
    /// With one feed, so that an event is one quote's.
    fn start(bank: &Bank, folder: &std::path::Path, streams: usize) -> Self {
        let mut config = format!(
            "[server]\nrate_limit = 0\nevent_streams = {streams}\nevent_streams_per_client = {streams}\n\
             [store]\nurl = \"sqlite:{}\"\n",
            folder.join("banggia.db").display()
        );
        for (_, feed) in providers::feeds() {
            config.push_str(&if feed.id == "tpbank.gold" {
                format!(
                    "[feeds.{0}]\nschedule = \"* * * * * *\"\njitter = \"0s\"\n\
                     [feeds.{0}.sources.chart]\nurl = \"http://{1}/\"\nallow_private = true\n",
                    feed.id, bank.address
                )
            } else {
                format!("[feeds.{}]\nenabled = false\n", feed.id)
            });
        }
        let file = folder.join("banggia.toml");
        std::fs::write(&file, config).unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_banggia"))
            .args(["serve", "--listen", &address.to_string(), "--ops-listen", "127.0.0.1:0", "--config"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let service = Self { child, address };
        let began = Instant::now();
        while !service.is_filled() {
            assert!(began.elapsed() < PATIENCE, "the service has no price");
            std::thread::sleep(Duration::from_millis(50));
        }
        service
    }

    fn is_filled(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(self.address) else { return false };
        let mut answer = String::new();
        let request = b"GET /v1/gold HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(request).is_ok()
            && stream.read_to_string(&mut answer).is_ok()
            && answer.contains("tpbank.gold.bar")
    }
}

/// What all readers have read together.
#[derive(Clone)]
struct Count {
    greeted: usize,
    events: usize,
    heartbeats: usize,
    gone: usize,
    /// When the first and the last of the newest event came.
    first: Instant,
    last: Instant,
    /// An event as it came.
    sample: Vec<u8>,
}

/// Readers that read, on a thread of their own.
struct Crowd {
    count: Arc<Mutex<Count>>,
    /// Its end is theirs.
    over: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
    told: mpsc::Receiver<()>,
}

impl Crowd {
    fn gather(address: SocketAddr, readers: usize, request: &[u8]) -> Self {
        let now = Instant::now();
        let count = Count {
            greeted: 0,
            events: 0,
            heartbeats: 0,
            gone: 0,
            first: now,
            last: now,
            sample: Vec::new(),
        };
        let count = Arc::new(Mutex::new(count));
        let (over, ended) = tokio::sync::oneshot::channel();
        let (tell, told) = mpsc::channel();
        let sockets: Vec<TcpStream> = (0..readers)
            .map(|_| {
                let mut socket = TcpStream::connect(address).unwrap();
                socket.write_all(request).unwrap();
                socket.set_nonblocking(true).unwrap();
                socket
            })
            .collect();
        let shared = Arc::clone(&count);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
            runtime.block_on(async {
                let mut tasks = tokio::task::JoinSet::new();
                for socket in sockets {
                    tasks.spawn(read(socket, readers, Arc::clone(&shared), tell.clone()));
                }
                // An error says that the crowd was let go, which is the same.
                let _ = ended.await;
            });
        });
        Self { count, over: Some(over), thread: Some(thread), told }
    }

    fn count(&self) -> Count {
        self.count.lock().unwrap().clone()
    }

    fn wait(&self, enough: impl Fn(&Count) -> bool, what: &str) {
        let until = Instant::now() + PATIENCE;
        while !enough(&self.count()) {
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain for {what}");
            // Not told means that it is looked at again.
            let _ = self.told.recv_timeout(left.min(Duration::from_millis(100)));
        }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        drop(self.over.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

async fn read(socket: TcpStream, readers: usize, count: Arc<Mutex<Count>>, tell: mpsc::Sender<()>) {
    let socket = tokio::net::TcpStream::from_std(socket).unwrap();
    // What was read and is not counted yet: words may come in two parts.
    let mut rest = Vec::new();
    loop {
        socket.readable().await.unwrap();
        let mut buffer = [0; 4096];
        let read = match socket.try_read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(_) => break,
        };
        rest.extend_from_slice(&buffer[..read]);
        if !rest.ends_with(b"\r\n") {
            continue;
        }
        let now = Instant::now();
        let find = |what: &[u8]| memmem::find_iter(&rest, what).count();
        let (greeted, events, heartbeats) = (find(GREETING), find(EVENT), find(HEARTBEAT));
        let mut count = count.lock().unwrap();
        count.greeted += greeted;
        count.heartbeats += heartbeats;
        if events > 0 {
            if count.events.is_multiple_of(readers) {
                count.first = now;
            }
            count.events += events;
            count.last = now;
            if count.sample.is_empty() && events == 1 && greeted + heartbeats == 0 {
                count.sample.clone_from(&rest);
            }
        }
        let whole =
            count.events.is_multiple_of(readers) && events > 0 || count.greeted == readers && greeted > 0;
        drop(count);
        rest.clear();
        if whole {
            // Nobody waits any more at the end.
            let _ = tell.send(());
        }
    }
    count.lock().unwrap().gone += 1;
}

/// The other side of the comparison, in a process of its own.
struct Raw {
    child: Child,
    say: ChildStdin,
    hear: BufReader<ChildStdout>,
}

impl Raw {
    fn start(readers: usize, chunk: &std::path::Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--raw", &readers.to_string()])
            .arg(chunk)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (say, hear) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, say, hear }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.hear.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// Microseconds of CPU a write.
    fn measure(mut self, readers: usize) -> f64 {
        let address = self.line().parse().unwrap();
        let crowd = Crowd::gather(address, readers, b"x");
        assert_eq!(self.line(), "ready");
        let before = cpu(&self.child);
        for nth in 1..=PUBLISHES {
            self.say.write_all(b"write\n").unwrap();
            assert_eq!(self.line(), "written");
            crowd.wait(|count| count.events == nth * readers, "every write at its reader");
        }
        let taken = cpu(&self.child) - before;
        drop(self.say);
        assert!(self.child.wait().unwrap().success());
        taken / (PUBLISHES * readers) as f64
    }
}

/// Writes to each of so many sockets whenever it is told.
fn write_raw(readers: usize, chunk: &[u8]) {
    rlimit::increase_nofile_limit(32_768).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{}", listener.local_addr().unwrap());
    let mut sockets: Vec<TcpStream> = (0..readers)
        .map(|_| {
            let (socket, _) = listener.accept().unwrap();
            socket.set_nodelay(true).unwrap();
            socket
        })
        .collect();
    println!("ready");
    for _ in std::io::stdin().lines() {
        for socket in &mut sockets {
            socket.write_all(chunk).unwrap();
        }
        println!("written");
    }
}

/// Kilobytes of resident memory.
fn resident(service: &Child) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Microseconds of user and system time so far.
fn cpu(process: &Child) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    // In ticks of 10 ms.
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) * 10_000.0
}
