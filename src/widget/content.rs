//! Which quote, which status and which time go into each cell and foot line of a widget.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::Date};
use providers::{AsOf, Channel, Kind, Quote, Term, WeightUnit, convert_weight};
use rust_decimal::Decimal;
use widgets::model::{
    self, Content, DepositRow, DepositTable, Figure, Foot, FootState, FxList, FxListRow, FxRow, FxTable,
    GoldColumn, GoldHouse, GoldList, GoldRow, GoldTable, GoldUnit, Panel, Product, Status as Look, Tape,
    TapeItem, TapeWhat, When, Widget,
};

use super::Options;
use crate::{
    board::{PLACES, Served, ServedFeed, Snapshot, Status, most_current},
    config::{DepositPick, FxPick, GoldPick, Picks, Widgets},
    document::{currency_rank, difference},
};

/// Lays the snapshot out as the widget that was asked for; what was not asked for is as the operator configured it.
#[must_use]
pub fn content(snapshot: &Snapshot, options: &Options, config: &Widgets, home: &str) -> Widget {
    let picks = config.of(options.kind);
    let shop = Shop { snapshot, options };
    let content = match options.kind {
        model::Kind::Panel => Content::Panel(Panel {
            gold: shop.gold_table(&picks.gold),
            fx: shop.fx_table(picks),
            deposits: shop.deposits(picks),
        }),
        model::Kind::Gold => Content::Gold(shop.gold_list(&picks.gold)),
        model::Kind::Fx => Content::Fx(shop.fx_lists(picks)),
        model::Kind::Deposits => Content::Deposits(shop.deposits(picks)),
        model::Kind::Ticker => Content::Ticker(shop.tape(picks)),
        model::Kind::Chart => return super::chart::content(snapshot, options, None, home),
    };
    Widget { recorded: snapshot.recorded, at: options.at, home: home.to_owned(), content }
}

pub(super) const NOTHING: Figure =
    Figure { value: None, status: Look::Unavailable, change: None, held: false, borrowed: None, foot: 0 };

/// A side or term that the institution does not quote while it quotes others.
pub(super) const NOT_QUOTED: Figure = Figure { status: Look::Fresh, ..NOTHING };

/// What stands where a feed has no such quote.
fn missing(feed: &ServedFeed, foot: usize) -> Figure {
    Figure { foot, ..if feed.quotes.is_empty() { NOTHING } else { NOT_QUOTED } }
}

/// One side of a quote, and its change.
pub(super) fn figure(served: &Served, foot: usize, side: impl Fn(&Quote) -> Option<Decimal>) -> Figure {
    let value = side(&served.kept.quote);
    let status = match served.status {
        Status::Fresh => Look::Fresh,
        Status::Stale => Look::Stale,
        Status::Expired => Look::Expired,
        Status::Unavailable => Look::Unavailable,
    };
    let change = difference(value, served.kept.previous.as_ref().and_then(side));
    Figure { value, status, change, held: served.held, borrowed: None, foot }
}

/// The feet of one table: a line a feed and source, in the order of first use.
struct Feet<'a> {
    recorded: bool,
    lines: Vec<(&'a ServedFeed, Option<char>, Vec<&'a Served>)>,
}

impl<'a> Feet<'a> {
    const fn new(recorded: bool) -> Self {
        Self { recorded, lines: Vec::new() }
    }

    /// The feed's line.
    fn of(&mut self, feed: &'a ServedFeed, served: Option<&'a Served>) -> usize {
        self.marked(feed, None, served)
    }

    fn marked(&mut self, feed: &'a ServedFeed, mark: Option<char>, served: Option<&'a Served>) -> usize {
        let same = |(known, other, _): &(&ServedFeed, Option<char>, Vec<&Served>)| {
            known.state.feed.id == feed.state.feed.id && *other == mark
        };
        let at = self.lines.iter().position(same).unwrap_or_else(|| {
            self.lines.push((feed, mark, Vec::new()));
            self.lines.len() - 1
        });
        if let Some((_, _, quotes)) = self.lines.get_mut(at) {
            quotes.extend(served);
        }
        at
    }

