//! From a request over HTTP to its answer.

use super::protocol::{Answer, Route, check_headers};
use crate::json::Fields;
use crate::live::Live;
use crate::login::LoginRequest;
use crate::metrics::Metrics;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Request, Response, StatusCode};
use serde::Serialize;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// Answers requests with what is in force.
#[derive(Debug)]
pub(crate) struct Api {
    live: Arc<Live>,
    metrics: Arc<Metrics>,
    /// Places for bodies that are larger than usual.
    large: Semaphore,
}

/// The body of an answer to a login.
#[derive(Serialize)]
struct LoginAnswer<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    error: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    token: &'a str,
}

/// The body of an answer to a request for a signature.
#[derive(Serialize)]
struct SignAnswer<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    error: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    secure_request: &'a str,
}

impl Api {
    pub(crate) fn new(live: Arc<Live>, metrics: Arc<Metrics>) -> Self {
        Self { live, metrics, large: Semaphore::new(MOST_LARGE) }
    }

    /// Answers a request from `address`.
    pub(super) async fn respond(&self, request: Request<Incoming>, address: IpAddr) -> Response<Full<Bytes>> {
        let answer = self.answer(request, address).await.unwrap_or_else(|refusal| refusal);
        self.metrics.answered(answer.status.as_u16());
        let mut response = Response::new(Full::new(Bytes::from(answer.body)));
        *response.status_mut() = answer.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(allow) = answer.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        response
    }

    async fn answer(&self, request: Request<Incoming>, address: IpAddr) -> Result<Answer, Answer> {
        let route = Route::find(request.method(), request.uri().path())?;
        let page = |content_type, text: &str| Answer {
            status: StatusCode::OK,
            content_type,
            body: text.as_bytes().to_vec(),
            allow: None,
        };
        match route {
            Route::Description => return Ok(page("application/json", DESCRIPTION)),
            Route::Docs => return Ok(page("text/html; charset=utf-8", DOCS)),
            Route::Login | Route::Sign => {}
        }
        let (head, body) = request.into_parts();
        check_headers(&head.headers, !body.is_end_stream())?;
        let body = self.read(body, route.largest_body()).await?;
        if body.iter().all(u8::is_ascii_whitespace) {
            return Err(Answer::empty_body());
        }
        match route {
            Route::Login => self.login(&body, address).await,
            _ => self.sign(&body).await,
        }
    }

    async fn login(&self, body: &[u8], address: IpAddr) -> Result<Answer, Answer> {
        let request = LoginRequest::parse(body).map_err(|error| Answer::unparsable(body, &error.to_string()))?;
        let Some(login) = self.live.parts().login.clone() else { return Err(Route::not_implemented("PostLogin")) };
        let answer = login.answer(request, address).await;
        let token = answer.as_deref().unwrap_or_default();
        let error = answer.as_ref().err().copied().unwrap_or_default();
        Ok(Answer::json(StatusCode::OK, &LoginAnswer { error, token }))
    }

    async fn sign(&self, body: &[u8]) -> Result<Answer, Answer> {
        let unparsable = |why: &str| Answer::unparsable(body, why);
        let [request, token, signature] =
            Fields::read(body, ["request", "token", "signature"]).map_err(|error| unparsable(&error.to_string()))?;
        let request = STANDARD.decode(&request).map_err(|error| unparsable(&format!("request: {error}")))?;
        let Some(signer) = self.live.parts().signer.clone() else { return Err(Route::not_implemented("PostSign")) };
        let signed = signer.sign(&request, &token, &signature).await;
        let (secure_request, error) = match signed {
            Ok(sealed) => (STANDARD.encode(sealed), ""),
            Err(crate::sign::Denied) => (String::new(), "Request denied"),
        };
        Ok(Answer::json(StatusCode::OK, &SignAnswer { error, secure_request: &secure_request }))
    }

    /// Reads a body of at most `limit` bytes. Who sends more than usual waits for a place, so that slow senders cannot
    /// fill the memory.
    async fn read(&self, mut body: Incoming, limit: usize) -> Result<Zeroizing<Vec<u8>>, Answer> {
        let promised = body.size_hint().upper().and_then(|size| usize::try_from(size).ok());
        if promised.is_some_and(|size| size > limit) {
            return Err(Answer::too_large(limit));
        }
        let reading = async {
            // At once in one piece where the size is known: what grows leaves copies behind.
            let mut text = Zeroizing::new(Vec::with_capacity(promised.unwrap_or(USUAL_BODY).min(USUAL_BODY)));
            let mut place = None;
            while let Some(frame) = body.frame().await {
                // The connection is broken: nobody reads the answer.
                let Ok(frame) = frame else { return Err(Answer::too_slow()) };
                let Ok(data) = frame.into_data() else { continue };
                let size = text.len() + data.len();
                if size > limit {
                    return Err(Answer::too_large(limit));
                }
                if size > USUAL_BODY && place.is_none() {
                    // Never closed.
                    place = self.large.acquire().await.ok();
                }
                text.extend_from_slice(&data);
            }
            Ok((text, place))
        };
        match tokio::time::timeout(BODY_LIMIT, reading).await {
            Ok(read) => read.map(|(text, _place)| text),
            Err(_elapsed) => Err(Answer::too_slow()),
        }
    }
}

const DESCRIPTION: &str = include_str!("swagger.json");

const DOCS: &str = include_str!("docs.html");

/// Bodies up to this size are read without waiting.
const USUAL_BODY: usize = 64 * 1024;

/// Larger bodies that are read at once.
const MOST_LARGE: usize = 32;

/// How long a body may take.
const BODY_LIMIT: Duration = Duration::from_secs(10);
