//! Certificates are always checked: an unknown issuer, a wrong name and an expired certificate are refused as what
//! they are, before anything is asked; `ca_file` mends an unknown issuer and nothing else.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

use crate::house::{House, recorded, source};

/// A bank behind a certificate of a private authority.
struct Bank {
    address: SocketAddr,
    /// The authority, as an operator would save it.
    authority: PathBuf,
    asked: Arc<AtomicUsize>,
    _folder: crate::canary::Folder,
}

impl Bank {
    async fn open(name: &str, expired: bool) -> Self {
        Self::signed(name, expired, None).await
    }

    /// Whose authority is not the root itself, but signed by it.
    async fn issued_by(root: &Issuer<'_, KeyPair>) -> Self {
        Self::signed("localhost", false, Some(root)).await
    }

    async fn signed(name: &str, expired: bool, root: Option<&Issuer<'_, KeyPair>>) -> Self {
        let authority_key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = match root {
            None => params.self_signed(&authority_key).unwrap(),
            Some(root) => params.signed_by(&authority_key, root).unwrap(),
        };
        let issuer = Issuer::new(params, authority_key);
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        if expired {
            params.not_before = date_time_ymd(2019, 1, 1);
            params.not_after = date_time_ymd(2020, 1, 1);
        }
        let certificate = params.signed_by(&key, &issuer).unwrap();

        let folder = crate::canary::tempdir().unwrap();
        let file = folder.path().join("authority.pem");
        std::fs::write(&file, authority.pem()).unwrap();
        let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&asked);
        let body = recorded("tpbank.gold", "chart", 0, None);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, seen, body) = (acceptor.clone(), Arc::clone(&seen), body.clone());
                tokio::spawn(async move {
                    // A client that refuses the certificate ends here.
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut request = [0; 4096];
                    if stream.read(&mut request).await.unwrap_or(0) == 0 {
                        return;
                    }
                    seen.fetch_add(1, Ordering::SeqCst);
                    let head = format!(
                        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                        body.len()
                    );
                    let _ = stream.write_all(&[head.into_bytes(), body].concat()).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self { address, authority: file, asked, _folder: folder }
    }

    /// A service whose TPBank is this bank, by the name `localhost`; the feed after its first run.
    async fn served(&self, settings: &str) -> (House, Value) {
        let house = House::with(
            |_| {},
            |text| {
                let url = format!("url = \"https://localhost:{}/\"\n{settings}", self.address.port());
                let old = text.lines().find(|line| line.contains("/tpbank.gold/chart")).unwrap().to_owned();
                text.replace(&format!("{old}\nallow_private = true"), &url)
            },
        )
        .await;
        house.settled().await;
        let feed = house
            .wait("tpbank was asked", |feeds| {
                feeds["feeds"].as_array().unwrap().iter().any(|feed| {
                    feed["id"] == "tpbank.gold" && !source(feed, "chart")["last_attempt_at"].is_null()
                })
            })
            .await["feeds"][1]
            .clone();
        (house, feed)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f20_a_certificate_of_an_unknown_issuer_a_wrong_name_or_past_its_day_is_refused_as_such() {
    for (name, expired, known) in
        [("localhost", false, false), ("bank.example", false, true), ("localhost", true, true)]
    {
        let bank = Bank::open(name, expired).await;
        let mut settings = "allow_private = true\n".to_owned();
        if known {
            settings.push_str(&format!("ca_file = \"{}\"\n", bank.authority.display()));
        }
        let (house, feed) = bank.served(&settings).await;
        let chart = source(&feed, "chart");
        assert_eq!(chart["reason"]["code"], "tls", "{name} {expired} {known}: {chart}");
        assert_eq!(feed["status"], "unavailable");
        assert_eq!(bank.asked.load(Ordering::SeqCst), 0, "nothing is asked of a stranger");
        house.app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f20_a_ca_file_mends_an_unknown_issuer() {
    let bank = Bank::open("localhost", false).await;
    let settings = format!("allow_private = true\nca_file = \"{}\"\n", bank.authority.display());
    let (house, feed) = bank.served(&settings).await;
    assert_eq!((&feed["status"], feed["reason"].is_null()), (&Value::from("fresh"), true), "{feed}");
    // The certificate's end is there to be watched.
    let ends = expiry(&house).await.expect("a certificate was seen");
    assert!(ends > 1_800_000_000, "{ends}");
    house.app.stop().await;
}

/// What the metrics say about the certificate of TPBank.
async fn expiry(house: &House) -> Option<i64> {
    let name = "banggia_upstream_cert_expiry_timestamp_seconds{feed=\"tpbank.gold\",source=\"chart\"} ";
    house.metrics().await.lines().find_map(|line| line.strip_prefix(name)?.parse().ok())
}

#[tokio::test(flavor = "multi_thread")]
async fn f20_the_end_of_an_expired_certificate_is_counted_although_it_is_refused() {
    let bank = Bank::open("localhost", true).await;
    let settings = format!("allow_private = true\nca_file = \"{}\"\n", bank.authority.display());
    let (house, feed) = bank.served(&settings).await;
    assert_eq!(source(&feed, "chart")["reason"]["code"], "tls");
    assert_eq!(expiry(&house).await, Some(1_577_836_800), "2020-01-01");
    house.app.stop().await;
}

/// The same faults through every way of asking every source.
#[tokio::test(flavor = "multi_thread")]
async fn f20_no_source_trusts_a_stranger_an_old_protocol_or_no_tls_at_all() {
    use crate::matrix::rig::{Asker, settings, sources};
    let strangers = [
        Bank::open("localhost", false).await.address,
        Bank::open("bank.example", false).await.address,
        Bank::open("localhost", true).await.address,
        // TLS 1.0 as the only version: a ServerHello that says so.
        answering(
            b"\x16\x03\x01\x00\x2a\x02\x00\x00\x26\x03\x01aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\x00\x00\x2f\x00",
        )
        .await,
        // An alert: protocol version.
        answering(b"\x15\x03\x01\x00\x02\x02\x46").await,
        // Plain HTTP.
        answering(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await,
    ];
    let asker = Asker::new();
    for address in strangers {
        for (feed, from) in sources() {
            let settings = settings(&format!("https://localhost:{}/", address.port()), true);
            for result in asker.ask((feed, from), &settings, std::time::Duration::from_secs(20)).await {
                assert_eq!(result.unwrap_err().code(), "tls", "{}.{} at {address}", feed.id, from.id);
            }
        }
    }
}

/// Says the same to everybody who says something first.
async fn answering(bytes: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(bytes).await;
                // Until the other side has read it and gone.
                while stream.read(&mut request).await.is_ok_and(|read| read > 0) {}
            });
        }
    });
    address
}

