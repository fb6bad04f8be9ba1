"""The endpoint as Prometheus and probes see it, over real sockets; and that what lies in examples/ uses only metrics that exist."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from edera_falcod.config import ConfigError, Loader, MetricsConfig
from edera_falcod.ops import metrics
from edera_falcod.ops.exposition import OTHER, Histogram, Metric, ZoneLabels, expose, histogram_samples
from edera_falcod.ops.http import MAX_CONNECTIONS, MAX_REQUEST, loopback
from tests.daemon.support import CAPTURE, FAST, World, consuming, until

ROOT = Path(__file__).parent.parent.parent
SAMPLE = re.compile(r'([a-z_:][a-z0-9_:]*)(?:\{((?:[a-z_]+="(?:[^"\\]|\\.)*",?)*)\})? (\S+)')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')
Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def parse(text: str) -> Series:
    """As strict as Prometheus is: every line is right, every sample is declared before it, none comes twice."""
    found: Series = {}
    declared: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in declared
            declared[name] = kind
            continue
        if line.startswith("# HELP "):
            continue
        match = SAMPLE.fullmatch(line)
        assert match is not None, line
        family = re.sub("_(bucket|sum|count)$", "", match[1]) if match[1] not in declared else match[1]
        assert family in declared, line
        assert (declared[family] == "histogram") == (family != match[1]), line
        key = (match[1], tuple(sorted(LABEL.findall(match[2] or ""))))
        assert key not in found, line
        found[key] = float(match[3])
    return found


def value(series: Series, name: str, **labels: str) -> float:
    return series[name, tuple(sorted(labels.items()))]


@contextlib.asynccontextmanager
async def world(folder: Path, listen: str) -> AsyncIterator[World]:
    one = World(folder)
    object.__setattr__(one.config, "metrics", MetricsConfig(listen=listen))
    async with one.host:
        running = asyncio.create_task(one.daemon.run())
        try:
            await one.daemon.ready.wait()
            yield one
        finally:
            one.daemon.stop.set()
            await running


async def ask(path: Path | int, request: bytes) -> tuple[int, str]:
    if isinstance(path, int):
        reader, writer = await asyncio.open_connection("127.0.0.1", path)
    else:
        reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(request)
    async with asyncio.timeout(15):
        data = await reader.read()
    writer.close()
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]) if head else 0, body.decode()


async def get(path: Path | int, what: str = "/metrics") -> tuple[int, str]:
    return await ask(path, f"GET {what} HTTP/1.1\r\nHost: x\r\n\r\n".encode())


async def test_a_scrape_tells_what_happened(tmp_path: Path) -> None:
    where = tmp_path / "metrics.sock"
    async with world(tmp_path, f"unix:{where}") as one:
        assert where.stat().st_mode & 0o777 == 0o660
        one.host.add_zone("web-1", CAPTURE, FAST, limit=300)
        one.host.add_zone("gone", CAPTURE, FAST, limit=100)
        async with consuming(one) as consumer, consuming(one, "tail-123", ephemeral=True):
            await until(lambda: len(consumer.events) == 400)
            one.host.malformed("web-1", "event")
            await until(lambda: one.account("web-1").undecodable)
            one.host.remove_zone("gone")
            await until(lambda: len(one.daemon.pipelines.by_id) == 1)
            code, text = await get(where)
            assert code == 200
            series = parse(text)
            assert value(series, "edera_falcod_events_received_total") == 401
            assert value(series, "edera_falcod_zone_events_received_total", zone="web-1") == 301
            assert not any(("zone", "gone") in labels for _, labels in series)
            assert value(series, "edera_falcod_zone_events_undecodable_total", zone="web-1", cause="unknown_event") == 1
            assert value(series, "edera_falcod_events_dropped_total", hop="decode", cause="unknown_event", consumer="") == 1
            assert value(series, "edera_falcod_zones", state="live") == 1
            assert value(series, "edera_falcod_zones", state="quarantined") == 0
            assert value(series, "edera_falcod_zones_gone_total") == 1
            assert value(series, "edera_falcod_edera_link_up") == value(series, "edera_falcod_live") == 1
            assert value(series, "edera_falcod_consumer_connected", consumer="falco") == 1
            assert value(series, "edera_falcod_consumer_connected", consumer="(ephemeral)") == 1
            assert not any("tail-123" in str(labels) for _, labels in series)
            assert value(series, "edera_falcod_zone_threads", zone="web-1") > 0
            sent = value(series, "edera_falcod_delivery_latency_seconds_count")
            assert 400 <= sent <= 400 + value(series, "edera_falcod_notices_total")
            assert value(series, "edera_falcod_delivery_latency_seconds_bucket", le="+Inf") == sent
            assert value(series, "process_resident_memory_bytes") > 1 << 20
        assert value(parse((await get(where))[1]), "edera_falcod_consumer_connected", consumer="falco") == 0
    assert not where.exists()


async def test_probes(tmp_path: Path) -> None:
    where = tmp_path / "metrics.sock"
    async with world(tmp_path, f"unix:{where}") as one:
        await until(lambda: one.daemon.zones.link.value == "up")
        assert await get(where, "/livez") == (200, "live\n")
        assert await get(where, "/readyz") == (200, "ready\n")
        await one.host.stop()
        await until(lambda: one.daemon.zones.link.value == "waiting")
        code, text = await get(where, "/readyz")
        assert code == 503 and "the Edera daemon does not answer" in text
        assert (await get(where, "/livez"))[0] == 200
        one.daemon.watch.live = False
        assert (await get(where, "/livez"))[0] == 503


async def test_a_loopback_address(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with world(tmp_path, f"127.0.0.1:{port}"):
        assert (await get(port))[0] == 200
    with pytest.raises(OSError):
        await get(port)


async def test_clients_that_mean_harm_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edera_falcod.ops.http.TIMEOUT", 0.5)
    where = tmp_path / "metrics.sock"
    async with world(tmp_path, f"unix:{where}") as one:
        assert (await ask(where, b"POST /metrics HTTP/1.1\r\n\r\n"))[0] == 405
        assert (await ask(where, b"HEAD /metrics HTTP/1.1\r\n\r\n")) == (200, "")
        assert (await ask(where, b"hello\r\n\r\n"))[0] == 400
        assert (await get(where, "/etc/passwd"))[0] == 404
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            assert (await ask(where, b"x" * 4 * MAX_REQUEST))[0] == 0
        silent = [await asyncio.open_unix_connection(str(where)) for _ in range(MAX_CONNECTIONS)]
        await asyncio.sleep(0.05)
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            assert await get(where) == (0, "")  # too many
        await until(lambda: not one.daemon.http._tasks)  # who says nothing is let go
        assert (await get(where))[0] == 200
        for _, writer in silent:
            writer.close()


@pytest.mark.parametrize(
    "text", ["0.0.0.0:1", "127.0.0.1", "127.0.0.1:0", "localhost:1", "[::]:9", "10.0.0.1:9", "127.0.0.1:70000", "unix:x"]
)
def test_only_addresses_of_this_host_are_taken(text: str) -> None:
    with pytest.raises(ConfigError, match=r"metrics\.listen = .*: must be empty"):
        Loader().set("test", "metrics.listen", text)
    with pytest.raises(ValueError):
        loopback(text)


def test_addresses() -> None:
    assert loopback("127.0.0.1:9469") == ("127.0.0.1", 9469)
    assert loopback("[::1]:9469") == ("::1", 9469)


def test_labels_of_zones_are_bounded_and_others_never_fall() -> None:
    counts = {1: 5.0, 2: 7.0, 3: 11.0}
    counter: Metric[None] = Metric("x_total", "counter", "X.", ("zone",), lambda _: [((str(i),), v) for i, v in counts.items()])
    gauge: Metric[None] = Metric("y", "gauge", "Y.", ("zone",), lambda _: [((str(i),), v) for i, v in counts.items()])
    labels = ZoneLabels(limit=1)

    def scrape() -> dict[tuple[str, str], float]:
        labels.update([(index, f"zone{index}", f"id{index}") for index in counts])
        found = parse(expose([counter, gauge], None, labels))
        return {(name.removeprefix("edera_falcod_"), dict(pairs)["zone"]): number for (name, pairs), number in found.items()}

    assert scrape() == {("x_total", "zone1"): 5, ("x_total", OTHER): 18, ("y", "zone1"): 5, ("y", OTHER): 18}
    counts[3] = 12
    del counts[2]
    assert scrape() == {("x_total", "zone1"): 5, ("x_total", OTHER): 19, ("y", "zone1"): 5, ("y", OTHER): 12}
    del counts[1]
    counts[4] = 2
    found = scrape()  # 3 stays among the others although there is room now
    assert found["x_total", "zone4"] == 2 and found["x_total", OTHER] == 19


def test_zones_of_the_same_name_are_told_apart() -> None:
    labels = ZoneLabels()
    labels.update([(1, "a", "id1"), (2, "a", "id2"), (3, "", "id3"), (4, OTHER, "id4")])
    gauge: Metric[None] = Metric("y", "gauge", "", ("zone",), lambda _: [])
    found = labels.name(gauge, [((str(index),), index) for index in range(1, 5)])
    assert [label for (label,), _ in found] == ["a", "id2", "id3", "id4"]


def test_text_is_escaped_and_histograms_add_up() -> None:
    gauge: Metric[None] = Metric("g", "gauge", 'a "b"\n', ("l",), lambda _: [(('x"\\\n',), 0.25)])
    assert expose([gauge], None, ZoneLabels()).splitlines()[-1] == 'edera_falcod_g{l="x\\"\\\\\\n"} 0.25'
    histogram = Histogram((1.0, 2.0))
    for number in (0.5, 1.0, 1.5, 99.0):
        histogram.observe(number, 2)
    assert histogram_samples(histogram) == [(("1",), 4), (("2",), 6), (("+Inf",), 8), (("sum",), 204.0)]


def test_names_follow_the_conventions() -> None:
    names = [metric.full for metric in metrics.METRICS]
    assert len(names) == len(set(names))
    for metric in metrics.METRICS:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", metric.full)
        assert (metric.kind == "counter") == metric.full.endswith("_total"), metric.full
        assert metric.help.endswith("."), metric.full
        assert not re.search(r"_(ms|ns|us|kb|mb|minutes)(_|$)", metric.full), metric.full


def used(expression: str) -> set[str]:
    """Names of our metrics in an expression, without what a histogram appends."""
    found = re.findall(r"\b((?:edera_falcod|process)_[a-z0-9_]+)", expression)
    return {re.sub("_(bucket|sum|count)$", "", name) if "latency" in name else name for name in found}


def labels_used(expression: str) -> set[str]:
    found = {label for block in re.findall(r"\{([^}]*)\}", expression) for label in re.findall(r"([a-z_]+)\s*[=!]", block)}
    return found | {label.strip() for block in re.findall(r"by \(([^)]*)\)", expression) for label in block.split(",")}


def test_examples_use_only_metrics_that_exist() -> None:
    known = {metric.full: set(metric.labels) | {"le", "job", "instance"} for metric in metrics.METRICS}
    rules = YAML(typ="safe").load(ROOT / "examples/prometheus-alerts.yaml")["groups"][0]["rules"]
    dashboard = json.loads((ROOT / "examples/grafana-dashboard.json").read_text())
    expressions = [rule["expr"] for rule in rules] + [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(rules) >= 10 and len(expressions) >= 30
    for expression in expressions:
        names = used(expression)
        assert names or expression.startswith("up{"), expression
        assert names <= known.keys(), expression
        for name in names:
            assert labels_used(expression) <= known[name], expression
    text = json.dumps(dashboard["templating"])
    assert used(text) <= known.keys()
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))


def test_the_reference_names_every_metric() -> None:
    text = metrics.reference()
    assert all(f"`{metric.full}`" in text for metric in metrics.METRICS)
