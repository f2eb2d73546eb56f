//! The smaller commands: what `check` warns of, `feeds` for programs, `healthcheck`, completions and the manual page, and
//! every command whose reader goes away.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    bank::closed_port,
    house::{House, config_text},
    service::{Service, banggia, installed, missing, write_config},
};

fn outcome(command: &mut Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    crate::canary::said(&output.stdout);
    crate::canary::said(&output.stderr);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    outcome(banggia().current_dir(folder).args(arguments))
}

#[test]
fn check_tells_every_problem_of_file_and_environment_at_once_with_a_suggestion_for_each_slip() {
    let folder = crate::canary::tempdir().unwrap();
    let text = "[sever]\nlisten = \"x\"\n[server]\nlisten = \"nowhere\"\nrate_limit = \"many\"\n[feeds.bidv.fx]\nshedule = \"* * * * *\"\nstale_after = \"soon\"\n[feeds.bdiv.deposit]\nenabled = true\n[feeds.tpbank.gold]\nschedule = \"61 * * * *\"\n[store]\nbackup_every = \"0s\"\n[quux.flibber]\nx = 1\n";
    write_config(folder.path(), "bad.toml", text);
    let (code, out, err) = outcome(
        banggia()
            .current_dir(folder.path())
            .args(["check", "--config", "bad.toml"])
            .env("BANGGIA_FEEDS__BIDV__FX__JITER", "3s")
            .env("BANGGIA_SERVER__OPS_LISTN", "127.0.0.1:1")
            .env("BANGGIA_JUDGE__HOLD_POLLS", "often"),
    );
    assert_eq!((code, out.as_str()), (2, ""));
    for line in [
        "bad.toml:2: unknown key sever.listen; did you mean server.listen?",
        "bad.toml:7: unknown key feeds.bidv.fx.shedule; did you mean feeds.bidv.fx.schedule?",
        "bad.toml:10: unknown key feeds.bdiv.deposit.enabled; did you mean feeds.bidv.deposit.enabled?",
        "bad.toml:16: unknown key quux.flibber.x; `banggia check` without a file prints every key",
        "BANGGIA_FEEDS__BIDV__FX__JITER: unknown key feeds.bidv.fx.jiter; did you mean feeds.bidv.fx.jitter?",
        "BANGGIA_SERVER__OPS_LISTN: unknown key server.ops_listn; did you mean server.ops_listen?",
        "BANGGIA_JUDGE__HOLD_POLLS: judge.hold_polls: \"often\" is not a whole number",
        "bad.toml:4: server.listen: \"nowhere\" is not a socket address such as",
        "bad.toml:5: server.rate_limit: ",
        "bad.toml:8: feeds.bidv.fx.stale_after: \"soon\" is not a length of time",
        "bad.toml:12: feeds.tpbank.gold.schedule: \"61 * * * *\" is not a cron schedule",
        "bad.toml:14: store.backup_every: must be at least 1s",
    ] {
        let found = err.lines().filter(|told| told.starts_with(&format!("banggia: {line}"))).count();
        assert_eq!(found, 1, "{line}\n{err}");
    }
    assert_eq!(err.lines().count(), 12, "one line a problem\n{err}");
    let line = |told: &str| told.strip_prefix("banggia: bad.toml:")?.split_once(':')?.0.parse::<usize>().ok();
    let lines: Vec<usize> = err.lines().map_while(line).collect();
    assert!(lines.len() == 9 && lines.is_sorted(), "from the top of the file\n{err}");
}

