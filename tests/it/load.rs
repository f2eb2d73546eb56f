//! Load for tests of restarts and reloads: so many clients on loopback, each with one request at a time, until they are
//! told to stop. Half keep their connection, half open one for each request. What failed is counted with its reason, as
//! a reader would see it: a client that was refused, an answer that broke, a status of 500 and more.

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// How it is asked.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Clients. Every second one opens a connection for each request.
    pub connections: usize,
    /// Asked in turn.
    pub paths: Vec<String>,
    /// Between two requests of a client: the service that is tested wants some of the machine too.
    pub pause: Duration,
    /// For connecting and for a whole answer.
    pub patience: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            connections: 8,
            paths: vec!["/v1/board".to_owned()],
            pause: Duration::from_millis(4),
            patience: Duration::from_secs(10),
        }
    }
}

/// Why a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// Nobody listens.
    Refused,
    /// No connection for another reason.
    Connect,
    /// A new connection ended before the first byte of an answer.
    Unanswered,
    /// The connection ended inside an answer.
    Broken,
    /// No whole answer in time.
    Late,
    /// Not HTTP, or without a length, or more than was asked for.
    Odd,
    /// 500 and more.
    Status(u16),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "connection refused",
            Self::Connect => "no connection",
            Self::Unanswered => "a new connection ended before any answer",
            Self::Broken => "the connection broke inside an answer",
            Self::Late => "no whole answer in time",
            Self::Odd => "no answer of HTTP",
            Self::Status(status) => return write!(f, "status {status}"),
        })
    }
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Whole answers with a status below 500.
    pub ok: u64,
    /// Requests that failed.
    pub failed: u64,
    /// By reason.
    pub failures: BTreeMap<Failure, u64>,
    /// The first of them: when, what was asked, what went wrong.
    pub examples: Vec<String>,
    /// Whole answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Connections that the server closed between two requests, which it may.
    pub closed_idle: u64,
    /// Requests on a kept connection that the server closed at the same moment, asked again on a new one, as every
    /// client of HTTP does with requests that may be repeated (RFC 9112, 9.3.1).
    pub retried: u64,
    /// The longest wait for a whole answer, connecting and asking again included.
    pub slowest: Duration,
    /// From the start to the stop.
    pub took: Duration,
}

impl Report {
    /// Counts one request, and says whether its connection may be kept.
    fn count(&mut self, result: Try, took: Duration, who: &str) -> bool {
        self.slowest = self.slowest.max(took);
        let (failure, why, stays) = match result {
            Try::Answer(status, stays) => {
                *self.statuses.entry(status).or_default() += 1;
                if status < 500 {
                    self.ok += 1;
                    return stays;
                }
                (Failure::Status(status), String::new(), stays)
            }
            Try::Nothing => (Failure::Unanswered, String::new(), false),
            Try::Failed(failure, why) => (failure, why, false),
        };
        self.failed(failure, format!("{who}: {failure} {why}"));
        stays
    }

    fn failed(&mut self, failure: Failure, example: String) {
        self.failed += 1;
        *self.failures.entry(failure).or_default() += 1;
        if self.examples.len() < 8 {
            self.examples.push(example);
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ok, {} failed, {} retried, {} closed while idle, slowest {:?}, in {:?}; statuses {:?}",
            self.ok, self.failed, self.retried, self.closed_idle, self.slowest, self.took, self.statuses
        )?;
        for (failure, count) in &self.failures {
            write!(f, "\n  {count} x {failure}")?;
        }
        for example in &self.examples {
            write!(f, "\n  {example}")?;
        }
        Ok(())
    }
}

struct Shared {
    address: SocketAddr,
    plan: Plan,
    began: Instant,
    stop: AtomicBool,
    report: Mutex<Report>,
}

/// A load that runs, on a thread of its own: for tests with and without a runtime.
pub struct Load {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    /// With the usual pace.
    pub fn start<P: Into<String>>(
        address: SocketAddr,
        connections: usize,
        paths: impl IntoIterator<Item = P>,
    ) -> Self {
        let paths = paths.into_iter().map(Into::into).collect();
        Self::by(address, Plan { connections, paths, ..Plan::default() })
    }

