//! A store that several machines share: one PostgreSQL, or a cluster that speaks like one. Its schema, the partitions of its
//! history, the lease that says who fetches, and the publication that all serve. No advisory locks, nothing that lives
//! in a session: poolers and distributed databases have neither.

use std::{
    collections::BTreeSet,
    str::FromStr as _,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use jiff::{Timestamp, civil::Date};
use providers::VIETNAM;
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgDatabaseError, PgListener, PgPoolOptions},
};
use tokio::time::Instant;

use super::{
    Nature, Published, Store, StoreError,
    rows::second,
    sql::{Base, CAN_BE_TOLD, Tx, begin_on},
    write::keep_documents,
};
use crate::{clock::day, events::Numbered};

/// Every step of the schema, oldest first.
pub(super) const MIGRATIONS: &[&str] = &[include_str!("postgres/0001.sql")];
/// Readers of history, the writer, and who follows.
const CONNECTIONS: u32 = 6;
/// So long a start waits for somebody who listens there; serving does not wait for the store.
const FIRST: Duration = Duration::from_millis(500);
/// And so long for what they say.
const FIRST_WORD: Duration = Duration::from_secs(2);
/// So long a connection is waited for.
const ACQUIRE: Duration = Duration::from_secs(1);
/// On which replicas are told that there is something new.
const CHANNEL: &str = "banggia";
/// Where the schema has to say how history is divided.
const BY_MONTH: &str = "/* by month */";

/// What is known of a shared store.
#[derive(Debug)]
pub(super) struct Cluster {
    options: PgConnectOptions,
    nature: Nature,
    /// Ourselves, for people and for the lease.
    holder: String,
    /// Under which we lead; 0: we do not.
    epoch: AtomicI64,
    /// Whether the schema has been seen.
    prepared: AtomicBool,
    /// Whether history is divided by month here.
    partitioned: AtomicBool,
    /// Whether the server tells of what is new.
    notifies: AtomicBool,
    /// Until when the lease is ours at least, by a clock that nobody sets.
    asks_until: Mutex<Option<Instant>>,
    /// Whether it was there when somebody last looked.
    answers: AtomicBool,
    /// Months that have a place.
    months: Mutex<BTreeSet<Date>>,
}

/// What all replicas serve.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Publication {
    /// Number of the publish.
    pub version: i64,
    /// Its instant.
    pub at: Timestamp,
    /// At which publish each document last changed.
    pub documents: Vec<(String, Published)>,
    /// Each feed as it was published, as JSON.
    pub feeds: Vec<(String, String)>,
    /// What happened at this publish; told in the same transaction.
    #[serde(skip)]
    pub events: Vec<Numbered>,
}

/// Another one leads.
#[derive(Debug, thiserror::Error)]
#[error("another replica leads: the epoch is no longer ours")]
struct Fenced;

pub(super) fn is_fenced(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::AnyDriverError(inner) if inner.is::<Fenced>())
}

fn code(error: &sqlx::Error) -> Option<&str> {
    Some(error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()?.code())
}

/// Whether to try again is of no use: wrong data, a constraint, a statement that the server does not know.
pub(super) fn is_hopeless(error: &sqlx::Error) -> bool {
    // No table and no right to it may be so for a moment: before the schema is there, and while a server is restored.
    code(error).is_some_and(|code| {
        ["22", "23", "42"].iter().any(|class| code.starts_with(class)) && !["42P01", "42501"].contains(&code)
    })
}

/// Whether the server only reads: it follows another one, which another connection may find.
fn is_read_only(error: &sqlx::Error) -> bool {
    code(error) == Some("25006")
}

/// Whether the server is there and refuses us, which waiting does not mend.
#[must_use]
pub fn is_refusal(error: &sqlx::Error) -> bool {
    // What TLS has against a certificate comes as an answer that cannot be read.
    let no_tls = matches!(error, sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData);
    no_tls
        || matches!(error, sqlx::Error::Tls(_) | sqlx::Error::Configuration(_))
        || code(error).is_some_and(|code| code.starts_with("28") || code.starts_with("3D") || code == "42501")
}

