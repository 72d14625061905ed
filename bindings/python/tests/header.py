"""Reads include/choria.h as far as tests compare it: enums and prototypes. The header is simple on purpose, so is this."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[3]
PATH = ROOT / "include" / "choria.h"


def load():
    """Enums ({type: {name: value}}) and prototypes ({name: (result, [argument types])})."""
    source = re.sub(r"/\*.*?\*/", "", PATH.read_text(), flags=re.S)
    source = re.sub(r"//[^\n]*|^\s*#[^\n]*", "", source, flags=re.M)
    enums = {}
    for match in re.finditer(r"enum\s+(choria_\w+)?[^{;()]*\{([^}]*)\}\s*(choria_\w+)?", source):
        name = match.group(1) or match.group(3)
        enums[name] = {key: int(value) for key, value in re.findall(r"(CHORIA_\w+)\s*=\s*(\d+)", match.group(2))}
    source = re.sub(r"enum\s+(choria_\w+)?[^{;()]*\{[^}]*\}", " ", source)
    prototypes = {}
    # A prototype: a type, a name, arguments without parentheses of their own.
    for match in re.finditer(r"([\w\s*]+?)\b(choria_\w+)\s*\(([^()]*)\)\s*;", source):
        result, name, arguments = match.groups()
        if "typedef" in result:
            continue
        words = [words for words in (argument.strip() for argument in arguments.split(",")) if words not in ("", "void")]
        prototypes[name] = (spelled(result), [spelled(strip_name(argument)) for argument in words])
    return enums, prototypes


def strip_name(argument):
    """The type of an argument: what stands before its name."""
    return re.sub(r"\b[a-z_]\w*\s*(\[\])?$", lambda found: "*" if found.group(1) else "", argument.strip())


def spelled(kind):
    """A type in one spelling: words in order, then the stars."""
    kind = re.sub(r"\b(struct|enum|extern|CHORIA_API)\b", " ", kind)
    stars = kind.count("*")
    words = [word for word in kind.replace("*", " ").split()]
    constant = "const " if words and words[0] == "const" else ""
    return f"{constant}{' '.join(word for word in words if word != 'const')}{' ' if stars else ''}{'*' * stars}"