    /// With a pace of the test's own.
    pub fn by(address: SocketAddr, plan: Plan) -> Self {
        assert!(plan.connections > 0 && !plan.paths.is_empty(), "{plan:?} asks nothing");
        let shared = Arc::new(Shared {
            address,
            plan,
            began: Instant::now(),
            stop: AtomicBool::new(false),
            report: Mutex::default(),
        });
        let own = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let clients: Vec<_> =
                    (0..own.plan.connections).map(|at| tokio::spawn(client(Arc::clone(&own), at))).collect();
                for client in clients {
                    client.await.unwrap();
                }
            });
        });
        Self { shared, thread: Some(thread) }
    }

    /// What came of it so far.
    pub fn report(&self) -> Report {
        let report = self.shared.report.lock().unwrap().clone();
        Report { took: self.shared.began.elapsed(), ..report }
    }

    /// Blocks until so many more requests have come to an end, well or not.
    pub fn wait_for(&self, more: u64) {
        let ended = || {
            let report = self.shared.report.lock().unwrap();
            report.ok + report.failed
        };
        let (goal, deadline) = (ended() + more, Instant::now() + Duration::from_mins(1));
        while ended() < goal {
            assert!(Instant::now() < deadline, "waited a minute for {more} more requests\n{}", self.report());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Ends when each client has seen the end of its last request. Blocks for as long.
    pub fn stop(mut self) -> Report {
        self.end();
        self.report()
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            // A test that fails already says what matters.
            assert!(ended.is_ok() || std::thread::panicking(), "a client panicked");
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.end();
    }
}

/// How one try ended.
enum Try {
    /// A whole answer, and whether the connection stays.
    Answer(u16, bool),
    /// The connection ended without a byte.
    Nothing,
    Failed(Failure, String),
}

async fn client(shared: Arc<Shared>, at: usize) {
    let (plan, keeps) = (&shared.plan, at.is_multiple_of(2));
    let mut kept: Option<TcpStream> = None;
    // Not in step: a client begins with a path and a moment of its own.
    let mut turn = at;
    let (nth, of) = (u32::try_from(at).unwrap(), u32::try_from(plan.connections).unwrap());
    tokio::time::sleep(plan.pause * nth / of).await;
    while !shared.stop.load(Ordering::Relaxed) {
        let path = &plan.paths[turn % plan.paths.len()];
        turn += 1;
        kept = kept.filter(|stream| still_open(stream, &shared));
        let asked = Instant::now();
        let mut result = match kept.as_mut() {
            None => Try::Nothing,
            Some(stream) => {
                let result = ask(stream, path, true, plan.patience).await;
                if matches!(result, Try::Nothing) {
                    shared.report.lock().unwrap().retried += 1;
                }
                result
            }
        };
        if matches!(result, Try::Nothing) {
            kept = None;
            result = match timeout(plan.patience, TcpStream::connect(shared.address)).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true).unwrap();
                    ask(kept.insert(stream), path, keeps, plan.patience).await
                }
                Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                    Try::Failed(Failure::Refused, error.to_string())
                }
                Ok(Err(error)) => Try::Failed(Failure::Connect, error.to_string()),
                Err(_) => Try::Failed(Failure::Connect, "no connection in time".to_owned()),
            };
        }
        let who = format!("after {:?}: GET {path} (client {at})", shared.began.elapsed());
        if !shared.report.lock().unwrap().count(result, asked.elapsed(), &who) {
            kept = None;
        }
        tokio::time::sleep(plan.pause).await;
    }
}

/// Whether a connection that was kept may be asked again. A server that closed it meanwhile closed it between requests.
fn still_open(stream: &TcpStream, shared: &Shared) -> bool {
    match stream.try_read(&mut [0; 1]) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => true,
        Ok(0) => {
            shared.report.lock().unwrap().closed_idle += 1;
            false
        }
        // Reset while nothing was asked: clients open another one, but it is not how a server says goodbye.
        Err(_) => {
            shared.report.lock().unwrap().retried += 1;
            false
        }
        Ok(_) => {
            let example = format!("after {:?}: bytes that nobody asked for", shared.began.elapsed());
            shared.report.lock().unwrap().failed(Failure::Odd, example);
            false
        }
    }
}

async fn ask(stream: &mut TcpStream, path: &str, keep: bool, patience: Duration) -> Try {
    let mut heard = 0;
    match timeout(patience, exchange(stream, path, keep, &mut heard)).await {
        Ok(result) => result,
        Err(_) => Try::Failed(Failure::Late, format!("({heard} bytes in {patience:?})")),
    }
}

