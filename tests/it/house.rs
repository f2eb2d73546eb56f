//! One running service for one test: scripted bank, own folder, port 0, no run but those that the test asks for.

use std::path::Path;

use banggia::{
    app::{App, Mode},
    config::{self, Config, Overrides},
    refresh::RunEnd,
};
use serde_json::Value;

use crate::{
    bank::{Bank, Reply},
    canary,
};

pub struct House {
    pub bank: Bank,
    pub app: App,
    pub folder: crate::canary::Folder,
    client: reqwest::Client,
}

/// Every source at the bank, under `/<feed>/<source>`; runs only on demand.
pub fn config_text(bank: &Bank, store: &Path) -> String {
    let mut text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nops_listen = \"127.0.0.1:0\"\n[store]\nurl = \"sqlite:{}\"\n",
        store.display()
    );
    for (_, feed) in providers::feeds() {
        text.push_str(&format!(
            "[feeds.{}]\nschedule = \"0 3 1 1 *\"\njitter = \"0s\"\ntimeout = \"3s\"\n",
            feed.id
        ));
        for source in feed.sources {
            text.push_str(&format!(
                "[feeds.{}.sources.{}]\nurl = \"{}\"\nallow_private = true\n",
                feed.id,
                source.id,
                bank.url(&path(feed.id, source.id))
            ));
        }
    }
    text
}

pub fn path(feed: &str, source: &str) -> String {
    format!("/{feed}/{source}")
}

