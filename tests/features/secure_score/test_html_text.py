"""Graph's HTML: safe to show, readable as plain text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.features.secure_score import html_text
from app.features.secure_score.html_text import (
    LONGEST_HTML,
    clean_html,
    cut,
    is_web_address,
    links_of,
    plain_text,
)

HARMFUL = re.compile(
    r"<\s*(script|style|iframe|img|svg|object|embed|form|input|link|meta|base|video|template)\b|<[^>]*\s(on\w+|style|src|id)\s*=|javascript:",
    re.IGNORECASE,
)


@pytest.mark.fact("microsoft-graph edge-32")
@pytest.mark.parametrize(
    ("html", "clean"),
    [
        ("<p style='color:red'>Red</p>", "<p>Red</p>"),
        ('<a href="javascript:alert(1)">x</a>', '<a rel="noopener noreferrer" target="_blank">x</a>'),
        ("<a href=' jAvAsCrIpT:alert(1)'>x</a>", '<a rel="noopener noreferrer" target="_blank">x</a>'),
        ("<a href='data:text/html,x'>x</a>", '<a rel="noopener noreferrer" target="_blank">x</a>'),
        ("<a href='/tickets/new'>x</a>", '<a rel="noopener noreferrer" target="_blank">x</a>'),
        ("<a href='//evil.example'>x</a>", '<a rel="noopener noreferrer" target="_blank">x</a>'),
        (
            "<a href='https://aka.ms/mfa' target=_blank onclick='steal()'>x</a>",
            '<a href="https://aka.ms/mfa" target="_blank" rel="noopener noreferrer">x</a>',
        ),
        ("<b onmouseover=alert(1)>b</b>", "<b>b</b>"),
        ("<img src=x onerror=alert(1)>", ""),
        ("<iframe src='https://evil.example'>inside</iframe>after", "after"),
        ("<script>alert(1)</script>after", "after"),
        ("<p>one<p>two<ul><li>three", "<p>one</p><p>two</p><ul><li>three</li></ul>"),
        ("</div></main><p>free", "<p>free</p>"),
        ("<label>l</label> <span style='x'>s</span>", "l s"),
        ("<p>100% of users&nbsp;</p>", "<p>100% of users&nbsp;</p>"),
        ("a < b & c", "a &lt; b &amp; c"),
        ("<!-- note --><p>x</p>", "<p>x</p>"),
    ],
)
def test_only_harmless_html_is_shown(html: str, clean: str) -> None:
    found = clean_html(html)
    assert sorted(re.split(r"[ <>]", found)) == sorted(re.split(r"[ <>]", clean))


@pytest.mark.fact("microsoft-graph edge-32")
@given(st.lists(st.sampled_from([
    "<script>", "</script>", "<a href='", "javascript:", "'>", "<img src=x ", "onerror=", "<svg", "/onload=", "\"", ">", "<",
    "<style>", "<p>", "&lt;script&gt;", "<math><mtext>", "<noscript>", "--!>", "<!--", "x", "<base href=//e>", "\x00", "<form>",
])).map("".join))  # fmt: skip
def test_no_mixture_gets_through(html: str) -> None:
    assert not HARMFUL.search(re.sub(r">[^<]*<", "><", f">{clean_html(html)}<"))


@pytest.mark.fact("microsoft-graph edge-33")
def test_texts_become_readable_lines() -> None:
    html = (
        " <p>Go to&nbsp;<b>Policies</b> &amp; rules:<br />first</p>\r\n\t<ol><li>Open <a href='https://a.example/x'>it</a></li>"
        "<li><p>Choose</p><ul><li>this</li><li>or that</li></ul></li></ol><p>See https://b.example</p><script>no()</script>"
    )
    assert plain_text(html) == (
        "Go to Policies & rules:\nfirst\n\n1. Open it (https://a.example/x)\n2. Choose\n\n  - this\n  - or that\n\n"
        "See https://b.example"
    )


@pytest.mark.fact("microsoft-graph edge-33")
def test_there_is_a_cap() -> None:
    assert plain_text("<p>" + "long " * 5000 + "</p>", 100).endswith("…")
    assert len(plain_text("x" * 5000, 100)) == 100
    assert cut("short", 100) == "short"


@pytest.mark.fact("microsoft-graph edge-33")
@given(st.text(st.characters(codec="utf-8")), st.integers(1, 200))
def test_any_text_becomes_plain(html: str, longest: int) -> None:
    found = plain_text(html, longest)
    assert len(found) <= longest
    assert "\n\n\n" not in found


@pytest.mark.parametrize(
    "address",
    [
        "https://security.microsoft.com@evil.example/",
        "https://user:change-me@security.microsoft.com/",
        "https://@evil.example/",
        "https://security.microsoft.com\\@evil.example/",
        "https:\\\\evil.example/",
        "https://evil.example/\x01",
        "https://ev il.example/",
        "https://[::1",
        "https://aka.ms/" + "a" * 3000,
    ],
)
def test_an_address_that_reads_like_another_one_never_becomes_a_link(address: str) -> None:
    assert not is_web_address(address)
    html = f"<p><a href='{address}'>Microsoft’s portal</a></p>"
    assert "href" not in clean_html(html)
    assert links_of(html) == []
    assert "(" not in plain_text(html)


@pytest.mark.parametrize(
    "address", ["https://security.microsoft.com/x?a=b@c", "http://aka.ms/mfa#a@b", " https://aka.ms/mfa "]
)
def test_an_at_sign_behind_the_host_is_no_user(address: str) -> None:
    assert is_web_address(address)
    assert "href" in clean_html(f"<a href='{address}'>x</a>")


@pytest.mark.parametrize("part", ["<!--", "<![CDATA[", "<!", "<?", "</", "<a", "<a b='", "<p ", "&#", "&", "<script>"])
def test_hostile_html_is_shortened_before_pythons_parser_reads_it(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads an open comment to its end for each further one: 200 kilobytes took a minute."""
    read: list[str] = []
    feed = html_text._Reader.feed

    def noted(self: html_text._Reader, data: str) -> None:
        read.append(data)
        feed(self, data)

    monkeypatch.setattr(html_text._Reader, "feed", noted)
    monkeypatch.setattr(html_text._LinkReader, "feed", noted)
    plain_text(part * (200_000 // len(part)))
    links_of(part * (200_000 // len(part)))
    assert len(read) == 2
    # What is left is balanced: no opening sign but those of whole tags, of which each is read once.
    assert all(len(text) <= 6 * LONGEST_HTML for text in read)
    assert all(not re.search(r"<(?!/?[a-z])", text) for text in read)
