"""What no line of our code may do, as rules over syntax trees: each finds its lines and says what is wrong."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

Finding = tuple[int, str]
Rule = Callable[[ast.Module], Iterator[Finding]]

UNPICKLERS = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "joblib", "cloudpickle", "jsonpickle"}
RUNS_A_SHELL = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}
UNSAFE_CALLS = {
    "torch.load": "unpickles",
    "torch.save": "pickles",
    "torch.jit.load": "loads code",
    "torch.hub.load": "loads code",
    "torch.package.PackageImporter": "loads code",
    "pandas.read_pickle": "unpickles",
    "jax.experimental.serialize_executable.deserialize_and_load": "unpickles",
    "multiprocessing.connection.Client": "unpickles what a socket brings",
    "multiprocessing.connection.Listener": "unpickles what a socket brings",
    "multiprocessing.managers.BaseManager": "unpickles what a socket brings",
    "multiprocessing.Manager": "unpickles what a socket brings",
    "tempfile.mktemp": "names a file that somebody else may make first",
    "yaml.load": "makes objects",
    "yaml.load_all": "makes objects",
    "yaml.full_load": "makes objects",
    "yaml.unsafe_load": "makes objects",
    "ssl._create_unverified_context": "trusts everybody",
    "ssl._create_stdlib_context": "trusts everybody",
}


def no_pickle(tree: ast.Module) -> Iterator[Finding]:
    """Nothing that makes objects out of bytes is imported."""
    for node, module in _imports(tree):
        if module.split(".")[0] in UNPICKLERS:
            yield node.lineno, f"imports {module}"


def no_random_module(tree: ast.Module) -> Iterator[Finding]:
    """`random` is predictable: `secrets` for secrets, a seeded NumPy or JAX generator for science."""
    for node, module in _imports(tree):
        if module == "random" or module.startswith("random."):
            yield node.lineno, "imports random"


def no_unsafe_calls(tree: ast.Module) -> Iterator[Finding]:
    """No function that executes, or trusts, what it is given."""
    for call, name in _calls(tree):
        if name in {"eval", "exec", "compile", "__import__"}:
            yield call.lineno, f"{name} executes text"
        if name in UNSAFE_CALLS:
            yield call.lineno, f"{name} {UNSAFE_CALLS[name]}"
        if name in RUNS_A_SHELL:
            yield call.lineno, f"{name} runs a shell"


def arrays_without_pickle(tree: ast.Module) -> Iterator[Finding]:
    """Every `np.load` says `allow_pickle=False`, so that no default has to be trusted."""
    for call, name in _calls(tree):
        if name == "numpy.load" and not _is_constant(_keyword(call, "allow_pickle"), False):
            yield call.lineno, "numpy.load without allow_pickle=False"


def no_shell(tree: ast.Module) -> Iterator[Finding]:
    """No process is started through a shell."""
    for call, name in _calls(tree):
        shell = _keyword(call, "shell")
        if shell is not None and not _is_constant(shell, False):
            yield call.lineno, f"{name} with shell"


def sql_is_constant(tree: ast.Module) -> Iterator[Finding]:
    """SQL text is a constant with bound parameters, never put together."""
    for call, name in _calls(tree):
        short = name.rsplit(".", 1)[-1]
        takes_sql = name in {"sqlalchemy.text", "sqlalchemy.literal_column", "sqlalchemy.sql.text"} or short in {
            "execute",
            "executemany",
            "executescript",
            "exec_driver_sql",
        }
        if takes_sql and call.args and _is_put_together(call.args[0]):
            yield call.lineno, f"{short} of a text that is put together"


def tls_is_verified(tree: ast.Module) -> Iterator[Finding]:
    """No certificate goes unchecked."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in {"CERT_NONE", "CERT_OPTIONAL"}:
            yield node.lineno, f"uses {node.attr}"
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Attribute) and target.attr == "check_hostname":
                    yield node.lineno, "sets check_hostname"
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                if keyword.arg in {"verify", "verify_ssl", "check_hostname", "ssl_check_hostname"} and _is_constant(
                    keyword.value, False
                ):
                    yield node.lineno, f"{keyword.arg}=False"


def asserts_only_narrow_types(tree: ast.Module) -> Iterator[Finding]:
    """An assert tells the type checker what is known; `python -O` drops it, so it checks nothing from outside."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert) and not _narrows(node.test):
            yield node.lineno, f"assert {ast.unparse(node.test)}"


RULES: tuple[Rule, ...] = (
    no_pickle,
    no_random_module,
    no_unsafe_calls,
    arrays_without_pickle,
    no_shell,
    sql_is_constant,
    tls_is_verified,
    asserts_only_narrow_types,
)


def _imports(tree: ast.Module) -> Iterator[tuple[ast.stmt, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node, node.module
            yield from ((node, f"{node.module}.{alias.name}") for alias in node.names)


def _calls(tree: ast.Module) -> Iterator[tuple[ast.Call, str]]:
    """Every call with the full name of what is called, import aliases followed; "" where it has no name."""
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.split(".")[0]
                known[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            for alias in node.names:
                known[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node, _name(node.func, known)


def _name(node: ast.expr, known: dict[str, str]) -> str:
    if isinstance(node, ast.Name):
        return known.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        return f"{_name(node.value, known)}.{node.attr}"
    return ""


def _keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def _is_constant(node: ast.expr | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def _is_put_together(node: ast.expr) -> bool:
    if isinstance(node, ast.JoinedStr):
        return any(isinstance(part, ast.FormattedValue) for part in node.values)
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Add | ast.Mod)
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in {"format", "join"}


def _narrows(test: ast.expr) -> bool:
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        other = test.comparators[0]
        if isinstance(test.ops[0], ast.IsNot):
            return _is_constant(other, None)
        return isinstance(test.ops[0], ast.In) and isinstance(other, ast.Name) and other.id.isupper()
    return isinstance(test, ast.Call) and isinstance(test.func, ast.Name) and test.func.id == "isinstance"
