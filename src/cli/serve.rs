//! `serve`: the service from its start to SIGTERM, and its log.

use std::{io::IsTerminal as _, path::PathBuf, process::ExitCode};

use clap::Args;

use super::{Common, Failure, load};
use crate::{
    app::Mode,
    config::{self, Overrides},
    host::{Host, Sockets},
};

#[derive(Debug, Args, Default)]
pub(super) struct Serve {
    #[command(flatten)]
    common: Common,
    /// Address of API and widgets
    #[arg(long, value_name = "A")]
    listen: Option<String>,
    /// Address of health, metrics and console; never public
    #[arg(long, value_name = "A")]
    ops_listen: Option<String>,
    /// Where values are kept: sqlite:<path>, or a postgres: address for replicas
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// Answer every fetch from recordings: the built-in ones, or those of a folder
    #[arg(long, value_name = "DIR", num_args = 0..=1)]
    #[allow(clippy::option_option, reason = "clap's form of an option with an optional value")]
    replay: Option<Option<PathBuf>>,
}

pub(super) async fn serve(options: Serve, sockets: Sockets) -> Result<ExitCode, Failure> {
    // First of all: a signal that nobody listens to ends the process without a word.
    let host = Host::new(sockets).map_err(Failure::failed)?;
    let replay = options.replay;
    let overrides = Overrides {
        listen: options.listen,
        ops_listen: options.ops_listen,
        // Recorded answers stay in memory unless a store is asked for.
        store: options.store.or_else(|| replay.as_ref().map(|_| "sqlite::memory:".to_owned())),
    };
    let config = load(&options.common, &overrides)?;
    log();
    let mode = replay.map_or(Mode::Live, Mode::Replay);
    if let Mode::Replay(_) = mode {
        tracing::info!("replay: answers are recorded ones, not current prices");
    }
    // A connection is a file; the system's usual 1,024 are fewer than the connections that are allowed.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    Box::pin(host.run(config, mode)).await.map_err(Failure::failed)?;
    Ok(ExitCode::SUCCESS)
}

/// Logs go to standard error: text for people, JSON when `BANGGIA_LOG_FORMAT=json`.
fn log() {
    let settings = config::log_settings();
    let wrong = tracing_subscriber::EnvFilter::try_new(&settings.filter).err();
    let asked = if wrong.is_some() { "info" } else { settings.filter.as_str() };
    // Crates that say at each start, or at each line that this log writes beside a watched file, what nobody asked for.
    let filter = tracing_subscriber::EnvFilter::new(format!(
        "tokio_cron_scheduler=warn,notify=warn,inotify=warn,{asked}"
    ));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        // A log that cannot be written is lost; to complain about it on the same broken stream would panic.
        .log_internal_errors(false);
    // A second subscriber is refused; then the first one stays.
    let _ = if settings.json {
        builder.json().try_init()
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).try_init()
    };
    if let Some(error) = wrong {
        tracing::warn!(%error, "BANGGIA_LOG is no filter such as info or banggia=debug,info; info is taken");
    }
}
