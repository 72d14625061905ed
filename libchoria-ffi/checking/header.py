"""What include/choria.h declares, read with a few rules that its generator keeps to."""
import re
from collections import namedtuple

Parameter = namedtuple("Parameter", "type name")
Function = namedtuple("Function", "result name parameters")


def functions(path):
    """Every function, in the order of the header."""
    text = re.sub(r"/\*.*?\*/", " ", path.read_text(), flags=re.DOTALL)
    text = re.sub(r"^\s*#.*$|//.*$", " ", text, flags=re.MULTILINE)
    found = []
    for result, name, parameters in re.findall(r"^([a-z][\w ]*[\w*] ?\*?)\b(choria_\w+)\(([^;]*)\);", text, flags=re.MULTILINE):
        found.append(Function(result.strip(), name, [parameter(one) for one in parameters.split(",") if one.strip() != "void"]))
    if len(found) < 50:
        raise SystemExit(f"{path}: only {len(found)} functions were understood: has its form changed?")
    return found


def parameter(text):
    """`const char *name` taken apart."""
    kind, name = re.fullmatch(r"\s*(.*?)(\w+)\s*", text, flags=re.DOTALL).groups()
    return Parameter(" ".join(kind.split()), name)
