"""A site, as an operator sets one up: packages from apt, keys and tokens made on the client's machine, files copied, units enabled.

Three machines: `broker` has the broker, the provisioner and the AAA service, `node` is a node that has nothing but a provisioning
token, `client` is where people work. Nothing here uses what an operator would not have.
"""
import json
import re
import secrets
import textwrap

from machines import DOMAIN, Trouble

PASSWORD = "secret"
OFFICE = "/root/site"  # where keys and tokens are made
YEAR = ("--validity", "365d")
# Who is who: alice works with the fleet, admin may do everything.
PERMISSIONS = {"alice": {"signed_fleet_management": True, "events_viewer": True},
               "admin": {"org_admin": True, "system_user": True, "signed_fleet_management": True}}


class Site:
    """Broker, node and client, which the caller has booted and told of the repository."""

    def __init__(self, broker, node, client):
        self.broker = broker
        self.node = node
        self.client = client
        self.provision_token = secrets.token_hex(16)
        self.broker_password = secrets.token_hex(16)

    def set_up(self):
        """From nothing to a fleet of one node."""
        self.client.apt_install("choria")
        self.make_credentials()
        self.broker.apt_install("choria-broker", "choria-provisioner", "choria-aaasvc")
        self.set_up_broker()
        self.set_up_provisioner()
        self.set_up_aaasvc()
        self.set_up_client()
        self.node.apt_install("choria-server")
        self.set_up_node(self.node)
        return self

    # Keys and tokens, see compose/README.md

    def choria(self, *words):
        """The command line in the folder of keys and tokens."""
        return self.client.run("choria", *words, cwd=OFFICE).stdout

    def keys(self, name):
        self.choria("jwt", "keys", f"{name}.seed", f"{name}.public")
        return self.client.get(f"{OFFICE}/{name}.public").strip()

    def make_credentials(self):
        self.client.run(f"mkdir -m 700 {OFFICE}")
        self.issuer = self.keys("issuer")
        self.server_token("broker", "broker")
        self.keys("aaasvc-issuer")
        self.client_token("aaasvc-issuer", "aaa_chain_delegator", "--issuer", "--no-fleet-management")
        self.keys("aaasvc-signer")
        self.client_token("aaasvc-signer", "aaa_request_signer", "--no-fleet-management", "--auth-delegation")
        self.server_token("aaasvc", "aaa", "--service")
        self.keys("signer")
        self.client_token("signer", "provisioner_signer", "--issuer", "--server-provisioner", "--stream-user", "--elections-user")
        self.choria("jwt", "provisioning", "provisioning.jwt", "issuer.seed", "--token", self.provision_token, "--urls",
                    f"nats://{self.broker.fqdn}:4222", "--default", "--protocol-v2", "--insecure", "--update", *YEAR)
        self.client.run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=aaa "
                        f"-addext subjectAltName=DNS:{self.broker.fqdn} -keyout aaasvc.key -out aaasvc.crt", cwd=OFFICE)

    def server_token(self, name, host, *flags):
        public = self.keys(name)
        self.choria("jwt", "server", f"{name}.jwt", f"{host}.{DOMAIN}", public, "issuer.seed", "--collectives", "choria", *flags, *YEAR)

    def client_token(self, name, identity, *flags):
        self.choria("jwt", "client", f"{name}.jwt", identity, "issuer.seed", "--public-key", f"{name}.public", *flags, *YEAR)

    def copy(self, machine, folder, *names, group="root"):
        """Files of the office onto a machine, readable by one service."""
        for name in names:
            machine.put(f"{folder}/{name}", self.client.get(f"{OFFICE}/{name}"), mode=0o640, owner=f"root:{group}")

    def security(self, name, folder="/etc/choria"):
        return f"""\
            plugin.security.provider = choria
            plugin.security.choria.token_file = {folder}/{name}.jwt
            plugin.security.choria.seed_file = {folder}/{name}.seed
            plugin.security.issuer.names = choria
            plugin.security.issuer.choria.public = {self.issuer}
            """

    # Machines

    def set_up_broker(self):
        self.copy(self.broker, "/etc/choria", "broker.seed", "broker.jwt", group="choria-broker")
        self.broker.put("/etc/choria/broker.conf", dedent(f"""\
            identity = {self.broker.fqdn}
            plugin.choria.broker_network = true
            plugin.choria.network.stream.store = /var/lib/choria/broker/streams
            plugin.choria.network.provisioning.client_password = {self.broker_password}
            """, self.security("broker")), mode=0o640, owner="root:choria-broker")
        self.broker.run("systemctl", "enable", "--now", "choria-broker")

    def set_up_provisioner(self):
        folder = "/etc/choria-provisioner"
        self.copy(self.broker, folder, "signer.seed", "signer.jwt", "issuer.public", group="choria-provisioner")
        settings = self.broker.get(f"{folder}/choria-provisioner.yaml")
        settings = re.sub(r"(?m)^#token: .*", f"token: {self.provision_token}", settings)
        settings = re.sub(r"(?m)^#broker_provisioning_password: .*", f"broker_provisioning_password: {self.broker_password}", settings)
        self.broker.put(f"{folder}/choria-provisioner.yaml", settings, mode=0o640, owner="root:choria-provisioner")
        self.broker.put(f"{folder}/choria.cfg", dedent(f"""\
            identity = provisioner_signer
            plugin.choria.middleware_hosts = {self.broker.fqdn}:4222
            plugin.choria.use_srv = false
            """, self.security("signer", folder)), mode=0o640, owner="root:choria-provisioner")
        self.broker.put(f"{folder}/helper", self.helper(), mode=0o750, owner="root:choria-provisioner")
        self.broker.run("systemctl", "enable", "--now", "choria-provisioner")

    def helper(self):
        """What each node shall be: the program of the site that the provisioner asks."""
        answer = {"defer": False, "msg": "welcome", "server_claims": {"permissions": {"streams": True, "submission": True}}, "configuration": {
            "identity": "$identity", "loglevel": "info", "collectives": "choria", "plugin.choria.server.provision": "false",
            "plugin.choria.middleware_hosts": f"nats://{self.broker.fqdn}:4222", "plugin.choria.use_srv": "false",
            "plugin.yaml": "/etc/choria/facts.json", "plugin.choria.status_file_path": "/var/lib/choria/server-status.json",
            "rpcauthorization": "1", "rpcauthprovider": "aaasvc", "rpcaudit": "1", "plugin.rpcaudit.logfile": "/var/log/choria-audit.log",
            "plugin.choria.submission.allow": "* local.>, backup jobs.>",
            "plugin.security.provider": "choria", "plugin.security.issuer.names": "choria",
            "plugin.security.issuer.choria.public": self.issuer, "plugin.security.choria.token_file": "/etc/choria/server.jwt",
            "plugin.security.choria.seed_file": "/etc/choria/server.seed"}}
        return dedent("""\
            #!/bin/sh
            identity=$(sed -n 's/^{"identity":"\\([A-Za-z0-9._-]*\\)".*/\\1/p')
            cat <<END
            """) + json.dumps(answer, indent=2) + "\nEND\n"

    def set_up_aaasvc(self):
        names = ["aaasvc.crt", "aaasvc.key", "aaasvc.seed", "aaasvc.jwt", "aaasvc-issuer.seed", "aaasvc-issuer.jwt", "aaasvc-issuer.public",
                 "aaasvc-signer.seed", "aaasvc-signer.jwt"]
        self.copy(self.broker, "/etc/choria", *names, group="choria-aaasvc")
        self.broker.put("/etc/choria/aaasvc.conf", dedent(f"""\
            identity = aaa.{DOMAIN}
            plugin.choria.middleware_hosts = {self.broker.fqdn}:4222
            plugin.choria.use_srv = false
            """, self.security("aaasvc")), mode=0o640, owner="root:choria-aaasvc")
        settings = json.loads(self.broker.get("/usr/share/doc/choria-aaasvc/examples/aaasvc.json"))
        settings["port"] = 8080
        settings["userlist_authenticator"]["users"] = [
            {"username": name, "password": self.crypt(PASSWORD), "acls": ["*"], "broker_permissions": permissions}
            for name, permissions in PERMISSIONS.items()]
        self.broker.put("/etc/choria/aaasvc.json", json.dumps(settings, indent=2), mode=0o640, owner="root:choria-aaasvc")
        # The first login starts the service. It is enabled as well, as requests are signed through the broker: nothing comes to a
        # socket that could start it after a reboot.
        self.broker.run("systemctl", "enable", "choria-aaasvc.service")
        self.broker.run("systemctl", "enable", "--now", "choria-aaasvc.socket")

    def crypt(self, password):
        return self.broker.run("choria-aaasvc", "crypt", input=f"{password}\n").stdout.strip()

    def set_up_client(self):
        settings = self.client.get("/usr/share/doc/choria/examples/client.conf")
        settings = re.sub(r"(?m)^plugin.choria.middleware_hosts = .*", f"plugin.choria.middleware_hosts = {self.broker.fqdn}:4222", settings)
        settings = re.sub(r"(?m)^plugin.login.aaasvc.login.url = .*",
                          f"plugin.login.aaasvc.login.url = https://{self.broker.fqdn}:8080/choria/v1/login", settings)
        self.client.put("/etc/choria/client.conf", dedent(settings, f"""\
            plugin.security.issuer.names = choria
            plugin.security.issuer.choria.public = {self.issuer}
            collectives = choria
            """))
        for name in PERMISSIONS:
            self.client.add_user(name)

    def set_up_node(self, node):
        """A node gets one file; its facts are there already, from whatever manages its configuration."""
        node.put("/etc/choria/facts.json", json.dumps({"country": "mt", "os": {"family": "Debian"}}))
        self.copy(node, "/etc/choria", "provisioning.jwt")
        node.run("systemctl", "enable", "--now", "choria-server")

    # People

    def login(self, user="alice", check=True):
        return self.client.run("choria", "login", input=f"{user}\n{PASSWORD}\n", user=user, check=check)

    def ask(self, *words, user="alice", check=True):
        """A command of a logged-in user on the client's machine."""
        return self.client.run("choria", *words, user=user, check=check)

    def wait_for_nodes(self, count=1, deadline=120):
        """Waits until so many nodes answer; gives their names."""
        def names():
            found = self.ask("ping", "--names", "--timeout", "2", "--expect", str(count), check=False).stdout.split()
            return sorted(found) if len(found) == count else None

        try:
            return self.client.wait_for(names, deadline, f"{count} nodes answer")
        except Trouble as error:
            raise Trouble(f"{error}\nnode: {self.node.log_of('choria-server')[-3000:]}\n"
                          f"provisioner: {self.broker.log_of('choria-provisioner')[-2000:]}") from None


def dedent(*parts):
    return "".join(textwrap.dedent(part) for part in parts)
