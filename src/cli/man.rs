//! The manual page: what clap knows of every sub-command, and around it what it does not know.

use clap::{Arg, Command};
use clap_mangen::{
    Man,
    roff::{Inline, Roff, bold, italic, roman},
};

use crate::config;

/// The page as roff.
pub(super) fn page(command: Command) -> String {
    let command = command.disable_help_subcommand(true).disable_help_flag(true).disable_version_flag(true);
    let mut text = Vec::new();
    let title = Man::new(command.clone()).title("BANGGIA").manual("banggia");
    // Into memory: this does not fail.
    let _ = title.render_title(&mut text);
    let mut command = command;
    command.build();
    let mut roff = Roff::new();
    section(&mut roff, "NAME");
    roff.text([roman(
        "banggia - a self-hosted price board for Vietnam: gold, exchange rates, deposit rates",
    )]);
    section(&mut roff, "SYNOPSIS");
    roff.text([bold("banggia"), roman(" ["), italic("command"), roman("] ["), italic("options"), roman("]")]);
    section(&mut roff, "DESCRIPTION");
    paragraph(
        &mut roff,
        "banggia fetches gold prices, exchange rates and deposit rates of Vietnamese houses on a schedule, keeps the last good value of each, and serves them as JSON and as widgets that other sites embed. Without a command it serves.",
    );
    section(&mut roff, "COMMANDS");
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        sub_command(&mut roff, sub);
    }
    section(&mut roff, "OPTIONS");
    entry(&mut roff, "-h, --help", "Says what a command does and takes; behind the name of any.");
    entry(&mut roff, "-V, --version", "Says the version.");
    section(&mut roff, "ENVIRONMENT");
    entry(
        &mut roff,
        "BANGGIA_<SECTION>__<KEY>",
        "A key of the configuration, which stands above the file: BANGGIA_FEEDS__BIDV__FX__SCHEDULE is feeds.bidv.fx.schedule. Secrets, such as BANGGIA_SECRETS__DOJI_API_KEY, also from a file that BANGGIA_SECRETS__DOJI_API_KEY_FILE names.",
    );
    for name in config::VARIABLES {
        let what = match *name {
            "BANGGIA_CONFIG" => "The configuration file, where --config does not name one.",
            "BANGGIA_LOG" => "What is logged: error, warn, info (the default), debug, trace.",
            "BANGGIA_LOG_FORMAT" => "json writes a JSON object a line; else text for people.",
            _ => "",
        };
        entry(&mut roff, name, what);
    }
    section(&mut roff, "FILES");
    for (name, what) in [
        (
            "banggia.toml",
            "The configuration, if --config names it; every key is optional. banggia check prints them all.",
        ),
        ("banggia.db", "The store (store.url), with its log banggia.db-wal and its index banggia.db-shm."),
        ("banggia.db.lock", "Held by the service that has the store."),
        ("banggia.db.backfill", "Held by a backfill."),
        ("banggia.db.backup-*", "Backups (store.backups)."),
        ("banggia.db.corrupt-*", "A damaged store that was set aside."),
        ("banggia.db.evidence", "Answers that were refused, for banggia probe --file."),
    ] {
        entry(&mut roff, name, what);
    }
    section(&mut roff, "EXIT STATUS");
    entry(&mut roff, "0", "Good. Also when whoever reads standard output has seen enough.");
    entry(
        &mut roff,
        "1",
        "Failed: store, port, network; an answer that probe would refuse; a service that is not ready.",
    );
    entry(&mut roff, "2", "Bad usage or configuration; each problem in one line with file, line and key.");
    section(&mut roff, "EXAMPLES");
    for (line, what) in [
        ("banggia serve --replay", "Serve recorded answers, without any network."),
        (
            "banggia check --config banggia.toml",
            "See the effective configuration and the next runs before a restart.",
        ),
        ("banggia probe bidv.fx --explain", "Ask once, and see what would be published and why."),
        (
            "banggia backfill vietcombank.fx --from 2026-09-01 --to 2026-09-30",
            "Read a month that has passed; the same command goes on where it was stopped.",
        ),
        ("banggia export --kind fx --format csv > fx.csv", "The history of all exchange rates as a table."),
        ("banggia man | man -l -", "This page."),
    ] {
        entry(&mut roff, line, what);
    }
    let _ = roff.to_writer(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

fn section(roff: &mut Roff, name: &str) {
    roff.control("SH", [name]);
}

fn paragraph(roff: &mut Roff, text: &str) {
    roff.text([roman(text)]);
}

fn entry(roff: &mut Roff, name: &str, what: &str) {
    roff.control("TP", []);
    roff.text([bold(name)]);
    roff.text([roman(what)]);
}

fn sub_command(roff: &mut Roff, command: &Command) {
    let name = command.get_name();
    roff.control("SS", [name]);
    let mut line = vec![bold(format!("banggia {name}"))];
    for argument in shown(command) {
        line.push(roman(" "));
        line.extend(form(argument, !argument.is_required_set()));
    }
    roff.text(line);
    roff.control("PP", []);
    if let Some(about) = command.get_about() {
        paragraph(roff, &format!("{about}."));
    }
    for argument in shown(command) {
        roff.control("TP", []);
        roff.text(form(argument, false));
        let mut what = argument.get_help().map(|help| format!("{help}.")).unwrap_or_default();
        let values: Vec<String> = argument
            .get_possible_values()
            .iter()
            .filter(|value| !value.is_hide_set())
            .map(|value| value.get_name().to_owned())
            .collect();
        if !values.is_empty() && argument.get_action().takes_values() {
            what.push_str(&format!(" One of {}.", values.join(", ")));
        }
        if let Some(default) =
            argument.get_default_values().first().filter(|_| argument.get_action().takes_values())
        {
            what.push_str(&format!(" Default: {}.", default.to_string_lossy()));
        }
        if let Some(variable) = argument.get_env() {
            what.push_str(&format!(" Environment: {}.", variable.to_string_lossy()));
        }
        roff.text([roman(what)]);
    }
}

fn shown(command: &Command) -> impl Iterator<Item = &Arg> {
    let own = |argument: &&Arg| !matches!(argument.get_id().as_str(), "help" | "version");
    command.get_arguments().filter(|argument| !argument.is_hide_set()).filter(own)
}

/// `--from D`, `[--kind K]`, `FEED`
fn form(argument: &Arg, optional: bool) -> Vec<Inline> {
    let mut form = Vec::new();
    if optional {
        form.push(roman("["));
    }
    let value = argument
        .get_value_names()
        .and_then(|names| names.first())
        .map_or_else(|| argument.get_id().as_str().to_uppercase(), ToString::to_string);
    match argument.get_long() {
        Some(long) => {
            form.push(bold(format!("--{long}")));
            let needs_one = argument.get_num_args().is_none_or(|range| range.min_values() > 0);
            if argument.get_action().takes_values() {
                form.push(roman(if needs_one { " " } else { " [" }));
                form.push(italic(value));
                form.push(roman(if needs_one { "" } else { "]" }));
            }
        }
        None => form.push(italic(value)),
    }
    if optional {
        form.push(roman("]"));
    }
    form
}
