//! The JSON API: one handler a path, described where it stands; the OpenAPI document is made from these lines.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    response::Response,
};
use providers::Kind;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Site,
    history::{self, Form},
    openapi::{
        self, ConvertParameters, DepositChanges, DepositParameters, EventParameters, FxChanges, FxParameters,
        GoldChanges, GoldParameters, HistoryParameters, MomentParameters, PageParameters,
    },
    wanted::Converted,
};
use crate::document::shapes::{
    Board, DepositList, FeedList, FxList, GoldList,
    history::{DepositHistory, FxHistory, GoldHistory},
};

/// The routes with their descriptions.
pub fn routes() -> OpenApiRouter<Arc<Site>> {
    OpenApiRouter::with_openapi(openapi::head())
        .routes(routes!(index))
        .routes(routes!(board))
        .routes(routes!(gold))
        .routes(routes!(gold_csv))
        .routes(routes!(gold_atom))
        .routes(routes!(fx))
        .routes(routes!(fx_csv))
        .routes(routes!(fx_atom))
        .routes(routes!(deposits))
        .routes(routes!(deposits_csv))
        .routes(routes!(deposits_atom))
        .routes(routes!(feeds))
        .routes(routes!(convert))
        .routes(routes!(gold_history))
        .routes(routes!(gold_history_csv))
        .routes(routes!(gold_history_ndjson))
        .routes(routes!(fx_history))
        .routes(routes!(fx_history_csv))
        .routes(routes!(fx_history_ndjson))
        .routes(routes!(deposits_history))
        .routes(routes!(deposits_history_csv))
        .routes(routes!(deposits_history_ndjson))
        .routes(routes!(events))
}

/// What there is
///
/// Version of the API, documents, feeds, documentation.
#[utoipa::path(get, path = "/v1", operation_id = "index", tag = "index", responses((status = 200, body = Index)))]
async fn index(State(site): State<Arc<Site>>, request: Request) -> Response {
    super::pages::index(&site, request)
}

/// The whole board
///
/// Gold prices, exchange rates and deposit rates in one document.
#[utoipa::path(get, path = "/v1/board", operation_id = "board", tag = "figures", params(MomentParameters), responses((status = 200, body = Board)))]
async fn board(State(site): State<Arc<Site>>, request: Request) -> Response {
    site.answer(request).await
}

/// Gold prices
///
/// Newest prices, per lượng unless `unit` asks otherwise. Conversion is exact and rounded once, half away from zero,
/// to whole đồng.
#[utoipa::path(get, path = "/v1/gold", operation_id = "gold", tag = "figures", params(GoldParameters, MomentParameters), responses((status = 200, body = GoldList)))]
async fn gold(State(site): State<Arc<Site>>, request: Request) -> Response {
    site.answer(request).await
}

/// Gold prices as CSV
///
/// The same rows: a header row with the names of the JSON fields, UTF-8, RFC 4180.
#[utoipa::path(get, path = "/v1/gold.csv", operation_id = "gold_csv", tag = "figures", params(GoldParameters, MomentParameters), responses((status = 200, body = String, content_type = "text/csv")))]
async fn gold_csv(State(site): State<Arc<Site>>, request: Request) -> Response {
    site.answer(request).await
}

/// Gold prices as an Atom feed
///
/// The newest 50 changes, newest first (RFC 4287), per lượng. An entry's id is the same wherever the change is
/// told of.
#[utoipa::path(get, path = "/v1/gold.atom", operation_id = "gold_atom", tag = "figures", params(GoldChanges), responses((status = 200, body = String, content_type = "application/atom+xml")))]
async fn gold_atom(State(site): State<Arc<Site>>, request: Request) -> Response {
    site.answer(request).await
}

/// Exchange rates
///
/// Newest rates of the banks: đồng for `per` units of a currency.
#[utoipa::path(get, path = "/v1/fx", operation_id = "fx", tag = "figures", params(FxParameters, MomentParameters), responses((status = 200, body = FxList)))]
async fn fx(State(site): State<Arc<Site>>, request: Request) -> Response {
    site.answer(request).await
}

/// Exchange rates as CSV
///
/// The same rows: a header row with the names of the JSON fields, UTF-8, RFC 4180.
#[utoipa::path(get, path = "/v1/fx.csv", operation_id = "fx_csv", tag = "figures", params(FxParameters, MomentParameters), responses((status = 200, body = String, content_type = "text/csv")))]
async fn fx_csv(State(site): State<Arc<Site>>, request: Request) -> Response {
    site.answer(request).await
}

/// Exchange rates as an Atom feed
///
/// The newest 50 changes, newest first (RFC 4287). An entry's id is the same wherever the change is
/// told of.
#[utoipa::path(get, path = "/v1/fx.atom", operation_id = "fx_atom", tag = "figures", params(FxChanges), responses((status = 200, body = String, content_type = "application/atom+xml")))]
async fn fx_atom(State(site): State<Arc<Site>>, request: Request) -> Response {
    site.answer(request).await
}

