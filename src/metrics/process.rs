//! The process itself, as the kernel tells it when somebody scrapes: memory, open files, processor time. Reads
//! `/proc` only; where there is none, a number is missing and nothing else.

use std::{fmt, time::Duration};

use jiff::Timestamp;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

/// The kernel counts processor time for programs in hundredths of a second, on every architecture (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(super) struct Process {
    started: Timestamp,
}

impl Process {
    pub(super) const fn started(started: Timestamp) -> Self {
        Self { started }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let mut gauge = |name: &str, help: &str, unit: Option<&Unit>, value: Option<i64>| {
            let Some(value) = value.map(ConstGauge::new) else { return Ok(()) };
            value.encode(encoder.encode_descriptor(name, help, unit, value.metric_type())?)
        };
        let (seconds, bytes) = (Some(&Unit::Seconds), Some(&Unit::Bytes));
        gauge("start_time", "When the program was started", seconds, Some(self.started.as_second()))?;
        gauge("resident_memory", "Memory that the program has", bytes, resident())?;
        gauge("open_fds", "Files and sockets that are open", None, open_files())?;
        let most =
            rlimit::Resource::NOFILE.get_soft().ok().map(|most| i64::try_from(most).unwrap_or(i64::MAX));
        gauge("max_fds", "Files and sockets that may be open", None, most)?;
        let Some(used) = processor().map(|used| ConstCounter::new(used.as_secs_f64())) else { return Ok(()) };
        used.encode(encoder.encode_descriptor("cpu", "Processor time used", seconds, used.metric_type())?)
    }
}

fn resident() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<i64>().ok()?.checked_mul(1024)
}

fn open_files() -> Option<i64> {
    i64::try_from(std::fs::read_dir("/proc/self/fd").ok()?.count()).ok()
}

/// User and system time: fields 14 and 15 of `proc_pid_stat(5)`, counted behind the name, which may hold anything.
fn processor() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u32>().ok();
    ticks()?.checked_add(ticks()?).map(|ticks| TICK * ticks)
}
