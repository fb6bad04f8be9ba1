"""A comparison means after retargeting what it meant before: the real libsinsp answers both, in its own fields over a capture and in the
plugin's over the whole way, for comparisons made by chance of fields, operators and values, and for those that are easy to get wrong.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from edera_falcod.rules.condition import checks, parse
from edera_falcod.rules.names import problem
from edera_falcod.rules.retarget import obstacles
from edera_falcod.rules.rewrite import ENDS, rewritten
from tests.daemon.support import DATA, FAST, world
from tests.sinsp_host import Pair, SinspHost, require_sinsp

from .native import parameter_counts, run_native, trimmed

NAME = "net1"
EVENTS = 300  # of the capture, by chance
SEED = 5

# Fields whose values the packaged libsinsp and the reference, 0.25.4, give alike; tests/sinsp and parity look at the values themselves.
FIELDS = """
    evt.type evt.category evt.dir evt.res evt.rawres evt.failed evt.is_io_read evt.is_open_write evt.buflen evt.count.error evt.arg.fd
    evt.arg.name evt.rawarg.res evt.rawarg.fd evt.rawarg.name evt.rawarg.domain syscall.type fs.path.name
    proc.name proc.pname proc.aname proc.aname[0] proc.aname[2] proc.aexe proc.aexe[1] proc.aexepath proc.aexepath[3] proc.acmdline
    proc.acmdline[2] proc.apid proc.apid[1] proc.aenv proc.cmdline proc.args proc.env proc.env[HOME] proc.cwd proc.exepath
    proc.pid proc.ppid proc.vpid proc.pvpid proc.sid proc.sname proc.tty proc.duration proc.nthreads proc.vmsize proc.fdlimit
    proc.is_exe_writable thread.tid thread.vtid thread.cap_effective user.uid user.loginuid group.gid
    fd.num fd.type fd.typechar fd.name fd.directory fd.filename fd.ip fd.net fd.port fd.proto fd.cip fd.sip fd.lip fd.rip fd.cport fd.sport
    fd.lport fd.cnet fd.snet fd.rnet fd.l4proto fd.sockfamily fd.is_server fd.dev fd.ino
