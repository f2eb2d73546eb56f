//! The OpenAPI 3.1 document: made from the handlers and the lists that the filters read, so that it cannot drift.
//! What all operations have in common (validators, errors) is added here once.

use serde_json::{Map, Value, json};
use utoipa::{
    IntoParams,
    openapi::{
        InfoBuilder, License, OpenApi, OpenApiBuilder, RefOr, Required, Server,
        path::{Parameter, ParameterBuilder, ParameterIn, ParameterStyle},
        schema::{ArrayBuilder, ObjectBuilder, Schema, Type},
        tag::TagBuilder,
    },
};

use super::problem::{Problem, TYPES};
use crate::{
    convert::{Money, Side},
    filter,
};

/// Name, description and example of a query parameter, with its schema.
struct Query {
    name: &'static str,
    description: &'static str,
    required: bool,
    schema: Schema,
    example: Value,
    list: bool,
}

impl Query {
    fn one(name: &'static str, description: &'static str, schema: Schema, example: &str) -> Self {
        Self { name, description, required: false, schema, example: example.into(), list: false }
    }

    fn list(name: &'static str, description: &'static str, item: Schema, example: &[&str]) -> Self {
        let array = ArrayBuilder::new().items(RefOr::T(item)).min_items(Some(1)).build();
        Self {
            name,
            description,
            required: false,
            schema: Schema::Array(array),
            example: example.into(),
            list: true,
        }
    }

    fn required(self) -> Self {
        Self { required: true, ..self }
    }

    fn build(self) -> Parameter {
        let parameter = ParameterBuilder::new()
            .name(self.name)
            .parameter_in(ParameterIn::Query)
            .description(Some(self.description))
            .required(if self.required { Required::True } else { Required::False })
            .schema(Some(self.schema))
            .example(Some(self.example));
        if self.list {
            parameter.style(Some(ParameterStyle::Form)).explode(Some(false)).build()
        } else {
            parameter.build()
        }
    }
}

fn choice<T: Into<Value>>(values: impl IntoIterator<Item = T>) -> Schema {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(values)).build().into()
}

fn pattern(pattern: &str) -> Schema {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).build().into()
}

fn providers_of(kind: providers::Kind) -> Schema {
    choice(
        providers::INSTITUTIONS
            .iter()
            .filter(|house| house.feeds.iter().any(|feed| feed.kind == kind))
            .map(|house| house.id),
    )
}

/// The moment.
fn at() -> Query {
    Query::one(
        "at",
        "The board of that moment: an instant in whole seconds with its zone, or a day of Vietnam that is over (its end); from 2000-01-01 on, or, where the operator keeps less, from the instant on that the 422 names. `generated_at` is then the moment, `version` 0, and what the past cannot tell (candidates, failures) is left out. What is of more than five minutes ago and complete is `immutable`, unless `banggia backfill` can still read a day of it.",
        pattern(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt][0-9]{2}:[0-9]{2}:[0-9]{2}([Zz]|[+-][0-9]{2}:[0-9]{2}))?$"),
        "2026-09-30T10:05:00+07:00",
    )
}

/// The moment, beside what else a document takes.
pub(super) struct MomentParameters;

impl IntoParams for MomentParameters {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![at().build()]
    }
}

/// Query of `/v1/gold`.
pub(super) struct GoldParameters;
/// Query of `/v1/fx`.
pub(super) struct FxParameters;
/// Query of `/v1/deposits`.
pub(super) struct DepositParameters;
/// Query of `/v1/gold.atom`.
pub(super) struct GoldChanges;
/// Query of `/v1/fx.atom`.
pub(super) struct FxChanges;
/// Query of `/v1/deposits.atom`.
pub(super) struct DepositChanges;
/// Query of `/v1/events`.
pub(super) struct EventParameters;
/// Query of `/v1/convert`.
pub(super) struct ConvertParameters;

/// Query of `/v1/history/…`.
pub(super) struct HistoryParameters;
/// And of its pages.
pub(super) struct PageParameters;

