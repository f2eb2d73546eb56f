//! Names and addresses: what does not resolve, what resolves slowly, and what leads into the private network.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use banggia::{
    clock::Clock,
    fetch::{Fetcher, Live, Names},
};
use futures_util::future::BoxFuture;
use tokio::net::TcpListener;

use super::rig::{Asker, Fault, good, paths, row, settings, sources};
use crate::bank::{Bank, Reply};

/// A resolver that says what the test wants, in order; the last answer stays.
struct Scripted {
    script: Mutex<Vec<Said>>,
    asked: AtomicUsize,
}

#[derive(Clone)]
enum Said {
    Fails(io::ErrorKind),
    Are(Vec<IpAddr>),
    Never,
}

impl Names for Scripted {
    fn addresses(&self, _: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut script = self.script.lock().unwrap();
        let said = if script.len() > 1 { script.remove(0) } else { script[0].clone() };
        Box::pin(async move {
            match said {
                Said::Fails(kind) => Err(kind.into()),
                Said::Are(addresses) => Ok(addresses),
                Said::Never => std::future::pending().await,
            }
        })
    }
}

fn asker(script: Vec<Said>) -> (Asker, Arc<Scripted>) {
    let names = Arc::new(Scripted { script: Mutex::new(script), asked: AtomicUsize::new(0) });
    let live = Live::new(&crate::house::config("").fetch, Clock::system())
        .with_names(Arc::clone(&names) as Arc<dyn Names>);
    (Asker(Fetcher::Live(live)), names)
}

/// Counts who connects.
async fn canary() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, hits) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&hits);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            seen.fetch_add(1, Ordering::SeqCst);
        }
    });
    (address, hits)
}

#[tokio::test(flavor = "multi_thread")]
async fn f03_a_resolver_that_fails_is_asked_again_at_once_and_a_silent_one_is_given_up() {
    let loopback: IpAddr = "127.0.0.1".parse().unwrap();
    let bank = Bank::open().await;
    for (feed, source) in sources() {
        for path in paths(feed.id, source.id) {
            bank.script(&path, [Reply::ok(good(feed.id, source.id))]);
        }
        let url = format!("http://bank.example:{}{}", bank.address.port(), paths(feed.id, source.id)[0]);
        let settings = settings(&url, true);
        for bad in
            [Said::Fails(io::ErrorKind::NotFound), Said::Fails(io::ErrorKind::TimedOut), Said::Are(vec![])]
        {
            let (asker, names) = asker(vec![bad, Said::Are(vec![loopback])]);
            let results = asker.ask((feed, source), &settings, Duration::from_secs(10)).await;
            assert_eq!(results[0].as_ref().unwrap_err().code(), "dns", "{}.{}", feed.id, source.id);
            // Nothing is remembered: the next question is asked, and its answer used.
            let results = asker.ask((feed, source), &settings, Duration::from_secs(10)).await;
            assert!(results.iter().all(Result::is_ok), "{}.{}: {results:?}", feed.id, source.id);
            assert!(names.asked.load(Ordering::SeqCst) >= 2);
        }
    }
    let (feed, source) = sources().next().unwrap();
    let (asker, _) = asker(vec![Said::Never]);
    let started = Instant::now();
    let settings = settings("http://bank.example/", true);
    let results = asker.ask((feed, source), &settings, Duration::from_secs(30)).await;
    assert_eq!(results[0].as_ref().unwrap_err().code(), "dns");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

/// Twelve ways of writing what is not out in the Internet, and some more.
const FORMS: &[&str] = &[
    "127.0.0.1",
    "2130706433",
    "0x7f.1",
    "0x7f000001",
    "0177.0.0.1",
    "127.1",
    "0.0.0.0",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[fd00::1]",
    "[fe80::1]",
    "169.254.169.254",
    "10.0.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "１２７.0.0.1",
    "127。0。0。1",
];

#[tokio::test(flavor = "multi_thread")]
async fn f14_no_spelling_of_a_private_address_is_connected_to() {
    let (address, hits) = canary().await;
    let asker = Asker::new();
    let mut asked = 0;
    for form in FORMS {
        for scheme in ["http", "https"] {
            let settings = settings(&format!("{scheme}://{form}:{}/x", address.port()), false);
            for (feed, source) in sources() {
                for result in asker.ask((feed, source), &settings, Duration::from_secs(5)).await {
                    assert_eq!(result.unwrap_err().code(), "private_address", "{form} {}", feed.id);
                    asked += 1;
                }
            }
        }
    }
    assert_eq!(hits.load(Ordering::SeqCst), 0);
    println!("{asked} questions, 0 connections");
}

#[tokio::test(flavor = "multi_thread")]
async fn f14_a_name_that_turns_private_is_refused_before_it_is_connected_to() {
    let (address, hits) = canary().await;
    let private: IpAddr = "127.0.0.1".parse().unwrap();
    // Documentation addresses lead nowhere either, but are not public; one that is, nobody is connected to for long.
    for said in [
        vec![private],
        vec!["1.1.1.1".parse().unwrap(), private],
        vec!["::ffff:127.0.0.1".parse().unwrap()],
        vec!["fd00::1".parse().unwrap()],
        vec!["169.254.169.254".parse().unwrap()],
    ] {
        let (asker, names) = asker(vec![Said::Are(said.clone())]);
        for (feed, source) in sources() {
            let settings = settings(&format!("http://rebind.example:{}/x", address.port()), false);
            for result in asker.ask((feed, source), &settings, Duration::from_secs(5)).await {
                assert_eq!(result.unwrap_err().code(), "private_address", "{said:?} {}", feed.id);
            }
        }
        assert!(
            names.asked.load(Ordering::SeqCst) >= 10,
            "each connection asks anew: no answer is trusted later"
        );
    }
    assert_eq!(hits.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn f14_a_source_that_moves_into_the_private_network_keeps_what_is_served() {
    let (address, hits) = canary().await;
    let faults = ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0x7f.1"]
        .into_iter()
        .map(|form| {
            let url = format!("https://{form}:{}/x", address.port());
            Fault::moved(form, move |_, _| format!("url = \"{url}\""), &["private_address"])
        })
        .collect();
    row("F-14", faults).await;
    assert_eq!(hits.load(Ordering::SeqCst), 0);
}
