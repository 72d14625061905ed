"""What a publication would do to a channel: pure decisions on names, versions and hashes."""
import dataclasses
import fnmatch
import functools
import pathlib
import re

from .base import Refused, run

# A nightly channel keeps this many versions of each package for each architecture; a release channel keeps all.
NIGHTLY_KEEPS = 10
# Packages of others that we carry for distributions that lack them: a component of their own in apt.
THIRD_PARTY = {"nats-server"}
# Names a repository takes; {name} is its own. Everything else could replace a package of the distribution.
NAMES = ("{name}", "{name}-*", "lib{name}*", "python3-{name}", "python3-{name}-*", "ruby-{name}", "ruby-{name}-*", "nats-server")


@dataclasses.dataclass(frozen=True)
class Package:
    """One package: what it says about itself, where it is published, and the hash that tells its contents."""

    name: str
    version: str
    arch: str
    place: str
    digest: str
    source: pathlib.Path | None = None
    signed: bool = False
    sha256: str = ""

    @property
    def title(self):
        return f"{self.name} {self.version} {self.arch}"


@dataclasses.dataclass
class Plan:
    """New packages, those that are there already, and those that leave."""

    new: list
    same: list
    stay: list
    leave: list

    @property
    def all(self):
        return sorted(self.stay + self.new, key=lambda package: package.place)


def make(existing, offered, channel, keep, compare):
    """Decides what becomes of the packages offered to a channel that has `existing`."""
    by_place = {package.place: package for package in existing}
    new, same = {}, []
    for package in offered:
        there = by_place.get(package.place) or new.get(package.place)
        if there is None:
            new[package.place] = package
        elif there.digest == package.digest:
            same.append(package)
        else:
            raise Refused(f"{package.source}: {package.title} is already in {channel} with other contents (published {there.digest}, "
                          f"offered {package.digest}); a version that was published never changes: raise its version or revision")
    wanted = list(by_place.values()) + list(new.values())
    leave = [] if channel == "release" else surplus(wanted, keep, compare)
    gone = {package.place for package in leave}
    return Plan(
        new=[package for place, package in new.items() if place not in gone],
        same=same,
        stay=[package for place, package in by_place.items() if place not in gone],
        leave=leave,
    )


def surplus(packages, keep, compare):
    """All but the newest `keep` versions of each package and architecture."""
    groups = {}
    for package in packages:
        groups.setdefault((package.name, package.arch), []).append(package)
    order = functools.cmp_to_key(lambda one, other: compare(one.version, other.version))
    return [package for group in groups.values() if len(group) > keep
            for package in sorted(group, key=order, reverse=True)[keep:]]


def check_names(offered, name, allow):
    """Refuses packages that are none of this repository's."""
    globs = [glob.format(name=name) for glob in NAMES] + list(allow)
    for package in offered:
        if not any(fnmatch.fnmatchcase(package.name, glob) for glob in globs):
            raise Refused(f"{package.source}: package {package.name} is foreign to this repository ({', '.join(globs)}) and could replace "
                          f"one of the distribution; if it belongs here, say --allow {package.name}")


def check_channel(offered, channel, releases, compare):
    """Refuses nightlies in release, and nightlies that a release would replace."""
    for package in offered:
        nightly = "~nightly" in package.version
        if channel == "release" and nightly:
            raise Refused(f"{package.source}: {package.version} is a nightly version; build it with --channel release, or publish to nightly")
        if channel != "nightly" or not nightly:
            continue
        newer = [one for one in releases if one.name == package.name and compare(one.version, package.version) > 0]
        if newer:
            raise Refused(f"{package.source}: the nightly {package.version} is older than the release {newer[0].version}, nobody would get it; "
                          "raise the version in Cargo.toml to that of the next release")


def compare_deb(one, other):
    """-1, 0, 1 as dpkg orders two versions."""
    return _compare("dpkg", one, other)


def compare_rpm(one, other):
    """-1, 0, 1 as rpm orders two epoch:version-release."""
    return _compare("rpm", one, other)


@functools.lru_cache(maxsize=65536)
def _compare(kind, one, other):
    for version in (one, other):
        if not re.fullmatch(r"[0-9A-Za-z.+~^:_-]+", version):
            raise Refused(f"{version} is no version of a package")
    if one == other:
        return 0
    if kind == "rpm":
        return int(run("rpm", "--eval", f'%{{lua:print(rpm.vercmp("{one}", "{other}"))}}').strip())
    for operator, result in (("lt", -1), ("gt", 1)):
        try:
            run("dpkg", "--compare-versions", one, operator, other)
            return result
        except Refused:
            continue
    return 0
