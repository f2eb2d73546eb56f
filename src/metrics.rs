//! What is counted, for the operator's monitoring. Labels are constants of this program and nothing that came over a
//! wire, so that nobody outside can add a series. What a feed's state says is read off the board when somebody scrapes:
//! a feed that is not served has no series.

mod feeds;
mod process;

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use prometheus_client::{
    collector::Collector,
    encoding::{
        DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet, EncodeMetric as _, prometheus_text as classic,
        text as open,
    },
    metrics::{
        MetricType,
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::{ConstGauge, Gauge},
        info::Info,
    },
    registry::{Registry, Unit},
};

use crate::{
    board::Shared,
    clock::{Clock, rfc3339},
    live,
};
use feeds::Feeds;
pub use feeds::Phase;
use process::Process;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOutcome {
    outcome: &'static str,
}

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics {
    /// `banggia_…`
    own: Registry,
    /// `process_…`, as every program calls it.
    process: Registry,
    feeds: Arc<Feeds>,
    deliveries: Family<OfOutcome, Counter>,
    undelivered: Gauge,
    tells: Gauge,
    store: Arc<StoreHealth>,
    doors: Arc<Doors>,
    streams: Arc<Streams>,
    rate_limited: Counter,
    reload_good: Gauge,
    reloaded_at: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Nothing counted yet.
    #[must_use]
    pub fn new() -> Self {
        let started = Clock::system().now();
        let mut metrics = Self {
            own: Registry::with_prefix("banggia"),
            process: Registry::with_prefix("process"),
            feeds: Arc::default(),
            deliveries: Family::default(),
            undelivered: Gauge::default(),
            tells: Gauge::default(),
            store: Arc::default(),
            doors: Arc::default(),
            streams: Arc::default(),
            rate_limited: Counter::default(),
            reload_good: Gauge::default(),
            reloaded_at: Gauge::default(),
        };
        let own = &mut metrics.own;
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        own.register("build", "Which program this is", build);
        let help = "Whether the configuration was applied when it was last read";
        own.register("config_last_reload_successful", help, metrics.reload_good.clone());
        own.register_with_unit(
            "config_last_reload_success_timestamp",
            "When the configuration was last applied",
            Unit::Seconds,
            metrics.reloaded_at.clone(),
        );
        own.register_collector(Box::new(Arc::clone(&metrics.feeds)));
        own.register_collector(Box::new(Arc::clone(&metrics.doors)));
        own.register_collector(Box::new(Arc::clone(&metrics.streams)));
        let help = "Requests refused because their client had used up its share";
        own.register("http_rate_limited", help, metrics.rate_limited.clone());
        let told = "What became of the webhook's events, tries that failed included";
        own.register("webhook_deliveries", told, metrics.deliveries.clone());
        let waiting = "Events that the webhook's receiver has not taken yet";
        own.register("webhook_queue_length", waiting, metrics.undelivered.clone());
        let on = "Whether events are sent; 0: the webhook is not configured, or its receiver wants no more";
        own.register("webhook_on", on, metrics.tells.clone());
        own.register_collector(Box::new(Arc::clone(&metrics.store)));
        metrics.process.register_collector(Box::new(Process::started(started)));
        metrics.reloaded(true, started);
        metrics
    }

    /// One attempt at a source has ended.
    pub fn fetched(&self, feed: &'static str, source: &'static str, outcome: &'static str) {
        self.feeds.fetched(feed, source, outcome);
    }

    /// How long a part of an exchange took.
    pub fn took(&self, feed: &'static str, phase: Phase, time: Duration) {
        self.feeds.took(feed, phase, time);
    }

    /// The end of the certificate that a source showed, whether or not it was accepted.
    pub fn certificate(&self, feed: &'static str, source: &'static str, ends: i64) {
        self.feeds.certificate(feed, source, ends);
    }

    /// How many seconds the clock of a source is ahead of ours.
    pub fn clock_skew(&self, feed: &'static str, source: &'static str, seconds: i64) {
        self.feeds.clock_skew(feed, source, seconds);
    }

    /// How many rows of a source's last answer were refused or held.
    pub fn outliers(&self, feed: &'static str, source: &'static str, rows: usize) {
        self.feeds.outliers(feed, source, rows);
    }

    /// The configuration was read again, and applied or not.
    pub fn reloaded(&self, ok: bool, at: Timestamp) {
        self.reload_good.set(ok.into());
        if ok {
            self.reloaded_at.set(at.as_second());
        }
    }

    /// A client had used up its share.
    pub fn rate_limited(&self) {
        self.rate_limited.inc();
    }

    /// The public listener's counts.
    #[must_use]
    pub fn public(&self) -> Arc<Tally> {
        Arc::clone(&self.doors.public)
    }

    /// The ops listener's counts.
    #[must_use]
    pub fn ops(&self) -> Arc<Tally> {
        Arc::clone(&self.doors.ops)
    }

    /// Whose feeds are told of, and by which clock; only the first call counts.
    pub fn watch_board(&self, board: Shared, clock: Clock) {
        self.feeds.watch(board, clock);
    }

    /// What became of so many of the webhook's events; none makes the series appear.
    pub fn delivered(&self, outcome: &'static str, count: u64) {
        self.deliveries.get_or_create(&OfOutcome { outcome }).inc_by(count);
    }

    /// How many events wait for the webhook's receiver.
    pub fn undelivered(&self, count: usize) {
        self.undelivered.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Whether the webhook sends anything.
    pub fn tells(&self, on: bool) {
        self.tells.set(on.into());
    }

    /// Whose troubles are told; only the first call counts.
    pub fn watch_store(&self, trouble: impl Fn() -> StoreTrouble + Send + Sync + 'static) {
        let _ = self.store.0.set(Box::new(trouble));
    }

    /// Whose streams of events are counted; only the first call counts.
    pub fn watch_streams(&self, tally: Arc<live::Tally>) {
        let _ = self.streams.0.set(tally);
    }

    /// Everything, as text, and its type: `OpenMetrics` for whoever asks for it, else what everybody reads.
    ///
    /// # Errors
    /// Never while there is memory: it is written into a string.
    pub fn text(&self, form: Form) -> Result<String, fmt::Error> {
        let mut written = String::new();
        match form {
            Form::Open => {
                open::encode_registry(&mut written, &self.own)?;
                open::encode_registry(&mut written, &self.process)?;
                open::encode_eof(&mut written)?;
            }
            Form::Classic => {
                classic::encode(&mut written, &self.own)?;
                classic::encode(&mut written, &self.process)?;
            }
        }
        Ok(written)
    }
}

/// How metrics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `OpenMetrics` 1.0.
    Open,
    /// The text format of Prometheus, 0.0.4.
    Classic,
}

