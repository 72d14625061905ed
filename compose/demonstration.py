"""The demonstration network: servers that have nothing but a provisioning token, a provisioner that makes them a fleet,
an AAA service that logs people in and signs what they ask, and a broker between them."""
import json
import os
import secrets
import shutil
import subprocess
import textwrap

from network import ROOT, Network, Trouble, free_port, say

USERS = ("choria", "admin", "streams")
PASSWORD = "secret"
# Who is who: `choria` drives the fleet, `admin` may do everything, `streams` administers streams only.
PERMISSIONS = {
    "choria": {"signed_fleet_management": True, "events_viewer": True},
    "admin": {"org_admin": True, "system_user": True, "signed_fleet_management": True},
    "streams": {"streams_admin": True},
}
POLICIES = {
    "choria": 'package io.choria.aaasvc\n\ndefault allow = false\n\nallow {\n  input.agent != "choria_provision"\n}\n',
    "admin": "package io.choria.aaasvc\n\ndefault allow = true\n",
}


class Demonstration(Network):
    """A network whose servers provision themselves and whose users log in."""

    def __init__(self, folder, programs, servers):
        super().__init__(folder, programs, servers)
        self.aaa_port = free_port()
        self.provision_token = secrets.token_hex(16)
        self.broker_password = secrets.token_hex(16)
        self.broker_extra = f"plugin.choria.network.provisioning.client_password = {self.broker_password}"

    def make_credentials(self):
        """All keys, tokens, policies and configuration files, made with the command line as an administrator would."""
        say(f"making throwaway credentials in {self.folder}")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        self.issuer = self.keys("issuer")
        self.broker_files()
        self.provisioner_files()
        self.aaa_files()
        for user in USERS:
            self.user_files(user)
        self.become("choria")

    def start(self):
        """Starts everything; the servers come first, as machines do that wait for their network."""
        self.start_broker()
        say(f"starting {len(self.identities)} servers that have nothing but provisioning.jwt")
        for identity in self.identities:
            self.start_server(identity)
        say("starting the AAA service and the provisioner")
        self.daemon("aaasvc", self.programs / "choria-aaasvc", "run", "--config", "aaa.json")
        self.daemon("provisioner", self.programs / "choria-provisioner", "run", "--config", "provisioner.yaml",
                    "--choria-config", "provisioner.cfg")
        self.login("choria")
        self.wait_for(len(self.identities), 60)
        # Takes messages of all users of the first node; those of the others are handed in by the owner of their spool.
        self.daemon("submit", self.programs / "choria-submit", "--config", self.folder / self.identities[0] / "server.conf")

    def start_server(self, identity):
        folder = self.folder / identity
        folder.mkdir(exist_ok=True)
        shutil.copy(self.folder / "provisioning.jwt", folder / "provisioning.jwt")
        self.daemon(identity, *self.server_command, "--config", folder / "server.conf", "--identity", identity)

    def become(self, user):
        """What follows is asked by `user`."""
        self.environment["CHORIA_CONFIG"] = str(self.folder / f"users/{user}.conf")
        self.environment["USER"] = user

    def login(self, user, password=PASSWORD):
        """Logs a user in, trying again while the AAA service starts."""
        self.become(user)
        for _ in range(50):
            done = self.try_login(user, password)
            if done.returncode == 0:
                return
            if "Login failed" in done.stderr:
                break
        raise Trouble(f"{user} cannot log in: {done.stderr.strip()}")

    def try_login(self, user, password):
        return subprocess.run([self.programs / "choria", "login"], cwd=self.folder, env=self.environment,
                              input=f"{user}\n{password}\n", capture_output=True, text=True, timeout=60)

    def broker_files(self):
        self.server_token("broker.demo.example.net", "broker")
        self.write("broker.conf", f"""
            identity = broker.demo.example.net
            plugin.choria.broker_network = true
            plugin.choria.network.listen_address = 127.0.0.1
            plugin.choria.network.client_port = {self.port}
            plugin.choria.network.stream.store = {self.folder / "streams"}
            loglevel = warn
            """, self.security("broker"), self.broker_extra)

    def provisioner_files(self):
        public = self.keys("signer")
        self.choria("jwt", "client", "signer.jwt", "provisioner_signer", "issuer.seed", "--public-key", public,
                    "--issuer", "--server-provisioner", "--stream-user", "--elections-user", "--validity", "365d")
        self.choria("jwt", "provisioning", "provisioning.jwt", "issuer.seed", "--token", self.provision_token,
                    "--urls", f"nats://127.0.0.1:{self.port}", "--default", "--protocol-v2", "--insecure", "--update",
                    "--validity", "30d")
        self.write("provisioner.cfg", f"""
            identity = provisioner_signer
            plugin.security.provider = choria
            plugin.security.choria.token_file = {self.folder}/signer.jwt
            plugin.security.choria.seed_file = {self.folder}/signer.seed
            plugin.choria.middleware_hosts = 127.0.0.1:{self.port}
            plugin.choria.use_srv = false
            """)
        (self.folder / "provisioner.yaml").write_text(textwrap.dedent(f"""\
            workers: 4
            interval: 1m
            logfile: stderr
            loglevel: warn
            helper: {self.folder}/helper
            token: {self.provision_token}
            site: demo
            broker_provisioning_password: {self.broker_password}
            jwt_verify_cert: {self.issuer}
            jwt_signing_key: {self.folder}/signer.seed
            jwt_signing_token: {self.folder}/signer.jwt
            features:
              jwt: true
              ed25519: true
            """))
        (self.folder / "provisioner.yaml").chmod(0o600)
        helper = (ROOT / "compose/helper").read_text()
        helper = helper.replace("@FOLDER@", str(self.folder)).replace("@ISSUER@", self.issuer)
        (self.folder / "helper").write_text(helper.replace("@BROKER@", f"nats://127.0.0.1:{self.port}"))
        (self.folder / "helper").chmod(0o700)

    def aaa_files(self):
        public = self.keys("chain")
        self.choria("jwt", "client", "chain.jwt", "aaa_chain_delegator", "issuer.seed", "--public-key", public,
                    "--issuer", "--no-fleet-management", "--validity", "365d")
        public = self.keys("request-signer")
        self.choria("jwt", "client", "request-signer.jwt", "aaa_request_signer", "issuer.seed", "--public-key", public,
                    "--no-fleet-management", "--auth-delegation", "--validity", "365d")
        public = self.keys("signer-service")
        self.choria("jwt", "server", "signer-service.jwt", "aaa.demo.example.net", public, "issuer.seed",
                    "--org", "choria", "--collectives", "choria", "--service", "--validity", "365d")
        self.certificate("aaa")
        self.write("aaa.conf", f"""
            identity = aaa.demo.example.net
            plugin.security.provider = choria
            plugin.security.choria.token_file = {self.folder}/signer-service.jwt
            plugin.security.choria.seed_file = {self.folder}/signer-service.seed
            plugin.choria.middleware_hosts = 127.0.0.1:{self.port}
            plugin.choria.use_srv = false
            """)
        for name, policy in POLICIES.items():
            (self.folder / f"{name}.rego").write_text(policy)
        folder = str(self.folder)
        document = {
            "choria_config": f"{folder}/aaa.conf", "logfile": "/dev/stderr", "loglevel": "warn", "site": "demo",
            "authenticator": "userlist", "authorizer": "opa", "signer": "basicjwt", "port": self.aaa_port,
            "tls_certificate": f"{folder}/aaa.crt", "tls_key": f"{folder}/aaa.key",
            "auditors": ["logfile"], "logfile_auditor": {"logfile": f"{folder}/signer_audit.json"},
            "basicjwt_signer": {
                "signing_certificate": f"{folder}/chain.public", "signing_token": f"{folder}/request-signer.jwt",
                "signing_seed": f"{folder}/request-signer.seed", "max_validity": "2h", "choria_service": True},
            "userlist_authenticator": {
                "signing_key": f"{folder}/chain.seed", "signing_token": f"{folder}/chain.jwt", "validity": "1h",
                "users": [self.user(name) for name in USERS]}}
        (self.folder / "aaa.json").write_text(json.dumps(document, indent=2) + "\n")
        (self.folder / "aaa.json").chmod(0o600)

    def user(self, name):
        user = {"username": name, "password": self.crypt(PASSWORD), "broker_permissions": PERMISSIONS[name]}
        if name in POLICIES:
            user["opa_policy_file"] = f"{self.folder}/{name}.rego"
        return user

    def crypt(self, password):
        done = subprocess.run([self.programs / "choria-aaasvc", "crypt"], input=f"{password}\n", capture_output=True,
                              text=True, timeout=60)
        if done.returncode:
            raise Trouble(f"choria-aaasvc crypt exited {done.returncode}: {done.stderr.strip()}")
        return done.stdout.strip()

    def certificate(self, name):
        """A self-signed certificate for 127.0.0.1."""
        if not shutil.which("openssl"):
            raise Trouble("openssl was not found, which makes the AAA service's certificate (Debian: apt install openssl)")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-days", "30", "-subj", "/CN=aaa.demo.example.net", "-addext", "subjectAltName=IP:127.0.0.1",
                        "-keyout", f"{name}.key", "-out", f"{name}.crt"], cwd=self.folder, check=True, capture_output=True)
        os.chmod(self.folder / f"{name}.key", 0o600)

    def user_files(self, user):
        # In a folder of their own: a file called choria.conf in the working directory counts for every program.
        (self.folder / "users").mkdir(exist_ok=True)
        self.write(f"users/{user}.conf", f"""
            loglevel = warn
            plugin.choria.middleware_hosts = 127.0.0.1:{self.port}
            plugin.choria.use_srv = false
            plugin.choria.security.request_signer.service = true
            plugin.login.aaasvc.login.url = https://127.0.0.1:{self.aaa_port}/choria/v1/login
            plugin.security.provider = choria
            plugin.security.choria.token_file = {self.folder}/users/{user}/client.jwt
            plugin.security.choria.seed_file = {self.folder}/users/{user}/client.key
            """)
