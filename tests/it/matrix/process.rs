//! What a hostile source costs the program itself: the real binary, its own memory.

use std::{
    fmt::Write as _,
    io::{BufRead as _, BufReader},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    http::bombs,
    rig::{at, good_day, paths, secrets, sources},
};
use crate::bank::{Bank, Reply};

/// A running program, which ends with the test.
struct Program {
    child: Child,
    public: String,
    _folder: crate::canary::Folder,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    fn start(bank: &Bank) -> Self {
        let folder = crate::canary::tempdir().unwrap();
        let mut text = String::from(
            "[server]\nlisten = \"127.0.0.1:0\"\nops_listen = \"127.0.0.1:0\"\n[store]\nurl = \"sqlite:banggia.db\"\n[secrets]\n",
        );
        for name in providers::Secrets::NAMES {
            writeln!(text, "{name} = \"{}\"", secrets().get(name).unwrap()).unwrap();
        }
        for (_, feed) in providers::feeds() {
            writeln!(text, "[feeds.{}]\nschedule = \"0 3 1 1 *\"\njitter = \"0s\"", feed.id).unwrap();
            for source in feed.sources {
                let url = at(bank, feed.id, source.id);
                writeln!(
                    text,
                    "[feeds.{}.sources.{}]\nurl = \"{url}\"\nallow_private = true",
                    feed.id, source.id
                )
                .unwrap();
            }
        }
        let file = folder.path().join("banggia.toml");
        std::fs::write(&file, text).unwrap();
        let mut child = crate::service::banggia()
            .args(["serve", "--config"])
            .arg(&file)
            .current_dir(folder.path())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let public = lines
            .find_map(|line| Some(line.ok()?.split_once("public listener on ")?.1.to_owned()))
            .expect("it starts");
        // A full pipe would stop it.
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| crate::canary::said(format!("{line}\n").as_bytes()));
        });
        Self { child, public, _folder: folder }
    }

    /// Once every source that can be asked has been.
    async fn settled(&self, wanted: &str) {
        let client = crate::house::client();
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let feeds = client.get(format!("{}/v1/feeds", self.public)).send().await.unwrap();
            let feeds: Value = serde_json::from_str(&feeds.text().await.unwrap()).unwrap();
            let through = feeds["feeds"].as_array().unwrap().iter().all(|feed| {
                let mut sources = feed["sources"].as_array().unwrap().iter();
                if wanted == "ok" {
                    sources.any(|source| source["last_outcome"] == wanted)
                } else {
                    sources.all(|source| source["last_outcome"] == wanted)
                }
            });
            if through {
                return;
            }
            assert!(Instant::now() < deadline, "{feeds:#}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The most memory that it ever had, in kilobytes.
    fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

/// Also F-18, a body of 100 MB.
#[tokio::test(flavor = "multi_thread")]
async fn f15_bombs_from_all_sources_at_once_cost_less_than_sixteen_megabytes() {
    let bank = Bank::open_wide().await;
    good_day(&bank);
    let quiet = Program::start(&bank);
    quiet.settled("ok").await;
    let quiet = quiet.peak();

    let mut faults: Vec<(String, Reply)> = bombs()
        .into_iter()
        .map(|(coding, bomb)| {
            (format!("{} bytes of {coding}", bomb.len()), Reply::ok(bomb).with("Content-Encoding", coding))
        })
        .collect();
    faults.push(("100 MB".to_owned(), Reply::Pour(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), 100 << 20)));
    for (name, reply) in faults {
        for (feed, source) in sources() {
            for path in paths(feed.id, source.id) {
                bank.script(&path, [reply.clone()]);
            }
        }
        let program = Program::start(&bank);
        program.settled("too_large").await;
        let peak = program.peak();
        println!("{name}: {peak} kB, {quiet} kB on a good day");
        assert!(peak < quiet + (16 << 10), "{name}: {peak} kB against {quiet} kB on a good day");
    }
}
