"""sys/metrics against a live daemon: pages that scrapers take, figures that are what happened, a reference that names them all."""

import os
import re
import signal
import subprocess

import pytest

from daemon import BUILD, REPO, Leased, poll
from job import Job
from openmetrics import OPENMETRICS, PROMETHEUS, Malformed, read, scrape
from pg import Postgres, free_port

MAIN = {"connection": "main", "mount": "database/"}
REFERENCE = REPO / "docs" / "reference" / "metrics.md"
COUNT_S = 25  # overdue leases are counted every 15 s


# ---- the checker itself ----

GOOD = """# TYPE a counter
# HELP a What.
a_total{x="1",y="q\\"\\\\\\n"} 3
# TYPE b_seconds histogram
# UNIT b_seconds seconds
# HELP b_seconds How long.
b_seconds_bucket{le="1.0"} 2
b_seconds_bucket{le="+Inf"} 3
b_seconds_count 3
b_seconds_sum 4.5
# TYPE c gauge
# HELP c Nothing today.
# EOF
"""


@pytest.mark.parametrize("old, new", [
    ("# EOF\n", ""), ("# EOF\n", "# EOF\n# EOF\n"), ("# EOF\n", "# EOF"), ("a_total{", "a{"), ("a_total{", "b{"),
    ('x="1"', 'x=1'), ('x="1"', 'y="1"'), ('x="1"', '1x="1"'), ('x="1",', 'x="1",,'), ('\\n"}', '\\t"}'), ('\\n"}', '\\n"'),
    ("} 3\n", "} -3\n"), ("} 3\n", "} three\n"), ("# TYPE a counter\n", ""), ("# HELP a What.\n", ""), ("counter", "count"),
    ("# UNIT b_seconds seconds\n", ""), ("# UNIT b_seconds seconds", "# UNIT b_seconds bytes"),
    ('le="1.0"} 2', 'le="1.0"} 4'), ('b_seconds_bucket{le="+Inf"} 3\n', ""), ("b_seconds_count 3", "b_seconds_count 2"),
    ("b_seconds_sum 4.5\n", ""), ("# TYPE c gauge", "# TYPE a gauge"), ("# TYPE c gauge", "c 1\n# TYPE c gauge"),
    ("b_seconds_count 3", "b_seconds_count 3\nb_seconds_count 3"), ("b_seconds_sum 4.5", "\nb_seconds_sum 4.5"),
])
def test_the_checker_refuses_what_a_scraper_would(old, new):
    read(GOOD, OPENMETRICS)
    assert GOOD.count(old) >= 1
    with pytest.raises(Malformed):
        read(GOOD.replace(old, new, 1), OPENMETRICS)


# ---- the live daemon ----

def both(leased):
    """Both text forms, strictly read; the figures of the first."""
    read_old = scrape(leased, PROMETHEUS)
    page = scrape(leased, OPENMETRICS)
    assert [name.removesuffix("_total").removesuffix("_info") for name in read_old.families] == list(page.families)
    return page


@pytest.fixture(scope="module")
def pages():
    """A connection that mints, is refused, is away while a lease ends, and comes back: the pages on the way."""
    found = {}
    with Postgres() as server, Leased() as leased:
        found["empty"] = both(leased)
        job = Job(server, leased=leased).set_up()
        assert job.role("short", default_ttl="2s").status == 204
        assert job.role("capped", max_leases=1).status == 204
        before = scrape(leased)
        kept, short, asked = job.mint(), job.mint("short"), job.mint()
        assert job.revoke(asked).status == 204
        job.mint("capped")
        assert leased.get("database/creds/capped").status == 429
        poll(lambda: short.user not in job.accounts(), 15, what="the end of the short lease")
        found["before"], found["after"] = before, both(leased)
        late = job.mint("short")
        server.stop()
        poll(lambda: scrape(leased).value("leased_connection_up", **MAIN) == 0, 30, every=0.3, what="a connection that is down")
        assert leased.get("database/creds/app").status == 503
        overdue = ("leased_connection_overdue",)
        poll(lambda: scrape(leased).value(*overdue, **MAIN) == 1, COUNT_S, every=0.5, what="the count of what is overdue")
        found["down"] = both(leased)
        found["down_json"] = leased.get("sys/metrics").json
        server.start()
        poll(lambda: late.user not in job.accounts(), 30, what="the end of the late lease")
        poll(lambda: scrape(leased).value(*overdue, **MAIN) == 0, COUNT_S, every=0.5, what="the count of nothing")
        found["back"] = both(leased)
        assert server.can_login(kept.user, kept.password)
        yield found


