//! The machine around the service: signals, the sockets it was started with, the service manager, and the successor to which
//! it hands over. It knows when to start, reload and stop; what that means is `app.rs` and `control.rs`.
//!
//! Hand-over (SIGUSR2): the successor is this program, started again with the same arguments and our own sockets. It reads
//! the configuration and says so; we stop fetching, close the store, and go on serving from memory; it opens the store,
//! publishes, accepts, and says so; we drain and end. Where it fails we start again ourselves, on the same sockets. At no
//! moment nobody accepts.

use std::{
    io::{self, Read as _, Write as _},
    net::TcpListener,
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

use command_fds::{CommandFdExt as _, FdMapping};
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    app::{App, Mode, StartError},
    config::{self, Config, Origin},
    control::Via,
};

/// The first inherited socket, by the convention of systemd (`sd_listen_fds`).
const FIRST_SOCKET: i32 = 3;
/// Families and kinds of sockets, which the standard library does not name.
const UNIX: i32 = 1;
const STREAM: i32 = 1;
/// How long either side of a hand-over waits for the other's next word.
const WORD: Duration = Duration::from_secs(30);
/// What the sockets are called (`LISTEN_FDNAMES`).
const NAMES: [&str; 3] = ["public", "ops", "hand-over"];

/// The successor has read its configuration.
const READY: u8 = b'r';
/// The store is closed.
const CLOSED: u8 = b'c';
/// The successor accepts.
const SERVING: u8 = b's';

/// Sockets that somebody else has opened for us: systemd, or the process before us.
#[derive(Debug, Default)]
pub struct Sockets {
    /// Of the API and the widgets.
    pub public: Option<TcpListener>,
    /// Of health and the console.
    pub ops: Option<TcpListener>,
    /// To the process before us.
    predecessor: Option<UnixStream>,
}

impl Sockets {
    /// Takes what this process was started with. Before any thread is: the environment is changed, so that no child takes
    /// the same sockets for its own.
    ///
    /// # Errors
    /// When a descriptor is not the socket that it is said to be.
    pub fn inherited() -> io::Result<Self> {
        let names = config::socket_names();
        let mut passed = listenfd::ListenFd::from_env();
        let mut sockets = Self::default();
        let wrong = |why: String| io::Error::new(io::ErrorKind::InvalidInput, why);
        for at in 0..passed.len() {
            // Where none has a name the public one comes first. A wrong name must not put the operator's listener on a public
            // address.
            let unnamed = NAMES.get(at).copied().filter(|_| names.is_empty());
            let name = names.get(at).map(String::as_str).or(unnamed).unwrap_or("nothing");
            let taken = match name {
                "public" => sockets.public.is_some(),
                "ops" => sockets.ops.is_some(),
                "hand-over" => sockets.predecessor.is_some(),
                _ => {
                    let allowed = "FileDescriptorName=public and FileDescriptorName=ops";
                    return Err(wrong(format!("socket {at} is called {name}; allowed are {allowed}")));
                }
            };
            if taken {
                return Err(wrong(format!("two sockets are called {name}, and one can be used")));
            }
            match name {
                "public" => sockets.public = passed.take_tcp_listener(at)?,
                "ops" => sockets.ops = passed.take_tcp_listener(at)?,
                _ => sockets.predecessor = passed.take_custom(at, UNIX, STREAM, "unix socket")?,
            }
        }
        Ok(sockets)
    }

    /// Those of two listeners, opened once more.
    ///
    /// # Errors
    /// The operating system's.
    pub fn of(bound: Option<&(TcpListener, TcpListener)>) -> io::Result<Self> {
        let copy = |socket: Option<&TcpListener>| socket.map(TcpListener::try_clone).transpose();
        let (public, ops) = (bound.map(|bound| &bound.0), bound.map(|bound| &bound.1));
        Ok(Self { public: copy(public)?, ops: copy(ops)?, predecessor: None })
    }
}

/// Signals that are listened to.
pub struct Host {
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
    hand_over: Signal,
    sockets: Sockets,
}

/// What a signal asked for.
enum Wish {
    Stop,
    Reload,
    HandOver,
}

impl Host {
    /// Listens from now on: before anything is served, since whoever gets an answer may also stop us.
    ///
    /// # Errors
    /// The operating system's.
    pub fn new(sockets: Sockets) -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            reload: signal(SignalKind::hangup())?,
            hand_over: signal(SignalKind::user_defined2())?,
            sockets,
        })
    }

    /// Runs the service until somebody ends it.
    ///
    /// # Errors
    /// Why it does not start.
    pub async fn run(mut self, config: Config, mode: Mode) -> Result<(), StartError> {
        if let Some(predecessor) = &self.sockets.predecessor {
            say(predecessor, READY);
            await_word(predecessor, CLOSED).await.map_err(|error| StartError::HandOver(error.to_string()))?;
        }
        let predecessor = self.sockets.predecessor.take();
        // None stays here: what the service lets go of has to be gone.
        let mut app = App::start_on(config, mode.clone(), std::mem::take(&mut self.sockets)).await?;
        if let Some(predecessor) = predecessor {
            say(&predecessor, SERVING);
        }
        tell(&[NotifyState::Ready]);
        loop {
            match self.wish(&app).await {
                Wish::Stop => break,
                Wish::Reload => {
                    tell_reloading();
                    // What is wrong with it has been logged, and the old one goes on.
                    let _ = app.control().reload(Via::Signal).await;
                    tell(&[NotifyState::Ready]);
                }
                Wish::HandOver => match hand_over(app, &mode).await {
                    Ok(None) => return Ok(()),
                    Ok(Some(again)) => app = again,
                    Err(error) => return Err(error),
                },
            }
        }
        tracing::info!("stopping");
        tell(&[NotifyState::Stopping]);
        app.stop().await;
        Ok(())
    }

    /// Waits for a signal, and meanwhile tells the service manager that the service lives: as long as its board answers.
    async fn wish(&mut self, app: &App) -> Wish {
        let watchdog = async {
            let Some(within) = sd_notify::watchdog_enabled() else { return std::future::pending().await };
            loop {
                if tokio::time::timeout(within / 2, app.look_at_the_clock()).await.is_ok() {
                    tell(&[NotifyState::Watchdog]);
                }
                tokio::time::sleep(within / 3).await;
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => Wish::Stop,
            _ = self.terminate.recv() => Wish::Stop,
            _ = self.reload.recv() => Wish::Reload,
            _ = self.hand_over.recv() => Wish::HandOver,
            () = watchdog => Wish::Stop,
        }
    }
}