    fn finish(self) -> Vec<Foot> {
        let line = |(feed, mark, quotes): &(&ServedFeed, Option<char>, Vec<&Served>)| Foot {
            mark: *mark,
            ..foot(feed, quotes, self.recorded)
        };
        self.lines.iter().map(line).collect()
    }
}

/// Where a widget's figures are picked from.
struct Shop<'a> {
    snapshot: &'a Snapshot,
    options: &'a Options,
}

impl<'a> Shop<'a> {
    fn feeds(&self, kind: Kind) -> impl Iterator<Item = &'a ServedFeed> {
        self.snapshot.feeds.iter().filter(move |served| served.state.feed.kind == kind)
    }

    fn feed(&self, provider: &str, kind: Kind) -> Option<&'a ServedFeed> {
        self.feeds(kind).find(|served| served.state.institution.id == provider)
    }

    /// The feeds of a kind that were asked for; `None` when none of this kind was.
    fn asked(&self, kind: Kind) -> Option<Vec<&'a ServedFeed>> {
        let providers = self.options.filter.providers();
        let asked: Vec<&ServedFeed> =
            self.feeds(kind).filter(|feed| providers.contains(&feed.state.institution.id)).collect();
        (!asked.is_empty()).then_some(asked)
    }

    fn rows(&self) -> usize {
        self.options.rows.map_or(usize::MAX, usize::from)
    }

    fn unit(&self) -> (WeightUnit, GoldUnit) {
        match self.options.filter.unit {
            None | Some(WeightUnit::Luong) => (WeightUnit::Luong, GoldUnit::Luong),
            Some(WeightUnit::Chi) => (WeightUnit::Chi, GoldUnit::Chi),
            Some(WeightUnit::Gram) => (WeightUnit::Gram, GoldUnit::Gram),
            Some(WeightUnit::Kg) => (WeightUnit::Kg, GoldUnit::Kilogram),
            Some(WeightUnit::Oz) => (WeightUnit::Oz, GoldUnit::Ounce),
        }
    }

    /// Gold prices in the order in which they are shown: those that were asked for, else those of the configuration.
    fn gold(&self, picks: &[GoldPick]) -> Vec<(&'a ServedFeed, Product)> {
        let filter = &self.options.filter;
        let asked = self.asked(Kind::Gold);
        let product =
            |id: &str, place: Option<&str>| Product { id: id.to_owned(), place: place.map(str::to_owned) };
        let mut chosen: Vec<(&ServedFeed, Product)> = Vec::new();
        if filter.products().is_empty() {
            let configured = picks
                .iter()
                .filter_map(|pick| {
                    Some((
                        self.feed(&pick.provider, Kind::Gold)?,
                        product(&pick.product, pick.place.as_deref()),
                    ))
                })
                .filter(|(feed, _)| {
                    asked.as_ref().is_none_or(|asked| {
                        asked.iter().any(|asked| asked.state.feed.id == feed.state.feed.id)
                    })
                });
            chosen.extend(configured);
            // A house that the configuration does not name shows what it is known for.
            for feed in asked.iter().flatten() {
                if !chosen.iter().any(|(known, _)| known.state.feed.id == feed.state.feed.id) {
                    let id = feed.state.feed.required.first().copied().unwrap_or_default();
                    chosen.push((feed, product(id, None)));
                }
            }
        } else {
            let all: Vec<(&ServedFeed, Product)> = asked
                .unwrap_or_else(|| self.feeds(Kind::Gold).collect())
                .into_iter()
                .flat_map(|feed| filter.products().iter().map(move |id| (feed, product(id, None))))
                .collect();
            // What a house does not sell is no row, unless nobody does: a table is never empty.
            let sold = |(feed, product): &&(&ServedFeed, Product)| {
                feed.quotes.is_empty() || feed.gold(&product.id, None).is_some()
            };
            chosen = all.iter().filter(sold).cloned().collect();
            if chosen.is_empty() {
                chosen = all;
            }
        }
        if !filter.places().is_empty() {
            chosen = chosen
                .into_iter()
                .flat_map(|(feed, chosen)| {
                    filter.places().iter().map(move |place| (feed, product(&chosen.id, Some(place))))
                })
                .collect();
        }
        chosen.truncate(self.rows());
        chosen
    }

    fn gold_figures(&self, feed: &ServedFeed, served: Option<&Served>, foot: usize) -> (Figure, Figure) {
        let (weight, unit) = self.unit();
        let side = |quote: &Quote, buying: bool| match quote {
            Quote::Gold(gold) => {
                let price = if buying { gold.buy } else { gold.sell };
                convert_weight(price?, gold.unit, weight, &gold.currency)?.checked_div(unit.money())
            }
            _ => None,
        };
        match served {
            Some(served) => (
                figure(served, foot, |quote| side(quote, true)),
                figure(served, foot, |quote| side(quote, false)),
            ),
            None => (missing(feed, foot), missing(feed, foot)),
        }
    }

    fn gold_table(&self, picks: &[GoldPick]) -> GoldTable {
        let mut feet = Feet::new(self.snapshot.recorded);
        let (_, unit) = self.unit();
        let mut table =
            GoldTable { unit, houses: Vec::new(), buy: Vec::new(), sell: Vec::new(), foot: Vec::new() };
        let columns = self.gold(picks);
        let usual = |feed: &ServedFeed, product: &Product| {
            feed.state.feed.required.first() == Some(&&*product.id) && product.place.is_none()
        };
        // A figure whose product is not said is that of the bar, or of nobody knows what.
        let plain = columns.iter().all(|(feed, product)| usual(feed, product));
        for (feed, product) in columns {
            let served = feed.gold(&product.id, product.place.as_deref());
            let (buy, sell) = self.gold_figures(feed, served, feet.of(feed, served));
            let house = feed.state.institution.label.to_owned();
            table.houses.push(GoldColumn { house, product: (!plain).then_some(product) });
            table.buy.push(buy);
            table.sell.push(sell);
        }
        table.foot = feet.finish();
        table
    }

    fn gold_list(&self, picks: &[GoldPick]) -> GoldList {
        let mut feet = Feet::new(self.snapshot.recorded);
        let mut houses: Vec<GoldHouse> = Vec::new();
        for (feed, product) in self.gold(picks) {
            let served = feed.gold(&product.id, product.place.as_deref());
            let (buy, sell) = self.gold_figures(feed, served, feet.of(feed, served));
            let name = signature(feed.state.institution);
            if houses.iter().all(|house| house.name != name) {
                houses.push(GoldHouse { name: name.to_owned(), products: Vec::new() });
            }
            let trend = served.map(|served| course(feed, served)).unwrap_or_default();
            if let Some(house) = houses.iter_mut().find(|house| house.name == name) {
                house.products.push(GoldRow { product, buy, sell, trend });
            }
        }
        let (_, unit) = self.unit();
        GoldList { unit, houses, foot: feet.finish() }
    }

    /// The currencies that are shown, in the order of the lists.
    fn currencies(&self, pick: &FxPick) -> Vec<String> {
        let mut asked: Vec<String> =
            self.options.filter.currencies().iter().map(|code| (*code).to_owned()).collect();
        asked.sort_by_key(|code| currency_rank(code));
        let mut shown = if asked.is_empty() { pick.currencies.clone() } else { asked };
        shown.truncate(self.rows());
        shown
    }

    /// The bank of one table: the first that was asked for, else the configuration's.
    fn bank(&self, pick: &FxPick) -> Option<&'a ServedFeed> {
        let asked = self.asked(Kind::Fx).and_then(|asked| asked.first().copied());
        asked.or_else(|| self.feed(&pick.provider, Kind::Fx))
    }

    fn fx_table(&self, picks: &Picks) -> FxTable {
        let mut feet = Feet::new(self.snapshot.recorded);
        let Some((pick, feed)) = picks.fx.as_ref().and_then(|pick| Some((pick, self.bank(pick)?))) else {
            return FxTable { rows: Vec::new(), foot: Vec::new() };
        };
        let rows = self.currencies(pick).into_iter().map(|code| {
            let served = rates(feed, &code);
            let foot = feet.of(feed, served);
            let side = |side: fn(&providers::Fx) -> Option<Decimal>| {
                served.map_or_else(
                    || missing(feed, foot),
                    |served| figure(served, foot, |quote| rate(quote, side)),
                )
            };
            // By transfer, as the selling side is; for notes where a bank buys nothing else.
            FxRow { buy: side(|fx| fx.buy_transfer.or(fx.buy_cash)), sell: side(|fx| fx.sell), code }
        });
        FxTable { rows: rows.collect(), foot: feet.finish() }
    }

    fn fx_lists(&self, picks: &Picks) -> Vec<FxList> {
        let Some(pick) = &picks.fx else { return Vec::new() };
        let feeds = self.asked(Kind::Fx).unwrap_or_else(|| self.bank(pick).into_iter().collect());
        let list = |feed: &'a ServedFeed| {
            let mut feet = Feet::new(self.snapshot.recorded);
            let rows = self.currencies(pick).into_iter().map(|code| {
                let served = rates(feed, &code);
                let foot = feet.of(feed, served);
                let side = |side: fn(&providers::Fx) -> Option<Decimal>| {
                    let of = |served| figure(served, foot, |quote| rate(quote, side));
                    served.map_or_else(|| missing(feed, foot), of)
                };
                FxListRow {
                    buy_cash: side(|fx| fx.buy_cash),
                    buy_transfer: side(|fx| fx.buy_transfer),
                    sell: side(|fx| fx.sell),
                    code,
                }
            });
            FxList {
                rows: rows.collect(),
                bank: signature(feed.state.institution).to_owned(),
                foot: feet.finish(),
            }
        };
        feeds.into_iter().map(list).collect()
    }

    /// The terms that are shown, shortest first.
    fn terms(&self, pick: &DepositPick) -> Vec<Term> {
        let months = |months: &u16| if *months == 0 { Term::Demand } else { Term::Months(*months) };
        let asked = self.options.filter.terms();
        let mut terms: Vec<Term> =
            if asked.is_empty() { pick.terms.iter().map(months).collect() } else { asked.to_vec() };
        terms.sort_by_key(|term| match term {
            Term::Demand => 0,
            Term::Days(days) => u32::from(*days),
            Term::Months(months) => u32::from(*months) * 30,
        });
        terms.dedup();
        terms.truncate(self.rows());
        terms
    }

    fn channel(&self, pick: &DepositPick) -> Option<Channel> {
        self.options.filter.channels().first().copied().unwrap_or(Some(pick.channel))
    }

    fn deposit_feeds(&self, pick: &DepositPick) -> Vec<&'a ServedFeed> {
        let configured = || pick.providers.iter().filter_map(|name| self.feed(name, Kind::Deposit)).collect();
        self.asked(Kind::Deposit).unwrap_or_else(configured)
    }

    /// The rate for a term: of the asked channel, or of a stand-in that states none.
    fn deposit(&self, feed: &'a ServedFeed, term: Term, channel: Option<Channel>) -> Option<&'a Served> {
        let at = |wanted: Option<Channel>, place: Option<&str>| {
            feed.quotes.iter().find(|served| {
                matches!(&served.kept.quote, Quote::Deposit(deposit)
                    if deposit.term == term && deposit.channel == wanted && deposit.place.as_deref() == place
                        && self.options.filter.keeps_customer(deposit.customer))
            })
        };
        // A source that states no channel stands in at the counter, not where something else is asked for.
        let channels = if channel == Some(Channel::Counter) { vec![channel, None] } else { vec![channel] };
        most_current(channels.iter().flat_map(|wanted| PLACES.iter().filter_map(|place| at(*wanted, *place))))
    }

    fn deposits(&self, picks: &Picks) -> DepositTable {
        let Some(pick) = &picks.deposits else {
            return DepositTable { banks: Vec::new(), channel: None, rows: Vec::new(), foot: Vec::new() };
        };
        let (terms, channel) = (self.terms(pick), self.channel(pick));
        let mut table = DepositTable {
            banks: Vec::new(),
            channel: channel.map(|channel| match channel {
                Channel::Counter => model::Channel::Counter,
                Channel::Online => model::Channel::Online,
            }),
            rows: terms.iter().map(|term| DepositRow { term: shown(*term), rates: Vec::new() }).collect(),
            foot: Vec::new(),
        };
        let feeds = self.deposit_feeds(pick);
        let cells: Vec<Vec<Option<&Served>>> = feeds
            .iter()
            .map(|feed| terms.iter().map(|term| self.deposit(feed, *term, channel)).collect())
            .collect();
        let borrowed = |served: &Served| served.source.via.is_some();
        let mut feet = Feet::new(self.snapshot.recorded);
        // Own figures first: lines of stand-ins come last.
        for (feed, cells) in feeds.iter().zip(&cells) {
            let own = || cells.iter().flatten().filter(|served| !borrowed(served));
            if own().next().is_some() || cells.iter().flatten().next().is_none() {
                feet.of(feed, None);
            }
            own().for_each(|served| {
                feet.of(feed, Some(served));
            });
        }
        let mut marks = 'a'..='z';
        let mut known: BTreeMap<(&str, &str), char> = BTreeMap::new();
        for (feed, cells) in feeds.iter().zip(&cells) {
            table.banks.push(feed.state.institution.label.to_owned());
            for (row, served) in table.rows.iter_mut().zip(cells) {
                let rate = |quote: &Quote| match quote {
                    Quote::Deposit(deposit) => Some(deposit.rate_percent),
                    _ => None,
                };
                row.rates.push(match served {
                    None => missing(feed, feet.of(feed, None)),
                    Some(served) => match served.source.via {
                        None => figure(served, feet.of(feed, None), rate),
                        Some(via) => {
                            let of = (feed.state.feed.id, served.source.id);
                            let mark = *known.entry(of).or_insert_with(|| marks.next().unwrap_or('*'));
                            let mut figure =
                                figure(served, feet.marked(feed, Some(mark), Some(served)), rate);
                            figure.borrowed = Some((mark, via.name.to_owned()));
                            figure
                        }
                    },
                });
            }
        }
        table.foot = feet.finish();
        table
    }

    fn tape(&self, picks: &Picks) -> Tape {
        let mut feet = Feet::new(self.snapshot.recorded);
        let mut items = Vec::new();
        let (_, unit) = self.unit();
        for (feed, product) in self.gold(&picks.gold) {
            let served = feed.gold(&product.id, product.place.as_deref());
            let (buy, sell) = self.gold_figures(feed, served, feet.of(feed, served));
            let house = signature(feed.state.institution).to_owned();
            items.push(TapeItem { what: TapeWhat::Gold(product, unit), buy: Some(buy), sell, house });
        }
        if let Some((pick, feed)) = picks.fx.as_ref().and_then(|pick| Some((pick, self.bank(pick)?))) {
            for code in self.currencies(pick) {
                let served = rates(feed, &code);
                let foot = feet.of(feed, served);
                let side = |side: fn(&providers::Fx) -> Option<Decimal>| {
                    let of = |served| figure(served, foot, |quote| rate(quote, side));
                    served.map_or_else(|| missing(feed, foot), of)
                };
                items.push(TapeItem {
                    what: TapeWhat::Currency(code),
                    buy: Some(side(|fx| fx.buy_transfer.or(fx.buy_cash))),
                    sell: side(|fx| fx.sell),
                    house: signature(feed.state.institution).to_owned(),
                });
            }
        }
        if let Some(pick) = &picks.deposits {
            let channel = self.channel(pick);
            for term in self.terms(pick) {
                for feed in self.deposit_feeds(pick) {
                    let served = self.deposit(feed, term, channel);
                    let foot = feet.of(feed, served);
                    let rate = |quote: &Quote| match quote {
                        Quote::Deposit(deposit) => Some(deposit.rate_percent),
                        _ => None,
                    };
                    items.push(TapeItem {
                        what: TapeWhat::Deposit(shown(term)),
                        buy: None,
                        sell: served.map_or_else(|| missing(feed, foot), |served| figure(served, foot, rate)),
                        house: signature(feed.state.institution).to_owned(),
                    });
                }
            }
        }
        items.truncate(self.rows());
        // A line for what is not shown would say nothing.
        let used: Vec<usize> = items.iter().map(|item: &TapeItem| item.sell.foot).collect();
        let mut kept = Vec::new();
        for (at, foot) in feet.finish().into_iter().enumerate() {
            if used.contains(&at) {
                for item in &mut items {
                    for figure in
                        item.buy.iter_mut().chain([&mut item.sell]).filter(|figure| figure.foot == at)
                    {
                        figure.foot = kept.len();
                    }
                }
                kept.push(foot);
            }
        }
        Tape { items, foot: kept }
    }
}

