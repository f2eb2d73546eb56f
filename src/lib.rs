//! `banggia`: a self-hosted price board for Vietnam.
//!
//! The way of a number:
//!
//! ```text
//! schedule (rings) -> refresh (one worker a feed) -> fetch -> providers::parse -> judge
//!                                                     -> store (what changed) -> board (one writer)
//! board -> Snapshot (bytes, encoded once) -> ArcSwap -> http: clones them, or derives a selection (filter, convert)
//!                                                     and keeps it by version; widget -> widgets (HTML)
//! ```
//!
//! Whatever fails on the way leaves the snapshot as it was: the last good value with its true age is served.

pub mod app;
pub mod backfill;
pub mod board;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod convert;
pub mod document;
pub mod events;
pub mod evidence;
pub mod fetch;
pub mod filter;
pub mod history;
pub mod host;
pub mod http;
pub mod judge;
pub mod live;
pub mod metrics;
pub mod past;
pub mod refresh;
pub mod replay;
pub mod replica;
pub mod schedule;
pub mod store;
pub mod watch;
pub mod webhook;
pub mod widget;