impl Form {
    /// By what a client accepts: `OpenMetrics` where it is named and not refused.
    #[must_use]
    pub fn accepted<'a>(accept: impl Iterator<Item = &'a str>) -> Self {
        let asks = |item: &str| {
            let mut parts = item.split(';').map(str::trim);
            let named =
                parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/openmetrics-text"));
            let refused = |part: &str| {
                let quality = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="));
                quality.is_some_and(|quality| quality.bytes().all(|byte| byte == b'0' || byte == b'.'))
            };
            named && !parts.any(refused)
        };
        if accept.flat_map(|value| value.split(',')).any(asks) { Self::Open } else { Self::Classic }
    }

    /// `Content-Type`.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Open => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Classic => classic::CONTENT_TYPE,
        }
    }
}

/// A family of gauges whose values are known when somebody scrapes.
fn gauges<L: EncodeLabelSet, V: EncodeGaugeValue>(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    values: impl IntoIterator<Item = (L, V)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
    for (labels, value) in values {
        ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

/// The same of counters.
fn counters<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (L, u64)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, value) in values {
        ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

/// One listener's counts: an addition a request, and nothing else.
#[derive(Debug, Default)]
pub struct Tally {
    /// By class of the status.
    answers: [AtomicU64; 4],
    open: AtomicI64,
}

/// Classes of statuses that are ever sent.
const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

impl Tally {
    /// A request was answered with this status.
    pub fn answered(&self, status: u16) {
        let class = usize::from(status / 100).saturating_sub(2);
        if let Some(count) = self.answers.get(class) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A connection was opened.
    pub fn opened(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection was closed.
    pub fn closed(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Both listeners.
#[derive(Debug, Default)]
struct Doors {
    public: Arc<Tally>,
    ops: Arc<Tally>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfListener {
    listener: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    listener: &'static str,
    class: &'static str,
}

impl Collector for Doors {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let doors = [("public", &self.public), ("ops", &self.ops)];
        let answers = doors.iter().flat_map(|(listener, tally)| {
            CLASSES
                .iter()
                .zip(&tally.answers)
                .map(|(class, count)| (Answered { listener, class }, count.load(Ordering::Relaxed)))
        });
        counters(&mut encoder, "http_requests", "Answers by class of their status", answers)?;
        let open = doors
            .iter()
            .map(|(listener, tally)| (OfListener { listener }, tally.open.load(Ordering::Relaxed)));
        gauges(&mut encoder, "http_connections", "Connections that are open", None, open)
    }
}

/// Numbers that the streams of events count themselves.
#[derive(Debug, Default)]
struct Streams(OnceLock<Arc<live::Tally>>);

impl Collector for Streams {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let Some(tally) = self.0.get() else { return Ok(()) };
        let open = ConstGauge::new(tally.open.load(Ordering::Relaxed));
        let help = "Streams of events that are open";
        open.encode(encoder.encode_descriptor("event_streams", help, None, open.metric_type())?)?;
        let sent = ConstCounter::new(tally.sent.load(Ordering::Relaxed));
        let help = "Events that were sent, to each reader";
        sent.encode(encoder.encode_descriptor("event_deliveries", help, None, sent.metric_type())?)?;
        let dropped = ConstCounter::new(tally.dropped.load(Ordering::Relaxed));
        let help = "Streams that were ended because their reader was too slow";
        dropped.encode(encoder.encode_descriptor(
            "event_readers_dropped",
            help,
            None,
            dropped.metric_type(),
        )?)
    }
}

/// What went wrong with the store.
#[derive(Debug, Clone, Copy, Default)]
pub struct StoreTrouble {
    /// What could not be written, or was found damaged, since the start.
    pub errors: u64,
    /// Transactions that wait for the disk.
    pub waiting: u64,
    /// When a damaged store was last set aside, in Unix seconds; 0: never since the start.
    pub set_aside_at: i64,
    /// Of a replica: the epoch under which it leads, 0 while another one does.
    pub epoch: Option<i64>,
}

/// Numbers that the store counts itself.
#[derive(Default)]
struct StoreHealth(OnceLock<Box<dyn Fn() -> StoreTrouble + Send + Sync>>);

impl fmt::Debug for StoreHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreHealth")
    }
}

impl Metrics {
    /// What the store says of itself; nothing before it is watched.
    #[must_use]
    pub fn store_trouble(&self) -> Option<StoreTrouble> {
        self.store.0.get().map(|trouble| trouble())
    }
}

impl StoreTrouble {
    /// One line for people.
    #[must_use]
    pub fn told(self) -> String {
        let set_aside = Timestamp::from_second(self.set_aside_at).ok().filter(|_| self.set_aside_at > 0);
        let set_aside =
            set_aside.map_or_else(String::new, |at| format!(", a damaged one set aside {}", rfc3339(at)));
        let replica = match self.epoch {
            None => String::new(),
            Some(0) => ", this replica follows".to_owned(),
            Some(epoch) => format!(", this replica leads, epoch {epoch}"),
        };
        format!("{} waiting, {} errors{set_aside}{replica}", self.waiting, self.errors)
    }
}

impl Collector for StoreHealth {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let trouble = self.0.get().map_or_else(StoreTrouble::default, |trouble| trouble());
        let errors = ConstCounter::new(trouble.errors);
        let help = "Reads and writes of the store that failed";
        errors.encode(encoder.encode_descriptor("store_errors", help, None, errors.metric_type())?)?;
        let waiting = ConstGauge::new(i64::try_from(trouble.waiting).unwrap_or(i64::MAX));
        let help = "Transactions that wait for the disk";
        waiting.encode(encoder.encode_descriptor("store_waiting", help, None, waiting.metric_type())?)?;
        let at = ConstGauge::new(trouble.set_aside_at);
        let help = "When a damaged store was last set aside; 0: never since the start";
        let unit = Some(&Unit::Seconds);
        at.encode(encoder.encode_descriptor("store_set_aside_timestamp", help, unit, at.metric_type())?)?;
        let Some(epoch) = trouble.epoch else { return Ok(()) };
        let leads = ConstGauge::new(i64::from(epoch > 0));
        let help = "Whether this replica asks the sources";
        leads.encode(encoder.encode_descriptor("leader", help, None, leads.metric_type())?)?;
        let epoch = ConstGauge::new(epoch);
        let help = "The epoch under which this replica leads; 0: another one does";
        epoch.encode(encoder.encode_descriptor("lease_epoch", help, None, epoch.metric_type())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_printed_under_its_name_in_both_forms() {
        let metrics = Metrics::new();
        metrics.fetched("bidv.fx", "board", "ok");
        metrics.fetched("bidv.fx", "board", "blocked");
        metrics.took("bidv.fx", Phase::FirstByte, Duration::from_millis(120));
        metrics.took("bidv.fx", Phase::FirstByte, Duration::from_secs(3));
        metrics.certificate("bidv.fx", "board", 1_800_000_000);
        metrics.clock_skew("bidv.fx", "board", -3600);
        metrics.outliers("bidv.fx", "board", 2);
        metrics.reloaded(true, Timestamp::from_second(1_790_000_000).unwrap());
        metrics.reloaded(false, Timestamp::from_second(1_790_000_100).unwrap());
        metrics.rate_limited();
        metrics.public().answered(200);
        metrics.public().answered(304);
        metrics.public().answered(304);
        metrics.ops().answered(503);
        metrics.ops().answered(100);
        metrics.public().opened();
        metrics.public().opened();
        metrics.public().closed();
        metrics.delivered("delivered", 3);
        metrics.delivered("dropped", 0);
        metrics.undelivered(4);
        metrics.tells(true);
        metrics.watch_store(|| StoreTrouble {
            errors: 7,
            waiting: 2,
            set_aside_at: 1_790_000_000,
            epoch: None,
        });
        metrics.watch_store(|| StoreTrouble { errors: 8, ..StoreTrouble::default() });
        let (text, old) = (metrics.text(Form::Open).unwrap(), metrics.text(Form::Classic).unwrap());
        for line in [
            "banggia_fetch_total{feed=\"bidv.fx\",source=\"board\",outcome=\"ok\"} 1",
            "banggia_fetch_total{feed=\"bidv.fx\",source=\"board\",outcome=\"blocked\"} 1",
            "banggia_fetch_duration_seconds_count{feed=\"bidv.fx\",phase=\"first_byte\"} 2",
            "banggia_upstream_cert_expiry_timestamp_seconds{feed=\"bidv.fx\",source=\"board\"} 1800000000",
            "banggia_clock_skew_seconds{feed=\"bidv.fx\",source=\"board\"} -3600",
            "banggia_source_outlier_quotes{feed=\"bidv.fx\",source=\"board\"} 2",
            "banggia_config_last_reload_successful 0",
            "banggia_config_last_reload_success_timestamp_seconds 1790000000",
            "banggia_http_rate_limited_total 1",
            "banggia_http_requests_total{listener=\"public\",class=\"2xx\"} 1",
            "banggia_http_requests_total{listener=\"public\",class=\"3xx\"} 2",
            "banggia_http_requests_total{listener=\"ops\",class=\"5xx\"} 1",
            "banggia_http_connections{listener=\"public\"} 1",
            "banggia_webhook_deliveries_total{outcome=\"delivered\"} 3",
            "banggia_webhook_deliveries_total{outcome=\"dropped\"} 0",
            "banggia_webhook_queue_length 4",
            "banggia_webhook_on 1",
            "banggia_store_errors_total 7",
            "banggia_store_waiting 2",
            "banggia_store_set_aside_timestamp_seconds 1790000000",
            concat!("banggia_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        ] {
            for text in [&text, &old] {
                assert!(text.lines().any(|known| known == line), "{line}\n{text}");
            }
        }
        for name in
            ["start_time_seconds", "resident_memory_bytes", "open_fds", "max_fds", "cpu_seconds_total"]
        {
            let line = text.lines().find(|line| line.starts_with(&format!("process_{name} ")));
            let value: f64 = line.and_then(|line| line.split_once(' ')).unwrap().1.parse().unwrap();
            assert!(value >= 0.0 && (name == "cpu_seconds_total" || value > 1.0), "{name} {value}");
        }
        assert!(text.ends_with("# EOF\n") && !old.contains("# EOF") && !old.contains("# UNIT"), "{old}");
        assert!(old.contains("# TYPE banggia_fetch_total counter\n"), "{old}");
    }

    #[test]
    fn openmetrics_is_for_whoever_asks_for_it() {
        let form = |accept: &str| Form::accepted(std::iter::once(accept));
        // As Prometheus 2 and 3 ask.
        for accept in [
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "application/openmetrics-text; version=1.0.0; escaping=values;q=0.6,text/plain;version=0.0.4;q=0.4",
            "Application/OpenMetrics-Text",
        ] {
            assert_eq!(form(accept), Form::Open, "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "text/plain",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text; q=0.0",
        ] {
            assert_eq!(form(accept), Form::Classic, "{accept}");
        }
        assert_eq!(Form::accepted(std::iter::empty()), Form::Classic);
    }
}
