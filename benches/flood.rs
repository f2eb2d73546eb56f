//! Distinct query strings against the release binary: what a million of them leave in memory. Run with
//! `cargo bench --bench flood`; `-- 100000` for fewer. Fails above 8 MB, and when the service answers anything but
//! what a query deserves. Four connections at a time, requests sent ahead of their
//! answers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation ends the benchmark"
)]
#![allow(clippy::float_arithmetic, reason = "figures about memory, not about money")]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

const GOAL: f64 = 8.0;
/// Requests on their way at a time: far fewer bytes than a socket holds.
const AHEAD: usize = 50;
const CLIENTS: usize = 4;
/// After so many the memory is looked at.
const ROUND: usize = 10_000;

fn main() -> ExitCode {
    let count =
        std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(1_000_000_usize);
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let service = Command::new(env!("CARGO_BIN_EXE_banggia"))
        .args(["serve", "--replay", "--listen", &address.to_string(), "--ops-listen", "127.0.0.1:0"])
        // The bucket would refuse nearly all of them; it is the cache that is tested.
        .env("BANGGIA_SERVER__RATE_LIMIT", "0")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let service = Service(service);
    let mut line = connect(address);
    while ask_one(&mut line, "/v1/convert?from=USD&to=VND") != 200 {}
    // Every kind of answer once, so that what is made on the first request is not counted as growth.
    ask(&mut line, &(0..50).map(|n| query(n + usize::MAX / 2)).collect::<Vec<_>>());
    let before = resident(&service.0);
    let (mut most, started) = (before, Instant::now());
    let mut lines: Vec<_> = (0..CLIENTS).map(|_| connect(address)).collect();
    for first in (0..count).step_by(ROUND) {
        let queries: Vec<_> = (first..count.min(first + ROUND)).map(query).collect();
        std::thread::scope(|scope| {
            for (line, part) in lines.iter_mut().zip(queries.chunks(ROUND.div_ceil(CLIENTS))) {
                scope.spawn(|| ask(line, part));
            }
        });
        most = most.max(resident(&service.0));
    }
    let grown = most - before;
    println!(
        "{count} distinct queries in {:.0} s: {before:.1} MB before, {most:.1} MB at most, {grown:+.1} MB (goal ≤ {GOAL} MB: {})",
        started.elapsed().as_secs_f64(),
        if grown <= GOAL { "met" } else { "MISSED" }
    );
    if grown <= GOAL { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Ends with the benchmark, also with one that fails.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The nth query and its status: selections, conversions, campaign tags, mistakes.
fn query(n: usize) -> (String, u16) {
    match n % 5 {
        0 => (format!("/v1/convert?from=USD&to=VND&amount={}", n % 1_000_000_000), 200),
        1 if n.is_multiple_of(2) => (format!("/v1/fx?currencies={}", currencies(n / 10)), 200),
        1 => (
            format!("/v1/deposits?terms={},P{}D,{}", n % 999 + 1, n / 999 % 999 + 1, n / 998_001 % 999 + 1),
            200,
        ),
        2 => (format!("/widgets/panel?utm_source={n}"), 200),
        3 => (format!("/v1/fx?x={n}"), 422),
        _ => (format!("/v1/gold.csv?unit={n}"), 422),
    }
}

/// A set of currencies for each number.
fn currencies(n: usize) -> String {
    let chosen = providers::CURRENCIES.iter().enumerate().filter(|(at, _)| (n + 1) >> at & 1 == 1);
    let chosen: Vec<&str> = chosen.map(|(_, code)| *code).collect();
    if chosen.is_empty() { "USD".to_owned() } else { chosen.join(",") }
}

fn connect(address: SocketAddr) -> BufReader<TcpStream> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match TcpStream::connect(address) {
            Ok(stream) => return BufReader::new(stream),
            Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(20)),
            Err(error) => panic!("the service does not listen: {error}"),
        }
    }
}

/// Asks all of them and checks each status.
fn ask(line: &mut BufReader<TcpStream>, queries: &[(String, u16)]) {
    for some in queries.chunks(AHEAD) {
        let mut requests = String::new();
        for (path, _) in some {
            requests.push_str(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        }
        line.get_mut().write_all(requests.as_bytes()).unwrap();
        for (path, wanted) in some {
            assert_eq!(answer(line), *wanted, "{path}");
        }
    }
}

fn ask_one(line: &mut BufReader<TcpStream>, path: &str) -> u16 {
    line.get_mut().write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
    answer(line)
}

/// Reads one answer and gives its status.
fn answer(line: &mut BufReader<TcpStream>) -> u16 {
    let (mut status, mut length) = (0, 0);
    loop {
        let mut header = String::new();
        assert!(line.read_line(&mut header).unwrap() > 0, "the connection ended");
        if let Some(first) = header.strip_prefix("HTTP/1.1 ") {
            status = first.split(' ').next().unwrap().parse().unwrap();
        } else if let Some(value) = header.strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        } else if header == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    line.read_exact(&mut body).unwrap();
    status
}

/// Megabytes.
fn resident(service: &Child) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}
