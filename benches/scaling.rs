//! What a CDN leaves of fifty million page views a day on ten thousand sites (`scaling/simulation.rs`), and an hour
//! without the origin. Run with `cargo bench --bench scaling`; it prints the table of docs/SCALING.md, and with
//! `-- --check` fails when that page says something else. Starts no service and asks nobody.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation ends the benchmark"
)]
#![allow(missing_docs, unreachable_pub, reason = "not a library")]

#[path = "scaling/simulation.rs"]
mod simulation;

use std::process::ExitCode;

use simulation::{HEAD, SEED, Service, plans, play};

const PAGE: &str = include_str!("../docs/SCALING.md");

fn main() -> ExitCode {
    let check = std::env::args().any(|argument| argument == "--check");
    let service = Service::by_default().expect("the defaults are whole");
    println!("{HEAD}");
    let mut missing = 0;
    let mut alike = Vec::new();
    for plan in plans(false) {
        let outcome = play(&service, &plan, SEED);
        outcome.assert();
        println!("{outcome}");
        if !plan.own_looks {
            alike.push(outcome.origin.requests);
        }
        missing += u32::from(check && !PAGE.lines().any(|line| line == outcome.to_string()));
    }
    // Ten times the readers, each time: where caches hold all addresses, the origin hardly notices.
    assert!(
        alike.windows(2).all(|pair| pair[1] * 2 < pair[0] * 3),
        "the origin grows with readers: {alike:?}"
    );
    if missing > 0 {
        eprintln!("docs/SCALING.md lacks {missing} of these rows: its figures are not those of this code");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