def grown(pages, name, **labels):
    return pages["after"].total(name, **labels) - pages["before"].total(name, **labels)


def test_an_empty_daemon_has_a_page(pages):
    page = pages["empty"]
    assert page.value("leased_ready") == 1 and page.value("leased_connections") == 0
    assert page.value("leased_store_writable") == 1 and page.value("leased_store_file_bytes") > 0
    assert page.value("leased_mint_seconds_count") == 0
    assert page.families["leased_connection_up"].samples == []


def test_mints_ends_and_requests_are_counted_once_each(pages):
    assert grown(pages, "leased_mint_seconds_count") == 4
    assert grown(pages, "leased_mint_failures_total", error="limit") == 1
    assert grown(pages, "leased_leases_gone_total", cause="expired") == 1
    assert grown(pages, "leased_leases_gone_total", cause="revoked") == 1
    assert grown(pages, "leased_end_lateness_seconds_count", cause="expired") == 1
    assert grown(pages, "leased_end_lateness_seconds_count", cause="asked") == 1
    assert grown(pages, "leased_requests_total", **{"class": "credentials", "status": "2xx"}) == 4
    assert grown(pages, "leased_requests_total", **{"class": "credentials", "status": "4xx"}) == 1
    assert grown(pages, "leased_requests_total", **{"class": "leases", "status": "2xx"}) == 1
    assert grown(pages, "leased_store_operations_total") >= grown(pages, "leased_store_commits_total") > 0
    assert pages["after"].value("leased_connection_up", **MAIN) == 1
    assert pages["after"].value("leased_connection_workers", **MAIN) >= 1


def test_a_lease_that_ends_on_time_is_not_late_by_seconds(pages):
    late = pages["after"].value("leased_end_lateness_seconds_bucket", cause="expired", le="10.0")
    assert late == pages["after"].value("leased_end_lateness_seconds_count", cause="expired")


def test_an_outage_shows_as_down_overdue_and_growing_old(pages):
    page = pages["down"]
    assert page.total("leased_connection_down_reason", **MAIN) == 1
    assert page.value("leased_connection_down_reason", error="unavailable", **MAIN) == 1
    assert page.value("leased_leases_overdue") == page.value("leased_connection_overdue", **MAIN) == 1
    assert page.value("leased_connection_overdue_oldest_seconds", **MAIN) > 0
    assert page.value("leased_mint_failures_total", error="unavailable") >= 1
    assert page.value("leased_connection_leases", **MAIN) == 3
    assert page.value("leased_ready") == 1, "one dead backend is no reason to send clients away"


def test_the_end_of_an_outage_leaves_only_its_lateness(pages):
    down, back = pages["down"], pages["back"]
    assert back.value("leased_connection_up", **MAIN) == 1 and back.total("leased_connection_down_reason") == 0
    assert back.value("leased_connection_overdue_oldest_seconds", **MAIN) == 0
    count = "leased_end_lateness_seconds_count"
    assert back.value(count, cause="expired") == down.value(count, cause="expired") + 1
    in_time = "leased_end_lateness_seconds_bucket"
    assert back.value(in_time, cause="expired", le="1.0") <= down.value(in_time, cause="expired", le="1.0")
    for name, labels in [key for key in down.samples if key[0].endswith(("_total", "_count", "_bucket"))]:
        assert back.samples[name, labels] >= down.samples[name, labels], f"{name} {labels} went back"


def test_json_says_the_same_to_clients_of_vault(pages):
    page = pages["down_json"]
    assert set(page) == {"Timestamp", "Gauges", "Points", "Counters", "Samples"}
    gauges = {(row["Name"], tuple(sorted(row["Labels"].items()))): row["Value"] for row in page["Gauges"]}
    assert gauges["leased_connection_up", tuple(sorted(MAIN.items()))] == 0
    assert gauges["leased_leases_overdue", ()] == 1
    minted = [row for row in page["Samples"] if row["Name"] == "leased_mint_seconds"]
    assert len(minted) == 1 and minted[0]["Count"] == pages["down"].value("leased_mint_seconds_count") and minted[0]["Mean"] > 0


# ---- the reference ----

def reference():
    """name: (type, labels) of each row of the page's tables."""
    rows = re.findall(r"^\| `([a-z_]+)` \| (\w+) \|([^|]*)\|", REFERENCE.read_text(), re.M)
    assert len(rows) == len({name for name, _, _ in rows}), "a metric has two rows"
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def test_the_reference_names_every_metric_and_no_other(pages):
    told = reference()
    for page in (pages["empty"], pages["down"], pages["back"]):
        assert set(page.families) - set(told) == set(), "metrics without a row in docs/reference/metrics.md"
        assert set(told) - set(page.families) == set(), "rows of metrics that there are not"
        for name, family in page.families.items():
            assert told[name][0] == family.type, name
            for _, labels, _ in family.samples:
                assert set(labels) - {"le"} == told[name][1], name


