//! docs/SCALING.md against the simulation that it is written from: the days that take no time are played here, all of
//! them by `cargo bench --bench scaling -- --check` (tests/run --full).

#[path = "../../benches/scaling/simulation.rs"]
mod simulation;

use simulation::{HEAD, SEED, Service, plans, play};

const PAGE: &str = include_str!("../../docs/SCALING.md");

#[test]
fn the_page_about_growth_says_what_the_simulation_says() {
    let service = Service::by_default().unwrap();
    assert!(PAGE.contains(HEAD));
    for plan in plans(true) {
        let outcome = play(&service, &plan, SEED);
        outcome.assert();
        let row = outcome.to_string();
        assert!(PAGE.lines().any(|line| line == row), "docs/SCALING.md lacks\n{row}");
    }
}
