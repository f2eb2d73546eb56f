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
    _folder: tempfile::TempDir,
}

impl Bank {
    async fn open(name: &str, expired: bool) -> Self {
        let authority_key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&authority_key).unwrap();
        let issuer = Issuer::new(params, authority_key);
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        if expired {
            params.not_before = date_time_ymd(2019, 1, 1);
            params.not_after = date_time_ymd(2020, 1, 1);
        }
        let certificate = params.signed_by(&key, &issuer).unwrap();

        let folder = tempfile::tempdir().unwrap();
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
async fn a_ca_file_mends_an_unknown_issuer() {
    let bank = Bank::open("localhost", false).await;
    let settings = format!("allow_private = true\nca_file = \"{}\"\n", bank.authority.display());
    let (house, feed) = bank.served(&settings).await;
    assert_eq!((&feed["status"], feed["reason"].is_null()), (&Value::from("fresh"), true), "{feed}");
    house.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f14_a_name_that_resolves_to_a_private_address_is_refused_before_it_is_connected_to() {
    let bank = Bank::open("localhost", false).await;
    let (house, feed) = bank.served(&format!("ca_file = \"{}\"\n", bank.authority.display())).await;
    assert_eq!(source(&feed, "chart")["reason"]["code"], "private_address", "{feed}");
    assert_eq!(bank.asked.load(Ordering::SeqCst), 0);
    house.app.stop().await;
}
