//! First inputs of the targets, made from the recorded data whenever they are needed: nothing of it is kept in the tree.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use protocol::{SecureReply, SecureRequest, Transport};
use serde_json::Value;
use std::path::Path;
use vectors::{Folder, root};

/// Inputs with a name each.
type Seeds = Vec<(String, Vec<u8>)>;

/// The recorded tokens and their claims.
pub(crate) fn token() -> Seeds {
    let mut seeds = files("tokens", ".jwt");
    let claims = |(name, token): &(String, Vec<u8>)| {
        let payload = token.split(|byte| *byte == b'.').nth(1)?;
        Some((format!("{name}.claims"), URL_SAFE_NO_PAD.decode(payload).ok()?))
    };
    let claims: Seeds = seeds.iter().filter_map(claims).collect();
    seeds.extend(claims);
    seeds
}

/// The recorded answers of a helper, and some that a helper could give.
pub(crate) fn helper() -> Seeds {
    let mut seeds = files("provisioning", ".stdout.json");
    let others = [
        r#"{"defer":true,"msg":"later"}"#,
        r#"{"shutdown":true,"msg":"unwanted"}"#,
        r#"{"configuration":{"a":"b"},"action_policies":{"x.policy":"p"},"opa_policies":{"x.rego":"p"},"upgrade":"1.0"}"#,
        r#"{"configuration":{"a":"b"},"certificate":"-----BEGIN CERTIFICATE-----","key":"-----BEGIN PRIVATE KEY-----"}"#,
        r#"{"configuration":{"a":"b"},"server_claims":{"pub_subjects":["a.>"],"collectives":["c"],"ou":"o","exp":1}}"#,
    ];
    seeds.extend((0..).zip(others).map(|(number, text): (u32, &str)| (format!("other-{number}"), text.into())));
    seeds
}

/// The recorded files of the spool, the headers of published messages, and rules of who may submit.
pub(crate) fn submission() -> Seeds {
    let mut seeds = files("submission", ".spool.json");
    let signed = |(name, bytes): &(String, Vec<u8>)| {
        let text = String::from_utf8_lossy(bytes).replace("s1.choria.local", "n1.example.net");
        (format!("{name}.here"), text.replace("\"sign\":false", "\"sign\":true").into_bytes())
    };
    let here: Seeds = seeds.iter().map(signed).collect();
    seeds.extend(here);
    seeds.extend(files("submission", ".hdr"));
    let rules = ["* local.>", "alice jobs.backup, %ops jobs.*.b,1000 >", "%51 a.b", "4294967294 local.a"];
    seeds.extend((0..).zip(rules).map(|(number, text): (u32, &str)| (format!("rules-{number}"), text.into())));
    seeds
}

/// The recorded files, each key with its default, and each key with some values of its own.
pub(crate) fn configuration() -> Seeds {
    let mut seeds: Seeds = [".conf", ".cfg"].iter().flat_map(|ending| files("config", ending)).collect();
    let given = |key: &config::KeyInfo| format!("{} = {}\n", key.name, key.default.unwrap_or("1"));
    seeds.push(("every-key".to_owned(), config::table().map(given).collect::<String>().into_bytes()));
    let values =
        ["", "1", "-1", "yes", "no", "1h", "10ms", "a,b,c", "/etc/x:/etc/y", "~/x", "n1.example.net:4222", "{}"];
    for (number, key) in (0_u16..).zip(config::table()) {
        for value in key.default.iter().chain(&values[..]) {
            let [high, low] = number.to_be_bytes();
            let seed = [&[0xff, high, low], value.as_bytes()].concat();
            seeds.push((format!("{}={}", key.name, value.replace('/', "%")), seed));
        }
    }
    seeds
}

/// The demonstration's policies, and one of each kind with most of what may stand in it.
pub(crate) fn policy() -> Seeds {
    let mut seeds = files("config", ".rego");
    let own: [(&str, &str); 6] = [
        (
            "action",
            "policy default deny\nallow\tops choria=jo.mcollective\t*\t*\t*\ndeny\t/^up=/\tstatus restart\tenv=prod cpus>4\t/^role::web/ apache\n",
        ),
        ("groups", "# people\nops up=ann up=bob\n"),
        (
            "v1",
            "package io.choria.aaasvc\nimport rego.v1\ndefault allow := false\nallow if { some x in input.data.list; x > 1 }\n",
        ),
        (
            "v0",
            "package io.choria.mcorpc.authpolicy\ndefault allow = false\nf(x) = y { y := x + 1 }\nallow { f(input.ttl) > 2; not input.facts.bad }\n",
        ),
        (
            "functions",
            "package io.choria.aaasvc\ndefault allow = false\nallow { requires_filter(); requires_fact_filter(\"a=b\") }\n",
        ),
        (
            "nested",
            "package io.choria.aaasvc\nx = [{\"a\": [1, {2, 3}, [y | y = 4]]}]\nallow = true { x[_].a[_] == 1 } else = false { true }\n",
        ),
    ];
    seeds.extend(own.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())));
    seeds
}

