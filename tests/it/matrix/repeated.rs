//! A source that always says that nothing changed: after six hours it is asked without conditions.

use std::sync::Arc;

use banggia::{
    app,
    board::Snapshot,
    clock::Clock,
    fetch::{Fetcher, Live},
    refresh::{FirstRound, RunEnd, Shop, Terms, Worker},
    store::{Nature, Store},
};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    bank::{Bank, Hit, Reply},
    house::{self, path, recorded},
};

#[tokio::test(flavor = "multi_thread")]
async fn f36_a_cache_that_never_changes_is_asked_without_conditions_every_six_hours() {
    let bank = Bank::open().await;
    let tag = ("ETag", "\"old\"".to_owned());
    // Out of a cache that is a day old, and the same for ever after.
    let first = Reply::Http(
        200,
        vec![tag.clone(), ("Age", "86400".to_owned())],
        recorded("tpbank.gold", "chart", 0, None),
    );
    let same = Reply::Http(304, vec![tag, ("Age", "99999".to_owned())], Vec::new());
    bank.script(&path("tpbank.gold", "chart"), [first.clone(), same.clone(), same.clone(), same, first]);

    let folder = crate::canary::tempdir().unwrap();
    let config = house::config(&house::config_text(&bank, &folder.path().join("unused.db")));
    let clock = Clock::starting_at("2026-09-30T10:05:00+07:00".parse().unwrap());
    let store = Arc::new(Store::open("sqlite::memory:", Nature::Live).await.unwrap());
    let states = app::load_states(&config, &store, &clock, false).await.unwrap();
    let (updates, mut inbox) = mpsc::channel(4);
    let shop = Arc::new(Shop {
        clock: clock.clone(),
        fetcher: Fetcher::Live(Live::new(&config.fetch, clock.clone())),
        store,
        terms: arc_swap::ArcSwap::from_pointee(Terms::of(&config)),
        metrics: Arc::default(),
        evidence: Arc::default(),
        tracker: TaskTracker::new(),
        snapshot: Arc::new(arc_swap::ArcSwap::from_pointee(Snapshot::of(Vec::new()))),
        board: updates,
        first_round: FirstRound::new(1),
    });
    let (state, _) = states.into_iter().find(|(state, _)| state.feed.id == "tpbank.gold").unwrap();
    let tuning = app::tuning(&config, state.feed, false).unwrap();
    let (worker, runs) = Worker::new(shop, tuning, state, Arc::new(Notify::new()));
    let stop = CancellationToken::new();
    tokio::spawn(worker.work(None, stop.clone()));
    // The board, as far as a run waits for it.
    tokio::spawn(async move {
        while let Some(update) = inbox.recv().await {
            if let Some((sender, end)) = update.answer {
                let _ = sender.send(end);
            }
        }
    });

    for hours in [0, 2, 2, 1, 2] {
        clock.advance_to(clock.now() + jiff::SignedDuration::from_hours(hours));
        let (sender, end) = oneshot::channel();
        runs.orders.send((banggia::refresh::Order::Run, sender)).await.unwrap();
        assert_eq!(end.await.unwrap(), RunEnd::Good);
    }
    stop.cancel();
    let conditional = |hit: &Hit| hit.head.to_lowercase().contains("if-none-match: \"old\"");
    let asked: Vec<bool> = bank.hits(&path("tpbank.gold", "chart")).iter().map(conditional).collect();
    // The last is seven hours after the only full answer.
    assert_eq!(asked, [false, true, true, true, false]);
}
