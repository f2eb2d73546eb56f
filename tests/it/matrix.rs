//! The fault matrix: every fault through every source of every feed, against the real service over real sockets.
//! A test's name begins with the id of its row in `docs/RELIABILITY.md`. Quick runs take a printed part of the
//! longest sweeps; `BANGGIA_FULL=1` takes all.

#![allow(clippy::string_slice, reason = "places in texts that the tests have looked for themselves")]

mod addresses;
mod content;
mod evidence;
mod http;
mod mutants;
mod process;
mod repeated;
pub mod rig;
mod slow;

/// Whether the long sweeps run whole.
#[allow(clippy::disallowed_methods, reason = "a switch of the tests")]
fn full() -> bool {
    std::env::var("BANGGIA_FULL").is_ok_and(|value| value == "1")
}

/// Every tenth of a long list, printed as such, or all of it.
fn sampled<T>(what: &str, all: Vec<T>) -> Vec<T> {
    if full() {
        return all;
    }
    let count = all.len();
    let part: Vec<T> = all.into_iter().step_by(10).collect();
    println!("{what}: {} of {count} (BANGGIA_FULL=1 for all)", part.len());
    part
}
