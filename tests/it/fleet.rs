//! Several replicas of the real program on one store, each in a folder of its own, at a fixed address; and readers that ask each of
//! them all the time and hold every answer against what was seen before: no failure, no older version after a newer one, one
//! `ETag` and one body a version, whoever is asked.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    bank::{Bank, Reply},
    canary,
    house::path,
    persistence::{FROM, STEP, bar, gold},
    postgres::free_port,
    service::{Service, banggia, write_config},
};

/// What readers ask every replica for.
pub const PATHS: [&str; 3] = ["/v1/gold", "/v1/board", "/v1/feeds"];
/// Longer than anything that is promised.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// An answer, whole.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{}\n{}", self.head, self.body))
    }
}

/// Asks once, on a connection of its own.
pub fn ask(address: SocketAddr, path: &str) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(10))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    canary::search(path, text.as_bytes());
    let odd = || std::io::Error::other(format!("no answer of HTTP: {text:?}"));
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(odd)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(odd)?;
    let answer = Answer { status, head: head.to_owned(), body: body.to_owned() };
    let length: usize = answer.header("content-length").and_then(|n| n.parse().ok()).ok_or_else(odd)?;
    if length == answer.body.len() { Ok(answer) } else { Err(odd()) }
}

/// Where two bodies begin to differ.
fn difference(a: &str, b: &str) -> String {
    let at = a
        .char_indices()
        .zip(b.chars())
        .find(|((_, a), b)| a != b)
        .map_or(a.len().min(b.len()), |((at, _), _)| at);
    let around = |text: &str| {
        text.chars().skip(a[..at].chars().count().saturating_sub(40)).take(120).collect::<String>()
    };
    format!("body {:?}, there {:?}", around(a), around(b))
}

/// What all readers together have seen.
#[derive(Default)]
pub struct Book {
    /// The newest version of a document by whoever was asked.
    newest: HashMap<(String, String), i64>,
    /// Tag and body of a version of a document, and who gave it first.
    known: HashMap<(String, i64), (String, String, String)>,
    /// When somebody first gave this version of the list of gold or a later one.
    seen: BTreeMap<String, Vec<(i64, Instant)>>,
    /// Every selling price of the bar that was ever shown.
    pub shown: BTreeSet<u64>,
    /// What must not be, in sentences.
    pub wrong: Vec<String>,
    pub answers: u64,
}

impl Book {
    fn note(&mut self, who: &str, path: &str, result: std::io::Result<Answer>, at: Instant) {
        self.answers += 1;
        let answer = match result {
            Ok(answer) if answer.status == 200 => answer,
            Ok(answer) => return self.wrong.push(format!("{who}: {path}: {}", answer.head)),
            Err(error) => return self.wrong.push(format!("{who}: {path}: {error}")),
        };
        let who =
            answer.header("x-served-by").and_then(|by| by.rsplit(", ").next()).unwrap_or(who).to_owned();
        let document = answer.json();
        let Some(version) = document["version"].as_i64() else { return };
        let etag = answer.header("etag").unwrap_or_default().to_owned();
        let newest = self.newest.entry((who.clone(), path.to_owned())).or_insert(version);
        if version < *newest {
            self.wrong.push(format!("{who}: {path}: version {version} after {newest}"));
        }
        *newest = version.max(*newest);
        if version == 0 {
            // Nothing was ever published: each replica says so in its own words and for some seconds only.
            return;
        }
        let known = self.known.entry((path.to_owned(), version));
        let (first_etag, first_body, first) =
            known.or_insert_with(|| (etag.clone(), answer.body.clone(), who.clone()));
        if (&*first_etag, &*first_body) != (&etag, &answer.body) {
            self.wrong.push(format!(
                "{who}: {path}: version {version} is {etag}, {first} gave {first_etag}; {}",
                difference(&answer.body, first_body)
            ));
        }
        if path == "/v1/gold" {
            self.shown.extend(bar(&document));
            let seen = self.seen.entry(who).or_default();
            if seen.last().is_none_or(|(last, _)| *last < version) {
                seen.push((version, at));
            }
        }
    }

    /// How long after the first of all each of these had each version of the list of gold or a later one.
    pub fn lags(&self) -> Vec<Duration> {
        let mut first: BTreeMap<i64, Instant> = BTreeMap::new();
        for (version, at) in self.seen.values().flatten() {
            let known = first.entry(*version).or_insert(*at);
            *known = (*known).min(*at);
        }
        let mut lags = Vec::new();
        for seen in self.seen.values() {
            for (version, at) in &first {
                if let Some((_, had)) = seen.iter().find(|(own, _)| own >= version) {
                    lags.push(had.saturating_duration_since(*at));
                }
            }
        }
        lags.sort_unstable();
        lags
    }
}

