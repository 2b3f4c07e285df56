"""A strict reader of metrics pages, as scrapers demand them: OpenMetrics 1.0 and the older text form 0.0.4.

    page = read(text, OPENMETRICS)          # Malformed, with the line, if a scraper would be right to refuse it
    page.value("leased_connection_up", connection="main")
"""

import math
import re

OPENMETRICS, PROMETHEUS = "openmetrics", "prometheus"
CONTENT_TYPES = {OPENMETRICS: "application/openmetrics-text; version=1.0.0; charset=utf-8",
                 PROMETHEUS: "text/plain; version=0.0.4; charset=utf-8"}
TYPES = {OPENMETRICS: ("counter", "gauge", "histogram", "info"), PROMETHEUS: ("counter", "gauge", "histogram")}
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (\S+)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"')
NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?([eE][-+]?\d+)?|Inf)|NaN")
LABEL_VALUE_MAX = 1024


class Malformed(Exception):
    pass


class Family:
    def __init__(self, name):
        self.name, self.type, self.unit, self.help, self.samples = name, None, None, None, []


class Page:
    def __init__(self, families):
        self.families = families
        self.samples = {}
        for family in families.values():
            for name, labels, value in family.samples:
                key = name, tuple(sorted(labels.items()))
                if key in self.samples:
                    raise Malformed(f"{name} {labels} stands twice")
                self.samples[key] = value

    def value(self, name, **labels):
        """Of the one sample with just these labels; None when there is none."""
        return self.samples.get((name, tuple(sorted(labels.items()))))

    def total(self, name, **labels):
        """Of all samples of that name that have these labels among others."""
        return sum(value for (found, pairs), value in self.samples.items()
                   if found == name and set(labels.items()) <= set(pairs))


def unescape(text):
    return re.sub(r"\\(.)", lambda match: "\n" if match.group(1) == "n" else match.group(1), text)


def read_labels(text, line):
    labels, at = {}, 0
    while at < len(text):
        match = LABEL.match(text, at)
        if match is None or match.group(1) in labels or match.group(1).startswith("__"):
            raise Malformed(f"labels: {line}")
        labels[match.group(1)] = unescape(match.group(2))
        if len(match.group(2)) > LABEL_VALUE_MAX:
            raise Malformed(f"a label without bound: {line}")
        at = match.end()
        if at < len(text):
            if text[at] != "," or at + 1 == len(text):
                raise Malformed(f"between labels: {line}")
            at += 1
    return labels


def read_comment(line, families, form):
    match = re.fullmatch(rf"# (TYPE|UNIT|HELP) ({NAME}) (.*)", line)
    if match is None:
        raise Malformed(f"a comment that is none: {line}")
    word, name, text = match.groups()
    newest = next(reversed(families), None)
    if name != newest:
        if name in families:
            raise Malformed(f"a family in two places: {line}")
        families[name] = Family(name)
    family = families[name]
    if family.samples or getattr(family, word.lower()) is not None or text == "":
        raise Malformed(f"behind its samples, twice, or empty: {line}")
    if word == "TYPE" and text not in TYPES[form]:
        raise Malformed(f"no such type: {line}")
    if word == "UNIT" and (form != OPENMETRICS or not name.endswith("_" + text)):
        raise Malformed(f"not the unit of its name: {line}")
    if word == "HELP" and re.search(r"\\(?![\\n])", text):
        raise Malformed(f"escapes: {line}")
    setattr(family, word.lower(), text)


def suffixes(family, form):
    if family.type == "histogram":
        return ("_bucket", "_count", "_sum")
    if form == OPENMETRICS and family.type in ("counter", "info"):
        return ("_total",) if family.type == "counter" else ("_info",)
    return ("",)


def read_sample(line, families, form):
    match = SAMPLE.fullmatch(line)
    if match is None or not NUMBER.fullmatch(match.group(3)) or match.group(2) == "":
        raise Malformed(f"no sample: {line}")
    family = families.get(next(reversed(families), None))
    if family is None or match.group(1) not in [family.name + suffix for suffix in suffixes(family, form)]:
        raise Malformed(f"a sample that is not of the family it stands in: {line}")
    value = float(match.group(3).replace("Inf", "inf"))
    if family.type in ("counter", "histogram") and not (0 <= value < math.inf):
        raise Malformed(f"counts do not: {line}")
    if family.type == "info" and value != 1:
        raise Malformed(f"info is 1: {line}")
    family.samples.append((match.group(1), read_labels(match.group(2) or "", line), value))


def check_histogram(family):
    series = {}
    for name, labels, value in family.samples:
        rest = tuple(sorted((key, text) for key, text in labels.items() if key != "le"))
        one = series.setdefault(rest, {"bounds": [], "counts": []})
        if name.endswith("_bucket"):
            if "le" not in labels:
                raise Malformed(f"{family.name}: a bucket without its bound")
            one["bounds"].append(float(labels["le"].replace("Inf", "inf")))
            one["counts"].append(value)
        else:
            one[name.removeprefix(family.name)] = value
    for labels, one in series.items():
        if one["bounds"] != sorted(set(one["bounds"])) or one["bounds"][-1:] != [math.inf]:
            raise Malformed(f"{family.name} {labels}: bounds {one['bounds']}")
        if one["counts"] != sorted(one["counts"]):
            raise Malformed(f"{family.name} {labels}: buckets that are not cumulative")
        if one.get("_count") != one["counts"][-1] or "_sum" not in one:
            raise Malformed(f"{family.name} {labels}: its count is not that of the last bucket, or there is no sum")


def check_family(family, form):
    if family.type is None or family.help is None:
        raise Malformed(f"{family.name} has no TYPE or no HELP")
    if family.type == "counter" and family.name.endswith("_total") != (form == PROMETHEUS):
        raise Malformed(f"{family.name}: a counter's samples end in _total")
    if form == OPENMETRICS and family.unit is None and family.name.endswith(("_seconds", "_bytes")):
        raise Malformed(f"{family.name} has no UNIT")
    if family.type == "histogram":
        check_histogram(family)


def read(text, form):
    lines = text.split("\n")
    if lines.pop() != "":
        raise Malformed("the last line does not end")
    if form == OPENMETRICS and (not lines or lines.pop() != "# EOF"):
        raise Malformed("the page does not end with # EOF")
    families = {}
    for line in lines:
        if line.startswith("#"):
            read_comment(line, families, form)
        else:
            read_sample(line, families, form)
    for family in families.values():
        check_family(family, form)
    return Page(families)


def scrape(leased, form=OPENMETRICS, **kwargs):
    """sys/metrics of a daemon, read strictly; its content type is the one of the form."""
    response = leased.get(f"sys/metrics?format={form}", **kwargs)
    if response.status != 200 or response.headers["content-type"] != CONTENT_TYPES[form]:
        raise Malformed(f"{response!r} {response.headers}")
    return read(response.body.decode("utf-8", "strict"), form)
