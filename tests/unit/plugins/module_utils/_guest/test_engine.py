"""Talking to the engine's socket: recorded entries of its lists, and everything that can go wrong on the way."""

from __future__ import annotations

import json
import socket
import threading

import pytest
from ansible_collections.felhom.base_infra.plugins.module_utils._guest import engine as _engine
from hypothesis import given, strategies as st

# Recorded from Docker 26.1.5 (API 1.45), shortened to what is read.
RUNNING = {
    "Id": "8c5a0f9d7a06a4b1c6a64d2a5b1c0f9b5f8e2b9d7c3a1e0f4d6b8a9c7e5f3d1b",
    "Names": ["/traefik", "/traefik-socket-proxy/traefik"],
    "Image": "traefik:v3.7.15",
    "ImageID": "sha256:1f3b",
    "Labels": {"com.docker.compose.project": "traefik", "com.docker.compose.service": "traefik"},
    "State": "running",
    "Status": "Up 2 minutes (healthy)",
    "NetworkSettings": {"Networks": {"traefik-public": {"NetworkID": "9a4c"}}},
}


def test_a_container_of_the_list():
    container = _engine.container(RUNNING)
    assert (container.name, container.project, container.service) == ("traefik", "traefik", "traefik")
    assert (container.state, container.health) == ("running", "healthy")
    assert container.networks == {"traefik-public": "9a4c"}


@pytest.mark.parametrize(
    "status, health",
    [
        ("Up 2 minutes (unhealthy)", "unhealthy"),
        ("Up Less than a second (health: starting)", "starting"),
        ("Up 2 minutes", ""),
        ("Up 2 minutes (Paused)", ""),
        ("Exited (0) 3 seconds ago", ""),
        ("Created", ""),
        ("Restarting (255) 1 second ago", ""),
        ("", ""),
    ],
)
def test_health_is_read_from_the_status_text(status, health):
    assert _engine.container(RUNNING | {"Status": status}).health == health


def test_a_container_without_anything_optional():
    container = _engine.container({"Id": "0123456789abcdef", "Names": None, "Labels": None, "NetworkSettings": None})
    assert (container.name, container.labels, container.networks) == ("0123456789ab", {}, {})


@pytest.fixture
def answering(tmp_path):
    """A socket that gives each client in turn one of the answers; None hangs up without a word."""
    path = str(tmp_path / "docker.sock")
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()
    asked = []

    def serve(*answers):
        def run():
            for answer in answers:
                client, _address = server.accept()
                with client:
                    asked.append(client.recv(4096).decode().splitlines()[0])
                    client.sendall(answer)

        threading.Thread(target=run, daemon=True).start()
        return path, asked

    yield serve
    server.close()


def ok(body):
    return b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + json.dumps(body).encode()


def test_everything_is_observed_in_three_calls(answering):
    path, asked = answering(
        ok([RUNNING]),
        ok([{"Id": "sha256:1f3b", "RepoDigests": ["traefik@sha256:5"]}, {"Id": "sha256:2", "RepoDigests": None}]),
        ok([{"Name": "bridge", "Id": "1"}, {"Name": "traefik-public", "Id": "9a4c"}]),
    )
    engine = _engine.observe(path)
    assert [container.name for container in engine.containers] == ["traefik"]
    assert engine.images == {"traefik@sha256:5": "sha256:1f3b"}
    assert engine.networks == {"bridge": "1", "traefik-public": "9a4c"}
    assert [line.split()[1] for line in asked] == ["/containers/json?all=1", "/images/json?digests=1", "/networks"]


@pytest.mark.parametrize(
    "answer, words",
    [
        (b"", "is not JSON"),
        (b"HTTP/1.0 200 OK\r\n\r\n{", "is not JSON"),
        (b"HTTP/1.0 200 OK\r\n\r\n\xff", "is not JSON"),
        (b'HTTP/1.0 500 Oops\r\n\r\n{"message": "no space left"}', "was refused: no space left"),
        (b"HTTP/1.0 400 Bad Request\r\n\r\n[]", "was refused"),
    ],
)
def test_a_bad_answer_is_one_clear_line(answering, answer, words):
    path, _asked = answering(answer)
    with pytest.raises(_engine.EngineError, match=words) as error:
        _engine.get("/networks", path)
    assert path in str(error.value) and "\n" not in str(error.value)


def test_no_engine_at_all(tmp_path):
    with pytest.raises(_engine.EngineError, match="no answer from the Docker engine.*systemctl status docker"):
        _engine.get("/networks", str(tmp_path / "nothing.sock"))


def test_an_engine_that_hangs(tmp_path):
    path = str(tmp_path / "docker.sock")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        with pytest.raises(_engine.EngineError, match="no answer"):
            _engine.get("/networks", path, timeout=0.1)


FRAMES = st.lists(st.tuples(st.sampled_from([1, 2]), st.text("abc é\n\r\t", max_size=30)), max_size=8)


@given(FRAMES, st.binary(max_size=12))
def test_a_log_is_read_frame_by_frame(frames, rest):
    """Also one that ends in the middle of a frame, as where the engine was killed."""
    body = b"".join(
        bytes([stream, 0, 0, 0]) + len(text.encode()).to_bytes(4, "big") + text.encode() for stream, text in frames
    )
    whole = "".join(text for _stream, text in frames)
    assert _engine.lines_of(body) == [line for line in whole.splitlines() if line.strip()]
    assert isinstance(_engine.lines_of(body + rest), list)


LABELS = st.dictionaries(st.sampled_from(["com.docker.compose.project", "other"]), st.text(max_size=5))
ENTRIES = st.fixed_dictionaries(
    {"Id": st.text("0123456789abcdef", min_size=64, max_size=64)},
    optional={
        "Names": st.one_of(st.none(), st.lists(st.sampled_from(["/a", "/b/a", "/b"]), max_size=3)),
        "Labels": st.one_of(st.none(), LABELS),
        "Status": st.text(max_size=30),
        "NetworkSettings": st.sampled_from([None, {}, {"Networks": None}, {"Networks": {"n": None}}]),
        "Mounts": st.one_of(st.none(), st.lists(st.sampled_from([{}, {"Type": "bind", "Source": "/s"}]))),
    },
)


@given(ENTRIES)
def test_any_entry_of_the_list_is_a_container_with_a_name(entry):
    container = _engine.container(entry)
    assert container.name and "/" not in container.name
    assert container.health in ("", "healthy", "unhealthy", "starting")
