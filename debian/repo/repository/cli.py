"""The command line of publish, apt and yum, and the order in which a publication happens."""
import argparse
import os
import pathlib
import signal
import sys
import tempfile

from . import apt, keyring, plan, snippets, yum
from .base import Refused, say, write_whole
from .gpg import Keys
from .state import CHANNELS, DEFAULT_URL, Repository

KINDS = {"apt": (apt.Channel, ".deb"), "yum": (yum.Channel, ".rpm")}


def main(kinds, text):
    """Runs a publication; `kinds` are those that this command may touch."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.umask(0o022)  # a web server of another user reads what is written
    args = arguments(kinds, text)
    try:
        publish(args, kinds)
    except Refused as error:
        sys.exit(f"{pathlib.Path(sys.argv[0]).name}: {error}")
    except OSError as error:
        sys.exit(f"{pathlib.Path(sys.argv[0]).name}: {error}; nothing is served that was not before, run this again when it is mended")
    except KeyboardInterrupt:
        sys.exit(130)


def arguments(kinds, text):
    """What the command line says."""
    parser = argparse.ArgumentParser(description=text, allow_abbrev=False)
    parser.add_argument("--output", required=True, metavar="DIR", help="the repository: made when it is not there, added to when it is")
    parser.add_argument("--channel", required=True, choices=CHANNELS)
    parser.add_argument("--key", required=True, metavar="FINGERPRINT", help="signs packages and indexes")
    parser.add_argument("--gnupghome", metavar="DIR", help="where gpg has the private key ($GNUPGHOME, ~/.gnupg)")
    parser.add_argument("--passphrase-file", metavar="FILE", help="passphrase of the key, for machines; people are asked by gpg's agent")
    parser.add_argument("--url", help="the address users fetch from, for the files they paste; remembered")
    parser.add_argument("--name", help="the brand, default choria; remembered")
    parser.add_argument("--allow", action="append", default=[], metavar="GLOB", help="also takes packages of this name; remembered")
    parser.add_argument("--add-key", action="append", default=[], metavar="FINGERPRINT", help="announces a key that will sign later")
    parser.add_argument("--retire-key", action="append", default=[], metavar="FINGERPRINT", help="takes a key out of the keyring")
    parser.add_argument("--keep", type=number(1, 10000), default=plan.NIGHTLY_KEEPS, metavar="N",
                        help="versions of each package that nightly keeps (default %(default)s); release keeps all")
    parser.add_argument("--valid-days", type=number(0, 3650), metavar="N",
                        help="apt's index expires after N days, 0 never (default release 60, nightly 14)")
    parser.add_argument("--dry-run", action="store_true", help="checks everything and says what would happen")
    parser.add_argument("packages", nargs="*", metavar="PACKAGE", help=" or ".join(KINDS[kind][1] for kind in kinds) + " files; none: only renews the signatures")
    return parser.parse_args()


def number(least, most):
    """A type for argparse: a whole number in a range."""
    def parse(text):
        if not text.isdigit() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text} is no number from {least} to {most}")
        return int(text)
    return parse


def publish(args, kinds):
    """Checks everything, prepares everything, then switches over."""
    keys = Keys(args.gnupghome, args.passphrase_file)
    key = keys.fingerprint(args.key)
    if args.dry_run:
        return prepare(Repository(args.output), args, kinds, keys, key)
    pathlib.Path(args.output).mkdir(parents=True, exist_ok=True)
    with Repository(args.output).locked() as repository:
        prepare(Repository(repository.folder), args, kinds, keys, key)


def prepare(repository, args, kinds, keys, key):
    """One publication, under the lock."""
    trusted = list(repository.keys)
    repository.configure(args.name, args.url, args.allow)
    if repository.url == DEFAULT_URL:
        say(f"no --url was given yet: the files that users paste name {DEFAULT_URL}")
    repository.admit_key(key, [keys.fingerprint(one) for one in args.add_key], args.retire_key)
    given = split(args.packages, kinds)
    channels = [KINDS[kind][0](repository, args.channel, keys) for kind in kinds if given[kind] or is_there(repository, kind, args.channel)]
    if not channels:
        raise Refused(f"no packages were given, and {repository.folder} has no channel {args.channel} whose signatures could be renewed; name .deb or .rpm files")
    check_retirement(repository, args, keys)
    with tempfile.TemporaryDirectory() as folder:
        keyrings = keyring.packages(repository, keys, [channel.kind for channel in channels], folder)
        for path in keyrings:
            given["apt" if path.suffix == ".deb" else "yum"].append(path)
        jobs = [(channel, *decide(channel, given[channel.kind], trusted, args)) for channel in channels]
        for channel, _, decided in jobs:
            report(channel, decided)
        if args.dry_run:
            say("dry run: nothing was written")
            return
        try:
            for channel, _, decided in jobs:
                say(f"{channel.kind} {channel.name}: writing and signing {len(decided.all)} packages' index")
                channel.stage(decided, key, apt.VALID_DAYS[channel.name] if args.valid_days is None else args.valid_days)
            repository.save()
            keyring.keep(repository, keyrings)
            pages(repository, keys, args.channel)
            for channel, existing, decided in jobs:
                channel.commit({package.place for package in [*existing, *decided.all]})
            repository.settings["published"] = sorted({*repository.settings["published"], *(f"{channel.kind}/{channel.name}" for channel in channels)})
            repository.save()
        except BaseException:
            for channel, _, _ in jobs:
                if not channel.committed:
                    channel.abandon()
            raise
    print(f"published {repository.folder} channel {args.channel}: "
          + ", ".join(f"{channel.kind} {len(decided.all)} packages ({len(decided.new)} new, {len(decided.leave)} removed)" for channel, _, decided in jobs))


def split(paths, kinds):
    """The files by kind of repository."""
    given = {kind: [] for kind in KINDS}
    for path in map(pathlib.Path, paths):
        kind = next((kind for kind in kinds if path.name.endswith(KINDS[kind][1])), None)
        if kind is None:
            raise Refused(f"{path} is no {' or '.join(KINDS[kind][1] for kind in kinds)} file; name packages only")
        if not path.is_file():
            raise Refused(f"{path} does not exist; name the files that the package build wrote")
        given[kind].append(path)
    return given


def is_there(repository, kind, channel):
    """Whether the channel was published before."""
    return f"{kind}/{channel}" in repository.settings["published"] or KINDS[kind][0].link_of(repository, channel).is_symlink()


def decide(channel, paths, trusted, args):
    """What is there and what this publication makes of it."""
    say(f"{channel.kind} {channel.name}: checking what is published, and {len(paths)} packages")
    existing = channel.existing(trusted)
    offered = [channel.read(path) for path in paths]
    plan.check_names(offered, channel.repository.name, channel.repository.settings["allow"])
    releases = []
    if channel.name == "nightly":
        release = type(channel)(channel.repository, "release", channel.keys)
        releases = release.existing(trusted, files=False)
    plan.check_channel(offered, channel.name, releases, channel.compare)
    return existing, plan.make(existing, offered, channel.name, args.keep, channel.compare)


def check_retirement(repository, args, keys):
    """A key may go only when no other channel is still signed by it alone."""
    if not args.retire_key:
        return
    for kind, (channel, _) in KINDS.items():
        for name in CHANNELS:
            if name == args.channel or not is_there(repository, kind, name):
                continue
            try:
                channel(repository, name, keys).existing(repository.keys, files=False)
            except Refused as error:
                raise Refused(f"--retire-key: {kind} channel {name} is still signed by it ({error}); publish {name} with --key of the successor first")


def report(channel, decided):
    """What will happen, one line each."""
    for sign, packages in (("+", decided.new), ("=", decided.same), ("-", decided.leave)):
        for package in packages:
            print(f"{channel.kind} {channel.name} {sign} {package.title}")


def pages(repository, keys, published):
    """The files in the top folder."""
    name, url = repository.name, repository.url
    channels = [channel for channel in CHANNELS if channel == published or any(is_there(repository, kind, channel) for kind in KINDS)]
    armored = keys.public(repository.keys, armor=True)
    for file, content in {
        f"{name}-archive-keyring.gpg": keys.public(repository.keys),
        f"RPM-GPG-KEY-{name}": armored,
        f"{name}.sources": snippets.sources(name, url, "release"),
        f"{name}-nightly.sources": snippets.sources(name, url, "nightly"),
        f"{name}.repo": snippets.repo(name, url, "release"),
        f"{name}-nightly.repo": snippets.repo(name, url, "nightly"),
        "index.html": snippets.page(name, url, repository.keys, channels),
    }.items():
        write_whole(repository.folder / file, content)