""".split()
OPERATORS = "= == != < <= > >= contains icontains startswith endswith glob iglob regex in intersects pmatch".split()
VALUES = """0 1 -1 2 3 -2 10 100 +5 05 -0 -13 -111 4294967295 true false "" 127.0.0.1 ::1 0.0.0.0 127.0.0.0/8 10.0.0.0/8 http 80 53 8080
    'a b' bash sh python3 /bin/* /usr/* * O_RDONLY SUCCESS ECONNREFUSED""".split("\n")
EASY_TO_GET_WRONG = """
    proc.aname != bash | proc.aname in (bash, zsh) | not proc.aname = bash | proc.aname exists | not proc.aname exists
    proc.aname contains as | proc.aname startswith ba | proc.aname endswith sh | proc.aname contains "h b" | proc.aname icontains BAS
    proc.aexepath pmatch (/bin, /usr) | proc.acmdline contains "-c " | proc.acmdline regex "bash.*" | proc.acmdline != bash
    proc.aenv contains PATH | proc.aenv contains "HOME=" | proc.apid = 1 | proc.apid != 1 | proc.apid < 30 | proc.apid >= 100000
    fd.ip = 127.0.0.1 | fd.ip != 127.0.0.1 | not fd.ip = 127.0.0.1 | fd.ip exists | fd.ip != ::1 | fd.ip = 0.0.0.0
    fd.net = 127.0.0.0/8 | fd.net != 127.0.0.0/8 | fd.net != ::1/128 | not fd.net != 10.0.0.0/8 | fd.net exists
    fd.net in (127.0.0.0/8) | fd.port = 0 | fd.port < 1024 | fd.port != 53 | not fd.port in (0, 53) | fd.port >= 32768
    fd.port = domain | fd.proto = domain | fd.proto != 53 | fd.sport = domain | fd.sport in (domain, http) | fd.sport != 65589
    fd.port exists | fd.num > 3 | fd.num <= 3 | fd.num < 0 | fd.num > -1 | fd.num >= -1 | fd.num < -1 | fd.num > -100 | fd.num = +4
    fd.num in (03, 5) | evt.rawres > 0 | evt.rawres <= 0 | evt.rawres < -1 | evt.rawres >= -11 | evt.rawres < -100 | evt.rawres != -0
    evt.rawres > 1000 | evt.rawarg.res > 9 | evt.rawarg.res = +0 | evt.rawarg.fd >= 10 | user.uid = -1
    user.uid != -1 | user.uid < -1 | user.loginuid = -1 | user.loginuid > 0 | user.loginuid < 5 | proc.vpid > -1 | proc.ppid >= -5
    proc.ppid < -5 | proc.tty = -1 | proc.pid = val(proc.vpid) | proc.vpid != val(proc.pid) | proc.pid > 20
    proc.name = val(proc.pname) | tolower(proc.name) = BASH | toupper(proc.name) in (BASH) | len(proc.name) > 4
    basename(fd.name) = null | evt.failed = true
    evt.failed != false
"""


def made(rng: random.Random, samples: dict[str, list[str]]) -> list[str]:
    """Conditions by chance, of values that the fields have in the capture and others."""
    pool = " ".join(VALUES).replace("'a b'", "a_b").split()
    found: dict[str, None] = {}

    def value(form: str, operator: str) -> str:
        seen = samples.get(form, [])
        if not seen or rng.random() < 0.3:
            return rng.choice(pool)
        text = rng.choice(seen)
        if operator in ("contains", "icontains", "startswith", "endswith") and len(text) > 2:
            cut = rng.randrange(1, len(text))
            text = text[:cut] if operator == "startswith" else text[cut:]
        elif operator in ("glob", "iglob"):
            text = text[: len(text) // 2] + "*"
        elif text.lstrip("-").isdigit():
            text = str(int(text) + rng.choice((-1, 0, 0, 1)))
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' if text.isascii() and text.isprintable() else "x"

    for form in FIELDS:
        for _ in range(7):
            operator = rng.choice(OPERATORS)
            right = rng.choice(("bash", "[a-z]+", ".*", "/.*", "[0-9.:>-]+")) if operator == "regex" else value(form, operator)
            if operator in ("in", "intersects", "pmatch"):
                if form in ("fd.ip", "fd.net", "proc.apid") or form.startswith("evt.rawarg"):
                    continue  # docs/differences.md: libsinsp's mistakes
                right = f"({', '.join([right] + [value(form, operator) for _ in range(rng.randrange(3))])})"
            found[f"{form} {operator} {right}"] = None
    return list(found)


@pytest.fixture(scope="module")
def host() -> SinspHost:
    return require_sinsp()


def retargeted(condition: str) -> str:
    """The condition with every comparison rewritten."""
    edits = [(check.start, check.end, rewritten(check, condition)) for check in checks(parse(condition).root)]
    for start, end, after in reversed(edits):
        if after is not None:
            condition = condition[:start] + after + condition[end:]
    return condition


def test_conditions_mean_the_same(host: SinspHost, tmp_path: Path) -> None:
    rng = random.Random(SEED)
    older = tmp_path / "older.scap"
    older.write_bytes(trimmed(DATA / f"{NAME}.scap", parameter_counts(host)))
    times = [match.ts for match in run_native(host, older, [Pair("", "", "%evt.num")]).matches]
    chosen = f"evt.rawtime in ({', '.join(map(str, rng.sample(times, EVENTS)))})"
    printed = [Pair(form, f"{chosen} and {form} exists", f"%{form}") for form in FIELDS if form not in ENDS]
    samples: dict[str, list[str]] = defaultdict(list)
    for match in run_native(host, older, printed).matches:
        samples[match.id].append(match.output)
    assert len(samples) > 60

    conditions = [part.strip() for line in EASY_TO_GET_WRONG.split("\n") for part in line.split("|") if part.strip()]
    easy = len(conditions)
    conditions += made(rng, samples)
    pairs = [Pair(condition, f"{chosen} and ({condition})", "%evt.num") for condition in conditions]
    meant = run_native(host, older, pairs)
    refused = {pair.id for pair in meant.pairs if not pair.ok}  # by libsinsp itself, now or at run time
    assert not refused & set(conditions[:easy]), refused & set(conditions[:easy])

    carried = [one for one in conditions if one not in refused and not obstacles(parse(one).root, "")]
    left_out = [one for one in conditions if one not in refused and one not in carried]
    assert all(one.startswith("evt.rawarg.name ") for one in left_out), left_out  # text, and no order of numbers
    after = {condition: retargeted(condition) for condition in carried}
    assert [one for one in after.values() if retargeted(one) != one] == []  # the second time changes nothing

    async def serve() -> Counter[tuple[str, int]]:
        async with world(tmp_path) as one:
            one.host.add_zone(NAME, DATA / f"{NAME}.scap", FAST)
            config = {"socket": str(tmp_path / "falco.sock")}
            given = [Pair(name, f"{chosen} and ({condition})", "%evt.num") for name, condition in after.items()]
            run = await asyncio.to_thread(host.run, given, config, first=20, idle=2.0, time=100)
            assert [f"{pair.id} -> {after[pair.id]}: {pair.error}" for pair in run.pairs if not pair.ok] == []
            return Counter((match.id, match.ts) for match in run.matches)

    matched = asyncio.run(serve())
    wanted = Counter((match.id, match.ts) for match in meant.matches if match.id in after)
    assert len({name for name, _ in wanted}) > 200
    wrong = {name for name, _ in (wanted - matched) + (matched - wanted)}
    assert {f"{name} -> {after[name]}" for name in wrong} == set()


def test_fields_of_the_test_are_known() -> None:
    for form in FIELDS:
        name, _, rest = form.partition("[")
        assert problem(name, rest.rstrip("]") or None) is None