/// One reader, until it is dropped.
pub struct Reader {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    pub fn start(who: &str, address: SocketAddr, book: &Arc<Mutex<Book>>) -> Self {
        let (stop, who, book) = (Arc::new(AtomicBool::new(false)), who.to_owned(), Arc::clone(book));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                for path in PATHS {
                    let result = ask(address, path);
                    book.lock().unwrap().note(&who, path, result, Instant::now());
                }
                // It leaves the machine to those that are asked.
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "a reader panicked");
        }
    }
}

/// One of the fleet.
struct Replica {
    address: SocketAddr,
    service: Option<Service>,
    reader: Option<Reader>,
    frozen: bool,
}

/// So many replicas with one configuration and one store.
pub struct Fleet {
    pub bank: Bank,
    url: String,
    folder: canary::Folder,
    config: PathBuf,
    replicas: Vec<Replica>,
    pub book: Arc<Mutex<Book>>,
}

/// TPBank alone, asked by this schedule; a lease of this length.
pub fn config(bank: &Bank, schedule: &str, lease: &str, more: &str) -> String {
    let mut text = format!("[server]\nrate_limit = 0\n[store]\nlease = \"{lease}\"\n");
    for (_, feed) in providers::feeds().filter(|(_, feed)| feed.id != "tpbank.gold") {
        text.push_str(&format!("[feeds.{}]\nenabled = false\n", feed.id));
    }
    text + &format!(
        "[feeds.tpbank.gold]\nschedule = \"{schedule}\"\njitter = \"0s\"\ntimeout = \"30s\"\n{more}\n\
         [feeds.tpbank.gold.sources.chart]\nurl = \"{}\"\nallow_private = true\n",
        bank.url(&path("tpbank.gold", "chart"))
    )
}

/// The price that the bank says when it is asked for the nth time.
pub fn price(nth: usize) -> u64 {
    FROM + u64::try_from(nth).unwrap() * STEP
}

/// A bank whose price rises each time that it is asked.
pub async fn rising() -> Bank {
    let bank = Bank::open().await;
    bank.script(&path("tpbank.gold", "chart"), (0..8000).map(|nth| Reply::ok(gold(price(nth)))));
    bank
}

impl Fleet {
    /// None of which is started.
    pub fn new(bank: Bank, url: &str, size: usize, text: &str) -> Self {
        let folder = canary::tempdir().unwrap();
        let config = write_config(folder.path(), "banggia.toml", text);
        let url = url.to_owned();
        Self { bank, url, folder, config, replicas: Vec::new(), book: Arc::default() }.followed_by(size)
    }

    /// With so many more, none of which is started.
    #[must_use]
    pub fn followed_by(mut self, more: usize) -> Self {
        for _ in 0..more {
            std::fs::create_dir(self.home(self.replicas.len())).unwrap();
            let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
            self.replicas.push(Replica { address, service: None, reader: None, frozen: false });
        }
        self
    }

    /// Where a replica works.
    pub fn home(&self, nth: usize) -> PathBuf {
        self.folder.path().join(nth.to_string())
    }

    pub fn address(&self, nth: usize) -> SocketAddr {
        self.replicas[nth].address
    }

    /// How each is started. The URL holds a password, so it comes by the environment.
    pub fn command(&self, nth: usize) -> std::process::Command {
        let mut command = banggia();
        command.current_dir(self.home(nth)).env("BANGGIA_STORE__URL", &self.url);
        command
    }

    pub fn start(&mut self, nth: usize) {
        self.start_by(nth, self.command(nth));
    }

    /// With readers from its first moment on.
    pub fn start_by(&mut self, nth: usize, mut command: std::process::Command) {
        command.args(["serve", "--config"]).arg(&self.config);
        let address = self.address(nth);
        command.args(["--listen", &address.to_string(), "--ops-listen", "127.0.0.1:0"]);
        self.replicas[nth].service = Some(Service::start_with(command));
        self.read(nth);
    }

    pub fn start_all(&mut self) {
        for nth in 0..self.replicas.len() {
            self.start(nth);
        }
    }

    /// Readers ask it from now on.
    pub fn read(&mut self, nth: usize) {
        let reader = Reader::start(&format!("replica {nth}"), self.address(nth), &self.book);
        self.replicas[nth].reader = Some(reader);
    }

