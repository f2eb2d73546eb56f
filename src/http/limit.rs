//! Who asks, and how much work a client may cause. Only cache misses and conversions are counted; fixed documents
//! and 304 never are.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    middleware::StateInformationMiddleware,
    state::keyed::DashMapStateStore,
};

use crate::config::Network;

/// The window of the quota, seconds.
const WINDOW: u32 = 60;
/// Above so many remembered clients, those with a full bucket are forgotten at once and not at the next tidy.
const MANY: usize = 100_000;
/// An IPv6 customer has a /64 at least.
const V6_PREFIX: u8 = 64;

type Buckets = RateLimiter<IpAddr, DashMapStateStore<IpAddr>, DefaultClock, StateInformationMiddleware>;

/// A token bucket a client.
pub struct Limiter {
    buckets: Option<Buckets>,
    quota: u32,
    clock: DefaultClock,
    opened: Instant,
    tidied: AtomicU64,
}

/// What is left of a client's bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    quota: u32,
    remaining: u32,
}

/// Nothing is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exhausted {
    /// For the headers.
    pub left: Left,
    /// Seconds until one more is allowed.
    pub retry_after: u64,
}

impl Limiter {
    /// So many a minute and client, all at once if they like; 0 is no limit.
    #[must_use]
    pub fn new(a_minute: u32) -> Self {
        let buckets = NonZeroU32::new(a_minute).map(|a_minute| {
            RateLimiter::dashmap(Quota::per_minute(a_minute)).with_middleware::<StateInformationMiddleware>()
        });
        Self {
            buckets,
            quota: a_minute,
            clock: DefaultClock::default(),
            opened: Instant::now(),
            tidied: AtomicU64::new(0),
        }
    }

    /// Requests a minute and client.
    #[must_use]
    pub const fn quota(&self) -> u32 {
        self.quota
    }

    /// Takes one.
    ///
    /// # Errors
    /// When nothing is left.
    pub fn take(&self, client: IpAddr) -> Result<Option<Left>, Exhausted> {
        let Some(buckets) = &self.buckets else { return Ok(None) };
        if buckets.len() > MANY {
            self.tidy_now_and_then();
        }
        // Whoever has that many addresses has the networks around them as well.
        let client = if buckets.len() > MANY { wider(client) } else { client };
        match buckets.check_key(&client) {
            Ok(state) => Ok(Some(Left { quota: self.quota, remaining: state.remaining_burst_capacity() })),
            Err(until) => Err(Exhausted {
                left: Left { quota: self.quota, remaining: 0 },
                retry_after: until.wait_time_from(self.clock.now()).as_secs().saturating_add(1),
            }),
        }
    }

    /// Looking through all of them takes a while: once a second is enough.
    fn tidy_now_and_then(&self) {
        let second = self.opened.elapsed().as_secs();
        if self.tidied.swap(second, Ordering::Relaxed) != second {
            self.tidy();
        }
    }

    /// Forgets clients whose bucket is full again.
    pub fn tidy(&self) {
        if let Some(buckets) = &self.buckets {
            buckets.retain_recent();
            buckets.shrink_to_fit();
        }
    }
}

impl Left {
    /// `RateLimit` and `RateLimit-Policy` as structured fields (draft-ietf-httpapi-ratelimit-headers-10): what is
    /// left, and in how many seconds the whole quota is there again.
    #[must_use]
    pub fn headers(self) -> [(HeaderName, HeaderValue); 2] {
        let used = u64::from(self.quota.saturating_sub(self.remaining));
        let full_in = (used * u64::from(WINDOW)).div_ceil(u64::from(self.quota.max(1)));
        let value =
            |text: String| HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("\"work\""));
        [
            (
                HeaderName::from_static("ratelimit-policy"),
                value(format!("\"work\";q={};w={WINDOW}", self.quota)),
            ),
            (
                HeaderName::from_static("ratelimit"),
                value(format!("\"work\";r={};t={full_in}", self.remaining)),
            ),
        ]
    }
}

