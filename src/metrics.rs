//! What is counted, for the operator's monitoring: one registry, printed in the text form of `OpenMetrics`. Labels
//! are constants of this program and nothing that came over a wire, so that nobody outside can add a series.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use jiff::Timestamp;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _, text},
    metrics::{
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::Histogram,
        info::Info,
    },
    registry::{Registry, Unit},
};

/// `Content-Type` of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// From a quick answer to the longest deadline, in seconds.
const BUCKETS: [f64; 10] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 90.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Fetched {
    feed: &'static str,
    source: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfSource {
    feed: &'static str,
    source: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfFeed {
    feed: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOutcome {
    outcome: &'static str,
}

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    fetches: Family<Fetched, Counter>,
    durations: Family<OfSource, Histogram, fn() -> Histogram>,
    successes: Family<OfSource, Gauge>,
    certificates: Family<OfSource, Gauge>,
    skews: Family<OfSource, Gauge>,
    holds: Family<OfFeed, Gauge>,
    missed_publishes: Family<OfFeed, Gauge>,
    deliveries: Family<OfOutcome, Counter>,
    undelivered: Gauge,
    tells: Gauge,
    store: Arc<StoreHealth>,
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
        let durations: fn() -> Histogram = || Histogram::new(BUCKETS);
        let mut metrics = Self {
            registry: Registry::with_prefix("banggia"),
            fetches: Family::default(),
            durations: Family::new_with_constructor(durations),
            successes: Family::default(),
            certificates: Family::default(),
            skews: Family::default(),
            holds: Family::default(),
            missed_publishes: Family::default(),
            deliveries: Family::default(),
            undelivered: Gauge::default(),
            tells: Gauge::default(),
            store: Arc::default(),
        };
        let registry = &mut metrics.registry;
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Which program this is", build);
        let asked = "How each attempt at a source ended";
        registry.register("fetch", asked, metrics.fetches.clone());
        let took = "Time of one attempt at a source, retries included";
        registry.register_with_unit("fetch_duration", took, Unit::Seconds, metrics.durations.clone());
        let last = "When a source was last accepted or unchanged";
        registry.register_with_unit(
            "source_last_success_timestamp",
            last,
            Unit::Seconds,
            metrics.successes.clone(),
        );
        let ends = "When the certificate ends that a source last showed";
        registry.register_with_unit(
            "upstream_cert_expiry_timestamp",
            ends,
            Unit::Seconds,
            metrics.certificates.clone(),
        );
        let skew = "How far the clock of a source is ahead of ours, by its last answer";
        registry.register_with_unit("clock_skew", skew, Unit::Seconds, metrics.skews.clone());
        registry.register("quote_holds", "Candidates held beside what is served", metrics.holds.clone());
        let missed = "Working days on which a new board was due and did not come";
        registry.register("missed_publishes", missed, metrics.missed_publishes.clone());
        let told = "What became of the webhook's events, tries that failed included";
        registry.register("webhook_deliveries", told, metrics.deliveries.clone());
        let waiting = "Events that the webhook's receiver has not taken yet";
        registry.register("webhook_queue_length", waiting, metrics.undelivered.clone());
        let on = "Whether events are sent; 0: the webhook is not configured, or its receiver wants no more";
        registry.register("webhook_on", on, metrics.tells.clone());
        registry.register_collector(Box::new(Arc::clone(&metrics.store)));
        metrics
    }

    /// One attempt at a source has ended.
    pub fn fetched(&self, feed: &'static str, source: &'static str, outcome: &'static str, took: Duration) {
        self.fetches.get_or_create(&Fetched { feed, source, outcome }).inc();
        self.durations.get_or_create(&OfSource { feed, source }).observe(took.as_secs_f64());
    }

    /// A source was accepted or unchanged.
    pub fn succeeded(&self, feed: &'static str, source: &'static str, at: Timestamp) {
        self.successes.get_or_create(&OfSource { feed, source }).set(at.as_second());
    }

    /// The end of the certificate that a source showed, whether or not it was accepted.
    pub fn certificate(&self, feed: &'static str, source: &'static str, ends: i64) {
        self.certificates.get_or_create(&OfSource { feed, source }).set(ends);
    }

    /// How many seconds the clock of a source is ahead of ours.
    pub fn clock_skew(&self, feed: &'static str, source: &'static str, seconds: i64) {
        self.skews.get_or_create(&OfSource { feed, source }).set(seconds);
    }

    /// How many candidates of a feed are held.
    pub fn holds(&self, feed: &'static str, count: usize) {
        self.holds.get_or_create(&OfFeed { feed }).set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// How many boards of a feed did not come.
    pub fn missed_publishes(&self, feed: &'static str, count: u32) {
        self.missed_publishes.get_or_create(&OfFeed { feed }).set(count.into());
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

    /// Everything, as text.
    ///
    /// # Errors
    /// Never while there is memory: it is written into a string.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut written = String::new();
        text::encode(&mut written, &self.registry)?;
        Ok(written)
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
}

/// Numbers that the store counts itself.
#[derive(Default)]
struct StoreHealth(OnceLock<Box<dyn Fn() -> StoreTrouble + Send + Sync>>);

impl fmt::Debug for StoreHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreHealth")
    }
}

impl Collector for StoreHealth {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
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
        at.encode(encoder.encode_descriptor("store_set_aside_timestamp", help, unit, at.metric_type())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_printed_under_its_name() {
        let metrics = Metrics::new();
        metrics.fetched("bidv.fx", "board", "ok", Duration::from_millis(120));
        metrics.fetched("bidv.fx", "board", "blocked", Duration::from_secs(3));
        metrics.succeeded("bidv.fx", "board", Timestamp::from_second(1_790_670_600).unwrap());
        metrics.certificate("bidv.fx", "board", 1_800_000_000);
        metrics.clock_skew("bidv.fx", "board", -3600);
        metrics.holds("bidv.fx", 2);
        metrics.missed_publishes("bidv.fx", 1);
        metrics.delivered("delivered", 3);
        metrics.delivered("dropped", 0);
        metrics.undelivered(4);
        metrics.tells(true);
        metrics.watch_store(|| StoreTrouble { errors: 7, waiting: 2, set_aside_at: 1_790_000_000 });
        metrics.watch_store(|| StoreTrouble { errors: 8, ..StoreTrouble::default() });
        let text = metrics.text().unwrap();
        for line in [
            "banggia_fetch_total{feed=\"bidv.fx\",source=\"board\",outcome=\"ok\"} 1",
            "banggia_fetch_total{feed=\"bidv.fx\",source=\"board\",outcome=\"blocked\"} 1",
            "banggia_fetch_duration_seconds_count{feed=\"bidv.fx\",source=\"board\"} 2",
            "banggia_source_last_success_timestamp_seconds{feed=\"bidv.fx\",source=\"board\"} 1790670600",
            "banggia_upstream_cert_expiry_timestamp_seconds{feed=\"bidv.fx\",source=\"board\"} 1800000000",
            "banggia_clock_skew_seconds{feed=\"bidv.fx\",source=\"board\"} -3600",
            "banggia_quote_holds{feed=\"bidv.fx\"} 2",
            "banggia_missed_publishes{feed=\"bidv.fx\"} 1",
            "banggia_webhook_deliveries_total{outcome=\"delivered\"} 3",
            "banggia_webhook_deliveries_total{outcome=\"dropped\"} 0",
            "banggia_webhook_queue_length 4",
            "banggia_webhook_on 1",
            "banggia_store_errors_total 7",
            "banggia_store_waiting 2",
            "banggia_store_set_aside_timestamp_seconds 1790000000",
            concat!("banggia_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        ] {
            assert!(text.lines().any(|known| known == line), "{line}\n{text}");
        }
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
