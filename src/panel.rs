//! The sidebar board: which quote, which status and which time go into each cell and foot line.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{Timestamp, civil::Date};
use providers::{AsOf, Channel, Quote, WeightUnit, convert_weight};
use rust_decimal::{Decimal, dec};
use url::Url;
use widgets::model::{
    DepositRow, DepositTable, Figure, Foot, FootState, FxRow, FxTable, GoldTable, Panel, Status as Look, When,
};

use crate::{
    board::{PLACES, Served, ServedFeed, Snapshot, Status, most_current},
    config,
    document::difference,
};

/// Lays the snapshot out as the panel that the operator configured.
#[must_use]
pub fn panel(snapshot: &Snapshot, config: &config::Panel, public_url: &Url) -> Panel {
    Panel {
        recorded: snapshot.recorded,
        home: public_url.as_str().trim_end_matches('/').to_owned() + "/",
        gold: gold(snapshot, &config.gold),
        fx: fx(snapshot, &config.fx),
        deposits: deposits(snapshot, &config.deposits),
    }
}

fn feed<'a>(snapshot: &'a Snapshot, provider: &str, kind: providers::Kind) -> Option<&'a ServedFeed> {
    snapshot
        .feeds
        .iter()
        .find(|served| served.state.institution.id == provider && served.state.feed.kind == kind)
}

fn look(status: Status) -> Look {
    match status {
        Status::Fresh => Look::Fresh,
        Status::Stale => Look::Stale,
        Status::Expired => Look::Expired,
        Status::Unavailable => Look::Unavailable,
    }
}

const NOTHING: Figure =
    Figure { value: None, status: Look::Unavailable, change: None, held: false, borrowed: None };

/// A side or term that the institution does not quote while it quotes others.
const NOT_QUOTED: Figure =
    Figure { value: None, status: Look::Fresh, change: None, held: false, borrowed: None };

fn figure(served: &Served, value: Option<Decimal>, change: Option<Decimal>) -> Figure {
    Figure { value, status: look(served.status), change, held: false, borrowed: None }
}

fn gold(snapshot: &Snapshot, picks: &[config::GoldPick]) -> GoldTable {
    let mut table = GoldTable { houses: Vec::new(), buy: Vec::new(), sell: Vec::new(), foot: Vec::new() };
    let mut feet: Vec<(&ServedFeed, Vec<&Served>)> = Vec::new();
    for pick in picks {
        let Some(feed) = feed(snapshot, &pick.provider, providers::Kind::Gold) else { continue };
        let served = feed.gold(&pick.product, pick.place.as_deref());
        let (buy, sell) =
            served.map_or((NOTHING, NOTHING), |served| (gold_side(served, true), gold_side(served, false)));
        table.houses.push(feed.state.institution.label.to_owned());
        table.buy.push(buy);
        table.sell.push(sell);
        match feet.iter_mut().find(|(known, _)| known.state.feed.id == feed.state.feed.id) {
            Some((_, quotes)) => quotes.extend(served),
            None => feet.push((feed, served.into_iter().collect())),
        }
    }
    table.foot = feet.iter().map(|(feed, quotes)| foot(feed, quotes, snapshot.recorded)).collect();
    table
}

/// One side in million đồng per lượng.
fn gold_side(served: &Served, buying: bool) -> Figure {
    let side = |quote: &Quote| match quote {
        Quote::Gold(gold) => {
            let price = if buying { gold.buy } else { gold.sell };
            convert_weight(price?, gold.unit, WeightUnit::Luong, &gold.currency)?.checked_div(dec!(1_000_000))
        }
        _ => None,
    };
    let value = side(&served.kept.quote);
    figure(served, value, difference(value, served.kept.previous.as_ref().and_then(side)))
}

fn fx(snapshot: &Snapshot, pick: &config::FxPick) -> FxTable {
    let Some(feed) = feed(snapshot, &pick.provider, providers::Kind::Fx) else {
        return FxTable { rows: Vec::new(), foot: Vec::new() };
    };
    let mut used = Vec::new();
    let rows = pick
        .currencies
        .iter()
        .map(|code| {
            let served = feed.quotes.iter().find(|served| {
                matches!(&served.kept.quote, Quote::Fx(fx) if fx.currency == *code && fx.variant.is_none())
            });
            used.extend(served);
            let empty = || if feed.quotes.is_empty() { NOTHING } else { NOT_QUOTED };
            // By transfer, as the selling side is; for notes where a bank buys nothing else.
            let buy = |fx: &providers::Fx| fx.buy_transfer.or(fx.buy_cash);
            let sell = |fx: &providers::Fx| fx.sell;
            FxRow {
                code: code.clone(),
                buy: served.map_or_else(empty, |served| fx_side(served, buy)),
                sell: served.map_or_else(empty, |served| fx_side(served, sell)),
            }
        })
        .collect();
    FxTable { rows, foot: vec![foot(feed, &used, snapshot.recorded)] }
}

