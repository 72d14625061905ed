//! Which request gets which status and body, as the framework of the original answers (spec 07 §3). Pure.

use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use hyper::{Method, StatusCode};
use serde::Serialize;

/// What is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Route {
    Login,
    Sign,
    Description,
    Docs,
}

/// An answer, ready to be sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) content_type: &'static str,
    pub(super) body: Vec<u8>,
    /// The value of `Allow`.
    pub(super) allow: Option<&'static str>,
}

/// A refusal of the framework.
#[derive(Serialize)]
struct Refusal<'a> {
    code: u16,
    message: &'a str,
}

impl Route {
    /// The route of `path`, if `method` is one that it takes.
    pub(super) fn find(method: &Method, path: &str) -> Result<Self, Answer> {
        let (route, allowed) = match path {
            "/choria/v1/login" => (Self::Login, "POST"),
            "/choria/v1/sign" => (Self::Sign, "POST"),
            "/swagger.json" => (Self::Description, "GET"),
            "/choria/v1/docs" => (Self::Docs, "GET"),
            _ => {
                let path: String = path.chars().take(1024).collect();
                return Err(Answer::refusal(StatusCode::NOT_FOUND, 404, &format!("path {path} was not found")));
            }
        };
        let is_read = allowed == "GET" && (method == Method::GET || method == Method::HEAD);
        if method.as_str() == allowed || is_read {
            return Ok(route);
        }
        let text = format!("method {method} is not allowed, but [{allowed}] are");
        let mut answer = Answer::refusal(StatusCode::METHOD_NOT_ALLOWED, 405, &text);
        answer.allow = Some(allowed);
        Err(answer)
    }

    /// Whether there is something behind the route; `operation` is its name in the description.
    pub(super) fn not_implemented(operation: &str) -> Answer {
        let text = format!("operation {operation} has not yet been implemented");
        Answer::json(StatusCode::NOT_IMPLEMENTED, &text)
    }

    /// Most bytes of a body.
    pub(super) fn largest_body(self) -> usize {
        match self {
            Self::Login => LARGEST_LOGIN,
            _ => LARGEST_SIGN,
        }
    }
}

/// Looks at the headers of a request, with a body or without, before the body is read.
pub(super) fn check_headers(headers: &HeaderMap, has_body: bool) -> Result<(), Answer> {
    if has_body {
        let given = headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
        let given = given.filter(|text| !text.is_empty()).unwrap_or("application/octet-stream");
        let kind = given.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case(JSON) {
            let kind: String = kind.chars().take(128).collect();
            let text = format!("unsupported media type {kind:?}, only [{JSON}] are allowed");
            return Err(Answer::refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, 415, &text));
        }
    }
    let accepted: Vec<&str> = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    if accepted.is_empty() || accepted.iter().flat_map(|list| list.split(',')).any(takes_json) {
        return Ok(());
    }
    let text = format!("unsupported media type requested, only [{JSON}] are available");
    Err(Answer::refusal(StatusCode::NOT_ACCEPTABLE, 406, &text))
}

/// Whether an entry of `Accept` takes JSON.
fn takes_json(entry: &str) -> bool {
    let mut parts = entry.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default();
    let refused = parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"));
    !refused && (["*/*", "application/*", ""].contains(&kind) || kind.eq_ignore_ascii_case(JSON))
}

impl Answer {
    /// What the framework says by itself.
    pub(super) fn refusal(status: StatusCode, code: u16, message: &str) -> Self {
        Self { body: encode(&Refusal { code, message }), status, content_type: JSON, allow: None }
    }

    /// There is nothing in the body.
    pub(super) fn empty_body() -> Self {
        Self::refusal(StatusCode::UNPROCESSABLE_ENTITY, 602, "request in body is required")
    }

    /// The body is no JSON of the right shape.
    pub(super) fn unparsable(body: &[u8], why: &str) -> Self {
        let reason = match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(first) if !(b"{[\"-0123456789tfn".contains(first)) => {
                format!("invalid character '{}' looking for beginning of value", char::from(*first))
            }
            _ => why.to_owned(),
        };
        let text = format!("parsing request body from \"\" failed, because {reason}");
        Self::refusal(StatusCode::BAD_REQUEST, 400, &text)
    }

    /// More than any request needs.
    pub(super) fn too_large(limit: usize) -> Self {
        let text = format!("the request body is larger than {limit} bytes");
        Self::refusal(StatusCode::PAYLOAD_TOO_LARGE, 413, &text)
    }

    /// The body did not come in time.
    pub(super) fn too_slow() -> Self {
        Self::refusal(StatusCode::REQUEST_TIMEOUT, 408, "the request body did not arrive in time")
    }

    /// A value and a newline.
    pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Self {
        let mut body = encode(value);
        body.push(b'\n');
        Self { status, content_type: JSON, body, allow: None }
    }
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    // Texts and numbers always have a JSON form.
    serde_json::to_vec(value).unwrap_or_default()
}

