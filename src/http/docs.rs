//! The reference for developers, made from the OpenAPI document, and one page for each kind of error. No script, no
//! foreign asset.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use serde_json::Value;

use super::{
    Problem, Site,
    cache::CachePolicy,
    data,
    pages::{self, icon, page, style},
    problem::{OPERATORS_TYPES, ProblemType, TYPES},
};

/// `GET /openapi.json`
pub(super) async fn openapi(State(site): State<Arc<Site>>, request: Request) -> Response {
    page(&site, request, "openapi.json", CachePolicy::Program, || {
        let mut api = super::openapi();
        if !site.mount.is_empty() {
            api["servers"][0]["url"] = (*site.mount).into();
        }
        Some(data("application/json", crate::document::encode(&api)))
    })
}

/// `GET /docs`
pub(super) async fn reference(State(site): State<Arc<Site>>, request: Request) -> Response {
    let base = site.at("");
    html(&site, request, "docs", || {
        let api = super::openapi();
        let recorded = site.snapshot.load().recorded;
        Reference {
            root: "",
            style: style(),
            icon: icon(),
            recorded,
            base,
            operations: operations(&api),
            schemas: schemas(&api),
            types: TYPES,
        }
    })
}

/// `GET /docs/problems`
pub(super) async fn problems(State(site): State<Arc<Site>>, request: Request) -> Response {
    html(&site, request, "problems", || {
        let mount = Arc::clone(&site.mount);
        ProblemPage { style: style(), icon: icon(), root: "../", mount, types: TYPES }
    })
}

/// `GET /docs/problems/{name}`
pub(super) async fn problem(State(site): State<Arc<Site>>, request: Request) -> Response {
    let name = request.uri().path().rsplit('/').next().unwrap_or_default();
    let own = |list: &'static [&'static ProblemType]| list.chunks(1).find(|kind| kind[0].name == name);
    match own(TYPES).or_else(|| own(OPERATORS_TYPES)) {
        Some(types) => html(&site, request, types[0].name, || ProblemPage {
            style: style(),
            icon: icon(),
            root: "../../",
            mount: Arc::clone(&site.mount),
            types,
        }),
        None => Problem::not_found(request.uri()).into_response(),
    }
}

/// The page of this name, made from its template on the first request.
fn html<T: Template>(
    site: &Site,
    request: Request,
    name: &'static str,
    template: impl FnOnce() -> T,
) -> Response {
    page(site, request, name, CachePolicy::Program, || {
        let text = template().render();
        let text = text.inspect_err(|error| tracing::error!(%error, "a page could not be rendered")).ok()?;
        Some(pages::html(&text))
    })
}

#[derive(Template)]
#[template(path = "docs.html", config = "src/http/askama.toml")]
struct Reference {
    /// Way back to `/`.
    root: &'static str,
    style: &'static str,
    icon: &'static str,
    recorded: bool,
    base: String,
    operations: Vec<Operation>,
    schemas: Vec<SchemaTable>,
    types: &'static [&'static ProblemType],
}

#[derive(Template)]
#[template(path = "problems.html", config = "src/http/askama.toml")]
struct ProblemPage {
    style: &'static str,
    icon: &'static str,
    /// Way back to `/`.
    root: &'static str,
    /// What a type begins with.
    mount: Arc<str>,
    types: &'static [&'static ProblemType],
}

/// One path.
struct Operation {
    id: String,
    path: String,
    summary: String,
    description: String,
    parameters: Vec<Parameter>,
    /// Query of a request that works, with its question mark.
    query: String,
    schema: Option<String>,
    example: &'static str,
}

struct Parameter {
    name: String,
    required: bool,
    description: String,
    allowed: String,
}

/// Fields of one object.
struct SchemaTable {
    name: String,
    description: String,
    fields: Vec<Field>,
}

struct Field {
    name: String,
    kind: String,
    description: String,
}

/// Without the marks of Markdown, which the document's descriptions have and a page must not show.
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().replace('`', "")
}

