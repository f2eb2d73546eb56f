//! docs/OPERATIONS.md, executed: every block of commands in order, word for word, on a machine of its own (mounts, processes
//! and net of a new namespace, banks that are scripted), and what the page shows is compared with what came. A block
//! that needs what there is not here is checked by what can be; a table says what was done with each.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rust_decimal::dec;

use crate::{
    backfill::board,
    bank::{Bank, Reply},
    holds::scaled,
    house::{good_day, path},
    service::{installed, missing, number},
};

/// Pages whose commands are executed, one after the other on the same machine.
const PAGES: [&str; 2] = ["docs/OPERATIONS.md", "README.md"];
/// Set in the namespace: the folder of the machine.
const INSIDE: &str = "BANGGIA_TEST_MACHINE";
/// A command that takes longer hangs.
const PATIENCE: Duration = Duration::from_mins(2);
/// A release build from nothing.
const BUILD: Duration = Duration::from_mins(9);

/// What a block may need (`sh needs=…`) that this machine does not have, and why that is so.
const ELSEWHERE: [(&str, &str); 5] = [
    ("systemd", "systemd-analyze is not here; tests/deploy/run verifies the units"),
    (
        "docker",
        "no container engine here; tests/deploy/run lints both files and starts the image's root file system",
    ),
    ("deb", "tests/deploy/run builds the package and starts what is in it"),
    ("tests", "it is what runs this"),
    ("bench", "tests/run --full"),
];
/// What a block may need that the test provides.
const STAGED: [&str; 4] = ["release", "held", "delivery", "postgres"];

/// A block of commands, and what the page shows of its output.
#[derive(Debug)]
struct Block {
    page: &'static str,
    section: String,
    line: usize,
    need: Option<String>,
    script: String,
    shown: Option<String>,
}

impl Block {
    fn place(&self) -> String {
        format!("{}:{}", self.page, self.line)
    }

    /// Whether its last command is a server that stays in front of the terminal.
    fn serves(&self) -> bool {
        let last = self.script.lines().rfind(|line| !line.trim().is_empty() && !line.starts_with('#'));
        last.is_some_and(|line| {
            (line.contains("banggia serve") || line.contains("-- serve")) && !line.trim_end().ends_with('&')
        })
    }
}

/// Every block of a page whose language is `sh`, with the `text` block behind it.
fn blocks(page: &'static str) -> Vec<Block> {
    let text = fs::read_to_string(page).unwrap();
    let mut blocks: Vec<Block> = Vec::new();
    let (mut section, mut lines, mut is_behind) = (String::new(), (1..).zip(text.lines()), false);
    while let Some((number, line)) = lines.next() {
        if let Some(title) = line.strip_prefix("## ") {
            title.clone_into(&mut section);
        }
        let Some(info) = line.strip_prefix("```") else {
            is_behind &= line.trim().is_empty();
            continue;
        };
        let mut text = String::new();
        for (_, line) in lines.by_ref().take_while(|(_, line)| *line != "```") {
            text.push_str(line);
            text.push('\n');
        }
        let mut words = info.split(' ');
        match words.next() {
            Some("sh") => {
                let need = words.next().map(|word| word.strip_prefix("needs=").unwrap().to_owned());
                blocks.push(Block {
                    page,
                    section: section.clone(),
                    line: number,
                    need,
                    script: text,
                    shown: None,
                });
                is_behind = true;
            }
            Some("text") if is_behind => {
                blocks.last_mut().unwrap().shown = Some(text);
                is_behind = false;
            }
            _ => is_behind = false,
        }
    }
    blocks
}

/// Whether an output is the one that is shown: `…` stands for anything in a line, a line of it for any lines.
fn is_shown(shown: &[&str], came: &[&str]) -> bool {
    match shown.split_first() {
        None => came.is_empty(),
        Some((&"…", rest)) => (0..=came.len()).any(|skipped| is_shown(rest, &came[skipped..])),
        Some((line, rest)) => {
            came.split_first().is_some_and(|(first, others)| is_like(line, first) && is_shown(rest, others))
        }
    }
}

