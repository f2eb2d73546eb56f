//! The program as its operator runs it: exit codes, sentences, nothing lost.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::{bank::closed_port, postgres::PASSWORD};

fn banggia(folder: &Path) -> Command {
    let mut command = crate::service::banggia();
    command.current_dir(folder);
    command
}

fn run(arguments: &[&str]) -> (i32, String, String) {
    let folder = crate::canary::tempdir().unwrap();
    outcome(banggia(folder.path()).args(arguments).output().unwrap())
}

fn outcome(output: Output) -> (i32, String, String) {
    crate::canary::said(&output.stdout);
    crate::canary::said(&output.stderr);
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn what_is_no_address_of_a_store_is_refused_without_repeating_it() {
    let folder = crate::canary::tempdir().unwrap();
    std::fs::write(folder.path().join("banggia.toml"), "").unwrap();
    let allowed = "postgres://<user>:<password>@<host>:<port>/<database>";
    for (url, why) in [
        (format!("mysql://u:{PASSWORD}@h/db"), "\"mysql:…\" is not a store; allowed are sqlite:<path> and "),
        (PASSWORD.to_owned(), "this is not a store; allowed are sqlite:<path> and "),
        (format!("{PASSWORD}:x"), "this is not a store; "),
        ("sqlite:".to_owned(), "\"sqlite:…\" is not a store; "),
        (format!("postgres://u:{PASSWORD}@h"), "host, user and database have to be named; allowed is "),
        (format!("postgres://u:12?{PASSWORD}@h/db"), "host, user and database have to be named; "),
        (format!("postgres://u:{PASSWORD}@h:port/db"), "the address cannot be read: invalid port number; "),
        (
            format!("postgres://u:1@2/3?{PASSWORD}@h/db"),
            "unknown parameter of the address, known are sslmode",
        ),
        (format!("postgres://u:{PASSWORD}@h/db?ssl=on"), "unknown parameter ssl of the address, known are "),
        (
            format!("postgres://u:{PASSWORD}@h/db?sslmode={PASSWORD}"),
            "it is not understood; sslmode is disable, ",
        ),
    ] {
        let mut command = banggia(folder.path());
        command.args(["check", "--config", "banggia.toml"]).env("BANGGIA_STORE__URL", &url);
        let (code, out, err) = outcome(command.output().unwrap());
        assert_eq!((code, out.as_str(), err.lines().count()), (2, "", 1), "{url}: {err}");
        assert!(
            err.contains("BANGGIA_STORE__URL") && err.contains(why) && err.contains(allowed),
            "{url}: {err}"
        );
        assert!(!err.contains(PASSWORD), "{url}: {err}");
    }
}

#[test]
fn bad_usage_and_bad_configuration_are_exit_code_2_with_one_sentence() {
    let folder = crate::canary::tempdir().unwrap();
    std::fs::write(folder.path().join("bad.toml"), "[feeds.bidv.fx]\nshedule = \"* * * * *\"\n").unwrap();
    let cases: &[(&[&str], &str)] = &[
        (
            &["check", "--config", "bad.toml"],
            "bad.toml:2: unknown key feeds.bidv.fx.shedule; did you mean feeds.bidv.fx.schedule?",
        ),
        (&["serve", "--config", "bad.toml"], "bad.toml:2: "),
        (&["check", "--config", "missing.toml"], "missing.toml: cannot be read"),
        (&["probe", "bidv.gold"], "there is no feed bidv.gold; allowed are doji.gold"),
        (&["probe", "bidv.fx", "--source", "xml"], "bidv.fx has no source xml; allowed are board"),
        (&["probe", "bidv.fx", "--file", "missing.json"], "missing.json cannot be read"),
        (&["probe", "bidv.fx", "--file", "bad.toml", "--now", "yesterday"], "--now \"yesterday\" is neither"),
        (&["serve", "--listen", "nowhere"], "--listen: server.listen: "),
        (
            &["backfill", "x.fx", "--from", "2026-09-01", "--to", "2026-09-02"],
            "there is no feed x.fx; allowed are tpbank.gold, bidv.fx, vietcombank.fx",
        ),
        (
            &["backfill", "ocb.deposit", "--from", "2026-09-01", "--to", "2026-09-02"],
            "no source of ocb.deposit offers past days; allowed are tpbank.gold, bidv.fx, vietcombank.fx",
        ),
        (
            &["backfill", "bidv.fx", "--from", "2026-09-03", "--to", "2026-09-02"],
            "--from 2026-09-03 is after --to 2026-09-02",
        ),
        (
            &["backfill", "bidv.fx", "--from", "2026-09-01", "--to", "2999-09-02"],
            "--to 2999-09-02 has not passed yet",
        ),
        (
            &["backfill", "bidv.fx", "--from", "yesterday", "--to", "2026-09-02"],
            "--from \"yesterday\" is not a day such as 2026-09-30",
        ),
        (
            &["backfill", "bidv.fx", "--from", "2026-09-01", "--to", "2026-09-02", "--pause", "0s"],
            "--pause 0s is too short: a source is asked at most once in 1s",
        ),
        (&["export", "--format", "csv"], "--format csv needs --kind gold, fx or deposit"),
        (
            &["export", "--from", "2026-09-03", "--to", "2026-09-02"],
            "--from 2026-09-03 is after --to 2026-09-02",
        ),
    ];
    for (arguments, part) in cases {
        let (code, out, err) = outcome(banggia(folder.path()).args(*arguments).output().unwrap());
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}\n{err}");
        assert!(err.contains(part) && err.lines().count() == 1, "{arguments:?}\n{err}");
    }
    assert_eq!(run(&["serv"]).0, 2);
    assert_eq!(run(&["export", "--kind", "silver"]).0, 2);
    assert_eq!(run(&["backfill", "bidv.fx"]).0, 2);
    assert_eq!(run(&["--version"]).0, 0);
}

