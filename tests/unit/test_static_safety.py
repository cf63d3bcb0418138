"""No line of the services executes what it reads, trusts who it cannot check, or builds SQL from text."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.unit import static_rules as rules

ROOT = Path(__file__).resolve().parents[2]
FILES = [*(ROOT / "services").rglob("*.py"), *(ROOT / "scripts").glob("*.py")]

BAD = [
    (rules.no_pickle, "import pickle"),
    (rules.no_pickle, "from joblib import load"),
    (rules.no_pickle, "import marshal as m"),
    (rules.no_pickle, "def f():\n    import dill"),
    (rules.no_random_module, "from random import randbytes"),
    (rules.no_unsafe_calls, "eval(message)"),
    (rules.no_unsafe_calls, "exec(open(path).read())"),
    (rules.no_unsafe_calls, "compile(text, 'x', 'exec')"),
    (rules.no_unsafe_calls, "import torch\ntorch.load(path, weights_only=True)"),
    (rules.no_unsafe_calls, "from torch import load as read\nread(path)"),
    (rules.no_unsafe_calls, "import yaml\nyaml.load(text, Loader=yaml.Loader)"),
    (rules.no_unsafe_calls, "from tempfile import mktemp\nmktemp()"),
    (rules.no_unsafe_calls, "import os\nos.system('ls ' + name)"),
    (rules.no_unsafe_calls, "import ssl\nssl._create_unverified_context()"),
    (rules.no_unsafe_calls, "from multiprocessing.connection import Listener\nListener(('0.0.0.0', 1))"),
    (rules.arrays_without_pickle, "import numpy as np\nnp.load(path)"),
    (rules.arrays_without_pickle, "from numpy import load\nload(path, allow_pickle=True)"),
    (rules.arrays_without_pickle, "import numpy\nnumpy.load(path, allow_pickle=flag)"),
    (rules.no_shell, "import subprocess\nsubprocess.run(command, shell=True)"),
    (rules.no_shell, "from subprocess import Popen as start\nstart(command, shell=flag)"),
    (rules.sql_is_constant, "from sqlalchemy import text\ntext(f'SELECT {column}')"),
    (rules.sql_is_constant, "session.execute('SELECT %s' % name)"),
    (rules.sql_is_constant, "cursor.execute('SELECT ' + name)"),
    (rules.sql_is_constant, "connection.exec_driver_sql('DROP {}'.format(name))"),
    (rules.sql_is_constant, "q = f'SELECT {name}'; connection.execute(q)"),
    (rules.sql_is_constant, "from sqlalchemy import text\ndef f(sql): return text(sql)"),
    (rules.sql_is_constant, "from sqlalchemy import text\nq = 'SELECT 1'\nq += name\ntext(q)"),
    (rules.sql_is_constant, "q = 'SELECT {}'\nconnection.execute(q.format(name))"),
    (rules.sql_is_constant, "for q in questions: cursor.execute(q)"),
    (rules.sql_is_constant, "def q(name): return 'SELECT ' + name\ncursor.execute(q(name))"),
    (rules.sql_is_constant, "connection.execute(table.question)"),
    (rules.sql_is_constant, "from sqlalchemy import text\nclass A:\n    def f(self): return text(self.sql)"),
    (rules.tls_is_verified, "import ssl\ncontext.verify_mode = ssl.CERT_NONE"),
    (rules.tls_is_verified, "context.check_hostname = False"),
    (rules.tls_is_verified, "httpx.get(url, verify=False)"),
    (rules.asserts_only_narrow_types, "assert request.size < 10"),
    (rules.asserts_only_narrow_types, "assert message.target, 'no target'"),
]


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_no_line_of_ours_breaks_the_rule(rule: rules.Rule) -> None:
    assert len(FILES) > 200
    found = [
        f"{path.relative_to(ROOT)}:{line}: {sentence}"
        for path in FILES
        for line, sentence in rule(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(("rule", "sample"), BAD, ids=[f"{rule.__name__}-{i}" for i, (rule, _) in enumerate(BAD)])
def test_each_rule_finds_what_it_forbids(rule: rules.Rule, sample: str) -> None:
    assert list(rule(ast.parse(sample)))


def test_every_rule_has_a_sample_that_breaks_it() -> None:
    assert {rule for rule, _ in BAD} == set(rules.RULES)


@pytest.mark.parametrize(
    "sample",
    [
        "import numpy as np\nnp.load(path, allow_pickle=False)",
        "from sqlalchemy import text\nconnection.execute(text('SELECT pg_advisory_xact_lock(:key)'), {'key': 1})",
        "from sqlalchemy import select\nsession.execute(select(table).where(table.c.name == name))",
        "from sqlalchemy import text\nQ = 'SELECT 1'\nconnection.execute(text(Q))",
        "from sqlalchemy import select\nq = select(table)\nif late: q = q.limit(1)\nsession.execute(q.where(a == b))",
        "from sqlalchemy import select\ndef q(): return select(table)\nsession.execute(q())",
        "import subprocess\nsubprocess.run([tool, name], check=True)",
        "model.eval()\nprogram.lower(x).compile()\nre.compile(pattern)",
        "assert found is not None\nassert isinstance(error, ValueError)",
    ],
)
def test_the_safe_ways_are_allowed(sample: str) -> None:
    assert not [finding for rule in rules.RULES for finding in rule(ast.parse(sample))]
