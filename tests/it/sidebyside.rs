//! Side by side: this service and two programs of the kind that people write instead ask the same bank through the
//! same day of faults. Who shows a figure that the bank never published, an old one without a word, or none?
//! The table is printed and left in the target folder as `tmp/sidebyside.txt`.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use hyper::{Response, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use jiff::{Timestamp, civil::Date};
use rust_decimal::{Decimal, RoundingStrategy, dec};
use serde_json::{Value, json};

use crate::{
    bank::{Bank, Reply},
    house::{House, client, path, recorded},
};

/// Quotes that are asked for after each round.
const ASKED: [&str; 5] = ["USD", "EUR", "GBP", "JPY", "KRW"];
/// How old a figure may be without saying so: all three look once a second, and a second may be missed.
const GRACE: Duration = Duration::from_secs(3);
/// How long anybody waits for the bank.
const PATIENCE: Duration = Duration::from_secs(1);

/// Code, buying in cash and by transfer, selling; as the bank's page has them.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    code: String,
    figures: [Option<Decimal>; 3],
}

type Rows = Vec<Row>;

/// Buying by transfer and selling.
type Pair = (Option<Decimal>, Option<Decimal>);

fn pair(row: &Row) -> Pair {
    (row.figures[1], row.figures[2])
}

/// The bank's recorded board.
fn board() -> Rows {
    let page: Value = serde_json::from_slice(&recorded("vietcombank.fx", "json", 0, None)).unwrap();
    let figure =
        |value: &Value| value.as_str().unwrap().parse().ok().filter(|price: &Decimal| !price.is_zero());
    let rows = page["Data"].as_array().unwrap().iter();
    rows.map(|row| Row {
        code: row["currencyCode"].as_str().unwrap().to_owned(),
        figures: ["cash", "transfer", "sell"].map(|column| figure(&row[column])),
    })
    .collect()
}

fn scaled(rows: &Rows, factor: Decimal) -> Rows {
    each(rows, |figures| {
        figures.map(|figure| {
            figure.map(|price| {
                (price * factor).round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)
            })
        })
    })
}

fn each(rows: &Rows, change: impl Fn([Option<Decimal>; 3]) -> [Option<Decimal>; 3]) -> Rows {
    rows.iter().map(|row| Row { code: row.code.clone(), figures: change(row.figures) }).collect()
}

/// As the bank writes it.
fn page(rows: &Rows, at: Timestamp) -> Vec<u8> {
    let text = |figure: Option<Decimal>| figure.unwrap_or_default().to_string();
    let local = providers::VIETNAM.to_datetime(at);
    json!({
        "Count": rows.len(),
        "Date": format!("{}T00:00:00", local.date()),
        "UpdatedDate": format!("{}+07:00", local.strftime("%FT%T")),
        "Data": rows.iter().map(|row| json!({
            "currencyName": row.code, "currencyCode": row.code, "cash": text(row.figures[0]),
            "transfer": text(row.figures[1]), "sell": text(row.figures[2]), "icon": "",
        })).collect::<Vec<_>>(),
    })
    .to_string()
    .into_bytes()
}

/// What the bank does in a round.
struct Round {
    name: &'static str,
    reply: Reply,
    /// The rows of it that are right.
    truth: Rows,
    /// All of them.
    good: bool,
}