const JSON: &str = "application/json";

/// A name, a password, a key and a signature, with room.
const LARGEST_LOGIN: usize = 64 * 1024;

/// Brokers take messages of one megabyte, and a request is in one twice encoded.
const LARGEST_SIGN: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn text(answer: &Answer) -> (u16, String) {
        (answer.status.as_u16(), String::from_utf8(answer.body.clone()).expect("text"))
    }

    #[test]
    fn paths_and_methods() {
        let rows = [
            (Method::POST, "/choria/v1/login", Ok(Route::Login)),
            (Method::POST, "/choria/v1/sign", Ok(Route::Sign)),
            (Method::GET, "/swagger.json", Ok(Route::Description)),
            (Method::HEAD, "/choria/v1/docs", Ok(Route::Docs)),
            (
                Method::GET,
                "/choria/v1/login",
                Err((405, r#"{"code":405,"message":"method GET is not allowed, but [POST] are"}"#)),
            ),
            (
                Method::POST,
                "/swagger.json",
                Err((405, r#"{"code":405,"message":"method POST is not allowed, but [GET] are"}"#)),
            ),
            (
                Method::GET,
                "/choria/v1/nope",
                Err((404, r#"{"code":404,"message":"path /choria/v1/nope was not found"}"#)),
            ),
        ];
        for (method, path, expected) in rows {
            let found = Route::find(&method, path).map_err(|answer| text(&answer));
            assert_eq!(found, expected.map_err(|(status, body)| (status, body.to_owned())), "{method} {path}");
        }
        let answer = Route::find(&Method::GET, "/choria/v1/login").expect_err("refused");
        assert_eq!(answer.allow, Some("POST"));
    }

    /// Headers, whether there is a body, and the refusal.
    type Row<'a> = (&'a [(&'a str, &'a str)], bool, Option<(u16, &'a str)>);

    #[test]
    fn headers() {
        let unsupported =
            r#"{"code":415,"message":"unsupported media type \"text/plain\", only [application/json] are allowed"}"#;
        let bytes = r#"{"code":415,"message":"unsupported media type \"application/octet-stream\", only [application/json] are allowed"}"#;
        let unacceptable =
            r#"{"code":406,"message":"unsupported media type requested, only [application/json] are available"}"#;
        let rows: [Row<'_>; 10] = [
            (&[("content-type", "application/json")], true, None),
            (&[("content-type", "Application/JSON; charset=utf-8")], true, None),
            (&[("content-type", "text/plain")], true, Some((415, unsupported))),
            (&[], true, Some((415, bytes))),
            (&[], false, None),
            (&[("content-type", "text/plain")], false, None),
            (&[("content-type", "application/json"), ("accept", "*/*")], true, None),
            (&[("content-type", "application/json"), ("accept", "text/html, application/json;q=0.5")], true, None),
            (&[("content-type", "application/json"), ("accept", "text/html")], true, Some((406, unacceptable))),
            (
                &[("content-type", "application/json"), ("accept", "application/json;q=0")],
                true,
                Some((406, unacceptable)),
            ),
        ];
        for (list, has_body, expected) in rows {
            let mut headers = HeaderMap::new();
            for (name, value) in list {
                headers.insert(
                    hyper::header::HeaderName::from_bytes(name.as_bytes()).expect("a name"),
                    value.parse().expect("a value"),
                );
            }
            let found = check_headers(&headers, has_body).err().map(|answer| text(&answer));
            assert_eq!(found, expected.map(|(status, body)| (status, body.to_owned())), "{list:?}");
        }
    }

    #[test]
    fn bodies_that_are_none() {
        let rows = [
            (
                "hello",
                r#"{"code":400,"message":"parsing request body from \"\" failed, because invalid character 'h' looking for beginning of value"}"#,
            ),
            ("{", r#"{"code":400,"message":"parsing request body from \"\" failed, because why"}"#),
        ];
        for (body, expected) in rows {
            assert_eq!(text(&Answer::unparsable(body.as_bytes(), "why")), (400, expected.to_owned()), "{body}");
        }
        let expected = r#"{"code":602,"message":"request in body is required"}"#;
        assert_eq!(text(&Answer::empty_body()), (422, expected.to_owned()));
        let expected = "\"operation PostLogin has not yet been implemented\"\n";
        assert_eq!(text(&Route::not_implemented("PostLogin")), (501, expected.to_owned()));
    }
}
