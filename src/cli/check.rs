//! `check`: the configuration as it will be in force, each feed's next five runs, and what an operator may not have meant.

use std::{net::IpAddr, process::ExitCode, time::Duration};

use jiff::{SignedDuration, Timestamp};
use providers::Kind;

use super::{Common, Failure, complain, feeds::moment, load, print};
use crate::{
    app,
    clock::{self, Clock},
    config::{self, Config, Origin, Overrides},
};

/// Holidays are settled in the autumn for the year that follows.
const HOLIDAYS_KNOWN_FOR: SignedDuration = SignedDuration::from_hours(180 * 24);
const RUNS: usize = 5;

pub(super) fn check(options: &Common) -> Result<ExitCode, Failure> {
    let config = load(options, &Overrides::default())?;
    let now = Clock::system().now();
    let mut text = String::from("# effective configuration; behind each value where it comes from\n");
    for (key, value, origin) in &config.effective {
        text.push_str(&format!("{key} = {value}  # {origin}\n"));
    }
    text.push_str(&format!(
        "\n# next five runs, Vietnamese time; now it is {}; + is the feed's fixed offset, which comes on top\n",
        moment(now)
    ));
    for (_, feed, settings) in app::enabled(&config) {
        let offset = app::offset(feed.id, settings, false);
        text.push_str(&format!("{}  \"{}\"  +{}s\n", feed.id, settings.schedule, offset.as_secs()));
        if settings.paused {
            text.push_str("  paused: no run until it is resumed, but on request\n");
            continue;
        }
        for run in settings.schedule.runs(now, RUNS) {
            let holiday = config.calendar.is_holiday(clock::day(run));
            let note = if holiday { "  (holiday: does not count for freshness)" } else { "" };
            text.push_str(&format!("  {}{note}\n", moment(run)));
        }
    }
    print(&text);
    for warning in warnings(&config, now).into_iter().chain(strays()) {
        complain(&format!("banggia: warning: {warning}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// What is allowed and yet probably not meant; one sentence each.
fn warnings(config: &Config, now: Timestamp) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(file) = config.inputs.empty_file() {
        warnings.push(format!(
            "{}: the file is empty: everything is as the defaults, the environment and the console have it; a service that runs would refuse it when it reads it again",
            file.display()
        ));
    }
    addresses(config, &mut warnings);
    storage(config, &mut warnings);
    holidays(config, now, &mut warnings);
    for (_, feed, settings) in app::enabled(config) {
        schedule(config, feed, settings, now, &mut warnings);
    }
    if config.feeds.is_empty() {
        warnings.push("every feed is switched off: nothing will be fetched or served".to_owned());
    }
    if let Some(key) = config.secrets.get("doji_board_key")
        && (key.len() != 64 || !key.bytes().all(|byte| byte.is_ascii_hexdigit()))
    {
        warnings
            .push("secrets.doji_board_key is not of 64 hex digits; no envelope will open with it".to_owned());
    }
    warnings
}

fn addresses(config: &Config, warnings: &mut Vec<String>) {
    let server = &config.server;
    let is_default = |key: &str| {
        config.effective.iter().any(|(known, _, origin)| known == key && *origin == Origin::Default)
    };
    if !server.listen.ip().is_loopback() && is_default("server.public_url") {
        warnings.push(format!(
            "server.public_url is still {}, while server.listen is {}: links, snippets and pictures will lead readers to their own machine",
            server.public_url, server.listen
        ));
    }
    if server.public_url.scheme() == "https" && server.trusted_proxies.is_empty() {
        warnings.push(
            "server.public_url is https, which a proxy answers, and server.trusted_proxies names none: all readers behind it count as one client"
                .to_owned(),
        );
    }
    let ops = server.ops_listen.ip();
    if ops.is_unspecified() {
        warnings.push(format!(
            "server.ops_listen is {}: health, metrics and the console are on every address of this machine, and are never for the public",
            server.ops_listen
        ));
    } else if !is_private(ops) {
        warnings.push(format!(
            "server.ops_listen is {}, a public address: health, metrics and the console are never for the public",
            server.ops_listen
        ));
    }
    if server.listen == server.ops_listen && server.listen.port() != 0 {
        warnings.push(format!(
            "server.listen and server.ops_listen are both {}: the service will not start",
            server.listen
        ));
    }
}

fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_loopback() || address.is_private() || address.is_link_local(),
        IpAddr::V6(address) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
    }
}

fn storage(config: &Config, warnings: &mut Vec<String>) {
    if crate::store::is_shared(&config.store.url) {
        return;
    }
    let file = config.store.url.trim_start_matches("sqlite:");
    if file.contains(":memory:") {
        warnings.push("store.url is in memory: nothing survives a restart".to_owned());
        return;
    }
    let file = file.trim_start_matches("//").split('?').next().unwrap_or_default();
    let folder = std::path::Path::new(file).parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        warnings.push(format!(
            "store.url: the folder {} does not exist here: the service will not start",
            folder.display()
        ));
    }
}

fn holidays(config: &Config, now: Timestamp, warnings: &mut Vec<String>) {
    let Some(last) = config.calendar.last() else { return };
    let soon = now.saturating_add(HOLIDAYS_KNOWN_FOR).map_or(last, clock::day);
    if last < soon {
        warnings.push(format!(
            "the table of holidays ends on {last}: runs on later holidays will count as missed; add days to calendar.extra_holidays"
        ));
    }
}