fn is_like(shown: &str, came: &str) -> bool {
    let mut parts = shown.split('…');
    let Some(mut rest) = came.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some((_, behind)) = rest.split_once(part) else { return false };
        rest = behind;
    }
    rest.ends_with(last)
}

#[test]
fn what_is_shown_is_compared_to_the_letter_but_for_what_it_leaves_open() {
    let same = |shown: &str, came: &str| {
        is_shown(&shown.lines().collect::<Vec<_>>(), &came.lines().collect::<Vec<_>>())
    };
    assert!(same("ok, version …\n", "ok, version 17\n"));
    assert!(same("a\n…\nz …x… !\n", "a\nb\nc\nz 1x2 !\n") && same("…\na\n", "a\n"));
    for (shown, came) in
        [("a\n", "a\nb\n"), ("a\nb\n", "a\n"), ("a … c\n", "a b d\n"), ("…\na\n", "b\n"), ("a\n", "b\n")]
    {
        assert!(!same(shown, came), "{shown} {came}");
    }
}

#[test]
fn every_mark_of_a_block_is_one_that_this_test_knows() {
    let known: Vec<&str> = ELSEWHERE.map(|(need, _)| need).into_iter().chain(STAGED).collect();
    for page in PAGES {
        for block in blocks(page) {
            let need = block.need.as_deref();
            assert!(need.is_none_or(|need| known.contains(&need)), "{}: needs={need:?}", block.place());
        }
        for fence in fs::read_to_string(page).unwrap().lines().filter_map(|line| line.strip_prefix("```")) {
            let language = fence.split(' ').next().unwrap();
            // Commands in another language would not be executed.
            let is_known = ["", "sh", "text", "toml", "json", "html", "js"].contains(&language);
            assert!(is_known, "{page}: ```{fence}");
        }
    }
}

#[test]
fn every_command_of_the_operators_page_does_what_it_says_on_a_machine_of_its_own() {
    if let Some(machine) = std::env::var_os(INSIDE) {
        return inside(Path::new(&machine));
    }
    for program in ["bash", "unshare", "ip", "mount", "curl", "jq", "openssl", "pidof", "ps"] {
        if !installed(program)
            && !Path::new("/usr/sbin").join(program).is_file()
            && !Path::new("/sbin").join(program).is_file()
        {
            return missing(program);
        }
    }
    let namespace = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"];
    let probe = Command::new("unshare").args(namespace).arg("true").stderr(Stdio::null()).status();
    if !probe.is_ok_and(|status| status.success()) {
        return missing("the right to have namespaces, which root has,");
    }
    let machine = crate::canary::tempdir().unwrap();
    let output = Command::new("unshare")
        .args(namespace)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("operations::every_command_of_the_operators_page_does_what_it_says_on_a_machine_of_its_own")
        .env(INSIDE, machine.path())
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    crate::canary::said(&output.stdout);
    crate::canary::said(&output.stderr);
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("blocks of commands"), "the test did not run there:\n{said}");
    println!("{said}");
}

/// What a machine has before its operator comes: a net, folders that may be written and are forgotten, a copy of the
/// repository.
const MACHINE: &str = r#"
ip link set lo up
mkdir -p "$1"
mount -t tmpfs -o mode=755 tmpfs "$1"
layer() { # FOLDER: what is written there is written in memory
    upper=$machine/layers$1
    mkdir -p "$upper/upper" "$upper/work"
    mount -t overlay overlay -o "lowerdir=$1,upperdir=$upper/upper,workdir=$upper/work" "$1"
}
machine=$1 repository=$2 target=$3 program=$4 release=$5
mkdir -p "$machine/bin" "$machine/target" "$machine/home"
cp "$program" "$machine/bin/built"
mount --bind "$target" "$machine/target"
for folder in /etc /var /usr "$repository"; do layer "$folder"; done
cd "$repository"
if [ "$release" = 1 ]; then
    mkdir -p target
    mount --bind "$machine/target" target
