//! What is fuzzed, and what must hold of every input. The engine (`engine.rs`) feeds these with whatever finds new
//! code; the tests (`tests/it/corpus.rs`) with the committed corpus and the recordings.

use std::{collections::BTreeMap, path::Path, sync::LazyLock};

use banggia::{
    board::ServedFeed,
    config::{self, Overrides},
    convert::Conversion,
    filter::{Filter, MOST_ERRORS, WrongParameter, houses},
    store::{Nature, Store},
    widget::Options,
};
use jiff::{SignedDuration, Timestamp, civil::Date};
use providers::{Feed, Kind, NumberFormat, Parsed, Quote, Secrets, Source, decode, fuzzing};
use reqwest::header::HeaderValue;
use rust_decimal::Decimal;
use url::Url;

use crate::bands;

/// Something that reads bytes of strangers.
pub struct Target {
    /// Names it and its folder of the corpus.
    pub name: String,
    what: What,
}

type Reader = fn(&[u8]);

enum What {
    /// A reader of its own.
    Reader(Reader),
    /// An adapter's parser, then the judge.
    Adapter(&'static Feed, &'static Source),
}

impl Target {
    /// Panics when something does not hold.
    pub fn run(&self, bytes: &[u8]) {
        match self.what {
            What::Reader(reader) => reader(bytes),
            What::Adapter(feed, source) => adapter(feed, source, bytes),
        }
    }
}

/// All of them: the readers, then each source of each feed as `<feed>.<source>`.
pub fn all() -> Vec<Target> {
    let readers: [(&str, Reader); 7] = [
        ("number", number),
        ("date", date),
        ("charset", charset),
        ("query", query),
        ("config", configuration),
        ("retry-after", retry_after),
        ("oembed", oembed),
    ];
    let readers =
        readers.into_iter().map(|(name, reader)| Target { name: name.into(), what: What::Reader(reader) });
    let adapters = providers::feeds().flat_map(|(_, feed)| {
        feed.sources.iter().map(move |source| Target {
            name: format!("{}.{}", feed.id, source.id),
            what: What::Adapter(feed, source),
        })
    });
    readers.chain(adapters).collect()
}

/// A figure's digits are the source's own, none added and none lost, and read back as they were written.
fn number(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    for (format, group, mark) in [
        (NumberFormat::COMMA_GROUPS, Some(','), '.'),
        (NumberFormat::DOT_GROUPS, Some('.'), ','),
        (NumberFormat::PLAIN, None, '.'),
    ] {
        let parsed = format.parse(text);
        if let Ok(value) = &parsed {
            let digits: String = text.trim().chars().filter(|c| Some(*c) != group).collect();
            same_digits(*value, &digits.replace(mark, "."), text);
            let written = value.to_string().replace('.', &mark.to_string());
            assert_eq!(format.parse(&written), Ok(*value), "{text:?} as {written:?}");
        }
        match format.price(text) {
            Ok(Some(price)) => assert!(parsed == Ok(price) && price > Decimal::ZERO, "{text:?}"),
            Ok(None) => assert!(parsed.is_err() || parsed == Ok(Decimal::ZERO), "{text:?}"),
            Err(_) => assert!(parsed.is_err(), "{text:?}"),
        }
        if let Ok(Some(rate)) = format.percent(text) {
            assert!(rate >= Decimal::ZERO, "{text:?}");
            assert!(text.contains(|c: char| c.is_ascii_digit()), "{text:?}");
        }
    }
    // Of texts that JSON itself takes for numbers.
    if text.parse::<serde_json::Number>().is_ok()
        && let Ok(value) = fuzzing::json_number(text)
    {
        assert!(value >= Decimal::ZERO, "{text:?}");
        match text.split_once(['e', 'E']) {
            None => same_digits(value, text.trim_start_matches('-'), text),
            Some((mantissa, _)) => {
                let significant = |digits: &str| {
                    let digits: String = digits.chars().filter(char::is_ascii_digit).collect();
                    digits.trim_matches('0').to_owned()
                };
                assert_eq!(significant(&value.to_string()), significant(mantissa), "{text:?}");
            }
        }
    }
}

