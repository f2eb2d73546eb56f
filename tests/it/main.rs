//! The integration tests: one binary that runs the real service on port 0, each test with a folder and a scripted
//! bank of its own. Nothing here waits for a time; everything waits for a condition.

#![allow(clippy::disallowed_methods, reason = "tests read capped loopback answers and spawn their own tasks")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation fails the test"
)]
#![allow(
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::too_many_lines,
    reason = "not a library"
)]
#![allow(
    clippy::string_slice,
    reason = "tests cut texts at places that they found; a wrong one fails the test"
)]
#![allow(missing_docs, unreachable_pub, reason = "not a library")]

mod admin;
mod alerts;
mod api;
mod at;
mod attacks;
mod backfill;
mod bands;
mod bank;
mod calibration;
mod canary;
mod charts;
mod cli;
mod clock;
mod commands;
mod console;
mod contract;
mod corpus;
mod damage;
mod day;
mod events;
mod export;
mod faults;
mod fixtures;
mod fleet;
mod history;
mod holds;
mod house;
mod insight;
mod limits;
mod load;
mod matrix;
mod mutations;
mod operations;
mod operator;
mod persistence;
mod postgres;
mod replay;
mod replicas;
mod restart;
mod scaling;
mod selections;
mod service;
mod sidebyside;
mod steady;
mod stores;
#[path = "../fuzz/targets.rs"]
mod targets;
mod tls;
mod truth;
mod webhook;
mod widgets;
mod world;
