//! `banggia`: a self-hosted price board for Vietnam.
//!
//! The way of a number:
//!
//! ```text
//! schedule (rings) -> refresh (one worker a feed) -> fetch -> providers::parse -> judge
//!                                                     -> store (what changed) -> board (one writer)
//! board -> Snapshot (immutable bytes) -> ArcSwap -> http (clones bytes) and panel -> widgets (HTML)
//! ```
//!
//! Whatever fails on the way leaves the snapshot as it was: the last good value with its true age is served.

pub mod app;
pub mod board;
pub mod cli;
pub mod clock;
pub mod config;
pub mod document;
pub mod fetch;
pub mod http;
pub mod judge;
pub mod panel;
pub mod refresh;
pub mod replay;
pub mod schedule;
pub mod store;
