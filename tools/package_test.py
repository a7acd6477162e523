#!/usr/bin/env python3
"""Holds tools/package.py to what it promises, on a build of stubs. That a real one can be deployed, tests/e2e shows."""

import difflib
import hashlib
import io
import os
import re
import sys
import tempfile
import unittest
import zipfile

import package

TEMPLATE = package.read(package.ROOT, "template.yaml").decode()


def stub(machine=b"\x3e\x00", name=""):
    return b"\x7fELF" + bytes(14) + machine + name.encode() * 1000


class ThePackage(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scratch = scratch.name
        self.built = self.build()

    def build(self, **machines):
        """A folder as `sam build` makes it."""
        folder = tempfile.mkdtemp(dir=self.scratch)
        for resource, binary in package.functions(TEMPLATE).items():
            os.mkdir(os.path.join(folder, resource))
            package.written(os.path.join(folder, resource, "bootstrap"), stub(machines.get(resource, b"\x3e\x00"), binary))
        return folder

    def made(self, **options):
        return package.package(self.built, tempfile.mkdtemp(dir=self.scratch), **options)

    def test_every_function_is_a_zip_of_one_program_that_can_be_run(self):
        folder = self.made()
        functions = package.functions(TEMPLATE)
        self.assertEqual(sorted(functions.values()), sorted(os.listdir(os.path.join(package.ROOT, "functions"))))
        for resource, binary in functions.items():
            with zipfile.ZipFile(os.path.join(folder, f"{binary}.zip")) as archive:
                [entry] = archive.infolist()
                self.assertEqual((entry.filename, entry.external_attr >> 16), ("bootstrap", 0o100755), binary)
                self.assertEqual(archive.read(entry), package.read(self.built, resource, "bootstrap"), binary)

    def test_the_template_is_ours_but_for_code_and_architecture(self):
        text = package.read(self.made(), "template.yaml").decode()
        changed = [line for line in difflib.ndiff(TEMPLATE.splitlines(), text.splitlines()) if line[0] in "+-"]
        names = sorted(package.functions(TEMPLATE).values())
        gone = [f"-     Metadata: {{ BuildMethod: rust-cargolambda, BuildProperties: {{ Binary: {name} }} }}" for name in names]
        come = [f"+       CodeUri: ./{name}.zip" for name in names]
        one = ["-     CodeUri: .", "-     AllowedValues: [x86_64, arm64]", "+     AllowedValues: [x86_64]"]
        self.assertEqual(sorted(changed), sorted(gone + come + one))
        # Each function has its own.
        for resource, binary in package.functions(TEMPLATE).items():
            block = re.search(rf"^  {resource}:\n((?:    .*\n)+)", text, re.MULTILINE)[1]
            self.assertIn(f"CodeUri: ./{binary}.zip\n", block)

    def test_the_same_build_gives_the_same_bytes(self):
        command = os.path.join(self.scratch, "command")
        package.written(command, b"a command")
        first, second = (self.made(command=command) for _ in range(2))
        self.assertEqual(sorted(os.listdir(first)), sorted(os.listdir(second)))
        for name in os.listdir(first):
            self.assertEqual(package.read(first, name), package.read(second, name), name)
            self.assertEqual(os.stat(os.path.join(first, name)).st_mode, os.stat(os.path.join(second, name)).st_mode, name)

    def test_the_sums_are_those_of_all_files(self):
        folder = self.made()
        sums = dict(reversed(line.split("  ")) for line in package.read(folder, "SHA256SUMS").decode().splitlines())
        self.assertEqual(sorted([*sums, "SHA256SUMS"]), sorted(os.listdir(folder)))
        for name, digest in sums.items():
            self.assertEqual(digest, hashlib.sha256(package.read(folder, name)).hexdigest(), name)

    def test_nothing_of_an_earlier_package_is_left(self):
        out = tempfile.mkdtemp(dir=self.scratch)
        folder = package.package(self.built, out)
        package.written(os.path.join(folder, "stale.zip"), b"")
        self.assertEqual(package.package(self.built, out), folder)
        self.assertNotIn("stale.zip", os.listdir(folder))

    def test_the_command_is_put_in_and_can_be_run(self):
        command = os.path.join(self.scratch, "command")
        package.written(command, b"a command")
        self.assertNotIn("certbridge", os.listdir(self.made()))
        path = os.path.join(self.made(command=command), "certbridge")
        self.assertEqual((package.read(path), os.stat(path).st_mode & 0o777), (b"a command", 0o755))

    def test_code_for_arm64_is_deployed_as_that_and_not_otherwise(self):
        self.built = self.build(**dict.fromkeys(package.functions(TEMPLATE), b"\xb7\x00"))
        text = package.read(self.made(), "template.yaml").decode()
        self.assertIn("    Default: arm64\n    AllowedValues: [arm64]\n", text)

    def test_half_a_build_and_a_mixed_one_make_no_package(self):
        some = next(iter(package.functions(TEMPLATE)))
        mixed, half, other = self.build(**{some: b"\xb7\x00"}), self.build(), self.build(**{some: b"\x00\x00"})
        os.remove(os.path.join(half, some, "bootstrap"))
        for built in (mixed, half, other):
            out = tempfile.mkdtemp(dir=self.scratch)
            with self.assertRaises(package.Unpackable):
                package.package(built, out)
            self.assertEqual(os.listdir(out), [])

    def test_a_template_that_it_does_not_understand_makes_no_package(self):
        for old, new in [("    Metadata: { BuildMethod: rust-cargolambda", "    Metadata: { BuildMethod: makefile"),
                         ("    CodeUri: .\n", ""), ("[x86_64, arm64]", "[arm64, x86_64]")]:
            with self.assertRaises(package.Unpackable):
                text = TEMPLATE.replace(old, new, 1)
                package.functions(text)
                package.packaged(text, "x86_64")

    def test_who_asks_for_what_is_not_there_is_told(self):
        heard, sys.stderr = sys.stderr, io.StringIO()
        try:
            code = package.main(["--built", self.scratch, "--out", self.scratch])
            said = sys.stderr.getvalue()
        finally:
            sys.stderr = heard
        self.assertEqual(code, 1)
        self.assertIn("sam build makes it", said)


if __name__ == "__main__":
    unittest.main()
