"""A form is filled as the person left it: by name, in order, escaped, and nothing else of the page changes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.web.form_filling import LARGEST_PAGE, fill_form

PAGE = """<!doctype html><p>Fish &amp; chips</p>
<form action="/other"><input name="name" value="other"></form>
<form method="post" action="/save?action=A%20%26%20B">
<input type="hidden" name="key" value="new">
<input id="n" name="name" value="old" maxlength="80" required>
<textarea name="text" rows="3">old &lt;text&gt;</textarea>
<select name="kind"><option value="a" selected>A</option><option value="b">B</option></select>
<input type="checkbox" name="tick" value="1" checked><input type="checkbox" name="tick" value="2">
<input type="radio" name="way" value="x" checked><input type="radio" name="way" value="y">
<input type="radio" name="none" value="x" checked>
<input name="line" value=""><input name="line" value="">
<input type="password" name="client_secret" value="">
<button name="do" value="save">Save</button>
</form>
<textarea name="text">outside</textarea>"""
FIELDS = [
    ("key", "kept"), ("name", 'a "b" <c>'), ("text", "\nfirst & last\n</textarea><script>"), ("kind", "b"), ("tick", "2"),
    ("way", "y"), ("line", "1"), ("line", "2"), ("client_secret", "never"), ("do", "delete"), ("gone", "x"),
]  # fmt: skip


def test_every_kind_of_field_is_filled_and_no_other_form() -> None:
    filled = fill_form(PAGE, "/save?action=A+%26+B", FIELDS)
    for text in (
        '<form action="/other"><input name="name" value="other"></form>',
        '<form method="post" action="/save?action=A%20%26%20B" id="not-sent">',
        '<input type="hidden" name="key" value="kept">',
        '<input id="n" name="name" maxlength="80" required value="a &quot;b&quot; &lt;c&gt;">',
        '<textarea name="text" rows="3">\n\nfirst &amp; last\n&lt;/textarea&gt;&lt;script&gt;</textarea>',
        '<option value="a">A</option><option value="b" selected>B</option>',
        '<input type="checkbox" name="tick" value="1"><input type="checkbox" name="tick" value="2" checked>',
        '<input type="radio" name="way" value="x"><input type="radio" name="way" value="y" checked>',
        '<input type="radio" name="none" value="x" checked>',
        '<input name="line" value="1"><input name="line" value="2">',
        '<input type="password" name="client_secret" value="">',
        '<button name="do" value="save">Save</button>',
        '<textarea name="text">outside</textarea>',
        "Fish &amp; chips",
    ):
        assert text in filled, text
    assert "<script>" not in filled


def test_a_form_for_another_address_stays_as_it_is() -> None:
    assert fill_form(PAGE, "/save?action=C", FIELDS) == PAGE


@given(st.text(max_size=200), st.text(max_size=200))
def test_whatever_was_typed_comes_back_and_closes_nothing(name: str, text: str) -> None:
    filled = fill_form(PAGE, "/save?action=A+%26+B", [("name", name), ("text", text)])
    assert filled.count("<") == PAGE.count("<")
    assert "outside" in filled


def test_a_page_that_is_too_large_stays_as_it_is() -> None:
    large = PAGE + " " * LARGEST_PAGE
    assert fill_form(large, "/save?action=A+%26+B", FIELDS) == large
