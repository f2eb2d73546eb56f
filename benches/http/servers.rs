//! What is measured and what it is measured against: the service, a private nginx, and a bare hyper server, each
//! on a free loopback port, ended with its value. Also the one request by which their answers are compared.

use std::{
    convert::Infallible,
    fs,
    future::ready,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    HeaderMap, Response, StatusCode,
    header::{HeaderName, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;

use super::load::{Cpu, Request, cpu, tree};

/// As many as the service has.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get).clamp(2, 8)
}

/// A running server.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Not SIGKILL, which would leave nginx's workers behind.
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

impl Server {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// CPU time so far of all its processes.
    pub fn cpu(&self) -> Cpu {
        cpu(&tree(self.pid()))
    }

    /// The release binary on the built-in recordings. Its feeds are due once a year, so that the bytes stay the
    /// same while they are measured.
    pub fn replay() -> Self {
        let mut config = String::new();
        for (_, feed) in providers::feeds() {
            config.push_str(&format!("[feeds.{}]\nschedule = \"0 3 1 1 *\"\njitter = \"0s\"\n", feed.id));
        }
        Self::service(&config, &["--replay"])
    }

    /// The release binary.
    pub fn service(config: &str, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("banggia.toml");
        fs::write(&file, config).unwrap();
        let address = free_address();
        let child = Command::new(env!("CARGO_BIN_EXE_banggia"))
            .args(["serve", "--listen", &address.to_string(), "--ops-listen", "127.0.0.1:0", "--config"])
            .arg(&file)
            .args(options)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { child, address, folder };
        until("the board is filled and rests", || {
            let board = || server.ask("/v1/board", &[]).map(|board| String::from_utf8(board.body).unwrap());
            board().is_ok_and(|text| {
                let filled = text.contains("bidv.fx.USD") && text.contains("ocb.deposit.counter.P6M");
                // The other feeds come within this.
                std::thread::sleep(Duration::from_millis(200));
                filled && board().is_ok_and(|again| again == text)
            })
        });
        server
    }

    /// nginx with an answer as a file, and its gzip beside it where that is what will be asked for.
    pub fn nginx_static(path: &str, plain: &Answer, gzip: Option<&Answer>) -> Self {
        let shown = gzip.unwrap_or(plain);
        let server = format!(
            "root www; etag on; gzip_static {on}; gzip_vary {on}; types {{ }} default_type \"{kind}\"; \
             add_header Cache-Control \"{cache}\"; add_header Access-Control-Allow-Origin \"{origin}\";",
            on = if gzip.is_some() { "on" } else { "off" },
            kind = shown.header("content-type"),
            cache = shown.header("cache-control"),
            origin = shown.header("access-control-allow-origin"),
        );
        Self::nginx("", &server, |folder| {
            let file = format!("{}/www{path}", folder.display());
            fs::create_dir_all(Path::new(&file).parent().unwrap()).unwrap();
            fs::write(&file, &plain.body).unwrap();
            if let Some(gzip) = gzip {
                fs::write(file + ".gz", &gzip.body).unwrap();
            }
        })
    }

    /// nginx that keeps what `origin` answers.
    pub fn nginx_cache(origin: SocketAddr) -> Self {
        Self::nginx(
            "proxy_cache_path cache keys_zone=kept:1m inactive=1h use_temp_path=off;",
            &format!(
                "location / {{ proxy_pass http://{origin}; proxy_http_version 1.1; \
                 proxy_set_header Connection \"\"; proxy_cache kept; proxy_cache_valid 200 1h; \
                 proxy_ignore_headers Cache-Control Expires; }}"
            ),
            |_| {},
        )
    }

    /// How many answers [`Self::nginx_cache`] has kept.
    pub fn kept(&self) -> usize {
        fs::read_dir(self.folder.path().join("cache")).unwrap().count()
    }

    fn nginx(http: &str, server: &str, prepare: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Started by root, nginx works as somebody else.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        prepare(folder.path());
        let (address, workers) = (free_address(), workers());
        let config = format!(
            "daemon off; worker_processes {workers}; pid pid; error_log stderr crit;\n\
             events {{ worker_connections 4096; }}\n\
             http {{\n\
             access_log off; server_tokens off; sendfile on; tcp_nopush on; tcp_nodelay on;\n\
             keepalive_timeout 75s; keepalive_requests 1000000000;\n\
             open_file_cache max=1000 inactive=1h; open_file_cache_valid 1h;\n\
             client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;\n\
             {http}\n\
             server {{ listen {address} backlog=4096 reuseport; {server} }}\n\
             }}\n"
        );
        fs::write(folder.path().join("nginx.conf"), config).unwrap();
        let child = Command::new(nginx())
            .arg("-p")
            .arg(folder.path())
            .args(["-c", "nginx.conf", "-e", "stderr"])
            .spawn()
            .unwrap();
        let server = Self { child, address, folder };
        until("nginx listens", || TcpStream::connect(address).is_ok() && tree(server.pid()).len() > workers);
        server
    }

    /// This benchmark again, as a server that only knows this one answer.
    pub fn bare(answer: &Answer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("answer");
        fs::write(&file, [answer.head.as_bytes(), b"\r\n\r\n", &answer.body].concat()).unwrap();
        let address = free_address();
        let child = Command::new(std::env::current_exe().unwrap())
            .arg("--bare")
            .arg(&file)
            .arg(address.to_string())
            .spawn()
            .unwrap();
        let server = Self { child, address, folder };
        until("the bare server listens", || TcpStream::connect(address).is_ok());
        server
    }

    /// One request.
    pub fn ask(&self, path: &str, headers: &[(&str, String)]) -> io::Result<Answer> {
        let mut stream = TcpStream::connect(self.address)?;
        ask(&mut stream, path, headers)
    }

    /// The same of a [`Request`], which must be answered.
    pub fn answer(&self, request: &Request) -> Answer {
        self.ask(&request.path, &request.headers).unwrap()
    }
}

/// An HTTP answer.
pub struct Answer {
    pub status: u16,
    /// Status line and headers.
    head: String,
    pub body: Vec<u8>,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Self { status, head, body: bytes[end + 4..].to_vec() })
    }

    fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.head.lines().skip(1).filter_map(|line| line.split_once(": "))
    }

    /// Empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers().find(|(known, _)| known.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }

    /// `gzip` or `identity`.
    pub fn encoding(&self) -> &str {
        match self.header("content-encoding") {
            "" => "identity",
            encoding => encoding,
        }
    }
}

