//! The configuration files of a laboratory.

use crate::Lab;

/// `broker.conf`.
pub(crate) fn broker(lab: &Lab) -> String {
    format!(
        "identity = broker.lab.example.net\n\
         plugin.choria.broker_network = true\n\
         plugin.choria.use_srv = false\n\
         plugin.choria.network.listen_address = 127.0.0.1\n\
         plugin.choria.network.client_port = {port}\n\
         plugin.choria.network.stream.store = {folder}/streams\n\
         plugin.choria.network.provisioning.client_password = lab-provisioning\n\
         loglevel = info\n{security}",
        port = lab.port,
        folder = lab.folder().display(),
        security = security(lab, "broker"),
    )
}

/// The configuration of the server whose files are called `name`.
pub(crate) fn server(lab: &Lab, name: &str, identity: &str) -> String {
    format!(
        "identity = {identity}\n\
         plugin.choria.middleware_hosts = 127.0.0.1:{port}\n\
         plugin.choria.use_srv = false\n\
         plugin.yaml = {folder}/{name}.facts.yaml\n\
         classesfile = {folder}/{name}.classes\n\
         plugin.choria.status_file_path = {folder}/{name}.status.json\n\
         rpcauthorization = false\n\
         loglevel = info\n{security}",
        port = lab.port,
        folder = lab.folder().display(),
        security = security(lab, name),
    )
}

/// The configuration of the client whose files are called `name`.
pub(crate) fn client(lab: &Lab, name: &str) -> String {
    format!(
        "plugin.choria.middleware_hosts = 127.0.0.1:{port}\n\
         plugin.choria.use_srv = false\n\
         loglevel = warn\n{security}",
        port = lab.port,
        security = security(lab, name),
    )
}

fn security(lab: &Lab, name: &str) -> String {
    format!(
        "plugin.security.provider = choria\n\
         plugin.security.choria.token_file = {folder}/{name}.jwt\n\
         plugin.security.choria.seed_file = {folder}/{name}.seed\n\
         plugin.security.issuer.names = choria\n\
         plugin.security.issuer.choria.public = {issuer}\n",
        folder = lab.folder().display(),
        issuer = lab.issuer,
    )
}
