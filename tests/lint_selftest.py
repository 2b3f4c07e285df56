"""For every rule of tests/lint a small tree that must fail it, and one that must pass them all: so that no rule rots unseen."""
import os
import shutil
import stat
import tempfile

HEAD = "/*\n * What it owns.\n */\n"


def header(name, body):
    return f"{HEAD}#ifndef {name}_H\n#define {name}_H\n\n{body}\n#endif\n"


# A tree without a fault. Modules: base below http, store, lease; lease may include http's seam.
CLEAN = {
    ".clang-format": "BasedOnStyle: LLVM\nIndentWidth: 8\nUseTab: Always\nBreakBeforeBraces: Linux\nAlwaysBreakAfterReturnType: TopLevelDefinitions\n",
    "cmake/layers.txt": "# a comment\nbase:\nhttp: base\nstore: base\nlease: store http-seam\nengine: lease\napi: engine\n",
    "include/leased/error.h": header("LEASED_ERROR", "int leased_err_code(void);\n"),
    "broker/base/error.c": HEAD + "#include <leased/error.h>\n\nint\nleased_err_code(void)\n{\n\treturn (0);\n}\n",
    "broker/base/log.h": header("BASE_LOG", "int log_write(void);\n"),
    "broker/http/http.h": header("HTTP_HTTP", '#include "base/log.h"\n'),
    "broker/http/peer.h": header("HTTP_PEER", "struct http_peer;\n"),
    "broker/store/store.h": header("STORE_STORE", "int store_open(void);\n"),
    "broker/lease/lease.c": HEAD + '#include "base/log.h"\n#include "http/peer.h"\n#include "store/store.h"\n#include <stdio.h>\n\n'
                                   "int lease_enter(void);\n\nstatic int\nhelper(void)\n{\n\treturn (0);\n}\n\n"
                                   "int\nlease_enter(void)\n{\n\treturn (helper());\n}\n",
    "broker/lease/plain/plain.c": HEAD + '#include "store/store.h"\n\nint lease_plain_one(void);\n\nint\nlease_plain_one(void)\n{\n\treturn (0);\n}\n',
    "broker/api/api.c": HEAD + '#include "store/store.h"\n',
    "broker/main.c": HEAD + '#include "http/http.h"\n\nint\nmain(void)\n{\n\treturn (0);\n}\n',
    "cli/main.c": HEAD + '#include "base/log.h"\n',
    "plugins/sdk/main.c": HEAD + '#include "base/log.h"\n',
    "plugins/example/example.c": HEAD + '#include "base/frame.h"\n#include <leased/error.h>\n',
    "scripts/run": "#!/usr/bin/env bash\necho strcpy\n",
    "tests/tool.py": "print('fine')\n",
    "broker/base/failpoint_names.def": "FAILPOINT_NAME(base_test)\n",
    "tests/support/operations.py": "class Mint:\n    pass\n",
    "tests/crash/test_x.py": "def test_one():\n    pass\n",
    "tests/unit/base/test_y.c": HEAD + "static void\none_holds(void **state)\n{\n\t(void)state;\n}\n",
    "docs/explanation/crash-windows.md": "`base_test`: `tests/crash/test_x.py::test_one`, `tests/unit/base/test_y.c::one_holds`; matrix: Mint\n",
    "README.md": "A page; sprintf( is only a word here.\n",
}

LONG_FUNCTION = "static int\nlong_one(void)\n{\n" + "\tfor (;;)\n\t\t;\n" * 30 + "}\n"

