"""The rules of the house, read from the source: what a reviewer would otherwise have to look for. Each fault is told as file:line."""

import ast
import inspect
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import headway

ROOT = Path(__file__).parents[1]
HOUSE = ROOT / "src" / "headway"

FLOORS = (  # from the ground up; a folder stands on one floor, and its modules may import each other
    "errors",
    "records config events folders pages cards drawing wording words",
    "readers metrics splits curves audit catalogue evidence transfer settings_text",
    "packing regularize decisions baselines losses",
    "attention tokens",
    "encoder rows backend averages layers mixout masking",
    "optimize adapters frozen compiling",
    "tasks",
    "pretrained",
    "engine checkpoint goldens",
    "model objective",
    "probe recipe",
    "label_errors",
    "jobs",
    "api display",
    "cli __init__",
    "__main__",
)
FLOOR_OF = {module: floor for floor, modules in enumerate(FLOORS) for module in modules.split()}

PUBLIC = ["HeadwayError", "Model", "Prediction", "Record", "Span", "claims", "forecast", "load", "models", "rank_models", "train", "tune"]
VOICES = {"cli.py", "display.py"}  # all others yield, return or raise what is to be said
EVERY_ERROR = {"Exception", "BaseException"}
MOST_BODY_LINES = 60
MOST_FILE_LINES = 500
MOST_PARAMETERS = 6

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Module(NamedTuple):
    path: Path
    tree: ast.Module

    @property
    def name(self) -> str:
        """As it stands in FLOORS: the file, or the folder it is in."""
        return self.path.relative_to(HOUSE).with_suffix("").parts[0]

    def at(self, node: ast.AST | int, fault: str) -> str:
        line = node if isinstance(node, int) else node.lineno
        return f"{self.path.relative_to(HOUSE.parent.parent)}:{line}: {fault}"


class Import(NamedTuple):
    node: ast.stmt
    module: str  # "headway.jobs.train", also where it says "from headway.jobs import train"


@cache
def house() -> tuple[Module, ...]:
    return tuple(Module(path, ast.parse(path.read_text(encoding="utf-8"))) for path in sorted(HOUSE.rglob("*.py")))


def module_named(path: str) -> Module:
    return next(module for module in house() if module.path == HOUSE / path)


def imports(module: Module) -> Iterator[Import]:
    """Every import, also those inside functions and under TYPE_CHECKING."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (Import(node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = "." * node.level + (node.module or "")
            yield from (Import(node, joined if is_module(joined := f"{origin}.{alias.name}") else origin) for alias in node.names)


def is_module(dotted: str) -> bool:
    path = HOUSE.parent.joinpath(*dotted.split("."))
    return dotted == "torch.distributed" or path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def functions(module: Module) -> Iterator[Function]:
    return (node for node in ast.walk(module.tree) if isinstance(node, Function))


def dotted(node: ast.AST) -> str:
    """`sys.stdout` of the expression that says so; "" of any other."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def floor(name: str) -> int:
    """How high a module stands; above all where FLOORS does not name it."""
    return FLOOR_OF.get(name, len(FLOORS))


def check_house(check: Callable[[Module], Iterator[str]]) -> None:
    faults = [fault for module in house() for fault in check(module)]
    assert not faults, "\n".join(["", *faults])


def test_every_module_stands_on_a_floor():
    check_house(lambda module: iter([module.at(1, f"{module.name} is not in FLOORS")] if module.name not in FLOOR_OF else []))
    assert FLOOR_OF.keys() <= {module.name for module in house()}


def test_imports_only_go_down():
    def upward(module: Module) -> Iterator[str]:
        for node, imported in imports(module):
            if imported.startswith("."):
                yield module.at(node, "a relative import; begin with headway")
            elif imported.split(".")[0] == "headway":
                name = [*imported.split("."), "__init__"][1]
                if not is_module(imported):
                    yield module.at(node, f"{imported} is not there")
                elif floor(name) >= floor(module.name) and not (name == module.name and (HOUSE / name).is_dir()):
                    yield module.at(node, f"{module.name} (floor {floor(module.name)}) imports {name} (floor {floor(name)})")

    check_house(upward)


