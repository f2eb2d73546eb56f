//! P-01 … P-10: what a store goes through. `BANGGIA_SEED` repeats a run; `BANGGIA_KILLS`, `BANGGIA_CORRUPTIONS` and
//! `BANGGIA_IMAGES` say how many rounds, `BANGGIA_FROM` with which round to begin, so that a long run can be done in parts.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use banggia::{
    app::{App, Mode},
    clock::{Clock, day},
    store::{Answer, Attempt, Kept, KeptSource, MIGRATIONS, Nature, OnCorrupt, Store},
};
use jiff::Timestamp;
use providers::Quote;
use serde_json::Value;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{
    bank::{Bank, Reply, closed_port},
    house::{self, House, config_text, path},
    service::{Service, banggia, installed, number, refused, write_config},
};

/// xorshift64*: small, seeded, good enough to pick moments and bytes.
pub struct Dice(u64);

impl Dice {
    /// Of one round of a seed.
    pub fn of(seed: u64, round: u64) -> Self {
        let mut dice = Self((seed ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(round + 1) | 1);
        for _ in 0..8 {
            dice.roll(2);
        }
        dice
    }

    pub fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % below.max(1)
    }
}

pub fn seed() -> u64 {
    number("BANGGIA_SEED", u64::try_from(Clock::system().now().as_second()).unwrap())
}

/// TPBank's board with one bar at this price, read today.
pub fn gold(sell: u64) -> String {
    let today = day(Clock::system().now()).strftime("%m/%d/%Y");
    format!(r#"{{"item":[{{"DATES":"{today}","RATE_BUY":{},"RATE_SELL":{sell}}}]}}"#, sell - 2_000_000)
}

/// Vietcombank's recorded board, every selling rate raised by so many hundredths: a change of all its rows.
fn rates(step: u64) -> String {
    let mut board: Value =
        serde_json::from_slice(&house::recorded("vietcombank.fx", "json", 1, None)).unwrap();
    for row in board["Data"].as_array_mut().unwrap() {
        let sell: rust_decimal::Decimal = row["sell"].as_str().unwrap().parse().unwrap();
        row["sell"] = (sell + rust_decimal::Decimal::new(i64::try_from(step).unwrap(), 2)).to_string().into();
    }
    board.to_string()
}

pub const FROM: u64 = 140_000_000;
pub const STEP: u64 = 1000;

fn every_second(text: &str) -> String {
    text.replace("schedule = \"0 3 1 1 *\"", "schedule = \"* * * * * *\"")
}

/// The bank that nobody reaches any more.
fn dead(text: &str, bank: &Bank, address: std::net::SocketAddr) -> String {
    text.replace(&bank.address.to_string(), &address.to_string())
}

pub fn bar(gold: &Value) -> Option<u64> {
    house::find(gold, "tpbank.gold.bar")?["sell"].as_str()?.parse().ok()
}

/// A connection beside the service's.
async fn beside(file: &Path) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(file)
        .busy_timeout(Duration::from_secs(20))
        .disable_statement_logging()
        .connect()
        .await
        .unwrap()
}

async fn integrity(file: &Path) -> String {
    let mut connection = beside(file).await;
    let said = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    said
}

/// Every selling price of the bar that was ever kept, in order.
async fn history(file: &Path) -> Vec<u64> {
    let store = Store::look(&url(file)).await.unwrap().unwrap();
    let changes = store.changes_since("tpbank.gold.bar", "chart", Timestamp::UNIX_EPOCH).await.unwrap();
    store.close().await;
    let sell = |quote: &Quote| match quote {
        Quote::Gold(gold) => gold.sell.unwrap().to_string().parse().unwrap(),
        _ => panic!("{quote:?}"),
    };
    changes.iter().map(|(quote, _)| sell(quote)).collect()
}

/// Names and bytes of everything in a folder.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

fn url(file: &Path) -> String {
    format!("sqlite:{}", file.display())
}

/// **Acknowledged** is what a reader was shown while the store kept up: the commit stands before the publish, unless
/// the disk took longer than a second, which the service says in its log.
#[tokio::test(flavor = "multi_thread")]
async fn p01_what_was_shown_survives_kill_9_and_is_served_at_once_while_every_bank_is_dead() {
    let (seed, rounds, first) = (seed(), number("BANGGIA_KILLS", 10), number("BANGGIA_FROM", 0));
    println!("{rounds} rounds from {first}, seed {seed}");
    let bank = Bank::open().await;
    let folder = crate::canary::tempdir().unwrap();
    let file = folder.path().join("banggia.db");
    let log = folder.path().join("banggia.db-wal");
    let text = config_text(&bank, &file);
    let alive = write_config(folder.path(), "alive.toml", &every_second(&text));
    let (_held, nobody) = closed_port();
    let quiet = write_config(folder.path(), "dead.toml", &dead(&text, &bank, nobody));
    let (mut step, mut version, mut acknowledged) = (0, 0, Vec::new());
    let (mut slow, mut slowest, mut within) = (0, Duration::ZERO, 0);
    for round in first..first + rounds {
        let mut dice = Dice::of(seed, round);
        let replies: Vec<u64> = (step..step + 60).collect();
        let (gold_path, fx_path) = (path("tpbank.gold", "chart"), path("vietcombank.fx", "json"));
        bank.script(&gold_path, replies.iter().map(|n| Reply::ok(gold(FROM + n * STEP))));
        bank.script(&fx_path, replies.iter().map(|n| Reply::ok(rates(*n))));
        let service = Service::start(&alive);
        // One change at least; then until a moment of chance, or just when something is being written.
        let before = acknowledged.last().copied().unwrap_or(0);
        let board = service.wait("/v1/gold", "a change", |board| bar(board).is_some_and(|now| now > before));
        let mut shown = vec![(bar(&board).unwrap(), board["version"].as_i64().unwrap())];
        let look = |shown: &mut Vec<(u64, i64)>| {
            let board = service.get("/v1/gold");
            shown.push((bar(&board).unwrap(), board["version"].as_i64().unwrap()));
        };
        if dice.roll(2) == 0 {
            let until = Instant::now() + Duration::from_micros(dice.roll(1_200_000));
            while Instant::now() < until {
                look(&mut shown);
                std::thread::sleep(Duration::from_millis(5));
            }
        } else {
            let touched = || std::fs::metadata(&log).and_then(|log| log.modified()).ok();
            let (was, until) = (touched(), Instant::now() + Duration::from_secs(2));
            while touched() == was && Instant::now() < until {
                std::thread::sleep(Duration::from_micros(100));
            }
            std::thread::sleep(Duration::from_micros(dice.roll(4000)));
            within += 1;
        }
        let said = service.kill();
        if said.contains("the store is slow") || said.contains("cannot be written") {
            slow += 1;
        } else {
            acknowledged.extend(shown.iter().map(|(sell, _)| *sell));
            acknowledged.dedup();
            version = shown.iter().map(|(_, version)| *version).fold(version, i64::max);
        }

        let from = Instant::now();
        let service = Service::start(&quiet);
        let up = Instant::now();
        let board = service.get("/v1/gold");
        assert!(up.elapsed() < Duration::from_secs(1), "round {round}: {:?}", up.elapsed());
        slowest = slowest.max(from.elapsed());
        let served =
            bar(&board).unwrap_or_else(|| panic!("round {round}: {board:#}\n{said}\n{}", service.log()));
        let last = acknowledged.last().copied().unwrap_or(0);
        assert!(served >= last, "round {round}: {served} is served, {last} was shown");
        let sent = (served - FROM) / STEP;
        assert!(served.is_multiple_of(STEP) && sent < step + 60, "round {round}: {served} was never sent");
        let now = board["version"].as_i64().unwrap();
        assert!(now >= version, "round {round}: version {now} after {version}");
        service.kill();
        assert_eq!(integrity(&file).await, "ok", "round {round}");
        let kept = history(&file).await;
        let lost: Vec<_> = acknowledged.iter().filter(|shown| !kept.contains(shown)).collect();
        assert!(lost.is_empty(), "round {round}: {lost:?} were shown and are lost");
        assert!(kept.is_sorted(), "round {round}: {kept:?}");
        step = sent + 1;
    }
    println!(
        "{rounds} kills ({within} while writing), {} acknowledged changes, none lost; slowest from spawn to answer {slowest:?}; {slow} rounds with a slow disk",
        acknowledged.len()
    );
    assert!(slow * 2 <= rounds, "the disk was too slow to say anything in {slow} of {rounds} rounds");
}