else
    # Read through the layer: nothing is written to the target of whoever runs the tests.
    mkdir -p "target/release"
    cp "$machine/bin/built" target/release/banggia
fi
"#;

/// The machine while its operator works.
struct Desk {
    machine: PathBuf,
    environment: Vec<(String, String)>,
    bank: Bank,
    release: bool,
    /// What a block did otherwise than the page says: all of it is told at once.
    problems: Vec<String>,
    /// Servers that stay in front of a terminal until their section ends.
    terminals: Vec<std::process::Child>,
}

fn inside(machine: &Path) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let bank = runtime.block_on(Bank::open());
    good_day(&bank, 0);
    for (at, day) in (0..).zip(["2026-09-07", "2026-09-08", "2026-09-09", "2026-09-10", "2026-09-11"]) {
        bank.script(&format!("/vietcombank.fx/json?date={day}"), [board(day, 26_000 + at)]);
    }
    let release = number("BANGGIA_RELEASE", 0) == 1;
    let repository = std::env::current_dir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_banggia"));
    let target = program.parent().unwrap().parent().unwrap();
    let made = Command::new("sh")
        .args(["-euc", MACHINE, "sh"])
        .args([machine, &repository, target, program])
        .arg(if release { "1" } else { "0" })
        .env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap()))
        .output()
        .unwrap();
    assert!(made.status.success(), "no machine: {}", String::from_utf8_lossy(&made.stderr));

    // What is mounted over it is seen from here on.
    std::env::set_current_dir(&repository).unwrap();

    // Sources are where the environment says; nothing else is set there.
    let mut environment = Vec::new();
    for (_, feed) in providers::feeds() {
        for source in feed.sources {
            let name = format!("BANGGIA_FEEDS__{}__SOURCES__{}", feed.id.replace('.', "__"), source.id)
                .to_uppercase();
            environment.push((format!("{name}__URL"), bank.url(&path(feed.id, source.id))));
            environment.push((format!("{name}__ALLOW_PRIVATE"), "true".to_owned()));
        }
    }
    let mut desk = Desk {
        machine: machine.to_owned(),
        environment,
        bank,
        release,
        problems: Vec::new(),
        terminals: Vec::new(),
    };
    let mut executed = 0;
    for page in PAGES {
        println!("\n{page}");
        let mut section = None;
        for block in blocks(page) {
            if section.as_ref() != Some(&block.section) {
                // What is started before the first heading is for the whole page.
                if section.as_deref() != Some("") {
                    desk.end_section();
                }
                // Each begins in the repository, as whoever reads only this section does.
                let _ = fs::remove_file(desk.machine.join("state"));
                println!("  {}", block.section);
                section = Some(block.section.clone());
            }
            let how = desk.take(&block);
            for (at, command) in block.script.lines().enumerate() {
                println!("{:6}  {command:90.90}  {}", block.line + 1 + at, if at == 0 { &how } else { "" });
            }
            executed += 1;
        }
        desk.end_page();
    }
    println!("\n{executed} blocks of commands");
    assert!(desk.problems.is_empty(), "{}", desk.problems.join("\n"));
    assert!(executed > 40, "{executed} blocks are not these pages");
}

