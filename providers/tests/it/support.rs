//! What all tests share: a question as the service asks it, and sheets written out for reading.

use std::{
    fmt::Write as _,
    hash::{BuildHasher, RandomState},
    path::{Path, PathBuf},
};

use aes::{
    Aes256,
    cipher::{BlockModeEncrypt, KeyIvInit, block_padding::Pkcs7},
};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use jiff::{Timestamp, civil::Date};
use providers::{Answer, AsOf, ParseError, Parsed, Quote, Request, Secrets, Sheet, Source};
use rust_decimal::Decimal;

/// 10:05 on 30 September 2026, in Vietnam.
pub(crate) const NOW: &str = "2026-09-30T10:05:00+07:00";

/// A question, with the answers of a service that runs at [`NOW`].
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) feed: String,
    pub(crate) source: String,
    pub(crate) step: Option<&'static str>,
    pub(crate) charset: Option<&'static str>,
    pub(crate) last_modified: Option<Date>,
    pub(crate) now: Timestamp,
    pub(crate) base: Option<String>,
    pub(crate) secrets: Secrets,
}

pub(crate) fn case(feed: &str, source: &str) -> Case {
    Case {
        feed: feed.to_owned(),
        source: source.to_owned(),
        step: None,
        charset: None,
        last_modified: None,
        now: NOW.parse().unwrap(),
        base: None,
        secrets: Secrets::default(),
    }
}

impl Case {
    pub(crate) fn step(mut self, step: &'static str) -> Self {
        self.step = Some(step);
        self
    }

    pub(crate) fn at(mut self, now: &str) -> Self {
        self.now = now.parse().unwrap();
        self
    }

    pub(crate) fn base(mut self, base: &str) -> Self {
        self.base = Some(base.to_owned());
        self
    }

    pub(crate) fn secret(mut self, name: &str, value: &str) -> Self {
        self.secrets = Secrets::new([(name.to_owned(), value.to_owned())]);
        self
    }

    pub(crate) fn definition(&self) -> &'static Source {
        let (_, feed) = providers::feed(&self.feed).unwrap();
        feed.sources.iter().find(|source| source.id == self.source).unwrap()
    }

    fn url(&self) -> url::Url {
        self.base.as_deref().unwrap_or(self.definition().url).parse().unwrap()
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        let base = self.url();
        (self.definition().requests)(&providers::Ask { now: self.now, base: &base, secrets: &self.secrets })
    }

    /// What is asked for a day that has passed, at whose end `now` is.
    pub(crate) fn past(&self) -> Option<Request> {
        let base = self.url();
        let ask = providers::Ask { now: self.now, base: &base, secrets: &self.secrets };
        Some((self.definition().past?.request)(&ask))
    }

    pub(crate) fn parse(&self, body: &[u8]) -> Result<Parsed, ParseError> {
        let base = self.url();
        (self.definition().parse)(&Answer {
            body,
            charset: self.charset,
            last_modified: self.last_modified,
            step: self.step,
            now: self.now,
            base: &base,
            secrets: &self.secrets,
        })
    }

    pub(crate) fn sheet(&self, body: &[u8]) -> Sheet {
        match self.parse(body) {
            Ok(Parsed::Sheet(sheet)) => sheet,
            other => panic!("{} {}: no sheet but {other:?}", self.feed, self.source),
        }
    }

    pub(crate) fn follow(&self, body: &[u8]) -> Request {
        match self.parse(body) {
            Ok(Parsed::Follow(request)) => request,
            other => panic!("{} {}: no further request but {other:?}", self.feed, self.source),
        }
    }

    pub(crate) fn error(&self, body: &[u8]) -> ParseError {
        match self.parse(body) {
            Err(error) => error,
            other => panic!("{} {}: no error but {other:?}", self.feed, self.source),
        }
    }
}

pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let path = fixtures().join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file below a folder, sorted.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

/// Feed and source of a fixture: `doji/gold.board-map.2026-08-31.json` belongs to `doji.gold`, `board`.
pub(crate) fn owner(path: &Path) -> Option<(String, String)> {
    let provider = path.parent()?.file_name()?.to_str()?;
    let mut parts = path.file_name()?.to_str()?.split('.');
    let feed = format!("{provider}.{}", parts.next()?);
    let (_, definition) = providers::feed(&feed)?;
    let named = parts.next()?.split('-').next()?;
    let source =
        definition.sources.iter().find(|source| source.id == named).or(definition.sources.first())?;
    Some((feed, source.id.to_owned()))
}

