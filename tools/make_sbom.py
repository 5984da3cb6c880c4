"""Write what the product's image brings, from the lock files: an SBOM (`make sbom`) and NOTICE (`make notice`).

The SBOM is CycloneDX 1.6 as JSON.

Python packages come from requirements.lock, with the licenses that the installed packages name; front-end packages from
package-lock.json. What only development needs is left out.
"""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

ROOT = Path(__file__).resolve().parents[1]
PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;]+)(?:\s*;\s*([^\\]+?))?\s*\\?$")
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
LICENSES = LicenseFactory()
NOTICE = """\
Security center with a ServiceNow connector
Licensed under the Apache License, Version 2.0: see LICENSE.

The product's image holds the packages below, each as its authors publish it and under its own license; the text stands in
the package. psycopg (LGPL-3.0-only) and certifi (MPL-2.0) are separate packages, unchanged, and can be replaced by other
versions of them. Base images (Python, Debian) bring more, with licenses under /usr/share/doc.

Written by `make notice` from requirements.lock and package-lock.json.

"""


def python_components(lock: str) -> Iterator[Component]:
    """A component for each package of a lock file's text; a package that is locked by marker may come in two versions."""
    for entry in re.split(r"\n(?=[A-Za-z0-9])", lock.replace("\\\n", "\\ ")):
        first, _, _ = entry.partition("\\")
        pinned = PINNED.match(first.strip())
        if pinned is None:
            continue
        name, version = pinned[1].lower().replace("_", "-"), pinned[2]
        yield _component(
            PackageURL("pypi", None, name, version),
            [HashType(alg=HashAlgorithm.SHA_256, content=found) for found in HASH.findall(entry)],
            python_license(name),
        )


def front_end_components(lock: str) -> Iterator[Component]:
    """A component for each package of a package-lock.json that is not for development alone."""
    for path, entry in json.loads(lock)["packages"].items():
        if not path or entry.get("dev") or entry.get("link"):
            continue
        scope, _, name = path.rpartition("node_modules/")[2].rpartition("/")
        # npm writes the digest in base64 (https://w3c.github.io/webappsec-subresource-integrity/), CycloneDX in hex.
        digest = base64.b64decode(entry["integrity"].removeprefix("sha512-")).hex()
        yield _component(
            PackageURL("npm", scope or None, name, entry["version"]),
            [HashType(alg=HashAlgorithm.SHA_512, content=digest)],
            str(entry.get("license", "")),
        )


def python_license(name: str) -> str:
    """The license that an installed package names, as SPDX writes it where the package does; empty when it is not installed."""
    try:
        described = metadata.metadata(name).json
    except metadata.PackageNotFoundError:
        return ""
    if expression := described.get("license_expression"):
        return str(expression)
    classifiers = [
        line.rsplit(" :: ", 1)[1] for line in described.get("classifier", []) if line.startswith("License ::")
    ]
    if classifiers:
        return " AND ".join(dict.fromkeys(classifiers))
    # The old field may hold the whole text of the license.
    lines = str(described.get("license", "")).strip().splitlines()
    return lines[0] if lines else ""


def make_bom() -> Bom:
    """The SBOM of the lock files as they are now."""
    bom = Bom()
    bom.metadata.component = Component(
        name="security-center", type=ComponentType.APPLICATION, bom_ref="security-center"
    )
    found = [
        *python_components((ROOT / "requirements.lock").read_text(encoding="utf-8")),
        *front_end_components((ROOT / "package-lock.json").read_text(encoding="utf-8")),
    ]
    bom.components.update(found)
    bom.register_dependency(bom.metadata.component, found)
    return bom


def _component(purl: PackageURL, hashes: list[HashType], license_text: str) -> Component:
    return Component(
        type=ComponentType.LIBRARY,
        group=purl.namespace,
        name=purl.name,
        version=purl.version,
        purl=purl,
        bom_ref=purl.to_string(),
        hashes=hashes,
        licenses=[LICENSES.make_from_string(license_text)] if license_text else [],
    )


def notice(bom: Bom) -> str:
    """The text of NOTICE: every package with its license, without versions, so that an update of one changes nothing here."""
    named = {
        component.name if component.group is None else f"{component.group}/{component.name}": " AND ".join(
            sorted(
                str(one.value if isinstance(one, LicenseExpression) else one.id or one.name)
                for one in component.licenses
            )
        )
        for component in bom.components
    }
    width = max(len(name) for name in named)
    return NOTICE + "".join(f"{name:{width}}  {named[name]}\n" for name in sorted(named))


def main(arguments: list[str]) -> int:
    """Write the file that is named, or var/sbom.cdx.json; with --notice, NOTICE."""
    if arguments == ["--notice"]:
        (ROOT / "NOTICE").write_text(notice(make_bom()), encoding="utf-8")
        return 0
    target = Path(arguments[0]) if arguments else ROOT / "var" / "sbom.cdx.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    bom = make_bom()
    target.write_text(JsonV1Dot6(bom).output_as_string(indent=2), encoding="utf-8")
    print(f"{len(bom.components)} components are listed in {target}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
