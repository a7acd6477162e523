#!/usr/bin/env python3
"""Makes a package of what `sam build` built, so that whoever deploys it needs no compiler: a zip for each function, a template
that names the zips, and what belongs to them. The same build gives the same bytes.

The template is edited, not written anew: it is the one that is tested, but for where the code of a function stands and for
the one architecture that the code was built for. Prints the package's folder.
"""

import argparse
import hashlib
import os
import re
import shutil
import sys
import zipfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FUNCTION = re.compile(
    r"(?P<head>^  (?P<resource>\w+):\n    Type: AWS::Serverless::Function\n)"
    r"    Metadata: \{ BuildMethod: rust-cargolambda, BuildProperties: \{ Binary: (?P<binary>[\w-]+) \} \}\n"
    r"    Properties:\n", re.MULTILINE)
# By the two bytes that say it in the head of an ELF file.
ARCHITECTURES = {b"\x3e\x00": "x86_64", b"\xb7\x00": "arm64"}
# The first moment that a zip can name.
EPOCH = (1980, 1, 1, 0, 0, 0)


class Unpackable(Exception):
    """What keeps a package from being made, for whoever asked for it."""


def read(*path):
    with open(os.path.join(*path), "rb") as file:
        return file.read()


def version():
    found = re.search(r'^\[workspace\.package\]\nversion = "([^"]+)"', read(ROOT, "Cargo.toml").decode(), re.MULTILINE)
    if not found:
        raise Unpackable("Cargo.toml names no version")
    return found[1]


def functions(template):
    """The binary of each function, by the name of its resource."""
    found = {one["resource"]: one["binary"] for one in FUNCTION.finditer(template)}
    if len(found) != template.count("Type: AWS::Serverless::Function\n"):
        raise Unpackable("a function of the template is declared otherwise than the others")
    return found


def replaced_once(text, old, new):
    if text.count(old) != 1:
        raise Unpackable(f"the template has {text.count(old)} times what it should have once: {old.strip()}")
    return text.replace(old, new)


def packaged(template, architecture):
    """The template that deploys the zips."""
    text = FUNCTION.sub(lambda one: f"{one['head']}    Properties:\n      CodeUri: ./{one['binary']}.zip\n", template)
    text = replaced_once(text, "    CodeUri: .\n", "")
    return replaced_once(text, "    Default: x86_64\n    AllowedValues: [x86_64, arm64]\n",
                         f"    Default: {architecture}\n    AllowedValues: [{architecture}]\n")


def binary_of(built, resource):
    path = os.path.join(built, resource, "bootstrap")
    if not os.path.isfile(path):
        raise Unpackable(f"{path} is not there: sam build makes it")
    return read(path)


def architecture_of(programs):
    heads = {program[18:20] if program[:4] == b"\x7fELF" else None for program in programs}
    known = {ARCHITECTURES.get(head) for head in heads}
    if len(known) != 1 or None in known:
        raise Unpackable("the functions are not all built for the same architecture, x86_64 or arm64")
    return known.pop()


def zipped(path, program):
    entry = zipfile.ZipInfo("bootstrap", EPOCH)
    entry.create_system = 3  # Unix, so that the mode means something
    entry.external_attr = 0o100755 << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(entry, program, zipfile.ZIP_DEFLATED)


def written(path, content, mode=0o644):
    with open(path, "wb") as file:
        file.write(content)
    os.chmod(path, mode)


def package(built, out, command=None):
    """Makes the package anew, and gives its folder."""
    template = read(ROOT, "template.yaml").decode()
    programs = {binary: binary_of(built, resource) for resource, binary in functions(template).items()}
    text = packaged(template, architecture_of(programs.values()))
    folder = os.path.join(out, f"certbridge-{version()}")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    for binary, program in programs.items():
        zipped(os.path.join(folder, f"{binary}.zip"), program)
    written(os.path.join(folder, "template.yaml"), text.encode())
    for name, source in {"samconfig.toml": "samconfig.toml", "LICENSE": "LICENSE", "README.md": "tools/package.md"}.items():
        written(os.path.join(folder, name), read(ROOT, source))
    if command:
        written(os.path.join(folder, "certbridge"), read(command), 0o755)
    sums = [f"{hashlib.sha256(read(folder, name)).hexdigest()}  {name}\n" for name in sorted(os.listdir(folder))]
    written(os.path.join(folder, "SHA256SUMS"), "".join(sums).encode())
    return folder


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--built", default=os.path.join(ROOT, ".aws-sam", "build"), help="what `sam build` made")
    parser.add_argument("--out", default=os.path.join(ROOT, "dist"), help="the folder in which the package's own is made")
    parser.add_argument("--command", metavar="FILE", help="the `certbridge` command to put in, built for whoever is to run it")
    options = parser.parse_args(arguments)
    try:
        print(package(options.built, options.out, options.command))
    except (Unpackable, OSError) as error:
        print(f"no package: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
