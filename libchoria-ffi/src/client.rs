//! Asking the fleet.

use crate::boundary::{LastError, accessor, boundary, boundary_of, freeing};
use crate::event::choria_event;
use crate::failure::Failure;
use crate::forked::{Native, Process, take_own};
use crate::handle::{borrow, null, slot};
use crate::library::borrowed;
use crate::replies::choria_replies;
use crate::request::choria_request;
use crate::result::choria_result;
use crate::runtime::Runtime;
use crate::text::{give_text, optional_text, owned, to_c};
use crate::trust::client_settings;
use config::Settings;
use names::{AgentName, Identity};
use network::Connection;
use protocol::Filter;
use rpc::client::{Call, Client, Recipients};
use rpc::ddl::Library;
use rpc::discovery::DiscoveryArguments;
use rpc::plan::Plan;
use security::{Provider, Role};
use std::ffi::{CString, c_char, c_void};
use std::time::{Duration, Instant, SystemTime};
use tokio_util::sync::CancellationToken;

/// A connection to a broker, to make requests in the name of the configured user. It returns by itself when it is lost.
/// Free it with `choria_client_free`. Any thread, several at once.
#[derive(Debug)]
pub struct choria_client {
    client: Client,
    settings: Settings,
    library: Library,
    caller: CString,
    stop: CancellationToken,
    error: LastError,
    process: Process,
}

/// Is called for each event on the thread that called `choria_client_call`, and returns true to go on. The event is
/// borrowed: it is gone when the callback returns. `user` is what the caller gave. It must return, not jump or throw.
pub type choria_event_callback = Option<unsafe extern "C" fn(event: *const choria_event, user: *mut c_void) -> bool>;

/// Connects in the name of the user that a configuration file names; `config` NULL is the file that the choria command would
/// read. Takes `timeout_ms` at most, 0 is 5000. Requests are signed with the user's own seed or by the AAA service, as
/// configured. `CHORIA_NOT_FOUND`, `CHORIA_IO`, `CHORIA_INVALID_CONFIGURATION`, `CHORIA_NOT_CONNECTED`,
/// `CHORIA_UNAUTHORIZED`. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_client_open(
    config: *const c_char,
    timeout_ms: u32,
    out: *mut *mut choria_client,
) -> choria_result {
    boundary(|| {
        // SAFETY: pointers are NULL or as the header demands, and each helper refuses NULL where it cannot be.
        let (config, out) = unsafe { (optional_text("config", config)?, slot("out", out)?) };
        let patience = Duration::from_millis(if timeout_ms == 0 { 5000 } else { timeout_ms.into() });
        out.give(choria_client::open(config, patience)?);
        Ok(())
    })
}

/// Ends its requests, which answer `CHORIA_CANCELLED` from then on, closes the connection and frees the client. Handles made
/// with it can still be freed. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_client_free(client: *mut choria_client) {
    freeing(|| {
        // SAFETY: the header demands NULL or a handle that is not used again.
        if let Some(client) = unsafe { take_own(client) } {
            client.close();
        }
    });
}

/// A copy of the last error of this handle, to be freed with `choria_string_free`; NULL when nothing failed. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_client_error(client: *const choria_client) -> *mut c_char {
    // SAFETY: as in `choria_client_open`.
    let copy = || Some(owned(unsafe { borrow("client", client) }.ok()?.error.copy()));
    accessor(std::ptr::null_mut(), copy)
}

/// The caller id in whose name requests are made, as `up=alice`; "" for NULL. Borrowed from the client. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_client_caller(client: *const choria_client) -> *const c_char {
    // SAFETY: as in `choria_client_open`.
    borrowed(|| unsafe { borrow("client", client) }.ok().map(|client| client.caller.as_c_str()))
}