/// An instant or a day.
const BOUND: &str =
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2}))?$";

impl IntoParams for GoldParameters {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let units = providers::WeightUnit::ALL.iter().map(|unit| unit.as_str());
        vec![
            Query::list("providers", "Only these houses, of those whose feeds are enabled.", providers_of(providers::Kind::Gold), &["doji"]),
            Query::list("products", "Only these products.", choice(filter::products()), &["sjc-bar", "ring-9999"]),
            Query::list("places", "Only quotes of these places.", choice(providers::PLACES.iter().copied()), &["hanoi"]),
            Query::one(
                "unit",
                "Weight that prices are given for: lượng (37.5 g), chỉ (3.75 g), gram, kilogram or troy ounce (31.1034768 g).",
                choice(units),
                "chi",
            ),
        ]
        .into_iter()
        .map(Query::build)
        .collect()
    }
}

impl IntoParams for FxParameters {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![
            Query::list(
                "providers",
                "Only these banks, of those whose feeds are enabled.",
                providers_of(providers::Kind::Fx),
                &["bidv"],
            ),
            Query::list(
                "currencies",
                "Only these currencies (ISO 4217).",
                choice(providers::CURRENCIES.iter().copied()),
                &["USD", "EUR"],
            ),
        ]
        .into_iter()
        .map(Query::build)
        .collect()
    }
}

impl IntoParams for DepositParameters {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![
            Query::list(
                "providers",
                "Only these banks, of those whose feeds are enabled.",
                providers_of(providers::Kind::Deposit),
                &["bidv", "ocb"],
            ),
            Query::list(
                "terms",
                "Only these terms: `demand`, `P6M` or `6` (months), `P7D` (days).",
                pattern("^(demand|P[1-9][0-9]{0,2}[MD]|[0-9]{1,3})$"),
                &["6", "P12M"],
            ),
            Query::list(
                "channel",
                "Only these channels; `unknown` is that of a source which states none (`null` in the quote).",
                choice(filter::CHANNELS.iter().copied()),
                &["counter"],
            ),
            Query::list(
                "customer",
                "Only rates for these customers.",
                choice(["personal", "corporate"]),
                &["personal"],
            ),
        ]
        .into_iter()
        .map(Query::build)
        .collect()
    }
}

/// Those of the list, in a language, without what its words leave no choice of.
fn of_changes(list: Vec<Parameter>) -> Vec<Parameter> {
    let lang =
        Query::one("lang", "Language of the titles.", choice(widgets::Lang::ALLOWED.iter().copied()), "en");
    list.into_iter().filter(|parameter| parameter.name != "unit").chain([lang.build()]).collect()
}

impl IntoParams for GoldChanges {
    fn into_params(to: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        of_changes(GoldParameters::into_params(to))
    }
}

impl IntoParams for FxChanges {
    fn into_params(to: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        of_changes(FxParameters::into_params(to))
    }
}

impl IntoParams for DepositChanges {
    fn into_params(to: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        of_changes(DepositParameters::into_params(to))
    }
}

impl IntoParams for EventParameters {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let types = crate::events::What::ALL.map(crate::events::What::as_str);
        vec![
            Query::list("types", "Only these events.", choice(types), &["quote.changed"]),
            Query::list("kinds", "Only of these kinds.", choice(["gold", "fx", "deposit"]), &["gold", "fx"]),
            Query::list(
                "feeds",
                "Only of these feeds, of those that are enabled.",
                choice(providers::feeds().map(|(_, feed)| feed.id)),
                &["doji.gold"],
            ),
            Query::list(
                "ids",
                "Only of these quotes or feeds, at most 50.",
                pattern("^[a-z]+\\.(gold|fx|deposit)(\\.[A-Za-z0-9.-]+)?$"),
                &["doji.gold.sjc-bar"],
            ),
            Query::one(
                "last_event_id",
                "What was seen last, for clients that cannot send the header `Last-Event-ID`, which stands above it.",
                pattern("^[0-9]{1,18}$"),
                "188416",
            ),
        ]
        .into_iter()
        .map(Query::build)
        .collect()
    }
}

