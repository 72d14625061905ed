"""The binary interface, compared with what was recorded in libchoria-ffi/abi.

`symbols` has the exported symbols with their versions. `choria.abi` has signatures and the values of enumerations as C
compilers see them, written by abidw for a small library that names every function of the header.
"""
import pathlib
import re
import subprocess

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "abi"
SYMBOLS = FOLDER / "symbols"
BASELINE = FOLDER / "choria.abi"
RECORD = "if this is meant, and nothing was removed or changed, record it: libchoria-ffi/check --record"


def compare(library, functions, compiler, include, work):
    """What differs from the record: a list of sentences, and whether anything was removed or changed."""
    complaints, broken = [], False
    now, then = exported(library), SYMBOLS.read_text().splitlines() if SYMBOLS.exists() else []
    for gone in sorted(set(then) - set(now)):
        complaints.append(f"the symbol {gone} is gone: programs that were linked with it no longer start")
        broken = True
    for new in sorted(set(now) - set(then)):
        complaints.append(f"the symbol {new} is new: {RECORD}")
    current = describe(functions, compiler, include, work)
    if not BASELINE.exists():
        complaints.append(f"{BASELINE} is missing: {RECORD}")
        return complaints, broken
    found = subprocess.run(["abidiff", "--no-show-locs", BASELINE, current], capture_output=True, text=True)
    if found.returncode & 3:
        raise SystemExit(f"abidiff failed: {found.stderr or found.stdout}")
    if found.returncode:
        counts = re.findall(r"(\d+) Removed(?:[^,]*), (\d+) Changed(?:[^,]*)", found.stdout)
        changed = any(int(number) for pair in counts for number in pair) or not counts
        broken = broken or changed
        complaints.append(("signatures or values changed, so programs must be built again:\n" if changed else f"{RECORD}\n") + found.stdout)
    return complaints, broken


def record(library, functions, compiler, include, work):
    """Writes down what is so now."""
    FOLDER.mkdir(exist_ok=True)
    SYMBOLS.write_text("".join(f"{symbol}\n" for symbol in exported(library)))
    BASELINE.write_bytes(describe(functions, compiler, include, work).read_bytes())


def exported(library):
    """The symbols that programs can link with, as name@version."""
    listed = subprocess.run(["nm", "-D", "--defined-only", "--with-symbol-versions", library], capture_output=True, text=True, check=True)
    names = [line.split()[-1] for line in listed.stdout.splitlines()]
    return sorted(name for name in names if not name.startswith("CHORIA_"))


def describe(functions, compiler, include, work):
    """The header's functions and types as abidw tells them."""
    source, shared, description = work / "abi.c", work / "abi.so", work / "choria.abi"
    names = "".join(f"__typeof__({one.name}) *const abi_{one.name} = {one.name};\n" for one in functions)
    source.write_text(f"#include <choria.h>\n{names}")
    subprocess.run([compiler, "-g", "-gdwarf-4", "-shared", "-fPIC", f"-I{include}", "-o", shared, source], check=True)
    subprocess.run(
        ["abidw", "--no-show-locs", "--no-corpus-path", "--no-comp-dir-path", "--out-file", description, shared], check=True
    )
    return description