fn fx_side(served: &Served, side: impl Fn(&providers::Fx) -> Option<Decimal>) -> Figure {
    let of = |quote: &Quote| match quote {
        Quote::Fx(fx) => side(fx),
        _ => None,
    };
    let value = of(&served.kept.quote);
    figure(served, value, difference(value, served.kept.previous.as_ref().and_then(of)))
}

fn deposits(snapshot: &Snapshot, pick: &config::DepositPick) -> DepositTable {
    let terms: BTreeSet<u16> = pick.terms.iter().copied().collect();
    let mut table = DepositTable {
        banks: Vec::new(),
        rows: terms.iter().map(|months| DepositRow { months: *months, rates: Vec::new() }).collect(),
        foot: Vec::new(),
    };
    let mut borrowed_feet = Vec::new();
    let mut marks = 'a'..='z';
    for provider in &pick.providers {
        let Some(feed) = feed(snapshot, provider, providers::Kind::Deposit) else { continue };
        table.banks.push(feed.state.institution.label.to_owned());
        let cells: Vec<Option<&Served>> =
            terms.iter().map(|months| rate(feed, *months, pick.channel)).collect();
        let (own, stand_in): (Vec<&Served>, Vec<&Served>) =
            cells.iter().flatten().partition(|served| served.source.via.is_none());
        let mut by_source: BTreeMap<&str, (char, Vec<&Served>)> = BTreeMap::new();
        for served in &stand_in {
            if !by_source.contains_key(served.source.id) {
                let Some(mark) = marks.next() else { break };
                by_source.insert(served.source.id, (mark, Vec::new()));
            }
            if let Some((_, quotes)) = by_source.get_mut(served.source.id) {
                quotes.push(served);
            }
        }
        for (row, served) in table.rows.iter_mut().zip(&cells) {
            row.rates.push(match served {
                Some(served) => {
                    let rate = |quote: &Quote| match quote {
                        Quote::Deposit(deposit) => Some(deposit.rate_percent),
                        _ => None,
                    };
                    let value = rate(&served.kept.quote);
                    let mut figure = figure(
                        served,
                        value,
                        difference(value, served.kept.previous.as_ref().and_then(rate)),
                    );
                    figure.borrowed = served.source.via.and_then(|via| {
                        by_source.get(served.source.id).map(|(mark, _)| (*mark, via.name.to_owned()))
                    });
                    figure
                }
                None if feed.quotes.is_empty() => NOTHING,
                None => NOT_QUOTED,
            });
        }
        if !own.is_empty() || stand_in.is_empty() {
            table.foot.push(foot(feed, &own, snapshot.recorded));
        }
        for (mark, quotes) in by_source.values() {
            borrowed_feet.push(Foot { mark: Some(*mark), ..foot(feed, quotes, snapshot.recorded) });
        }
    }
    table.foot.extend(borrowed_feet);
    table
}

/// The rate for a term: of the asked channel, or of a stand-in that states none.
fn rate(feed: &ServedFeed, months: u16, channel: Channel) -> Option<&Served> {
    let at = |wanted: Option<Channel>, place: Option<&str>| {
        feed.quotes.iter().find(|served| {
            matches!(&served.kept.quote, Quote::Deposit(deposit)
                if deposit.term.months() == Some(months) && deposit.channel == wanted && deposit.place.as_deref() == place)
        })
    };
    most_current(
        [Some(channel), None].iter().flat_map(|wanted| PLACES.iter().filter_map(|place| at(*wanted, *place))),
    )
}

/// Whose figures, and how old: the line tells of the worst that is shown, so that it never sounds better than
/// a figure above it.
fn foot(feed: &ServedFeed, quotes: &[&Served], recorded: bool) -> Foot {
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
    Foot {
        mark: None,
        name: signature(feed.state.institution).to_owned(),
        url: feed.state.feed.page.to_owned(),
        via,
        state,
    }
}

/// TPBank signs with the name by which the panel's readers know it, DOJI as it writes itself.
fn signature(institution: &providers::Institution) -> &'static str {
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
