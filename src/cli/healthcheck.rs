//! `healthcheck`: one question to the ops listener of a running service, for containers that have no shell to ask with.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{Common, Failure, load, print};
use crate::config::Overrides;

/// A service that needs longer is not ready.
const DEADLINE: Duration = Duration::from_secs(2);
/// More is no answer of ours.
const MOST: u64 = 64 << 10;

#[derive(Debug, Args)]
pub(super) struct Healthcheck {
    #[command(flatten)]
    common: Common,
    /// Address of health, where the service was started with another than the configuration's
    #[arg(long, value_name = "A")]
    ops_listen: Option<String>,
}

/// Exit 0 or 1 whatever is wrong: whoever runs health checks knows no other.
pub(super) async fn healthcheck(options: &Healthcheck) -> Result<ExitCode, Failure> {
    let overrides = Overrides { ops_listen: options.ops_listen.clone(), ..Overrides::default() };
    let config = load(&options.common, &overrides)
        .map_err(|Failure(_, message)| Failure(1, message.lines().next().unwrap_or_default().to_owned()))?;
    let address = reachable(config.server.ops_listen)?;
    let answer = match tokio::time::timeout(DEADLINE, ask(address)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {DEADLINE:?}")),
    };
    match answer {
        Ok(line) => {
            print(&format!("{line}\n"));
            Ok(ExitCode::SUCCESS)
        }
        Err(why) => Err(Failure::failed(format!("http://{address}/readyz: {why}"))),
    }
}

/// Where a listener can be reached from its own machine.
fn reachable(listen: SocketAddr) -> Result<SocketAddr, Failure> {
    if listen.port() == 0 {
        return Err(Failure::failed(
            "server.ops_listen has port 0: the service takes any free port and nobody knows which; set a fixed one",
        ));
    }
    let host = match listen.ip() {
        IpAddr::V4(host) if host.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(host) if host.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        host => host,
    };
    Ok(SocketAddr::new(host, listen.port()))
}

/// The first line of what the listener says when it is ready.
async fn ask(address: SocketAddr) -> Result<String, String> {
    let told = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(address).await.map_err(told)?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(told)?;
    let mut answer = Vec::new();
    stream.take(MOST).read_to_end(&mut answer).await.map_err(told)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("it does not speak HTTP")?;
    let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.split_whitespace().next());
    match status {
        Some("200") => {
            let line = body.lines().next().unwrap_or_default();
            Ok(line.chars().filter(|c| !c.is_control()).take(200).collect())
        }
        Some(status) => {
            let status: String = status.chars().filter(char::is_ascii_alphanumeric).take(10).collect();
            Err(format!("it is not ready: status {status}"))
        }
        None => Err("it does not speak HTTP".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_of_the_machine_is_asked_at_its_own() {
        for (listen, asked) in [
            ("0.0.0.0:9080", "127.0.0.1:9080"),
            ("[::]:9080", "[::1]:9080"),
            ("10.0.0.5:9080", "10.0.0.5:9080"),
            ("127.0.0.1:1", "127.0.0.1:1"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()).unwrap().to_string(), asked);
        }
        assert!(reachable("127.0.0.1:0".parse().unwrap()).unwrap_err().1.contains("port 0"));
    }
}