impl IntoParams for ConvertParameters {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let houses = providers::INSTITUTIONS
            .iter()
            .filter(|house| house.feeds.iter().any(|feed| feed.kind != providers::Kind::Deposit))
            .map(|house| house.id);
        vec![
            Query::one("from", "Currency (ISO 4217) or weight of gold.", choice(Money::names()), "USD").required(),
            Query::one("to", "Currency (ISO 4217) or weight of gold.", choice(Money::names()), "VND").required(),
            Query::one("amount", "How much; 1 when not given.", pattern(r"^[0-9]{1,15}(\.[0-9]{1,6})?$"), "100"),
            Query::one(
                "provider",
                "Whose prices. When not given: the first institution, in the order of `/v1`, that quotes what is needed and whose figures are fresh.",
                choice(houses),
                "bidv",
            ),
            Query::one(
                "side",
                "At which price: of currencies `buy_cash`, `buy_transfer`, `sell`, `sell_cash`; of gold `buy`, `sell`. `sell` when not given.",
                choice(Side::ALL.iter().map(|side| side.as_str())),
                "sell",
            ),
            Query::one(
                "product",
                "Which gold; the house's bar when not given.",
                choice(filter::products()),
                "sjc-bar",
            ),
            at(),
        ]
        .into_iter()
        .map(Query::build)
        .collect()
    }
}

impl IntoParams for HistoryParameters {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let id = r"^[a-z]+\.[a-z]+(\.[A-Za-z0-9-]+){1,3}$";
        vec![
            Query::list(
                "series",
                "Only these quotes, by their ids, 20 at most; instead of the filters, `unit` apart.",
                pattern(id),
                &["bidv.fx.USD"],
            ),
            Query::one(
                "from",
                "The first instant (RFC 3339) or day of Vietnam; from the beginning when not given. What was in force then comes first, at its own, earlier time.",
                pattern(BOUND),
                "2026-09-01",
            ),
            Query::one(
                "to",
                "The last instant or day, inclusive; until now when not given.",
                pattern(BOUND),
                "2026-09-30T23:59:59+07:00",
            ),
            Query::one(
                "group",
                "First, last, low and high of each side by hour, day, week (from Monday) or month of Vietnam, where something was published.",
                choice(crate::history::Group::ALL.map(crate::history::Group::as_str)),
                "day",
            ),
        ]
        .into_iter()
        .map(Query::build)
        .collect()
    }
}

impl IntoParams for PageParameters {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let limit = pattern("^([1-9][0-9]{0,2}|[1-4][0-9]{3}|5000)$");
        let text = "Points on a page, 1 to 5000; 1000 when not given.";
        vec![
            Query::one("limit", text, limit, "500").build(),
            Query::one(
                "cursor",
                "Where the page begins, as the `Link` of the page before says.",
                pattern("^[A-Za-z0-9_-]+$"),
                "MTc5MDgzNDM5OXxiaWR2LmZ4LlVTRHxzfDA",
            )
            .build(),
        ]
    }
}

/// What stands above the routes.
pub(super) fn head() -> OpenApi {
    let mut license = License::new("MIT");
    license.identifier = Some("MIT".to_owned());
    let tag = |name: &str, text: &str| TagBuilder::new().name(name).description(Some(text)).build();
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Bảng Giá")
                .version("1")
                .description(Some(
                    "Gold prices, exchange rates and deposit rates of Vietnam. Decimals are strings with the source's digits, instants RFC 3339 with +07:00, an absent figure is null. Documents carry instants and never ages, so any cache may keep them. For reference only.",
                ))
                .license(Some(license))
                .build(),
        )
        .servers(Some([Server::new("/")]))
        .tags(Some([
            tag("index", "What there is."),
            tag("figures", "Newest figures."),
            tag("events", "What happens, as it happens."),
            tag("tools", "Computed from them."),
            tag("history", "Figures of the past."),
        ]))
        .build()
}

