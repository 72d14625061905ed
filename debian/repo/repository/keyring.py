"""The packages that bring the repository's keys: NAME-archive-keyring (deb) and NAME-release (rpm, with the .repo file)."""
import pathlib
import time

from . import build, snippets

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
The file for dnf that names the @TITLE@ repository (channel release enabled, channel
nightly there but disabled) and the keys that its packages and indexes are
signed with. Updates bring new keys before they are used.

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
Copyright: The Choria contributors
License: Apache-2.0
Comment:
 Public keys as such are facts; the license is that of the packaging.

License: Apache-2.0
 On Debian systems the text of the Apache License, version 2.0, is in
 /usr/share/common-licenses/Apache-2.0.
"""


def content(repository, keys):
    """What decides that the packages need a new number: keys and addresses."""
    name, url = repository.name, repository.url
    return keys.public(repository.keys, armor=True) + snippets.repo(name, url, "release").encode() + snippets.sources(name, url, "release").encode()


def packages(repository, keys, kinds, folder):
    """Builds the packages of these kinds into a folder; the same keys give the same bytes."""
    serial = repository.keyring_serial(content(repository, keys))
    epoch = keys.changed(repository.keys)
    made = []
    if "apt" in kinds:
        made.append(keyring_deb(repository, keys, serial, epoch, pathlib.Path(folder)))
    if "yum" in kinds:
        made.append(release_rpm(repository, keys, serial, epoch, pathlib.Path(folder)))
    return made


def readme(repository):
    """The text beside the keys."""
    return README.format(title=repository.name.capitalize(), url=repository.url, keys="".join(f"  {key}\n" for key in repository.keys))


def keyring_deb(repository, keys, serial, epoch, folder):
    """NAME-archive-keyring: the keyring where the .sources file expects it, and those files as examples."""
    name, package, version = repository.name, f"{repository.name}-archive-keyring", f"1.{serial}"
    doc = f"usr/share/doc/{package}"
    files = build.Files(epoch)
    files.add(f"usr/share/keyrings/{package}.gpg", keys.public(repository.keys))
    files.add(f"{doc}/README", readme(repository))
    for file, channel in ((f"{name}.sources", "release"), (f"{name}-nightly.sources", "nightly")):
        files.add(f"{doc}/examples/{file}", snippets.sources(name, repository.url, channel))
    files.add(f"{doc}/copyright", COPYRIGHT.format(name=name, url=repository.url))
    date = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(epoch))
    files.zipped(f"{doc}/changelog.gz", f"{package} ({version}) stable; urgency=medium\n\n"
                 + "".join(f"  * Key {key}\n" for key in repository.keys) + f"\n -- {MAINTAINER}  {date}\n")
    output = folder / f"{package}_{version}_all.deb"
    build.deb(files, {
        "Package": package, "Version": version, "Architecture": "all", "Maintainer": MAINTAINER, "Section": "misc", "Priority": "optional",
        "Multi-Arch": "foreign", "Homepage": HOMEPAGE,
        "Description": f"signing keys of the {name.capitalize()} package repository\n apt verifies the repository with these keys. Updates bring new keys before"
                       "\n they are used and take retired ones away.\n .\n The files for /etc/apt/sources.list.d are among the examples.",
    }, output)
    return output


def release_rpm(repository, keys, serial, epoch, folder):
    """NAME-release: the .repo file of both channels and the keys it names."""
    name = repository.name
    files = build.Files(epoch)
    key = f"etc/pki/rpm-gpg/RPM-GPG-KEY-{name}"
    files.add(f"etc/yum.repos.d/{name}.repo", snippets.repo(name, repository.url, "release", f"file:///{key}"))
    files.add(key, keys.public(repository.keys, armor=True))
    files.add(f"usr/share/doc/{name}-release/README", readme(repository))
    spec = SPEC
    for mark, value in {"@NAME@": name, "@TITLE@": name.capitalize(), "@SERIAL@": str(serial), "@HOMEPAGE@": HOMEPAGE,
                        "@MAINTAINER@": MAINTAINER, "@KEYS@": " ".join(repository.keys)}.items():
        spec = spec.replace(mark, value)
    output = folder / f"{name}-release-1.{serial}-1.noarch.rpm"
    build.rpm(files, spec, "noarch", output)
    return output