fn rounds() -> Vec<Round> {
    let now = Timestamp::now() - jiff::SignedDuration::from_secs(1);
    let morning = board();
    let noon = scaled(&morning, dec!(1.002));
    let evening = scaled(&morning, dec!(1.004));
    let fault = |name, reply| Round { name, reply, truth: Rows::new(), good: false };
    let wrong = |name, rows: &Rows| fault(name, Reply::ok(page(rows, now)));
    let good = |name, rows: &Rows| Round { truth: rows.clone(), good: true, ..wrong(name, rows) };
    let swapped = each(&morning, |[cash, transfer, sell]| [cash, sell, transfer]);
    let inverted =
        each(&noon, |figures| figures.map(|figure| figure.map(|price| (Decimal::ONE / price).round_dp(8))));
    let mut copied = noon.clone();
    let euro = copied.iter().find(|row| row.code == "EUR").unwrap().figures;
    copied.iter_mut().find(|row| row.code == "GBP").unwrap().figures = euro;
    let cut = page(&noon, now);
    let cut = cut[..cut.len() / 2].to_vec();
    let yesterday = page(&before(), now - jiff::SignedDuration::from_hours(24));
    vec![
        good("a good day", &morning),
        wrong("prices x 10", &scaled(&morning, dec!(10))),
        wrong("prices x 1000", &scaled(&morning, dec!(1000))),
        wrong("columns swapped", &swapped),
        good("good again", &noon),
        fault("JSON cut in two", Reply::ok(cut)),
        fault(
            "a firewall's page, status 200",
            Reply::ok(
                "<html><head><title>Request Rejected</title></head><body>Your support ID is: 1</body></html>",
            ),
        ),
        fault("status 500", Reply::status(500)),
        fault("no answer in time", Reply::Drip(b"HTTP/1.1 200 OK\r\nX: ".to_vec())),
        fault("an empty list", Reply::ok(page(&Vec::new(), now))),
        fault("yesterday's page", Reply::ok(yesterday)),
        Round {
            truth: noon.into_iter().filter(|row| row.code != "GBP").collect(),
            ..wrong("one row copied to another", &copied)
        },
        wrong("rates inverted", &inverted),
        good("good to the end", &evening),
    ]
}

/// Yesterday's board.
fn before() -> Rows {
    scaled(&board(), dec!(0.99))
}

/// What the bank really published, with when it stopped saying so, and how long before that instant.
struct Truth(Vec<(Rows, Instant, Duration)>);

impl Truth {
    /// For how long the bank has not been saying this any more; `None`: it never did.
    fn age(&self, code: &str, shown: Pair, at: Instant) -> Option<Duration> {
        let said = |rows: &Rows| rows.iter().any(|row| row.code == code && pair(row) == shown);
        let ages = self.0.iter().filter(|(rows, ..)| said(rows));
        ages.map(|(_, until, before)| at.saturating_duration_since(*until) + *before).min()
    }
}

/// A figure as somebody shows it, and whether the answer says that it is old.
struct Shown {
    pair: Pair,
    marked: bool,
}

type Board = HashMap<String, Shown>;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Count {
    wrong: usize,
    old: usize,
    failed: usize,
}

impl Count {
    fn add(self, other: Self) -> Self {
        Self {
            wrong: self.wrong + other.wrong,
            old: self.old + other.old,
            failed: self.failed + other.failed,
        }
    }
}

fn count(board: Option<&Board>, truth: &Truth, at: Instant) -> Count {
    let mut count = Count::default();
    for code in ASKED {
        match board.and_then(|board| board.get(code)) {
            None => count.failed += 1,
            Some(Shown { pair, marked }) => match truth.age(code, *pair, at) {
                None => count.wrong += 1,
                Some(age) if age > GRACE && !marked => count.old += 1,
                Some(_) => {}
            },
        }
    }
    count
}

/// The bank's page as both others read it: what is JSON and has the keys is taken.
fn read(body: &str) -> Option<BTreeMap<String, [String; 2]>> {
    let page: Value = serde_json::from_str(body).ok()?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    page["Data"]
        .as_array()?
        .iter()
        .map(|row| Some((text(&row["currencyCode"])?, [text(&row["transfer"])?, text(&row["sell"])?])))
        .collect()
}

async fn asked(client: &reqwest::Client, url: &str) -> Option<(String, Option<Date>)> {
    let response = client.get(url).timeout(PATIENCE).send().await.ok()?.error_for_status().ok()?;
    let body = response.text().await.ok()?;
    let page: Value = serde_json::from_str(&body).ok()?;
    let date = page["Date"].as_str().and_then(|date| date.get(..10)?.parse().ok());
    Some((body, date))
}

