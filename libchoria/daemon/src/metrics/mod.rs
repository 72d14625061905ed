//! The statistics endpoint of a daemon (spec 01 §13): Prometheus metrics and a page about the program, over HTTP.
//!
//! | module | holds |
//! |---|---|
//! | `scrape` | [`Scrape`], what one answer to Prometheus is made of |
//! | `about` | [`About`], the page `/choria/`, and the `process_*` metrics |
//! | `connector` | the metrics that every connection to a broker has |
//! | `serve` | [`Endpoint`]: the listener, its limits, the paths |
//!
//! Nothing is kept between two scrapes: an [`Exporter`] is asked when somebody asks, and a daemon without a port for
//! statistics has none of this in memory. A socket that the service manager gives by the name `metrics` wins over the
//! address and port of the configuration. The endpoint has no access control and only answers GET and HEAD; where it
//! listens is for the administrator to decide (`plugin.choria.stats_address`).

mod about;
mod connector;
mod scrape;
mod serve;

pub use about::{About, Build};
pub use scrape::{CONTENT_TYPE, Scrape};
pub use serve::{BindError, Body, Endpoint, METRICS_PAGE, Response, SOCKET, answer};

use std::future::Future;

/// What a role tells on its endpoint.
pub trait Exporter: Send + Sync + 'static {
    /// Adds the values of this moment.
    fn export(&self, scrape: &mut Scrape) -> impl Future<Output = ()> + Send;

    /// Answers a path outside of `/choria/`; `None`: there is no such page.
    fn page(&self, _path: &str, _query: Option<&str>) -> impl Future<Output = Option<Response>> + Send {
        std::future::ready(None)
    }

    /// Paths that [`page`](Self::page) knows, for the index of `/`.
    fn pages(&self) -> &'static [&'static str] {
        &[]
    }
}