/// Deposit rates
///
/// Newest rates by term, in percent a year.
#[utoipa::path(get, path = "/v1/deposits", operation_id = "deposits", tag = "figures", params(DepositParameters, MomentParameters), responses((status = 200, body = DepositList)))]
async fn deposits(State(site): State<Arc<Site>>, request: Request) -> Response {
    site.answer(request).await
}

/// Deposit rates as CSV
///
/// The same rows: a header row with the names of the JSON fields, UTF-8, RFC 4180.
#[utoipa::path(get, path = "/v1/deposits.csv", operation_id = "deposits_csv", tag = "figures", params(DepositParameters, MomentParameters), responses((status = 200, body = String, content_type = "text/csv")))]
async fn deposits_csv(State(site): State<Arc<Site>>, request: Request) -> Response {
    site.answer(request).await
}

/// Deposit rates as an Atom feed
///
/// The newest 50 changes, newest first (RFC 4287). An entry's id is the same wherever the change is
/// told of.
#[utoipa::path(get, path = "/v1/deposits.atom", operation_id = "deposits_atom", tag = "figures", params(DepositChanges), responses((status = 200, body = String, content_type = "application/atom+xml")))]
async fn deposits_atom(State(site): State<Arc<Site>>, request: Request) -> Response {
    site.answer(request).await
}

/// Feeds and their sources
///
/// State, times, next refresh, sources, attribution and reasons of every feed.
#[utoipa::path(get, path = "/v1/feeds", operation_id = "feeds", tag = "figures", params(MomentParameters), responses((status = 200, body = FeedList)))]
async fn feeds(State(site): State<Arc<Site>>, request: Request) -> Response {
    site.answer(request).await
}

/// Convert an amount
///
/// Between two currencies through the đồng, between gold and the đồng, and between weights of gold. The same side of
/// the same institution's quotes is used on both legs; the arithmetic is exact and rounded once, at the end, half away
/// from zero to the decimals of the result's currency (six for weights). A value that no quote can serve is answered
/// with 422 and what is allowed beside the others. Counted against the client's rate limit.
#[utoipa::path(get, path = "/v1/convert", operation_id = "convert", tag = "tools", params(ConvertParameters), responses((status = 200, body = Converted)))]
async fn convert(State(site): State<Arc<Site>>, request: Request) -> Response {
    site.answer(request).await
}

/// History of gold prices
///
/// What came into force from `from` until `to`, and what was in force at `from`, point by point or by periods of Vietnam's
/// calendar; what says the same again is passed over. Pages are linked by `Link`. A range that has ended keeps for a day,
/// and is `immutable` where no past day can be read after the fact and nothing is ever dropped. Counted against the
/// client's rate limit.
#[utoipa::path(get, path = "/v1/history/gold", operation_id = "gold_history", tag = "history", params(GoldParameters, HistoryParameters, PageParameters), responses((status = 200, body = GoldHistory)))]
async fn gold_history(State(site): State<Arc<Site>>, request: Request) -> Response {
    history::answer(&site, request, Kind::Gold, Form::Json).await
}

/// History of gold prices as CSV
///
/// All points of the range, one a row, streamed: a header row, UTF-8, RFC 4180. Where it ends without the end of its last
/// chunk, something is missing.
#[utoipa::path(get, path = "/v1/history/gold.csv", operation_id = "gold_history_csv", tag = "history", params(GoldParameters, HistoryParameters), responses((status = 200, body = String, content_type = "text/csv")))]
async fn gold_history_csv(State(site): State<Arc<Site>>, request: Request) -> Response {
    history::answer(&site, request, Kind::Gold, Form::Csv).await
}

/// History of gold prices as NDJSON
///
/// The rows of the CSV, each a JSON object on a line of its own, streamed.
#[utoipa::path(get, path = "/v1/history/gold.ndjson", operation_id = "gold_history_ndjson", tag = "history", params(GoldParameters, HistoryParameters), responses((status = 200, body = String, content_type = "application/x-ndjson")))]
async fn gold_history_ndjson(State(site): State<Arc<Site>>, request: Request) -> Response {
    history::answer(&site, request, Kind::Gold, Form::Ndjson).await
}

/// History of exchange rates
///
/// What came into force from `from` until `to`, and what was in force at `from`, point by point or by periods of Vietnam's
/// calendar; what says the same again is passed over. Pages are linked by `Link`. A range that has ended keeps for a day,
/// and is `immutable` where no past day can be read after the fact and nothing is ever dropped. Counted against the
/// client's rate limit.
#[utoipa::path(get, path = "/v1/history/fx", operation_id = "fx_history", tag = "history", params(FxParameters, HistoryParameters, PageParameters), responses((status = 200, body = FxHistory)))]
async fn fx_history(State(site): State<Arc<Site>>, request: Request) -> Response {
    history::answer(&site, request, Kind::Fx, Form::Json).await
}

