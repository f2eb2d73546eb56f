//! The newest changes of a kind as an Atom feed (RFC 4287): those that were told as events, and of quotes of which none was,
//! the last one that there was. Pure: what is known goes in, bytes come out.

use std::{collections::BTreeSet, io};

use jiff::Timestamp;
use providers::{Kind, WeightUnit};
use quick_xml::{
    Writer,
    events::{BytesDecl, BytesText, Event as Xml},
};
use rust_decimal::Decimal;
use serde_json::Value;
use url::Url;
use widgets::{Lang, format};

use super::shapes::QuoteJson;
use crate::{board::ServedFeed, clock::rfc3339, filter::Filter};

/// Changes in a feed.
const MOST: usize = 50;

/// What a feed is made of.
pub struct Sheet<'a> {
    /// Of which quotes.
    pub kind: Kind,
    /// What is served now.
    pub feeds: &'a [ServedFeed],
    /// Quotes as they were told of, each as in `quote.changed`, in any order.
    pub told: &'a [Value],
    /// Which of them.
    pub filter: &'a Filter,
    /// Language of the words.
    pub lang: Lang,
    /// Whether the figures are recorded ones.
    pub recorded: bool,
    /// When the document of the kind last changed.
    pub generated_at: Timestamp,
    /// What all addresses begin with.
    pub public: &'a Url,
}

/// A kind's name in addresses: of its document, and of its widget.
const fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Gold => "gold",
        Kind::Fx => "fx",
        Kind::Deposit => "deposits",
    }
}

fn heading(kind: Kind, lang: Lang) -> &'static str {
    let widget = match kind {
        Kind::Gold => widgets::model::Kind::Gold,
        Kind::Fx => widgets::model::Kind::Fx,
        Kind::Deposit => widgets::model::Kind::Deposits,
    };
    widgets::heading(widget, lang)
}

const fn say(lang: Lang, vi: &'static str, en: &'static str) -> &'static str {
    match lang {
        Lang::Vi => vi,
        Lang::En => en,
    }
}

/// One change.
struct Change<'a> {
    at: Timestamp,
    id: &'a str,
    quote: &'a Value,
}

fn text<'a>(quote: &'a Value, field: &str) -> Option<&'a str> {
    quote.get(field)?.as_str()
}

fn figure(quote: &Value, field: &str) -> Option<Decimal> {
    text(quote, field)?.parse().ok()
}