/// But for zeros in front.
fn same_digits(value: Decimal, digits: &str, text: &str) {
    let bare = |digits: &str| digits.trim_start_matches('0').to_owned();
    assert_eq!(bare(&value.to_string()), bare(digits), "{text:?}");
}

/// Days are days of the calendar, those that were written, and read back as they are written.
fn date(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let written = |mark: char| -> Vec<i32> {
        text.trim().split(mark).map(|part| part.parse().unwrap()).collect::<Vec<i32>>()
    };
    let real = |date: Date, order: Vec<i32>| {
        let [day, month, year] = [i32::from(date.day()), i32::from(date.month()), i32::from(date.year())];
        assert!((1900..=9999).contains(&year) && (1..=days_of(month, year)).contains(&day), "{text:?}");
        order == [day, month, year] || order == [month, day, year] || order == [year, month, day]
    };
    if let Some(date) = fuzzing::day_first(text) {
        assert!(real(date, written('/')), "{text:?} is {date}");
        assert_eq!(written('/').first(), Some(&i32::from(date.day())), "{text:?}");
        assert_eq!(fuzzing::day_first(&fuzzing::write_day_first(date)), Some(date), "{text:?}");
    }
    if let Some(date) = fuzzing::month_first(text) {
        assert!(real(date, written('/')), "{text:?} is {date}");
        assert_eq!(written('/').first(), Some(&i32::from(date.month())), "{text:?}");
        assert_eq!(fuzzing::month_first(&fuzzing::write_month_first(date)), Some(date), "{text:?}");
    }
    if let Some(date) = fuzzing::year_first(text) {
        assert!(real(date, written('-')), "{text:?} is {date}");
        assert_eq!(fuzzing::year_first(&date.to_string()), Some(date), "{text:?}");
    }
    if let Some(hour) = fuzzing::hour(text) {
        let again = fuzzing::hour(&format!("{:02}:{:02}", hour.hour(), hour.minute()));
        assert_eq!((again, hour.second()), (Some(hour), 0), "{text:?}");
    }
    if let Some(at) = fuzzing::american(text) {
        let clock = providers::VIETNAM.to_datetime(at);
        let half = if clock.hour() < 12 { "AM" } else { "PM" };
        let hour = (clock.hour() + 11) % 12 + 1;
        let again = format!(
            "{} {hour}:{:02}:{:02} {half}",
            fuzzing::write_month_first(clock.date()),
            clock.minute(),
            clock.second()
        );
        assert_eq!(fuzzing::american(&again), Some(at), "{text:?} as {again:?}");
    }
}

/// Of the Gregorian calendar, written anew.
fn days_of(month: i32, year: i32) -> i32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The label that an answer claims is the first line. What is decoded is text and not blank; UTF-8 is left as it is.
fn charset(bytes: &[u8]) {
    let at = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (label, body) = bytes.split_at(at);
    let body = body.get(1..).unwrap_or_default();
    let label = str::from_utf8(label).ok().filter(|label| !label.is_empty());
    if let Ok(text) = decode(body, label) {
        assert!(!text.trim().is_empty());
        // What follows might be taken for a mark, for UTF-16 or for gzip: that is another text.
        let plain = !text.starts_with(['\u{feff}', '\u{1f}', '\0']) && text.chars().nth(1) != Some('\0');
        if plain {
            assert_eq!(decode(text.as_bytes(), None).as_deref(), Ok(&*text));
        }
    }
}

