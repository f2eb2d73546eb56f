//! Structured damage to every recorded answer, through parser and judge with the last good board behind them: what
//! is served afterwards is what the source really published, before or now. Seeded; `BANGGIA_SEED` and
//! `BANGGIA_DAMAGES` repeat or enlarge a run.

use std::collections::{BTreeMap, BTreeSet};

use banggia::{
    config::Judge,
    judge::{self, Before, Case, Verdict, judge},
};
use providers::{Feed, Kind, Quote, Source};
use rust_decimal::Decimal;

use crate::{
    damage::{Dice, KINDS, Token, damaged, moved, prices, replaced, times},
    world::{at, board_step, facts, recorded_sources, sheet, tape},
};

pub fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

pub const NOW: &str = "2026-09-30T10:05:00+07:00";

/// A source with the board that is served and the one that it publishes now.
struct Bench {
    feed: &'static Feed,
    source: &'static Source,
    last: Vec<Quote>,
    bytes: Vec<u8>,
    tokens: Vec<Token>,
    truth: BTreeSet<(String, &'static str, Decimal)>,
    max_jump: Decimal,
}

/// Two boards of every source: the recorded ones, or the richest fixture and the same a little later.
fn boards(feed: &'static Feed, source: &'static Source) -> [Vec<u8>; 2] {
    let recorded = recorded_sources().iter().any(|(known, of)| known.id == feed.id && of.id == source.id);
    if recorded {
        let [first, second] = [0, 1].map(|nth| {
            let tape = tape(feed.id, source.id, nth);
            tape[&board_step(&tape)].clone()
        });
        if sheet(source, &first, at(NOW)).is_ok() {
            return [first, second];
        }
        // OCB's table is recorded as what it often is, a soft 404.
    }
    let (bytes, read) = crate::fixtures::files()
        .into_iter()
        .filter(|(_, known, of)| known.id == feed.id && of.id == source.id)
        .filter_map(|(file, ..)| {
            let bytes = std::fs::read(file).unwrap();
            let read = sheet(source, &bytes, at(NOW)).ok()?;
            String::from_utf8(bytes.clone()).ok()?;
            Some((bytes, read))
        })
        .max_by_key(|(_, read)| read.quotes.len())
        .unwrap_or_else(|| panic!("{} {} has no board", feed.id, source.id));
    // Rates stand for months; prices move by some in a thousand. DOJI's document says a price twice, in two units, and is
    // not moved where rounding would part them.
    let later = (1..20)
        .filter(|_| feed.kind != Kind::Deposit)
        .map(|thousandths| moved(&bytes, &read, Decimal::ONE + Decimal::new(thousandths, 3)))
        .find(|bytes| sheet(source, bytes, at(NOW)).is_ok());
    [bytes.clone(), later.unwrap_or(bytes)]
}

fn benches() -> (Vec<Bench>, Judge) {
    let config = crate::house::config("");
    let mut benches = Vec::new();
    for (_, feed) in providers::feeds() {
        for source in feed.sources {
            let boards = boards(feed, source);
            let last = sheet(source, &boards[0], at(NOW)).unwrap();
            for bytes in boards {
                let read = sheet(source, &bytes, at(NOW)).unwrap();
                let mut truth = facts(&last.quotes);
                truth.extend(facts(&read.quotes));
                benches.push(Bench {
                    feed,
                    source,
                    last: last.quotes.clone(),
                    tokens: published(source, &bytes, &read),
                    bytes,
                    truth,
                    max_jump: config.feeds[feed.id].max_jump.limit,
                });
            }
        }
    }
    assert_eq!(benches.len(), 22, "two boards of each of the eleven sources");
    // Undamaged, each is served whole: what is refused anyway proves nothing.
    for bench in &benches {
        let served = served(bench, &config.judge, &bench.bytes);
        assert!(served.is_some_and(|served| !served.is_empty()), "{} {}", bench.feed.id, bench.source.id);
    }
    (benches, config.judge)
}

/// The numbers that are read and published: OCB's page has a row of another product, whose figures look the same.
pub fn published(source: &Source, bytes: &[u8], read: &providers::Sheet) -> Vec<Token> {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let tokens = prices(&text, read);
    let owner = |nth: usize| {
        let other = replaced(&text, &tokens, |at, token| {
            if at == nth { times(&token.text, Decimal::TWO) } else { token.text.clone() }
        });
        let before = facts(&read.quotes);
        match sheet(source, other.as_bytes(), at(NOW)) {
            Ok(sheet) => facts(&sheet.quotes).difference(&before).next().map(|(row, ..)| row.clone()),
            Err(_) => None,
        }
    };
    let kept: Vec<Token> = tokens
        .iter()
        .enumerate()
        .filter_map(|(nth, token)| Some(Token { row: owner(nth)?, ..token.clone() }))
        .collect();
    assert!(!kept.is_empty(), "{}: no figure was found in its text", source.id);
    kept
}

/// What would be served of an answer.
fn served(bench: &Bench, limits: &Judge, bytes: &[u8]) -> Option<Vec<Quote>> {
    let read = sheet(bench.source, bytes, at(NOW)).ok()?;
    let known: BTreeMap<String, Quote> =
        bench.last.iter().map(|quote| (quote.key(), quote.clone())).collect();
    let keys: BTreeSet<String> = bench.last.iter().map(Quote::key_without_place).collect();
    let keys: Vec<String> = keys.into_iter().collect();
    let before = |quote: &Quote| {
        let own = judge::known(quote, |key| known.get(key)).cloned();
        Before { own: own.clone(), served: own, ..Before::default() }
    };
    let first = Case::first(bench.feed, &read, limits, bench.max_jump, at(NOW));
    let judgement = judge(&Case { last: &keys, before: &before, ..first });
    (judgement.verdict != Verdict::Reject).then_some(judgement.accepted)
}

#[test]
fn f23_damaged_answers_never_put_a_wrong_value_on_the_board() {
    let (count, seed) = (number("BANGGIA_DAMAGES", 2_000), number("BANGGIA_SEED", 20_260_930));
    println!("{count} damaged answers, seed {seed}");
    let (benches, limits) = benches();
    let mut dice = Dice::new(seed);
    let mut tally: BTreeMap<&str, [u64; 3]> = BTreeMap::new();
    let mut wrong = Vec::new();
    for nth in 0..count {
        let bench = dice.pick(&benches);
        let kind = *dice.pick(KINDS);
        // Rates and prices of one house's gold that are equal from row to row are a matter of course: the matrix
        // asks for copies of currencies only.
        if kind == "row copied" && bench.feed.kind != Kind::Fx {
            continue;
        }
        let bytes = damaged(&bench.bytes, &bench.tokens, kind, &mut dice);
        let line = tally.entry(kind).or_default();
        line[0] += 1;
        let Some(accepted) = served(bench, &limits, &bytes) else { continue };
        line[1] += 1;
        for fact in facts(&accepted) {
            line[2] += 1;
            if !bench.truth.contains(&fact) {
                wrong.push(format!("answer {nth}, {} {}, {kind}: {fact:?}", bench.feed.id, bench.source.id));
            }
        }
    }
    println!("kind: answers, not refused whole, figures served");
    for (kind, [answers, partly, figures]) in &tally {
        println!("{kind}: {answers}, {partly}, {figures}");
    }
    for line in wrong.iter().take(40) {
        println!("WRONG {line}");
    }
    assert_eq!(wrong.len(), 0, "wrong values, seed {seed}");
}
