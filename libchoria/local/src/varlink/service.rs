//! What a daemon implements to be called, and what every service answers alike.

use super::message::{CallText, Failure, Parameters};
use serde::Deserialize;
use serde_json::{Value, json};
use std::future::Future;
use tokio::sync::oneshot;

/// A Varlink service with one interface of its own.
pub trait Service: Send + Sync + 'static {
    /// Who serves.
    fn about(&self) -> About;

    /// The service's own interface.
    fn interface(&self) -> Interface;

    /// Answers one call of [`interface`](Self::interface). Calls of one connection are begun in their order, several at
    /// a time (see [`Turn`] where their order matters); replies are sent in the same order. The future must end by itself in bounded time. It is dropped when
    /// the caller is gone or the server stops too slowly.
    fn call<'a>(&'a self, call: Call<'a>) -> impl Future<Output = Result<Value, Failure>> + Send + 'a;
}

/// One call, as [`Service::call`] sees it.
#[derive(Debug)]
pub struct Call<'a> {
    /// Who calls, as the kernel says.
    pub peer: Peer,
    /// The method without its interface, such as `Submit`.
    pub method: &'a str,
    /// Its parameters.
    pub parameters: Parameters<'a>,
    /// Its place among the calls of its connection.
    pub turn: Turn,
}

/// The order of the calls of one connection, for services to which it matters in what order something is done: calls are
/// worked on at the same time, and how far each has come at a moment is chance. A call that ends has passed.
#[derive(Debug, Default)]
pub struct Turn {
    before: Option<oneshot::Receiver<()>>,
    after: Option<oneshot::Sender<()>>,
}

impl Turn {
    /// The turn after `last`, which becomes the last one.
    pub(super) fn behind(last: &mut Option<oneshot::Receiver<()>>) -> Self {
        let (after, next) = oneshot::channel();
        Self { before: last.replace(next), after: Some(after) }
    }

    /// Waits until all calls before this one have passed or ended.
    pub async fn wait(&mut self) {
        if let Some(before) = self.before.take() {
            // An error is a call that ended.
            let _passed = before.await;
        }
    }

    /// Lets the next call have its turn. It comes after those before this one only if this one waited.
    pub fn pass(&mut self) {
        self.after = None;
    }
}

impl Call<'_> {
    /// What to answer when the interface has no such method.
    #[must_use]
    pub fn unknown(&self, interface: &Interface) -> Failure {
        Failure::MethodNotFound(format!("{}.{}", interface.name, self.method))
    }
}

/// Who opened a connection: the kernel's word (`SO_PEERCRED`), as of the moment of connecting.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Peer {
    /// The effective user.
    pub uid: u32,
    /// The effective group.
    pub gid: u32,
    /// The process; `None` when it is in another process namespace.
    pub pid: Option<i32>,
}

/// The answer to `GetInfo`, but for the interfaces.
#[derive(Clone, Debug)]
pub struct About {
    /// Who made the program.
    pub vendor: &'static str,
    /// What it is.
    pub product: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Where more is told of it.
    pub url: &'static str,
}

/// An interface by name and text.
#[derive(Clone, Copy, Debug)]
pub struct Interface {
    /// Its name, such as `io.choria.Submission`.
    pub name: &'static str,
    /// Its definition in Varlink's own language.
    pub text: &'static str,
}

/// What comes of a message from a client.
#[derive(Debug)]
pub enum Answer {
    /// The reply, without its NUL.
    Reply(Vec<u8>),
    /// None is wanted.
    Nothing,
    /// The message is no call: the connection is of no more use.
    Malformed(String),
}

/// Every service's second interface.
const COMMON: Interface =
    Interface { name: "org.varlink.service", text: include_str!("../../interfaces/org.varlink.service.varlink") };

/// Answers `message`, without its NUL.
pub async fn answer<S: Service>(service: &S, peer: Peer, turn: Turn, message: &[u8]) -> Answer {
    let call: CallText<'_> = match serde_json::from_slice(message) {
        Ok(call) => call,
        Err(error) => return Answer::Malformed(error.to_string()),
    };
    let interface = service.interface();
    let result = dispatch(service, peer, turn, &interface, &call).await;
    if call.oneway == Some(true) {
        return Answer::Nothing;
    }
    // One reply is an answer to `more`, too: nothing here has a second one.
    let _ = call.more;
    Answer::Reply(match result {
        Ok(parameters) => json!({ "parameters": parameters }).to_string().into_bytes(),
        Err(failure) => failure.to_json(interface.name),
    })
}

async fn dispatch<S: Service>(
    service: &S,
    peer: Peer,
    turn: Turn,
    interface: &Interface,
    call: &CallText<'_>,
) -> Result<Value, Failure> {
    let whole = call.method.as_ref();
    let Some((name, method)) = whole.rsplit_once('.') else {
        return Err(Failure::MethodNotFound(whole.to_owned()));
    };
    if call.upgrade == Some(true) {
        return Err(Failure::MethodNotImplemented(format!("{whole} with upgrade")));
    }
    let parameters = Parameters(call.parameters);
    if name == interface.name {
        service.call(Call { peer, method, parameters, turn }).await
    } else if name == COMMON.name {
        common(service, interface, method, parameters)
    } else {
        Err(Failure::InterfaceNotFound(name.to_owned()))
    }
}

fn common<S: Service>(
    service: &S,
    interface: &Interface,
    method: &str,
    parameters: Parameters<'_>,
) -> Result<Value, Failure> {
    #[derive(Deserialize)]
    struct Asked {
        interface: String,
    }
    match method {
        "GetInfo" => {
            let About { vendor, product, version, url } = service.about();
            Ok(json!({
                "vendor": vendor, "product": product, "version": version, "url": url,
                "interfaces": [COMMON.name, interface.name],
            }))
        }
        "GetInterfaceDescription" => {
            let Asked { interface: asked } = parameters.parse()?;
            let known = [interface, &COMMON].into_iter().find(|known| known.name == asked);
            known.map_or(Err(Failure::InterfaceNotFound(asked)), |known| Ok(json!({ "description": known.text })))
        }
        _ => Err(Failure::MethodNotFound(format!("{}.{method}", COMMON.name))),
    }
}
