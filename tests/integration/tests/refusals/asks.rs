//! What the client refuses of what it is asked: inputs, filters, lists of nodes, tokens to make.

use super::Refusal;
use choria_tests::Lab;
use tokens::SigningKey;

pub(crate) fn refusals() -> Vec<Refusal> {
    let lab = Lab::new();
    let mut all = tokens_to_make(&lab);
    let _broker = lab.start_broker();
    all.extend(questions(&lab));
    all.extend(answers(&lab));
    all
}

/// The program of a row: `choria` and the command, a subcommand of `jwt` and `tool` with it.
fn said(lab: &Lab, id: &'static str, from: &'static str, arguments: &[&str]) -> Refusal {
    let command: Vec<&str> = from.split(' ').skip(1).collect();
    let output = lab.choria(&[&command[..], arguments].concat());
    assert_ne!(output.code, 0, "{id}: {output:#?}");
    Refusal::new(id, from, output.stderr)
}

fn questions(lab: &Lab) -> Vec<Refusal> {
    lab.write("names.txt", "n1.example.net\nno such name\n");
    lab.write("names.json", "{");
    lab.write("inventory.yaml", "nodes: 1\n");
    let req = "choria req";
    let rows: Vec<(&str, &str, &[&str])> = vec![
        ("ask-agent", req, &["rpcutl", "ping"]),
        ("ask-action", req, &["rpcutil", "pin"]),
        ("ask-input-unknown", req, &["rpcutil", "get_fact", "fct=os"]),
        ("ask-input-missing", req, &["rpcutil", "get_fact"]),
        ("ask-input-syntax", req, &["rpcutil", "get_fact", "os"]),
        ("ask-input-type", req, &["executor", "signal", "id=x", "signal=kill"]),
        ("ask-input-expression", req, &["rpcutil", "get_data", "source=a-b"]),
        (
            "ask-input-long",
            req,
            &["rpcutil", "get_data", "source=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"],
        ),
        ("ask-input-shell", req, &["choria_registry", "ddl", "name=a;b", "plugin_type=agent"]),
        ("ask-input-list", req, &["choria_registry", "names", "plugin_type=x"]),
        ("ask-fact-filter", req, &["rpcutil", "ping", "-F", "os"]),
        ("ask-collective", req, &["rpcutil", "ping", "-T", "no such"]),
        ("ask-limit", req, &["rpcutil", "ping", "--limit", "many", "-I", "n1"]),
        ("ask-reply-filter", req, &["rpcutil", "ping", "--filter-replies", "ok("]),
        ("ask-method", req, &["rpcutil", "ping", "--dm", "magic"]),
        ("ask-nodes-missing", req, &["rpcutil", "ping", "--nodes", "nosuch.txt"]),
        ("ask-nodes-name", req, &["rpcutil", "ping", "--nodes", "names.txt"]),
        ("ask-nodes-json", req, &["rpcutil", "ping", "--nodes", "names.json"]),
        ("ask-nodes-none", req, &["rpcutil", "ping", "--dm", "flatfile"]),
        ("ask-inventory-none", req, &["rpcutil", "ping", "--dm", "inventory"]),
        ("ask-inventory-missing", req, &["rpcutil", "ping", "--dm", "inventory", "--do", "file=nosuch.yaml"]),
        ("ask-inventory-invalid", req, &["rpcutil", "ping", "--dm", "inventory", "--do", "file=inventory.yaml"]),
        ("ask-external-none", req, &["rpcutil", "ping", "--dm", "external"]),
        ("ask-external-quote", req, &["rpcutil", "ping", "--dm", "external", "--do", "command=a 'b"]),
        ("ask-external-fails", req, &["rpcutil", "ping", "--dm", "external", "--do", "command=/bin/false"]),
        ("ask-external-missing", req, &["rpcutil", "ping", "--dm", "external", "--do", "command=/nonexistent/finder"]),
        ("ask-duration", "choria ping", &["--connect-timeout", "soon"]),
        ("ask-command", "choria", &["pong"]),
        ("ask-flag", "choria ping", &["--pong"]),
        ("ask-config-key", "choria tool config", &["no.such.key"]),
        ("ask-config-expression", "choria tool config", &["("]),
    ];
    rows.into_iter().map(|(id, from, arguments)| said(lab, id, from, arguments)).collect()
}