/// The whole document.
#[must_use]
pub fn document() -> Value {
    let (_, api) = super::api::routes().split_for_parts();
    // Our own types, whose keys are strings: this does not fail.
    let mut api = serde_json::to_value(api).unwrap_or_default();
    api["components"]["schemas"]["Problem"] = schema::<Problem>();
    api["components"]["schemas"]["WrongParameter"] = schema::<crate::filter::WrongParameter>();
    let answers: Map<String, Value> = TYPES
        .iter()
        .map(|kind| {
            let mut answer = json!({
                "description": format!("{}. {}", kind.title, kind.meaning),
                "headers": { "X-Request-Id": { "description": "The request_id of the body.", "required": true, "schema": { "type": "string" } } },
                "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
            });
            if matches!(kind.status.as_u16(), 429 | 503) {
                answer["headers"]["Retry-After"] = json!({ "description": "Seconds.", "required": true, "schema": { "type": "integer", "minimum": 1 } });
            }
            if kind.status.as_u16() == 429 {
                rate_limit(&mut answer, true);
            }
            (kind.name.to_owned(), answer)
        })
        .collect();
    api["components"]["responses"] = Value::Object(answers);
    let Some(paths) = api["paths"].as_object_mut() else { return api };
    for (path, item) in paths {
        let operation = &mut item["get"];
        if path == EVENTS {
            stream(&mut operation["responses"]);
            continue;
        }
        let derived = operation.get("parameters").is_some();
        let streamed = path.starts_with("/v1/history/") && path.contains('.');
        validators(&mut operation["responses"]["200"]);
        if path.starts_with("/v1/history/") {
            history(&mut operation["responses"]["200"], streamed);
        }
        if derived {
            // Only on answers that were counted.
            rate_limit(&mut operation["responses"]["200"], false);
        }
        if let Some(example) = example(path)
            && let Some(content) = operation["responses"]["200"]["content"].as_object_mut()
        {
            for media in content.values_mut() {
                // JSON as it is, rows as a text.
                let document = serde_json::from_str(example).ok().filter(|_| !streamed);
                media["example"] = document.unwrap_or_else(|| example.into());
            }
        }
        if !streamed {
            operation["responses"]["304"] = unchanged();
        }

        for kind in TYPES {
            let only_derived = matches!(kind.status.as_u16(), 429 | 503);
            let elsewhere = matches!(kind.status.as_u16(), 404 | 405 | 501);
            if !elsewhere && (derived || !only_derived) {
                operation["responses"][kind.status.as_str()] =
                    json!({ "$ref": format!("#/components/responses/{}", kind.name) });
            }
        }
    }
    api
}

const EVENTS: &str = "/v1/events";

/// A stream has no validators, and nothing of it is counted; instead there may be none, or no room for one more.
fn stream(responses: &mut Value) {
    responses["200"]["description"] = "Events until the client goes, or for an hour.".into();
    responses["200"]["headers"] =
        json!({ "Cache-Control": { "required": true, "schema": { "const": "no-store" } } });
    if let Some(example) = example(EVENTS) {
        responses["200"]["content"]["text/event-stream"]["example"] = example.into();
    }
    for kind in TYPES.iter().filter(|kind| !matches!(kind.status.as_u16(), 405 | 429 | 501)) {
        responses[kind.status.as_str()] = json!({ "$ref": format!("#/components/responses/{}", kind.name) });
    }
}

fn schema<T: utoipa::PartialSchema>() -> Value {
    serde_json::to_value(T::schema()).unwrap_or_default()
}

fn etag() -> Value {
    json!({ "description": "Strong; different for each content coding.", "required": true, "schema": { "type": "string", "pattern": "^\"[0-9a-f]{32}\"$" } })
}

