//! A stand-in for the HTTP interface of an AAA service.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Serves POST requests with JSON one by one until the test ends; `None` hangs up without an answer. Returns `http://HOST:PORT`.
pub(crate) async fn serve(mut answer: impl FnMut(&Value) -> Option<(u16, String)> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut stream, _peer)) = listener.accept().await {
            let mut heard = Vec::new();
            let question = loop {
                let mut buffer = [0; 65536];
                let read = stream.read(&mut buffer).await.expect("a request");
                assert!(read > 0, "the request ends early");
                heard.extend_from_slice(&buffer[..read]);
                let text = String::from_utf8_lossy(&heard).into_owned();
                let body = text.split_once("\r\n\r\n").map(|(_, body)| serde_json::from_str::<Value>(body));
                if let Some(Ok(question)) = body {
                    break question;
                }
            };
            if let Some((status, body)) = answer(&question) {
                let text = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                stream.write_all(text.as_bytes()).await.expect("it is taken");
            }
        }
    });
    url
}