/// One write of the service to a file, as the kernel got it.
#[derive(Debug, Clone)]
enum Op {
    Write(String, u64, Vec<u8>),
    Sync(String),
    Truncate(String, u64),
    Remove(String),
}

/// What `strace -ff -y -xx` saw one thread do to the store's files.
fn operations(trace: &str) -> Vec<Op> {
    let unhex = |text: &str| -> Vec<u8> {
        text.split("\\x")
            .skip(1)
            .map(|byte| u8::from_str_radix(byte.get(..2).unwrap(), 16).unwrap())
            .collect()
    };
    let name = |text: &str| -> Option<String> {
        let path = if text.contains("\\x") { String::from_utf8(unhex(text)).ok()? } else { text.to_owned() };
        Some(Path::new(&path).file_name()?.to_str()?.to_owned()).filter(|name| name.starts_with("banggia.db"))
    };
    let mut operations = Vec::new();
    for line in trace.lines() {
        let Some((call, rest)) = line.split_once('(') else { continue };
        // A call that was cut off by the end has no result.
        let Some((arguments, result)) = rest.rsplit_once(") = ") else { continue };
        if result.starts_with('-') {
            continue;
        }
        let of = || name(arguments.split_once('<')?.1.split_once('>')?.0);
        let last = || arguments.rsplit(", ").next().unwrap().parse::<u64>().unwrap();
        match call {
            "pwrite64" => {
                let Some(file) = of() else { continue };
                let bytes = unhex(arguments.split('"').nth(1).unwrap());
                assert_eq!(result.trim().parse(), Ok(bytes.len()), "{line}");
                operations.push(Op::Write(file, last(), bytes));
            }
            "fdatasync" | "fsync" => operations.extend(of().map(Op::Sync)),
            "ftruncate" => operations.extend(of().map(|file| Op::Truncate(file, last()))),
            "unlink" => operations.extend(name(arguments.split('"').nth(1).unwrap()).map(Op::Remove)),
            _ => {}
        }
    }
    operations
}

type Disk = std::collections::BTreeMap<String, Vec<u8>>;

fn put(disk: &mut Disk, file: &str, at: u64, bytes: &[u8]) {
    let content = disk.entry(file.to_owned()).or_default();
    let at = usize::try_from(at).unwrap();
    content.resize(content.len().max(at + bytes.len()), 0);
    content[at..at + bytes.len()].copy_from_slice(bytes);
}

fn apply(disk: &mut Disk, operation: &Op) {
    match operation {
        Op::Write(file, at, bytes) => put(disk, file, *at, bytes),
        Op::Truncate(file, length) => {
            disk.entry(file.clone()).or_default().resize(usize::try_from(*length).unwrap(), 0);
        }
        Op::Remove(file) => drop(disk.remove(file)),
        Op::Sync(_) => {}
    }
}

/// The last page of a transaction in the log says so in its header.
fn is_commit(operation: &Op) -> bool {
    matches!(operation, Op::Write(file, _, bytes) if file.ends_with("-wal") && bytes.len() == 24 && bytes[4..8] != [0; 4])
}

