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
TAKES_TEXT = {"sqlalchemy.text", "sqlalchemy.literal_column", "sqlalchemy.sql.text"}
TAKES_SQL = {"execute", "executemany", "executescript", "exec_driver_sql"}
MAKES_SQL = {"sqlalchemy.select", "sqlalchemy.update", "sqlalchemy.delete", "coronium.results.upsert.insert"}


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
    """SQL is a literal with bound parameters or a construct of SQLAlchemy; what cannot be seen to be one is none."""
    sql = _Sql(tree)
    for call, name in _calls(tree):
        short = name.rsplit(".", 1)[-1]
        if (name in TAKES_TEXT or short in TAKES_SQL) and call.args and not sql.is_fixed(call.args[0]):
            yield call.lineno, f"{short} of what may be a text that is put together"


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
    known = _imported_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node, _name(node.func, known)


def _imported_names(tree: ast.Module) -> dict[str, str]:
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.split(".")[0]
                known[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            for alias in node.names:
                known[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return known


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


class _Sql:
    """Tells which expressions of a file are literals or constructs of SQLAlchemy.

    A name is one where everything that the file binds to it is one; a function of the file, where all that it returns
    is. Parameters, loop variables and everything else may be any text.
    """

    def __init__(self, tree: ast.Module) -> None:
        self._imported = _imported_names(tree)
        self._bound: dict[str, list[ast.expr | None]] = {}
        self._returned: dict[str, list[ast.expr | None]] = {}
        self._open: set[str] = set()
        for node in ast.walk(tree):
            match node:
                case ast.Assign(targets=targets, value=value):
                    for target in targets:
                        self._bind(target, value)
                case (
                    ast.AnnAssign(target=target, value=ast.expr() as value) | ast.NamedExpr(target=target, value=value)
                ):
                    self._bind(target, value)
                case (
                    ast.AugAssign(target=target)
                    | ast.For(target=target)
                    | ast.AsyncFor(target=target)
                    | ast.comprehension(target=target)
                ):
                    self._bind(target, None)
                case ast.withitem(optional_vars=ast.expr() as target):
                    self._bind(target, None)
                case ast.arg(arg=name):
                    self._bound.setdefault(name, []).append(None)
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    self._returned[name] = [one.value for one in ast.walk(node) if isinstance(one, ast.Return)]

    def is_fixed(self, node: ast.expr | None) -> bool:
        """Return whether an expression is a literal or a construct."""
        match node:
            case ast.Constant(value=str()):
                return True
            case ast.Name(id=name):
                return self._all(self.is_fixed, name, self._bound)
            case ast.Dict(values=values):
                return all(map(self.is_fixed, values))
            case ast.Subscript(value=table):
                return self.is_fixed(table)
            case _:
                return self._is_construct(node)

    def _is_construct(self, node: ast.expr | None) -> bool:
        if isinstance(node, ast.Name):
            return self._all(self._is_construct, node.id, self._bound)
        if not isinstance(node, ast.Call):
            return False
        name = _name(node.func, self._imported)
        if name in MAKES_SQL or name in TAKES_TEXT:
            # What a text is made of is looked at where it is made.
            return True
        if isinstance(node.func, ast.Attribute):
            # A method of a construct gives another; one of a text gives any text.
            return self._is_construct(node.func.value)
        return self._all(self.is_fixed, name, self._returned)

    def _all(
        self, holds: Callable[[ast.expr | None], bool], name: str, where: dict[str, list[ast.expr | None]]
    ) -> bool:
        if name in self._open:
            # ``statement = statement.where(...)``: what it was before is looked at beside this.
            return True
        self._open.add(name)
        found = where.get(name, [])
        all_hold = bool(found) and all(map(holds, found))
        self._open.discard(name)
        return all_hold

    def _bind(self, target: ast.expr, value: ast.expr | None) -> None:
        for node in ast.walk(target):
            if isinstance(node, ast.Name):
                self._bound.setdefault(node.id, []).append(value if node is target else None)


def _narrows(test: ast.expr) -> bool:
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        other = test.comparators[0]
        if isinstance(test.ops[0], ast.IsNot):
            return _is_constant(other, None)
        return isinstance(test.ops[0], ast.In) and isinstance(other, ast.Name) and other.id.isupper()
    return isinstance(test, ast.Call) and isinstance(test.func, ast.Name) and test.func.id == "isinstance"