impl Sheet<'_> {
    /// The feed.
    ///
    /// # Errors
    /// Never while there is memory.
    pub fn write(&self) -> io::Result<Vec<u8>> {
        let served = self.served();
        let changes = self.changes(&served);
        let updated = changes.first().map_or(self.generated_at, |change| change.at);
        let (address, page) = (self.address(), self.page(None));
        let mut xml = Writer::new(Vec::new());
        xml.write_event(Xml::Decl(BytesDecl::new("1.0", Some("utf-8"), None)))?;
        xml.create_element("feed")
            .with_attribute(("xmlns", "http://www.w3.org/2005/Atom"))
            .with_attribute(("xml:lang", self.lang.as_str()))
            .write_inner_content(|xml| {
                element(xml, "title", &format!("Bảng Giá: {}", heading(self.kind, self.lang)))?;
                if self.recorded {
                    let recorded = say(
                        self.lang,
                        "Số liệu ghi lại, không phải của hôm nay",
                        "Recorded figures, not today's",
                    );
                    element(xml, "subtitle", recorded)?;
                }
                element(xml, "id", &address)?;
                element(xml, "updated", &rfc3339(updated))?;
                xml.create_element("author").write_inner_content(|xml| element(xml, "name", "Bảng Giá"))?;
                link(xml, "self", "application/atom+xml", &address)?;
                link(xml, "alternate", "text/html", &page)?;
                changes.iter().try_for_each(|change| self.entry(xml, change))
            })?;
        Ok(xml.into_inner())
    }

    /// The last change of every quote that is served.
    fn served(&self) -> Vec<Value> {
        let own = self.feeds.iter().filter(|feed| feed.state.feed.kind == self.kind);
        let quotes = own.flat_map(|feed| feed.quotes.iter().map(move |quote| (feed, quote)));
        quotes
            .filter_map(|(feed, quote)| {
                let (of, house) = (feed.state.feed, feed.state.institution.id);
                serde_json::to_value(QuoteJson::of(of, house, quote, WeightUnit::Luong)).ok()
            })
            .collect()
    }

    /// Newest first; those of one instant as the documents list them, whoever knows of them.
    fn changes<'a>(&'a self, served: &'a [Value]) -> Vec<Change<'a>> {
        let change = |quote: &'a Value| {
            let (at, id) = (text(quote, "changed_at")?.parse().ok()?, text(quote, "id")?);
            self.filter.keeps_json(quote).then_some(Change { at, id, quote })
        };
        let mut known = BTreeSet::new();
        let mut changes: Vec<Change<'_>> = served
            .iter()
            .chain(self.told)
            .filter_map(change)
            .filter(|change| known.insert((change.id, change.at)))
            .collect();
        changes.sort_by(|one, other| other.at.cmp(&one.at).then_with(|| one.id.cmp(other.id)));
        changes.truncate(MOST);
        changes
    }

    fn entry(&self, xml: &mut Writer<Vec<u8>>, change: &Change<'_>) -> io::Result<()> {
        let house = text(change.quote, "provider").unwrap_or_default();
        let known = providers::INSTITUTIONS.iter().find(|known| known.id == house);
        let name = known.map_or(house, |known| known.name);
        let via = text(change.quote, "via").map(|via| format!(" ({via})")).unwrap_or_default();
        let summary = match self.lang {
            Lang::Vi => {
                format!("Lúc {}. Nguồn: {name}{via}. Giá tham khảo.", format::instant(change.at, self.lang))
            }
            Lang::En => {
                format!("{}. Source: {name}{via}. For reference only.", format::instant(change.at, self.lang))
            }
        };
        xml.create_element("entry").write_inner_content(|xml| {
            element(xml, "title", &self.title(change.quote, name))?;
            element(xml, "id", &self.tag(change))?;
            element(xml, "updated", &rfc3339(change.at))?;
            link(xml, "alternate", "text/html", &self.page(Some(house)))?;
            if let Some(feed) = text(change.quote, "feed").and_then(providers::feed) {
                link(xml, "via", "text/html", feed.1.page)?;
            }
            element(xml, "summary", &summary)
        })?;
        Ok(())
    }

    /// A tag URI (RFC 4151): the quote and the instant of its change are the same wherever this is asked.
    fn tag(&self, change: &Change<'_>) -> String {
        let host = self.public.host_str().filter(|host| !host.starts_with('[')).unwrap_or("localhost");
        format!("tag:{host},2026:{}/{}", change.id, change.at.as_second())
    }

    fn title(&self, quote: &Value, house: &str) -> String {
        let lang = self.lang;
        let (what, sides): (String, Vec<String>) = match self.kind {
            Kind::Gold => {
                let place = match text(quote, "place") {
                    Some("hanoi") => say(lang, " Hà Nội", " Hanoi"),
                    Some("hcm") => say(lang, " TP.HCM", " Ho Chi Minh City"),
                    _ => "",
                };
                let product = widgets::product(text(quote, "product").unwrap_or_default(), lang);
                let side = |field, word: &str| {
                    figure(quote, field).map(|price| format!("{word} {}", format::number(price, 0, lang)))
                };
                let buy = side("buy", say(lang, "mua", "buy"));
                (
                    format!("{product}{place}"),
                    buy.into_iter().chain(side("sell", say(lang, "bán", "sell"))).collect(),
                )
            }
            Kind::Fx => {
                let variant = text(quote, "variant").map(|variant| format!(" {variant}")).unwrap_or_default();
                let sides = [
                    ("buy_cash", say(lang, "mua tiền mặt", "buy cash")),
                    ("buy_transfer", say(lang, "mua chuyển khoản", "buy by transfer")),
                    ("sell", say(lang, "bán", "sell")),
                ];
                let side = |(field, word): (&str, &str)| {
                    let (whole, fraction) = format::exchange_rate(figure(quote, field)?, lang);
                    Some(format!("{word} {whole}{}", fraction.unwrap_or_default()))
                };
                let currency = text(quote, "currency").unwrap_or_default();
                (format!("{currency}{variant}"), sides.into_iter().filter_map(side).collect())
            }
            Kind::Deposit => {
                let term = text(quote, "term").unwrap_or_default();
                let number = term.trim_matches(|c: char| !c.is_ascii_digit());
                let term = match term.chars().last() {
                    Some('M') => format!(
                        "{number} {}",
                        say(lang, "tháng", if number == "1" { "month" } else { "months" })
                    ),
                    Some('D') => {
                        format!("{number} {}", say(lang, "ngày", if number == "1" { "day" } else { "days" }))
                    }
                    _ => say(lang, "Không kỳ hạn", "Demand").to_owned(),
                };
                let channel = match text(quote, "channel") {
                    Some("counter") => say(lang, " tại quầy", " at the counter"),
                    Some("online") => say(lang, " trực tuyến", " online"),
                    _ => "",
                };
                let rate = figure(quote, "rate_percent").map(|rate| {
                    format!(
                        "{} {}",
                        format::number(rate, rate.normalize().scale().min(2), lang),
                        say(lang, "%/năm", "% a year")
                    )
                });
                (format!("{term}{channel}"), rate.into_iter().collect())
            }
        };
        format!("{what} ({house}): {}{}", sides.join(", "), self.moved(quote))
    }

    /// By how much the price moved that people look at first.
    fn moved(&self, quote: &Value) -> String {
        let sides =
            ["change_sell", "change_buy", "change_buy_transfer", "change_buy_cash", "change_rate_percent"];
        let change =
            sides.into_iter().filter_map(|field| figure(quote, field)).find(|change| !change.is_zero());
        change.map_or_else(String::new, |change| {
            let arrow = if change.is_sign_negative() { '▼' } else { '▲' };
            let places = change.normalize().scale().min(2);
            format!(" ({arrow}{})", format::number(change.abs(), places, self.lang))
        })
    }

    fn at(&self, path: &str, pairs: Vec<(&str, String)>) -> String {
        let mut address = format!("{}{path}", self.public.as_str().trim_end_matches('/'));
        let lang = Some(("lang", self.lang.as_str().to_owned())).filter(|_| self.lang != Lang::Vi);
        let pairs: Vec<(&str, String)> = pairs.into_iter().chain(lang).collect();
        if !pairs.is_empty() {
            let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
            address.push('?');
            // A comma may stand in a query as it is.
            address.push_str(&query.replace("%2C", ","));
        }
        address
    }

    /// Of this feed.
    fn address(&self) -> String {
        self.at(&format!("/v1/{}.atom", name(self.kind)), self.filter.pairs())
    }

    /// The page for people.
    fn page(&self, house: Option<&str>) -> String {
        let house = house.map(|house| ("providers", house.to_owned()));
        self.at(&format!("/widgets/{}", name(self.kind)), house.into_iter().collect())
    }
}

fn element(xml: &mut Writer<Vec<u8>>, name: &str, text: &str) -> io::Result<()> {
    xml.create_element(name).write_text_content(BytesText::new(text)).map(|_| ())
}

fn link(xml: &mut Writer<Vec<u8>>, rel: &str, kind: &str, href: &str) -> io::Result<()> {
    let link = xml.create_element("link");
    link.with_attributes([("rel", rel), ("type", kind), ("href", href)]).write_empty().map(|_| ())
}
