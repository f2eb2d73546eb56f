//! One message to an address of the operator's own: the rules for sources hold for it too (no redirects, no private
//! addresses, one deadline), and of the answer nothing is read but its head.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::{
    Client, StatusCode,
    header::{self, HeaderMap},
};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::{Laps, Outcome, SystemNames, build, classify, guarded, refuse_private_literal, retry_after};
use crate::config;

/// Sends messages to one address.
#[derive(Debug, Clone)]
pub struct Post {
    client: Client,
    url: Url,
    allow_private: bool,
    timeout: Duration,
}

/// What came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Any.
    pub status: StatusCode,
    /// Until when the receiver asks to wait.
    pub wait_until: Option<Timestamp>,
}

impl Post {
    /// To an address, in the way of `[fetch]`.
    ///
    /// # Errors
    /// [`Outcome::Setup`]
    pub fn new(
        fetch: &config::Fetch,
        url: Url,
        allow_private: bool,
        timeout: Duration,
    ) -> Result<Self, Outcome> {
        // A second installation is refused, and that is fine: the first is the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let names = Arc::new(SystemNames);
        let client =
            build(guarded(&fetch.user_agent, fetch.proxy.as_ref(), allow_private, names, &Laps::default())?)?;
        Ok(Self { client, url, allow_private, timeout })
    }

    /// Sends a JSON document once.
    ///
    /// # Errors
    /// The [`Outcome`] where no answer came; any answer is a [`Receipt`].
    pub async fn send(&self, headers: HeaderMap, json: Bytes, now: Timestamp) -> Result<Receipt, Outcome> {
        if !self.allow_private {
            refuse_private_literal(&self.url)?;
        }
        let deadline = Instant::now() + self.timeout;
        let host = self.url.host_str().unwrap_or_default().to_owned();
        let request = self
            .client
            .post(self.url.clone())
            .headers(headers)
            .header(header::CONTENT_TYPE, "application/json")
            .body(json);
        match timeout_at(deadline, request.send()).await {
            Err(_) => Err(Outcome::Timeout(self.timeout)),
            Ok(Err(error)) => Err(classify(error, host, self.timeout)),
            Ok(Ok(response)) => Ok(Receipt {
                status: response.status(),
                wait_until: response
                    .headers()
                    .get(header::RETRY_AFTER)
                    .and_then(|value| retry_after(value, now)),
            }),
        }
    }
}
