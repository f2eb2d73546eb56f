//! What waits for the webhook's receiver: bounded, in the order in which it happened, one message of a feed at a time, so
//! that nobody hears of a recovery before the trouble. Knows no network; the oldest makes room when there is none.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;

use crate::fetch::dice;

/// Some days of a bad bank, or all of a board held back at once.
pub(super) const MOST: usize = 256;
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_hours(2);
/// From when it happened; later it is no news.
const GIVE_UP: Duration = Duration::from_hours(24);

/// An event on its way.
#[derive(Debug)]
pub(super) struct Message {
    /// The same at every try.
    pub(super) id: String,
    /// Whose order is kept.
    feed: &'static str,
    /// JSON, as it is signed.
    pub(super) body: Bytes,
    /// That failed.
    pub(super) tries: u32,
    born: Instant,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Due(Instant),
    UnderWay,
    /// Nobody tries it again, nor what comes behind it.
    Stuck,
}

impl Message {
    pub(super) fn new(id: String, feed: &'static str, body: Bytes) -> Self {
        let born = Instant::now();
        Self { id, feed, body, tries: 0, born, state: State::Due(born) }
    }
}

/// Messages in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Queue(VecDeque<Message>);

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether an older one had to make room.
    pub(super) fn push(&mut self, message: Message) -> bool {
        let full = self.0.len() >= MOST;
        if full {
            let oldest = self.0.iter().position(|message| message.state != State::UnderWay);
            oldest.and_then(|at| self.0.remove(at));
        }
        self.0.push_back(message);
        full
    }

    /// Those that are first of their feed.
    fn heads(&self) -> impl Iterator<Item = (usize, &Message)> {
        let mut seen = BTreeSet::new();
        self.0.iter().enumerate().filter(move |(_, message)| seen.insert(message.feed))
    }

    /// When the next one may go.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.heads()
            .filter_map(|(_, message)| match message.state {
                State::Due(at) => Some(at),
                State::UnderWay | State::Stuck => None,
            })
            .min()
    }

    /// One that may go now, which is under way from now on.
    pub(super) fn take_due(&mut self) -> Option<&Message> {
        let now = Instant::now();
        let due = |message: &Message| matches!(message.state, State::Due(at) if at <= now);
        let (at, _) = self.heads().find(|(_, message)| due(message))?;
        let message = self.0.get_mut(at)?;
        message.state = State::UnderWay;
        Some(message)
    }

    fn find(&mut self, id: &str) -> Option<&mut Message> {
        self.0.iter_mut().find(|message| message.id == id)
    }

    /// It was taken.
    pub(super) fn done(&mut self, id: &str) {
        self.0.retain(|message| message.id != id);
    }

    /// Once more, and it does not count as a try.
    pub(super) fn again(&mut self, id: &str, wait: Duration) {
        if let Some(message) = self.find(id) {
            message.state = State::Due(Instant::now() + wait);
        }
    }

    /// Once more after a while; `false`: it is a day old and given up.
    pub(super) fn fail(&mut self, id: &str, wait: Duration) -> bool {
        let Some(message) = self.find(id) else { return true };
        message.tries = message.tries.saturating_add(1);
        let given_up = message.born.elapsed() + wait > GIVE_UP;
        if given_up {
            self.done(id);
        } else {
            self.again(id, wait);
        }
        !given_up
    }

    /// Not again, nor what comes behind it.
    pub(super) fn wait_for_ever(&mut self, id: &str) {
        if let Some(message) = self.find(id) {
            message.state = State::Stuck;
        }
    }

    /// Whatever waits for its next try waits no longer.
    pub(super) fn retry_now(&mut self) {
        let now = Instant::now();
        for message in &mut self.0 {
            if let State::Due(at) = &mut message.state {
                *at = now.min(*at);
            }
        }
    }

    /// Forgets all; how many those were.
    pub(super) fn clear(&mut self) -> usize {
        std::mem::take(&mut self.0).len()
    }
}

/// How long to wait after so many tries failed before this one: doubled each time, up to two hours, less up to half of
/// it by chance, so that many who wait for one receiver do not come together.
pub(super) fn back_off(tries: u32) -> Duration {
    let longest = FIRST_WAIT.saturating_mul(1_u32.checked_shl(tries).unwrap_or(u32::MAX)).min(LONGEST_WAIT);
    let half = u64::try_from(longest.as_millis() / 2).unwrap_or(u64::MAX);
    Duration::from_millis(half + dice() % half.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str, feed: &'static str) -> Message {
        Message::new(id.to_owned(), feed, Bytes::new())
    }

    fn taken(queue: &mut Queue) -> Vec<String> {
        std::iter::from_fn(|| queue.take_due().map(|message| message.id.clone())).collect()
    }

    #[test]
    fn messages_of_one_feed_go_one_after_the_other_and_those_of_others_beside_them() {
        let mut queue = Queue::default();
        for (id, feed) in [("a1", "a"), ("a2", "a"), ("b1", "b"), ("a3", "a")] {
            assert!(!queue.push(message(id, feed)));
        }
        assert_eq!(taken(&mut queue), ["a1", "b1"]);
        assert!(queue.fail("a1", Duration::from_hours(1)));
        queue.done("b1");
        assert_eq!(taken(&mut queue), [""; 0], "what failed is waited for");
        assert!(queue.next_due().unwrap() > Instant::now());
        queue.retry_now();
        assert_eq!(taken(&mut queue), ["a1"]);
        queue.done("a1");
        assert_eq!(taken(&mut queue), ["a2"]);
        queue.wait_for_ever("a2");
        assert_eq!((taken(&mut queue), queue.next_due(), queue.clear()), (Vec::new(), None, 2));
    }

    #[test]
    fn a_full_queue_drops_the_oldest_that_is_not_under_way() {
        let mut queue = Queue::default();
        for at in 0..MOST {
            assert!(!queue.push(message(&at.to_string(), "a")));
        }
        assert_eq!(taken(&mut queue), ["0"]);
        assert!(queue.push(message("new", "a")));
        assert_eq!(queue.len(), MOST);
        assert!(queue.find("0").is_some() && queue.find("1").is_none() && queue.find("new").is_some());
        queue.done("0");
        assert_eq!(taken(&mut queue), ["2"]);
    }

    #[test]
    fn tries_come_further_and_further_apart_and_end_after_a_day() {
        let (mut last, mut sum) = (Duration::ZERO, Duration::ZERO);
        for tries in 0..64 {
            let longest = Duration::from_secs(1 << tries.min(13)).min(LONGEST_WAIT);
            let wait = back_off(tries);
            assert!(wait >= longest / 2 && wait < longest, "{tries}: {wait:?}");
            if tries < 13 {
                assert!(wait + Duration::from_millis(1) >= last / 2);
                sum += wait;
            }
            last = wait;
        }
        assert!(sum < Duration::from_hours(4), "a receiver that is back after an hour hears soon: {sum:?}");

        let mut queue = Queue::default();
        let mut old = message("old", "a");
        old.born = old.born.checked_sub(Duration::from_secs(1)).unwrap();
        queue.push(old);
        assert!(queue.fail("old", GIVE_UP.checked_sub(Duration::from_secs(30)).unwrap()));
        assert!(!queue.fail("old", GIVE_UP), "not behind the end of the day");
        assert_eq!(queue.len(), 0);
    }
}
