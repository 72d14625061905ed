"""What users paste: deb822 sources, .repo files, and the page that explains them."""
import html
import pathlib

PAGE = pathlib.Path(__file__).with_name("index.html")


def sources(name, url, channel):
    """The .sources file of a channel; nightly includes release, the newer version wins."""
    suites = "release" if channel == "release" else "release nightly"
    return f"""\
# {name.capitalize()} packages, channel {channel}. Save as /etc/apt/sources.list.d/{name}.sources
# Where the distribution's own nats-server is older than 2.10 (apt-cache policy nats-server), say: Components: main nats-server
Types: deb
URIs: {url}/apt
Suites: {suites}
Components: main
Signed-By: /usr/share/keyrings/{name}-archive-keyring.gpg
"""


def repo(name, url, channel, key=None):
    """The .repo file; both channels are in it, nightly is on where `channel` says so."""
    key = key or f"{url}/RPM-GPG-KEY-{name}"
    parts = [f"# {name.capitalize()} packages, channel {channel}. Save as /etc/yum.repos.d/{name}.repo\n"]
    for one, section in (("release", name), ("nightly", f"{name}-nightly")):
        parts.append(f"""\
[{section}]
name={name.capitalize()} {one}
baseurl={url}/yum/{one}
enabled={1 if one == 'release' or channel == 'nightly' else 0}
gpgcheck=1
repo_gpgcheck=1
gpgkey={key}
""")
    return "\n".join(parts)


def page(name, url, fingerprints, channels):
    """index.html: what a user of each distribution types."""
    spaced = [" ".join(key[i:i + 4] for i in range(0, len(key), 4)) for key in fingerprints]
    values = {
        "@TITLE@": html.escape(name.capitalize()),
        "@NAME@": html.escape(name),
        "@URL@": html.escape(url),
        "@KEYS@": "\n".join(f"<li><code>{html.escape(key)}</code></li>" for key in spaced),
        "@SOURCES@": html.escape(sources(name, url, "release")),
        "@REPO@": html.escape(repo(name, url, "release")),
        "@CHANNELS@": html.escape(" and ".join(channels)),
    }
    text = PAGE.read_text(encoding="utf-8")
    for mark, value in values.items():
        text = text.replace(mark, value)
    return text
