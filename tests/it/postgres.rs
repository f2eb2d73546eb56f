//! A real PostgreSQL of a test's own (Debian's package), and a pgbouncer before it: started on loopback in a folder that goes with it,
//! killed, frozen, restarted, made read-only. Its processes end with it, and with the tests, however those end.

use std::{
    collections::BTreeSet,
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::{
        atomic::{AtomicU16, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::service::installed;

/// Of the role that owns every database of the tests; found like those of `tests/canaries` wherever it shows.
pub const PASSWORD: &str = "a22canary-store-password";
/// That role.
const ROLE: &str = "banggia";
/// Started by root, both programs want to be somebody else.
const USER: &str = "postgres";
const PATIENCE: Duration = Duration::from_secs(30);

/// Where Debian keeps the programs of the newest version that is installed.
pub fn programs() -> Option<PathBuf> {
    let version = |path: &PathBuf| path.parent()?.file_name()?.to_str()?.parse::<u32>().ok();
    let folders = std::fs::read_dir("/usr/lib/postgresql").ok()?.filter_map(Result::ok);
    folders
        .map(|folder| folder.path().join("bin"))
        .filter(|bin| bin.join("initdb").is_file() && bin.join("psql").is_file())
        .max_by_key(version)
}

/// A port that nobody has, out of those that the kernel gives to nobody who asks for any: so it can be had again after a
/// restart.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let own = u16::try_from(std::process::id() % 1000).unwrap() * 20;
    loop {
        let port = 10_000 + own.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 22_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Waits for what comes soon or never.
fn soon(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} for: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn signal(signal: &str, processes: &[u32]) {
    let ids = processes.iter().map(ToString::to_string);
    // One that has ended meanwhile is no matter.
    let _ = Command::new("kill").arg(signal).args(ids).stderr(Stdio::null()).status();
}

/// State and parent of a process, as the kernel tells them.
fn stat(process: u32) -> Option<(char, u32)> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    let mut words = rest.split_whitespace();
    Some((words.next()?.chars().next()?, words.next()?.parse().ok()?))
}

fn children(parent: u32) -> BTreeSet<u32> {
    let entries = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|process| stat(*process).is_some_and(|(_, of)| of == parent))
        .collect()
}

/// A program and those that it starts.
struct Family {
    id: u32,
    /// Told when it has ended.
    ended: mpsc::Receiver<ExitStatus>,
}

impl Family {
    /// By a user who may run it. It is told to end when we do, by the thread that started it, which therefore waits for it.
    fn start(program: &Path, arguments: &[&str], log: &Path) -> Self {
        let mut command = Command::new("setpriv");
        if is_root() {
            command.args(["--reuid", USER, "--regid", USER, "--clear-groups"]);
        }
        command.args(["--pdeathsig", "QUIT"]).arg(program).args(arguments);
        let log = std::fs::File::options().create(true).append(true).open(log).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        quiet(&mut command);
        let (started, id) = mpsc::channel();
        let (over, ended) = mpsc::channel();
        std::thread::spawn(move || {
            let mut child = command.spawn().unwrap();
            started.send(child.id()).unwrap();
            let _ = over.send(child.wait().unwrap());
        });
        Self { id: id.recv().unwrap(), ended }
    }

    fn has_ended(&self) -> bool {
        !matches!(self.ended.try_recv(), Err(mpsc::TryRecvError::Empty))
    }

    /// Stops all, so that none can start another one, and says who they are.
    fn freeze(&self) -> Vec<u32> {
        signal("-STOP", &[self.id]);
        let mut known = BTreeSet::new();
        soon("every process has stopped", || {
            let now = children(self.id);
            signal("-STOP", &now.iter().copied().collect::<Vec<_>>());
            let stopped = |process: &u32| stat(*process).is_none_or(|(state, _)| "TtZ".contains(state));
            let all = now == known && stopped(&self.id) && now.iter().all(stopped);
            known = now;
            all
        });
        known.insert(self.id);
        known.into_iter().collect()
    }

    fn thaw(&self) {
        let mut all: Vec<u32> = children(self.id).into_iter().collect();
        all.push(self.id);
        signal("-CONT", &all);
    }

    /// As the kernel ends it.
    fn kill(&self) {
        if self.has_ended() {
            return;
        }
        let all = self.freeze();
        signal("-KILL", &all);
        soon("every process has ended", || {
            all.iter().all(|process| stat(*process).is_none_or(|(state, _)| state == 'Z'))
        });
    }

    /// As a signal ends it.
    fn end(&self, by: &str) {
        signal(by, &[self.id]);
        let ended = self.ended.recv_timeout(PATIENCE);
        assert!(!matches!(ended, Err(mpsc::RecvTimeoutError::Timeout)), "{by} did not end it");
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        if !self.has_ended() {
            let mut all: Vec<u32> = children(self.id).into_iter().collect();
            all.push(self.id);
            signal("-KILL", &all);
        }
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// Without what whoever runs the tests has set for servers of their own.
fn quiet(command: &mut Command) {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in names.filter(|name| name.starts_with("PG")) {
        command.env_remove(name);
    }
}

/// A folder that the programs' user may use.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    give(folder.path());
    folder
}

fn give(path: &Path) {
    if !is_root() {
        return;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let entry = users.lines().find(|line| line.starts_with(&format!("{USER}:"))).unwrap();
    let ids: Vec<u32> = entry.split(':').skip(2).take(2).map(|id| id.parse().unwrap()).collect();
    std::os::unix::fs::chown(path, Some(ids[0]), Some(ids[1])).unwrap();
}

/// How a server differs from the usual one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Quick: what it says it wrote is gone with the machine, though not with the process.
    Plain,
    /// Speaks to nobody without TLS.
    Tls,
}

/// A server. Dropped, it is gone.
pub struct Postgres {
    bin: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
    family: Option<Family>,
    databases: AtomicU16,
}

impl Postgres {
    /// A new one, or `None` where it is not installed; where it must be, that fails.
    pub fn start() -> Option<Self> {
        Self::of(Kind::Plain)
    }

    /// The same of a kind.
    pub fn of(kind: Kind) -> Option<Self> {
        let Some(bin) = programs().filter(|_| installed("setpriv")) else {
            crate::service::missing("postgres");
            return None;
        };
        let folder = folder();
        let data = folder.path().join("data");
        let initdb = Family::start(
            &bin.join("initdb"),
            &[
                "-D",
                data.to_str().unwrap(),
                "--no-sync",
                "--no-instructions",
                "--username=postgres",
                "--auth-local=trust",
                "--auth-host=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--wal-segsize=1",
            ],
            &folder.path().join("log"),
        );
        let status = initdb.ended.recv_timeout(Duration::from_mins(1));
        let mut server = Self { bin, folder, port: 0, family: None, databases: AtomicU16::new(0) };
        assert!(status.is_ok_and(|status| status.success()), "initdb: {}", server.log());
        let mut settings = "listen_addresses = '127.0.0.1'\nunix_socket_directories = '..'\nfsync = off\n\
             synchronous_commit = on\nfull_page_writes = off\nshared_buffers = 16MB\nmax_connections = 60\n\
             wal_level = minimal\nmax_wal_senders = 0\nmin_wal_size = 2MB\nmax_wal_size = 64MB\njit = off\n\
             max_parallel_workers = 0\nlog_timezone = 'UTC'\ntimezone = 'America/Lima'\n"
            .to_owned();
        if kind == Kind::Tls {
            certify(&data);
            settings.push_str("ssl = on\n");
            let rules = "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n";
            std::fs::write(data.join("pg_hba.conf"), rules).unwrap();
        }
        let file = data.join("postgresql.conf");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text + &settings).unwrap();
        for attempt in 0.. {
            server.port = free_port();
            if server.try_start() {
                break;
            }
            assert!(attempt < 5, "PostgreSQL does not start: {}", server.log());
        }
        server.sql("postgres", &format!("CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'"));
        Some(server)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// What it said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The authority of a server of [`Kind::Tls`], as an operator would save it.
    pub fn authority(&self) -> PathBuf {
        self.data().join("authority.pem")
    }

    fn try_start(&mut self) -> bool {
        let (port, data) = (self.port.to_string(), self.data());
        let family = Family::start(
            &self.bin.join("postgres"),
            &["-D", data.to_str().unwrap(), "-p", &port],
            &self.folder.path().join("log"),
        );
        soon("PostgreSQL takes connections", || {
            family.has_ended() || self.try_sql("postgres", "SELECT 1").is_ok()
        });
        let up = !family.has_ended();
        self.family = Some(family);
        up
    }

    /// Starts it again where it was.
    pub fn start_again(&mut self) {
        assert!(self.try_start(), "PostgreSQL does not start again: {}", self.log());
    }

    fn family(&self) -> &Family {
        self.family.as_ref().unwrap()
    }

    /// As its operator ends it: sessions are ended, what they wrote stays.
    pub fn stop(&mut self) {
        self.family().end("-INT");
    }

    /// As the kernel ends it.
    pub fn kill(&mut self) {
        self.family().kill();
    }

    /// Ends at once and starts again.
    pub fn restart(&mut self) {
        self.family().end("-QUIT");
        self.start_again();
    }

    /// Takes connections and says nothing.
    pub fn freeze(&self) {
        self.family().freeze();
    }

    /// Goes on as if nothing had been.
    pub fn thaw(&self) {
        self.family().thaw();
    }

    /// As after a fail-over to a server that only reads, and back. Sessions are ended, as there.
    pub fn read_only(&self, is: bool) {
        let is = if is { "on" } else { "off" };
        self.sql("postgres", &format!("ALTER SYSTEM SET default_transaction_read_only = {is}"));
        self.sql("postgres", "SELECT pg_reload_conf()");
        soon("the setting is in force", || {
            // Not ours, which says what it wants.
            let told = self.psql("postgres", "SHOW default_transaction_read_only", "");
            told.is_ok_and(|told| told.trim() == is)
        });
        self.end_sessions();
    }

    /// Ends every session but the one that does it.
    pub fn end_sessions(&self) {
        self.sql(
            "postgres",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'",
        );
    }

    /// An empty database for one test; its name.
    pub fn database(&self) -> String {
        let name = format!("board_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        // Ordered as people order words, which is not how a file orders bytes: no answer may depend on it.
        let order = "LOCALE_PROVIDER icu ICU_LOCALE 'vi' TEMPLATE template0";
        self.sql("postgres", &format!("CREATE DATABASE {name} OWNER {ROLE} {order}"));
        name
    }

    /// What `store.url` is for a database of it.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{ROLE}:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
    }

    /// What a statement of the superuser gives: a line a row, cells between bars.
    pub fn sql(&self, database: &str, text: &str) -> String {
        self.try_sql(database, text).unwrap_or_else(|error| panic!("{text}: {error}\n{}", self.log()))
    }

    /// The same where it may fail.
    pub fn try_sql(&self, database: &str, text: &str) -> Result<String, String> {
        self.psql(database, text, "-c default_transaction_read_only=off")
    }

    fn psql(&self, database: &str, text: &str, options: &str) -> Result<String, String> {
        let mut command = Command::new(self.bin.join("psql"));
        quiet(&mut command);
        command.env("PGOPTIONS", options).env("PGCONNECT_TIMEOUT", "5");
        let socket = self.folder.path().to_str().unwrap();
        let done = command
            .args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-h", socket])
            .args(["-p", &self.port.to_string(), "-d", database, "-c", text])
            .output()
            .unwrap();
        if done.status.success() {
            Ok(String::from_utf8(done.stdout).unwrap().trim_end().to_owned())
        } else {
            Err(String::from_utf8_lossy(&done.stderr).into_owned())
        }
    }

    /// A number.
    pub fn count(&self, database: &str, text: &str) -> i64 {
        let told = self.sql(database, text);
        told.parse().unwrap_or_else(|_| panic!("{text}: {told}"))
    }
}

/// A certificate for loopback by an authority of its own.
fn certify(data: &Path) {
    let authority_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(params, authority_key);
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    for (name, text) in [
        ("authority.pem", authority.pem()),
        ("server.crt", certificate.pem()),
        ("server.key", key.serialize_pem()),
    ] {
        let file = data.join(name);
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        give(&file);
    }
}

/// pgbouncer before a server, one transaction at a time to a session, with what it comes with and nothing more.
pub struct Bouncer {
    address: SocketAddr,
    _family: Family,
    folder: tempfile::TempDir,
}

impl Bouncer {
    /// `None` where it is not installed; where it must be, that fails.
    pub fn before(server: &Postgres) -> Option<Self> {
        let program = Path::new("/usr/sbin/pgbouncer");
        if !program.is_file() {
            crate::service::missing("pgbouncer");
            return None;
        }
        let folder = folder();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("users"), format!("\"{ROLE}\" \"{PASSWORD}\"\n")).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {}\n\
             unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\npool_mode = transaction\n\
             default_pool_size = 3\nmax_client_conn = 100\nlog_connections = 0\nlog_disconnections = 0\n",
            server.port,
            address.port(),
            path("users").display()
        );
        std::fs::write(path("bouncer.ini"), settings).unwrap();
        for name in ["users", "bouncer.ini"] {
            give(&path(name));
        }
        let family = Family::start(program, &[path("bouncer.ini").to_str().unwrap()], &path("log"));
        let bouncer = Self { address, _family: family, folder };
        soon("pgbouncer takes connections", || TcpStream::connect(address).is_ok());
        Some(bouncer)
    }

    /// What it said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// What `store.url` is for a database behind it.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{ROLE}:{PASSWORD}@{}/{database}", self.address)
    }
}

