#!/usr/bin/env python3
"""The policy evaluator against a reference: 100 000 random questions from a seed, two implementations, one answer.

The reference is written from the rules' own words (which rule is the most specific, deny, lists), as plainly as possible
and with nothing in common with the C code. Usage: differential.py POLICY_CASES [SEED [WORLDS]].
"""
import json
import random
import subprocess
import sys

CAPS = ["sudo", "read", "list", "update", "delete", "create", "patch", "deny"]
SUDO = ["sys/auth/*", "sys/seal", "sys/leases", "sys/leases/lookup/*", "sys/raw*", "sys/audit", "sys/rotate",
        "sys/leases/revoke-prefix/*", "auth/token/accessors"]
WORDS = ["a", "b", "ab", "abc", "sys", "leases", "auth", "token", "raw", "seal", "x+", "*c", "rawx"]


def random_pattern(rng):
    parts = [rng.choice(WORDS + ["+", "+", "+"]) for _ in range(rng.randint(1, 4))]
    text = "/".join(parts)
    end = rng.random()
    if end < 0.2:
        text += "/*"
    elif end < 0.35 and not text.endswith("+"):
        text += "*"
    elif end < 0.45:
        text += "/"
    elif end < 0.48:
        text = "*"
    return text if "+*" not in text else "a/*"


def random_path(rng, patterns):
    if patterns and rng.random() < 0.7:
        parts = [rng.choice(WORDS) if p == "+" else p for p in rng.choice(patterns).rstrip("*").split("/")]
        text = "/".join(parts)
        if rng.random() < 0.3:
            text += rng.choice(["/a", "c", "/", "/b/"])
    elif rng.random() < 0.3:
        text = rng.choice(SUDO).replace("*", rng.choice(["", "a", "a/b"])) + rng.choice(["", "", "/"])
    else:
        text = "/".join(rng.choice(WORDS) for _ in range(rng.randint(1, 5)))
    return text.replace("//", "/").lstrip("/") or "a"


def random_policy(rng):
    rules = []
    for _ in range(rng.randint(0, 6)):
        caps = rng.sample(CAPS[:7], rng.randint(0, 4))
        if rng.random() < 0.15:
            caps.append("deny")
        rules.append((random_pattern(rng), caps))
    return rules


def as_text(rng, rules):
    if rng.random() < 0.5:
        return "\n".join('path "%s%s" { capabilities = %s }' % (rng.choice(["", "/"]), p, json.dumps(c)) for p, c in rules)
    return json.dumps({"path": [{p: {"capabilities": c}} for p, c in rules]})


def matches(pattern, path):
    glob = pattern.endswith("*")
    want, have = pattern[:-1].split("/") if glob else pattern.split("/"), path.split("/")
    if "+" not in want:
        return path.startswith(pattern[:-1]) if glob else path == pattern
    if len(have) < len(want) or (not glob and len(have) != len(want)):
        return False
    for i, word in enumerate(want):
        if word != "+" and have[i] != word:
            if not (glob and i == len(want) - 1 and have[i].startswith(word)):
                return False
    return True


def is_exact(pattern):
    return not pattern.endswith("*") and "+" not in pattern.split("/")


def rank(pattern):
    glob = pattern.endswith("*")
    bare = pattern[:-1] if glob else pattern
    first, at = len(bare), 0
    for word in bare.split("/"):
        if word == "+":
            first = at
            break
        at += len(word) + 1
    return (first, not glob, -bare.split("/").count("+"), len(bare), pattern)


def merge(policies):
    rules = {}
    for policy in policies:
        for pattern, caps in policy:
            rules.setdefault(pattern, set()).update(caps)
    return {p: ({"deny"} if "deny" in c else c) for p, c in rules.items()}


def find(rules, path, is_list):
    bare = path[:-1] if is_list and path.endswith("/") else None
    for p in (path, bare):
        if p is not None and p in rules and is_exact(p):
            return p
    best = [max((r for r in rules if not is_exact(r) and matches(r, p)), key=rank, default=None) if p is not None else None
            for p in (path, bare)]
    if best[1] is not None and (best[0] is None or ("deny" in rules[best[1]] and rank(best[1]) > rank(best[0]))):
        return best[1]
    return best[0]


def needs_sudo(path):
    return any(path.startswith(s[:-1]) if s.endswith("*") else path in (s, s + "/") for s in SUDO)


def decide(rules, path, need):
    rule = find(rules, path, "list" in need)
    caps = rules.get(rule, set())
    want = set(need) | ({"sudo"} if needs_sudo(path) else set())
    return rule is not None and bool(want) and "deny" not in caps and want <= caps, rule


def capabilities(rules, path):
    caps = rules.get(find(rules, path, True), set())
    return [c for c in CAPS if c in caps] or ["deny"]


def anything_below(rules, prefix, paths):
    return any(capabilities(rules, p) != ["deny"] for p in paths if p.startswith(prefix))


def main():
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 20261123
    worlds = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
    rng = random.Random(seed)
    asked = []
    for _ in range(worlds):
        policies = [random_policy(rng) for _ in range(rng.randint(0, 4))]
        patterns = [p for policy in policies for p, _ in policy]
        asks = []
        for _ in range(100):
            need = rng.sample(CAPS[:7], 1 if rng.random() < 0.9 else rng.randint(0, 2))
            path = random_path(rng, patterns)
            if "list" in need and rng.random() < 0.8 and not path.endswith("/"):
                path += "/"
            asks.append((path, need))
        asked.append((policies, asks, ["a/", "sys/", "ab/", "auth/token/", "rawx/"]))
    lines = [json.dumps({"policies": [as_text(rng, p) for p in policies], "prefixes": prefixes,
                         "asks": [[path, sum(1 << CAPS.index(c) for c in need)] for path, need in asks]})
             for policies, asks, prefixes in asked]
    out = subprocess.run([sys.argv[1]], input="\n".join(lines) + "\n", capture_output=True, text=True, check=True).stdout
    differences = allowed = 0
    for (policies, asks, prefixes), line in zip(asked, out.splitlines(), strict=True):
        rules, got = merge(policies), json.loads(line)
        for (path, need), answer in zip(asks, got["asks"], strict=True):
            want = [*decide(rules, path, need), *capabilities(rules, path)]
            allowed += want[0]
            if answer != want:
                differences += 1
                print("seed %d: path %r need %r: C says %r, the reference %r; rules %r" % (seed, path, need, answer, want, rules))
        for prefix, answer in zip(prefixes, got["prefixes"], strict=True):
            if anything_below(rules, prefix, [p for p, _ in asks]) and not answer:
                differences += 1
                print("seed %d: below %r something is allowed, C says nothing is; rules %r" % (seed, prefix, rules))
    count = sum(len(asks) for _, asks, _ in asked)
    print("%d questions, %d allowed, %d differences, seed %d" % (count, allowed, differences, seed))
    return 1 if differences or not allowed else 0


sys.exit(main())