# rule: [(path, content)]: written over the clean tree, one at a time, each must be found by that rule, in that file (a module that
# is not listed: in the list), and by no other rule.
FAULTS = {
    "include-direction": [
        ("broker/store/store.h", header("STORE_STORE", '#include "lease/lease.h"\n')),
        ("broker/base/log.h", header("BASE_LOG", '#include "http/http.h"\n')),
        ("broker/lease/lease.c", HEAD + '#include "http/http.h"\n'),
        ("broker/lease/lease.c", HEAD + '#include "lease.h"\n'),
        ("broker/lease/plain/plain.c", HEAD + '#include "api/api.h"\n'),
        ("broker/lease/lease.c", HEAD + "#include <http/http.h>\n"),
        ("broker/lease/lease.c", HEAD + '#include "leased/error.h"\n'),
        ("cli/main.c", HEAD + '#include "store/store.h"\n'),
        ("plugins/example/example.c", HEAD + '#include "base/log.h"\n'),
        ("plugins/example/example.c", HEAD + '#include "lease/lease.h"\n'),
        ("plugins/sdk/main.c", HEAD + '#include "http/http.h"\n'),
        ("include/leased/error.h", header("LEASED_ERROR", '#include "base/log.h"\nint leased_err_code(void);\n')),
        ("broker/other/CMakeLists.txt", "leased_module(SOURCES other.c)\n"),
    ],
    "name-prefix": [
        ("broker/lease/lease.c", HEAD + "int\nenter(void)\n{\n\treturn (0);\n}\n"),
        ("broker/lease/lease.c", HEAD + "int\nstore_enter(void)\n{\n\treturn (0);\n}\n"),
        ("broker/lease/plain/plain.c", HEAD + "int\nlease_enter_plain(void)\n{\n\treturn (0);\n}\n"),
        ("broker/base/log.h", header("BASE_LOG", "int line_write(void);\n")),
        ("broker/base/error.c", HEAD + "int\nleased_secret_thing(void)\n{\n\treturn (0);\n}\n"),
        ("include/leased/error.h", header("LEASED_ERROR", "int leased_err_code(void);\nint err_code(void);\n")),
        ("plugins/example/example.c", HEAD + "int\nmint(void)\n{\n\treturn (0);\n}\n"),
        ("broker/http/http.h", header("HTTP_HTTP", "static inline int\nhelper(void)\n{\n\treturn (0);\n}\n")),
    ],
    "size": [
        ("broker/lease/lease.c", HEAD + LONG_FUNCTION),
        ("broker/lease/lease.c", HEAD + "\nint lease_one;\n" * 260),
        ("broker/http/http.h", header("HTTP_HTTP", "int http_one;\n" * 120)),
        ("tests/tool.py", "x = 1\n" * 501),
    ],
    "head-comment": [
        ("broker/lease/lease.c", "int lease_one;\n"),
        ("broker/lease/lease.c", "/* */\nint lease_one;\n"),
        ("broker/lease/lease.c", "/*\n" + " * many words\n" * 13 + " */\nint lease_one;\n"),
    ],
    "include-guard": [("broker/http/peer.h", HEAD + "struct http_peer;\n")],
    "clang-format": [("broker/lease/lease.c", HEAD + "int  lease_one;\n"), ("tests/unit/test_x.c", HEAD + "int   one;\n")],
    "forbidden-call": [("broker/lease/lease.c", HEAD + "int lease_one = " + call + "(1);\n")
                       for call in ("strcpy", "strcat", "sprintf", "vsprintf", "gets", "alloca", "system", "popen", "strncpy")],
    "unfinished": [("README.md", "TO" + "DO: write\n"), ("broker/lease/lease.c", HEAD + "/* FIX" + "ME */\n")],
    "machine-path": [("README.md", "see /wor" + "k/main\n"), ("scripts/run", "#!/bin/sh\ncd /roo" + "t/x\n"), ("README.md", "../share" + "d/x\n")],
    "whitespace": [("README.md", "no newline"), ("README.md", "blank \n")],
    "python-compiles": [("tests/tool.py", "def broken(:\n")],
    "shell-parses": [("scripts/run", "#!/bin/sh\nif true; then\n")],
    "crash-windows": [
        ("docs/explanation/crash-windows.md", "no failpoint\n"),
        ("docs/explanation/crash-windows.md", "`base_test` `tests/crash/test_x.py::test_two`\n"),
        ("docs/explanation/crash-windows.md", "`base_test` `tests/unit/base/test_y.c::two_holds`\n"),
        ("docs/explanation/crash-windows.md", "`base_test` matrix: Mint, Other\n"),
    ],
    "metrics-reference": [("broker/lease/lease.c", HEAD + 'METRICS_COUNTER(made, "leased_made", "", "Made.");\n')],
    "ssh-reference": [("broker/engine/ssh/mount.c", HEAD + 'static const struct engine_path paths[] = {{.verb = "roles"}};\n')],
    "executable-bit": [("tests/tool.py", "#!/usr/bin/python3\nprint()\n")],
}

status = 0


def write(root, path, content):
    full = os.path.join(root, path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "w") as file:
        file.write(content)
    if path.startswith("scripts/"):
        os.chmod(full, os.stat(full).st_mode | stat.S_IXUSR)


def findings(check, faults):
    root = tempfile.mkdtemp(prefix="leased-lint-")
    try:
        for path, content in {**CLEAN, **faults}.items():
            write(root, path, content)
        return check(root)[1]
    finally:
        shutil.rmtree(root)


def passes(check, rules):
    """True when every rule can fail and the clean tree passes; says what does not."""
    global status
    wrong = [f"the clean tree has findings: {found}" for found in findings(check, {})]
    wrong += [f"rule {name} has no tree that fails it" for name in rules if name not in FAULTS]
    for name, faults in FAULTS.items():
        for number, (path, content) in enumerate(faults, 1):
            found = findings(check, {path: content})
            path = "cmake/layers.txt" if path.endswith("CMakeLists.txt") else path
            if not found or {(where, what) for where, _, what, _ in found} != {(path, name)}:
                wrong.append(f"{name}, tree {number}: expected one fault in {path}, found {found}")
    for text in wrong:
        print(f"lint self-test: {text}")
    status = 1 if wrong else 0
    return not wrong