#[test]
fn what_fails_at_the_start_is_exit_code_1_with_one_sentence() {
    let folder = crate::canary::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let free = ["--ops-listen", "127.0.0.1:0"];
    std::fs::write(folder.path().join("memory.toml"), "[store]\nurl = \"sqlite::memory:\"\n").unwrap();
    let days =
        ["backfill", "bidv.fx", "--from", "2026-09-01", "--to", "2026-09-02", "--config", "memory.toml"];
    for (arguments, part) in [
        (&["export"][..], "sqlite:banggia.db does not exist yet: nothing has been fetched"),
        (&days[..], "the store is in memory and keeps nothing; set store.url to sqlite:<path>"),
    ] {
        let (code, out, err) = outcome(banggia(folder.path()).args(arguments).output().unwrap());
        assert_eq!((code, out.as_str()), (1, ""), "{arguments:?}");
        assert_eq!(err.lines().collect::<Vec<_>>(), [format!("banggia: {part}")], "{arguments:?}");
    }
    let cases: &[(&[&str], &str)] = &[
        (&["serve", "--replay", "--listen", &taken], "cannot listen on"),
        (
            &["serve", "--listen", "127.0.0.1:0", "--store", "sqlite:no/such/x.db"],
            "its folder no/such does not exist",
        ),
        (
            &["serve", "--listen", "127.0.0.1:0", "--replay", "no-such-folder"],
            "no-such-folder cannot be read",
        ),
    ];
    for (arguments, part) in cases {
        let (code, _, err) = outcome(banggia(folder.path()).args(*arguments).args(free).output().unwrap());
        assert_eq!(code, 1, "{arguments:?}\n{err}");
        let sentences: Vec<&str> = err.lines().filter(|line| line.starts_with("banggia: ")).collect();
        assert!(sentences.len() == 1 && sentences[0].contains(part), "{arguments:?}\n{err}");
    }
}

#[test]
fn check_prints_every_value_with_its_origin_and_five_runs_a_feed() {
    let folder = crate::canary::tempdir().unwrap();
    std::fs::write(
        folder.path().join("b.toml"),
        "[feeds.bidv.fx]\nschedule = \"*/5 8-17 * * Mon-Fri\"\n[secrets]\ndoji_api_key = \"canary-0815\"\n",
    )
    .unwrap();
    let output = banggia(folder.path())
        .args(["check", "--config", "b.toml"])
        .env("BANGGIA_FEEDS__TPBANK__GOLD__ENABLED", "false")
        .output()
        .unwrap();
    let (code, out, err) = outcome(output);
    assert_eq!(code, 0, "{err}");
    for part in [
        "feeds.bidv.fx.schedule = \"*/5 8-17 * * Mon-Fri\"  # b.toml:2",
        "feeds.tpbank.gold.enabled = false  # BANGGIA_FEEDS__TPBANK__GOLD__ENABLED",
        "server.listen = \"127.0.0.1:8080\"  # default",
        "secrets.doji_api_key = \"<redacted>\"",
    ] {
        assert!(out.contains(part), "{part}\n{out}");
    }
    assert!(!out.contains("canary") && !err.contains("canary"));
    let runs = out
        .split("bidv.fx  \"")
        .nth(1)
        .unwrap()
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .count();
    assert_eq!(runs, 5);
    assert!(!out.contains("tpbank.gold  \""));
}