/// A client of the tests, which must not count on a service of another test having set TLS up.
pub fn client() -> reqwest::Client {
    // A second installation is refused, and that is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

pub fn config(text: &str) -> Config {
    let secrets: Vec<(String, String)> =
        canary::environment().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    config::assemble(Some((Path::new("test.toml"), text)), &secrets, &Overrides::default()).unwrap()
}

/// The wire bytes of a built-in recording.
pub fn recorded(feed: &str, source: &str, nth: usize, step: Option<&str>) -> Vec<u8> {
    let mut tapes: Vec<_> = providers::replay::RECORDINGS
        .iter()
        .filter(|recording| recording.feed == feed && recording.source == source && recording.step == step)
        .collect();
    tapes.sort_by_key(|recording| recording.at);
    tapes.get(nth).unwrap_or_else(|| panic!("no recording {feed}.{source} {nth} {step:?}")).bytes.to_vec()
}

/// Sets every feed's sources to their first recordings; DOJI's through the stand-in, which needs no key.
pub fn good_day(bank: &Bank, nth: usize) {
    let one = |feed: &str, source: &str| {
        bank.script(&path(feed, source), [Reply::ok(recorded(feed, source, nth, None))]);
    };
    one("doji.gold", "vangtoday");
    one("tpbank.gold", "chart");
    one("vietcombank.fx", "json");
    one("bidv.deposit", "rates");
    one("ocb.deposit", "widget");
    one("ocb.deposit", "table");
    bank.script(
        &path("ocb.deposit", "cafef"),
        [Reply::ok(recorded("ocb.deposit", "cafef", nth, None))
            .with("Last-Modified", "Tue, 29 Sep 2026 02:00:00 GMT")],
    );
    bank.script(&path("bidv.fx", "board"), [Reply::ok(recorded("bidv.fx", "board", nth, Some("boards")))]);
    bank.script(
        "/bidv.fx/ExchangeDetailServlet",
        [Reply::ok(recorded("bidv.fx", "board", nth, Some("board")))],
    );
}

impl House {
    /// A house whose bank answers with the recordings of the first day, after the first fetches.
    pub async fn on_a_good_day() -> Self {
        let house = Self::with(|_| {}, |text| text).await;
        house.settled().await;
        house
    }

    pub async fn with(script: impl FnOnce(&Bank), change: impl FnOnce(String) -> String) -> Self {
        let bank = Bank::open().await;
        good_day(&bank, 0);
        script(&bank);
        Self::of(bank, |bank, store| change(config_text(bank, store))).await
    }

    /// Over a bank that is set up already, with a configuration of the test's own.
    pub async fn of(bank: Bank, text: impl FnOnce(&Bank, &Path) -> String) -> Self {
        let folder = crate::canary::tempdir().unwrap();
        let text = text(&bank, &folder.path().join("banggia.db"));
        canary::listen();
        let app = App::start(config(&text), Mode::Live).await.unwrap();
        Self { bank, app, folder, client: client() }
    }

    /// Stops the service and starts it again on the same store and bank.
    pub async fn restart(self, change: impl FnOnce(String) -> String) -> Self {
        let Self { bank, app, folder, client } = self;
        app.stop().await;
        let text = change(config_text(&bank, &folder.path().join("banggia.db")));
        let app = App::start(config(&text), Mode::Live).await.unwrap();
        Self { bank, app, folder, client }
    }

    /// The same with a configuration of the test's own.
    pub async fn restart_with(self, text: impl FnOnce(&Bank, &Path) -> String) -> Self {
        let Self { bank, app, folder, client } = self;
        app.stop().await;
        let text = text(&bank, &folder.path().join("banggia.db"));
        let app = App::start(config(&text), Mode::Live).await.unwrap();
        Self { bank, app, folder, client }
    }

    /// What is counted so far.
    pub async fn metrics(&self) -> String {
        let response = self.client.get(format!("http://{}/metrics", self.app.ops)).send().await.unwrap();
        assert_eq!(response.status(), 200);
        let text = response.text().await.unwrap();
        canary::search("/metrics", text.as_bytes());
        text
    }

    /// Waits until every feed has run once.
    pub async fn settled(&self) {
        self.wait("every feed was asked", |feeds| {
            feeds["feeds"].as_array().unwrap().iter().all(|feed| {
                feed["sources"].as_array().unwrap().iter().any(|source| !source["last_attempt_at"].is_null())
            })
        })
        .await;
    }

    /// Waits for a condition on `/v1/feeds`.
    pub async fn wait(&self, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
        self.wait_for("/v1/feeds", what, condition).await
    }

    /// Waits for a condition on a document.
    pub async fn wait_for(&self, path: &str, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
        loop {
            let feeds = self.json(path).await;
            if condition(&feeds) {
                return feeds;
            }
            assert!(std::time::Instant::now() < deadline, "waited a minute for: {what}\n{feeds:#}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Runs a feed now; by then the board has published it.
    pub async fn refresh(&self, feed: &str) -> RunEnd {
        self.app.refresh(feed).await.unwrap()
    }

    pub async fn get(&self, path: &str) -> reqwest::Response {
        self.request(reqwest::Method::GET, path, &[]).await
    }

    pub async fn request(
        &self,
        method: reqwest::Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> reqwest::Response {
        let mut request = self.client.request(method, format!("http://{}{path}", self.app.public));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let again = request.try_clone().unwrap();
        match request.send().await {
            Ok(response) => response,
            // A connection that was idle for so long on a busy machine that the service closed it.
            Err(_) => again.send().await.unwrap(),
        }
    }

    pub async fn json(&self, path: &str) -> Value {
        let response = self.get(path).await;
        assert_eq!(response.status(), 200, "{path}");
        let text = response.text().await.unwrap();
        canary::search(path, text.as_bytes());
        serde_json::from_str(&text).unwrap()
    }

    pub async fn feed(&self, id: &str) -> Value {
        let feeds = self.json("/v1/feeds").await;
        feeds["feeds"].as_array().unwrap().iter().find(|feed| feed["id"] == id).unwrap().clone()
    }

    /// A quote of a kind's document, by id.
    pub async fn quote(&self, document: &str, id: &str) -> Value {
        find(&self.json(document).await, id).unwrap_or_else(|| panic!("no {id} in {document}"))
    }
}

pub fn find(document: &Value, id: &str) -> Option<Value> {
    document["quotes"].as_array().unwrap().iter().find(|quote| quote["id"] == id).cloned()
}

pub fn source<'a>(feed: &'a Value, id: &str) -> &'a Value {
    feed["sources"].as_array().unwrap().iter().find(|source| source["id"] == id).unwrap()
}