fn shown(rates: &BTreeMap<String, [String; 2]>, marked: bool) -> Board {
    let figure = |text: &str| text.parse().ok().filter(|price: &Decimal| !price.is_zero());
    let one = |[buy, sell]: &[String; 2]| Shown { pair: (figure(buy), figure(sell)), marked };
    rates.iter().map(|(code, pair)| (code.clone(), one(pair))).collect()
}

/// The script behind nginx.
struct Cached {
    nginx: Child,
    address: std::net::SocketAddr,
    /// How often nginx asked the script.
    runs: Arc<AtomicUsize>,
    _folder: crate::canary::Folder,
}

impl Drop for Cached {
    fn drop(&mut self) {
        // Not SIGKILL, which would leave nginx's workers behind.
        let _ = Command::new("kill").args(["-TERM", &self.nginx.id().to_string()]).status();
        let _ = self.nginx.wait();
    }
}

impl Cached {
    /// `None`: there is no nginx here.
    async fn start(url: String) -> Option<Self> {
        let program = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"];
        let program = program.into_iter().map(PathBuf::from).find(|path| path.is_file())?;
        let runs = Arc::new(AtomicUsize::new(0));
        let script = {
            let (client, runs) = (client(), Arc::clone(&runs));
            service_fn(move |_| {
                let (client, url, runs) = (client.clone(), url.clone(), Arc::clone(&runs));
                async move {
                    let rates = asked(&client, &url).await.and_then(|(body, _)| read(&body));
                    runs.fetch_add(1, Ordering::AcqRel);
                    let answer = Response::builder();
                    match rates {
                        Some(rates) => answer.body(json!({ "rates": rates }).to_string()),
                        None => answer.status(502).body(String::new()),
                    }
                }
            })
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), script.clone()));
            }
        });
        let folder = crate::canary::tempdir().unwrap();
        // Started by root, nginx works as somebody else.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = format!(
            "daemon off; worker_processes 1; pid pid; error_log stderr crit; events {{ worker_connections 64; }}\n\
             http {{ access_log off;\n\
             client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;\n\
             proxy_cache_path cache keys_zone=kept:1m inactive=1h use_temp_path=off;\n\
             server {{ listen {address}; location / {{ proxy_pass http://{origin}; proxy_cache kept;\n\
             proxy_cache_valid 200 1s; proxy_connect_timeout 2s; proxy_read_timeout 2s; proxy_cache_use_stale\n\
             error timeout invalid_header updating http_500 http_502 http_503 http_504; }} }} }}\n"
        );
        std::fs::write(folder.path().join("nginx.conf"), config).unwrap();
        let nginx = Command::new(program)
            .arg("-p")
            .arg(folder.path())
            .args(["-c", "nginx.conf", "-e", "stderr"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let cached = Self { nginx, address, runs, _folder: folder };
        within(Duration::from_secs(10), || async { tokio::net::TcpStream::connect(address).await.is_ok() })
            .await;
        Some(cached)
    }

    async fn board(&self, client: &reqwest::Client) -> Option<Board> {
        let response = client.get(format!("http://{}/", self.address)).send().await.ok()?;
        let body = response.error_for_status().ok()?.text().await.ok()?;
        let answer: Value = serde_json::from_str(&body).ok()?;
        let rates: BTreeMap<String, [String; 2]> = serde_json::from_value(answer["rates"].clone()).ok()?;
        Some(shown(&rates, false))
    }

    /// Readers come all the time; the first after the cached second makes nginx ask the script.
    async fn asks_the_script(&self, client: &reqwest::Client) {
        let before = self.runs.load(Ordering::Acquire);
        let asked = within(Duration::from_secs(6), || async {
            let _ = self.board(client).await;
            self.runs.load(Ordering::Acquire) > before
        });
        assert!(asked.await, "nginx never asked again");
    }
}