/// `None`: the successor serves, and we are done. Otherwise the service goes on in this process.
async fn hand_over(app: App, mode: &Mode) -> Result<Option<App>, StartError> {
    // A successor would refuse it as well, but only after our sources had been stopped; or lose what is served.
    let config = match app.control().for_successor().await {
        Ok(config) => config,
        Err(refusal) => {
            let why = refusal.to_string().lines().collect::<Vec<_>>().join("; ");
            tracing::warn!("no hand-over: {why}");
            return Ok(Some(app));
        }
    };
    let (ours, theirs) = match UnixStream::pair() {
        Ok(pair) => pair,
        Err(error) => {
            tracing::error!(%error, "no hand-over");
            return Ok(Some(app));
        }
    };
    let mut successor = match start_successor(&app, theirs) {
        Ok(successor) => successor,
        Err(error) => {
            tracing::error!(%error, "no hand-over: the program does not start");
            return Ok(Some(app));
        }
    };
    tracing::info!(pid = successor.id(), "handing over");
    if let Err(error) = await_word(&ours, READY).await {
        tracing::error!(%error, "no hand-over: the successor does not get ready; this process goes on");
        end(&mut successor);
        return Ok(Some(app));
    }
    // As late as may be: whoever changes something is answered until now.
    let lost = for_now(&app.control().config());
    let resting = app.rest().await;
    say(&ours, CLOSED);
    match await_word(&ours, SERVING).await {
        Ok(()) => {
            if !lost.is_empty() {
                tracing::warn!("the successor does not know what was changed for now: {}", lost.join("; "));
            }
            tell(&[NotifyState::MainPid(successor.id())]);
            resting.stop().await;
            Ok(None)
        }
        Err(error) => {
            tracing::error!(%error, "the successor does not serve; this process starts again");
            end(&mut successor);
            let sockets = resting.sockets().map_err(StartError::Sockets)?;
            let again = App::start_on(config, mode.clone(), sockets).await;
            resting.stop().await;
            again.map(Some)
        }
    }
}

/// What the operator changed until the next restart, which a hand-over is as well.
fn for_now(config: &Config) -> Vec<String> {
    let own = config.effective.iter().filter(|(_, _, origin)| *origin == Origin::Console(None));
    own.map(|(key, value, _)| format!("{key} = {value}")).collect()
}

/// This program once more, as it lies on the disk by now.
fn start_successor(app: &App, word: UnixStream) -> io::Result<Child> {
    let sockets = app.sockets()?;
    let missing = || io::Error::other("a listener is gone");
    let fds: [OwnedFd; 3] =
        [sockets.public.ok_or_else(missing)?.into(), sockets.ops.ok_or_else(missing)?.into(), word.into()];
    let mappings = fds
        .into_iter()
        .zip(FIRST_SOCKET..)
        .map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd })
        .collect();
    let program = std::env::current_exe()?;
    // An upgrade has put another file in the place of the one that we were started from.
    let program =
        program.to_str().and_then(|name| name.strip_suffix(" (deleted)")).map_or(program.clone(), Into::into);
    let mut command = Command::new(program);
    command
        .args(std::env::args_os().skip(1))
        .env("LISTEN_FDS", NAMES.len().to_string())
        .env("LISTEN_FDNAMES", NAMES.join(":"))
        .env_remove("LISTEN_PID")
        // Else it would believe that the watchdog watches somebody else.
        .env_remove("WATCHDOG_PID")
        .stdin(Stdio::null());
    command.fd_mappings(mappings).map_err(io::Error::other)?;
    command.spawn()
}

/// Ends a successor that is of no use.
fn end(successor: &mut Child) {
    let _ = successor.kill();
    let _ = successor.wait();
}

fn say(to: &UnixStream, word: u8) {
    // Whoever is gone hears nothing, and notices by itself.
    let _ = (&mut &*to).write_all(&[word]);
}

/// Waits for the other side's next word.
async fn await_word(from: &UnixStream, word: u8) -> io::Result<()> {
    let mut from = from.try_clone()?;
    let heard = tokio::task::spawn_blocking(move || {
        from.set_read_timeout(Some(WORD))?;
        let mut heard = [0];
        from.read_exact(&mut heard).map(|()| heard[0])
    });
    match heard.await.map_err(io::Error::other)? {
        Ok(heard) if heard == word => Ok(()),
        Ok(heard) => Err(io::Error::other(format!("it said {:?}", char::from(heard)))),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(io::Error::other("it has ended")),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(io::Error::other(format!("it did not say so within {WORD:?}")))
        }
        Err(error) => Err(error),
    }
}

/// Tells the service manager, where there is one.
fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "the service manager was not told");
    }
}

fn tell_reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}