impl Desk {
    /// Does with a block what can be done, and says what that was.
    fn take(&mut self, block: &Block) -> String {
        let place = block.place();
        Self::is_shell(block);
        let mut script = block.script.clone();
        let mut how = "executed".to_owned();
        match block.need.as_deref() {
            Some("release") if self.release => {}
            Some("release") if block.serves() => {
                script = script.replace("cargo run --release --", "target/release/banggia");
                "executed, of a debug build".clone_into(&mut how);
            }
            Some("release") => {
                return "a debug build in its place; executed with BANGGIA_RELEASE=1".to_owned();
            }
            Some("held") => self.bank.script("/tpbank.gold/chart", [Reply::ok(jumped())]),
            Some("delivery") => self.deliver(),
            Some("postgres") if self.has_postgres() => {}
            Some("postgres") => {
                missing("postgres");
                return "not executed here: PostgreSQL is not here".to_owned();
            }
            Some("systemd") if installed("systemd-analyze") => {
                script = without_manager(&script);
                "executed, with systemd-analyze in the place of systemctl".clone_into(&mut how);
            }
            Some(need) => {
                let (_, why) = ELSEWHERE.iter().find(|(known, _)| *known == need).unwrap();
                names_what_is_shipped(block);
                return format!("not executed here: {why}");
            }
            None => {}
        }
        if block.serves() {
            return self.serve(block, &script, &how);
        }
        let patience = if block.need.as_deref() == Some("release") { BUILD } else { PATIENCE };
        let (code, came) = self.run(&script, patience);
        if code != Some(0) {
            self.problems.push(format!("{place}: exit code {code:?} of\n{script}which said\n{came}\n"));
        }
        if block.script.contains("> page.html") {
            self.look_at_the_page();
        }
        let Some(shown) = &block.shown else { return how };
        let as_lines =
            |text: &str| -> Vec<String> { text.lines().map(|line| line.trim_end().to_owned()).collect() };
        let (shown, came) = (as_lines(shown), as_lines(&came));
        let [shown_lines, came_lines] =
            [&shown, &came].map(|lines| lines.iter().map(String::as_str).collect::<Vec<_>>());
        if !is_shown(&shown_lines, &came_lines) {
            self.problems.push(format!(
                "{place}:\n{}should give\n{}\nand gave\n{}\n",
                block.script,
                shown.join("\n"),
                came.join("\n")
            ));
        }
        how + ", its output compared"
    }

    /// A server at its usual address, as Debian's package leaves one behind; it ends with the namespace.
    fn has_postgres(&mut self) -> bool {
        let Some(bin) = crate::postgres::programs() else { return false };
        let data = self.machine.join("postgres");
        if data.exists() {
            return true;
        }
        let (bin, data) = (bin.display(), data.display());
        let (code, said) = self.run(
            &format!(
                "mkdir -p {data} /var/run/postgresql\nchown postgres {data} /var/run/postgresql\ncd /\n\
                 runuser -u postgres -- {bin}/initdb --auth=trust -D {data}/data > {data}.log\n\
                 runuser -u postgres -- {bin}/pg_ctl -D {data}/data -o '-c listen_addresses=127.0.0.1' -l {data}/log -w start > {data}.log\n\
                 cd -"
            ),
            PATIENCE,
        );
        assert_eq!(code, Some(0), "{said}");
        true
    }