/// A sheet, one line a row, or the reason why there is none.
pub(crate) fn written(parsed: &Result<Parsed, ParseError>) -> String {
    match parsed {
        Ok(Parsed::Sheet(sheet)) => written_sheet(sheet),
        Ok(Parsed::Follow(request)) => {
            format!("follow {} {:?} {} {}", request.step, request.method, request.url, request.form)
        }
        Err(error) => format!("{}: {error}", error.code()),
    }
}

pub(crate) fn written_sheet(sheet: &Sheet) -> String {
    let mut out = String::new();
    let as_of = match sheet.as_of {
        AsOf::At(instant) => providers::VIETNAM.to_datetime(instant).to_string(),
        AsOf::On(day) => day.to_string(),
        AsOf::Unstated => "unstated".to_owned(),
    };
    let side = |value: Option<Decimal>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
    writeln!(out, "as of {as_of}").unwrap();
    for quote in &sheet.quotes {
        let key = quote.key();
        match quote {
            Quote::Gold(gold) => writeln!(
                out,
                "{key}: {} / {} {} per {} [{}] {}",
                side(gold.buy),
                side(gold.sell),
                gold.currency,
                gold.unit.as_str(),
                gold.code.as_deref().unwrap_or(""),
                gold.name.as_deref().unwrap_or("")
            ),
            Quote::Fx(fx) => writeln!(
                out,
                "{key}: cash {} transfer {} sell {} sell_cash {} per {} {}",
                side(fx.buy_cash),
                side(fx.buy_transfer),
                side(fx.sell),
                side(fx.sell_cash),
                fx.per,
                fx.name.as_deref().unwrap_or("")
            ),
            Quote::Deposit(deposit) => writeln!(
                out,
                "{key}: {} % {} {:?} since {}",
                deposit.rate_percent,
                deposit.currency,
                deposit.customer,
                deposit.effective_from.map_or_else(|| "-".to_owned(), |day| day.to_string())
            ),
        }
        .unwrap();
    }
    for reason in &sheet.refused {
        writeln!(out, "refused {}: {}", reason.code, reason.message).unwrap();
    }
    out
}

/// The row of this key, both sides.
pub(crate) fn gold(sheet: &Sheet, key: &str) -> (Option<Decimal>, Option<Decimal>) {
    match row(sheet, key) {
        Quote::Gold(gold) => (gold.buy, gold.sell),
        other => panic!("{other:?}"),
    }
}

/// Cash, transfer, sell.
pub(crate) fn fx(sheet: &Sheet, key: &str) -> [Option<Decimal>; 3] {
    match row(sheet, key) {
        Quote::Fx(fx) => [fx.buy_cash, fx.buy_transfer, fx.sell],
        other => panic!("{other:?}"),
    }
}

pub(crate) fn rate(sheet: &Sheet, key: &str) -> Decimal {
    match row(sheet, key) {
        Quote::Deposit(deposit) => deposit.rate_percent,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn row<'a>(sheet: &'a Sheet, key: &str) -> &'a Quote {
    sheet
        .quotes
        .iter()
        .find(|quote| quote.key() == key)
        .unwrap_or_else(|| panic!("no {key} in {:?}", keys(sheet)))
}

pub(crate) fn keys(sheet: &Sheet) -> Vec<String> {
    sheet.quotes.iter().map(Quote::key).collect()
}

pub(crate) fn refused(sheet: &Sheet) -> Vec<&str> {
    sheet.refused.iter().map(|reason| reason.message.as_str()).collect()
}

/// Numbers for tests: splitmix64, so that a printed seed repeats a run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// Different in every run.
    pub(crate) fn unseeded() -> Self {
        Self(RandomState::new().hash_one(0))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.next().to_le_bytes()[0])
    }
}

/// An envelope as DOJI's board sends it, around any text, and the key that opens it.
pub(crate) fn envelope(plain: &[u8], random: &mut Random) -> (Vec<u8>, String) {
    let (key, iv): ([u8; 32], [u8; 16]) = (random.bytes(), random.bytes());
    let mut sealed = iv.to_vec();
    let mut blocks = plain.to_vec();
    blocks.resize(plain.len() + 16, 0);
    sealed.extend_from_slice(
        cbc::Encryptor::<Aes256>::new(&key.into(), &iv.into())
            .encrypt_padded::<Pkcs7>(&mut blocks, plain.len())
            .unwrap(),
    );
    let body = format!(
        r#"{{"status":true,"data":"{}","messageObject":{{"code":"0000","language":null,"message":"Success","messageDetail":"","messageType":"","logId":""}}}}"#,
        STANDARD_NO_PAD.encode(sealed)
    );
    (body.into_bytes(), key.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}")))
}
