//! `transfer`: what one machine's store keeps goes into the configured one, which several machines may share.

use std::process::ExitCode;

use clap::Args;

use super::{Common, Failure, load, print};
use crate::{
    config::Overrides,
    store::{Nature, Store, is_shared, shown_url},
};

#[derive(Debug, Args)]
pub(super) struct Transfer {
    #[command(flatten)]
    common: Common,
    /// The store to copy: sqlite:<path>; its service should be stopped
    #[arg(long, value_name = "URL")]
    from: String,
}

pub(super) async fn transfer(options: &Transfer) -> Result<ExitCode, Failure> {
    let config = load(&options.common, &Overrides::default())?;
    let url = &config.store.url;
    if !options.from.starts_with("sqlite:") {
        return Err(Failure::usage(format!(
            "--from \"{}\" is no store of one machine; allowed is sqlite:<path>",
            shown_url(&options.from)
        )));
    }
    if !is_shared(url) {
        return Err(Failure::usage(format!(
            "store.url is {url}, which is one machine's too: copy the file, or set store.url to postgres://…"
        )));
    }
    let Some(from) = Store::look(&options.from).await? else {
        return Err(Failure::failed(format!("{} does not exist", options.from)));
    };
    let to = Store::open(url, Nature::Live).await?;
    to.prepare().await?;
    let copied = to.transfer(&from, |table, rows| print(&format!("{table}: {rows} rows copied\n"))).await;
    to.close().await;
    from.close().await;
    copied?;
    Ok(ExitCode::SUCCESS)
}