/// The recorded messages of both generations and their secure layers.
pub(crate) fn transport() -> Seeds {
    let mut seeds = messages();
    let inner: Seeds =
        seeds.iter().filter_map(|(name, bytes)| Some((format!("{name}.secure"), secure(bytes)?))).collect();
    seeds.extend(inner);
    seeds
}

/// What is inside the recorded messages: requests, replies, their bodies; and recorded events.
pub(crate) fn request() -> Seeds {
    let mut seeds = files("lifecycle", ".json");
    for (name, bytes) in messages() {
        let Some(secure) = secure(&bytes) else { continue };
        if let Ok(layer) = SecureRequest::parse(&secure) {
            if let Ok(request) = layer.unverified_request() {
                seeds.push((format!("{name}.body"), request.body().into_owned()));
            }
            seeds.push((format!("{name}.request"), layer.request));
        } else if let Ok(layer) = SecureReply::parse(&secure) {
            if let Ok(reply) = layer.unverified_reply() {
                seeds.push((format!("{name}.body"), reply.payload));
            }
            seeds.push((format!("{name}.reply"), layer.reply));
        }
    }
    seeds
}

/// The filters of the recorded requests, and flags as people type them.
pub(crate) fn filter() -> Seeds {
    let recorded = messages().into_iter().filter_map(|(name, bytes)| {
        let request = SecureRequest::parse(&secure(&bytes)?).ok()?.unverified_request().ok()?;
        Some((name, serde_json::to_vec(&request.filter).ok()?))
    });
    let mut seeds: Seeds = recorded.collect();
    seeds.push(("every-list".to_owned(), EVERY_LIST.as_bytes().to_vec()));
    seeds.extend(numbered("flags", &FLAGS));
    seeds
}

/// The recorded documents, each with inputs that fit an action of it.
pub(crate) fn ddl() -> Seeds {
    let mut seeds = files("rpc/ddl", ".json");
    let bodies: Seeds = request().into_iter().filter(|(name, _)| name.ends_with(".body")).collect();
    let mut with_inputs = Seeds::new();
    for (name, document) in &seeds {
        for (body_name, body) in &bodies {
            let Ok(body) = rpc::RequestBody::parse(body) else { continue };
            if name.ends_with(&format!("{}.json", body.agent)) && body.data.is_object() {
                let inputs = body.data.to_string();
                with_inputs.push((format!("{name}.{body_name}"), [document, &[0][..], inputs.as_bytes()].concat()));
            }
        }
    }
    seeds.extend(with_inputs);
    seeds.extend(numbered("small", &DOCUMENTS));
    seeds
}

/// The expressions of the recorded commands, and one for each part of the language.
pub(crate) fn expression() -> Seeds {
    let index = Folder::open("cli").index;
    let commands = index["cases"].as_array().cloned().unwrap_or_default();
    let expression = |case: &Value| {
        let (_, rest) = case["command"].as_str()?.split_once(" -S ")?;
        Some((case["name"].as_str()?.to_owned(), rest.split(" --").next()?.as_bytes().to_vec()))
    };
    let mut seeds: Seeds = commands.iter().filter_map(expression).collect();
    seeds.extend(numbered("expression", &EXPRESSIONS));
    seeds
}

/// The files of a folder of the recorded data whose names end so.
fn files(folder: &str, ending: &str) -> Seeds {
    let path = root().join(folder);
    let entries = std::fs::read_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut found: Seeds = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().ends_with(ending) && entry.file_name() != "index.json")
        .map(|entry| {
            (format!("{}-{}", folder.replace('/', "-"), entry.file_name().to_string_lossy()), read(&entry.path()))
        })
        .collect();
    assert!(!found.is_empty(), "no {ending} file in {}", path.display());
    found.sort();
    found
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The recorded messages, both generations.
fn messages() -> Seeds {
    ["protocol", "protocol-v1", "rpc"].iter().flat_map(|folder| files(folder, ".json")).collect()
}

/// The secure layer of a message.
fn secure(message: &[u8]) -> Option<Vec<u8>> {
    Transport::parse(message).ok().map(|transport| transport.data).or_else(|| {
        // Messages that are refused as a whole still have something inside.
        let message: Value = serde_json::from_slice(message).ok()?;
        STANDARD.decode(message["data"].as_str()?).ok()
    })
}

fn numbered(name: &str, texts: &[&str]) -> Seeds {
    texts.iter().enumerate().map(|(number, text)| (format!("{name}-{number}"), text.as_bytes().to_vec())).collect()
}

