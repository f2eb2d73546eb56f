//! What a widget is asked to show: options read from a query, an element or a preset, in one canonical form.
//! [`content`] decides which quote, which status and which time go into each cell and foot line.

pub mod chart;
pub mod content;

use std::{collections::BTreeMap, str::FromStr};

use jiff::Timestamp;
use providers::{Kind, WeightUnit};
use widgets::{Look, UnknownValue, model};

use self::chart::Asked;
use crate::{
    clock::rfc3339,
    config::Preset,
    filter::{Filter, MOST_ERRORS, WrongParameter},
};

/// More rows than this no table has.
const MOST_ROWS: u16 = 60;

/// Options beside the filters of a widget's quotes.
const LOOKS: &[&str] =
    &["preset", "theme", "lang", "accent", "transparent", "compact", "rows", "title", "link", "motion"];
const SWITCH: &[&str] = &["0", "1"];
const MOTION: &[&str] = &["none", "scroll"];

/// A widget as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Which.
    pub kind: model::Kind,
    /// How it is to look.
    pub look: Look,
    /// At most so many rows a table.
    pub rows: Option<u16>,
    /// What it is to contain.
    pub filter: Filter,
    /// Which course a chart shows.
    pub chart: Asked,
    /// Under which name of the configuration.
    pub preset: Option<String>,
    /// The query that asks for just this: the same text however it was asked for.
    pub query: String,
    /// The moment whose figures it shows; `None`: now.
    pub at: Option<Timestamp>,
}

/// Which quotes a widget shows.
#[must_use]
pub const fn kinds(widget: model::Kind) -> &'static [Kind] {
    match widget {
        model::Kind::Gold => &[Kind::Gold],
        model::Kind::Fx => &[Kind::Fx],
        model::Kind::Deposits => &[Kind::Deposit],
        model::Kind::Panel | model::Kind::Ticker => &[Kind::Gold, Kind::Fx, Kind::Deposit],
        // It shows one of them, by its id.
        model::Kind::Chart => &[],
    }
}

/// Names of a preset's options.
pub fn preset_options() -> impl Iterator<Item = &'static str> {
    let filters = [Kind::Gold, Kind::Fx, Kind::Deposit];
    let filters = filters.into_iter().flat_map(|kind| crate::filter::parameters(kind).iter().copied());
    LOOKS.iter().copied().filter(|name| *name != "preset").chain(filters).chain(chart::PARAMETERS)
}

impl Options {
    /// A widget as it is without options.
    #[must_use]
    pub fn of(kind: model::Kind) -> Self {
        Self {
            kind,
            look: Look::default(),
            rows: None,
            filter: Filter::default(),
            chart: Asked::default(),
            preset: None,
            query: String::new(),
            at: None,
        }
    }

    /// Reads them. Unknown parameters are campaign tags and ignored; a wrong value of a known one is an error. What is
    /// asked for by name stands above the preset.
    ///
    /// # Errors
    /// Every value that is not allowed.
    pub fn read(
        kind: model::Kind,
        pairs: impl Iterator<Item = (String, String)>,
        houses: &dyn Fn(Kind) -> Vec<&'static str>,
        presets: &BTreeMap<String, Preset>,
    ) -> Result<Self, Vec<WrongParameter>> {
        let mut options = Self::of(kind);
        let pairs: Vec<(String, String)> = pairs.collect();
        let mut errors = Vec::new();
        for (parameter, value) in pairs.iter().filter(|(parameter, _)| parameter == "preset") {
            match presets.get(value).filter(|preset| preset.widget == kind) {
                Some(preset) => {
                    options.preset = Some(value.clone());
                    let stated = |name: &str| pairs.iter().any(|(stated, _)| stated == name);
                    let given = preset.options.iter().filter(|(name, _)| !stated(name));
                    errors.extend(given.filter_map(|(name, value)| options.set(name, value, houses)));
                }
                None => {
                    let of_kind = presets.iter().filter(|(_, preset)| preset.widget == kind);
                    let allowed = of_kind.map(|(name, _)| name.clone()).collect();
                    errors.push(WrongParameter {
                        parameter: parameter.clone(),
                        value: value.clone(),
                        allowed,
                    });
                }
            }
        }
        let rest = pairs.iter().filter(|(parameter, _)| parameter != "preset");
        errors.extend(rest.filter_map(|(parameter, value)| options.set(parameter, value, houses)));
        if !errors.is_empty() {
            errors.truncate(MOST_ERRORS);
            return Err(errors);
        }
        options.filter = options.filter.canonical();
        // What the page says itself; the rest is the preset's, and may change without it.
        let mut own = Self::of(kind);
        let mut stated = Vec::new();
        for (parameter, value) in pairs.iter().filter(|(parameter, _)| parameter != "preset") {
            // Read above.
            own.set(parameter, value, houses);
            stated.push(parameter.as_str());
        }
        let wrong = options.chart.wrong(&stated).filter(|_| kind == model::Kind::Chart);
        if let Some(wrong) = wrong {
            return Err(vec![wrong]);
        }
        own.filter = own.filter.canonical();
        own.preset.clone_from(&options.preset);
        options.query = own.canonical(&stated);
        Ok(options)
    }