fn operations(api: &Value) -> Vec<Operation> {
    let Some(paths) = api["paths"].as_object() else { return Vec::new() };
    let mut operations: Vec<Operation> = paths
        .iter()
        .map(|(path, item)| {
            let operation = &item["get"];
            let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
            let media = operation["responses"]["200"]["content"]
                .as_object()
                .and_then(|content| content.values().next());
            Operation {
                id: text(&operation["operationId"]),
                path: path.clone(),
                summary: text(&operation["summary"]),
                description: text(&operation["description"]),
                query: query(parameters),
                schema: media.and_then(|media| name_behind(&media["schema"])),
                parameters: parameters.iter().map(parameter).collect(),
                // As it stands in its file: with the fields in the order of the answer.
                example: super::openapi::example(path).unwrap_or_default(),
            }
        })
        .collect();
    operations.sort_by_key(|operation| (order(&operation.path), operation.path.clone()));
    operations
}

/// In the order in which a reader meets them.
fn order(path: &str) -> usize {
    [
        "/v1",
        "/v1/board",
        "/v1/gold",
        "/v1/gold.csv",
        "/v1/gold.atom",
        "/v1/fx",
        "/v1/fx.csv",
        "/v1/fx.atom",
        "/v1/deposits",
        "/v1/deposits.csv",
        "/v1/deposits.atom",
    ]
    .iter()
    .position(|known| *known == path)
    .unwrap_or(usize::MAX)
}

fn parameter(parameter: &Value) -> Parameter {
    let schema = &parameter["schema"];
    let item = schema.get("items").unwrap_or(schema);
    let list = schema.get("items").is_some();
    let allowed = match item["enum"].as_array() {
        Some(values) => values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        None => text(&item["pattern"]),
    };
    Parameter {
        name: text(&parameter["name"]),
        required: parameter["required"] == true,
        description: text(&parameter["description"]),
        allowed: if list { format!("comma list of: {allowed}") } else { allowed },
    }
}

/// The request that the examples of the parameters make together; what cannot stand beside the others is left out.
fn query(parameters: &[Value]) -> String {
    let pairs: Vec<String> = parameters
        .iter()
        .filter(|parameter| parameter["name"].as_str().is_some_and(super::openapi::is_of_example))
        .map(|parameter| {
            let value = match &parameter["example"] {
                Value::Array(values) => values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
                other => text(other),
            };
            format!("{}={value}", text(&parameter["name"]))
        })
        .collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

/// The name behind a `$ref`.
fn name_behind(schema: &Value) -> Option<String> {
    schema["$ref"].as_str()?.rsplit('/').next().map(str::to_owned)
}

fn schemas(api: &Value) -> Vec<SchemaTable> {
    let Some(all) = api["components"]["schemas"].as_object() else { return Vec::new() };
    all.iter()
        .map(|(name, schema)| {
            let mut fields = Vec::new();
            collect(api, schema, &mut fields);
            SchemaTable { name: name.clone(), description: text(&schema["description"]), fields }
        })
        .filter(|table| !table.fields.is_empty())
        .collect()
}

/// Fields of an object and of what it is put together from.
fn collect(api: &Value, schema: &Value, fields: &mut Vec<Field>) {
    for part in schema["allOf"].as_array().into_iter().flatten() {
        let part = name_behind(part).map_or(part, |name| &api["components"]["schemas"][name.as_str()]);
        collect(api, part, fields);
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        fields.push(Field {
            name: name.clone(),
            kind: kind(property),
            description: text(&property["description"]),
        });
    }
}

/// A type in words: `string or null`, `list of GoldQuote`.
fn kind(schema: &Value) -> String {
    if let Some(name) = name_behind(schema) {
        return name;
    }
    if let Some(parts) = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()) {
        return parts.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    let format = schema["format"].as_str().map_or_else(String::new, |format| format!(" ({format})"));
    match &schema["type"] {
        Value::String(kind) if kind == "array" => format!("list of {}", self::kind(&schema["items"])),
        Value::String(kind) => format!("{kind}{format}"),
        Value::Array(kinds) => {
            let kinds: Vec<&str> = kinds.iter().filter_map(Value::as_str).collect();
            format!("{}{format}", kinds.join(" or "))
        }
        _ => "any".to_owned(),
    }
}
