"""The signing keys. Private keys stay with gpg: no key and no passphrase is ever an argument or in a message."""
import os
import pathlib
import re
import shutil
import stat
import tempfile

from .base import Refused, need, run


class Keys:
    """Signs with one key and verifies with all keys that the repository knows."""

    def __init__(self, home=None, passphrase_file=None):
        need("gpg", "gpgv")
        self.home = checked_home(home)
        self.passphrase_file = checked_secret(passphrase_file) if passphrase_file else None

    def gpg(self, *arguments, stdin=None, what=None):
        """Runs gpg on the home folder."""
        return run("gpg", "--homedir", self.home, "--batch", "--no-tty", *arguments, stdin=stdin, what=what)

    def fingerprint(self, wanted):
        """The full fingerprint of a secret key that can sign now, or a refusal."""
        listing = self._listing(wanted, secret=True)
        if not listing:
            raise Refused(f"no private key {wanted} in {self.home}; name one that is there (gpg --list-secret-keys) or make one with debian/repo/key")
        key, validity, capabilities = listing
        if validity in "edri":
            state = {"e": "has expired", "d": "is disabled", "r": "was revoked", "i": "is not valid"}[validity]
            raise Refused(f"key {key} {state}; extend it (gpg --quick-set-expire) or use another one, see debian/repo/README.md")
        if "S" not in capabilities:
            raise Refused(f"key {key} cannot sign; use a key made for signing (debian/repo/key)")
        return key

    def _listing(self, wanted, secret=False):
        if not re.fullmatch(r"(0x)?[0-9A-Fa-f]{16,40}", wanted):
            raise Refused(f"{wanted} is no fingerprint; name a key by its 40 hexadecimal digits (gpg --list-secret-keys)")
        try:
            text = self.gpg("--with-colons", "--list-secret-keys" if secret else "--list-keys", wanted).decode()
        except Refused:
            return None
        rows = [line.split(":") for line in text.splitlines()]
        first = next((row for row in rows if row[0] in ("sec", "pub")), None)
        key = next((row[9] for row in rows if row[0] == "fpr"), None)
        return (key, first[1], first[11]) if first and key else None

    def public(self, fingerprints, armor=False):
        """The public keys, each as small as it can be, in the order given."""
        parts = []
        for key in fingerprints:
            options = ["--armor"] if armor else []
            part = self.gpg(*options, "--no-emit-version", "--export-options", "export-minimal", "--export", key)
            if not part:
                raise Refused(f"the public key {key} is not in {self.home}; import it (gpg --import) or retire it with --retire-key {key}")
            parts.append(part)
        return b"".join(parts)

    def changed(self, fingerprints):
        """When the newest of these keys was last changed (made, or its expiry extended), in seconds."""
        text = self.gpg("--with-colons", "--list-sigs", *fingerprints).decode()
        times = [row[5] for row in (line.split(":") for line in text.splitlines()) if row[0] == "sig" and row[5].isdigit()]
        if not times:
            raise Refused(f"no signature on the keys {' '.join(fingerprints)}; is {self.home} complete?")
        return max(map(int, times))

    def _secret_options(self):
        if not self.passphrase_file:
            return []
        return ["--pinentry-mode", "loopback", "--passphrase-file", str(self.passphrase_file)]

    def sign(self, key, data, clear=False):
        """An armored detached signature of `data`, or the clear-signed text."""
        form = "--clearsign" if clear else "--detach-sign"
        return self.gpg(*self._secret_options(), "--armor", "--no-emit-version", "--digest-algo", "SHA512",
                        "--local-user", f"{key}!", form, stdin=data, what=f"signing with {key}")

    def rpm_options(self, key):
        """What makes rpmsign use this key and home."""
        extra = " ".join(["--batch", "--no-tty", *self._secret_options()])
        return ["--define", f"__gpg {shutil.which('gpg')}", "--define", f"_gpg_path {self.home}", "--define", f"_gpg_name {key}",
                "--define", "_gpg_digest_algo sha256", "--define", f"_gpg_sign_cmd_extra_args {extra}"]

    def verify(self, fingerprints, signed, detached=None):
        """What a clear-signed text says, or a refusal when none of the keys signed it; `detached`: signature of `signed`."""
        with tempfile.TemporaryDirectory() as folder:
            ring = pathlib.Path(folder, "ring.gpg")
            ring.write_bytes(self.public(fingerprints))
            out = pathlib.Path(folder, "text")
            if detached:
                run("gpgv", "--keyring", ring, detached, signed, what=f"verifying {signed}")
                return pathlib.Path(signed).read_bytes()
            run("gpgv", "--keyring", ring, "--output", out, signed, what=f"verifying {signed}")
            return out.read_bytes()


def checked_home(home):
    """The folder of gpg's keys: ours, and closed to all others."""
    path = pathlib.Path(home or os.environ.get("GNUPGHOME") or pathlib.Path.home() / ".gnupg").absolute()
    if not path.is_dir():
        raise Refused(f"GNUPGHOME {path} does not exist; name the folder of the signing key with --gnupghome, or make a key with debian/repo/key")
    if re.search(r"[\s%()\\\"']", str(path)):
        raise Refused(f"GNUPGHOME {path} has characters that rpm's macros take apart; use a path of letters, digits, . _ and -")
    found = path.stat()
    if found.st_uid != os.geteuid():
        raise Refused(f"GNUPGHOME {path} belongs to user {found.st_uid}, not to {os.geteuid()} who signs; run as its owner")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise Refused(f"GNUPGHOME {path} has mode {stat.S_IMODE(found.st_mode):04o} and others could reach the private key; chmod 0700 {path}")
    return path


def checked_secret(name):
    """A file with a passphrase that only its owner can read."""
    path = pathlib.Path(name).absolute()
    if not path.is_file():
        raise Refused(f"{path} with the passphrase does not exist; write it there, mode 0600")
    if path.stat().st_mode & 0o077:
        raise Refused(f"{path} holds a passphrase and has mode {stat.S_IMODE(path.stat().st_mode):04o}; chmod 0600 {path}")
    if re.search(r"[\s%()\\\"']", str(path)):
        raise Refused(f"{path} has characters that rpm's macros take apart; use a path of letters, digits, . _ and -")
    return path
