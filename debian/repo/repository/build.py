"""Makes a .deb or an .rpm of a folder of files that are ready: same files, same bytes."""
import dataclasses
import gzip
import hashlib
import os
import pathlib
import shutil
import tempfile
import time

from .base import need, run

SCRIPTS = {"preinst", "postinst", "prerm", "postrm"}


@dataclasses.dataclass
class Files:
    """Where each file of a package goes: path in the package to (content, mode)."""

    epoch: int
    entries: dict = dataclasses.field(default_factory=dict)

    def add(self, place, content, mode=0o644):
        """Adds a file: text, bytes, or the path of one."""
        if isinstance(content, pathlib.Path):
            content = content.read_bytes()
        self.entries[place.lstrip("/")] = (content.encode() if isinstance(content, str) else content, mode)

    def zipped(self, place, content):
        """Adds a file compressed as Debian wants documentation."""
        data = content.encode() if isinstance(content, str) else content
        self.add(place, gzip.compress(data, 9, mtime=0))

    def write(self, root):
        """Writes the files below `root`, all with the same time."""
        for place, (content, mode) in sorted(self.entries.items()):
            path = root / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            path.chmod(mode)
        for path in [root, *root.rglob("*")]:
            if path.is_dir():
                path.chmod(0o755)
            os.utime(path, (self.epoch, self.epoch))


def deb(files, control, output, conffiles=(), scripts=None):
    """Writes `output` (a .deb); `control` is a dict of its fields."""
    need("dpkg-deb")
    size = sum((len(content) + 1023) // 1024 for content, _ in files.entries.values())
    folders = {str(parent) for place in files.entries for parent in pathlib.PurePath(place).parents}
    whole = Files(files.epoch, dict(files.entries))
    lines = {**control, "Installed-Size": size + len(folders)}
    order = ["Package", "Source", "Version", "Architecture", "Maintainer", "Installed-Size", "Depends", "Recommends", "Suggests", "Section", "Priority",
             "Multi-Arch", "Homepage", "Description"]
    whole.add("DEBIAN/control", "".join(f"{name}: {lines[name]}\n" for name in order if name in lines))
    whole.add("DEBIAN/md5sums", "".join(
        f"{hashlib.md5(content, usedforsecurity=False).hexdigest()}  {place}\n" for place, (content, _) in sorted(files.entries.items())
        if f"/{place}" not in conffiles))
    if conffiles:
        whole.add("DEBIAN/conffiles", "".join(f"{name}\n" for name in conffiles))
    for name, text in (scripts or {}).items():
        whole.add(f"DEBIAN/{name}", text, 0o755)
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder, "root")
        root.mkdir()
        whole.write(root)
        # One thread: the number of processors would show in the bytes.
        environment = {"SOURCE_DATE_EPOCH": str(files.epoch), "DPKG_DEB_THREADS_MAX": "1"}
        run("dpkg-deb", "--root-owner-group", "-Zxz", "--build", root, output, env=environment)


def rpm(files, spec, arch, output):
    """Writes `output` (an .rpm) of a spec text whose %install copies the files; it lists them itself in %files."""
    need("rpmbuild")
    date = time.strftime("%a %b %d %Y", time.gmtime(files.epoch))
    with tempfile.TemporaryDirectory() as folder:
        top = pathlib.Path(folder)
        files.write(top / "files")
        (top / "package.spec").write_text(spec.replace("@DATE@", date).replace("@FILES@", str(top / "files")))
        defines = {"_topdir": top, "_rpmdir": top / "out", "_build_name_fmt": "package.rpm", "_buildhost": "reproducible", "debug_package": "%{nil}",
                   "__os_install_post": "%{nil}", "_build_id_links": "none", "use_source_date_epoch_as_buildtime": "1",
                   "clamp_mtime_to_source_date_epoch": "1", "source_date_epoch_from_changelog": "0", "_binary_payload": "w6.xzdio",
                   "_binary_filedigest_algorithm": "8", "_source_filedigest_algorithm": "8"}
        options = [word for name, value in defines.items() for word in ("--define", f"{name} {value}")]
        run("rpmbuild", "-bb", "--target", f"{arch}-linux" if arch != "noarch" else "noarch", *options, top / "package.spec",
            env={"SOURCE_DATE_EPOCH": str(files.epoch)})
        shutil.copyfile(top / "out" / "package.rpm", output)