fn answers(lab: &Lab) -> Vec<Refusal> {
    let mut all = vec![
        said(lab, "ask-nobody", "choria ping", &["--timeout", "1"]),
        said(lab, "ask-no-nodes", "choria req", &["rpcutil", "ping", "--discovery-timeout", "1"]),
        said(lab, "ask-unknown-collective", "choria ping", &["-T", "uk"]),
    ];
    let configured = [
        ("ask-filter-required", "plugin.choria.require_client_filter = true"),
        ("ask-signer-url", "plugin.choria.security.request_signer.url = https://127.0.0.1:1/choria/v1/sign"),
    ];
    for (id, line) in configured {
        lab.write("special.conf", &format!("{}{line}\n", lab.read("client.conf")));
        let output = lab.choria_as("special", &["req", "rpcutil", "ping", "--discovery-timeout", "1"]);
        all.push(Refusal::new(id, "choria req", output.stderr));
    }
    all
}

fn tokens_to_make(lab: &Lab) -> Vec<Refusal> {
    let public = lab.read("client.public");
    let rsa =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../libchoria/tokens/tests/data/throwaway.key.pem");
    std::fs::copy(rsa, lab.path("rsa.pem")).expect("a copy");
    lab.write("nokey.seed", "too short");
    let (client, server, provisioning) = ("choria jwt client", "choria jwt server", "choria jwt provisioning");
    let rows: Vec<(&str, &str, Vec<&str>)> = vec![
        ("jwt-keys-exist", "choria jwt keys", vec!["client.seed"]),
        ("jwt-signer-missing", client, vec!["x.jwt", "up=x", "nosuch.seed"]),
        ("jwt-signer-no-key", client, vec!["x.jwt", "up=x", "nokey.seed"]),
        ("jwt-public-key", client, vec!["x.jwt", "up=x", "issuer.seed", "--public-key", "nokey.seed"]),
        ("jwt-validity", client, vec!["x.jwt", "up=x", "issuer.seed", "--validity", "soon"]),
        ("jwt-issuer-no-key", client, vec!["x.jwt", "up=x", "issuer.seed", "--issuer"]),
        ("jwt-issuer-rsa", client, vec!["x.jwt", "up=x", "rsa.pem", "--issuer", "--public-key", &public]),
        ("jwt-governor", server, vec!["x.jwt", "n1", &public, "issuer.seed", "--governor"]),
        ("jwt-provisioning-nowhere", provisioning, vec!["x.jwt", "issuer.seed", "--token", "x"]),
        ("jwt-provisioning-no-token", provisioning, vec!["x.jwt", "issuer.seed", "--urls", "nats://b:4222"]),
        ("jwt-view-missing", "choria jwt view", vec!["nosuch.jwt"]),
        ("jwt-view-malformed", "choria jwt view", vec!["client.conf"]),
        ("jwt-view-other-key", "choria jwt view", vec!["client.jwt", &public]),
        ("jwt-view-no-file", "choria jwt", vec![]),
    ];
    let mut all: Vec<Refusal> = rows.into_iter().map(|(id, from, arguments)| said(lab, id, from, &arguments)).collect();
    let mut claims =
        tokens::read_client(&tokens::read_token(&lab.path("client.jwt")).expect("a token")).expect("claims");
    "mallory".clone_into(&mut claims.caller_id);
    let forged = claims.sign(&SigningKey::read(&lab.path("client.seed")).expect("a seed")).expect("a token");
    lab.write("forged.jwt", &forged);
    let issuer = lab.issuer.clone();
    all.push(said(lab, "jwt-view-forged", "choria jwt view", &["forged.jwt", &issuer]));
    all
}