def test_the_lower_floors_do_without_torch():
    def heavy(module: Module) -> Iterator[str]:
        for node, imported in imports(module):
            if floor(module.name) <= floor("readers") and imported.split(".")[0] in ("torch", "transformers"):
                yield module.at(node, f"imports {imported}")

    check_house(heavy)


def test_only_the_backend_knows_of_other_machines():
    def distributed(module: Module) -> Iterator[str]:
        named = [node for node in ast.walk(module.tree) if dotted(node) == "torch.distributed"]
        found = [node for node, imported in imports(module) if f"{imported}.".startswith("torch.distributed.")]
        if module.name != "backend":
            yield from (module.at(node, "torch.distributed belongs into backend.py") for node in named + found)

    check_house(distributed)


def test_functions_are_short():
    def long(module: Module) -> Iterator[str]:
        for function in functions(module):
            first = function.body[1:] if ast.get_docstring(function) else function.body
            lines = function.end_lineno - first[0].lineno + 1 if first else 0
            if lines > MOST_BODY_LINES:
                yield module.at(function, f"{function.name} has {lines} lines, {MOST_BODY_LINES} are allowed")

    check_house(long)


def test_files_are_short():
    def long(module: Module) -> Iterator[str]:
        lines = len(module.path.read_text(encoding="utf-8").splitlines())
        if lines > MOST_FILE_LINES:
            yield module.at(lines, f"{lines} lines, {MOST_FILE_LINES} are allowed")

    check_house(long)


def test_functions_take_few_parameters():
    def greedy(module: Module) -> Iterator[str]:
        for function in functions(module):
            given = function.args
            names = [a.arg for a in (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg) if a]
            count = len(names) - (names[:1] in (["self"], ["cls"]))
            if count > MOST_PARAMETERS and not is_door(module, function):
                yield module.at(function, f"{function.name} takes {count} parameters, {MOST_PARAMETERS} are allowed")

    check_house(greedy)


def is_door(module: Module, function: Function) -> bool:
    """Whether its parameters are the options of a command, here or in Python, which are as many as people need."""
    return module.path.name == "api.py" or any(
        isinstance(given, ast.Call) and dotted(given.func) in ("app.command", "models.command") for given in function.decorator_list
    )


def test_only_the_command_line_and_the_display_speak():
    def speaks(module: Module) -> Iterator[str]:
        if module.path.name in VOICES:
            return
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and dotted(node.func) in ("print", "Console"):
                yield module.at(node, f"calls {dotted(node.func)}")
            elif dotted(node) in ("sys.stdout", "sys.stderr"):
                yield module.at(node, f"touches {dotted(node)}")
            elif isinstance(node, ast.ImportFrom) and node.module == "sys" and {"stdout", "stderr"} & {a.name for a in node.names}:
                yield module.at(node, "imports a stream of sys")
        yield from (module.at(node, f"imports {imported}") for node, imported in imports(module) if imported.split(".")[0] == "rich")

    check_house(speaks)


def test_no_error_is_swallowed():
    def swallows(module: Module) -> Iterator[str]:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ExceptHandler):
                kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
                idle = all(isinstance(line, ast.Pass | ast.Continue | ast.Expr) and not calls(line) for line in node.body)
                if node.type is None:
                    yield module.at(node, "a bare except")
                elif idle and EVERY_ERROR & set(map(dotted, kinds)):
                    yield module.at(node, "every error is caught and none is told")
            elif isinstance(node, ast.Call) and dotted(node.func).endswith("suppress") and EVERY_ERROR & set(map(dotted, node.args)):
                yield module.at(node, "every error is suppressed")

    check_house(swallows)


def calls(line: ast.stmt) -> bool:
    return any(isinstance(node, ast.Call) for node in ast.walk(line))