/// One request on a connection that stays open.
pub fn ask(stream: &mut TcpStream, path: &str, headers: &[(&str, String)]) -> io::Result<Answer> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all((request + "\r\n").as_bytes())?;
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 << 10];
    loop {
        let read = stream.read(&mut buffer)?;
        bytes.extend_from_slice(&buffer[..read]);
        if let Some(answer) = Answer::parse(&bytes)
            && answer.body.len() >= answer.header("content-length").parse().unwrap_or(0)
        {
            return Ok(answer);
        }
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// What [`Server::bare`] runs: hyper with prebuilt headers and nothing else. No routes, no timers, no limits.
pub fn serve_bare(file: &Path, address: SocketAddr) {
    let answer = Answer::parse(&fs::read(file).unwrap()).unwrap();
    let mut headers = HeaderMap::new();
    // These hyper writes itself, as it does in the service.
    for (name, value) in answer.headers().filter(|(name, _)| !["date", "connection"].contains(name)) {
        headers.append(name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap());
    }
    let status = StatusCode::from_u16(answer.status).unwrap();
    let body = Bytes::from(answer.body);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(workers()).enable_io().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let accept = async move {
            let mut server = http1::Builder::new();
            server.header_read_timeout(None);
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                let (headers, body) = (headers.clone(), body.clone());
                let service = service_fn(move |_| {
                    let mut response = Response::new(Full::new(body.clone()));
                    *response.status_mut() = status;
                    response.headers_mut().clone_from(&headers);
                    ready(Ok::<_, Infallible>(response))
                });
                tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
            }
        };
        tokio::spawn(accept).await.unwrap();
    });
}

/// The name by which nginx starts: where Debian puts it, not everybody's shell looks.
pub fn nginx() -> &'static str {
    let starts = |name: &&str| Command::new(name).arg("-v").stderr(Stdio::null()).status().is_ok();
    ["nginx", "/usr/sbin/nginx"].into_iter().find(starts).unwrap_or("nginx")
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "waited half a minute until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