/// Whose bucket a request counts against: the nearest address that is none of our own proxies.
#[must_use]
pub fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut nearest = peer.to_canonical();
    // Each proxy appends who asked it, so the list is read from its end, as far as it can be believed.
    let forwarded = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let hops: Vec<&str> = forwarded.flat_map(|value| value.split(',')).map(str::trim).collect();
    for hop in hops.into_iter().rev() {
        if !is_trusted(nearest) {
            break;
        }
        // Some gateways write the port as well.
        let address = hop.parse().or_else(|_| hop.parse::<SocketAddr>().map(|address| address.ip()));
        let Ok(address) = address else { break };
        nearest = address.to_canonical();
    }
    match nearest {
        IpAddr::V4(_) => nearest,
        IpAddr::V6(address) => IpAddr::V6(network_of(address)),
    }
}

/// A /24, or a /48.
fn wider(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(address) => IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & !0xff)),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !((1 << 80) - 1))),
    }
}

fn network_of(address: Ipv6Addr) -> Ipv6Addr {
    Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (128 - u32::from(V6_PREFIX))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_client_is_the_nearest_address_that_is_no_proxy_of_ours() {
        let trusted: Vec<Network> =
            ["10.0.0.0/8", "fd00::/8"].iter().map(|text| text.parse().unwrap()).collect();
        for (peer, forwarded, wanted) in [
            ("203.0.113.7", &[][..], "203.0.113.7"),
            // Whoever is not trusted may say what it likes.
            ("203.0.113.7", &["198.51.100.1"], "203.0.113.7"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["1.2.3.4, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.1, 10.9.9.9"], "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.1", "10.9.9.9"], "198.51.100.1"),
            ("10.0.0.1", &["unknown"], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.7:5123"], "203.0.113.7"),
            ("10.0.0.1", &["[2001:db8::1]:443"], "2001:db8::"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("::ffff:10.0.0.1", &["2001:db8:1:2:3:4:5:6"], "2001:db8:1:2::"),
            ("2001:db8:1:2:ffff::1", &[], "2001:db8:1:2::"),
            ("fd00::1", &["::ffff:203.0.113.7"], "203.0.113.7"),
        ] {
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append("x-forwarded-for", value.parse().unwrap());
            }
            assert_eq!(client(ip(peer), &headers, &trusted), ip(wanted), "{peer} {forwarded:?}");
        }
    }

    #[test]
    fn a_flood_of_addresses_shares_the_buckets_of_its_networks() {
        let limiter = Limiter::new(2);
        let address = |n: u32| IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + n));
        // None of these buckets fills up again within this test, so nothing can be forgotten.
        for n in 0..=u32::try_from(MANY).unwrap() {
            limiter.take(address(n)).unwrap();
        }
        let known = || limiter.buckets.as_ref().unwrap().len();
        let before = known();
        let of_one_network: Vec<bool> =
            (0..10).map(|n| limiter.take(ip(&format!("203.0.113.{n}"))).is_ok()).collect();
        assert_eq!(of_one_network.iter().filter(|taken| **taken).count(), 2, "ten addresses, one bucket");
        assert_eq!(known(), before + 1);
        assert_eq!(wider(ip("2001:db8:1:2::")), ip("2001:db8:1::"));
    }

    #[test]
    fn a_bucket_runs_dry_for_one_client_only_and_says_so() {
        let limiter = Limiter::new(3);
        let left: Vec<u32> =
            (0..3).map(|_| limiter.take(ip("203.0.113.7")).unwrap().unwrap().remaining).collect();
        assert_eq!(left, [2, 1, 0]);
        let exhausted = limiter.take(ip("203.0.113.7")).unwrap_err();
        assert!((1..=20).contains(&exhausted.retry_after), "{exhausted:?}");
        assert!(limiter.take(ip("203.0.113.8")).is_ok());
        let [policy, state] = exhausted.left.headers();
        assert_eq!(
            (policy.1.to_str().unwrap(), state.1.to_str().unwrap()),
            ("\"work\";q=3;w=60", "\"work\";r=0;t=60")
        );
        assert_eq!(Limiter::new(0).take(ip("203.0.113.7")), Ok(None));
    }
}
