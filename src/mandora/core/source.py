"""A digest of the code that a result depends on.

Everything that is cached, such as prepared patches or the result of a job, has the digest of the
code that made it in its key. The digest is computed from the source files, without importing
anything: from a function or class to the names that it uses, to the names that these use, and so
on through the package. If one name of a module is used, all code of the module counts; a package
that only re-exports the name does not count. Comments, docstrings and layout do not count. Files
other than Python, such as ``templates.json``, count with every module of their package.

Two things are not seen: names that are computed at run time, and the classes of objects that are
passed in. So an object that is passed in, such as a source of films, has the digest of its own
code in its own key.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parent.parent

_Name = tuple[str, str | None]
"""A module and one of its names; None: all of them."""


def code_digest(*used: Callable[..., Any], package: Path = PACKAGE) -> str:
    """Digest of all code of the package that functions, or methods of classes, may run.

    Args:
        used: functions, classes, or ``functools.partial`` of them; those of other packages do
            not count.
        package: folder of the package.

    Returns:
        16 hexadecimal digits.
    """
    return _digest(tuple(map(_name_of, used)), package)


def _name_of(used: Callable[..., Any]) -> _Name:
    while isinstance(used, partial):
        used = used.func
    named = used if hasattr(used, "__qualname__") else type(used)
    return named.__module__, named.__qualname__.partition(".")[0]


@cache
def _digest(names: tuple[_Name, ...], package: Path) -> str:
    digest = sha256()
    modules = _modules_of(names, package)
    for name in sorted(modules):
        digest.update(f"{name} {modules[name].digest}".encode())
    for folder in sorted({module.path.parent for module in modules.values()}):
        for path in sorted(folder.iterdir()):
            if path.is_file() and path.suffix != ".py" and not path.name.startswith("."):
                digest.update(f"{path.relative_to(package)} ".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _modules_of(names: tuple[_Name, ...], package: Path) -> dict[str, _Module]:
    """The modules that define what these names use, by name."""
    found: dict[str, _Module] = {}
    seen: set[_Name] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        module = None if name in seen else _module(name[0], package)
        seen.add(name)
        if module is None:
            continue
        where, what = name
        if what is not None and what in module.imported and what not in module.uses:
            waiting.append(module.imported[what])  # only re-exported
        else:
            found[where] = module
            waiting += module.used_by(what)
    return found


@dataclass(frozen=True)
class _Module:
    """A module, as parsed from its source.

    Attributes:
        path: of its file.
        digest: of its code.
        imported: names that it imports from the package, and what they refer to.
        uses: names that each of its own names uses.
        always: names that it uses whenever it is imported.
    """

    path: Path
    digest: str
    imported: dict[str, _Name] = field(default_factory=dict)
    uses: dict[str, set[_Name]] = field(default_factory=dict)
    always: set[_Name] = field(default_factory=set)

    def used_by(self, name: str | None) -> set[_Name]:
        """Names that one of its names uses; for None or an unknown name, all names."""
        if name in self.uses:
            return self.always | self.uses[name]
        return self.always.union(self.imported.values(), *self.uses.values())


@cache
def _module(name: str, package: Path) -> _Module | None:
    """The parsed module; None if the package has no module of that name."""
    path = _path_of(name, package)
    if path is None:
        return None
    tree, digest = _parsed(path.read_bytes())
    module = _Module(path, digest)
    statements = [one for one in tree.body if not _is_for_types(one)]
    for one in statements:
        if isinstance(one, ast.ImportFrom):
            module.imported.update(_names_from(one, module, package))
        else:
            module.uses.update({bound: set() for bound in _bound(one)})
    for one in statements:
        if not isinstance(one, ast.ImportFrom):
            names = _used(one, name, module, package)
            for used in [module.uses[bound] for bound in _bound(one)] or [module.always]:
                used |= names
    return module


@cache
def _parsed(source: bytes) -> tuple[ast.Module, str]:
    """The syntax tree of a module without docstrings, and its digest."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        # docstrings of attributes too: expressions without effect
        if isinstance(body := getattr(node, "body", None), list):
            kept = [one for one in body if not _is_text(one)]
            node.body = kept or [ast.Pass()]  # type: ignore[attr-defined]
    # of the text: unlike the tree, it is the same in all versions of Python
    return tree, sha256(ast.unparse(tree).encode()).hexdigest()


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _path_of(module: str, package: Path) -> Path | None:
    first, *parts = module.split(".")
    at = package.joinpath(*parts)
    paths = (at / "__init__.py", at.with_name(f"{at.name}.py"))
    return next((p for p in paths if first == package.name and p.is_file()), None)


def _names_from(
    statement: ast.ImportFrom, module: _Module, package: Path
) -> Iterator[tuple[str, _Name]]:
    """The names that ``from … import …`` binds, if they are of the package."""
    source = statement.module or ""
    if statement.level:  # relative to the folder of the module, or one above
        folder = module.path.parents[statement.level - 1]
        parts = (package.name, *folder.relative_to(package).parts, source)
        source = ".".join(part for part in parts if part)
    for alias in statement.names:
        inner = f"{source}.{alias.name}"
        if _path_of(inner, package):
            yield alias.asname or alias.name, (inner, None)
        elif _path_of(source, package):
            whole = alias.name == "*"
            yield alias.asname or alias.name, (source, None if whole else alias.name)


def _used(statement: ast.stmt, name: str, module: _Module, package: Path) -> set[_Name]:
    """Names of the package that a top-level statement uses, at any depth."""
    used: set[_Name] = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.ImportFrom):
            used.update(stands_for for _, stands_for in _names_from(node, module, package))
        elif isinstance(node, ast.Import):
            used.update((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.Name) and node.id in module.uses:
            used.add((name, node.id))
        elif isinstance(node, ast.Name) and node.id in module.imported:
            used.add(module.imported[node.id])
    return used


def _bound(statement: ast.stmt) -> set[str]:
    """Names that a top-level statement defines."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    return {
        node.id
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


def _is_for_types(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING"