async fn exchange(stream: &mut TcpStream, path: &str, keep: bool, heard: &mut usize) -> Try {
    let connection = if keep { "keep-alive" } else { "close" };
    let request = format!("GET {path} HTTP/1.1\r\nHost: load\r\nConnection: {connection}\r\n\r\n");
    // Nobody reads it any more: what was sent before that may still be here, so reading tells.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::with_capacity(16 << 10);
    let mut head = None;
    loop {
        if let Some((length, status, stays)) = head {
            let wanted: usize = length;
            match answer.len().cmp(&wanted) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => return Try::Answer(status, stays && keep),
                std::cmp::Ordering::Greater => {
                    return Try::Failed(
                        Failure::Odd,
                        format!("{} bytes where {wanted} were told", answer.len()),
                    );
                }
            }
        } else if let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") {
            match read_head(&String::from_utf8_lossy(&answer[..end])) {
                Some((length, status, stays)) => head = Some((end + 4 + length, status, stays)),
                None => {
                    return Try::Failed(Failure::Odd, String::from_utf8_lossy(&answer[..end]).into_owned());
                }
            }
            continue;
        }
        match stream.read_buf(&mut answer).await {
            Ok(n) if n > 0 => *heard += n,
            _ if answer.is_empty() => return Try::Nothing,
            ended => {
                let start = b"HTTP/1.1 ";
                let is_http = answer.starts_with(start) || start.starts_with(&answer);
                let class = if is_http { Failure::Broken } else { Failure::Odd };
                return Try::Failed(class, format!("after {} bytes: {ended:?}", answer.len()));
            }
        }
    }
}

/// Length of the body, status, and whether the connection stays open.
fn read_head(head: &str) -> Option<(usize, u16, bool)> {
    let (first, lines) = head.split_once("\r\n").unwrap_or((head, ""));
    let status = first.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let header = |wanted: &str| {
        lines.split("\r\n").filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
            name.eq_ignore_ascii_case(wanted).then(|| value.trim().to_ascii_lowercase())
        })
    };
    let length = match header("content-length") {
        Some(length) => length.parse().ok()?,
        None if matches!(status, 204 | 304) => 0,
        None => return None,
    };
    Some((length, status, header("connection").is_none_or(|value| value != "close")))
}

mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::{TcpListener, TcpStream},
    };

    use super::*;
    use crate::{
        bank::{self, Bank},
        house::{config_text, good_day},
        service::{Service, write_config},
    };

    /// What a server does with the nth request of a connection, from 0; `None`: the connection ends here.
    type Manners = fn(stream: &mut TcpStream, nth: usize) -> Option<()>;

    const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood";

    /// A server of such manners; it ends with the tests' process.
    fn server(manners: Manners) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                std::thread::spawn(move || serve(stream, manners));
            }
        });
        address
    }

    fn serve(mut stream: TcpStream, manners: Manners) {
        for nth in 0.. {
            let (mut request, mut byte) = (Vec::new(), [0; 1]);
            while !request.ends_with(b"\r\n\r\n") {
                match stream.read(&mut byte) {
                    Ok(1) => request.push(byte[0]),
                    _ => return,
                }
            }
            if manners(&mut stream, nth).is_none() || request.windows(5).any(|word| word == b"close") {
                return;
            }
        }
    }

    fn send(stream: &mut TcpStream, bytes: &[u8]) -> Option<()> {
        stream.write_all(bytes).ok()
    }

    fn reset(stream: &TcpStream) {
        socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    fn load(address: SocketAddr) -> Report {
        patient(address, Plan::default().patience)
    }

    fn patient(address: SocketAddr, patience: Duration) -> Report {
        let load = Load::by(address, Plan { connections: 4, patience, ..Plan::default() });
        load.wait_for(40);
        load.stop()
    }

    #[test]
    fn a_load_on_a_good_server_fails_nowhere_and_keeps_half_of_its_connections() {
        let report = load(server(|stream, _| send(stream, GOOD)));
        assert_eq!((report.failed, report.retried, report.closed_idle), (0, 0, 0), "{report}");
        assert!(report.ok >= 40 && report.statuses == BTreeMap::from([(200, report.ok)]), "{report}");
    }

    #[test]
    fn a_load_tells_each_way_in_which_a_server_fails() {
        let cases: [(&str, Manners, Failure); 8] = [
            (
                "a gateway's word",
                |stream, _| send(stream, b"HTTP/1.1 502 X\r\nContent-Length: 2\r\n\r\nno"),
                Failure::Status(502),
            ),
            (
                "half a body",
                |stream, _| {
                    send(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\nhalf")?;
                    None
                },
                Failure::Broken,
            ),
            (
                "half a head",
                |stream, _| {
                    send(stream, b"HTTP/1.1 200 OK\r\nContent-Le")?;
                    None
                },
                Failure::Broken,
            ),
            (
                "a reset instead of an answer",
                |stream, _| {
                    reset(stream);
                    None
                },
                Failure::Unanswered,
            ),
            ("an end instead of an answer", |_, _| None, Failure::Unanswered),
            ("no HTTP", |stream, _| send(stream, b"hello\r\n\r\n"), Failure::Odd),
            (
                "more than was told",
                |stream, _| send(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nmuch"),
                Failure::Odd,
            ),
            (
                "silence",
                |stream, _| {
                    let _ = stream.read(&mut [0; 1]);
                    None
                },
                Failure::Late,
            ),
        ];
        for (what, manners, failure) in cases {
            let patience = if failure == Failure::Late { 200 } else { 10_000 };
            let report = patient(server(manners), Duration::from_millis(patience));
            assert_eq!(report.ok, 0, "{what}: {report}");
            assert_eq!(report.failures, BTreeMap::from([(failure, report.failed)]), "{what}: {report}");
            assert!(report.failed >= 40 && !report.examples.is_empty(), "{what}: {report}");
        }
        let (_held, address) = bank::closed_port();
        let report = load(address);
        assert_eq!(report.failures, BTreeMap::from([(Failure::Refused, report.failed)]), "{report}");
    }

    #[test]
    fn a_load_finds_one_broken_answer_among_many() {
        static ASKED: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let address = server(|stream, _| match ASKED.fetch_add(1, Ordering::Relaxed) {
            20 => {
                send(stream, &GOOD[..20])?;
                None
            }
            _ => send(stream, GOOD),
        });
        let report = load(address);
        assert_eq!((report.failed, report.failures.get(&Failure::Broken)), (1, Some(&1)), "{report}");
    }

    #[test]
    fn a_connection_that_ends_between_two_requests_is_no_failure() {
        // Said beforehand.
        let report = load(server(|stream, _| {
            send(stream, b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\ngood")?;
            None
        }));
        assert_eq!((report.failed, report.retried, report.closed_idle), (0, 0, 0), "{report}");
        // Not said, and seen before the next request is sent, or at the same moment.
        let report = load(server(|stream, _| {
            send(stream, GOOD)?;
            None
        }));
        assert_eq!(report.failed, 0, "{report}");
        assert!(report.closed_idle + report.retried > 0, "{report}");
    }

    #[test]
    fn a_request_on_a_kept_connection_that_ends_is_asked_again_and_counted() {
        let report = load(server(|stream, nth| if nth == 0 { send(stream, GOOD) } else { None }));
        assert_eq!(report.failed, 0, "{report}");
        assert!(report.retried > 0, "{report}");
        assert!(report.ok >= 40, "{report}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_stop_under_load_breaks_no_answer() {
        let (bank, folder) = (Bank::open().await, tempfile::tempdir().unwrap());
        good_day(&bank, 0);
        let text = config_text(&bank, &folder.path().join("banggia.db"));
        let config = write_config(folder.path(), "banggia.toml", &text);
        let service = Service::start(&config);
        let load = Load::start(
            service.public,
            16,
            ["/v1/board", "/v1/feeds", "/widgets/panel", "/v1/gold?providers=doji"],
        );
        load.wait_for(500);
        let running = load.report();
        assert_eq!(running.failed, 0, "{running}");
        let (status, log) = service.stop();
        assert!(status.success(), "{log}");
        load.wait_for(16);
        let report = load.stop();
        // Without a hand-over nobody listens behind a stop, and who knocked at that moment is sent away; but what was
        // being answered was answered.
        let mut failures = report.failures.clone();
        failures.retain(|failure, _| !matches!(failure, Failure::Refused | Failure::Unanswered));
        assert!(failures.is_empty(), "{report}\n{log}");
        assert!(
            report.failures.contains_key(&Failure::Refused),
            "a load that nobody answers sees it: {report}"
        );
    }
}
