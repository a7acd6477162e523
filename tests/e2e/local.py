#!/usr/bin/env python3
"""Stays with the deployed world, for functions to be tried against it by hand.

Writes beside the built template what `cargo lambda watch` needs and, where a container engine answers, what `sam local`
needs; docs/local.md says how both are used. Needs what world.py needs.
"""

import contextlib
import glob
import io
import ipaddress
import json
import os
import re
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import tarfile
import threading

from world import World, arguments

# What sam runs such functions in.
IMAGE = "public.ecr.aws/lambda/provided:al2023-x86_64"
OURS = "certbridge-local"


def docker(*words, **options):
    return subprocess.run(["docker", *words], capture_output=True, **options)


def bridge():
    """This machine's address in the eyes of a container; none, where no container engine answers."""
    with contextlib.suppress(FileNotFoundError):
        done = docker("network", "inspect", "bridge", "--format", "{{json (index .IPAM.Config 0)}}")
        if done.returncode == 0:
            network = json.loads(done.stdout)
            # A network that was only just made does not name its gateway yet, which is its first address.
            return network.get("Gateway") or str(next(ipaddress.ip_network(network["Subnet"]).hosts()))


def c_library(built):
    """The least that an image needs for sam to build on it and for our functions to run in it, as a tar archive."""
    files = {"/bin/sh", shutil.which("mv"), shutil.which("chmod")}
    for program in [*files, *glob.glob(os.path.join(built, "*", "bootstrap"))]:
        listed = subprocess.run(["ldd", program], capture_output=True, check=True, text=True).stdout
        files.update(re.findall(r"(/\S+) \(", listed))
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", dereference=True) as tar:
        for file in sorted(files):
            tar.add(file)
    return archive.getvalue()


def remove_images():
    # The last one is what sam makes of ours, and would go on using.
    docker("rmi", "--force", OURS, OURS + ":base", OURS + ":rapid-x86_64")


def make_image(world):
    """Makes the image that functions are run in, and says what it was made of."""
    remove_images()
    world.stack.callback(remove_images)
    base, made_of = IMAGE, IMAGE
    if docker("image", "inspect", IMAGE).returncode and docker("pull", IMAGE).returncode:
        base, made_of = OURS + ":base", f"this machine's C library, since {IMAGE} cannot be pulled"
        docker("import", "-", base, input=c_library(world.built), check=True)
    # Otherwise only the first address of a name counts: see the second `localhost` below.
    recipe = f"FROM {base}\nRUN echo 'multi on' >/etc/host.conf\n"
    docker("build", "--tag", OURS, "-", input=recipe.encode(), check=True)
    return made_of


def carry(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


class Passage(socketserver.BaseRequestHandler):
    """Carries a connection on to the same port of 127.0.0.1, where the providers listen."""

    def handle(self):
        with socket.create_connection(("127.0.0.1", self.server.server_address[1])) as inner:
            back = threading.Thread(target=carry, args=(inner, self.request))
            back.start()
            carry(self.request, inner)
            back.join()


def write_for_cargo(world):
    """The file for `cargo lambda watch --env-file`."""
    merged = {name: value for variables in world.variables().values() for name, value in variables.items()}
    return world.write("local.env", "".join(f"{name}={value}\n" for name, value in merged.items()))


def template(world):
    """The built template, as `sam local` can use it."""
    text = world.built_template()
    # Only what the template declares can be set.
    functions = "Globals:\n  Function:\n"
    assert text.count(functions) == 1
    names = "".join(f"        {name}: ''\n" for name in world.env if name.startswith("AWS_"))
    text = text.replace(functions, functions + "    Environment:\n      Variables:\n" + names)
    # An API's own resources are only looked at if the first of them stands before every function.
    before, api, after = re.split(r"(?m)(^  Api:\n(?:    .*\n)+)", text)
    text = (before + after).replace("Resources:\n", "Resources:\n" + api, 1)
    # An authorizer without this list is an error.
    authorizer = "      AuthorizerType: REQUEST\n"
    assert text.count(authorizer) == 1
    return world.write("template-local.yaml", text.replace(authorizer, authorizer + "      IdentitySource: []\n"))


def write_for_sam(world, host):
    """The file for `sam local --config-file`."""
    for address in world.providers.values():
        server = socketserver.ThreadingTCPServer((host, int(address.rsplit(":", 1)[1])), Passage)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
    # Functions take plain HTTP only to their own machine. A container's `localhost` is made this one too.
    variables = json.dumps(world.variables(), indent=2).replace("127.0.0.1", "localhost")
    options = {"template_file": template(world), "env_vars": world.write("local.json", variables + "\n"),
               "add_host": [f"localhost:{host}"], "invoke_image": [OURS], "skip_pull_image": True}
    lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in options.items())
    return world.write("local.toml", "version = 0.1\n[default.global.parameters]\n" + lines)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with contextlib.ExitStack() as stack, contextlib.suppress(KeyboardInterrupt):
        world = World(stack, arguments(__doc__).built)
        print(f"cargo lambda watch: {write_for_cargo(world)}")
        if host := bridge():
            print(f"sam local: {write_for_sam(world, host)}, an image of {make_image(world)}")
        else:
            print("sam local: NOT THERE, since no container engine answers")
        # The samples' certificate.
        world.credential("10000005")
        print("ready, until it is stopped", flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
