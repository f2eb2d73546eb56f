//! How long the name and the connection of an exchange took. They happen inside the client, which tells nobody; it
//! asks our resolver and connects through a layer of ours, and both take the time here. A source has one client and
//! is asked one thing at a time, so what was taken since the request began is the request's.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tower_layer::Layer;
use tower_service::Service;

use crate::metrics::Phase;

/// A client's watch.
#[derive(Debug, Clone, Default)]
pub(super) struct Laps(Arc<Mutex<Times>>);

#[derive(Debug, Default)]
struct Times {
    began: Option<Instant>,
    name: Option<Duration>,
    connection: Option<Duration>,
    connected: bool,
}

/// Runs until it is dropped, since an attempt may be given up in its middle.
pub(super) struct Lap {
    laps: Laps,
    began: Instant,
    of: fn(&mut Times) -> &mut Option<Duration>,
}

impl Drop for Lap {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        *(self.of)(&mut self.laps.times()) = Some(took);
    }
}

impl Laps {
    fn times(&self) -> MutexGuard<'_, Times> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lap(&self, of: fn(&mut Times) -> &mut Option<Duration>) -> Lap {
        Lap { laps: self.clone(), began: Instant::now(), of }
    }

    /// A name is asked for.
    pub(super) fn name(&self) -> Lap {
        self.lap(|times| &mut times.name)
    }

    /// A request begins.
    pub(super) fn begin(&self) {
        *self.times() = Times { began: Some(Instant::now()), ..Times::default() };
    }

    /// The request was answered or has failed: what took how long. A connection that was open already took nothing,
    /// and a failure to connect has no first byte.
    pub(super) fn end(&self) -> Vec<(Phase, Duration)> {
        let times = std::mem::take(&mut *self.times());
        let whole = times.began.map_or(Duration::ZERO, |began| began.elapsed());
        let connecting = times.connection.unwrap_or_default();
        let name = times.name.unwrap_or_default();
        let connection = times.connection.map(|took| (Phase::Connect, took.saturating_sub(name)));
        let first_byte = (times.connected || times.connection.is_none())
            .then(|| (Phase::FirstByte, whole.saturating_sub(connecting)));
        let name = times.name.map(|took| (Phase::Dns, took));
        [name, connection, first_byte].into_iter().flatten().collect()
    }
}

impl<S> Layer<S> for Laps {
    type Service = Connecting<S>;

    fn layer(&self, inner: S) -> Connecting<S> {
        Connecting { inner, laps: self.clone() }
    }
}

/// Connects, and takes the time.
#[derive(Debug, Clone)]
pub(super) struct Connecting<S> {
    inner: S,
    laps: Laps,
}

impl<S, R> Service<R> for Connecting<S>
where
    S: Service<R>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let connected = self.inner.call(request);
        let lap = self.laps.lap(|times| &mut times.connection);
        Box::pin(async move {
            let connected = connected.await;
            lap.laps.times().connected = connected.is_ok();
            drop(lap);
            connected
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phases(laps: &Laps) -> Vec<Phase> {
        laps.end().into_iter().map(|(phase, _)| phase).collect()
    }

    #[test]
    fn what_did_not_happen_takes_no_time_and_a_name_is_no_part_of_its_connection() {
        let laps = Laps::default();
        laps.begin();
        assert_eq!(phases(&laps), [Phase::FirstByte], "a connection that was open");
        laps.begin();
        drop(laps.lap(|times| &mut times.connection));
        assert_eq!(phases(&laps), [Phase::Connect], "nobody listens");
        laps.begin();
        let connection = laps.lap(|times| &mut times.connection);
        let name = laps.name();
        std::thread::sleep(Duration::from_millis(20));
        drop(name);
        laps.times().connected = true;
        drop(connection);
        let took = laps.end();
        assert_eq!(
            took.iter().map(|(phase, _)| *phase).collect::<Vec<_>>(),
            [Phase::Dns, Phase::Connect, Phase::FirstByte]
        );
        assert!(took[0].1 >= Duration::from_millis(20) && took[1].1 < took[0].1, "{took:?}");
        assert!(laps.end()[0].1.is_zero(), "nothing of it is left for the next request");
    }
}
