//! Every fixture and recording, cut and damaged: no panic, no hang. What a damaged answer may still say is
//! judged by the service's bands, in its own test.

use std::time::{Duration, Instant};

use crate::support::{Case, Random, case, envelope, files, fixtures, owner};

/// Far beyond what any of these small answers needs.
const LIMIT: Duration = Duration::from_secs(10);

fn corpus() -> Vec<(String, Case, Vec<u8>)> {
    let mut corpus = Vec::new();
    for path in files(&fixtures()) {
        let place = path.strip_prefix(fixtures()).unwrap().to_str().unwrap().to_owned();
        let Some((feed, source)) = owner(&path) else { continue };
        let mut case = case(&feed, &source);
        if place.contains(".boards") {
            case = case.step("boards");
        }
        corpus.push((place, case, std::fs::read(&path).unwrap()));
    }
    let (sealed, key) =
        envelope(&std::fs::read(fixtures().join("doji/gold.board.2026-08-31.json")).unwrap(), &mut Random(7));
    corpus.push(("envelope".to_owned(), case("doji.gold", "board").secret("doji_board_key", &key), sealed));
    corpus
}

fn timed(name: &str, case: &Case, bytes: &[u8]) -> bool {
    let started = Instant::now();
    let parsed = case.parse(bytes);
    let took = started.elapsed();
    assert!(took < LIMIT, "{name} took {took:?}");
    parsed.is_ok()
}

#[test]
fn f06_every_fixture_and_recording_is_cut_at_every_97th_byte() {
    let mut cuts = 0;
    for (name, case, bytes) in corpus() {
        for end in (0..bytes.len()).step_by(97) {
            timed(&format!("{name} cut at {end}"), &case, bytes.get(..end).unwrap());
            cuts += 1;
        }
    }
    println!("{cuts} cuts");
}

#[test]
fn f06_json_and_xml_that_are_cut_are_never_sheets() {
    for (name, case, bytes) in corpus() {
        if name.contains(".html") {
            continue;
        }
        let end = bytes.trim_ascii_end().len();
        for end in (0..end).step_by(89).chain([end - 1]) {
            assert!(!timed(&name, &case, bytes.get(..end).unwrap()), "{name} cut at {end} is read");
        }
    }
}

/// `BANGGIA_MUTATIONS`, `BANGGIA_SEED`
#[expect(clippy::disallowed_methods, reason = "the test's own two knobs, not configuration")]
fn knob(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn f40_damaged_answers_neither_panic_nor_hang() {
    let mutations = knob("BANGGIA_MUTATIONS").unwrap_or(20_000);
    let seed = knob("BANGGIA_SEED").unwrap_or_else(|| Random::unseeded().next());
    println!("{mutations} mutations, BANGGIA_SEED={seed}");
    let corpus = corpus();
    let (mut read, mut refused) = (0_u64, 0_u64);
    for at in 0..mutations {
        // Each mutation has its own seed, so that a failure repeats alone.
        let mut random = Random(seed.wrapping_add(at));
        let (name, case, bytes) = corpus.get(random.below(corpus.len())).unwrap();
        let mut bytes = bytes.clone();
        for _ in 0..=random.below(3) {
            damage(&mut bytes, &mut random);
        }
        let name = format!("{name}, mutation {at} of BANGGIA_SEED={seed}");
        let outcome = std::panic::catch_unwind(|| timed(&name, case, &bytes));
        match outcome {
            Ok(true) => read += 1,
            Ok(false) => refused += 1,
            Err(panic) => panic!("{name}: {panic:?}"),
        }
    }
    println!("{read} still read, {refused} refused");
}

/// One damage: flipped bits, other digits, swapped, doubled or missing stretches, pieces of syntax.
fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    if bytes.is_empty() {
        bytes.push(b'0');
    }
    let at = random.below(bytes.len());
    let end = (at + 1 + random.below(40)).min(bytes.len());
    match random.below(9) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = b'0' + u8::try_from(random.below(10)).unwrap(),
        2 => {
            // Another digit in place of a digit.
            if let Some(digit) = bytes.iter_mut().skip(at).find(|byte| byte.is_ascii_digit()) {
                *digit = b'0' + u8::try_from(random.below(10)).unwrap();
            }
        }
        3 => {
            bytes.drain(at..end);
        }
        4 => {
            let copy = bytes.get(at..end).unwrap().to_vec();
            bytes.splice(at..at, copy);
        }
        5 => {
            let other = random.below(bytes.len());
            bytes.swap(at, other);
        }
        6 => {
            let pieces: [&[u8]; 12] = [
                b"\"",
                b"{",
                b"]",
                b"<",
                b"</table>",
                b"&#x110000;",
                b"\\u0000",
                b"-",
                b".",
                b"1e309",
                b"null",
                b"\xff",
            ];
            let piece = pieces[random.below(pieces.len())];
            bytes.splice(at..at, piece.iter().copied());
        }
        7 => bytes.truncate(at),
        _ => {
            // A comma or a point moves.
            if let Some(mark) = bytes.iter().skip(at).position(|byte| matches!(byte, b'.' | b',')) {
                let from = at + mark;
                let mark = bytes.remove(from);
                let to = (from + random.below(4)).min(bytes.len());
                bytes.insert(to, mark);
            }
        }
    }
}
