//! What the release binary costs: start to first answer with a stored board, idle memory, CPU of refreshing all
//! six feeds. Run with `cargo bench --bench start`; figures are printed with their goals, medians of several runs.
//! Against a scripted bank on loopback, so it measures the service and not a network.

#![allow(clippy::disallowed_methods, reason = "a benchmark spawns its own bank")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation ends the benchmark"
)]
#![allow(clippy::float_arithmetic, reason = "figures about time, not about money")]
#![allow(dead_code, missing_docs, unreachable_pub, reason = "shares the scripted bank with the tests")]

#[path = "../tests/it/bank.rs"]
mod bank;
#[path = "http/unheard.rs"]
mod canary;
#[path = "../tests/it/house.rs"]
mod house;

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const STARTS: usize = 21;
const REFRESHES: u64 = 10;

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let bank = runtime.block_on(bank::Bank::open());
    house::good_day(&bank, 0);
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("banggia.db");
    let address = free_address();
    let quiet = house::config_text(&bank, &store).replacen("127.0.0.1:0", &address.to_string(), 1);
    let busy = quiet.replace("schedule = \"0 3 1 1 *\"", "schedule = \"*/2 * * * * *\"");

    // Fill the store and let every feed refresh, counting what that costs.
    let config = folder.path().join("busy.toml");
    std::fs::write(&config, busy).unwrap();
    let mut service = start(&config);
    until(Duration::from_secs(30), || filled(address));
    let (before, asked) = (cpu(&service), bank.all_hits());
    // Six feeds make ten requests a round: BIDV two, OCB three, DOJI one, the others one each.
    let round = 9;
    until(Duration::from_mins(1), || bank.all_hits() >= asked + usize::try_from(REFRESHES).unwrap() * round);
    let refresh = (cpu(&service) - before) / f64::from(u32::try_from(REFRESHES).unwrap());
    let worked = resident(&service);
    stop(&mut service);

    let config = folder.path().join("quiet.toml");
    std::fs::write(&config, quiet).unwrap();
    let mut starts: Vec<f64> = (0..STARTS)
        .map(|_| {
            let from = Instant::now();
            let mut service = start(&config);
            while !filled(address) {}
            let took = from.elapsed().as_secs_f64() * 1e3;
            stop(&mut service);
            took
        })
        .collect();
    starts.sort_by(f64::total_cmp);

    let mut service = start(&config);
    until(Duration::from_secs(10), || filled(address));
    // Idle is what is measured, so there is nothing to wait for but time.
    std::thread::sleep(Duration::from_secs(2));
    let memory = resident(&service);
    stop(&mut service);

    let line = |what: &str, value: f64, unit: &str, goal: f64| {
        println!(
            "{what}: {value:.1} {unit} (goal ≤ {goal} {unit}: {})",
            if value <= goal { "met" } else { "MISSED" }
        );
    };
    line("process start to first answer, stored board", starts[STARTS / 2], "ms", 15.0);
    println!("  fastest {:.1} ms, slowest {:.1} ms of {STARTS}", starts[0], starts[STARTS - 1]);
    line("idle resident memory, stored board", memory, "MB", 25.0);
    println!("resident memory after ten refreshes of every feed: {worked:.1} MB (no goal of its own)");
    line("CPU to refresh all six feeds", refresh, "ms", 50.0);
}

fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn start(config: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_banggia"))
        .args(["serve", "--config"])
        .arg(config)
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn stop(service: &mut Child) {
    assert!(Command::new("kill").args(["-TERM", &service.id().to_string()]).status().unwrap().success());
    service.wait().unwrap();
}

fn filled(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    let mut answer = String::new();
    let request = "GET /v1/board HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.starts_with("HTTP/1.1 200")
        && answer.contains("bidv.fx.USD")
        && answer.contains("ocb.deposit.counter.P6M")
}

fn until(patience: Duration, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + patience;
    while !condition() {
        assert!(Instant::now() < deadline, "waited {patience:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Milliseconds of user and system time so far.
fn cpu(service: &Child) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", service.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks * 10.0
}

/// Megabytes.
fn resident(service: &Child) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}