/// A filter that uses all of its lists.
const EVERY_LIST: &str = r#"{"fact":[{"fact":"os.family","operator":"==","value":"RedHat"},
{"fact":"cpus","operator":">=","value":"4"},{"fact":"name","operator":"=~","value":"/^n\\d/"}],
"cf_class":["apache","/^role/"],"agent":["rpcutil"],"identity":["n1.example.net","/^n/"],
"compound":[[{"expr":"with('apache') and fact('cpus') > 4"}]]}"#;

/// Flags as [`crate::Target`] `filter` takes them.
const FLAGS: [&str; 4] = [
    "Fos.family=RedHat\nFcpus>=4\nCapache\nC/^roles/\nArpcutil\nI/^n1/\nWos.family=RedHat apache",
    "Fname=/^n\\d+/\nFload<1.5\nFdisks.#(name==\"sda\").size>=512\nFvirtual!=true\nFos.release.major=>9",
    "Fos|@reverse=x\nFdisks.@this.0.name=sda\nFdisks.#.size|0=512\nF@pretty=x",
    "Fa.b=/x/\n{\"a\":{\"b\":\"xyz\"},\"c\":[1,2,{\"d\":null}],\n \"e\":1e400}",
];

/// Small documents with one of everything.
const DOCUMENTS: [&str; 2] = [
    concat!(
        r#"{"metadata":{"name":"a","timeout":5},"actions":[{"action":"x","display":"always","description":"d","input":{"#,
        r#""s":{"prompt":"p","type":"string","validation":"^\\w+$","maxlength":10,"optional":false},"#,
        r#""b":{"type":"boolean","optional":true,"default":false},"f":{"type":"float","optional":true},"#,
        r#""l":{"type":"list","list":["a","b"],"optional":true},"i":{"type":"integer","optional":true},"#,
        r#""sh":{"type":"string","validation":"shellsafe","optional":true},"ip":{"type":"string","validation":"ipaddress","optional":true},"#,
        r#""h":{"type":"hash","optional":true},"ar":{"type":"array","optional":true}},"#,
        r#""output":{"o":{"description":"d","display_as":"O","default":"n/a"}},"#,
        r#""aggregate":[{"function":"summary","args":["o"]},{"function":"average","args":["i",{"format":"Mean: %-10.3f|"}]}]}]}"#,
        "\0",
        r#"{"s":"abc","b":true,"f":1.5,"l":"a","i":3,"sh":"ls","ip":"::1","h":{},"ar":[1],"o":"x"}"#
    ),
    r#"{"metadata":{"name":"d"},"query":{"type":"string","validation":"^.$","maxlength":1},"output":{"x":{"default":1}}}"#,
];

/// One expression for each part of the language.
const EXPRESSIONS: [&str; 28] = [
    r#"with("apache") and with("cpus>=4") or not with("/^roles/")"#,
    "fact('os.release.major') == '9' && fact(\"cpus\") > 4",
    "include(classes, 'apache') and include(agents, \"rpcutil\")",
    "semver('1.2.3', '>= 1.2, < 2 || ^3')\n>=1.2.3",
    "1.2.3-pre+build\n~> 1.2 || 1.x - 2.*",
    "choria('uptime').uptime > 1 and config_item().state matches '^M'",
    "any(fact('disks'), .size > 512) and all(fact('disks'), {#.name startsWith 'sd'})",
    "len(filter(classes, # contains 'r')) in [1, 2, 3]",
    "map(1..9, # * 2)[-1] == 18 ?? true",
    "sum(1..255) > 3 ? true : false",
    "groupBy(agents, len(#))[7] != nil",
    "sortBy(fact('disks'), .size)[0].name == 'sda'",
    "count(agents, # endsWith 'l') == 1",
    "let x = 3; let y = [1, x, 'z']; x in y",
    "if cpus == nil { true } else { false }",
    "upper('a') + lower('B') == 'Ab' or trim(' x ') == 'x'",
    "split('a,b,c', ',')[1] == 'b' and join(['a', 'b'], '-') == 'a-b'",
    "replace('aaa', 'a', 'b') == 'bbb' and indexOf('abc', 'c') == 2",
    "toJSON({'a': [1, 2]}) == '' or fromJSON('[1,2]')[0] == 1",
    "int('7') + float('1.5') ** 2 % 3 > abs(-1) - round(2.5)",
    "date('2026-11-21') < now() and duration('1h') > duration('1m')",
    "flatten([[1], [2, 3]])[0] == 1 and concat([1], [2])[1] == 2",
    "take(reverse(1..5), 2)[0] == 5 and first([1]) == last([1])",
    "toBase64('abc') == 'YWJj' and fromBase64('YWJj') == 'abc'",
    "keys({'a': 1})[0] == 'a' and values({a: 2})[0] == 2 and toPairs({'a': 1}) != nil",
    "{'a': {'b': 1}}?.a?.b == 1 | true",
    "agents[0:1] == ['discovery'] // a comment\n/* another */ and true",
    "unknown_provider('x').y == nil or `raw \\ text` == 'x'",
];