fn validators(answer: &mut Value) {
    answer["description"] = "Found.".into();
    answer["headers"] = json!({
        "ETag": etag(),
        "Cache-Control": { "description": "Good until the next refresh, 5 to 60 s; `immutable` where it is of a moment that is over.", "required": true, "schema": { "type": "string" } },
        "Vary": { "required": true, "schema": { "const": "Accept-Encoding" } },
    });
}

fn unchanged() -> Value {
    json!({
        "description": "Nothing changed since the ETag in If-None-Match.",
        "headers": {
            "ETag": etag(),
            "Cache-Control": { "required": true, "schema": { "type": "string" } },
            "Vary": { "required": true, "schema": { "const": "Accept-Encoding" } },
        },
    })
}

/// What an answer of a history has beyond others; what is streamed has no tag, which only the whole of it could give.
fn history(answer: &mut Value, streamed: bool) {
    let lasts = "Of a range that has ended, five minutes ago at least: a day, immutable where it cannot change. Else until the next refresh, 5 to 60 s.";
    answer["headers"]["Cache-Control"]["description"] = lasts.into();
    if let Some(headers) = answer["headers"].as_object_mut().filter(|_| streamed) {
        headers.remove("ETag");
        return;
    }
    answer["headers"]["Link"] = json!({
        "description": "`next`: the page behind this one, where there is one; `first`: the first one (RFC 8288).",
        "required": false,
        "schema": { "type": "string" },
    });
}

fn rate_limit(answer: &mut Value, required: bool) {
    for (name, what) in [("RateLimit", "What is left of the quota"), ("RateLimit-Policy", "The quota")] {
        let when = if required { "" } else { "; only where the request was counted" };
        answer["headers"][name] = json!({
            "description": format!("{what}{when} (draft-ietf-httpapi-ratelimit-headers)."),
            "required": required,
            "schema": { "type": "string" },
        });
    }
}

/// Of a parameter's example, whether it goes together with the others: `product` belongs to gold alone, ids stand instead of
/// filters, and a page's place comes from the page before.
pub(super) fn is_of_example(name: &str) -> bool {
    !["product", "series", "cursor", "at"].contains(&name)
}

/// One answer a path to the request that the examples of its parameters make, from the built-in recordings and
/// shortened; tests hold it against its schema.
pub(super) fn example(path: &str) -> Option<&'static str> {
    Some(match path {
        "/v1" => include_str!("examples/index.json"),
        "/v1/board" => include_str!("examples/board.json"),
        "/v1/gold" => include_str!("examples/gold.json"),
        "/v1/fx" => include_str!("examples/fx.json"),
        "/v1/deposits" => include_str!("examples/deposits.json"),
        "/v1/feeds" => include_str!("examples/feeds.json"),
        "/v1/convert" => include_str!("examples/convert.json"),
        "/v1/history/gold" => include_str!("examples/history-gold.json"),
        "/v1/history/fx" => include_str!("examples/history-fx.json"),
        "/v1/history/deposits" => include_str!("examples/history-deposits.json"),
        "/v1/history/gold.csv" => include_str!("examples/history-gold.csv"),
        "/v1/history/fx.csv" => include_str!("examples/history-fx.csv"),
        "/v1/history/deposits.csv" => include_str!("examples/history-deposits.csv"),
        "/v1/history/gold.ndjson" => include_str!("examples/history-gold.ndjson"),
        "/v1/history/fx.ndjson" => include_str!("examples/history-fx.ndjson"),
        "/v1/history/deposits.ndjson" => include_str!("examples/history-deposits.ndjson"),
        "/v1/events" => include_str!("examples/events.txt"),
        "/v1/gold.atom" => include_str!("examples/gold.atom"),
        "/v1/fx.atom" => include_str!("examples/fx.atom"),
        "/v1/deposits.atom" => include_str!("examples/deposits.atom"),
        "/v1/gold.csv" => include_str!("examples/gold.csv"),
        "/v1/fx.csv" => include_str!("examples/fx.csv"),
        "/v1/deposits.csv" => include_str!("examples/deposits.csv"),
        _ => return None,
    })
}
