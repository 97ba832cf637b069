"""The bill of materials of a golden image."""

from __future__ import annotations

from urllib.parse import quote

from ansible_collections.felhom.base_infra.plugins.module_utils._golden import sbom as _sbom
from hypothesis import given, strategies as st

# dpkg-query's own output on a guest, with a package that was removed and left its configuration.
LISTED = """\
docker.io 26.1.5+dfsg1-9+b11 amd64 installed
libc6 2.41-12 amd64 installed
adduser 3.152 all installed
ifupdown 0.8.44 amd64 config-files
perl-base 5.40.1-6 amd64 half-installed
git 1:2.47.3-0+deb13u1 amd64 installed
"""
DIGEST = "sha256:" + "a" * 64
MANIFEST = {
    "built": 1_800_000_000,
    "hostname": "felhom-golden",
    "commit": "c" * 40,
    "pins": [f"traefik:v3.7.14@{DIGEST}", f"registry.example:5000/felhom/controller:0.9.0@{DIGEST}"],
}


def test_what_is_installed():
    assert [package.name for package in _sbom.packages(LISTED)] == ["adduser", "docker.io", "git", "libc6"]


def test_the_document():
    made = _sbom.document(MANIFEST, _sbom.packages(LISTED))
    assert made["metadata"]["timestamp"] == "2027-01-15T08:00:00Z"
    assert [component["purl"] for component in made["components"] if "purl" in component] == [
        "pkg:deb/debian/adduser@3.152?arch=all",
        "pkg:deb/debian/docker.io@26.1.5%2Bdfsg1-9%2Bb11?arch=amd64",
        "pkg:deb/debian/git@1%3A2.47.3-0%2Bdeb13u1?arch=amd64",
        "pkg:deb/debian/libc6@2.41-12?arch=amd64",
        f"pkg:docker/traefik@sha256%3A{'a' * 64}?tag=v3.7.14",
        f"pkg:docker/felhom/controller@sha256%3A{'a' * 64}?repository_url=registry.example%3A5000&tag=0.9.0",
    ]


def test_nothing_of_it_is_left_out():
    made = _sbom.document(MANIFEST, _sbom.packages(LISTED))
    assert {component["name"] for component in made["components"]} == {
        "felhom.base_infra",
        "adduser",
        "docker.io",
        "git",
        "libc6",
        "traefik",
        "registry.example:5000/felhom/controller",
    }


WORD = st.text("abc.+:~-0123", min_size=1, max_size=8)


@given(st.lists(st.one_of(st.text(max_size=20), st.just("x 1 all installed"), st.just("x 1 all half-installed"))))
def test_any_list_of_packages_is_read(lines):
    listed = _sbom.packages("\n".join(lines))
    assert listed == sorted(listed)
    assert listed.count(_sbom.Package("x", "1", "all")) == lines.count("x 1 all installed")


@given(WORD, WORD)
def test_a_package_url_has_one_version(name, version):
    (_collection, package) = _sbom.document(MANIFEST | {"pins": []}, [_sbom.Package(name, version, "amd64")])[
        "components"
    ]
    path, _at, rest = package["purl"].partition("@")
    assert path == f"pkg:deb/debian/{quote(name, safe='')}"
    assert rest == f"{quote(version, safe='')}?arch=amd64"
