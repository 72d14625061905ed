//! Version 2 on the wire (spec 02 §3): flat objects, base64 inside base64, times in nanoseconds.

use crate::filter::Filter;
use crate::read::{self, Hop, Text, base64, filled, json, name, object, required, same_version, time_from_nanoseconds};
use crate::transport::{Federation, Headers};
use crate::write::{Writer, nanoseconds};
use crate::{Invalid, Layer, Reply, Request, SecureReply, SecureRequest, Transport, Version};

/// Room for the fixed keys of the largest layer.
const KEYS: usize = 512;

object!(exact WireRequest {
    protocol: Text<'a> = "protocol",
    message: Text<'a> = "message",
    id: Text<'a> = "id",
    sender: Text<'a> = "sender",
    caller: Text<'a> = "caller",
    collective: Text<'a> = "collective",
    agent: Text<'a> = "agent",
    ttl: i64 = "ttl",
    time: i64 = "time",
    filter: Filter = "filter",
});

/// Reads a request; [`Request::check`] comes after.
pub(crate) fn read_request(bytes: &[u8]) -> Result<Request, Invalid> {
    const LAYER: Layer = Layer::Request;

    let wire: WireRequest<'_> = json(LAYER, bytes)?;
    same_version(LAYER, Version::V2, wire.protocol.as_deref())?;
    Ok(Request {
        version: Version::V2,
        id: name(LAYER, "id", wire.id)?,
        sender: name(LAYER, "sender", wire.sender)?,
        caller: name(LAYER, "caller", wire.caller)?,
        collective: name(LAYER, "collective", wire.collective)?,
        agent: name(LAYER, "agent", wire.agent)?,
        ttl: read::ttl("ttl", required(LAYER, "ttl", wire.ttl)?)?,
        time: time_from_nanoseconds(required(LAYER, "time", wire.time)?),
        filter: wire.filter.unwrap_or_default(),
        payload: base64(LAYER, "message", &filled(LAYER, "message", wire.message)?)?,
    })
}

