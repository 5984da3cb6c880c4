"""The samples of proxies do what README demands of one. No proxy can run here, so what can be read is checked."""

from __future__ import annotations

import re

import pytest

from app.web.middleware import LARGEST_BODY_BYTES, LONGEST_ADDRESS
from app.web.slow_clients import ImpatientProtocol
from tests.conventions.files import ROOT

NGINX = (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
CADDY = (ROOT / "deploy" / "Caddyfile").read_text(encoding="utf-8")
UNITS = {"": 1, "k": 1024, "KB": 1000, "KiB": 1024}
# Variables of nginx that hold the query, or the address of the page before.
# https://nginx.org/en/docs/http/ngx_http_core_module.html#variables
TELLING = {"$request", "$request_uri", "$args", "$query_string", "$is_args", "$http_referer", "$http_cookie", "$uri"}
KNOWN = {
    "access_log", "client_body_timeout", "client_header_buffer_size", "client_header_timeout", "client_max_body_size", "http2",
    "keepalive", "keepalive_timeout", "large_client_header_buffers", "limit_conn", "limit_conn_status", "limit_conn_zone",
    "listen", "log_format", "proxy_connect_timeout", "proxy_http_version", "proxy_next_upstream", "proxy_next_upstream_tries",
    "proxy_pass", "proxy_read_timeout", "proxy_send_timeout", "proxy_set_header", "reset_timedout_connection", "return",
    "send_timeout", "server", "server_name", "server_tokens", "ssl_certificate", "ssl_certificate_key", "ssl_protocols",
    "ssl_session_cache", "ssl_session_tickets",
}  # fmt: skip


def without_comments(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))


def directives() -> dict[str, list[str]]:
    """{name: values} of nginx's file. No value of ours holds a semicolon or a brace, except the map's pattern."""
    plain = re.sub(r"map [^{]*\{[^}]*\}", "", without_comments(NGINX))
    quoted = re.sub(r"'[^']*'", lambda found: found[0].replace("{", "").replace("}", ""), plain)
    found: dict[str, list[str]] = {}
    for statement in re.findall(r"([^;{}]+);", quoted):
        name, _, value = " ".join(statement.split()).partition(" ")
        found.setdefault(name, []).append(value)
    return found


def size(text: str) -> int:
    found = re.fullmatch(r"(\d+)(\w*)", text)
    assert found, text
    return int(found[1]) * UNITS[found[2]]


def setting(name: str) -> str:
    """A value of Caddy's file."""
    found = re.search(rf"^\s*{re.escape(name)} (.+)$", without_comments(CADDY), re.MULTILINE)
    assert found, name
    return found[1]


@pytest.mark.parametrize("text", [NGINX, CADDY], ids=["nginx", "caddy"])
def test_blocks_are_closed(text: str) -> None:
    plain = without_comments(text)
    assert plain.count("{") == plain.count("}") > 3


def test_every_directive_is_one_that_nginx_knows() -> None:
    assert set(directives()) <= KNOWN


def test_both_end_tls_and_lead_plain_requests_to_it() -> None:
    found = directives()
    assert "443 ssl" in found["listen"]
    assert found["ssl_protocols"] == ["TLSv1.2 TLSv1.3"]
    assert found["return"][0].startswith("308 https://")
    # Caddy does both for a site that is named without a scheme: https://caddyserver.com/docs/automatic-https
    assert re.search(r"^security-center\.example \{$", CADDY, re.MULTILINE)


def test_both_refuse_what_the_product_refuses() -> None:
    found = directives()
    assert size(found["client_max_body_size"][0]) == LARGEST_BODY_BYTES
    assert size(setting("max_size")) == LARGEST_BODY_BYTES
    count, each = found["large_client_header_buffers"][0].split()
    assert int(count) >= 2
    assert size(each) > LONGEST_ADDRESS
    assert size(setting("max_header_size")) > 2 * LONGEST_ADDRESS


def test_both_put_slow_clients_out_and_wait_longer_for_the_product_than_it_takes() -> None:
    found = directives()
    assert found["client_header_timeout"] == [f"{ImpatientProtocol.head_seconds}s"]
    assert found["client_body_timeout"]
    assert found["send_timeout"]
    assert setting("read_header") == f"{ImpatientProtocol.head_seconds}s"
    assert setting("read_body") == f"{ImpatientProtocol.body_seconds}s"
    assert found["proxy_read_timeout"] == [setting("response_header_timeout")] == ["60s"]
    assert found["limit_conn"] == ["per_address 100"]


def test_both_say_themselves_where_a_request_comes_from() -> None:
    sent = directives()["proxy_set_header"]
    assert "X-Forwarded-For $remote_addr" in sent
    assert "Host $host" in sent
    assert 'Forwarded ""' in sent
    # Caddy replaces X-Forwarded-For unless it trusts a proxy, and hands Host on: https://caddyserver.com/docs/caddyfile/directives/reverse_proxy#defaults
    assert "trusted_proxies" not in without_comments(CADDY)
    assert setting("header_up") == "-Forwarded"


def test_no_access_log_holds_a_query() -> None:
    [(name, _, line)] = [one.partition(" ") for one in directives()["log_format"]]
    used = set(re.findall(r"\$\w+", line))
    assert "$path_only" in used
    assert not used & TELLING
    assert all(value == "off" or value.endswith(f" {name}") for value in directives()["access_log"])
    pattern = re.search(r'map \$request_uri \$path_only \{\s*"~(.+)" \$path;', NGINX)
    assert pattern
    kept = re.match(pattern[1].replace("?<", "?P<"), "/sign-in/callback?code=secret&state=x")
    assert kept
    assert kept["path"] == "/sign-in/callback"
    hidden = setting("request>uri").split()
    assert hidden == ["regexp", r"\?.*", '""']
    assert re.sub(hidden[1], "", "/servicenow/callback?code=secret") == "/servicenow/callback"


def test_metrics_are_not_public() -> None:
    assert re.search(r"location = /metrics \{\s*return 404;\s*\}", without_comments(NGINX))
    assert setting("respond") == "/metrics 404"