    /// What differs from the default; beside a preset everything that is stated.
    fn canonical(&self, stated: &[&str]) -> String {
        let (look, default) = (self.look, Look::default());
        let switch = |on: bool| if on { "1" } else { "0" }.to_owned();
        let motion = if look.motion { "scroll" } else { "none" };
        let mut pairs: Vec<(&str, String, bool)> = vec![
            ("preset", self.preset.clone().unwrap_or_default(), self.preset.is_some()),
            ("theme", look.theme.to_string(), look.theme != default.theme),
            ("lang", look.lang.to_string(), look.lang != default.lang),
            (
                "accent",
                look.accent.map(|accent| accent.to_string()).unwrap_or_default(),
                look.accent.is_some(),
            ),
            ("transparent", switch(look.transparent), look.transparent),
            ("compact", switch(look.compact), look.compact),
            ("rows", self.rows.map(|rows| rows.to_string()).unwrap_or_default(), self.rows.is_some()),
            ("title", switch(look.title), !look.title),
            ("link", switch(look.link), !look.link),
            ("motion", motion.to_owned(), look.motion),
        ];
        let filters = self.filter.pairs();
        if self.filter.unit.is_none() {
            pairs.push(("unit", WeightUnit::Luong.as_str().to_owned(), false));
        }
        pairs.extend(filters.into_iter().map(|(name, value)| (name, value, true)));
        pairs.extend(self.chart.pairs());
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value, differs) in pairs {
            if differs || (self.preset.is_some() && stated.contains(&name)) {
                query.append_pair(name, &value);
            }
        }
        // Commas stand for themselves in a query (RFC 3986 §3.4), and addresses are read by people.
        query.finish().replace("%2C", ",")
    }

    /// One of them; what is wrong with it.
    fn set(
        &mut self,
        parameter: &str,
        value: &str,
        houses: &dyn Fn(Kind) -> Vec<&'static str>,
    ) -> Option<WrongParameter> {
        let value = value.trim();
        let course =
            (self.kind == model::Kind::Chart).then(|| self.chart.set(parameter, value, houses)).flatten();
        if let Some(outcome) = course {
            let allowed = outcome.err()?;
            return Some(WrongParameter {
                parameter: parameter.to_owned(),
                value: value.to_owned(),
                allowed,
            });
        }
        let look = &mut self.look;
        let outcome = match parameter {
            "theme" => put(value, &mut look.theme),
            "lang" => put(value, &mut look.lang),
            "accent" => {
                value.parse().map(|accent| look.accent = Some(accent)).map_err(|error| allowed(&error))
            }
            "transparent" => switch(value, &mut look.transparent),
            "compact" => switch(value, &mut look.compact),
            "title" => switch(value, &mut look.title),
            "link" => switch(value, &mut look.link),
            "motion" => match value {
                "scroll" | "1" => {
                    look.motion = true;
                    Ok(())
                }
                "none" | "0" => {
                    look.motion = false;
                    Ok(())
                }
                _ => Err(texts(MOTION)),
            },
            "rows" => match value.parse::<u16>().ok().filter(|rows| {
                (1..=MOST_ROWS).contains(rows) && value.bytes().all(|byte| byte.is_ascii_digit())
            }) {
                Some(rows) => {
                    self.rows = Some(rows);
                    Ok(())
                }
                None => Err(vec![format!("1…{MOST_ROWS}")]),
            },
            _ => self.filter.read_one(kinds(self.kind), parameter, value, houses).unwrap_or(Ok(())),
        };
        let allowed = outcome.err()?;
        Some(WrongParameter { parameter: parameter.to_owned(), value: value.to_owned(), allowed })
    }

    /// The same with the figures of a moment.
    #[must_use]
    pub fn at(mut self, at: Timestamp) -> Self {
        let mark = if self.query.is_empty() { "" } else { "&" };
        // A plus sign would be read as a space; colons stand for themselves.
        self.query.push_str(&format!("{mark}at={}", rfc3339(at).replace('+', "%2B")));
        self.at = Some(at);
        self
    }

    /// The query of the same chart over another range.
    #[must_use]
    pub fn of_range(&self, range: model::Range) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in url::form_urlencoded::parse(self.query.as_bytes()) {
            if !matches!(&*name, "range" | "from" | "to") {
                query.append_pair(&name, &value);
            }
        }
        if range != model::Range::default() || self.preset.is_some() {
            query.append_pair("range", range.as_str());
        }
        let query = query.finish();
        if query.is_empty() { query } else { format!("?{query}") }
    }

    /// Whether it is the widget without options.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::of(self.kind)
    }

    /// The path of its page, with the query.
    #[must_use]
    pub fn path(&self) -> String {
        self.under("/widgets/", "")
    }

    /// The path of another form of it, with the query.
    #[must_use]
    pub fn under(&self, prefix: &str, suffix: &str) -> String {
        let mark = if self.query.is_empty() { "" } else { "?" };
        format!("{prefix}{}{suffix}{mark}{}", self.kind.as_str(), self.query)
    }
}

