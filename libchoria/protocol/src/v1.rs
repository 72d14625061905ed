//! Version 1 on the wire (spec 02 §2): JSON text inside JSON strings, an envelope, times in seconds.

use crate::filter::Filter;
use crate::read::{self, Hop, Text, base64, filled, json, name, object, required, same_version};
use crate::transport::{Federation, Headers};
use crate::write::{Writer, seconds};
use crate::{INSECURE, Invalid, Layer, Reply, Request, SecureReply, SecureRequest, Transport, Version};

/// Room for the fixed keys of the largest layer.
const KEYS: usize = 512;

object!(exact WireRequest {
    protocol: Text<'a> = "protocol",
    message: Text<'a> = "message",
    envelope: RequestEnvelope<'a> = "envelope",
});

object!(exact RequestEnvelope {
    id: Text<'a> = "requestid",
    sender: Text<'a> = "senderid",
    caller: Text<'a> = "callerid",
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
    same_version(LAYER, Version::V1, wire.protocol.as_deref())?;
    let envelope = required(LAYER, "envelope", wire.envelope)?;
    Ok(Request {
        version: Version::V1,
        id: name(LAYER, "envelope.requestid", envelope.id)?,
        sender: name(LAYER, "envelope.senderid", envelope.sender)?,
        caller: name(LAYER, "envelope.callerid", envelope.caller)?,
        collective: name(LAYER, "envelope.collective", envelope.collective)?,
        agent: name(LAYER, "envelope.agent", envelope.agent)?,
        ttl: read::ttl("envelope.ttl", required(LAYER, "envelope.ttl", envelope.ttl)?)?,
        time: time(LAYER, envelope.time)?,
        filter: required(LAYER, "envelope.filter", envelope.filter)?,
        payload: required(LAYER, "message", wire.message)?.into_string().into_bytes(),
    })
}

/// Writes a request.
pub(crate) fn write_request(request: &Request) -> Vec<u8> {
    let mut out = Writer::with_capacity(KEYS + request.payload.len() * 5 / 4);
    out.raw(r#"{"protocol":"choria:request:1","message":"#).string(&String::from_utf8_lossy(&request.payload));
    out.raw(r#","envelope":{"requestid":"#).string(request.id.as_str());
    out.raw(r#","senderid":"#).string(request.sender.as_str());
    out.raw(r#","callerid":"#).string(request.caller.as_str());
    out.raw(r#","collective":"#).string(request.collective.as_str());
    out.raw(r#","agent":"#).string(request.agent.as_str());
    out.raw(r#","ttl":"#).integer(request.ttl.into());
    out.raw(r#","time":"#).integer(seconds(request.time));
    out.raw(r#","filter":"#).filter(&request.filter);
    out.raw("}}").finish()
}

object!(lenient WireReply {
    protocol: Text<'a> = "protocol",
    message: Text<'a> = "message",
    envelope: ReplyEnvelope<'a> = "envelope",
});

object!(lenient ReplyEnvelope {
    request: Text<'a> = "requestid",
    sender: Text<'a> = "senderid",
    agent: Text<'a> = "agent",
    time: i64 = "time",
});

/// Reads a reply.
pub(crate) fn read_reply(bytes: &[u8]) -> Result<Reply, Invalid> {
    const LAYER: Layer = Layer::Reply;

    let wire: WireReply<'_> = json(LAYER, bytes)?;
    same_version(LAYER, Version::V1, wire.protocol.as_deref())?;
    let envelope = required(LAYER, "envelope", wire.envelope)?;
    Ok(Reply {
        version: Version::V1,
        request: name(LAYER, "envelope.requestid", envelope.request)?,
        sender: name(LAYER, "envelope.senderid", envelope.sender)?,
        agent: name(LAYER, "envelope.agent", envelope.agent)?,
        time: time(LAYER, envelope.time)?,
        payload: wire.message.unwrap_or_default().into_string().into_bytes(),
    })
}

/// Writes a reply.
pub(crate) fn write_reply(reply: &Reply) -> Vec<u8> {
    let mut out = Writer::with_capacity(KEYS + reply.payload.len() * 5 / 4);
    out.raw(r#"{"protocol":"choria:reply:1","message":"#).string(&String::from_utf8_lossy(&reply.payload));
    out.raw(r#","envelope":{"requestid":"#).string(reply.request.as_str());
    out.raw(r#","senderid":"#).string(reply.sender.as_str());
    out.raw(r#","agent":"#).string(reply.agent.as_str());
    out.raw(r#","time":"#).integer(seconds(reply.time));
    out.raw("}}").finish()
}

object!(exact WireSecureRequest {
    protocol: Text<'a> = "protocol",
    message: Text<'a> = "message",
    signature: Text<'a> = "signature",
    certificate: Text<'a> = "pubcert",
});

/// Reads a secure request. The signature of an unsigned one is a plain word and not base64.
pub(crate) fn read_secure_request(bytes: &[u8]) -> Result<SecureRequest, Invalid> {
    const LAYER: Layer = Layer::SecureRequest;

    let wire: WireSecureRequest<'_> = json(LAYER, bytes)?;
    same_version(LAYER, Version::V1, wire.protocol.as_deref())?;
    let signature = filled(LAYER, "signature", wire.signature)?;
    let signature =
        if signature.as_bytes() == INSECURE { INSECURE.to_vec() } else { base64(LAYER, "signature", &signature)? };
    Ok(SecureRequest {
        version: Version::V1,
        request: filled(LAYER, "message", wire.message)?.into_string().into_bytes(),
        signature,
        caller: filled(LAYER, "pubcert", wire.certificate)?.into_string(),
        signer: None,
    })
}

/// Writes a secure request.
pub(crate) fn write_secure_request(secure: &SecureRequest) -> Vec<u8> {
    let mut out = Writer::with_capacity(KEYS + secure.caller.len() + secure.request.len() * 5 / 4);
    out.raw(r#"{"protocol":"choria:secure:request:1","message":"#).string(&String::from_utf8_lossy(&secure.request));
    out.raw(r#","signature":"#);
    if secure.signature == INSECURE {
        out.raw(r#""insecure""#);
    } else {
        out.base64(&secure.signature);
    }
    out.raw(r#","pubcert":"#).string(&secure.caller);
    out.raw("}").finish()
}

object!(lenient WireSecureReply {
    protocol: Text<'a> = "protocol",
    message: Text<'a> = "message",
    hash: Text<'a> = "hash",
});

/// Reads a secure reply.
pub(crate) fn read_secure_reply(bytes: &[u8]) -> Result<SecureReply, Invalid> {
    const LAYER: Layer = Layer::SecureReply;

    let wire: WireSecureReply<'_> = json(LAYER, bytes)?;
    same_version(LAYER, Version::V1, wire.protocol.as_deref())?;
    Ok(SecureReply {
        version: Version::V1,
        reply: required(LAYER, "message", wire.message)?.into_string().into_bytes(),
        hash: base64(LAYER, "hash", &required(LAYER, "hash", wire.hash)?)?,
        signature: None,
        sender: None,
    })
}

/// Writes a secure reply.
pub(crate) fn write_secure_reply(secure: &SecureReply) -> Vec<u8> {
    let mut out = Writer::with_capacity(KEYS + secure.reply.len() * 5 / 4);
    out.raw(r#"{"protocol":"choria:secure:reply:1","message":"#).string(&String::from_utf8_lossy(&secure.reply));
    out.raw(r#","hash":"#).base64(&secure.hash);
    out.raw("}").finish()
}

object!(lenient WireTransport {
    protocol: Text<'a> = "protocol",
    data: Text<'a> = "data",
    headers: WireHeaders<'a> = "headers",
});

object!(lenient WireHeaders {
    reply_to: Text<'a> = "reply-to",
    sender: Text<'a> = "mc_sender",
    trace: Vec<Hop> = "seen-by",
    federation: WireFederation<'a> = "federation",
});

object!(lenient WireFederation {
    request: Text<'a> = "req",
    reply_to: Text<'a> = "reply-to",
    targets: Vec<String> = "target",
});

/// Reads a transport message.
pub(crate) fn read_transport(bytes: &[u8]) -> Result<Transport, Invalid> {
    const LAYER: Layer = Layer::Transport;

    let wire: WireTransport<'_> = json(LAYER, bytes)?;
    same_version(LAYER, Version::V1, wire.protocol.as_deref())?;
    let headers = wire.headers.unwrap_or_default();
    Ok(Transport {
        version: Version::V1,
        data: base64(LAYER, "data", &required(LAYER, "data", wire.data)?)?,
        headers: Headers {
            reply_to: headers.reply_to.and_then(Text::into_filled),
            sender: read::optional_name(LAYER, "headers.mc_sender", headers.sender)?,
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
    out.raw(r#"{"protocol":"choria:transport:1","data":"#).base64(data);
    out.raw(r#","headers":{"#);
    out.header("reply-to", headers.reply_to.as_deref());
    out.header("mc_sender", headers.sender.as_ref().map(AsRef::as_ref));
    out.header_list("seen-by", &headers.trace, |out, hop| {
        out.strings(hop);
    });
    if let Some(federation) = &headers.federation {
        out.next_field().raw(r#""federation":{"#);
        out.header("req", federation.request.as_deref());
        out.header("reply-to", federation.reply_to.as_deref());
        out.header_list("target", &federation.targets, |out, target| {
            out.string(target);
        });
        out.raw("}");
    }
    out.raw("}}").finish()
}

/// The time of an envelope.
fn time(layer: Layer, seconds: Option<i64>) -> Result<std::time::SystemTime, Invalid> {
    read::time_from_seconds(layer, "envelope.time", required(layer, "envelope.time", seconds)?)
}
