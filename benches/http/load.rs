//! Load, and what it costs: one run of wrk against a server, the CPU time and memory of the server's processes
//! from /proc, and what several interleaved runs say together.

use std::{collections::BTreeMap, fs, process::Command, time::Duration};

use super::servers::Server;

/// What /proc counts CPU time in, in microseconds: `USER_HZ` is 100 wherever Linux runs.
const TICK: f64 = 10_000.0;

/// A request that is made over and over.
#[derive(Clone)]
pub struct Request {
    pub path: String,
    pub headers: Vec<(&'static str, String)>,
}

/// One of the two that are compared.
pub struct Side<'a> {
    pub name: &'static str,
    pub server: &'a Server,
    pub request: Request,
}

/// One run.
pub struct Run {
    pub rate: f64,
    /// Milliseconds.
    pub p50: f64,
    /// Milliseconds.
    pub p99: f64,
    /// Microseconds of the server a request.
    pub user: f64,
    /// Microseconds of the server a request.
    pub system: f64,
    /// Answers that were neither 2xx nor 3xx, and connections that failed.
    pub errors: f64,
    /// Percent of the machine's time that other machines took.
    pub steal: f64,
    /// Percent of the machine's time that processes took which are no part of the measurement.
    pub others: f64,
}

impl Run {
    pub fn cpu(&self) -> f64 {
        self.user + self.system
    }
}