fn schedule(
    config: &Config,
    feed: &providers::Feed,
    settings: &config::Feed,
    now: Timestamp,
    warnings: &mut Vec<String>,
) {
    let id = feed.id;
    let interval = settings.schedule.interval(now).min(settings.schedule.shortest_interval());
    let mut asked = 0;
    for source in feed.sources {
        if settings.sources.get(source.id).is_none_or(|own| !own.enabled) {
            continue;
        }
        asked += usize::from(source.secret.is_none_or(|secret| config.secrets.get(secret).is_some()));
        if let Some(least) = source.min_interval.filter(|least| interval.as_secs() < u64::from(*least)) {
            warnings.push(format!(
                "{id}.{} asks its readers for at most one request every {least} s; the schedule asks every {} s",
                source.id,
                interval.as_secs()
            ));
        }
    }
    if asked == 0 {
        warnings.push(format!(
            "no source of {id} can be asked: all are switched off or lack their secret; enabled = false takes the feed away"
        ));
    }
    if interval < Duration::from_mins(1) {
        warnings.push(format!(
            "{id} asks every {} s: no source publishes as often, and some block who asks too often",
            interval.as_secs()
        ));
    }
    if settings.jitter.0 > interval {
        warnings
            .push(format!("feeds.{id}.jitter is longer than the time between two runs and counts as that"));
    }
    if settings.timeout.0 > interval {
        warnings.push(format!(
            "feeds.{id}.timeout is longer than the time between two runs: a slow source makes runs late"
        ));
    }
    let most = Duration::from_hours(if feed.kind == Kind::Deposit { 62 * 24 } else { 14 * 24 });
    if settings.expire_after.0 > most {
        warnings.push(format!(
            "feeds.{id}.expire_after shows figures that were last read {} days ago",
            settings.expire_after.0.as_secs() / 86_400
        ));
    }
}

fn strays() -> impl Iterator<Item = String> {
    config::stray_environment().into_iter().map(|name| {
        format!("the environment variable {name} is not read: a section and its key are separated by two underscores, as in BANGGIA_SERVER__LISTEN")
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn warned(text: &str) -> Vec<String> {
        let config = config::assemble(Some((Path::new("t.toml"), text)), &[], &Overrides::default()).unwrap();
        let now = "2026-11-27T10:00:00+07:00".parse().unwrap();
        warnings(&config, now)
    }

    #[test]
    fn the_defaults_give_no_warning() {
        assert_eq!(warned("# nothing"), Vec::<String>::new());
    }

    #[test]
    fn a_file_with_nothing_in_it_is_told() {
        for empty in ["", " \n\n"] {
            let warnings = warned(empty);
            assert!(
                warnings.len() == 1 && warnings[0].starts_with("t.toml: the file is empty: "),
                "{warnings:?}"
            );
        }
    }

    #[test]
    fn each_thing_that_was_probably_not_meant_is_told_in_one_sentence() {
        for (text, part) in [
            ("[server]\nlisten = \"0.0.0.0:8080\"", "server.public_url is still http://127.0.0.1:8080/"),
            ("[server]\npublic_url = \"https://gia.vn\"", "server.trusted_proxies names none"),
            ("[server]\nops_listen = \"0.0.0.0:9080\"", "on every address of this machine"),
            ("[server]\nops_listen = \"[::]:9080\"", "on every address of this machine"),
            ("[server]\nops_listen = \"1.1.1.1:9080\"", "a public address"),
            ("[server]\nops_listen = \"127.0.0.1:8080\"", "the service will not start"),
            ("[store]\nurl = \"sqlite::memory:\"", "nothing survives a restart"),
            ("[store]\nurl = \"sqlite:no/such/x.db\"", "the folder no/such does not exist"),
            ("[calendar]\nholidays = [\"2027-01-01\"]", "the table of holidays ends on 2027-01-01"),
            ("[feeds.vietcombank.fx]\nschedule = \"* * * * *\"", "vietcombank.fx.xml asks its readers"),
            ("[feeds.bidv.fx]\nschedule = \"*/5 * * * * *\"", "bidv.fx asks every 5 s"),
            ("[feeds.bidv.fx]\njitter = \"20m\"", "feeds.bidv.fx.jitter is longer"),
            ("[feeds.bidv.fx]\ntimeout = \"20m\"", "feeds.bidv.fx.timeout is longer"),
            ("[feeds.bidv.fx]\nexpire_after = \"30d\"", "last read 30 days ago"),
            ("[feeds.bidv.fx.sources.board]\nenabled = false", "no source of bidv.fx can be asked"),
            ("[secrets]\ndoji_board_key = \"short\"", "not of 64 hex digits"),
        ] {
            let warnings = warned(text);
            assert!(warnings.iter().any(|warning| warning.contains(part)), "{text}: {warnings:?}");
        }
    }

    #[test]
    fn private_addresses_and_a_table_of_holidays_that_goes_on_are_no_reason_to_warn() {
        for fine in ["10.1.2.3:9080", "[fd00::1]:9080", "192.168.1.1:9080"] {
            assert_eq!(warned(&format!("[server]\nops_listen = \"{fine}\"")), Vec::<String>::new(), "{fine}");
        }
        assert_eq!(warned("[calendar]\nholidays = []"), Vec::<String>::new());
    }
}