/// Finds the nodes that a request with these filters would go to, as a JSON array of identities, to be freed with
/// `choria_string_free`. They are those that have the request's agent; with the agent `discovery`, or NULL for `filters`,
/// all. None found is no error. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_client_discover(
    client: *const choria_client,
    filters: *const choria_request,
    json: *mut *mut c_char,
) -> choria_result {
    // SAFETY: as in `choria_client_open`.
    boundary_of(
        || unsafe { borrow("client", client) },
        |client| &client.error,
        |client| {
            // SAFETY: as above; NULL filters are allowed.
            let (filters, json) = unsafe { (filters.as_ref(), slot("json", json)?) };
            let agent = filters.map(|filters| &filters.agent).filter(|agent| agent.as_str() != DISCOVERY);
            let nodes = client.discover(filters, agent)?;
            let names: Vec<&str> = nodes.iter().map(Identity::as_str).collect();
            give_text(json, &serde_json::json!(names).to_string());
            Ok(())
        },
    )
}

/// Sends a request: finds the nodes unless some were added, checks the inputs against the DDL, and starts. Its events come
/// from `choria_replies_next`. Looking for nodes takes as long as discovery does. `CHORIA_NOT_FOUND` when there is no such
/// agent or action, or no node was found; `CHORIA_INVALID_REQUEST`, `CHORIA_UNAUTHORIZED`, `CHORIA_NOT_CONNECTED`,
/// `CHORIA_INVALID_CONFIGURATION`. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_client_request(
    client: *const choria_client,
    request: *const choria_request,
    out: *mut *mut choria_replies,
) -> choria_result {
    // SAFETY: as in `choria_client_open`.
    boundary_of(
        || unsafe { borrow("client", client) },
        |client| &client.error,
        |client| {
            // SAFETY: as above.
            let (request, out) = unsafe { (borrow("request", request)?, slot("out", out)?) };
            out.give(client.request(request)?);
            Ok(())
        },
    )
}

/// Pings every node that matches the filters, all for NULL. The events are of kind PONG, as they come, then DONE. The
/// request's agent does not count; its timeout, else its discovery timeout, else the configured one, is how long answers
/// are waited for. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_client_ping(
    client: *const choria_client,
    filters: *const choria_request,
    out: *mut *mut choria_replies,
) -> choria_result {
    // SAFETY: as in `choria_client_open`.
    boundary_of(
        || unsafe { borrow("client", client) },
        |client| &client.error,
        |client| {
            // SAFETY: as above; NULL filters are allowed.
            let (filters, out) = unsafe { (filters.as_ref(), slot("out", out)?) };
            out.give(client.ping(filters)?);
            Ok(())
        },
    )
}

/// As `choria_client_request`, and calls `callback` on this thread for each event. `CHORIA_OK` after the last one,
/// `CHORIA_CANCELLED` when the callback returned false. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn choria_client_call(
    client: *const choria_client,
    request: *const choria_request,
    callback: choria_event_callback,
    user: *mut c_void,
) -> choria_result {
    // SAFETY: as in `choria_client_open`.
    boundary_of(
        || unsafe { borrow("client", client) },
        |client| &client.error,
        |client| {
            // SAFETY: as above.
            let request = unsafe { borrow("request", request)? };
            let callback = callback.ok_or_else(|| null("callback"))?;
            let replies = client.request(request)?;
            loop {
                let event = match replies.next(None) {
                    Ok(event) => event,
                    Err(end) if end.result == choria_result::CHORIA_END => return Ok(()),
                    Err(failure) => return Err(failure),
                };
                // SAFETY: the header demands a function of this kind; the event lives until it returns.
                if !unsafe { callback(&raw const event, user) } {
                    replies.cancel();
                    // The last event cannot be cancelled any more.
                    let over = Failure::new(choria_result::CHORIA_CANCELLED, "the callback did not want more");
                    return if event.is_last() { Ok(()) } else { Err(over) };
                }
            }
        },
    )
}

/// The agent of discovery, which every node has.
const DISCOVERY: &str = "discovery";

impl choria_client {
    fn open(config: Option<&str>, patience: Duration) -> Result<Self, Failure> {
        let settings = client_settings(config)?;
        let provider = Provider::from_settings(&settings, Role::Client, SystemTime::now())?;
        let caller = to_c(provider.caller().as_str());
        let library = Library::from_settings(&settings);
        let opened = settings.clone();
        let open = async move { Ok(Client::open(&opened, provider, patience).await?) };
        let client = Runtime::current()?.run(open)?;
        let (stop, error) = (CancellationToken::new(), LastError::default());
        Ok(Self { client, settings, library, caller, stop, error, process: Process::this() })
    }

