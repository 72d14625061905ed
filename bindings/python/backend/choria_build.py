"""Builds this package's wheel and source package (PEP 517), with nothing but Python itself.

Distributions and machines without an index can build it, and a wheel with the library inside needs no compiler.
"""

import base64
import gzip
import hashlib
import io
import os
import pathlib
import re
import tarfile
import time
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIBRARY = "libchoria.so.1"
NAME = "choria"
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "backend", "src", "examples", "build-wheel")


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """A wheel; with the settings `library` (a file) and `platform` (a tag) one that carries the library."""
    settings = config_settings or {}
    library, platform = settings.get("library"), settings.get("platform", "any")
    files = {f"{NAME}/{path.relative_to(ROOT / 'src' / NAME)}": path.read_bytes() for path in modules()}
    if library:
        files[f"{NAME}/{LIBRARY}"] = pathlib.Path(library).read_bytes()
    information = f"{NAME}-{version()}.dist-info"
    files[f"{information}/METADATA"] = metadata()
    files[f"{information}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: choria_build\nRoot-Is-Purelib: {'false' if library else 'true'}\nTag: py3-none-{platform}\n"
    ).encode()
    if licence():
        files[f"{information}/licenses/LICENSE"] = licence().read_bytes()
    record = [f"{name},sha256={digest(data)},{len(data)}" for name, data in sorted(files.items())]
    files[f"{information}/RECORD"] = ("\n".join([*record, f"{information}/RECORD,,"]) + "\n").encode()
    wheel = f"{NAME}-{version()}-py3-none-{platform}.whl"
    with zipfile.ZipFile(pathlib.Path(wheel_directory) / wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(files.items(), key=lambda entry: (".dist-info" in entry[0], entry[0])):
            entry = zipfile.ZipInfo(name, time.gmtime(moment())[:6])
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o100755 if name.endswith(LIBRARY) else 0o100644) << 16
            archive.writestr(entry, data)
    return wheel


def build_sdist(sdist_directory, config_settings=None):
    """The sources, from which `build_wheel` makes a wheel that uses the system's library."""
    prefix = f"{NAME}-{version()}"
    files = {f"{prefix}/PKG-INFO": (metadata(), 0o644)}
    for name in SOURCES:
        for path in sorted([ROOT / name] if (ROOT / name).is_file() else (ROOT / name).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                files[f"{prefix}/{path.relative_to(ROOT)}"] = (path.read_bytes(), path.stat().st_mode & 0o755)
    if licence():
        files[f"{prefix}/LICENSE"] = (licence().read_bytes(), 0o644)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, (data, mode) in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime = len(data), mode, moment()
            archive.addfile(entry, io.BytesIO(data))
    source = f"{prefix}.tar.gz"
    with open(pathlib.Path(sdist_directory) / source, "wb") as file:
        with gzip.GzipFile(source, "wb", fileobj=file, mtime=moment()) as archive:
            archive.write(packed.getvalue())
    return source


def modules():
    """The package's files, without what was built into the folder."""
    files = (ROOT / "src" / NAME).rglob("*")
    return sorted(path for path in files if path.suffix == ".py" or path.name == "py.typed")


def version():
    return field("version")


def field(name):
    """A text of pyproject.toml's [project]; Python before 3.11 has no reader for the whole format."""
    return re.search(rf'^{name} = "([^"]*)"', (ROOT / "pyproject.toml").read_text(), re.M).group(1)


def licence():
    """The licence: beside this package in a source package, at the top of the repository otherwise."""
    return next((path for path in (ROOT / "LICENSE", ROOT.parent.parent / "LICENSE") if path.is_file()), None)


def metadata():
    project = (ROOT / "pyproject.toml").read_text()
    classifiers = re.findall(r'^    "(.+)",$', re.search(r"^classifiers = \[(.*?)^\]", project, re.M | re.S).group(1), re.M)
    licence_name = re.search(r'^license = \{ text = "([^"]*)"', project, re.M).group(1)
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {NAME}",
        f"Version: {version()}",
        f"Summary: {field('description')}",
        f"License: {licence_name}",
        f"Requires-Python: {field('requires-python')}",
        *(f"Classifier: {classifier}" for classifier in classifiers),
        "Description-Content-Type: text/markdown",
    ]
    return ("\n".join(lines) + "\n\n" + (ROOT / "README.md").read_text()).encode()


def digest(data):
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


def moment():
    """The time of all files inside, so that the same sources give the same bytes; zip knows none before 1980."""
    return max(315_532_800, int(os.environ.get("SOURCE_DATE_EPOCH", "1767225600")))
