"""What a process counts, in the text that Prometheus reads."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.core.metrics import count_call, count_request, measured_job, process_metrics


def value(name: str, **labels: str) -> float:
    """The value of this series now; 0 where there is none yet."""
    for family in text_string_to_metric_families(process_metrics().decode()):
        for sample in family.samples:
            if sample.name == f"security_center_{name}" and sample.labels == labels:
                return sample.value
    return 0.0


def test_a_request_is_counted_by_route_method_and_status() -> None:
    labels = {"route": "a.page", "method": "GET", "status": "200"}
    before = value("requests_total", **labels), value("request_seconds_count", route="a.page")
    count_request("a.page", "GET", 200, 0.02)
    assert value("requests_total", **labels) == before[0] + 1
    assert value("request_seconds_count", route="a.page") == before[1] + 1
    assert value("request_seconds_bucket", route="a.page", le="0.025") >= 1


@pytest.mark.parametrize(
    ("outcome", "label"), [(201, "2xx"), (404, "4xx"), (429, "429"), (500, "5xx"), ("Unreachable",) * 2]
)
def test_a_call_is_counted_by_the_class_of_its_status_or_by_its_error(outcome: str | int, label: str) -> None:
    before = value("calls_total", system="servicenow", outcome=label)
    count_call("servicenow", outcome, 0.3)
    assert value("calls_total", system="servicenow", outcome=label) == before + 1


def test_a_job_that_raises_is_counted_as_raised() -> None:
    done, raised = ({"task": "bakery.bake", "outcome": outcome} for outcome in ("done", "raised"))
    before = value("jobs_total", **done), value("jobs_total", **raised)
    with measured_job("bakery.bake"):
        pass
    with pytest.raises(LookupError), measured_job("bakery.bake"):
        raise LookupError
    assert (value("jobs_total", **done), value("jobs_total", **raised)) == (before[0] + 1, before[1] + 1)