#[test]
fn check_shows_the_day_of_the_week_marks_holidays_and_warns_without_failing() {
    let folder = crate::canary::tempdir().unwrap();
    let text = "[server]\nlisten = \"0.0.0.0:8080\"\n[feeds.vietcombank.fx]\nschedule = \"*/2 * * * *\"\n[feeds.tpbank.gold]\nschedule = \"0 9 1 1 *\"\n";
    write_config(folder.path(), "b.toml", text);
    let (code, out, err) = outcome(
        banggia()
            .current_dir(folder.path())
            .args(["check", "--config", "b.toml"])
            .env("BANGGIA_SERVER_LISTEN", "x"),
    );
    assert_eq!(code, 0, "{err}");
    let runs: Vec<&str> =
        out.lines().skip_while(|line| !line.starts_with("tpbank.gold  ")).skip(1).take(5).collect();
    assert_eq!(runs.len(), 5);
    for run in runs {
        let words: Vec<&str> = run.split_whitespace().collect();
        assert!(["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].contains(&words[0]), "{run}");
        assert!(words[1].ends_with("-01-01") && words[2] == "09:00:00", "{run}");
        let known = words[1] < "2036";
        assert_eq!(run.contains("(holiday: does not count for freshness)"), known, "{run}");
    }
    for warning in [
        "warning: server.public_url is still http://127.0.0.1:8080/",
        "warning: vietcombank.fx.xml asks its readers for at most one request every 300 s",
        "warning: the environment variable BANGGIA_SERVER_LISTEN is not read",
    ] {
        assert!(err.contains(warning), "{warning}\n{err}");
    }
    let (code, _, err) = run(folder.path(), &["check"]);
    assert_eq!((code, err.as_str()), (0, ""), "the defaults give no warning");
}

#[test]
fn check_tells_a_paused_feed_no_runs_and_warns_of_a_file_with_nothing_in_it() {
    let folder = crate::canary::tempdir().unwrap();
    write_config(folder.path(), "b.toml", "[feeds.bidv.fx]\npaused = true\n");
    let (code, out, err) = run(folder.path(), &["check", "--config", "b.toml"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let of = |feed: &str| -> Vec<&str> {
        let own = out.lines().skip_while(|line| !line.starts_with(&format!("{feed}  \""))).skip(1);
        own.take_while(|line| line.starts_with("  ")).collect()
    };
    assert_eq!(of("bidv.fx"), ["  paused: no run until it is resumed, but on request"], "{out}");
    assert_eq!(of("tpbank.gold").len(), 5, "{out}");

    for (at, text) in ["", "\n \n"].into_iter().enumerate() {
        let name = format!("empty{at}.toml");
        write_config(folder.path(), &name, text);
        let (code, out, err) = run(folder.path(), &["check", "--config", &name]);
        assert_eq!((code, err.lines().count()), (0, 1), "{err}");
        assert!(err.starts_with(&format!("banggia: warning: {name}: the file is empty: ")), "{err}");
        assert!(err.contains("would refuse it when it reads it again"), "{err}");
        assert!(out.contains("effective configuration"), "{out}");
    }
    write_config(folder.path(), "comment.toml", "# all as it comes\n");
    let (code, _, err) = run(folder.path(), &["check", "--config", "comment.toml"]);
    assert_eq!((code, err.as_str()), (0, ""), "a comment is a wish for the defaults");
}

#[tokio::test(flavor = "multi_thread")]
async fn feeds_beside_a_running_service_says_what_the_service_says() {
    let house = House::on_a_good_day().await;
    let store = house.folder.path().join("banggia.db");
    let file = write_config(house.folder.path(), "banggia.toml", &config_text(&house.bank, &store));
    let config = file.to_str().unwrap();
    let (code, out, err) = run(house.folder.path(), &["feeds", "--format", "json", "--config", config]);
    assert_eq!((code, err.as_str()), (0, ""));
    let said: Value = serde_json::from_str(&out).unwrap();
    let served = house.json("/v1/feeds").await;
    for field in ["id", "status", "as_of", "checked_at", "changed_at", "schedule", "missed", "source", "held"]
    {
        let of = |document: &Value| -> Vec<Value> {
            document["feeds"].as_array().unwrap().iter().map(|feed| feed[field].clone()).collect()
        };
        assert_eq!(of(&said), of(&served), "{field}");
    }
    let (code, out, _) = run(house.folder.path(), &["feeds", "--config", config]);
    assert_eq!(code, 0);
    assert!(out.contains("vietcombank.fx  fresh") && !out.contains('\u{1b}'), "{out}");
    // Columns begin where their headings do.
    let lines: Vec<&str> = out.lines().take_while(|line| !line.is_empty()).collect();
    let at = |line: &str, word: &str| line.find(word).unwrap();
    assert!(lines[1..].iter().all(|line| at(line, "fresh") == at(lines[0], "STATUS")), "{out}");
    house.app.stop().await;
}

/// A service on known ports, as in a container.
fn ports() -> (u16, u16) {
    let free = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (one, two) = (free(), free());
    (one.local_addr().unwrap().port(), two.local_addr().unwrap().port())
}

#[test]
fn healthcheck_asks_the_ops_listener_and_says_yes_or_no_in_one_line() {
    let folder = crate::canary::tempdir().unwrap();
    let off: Vec<String> =
        providers::feeds().map(|(_, feed)| format!("[feeds.{}]\nenabled = false\n", feed.id)).collect();
    let started = (0..5).find_map(|_| {
        let (public, ops) = ports();
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:{public}\"\nops_listen = \"0.0.0.0:{ops}\"\n[store]\nurl = \"sqlite:{}\"\n{}",
            folder.path().join("a.db").display(),
            off.concat(),
        );
        let config = write_config(folder.path(), "b.toml", &text);
        // Another test may have taken a port meanwhile.
        std::panic::catch_unwind(|| Service::start(&config)).ok().map(|service| (service, config, ops))
    });
    let (service, config, ops) = started.unwrap();
    let config = config.to_str().unwrap();
    let ask = |more: &[&str]| {
        let mut arguments = vec!["healthcheck", "--config", config];
        arguments.extend(more);
        run(folder.path(), &arguments)
    };
    let (code, out, err) = ask(&[]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.starts_with("ok") && out.lines().count() == 1, "{out}");
    let (code, _, _) = ask(&["--ops-listen", &format!("127.0.0.1:{ops}")]);
    assert_eq!(code, 0);
    drop(service);
    let (code, out, err) = ask(&[]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.starts_with(&format!("banggia: http://127.0.0.1:{ops}/readyz: ")), "{err}");
    assert_eq!(err.lines().count(), 1);
}

#[test]
fn healthcheck_says_why_it_cannot_ask_and_waits_two_seconds_and_no_more() {
    let folder = crate::canary::tempdir().unwrap();
    let listening = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = listening.local_addr().unwrap().to_string();
    let (_held, closed) = closed_port();
    write_config(folder.path(), "bad.toml", "[server]\nlisen = \"x\"\nrate_limit = \"x\"\n");
    let cases: &[(&[&str], &str)] = &[
        (&["--ops-listen", "127.0.0.1:0"], "server.ops_listen has port 0"),
        (&["--ops-listen", &silent], "no answer within 2s"),
        (&["--ops-listen", &closed.to_string()], "refused"),
        (&["--config", "bad.toml"], "bad.toml:2: unknown key server.lisen"),
        (&["--config", "missing.toml"], "missing.toml: cannot be read"),
    ];
    for (arguments, part) in cases {
        let began = Instant::now();
        let mut all = vec!["healthcheck"];
        all.extend(*arguments);
        let (code, out, err) = run(folder.path(), &all);
        assert_eq!((code, out.as_str()), (1, ""), "{arguments:?}: neither 0 nor 2\n{err}");
        assert!(err.contains(part) && err.lines().count() == 1, "{arguments:?}\n{err}");
        assert!(began.elapsed() < Duration::from_secs(10));
    }
    let server = std::thread::spawn(move || {
        // The one that was left without an answer above is still in the queue.
        drop(listening.accept().unwrap());
        for answer in
            [&b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 3\r\n\r\nno\n"[..], b"SSH-2.0-x\r\n"]
        {
            let (mut stream, _) = listening.accept().unwrap();
            assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
            stream.write_all(answer).unwrap();
        }
    });
    for part in ["it is not ready: status 503", "it does not speak HTTP"] {
        let (code, out, err) = run(folder.path(), &["healthcheck", "--ops-listen", &silent]);
        assert_eq!((code, out.as_str()), (1, ""));
        assert!(err.contains(part) && err.lines().count() == 1, "{part}\n{err}");
    }
    server.join().unwrap();
}

#[test]
fn completions_of_three_shells_know_every_command() {
    let folder = crate::canary::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let (code, out, err) = run(folder.path(), &["completions", shell]);
        assert_eq!((code, err.as_str()), (0, ""), "{shell}");
        for command in [
            "serve",
            "check",
            "feeds",
            "probe",
            "backfill",
            "export",
            "transfer",
            "openapi",
            "healthcheck",
            "completions",
            "man",
        ] {
            assert!(out.contains(command), "{shell} does not know {command}");
        }
        let script = folder.path().join(shell);
        std::fs::write(&script, &out).unwrap();
        // Their own parser reads them, where it is there.
        if installed(shell) {
            let (code, _, err) = outcome(Command::new(shell).arg("-n").arg(&script));
            assert_eq!((code, err.as_str()), (0, ""), "{shell}");
        }
    }
    assert_eq!(run(folder.path(), &["completions", "cmd"]).0, 2);
}

#[test]
fn the_manual_page_has_every_command_and_option_and_is_rendered_without_a_warning() {
    let folder = crate::canary::tempdir().unwrap();
    let (code, page, err) = run(folder.path(), &["man"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(page.is_ascii(), "whatever renders it");
    if !installed("groff") {
        return missing("groff");
    }
    std::fs::write(folder.path().join("banggia.1"), &page).unwrap();
    let (code, text, err) = outcome(
        Command::new("groff")
            .args(["-man", "-Tascii", "-wall", "-rLL=200n", "-P-cbou"])
            .arg(folder.path().join("banggia.1")),
    );
    assert_eq!((code, err.as_str()), (0, ""));
    for part in [
        "NAME",
        "SYNOPSIS",
        "COMMANDS",
        "ENVIRONMENT",
        "FILES",
        "EXIT STATUS",
        "EXAMPLES",
        "banggia backfill [--config F] FEED --from D --to D [--pause T]",
        "banggia serve [--config F] [--listen A] [--ops-listen A] [--store URL] [--replay [DIR]]",
        "--ops-listen A",
        "BANGGIA_LOG_FORMAT",
        "BANGGIA_<SECTION>__<KEY>",
        "banggia.db.lock",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[test]
fn no_command_minds_that_nobody_reads_it() {
    let folder = crate::canary::tempdir().unwrap();
    let commands: &[&[&str]] = &[
        &["check"],
        &["feeds"],
        &["feeds", "--format", "json"],
        &["openapi"],
        &["man"],
        &["completions", "bash"],
        &["--help"],
        &["--version"],
    ];
    for arguments in commands {
        let mut child = banggia()
            .current_dir(folder.path())
            .args(*arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn the_program_says_its_version() {
    let folder = crate::canary::tempdir().unwrap();
    let (code, out, _) = run(folder.path(), &["--version"]);
    assert_eq!((code, out), (0, format!("banggia {}\n", env!("CARGO_PKG_VERSION"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn probe_asks_the_first_source_that_can_be_asked_and_changes_nothing() {
    let bank = crate::bank::Bank::open().await;
    crate::house::good_day(&bank, 0);
    let folder = crate::canary::tempdir().unwrap();
    let text = config_text(&bank, &folder.path().join("banggia.db"));
    write_config(folder.path(), "b.toml", &text);
    let (code, out, err) = run(folder.path(), &["probe", "doji.gold", "--explain", "--config", "b.toml"]);
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}\n{out}\n{err}"));
    assert_eq!((code, &report["source"], &report["via"]), (0, &"vangtoday".into(), &"vang.today".into()));
    assert!(!report["quotes"].as_array().unwrap().is_empty());
    for rule in report["explain"].as_array().unwrap() {
        assert!(rule["rule"].is_string() && rule["question"].as_str().unwrap().ends_with('?'), "{rule}");
    }
    // The one that lacks its secret says so, if it is asked for by name.
    let (code, out, _) =
        run(folder.path(), &["probe", "doji.gold", "--source", "board", "--config", "b.toml"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &report["reasons"][0]["code"]), (1, &"secret_missing".into()));
    assert_eq!(bank.all_hits(), 1, "once");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing was written");
}