/// Writes a request.
pub(crate) fn write_request(request: &Request) -> Vec<u8> {
    let mut out = Writer::with_capacity(KEYS + request.payload.len() * 4 / 3);
    out.raw(r#"{"protocol":"io.choria.protocol.v2.request","message":"#).base64(&request.payload);
    out.raw(r#","id":"#).string(request.id.as_str());
    out.raw(r#","sender":"#).string(request.sender.as_str());
    out.raw(r#","caller":"#).string(request.caller.as_str());
    out.raw(r#","collective":"#).string(request.collective.as_str());
    out.raw(r#","agent":"#).string(request.agent.as_str());
    out.raw(r#","ttl":"#).integer(request.ttl.into());
    out.raw(r#","time":"#).integer(nanoseconds(request.time));
    out.raw(r#","filter":"#).filter(&request.filter);
    out.raw("}").finish()
}

object!(lenient WireReply {
    protocol: Text<'a> = "protocol",
    message: Text<'a> = "message",
    request: Text<'a> = "request",
    sender: Text<'a> = "sender",
    agent: Text<'a> = "agent",
    time: i64 = "time",
});

/// Reads a reply.
pub(crate) fn read_reply(bytes: &[u8]) -> Result<Reply, Invalid> {
    const LAYER: Layer = Layer::Reply;

    let wire: WireReply<'_> = json(LAYER, bytes)?;
    same_version(LAYER, Version::V2, wire.protocol.as_deref())?;
    Ok(Reply {
        version: Version::V2,
        request: name(LAYER, "request", wire.request)?,
        sender: name(LAYER, "sender", wire.sender)?,
        agent: name(LAYER, "agent", wire.agent)?,
        time: time_from_nanoseconds(required(LAYER, "time", wire.time)?),
        payload: base64(LAYER, "message", &wire.message.unwrap_or_default())?,
    })
}

/// Writes a reply.
pub(crate) fn write_reply(reply: &Reply) -> Vec<u8> {
    let mut out = Writer::with_capacity(KEYS + reply.payload.len() * 4 / 3);
    out.raw(r#"{"protocol":"io.choria.protocol.v2.reply","message":"#).base64(&reply.payload);
    out.raw(r#","request":"#).string(reply.request.as_str());
    out.raw(r#","sender":"#).string(reply.sender.as_str());
    out.raw(r#","agent":"#).string(reply.agent.as_str());
    out.raw(r#","time":"#).integer(nanoseconds(reply.time));
    out.raw("}").finish()
}

object!(exact WireSecureRequest {
    protocol: Text<'a> = "protocol",
    request: Text<'a> = "request",
    signature: Text<'a> = "signature",
    caller: Text<'a> = "caller",
    signer: Text<'a> = "signer",
});

/// Reads a secure request.
pub(crate) fn read_secure_request(bytes: &[u8]) -> Result<SecureRequest, Invalid> {
    const LAYER: Layer = Layer::SecureRequest;

    let wire: WireSecureRequest<'_> = json(LAYER, bytes)?;
    same_version(LAYER, Version::V2, wire.protocol.as_deref())?;
    Ok(SecureRequest {
        version: Version::V2,
        request: base64(LAYER, "request", &filled(LAYER, "request", wire.request)?)?,
        signature: base64(LAYER, "signature", &filled(LAYER, "signature", wire.signature)?)?,
        caller: filled(LAYER, "caller", wire.caller)?.into_string(),
        signer: wire.signer.and_then(Text::into_filled),
    })
}

/// Writes a secure request.
pub(crate) fn write_secure_request(secure: &SecureRequest) -> Vec<u8> {
    let tokens = secure.caller.len() + secure.signer.as_ref().map_or(0, String::len);
    let mut out = Writer::with_capacity(KEYS + tokens + secure.request.len() * 4 / 3);
    out.raw(r#"{"protocol":"io.choria.protocol.v2.secure_request","request":"#).base64(&secure.request);
    out.raw(r#","signature":"#).base64(&secure.signature);
    out.raw(r#","caller":"#).string(&secure.caller);
    if let Some(signer) = &secure.signer {
        out.raw(r#","signer":"#).string(signer);
    }
    out.raw("}").finish()
}

object!(lenient WireSecureReply {
    protocol: Text<'a> = "protocol",
    reply: Text<'a> = "reply",
    hash: Text<'a> = "hash",
    signature: Text<'a> = "signature",
    sender: Text<'a> = "sender",
});

/// Reads a secure reply.
pub(crate) fn read_secure_reply(bytes: &[u8]) -> Result<SecureReply, Invalid> {
    const LAYER: Layer = Layer::SecureReply;

    let wire: WireSecureReply<'_> = json(LAYER, bytes)?;
    same_version(LAYER, Version::V2, wire.protocol.as_deref())?;
    let signature = wire.signature.filter(|text| !text.is_empty());
    Ok(SecureReply {
        version: Version::V2,
        reply: base64(LAYER, "reply", &required(LAYER, "reply", wire.reply)?)?,
        hash: base64(LAYER, "hash", &required(LAYER, "hash", wire.hash)?)?,
        signature: signature.map(|text| base64(LAYER, "signature", &text)).transpose()?,
        sender: wire.sender.and_then(Text::into_filled),
    })
}

/// Writes a secure reply.
pub(crate) fn write_secure_reply(secure: &SecureReply) -> Vec<u8> {
    let sender = secure.sender.as_ref().map_or(0, String::len);
    let mut out = Writer::with_capacity(KEYS + sender + secure.reply.len() * 4 / 3);
    out.raw(r#"{"protocol":"io.choria.protocol.v2.secure_reply","reply":"#).base64(&secure.reply);
    out.raw(r#","hash":"#).base64(&secure.hash);
    if let Some(signature) = &secure.signature {
        out.raw(r#","signature":"#).base64(signature);
    }
    if let Some(sender) = &secure.sender {
        out.raw(r#","sender":"#).string(sender);
    }
    out.raw("}").finish()
}

object!(lenient WireTransport {
    protocol: Text<'a> = "protocol",
    data: Text<'a> = "data",
    headers: WireHeaders<'a> = "headers",
});

object!(lenient WireHeaders {
    reply_to: Text<'a> = "reply",
    sender: Text<'a> = "sender",
    trace: Vec<Hop> = "trace",
    federation: WireFederation<'a> = "federation",
});

object!(lenient WireFederation {
    request: Text<'a> = "request",
    reply_to: Text<'a> = "reply",
    targets: Vec<String> = "targets",
});

/// Reads a transport message.
pub(crate) fn read_transport(bytes: &[u8]) -> Result<Transport, Invalid> {
    const LAYER: Layer = Layer::Transport;

    let wire: WireTransport<'_> = json(LAYER, bytes)?;
    same_version(LAYER, Version::V2, wire.protocol.as_deref())?;
    let headers = wire.headers.unwrap_or_default();
    Ok(Transport {
        version: Version::V2,
        data: base64(LAYER, "data", &required(LAYER, "data", wire.data)?)?,
        headers: Headers {
            reply_to: headers.reply_to.and_then(Text::into_filled),
            sender: read::optional_name(LAYER, "headers.sender", headers.sender)?,
            trace: read::hops(headers.trace),
            federation: headers.federation.map(|federation| Federation {
                request: federation.request.and_then(Text::into_filled),
                reply_to: federation.reply_to.and_then(Text::into_filled),
                targets: federation.targets.unwrap_or_default(),
            }),
        },
    })
}

/// Writes a transport message around the JSON text `data`.
pub(crate) fn write_transport(data: &[u8], headers: &Headers) -> Vec<u8> {
    let mut out = Writer::with_capacity(KEYS + data.len() * 4 / 3);
    out.raw(r#"{"protocol":"io.choria.protocol.v2.transport","data":"#).base64(data);
    out.raw(r#","headers":{"#);
    out.header("reply", headers.reply_to.as_deref());
    out.header("sender", headers.sender.as_ref().map(AsRef::as_ref));
    out.header_list("trace", &headers.trace, |out, hop| {
        out.strings(hop);
    });
    if let Some(federation) = &headers.federation {
        out.next_field().raw(r#""federation":{"#);
        out.header("request", federation.request.as_deref());
        out.header("reply", federation.reply_to.as_deref());
        out.header_list("targets", &federation.targets, |out, target| {
            out.string(target);
        });
        out.raw("}");
    }
    out.raw("}}").finish()
}