/// History of exchange rates as CSV
///
/// All points of the range, one a row, streamed: a header row, UTF-8, RFC 4180. Where it ends without the end of its last
/// chunk, something is missing.
#[utoipa::path(get, path = "/v1/history/fx.csv", operation_id = "fx_history_csv", tag = "history", params(FxParameters, HistoryParameters), responses((status = 200, body = String, content_type = "text/csv")))]
async fn fx_history_csv(State(site): State<Arc<Site>>, request: Request) -> Response {
    history::answer(&site, request, Kind::Fx, Form::Csv).await
}

/// History of exchange rates as NDJSON
///
/// The rows of the CSV, each a JSON object on a line of its own, streamed.
#[utoipa::path(get, path = "/v1/history/fx.ndjson", operation_id = "fx_history_ndjson", tag = "history", params(FxParameters, HistoryParameters), responses((status = 200, body = String, content_type = "application/x-ndjson")))]
async fn fx_history_ndjson(State(site): State<Arc<Site>>, request: Request) -> Response {
    history::answer(&site, request, Kind::Fx, Form::Ndjson).await
}

/// History of deposit rates
///
/// What came into force from `from` until `to`, and what was in force at `from`, point by point or by periods of Vietnam's
/// calendar; what says the same again is passed over. Pages are linked by `Link`. A range that has ended keeps for a day,
/// and is `immutable` where no past day can be read after the fact and nothing is ever dropped. Counted against the
/// client's rate limit.
#[utoipa::path(get, path = "/v1/history/deposits", operation_id = "deposits_history", tag = "history", params(DepositParameters, HistoryParameters, PageParameters), responses((status = 200, body = DepositHistory)))]
async fn deposits_history(State(site): State<Arc<Site>>, request: Request) -> Response {
    history::answer(&site, request, Kind::Deposit, Form::Json).await
}

/// History of deposit rates as CSV
///
/// All points of the range, one a row, streamed: a header row, UTF-8, RFC 4180. Where it ends without the end of its last
/// chunk, something is missing.
#[utoipa::path(get, path = "/v1/history/deposits.csv", operation_id = "deposits_history_csv", tag = "history", params(DepositParameters, HistoryParameters), responses((status = 200, body = String, content_type = "text/csv")))]
async fn deposits_history_csv(State(site): State<Arc<Site>>, request: Request) -> Response {
    history::answer(&site, request, Kind::Deposit, Form::Csv).await
}

/// History of deposit rates as NDJSON
///
/// The rows of the CSV, each a JSON object on a line of its own, streamed.
#[utoipa::path(get, path = "/v1/history/deposits.ndjson", operation_id = "deposits_history_ndjson", tag = "history", params(DepositParameters, HistoryParameters), responses((status = 200, body = String, content_type = "application/x-ndjson")))]
async fn deposits_history_ndjson(State(site): State<Arc<Site>>, request: Request) -> Response {
    history::answer(&site, request, Kind::Deposit, Form::Ndjson).await
}

/// Events as they happen
///
/// Server-sent events, each with an `id` that ascends, an `event` and one line of `data`: `quote.changed` (`{ id, quote, at }`,
/// the quote as in the lists), `feed.stale` and `feed.recovered` (`{ id, feed, at }`, the feed as in `/v1/feeds`),
/// `quote.held` (the quote, the candidate, and why it waits). A client that comes back with `Last-Event-ID` is told what
/// happened meanwhile, once and in order, for two days at least; where that cannot be known it is told `reset`, with
/// the documents to read anew. A comment comes every 20 seconds; a stream ends cleanly within an hour, and the client comes
/// back. A reader that is too slow is let go. Where all streams are taken: 503, with `Retry-After`.
#[utoipa::path(get, path = "/v1/events", operation_id = "events", tag = "events", params(EventParameters), responses((status = 200, body = String, content_type = "text/event-stream")))]
async fn events(state: State<Arc<Site>>, request: Request) -> Response {
    super::events::events(state, request).await
}

/// What there is.
#[derive(Serialize, ToSchema)]
pub(super) struct Index {
    /// Of the API; it only grows.
    #[schema(examples("v1"))]
    pub(super) version: &'static str,
    /// Name and version of the program.
    pub(super) software: &'static str,
    /// Whether the figures are recorded ones.
    pub(super) recorded: bool,
    /// Documents by name, with their addresses.
    pub(super) documents: std::collections::BTreeMap<String, String>,
    /// Ids of the feeds.
    pub(super) feeds: Vec<&'static str>,
    /// For people.
    #[schema(format = "uri")]
    pub(super) docs: String,
    /// For programs.
    #[schema(format = "uri")]
    pub(super) openapi: String,
}