/// Whether a URL names such a store.
#[must_use]
pub fn is_shared(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

/// Whether a URL can be used.
///
/// # Errors
/// What is wrong with it, without its password.
pub fn check_url(url: &str) -> Result<(), String> {
    let of = url::Url::parse(url).map_err(|error| format!("the address cannot be read: {error}"))?;
    if of.host_str().is_none_or(str::is_empty) || of.username().is_empty() || of.path().len() < 2 {
        return Err("host, user and database have to be named".to_owned());
    }
    // sqlx leaves out what it does not know, such as a misspelt demand for TLS.
    for (name, _) in of.query_pairs() {
        if !PARAMETERS.contains(&name.as_ref()) {
            // A password with a question mark in it may have been taken for one.
            let plain = name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            let name = if plain { format!(" {name}") } else { String::new() };
            return Err(format!(
                "unknown parameter{name} of the address, known are {}",
                PARAMETERS.join(", ")
            ));
        }
    }
    // What is wrong in it may be a password that went astray: it is not repeated.
    options(url).map(drop).map_err(|_| {
        "it is not understood; sslmode is disable, allow, prefer, require, verify-ca or verify-full"
            .to_owned()
    })
}

/// A store's URL as it may be shown.
#[must_use]
pub fn shown_url(url: &str) -> String {
    if is_shared(url) {
        options(url).map_or_else(|_| "postgres".to_owned(), |(name, _)| name)
    } else {
        url.to_owned()
    }
}

/// Of the address of a server.
const PARAMETERS: [&str; 5] = ["sslmode", "sslrootcert", "sslcert", "sslkey", "host"];

/// What a URL says, and the name by which people know it: never with its password.
pub(super) fn options(url: &str) -> Result<(String, PgConnectOptions), StoreError> {
    let options = PgConnectOptions::from_str(url)
        .map_err(|error| StoreError::Unusable("postgres".to_owned(), error.to_string()))?
        .application_name("banggia")
        // Poolers refuse what they do not know.
        .extra_float_digits(None)
        .statement_cache_capacity(0);
    let database = options.get_database().unwrap_or(options.get_username());
    Ok((format!("postgres://{}:{}/{database}", options.get_host(), options.get_port()), options))
}

fn pool(options: &PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(ACQUIRE)
        .connect_lazy_with(options.clone())
}

/// Refuses what is written under another epoch. The lease is held until the transaction ends, so nobody takes it over in
/// the middle.
pub(super) async fn fence(transaction: &mut Tx<'_>, epoch: Option<i64>) -> Result<(), sqlx::Error> {
    let fenced = || sqlx::Error::AnyDriverError(Box::new(Fenced));
    let epoch = epoch.ok_or_else(fenced)?;
    let text = "SELECT epoch FROM lease WHERE name = 'leader' AND epoch = $1 FOR UPDATE";
    transaction.row(text, &[epoch.into()]).await?.map(drop).ok_or_else(fenced)
}

impl Cluster {
    /// Makes room for changes of these instants.
    pub(super) async fn make_room(
        &self,
        pool: &PgPool,
        changes: impl Iterator<Item = Timestamp>,
    ) -> Result<(), sqlx::Error> {
        if !self.partitioned.load(Ordering::Relaxed) {
            return Ok(());
        }
        let months: BTreeSet<Date> = changes.map(|at| day(at).first_of_month()).collect();
        for month in months {
            if self.months.lock().unwrap_or_else(PoisonError::into_inner).contains(&month) {
                continue;
            }
            let beginning = |month: Date| {
                VIETNAM.to_timestamp(month.at(0, 0, 0, 0)).map_or(i64::MAX, Timestamp::as_second)
            };
            let next = month.last_of_month().tomorrow().unwrap_or(Date::MAX);
            let text = format!(
                "CREATE TABLE IF NOT EXISTS change_{} PARTITION OF change FOR VALUES FROM ({}) TO ({})",
                month.strftime("%Y_%m"),
                beginning(month),
                beginning(next)
            );
            let mut transaction = begin_on(pool).await?;
            match transaction.execute(&text, &[]).await {
                Ok(_) => transaction.commit().await?,
                // Somebody else made it in the same moment.
                Err(error) if matches!(code(&error), Some("42P07" | "23505")) => {}
                Err(error) => return Err(error),
            }
            self.months.lock().unwrap_or_else(PoisonError::into_inner).insert(month);
        }
        Ok(())
    }
}

impl Store {
    /// Opens a shared store. A server that is away is no reason not to start: [`Store::prepare`] asks again.
    pub(super) async fn open_shared(url: &str, nature: Nature) -> Result<Self, StoreError> {
        let (name, options) = options(url)?;
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = host.trim();
        let holder = format!("{}/{}", if host.is_empty() { "replica" } else { host }, std::process::id());
        let cluster = Cluster {
            nature,
            holder,
            epoch: AtomicI64::new(0),
            prepared: AtomicBool::new(false),
            partitioned: AtomicBool::new(true),
            notifies: AtomicBool::new(true),
            asks_until: Mutex::default(),
            answers: AtomicBool::new(true),
            months: Mutex::default(),
            options,
        };
        let store = Self::of(Base::Postgres(pool(&cluster.options)), None, None, Some(cluster));
        let prepared = async {
            if let Some(cluster) = &store.cluster {
                reach(&cluster.options).await?;
            }
            let prepared = tokio::time::timeout(FIRST_WORD, store.prepare()).await;
            prepared.unwrap_or(Err(StoreError::Database(sqlx::Error::PoolTimedOut)))
        };
        match prepared.await {
            Ok(()) => Ok(store),
            Err(StoreError::Database(error)) if is_refusal(&error) => {
                Err(StoreError::Refuses(name, error.to_string()))
            }
            Err(StoreError::Database(error)) => {
                tracing::warn!(%error, "the store {name} is away; serving goes on without it until it comes");
                if let Some(cluster) = &store.cluster {
                    cluster.answers.store(false, Ordering::Relaxed);
                }
                Ok(store)
            }
            Err(error) => Err(error),
        }
    }

    /// Opens an existing shared store to look at it. `None`: nothing was kept yet.
    pub(super) async fn look_at_shared(url: &str) -> Result<Option<Self>, StoreError> {
        let (name, options) = options(url)?;
        let store = Self::of(Base::Postgres(pool(&options)), None, None, None);
        match store.schema().await {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some(store)),
            Err(StoreError::Database(error)) => Err(StoreError::Refuses(name, error.to_string())),
            Err(error) => Err(error),
        }
    }

    /// Brings a shared store to our schema, once it is there, and learns what it can. Other stores are prepared when
    /// they are opened.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn prepare(&self) -> Result<(), StoreError> {
        let Some(cluster) = &self.cluster else { return Ok(()) };
        let Base::Postgres(pool) = &*self.base() else { return Ok(()) };
        if cluster.prepared.load(Ordering::Acquire) {
            return Ok(());
        }
        let version: Option<String> = Base::Postgres(pool.clone())
            .row("SELECT version()", &[])
            .await?
            .map(|row| row.first())
            .transpose()?;
        let cockroach = version.is_some_and(|version| version.contains("CockroachDB"));
        CAN_BE_TOLD.store(!cockroach, Ordering::Relaxed);
        cluster.partitioned.store(!cockroach, Ordering::Relaxed);
        cluster.notifies.store(!cockroach, Ordering::Relaxed);
        // Two that begin at once meet at the first statement; the second one comes again.
        let mut tries = 0;
        loop {
            match self.migrate(pool, cluster).await {
                Err(StoreError::Database(error))
                    if tries < 5
                        && matches!(code(&error), Some("42P07" | "23505" | "40001" | "42710" | "55P03")) =>
                {
                    tries += 1;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        cluster.prepared.store(true, Ordering::Release);
        Ok(())
    }

    async fn migrate(&self, pool: &PgPool, cluster: &Cluster) -> Result<(), StoreError> {
        let name = || format!("postgres://{}:{}", cluster.options.get_host(), cluster.options.get_port());
        let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
        let wanted = cluster.nature.as_str();
        if self.schema().await? == known {
            return self.same_nature(&name(), wanted).await;
        }
        let mut transaction = begin_on(pool).await?;
        let text = "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)";
        transaction.execute(text, &[]).await?;
        for (key, value) in [("schema", "0"), ("nature", wanted)] {
            let text = "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING";
            transaction.execute(text, &[key.into(), value.into()]).await?;
        }
        // Whoever comes meanwhile waits here, and finds it done.
        let row = transaction.row("SELECT value FROM meta WHERE key = 'schema' FOR UPDATE", &[]).await?;
        let found: String = row.map(|row| row.first()).transpose()?.unwrap_or_default();
        let found: i64 = found.parse().unwrap_or(0);
        if found > known {
            return Err(StoreError::Newer { file: name(), found, known });
        }
        for (at, migration) in (1_i64..).zip(MIGRATIONS).filter(|(at, _)| *at > found) {
            let by = if cluster.partitioned.load(Ordering::Relaxed) { "PARTITION BY RANGE (at)" } else { "" };
            let migration = without_comments(&migration.replace(BY_MONTH, by));
            for statement in migration.split(';').map(str::trim).filter(|text| !text.is_empty()) {
                transaction.execute(statement, &[]).await?;
            }
            let text = "UPDATE meta SET value = $1 WHERE key = 'schema'";
            transaction.execute(text, &[at.to_string().into()]).await?;
        }
        transaction.commit().await?;
        self.same_nature(&name(), wanted).await
    }

    async fn same_nature(&self, name: &str, wanted: &'static str) -> Result<(), StoreError> {
        let row = self.base().row("SELECT value FROM meta WHERE key = 'nature'", &[]).await?;
        let found: String = row.map(|row| row.first()).transpose()?.unwrap_or_default();
        if found == wanted {
            return Ok(());
        }
        Err(StoreError::Nature { file: name.to_owned(), found, wanted })
    }

    /// The schema that the store has; 0: none.
    pub(super) async fn schema(&self) -> Result<i64, StoreError> {
        match &*self.base() {
            Base::Sqlite(pool) => Ok(sqlx::query_scalar("PRAGMA user_version").fetch_one(pool).await?),
            base @ Base::Postgres(_) => {
                match base.row("SELECT value FROM meta WHERE key = 'schema'", &[]).await {
                    Ok(row) => {
                        let text: Option<String> = row.map(|row| row.first()).transpose()?;
                        Ok(text.and_then(|text| text.parse().ok()).unwrap_or(0))
                    }
                    Err(error) if code(&error) == Some("42P01") => Ok(0),
                    Err(error) => Err(error.into()),
                }
            }
        }
    }

    /// Whether several machines share this store.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        self.cluster.is_some()
    }

    /// Our name in the lease.
    #[must_use]
    pub fn holder(&self) -> &str {
        self.cluster.as_ref().map_or("", |cluster| &cluster.holder)
    }

    /// Under which we write; `None`: another one does, or nobody.
    #[must_use]
    pub fn epoch(&self) -> Option<i64> {
        let epoch = self.cluster.as_ref()?.epoch.load(Ordering::Acquire);
        (epoch > 0).then_some(epoch)
    }

    /// Whether it is ours to tell of events: we lead, or the store is away and nobody can know who does.
    #[must_use]
    pub fn tells(&self) -> bool {
        self.cluster.as_ref().is_none_or(|cluster| {
            cluster.epoch.load(Ordering::Acquire) > 0 || !cluster.answers.load(Ordering::Relaxed)
        })
    }

    /// Whether it did not answer when somebody last looked.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.cluster.as_ref().is_some_and(|cluster| !cluster.answers.load(Ordering::Relaxed))
    }

    /// Notes whether the store answers.
    pub fn answers(&self, does: bool) {
        if let Some(cluster) = &self.cluster
            && cluster.answers.swap(does, Ordering::Relaxed) != does
        {
            if does {
                tracing::info!("the shared store answers again");
            } else {
                tracing::warn!("the shared store does not answer; the last board is served");
                self.errors.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Notes until when the lease is ours at least.
    pub fn ask_until(&self, end: Option<Instant>) {
        if let Some(cluster) = &self.cluster {
            *cluster.asks_until.lock().unwrap_or_else(PoisonError::into_inner) = end;
        }
    }

    /// Whether sources may be asked from here: a leader that slept must look at its lease first.
    #[must_use]
    pub fn may_ask(&self) -> bool {
        let Some(cluster) = &self.cluster else { return true };
        cluster
            .asks_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some_and(|end| Instant::now() < end)
    }

    /// Gives up what we wrote under.
    pub fn dethrone(&self) {
        if let Some(cluster) = &self.cluster {
            cluster.epoch.store(0, Ordering::Release);
        }
    }

    /// Keeps the lease for another while, under the epoch that we have. `false`: it is another one's.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn renew_lease(&self, epoch: i64, lasts: Duration) -> Result<bool, StoreError> {
        let text = "UPDATE lease SET until = now() + CAST($3 AS BIGINT) * interval '1 millisecond'
                    WHERE name = 'leader' AND holder = $1 AND epoch = $2";
        let values = [self.holder().into(), epoch.into(), millis(lasts).into()];
        let kept = self.on_lease(text, &values).await?.1 > 0;
        if !kept {
            self.dethrone();
        }
        Ok(kept)
    }

    /// Takes the lease if nobody has it. The database's clock judges, so that no machine's own has to be right.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn take_lease(&self, lasts: Duration) -> Result<Option<i64>, StoreError> {
        let text = "UPDATE lease SET holder = $1, epoch = epoch + 1,
                    until = now() + CAST($2 AS BIGINT) * interval '1 millisecond'
                    WHERE name = 'leader' AND until < now()";
        let (epoch, taken) = self.on_lease(text, &[self.holder().into(), millis(lasts).into()]).await?;
        if taken == 0 {
            return Ok(None);
        }
        if let Some(cluster) = &self.cluster {
            cluster.epoch.store(epoch, Ordering::Release);
        }
        Ok(Some(epoch))
    }

    /// Lets the next one take over at once.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn release_lease(&self) -> Result<(), StoreError> {
        let Some(epoch) = self.epoch() else { return Ok(()) };
        self.dethrone();
        let text = "UPDATE lease SET until = to_timestamp(0)
                    WHERE name = 'leader' AND holder = $1 AND epoch = $2";
        self.on_lease(text, &[self.holder().into(), epoch.into()]).await?;
        self.notify().await;
        Ok(())
    }

    /// The epoch after a statement, and how many rows it touched.
    async fn on_lease(&self, text: &str, values: &[super::sql::Value]) -> Result<(i64, u64), StoreError> {
        let Base::Postgres(pool) = &*self.base() else { return Ok((0, 0)) };
        let result = async {
            let mut transaction = begin_on(pool).await?;
            let touched = transaction.execute(text, values).await?;
            let row = transaction.row("SELECT epoch FROM lease WHERE name = 'leader'", &[]).await?;
            let epoch = row.map(|row| row.try_get("epoch")).transpose()?.unwrap_or(0);
            transaction.commit().await?;
            Ok((epoch, touched))
        };
        Ok(self.mind(result.await)?)
    }

    /// Who leads, by the lease.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn leader(&self) -> Result<Option<String>, StoreError> {
        let text = "SELECT holder FROM lease WHERE name = 'leader' AND until >= now()";
        let row = self.base().row(text, &[]).await?;
        Ok(row.map(|row| row.first()).transpose()?)
    }

    /// A server that only reads is left: the next connection may find the one that writes.
    pub(super) fn mind<T>(&self, result: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        if let (Err(error), Some(cluster)) = (&result, &self.cluster)
            && is_read_only(error)
        {
            tracing::warn!("the server of the store only reads; looking for one that writes");
            if let Base::Postgres(old) =
                &*self.base.swap(std::sync::Arc::new(Base::Postgres(pool(&cluster.options))))
            {
                let old = old.clone();
                // Its connections end when whoever uses them is done.
                drop(old.close());
            }
        }
        result
    }

    /// Publishes for all replicas, after everything that waits is written.
    ///
    /// # Errors
    /// [`StoreError`]: nothing of it is published, and everybody serves what they did.
    pub async fn publish_for_all(&self, publication: &Publication) -> Result<(), StoreError> {
        self.write_all(true).await;
        if self.waiting() > 0 {
            return Err(StoreError::Database(sqlx::Error::PoolTimedOut));
        }
        let Base::Postgres(pool) = &*self.base() else { return Ok(()) };
        let result = async {
            let mut transaction = begin_on(pool).await?;
            fence(&mut transaction, self.epoch()).await?;
            keep_documents(&mut transaction, &publication.documents, &publication.events).await?;
            for (feed, state) in &publication.feeds {
                let text = "INSERT INTO published_feed (feed, version, state) VALUES ($1, $2, $3)
                     ON CONFLICT (feed) DO UPDATE SET version = excluded.version, state = excluded.state";
                let values = [feed.into(), publication.version.into(), state.into()];
                transaction.execute(text, &values).await?;
            }
            let text = "INSERT INTO publication (name, version, at) VALUES ('board', $1, $2)
                 ON CONFLICT (name) DO UPDATE SET version = excluded.version, at = excluded.at";
            let values = [publication.version.into(), publication.at.as_second().into()];
            transaction.execute(text, &values).await?;
            transaction.commit().await
        };
        let result = self.mind(result.await);
        if result.as_ref().is_err_and(is_fenced) {
            self.dethrone();
        }
        result?;
        self.notify().await;
        Ok(())
    }

    /// What is published, if it is newer than `than`.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn publication(&self, than: i64) -> Result<Option<Publication>, StoreError> {
        let mut transaction = self.base().read().await?;
        let row = transaction.row("SELECT version, at FROM publication WHERE name = 'board'", &[]).await?;
        let Some(row) = row else { return Ok(None) };
        let version: i64 = row.try_get("version")?;
        if version <= than {
            transaction.commit().await?;
            return Ok(None);
        }
        let at = second(row.try_get("at")?);
        let documents =
            transaction.rows("SELECT name, version, generated_at, hash FROM document", &[]).await?;
        let documents = documents.iter().map(super::published).collect::<Result<_, _>>()?;
        let feeds = transaction.rows("SELECT feed, state FROM published_feed ORDER BY feed", &[]).await?;
        let feeds: Result<_, sqlx::Error> =
            feeds.iter().map(|row| Ok((row.try_get("feed")?, row.try_get("state")?))).collect();
        transaction.commit().await?;
        Ok(Some(Publication { version, at, documents, feeds: feeds?, events: Vec::new() }))
    }

    /// Whoever listens looks at once; whoever cannot looks a second later.
    pub async fn notify(&self) {
        let Some(cluster) = self.cluster.as_ref().filter(|of| of.notifies.load(Ordering::Relaxed)) else {
            return;
        };
        let Base::Postgres(pool) = &*self.base() else { return };
        let told = async {
            let mut transaction = begin_on(pool).await?;
            transaction.execute("SELECT pg_notify($1, '')", &[CHANNEL.into()]).await?;
            transaction.commit().await
        };
        if let Err(error) = told.await {
            tracing::debug!(%error, "replicas could not be told; they look by themselves");
            if is_hopeless(&error) || code(&error).is_some_and(|code| code.starts_with("0A")) {
                cluster.notifies.store(false, Ordering::Relaxed);
            }
        }
    }

    /// A connection that hears of what is new; `None`: this server tells nobody.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn listen(&self) -> Result<Option<PgListener>, StoreError> {
        let Some(cluster) = self.cluster.as_ref().filter(|of| of.notifies.load(Ordering::Relaxed)) else {
            return Ok(None);
        };
        let own = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ACQUIRE)
            .connect_lazy_with(cluster.options.clone());
        let mut listener = PgListener::connect_with(&own).await?;
        listener.listen(CHANNEL).await?;
        Ok(Some(listener))
    }
}

/// Whether anybody listens there. A pool would not say: it goes on trying.
async fn reach(options: &PgConnectOptions) -> Result<(), sqlx::Error> {
    if options.get_socket().is_some() || options.get_host().starts_with('/') {
        return Ok(());
    }
    let there = tokio::net::TcpStream::connect((options.get_host(), options.get_port()));
    match tokio::time::timeout(FIRST, there).await {
        Ok(result) => Ok(result.map(drop)?),
        Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
    }
}

fn millis(lasts: Duration) -> i64 {
    i64::try_from(lasts.as_millis()).unwrap_or(i64::MAX)
}

/// A migration without its comments, which may hold semicolons.
fn without_comments(migration: &str) -> String {
    let lines = migration.lines().filter(|line| !line.trim_start().starts_with("--"));
    lines.collect::<Vec<_>>().join("\n")
}