    /// Nobody asks it from now on.
    pub fn leave(&mut self, nth: usize) {
        self.replicas[nth].reader = None;
    }

    pub fn service(&self, nth: usize) -> &Service {
        self.replicas[nth].service.as_ref().unwrap()
    }

    /// As the kernel ends it; what it said.
    pub fn kill(&mut self, nth: usize) -> String {
        self.replicas[nth].service.take().unwrap().kill()
    }

    /// As its operator ends it; what it said.
    pub fn stop(&mut self, nth: usize) -> String {
        let (status, said) = self.replicas[nth].service.take().unwrap().stop();
        assert!(status.success(), "replica {nth} ended with {status}:\n{said}");
        said
    }

    pub fn freeze(&mut self, nth: usize) {
        self.service(nth).signal("-STOP");
        self.replicas[nth].frozen = true;
    }

    pub fn thaw(&mut self, nth: usize) {
        self.service(nth).signal("-CONT");
        self.replicas[nth].frozen = false;
    }

    /// Those that run.
    pub fn awake(&self) -> Vec<usize> {
        let runs = |nth: &usize| self.replicas[*nth].service.is_some() && !self.replicas[*nth].frozen;
        (0..self.replicas.len()).filter(runs).collect()
    }

    /// What a replica counts under a name.
    pub fn metric(&self, nth: usize, name: &str) -> Option<i64> {
        let (status, text) = self.service(nth).ops("GET", "/metrics", None, None);
        assert_eq!(status, 200, "replica {nth}: {text}");
        let line = text.lines().find(|line| line.split(['{', ' ']).next() == Some(name))?;
        line.split(' ').next_back()?.parse().ok()
    }

    /// Whether it says that it leads.
    pub fn leads(&self, nth: usize) -> bool {
        self.metric(nth, "banggia_leader") == Some(1)
    }

    pub fn epoch(&self, nth: usize) -> i64 {
        self.metric(nth, "banggia_lease_epoch").unwrap_or_else(|| panic!("replica {nth} has no epoch"))
    }

    /// Waits until one of those that run leads.
    pub fn leader(&self) -> usize {
        self.until("somebody leads", || self.awake().into_iter().find(|nth| self.leads(*nth)))
    }

    /// Waits for something of one's own making.
    pub fn until<T>(&self, what: &str, mut found: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = found() {
                return found;
            }
            assert!(Instant::now() < deadline, "waited {PATIENCE:?} for: {what}\n{}", self.state());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until a condition holds for a document of every replica that runs.
    pub fn everywhere(&self, path: &str, what: &str, condition: impl Fn(&Value) -> bool) {
        for nth in self.awake() {
            self.until(&format!("replica {nth}: {what}"), || {
                condition(&ask(self.address(nth), path).ok()?.json()).then_some(())
            });
        }
    }

    /// How often the bank was asked.
    pub fn asked(&self) -> usize {
        self.bank.hits(&path("tpbank.gold", "chart")).len()
    }

    /// Waits until every replica that runs shows what the bank said when it was asked from now on.
    pub fn news(&self) {
        let next = price(self.asked());
        self.everywhere("/v1/gold", "a price of after now", |gold| bar(gold) >= Some(next));
    }

    /// Waits until readers have had so many more answers.
    pub fn answers(&self, more: u64) {
        let goal = self.book.lock().unwrap().answers + more;
        self.until("answers for the readers", || (self.book.lock().unwrap().answers >= goal).then_some(()));
    }

    /// What there is to see when something does not come.
    fn state(&self) -> String {
        let mut text = String::new();
        for nth in self.awake() {
            let service = self.service(nth);
            let (_, ready) = service.ops("GET", "/readyz?verbose", None, None);
            let log = service.log();
            let last = log.lines().filter(|line| !line.contains("TRACE") && !line.contains("DEBUG"));
            let last: Vec<_> = last.collect();
            let last = last[last.len().saturating_sub(25)..].join("\n");
            text.push_str(&format!("--- replica {nth}\n{ready}\n{last}\n"));
        }
        text
    }

    /// What readers saw that must not be.
    pub fn assert_right(&self) {
        let book = self.book.lock().unwrap();
        assert!(book.answers > 0);
        let first = book.wrong.iter().take(8).cloned().collect::<Vec<_>>().join("\n");
        assert!(
            book.wrong.is_empty(),
            "{} of {} answers are wrong:\n{first}",
            book.wrong.len(),
            book.answers
        );
    }
}

/// Replicas behind nginx, which asks another one where one does not answer.
pub struct Proxy {
    nginx: std::process::Child,
    pub address: SocketAddr,
    _folder: canary::Folder,
}

impl Proxy {
    /// `None` where nginx is not installed; where it must be, that fails.
    pub fn before(servers: &[SocketAddr]) -> Option<Self> {
        let programs = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"];
        let Some(program) = programs.into_iter().find(|program| Path::new(program).is_file()) else {
            crate::service::missing("nginx");
            return None;
        };
        let folder = canary::tempdir().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        // Nobody is called dead for long: who comes back is asked again at once.
        let servers: Vec<_> = servers.iter().map(|server| format!("server {server} max_fails=0;")).collect();
        let servers = servers.join(" ");
        let config = format!(
            "daemon off; worker_processes 1; pid pid; error_log stderr crit; events {{ worker_connections 256; }}\n\
             http {{ access_log off;\n\
             client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;\n\
             upstream replicas {{ {servers} keepalive 16; keepalive_timeout 5s; }}\n\
             server {{ listen {address}; location / {{ proxy_pass http://replicas; proxy_http_version 1.1;\n\
             proxy_set_header Connection \"\"; proxy_set_header Host banggia; proxy_connect_timeout 1s;\n\
             proxy_read_timeout 2s; proxy_next_upstream error timeout; proxy_buffers 16 16k; proxy_buffer_size 16k;\n\
             add_header X-Served-By $upstream_addr always; }} }} }}\n"
        );
        std::fs::write(folder.path().join("nginx.conf"), config).unwrap();
        // Started by root, nginx works as somebody else.
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.path(), readable).unwrap();
        let nginx = std::process::Command::new(program)
            .arg("-p")
            .arg(folder.path())
            .args(["-c", "nginx.conf", "-e", "stderr"])
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let proxy = Self { nginx, address, _folder: folder };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "nginx takes no connections");
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(proxy)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Not SIGKILL, which would leave its workers behind.
        crate::postgres::signal("-TERM", &[self.nginx.id()]);
        let _ = self.nginx.wait();
    }
}

