//! What serving costs against the goals P1 to P8 and P10 of the design: the release binary and a peer that serves
//! the same bytes, measured in turns, compared by server CPU time a request, which other tenants of the machine
//! move least. Run with `cargo bench --bench http`, options behind `--`: `--help`, `--only P1,P4`, `--markdown`,
//! `--assert`. Needs wrk and nginx; uses loopback only.
//!
//! How much a system call costs, and copying against `sendfile`, differs from machine to machine, and with it what any
//! server on hyper can reach. So P1 to P5 can be measured with their floor, a bare hyper server with the same bytes
//! against the same nginx, and `--assert` fails where a goal is missed that the floor would have met.

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
#[path = "http/load.rs"]
mod load;
#[path = "http/servers.rs"]
mod servers;

use std::{
    net::TcpStream,
    path::Path,
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use clap::Parser;

use load::{Pairs, Request, Run, Side, Spread, forget_peak, memory};
use servers::{Answer, Server, ask, nginx};

const GOALS: [&str; 9] = ["P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8", "P10c"];
/// Goals that `--assert` holds us to; the others depend too much on the machine.
const ASSERTED: [&str; 5] = ["P1", "P2", "P3", "P4", "P7"];
/// CPU a request differs by this much between two runs of the same thing.
const MARGIN: f64 = 0.05;
/// What features may add to bare hyper, as in P7.
const OVER_FLOOR: f64 = 1.10;
const CONNECTIONS: u32 = 64;
const MANY: u16 = 1000;

#[derive(Parser)]
#[command(bin_name = "cargo bench --bench http --")]
struct Options {
    /// Pairs of runs a row
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds a run
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Only these goals
    #[arg(long, value_delimiter = ',', value_parser = GOALS)]
    only: Vec<String>,
    /// Fail when P1 to P4 or P7 is missed by more than 0.05, and with it 1.10 times what bare hyper reaches here
    #[arg(long)]
    assert: bool,
    /// Print a Markdown table, for docs/PERFORMANCE.md
    #[arg(long)]
    markdown: bool,
    /// Measure with P1 to P5 a bare hyper server against the same nginx as well: the best that they could be
    #[arg(long)]
    floor: bool,
    /// Be the peer of P7: an answer, an address
    #[arg(long, hide = true, num_args = 2)]
    bare: Option<Vec<String>>,
}

fn main() -> ExitCode {
    // `cargo bench` adds --bench.
    let options = Options::parse_from(std::env::args().filter(|argument| argument != "--bench"));
    if let Some([file, address]) = options.bare.as_deref() {
        servers::serve_bare(Path::new(file), address.parse().unwrap());
        return ExitCode::SUCCESS;
    }
    let Some(tools) = tools() else { return ExitCode::FAILURE };
    // A thousand connections, both ends of some of them here.
    let _ = rlimit::increase_nofile_limit(16 << 10);

    println!("{}", machine(&tools));
    println!(
        "{} pairs of {} s a row, after a warm-up; wrk with one thread; CPU is user and system time of the server's \
         processes; ratios are medians of pairs [quartiles].\n",
        options.rounds, options.seconds
    );
    if options.markdown {
        println!("{MARKDOWN}");
    }
    let (mut failed, mut steal, mut others) = (false, 0.0_f64, 0.0_f64);
    for goal in GOALS {
        if !options.only.is_empty() && !options.only.iter().any(|only| only == goal) {
            continue;
        }
        for row in rows(goal, &options) {
            match row {
                Ok(row) => {
                    println!("{}", if options.markdown { row.markdown() } else { row.text() });
                    steal = steal.max(row.pairs.worst(|run| run.steal));
                    others = others.max(row.pairs.worst(|run| run.others));
                    failed |= options.assert && ASSERTED.contains(&goal) && row.missed_by(MARGIN);
                }
                Err(why) if options.markdown => {
                    println!("| {goal} | {why} |");
                    failed = true;
                }
                Err(why) => {
                    println!("{goal}: {why}\n");
                    failed = true;
                }
            }
        }
    }
    println!("\nTaken from the worst run: {steal:.1} % by other machines, {others:.1} % by other processes.");
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// The versions of wrk and nginx.
fn tools() -> Option<String> {
    let version = |program: &str, package: &str| {
        let output = Command::new(program).arg("-v").stdin(Stdio::null()).output();
        let text = output.map(|output| [output.stdout, output.stderr].concat());
        if text.is_err() {
            eprintln!("{program} is missing: install the Debian package {package}");
        }
        let text = String::from_utf8(text.ok()?).unwrap();
        let line = text.lines().next().unwrap_or_default();
        Some(line.split(" [").next().unwrap_or_default().replace("nginx version: ", ""))
    };
    let (wrk, nginx) = (version("wrk", "wrk"), version(nginx(), "nginx-light"));
    Some(format!("{}, {}", wrk?, nginx?))
}

fn machine(tools: &str) -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let processor = read("/proc/cpuinfo");
    let processor = processor.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!(
        "banggia {}, Linux {}, {cores} cores ({}), {tools}",
        env!("CARGO_PKG_VERSION"),
        read("/proc/sys/kernel/osrelease").trim(),
        processor.trim_start_matches(['\t', ' ', ':']),
    )
}

/// One comparison, or why there is none.
type Outcome = Result<Row, String>;

fn rows(goal: &'static str, options: &Options) -> Vec<Outcome> {
    let plain = Plan {
        goal,
        path: "/v1/fx",
        gzip: false,
        revalidate: false,
        close: false,
        connections: CONNECTIONS,
        at_most: 0.85,
    };
    match goal {
        "P1" => ["/v1/gold", "/v1/board", "/v1/fx"]
            .map(|path| Plan { path, gzip: true, at_most: 0.80, ..plain }.against_files(options))
            .into(),
        "P2" => ["/v1/gold", "/widgets/panel", "/v1/fx"]
            .map(|path| Plan { path, ..plain }.against_files(options))
            .into(),
        "P3" => vec![Plan { revalidate: true, at_most: 1.0, ..plain }.against_files(options)],
        "P4" => vec![Plan { close: true, at_most: 1.2, ..plain }.against_files(options)],
        "P5" => {
            let plain = Plan { connections: MANY.into(), at_most: 1.1, ..plain };
            [false, true].map(|gzip| Plan { gzip, ..plain }.against_files(options)).into()
        }
        "P6" => {
            [false, true].map(|gzip| Plan { gzip, at_most: 0.75, ..plain }.against_a_cache(options)).into()
        }
        "P7" => vec![Plan { gzip: true, at_most: 1.1, ..plain }.against_bare(options)],
        "P8" => vec![Plan { gzip: true, at_most: 1.15, ..plain }.parameters_against_fixed(options)],
        _ => vec![Plan { gzip: true, at_most: 1.05, ..plain }.refreshing_against_quiet(options)],
    }
}

/// How one row is measured.
#[derive(Clone, Copy)]
struct Plan {
    goal: &'static str,
    path: &'static str,
    gzip: bool,
    /// Each side's own `ETag`.
    revalidate: bool,
    close: bool,
    connections: u32,
    /// The goal for the ratio of CPU time a request.
    at_most: f64,
}

impl Plan {
    fn request(self) -> Request {
        let mut headers = Vec::new();
        if self.gzip {
            headers.push(("Accept-Encoding", "gzip".to_owned()));
        }
        if self.close {
            headers.push(("Connection", "close".to_owned()));
        }
        Request { path: self.path.to_owned(), headers }
    }

    fn sides<'a>(self, names: [&'static str; 2], servers: [&'a Server; 2]) -> [Side<'a>; 2] {
        [0, 1].map(|at| Side { name: names[at], server: servers[at], request: self.request() })
    }

    /// P1 to P5: the binary against nginx with the same bytes in files.
    fn against_files(self, options: &Options) -> Outcome {
        let ours = Server::replay();
        let answer = ours.answer(&self.request());
        let wanted = if self.gzip { "gzip" } else { "identity" };
        if answer.encoding() != wanted {
            return Err(format!(
                "{}: asked for {wanted}, banggia answers {}: nothing to compare",
                self.path,
                answer.encoding()
            ));
        }
        let plain = ours.answer(&Request { headers: Vec::new(), ..self.request() });
        let files = Server::nginx_static(self.path, &plain, self.gzip.then_some(&answer));
        let peer = if self.gzip { "nginx gzip_static" } else { "nginx static" };
        let mut sides = self.sides(["banggia", peer], [&ours, &files]);
        let mut before = None;
        if self.connections == u32::from(MANY) {
            before = Some(idle_memory(&sides[0]));
        }
        if self.revalidate {
            for side in &mut sides {
                let tag = side.server.answer(&side.request).header("etag").to_owned();
                side.request.headers.push(("If-None-Match", tag));
            }
        }
        let mut row = self.compare(&sides, options)?;
        if options.floor || options.assert {
            let bare = Server::bare(&ours.answer(&sides[0].request));
            let floor = Side { name: "bare hyper", server: &bare, request: sides[0].request.clone() };
            let pairs = self.pairs([&floor, &sides[1]], options);
            let floor = pairs.ratio(Run::cpu);
            row.notes.push(format!("floor: bare hyper against {peer}: CPU {}", shown(floor)));
            row.floor = Some(floor.median);
        }
        if let Some((before, idle)) = before {
            let busy = (memory(ours.pid(), "VmHWM") - before) / f64::from(MANY);
            row.notes.push(format!(
                "memory a connection: {idle:.1} kB open, {busy:.1} kB at the peak of the load"
            ));
            row.checks.push(Check::at_most("kB a connection", idle.max(busy), 30.0));
            row.checks.push(Check::at_most("errors", row.pairs.errors(0), 0.0));
        }
        Ok(row)
    }

    /// P6: the binary alone against nginx that keeps its answers. Only nginx's CPU counts there: it is warm.
    fn against_a_cache(self, options: &Options) -> Outcome {
        let ours = Server::replay();
        let cache = Server::nginx_cache(ours.address);
        let sides = self.sides(["banggia", "nginx proxy_cache"], [&ours, &cache]);
        let mut row = self.compare(&sides, options)?;
        if cache.kept() == 0 {
            return Err("nginx kept nothing".to_owned());
        }
        row.checks.push(Check::at_least("req/s", row.pairs.ratio(|run| run.rate).median, 1.1));
        Ok(row)
    }

    /// P7: what routes, limits, timers and counting add to hyper.
    fn against_bare(self, options: &Options) -> Outcome {
        let ours = Server::replay();
        let bare = Server::bare(&ours.answer(&self.request()));
        self.compare(&self.sides(["banggia", "bare hyper"], [&ours, &bare]), options)
    }

    /// P8: a document with parameters that yields the same rows, in the same process.
    fn parameters_against_fixed(self, options: &Options) -> Outcome {
        let ours = Server::replay();
        let mut sides = self.sides(["with parameters", "fixed"], [&ours, &ours]);
        sides[0].request.path.push_str("?providers=bidv,vietcombank");
        let answers = self.answers(&sides)?;
        let mut row = self.measure(&sides, &answers[0], options);
        row.notes.push(format!("bodies of {} and {} bytes", answers[0].body.len(), answers[1].body.len()));
        Ok(row)
    }

    /// P10c: an instance that refreshes every feed every two seconds against one that rests.
    fn refreshing_against_quiet(self, options: &Options) -> Outcome {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let bank = runtime.block_on(bank::Bank::open());
        house::good_day(&bank, 0);
        let folder = tempfile::tempdir().unwrap();
        let config = |name: &str| house::config_text(&bank, &folder.path().join(name));
        let busy = config("busy.db").replace("schedule = \"0 3 1 1 *\"", "schedule = \"*/2 * * * * *\"");
        let (busy, quiet) = (Server::service(&busy, &[]), Server::service(&config("quiet.db"), &[]));
        let sides = self.sides(["refreshing", "quiet"], [&busy, &quiet]);
        // Not the same bytes: the times in them go on.
        let answers = self.answers(&sides)?;
        let mut row = self.measure(&sides, &answers[0], options);

        let before = busy.cpu();
        // Nobody asks: what is measured is the refreshes alone, and there is nothing to wait for but time.
        std::thread::sleep(Duration::from_secs(10));
        let after = busy.cpu();
        let refreshes = (after.user + after.system - before.user - before.system) / 10.0;
        row.notes.push(format!(
            "refreshing alone takes {:.1} ms of CPU a second, {:.2} µs of each request at this rate",
            refreshes / 1e3,
            refreshes / row.pairs.median(0, |run| run.rate)
        ));
        Ok(row)
    }

    /// Both answers, as they should be, in the same encoding.
    fn answers(self, sides: &[Side<'_>; 2]) -> Result<[Answer; 2], String> {
        let answers = sides.each_ref().map(|side| side.server.answer(&side.request));
        let status = if self.revalidate { 304 } else { 200 };
        for (side, answer) in sides.iter().zip(&answers) {
            if answer.status != status {
                let (name, path) = (side.name, &side.request.path);
                return Err(format!("skipped: {} ({name}, {path}, where {status} is wanted)", answer.status));
            }
        }
        let [a, b] = answers.each_ref().map(Answer::encoding);
        if a == b { Ok(answers) } else { Err(format!("not the same encoding: {a} and {b}")) }
    }

    /// Makes sure that both sides answer with the same bytes, before and after.
    fn compare(self, sides: &[Side<'_>; 2], options: &Options) -> Outcome {
        let [a, b] = self.answers(sides)?;
        if a.body != b.body {
            return Err(format!("not the same bytes: {} and {} of them", a.body.len(), b.body.len()));
        }
        let row = self.measure(sides, &a, options);
        if self.answers(sides)?.iter().any(|later| later.body != a.body) {
            return Err("the answer changed while it was measured".to_owned());
        }
        Ok(row)
    }

    fn pairs(self, sides: [&Side<'_>; 2], options: &Options) -> Pairs {
        Pairs::measure(sides, self.connections, options.rounds, options.seconds)
    }

    fn measure(self, sides: &[Side<'_>; 2], answer: &Answer, options: &Options) -> Row {
        let pairs = self.pairs(sides.each_ref(), options);
        let cpu = pairs.ratio(Run::cpu).median;
        Row {
            goal: self.goal,
            path: sides[0].request.path.clone(),
            body: if self.revalidate { "304".to_owned() } else { format!("{} B", answer.body.len()) },
            encoding: if self.revalidate { "no body".to_owned() } else { answer.encoding().to_owned() },
            connections: if self.close { "one a request".to_owned() } else { self.connections.to_string() },
            pairs,
            notes: Vec::new(),
            floor: None,
            checks: vec![Check::at_most("CPU", cpu, self.at_most)],
        }
    }
}

/// Resident memory of a server that has answered a little, and what each of a thousand open connections adds.
/// From here on the peak counts.
fn idle_memory(side: &Side<'_>) -> (f64, f64) {
    let pid = side.server.pid();
    let one = |stream: &mut TcpStream| {
        ask(stream, &side.request.path, &side.request.headers).unwrap();
    };
    let mut first = TcpStream::connect(side.server.address).unwrap();
    for _ in 0..MANY {
        one(&mut first);
    }
    let before = memory(pid, "VmRSS");
    let mut open: Vec<TcpStream> =
        (0..MANY).map(|_| TcpStream::connect(side.server.address).unwrap()).collect();
    open.iter_mut().for_each(one);
    let each = (memory(pid, "VmRSS") - before) / f64::from(MANY);
    forget_peak(pid);
    (before, each)
}

/// A figure and its limit.
struct Check {
    what: &'static str,
    value: f64,
    limit: f64,
    /// By how much it is missed; negative when it is met.
    missed_by: f64,
    sign: char,
}

impl Check {
    fn at_most(what: &'static str, value: f64, limit: f64) -> Self {
        Self { what, value, limit, missed_by: value - limit, sign: '≤' }
    }

    fn at_least(what: &'static str, value: f64, limit: f64) -> Self {
        Self { what, value, limit, missed_by: limit - value, sign: '≥' }
    }
}

impl std::fmt::Display for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { what, value, limit, missed_by, sign } = self;
        let verdict = if *missed_by <= 0.0 { "met" } else { "MISSED" };
        write!(f, "{what} {sign} {limit}: {value:.2}, {verdict}")
    }
}

/// One measured comparison.
struct Row {
    goal: &'static str,
    path: String,
    body: String,
    encoding: String,
    connections: String,
    pairs: Pairs,
    notes: Vec<String>,
    /// What bare hyper reaches instead.
    floor: Option<f64>,
    checks: Vec<Check>,
}

const MARKDOWN: &str = "\
| goal | path | body | connections | against | req/s | p50 ms | p99 ms | CPU µs/request | ratio of CPU | |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |";

impl Row {
    fn missed_by(&self, margin: f64) -> bool {
        let reachable = self.floor.map_or(f64::INFINITY, |floor| floor * OVER_FLOOR + margin);
        let beyond =
            |check: &Check| check.missed_by > margin && (self.floor.is_none() || check.value > reachable);
        self.pairs.errors(0) > 0.0 || self.checks.iter().any(beyond)
    }

    fn verdicts(&self) -> String {
        self.checks.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }

    fn text(&self) -> String {
        let Self { goal, path, body, encoding, connections, pairs, .. } = self;
        let mut text = format!("{goal}: {path}, {body}, {encoding}, connections: {connections}\n");
        for (side, name) in pairs.names.into_iter().enumerate() {
            let median = |figure: fn(&Run) -> f64| pairs.median(side, figure);
            text.push_str(&format!(
                "  {name:<17} {:>7.0} req/s   p50 {:>6.2} ms   p99 {:>7.2} ms   CPU {:>6.2} µs/request (user {:.2}, system {:.2})\n",
                median(|run| run.rate),
                median(|run| run.p50),
                median(|run| run.p99),
                median(Run::cpu),
                median(|run| run.user),
                median(|run| run.system),
            ));
            if pairs.errors(side) > 0.0 {
                text.push_str(&format!("  {name:<17} {} errors\n", pairs.errors(side)));
            }
        }
        text.push_str(&format!(
            "  ratio             CPU {}   req/s {}   p50 {}   p99 {}\n",
            shown(pairs.ratio(Run::cpu)),
            shown(pairs.ratio(|run| run.rate)),
            shown(pairs.ratio(|run| run.p50)),
            shown(pairs.ratio(|run| run.p99)),
        ));
        // A neighbour that works changes what a request costs: fewer wake-ups, colder caches.
        text.push_str(&format!(
            "  of the machine, at worst: {:.0} % taken by other processes, {:.1} % by other machines\n",
            pairs.worst(|run| run.others),
            pairs.worst(|run| run.steal),
        ));
        for note in &self.notes {
            text.push_str(&format!("  {note}\n"));
        }
        text.push_str(&format!("  {}\n", self.verdicts()));
        text
    }

    fn markdown(&self) -> String {
        let Self { goal, path, body, encoding, connections, pairs, .. } = self;
        let both = |figure: fn(&Run) -> f64, digits: usize| {
            format!("{:.digits$} / {:.digits$}", pairs.median(0, figure), pairs.median(1, figure))
        };
        let mut last = vec![self.verdicts()];
        last.extend(self.notes.iter().cloned());
        let errors = pairs.errors(0) + pairs.errors(1);
        if errors > 0.0 {
            last.push(format!("{errors} errors"));
        }
        format!(
            "| {goal} | `{path}` | {body}, {encoding} | {connections} | {} | {} | {} | {} | {} | {} | {} |",
            if pairs.names[0] == "banggia" { pairs.names[1].to_owned() } else { pairs.names.join(" / ") },
            both(|run| run.rate, 0),
            both(|run| run.p50, 2),
            both(|run| run.p99, 2),
            both(Run::cpu, 1),
            shown(pairs.ratio(Run::cpu)),
            last.join("; "),
        )
    }
}

fn shown(spread: Spread) -> String {
    format!("{:.2} [{:.2}–{:.2}]", spread.median, spread.low, spread.high)
}