pub(super) const fn shown(term: Term) -> model::Term {
    match term {
        Term::Demand => model::Term::Demand,
        Term::Days(days) => model::Term::Days(days),
        Term::Months(months) => model::Term::Months(months),
    }
}

fn rate(quote: &Quote, side: fn(&providers::Fx) -> Option<Decimal>) -> Option<Decimal> {
    match quote {
        Quote::Fx(fx) => side(fx),
        _ => None,
    }
}

/// A currency's own rates, not those of small notes.
fn rates<'a>(feed: &'a ServedFeed, code: &str) -> Option<&'a Served> {
    feed.quotes.iter().find(
        |served| matches!(&served.kept.quote, Quote::Fx(fx) if fx.currency == code && fx.variant.is_none()),
    )
}

/// The course of a price up to when it was last confirmed, where it has one.
fn course(feed: &ServedFeed, served: &Served) -> Vec<(Timestamp, Decimal)> {
    let trend = feed.trend(served);
    let Some((at, price)) = trend.last().filter(|_| trend.len() > 1) else { return Vec::new() };
    let mut course = trend.to_vec();
    course.push((served.kept.checked_at.max(*at), *price));
    course
}

/// Whose figures, and how old: the line tells of the worst that is shown, so that it never sounds better than
/// a figure above it.
///
/// Where the feed has nothing of what is shown, it tells of what the feed has.
pub(super) fn foot(feed: &ServedFeed, quotes: &[&Served], recorded: bool) -> Foot {
    let first_hand: Vec<&Served> = feed.quotes.iter().filter(|served| served.source.via.is_none()).collect();
    let all: Vec<&Served> = feed.quotes.iter().collect();
    let quotes = match (quotes.is_empty(), first_hand.is_empty()) {
        (false, _) => quotes,
        (true, false) => &first_hand,
        (true, true) => &all,
    };
    let via = quotes
        .iter()
        .find_map(|served| served.source.via)
        .map(|via| (via.name.to_owned(), via.url.to_owned()));
    let worst = quotes.iter().max_by_key(|served| (served.status, std::cmp::Reverse(served.kept.checked_at)));
    let state = match worst {
        None => FootState::Unavailable,
        Some(served) => match served.status {
            Status::Fresh if recorded => FootState::Recorded(served.kept.checked_at),
            Status::Fresh => FootState::Fresh(when(served)),
            Status::Stale => FootState::Stale(when(served)),
            Status::Expired | Status::Unavailable => FootState::Expired(served.kept.checked_at),
        },
    };
    let expires_at = quotes.iter().map(|served| served.freshness.expires_at).min();
    let until = match state {
        FootState::Fresh(_) => quotes.iter().map(|served| served.freshness.fresh_until).min().zip(expires_at),
        // It says already that it is old.
        FootState::Stale(_) if !recorded => expires_at.zip(expires_at),
        _ => None,
    };
    Foot {
        mark: None,
        name: signature(feed.state.institution).to_owned(),
        url: feed.state.feed.page.to_owned(),
        via,
        state,
        until,
    }
}

/// TPBank signs with the name by which the panel's readers know it, DOJI as it writes itself.
pub(super) fn signature(institution: &providers::Institution) -> &'static str {
    if institution.label.eq_ignore_ascii_case(institution.name) {
        institution.name
    } else {
        institution.label
    }
}

fn when(served: &Served) -> When {
    let effective: Option<Date> = match &served.kept.quote {
        Quote::Deposit(deposit) => deposit.effective_from,
        _ => None,
    };
    let read: Timestamp = served.kept.checked_at;
    match (effective, served.kept.as_of) {
        (Some(day), _) => When::InForceFrom(day),
        (None, AsOf::At(at)) => When::At(at),
        (None, AsOf::On(day)) => When::On(day),
        (None, AsOf::Unstated) => When::ReadAt(read),
    }
}