def test_the_alerts_of_the_reference_use_metrics_that_there_are(pages):
    known = {name for name, _ in pages["down"].samples} | {name for name, _ in pages["empty"].samples}
    known |= {name + suffix for name, (kind, _) in reference().items()
              for suffix in {"counter": ["_total"], "info": ["_info"], "gauge": [""]}.get(kind, [])}
    rules = re.findall(r"```yaml\n(.*?)```", REFERENCE.read_text(), re.S)
    used = set(re.findall(r"\b((?:leased|process)_[a-z_]+)", "\n".join(rules)))
    assert len(used) > 10 and used - known == set()


def test_each_kind_of_account_that_a_comparison_finds_amiss_has_an_alert():
    rules = "\n".join(re.findall(r"```yaml\n(.*?)```", REFERENCE.read_text(), re.S))
    found = {name for name in reference() if re.fullmatch(r"leased_reconcile_\w+_accounts", name)}
    assert len(found) >= 3 and {name for name in found if not re.search(rf"\b{name} > 0", rules)} == set()


# ---- who may read it ----

CONFIG = """data_dir  = "{dir}/data"
seal "file"      { path = "{dir}/root.key" }
listener "unix"  { path = "{dir}/leased.sock"  mode = "0666" }
listener "tcp"   { address = "127.0.0.1:%d"  tls_disable = true  unauthenticated_metrics = true }
plugin_dir = "%s"
auth "unix" { role "scraper" { bound_uids = [4321]  policies = ["metrics"] } }
policy "metrics" { path "sys/metrics" { capabilities = ["read"] } }
"""


def test_an_open_listener_shows_it_to_anybody_and_no_other_does():
    port = free_port()
    with Leased(config=CONFIG % (port, BUILD / "libexec" / "leased" / "plugins")) as leased:
        os.chmod(leased.dir, 0o755)  # so that others reach the socket

        def curl(path, *more):
            return subprocess.run(["curl", "-s", "-w", "%{http_code} %{content_type}", *more, f"http://127.0.0.1:{port}{path}"],
                                  capture_output=True, text=True, check=True).stdout

        assert curl("/metrics").endswith("200 text/plain; version=0.0.4; charset=utf-8")
        body = curl("/metrics", "-H", "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
        text, _, verdict = body.rpartition("\n")
        assert verdict == "200 application/openmetrics-text; version=1.0.0; charset=utf-8"
        assert read(text + "\n", OPENMETRICS).value("leased_ready") == 1
        assert curl("/v1/sys/metrics").endswith("200 application/json")
        assert " 403 " not in curl("/v1/sys/health") and curl("/v1/sys/mounts").endswith("403 application/json")
        assert leased.request_as(4321, 4321, "GET", "sys/metrics").status == 200
        assert leased.request_as(4322, 4322, "GET", "sys/metrics").status == 403
        assert leased.request_as(4321, 4321, "GET", "/metrics").status == 404
        path = leased.dir / "leased.hcl"
        path.write_text(path.read_text().replace("unauthenticated_metrics = true", ""))
        os.kill(leased.pid, signal.SIGHUP)
        told = f"listener 127.0.0.1:{port}"
        poll(lambda: "from the next start on" in leased.output() and told in leased.output(), what="a word that it stays open")


def test_it_is_not_ready_while_it_ends_what_a_crash_left_and_alive_all_the_time(server):
    with Leased() as leased:
        job = Job(server, leased=leased).set_up()
        leased.stop()
        leased.start(failpoint="lease_issue_after_mint=kill")
        with pytest.raises(OSError):
            leased.get("database/creds/app")
        leased.wait_exit()
        left = job.accounts()
        assert len(left) == 1
        server.pause()  # so that the account is still to be ended
        try:
            leased.start()  # waits for sys/health
            ready = leased.get("sys/health?ready=true")
            assert ready.status == 503 and ready.json["not_ready"] == ["recovering"], ready
            assert leased.get("sys/health").status == 200
            page = scrape(leased)
            assert (page.value("leased_ready"), page.value("leased_recovering")) == (0, 1)
            assert page.value("leased_not_ready_reason", reason="recovering") == 1
        finally:
            server.resume()
        poll(lambda: leased.get("sys/health?ready=true").status == 200, 30, what="readiness")
        assert job.accounts() == [], "ready once what the crash left is gone"
