//! The program itself among attackers: its log, its secrets, its files, its other listener, its assets.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use sha2::{Digest as _, Sha384};
use tokio::net::TcpStream;

use super::{EVERYTHING, REFUSED, header};
use crate::{
    bank::{Bank, Reply},
    canary,
    house::{House, client, config_text, good_day, path},
};

/// The program, until it is dropped, and all that it says.
struct Program {
    child: Child,
    public: String,
    ops: String,
    log: Arc<Mutex<String>>,
    client: reqwest::Client,
}

impl Program {
    /// Started in a folder, by a shell line before it.
    fn start(folder: &Path, before: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new("sh")
            .args(["-c", &format!("{before} exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_banggia")])
            .args(arguments)
            .args(["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"])
            .current_dir(folder)
            .env_remove("BANGGIA_CONFIG")
            .envs(canary::environment())
            .envs(environment.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (sender, addresses) = mpsc::channel();
        let (stderr, kept) = (child.stderr.take().unwrap(), Arc::clone(&log));
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stderr);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                let text = String::from_utf8_lossy(&line).into_owned();
                if let Some((_, address)) = text.split_once("listener on http://") {
                    let address = address.split(['"', '\n']).next().unwrap().to_owned();
                    // After the second nobody listens any more.
                    let _ = sender.send(address);
                }
                canary::said(&line);
                kept.lock().unwrap().push_str(&text);
                line.clear();
            }
        });
        let address = || addresses.recv_timeout(Duration::from_secs(30));
        let (public, ops) = (address(), address());
        let log_so_far = log.lock().unwrap().clone();
        let (Ok(public), Ok(ops)) = (public, ops) else { panic!("it does not start: {log_so_far}") };
        Self { child, public, ops, log, client: client() }
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        self.client.get(format!("http://{}{path}", self.public)).send().await.unwrap()
    }

    /// Waits until every feed was asked.
    async fn settled(&self) {
        self.wait("every feed was asked", async || {
            let feeds: Value =
                serde_json::from_str(&self.get("/v1/feeds").await.text().await.unwrap()).unwrap();
            let asked = |feed: &Value| {
                feed["sources"].as_array().unwrap().iter().any(|source| !source["last_attempt_at"].is_null())
            };
            feeds["feeds"].as_array().unwrap().iter().all(asked)
        })
        .await;
    }

    async fn wait(&self, what: &str, condition: impl AsyncFn() -> bool) {
        let deadline = Instant::now() + Duration::from_mins(1);
        while !condition().await {
            assert!(Instant::now() < deadline, "waited a minute for: {what}\n{}", self.said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn said(&self) -> String {
        self.log.lock().unwrap().clone()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What would end a line, colour a terminal, move its cursor, ring its bell or turn what follows.
const FORGED: &str = "x\r\n2026-09-30T00:00:00.000000Z  WARN forged\u{1b}[2J\u{1b}]0;title\u{7}\u{8}\u{9b}31m\u{85}\u{2028}\u{202e}{\"level\":\"WARN\"}\",\"forged\":\"1\u{0}";

#[tokio::test(flavor = "multi_thread")]
async fn a21_an_event_is_one_line_of_the_log_whatever_strangers_write() {
    let bank = Bank::open().await;
    good_day(&bank, 0);
    let said = serde_json::json!({ "success": false, "message": FORGED });
    bank.script(&path("doji.gold", "vangtoday"), [Reply::ok(said.to_string())]);
    // A header cannot hold the worst of it.
    let visible = "/x\u{9b}31m\u{202e}\t{\"level\":\"WARN\"}";
    bank.script(&path("tpbank.gold", "chart"), [Reply::status(302).with("Location", visible)]);
    bank.script(&path("bidv.deposit", "rates"), [Reply::ok("{}").with("Content-Encoding", visible)]);
    bank.script(
        &path("vietcombank.fx", "json"),
        [Reply::Raw(format!("HTTP/1.1 200 {FORGED}\r\n\r\n{FORGED}").into_bytes())],
    );
    let odd = format!("<html><title>{FORGED}</title><table><tr><th>{FORGED}</th></tr></table></html>");
    bank.script(&path("ocb.deposit", "widget"), [Reply::ok(odd.clone())]);
    bank.script(&path("ocb.deposit", "table"), [Reply::ok(odd)]);
    for json in [false, true] {
        let folder = crate::canary::tempdir().unwrap();
        let config = config_text(&bank, &folder.path().join("b.db"));
        std::fs::write(folder.path().join("b.toml"), config).unwrap();
        let format = if json { "json" } else { "text" };
        let environment = [("BANGGIA_LOG", "debug,sqlx=warn"), ("BANGGIA_LOG_FORMAT", format)];
        let program = Program::start(folder.path(), "", &["--config", "b.toml"], &environment);
        program.settled().await;
        let forged: String = url::form_urlencoded::byte_serialize(FORGED.as_bytes()).collect();
        let mut asked = 0;
        for address in [
            format!("/v1/gold?{forged}=1"),
            format!("/v1/gold?unit={forged}"),
            format!("/{forged}"),
            format!("/oembed?url={forged}"),
            format!("/widgets/panel?preset={forged}"),
        ] {
            assert!(program.get(&address).await.status().is_client_error(), "{address}");
            asked += 1;
        }
        let odd = Method::from_bytes(b"FORGED").unwrap();
        let answer = client()
            .request(odd, format!("http://{}/v1", program.public))
            .header("user-agent", "x\u{9b}31m")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 405);
        let id = header(&answer, "x-request-id");
        program.wait("the last event", async || program.said().contains(&id)).await;

        let log = program.said();
        let refusals = log.lines().filter(|line| line.contains("request_id")).count();
        assert_eq!(refusals, asked + 1, "{log}");
        assert!(log.contains("forged"), "it was logged, else this tests nothing");
        for line in log.lines() {
            if json {
                let event: Value =
                    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
                assert!(event["level"].is_string() && event.get("forged").is_none(), "{line}");
            } else {
                let mut words = line.split_whitespace();
                let (time, level) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
                assert!(time.ends_with('Z') && time.parse::<jiff::Timestamp>().is_ok(), "{line:?}");
                assert!(["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].contains(&level), "{line:?}");
                assert!(!line.contains("Z  WARN forged") || line.matches("Z  WARN").count() == 1, "{line:?}");
            }
            let raw: Vec<char> =
                line.chars().filter(|c| c.is_control() || "\u{202e}\u{2028}".contains(*c)).collect();
            assert!(raw.is_empty(), "{raw:?} in {line:?}");
        }
    }
}

/// Secrets in every place where the configuration has room for one.
const CANARIES: &[&str] =
    &["CANARY-FILE", "CANARY-USER", "CANARY-PASS", "CANARY-QUERY", "CANARY-HEADER", "CANARY-COOKIE"];
const BOARD_KEY: &str = "ca9a7700ca9a7700ca9a7700ca9a7700ca9a7700ca9a7700ca9a7700ca9a7700";

/// All forms in which a canary could show itself.
fn forms() -> Vec<String> {
    let mut forms: Vec<String> = ["CANARY", "canary", "ca9a7700"].map(str::to_owned).to_vec();
    for word in CANARIES.iter().copied().chain(["CANARY-USER:CANARY-PASS", "CANARY-PROXY:CANARY-PROXYPASS"]) {
        // From wherever its first byte falls into a group of three.
        forms.push(STANDARD.encode(word).trim_end_matches('=').to_owned());
    }
    forms
}

fn assert_silent(what: &str, bytes: &[u8], forms: &[String]) {
    for form in forms {
        if let Some(at) = bytes.windows(form.len()).position(|window| window == form.as_bytes()) {
            let around = &bytes[at.saturating_sub(200)..bytes.len().min(at + 60)];
            panic!("{what} says {form}: {}", String::from_utf8_lossy(around));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a22_no_output_of_any_kind_says_a_secret_even_at_trace_level() {
    let bank = Bank::open().await;
    good_day(&bank, 0);
    // Sources that repeat what they were asked with.
    let all = CANARIES.join(" ");
    bank.script(
        &path("doji.gold", "xml"),
        [Reply::status(302).with("Location", bank.url("/login?api_key=CANARY-FILE#CANARY-FILE"))],
    );
    bank.script(
        &path("doji.gold", "vangtoday"),
        [Reply::ok(serde_json::json!({ "success": false, "message": all }).to_string())],
    );
    bank.script(&path("ocb.deposit", "widget"), [Reply::ok(format!("<html><title>{all}</title></html>"))]);
    let forms = forms();
    for proxy in ["", "http://CANARY-PROXY:CANARY-PROXYPASS@"] {
        let folder = crate::canary::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let mut config = config_text(&bank, &at("b.db"));
        let tpbank = bank.url(&path("tpbank.gold", "chart"));
        config = config
            .replace(&tpbank, &format!("{}?token=CANARY-QUERY", tpbank.replace("http://", "http://CANARY-USER:CANARY-PASS@")))
            .replace("[feeds.bidv.fx.sources.board]\n", "[feeds.bidv.fx.sources.board]\nheaders = { Authorization = \"Bearer CANARY-HEADER\", Cookie = \"s=CANARY-COOKIE\" }\n");
        if !proxy.is_empty() {
            config.push_str(&format!("[fetch]\nproxy = \"{proxy}{}\"\n", bank.address));
        }
        std::fs::write(at("b.toml"), config).unwrap();
        std::fs::write(at("key"), "CANARY-FILE\n").unwrap();
        let key = at("key").display().to_string();
        let environment = [
            ("BANGGIA_LOG", "trace"),
            ("BANGGIA_LOG_FORMAT", if proxy.is_empty() { "text" } else { "json" }),
            ("BANGGIA_SECRETS__DOJI_API_KEY_FILE", &*key),
            ("BANGGIA_SECRETS__DOJI_BOARD_KEY", BOARD_KEY),
        ];
        let program = Program::start(folder.path(), "", &["--config", "b.toml"], &environment);
        program.settled().await;
        let used: String = bank.hits(&path("bidv.fx", "board")).iter().map(|hit| hit.head.clone()).collect();
        assert!(
            !proxy.is_empty() || used.contains("CANARY-HEADER") && used.contains("CANARY-COOKIE"),
            "they are sent"
        );

        for (address, _) in EVERYTHING {
            let response = program.get(address).await;
            let mut shown = format!("{:?}", response.headers()).into_bytes();
            shown.extend(response.bytes().await.unwrap());
            assert_silent(address, &shown, &forms);
        }
        for (address, _) in REFUSED {
            assert_silent(address, &program.get(address).await.bytes().await.unwrap(), &forms);
        }
        for address in ["/livez", "/readyz", "/metrics", "/admin", "/config", "/debug", "/env"] {
            let response =
                program.client.get(format!("http://{}{address}", program.ops)).send().await.unwrap();
            assert_silent(address, &response.bytes().await.unwrap(), &forms);
        }
        let run = |arguments: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_banggia"));
            let command =
                command.args(arguments).current_dir(folder.path()).envs(environment.iter().copied());
            let output = command.output().unwrap();
            [output.stdout, output.stderr].concat()
        };
        for arguments in [
            &["check", "--config", "b.toml"][..],
            &["probe", "doji.gold", "--source", "xml", "--explain", "--config", "b.toml"],
            &["probe", "tpbank.gold", "--source", "chart", "--config", "b.toml"],
            &["probe", "bidv.fx", "--config", "b.toml"],
        ] {
            let shown = run(arguments);
            assert!(!shown.is_empty());
            assert_silent(&arguments.join(" "), &shown, &forms);
        }
        let log = program.said();
        for part in ["TRACE", "INSERT INTO", "connecting to 127.0.0.1"] {
            assert!(log.contains(part), "{part}: the log is not that of all crates");
        }
        assert_silent("the log", log.as_bytes(), &forms);
        drop(program);
        assert_silent("feeds", &run(&["feeds", "--config", "b.toml"]), &forms);
        // The store, its log, and the answers that were kept as evidence.
        let mut files: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path()).collect();
        while let Some(file) = files.pop() {
            if file.is_dir() {
                files.extend(std::fs::read_dir(&file).unwrap().map(|file| file.unwrap().path()));
                continue;
            }
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            if name != "b.toml" && name != "key" {
                assert_silent(&name, &std::fs::read(&file).unwrap(), &forms);
            }
        }
    }
}

#[test]
fn a22_a_mistake_beside_a_secret_is_told_without_it() {
    let folder = crate::canary::tempdir().unwrap();
    for (text, environment) in [
        ("[secrets]\ndoji_api_kye = \"CANARY-FILE\"\n", None),
        ("[secrets]\ndoji_api_key = [\"CANARY-FILE\"]\n", None),
        ("[secrets]\ndoji_api_key = \"CANARY-FILE\n", None),
        ("secrets = \"CANARY-FILE\"\n", None),
        ("[fetch]\nproxy = \"ftp://CANARY-USER:CANARY-PASS@x.example\"\n", None),
        ("[fetch]\nproxy = \"http://CANARY-USER:CANARY-PASS@\"\n", None),
        (
            "[feeds.bidv.fx.sources.board]\nurl = \"ftp://CANARY-USER:CANARY-PASS@x.example/?token=CANARY-QUERY\"\n",
            None,
        ),
        (
            "[feeds.bidv.fx.sources.board]\nurl = \"http://CANARY-USER:CANARY-PASS@x.example/?token=CANARY-QUERY\"\n",
            None,
        ),
        ("[feeds.bidv.fx.sources.board]\nheaders = { Authorization = \"CANARY-HEADER\\n\" }\n", None),
        ("", Some(("BANGGIA_SECRETS__DOJI_API_KYE", "CANARY-FILE"))),
        ("", Some(("BANGGIA_SECRETS__DOJI_API_KEY_FILE", "/no/such/file"))),
        ("", Some(("BANGGIA_FETCH__PROXY", "ftp://CANARY-USER:CANARY-PASS@x.example"))),
    ] {
        std::fs::write(folder.path().join("b.toml"), text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_banggia"));
        let output = command
            .args(["check", "--config", "b.toml"])
            .current_dir(folder.path())
            .envs(environment)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{text} {environment:?}");
        assert_silent(&format!("{text} {environment:?}"), &[output.stdout, output.stderr].concat(), &forms());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a34_a_flood_leaves_files_for_those_who_watch_and_without_any_the_service_waits_and_recovers() {
    let folder = crate::canary::tempdir().unwrap();
    // The hard limit, to which the program raises the soft one.
    let program = Program::start(folder.path(), "ulimit -n 128;", &["serve", "--replay"], &[]);
    let files = || std::fs::read_dir(format!("/proc/{}/fd", program.child.id())).unwrap().count();
    let alive = async |address: &str, path: &str| {
        let asked =
            client().get(format!("http://{address}{path}")).timeout(Duration::from_secs(20)).send().await;
        asked.is_ok_and(|answer| answer.status() == StatusCode::OK)
    };
    let flood = async |address: &str, connections: usize| {
        let mut flood = Vec::new();
        for _ in 0..connections {
            flood.push(TcpStream::connect(address).await.unwrap());
        }
        flood
    };
    let quiet = files();
    let public = flood(&program.public, 150).await;
    program.wait("every place is taken", async || files() >= quiet + 64).await;
    for _ in 0..20 {
        assert!(alive(&program.ops, "/livez").await);
    }
    drop(public);
    program.wait("serving again", async || alive(&program.public, "/v1/board").await).await;
    let said = || program.said().matches("no connection can be accepted").count();
    assert_eq!(said(), 0, "{}", program.said());

    // On the private listener, where nothing keeps files back: none is left, for a while.
    let ops = flood(&program.ops, 150).await;
    program.wait("no file is left", async || said() > 0).await;
    assert!(files() >= 128);
    drop(ops);
    program.wait("alive again", async || alive(&program.ops, "/livez").await).await;
    program.wait("serving again", async || alive(&program.public, "/v1/board").await).await;
    program.wait("the files are given back", async || files() <= quiet + 8).await;
    assert!(said() < 50, "it says so, and not as often as it tries: {}", said());
}

/// Until the operator sets a token there is nothing
/// to get into, and this holds it to that; with one: `admin.rs`, `console.rs`.
#[tokio::test(flavor = "multi_thread")]
async fn a16_where_there_is_no_console_nobody_gets_in() {
    let house = House::on_a_good_day().await;
    let client = client();
    let (asked, board) = (house.bank.all_hits(), house.get("/v1/board").await.bytes().await.unwrap());
    for listener in [house.app.public, house.app.ops] {
        for path in [
            "/admin",
            "/admin/",
            "/admin/feeds",
            "/admin/refresh/bidv.fx",
            "/admin/reload",
            "/console",
            "/config",
        ] {
            for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
                for token in ["", "Bearer ", "Bearer x", "Basic YWRtaW46YWRtaW4="] {
                    let method = Method::from_bytes(method.as_bytes()).unwrap();
                    let request = client.request(method.clone(), format!("http://{listener}{path}"));
                    let response = request.header("authorization", token).body("{}").send().await.unwrap();
                    assert_eq!(response.status(), 404, "{method} {path}");
                    assert_eq!(
                        header(&response, "content-type"),
                        "application/problem+json",
                        "{method} {path}"
                    );
                }
            }
        }
    }
    assert_eq!(house.bank.all_hits(), asked, "no feed was asked");
    assert_eq!(house.get("/v1/board").await.bytes().await.unwrap(), board);
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a17_a_form_on_another_site_changes_nothing() {
    let house = House::on_a_good_day().await;
    let client = client();
    let (asked, board) = (house.bank.all_hits(), house.get("/v1/board").await.bytes().await.unwrap());
    for (listener, path) in [
        (house.app.public, "/"),
        (house.app.public, "/v1/feeds"),
        (house.app.ops, "/livez"),
        (house.app.ops, "/readyz"),
        (house.app.ops, "/admin"),
    ] {
        for kind in [
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "text/plain",
            "application/json",
        ] {
            let request = client.post(format!("http://{listener}{path}")).header("content-type", kind);
            let request = request
                .header("origin", "https://evil.example")
                .header("sec-fetch-site", "cross-site")
                .header("cookie", "token=x");
            let response = request.body("feed=bidv.fx").send().await.unwrap();
            assert!([404, 405].contains(&response.status().as_u16()), "{path}");
            assert!(!response.headers().contains_key("set-cookie"), "{path}");
            assert!(!response.headers().contains_key("access-control-allow-credentials"), "{path}");
        }
    }
    assert_eq!(house.bank.all_hits(), asked);
    assert_eq!(house.get("/v1/board").await.bytes().await.unwrap(), board);
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a23_the_public_listener_has_neither_metrics_nor_health() {
    let house = House::on_a_good_day().await;
    for path in ["/metrics", "/metrics/", "/livez", "/readyz", "/healthz", "/debug/pprof", "/stats"] {
        assert_eq!(house.get(path).await.status(), 404, "{path}");
    }
    house.app.stop().await;
}

#[test]
fn a29_only_registered_packages_are_built_in_and_none_of_npm() {
    // The rest of this row is `cargo deny` in tests/run: bans, licences, sources, advisories.
    let lock: toml::Table = std::fs::read_to_string("Cargo.lock").unwrap().parse().unwrap();
    let own: BTreeSet<&str> = ["banggia", "providers", "widgets"].into();
    for package in lock["package"].as_array().unwrap() {
        let (name, source) =
            (package["name"].as_str().unwrap(), package.get("source").and_then(toml::Value::as_str));
        match source {
            None => assert!(own.contains(name), "{name} comes from a folder"),
            Some(source) => {
                assert!(
                    source.starts_with("registry+") && package.get("checksum").is_some(),
                    "{name}: {source}"
                );
            }
        }
    }
    let deny: toml::Table = std::fs::read_to_string("deny.toml").unwrap().parse().unwrap();
    for part in ["bans", "licenses", "sources"] {
        assert!(deny.contains_key(part), "{part}");
    }
    // The pages and the element load nothing that is not ours, and npm is for the tests in a browser alone.
    for folder in [".", "src", "widgets", "widgets/assets", "providers", "docs"] {
        for name in ["package.json", "package-lock.json", "node_modules"] {
            assert!(!Path::new(folder).join(name).exists(), "{folder}/{name}");
        }
    }
    for script in [&widgets::embed_script("live.js"), widgets::live_script()] {
        assert!(!script.contains("import ") && !script.contains("eval(") && !script.contains("new Function"));
        // What it loads itself lies beside it.
        assert_eq!(script.matches("import(").count(), script.matches("import('./live.js')").count());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a30_the_files_of_the_element_have_the_hash_that_is_printed_and_are_the_same_wherever_they_are_made()
{
    let folder = crate::canary::tempdir().unwrap();
    let program = Program::start(folder.path(), "", &["serve", "--replay"], &[]);
    let again = Program::start(folder.path(), "", &["serve", "--replay"], &[]);
    let gallery = program.get("/").await.text().await.unwrap();
    let plain =
        gallery.replace("&#34;", "\"").replace("&#43;", "+").replace("&#47;", "/").replace("&#61;", "=");
    // Named by its bytes, since nothing pins what the script loads but its name.
    let live = format!("live.{:08x}.js", xxhash_rust::xxh3::xxh3_64(widgets::live_script().as_bytes()) >> 32);
    for folder in ["embed", concat!("embed/", env!("CARGO_PKG_VERSION"))] {
        let answer = program.get(&format!("/{folder}/{live}")).await;
        assert_eq!(header(&answer, "cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(header(&answer, "access-control-allow-origin"), "*");
        assert_eq!(answer.text().await.unwrap(), widgets::live_script());
    }
    let script = widgets::embed_script(&live);
    for (ending, made) in [("js", &*script), ("css", widgets::fragment_style())] {
        let moving = program.get(&format!("/embed/v1.{ending}")).await.bytes().await.unwrap();
        // Made by this process, which was compiled apart, and by a second run of the program.
        assert_eq!(moving, made.as_bytes(), "{ending}");
        assert_eq!(
            again.get(&format!("/embed/v1.{ending}")).await.bytes().await.unwrap(),
            moving,
            "{ending}"
        );
        let digest = format!("sha384-{}", STANDARD.encode(Sha384::digest(&moving)));
        let (before, after) = plain
            .split_once(&format!("integrity=\"{digest}\""))
            .unwrap_or_else(|| panic!("{ending}: {digest} is not printed"));
        assert!(!after.is_empty());
        let (_, address) = before.rsplit_once("/embed/").unwrap();
        let name = address.split(['<', '"']).next().unwrap();
        assert!(name.ends_with(ending), "{name}");
        for program in [&program, &again] {
            let pinned = program.get(&format!("/embed/{name}")).await;
            assert!(header(&pinned, "cache-control").contains("immutable"), "{name}");
            assert_eq!(pinned.bytes().await.unwrap(), moving, "{name}");
        }
    }
    // A name with another hash is nobody's.
    assert_eq!(program.get("/embed/0.1.0/bang-gia.0123456789abcdef.js").await.status(), 404);
}