    fn shell(&self, script: &str) -> Command {
        let state = self.machine.join("state");
        let state = state.display();
        // Variables and the folder stay, as in a terminal.
        let script = format!(
            "set -eua -o pipefail\n[ ! -f {state} ] || . {state}\n{script}\nset +eu\nexport -p > {state}\necho cd \"'$PWD'\" >> {state}\n"
        );
        // What any shell can read (`is_shell`), by one that notices when the first of two commands in a pipe fails.
        let mut command = Command::new("bash");
        command.args(["--posix", "-c", &script]).stdin(Stdio::null());
        let path = std::env::var("PATH").unwrap();
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BANGGIA_"))
        {
            command.env_remove(name);
        }
        command.env("PATH", format!("{path}:/usr/sbin:/sbin")).env("HOME", self.machine.join("home"));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs commands as they are typed; exit code and everything that they said.
    fn run(&self, script: &str, patience: Duration) -> (Option<i32>, String) {
        // A file: what is left in the background must not keep us waiting.
        let said = self.machine.join("said");
        let file = fs::File::create(&said).unwrap();
        let mut child = self.shell(script).stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        let deadline = Instant::now() + patience;
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > deadline {
                child.kill().unwrap();
                panic!(
                    "this does not end:\n{script}\nso far:\n{}",
                    fs::read_to_string(&said).unwrap_or_default()
                );
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        (status.code(), String::from_utf8_lossy(&fs::read(&said).unwrap()).into_owned())
    }

    /// A server in front of a terminal, until the section ends.
    fn serve(&mut self, block: &Block, script: &str, how: &str) -> String {
        let said = self.machine.join("terminal");
        let file = fs::File::create(&said).unwrap();
        // In the shell's place, so that its number is the server's.
        let script = script.trim_end();
        let (before, last) = script.rsplit_once('\n').unwrap_or(("", script));
        let mut child = self
            .shell(&format!("{before}\nexec {last}"))
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        let deadline = Instant::now() + PATIENCE;
        let came = loop {
            let came = String::from_utf8_lossy(&fs::read(&said).unwrap()).into_owned();
            if came.contains("ops listener on") {
                break came;
            }
            let ended = child.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "{}: it does not serve:\n{came}",
                block.place()
            );
            std::thread::sleep(Duration::from_millis(20));
        };
        self.terminals.push(child);
        if let Some(shown) = &block.shown {
            for line in shown.lines().filter(|line| *line != "…") {
                let there = came.lines().any(|came| is_like(line, came));
                assert!(there, "{}: \"{line}\" is not in\n{came}", block.place());
            }
            return format!("{how} until its section ends, its output compared");
        }
        format!("{how} until its section ends")
    }

    /// Whatever runs in the background ends before another page begins.
    fn end_page(&mut self) {
        self.end_section();
        let script = "kill $(pidof banggia)\nwhile pidof banggia; do sleep 0.1; done";
        let (_, said) = self.run(&script.replacen("kill", "pidof banggia && kill", 1), PATIENCE);
        assert!(!said.contains("banggia:"), "{said}");
    }

    /// Ctrl-C.
    fn end_section(&mut self) {
        for mut server in self.terminals.drain(..) {
            assert!(
                Command::new("kill").args(["-INT", &server.id().to_string()]).status().unwrap().success()
            );
            assert!(server.wait().unwrap().success(), "a server in front of a terminal did not end well");
        }
    }

    fn is_shell(block: &Block) {
        let checked = Command::new("sh").args(["-nc", &block.script]).output().unwrap();
        assert!(checked.status.success(), "{}: {}", block.place(), String::from_utf8_lossy(&checked.stderr));
    }

    /// The page with the board, as its reader sees it: the same board as a fragment has its figures, and a browser draws them.
    fn look_at_the_page(&self) {
        let page = fs::read_to_string("page.html").unwrap();
        let (_, rest) = page.split_once("src=\"").unwrap();
        let (script, _) = rest.split_once('"').unwrap();
        let (service, _) = script.split_once("/embed/").unwrap();
        let (_, rest) = page.split_once("widget=\"").unwrap();
        let address = format!("{service}/fragments/{}", rest.split_once('"').unwrap().0);
        let deadline = Instant::now() + PATIENCE;
        // Everything that the panel shows; the first answers are on their way for some moments.
        loop {
            let (code, frame) = self.run(&format!("curl -sSf '{address}'"), PATIENCE);
            let figures = figures(&frame);
            if code == Some(0) && figures.len() > 35 && !frame.contains("Chưa có số liệu") {
                break;
            }
            assert!(Instant::now() < deadline, "the board stays empty, with {figures:?}: {code:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
        if !installed("chromium") {
            return missing("chromium");
        }
        let drawn = |page: &str| -> u64 {
            let (code, said) = self.run(
                &format!(
                    "chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --virtual-time-budget=5000 --user-data-dir={0}/chromium --window-size=330,960 --screenshot={0}/drawn.png \"file://$PWD/{page}\"",
                    self.machine.display()
                ),
                PATIENCE,
            );
            assert_eq!(code, Some(0), "{said}");
            fs::metadata(self.machine.join("drawn.png")).unwrap().len()
        };
        fs::write("empty.html", page.replace(script, "http://127.0.0.1:1/")).unwrap();
        let empty = drawn("empty.html");
        // The element draws once its figures are here, which is after the page is.
        while drawn("page.html") < 4 * empty {
            assert!(
                Instant::now() < deadline,
                "a page with a board is drawn as one without, in {empty} bytes"
            );
        }
        if let Some(folder) = std::env::var_os("BANGGIA_KEEP_DRAWN") {
            fs::copy(self.machine.join("drawn.png"), Path::new(&folder).join("page.png")).unwrap();
        }
    }

    /// A delivery of the webhook, as a receiver has it: in variables and a file.
    fn deliver(&self) {
        let (text, id, body) =
            ("whsec_bmljaHQgZ2VoZWltLCBudXIgZsO8ciBUZXN0cw==", "msg_1", "{\"type\":\"feed.stale\"}");
        let now = jiff::Timestamp::now().as_second();
        let key: banggia::webhook::Key = text.parse().unwrap();
        let signature = key.sign(id, now, body.as_bytes());
        let (code, said) = self.run(
            &format!("key='{text}' id='{id}' timestamp='{now}' signature='{signature}'\nprintf '%s' '{body}' > body"),
            PATIENCE,
        );
        assert_eq!(code, Some(0), "{said}");
    }
}

/// The texts between tags that are figures.
fn figures(html: &str) -> Vec<&str> {
    let texts = html.split('<').filter_map(|tag| Some(tag.split_once('>')?.1.trim()));
    let is_figure = |text: &&str| {
        text.len() > 2
            && text.chars().all(|c| c.is_ascii_digit() || ".,".contains(c))
            && text.contains([',', '.'])
    };
    texts.filter(is_figure).collect()
}

/// TPBank's board with a price that is seven per cent lower.
fn jumped() -> Vec<u8> {
    scaled("tpbank.gold", "chart", dec!(0.93)).into_values().next().unwrap()
}

/// The commands of a block for a machine whose service manager does not run: its own analysis reads what it would start.
fn without_manager(script: &str) -> String {
    let mut text = String::new();
    for line in script.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let installed = |units: &[&str]| -> String {
            units.iter().flat_map(|unit| [" /etc/systemd/system/", unit]).collect()
        };
        let instead = match words.as_slice() {
            ["systemctl", "daemon-reload"] => continue,
            ["systemctl", "enable", "--now", units @ ..]
            | ["systemctl", "restart" | "reload" | "status", units @ ..] => {
                format!("systemd-analyze verify --man=no{}", installed(units))
            }
            ["systemd-analyze", "security", unit] => {
                format!(
                    "systemd-analyze security --no-pager --offline=true --threshold=20{}",
                    installed(&[unit])
                )
            }
            ["systemctl" | "systemd-analyze" | "journalctl", ..] => {
                panic!("nobody knows how to check this without a service manager: {line}")
            }
            _ => line.to_owned(),
        };
        text.push_str(&instead);
        text.push('\n');
    }
    text
}

/// Files and services of the containers that a block names are ones that are shipped.
fn names_what_is_shipped(block: &Block) {
    let compose = fs::read_to_string("deploy/compose.yml").unwrap();
    let commands = block.script.lines().filter_map(|line| line.split('#').next());
    for word in commands.flat_map(str::split_whitespace) {
        let exists = match block.need.as_deref() {
            _ if word.starts_with("deploy/") || word.starts_with("tests/") => Path::new(word).is_file(),
            Some("docker") if word == "banggia" => compose.contains("\n  banggia:\n"),
            Some("bench") if !["cargo", "bench", "--bench"].contains(&word) => {
                Path::new("benches").join(word).with_extension("rs").is_file()
            }
            _ => true,
        };
        assert!(exists, "{}: there is no {word}", block.place());
    }
}
