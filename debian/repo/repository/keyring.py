"""The packages that bring the repository's keys: NAME-archive-keyring (deb) and NAME-release (rpm, with the .repo file)."""
import pathlib
import time

from . import build, snippets
from .base import copy_whole

MAINTAINER = "The Choria project for Linux distributions <linux@choria.io>"
HOMEPAGE = "https://github.com/choria-io/choria-linux"
SPEC = """\
Name: @NAME@-release
Version: 1.@SERIAL@
Release: 1
Summary: @TITLE@ package repository and its signing keys
License: Apache-2.0
URL: @HOMEPAGE@
BuildArch: noarch

%description
The file for dnf that names the @TITLE@ repository and the keys that its
packages and indexes are signed with. The channel release is enabled, nightly
is there but disabled. Updates bring new keys before they are used.

%install
cp -a @FILES@/. %{buildroot}/

%files
%config(noreplace) /etc/yum.repos.d/@NAME@.repo
/etc/pki/rpm-gpg/RPM-GPG-KEY-@NAME@
%doc %{_docdir}/@NAME@-release/README

%changelog
* @DATE@ @MAINTAINER@ - 1.@SERIAL@-1
- Keys @KEYS@
"""
README = """\
The keys that the {title} package repository at {url} is signed with:
{keys}
Rotation: a new key comes with an update of this package long before it signs anything; an update after that takes the former key away.
"""
COPYRIGHT = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: {name}-archive-keyring
Source: {url}

Files: *
Copyright: 2026 The Choria contributors
License: Apache-2.0
Comment:
 Public keys as such are facts; the license is that of the packaging.

License: Apache-2.0
 On Debian systems the text of the Apache License, version 2.0, is in
 /usr/share/common-licenses/Apache-2.0.
"""


def content(repository, keys):
    """What decides that the packages need a new number: keys, addresses and texts."""
    name, url = repository.name, repository.url
    texts = snippets.repo(name, url, "release") + snippets.sources(name, url, "release") + SPEC + README + COPYRIGHT
    return keys.public(repository.keys, armor=True) + texts.encode()


def packages(repository, keys, kinds, folder):
    """The packages of these kinds: those that were kept when they were made, else new ones in `folder`.

    They are not made again for each publication: another version of dpkg or rpm would give one number two contents.
    """
    serial = repository.keyring_serial(content(repository, keys))
    made = []
    for kind, make in (("apt", keyring_deb), ("yum", release_rpm)):
        if kind in kinds:
            path = make(repository, keys, serial, None)
            made.append(path if path.is_file() else make(repository, keys, serial, pathlib.Path(folder)))
    return made


def keep(repository, paths):
    """Keeps packages that were published, for the other channel and the next publication."""
    for path in paths:
        if path.parent != repository.keyrings:
            copy_whole(path, repository.keyrings / path.name)


def readme(repository):
    """The text beside the keys."""
    return README.format(title=repository.name.capitalize(), url=repository.url, keys="".join(f"  {key}\n" for key in repository.keys))


def keyring_deb(repository, keys, serial, folder):
    """NAME-archive-keyring: the keyring where the .sources file expects it, and those files as examples. No folder: where it is kept."""
    name, package, version = repository.name, f"{repository.name}-archive-keyring", f"1.{serial}"
    output = (folder or repository.keyrings) / f"{package}_{version}_all.deb"
    if not folder:
        return output
    epoch = keys.changed(repository.keys)
    doc = f"usr/share/doc/{package}"
    files = build.Files(epoch)
    files.add(f"usr/share/keyrings/{package}.gpg", keys.public(repository.keys))
    files.add(f"{doc}/README", readme(repository))
    for file, channel in ((f"{name}.sources", "release"), (f"{name}-nightly.sources", "nightly")):
        files.add(f"{doc}/examples/{file}", snippets.sources(name, repository.url, channel))
    files.add(f"{doc}/copyright", COPYRIGHT.format(name=name, url=repository.url))
    files.add(f"usr/share/lintian/overrides/{package}", "# apt of Debian 11 and Ubuntu 22.04 knows keyrings by .gpg only.\n"
              f"{package}: openpgp-file-has-implementation-specific-extension [usr/share/keyrings/{package}.gpg]\n")
    date = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(epoch))
    files.zipped(f"{doc}/changelog.gz", f"{package} ({version}) stable; urgency=medium\n\n"
                 + "".join(f"  * Key {key}\n" for key in repository.keys) + f"\n -- {MAINTAINER}  {date}\n")
    build.deb(files, {
        "Package": package, "Version": version, "Architecture": "all", "Maintainer": MAINTAINER, "Section": "misc", "Priority": "optional",
        "Multi-Arch": "foreign", "Homepage": HOMEPAGE,
        "Description": f"signing keys of the {name.capitalize()} package repository\n apt verifies the repository with these keys. Updates bring new keys before"
                       "\n they are used and take retired ones away.\n .\n The files for /etc/apt/sources.list.d are among the examples.",
    }, output)
    return output


def release_rpm(repository, keys, serial, folder):
    """NAME-release: the .repo file of both channels and the keys it names. No folder: where it is kept."""
    name = repository.name
    output = (folder or repository.keyrings) / f"{name}-release-1.{serial}-1.noarch.rpm"
    if not folder:
        return output
    files = build.Files(keys.changed(repository.keys))
    key = f"etc/pki/rpm-gpg/RPM-GPG-KEY-{name}"
    files.add(f"etc/yum.repos.d/{name}.repo", snippets.repo(name, repository.url, "release", f"file:///{key}"))
    files.add(key, keys.public(repository.keys, armor=True))
    files.add(f"usr/share/doc/{name}-release/README", readme(repository))
    spec = SPEC
    for mark, value in {"@NAME@": name, "@TITLE@": name.capitalize(), "@SERIAL@": str(serial), "@HOMEPAGE@": HOMEPAGE,
                        "@MAINTAINER@": MAINTAINER, "@KEYS@": " ".join(repository.keys)}.items():
        spec = spec.replace(mark, value)
    build.rpm(files, spec, "noarch", output)
    return output