/// Whether a condition came true in time.
async fn within<F: Future<Output = bool>>(most: Duration, condition: impl Fn() -> F) -> bool {
    let deadline = Instant::now() + most;
    while Instant::now() < deadline {
        if condition().await {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}

/// Days of rates as Frankfurter keeps them.
#[derive(Default)]
struct Daily(BTreeMap<Date, BTreeMap<String, [String; 2]>>);

impl Daily {
    async fn fetch(&mut self, client: &reqwest::Client, url: &str) {
        if let Some((body, Some(date))) = asked(client, url).await
            && let Some(rates) = read(&body)
        {
            self.0.entry(date).or_default().extend(rates);
        }
    }

    /// The newest day's; the answer says which day that is.
    fn board(&self, today: Date) -> Option<Board> {
        let (date, rates) = self.0.last_key_value()?;
        Some(shown(rates, *date < today))
    }
}

/// The service as its documents show it.
async fn ours(house: &House) -> Option<Board> {
    let response = house.get("/v1/fx?providers=vietcombank").await.error_for_status().ok()?;
    let document: Value = serde_json::from_str(&response.text().await.ok()?).ok()?;
    let figure = |value: &Value| value.as_str().and_then(|text| text.parse().ok());
    let quotes = document["quotes"].as_array()?.iter();
    let one = |quote: &Value| Shown {
        pair: (figure(&quote["buy_transfer"]), figure(&quote["sell"])),
        marked: quote["status"] != "fresh",
    };
    Some(quotes.map(|quote| (quote["currency"].as_str().unwrap().to_owned(), one(quote))).collect())
}

/// Looks once a second, as the others do, and calls a figure stale that was missed for a second.
fn every_second(text: &str) -> String {
    let known = "[feeds.vietcombank.fx]\nschedule = \"0 3 1 1 *\"\njitter = \"0s\"\ntimeout = \"3s\"\n";
    let wanted = "[feeds.vietcombank.fx]\nschedule = \"* * * * * *\"\njitter = \"0s\"\ntimeout = \"1s\"\nstale_after = \"1s\"\n";
    assert!(text.contains(known));
    text.replace(known, wanted)
}

const CONTENDERS: [(&str, &str); 3] = [
    ("this service", "as it is, looking once a second; a quote whose status is not \"fresh\" is marked"),
    (
        "script behind nginx",
        "asks the bank when it is asked, takes what is JSON with the known keys, else 502; nginx keeps answers a second and proxy_cache_use_stale for every failure",
    ),
    (
        "Frankfurter-style",
        "looks once a second, keeps by day whatever can be read, shows the newest day and its date; a date before today is marked",
    ),
];

fn table(rounds: &[(&'static str, [Option<Count>; 3])]) -> (String, [Option<Count>; 3]) {
    let mut text = format!(
        "Side by side: {} quotes after each of {} rounds; wrong = never published by the bank, old = over {} s and unmarked, failed = none\n\n",
        ASKED.len(),
        rounds.len(),
        GRACE.as_secs()
    );
    for (name, what) in CONTENDERS {
        writeln!(text, "{name}: {what}.").unwrap();
    }
    let heading = |count: &str| CONTENDERS.map(|_| count.to_owned());
    let line = |text: &mut String, name: &str, cells: [String; 3]| {
        writeln!(text, "{name:<32}{:>24}{:>24}{:>24}", cells[0], cells[1], cells[2]).unwrap();
    };
    text.push('\n');
    line(&mut text, "", CONTENDERS.map(|(name, _)| name.to_owned()));
    line(&mut text, "round", heading("wrong/old/failed"));
    let cell = |count: Option<Count>| {
        count.map_or("skipped".to_owned(), |Count { wrong, old, failed }| format!("{wrong}/{old}/{failed}"))
    };
    let mut sum: [Option<Count>; 3] = [None; 3];
    for (name, counts) in rounds {
        line(&mut text, name, counts.map(cell));
        for (sum, count) in sum.iter_mut().zip(counts) {
            *sum = count.map(|count| sum.unwrap_or_default().add(count));
        }
    }
    line(&mut text, "all", sum.map(cell));
    (text, sum)
}

#[tokio::test(flavor = "multi_thread")]
async fn g_b11_side_by_side_on_the_same_faults_ours_are_neither_wrong_nor_old_nor_missing() {
    let address = path("vietcombank.fx", "json");
    let at_the_bank = |bank: &Bank| {
        bank.hits(&path("vietcombank.fx", "json")).iter().filter(|hit| hit.head.contains("banggia")).count()
    };
    let mut rounds = rounds();
    let first = rounds.remove(0);
    let mut house =
        House::with(|bank| bank.script(&address, [first.reply.clone()]), |text| every_second(&text)).await;
    let (bank, client) = (house.bank.clone(), client());
    let url = bank.url(&address);
    let cached = Cached::start(url.clone()).await;
    if cached.is_none() {
        // Past the test harness, which keeps what a good test prints to itself.
        let skipped =
            "sidebyside: the script behind nginx is SKIPPED: there is no nginx here (Debian: nginx-light)";
        let _ = writeln!(std::io::stderr(), "{skipped}");
    }
    let mut daily = Daily::default();
    let started = Instant::now();
    let mut truth = Truth(vec![(before(), started, Duration::from_hours(24))]);
    let mut counts = Vec::new();
    for Round { name, reply, truth: rows, good } in std::iter::once(first).chain(rounds) {
        // From here on the bank says something else than before, until further notice.
        bank.script(&address, [reply]);
        let at = Instant::now();
        if let Some((_, until, _)) = truth.0.last_mut() {
            *until = at.min(*until);
        }
        truth.0.push((rows, at + Duration::from_hours(1), Duration::ZERO));
        if !counts.is_empty() {
            // A new process forgets its back-off, so that no fault stays unseen behind the one before it.
            let before = at_the_bank(&bank);
            house = house.restart(|text| every_second(&text)).await;
            assert!(within(Duration::from_secs(10), || async { at_the_bank(&bank) > before }).await);
        }
        // Until all three have looked; ours until its run is published, though what it tries again may go on.
        let _ = tokio::join!(
            tokio::time::timeout(2 * PATIENCE, house.refresh("vietcombank.fx")),
            daily.fetch(&client, &url),
            async {
                if let Some(cached) = &cached {
                    cached.asks_the_script(&client).await;
                }
            }
        );
        if good {
            house
                .wait(name, |feeds| {
                    let feeds = feeds["feeds"].as_array().unwrap();
                    feeds.iter().any(|feed| feed["id"] == "vietcombank.fx" && feed["status"] == "fresh")
                })
                .await;
        }
        let today = providers::VIETNAM.to_datetime(Timestamp::now()).date();
        let boards = [
            ours(&house).await,
            match &cached {
                Some(cached) => cached.board(&client).await,
                None => None,
            },
            daily.board(today),
        ];
        let at = Instant::now();
        let mut round = boards.map(|board| Some(count(board.as_ref(), &truth, at)));
        if cached.is_none() {
            round[1] = None;
        }
        counts.push((name, round));
    }
    let (text, [us, nginx, frankfurter]) = table(&counts);
    println!("{text}\n{:?}", started.elapsed());
    std::fs::write(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("sidebyside.txt"), &text).unwrap();
    // The faults bite whoever does not judge.
    assert!(frankfurter.unwrap().wrong > 0 && nginx.is_none_or(|count| count.wrong > 0 && count.failed > 0));
    assert_eq!(us, Some(Count::default()), "{text}");
    house.app.stop().await;
}