/// Feeds as they are at the first start.
static FEEDS: LazyLock<Vec<ServedFeed>> = LazyLock::new(|| {
    let config = config::assemble(None, &[], &Overrides::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let states = runtime.block_on(async {
        let store = Store::open("sqlite::memory:", Nature::Recorded).await.unwrap();
        let clock = banggia::clock::Clock::system();
        let states = banggia::app::load_states(&config, &store, &clock, true).await.unwrap();
        store.close().await;
        states
    });
    states.into_iter().map(|(state, _)| std::sync::Arc::new(state).serve(bands::now())).collect()
});

/// A preset for each widget that has one.
static PRESETS: LazyLock<BTreeMap<String, config::Preset>> = LazyLock::new(|| {
    let text = "[presets.a]\nwidget = \"fx\"\ntheme = \"dark\"\ncurrencies = [\"USD\", \"EUR\"]\n[presets.b]\nwidget = \"gold\"\nunit = \"chi\"\nrows = 3\n";
    config::assemble(Some((Path::new("x"), text)), &[], &Overrides::default()).unwrap().presets
});

fn pairs(query: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(query.as_bytes())
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}

fn widget(kind: widgets::model::Kind, query: &str) -> Result<Options, Vec<WrongParameter>> {
    Options::read(kind, pairs(query).into_iter(), &|kind| houses(&FEEDS, kind), &PRESETS)
}

fn few(wrong: &[WrongParameter], query: &str) {
    assert!((1..=MOST_ERRORS).contains(&wrong.len()), "{query:?}: {wrong:?}");
}

/// Two queries, one a line, each as if it asked for a list, a conversion and a widget: the canonical form is a fixed
/// point, equal forms mean equal selections, and the order of parameters means nothing to a list.
fn query(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let (one, other) = text.split_once('\n').unwrap_or((text, ""));
    for kind in [Kind::Gold, Kind::Fx, Kind::Deposit] {
        let read = |pairs: Vec<(String, String)>| Filter::read(kind, pairs.into_iter(), &FEEDS);
        let filter = match read(pairs(one)) {
            Ok(filter) => filter,
            Err(wrong) => {
                few(&wrong, one);
                assert!(wrong.iter().all(|wrong| !wrong.allowed.is_empty()), "{one:?}: {wrong:?}");
                continue;
            }
        };
        let canonical = filter.pairs().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let mut reversed = pairs(one);
        reversed.reverse();
        for same in [read(canonical), read(reversed)] {
            let same = same.unwrap();
            assert_eq!((same.key(), &same), (filter.key(), &filter), "{one:?}");
        }
        assert_eq!(filter.is_all(), filter.key().is_empty(), "{one:?}");
        if let Ok(other) = read(pairs(other)) {
            assert_eq!(filter.key() == other.key(), filter == other, "{text:?}");
        }
    }
    for kind in widgets::model::Kind::ALL {
        match widget(kind, one) {
            Err(wrong) => few(&wrong, one),
            Ok(options) => {
                assert_eq!(widget(kind, &options.query).as_ref(), Ok(&options), "{one:?}");
                assert!(options.query.is_ascii(), "{one:?}: {}", options.query);
                assert!(!options.query.contains(['<', '>', '"', '\'', ' ', '\\']), "{one:?}");
                if let Ok(other) = widget(kind, other) {
                    assert_eq!(options.path() == other.path(), options == other, "{text:?}");
                }
            }
        }
    }
    let read = |query: &str| Conversion::read(pairs(query).into_iter(), &FEEDS);
    match read(one) {
        Err(wrong) => assert!(!wrong.is_empty() && wrong.len() <= 2 * MOST_ERRORS, "{one:?}: {wrong:?}"),
        Ok(conversion) => {
            let key = conversion.key();
            let mut again = url::form_urlencoded::Serializer::new(String::new());
            for (name, value) in Conversion::PARAMETERS.iter().zip(key.split(',')) {
                if !value.is_empty() {
                    again.append_pair(name, value);
                }
            }
            assert_eq!(read(&again.finish()).as_ref(), Ok(&conversion), "{one:?}: {key}");
            // Figures are shown, not only the result.
            if let Ok(other) = read(other)
                && other.key() == key
            {
                assert_eq!(other, conversion, "{text:?}");
            }
            // No prices here, so none is found; weights need none.
            let _ = conversion.convert(&FEEDS);
        }
    }
}

/// A refusal is one line a problem, each with the line of the file; what is accepted can be run by.
fn configuration(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    // Certificates and secrets are read from files, and some files never end.
    if text.contains("/dev") {
        return;
    }
    match config::assemble(Some((Path::new("banggia.toml"), text)), &[], &Overrides::default()) {
        Err(error) => {
            assert!(!error.0.is_empty());
            for problem in &error.0 {
                let line = problem
                    .strip_prefix("banggia.toml:")
                    .and_then(|rest| rest.split_once(": "))
                    .and_then(|(line, _)| line.parse::<usize>().ok());
                let lines = text.split('\n').count();
                assert!(line.is_some_and(|line| (1..=lines).contains(&line)), "no line: {problem:?}");
                assert!(!problem.contains(char::is_control), "more than a line: {problem:?}");
            }
        }
        Ok(config) => {
            for feed in config.feeds.values() {
                let due = feed.schedule.due_after(bands::now(), &config.calendar);
                assert!(due > bands::now() && feed.schedule.shortest_interval().as_secs() > 0);
                assert!(feed.stale_after <= feed.expire_after);
            }
            for (key, value, _) in &config.effective {
                assert!(
                    !key.starts_with("secrets.") || matches!(value.as_str(), Some("" | "<redacted>")),
                    "{key}"
                );
            }
        }
    }
}

/// A wait is never in the past and never longer than six hours; a number of seconds is that number.
fn retry_after(bytes: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
    let (now, most) = (bands::now(), SignedDuration::from_hours(6));
    let until: Option<Timestamp> = banggia::fetch::retry_after(&value, now);
    if let Some(until) = until {
        assert!(until >= now && until <= now + most, "{value:?}: {until}");
    }
    let digits = bytes.trim_ascii();
    if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) {
        let seconds = str::from_utf8(digits).unwrap().parse().unwrap_or(i64::MAX).min(most.as_secs());
        assert_eq!(until, Some(now + SignedDuration::from_secs(seconds)), "{value:?}");
    }
}