#[test]
fn a_server_of_the_tests_can_be_killed_frozen_and_made_read_only_and_keeps_what_it_wrote() {
    let Some(mut server) = Postgres::start() else { return };
    let name = server.database();
    server.sql(&name, "CREATE TABLE t (n BIGINT); INSERT INTO t VALUES (1)");
    server.kill();
    assert!(server.try_sql(&name, "SELECT 1").is_err(), "it is dead");
    server.start_again();
    server.restart();
    server.stop();
    server.start_again();
    assert_eq!(server.count(&name, "SELECT n FROM t"), 1);
    server.read_only(true);
    assert!(server.psql(&name, "INSERT INTO t VALUES (2)", "").unwrap_err().contains("read-only"));
    server.read_only(false);
    server.psql(&name, "INSERT INTO t VALUES (2)", "").unwrap();
    server.freeze();
    let mut late = Command::new("timeout");
    late.args(["1", server.bin.join("psql").to_str().unwrap(), "-U", "postgres"]);
    late.args(["-h", server.folder.path().to_str().unwrap(), "-p", &server.port.to_string()]);
    late.args(["-c", "SELECT 1"]);
    assert_eq!(late.output().unwrap().status.code(), Some(124), "it says nothing");
    server.thaw();
    assert_eq!(server.count(&name, "SELECT count(*) FROM t"), 2);
    let processes = server.family().freeze();
    drop(server);
    soon("nothing of it is left", || {
        processes.iter().all(|id| stat(*id).is_none_or(|(state, _)| state == 'Z'))
    });
}

#[test]
fn a_pgbouncer_of_the_tests_lets_through_who_knows_the_password() {
    let Some(server) = Postgres::start() else { return };
    let Some(bouncer) = Bouncer::before(&server) else { return };
    let name = server.database();
    let ask = |url: &str| {
        let mut command = Command::new(server.bin.join("psql"));
        quiet(&mut command);
        command.args(["-XAtq", "-d", url, "-c", "SELECT 40 + 2"]).output().unwrap()
    };
    let told = ask(&bouncer.url(&name));
    assert_eq!(String::from_utf8_lossy(&told.stdout).trim(), "42", "{told:?} {}", bouncer.log());
    assert!(!ask(&bouncer.url(&name).replace(PASSWORD, "wrong")).status.success());
}
