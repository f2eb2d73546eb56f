//! Damaged answers: no panic, no hang, and no figure outside its band is ever accepted. The seed is printed;
//! `BANGGIA_MUTATIONS` and `BANGGIA_SEED` repeat or enlarge a run.

use providers::{Feed, Parsed, Secrets, Source};

use crate::{bands, damage::Dice};

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

/// How many figures were accepted; each of them is in its band.
fn check(feed: &'static Feed, source: &'static Source, bytes: &[u8], how: &str) -> u64 {
    let started = std::time::Instant::now();
    let parsed = bands::parsed(source, bytes, &Secrets::default());
    assert!(started.elapsed().as_secs() < 5, "{} {} took {:?}", feed.id, source.id, started.elapsed());
    let Ok(Parsed::Sheet(sheet)) = parsed else { return 0 };
    let accepted = bands::accepted(feed, &sheet);
    for quote in &accepted {
        assert!(bands::in_band(quote), "{} {} {how}: {quote:?}", feed.id, source.id);
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
    let mut dice = Dice::new(seed);
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
