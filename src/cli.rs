//! The command line: one file a sub-command. Exit 0 good, 1 failed (store, port, network), 2 bad usage or
//! configuration; every failure is one sentence on standard error.

mod backfill;
mod check;
mod export;
mod feeds;
mod healthcheck;
mod man;
mod probe;
mod serve;
mod transfer;

use std::{
    io::Write as _,
    path::PathBuf,
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
};

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use jiff::civil::Date;

use crate::{
    app,
    board::FeedState,
    clock::Clock,
    config::{self, Config, Overrides},
    store::{Nature, Store, StoreError},
};

/// A self-hosted price board for Vietnam: gold, exchange rates, deposit rates.
#[derive(Debug, Parser)]
#[command(name = "banggia", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::Serve,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Fetch and serve until SIGTERM (the default)
    Serve(serve::Serve),
    /// Validate the configuration; print the effective one and each feed's next five runs
    Check(Common),
    /// List feeds: sources, schedule, next run, state, last error
    Feeds(feeds::Feeds),
    /// Ask a source once, or read a saved answer, and print as JSON what would be published; changes nothing
    Probe(probe::Probe),
    /// Read past days of a feed whose source offers them, beside a running service or without one; run again to go on
    Backfill(backfill::Backfill),
    /// Print the history that the store keeps, beside a running service or without one
    Export(export::Export),
    /// Copy all that a store of one machine keeps into the configured one, which several machines share
    Transfer(transfer::Transfer),
    /// Print the OpenAPI document of the API
    Openapi,
    /// Ask the ops listener whether the service is ready: exit 0 or 1; for containers
    Healthcheck(healthcheck::Healthcheck),
    /// Print the completions of a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print the manual page
    Man,
}

/// Shells that are completed.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

#[derive(Debug, Args, Default)]
struct Common {
    /// Configuration file (TOML)
    #[arg(long, value_name = "F", env = "BANGGIA_CONFIG")]
    config: Option<PathBuf>,
}

/// A sentence and an exit code.
#[derive(Debug)]
struct Failure(u8, String);

impl Failure {
    fn usage(message: impl Into<String>) -> Self {
        Self(2, message.into())
    }

    fn failed(message: impl std::fmt::Display) -> Self {
        Self(1, message.to_string())
    }
}

impl From<config::ConfigError> for Failure {
    fn from(error: config::ConfigError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::failed(error)
    }
}

/// Runs the program.
///
/// # Errors
/// When the asynchronous runtime cannot be started.
pub fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    // Before there are threads.
    let sockets = match crate::host::Sockets::inherited() {
        Ok(sockets) => sockets,
        Err(error) => {
            complain(&format!(
                "banggia: a socket that this program was started with cannot be used: {error}"
            ));
            return Ok(ExitCode::FAILURE);
        }
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(threads()).enable_all().build()?;
    let result = match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(options) => runtime.block_on(serve::serve(options, sockets)),
        Command::Check(options) => check::check(&options),
        Command::Feeds(options) => runtime.block_on(feeds::feeds(&options)),
        Command::Probe(options) => runtime.block_on(probe::probe(&options)),
        Command::Backfill(options) => runtime.block_on(backfill::backfill(&options)),
        Command::Export(options) => runtime.block_on(export::export(&options)),
        Command::Transfer(options) => runtime.block_on(transfer::transfer(&options)),
        Command::Openapi => {
            print(&format!("{:#}\n", crate::http::openapi()));
            Ok(ExitCode::SUCCESS)
        }
        Command::Healthcheck(options) => runtime.block_on(healthcheck::healthcheck(&options)),
        Command::Completions { shell } => {
            print(&completions(shell));
            Ok(ExitCode::SUCCESS)
        }
        Command::Man => {
            print(&man::page(Cli::command()));
            Ok(ExitCode::SUCCESS)
        }
    };
    // A parser that does not come back must not keep the program.
    runtime.shutdown_background();
    Ok(match result {
        Ok(_) if UNWRITTEN.load(Ordering::Relaxed) => ExitCode::FAILURE,
        Ok(code) => code,
        Err(Failure(code, message)) => {
            for line in message.lines() {
                complain(&format!("banggia: {line}"));
            }
            ExitCode::from(code)
        }
    })
}

fn completions(shell: Shell) -> String {
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "banggia", &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get).clamp(2, 8)
}

/// One line on standard error; when that is gone, nobody is listening.
fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Text on standard output; a closed pipe ends the printing, not the program.
fn print(text: &str) {
    let mut out = std::io::stdout();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush())
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        complain(&format!("banggia: what was asked for cannot be written: {error}"));
        UNWRITTEN.store(true, Ordering::Relaxed);
    }
}

/// Whether something that was asked for could not be written.
static UNWRITTEN: AtomicBool = AtomicBool::new(false);

fn load(common: &Common, overrides: &Overrides) -> Result<Config, Failure> {
    Ok(config::load(common.config.as_deref(), overrides)?)
}

/// A day of the command line.
fn date(option: &str, text: &str) -> Result<Date, Failure> {
    text.parse().map_err(|_| Failure::usage(format!("{option} \"{text}\" is not a day such as 2026-09-30")))
}

/// States from the store, without touching it.
async fn states(config: &Config, clock: &Clock) -> Result<(Vec<FeedState>, bool), Failure> {
    let store = match Store::look(&config.store.url).await? {
        Some(store) => (store, true),
        None => (Store::open("sqlite::memory:", Nature::Live).await?, false),
    };
    let states = app::load_states(config, &store.0, clock, false).await?;
    store.0.close().await;
    Ok((states.into_iter().map(|(state, _)| state).collect(), store.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_one_that_clap_accepts() {
        Cli::command().debug_assert();
    }
}