/// The bank sends its own certificate and not that of the issuer between it and the root.
#[tokio::test(flavor = "multi_thread")]
async fn f20_an_incomplete_chain_is_refused_and_mended_by_the_missing_link() {
    let root_key = KeyPair::generate().unwrap();
    let mut root_params = CertificateParams::new(Vec::new()).unwrap();
    root_params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root_params.distinguished_name.push(rcgen::DnType::CommonName, "root");
    let root = root_params.self_signed(&root_key).unwrap();
    let root_issuer = Issuer::new(root_params, root_key);
    let bank = Bank::issued_by(&root_issuer).await;
    for (bundle, wanted) in
        [(root.pem(), "unavailable"), (std::fs::read_to_string(&bank.authority).unwrap(), "fresh")]
    {
        let file = bank.authority.with_extension("bundle.pem");
        std::fs::write(&file, bundle).unwrap();
        let (house, feed) =
            bank.served(&format!("allow_private = true\nca_file = \"{}\"\n", file.display())).await;
        assert_eq!(feed["status"], wanted, "{feed}");
        house.app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f14_a_name_that_resolves_to_a_private_address_is_refused_before_it_is_connected_to() {
    let bank = Bank::open("localhost", false).await;
    let (house, feed) = bank.served(&format!("ca_file = \"{}\"\n", bank.authority.display())).await;
    assert_eq!(source(&feed, "chart")["reason"]["code"], "private_address", "{feed}");
    assert_eq!(bank.asked.load(Ordering::SeqCst), 0);
    house.app.stop().await;
}