/// Runs A B B A A B …, so that drift and noisy neighbours meet both alike, after a warm-up of each.
pub struct Pairs {
    pub names: [&'static str; 2],
    runs: Vec<[Run; 2]>,
}

impl Pairs {
    pub fn measure(sides: [&Side<'_>; 2], connections: u32, rounds: u32, seconds: u32) -> Self {
        let [a, b] = sides;
        for side in sides {
            run(side, connections, 1);
        }
        let runs = (0..rounds)
            .map(|round| {
                if round % 2 == 0 {
                    let first = run(a, connections, seconds);
                    [first, run(b, connections, seconds)]
                } else {
                    let first = run(b, connections, seconds);
                    [run(a, connections, seconds), first]
                }
            })
            .collect();
        Self { names: [a.name, b.name], runs }
    }

    /// Median of one side's runs.
    pub fn median(&self, side: usize, figure: impl Fn(&Run) -> f64) -> f64 {
        Spread::of(self.runs.iter().map(|pair| figure(&pair[side])).collect()).median
    }

    /// Of the ratios A/B of the pairs, not the ratio of the medians: a pair ran at the same time.
    pub fn ratio(&self, figure: impl Fn(&Run) -> f64) -> Spread {
        Spread::of(self.runs.iter().map(|[a, b]| figure(a) / figure(b)).collect())
    }

    pub fn errors(&self, side: usize) -> f64 {
        self.runs.iter().fold(0.0, |sum, pair| sum + pair[side].errors)
    }

    /// The worst of all runs.
    pub fn worst(&self, figure: impl Fn(&Run) -> f64) -> f64 {
        self.runs.iter().flatten().map(figure).fold(0.0, f64::max)
    }
}

/// Median and quartiles.
#[derive(Clone, Copy)]
pub struct Spread {
    pub low: f64,
    pub median: f64,
    pub high: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        // Between the two nearest, as spreadsheets do it.
        let at = |quarter: usize| {
            let last = values.len() - 1;
            let (index, rest) = (last * quarter / 4, last * quarter % 4);
            let rest = f64::from(u8::try_from(rest).unwrap()) / 4.0;
            values[index] + rest * (values[(index + 1).min(last)] - values[index])
        };
        Self { low: at(1), median: at(2), high: at(3) }
    }
}

/// One run of wrk.
fn run(side: &Side<'_>, connections: u32, seconds: u32) -> Run {
    let (before, machine_before, own_before) = (side.server.cpu(), machine(), own_cpu());
    let mut wrk = Command::new("wrk");
    wrk.args(["--threads", "1", "--latency", "--timeout", "10s"]).args([
        "--connections",
        &connections.to_string(),
        "--duration",
        &format!("{seconds}s"),
    ]);
    for (name, value) in &side.request.headers {
        wrk.args(["--header", &format!("{name}: {value}")]);
    }
    wrk.arg(format!("http://{}{}", side.server.address, side.request.path));
    let report = String::from_utf8(wrk.output().unwrap().stdout).unwrap();
    // Closing the connections that wrk leaves is the server's work too.
    std::thread::sleep(Duration::from_millis(50));
    let (after, machine_after, own_after) = (side.server.cpu(), machine(), own_cpu());

    let line = |marker: &str| report.lines().find(|line| line.contains(marker)).map(numbers);
    let first = |marker: &str| {
        line(marker).and_then(|numbers| numbers.first().copied()).unwrap_or_else(|| panic!("wrk: {report}"))
    };
    let sum = |marker: &str| line(marker).unwrap_or_default().iter().sum::<f64>();
    let requests = first(" requests in ").max(1.0);
    let (user, system) = (after.user - before.user, after.system - before.system);
    let whole = (machine_after.total - machine_before.total).max(1.0) / 100.0;
    let others = machine_after.busy - machine_before.busy - (own_after - own_before) - (user + system) / TICK;
    Run {
        rate: first("Requests/sec:"),
        p50: percentile(&report, "50%"),
        p99: percentile(&report, "99%"),
        user: user / requests,
        system: system / requests,
        errors: sum("Socket errors:") + sum("Non-2xx or 3xx responses:"),
        steal: (machine_after.stolen - machine_before.stolen) / whole,
        others: others.max(0.0) / whole,
    }
}

/// The words of a line that are numbers.
fn numbers(line: &str) -> Vec<f64> {
    line.split_whitespace().filter_map(|word| word.trim_end_matches(',').parse().ok()).collect()
}

/// Milliseconds, from a line such as `99%    5.73ms`.
fn percentile(report: &str, which: &str) -> f64 {
    let value =
        report.lines().find_map(|line| line.trim_start().strip_prefix(which)).unwrap_or_default().trim();
    [("us", 1e-3), ("ms", 1.0), ("s", 1e3), ("m", 6e4)]
        .iter()
        .find_map(|(unit, factor)| Some(value.strip_suffix(unit)?.parse::<f64>().ok()? * factor))
        .unwrap_or(f64::NAN)
}

/// Of the whole machine, in ticks.
struct Machine {
    total: f64,
    busy: f64,
    stolen: f64,
}

fn machine() -> Machine {
    let stat = fs::read_to_string("/proc/stat").unwrap();
    // user nice system idle iowait irq softirq steal; guests are in user already.
    let ticks = numbers(stat.lines().next().unwrap());
    let total = ticks.iter().take(8).sum();
    Machine { total, busy: total - ticks[3] - ticks[4] - ticks[7], stolen: ticks[7] }
}

/// Of this benchmark and of what it has run to the end, which is wrk; in ticks.
fn own_cpu() -> f64 {
    let stat = stat(std::process::id()).unwrap();
    stat[11..15].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum()
}

/// CPU time so far, in microseconds.
#[derive(Clone, Copy)]
pub struct Cpu {
    pub user: f64,
    pub system: f64,
}

/// Of these processes together. The kernel counts their sum exactly and rounds it to a tick.
pub fn cpu(pids: &[u32]) -> Cpu {
    let mut sum = Cpu { user: 0.0, system: 0.0 };
    for stat in pids.iter().filter_map(|pid| stat(*pid)) {
        sum.user += stat[11].parse::<f64>().unwrap() * TICK;
        sum.system += stat[12].parse::<f64>().unwrap() * TICK;
    }
    sum
}

/// A process and all that descend from it.
pub fn tree(root: u32) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let processes =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    for pid in processes {
        if let Some(parent) = stat(pid).and_then(|stat| stat[1].parse().ok()) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut pids = vec![root];
    let mut at = 0;
    while let Some(pid) = pids.get(at) {
        pids.extend(children.remove(pid).unwrap_or_default());
        at += 1;
    }
    pids
}

/// The fields of /proc/<pid>/stat behind the name, which may hold blanks; `None` for a process that has ended.
fn stat(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit(") ").next()?.split(' ').map(str::to_owned).collect())
}

/// Resident memory in kB: `VmRSS` now, `VmHWM` the most since the last [`forget_peak`].
pub fn memory(pid: u32, which: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    numbers(status.lines().find(|line| line.starts_with(which)).unwrap())[0]
}

/// Lets the peak count from here.
pub fn forget_peak(pid: u32) {
    // proc(5): 5 resets the peak resident set size.
    fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
}
