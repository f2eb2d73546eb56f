//! The accept loop. `axum::serve` never times out a half-sent header; this one does, caps connections, and at
//! the end lets open requests finish within a deadline.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// A half-sent header, and an idle connection, end after this.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_CONNECTIONS: usize = 8192;
const MAX_HEADERS: usize = 64;
const MAX_HEADER_BYTES: usize = 16 << 10;
/// Open requests may finish within this when the service stops.
const DRAIN: Duration = Duration::from_secs(10);
/// When no file is left for another connection, it helps to wait a little.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A bound address.
pub struct Listener {
    listener: TcpListener,
    /// With the real port where 0 was asked for.
    pub address: SocketAddr,
}

impl Listener {
    /// Binds.
    ///
    /// # Errors
    /// The operating system's; the caller knows what the address is for.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Serves until `stop`, then drains. Connections live on `tracker`.
    pub async fn serve(self, router: Router, stop: CancellationToken, tracker: TaskTracker) {
        let graceful = GracefulShutdown::new();
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut server = http1::Builder::new();
        server
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEADER_BYTES);
        loop {
            let place = tokio::select! {
                () = stop.cancelled() => break,
                // Never closed.
                place = Arc::clone(&places).acquire_owned() => place.ok(),
            };
            let stream = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                },
            };
            // A missing option of one socket is no reason to refuse it.
            let _ = stream.set_nodelay(true);
            let connection =
                server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()));
            let connection = graceful.watch(connection);
            tracker.spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection ended early");
                }
                drop(place);
            });
        }
        drop(self.listener);
        if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
            tracing::warn!("some requests did not finish within {DRAIN:?}");
        }
    }
}
