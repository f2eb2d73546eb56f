//! The real program as a child process: started, asked over its own socket, killed in the middle of things.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::canary;

/// The operator's, in tests: found like those of `tests/canaries` wherever it shows.
pub const TOKEN: &str = "a22canary-admin-token-2f9c";

/// `banggia`, without the environment of whoever runs the tests, with secrets that it must not tell at any level.
pub fn banggia() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_banggia"));
    // How much the tests count is none of its business; of variables that nothing reads it would warn.
    let ours = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in ours.filter(|name| name.starts_with("BANGGIA_")) {
        command.env_remove(name);
    }
    command.env("BANGGIA_LOG", "trace").envs(canary::environment());
    command.env("BANGGIA_SECRETS__ADMIN_TOKEN", TOKEN);
    command
}

/// What a start that fails says and how it ends.
pub fn refused(mut command: Command, config: &Path) -> (i32, String) {
    let mut child = command.args(["serve", "--config"]).arg(config).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    canary::said(said.as_bytes());
    (child.wait().unwrap().code().unwrap_or(-1), said)
}

pub struct Service {
    child: Child,
    pub public: SocketAddr,
    pub ops: SocketAddr,
    log: Arc<Mutex<String>>,
}

impl Service {
    pub fn start(config: &Path) -> Self {
        Self::start_by(banggia(), config)
    }

    /// Started by a command that ends in the program, such as `strace … banggia`.
    pub fn start_by(mut command: Command, config: &Path) -> Self {
        command.args(["serve", "--config"]).arg(config);
        Self::start_with(command)
    }

    /// Started by a whole command line.
    pub fn start_with(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (sender, receiver) = mpsc::channel();
        let (lines, book) = (BufReader::new(child.stderr.take().unwrap()).lines(), Arc::clone(&log));
        std::thread::spawn(move || {
            let mut public: Option<SocketAddr> = None;
            for line in lines.map_while(Result::ok) {
                canary::said(format!("{line}\n").as_bytes());
                if let Some((_, address)) = line.split_once("public listener on http://") {
                    // In JSON a quotation mark follows.
                    public = address.split('"').next().and_then(|address| address.trim().parse().ok());
                }
                if let (Some(public), Some((_, address))) =
                    (public, line.split_once("ops listener on http://"))
                {
                    let address = address.split('"').next().unwrap_or_default();
                    let _ = sender.send((public, address.trim().parse().unwrap()));
                }
                let mut log = book.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        let Ok((public, ops)) = receiver.recv_timeout(Duration::from_mins(1)) else {
            let _ = child.kill();
            panic!("the service did not start:\n{}", log.lock().unwrap());
        };
        Self { child, public, ops, log }
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks the operator's listener, with a token where one is given; status and body.
    pub fn ops(&self, method: &str, path: &str, token: Option<&str>, body: Option<&str>) -> (u16, String) {
        let mut stream = std::net::TcpStream::connect(self.ops).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
        if let Some(token) = token {
            head.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        let body = body.unwrap_or_default();
        if method == "POST" {
            head.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
        }
        write!(stream, "{head}\r\n{body}").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        canary::search(path, text.as_bytes());
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        (status, body.to_owned())
    }

    /// What an operator's program does and gets, where it works.
    pub fn admin(&self, method: &str, path: &str, body: Option<&str>) -> Value {
        let (status, text) = self.ops(method, path, Some(TOKEN), body);
        assert_eq!(status, 200, "{method} {path}: {text}\n{}", self.log());
        serde_json::from_str(&text).unwrap()
    }

    pub fn get(&self, path: &str) -> Value {
        let text = self.text(path);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
        assert!(head.starts_with("HTTP/1.1 200"), "{path}: {head}\n{}", self.log());
        serde_json::from_str(body).unwrap()
    }

    fn text(&self, path: &str) -> String {
        self.page(path, &[])
    }

    /// A whole answer, head and body.
    pub fn page(&self, path: &str, headers: &[(&str, &str)]) -> String {
        let headers: Vec<String> =
            headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let headers = headers.concat();
        let mut stream = std::net::TcpStream::connect(self.public).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        canary::search(path, text.as_bytes());
        text
    }

    /// Waits for a condition on a document.
    pub fn wait(&self, path: &str, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let document = self.get(path);
            if condition(&document) {
                return document;
            }
            assert!(Instant::now() < deadline, "waited a minute for: {what}\n{document:#}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for words in the log.
    pub fn wait_log(&self, words: &str) {
        let deadline = Instant::now() + Duration::from_mins(1);
        while !self.log().contains(words) {
            assert!(Instant::now() < deadline, "waited a minute for: {words}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// As a power cut or the kernel ends it.
    pub fn kill(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.log()
    }

    /// As its operator ends it.
    pub fn stop(mut self) -> (ExitStatus, String) {
        self.signal("-TERM");
        let status = self.child.wait().unwrap();
        (status, self.log())
    }

    /// Whether the process that was started has ended.
    pub fn ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.id().to_string()]).status().unwrap().success());
    }
}

impl Drop for Service {
    /// A test that fails leaves nothing running.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for a condition.
pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !condition().await {
        assert!(Instant::now() < deadline, "waited a minute for: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether a program is installed.
pub fn installed(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

/// Writes a configuration beside a store.
pub fn write_config(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// A number from the environment: how many rounds, which seed.
pub fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Says that a test cannot run here; where everything has to, that is a failure.
pub fn missing(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "{what} is not installed, and CI skips nothing");
    eprintln!("SKIPPED: {what} is not installed");
}