/// What a disk holds, opened as after a power cut; one text a content.
async fn content(disk: &Disk) -> String {
    let folder = crate::canary::tempdir().unwrap();
    for (name, bytes) in disk {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    let file = folder.path().join("banggia.db");
    assert_eq!(integrity(&file).await, "ok");
    let mut connection = beside(&file).await;
    let mut content = String::new();
    for table in ["quote", "change", "source", "document"] {
        let query =
            format!("SELECT coalesce(group_concat(sum), '') FROM (SELECT sum FROM {table} ORDER BY sum)");
        let sums: String =
            sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(&mut connection).await.unwrap();
        writeln!(content, "{table} {sums}").unwrap();
    }
    connection.close().await.unwrap();
    content
}

/// Every write of the service is recorded; then the disk is built as a power cut at any moment could leave it: all that
/// was written, only what was synced, or that and some sectors of the rest.
#[tokio::test(flavor = "multi_thread")]
async fn p02_a_power_cut_at_any_write_loses_no_commit_and_tears_none() {
    if !installed("strace") {
        println!("P-02: strace is not installed; syncs are not counted and no crash images are made");
        return;
    }
    let (seed, images) = (seed(), number("BANGGIA_IMAGES", 25));
    println!("{images} moments, seed {seed}");
    let bank = Bank::open().await;
    let folder = crate::canary::tempdir().unwrap();
    let file = folder.path().join("banggia.db");
    let text = every_second(&config_text(&bank, &file));
    let config = write_config(folder.path(), "b.toml", &text);
    bank.script(&path("tpbank.gold", "chart"), (0..200).map(|n| Reply::ok(gold(FROM + n * STEP))));
    bank.script(&path("vietcombank.fx", "json"), (0..200).map(|n| Reply::ok(rates(n))));
    let service = Service::start(&config);
    service.wait("/v1/gold", "a value", |gold| bar(gold).is_some());
    assert!(service.stop().0.success());
    let before = Disk::from([("banggia.db".to_owned(), std::fs::read(&file).unwrap())]);
    let mut disk = before.clone();
    let base = content(&disk).await;

    let traces = crate::canary::tempdir().unwrap();
    let mut strace = std::process::Command::new("strace");
    strace
        .args([
            "-D",
            "-ff",
            "-qq",
            "-y",
            "-xx",
            "-s",
            "100000",
            "-e",
            "trace=pwrite64,fdatasync,fsync,ftruncate,unlink",
            "-o",
        ])
        .arg(traces.path().join("t"))
        .arg(env!("CARGO_BIN_EXE_banggia"));
    let service = Service::start_by(strace, &config);
    let first = bar(&service.get("/v1/gold")).unwrap();
    service.wait("/v1/gold", "three changes", |gold| bar(gold) >= Some(first + 3 * STEP));
    assert!(service.stop().0.success());
    let traces = std::fs::read_dir(traces.path()).unwrap();
    let writer = traces
        .map(|entry| operations(&std::fs::read_to_string(entry.unwrap().path()).unwrap()))
        .max_by_key(Vec::len)
        .unwrap();

    // One commit, one sync of the log, before anything of the next one is written.
    let (mut open, mut commits) = (false, 0);
    for operation in &writer {
        match operation {
            Op::Write(..) if is_commit(operation) => {
                assert!(!open, "two commits without a sync between them");
                open = true;
                commits += 1;
            }
            Op::Sync(file) if file.ends_with("-wal") => open = false,
            _ => {}
        }
    }
    assert!(commits >= 6, "{commits}: an answer and a publish each");

    // What is there after each commit; `done` counts those that were synced before a moment.
    let mut after = vec![base];
    let (mut pending, mut done) = (false, vec![0]);
    for operation in &writer {
        apply(&mut disk, operation);
        pending |= is_commit(operation);
        if pending && matches!(operation, Op::Sync(_)) {
            pending = false;
            after.push(content(&disk).await);
        }
        done.push(after.len() - 1);
    }
    let mut made = 0;
    for round in 0..images {
        let mut dice = Dice::of(seed, round);
        let moment = usize::try_from(dice.roll(u64::try_from(writer.len()).unwrap() + 1)).unwrap();
        for kind in 0..3 {
            let mut disk = before.clone();
            let mut unsynced: Vec<&Op> = Vec::new();
            for operation in &writer[..moment] {
                match operation {
                    Op::Sync(file) => {
                        let (now, later): (Vec<&Op>, Vec<&Op>) = unsynced.into_iter().partition(
                            |op| matches!(op, Op::Write(of, ..) | Op::Truncate(of, _) if of == file),
                        );
                        for operation in now {
                            apply(&mut disk, operation);
                        }
                        unsynced = later;
                    }
                    other => unsynced.push(other),
                }
            }
            for operation in unsynced {
                match (kind, operation) {
                    (0, operation) => apply(&mut disk, operation),
                    (2, Op::Write(file, at, bytes)) => {
                        for (n, sector) in (0_u64..).zip(bytes.chunks(512)) {
                            if dice.roll(2) == 0 {
                                put(&mut disk, file, at + n * 512, sector);
                            }
                        }
                    }
                    _ => {}
                }
            }
            let found = content(&disk).await;
            let at = after.iter().rposition(|content| *content == found);
            assert!(
                at.is_some_and(|at| at >= done[moment]),
                "round {round}, kind {kind}, moment {moment}: {} commits were synced, the disk is at {at:?}",
                done[moment]
            );
            made += 1;
        }
    }
    println!(
        "{commits} commits, each synced once; {made} crash images of {} operations, all whole",
        writer.len()
    );
}

/// Runs a command with a file system of its own in `folder`, which ends with it: seen from here under
/// `/proc/<id>/root`. `None`: this machine does not let us.
fn in_tmpfs(folder: &Path, megabytes: u32, then: &str) -> Option<std::process::Command> {
    let command = |own: &[&str], then: &str| {
        let mut command = std::process::Command::new("unshare");
        let script = format!("mount -t tmpfs -o size={megabytes}m none \"$0\" && {then} && exec \"$@\"");
        command.args(own).args(["-m", "sh", "-c", &script]).arg(folder);
        command
    };
    let own = [&[][..], &["-r"]]
        .into_iter()
        .find(|own| command(own, "true").arg("true").output().is_ok_and(|output| output.status.success()))?;
    Some(command(own, then))
}

fn outside(service: &Service, file: &Path) -> PathBuf {
    PathBuf::from(format!("/proc/{}/root{}", service.id(), file.display()))
}

/// The half that needs no file system of its own is `p03_a_store_that_is_full_…` beside the store's code.
#[tokio::test(flavor = "multi_thread")]
async fn p03_a_full_disk_stops_no_answer_and_everything_is_kept_once_there_is_room() {
    let disk = crate::canary::tempdir().unwrap();
    let Some(mut command) = in_tmpfs(disk.path(), 4, "true") else {
        println!("P-03: no file system of our own can be mounted here");
        return;
    };
    command.arg(env!("CARGO_BIN_EXE_banggia")).env_remove("BANGGIA_CONFIG");
    let bank = Bank::open().await;
    let folder = crate::canary::tempdir().unwrap();
    let file = disk.path().join("banggia.db");
    let config = write_config(folder.path(), "b.toml", &every_second(&config_text(&bank, &file)));
    bank.script(&path("tpbank.gold", "chart"), (0..500).map(|n| Reply::ok(gold(FROM + n * STEP))));
    let service = Service::start_by(command, &config);
    service.wait("/v1/gold", "a value", |gold| bar(gold).is_some());
    let filler = outside(&service, &disk.path().join("filler"));
    let mut full = std::fs::File::create(&filler).unwrap();
    while std::io::Write::write_all(&mut full, &[1; 4096]).is_ok() {}
    service.wait_log("cannot be written");
    let first = bar(&service.get("/v1/gold")).unwrap();
    let shown = service.wait("/v1/gold", "two more from memory", |gold| bar(gold) >= Some(first + 2 * STEP));
    assert!(!service.log().contains("can be written again"));
    drop(full);
    std::fs::remove_file(&filler).unwrap();
    service.wait_log("can be written again");
    let last = bar(&shown).unwrap();
    service.wait("/v1/gold", "one more", |gold| bar(gold) > Some(last));
    let deadline = Instant::now() + Duration::from_mins(1);
    let kept = loop {
        // A copy of one moment; SQLite does not open files of another process's view.
        let copy = crate::canary::tempdir().unwrap();
        service.signal("-STOP");
        for part in ["", "-wal"] {
            let name = format!("banggia.db{part}");
            std::fs::copy(outside(&service, &disk.path().join(&name)), copy.path().join(&name)).unwrap();
        }
        service.signal("-CONT");
        let kept = history(&copy.path().join("banggia.db")).await;
        if kept.last() > Some(&last) {
            break kept;
        }
        assert!(Instant::now() < deadline, "{kept:?} {last}\n{}", service.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let all: Vec<u64> = (FROM..=*kept.last().unwrap()).step_by(usize::try_from(STEP).unwrap()).collect();
    assert_eq!(kept, all, "every change, in order, those of the full disk too");
    assert!(service.stop().0.success());
}

/// A store as a service leaves it, twice: after a stop, and after `kill -9` with its log; and what it ever served.
struct Golden {
    folder: crate::canary::Folder,
    truth: Vec<Value>,
    text: String,
}

fn without_status(mut quote: Value) -> Value {
    quote.as_object_mut().unwrap().retain(|key, _| !matches!(key.as_str(), "status"));
    quote
}

fn quotes(board: &Value) -> Vec<Value> {
    ["gold", "fx", "deposits"]
        .iter()
        .flat_map(|section| board[section]["quotes"].as_array().unwrap().clone())
        .map(without_status)
        .collect()
}

async fn golden() -> Golden {
    let house = House::on_a_good_day().await;
    let folder = crate::canary::tempdir().unwrap();
    let mut truth = quotes(&house.json("/v1/board").await);
    let backup = house.app.store().backup(3).await.unwrap().unwrap();
    house::good_day(&house.bank, 1);
    for (_, feed) in providers::feeds() {
        house.refresh(feed.id).await;
    }
    truth.extend(quotes(&house.json("/v1/board").await));
    let (_held, nobody) = closed_port();
    let own = house.folder.path();
    let text = config_text(&house.bank, &folder.path().join("STORE/banggia.db"))
        .replace(&house.bank.address.to_string(), &nobody.to_string());
    let copy = |from: PathBuf, to: &str| {
        let to = folder.path().join(to);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(from, to).unwrap();
    };
    for part in ["", "-wal", "-shm"] {
        copy(own.join(format!("banggia.db{part}")), &format!("killed/banggia.db{part}"));
    }
    copy(backup, "backup");
    let file = own.join("banggia.db");
    house.app.stop().await;
    copy(file, "stopped/banggia.db");
    Golden { folder, truth, text }
}

/// Damages a store in one of many ways; what was done.
fn damage(store: &Path, dice: &mut Dice) -> &'static str {
    let log = store.with_file_name("banggia.db-wal");
    let read = |file: &Path| std::fs::read(file).unwrap();
    let mut bytes = read(store);
    let length = u64::try_from(bytes.len()).unwrap();
    let at = |dice: &mut Dice| usize::try_from(dice.roll(length)).unwrap();
    let flip = |byte: &mut u8, dice: &mut Dice| *byte ^= u8::try_from(1 << dice.roll(8)).unwrap();
    let what = match dice.roll(10) {
        0 => {
            bytes.truncate(at(dice));
            "cut off"
        }
        1 => {
            bytes.clear();
            "empty"
        }
        2 => {
            let at = at(dice);
            flip(&mut bytes[at], dice);
            "one bit"
        }
        3 => {
            for _ in 0..64 {
                let at = at(dice);
                flip(&mut bytes[at], dice);
            }
            "64 bits"
        }
        4 => {
            let page = at(dice) / 4096 * 4096;
            bytes[page..page + 4096].fill(0);
            "a page of zeros"
        }
        5 => {
            for byte in &mut bytes {
                *byte = u8::try_from(dice.roll(256)).unwrap();
            }
            "noise"
        }
        6 => {
            for _ in 0..4 {
                let at = usize::try_from(dice.roll(100)).unwrap();
                flip(&mut bytes[at], dice);
            }
            "the header"
        }
        7 => {
            // A digit of a price: no page and no JSON is wrong after it.
            let found: Vec<usize> = (0..bytes.len().saturating_sub(8))
                .filter(|at| bytes[*at..].starts_with(b"\"sell\":\""))
                .collect();
            if let Some(at) =
                found.get(usize::try_from(dice.roll(u64::try_from(found.len()).unwrap())).unwrap())
            {
                let digit = &mut bytes[at + 9];
                *digit = if *digit == b'9' { b'1' } else { b'9' };
            }
            "a digit"
        }
        kind => {
            if let Ok(mut content) = std::fs::read(&log) {
                let from = if kind == 8 {
                    0
                } else {
                    usize::try_from(dice.roll(u64::try_from(content.len()).unwrap())).unwrap()
                };
                for byte in &mut content[from..] {
                    *byte = u8::try_from(dice.roll(256)).unwrap();
                }
                std::fs::write(&log, content).unwrap();
            } else {
                std::fs::write(&log, [7; 5000]).unwrap();
            }
            "a log of noise"
        }
    };
    std::fs::write(store, bytes).unwrap();
    what
}

#[tokio::test(flavor = "multi_thread")]
async fn p04_damaged_stores_start_and_never_serve_what_was_not_published() {
    let (seed, rounds, first) = (seed(), number("BANGGIA_CORRUPTIONS", 20), number("BANGGIA_FROM", 0));
    println!("{rounds} damaged stores from {first}, seed {seed}");
    let golden = golden().await;
    let mut ends = std::collections::BTreeMap::<String, u32>::new();
    for round in first..first + rounds {
        let mut dice = Dice::of(seed, round);
        let folder = crate::canary::tempdir().unwrap();
        let file = folder.path().join("banggia.db");
        let state = if dice.roll(2) == 0 { "stopped" } else { "killed" };
        for (path, bytes) in contents(&golden.folder.path().join(state)) {
            std::fs::write(folder.path().join(path.file_name().unwrap()), bytes).unwrap();
        }
        std::fs::write(folder.path().join("banggia.db.lock"), "banggia\n").unwrap();
        let backup = folder.path().join("banggia.db.backup-20260930T030000Z");
        let backed_up = dice.roll(3) > 0;
        if backed_up {
            std::fs::copy(golden.folder.path().join("backup"), &backup).unwrap();
        }
        let what = damage(&file, &mut dice);
        let damaged = std::fs::read(&file).unwrap();
        let text = golden.text.replace(
            &golden.folder.path().join("STORE").display().to_string(),
            &folder.path().display().to_string(),
        );
        let app = App::start(house::config(&text), Mode::Live)
            .await
            .unwrap_or_else(|error| panic!("round {round}, {what}: {error}"));
        let site = app.public;
        let board = get(site, "/v1/board").await;
        for quote in quotes(&board) {
            assert!(golden.truth.contains(&quote), "round {round}, {what}: never published: {quote:#}");
        }
        let recovery = app.store().recovered();
        if let Some(recovery) = &recovery {
            assert_eq!(
                std::fs::read(&recovery.set_aside).unwrap(),
                damaged,
                "round {round}, {what}: set aside as it was"
            );
            assert_eq!(recovery.from.as_ref(), backed_up.then_some(&backup), "round {round}, {what}");
            assert_eq!(quotes(&board).is_empty(), !backed_up, "round {round}, {what}");
        }
        // It can be written, and the next start has nothing to mend.
        let attempt = Attempt { at: Clock::system().now(), outcome: "test".to_owned(), reason: None };
        let quotes = vec![(usd(1), true)];
        let (feed, source) = ("vietcombank.fx".into(), "json".into());
        app.store().push(Answer {
            feed,
            source,
            attempt,
            quotes,
            dropped: Vec::new(),
            keys: Vec::new(),
            held: None,
        });
        app.store().flush().await;
        // Damage in what only a writer reads is found by the first one.
        let found_later = recovery.is_none() && app.store().recovered().is_some();
        let trouble = (app.store().errors(), app.store().waiting());
        assert_eq!(trouble, (u64::from(found_later), 0), "round {round}, {what}");
        let version = board["version"].as_i64().unwrap();
        app.stop().await;
        let store = Store::open_or_recover(&url(&file), Nature::Live, OnCorrupt::SetAside).await.unwrap();
        assert_eq!(store.recovered(), None, "round {round}, {what}: mended once");
        let kept = store.documents().await.unwrap();
        assert!(kept.iter().any(|(_, document)| document.version >= version), "round {round}, {what}");
        store.close().await;
        let end = match recovery {
            Some(recovery) if recovery.from.is_some() => "from the backup",
            Some(_) => "empty",
            None if found_later => "replaced by the first write",
            None => "as it was",
        };
        *ends.entry(format!("{what} -> {end}")).or_default() += 1;
    }
    println!("{rounds} damaged stores, {rounds} starts: {ends:#?}");
}

async fn get(site: std::net::SocketAddr, path: &str) -> Value {
    let response = house::client().get(format!("http://{site}{path}")).send().await.unwrap();
    assert_eq!(response.status(), 200);
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn p04_on_corrupt_fail_says_so_in_one_sentence_and_leaves_everything_as_it_is() {
    let golden = golden().await;
    let folder = golden.folder.path().join("STORE");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("banggia.db");
    let whole = std::fs::read(golden.folder.path().join("stopped/banggia.db")).unwrap();
    std::fs::write(folder.join("banggia.db.lock"), "banggia\n").unwrap();
    let text = golden.text.replace("[store]\n", "[store]\non_corrupt = \"fail\"\n");
    let config = write_config(golden.folder.path(), "fail.toml", &text);
    // A digit of every price: no page and no JSON is wrong after it.
    let mut other = whole.clone();
    let prices: Vec<usize> =
        (0..whole.len() - 16).filter(|at| whole[*at..].starts_with(b"\"sell\":\"")).collect();
    for at in prices {
        other[at + 9] = if other[at + 9] == b'9' { b'1' } else { b'9' };
    }
    for damaged in [whole[..whole.len() / 2].to_vec(), Vec::new(), vec![0; 8192], other] {
        std::fs::write(&file, damaged).unwrap();
        let before = contents(&folder);
        let (code, said) = refused(banggia(), &config);
        assert_eq!((code, said.lines().count()), (1, 1), "{said}");
        assert!(said.contains("is damaged") && said.contains("set-aside"), "{said}");
        assert_eq!(contents(&folder), before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p04_a_file_of_somebody_else_is_refused_and_never_renamed() {
    let bank = Bank::open().await;
    let folder = crate::canary::tempdir().unwrap();
    let own = folder.path().join("own");
    std::fs::create_dir(&own).unwrap();
    let picture = own.join("picture.png");
    std::fs::write(&picture, [b"\x89PNG\r\n\x1a\n".as_slice(), &[7; 9000]].concat()).unwrap();
    let music = own.join("music.db");
    let mut connection =
        SqliteConnectOptions::new().filename(&music).create_if_missing(true).connect().await.unwrap();
    sqlx::raw_sql("CREATE TABLE song (name TEXT); INSERT INTO song VALUES ('x'); PRAGMA user_version = 7")
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    let before = contents(&own);
    for (file, why) in [(picture, "not a database"), (music, "not of this program")] {
        let config = write_config(folder.path(), "b.toml", &config_text(&bank, &file));
        // Twice: what the first start leaves behind must not make it ours.
        for _ in 0..2 {
            let (code, said) = refused(banggia(), &config);
            assert_eq!((code, said.lines().count()), (1, 1), "{said}");
            assert!(said.contains(why), "{said}");
            assert_eq!(contents(&own), before);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p04_a_store_that_is_damaged_while_it_is_used_is_replaced_and_serving_goes_on() {
    let house = House::on_a_good_day().await;
    let file = house.folder.path().join("banggia.db");
    house.app.store().backup(3).await.unwrap().unwrap();
    let before = house.json("/v1/board").await;
    let version = before["version"].as_i64().unwrap();
    for part in ["banggia.db", "banggia.db-wal"] {
        let path = house.folder.path().join(part);
        let length = usize::try_from(std::fs::metadata(&path).unwrap().len()).unwrap();
        // The same file, other bytes: what a disk does.
        let mut open = std::fs::File::options().write(true).open(&path).unwrap();
        std::io::Write::write_all(&mut open, &vec![0x5a; length]).unwrap();
    }
    house::good_day(&house.bank, 1);
    house.refresh("tpbank.gold").await;
    assert_eq!(house.quote("/v1/gold", "tpbank.gold.bar").await["sell"], "142300000");
    // A writer whose pages are all in memory may not have noticed; reading the whole file does.
    house.app.store().check().await;
    let recovery = house.app.store().recovered().expect("replaced");
    assert!(recovery.from.is_some() && recovery.set_aside.is_file(), "{recovery:?}");
    assert!(house.app.store().errors() > 0);
    for (_, feed) in providers::feeds() {
        house.refresh(feed.id).await;
    }
    house.app.store().flush().await;
    let served = house.json("/v1/board").await;
    assert_eq!((integrity(&file).await.as_str(), house.app.store().waiting()), ("ok", 0));
    let house = house.restart(|text| text).await;
    assert_eq!(house.app.store().recovered(), None);
    let after = house.json("/v1/board").await;
    assert_eq!(quotes(&after), quotes(&served), "what was in memory is on the disk again");
    assert!(after["version"].as_i64().unwrap() >= version);
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p05_a_folder_that_cannot_be_written_is_one_sentence_and_nothing_is_touched() {
    let bank = Bank::open().await;
    let folder = crate::canary::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let store = folder.path().join("data/banggia.db");
    let config = write_config(folder.path(), "b.toml", &config_text(&bank, &store));
    let sentence = |command, part: &str| {
        let (code, said) = refused(command, &config);
        assert_eq!((code, said.lines().count()), (1, 1), "{said}");
        assert!(said.contains(part), "{said}");
    };
    sentence(banggia(), "does not exist; create it");
    assert!(!store.parent().unwrap().exists());

    // Another owner's: root may do everything, so as somebody else.
    std::fs::create_dir(store.parent().unwrap()).unwrap();
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    let root = std::fs::metadata(store.parent().unwrap())
        .is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    let nobody = || {
        if !root {
            return banggia();
        }
        let mut command = std::process::Command::new("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(env!("CARGO_BIN_EXE_banggia"))
            .env_remove("BANGGIA_CONFIG")
            .current_dir("/");
        command
    };
    let runs = nobody().arg("--version").output().is_ok_and(|output| output.status.success());
    if runs {
        mode(store.parent().unwrap(), 0o555);
        sentence(nobody(), "cannot be written");
        assert!(contents(store.parent().unwrap()).is_empty());
        mode(store.parent().unwrap(), 0o755);
        Store::open(&url(&store), Nature::Live).await.unwrap().close().await;
        for read_only in ["banggia.db", "banggia.db.lock"] {
            mode(&store.with_file_name(read_only), 0o444);
        }
        mode(store.parent().unwrap(), 0o555);
        let before = contents(store.parent().unwrap());
        sentence(nobody(), "cannot be written");
        assert_eq!(contents(store.parent().unwrap()), before);
        mode(store.parent().unwrap(), 0o755);
    } else {
        println!("P-05: the program cannot be run as another user here");
    }

    // A read-only file system.
    let disk = crate::canary::tempdir().unwrap();
    let then = "mkdir \"$0/data\" && mount -o remount,ro none \"$0\"";
    let Some(mut command) = in_tmpfs(disk.path(), 1, then) else {
        println!("P-05: no file system of our own can be mounted here");
        return;
    };
    command.arg(env!("CARGO_BIN_EXE_banggia")).env_remove("BANGGIA_CONFIG");
    let store = disk.path().join("data/banggia.db");
    let config = write_config(folder.path(), "ro.toml", &config_text(&bank, &store));
    let (code, said) = refused(command, &config);
    assert_eq!((code, said.lines().count()), (1, 1), "{said}");
    assert!(said.contains("Read-only file system"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn p06_a_store_of_a_newer_version_is_refused_and_left_alone() {
    let bank = Bank::open().await;
    let folder = crate::canary::tempdir().unwrap();
    let own = folder.path().join("own");
    std::fs::create_dir(&own).unwrap();
    let file = own.join("banggia.db");
    Store::open(&url(&file), Nature::Live).await.unwrap().close().await;
    let mut newer = beside(&file).await;
    sqlx::raw_sql(
        "UPDATE meta SET value = '99' WHERE key = 'schema'; PRAGMA user_version = 99; CREATE TABLE later (x)",
    )
    .execute(&mut newer)
    .await
    .unwrap();
    // After a kill it is all in the log, after a stop in the file.
    for stopped in [false, true] {
        let folder = crate::canary::tempdir().unwrap();
        if stopped {
            newer.close().await.unwrap();
            newer = SqliteConnectOptions::new().in_memory(true).connect().await.unwrap();
        }
        for (path, bytes) in contents(&own) {
            std::fs::write(folder.path().join(path.file_name().unwrap()), bytes).unwrap();
        }
        let all = || {
            contents(folder.path())
                .into_iter()
                .filter(|(path, _)| path.extension() != Some("db-shm".as_ref()))
                .collect::<Vec<_>>()
        };
        let before = all();
        let text = config_text(&bank, &folder.path().join("banggia.db"));
        let config = write_config(&own, "b.toml", &text);
        let (code, said) = refused(banggia(), &config);
        assert_eq!((code, said.lines().count()), (1, 1), "{said}");
        assert!(said.contains("has schema 99") && said.contains("newer version"), "{said}");
        assert_eq!(all(), before);
    }
}

/// A store as the version before left it: so many steps of the schema, one quote and one change.
async fn of_schema(file: &Path, steps: usize) {
    let mut connection =
        SqliteConnectOptions::new().filename(file).create_if_missing(true).connect().await.unwrap();
    sqlx::raw_sql("PRAGMA journal_mode = WAL").execute(&mut connection).await.unwrap();
    for migration in &MIGRATIONS[..steps] {
        sqlx::raw_sql(*migration).execute(&mut connection).await.unwrap();
    }
    if steps > 0 {
        let schema =
            if steps > 1 { format!("INSERT INTO meta VALUES ('schema', '{steps}');") } else { String::new() };
        let figures = r#"{"fx":{"currency":"USD","per":1,"sell":"26260"}}"#;
        let rows = format!(
            "{schema} INSERT INTO meta VALUES ('nature', 'live'); PRAGMA user_version = {steps};
             INSERT INTO change (id, source, feed, at, as_of, figures) VALUES ('x', 'json', 'vietcombank.fx', 1, '\"unstated\"', '{figures}');
             INSERT INTO source (feed, source, keys, attempted_at, outcome) VALUES ('vietcombank.fx', 'json', '[\"USD\"]', 1, 'ok')"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(rows)).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn p07_a_migration_that_is_killed_half_way_is_done_by_the_next_start() {
    let (seed, most) = (seed(), number("BANGGIA_MIGRATION_KILLS", 8));
    let strace = installed("strace");
    println!(
        "up to {most} kills a schema, seed {seed}, {}",
        if strace { "at writes" } else { "at random (no strace)" }
    );
    let bank = Bank::open().await;
    let (mut kills, mut half_way) = (0, 0);
    for steps in 0..MIGRATIONS.len() {
        let mut dice = Dice::of(seed, u64::try_from(steps).unwrap());
        // At every write in turn, beginning anywhere, as far as there are any.
        let mut nth = 1 + dice.roll(3);
        for _ in 0..most {
            let folder = crate::canary::tempdir().unwrap();
            let file = folder.path().join("banggia.db");
            if steps > 0 {
                of_schema(&file, steps).await;
                std::fs::write(folder.path().join("banggia.db.lock"), "banggia\n").unwrap();
            }
            let config = write_config(folder.path(), "b.toml", &config_text(&bank, &file));
            let mut command = if strace {
                let mut command = std::process::Command::new("strace");
                command.args([
                    "-f",
                    "-qq",
                    "-o",
                    "/dev/null",
                    "-e",
                    "trace=pwrite64,ftruncate,fdatasync",
                    "-e",
                ]);
                command.arg(format!("inject=pwrite64,ftruncate,fdatasync:signal=SIGKILL:when={nth}"));
                command.arg(env!("CARGO_BIN_EXE_banggia"));
                command
            } else {
                banggia()
            };
            command.args(["serve", "--config"]).arg(&config).stderr(std::process::Stdio::piped());
            let mut child = command.spawn().unwrap();
            let log = std::io::BufReader::new(child.stderr.take().unwrap());
            let mut up = false;
            if strace {
                up = std::io::BufRead::lines(log)
                    .map_while(Result::ok)
                    .any(|line| line.contains("public listener"));
            } else {
                std::thread::sleep(Duration::from_micros(dice.roll(60_000)));
            }
            if up {
                // The migration is through; strace ends what it started.
                assert!(
                    std::process::Command::new("kill")
                        .args(["-TERM", &child.id().to_string()])
                        .status()
                        .unwrap()
                        .success()
                );
            }
            let _ = if strace { Ok(()) } else { child.kill() };
            child.wait().unwrap();
            if up {
                break;
            }
            kills += 1;
            nth += 1 + dice.roll(2);
            if std::fs::metadata(&file).is_ok_and(|file| file.len() > 0) {
                let mut connection = beside(&file).await;
                let found: i64 =
                    sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut connection).await.unwrap();
                connection.close().await.unwrap();
                assert!((steps..=MIGRATIONS.len()).contains(&usize::try_from(found).unwrap()), "{found}");
                half_way += u32::from(usize::try_from(found).unwrap() < MIGRATIONS.len());
            }
            let store = Store::open_or_recover(&url(&file), Nature::Live, OnCorrupt::Fail)
                .await
                .unwrap_or_else(|error| panic!("schema {steps}, write {nth}: {error}"));
            let changes = store.changes("x").await.unwrap();
            assert_eq!(changes, i64::from(steps > 0), "schema {steps}, write {nth}");
            assert_eq!(store.source("vietcombank.fx", "json").await.unwrap().last.is_some(), steps > 0);
            store.close().await;
            assert_eq!(integrity(&file).await, "ok");
        }
    }
    println!("{kills} kills, {half_way} of them before the last step was done; every one resumed");
    assert!(kills > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p08_a_second_process_is_refused_and_a_successor_may_begin_at_once() {
    let bank = Bank::open().await;
    house::good_day(&bank, 0);
    let folder = crate::canary::tempdir().unwrap();
    let config =
        write_config(folder.path(), "b.toml", &config_text(&bank, &folder.path().join("banggia.db")));
    let first = Service::start(&config);
    first.wait("/v1/gold", "a value", |gold| bar(gold).is_some());
    for _ in 0..2 {
        let (code, said) = refused(banggia(), &config);
        assert_eq!((code, said.lines().count()), (1, 1), "{said}");
        assert!(said.contains("in use by another process"), "{said}");
    }
    first.get("/v1/gold");
    // No file of a process id that the dead leave behind.
    first.kill();
    let second = Service::start(&config);
    assert!(bar(&second.get("/v1/gold")).is_some());
    assert!(second.stop().0.success());
    let third = Service::start(&config);
    assert!(bar(&third.get("/v1/gold")).is_some());
    third.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn p09_a_disk_that_stalls_stops_no_answer_and_gets_everything_in_order_later() {
    let house = House::on_a_good_day().await;
    let file = house.folder.path().join("banggia.db");
    let kept = history(&file).await;
    let mut stall = beside(&file).await;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut stall).await.unwrap();
    let mut slowest = Duration::ZERO;
    for n in 1..=3 {
        house.bank.script(&path("tpbank.gold", "chart"), [Reply::ok(gold(FROM + n * STEP))]);
        house.refresh("tpbank.gold").await;
        for _ in 0..20 {
            let from = Instant::now();
            let bar = house.quote("/v1/gold", "tpbank.gold.bar").await;
            slowest = slowest.max(from.elapsed());
            assert_eq!(bar["sell"], (FROM + n * STEP).to_string(), "from memory");
        }
    }
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    assert!(house.app.store().waiting() > 0 || house.app.store().errors() > 0);
    assert_eq!(history(&file).await, kept, "nothing can be written yet");
    // Past the patience of a single write.
    let deadline = Instant::now() + Duration::from_secs(30);
    while house.app.store().errors() == 0 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    sqlx::raw_sql("ROLLBACK").execute(&mut stall).await.unwrap();
    stall.close().await.unwrap();
    while house.app.store().waiting() > 0 || history(&file).await.len() < kept.len() + 3 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let all = [kept, (1..=3).map(|n| FROM + n * STEP).collect()].concat();
    assert_eq!(history(&file).await, all, "in order, each once");
    let house = house.restart(|text| text).await;
    assert_eq!(house.quote("/v1/gold", "tpbank.gold.bar").await["sell"], (FROM + 3 * STEP).to_string());
    house.app.stop().await;
}

fn usd(sell: i64) -> Kept {
    let figures = format!(r#"{{"currency":"USD","per":1,"sell":"{sell}"}}"#);
    let quote = serde_json::from_str(&format!(r#"{{"fx":{figures}}}"#)).unwrap();
    let at = Timestamp::from_second(1_790_000_000 + sell).unwrap();
    Kept {
        quote,
        previous: None,
        as_of: providers::AsOf::Unstated,
        fetched_at: at,
        checked_at: at,
        changed_at: at,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p10_a_backup_that_is_made_while_writing_is_the_store_at_one_commit() {
    let folder = crate::canary::tempdir().unwrap();
    let file = folder.path().join("banggia.db");
    let store = Arc::new(Store::open(&url(&file), Nature::Live).await.unwrap());
    let done = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (store, done) = (Arc::clone(&store), Arc::clone(&done));
        async move {
            let mut n = 0;
            while !done.load(Ordering::Relaxed) {
                n += 1;
                let attempt = Attempt { at: usd(n).checked_at, outcome: "ok".to_owned(), reason: None };
                store.push(Answer {
                    feed: "vietcombank.fx".into(),
                    source: "json".into(),
                    attempt,
                    quotes: vec![(usd(n), true)],
                    dropped: Vec::new(),
                    keys: vec![n.to_string()],
                    held: None,
                });
                store.flush().await;
            }
            n
        }
    });
    while store.changes("vietcombank.fx.USD").await.unwrap() == 0 {
        tokio::task::yield_now().await;
    }
    let mut made = std::collections::BTreeSet::new();
    let deadline = Instant::now() + Duration::from_mins(1);
    while made.len() < 3 {
        assert!(Instant::now() < deadline);
        let backup = store.backup(2).await.unwrap().unwrap();
        // The name is of a second, so the same one may come again.
        if !made.insert(backup.clone()) {
            continue;
        }
        let copy = folder.path().join("copy");
        std::fs::copy(&backup, &copy).unwrap();
        let restored = Store::open(&url(&copy), Nature::Live).await.unwrap();
        let changes = restored.changes("vietcombank.fx.USD").await.unwrap();
        let KeptSource { quotes, last_keys, .. } = restored.source("vietcombank.fx", "json").await.unwrap();
        assert!(changes > 0);
        assert_eq!(
            (quotes, last_keys),
            (vec![usd(changes)], vec![changes.to_string()]),
            "one commit in all tables"
        );
        restored.close().await;
    }
    done.store(true, Ordering::Relaxed);
    let last = writer.await.unwrap();
    assert!(last > 3, "it was written meanwhile");
    let names = || {
        let mut names: Vec<String> = contents(folder.path())
            .into_iter()
            .map(|(path, _)| path.file_name().unwrap().to_string_lossy().into_owned())
            .filter(|name| name.contains("backup"))
            .collect();
        names.sort();
        names
    };
    let newest: Vec<String> =
        made.iter().skip(1).map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(names(), newest, "the newest two, and nothing half made");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p10_backups_are_made_by_the_clock_and_one_put_in_place_is_served() {
    let often = |text: String| text.replace("[store]\n", "[store]\nbackup_every = \"1s\"\nbackups = 2\n");
    let house = House::with(|_| {}, often).await;
    house.settled().await;
    let before = quotes(&house.json("/v1/board").await);
    let backups = || {
        contents(house.folder.path())
            .into_iter()
            .map(|(path, _)| path)
            .filter(|path| path.to_string_lossy().contains(".backup-2"))
            .collect::<Vec<_>>()
    };
    let deadline = Instant::now() + Duration::from_mins(1);
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 3 {
        assert!(Instant::now() < deadline);
        seen.extend(backups());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let newest = backups().pop().unwrap();
    let copy = std::fs::read(newest).unwrap();
    let House { app, folder, bank, .. } = house;
    app.stop().await;
    let file = folder.path().join("banggia.db");
    std::fs::write(&file, copy).unwrap();
    let app = App::start(house::config(&config_text(&bank, &file)), Mode::Live).await.unwrap();
    assert_eq!(quotes(&get(app.public, "/v1/board").await), before);
    assert_eq!(app.store().recovered(), None);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p04_a_log_damaged_in_its_middle_is_told_and_what_is_before_the_damage_is_served() {
    let first = house::House::on_a_good_day().await;
    for nth in [1, 0, 1, 0] {
        house::good_day(&first.bank, nth);
        for (_, feed) in providers::feeds() {
            first.refresh(feed.id).await;
        }
    }
    let version = first.json("/v1/board").await["version"].as_i64().unwrap();
    // As `kill -9` would leave it.
    let folder = crate::canary::tempdir().unwrap();
    for file in std::fs::read_dir(first.folder.path()).unwrap().map(|file| file.unwrap().path()) {
        if file.is_file() && !file.to_string_lossy().ends_with("-shm") {
            std::fs::copy(&file, folder.path().join(file.file_name().unwrap())).unwrap();
        }
    }
    let store = folder.path().join("banggia.db");
    let log = folder.path().join("banggia.db-wal");
    let text = house::config_text(&first.bank, &store);
    let bank = first.bank.clone();
    first.app.stop().await;
    let mut bytes = std::fs::read(&log).unwrap();
    let middle = bytes.len() * 2 / 3;
    bytes[middle] ^= 1;
    std::fs::write(&log, &bytes).unwrap();
    for (_, feed) in providers::feeds() {
        for source in feed.sources {
            bank.script(&house::path(feed.id, source.id), [crate::bank::Reply::status(503)]);
        }
    }
    let app = App::start(house::config(&text), Mode::Live).await.unwrap();
    let recovery = app.store().recovered().expect("it is told");
    assert!(recovery.why.contains("log is damaged"), "{recovery:?}");
    assert_eq!(
        std::fs::read(format!("{}-wal", recovery.set_aside.display())).unwrap(),
        bytes,
        "nothing is lost"
    );
    let board = app.snapshot().load_full();
    let quotes: usize = board.feeds.iter().map(|feed| feed.quotes.len()).sum();
    assert!(quotes > 60, "{quotes}");
    assert!(board.version > version, "versions do not go back: {} after {version}", board.version);
    app.stop().await;
}
