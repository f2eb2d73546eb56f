//! How long whom may keep an answer: handlers say why, one function says it in HTTP.

use std::sync::LazyLock;

use axum::http::HeaderValue;
use jiff::Timestamp;

/// Seconds that newest figures are good for.
const SHORTEST: i64 = 5;
const LONGEST: i64 = 60;
/// Seconds for which old bytes are better than none.
const DAY: i64 = 86_400;

/// The usual answers, made once: nearly all figures are good for more than a day.
static FOR_A_DAY: LazyLock<Vec<HeaderValue>> = LazyLock::new(|| {
    (SHORTEST..=LONGEST).map(|max_age| HeaderValue::from_static(String::leak(latest(max_age, DAY)))).collect()
});

fn latest(max_age: i64, stale_if_error: i64) -> String {
    format!("public, max-age={max_age}, stale-while-revalidate=300, stale-if-error={stale_if_error}")
}

/// How long an answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CachePolicy {
    /// Newest figures: good until the first of their feeds is asked again, 5 to 60 s. While we are asked again, and
    /// when we cannot be, old bytes are better than none, as long as no figure in them expires.
    Latest {
        /// When the first of its feeds is refreshed next.
        next_refresh_at: Option<Timestamp>,
        /// When the first of its figures expires of those that have not.
        expires_at: Option<Timestamp>,
    },
    /// What is past: it changes only when somebody reads past days after the fact.
    Past {
        /// Or not at all.
        immutable: bool,
    },
    /// Changes only with the program and its configuration.
    Program,
    /// Changes with the program, at an address that stays: newcomers get the new one within minutes.
    Moving,
    /// At an address with the hash of its bytes: never changes.
    Immutable,
    /// An error or a state of health: of this request alone.
    Never,
}

impl CachePolicy {
    /// Of two together: until the first of them changes. Beside figures nothing else does as soon.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let first = |one: Option<Timestamp>, other: Option<Timestamp>| one.into_iter().chain(other).min();
        match (self, other) {
            (
                Self::Latest { next_refresh_at, expires_at },
                Self::Latest { next_refresh_at: other_refresh, expires_at: other_expiry },
            ) => Self::Latest {
                next_refresh_at: first(next_refresh_at, other_refresh),
                expires_at: first(expires_at, other_expiry),
            },
            (Self::Latest { .. }, _) => self,
            _ => other,
        }
    }

    /// The same of what lacks something that may be there soon.
    #[must_use]
    pub const fn for_now(self) -> Self {
        let expires_at = match self {
            Self::Latest { expires_at, .. } => expires_at,
            _ => None,
        };
        Self::Latest { next_refresh_at: None, expires_at }
    }

    /// `Cache-Control`
    #[must_use]
    pub fn header(self, now: Timestamp) -> HeaderValue {
        match self {
            Self::Latest { next_refresh_at, expires_at } => {
                let seconds_to = |at: Option<Timestamp>| at.map_or(0, |at| at.as_second() - now.as_second());
                let max_age = seconds_to(next_refresh_at).clamp(SHORTEST, LONGEST);
                match seconds_to(expires_at).clamp(0, DAY) {
                    DAY => usize::try_from(max_age - SHORTEST).ok().and_then(|at| FOR_A_DAY.get(at)).cloned(),
                    sooner => HeaderValue::try_from(latest(max_age, sooner)).ok(),
                }
                // Digits and letters: there is one.
                .unwrap_or(HeaderValue::from_static("no-store"))
            }
            Self::Past { immutable: false } => HeaderValue::from_static("public, max-age=86400"),
            Self::Past { immutable: true } => HeaderValue::from_static("public, max-age=86400, immutable"),
            Self::Program => HeaderValue::from_static(
                "public, max-age=60, stale-while-revalidate=300, stale-if-error=86400",
            ),
            Self::Moving => HeaderValue::from_static(
                "public, max-age=300, stale-while-revalidate=86400, stale-if-error=604800",
            ),
            Self::Immutable => HeaderValue::from_static("public, max-age=31536000, immutable"),
            Self::Never => HeaderValue::from_static("no-store"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_live_until_their_next_refresh_within_five_to_sixty_seconds() {
        let at = |second: i64| Some(Timestamp::from_second(1_790_000_000 + second).unwrap());
        let now = at(0).unwrap();
        for (next, expires, wanted) in [
            (at(30), at(7200), "public, max-age=30, stale-while-revalidate=300, stale-if-error=7200"),
            (at(2), at(900_000), "public, max-age=5, stale-while-revalidate=300, stale-if-error=86400"),
            (at(-9), at(-1), "public, max-age=5, stale-while-revalidate=300, stale-if-error=0"),
            (at(900), None, "public, max-age=60, stale-while-revalidate=300, stale-if-error=0"),
            (None, None, "public, max-age=5, stale-while-revalidate=300, stale-if-error=0"),
        ] {
            let policy = CachePolicy::Latest { next_refresh_at: next, expires_at: expires };
            assert_eq!(policy.header(now), wanted);
        }
    }

    #[test]
    fn what_lacks_something_is_asked_for_again_soon_whatever_it_is_of() {
        let at = |second: i64| Some(Timestamp::from_second(1_790_000_000 + second).unwrap());
        let whole = CachePolicy::Latest { next_refresh_at: at(50), expires_at: at(7200) };
        for (whole, wanted) in [
            (whole, "public, max-age=5, stale-while-revalidate=300, stale-if-error=7200"),
            (
                CachePolicy::Past { immutable: false },
                "public, max-age=5, stale-while-revalidate=300, stale-if-error=0",
            ),
            (CachePolicy::Program, "public, max-age=5, stale-while-revalidate=300, stale-if-error=0"),
        ] {
            assert_eq!(whole.for_now().header(at(0).unwrap()), wanted);
        }
    }

    #[test]
    fn two_together_hold_until_the_first_of_them_changes() {
        let at = |second: i64| Some(Timestamp::from_second(1_790_000_000 + second).unwrap());
        let latest = |next_refresh_at, expires_at| CachePolicy::Latest { next_refresh_at, expires_at };
        for (one, other, both) in [
            (latest(at(30), at(7200)), latest(at(20), at(9000)), latest(at(20), at(7200))),
            (latest(None, at(7200)), latest(at(20), None), latest(at(20), at(7200))),
            (latest(None, None), latest(None, None), latest(None, None)),
            (latest(at(30), None), CachePolicy::Program, latest(at(30), None)),
        ] {
            assert_eq!((one.and(other), other.and(one)), (both, both));
        }
    }
}