#[test]
fn feeds_lists_sources_states_and_what_is_missing() {
    let (code, out, err) = run(&["feeds"]);
    assert_eq!(code, 0, "{err}");
    for part in [
        "doji.gold       unavailable  never    ",
        "skipped: the secret doji_board_key is not set",
        "cafef via CafeF",
        "nothing has been fetched",
    ] {
        assert!(out.contains(part), "{part}\n{out}");
    }
}

#[test]
fn probe_reads_a_saved_answer_and_changes_nothing() {
    let folder = crate::canary::tempdir().unwrap();
    let file = folder.path().join("saved.json");
    std::fs::write(&file, r#"{"item":[{"DATES":"06/03/2024","RATE_BUY":87400000,"RATE_SELL":89500000}]}"#)
        .unwrap();
    let probe = |arguments: &[&str]| {
        let (code, out, err) = outcome(banggia(folder.path()).arg("probe").args(arguments).output().unwrap());
        (code, serde_json::from_str::<Value>(&out).unwrap_or_else(|error| panic!("{error}\n{out}\n{err}")))
    };
    let (code, report) = probe(&["tpbank.gold", "--file", "saved.json", "--explain"]);
    assert_eq!(code, 0);
    assert_eq!(
        (&report["verdict"], &report["source"], &report["as_of"]),
        (&"accept".into(), &"chart".into(), &"2024-06-03".into())
    );
    assert_eq!(report["quotes"][0]["id"], "tpbank.gold.bar");
    assert_eq!(report["quotes"][0]["buy"], "87400000");
    assert!(report["explain"].as_array().unwrap().iter().any(|rule| rule["rule"] == "spread"));

    let (code, report) = probe(&["tpbank.gold", "--file", "saved.json", "--now", "2024-06-01"]);
    assert_eq!(
        (code, &report["verdict"], &report["reasons"][0]["code"]),
        (1, &"reject".into(), &"future_date".into())
    );
    assert_eq!(
        report["quotes"].as_array().unwrap().len(),
        1,
        "what could be read is shown whatever the verdict"
    );

    std::fs::write(&file, "<html><head><title>502 Bad Gateway</title></head></html>").unwrap();
    let (code, report) = probe(&["bidv.fx", "--source", "board", "--file", "saved.json"]);
    assert_eq!((code, &report["verdict"]), (1, &"reject".into()));
    assert!(report["reasons"][0]["message"].as_str().unwrap().contains("502 Bad Gateway"), "{report}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else was written");
}

#[test]
fn serve_logs_its_addresses_serves_and_stops_on_sigterm() {
    let folder = crate::canary::tempdir().unwrap();
    let program = banggia(folder.path());
    // Started with fewer files than it may have.
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -S -n 256; exec \"$0\" \"$@\""])
        .arg(program.get_program())
        .args(program.get_args())
        .args(["serve", "--replay", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"])
        .current_dir(folder.path())
        .env_remove("BANGGIA_CONFIG")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut address = |what: &str| {
        lines
            .by_ref()
            .map(Result::unwrap)
            .find_map(|line| line.split_once(what).map(|(_, address)| address.trim().to_owned()))
            .unwrap()
    };
    let (public, ops) = (address("public listener on "), address("ops listener on "));
    let get = |url: String| {
        let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
        let mut stream = std::net::TcpStream::connect(host).unwrap();
        write!(stream, "GET /{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(get(format!("{public}/v1/board")), "200");
    assert_eq!(get(format!("{ops}/readyz")), "200");
    // A connection is a file: as many as the system allows.
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
    let files: Vec<&str> =
        limits.lines().find(|line| line.starts_with("Max open files")).unwrap().split_whitespace().collect();
    assert_eq!(files[3], files[4], "soft and hard");
    assert_eq!(get(format!("{public}/readyz")), "404", "health is never public");
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    // Drain what it still says, or it would block on a full pipe.
    for line in lines {
        drop(line);
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "recorded answers stay in memory");
}

#[test]
fn every_refused_request_is_in_the_log_of_level_debug_by_its_request_id() {
    let folder = crate::canary::tempdir().unwrap();
    let mut child = banggia(folder.path())
        .args(["serve", "--replay", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"])
        .env("BANGGIA_LOG", "debug")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let public = lines
        .find_map(|line| Some(line.split_once("public listener on http://")?.1.trim().to_owned()))
        .unwrap();
    for request in ["GARBAGE\r\n\r\n", "GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"] {
        let mut stream = std::net::TcpStream::connect(&public).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let id = answer.split_once("x-request-id: ").unwrap().1.split_once('\r').unwrap().0;
        assert!(lines.any(|line| line.contains("DEBUG") && line.contains(id)), "{request}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    let folder = crate::canary::tempdir().unwrap();
    std::fs::write(folder.path().join("b.toml"), "[feeds.tpbank.gold]\nschedule = \"* * * * * *\"\n")
        .unwrap();
    let mut child = banggia(folder.path())
        .args(["--config", "b.toml", "--replay", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    let public = loop {
        line.clear();
        log.read_line(&mut line).unwrap();
        if let Some((_, address)) = line.split_once("public listener on http://") {
            break address.trim().to_owned();
        }
    };
    drop(log);
    let checked = || {
        let mut stream = std::net::TcpStream::connect(&public).unwrap();
        write!(stream, "GET /v1/gold HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let gold: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        gold["feeds"][1]["checked_at"].as_str().map(str::to_owned)
    };
    let mut seen = std::collections::BTreeSet::new();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while seen.len() < 3 {
        seen.extend(checked());
        assert!(std::time::Instant::now() < deadline, "refreshes go on: {seen:?}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn without_a_network_serve_says_so_in_one_line_and_how_to_look_at_recorded_answers() {
    let folder = crate::canary::tempdir().unwrap();
    let (_held, closed) = closed_port();
    let mut config = String::new();
    for (_, feed) in providers::feeds() {
        for source in feed.sources {
            config.push_str(&format!(
                "[feeds.{}.sources.{}]\nurl = \"http://{closed}/\"\nallow_private = true\n",
                feed.id, source.id
            ));
        }
    }
    std::fs::write(folder.path().join("b.toml"), config).unwrap();
    let mut child = banggia(folder.path())
        .args(["--config", "b.toml", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let line = BufReader::new(child.stderr.take().unwrap())
        .lines()
        .map(Result::unwrap)
        .find(|line| line.contains("no source could be reached"))
        .expect("the line");
    assert!(line.contains("banggia serve --replay"), "{line}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_descriptor_that_is_no_socket_is_refused_in_one_sentence() {
    let folder = crate::canary::tempdir().unwrap();
    let output = banggia(folder.path())
        .args(["serve", "--replay"])
        .env("LISTEN_FDS", "1")
        .env_remove("LISTEN_PID")
        .output();
    let (code, _, err) = outcome(output.unwrap());
    assert_eq!(code, 1, "{err}");
    assert!(err.starts_with("banggia: a socket that this program was started with cannot be used"), "{err}");
    assert_eq!(err.lines().count(), 1, "{err}");
}

#[test]
fn sockets_with_names_that_are_not_ours_are_refused_so_that_the_console_never_gets_a_public_address() {
    use command_fds::{CommandFdExt as _, FdMapping};
    let folder = crate::canary::tempdir().unwrap();
    for (names, part) in [
        ("public:public", "two sockets are called public"),
        ("ops:ops", "two sockets are called ops"),
        ("banggia-ops.socket:banggia-public.socket", "allowed are FileDescriptorName=public"),
        ("public", "socket 1 is called nothing"),
    ] {
        let sockets = [0, 1].map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let mut command = banggia(folder.path());
        let mapped =
            (3..).zip(sockets).map(|(child_fd, socket)| FdMapping { parent_fd: socket.into(), child_fd });
        command.fd_mappings(mapped.collect()).unwrap();
        command.args(["serve", "--replay"]).env("LISTEN_FDS", "2").env("LISTEN_FDNAMES", names);
        let (code, _, err) = outcome(command.output().unwrap());
        assert!(code == 1 && err.contains(part) && err.lines().count() == 1, "{names}: {err}");
    }
}

#[test]
fn what_cannot_be_written_is_a_failure() {
    let folder = crate::canary::tempdir().unwrap();
    for command in ["check", "man", "openapi"] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = banggia(folder.path()).arg(command).stdout(full).output().unwrap();
        let (code, _, err) = outcome(output);
        assert!(code == 1 && err.contains("cannot be written"), "{command}: {code} {err}");
    }
}