#[test]
fn readers_notice_an_older_version_another_etag_another_body_and_a_failure() {
    let answer = |version: i64, etag: &str, more: &str| {
        let body = format!(r#"{{"version":{version},"quotes":[]{more}}}"#);
        Ok(Answer { status: 200, head: format!("HTTP/1.1 200 OK\r\nETag: {etag}"), body })
    };
    let mut book = Book::default();
    let now = Instant::now();
    for (who, version) in [("a", 4), ("b", 3), ("a", 5), ("b", 5)] {
        book.note(who, "/v1/gold", answer(version, &version.to_string(), ""), now);
    }
    assert!(book.wrong.is_empty(), "{:?}", book.wrong);
    book.note("a", "/v1/board", answer(1, "1", ""), now);
    assert!(book.wrong.is_empty(), "another document has versions of its own: {:?}", book.wrong);
    for (wrong, result) in [
        ("version 4 after 5", answer(4, "4", "")),
        ("gave 5", answer(5, "other", "")),
        ("body", answer(5, "5", r#","x":1"#)),
        ("503", Ok(Answer { status: 503, head: "HTTP/1.1 503 X".to_owned(), body: String::new() })),
        ("refused", Err(std::io::Error::other("refused"))),
    ] {
        let before = book.wrong.len();
        book.note("a", "/v1/gold", result, now);
        assert_eq!(book.wrong.len(), before + 1, "{wrong}");
        assert!(book.wrong[before].contains(wrong), "{:?}", book.wrong);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_of_one_replica_behind_nginx_see_the_price_rise_and_nothing_wrong() {
    let bank = rising().await;
    tokio::task::spawn_blocking(move || {
        // One alone has a store of its own, without a lease.
        let text = config(&bank, "* * * * * *", "3s", "").replace("lease = \"3s\"", "");
        let mut fleet = Fleet::new(bank, "sqlite:banggia.db", 1, &text);
        let Some(proxy) = Proxy::before(&[fleet.address(0)]) else { return };
        fleet.start(0);
        fleet.news();
        let through = Reader::start("nginx", proxy.address, &fleet.book);
        fleet.news();
        fleet.answers(30);
        drop(through);
        fleet.assert_right();
        assert!(fleet.home(0).join("banggia.db").is_file(), "it works in a folder of its own");
        let book = fleet.book.lock().unwrap();
        assert!(book.shown.len() >= 2, "{:?}", book.shown);
        assert!(book.seen.contains_key(&fleet.address(0).to_string()), "nginx says who answered");
        assert!(!book.lags().is_empty());
    })
    .await
    .unwrap();
}