    /// The connection, for consumers.
    pub(crate) fn connection(&self) -> &Connection {
        self.client.connection()
    }

    /// Ends what was started with this client when it is freed.
    pub(crate) fn stop(&self) -> CancellationToken {
        self.stop.child_token()
    }

    /// The runtime, when the handle belongs to this process.
    pub(crate) fn runtime(&self) -> Result<&'static Runtime, Failure> {
        self.process.check()?;
        Runtime::current()
    }

    /// The handle's own last error.
    pub(crate) fn last_error(&self) -> &LastError {
        &self.error
    }

    fn close(&self) {
        self.stop.cancel();
        let connection = self.connection().clone();
        let close = async move {
            connection.close(CLOSING).await;
            Ok(())
        };
        // A connection that does not close in time is left behind.
        let _ = Runtime::current().and_then(|runtime| runtime.run(close));
    }

    fn discover(&self, request: Option<&choria_request>, agent: Option<&AgentName>) -> Result<Vec<Identity>, Failure> {
        let runtime = self.runtime()?;
        let filter = request.map_or_else(|| Ok(Filter::default()), |request| request.filter(agent))?;
        let arguments = DiscoveryArguments {
            collective: request.and_then(|request| request.collective.clone()),
            timeout: request.and_then(|request| request.discovery_timeout),
            ..DiscoveryArguments::default()
        };
        let discovery = arguments.choose(&filter, &self.settings)?;
        let client = self.client.clone();
        runtime.run(async move { Ok(discovery.nodes(&client, &filter).await?) })
    }

    fn request(&self, request: &choria_request) -> Result<choria_replies, Failure> {
        let runtime = self.runtime()?;
        let (client, library, name) = (self.client.clone(), self.library.clone(), request.agent.to_string());
        let ddl = runtime.run(async move { Ok(library.agent_or_registry(&name, &client).await?) })?;
        let action = ddl.action(&request.action)?;
        let inputs = action.inputs_given(request.inputs())?.values;
        let began = Instant::now();
        let nodes = match (ddl.metadata.service, request.nodes.is_empty()) {
            (true, _) => Vec::new(),
            (false, false) => request.nodes.clone(),
            (false, true) => self.discover(Some(request), Some(&request.agent))?,
        };
        if nodes.is_empty() && !ddl.metadata.service {
            let message = "did not discover any nodes; choria doctor tells whether any can be reached";
            return Err(Failure::new(choria_result::CHORIA_NOT_FOUND, message));
        }
        let mut call = Call::new(&ddl, action, inputs, Recipients::Nodes(Plan::new(nodes, None, None)?))?;
        call.collective.clone_from(&request.collective);
        call.discovery_time = if request.nodes.is_empty() { began.elapsed() } else { Duration::ZERO };
        call.timeout = request.timeout.unwrap_or(call.timeout);
        let client = self.client.clone();
        let replies = runtime.run(async move { Ok(client.request(call).await?) })?;
        choria_replies::of_request(runtime, replies, self.stop())
    }

    fn ping(&self, request: Option<&choria_request>) -> Result<choria_replies, Failure> {
        let runtime = self.runtime()?;
        let filter = request.map_or_else(|| Ok(Filter::default()), |request| request.filter(None))?;
        let mut options = self.client.ping_options();
        options.collective = request.and_then(|request| request.collective.clone());
        let timeout = request.and_then(|request| request.timeout.or(request.discovery_timeout));
        options.timeout = timeout.unwrap_or(options.timeout);
        let client = self.client.clone();
        let pings = runtime.run(async move { Ok(client.ping(&filter, &options).await?) })?;
        choria_replies::of_ping(runtime, pings, self.stop())
    }
}

impl Native for choria_client {
    fn process(&self) -> Process {
        self.process
    }
}

/// How long closing may take to hand over what is still to be sent.
const CLOSING: Duration = Duration::from_secs(1);