def test_the_public_names_are_these_and_no_others():
    assert headway.__all__ == dir(headway) == PUBLIC
    shown = {alias.name for module in house() if module.name == "__init__" for node, _ in imports(module) for alias in node.names}
    assert shown - {"import_module", "TYPE_CHECKING"} == set(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_described(name):
    thing = getattr(headway, name)
    parts = vars(thing).items() if inspect.isclass(thing) else ()
    methods = {label: part for label, part in parts if not label.startswith("_") and callable(part)}
    bare = [label for label, part in {name: thing, **methods}.items() if not written_docstring(part)]
    assert not bare, f"{inspect.getsourcefile(thing)}:{inspect.getsourcelines(thing)[1]}: no docstring: {', '.join(bare)}"


def written_docstring(thing: object) -> bool:
    """A docstring that a person wrote: a dataclass without one is given its signature."""
    return bool(thing.__doc__) and not thing.__doc__.startswith(f"{thing.__name__}(")


def is_reader(node: ast.stmt) -> bool:
    hints = [ast.unparse(given.annotation) for given in node.args.args if given.annotation] if isinstance(node, Function) else []
    return hints == ["Path", "Data", "Labels"] and not node.name.startswith("_")


def is_writer(node: ast.stmt) -> bool:
    hints = [ast.unparse(given.annotation) for given in node.args.args if given.annotation] if isinstance(node, Function) else []
    return hints == ["Iterable[Record]", "Target"] and node.name.startswith("write_")


def is_task(node: ast.stmt) -> bool:
    methods = {part.name for part in node.body if isinstance(part, Function)} if isinstance(node, ast.ClassDef) else set()
    return "architecture" in methods and not any(dotted(base) == "Protocol" for base in node.bases)


def is_kernel(node: ast.stmt) -> bool:
    names = [given.arg for given in node.args.args] if isinstance(node, Function) else []
    return names == ["q_THK", "k_THK", "v_THK", "batch"] and not node.name.startswith("_")


def is_check(node: ast.stmt) -> bool:
    hints = [ast.unparse(given.annotation) for given in node.args.args if given.annotation] if isinstance(node, Function) else []
    return hints == ["About"] and not node.name.startswith("_") and ast.unparse(node.returns) == "Watch"


TABLES = [
    ("READERS", "readers/__init__.py", is_reader),
    ("WRITERS", "readers/__init__.py", is_writer),
    ("CHECKS", "audit/__init__.py", is_check),
    ("TASKS", "tasks/__init__.py", is_task),
    ("KERNELS", "attention.py", is_kernel),
]


@pytest.mark.parametrize(("table", "path", "belongs"), TABLES, ids=[table for table, _, _ in TABLES])
def test_what_can_be_extended_is_named_in_a_table(table, path, belongs):
    home = module_named(path)
    node = next(node for node in home.tree.body if isinstance(node, ast.AnnAssign) and dotted(node.target) == table)
    assert isinstance(node.value, ast.Dict), home.at(node, f"{table} is not a dict literal")
    assert all(isinstance(key, ast.Constant) for key in node.value.keys), home.at(node, f"{table} has a key that is not written out")
    listed = {dotted(value) for value in node.value.values}
    fitting = [(module, part) for module in house() if module.name == home.name for part in module.tree.body if belongs(part)]
    missing = [module.at(part, f"{part.name} is not in {table}") for module, part in fitting if part.name not in listed]
    assert not missing, "\n".join(["", *missing])
    assert listed == {part.name for _, part in fitting}, home.at(node, f"{table} names what does not look like the rest of it")


MUTATORS = ("update", "setdefault", "pop", "popitem", "clear")


@pytest.mark.parametrize("table", [table for table, _, _ in TABLES])
def test_tables_are_not_changed_while_running(table):
    def changes(module: Module) -> Iterator[str]:
        for node in ast.walk(module.tree):
            stored = isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load) and dotted(node.value)
            called = isinstance(node, ast.Call) and dotted(node.func).rpartition(".")
            if f".{stored}".endswith(f".{table}") or (called and f".{called[0]}".endswith(f".{table}") and called[2] in MUTATORS):
                yield module.at(node, f"{table} is changed here")

    check_house(changes)