fn put<T: FromStr<Err = UnknownValue>>(value: &str, into: &mut T) -> Result<(), Vec<String>> {
    *into = value.parse().map_err(|error| allowed(&error))?;
    Ok(())
}

fn allowed(error: &UnknownValue) -> Vec<String> {
    texts(error.allowed)
}

fn switch(value: &str, into: &mut bool) -> Result<(), Vec<String>> {
    *into = match value {
        "1" => true,
        "0" => false,
        _ => return Err(texts(SWITCH)),
    };
    Ok(())
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: model::Kind, query: &str) -> Result<Options, Vec<WrongParameter>> {
        let preset = Preset {
            widget: model::Kind::Fx,
            options: vec![
                ("theme".to_owned(), "dark".to_owned()),
                ("currencies".to_owned(), "USD,EUR".to_owned()),
            ],
            frame_ancestors: None,
        };
        let presets = BTreeMap::from([("sidebar".to_owned(), preset)]);
        let pairs = url::form_urlencoded::parse(query.as_bytes())
            .map(|(name, value)| (name.into_owned(), value.into_owned()));
        Options::read(
            kind,
            pairs,
            &|kind| match kind {
                Kind::Gold => vec!["doji", "tpbank"],
                Kind::Fx => vec!["bidv", "vietcombank"],
                Kind::Deposit => vec!["bidv", "ocb"],
            },
            &presets,
        )
    }

    #[test]
    fn one_widget_has_one_address_however_it_is_asked_for() {
        for (kind, one, other) in [
            (model::Kind::Panel, "", "theme=auto&lang=vi&title=1&utm_source=zalo"),
            (model::Kind::Fx, "currencies=usd,EUR&rows=5", "rows=05&currencies=EUR&currencies=USD"),
            (model::Kind::Gold, "accent=%23A87400", "accent=a87400"),
            (model::Kind::Ticker, "motion=scroll", "motion=1"),
        ] {
            let (one, other) = (read(kind, one).unwrap(), read(kind, other).unwrap());
            assert_eq!((one.path(), &one), (other.path(), &other));
        }
        assert!(read(model::Kind::Panel, "utm_source=zalo").unwrap().is_default());
        let options = read(model::Kind::Fx, "rows=5&lang=en&currencies=usd,eur").unwrap();
        assert_eq!(options.path(), "/widgets/fx?lang=en&rows=5&currencies=EUR,USD");
    }

    #[test]
    fn what_a_page_says_stands_above_its_preset() {
        let options = read(model::Kind::Fx, "preset=sidebar").unwrap();
        assert_eq!(options.look.theme, widgets::Theme::Dark);
        assert_eq!(options.filter.currencies(), ["EUR", "USD"]);
        let options = read(model::Kind::Fx, "currencies=JPY&preset=sidebar").unwrap();
        assert_eq!(options.filter.currencies(), ["JPY"]);
        assert_eq!(options.look.theme, widgets::Theme::Dark);
        assert_eq!(options.query, "preset=sidebar&currencies=JPY");
        let options = read(model::Kind::Fx, "theme=auto&preset=sidebar").unwrap();
        assert_eq!(
            (options.look.theme, &*options.query),
            (widgets::Theme::Auto, "preset=sidebar&theme=auto")
        );
    }

    #[test]
    fn a_wrong_value_is_named_with_what_is_allowed() {
        for (kind, query, parameter, part) in [
            (model::Kind::Panel, "theme=neon", "theme", "auto"),
            (model::Kind::Panel, "lang=fr", "lang", "en"),
            (model::Kind::Panel, "accent=red", "accent", "RRGGBB"),
            (model::Kind::Panel, "transparent=yes", "transparent", "1"),
            (model::Kind::Panel, "rows=0", "rows", "1…60"),
            (model::Kind::Panel, "rows=%2B5", "rows", "1…60"),
            (model::Kind::Panel, "providers=acb", "providers", "vietcombank"),
            (model::Kind::Gold, "providers=bidv", "providers", "doji"),
            (model::Kind::Gold, "unit=stone", "unit", "chi"),
            (model::Kind::Ticker, "motion=fast", "motion", "scroll"),
            (model::Kind::Fx, "preset=front", "preset", "sidebar"),
            (model::Kind::Deposits, "terms=x", "terms", "demand"),
        ] {
            let wrong = read(kind, query).unwrap_err();
            assert_eq!((wrong.len(), wrong[0].parameter.as_str()), (1, parameter), "{query}");
            assert!(wrong[0].allowed.iter().any(|allowed| allowed.contains(part)), "{query}: {wrong:?}");
        }
        let wrong = read(model::Kind::Gold, "preset=sidebar").unwrap_err();
        assert!(wrong[0].allowed.is_empty(), "a preset of another widget is none of this one");
        assert!(read(model::Kind::Gold, "currencies=QQQ").is_ok(), "nothing of a gold widget");
    }
}
