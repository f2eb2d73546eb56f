//! Damaged answers: no panic, no hang, and no figure outside its band is ever accepted. The seed is printed;
//! `BANGGIA_MUTATIONS` and `BANGGIA_SEED` repeat or enlarge a run.

use banggia::judge::{Case, Verdict, judge};
use providers::{Answer, Feed, Parsed, Quote, Secrets, Source, WeightUnit, convert_weight};
use rust_decimal::{Decimal, dec};

/// xorshift64*: small, seeded, good enough to pick bytes.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % below.max(1)
    }
}

fn now() -> jiff::Timestamp {
    "2026-09-30T10:05:00+07:00".parse().unwrap()
}

/// Every recording and fixture with the sources that may have sent it.
fn answers() -> Vec<(&'static Feed, &'static Source, Vec<u8>)> {
    let mut answers = Vec::new();
    for recording in providers::replay::RECORDINGS {
        let feed = providers::feed(recording.feed).unwrap().1;
        let source = feed.sources.iter().find(|source| source.id == recording.source).unwrap();
        answers.push((feed, source, recording.bytes.to_vec()));
    }
    for (file, feed, source) in crate::fixtures::files() {
        answers.push((feed, source, std::fs::read(file).unwrap()));
    }
    assert!(answers.len() > 20, "{}", answers.len());
    answers
}

/// Parses and judges as the service does; panics are the test's failure.
fn accepted(feed: &'static Feed, source: &'static Source, bytes: &[u8]) -> Vec<Quote> {
    let base = url::Url::parse(source.url).unwrap();
    let secrets = Secrets::default();
    let started = std::time::Instant::now();
    let answer = Answer {
        body: bytes,
        charset: None,
        last_modified: None,
        step: None,
        now: now(),
        base: &base,
        secrets: &secrets,
    };
    let parsed = (source.parse)(&answer);
    assert!(started.elapsed().as_secs() < 5, "{} {} took {:?}", feed.id, source.id, started.elapsed());
    let Ok(Parsed::Sheet(sheet)) = parsed else { return Vec::new() };
    let judgement =
        judge(&Case { feed, sheet: &sheet, last: &[], last_day: None, reference: &|_| None, now: now() });
    if judgement.verdict == Verdict::Accept { judgement.accepted } else { Vec::new() }
}

/// Written anew and not taken from the judge: the bands of the reliability page.
fn in_band(quote: &Quote) -> bool {
    let within = |value: Option<Decimal>, low: Decimal, high: Decimal| {
        value.is_none_or(|value| value >= low && value <= high)
    };
    match quote {
        Quote::Gold(gold) => [gold.buy, gold.sell].into_iter().all(|side| {
            let per_luong =
                side.map(|side| convert_weight(side, gold.unit, WeightUnit::Luong, "VND").unwrap());
            within(per_luong, dec!(30_000_000), dec!(300_000_000))
        }),
        Quote::Fx(fx) => {
            let (low, high) = match fx.currency.as_ref() {
                "USD" => (dec!(15_000), dec!(40_000)),
                "EUR" | "GBP" | "CHF" => (dec!(9_000), dec!(110_000)),
                "JPY" => (dec!(50), dec!(600)),
                "KRW" => (dec!(5), dec!(60)),
                "LAK" => (dec!(0.3), dec!(4)),
                "KWD" => (dec!(28_000), dec!(260_000)),
                _ => (dec!(0.1), dec!(100_000)),
            };
            [fx.buy_cash, fx.buy_transfer, fx.sell, fx.sell_cash]
                .into_iter()
                .all(|side| within(side, low, high))
                && fx.buy_cash.zip(fx.sell).is_none_or(|(buy, sell)| buy <= sell)
        }
        Quote::Deposit(deposit) => within(Some(deposit.rate_percent), Decimal::ZERO, dec!(15)),
    }
}

/// How many figures were accepted; each of them is in its band.
fn check(feed: &'static Feed, source: &'static Source, bytes: &[u8], how: &str) -> u64 {
    let accepted = accepted(feed, source, bytes);
    for quote in &accepted {
        assert!(in_band(quote), "{} {} {how}: {quote:?}", feed.id, source.id);
    }
    accepted.len() as u64
}

#[test]
fn f08_every_answer_cut_at_every_97th_byte_is_survived() {
    let mut cuts = 0;
    for (feed, source, bytes) in answers() {
        for end in (0..bytes.len()).step_by(97) {
            check(feed, source, &bytes[..end], &format!("cut at {end}"));
            cuts += 1;
        }
    }
    println!("{cuts} cuts");
}

#[test]
fn f23_random_mutations_never_let_a_figure_outside_its_band_through() {
    let number = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (count, seed) = (number("BANGGIA_MUTATIONS", 20_000), number("BANGGIA_SEED", 20_260_930));
    println!("{count} mutations, seed {seed}");
    let answers = answers();
    let mut dice = Dice(seed.max(1));
    let mut read = 0;
    for nth in 0..count {
        let (feed, source, original) = &answers[dice.roll(answers.len())];
        let mut bytes = original.clone();
        for _ in 0..=dice.roll(3) {
            mutate(&mut bytes, &mut dice);
        }
        read += check(feed, source, &bytes, &format!("mutation {nth}, seed {seed}"));
    }
    println!("{read} figures were accepted");
    assert!(read > count / 10, "damage so heavy that hardly anything is read tests nothing: {read}");
}

fn mutate(bytes: &mut Vec<u8>, dice: &mut Dice) {
    if bytes.is_empty() {
        return;
    }
    let at = dice.roll(bytes.len());
    let digits: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at].is_ascii_digit()).collect();
    let digit = digits.get(dice.roll(digits.len())).copied().unwrap_or(at);
    match dice.roll(9) {
        0 => bytes[at] ^= 1 << dice.roll(8),
        1 => bytes[digit] = b'0' + u8::try_from(dice.roll(10)).unwrap(),
        // Ten times, or a thousand times.
        2 => bytes.insert(digit, b'0' + u8::try_from(dice.roll(10)).unwrap()),
        3 => drop(bytes.splice(digit..digit, *b"000")),
        4 => drop(bytes.remove(digit)),
        5 => {
            let (from, to) = (at, (at + dice.roll(60)).min(bytes.len()));
            let copy = bytes[from..to].to_vec();
            let place = dice.roll(bytes.len());
            drop(bytes.splice(place..place, copy));
        }
        6 => {
            let end = (at + dice.roll(60)).min(bytes.len());
            bytes.drain(at..end);
        }
        7 => {
            let other = dice.roll(bytes.len());
            bytes.swap(at, other);
        }
        // Thousands for decimals and the other way round.
        _ => {
            if let Some(mark) = bytes.iter().skip(at).position(|byte| matches!(byte, b',' | b'.')) {
                let mark = at + mark;
                bytes[mark] = if bytes[mark] == b',' { b'.' } else { b',' };
            }
        }
    }
}