/// Only what begins with our own address is described, and what is described is our own address.
fn oembed(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    for base in ["https://gia.example.vn/board/", "http://127.0.0.1:8080/"] {
        let public: Url = base.parse().unwrap();
        let Some((kind, query)) = banggia::http::own_widget(&public, text) else { continue };
        let asked = Url::parse(text).unwrap();
        assert!(asked.as_str().starts_with(&format!("{base}widgets/")), "{text:?} is {asked}");
        let Ok(options) = widget(kind, &query) else { continue };
        let described = format!("{}{}", base.trim_end_matches('/'), options.path());
        let (again, canonical) = banggia::http::own_widget(&public, &described).unwrap();
        assert_eq!((again, &canonical), (kind, &options.query), "{text:?}");
        assert_eq!(Url::parse(&described).unwrap().as_str(), described, "{text:?}");
    }
}

/// A key that is nobody's, so that the envelope opens too.
fn secrets() -> Secrets {
    Secrets::new([("doji_board_key".to_owned(), "0".repeat(64))])
}

/// Nothing out of its band is accepted, no row twice; reasons are one short line; a further step stays with the host.
fn adapter(feed: &Feed, source: &Source, bytes: &[u8]) {
    let line = |text: &str| {
        assert!(text.chars().count() <= 1000 && !text.contains(char::is_control), "{text:?}");
    };
    match bands::parsed(source, bytes, &secrets()) {
        Err(error) => line(&error.reason().message),
        Ok(Parsed::Follow(request)) => {
            assert_eq!(request.url.origin(), source.base().unwrap().origin(), "{}", request.url);
        }
        Ok(Parsed::Sheet(sheet)) => {
            sheet.refused.iter().for_each(|reason| line(&reason.message));
            let mut keys: Vec<String> = sheet.quotes.iter().map(Quote::key).collect();
            keys.sort_unstable();
            let rows = keys.len();
            keys.dedup();
            assert!(rows == keys.len() && rows > 0);
            for quote in &sheet.quotes {
                if let Some(name) = name(quote) {
                    assert!(!name.is_empty() && name.chars().count() <= 200, "{name:?}");
                    assert!(!name.contains(char::is_control), "{name:?}");
                }
            }
            for quote in bands::accepted(feed, &sheet) {
                assert!(bands::in_band(&quote), "{quote:?}");
                assert!(sheet.quotes.contains(&quote), "{quote:?}");
            }
        }
    }
}

fn name(quote: &Quote) -> Option<&str> {
    match quote {
        Quote::Gold(gold) => gold.name.as_deref(),
        Quote::Fx(fx) => fx.name.as_deref(),
        Quote::Deposit(_) => None,
    }
}
